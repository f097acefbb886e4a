// Package web is how a running node is watched: one listener, on loopback unless
// it is told otherwise, with a page for people, health and readiness for
// supervisors, metrics for Prometheus, every service's figures as JSON, and
// profiles. It also tells systemd how the node is.
//
// Read snapshot.go for what is shown, server.go for how it is served and who is
// let in, metrics.go for what each series is made of, watch.go for the alarms
// that only an edge can raise, systemd.go for the supervisor, and ports.go for
// how other commands find a node.
//
// It never sees a loop's state: it is given functions that return copies
// (Source), and calls them with a deadline. Only node/cli and sim/localnet use
// it.
package web

// Package lint holds the project's own rules as tests: who may import whom,
// where the clock, goroutines and the operating system may be touched, that map
// order reaches no output, which words are not used, and that what the
// documents point to is there. `go test ./sim/lint` runs them; there is no tool
// to install and nothing to call.
//
// Read layers_test.go for the directions of imports and edges_test.go for the
// places with clocks, goroutines and sockets: those two tables are the
// architecture. Then order_test.go, words_test.go, comments_test.go and
// files_test.go, one rule a test. module_test.go reads the module.
// Each rule has a test that shows it biting on a few lines of bad source.
package lint

// Package cli holds the commands of a node's binary, for main to put into one
// application: each is a function that returns a *cli.Command of urfave/cli.
// Commands read arguments, call the package that does the work and print; no
// logic of betting, scoring or storage is here.
//
// Read exit.go for exit codes and for how errors reach the user; then one file a
// command. Only main calls this package.
package cli

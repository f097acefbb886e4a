// Package cli holds the commands of the simulator for main to put into one
// application: `sim run` and its kin, and `bench`. A command reads arguments
// and files, calls package sim, and prints. It is an edge: it alone in the
// simulator reads the wall clock, and only to tell how fast a run was.
//
// Read load.go for how a scenario is read, run.go for `sim run` and what it says
// of a failure, sweep.go for many seeds, shrink.go for the smallest scenario that
// still fails, diff.go for two traces and one run again, ci.go for a folder as
// regression tests, list.go for what describes scenarios, bench.go for
// `bench`. Only main calls this package.
package cli

import (
	"fmt"

	"bettensor/sim"

	"github.com/urfave/cli/v2"
)

// exitBad is the exit code of what never ran: usage, a bad scenario, or the
// program's own failure. The others are a result's, see sim.Failure.
const exitBad = sim.ExitBad

// plant, set by tests only, is called with each world before it turns, so that
// there is something to be found.
var plant func(*sim.World)

// exitError is an error with an exit code.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// ExitCode implements cli.ExitCoder.
func (e *exitError) ExitCode() int { return e.code }

func fail(code int, format string, args ...any) error {
	return &exitError{code, fmt.Errorf(format, args...)}
}

// Sim is the command `sim`.
func Sim() *cli.Command {
	return &cli.Command{
		Name:        "sim",
		Usage:       "run the real validator and miners in a simulated subnet",
		Subcommands: []*cli.Command{runCommand(), sweepCommand(), compareCommand(), shrinkCommand(), ciCommand(), diffCommand(), replayCommand(), validateCommand(), describeCommand(), expandCommand(), listCommand(), schemaCommand(), crashpointsCommand(), plantsCommand()},
	}
}

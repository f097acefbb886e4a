package cli

import (
	"fmt"
	"io"
	"strings"

	"bettensor/sim"

	"github.com/urfave/cli/v2"
)

// plantsCommand lists the bugs that can be planted, or looks for them.
func plantsCommand() *cli.Command {
	return &cli.Command{
		Name:      "plants",
		Usage:     "list the bugs that can be planted with `plant: NAME`, print one's scenario, or find them with --find",
		ArgsUsage: "[NAME…]",
		Description: "Without a name all bugs are listed. With one its scenario is printed, as a file that `sim run` takes; more than\n" +
			"one name is for --find.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "find", Usage: "run each bug's scenario with seed after seed until it is found"},
			&cli.Uint64Flag{Name: "seeds", Value: 1000, Usage: "give up after the seeds 1..`N`"},
		},
		Action: plants,
	}
}

func plants(c *cli.Context) error {
	bugs := sim.Bugs()
	if c.NArg() > 0 {
		bugs = nil
		for _, name := range c.Args().Slice() {
			b, ok := sim.FindBug(name)
			if !ok {
				return fail(exitBad, "no bug %q; `sim plants` lists them", name)
			}
			bugs = append(bugs, b)
		}
	}
	if c.Uint64("seeds") == 0 {
		return fail(exitBad, "--seeds: expected at least 1, got 0")
	}
	if c.NArg() > 0 && !c.Bool("find") {
		if c.NArg() > 1 {
			return fail(exitBad, "expected one NAME, whose scenario is printed, got %d; --find takes several", c.NArg())
		}
		if _, err := io.WriteString(c.App.Writer, bugs[0].File()); err != nil {
			return lost(err)
		}
		return nil
	}
	missed := 0
	for i := range bugs {
		b := &bugs[i]
		if !c.Bool("find") {
			if _, err := fmt.Fprintf(c.App.Writer, "%s\n    %s\n    found by %s\n", b.Name, b.Doc, strings.Join(b.Finds, ", ")); err != nil {
				return lost(err)
			}
			continue
		}
		seed, by, err := b.Find(c.Uint64("seeds"))
		line := fmt.Sprintf("%-32s seed %d: %s\n", b.Name, seed, strings.Join(by, ", "))
		switch {
		case err != nil:
			return fail(exitBad, "%s: %w", b.Name, err)
		case seed == 0:
			missed++
			line = fmt.Sprintf("%-32s not found within %s\n", b.Name, sim.Counted(c.Uint64("seeds"), "seed"))
		}
		if _, err := fmt.Fprint(c.App.Writer, line); err != nil {
			return lost(err)
		}
	}
	if missed > 0 {
		return fail(sim.ExitThreshold, "%s not found", sim.Counted(missed, "planted bug"))
	}
	return nil
}

package cli

import (
	"errors"
	"fmt"
	"runtime"

	"bettensor/sim"
	"bettensor/sim/report"

	"github.com/urfave/cli/v2"
)

func compareCommand() *cli.Command {
	return &cli.Command{
		Name:      "compare",
		Usage:     "run two scenarios, or one under two mechanisms, with the same seeds and games: who earns more",
		ArgsUsage: "A.yaml B.yaml",
		Flags: append(scenarioFlags(),
			&cli.StringFlag{Name: "seeds", Value: "1..10", Usage: "`A..B`, both included, or N for 1..N"},
			&cli.StringSliceFlag{Name: "set-a", Usage: "set a key of the first scenario only, `PATH=VALUE` (repeatable)"},
			&cli.StringSliceFlag{Name: "set-b", Usage: "set a key of the second scenario only, `PATH=VALUE`, as in scoring.scheme=robust (repeatable)"},
			&cli.IntFlag{Name: "parallel", Value: runtime.NumCPU(), Usage: "`N` runs at a time"},
			limitFlag(),
			&cli.StringFlag{Name: "json", Usage: "write the comparison as data to `FILE`"},
			&cli.StringFlag{Name: "report", Usage: "write a page of it, HTML that needs nothing else, to `FILE`"},
			&cli.BoolFlag{Name: "quiet", Usage: "no progress"},
		),
		Action: compare,
	}
}

func compare(c *cli.Context) error {
	if c.NArg() != 2 {
		return fail(exitBad, "expected two scenario files, which may be the same, got %d arguments, as in: %s scenarios/season.yaml scenarios/season.yaml --set-b scoring.scheme=robust", c.NArg(), c.Command.HelpName)
	}
	from, to, err := seedRange(c.String("seeds"))
	if err != nil {
		return err
	}
	if n := c.Int("parallel"); n < 1 {
		return fail(exitBad, "--parallel: expected at least 1, got %d", n)
	}
	tuneHeap()
	var sides [2]*loaded
	var errs []error
	for i, own := range []string{"set-a", "set-b"} {
		l, err := loadFile(c, c.Args().Get(i), c.StringSlice(own)...)
		sides[i], errs = l, append(errs, err)
	}
	if err := errors.Join(errs...); err != nil { // every mistake shows before the first run
		return &exitError{exitBad, err}
	}
	var outputs closers
	defer outputs.abandon()
	data, err := outputs.optional(c.String("json"))
	if err != nil {
		return err
	}
	page, err := outputs.optional(c.String("report"))
	if err != nil {
		return err
	}
	result, err := compareSides(c, sides, from, to)
	if err != nil {
		return err
	}
	printed := result.Write(c.App.Writer)
	if data != nil {
		if err := result.WriteJSON(data); err != nil {
			return fail(exitBad, "write the comparison: %w", err)
		}
	}
	if page != nil {
		if err := report.WriteComparison(page, result, c.App.Version); err != nil {
			return fail(exitBad, "%w", err)
		}
	}
	if err := outputs.close(); err != nil {
		return err
	}
	if result.Exit != sim.ExitPass {
		return &exitError{result.Exit, errors.Join(fmt.Errorf("%s in %d runs", sim.Counted(len(result.Failures), "failure"), 2*result.Seeds), printed)}
	}
	return lost(printed)
}

// compareSides runs both sides, one after the other, each with all its seeds.
func compareSides(c *cli.Context, sides [2]*loaded, from, to uint64) (*sim.Comparison, error) {
	var about [2]sim.Side
	var trials [2][]sim.Trial
	for i, l := range sides {
		l, err := l.of(from)
		if err != nil {
			return nil, err
		}
		about[i] = sim.Side{File: l.path, Scenario: l.plan.Scenario.Name, Scheme: l.plan.Scenario.Scoring.Scheme, Replay: l.again()}
		trials[i] = make([]sim.Trial, to-from+1)
		s := &seeds{l: l, opt: l.options(c), from: from, n: len(trials[i]), workers: c.Int("parallel"), show: c.App.ErrWriter, quiet: c.Bool("quiet")}
		s.keep = func(k int, r *sim.Result) { trials[i][k] = sim.TrialOf(r) }
		outcomes, err := s.run(c.Context)
		if err != nil {
			return nil, err
		}
		for k := range outcomes {
			if trials[i][k].Kinds == nil { // it came to no result
				return nil, fail(exitBad, "%s, seed %d: %s; again with: %s", l.path, outcomes[k].Seed, outcomes[k].Failures[0].First, outcomes[k].Replay)
			}
		}
	}
	result := sim.Compare(about[0], about[1], trials[0], trials[1])
	result.Differs = sim.Differences(sides[0].plan, sides[1].plan)
	return result, nil
}

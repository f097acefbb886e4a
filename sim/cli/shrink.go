package cli

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"bettensor/sim"
	"bettensor/sim/scenario"

	"github.com/urfave/cli/v2"
)

func shrinkCommand() *cli.Command {
	return &cli.Command{
		Name:      "shrink",
		Usage:     "make a scenario that fails as small as it can be and still fail alike",
		ArgsUsage: "SCENARIO.yaml",
		Flags: append(seededFlags(),
			&cli.StringFlag{Name: "seeds", Usage: "look for a seed that fails in `A..B`, both included, or N for 1..N, and shrink the first"},
			&cli.StringFlag{Name: "by", Usage: "keep this failure, as in `'invariant budget-per-day'`; the first violation otherwise"},
			plantFlag(),
			limitFlag(),
			&cli.IntFlag{Name: "runs", Value: 200, Usage: "try at most `N` runs"},
			&cli.StringFlag{Name: "o", Aliases: []string{"output"}, Usage: "write the smaller scenario to `FILE`; printed otherwise"},
			&cli.BoolFlag{Name: "quiet", Usage: "do not tell each step"},
		),
		Action: shrink,
	}
}

func shrink(c *cli.Context) error {
	if c.Int("runs") < 2 {
		return fail(exitBad, "--runs: expected at least 2, got %d", c.Int("runs"))
	}
	l, err := load(c)
	if err != nil {
		return err
	}
	tuneHeap()
	if text := c.String("seeds"); text != "" {
		if l, err = l.failing(c, text); err != nil {
			return err
		}
	}
	var outputs closers
	defer outputs.abandon()
	path, to := c.String("o"), c.App.Writer
	if path != "" {
		if to, err = outputs.create(path); err != nil {
			return err
		}
	}
	said := c.App.ErrWriter
	if c.Bool("quiet") {
		said = io.Discard
	}
	s, err := l.plan.Shrink(sim.ShrinkOptions{Runs: c.Int("runs"), Signature: c.String("by"), Run: l.options(c),
		Step: func(s sim.ShrinkStep) { fmt.Fprintf(said, "run %3d: %s\n", s.Runs, s.What) }})
	switch {
	case errors.Is(err, sim.ErrPassed):
		return fail(exitBad, "%s: %w; look for a seed that fails with --seeds A..B", l.path, err)
	case err != nil:
		return fail(exitBad, "%s: %w", l.path, err)
	}
	if s.File, err = l.relocate(s.File, path); err != nil {
		return err
	}
	name := path
	if name == "" {
		name = "smaller.yaml"
	}
	if _, err := to.Write(s.Text(program(), name, fmt.Sprintf("%s, seed %d", l.path, l.plan.Scenario.Seed))); err != nil {
		return lost(err)
	}
	if err := outputs.close(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(said, "%s\n  %s\n%s: %s\n%s: %s, after %d runs\n", s.Failure.Signature(), s.Failure.First, l.path, s.Before, name, s.After, s.Runs)
	return lost(err)
}

// failing is the scenario with the first seed of a range that fails.
func (l *loaded) failing(c *cli.Context, text string) (*loaded, error) {
	from, to, err := seedRange(text)
	if err != nil {
		return nil, err
	}
	for seed := from; seed <= to; seed++ {
		other, err := l.of(seed)
		if err != nil {
			return nil, err
		}
		o := l.options(c)
		o.FailFast = true
		res, err := other.once(o)
		if err != nil && !errors.Is(err, errPanic) {
			return nil, err
		}
		if err != nil || len(sim.OutcomeOf(res).Failures) > 0 {
			return other, nil
		}
	}
	return nil, fail(exitBad, "%s: seeds %d to %d pass", l.path, from, to)
}

// relocate names the files of matches as they are found from where the scenario
// is written to.
func (l *loaded) relocate(file []byte, path string) ([]byte, error) {
	if len(l.files) == 0 {
		return file, nil
	}
	d, err := scenario.NewDraft(file)
	if err != nil {
		return nil, fail(exitBad, "%w", err)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fail(exitBad, "%w", err)
	}
	names := make([]string, len(l.files))
	for i, f := range l.files {
		if names[i], err = filepath.Abs(f.Name); err != nil {
			return nil, fail(exitBad, "%w", err)
		}
		if near, err := filepath.Rel(dir, names[i]); err == nil {
			names[i] = filepath.ToSlash(near)
		}
		names[i] = fmt.Sprintf("%q", names[i])
	}
	out, err := d.Without("market").Bytes()
	if err != nil {
		return nil, fail(exitBad, "%w", err)
	}
	return append(out, "market: {file: ["+strings.Join(names, ", ")+"]}\n"...), nil
}

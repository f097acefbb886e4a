package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"bettensor/sim"
	"bettensor/sim/scenario"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// maxSeeds bounds one sweep: a night's work on two cores.
const maxSeeds = 100_000

func sweepCommand() *cli.Command {
	return &cli.Command{
		Name:      "sweep",
		Usage:     "run a scenario with many seeds and print what each kind of miner earns on average",
		ArgsUsage: "SCENARIO.yaml",
		Flags: append(scenarioFlags(),
			&cli.StringFlag{Name: "seeds", Value: "1..10", Usage: "`A..B`, both included"},
			&cli.IntFlag{Name: "parallel", Value: runtime.NumCPU(), Usage: "runs at a time"},
			&cli.StringFlag{Name: "against", Value: "random", Usage: "the `KIND` that others are compared with"},
			&cli.StringFlag{Name: "json", Usage: "write the table as data to `FILE`"},
			&cli.BoolFlag{Name: "quiet", Usage: "no progress"},
		),
		Action: sweep,
	}
}

func seedRange(s string) (from, to uint64, err error) {
	a, b, ok := strings.Cut(s, "..")
	if !ok {
		b = a
	}
	from, err1 := strconv.ParseUint(a, 10, 64)
	to, err2 := strconv.ParseUint(b, 10, 64)
	if err1 != nil || err2 != nil || to < from || to-from >= maxSeeds {
		return 0, 0, fail(exitBad, "--seeds %q: expected A..B with A <= B and at most %d seeds, as in 1..10", s, maxSeeds)
	}
	return from, to, nil
}

func sweep(c *cli.Context) error {
	from, to, err := seedRange(c.String("seeds"))
	if err != nil {
		return err
	}
	if c.IsSet("seed") {
		return fail(exitBad, "--seed: sweep takes --seeds A..B")
	}
	workers := c.Int("parallel")
	if workers < 1 {
		return fail(exitBad, "--parallel: expected at least 1, got %d", workers)
	}
	tuneHeap()
	first, err := load(c, from) // every mistake shows before the first run
	if err != nil {
		return err
	}
	with := c.String("against")
	if c.IsSet("against") && !slices.ContainsFunc(first.plan.Scenario.Miners, func(g scenario.Group) bool { return g.Kind == with && g.Count > 0 }) {
		return fail(exitBad, "--against: no miners of kind %q in %s", with, first.path)
	}
	var outputs closers
	defer outputs.abandon()
	var data io.Writer
	if path := c.String("json"); path != "" {
		if data, err = outputs.create(path); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	n := int(to - from + 1)
	results, errs := make([]*sim.Result, n), make([]error, n)
	var next, done int
	var mu sync.Mutex
	progress := func() {}
	if f, ok := c.App.ErrWriter.(*os.File); ok && !c.Bool("quiet") && term.IsTerminal(int(f.Fd())) {
		began := time.Now()
		progress = func() {
			fmt.Fprintf(f, "\r%d of %d seeds, %.2f seeds/s ", done, n, float64(done)/max(time.Since(began).Seconds(), 1e-9))
		}
		defer fmt.Fprint(f, "\r\033[K")
	}
	var wg sync.WaitGroup
	for range min(workers, n) {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= n || ctx.Err() != nil {
					return
				}
				l := first
				var err error
				if i > 0 {
					l, err = load(c, from+uint64(i))
				}
				if err == nil {
					results[i], err = l.plan.Run(sim.RunOptions{Stopped: ctx.Err, Prepare: plant})
				}
				mu.Lock()
				errs[i] = err
				done++
				progress()
				mu.Unlock()
				if err != nil {
					cancel()
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return fail(exitBad, "%w", err)
	}
	if err := c.Context.Err(); err != nil {
		return fail(exitBad, "stopped after %d of %d seeds", done, n)
	}
	table := sim.Spread(results, with)
	printed := writeSpread(c.App.Writer, first, table, with, from, to)
	var bad []error
	for i, r := range results {
		if v := r.Violated(); v > 0 {
			bad = append(bad, fmt.Errorf("seed %d: %d violations of invariants", from+uint64(i), v))
		}
	}
	if data != nil {
		e := json.NewEncoder(data)
		e.SetIndent("", "  ")
		if err := e.Encode(table); err != nil {
			return fail(exitBad, "write the table: %w", err)
		}
	}
	if err := outputs.close(); err != nil {
		return err
	}
	if len(bad) > 0 {
		return &exitError{exitInvariant, errors.Join(append(bad, printed)...)}
	}
	return lost(printed)
}

func writeSpread(w io.Writer, l *loaded, table []sim.KindSpread, against string, from, to uint64) error {
	var base float64
	for _, k := range table {
		if k.Kind == against {
			base = k.Mean
		}
	}
	p := l.plan
	b := bufio.NewWriter(w) // keeps the first error, so that only Flush is asked
	fmt.Fprintf(b, "%s: %s to %s, %d games, scheme %s, seeds %d to %d\n\n", p.Scenario.Name, p.Start.Format(time.DateOnly), p.End.Format(time.DateOnly),
		len(p.Market.Fixtures()), p.Scenario.Scoring.Scheme, from, to)
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "kind\tminers\temission each τ\t±\tshare\t× %s\tseeds above\tROI\tCLV\t\n", against)
	for _, k := range table {
		times := "-"
		if base > 0 {
			times = fmt.Sprintf("%.2f", k.Mean/base)
		}
		fmt.Fprintf(t, "%s\t%d\t%.0f\t%.0f\t%.1f%%\t%s\t%d/%d\t%+.1f%%\t%.3f\t\n", k.Kind, k.Miners, k.Mean/1e9, k.Error/1e9, 100*k.Share, times, k.Above, k.Runs, 100*k.ROI, k.CLV)
	}
	t.Flush()
	return b.Flush()
}

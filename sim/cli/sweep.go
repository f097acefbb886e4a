package cli

import (
	"bufio"
	"context"
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
	"bettensor/sim/report"
	"bettensor/sim/scenario"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// maxSeeds bounds one sweep: a night's work on two cores.
const maxSeeds = 100_000

func sweepCommand() *cli.Command {
	return &cli.Command{
		Name:      "sweep",
		Usage:     "run scenarios with many seeds: what fails, and what each kind of miner earns on average",
		ArgsUsage: "SCENARIO.yaml...",
		Flags: append(scenarioFlags(),
			&cli.StringFlag{Name: "seeds", Value: "1..10", Usage: "`A..B`, both included, or N for 1..N"},
			&cli.IntFlag{Name: "parallel", Value: runtime.NumCPU(), Usage: "runs at a time"},
			plantFlag(),
			limitFlag(),
			&cli.BoolFlag{Name: "stop-on-failure", Usage: "end at the first seed that fails"},
			&cli.StringFlag{Name: "against", Value: "random", Usage: "the `KIND` that others are compared with"},
			&cli.StringFlag{Name: "json", Usage: "write all of it as data to `FILE`"},
			&cli.StringFlag{Name: "junit", Usage: "write the verdict on each seed as JUnit XML to `FILE`"},
			&cli.StringFlag{Name: "report", Usage: "write a page of it, HTML that needs nothing else, to `FILE`"},
			&cli.BoolFlag{Name: "quiet", Usage: "no progress"},
		),
		Action: sweep,
	}
}

// seedRange reads A..B, both included, or how many seeds from 1.
func seedRange(s string) (from, to uint64, err error) {
	a, b, ok := strings.Cut(s, "..")
	if !ok {
		a, b = "1", a
	}
	from, err1 := strconv.ParseUint(a, 10, 64)
	to, err2 := strconv.ParseUint(b, 10, 64)
	if err1 != nil || err2 != nil || to < from || to-from >= maxSeeds {
		return 0, 0, fail(exitBad, "--seeds %q: expected A..B with A <= B, or N for 1..N, and at most %d seeds, as in 1..10", s, maxSeeds)
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
	scenarios, err := loadAll(c) // every mistake shows before the first run
	if err != nil {
		return err
	}
	with := c.String("against")
	if c.IsSet("against") && !slices.ContainsFunc(scenarios, func(l *loaded) bool { return l.has(with) }) {
		return fail(exitBad, "--against: no miners of kind %q in %s", with, scenarios[0].path)
	}
	var outputs closers
	defer outputs.abandon()
	var files [3]io.Writer
	for i, name := range []string{"json", "junit", "report"} {
		if files[i], err = outputs.optional(c.String(name)); err != nil {
			return err
		}
	}
	data, junit, page := files[0], files[1], files[2]
	var swept sim.SweepResult
	var cases []sim.Case
	var cut error
	swept.Parallel = workers
	began := time.Now()
	for i, l := range scenarios {
		if l, err = l.of(from); err != nil { // what is told of the scenario is told of its first seed
			return err
		}
		s := &seeds{l: l, opt: l.options(c), from: from, n: int(to - from + 1), workers: workers, stopOnFailure: c.Bool("stop-on-failure"), show: c.App.ErrWriter}
		s.quiet = c.Bool("quiet")
		runs, err := s.run(c.Context)
		cut = err
		if i > 0 {
			fmt.Fprintln(c.App.Writer)
		}
		before := swept
		swept.Add(sim.SweptScenario{File: l.path, Scenario: l.plan.Scenario.Name, From: from, To: to, Stopped: len(runs) < s.n}, runs, with)
		if err := writeSpread(c.App.Writer, l, swept.Kinds[len(before.Kinds):], with, from, to); err != nil {
			return lost(err)
		}
		for _, o := range runs {
			cases = append(cases, sim.Case{Suite: l.path, Name: fmt.Sprintf("seed %d", o.Seed), File: l.path, Failures: o.Failures, Again: o.Replay})
		}
		if cut != nil { // what was done is told all the same
			break
		}
	}
	swept.Seconds = time.Since(began).Seconds()
	swept.SeedsPerSecond = float64(swept.Seeds) / swept.Seconds
	printed := writeSweep(c.App.Writer, &swept)
	if data != nil {
		if err := encodeJSON(data, &swept); err != nil {
			return err
		}
	}
	if junit != nil {
		if err := sim.WriteJUnit(junit, "sim sweep", cases); err != nil {
			return fail(exitBad, "%w", err)
		}
	}
	if page != nil {
		if err := report.WriteSweep(page, &report.Sweep{Result: &swept, Revision: c.App.Version, Smaller: smallerCommand}); err != nil {
			return fail(exitBad, "%w", err)
		}
	}
	if err := outputs.close(); err != nil {
		return err
	}
	if swept.Exit != sim.ExitPass {
		return &exitError{swept.Exit, errors.Join(cut, sweepVerdict(&swept), printed)}
	}
	if cut != nil {
		return &exitError{exitBad, errors.Join(cut, printed)}
	}
	return lost(printed)
}

// sweepVerdict is what a sweep failed by, in one line.
func sweepVerdict(r *sim.SweepResult) error {
	if r.Failed == 0 {
		return fmt.Errorf("no seed reached %d of the properties that some seed should", len(r.Missed()))
	}
	return fmt.Errorf("%d of %d seeds failed", r.Failed, r.Seeds)
}

// has says whether the scenario has miners of a kind.
func (l *loaded) has(kind string) bool {
	return slices.ContainsFunc(l.plan.Scenario.Miners, func(g scenario.Group) bool { return g.Kind == kind && g.Count > 0 })
}

// seeds is one scenario's part of a sweep.
type seeds struct {
	l             *loaded
	opt           sim.RunOptions
	from          uint64
	n, workers    int
	stopOnFailure bool
	quiet         bool
	show          io.Writer // of progress
	// keep, where set, is called with each result, side by side for several seeds.
	keep func(i int, r *sim.Result)

	mu           sync.Mutex
	next, done   int
	failed       int
	firstFailure int // the least index that failed; n for none
	began, told  time.Time
}

// progressEvery is how often a sweep whose progress goes to no terminal tells it.
const progressEvery = 30 * time.Second

// run runs the seeds and returns what came of each, in their order. With
// stopOnFailure it returns those up to the first that failed, however many ran
// side by side. The error is of a sweep that was stopped; those seeds that ran to
// their end are returned with it.
func (s *seeds) run(ctx context.Context) ([]sim.Outcome, error) {
	outcomes, ran := make([]sim.Outcome, s.n), make([]bool, s.n)
	s.firstFailure, s.began = s.n, time.Now()
	s.told = s.began
	var wg sync.WaitGroup
	for range min(s.workers, s.n) {
		wg.Go(func() {
			for i, ok := s.take(ctx); ok; i, ok = s.take(ctx) {
				if outcomes[i], ran[i] = s.one(ctx, s.from+uint64(i)); ran[i] {
					s.finish(i, len(outcomes[i].Failures) > 0)
				}
			}
		})
	}
	wg.Wait()
	s.clear()
	if ctx.Err() != nil {
		var whole []sim.Outcome
		for i := range outcomes {
			if ran[i] {
				whole = append(whole, outcomes[i])
			}
		}
		return whole, fail(exitBad, "stopped after %d of %d seeds", s.done, s.n)
	}
	if s.stopOnFailure {
		outcomes = outcomes[:min(s.firstFailure+1, s.n)]
	}
	return outcomes, nil
}

// take is the next seed's index; ok is false where there is none to run.
func (s *seeds) take(ctx context.Context) (i int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i = s.next
	s.next++
	return i, i < s.n && ctx.Err() == nil && !(s.stopOnFailure && i > s.firstFailure)
}

func (s *seeds) finish(i int, failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done++
	if failed {
		s.failed++
		s.firstFailure = min(s.firstFailure, i)
	}
	s.progress()
}

// one runs one seed. What goes wrong with it is an outcome too; a run that was
// stopped has none.
func (s *seeds) one(ctx context.Context, seed uint64) (o sim.Outcome, ran bool) {
	l, err := s.l.of(seed)
	if err == nil {
		var res *sim.Result
		if res, err = l.once(s.opt); err == nil {
			if s.keep != nil {
				s.keep(int(seed-s.from), res)
			}
			return sim.OutcomeOf(res), true
		}
	}
	if stopped(ctx, err) {
		return sim.Outcome{}, false
	}
	return sim.Outcome{Seed: seed, Replay: l.again(), Failures: []sim.Failure{broken(err)}}, true
}

// stopped says that a run ended because its command was stopped.
func stopped(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, ctx.Err())
}

// broken is the failure of a run that came to no result.
func broken(err error) sim.Failure {
	f := sim.Failure{Exit: sim.ExitBad, Kind: "error", By: "run", First: err.Error()}
	if errors.Is(err, errPanic) {
		f.By = "panic"
	}
	return f
}

// progress tells how far the sweep is: on a terminal in one line that is
// overwritten, else in a line now and then.
func (s *seeds) progress() {
	if s.quiet {
		return
	}
	now := time.Now()
	every, begin, end := progressEvery, "", "\n"
	if s.terminal() {
		every, begin, end = barEvery, "\r", " "
	}
	if now.Sub(s.told) < every {
		return
	}
	s.told = now
	fmt.Fprintf(s.show, "%s%s: %d of %d seeds, %.1f seeds/s, %d failed%s", begin, s.l.plan.Scenario.Name, s.done, s.n, float64(s.done)/now.Sub(s.began).Seconds(), s.failed, end)
}

func (s *seeds) terminal() bool {
	f, ok := s.show.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (s *seeds) clear() {
	if !s.quiet && s.terminal() {
		fmt.Fprint(s.show, "\r\033[K")
	}
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

// maxShownSeeds bounds how many seeds of a group are named in print.
const maxShownSeeds = 10

// writeSweep prints what failed, grouped by what it failed by, and what was not
// reached.
func writeSweep(w io.Writer, r *sim.SweepResult) error {
	b := bufio.NewWriter(w)
	fmt.Fprintln(b)
	for _, g := range r.Groups() {
		first := g.Seeds[0]
		fmt.Fprintf(b, "FAILED %s: %s, exit %d\n  first: seed %d of %s: %s\n", g.Signature, counted(len(g.Seeds), "seed"), g.Exit, first.Seed, first.File, firstLine(first.First))
		var seeds []string
		for i, s := range g.Seeds {
			if i == maxShownSeeds {
				seeds = append(seeds, fmt.Sprintf("and %d more", len(g.Seeds)-i))
				break
			}
			seeds = append(seeds, strconv.FormatUint(s.Seed, 10))
		}
		fmt.Fprintf(b, "  seeds: %s\n  again: %s\n", strings.Join(seeds, " "), first.Replay)
		if smaller := smallerCommand(first); smaller != "" {
			fmt.Fprintf(b, "  smaller: %s\n", smaller)
		}
	}
	if n := len(r.Sometimes); n > 0 {
		missed := r.Missed()
		fmt.Fprintf(b, "reached %d of %d properties that some seed should reach\n", n-len(missed), n)
		for _, p := range missed {
			fmt.Fprintf(b, "NOT REACHED %s, in %s\n", p.Name, p.Scenario)
		}
	}
	for _, s := range r.Scenarios {
		if len(s.IdleFaults) > 0 {
			fmt.Fprintf(b, "%s: %s in any seed\n", s.Scenario, idle(s.IdleFaults))
		}
		if s.Stopped {
			fmt.Fprintf(b, "%s: stopped after %d of %s\n", s.Scenario, s.Seeds, counted(s.To-s.From+1, "seed"))
		}
	}
	word := "all passed"
	if r.Failed > 0 {
		word = fmt.Sprintf("%d failed", r.Failed)
	}
	fmt.Fprintf(b, "%s, %s\n%d events in %.1f s on %d workers: %.2f seeds/s\n", counted(r.Seeds, "seed"), word, r.Events, r.Seconds, r.Parallel, r.SeedsPerSecond)
	return b.Flush()
}

// smallerCommand looks for a smaller scenario that fails alike; "" for a run that
// came to no result.
func smallerCommand(f sim.SeedFailure) string {
	if f.Exit == sim.ExitBad {
		return ""
	}
	return strings.Replace(f.Replay, " sim run ", " sim shrink ", 1) + " -o smaller.yaml"
}

// idle says which faults of a scenario test nothing.
func idle(faults []string) string {
	return fmt.Sprintf("these faults did nothing: %s", strings.Join(faults, ", "))
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

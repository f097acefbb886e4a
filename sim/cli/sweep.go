package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"bettensor/sim"
	"bettensor/sim/report"
	"bettensor/sim/scenario"

	"github.com/urfave/cli/v2"
)

func sweepCommand() *cli.Command {
	return &cli.Command{
		Name:      "sweep",
		Usage:     "run scenarios with many seeds: what fails, and what each kind of miner earns on average",
		ArgsUsage: "SCENARIO.yaml...",
		Flags: append(scenarioFlags(),
			&cli.StringFlag{Name: "seeds", Value: "1..10", Usage: "`A..B`, both included, or N for 1..N"},
			&cli.IntFlag{Name: "parallel", Value: runtime.NumCPU(), Usage: "`N` runs at a time"},
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

func sweep(c *cli.Context) error {
	from, to, err := seedRange(c.String("seeds"))
	if err != nil {
		return err
	}
	s := &sweeping{c: c, from: from, to: to, against: c.String("against")}
	if s.result.Parallel = c.Int("parallel"); s.result.Parallel < 1 {
		return fail(exitBad, "--parallel: expected at least 1, got %d", s.result.Parallel)
	}
	tuneHeap()
	scenarios, err := loadAll(c) // every mistake shows before the first run
	if err != nil {
		return err
	}
	if c.IsSet("against") && !slices.ContainsFunc(scenarios, func(l *loaded) bool { return l.has(s.against) }) {
		return fail(exitBad, "--against: no miners of kind %q in %s", s.against, scenarios[0].path)
	}
	defer s.outputs.abandon()
	if err := s.open(); err != nil {
		return err
	}
	began := time.Now()
	var cut error
	for i := 0; i < len(scenarios) && cut == nil; i++ { // what was done is told all the same
		if i > 0 {
			fmt.Fprintln(c.App.Writer)
		}
		if cut, err = s.scenario(scenarios[i]); err != nil {
			return err
		}
	}
	s.result.Seconds = time.Since(began).Seconds()
	s.result.SeedsPerSecond = float64(s.result.Seeds) / s.result.Seconds
	printed := writeSweep(c.App.Writer, &s.result)
	if err := s.write(); err != nil {
		return err
	}
	if s.result.Exit != sim.ExitPass {
		return &exitError{s.result.Exit, errors.Join(cut, sweepVerdict(&s.result), printed)}
	}
	if cut != nil {
		return &exitError{exitBad, errors.Join(cut, printed)}
	}
	return lost(printed)
}

// sweeping is a sweep over scenarios, and the files that it writes.
type sweeping struct {
	c        *cli.Context
	from, to uint64 // seeds
	against  string // the kind that others are compared with

	result sim.SweepResult
	cases  []sim.Case

	outputs           closers
	data, junit, page io.Writer // nil where they are not asked for
}

func (s *sweeping) open() error {
	var err error
	if s.data, err = s.outputs.optional(s.c.String("json")); err != nil {
		return err
	}
	if s.junit, err = s.outputs.optional(s.c.String("junit")); err != nil {
		return err
	}
	s.page, err = s.outputs.optional(s.c.String("report"))
	return err
}

// scenario sweeps one scenario and prints what its kinds earned. cut says that it
// was stopped.
func (s *sweeping) scenario(l *loaded) (cut, err error) {
	if l, err = l.of(s.from); err != nil { // what is told of the scenario is told of its first seed
		return nil, err
	}
	many := &seeds{l: l, opt: l.options(s.c), from: s.from, n: int(s.to - s.from + 1), workers: s.result.Parallel,
		stopOnFailure: s.c.Bool("stop-on-failure"), quiet: s.c.Bool("quiet"), show: s.c.App.ErrWriter}
	runs, cut := many.run(s.c.Context)
	before := len(s.result.Kinds)
	s.result.Add(sim.SweptScenario{File: l.path, Scenario: l.plan.Scenario.Name, From: s.from, To: s.to, Stopped: len(runs) < many.n}, runs, s.against)
	for _, o := range runs {
		s.cases = append(s.cases, sim.Case{Suite: l.path, Name: fmt.Sprintf("seed %d", o.Seed), File: l.path, Failures: o.Failures, Again: o.Replay})
	}
	return cut, lost(writeSpread(s.c.App.Writer, l, s.result.Kinds[before:], s.against, s.from, s.to))
}

// write writes the files.
func (s *sweeping) write() error {
	if s.data != nil {
		if err := encodeJSON(s.data, &s.result); err != nil {
			return err
		}
	}
	if s.junit != nil {
		if err := sim.WriteJUnit(s.junit, "sim sweep", s.cases); err != nil {
			return fail(exitBad, "%w", err)
		}
	}
	if s.page != nil {
		if err := report.WriteSweep(s.page, &report.Sweep{Result: &s.result, Revision: s.c.App.Version, Smaller: smallerCommand}); err != nil {
			return fail(exitBad, "%w", err)
		}
	}
	return s.outputs.close()
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
		fmt.Fprintf(b, "FAILED %s: %s, exit %d\n  first: seed %d of %s: %s\n", g.Signature, sim.Counted(len(g.Seeds), "seed"), g.Exit, first.Seed, first.File, firstLine(first.First))
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
			fmt.Fprintf(b, "%s: stopped after %d of %s\n", s.Scenario, s.Seeds, sim.Counted(s.To-s.From+1, "seed"))
		}
	}
	word := "all passed"
	if r.Failed > 0 {
		word = fmt.Sprintf("%d failed", r.Failed)
	}
	fmt.Fprintf(b, "%s, %s\n%d events in %.1f s on %d workers: %.2f seeds/s\n", sim.Counted(r.Seeds, "seed"), word, r.Events, r.Seconds, r.Parallel, r.SeedsPerSecond)
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

package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"bettensor/sim"
	"bettensor/sim/scenario"

	"github.com/urfave/cli/v2"
)

func ciCommand() *cli.Command {
	return &cli.Command{
		Name:      "ci",
		Usage:     "run a folder of scenarios as regression tests, a line each",
		ArgsUsage: "DIR",
		Description: "Runs every *.yaml in DIR and the folders in it: faults, attacks, incentives by their thresholds.\n" +
			"A scenario's own budget are its thresholds. Its work can be held to an earlier run's (--baseline), its wall\n" +
			"time to a limit (--budget); over either it fails with 5. Exits with the code of the worst, in the order 2, 4, 3, 5, 1.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "junit", Usage: "write JUnit XML to `FILE`"},
			&cli.StringFlag{Name: "markdown", Usage: "write a summary in Markdown to `FILE`"},
			&cli.BoolFlag{Name: "summary", Usage: "append the same to the file named by GITHUB_STEP_SUMMARY"},
			&cli.StringFlag{Name: "only", Usage: "run files whose path from DIR matches `PATTERN`, a regular expression"},
			&cli.StringFlag{Name: "seeds", Usage: "run each scenario with the seeds `A..B`, or N for 1..N, in place of its own"},
			&cli.IntFlag{Name: "parallel", Value: runtime.NumCPU(), Usage: "`N` scenarios at a time"},
			limitFlag(),
			&cli.DurationFlag{Name: "budget", Usage: "fail a scenario that takes longer than `D` of wall time; without, one over " + slow.String() + " is warned of, for machines differ"},
			&cli.StringFlag{Name: "baseline", Usage: "fail a scenario that has more events than in `FILE`, a former --json of the same folder and seeds"},
			&cli.Float64Flag{Name: "tolerance", Value: 0.2, Usage: "with --baseline, let it have `SHARE` more"},
			&cli.StringFlag{Name: "json", Usage: "write all of it as data to `FILE`"},
		},
		Action: ci,
	}
}

// slow is how long a scenario may take before ci warns of it: what the library
// promises of each of its own.
const slow = 20 * time.Second

func ci(c *cli.Context) error {
	if c.NArg() != 1 {
		return fail(exitBad, "expected one folder, got %d arguments, as in: %s scenarios --junit out.xml", c.NArg(), c.Command.HelpName)
	}
	if c.Int("parallel") < 1 {
		return fail(exitBad, "--parallel: expected at least 1, got %d", c.Int("parallel"))
	}
	if c.Duration("budget") < 0 {
		return fail(exitBad, "--budget: expected a time from 0, got %s", c.Duration("budget"))
	}
	tolerance := c.Float64("tolerance")
	if c.IsSet("tolerance") && c.String("baseline") == "" || !(tolerance >= 0 && tolerance <= 1000) {
		return fail(exitBad, "--tolerance: expected 0 to 1000, with --baseline FILE; got %g", tolerance)
	}
	t := &suite{c: c, budget: c.Duration("budget")}
	if path := c.String("baseline"); path != "" {
		data, err := readFile(path, maxBaselineBytes)
		if err != nil {
			return err
		}
		t.baseline = &sim.Folder{}
		if err := json.Unmarshal(data, t.baseline); err != nil || t.baseline.Cases == nil {
			return fail(exitBad, "--baseline %s: expected what sim ci --json has written: %w", path, cmp.Or(err, errors.New("no cases in it")))
		}
		t.tolerance = tolerance
	}
	if text := c.String("seeds"); text != "" {
		var err error
		if t.from, t.to, err = seedRange(text); err != nil {
			return err
		}
		t.seeded = true
	}
	files, err := scenarioFiles(c.Args().First(), c.String("only"))
	if err != nil {
		return err
	}
	tuneHeap()
	var outputs closers
	defer outputs.abandon()
	writers := map[string]io.Writer{}
	for _, name := range []string{"junit", "markdown", "json"} {
		if path := c.String(name); path != "" {
			if writers[name], err = outputs.create(path); err != nil {
				return err
			}
		}
	}
	summary := os.Getenv("GITHUB_STEP_SUMMARY")
	if c.Bool("summary") && summary == "" {
		return fail(exitBad, "--summary: GITHUB_STEP_SUMMARY names no file; use --markdown FILE")
	}
	cases, printed := t.run(c.Context, files, c.Int("parallel"))
	stopped, ran := error(nil), 0
	for i := range cases {
		if !cases[i].NotRun {
			ran++
		}
	}
	if ran < len(files) { // what was done is told all the same
		stopped = fmt.Errorf("stopped after %d of %d scenarios", ran, len(files))
	}
	const title = "sim ci"
	if w := writers["junit"]; w != nil {
		if err := sim.WriteJUnit(w, title, cases); err != nil {
			return fail(exitBad, "%w", err)
		}
	}
	if w := writers["markdown"]; w != nil {
		if err := sim.WriteMarkdown(w, title, cases); err != nil {
			return fail(exitBad, "write the summary: %w", err)
		}
	}
	if w := writers["json"]; w != nil {
		if err := encodeJSON(w, &sim.Folder{Revision: c.App.Version, Cases: cases}); err != nil {
			return err
		}
	}
	if c.Bool("summary") {
		if err := appendSummary(summary, title, cases); err != nil {
			return fail(exitBad, "--summary: %w", err)
		}
	}
	if err := outputs.close(); err != nil {
		return err
	}
	worst, failed := sim.ExitPass, 0
	for i := range cases {
		worst = sim.WorstExit(worst, cases[i].Exit())
		if len(cases[i].Failures) > 0 {
			failed++
		}
	}
	if failed > 0 {
		return &exitError{worst, errors.Join(stopped, fmt.Errorf("%d of %d scenarios failed", failed, ran), printed)}
	}
	if stopped != nil {
		return &exitError{exitBad, errors.Join(stopped, printed)}
	}
	_, err = fmt.Fprintf(c.App.Writer, "%s passed\n", sim.Counted(len(cases), "scenario"))
	return lost(errors.Join(printed, err))
}

// appendSummary adds a summary to a file that others write too.
func appendSummary(path, title string, cases []sim.Case) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(sim.WriteMarkdown(f, title, cases), f.Close())
}

// scenarioFiles are the scenarios of a folder and the folders in it, in order of
// their paths.
func scenarioFiles(dir, only string) ([]string, error) {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return nil, fail(exitBad, "--only: %w", err)
	}
	var files []string
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		near, _ := filepath.Rel(dir, path) // within dir, because the walk began there
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".yaml" && pattern.MatchString(filepath.ToSlash(near)) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return nil, fail(exitBad, "%w", err)
	}
	if len(files) == 0 {
		return nil, fail(exitBad, "no scenarios (*.yaml) in %s match %q", dir, only)
	}
	return files, nil
}

// suite runs scenarios as tests.
type suite struct {
	c        *cli.Context
	budget   time.Duration // of wall time; 0 for none
	baseline *sim.Folder   // nil for none
	seeded   bool
	from, to uint64

	tolerance float64      // of the baseline
	alone     sync.RWMutex // held for writing while a benchmark measures
}

// run runs files side by side and prints a line of each in their order, as soon
// as it and those before it are done.
func (t *suite) run(ctx context.Context, files []string, workers int) (cases []sim.Case, printed error) {
	done := make([]*sim.Case, len(files))
	next := 0
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range min(workers, len(files)) {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(files) {
					return
				}
				x := fileCase(files[i])
				if x.NotRun = true; ctx.Err() == nil {
					x = t.one(files[i])
				}
				mu.Lock()
				done[i] = &x
				for len(cases) < len(files) && done[len(cases)] != nil {
					x := done[len(cases)]
					cases = append(cases, *x)
					printed = errors.Join(printed, t.print(x))
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return cases, printed
}

// print prints a case: its line, and of a failure what it says and how to see it
// again.
func (t *suite) print(x *sim.Case) error {
	var b strings.Builder
	fmt.Fprintln(&b, x.Line())
	for _, f := range x.Failures {
		fmt.Fprintf(&b, "      %s: %s\n", f.Signature(), firstLine(f.First))
	}
	if len(x.Failures) > 0 && x.Again != "" {
		fmt.Fprintf(&b, "      again: %s\n", x.Again)
	}
	_, err := io.WriteString(t.c.App.Writer, b.String())
	return err
}

// fileCase is a file's case before it has run.
func fileCase(path string) sim.Case {
	return sim.Case{Suite: filepath.ToSlash(filepath.Dir(path)), Name: strings.TrimSuffix(filepath.Base(path), ".yaml"), File: path}
}

// one runs one file.
func (t *suite) one(path string) (x sim.Case) {
	began := time.Now()
	x = fileCase(path)
	defer func() {
		took := time.Since(began)
		x.Seconds = took.Seconds()
		switch over := fmt.Sprintf("took %.1f s of %s", took.Seconds(), cmp.Or(t.budget, slow)); {
		case x.NotRun:
		case t.budget > 0 && took > t.budget:
			x.Failures = append(x.Failures, sim.Failure{Exit: sim.ExitThreshold, Kind: "budget", By: "wall-time", First: over})
		case t.budget == 0 && took > slow:
			x.Warnings = append(x.Warnings, over)
		}
		if t.baseline != nil {
			one := []sim.Case{x}
			sim.Overspent(one, t.baseline, t.tolerance)
			x = one[0]
		}
	}()
	if isBenchmark(path) {
		t.alone.Lock() // what it measures is this process's
		defer t.alone.Unlock()
		return benchCase(t.c, path)
	}
	t.alone.RLock()
	defer t.alone.RUnlock()
	l, err := loadFile(t.c, path)
	if err != nil {
		x.Failures = []sim.Failure{{Exit: exitBad, Kind: "error", By: "scenario", First: err.Error()}}
		return x
	}
	x.Again = l.again()
	if t.seeded {
		t.sweep(l, &x)
		return x
	}
	res, err := l.once(l.options(t.c))
	if stopped(t.c.Context, err) {
		return interrupted(x)
	}
	if err != nil {
		x.Failures = []sim.Failure{broken(err)}
		return x
	}
	x.Failures, x.Note = res.Failures(), fmt.Sprintf("seed %d, %d events", res.Seed, res.Events)
	x.Seeds, x.Events = fmt.Sprint(res.Seed), res.Events
	warn(&x, sim.IdleFaults([][]sim.FaultResult{res.Faults}))
	return x
}

// sweep runs a scenario with the seeds of the command line, one after the other:
// other scenarios run beside it.
func (t *suite) sweep(l *loaded, x *sim.Case) {
	s := &seeds{l: l, opt: l.options(t.c), from: t.from, n: int(t.to - t.from + 1), workers: 1, quiet: true}
	runs, err := s.run(t.c.Context)
	if err != nil && !slices.ContainsFunc(runs, func(o sim.Outcome) bool { return len(o.Failures) > 0 }) {
		*x = interrupted(*x)
		return
	}
	var r sim.SweepResult
	r.Add(sim.SweptScenario{File: l.path, Scenario: l.plan.Scenario.Name, From: t.from, To: t.to}, runs, "")
	for _, g := range r.Groups() {
		f := g.Seeds[0].Failure
		f.First = fmt.Sprintf("%d of %d seeds, first %d: %s", len(g.Seeds), r.Seeds, g.Seeds[0].Seed, f.First)
		x.Failures, x.Again = append(x.Failures, f), r.Groups()[0].Seeds[0].Replay
	}
	if err != nil { // what failed before is told all the same
		x.Note = fmt.Sprintf("interrupted after %d of %d seeds", len(runs), s.n)
		return
	}
	for _, p := range r.Missed() {
		x.Failures = append(x.Failures, sim.Failure{Exit: sim.ExitThreshold, Kind: "sometimes", By: p.Name, First: fmt.Sprintf("no seed of %d to %d reached it", t.from, t.to)})
	}
	x.Note = fmt.Sprintf("seeds %d to %d, %d events", t.from, t.to, r.Events)
	x.Seeds, x.Events = fmt.Sprintf("%d..%d", t.from, t.to), r.Events
	warn(x, r.Scenarios[0].IdleFaults)
}

// warn warns of faults that did nothing: what they are to test is not tested.
func warn(x *sim.Case, faults []string) {
	if len(faults) > 0 {
		x.Warnings = append(x.Warnings, idle(faults))
	}
}

// interrupted is a case whose run was stopped under way: it has neither passed
// nor failed.
func interrupted(x sim.Case) sim.Case {
	x.NotRun, x.Note = true, "interrupted"
	return x
}

// maxBaselineBytes bounds a file of figures: thousands of scenarios.
const maxBaselineBytes = 16 << 20

// isBenchmark says that a file is one for `bench run`.
func isBenchmark(path string) bool {
	data, err := readFile(path, scenario.MaxFileBytes)
	if err != nil {
		return false // told when it is loaded
	}
	d, err := scenario.NewDraft(data)
	return err == nil && len(d.Keys("load")) > 0
}

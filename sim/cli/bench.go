package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bettensor/sim"
	"bettensor/sim/bench"
	"bettensor/sim/scenario"

	"github.com/urfave/cli/v2"
)

// benchDir is where the project's own benchmarks are.
const benchDir = "scenarios/bench"

// maxReportBytes bounds a report that is read: thousands of benchmarks.
const maxReportBytes = 64 << 20

// Bench is the command `bench`: how fast the parts are on this machine.
func Bench() *cli.Command {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "json", Usage: "write the figures as data to `FILE`"},
		&cli.StringFlag{Name: "junit", Usage: "write one case for each benchmark to `FILE`"},
		&cli.StringFlag{Name: "baseline", Usage: "compare with `FILE`, a former --json, and exit 5 on a regression"},
		&cli.StringFlag{Name: "dir", Usage: "keep stores below `DIR`, on the disk that is meant (default: the temporary directory)"},
		&cli.StringSliceFlag{Name: "set", Usage: "set a key of every file, as in `load.for=1s` (repeatable)"},
	}
	return &cli.Command{
		Name:  "bench",
		Usage: "measure the parts on this machine: time and allocations per operation, latency, and ratios that carry over",
		Subcommands: []*cli.Command{
			{Name: "run", Usage: "measure what files with load say", ArgsUsage: "FILE…", Flags: flags, Action: func(c *cli.Context) error {
				if c.NArg() == 0 {
					return fail(exitBad, "expected a file with load, as in: %s %s/bus.yaml", c.Command.HelpName, benchDir)
				}
				return runBenches(c, c.Args().Slice())
			}},
			{Name: "all", Usage: "measure every file of a directory", ArgsUsage: "[DIR]", Flags: flags, Action: func(c *cli.Context) error {
				dir := cmp.Or(c.Args().First(), benchDir)
				if c.NArg() > 1 {
					return fail(exitBad, "expected one directory, got %d arguments", c.NArg())
				}
				files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
				if err == nil && len(files) == 0 {
					err = fmt.Errorf("no *.yaml in %s; name the directory, as in: %s scenarios/bench", dir, c.Command.HelpName)
				}
				if err != nil {
					return fail(exitBad, "%w", err)
				}
				return runBenches(c, files)
			}},
			{Name: "compare", Usage: "judge two reports by ratio, and exit 5 on a regression", ArgsUsage: "OLD NEW", Flags: []cli.Flag{
				&cli.StringFlag{Name: "json", Usage: "write the changes as data to `FILE`"},
			}, Action: compareBenches},
		},
	}
}

// readBench reads a file that must have load.
func readBench(c *cli.Context, path string) (*scenario.Scenario, error) {
	data, err := readFile(path, scenario.MaxFileBytes)
	if err != nil {
		return nil, err
	}
	s, problems := scenario.Parse(path, data, c.StringSlice("set"), sim.ScenarioOption())
	if len(problems) > 0 {
		return nil, &exitError{exitBad, problems}
	}
	if s.Load.What == "" {
		return nil, fail(exitBad, "%s has no load, and is no benchmark; run it with: %s sim run %s", path, program(), path)
	}
	return s, nil
}

// runBench measures one file.
func runBench(c *cli.Context, path string) (*bench.Benchmark, error) {
	s, err := readBench(c, path)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(c.String("dir"), "bettensor-bench-")
	if err != nil {
		return nil, fail(exitBad, "a directory for stores: %w", err)
	}
	defer os.RemoveAll(dir)
	b, err := bench.Run(c.Context, s, bench.Options{Dir: dir})
	if err != nil {
		return nil, fail(exitBad, "%s: %w", path, err)
	}
	b.File = path
	return b, nil
}

// benchCase measures one file as a case of a folder of scenarios.
func benchCase(c *cli.Context, path string) sim.Case {
	began := time.Now()
	b, err := runBench(c, path)
	k := sim.Case{Suite: filepath.ToSlash(filepath.Dir(path)), Name: strings.TrimSuffix(filepath.Base(path), ".yaml"), File: path, Seconds: time.Since(began).Seconds(),
		Again: fmt.Sprintf("%s bench run %s", program(), path)}
	if stopped(c.Context, err) {
		return interrupted(k)
	}
	if err != nil {
		k.Failures = []sim.Failure{{Exit: exitBad, Kind: "error", By: "bench", First: err.Error()}}
		return k
	}
	return caseOf(k, b)
}

// caseOf fills a case from a benchmark.
func caseOf(k sim.Case, b *bench.Benchmark) sim.Case {
	k.Name, k.Note = b.Name, b.Note()
	for _, t := range b.Thresholds {
		if !t.OK {
			k.Failures = append(k.Failures, sim.Failure{Exit: sim.ExitThreshold, Kind: "threshold", By: t.Name, First: t.String()})
		}
	}
	return k
}

// runBenches measures files one after the other and writes what was asked for.
func runBenches(c *cli.Context, paths []string) error {
	tuneHeap()
	var baseline *bench.Report
	if path := c.String("baseline"); path != "" {
		var err error
		if baseline, err = readReport(path); err != nil {
			return err
		}
	}
	for _, path := range paths { // mistakes show before minutes are spent
		if _, err := readBench(c, path); err != nil {
			return err
		}
	}
	var outputs closers
	defer outputs.abandon()
	asJSON, err := outputs.optional(c.String("json"))
	if err != nil {
		return err
	}
	asJUnit, err := outputs.optional(c.String("junit"))
	if err != nil {
		return err
	}
	report := bench.NewReport(c.App.Version)
	if _, err := fmt.Fprintf(c.App.Writer, "%s, revision %s\n", report.Machine, cmp.Or(report.Revision, "unknown")); err != nil {
		return lost(err)
	}
	var cases []sim.Case
	for _, path := range paths {
		b, err := runBench(c, path)
		if err != nil {
			return err
		}
		report.Benchmarks = append(report.Benchmarks, b)
		cases = append(cases, caseOf(sim.Case{Suite: filepath.ToSlash(filepath.Dir(path)), File: path, Seconds: b.Seconds, Again: fmt.Sprintf("%s bench run %s", program(), path)}, b))
		fmt.Fprintln(c.App.Writer)
		if err := b.Write(c.App.Writer); err != nil {
			return lost(err)
		}
	}
	if asJSON != nil {
		if err := encodeJSON(asJSON, report); err != nil {
			return err
		}
	}
	if asJUnit != nil {
		if err := sim.WriteJUnit(asJUnit, "bench", cases); err != nil {
			return fail(exitBad, "%w", err)
		}
	}
	if err := outputs.close(); err != nil {
		return err
	}
	var failed []string
	for i := range cases {
		if cases[i].Exit() != sim.ExitPass {
			failed = append(failed, cases[i].Name)
		}
	}
	if baseline != nil {
		fmt.Fprintln(c.App.Writer)
		if err := showChanges(c, bench.Compare(baseline, report)); err != nil {
			return err
		}
	}
	if len(failed) > 0 {
		return fail(sim.ExitThreshold, "thresholds are broken: %v", failed)
	}
	return nil
}

func compareBenches(c *cli.Context) error {
	if c.NArg() != 2 {
		return fail(exitBad, "expected two reports that bench run --json wrote, as in: %s old.json new.json", c.Command.HelpName)
	}
	before, err := readReport(c.Args().Get(0))
	if err != nil {
		return err
	}
	after, err := readReport(c.Args().Get(1))
	if err != nil {
		return err
	}
	changes := bench.Compare(before, after)
	var outputs closers
	defer outputs.abandon()
	w, err := outputs.optional(c.String("json"))
	if err != nil {
		return err
	}
	if w != nil {
		if err := encodeJSON(w, changes); err != nil {
			return err
		}
	}
	if err := outputs.close(); err != nil {
		return err
	}
	return showChanges(c, changes)
}

// showChanges prints changes; a regression is an error.
func showChanges(c *cli.Context, changes []bench.Change) error {
	if err := bench.WriteChanges(c.App.Writer, changes); err != nil {
		return lost(err)
	}
	if i := slices.IndexFunc(changes, func(x bench.Change) bool { return x.Regression() }); i >= 0 {
		return fail(sim.ExitThreshold, "regression of %s, %s: %s", changes[i].Benchmark, changes[i].Load, changes[i].Verdict)
	}
	return nil
}

func readReport(path string) (*bench.Report, error) {
	data, err := readFile(path, maxReportBytes)
	if err != nil {
		return nil, err
	}
	r := &bench.Report{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fail(exitBad, "%s is no report of bench run --json: %w", path, err)
	}
	if err := r.Check(); err != nil {
		return nil, fail(exitBad, "%s: %w", path, err)
	}
	return r, nil
}

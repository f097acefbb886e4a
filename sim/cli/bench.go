package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"text/tabwriter"
	"time"

	"bettensor/sim"
	"bettensor/sim/bench"
	"bettensor/sim/scenario"

	"github.com/urfave/cli/v2"
)

// Bench is the command `bench`: how fast the parts are on this machine.
func Bench() *cli.Command {
	flags := []cli.Flag{&cli.StringFlag{Name: "json", Usage: "write the figures as data to `FILE`"}}
	one := func(name, usage string, measure func() ([]bench.Result, error)) *cli.Command {
		return &cli.Command{Name: name, Usage: usage, Flags: flags, Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return fail(exitBad, "unexpected argument %q", c.Args().First())
			}
			results, err := measure()
			if err != nil {
				return fail(exitBad, "bench %s: %w", name, err)
			}
			return showBench(c, results)
		}}
	}
	return &cli.Command{
		Name:  "bench",
		Usage: "measure the parts on this machine: time and allocations per operation, and ratios that carry over",
		Subcommands: []*cli.Command{
			one("bus", "publish to handlers", bench.Bus),
			one("sched", "timers, inboxes, ports", bench.Sched),
			one("score", "a day's components, a round", bench.Score),
			one("store", "durable rows in a temporary directory", benchStore),
			ingest(flags),
			one("sim", "the whole simulator: one day of the load scenario's subnet", benchSim),
		},
	}
}

func benchStore() ([]bench.Result, error) {
	dir, err := os.MkdirTemp("", "bettensor-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	return bench.Store(dir)
}

// simLoad is a full subnet for a day, written out so that the command needs no
// file: scenarios/load.yaml is the same for a week.
const simLoad = `name: bench
duration: 1d
validators: [{name: v0}]
miners: [{kind: busy, count: 255, parameters: {picks: 20}}]
node: {heartbeat: 1m, metagraph_interval: 1h, status_interval: 1h}
`

// benchRepeats of the whole simulator; the median is told.
const benchRepeats = 3

func benchSim() ([]bench.Result, error) {
	tuneHeap()
	s, problems := scenario.Parse("bench", []byte(simLoad), nil, sim.ScenarioOption())
	if len(problems) > 0 {
		return nil, problems
	}
	plan, _, err := sim.NewPlan(s, nil)
	if err != nil {
		return nil, err
	}
	runs := make([]bench.Result, benchRepeats)
	for i := range runs {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		r, err := plan.Run(sim.RunOptions{})
		if err != nil {
			return nil, err
		}
		took := time.Since(began)
		runtime.ReadMemStats(&after)
		n := float64(r.Events)
		runs[i] = bench.Result{Name: "sim: 256 neurons, one day, events", N: int(r.Events), NsPerOp: float64(took.Nanoseconds()) / n,
			AllocsPerOp: float64(after.Mallocs-before.Mallocs) / n, BytesPerOp: float64(after.TotalAlloc-before.TotalAlloc) / n,
			PerSecond: n / took.Seconds(), Ratio: r.VirtualSeconds / took.Seconds(), Against: "real time (times faster)"}
	}
	return []bench.Result{median(runs)}, nil
}

func median(runs []bench.Result) bench.Result {
	for i := range runs { // three values: sorting them would be longer
		less := 0
		for k := range runs {
			if runs[k].NsPerOp < runs[i].NsPerOp || runs[k].NsPerOp == runs[i].NsPerOp && k < i {
				less++
			}
		}
		if less == len(runs)/2 {
			return runs[i]
		}
	}
	return runs[0]
}

func showBench(c *cli.Context, results []bench.Result) error {
	out := bufio.NewWriter(c.App.Writer) // keeps the first error, so that only Flush is asked
	fmt.Fprintf(out, "%s, %s/%s, %d processors\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0))
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "what\tns/op\tB/op\tallocs/op\tper second\tratio")
	for _, r := range results {
		ratio := ""
		if r.Against != "" {
			ratio = fmt.Sprintf("%.2f × %s", r.Ratio, r.Against)
		}
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.2f\t%.0f\t%s\n", r.Name, r.NsPerOp, r.BytesPerOp, r.AllocsPerOp, r.PerSecond, ratio)
	}
	t.Flush()
	if err := out.Flush(); err != nil {
		return lost(err)
	}
	path := c.String("json")
	if path == "" {
		return nil
	}
	var outputs closers
	defer outputs.abandon()
	var w io.Writer
	w, err := outputs.create(path)
	if err != nil {
		return err
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(results); err != nil {
		return fail(exitBad, "write the figures: %w", err)
	}
	return outputs.close()
}

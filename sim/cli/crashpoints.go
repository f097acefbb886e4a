package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"bettensor/sim"
	"bettensor/sim/crash"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

func crashpointsCommand() *cli.Command {
	return &cli.Command{
		Name:      "crashpoints",
		Usage:     "crash a scenario's first validator before every operation of its store's file system, and recover",
		ArgsUsage: "SCENARIO.yaml",
		Description: "Each image of the disk must open with all that had been acknowledged, nothing but what had been submitted,\n" +
			"in the order of the batches, with budgets that are those of the predictions; and a validator must start on it.\n" +
			"Pebble works on goroutines of its own: from run to run a point may move by a few. --keep leaves the images that failed.",
		Flags: append(seededFlags(),
			&cli.StringFlag{Name: "unsynced", Value: "0,50,100", Usage: "`PERCENTS` of what was not synced that survive"},
			&cli.IntFlag{Name: "limit", Usage: "try `N` points, evenly spread; 0 for all"},
			&cli.IntFlag{Name: "point", Usage: "try point `N` only, with several draws of what survives"},
			&cli.IntFlag{Name: "flips", Value: 200, Usage: "flip a bit of what was synced in about `N` images, and cut a file off in as many"},
			&cli.IntFlag{Name: "errors", Usage: "fail `N` operations, in two runs each: an I/O error, and a disk that is full"},
			&cli.IntFlag{Name: "parallel", Value: runtime.NumCPU(), Usage: "recover `N` images at a time"},
			&cli.StringFlag{Name: "keep", Usage: "leave the images that failed in `DIR`"},
			&cli.StringFlag{Name: "json", Usage: "write the report as data to `FILE`"},
			&cli.BoolFlag{Name: "quiet", Usage: "no progress"},
		),
		Action: crashpoints,
	}
}

// percents reads a list such as 0,50,100.
func percents(s string) (out []int, err error) {
	for p := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(p))
		if err != nil || n < 0 || n > 100 {
			return nil, fail(exitBad, "--unsynced %q: expected percents from 0 to 100, as in 0,50,100", s)
		}
		out = append(out, n)
	}
	return out, nil
}

func crashpoints(c *cli.Context) error {
	l, err := load(c)
	if err != nil {
		return err
	}
	o := crash.Options{Limit: c.Int("limit"), Point: c.Int("point"), Flips: c.Int("flips"), Errors: c.Int("errors"), Workers: c.Int("parallel"),
		Keep: c.String("keep"), Wall: time.Now, Stopped: halt(c.Context), Prepare: plant}
	for _, name := range []string{"limit", "point", "flips", "errors"} {
		if n := c.Int(name); n < 0 {
			return fail(exitBad, "--%s: expected at least 0, got %d", name, n)
		}
	}
	if o.Workers < 1 {
		return fail(exitBad, "--parallel: expected at least 1, got %d", o.Workers)
	}
	if o.Unsynced, err = percents(c.String("unsynced")); err != nil {
		return err
	}
	var outputs closers
	defer outputs.abandon()
	var data io.Writer
	if path := c.String("json"); path != "" {
		if data, err = outputs.create(path); err != nil {
			return err
		}
	}
	if f, ok := c.App.ErrWriter.(*os.File); ok && !c.Bool("quiet") && term.IsTerminal(int(f.Fd())) {
		began := time.Now()
		o.Progress = func(n int) {
			if n%100 == 0 {
				fmt.Fprintf(f, "\r%d images, %.0f/s ", n, float64(n)/max(time.Since(began).Seconds(), 1e-9))
			}
		}
		defer fmt.Fprint(f, "\r\033[K")
	}
	tuneHeap()
	r, err := crash.Points(l.plan, o)
	if err != nil {
		return fail(exitBad, "%s: %w", l.path, err)
	}
	if data != nil {
		e := json.NewEncoder(data)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			return fail(exitBad, "write the report: %w", err)
		}
	}
	printed := r.Write(c.App.Writer, func(f *crash.Failure) string {
		again := strings.Replace(l.plan.Command(program(), l.path, l.games, l.sets), " sim run ", " sim crashpoints ", 1)
		return fmt.Sprintf("%s --point %d --unsynced %d --keep DIR", again, f.Point, f.Percent)
	})
	if err := outputs.close(); err != nil {
		return err
	}
	if r.Failed > 0 || r.Violations > 0 {
		return fail(sim.ExitSafety, "%d of %d images and runs failed, %d violations of invariants", r.Failed, r.Images+r.Damaged+r.Errors.Runs, r.Violations)
	}
	return lost(printed)
}

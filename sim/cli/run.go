package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"bettensor/sim"
	"bettensor/sim/report"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

func runCommand() *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "run a scenario and print who earned what",
		ArgsUsage: "SCENARIO.yaml",
		Flags: append(seededFlags(),
			&cli.StringFlag{Name: "json", Usage: "write the result as data to `FILE`"},
			&cli.StringFlag{Name: "junit", Usage: "write the verdict as JUnit XML to `FILE`"},
			&cli.StringFlag{Name: "report", Usage: "write a page of the run, HTML that needs nothing else, to `FILE`"},
			&cli.StringFlag{Name: "trace", Usage: "write the trace, JSON lines, to `FILE`"},
			&cli.StringFlag{Name: "store", Usage: "leave the first validator's store in `DIR`, which must not exist"},
			&cli.StringFlag{Name: "until", Usage: "stop at `EVENT#N`, as in weights_set#2, or after so many events, and print each node's state"},
			plantFlag(),
			limitFlag(),
			&cli.BoolFlag{Name: "check", Usage: "run twice and compare the traces line by line"},
			&cli.BoolFlag{Name: "quiet", Usage: "print the last lines only, no progress and no tables"},
			&cli.IntFlag{Name: "rows", Usage: "print at most `N` miners, 0 for all"},
		),
		Action: run,
	}
}

func run(c *cli.Context) error {
	l, err := load(c)
	if err != nil {
		return err
	}
	return l.action(c)
}

// action is `sim run` with a scenario that was read.
func (l *loaded) action(c *cli.Context) error {
	if c.Int("rows") < 0 {
		return fail(exitBad, "--rows: expected at least 0, got %d", c.Int("rows"))
	}
	opt := l.options(c)
	opt.Wall = time.Now
	if until := c.String("until"); until != "" {
		var err error
		if opt.Until, err = sim.ParseMoment(until); err != nil {
			return fail(exitBad, "--until: %w", err)
		}
		if c.Bool("check") {
			return fail(exitBad, "--until goes with one run, not with --check")
		}
	}
	tuneHeap()
	out := c.App.Writer
	var outputs closers
	defer outputs.abandon()
	var err error
	if path := c.String("trace"); path != "" {
		if opt.Trace, err = outputs.create(path); err != nil {
			return err
		}
	}
	var saved error
	states := []sim.NodeState(nil)
	opt.Done = func(w *sim.World) error {
		if opt.Until.Nth > 0 {
			states = w.States()
		}
		return nil
	}
	if dir := c.String("store"); dir != "" {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			return fail(exitBad, "--store %s: exists already; name a directory that does not", dir)
		}
		if c.Bool("check") {
			return fail(exitBad, "--store goes with one run, not with --check")
		}
		look := opt.Done
		opt.Done = func(w *sim.World) error {
			saved = w.Hosts[0].SaveStore(dir)
			return look(w) // the run has its result all the same
		}
	}
	var result, junit, page io.Writer
	if path := c.String("json"); path != "" {
		if result, err = outputs.create(path); err != nil {
			return err
		}
	}
	if path := c.String("junit"); path != "" {
		if junit, err = outputs.create(path); err != nil {
			return err
		}
	}
	if path := c.String("report"); path != "" {
		opt.Series = report.Samples
		if page, err = outputs.create(path); err != nil {
			return err
		}
	}
	var bar *bar
	if f, ok := c.App.ErrWriter.(*os.File); ok && !c.Bool("quiet") && term.IsTerminal(int(f.Fd())) {
		bar = newBar(f)
		opt.Progress = bar.show
	}
	began := time.Now()
	var res *sim.Result
	if c.Bool("check") {
		res, err = l.twice(c.Context, opt, out)
	} else {
		res, err = l.once(opt)
	}
	if bar != nil {
		bar.clear()
	}
	if err != nil {
		return outputs.keep(opt.Trace, err)
	}
	took := time.Since(began)
	if opt.Until.Nth > 0 && res.Stopped == "" {
		return fail(exitBad, "--until %s: the run ended at %s without it", opt.Until, res.End.Format(time.DateTime))
	}
	var printed error
	switch {
	case opt.Until.Nth > 0 && res.Unended == "":
		printed = sim.WriteStates(out, res, states)
	case c.Bool("quiet"):
		printed = res.WriteSummary(out)
	default:
		printed = res.WriteReport(out, c.Int("rows"))
	}
	if result != nil {
		e := json.NewEncoder(result)
		e.SetIndent("", "  ")
		if err := e.Encode(struct {
			*sim.Result
			Nodes []sim.NodeState `json:"nodes,omitempty"`
		}{res, states}); err != nil {
			return fail(exitBad, "write the result: %w", err)
		}
	}
	if junit != nil {
		if err := sim.WriteJUnit(junit, "sim run", []sim.Case{l.caseOf(res, took)}); err != nil {
			return fail(exitBad, "%w", err)
		}
	}
	failures := res.Failures()
	failed := len(failures) > 0 && (opt.Until.Nth == 0 || res.Unended != "")
	var led *report.Led
	var unexplained error
	if failed {
		led, unexplained = l.led(opt, res)
	}
	if page != nil {
		if err := report.Write(page, &report.Run{Result: res, About: l.plan.Scenario.About, Revision: opt.Revision, Led: led}); err != nil {
			return fail(exitBad, "%w", err)
		}
	}
	if err := outputs.close(); err != nil {
		return err
	}
	if failed {
		if unexplained == nil {
			unexplained = explain(out, opt.Revision, res, led)
		}
		return errors.Join(unexplained, &exitError{res.Exit(), verdict(failures, res.Replay)})
	}
	if saved != nil {
		return fail(exitBad, "--store: %w", saved)
	}
	if bug := l.plan.Scenario.Plant; bug != "" && printed == nil && opt.Until.Nth == 0 {
		_, printed = fmt.Fprintf(out, "planted %s: not found here\n", bug)
	}
	return lost(printed) // told last: files were asked for, and a failure is the worse news
}

// verdict puts all that a run failed by into one error, a line each.
func verdict(failures []sim.Failure, again string) error {
	var b strings.Builder
	for _, f := range failures {
		fmt.Fprintf(&b, "%s: %s\n", f.Signature(), f.First)
	}
	return fmt.Errorf("%srun it again with: %s", b.String(), again)
}

// options are those of every run of a command.
func (l *loaded) options(c *cli.Context) sim.RunOptions {
	o := sim.RunOptions{Stopped: halt(c.Context), Prepare: plant, Revision: c.App.Version, Games: l.gameFiles(), Limit: sim.DefaultLimit}
	if l.limit != nil {
		o.Limit = *l.limit
	}
	return o
}

// caseOf is a run as a line of a report.
func (l *loaded) caseOf(r *sim.Result, took time.Duration) sim.Case {
	dir := filepath.ToSlash(filepath.Dir(l.path))
	return sim.Case{Suite: dir, Name: r.Scenario, File: l.path, Seconds: took.Seconds(), Failures: r.Failures(), Again: r.Replay,
		Note: fmt.Sprintf("seed %d, %d events", r.Seed, r.Events)}
}

// explainLines is how many lines of the trace are printed of a run that failed.
const explainLines = 20

// led runs a scenario that failed again, up to the first violation where it broke
// an invariant, and tells what led to it.
func (l *loaded) led(opt sim.RunOptions, failed *sim.Result) (*report.Led, error) {
	safety := failed.Exit() == sim.ExitSafety
	if failed.Unended != "" && !safety { // it kept its lines: another run would take as long
		return &report.Led{Failure: failed.Failures()[0], At: failed.End, Event: failed.Events, Lines: failed.Last}, nil
	}
	res, err := l.once(sim.RunOptions{Stopped: opt.Stopped, Prepare: opt.Prepare, Limit: opt.Limit, Last: report.Lines, FailFast: safety})
	if err != nil {
		return nil, err
	}
	d := &report.Led{Failure: failed.Failures()[0], At: res.End, Event: res.Events, Safety: safety, Lines: res.Last}
	if now := res.Failures(); len(now) > 0 { // the first in time, which need not be the first in order
		d.Failure = now[0]
	}
	if safety && res.Stopped != "" { // else it took the audit at the end
		d.There = fmt.Sprintf("%s --until %d", failed.Replay, res.Events)
	}
	if safety {
		d.Smaller = strings.Replace(failed.Replay, " sim run ", " sim shrink ", 1) + " -o smaller.yaml"
	}
	return d, nil
}

// explain prints what led to a failure.
func explain(out io.Writer, revision string, failed *sim.Result, d *report.Led) error {
	if revision == "" {
		revision = "unknown"
	}
	lines := d.Lines[max(0, len(d.Lines)-explainLines):]
	b := &bytes.Buffer{}
	fmt.Fprintf(b, "\nseed %d, revision %s\n", failed.Seed, revision)
	fmt.Fprintf(b, "FAILED %s\n  %s\n", d.Failure.Signature(), d.Failure.First)
	switch {
	case len(lines) == 0:
		fmt.Fprintln(b, "no line of the trace shortly before it")
	case d.Safety:
		fmt.Fprintf(b, "the last %d lines of the trace before it (event %d, %s):\n", len(lines), d.Event, d.At.Format(time.DateTime))
	default:
		fmt.Fprintf(b, "the last %d lines of the trace:\n", len(lines))
	}
	for _, line := range lines {
		fmt.Fprintf(b, "  %s\n", line)
	}
	fmt.Fprintf(b, "again:   %s\n", failed.Replay)
	if d.There != "" {
		fmt.Fprintf(b, "there:   %s\n", d.There)
	}
	if d.Smaller != "" {
		fmt.Fprintf(b, "smaller: %s\n", d.Smaller)
	}
	_, err := out.Write(b.Bytes())
	return lost(err)
}

// interrupt is why a run ended that who started it has stopped.
type interrupt struct{}

func (interrupt) Error() string { return "interrupted" }

// Is has it be the context's own error as well.
func (interrupt) Is(target error) bool { return target == context.Canceled }

// halt asks whether a command has been stopped, for a run to ask now and then.
func halt(ctx context.Context) func() error {
	return func() error {
		if ctx.Err() != nil {
			return interrupt{}
		}
		return nil
	}
}

// program is how the program was called, for command lines to repeat: the name
// of its file, or `go run .` where that file is one that go run has made.
func program() string {
	if name := os.Args[0]; !strings.Contains(filepath.ToSlash(name), "/go-build") {
		return filepath.Base(name)
	}
	return "go run ."
}

// errPanic is a run in which the simulator itself gave up.
var errPanic = errors.New("the simulator panicked")

// once runs once. A panic is an error like another: it is told with the command
// line that repeats it.
func (l *loaded) once(opt sim.RunOptions) (res *sim.Result, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fail(exitBad, "%w: %v; run it again with: %s\n%s", errPanic, v, l.again(), debug.Stack())
		}
	}()
	if res, err = l.plan.Run(opt); err != nil {
		return nil, fail(exitBad, "%w", err)
	}
	res.Replay = l.again()
	return res, nil
}

// twice runs two worlds side by side, and compares their traces line by line as
// they are written. At the first difference both end, and it is printed.
func (l *loaded) twice(ctx context.Context, opt sim.RunOptions, out io.Writer) (*sim.Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var pipes [2]*io.PipeReader
	var results [2]*sim.Result
	var errs [2]error
	var wg sync.WaitGroup
	for i := range pipes {
		r, w := io.Pipe()
		pipes[i] = r
		o := opt
		o.Stopped = halt(ctx)
		o.Trace = w
		if i == 0 && opt.Trace != nil {
			o.Trace = io.MultiWriter(opt.Trace, w)
		}
		if i == 1 {
			o.Progress, o.Done, o.Series = nil, nil, 0
		}
		wg.Go(func() {
			results[i], errs[i] = l.once(o)
			w.CloseWithError(errs[i]) // nil is the end of the trace
		})
	}
	differ, err := sim.Diff(pipes[0], pipes[1], explainLines)
	if differ != nil && differ.Line == 0 { // a run that came to no end: its error says why
		differ = nil
	}
	if differ != nil || err != nil {
		cancel()
	}
	for _, p := range pipes {
		p.CloseWithError(context.Canceled) // nobody reads on
	}
	wg.Wait()
	if differ != nil {
		seed := l.plan.Scenario.Seed
		if err := differ.Write(out, "the first run", "the second run"); err != nil {
			return nil, lost(err)
		}
		return nil, fail(sim.ExitDivergence, "two runs of seed %d differ in line %d of their traces; run them again with: %s --check", seed, differ.Line, l.again())
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, fail(exitBad, "compare two runs: %w", err)
	}
	results[0].Checked = true
	return results[0], nil
}

// bar is the progress of a run on a terminal.
type bar struct {
	w     io.Writer
	began time.Time
	last  time.Time
}

// barEvery is how often the bar is drawn: often enough to look alive.
const barEvery = 100 * time.Millisecond

func newBar(w io.Writer) *bar { return &bar{w: w, began: time.Now()} }

func (b *bar) show(p sim.Progress) {
	now := time.Now()
	if now.Sub(b.last) < barEvery {
		return
	}
	b.last = now
	const width = 30
	full := int(p.Share * width)
	rate := float64(p.Events) / max(now.Sub(b.began).Seconds(), 1e-9)
	fmt.Fprintf(b.w, "\r[%s%s] %3.0f%%  %s  %.2f M events/s ", strings.Repeat("#", full), strings.Repeat(".", width-full), 100*p.Share, p.At.Format("2006-01-02 15:04"), rate/1e6)
}

func (b *bar) clear() { io.Copy(b.w, bytes.NewReader([]byte("\r\033[K"))) }

package cli

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"bettensor/sim"
	"bettensor/sim/market"
	"bettensor/sim/scenario"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// maxGamesBytes bounds a file of games: a hundred seasons of a league.
const maxGamesBytes = 64 << 20

func scenarioFlags() []cli.Flag {
	return []cli.Flag{
		&cli.Uint64Flag{Name: "seed", Usage: "`N` in place of the scenario's seed"},
		&cli.StringSliceFlag{Name: "games", Usage: "play the matches of `FILE` (CSV; repeat for several leagues)"},
		&cli.StringSliceFlag{Name: "set", Usage: "set a key of the scenario, as in `miners.skilled.count=16` (repeatable)"},
	}
}

func runCommand() *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "run a scenario and print who earned what",
		ArgsUsage: "SCENARIO.yaml",
		Flags: append(scenarioFlags(),
			&cli.StringFlag{Name: "json", Usage: "write the result as data to `FILE`"},
			&cli.StringFlag{Name: "trace", Usage: "write the trace, JSON lines, to `FILE`"},
			&cli.StringFlag{Name: "store", Usage: "leave the first validator's store in `DIR`, which must not exist"},
			&cli.BoolFlag{Name: "check", Usage: "run twice and compare the traces byte for byte"},
			&cli.BoolFlag{Name: "quiet", Usage: "print the last lines only, no progress and no tables"},
			&cli.IntFlag{Name: "rows", Usage: "print at most `N` miners, 0 for all"},
		),
		Action: run,
	}
}

// loaded is a scenario with its files, ready to plan.
type loaded struct {
	path  string
	plan  *sim.Plan
	games []string
	sets  []string
}

// load reads a scenario and its files. seeds replaces the seed of the flags.
func load(c *cli.Context, seeds ...uint64) (*loaded, error) {
	if c.NArg() != 1 {
		return nil, fail(exitBad, "expected one scenario file, got %d arguments; flags come before or after it, as in: %s scenarios/quickstart.yaml --seed 7", c.NArg(), c.Command.HelpName)
	}
	l := &loaded{path: c.Args().First(), games: c.StringSlice("games"), sets: c.StringSlice("set")}
	data, err := readFile(l.path, scenario.MaxFileBytes)
	if err != nil {
		return nil, err
	}
	sets := l.sets
	if c.IsSet("seed") {
		seeds = append(seeds, c.Uint64("seed"))
	}
	for _, n := range seeds {
		sets = append(append([]string(nil), sets...), fmt.Sprintf("seed=%d", n))
	}
	s, problems := scenario.Parse(l.path, data, sets, sim.ScenarioOption())
	if len(problems) > 0 {
		return nil, &exitError{exitBad, problems}
	}
	files := l.games
	if len(files) == 0 {
		for _, f := range s.Market.Files { // named in the scenario: beside it
			if !filepath.IsAbs(f) {
				f = filepath.Join(filepath.Dir(l.path), f)
			}
			files = append(files, f)
		}
	}
	var games []market.File
	for _, f := range files {
		data, err := readFile(f, maxGamesBytes)
		if err != nil {
			return nil, err
		}
		games = append(games, market.File{Name: f, Data: data})
	}
	plan, bad, err := sim.NewPlan(s, games)
	if len(bad) > 0 {
		lines := make([]error, len(bad))
		for i := range bad {
			lines[i] = bad[i]
		}
		return nil, &exitError{exitBad, errors.Join(lines...)}
	}
	if err != nil {
		return nil, fail(exitBad, "%s: %w", l.path, err)
	}
	l.plan = plan
	return l, nil
}

// tuneHeap lets the heap grow more between collections: a run lives for seconds
// and makes millions of short-lived frames. GOGC in the environment wins.
func tuneHeap() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// readFile reads a whole file, but not without end.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &exitError{exitBad, fmt.Errorf("%w", err)}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, &exitError{exitBad, err}
	}
	if int64(len(data)) > limit {
		return nil, fail(exitBad, "%s: larger than %d bytes", path, limit)
	}
	return data, nil
}

func run(c *cli.Context) error {
	l, err := load(c)
	if err != nil {
		return err
	}
	if c.Int("rows") < 0 {
		return fail(exitBad, "--rows: expected at least 0, got %d", c.Int("rows"))
	}
	tuneHeap()
	out := c.App.Writer
	opt := sim.RunOptions{Wall: time.Now, Stopped: c.Context.Err, Prepare: plant}
	var outputs closers
	defer outputs.abandon()
	if path := c.String("trace"); path != "" {
		f, err := outputs.create(path)
		if err != nil {
			return err
		}
		opt.Trace = f
	}
	var saved error
	if dir := c.String("store"); dir != "" {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			return fail(exitBad, "--store %s: exists already; name a directory that does not", dir)
		}
		if c.Bool("check") {
			return fail(exitBad, "--store goes with one run, not with --check")
		}
		opt.Done = func(w *sim.World) error {
			saved = w.Hosts[0].SaveStore(dir)
			return nil // the run has its result all the same
		}
	}
	var result io.Writer
	if path := c.String("json"); path != "" {
		f, err := outputs.create(path)
		if err != nil {
			return err
		}
		result = f
	}
	var bar *bar
	if f, ok := c.App.ErrWriter.(*os.File); ok && !c.Bool("quiet") && term.IsTerminal(int(f.Fd())) {
		bar = newBar(f)
		opt.Progress = bar.show
	}
	res, err := l.run(opt, c.Bool("check"))
	if bar != nil {
		bar.clear()
	}
	if err != nil {
		return err
	}
	res.Replay = l.plan.Command(program(), l.path, l.games, l.sets)
	var printed error
	if c.Bool("quiet") {
		printed = res.WriteSummary(out)
	} else {
		printed = res.WriteReport(out, c.Int("rows"))
	}
	if result != nil {
		e := json.NewEncoder(result)
		e.SetIndent("", "  ")
		if err := e.Encode(res); err != nil {
			return fail(exitBad, "write the result: %w", err)
		}
	}
	if err := outputs.close(); err != nil {
		return err
	}
	if n := res.Violated(); n > 0 {
		return fail(exitInvariant, "%d violations of invariants; run it again with: %s", n, res.Replay)
	}
	if saved != nil {
		return fail(exitBad, "--store: %w", saved)
	}
	return lost(printed) // told last: files were asked for, and a violation is the worse news
}

// program is how the program was called, for command lines to repeat: the name
// of its file, or `go run .` where that file is one that go run has made.
func program() string {
	if name := os.Args[0]; !strings.Contains(filepath.ToSlash(name), "/go-build") {
		return filepath.Base(name)
	}
	return "go run ."
}

// run runs once, or twice and compares.
func (l *loaded) run(opt sim.RunOptions, check bool) (*sim.Result, error) {
	if !check {
		res, err := l.plan.Run(opt)
		if err != nil {
			return nil, fail(exitBad, "%w", err)
		}
		return res, nil
	}
	var digests [2][sha256.Size]byte
	var results [2]*sim.Result
	for i := range results {
		h := sha256.New()
		o := opt
		o.Trace = h
		if i == 0 && opt.Trace != nil {
			o.Trace = io.MultiWriter(h, opt.Trace)
		}
		var err error
		if results[i], err = l.plan.Run(o); err != nil {
			return nil, fail(exitBad, "%w", err)
		}
		h.Sum(digests[i][:0])
	}
	if digests[0] != digests[1] || results[0].TraceHash != results[1].TraceHash {
		return nil, fail(exitDivergence, "two runs of seed %d differ: %s", results[0].Seed, sim.FirstDifference(results[0], results[1]))
	}
	results[0].Checked = true
	return results[0], nil
}

// closers are files that a command writes. A command that fails leaves none
// half written.
type closers struct {
	files []*outFile
}

type outFile struct {
	*bufio.Writer
	f    *os.File
	path string
	temp bool // f takes the place of path when it is whole
}

// create begins a file. What cannot be written must show before a run of
// minutes, not after it. A device or a pipe is written to as it is: nothing may
// take its place.
func (c *closers) create(path string) (io.Writer, error) {
	o := &outFile{path: path}
	info, err := os.Stat(path)
	if o.temp = err != nil || info.Mode().IsRegular(); err == nil && o.temp {
		o.path, err = filepath.EvalSymlinks(path) // a link stays, what it leads to is replaced
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if abs, e := filepath.Abs(o.path); e == nil {
		o.path = abs
	}
	for _, other := range c.files {
		if o.temp && other.path == o.path {
			err = errors.New("two outputs of one command go there")
		}
	}
	switch {
	case err != nil:
	case info != nil && info.IsDir():
		err = errors.New("is a directory")
	case o.temp:
		o.f, err = os.CreateTemp(filepath.Dir(o.path), "."+filepath.Base(o.path)+".*")
	default:
		o.f, err = os.OpenFile(o.path, os.O_WRONLY, 0)
	}
	if err != nil {
		if e := (*fs.PathError)(nil); errors.As(err, &e) {
			err = e.Err // which may name the temporary file
		}
		return nil, fail(exitBad, "write %s: %w", path, err)
	}
	o.Writer = bufio.NewWriterSize(o.f, 1<<16)
	c.files = append(c.files, o)
	return o, nil
}

func (c *closers) close() error {
	for i, o := range c.files {
		err := errors.Join(o.Flush(), o.f.Close())
		if err == nil && o.temp {
			err = errors.Join(os.Chmod(o.f.Name(), 0o644), os.Rename(o.f.Name(), o.path))
		}
		if err != nil {
			c.files = c.files[i:]
			return fail(exitBad, "write %s: %w", o.path, err)
		}
	}
	c.files = nil
	return nil
}

// abandon drops what was not closed.
func (c *closers) abandon() {
	for _, o := range c.files {
		o.f.Close()
		if o.temp {
			os.Remove(o.f.Name())
		}
	}
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

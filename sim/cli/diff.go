package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"bettensor/sim"
	"bettensor/sim/market"
	"bettensor/sim/scenario"

	"github.com/urfave/cli/v2"
)

func diffCommand() *cli.Command {
	return &cli.Command{
		Name:        "diff",
		Usage:       "find where two traces part",
		ArgsUsage:   "TRACE TRACE",
		Description: "Prints the first line that differs, the lines before it, and what differs in it. Exits 4 where one does.",
		Flags:       []cli.Flag{&cli.IntFlag{Name: "context", Value: explainLines, Usage: "print `N` lines before the difference"}},
		Action: func(c *cli.Context) error {
			if c.NArg() != 2 {
				return fail(exitBad, "expected two traces, got %d arguments", c.NArg())
			}
			if n := c.Int("context"); n < 0 || n > maxContext {
				return fail(exitBad, "--context: expected 0 to %d, got %d", maxContext, n)
			}
			var files [2]*os.File
			for i := range files {
				f, err := os.Open(c.Args().Get(i))
				if err != nil {
					return fail(exitBad, "%w", err)
				}
				defer f.Close() // only read
				files[i] = f
			}
			d, err := sim.Diff(files[0], files[1], c.Int("context"))
			if err != nil {
				return fail(exitBad, "%w", err)
			}
			if d == nil {
				_, err := fmt.Fprintln(c.App.Writer, "the traces are the same")
				return lost(err)
			}
			if err := d.Write(c.App.Writer, files[0].Name(), files[1].Name()); err != nil {
				return lost(err)
			}
			if d.Line > 0 {
				return fail(sim.ExitDivergence, "the traces part in line %d", d.Line)
			}
			return nil
		},
	}
}

// maxContext bounds what is kept of two traces.
const maxContext = 10_000

func replayCommand() *cli.Command {
	return &cli.Command{
		Name:      "replay",
		Usage:     "run again what a trace tells, and compare, or stop at an event",
		ArgsUsage: "TRACE",
		Description: "The first line of a trace holds the scenario and the seed; files of matches are read where they were.\n" +
			"Every line is compared as it is made; exits 4 at the first that differs.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "until", Usage: "stop at `EVENT#N`, as in weights_set#2, or after so many events, and print each node's state"},
			&cli.StringFlag{Name: "json", Usage: "with --until, write the states as data to `FILE`"},
		},
		Action: replayTrace,
	}
}

func replayTrace(c *cli.Context) error {
	if c.NArg() != 1 {
		return fail(exitBad, "expected one trace, got %d arguments", c.NArg())
	}
	path := c.Args().First()
	f, err := os.Open(path)
	if err != nil {
		return fail(exitBad, "%w", err)
	}
	defer f.Close() // only read
	l, err := traced(path, f)
	if err != nil {
		return err
	}
	tuneHeap()
	if c.String("until") != "" {
		return l.action(c)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fail(exitBad, "%s: %w", path, err)
	}
	o := l.options(c)
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		o.Trace = w
		_, err := l.once(o)
		w.CloseWithError(err) // nil is the end of the trace
		done <- err
	}()
	d, err := sim.Diff(f, r, explainLines)
	r.CloseWithError(io.ErrClosedPipe) // nobody reads on
	if ran := <-done; ran != nil && d == nil {
		return ran
	}
	if err != nil {
		return fail(exitBad, "%s: %w", path, err)
	}
	if d == nil || d.Line == 0 {
		_, err := fmt.Fprintf(c.App.Writer, "the run left the same trace: %s, seed %d\n", l.plan.Scenario.Name, l.plan.Scenario.Seed)
		return lost(err)
	}
	if err := d.Write(c.App.Writer, path, "the run"); err != nil {
		return lost(err)
	}
	return fail(sim.ExitDivergence, "the run parts from %s in line %d", path, d.Line)
}

// traced is the scenario of a trace, from its first line.
func traced(path string, f io.Reader) (*loaded, error) {
	line, err := bufio.NewReader(io.LimitReader(f, 2*scenario.MaxFileBytes)).ReadBytes('\n')
	var head sim.TraceHead
	if err == nil {
		err = json.Unmarshal(line, &head)
	}
	if err == nil && head.File == "" {
		err = errors.New("no scenario")
	}
	if err != nil {
		return nil, fail(exitBad, "%s:1:1: expected a trace that begins with its scenario, as sim run --trace writes it: %w", path, err)
	}
	l := &loaded{path: path, data: []byte(head.File), files: []market.File{}, seed: &head.Seed}
	for _, name := range head.Games {
		data, err := readFile(name, maxGamesBytes)
		if err != nil {
			return nil, err
		}
		l.files = append(l.files, market.File{Name: name, Data: data})
	}
	if err := l.prepare(); err != nil {
		return nil, err
	}
	l.replay = fmt.Sprintf("%s sim replay %s", program(), strings.TrimSpace(path))
	return l, nil
}

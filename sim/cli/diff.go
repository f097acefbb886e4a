package cli

import (
	"bufio"
	"bytes"
	"context"
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
		Name:      "diff",
		Usage:     "find where two traces part",
		ArgsUsage: "TRACE TRACE",
		Description: "Prints the first line that differs, the lines before it, and what differs in it. Exits 4 where one does,\n" +
			"and 1 where a trace is empty or cut, as that of a run that was interrupted: what it lacks is not known.",
		Flags: []cli.Flag{&cli.IntFlag{Name: "context", Value: explainLines, Usage: "print `N` lines before the difference"}},
		Action: func(c *cli.Context) error {
			if c.NArg() != 2 {
				return fail(exitBad, "expected two traces, got %d arguments, as in: %s before.jsonl after.jsonl", c.NArg(), c.Command.HelpName)
			}
			if n := c.Int("context"); n < 0 || n > maxContext {
				return fail(exitBad, "--context: expected 0 to %d, got %d", maxContext, n)
			}
			var traces [2]io.Reader
			for i := range traces {
				f, err := os.Open(c.Args().Get(i))
				if err != nil {
					return fail(exitBad, "%w", err)
				}
				defer f.Close() // only read
				head, whole, err := headOf(f)
				traces[i] = whole
				if err == nil { // else the comparison tells what is there
					if err := noteRevision(c, f.Name(), head); err != nil {
						return err
					}
				}
			}
			return compareTraces(c, traces[0], traces[1])
		},
	}
}

// compareTraces prints where two traces part.
func compareTraces(c *cli.Context, a, b io.Reader) error {
	d, err := sim.Diff(a, b, c.Int("context"))
	if err != nil {
		return fail(exitBad, "%w", err)
	}
	if d == nil {
		_, err := fmt.Fprintln(c.App.Writer, "the traces are the same")
		return lost(err)
	}
	if err := d.Write(c.App.Writer, c.Args().Get(0), c.Args().Get(1)); err != nil {
		return lost(err)
	}
	switch {
	case d.Line > 0:
		return fail(sim.ExitDivergence, "the traces part in line %d", d.Line)
	case d.Short != [2]string{}:
		return fail(exitBad, "the traces could not be compared to their ends")
	}
	return nil
}

// headOf reads the first line of a trace; whole begins with it again.
func headOf(f io.Reader) (head sim.TraceHead, whole io.Reader, err error) {
	begin := bufio.NewReader(io.LimitReader(f, 2*scenario.MaxFileBytes))
	line, err := begin.ReadBytes('\n')
	whole = io.MultiReader(bytes.NewReader(line), begin, f)
	switch {
	case err == io.EOF && len(line) == 0:
		err = errors.New("the file is empty")
	case err == nil:
		err = json.Unmarshal(line, &head)
	}
	if err == nil && head.File == "" {
		err = errors.New("no scenario")
	}
	return head, whole, err
}

// noteRevision says that another revision of the program has written a trace.
func noteRevision(c *cli.Context, path string, head sim.TraceHead) error {
	now := c.App.Version
	if head.Revision == now || head.Revision == "" || now == "" {
		return nil
	}
	_, err := fmt.Fprintf(c.App.Writer, "note: %s was written by revision %s, and this program is %s\n", path, head.Revision, now)
	return lost(err)
}

// maxContext bounds what is kept of two traces.
const maxContext = 10_000

func replayCommand() *cli.Command {
	return &cli.Command{
		Name:      "replay",
		Usage:     "run again what a trace tells, and compare, or stop at an event",
		ArgsUsage: "TRACE",
		Description: "The first line of a trace holds the scenario and the seed; files of matches are read where they were.\n" +
			"Every line is compared as it is made; exits 4 at the first that differs. A trace that was cut is\n" +
			"compared as far as it goes.",
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
	l, trace, err := traced(c, path, f)
	if err != nil {
		return err
	}
	tuneHeap()
	if c.String("until") != "" {
		return l.action(c)
	}
	if c.String("json") != "" {
		return fail(exitBad, "--json goes with --until: it takes the nodes' states there")
	}
	o := l.options(c)
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	o.Stopped = halt(ctx)
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		o.Trace = w
		_, err := l.once(o)
		w.CloseWithError(err) // nil is the end of the trace
		done <- err
	}()
	d, err := sim.Diff(trace, r, explainLines)
	cancel()
	r.CloseWithError(io.ErrClosedPipe) // nobody reads on
	ran := <-done
	same, short := d == nil || d.Line == 0, ""
	if d != nil {
		short = d.Short[0]
	}
	switch {
	case same && short == "" && ran != nil:
		return ran
	case err != nil:
		return fail(exitBad, "%s: %w", path, err)
	case short != "":
		_, err := fmt.Fprintf(c.App.Writer, "the run left the same trace as far as this one goes, %d lines: %s, seed %d\n%s %s\n", d.Lines, l.plan.Scenario.Name, l.plan.Scenario.Seed, path, short)
		return lost(err)
	case same:
		_, err := fmt.Fprintf(c.App.Writer, "the run left the same trace: %s, seed %d\n", l.plan.Scenario.Name, l.plan.Scenario.Seed)
		return lost(err)
	}
	if err := d.Write(c.App.Writer, path, "the run"); err != nil {
		return lost(err)
	}
	return fail(sim.ExitDivergence, "the run parts from %s in line %d", path, d.Line)
}

// traced is the scenario of a trace, from its first line; whole begins with that.
func traced(c *cli.Context, path string, f io.Reader) (l *loaded, whole io.Reader, err error) {
	head, whole, err := headOf(f)
	if err != nil {
		return nil, nil, fail(exitBad, "%s:1:1: expected a trace that begins with its scenario, as sim run --trace writes it: %w", path, err)
	}
	if err := noteRevision(c, path, head); err != nil {
		return nil, nil, err
	}
	l = &loaded{path: path, data: []byte(head.File), files: []market.File{}, seed: &head.Seed}
	for _, name := range head.Games {
		data, err := readFile(name, maxGamesBytes)
		if err != nil {
			return nil, nil, err
		}
		l.files = append(l.files, market.File{Name: name, Data: data})
	}
	if err := l.prepare(); err != nil {
		return nil, nil, err
	}
	l.replay = fmt.Sprintf("%s sim replay %s", program(), strings.TrimSpace(path))
	return l, whole, nil
}

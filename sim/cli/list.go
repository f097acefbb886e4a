package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"bettensor/sim"
	"bettensor/sim/scenario"

	"github.com/urfave/cli/v2"
)

func validateCommand() *cli.Command {
	return &cli.Command{
		Name:      "validate",
		Usage:     "check scenarios and their files of games without running them; every mistake is told as FILE:LINE:COL",
		ArgsUsage: "SCENARIO.yaml...",
		Flags:     seededFlags(),
		Action:    validate,
	}
}

// validate tells the mistakes of all files, not of the first that has any. They
// are what was asked for, and so go where the answer goes.
func validate(c *cli.Context) error {
	if c.NArg() == 0 {
		return fail(exitBad, "expected a scenario file, as in: %s scenarios/quickstart.yaml", c.Command.HelpName)
	}
	bad := 0
	for _, path := range c.Args().Slice() {
		l, err := loadFile(c, path)
		switch {
		case err == nil:
			m := l.plan
			_, err = fmt.Fprintf(c.App.Writer, "%s: ok, %d games from %s to %s\n", path, len(m.Market.Fixtures()), m.Start.Format("2006-01-02"), m.End.Format("2006-01-02"))
		case errors.Is(err, sim.ErrBenchmark):
			_, err = fmt.Fprintf(c.App.Writer, "%s: ok, a benchmark\n", path)
		default:
			bad++
			_, err = fmt.Fprintln(c.App.Writer, placed(path, err))
		}
		if err != nil {
			return lost(err)
		}
	}
	if bad > 0 {
		return fail(exitBad, "%d of %d scenarios cannot be run, for what is said above", bad, c.NArg())
	}
	return nil
}

// placed is what is wrong with a file, a line each with its place. What no one
// place is to blame for is told of the file's beginning, as is a file that cannot
// be read.
func placed(path string, err error) string {
	if e := (*fs.PathError)(nil); errors.As(err, &e) && e.Path == path {
		return path + ":1:1: expected a scenario: " + e.Err.Error()
	}
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		if rest, whole := strings.CutPrefix(line, path+": "); whole {
			lines[i] = path + ":1:1: " + rest
		}
	}
	return strings.Join(lines, "\n")
}

func describeCommand() *cli.Command {
	return readCommand("describe", "print a scenario with every default filled in", func(w io.Writer, l *loaded) error {
		return written(w, l.plan.Scenario, "")
	})
}

func expandCommand() *cli.Command {
	return readCommand("expand", "print a scenario with every choice of its seed written out, which runs to the same trace hash", func(w io.Writer, l *loaded) error {
		s, err := l.plan.Expanded()
		if err != nil {
			return fail(exitBad, "%s: %w", l.path, err)
		}
		return written(w, s, fmt.Sprintf("# %s, seed %d, with every choice written out.\n", l.path, s.Seed))
	})
}

// written prints a scenario as a file, with what it is in comments above.
func written(w io.Writer, s *scenario.Scenario, head string) error {
	if _, err := io.WriteString(w, head); err != nil {
		return lost(err)
	}
	for line := range strings.Lines(s.Describe()) {
		if _, err := fmt.Fprintf(w, "# %s", line); err != nil {
			return lost(err)
		}
	}
	_, err := w.Write(s.Canonical())
	return lost(err)
}

func schemaCommand() *cli.Command {
	return &cli.Command{
		Name:  "schema",
		Usage: "print the JSON Schema of scenario files, for editors",
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return fail(exitBad, "expected no arguments, got %d", c.NArg())
			}
			_, err := c.App.Writer.Write(scenario.Schema)
			return lost(err)
		},
	}
}

// readCommand is a command that reads a scenario and says something of it.
func readCommand(name, usage string, say func(io.Writer, *loaded) error) *cli.Command {
	return &cli.Command{
		Name:      name,
		Usage:     usage,
		ArgsUsage: "SCENARIO.yaml",
		Flags:     seededFlags(),
		Action: func(c *cli.Context) error {
			l, err := load(c)
			if err != nil {
				return err
			}
			return say(c.App.Writer, l)
		},
	}
}

func listCommand() *cli.Command {
	return &cli.Command{
		Name:      "list",
		Usage:     "list the scenarios of a folder, and the benchmarks in its bench/: what each shows",
		ArgsUsage: "[DIR]",
		Action: func(c *cli.Context) error {
			dir := "scenarios"
			if c.NArg() > 0 {
				dir = c.Args().First()
			}
			files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
			if err != nil {
				return fail(exitBad, "list %s: %w", dir, err)
			}
			measured, err := filepath.Glob(filepath.Join(dir, "bench", "*.yaml"))
			if err != nil {
				return fail(exitBad, "list %s: %w", dir, err)
			}
			if len(files)+len(measured) == 0 {
				return fail(exitBad, "no scenarios (*.yaml) in %s", dir)
			}
			b := bufio.NewWriter(c.App.Writer) // keeps the first error, so that only Flush is asked
			if err := listFiles(b, files); err != nil {
				return err
			}
			if len(measured) > 0 {
				fmt.Fprint(b, "\nBenchmarks, for `bench run`:\n")
			}
			if err := listFiles(b, measured); err != nil {
				return err
			}
			return lost(b.Flush())
		},
	}
}

func listFiles(b *bufio.Writer, files []string) error {
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return fail(exitBad, "%w", err)
		}
		fmt.Fprintf(b, "%s\n    %s\n", f, shows(string(data)))
	}
	return nil
}

// shows is the first part of the comment that a scenario opens with, on one
// line.
func shows(text string) string {
	var words []string
	for line := range strings.Lines(text) {
		rest, comment := strings.CutPrefix(line, "#")
		rest = strings.TrimSpace(rest)
		if !comment || len(words) > 0 && strings.HasPrefix(rest, "Expect:") {
			break
		}
		words = append(words, rest)
	}
	return strings.TrimPrefix(strings.Join(words, " "), "Shows: ")
}

// lost is the failure of a command whose output could not be printed; nil for nil.
func lost(err error) error {
	if err == nil {
		return nil
	}
	return fail(exitBad, "print: %w", err)
}

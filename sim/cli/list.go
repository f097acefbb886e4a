package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
)

func validateCommand() *cli.Command {
	return readCommand("validate", "check a scenario and its files of games without running it", func(w io.Writer, l *loaded) error {
		_, err := fmt.Fprintf(w, "%s: ok, %d games from %s to %s\n", l.path, len(l.plan.Market.Fixtures()), l.plan.Start.Format("2006-01-02"), l.plan.End.Format("2006-01-02"))
		return err
	})
}

func describeCommand() *cli.Command {
	return readCommand("describe", "print a scenario with every default filled in", func(w io.Writer, l *loaded) error {
		for line := range strings.Lines(l.plan.Scenario.Describe()) {
			fmt.Fprintf(w, "# %s", line)
		}
		_, err := w.Write(l.plan.Scenario.Canonical())
		return err
	})
}

// readCommand is a command that reads a scenario and says something of it.
func readCommand(name, usage string, say func(io.Writer, *loaded) error) *cli.Command {
	return &cli.Command{
		Name:      name,
		Usage:     usage,
		ArgsUsage: "SCENARIO.yaml",
		Flags:     scenarioFlags(),
		Action: func(c *cli.Context) error {
			l, err := load(c)
			if err != nil {
				return err
			}
			return lost(say(c.App.Writer, l))
		},
	}
}

func listCommand() *cli.Command {
	return &cli.Command{
		Name:      "list",
		Usage:     "list the scenarios of a folder",
		ArgsUsage: "[DIR]",
		Action: func(c *cli.Context) error {
			dir := "scenarios"
			if c.NArg() > 0 {
				dir = c.Args().First()
			}
			files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
			if err != nil || len(files) == 0 {
				return fail(exitBad, "no scenarios (*.yaml) in %s", dir)
			}
			for _, f := range files {
				data, err := os.ReadFile(f)
				if err != nil {
					return fail(exitBad, "%w", err)
				}
				first, _, _ := strings.Cut(string(data), "\n")
				if _, err := fmt.Fprintf(c.App.Writer, "%s\n    %s\n", f, strings.TrimPrefix(first, "# ")); err != nil {
					return lost(err)
				}
			}
			return nil
		},
	}
}

// lost is the failure of a command whose output could not be printed; nil for nil.
func lost(err error) error {
	if err == nil {
		return nil
	}
	return fail(exitBad, "print: %w", err)
}

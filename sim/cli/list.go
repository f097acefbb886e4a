package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
)

func validateCommand() *cli.Command {
	return &cli.Command{
		Name:      "validate",
		Usage:     "check a scenario and its files of games without running it",
		ArgsUsage: "SCENARIO.yaml",
		Flags:     scenarioFlags(),
		Action: func(c *cli.Context) error {
			l, err := load(c)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.App.Writer, "%s: ok, %d games from %s to %s\n", l.path, len(l.plan.Market.Fixtures()), l.plan.Start.Format("2006-01-02"), l.plan.End.Format("2006-01-02"))
			return lost(err)
		},
	}
}

func describeCommand() *cli.Command {
	return &cli.Command{
		Name:      "describe",
		Usage:     "print a scenario with every default filled in",
		ArgsUsage: "SCENARIO.yaml",
		Flags:     scenarioFlags(),
		Action: func(c *cli.Context) error {
			l, err := load(c)
			if err != nil {
				return err
			}
			for line := range strings.Lines(l.plan.Scenario.Describe()) {
				fmt.Fprintf(c.App.Writer, "# %s", line)
			}
			_, err = c.App.Writer.Write(l.plan.Scenario.Canonical())
			return lost(err)
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

package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"bettensor/node/score"
)

// Score is the command `score`.
func Score() *cli.Command {
	return &cli.Command{
		Name:        "score",
		Usage:       "the scoring core",
		Subcommands: []*cli.Command{scoreCheck()},
	}
}

func scoreCheck() *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "run vector files through the scoring core",
		ArgsUsage: "FILE…",
		Description: "Prints the largest deviation of each component of each file, measured as the file\n" +
			"states. Exits 12 where one is out of tolerance or a file is malformed, else 16\n" +
			"where a file cannot be read. All files are run, whatever the first ones gave.",
		Action: func(c *cli.Context) error {
			files := c.Args().Slice()
			if len(files) == 0 {
				return usage(c, "no file to check")
			}
			for _, f := range files {
				// Flags end where files begin; one after them would be a file.
				if strings.HasPrefix(f, "-") {
					return usage(c, "flag %s after a file (for a file of that name say ./%s)", f, f)
				}
			}
			return checkScores(c, files)
		},
	}
}

// checkScores prints one table over all files, so that columns line up, and
// joins what went wrong.
func checkScores(c *cli.Context, files []string) error {
	w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FILE\tCOMPONENT\tCHECKED\tLARGEST DEVIATION\tTOLERANCE\tVERDICT\tAT")
	var errs []error
	code := File
	for _, f := range files {
		rep, err := checkScore(f)
		if err != nil {
			errs = append(errs, err)
			if errors.Is(err, score.ErrTolerance) || errors.Is(err, score.ErrMalformed) {
				code = Validation
			}
		}
		for _, d := range rep.Deviations {
			verdict := "ok"
			if !d.OK() {
				verdict = "OUT OF TOLERANCE"
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%.3g\t%.3g\t%s\t%s\n", f, d.Component, d.Checked, d.Worst, d.Tolerance, verdict, d.At)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	if len(errs) > 0 {
		return &ExitError{Code: code, Err: errors.Join(errs...)}
	}
	return nil
}

func checkScore(path string) (score.Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return score.Report{}, err
	}
	defer f.Close() // only read
	return score.CheckFile(path, f)
}

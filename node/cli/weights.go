package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"bettensor/node"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/store"
)

// Weights is the command `weights`: what a validator has set, and would set.
func Weights() *cli.Command {
	return &cli.Command{
		Name:  "weights",
		Usage: "what a validator has set on the chain, and what it would set now",
		Subcommands: []*cli.Command{{
			Name:  "show",
			Usage: "print ours, the chain's and the difference, by UID",
			Description: "The node is found as by `bettensor status`. Where --store.dir names the store of a validator\n" +
				"that is stopped, its store is read: the chain's weights are then those that were known to stand.\n" +
				"Exit codes: 0 printed · 10 nobody listens · 12 the node is no validator, or the store is damaged · 16 no such store.",
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "http.listen", Usage: "`ADDRESS` of the node, HOST:PORT", EnvVars: []string{variable("http.listen")}},
				&cli.PathFlag{Name: "store.dir", Usage: "`DIR` of the validator's store", EnvVars: []string{variable("store.dir")}},
				&cli.BoolFlag{Name: "json", Usage: "print it as JSON"},
			},
			Action: weightsShow,
		}},
	}
}

// weightsSource says where a report is from.
type weightsSource struct {
	From   string              `json:"from"` // the address of a node, or the directory of a store
	Live   bool                `json:"live"`
	Report *node.WeightsReport `json:"weights"`
}

func weightsShow(c *cli.Context) error {
	if c.NArg() > 0 {
		return usage(c, "unexpected argument %q", c.Args().First())
	}
	s, err := askWeights(c)
	if dir := c.Path("store.dir"); err != nil && dir != "" && c.String("http.listen") == "" {
		var refused *ExitError
		if errors.As(err, &refused) && refused.Code == Network { // it does not run
			s.From = dir
			s.Report, err = storedWeights(c, dir)
		}
	}
	if err != nil {
		return err
	}
	if c.Bool("json") {
		out := json.NewEncoder(c.App.Writer)
		out.SetIndent("", " ")
		return out.Encode(s)
	}
	return printWeights(c.App.Writer, &s)
}

// askWeights asks the node that runs.
func askWeights(c *cli.Context) (s weightsSource, err error) {
	found, err := findNode(c, forValidator)
	if err != nil {
		return s, err
	}
	address := found.HTTP
	stats, err := askStats(c.Context, found)
	if err != nil {
		return s, err
	}
	s = weightsSource{From: address, Live: true}
	if stats.Node != nil {
		weights := stats.Node.Service("weights")
		s.Report = weights.Weights
	}
	if s.Report == nil {
		return s, &ExitError{Validation, fmt.Errorf("the %s at %s sets no weights", plain(stats.Role), address), "bettensor status"}
	}
	return s, nil
}

// storedWeights reads a store that no node has open.
func storedWeights(c *cli.Context, dir string) (r *node.WeightsReport, err error) {
	err = readStore(c, dir, func(s store.Snapshot) error {
		found, err := ledger.LoadValidator(s)
		if err == nil {
			r = node.StoredWeights(found)
		}
		return err
	})
	return r, err
}

func printWeights(w io.Writer, s *weightsSource) error {
	r := s.Report
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "UID\tOURS\tCHAIN\tDIFFERENCE\tHOTKEY\t")
	for _, d := range r.Slots {
		ours, difference := "-", "-"
		if r.Unscored == "" {
			ours, difference = fmt.Sprintf("%.6f", d.Ours), fmt.Sprintf("%+.6f", d.Difference())
		}
		fmt.Fprintf(t, "%d\t%s\t%.6f\t%s\t%s\t\n", d.UID, ours, d.Chain, difference, plain(string(d.Hotkey)))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if r.Unscored != "" {
		fmt.Fprintf(w, "ours: none (%s)\n", plain(r.Unscored))
	}
	if r.Variation != nil {
		fmt.Fprintf(w, "total variation %.6f\n", *r.Variation)
	} else {
		fmt.Fprintln(w, "total variation unknown")
	}
	switch {
	case !s.Live:
		fmt.Fprintf(w, "%s is the store of a node that is stopped; it last set weights in block %d%s\n", s.From, r.Set, at(r.SetAt))
	case r.ReadAt > 0:
		fmt.Fprintf(w, "the chain's were read in block %d; last set in block %d%s\n", r.ReadAt, r.Set, at(r.SetAt))
	default:
		fmt.Fprintf(w, "the chain's were not read in this run: they are those set in block %d%s\n", r.Set, at(r.SetAt))
	}
	if r.Extrinsic != "" {
		fmt.Fprintf(w, "extrinsic %s\n", r.Extrinsic)
	}
	if r.Phase != "" {
		fmt.Fprintf(w, "a set is under way: %s%s\n", r.Phase, reveals(r.RevealAt, r.Round))
	}
	if s.Live {
		fmt.Fprintf(w, "epoch %d; the one before: %s", r.Epoch, r.Outcome)
		if r.Reason != "" {
			fmt.Fprintf(w, " (%s)", plain(r.Reason))
		}
		fmt.Fprintln(w)
	}
	if r.Shadow {
		fmt.Fprintln(w, "shadow: this node sets nothing")
		return nil
	}
	_, err := fmt.Fprintf(w, "next possible block %d\n", r.Next)
	return err
}

func at(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " (" + t.UTC().Format(time.RFC3339) + ")"
}

func reveals(block chain.Block, round uint64) string {
	switch {
	case block == 0:
		return ""
	case round == 0:
		return fmt.Sprintf(", revealed from block %d on", block)
	}
	return fmt.Sprintf(", revealed from block %d on by beacon round %d", block, round)
}

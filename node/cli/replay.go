package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"text/tabwriter"

	"bettensor/node"
	"bettensor/node/chain"
	"bettensor/node/live"
	"bettensor/sched"

	"github.com/urfave/cli/v2"
)

// Replay is the command `replay`.
func Replay() *cli.Command {
	return &cli.Command{
		Name:      "replay",
		Usage:     "run a node's recording again and compare",
		ArgsUsage: "DIR",
		Description: "DIR is what the node was given as --record, or one of the numbered directories in it, one for\n" +
			"each time the node was built. Everything that entered the node enters it again, and all that\n" +
			"it did is compared. Exits 4 at the first difference, which is named; 12 where the recording is\n" +
			"damaged or another revision's. A recording without an end, of a node that was killed, is replayed\n" +
			"as far as it goes.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "until", Usage: "stop at `EVENT#N` of the recording, as in weights_set#2, or after so many events of each part, and print the node's state"},
			&cli.BoolFlag{Name: "any-revision", Usage: "try a recording of another revision, and report the first difference"},
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object a part"},
		},
		Action: replay,
	}
}

// replayedPart is what is printed of one part; with --json, as it is.
type replayedPart struct {
	Dir     string       `json:"dir"`
	Role    string       `json:"role"`
	Hotkey  chain.Hotkey `json:"hotkey"`
	Events  uint64       `json:"events"`
	Hash    string       `json:"hash"`
	CutOff  bool         `json:"cut_off"`
	Verdict string       `json:"verdict"` // same, differs, damaged, revision, failed
	Error   string       `json:"error,omitempty"`
	// Weights that were set last before the end.
	Weights *recordedWeights `json:"weights,omitempty"`
	// Node as it stands where --until stopped.
	Node *node.Portrait `json:"node,omitempty"`
}

type recordedWeights struct {
	UIDs   []chain.UID `json:"uids"`
	Values []uint16    `json:"values"`
}

func replay(c *cli.Context) error {
	if c.NArg() != 1 {
		return usage(c, "%d arguments, want one directory", c.NArg())
	}
	dirs, err := live.Recordings(c.Args().First())
	if err != nil {
		return &ExitError{Code: File, Err: err}
	}
	until, err := parseMoment(c.String("until"))
	if err != nil {
		return usage(c, "--until: %v", err)
	}
	revision, err := revision(c.App.Version)
	if err != nil {
		return &ExitError{Code: File, Err: err}
	}
	var errs []error
	var states []replayedPart // where --until stopped
	came := uint64(0)         // its event
	longest := uint64(0)      // events of a part
	out := json.NewEncoder(c.App.Writer)
	w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
	if !c.Bool("json") {
		fmt.Fprintln(w, "PART\tROLE\tEVENTS\tHASH\tVERDICT")
	}
	for _, dir := range dirs {
		p := replayedPart{Dir: dir}
		r, err := live.Replay(dir, live.ReplayOptions{Revision: revision, AnyRevision: c.Bool("any-revision"), Until: until.events, Event: until.event, Nth: until.nth,
			Mind: recordedMind, Look: func(v live.View) {
				p.Weights = lastWeights(v.Validator)
				if until.event != "" || until.events > 0 {
					p.Node = portrait(v)
				}
			}})
		came += r.Seen
		longest = max(longest, r.Events)
		until.nth -= min(until.nth, r.Seen)
		if until.event != "" && until.nth > 0 || r.Events < until.events {
			p.Node = nil // it is in a later part
		}
		p.Role, p.Hotkey, p.Events, p.Hash, p.CutOff, p.Verdict = r.Role, r.Hotkey, r.Events, fmt.Sprintf("%016x", r.Hash), r.CutOff, verdict(err)
		if err != nil {
			p.Error = err.Error()
			errs = append(errs, replayError(c, dir, err))
		}
		last := until.event != "" && until.nth == 0
		if c.Bool("json") {
			if err := out.Encode(p); err != nil {
				return err
			}
			if last {
				break
			}
			continue
		}
		what := p.Verdict
		if p.CutOff {
			what += ", and cut off there"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", p.Dir, p.Role, p.Events, p.Hash, what)
		if p.Node != nil {
			states = append(states, p)
		}
		if last {
			break
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, p := range states {
		fmt.Fprintf(c.App.Writer, "\n%s, %s:\n", p.Dir, p.Role)
		if err := p.Node.Write(c.App.Writer); err != nil {
			return err
		}
	}
	if why := until.missed(came, longest); why != "" && len(errs) == 0 {
		return usage(c, "--until %s: %s", c.String("until"), why)
	}
	return worst(errs)
}

// moment is where --until stops: an event of the bus by its name and which of
// its occurrences, or so many events; nowhere where it is zero.
type moment struct {
	event       string
	nth, events uint64
}

func parseMoment(text string) (m moment, err error) {
	if text == "" {
		return m, nil
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil && n > 0 {
		return moment{events: n}, nil
	}
	event, number, counted := strings.Cut(text, "#")
	m = moment{event: event, nth: 1}
	if counted {
		m.nth, err = strconv.ParseUint(number, 10, 64)
	}
	if err != nil || m.nth == 0 || event == "" || strings.Trim(event, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return moment{}, fmt.Errorf("expected EVENT, EVENT#N or a number of events, as in weights_set#2 or 120000, got %q", text)
	}
	return m, nil
}

// missed says why a replay that was left with m still to come stopped nowhere, ""
// where it stopped.
func (m moment) missed(came, longest uint64) string {
	switch {
	case m.event != "" && m.nth > 0 && came == 0:
		return "no event of that name is in the recording; a trace names them as docs/protocol.md does, as in weights_set"
	case m.event != "" && m.nth > 0:
		return fmt.Sprintf("it came only %d times in the recording", came)
	case longest < m.events:
		return fmt.Sprintf("the longest part of the recording has %d events", longest)
	}
	return ""
}

func portrait(v live.View) *node.Portrait {
	var p node.Portrait
	if v.Validator != nil {
		p = v.Validator.Portrait()
	} else {
		p = v.Miner.Portrait()
	}
	return &p
}

func verdict(err error) string {
	var d *sched.Divergence
	switch {
	case err == nil:
		return "same"
	case errors.As(err, &d):
		return "differs"
	case errors.Is(err, live.ErrRevision):
		return "revision"
	case errors.Is(err, live.ErrDamaged):
		return "damaged"
	}
	return "failed"
}

func replayError(c *cli.Context, dir string, err error) *ExitError {
	err = fmt.Errorf("%s: %w", dir, err)
	switch verdict(err) {
	case "differs":
		return &ExitError{Code: Diverged, Err: err}
	case "revision":
		return &ExitError{Validation, err, c.Command.HelpName + " --any-revision " + dir}
	case "damaged":
		return &ExitError{Code: Validation, Err: err}
	}
	if errors.As(err, new(*fs.PathError)) {
		return &ExitError{Code: File, Err: err}
	}
	return &ExitError{Code: Other, Err: err}
}

// worst of several errors decides the exit code; a difference before all else.
func worst(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	first := (*ExitError)(nil)
	for _, err := range errs {
		var e *ExitError
		if errors.As(err, &e) && (first == nil || e.Code == Diverged && first.Code != Diverged) {
			first = e
		}
	}
	return &ExitError{first.Code, errors.Join(errs...), first.Try}
}

// lastWeights are those a validator set last, nil of a miner.
func lastWeights(v *node.Validator) *recordedWeights {
	if v == nil || len(v.State.Weights) == 0 {
		return nil
	}
	w := v.State.Weights[len(v.State.Weights)-1].Weights
	return &recordedWeights{UIDs: w.UIDs, Values: w.Values}
}

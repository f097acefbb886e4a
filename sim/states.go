package sim

import (
	"bufio"
	"fmt"
	"io"

	"bettensor/node"
)

// NodeState is one host of a world that has been stopped.
type NodeState struct {
	Name     string         `json:"name"`
	Kind     string         `json:"kind"` // validator, or the kind of miner
	Up       bool           `json:"up"`
	Restarts int            `json:"restarts"`
	Downs    []string       `json:"downs,omitempty"` // why it went down by itself, each time
	Unsynced int            `json:"unsynced"`        // batches under way to its disk
	Node     *node.Portrait `json:"node,omitempty"`  // nil while it is down
}

// States are all hosts as they stand, in the world's order.
func (w *World) States() []NodeState {
	out := make([]NodeState, 0, len(w.Hosts))
	for _, h := range w.Hosts {
		s := NodeState{Name: h.Name, Kind: h.Kind, Up: h.Up(), Restarts: h.Restarts, Downs: h.Downs, Unsynced: h.Unsynced()}
		switch {
		case h.Validator != nil:
			p := h.Validator.Portrait()
			s.Node = &p
		case h.Miner != nil:
			p := h.Miner.Portrait()
			s.Node = &p
		}
		out = append(out, s)
	}
	return out
}

// WriteStates prints where a run stopped and how each node stands. The error is
// that of w.
func WriteStates(w io.Writer, r *Result, states []NodeState) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "stopped at %s: %s, after %s events, hash %s\n", r.Stopped, r.End.Format("2006-01-02 15:04:05.000000"), grouped(r.Events), r.TraceHash)
	for i := range states {
		s := &states[i]
		fmt.Fprintf(b, "\n%s (%s): ", s.Name, s.Kind)
		if s.Up {
			fmt.Fprint(b, "up")
		} else {
			fmt.Fprint(b, "down")
		}
		if s.Restarts > 0 {
			fmt.Fprintf(b, ", %s", Counted(s.Restarts, "restart"))
		}
		if s.Unsynced > 0 {
			fmt.Fprintf(b, ", %d batches under way to its disk", s.Unsynced)
		}
		fmt.Fprintln(b)
		for _, why := range s.Downs {
			fmt.Fprintf(b, "  went down: %s\n", why)
		}
		if s.Node != nil {
			if err := s.Node.Write(b); err != nil {
				return err
			}
		}
	}
	for _, f := range r.Failures() {
		if f.Exit == ExitSafety {
			fmt.Fprintf(b, "\nFAILED %s: %s\n", f.Signature(), f.First)
		}
	}
	fmt.Fprintf(b, "\nagain: %s\n", r.Replay)
	return b.Flush()
}

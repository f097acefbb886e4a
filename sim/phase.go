package sim

import (
	"time"

	"bettensor/sim/fault"
	"bettensor/sim/scenario"
)

// Span is a part of a run, counted from its start: From inclusive, To exclusive.
type Span struct{ From, To time.Duration }

// spans says when each phase of a scenario is, in a run of a length.
func spans(phases []scenario.Phase, length time.Duration) []Span {
	out := make([]Span, len(phases))
	at := time.Duration(0)
	for i := range phases {
		from := at
		switch ph := &phases[i]; {
		case ph.For > 0:
			at += ph.For
		case ph.Until > 0:
			at = ph.Until
		default:
			at = length
		}
		at = min(at, length)
		out[i] = Span{from, at}
	}
	return out
}

// healing are the spans of the phases without faults.
func healing(phases []scenario.Phase, length time.Duration) (out []Span) {
	for i, s := range spans(phases, length) {
		if phases[i].Healing() {
			out = append(out, s)
		}
	}
	return out
}

// clip drops windows that would start in a quiet span, ends those that would last
// into one, and numbers the rest.
func clip(windows []fault.Window, quiet []Span) []fault.Window {
	if len(quiet) == 0 {
		return windows
	}
	var out []fault.Window
next:
	for _, w := range windows {
		for _, q := range quiet {
			if w.Start >= q.From && w.Start < q.To {
				continue next
			}
			if w.Start < q.From {
				w.End = min(w.End, q.From)
				break
			}
		}
		w.N = len(out) + 1
		out = append(out, w)
	}
	return out
}

// deadline is when everything must have settled.
type deadline struct {
	phase  string
	healed time.Time // no fault, and no clock that one has left wrong, from here on
	at     time.Time
	tempos int // from healed on, until weights that are due are set
}

// deadlines are those of the scenario's phases, in order. Clocks that are ahead when
// the phase begins are given the time it takes to slow down to the right one.
func (p *Plan) deadlines() (out []deadline) {
	late := slowing(p.Scenario.Faults, p.End.Sub(p.Start))
	for i, s := range spans(p.Scenario.Phases, p.End.Sub(p.Start)) {
		if ph := &p.Scenario.Phases[i]; ph.SettleWithin > 0 {
			out = append(out, deadline{ph.Name, p.Start.Add(min(s.From+late, s.To)), p.Start.Add(min(s.From+ph.SettleWithin+late, s.To)), ph.WeightsWithin})
		}
	}
	return out
}

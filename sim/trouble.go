package sim

import (
	"slices"
	"time"

	"bettensor/sched"
	"bettensor/sim/fault"
)

// momentary are kinds of faults whose windows keep nobody from work while they
// last: what they do is done when one begins, or concerns weights only.
var momentary = []string{"process.panic", "network.mass_disconnect", "network.half_open", "chain.hyperparameters", "chain.registration_burst",
	"chain.set_weights_failed", "chain.set_weights_unreported", "chain.set_weights_refused", "chain.set_weights_misreported",
	"chain.set_weights_pretended", "chain.set_weights_reverted"}

// afterTrouble is how long nodes may take to be at work again after a fault, but
// for what they do at intervals: back off, dial, notice a dead connection.
const afterTrouble = 5 * time.Minute

// trouble is a stretch of time in which a fault may keep nodes from their work.
type trouble struct{ from, to time.Time }

// note keeps when a window that begins may be felt.
func (w *World) note(f *fault.Fault, length time.Duration) {
	t := trouble{w.now(), w.now()}
	if !slices.Contains(momentary, f.What) {
		t.to = t.from.Add(length)
	}
	ahead := time.Duration(0)
	switch f.What {
	case "clock.skew", "clock.jump":
		ahead = f.Params.Ahead
	case "clock.drift":
		ahead = time.Duration(float64(length) * f.Params.PPM / 1e6)
	}
	t.to = t.to.Add(time.Duration(float64(max(ahead, 0)) / -sched.SlowestClock)) // to be right again
	w.troubles = append(w.troubles, t)
}

// troubled is for how much of a stretch of time faults may have kept nodes from
// their work, each for some time more than it lasted.
func (w *World) troubled(from, to time.Time, more time.Duration) (d time.Duration) {
	for _, t := range w.troubles { // in the order of their beginnings
		begin, end := t.from, t.to.Add(more)
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		if end.After(begin) {
			d += end.Sub(begin)
			from = end // what lasts together counts once
		}
	}
	return d
}

// hindered is how long the faults of a scenario may keep a validator from its work
// in a run of a length, all together.
func (w *World) hindered(faults []fault.Fault, length time.Duration) (d time.Duration) {
	for i := range faults {
		f := &faults[i]
		t, err := fault.ParseTarget(f.Target)
		if err == nil && !slices.Contains(momentary, f.What) && slices.ContainsFunc(w.targets(t), (*Host).IsValidator) {
			d += lasting(f, length)
		}
	}
	return d
}

// lasting is how long a fault's windows are together, at most, in a run of a
// length.
func lasting(f *fault.Fault, length time.Duration) time.Duration {
	if f.Windows != nil {
		sum := time.Duration(0)
		for i := range f.Windows {
			if f.Windows[i].For == 0 {
				return length
			}
			sum += f.Windows[i].For
		}
		return min(sum, length)
	}
	if f.For == 0 {
		return length
	}
	n := time.Duration(1)
	if f.Every > 0 {
		n += length / f.Every
	}
	return min(n*f.For, length)
}

package sim

import (
	"fmt"
	"time"

	"bettensor/sched"
)

// DefaultLimit of the events of a run, the world's own among them: many times what
// the largest scenario of the library has (ten thousand miners for a day, a
// mainnet-like week), and minutes of one core. A world in which events make events
// without end, at one instant or not, would else be a test that hangs.
const DefaultLimit = 200_000_000

// lookedAt is how many events before the limit are looked at, to say what the
// world was doing.
const lookedAt = 10_000

// runawayLines are the last lines of the trace that are kept of a run that did
// not end.
const runawayLines = 200

// runaway is what a world does shortly before the limit of its events.
type runaway struct {
	w      *World
	last   *lastLines
	since  time.Time
	fired  uint64
	events []uint64 // of each host's loop
	loops  []*sched.Loop
}

func newRunaway(w *World) *runaway {
	r := &runaway{w: w, last: newLastLines(w, runawayLines), since: w.now(), fired: w.Sched.Fired()}
	for _, h := range w.Hosts {
		n := uint64(0)
		if h.Loop != nil {
			n = h.Loop.Events()
		}
		r.events, r.loops = append(r.events, n), append(r.loops, h.Loop)
	}
	return r
}

// text says how far the run came and what it was doing.
func (r *runaway) text(start, end time.Time) string {
	w := r.w
	all := w.Sched.Fired() - r.fired
	own, most, busiest := all, uint64(0), ""
	for i, h := range w.Hosts {
		if h.Loop == nil {
			continue
		}
		n := h.Loop.Events()
		if h.Loop == r.loops[i] {
			n -= r.events[i]
		}
		own -= min(own, n)
		if n > most {
			most, busiest = n, h.Name
		}
	}
	doing := fmt.Sprintf("the world itself had the most of the last %s, %s: frames under way, faults, what held loops back", grouped(all), grouped(own))
	if most >= own {
		doing = fmt.Sprintf("%s had the most of the last %s, %s", busiest, grouped(all), grouped(most))
	}
	share := float64(w.now().Sub(start)) / float64(end.Sub(start))
	return fmt.Sprintf("not at its end after %s events, but at %s, %.1f%% of its time; %s, in %s of virtual time; a run that is only long may have more (--limit-events)",
		grouped(w.Sched.Fired()), w.now().Format(time.DateTime), 100*share, doing, w.now().Sub(r.since).Round(time.Millisecond))
}

package sim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"bettensor/sched"
	"bettensor/sim/invariant"
)

// Moment is a point of a run, as people name it: an event of a node's bus by
// its name and which of its occurrences, counted over all nodes, or so many
// events of loops.
type Moment struct {
	Event string // of a bus, as in weights_set, or KIND.NAME of a trace line, as in host.crashed; "" for a number of events
	Nth   uint64 // from 1
}

// errMoment tells what a moment may be.
var errMoment = errors.New("expected EVENT, EVENT#N or a number of events, as in weights_set#2, host.crashed or 120000")

// ParseMoment reads a moment: weights_set is the first of its name,
// weights_set#2 the second, host.crashed the first line of that kind and name in
// a trace, 120000 the 120,000th event of all loops.
func ParseMoment(text string) (Moment, error) {
	event, number, counted := strings.Cut(text, "#")
	if n, err := strconv.ParseUint(text, 10, 64); err == nil && n > 0 {
		return Moment{Nth: n}, nil
	}
	m := Moment{Event: event, Nth: 1}
	if counted {
		n, err := strconv.ParseUint(number, 10, 64)
		if err != nil || n == 0 {
			return Moment{}, fmt.Errorf("%w, got %q", errMoment, text)
		}
		m.Nth = n
	}
	if strings.Trim(event, "abcdefghijklmnopqrstuvwxyz_.") != "" || event == "" || strings.Count(event, ".") > 1 {
		return Moment{}, fmt.Errorf("%w, got %q", errMoment, text)
	}
	if !strings.Contains(event, ".") {
		if !slices.Contains(events, event) {
			return Moment{}, fmt.Errorf("no event %q; there are %s", event, strings.Join(events, ", "))
		}
	}
	return m, nil
}

// String is the text that ParseMoment reads as m.
func (m Moment) String() string {
	if m.Event == "" {
		return strconv.FormatUint(m.Nth, 10)
	}
	return m.Event + "#" + strconv.FormatUint(m.Nth, 10)
}

// stop ends a run before its time: at a moment, where an invariant is broken, or
// where it has had too many events.
type stop struct {
	w        *World
	checks   *invariant.Set
	moment   Moment // none with Nth 0
	failFast bool
	limit    uint64       // 0 for none
	runaway  *runaway     // since shortly before the limit
	seen     uint64       // occurrences of the moment's event
	next     sched.Tracer // that the lines are passed on to; nil for none
}

func newStop(o *RunOptions, w *World, checks *invariant.Set) *stop {
	s := &stop{w: w, checks: checks, moment: o.Until, failFast: o.FailFast, limit: o.Limit}
	if o.Limit > 0 {
		w.Sched.Limit = max(o.Limit, lookedAt+1) - lookedAt
	}
	if o.Until.Event != "" {
		s.next = w.tracing()
		w.SetTracer(s)
	}
	return s
}

// Trace counts, and passes on.
func (s *stop) Trace(l *sched.Loop, kind, name string, v any) {
	event := s.moment.Event
	if kind == "bus" && name == event || len(event) == len(kind)+1+len(name) && event[:len(kind)] == kind && event[len(kind)] == '.' && event[len(kind)+1:] == name {
		s.seen++
	}
	if s.next != nil {
		s.next.Trace(l, kind, name, v)
	}
}

// turn turns the world up to an instant, or to where the run is to end. It
// reports whether that is reached.
func (s *stop) turn(until time.Time) bool {
	if s.reached() { // by what was looked at between two turns
		return true
	}
	w := s.w
	for {
		if s.moment.Nth == 0 && !s.failFast {
			w.Run(until)
		} else if s.step(until) {
			return true
		}
		if !w.Sched.Limited() {
			return false
		}
		if s.runaway != nil {
			return true
		}
		s.runaway = newRunaway(w)
		w.Sched.Limit = s.limit
	}
}

// step is turn, looking at what each event has brought.
func (s *stop) step(until time.Time) bool {
	for {
		at, ok := s.w.Sched.Next()
		if !ok || at.After(until) {
			s.w.Run(until) // nothing is left but the time itself
			return false
		}
		if !s.w.Sched.Step() {
			return false
		}
		if s.reached() {
			return true
		}
	}
}

func (s *stop) reached() bool {
	switch {
	case s.limited() || s.failFast && s.checks.Violated():
		return true
	case s.moment.Nth == 0:
		return false
	case s.moment.Event == "":
		return s.w.Sched.Events() >= s.moment.Nth
	}
	return s.seen >= s.moment.Nth
}

// limited says that the run has had all the events that it may.
func (s *stop) limited() bool { return s.runaway != nil && s.w.Sched.Limited() }

// why says in words what ended the run.
func (s *stop) why() string {
	if s.limited() {
		return fmt.Sprintf("the limit of %s events", grouped(s.limit))
	}
	if s.failFast && s.checks.Violated() {
		return "the first violation"
	}
	return s.moment.String()
}

package sched

import (
	"math"
	"time"
)

// Timer fires a function bound once. Arming, moving and stopping it allocate
// nothing.
type Timer struct {
	scope  *Scope
	source uint32
	slot   int32 // -1 while not armed
	due    int64
	fire   func()
}

// Timer makes an unarmed timer. The name is for people.
func (s *Scope) Timer(name string, fire func()) *Timer {
	t := &Timer{scope: s, source: s.loop.source(s.name + "/" + name), slot: -1, fire: fire}
	s.OnClose(t.Stop)
	if r, ok := s.loop.drv.(registrar); ok {
		r.register(t.source, t)
	}
	return t
}

// Arm makes the timer fire after d, instead of any earlier arming. A d below
// zero counts as zero.
func (t *Timer) Arm(d time.Duration) { t.armAt(later(t.scope.loop.now, d)) }

// ArmWall makes the timer fire after d of the wall clock: for what waits on
// somebody outside, whose time is not accelerated.
func (t *Timer) ArmWall(d time.Duration) { t.Arm(t.scope.loop.Span(d)) }

// ArmAt makes the timer fire at an instant of the node's clock, at once if it
// has passed.
func (t *Timer) ArmAt(at time.Time) { t.armAt(max(nanos(at), t.scope.loop.now)) }

func (t *Timer) armAt(at int64) {
	if t.scope.closed {
		return
	}
	t.due = at
	if t.slot >= 0 {
		t.scope.loop.drv.reschedule(t.scope.loop, t.slot, at)
		return
	}
	t.slot = t.scope.loop.drv.schedule(t.scope.loop, at, t)
}

// Stop disarms the timer.
func (t *Timer) Stop() {
	if t.slot >= 0 {
		t.scope.loop.drv.unschedule(t.scope.loop, t.slot)
		t.slot = -1
	}
}

// Armed says whether the timer will fire, and when. The time is zero when it
// will not.
func (t *Timer) Armed() (time.Time, bool) {
	if t.slot < 0 {
		return time.Time{}, false
	}
	return time.Unix(0, t.due).UTC(), true
}

func (t *Timer) owner() *Loop { return t.scope.loop }

// Fire is for drivers.
func (t *Timer) Fire() {
	t.slot = -1
	l := t.scope.loop
	if t.scope.closed || !l.begin(t.source, 0, nil) {
		return
	}
	t.scope.call(t.fire)
	l.end()
}

// later is the instant d after now, which is the end of time where the sum does
// not fit: a timer armed for ever must not fire at once.
func later(now int64, d time.Duration) int64 {
	if d <= 0 {
		return now
	}
	if int64(d) > math.MaxInt64-max(now, 0) {
		return math.MaxInt64
	}
	return now + int64(d)
}

// nanos is an instant in nanoseconds, at the end of time where it does not fit.
func nanos(t time.Time) int64 {
	switch s := t.Unix(); {
	case s >= math.MaxInt64/int64(time.Second):
		return math.MaxInt64
	case s <= math.MinInt64/int64(time.Second):
		return math.MinInt64
	}
	return t.UnixNano()
}

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
	due    int64 // on the loop's mono; on its now for an appointment
	// appointment: it waits for an instant of the node's clock, however that is
	// set. All other timers wait for time to pass.
	appointment bool
	fire        func()
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
// zero counts as zero. Setting the machine's clock does not change when.
func (t *Timer) Arm(d time.Duration) { t.arm(later(t.scope.loop.mono, d), false) }

// ArmWall makes the timer fire after d of the wall clock: for what waits on
// somebody outside, whose time is not accelerated.
func (t *Timer) ArmWall(d time.Duration) { t.Arm(t.scope.loop.Span(d)) }

// ArmAt makes the timer fire at an instant of the node's clock, at once if it
// has passed, and never before. It follows the clock where that is set.
func (t *Timer) ArmAt(at time.Time) { t.arm(max(nanos(at), t.scope.loop.now), true) }

func (t *Timer) arm(due int64, appointment bool) {
	if t.scope.closed {
		return
	}
	if t.appointment != appointment {
		t.Stop()
	}
	t.due, t.appointment = due, appointment
	if t.slot >= 0 {
		t.scope.loop.drv.reschedule(t)
		return
	}
	t.slot = t.scope.loop.drv.schedule(t)
}

// Stop disarms the timer.
func (t *Timer) Stop() {
	if t.slot >= 0 {
		t.scope.loop.drv.unschedule(t)
		t.slot = -1
	}
}

// Armed says whether the timer will fire, and when by the node's clock as it goes
// now. The time is zero when it will not.
func (t *Timer) Armed() (time.Time, bool) {
	if t.slot < 0 {
		return time.Time{}, false
	}
	l, at := t.scope.loop, t.due
	if !t.appointment {
		at = later(l.now, time.Duration(t.due-l.mono))
	}
	return time.Unix(0, at).UTC(), true
}

func (t *Timer) owner() *Loop { return t.scope.loop }

// passed says whether the timer is due.
func (t *Timer) passed() bool {
	if t.appointment {
		return t.due <= t.scope.loop.now
	}
	return t.due <= t.scope.loop.mono
}

// Fire is for drivers.
func (t *Timer) Fire() {
	t.slot = -1
	l := t.scope.loop
	if t.scope.closed {
		return
	}
	if !t.passed() { // the clock was set, or goes slower than it was thought to
		t.slot = l.drv.schedule(t)
		return
	}
	if !l.begin(t.source, 0, nil) {
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

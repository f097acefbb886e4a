package sched

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// World is the virtual driver: one event heap for all loops of a simulated
// world, and the world's own events. Time stands still while an event is
// handled and jumps to the next one. Order is (time, sequence number), unless
// Explore permutes what is due at one instant.
type World struct {
	q     queue
	now   int64
	seed  uint64
	count uint64
	fired uint64 // the world's own among them, and those that a pause held
	hash  uint64
	order explorer

	// SliceCost is the virtual time that one slice of deferred work takes; 0
	// lets long work end in the instant it began.
	SliceCost time.Duration
	// Checkpoint, where set, is told the running hash every 65,536 events, so
	// that two runs can be bisected without keeping their traces.
	Checkpoint func(event, hash uint64)
	// Limit, where set, is how many events are fired at most: a world whose events
	// make others without end comes to one by it. Limited then says so.
	Limit uint64
}

const checkpointEvery = 1 << 16

// NewWorld starts a world at an instant. The seed is the root of every stream.
func NewWorld(start time.Time, seed uint64) *World {
	return &World{now: start.UnixNano(), seed: seed}
}

// Now is the world's time.
func (w *World) Now() time.Time { return time.Unix(0, w.now).UTC() }

// Seed is the seed of the run.
func (w *World) Seed() uint64 { return w.seed }

// Events counts what entered the world's loops. The world's own events are not
// among them.
func (w *World) Events() uint64 { return w.count }

// Fired counts what left the heap: what entered loops, the world's own events,
// and what was put back because a loop was paused.
func (w *World) Fired() uint64 { return w.fired }

// Limited says that nothing more is fired because of Limit.
func (w *World) Limited() bool { return w.Limit > 0 && w.fired >= w.Limit }

// Hash is the running hash over all loops' events in their common order.
func (w *World) Hash() uint64 { return w.hash }

// Pending counts the events in the heap.
func (w *World) Pending() int { return w.q.len() }

// NewLoop makes a node's loop in this world. The incarnation tells a restarted
// node's random streams from those of the one that was killed.
func (w *World) NewLoop(name string, incarnation int) *Loop {
	l := newLoop(name, fmt.Sprint(incarnation), w.seed, w)
	l.setClocks(w.now, w.now, 1)
	return l
}

// Push makes an event of the world due at an instant, at once if it has passed.
func (w *World) Push(at time.Time, ev Event) { w.pushWorld(max(nanos(at), w.now), ev) }

// After makes an event of the world due after d.
func (w *World) After(d time.Duration, ev Event) { w.pushWorld(later(w.now, d), ev) }

// Func is a world event that calls a function.
type Func func()

// Fire calls the function.
func (f Func) Fire() { f() }

// Kill ends a loop: nothing enters it any more. What it held is dropped as it
// falls due.
func (w *World) Kill(l *Loop) { l.dead = true }

// Dead says whether the loop was killed.
func (l *Loop) Dead() bool { return l.dead }

// Pause holds what is due for a loop until an instant, in order, as a stopped
// process or machine does. A pause can be made longer, not shorter.
func (w *World) Pause(l *Loop, until time.Time) { l.pausedUntil = max(l.pausedUntil, nanos(until)) }

// skew is how a machine's clock is off: ahead of the world's at an instant of the
// world, and gaining from there on.
type skew struct {
	ahead, since int64
	gain         float64 // of a nanosecond, each nanosecond
}

// at is what the machine's clock shows at an instant of the world.
func (s *skew) at(world int64) int64 {
	clock := world + s.ahead
	if s.gain != 0 {
		clock += int64(float64(world-s.since) * s.gain)
	}
	return clock
}

// when is the instant of the world at which the machine's clock shows an instant,
// within a nanosecond or two.
func (s *skew) when(clock int64) int64 {
	world := later(clock, time.Duration(-s.ahead))
	if s.ahead > 0 {
		world = clock - s.ahead // clock is not below the node's now: no overflow
	}
	if s.gain != 0 && world < math.MaxInt64 {
		world -= int64(float64(world-s.since) * (s.gain / (1 + s.gain)))
	}
	return world
}

// SlowestClock is what a machine's clock gains on time at the least: it loses half.
// Who puts a clock right bit by bit goes no faster than that.
const SlowestClock = -0.5

// SetClock sets how far a machine's clock is ahead of the world's and how fast it
// gains on it, in parts of a million and not under SlowestClock. A node that runs sees its Now jump ahead, or
// slow down where its clock is set back; one that nothing has entered begins with
// the clock as it is. Timers wait for time and not for clocks, but for those of
// ArmAt, which follow.
func (w *World) SetClock(l *Loop, ahead time.Duration, gainPPM float64) {
	w.tick(l) // until now by the clock as it was
	l.clock = skew{ahead: int64(ahead), since: w.now, gain: max(gainPPM/1e6, SlowestClock)}
	if l.events == 0 {
		l.setClocks(l.clock.at(w.now), l.clock.at(w.now), 1)
		l.mono = w.now
	}
	var armed []item
	for _, it := range w.q.items {
		if it.seq < firstSeq {
			continue // due already, and held by a pause
		}
		if t, ok := w.q.slots[it.slot].ev.(*Timer); ok && t.appointment && t.owner() == l {
			armed = append(armed, it)
		}
	}
	slices.SortFunc(armed, func(a, b item) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.seq, b.seq)) })
	for _, it := range armed {
		w.reschedule(w.q.slots[it.slot].ev.(*Timer))
	}
}

// Ahead is how far the clock of a loop's machine is ahead of the world's.
func (w *World) Ahead(l *Loop) time.Duration { return time.Duration(l.clock.at(w.now) - w.now) }

// Step fires the next event. It reports false when nothing is left, or Limited.
func (w *World) Step() bool {
	if w.q.len() == 0 || w.Limited() {
		return false
	}
	w.fired++
	at, ev := w.q.pop()
	if at < w.now {
		panic("sched: virtual time went backwards")
	}
	w.now = at
	o, ok := ev.(owned)
	if !ok {
		ev.Fire()
		return true
	}
	l := o.owner()
	if l.dead || l.pausedUntil > at {
		s := int32(-1) // the slot is another's from now on
		if !l.dead {
			// Before what is due at that very instant: it was due earlier.
			s = w.q.pushFirst(l.pausedUntil, ev)
		}
		if t, ok := ev.(*Timer); ok {
			t.slot = s
		}
		return true
	}
	w.tick(l)
	before := l.events
	w.order.cause = l.lane
	ev.Fire()
	w.order.cause = 0
	if l.events != before {
		w.count++
		w.hash = mix(w.hash^l.hash, w.count)
		if w.Checkpoint != nil && w.count%checkpointEvery == 0 {
			w.Checkpoint(w.count, w.hash)
		}
	}
	return true
}

// tick reads the clock of a loop's machine.
func (w *World) tick(l *Loop) {
	l.now = onward(l.now, l.clock.at(w.now), time.Duration(w.now-l.mono))
	l.wall, l.mono = l.now, w.now
}

// Run fires what is due up to and including an instant, and leaves the world
// at that instant; where it is Limited before that, at the last event.
func (w *World) Run(until time.Time) {
	end := until.UnixNano()
	for w.q.len() > 0 && w.q.items[0].at <= end {
		if !w.Step() {
			return
		}
	}
	w.now = max(w.now, end)
}

// Next is the instant of the next event.
func (w *World) Next() (time.Time, bool) {
	if w.q.len() == 0 {
		return time.Time{}, false
	}
	return time.Unix(0, w.q.items[0].at).UTC(), true
}

func (w *World) schedule(t *Timer) int32 {
	at := w.due(t)
	return w.q.push(at, w.order.draw(at, t.scope.loop.lane), t)
}

func (w *World) reschedule(t *Timer) {
	at := w.due(t)
	w.q.move(t.slot, at, w.order.draw(at, t.scope.loop.lane))
}

func (w *World) unschedule(t *Timer) { w.q.remove(t.slot) }

// due is the world's instant at which a timer is due.
func (w *World) due(t *Timer) int64 {
	if !t.appointment {
		return max(t.due, w.now) // a virtual loop's mono is the world's time
	}
	if t.passed() {
		return w.now
	}
	l := t.scope.loop
	// Where the clock was set back, Now gets there at half its pace, if not before.
	left := time.Duration(t.due - l.now)
	at := min(l.clock.when(t.due), later(later(l.mono, left), left))
	return max(at, w.now+1) // rounding must not make it come again and again at one instant
}

func (w *World) post(l *Loop, ev Event) bool {
	if l.dead {
		return false
	}
	var draw uint64
	if w.order.on {
		draw = w.order.draw(w.now, ev.(laned).lane())
	}
	w.q.push(w.now, draw, ev)
	return true
}

func (w *World) postpone(l *Loop, ev Event) {
	at := later(w.now, w.SliceCost)
	w.q.push(at, w.order.draw(at, l.lane), ev)
}

// Deliver makes an item enter a virtual loop's inbox at an instant, as a frame
// under way does: one event, where Offer from a world event would be two. It
// reports false, and counts the item as shed, when the inbox is full: what is
// under way has its place already.
func Deliver[E any](w *World, in *Inbox[E], at time.Time, e E) bool {
	return DeliverOn(w, in, in.lane, at, &e)
}

// DeliverOn is Deliver for items too large to pass around, of which *e is copied
// once, and for inboxes that many senders fill: items of one lane keep their
// order, whatever Explore does with those of others.
func DeliverOn[E any](w *World, in *Inbox[E], lane uint64, at time.Time, e *E) bool {
	if !in.reserve() {
		return false
	}
	due := max(nanos(at), w.now)
	p := in.wrap(e)
	p.from = lane
	w.q.push(due, w.order.draw(due, lane), p)
	return true
}

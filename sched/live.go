package sched

import (
	"context"
	"sync"
	"time"

	"github.com/benbjohnson/clock"
)

// Live turns one loop on one goroutine and a real clock.
type Live struct {
	loop    *Loop
	clk     clock.Clock
	node    NodeClock
	began   time.Time // by the wall clock
	elapsed func() time.Duration

	timers       queue // by the loop's mono; both are owned by its goroutine
	appointments queue // by the loop's now

	mu     sync.Mutex
	posted []Event // handed over, oldest first
	wake   chan struct{}
	closed bool

	postponed []Event // slices of long work, behind everything else
	stop      chan struct{}
	stopOnce  sync.Once
	startOnce sync.Once // what comes first: Start, or a Stop without one
	done      chan struct{}
	batch     []Event
}

// timersPerTurn bounds how many due timers fire before the inbox is looked at
// again, so that a burst of timers cannot keep ingest waiting.
const timersPerTurn = 64

// LiveOptions configure a live loop.
type LiveOptions struct {
	Name string
	// Seed of the loop's random streams. Production draws it from the system
	// once; a recording holds it.
	Seed uint64
	// Clock to live by, the wall clock; nil for the system's.
	Clock clock.Clock
	// Elapsed is how long the loop has been there, by a clock that nobody sets; nil
	// for the monotonic reading of Clock's times, which the system's have.
	Elapsed func() time.Duration
	// Node is the node's clock as a function of the wall clock; the zero value
	// is the wall clock itself.
	Node NodeClock
	// Recorder, where set, is given everything that enters.
	Recorder *Recorder
}

// NodeClock runs Speed times as fast as the wall clock. At Wall it shows Node.
// The zero value is the wall clock.
type NodeClock struct {
	Wall, Node time.Time
	Speed      float64
}

// At is what the clock shows at an instant of the wall clock.
func (c NodeClock) At(wall time.Time) time.Time {
	if c.Speed == 0 {
		return wall
	}
	return c.Node.Add(time.Duration(float64(wall.Sub(c.Wall)) * c.Speed))
}

// pace is the clock's speed against the wall clock.
func (c NodeClock) pace() float64 {
	if c.Speed == 0 {
		return 1
	}
	return c.Speed
}

// NewLive makes a live loop. Build the node on Loop(), then call Start.
func NewLive(o LiveOptions) *Live {
	if o.Clock == nil {
		o.Clock = clock.New()
	}
	v := &Live{clk: o.Clock, node: o.Node, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	v.loop = newLoop(o.Name, "live", o.Seed, v)
	wall := v.clk.Now()
	v.began, v.elapsed = wall, o.Elapsed
	if o.Elapsed == nil {
		v.elapsed = func() time.Duration { return v.clk.Now().Sub(wall) }
	}
	v.loop.setClocks(v.node.At(wall).UnixNano(), wall.UnixNano(), o.Node.pace())
	if o.Recorder != nil {
		v.loop.Record(o.Recorder)
	}
	return v
}

// Loop is the loop that is turned.
func (v *Live) Loop() *Loop { return v.loop }

// Start begins to turn the loop. After Stop it does nothing.
func (v *Live) Start() { v.startOnce.Do(func() { go v.run() }) }

// Stop ends the loop after the event it is handling, and waits for that as
// long as ctx allows. What is still queued is dropped. Not for the loop's own
// handlers, which it would wait for.
func (v *Live) Stop(ctx context.Context) error {
	v.stopOnce.Do(func() {
		v.mu.Lock()
		v.closed = true
		v.mu.Unlock()
		close(v.stop)
		v.startOnce.Do(func() { close(v.done) })
	})
	select {
	case <-v.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Done is closed when the loop has ended.
func (v *Live) Done() <-chan struct{} { return v.done }

// Inspect runs f on the loop between two events and waits for it. f may look
// at the services' state and must not change it: it is neither recorded nor
// hashed. It reports false when the loop has ended before f could run. Not for
// the loop's own handlers, which it would wait for.
func (v *Live) Inspect(f func()) bool {
	ran := make(chan struct{})
	if !v.post(v.loop, inspection(func() { f(); close(ran) })) {
		return false
	}
	select {
	case <-ran:
		return true
	case <-v.done:
	}
	select {
	case <-ran: // it was the last thing the loop did
		return true
	default:
		return false
	}
}

type inspection func()

func (i inspection) Fire() { i() }

func (v *Live) read() {
	wall := v.clk.Now()
	v.loop.tick(v.node.At(wall).UnixNano(), wall.UnixNano(), v.node.At(v.began.Add(v.elapsed())).UnixNano())
}

// due takes out the next timer that is due.
func (v *Live) due() (Event, bool) {
	l := v.loop
	for _, x := range []struct {
		q    *queue
		upTo int64
	}{{&v.timers, l.mono}, {&v.appointments, l.now}} {
		if x.q.len() > 0 && x.q.items[0].at <= x.upTo {
			_, ev := x.q.pop()
			return ev, true
		}
	}
	return nil, false
}

// idleFor is how long the loop may sleep, 0 where something is due.
func (v *Live) idleFor() time.Duration {
	v.read()
	l, wait := v.loop, time.Hour
	sleep := func(d int64, pace float64) {
		if d > 0 {
			d = max(int64(float64(d)/pace), 1)
		}
		wait = min(wait, time.Duration(max(d, 0)))
	}
	if v.timers.len() > 0 {
		sleep(v.timers.items[0].at-l.mono, l.pace)
	}
	if v.appointments.len() > 0 {
		pace := l.pace
		if l.now > v.node.At(v.clk.Now()).UnixNano() {
			pace /= 2 // as Loop.Now goes while the clock that was set back catches up
		}
		sleep(v.appointments.items[0].at-l.now, pace)
	}
	return wait
}

func (v *Live) run() {
	defer close(v.done)
	idle := v.clk.Timer(time.Hour)
	defer idle.Stop()
	for {
		busy := false
		v.mu.Lock()
		v.batch, v.posted = v.posted, v.batch[:0]
		v.mu.Unlock()
		for i, ev := range v.batch {
			if v.stopping() {
				return
			}
			v.batch[i] = nil
			v.read()
			ev.Fire()
			busy = true
		}
		v.read()
		for range timersPerTurn {
			if v.stopping() {
				return
			}
			ev, ok := v.due()
			if !ok {
				break
			}
			v.read()
			ev.Fire()
			busy = true
		}
		if v.stopping() {
			return
		}
		// One slice a turn, however busy: behind what was waiting, but not
		// behind all that will ever come.
		if len(v.postponed) > 0 {
			ev := v.postponed[0]
			v.postponed[0] = nil
			v.postponed = v.postponed[1:]
			v.read()
			ev.Fire()
			busy = true
		}
		if busy {
			continue
		}
		wait := v.idleFor()
		if wait == 0 {
			continue
		}
		idle.Reset(wait)
		select {
		case <-v.wake:
		case <-idle.C:
		case <-v.stop:
			return
		}
	}
}

func (v *Live) stopping() bool {
	select {
	case <-v.stop:
		return true
	default:
		return false
	}
}

// queue is where a timer waits.
func (v *Live) queue(t *Timer) *queue {
	if t.appointment {
		return &v.appointments
	}
	return &v.timers
}

func (v *Live) schedule(t *Timer) int32    { return v.queue(t).push(t.due, 0, t) }
func (v *Live) reschedule(t *Timer)        { v.queue(t).move(t.slot, t.due, 0) }
func (v *Live) unschedule(t *Timer)        { v.queue(t).remove(t.slot) }
func (v *Live) postpone(_ *Loop, ev Event) { v.postponed = append(v.postponed, ev) }

func (v *Live) post(_ *Loop, ev Event) bool {
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return false
	}
	v.posted = append(v.posted, ev)
	v.mu.Unlock()
	select {
	case v.wake <- struct{}{}:
	default:
	}
	return true
}

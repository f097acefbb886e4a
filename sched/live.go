package sched

import (
	"context"
	"sync"
	"time"

	"github.com/benbjohnson/clock"
)

// Live turns one loop on one goroutine and a real clock.
type Live struct {
	loop   *Loop
	clk    clock.Clock
	node   NodeClock
	timers queue // owned by the loop's goroutine

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
	l := v.loop
	wall := v.clk.Now()
	l.wall = max(l.wall, wall.UnixNano()) // a clock set back makes time stand, not return
	l.now = max(l.now, v.node.At(wall).UnixNano())
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
		for n := 0; n < timersPerTurn && v.timers.len() > 0 && v.timers.items[0].at <= v.loop.now; n++ {
			if v.stopping() {
				return
			}
			_, ev := v.timers.pop()
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
		wait := time.Hour
		if v.timers.len() > 0 {
			// By the clock and not by the loop's time, which stands while a clock
			// that was set back catches up: that must be a sleep and not a spin.
			due := time.Duration(v.timers.items[0].at - v.node.At(v.clk.Now()).UnixNano())
			if due <= 0 {
				continue
			}
			wait = min(wait, max(time.Duration(float64(due)/v.loop.pace), 1))
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

func (v *Live) schedule(_ *Loop, at int64, ev Event) int32 { return v.timers.push(at, 0, ev) }
func (v *Live) reschedule(_ *Loop, slot int32, at int64)   { v.timers.move(slot, at, 0) }
func (v *Live) unschedule(_ *Loop, slot int32)             { v.timers.remove(slot) }
func (v *Live) postpone(_ *Loop, ev Event)                 { v.postponed = append(v.postponed, ev) }

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

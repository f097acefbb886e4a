// Package sched is the loop on which a node's services live, and the two
// drivers that turn it: live, on one goroutine per loop and a real clock; and
// virtual, on one event heap per simulated world. It knows nothing of betting.
//
// A loop owns its services' state. What enters it is data: a timer firing, an
// item of an Inbox, the completion of a Port, a deferred slice of long work.
// Each is stamped with the time, folded into a running hash, recorded where a
// Recorder is set, and handled; then the bus drains; then the next one comes.
// A handler never blocks. Whatever may wait is started through a Port.
//
// Read loop.go (Loop, Scope), then timer.go, inbox.go, port.go, task.go for
// what a service may hold, then virtual.go with explore.go, live.go and record.go
// for who turns the loop. bus, store, node and sim call it.
package sched

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/cespare/xxhash/v2"
)

// driver turns a loop.
type driver interface {
	// schedule makes a timer due as it says itself; its slot is what moves or
	// removes it.
	schedule(t *Timer) (slot int32)
	reschedule(t *Timer)
	unschedule(t *Timer)
	// post makes ev due at once, from any goroutine where the driver is live.
	// False: the loop has ended.
	post(l *Loop, ev Event) bool
	// postpone makes a slice of long work due behind what is waiting.
	postpone(l *Loop, ev Event)
}

// Tracer is told what passes through a loop. It must not keep v.
type Tracer interface {
	Trace(l *Loop, kind, name string, v any)
}

// Panic is what a recovered panic of a service leaves.
type Panic struct {
	Scope *Scope
	Value any
	Stack string
}

func (p Panic) Error() string { return fmt.Sprintf("panic in %s: %v", p.Scope.name, p.Value) }

// Loop is the single thread of one node. All methods but those of Inbox are
// for the loop's own handlers.
type Loop struct {
	name        string
	lane        uint64 // of its timers and slices (World.Explore)
	seed        uint64
	incarnation string

	drv       driver
	now, wall int64   // of the event being handled, nanoseconds
	mono      int64   // what now would be, had nobody set the machine's clock since the loop began
	pace      float64 // node time per wall time; 1 but in an accelerated localnet
	clock     skew    // of the machine against the world (virtual driver)

	hash    uint64
	settled uint64 // hash when the last event had been handled
	events  uint64
	buf     []byte   // scratch of the encoder
	sources []string // names, by number less one
	tracer  Tracer
	rec     *Recorder
	meter   func() int64

	after   []func()
	onPanic func(Panic)
	onTask  func(TaskEvent)
	tasks   []*Task
	scopes  map[string]*Scope // the latest of each name
	streams map[string]*rand.Rand

	dead        bool
	pausedUntil int64
	onInput     func(*Loop)
}

func newLoop(name, incarnation string, seed uint64, drv driver) *Loop {
	// Two loops that see the same must not be taken for each other.
	hash := xxhash.Sum64String(name + "\x00" + incarnation)
	return &Loop{name: name, lane: Lane(name), incarnation: incarnation, seed: seed, drv: drv, pace: 1, hash: hash, settled: hash, streams: map[string]*rand.Rand{}, scopes: map[string]*Scope{},
		onPanic: func(p Panic) { panic(fmt.Sprintf("%v\n%s", p.Error(), p.Stack)) }}
}

// Name is the node's name.
func (l *Loop) Name() string { return l.name }

// Now is the node's clock: fixed while one event is handled, never backwards.
// Where the machine's clock is set back, Now goes on at half its pace until it is
// right again: time neither returns nor stands. Timers do not mind, but for those
// of ArmAt.
func (l *Loop) Now() time.Time { return time.Unix(0, l.now).UTC() }

// Wall is the transport's clock: freshness, nonces, and how long to wait for
// anything outside. It differs from Now only in an accelerated localnet.
func (l *Loop) Wall() time.Time { return time.Unix(0, l.wall).UTC() }

// setClocks sets the time on both clocks and how fast the node's runs against the
// wall's. Where they differ that is part of what the loop is, and of its hash.
func (l *Loop) setClocks(now, wall int64, pace float64) {
	l.now, l.wall, l.mono, l.pace = now, wall, now, pace
	if pace != 1 || wall != now {
		l.hash = mix(l.hash^math.Float64bits(pace), uint64(wall-now))
		l.settled = l.hash
	}
}

// tick reads the machine's clock, as the node's and as the wall's time, and the
// time that nobody sets.
func (l *Loop) tick(now, wall, mono int64) {
	elapsed := max(mono-l.mono, 0)
	l.wall = onward(l.wall, wall, time.Duration(float64(elapsed)/l.pace))
	l.now = onward(l.now, now, time.Duration(elapsed))
	l.mono += elapsed
}

// onward is a clock that showed was and should show now, after a while. It never
// goes back: it slows down until it is right. Nor does it stand still, however
// often it is read: who waits for the rest of a while, again and again, comes to
// its end.
func onward(was, now int64, elapsed time.Duration) int64 {
	return max(now, was+int64((elapsed+1)/2))
}

// Span is a stretch of the wall's time on the node's clock.
func (l *Loop) Span(d time.Duration) time.Duration {
	if l.pace == 1 {
		return d
	}
	return time.Duration(min(float64(d)*l.pace, math.MaxInt64/2))
}

// Events counts what has entered the loop.
func (l *Loop) Events() uint64 { return l.events }

// Hash is the running hash over every event that entered the loop and every
// effect that left it, in order, with their times.
func (l *Loop) Hash() uint64 { return l.hash }

// SetTracer sets who is told what passes; nil for nobody.
func (l *Loop) SetTracer(t Tracer) { l.tracer = t }

// Tracing says whether a Trace call would reach anybody.
func (l *Loop) Tracing() bool { return l.tracer != nil }

// Trace tells the tracer. It changes no hash.
func (l *Loop) Trace(kind, name string, v any) {
	if l.tracer != nil {
		l.tracer.Trace(l, kind, name, v)
	}
}

// SetMeter injects a clock for handler durations, in nanoseconds. The
// simulator sets none, so that statistics stay outside what is deterministic.
func (l *Loop) SetMeter(nanos func() int64) { l.meter = nanos }

// Metered says whether there is a meter to read.
func (l *Loop) Metered() bool { return l.meter != nil }

// Meter reads the injected clock; 0 without one.
func (l *Loop) Meter() int64 {
	if l.meter == nil {
		return 0
	}
	return l.meter()
}

// AfterEvent adds a hook that runs when an event has been handled, before the
// next one. The bus drains here.
func (l *Loop) AfterEvent(f func()) { l.after = append(l.after, f) }

// OnPanic sets who decides about a service that panicked. Without it the panic
// goes on.
func (l *Loop) OnPanic(f func(Panic)) { l.onPanic = f }

// OnTask sets who is told of task runs.
func (l *Loop) OnTask(f func(TaskEvent)) { l.onTask = f }

// OnInput sets a hook that runs before each event is handled; the simulator's
// crash tests count and kill here.
func (l *Loop) OnInput(f func(*Loop)) { l.onInput = f }

// Record gives everything that enters the loop to r. Call it before anything is
// built on the loop.
func (l *Loop) Record(r *Recorder) {
	l.rec = r
	r.begin(l)
}

// Tasks returns the statistics of all tasks, in order of creation. A task of a
// detached service stays until the service is rebuilt, and then counts on.
func (l *Loop) Tasks() []TaskStats {
	out := make([]TaskStats, 0, len(l.tasks))
	for _, t := range l.tasks {
		out = append(out, t.Stats())
	}
	return out
}

// Stream returns the node's random stream of a name, seeded from (seed, node,
// incarnation, name): a restarted node draws anew and never repeats an id.
func (l *Loop) Stream(name string) *rand.Rand {
	r, ok := l.streams[name]
	if !ok {
		r = NewStream(l.seed, l.name, l.incarnation, name)
		l.streams[name] = r
	}
	return r
}

// Effect folds something that leaves the node (a frame, a request) into the
// hash, so that a replay is compared in what it does and not only in what it saw.
func (l *Loop) Effect(kind uint32, payload []byte) {
	l.hash = mix(l.hash^xxhash.Sum64(payload), uint64(kind)<<1)
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xd1b54a32d192ed03)
	return hi ^ lo ^ a>>32
}

// begin takes in an event of a source. It reports false where the event must
// not be handled because the loop was killed by its input hook.
func (l *Loop) begin(source uint32, sum uint64, payload []byte) bool {
	l.events++
	before := l.hash
	h := before ^ uint64(l.now) ^ bits.RotateLeft64(uint64(l.wall-l.now), 32) ^ bits.RotateLeft64(uint64(l.mono-l.now), 16)
	l.hash = mix(h^sum, uint64(source)<<1|1)
	if l.onInput != nil {
		l.onInput(l)
		if l.dead {
			return false
		}
	}
	if l.rec != nil {
		l.rec.input(l, source, payload, before)
	}
	return true
}

func (l *Loop) end() {
	if l.dead {
		return
	}
	for _, f := range l.after {
		f()
	}
	l.settled = l.hash
}

// source numbers something that can enter the loop. Numbers follow the order of
// construction, so a replay that builds the same node gives the same ones.
func (l *Loop) source(name string) uint32 {
	l.sources = append(l.sources, name)
	return uint32(len(l.sources))
}

// SourceName names a source for people.
func (l *Loop) SourceName(source uint32) string {
	if i := int(source) - 1; i >= 0 && i < len(l.sources) {
		return l.sources[i]
	}
	return "unknown"
}

// Scope is one service's hold on a loop: its timers, inboxes, ports, tasks and
// subscriptions. Close lets go of all of them, so that a service whose state is
// in doubt can be dropped and built again while the others go on.
type Scope struct {
	loop    *Loop
	name    string
	closed  bool
	doom    error // what the next call into the service panics with
	cancels []func()
	slices  uint32 // source of deferred slices
}

// Scope opens a service's hold on the loop.
func (l *Loop) Scope(name string) *Scope {
	s := &Scope{loop: l, name: name, slices: l.source(name + "/slice")}
	l.scopes[name] = s
	return s
}

// Doom makes the next call into a service panic with err, as a mistake in its
// handler would: the call is lost, and OnPanic is told. It is how a simulated
// world injects one. False: no such service is on the loop now.
func (l *Loop) Doom(service string, err error) bool {
	s := l.scopes[service]
	if s == nil || s.closed {
		return false
	}
	s.doom = err
	return true
}

// Loop is the loop held.
func (s *Scope) Loop() *Loop { return s.loop }

// Name is the service's name.
func (s *Scope) Name() string { return s.name }

// Now is Loop.Now.
func (s *Scope) Now() time.Time { return s.loop.Now() }

// Stream is the node's stream of this service and name.
func (s *Scope) Stream(name string) *rand.Rand { return s.loop.Stream(s.name + "/" + name) }

// Closed says whether the service has been detached.
func (s *Scope) Closed() bool { return s.closed }

// OnClose adds something to undo when the service is detached; at once, if it
// has been.
func (s *Scope) OnClose(f func()) {
	if s.closed {
		f()
		return
	}
	s.cancels = append(s.cancels, f)
}

// Close detaches the service: timers stop, inboxes and ports deliver nothing
// more, subscriptions end. What was added last is undone first.
func (s *Scope) Close() {
	if s.closed {
		return
	}
	s.closed = true
	for i := len(s.cancels) - 1; i >= 0; i-- {
		s.cancels[i]()
	}
	s.cancels = nil
}

// Recover must be deferred around every call into the service: it turns a
// panic into a report to OnPanic.
func (s *Scope) Recover() {
	if v := recover(); v != nil {
		s.Panicked(v)
	}
}

// Panicked reports a panic that the caller has recovered from a call into the
// service.
func (s *Scope) Panicked(v any) {
	s.loop.onPanic(Panic{Scope: s, Value: v, Stack: string(debug.Stack())})
}

// Enter must be called at the begin of every call into the service, behind the
// deferred Recover.
func (s *Scope) Enter() {
	if err := s.doom; err != nil {
		s.doom = nil
		panic(err)
	}
}

func (s *Scope) call(f func()) {
	defer s.Recover()
	s.Enter()
	f()
}

// Defer runs a slice of long work behind the events that are waiting, again
// and again while it reports more. A slice is bounded by rows, never by elapsed
// time: its size must not depend on the machine.
func (s *Scope) Defer(step func() (more bool)) {
	d := &slice{scope: s, source: s.slices, step: step}
	s.loop.drv.postpone(s.loop, d)
}

type slice struct {
	scope  *Scope
	source uint32
	step   func() bool
	more   bool
}

func (d *slice) owner() *Loop { return d.scope.loop }

// Fire runs one slice.
func (d *slice) Fire() {
	l := d.scope.loop
	if d.scope.closed || !l.begin(d.source, 0, nil) {
		return
	}
	d.more = false
	d.scope.call(d.run)
	l.end()
	if d.more && !d.scope.closed && !l.dead {
		l.drv.postpone(l, d)
	}
}

func (d *slice) run() { d.more = d.step() }

// owned is an event of a loop, as against one of the world.
type owned interface {
	Event
	owner() *Loop
}

package sched

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEventsComeByTimeAndThenByArming(t *testing.T) {
	w, l := virtualLoop(t)
	s := l.Scope("s")
	var got []string
	note := func(name string) *Timer {
		return s.Timer(name, func() { got = append(got, fmt.Sprint(name, " ", l.Now().Sub(start))) })
	}
	a, b, c, d := note("a"), note("b"), note("c"), note("d")
	a.Arm(2 * time.Second)
	b.Arm(time.Second)
	c.Arm(time.Second)
	d.Arm(time.Second)
	b.Arm(time.Second) // moved behind c and d
	in := NewInbox(s, "in", 4, number, func(e *int64) { got = append(got, fmt.Sprint("in ", *e, " ", l.Now().Sub(start))) })
	Deliver(w, in, start.Add(time.Second), 7)
	in.Offer(8)
	c.Stop()
	w.Run(start.Add(time.Minute))
	want := []string{"in 8 0s", "d 1s", "b 1s", "in 7 1s", "a 2s"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	same(t, "world's time after Run", w.Now(), start.Add(time.Minute))
	same(t, "pending", w.Pending(), 0)
	same(t, "events", w.Events(), 5)
}

// TestLimit: a world whose events make others without end comes to an end, and
// may be turned on from there.
func TestLimit(t *testing.T) {
	w := NewWorld(start, 1)
	var again Func
	again = func() { w.After(0, again) }
	w.After(time.Second, again)
	w.Limit = 1000
	w.Run(start.Add(time.Minute))
	same(t, "fired", w.Fired(), 1000)
	same(t, "limited", w.Limited(), true)
	same(t, "world's time", w.Now(), start.Add(time.Second))
	same(t, "a step more", w.Step(), false)
	w.Limit = 1001
	same(t, "a step under a higher limit", w.Step(), true)
	same(t, "fired in the end", w.Fired(), 1001)
}

func busyWorld(seed uint64, d time.Duration) *World {
	w := NewWorld(start, seed)
	w.SliceCost = 10 * time.Millisecond
	for _, name := range []string{"a", "b"} {
		b := newBusy(w.NewLoop(name, 0), "busy", unreliable(w, name))
		feed(w, b.in, name)
	}
	w.Run(start.Add(d))
	return w
}

func TestSameSeedSameHash(t *testing.T) {
	one, two, other := busyWorld(1, time.Minute), busyWorld(1, time.Minute), busyWorld(2, time.Minute)
	same(t, "hash of the same seed", two.Hash(), one.Hash())
	same(t, "events of the same seed", two.Events(), one.Events())
	if other.Hash() == one.Hash() {
		t.Error("another seed gives the same run")
	}
	if one.Events() < 300 {
		t.Errorf("only %d events", one.Events())
	}
}

// Two nodes that see the same inputs are still two nodes.
func TestHashTellsLoopsApart(t *testing.T) {
	run := func(to int) uint64 {
		w := NewWorld(start, 1)
		var ins []*Inbox[int64]
		for _, name := range []string{"a", "b"} {
			ins = append(ins, NewInbox(w.NewLoop(name, 0).Scope("s"), "in", 4, number, func(*int64) {}))
		}
		ins[to].Offer(5)
		w.Run(start)
		return w.Hash()
	}
	if run(0) == run(1) {
		t.Error("the hash does not say which node an input reached")
	}
}

func TestKilledLoopIsSilentAndLetsGo(t *testing.T) {
	w, l := virtualLoop(t)
	other := w.NewLoop("other", 0)
	fired := 0
	mine := l.Scope("s").Timer("mine", func() { t.Error("a killed loop handled a timer") })
	mine.Arm(time.Second)
	in := NewInbox(l.Scope("i"), "in", 4, number, func(*int64) { t.Error("a killed loop handled an item") })
	Deliver(w, in, start.Add(time.Second), 1)
	w.Kill(l)
	if in.Offer(2) {
		t.Error("a killed loop took an item")
	}
	w.Run(start.Add(2 * time.Second))
	same(t, "dead", l.Dead(), true)

	// The timer fell due and its place in the heap is another's now: closing the
	// dead service must not take that one out.
	theirs := other.Scope("s").Timer("theirs", func() { fired++ })
	theirs.Arm(time.Second)
	mine.Stop()
	w.Run(start.Add(5 * time.Second))
	same(t, "other node's timer", fired, 1)
}

func TestKillByTheInputHookDropsThatEvent(t *testing.T) {
	w, l := virtualLoop(t)
	s := l.Scope("s")
	handled := 0
	var tick *Timer
	tick = s.Timer("tick", func() { handled++; tick.Arm(time.Second) })
	tick.Arm(time.Second)
	l.OnInput(func(l *Loop) {
		if l.Events() == 3 {
			w.Kill(l)
		}
	})
	w.Run(start.Add(time.Minute))
	same(t, "handled", handled, 2)
}

// A stopped machine finds at its return what fell due meanwhile, in order, and
// only then what falls due at that very instant.
func TestPauseKeepsOrder(t *testing.T) {
	w, l := virtualLoop(t)
	s := l.Scope("s")
	var got []string
	note := func(name string, d time.Duration) {
		s.Timer(name, func() { got = append(got, fmt.Sprint(name, " ", l.Now().Sub(start))) }).Arm(d)
	}
	note("at-the-end", 10*time.Second)
	note("second", 2*time.Second)
	note("first", time.Second)
	gone := s.Timer("stopped", func() { t.Error("a stopped timer fired") })
	gone.Arm(3 * time.Second)
	note("third", 8*time.Second)
	note("after", 12*time.Second)
	w.Pause(l, start.Add(5*time.Second))
	w.After(4*time.Second, Func(func() { w.Pause(l, start.Add(10*time.Second)) }))
	w.After(6*time.Second, Func(func() { w.Pause(l, start.Add(7*time.Second)); gone.Stop() }))
	w.Run(start.Add(time.Minute))
	want := []string{"first 10s", "second 10s", "third 10s", "at-the-end 10s", "after 12s"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Whatever is done to a node's clock, Now neither returns nor stands, an
// appointment is kept by it, and time that passes is not measured by it.
func TestClockThatIsSet(t *testing.T) {
	set := func(ahead time.Duration, ppm float64) func(*World, *Loop) {
		return func(w *World, l *Loop) { w.SetClock(l, ahead, ppm) }
	}
	for _, tt := range []struct {
		name        string
		at          map[time.Duration]func(*World, *Loop)
		appointment time.Duration // of the world, for one at start + 1 h
		end         time.Duration // ahead after 2 h
	}{
		{"right", nil, time.Hour, 0},
		{"ahead", map[time.Duration]func(*World, *Loop){10 * time.Minute: set(10*time.Minute, 0)}, 50 * time.Minute, 10 * time.Minute},
		{"ahead of the appointment", map[time.Duration]func(*World, *Loop){10 * time.Minute: set(3*time.Hour, 0)}, 10 * time.Minute, 3 * time.Hour},
		{"back", map[time.Duration]func(*World, *Loop){10 * time.Minute: set(-10*time.Minute, 0)}, 70 * time.Minute, -10 * time.Minute},
		{"back before the appointment", map[time.Duration]func(*World, *Loop){55 * time.Minute: set(-20*time.Minute, 0)}, 65 * time.Minute, -20 * time.Minute},
		{"ahead and right again", map[time.Duration]func(*World, *Loop){10 * time.Minute: set(30*time.Minute, 0), 11 * time.Minute: set(0, 0)}, 49 * time.Minute, 0},
		{"gains", map[time.Duration]func(*World, *Loop){0: set(0, 1e5)}, time.Hour * 10 / 11, 12 * time.Minute},
		{"stands", map[time.Duration]func(*World, *Loop){0: set(0, -2e6)}, 2 * time.Hour, -time.Hour},
		{"loses", map[time.Duration]func(*World, *Loop){0: set(0, -1e5)}, time.Hour * 10 / 9, -12 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, l := virtualLoop(t)
			s := l.Scope("s")
			last, ticks := start, 0
			var tick *Timer
			tick = s.Timer("tick", func() {
				if ticks++; ticks > 1 && l.Now().Sub(last) < 400*time.Millisecond {
					t.Errorf("a second took the clock from %v to %v", last, l.Now())
				}
				same(t, fmt.Sprint("world time of tick ", ticks), w.Now().Sub(start), time.Duration(ticks)*time.Second)
				last = l.Now()
				tick.Arm(time.Second)
			})
			tick.Arm(time.Second)
			var fired []time.Duration
			due := start.Add(time.Hour)
			s.Timer("appointment", func() {
				fired = append(fired, w.Now().Sub(start).Round(time.Second))
				if l.Now().Before(due) {
					t.Errorf("an appointment at %v came at %v of the node's clock", due, l.Now())
				}
			}).ArmAt(due)
			for at, f := range tt.at {
				w.After(at, Func(func() { f(w, l) }))
			}
			w.Run(start.Add(2 * time.Hour))
			if d := cmp.Diff([]time.Duration{tt.appointment.Round(time.Second)}, fired); d != "" {
				t.Errorf("world time of the appointment: %s", d)
			}
			same(t, "ticks", ticks, 7200)
			same(t, "ahead at the end", last.Sub(w.Now()).Round(time.Second), tt.end)
		})
	}
}

// A port's deadline and a task's period do not care how its clock is set.
func TestDeadlinesDoNotCareForTheClock(t *testing.T) {
	for _, ahead := range []time.Duration{-time.Hour, time.Hour} {
		w, l := virtualLoop(t)
		s := l.Scope("s")
		var ended, runs []time.Duration
		p := NewPort(s, numberPort(time.Minute, 4), func(int64, func(Result[int64])) {},
			func(Ticket, int64, int64, error) { ended = append(ended, w.Now().Sub(start)) })
		s.Task(TaskConfig{Name: "task", Every: time.Minute, First: 30 * time.Second}, func(r *Run) {
			runs = append(runs, w.Now().Sub(start))
			r.Done(nil)
		})
		p.Start(1)
		s.Timer("later", func() { p.Start(2) }).Arm(10 * time.Second)
		w.After(20*time.Second, Func(func() { w.SetClock(l, ahead, 0) }))
		w.Run(start.Add(3 * time.Minute))
		if d := cmp.Diff([]time.Duration{time.Minute, 70 * time.Second}, ended); d != "" {
			t.Errorf("deadlines, clock set %v: %s", ahead, d)
		}
		if d := cmp.Diff([]time.Duration{30 * time.Second, 90 * time.Second, 150 * time.Second}, runs); d != "" {
			t.Errorf("runs, clock set %v: %s", ahead, d)
		}
	}
}

func TestNodeBeginsWithTheClockAsItIs(t *testing.T) {
	w, l := virtualLoop(t)
	w.SetClock(l, -time.Hour, 0)
	same(t, "now", l.Now(), start.Add(-time.Hour))
	at := time.Duration(-1)
	l.Scope("s").Timer("t", func() { at = w.Now().Sub(start) }).Arm(time.Minute)
	w.Run(start.Add(time.Hour))
	same(t, "a timer of a minute", at, time.Minute)
	same(t, "ahead", w.Ahead(l), -time.Hour)
}

// TestSlowClockComesToAnEnd: the rest of a while by a clock that goes slower is
// less than a nanosecond of it at last, and waiting for that is no loop.
func TestSlowClockComesToAnEnd(t *testing.T) {
	w, l := virtualLoop(t)
	w.SetClock(l, time.Hour, 0)
	w.Limit = 1000
	var again *Timer
	s, end := l.Scope("s"), start.Add(time.Hour+time.Minute)
	s.Timer("before it is set", func() {}).Arm(0)
	again = s.Timer("rest", func() {
		if left := end.Sub(l.Now()); left > 0 {
			again.Arm(left)
		}
	})
	w.After(time.Second, Func(func() { w.SetClock(l, 0, 0); again.Arm(time.Minute) }))
	w.Run(start.Add(time.Hour))
	same(t, "limited", w.Limited(), false)
	same(t, "ended", !l.Now().Before(end), true)
}

func TestDeliverCountsWhatIsUnderWay(t *testing.T) {
	w, l := virtualLoop(t)
	s := l.Scope("s")
	var got []time.Duration
	in := NewInbox(s, "in", 2, number, func(*int64) { got = append(got, l.Now().Sub(start)) })
	for i := range 3 {
		same(t, fmt.Sprint("delivery ", i), Deliver(w, in, start.Add(time.Second), 1), i < 2)
	}
	same(t, "waiting", in.Waiting(), 2)
	w.Run(start.Add(time.Second))
	same(t, "waiting after", in.Waiting(), 0)
	same(t, "shed", in.Shed(), 1)
	if d := cmp.Diff([]time.Duration{time.Second, time.Second}, got); d != "" {
		t.Error(d)
	}
	s.Close()
	same(t, "delivery to a detached service", Deliver(w, in, start, 1), false)
}

func TestCheckpointsBisectRuns(t *testing.T) {
	const events = 2*checkpointEvery + 10
	w, l := virtualLoop(t)
	var tick *Timer
	tick = l.Scope("s").Timer("tick", func() { tick.Arm(1) })
	tick.Arm(0)
	var at []uint64
	w.Checkpoint = func(n, hash uint64) {
		at = append(at, n)
		same(t, "hash", hash, w.Hash())
	}
	for range events {
		w.Step()
	}
	if d := cmp.Diff([]uint64{checkpointEvery, 2 * checkpointEvery}, at); d != "" {
		t.Error(d)
	}
}

func TestSlicesStandBehindWhatWaits(t *testing.T) {
	for _, cost := range []time.Duration{0, time.Second} {
		w, l := virtualLoop(t)
		w.SliceCost = cost
		s := l.Scope("s")
		var got []string
		n := 0
		s.Timer("work", func() {
			s.Defer(func() bool {
				n++
				got = append(got, fmt.Sprint("slice ", l.Now().Sub(start)))
				return n < 3
			})
		}).Arm(0)
		s.Timer("other", func() { got = append(got, fmt.Sprint("timer ", l.Now().Sub(start))) }).Arm(0)
		s.Timer("later", func() { got = append(got, fmt.Sprint("later ", l.Now().Sub(start))) }).Arm(1500 * time.Millisecond)
		w.Run(start.Add(time.Minute))
		want := []string{"timer 0s", "slice 0s", "slice 0s", "slice 0s", "later 1.5s"}
		if cost > 0 {
			want = []string{"timer 0s", "slice 1s", "later 1.5s", "slice 2s", "slice 3s"}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("cost %v: %s", cost, d)
		}
	}
}

func TestFarAwayIsNotNow(t *testing.T) {
	for name, arm := range map[string]func(*Timer){
		"for ever":   func(t *Timer) { t.Arm(math.MaxInt64) },
		"year 9999":  func(t *Timer) { t.ArmAt(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)) },
		"nearly all": func(t *Timer) { t.Arm(math.MaxInt64 - time.Duration(start.UnixNano())) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, skew := range []time.Duration{0, -time.Hour, time.Hour} {
				w, l := virtualLoop(t)
				w.SetClock(l, skew, 0)
				x := l.Scope("s").Timer("t", func() { t.Error("fired") })
				arm(x)
				w.After(math.MaxInt64, Func(func() { t.Error("the world's end came") }))
				w.Run(start.Add(24 * time.Hour))
				if _, armed := x.Armed(); !armed {
					t.Error("not armed")
				}
			}
		})
	}
	w, l := virtualLoop(t)
	fired := 0
	l.Scope("s").Timer("t", func() { fired++ }).ArmAt(time.Time{})
	w.Run(start)
	same(t, "an instant long past", fired, 1)
}

func TestScopeCloseLetsGoOfEverything(t *testing.T) {
	w, l := virtualLoop(t)
	s := l.Scope("s")
	bad := func(what string) { t.Errorf("a detached service was given %s", what) }
	s.Timer("t", func() { bad("a timer") }).Arm(time.Second)
	in := NewInbox(s, "in", 4, number, func(*int64) { bad("an item") })
	in.Offer(1)
	var answer func(Result[int64])
	p := NewPort(s, numberPort(time.Second, 4), func(_ int64, reply func(Result[int64])) { answer = reply },
		func(Ticket, int64, int64, error) { bad("a completion") })
	p.Start(1)
	s.Task(TaskConfig{Name: "task", Every: time.Second}, func(*Run) { bad("a run") })
	s.Defer(func() bool { bad("a slice"); return false })
	var order []int
	s.OnClose(func() { order = append(order, 1) })
	s.OnClose(func() { order = append(order, 2) })
	s.Close()
	s.Close()
	s.OnClose(func() { order = append(order, 3) })
	answer(Result[int64]{Res: 1})
	w.Run(start.Add(time.Minute))
	if d := cmp.Diff([]int{2, 1, 3}, order); d != "" {
		t.Error(d)
	}
	same(t, "closed", s.Closed(), true)
	same(t, "offer", in.Offer(2), false)
	same(t, "shed", in.Shed(), 2)
	same(t, "pending in the heap", w.Pending(), 0)
}

func TestPanicIsReportedWithItsScope(t *testing.T) {
	w, l := virtualLoop(t)
	a, b := l.Scope("a"), l.Scope("b")
	var got []string
	l.OnPanic(func(p Panic) {
		got = append(got, p.Error())
		if p.Stack == "" {
			t.Error("no stack")
		}
		p.Scope.Close()
	})
	drained := 0
	l.AfterEvent(func() { drained++ })
	a.Timer("t", func() { panic("boom") }).Arm(0)
	in := NewInbox(b, "in", 4, number, func(e *int64) { panic(errors.New("bang")) })
	in.Offer(1)
	in.Offer(2) // its service is gone by then
	fine := 0
	l.Scope("c").Timer("t", func() { fine++ }).Arm(time.Second)
	w.Run(start.Add(time.Minute))
	if d := cmp.Diff([]string{"panic in a: boom", "panic in b: bang"}, got); d != "" {
		t.Error(d)
	}
	same(t, "others go on", fine, 1)
	same(t, "hooks after events", drained, 3)

	w, l = virtualLoop(t)
	l.Scope("a").Timer("t", func() { panic("boom") }).Arm(0)
	defer func() {
		if recover() == nil {
			t.Error("a panic that nobody decides about was swallowed")
		}
	}()
	w.Run(start)
}

func TestStreamsAreIndependent(t *testing.T) {
	draw := func(seed uint64, path ...string) uint64 { return NewStream(seed, path...).Uint64() }
	paths := [][]string{{"a"}, {"b"}, {"a", "b"}, {"ab"}, {"b", "a"}, {"a", ""}, {}}
	var seen []uint64
	for _, p := range paths {
		for seed := range uint64(3) {
			v := draw(seed, p...)
			same(t, "same stream", draw(seed, p...), v)
			if slices.Contains(seen, v) {
				t.Errorf("stream %v of seed %d repeats another", p, seed)
			}
			seen = append(seen, v)
		}
	}
	// A new consumer shifts nobody else's draws; a restarted node draws anew.
	w, l := virtualLoop(t)
	first := l.Stream("x").Uint64()
	l2 := NewWorld(start, 1).NewLoop("node", 0)
	l2.Stream("newcomer").Uint64()
	same(t, "draw beside a newcomer", l2.Stream("x").Uint64(), first)
	if w.NewLoop("node", 1).Stream("x").Uint64() == first {
		t.Error("a restarted node repeats its draws")
	}
	if l.Stream("x").Uint64() == first {
		t.Error("asking again for a stream began it anew")
	}
}

// A service that is doomed panics at the next call into it, whatever that is, and
// once.
func TestDoomedServicePanicsOnce(t *testing.T) {
	boom := errors.New("boom")
	for name, enter := range map[string]func(w *World, s *Scope, count func()){
		"timer": func(_ *World, s *Scope, count func()) {
			for i := range 2 {
				s.Timer("t", count).Arm(time.Duration(i+1) * time.Second)
			}
		},
		"inbox": func(_ *World, s *Scope, count func()) {
			in := NewInbox(s, "in", 2, number, func(*int64) { count() })
			in.Offer(1)
			in.Offer(2)
		},
		"slice": func(_ *World, s *Scope, count func()) {
			for range 2 {
				s.Defer(func() bool { count(); return false })
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, l := virtualLoop(t)
			var panics []Panic
			l.OnPanic(func(p Panic) { panics = append(panics, p) })
			s, calls := l.Scope("s"), 0
			same(t, "a service that is not there", l.Doom("other", boom), false)
			enter(w, s, func() { calls++ })
			same(t, "doomed", l.Doom("s", boom), true)
			w.Run(start.Add(time.Minute))
			if calls != 1 || len(panics) != 1 || panics[0].Value != boom || panics[0].Scope != s {
				t.Errorf("%d calls went through, panics %v", calls, panics)
			}
			s.Close()
			same(t, "a service that was detached", l.Doom("s", boom), false)
		})
	}
}

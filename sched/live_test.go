package sched

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// live is a started loop that the test's end stops.
func live(t *testing.T, o LiveOptions, build func(*Loop)) *Live {
	t.Helper()
	v := NewLive(o)
	build(v.Loop())
	v.Start()
	t.Cleanup(func() { stop(t, v) })
	return v
}

func stop(t testing.TB, v *Live) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := v.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// The mock clock needs a bubble: it yields by sleeping, and its Add is only
// ordered after the loop's work because Wait sees the loop come to rest.
func TestLiveTimersFollowTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := clock.NewMock()
		clk.Set(start)
		var got []string
		v := live(t, LiveOptions{Name: "n", Clock: clk}, func(l *Loop) {
			s := l.Scope("s")
			note := func(name string, d time.Duration) *Timer {
				x := s.Timer(name, func() { got = append(got, fmt.Sprint(name, " ", l.Now().Sub(start))) })
				x.Arm(d)
				return x
			}
			note("b", 2*time.Second)
			note("a", time.Second)
			note("moved", time.Second).Arm(3 * time.Second)
			note("stopped", time.Second).Stop()
			note("far", 5*time.Hour)
		})
		synctest.Wait()
		for range 6 {
			clk.Add(500 * time.Millisecond)
			synctest.Wait()
		}
		clk.Add(5 * time.Hour)
		synctest.Wait()
		if !v.Inspect(func() {}) {
			t.Error("the loop has ended")
		}
		want := []string{"a 1s", "b 2s", "moved 3s", "far 5h0m0s"}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}

// In an accelerated world the node's clock is fast, and what waits for somebody
// outside waits on the wall clock.
func TestLiveNodeClockRunsFaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := clock.NewMock()
		clk.Set(start)
		origin := start.Add(24 * time.Hour)
		var got []string
		rec := &bytes.Buffer{}
		r := NewRecorder(rec)
		build := func(l *Loop) {
			s := l.Scope("s")
			note := func(name string) *Timer {
				return s.Timer(name, func() {
					got = append(got, fmt.Sprint(name, " node ", l.Now().Sub(origin), " wall ", l.Wall().Sub(start)))
				})
			}
			note("node").Arm(time.Minute)
			note("wall").ArmWall(3 * time.Second)
			note("at").ArmAt(origin.Add(2 * time.Minute))
		}
		v := NewLive(LiveOptions{Name: "n", Clock: clk, Node: NodeClock{Wall: start, Node: origin, Speed: 60}, Recorder: r})
		build(v.Loop())
		v.Start()
		for range 5 {
			synctest.Wait()
			clk.Add(time.Second)
		}
		synctest.Wait()
		stop(t, v)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		want := []string{"node node 1m0s wall 1s", "at node 2m0s wall 2s", "wall node 3m0s wall 3s"}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		got = nil
		p, err := NewReplay(rec)
		if err != nil {
			t.Fatal(err)
		}
		build(p.Loop())
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}

// A clock that is set makes the loop's time jump ahead, or slow down. Timers wait
// for time that passes, appointments for the clock, and the loop sleeps meanwhile.
func TestLiveClockThatIsSet(t *testing.T) {
	for name, step := range map[string]time.Duration{"back": -time.Hour, "ahead": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clk := clock.NewMock()
				clk.Set(start)
				// The machine's clock is the mock with a step; time that passes is the mock.
				ahead, reads := new(atomic.Int64), new(atomic.Int64)
				var fired, kept []time.Duration
				passed := func() time.Duration { return clk.Now().Sub(start) }
				rec := &bytes.Buffer{}
				r := NewRecorder(rec)
				build := func(l *Loop, now func() time.Duration) {
					s := l.Scope("s")
					var tick *Timer
					tick = s.Timer("tick", func() { fired = append(fired, now()); tick.Arm(10 * time.Second) })
					tick.Arm(10 * time.Second)
					s.Timer("appointment", func() { kept = append(kept, now()) }).ArmAt(start.Add(30 * time.Minute))
				}
				v := NewLive(LiveOptions{Name: "n", Clock: stepped{clk, ahead, reads}, Elapsed: passed, Recorder: r})
				build(v.Loop(), passed)
				v.Start()
				var last time.Time
				for i := range 60 {
					synctest.Wait()
					clk.Add(10 * time.Second)
					synctest.Wait()
					if i == 9 {
						ahead.Store(int64(step))
					}
					v.Inspect(func() {
						if now := v.Loop().Now(); i != 10 && now.Sub(last) < 5*time.Second && i > 0 {
							t.Errorf("ten seconds took the clock from %v to %v", last, now)
						} else {
							last = now
						}
					})
				}
				before := reads.Load()
				for range 240 {
					clk.Add(10 * time.Second)
					synctest.Wait()
				}
				if n := reads.Load() - before; n > 240*20 {
					t.Errorf("the loop read its clock %d times in 240 events", n)
				}
				stop(t, v)
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
				same(t, "ticks", len(fired), 300)
				for i, at := range fired {
					same(t, fmt.Sprint("tick ", i), at, time.Duration(i+1)*10*time.Second)
				}
				// Back, Now passes it at half its pace; ahead, it has passed it by then.
				want := map[string]time.Duration{"back": 100*time.Second + 2*(30*time.Minute-100*time.Second), "ahead": 100 * time.Second}[name]
				if len(kept) == 0 && want <= 50*time.Minute || len(kept) > 1 || len(kept) == 1 && (kept[0] < want || kept[0] > want+20*time.Second) {
					t.Errorf("the appointment was kept at %v, want %v", kept, want)
				}
				p, err := NewReplay(rec)
				if err != nil {
					t.Fatal(err)
				}
				build(p.Loop(), func() time.Duration { return 0 })
				if err := p.Run(); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// stepped is a clock that is ahead of another one and counts who looks.
type stepped struct {
	clock.Clock
	ahead, n *atomic.Int64
}

func (c stepped) Now() time.Time {
	c.n.Add(1)
	return c.Clock.Now().Add(time.Duration(c.ahead.Load()))
}

// Whoever offers from wherever: what was taken is handled once, the rest was
// counted.
func TestInboxFromManyGoroutines(t *testing.T) {
	const senders, each = 8, 5000
	var handled, sum int64
	var in *Inbox[int64]
	v := live(t, LiveOptions{Name: "n"}, func(l *Loop) {
		in = NewInbox(l.Scope("s"), "in", 100, number, func(e *int64) {
			handled++
			sum += *e
			if in.Waiting() > 100+senders { // senders may be between asking and leaving
				t.Errorf("%d wait in an inbox of 100", in.Waiting())
			}
		})
	})
	var taken, refused, total atomic.Int64
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for n := range each {
				if e := int64(i*each + n); in.Offer(e) {
					taken.Add(1)
					total.Add(e)
				} else {
					refused.Add(1)
					runtime.Gosched()
				}
			}
		})
	}
	wg.Wait()
	v.Inspect(func() {
		same(t, "handled", handled, taken.Load())
		same(t, "sum", sum, total.Load())
	})
	same(t, "shed", int64(in.Shed()), refused.Load())
	same(t, "all", taken.Load()+refused.Load(), senders*each)
	same(t, "waiting", in.Waiting(), 0)
	stop(t, v)
	same(t, "offer after the end", in.Offer(1), false)
	same(t, "waiting after the end", in.Waiting(), 0)
}

func TestInboxOrderPerSender(t *testing.T) {
	const senders, each = 4, 2000
	next := [senders]int64{}
	var in *Inbox[int64]
	v := live(t, LiveOptions{Name: "n"}, func(l *Loop) {
		in = NewInbox(l.Scope("s"), "in", senders*each, number, func(e *int64) {
			who, n := *e%senders, *e/senders
			if n != next[who] {
				t.Errorf("sender %d: item %d, want %d", who, n, next[who])
			}
			next[who] = n + 1
		})
	})
	var wg sync.WaitGroup
	for i := range int64(senders) {
		wg.Go(func() {
			for n := range int64(each) {
				in.Offer(n*senders + i)
			}
		})
	}
	wg.Wait()
	v.Inspect(func() { same(t, "items of each", next, [senders]int64{each, each, each, each}) })
}

// A loop that always has timers due, items waiting or slices to run serves the
// other two all the same.
func TestLiveNobodyStarves(t *testing.T) {
	for _, flood := range []string{"timers", "items", "slices"} {
		t.Run(flood, func(t *testing.T) {
			var in *Inbox[int64]
			var got struct{ timers, items, slices int }
			v := NewLive(LiveOptions{Name: "n"})
			s := v.Loop().Scope("s")
			enough := make(chan struct{})
			seen := func(n *int) {
				*n++
				if got.timers > 100 && got.items > 100 && got.slices > 100 {
					select {
					case <-enough:
					default:
						close(enough)
					}
				}
			}
			in = NewInbox(s, "in", 1000, number, func(*int64) {
				seen(&got.items)
				if flood == "items" || got.items <= 200 {
					in.Offer(1)
				}
			})
			for range 3 * timersPerTurn {
				var x *Timer
				x = s.Timer("t", func() {
					seen(&got.timers)
					if flood == "timers" || got.timers <= 200 {
						x.Arm(0)
					}
				})
				x.Arm(0)
			}
			s.Defer(func() bool { seen(&got.slices); return flood == "slices" || got.slices <= 200 })
			in.Offer(1)
			v.Start()
			select {
			case <-enough:
			case <-time.After(10 * time.Second):
				v.Inspect(func() { t.Errorf("a flood of %s: served %+v", flood, got) })
			}
			stop(t, v)
		})
	}
}

func TestLiveStopIsBounded(t *testing.T) {
	v := NewLive(LiveOptions{Name: "n"})
	entered, leave := make(chan struct{}), make(chan struct{})
	handled := 0
	in := NewInbox(v.Loop().Scope("s"), "in", 4, number, func(*int64) {
		handled++
		close(entered)
		<-leave // what no handler may do
	})
	in.Offer(1)
	in.Offer(2)
	v.Start()
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := v.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("stop of a stuck loop: %v", err)
	}
	same(t, "offer while stopping", in.Offer(3), false)
	close(leave)
	stop(t, v)
	stop(t, v) // twice does no harm
	same(t, "handled", handled, 1)
	same(t, "inspection after the end", v.Inspect(func() { t.Error("inspected") }), false)
	<-v.Done()
	v.Start() // does nothing
}

func TestLiveStopWithoutStart(t *testing.T) {
	v := NewLive(LiveOptions{Name: "n"})
	stop(t, v)
	same(t, "inspection", v.Inspect(func() {}), false)
	v.Start()
}

func TestLiveStopsWhileEverybodyAsks(t *testing.T) {
	for range 50 {
		v := NewLive(LiveOptions{Name: "n"})
		in := NewInbox(v.Loop().Scope("s"), "in", 10, number, func(*int64) {})
		v.Start()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for in.Offer(1) || in.Waiting() > 0 && v.Inspect(func() {}) {
					ran := false
					if v.Inspect(func() { ran = true }) != ran {
						t.Error("an inspection ran and was denied")
					}
				}
			})
		}
		stop(t, v)
		wg.Wait()
	}
}

func TestLivePanicsGoToTheirScope(t *testing.T) {
	got := make(chan string, 1)
	var in *Inbox[int64]
	v := live(t, LiveOptions{Name: "n"}, func(l *Loop) {
		l.OnPanic(func(p Panic) { got <- p.Error() })
		in = NewInbox(l.Scope("s"), "in", 4, number, func(*int64) { panic("boom") })
	})
	in.Offer(1)
	same(t, "panic", <-got, "panic in s: boom")
	same(t, "the loop goes on", v.Inspect(func() {}), true)
}

// What a live loop did under real goroutines is done again from its recording.
func TestLiveRecordingReplays(t *testing.T) {
	var file bytes.Buffer
	rec := NewRecorder(&file)
	backend := func(req int64, reply func(Result[int64])) {
		go func() {
			reply(Result[int64]{Res: req + 1})
			reply(Result[int64]{Res: req + 2})
		}()
	}
	v := NewLive(LiveOptions{Name: "n", Seed: 9, Recorder: rec})
	b := newBusy(v.Loop(), "busy", backend)
	// Faster than newBusy's own timer: real time passes here.
	s := v.Loop().Scope("fast")
	enough, ticks := make(chan struct{}), 0
	r := s.Stream("fast")
	var tick *Timer
	tick = s.Timer("tick", func() {
		if ticks++; ticks == 300 {
			close(enough)
		}
		if ticks%10 == 0 {
			b.port.Start(int64(ticks))
		}
		if ticks%25 == 0 {
			left := 3
			s.Defer(func() bool { left--; b.put(int64(left)); return left > 0 })
		}
		tick.Arm(time.Duration(r.Int64N(int64(100 * time.Microsecond))))
	})
	tick.Arm(0)
	v.Start()
	var wg sync.WaitGroup
	for i := range int64(3) {
		wg.Go(func() {
			for n := range int64(200) {
				b.in.Offer(i<<20 + n)
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
	<-enough
	stop(t, v)
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}

	p, err := NewReplay(&file)
	if err != nil {
		t.Fatal(err)
	}
	b2 := newBusy(p.Loop(), "busy", nobody)
	s2 := p.Loop().Scope("fast")
	r2, ticks2 := s2.Stream("fast"), 0
	var tick2 *Timer
	tick2 = s2.Timer("tick", func() {
		ticks2++
		if ticks2%10 == 0 {
			b2.port.Start(int64(ticks2))
		}
		if ticks2%25 == 0 {
			left := 3
			s2.Defer(func() bool { left--; b2.put(int64(left)); return left > 0 })
		}
		tick2.Arm(time.Duration(r2.Int64N(int64(100 * time.Microsecond))))
	})
	tick2.Arm(0)
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	same(t, "hash", p.Loop().Hash(), v.Loop().Hash())
	same(t, "sum", b2.sum, b.sum)
	if n := p.Loop().Events(); n < 300 { // the ticks alone; how many items were shed is the machine's affair
		t.Errorf("only %d events", n)
	}
}

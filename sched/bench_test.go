package sched

import (
	"fmt"
	"io"
	"testing"
	"time"
)

// bare is a world event that makes itself due again: the heap with nothing on it.
type bare struct {
	w     *World
	every time.Duration
}

func (b *bare) Fire() { b.w.After(b.every, b) }

// bareHeap measures a step of the bare heap loop of a depth, in nanoseconds: the
// measure that the benchmarks below relate to, taken in the same run.
func bareHeap(depth int) float64 {
	const steps = 200_000
	w := NewWorld(start, 1)
	for i := range depth {
		e := &bare{w, time.Duration(1000 + i)}
		w.After(e.every, e)
	}
	for range depth {
		w.Step()
	}
	began := time.Now()
	for range steps {
		w.Step()
	}
	return float64(time.Since(began).Nanoseconds()) / steps
}

func against(b *testing.B, what string, ns float64) {
	per := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	b.ReportMetric(1e9/per, "events/s")
	b.ReportMetric(per/ns, "x-"+what)
}

func BenchmarkHeap(b *testing.B) {
	for _, depth := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprint(depth), func(b *testing.B) {
			var q queue
			ev := Func(func() {})
			for i := range depth {
				q.push(int64(i), 0, ev)
			}
			b.ReportAllocs()
			for b.Loop() {
				at, ev := q.pop()
				q.push(at+int64(depth)+at%7, 0, ev)
			}
		})
	}
}

// BenchmarkTimer: a timer fires and is armed again, among others.
func BenchmarkTimer(b *testing.B) {
	for _, timers := range []int{1, 1000} {
		b.Run(fmt.Sprint(timers), func(b *testing.B) {
			heap := bareHeap(timers)
			w, l := virtualLoop(b)
			s := l.Scope("s")
			for i := range timers {
				var t *Timer
				t = s.Timer("t", func() { t.Arm(time.Duration(1000 + i)) })
				t.Arm(time.Duration(1000 + i))
			}
			b.ReportAllocs()
			for b.Loop() {
				w.Step()
			}
			against(b, "bare-heap", heap)
		})
	}
}

// BenchmarkTimerMove: a deadline is put off before it comes, as each frame of a
// connection does.
func BenchmarkTimerMove(b *testing.B) {
	_, l := virtualLoop(b)
	s := l.Scope("s")
	var ts []*Timer
	for i := range 1000 {
		t := s.Timer("t", func() {})
		t.Arm(time.Duration(i))
		ts = append(ts, t)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		ts[n%1000].Arm(time.Duration(n))
	}
}

func BenchmarkInbox(b *testing.B) {
	b.Run("virtual", func(b *testing.B) {
		heap := bareHeap(1)
		w, l := virtualLoop(b)
		in := NewInbox(l.Scope("s"), "in", 4, number, func(*int64) {})
		b.ReportAllocs()
		for b.Loop() {
			in.Offer(1)
			w.Step()
		}
		against(b, "bare-heap", heap)
	})
	// live: from one goroutine to the loop's, as fast as it is taken.
	b.Run("live", func(b *testing.B) {
		v := NewLive(LiveOptions{Name: "n"})
		handled, want := 0, 0
		reached := make(chan struct{}, 1)
		in := NewInbox(v.Loop().Scope("s"), "in", 1<<12, number, func(*int64) {
			if handled++; handled == want {
				reached <- struct{}{}
			}
		})
		v.Start()
		defer stop(b, v)
		b.ReportAllocs()
		b.ResetTimer()
		const batch = 1 << 12
		for done := 0; done < b.N; done += batch {
			v.Inspect(func() { want = handled + batch })
			for n := 0; n < batch; {
				if in.Offer(int64(n)) {
					n++
				}
			}
			<-reached
		}
	})
}

func BenchmarkPort(b *testing.B) {
	heap := bareHeap(1)
	w, l := virtualLoop(b)
	done := 0
	var answer func(Result[int64])
	p := NewPort(l.Scope("s"), numberPort(time.Second, 4), func(_ int64, reply func(Result[int64])) { answer = reply },
		func(Ticket, int64, int64, error) { done++ })
	b.ReportAllocs()
	for b.Loop() {
		p.Start(1)
		answer(Result[int64]{Res: 2})
		w.Step()
	}
	against(b, "bare-heap", heap)
	if done == 0 {
		b.Fatal("nothing was completed")
	}
}

func BenchmarkRecord(b *testing.B) {
	w, l := virtualLoop(b)
	l.Record(NewRecorder(io.Discard))
	var t *Timer
	t = l.Scope("s").Timer("t", func() { t.Arm(1000) })
	t.Arm(0)
	heap := bareHeap(1)
	b.ReportAllocs()
	for b.Loop() {
		w.Step()
	}
	against(b, "bare-heap", heap)
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	w, l := virtualLoop(t)
	s := l.Scope("s")
	var tick *Timer
	tick = s.Timer("tick", func() { tick.Arm(time.Second) })
	tick.Arm(0)
	put := s.Timer("put", func() {})
	in := NewInbox(s, "in", 4, number, func(*int64) {})
	for name, f := range map[string]func(){
		"firing and arming again": func() { w.Step() },
		"moving":                  func() { put.Arm(time.Minute); put.Arm(time.Hour) },
		"stopping":                func() { put.Arm(time.Hour); put.Stop() },
		"an inbox":                func() { in.Offer(7); w.Step() },
		"a delivery":              func() { Deliver(w, in, w.Now(), 7); w.Step() },
		"an effect":               func() { l.Effect(1, []byte("payload")) },
	} {
		for range 100 {
			f()
		}
		same(t, "allocations of "+name, testing.AllocsPerRun(200, f), 0)
	}
	l.Record(NewRecorder(io.Discard))
	same(t, "allocations of a recorded event", testing.AllocsPerRun(200, func() { w.Step() }), 0)
}

package bus_test

import (
	"fmt"
	"testing"
	"time"

	"bettensor/bus"
	"bettensor/sched"
)

// again is a world event that makes itself due again: the heap loop alone.
type again struct {
	w     *sched.World
	every time.Duration
}

func (a *again) Fire() { a.w.After(a.every, a) }

type tick struct{ n, a, b, c, d int }

// world of some timers of different periods, each made by mk.
func world(timers int, mk func(w *sched.World, every time.Duration)) *sched.World {
	w := sched.NewWorld(time.Unix(0, 0), 1)
	for i := range timers {
		mk(w, time.Duration(1000+i))
	}
	return w
}

// BenchmarkTimersAndBus is the throughput gate of the engines: a timer fires,
// publishes one event to one handler and is armed again, in a world of 1,000
// timers. It reports how many such events pass in a second and how that compares
// with the bare heap loop under it. The two are measured in turns, so that a busy
// machine slows both.
func BenchmarkTimersAndBus(b *testing.B) {
	const timers, turn = 1000, 10_000
	heap := world(timers, func(w *sched.World, every time.Duration) {
		w.After(every, &again{w, every})
	})
	var topic *bus.Topic[tick]
	var scope *sched.Scope
	sum := 0
	full := world(timers, func(w *sched.World, every time.Duration) {
		if topic == nil {
			l := w.NewLoop("n", 0)
			topic = bus.NewTopic[tick](bus.New(l, 0), "tick")
			scope = l.Scope("s")
			topic.Subscribe(scope, func(t *tick) { sum += t.n })
		}
		var t *sched.Timer
		t = scope.Timer("t", func() {
			topic.Publish(tick{n: 1})
			t.Arm(every)
		})
		t.Arm(every)
	})
	b.ReportAllocs()
	b.ResetTimer()
	var bare time.Duration
	for done := 0; done < b.N; done += turn {
		n := min(turn, b.N-done)
		for range n {
			full.Step()
		}
		b.StopTimer()
		began := time.Now()
		for range n {
			heap.Step()
		}
		bare += time.Since(began)
		b.StartTimer()
	}
	per := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	b.ReportMetric(1e9/per, "events/s")
	b.ReportMetric(float64(b.Elapsed())/float64(bare), "x-bare-heap")
	if sum != b.N {
		b.Fatalf("%d of %d events were handled", sum, b.N)
	}
}

// BenchmarkPublish is one publication with its delivery.
func BenchmarkPublish(b *testing.B) {
	for _, c := range []struct {
		name          string
		subs, history int
	}{{"1", 1, 0}, {"1-no-history", 1, -1}, {"5", 5, 0}} {
		b.Run(c.name, func(b *testing.B) {
			l := sched.NewWorld(time.Unix(0, 0), 1).NewLoop("n", 0)
			x := bus.New(l, c.history)
			t := bus.NewTopic[tick](x, "tick")
			sum := 0
			for range c.subs {
				t.Subscribe(l.Scope("s"), func(p *tick) { sum += p.n })
			}
			b.ReportAllocs()
			for b.Loop() {
				t.Publish(tick{n: 1})
				x.Drain()
			}
			if sum != c.subs*b.N {
				b.Fatalf("%d of %d deliveries", sum, c.subs*b.N)
			}
		})
	}
}

// BenchmarkBurst: many publications wait at a time, as after a feed's answer.
func BenchmarkBurst(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := sched.NewWorld(time.Unix(0, 0), 1).NewLoop("n", 0)
			x := bus.New(l, 0)
			t := bus.NewTopic[tick](x, "tick")
			sum := 0
			t.Subscribe(l.Scope("s"), func(p *tick) { sum += p.n })
			b.ReportAllocs()
			for b.Loop() {
				for range n {
					t.Publish(tick{n: 1})
				}
				x.Drain()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/event")
		})
	}
}

package bus_test

import (
	"testing"
	"time"

	"bettensor/bus"
	"bettensor/sched"
)

// BenchmarkTimersAndBus is gate 5 of the walking skeleton: a timer fires,
// publishes one event to one handler and is armed again, in a world of 1,000
// timers. It reports how many such events pass in a second and how that compares
// with the bare heap loop under it, measured in the same run.
func BenchmarkTimersAndBus(b *testing.B) {
	const timers = 1000
	type tick struct{ n, a, b, c, d int }

	heap := sched.NewWorld(time.Unix(0, 0), 1)
	for i := range timers {
		e := &again{w: heap, every: time.Duration(1000 + i)}
		heap.After(e.every, e)
	}
	const steps = 2_000_000
	began := time.Now()
	for range steps {
		heap.Step()
	}
	bare := float64(time.Since(began).Nanoseconds()) / steps

	w := sched.NewWorld(time.Unix(0, 0), 1)
	l := w.NewLoop("n", 0)
	topic := bus.NewTopic[tick](bus.New(l, 0), "tick")
	s := l.Scope("s")
	sum := 0
	topic.Subscribe(s, func(t *tick) { sum += t.n })
	for i := range timers {
		var t *sched.Timer
		t = s.Timer("t", func() {
			topic.Publish(tick{n: i})
			t.Arm(time.Duration(1000 + i))
		})
		t.Arm(time.Duration(1000 + i))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		w.Step()
	}
	per := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	b.ReportMetric(1e9/per, "events/s")
	b.ReportMetric(per/bare, "x-bare-heap")
	if sum == 0 {
		b.Fatal("no event was handled")
	}
}

// again is a world event that makes itself due again: the heap loop alone.
type again struct {
	w     *sched.World
	every time.Duration
}

func (a *again) Fire() { a.w.After(a.every, a) }

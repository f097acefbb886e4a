package bus

import (
	"testing"
	"time"

	"bettensor/sched"
)

type ping struct{ n, a, b, c, d int }

func BenchmarkPublish(b *testing.B) {
	for _, subs := range []int{1, 5} {
		b.Run(map[int]string{1: "one", 5: "five"}[subs], func(b *testing.B) {
			w := sched.NewWorld(time.Unix(0, 0), 1)
			l := w.NewLoop("n", 0)
			bus := New(l, 0)
			t := NewTopic[ping](bus, "ping")
			sum := 0
			for range subs {
				t.Subscribe(l.Scope("s"), func(p *ping) { sum += p.n })
			}
			b.ReportAllocs()
			for b.Loop() {
				t.Publish(ping{n: 1})
				bus.Drain()
			}
		})
	}
}

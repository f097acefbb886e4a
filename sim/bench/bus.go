package bench

import (
	"time"

	"bettensor/bus"
	"bettensor/sched"
)

// event is the size of an ordinary one.
type event struct{ n, a, b, c, d int }

// again is an event of a world that makes itself due again.
type again struct {
	w     *sched.World
	every time.Duration
}

func (a *again) Fire() { a.w.After(a.every, a) }

// manyTimers is how many timers a world of the loads holds: a node's few dozen
// times some of its miners.
const manyTimers = 1000

// bareHeap is the measure of the others: events that do nothing but come again.
func bareHeap() load {
	w := sched.NewWorld(time.Unix(0, 0), 1)
	for i := range manyTimers {
		a := &again{w, time.Duration(1000 + i)}
		w.After(a.every, a)
	}
	return load{name: "bare heap", run: func(n int) error {
		for range n {
			w.Step()
		}
		return nil
	}}
}

// Bus measures publications to one and to five subscribers, in a burst, seen by a
// watcher, and the whole way of an event: a timer, a publication, a handler.
func Bus() ([]Result, error) {
	heap := bareHeap()
	return measure([]load{
		heap,
		publish("publish to 1", 1, 0, 1, false, ""),
		publish("publish to 5", 5, 0, 1, false, "publish to 1"),
		publish("publish to 1, no history", 1, -1, 1, false, "publish to 1"),
		publish("publish to 1, bursts of 100", 1, 0, 100, false, "publish to 1"),
		publish("publish to 1, watched", 1, 0, 1, true, "publish to 1"),
		timerAndBus(heap.name),
	})
}

func publish(name string, subscribers, history, burst int, watched bool, against string) load {
	l := sched.NewWorld(time.Unix(0, 0), 1).NewLoop("bench", 0)
	b := bus.New(l, history)
	t := bus.NewTopic[event](b, "event")
	served := 0
	for range subscribers {
		t.Subscribe(l.Scope("subscriber"), func(e *event) { served += e.n })
	}
	if watched {
		t.Watch(64)
	}
	return load{name: name, against: against, run: func(n int) error {
		served = 0
		for left := n; left > 0; left -= burst {
			for range min(burst, left) {
				t.Publish(event{n: 1})
			}
			b.Drain()
		}
		return done("deliveries", served, subscribers*n)
	}}
}

func timerAndBus(against string) load {
	w := sched.NewWorld(time.Unix(0, 0), 1)
	l := w.NewLoop("bench", 0)
	t := bus.NewTopic[event](bus.New(l, 0), "event")
	s := l.Scope("service")
	served := 0
	t.Subscribe(s, func(e *event) { served += e.n })
	for i := range manyTimers {
		var timer *sched.Timer
		timer = s.Timer("timer", func() {
			t.Publish(event{n: 1})
			timer.Arm(time.Duration(1000 + i))
		})
		timer.Arm(time.Duration(1000 + i))
	}
	return load{name: "timer, publish, handle", against: against, run: func(n int) error {
		served = 0
		for range n {
			w.Step()
		}
		return done("events", served, n)
	}}
}

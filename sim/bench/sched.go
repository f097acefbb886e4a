package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"bettensor/sched"
)

var errEnded = errors.New("the loop has ended")

var number = sched.Codec[int64]{
	Append: func(dst []byte, v *int64) []byte { return binary.AppendVarint(dst, *v) },
	Read: func(b []byte) (int64, error) {
		v, _ := binary.Varint(b)
		return v, nil
	},
}

// Sched measures what may enter a loop: timers, items of an inbox from the same
// and from another goroutine, completions of a port; and what recording costs.
func Sched() ([]Result, error) {
	heap := bareHeap()
	handOver, stop := handOver()
	defer stop()
	return measure([]load{
		heap,
		timers("timer fires, armed again", nil, heap.name),
		timers("the same, recorded", sched.NewRecorder(io.Discard), "timer fires, armed again"),
		timerMoved(),
		inbox(heap.name),
		port(heap.name),
		handOver,
	})
}

func timers(name string, rec *sched.Recorder, against string) load {
	w := sched.NewWorld(time.Unix(0, 0), 1)
	l := w.NewLoop("bench", 0)
	if rec != nil {
		l.Record(rec)
	}
	s := l.Scope("service")
	fired := 0
	for i := range manyTimers {
		var t *sched.Timer
		t = s.Timer("timer", func() {
			fired++
			t.Arm(time.Duration(1000 + i))
		})
		t.Arm(time.Duration(1000 + i))
	}
	return load{name: name, against: against, run: func(n int) error {
		fired = 0
		for range n {
			w.Step()
		}
		return done("timers", fired, n)
	}}
}

// timerMoved puts a deadline off before it comes, as each frame of a connection
// does.
func timerMoved() load {
	l := sched.NewWorld(time.Unix(0, 0), 1).NewLoop("bench", 0)
	s := l.Scope("service")
	ts := make([]*sched.Timer, manyTimers)
	for i := range ts {
		ts[i] = s.Timer("timer", func() {})
		ts[i].Arm(time.Duration(i))
	}
	far := 0
	return load{name: "timer put off", run: func(n int) error {
		for range n {
			far++
			ts[far%manyTimers].Arm(time.Duration(far))
		}
		return nil
	}}
}

func inbox(against string) load {
	w := sched.NewWorld(time.Unix(0, 0), 1)
	handled := 0
	in := sched.NewInbox(w.NewLoop("bench", 0).Scope("service"), "in", 16, number, func(*int64) { handled++ })
	return load{name: "inbox, virtual", against: against, run: func(n int) error {
		handled = 0
		for i := range n {
			in.Offer(int64(i))
			w.Step()
		}
		return done("items", handled, n)
	}}
}

func port(against string) load {
	w := sched.NewWorld(time.Unix(0, 0), 1)
	completed := 0
	var answer func(sched.Result[int64])
	p := sched.NewPort(w.NewLoop("bench", 0).Scope("service"),
		sched.PortConfig[int64, int64]{Name: "port", Deadline: time.Second, Limit: 4, Request: number.Append, Reply: number},
		func(_ int64, reply func(sched.Result[int64])) { answer = reply },
		func(sched.Ticket, int64, int64, error) { completed++ })
	return load{name: "port, start to completion", against: against, run: func(n int) error {
		completed = 0
		for i := range n {
			p.Start(int64(i))
			answer(sched.Result[int64]{Res: 1})
			w.Step()
		}
		return done("completions", completed, n)
	}}
}

// handOver gives items to a live loop from another goroutine, as fast as they are
// taken.
func handOver() (_ load, stop func()) {
	v := sched.NewLive(sched.LiveOptions{Name: "bench"})
	handled, want := 0, 0
	reached := make(chan struct{}, 1)
	in := sched.NewInbox(v.Loop().Scope("service"), "in", 1<<12, number, func(*int64) {
		if handled++; handled == want {
			reached <- struct{}{}
		}
	})
	v.Start()
	return load{name: "inbox, between goroutines", against: "inbox, virtual", run: func(n int) error {
			if !v.Inspect(func() { handled, want = 0, n }) {
				return errEnded
			}
			for i := 0; i < n; {
				if in.Offer(int64(i)) {
					i++
				}
			}
			<-reached
			return nil
		}}, func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			v.Stop(ctx)
		}
}

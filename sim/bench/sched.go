package bench

import (
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
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

// schedLoads are what may enter a loop: `timer` that fires and is armed again,
// `recorded` the same with a recording, `moved` a deadline put off before it comes,
// `inbox` an item of the same goroutine, `port` a request and its completion,
// `posted` items from other goroutines to a live loop. Their reference is a heap of
// the standard library with as many entries, of which the least comes again later.
//
// With open arrivals items are posted when they are due; the reference is a
// channel.
func schedLoads(p *plan) ([]*load, error) {
	if p.open() {
		return p.openInbox()
	}
	loads, err := mixed("sched", p.mixOr("timer"), func(name string) (*load, error) {
		switch name {
		case "timer":
			return timers(nil), nil
		case "recorded":
			return timers(sched.NewRecorder(io.Discard)), nil
		case "moved":
			return timerMoved(), nil
		case "inbox":
			return inbox(), nil
		case "port":
			return port(), nil
		case "posted":
			return posted(or(p.Producers, 1)), nil
		}
		return nil, fmt.Errorf("no operation %q of the scheduler", name)
	})
	return append(loads, plainHeap()), err
}

// entry of the reference: when it is due, and how much later it comes again.
type entry struct{ at, every int64 }

// entries implement heap.Interface.
type entries []entry

func (h entries) Len() int           { return len(h) }
func (h entries) Less(i, k int) bool { return h[i].at < h[k].at }
func (h entries) Swap(i, k int)      { h[i], h[k] = h[k], h[i] }
func (h *entries) Push(x any)        { *h = append(*h, x.(entry)) }
func (h *entries) Pop() any {
	x := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return x
}

// plainHeap is the measure of what turns a loop: a heap whose least entry is moved
// to when it comes again.
func plainHeap() *load {
	h := make(entries, manyTimers)
	for i := range h {
		h[i] = entry{int64(1000 + i), int64(1000 + i)}
	}
	heap.Init(&h)
	return &load{name: "heap", reference: true, run: func(n int, _ *sample) error {
		last := h[0].at
		for range n {
			if h[0].at < last {
				return fmt.Errorf("entry of %d after that of %d", h[0].at, last)
			}
			last = h[0].at
			h[0].at += h[0].every
			heap.Fix(&h, 0)
		}
		return nil
	}}
}

func timers(rec *sched.Recorder) *load {
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
	return &load{run: func(n int, _ *sample) error {
		fired = 0
		for range n {
			w.Step()
		}
		return done("timers", fired, n)
	}}
}

// timerMoved puts a deadline off before it comes, as each frame of a connection
// does.
func timerMoved() *load {
	l := sched.NewWorld(time.Unix(0, 0), 1).NewLoop("bench", 0)
	s := l.Scope("service")
	ts := make([]*sched.Timer, manyTimers)
	for i := range ts {
		ts[i] = s.Timer("timer", func() {})
		ts[i].Arm(time.Duration(i))
	}
	far := 0
	return &load{run: func(n int, _ *sample) error {
		for range n {
			far++
			ts[far%manyTimers].Arm(time.Duration(far))
		}
		return nil
	}}
}

func inbox() *load {
	w := sched.NewWorld(time.Unix(0, 0), 1)
	handled := 0
	in := sched.NewInbox(w.NewLoop("bench", 0).Scope("service"), "in", 16, number, func(*int64) { handled++ })
	return &load{run: func(n int, _ *sample) error {
		handled = 0
		for i := range n {
			in.Offer(int64(i))
			w.Step()
		}
		return done("items", handled, n)
	}}
}

func port() *load {
	w := sched.NewWorld(time.Unix(0, 0), 1)
	completed := 0
	var answer func(sched.Result[int64])
	p := sched.NewPort(w.NewLoop("bench", 0).Scope("service"),
		sched.PortConfig[int64, int64]{Name: "port", Deadline: time.Second, Limit: 4, Request: number.Append, Reply: number},
		func(_ int64, reply func(sched.Result[int64])) { answer = reply },
		func(sched.Ticket, int64, int64, error) { completed++ })
	return &load{run: func(n int, _ *sample) error {
		completed = 0
		for i := range n {
			p.Start(int64(i))
			answer(sched.Result[int64]{Res: 1})
			w.Step()
		}
		return done("completions", completed, n)
	}}
}

// receiver is a live loop that takes items from other goroutines.
type receiver struct {
	live    *sched.Live
	in      *sched.Inbox[int64]
	handled int
	want    int
	take    func(v int64)
	reached chan struct{}
}

func newReceiver(limit int, take func(int64)) *receiver {
	r := &receiver{live: sched.NewLive(sched.LiveOptions{Name: "bench"}), take: take, reached: make(chan struct{}, 1)}
	r.in = sched.NewInbox(r.live.Loop().Scope("service"), "in", limit, number, func(v *int64) {
		if r.take != nil {
			r.take(*v)
		}
		if r.handled++; r.handled == r.want {
			r.reached <- struct{}{}
		}
	})
	r.live.Start()
	return r
}

func (r *receiver) expect(n int) error {
	if !r.live.Inspect(func() { r.handled, r.want = 0, n }) {
		return errEnded
	}
	return nil
}

func (r *receiver) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	r.live.Stop(ctx)
}

// posted gives items to a live loop from other goroutines, as fast as they are
// taken.
func posted(producers int) *load {
	r := newReceiver(1<<12, nil)
	return &load{run: func(n int, _ *sample) error {
		if err := r.expect(n); err != nil {
			return err
		}
		for p := range producers {
			go func() {
				for i := p; i < n; {
					if r.in.Offer(int64(i)) {
						i += producers
					}
				}
			}()
		}
		<-r.reached // by all of them, so that none is left
		return nil
	}, close: r.close}
}

func (p *plan) openInbox() ([]*load, error) {
	epoch := time.Now()
	a, producers := arrivals{p.Rate, p.Ramp}, or(p.Producers, 1)
	var s *sample
	r := newReceiver(inboxLimit, func(due int64) { s.latency.Add(time.Since(epoch).Nanoseconds() - due) })
	loop := &load{name: "posted", run: func(n int, out *sample) error {
		if err := r.expect(n); err != nil {
			return err
		}
		if !r.live.Inspect(func() { s = out }) {
			return errEnded
		}
		shed := make([]int, producers)
		a.produce(n, producers, time.Now(), func(k int, due time.Time) {
			if !r.in.Offer(due.Sub(epoch).Nanoseconds()) {
				shed[k%producers]++
			}
		})
		for _, k := range shed {
			if k > 0 {
				return errShed
			}
		}
		<-r.reached
		return nil
	}, close: r.close}
	channel := &load{name: "channel", reference: true, run: func(n int, out *sample) error {
		c, got := make(chan int64, channelBuffer), make(chan int)
		go func() {
			count := 0
			for due := range c {
				out.latency.Add(time.Since(epoch).Nanoseconds() - due)
				count++
			}
			got <- count
		}()
		a.produce(n, producers, time.Now(), func(_ int, due time.Time) { c <- due.Sub(epoch).Nanoseconds() })
		close(c)
		return done("items", <-got, n)
	}}
	return []*load{loop, channel}, nil
}

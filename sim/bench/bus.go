package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bettensor/bus"
	"bettensor/sched"
)

// event is the size of an ordinary one, and has a payload that each handler reads.
type event struct {
	n, a, b, c int
	body       []byte
}

// read is what each handler does with an event.
func (e *event) read() (sum int) {
	for _, b := range e.body {
		sum += int(b)
	}
	return sum + e.n
}

// payload whose bytes add up to nothing, so that a sum counts events.
func (p *plan) payload() event { return event{n: 1, body: make([]byte, p.Payload)} }

// manyTimers is how many timers a world of the loads holds: a node's few dozen
// times some of its miners.
const manyTimers = 1000

// busLoads are publications to subscribers: `publish` as many at once as there are
// producers, `watched` also to a watcher outside, `timer` from a timer that is
// armed again, each in an event of its own. Their references are a call of each
// handler, and a Go channel with a goroutine for each subscriber.
//
// With open arrivals events come to a live loop from goroutines, are published
// there, and have arrived when the last handler has them; the reference is a
// goroutine that takes them from a channel and calls the handlers.
func busLoads(p *plan) ([]*load, error) {
	subscribers := or(p.Subscribers, 1)
	if p.open() {
		return p.openBus(subscribers)
	}
	loads, err := mixed("bus", p.mixOr("publish"), func(name string) (*load, error) {
		switch name {
		case "publish", "watched":
			return p.publish(subscribers, or(p.Producers, 1), name == "watched"), nil
		case "timer":
			return p.timerAndBus(subscribers), nil
		}
		return nil, fmt.Errorf("no operation %q of the bus", name)
	})
	return append(loads, p.calls(subscribers), p.channels(subscribers)), err
}

func (p *plan) publish(subscribers, producers int, watched bool) *load {
	l := sched.NewWorld(time.Unix(0, 0), 1).NewLoop("bench", 0)
	b := bus.New(l, 0)
	t := bus.NewTopic[event](b, "event")
	served := 0
	for range subscribers {
		t.Subscribe(l.Scope("subscriber"), func(e *event) { served += e.read() })
	}
	if watched {
		t.Watch(64)
	}
	e := p.payload()
	return &load{run: func(n int, _ *sample) error {
		served = 0
		for left := n; left > 0; left -= producers {
			for range min(producers, left) {
				t.Publish(e)
			}
			b.Drain()
		}
		return done("deliveries", served, subscribers*n)
	}}
}

func (p *plan) timerAndBus(subscribers int) *load {
	w := sched.NewWorld(time.Unix(0, 0), 1)
	l := w.NewLoop("bench", 0)
	t := bus.NewTopic[event](bus.New(l, 0), "event")
	s := l.Scope("service")
	served, e := 0, p.payload()
	for range subscribers {
		t.Subscribe(s, func(e *event) { served += e.read() })
	}
	for i := range manyTimers {
		var timer *sched.Timer
		timer = s.Timer("timer", func() {
			t.Publish(e)
			timer.Arm(time.Duration(1000 + i))
		})
		timer.Arm(time.Duration(1000 + i))
	}
	return &load{run: func(n int, _ *sample) error {
		served = 0
		for range n {
			w.Step()
		}
		return done("deliveries", served, subscribers*n)
	}}
}

// calls is what delivery costs without a bus: a list of functions.
func (p *plan) calls(subscribers int) *load {
	served := 0
	var handlers []func(*event)
	for range subscribers {
		handlers = append(handlers, func(e *event) { served += e.read() })
	}
	e := p.payload()
	return &load{name: "call", reference: true, run: func(n int, _ *sample) error {
		served = 0
		for range n {
			for _, h := range handlers {
				h(&e)
			}
		}
		return done("calls", served, subscribers*n)
	}}
}

// channelBuffer is what programs give a channel of events.
const channelBuffer = 256

// channels is what one would have in the place of a bus: a goroutine for each
// subscriber, and a channel to it.
func (p *plan) channels(subscribers int) *load {
	e := p.payload()
	return &load{name: "channel", reference: true, run: func(n int, _ *sample) error {
		chans, served := make([]chan event, subscribers), make(chan int)
		for i := range chans {
			c := make(chan event, channelBuffer)
			chans[i] = c
			go func() {
				sum := 0
				for e := range c {
					sum += e.read()
				}
				served <- sum
			}()
		}
		for range n {
			for _, c := range chans {
				c <- e
			}
		}
		sum := 0
		for _, c := range chans {
			close(c)
			sum += <-served
		}
		return done("deliveries", sum, subscribers*n)
	}}
}

// timed is an event from outside: when it was due, and its payload.
type timed struct {
	due int64 // nanoseconds after the process's first
	event
}

var timedCodec = sched.Codec[timed]{
	Append: func(dst []byte, v *timed) []byte { return number.Append(dst, &v.due) },
	Read:   func(b []byte) (v timed, err error) { v.due, err = number.Read(b); return v, err },
}

// inboxLimit of open loads: a second of a rate that a core can serve.
const inboxLimit = 1 << 20

var errShed = errors.New("the inbox was full: the rate is more than is served")

func (p *plan) openBus(subscribers int) ([]*load, error) {
	v := sched.NewLive(sched.LiveOptions{Name: "bench"})
	l := v.Loop()
	b := bus.New(l, 0)
	t := bus.NewTopic[timed](b, "event")
	epoch := time.Now()
	var s *sample
	served, want := 0, 0
	reached := make(chan struct{}, 1)
	serve := func(e *timed) {
		served += e.read()
		if served%subscribers == 0 {
			s.latency.Add(time.Since(epoch).Nanoseconds() - e.due)
		}
		if served == want {
			reached <- struct{}{}
		}
	}
	for range subscribers {
		t.Subscribe(l.Scope("subscriber"), serve)
	}
	in := sched.NewInbox(l.Scope("service"), "in", inboxLimit, timedCodec, func(e *timed) { t.Publish(*e) })
	v.Start()
	e, a, producers := p.payload(), arrivals{p.Rate, p.Ramp}, or(p.Producers, 1)

	onBus := &load{name: "publish", run: func(n int, out *sample) error {
		if !v.Inspect(func() { served, want, s = 0, subscribers*n, out }) {
			return errEnded
		}
		shed := make([]int, producers)
		a.produce(n, producers, time.Now(), func(k int, due time.Time) {
			if !in.Offer(timed{due.Sub(epoch).Nanoseconds(), e}) {
				shed[k%producers]++
			}
		})
		for _, k := range shed {
			if k > 0 {
				return errShed
			}
		}
		<-reached
		return nil
	}, close: func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		v.Stop(ctx)
	}}
	channel := &load{name: "channel", reference: true, run: func(n int, out *sample) error {
		c, got := make(chan timed, channelBuffer), make(chan int)
		go func() {
			sum := 0
			for e := range c {
				for range subscribers {
					sum += e.read()
				}
				out.latency.Add(time.Since(epoch).Nanoseconds() - e.due)
			}
			got <- sum
		}()
		a.produce(n, producers, time.Now(), func(_ int, due time.Time) { c <- timed{due.Sub(epoch).Nanoseconds(), e} })
		close(c)
		return done("deliveries", <-got, subscribers*n)
	}}
	return []*load{onBus, channel}, nil
}

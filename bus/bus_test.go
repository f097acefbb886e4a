package bus

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"bettensor/sched"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var start = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

type ping struct{ n, a, b, c, d int }

func rig(t testing.TB, history int) (*sched.World, *sched.Loop, *Bus) {
	if t != nil {
		t.Helper()
	}
	w := sched.NewWorld(start, 1)
	l := w.NewLoop("n", 0)
	return w, l, New(l, history)
}

func same[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestOrderIsBreadthFirstAcrossTopics(t *testing.T) {
	_, l, b := rig(t, 0)
	s := l.Scope("s")
	x, y := NewTopic[string](b, "x"), NewTopic[string](b, "y")
	var got []string
	x.Subscribe(s, func(e *string) {
		got = append(got, "x1 "+*e)
		if len(*e) == 1 {
			y.Publish(*e + "y")
			x.Publish(*e + "x")
			got = append(got, "left "+*e) // before what it published is handled
		}
	})
	x.Subscribe(s, func(e *string) { got = append(got, "x2 "+*e) })
	y.Subscribe(s, func(e *string) { got = append(got, "y "+*e) })
	x.Publish("a")
	y.Publish("b")
	x.Publish("c")
	same(t, "handled before the publisher returned", len(got), 0)
	b.Drain()
	want := []string{"x1 a", "left a", "x2 a", "y b", "x1 c", "left c", "x2 c",
		"y ay", "x1 ax", "x2 ax", "y cy", "x1 cx", "x2 cx"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestBusDrainsBeforeTheNextEvent(t *testing.T) {
	w, l, b := rig(t, 0)
	s := l.Scope("s")
	x := NewTopic[int](b, "x")
	var got []string
	x.Subscribe(s, func(e *int) {
		got = append(got, fmt.Sprint("handled ", *e))
		if *e < 3 {
			x.Publish(*e + 10)
		}
	})
	for i := range 2 {
		s.Timer("t", func() { got = append(got, fmt.Sprint("timer ", i)); x.Publish(i) }).Arm(0)
	}
	w.Run(start)
	want := []string{"timer 0", "handled 0", "handled 10", "timer 1", "handled 1", "handled 11"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// A handler that drains would deliver out of order, and under the feet of those
// that are still being served.
func TestDrainInsideAHandlerDoesNothing(t *testing.T) {
	_, l, b := rig(t, -1)
	x := NewTopic[int](b, "x")
	var got []string
	for i := range 2 {
		x.Subscribe(l.Scope("s"), func(e *int) {
			got = append(got, fmt.Sprint(i, " ", *e))
			if *e == 7 && i == 0 {
				for n := range 20 {
					x.Publish(100 + n)
				}
				b.Drain()
			}
		})
	}
	x.Publish(7)
	b.Drain()
	if d := cmp.Diff([]string{"0 7", "1 7", "0 100", "1 100"}, got[:4]); d != "" {
		t.Error(d)
	}
	same(t, "deliveries", len(got), 42)
}

func TestSubscribeAndUnsubscribeInsideHandlers(t *testing.T) {
	_, l, b := rig(t, 0)
	s := l.Scope("s")
	x := NewTopic[int](b, "x")
	var got []string
	note := func(name string) func(*int) { return func(e *int) { got = append(got, fmt.Sprint(name, *e)) } }
	var cancelSelf, cancelNext func()
	cancelSelf = x.Subscribe(s, func(e *int) {
		note("first")(e)
		if *e == 1 {
			x.Publish(2) // before the newcomer: it must not see this one either
			x.Subscribe(s, note("new"))
			x.Publish(3)
			cancelNext()
			cancelNext()
			cancelSelf()
		}
	})
	cancelNext = x.Subscribe(s, note("next"))
	x.Subscribe(s, note("last"))
	x.Publish(1)
	b.Drain()
	want := []string{"first1", "last1", "last2", "last3", "new3"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	same(t, "subscribers left", len(b.Stats()[0].Subscribers), 2)
}

func TestDetachedServiceSeesNothingMore(t *testing.T) {
	_, l, b := rig(t, 0)
	x := NewTopic[int](b, "x")
	gone, stays := l.Scope("gone"), l.Scope("stays")
	n := 0
	x.Subscribe(gone, func(*int) { t.Error("a detached service was served") })
	x.Subscribe(stays, func(*int) { n++ })
	x.Publish(1)
	gone.Close()
	x.Subscribe(gone, func(*int) { t.Error("a detached service subscribed") })
	x.Publish(2)
	b.Drain()
	same(t, "others served", n, 2)
	same(t, "subscribers left", len(b.Stats()[0].Subscribers), 1)
}

func TestPanickingSubscriberIsIsolated(t *testing.T) {
	w, l, b := rig(t, 0)
	x, y := NewTopic[int](b, "x"), NewTopic[int](b, "y")
	bad, good := l.Scope("bad"), l.Scope("good")
	var got, panics []string
	l.OnPanic(func(p sched.Panic) {
		panics = append(panics, p.Error())
		if len(panics) == 2 {
			p.Scope.Close()
		}
	})
	x.Subscribe(good, func(e *int) { got = append(got, fmt.Sprint("before ", *e)) })
	x.Subscribe(bad, func(e *int) {
		y.Publish(*e) // what it said before it fell is said
		panic(errors.New("boom"))
	})
	x.Subscribe(good, func(e *int) { got = append(got, fmt.Sprint("after ", *e)) })
	y.Subscribe(good, func(e *int) { got = append(got, fmt.Sprint("y ", *e)) })
	good.Timer("t", func() {
		for i := range 3 {
			x.Publish(i)
		}
	}).Arm(0)
	w.Run(start)
	want := []string{"before 0", "after 0", "before 1", "after 1", "before 2", "after 2", "y 0", "y 1"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"panic in bad: boom", "panic in bad: boom"}, panics); d != "" {
		t.Error(d)
	}
	st := b.Stats()[0]
	same(t, "published", st.Published, 3)
	same(t, "delivered", st.Delivered, 8)
	same(t, "errors", st.Errors, 2)
}

func TestCycleIsBrokenLoudly(t *testing.T) {
	cycle := func(onPanic func(sched.Panic)) (*sched.World, *Bus) {
		w, l, b := rig(t, 0)
		if onPanic != nil {
			l.OnPanic(onPanic)
		}
		x, y := NewTopic[int](b, "x"), NewTopic[int](b, "y")
		x.Subscribe(l.Scope("a"), func(e *int) { y.Publish(*e + 1) })
		y.Subscribe(l.Scope("b"), func(e *int) { x.Publish(*e + 1) })
		l.Scope("c").Timer("t", func() { x.Publish(0) }).Arm(0)
		return w, b
	}
	var panics []string
	w, b := cycle(func(p sched.Panic) {
		panics = append(panics, fmt.Sprint(p.Scope.Name(), " ", p.Value))
		p.Scope.Close()
	})
	w.Run(start)
	if d := cmp.Diff([]string{"b " + errCycle}, panics); d != "" {
		t.Error(d)
	}
	st := b.Stats()
	same(t, "published", st[0].Published+st[1].Published, MaxQueued)
	if cap(b.queue) > keepQueued {
		t.Errorf("the queue of the burst, %d long, was kept", cap(b.queue))
	}

	defer func() {
		if v := recover(); v == nil {
			t.Error("nobody decides about panics, and the cycle was passed over")
		}
	}()
	w, _ = cycle(nil)
	w.Run(start)
}

func TestBurstIsLetGo(t *testing.T) {
	_, l, b := rig(t, 0)
	x := NewTopic[*int](b, "x")
	next := 0
	x.Subscribe(l.Scope("s"), func(e **int) {
		if **e != next {
			t.Fatalf("got %d, want %d", **e, next)
		}
		next++
	})
	for i := range 3 * keepQueued {
		x.Publish(&i)
	}
	b.Drain()
	same(t, "delivered", next, 3*keepQueued)
	if len(x.ring) > keepQueued || cap(b.queue) > keepQueued {
		t.Errorf("a topic of %d events and a queue of %d were kept", len(x.ring), cap(b.queue))
	}
	h := x.History()
	same(t, "history", len(h), DefaultHistory)
	for i, e := range h {
		same(t, "history", *e, 3*keepQueued-DefaultHistory+i)
	}
}

func TestHistoryKeepsTheLast(t *testing.T) {
	for _, c := range []struct{ history, want int }{{0, DefaultHistory}, {1, 1}, {5, 5}, {8, 8}, {100, 100}, {-1, 0}} {
		_, _, b := rig(t, c.history)
		x := NewTopic[int](b, "x")
		if h := x.History(); len(h) != 0 {
			t.Errorf("history of nothing: %v", h)
		}
		for n := 1; n <= 300; n++ {
			x.Publish(n)
			if n%3 > 0 {
				continue // several wait at a time
			}
			b.Drain()
			h := x.History()
			same(t, fmt.Sprint("length of ", c.history), len(h), min(n, c.want))
			for i, e := range h {
				same(t, "event", e, n-len(h)+1+i)
			}
		}
		x.Publish(301)
		h := x.History()
		if len(h) > 0 {
			same(t, "an event not delivered is not history", h[len(h)-1], 300)
		}
	}
}

func TestStatisticsPerTopicAndSubscriber(t *testing.T) {
	_, l, b := rig(t, 0)
	x, y := NewTopic[int](b, "x"), NewTopic[int](b, "y")
	clock := int64(0)
	l.SetMeter(func() int64 { return clock })
	x.Subscribe(l.Scope("slow"), func(e *int) { clock += int64(*e) })
	x.Subscribe(l.Scope("fast"), func(*int) {})
	y.Subscribe(l.Scope("fast"), func(*int) { clock++ })
	for _, ns := range []int{0, 1, 2, 3, 1000, 1024} {
		x.Publish(ns)
	}
	y.Publish(1)
	b.Drain()
	hist := func(sum, longest time.Duration, counts map[int]uint64) (h Histogram) {
		h.Sum, h.Max = sum, longest
		for i, n := range counts {
			h.Counts[i] = n
		}
		return h
	}
	want := []TopicStats{
		{Name: "x", Published: 6, Delivered: 12, Subscribers: []SubscriberStats{
			{Service: "slow", Delivered: 6, Latency: hist(2030, 1024, map[int]uint64{0: 1, 1: 1, 2: 2, 10: 1, 11: 1})},
			{Service: "fast", Delivered: 6, Latency: hist(0, 0, map[int]uint64{0: 6})}}},
		{Name: "y", Published: 1, Delivered: 1, Subscribers: []SubscriberStats{
			{Service: "fast", Delivered: 1, Latency: hist(1, 1, map[int]uint64{1: 1})}}},
	}
	if d := cmp.Diff(want, b.Stats()); d != "" {
		t.Error(d)
	}
	l.SetMeter(nil)
	x.Publish(9)
	b.Drain()
	if d := cmp.Diff(want[0].Subscribers[0].Latency, b.Stats()[0].Subscribers[0].Latency); d != "" {
		t.Error("latency without a meter:", d)
	}
}

func TestHistogramQuantiles(t *testing.T) {
	var h Histogram
	same(t, "of nothing", h.Quantile(0.5), 0)
	rapid.Check(t, func(t *rapid.T) {
		var h Histogram
		all := rapid.SliceOfN(rapid.Int64Range(-5, 1<<45), 1, 50).Draw(t, "durations")
		for _, ns := range all {
			h.Add(time.Duration(ns))
		}
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		got := h.Quantile(q)
		under := 0
		for _, ns := range all {
			if max(ns, 0) <= int64(got) {
				under++
			}
		}
		if under < int(q*float64(len(all)-1))+1 {
			t.Fatalf("%v-quantile %v has only %d of %d below it", q, got, under, len(all))
		}
		if got > h.Max {
			t.Fatalf("%v is above the longest, %v", got, h.Max)
		}
	})
	h.Add(1 << 42)
	same(t, "of one longer than the buckets", h.Quantile(1), 1<<42)
	h = Histogram{}
	h.Add(100)
	same(t, "q above one", h.Quantile(7), 100)
	same(t, "q below none", h.Quantile(-7), 100)
}

func TestWatcherIsBoundedAndCounts(t *testing.T) {
	_, _, b := rig(t, 0)
	x := NewTopic[int](b, "x")
	next, dropped := x.Watch(3)
	one, _ := x.Watch(-1)
	if _, ok := next(); ok {
		t.Error("an event from nowhere")
	}
	for n := range 5 {
		x.Publish(n)
	}
	b.Drain()
	var got []int
	for {
		e, ok := next()
		if !ok {
			break
		}
		got = append(got, e)
	}
	if d := cmp.Diff([]int{2, 3, 4}, got); d != "" {
		t.Error(d)
	}
	same(t, "dropped", dropped(), 2)
	same(t, "dropped by the topic", b.Stats()[0].Dropped, 6)
	e, _ := one()
	same(t, "the smallest watcher holds the last", e, 4)
}

// Watchers on other goroutines see events in order, each once, and what they
// missed is counted.
func TestWatchersFromOtherGoroutines(t *testing.T) {
	const events, watchers = 20_000, 3
	_, l, b := rig(t, 0)
	x := NewTopic[int](b, "x")
	served := 0
	x.Subscribe(l.Scope("s"), func(*int) { served++ })
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range watchers {
		next, dropped := x.Watch(64)
		wg.Go(func() {
			last, seen := -1, uint64(0)
			for ended := false; ; {
				e, ok := next()
				switch {
				case ok && e <= last:
					t.Errorf("event %d after %d", e, last)
				case ok:
					last = e
					seen++
				case ended:
					if seen+dropped() != events {
						t.Errorf("saw %d and missed %d of %d", seen, dropped(), events)
					}
					return
				default:
					select {
					case <-done:
						ended = true
					default:
					}
				}
			}
		})
	}
	for n := range events {
		x.Publish(n)
		b.Drain()
	}
	close(done)
	wg.Wait()
	same(t, "services served", served, events)
}

func TestTracerSeesEveryDelivery(t *testing.T) {
	_, l, b := rig(t, 0)
	x := NewTopic[int](b, "x")
	var tr tracer
	x.Publish(1)
	l.SetTracer(&tr)
	x.Publish(2)
	b.Drain()
	l.SetTracer(nil)
	x.Publish(3)
	b.Drain()
	if d := cmp.Diff(tracer{"bus x 1", "bus x 2"}, tr); d != "" {
		t.Error(d)
	}
}

type tracer []string

func (t *tracer) Trace(_ *sched.Loop, kind, name string, v any) {
	*t = append(*t, fmt.Sprint(kind, " ", name, " ", v))
}

// TestAgainstSlowTwin plays random cascades on the bus and on a twin that keeps
// one plain list of (topic, event) and, for each, a copy of the subscribers of
// the moment of publication.
func TestAgainstSlowTwin(t *testing.T) {
	type pub struct{ topic, e int }
	type rule struct { // what a subscriber does on its nth event
		publish   []pub
		subscribe int // topic that gets a newcomer, -1 for none
		cancel    int // subscriber that ends, -1 for none
	}
	const topics = 3
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) rule {
			r := rule{subscribe: rapid.IntRange(-1, topics-1).Draw(t, "subscribe"), cancel: rapid.IntRange(-1, 6).Draw(t, "cancel")}
			for range rapid.IntRange(0, 2).Draw(t, "publications") {
				r.publish = append(r.publish, pub{rapid.IntRange(0, topics-1).Draw(t, "topic"), rapid.IntRange(0, 99).Draw(t, "event")})
			}
			return r
		}), 1, 30).Draw(t, "rules")
		first := rapid.SliceOfN(rapid.IntRange(0, topics-1), 1, 6).Draw(t, "subscribers")
		starts := rapid.SliceOfN(rapid.IntRange(0, topics-1), 1, 4).Draw(t, "starts")
		history := rapid.IntRange(-1, 3).Draw(t, "history")

		// play runs the cascade over the three verbs and returns what was handled.
		play := func(publish func(topic, e int), subscribe func(topic, id int, h func(e int)), cancel func(id int), drain func()) (log []string) {
			used, ids := 0, 0
			var add func(topic int)
			add = func(topic int) {
				id := ids
				ids++
				subscribe(topic, id, func(e int) {
					log = append(log, fmt.Sprint(id, " on ", topic, ": ", e))
					if used == len(rules) {
						return
					}
					r := rules[used]
					used++
					for i, p := range r.publish {
						publish(p.topic, p.e)
						if i == 0 && r.subscribe >= 0 {
							add(r.subscribe)
						}
					}
					if r.cancel >= 0 && r.cancel < ids {
						cancel(r.cancel)
					}
				})
			}
			for _, topic := range first {
				add(topic)
			}
			for i, topic := range starts {
				publish(topic, 1000+i)
				if i%2 == 1 {
					drain()
				}
			}
			drain()
			return log
		}

		_, l, b := rig(nil, history)
		s := l.Scope("s")
		var xs [topics]*Topic[int]
		for i := range xs {
			xs[i] = NewTopic[int](b, fmt.Sprint(i))
		}
		cancels := map[int]func(){}
		got := play(func(topic, e int) { xs[topic].Publish(e) },
			func(topic, id int, h func(int)) { cancels[id] = xs[topic].Subscribe(s, func(e *int) { h(*e) }) },
			func(id int) { cancels[id]() }, b.Drain)

		type sub struct {
			h    func(int)
			over bool
		}
		type waiting struct {
			e    int
			subs []*sub
		}
		var list []waiting
		byTopic, byID := map[int][]*sub{}, map[int]*sub{}
		want := play(func(topic, e int) { list = append(list, waiting{e, append([]*sub(nil), byTopic[topic]...)}) },
			func(topic, id int, h func(int)) {
				byID[id] = &sub{h: h}
				byTopic[topic] = append(byTopic[topic], byID[id])
			},
			func(id int) { byID[id].over = true },
			func() {
				for len(list) > 0 {
					w := list[0]
					list = list[1:]
					for _, s := range w.subs {
						if !s.over {
							s.h(w.e)
						}
					}
				}
			})
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	})
}

func TestPublishDoesNotAllocate(t *testing.T) {
	for _, subs := range []int{0, 1, 5} {
		_, l, b := rig(t, 0)
		x := NewTopic[ping](b, "ping")
		sum := 0
		for range subs {
			x.Subscribe(l.Scope("s"), func(p *ping) { sum += p.n })
		}
		publish := func() {
			for range 10 {
				x.Publish(ping{n: 1})
			}
			b.Drain()
		}
		for range 20 { // until the ring has its length
			publish()
		}
		same(t, fmt.Sprint("allocations with ", subs), testing.AllocsPerRun(100, publish), 0)
		if subs > 0 && sum == 0 {
			t.Error("nobody was served")
		}
	}
}

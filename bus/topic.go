package bus

import (
	"math/bits"
	"time"

	"bettensor/sched"
)

// Topic carries events of one type under one name.
//
// Its events lie in one ring, so that an event is copied once in its life: the
// waiting ones, and before them those already delivered that the history keeps.
type Topic[E any] struct {
	name string
	bus  *Bus
	num  uint32 // in bus.topics

	ring []E    // a power of two long, or empty
	mask uint64 // len(ring) less one
	head uint64 // number of the next event to deliver: how many were delivered
	tail uint64 // number of the next event to publish: how many were published
	full uint64 // the tail at which the ring has no room
	keep uint64 // history, and at least the event under delivery

	subs  []*subscription[E]
	gaps  bool // a subscription ended and is still in subs
	depth int  // deliveries under way

	watchers  []*watcher[E]
	delivered uint64
	errors    uint64
}

type subscription[E any] struct {
	topic  *Topic[E]
	scope  *sched.Scope
	handle func(*E)
	from   uint64 // the first event it sees, by the topic's count
	over   bool
	stats  SubscriberStats
}

// NewTopic makes a topic. The name is the event's word in traces, statistics
// and metrics.
func NewTopic[E any](b *Bus, name string) *Topic[E] {
	t := &Topic[E]{name: name, bus: b, num: uint32(len(b.topics)), keep: uint64(max(b.history, 1))}
	b.topics = append(b.topics, t)
	return t
}

// Name is the event's word.
func (t *Topic[E]) Name() string { return t.name }

// Publish hands an event to the bus and returns. What the event points to must
// not change afterwards. It panics after MaxQueued publications that one event
// of the loop set off.
func (t *Topic[E]) Publish(e E) {
	b := t.bus
	if len(b.queue) >= MaxQueued {
		panic(errCycle)
	}
	if t.tail == t.full {
		t.resize(2 * len(t.ring))
	}
	t.ring[t.tail&t.mask] = e
	t.tail++
	b.queue = append(b.queue, t.num)
}

// resize moves what waits and what the history keeps to a ring of another size.
// An event under delivery stays where it is: its handlers point to it.
func (t *Topic[E]) resize(size int) {
	ring := make([]E, max(size, smallRing))
	mask, oldest := uint64(len(ring)-1), t.oldest()
	for i := oldest; i < t.tail; i++ {
		ring[i&mask] = t.ring[i&t.mask]
	}
	t.ring, t.mask, t.full = ring, mask, oldest+uint64(len(ring))
}

// oldest is the number of the oldest event that is kept.
func (t *Topic[E]) oldest() uint64 { return t.head - min(t.head, t.keep) }

// smallRing is the length a topic's ring begins with; a simulated world has tens
// of thousands of topics on which little happens.
const smallRing = 4

const errCycle = "bus: more than MaxQueued publications from one event of the loop: a cycle between services"

// Subscribe calls h for every event published from now on, until cancel or
// until the service is detached. Both may happen inside a handler: a new
// subscriber does not see what was published before, delivered or not, an ended
// one sees nothing more. The event is shared by all subscribers: read only, and
// only during the call.
func (t *Topic[E]) Subscribe(s *sched.Scope, h func(*E)) (cancel func()) {
	sub := &subscription[E]{topic: t, scope: s, handle: h, from: t.tail}
	sub.stats.Service = s.Name()
	t.subs = append(t.subs, sub)
	cancel = func() {
		if !sub.over {
			sub.over, t.gaps = true, true
			t.sweep()
		}
	}
	s.OnClose(cancel)
	return cancel
}

func (t *Topic[E]) sweep() {
	if !t.gaps || t.depth > 0 {
		return
	}
	kept := t.subs[:0]
	for _, s := range t.subs {
		if !s.over {
			kept = append(kept, s)
		}
	}
	clear(t.subs[len(kept):])
	t.subs, t.gaps = kept, false
}

func (t *Topic[E]) deliver() {
	nth := t.head
	e := &t.ring[nth&t.mask]
	if t.head++; t.head > t.keep {
		t.full++
	}
	if t.bus.traced {
		t.bus.loop.Trace("bus", t.name, *e)
	}
	t.depth++
	metered := t.bus.metered
	for i := 0; i < len(t.subs); i++ {
		s := t.subs[i]
		if s.from > nth {
			break // and so do all that follow
		}
		if s.over {
			continue
		}
		t.delivered++
		s.stats.Delivered++
		if metered {
			s.metered(e)
		} else {
			s.invoke(e)
		}
	}
	t.depth--
	if len(t.watchers) > 0 {
		t.tell(e)
	}
	if t.gaps {
		t.sweep()
	}
	if n := uint64(len(t.ring)); n > keepQueued && n > 4*t.keep && t.head == t.tail {
		t.resize(1 << bits.Len64(2*t.keep-1))
	}
}

// History returns the last events that were delivered, oldest first.
func (t *Topic[E]) History() []E {
	var out []E
	for i := t.head - min(t.head, uint64(t.bus.history)); i < t.head; i++ {
		out = append(out, t.ring[i&t.mask])
	}
	return out
}

func (s *subscription[E]) metered(e *E) {
	l := s.topic.bus.loop
	began := l.Meter()
	s.invoke(e)
	s.stats.Latency.Add(time.Duration(l.Meter() - began))
}

func (s *subscription[E]) invoke(e *E) {
	defer s.rescue()
	s.scope.Enter()
	s.handle(e)
}

func (s *subscription[E]) rescue() {
	if v := recover(); v != nil {
		s.topic.errors++
		s.stats.Errors++
		s.scope.Panicked(v)
	}
}

func (t *Topic[E]) stats() TopicStats {
	out := TopicStats{Name: t.name, Published: t.tail, Delivered: t.delivered, Errors: t.errors}
	for _, s := range t.subs {
		out.Subscribers = append(out.Subscribers, s.stats)
	}
	for _, w := range t.watchers {
		out.Dropped += w.dropped.Load()
	}
	return out
}

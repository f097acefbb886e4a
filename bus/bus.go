// Package bus carries what happened in a node to those who care: typed topics
// on one loop, in order, synchronous to services, bounded to outside watchers.
// It knows nothing of betting.
//
// Publish only appends. Handlers run after the publisher has returned, in the
// order of publication across all topics (breadth first), before the loop takes
// its next event. A handler that panics is counted and reported through its
// scope; the other subscribers are served all the same. Services subscribe;
// dashboards and tests watch.
//
// Read topic.go for the hot path and watch.go for outsiders. node and sim call it.
package bus

import (
	"math/bits"
	"time"

	"bettensor/sched"
)

// MaxQueued bounds the publications that one loop event may set off. A cascade
// longer than this is a cycle between services. The Publish that would go
// further panics: the service that called it is the one that is detached, and
// the cycle is broken.
const MaxQueued = 1 << 20

// keepQueued is how long a queue may stay once it is drained. A longer one is let
// go, so that one burst does not hold memory for ever, nor what its events point
// to.
const keepQueued = 1 << 12

// DefaultHistory is how many events of a topic are kept for people to look at: a
// screenful, and one less than a power of two, so that with the one that waits
// they fill a ring.
const DefaultHistory = 63

// Bus is one node's bus. All of it but the watchers' side belongs to the loop.
type Bus struct {
	loop    *sched.Loop
	queue   []uint32 // topics by number, one entry per publication, oldest first
	head    int
	topics  []deliverer
	history int
	metered bool // while draining
	traced  bool
	busy    bool
}

type deliverer interface {
	deliver()
	stats() TopicStats
}

// New makes a bus that drains after every event of the loop. history is the
// length of each topic's ring, 0 for DefaultHistory, below 0 for none.
func New(l *sched.Loop, history int) *Bus {
	if history == 0 {
		history = DefaultHistory
	}
	b := &Bus{loop: l, history: max(history, 0)}
	l.AfterEvent(b.Drain)
	return b
}

// Drain delivers what has been published, and what that leads to. The loop
// calls it; a node calls it once more after its services have started. Inside a
// handler it does nothing: the Drain that called the handler goes on.
func (b *Bus) Drain() {
	if b.busy || len(b.queue) == 0 {
		return
	}
	b.busy, b.metered, b.traced = true, b.loop.Metered(), b.loop.Tracing()
	for b.head < len(b.queue) {
		t := b.topics[b.queue[b.head]]
		b.head++
		t.deliver()
	}
	b.queue, b.head, b.busy = b.queue[:0], 0, false
	if cap(b.queue) > keepQueued {
		b.queue = nil
	}
}

// TopicStats is what passed through a topic.
type TopicStats struct {
	Name        string            `json:"name"`
	Published   uint64            `json:"published"`
	Delivered   uint64            `json:"delivered"`
	Errors      uint64            `json:"errors"`  // panics of subscribers
	Dropped     uint64            `json:"dropped"` // events that watchers were too slow for
	Subscribers []SubscriberStats `json:"subscribers,omitempty"`
}

// SubscriberStats is what one subscriber was given.
type SubscriberStats struct {
	Service   string `json:"service"`
	Delivered uint64 `json:"delivered"`
	Errors    uint64 `json:"errors"`
	// Latency of the handler by the loop's meter; all zero without one.
	Latency Histogram `json:"latency,omitzero"`
}

// Stats returns every topic's figures in order of creation.
func (b *Bus) Stats() []TopicStats {
	out := make([]TopicStats, len(b.topics))
	for i, t := range b.topics {
		out[i] = t.stats()
	}
	return out
}

// Histogram counts durations by power of two: Counts[i] holds those from 2^(i-1)
// up to but not including 2^i nanoseconds, Counts[0] those of nothing, and the
// last all that are longer.
type Histogram struct {
	Counts [40]uint64    `json:"counts"`
	Sum    time.Duration `json:"sum_ns"`
	Max    time.Duration `json:"max_ns"`
}

// Add counts a duration; one below nothing counts as nothing.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.Counts[min(bits.Len64(uint64(d)), len(h.Counts)-1)]++
	h.Sum += d
	h.Max = max(h.Max, d)
}

// Quantile is an upper bound of the q-quantile, within a factor of two where it
// is below nine minutes. q is held to [0, 1].
func (h *Histogram) Quantile(q float64) time.Duration {
	var n uint64
	for _, c := range h.Counts {
		n += c
	}
	if n == 0 {
		return 0
	}
	rank, seen := uint64(min(max(q, 0), 1)*float64(n-1))+1, uint64(0)
	for i, c := range h.Counts[:len(h.Counts)-1] {
		if seen += c; seen >= rank {
			return min(h.Max, time.Duration(int64(1)<<i-1))
		}
	}
	return h.Max
}

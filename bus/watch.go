package bus

import (
	"sync"
	"sync/atomic"
)

// watcher is an outsider's bounded view of a topic.
type watcher[E any] struct {
	mu      sync.Mutex
	events  []E // a ring of limit places
	first   int
	count   int
	dropped atomic.Uint64
}

// Watch keeps up to limit events for somebody outside the loop. next takes the
// oldest one, from any goroutine, and reports false when there is none; what a
// slow watcher misses is dropped, oldest first, and counted. Call Watch itself
// on the loop, or before it starts. A limit below 1 counts as 1.
func (t *Topic[E]) Watch(limit int) (next func() (E, bool), dropped func() uint64) {
	w := &watcher[E]{events: make([]E, max(limit, 1))}
	t.watchers = append(t.watchers, w)
	return w.next, w.dropped.Load
}

func (t *Topic[E]) tell(e *E) {
	for _, w := range t.watchers {
		w.mu.Lock()
		if w.count == len(w.events) {
			w.first = (w.first + 1) % len(w.events)
			w.count--
			w.dropped.Add(1)
		}
		w.events[(w.first+w.count)%len(w.events)] = *e
		w.count++
		w.mu.Unlock()
	}
}

func (w *watcher[E]) next() (e E, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count == 0 {
		return e, false
	}
	var none E
	e, w.events[w.first] = w.events[w.first], none
	w.first = (w.first + 1) % len(w.events)
	w.count--
	return e, true
}

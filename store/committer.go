package store

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// GroupCommitter is the live Committer: one goroutine that applies whatever has
// gathered while the disk was busy as one group, with one fsync. An error ends
// it: what failed is reported as unknown and nothing is tried again, because
// after a failed fsync the kernel may have forgotten the very pages it could not
// write.
type GroupCommitter struct {
	e      Engine
	report func(Event)
	limits Limits

	mu      sync.Mutex
	wake    *sync.Cond
	queue   []queued
	bytes   int
	next    Seq // the number the next Submit must have, 0 before the first
	closing bool
	stopped bool

	done chan struct{}
}

type queued struct {
	seq   Seq
	batch *Batch
	bytes int // as counted on the way in; the batch is not ours once reported
}

// NewGroupCommitter starts the goroutine. report is called from it (and from
// Submit, for a batch that can no longer be written) and must not block: it offers
// the event to an inbox.
func NewGroupCommitter(e Engine, report func(Event), limits Limits) *GroupCommitter {
	c := &GroupCommitter{e: e, report: report, limits: limits.withDefaults(), done: make(chan struct{})}
	c.wake = sync.NewCond(&c.mu)
	go c.run()
	return c
}

// Submit implements Committer. It never waits for the disk.
func (c *GroupCommitter) Submit(seq Seq, b *Batch) {
	if err := c.enqueue(seq, b); err != nil {
		c.report(Event{From: seq, Err: fmt.Errorf("%w: %w", ErrUnknown, err)})
	}
}

func (c *GroupCommitter) enqueue(seq Seq, b *Batch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.stopped:
		return nil // what stopped it was reported, with a number before this one
	case c.closing:
		return ErrClosed
	case c.next != 0 && seq != c.next:
		c.stopped = true
		return fmt.Errorf("%w: %d submitted, not %d", ErrOrder, seq, c.next)
	case len(c.queue) >= overflow*c.limits.Batches || c.bytes >= overflow*c.limits.Bytes:
		c.stopped = true
		return fmt.Errorf("store: %d batches wait for the disk, and nobody pushes back", len(c.queue))
	}
	c.next = seq + 1
	n := len(b.buf)
	c.queue = append(c.queue, queued{seq, b, n})
	c.bytes += n
	c.wake.Signal()
	return nil
}

// gather waits for batches and takes a group; nil means it is time to end.
func (c *GroupCommitter) gather(group []queued) []queued {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) == 0 && !c.closing {
		c.wake.Wait()
	}
	size, n := 0, 0
	for n < len(c.queue) {
		size += c.queue[n].bytes
		if n > 0 && size > c.limits.GroupBytes {
			break
		}
		c.bytes -= c.queue[n].bytes
		n++
	}
	group = append(group[:0], c.queue[:n]...)
	left := copy(c.queue, c.queue[n:])
	clear(c.queue[left:])
	c.queue = c.queue[:left]
	return group
}

func (c *GroupCommitter) run() {
	defer close(c.done)
	var group []queued
	var batches []*Batch
	for {
		if group = c.gather(group); len(group) == 0 {
			return
		}
		batches = batches[:0]
		for _, q := range group {
			batches = append(batches, q.batch)
		}
		first, last := group[0].seq, group[len(group)-1].seq
		if err := c.e.Apply(last, batches, true); err != nil {
			if !errors.Is(err, ErrUnknown) {
				err = fmt.Errorf("%w: %w", ErrUnknown, err)
			}
			c.mu.Lock()
			c.stopped = true
			c.queue, c.bytes = nil, 0
			c.mu.Unlock()
			c.report(Event{UpTo: first - 1, From: first, Err: err})
			return
		}
		c.report(Event{UpTo: last})
	}
}

// ErrSlow is Close's answer where the disk did not finish in time.
var ErrSlow = errors.New("store: the disk did not finish in time; what was not reported is unknown")

// Close writes what is queued, for as long as the limits allow, and ends the
// goroutine. After ErrSlow it still hangs on the disk: end the process without
// closing the engine. Close may be called again.
func (c *GroupCommitter) Close() error {
	c.mu.Lock()
	c.closing = true
	c.wake.Signal()
	c.mu.Unlock()
	patience := time.NewTimer(c.limits.CloseWithin)
	defer patience.Stop()
	select {
	case <-c.done:
		return nil
	case <-patience.C:
		return ErrSlow
	}
}

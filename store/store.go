// Package store keeps typed tables on disk for a program that lives on one
// loop. It knows nothing of what the rows mean.
//
// How to read it: batch.go is what is written (puts and deletes, encoded once),
// table.go and keys.go give rows and keys their types, engine.go says what an
// engine promises, pebble.go and mem.go are the two engines, tail.go is our own
// check that no confirmed row has silently gone, committer.go is the goroutine
// that waits for the disk, backup.go copies, checks and brings back. This file
// is the loop's side of it.
//
// The way of a row:
//
//	b := s.Batch()                         // on the loop
//	players.Put(b, id, &row)
//	seq := s.Commit(b)                     // returns at once
//	    Committer: Submit                  // its goroutine, or a simulator's event
//	    Engine: Apply(.., sync)            // one fsync for a group of batches
//	    report(Event{UpTo: seq})           // to an inbox of the loop
//	s.Deliver(event)                       // on the loop again
//	    OnDurable(seq)                     // only now may the row be spoken of
//
// Tables are written from the loop and never read by it once it runs: state
// lives in memory, is loaded from a Snapshot before the loop starts, and long
// reads take a Snapshot elsewhere. Store is for one goroutine, the loop's; the
// engines and GroupCommitter are safe for several, as their methods say.
package store

import (
	"errors"
	"fmt"
	"time"
)

// Seq numbers batches: the first one ever committed is 1, each later one is one
// more, and the number survives restarts. 0 is "none".
type Seq uint64

// Event is what a Committer reports. UpTo: every batch up to it, that one
// included, is durable. Where Err is not nil, the fate of batch From and of all
// after it is unknown: they may be on disk or not, and nothing more will be written
// through this Committer.
type Event struct {
	UpTo Seq
	From Seq
	Err  error
}

// Committer makes batches durable in the order they are submitted and reports
// through a func given to it when it was made. Submit returns at once and owns
// the batch until the Event that covers it. A simulator has its own Committer,
// which delays, loses, doubles and fails events; Store bears all of that.
type Committer interface {
	Submit(seq Seq, b *Batch)
	Close() error
}

// Limits bound what waits for the disk. A zero field takes its default.
type Limits struct {
	// Batches waiting at which Store.Full says so. Default 8192: two thirds of a
	// second of the load we hold (12,000 rows a second).
	Batches int
	// Bytes waiting at which Store.Full says so. Default 16 MiB, four times what
	// 8192 ordinary rows take, so that it only bites on unusually large ones.
	Bytes int
	// GroupBytes ends a group of the GroupCommitter. The default is what the tail
	// file can hold: a larger group costs a second fsync after the first.
	GroupBytes int
	// CloseWithin is how long GroupCommitter.Close waits for what is queued.
	// Default 5 s, half of the ten seconds a node has to stop.
	CloseWithin time.Duration
}

const (
	defaultPendingBatches = 8192
	defaultPendingBytes   = 16 << 20
	defaultGroupBytes     = tailRoom - 256 // the counter row and the batch header ride along
	defaultCloseWithin    = 5 * time.Second
	// overflow times the limit of waiting batches or bytes is where a
	// GroupCommitter gives up: who ignores Full that long does not push back.
	overflow = 16
	// spareBatches are kept for reuse; one group of many small batches.
	spareBatches = 256
	// spareBytes is the largest buffer kept for reuse.
	spareBytes = 64 << 10
)

func (l Limits) withDefaults() Limits {
	if l.Batches <= 0 {
		l.Batches = defaultPendingBatches
	}
	if l.Bytes <= 0 {
		l.Bytes = defaultPendingBytes
	}
	if l.GroupBytes <= 0 {
		l.GroupBytes = defaultGroupBytes
	}
	if l.CloseWithin <= 0 {
		l.CloseWithin = defaultCloseWithin
	}
	return l
}

type pending struct {
	batch *Batch
	bytes int
}

// Store numbers batches, hands them to a Committer and tells the loop when they
// are durable. All its methods are the loop's.
type Store struct {
	c       Committer
	last    Seq // assigned
	durable Seq
	waiting []pending // waiting[head:] are batches durable+1 .. last
	head    int
	bytes   int
	limits  Limits
	err     error // why it takes no more batches
	failed  Seq   // the first batch of unknown fate, 0 while there is none
	spare   []*Batch

	onDurable []func(Seq)
	onFailed  []func(Seq, error)
}

// New returns a Store whose next batch is numbered at+1; at is what the engine
// calls Durable after it was opened.
func New(c Committer, at Seq) *Store {
	return &Store{c: c, last: at, durable: at, limits: Limits{}.withDefaults()}
}

// Limit replaces the limits at which Full says so.
func (s *Store) Limit(l Limits) { s.limits = l.withDefaults() }

// Batch returns an empty batch, one that has become durable where there is one.
func (s *Store) Batch() *Batch {
	if n := len(s.spare); n > 0 {
		b := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return b
	}
	return new(Batch)
}

// Commit submits a batch and returns its number, or 0 where the store is closed
// (Err says why) or the batch is empty, in which case it has no effect at all.
// The batch belongs to the store from here on; do not touch it again.
func (s *Store) Commit(b *Batch) Seq {
	if s.err != nil || b.Len() == 0 {
		s.recycle(b)
		return 0
	}
	s.last++
	n := len(b.buf)
	s.waiting = append(s.waiting, pending{b, n})
	s.bytes += n
	s.c.Submit(s.last, b)
	return s.last
}

// OnDurable has f called, on the loop, each time more batches became durable;
// one call may confirm a whole group. Handlers are called in the order they were
// given.
func (s *Store) OnDurable(f func(upTo Seq)) { s.onDurable = append(s.onDurable, f) }

// OnFailed has f called once, on the loop, when the fate of the batches from
// that number on became unknown. The store is closed by then. Answer nothing
// final, close and reopen the engine, reload, and resolve by id.
func (s *Store) OnFailed(f func(from Seq, err error)) { s.onFailed = append(s.onFailed, f) }

// Deliver takes in what the Committer reported. Events that come twice, late or
// in another order do no harm: durability only moves forward, and never past a
// failure or past what was committed.
func (s *Store) Deliver(e Event) {
	limit := s.last
	if s.failed != 0 {
		limit = s.failed - 1
	}
	if upTo := min(e.UpTo, limit); upTo > s.durable {
		for ; s.durable < upTo; s.durable++ {
			p := s.waiting[s.head]
			s.waiting[s.head] = pending{}
			s.head++
			s.bytes -= p.bytes
			s.recycle(p.batch)
		}
		s.compact()
		for _, f := range s.onDurable {
			f(upTo)
		}
	}
	// A failure of what is known to be durable is an echo of an earlier life.
	if e.Err != nil && s.failed == 0 && e.From > s.durable {
		s.fail(e.From, e.Err)
	}
}

func (s *Store) fail(from Seq, err error) {
	s.failed = from
	s.err = fmt.Errorf("%w from batch %d on: %w", ErrClosed, from, err)
	for _, f := range s.onFailed {
		f(from, err)
	}
}

// compact gives the room of confirmed batches back once they are the greater
// part, so that the queue's cost stays constant per batch.
func (s *Store) compact() {
	if s.head*2 < len(s.waiting) {
		return
	}
	n := copy(s.waiting, s.waiting[s.head:])
	clear(s.waiting[n:])
	s.waiting, s.head = s.waiting[:n], 0
}

func (s *Store) recycle(b *Batch) {
	if len(s.spare) >= spareBatches || cap(b.buf) > spareBytes {
		return
	}
	b.Reset()
	s.spare = append(s.spare, b)
}

// Pending is how many batches are committed and not yet known to be durable.
func (s *Store) Pending() int { return len(s.waiting) - s.head }

// PendingBytes is their encoded size.
func (s *Store) PendingBytes() int { return s.bytes }

// Full says that so much waits for the disk that new work should be refused with
// "try again". Commit itself never refuses for it: what was begun must be finished.
func (s *Store) Full() bool {
	return s.Pending() >= s.limits.Batches || s.bytes >= s.limits.Bytes
}

// Last is the number of the newest batch, Durable that of the newest known to
// be durable.
func (s *Store) Last() Seq { return s.last }

// Durable is the number of the newest batch known to be durable.
func (s *Store) Durable() Seq { return s.durable }

// Err is nil while the store takes batches, afterwards an ErrClosed with the
// reason.
func (s *Store) Err() error { return s.err }

// Close takes no more batches and closes the Committer, which writes what is
// queued within its deadline and reports it as ever; Deliver still takes that in.
func (s *Store) Close() error {
	if s.err == nil {
		s.err = ErrClosed
	}
	if err := s.c.Close(); err != nil {
		return fmt.Errorf("store: close: %w", err)
	}
	return nil
}

var (
	// ErrClosed is why a store takes no more batches.
	ErrClosed = errors.New("store: closed")
	// ErrUnknown marks a commit whose fate is not known: perhaps on disk, perhaps
	// not. Never try it again on the same engine; reopen and look.
	ErrUnknown = errors.New("store: fate of the commit unknown; reopen the store and look")
)

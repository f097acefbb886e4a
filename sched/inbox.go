package sched

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
)

// Codec is the recorded form of what enters a loop. Append(Read(b)) must give b
// again: the recorded form is also what is hashed. Read may keep b.
type Codec[E any] struct {
	Append func(dst []byte, e *E) []byte
	Read   func(b []byte) (E, error)
	// Hash is what an item adds to the running hash, for items that are dearer to
	// encode than to hash. It must cover what Append writes, and be the same for
	// what Read makes of that. Nil hashes what Append writes.
	Hash func(e *E) uint64
}

// Inbox is the only way into a loop from other goroutines. It is bounded: what
// does not fit is shed and counted, never queued without end.
type Inbox[E any] struct {
	scope   *Scope
	source  uint32
	lane    uint64
	limit   int64
	waiting atomic.Int64
	shed    atomic.Uint64
	closed  atomic.Bool
	codec   Codec[E]
	handle  func(*E)
	mu      sync.Mutex
	pool    []*parcel[E]
}

// parcel is an item on its way.
type parcel[E any] struct {
	in   *Inbox[E]
	from uint64 // its lane (Explore)
	e    E
}

// NewInbox makes an inbox whose items are given to handle, on the loop. The
// item is valid during the call only.
func NewInbox[E any](s *Scope, name string, limit int, codec Codec[E], handle func(*E)) *Inbox[E] {
	in := &Inbox[E]{scope: s, source: s.loop.source(s.name + "/" + name), limit: int64(limit), codec: codec, handle: handle}
	in.lane = Lane(s.loop.name, s.name, name)
	s.OnClose(func() { in.closed.Store(true) })
	if r, ok := s.loop.drv.(registrar); ok {
		r.register(in.source, in)
	}
	return in
}

// Offer hands an item over. False: the inbox is full, its service is detached
// or its loop has ended, and the item was shed and counted.
func (in *Inbox[E]) Offer(e E) bool {
	if !in.reserve() {
		return false
	}
	p := in.wrap(&e)
	if !in.scope.loop.drv.post(in.scope.loop, p) {
		in.drop(p)
		return false
	}
	return true
}

// reserve takes one of the places that limit the inbox.
func (in *Inbox[E]) reserve() bool {
	if in.closed.Load() {
		in.shed.Add(1)
		return false
	}
	if in.waiting.Add(1) > in.limit {
		in.waiting.Add(-1)
		in.shed.Add(1)
		return false
	}
	return true
}

// drop sheds an item that had a place.
func (in *Inbox[E]) drop(p *parcel[E]) {
	in.waiting.Add(-1)
	in.shed.Add(1)
	in.recycle(p)
}

// Shed counts the items refused, or dropped unhandled when their service was
// detached.
func (in *Inbox[E]) Shed() uint64 { return in.shed.Load() }

// Waiting counts the items handed over and not yet handled.
func (in *Inbox[E]) Waiting() int { return int(in.waiting.Load()) }

func (in *Inbox[E]) wrap(e *E) *parcel[E] {
	in.mu.Lock()
	defer in.mu.Unlock()
	if n := len(in.pool); n > 0 {
		p := in.pool[n-1]
		in.pool = in.pool[:n-1]
		p.e, p.from = *e, in.lane
		return p
	}
	return &parcel[E]{in: in, from: in.lane, e: *e}
}

func (in *Inbox[E]) recycle(p *parcel[E]) {
	var none E
	p.e = none
	in.mu.Lock()
	in.pool = append(in.pool, p) // never more than limit, the most there are at a time
	in.mu.Unlock()
}

func (p *parcel[E]) owner() *Loop { return p.in.scope.loop }
func (p *parcel[E]) lane() uint64 { return p.from }

// Fire is for drivers.
func (p *parcel[E]) Fire() {
	in := p.in
	l := in.scope.loop
	if in.scope.closed {
		in.drop(p)
		return
	}
	in.waiting.Add(-1)
	sum, payload := in.codec.sum(l, &p.e)
	if !l.begin(in.source, sum, payload) {
		return
	}
	in.invoke(&p.e)
	l.end()
	in.recycle(p)
}

func (in *Inbox[E]) invoke(e *E) {
	defer in.scope.Recover()
	in.scope.Enter()
	in.handle(e)
}

var errReencode = errors.New("the input does not encode as it was recorded")

// sum returns what an item adds to the hash, and its recorded form where
// somebody records.
func (c *Codec[E]) sum(l *Loop, e *E) (uint64, []byte) {
	if c.Hash != nil && l.rec == nil {
		return c.Hash(e), nil
	}
	l.buf = c.Append(l.buf[:0], e)
	if c.Hash != nil {
		return c.Hash(e), l.buf
	}
	return xxhash.Sum64(l.buf), l.buf
}

// replay takes in the recorded form of an item.
func (in *Inbox[E]) replay(payload []byte) error {
	e, err := in.codec.Read(payload)
	if err != nil {
		return err
	}
	l := in.scope.loop
	if l.buf = in.codec.Append(l.buf[:0], &e); !bytes.Equal(l.buf, payload) {
		return errReencode
	}
	in.waiting.Add(1)
	in.wrap(&e).Fire()
	return nil
}

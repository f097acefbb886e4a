package sched

// Event is something due at an instant. Fire takes it in: for an event of a
// loop that means hashing, recording and handling it; for an event of the
// world (a frame arriving, a fault beginning) it is plain code.
type Event interface{ Fire() }

// item is what the heap moves: no pointer, so that moving it costs no write
// barrier. Order is (at, seq).
type item struct {
	at   int64
	seq  uint64
	slot int32
}

func (a item) before(b item) bool { return a.at < b.at || (a.at == b.at && a.seq < b.seq) }

type slot struct {
	ev  Event
	pos int32 // index in items
}

// queue is a 4-ary heap of values with stable slots, so that a pending timer
// can be moved or removed without search or garbage.
type queue struct {
	items []item
	slots []slot
	free  []int32
	seq   uint64
	early uint64
}

// firstSeq of ordinary events leaves room before it for those that come first.
// Between it and the running number lies the draw by which ties are permuted: 0
// where they are not. Numbers that run into the draw's bits, after a million
// million events, would still be in order among themselves.
const (
	firstSeq = 1 << 62
	drawBits = 22
	seqBits  = 62 - drawBits
)

func (q *queue) len() int { return len(q.items) }

// push adds an event and returns the slot by which it can be moved or removed
// until it is popped. Of events due at one instant those with a lower draw come
// first, then those pushed first.
func (q *queue) push(at int64, draw uint64, ev Event) int32 {
	q.seq++
	return q.put(at, firstSeq+draw<<seqBits+q.seq, ev)
}

// pushFirst adds an event before all that push has made or will make due at the
// same instant, and behind what pushFirst has.
func (q *queue) pushFirst(at int64, ev Event) int32 {
	q.early++
	return q.put(at, q.early, ev)
}

func (q *queue) put(at int64, seq uint64, ev Event) int32 {
	var s int32
	if n := len(q.free); n > 0 {
		s = q.free[n-1]
		q.free = q.free[:n-1]
		q.slots[s].ev = ev
	} else {
		s = int32(len(q.slots))
		q.slots = append(q.slots, slot{ev: ev})
	}
	q.items = append(q.items, item{at: at, seq: seq, slot: s})
	q.up(len(q.items) - 1)
	return s
}

// move gives a pending event another instant, behind what is already due then
// with the same draw.
func (q *queue) move(s int32, at int64, draw uint64) {
	i := int(q.slots[s].pos)
	q.seq++
	q.items[i].at, q.items[i].seq = at, firstSeq+draw<<seqBits+q.seq
	q.up(i)
	q.down(int(q.slots[s].pos))
}

// remove takes a pending event out.
func (q *queue) remove(s int32) {
	i := int(q.slots[s].pos)
	last := len(q.items) - 1
	if i != last {
		q.items[i] = q.items[last]
		q.slots[q.items[i].slot].pos = int32(i)
	}
	q.items = q.items[:last]
	if i != last {
		moved := q.items[i].slot
		q.up(i)
		q.down(int(q.slots[moved].pos))
	}
	q.slots[s].ev = nil
	q.free = append(q.free, s)
}

// pop takes the earliest event. The queue must not be empty.
func (q *queue) pop() (at int64, ev Event) {
	top := q.items[0]
	ev = q.slots[top.slot].ev
	last := len(q.items) - 1
	if last > 0 {
		q.items[0] = q.items[last]
		q.slots[q.items[0].slot].pos = 0
	}
	q.items = q.items[:last]
	if last > 1 {
		q.down(0)
	}
	q.slots[top.slot].ev = nil
	q.free = append(q.free, top.slot)
	return top.at, ev
}

func (q *queue) up(i int) {
	it := q.items[i]
	for i > 0 {
		p := (i - 1) / 4
		if !it.before(q.items[p]) {
			break
		}
		q.items[i] = q.items[p]
		q.slots[q.items[i].slot].pos = int32(i)
		i = p
	}
	q.items[i] = it
	q.slots[it.slot].pos = int32(i)
}

func (q *queue) down(i int) {
	n := len(q.items)
	it := q.items[i]
	for {
		c := 4*i + 1
		if c >= n {
			break
		}
		end := min(c+4, n)
		best := c
		for k := c + 1; k < end; k++ {
			if q.items[k].before(q.items[best]) {
				best = k
			}
		}
		if !q.items[best].before(it) {
			break
		}
		q.items[i] = q.items[best]
		q.slots[q.items[i].slot].pos = int32(i)
		i = best
	}
	q.items[i] = it
	q.slots[it.slot].pos = int32(i)
}

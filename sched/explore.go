package sched

import "github.com/cespare/xxhash/v2"

// explorer permutes ties. A draw depends on the seed, the instant and the lane
// and on nothing else, so that an event more or less shifts no other's.
type explorer struct {
	on    bool
	seed  uint64
	cause uint64           // lane of the event being handled, 0 outside of one
	roots map[int64]uint64 // world events that nothing caused, by instant
}

// Explore permutes, from now on and by the world's seed, the order of what falls
// due at one instant, so that a run tries orders that live may produce. What
// live keeps in order stays in order, by lanes: the timers and slices of a loop
// are one; the items of an inbox are one, or one for each sender (DeliverOn); a
// world event is on the lane of what caused it, the loop or the world event that
// was being handled when it was pushed. Within a lane the order is that of the
// pushes.
func (w *World) Explore() {
	w.order = explorer{on: true, seed: w.seed, roots: map[int64]uint64{}}
}

// Lane makes a lane of names: those whose order among themselves counts.
func Lane(path ...string) uint64 {
	var d xxhash.Digest
	d.Reset()
	for _, p := range path {
		d.WriteString(p)
		d.Write([]byte{0})
	}
	return d.Sum64()
}

// laned is an event that names its lane.
type laned interface{ lane() uint64 }

// draw ranks a lane among those with something due at an instant; 0 while ties
// are not permuted.
func (x *explorer) draw(at int64, lane uint64) uint64 {
	if !x.on {
		return 0
	}
	return mix(mix(x.seed, uint64(at)), lane) >> (64 - drawBits)
}

// caused is a world event that remembers its lane.
type caused struct {
	ev    Event
	w     *World
	under uint64
}

// Fire lets what the event pushes be caused by what caused it.
func (c caused) Fire() {
	c.w.order.cause = c.under
	c.ev.Fire()
	c.w.order.cause = 0
}

func (w *World) pushWorld(at int64, ev Event) {
	x := &w.order
	if !x.on {
		w.q.push(at, 0, ev)
		return
	}
	lane := x.cause
	if lane == 0 {
		x.roots[at]++
		lane = mix(uint64(at), x.roots[at])
	}
	w.q.push(at, x.draw(at, lane), caused{ev, w, lane})
}

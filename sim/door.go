package sim

import (
	"slices"
	"time"

	"bettensor/node/chain"
	"bettensor/node/wire"
)

// The door is what the live sockets put before a node that listens: limits by
// address, and room for strangers that the oldest of them leaves to the newest.
// A host has one address. The figures are the defaults of node/wire/sock.
const (
	doorOpen     = 16  // connections of one address
	doorUnproved = 5   // of those, that have not authenticated
	doorRate     = 2   // new ones of an address each second
	doorBurst    = 16  // and at once after a silence
	doorRoom     = 512 // strangers at once, or twice the hosts of a larger world
)

// caller is what a host keeps of another that dials it.
type caller struct {
	left     float64 // of its rate
	at       time.Time
	open     int // its connections
	unproved int // of those, that have not authenticated
}

// strangers are a host's inbound connections whose peers have not authenticated.
type strangers struct {
	n     int
	queue []*end // the oldest first, with some that are strangers no more
}

func (e *end) stranger() bool { return e.open && !e.proved }

// add takes a new stranger, and forgets those who are none any more when they
// are the most.
func (s *strangers) add(e *end) {
	if len(s.queue) > 2*s.n+doorUnproved {
		s.queue = slices.DeleteFunc(s.queue, func(e *end) bool { return !e.stranger() })
	}
	s.queue = append(s.queue, e)
	s.n++
}

// oldest is the stranger that has been there for longest.
func (s *strangers) oldest() *end {
	for !s.queue[0].stranger() {
		s.queue = s.queue[1:]
	}
	return s.queue[0]
}

var _ wire.Gate = (*transport)(nil)

// Prove notes that the peer of an inbound connection has authenticated.
func (t *transport) Prove(c wire.Conn, _ chain.Hotkey) {
	if e := t.host.ends[c]; e != nil && e.id&wire.Dialled == 0 && e.stranger() {
		t.host.callers[e.peer.host].unproved--
		t.host.strangers.n--
		e.proved = true
	}
}

// Admit does nothing: whose requests are taken, the node decides again.
func (t *transport) Admit([]chain.Hotkey) {}

// lets says whether a host takes a new connection of another, and breaks the
// oldest stranger's where it needs the room.
func (n *network) lets(to, from *Host) bool {
	c := to.knock(from, n.w.now())
	if c == nil || c.open >= doorOpen || c.unproved >= doorUnproved {
		return false
	}
	if to.strangers.n >= max(doorRoom, 2*len(n.w.Hosts)) {
		n.breakEnd(to.strangers.oldest(), 0, "evicted")
	}
	return true
}

// enter counts a connection that was let in.
func (h *Host) enter(e *end) {
	c := h.callers[e.peer.host]
	c.open++
	c.unproved++
	h.strangers.add(e)
}

// shut ends one side of a connection that was open.
func (e *end) shut() {
	delete(e.host.ends, e.id)
	if e.open && e.id&wire.Dialled == 0 {
		c := e.host.callers[e.peer.host]
		c.open--
		if !e.proved {
			c.unproved--
			e.host.strangers.n--
		}
	}
	e.open = false
}

// knock takes one new connection of an address out of its rate, nil where
// nothing is left of it.
func (h *Host) knock(from *Host, now time.Time) *caller {
	if h.callers == nil {
		h.callers = map[*Host]*caller{}
	}
	c := h.callers[from]
	if c == nil {
		c = &caller{left: doorBurst, at: now}
		h.callers[from] = c
	}
	c.left = min(c.left+now.Sub(c.at).Seconds()*doorRate, doorBurst)
	c.at = now
	if c.left < 1 {
		return nil
	}
	c.left--
	return c
}

package sim

import (
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

// knocks is what an address has left of its rate.
type knocks struct {
	left float64
	at   time.Time
}

var _ wire.Gate = (*transport)(nil)

// Prove notes that the peer of an inbound connection has authenticated.
func (t *transport) Prove(c wire.Conn, _ chain.Hotkey) {
	if e := t.host.ends[c]; e != nil {
		e.proved = true
	}
}

// Admit does nothing: whose requests are taken, the node decides again.
func (t *transport) Admit([]chain.Hotkey) {}

// lets says whether a host takes a new connection of another, and breaks the
// oldest stranger's where it needs the room.
func (n *network) lets(to, from *Host) bool {
	if !to.knock(from, n.w.now()) {
		return false
	}
	open, unproved, strangers := 0, 0, 0
	var oldest *end
	for _, e := range to.ends { // counted, and the oldest has the least number: order cannot matter
		if e.id&wire.Dialled != 0 || !e.open {
			continue
		}
		if e.peer.host == from {
			open++
			if !e.proved {
				unproved++
			}
		}
		if !e.proved {
			if strangers++; oldest == nil || e.id < oldest.id {
				oldest = e
			}
		}
	}
	if open >= doorOpen || unproved >= doorUnproved {
		return false
	}
	if strangers >= max(doorRoom, 2*len(n.w.Hosts)) {
		n.breakEnd(oldest, 0, "evicted")
	}
	return true
}

// knock takes one new connection of an address out of its rate.
func (h *Host) knock(from *Host, now time.Time) bool {
	if h.knocks == nil {
		h.knocks = map[*Host]*knocks{}
	}
	k := h.knocks[from]
	if k == nil {
		k = &knocks{doorBurst, now}
		h.knocks[from] = k
	}
	k.left = min(k.left+now.Sub(k.at).Seconds()*doorRate, doorBurst)
	k.at = now
	if k.left < 1 {
		return false
	}
	k.left--
	return true
}

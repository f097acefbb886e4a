package sim

import (
	"bytes"
	"slices"
	"time"
)

// beginNetwork does what a fault of the network does at once.
func (a *active) beginNetwork() {
	n := a.h.world.net
	switch a.f.What {
	case "miner.disconnect", "network.mass_disconnect":
		a.bit(n.breakAll(a.h, a.reset()))
	case "network.flapping":
		a.repeat(a.f.Params.Period, a.flap)
	case "network.half_open":
		a.bit(n.forget(a.h))
	}
}

func (a *active) endNetwork() {
	switch a.f.What {
	case "network.partition":
		a.h.world.net.heal(a.h)
	}
}

// reset is what the nodes at both ends are told of a connection that a fault
// has broken.
func (a *active) reset() string { return a.injected("connection reset").Error() }

// flap cuts the connections and lets none stand for a while.
func (a *active) flap() {
	a.cut = true
	a.bit(a.h.world.net.breakAll(a.h, a.reset()))
	a.h.world.after(a.f.Params.Down, func() { a.cut = false })
}

// forget makes a host's connections go nowhere, and tells nobody but who wants to
// know how many.
func (n *network) forget(h *Host) (lost int) {
	for _, id := range h.conns() {
		if e := h.ends[id]; e.peer != nil {
			e.gone, e.peer.gone = true, true
			lost++
		}
	}
	return lost
}

// lost counts a frame that was lost on its way for the faults that make a host's
// links lose some.
func (h *Host) lost() {
	for _, a := range h.active {
		if a.f.What == "network.loss" {
			a.bit(1)
		}
	}
}

// faultLoss is the share of packets that faults make a host's links lose.
func (h *Host) faultLoss() float64 {
	keep := 1.0
	for _, a := range h.active {
		if a.f.What == "network.loss" {
			keep *= 1 - a.f.Params.Loss
		}
	}
	return 1 - keep
}

// partitioned is the partition that holds up what a host hears (in) from another,
// or what it says (out) to it; nil for none.
func (h *Host) partitioned(direction string, other *Host) *active {
	for _, a := range h.active {
		if a.f.What == "network.partition" && (a.f.Params.Direction == "both" || a.f.Params.Direction == direction) &&
			(a.others == nil || slices.Contains(a.others, other)) {
			return a
		}
	}
	return nil
}

// refusing says whether no new connection of a host stands.
func (n *network) refusing(h *Host) bool {
	for _, a := range h.active {
		if a.f.What == "miner.disconnect" || a.f.What == "network.flapping" && a.cut {
			a.bit(1)
			return true
		}
	}
	return false
}

// struck returns the fault of a kind that hits a frame between two hosts.
func struck(from, to *Host, what string) *active {
	a := from.strikes(what)
	if a == nil {
		a = to.strikes(what)
	}
	if a != nil {
		a.bit(1)
	}
	return a
}

// corrupted is a frame with one bit flipped, where a fault does that.
func corrupted(from, to *Host, frame []byte) []byte {
	a := struck(from, to, "network.corruption")
	if a == nil || len(frame) == 0 {
		return frame
	}
	frame = bytes.Clone(frame)
	frame[a.rng.IntN(len(frame))] ^= 1 << a.rng.IntN(8)
	return frame
}

// narrowest is the least bandwidth that faults of a kind leave, 0 for any, and
// whose doing it is.
func narrowest(what string, hosts ...*Host) (b int64, by *active) {
	for _, h := range hosts {
		for _, a := range h.active {
			if x := int64(a.f.Params.Bandwidth); a.f.What == what && (b == 0 || x < b) {
				b, by = x, a
			}
		}
	}
	return b, by
}

// through is a narrow place: what leaves waits for what came before.
type through struct{ free time.Time }

// take puts so many bytes through, at so many a second, and returns how long that
// takes from now on. It takes nothing and says so where more than sendBuffer would
// wait.
func (t *through) take(size int, perSecond int64, now time.Time) (time.Duration, bool) {
	if t.free.Before(now) {
		t.free = now
	}
	wait := t.free.Sub(now)
	if wait.Seconds()*float64(perSecond) > sendBuffer {
		return 0, false
	}
	t.free = t.free.Add(time.Duration(float64(size) / float64(perSecond) * float64(time.Second)))
	return t.free.Sub(now), true
}

package sim

import (
	"math"
	"slices"
	"time"

	"bettensor/sched"
	"bettensor/sim/fault"
)

// clockSkew is how far the clock of a validator may be from the world's, by the
// faults of a scenario in a run of a length. A clock that is being set right is
// never further off than it was before.
func (w *World) clockSkew(faults []fault.Fault, length time.Duration) (skew time.Duration) {
	for i := range faults {
		f := &faults[i]
		t, err := fault.ParseTarget(f.Target)
		if err != nil || f.Family() != "clock" || !slices.ContainsFunc(w.targets(t), (*Host).IsValidator) {
			continue
		}
		most := f.Params.Ahead.Abs()
		if f.What == "clock.drift" {
			most = time.Duration(float64(longest(f, length)) * math.Abs(f.Params.PPM) / 1e6)
		}
		skew += most * time.Duration(max(overlapping(f.Windows, length), 1))
	}
	return skew
}

// longest is how long the longest window of a fault lasts.
func longest(f *fault.Fault, length time.Duration) time.Duration {
	most := f.For
	for i := range f.Windows {
		if f.Windows[i].For == 0 {
			return length
		}
		most = max(most, f.Windows[i].For)
	}
	if most == 0 {
		return length
	}
	return min(most, length)
}

// overlapping is how many of the windows that are written out last at one instant,
// at most.
func overlapping(windows []fault.Planned, length time.Duration) (most int) {
	end := func(p fault.Planned) time.Duration {
		if p.For == 0 {
			return length
		}
		return p.At + p.For
	}
	for _, p := range windows { // most last together when one of them begins
		n := 0
		for _, q := range windows {
			if q.At <= p.At && p.At < end(q) {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// slowing is how long clocks that a scenario sets ahead may take to be right again
// after its faults have ended: they lose half their pace.
func slowing(faults []fault.Fault, length time.Duration) (most time.Duration) {
	for i := range faults {
		f, ahead := &faults[i], time.Duration(0)
		switch f.What {
		case "clock.skew", "clock.jump":
			ahead = f.Params.Ahead
		case "clock.drift":
			ahead = time.Duration(float64(longest(f, length)) * f.Params.PPM / 1e6)
		}
		most += time.Duration(float64(max(ahead, 0)) / -sched.SlowestClock)
	}
	return most
}

// clock is how far a host's clock is ahead now, and what it gains in parts of a
// million.
func (h *Host) clock() (ahead time.Duration, gain float64) {
	for _, a := range h.active {
		p, now := &a.f.Params, h.world.now()
		switch a.f.What {
		case "clock.skew":
			ahead += p.Ahead
		case "clock.drift":
			ahead += time.Duration(float64(now.Sub(a.began)) * p.PPM / 1e6)
			gain += p.PPM
		case "clock.jump":
			back := max(-float64(p.Ahead)/float64(a.until.Sub(a.began)), sched.SlowestClock)
			ahead += p.Ahead + time.Duration(back*float64(now.Sub(a.began)))
			gain += back * 1e6
		}
	}
	return ahead, gain
}

// setClock gives a running node the clock of its host.
func (h *Host) setClock() {
	if h.Loop == nil {
		return
	}
	ahead, gain := h.clock()
	h.world.Sched.SetClock(h.Loop, ahead, gain)
	// A clock that is set back only goes slower until it is right: off is what its
	// node is still ahead.
	off := max(ahead, h.Loop.Now().Sub(h.world.now()))
	h.world.trace("clock", "set", map[string]any{"node": h.Name, "ahead": ahead.String(), "off": off.String(), "gain_ppm": gain})
}

package sim

import (
	"time"

	"bettensor/sched"
)

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
	h.world.trace("clock", "set", map[string]any{"node": h.Name, "ahead": ahead.String(), "gain_ppm": gain})
}

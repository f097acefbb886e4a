package sim

import (
	"time"

	"bettensor/sched"
)

// beginProcess does what a fault of processes does at once.
func (a *active) beginProcess() {
	switch a.f.What {
	case "process.crash":
		a.stop()
	case "process.restart_loop":
		a.repeat(a.f.Params.Period, a.crash)
	case "process.pause":
		a.hold()
	case "process.slow":
		a.h.hook()
	case "process.panic":
		if l := a.h.Loop; l != nil && !a.h.hostile() {
			if l.Doom(a.f.Params.Service, a.injected("a mistake in a handler")) {
				a.bit(1)
			}
		}
	}
}

func (a *active) endProcess() {
	switch a.f.What {
	case "process.crash":
		a.h.back()
	case "process.slow":
		a.h.hook()
	}
}

// stop kills the node and keeps it away until back.
func (a *active) stop() {
	keep := 0
	switch a.f.Params.Unsynced {
	case "keep":
		keep = a.h.Unsynced()
	case "random":
		keep = a.rng.IntN(a.h.Unsynced() + 1)
	}
	if a.h.Up() {
		a.bit(1)
	}
	a.h.Crash(keep)
	a.h.down++
}

// crash kills the node and lets it come back after a while.
func (a *active) crash() {
	a.stop()
	a.h.world.Sched.After(a.f.Params.Down, sched.Func(a.h.back))
}

// back starts the node, where nothing else keeps it away.
func (h *Host) back() {
	if h.down--; h.down == 0 {
		h.start()
	}
}

// committed counts a commit of the node. What it kills, it kills when the event
// that made the commit has been handled.
func (h *Host) committed() {
	for _, a := range h.active {
		if a.f.What != "process.crash_at_commit" {
			continue
		}
		if a.commits++; a.commits%a.f.Params.Nth == 0 {
			l := h.Loop
			h.world.Sched.After(0, sched.Func(func() {
				if h.Loop == l && h.Up() {
					a.crash()
				}
			}))
		}
	}
}

// hold stops the node, where it runs, until the window ends.
func (a *active) hold() {
	if a.h.Loop != nil {
		a.bit(1)
		a.h.world.Sched.Pause(a.h.Loop, a.until)
	}
}

// cost is what each event of a host takes of virtual time, and whose doing it is.
func (h *Host) cost() (d time.Duration, by []*active) {
	for _, a := range h.active {
		if a.f.What == "process.slow" {
			d, by = d+a.f.Params.Cost, append(by, a)
		}
	}
	return d, by
}

// hook sets what is done before each event of the running node, nil where that is
// nothing: there are many.
func (h *Host) hook() {
	w, l := h.world, h.Loop
	if l == nil {
		return
	}
	cost, by := h.cost()
	if w.OnInput == nil && w.OnEvent == nil && cost == 0 {
		l.OnInput(nil)
		return
	}
	l.OnInput(func(l *sched.Loop) {
		if w.OnEvent != nil {
			w.OnEvent(l)
		}
		if w.OnInput != nil {
			w.OnInput(h)
		}
		if cost > 0 {
			w.Sched.Pause(l, w.now().Add(cost))
			for _, a := range by {
				a.bit(1)
			}
		}
	})
}

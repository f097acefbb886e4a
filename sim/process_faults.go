package sim

// beginProcess does what a fault of processes does at once.
func (a *active) beginProcess() {
	switch a.f.What {
	case "process.crash":
		keep := 0
		switch a.f.Params.Unsynced {
		case "keep":
			keep = a.h.Unsynced()
		case "random":
			keep = a.rng.IntN(a.h.Unsynced() + 1)
		}
		a.h.Crash(keep)
		a.h.down++
	}
}

func (a *active) endProcess() {
	switch a.f.What {
	case "process.crash":
		if a.h.down--; a.h.down == 0 {
			a.h.start()
		}
	}
}

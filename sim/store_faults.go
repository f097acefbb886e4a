package sim

import (
	"fmt"

	"bettensor/sched"
	"bettensor/store"
)

var storePortFaults = []portFault{
	{port: PortStore, what: "store.commit_failed", fate: Failed},
	{port: PortStore, what: "store.commit_unreported", fate: AppliedFailed},
	{port: PortStore, what: "store.read_only", fate: Failed},
}

// commitErrors are what commits fail with, where it is not "write failed".
var commitErrors = map[string]string{
	"store.full":      "no space left on device",
	"store.read_only": "read-only file system",
}

// beginStore does what a fault of the store does at once.
func (a *active) beginStore() {
	if a.f.What == "store.power_cut" {
		if a.h.Up() {
			a.bit(1)
		}
		a.h.Crash(0)
		a.h.down++
	}
}

func (a *active) endStore() {
	switch a.f.What {
	case "store.power_cut":
		a.h.back()
	case "store.read_only":
		a.h.start() // where it could not
	}
}

// storeFate is what becomes of the group of batches that is being written, and
// whose doing it is.
func (d *disk) storeFate() (Fate, *active) {
	fate, by := d.host.world.fate(d.host, PortStore)
	if a := d.host.suffers("store.full"); fate == Normal && a != nil {
		var size int64
		for _, x := range d.held[:d.inTake] {
			size += int64(len(x.b.Bytes()))
		}
		if a.spent += size; a.spent > int64(a.f.Params.Free) {
			a.spent -= size
			fate, by = Failed, a
			a.bit(1)
			d.host.world.trace("fate", PortStore.String(), map[string]any{"node": d.host.Name, "fate": fate.String(), "fault": a.id, "bytes": size})
		}
	}
	return fate, by
}

// stalled puts off the end of a write until the disk answers again.
func (d *disk) stalled() bool {
	w := d.host.world
	a := d.host.suffers("store.stall")
	if a == nil || !a.until.After(w.now()) {
		return false
	}
	a.bit(1)
	gen := d.gen
	w.Sched.Push(a.until, sched.Func(func() {
		if d.gen == gen && d.engine != nil {
			d.finish()
		}
	}))
	return true
}

// failed is the error of a commit that a fault has hit.
func failed(by *active) error {
	text := "write failed"
	if by != nil && commitErrors[by.f.What] != "" {
		text = commitErrors[by.f.What]
	}
	return fmt.Errorf("%w: %w", store.ErrUnknown, by.injected(text))
}

package crash

import (
	"errors"
	"fmt"
	"syscall"

	"bettensor/sim"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Errors is what came of runs in which operations of the file system failed.
type Errors struct {
	Runs int `json:"runs"`
	// Downs counts how often the validator stopped itself in them.
	Downs int `json:"downs"`
	// Unopened counts the times its store did not open and was tried again.
	Unopened int `json:"unopened"`
	// Confirmed predictions in all of them together, every one found again.
	Confirmed int `json:"confirmed"`
}

// fullFor is how many operations a full disk refuses before somebody makes room.
const fullFor = 60

// errors runs the plan once for each operation and error that is tried.
func (r *run) errors(total int) error {
	n := min(r.o.Errors, total)
	for i := range n {
		at := 1 + i*total/n
		for _, e := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
			if err := r.failing(at, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// failing runs the plan with an operation that fails: alone, or on a disk that is
// full from then on until somebody has made room. The validator may stop itself
// and start again as often as it likes; what it confirmed must be on the disk, as
// a power cut at the end leaves it, and at the end it must be there.
func (r *run) failing(at int, with syscall.Errno) error {
	d, h := newDisk(), newHistory()
	last := at
	if with == syscall.ENOSPC {
		last += fullFor - 1
	}
	op := operation{}
	d.before = func(n int, o operation) error {
		d.full = with == syscall.ENOSPC && n >= at && n < last
		// Pebble answers a directory that does not sync by ending the process: that is
		// a crash, of which there are enough. A close needs no room.
		if n < at || n > last || o.kind == "sync-dir" || o.kind == "remove" {
			return nil
		}
		if op.kind == "" {
			op = o
			op.data = nil
		}
		return with
	}
	im := &image{point: at, how: with.Error()}
	var lost error
	up := false
	res, err := on(r.plan, d).Run(sim.RunOptions{Stopped: r.o.Stopped,
		Prepare: func(w *sim.World) {
			if r.o.Prepare != nil {
				r.o.Prepare(w)
			}
			h.watch(w, func(err error) { lost = errors.Join(lost, err) })
		},
		Done: func(w *sim.World) error {
			v := w.Hosts[0]
			up = v.Up()
			r.report.Errors.Downs += len(v.Downs)
			r.report.Errors.Unopened += v.Unopened
			d.mu.Lock()
			defer d.mu.Unlock()
			im.moment = h.now()
			im.fs = d.crashed(vfs.CrashCloneCfg{})
			return nil
		}})
	im.op = op.String()
	if err != nil {
		return fmt.Errorf("run with operation %d failing: %w", at, err)
	}
	r.report.Errors.Runs++
	r.report.Errors.Confirmed += im.words
	switch {
	case lost != nil:
		r.fail(im, nil, lost)
	case res.Violated() > 0:
		r.fail(im, nil, fmt.Errorf("%d violations of invariants: %s", res.Violated(), violated(res)[0]))
	case !up:
		r.fail(im, nil, errors.New("the validator is not there at the end"))
	default:
		if _, err := h.recovered(im); err != nil {
			r.fail(im, nil, err)
		}
	}
	return nil
}

// violated are the invariants that a run broke, with the first violation of each.
func violated(res *sim.Result) []string {
	out := []string{}
	for i := range res.Invariants {
		if v := &res.Invariants[i]; v.Violations > 0 {
			out = append(out, v.Name+": "+v.First)
		}
	}
	return out
}

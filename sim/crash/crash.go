// Package crash takes the power away from a simulated validator before every
// operation of its store's file system, and holds what it finds on the disk
// against what the validator had said: acknowledged ⊆ recovered ⊆ submitted, as
// a prefix of the batches, with budgets that are those of the predictions, and a
// validator that starts on it and goes on. It also tears writes, flips bits of
// what was synced, and lets operations fail.
//
// The scenario runs as ever, on the virtual clock; only the first validator's
// store lies on a file system that is watched. Pebble works on goroutines of its
// own and decides when it writes: neighbouring operations may change places from
// run to run. So all of this stays outside the trace and its hash, the number of a
// point is good to within a few, and the image of a failure can be kept as files.
//
// Read crash.go for a run over all points, recover.go for the oracle, history.go
// for what it knows, disk.go for the file system, errors.go for operations that
// fail. `sim crashpoints` and tests call it.
package crash

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"bettensor/sched"
	"bettensor/sim"
	"bettensor/sim/mockchain"
	"bettensor/store"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options of a run over the crash points of a scenario.
type Options struct {
	// Unsynced are the percents of what was not synced that survive, an image for
	// each. Default 0, 50, 100.
	Unsynced []int
	// Limit tries that many points, evenly spread; 0 tries all.
	Limit int
	// Point tries this point only, counted from 1, with several draws of what
	// survives; 0 tries all.
	Point int
	// Flips is how many images get one bit of a synced file flipped, and how many
	// get a file cut off, about: at most one of each a point. Default none.
	Flips int
	// Errors is how many operations fail, each in a run of its own, twice: once
	// alone with an I/O error, and once with all after it on a full disk. Default
	// none.
	Errors int
	// Workers recover images side by side. Default 1.
	Workers int
	// Keep is a directory of the machine for the images that failed, at most
	// maxFailures of them; "" keeps none.
	Keep string
	// Prepare, where set, is called with each world before it turns.
	Prepare func(*sim.World)
	// Stopped, where set, is asked now and then; its error ends the run.
	Stopped func() error
	// Wall is a clock for the figures of speed; nil leaves them 0.
	Wall func() time.Time
	// Progress, where set, is told how many images have been recovered.
	Progress func(images int)
}

// Report is what came of a run.
type Report struct {
	Scenario   string    `json:"scenario"`
	Seed       uint64    `json:"seed"`
	Operations int       `json:"operations"` // of the file system, in the whole run
	Points     int       `json:"points"`     // of them a crash was tried before
	Kinds      []Kind    `json:"kinds"`
	Images     int       `json:"images"` // recovered: points by percent, torn writes
	Torn       int       `json:"torn"`
	Lossy      int       `json:"lossy"`   // images that end before what was submitted
	Beyond     int       `json:"beyond"`  // images that hold more than was acknowledged
	Started    int       `json:"started"` // validators that started on an image and went on: one at each point, by turns
	Damaged    int       `json:"damaged"` // images with a bit flipped or a file cut off
	Refused    int       `json:"refused"` // of those, stores that said so; the others were whole
	Errors     Errors    `json:"errors"`
	Batches    store.Seq `json:"batches"`
	Confirmed  int       `json:"confirmed"` // predictions, by the end
	Violations int       `json:"violations"`
	Violated   []string  `json:"violated"` // the invariants that the run broke, with the first violation of each
	Failures   []Failure `json:"failures"` // the first maxFailures
	Failed     int       `json:"failed"`
	// Seconds of the machine that the recoveries took, and how many a second; 0
	// where nobody measured.
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"recoveries_per_second"`
}

// Kind counts the operations of a kind.
type Kind struct {
	Kind  string `json:"kind"`
	Count int    `json:"count"`
}

// Failure is an image, or a run, that the oracle does not accept.
type Failure struct {
	Point   int    `json:"point"`
	Op      string `json:"operation"`
	Percent int    `json:"unsynced"`
	How     string `json:"how,omitempty"` // torn, damaged, or the error injected
	What    string `json:"what"`
	Image   string `json:"image,omitempty"` // directory where it was kept
}

const (
	// maxFailures are reported in full: the first few tell enough.
	maxFailures = 20
	// pointDraws of what survives are tried where a single point is asked for.
	pointDraws = 32
	// maxWaiting images wait for a worker: about a megabyte each.
	maxWaiting = 64
)

// run is one pass over a scenario's points.
type run struct {
	o      Options
	plan   *sim.Plan
	disk   *disk
	hist   *history
	every  int // of the points that are tried
	damage int // of the points that are damaged as well
	images chan *image

	neurons []mockchain.Neuron

	mu     sync.Mutex
	report *Report
	kinds  map[string]int
	lost   error
}

// Points runs a plan and tries every point of it, as the options say. The error is
// that of a run that could not be made; what an image lacks is in the report.
func Points(plan *sim.Plan, o Options) (*Report, error) {
	if len(o.Unsynced) == 0 {
		o.Unsynced = []int{0, 50, 100}
	}
	o.Workers = max(o.Workers, 1)
	total := 0
	if o.Limit > 0 || o.Flips > 0 || o.Errors > 0 {
		var err error
		if total, err = operations(plan, o); err != nil {
			return nil, err
		}
	}
	r := &run{o: o, plan: plan, hist: newHistory(), every: 1, images: make(chan *image, maxWaiting), kinds: map[string]int{},
		report: &Report{Scenario: plan.Scenario.Name, Seed: plan.Scenario.Seed}}
	if o.Limit > 0 {
		r.every = max(total/o.Limit, 1)
	}
	if o.Flips > 0 {
		r.damage = max(total/r.every/o.Flips, 1)
	}
	began := read(o.Wall)
	if err := r.points(); err != nil {
		return nil, err
	}
	if took := read(o.Wall).Sub(began); took > 0 {
		r.report.Seconds = took.Seconds()
		r.report.PerSecond = float64(r.report.Images+r.report.Damaged) / took.Seconds()
	}
	if o.Errors > 0 && o.Point == 0 {
		if err := r.errors(total); err != nil {
			return nil, err
		}
	}
	for kind, n := range r.kinds { // sorted below
		r.report.Kinds = append(r.report.Kinds, Kind{kind, n})
	}
	slices.SortFunc(r.report.Kinds, func(a, b Kind) int { return cmp.Or(b.Count-a.Count, cmp.Compare(a.Kind, b.Kind)) })
	return r.report, nil
}

// on is the plan with its first validator's store on a disk.
func on(plan *sim.Plan, d *disk) *sim.Plan {
	p := *plan
	first := p.Config.Validators[0].Name
	p.Config.FileSystem = func(host string) vfs.FS {
		if host != first {
			return nil
		}
		return d
	}
	return &p
}

// operations counts those of a whole run.
func operations(plan *sim.Plan, o Options) (int, error) {
	d := newDisk()
	if _, err := on(plan, d).Run(sim.RunOptions{Prepare: o.Prepare, Stopped: o.Stopped}); err != nil {
		return 0, err
	}
	return d.count, nil
}

// points runs the plan once; workers recover the images meanwhile.
func (r *run) points() error {
	r.disk = newDisk()
	r.disk.before = r.before
	var workers sync.WaitGroup
	for range r.o.Workers {
		workers.Go(func() {
			for im := range r.images {
				r.judge(im)
			}
		})
	}
	res, err := on(r.plan, r.disk).Run(sim.RunOptions{Stopped: r.o.Stopped, Prepare: func(w *sim.World) {
		if r.o.Prepare != nil {
			r.o.Prepare(w)
		}
		r.neurons = neuronsOf(w)
		r.hist.watch(w, func(err error) { r.lost = cmp.Or(r.lost, err) })
	}})
	close(r.images)
	workers.Wait()
	if err == nil {
		err = r.lost
	}
	if err != nil {
		return fmt.Errorf("run on a watched disk: %w", err)
	}
	end := r.hist.now()
	r.report.Operations, r.report.Batches, r.report.Confirmed = r.disk.count, end.submitted, end.words
	r.report.Violations, r.report.Violated = int(res.Violated()), violated(res)
	if r.o.Point > r.report.Operations {
		return fmt.Errorf("no point %d: the run has %d operations", r.o.Point, r.report.Operations)
	}
	return nil
}

// neuronsOf are the slots of a world that begins, so that one without its miners
// knows them.
func neuronsOf(w *sim.World) (out []mockchain.Neuron) {
	for _, n := range w.Chain.Metagraph(w.Sched.Now()).Neurons {
		if n.Hotkey != w.Hosts[0].Hotkey {
			out = append(out, mockchain.Neuron{Hotkey: n.Hotkey, Coldkey: n.Coldkey, Stake: n.Stake})
		}
	}
	return out
}

// before is called ahead of each operation, with the disk as it is.
func (r *run) before(n int, op operation) error {
	r.kinds[op.kind]++
	if r.o.Point > 0 && n != r.o.Point || r.o.Point == 0 && n%r.every != 0 {
		return nil
	}
	r.report.Points++
	draws := 1
	if r.o.Point > 0 {
		draws = pointDraws
	}
	for i, percent := range r.o.Unsynced {
		for draw := range draws {
			if draw == 0 || percent > 0 && percent < 100 {
				im := r.image(n, op, percent, uint64(draw))
				im.start = i == r.report.Points%len(r.o.Unsynced)
				r.images <- im
			}
		}
	}
	if len(op.data) > 1 {
		im := r.image(n, op, 100, 0)
		kept, err := tear(im.fs, op)
		if err != nil {
			return err
		}
		im.how = fmt.Sprintf("torn after %d of %d bytes", kept, len(op.data))
		r.images <- im
	}
	if r.damage > 0 && r.report.Points%r.damage == 0 {
		return r.harm(n, op)
	}
	return nil
}

// image is what a power cut leaves before an operation. What was acknowledged is
// read before and what was submitted after: both err to the safe side.
func (r *run) image(n int, op operation, percent int, draw uint64) *image {
	im := &image{point: n, op: op.String(), percent: percent, moment: r.hist.now()}
	im.fs = r.disk.crashed(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: r.stream(n, "crash", percent, draw)})
	im.submitted = r.hist.now().submitted
	return im
}

func (r *run) stream(n int, purpose string, more ...any) *rand.Rand {
	return sched.NewStream(r.plan.Scenario.Seed, "crashpoints", purpose, fmt.Sprint(n), fmt.Sprint(more...))
}

// harm makes two images in which synced data is not what was written: a bit
// flipped, and a file cut off.
func (r *run) harm(n int, op operation) error {
	for _, cut := range []bool{false, true} {
		im := r.image(n, op, 0, 0)
		im.damaged = true
		var err error
		if im.how, err = damage(im.fs, cut, r.stream(n, "damage", cut)); err != nil {
			return err
		}
		if im.how != "" {
			r.images <- im
		}
	}
	return nil
}

// damage flips one bit of a file of a store, or cuts the file off. It says what it
// did; "" where there is no file yet.
func damage(fs vfs.FS, cut bool, rng *rand.Rand) (string, error) {
	names, err := fs.List(storeDir)
	if err != nil {
		return "", nil // no store yet
	}
	slices.Sort(names)
	var name string
	var b []byte
	for _, i := range rng.Perm(len(names)) {
		name = fs.PathJoin(storeDir, names[i])
		if b, err = content(fs, name); err != nil {
			return "", err
		}
		if len(b) > 0 {
			break
		}
	}
	if len(b) == 0 {
		return "", nil
	}
	how := ""
	if cut {
		n := rng.IntN(len(b))
		how = fmt.Sprintf("%s cut off after %d of %d bytes", name, n, len(b))
		b = b[:n]
	} else {
		// Much of a log and of the tail file is room. A byte of content, if one comes up.
		i := rng.IntN(len(b))
		for range 64 {
			if b[i] != 0 {
				break
			}
			i = rng.IntN(len(b))
		}
		bit := rng.IntN(8)
		b[i] ^= 1 << bit
		how = fmt.Sprintf("bit %d of byte %d of %s flipped", bit, i, name)
	}
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return "", err
	}
	_, err = f.Write(b)
	return how, errors.Join(err, f.Sync(), f.Close())
}

func content(fs vfs.FS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// judge recovers one image and takes it into the report.
func (r *run) judge(im *image) {
	var kept vfs.FS
	if r.o.Keep != "" {
		kept = vfs.NewMem() // recovery changes the image
		if _, err := vfs.Clone(im.fs, kept, "/", "/"); err != nil {
			r.fail(im, nil, err)
			return
		}
	}
	at, err := r.hist.recovered(im)
	refused := errors.Is(err, errRefused)
	started := false
	if err == nil && im.start && !im.at.IsZero() {
		err = goesOn(r.plan.Config, im, r.neurons, at)
		started = err == nil
	}
	r.mu.Lock()
	p := r.report
	switch {
	case im.damaged:
		p.Damaged++
	case im.how != "":
		p.Torn++
		p.Images++
	default:
		p.Images++
	}
	if refused {
		p.Refused++
	}
	if started {
		p.Started++
	}
	if at < im.submitted && !refused && err == nil {
		p.Lossy++
	}
	if at > im.acked {
		p.Beyond++
	}
	done := p.Images + p.Damaged
	if r.o.Progress != nil {
		r.o.Progress(done)
	}
	r.mu.Unlock()
	if err != nil && !refused {
		r.fail(im, kept, err)
	}
}

// fail notes a failure and keeps its image.
func (r *run) fail(im *image, kept vfs.FS, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.report
	if p.Failed++; p.Failed > maxFailures {
		return
	}
	f := Failure{Point: im.point, Op: im.op, Percent: im.percent, How: im.how, What: err.Error()}
	if kept != nil {
		dir := vfs.Default.PathJoin(r.o.Keep, fmt.Sprintf("image-%d", p.Failed))
		if err := keep(kept, dir); err != nil {
			f.What += "; the image was not kept: " + err.Error()
		} else {
			f.Image = dir
		}
	}
	p.Failures = append(p.Failures, f)
}

// keep writes an image's store as files of the machine.
func keep(image vfs.FS, dir string) error {
	if err := vfs.Default.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	_, err := vfs.Clone(image, vfs.Default, storeDir, vfs.Default.PathJoin(dir, storeDir))
	return err
}

// read is the time by a clock that may be missing.
func read(clock func() time.Time) time.Time {
	if clock == nil {
		return time.Time{}
	}
	return clock()
}

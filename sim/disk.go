package sim

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"time"

	"bettensor/node"
	"bettensor/node/ledger"
	"bettensor/sched"
	"bettensor/store"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Disk is how durable writes behave. It is a scenario's disk section.
type Disk struct {
	// CommitLatency of one group of batches. Default 2 ms: a fast SSD's fsync
	// with its overheads.
	CommitLatency time.Duration
	// CommitJitter adds up to this much to each, uniformly. Default 0.
	CommitJitter time.Duration
}

func (d *Disk) fill() { orDefault(&d.CommitLatency, 2*time.Millisecond) }

// disk holds a host's store. Batches that the node commits are held until
// their completion time and then written to the engine as one synced group, as
// the live committer does. A crash drops a suffix of those held. Pebble's own
// goroutines thus cannot matter.
type disk struct {
	host   *Host
	fs     vfs.FS         // validators run on Pebble in memory
	mem    *store.MemDisk // miners on the in-memory engine of the same contract
	engine store.Engine
	behind store.Engine // what the node's reads and writes go to: engine, but for a planted bug
	gen    int          // of the open engine: completions of an older one are void

	held   []heldBatch // submitted and not durable, in order
	inTake int         // how many of them are in the group being written
	stuck  bool        // a lost write: nothing after it reaches the disk
	report func(store.Event)
	rng    *rand.Rand
}

type heldBatch struct {
	seq store.Seq
	b   *store.Batch
}

func newDisk(h *Host, pebble bool) *disk {
	d := &disk{host: h, rng: sched.NewStream(h.world.cfg.Seed, "disk", h.Name)}
	if !pebble {
		d.mem = &store.MemDisk{}
		return d
	}
	if given := h.world.cfg.FileSystem; given != nil {
		d.fs = given(h.Name)
	}
	if d.fs == nil {
		d.fs = vfs.NewMem()
	}
	return d
}

func (d *disk) open() (node.Storage, error) {
	var err error
	if d.fs != nil {
		d.engine, err = store.OpenPebble(store.Options{FS: d.fs, Dir: "store", Schema: ledger.Schema()})
	} else {
		d.engine, err = store.OpenMem(d.mem, ledger.Schema())
	}
	if err != nil {
		return node.Storage{}, err
	}
	d.gen++
	d.held, d.inTake, d.stuck = nil, 0, false
	d.behind = d.engine
	if plant := d.host.world.Plant; plant != nil {
		d.behind = plant(d.host, d.engine)
	}
	snap, err := d.behind.Snapshot()
	if err != nil {
		return node.Storage{}, err
	}
	return node.Storage{Snapshot: snap, At: d.engine.Durable(), Committer: func(report func(store.Event)) store.Committer {
		d.report = report
		return d
	}}, nil
}

func (d *disk) unsynced() int { return len(d.held) }

// Submit takes a batch; its group is written when the disk is free.
func (d *disk) Submit(seq store.Seq, b *store.Batch) {
	d.held = append(d.held, heldBatch{seq, b})
	d.host.committed()
	if d.inTake == 0 && !d.stuck {
		d.begin()
	}
}

// Close drops nothing: the host closes the engine.
func (d *disk) Close() error { return nil }

func (d *disk) begin() {
	d.inTake = len(d.held)
	gen := d.gen
	latency := d.host.world.cfg.Disk.CommitLatency + d.host.faultDelay("store.slow")
	if j := d.host.world.cfg.Disk.CommitJitter; j > 0 {
		latency += time.Duration(d.rng.Int64N(int64(j) + 1))
	}
	d.host.world.Sched.After(latency, sched.Func(func() {
		if d.gen == gen && d.engine != nil {
			d.finish()
		}
	}))
}

func (d *disk) finish() {
	if d.stalled() {
		return
	}
	fate, by := d.storeFate()
	if fate == Lost {
		d.stuck = true
		return
	}
	if fate == Failed {
		d.stuck = true
		d.report(store.Event{From: d.held[0].seq, Err: failed(by)})
		return
	}
	last, err := d.apply(d.inTake)
	if err != nil {
		d.stuck = true
		d.report(store.Event{From: d.held[0].seq, Err: err})
		return
	}
	d.inTake = 0
	if fate == AppliedFailed {
		d.stuck = true
		d.report(store.Event{From: last, Err: failed(by)})
		return
	}
	switch fate {
	case AppliedLost: // the disk has it, the node is not told
	case Doubled:
		d.report(store.Event{UpTo: last})
		d.report(store.Event{UpTo: last})
	default:
		d.report(store.Event{UpTo: last})
	}
	if len(d.held) > 0 {
		d.begin()
	}
}

// apply writes the first n held batches as one group.
func (d *disk) apply(n int) (store.Seq, error) {
	group := make([]*store.Batch, n)
	for i := range group {
		group[i] = d.held[i].b
	}
	last := d.held[n-1].seq
	if err := d.behind.Apply(last, group, true); err != nil {
		return 0, err
	}
	d.held = append(d.held[:0:0], d.held[n:]...)
	return last, nil
}

// crash closes the engine under a node that died: of the batches held, the
// first keep had reached the disk.
func (d *disk) crash(keep int) {
	if d.engine == nil {
		return
	}
	if keep = min(keep, len(d.held)); keep > 0 && !d.stuck {
		if _, err := d.apply(keep); err != nil && !d.mayFail() {
			panic(fmt.Sprintf("sim: %s: %v", d.host.Name, err))
		}
	}
	d.close()
}

func (d *disk) close() {
	if d.engine != nil {
		if err := d.engine.Close(); err != nil && !d.mayFail() {
			panic(fmt.Sprintf("sim: close the store of %s: %v", d.host.Name, err))
		}
		d.engine = nil
		d.gen++
		d.held, d.inTake = nil, 0
	}
}

// mayFail says whether errors are the file system's own business.
func (d *disk) mayFail() bool { return d.host.world.cfg.FileSystem != nil }

// SaveStore copies a validator's store, as it is durable now, into a directory
// of the machine, which must not exist: a store like any other, for the `store`
// commands to look into.
func (h *Host) SaveStore(dir string) error {
	d := h.disk
	if d.fs == nil || d.engine == nil {
		return fmt.Errorf("save the store of %s: it is not open on a file system", h.Name)
	}
	if _, err := vfs.Default.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("save the store of %s: %s exists already", h.Name, dir)
	}
	const copied = "copy"
	if err := d.engine.Checkpoint(copied); err != nil {
		return fmt.Errorf("save the store of %s: %w", h.Name, err)
	}
	if _, err := vfs.Clone(d.fs, vfs.Default, copied, dir, vfs.CloneSync); err != nil {
		err = errors.Join(err, vfs.Default.RemoveAll(dir)) // it did not exist before
		return fmt.Errorf("save the store of %s: %w", h.Name, err)
	}
	return d.fs.RemoveAll(copied)
}

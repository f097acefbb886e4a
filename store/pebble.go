package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// Options open a Pebble.
type Options struct {
	// FS is where the directory lies; nil is the operating system's.
	FS vfs.FS
	// Dir is made where it is missing, with its parents, unless MustExist.
	Dir string
	// Schema to expect; an older store is migrated, a newer one refused (ErrNewer).
	Schema Schema
	// Logger hears of what Pebble does (debug) and of what it suffers (error); nil
	// is silence.
	Logger *slog.Logger
	// AcceptLoss opens a store that ends before what had been confirmed
	// (ErrLostRows), or of which that cannot be told (ErrNoTail), with what it has,
	// and forgets the difference. It is an operator's decision, never a default.
	AcceptLoss bool
	// MustExist refuses a directory that holds no store (ErrNoStore), and writes
	// nothing there, where one would otherwise be created.
	MustExist bool
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

const (
	// memTableBytes of rows gather in memory before they become a file. It bounds
	// what is replayed at a start to a few of these, well below a second.
	memTableBytes = 8 << 20
	// spareGroup is the largest group buffer kept for the next group; below half a
	// memtable, above which Pebble keeps a batch's buffer for itself.
	spareGroup = 1 << 20
)

var (
	// counterKey holds the mark of the last group: its number, then the chain.
	counterKey = []byte{reservedPrefix, 'n'}
	// versionKey holds the schema version.
	versionKey = []byte{reservedPrefix, 'v'}
	firstKey   = []byte{reservedPrefix + 1}
)

// creatingName is a file that exists while a store is being created and is
// gone, durably, before anything is confirmed: as long as it is there the
// directory holds nothing that anybody was told is safe, and may be begun anew.
const creatingName = "CREATING"

// lockName is the file whose lock is the store's. It stays behind, empty.
const lockName = "LOCK"

// Pebble is the engine on disk.
type Pebble struct {
	o    Options
	db   *pebble.DB
	lock io.Closer

	mu      sync.Mutex // held through Apply, Checkpoint, Close
	at      mark       // last applied
	tail    *tail
	files   manifest
	group   []byte
	version uint32
	closed  bool
	durable atomic.Uint64

	broken *breakage
}

// breakage is the first failure after which the engine must not be written to.
// Pebble reports such things from goroutines of its own, by a call that it
// expects never to return, and does harm where it does return: with a MANIFEST
// that failed to sync it goes on to delete the log. We remember the failure and
// from that moment let no write of Pebble's through to the disk, which thus stays
// as a crash would leave it.
type breakage struct {
	err atomic.Pointer[error]
}

func (b *breakage) set(err error) { b.err.CompareAndSwap(nil, &err) }

func (b *breakage) get() error {
	if p := b.err.Load(); p != nil {
		return *p
	}
	return nil
}

// engineFailed are the fields of a line in which the engine speaks of an error.
var engineFailed = []any{"code", "store_engine", "fix", "check the disk; then `bettensor store verify`", "runbook", "docs/runbook.md#store_failed"}

// pebbleLog passes Pebble's words on.
type pebbleLog struct {
	log    *slog.Logger
	broken *breakage
}

func (l pebbleLog) Infof(format string, args ...any) { l.log.Debug(fmt.Sprintf(format, args...)) }
func (l pebbleLog) Errorf(format string, args ...any) {
	l.log.Error(fmt.Sprintf(format, args...), engineFailed...)
}
func (l pebbleLog) Fatalf(format string, args ...any) {
	err := fmt.Errorf("pebble: "+format, args...)
	l.log.Error(err.Error(), engineFailed...)
	l.broken.set(err)
}

// OpenPebble opens the store in a directory, creating it where there is none,
// or returning ErrNoStore with Options.MustExist.
// It holds the directory's lock until Close, or returns ErrLocked. It returns
// ErrLostRows where rows that had been confirmed are gone, ErrNoTail where that
// cannot be told, ErrNewer where a newer program wrote the store, and ErrCorrupt
// where Pebble finds files damaged.
func OpenPebble(o Options) (*Pebble, error) {
	o = o.withDefaults()
	if err := o.Schema.check(); err != nil {
		return nil, err
	}
	if o.MustExist {
		if err := o.find(); err != nil {
			return nil, err
		}
	} else if err := makeDir(o.FS, o.Dir); err != nil {
		return nil, fmt.Errorf("store: make %s: %w", o.Dir, err)
	}
	e := &Pebble{o: o, broken: new(breakage)}
	if err := e.takeLock(); err != nil {
		return nil, err
	}
	if err := e.open(); err != nil {
		e.release()
		return nil, fmt.Errorf("store: open %s: %w", o.Dir, err)
	}
	if err := migrate(e, o.Schema); err != nil {
		e.release()
		return nil, fmt.Errorf("store: open %s: %w", o.Dir, err)
	}
	return e, nil
}

// find returns ErrNoStore unless the directory holds a store, be it a damaged
// one: of the files by which one is known, one is enough. It only looks.
func (o Options) find() error {
	names, err := o.FS.List(o.Dir)
	if err != nil && !oserror.IsNotExist(err) {
		return fmt.Errorf("store: look into %s: %w", o.Dir, err)
	}
	whole := !slices.Contains(names, creatingName)
	for _, n := range names {
		if whole && (n == tailName || strings.HasPrefix(n, "MANIFEST-") || strings.HasPrefix(n, markerPrefix)) {
			return nil
		}
	}
	if len(names) == 0 || len(names) == 1 && names[0] == lockName {
		if err := o.restoring(); err != nil {
			return err
		}
	}
	return ErrNoStore{o.Dir}
}

// restoring is the error of a restore that was interrupted after it had moved
// the old store away and before it moved the new one in.
func (o Options) restoring() error {
	if _, err := o.FS.Stat(o.Dir + restoringSuffix); err == nil {
		return fmt.Errorf("store: a restore of %s was interrupted; restore again", o.Dir)
	}
	return nil
}

func (e *Pebble) path(name string) string { return e.o.FS.PathJoin(e.o.Dir, name) }

func (e *Pebble) takeLock() error {
	lock, err := e.o.FS.Lock(e.path(lockName))
	if err != nil {
		// vfs has no error of its own for a lock held by this very process.
		if errors.Is(err, syscall.EAGAIN) || strings.Contains(err.Error(), "lock held by current process") {
			err = ErrLocked
		}
		return fmt.Errorf("store: lock %s: %w", e.o.Dir, err)
	}
	e.lock = lock
	return nil
}

func (e *Pebble) open() error {
	if u, err := e.o.FS.GetDiskUsage(e.o.Dir); err == nil && u.AvailBytes < openRoom {
		return fmt.Errorf("store: %d MiB free on the disk, %d needed to open", u.AvailBytes>>20, openRoom>>20)
	}
	names, err := e.o.FS.List(e.o.Dir)
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == lockName })
	if len(names) == 0 || slices.Contains(names, creatingName) {
		if err := e.o.restoring(); err != nil {
			return err
		}
		if err := e.create(names); err != nil {
			return fmt.Errorf("create: %w", err)
		}
	}
	if err := dropDangling(e.o.FS, e.o.Dir, names); err != nil {
		return err
	}
	slots, err := readTail(e.o.FS, e.path(tailName))
	if err == nil {
		err = files(slots).check(e.o.FS, e.o.Dir)
	}
	if err := e.accept(err); err != nil {
		return err
	}
	if e.db, err = e.openDB(&pebble.Options{ErrorIfNotExists: true}); err != nil {
		return err
	}
	if err := e.readOwnRows(); err != nil {
		return err
	}
	if err := e.settleTail(slots); err != nil {
		return err
	}
	e.durable.Store(uint64(e.at.seq))
	return e.broken.get()
}

const (
	// openPatience is how many failures of its background work an opening Pebble
	// is granted. It would try for ever, and Open would not return. What is given
	// up stays behind as one waiting goroutine; openRoom is there so that this is rare.
	openPatience = 3
	// openRoom is what must be free on the disk before a store is opened: the rows
	// of the log are written to a table then, and a new log is begun.
	openRoom = 4 * memTableBytes
	// errorPause slows that work down; Pebble itself tries again at once.
	errorPause = 50 * time.Millisecond
)

// openDB opens Pebble with our settings; p gives the rest.
func (e *Pebble) openDB(p *pebble.Options) (*pebble.DB, error) {
	log := pebbleLog{e.o.Logger, e.broken}
	p.FS = guarded{errorfs.Wrap(e.o.FS, errorfs.InjectorFunc(func(op errorfs.Op) error {
		// A directory's sync writes nothing new, and Pebble answers its failure with a panic.
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Path != e.o.Dir {
			return e.broken.get()
		}
		return nil
	}))}
	p.Logger = log
	p.MemTableSize = memTableBytes
	// Named and not left to the default, which is the oldest: only the newest log
	// format tells most damages from a log that simply ends.
	p.FormatMajorVersion = pebble.FormatNewest
	stuck := make(chan error, 1)
	var open atomic.Bool
	var failures atomic.Int32
	p.EventListener = &pebble.EventListener{
		BackgroundError: func(err error) {
			log.Errorf("background: %v", err)
			if n := failures.Add(1); !open.Load() && n == openPatience {
				e.broken.set(err)
				stuck <- err
				runtime.Goexit() // or it would try for as long as the process lives
			}
			time.Sleep(errorPause)
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			log.Fatalf("corrupt file %s: %v", info.Path, info.Details)
		},
	}
	if !p.ReadOnly {
		e.files.fs, e.files.dir = e.o.FS, e.o.Dir
		e.files.listen(p.EventListener)
	}
	type result struct {
		db  *pebble.DB
		err error
	}
	opened := make(chan result, 1)
	go func() {
		db, err := openNoPanic(e.o.Dir, p)
		opened <- result{db, err}
	}()
	select {
	case r := <-opened:
		open.Store(true)
		return r.db, r.err
	case err := <-stuck:
		return nil, fmt.Errorf("pebble cannot write, is the disk full? %w", err)
	}
}

// guarded is the file system that Pebble sees. The lock is ours: an opening that
// is given up must not keep it.
type guarded struct{ vfs.FS }

// Lock implements vfs.FS.
func (guarded) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// openNoPanic opens Pebble. Damaged files and failing disks can make it panic.
func openNoPanic(dir string, p *pebble.Options) (db *pebble.DB, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case runtime.Error:
			err = fmt.Errorf("%w: pebble: %v", ErrCorrupt, r)
		case error:
			err = corruption(r)
		default:
			err = fmt.Errorf("%w: pebble: %v", ErrCorrupt, r)
		}
	}()
	if db, err = pebble.Open(dir, p); err != nil {
		return nil, corruption(err)
	}
	return db, nil
}

// corruption marks what Pebble calls corruption as ErrCorrupt. Of Pebble's text
// it takes the finding and the file: Pebble joins to the finding an error whose
// text is a placeholder, there to carry the rest to those who ask for it.
func corruption(err error) error {
	if err == nil || !pebble.IsCorruptionError(err) || errors.Is(err, ErrCorrupt) {
		return err
	}
	if info := pebble.ExtractDataCorruptionInfo(err); info != nil {
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, info.Path, info.Details)
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// create makes an empty store, or makes it again where an earlier attempt was
// interrupted. Pebble is opened and closed once: its first log is begun before
// the store has its newest format, and would be of the old kind.
func (e *Pebble) create(leftover []string) error {
	fs := e.o.FS
	f, err := fs.Create(e.path(creatingName), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close(), syncDir(fs, e.o.Dir)); err != nil {
		return err
	}
	for _, name := range leftover {
		if name != creatingName {
			if err := fs.RemoveAll(e.path(name)); err != nil {
				return err
			}
		}
	}
	db, err := e.openDB(&pebble.Options{ErrorIfExists: true})
	if err != nil {
		return err
	}
	var b Batch
	e.setVersion(&b, e.o.Schema.version())
	b.put(counterKey, encodeMark(nil, mark{}))
	pb := db.NewBatch()
	err = pb.SetRepr(b.Bytes())
	if err == nil {
		err = db.Apply(pb, pebble.Sync)
	}
	if err = errors.Join(err, e.broken.get(), db.Close()); err != nil {
		return err
	}
	if err := createTail(fs, e.path(tailName), mark{}, manifestMark{}); err != nil {
		return err
	}
	if err := syncDir(fs, e.o.Dir); err != nil {
		return err
	}
	if err := fs.Remove(e.path(creatingName)); err != nil {
		return err
	}
	return syncDir(fs, e.o.Dir)
}

func encodeMark(dst []byte, m mark) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.seq))
	return binary.BigEndian.AppendUint64(dst, m.chain)
}

// readOwnRows reads where the log ends and the schema version. A missing row
// is a zero; the tail, or migrate, then finds fault with it.
func (e *Pebble) readOwnRows() error {
	row, _, err := get(e.db, counterKey)
	if err != nil {
		return err
	}
	e.at = mark{}
	if len(row) == 16 {
		e.at = mark{Seq(binary.BigEndian.Uint64(row)), binary.BigEndian.Uint64(row[8:])}
	}
	if row, _, err = get(e.db, versionKey); err != nil {
		return err
	}
	r := ReadKey(row)
	e.version = r.Uint32()
	return nil
}

// accept lets a finding pass, loudly, where the operator said so.
func (e *Pebble) accept(err error) error {
	if err == nil || !e.o.AcceptLoss {
		return err
	}
	e.o.Logger.Error("store: opened in spite of it, as told", "dir", e.o.Dir, "err", err,
		"code", "store_loss_accepted", "fix", "start without store.accept_loss the next time", "runbook", "docs/runbook.md#store_failed")
	return nil
}

// settleTail compares the log with the tail file, applies again what only the
// tail still has, and begins the tail anew.
func (e *Pebble) settleTail(slots []slot) error {
	f := examine(slots, e.at)
	for _, s := range f.redo {
		if err := e.redo(s); err != nil {
			return err
		}
	}
	if err := e.accept(f.err); err != nil {
		return err
	}
	m, err := e.files.mark()
	if err != nil {
		return fmt.Errorf("read MANIFEST: %w", err)
	}
	if len(slots) == 0 {
		if err := createTail(e.o.FS, e.path(tailName), e.at, m); err != nil {
			return err
		}
		if err := syncDir(e.o.FS, e.o.Dir); err != nil {
			return err
		}
	}
	if e.tail, err = openTail(e.o.FS, e.path(tailName)); err != nil {
		return err
	}
	// What Pebble recovered is durable once it is open; so may both slots say.
	s := slot{prev: e.at, at: e.at, confirmed: e.at.seq, manifest: m}
	for range 2 {
		if err := e.writeTail(&s); err != nil {
			return err
		}
	}
	return nil
}

// redo applies a group that the tail has and the log lost.
func (e *Pebble) redo(s slot) error {
	if err := eachOp(s.group, func(_, _ []byte, _ bool) error { return nil }); err != nil {
		return err
	}
	pb := e.db.NewBatch()
	if err := pb.SetRepr(s.group); err != nil {
		return corruption(err)
	}
	if err := e.db.Apply(pb, pebble.Sync); err != nil {
		return err
	}
	if err := e.broken.get(); err != nil {
		return err
	}
	if err := e.readOwnRows(); err != nil {
		return err
	}
	if e.at != s.at {
		return fmt.Errorf("%w: batch %d of %s leads to %d", ErrCorrupt, s.at.seq, tailName, e.at.seq)
	}
	e.o.Logger.Info("store: last group taken from the tail file", "dir", e.o.Dir, "seq", uint64(s.at.seq))
	return nil
}

func (e *Pebble) storedVersion() uint32 { return e.version }

func (e *Pebble) setVersion(b *Batch, v uint32) {
	b.put(versionKey, AppendKeyUint32(nil, v))
	e.version = v
}

// Apply implements Engine.
func (e *Pebble) Apply(seq Seq, batches []*Batch, sync bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.writable(); err != nil {
		return err
	}
	if err := inOrder(e.at.seq, seq, len(batches)); err != nil {
		return err
	}
	next := e.gather(seq, batches)
	if err := e.commit(next, sync); err != nil {
		e.broken.set(err)
		return fmt.Errorf("%w: batches %d to %d: %w", ErrUnknown, e.at.seq+1, seq, err)
	}
	e.at = next
	if sync {
		e.durable.Store(uint64(seq))
	}
	if len(e.group) > spareGroup {
		e.group = nil
	}
	return nil
}

func (e *Pebble) writable() error {
	if e.closed {
		return ErrClosed
	}
	if err := e.broken.get(); err != nil {
		return fmt.Errorf("%w after: %w", ErrClosed, err)
	}
	return nil
}

// gather makes e.group the one Pebble batch of these batches, with the counter
// row at its end, and returns the mark it leads to.
func (e *Pebble) gather(seq Seq, batches []*Batch) mark {
	g := append(e.group[:0], make([]byte, batchHeader)...)
	n := uint32(1)
	for _, b := range batches {
		g = append(g, b.records()...)
		n += b.n
	}
	next := e.at.next(seq, g[batchHeader:])
	var row [16]byte
	encodeMark(row[:0], next)
	g = append(g, opPut)
	g = appendBlock(g, counterKey)
	g = appendBlock(g, row[:])
	binary.LittleEndian.PutUint32(g[8:], n)
	e.group = g
	return next
}

// commit writes e.group to the log and to the tail, as tail.go says.
func (e *Pebble) commit(next mark, sync bool) error {
	// The Batch is left to the collector: closing it would give our buffer to
	// Pebble's pool.
	pb := e.db.NewBatch()
	if err := pb.SetRepr(e.group); err != nil {
		return err
	}
	s := slot{prev: e.at, at: next, confirmed: e.Durable()}
	if sync {
		var err error
		if s.manifest, err = e.files.mark(); err != nil {
			return fmt.Errorf("read MANIFEST: %w", err)
		}
	}
	switch {
	case !sync:
		return errors.Join(e.db.Apply(pb, pebble.NoSync), e.broken.get())
	case len(e.group) > tailRoom:
		if err := errors.Join(e.db.Apply(pb, pebble.Sync), e.broken.get()); err != nil {
			return err
		}
		s.confirmed = next.seq
		return e.writeTail(&s)
	default:
		// A commit that could not even be queued has no sync to wait for.
		if err := errors.Join(e.db.ApplyNoSyncWait(pb, pebble.Sync), e.broken.get()); err != nil {
			return err
		}
		s.group = e.group
		return errors.Join(e.writeTail(&s), pb.SyncWait(), e.broken.get())
	}
}

func (e *Pebble) writeTail(s *slot) error {
	if err := e.tail.write(s); err != nil {
		return fmt.Errorf("write %s: %w", tailName, err)
	}
	return nil
}

// Durable implements Engine.
func (e *Pebble) Durable() Seq { return Seq(e.durable.Load()) }

// Snapshot implements Engine.
func (e *Pebble) Snapshot() (Snapshot, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, ErrClosed
	}
	return pebbleSnapshot{e.db.NewSnapshot()}, nil
}

// Checkpoint implements Engine. Files that no longer change are shared with the
// checkpoint by hard links where the file system can.
func (e *Pebble) Checkpoint(dir string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.writable(); err != nil {
		return err
	}
	if err := e.db.Checkpoint(dir, pebble.WithFlushedWAL()); err != nil {
		return fmt.Errorf("store: checkpoint %s: %w", dir, corruption(err))
	}
	// Only with its tail file is it a store: an interrupted checkpoint does not open.
	m, err := markManifest(e.o.FS, dir)
	if err == nil {
		err = createTail(e.o.FS, e.o.FS.PathJoin(dir, tailName), e.at, m)
	}
	if err == nil {
		err = syncDir(e.o.FS, dir)
	}
	if err != nil {
		return fmt.Errorf("store: checkpoint %s: %w", dir, err)
	}
	return nil
}

// Close implements Engine.
func (e *Pebble) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	err := e.db.Close()
	e.db = nil
	if err == nil && e.broken.get() == nil && e.files.changed.Load() {
		s := slot{prev: e.at, at: e.at, confirmed: e.Durable()}
		if s.manifest, err = e.files.mark(); err == nil {
			err = e.writeTail(&s)
		}
	}
	if err := errors.Join(err, e.release()); err != nil {
		return fmt.Errorf("store: close %s: %w", e.o.Dir, err)
	}
	return nil
}

// release closes whatever is open.
func (e *Pebble) release() error {
	var errs []error
	if e.db != nil {
		errs = append(errs, e.db.Close())
	}
	if e.tail != nil {
		errs = append(errs, e.tail.close())
	}
	if e.lock != nil {
		errs = append(errs, e.lock.Close())
	}
	return errors.Join(errs...)
}

type pebbleSnapshot struct{ s *pebble.Snapshot }

func (s pebbleSnapshot) Get(key []byte) ([]byte, bool, error) { return get(s.s, key) }

func get(r pebble.Reader, key []byte) ([]byte, bool, error) {
	row, done, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, corruption(err)
	}
	row = append([]byte{}, row...)
	return row, true, done.Close()
}

func (s pebbleSnapshot) Scan(lo, hi []byte, f func(key, row []byte) error) error {
	if len(lo) == 0 || lo[0] == reservedPrefix {
		lo = firstKey
	}
	it, err := s.s.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return corruption(err)
	}
	return errors.Join(scan(it, f), corruption(it.Close()))
}

func scan(it *pebble.Iterator, f func(key, row []byte) error) error {
	for ok := it.First(); ok; ok = it.Next() {
		row, err := it.ValueAndErr()
		if err != nil {
			return corruption(err)
		}
		if err := f(it.Key(), row); err != nil {
			return err
		}
	}
	return nil
}

func (s pebbleSnapshot) Close() error { return s.s.Close() }

// makeDir makes a directory and its missing parents, durably.
func makeDir(fs vfs.FS, dir string) error {
	var parents []string
	for d := dir; ; d = fs.PathDir(d) {
		if _, err := fs.Stat(d); err == nil || fs.PathDir(d) == d {
			break
		}
		parents = append(parents, fs.PathDir(d))
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, d := range parents {
		if err := syncDir(fs, d); err != nil {
			return err
		}
	}
	return nil
}

// syncDir makes the names in a directory durable.
func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

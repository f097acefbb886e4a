package store

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// crashImage is what a disk may hold after a crash, and what was known then.
type crashImage struct {
	fs        *vfs.MemFS
	at        string
	unsynced  int
	acked     Seq
	submitted Seq
}

// imager is an injector that, instead of failing an operation, keeps images of
// the disk as it would be if the power went just before it.
type imager struct {
	disk             *vfs.MemFS
	keep             func(i int) bool
	acked, submitted atomic.Uint64
	busy             atomic.Bool // one image at a time: Pebble works from several goroutines
	n                int
	images           []crashImage
}

func (m *imager) String() string { return "imager" }

func (m *imager) MaybeError(op errorfs.Op) error {
	if op.Kind == errorfs.OpLink {
		// MemFS.Link and CrashClone can lock each other out; a checkpoint then copies.
		return errorfs.ErrInjected
	}
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || !m.busy.CompareAndSwap(false, true) {
		return nil
	}
	defer m.busy.Store(false)
	if m.n++; !m.keep(m.n) {
		return nil
	}
	for _, percent := range []int{0, 50, 100} {
		// acked before and submitted after the image: both err to the safe side.
		image := crashImage{at: fmt.Sprintf("%d %s", op.Kind, op.Path), unsynced: percent, acked: Seq(m.acked.Load())}
		image.fs = m.disk.CrashClone(vfs.CrashCloneCfg{
			UnsyncedDataPercent: percent,
			RNG:                 rand.New(rand.NewPCG(uint64(m.n), uint64(percent))),
		})
		image.submitted = Seq(m.submitted.Load())
		m.images = append(m.images, image)
	}
	return nil
}

// TestCrash takes the power away before every few writing operations of a short
// life, creation and a checkpoint included, and demands of each image: what was
// confirmed is there, what is there was submitted, in order, with its content, and
// a second crash right after the recovery takes nothing back.
func TestCrash(t *testing.T) {
	every := 1
	if testing.Short() {
		every = 5
	}
	const batches = 60
	disk := vfs.NewCrashableMem()
	m := &imager{disk: disk, keep: func(i int) bool { return i%every == 0 }}
	fs := errorfs.Wrap(disk, m)
	e := openOn(t, fs)
	rng := rand.New(rand.NewPCG(1, 2))
	for seq := Seq(1); seq <= batches; {
		n := 1 + Seq(rng.IntN(3))
		var group []*Batch
		for i := range n {
			group = append(group, noteBatch(uint64(seq+i)))
		}
		seq += n
		m.submitted.Store(uint64(seq - 1))
		sync := rng.IntN(4) > 0
		if err := e.Apply(seq-1, group, sync); err != nil {
			t.Fatal(err)
		}
		if sync {
			m.acked.Store(uint64(seq - 1))
		}
		if seq > batches/2 && seq <= batches/2+n {
			if err := e.db.Flush(); err != nil { // the log is changed for a new one
				t.Fatal(err)
			}
			if err := e.Checkpoint("checkpoint"); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustClose(t, e)
	found := map[string]bool{}
	for _, image := range m.images {
		n := recoverImage(t, image)
		if n == image.acked && n < image.submitted {
			found["nothing but what was confirmed"] = true
		}
		if n > image.acked {
			found["more than was confirmed"] = true
		}
		if image.acked == 0 && n == 0 {
			found["a crash during creation"] = true
		}
	}
	for _, s := range []string{"nothing but what was confirmed", "more than was confirmed", "a crash during creation"} {
		if !found[s] {
			t.Errorf("no image showed %s", s)
		}
	}
	t.Logf("%d images of %d operations", len(m.images), m.n)
}

func recoverImage(t *testing.T, image crashImage) Seq {
	t.Helper()
	fail := func(err any) {
		t.Helper()
		t.Fatalf("crash before %s, %d %% of unsynced data kept, acked %d, submitted %d: %v",
			image.at, image.unsynced, image.acked, image.submitted, err)
	}
	var first Seq
	for life := range 2 {
		e, err := OpenPebble(Options{FS: image.fs, Dir: "db", Schema: testSchema})
		if err != nil {
			fail(err)
		}
		n, err := prefixOf(e)
		if err != nil {
			fail(err)
		}
		if n < image.acked || n > image.submitted || life == 1 && n != first {
			fail(fmt.Sprintf("life %d: recovered %d, first time %d", life, n, first))
		}
		again := image.fs.CrashClone(vfs.CrashCloneCfg{})
		if err := e.Close(); err != nil {
			fail(err)
		}
		image.fs, first = again, n
	}
	return first
}

// TestCrashMem: the same for the engine in memory, where a crash keeps any
// number of the groups that were not synced.
func TestCrashMem(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		disk := new(MemDisk)
		e, err := OpenMem(disk, testSchema)
		if err != nil {
			t.Fatal(err)
		}
		var acked, seq Seq
		for range rng.IntN(20) {
			seq++
			sync := rng.IntN(3) == 0
			mustApply(t, e, seq, noteBatch(uint64(seq)), sync)
			if sync {
				acked = seq
			}
		}
		if got := disk.Unsynced(); Seq(got) != seq-acked {
			t.Fatalf("%d unsynced, not %d", got, seq-acked)
		}
		keep := rng.IntN(int(seq-acked) + 1)
		disk.Crash(keep)
		if err := e.Apply(seq+1, []*Batch{noteBatch(1)}, true); !errors.Is(err, ErrClosed) {
			t.Fatalf("apply after the crash: %v", err)
		}
		if e, err = OpenMem(disk, testSchema); err != nil {
			t.Fatal(err)
		}
		if n := checkPrefix(t, e); n != acked+Seq(keep) {
			t.Fatalf("recovered %d, acked %d, kept %d", n, acked, keep)
		}
	}
}

// TestDiskErrors fails the n-th writing operation, and all after it, as a full
// disk does, for every n: nothing is confirmed that is not there afterwards, an
// engine that failed takes nothing more, and the store opens again once there
// is room.
func TestDiskErrors(t *testing.T) {
	step := int32(1)
	if testing.Short() {
		step = 5
	}
	for _, once := range []bool{false, true} {
		for n, reached := int32(0), true; reached; n += step {
			reached = diskError(t, n, once)
			if n > 2000 {
				t.Fatal("the workload never ends")
			}
		}
	}
}

func diskError(t *testing.T, nth int32, once bool) (reached bool) {
	t.Helper()
	disk := vfs.NewCrashableMem()
	var count atomic.Int32
	fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		// A directory that does not sync makes Pebble end the process, from a
		// goroutine of its own: a crash, which TestCrash is about.
		if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || op.Kind == errorfs.OpFileSync && op.Path == "db" {
			return nil
		}
		if i := count.Add(1) - 1; i == nth || i > nth && !once {
			return errorfs.ErrInjected
		}
		return nil
	}))
	var acked, submitted Seq
	e, err := OpenPebble(Options{FS: fs, Dir: "db", Schema: testSchema})
	if err == nil {
		for submitted < 12 {
			submitted++
			err := e.Apply(submitted, []*Batch{noteBatch(uint64(submitted))}, true)
			if err == nil {
				acked = submitted
				continue
			}
			if !errors.Is(err, ErrUnknown) && !errors.Is(err, ErrClosed) {
				t.Fatalf("operation %d failed: apply: %v", nth, err)
			}
			if err := e.Apply(submitted+1, []*Batch{noteBatch(1)}, true); !errors.Is(err, ErrClosed) {
				t.Fatalf("operation %d failed: apply after a failure: %v", nth, err)
			}
			break
		}
		e.Close() // its error says again what is broken
	} else if errors.Is(err, ErrLostRows{}) || errors.Is(err, ErrCorrupt) {
		t.Fatalf("operation %d failed: open: %v", nth, err)
	}
	reached = count.Load() > nth
	for _, percent := range []int{0, 100} {
		image := crashImage{at: fmt.Sprint("the end, operation ", nth, " failed"), unsynced: percent, acked: acked, submitted: submitted}
		image.fs = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(1, 1))})
		recoverImage(t, image)
	}
	return reached
}

// damaged stores: a store of synced rows is closed, or not, one bit of one file
// is flipped or its end cut off, and the store is opened.

const damageRows = 400

// liveImage writes synced rows and returns the disk as it is while the process
// lives, by which the log still holds them.
func liveImage(t testing.TB, rows Seq) *vfs.MemFS {
	disk := vfs.NewCrashableMem()
	e := openOn(t, disk)
	for seq := Seq(1); seq <= rows; seq++ {
		mustApply(t, e, seq, noteBatch(uint64(seq)), true)
	}
	image := disk.CrashClone(vfs.CrashCloneCfg{})
	mustClose(t, e)
	return image
}

func readFile(t testing.TB, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t testing.TB, fs vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close(), syncDir(fs, "db")); err != nil {
		t.Fatal(err)
	}
}

// outcome opens a damaged store. Silence is what must not be: fewer rows, or
// other rows, and no error.
func outcome(t *testing.T, fs vfs.FS, rows Seq) string {
	t.Helper()
	e, err := OpenPebble(Options{FS: fs, Dir: "db", Schema: testSchema})
	var lost ErrLostRows
	switch {
	case errors.As(err, &lost):
		return "lost rows noticed"
	case errors.Is(err, ErrCorrupt), errors.Is(err, ErrNoTail):
		return "corruption noticed"
	case err != nil:
		return "refused"
	}
	defer e.Close()
	n, err := prefixOf(e)
	switch {
	case err != nil && (errors.Is(err, ErrCorrupt)):
		return "corruption noticed on reading"
	case err != nil:
		return "SILENT WRONG VALUE: " + err.Error()
	case n != rows:
		return fmt.Sprintf("SILENT LOSS: %d of %d rows", n, rows)
	}
	return "whole"
}

// lastLog is the log that holds the newest rows.
func lastLog(t testing.TB, fs vfs.FS) string {
	t.Helper()
	names, err := fs.List("db")
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	for _, n := range names {
		if strings.HasSuffix(n, ".log") && n > last && len(readFile(t, fs, "db/"+n)) > 0 {
			last = n
		}
	}
	return "db/" + last
}

// TestLogBitFlip flips one bit in the last log, where Pebble alone is silent.
func TestLogBitFlip(t *testing.T) {
	trials := 600
	if testing.Short() {
		trials = 100
	}
	image := liveImage(t, damageRows)
	name := lastLog(t, image)
	good := readFile(t, image, name)
	rng := rand.New(rand.NewPCG(5, 6))
	results := map[string]int{}
	pebbleSilent := 0
	for trial := range trials {
		bad := append([]byte{}, good...)
		bit := rng.IntN(len(bad) * 8)
		if trial%2 == 0 { // every second one in the last block, Pebble's blind spot
			from := max(0, len(bad)-32<<10) * 8
			bit = from + rng.IntN(len(bad)*8-from)
		}
		bad[bit/8] ^= 1 << (bit % 8)
		fs := image.CrashClone(vfs.CrashCloneCfg{})
		writeFile(t, fs, name, bad)
		if pebbleAloneIsSilent(t, fs.CrashClone(vfs.CrashCloneCfg{})) {
			pebbleSilent++
		}
		result := outcome(t, fs, damageRows)
		results[result]++
		if strings.HasPrefix(result, "SILENT") {
			t.Fatalf("trial %d, bit %d: %s", trial, bit, result)
		}
	}
	t.Logf("%d trials: %v; Pebble alone would have lost rows silently in %d", trials, results, pebbleSilent)
	if pebbleSilent == 0 || results["lost rows noticed"] == 0 {
		t.Error("the damage that this test is about did not occur")
	}
}

func pebbleAloneIsSilent(t *testing.T, fs vfs.FS) bool {
	t.Helper()
	db, err := pebble.Open("db", &pebble.Options{FS: fs, Logger: quiet{}, FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		return false
	}
	defer db.Close()
	row, _, err := get(db, counterKey)
	return err == nil && (len(row) != 16 || row[7] != byte(damageRows%256) || row[6] != byte(damageRows/256))
}

// TestDamage flips bits in, and cuts the end off, files of every kind.
func TestDamage(t *testing.T) {
	trials := 40
	if testing.Short() {
		trials = 8
	}
	disk := liveImage(t, damageRows)
	e := openOn(t, disk) // the rows are in a table now
	for seq := Seq(damageRows + 1); seq <= damageRows+50; seq++ {
		mustApply(t, e, seq, noteBatch(uint64(seq)), true)
	}
	image := disk.CrashClone(vfs.CrashCloneCfg{})
	mustClose(t, e)
	names, err := image.List("db")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(7, 8))
	for _, name := range names {
		good := readFile(t, image, "db/"+name)
		results := map[string]int{}
		for trial := range trials {
			bad := append([]byte{}, good...)
			switch {
			case len(bad) == 0:
				bad = []byte{byte(rng.Uint32())}
			case trial%5 == 4:
				bad = bad[:rng.IntN(len(bad))]
			default:
				bit := rng.IntN(len(bad) * 8)
				if name == tailName && trial%2 == 0 { // most of it is room
					bit = rng.IntN(2)*tailSlot*8 + rng.IntN(300*8)
				}
				bad[bit/8] ^= 1 << (bit % 8)
			}
			fs := image.CrashClone(vfs.CrashCloneCfg{})
			writeFile(t, fs, "db/"+name, bad)
			result := outcome(t, fs, damageRows+50)
			results[result]++
			if strings.HasPrefix(result, "SILENT") {
				t.Fatalf("%s, trial %d: %s", name, trial, result)
			}
		}
		t.Logf("%s: %v", name, results)
	}
	for _, name := range names {
		fs := image.CrashClone(vfs.CrashCloneCfg{})
		if err := fs.Remove("db/" + name); err != nil {
			t.Fatal(err)
		}
		result := outcome(t, fs, damageRows+50)
		t.Logf("%s missing: %s", name, result)
		if strings.HasPrefix(result, "SILENT") {
			t.Errorf("%s missing: %s", name, result)
		}
	}
}

// quiet is a Pebble logger for trials that are meant to fail.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}

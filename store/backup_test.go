package store

import (
	"errors"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// backedUp writes n notes in as many batches, with a backup after every fifth.
func backedUp(t *testing.T, fs vfs.FS, b Backups, n Seq) {
	t.Helper()
	e := openOn(t, fs)
	for seq := Seq(1); seq <= n; seq++ {
		mustApply(t, e, seq, noteBatch(uint64(seq)), true)
		if seq%5 == 0 {
			if _, err := b.Take(e); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustClose(t, e)
}

func TestBackups(t *testing.T) {
	fs := vfs.NewCrashableMem()
	b := Backups{FS: fs, Root: "backups", Keep: 2}
	if err := fs.MkdirAll("backups/partial-000001/x", 0o700); err != nil { // an interrupted one
		t.Fatal(err)
	}
	backedUp(t, fs, b, 22)
	dirs, err := b.List()
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "kept", dirs, []string{"backups/000003-15", "backups/000004-20"})
	names, err := fs.List("backups")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "files", len(names), 2)

	o := Options{FS: fs, Dir: "db", Schema: testSchema}
	fromBackup := o
	fromBackup.Dir = dirs[0]
	r, err := Verify(fromBackup)
	if err != nil || r.Err() != nil {
		t.Fatal(err, r.Err())
	}
	expect(t, "report", r, Report{Seq: 15, Version: 1, Tables: []TableReport{{Name: "notes", Rows: 15, Bytes: r.Tables[0].Bytes}}})

	// A restore while the store is in use is refused and changes nothing.
	e := openOn(t, fs)
	if _, err := Restore(o, dirs[0]); !errors.Is(err, ErrLocked) {
		t.Errorf("restore over a store in use: %v", err)
	}
	if _, err := Verify(o); !errors.Is(err, ErrLocked) {
		t.Errorf("verify of a store in use: %v", err)
	}
	mustClose(t, e)
	replaced, err := Restore(o, dirs[0])
	if err != nil {
		t.Fatal(err)
	}
	fs = fs.CrashClone(vfs.CrashCloneCfg{}) // the power may go now
	o.FS, b.FS = fs, fs
	e = openOn(t, fs)
	expect(t, "restored", checkPrefix(t, e), Seq(15))
	// Numbers of backups go on though batches count from an older one again.
	mustApply(t, e, 16, noteBatch(16), true)
	dir, err := b.Take(e)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "next backup", dir, "backups/000005-16")
	mustClose(t, e)
	// The replaced store is whole, and the backup still is what it was.
	for dir, rows := range map[string]Seq{replaced: 22, "backups/000004-20": 20} {
		o.Dir = dir
		if r, err := Verify(o); err != nil || r.Err() != nil || r.Seq != rows {
			t.Errorf("%s: %v %v %d", dir, err, r.Err(), r.Seq)
		}
	}
}

// TestMustExist: where there is no store none is made, and nothing else either.
func TestMustExist(t *testing.T) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("empty", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := fs.MkdirAll("begun", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{tailName, creatingName} { // a creation that was interrupted
		f, err := fs.Create("begun/"+name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		mustClose(t, f)
	}
	for dir, files := range map[string]int{"empty": 0, "begun": 2, "missing": -1} {
		o := Options{FS: fs, Dir: dir, Schema: testSchema, MustExist: true}
		_, opened := OpenPebble(o)
		_, verified := Verify(o)
		for _, err := range []error{opened, verified} {
			if none := (ErrNoStore{}); !errors.As(err, &none) || none.Dir != dir {
				t.Errorf("%s: %v", dir, err)
			}
		}
		if names, err := fs.List(dir); err == nil && len(names) != files || err != nil && files >= 0 {
			t.Errorf("%s holds %v (%v)", dir, names, err)
		}
	}
	mustClose(t, openOn(t, fs))
	e, err := OpenPebble(Options{FS: fs, Dir: "db", Schema: testSchema, MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	made, err := Backups{FS: fs, Root: "backups"}.Take(e)
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, e)
	before, err := fs.List(made)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := Verify(Options{FS: fs, Dir: made, Schema: testSchema}); err != nil || r.Err() != nil {
		t.Fatal(err, r.Err())
	}
	after, err := fs.List(made)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(before)
	slices.Sort(after)
	expect(t, "files of a backup after verify", after, before)
}

// TestRestoreOfNothing: accepted loss is loss of rows, not of the whole store.
func TestRestoreOfNothing(t *testing.T) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("empty", 0o700); err != nil {
		t.Fatal(err)
	}
	mustClose(t, openOn(t, fs))
	o := Options{FS: fs, Dir: "db", Schema: testSchema, AcceptLoss: true}
	if _, err := Restore(o, "empty"); !errors.As(err, new(ErrNoStore)) {
		t.Errorf("restored an empty directory: %v", err)
	}
	o.MustExist = true
	e, err := OpenPebble(o)
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, e)
}

func TestInterruptedRestore(t *testing.T) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("db.restoring", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, must := range []bool{false, true} {
		o := Options{FS: fs, Dir: "db", Schema: testSchema, MustExist: must}
		if _, err := OpenPebble(o); err == nil || !strings.Contains(err.Error(), "restore again") {
			t.Errorf("an empty store was made in place of one half restored: %v", err)
		}
	}
}

func TestVerifyFinds(t *testing.T) {
	image := liveImage(t, 30)
	o := Options{FS: image, Dir: "db", Schema: testSchema}
	verify := func(t *testing.T, want string) {
		t.Helper()
		r, err := Verify(o)
		if err == nil {
			err = r.Err()
		}
		if err == nil && want == "" {
			return
		}
		if err == nil || want == "" || !strings.Contains(err.Error(), want) {
			t.Errorf("found %v, not %q", err, want)
		}
	}
	t.Run("nothing in a sound store", func(t *testing.T) { verify(t, "") })
	t.Run("a store of another schema version", func(t *testing.T) {
		o := o
		o.Schema = Schema{Version: 2, Migrations: []func(Snapshot, *Batch) error{func(Snapshot, *Batch) error { return nil }}}
		if r, err := Verify(o); err != nil || r.Err() == nil {
			t.Errorf("%v %v", err, r.Err())
		}
	})
	t.Run("a key of no table", func(t *testing.T) {
		o.FS = image.CrashClone(vfs.CrashCloneCfg{})
		e := openOn(t, o.FS)
		mustApply(t, e, 31, raw("\x09x=1"), true)
		mustClose(t, e)
		verify(t, "of no table")
	})
	t.Run("a row that does not decode", func(t *testing.T) {
		o.FS = image.CrashClone(vfs.CrashCloneCfg{})
		e := openOn(t, o.FS)
		mustApply(t, e, 31, raw("\x01abcdefgh=?"), true)
		mustClose(t, e)
		verify(t, "table notes, row of key")
	})
	t.Run("a log cut short", func(t *testing.T) {
		fs := image.CrashClone(vfs.CrashCloneCfg{})
		o.FS = fs
		name := lastLog(t, fs)
		log := readFile(t, fs, name)
		writeFile(t, fs, name, log[:len(log)/2])
		verify(t, "were confirmed and are gone")
		_, err := OpenPebble(o)
		var lost ErrLostRows
		if !errors.As(err, &lost) || lost.Want < 29 || lost.Have >= lost.Want {
			t.Fatalf("opening: %v", err)
		}
		accept := o
		accept.AcceptLoss = true
		for _, o := range []Options{accept, o} { // accepted once, it is as it is
			e, err := OpenPebble(o)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, "rows left", checkPrefix(t, e), lost.Have)
			mustClose(t, e)
		}
	})
	t.Run("no tail file", func(t *testing.T) {
		fs := image.CrashClone(vfs.CrashCloneCfg{})
		o.FS = fs
		if err := fs.Remove(path.Join("db", tailName)); err != nil {
			t.Fatal(err)
		}
		verify(t, "no readable TAIL")
		if _, err := OpenPebble(o); !errors.Is(err, ErrNoTail) {
			t.Fatalf("opening: %v", err)
		}
		accept := o
		accept.AcceptLoss = true
		for _, o := range []Options{accept, o} {
			e, err := OpenPebble(o)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, "rows", checkPrefix(t, e), Seq(30))
			mustClose(t, e)
		}
	})
	t.Run("nothing where there is nothing", func(t *testing.T) {
		o.Dir = "elsewhere"
		if _, err := Verify(o); err == nil {
			t.Error("no error")
		}
	})
}

// TestTailRedo: the last groups that only the tail still has come back.
func TestTailRedo(t *testing.T) {
	image := liveImage(t, 30)
	name := lastLog(t, image)
	log := readFile(t, image, name)
	redone := 0
	for cut := 1; cut < 600; cut += 7 {
		fs := image.CrashClone(vfs.CrashCloneCfg{})
		writeFile(t, fs, name, log[:len(log)-cut])
		e, err := OpenPebble(Options{FS: fs, Dir: "db", Schema: testSchema})
		var lost ErrLostRows
		if errors.As(err, &lost) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if n := checkPrefix(t, e); n != 30 {
			t.Fatalf("%d rows", n)
		}
		mustClose(t, e)
		redone++
	}
	if redone < 10 {
		t.Errorf("only %d cuts were mended", redone)
	}
}

func TestTailOfAnotherStore(t *testing.T) {
	a, b := liveImage(t, 30), vfs.NewCrashableMem()
	e := openOn(t, b)
	for seq := Seq(1); seq <= 30; seq++ {
		mustApply(t, e, seq, noteBatch(uint64(seq+1000)), true)
	}
	mustClose(t, e)
	writeFile(t, a, "db/"+tailName, readFile(t, b, "db/"+tailName))
	if _, err := OpenPebble(Options{FS: a, Dir: "db", Schema: testSchema}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("opening with another store's tail: %v", err)
	}
}

func TestMemCheckpoint(t *testing.T) {
	disk := new(MemDisk)
	e, err := OpenMem(disk, testSchema)
	if err != nil {
		t.Fatal(err)
	}
	mustApply(t, e, 1, noteBatch(1), true)
	if err := e.Checkpoint("c"); err != nil {
		t.Fatal(err)
	}
	if e.Checkpoint("c") == nil {
		t.Error("a checkpoint was overwritten")
	}
	mustApply(t, e, 2, noteBatch(2), true)
	if err := disk.Restore("c"); !errors.Is(err, ErrLocked) {
		t.Errorf("restore of an open disk: %v", err)
	}
	mustClose(t, e)
	if err := disk.Restore("c"); err != nil {
		t.Fatal(err)
	}
	if e, err = OpenMem(disk, testSchema); err != nil {
		t.Fatal(err)
	}
	expect(t, "rows", checkPrefix(t, e), Seq(1))
	mustClose(t, e)
	if disk.Restore("none") == nil {
		t.Error("restored from nothing")
	}
}

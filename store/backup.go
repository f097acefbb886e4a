package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Backups are checkpoints in numbered directories under one root: "000017-4711"
// is the seventeenth and ends at batch 4711. The number, not the batch, orders
// them, because a restored store counts batches from an older one again.
type Backups struct {
	FS   vfs.FS // nil is the operating system's
	Root string
	// Keep is how many are kept, at least 1.
	Keep int
}

const (
	// partial begins the name of a backup that is not finished.
	partial = "partial-"
	// restoringSuffix ends the name of a restored store that is not yet in place.
	restoringSuffix = ".restoring"
)

// Take makes a backup of an open store and removes the oldest ones beyond Keep.
// It is durable under its name when Take returns; an interrupted one is removed
// by the next.
func (b Backups) Take(e *Pebble) (dir string, err error) {
	fs := b.fs()
	if err := makeDir(fs, b.Root); err != nil {
		return "", fmt.Errorf("store: backup: %w", err)
	}
	names, err := fs.List(b.Root)
	if err != nil {
		return "", fmt.Errorf("store: backup: %w", err)
	}
	for _, n := range names {
		if strings.HasPrefix(n, partial) {
			if err := fs.RemoveAll(fs.PathJoin(b.Root, n)); err != nil {
				return "", fmt.Errorf("store: backup: %w", err)
			}
		}
	}
	have := numbered(names)
	number := 1
	if len(have) > 0 {
		number = have[len(have)-1].number + 1
	}
	unfinished := fs.PathJoin(b.Root, fmt.Sprintf("%s%06d", partial, number))
	if err := e.Checkpoint(unfinished); err != nil {
		return "", err
	}
	slots, err := readTail(fs, fs.PathJoin(unfinished, tailName))
	if err != nil {
		return "", err
	}
	made := backup{number: number, seq: slots[len(slots)-1].at.seq}
	dir = fs.PathJoin(b.Root, made.name())
	if err := errors.Join(fs.Rename(unfinished, dir), syncDir(fs, b.Root)); err != nil {
		return "", fmt.Errorf("store: backup: %w", err)
	}
	have = append(have, made)
	for _, old := range have[:max(0, len(have)-max(b.Keep, 1))] {
		if err := fs.RemoveAll(fs.PathJoin(b.Root, old.name())); err != nil {
			return dir, fmt.Errorf("store: backup made, but an old one stays: %w", err)
		}
	}
	return dir, nil
}

// List is the finished backups' directories, oldest first.
func (b Backups) List() ([]string, error) {
	fs := b.fs()
	names, err := fs.List(b.Root)
	if err != nil {
		return nil, fmt.Errorf("store: backups: %w", err)
	}
	var dirs []string
	for _, n := range numbered(names) {
		dirs = append(dirs, fs.PathJoin(b.Root, n.name()))
	}
	return dirs, nil
}

func (b Backups) fs() vfs.FS {
	if b.FS == nil {
		return vfs.Default
	}
	return b.FS
}

type backup struct {
	number int
	seq    Seq
}

func (b backup) name() string { return fmt.Sprintf("%06d-%d", b.number, b.seq) }

// numbered picks the names that are backups' and sorts them by number.
func numbered(names []string) []backup {
	var out []backup
	for _, n := range names {
		var b backup
		if _, err := fmt.Sscanf(n, "%d-%d", &b.number, &b.seq); err == nil && b.name() == n {
			out = append(out, b)
		}
	}
	slices.SortFunc(out, func(a, b backup) int { return a.number - b.number })
	return out
}

// Report is what Verify found.
type Report struct {
	Seq     Seq    // the store ends at this batch
	Version uint32 // of its schema
	Tables  []TableReport
	// Redo counts groups that only the tail file has; the next start brings them in.
	Redo int
	// Problems, the first maxProblems of them; Found counts all.
	Problems []string
	Found    int
}

// TableReport counts the rows of one table.
type TableReport struct {
	Name  string
	Rows  int
	Bytes int64 // keys and rows, before compression
}

// maxProblems are enough to see what kind of damage it is.
const maxProblems = 100

func (r *Report) problem(format string, args ...any) {
	r.Found++
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// Err is nil for a sound store, otherwise an ErrCorrupt with the first problem.
func (r *Report) Err() error {
	if r.Found == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d problems, the first: %s", ErrCorrupt, r.Found, r.Problems[0])
}

// Verify reads a whole store, or a backup of one, without changing it: every
// block against its checksum, the order of files against each other, every key
// and row through its table's codec, and the end of the log against the tail
// file. The store must not be in use, and ErrNoStore says that there is none. An
// error means that it could not be read at all.
func Verify(o Options) (Report, error) {
	o = o.withDefaults()
	if err := o.Schema.check(); err != nil {
		return Report{}, err
	}
	var r Report
	if err := o.find(); err != nil {
		return r, err
	}
	e := &Pebble{o: o, broken: new(breakage)}
	defer e.release()
	// Whoever opens a store makes the lock's file. Without it, as in a backup,
	// the store is in nobody's use, and nothing is to be left in it.
	if _, err := o.FS.Stat(e.path(lockName)); err == nil {
		if err := e.takeLock(); err != nil {
			return r, err
		}
	}
	slots, err := readTail(o.FS, e.path(tailName))
	if err == nil {
		if err := files(slots).check(o.FS, o.Dir); err != nil {
			r.problem("%v", err)
		}
	}
	tailErr := err
	if e.db, err = e.openDB(&pebble.Options{ReadOnly: true, ErrorIfNotExists: true}); err != nil {
		return r, fmt.Errorf("store: verify %s: %w", o.Dir, err)
	}
	if err := e.readOwnRows(); err != nil {
		return r, fmt.Errorf("store: verify %s: %w", o.Dir, err)
	}
	r.Seq, r.Version = e.at.seq, e.version
	f := examine(slots, e.at)
	r.Redo = len(f.redo)
	if err := errors.Join(tailErr, f.err); err != nil {
		r.problem("%v", err)
	}
	if err := e.db.CheckLevels(nil); err != nil {
		r.problem("levels: %v", corruption(err))
	}
	e.verifyRows(&r)
	if err := e.broken.get(); err != nil {
		r.problem("%v", err)
	}
	return r, nil
}

func (e *Pebble) verifyRows(r *Report) {
	decode := r.Version == e.o.Schema.version()
	if !decode {
		r.problem("schema version %d, this program's is %d: rows are counted, not decoded", r.Version, e.o.Schema.version())
	}
	var tables [256]AnyTable
	index := make(map[byte]int)
	for _, t := range e.o.Schema.Tables {
		name, prefix := t.Info()
		tables[prefix] = t
		index[prefix] = len(r.Tables)
		r.Tables = append(r.Tables, TableReport{Name: name})
	}
	s := pebbleSnapshot{e.db.NewSnapshot()}
	defer s.Close()
	err := s.Scan(nil, nil, func(key, row []byte) error {
		t := tables[key[0]]
		if t == nil {
			if decode {
				r.problem("key %x is of no table", key)
			}
			return nil
		}
		count := &r.Tables[index[key[0]]]
		count.Rows++
		count.Bytes += int64(len(key) + len(row))
		if decode {
			if _, _, err := t.Decode(key, row); err != nil {
				r.problem("%v", err)
			}
		}
		return nil
	})
	if err != nil {
		r.problem("scan ended early: %v", err)
	}
}

// Restore puts a copy of a backup where o.Dir is. The backup is verified first
// (o.AcceptLoss takes a damaged one all the same, but not a directory without any), the store in o.Dir must not be
// in use, and is not deleted but moved beside it; replaced is its new name, empty
// where there was none. The backup itself is not touched.
func Restore(o Options, from string) (replaced string, err error) {
	o = o.withDefaults()
	fs := o.FS
	check := o
	check.Dir = from
	report, err := Verify(check)
	if err == nil {
		err = report.Err()
	}
	if errors.As(err, new(ErrNoStore)) || err != nil && !o.AcceptLoss {
		return "", fmt.Errorf("store: restore from %s: %w", from, err)
	}
	parent := fs.PathDir(o.Dir)
	if err := makeDir(fs, parent); err != nil {
		return "", fmt.Errorf("store: restore: %w", err)
	}
	unfinished := o.Dir + restoringSuffix
	if err := fs.RemoveAll(unfinished); err != nil {
		return "", fmt.Errorf("store: restore: %w", err)
	}
	ok, err := vfs.Clone(fs, fs, from, unfinished, vfs.CloneSync)
	if err != nil || !ok {
		return "", fmt.Errorf("store: restore: copy %s: found %v: %w", from, ok, err)
	}
	if replaced, err = moveAside(o); err != nil {
		return "", fmt.Errorf("store: restore: %w", err)
	}
	if err := errors.Join(fs.Rename(unfinished, o.Dir), syncDir(fs, parent)); err != nil {
		return replaced, fmt.Errorf("store: restore: %w", err)
	}
	return replaced, nil
}

// moveAside renames o.Dir, where it exists and nobody uses it.
func moveAside(o Options) (string, error) {
	if _, err := o.FS.Stat(o.Dir); err != nil {
		return "", nil
	}
	e := &Pebble{o: o}
	if err := e.takeLock(); err != nil {
		return "", err
	}
	defer e.release()
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s.replaced-%d", o.Dir, n)
		if _, err := o.FS.Stat(name); err != nil {
			return name, o.FS.Rename(o.Dir, name)
		}
	}
}

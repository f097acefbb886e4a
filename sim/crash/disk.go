package crash

import (
	"fmt"
	"io/fs"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// operation is one that changes the disk.
type operation struct {
	kind, path string
	// data is what a write is about to write at offset; nil for the others.
	data   []byte
	offset int64
}

func (o operation) String() string { return o.kind + " " + o.path }

// disk is a file system in memory that lets somebody look, or interfere, before
// each operation that changes it. One operation at a time: Pebble works from
// several goroutines, and what before sees is the disk as that operation finds it.
type disk struct {
	vfs.FS
	mem *vfs.MemFS

	mu     sync.Mutex
	count  int
	before func(n int, op operation) error // under mu
	full   bool                            // nothing is free
}

func newDisk() *disk {
	mem := vfs.NewCrashableMem()
	return &disk{FS: mem, mem: mem}
}

// do carries out one operation, after the word of before.
func (d *disk) do(op operation, f func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count++
	if d.before != nil {
		if err := d.before(d.count, op); err != nil {
			return &fs.PathError{Op: op.kind, Path: op.path, Err: err}
		}
	}
	return f()
}

// open carries out an operation that gives a file to write to.
func (d *disk) open(kind, name string, f func() (vfs.File, error)) (vfs.File, error) {
	var opened vfs.File
	err := d.do(operation{kind: kind, path: name}, func() (err error) {
		opened, err = f()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &file{File: opened, d: d, path: name}, nil
}

// Unwrap implements vfs.FS: nobody is to reach the file system behind our back.
func (d *disk) Unwrap() vfs.FS { return nil }

// Create implements vfs.FS.
func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.open("create", name, func() (vfs.File, error) { return d.mem.Create(name, c) })
}

// OpenReadWrite implements vfs.FS.
func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return d.open("open", name, func() (vfs.File, error) { return d.mem.OpenReadWrite(name, c, o...) })
}

// ReuseForWrite implements vfs.FS.
func (d *disk) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.open("reuse", name, func() (vfs.File, error) { return d.mem.ReuseForWrite(old, name, c) })
}

// OpenDir implements vfs.FS: a directory is opened to be synced.
func (d *disk) OpenDir(name string) (vfs.File, error) {
	f, err := d.mem.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &file{File: f, d: d, path: name, dir: true}, nil
}

// Link implements vfs.FS.
func (d *disk) Link(old, name string) error {
	return d.do(operation{kind: "link", path: name}, func() error { return d.mem.Link(old, name) })
}

// Remove implements vfs.FS.
func (d *disk) Remove(name string) error {
	return d.do(operation{kind: "remove", path: name}, func() error { return d.mem.Remove(name) })
}

// RemoveAll implements vfs.FS.
func (d *disk) RemoveAll(name string) error {
	return d.do(operation{kind: "remove", path: name}, func() error { return d.mem.RemoveAll(name) })
}

// Rename implements vfs.FS.
func (d *disk) Rename(old, name string) error {
	return d.do(operation{kind: "rename", path: name}, func() error { return d.mem.Rename(old, name) })
}

// MkdirAll implements vfs.FS.
func (d *disk) MkdirAll(name string, perm fs.FileMode) error {
	return d.do(operation{kind: "mkdir", path: name}, func() error { return d.mem.MkdirAll(name, perm) })
}

// GetDiskUsage implements vfs.FS.
func (d *disk) GetDiskUsage(name string) (vfs.DiskUsage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return vfs.DiskUsage{TotalBytes: 1 << 40, UsedBytes: 1 << 40}, nil
	}
	return d.mem.GetDiskUsage(name)
}

// crashed is the disk as a power cut leaves it now: what was synced, and of the
// rest each block and name with a probability in percent. Call it under mu.
func (d *disk) crashed(c vfs.CrashCloneCfg) *vfs.MemFS { return d.mem.CrashClone(c) }

// file is one that is written to, or a directory to be synced.
type file struct {
	vfs.File
	d    *disk
	path string
	dir  bool
	pos  int64
}

// Write implements vfs.File.
func (f *file) Write(p []byte) (n int, err error) {
	err = f.d.do(operation{kind: "write", path: f.path, data: p, offset: f.pos}, func() (err error) {
		n, err = f.File.Write(p)
		return err
	})
	f.pos += int64(n)
	return n, err
}

// WriteAt implements vfs.File.
func (f *file) WriteAt(p []byte, at int64) (n int, err error) {
	err = f.d.do(operation{kind: "write", path: f.path, data: p, offset: at}, func() (err error) {
		n, err = f.File.WriteAt(p, at)
		return err
	})
	return n, err
}

// Sync implements vfs.File.
func (f *file) Sync() error { return f.sync(f.File.Sync) }

// SyncData implements vfs.File.
func (f *file) SyncData() error { return f.sync(f.File.SyncData) }

func (f *file) sync(do func() error) error {
	kind := "sync"
	if f.dir {
		kind = "sync-dir"
	}
	return f.d.do(operation{kind: kind, path: f.path}, do)
}

// tear puts the first half of a write on an image, rounded to a sector: the
// power went while the disk was writing.
func tear(image vfs.FS, op operation) (kept int, err error) {
	const sector = 512
	if kept = len(op.data) / 2; kept > sector {
		kept = kept / sector * sector
	}
	f, err := image.OpenReadWrite(op.path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return 0, fmt.Errorf("tear a write: %w", err)
	}
	defer f.Close()
	if _, err := f.WriteAt(op.data[:kept], op.offset); err != nil {
		return 0, fmt.Errorf("tear a write: %w", err)
	}
	return kept, f.Sync()
}

package store

import (
	"errors"
	"fmt"
)

// Engine keeps rows. Both engines pass one suite of tests for what stands here.
type Engine interface {
	// Apply writes a group of batches, all or nothing, in order. seq numbers the
	// last of them, and the first must follow the last of the call before. With
	// sync, they and everything before are durable when Apply returns nil; without,
	// a crash may take back the end of what was applied, group by group. An error
	// that is ErrUnknown leaves the engine closed to further Apply. Apply does not
	// keep the batches. One caller at a time.
	Apply(seq Seq, batches []*Batch, sync bool) error
	// Snapshot is a view of all rows as they are now, safe to read from any one
	// goroutine while Apply goes on. Close it before the engine.
	Snapshot() (Snapshot, error)
	// Checkpoint writes a copy of everything applied into a directory that must not
	// exist, durable when it returns. Safe while Apply goes on; it waits for it.
	Checkpoint(dir string) error
	// Durable is the number of the newest batch that is durable.
	Durable() Seq
	// Close releases files and locks. It does not wait for callers: stop them first.
	Close() error
}

// Snapshot reads rows. The slices it hands to Scan's func are valid only during
// that call; what Get returns is the caller's.
type Snapshot interface {
	Get(key []byte) (row []byte, ok bool, err error)
	// Scan calls f for lo <= key < hi in bytewise order, nil being no bound. The
	// engine's own rows are never shown. It stops at f's first error and returns it.
	Scan(lo, hi []byte, f func(key, row []byte) error) error
	Close() error
}

// Schema is what the program expects to find in a store.
type Schema struct {
	// Version counts from 1; 0 is taken as 1.
	Version uint32
	// Tables are all tables of that version; Verify holds every row against them.
	Tables []AnyTable
	// Migrations[i] takes version i+1 to i+2: it reads the old rows and puts what
	// must change in the batch, which is applied together with the new version
	// number. There must be Version-1 of them.
	Migrations []func(Snapshot, *Batch) error
}

func (s Schema) version() uint32 { return max(s.Version, 1) }

func (s Schema) check() error {
	if want := int(s.version()) - 1; len(s.Migrations) != want {
		return fmt.Errorf("store: schema version %d has %d migrations, not %d", s.version(), len(s.Migrations), want)
	}
	var seen [256]string
	for _, t := range s.Tables {
		name, prefix := t.Info()
		if prefix == reservedPrefix || seen[prefix] != "" {
			return fmt.Errorf("store: prefix %d of table %s is taken (%s)", prefix, name, seen[prefix])
		}
		seen[prefix] = name
	}
	return nil
}

var (
	// ErrLocked: another process, or this one, has the store open.
	ErrLocked = errors.New("store: in use; stop the process that has it open")
	// ErrCorrupt: bytes on disk are not what was written.
	ErrCorrupt = errors.New("store: corrupt")
	// ErrNoTail: the file that says how far the store must reach is missing or
	// unreadable, so that it cannot be told whether confirmed rows are lost.
	ErrNoTail = errors.New("store: no readable TAIL file, lost rows could not be noticed; " +
		"verify it, then open with accept-loss or restore a backup")
	// ErrOrder: a batch was out of turn.
	ErrOrder = errors.New("store: batch out of order")
)

// ErrNewer is the refusal to open a store written by a newer program.
type ErrNewer struct{ Have, Want uint32 }

// Error says both versions.
func (e ErrNewer) Error() string {
	return fmt.Sprintf("store: schema version %d is newer than this program's %d; use the newer program or restore an older backup",
		e.Have, e.Want)
}

// ErrLostRows is the finding that batches confirmed as durable are gone: the
// store ends at Have, though everything up to Want had been confirmed.
type ErrLostRows struct{ Have, Want Seq }

// Error says what is missing and what to do.
func (e ErrLostRows) Error() string {
	return fmt.Sprintf("store: batches %d to %d were confirmed and are gone (damaged log); verify it, then open with accept-loss or restore a backup",
		e.Have+1, e.Want)
}

// ErrNoStore is the refusal to begin a store where one must exist.
type ErrNoStore struct{ Dir string }

// Error names the directory and says what to do.
func (e ErrNoStore) Error() string {
	return fmt.Sprintf("store: no store in %s; name the directory of a store or of a backup", e.Dir)
}

// opener is what migrate needs of an engine that is being opened.
type opener interface {
	Apply(seq Seq, batches []*Batch, sync bool) error
	Snapshot() (Snapshot, error)
	Durable() Seq
	storedVersion() uint32
	setVersion(b *Batch, v uint32)
}

// migrate takes an opened engine to the schema's version, one batch a step.
func migrate(e opener, s Schema) error {
	for {
		have := e.storedVersion()
		switch {
		case have == s.version():
			return nil
		case have > s.version():
			return ErrNewer{Have: have, Want: s.version()}
		case have == 0:
			return fmt.Errorf("%w: no schema version", ErrCorrupt)
		}
		if err := migrateStep(e, s, have); err != nil {
			return fmt.Errorf("store: migrate from version %d to %d: %w", have, have+1, err)
		}
	}
}

func migrateStep(e opener, s Schema, have uint32) error {
	snap, err := e.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	var b Batch
	if err := s.Migrations[have-1](snap, &b); err != nil {
		return err
	}
	e.setVersion(&b, have+1)
	return e.Apply(e.Durable()+1, []*Batch{&b}, true)
}

package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"bettensor/store"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Defaults of the store: about what a prediction takes, and more batches under
// way than a group commits.
const (
	rowBytes  = 120
	committed = 256
)

var rows = store.Table[uint64, []byte]{
	Name: "rows", Prefix: 1,
	Key: store.Codec[uint64]{
		Append: func(dst []byte, k *uint64) []byte { return store.AppendKeyUint64(dst, *k) },
		Read: func(b []byte) (uint64, error) {
			r := store.ReadKey(b)
			k := r.Uint64()
			return k, r.Done()
		},
	},
	Row: store.Codec[[]byte]{
		Append: func(dst []byte, v *[]byte) []byte { return append(dst, *v...) },
		Read:   func(b []byte) ([]byte, error) { return slices.Clone(b), nil },
	},
}

// storeLoads are, on the real disk, `grouped` batches of one row each, as many
// under way as there are producers, confirmed by groups as a node's are; `synced`
// ones, each waited for alone; and `read`s of rows. References are the grouped
// batches on a file system in memory, and a file to which rows are appended, each
// synced alone.
//
// With open arrivals batches are committed when they are due, and latency ends
// when they are durable.
func storeLoads(p *plan) (loads []*load, err error) {
	dir := filepath.Join(p.dir, "store")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("a directory for the store: %w", err)
	}
	disk, err := open(vfs.Default, dir)
	if err != nil {
		return nil, err
	}
	memory, err := open(vfs.NewMem(), "store")
	if err != nil {
		return nil, errors.Join(err, disk.Close())
	}
	row := make([]byte, or(int(p.Payload), rowBytes))
	var due *arrivals
	if p.open() {
		due = &arrivals{p.Rate, p.Ramp}
	}
	window := or(p.Producers, committed)
	loads, err = mixed("store", p.mixOr("grouped"), func(name string) (*load, error) {
		switch name {
		case "grouped":
			return grouped(disk, row, window, due), nil
		case "synced":
			return synced(disk, row), nil
		case "read":
			return read(disk, row), nil
		}
		return nil, fmt.Errorf("no operation %q of the store", name)
	})
	inMemory := grouped(memory, row, window, due)
	inMemory.name, inMemory.reference = "memory", true
	inMemory.close = func() { disk.Close(); memory.Close() } // what was measured is done with
	if file, fileErr := appended(filepath.Join(dir, "appended"), row); fileErr == nil {
		loads = append(loads, inMemory, file)
	} else {
		loads, err = append(loads, inMemory), errors.Join(err, fileErr)
	}
	return loads, err
}

func open(fs vfs.FS, dir string) (store.Engine, error) {
	e, err := store.OpenPebble(store.Options{FS: fs, Dir: dir, Schema: store.Schema{Tables: []store.AnyTable{&rows}}})
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	return e, nil
}

// synced waits for the disk after each batch.
func synced(e store.Engine, row []byte) *load {
	b := new(store.Batch)
	i := uint64(0)
	return &load{run: func(n int, s *sample) error {
		return each(n, s, func() error {
			b.Reset()
			rows.Put(b, i, &row)
			i++
			return e.Apply(e.Durable()+1, []*store.Batch{b}, true)
		})
	}}
}

// appended is what durability costs without a store.
func appended(path string, row []byte) (*load, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("a file to append to: %w", err)
	}
	return &load{name: "file", reference: true, close: func() { f.Close() }, run: func(n int, s *sample) error {
		return each(n, s, func() error {
			if _, err := f.Write(row); err != nil {
				return err
			}
			return f.Sync()
		})
	}}, nil
}

// grouped commits as a node's loop does, with so many batches under way at most,
// or when they are due, and waits until the last one is durable.
func grouped(e store.Engine, row []byte, window int, due *arrivals) *load {
	return &load{run: func(n int, out *sample) (err error) {
		reports := make(chan store.Event, n+1) // a group has at least one batch
		c := store.NewGroupCommitter(e, func(ev store.Event) { reports <- ev }, store.Limits{})
		defer func() { err = errors.Join(err, c.Close()) }()
		s := store.New(c, e.Durable())
		began := make([]time.Time, 0, n) // of the batches in order
		confirmed, failed := 0, error(nil)
		first := e.Durable() + 1
		s.OnDurable(func(upTo store.Seq) {
			now := time.Now()
			for ; confirmed < int(upTo+1-first); confirmed++ {
				out.latency.Add(now.Sub(began[confirmed]).Nanoseconds())
			}
		})
		s.OnFailed(func(_ store.Seq, err error) { failed = err })
		commit := func(at time.Time) {
			b := s.Batch()
			rows.Put(b, uint64(len(began)), &row)
			began = append(began, at)
			s.Commit(b)
		}
		var dues chan time.Time
		if due != nil {
			dues = make(chan time.Time, n)
			var producing sync.WaitGroup
			defer producing.Wait()
			producing.Go(func() { due.produce(n, 1, time.Now(), func(_ int, at time.Time) { dues <- at }) })
		}
		for confirmed < n && failed == nil {
			free := len(began) < n && !s.Full()
			switch {
			case due != nil && free:
				select {
				case at := <-dues:
					commit(at)
				case ev := <-reports:
					s.Deliver(ev)
				}
			case due == nil && free && len(began)-confirmed < window:
				commit(time.Now())
			default:
				s.Deliver(<-reports)
			}
		}
		return failed
	}}
}

// read gets rows that are there, through one snapshot.
func read(e store.Engine, row []byte) *load {
	return &load{run: func(n int, _ *sample) (err error) {
		b := new(store.Batch)
		rows.Put(b, 0, &row)
		if err := e.Apply(e.Durable()+1, []*store.Batch{b}, true); err != nil {
			return err
		}
		s, err := e.Snapshot()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		key := store.AppendKeyUint64([]byte{rows.Prefix}, 0)
		found := 0
		for range n {
			_, ok, err := s.Get(key)
			if err != nil {
				return err
			}
			if ok {
				found++
			}
		}
		return done("rows", found, n)
	}}
}

package bench

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"bettensor/store"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// rowBytes is about what a prediction takes.
const rowBytes = 120

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

// Store measures, in a directory of the real disk below dir, batches of one row
// that are waited for one by one, batches that are confirmed in groups, and reads;
// and the same groups without a disk. The caller removes dir.
func Store(dir string) (_ []Result, err error) {
	var loads []load
	for _, c := range []struct {
		name    string
		fs      vfs.FS
		against string
	}{{"disk", vfs.Default, "batch, grouped, in memory"}, {"in memory", vfs.NewMem(), ""}} {
		e, err := store.OpenPebble(store.Options{FS: c.fs, Dir: filepath.Join(dir, "bench"), Schema: store.Schema{Tables: []store.AnyTable{&rows}}})
		if err != nil {
			return nil, fmt.Errorf("bench store, %s: %w", c.name, err)
		}
		defer func() { err = errors.Join(err, e.Close()) }()
		if c.against != "" {
			loads = append(loads, applied("batch, synced one by one, "+c.name, e))
		}
		loads = append(loads, grouped("batch, grouped, "+c.name, e, c.against))
		if c.against != "" {
			loads = append(loads, read("read, "+c.name, e))
		}
	}
	return measure(loads)
}

// applied waits for the disk after each batch.
func applied(name string, e store.Engine) load {
	row := make([]byte, rowBytes)
	b := new(store.Batch)
	return load{name: name, run: func(n int) error {
		for i := range n {
			b.Reset()
			rows.Put(b, uint64(i), &row)
			if err := e.Apply(e.Durable()+1, []*store.Batch{b}, true); err != nil {
				return err
			}
		}
		return nil
	}}
}

// grouped commits as fast as the store takes batches and waits until the last one
// is durable, as the loop of a node does.
func grouped(name string, e store.Engine, against string) load {
	row := make([]byte, rowBytes)
	reports := make(chan store.Event, 1<<16) // more than a run has groups
	return load{name: name, against: against, run: func(n int) (err error) {
		c := store.NewGroupCommitter(e, func(ev store.Event) { reports <- ev }, store.Limits{})
		defer func() { err = errors.Join(err, c.Close()) }()
		s := store.New(c, e.Durable())
		confirmed, failed := store.Seq(0), error(nil)
		s.OnDurable(func(upTo store.Seq) { confirmed = upTo })
		s.OnFailed(func(_ store.Seq, err error) { failed = err })
		last := store.Seq(0)
		for i := 0; i < n && failed == nil; {
			if s.Full() {
				s.Deliver(<-reports)
				continue
			}
			b := s.Batch()
			rows.Put(b, uint64(i), &row)
			last = s.Commit(b)
			i++
			select {
			case ev := <-reports:
				s.Deliver(ev)
			default:
			}
		}
		for confirmed < last && failed == nil {
			s.Deliver(<-reports)
		}
		return failed
	}}
}

// read gets rows that are there, through one snapshot.
func read(name string, e store.Engine) load {
	return load{name: name, run: func(n int) (err error) {
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

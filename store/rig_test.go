package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The tests' one table: numbered notes.
type note struct{ Text string }

var notes = &Table[uint64, note]{
	Name:   "notes",
	Prefix: 1,
	Key:    uint64Key,
	Row: Codec[note]{
		Append: func(dst []byte, v *note) []byte { return append(append(dst, 'n'), v.Text...) },
		Read: func(b []byte) (note, error) {
			if len(b) == 0 || b[0] != 'n' {
				return note{}, errors.New("no note")
			}
			return note{string(b[1:])}, nil
		},
	},
}

var uint64Key = Codec[uint64]{
	Append: func(dst []byte, v *uint64) []byte { return AppendKeyUint64(dst, *v) },
	Read: func(b []byte) (uint64, error) {
		r := ReadKey(b)
		v := r.Uint64()
		return v, r.Done()
	},
}

var testSchema = Schema{Version: 1, Tables: []AnyTable{notes}}

// noteText is the content of note i, so that a wrong value is recognised.
func noteText(i uint64) string {
	rng := rand.New(rand.NewPCG(i, 7))
	b := make([]byte, 20+rng.IntN(200))
	for j := range b {
		b[j] = byte('a' + rng.IntN(26))
	}
	return fmt.Sprintf("%d %s", i, b)
}

func noteBatch(ids ...uint64) *Batch {
	var b Batch
	for _, id := range ids {
		notes.Put(&b, id, &note{noteText(id)})
	}
	return &b
}

// checkPrefix fails unless the rows are exactly notes 1..n, with their content,
// and returns n. All tests of crashes write note i in batch i.
func checkPrefix(t testing.TB, e Engine) Seq {
	t.Helper()
	n, err := prefixOf(e)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func prefixOf(e Engine) (n Seq, err error) {
	s, err := e.Snapshot()
	if err != nil {
		return 0, err
	}
	defer s.Close()
	err = notes.Scan(s, nil, nil, func(k uint64, v *note) error {
		if n++; k != uint64(n) || v.Text != noteText(k) {
			return fmt.Errorf("row %d is note %d %q", n, k, v.Text)
		}
		return nil
	})
	if err == nil && n != e.Durable() {
		err = fmt.Errorf("%d rows, but Durable is %d", n, e.Durable())
	}
	return n, err
}

func mustApply(t testing.TB, e Engine, seq Seq, b *Batch, sync bool) {
	t.Helper()
	if err := e.Apply(seq, []*Batch{b}, sync); err != nil {
		t.Fatalf("apply %d: %v", seq, err)
	}
}

func mustClose(t testing.TB, c interface{ Close() error }) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func openOn(t testing.TB, fs vfs.FS) *Pebble {
	t.Helper()
	e, err := OpenPebble(Options{FS: fs, Dir: "db", Schema: testSchema})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// dump is all rows of a snapshot.
func dump(t testing.TB, s Snapshot, lo, hi []byte) []string {
	t.Helper()
	out := []string{}
	err := s.Scan(lo, hi, func(k, v []byte) error {
		out = append(out, fmt.Sprintf("%s=%s", bytes.TrimLeft(k, "\x00"), v))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

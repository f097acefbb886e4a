package store

import (
	"bytes"
	"errors"
	"fmt"
)

// Codec is the binary form of a T. Append appends it to dst and must not keep v.
// Read takes exactly what Append wrote and must survive any bytes; what it
// returns must not share memory with b.
type Codec[T any] struct {
	Append func(dst []byte, v *T) []byte
	Read   func(b []byte) (T, error)
}

// Table is one kind of row. Its value is a constant of the program: prefix and
// codecs are what is on disk, and change only with a migration.
type Table[K, V any] struct {
	// Name for reports, never stored.
	Name string
	// Prefix of every key, unique among the tables of a store; 0 is the engine's.
	Prefix byte
	// Key must keep order: a < b in the sense of a scan if and only if its bytes
	// are. Build it from the AppendKey funcs.
	Key Codec[K]
	// Row may be any encoding.
	Row Codec[V]
}

// Put adds or replaces the row of k.
func (t *Table[K, V]) Put(b *Batch, k K, v *V) {
	var at int
	b.begin()
	b.buf = append(b.buf, opPut)
	t.appendKey(b, k)
	b.buf, at = open(b.buf)
	b.buf = seal(t.Row.Append(b.buf, v), at)
	b.n++
}

// Delete removes the row of k, if there is one.
func (t *Table[K, V]) Delete(b *Batch, k K) {
	b.begin()
	b.buf = append(b.buf, opDelete)
	t.appendKey(b, k)
	b.n++
}

func (t *Table[K, V]) appendKey(b *Batch, k K) {
	if t.Prefix == reservedPrefix {
		panic("store: table " + t.Name + " has the engine's prefix 0")
	}
	for len(b.keys) <= int(t.Prefix) {
		b.keys = append(b.keys, nil)
	}
	p, ok := b.keys[t.Prefix].(*K)
	if !ok {
		p = new(K)
		b.keys[t.Prefix] = p
	}
	*p = k
	var at int
	b.buf, at = open(b.buf)
	b.buf = append(b.buf, t.Prefix)
	b.buf = seal(t.Key.Append(b.buf, p), at)
}

// EncodeKey appends the whole key of k, prefix included.
func (t *Table[K, V]) EncodeKey(dst []byte, k K) []byte {
	return t.Key.Append(append(dst, t.Prefix), &k)
}

// Get reads one row. A row that does not decode is an ErrCorrupt.
func (t *Table[K, V]) Get(s Snapshot, k K) (V, bool, error) {
	var none V
	key := t.EncodeKey(make([]byte, 0, 64), k)
	row, ok, err := s.Get(key)
	if err != nil || !ok {
		return none, false, err
	}
	v, err := t.Row.Read(row)
	if err != nil {
		return none, false, t.damaged("row", key, err)
	}
	return v, true, nil
}

// ErrStop, returned by the func of a scan, ends the scan without an error.
var ErrStop = errors.New("store: stop")

// Scan calls f for the rows with from <= k < to, in key order; nil is the end
// of the table on that side. It stops at the first error and returns it, but
// nil for ErrStop.
func (t *Table[K, V]) Scan(s Snapshot, from, to *K, f func(k K, v *V) error) error {
	lo := []byte{t.Prefix}
	if from != nil {
		lo = t.EncodeKey(nil, *from)
	}
	hi := prefixEnd(t.Prefix)
	if to != nil {
		hi = t.EncodeKey(nil, *to)
	}
	if hi != nil && bytes.Compare(lo, hi) >= 0 {
		return nil
	}
	err := s.Scan(lo, hi, func(key, row []byte) error {
		k, v, err := t.decode(key, row)
		if err != nil {
			return err
		}
		return f(k, &v)
	})
	if errors.Is(err, ErrStop) {
		return nil
	}
	return err
}

// prefixEnd is the first key after all keys of a prefix, nil after 255.
func prefixEnd(p byte) []byte {
	if p == 255 {
		return nil
	}
	return []byte{p + 1}
}

func (t *Table[K, V]) decode(key, row []byte) (k K, v V, err error) {
	if k, err = t.Key.Read(key[1:]); err != nil {
		return k, v, t.damaged("key", key, err)
	}
	if v, err = t.Row.Read(row); err != nil {
		return k, v, t.damaged("row", key, err)
	}
	return k, v, nil
}

func (t *Table[K, V]) damaged(what string, key []byte, err error) error {
	return fmt.Errorf("%w: table %s, %s of key %x: %w", ErrCorrupt, t.Name, what, key, err)
}

// AnyTable is a Table of whatever types: what Verify and dumps need of it.
type AnyTable interface {
	// Info is the table's name and prefix.
	Info() (name string, prefix byte)
	// Decode reads a whole key, prefix included, and its row. A key that does not
	// encode back to the same bytes is an error: it would be found by a scan and
	// not by a Get.
	Decode(key, row []byte) (k, v any, err error)
}

// Info implements AnyTable.
func (t *Table[K, V]) Info() (string, byte) { return t.Name, t.Prefix }

// Decode implements AnyTable.
func (t *Table[K, V]) Decode(key, row []byte) (any, any, error) {
	if len(key) == 0 || key[0] != t.Prefix {
		return nil, nil, fmt.Errorf("%w: key %x is not of table %s", ErrCorrupt, key, t.Name)
	}
	k, v, err := t.decode(key, row)
	if err != nil {
		return nil, nil, err
	}
	if again := t.EncodeKey(nil, k); !bytes.Equal(again, key) {
		return nil, nil, t.damaged("key", key, fmt.Errorf("encodes back as %x", again))
	}
	return k, v, nil
}

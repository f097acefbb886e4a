package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

// TestBatchEncoding: the encoding is Pebble's, for rows on both sides of every
// length at which a varint grows.
func TestBatchEncoding(t *testing.T) {
	for _, n := range []int{0, 1, 126, 127, 128, 129, 16382, 16383, 16384, 1 << 21} {
		text := strings.Repeat("x", n)
		var b Batch
		notes.Put(&b, 7, &note{text})
		notes.Delete(&b, 8)
		var pb pebble.Batch
		key := append([]byte{1}, AppendKeyUint64(nil, 7)...)
		if err := pb.Set(key, append([]byte{'n'}, text...), nil); err != nil {
			t.Fatal(err)
		}
		key[8] = 8
		if err := pb.Delete(key, nil); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.Bytes(), pb.Repr()) {
			t.Errorf("a row of %d bytes is encoded otherwise than by Pebble", n)
		}
	}
}

func TestBatchReset(t *testing.T) {
	b := noteBatch(1, 2)
	b.Reset()
	notes.Put(b, 3, &note{"c"})
	if b.Len() != 1 || !bytes.Equal(b.Bytes(), func() []byte { var f Batch; notes.Put(&f, 3, &note{"c"}); return f.Bytes() }()) {
		t.Errorf("after Reset: %d operations, %x", b.Len(), b.Bytes())
	}
}

func TestPutAllocatesNothing(t *testing.T) {
	var b Batch
	row := note{"some text"}
	put := func() {
		b.Reset()
		for i := range uint64(10) {
			notes.Put(&b, i, &row)
			notes.Delete(&b, i)
		}
	}
	put()
	if n := testing.AllocsPerRun(100, put); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestReservedPrefix(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a table wrote under the engine's prefix")
		}
	}()
	bad := *notes
	bad.Prefix = reservedPrefix
	bad.Put(new(Batch), 1, &note{})
}

func TestTable(t *testing.T) {
	e := openOn(t, vfs.NewMem())
	defer mustClose(t, e)
	other := *notes
	other.Name, other.Prefix = "other", 2
	b := noteBatch(5, 1, 3)
	other.Put(b, 2, &note{"o"})
	b.put([]byte{3, 1}, nil)
	mustApply(t, e, 1, b, true)
	s, err := e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	ids := func(from, to *uint64) []uint64 {
		out := []uint64{}
		if err := notes.Scan(s, from, to, func(k uint64, v *note) error {
			out = append(out, k)
			return nil
		}); err != nil {
			t.Error(err)
		}
		return out
	}
	at := func(v uint64) *uint64 { return &v }
	expect(t, "all, and none of other tables", ids(nil, nil), []uint64{1, 3, 5})
	expect(t, "from 3", ids(at(3), nil), []uint64{3, 5})
	expect(t, "to 3", ids(nil, at(3)), []uint64{1})
	expect(t, "from 5 to 3", ids(at(5), at(3)), []uint64{})
	n := 0
	if err := notes.Scan(s, nil, nil, func(uint64, *note) error { n++; return ErrStop }); err != nil || n != 1 {
		t.Errorf("stopped after %d: %v", n, err)
	}
	if v, ok, err := notes.Get(s, 3); !ok || err != nil || v.Text != noteText(3) {
		t.Errorf("Get = %v %v %v", v, ok, err)
	}
	if _, ok, err := notes.Get(s, 4); ok || err != nil {
		t.Errorf("Get of nothing = %v %v", ok, err)
	}
	// A row and a key that do not decode.
	var bad Batch
	bad.put(notes.EncodeKey(nil, 9), []byte("?"))
	mustApply(t, e, 2, &bad, true)
	s2, err := e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s2)
	if _, _, err := notes.Get(s2, 9); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "key 01") {
		t.Errorf("Get of a bad row: %v", err)
	}
	if err := notes.Scan(s2, nil, nil, func(uint64, *note) error { return nil }); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Scan over a bad row: %v", err)
	}
}

// FuzzEachOp: bytes that are no batch are refused, and never walked beyond.
func FuzzEachOp(f *testing.F) {
	f.Add(noteBatch(1, 2).Bytes())
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0xff})
	f.Add(make([]byte, batchHeader))
	f.Fuzz(func(t *testing.T, enc []byte) {
		var again Batch
		err := eachOp(enc, func(key, row []byte, delete bool) error {
			if delete {
				again.delete(key)
			} else {
				again.put(key, row)
			}
			return nil
		})
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		if err == nil && again.n != binary.LittleEndian.Uint32(enc[8:]) {
			t.Fatalf("%d operations of %x", again.n, enc)
		}
	})
}

// FuzzSlot: a slot that decodes encodes back to the same bytes.
func FuzzSlot(f *testing.F) {
	f.Add((&slot{prev: mark{1, 2}, at: mark{3, 4}, confirmed: 1, group: []byte("group")}).encode(nil))
	f.Add([]byte("stortail"))
	f.Fuzz(func(t *testing.T, enc []byte) {
		if s, ok := decodeSlot(enc); ok && !bytes.HasPrefix(enc, s.encode(nil)) {
			t.Fatalf("%x decodes as %+v", enc, s)
		}
	})
}

// keyParts is a key of every part there is.
type keyParts struct {
	text string
	u64  uint64
	u32  uint32
	i64  int64
	at   time.Time
	last string
}

func (k keyParts) encode() []byte {
	b := AppendKeyText(nil, k.text)
	b = AppendKeyUint64(b, k.u64)
	b = AppendKeyUint32(b, k.u32)
	b = AppendKeyInt64(b, k.i64)
	b = AppendKeyTime(b, k.at)
	return AppendKeyText(b, k.last)
}

func (k keyParts) compare(o keyParts) int {
	cmp := func(less, more bool) int {
		switch {
		case less:
			return -1
		case more:
			return 1
		}
		return 0
	}
	for _, c := range []int{
		strings.Compare(k.text, o.text), cmp(k.u64 < o.u64, k.u64 > o.u64), cmp(k.u32 < o.u32, k.u32 > o.u32),
		cmp(k.i64 < o.i64, k.i64 > o.i64), k.at.Compare(o.at), strings.Compare(k.last, o.last),
	} {
		if c != 0 {
			return c
		}
	}
	return 0
}

func readParts(b []byte) (k keyParts, err error) {
	r := ReadKey(b)
	k = keyParts{r.Text(), r.Uint64(), r.Uint32(), r.Int64(), r.Time(), r.Text()}
	return k, r.Done()
}

// TestKeyOrder: the bytes of keys compare as their parts do, and decode back.
func TestKeyOrder(t *testing.T) {
	text := rapid.OneOf(rapid.SampledFrom([]string{"", "\x00", "\x00\x00", "\x00\x01", "\x00\xff", "\x01", "\xff", "a", "a\x00", "a\x00b", "aa", "b"}),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
	instant := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "edge") {
			return rapid.SampledFrom([]time.Time{{}, time.Unix(0, 0).UTC(), time.Unix(-1, 999999999).UTC(), time.Unix(1<<40, 1).UTC()}).Draw(t, "at")
		}
		return time.Unix(rapid.Int64Range(-1<<36, 1<<36).Draw(t, "s"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC()
	})
	parts := rapid.Custom(func(t *rapid.T) keyParts {
		return keyParts{
			text.Draw(t, "text"),
			rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 1)).Draw(t, "u64"),
			rapid.OneOf(rapid.Uint32(), rapid.Uint32Range(0, 1)).Draw(t, "u32"),
			rapid.OneOf(rapid.Int64(), rapid.Int64Range(-1, 1), rapid.Just(int64(math.MinInt64))).Draw(t, "i64"),
			instant.Draw(t, "at"),
			text.Draw(t, "last"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := parts.Draw(t, "a"), parts.Draw(t, "b")
		// Mostly equal parts, so that later ones get to decide.
		for i, same := range rapid.SliceOfN(rapid.IntRange(0, 3), 5, 5).Draw(t, "same") {
			if same == 0 {
				continue
			}
			switch i {
			case 0:
				b.text = a.text
			case 1:
				b.u64 = a.u64
			case 2:
				b.u32 = a.u32
			case 3:
				b.i64 = a.i64
			case 4:
				b.at = a.at
			}
		}
		if got, want := bytes.Compare(a.encode(), b.encode()), a.compare(b); got != want {
			t.Fatalf("bytes compare %d, parts %d", got, want)
		}
		if back, err := readParts(a.encode()); err != nil || back != a {
			t.Fatalf("%+v decodes as %+v, %v", a, back, err)
		}
	})
}

// FuzzKey: any bytes either are refused or are the encoding of what they decode to.
func FuzzKey(f *testing.F) {
	f.Add(keyParts{text: "a\x00b", u64: 1, u32: 2, i64: -3, at: time.Unix(4, 5), last: ""}.encode())
	f.Add([]byte{0})
	f.Add(bytes.Repeat([]byte{0xff}, 60))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := readParts(b)
		if err != nil {
			if !errors.Is(err, ErrKey) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(k.encode(), b) {
			t.Fatalf("%x decodes as %+v", b, k)
		}
	})
}

func BenchmarkPut(b *testing.B) {
	var batch Batch
	row := note{noteText(1)}
	b.ReportAllocs()
	for i := range b.N {
		if i%64 == 0 {
			batch.Reset()
		}
		notes.Put(&batch, uint64(i), &row)
	}
}

func benchReads(b *testing.B, rows uint64, read func(Snapshot)) {
	for name, e := range map[string]Engine{"pebble": openOn(b, vfs.NewMem()), "mem": func() Engine {
		e, err := OpenMem(new(MemDisk), testSchema)
		if err != nil {
			b.Fatal(err)
		}
		return e
	}()} {
		b.Run(name, func(b *testing.B) {
			if e.Durable() == 0 {
				var batch Batch
				for i := range rows {
					notes.Put(&batch, i, &note{"a note of no great length"})
				}
				mustApply(b, e, 1, &batch, true)
			}
			s, err := e.Snapshot()
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				read(s)
			}
		})
		mustClose(b, e)
	}
}

func BenchmarkGet(b *testing.B) {
	i := uint64(0)
	benchReads(b, 10000, func(s Snapshot) {
		i = (i + 7919) % 10000
		if _, ok, err := notes.Get(s, i); !ok || err != nil {
			b.Fatal(ok, err)
		}
	})
}

// BenchmarkScan reads 10,000 rows.
func BenchmarkScan(b *testing.B) {
	benchReads(b, 10000, func(s Snapshot) {
		n := 0
		if err := notes.Scan(s, nil, nil, func(uint64, *note) error { n++; return nil }); n != 10000 || err != nil {
			b.Fatal(n, err)
		}
	})
}

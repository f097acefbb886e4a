package pack

import (
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestPairs: what each Append wrote, its reader reads, and nothing is left.
func TestPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := rapid.Uint64().Draw(t, "uint")
		i := rapid.Int64().Draw(t, "int")
		b := rapid.Bool().Draw(t, "bool")
		f := math.Float64frombits(rapid.Uint64().Draw(t, "float bits"))
		s := rapid.String().Draw(t, "text")
		raw := rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		at := time.Unix(0, rapid.Int64().Filter(func(ns int64) bool { return ns != 0 }).Draw(t, "ns")).UTC()
		c := rapid.Byte().Draw(t, "byte")

		var dst []byte
		dst = AppendUint(dst, u)
		dst = AppendInt(dst, i)
		dst = AppendBool(dst, b)
		dst = AppendFloat(dst, f)
		dst = AppendText(dst, s)
		dst = AppendBytes(dst, raw)
		dst = AppendTime(dst, at)
		dst = AppendTime(dst, time.Time{})
		dst = append(dst, c)

		r := NewReader(dst)
		if got := r.Uint(); got != u {
			t.Fatalf("uint %d, want %d", got, u)
		}
		if got := r.Int(); got != i {
			t.Fatalf("int %d, want %d", got, i)
		}
		if got := r.Bool(); got != b {
			t.Fatalf("bool %t, want %t", got, b)
		}
		if got := r.Float(); math.Float64bits(got) != math.Float64bits(f) {
			t.Fatalf("float %x, want %x", got, f)
		}
		if got := r.Text(); got != s {
			t.Fatalf("text %q, want %q", got, s)
		}
		if got := r.Bytes(); string(got) != string(raw) {
			t.Fatalf("bytes %x, want %x", got, raw)
		}
		if got := r.Time(); got != at {
			t.Fatalf("time %v, want %v", got, at)
		}
		if got := r.Time(); !got.IsZero() {
			t.Fatalf("zero time read as %v", got)
		}
		if got := r.Byte(); got != c {
			t.Fatalf("byte %d, want %d", got, c)
		}
		if err := r.Done(); err != nil {
			t.Fatal(err)
		}

		// Any shorter input fails, and the failure sticks.
		cut := NewReader(dst[:rapid.IntRange(0, len(dst)-1).Draw(t, "cut")])
		readAll(cut)
		if !errors.Is(cut.Err(), ErrShort) || len(cut.Rest()) != 0 {
			t.Fatalf("cut input: %v, %d bytes left", cut.Err(), len(cut.Rest()))
		}
		if cut.Uint() != 0 || cut.Text() != "" || cut.Byte() != 0 || cut.Float() != 0 || cut.Bool() || !cut.Time().IsZero() || cut.Count(1) != 0 {
			t.Fatal("a failed reader went on reading")
		}
	})
}

// readAll reads one of every field, in the order of TestPairs.
func readAll(r *Reader) {
	r.Uint()
	r.Int()
	r.Bool()
	r.Float()
	r.Text()
	r.Bytes()
	r.Time()
	r.Time()
	r.Byte()
}

func TestReader(t *testing.T) {
	tests := []struct {
		name string
		in   []byte
		read func(*Reader)
		bad  bool
	}{
		{"bool other than 0 and 1", []byte{2}, func(r *Reader) { r.Bool() }, true},
		{"number longer than 64 bits", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}, func(r *Reader) { r.Uint() }, true},
		{"text longer than the input", AppendUint(nil, 1<<40), func(r *Reader) { r.Text() }, true},
		{"length that would overflow an int", append(AppendUint(nil, math.MaxUint64), 1, 2), func(r *Reader) { r.Bytes() }, true},
		{"count beyond the input", append(AppendUint(nil, 3), 1, 2), func(r *Reader) { r.Count(1) }, true},
		{"count of wide items beyond the input", append(AppendUint(nil, 2), make([]byte, 15)...), func(r *Reader) {
			for range r.Count(8) { // an unbounded count would be 2, and 15 bytes read one by one
				r.Byte()
			}
			for len(r.Rest()) > 0 {
				r.Byte()
			}
		}, true},
		{"count of wide items that fits", append(AppendUint(nil, 2), make([]byte, 16)...), func(r *Reader) { r.Count(8); r.Float(); r.Float() }, false},
		{"count of items without a size", append(AppendUint(nil, 1), 0), func(r *Reader) { r.Count(0); r.Byte() }, false},
		{"bytes left over", []byte{1, 1}, func(r *Reader) { r.Byte() }, true},
		{"empty", nil, func(*Reader) {}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := NewReader(tt.in)
			tt.read(r)
			if err := r.Done(); (err != nil) != tt.bad || err != nil && !errors.Is(err, ErrShort) {
				t.Fatalf("Done() = %v, want an error: %t", err, tt.bad)
			}
		})
	}
}

// TestBytesCannotGrow: what Bytes returns aliases the input, so appending to it
// must not write into the next field.
func TestBytesCannotGrow(t *testing.T) {
	in := AppendUint(AppendBytes(nil, []byte("ab")), 7)
	r := NewReader(in)
	_ = append(r.Bytes(), 'X')
	if got := r.Uint(); got != 7 {
		t.Fatalf("next field became %d", got)
	}
}

// FuzzReader: no input panics, whatever is read of it.
func FuzzReader(f *testing.F) {
	f.Add([]byte{}, []byte{0, 1, 2})
	f.Add(AppendText(AppendUint(nil, 300), "text"), []byte{0, 4, 8})
	f.Fuzz(func(t *testing.T, in, order []byte) {
		r := NewReader(in)
		for _, o := range order {
			before := len(r.Rest())
			switch o % 9 {
			case 0:
				r.Uint()
			case 1:
				r.Int()
			case 2:
				r.Bool()
			case 3:
				r.Float()
			case 4:
				if s := r.Text(); len(s) > before {
					t.Fatalf("%d bytes of text from %d", len(s), before)
				}
			case 5:
				r.Bytes()
			case 6:
				r.Time()
			case 7:
				r.Byte()
			case 8:
				if n := r.Count(3); n*3 > before {
					t.Fatalf("%d items from %d bytes", n, before)
				}
			}
			if len(r.Rest()) > before {
				t.Fatal("the rest grew")
			}
		}
	})
}

func BenchmarkReader(b *testing.B) {
	in := AppendTime(AppendFloat(AppendUint(nil, 1<<40), 1.91), time.Unix(1_700_000_000, 0))
	b.ReportAllocs()
	for b.Loop() {
		r := NewReader(in)
		r.Uint()
		r.Float()
		r.Time()
		if r.Done() != nil {
			b.Fatal(r.Err())
		}
	}
}

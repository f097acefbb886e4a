// Package pack is the binary form of rows and of recorded inputs: append on
// one side, a reader that cannot be made to panic or to allocate more than it
// was given on the other. Numbers are varints, text and lists carry their
// length, floats are their eight bytes, times are nanoseconds since 1970 with
// zero for the zero time.
//
// Read Append* and Reader side by side: each pair is one field. Every noun
// package (node/bet, node/chain) and node/ledger may call it; it calls nothing.
package pack

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// ErrShort is the one error of a Reader: the bytes ended before the fields
// did, or a length was larger than what is left.
var ErrShort = errors.New("pack: truncated or malformed")

// AppendUint appends an unsigned number.
func AppendUint(dst []byte, v uint64) []byte { return binary.AppendUvarint(dst, v) }

// AppendInt appends a signed number (zig-zag).
func AppendInt(dst []byte, v int64) []byte { return binary.AppendVarint(dst, v) }

// AppendBool appends a truth value as one byte.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// AppendFloat appends the eight bytes of a float; the sign of zero and the
// payload of a NaN survive.
func AppendFloat(dst []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
}

// AppendText appends a string or a string-like name.
func AppendText[T ~string](dst []byte, v T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(v)))
	return append(dst, v...)
}

// AppendBytes appends raw bytes with their length.
func AppendBytes(dst []byte, v []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(v)))
	return append(dst, v...)
}

// AppendTime appends an instant. The zero time stays the zero time, so the
// instant 1970-01-01T00:00:00Z itself cannot be told from it: no game is that old.
func AppendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.AppendVarint(dst, 0)
	}
	return binary.AppendVarint(dst, t.UnixNano())
}

// Reader takes fields off the front of a byte slice. The first failure sticks:
// every later call returns a zero value, and Err tells.
type Reader struct {
	b   []byte
	err error
}

// NewReader reads b, which must not change while it is being read.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Err is nil or ErrShort.
func (r *Reader) Err() error { return r.err }

// Rest is what has not been read.
func (r *Reader) Rest() []byte { return r.b }

// Done is Err, and an error as well where bytes are left over.
func (r *Reader) Done() error {
	if r.err == nil && len(r.b) != 0 {
		r.err = ErrShort
	}
	return r.err
}

func (r *Reader) fail() { r.err, r.b = ErrShort, nil }

// Uint reads what AppendUint wrote.
func (r *Reader) Uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// Int reads what AppendInt wrote.
func (r *Reader) Int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// Bool reads what AppendBool wrote; a byte other than 0 or 1 is malformed.
func (r *Reader) Bool() bool {
	if len(r.b) == 0 || r.b[0] > 1 {
		r.fail()
		return false
	}
	v := r.b[0] == 1
	r.b = r.b[1:]
	return v
}

// Byte reads one byte as it is: a form number, a state, a kind.
func (r *Reader) Byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

// Float reads what AppendFloat wrote.
func (r *Reader) Float() float64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(r.b))
	r.b = r.b[8:]
	return v
}

// Bytes reads what AppendBytes wrote. The result aliases the input.
func (r *Reader) Bytes() []byte {
	n := r.Uint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// Text reads what AppendText wrote, as a copy.
func (r *Reader) Text() string { return string(r.Bytes()) }

// Time reads what AppendTime wrote, in UTC.
func (r *Reader) Time() time.Time {
	ns := r.Int()
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// Count reads the length of a list whose items take at least least bytes
// each, so that a forged length cannot make the caller allocate more than a
// small multiple of its input.
func (r *Reader) Count(least int) int {
	n := r.Uint()
	if least < 1 {
		least = 1
	}
	if n > uint64(len(r.b)/least) {
		r.fail()
		return 0
	}
	return int(n)
}

package store

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// Parts of keys. Each keeps the order of its type, and so does their
// concatenation: comparing the bytes of two keys compares their parts from left
// to right. None is a prefix of another value's encoding, so that a part may be
// followed by any other.

// In text a zero byte is written 00 FF and the end 00 01, so that "a" sorts
// before "a\x00" and both before "b", whatever follows.
const (
	textEscape = 0xFF
	textEnd    = 0x01
)

// AppendKeyText appends a string, ordered bytewise.
func AppendKeyText[T ~string](dst []byte, v T) []byte {
	for i := 0; i < len(v); i++ {
		dst = append(dst, v[i])
		if v[i] == 0 {
			dst = append(dst, textEscape)
		}
	}
	return append(dst, 0, textEnd)
}

// AppendKeyUint64 appends an unsigned number, 8 bytes.
func AppendKeyUint64(dst []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(dst, v) }

// AppendKeyUint32 appends an unsigned number, 4 bytes.
func AppendKeyUint32(dst []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(dst, v) }

// AppendKeyInt64 appends a signed number, 8 bytes; negative ones come first.
func AppendKeyInt64(dst []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(v)^(1<<63))
}

// AppendKeyTime appends an instant to the nanosecond, 12 bytes, for any year of
// time.Time; the zero time is an instant like any other. Its zone is not kept.
func AppendKeyTime(dst []byte, v time.Time) []byte {
	dst = AppendKeyInt64(dst, v.Unix())
	return AppendKeyUint32(dst, uint32(v.Nanosecond()))
}

// ErrKey is the one error of a KeyReader.
var ErrKey = errors.New("store: malformed key")

// KeyReader takes parts off the front of a key. The first failure sticks: later
// calls return zero values.
type KeyReader struct {
	b   []byte
	bad bool
}

// ReadKey reads key parts from b.
func ReadKey(b []byte) KeyReader { return KeyReader{b: b} }

// Done is ErrKey where a part was malformed or bytes are left over.
func (r *KeyReader) Done() error {
	if r.bad || len(r.b) != 0 {
		return ErrKey
	}
	return nil
}

func (r *KeyReader) take(n int) []byte {
	if r.bad || len(r.b) < n {
		r.bad = true
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

// Text reads what AppendKeyText wrote.
func (r *KeyReader) Text() string {
	var out []byte
	for i := 0; !r.bad && i+1 < len(r.b); i++ {
		c := r.b[i]
		if c != 0 {
			out = append(out, c)
			continue
		}
		i++
		switch r.b[i] {
		case textEscape:
			out = append(out, 0)
		case textEnd:
			r.b = r.b[i+1:]
			return string(out)
		default:
			r.bad = true
		}
	}
	r.bad = true
	return ""
}

// Uint64 reads what AppendKeyUint64 wrote.
func (r *KeyReader) Uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Uint32 reads what AppendKeyUint32 wrote.
func (r *KeyReader) Uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// Int64 reads what AppendKeyInt64 wrote.
func (r *KeyReader) Int64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b) ^ (1 << 63))
	}
	return 0
}

// Time reads what AppendKeyTime wrote, in UTC.
func (r *KeyReader) Time() time.Time {
	sec := r.Int64()
	nsec := r.Uint32()
	if nsec >= 1e9 || sec > math.MaxInt64-unixToYearOne {
		r.bad = true // time.Time would wrap around, and the key would not encode back
	}
	if r.bad {
		return time.Time{}
	}
	return time.Unix(sec, int64(nsec)).UTC()
}

// unixToYearOne is the seconds from year 1, where time.Time counts from, to 1970.
const unixToYearOne = 62135596800

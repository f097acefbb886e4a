package scale

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"slices"
)

// ErrForm: bytes that are not the SCALE form of what was to be read: truncated,
// over a limit, not canonical, or followed by more.
var ErrForm = errors.New("scale: malformed")

// Reader takes primitives off the front of bytes. The first failure sticks:
// from then on every read gives the zero value, and Err tells what it was. It
// shares the bytes it was given and never changes them.
type Reader struct {
	b     []byte
	off   int
	nodes int // values of dynamic types so far
	err   error
}

// NewReader reads b from its start.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Len is how many bytes are left.
func (r *Reader) Len() int {
	if r.err != nil {
		return 0
	}
	return len(r.b) - r.off
}

// Done is the first failure, wrapping ErrForm, also where bytes are left over; or
// nil.
func (r *Reader) Done() error {
	if r.err == nil && r.off < len(r.b) {
		r.failf("%d bytes left over", len(r.b)-r.off)
	}
	return r.err
}

func (r *Reader) failf(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: byte %d: %s", ErrForm, r.off, fmt.Sprintf(format, args...))
	}
}

// within names the place of a failure, once it has happened.
func (r *Reader) within(format string, args ...any) {
	if r.err != nil {
		r.err = fmt.Errorf(format+": %w", append(args, r.err)...)
	}
}

// Take returns the next n bytes, shared with the input.
func (r *Reader) Take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || n > len(r.b)-r.off {
		r.failf("%d bytes wanted, %d left", n, len(r.b)-r.off)
		return nil
	}
	b := r.b[r.off : r.off+n : r.off+n]
	r.off += n
	return b
}

// U8 reads one byte.
func (r *Reader) U8() byte {
	if b := r.Take(1); b != nil {
		return b[0]
	}
	return 0
}

// U16 reads two bytes, little-endian.
func (r *Reader) U16() uint16 {
	if b := r.Take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

// U32 reads four bytes, little-endian.
func (r *Reader) U32() uint32 {
	if b := r.Take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// U64 reads eight bytes, little-endian.
func (r *Reader) U64() uint64 {
	if b := r.Take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// Big reads an unsigned number of size bytes, little-endian.
func (r *Reader) Big(size int) *big.Int { return bigOf(r.Take(size)) }

func bigOf(little []byte) *big.Int {
	b := slices.Clone(little)
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}

// Bool reads a truth value; any byte but 0 and 1 is an error.
func (r *Reader) Bool() bool {
	switch b := r.U8(); b {
	case 0:
		return false
	case 1:
		return r.err == nil
	default:
		r.failf("%d is no truth value", b)
		return false
	}
}

// Option reads the byte before an optional value: whether there is one.
func (r *Reader) Option() bool { return r.Bool() }

// Compact reads a compact number of up to 64 bits in its shortest form.
func (r *Reader) Compact() uint64 {
	first := r.U8()
	if r.err != nil {
		return 0
	}
	switch first & 3 {
	case 0:
		return uint64(first >> 2)
	case 1:
		v := uint64(first)>>2 | uint64(r.U8())<<6
		return r.shortest(v, 1<<6)
	case 2:
		v := uint64(first) >> 2
		if b := r.Take(3); b != nil {
			v |= uint64(b[0])<<6 | uint64(b[1])<<14 | uint64(b[2])<<22
		}
		return r.shortest(v, 1<<14)
	}
	n := int(first>>2) + 4
	if n > 8 {
		r.failf("compact number of %d bytes, at most 8 wanted", n)
		return 0
	}
	var v uint64
	for i, b := range r.Take(n) {
		v |= uint64(b) << (8 * i)
	}
	return r.shortest(v, max(1<<30, uint64(1)<<(8*(n-1))))
}

// shortest refuses a number that a shorter form would hold.
func (r *Reader) shortest(v, least uint64) uint64 {
	if v < least && r.err == nil {
		r.failf("compact number %d is not in its shortest form", v)
	}
	if r.err != nil {
		return 0
	}
	return v
}

// CompactBig reads a compact number of up to 32 bytes (256 bits).
func (r *Reader) CompactBig() *big.Int {
	if r.err != nil || r.off >= len(r.b) || r.b[r.off]&3 != 3 || r.b[r.off]>>2 <= 4 {
		return new(big.Int).SetUint64(r.Compact())
	}
	n := int(r.U8()>>2) + 4
	if n > 32 {
		r.failf("compact number of %d bytes, at most 32 wanted", n)
		return new(big.Int)
	}
	b := r.Take(n)
	if len(b) > 0 && b[len(b)-1] == 0 {
		r.failf("compact number is not in its shortest form")
	}
	return bigOf(b)
}

// Count reads a compact length of items that take at least least bytes each: a
// length that the bytes left cannot hold is an error, before anything is made.
func (r *Reader) Count(least int) int {
	n := r.Compact()
	if r.err == nil && n > uint64(r.Len()/max(least, 1)) {
		r.failf("%d items of at least %d bytes, %d bytes left", n, least, r.Len())
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

// Bytes reads a byte vector: its compact length, then the bytes, shared.
func (r *Reader) Bytes() []byte { return r.Take(r.Count(1)) }

// Text reads a string.
func (r *Reader) Text() string { return string(r.Bytes()) }

// AppendCompact appends a compact number in its shortest form.
func AppendCompact(dst []byte, v uint64) []byte {
	switch {
	case v < 1<<6:
		return append(dst, byte(v<<2))
	case v < 1<<14:
		return binary.LittleEndian.AppendUint16(dst, uint16(v<<2|1))
	case v < 1<<30:
		return binary.LittleEndian.AppendUint32(dst, uint32(v<<2|2))
	}
	n := max(4, (bits.Len64(v)+7)/8)
	dst = append(dst, byte(n-4)<<2|3)
	for i := range n {
		dst = append(dst, byte(v>>(8*i)))
	}
	return dst
}

// AppendCompactBig appends a compact number of up to 256 bits; a negative or
// larger one is ErrForm.
func AppendCompactBig(dst []byte, v *big.Int) ([]byte, error) {
	if v.Sign() < 0 || v.BitLen() > 256 {
		return dst, fmt.Errorf("%w: %v does not fit a compact number", ErrForm, v)
	}
	if v.IsUint64() {
		return AppendCompact(dst, v.Uint64()), nil
	}
	b := v.Bytes()
	slices.Reverse(b)
	return append(append(dst, byte(len(b)-4)<<2|3), b...), nil
}

// AppendBytes appends a byte vector: compact length, then the bytes.
func AppendBytes[T ~string | ~[]byte](dst []byte, v T) []byte {
	return append(AppendCompact(dst, uint64(len(v))), v...)
}

// appendBig appends size bytes little-endian, in two's complement where signed.
func appendBig(dst []byte, v *big.Int, size int, signed bool) ([]byte, error) {
	low, high := new(big.Int), new(big.Int).Lsh(big.NewInt(1), uint(8*size))
	whole := high
	if signed {
		high = new(big.Int).Rsh(high, 1)
		low.Neg(high)
	}
	if v.Cmp(low) < 0 || v.Cmp(high) >= 0 {
		return dst, fmt.Errorf("%w: %v does not fit %d bytes", ErrForm, v, size)
	}
	if v.Sign() < 0 {
		v = new(big.Int).Add(v, whole)
	}
	b := v.FillBytes(make([]byte, size))
	slices.Reverse(b)
	return append(dst, b...), nil
}

// maxLen bounds what is appended with a 32-bit length.
const maxLen = math.MaxUint32

package store

import (
	"encoding/binary"
	"fmt"
)

// Kinds of an operation, as Pebble numbers them in its batch representation.
const (
	opDelete = 0
	opPut    = 1
)

// batchHeader is the length of a Pebble batch's header: eight bytes that Pebble
// fills in and a little-endian count of operations.
const batchHeader = 12

// reservedPrefix begins the engine's own rows; no table may have it.
const reservedPrefix = 0

// Batch is an ordered list of puts and deletes that takes effect as a whole. It
// is encoded while it is built, in Pebble's own batch representation, so that
// nothing is encoded twice on the way to disk. The zero value is empty and
// ready. Not safe for concurrent use.
type Batch struct {
	buf []byte
	n   uint32
	// keys holds one *K per table prefix, so that handing a key to a codec by
	// pointer costs no allocation once the batch has been used.
	keys []any
}

// Reset empties the batch and keeps its buffer.
func (b *Batch) Reset() {
	b.n = 0
	b.buf = b.buf[:0]
}

// Len is the number of operations.
func (b *Batch) Len() int { return int(b.n) }

// Bytes is the encoding, header included; it is valid until the batch changes.
func (b *Batch) Bytes() []byte {
	b.begin()
	binary.LittleEndian.PutUint32(b.buf[8:], b.n)
	return b.buf
}

// Each calls f for every operation in order; row is nil for a delete. The
// slices are the batch's own.
func (b *Batch) Each(f func(key, row []byte, delete bool) error) error {
	return eachOp(b.Bytes(), f)
}

func (b *Batch) begin() {
	if len(b.buf) == 0 {
		b.buf = append(b.buf, make([]byte, batchHeader)...)
	}
}

// records are the operations without the header.
func (b *Batch) records() []byte {
	if len(b.buf) == 0 {
		return nil
	}
	return b.buf[batchHeader:]
}

// put and delete take raw keys; the engines' own rows and the tests use them.
func (b *Batch) put(key, row []byte) {
	b.begin()
	b.buf = append(b.buf, opPut)
	b.buf = appendBlock(b.buf, key)
	b.buf = appendBlock(b.buf, row)
	b.n++
}

func (b *Batch) delete(key []byte) {
	b.begin()
	b.buf = append(b.buf, opDelete)
	b.buf = appendBlock(b.buf, key)
	b.n++
}

func appendBlock(dst, v []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(v)))
	return append(dst, v...)
}

// open reserves one byte for the length of the block that a codec is about to
// append; seal puts the length there. Blocks of 128 bytes and more are moved up
// by what their length takes, which is cheaper than asking codecs for lengths
// in advance.
func open(dst []byte) ([]byte, int) { return append(dst, 0), len(dst) }

func seal(dst []byte, at int) []byte {
	n := len(dst) - at - 1
	if n < 0x80 {
		dst[at] = byte(n)
		return dst
	}
	var head [binary.MaxVarintLen64]byte
	w := binary.PutUvarint(head[:], uint64(n))
	dst = append(dst, head[:w-1]...) // room; the content does not matter
	copy(dst[at+w:], dst[at+1:at+1+n])
	copy(dst[at:], head[:w])
	return dst
}

// eachOp walks an encoded batch. Bytes that are no batch are an error, never a
// panic: they may come from a damaged file.
func eachOp(enc []byte, f func(key, row []byte, delete bool) error) error {
	if len(enc) < batchHeader {
		return fmt.Errorf("%w: batch of %d bytes", ErrCorrupt, len(enc))
	}
	want := binary.LittleEndian.Uint32(enc[8:])
	var got uint32
	for rest := enc[batchHeader:]; len(rest) > 0; got++ {
		kind := rest[0]
		key, after, ok := takeBlock(rest[1:])
		if !ok || kind > opPut {
			return fmt.Errorf("%w: operation %d of a batch", ErrCorrupt, got)
		}
		var row []byte
		if kind == opPut {
			if row, after, ok = takeBlock(after); !ok {
				return fmt.Errorf("%w: row of operation %d of a batch", ErrCorrupt, got)
			}
		}
		if err := f(key, row, kind == opDelete); err != nil {
			return err
		}
		rest = after
	}
	if got != want {
		return fmt.Errorf("%w: batch of %d operations holds %d", ErrCorrupt, want, got)
	}
	return nil
}

func takeBlock(b []byte) (v, rest []byte, ok bool) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > uint64(len(b)-w) {
		return nil, nil, false
	}
	return b[w : w+int(n) : w+int(n)], b[w+int(n):], true
}

package wire

import (
	"bytes"
	"fmt"
	"math/bits"

	"bettensor/node/pack"

	"github.com/cespare/xxhash/v2"
)

// AppendEvent appends the recorded form of an event: Conn, Kind, Inbound,
// Remote and Raw. Message and Err are what Open makes of Raw, and are not kept.
func AppendEvent(dst []byte, e *Event) []byte {
	dst = pack.AppendUint(dst, uint64(e.Conn))
	dst = append(dst, byte(e.Kind))
	dst = pack.AppendBool(dst, e.Inbound)
	dst = pack.AppendText(dst, e.Remote)
	return pack.AppendBytes(dst, e.Raw)
}

// Sum hashes the recorded form without writing it: frames are the bulk of what
// enters a loop.
func (e *Event) Sum() uint64 {
	h := xxhash.Sum64(e.Raw)
	x := uint64(e.Conn)<<3 | uint64(e.Kind)<<1
	if e.Inbound {
		x |= 1
	}
	if e.Remote != "" {
		x ^= xxhash.Sum64String(e.Remote)
	}
	return h ^ bits.RotateLeft64(x*0x9e3779b97f4a7c15, 31)
}

// ReadEvent reads what AppendEvent wrote, and opens a received frame again.
// The event shares no memory with what r reads.
func ReadEvent(r *pack.Reader, o *Opener) (Event, error) {
	e := Event{Conn: Conn(r.Uint()), Kind: EventKind(r.Byte()), Inbound: r.Bool(), Remote: r.Text(), Raw: bytes.Clone(r.Bytes())}
	if err := r.Err(); err != nil {
		return Event{}, fmt.Errorf("read connection event: %w", err)
	}
	if e.Kind < Opened || e.Kind > Closed {
		return Event{}, fmt.Errorf("read connection event: kind %d: %w", e.Kind, pack.ErrShort)
	}
	if e.Kind == Received {
		e.Message, e.Err = o.Open(e.Raw)
	}
	return e, nil
}

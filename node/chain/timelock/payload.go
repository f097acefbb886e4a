package timelock

import (
	"encoding/binary"
	"errors"
	"fmt"

	"bettensor/node/chain"
)

// ErrPayload is what ParsePayload returns for bytes that are no payload.
var ErrPayload = errors.New("not the weights of a timelocked commit")

// hotkeySize is that of a public key, which a payload holds behind its length.
const hotkeySize = 32

// Payload is what a timelocked commit seals, in SCALE: the hotkey as a vector of
// bytes, the UIDs, the values and the version key. w must be quantised already:
// the chain applies it as it is.
func Payload(hotkey [32]byte, w chain.Weights, versionKey uint64) []byte {
	b := make([]byte, 0, 1+hotkeySize+2*4+2*(len(w.UIDs)+len(w.Values))+8)
	b = appendCompact(b, hotkeySize)
	b = append(b, hotkey[:]...)
	b = appendUint16s(b, w.UIDs)
	b = appendUint16s(b, w.Values)
	return binary.LittleEndian.AppendUint64(b, versionKey)
}

// ParsePayload reads what Payload wrote, as the chain does at the reveal. The
// number of UIDs and of values may differ: that is for the chain to refuse.
func ParsePayload(b []byte) (hotkey [32]byte, w chain.Weights, versionKey uint64, err error) {
	n, rest, ok := compact(b)
	if !ok || n != hotkeySize || len(rest) < hotkeySize {
		return hotkey, w, 0, fmt.Errorf("hotkey: %w", ErrPayload)
	}
	copy(hotkey[:], rest)
	if w.UIDs, rest, ok = uint16s[chain.UID](rest[hotkeySize:]); !ok {
		return hotkey, chain.Weights{}, 0, fmt.Errorf("uids: %w", ErrPayload)
	}
	if w.Values, rest, ok = uint16s[uint16](rest); !ok {
		return hotkey, chain.Weights{}, 0, fmt.Errorf("values: %w", ErrPayload)
	}
	if len(rest) != 8 {
		return hotkey, chain.Weights{}, 0, fmt.Errorf("version key of %d bytes: %w", len(rest), ErrPayload)
	}
	return hotkey, w, binary.LittleEndian.Uint64(rest), nil
}

func appendUint16s[T ~uint16](dst []byte, v []T) []byte {
	dst = appendCompact(dst, uint32(len(v)))
	for _, x := range v {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(x))
	}
	return dst
}

func uint16s[T ~uint16](b []byte) (v []T, rest []byte, ok bool) {
	n, rest, ok := compact(b)
	if !ok || uint64(n)*2 > uint64(len(rest)) {
		return nil, nil, false
	}
	for ; n > 0; n-- {
		v, rest = append(v, T(binary.LittleEndian.Uint16(rest))), rest[2:]
	}
	return v, rest, true
}

// appendCompact appends a length as SCALE does: the two low bits say how many
// bytes it takes, one, two or four.
func appendCompact(dst []byte, n uint32) []byte {
	switch {
	case n < 1<<6:
		return append(dst, byte(n<<2))
	case n < 1<<14:
		return binary.LittleEndian.AppendUint16(dst, uint16(n<<2|1))
	}
	return binary.LittleEndian.AppendUint32(dst, n<<2|2)
}

// compact reads a length in the only form that appendCompact writes it in.
// Longer than four bytes is longer than any text.
func compact(b []byte) (n uint32, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, false
	}
	size := 1 << (b[0] & 3)
	if size > 4 || len(b) < size {
		return 0, nil, false
	}
	for i := range size {
		n |= uint32(b[i]) << (8 * i)
	}
	n >>= 2
	return n, b[size:], size == 1 || n >= 1<<[...]int{2: 6, 4: 14}[size]
}

package chain

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/blake2b"
)

// MaxUnrevealedCommits is how many commits of one hotkey the chain keeps; the
// eleventh is refused with TooManyUnrevealedCommits.
const MaxUnrevealedCommits = 10

// mechanismStride separates the storage indexes of a subnet's mechanisms.
const mechanismStride = 4096

// StorageIndex is the number under which the chain keeps weights and commits
// of one mechanism of a subnet; of mechanism 0 it is the netuid.
func StorageIndex(netuid Netuid, mechanism uint8) uint16 {
	return uint16(netuid) + mechanismStride*uint16(mechanism)
}

// CommitHash is what a validator commits to: blake2b-256 of the SCALE form of
// hotkey, storage index, uids, values, salt and version key (chain spec,
// commit hash). w must be the very Weights that are revealed later.
func CommitHash(hotkey Hotkey, index uint16, w Weights, salt []uint16, versionKey uint64) ([32]byte, error) {
	pub, err := hotkey.PublicKey()
	if err != nil {
		return [32]byte{}, fmt.Errorf("hash commit: %w", err)
	}
	b := make([]byte, 0, 32+2+3*4+2*(len(w.UIDs)+len(w.Values)+len(salt))+8)
	b = append(b, pub[:]...)
	b = binary.LittleEndian.AppendUint16(b, index)
	b = appendScaleUint16s(b, w.UIDs)
	b = appendScaleUint16s(b, w.Values)
	b = appendScaleUint16s(b, salt)
	b = binary.LittleEndian.AppendUint64(b, versionKey)
	return blake2b.Sum256(b), nil
}

// appendScaleUint16s appends a SCALE vector: compact length, then the items
// little-endian.
func appendScaleUint16s[T ~uint16](dst []byte, v []T) []byte {
	switch n := uint32(len(v)); {
	case n < 1<<6:
		dst = append(dst, byte(n<<2))
	case n < 1<<14:
		dst = binary.LittleEndian.AppendUint16(dst, uint16(n<<2|1))
	default:
		dst = binary.LittleEndian.AppendUint32(dst, n<<2|2)
	}
	for _, x := range v {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(x))
	}
	return dst
}

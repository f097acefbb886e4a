package sched

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/cespare/xxhash/v2"
)

// NewStream returns the random stream of a seed and a path of names. Two paths
// never share draws, so that a new consumer shifts nobody else's.
func NewStream(seed uint64, path ...string) *rand.Rand {
	var d xxhash.Digest
	d.Reset()
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], seed)
	d.Write(b[:])
	for _, p := range path {
		d.WriteString(p)
		d.Write([]byte{0})
	}
	hi := d.Sum64()
	d.Write([]byte{1})
	return rand.New(rand.NewPCG(hi, d.Sum64()))
}

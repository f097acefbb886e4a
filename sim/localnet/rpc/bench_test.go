package rpc

import (
	"fmt"
	"testing"

	"bettensor/node/chain"
	"bettensor/node/chain/chaintest"
	"bettensor/sim/mockchain"
)

// A full subnet's block must take well under the 100 ms that it has at the
// highest speed, the whole subnet rendered anew or not.
func BenchmarkBlock(b *testing.B) {
	for _, changed := range []bool{false, true} {
		b.Run(fmt.Sprintf("neurons=256/changed=%v", changed), func(b *testing.B) {
			cold := chain.Coldkey(chaintest.Hotkey(999))
			var list []mockchain.Neuron
			for i := range 256 {
				list = append(list, mockchain.Neuron{Hotkey: chaintest.Hotkey(i), Coldkey: cold, Stake: chain.Rao(i) * tao})
			}
			s, err := New(Config{Subnet: Localnet(netuid, origin, true, list)})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				s.dirty = changed
				if err := s.makeBlock(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

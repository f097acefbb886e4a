package chain

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestEpochOfBlock: both schedules, with the blocks on either side of a bound.
func TestEpochOfBlock(t *testing.T) {
	fixed := Hyperparameters{Tempo: 99}
	stateful := Hyperparameters{Tempo: 100, LastEpoch: 1_000, EpochIndex: 7}
	for _, tc := range []struct {
		p     Hyperparameters
		block Block
		epoch uint64
	}{
		{fixed, 0, 0}, {fixed, 68, 0}, {fixed, 69, 1}, {fixed, 168, 1}, {fixed, 169, 2},
		{stateful, 1_000, 7}, {stateful, 1_099, 7}, {stateful, 1_100, 8}, {stateful, 1_250, 9},
		{stateful, 999, 6}, {stateful, 900, 6}, {stateful, 899, 5}, {stateful, 0, 0},
		{Hyperparameters{}, 500, 0}, {Hyperparameters{LastEpoch: 9, EpochIndex: 4}, 500, 0},
	} {
		t.Run(fmt.Sprint(tc.p.Stateful(), tc.block), func(t *testing.T) {
			if got := tc.p.Epoch(30, tc.block); got != tc.epoch {
				t.Errorf("block %d is in epoch %d, want %d", tc.block, got, tc.epoch)
			}
		})
	}
}

// TestEpochStartIsItsFirstBlock: the block before it belongs to the epoch before.
func TestEpochStartIsItsFirstBlock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := Netuid(rapid.Uint16().Draw(t, "netuid"))
		p := Hyperparameters{Tempo: rapid.Uint16Range(1, 1<<16-1).Draw(t, "tempo")}
		if rapid.Bool().Draw(t, "stateful") {
			p.LastEpoch = Block(rapid.Uint32Range(1, 1<<31).Draw(t, "last"))
			p.EpochIndex = uint64(p.LastEpoch)/uint64(p.Tempo) + 1 + uint64(rapid.Uint16().Draw(t, "index"))
		}
		b := Block(rapid.Uint32().Draw(t, "block"))
		e := p.Epoch(n, b)
		start := p.EpochStart(n, e)
		if start > b || start+p.EpochBlocks() <= b {
			t.Fatalf("epoch %d of block %d starts at %d and has %d blocks", e, b, start, p.EpochBlocks())
		}
		if got := p.Epoch(n, start); got != e {
			t.Fatalf("its first block %d is in epoch %d, not %d", start, got, e)
		}
		if start > 0 && p.Epoch(n, start-1) != e-1 {
			t.Fatalf("the block before %d is in epoch %d, want %d", start, p.Epoch(n, start-1), e-1)
		}
	})
}

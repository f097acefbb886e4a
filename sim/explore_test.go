package sim

import "testing"

// TestExploreHolds: with ties permuted the same seed still leaves one trace, each
// seed another one, and no invariant is broken by any of the orders.
func TestExploreHolds(t *testing.T) {
	t.Parallel()
	const day = "duration=1d"
	plain := ran(t, planOf(t, faultedDay, day), RunOptions{})
	hashes := map[string]bool{plain.TraceHash: true}
	for seed := range uint64(3) {
		p := planOf(t, faultedDay, day, "order=explore")
		p.Config.Seed += seed // the first explores the plain run itself
		one := ran(t, p, RunOptions{})
		if one.Violated() > 0 {
			t.Errorf("seed %d: %+v", seed, one.Invariants)
		}
		if hashes[one.TraceHash] {
			t.Errorf("seed %d: the order of another run", seed)
		}
		hashes[one.TraceHash] = true
		if seed == 0 {
			if two := ran(t, p, RunOptions{}); two.TraceHash != one.TraceHash {
				t.Errorf("seed %d twice: %s", seed, FirstDifference(one, two))
			}
		}
	}
}

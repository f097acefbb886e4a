package mockchain

import (
	"testing"

	"bettensor/node/chain"
)

// TestA11CopierIsBehind: who repeats a validator's weights as the chain shows them
// votes for what was right an epoch or more ago, where they are sealed. Of the
// dividends it loses what it votes against the others. Weights that do not change
// can be copied all the same.
func TestA11CopierIsBehind(t *testing.T) {
	for _, x := range []struct {
		name   string
		sealed bool
		moves  bool
		worse  bool
	}{
		{"in the clear", false, true, false},
		{"sealed", true, true, true},
		{"sealed, and always the same", true, false, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			cfg := subnet(100, 100, 50, 0, 0)
			cfg.Params.CommitReveal, cfg.Params.WeightsRateLimit = x.sealed, 0
			if x.sealed {
				cfg.Params.RevealVersion = 4
			}
			c := New(cfg)
			vote := func(b chain.Block, who int, w chain.Weights) {
				if len(w.UIDs) == 0 {
					return
				}
				q := chain.Request{Op: chain.OpSetWeights, Hotkey: key(who), Weights: w}
				if x.sealed {
					q.Op = chain.OpCommitTimelocked
				}
				must(t, c.Submit(at(b), q).Code)
			}
			var began [2]chain.Rao // once the copier has something to copy
			for epoch := range chain.Block(40) {
				if epoch == 10 {
					began = [2]chain.Rao{c.Earned(key(0)).Dividends, c.Earned(key(2)).Dividends}
				}
				best := uint16(3)
				if x.moves {
					best += uint16(epoch % 2)
				}
				b := first + 10 + epoch*100
				vote(b, 0, votes(best, 65535))
				vote(b, 1, votes(best, 65535))
				c.Advance(at(b + 50))
				seen, _ := c.Weights(0)
				vote(b+50, 2, seen)
			}
			c.Advance(at(first + 4100))
			leader, copier := c.Earned(key(0)).Dividends-began[0], c.Earned(key(2)).Dividends-began[1]
			if leader == 0 {
				t.Fatal("nobody earns")
			}
			// Half of the leader's stake: an equal vote earns half.
			if share := float64(copier) / float64(leader); x.worse != (share < 0.4) {
				t.Errorf("the copier earns %.2f of the leader, with half of its stake", share)
			}
		})
	}
}

// TestA17ConsensusClipsTheDeviating: who zeroes everybody but a friend neither
// pays the friend nor itself, while it has less than half of the stake; with more
// than half it decides, and nothing here can help.
func TestA17ConsensusClipsTheDeviating(t *testing.T) {
	honest, friend := votes(4, 1, 5, 1), votes(6, 1)
	for _, x := range []struct {
		name      string
		stakes    []int
		friend    float64 // its incentive
		dividends float64 // of the deviating
	}{
		{"a hundredth", []int{33, 33, 33, 1, 0, 0, 0}, 0, 0},
		{"two fifths", []int{20, 20, 20, 40, 0, 0, 0}, 0, 0},
		{"more than half", []int{16, 16, 16, 52, 0, 0, 0}, 1, 1},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := New(subnet(x.stakes...))
			for i := range 3 {
				must(t, set(c, 10, key(i), honest))
			}
			must(t, set(c, 10, key(3), friend))
			c.Advance(at(first))
			if got := c.Incentive(6); !near(got, x.friend) || !near(c.Incentive(4), (1-x.friend)/2) {
				t.Errorf("the friend gets %v, an honest miner %v", got, c.Incentive(4))
			}
			if got := c.Dividends(3); !near(got, x.dividends) || !near(c.VTrust(3), x.friend) {
				t.Errorf("the deviating validator gets %v, trust %v", got, c.VTrust(3))
			}
		})
	}
}

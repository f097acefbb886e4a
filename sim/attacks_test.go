package sim

import (
	"testing"
)

// copiedMonth is one miner that knows something and two that repeat it an hour
// later, among others that know nothing.
const copiedMonth = `
duration: 5w
market: {span: 6w}
validators: [{name: v0}]
miners:
  - {kind: skilled, name: leader, count: 1}
  - {kind: copycat, count: 2, parameters: {leader: leader}}
  - {kind: random, count: 3}
node: {heartbeat: 6h, feed_poll: 1h, scoring_interval: 6h, settle_delay: 30m, metagraph_interval: 6h, prediction_interval: 6h, status_interval: 1d}
`

// TestA13CopycatStaysBehindItsLeader: who repeats what is public an hour later
// makes about the same picks and earns less than half. Copies as such are not
// recognised; the ranks of the tiers are what they cost.
func TestA13CopycatStaysBehindItsLeader(t *testing.T) {
	t.Parallel()
	for _, seed := range []string{"seed=1", "seed=2", "seed=3"} {
		var leader MinerResult
		r := ran(t, planOf(t, copiedMonth, seed), RunOptions{})
		for _, m := range r.Miners {
			if m.Kind == "skilled" {
				leader = m
			}
		}
		for _, m := range r.Miners {
			if m.Kind != "copycat" {
				continue
			}
			if m.Accepted < leader.Accepted*9/10 {
				t.Errorf("%s: %s repeats %d of %d predictions: the test shows nothing", seed, m.Name, m.Accepted, leader.Accepted)
			}
			if m.Emission*2 > leader.Emission {
				t.Errorf("%s: %s earns %d, its leader %d", seed, m.Name, m.Emission, leader.Emission)
			}
		}
	}
}

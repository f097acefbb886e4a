package invariant

import (
	"slices"
	"time"

	"bettensor/node/chain"
)

var validDoc = Doc{"weights-valid", "Weights sent to the chain are over registered slots only, ascending and unique, not on the sender's own; every value counts and the largest is 65535; there are as many as the subnet wants and none is over its limit.", "extrinsics, against the metagraph of their block"}

// weightsValid judges what is sent, accepted or not: a refusal by the chain is
// the last defence and not the first.
type weightsValid struct {
	rule
	rules []subnetRules // newest last
}

// subnetRules are hyperparameters, and until when a sender could believe them.
type subnetRules struct {
	chain.Hyperparameters
	until time.Time
}

// rulesLag is how long a sender may go by hyperparameters that have changed:
// until its next sync, or the reveal of what it has committed.
const rulesLag = 24 * time.Hour

func (r *weightsValid) extrinsic(at time.Time, q *chain.Request, meta *chain.Metagraph) {
	r.rules = slices.DeleteFunc(r.rules, func(p subnetRules) bool { return p.until.Before(at) || p.Hyperparameters == meta.Params })
	r.rules = append(r.rules, subnetRules{meta.Params, at.Add(rulesLag)})
	if q.Op != chain.OpSetWeights && q.Op != chain.OpRevealWeights && q.Op != chain.OpCommitTimelocked || !r.judge() {
		return
	}
	why := wrong(q, meta, &meta.Params)
	for i := 0; why != "" && i < len(r.rules)-1; i++ {
		why = wrong(q, meta, &r.rules[i].Hyperparameters)
	}
	if why != "" {
		r.violate(at, "%s of %s: %s: %v %v", q.Op, q.Hotkey, why, q.Weights.UIDs, q.Weights.Values)
	}
}

// wrong says what is wrong with weights, "" for nothing.
func wrong(q *chain.Request, meta *chain.Metagraph, p *chain.Hyperparameters) string {
	uids, values := q.Weights.UIDs, q.Weights.Values
	if len(uids) != len(values) {
		return "not as many values as slots"
	}
	if len(uids) == 0 {
		return "no weights"
	}
	var sum uint64
	for i, u := range uids {
		switch {
		case i > 0 && u <= uids[i-1]:
			return "slots are not ascending and unique"
		case int(u) >= len(meta.Neurons) || meta.Neurons[u].Hotkey == "":
			return "a slot nobody holds"
		case meta.Neurons[u].Hotkey == q.Hotkey:
			return "a weight on the sender's own slot"
		case values[i] == 0:
			return "a weight of nothing"
		}
		sum += uint64(values[i])
	}
	top := uint64(slices.Max(values))
	switch {
	case top != chain.MaxWeight:
		return "the largest value is not 65535"
	case len(uids) < min(int(p.MinAllowedWeights), len(meta.Neurons)):
		return "fewer weights than the subnet wants"
	case p.MaxWeightsLimit != chain.MaxWeight && top*chain.MaxWeight > uint64(p.MaxWeightsLimit)*sum:
		return "a share over the subnet's limit"
	}
	return ""
}

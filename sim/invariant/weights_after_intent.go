package invariant

import (
	"time"

	"bettensor/node/chain"
	"bettensor/node/ledger"
)

var intentDoc = Doc{"weights-after-intent", "Weights reach the chain only after the intent to set exactly these is on disk: whatever becomes of the validator then, it knows what it may have sent.", "the disk at the instant at which the chain gets an extrinsic"}

type weightsAfterIntent struct{ rule }

func (r *weightsAfterIntent) judgeVote(at time.Time, v *validator, w *vote) {
	if !r.judge() {
		return
	}
	q := w.request
	switch {
	case !w.found:
		r.violate(at, "%s sends %s, and its disk holds no set", v.name, q.Op)
	case !w.row.Phase.Open():
		r.violate(at, "%s sends %s, and the newest set on its disk, number %d, is %s", v.name, q.Op, w.row.Number, w.row.Phase)
	case !intends(&w.row, q, w.meta.Netuid):
		r.violate(at, "%s sends %s of %v %v, and the newest set on its disk, number %d, is of %v %v", v.name, q.Op, q.Weights.UIDs, q.Weights.Values,
			w.row.Number, w.row.Weights.UIDs, w.row.Weights.Values)
	}
}

// intends says whether a set is what a request sends.
func intends(row *ledger.WeightRow, q *chain.Request, netuid chain.Netuid) bool {
	if q.Op != chain.OpCommitWeights {
		return chain.TotalVariation(row.Weights, q.Weights) == 0 && len(row.Weights.UIDs) == len(q.Weights.UIDs)
	}
	hash, err := chain.CommitHash(q.Hotkey, chain.StorageIndex(netuid, 0), row.Weights, row.Salt, row.VersionKey)
	return len(row.Salt) > 0 && err == nil && hash == q.Commit
}

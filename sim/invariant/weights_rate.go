package invariant

import (
	"time"

	"bettensor/node/chain"
)

var rateDoc = Doc{"weights-rate", "Between two accepted weight sets or commits of one hotkey lie at least as many blocks as the subnet's rate limit.", "extrinsics that the chain took, against the blocks of those before"}

type weightsRate struct {
	rule
	last map[chain.Hotkey]update // never ranged over
}

// update is the last one of a hotkey: where, what the limit was, and since when
// it held its slot. A slot that is new has no update behind it.
type update struct {
	block, registered chain.Block
	limit             uint64
}

func (r *weightsRate) extrinsic(at time.Time, q *chain.Request, p *chain.Reply, meta *chain.Metagraph) {
	if q.Op != chain.OpSetWeights && q.Op != chain.OpCommitWeights && q.Op != chain.OpCommitTimelocked || p.Code != chain.OK {
		return
	}
	if r.last == nil {
		r.last = map[chain.Hotkey]update{}
	}
	was, again := r.last[q.Hotkey]
	now := update{block: p.Included, limit: meta.Params.WeightsRateLimit}
	if uid, ok := meta.UIDOf(q.Hotkey); ok {
		now.registered = meta.Neurons[uid].RegisteredAt
	}
	r.last[q.Hotkey] = now
	limit := min(was.limit, now.limit) // one of them held when it was checked
	if again && was.registered == now.registered && r.judge() && uint64(now.block) < uint64(was.block)+limit {
		r.violate(at, "%s of %s in block %d, after one in block %d: the limit is %d", q.Op, q.Hotkey, now.block, was.block, limit)
	}
}

package invariant

import (
	"time"

	"bettensor/node/ledger"
)

var singleDoc = Doc{"one-vote-at-a-time", "In one epoch a validator never has two conflicting weight sets on the chain: it sends another only when its disk says what became of the one before, and never takes one that the chain accepted for lost.", "the disk's earlier sets, at each extrinsic"}

// oneVoteAtATime judges each vote by what the disk says of the last one that the
// chain took.
type oneVoteAtATime struct{ rule }

// eraBlocks is how long an extrinsic can still be included: one that is given up
// after it was seen in a block and then not in the final state.
const eraBlocks = 64

func (r *oneVoteAtATime) judgeVote(at time.Time, v *validator, w *vote) {
	last := v.standing
	if last.block == 0 || w.meta.Params.Epoch(w.meta.Netuid, w.meta.Block) != last.epoch || !r.judge() {
		return
	}
	for i := range w.earlier {
		e := &w.earlier[i]
		if e.Number != last.number {
			continue
		}
		lost := e.Phase == ledger.Refused && e.Code == "" || e.Phase == ledger.Superseded && w.meta.Block < last.block+eraBlocks
		// A refusal with the chain's code is the endpoint's word; nobody can know better.
		if lost || e.Phase == ledger.Planned {
			r.violate(at, "%s sends set %d, and takes set %d for %s, which the chain accepted in block %d of the same epoch", v.name, w.row.Number, e.Number, e.Phase, last.block)
		}
	}
}

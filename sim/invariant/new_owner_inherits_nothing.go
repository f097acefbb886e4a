package invariant

import (
	"time"

	"bettensor/node/chain"
)

var heirDoc = Doc{"new-owner-inherits-nothing", "A slot that has changed hands is paid by what its new owner has scored: nothing of the old owner's, neither from a round nor from weights that are set again.", "extrinsics, against who holds each slot since when, and the score rows"}

type newOwnerInheritsNothing struct{ rule }

func (r *newOwnerInheritsNothing) judgeVote(s *Set, at time.Time, v *validator, w *vote) {
	w.each(func(uid chain.UID, value uint16) {
		h, since := w.holder(uid)
		if since == 0 || s.tooNew(at, h, since, w) || !r.judge() {
			return // theirs from the beginning, or too new to be known
		}
		if w.row.Fallback {
			if since > v.standing.block && v.standing.block > 0 {
				r.violate(at, "%s sets again what stood before block %d, and slot %d, then another's, is %s's since block %d", v.name, v.standing.block, uid, h, since)
			}
			return
		}
		if w.shares[0][h] == 0 && w.shares[1][h] == 0 {
			r.violate(at, "%s gives slot %d a weight of %d; %s holds it since block %d and has scored nothing", v.name, uid, value, h, since)
		}
	})
}

// tooNew says whether somebody holds a slot since so short a time that a validator
// need not know. A swap of hotkeys leaves the slot's time of registration as it was.
func (s *Set) tooNew(at time.Time, h chain.Hotkey, since chain.Block, w *vote) bool {
	if came, ok := s.slots.swaps[h]; ok && at.Sub(came) < s.facts.Lag {
		return true
	}
	blockTime := s.facts.BlockTime
	if blockTime == 0 {
		blockTime = chain.BlockTime
	}
	return since > 0 && since+chain.Block(s.facts.Lag/blockTime) > w.meta.Block
}

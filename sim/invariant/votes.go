package invariant

import (
	"slices"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/store"
)

// Weights on their way to the chain are judged by several invariants, which rest
// on the same few looks: the validator's newest sets on its disk, and the scored
// days they were made from.

// vote is weights that a validator sends, and what its disk says of them.
type vote struct {
	request *chain.Request
	meta    *chain.Metagraph
	row     ledger.WeightRow   // the newest set on disk
	found   bool               // there is one
	earlier []ledger.WeightRow // those before it that were not final when looked at last
	shares  [2]map[chain.Hotkey]float64
}

// standing is the last vote of a validator that the chain took.
type standing struct {
	number uint64
	epoch  uint64
	block  chain.Block
}

// vote judges an extrinsic of a validator that we keep books about.
func (s *Set) vote(at time.Time, q *chain.Request, p *chain.Reply, meta *chain.Metagraph) {
	if q.Op != chain.OpSetWeights && q.Op != chain.OpCommitWeights && q.Op != chain.OpCommitTimelocked && q.Op != chain.OpRevealWeights {
		return
	}
	i := slices.IndexFunc(s.validators, func(v *validator) bool { return v.hotkey == q.Hotkey })
	if i < 0 {
		return
	}
	v := s.validators[i]
	snap := s.disk(v)
	if snap == nil {
		return
	}
	defer snap.Close()
	s.look(at)
	w, err := s.read(v, snap, q, meta)
	if err != nil {
		s.intent.violate(at, "the weight sets of %s cannot be read: %v", v.name, err)
		return
	}
	s.intent.judgeVote(at, v, w)
	if q.Op == chain.OpRevealWeights {
		return // judged when it was committed
	}
	s.single.judgeVote(at, v, w)
	if w.found {
		s.heir.judgeVote(s, at, v, w)
		s.idle.judgeVote(s, at, v, w)
		s.earned.judgeVote(s, at, v, w)
	}
	if p.Code == chain.OK && w.found {
		v.standing = standing{w.row.Number, meta.Params.Epoch(s.facts.Netuid, p.Included), p.Included}
	}
}

// read looks up what the disk says of a vote.
func (s *Set) read(v *validator, snap store.Snapshot, q *chain.Request, meta *chain.Metagraph) (*vote, error) {
	w := &vote{request: q, meta: meta}
	from := min(v.lastSet, v.standing.number)
	err := ledger.Weights.Scan(snap, &from, nil, func(number uint64, row *ledger.WeightSet) error {
		if w.found {
			w.earlier = append(w.earlier, w.row)
		}
		w.row, w.found = ledger.WeightRow{Number: number, WeightSet: *row}, true
		v.lastSet = number
		return nil
	})
	if err != nil || !w.found {
		return w, err
	}
	today := bet.DayOf(w.row.Planned)
	for i := range w.shares {
		w.shares[i] = map[chain.Hotkey]float64{}
		from, to := ledger.DayKey{Day: today - bet.Day(i)}, ledger.DayKey{Day: today - bet.Day(i) + 1}
		err = ledger.Scores.Scan(snap, &from, &to, func(k ledger.DayKey, row *ledger.Score) error {
			if k.Hotkey != "" && row.Weight > 0 {
				w.shares[i][k.Hotkey] = row.Weight
			}
			return nil
		})
		if err != nil {
			return w, err
		}
	}
	return w, nil
}

// holder is who holds a slot, and since when.
func (w *vote) holder(uid chain.UID) (chain.Hotkey, chain.Block) {
	if int(uid) >= len(w.meta.Neurons) {
		return "", 0
	}
	return w.meta.Neurons[uid].Hotkey, w.meta.Neurons[uid].RegisteredAt
}

// each calls f for the slots that the vote pays more than the least there is,
// which is given to make up the numbers.
func (w *vote) each(f func(uid chain.UID, value uint16)) {
	for i, uid := range w.row.Weights.UIDs {
		if value := w.row.Weights.Values[i]; value > 1 {
			f(uid, value)
		}
	}
}

package node

import (
	"cmp"
	"encoding/hex"
	"math"
	"slices"
	"time"

	"bettensor/node/chain"
	"bettensor/node/ledger"
)

// WeightDifference is one slot in a comparison of two weights. Shares are of the
// whole, from 0 to 1.
type WeightDifference struct {
	UID    chain.UID    `json:"uid"`
	Hotkey chain.Hotkey `json:"hotkey"` // who holds the slot, "" where that is not known
	Ours   float64      `json:"ours"`
	Chain  float64      `json:"chain"`
}

// Difference is ours less the chain's.
func (d WeightDifference) Difference() float64 { return d.Ours - d.Chain }

// CompareWeights puts two weights side by side, a line for each slot that has a
// share in either, by UID. meta says who holds the slots and may be nil. Weights
// whose lists differ in length are read as far as both go.
func CompareWeights(ours, onChain chain.Weights, meta *chain.Metagraph) []WeightDifference {
	var out []WeightDifference
	add := func(w chain.Weights, to func(*WeightDifference) *float64) {
		n, sum := min(len(w.UIDs), len(w.Values)), 0.0
		for _, v := range w.Values[:n] {
			sum += float64(v)
		}
		for i := range n {
			if w.Values[i] == 0 {
				continue
			}
			at, found := slices.BinarySearchFunc(out, w.UIDs[i], func(d WeightDifference, u chain.UID) int { return cmp.Compare(d.UID, u) })
			if !found {
				line := WeightDifference{UID: w.UIDs[i]}
				if meta != nil && int(line.UID) < len(meta.Neurons) {
					line.Hotkey = meta.Neurons[line.UID].Hotkey
				}
				out = slices.Insert(out, at, line)
			}
			*to(&out[at]) += float64(w.Values[i]) / sum
		}
	}
	add(ours, func(d *WeightDifference) *float64 { return &d.Ours })
	add(onChain, func(d *WeightDifference) *float64 { return &d.Chain })
	return out
}

// LargestDifferences returns the n lines that differ most, the largest first;
// lines that do not differ are left out.
func LargestDifferences(all []WeightDifference, n int) []WeightDifference {
	out := slices.DeleteFunc(slices.Clone(all), func(d WeightDifference) bool { return d.Ours == d.Chain })
	slices.SortStableFunc(out, func(a, b WeightDifference) int {
		return cmp.Compare(math.Abs(b.Difference()), math.Abs(a.Difference()))
	})
	return out[:min(n, len(out))]
}

// WeightsReport is where a validator's weights stand.
type WeightsReport struct {
	// Epoch of the chain under way, and what came of the newest one that ended.
	Epoch   uint64       `json:"epoch"`
	Outcome EpochOutcome `json:"outcome"`
	Reason  string       `json:"reason,omitempty"`
	// Phase of the set under way, "" for none: planned, committed, in_block.
	Phase string `json:"phase,omitempty"`
	// Set is the block that holds the newest weights known to stand, 0 for none;
	// SetAt when that was learnt, Extrinsic its hash where it is known.
	Set       chain.Block `json:"set_block"`
	SetAt     time.Time   `json:"set_at,omitzero"`
	Extrinsic string      `json:"extrinsic,omitempty"`
	Fallback  bool        `json:"fallback"` // they were not made from a round
	// Update is the block of the hotkey's newest update, Since how many blocks ago
	// that is, Next the first block that may take another one.
	Update chain.Block `json:"last_update"`
	Since  chain.Block `json:"blocks_since_update"`
	Next   chain.Block `json:"next_block"`
	// Round and RevealAt are those of a commit that waits, 0 for none.
	Round    uint64      `json:"reveal_round,omitempty"`
	RevealAt chain.Block `json:"reveal_due_block,omitempty"`
	Missed   uint64      `json:"missed_epochs"` // in a row
	Shadow   bool        `json:"shadow"`
	// Unscored says why there is nothing of ours to compare, "" where there is.
	Unscored string `json:"unscored,omitempty"`
	// Variation is the total variation between the two columns of Slots: what we
	// would set now, and what stands on the chain as it was read in block ReadAt
	// (0: not read in this run; then what was set last). It is nil, and null in
	// JSON, where either of the two is not known.
	Variation *float64           `json:"variation"`
	ReadAt    chain.Block        `json:"read_block"`
	Slots     []WeightDifference `json:"slots"`
}

// report says where weights stand. It changes nothing.
func (w *weights) report() *WeightsReport {
	x := &w.epochs
	r := &WeightsReport{Epoch: x.now.Epoch, Outcome: x.ended.Outcome, Reason: x.ended.Reason, SetAt: x.lastSet,
		Update: w.update, Missed: x.bad, Shadow: w.v.cfg.Shadow, ReadAt: w.shownAt}
	if w.last != nil {
		r.Set, r.Extrinsic, r.Fallback = w.last.Block, hash(w.last.Extrinsic), w.last.Fallback
	}
	if w.now != nil {
		r.Phase = w.now.Phase.String()
	}
	theirs := w.standingWeights()
	if w.shownAt > 0 && (w.last == nil || w.shownAt >= w.last.Block) {
		theirs = w.shown
	}
	var ours chain.Weights
	meta := w.v.State.Meta
	if r.Unscored = w.nothing(); r.Unscored == "" {
		r.Unscored = unheld
		uids, shares := w.owed()
		if q, err := chain.Quantise(uids, shares); err == nil && len(q.UIDs) > 0 {
			ours, r.Unscored = q, ""
		}
	}
	if meta != nil {
		head := w.v.State.Head(w.v.loop.Now(), w.v.cfg.BlockTime)
		r.Next, r.Since = max(w.nextBlock(meta), head+1), head-min(head, w.update)
		if w.now != nil && w.now.Phase == ledger.Committed {
			r.Round, r.RevealAt = w.now.Round, w.revealAt(&meta.Params)
		}
	}
	r.Slots = CompareWeights(ours, theirs, meta)
	if r.Unscored == "" && w.known() {
		r.Variation = new(chain.TotalVariation(ours, theirs))
	}
	return r
}

// unheld is why weights of a round are none any more.
const unheld = "nobody who was scored holds a slot"

// hash is a hash as text, "" for none.
func hash(h [32]byte) string {
	if h == ([32]byte{}) {
		return ""
	}
	return "0x" + hex.EncodeToString(h[:])
}

// StoredWeights is what a validator's store tells of its weights, without a
// running node: ours are those of the newest scored day, and the chain's those
// that were known to stand when the node stopped.
func StoredWeights(found *ledger.Validator) *WeightsReport {
	r := &WeightsReport{}
	var stands chain.Weights
	for i := range found.Weights {
		row := &found.Weights[i]
		r.Update = max(r.Update, row.Updated())
		switch {
		case row.Phase == ledger.Included:
			stands = row.Weights
			r.Set, r.SetAt, r.Extrinsic, r.Fallback = row.Block, row.Planned, hash(row.Extrinsic), row.Fallback
		case row.Phase.Open():
			r.Phase, r.Round, r.RevealAt = row.Phase.String(), row.Round, row.RevealAt
		}
	}
	var ours chain.Weights
	meta := found.Metagraph
	r.Unscored = "no metagraph was read before the node stopped"
	if meta != nil {
		if r.Update > 0 {
			r.Next = r.Update + chain.Block(meta.Params.WeightsRateLimit)
		}
		var newest ledger.DayKey
		for k, row := range found.Scores { // order cannot matter: the greatest day is looked for
			if row.Weight > 0 {
				newest.Day = max(newest.Day, k.Day)
			}
		}
		var uids []chain.UID
		var shares []float64
		for i := range meta.Neurons {
			if row, ok := found.Scores[ledger.DayKey{Day: newest.Day, Hotkey: meta.Neurons[i].Hotkey}]; ok && row.Weight > 0 {
				uids, shares = append(uids, chain.UID(i)), append(shares, row.Weight)
			}
		}
		r.Unscored = "no scored day gives anybody who holds a slot a weight"
		if q, err := chain.Quantise(uids, shares); err == nil && len(q.UIDs) > 0 {
			ours, r.Unscored = q, ""
		}
	}
	r.Slots = CompareWeights(ours, stands, meta)
	if r.Unscored == "" && r.Set > 0 {
		r.Variation = new(chain.TotalVariation(ours, stands))
	}
	return r
}

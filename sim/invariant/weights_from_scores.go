package invariant

import (
	"time"

	"bettensor/node/chain"
)

var earnedDoc = Doc{"weights-from-scores", "Weights from a round are the shares that its scores say, hotkey by hotkey, on the slots these hotkeys hold: what differs in total is less than a hundredth.", "extrinsics, against the score rows of the day"}

// weightsFromScores compares a vote with the scored day of the round it is made
// from: today's, or yesterday's before the first round of today.
type weightsFromScores struct{ rule }

// sharesOff is what a vote may differ: rounding of each value, and the least
// weights that fill a vector up.
const sharesOff = 0.01

func (r *weightsFromScores) judgeVote(s *Set, at time.Time, v *validator, w *vote) {
	// The round may have known other holders than the chain has: one who left and came
	// back within it is not among its shares, and its row is that of the round before.
	if w.row.Fallback || at.Sub(s.slots.moved) < s.facts.Lag+s.facts.Round || !r.judge() {
		return
	}
	off := min(w.off(0, v.hotkey), w.off(1, v.hotkey))
	if off > sharesOff {
		r.violate(at, "%s sends weights that are %.3f off the shares of its scores: %v %v", v.name, off, w.row.Weights.UIDs, w.row.Weights.Values)
	}
}

// off is the total variation between the vote and a day's shares.
func (w *vote) off(day int, self chain.Hotkey) float64 {
	total := 0.0
	var uids []chain.UID
	var shares []float64
	for i := range w.meta.Neurons {
		if x := w.shares[day][w.meta.Neurons[i].Hotkey]; x > 0 && w.meta.Neurons[i].Hotkey != self {
			uids, shares, total = append(uids, chain.UID(i)), append(shares, x), total+x
		}
	}
	want, err := chain.Quantise(uids, shares)
	if err != nil || total == 0 {
		return 1
	}
	return chain.TotalVariation(want, w.row.Weights)
}

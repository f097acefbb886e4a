package score

import (
	"cmp"
	"math"
	"slices"
)

// weigh turns tiers and scores into weights (docs/scoring.md, Weights): rank
// all miners by tier, score and UID, grow exponentially with the rank, add the
// tier's bonus, zero whom a rule zeroes, normalise.
func (s *Scheme) weigh(in *Round, out *Result) {
	out.order = out.order[:0]
	eligible := 0
	for m, t := range out.Tiers {
		if t < TierFirst {
			continue
		}
		if !out.zeroed(in, m) {
			eligible++
		} else if !s.ZeroedKeepRank {
			continue
		}
		out.order = append(out.order, int32(m))
	}
	if eligible == 0 {
		out.Reason = ReasonNoOneEligible
		return
	}
	slices.SortFunc(out.order, func(a, b int32) int {
		return cmp.Or(
			cmp.Compare(out.Tiers[a], out.Tiers[b]),
			cmp.Compare(out.Score[a], out.Score[b]),
			cmp.Compare(a, b))
	})

	position := -1 // of the tier among those populated
	for i := 0; i < len(out.order); {
		m, j := out.order[i], i+1
		if i == 0 || out.Tiers[m] != out.Tiers[out.order[i-1]] {
			position++
		}
		if !s.TiesByUID {
			for j < len(out.order) && out.Tiers[out.order[j]] == out.Tiers[m] && out.Score[out.order[j]] == out.Score[m] {
				j++
			}
		}
		w := exp(s.RankExponent*meanRank(i, j, len(out.order))) + float64(s.TierBonus*float64(position))
		for ; i < j; i++ {
			out.Weights[out.order[i]] = w
		}
	}

	sum := 0.0
	for m := range out.Weights {
		if out.zeroed(in, m) {
			out.Weights[m] = 0
		}
		sum += out.Weights[m]
	}
	for m := range out.Weights {
		switch {
		case sum > 0:
			out.Weights[m] /= sum
		case out.Tiers[m] >= TierFirst && !out.zeroed(in, m):
			// Only an exponent so steep that every exponential vanished.
			out.Weights[m] = 1 / float64(eligible)
		}
	}
}

// zeroed says whether a rule takes a slot's weight.
func (r *Result) zeroed(in *Round, m int) bool {
	return r.idle[m] || in.Excluded != nil && in.Excluded[m]
}

// meanRank of positions i to j-1 of n, in [0, 1]; 0 where there is but one.
func meanRank(i, j, n int) float64 {
	if n == 1 {
		return 0
	}
	return float64(i+j-1) / 2 / float64(n-1)
}

// exp is e to the x, for |x| up to a few hundred, within two units of the last
// place. math.Exp picks its instructions by processor, so its last bit would
// differ between machines, and with it the weights of a replayed run; this uses
// only operations whose rounding is fixed.
func exp(x float64) float64 {
	// ln 2 in two parts: k times the first is exact for small k.
	const high, low = 0x1.62e42feep-1, 0x1.a39ef35793c76p-33
	k := math.Floor(float64(x/math.Ln2) + 0.5)
	r := (x - float64(k*high)) - float64(k*low)
	// |r| ≤ 0.35: the 16th term of the series is below 1e-20.
	sum := 1.0
	for n := 16.0; n > 0; n-- {
		sum = float64(sum*r)/n + 1
	}
	return math.Ldexp(sum, int(k))
}

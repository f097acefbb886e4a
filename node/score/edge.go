package score

import "math"

// edge scores the run of predictions that starts at i by the closing line alone
// (docs/scoring.md, Robust) and returns where the next miner's begins. A wager of w dollars on an outcome that went
// from probability p to q at the close (Chance) is worth w·(q − p·(1 + EdgeHurdle)) dollars,
// of which a copy is credited its share where there is something to credit. What a
// miner has on one game is netted: backing all outcomes is one position.
//
// Composite is the sum over games and Risk the root of the sum of squares, both
// in dollars. CLV, the mean of q/p − 1, and ROI are weighted by the wager, Entropy
// is the share of the money that was credited; they are shown and pay nothing.
func (s *Scheme) edge(d *Day, i int, out *Components) int {
	var staked, profit, priced, line, credited float64
	m := d.Miner[i]
	out.games = out.games[:0]
	for ; i < len(d.Miner) && d.Miner[i] == m; i++ {
		g, w := d.Game[i], d.Wager[i]
		if d.Result[g] >= 0 {
			staked += w
			profit += d.Payout[i] - w
		}
		q := Chance(d.Closing[g], d.Outcome[i])
		if q == 0 {
			continue
		}
		p, share := d.taken(i), s.share(d, i)
		priced += w
		line += float64(w * (q/p - 1))
		credited += float64(w * share)
		x := w * (q - float64(p*(1+s.EdgeHurdle)))
		if x > 0 {
			x *= share
		}
		if !out.backed[g] {
			out.backed[g] = true
			out.games = append(out.games, g)
		}
		out.net[g] += x
	}
	var sum, squares float64
	for _, g := range out.games {
		sum += out.net[g]
		squares += float64(out.net[g] * out.net[g])
		out.net[g], out.backed[g] = 0, false
	}
	if staked > 0 {
		out.ROI[m] = profit / staked
	}
	if priced > 0 {
		out.CLV[m], out.Entropy[m] = line/priced, credited/priced
	}
	out.Composite[m], out.Risk[m] = sum, math.Sqrt(squares)
	return i
}

// taken is the probability that the price of prediction i stood for.
func (d *Day) taken(i int) float64 {
	if d.Chance != nil && d.Chance[i] > 0 {
		return d.Chance[i]
	}
	return 1 / (d.Odds[i] * book(d.Closing[d.Game[i]]))
}

// Chance is the probability that the price of an outcome stands for: its inverse
// over the sum of those of its quote, which takes the bookmaker's margin out. 0
// for what is no price, below 1 or not finite.
func Chance(quote [3]float64, outcome uint8) float64 {
	if outcome > 2 || !isPrice(quote[outcome]) {
		return 0
	}
	return 1 / (quote[outcome] * book(quote))
}

// book is the sum of the inverse odds of a quote: 1 and the bookmaker's margin.
func book(quote [3]float64) float64 {
	sum := 0.0
	for _, o := range quote {
		if isPrice(o) {
			sum += 1 / o
		}
	}
	return sum
}

func isPrice(o float64) bool { return o >= 1 && o <= math.MaxFloat64 }

// share of a gain that prediction i is credited with: what Copies.Arrive said.
func (s *Scheme) share(d *Day, i int) float64 {
	if s.CopyDays == 0 || d.Raw == nil {
		return 1
	}
	return min(max(d.Raw[i], 0), 1)
}

// proven is the edge that evidence bears out: the sum less EdgeDoubt standard
// errors, the squares being of the same games' edges. It grows in proportion to
// the money, so that a budget split over hotkeys proves no more than it did, and
// it is at most (√n − EdgeDoubt)·√squares for n games: a few lucky ones prove
// nothing, nor do a thousand cents beside one large wager.
func (s *Scheme) proven(sum, squares float64) float64 {
	return sum - float64(s.EdgeDoubt*math.Sqrt(squares))
}

// weighEdge pays in proportion to the edge proven over EdgeDays, a little more
// in upper tiers. Where nobody has proven one there are no weights: to pay all
// alike would pay for being there. Nor are there any until all together have
// proven EdgeLeast, for whoever is ahead of nobody takes everything.
func (s *Scheme) weighEdge(in *Round, out *Result) {
	eligible, sum, proven := 0, 0.0, 0.0
	for m, t := range out.Tiers {
		if t < TierFirst || out.zeroed(in, m) {
			continue
		}
		eligible++
		if out.proven[m] > 0 {
			proven += out.proven[m]
			out.Weights[m] = out.proven[m] * (1 + float64(s.TierBonus*float64(t-TierFirst)))
			sum += out.Weights[m]
		}
	}
	switch {
	case eligible == 0:
		out.Reason = ReasonNoOneEligible
	case !(sum > 0) || proven < s.EdgeLeast:
		clear(out.Weights)
		out.Reason = ReasonNoEdge
	default:
		for m := range out.Weights {
			out.Weights[m] /= sum
		}
	}
}

package model

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"bettensor/node/bet"
)

// Kelly is the share of the bankroll whose wager at decimal odds makes the
// bankroll grow fastest, times k: k·(p·odds−1)/(odds−1), and 0 without an edge
// (spec §7: net odds are odds−1).
func Kelly(p, odds, k float64) float64 {
	if !(p >= 0 && p <= 1 && odds > 1) {
		return 0
	}
	return max(0, k*(float64(p*odds)-1)/(odds-1))
}

// KellyOriginal is the original's rule, kept to compare with it: it takes
// decimal odds for net odds, clip(k·(odds·p−(1−p))/odds, 0, 1/2), and so
// wagers where there is no edge (spec §7). No model here stakes by it.
func KellyOriginal(p, odds, k float64) float64 {
	return min(max(k*(float64(odds*p)-(1-p))/odds, 0), 0.5)
}

// sigmoidSteepness is what the original's confidence staking always used: its
// parameter of that name was never read (spec §7).
const sigmoidSteepness = 10

// Sigmoid is the original's staking by confidence alone. Of the confidences,
// highest first, the first top share min(most, cash) in proportion to
// 1/(1+exp(−10(c−½))); each gets at least least; amounts are rounded half to
// even. If that is more than cash they are scaled down, and cents are trimmed
// from the last, which is why an amount may end below least when cash < top·least.
//
// out[i] is the wager of the i-th confidence, 0 for one beyond top; it must be
// as long as confidence, which must be sorted falling.
func Sigmoid(out []bet.Cents, confidence []float64, least, most, cash bet.Cents, top int) {
	clear(out)
	n := min(top, len(confidence))
	if n <= 0 || cash <= 0 {
		return
	}
	curve := func(c float64) float64 { return 1 / (1 + math.Exp(-sigmoidSteepness*(c-0.5))) }
	sum := 0.0
	for _, c := range confidence[:n] {
		sum += curve(c)
	}
	pool := float64(min(most, cash))
	var total bet.Cents
	for i, c := range confidence[:n] {
		out[i] = max(least, bet.Cents(math.RoundToEven(curve(c)/sum*pool)))
		total += out[i]
	}
	if total <= cash {
		return
	}
	scale := float64(cash) / float64(total)
	total = 0
	for i := range out[:n] {
		out[i] = bet.Cents(math.RoundToEven(float64(out[i]) * scale))
		total += out[i]
	}
	// Rounding leaves at most half a cent a wager to trim.
	for i := n - 1; total > cash; i = (i - 1 + n) % n {
		if out[i] > 0 {
			out[i]--
			total--
		}
	}
}

// Candidate is a wager that could be made: an outcome, its price and the
// probability a model gives it.
type Candidate struct {
	Game    bet.GameID
	Start   time.Time
	Outcome bet.Outcome
	P, Odds float64
}

// Edge is the expected profit per unit wagered.
func (c *Candidate) Edge() float64 { return float64(c.P*c.Odds) - 1 }

// Staking turns candidates into wagers by fractional Kelly within limits.
type Staking struct {
	Fraction float64   // k of Kelly: a quarter, since our p is never as good as we think
	Bankroll bet.Cents // what Kelly takes its share of
	MinEdge  float64   // least Edge that is worth a wager
	MinBet   bet.Cents // a smaller Kelly wager is left out, not raised: raising it would overbet
	MaxBet   bet.Cents // most on one game
	MaxDay   bet.Cents // most on one day
	Pace     float64   // hours over which the day's money is released; 0 for at once
	Top      int       // most wagers in one call
}

// Allowance is what may be wagered now, in cents: no more than remains of the
// budget, and no more in all since midnight UTC than Pace has released of
// MaxDay. What was spent is read from the budget, so that it needs no memory,
// survives a restart and counts wagers made by hand.
func (s *Staking) Allowance(now time.Time, remaining bet.Cents) bet.Cents {
	released := s.MaxDay
	if s.Pace > 0 {
		// An hour ahead, or nothing could be wagered in the first one.
		hours := now.Sub(bet.DayOf(now).Start()).Hours() + 1
		released = bet.Cents(min(1, hours/s.Pace) * float64(s.MaxDay))
	}
	spent := max(0, bet.DailyBudget-remaining)
	return max(0, min(remaining, released-spent))
}

// order is best edge first, then what starts first, then by ID and outcome, so
// that the same candidates in any order are staked alike.
func order(a, b Candidate) int {
	return cmp.Or(
		cmp.Compare(b.Edge(), a.Edge()),
		a.Start.Compare(b.Start),
		strings.Compare(string(a.Game), string(b.Game)),
		cmp.Compare(a.Outcome, b.Outcome),
	)
}

// Stake answers the picks for candidates, best edge first, together at most
// allowance. At most one is made per game. It sorts candidates in place and
// allocates nothing but the result; nil when there is none.
func (s *Staking) Stake(candidates []Candidate, allowance bet.Cents) []Pick {
	slices.SortFunc(candidates, order)
	var picks []Pick
	for i := range candidates {
		c := &candidates[i]
		if len(picks) >= s.Top || allowance < max(1, s.MinBet) || !(c.Edge() >= s.MinEdge) {
			break
		}
		if slices.ContainsFunc(picks, func(p Pick) bool { return p.Game == c.Game }) {
			continue
		}
		wager := bet.Cents(min(Kelly(c.P, c.Odds, s.Fraction)*float64(s.Bankroll), float64(s.MaxBet))) // downwards
		wager = min(wager, s.MaxBet, allowance)
		if wager < max(1, s.MinBet) {
			continue
		}
		if picks == nil {
			picks = make([]Pick, 0, min(s.Top, len(candidates)-i))
		}
		picks = append(picks, Pick{Game: c.Game, Outcome: c.Outcome, Wager: wager, Confidence: c.P})
		allowance -= wager
	}
	return picks
}

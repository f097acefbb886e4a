package model

import (
	"math"

	"bettensor/node/bet"
)

// Probs are probabilities by Outcome. Tie is 0 where the sport cannot tie. The
// zero value means unknown.
type Probs [3]float64

// Best is the likeliest outcome; of equal ones the first in order of Outcome.
func (p Probs) Best() bet.Outcome {
	best := bet.Home
	for o := bet.Away; o <= bet.Tie; o++ {
		if p[o] > p[best] {
			best = o
		}
	}
	return best
}

// Devig names a way of taking the bookmaker's margin out of his prices. The
// numbers are those of the parameter "devig".
type Devig uint8

const (
	// Proportional shares the margin out in proportion to 1/odds. It leaves the
	// favourite too low and the outsider too high where the book is biased.
	Proportional Devig = iota
	// Power raises every 1/odds to the one exponent that makes them sum to 1.
	Power
	// Shin takes the margin for the bookmaker's guard against a share z of
	// bettors who know the result (H. S. Shin, 1993). A book without a margin
	// has no such z; it is normalised in proportion.
	Shin
)

// String returns the word used in tables.
func (d Devig) String() string {
	return [...]string{"proportional", "power", "shin", "unknown"}[d&3]
}

// MaxOdds is the highest price a model believes. A feed that offers more is
// wrong or hostile, and the arithmetic below is only tested up to it.
const MaxOdds = 1e6

// Priced says whether odds can be read as a market: home and away above 1, the
// tie above 1 or 0 for none, none of them NaN or beyond MaxOdds.
func Priced(o bet.Odds) bool {
	price := func(x float64) bool { return x > 1 && x <= MaxOdds }
	return price(o[bet.Home]) && price(o[bet.Away]) && (o[bet.Tie] == 0 || price(o[bet.Tie]))
}

// Overround is the sum of 1/odds less 1: the bookmaker's margin, 0 for a fair
// book, NaN where the odds are not Priced.
func Overround(o bet.Odds) float64 {
	if !Priced(o) {
		return math.NaN()
	}
	_, sum := implied(o)
	return sum - 1
}

// implied are the inverse prices and their sum, for Priced odds.
func implied(o bet.Odds) (q Probs, sum float64) {
	for i, x := range o {
		if x > 0 {
			q[i] = 1 / x
			sum += q[i]
		}
	}
	return q, sum
}

// Fair returns the probabilities behind the odds. They sum to 1, keep the order
// of the prices, and a side that is not offered has 0. It is false, with zero
// probabilities, where the odds are not Priced.
func Fair(d Devig, o bet.Odds) (Probs, bool) {
	if !Priced(o) {
		return Probs{}, false
	}
	q, sum := implied(o)
	switch {
	case d == Power:
		q = power(q, sum)
	case d == Shin && sum > 1:
		q = shin(q, sum)
	}
	return normal(q), true
}

// normal scales p to sum 1.
func normal(p Probs) Probs {
	sum := p[0] + p[1] + p[2]
	for i := range p {
		p[i] /= sum
	}
	return p
}

const (
	// solveSteps bounds the searches below; a real book needs four to eight.
	solveSteps = 100
	// solveError is where they stop. What is left goes in normal.
	solveError = 1e-14
)

// power finds k with Σ q^k = 1. The sum falls and is convex in k, so Newton's
// method from the left of the root never overshoots: no bracket is needed.
func power(q Probs, sum float64) Probs {
	k := 1.0
	if sum < 1 {
		k = 0
	}
	var ln, p Probs
	for i, x := range q {
		if x > 0 {
			ln[i] = math.Log(x)
		}
	}
	for range solveSteps {
		f, slope := -1.0, 0.0
		for i, x := range q {
			if x > 0 {
				p[i] = math.Exp(k * ln[i])
				f += p[i]
				slope += float64(p[i] * ln[i])
			}
		}
		if math.Abs(f) < solveError {
			break
		}
		k -= f / slope
	}
	return p
}

// shin finds z in [0, 1) with Σ p(z) = 1, where
// p = (√(z² + 4(1-z)q²/Σq) − z) / (2(1-z)), by Newton's method inside a
// bracket. The quotient is written in the form that does not cancel as z nears 1.
func shin(q Probs, sum float64) Probs {
	var c, p Probs
	for i, x := range q {
		c[i] = x * x / sum
	}
	lo, hi, z := 0.0, 1.0, 0.0
	for range solveSteps {
		f, slope := -1.0, 0.0
		for i, x := range c {
			if x == 0 {
				continue
			}
			root := math.Sqrt(float64(z*z) + float64(4*(1-z)*x))
			p[i] = 2 * x / (root + z)
			f += p[i]
			slope -= p[i] / (root + z) * ((z-2*x)/root + 1)
		}
		if math.Abs(f) < solveError || hi-lo < solveError {
			break
		}
		if f > 0 {
			lo = z
		} else {
			hi = z
		}
		z -= f / slope
		if !(z > lo && z < hi) {
			z = (lo + hi) / 2
		}
	}
	return p
}

package model

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"bettensor/node/bet"
)

// drawOdds makes a book from true probabilities and a margin, as a bookmaker
// does; ties in some.
func drawOdds(t *rapid.T) bet.Odds {
	sides := rapid.IntRange(2, 3).Draw(t, "sides")
	margin := rapid.Float64Range(-0.05, 0.3).Draw(t, "margin")
	var w [3]float64
	sum := 0.0
	for i := range sides {
		w[i] = rapid.Float64Range(0.02, 1).Draw(t, "weight")
		sum += w[i]
	}
	var o bet.Odds
	for i := range sides {
		o[i] = max(1.001, sum/w[i]/(1+margin))
	}
	return o
}

func TestFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawOdds(t)
		for d := Proportional; d <= Shin; d++ {
			p, ok := Fair(d, o)
			if !ok {
				t.Fatalf("%v refuses %v", d, o)
			}
			if sum := p[0] + p[1] + p[2]; math.Abs(sum-1) > 1e-12 {
				t.Fatalf("%v of %v sums to %v", d, o, sum)
			}
			for i := range o {
				if (p[i] == 0) != (o[i] == 0) || p[i] < 0 {
					t.Fatalf("%v of %v is %v", d, o, p)
				}
				for j := range o {
					if o[i] > 0 && o[j] > 0 && o[i] < o[j] && p[i] < p[j] {
						t.Fatalf("%v of %v is %v: a shorter price is less likely", d, o, p)
					}
				}
			}
		}
	})
}

// TestFairTwin solves for the exponent and for Shin's z by halving an interval,
// the obvious way.
func TestFairTwin(t *testing.T) {
	halve := func(lo, hi float64, sum func(float64) float64) float64 {
		for range 200 {
			if mid := (lo + hi) / 2; sum(mid) > 1 {
				lo = mid
			} else {
				hi = mid
			}
		}
		return lo
	}
	total := func(o bet.Odds, f func(q float64) float64) (s float64) {
		for _, x := range o {
			if x > 0 {
				s += f(1 / x)
			}
		}
		return s
	}
	rapid.Check(t, func(t *rapid.T) {
		o := drawOdds(t)
		b := total(o, func(q float64) float64 { return q })
		k := halve(0, 1e4, func(k float64) float64 {
			return total(o, func(q float64) float64 { return math.Pow(q, k) })
		})
		side := func(z, q float64) float64 { return (math.Sqrt(z*z+4*(1-z)*q*q/b) - z) / (2 * (1 - z)) }
		z := halve(0, 1-1e-9, func(z float64) float64 {
			return total(o, func(q float64) float64 { return side(z, q) })
		})
		power, _ := Fair(Power, o)
		shin, _ := Fair(Shin, o)
		for i, x := range o {
			if x == 0 {
				continue
			}
			if want := math.Pow(1/x, k); math.Abs(power[i]-want) > 1e-9 {
				t.Fatalf("power of %v: side %d is %v, twin %v", o, i, power[i], want)
			}
			if b > 1.0001 {
				if want := side(z, 1/x); math.Abs(shin[i]-want) > 1e-6 {
					t.Fatalf("shin of %v: side %d is %v, twin %v", o, i, shin[i], want)
				}
			}
		}
	})
}

// TestFairOutsider: power and Shin put the margin on the outsider, which
// proportional does not.
func TestFairOutsider(t *testing.T) {
	o := bet.Odds{1.2, 13, 7}
	plain, _ := Fair(Proportional, o)
	for _, d := range []Devig{Power, Shin} {
		p, _ := Fair(d, o)
		if p[bet.Home] <= plain[bet.Home] || p[bet.Away] >= plain[bet.Away] {
			t.Errorf("%v gives %v, proportional %v", d, p, plain)
		}
	}
}

func TestPriced(t *testing.T) {
	for name, c := range map[string]struct {
		odds bet.Odds
		want bool
	}{
		"three sides":  {bet.Odds{1.9, 4.2, 3.5}, true},
		"no tie":       {bet.Odds{1.9, 1.9, 0}, true},
		"nothing":      {bet.Odds{}, false},
		"one side":     {bet.Odds{1.9, 0, 0}, false},
		"even money":   {bet.Odds{1, 2, 0}, false},
		"not a number": {bet.Odds{math.NaN(), 2, 0}, false},
		"infinite":     {bet.Odds{2, math.Inf(1), 0}, false},
		"tie below 1":  {bet.Odds{1.9, 4.2, 0.5}, false},
		"tie negative": {bet.Odds{1.9, 4.2, -3}, false},
	} {
		if got := Priced(c.odds); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if _, ok := Fair(Shin, c.odds); ok != c.want {
			t.Errorf("%s: Fair says %v", name, ok)
		}
		if math.IsNaN(Overround(c.odds)) == c.want {
			t.Errorf("%s: overround %v", name, Overround(c.odds))
		}
	}
	if got := Overround(bet.Odds{2, 4, 4}); got != 0 {
		t.Errorf("overround of a fair book is %v", got)
	}
	if got := Overround(bet.Odds{1.25, 1.25, 0}); math.Abs(got-0.6) > 1e-12 {
		t.Errorf("overround is %v, want 0.6", got)
	}
}

func TestPool(t *testing.T) {
	a, b := Probs{0.5, 0.3, 0.2}, Probs{0.2, 0.6, 0.2}
	for name, c := range map[string]struct {
		in      []Probs
		weights []float64
		want    Probs
		ok      bool
	}{
		"one alone":           {[]Probs{a, b}, []float64{3, 0}, a, true},
		"same twice":          {[]Probs{a, a}, []float64{1, 2}, a, true},
		"geometric mean":      {[]Probs{a, {1. / 3, 1. / 3, 1. / 3}}, []float64{1, 1}, normal(Probs{math.Sqrt(0.5), math.Sqrt(0.3), math.Sqrt(0.2)}), true},
		"no tie for one":      {[]Probs{a, {0.5, 0.5, 0}}, []float64{1, 1}, normal(Probs{math.Sqrt(0.25), math.Sqrt(0.15), 0}), true},
		"no weight":           {[]Probs{a, b}, []float64{0, 0}, Probs{}, false},
		"unknown of weight 0": {[]Probs{a, {}}, []float64{1, 0}, a, true},
		"contradiction":       {[]Probs{{1, 0, 0}, {0, 1, 0}}, []float64{1, 1}, Probs{}, false},
	} {
		got, ok := Pool(c.in, c.weights)
		if ok != c.ok {
			t.Errorf("%s: ok %v", name, ok)
		}
		for i := range got {
			if math.Abs(got[i]-c.want[i]) > 1e-12 {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
		}
	}
}

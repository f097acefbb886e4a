package score

import (
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// near allows for another order of rounding, not for another formula.
var near = cmpopts.EquateApprox(1e-9, 1e-9)

// pick is one prediction of a test day.
type pick struct {
	miner, game, outcome int
	odds, wager, raw     float64
	chance               float64 // 0 for unknown
}

// dayOf builds a day from picks, which must come sorted by miner. The payout
// follows from the result.
func dayOf(slots int, closing [][3]float64, result []int8, picks ...pick) *Day {
	d := &Day{Slots: slots, Closing: closing, Result: result}
	for _, p := range picks {
		payout := 0.0
		if int(result[p.game]) == p.outcome {
			payout = p.wager * p.odds
		}
		d.add(row{miner: p.miner, outcome: p.outcome, odds: p.odds, wager: p.wager, payout: payout}, int32(p.game))
		d.Raw, d.Chance = append(d.Raw, p.raw), append(d.Chance, p.chance)
	}
	return d
}

func TestComponentRules(t *testing.T) {
	evens := [][3]float64{{2, 2, 0}, {2, 4, 0}}
	won, lost, open := []int8{0, 0}, []int8{1, 1}, []int8{NoResult, NoResult}
	const vig = 0.95
	for _, c := range []struct {
		rule           string
		day            *Day
		clv, roi, risk float64 // of miner 0
	}{
		{"nothing predicted", dayOf(1, evens, won), 0, 0, 0},
		{"win", dayOf(1, evens, won, pick{odds: 3, wager: 10}), 1.5, 2, 2 / (1 - vig/3)},
		{"loss", dayOf(1, evens, lost, pick{odds: 2, wager: 10}), 1, -1, -1 / (vig/2 + 1e-5)},
		{"loss at long odds is floored", dayOf(1, evens, lost, pick{odds: 50, wager: 10}), 25, -1, -10},
		{"win at odds 1 returns nothing and is a loss of 0", dayOf(1, evens, won, pick{odds: 1, wager: 10}), 0.5, 0, 0},
		{"mean is unweighted", dayOf(1, evens, won, pick{odds: 3, wager: 1000}, pick{game: 1, outcome: 1, odds: 4, wager: 1}),
			(1.5 + 1) / 2, (2.0 - 1) / 2, (2/(1-vig/3) - 1/(vig/4+1e-5)) / 2},
		{"no result: CLV only", dayOf(1, evens, open, pick{odds: 3, wager: 10}), 1.5, 0, 0},
		{"no result still divides risk", dayOf(1, evens, []int8{0, NoResult}, pick{odds: 3, wager: 10}, pick{game: 1, odds: 2, wager: 10}),
			(1.5 + 1) / 2, 2, 2 / (1 - vig/3) / 2},
		{"zero wager: CLV only, and divides risk", dayOf(1, evens, won, pick{odds: 3}, pick{odds: 3, wager: 10}), 1.5, 2, 2 / (1 - vig/3) / 2},
		{"all wagers zero", dayOf(1, evens, won, pick{odds: 3}), 1.5, 0, 0},
		{"closing odds 0 are left out of CLV", dayOf(1, evens, lost, pick{outcome: 2, odds: 11, wager: 1}, pick{odds: 3, wager: 1}),
			1.5, -1, -(10 + 1/(vig/3+1e-5)) / 2},
		{"closing odds below 0", dayOf(1, [][3]float64{{-2, 0, 0}}, []int8{0}, pick{odds: 3, wager: 10}), 0, 2, 2 / (1 - vig/3)},
		{"closing odds no number", dayOf(1, [][3]float64{{math.NaN(), 0, 0}}, []int8{0}, pick{odds: 3, wager: 10}), 0, 2, 2 / (1 - vig/3)},
		{"closing odds infinite", dayOf(1, [][3]float64{{math.Inf(1), 2, 0}}, []int8{0}, pick{odds: 3, wager: 10}, pick{outcome: 1, odds: 3, wager: 10}),
			1.5, 0.5, (2/(1-vig/3) - 1/(vig/3+1e-5)) / 2},
		{"same game twice counts twice", dayOf(1, evens, won, pick{odds: 3, wager: 10}, pick{odds: 2, wager: 10}),
			1.25, 1.5, (2/(1-vig/3) + 1/(1-vig/2)) / 2},
	} {
		t.Run(c.rule, func(t *testing.T) {
			s, out := Standard(), new(Components)
			if err := s.Components(c.day, out); err != nil {
				t.Fatal(err)
			}
			got := []float64{out.CLV[0], out.ROI[0], out.Risk[0], out.Composite[0]}
			want := []float64{c.clv, c.roi, c.risk, 0.3*c.clv + 0.3*c.roi + 0.3*c.risk + 0.1*out.Entropy[0]}
			if diff := cmp.Diff(want, got, near); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What docs/scoring.md says of the risk ratio: at fair odds with 5 % of margin
// its mean depends on the price alone, and falls with it.
func TestRiskPaysShortOdds(t *testing.T) {
	s := Standard()
	for _, c := range []struct{ odds, want float64 }{{1.2, 0.5}, {1.9, -0.1}, {5, -3.3}} {
		p := s.Vig / c.odds
		mean := p*s.riskTerm(c.odds, c.odds-1) + (1-p)*s.riskTerm(c.odds, -1)
		if math.Abs(mean-c.want) > 0.05 {
			t.Errorf("odds %v: mean %.3f, the document says %v", c.odds, mean, c.want)
		}
	}
}

// The offset leaves a miner without a priced prediction at 0.
func TestCLVOffset(t *testing.T) {
	s, out := Standard(), new(Components)
	s.CLVOffset = 1
	d := dayOf(3, [][3]float64{{2, 2, 0}}, []int8{0}, pick{odds: 3, wager: 1}, pick{miner: 1, outcome: 2, odds: 3, wager: 1})
	if err := s.Components(d, out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]float64{0.5, 0, 0}, out.CLV, near); diff != "" {
		t.Error(diff)
	}
}

func TestStandardEntropyOfADay(t *testing.T) {
	closing, result := [][3]float64{{2, 2, 0}, {2, 2, 0}}, []int8{0, 0}
	for _, c := range []struct {
		rule  string
		picks []pick
		want  []float64
	}{
		{"a pool of one gives 0", []pick{{raw: 0.2, odds: 2}}, []float64{0, 0, 0}},
		{"a pool of equals gives 0", []pick{{raw: 0.2, odds: 2}, {miner: 1, raw: 0.2, odds: 2}}, []float64{0, 0, 0}},
		// 0 → −10, 0.5 → 0, 1 → 10, then over 10.
		{"a pool is scaled to its extremes", []pick{{raw: 0, odds: 2}, {miner: 1, raw: 0.5, odds: 2}, {miner: 2, raw: 1, odds: 2}}, []float64{-1, 0, 1}},
		{"pools are scaled apart", []pick{
			{raw: 0, odds: 2}, {miner: 1, raw: 1, odds: 2},
			{miner: 1, outcome: 1, raw: 7, odds: 2}, {miner: 2, outcome: 1, raw: 8, odds: 2}}, []float64{-1, 0, 1}},
		// −10−10, −10+10 … the largest absolute value is 20, a negative one.
		{"divided by the largest absolute value", []pick{
			{raw: 0, odds: 2}, {game: 1, raw: 0, odds: 2},
			{miner: 1, raw: 1, odds: 2}, {miner: 2, game: 1, raw: 1, odds: 2}}, []float64{-1, 0.5, 0.5}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			s, out := Standard(), new(Components)
			if err := s.Components(dayOf(3, closing, result, c.picks...), out); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, out.Entropy, near); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReleasedEntropyOfADay(t *testing.T) {
	closing, result := [][3]float64{{2, 2, 0}}, []int8{0}
	s, out := Released(), new(Components)
	s.LegacyCLV = false
	for _, c := range []struct {
		rule string
		raw  [3]float64
		want []float64
	}{
		{"divided by the maximum", [3]float64{-10, 5, 2}, []float64{-2, 1, 0.4}},
		{"left alone without a positive one", [3]float64{-10, -5, 0}, []float64{-10, -5, 0}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			var picks []pick
			for m, raw := range c.raw {
				picks = append(picks, pick{miner: m, raw: raw, odds: 2})
			}
			if err := s.Components(dayOf(3, closing, result, picks...), out); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, out.Entropy, near); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWithoutRawEntropyIsZero(t *testing.T) {
	s, out := Standard(), new(Components)
	d := dayOf(1, [][3]float64{{2, 2, 0}}, []int8{0}, pick{odds: 3, wager: 1})
	d.Raw = nil
	if err := s.Components(d, out); err != nil || out.Entropy[0] != 0 {
		t.Errorf("entropy %v, error %v", out.Entropy, err)
	}
}

// Defect 1, by hand: ids 7, 30 and 40 are predicted, so game 30 reads row 1,
// which is the table's second game by start, whatever its id.
func TestLegacyCLV(t *testing.T) {
	d := dayOf(3, make([][3]float64, 3), []int8{0, 0, 0},
		pick{miner: 0, game: 0, outcome: 0, odds: 2}, // id 30, row 1, column 0: the id 7
		pick{miner: 1, game: 1, outcome: 1, odds: 2}, // id 7, row 0, column 1: team A's odds
		pick{miner: 2, game: 2, outcome: 2, odds: 2}) // id 40, row 2, column 2: team B's odds
	d.LegacyID = []float64{30, 7, 40}
	d.LegacyTable = [][4]float64{{40, 1.6, 2.5, 0}, {7, 1.2, 5, 9}, {30, 3, 1.25, 4}, {50, 2, 2, 2}}
	s, out := Released(), new(Components)
	if err := s.Components(d, out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]float64{2.0 / 7, 2 / 1.6, 2 / 1.25}, out.CLV, near); diff != "" {
		t.Error(diff)
	}
}

func TestMalformedDay(t *testing.T) {
	ok := func() *Day {
		d := dayOf(2, [][3]float64{{2, 2, 0}}, []int8{0}, pick{odds: 2, wager: 1}, pick{miner: 1, odds: 2, wager: 1})
		d.LegacyID, d.LegacyTable = []float64{1}, [][4]float64{{1, 2, 2, 0}}
		return d
	}
	for _, c := range []struct {
		rule  string
		spoil func(*Day)
	}{
		{"too many slots", func(d *Day) { d.Slots = MaxSlots + 1 }},
		{"negative slots", func(d *Day) { d.Slots = -1 }},
		{"too many games", func(d *Day) { d.Closing = make([][3]float64, MaxGames+1); d.Result = make([]int8, MaxGames+1) }},
		{"results missing", func(d *Day) { d.Result = nil }},
		{"column short", func(d *Day) { d.Payout = d.Payout[:1] }},
		{"entropy short", func(d *Day) { d.Raw = d.Raw[:1] }},
		{"miners not ascending", func(d *Day) { d.Miner[0] = 1; d.Miner[1] = 0 }},
		{"slot beyond", func(d *Day) { d.Miner[1] = 2 }},
		{"game beyond", func(d *Day) { d.Game[1] = 1 }},
		{"negative game", func(d *Day) { d.Game[1] = -1 }},
		{"outcome 3", func(d *Day) { d.Outcome[1] = 3 }},
		{"odds below 1", func(d *Day) { d.Odds[1] = 0.99 }},
		{"odds no number", func(d *Day) { d.Odds[1] = math.NaN() }},
		{"odds infinite", func(d *Day) { d.Odds[1] = math.Inf(1) }},
		{"negative wager", func(d *Day) { d.Wager[1] = -1 }},
		{"wager no number", func(d *Day) { d.Wager[1] = math.NaN() }},
		{"payout infinite", func(d *Day) { d.Payout[1] = math.Inf(1) }},
		{"entropy no number", func(d *Day) { d.Raw[1] = math.NaN() }},
		{"return beyond floats", func(d *Day) { d.Wager[1], d.Payout[1] = 1e-300, 1e300 }},
		{"legacy ids missing", func(d *Day) { d.LegacyID = nil }},
		{"legacy table short", func(d *Day) { d.LegacyTable = nil }},
	} {
		t.Run(c.rule, func(t *testing.T) {
			s, out := Released(), new(Components)
			if err := s.Components(ok(), out); err != nil {
				t.Fatal(err)
			}
			d := ok()
			c.spoil(d)
			if err := s.Components(d, out); !errors.Is(err, ErrDay) {
				t.Fatalf("got %v, want ErrDay", err)
			}
			if len(out.CLV)+len(out.Composite) != 0 {
				t.Error("a refused day left scores")
			}
		})
	}
}

// drawDay makes an arbitrary well-formed day, with gaps of every kind.
func drawDay(t *rapid.T, slots int) *Day {
	nGames := rapid.IntRange(1, 5).Draw(t, "games")
	closing, result := make([][3]float64, nGames), make([]int8, nGames)
	price := rapid.OneOf(rapid.Just(0.0), rapid.Just(-1.0), rapid.Float64Range(1.01, 20))
	d := &Day{Slots: slots, Closing: closing, Result: result}
	for g := range closing {
		for o := range closing[g] {
			closing[g][o] = price.Draw(t, "closing")
		}
		result[g] = int8(rapid.IntRange(-1, 2).Draw(t, "result"))
		d.LegacyID = append(d.LegacyID, float64(1000-g*7))
	}
	for range nGames + rapid.IntRange(0, 2).Draw(t, "more rows") {
		d.LegacyTable = append(d.LegacyTable, [4]float64{
			float64(rapid.IntRange(900, 1100).Draw(t, "id")), price.Draw(t, "a"), price.Draw(t, "b"), price.Draw(t, "tie")})
	}
	d.Raw = []float64{}
	for m := range slots {
		for range rapid.IntRange(0, 6).Draw(t, "predictions") {
			p := row{
				miner:   m,
				outcome: rapid.IntRange(0, 2).Draw(t, "outcome"),
				odds:    rapid.Float64Range(1, 40).Draw(t, "odds"),
				wager:   rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(0.01, 1000)).Draw(t, "wager"),
			}
			g := rapid.IntRange(0, nGames-1).Draw(t, "game")
			if int(result[g]) == p.outcome {
				p.payout = p.wager * p.odds
			}
			d.add(p, int32(g))
			d.Raw = append(d.Raw, rapid.OneOf(rapid.Just(0.25), rapid.Float64Range(-1, 1)).Draw(t, "raw"))
		}
	}
	return d
}

// slowComponents is the definition, formula by formula, over every prediction
// for every miner.
func slowComponents(s *Scheme, d *Day) (clv, roi, risk, entropy []float64) {
	predicted := map[int32]bool{}
	for _, g := range d.Game {
		predicted[g] = true
	}
	closing := func(i int) float64 {
		g, o := d.Game[i], d.Outcome[i]
		if !s.LegacyCLV {
			return d.Closing[g][o]
		}
		rank := 0
		for h := range predicted {
			if d.LegacyID[h] < d.LegacyID[g] {
				rank++
			}
		}
		return d.LegacyTable[rank][o]
	}
	contribution := func(i int) float64 {
		if s.LegacyEntropy {
			return d.Raw[i]
		}
		var pool []float64
		for j := range d.Raw {
			if d.Game[j] == d.Game[i] && d.Outcome[j] == d.Outcome[i] {
				pool = append(pool, d.Raw[j])
			}
		}
		lo, hi := pool[0], pool[0]
		for _, x := range pool {
			lo, hi = math.Min(lo, x), math.Max(hi, x)
		}
		if lo == hi {
			return 0
		}
		return (d.Raw[i]-lo)/(hi-lo)*20 - 10
	}
	mean := func(xs []float64, n int) float64 {
		if n == 0 {
			return 0
		}
		sum := 0.0
		for _, x := range xs {
			sum += x
		}
		return sum / float64(n)
	}
	for m := range d.Slots {
		var ratios, returns, ratioed, contributions []float64
		all := 0
		for i := range d.Miner {
			if int(d.Miner[i]) != m {
				continue
			}
			all++
			if c := closing(i); c > 0 {
				ratios = append(ratios, d.Odds[i]/c)
			}
			if d.Result[d.Game[i]] != NoResult && d.Wager[i] != 0 {
				r := (d.Payout[i] - d.Wager[i]) / d.Wager[i]
				returns = append(returns, r)
				rk := 1 - 0.95/d.Odds[i]
				if rk > 1 {
					rk = 1
				}
				safe := (1 - rk) + 0.00001
				if r > 0 {
					ratioed = append(ratioed, r/rk)
				} else {
					ratioed = append(ratioed, math.Max(r/safe, -10))
				}
			}
			contributions = append(contributions, contribution(i))
		}
		clv = append(clv, mean(ratios, len(ratios)))
		roi = append(roi, mean(returns, len(returns)))
		risk = append(risk, mean(ratioed, all))
		entropy = append(entropy, mean(contributions, 1))
	}
	top := 0.0
	for _, e := range entropy {
		if s.LegacyEntropyMaximum {
			top = math.Max(top, e)
		} else {
			top = math.Max(top, math.Abs(e))
		}
	}
	if top > 0 {
		for m := range entropy {
			entropy[m] /= top
		}
	}
	return clv, roi, risk, entropy
}

func TestComponentsTwin(t *testing.T) {
	for _, s := range []Scheme{Standard(), Released()} {
		t.Run(s.Name, func(t *testing.T) {
			out := new(Components)
			rapid.Check(t, func(t *rapid.T) {
				d := drawDay(t, rapid.IntRange(1, 6).Draw(t, "slots"))
				if err := s.Components(d, out); err != nil {
					t.Fatal(err)
				}
				clv, roi, risk, entropy := slowComponents(&s, d)
				for _, p := range []struct {
					name      string
					got, want []float64
				}{{"clv", out.CLV, clv}, {"roi", out.ROI, roi}, {"risk", out.Risk, risk}, {"entropy", out.Entropy, entropy}} {
					if diff := cmp.Diff(p.want, p.got, near); diff != "" {
						t.Errorf("%s: %s", p.name, diff)
					}
				}
				for m := range d.Slots {
					want := 0.3*clv[m] + 0.3*roi[m] + 0.3*risk[m] + 0.1*entropy[m]
					if diff := cmp.Diff(want, out.Composite[m], near); diff != "" {
						t.Errorf("composite of %d: %s", m, diff)
					}
				}
			})
		})
	}
}

// Who sits in which slot does not matter: an empty slot in front moves every
// score by one.
func TestComponentsShiftWithSlots(t *testing.T) {
	s := Standard()
	rapid.Check(t, func(t *rapid.T) {
		d := drawDay(t, rapid.IntRange(1, 6).Draw(t, "slots"))
		var a, b Components
		if err := s.Components(d, &a); err != nil {
			t.Fatal(err)
		}
		for i := range d.Miner {
			d.Miner[i]++
		}
		d.Slots++
		if err := s.Components(d, &b); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a.Composite, b.Composite[1:]); diff != "" || b.Composite[0] != 0 {
			t.Error(diff)
		}
	})
}

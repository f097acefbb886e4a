package score

import (
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// bare is Robust without hurdle and doubt, so that expectations can be read.
func bare() Scheme {
	s := Robust()
	s.EdgeHurdle, s.EdgeDoubt, s.EdgeLeast = 0, 0, 0
	return s
}

func TestEdgeOfADay(t *testing.T) {
	lines := [][3]float64{{2, 2, 0}, {2, 4, 4}} // without a margin, so that they are probabilities
	won, lost, open := []int8{0, 0}, []int8{1, 1}, []int8{NoResult, NoResult}
	own := func(p pick) pick { p.raw = 1; return p }
	for _, c := range []struct {
		rule       string
		day        *Day
		edge, risk float64 // dollars, of miner 0
		credited   float64
	}{
		{"nothing predicted", dayOf(1, lines, won), 0, 0, 0},
		{"dollars times what the probability rose by", dayOf(1, lines, won, own(pick{odds: 2.5, wager: 100})), 10, 10, 1},
		{"the result changes nothing", dayOf(1, lines, lost, own(pick{odds: 2.5, wager: 100})), 10, 10, 1},
		{"nor that there is none yet", dayOf(1, lines, open, own(pick{odds: 2.5, wager: 100})), 10, 10, 1},
		{"the closing price itself is worth nothing", dayOf(1, lines, won, own(pick{odds: 2, wager: 1000})), 0, 0, 1},
		{"behind the close it costs", dayOf(1, lines, won, own(pick{odds: 1.6, wager: 100})), -12.5, 12.5, 1},
		{"the margin of the quote taken is not the miner's", dayOf(1, lines, won, own(pick{odds: 2 / 1.1, wager: 100, chance: 0.5})), 0, 0, 1},
		{"nor is that of the close", dayOf(1, [][3]float64{{2 / 1.1, 2 / 1.1, 0}}, []int8{0}, own(pick{odds: 2.5, wager: 100, chance: 0.4})), 10, 10, 1},
		{"a margin that is not known was that of the close", dayOf(1, [][3]float64{{2 / 1.1, 2 / 1.1, 0}}, []int8{0}, own(pick{odds: 2.5 / 1.1, wager: 100})), 10, 10, 1},
		{"twice the money, twice the edge and the risk", dayOf(1, lines, won, own(pick{odds: 2.5, wager: 200})), 20, 20, 1},
		{"two wagers on a game are one", dayOf(1, lines, won, own(pick{odds: 2.5, wager: 60}), own(pick{odds: 2.5, wager: 40})), 10, 10, 1},
		{"two games are two", dayOf(1, lines, won, own(pick{odds: 2.5, wager: 100}), own(pick{game: 1, outcome: 1, odds: 5, wager: 200})), 20, math.Sqrt(200), 1},
		{"as much on each outcome of a game is one position, worth nothing",
			dayOf(1, lines, won, own(pick{game: 1, odds: 2.4, wager: 100, chance: 0.4}), own(pick{game: 1, outcome: 1, odds: 3.9, wager: 100, chance: 0.25}), own(pick{game: 1, outcome: 2, odds: 2.7, wager: 100, chance: 0.35})), 0, 0, 1},
		{"no closing price, no evidence", dayOf(1, lines, won, own(pick{outcome: 2, odds: 9, wager: 100})), 0, 0, 0},
		{"a copy is credited its share of a gain", dayOf(1, lines, won, pick{odds: 2.5, wager: 100, raw: 0.25}), 2.5, 2.5, 0.25},
		{"and bears a loss whole", dayOf(1, lines, won, pick{odds: 1.6, wager: 100, raw: 0.25}), -12.5, 12.5, 0.25},
		{"a share beyond the whole is the whole", dayOf(1, lines, won, pick{odds: 2.5, wager: 100, raw: 7}), 10, 10, 1},
	} {
		t.Run(c.rule, func(t *testing.T) {
			s, out := bare(), new(Components)
			if err := s.Components(c.day, out); err != nil {
				t.Fatal(err)
			}
			got := [3]float64{out.Composite[0], out.Risk[0], out.Entropy[0]}
			if d := cmp.Diff([3]float64{c.edge, c.risk, c.credited}, got, near); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestHurdleIsTakenOffEveryEdge(t *testing.T) {
	s, out := Robust(), new(Components)
	s.EdgeHurdle = 0.05
	if err := s.Components(dayOf(1, [][3]float64{{2, 2, 0}}, []int8{0}, pick{odds: 2.5, wager: 100, raw: 1}), out); err != nil {
		t.Fatal(err)
	}
	if math.Abs(out.Composite[0]-8) > 1e-9 || math.Abs(out.CLV[0]-0.25) > 1e-12 {
		t.Errorf("edge %v, shown %v", out.Composite[0], out.CLV[0])
	}
}

// TestMarginsChangeNoEdge: whatever share of each price the bookmaker keeps, when it
// is taken and at the close, a day is worth the same.
func TestMarginsChangeNoEdge(t *testing.T) {
	a, b := new(Components), new(Components)
	rapid.Check(t, func(t *rapid.T) {
		s := Robust()
		p := rapid.Float64Range(0.05, 0.6).Draw(t, "taken")
		q := rapid.Float64Range(0.05, 0.6).Draw(t, "closing")
		day := func(open, close float64) *Day {
			return dayOf(1, [][3]float64{{1 / (q * close), 1 / ((1 - q) / 2 * close), 1 / ((1 - q) / 2 * close)}}, []int8{0},
				pick{odds: 1 / (p * open), wager: 100, raw: 1,
					chance: Chance([3]float64{1 / (p * open), 2 / ((1 - p) * open), 2 / ((1 - p) * open)}, 0)})
		}
		margin := rapid.Float64Range(1, 1.15)
		if err := errors.Join(s.Components(day(1, 1), a), s.Components(day(margin.Draw(t, "opening margin"), margin.Draw(t, "closing margin")), b)); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]float64{a.Composite[0], a.Risk[0], a.CLV[0]}, []float64{b.Composite[0], b.Risk[0], b.CLV[0]}, near); d != "" {
			t.Fatal(d)
		}
	})
}

// days lays out daily edges and their doubts, today first.
func (in *Round) edges(days ...[]float64) *Round {
	for i, edges := range days {
		in.Daily[i] = edges
		in.Doubt[i] = make([]float64, in.Slots)
		for m, x := range edges {
			in.Doubt[i][m] = math.Abs(x)
		}
	}
	return in
}

func TestWeightsOfEdges(t *testing.T) {
	for _, c := range []struct {
		rule   string
		doubt  float64
		least  float64
		days   [][]float64
		want   []float64
		reason string
	}{
		{"in proportion to dollars", 0, 0, [][]float64{{30, 10, 0}}, []float64{0.75, 0.25, 0}, ""},
		{"over the window, not the day", 0, 0, [][]float64{{0, 10}, {30, 0}}, []float64{0.75, 0.25}, ""},
		{"a loss earns nothing and takes from nobody", 0, 0, [][]float64{{10, -1000}}, []float64{1, 0}, ""},
		{"one game proves nothing", 1.5, 0, [][]float64{{1000}}, []float64{0}, ReasonNoEdge},
		{"nor do two", 1.5, 0, [][]float64{{1000}, {1000}}, []float64{0}, ReasonNoEdge},
		{"three equal ones do: 3 - 1.5·√3", 1.5, 0, [][]float64{{1000, 0}, {1000, 0}, {1000, 0}}, []float64{1, 0}, ""},
		{"one large among small proves less than the small alone", 1.5, 0,
			[][]float64{{1, 1}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {100, 0}}, []float64{0, 1}, ""},
		{"nobody ahead: no weights, and not all alike", 0, 0, [][]float64{{-1, 0, -5}}, []float64{0, 0, 0}, ReasonNoEdge},
		{"nobody is paid for being alone ahead by little", 0, 10, [][]float64{{9.99, -1}}, []float64{0, 0}, ReasonNoEdge},
		{"all together must have proven enough", 0, 10, [][]float64{{7.5, 2.5}}, []float64{0.75, 0.25}, ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			s := Robust()
			s.EdgeDoubt, s.EdgeLeast, s.InactivityDays, s.MinActiveShare = c.doubt, c.least, 0, 0
			out := run(t, s, roundOf(len(c.want)).edges(c.days...))
			if d := cmp.Diff(c.want, out.Weights, near); d != "" || out.Reason != c.reason {
				t.Errorf("reason %q: %s", out.Reason, d)
			}
		})
	}
}

// TestUpperTiersEarnALittleMore at equal edges, by the tier's number.
func TestUpperTiersEarnALittleMore(t *testing.T) {
	s := Robust()
	s.EdgeDoubt, s.EdgeLeast, s.InactivityDays, s.MinActiveShare = 0, 0, 0, 0
	in := roundOf(2).edges([]float64{10, 10}).wagers(0, 100_000, 0)
	for i := range s.Tiers {
		s.Tiers[i].Capacity = 1
	}
	out := run(t, s, in)
	if d := cmp.Diff([]int{5, 1}, public(out)); d != "" {
		t.Fatal(d)
	}
	if d := cmp.Diff([]float64{1.6 / 2.6, 1 / 2.6}, out.Weights, near); d != "" {
		t.Error(d)
	}
}

// TestIdleAndExcludedEarnNothing whatever they have proven.
func TestIdleAndExcludedEarnNothing(t *testing.T) {
	s := Robust()
	s.EdgeDoubt, s.EdgeLeast, s.MinActiveShare = 0, 0, 0
	in := roundOf(3).edges([]float64{10, 10, 10})
	in.Active = []bool{true, false, true}
	in.Excluded = []bool{false, false, true}
	if d := cmp.Diff([]float64{1, 0, 0}, run(t, s, in).Weights); d != "" {
		t.Error(d)
	}
	in.Active[0] = false
	if out := run(t, s, in); out.Reason != ReasonNoOneEligible {
		t.Errorf("reason %q", out.Reason)
	}
}

// TestSplittingABudgetGainsNothing: whatever is wagered, and however each wager
// is divided over hotkeys in fixed shares, the parts together prove no more.
func TestSplittingABudgetGainsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Robust()
		sum, squares := 0.0, 0.0
		parts := rapid.IntRange(1, 8).Draw(t, "hotkeys")
		sums, parted := make([]float64, parts), make([]float64, parts)
		for range rapid.IntRange(1, 60).Draw(t, "games") {
			x := rapid.Float64Range(-100, 100).Draw(t, "edge")
			sum, squares = sum+x, squares+x*x
			for k := range parts {
				y := x / float64(parts)
				sums[k], parted[k] = sums[k]+y, parted[k]+y*y
			}
		}
		together := 0.0
		for k := range parts {
			together += max(0, s.proven(sums[k], parted[k]))
		}
		if one := max(0, s.proven(sum, squares)); together > one+1e-9*(1+math.Abs(one)) {
			t.Fatalf("%d hotkeys prove %v, one proves %v", parts, together, one)
		}
	})
}

// TestGamesSharedOutProveLess: games dealt out to hotkeys, which each have an
// edge, prove less together than in one hand.
func TestGamesSharedOutProveLess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Robust()
		parts := rapid.IntRange(2, 5).Draw(t, "hotkeys")
		sums, parted := make([]float64, parts), make([]float64, parts)
		sum, squares := 0.0, 0.0
		for i := range parts * rapid.IntRange(1, 20).Draw(t, "games each") {
			x := rapid.Float64Range(-20, 100).Draw(t, "edge")
			sum, squares = sum+x, squares+x*x
			sums[i%parts], parted[i%parts] = sums[i%parts]+x, parted[i%parts]+x*x
		}
		together, all := 0.0, true
		for k := range parts {
			p := s.proven(sums[k], parted[k])
			together, all = together+p, all && p >= 0
		}
		if one := s.proven(sum, squares); all && together > one+1e-9*(1+math.Abs(one)) {
			t.Fatalf("%d hotkeys prove %v, one proves %v", parts, together, one)
		}
	})
}

// slowEdge is edge from its definition, one miner at a time.
func slowEdge(s *Scheme, d *Day, miner int) (sum, risk float64) {
	net := map[int32]float64{}
	for i, m := range d.Miner {
		line := d.Closing[d.Game[i]]
		if c := line[d.Outcome[i]]; int(m) == miner && c >= 1 {
			book := 0.0
			for _, o := range line {
				if o >= 1 {
					book += 1 / o
				}
			}
			taken := 1 / d.Odds[i] / book
			if d.Chance != nil && d.Chance[i] > 0 {
				taken = d.Chance[i]
			}
			gain := d.Wager[i] * (1/c/book - (1+s.EdgeHurdle)*taken)
			if gain > 0 {
				gain *= min(max(d.Raw[i], 0), 1)
			}
			net[d.Game[i]] += gain
		}
	}
	for _, x := range net {
		sum, risk = sum+x, risk+x*x
	}
	return sum, math.Sqrt(risk)
}

func TestEdgeTwin(t *testing.T) {
	out := new(Components)
	rapid.Check(t, func(t *rapid.T) {
		s := Robust()
		d := drawDay(t, 5)
		if d.Raw == nil {
			d.Raw = make([]float64, len(d.Miner))
		}
		for range d.Miner {
			d.Chance = append(d.Chance, rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(0.01, 1)).Draw(t, "chance"))
		}
		if err := s.Components(d, out); err != nil {
			t.Skip(err)
		}
		for m := range d.Slots {
			sum, risk := slowEdge(&s, d, m)
			if d := cmp.Diff([2]float64{sum, risk}, [2]float64{out.Composite[m], out.Risk[m]}, near); d != "" {
				t.Fatalf("miner %d: %s", m, d)
			}
		}
	})
}

// TestMinersCanBeRenumbered: what a miner's slot is changes nobody's weight.
func TestMinersCanBeRenumbered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const n = 6
		s := Robust()
		s.InactivityDays, s.MinActiveShare = 0, 0
		order := rapid.Permutation([]int{0, 1, 2, 3, 4, 5}).Draw(t, "order")
		var before, after [][]float64
		for range 12 {
			edges, moved := make([]float64, n), make([]float64, n)
			for m, at := range order {
				edges[m] = float64(rapid.IntRange(-50, 100).Draw(t, "edge"))
				moved[at] = edges[m]
			}
			before, after = append(before, edges), append(after, moved)
		}
		a, b := roundOf(n).edges(before...), roundOf(n).edges(after...)
		x, y := new(Result), new(Result)
		if err := errors.Join(s.Round(a, x), s.Round(b, y)); err != nil {
			t.Fatal(err)
		}
		for m, at := range order {
			if math.Abs(x.Weights[m]-y.Weights[at]) > 1e-12 {
				t.Fatalf("slot %d as %d: %v, then %v", m, at, x.Weights[m], y.Weights[at])
			}
		}
	})
}

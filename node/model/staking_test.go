package model

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bettensor/node/bet"
)

func TestKellyVectors(t *testing.T) {
	data, err := os.ReadFile("../../testdata/wire/kelly_vesting.json")
	if err != nil {
		t.Fatal(err)
	}
	type row struct{ P, Odds, Fraction, Out float64 }
	var v struct {
		Original []row `json:"kelly_original"`
		Correct  []row `json:"kelly_correct_decimal_odds"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Original) == 0 || len(v.Correct) == 0 {
		t.Fatal("no vectors")
	}
	for _, r := range v.Original {
		if got := KellyOriginal(r.P, r.Odds, r.Fraction); math.Abs(got-r.Out) > 1e-15 {
			t.Errorf("original %+v: %v", r, got)
		}
	}
	for _, r := range v.Correct {
		if got := Kelly(r.P, r.Odds, r.Fraction); math.Abs(got-r.Out) > 1e-15 {
			t.Errorf("correct %+v: %v", r, got)
		}
	}
	if got := KellyOriginal(1, 1e9, 1); got != 0.5 {
		t.Errorf("the original stakes at most a half, got %v", got)
	}
}

// TestKellyTwin finds the wager that makes the bankroll grow fastest by search.
func TestKellyTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.Float64Range(0.01, 0.98).Draw(t, "p")
		odds := rapid.Float64Range(1.05, 20).Draw(t, "odds")
		growth := func(f float64) float64 { return p*math.Log1p(f*(odds-1)) + (1-p)*math.Log1p(-f) }
		lo, hi := 0.0, 0.999999 // growth is concave: thirds
		for range 200 {
			a, b := lo+(hi-lo)/3, hi-(hi-lo)/3
			if growth(a) < growth(b) {
				lo = a
			} else {
				hi = b
			}
		}
		if got := Kelly(p, odds, 1); math.Abs(got-lo) > 1e-5 {
			t.Fatalf("Kelly(%v, %v) = %v, search finds %v", p, odds, got, lo)
		}
	})
}

func TestKellyRefuses(t *testing.T) {
	for _, c := range [][2]float64{{math.NaN(), 2}, {0.5, math.NaN()}, {1.1, 2}, {-0.1, 2}, {0.5, 1}, {0.5, 0.5}} {
		if got := Kelly(c[0], c[1], 1); got != 0 {
			t.Errorf("Kelly(%v, %v) = %v", c[0], c[1], got)
		}
	}
}

var noon = time.Date(2025, 3, 8, 12, 0, 0, 0, time.UTC)

func drawStaking(t *rapid.T) Staking {
	s := Staking{
		Fraction: rapid.Float64Range(0, 1).Draw(t, "kelly"),
		Bankroll: bet.Cents(rapid.Int64Range(1_00, 100_000_00).Draw(t, "bankroll")),
		MinEdge:  rapid.Float64Range(-0.1, 0.1).Draw(t, "edge"),
		MinBet:   bet.Cents(rapid.Int64Range(0, 50_00).Draw(t, "min")),
		Pace:     rapid.Float64Range(0, 24).Draw(t, "pace"),
		Top:      rapid.IntRange(1, 10).Draw(t, "top"),
	}
	s.MaxBet = s.MinBet + bet.Cents(rapid.Int64Range(1, 500_00).Draw(t, "max"))
	s.MaxDay = s.MaxBet + bet.Cents(rapid.Int64Range(0, 900_00).Draw(t, "day"))
	return s
}

func TestStake(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawStaking(t)
		var cs []Candidate
		for range rapid.IntRange(0, 30).Draw(t, "n") {
			cs = append(cs, Candidate{
				Game:    bet.GameID(fmt.Sprint(rapid.IntRange(1, 20).Draw(t, "game"))),
				Start:   noon.Add(time.Duration(rapid.IntRange(1, 3).Draw(t, "start")) * time.Hour),
				Outcome: bet.Outcome(rapid.IntRange(0, 2).Draw(t, "outcome")),
				P:       rapid.Float64Range(0, 1).Draw(t, "p"),
				Odds:    rapid.Float64Range(1.01, 9).Draw(t, "odds"),
			})
		}
		remaining := bet.Cents(rapid.Int64Range(0, int64(bet.DailyBudget)).Draw(t, "remaining"))
		now := noon.Add(time.Duration(rapid.IntRange(-720, 719).Draw(t, "minute")) * time.Minute)
		allowance := s.Allowance(now, remaining)
		if spent := bet.DailyBudget - remaining; allowance > remaining || allowance > 0 && spent+allowance > s.MaxDay {
			t.Fatalf("allowance %d of %d, %d spent, %d a day", allowance, remaining, spent, s.MaxDay)
		}
		other := slices.Clone(cs)
		picks := s.Stake(cs, allowance)

		var total bet.Cents
		seen := map[bet.GameID]bool{}
		for _, p := range picks {
			total += p.Wager
			if p.Wager < max(1, s.MinBet) || p.Wager > s.MaxBet {
				t.Fatalf("wager %d outside %d to %d", p.Wager, s.MinBet, s.MaxBet)
			}
			if seen[p.Game] {
				t.Fatalf("game %s twice", p.Game)
			}
			seen[p.Game] = true
			i := slices.IndexFunc(cs, func(c Candidate) bool {
				return c.Game == p.Game && c.Outcome == p.Outcome && c.P == p.Confidence
			})
			if i < 0 || cs[i].Edge() < s.MinEdge {
				t.Fatalf("pick %+v is no candidate with an edge", p)
			}
			if kelly := Kelly(cs[i].P, cs[i].Odds, s.Fraction) * float64(s.Bankroll); float64(p.Wager) > kelly {
				t.Fatalf("wager %d is above Kelly's %v", p.Wager, kelly)
			}
		}
		if total > allowance || len(picks) > s.Top {
			t.Fatalf("%d picks of %d cents, allowed %d of %d", len(picks), total, s.Top, allowance)
		}

		// Any order of the same candidates ends in the same picks.
		slices.SortFunc(other, func(a, b Candidate) int {
			return cmp.Or(cmp.Compare(a.Game, b.Game), cmp.Compare(a.P, b.P), cmp.Compare(a.Odds, b.Odds), cmp.Compare(a.Outcome, b.Outcome))
		})
		if d := gocmp.Diff(picks, s.Stake(other, allowance)); d != "" {
			t.Fatal(d)
		}
	})
}

func TestStakeLimits(t *testing.T) {
	s := Staking{Fraction: 1, Bankroll: 1000_00, MinBet: 10_00, MaxBet: 400_00, MaxDay: 1000_00, Top: 3}
	c := func(game string, o bet.Outcome, p, odds float64) Candidate {
		return Candidate{Game: bet.GameID(game), Start: noon, Outcome: o, P: p, Odds: odds}
	}
	for _, x := range []struct {
		name      string
		in        []Candidate
		allowance bet.Cents
		want      []Pick
	}{
		{"one wager a game, the better one", []Candidate{c("1", bet.Away, 0.55, 2), c("1", bet.Home, 0.6, 2)}, 1000_00, []Pick{{"1", bet.Home, 199_99, 0.6}}},
		{"best edge first, the last cut to what is left", []Candidate{c("1", 0, 0.6, 2), c("2", 0, 0.9, 2)}, 500_00, []Pick{{"2", 0, 400_00, 0.9}, {"1", 0, 100_00, 0.6}}},
		{"too little left for the least wager", []Candidate{c("1", 0, 0.6, 2), c("2", 0, 0.9, 2)}, 409_99, []Pick{{"2", 0, 400_00, 0.9}}},
		{"a wager below the least is left out", []Candidate{c("1", 0, 0.504, 2)}, 1000_00, nil},
		{"no more than top", []Candidate{c("1", 0, 0.6, 2), c("2", 0, 0.6, 2), c("3", 0, 0.6, 2), c("4", 0, 0.6, 2)}, 1000_00, []Pick{{"1", 0, 199_99, 0.6}, {"2", 0, 199_99, 0.6}, {"3", 0, 199_99, 0.6}}},
	} {
		if d := gocmp.Diff(x.want, s.Stake(x.in, x.allowance)); d != "" {
			t.Errorf("%s: %s", x.name, d)
		}
	}
}

func TestAllowancePace(t *testing.T) {
	s := Staking{MaxDay: 900_00, Pace: 18}
	day := noon.Add(-12 * time.Hour)
	for _, c := range []struct {
		name      string
		at        time.Duration
		remaining bet.Cents
		want      bet.Cents
	}{
		{"first hour", 0, 1000_00, 50_00},
		{"at noon", 12 * time.Hour, 1000_00, 650_00},
		{"at noon, some spent", 12 * time.Hour, 700_00, 350_00},
		{"all released", 17 * time.Hour, 1000_00, 900_00},
		{"late", 23 * time.Hour, 1000_00, 900_00},
		{"spent ahead of the pace", time.Hour, 800_00, 0},
		{"little remains", 23 * time.Hour, 150_00, 50_00},
	} {
		if got := s.Allowance(day.Add(c.at), c.remaining); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestSigmoid(t *testing.T) {
	for _, c := range []struct {
		name              string
		confidence        []float64
		least, most, cash bet.Cents
		top               int
		want              []bet.Cents
	}{
		// 1/(1+e^-10(c-.5)): .9820, .5, .0180 of 1.5.
		{"shares", []float64{0.9, 0.5, 0.1}, 1_00, 1000_00, 1000_00, 3, []bet.Cents{654_68, 333_33, 11_99}},
		{"pool is the lesser of maximum and cash", []float64{0.7, 0.7}, 1_00, 100_00, 1000_00, 2, []bet.Cents{50_00, 50_00}},
		{"top only", []float64{0.7, 0.7, 0.7}, 1_00, 100_00, 1000_00, 2, []bet.Cents{50_00, 50_00, 0}},
		{"raised to the minimum, then scaled", []float64{0.9, 0.1}, 20_00, 100_00, 100_00, 2, []bet.Cents{83_08, 16_92}},
		{"short of cash goes below the minimum", []float64{0.6, 0.6, 0.6}, 20_00, 1000_00, 50_00, 3, []bet.Cents{16_67, 16_67, 16_66}},
		{"no cash", []float64{0.6}, 20_00, 1000_00, 0, 3, []bet.Cents{0}},
	} {
		got := make([]bet.Cents, len(c.confidence))
		Sigmoid(got, c.confidence, c.least, c.most, c.cash, c.top)
		if d := gocmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		confidence := rapid.SliceOfN(rapid.Float64Range(0, 1), 1, 20).Draw(t, "confidence")
		slices.SortFunc(confidence, func(a, b float64) int { return cmp.Compare(b, a) })
		cash := bet.Cents(rapid.Int64Range(0, 1000_00).Draw(t, "cash"))
		out := make([]bet.Cents, len(confidence))
		Sigmoid(out, confidence, bet.Cents(rapid.Int64Range(0, 30_00).Draw(t, "least")), 1000_00, cash, rapid.IntRange(0, 20).Draw(t, "top"))
		var total bet.Cents
		for _, w := range out {
			if w < 0 {
				t.Fatalf("wager %d", w)
			}
			total += w
		}
		if total > cash {
			t.Fatalf("%d of %d", total, cash)
		}
	})
}

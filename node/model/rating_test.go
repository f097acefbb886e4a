package model

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bettensor/node/bet"
)

// league is a double round of n teams with known strengths, a round a week, with
// fair opening prices that are a little wrong and closing prices that are right
// but for a margin of 5 %. It is made up from the seed.
func league(n int, seed uint64) []*bet.Game {
	rng := rand.New(rand.NewPCG(seed, 0))
	attack := make([]float64, n)
	for i := range attack {
		attack[i] = 0.35 * rng.NormFloat64()
	}
	var games []*bet.Game
	round := 0
	for leg := range 2 {
		for r := range n - 1 {
			for k := range n / 2 { // the circle method
				a, b := (r+k)%(n-1), (r+n-1-k)%(n-1)
				if k == 0 {
					b = n - 1
				}
				if leg == 1 {
					a, b = b, a
				}
				truth := Goals(math.Exp(math.Log(1.2)+0.22+attack[a]-attack[b]), math.Exp(math.Log(1.2)+attack[b]-attack[a]))
				g := &bet.Game{
					ID:    bet.GameID(fmt.Sprint(100000 + len(games))),
					Sport: "Soccer", League: "made up",
					TeamA: fmt.Sprintf("Team %c", 'A'+a), TeamB: fmt.Sprintf("Team %c", 'A'+b),
					Start:  noon.AddDate(0, 0, 7*round).Add(time.Duration(k%3) * 2 * time.Hour),
					CanTie: true, Active: true,
				}
				u := rng.Float64()
				for o, p := range truth {
					g.Closing[o] = 1 / (p * 1.05)
					g.Odds[o] = g.Closing[o] * math.Exp(0.15*rng.NormFloat64())
					if u -= p; u < 0 {
						g.Outcome, u = bet.Outcome(o), 2
					}
				}
				games = append(games, g)
			}
			round++
		}
	}
	return games
}

// finish is the game with its result, as a feed tells it later.
func finish(g *bet.Game) *bet.Game {
	c := *g
	c.Status, c.Active, c.ResultAt = bet.Finished, false, g.Start.Add(2*time.Hour)
	return &c
}

func raters() *history {
	return newHistory(
		&elo{k: 20, home: 65, tie: 0.27, least: 1},
		&poisson{rate: 0.15, base: math.Log(1.2), home: math.Log(1.25), devig: Proportional, least: 1},
	)
}

// forecasts of every pairing, as the ratings stand.
func forecasts(h *history, games []*bet.Game) []Probs {
	h.current()
	var ps []Probs
	for i := range h.raters {
		for _, g := range games {
			p, _ := h.forecast(i, g)
			ps = append(ps, p)
		}
	}
	return ps
}

func TestDavidson(t *testing.T) {
	if p := Davidson(0, 0.3); math.Abs(p[bet.Tie]-0.3) > 1e-12 || p[bet.Home] != p[bet.Away] {
		t.Errorf("equals: %v, want a tie in 0.3", p)
	}
	if p := Davidson(400, 0); math.Abs(p[bet.Home]/p[bet.Away]-10) > 1e-9 || p[bet.Tie] != 0 {
		t.Errorf("400 points: %v, want ten to one and no tie", p)
	}
	if p := Davidson(65, 0.27); math.Abs(p[bet.Home]-0.43) > 0.02 || math.Abs(p[bet.Away]-0.30) > 0.02 {
		t.Errorf("at home: %v, want about 43 to 30", p)
	}
}

func TestEloZeroSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := &elo{k: 20, home: 65, tie: 0.27}
		e.grow(6)
		for range rapid.IntRange(1, 100).Draw(t, "games") {
			pair := rapid.Permutation([]int32{0, 1, 2, 3, 4, 5}).Draw(t, "teams")
			before := slices.Clone(e.points)
			r := &result{home: pair[0], away: pair[1], outcome: bet.Outcome(rapid.IntRange(0, 2).Draw(t, "outcome")), canTie: true}
			e.learn(r)
			if r.outcome == bet.Home && e.points[r.home] <= before[r.home] || r.outcome == bet.Away && e.points[r.away] <= before[r.away] {
				t.Fatal("the winner's rating did not rise")
			}
		}
		sum := 0.0
		for _, x := range e.points {
			sum += x
		}
		if math.Abs(sum) > 1e-9 {
			t.Fatalf("ratings sum to %v", sum)
		}
	})
}

func TestMeans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		home := rapid.Float64Range(0.2, 4.5).Draw(t, "home")
		away := rapid.Float64Range(0.2, 4.5).Draw(t, "away")
		h, a, ok := Means(Goals(home, away))
		if !ok || math.Abs(h-home) > 1e-4 || math.Abs(a-away) > 1e-4 {
			t.Fatalf("goals %v, %v come back as %v, %v, %v", home, away, h, a, ok)
		}
	})
	for _, p := range []Probs{{}, {0.5, 0.5, 0}, {0.05, 0.05, 0.9}, {math.NaN(), 0.3, 0.3}} {
		if h, a, ok := Means(p); ok {
			if q := Goals(h, a); math.Abs(q[0]-p[0]) > 1e-6 {
				t.Errorf("means of %v give %v", p, q)
			}
		}
	}
	if _, _, ok := Means(Probs{0.5, 0.5, 0}); ok {
		t.Error("a sport that cannot tie has no goals")
	}
}

// TestGoalsTwin sums the whole table of scores.
func TestGoalsTwin(t *testing.T) {
	pois := func(m float64, n int) float64 {
		lg, _ := math.Lgamma(float64(n + 1))
		return math.Exp(float64(n)*math.Log(m) - m - lg)
	}
	rapid.Check(t, func(t *rapid.T) {
		home := rapid.Float64Range(0.02, 8).Draw(t, "home")
		away := rapid.Float64Range(0.02, 8).Draw(t, "away")
		var want Probs
		for x := range 60 {
			for y := range 60 {
				o := bet.Tie
				if x > y {
					o = bet.Home
				} else if x < y {
					o = bet.Away
				}
				want[o] += pois(home, x) * pois(away, y)
			}
		}
		got := Goals(home, away)
		for o := range got {
			if math.Abs(got[o]-want[o]) > 2e-4 {
				t.Fatalf("Goals(%v, %v) = %v, table %v", home, away, got, want)
			}
		}
	})
}

// TestHistoryOrder: in whatever order the results come, corrections and
// withdrawals among them, the ratings are those of a restart that sees the final
// results in order.
func TestHistoryOrder(t *testing.T) {
	games := league(6, 1)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, len(games)).Draw(t, "games")
		live, again := raters(), raters()
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		final := make([]*bet.Game, n)
		for _, i := range rapid.Permutation(order).Draw(t, "order") {
			g := finish(games[i])
			final[i] = g
			switch rapid.IntRange(0, 5).Draw(t, "then") {
			case 0: // told wrong at first
				wrong := *g
				wrong.Outcome = (g.Outcome + 1) % 3
				live.observe(&wrong)
				if rapid.Bool().Draw(t, "used") {
					live.current()
				}
			case 1: // told, then withdrawn
				live.observe(g)
				void := *g
				void.Status = bet.Void
				g, final[i] = &void, &void
			case 2: // told twice
				live.observe(g)
			}
			live.observe(g)
		}
		for _, g := range final {
			again.observe(g)
		}
		if again.stale {
			t.Fatal("results in order need no replay")
		}
		if d := cmp.Diff(forecasts(again, games), forecasts(live, games)); d != "" {
			t.Fatal(d)
		}
	})
}

// TestHistoryUnrelated: results of unrelated teams are learnt as they come.
func TestHistoryUnrelated(t *testing.T) {
	games := league(6, 1)
	a, b := raters(), raters()
	round := games[:3] // everyone plays once
	for i := range round {
		a.observe(finish(round[i]))
		b.observe(finish(round[len(round)-1-i]))
	}
	if a.stale || b.stale {
		t.Error("unrelated games wait for a replay")
	}
	if d := cmp.Diff(forecasts(a, games), forecasts(b, games)); d != "" {
		t.Error(d)
	}
}

// TestHistoryFold: beyond maxResults the log stays short and the ratings are
// those of all results.
func TestHistoryFold(t *testing.T) {
	whole, folding := &elo{k: 20, home: 65, tie: 0.27}, &elo{k: 20, home: 65, tie: 0.27}
	h := newHistory(folding)
	whole.grow(2)
	var first *bet.Game
	for i := range maxResults + 100 {
		g := &bet.Game{
			ID: bet.GameID(fmt.Sprint(i)), TeamA: "A", TeamB: "B", Start: noon.Add(time.Duration(i) * time.Hour),
			Status: bet.Finished, Outcome: bet.Outcome(i * i % 3), CanTie: true,
		}
		if i == 0 {
			first = g
		}
		h.observe(g)
		whole.learn(&result{home: 0, away: 1, outcome: g.Outcome, canTie: true})
	}
	if len(h.log) > maxResults || len(h.byID) != len(h.log) {
		t.Errorf("%d results kept, %d by ID", len(h.log), len(h.byID))
	}
	h.observe(first) // folded: must not count again
	h.current()
	if d := cmp.Diff(whole.points, folding.points); d != "" {
		t.Error(d)
	}
	if folding.games[0] != maxResults+100 {
		t.Errorf("%d games", folding.games[0])
	}
}

// TestRatingsLearn: after a season both ratings know the strong from the weak.
func TestRatingsLearn(t *testing.T) {
	games := league(10, 7)
	h := raters()
	half := len(games) / 2
	for _, g := range games[:half] {
		h.observe(finish(g))
	}
	var loss [2]float64
	var none float64
	for _, g := range games[half:] {
		truth, _ := Fair(Proportional, g.Closing)
		for i := range loss {
			p, ok := h.forecast(i, g)
			if !ok {
				t.Fatalf("rater %d does not know %s and %s", i, g.TeamA, g.TeamB)
			}
			for o := range p {
				loss[i] += (p[o] - truth[o]) * (p[o] - truth[o])
			}
		}
		base := Goals(1.5, 1.2)
		for o := range base {
			none += (base[o] - truth[o]) * (base[o] - truth[o])
		}
	}
	t.Logf("squared error to the truth: no rating %.3f, elo %.3f, poisson %.3f", none, loss[0], loss[1])
	if loss[0] > 0.9*none || loss[1] > 0.5*none {
		t.Errorf("squared error to the truth: no rating %.3f, elo %.3f, poisson %.3f", none, loss[0], loss[1])
	}
}

package market

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"bettensor/node/bet"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func twoLeagues(t testing.TB, seed uint64) *Market {
	t.Helper()
	m, ps := FromFiles([]File{sample(t, "two-leagues.csv")}, seed, FileOptions{})
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	return m
}

// TestLifeOfAGame follows one game of a file: 8 days before kick-off it opens at
// the opening odds, moves every 6 hours, closes at kick-off at the closing odds and
// is finished 2 hours later.
func TestLifeOfAGame(t *testing.T) {
	m := twoLeagues(t, 1)
	f := m.Fixture("100001")
	at := func(d time.Duration) (bet.Game, bool) { return m.Game(f.ID, f.Start.Add(d)) }
	if _, ok := at(-8*24*time.Hour - time.Second); ok {
		t.Error("known before it opens")
	}
	g, ok := at(-8 * 24 * time.Hour)
	want := bet.Game{
		ID: f.ID, Sport: "Soccer", League: "coast-league", TeamA: "Alderton", TeamB: "Birchwick", CanTie: true,
		Created: f.Opens, Updated: f.Opens, Start: f.Start, Active: true, Odds: f.Open, OddsAt: f.Opens, Outcome: bet.Unfinished,
	}
	if d := cmp.Diff(want, g); d != "" || !ok {
		t.Error("opening:", d)
	}
	for k := 1; k < 32; k++ {
		step := f.Opens.Add(time.Duration(k) * 6 * time.Hour)
		before, _ := m.Game(f.ID, step.Add(-time.Second))
		after, _ := m.Game(f.ID, step)
		if before.Odds != after.Odds && !after.OddsAt.Equal(step) {
			t.Errorf("step %d: odds at %s", k, after.OddsAt)
		}
		if late, _ := m.Game(f.ID, step.Add(6*time.Hour-time.Second)); late.Odds != after.Odds {
			t.Errorf("moved between steps %d and %d", k, k+1)
		}
	}
	g, _ = at(-time.Second)
	if !g.Active || g.Closing != (bet.Odds{}) {
		t.Errorf("just before kick-off: %+v", g)
	}
	g, _ = at(0)
	want.Active, want.Odds, want.OddsAt, want.Closing, want.Updated = false, f.Close, f.Start, f.Close, f.Start
	if d := cmp.Diff(want, g); d != "" {
		t.Error("kick-off:", d)
	}
	g, _ = at(2*time.Hour - time.Second)
	if d := cmp.Diff(want, g); d != "" {
		t.Error("playing:", d)
	}
	g, _ = at(2 * time.Hour)
	want.Status, want.Outcome, want.ResultAt, want.Updated = bet.Finished, bet.Home, f.ResultAt, f.ResultAt
	if d := cmp.Diff(want, g); d != "" {
		t.Error("result:", d)
	}
}

// TestChanges compares polls at any instants with the obvious twin: every game
// whose state differs between the two instants, or whose news lies between.
func TestChanges(t *testing.T) {
	made, err := Synthetic(mishaps(), utc("2030-01-07 00:00"), 6*7*24*time.Hour, 3)
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]*Market{"files": twoLeagues(t, 1), "made up": made} {
		t.Run(name, func(t *testing.T) {
			start, end := m.Span()
			rapid.Check(t, func(t *rapid.T) {
				span := int64(end.Sub(start)/time.Second) + 86400
				since := start.Add(time.Duration(rapid.Int64Range(-86400, span).Draw(t, "since")) * time.Second)
				now := since.Add(time.Duration(rapid.Int64Range(0, 20*86400).Draw(t, "until")) * time.Second)
				var want []bet.Game
				for _, f := range m.Fixtures() {
					g, ok := m.Game(f.ID, now)
					if ok && g.Updated.After(since) {
						want = append(want, g)
					}
					if before, had := m.Game(f.ID, since); ok && !g.Updated.After(since) && (!had || before != g) {
						t.Fatalf("%s changed without news: %s", f.ID, cmp.Diff(before, g))
					}
				}
				if d := cmp.Diff(want, m.Changes(since, now)); d != "" {
					t.Fatal(d)
				}
			})
		})
	}
}

// TestChangesAdd: polling hour by hour leads to what one look at the end shows.
func TestChangesAdd(t *testing.T) {
	m, err := Synthetic(mishaps(), utc("2030-01-07 00:00"), 21*24*time.Hour, 3)
	if err != nil {
		t.Fatal(err)
	}
	start, end := m.Span()
	known := map[bet.GameID]bet.Game{}
	for since, now := (time.Time{}), start; !now.After(end); since, now = now, now.Add(time.Hour) {
		for _, g := range m.Changes(since, now) {
			known[g.ID] = g
		}
	}
	all := m.Changes(time.Time{}, end)
	if len(all) != len(m.Fixtures()) || len(known) != len(all) {
		t.Fatalf("%d games, %d known, %d fixtures", len(all), len(known), len(m.Fixtures()))
	}
	for i, g := range all {
		if d := cmp.Diff(g, known[g.ID]); d != "" {
			t.Error(d)
		}
		if g.ID != m.Fixtures()[i].ID {
			t.Errorf("game %d is %s", i, g.ID)
		}
	}
}

func TestFixture(t *testing.T) {
	m := twoLeagues(t, 1)
	for _, id := range []bet.GameID{"", "99999", "100005", "0100000", "+100000", "100000 ", "x"} {
		if m.Fixture(id) != nil {
			t.Errorf("%q is a fixture", id)
		}
		if _, _, ok := m.Line(id); ok {
			t.Errorf("%q has a line", id)
		}
		if _, ok := m.Game(id, utc("2040-01-01 00:00")); ok {
			t.Errorf("%q is a game", id)
		}
	}
	open, close, ok := m.Line("100004")
	if f := m.Fixture("100004"); !ok || open != f.Open || close != f.Close {
		t.Error(open, close, ok)
	}
}

// paths are the odds of every step of every game by league and teams.
func paths(m *Market) map[string][]bet.Odds {
	out := map[string][]bet.Odds{}
	for _, f := range m.Fixtures() {
		for at := f.Opens; !at.After(f.KickOff()); at = at.Add(Step) {
			g, _ := m.Game(f.ID, at)
			key := f.League + f.TeamA + f.TeamB + f.Start.String()
			out[key] = append(out[key], g.Odds)
		}
	}
	return out
}

// TestAnotherLeagueMovesNoLine: a game's line hangs on the seed and the game.
func TestAnotherLeagueMovesNoLine(t *testing.T) {
	alone := paths(twoLeagues(t, 7))
	m, ps := FromFiles([]File{sample(t, "football-data.csv"), sample(t, "two-leagues.csv")}, 7, FileOptions{})
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	merged := paths(m)
	for key, line := range alone {
		if d := cmp.Diff(line, merged[key]); d != "" {
			t.Errorf("%s: %s", key, d)
		}
	}
	if cmp.Equal(alone, paths(twoLeagues(t, 8))) {
		t.Error("another seed gives the same lines")
	}
}

func TestBridge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sides := rapid.IntRange(2, 3).Draw(t, "sides")
		quote := rapid.Custom(func(t *rapid.T) (o bet.Odds) {
			var p [3]float64
			var sum float64
			for i := range sides {
				p[i] = rapid.Float64Range(0.02, 1).Draw(t, "weight")
				sum += p[i]
			}
			for i := range sides {
				o[i] = max(sum/p[i]/rapid.Float64Range(0.98, 1.1).Draw(t, "book"), 1.02)
			}
			return o
		})
		open, close := quote.Draw(t, "open"), quote.Draw(t, "close")
		odds := make([]bet.Odds, rapid.IntRange(2, 60).Draw(t, "points"))
		for k := range odds {
			odds[k][bet.Tie] = 9 // what a buffer held before
		}
		noise := rapid.Float64Range(0, 0.05).Draw(t, "noise")
		bridge(odds, open, close, noise, rand.New(rand.NewPCG(1, rapid.Uint64().Draw(t, "seed"))))
		if odds[0] != open || odds[len(odds)-1] != close {
			t.Fatalf("from %v to %v became %v to %v", open, close, odds[0], odds[len(odds)-1])
		}
		from, to := bookSum(open), bookSum(close)
		for k, o := range odds {
			for i, x := range o {
				if i < sides && !(x >= bet.MinOdds && !math.IsInf(x, 0)) || i >= sides && x != 0 {
					t.Fatalf("point %d: %v", k, o)
				}
			}
			// Prices near 1 are rounded coarsely: there the sum may be off by a tick.
			share := float64(k) / float64(len(odds)-1)
			if want := from + share*(to-from); math.Abs(bookSum(o)-want) > 0.03 {
				t.Fatalf("point %d: book sum %g, want %g", k, bookSum(o), want)
			}
		}
	})
}

// TestBridgeWithoutNoiseIsStraight in log odds.
func TestBridgeWithoutNoiseIsStraight(t *testing.T) {
	odds := make([]bet.Odds, 3)
	bridge(odds, bet.Odds{2, 2, 0}, bet.Odds{4, 4.0 / 3, 0}, 0, rand.New(rand.NewPCG(1, 1)))
	// ln halfway: 2.828 and 1.633, whose book sum 0.966 is scaled to 1.
	if d := cmp.Diff(bet.Odds{2.73, 1.58, 0}, odds[1]); d != "" {
		t.Error(d)
	}
}

func TestImplied(t *testing.T) {
	for _, c := range []struct {
		odds bet.Odds
		want [3]float64
	}{
		{bet.Odds{2, 4, 4}, [3]float64{0.5, 0.25, 0.25}},
		{bet.Odds{1.6, 1.6, 0}, [3]float64{0.5, 0.5, 0}},
		{bet.Odds{}, [3]float64{}},
	} {
		if got := Implied(c.odds); got != c.want {
			t.Errorf("%v: %v", c.odds, got)
		}
	}
}

func BenchmarkChanges(b *testing.B) {
	m := realMatches(b)
	start, end := m.Span()
	b.ReportAllocs()
	now := start
	games := 0
	for b.Loop() {
		next := now.Add(time.Hour)
		games += len(m.Changes(now, next))
		if now = next; now.After(end) {
			now = start
		}
	}
	b.ReportMetric(float64(games)/float64(b.N), "games/op")
}

func BenchmarkFromFiles(b *testing.B) {
	files := realFiles(b)
	b.ReportAllocs()
	for b.Loop() {
		FromFiles(files, 1, FileOptions{})
	}
}

// TestMovesTellNothing: how far a line has moved says little of where it goes: the
// slope of the moves to come over the moves so far is near 0. (A straight line
// would have a slope of 1 halfway.)
func TestMovesTellNothing(t *testing.T) {
	ratio := func(o bet.Odds) float64 { return math.Log(o[bet.Away] / o[bet.Home]) }
	for name, market := range map[string]func(testing.TB) *Market{
		"real":    realMatches,
		"made up": func(t testing.TB) *Market { return made(t, DefaultConfig(), "2030-01-07 00:00", 3*365, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			m := market(t)
			var xy, xx float64
			for _, f := range m.Fixtures() {
				half, _ := m.Game(f.ID, f.Opens.Add(OpensBefore/2))
				if !f.CanTie || !f.PostponedAt.IsZero() {
					continue
				}
				x, y := ratio(half.Odds)-ratio(f.Open), ratio(f.Close)-ratio(half.Odds)
				xy, xx = xy+x*y, xx+x*x
			}
			if slope := xy / xx; math.Abs(slope) > 0.2 {
				t.Errorf("slope %.3f", slope)
			}
		})
	}
}

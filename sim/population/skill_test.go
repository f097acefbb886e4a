package population

import (
	"slices"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/model"
)

// TestKnowledgePays: over a made-up season of 20 weeks the return on what was
// wagered, judged by the probabilities the results are drawn from (so that luck has
// no part in it), follows what a kind knows.
func TestKnowledgePays(t *testing.T) {
	m := testMarket(t, 140)
	back := map[string]float64{}
	wagered := map[string]float64{}
	clv := map[string]float64{}
	for name, picks := range everyPick(t, 1, m, m, nil) {
		kind := name[:len(name)-2]
		for _, p := range picks {
			f := m.Fixture(p.Game)
			w := float64(p.Wager)
			wagered[kind] += w
			back[kind] += w * f.Truth[p.Outcome] * p.Odds
			clv[kind] += w * p.Odds / f.Close[p.Outcome]
		}
	}
	for _, k := range Kinds() {
		if k.Name != "idle" {
			t.Logf("%-11s wagered $%6.0f a day and miner, expected return %+.1f %%, odds taken / closing odds %.3f",
				k.Name, wagered[k.Name]/100/140/2, 100*(back[k.Name]/wagered[k.Name]-1), clv[k.Name]/wagered[k.Name])
		}
	}
	roi := func(kind string) float64 { return back[kind]/wagered[kind] - 1 }
	if !(roi("sharp") > roi("skilled") && roi("skilled") > 0.02) {
		t.Error("knowledge does not pay")
	}
	// The overround is 3 to 7 %: who knows no more than the price pays it.
	for _, kind := range []string{"average", "random", "favourite", "late"} {
		if r := roi(kind); r < -0.07 || r > -0.02 {
			t.Errorf("%s returns %+.3f", kind, r)
		}
	}
	if d := roi("underbudget") - roi("skilled"); d < -0.01 || d > 0.01 {
		t.Error("underbudget is not as skilled as skilled")
	}
	// Two miners, 140 days, $900: nearly all of it, for there is hardly a day
	// without a price up to 2.2.
	if w := wagered["skilled"] / (2 * 140 * 900_00); w < 0.95 || w > 1 {
		t.Errorf("skilled wagers %.3f of its stake", w)
	}
}

// BenchmarkDecision is one daily decision over the games within reach.
func BenchmarkDecision(b *testing.B) {
	m := testMarket(b, 28)
	now := monday.AddDate(0, 0, 10)
	all := m.Changes(time.Time{}, now)
	var games []*bet.Game
	for i := range all {
		if all[i].Active {
			games = append(games, &all[i])
		}
	}
	slices.SortStableFunc(games, func(x, y *bet.Game) int { return x.Start.Compare(y.Start) })
	for _, kind := range []string{"skilled", "sharp", "random", "favourite"} {
		b.Run(kind, func(b *testing.B) {
			b.ReportAllocs()
			p, err := New(kind, map[string]float64{"minute": 0}, "m", 1, &World{Market: m})
			if err != nil {
				b.Fatal(err)
			}
			book := &model.Book{Games: games, Remaining: bet.DailyBudget, Placed: func(bet.GameID) []model.Placed { return nil }}
			for b.Loop() {
				// Another day at the same instant: as if nothing had been decided.
				switch p := p.(type) {
				case *spread:
					p.once = onceADay{}
				case *sharp:
					p.once = onceADay{}
				}
				if len(p.Picks(now, book)) == 0 {
					b.Fatal("no picks")
				}
			}
			b.ReportMetric(float64(len(games)), "games")
		})
	}
}

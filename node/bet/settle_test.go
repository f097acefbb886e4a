package bet

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const hour = time.Hour

func finished(o Outcome) Game {
	g := sampleGame()
	g.Status, g.Outcome, g.ResultAt = Finished, o, g.Start.Add(2*hour)
	g.Updated = g.ResultAt.Add(time.Minute)
	return g
}

func samplePrediction() Prediction {
	return Prediction{ID: "p", Hotkey: "bob", Game: "1234567", Outcome: Home, Odds: 1.91, Wager: 100_00, Received: noon, Confidence: -1}
}

func TestSettle(t *testing.T) {
	won := samplePrediction()
	won.State, won.Payout, won.Settled = Won, 191_00, finished(Home).ResultAt
	open := samplePrediction()
	tests := []struct {
		name    string
		from    Prediction
		game    func() Game
		state   State
		payout  Cents
		profit  Cents
		changed bool
	}{
		{"scheduled", open, sampleGame, Open, 0, 0, false},
		{"won", open, func() Game { return finished(Home) }, Won, 191_00, 91_00, true},
		{"lost", open, func() Game { return finished(Away) }, Lost, 0, -100_00, true},
		{"lost to a tie", open, func() Game { return finished(Tie) }, Lost, 0, -100_00, true},
		{"settled twice", won, func() Game { return finished(Home) }, Won, 191_00, 91_00, false},
		{"corrected to lost", won, func() Game { return finished(Away) }, Lost, 0, -100_00, true},
		{"corrected to void", won, func() Game { g := finished(Unfinished); g.Status = Void; return g }, Pushed, 0, 0, true},
		{"result withdrawn", won, sampleGame, Open, 0, 0, true},
		{"finished without an outcome", open, func() Game { return finished(Unfinished) }, Open, 0, 0, false},
		{"postponed", open, func() Game { g := finished(Home); g.Status = Postponed; return g }, Open, 0, 0, false},
		{"void", open, func() Game { g := finished(Home); g.Status = Void; return g }, Pushed, 0, 0, true},
		{"another game", won, func() Game { g := finished(Away); g.ID = "1"; return g }, Won, 191_00, 91_00, false},
		{"same result at another time", won, func() Game { g := finished(Home); g.ResultAt = g.ResultAt.Add(hour); return g }, Won, 191_00, 91_00, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			from, g := tt.from, tt.game()
			got, changed := Settle(&from, &g)
			if got.State != tt.state || got.Payout != tt.payout || got.Profit() != tt.profit || changed != tt.changed {
				t.Fatalf("%v payout %v profit %v changed %t, want %v %v %v %t",
					got.State, got.Payout, got.Profit(), changed, tt.state, tt.payout, tt.profit, tt.changed)
			}
			if from != tt.from {
				t.Error("the prediction given was changed")
			}
			if got.Game == g.ID {
				want := time.Time{}
				if tt.state != Open {
					want = g.ResultAt
				}
				if !got.Settled.Equal(want) {
					t.Errorf("settled %v, want %v", got.Settled, want)
				}
			}
			got.State, got.Payout, got.Settled = tt.from.State, tt.from.Payout, tt.from.Settled
			if got != tt.from {
				t.Error("more than the settlement changed")
			}
		})
	}
	t.Run("void without a time of its own", func(t *testing.T) {
		g := sampleGame()
		g.Status = Void
		if got, _ := Settle(&open, &g); !got.Settled.Equal(g.Updated) {
			t.Errorf("settled %v, want %v", got.Settled, g.Updated)
		}
	})
}

// TestSettleAsOriginal: the payouts of the original's examples.
func TestSettleAsOriginal(t *testing.T) {
	raw, err := os.ReadFile("../../testdata/wire/example_games_predictions.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Settlement []struct {
			Predicted, Actual   Outcome
			Wager, Odds, Payout float64
		}
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Settlement) == 0 {
		t.Fatal("no rows")
	}
	for _, c := range v.Settlement {
		p := samplePrediction()
		p.Outcome, p.Odds = c.Predicted, c.Odds
		p.Wager, _ = RoundCents(c.Wager)
		g := finished(c.Actual)
		got, _ := Settle(&p, &g)
		if want, _ := RoundCents(c.Payout); got.Payout != want {
			t.Errorf("%+v: payout %v", c, got.Payout)
		}
	}
}

func drawGame(t *rapid.T) Game {
	g := sampleGame()
	g.Status = Status(rapid.IntRange(0, 3).Draw(t, "status"))
	if g.Status == Finished {
		g.Outcome = Outcome(rapid.IntRange(0, 3).Draw(t, "outcome"))
	}
	if rapid.Bool().Draw(t, "dated") {
		g.ResultAt = g.Start.Add(time.Duration(rapid.IntRange(0, 72).Draw(t, "hours")) * hour)
	}
	return g
}

// TestSettleConverges: it is idempotent, and whatever corrections came before,
// in whatever order, and however often, the last one alone decides.
func TestSettleConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := samplePrediction()
		p.Outcome = Outcome(rapid.IntRange(0, 2).Draw(t, "pick"))
		news := rapid.SliceOfN(rapid.Custom(drawGame), 1, 6).Draw(t, "news")
		last := news[len(news)-1]
		want, _ := Settle(&p, &last)

		got := p
		for _, i := range rapid.SliceOf(rapid.IntRange(0, len(news)-1)).Draw(t, "order") {
			got, _ = Settle(&got, &news[i])
		}
		got, _ = Settle(&got, &last)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		if again, changed := Settle(&got, &last); changed || again != got {
			t.Fatal("settled a second time")
		}
	})
}

// TestMoneyIsConserved: over the three outcomes of a game, what miners win or
// lose is what was paid out less what was wagered, to the cent; nobody open or
// pushed has won or lost anything, and no payout is off by more than half a cent.
func TestMoneyIsConserved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGame(t)
		var wagered, paid, profit Cents
		for range rapid.IntRange(1, 20).Draw(t, "predictions") {
			p := samplePrediction()
			p.Outcome = Outcome(rapid.IntRange(0, 2).Draw(t, "pick"))
			p.Wager = Cents(rapid.Int64Range(1, 1000_00).Draw(t, "wager"))
			p.Odds = rapid.Float64Range(MinOdds, 1000).Draw(t, "odds")
			p, _ = Settle(&p, &g)
			switch p.State {
			case Won, Lost:
				wagered, paid = wagered+p.Wager, paid+p.Payout
				exact := float64(p.Wager) * p.Odds
				if p.State == Lost && p.Payout != 0 || p.State == Won && math.Abs(float64(p.Payout)-exact) > 0.5000001 {
					t.Fatalf("payout %v of %v at %v", p.Payout, p.Wager, p.Odds)
				}
			default:
				if p.Payout != 0 || p.Profit() != 0 {
					t.Fatalf("%v, but payout %v and profit %v", p.State, p.Payout, p.Profit())
				}
			}
			profit += p.Profit()
		}
		if profit != paid-wagered {
			t.Fatalf("profit %v, paid %v of %v", profit, paid, wagered)
		}
	})
}

func TestBettable(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*Game)
		want bool
	}{
		{"as it is", func(*Game) {}, true},
		{"started", func(g *Game) { g.Start = noon }, false},
		{"not active", func(g *Game) { g.Active = false }, false},
		{"postponed", func(g *Game) { g.Status = Postponed }, false},
		{"void", func(g *Game) { g.Status = Void }, false},
		{"finished", func(g *Game) { g.Status = Finished }, false},
		{"no odds", func(g *Game) { g.Odds = Odds{} }, false},
		{"odds too low", func(g *Game) { g.Odds[Away] = 1.009 }, false},
		{"odds NaN", func(g *Game) { g.Odds[Home] = math.NaN() }, false},
		{"odds infinite", func(g *Game) { g.Odds[Home] = math.Inf(1) }, false},
		{"tie not priced", func(g *Game) { g.Odds[Tie] = 0 }, true},
		{"tie priced too low", func(g *Game) { g.Odds[Tie] = 1 }, false},
		{"tie priced where there is none", func(g *Game) { g.CanTie = false }, false},
		{"no tie", noTie, true},
	} {
		g := sampleGame()
		tt.edit(&g)
		if got := g.Bettable(noon); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

func TestClosingFrom(t *testing.T) {
	g := sampleGame()
	g.Closing = Odds{2, 2, 3}
	odds := Odds{1.5, 3, 4}
	for _, tt := range []struct {
		name string
		at   time.Time
		want Odds
	}{
		{"before the start", g.Start.Add(-1), odds},
		{"at the start", g.Start, odds},
		{"after the start", g.Start.Add(1), g.Closing},
		{"at no time", time.Time{}, g.Closing},
	} {
		if got := g.ClosingFrom(odds, tt.at); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	g.Start = time.Time{}
	if got := g.ClosingFrom(odds, noon); got != g.Closing {
		t.Errorf("without a start: %v", got)
	}
}

// TestDay: days are UTC, before 1970 as well.
func TestDay(t *testing.T) {
	for _, tt := range []struct {
		at   time.Time
		want string
	}{
		{time.Date(2025, 3, 8, 0, 0, 0, 0, time.UTC), "2025-03-08"},
		{time.Date(2025, 3, 8, 23, 59, 59, 999_999_999, time.UTC), "2025-03-08"},
		{time.Date(2025, 3, 9, 0, 30, 0, 0, time.FixedZone("CET", 3600)), "2025-03-08"},
		{time.Date(1969, 12, 31, 23, 59, 59, 0, time.UTC), "1969-12-31"},
		{time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC), "1969-12-31"},
	} {
		if got := DayOf(tt.at).String(); got != tt.want {
			t.Errorf("%v is on %s, want %s", tt.at, got, tt.want)
		}
	}
	days := []Day{DayOf(noon), DayOf(noon.AddDate(0, 0, 1))}
	if !slices.IsSorted(days) || days[1].Start() != days[0].Start().Add(24*hour) {
		t.Errorf("days %v", days)
	}
}

func BenchmarkSettle(b *testing.B) {
	p, g := samplePrediction(), finished(Home)
	b.ReportAllocs()
	for b.Loop() {
		if _, changed := Settle(&p, &g); !changed {
			b.Fatal("unchanged")
		}
	}
}

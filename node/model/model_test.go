package model

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bettensor/node/bet"
)

// season plays games hourly as a miner would: it shows the model what is new,
// keeps the budget, and asks at every Wake as well.
type season struct {
	games  []*bet.Game
	placed map[bet.GameID][]Placed
	picks  []Pick
	at     []time.Time
	spent  map[bet.Day]bet.Cents
}

func (s *season) book(now time.Time) *Book {
	b := &Book{
		Remaining: bet.DailyBudget - s.spent[bet.DayOf(now)],
		Placed:    func(id bet.GameID) []Placed { return s.placed[id] },
	}
	for _, g := range s.games {
		if g.Start.After(now) && g.Start.Sub(now) < 8*24*time.Hour {
			b.Games = append(b.Games, g)
		}
	}
	slices.SortFunc(b.Games, func(a, c *bet.Game) int {
		if d := a.Start.Compare(c.Start); d != 0 {
			return d
		}
		return strings.Compare(string(a.ID), string(c.ID))
	})
	return b
}

func (s *season) ask(t *testing.T, m Model, now time.Time) {
	b := s.book(now)
	starts := map[bet.GameID]*bet.Game{}
	for _, g := range b.Games {
		starts[g.ID] = g
	}
	for _, p := range m.Picks(now, b) {
		g := starts[p.Game]
		switch {
		case g == nil:
			t.Fatalf("%v: pick on %s, which is not in the book", now, p.Game)
		case s.placed[p.Game] != nil:
			t.Fatalf("%v: second pick on %s", now, p.Game)
		case p.Wager <= 0 || p.Wager > b.Remaining:
			t.Fatalf("%v: wager %d of %d", now, p.Wager, b.Remaining)
		case !(g.Odds[p.Outcome] > 1):
			t.Fatalf("%v: %v of %s has no price", now, p.Outcome, p.Game)
		case p.Confidence != -1 && !(p.Confidence > 0 && p.Confidence <= 1):
			t.Fatalf("%v: confidence %v", now, p.Confidence)
		}
		s.placed[p.Game] = append(s.placed[p.Game], Placed{p.Game, p.Outcome, p.Wager, now})
		s.spent[bet.DayOf(now)] += p.Wager
		b.Remaining -= p.Wager
		s.picks, s.at = append(s.picks, p), append(s.at, now)
	}
}

func play(t *testing.T, m Model, games []*bet.Game) *season {
	s := &season{games: games, placed: map[bet.GameID][]Placed{}, spent: map[bet.Day]bet.Cents{}}
	for _, g := range games {
		m.Observe(noon, g)
	}
	pending := slices.Clone(games)
	end := games[len(games)-1].Start.Add(48 * time.Hour)
	for now := games[0].Start.Add(-8 * 24 * time.Hour); now.Before(end); now = now.Add(time.Hour) {
		pending = slices.DeleteFunc(pending, func(g *bet.Game) bool {
			done := !now.Before(g.Start.Add(2 * time.Hour))
			if done {
				m.Observe(now, finish(g))
			}
			return done
		})
		s.ask(t, m, now)
		for at := now; ; {
			next := m.Wake(at, s.book(at))
			if next.IsZero() || !next.Before(now.Add(time.Hour)) {
				break
			}
			if !next.After(at) {
				t.Fatalf("Wake at %v names %v", at, next)
			}
			at = next
			s.ask(t, m, at)
		}
	}
	return s
}

// TestSeason: every model wagers on a small league, within its budget, once a
// game, and the same again from the same stream.
func TestSeason(t *testing.T) {
	games := league(10, 3)
	games[7].Odds = bet.Odds{} // never priced
	var picksFile strings.Builder
	picksFile.WriteString("home,away,outcome,wager\n")
	for _, g := range games[:20] {
		picksFile.WriteString(g.TeamA + "," + g.TeamB + ",home,30\n")
	}
	for _, info := range Names() {
		t.Run(info.Name, func(t *testing.T) {
			run := func() *season {
				m, err := New(info.Name, nil, rand.New(rand.NewPCG(1, 2)))
				if err != nil {
					t.Fatal(err)
				}
				if m.Name() != info.Name {
					t.Errorf("name %q", m.Name())
				}
				if f, ok := m.(*File); ok {
					if err := f.Replace("picks.csv", []byte(picksFile.String())); err != nil {
						t.Fatal(err)
					}
				}
				return play(t, m, games)
			}
			s := run()
			var wagered, back bet.Cents
			days := map[bet.Day]bool{}
			for i, p := range s.picks {
				wagered += p.Wager
				days[bet.DayOf(s.at[i])] = true
				for _, g := range games {
					if g.ID == p.Game && g.Outcome == p.Outcome {
						back += bet.Cents(float64(p.Wager) * g.Odds[p.Outcome])
					}
				}
			}
			t.Logf("%d picks on %d days, $%d wagered, ROI %+.3f", len(s.picks), len(days), wagered/100, float64(back)/float64(wagered)-1)
			if len(s.picks) < 10 {
				t.Errorf("only %d picks in %d games", len(s.picks), len(games))
			}
			if s.placed[games[7].ID] != nil {
				t.Error("a game without odds was picked")
			}
			if d := cmp.Diff(s.picks, run().picks); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestRestart: a model made anew and shown the known games again picks as the
// one that saw them live.
func TestRestart(t *testing.T) {
	games := league(10, 3)
	for _, info := range Names() {
		live, _ := New(info.Name, nil, rand.New(rand.NewPCG(1, 2)))
		again, _ := New(info.Name, nil, rand.New(rand.NewPCG(1, 2)))
		half := len(games) / 2
		for _, g := range games {
			live.Observe(noon, g)
		}
		now := games[half].Start.Add(-20 * time.Minute)
		for i := half - 1; i >= 0; i-- {
			live.Observe(now, finish(games[i]))
		}
		for i, g := range games {
			if i < half {
				g = finish(g)
			}
			again.Observe(now, g)
		}
		s := season{games: games}
		if d := cmp.Diff(live.Picks(now, s.book(now)), again.Picks(now, s.book(now))); d != "" {
			t.Errorf("%s: %s", info.Name, d)
		}
	}
}

func game(id string, start time.Time, odds bet.Odds) *bet.Game {
	return &bet.Game{
		ID: bet.GameID(id), Sport: "Soccer", TeamA: "Home " + id, TeamB: "Away " + id,
		Start: start, CanTie: odds[bet.Tie] > 0, Active: true, Odds: odds,
	}
}

func must(t testing.TB, name string, params map[string]float64) Model {
	t.Helper()
	m, err := New(name, params, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestFavourite(t *testing.T) {
	evening := noon.Add(6 * time.Hour)
	s := season{games: []*bet.Game{
		game("1", evening, bet.Odds{1.5, 6, 4}),
		game("2", evening, bet.Odds{3.1, 2.2, 3.3}),
		game("3", evening.Add(2*time.Hour), bet.Odds{1.9, 1.9, 0}),
		game("4", evening.Add(24*time.Hour), bet.Odds{2, 1.8, 0}),
	}, placed: map[bet.GameID][]Placed{}, spent: map[bet.Day]bet.Cents{}}
	m := must(t, "favourite", map[string]float64{"lead": 10, "jitter": 0, "max_bet": 500, "max_day": 900})

	if got := m.Picks(noon, s.book(noon)); got != nil {
		t.Errorf("six hours before: %v", got)
	}
	due := evening.Add(-10 * time.Minute)
	if got := m.Wake(noon, s.book(noon)); !got.Equal(due) {
		t.Errorf("wakes at %v, want %v", got, due)
	}
	if at := due.Add(time.Minute); !m.Wake(at, s.book(at)).Equal(due.Add(2 * time.Hour)) {
		t.Errorf("a game that is due already is named again: %v", m.Wake(at, s.book(at)))
	}
	s.ask(t, m, due)
	// Three games of today share $900.
	want := []Pick{{"1", bet.Home, 300_00, s.picks[0].Confidence}, {"2", bet.Away, 300_00, s.picks[1].Confidence}}
	if d := cmp.Diff(want, s.picks); d != "" {
		t.Error(d)
	}
	if got := m.Wake(due, s.book(due)); !got.Equal(due.Add(2 * time.Hour)) {
		t.Errorf("then wakes at %v", got)
	}
	if got := m.Picks(due, s.book(due)); got != nil {
		t.Errorf("asked again: %v", got)
	}

	t.Run("too late to arrive", func(t *testing.T) {
		s := season{games: s.games[:1]}
		late := evening.Add(-lastCall + time.Second)
		if got := m.Picks(late, s.book(late)); got != nil {
			t.Errorf("%v", got)
		}
	})
	t.Run("no money waits for midnight", func(t *testing.T) {
		midnight := nextMidnight(noon)
		s := season{games: []*bet.Game{game("5", midnight.Add(5*time.Minute), bet.Odds{1.5, 6, 4})}, spent: map[bet.Day]bet.Cents{bet.DayOf(noon): bet.DailyBudget}}
		at := midnight.Add(-5 * time.Minute)
		if got := m.Picks(at, s.book(at)); got != nil {
			t.Errorf("picks %v without money", got)
		}
		if got := m.Wake(at, s.book(at)); !got.Equal(midnight) {
			t.Errorf("wakes at %v, want %v", got, midnight)
		}
	})
	t.Run("jitter differs by game and miner, within its bound", func(t *testing.T) {
		dues := map[time.Duration]bool{}
		for seed := range uint64(3) {
			m, _ := New("favourite", map[string]float64{"lead": 10, "jitter": 20}, rand.New(rand.NewPCG(seed, 0)))
			for _, g := range s.games {
				before := g.Start.Sub(m.(*kickoff).due(g))
				if before < 10*time.Minute || before >= 30*time.Minute {
					t.Errorf("due %v before kick-off", before)
				}
				dues[before] = true
			}
		}
		if len(dues) != 3*len(s.games) {
			t.Errorf("%d different times of %d", len(dues), 3*len(s.games))
		}
	})
}

func TestContrarian(t *testing.T) {
	for _, c := range []struct {
		name string
		odds bet.Odds
		want bet.Outcome
		ok   bool
	}{
		{"longest price within the cap", bet.Odds{1.5, 5.8, 4.2}, bet.Away, true},
		{"outsider beyond the cap", bet.Odds{1.3, 11, 5.5}, bet.Tie, true},
		{"all beyond the cap", bet.Odds{1.1, 21, 10}, 0, false},
		{"no clear favourite", bet.Odds{2.5, 2.9, 3.3}, 0, false},
		{"two sides", bet.Odds{2.9, 1.4, 0}, bet.Home, true},
		{"not priced", bet.Odds{}, 0, false},
	} {
		got, p, ok := contrarian(Shin, 0.5, 6)(game("1", noon, c.odds))
		if got != c.want && c.ok || ok != c.ok || ok && !(p > 0 && p < 0.5) {
			t.Errorf("%s: %v with %v, %v", c.name, got, p, ok)
		}
	}
}

// TestValueNeedsRating: no rating, no opinion, no wager.
func TestValueNeedsRating(t *testing.T) {
	s := season{games: []*bet.Game{game("1", noon.Add(5*time.Hour), bet.Odds{1.5, 30, 30})}}
	for _, name := range []string{"value", "elo", "poisson", "blend"} {
		if got := must(t, name, map[string]float64{"min_edge": -1}).Picks(noon, s.book(noon)); got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestValueSide: the wager is on the side with the edge and by that side's
// price, which the original got wrong for the away side.
func TestValueSide(t *testing.T) {
	m := must(t, "elo", map[string]float64{"min_games": 5, "elo_home": 0, "pace": 0, "min_bet": 0.01, "max_bet": 1000})
	g := game("9", noon.Add(5*time.Hour), bet.Odds{1.9, 2.4, 0})
	for i := range 20 {
		won := game("x", noon.Add(-time.Duration(100-i)*time.Hour), bet.Odds{})
		won.ID += bet.GameID(rune('a' + i))
		won.TeamA, won.TeamB = g.TeamB, g.TeamA
		won.Outcome = bet.Home // the away side of g wins them all
		m.Observe(noon, finish(won))
	}
	s := season{games: []*bet.Game{g}}
	picks := m.Picks(noon, s.book(noon))
	if len(picks) != 1 || picks[0].Outcome != bet.Away {
		t.Fatalf("picks %v, want away", picks)
	}
	want := bet.Cents(Kelly(picks[0].Confidence, 2.4, 0.25) * 1000_00)
	if picks[0].Wager != want || picks[0].Confidence < 0.6 {
		t.Errorf("pick %+v, want wager %d", picks[0], want)
	}
}

func TestNew(t *testing.T) {
	for _, c := range []struct {
		name, model string
		params      map[string]float64
		want        error
		says        []string
	}{
		{"unknown model", "favorite", nil, ErrUnknownModel, []string{`did you mean "favourite"`}},
		{"unknown parameters, all", "value", map[string]float64{"min_egde": 1, "bankrol": 1}, ErrUnknownParam, []string{"model value: unknown parameter \"bankrol\", did you mean \"bankroll\"?\nmodel value: unknown parameter \"min_egde\", did you mean \"min_edge\"?"}},
		{"out of range", "value", map[string]float64{"kelly": 2}, ErrParamRange, []string{"kelly = 2, want 0 to 1"}},
		{"not a number", "value", map[string]float64{"kelly": math.NaN()}, ErrParamRange, []string{"kelly"}},
		{"limits crossed", "value", map[string]float64{"min_bet": 200, "max_bet": 100}, ErrParamRange, []string{"min_bet <= max_bet"}},
	} {
		m, err := New(c.model, c.params, nil)
		if m != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v", c.name, m, err)
			continue
		}
		for _, s := range c.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s: %q does not say %q", c.name, err, s)
			}
		}
	}
}

// TestNames: the tables are complete, sorted, and their defaults are allowed.
func TestNames(t *testing.T) {
	var names []string
	for _, info := range Names() {
		names = append(names, info.Name)
		if info.Doc == "" {
			t.Errorf("%s has no doc", info.Name)
		}
		seen := map[string]bool{}
		for _, p := range info.Params {
			if p.Name == "" || p.Unit == "" || p.Doc == "" || seen[p.Name] || !(p.Min <= p.Default && p.Default <= p.Max) {
				t.Errorf("%s: %+v", info.Name, p)
			}
			seen[p.Name] = true
		}
		must(t, info.Name, nil)
	}
	if !slices.IsSorted(names) {
		t.Errorf("not in order: %v", names)
	}
}

// BenchmarkPicks asks each model about 40 games, all of which it has an opinion
// of; the one allocation is the result.
func BenchmarkPicks(b *testing.B) {
	games := league(10, 3)
	past, open := games[:50], games[50:90]
	for _, info := range Names() {
		b.Run(info.Name, func(b *testing.B) {
			m := must(b, info.Name, nil)
			var book Book
			book.Remaining = bet.DailyBudget
			book.Placed = func(bet.GameID) []Placed { return nil }
			now := noon.AddDate(1, 0, 0).Add(11 * time.Hour)
			var lines strings.Builder
			lines.WriteString("game_id,outcome,wager\n")
			for i, g := range open {
				c := *g
				c.Start = now.Add(10*time.Minute + time.Duration(i)*time.Second)
				book.Games = append(book.Games, &c)
				lines.WriteString(string(c.ID) + ",home,10\n")
			}
			for _, g := range past {
				m.Observe(now, finish(g))
			}
			if f, ok := m.(*File); ok {
				if err := f.Replace("picks.csv", []byte(lines.String())); err != nil {
					b.Fatal(err)
				}
			}
			if len(m.Picks(now, &book)) == 0 {
				b.Fatal("no picks")
			}
			if n := testing.AllocsPerRun(10, func() { m.Picks(now, &book) }); n > 1 {
				b.Fatalf("%v allocations", n)
			}
			b.ReportAllocs()
			for b.Loop() {
				m.Picks(now, &book)
			}
		})
	}
}

// TestExpectedProfit: where opening prices are wrong at random and the margin is
// 5 %, what follows closing prices or the blend expects a profit by the truth and
// what follows the price expects to pay the margin. (Elo alone does about even.)
func TestExpectedProfit(t *testing.T) {
	for _, c := range []struct {
		model    string
		min, max float64
	}{{"blend", 0.02, 0.2}, {"poisson", 0.02, 0.2}, {"favourite", -0.1, -0.02}} {
		var wagered, profit float64
		for seed := range uint64(10) {
			games := league(10, 100+seed)
			for _, p := range play(t, must(t, c.model, nil), games).picks {
				g := games[slices.IndexFunc(games, func(g *bet.Game) bool { return g.ID == p.Game })]
				truth, _ := Fair(Proportional, g.Closing)
				wagered += float64(p.Wager)
				profit += float64(p.Wager) * (truth[p.Outcome]*g.Odds[p.Outcome] - 1)
			}
		}
		if got := profit / wagered; !(got > c.min && got < c.max) {
			t.Errorf("%s expects %+.3f, want %v to %v", c.model, got, c.min, c.max)
		}
	}
}

package population

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/model"
	"bettensor/sim/market"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var monday = time.Date(2030, 1, 7, 0, 0, 0, 0, time.UTC)

func testMarket(t testing.TB, days int) *market.Market {
	t.Helper()
	cfg := market.DefaultConfig()
	cfg.PostponedShare, cfg.AbandonedShare = 0.05, 0.01
	m, err := market.Synthetic(cfg, monday, time.Duration(days)*24*time.Hour, 4)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func build(t testing.TB, kind, name string, seed uint64, w *World) model.Model {
	t.Helper()
	m, err := New(kind, nil, name, seed, w)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// placed is a pick with what the world around it was.
type placed struct {
	At time.Time
	model.Pick
	Odds float64
}

// player is a miner around a model: it keeps the book as the real one does.
type player struct {
	model.Model
	name   string
	wake   time.Time
	book   map[bet.GameID][]model.Placed
	spent  map[bet.Day]bet.Cents
	picked []placed
}

func newPlayer(name string, m model.Model) *player {
	return &player{Model: m, name: name, book: map[bet.GameID][]model.Placed{}, spent: map[bet.Day]bet.Cents{}}
}

// ask has the model decide at now, and fails the test where it breaks a rule.
func (p *player) ask(t testing.TB, now time.Time, games []*bet.Game) {
	t.Helper()
	day := bet.DayOf(now)
	b := &model.Book{Games: games, Remaining: bet.DailyBudget - p.spent[day], Placed: func(id bet.GameID) []model.Placed { return p.book[id] }}
	for _, k := range p.Picks(now, b) {
		i := slices.IndexFunc(games, func(g *bet.Game) bool { return g.ID == k.Game })
		if i < 0 || !games[i].Active || !games[i].Start.After(now) {
			t.Fatalf("%s picks %s at %s, which is not offered", p.name, k.Game, now)
		}
		if k.Outcome > bet.Tie || k.Outcome == bet.Tie && !games[i].CanTie || games[i].Odds[k.Outcome] < bet.MinOdds {
			t.Fatalf("%s picks %s of %+v", p.name, k.Outcome, games[i])
		}
		if k.Wager <= 0 || !(k.Confidence == -1 || k.Confidence >= 0 && k.Confidence <= 1) {
			t.Fatalf("%s picks %+v", p.name, k)
		}
		p.spent[day] += k.Wager
		p.book[k.Game] = append(p.book[k.Game], model.Placed{Game: k.Game, Outcome: k.Outcome, Wager: k.Wager, At: now})
		p.picked = append(p.picked, placed{now, k, games[i].Odds[k.Outcome]})
	}
	if p.spent[day] > bet.DailyBudget {
		t.Fatalf("%s wagers %d cents on %s", p.name, p.spent[day], day)
	}
	if p.wake = p.Wake(now, b); !p.wake.IsZero() && !p.wake.After(now) {
		t.Fatalf("%s wants to wake at %s, at %s", p.name, p.wake, now)
	}
}

// world runs players over a market: an hourly feed, and wakes on time. order
// shuffles in what order games are shown, if it is not nil.
func run(t testing.TB, m *market.Market, players []*player, order *rand.Rand) {
	t.Helper()
	known := map[bet.GameID]*bet.Game{}
	start, end := m.Span()
	var since time.Time
	poll := start
	for now := start; !now.After(end); {
		if now.Equal(poll) {
			news := m.Changes(since, now)
			since, poll = now, now.Add(time.Hour)
			if order != nil {
				order.Shuffle(len(news), func(i, j int) { news[i], news[j] = news[j], news[i] })
			}
			for i := range news {
				known[news[i].ID] = &news[i]
				for _, p := range players {
					p.Observe(now, &news[i])
				}
			}
		}
		var games []*bet.Game
		for _, g := range known {
			if g.Active && g.Start.After(now) {
				games = append(games, g)
			} else if g.Status != bet.Scheduled {
				delete(known, g.ID)
			}
		}
		slices.SortFunc(games, func(a, b *bet.Game) int {
			if c := a.Start.Compare(b.Start); c != 0 {
				return c
			}
			return strings.Compare(string(a.ID), string(b.ID))
		})
		next := poll
		for _, p := range players {
			p.ask(t, now, games)
			if !p.wake.IsZero() && p.wake.Before(next) {
				next = p.wake
			}
		}
		now = next
	}
}

// everyKind is two miners of each kind.
func everyKind(t testing.TB, seed uint64, w *World) (players []*player) {
	for _, k := range kinds {
		for i := range 2 {
			name := fmt.Sprintf("%s-%d", k.Name, i)
			players = append(players, newPlayer(name, build(t, k.Name, name, seed, w)))
		}
	}
	return players
}

func everyPick(t testing.TB, seed uint64, m *market.Market, l Lines, order *rand.Rand) map[string][]placed {
	players := everyKind(t, seed, &World{Market: l, Board: &Board{}})
	run(t, m, players, order)
	out := map[string][]placed{}
	for _, p := range players {
		out[p.name] = p.picked
	}
	return out
}

// TestRules runs every kind for three weeks; ask checks budget, offer and wake.
func TestRules(t *testing.T) {
	for name, picks := range everyPick(t, 1, testMarket(t, 21), testMarket(t, 21), nil) {
		if idle := strings.HasPrefix(name, "idle"); idle != (len(picks) == 0) {
			t.Errorf("%s made %d picks", name, len(picks))
		}
		if !strings.HasPrefix(name, "sharp") && !strings.HasPrefix(name, "late") {
			continue
		}
		games := map[bet.GameID]bool{}
		for _, p := range picks {
			if games[p.Game] {
				t.Errorf("%s backs game %s twice", name, p.Game)
			}
			games[p.Game] = true
		}
	}
}

func TestSameSeedSamePicks(t *testing.T) {
	m := testMarket(t, 14)
	first := everyPick(t, 1, m, m, nil)
	if d := cmp.Diff(first, everyPick(t, 1, m, m, rand.New(rand.NewPCG(1, 2)))); d != "" {
		t.Error("games shown in another order:", d)
	}
	other := everyPick(t, 2, m, m, nil)
	for _, k := range []string{"skilled-0", "sharp-0", "average-0", "random-0", "underbudget-0"} {
		if cmp.Equal(first[k], other[k]) {
			t.Errorf("%s: another seed, the same picks", k)
		}
		if cmp.Equal(first[k], first[strings.Replace(k, "0", "1", 1)]) {
			t.Errorf("%s: another miner, the same picks", k)
		}
	}
}

// TestPicksDoNotDependOnOthers: a miner alone decides as among others.
func TestPicksDoNotDependOnOthers(t *testing.T) {
	m := testMarket(t, 14)
	all := everyPick(t, 1, m, m, nil)
	for _, kind := range []string{"skilled", "sharp", "average", "random", "favourite", "late", "underbudget"} {
		name := kind + "-1"
		p := newPlayer(name, build(t, kind, name, 1, &World{Market: m}))
		// The wakes of others are instants at which it is not asked now.
		run(t, m, []*player{p}, nil)
		if d := cmp.Diff(all[name], p.picked); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// noResults is a market whose games all end otherwise.
func TestPicksDoNotDependOnResults(t *testing.T) {
	m, changed := testMarket(t, 14), testMarket(t, 14)
	differ := 0
	for i := range changed.Fixtures() {
		f := &changed.Fixtures()[i]
		if f.Result != bet.Unfinished {
			f.Result = (f.Result + 1) % 2
			f.Truth = [3]float64{}
			differ++
		}
	}
	if differ < 50 {
		t.Fatalf("only %d results changed", differ)
	}
	if d := cmp.Diff(everyPick(t, 1, m, m, nil), everyPick(t, 1, changed, changed, nil)); d != "" {
		t.Error(d)
	}
}

// TestRestart: a model built anew at any hour, on the miner's book, goes on as the
// old one would have. Sharp is left out: where it found nothing worth a wager its
// book does not show that it looked, and it looks again.
func TestRestart(t *testing.T) {
	m := testMarket(t, 10)
	w := &World{Market: m, Board: &Board{}}
	steady := everyKind(t, 1, w)
	run(t, m, steady, nil)
	w = &World{Market: m, Board: &Board{}}
	restarting := everyKind(t, 1, w)
	for _, p := range restarting {
		kind := p.Name()
		p.Model = &restarted{p.Model, func() model.Model { return build(t, kind, p.name, 1, w) }}
	}
	run(t, m, restarting, nil)
	for i, p := range steady {
		if p.Name() == "sharp" {
			continue
		}
		if d := cmp.Diff(p.picked, restarting[i].picked); d != "" {
			t.Errorf("%s: %s", p.name, d)
		}
	}
}

// restarted is a model that forgets everything before each question.
type restarted struct {
	model.Model
	build func() model.Model
}

func (r *restarted) Picks(now time.Time, b *model.Book) []model.Pick {
	r.Model = r.build()
	return r.Model.Picks(now, b)
}

func TestBook(t *testing.T) {
	game := func(id int, start time.Time, canTie bool, odds bet.Odds) *bet.Game {
		return &bet.Game{ID: bet.GameID(fmt.Sprint(id)), Start: start, CanTie: canTie, Odds: odds, Active: true}
	}
	rapid.Check(t, func(t *rapid.T) {
		now := monday.Add(time.Duration(rapid.IntRange(0, 86399).Draw(t, "second")) * time.Second)
		price := rapid.SampledFrom([]float64{0, -1, 1, 1.005, 1.01, 1.5, 2.2, 2.21, 40, math.NaN(), math.Inf(1)})
		var games []*bet.Game
		lines := testLines{}
		at := now
		for i := range rapid.IntRange(0, 12).Draw(t, "games") {
			at = at.Add(time.Duration(rapid.IntRange(0, 100000).Draw(t, "gap")) * time.Second)
			g := game(market.FirstID+i, at, rapid.Bool().Draw(t, "can tie"), bet.Odds{price.Draw(t, "a"), price.Draw(t, "b"), price.Draw(t, "c")})
			games = append(games, g)
			if rapid.Bool().Draw(t, "known") {
				lines[g.ID] = bet.Odds{2, 3, 4}
			}
		}
		remaining := bet.Cents(rapid.SampledFrom([]int64{0, 1, 7, 500, 90000, 100000}).Draw(t, "remaining"))
		kind := rapid.SampledFrom(kinds).Draw(t, "kind")
		w := &World{Market: lines, Board: &Board{}, Leader: "x"}
		for range 8 {
			w.Board.post("x", now.Add(-time.Hour), []model.Pick{{Game: "100001", Outcome: bet.Home, Wager: 30000}})
		}
		m, err := New(kind.Name, nil, "m", 1, w)
		if err != nil {
			t.Fatal(err)
		}
		b := &model.Book{Games: games, Remaining: remaining, Placed: func(bet.GameID) []model.Placed { return nil }}
		var sum bet.Cents
		for _, p := range m.Picks(now, b) {
			sum += p.Wager
			i := slices.IndexFunc(games, func(g *bet.Game) bool { return g.ID == p.Game })
			if p.Wager <= 0 || i < 0 || !priced(games[i], p.Outcome) || !games[i].Start.After(now) {
				t.Fatalf("%s: %+v", kind.Name, p)
			}
		}
		if sum > remaining {
			t.Fatalf("%s wagers %d of %d cents", kind.Name, sum, remaining)
		}
	})
}

// testLines gives every game it holds the same opening and closing odds.
type testLines map[bet.GameID]bet.Odds

func (l testLines) Line(id bet.GameID) (open, close bet.Odds, ok bool) {
	o, ok := l[id]
	return o, o, ok
}

func TestKinds(t *testing.T) {
	var names []string
	for _, k := range Kinds() {
		names = append(names, k.Name)
		if m, err := New(k.Name, nil, "m", 1, &World{Market: testLines{}, Board: &Board{}}); Raw(k.Name) != (err != nil) || err == nil && m.Name() != k.Name {
			t.Errorf("%s: %v", k.Name, err)
		}
		if k.About == "" || Raw(k.Name) != k.Raw {
			t.Errorf("%s: %+v", k.Name, k)
		}
		for _, p := range k.Params {
			if !(p.Min <= p.Default && p.Default <= p.Max) || p.About == "" {
				t.Errorf("%s: %+v", k.Name, p)
			}
			for _, x := range []float64{p.Min - 1, p.Max + 1, math.NaN()} {
				if _, err := New(k.Name, map[string]float64{p.Name: x}, "m", 1, &World{}); err == nil || !strings.Contains(err.Error(), p.Name+": expected") {
					t.Errorf("%s %s=%g: %v", k.Name, p.Name, x, err)
				}
			}
		}
		if _, err := New(k.Name, map[string]float64{"dayly": 1}, "m", 1, &World{}); err == nil || !strings.Contains(err.Error(), `unknown parameter "dayly"`) {
			t.Errorf("%s: %v", k.Name, err)
		}
	}
	want := []string{"skilled", "sharp", "average", "random", "favourite", "late", "copycat", "underbudget", "busy", "idle",
		"sybil", "colluder", "hedger", "dust", "squatter", "sniper",
		"latecomer", "forger", "skimmer", "duplicator", "overspender", "tamperer", "impersonator", "replayer", "flooder", "stormer", "oversizer", "garbler"}
	if d := cmp.Diff(want, names); d != "" {
		t.Error(d)
	}
	if _, err := New("sharpe", nil, "m", 1, &World{}); err == nil || !strings.Contains(err.Error(), "have: skilled, sharp") {
		t.Error(err)
	}
}

package population

import (
	"math"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/model"

	"github.com/google/go-cmp/cmp"
)

// week is a book of three match days: one with three games, one with a game whose
// prices are all long, one beyond reach. Confidence in tests is set aside.
func week() (games []*bet.Game, lines testLines) {
	lines = testLines{}
	add := func(id bet.GameID, at time.Duration, odds bet.Odds, line bet.Odds) {
		games = append(games, &bet.Game{ID: id, Start: monday.Add(at), CanTie: odds[bet.Tie] > 0, Odds: odds, Active: true})
		lines[id] = line
	}
	day := 24 * time.Hour
	add("100000", 1*day+15*time.Hour, bet.Odds{1.5, 7, 4}, bet.Odds{1.6, 6, 4})      // home falls behind the line
	add("100001", 1*day+15*time.Hour, bet.Odds{2.15, 3.6, 3.4}, bet.Odds{1.8, 4, 4}) // home is the best value ≤ 2.2
	add("100002", 1*day+20*time.Hour, bet.Odds{3, 2.3, 3.3}, bet.Odds{5, 1.5, 4})    // away is better, but above 2.2
	add("100003", 4*day, bet.Odds{2.7, 2.8, 3.1}, bet.Odds{2.7, 2.8, 3.1})
	add("100004", 9*day, bet.Odds{1.9, 1.9, 0}, bet.Odds{1.9, 1.9, 0})
	return games, lines
}

func picksOf(t *testing.T, kind string, params map[string]float64, now time.Time, remaining bet.Cents) []model.Pick {
	t.Helper()
	games, lines := week()
	m, err := New(kind, params, "m", 1, &World{Market: lines, Board: &Board{}})
	if err != nil {
		t.Fatal(err)
	}
	b := &model.Book{Games: games, Remaining: remaining, Placed: func(bet.GameID) []model.Placed { return nil }}
	picks := m.Picks(now, b)
	if again := m.Picks(now.Add(time.Second), b); kind != "late" && kind != "dust" && len(picks) > 0 && len(again) > 0 {
		t.Errorf("%s decides twice a day: %+v", kind, again)
	}
	for i := range picks {
		picks[i].Confidence = 0
	}
	return picks
}

// TestWhatKindsBack at 12:00 on Monday, with no noise.
func TestWhatKindsBack(t *testing.T) {
	noon := map[string]float64{"minute": 720, "noise": 0}
	just := map[string]float64{"minute": 720}
	at := monday.Add(12 * time.Hour)
	for _, c := range []struct {
		rule, kind string
		params     map[string]float64
		now        time.Time
		remaining  bet.Cents
		want       []model.Pick
	}{
		{"half the stake on each of two match days, nothing where all odds are long", "skilled", noon, at, 1000_00,
			[]model.Pick{{Game: "100001", Outcome: bet.Home, Wager: 450_00}}},
		{"a tenth of the stake", "underbudget", noon, at, 1000_00,
			[]model.Pick{{Game: "100001", Outcome: bet.Home, Wager: 45_00}}},
		{"the same stake on public knowledge", "average", noon, at, 1000_00,
			[]model.Pick{{Game: "100001", Outcome: bet.Home, Wager: 450_00}}},
		{"shortest price of each match day", "favourite", just, at, 1000_00,
			[]model.Pick{{Game: "100000", Outcome: bet.Home, Wager: 450_00}, {Game: "100003", Outcome: bet.Home, Wager: 450_00}}},
		{"not before its minute", "favourite", just, at.Add(-time.Second), 1000_00, nil},
		{"not again on a day on which the budget was touched", "favourite", just, at, 999_00, nil},
		{"quarter Kelly on the best edge of a game, at any odds, best first, at most the cap", "sharp",
			map[string]float64{"minute": 720, "noise": 0, "cap": 150, "bankroll": 1000}, at, 1000_00,
			[]model.Pick{
				// Line 5, 1.5, 4: away 0.597, edge 0.373 at 2.3; Kelly 0.287, a quarter of that of $1,000.
				{Game: "100002", Outcome: bet.Away, Wager: 71_75},
				// Line 1.8, 4, 4: home 0.526, edge 0.132 at 2.15; Kelly 0.114.
				{Game: "100001", Outcome: bet.Home, Wager: 28_60},
				// Line 1.6, 6, 4: away 0.16, edge 0.12 at 7; Kelly 0.02, rounded down.
				{Game: "100000", Outcome: bet.Away, Wager: 4_99},
			}},
		{"only in the last ten minutes", "late", nil, monday.Add(39*time.Hour - 10*time.Minute - time.Second), 1000_00, nil},
		{"a third of the stake on each game of the day whose turn has come", "late", nil, monday.Add(39*time.Hour - 10*time.Minute), 1000_00,
			[]model.Pick{{Game: "100000", Outcome: bet.Home, Wager: 300_00}, {Game: "100001", Outcome: bet.Home, Wager: 300_00}}},
		{"the rest on the last", "late", nil, monday.Add(44*time.Hour - 10*time.Minute), 400_00,
			[]model.Pick{{Game: "100002", Outcome: bet.Away, Wager: 300_00}}},
		{"never", "idle", nil, at, 1000_00, nil},
		{"what the second tier asks for", "squatter", just, at, 1000_00,
			[]model.Pick{{Game: "100000", Outcome: bet.Home, Wager: 287_50}, {Game: "100003", Outcome: bet.Home, Wager: 287_50}}},
		{"a cent on the shortest price of every game within reach", "dust", nil, at, 1000_00,
			[]model.Pick{{Game: "100000", Outcome: bet.Home, Wager: 1}, {Game: "100001", Outcome: bet.Home, Wager: 1},
				{Game: "100002", Outcome: bet.Away, Wager: 1}, {Game: "100003", Outcome: bet.Home, Wager: 1}}},
	} {
		t.Run(c.kind+": "+c.rule, func(t *testing.T) {
			got := picksOf(t, c.kind, c.params, c.now, c.remaining)
			if c.kind == "late" && len(got) > 0 && c.remaining == 400_00 {
				got = got[len(got)-1:] // games that have started are still in this book
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestBeliefs: the error of a belief has the size asked for, the belief is a
// probability, and it is the same on every day.
func TestBeliefs(t *testing.T) {
	n := newNoise(1, "m")
	line := bet.Odds{2, 4, 4}
	var sum, square, count float64
	for i := range 5000 {
		id := bet.GameID(time.Duration(i).String())
		p := n.belief(id, line, 0.05)
		if p != n.belief(id, line, 0.05) || math.Abs(p[0]+p[1]+p[2]-1) > 1e-12 {
			t.Fatal(p)
		}
		// Of two errors the difference is free of the renormalisation: 0.05·√2.
		d := math.Log(p[1] / p[2])
		sum, square, count = sum+d, square+d*d, count+1
	}
	if sd := math.Sqrt(square / count); math.Abs(sum/count) > 0.004 || math.Abs(sd-0.0707) > 0.003 {
		t.Errorf("mean %.4f, standard deviation %.4f", sum/count, sd)
	}
	if p := n.belief("x", bet.Odds{1.5, 3, 0}, 0.05); p[bet.Tie] != 0 {
		t.Error(p)
	}
}

// TestRandomIsUniform over games and outcomes, and drawn anew each day.
func TestRandomIsUniform(t *testing.T) {
	games, lines := week()
	games = games[:3]
	b := &base{noise: newNoise(1, "m"), world: &World{Market: lines}}
	var count [3][3]int
	const days = 9000
	for d := range days {
		c := anything(b, bet.Day(d), games)
		for i, g := range games {
			if g == c.game {
				count[i][c.outcome]++
			}
		}
	}
	for i := range count {
		for o, n := range count[i] {
			if n < days/9*85/100 || n > days/9*115/100 {
				t.Errorf("game %d outcome %d drawn %d times of %d", i, o, n, days)
			}
		}
	}
}

// TestMinutes: miners decide at different minutes, away from midnight.
func TestMinutes(t *testing.T) {
	seen := map[int]bool{}
	for i := range 500 {
		m := newNoise(1, time.Duration(i).String()).minute()
		if m < firstMinute || m > lastMinute {
			t.Errorf("minute %d", m)
		}
		seen[m] = true
	}
	if len(seen) < 350 {
		t.Errorf("500 miners share %d minutes", len(seen))
	}
}

// TestCopycat: the same outcome and wager as the leader's, an hour after it to the
// second, at the odds offered then.
func TestCopycat(t *testing.T) {
	m := testMarket(t, 14)
	w := &World{Market: m, Board: &Board{}}
	players := everyKind(t, 1, w)
	run(t, m, players, nil)
	by := map[string]*player{}
	for _, p := range players {
		by[p.name] = p
	}
	leader, copies := by["skilled-0"].picked, by["copycat-0"].picked
	if d := cmp.Diff(copies, by["copycat-1"].picked); d != "" {
		t.Error("two copycats of one leader differ:", d)
	}
	j, moved := 0, 0
	for _, p := range leader {
		if j < len(copies) && copies[j].Game == p.Game && copies[j].At.Equal(p.At.Add(time.Hour)) {
			if copies[j].Outcome != p.Outcome || copies[j].Wager != p.Wager {
				t.Errorf("%+v became %+v", p, copies[j])
			}
			if copies[j].Odds != p.Odds {
				moved++
			}
			j++
		}
	}
	// What kicks off within the hour cannot be copied; nothing else is missing.
	if j != len(copies) || j < len(leader)*8/10 || moved == 0 {
		t.Errorf("%d copies of %d picks, %d matched, %d at other odds", len(copies), len(leader), j, moved)
	}
	w = &World{Market: m, Board: &Board{}, Leader: "favourite-1"}
	players = everyKind(t, 1, w)
	run(t, m, players, nil)
	for _, p := range players {
		if p.name == "copycat-0" && (len(p.picked) == 0 || cmp.Equal(p.picked, copies)) {
			t.Error("the named leader is not followed")
		}
	}
}

// TestCopycatWakes an hour after a post; while there is none, soon enough that none
// of those to come will be older than that.
func TestCopycatWakes(t *testing.T) {
	w := &World{Market: testLines{}, Board: &Board{}, Leader: "x"}
	m, book := build(t, "copycat", "m", 1, w), &model.Book{}
	if at := m.Wake(monday, book); at.After(monday.Add(time.Hour)) || !at.After(monday) {
		t.Errorf("with nothing posted at %s", at)
	}
	w.Board.post("x", monday.Add(-20*time.Minute), []model.Pick{{Game: "g"}})
	if at := m.Wake(monday, book); !at.Equal(monday.Add(40 * time.Minute)) {
		t.Errorf("20 minutes after a post at %s", at)
	}
}

func TestBoard(t *testing.T) {
	var none *Board
	if list, next := none.Since("x", 3); list != nil || next != 3 {
		t.Error(list, next)
	}
	b := &Board{}
	at := func(day int) time.Time { return monday.AddDate(0, 0, day) }
	for d := range 100 {
		b.post("x", at(d), []model.Pick{{Game: "g", Wager: bet.Cents(d)}, {Game: "h", Wager: bet.Cents(d)}})
		list, next := b.Since("x", 0)
		if next != 2*(d+1) || !list[len(list)-1].At.Equal(at(d)) || len(list) > 50 {
			t.Fatalf("day %d: %d posts, next %d", d, len(list), next)
		}
		// Every post of the last 8 days can be seen.
		if first := max(0, d-8); list[0].At.After(at(first)) {
			t.Fatalf("day %d: the oldest is of %s", d, list[0].At)
		}
	}
	if list, _ := b.Since("x", 199); len(list) != 1 || list[0].Game != "h" {
		t.Error(list)
	}
	if list, _ := b.Since("x", 1000); len(list) != 0 {
		t.Error(list)
	}
	if list, next := b.Since("y", 0); list != nil || next != 0 {
		t.Error(list, next)
	}
}

// TestHedgerBreaksEven: whatever happens pays the same, but for cents.
func TestHedgerBreaksEven(t *testing.T) {
	picks := picksOf(t, "hedger", map[string]float64{"minute": 720}, monday.Add(12*time.Hour), 1000_00)
	games, _ := week()
	pays := map[bet.GameID][]float64{}
	for _, p := range picks {
		for _, g := range games {
			if g.ID == p.Game {
				pays[p.Game] = append(pays[p.Game], float64(p.Wager)*g.Odds[p.Outcome])
			}
		}
	}
	if len(pays) != 2 {
		t.Fatalf("%d match days of 2: %+v", len(pays), picks)
	}
	for id, x := range pays {
		if len(x) != 3 || math.Abs(x[0]-x[1]) > 10 || math.Abs(x[0]-x[2]) > 10 {
			t.Errorf("game %s pays %v", id, x)
		}
	}
}

// TestGroupsActTogether: sybils make the same picks and divide one stake,
// colluders take the sides of the same games between them.
func TestGroupsActTogether(t *testing.T) {
	games, lines := week()
	of := func(kind string, params map[string]float64) (out [][]model.Pick) {
		members := []string{"a", "b", "c"}
		for _, name := range members {
			m, err := New(kind, params, name, 1, &World{Market: lines, Board: &Board{}, Group: members})
			if err != nil {
				t.Fatal(err)
			}
			b := &model.Book{Games: games, Remaining: bet.DailyBudget, Placed: func(bet.GameID) []model.Placed { return nil }}
			out = append(out, m.Picks(monday.Add(24*time.Hour-time.Minute), b))
		}
		return out
	}
	parts, wholes := of("sybil", nil), of("sybil", map[string]float64{"whole": 1})
	if len(parts[0]) == 0 || !cmp.Equal(parts[0], parts[1]) || !cmp.Equal(parts[0], parts[2]) {
		t.Fatalf("sybils differ: %+v", parts)
	}
	if p, w := parts[0][0].Wager, wholes[0][0].Wager; p != w/3 {
		t.Errorf("a part is %v of %v", p, w)
	}
	sides := map[bet.Outcome]bool{}
	for _, picks := range of("colluder", nil) {
		if len(picks) == 0 || picks[0].Game != "100000" {
			t.Fatalf("%+v", picks)
		}
		sides[picks[0].Outcome] = true
	}
	if len(sides) != 3 {
		t.Errorf("colluders take %v", sides)
	}
}

// moving are prices of the market by now.
type moving struct {
	testLines
	now bet.Odds
}

func (m moving) Price(bet.GameID, time.Time) (bet.Odds, bool) { return m.now, true }

// TestSniper takes what is longer than the market by now, once, and no more than that.
func TestSniper(t *testing.T) {
	g := &bet.Game{ID: "1", Start: monday.Add(2 * time.Hour), CanTie: true, Odds: bet.Odds{2, 3, 4}, Active: true}
	for _, x := range []struct {
		rule string
		now  bet.Odds
		at   time.Time
		want int
	}{
		{"an away price that has become too long", bet.Odds{2.2, 2.8, 4}, monday, 1},
		{"nothing moved", bet.Odds{2, 3, 4}, monday, 0},
		{"too little", bet.Odds{2.2, 2.97, 4}, monday, 0},
		{"more than a day before", bet.Odds{2.2, 2.8, 4}, monday.Add(-23 * time.Hour), 0},
	} {
		m, err := New("sniper", nil, "m", 1, &World{Market: moving{nil, x.now}, Board: &Board{}})
		if err != nil {
			t.Fatal(err)
		}
		b := &model.Book{Games: []*bet.Game{g}, Remaining: bet.DailyBudget, Placed: func(bet.GameID) []model.Placed { return nil }}
		picks := m.Picks(x.at, b)
		if len(picks) != x.want || x.want == 1 && (picks[0].Outcome != bet.Away || picks[0].Wager != 50_00) {
			t.Errorf("%s: %+v", x.rule, picks)
		}
	}
}

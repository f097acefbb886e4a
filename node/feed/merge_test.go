package feed

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var (
	start = time.Date(2025, 3, 8, 15, 0, 0, 0, time.UTC)
	first = bet.Odds{1.91, 4.2, 3.55}
	later = bet.Odds{1.85, 4.4, 3.6}
	last  = bet.Odds{1.8, 4.5, 3.7}
)

func before(d time.Duration) time.Time { return start.Add(-d) }
func after(d time.Duration) time.Time  { return start.Add(d) }

// game is the fixture of these tests as first told, 24 hours before the start.
func game() bet.Game {
	return bet.Game{
		ID: "1234567", Sport: "Soccer", League: "Premier League", TeamA: "Arsenal", TeamB: "Chelsea",
		Created: before(168 * time.Hour), Updated: before(24 * time.Hour), Start: start,
		CanTie: true, Active: true, Odds: first, OddsAt: before(24 * time.Hour), Outcome: bet.Unfinished,
	}
}

func at(t time.Time, edits ...func(*bet.Game)) bet.Game {
	g := game()
	g.Updated = t
	for _, edit := range edits {
		edit(&g)
	}
	return g
}

func priced(o bet.Odds, made time.Time) func(*bet.Game) {
	return func(g *bet.Game) { g.Odds, g.OddsAt = o, made }
}

func result(o bet.Outcome, when time.Time) func(*bet.Game) {
	return func(g *bet.Game) { g.Status, g.Outcome, g.ResultAt = bet.Finished, o, when }
}

func status(s bet.Status) func(*bet.Game) { return func(g *bet.Game) { g.Status = s } }

func starts(t time.Time) func(*bet.Game) { return func(g *bet.Game) { g.Start = t } }

// TestMerge tells each drama news by news: what changed, and what is known at the end.
func TestMerge(t *testing.T) {
	type news struct {
		in   bet.Game
		want Change
	}
	none := bet.Odds{}
	fulltime := after(2 * time.Hour)
	tests := []struct {
		name    string
		news    []news
		odds    bet.Odds
		closing bet.Odds
		status  bet.Status
		outcome bet.Outcome
		result  time.Time
	}{
		{"first told", []news{{game(), New}}, first, first, bet.Scheduled, bet.Unfinished, time.Time{}},
		{"told twice", []news{{game(), New}, {game(), 0}}, first, first, bet.Scheduled, bet.Unfinished, time.Time{}},
		{"odds move until the start", []news{
			{game(), New},
			{at(before(time.Hour), priced(later, before(time.Hour))), Odds | Closing},
			{at(start, priced(last, start)), Odds | Closing},
		}, last, last, bet.Scheduled, bet.Unfinished, time.Time{}},
		{"odds after the start are not closing odds", []news{
			{game(), New},
			{at(after(time.Minute), priced(last, after(time.Minute))), Odds},
		}, last, first, bet.Scheduled, bet.Unfinished, time.Time{}},
		{"stale news is ignored", []news{
			{at(before(time.Hour), priced(later, before(time.Hour))), New},
			{at(before(2*time.Hour), priced(last, before(2*time.Hour)), status(bet.Void)), 0},
		}, later, later, bet.Scheduled, bet.Unfinished, time.Time{}},
		{"news with older odds keeps the newer", []news{
			{at(before(3*time.Hour), priced(later, before(3*time.Hour))), New},
			{at(before(2*time.Hour), priced(first, before(4*time.Hour))), 0},
		}, later, later, bet.Scheduled, bet.Unfinished, time.Time{}},
		{"odds told again are no younger", []news{
			{game(), New},
			{at(before(time.Minute), priced(first, before(time.Minute))), 0},
			{at(before(time.Second), starts(before(time.Hour)), priced(first, before(time.Second))), Start},
		}, first, first, bet.Scheduled, bet.Unfinished, time.Time{}},
		{"news without odds keeps them", []news{
			{game(), New},
			{at(before(time.Hour), priced(none, time.Time{}), func(g *bet.Game) { g.Active = false }), Active},
		}, first, first, bet.Scheduled, bet.Unfinished, time.Time{}},
		{"odds without a time are as old as the news", []news{
			{game(), New},
			{at(after(time.Second), priced(later, time.Time{})), Odds},
		}, later, first, bet.Scheduled, bet.Unfinished, time.Time{}},
		{"first told after the start: closing odds unknown", []news{
			{at(after(time.Hour), priced(later, after(time.Hour))), New},
		}, later, none, bet.Scheduled, bet.Unfinished, time.Time{}},
		{"the feed knows the closing odds", []news{
			{game(), New},
			{at(fulltime, result(bet.Home, fulltime), func(g *bet.Game) { g.Closing = last }), Closing | Outcome | Status},
		}, first, last, bet.Finished, bet.Home, fulltime},
		{"result", []news{
			{game(), New},
			{at(after(3*time.Hour), result(bet.Tie, fulltime)), Outcome | Status},
		}, first, first, bet.Finished, bet.Tie, fulltime},
		{"first told with a result", []news{
			{at(after(3*time.Hour), result(bet.Away, fulltime)), New | Outcome},
		}, first, first, bet.Finished, bet.Away, fulltime},
		{"result without a time is dated by the news that first told it", []news{
			{game(), New},
			{at(after(3*time.Hour), result(bet.Home, time.Time{})), Outcome | Status},
			{at(after(4*time.Hour), result(bet.Home, time.Time{})), 0},
		}, first, first, bet.Finished, bet.Home, after(3 * time.Hour)},
		{"first told with a result without a time", []news{
			{at(after(3*time.Hour), result(bet.Home, time.Time{})), New | Outcome},
		}, first, first, bet.Finished, bet.Home, after(3 * time.Hour)},
		{"corrected result", []news{
			{at(after(3*time.Hour), result(bet.Home, fulltime)), New | Outcome},
			{at(after(48*time.Hour), result(bet.Away, fulltime)), Outcome | Corrected},
		}, first, first, bet.Finished, bet.Away, fulltime},
		{"corrected time of the result", []news{
			{at(after(3*time.Hour), result(bet.Home, fulltime)), New | Outcome},
			{at(after(4*time.Hour), result(bet.Home, after(time.Hour))), Corrected},
		}, first, first, bet.Finished, bet.Home, after(time.Hour)},
		{"result withdrawn", []news{
			{at(after(3*time.Hour), result(bet.Home, fulltime)), New | Outcome},
			{at(after(4 * time.Hour)), Outcome | Status | Corrected},
		}, first, first, bet.Scheduled, bet.Unfinished, time.Time{}},
		{"abandoned", []news{
			{game(), New},
			{at(after(time.Hour), status(bet.Void)), Status},
		}, first, first, bet.Void, bet.Unfinished, after(time.Hour)},
		{"annulled after the result", []news{
			{at(after(3*time.Hour), result(bet.Home, fulltime)), New | Outcome},
			{at(after(9*time.Hour), status(bet.Void)), Outcome | Status | Corrected},
		}, first, first, bet.Void, bet.Unfinished, after(9 * time.Hour)},
		{"postponed: closing odds open", []news{
			{game(), New},
			{at(before(time.Hour), status(bet.Postponed), starts(time.Time{})), Closing | Status},
		}, first, none, bet.Postponed, bet.Unfinished, time.Time{}},
		{"postponed and played a week later", []news{
			{game(), New},
			{at(before(time.Hour), status(bet.Postponed), starts(time.Time{})), Closing | Status},
			{at(after(time.Hour), starts(after(168*time.Hour))), Closing | Start | Status},
			{at(after(160*time.Hour), starts(after(168*time.Hour)), priced(later, after(160*time.Hour))), Odds | Closing},
			{at(after(170*time.Hour), starts(after(168*time.Hour)), result(bet.Home, after(170*time.Hour))), Outcome | Status},
		}, later, later, bet.Finished, bet.Home, after(170 * time.Hour)},
		{"postponed, and heard of again only by the result", []news{
			{game(), New},
			{at(before(time.Hour), status(bet.Postponed), starts(time.Time{})), Closing | Status},
			{at(after(52*time.Hour), starts(after(48*time.Hour)), result(bet.Home, after(50*time.Hour))), Closing | Start | Outcome | Status},
		}, first, first, bet.Finished, bet.Home, after(50 * time.Hour)},
		{"postponed and played on time after all", []news{
			{game(), New},
			{at(before(2*time.Hour), status(bet.Postponed), starts(time.Time{})), Closing | Status},
			{at(before(time.Hour)), Closing | Status},
		}, first, first, bet.Scheduled, bet.Unfinished, time.Time{}},
		{"kick-off delayed: odds taken for late were in time", []news{
			{game(), New},
			{at(after(time.Minute), priced(later, after(time.Minute))), Odds},
			{at(after(2*time.Minute), starts(after(time.Hour)), priced(later, after(time.Minute))), Closing | Start},
		}, later, later, bet.Scheduled, bet.Unfinished, time.Time{}},
		{"kick-off brought forward: odds taken for closing were late", []news{
			{at(before(time.Minute), priced(later, before(time.Minute))), New},
			{at(before(time.Second), starts(before(time.Hour)), priced(later, before(time.Minute))), Closing | Start},
		}, later, none, bet.Scheduled, bet.Unfinished, time.Time{}},
		{"kick-off corrected after the game: closing odds stay", []news{
			{game(), New},
			{at(after(time.Minute), priced(later, after(time.Minute))), Odds},
			{at(after(3*time.Hour), starts(after(5*time.Minute)), result(bet.Home, fulltime)), Start | Outcome | Status},
		}, later, first, bet.Finished, bet.Home, fulltime},
		{"zero outcome of a scheduled game is no home win", []news{
			{at(before(time.Hour), func(g *bet.Game) { g.Outcome = bet.Home }), New},
		}, first, first, bet.Scheduled, bet.Unfinished, time.Time{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var known *bet.Game
			for i, n := range tt.news {
				next, change, err := Merge(known, n.in)
				if err != nil {
					t.Fatalf("news %d: %v", i, err)
				}
				if change != n.want {
					t.Fatalf("news %d changed %v, want %v", i, change, n.want)
				}
				known = &next
			}
			want := *known
			want.Odds, want.Closing, want.Status, want.Outcome, want.ResultAt = tt.odds, tt.closing, tt.status, tt.outcome, tt.result
			if diff := cmp.Diff(want, *known); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestMergeRefuses: what cannot be true changes nothing, and says why.
func TestMergeRefuses(t *testing.T) {
	noTie := func(g *bet.Game) { g.CanTie, g.Odds[bet.Tie] = false, 0 }
	tests := []struct {
		name  string
		known func(*bet.Game)
		edit  func(*bet.Game)
		want  error
	}{
		{"another game", nil, func(g *bet.Game) { g.ID = "1" }, ErrOther},
		{"no id", nil, func(g *bet.Game) { g.ID = "" }, ErrText},
		{"id too long", nil, func(g *bet.Game) { g.ID = bet.GameID(strings.Repeat("1", MaxIDLen+1)) }, ErrText},
		{"id with a zero byte", nil, func(g *bet.Game) { g.ID = "1\x00" }, ErrText},
		{"no sport", nil, func(g *bet.Game) { g.Sport = "" }, ErrText},
		{"name not UTF-8", nil, func(g *bet.Game) { g.League = "\xff" }, ErrText},
		{"name too long", nil, func(g *bet.Game) { g.League = strings.Repeat("x", MaxNameLen+1) }, ErrText},
		{"team against itself", nil, func(g *bet.Game) { g.TeamB = g.TeamA }, ErrText},
		{"team renamed", nil, func(g *bet.Game) { g.TeamA = "Arsenal FC" }, ErrTeams},
		{"teams swapped", nil, func(g *bet.Game) { g.TeamA, g.TeamB = g.TeamB, g.TeamA }, ErrTeams},
		{"tie no longer possible", nil, noTie, ErrCanTie},
		{"tie possible now", noTie, func(*bet.Game) {}, ErrCanTie},
		{"odds NaN", nil, func(g *bet.Game) { g.Odds[0] = math.NaN() }, ErrOdds},
		{"all odds NaN", nil, func(g *bet.Game) { g.Odds = bet.Odds{math.NaN(), math.NaN(), math.NaN()} }, ErrOdds},
		{"odds infinite", nil, func(g *bet.Game) { g.Odds[1] = math.Inf(1) }, ErrOdds},
		{"odds below 1.01", nil, func(g *bet.Game) { g.Odds[1] = 1.009 }, ErrOdds},
		{"one side without odds", nil, func(g *bet.Game) { g.Odds[1] = 0 }, ErrOdds},
		{"odds below zero", nil, func(g *bet.Game) { g.Odds[2] = -3 }, ErrOdds},
		{"odds nobody quotes", nil, func(g *bet.Game) { g.Odds[2] = bet.MaxOdds + 1 }, ErrOdds},
		{"tie odds without a tie", noTie, func(g *bet.Game) { noTie(g); g.Odds[bet.Tie] = 3 }, ErrOdds},
		{"closing odds NaN", nil, func(g *bet.Game) { g.Closing = bet.Odds{2, 2, math.NaN()} }, ErrOdds},
		{"no time of the news", nil, func(g *bet.Game) { g.Updated = time.Time{} }, ErrTime},
		{"no start", nil, func(g *bet.Game) { g.Start = time.Time{} }, ErrTime},
		{"start in another age", nil, func(g *bet.Game) { g.Start = g.Start.AddDate(300, 0, 0) }, ErrTime},
		{"news from another age", nil, func(g *bet.Game) { g.Updated = time.Unix(1, 0) }, ErrTime},
		{"odds from the future", nil, func(g *bet.Game) { g.OddsAt = g.Updated.Add(1) }, ErrTime},
		{"result before the start", nil, result(bet.Home, before(time.Second)), ErrTime},
		{"result without a time before the start", nil, func(g *bet.Game) { g.Updated = before(time.Second); result(bet.Home, time.Time{})(g) }, ErrTime},
		{"result far ahead", nil, result(bet.Home, after(20*time.Hour)), ErrTime},
		{"void far ahead", nil, func(g *bet.Game) { g.Status, g.ResultAt = bet.Void, after(20*time.Hour) }, ErrTime},
		{"unknown status", nil, status(4), ErrStatus},
		{"unknown outcome", nil, result(4, after(time.Hour)), ErrOutcome},
		{"unknown outcome of a scheduled game", nil, func(g *bet.Game) { g.Outcome = 4 }, ErrOutcome},
		{"finished without an outcome", nil, result(bet.Unfinished, after(time.Hour)), ErrOutcome},
		{"tie where there is none", noTie, func(g *bet.Game) { noTie(g); result(bet.Tie, after(time.Hour))(g) }, ErrTie},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			known := game()
			if tt.known != nil {
				tt.known(&known)
			}
			in := known
			in.Updated = after(2 * time.Hour)
			in.CanTie, in.Odds = true, first // what a known of no tie does not have
			tt.edit(&in)
			was := known
			next, change, err := Merge(&known, in)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if change != 0 || next != was || known != was {
				t.Errorf("refused, but changed %v: %s", change, cmp.Diff(was, next))
			}
			if len(err.Error()) > 400 {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
		})
	}
	undated := at(before(time.Second), result(bet.Home, time.Time{}))
	if next, change, err := Merge(nil, undated); !errors.Is(err, ErrTime) || change != 0 || next != (bet.Game{}) {
		t.Errorf("first told with a result before the start: %v, %v, %v", next, change, err)
	}
	if next, change, err := Merge(nil, bet.Game{}); err == nil || change != 0 || next != (bet.Game{}) {
		t.Errorf("an empty game: %v, %v, %v", next, change, err)
	}
}

// drawNews draws news of the fixture, true or not.
func drawNews(t *rapid.T) bet.Game {
	g := game()
	minutes := func(name string) time.Time {
		return start.Add(time.Duration(rapid.IntRange(-600, 600).Draw(t, name)) * time.Minute)
	}
	g.Updated = minutes("updated")
	if rapid.Bool().Draw(t, "odds told") {
		g.Odds = rapid.SampledFrom([]bet.Odds{first, later, last, {}, {1, 2, 3}}).Draw(t, "odds")
		g.OddsAt = minutes("odds at")
	}
	g.Active = rapid.Bool().Draw(t, "active")
	g.Status = bet.Status(rapid.IntRange(0, 4).Draw(t, "status"))
	g.Outcome = bet.Outcome(rapid.IntRange(0, 4).Draw(t, "outcome"))
	if rapid.Bool().Draw(t, "dated") {
		g.ResultAt = minutes("result")
	}
	g.Start = rapid.SampledFrom([]time.Time{start, start, after(time.Hour), before(time.Hour), {}}).Draw(t, "start")
	return g
}

// TestMergeProperties: whatever comes, what is known can be true, is never older
// than before, and tells exactly what changed; telling it again changes nothing.
func TestMergeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		known, _, err := Merge(nil, game())
		if err != nil {
			t.Fatal(err)
		}
		made := map[bet.Odds][]time.Time{known.Odds: {known.OddsAt}}
		for range rapid.IntRange(1, 12).Draw(t, "news") {
			in, was := drawNews(t), known
			next, change, err := Merge(&known, in)
			if known != was {
				t.Fatal("what was known was written to")
			}
			if err != nil {
				if next != was || change != 0 {
					t.Fatalf("refused (%v), but %v changed", err, change)
				}
				continue
			}
			if err := Validate(&next); err != nil {
				t.Fatalf("believed what cannot be true: %v", err)
			}
			if next.Updated.Before(was.Updated) {
				t.Fatal("what is known became older")
			}
			if in.Odds != (bet.Odds{}) {
				made[in.Odds] = append(made[in.Odds], in.OddsAt, in.Updated)
			}
			if next.Closing != (bet.Odds{}) && made[next.Closing] == nil {
				t.Fatalf("closing odds %v were never made", next.Closing)
			}
			if next.Resulted() == next.ResultAt.IsZero() {
				t.Fatalf("%v, result at %v", next.Status, next.ResultAt)
			}
			same := next
			same.Updated = was.Updated
			if (same == was) != (change == 0) {
				t.Fatalf("changed %v: %s", change, cmp.Diff(was, same))
			}
			again, change, err := Merge(&next, in)
			if err != nil || change != 0 || again != next {
				if !in.Updated.Before(was.Updated) { // else it was and is ignored
					t.Fatalf("told again: %v changed, %v: %s", change, err, cmp.Diff(next, again))
				}
			}
			known = next
		}
	})
}

// TestMergeConverges: a result reaches two nodes that heard different news
// before it alike, because the newest news wins.
func TestMergeConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		final := at(after(20*time.Hour), result(bet.Outcome(rapid.IntRange(0, 2).Draw(t, "outcome")), after(2*time.Hour)))
		final.Start = start
		final.Closing = last
		known := func() *bet.Game {
			g, _, err := Merge(nil, game())
			if err != nil {
				t.Fatal(err)
			}
			for range rapid.IntRange(0, 6).Draw(t, "news") {
				if next, _, err := Merge(&g, drawNews(t)); err == nil {
					g = next
				}
			}
			g, _, err = Merge(&g, final)
			if err != nil {
				t.Fatal(err)
			}
			return &g
		}
		a, b := known(), known()
		a.Odds, a.OddsAt = b.Odds, b.OddsAt // the odds offered last no longer matter
		if diff := cmp.Diff(a, b); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestChangeString(t *testing.T) {
	for c, want := range map[Change]string{
		0: "none", New: "new", Odds | Start: "odds+start", Corrected: "corrected",
		New | Odds | Closing | Start | Outcome | Active | Status | Corrected: "new+odds+closing+start+outcome+active+status+corrected",
	} {
		if c.String() != want {
			t.Errorf("%d: %s, want %s", c, c, want)
		}
	}
}

func BenchmarkMerge(b *testing.B) {
	known, in := game(), at(before(time.Hour), priced(later, before(time.Hour)))
	b.ReportAllocs()
	for b.Loop() {
		if _, change, err := Merge(&known, in); err != nil || change != Odds|Closing {
			b.Fatal(change, err)
		}
	}
}

// TestTimely: what is dated further ahead than clocks differ is refused, whatever
// was known.
func TestTimely(t *testing.T) {
	for _, tc := range []struct {
		ahead time.Duration
		want  error
	}{
		{-24 * time.Hour, nil}, {0, nil}, {updateAhead, nil}, {updateAhead + time.Nanosecond, ErrAhead}, {300 * 24 * time.Hour, ErrAhead},
	} {
		in := at(start.Add(tc.ahead))
		if err := Timely(start, &in); !errors.Is(err, tc.want) {
			t.Errorf("%v ahead: %v, want %v", tc.ahead, err, tc.want)
		}
		// What was just timely to a teller whose clock is ahead by as much again.
		if err := TimelyRelayed(start.Add(-updateAhead), &in); !errors.Is(err, tc.want) {
			t.Errorf("%v ahead, relayed: %v, want %v", tc.ahead, err, tc.want)
		}
	}
	in := at(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
	if err := Timely(start, &in); !errors.Is(err, ErrAhead) {
		t.Errorf("further ahead than a duration holds: %v", err)
	}
}

package market

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"

	"github.com/google/go-cmp/cmp"
)

// mishaps is the default market with many games called off.
func mishaps() Config {
	c := DefaultConfig()
	c.PostponedShare, c.VoidShare, c.AbandonedShare = 0.15, 0.3, 0.1
	return c
}

func made(t testing.TB, c Config, start string, days int, seed uint64) *Market {
	t.Helper()
	m, err := Synthetic(c, utc(start), time.Duration(days)*24*time.Hour, seed)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSyntheticIsDrawnFromItsSeed(t *testing.T) {
	a, b := made(t, mishaps(), "2030-01-07 00:00", 60, 1), made(t, mishaps(), "2030-01-07 00:00", 60, 1)
	if d := cmp.Diff(a.Fixtures(), b.Fixtures()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(paths(a), paths(b)); d != "" {
		t.Error(d)
	}
	if cmp.Equal(a.Fixtures(), made(t, mishaps(), "2030-01-07 00:00", 60, 2).Fixtures()) {
		t.Error("another seed gives the same games")
	}
}

// byName indexes fixtures by what they are, without the ID.
func byName(m *Market) map[string]Fixture {
	out := map[string]Fixture{}
	for _, f := range m.Fixtures() {
		f.ID = ""
		out[f.League+"/"+f.TeamA+"/"+f.TeamB+"/"+f.Start.String()] = f
	}
	return out
}

func TestAnotherLeagueChangesNoGame(t *testing.T) {
	c := mishaps()
	all := byName(made(t, c, "2030-01-07 00:00", 60, 1))
	c.Leagues = c.Leagues[1:2]
	for key, f := range byName(made(t, c, "2030-01-07 00:00", 60, 1)) {
		if d := cmp.Diff(f, all[key]); d != "" {
			t.Fatal(d)
		}
	}
}

func TestLongerRunBeginsAlike(t *testing.T) {
	c := DefaultConfig()
	c.PostponedShare = 0
	long := byName(made(t, c, "2030-01-07 00:00", 90, 1))
	for key, f := range byName(made(t, c, "2030-01-07 00:00", 20, 1)) {
		if d := cmp.Diff(f, long[key]); d != "" {
			t.Fatal(d)
		}
	}
}

// TestQuickWeek: whatever day a week begins on, it has games on every day, all of
// them over before it ends.
func TestQuickWeek(t *testing.T) {
	for day := range 7 {
		start := utc("2030-01-07 00:00").AddDate(0, 0, day)
		m, err := Synthetic(DefaultConfig(), start, 7*24*time.Hour, 1)
		if err != nil {
			t.Fatal(err)
		}
		from, to := m.Span()
		if !from.Equal(start) || !to.Equal(start.AddDate(0, 0, 7)) {
			t.Errorf("span %s to %s", from, to)
		}
		days := map[bet.Day]int{}
		for _, f := range m.Fixtures() {
			days[bet.DayOf(f.Start)]++
			if f.Start.Before(from) || f.KickOff().Add(2*time.Hour).After(to) || f.ResultAt.After(to) || f.VoidAt.After(to) {
				t.Errorf("%+v", f)
			}
		}
		if n := len(m.Fixtures()); n < 40 || n > 80 || len(days) != 7 {
			t.Errorf("from %s: %d games on %d days", start.Weekday(), n, len(days))
		}
	}
}

// TestCalendar: no team plays twice on a day, each pair meets at home and away in a
// season, and football is played at the weekend and a little in midweek.
func TestCalendar(t *testing.T) {
	c := DefaultConfig()
	m := made(t, c, "2030-01-07 00:00", 365, 1)
	games := map[string]int{}
	for _, f := range m.Fixtures() {
		games[f.League]++
	}
	for _, l := range c.Leagues {
		want := l.GamesPerWeek * float64(l.Teams) / 2 * 365 / 7
		if got := float64(games[l.Name]); math.Abs(got/want-1) > 0.04 {
			t.Errorf("%s: %g games, want about %g", l.Name, got, want)
		}
	}
	type on struct {
		league, team string
		day          bet.Day
	}
	busy := map[on]bool{}
	weekdays := map[time.Weekday]int{}
	type meeting struct{ league, home, away string }
	met := map[meeting]int{}
	home, early := map[string]float64{}, map[string]float64{} // games of the first 15 weeks
	for _, f := range m.Fixtures() {
		local := centralTime.local(f.Start)
		for _, team := range []string{f.TeamA, f.TeamB} {
			k := on{f.League, team, bet.DayOf(local)}
			if busy[k] {
				t.Errorf("%s plays twice on %s", team, k.day)
			}
			busy[k] = true
		}
		if f.League == "northern-league" {
			weekdays[local.Weekday()]++
			met[meeting{f.League, f.TeamA, f.TeamB}]++
			if f.Start.Before(utc("2030-04-22 00:00")) {
				home[f.TeamA]++
				early[f.TeamA]++
				early[f.TeamB]++
			}
		}
		if h := local.Hour(); h < 13 || h > 21 {
			t.Errorf("kick-off at %s", local)
		}
	}
	for team, n := range early {
		if share := home[team] / n; share < 0.3 || share > 0.7 {
			t.Errorf("%s plays %.2f of its first games at home", team, share)
		}
	}
	total := games["northern-league"]
	if s := float64(weekdays[time.Saturday]+weekdays[time.Sunday]) / float64(total); s < 0.6 || s > 0.8 {
		t.Errorf("%.2f of the games at the weekend proper: %v", s, weekdays)
	}
	if weekdays[time.Tuesday] == 0 || weekdays[time.Wednesday] == 0 || weekdays[time.Thursday] != 0 {
		t.Error(weekdays)
	}
	// 62 rounds are a season of 38 and most of the next: once or twice each, but for
	// a few of the first round that were played before the run began.
	if len(met) < 20*19-10 {
		t.Errorf("%d of 380 pairs met", len(met))
	}
	for k, n := range met {
		if n > 2 {
			t.Errorf("%v met %d times", k, n)
		}
	}
}

// TestOverround: opening and closing odds keep 3 to 7 %.
func TestOverround(t *testing.T) {
	for _, f := range made(t, DefaultConfig(), "2030-01-07 00:00", 365, 5).Fixtures() {
		open, close := bookSum(f.Open)-1, bookSum(f.Close)-1
		if open < 0.03 || open > 0.07 || close < 0.03 || close > 0.07 {
			t.Errorf("%s: %v %.4f, %v %.4f", f.ID, f.Open, open, f.Close, close)
		}
		if (f.Open[bet.Tie] > 0) != f.CanTie || (f.Truth[bet.Tie] > 0) != f.CanTie {
			t.Errorf("%s can tie: %v, %v, %v", f.ID, f.CanTie, f.Open, f.Truth)
		}
	}
}

// TestLineIsCalibrated: of outcomes that the closing line gives a chance, that
// share comes; and the closing line is wiser than the opening one, the truth than
// the closing one.
func TestLineIsCalibrated(t *testing.T) {
	c := DefaultConfig()
	var bins [10]struct{ n, sum, came float64 }
	var brier [3]float64 // opening, closing, truth
	var n, moved, draws, soccer float64
	for seed := range uint64(4) {
		for _, f := range made(t, c, "2030-01-07 00:00", 3*365, seed).Fixtures() {
			if f.Result == bet.Unfinished {
				continue
			}
			n++
			open, close := Implied(f.Open), Implied(f.Close)
			for i := range 3 {
				came := 0.0
				if bet.Outcome(i) == f.Result {
					came = 1
				}
				for k, p := range [3]float64{open[i], close[i], f.Truth[i]} {
					brier[k] += (p - came) * (p - came)
				}
				if close[i] > 0 {
					b := &bins[int(close[i]*10)]
					b.n, b.sum, b.came = b.n+1, b.sum+close[i], b.came+came
				}
			}
			if f.CanTie {
				soccer++
				d := math.Log(close[1]/close[0]) - math.Log(open[1]/open[0])
				moved += d * d
				if f.Result == bet.Tie {
					draws++
				}
			}
		}
	}
	for i, b := range bins {
		if b.n < 500 {
			continue
		}
		p := b.sum / b.n
		// Four standard errors, and one percent for what the line does not know.
		if off := math.Abs(b.came/b.n - p); off > 0.01+4*math.Sqrt(p*(1-p)/b.n) {
			t.Errorf("bin %d: the line says %.4f, %.4f came, of %g", i, p, b.came/b.n, b.n)
		}
	}
	t.Logf("%g games: Brier score %.4f opening, %.4f closing, %.4f truth", n, brier[0]/n, brier[1]/n, brier[2]/n)
	if !(brier[0] > brier[1]+0.001*n && brier[1] > brier[2] && brier[1] < brier[2]+0.005*n) {
		t.Errorf("Brier scores %v of %g games", brier, n)
	}
	// As on the real matches: lines move by 0.25, and a quarter of the games is tied.
	if sd := math.Sqrt(moved / soccer); sd < 0.2 || sd > 0.3 {
		t.Errorf("lines move by %.3f", sd)
	}
	if share := draws / soccer; share < 0.22 || share > 0.30 {
		t.Errorf("%.3f of the games is tied", share)
	}
}

// TestMishaps: games called off are played later or never, at the rates asked for,
// and the feed tells so when it is known, not before.
func TestMishaps(t *testing.T) {
	m := made(t, mishaps(), "2030-01-07 00:00", 365, 1)
	var off, moved, never, abandoned, n float64
	for _, f := range m.Fixtures() {
		n++
		game := func(at time.Time) bet.Game { g, _ := m.Game(f.ID, at); return g }
		_, end := m.Span()
		last := game(end)
		switch {
		case !f.MovedAt.IsZero():
			moved++
			if g := game(f.PostponedAt.Add(-time.Second)); g.Status != bet.Scheduled || !g.Active {
				t.Errorf("before: %+v", g)
			}
			if g := game(f.Start); g.Status != bet.Postponed || g.Active || g.Closing != (bet.Odds{}) || g.OddsAt.After(f.PostponedAt) {
				t.Errorf("while off: %+v", g)
			}
			if g := game(f.MovedAt.Add(time.Hour)); f.MovedAt.Add(time.Hour).Before(f.MovedTo) && (g.Status != bet.Scheduled || !g.Active || !g.Start.Equal(f.MovedTo)) {
				t.Errorf("moved: %+v", g)
			}
			if last.Status != bet.Finished || last.Closing != f.Close || !last.OddsAt.Equal(f.MovedTo) || !f.ResultAt.Equal(f.MovedTo.Add(2*time.Hour)) {
				t.Errorf("played: %+v", last)
			}
		case !f.PostponedAt.IsZero():
			never++
			if last.Status != bet.Void || last.Closing != (bet.Odds{}) || last.Outcome != bet.Unfinished || !f.PostponedAt.Before(f.Start) {
				t.Errorf("never played: %+v", last)
			}
		case !f.VoidAt.IsZero():
			abandoned++
			if g := game(f.VoidAt.Add(-time.Second)); g.Status != bet.Scheduled || g.Active {
				t.Errorf("playing: %+v", g)
			}
			if last.Status != bet.Void || last.Outcome != bet.Unfinished || last.Closing != f.Close {
				t.Errorf("abandoned: %+v", last)
			}
		default:
			if last.Status != bet.Finished || last.Outcome != f.Result || f.Result == bet.Unfinished || f.Truth[f.Result] == 0 {
				t.Errorf("played: %+v", last)
			}
		}
	}
	off = moved + never
	for _, c := range []struct {
		what          string
		got, of, want float64
	}{{"called off", off, n, 0.15}, {"never played", never, off, 0.3}, {"abandoned", abandoned, n, 0.1}} {
		// Four standard errors.
		if math.Abs(c.got/c.of-c.want) > 4*math.Sqrt(c.want*(1-c.want)/c.of) {
			t.Errorf("%s: %g of %g, want %g of them", c.what, c.got, c.of, c.want)
		}
	}
}

// TestMishapsChangeNoResult: a scenario with other rates has the same results.
func TestMishapsChangeNoResult(t *testing.T) {
	calm := DefaultConfig()
	calm.PostponedShare, calm.AbandonedShare = 0, 0
	want := byName(made(t, calm, "2030-01-07 00:00", 60, 1))
	for key, f := range byName(made(t, mishaps(), "2030-01-07 00:00", 60, 1)) {
		if f.Result != bet.Unfinished && f.Result != want[key].Result {
			t.Errorf("%s: %s, want %s", key, f.Result, want[key].Result)
		}
	}
}

func TestSyntheticRefuses(t *testing.T) {
	day := 24 * time.Hour
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no leagues", func(c *Config) { c.Leagues = nil }, "leagues: expected 1 to 64"},
		{"odd teams", func(c *Config) { c.Leagues[1].Teams = 7 }, "leagues[1].teams: expected an even number"},
		{"name twice", func(c *Config) { c.Leagues[1].Name = c.Leagues[0].Name }, "leagues[1].name: expected each name once"},
		{"no name", func(c *Config) { c.Leagues[0].Name = "" }, "leagues[0]: expected a name"},
		{"too many games", func(c *Config) { c.Leagues[0].GamesPerWeek = 8 }, "leagues[0].games_per_week"},
		{"spread", func(c *Config) { c.Leagues[0].Spread = math.NaN() }, "leagues[0].spread"},
		{"overround", func(c *Config) { c.OverroundMin = 0.08 }, "overround_min"},
		{"negative share", func(c *Config) { c.VoidShare = -0.1 }, "void_share: expected 0 to 1"},
		{"two at once", func(c *Config) { c.VoidShare, c.Drift = 2, 2 }, "drift: expected 0 to 1, got 2\nvoid_share"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := DefaultConfig()
			c.change(&cfg)
			if _, err := Synthetic(cfg, utc("2030-01-07 00:00"), 7*day, 1); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if _, err := Synthetic(DefaultConfig(), utc("2030-01-07 00:00"), 2*time.Hour, 1); !errors.Is(err, ErrNoGames) {
		t.Errorf("two hours: %v", err)
	}
	if _, err := Synthetic(DefaultConfig(), utc("2199-01-07 00:00"), 800*day, 1); err == nil {
		t.Error("a run beyond the last year is taken")
	}
}

func BenchmarkSynthetic(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		made(b, DefaultConfig(), "2030-01-07 00:00", 3*365, 1)
	}
}

package score

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var kickOff = time.Date(2024, 3, 1, 15, 0, 0, 0, time.UTC)

// season plays games one after the other, a day each: bets says who backs what,
// in order, and what is credited on the last game comes back by name.
func season(s Scheme, games int, bets func(game int) []wagered) map[string]float64 {
	c := NewCopies(&s)
	credit := map[string]float64{}
	for g := range games {
		at := kickOff.AddDate(0, 0, g)
		for i, b := range bets(g) {
			credit[b.miner] = c.Arrive(b.miner, fmt.Sprint(g), b.outcome, b.wager, at.Add(time.Duration(i)*time.Minute))
		}
		c.Close(fmt.Sprint(g), at)
	}
	return credit
}

type wagered struct {
	miner   string
	outcome uint8
	wager   float64
}

// mix turns a game into an outcome that looks drawn.
func mix(game, salt int) uint8 { return uint8((game*game*7 + game*salt*3 + salt) % 3) }

func TestWhoIsCredited(t *testing.T) {
	for _, c := range []struct {
		rule  string
		games int
		bets  func(game int) []wagered
		want  map[string]float64
	}{
		{"who is alone is credited whole", 30, func(g int) []wagered { return []wagered{{"a", mix(g, 1), 100}} }, map[string]float64{"a": 1}},
		{"a follower is not, its leader is", 30, func(g int) []wagered {
			return []wagered{{"leader", mix(g, 1), 100}, {"copy", mix(g, 1), 100}}
		}, map[string]float64{"leader": 1, "copy": 0}},
		{"however many follow", 30, func(g int) []wagered {
			return []wagered{{"leader", mix(g, 1), 100}, {"b", mix(g, 1), 100}, {"c", mix(g, 1), 100}, {"d", mix(g, 1), 100}}
		}, map[string]float64{"leader": 1, "b": 0, "c": 0, "d": 0}},
		{"a few outcomes in common are no evidence", 4, func(g int) []wagered {
			return []wagered{{"a", mix(g, 1), 100}, {"b", mix(g, 1), 100}}
		}, map[string]float64{"a": 1, "b": 1}},
		{"two that agree on two games in three are not alike", 60, func(g int) []wagered {
			b := mix(g, 1)
			if g%3 == 0 {
				b = (b + 1) % 3
			}
			return []wagered{{"a", mix(g, 1), 100}, {"b", b, 100}}
		}, map[string]float64{"a": 1, "b": 1}},
		{"money beyond the leader's is the follower's own", 30, func(g int) []wagered {
			return []wagered{{"leader", mix(g, 1), 100}, {"copy", mix(g, 1), 400}}
		}, map[string]float64{"leader": 1, "copy": 0.75}},
		{"a cent put first takes a cent", 30, func(g int) []wagered {
			return []wagered{{"griefer", mix(g, 1), 0.01}, {"victim", mix(g, 1), 100}}
		}, map[string]float64{"griefer": 1, "victim": 0.9999}},
		{"a second wager of the leader does not follow its follower's first", 30, func(g int) []wagered {
			return []wagered{{"leader", mix(g, 1), 100}, {"copy", mix(g, 1), 100}, {"leader", mix(g, 1), 100}, {"copy", mix(g, 1), 100}}
		}, map[string]float64{"leader": 1, "copy": 0}},
		{"partners who take turns lose in turn", 30, func(g int) []wagered {
			if g%2 == 0 {
				return []wagered{{"a", mix(g, 1), 100}, {"b", mix(g, 1), 100}}
			}
			return []wagered{{"b", mix(g, 1), 100}, {"a", mix(g, 1), 100}}
		}, map[string]float64{"a": 0, "b": 1}}, // the last game is b's
		{"one that backs everything first is like nobody", 30, func(g int) []wagered {
			return []wagered{{"all", 0, 100}, {"all", 1, 100}, {"all", 2, 100}, {"a", mix(g, 1), 100}}
		}, map[string]float64{"all": 1, "a": 1}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if d := cmp.Diff(c.want, season(Robust(), c.games, c.bets), near); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestCopyDaysOff credits everybody with everything and keeps nothing.
func TestCopyDaysOff(t *testing.T) {
	s := Robust()
	s.CopyDays = 0
	c := NewCopies(&s)
	for g := range 40 {
		for _, m := range []string{"a", "b"} {
			if x := c.Arrive(m, fmt.Sprint(g), 0, 100, kickOff); x != 1 {
				t.Fatal(x)
			}
		}
		c.Close(fmt.Sprint(g), kickOff)
	}
	if c.Games() > 0 || c.Miners() > 0 {
		t.Errorf("%d games, %d miners kept", c.Games(), c.Miners())
	}
}

// TestEvidenceGrowsOld: CopyDays after the last game in common, a follower is
// credited again, and nothing is left in memory but what is open.
func TestEvidenceGrowsOld(t *testing.T) {
	s := Robust()
	c := NewCopies(&s)
	for g := range 30 {
		c.Arrive("a", fmt.Sprint(g), mix(g, 1), 100, kickOff)
		c.Arrive("b", fmt.Sprint(g), mix(g, 1), 100, kickOff)
		c.Close(fmt.Sprint(g), kickOff)
	}
	for _, x := range []struct {
		days int
		want float64
	}{{s.CopyDays - 1, 0}, {s.CopyDays, 1}} {
		at, game := kickOff.AddDate(0, 0, x.days), fmt.Sprint("later ", x.days)
		c.Arrive("a", game, 0, 100, at)
		if got := c.Arrive("b", game, 0, 100, at); got != x.want {
			t.Errorf("after %d days: %v, want %v", x.days, got, x.want)
		}
	}
	if c.Games() != 2 || c.Miners() != 2 {
		t.Errorf("%d games, %d miners kept", c.Games(), c.Miners())
	}
	c.Forget("later 44")
	c.Forget("later 45")
	if c.Games() != 0 || c.Miners() != 0 {
		t.Errorf("%d games, %d miners kept", c.Games(), c.Miners())
	}
}

// TestPopularOutcomesAreNoEvidence: what more than CopyPool back.
func TestPopularOutcomesAreNoEvidence(t *testing.T) {
	s := Robust()
	s.CopyPool = 3
	crowd := func(n int) map[string]float64 {
		return season(s, 30, func(g int) (b []wagered) {
			for i := range n {
				b = append(b, wagered{fmt.Sprint(i), 0, 100})
			}
			return b
		})
	}
	if three, four := crowd(3), crowd(4); three["2"] != 0 || four["2"] != 1 {
		t.Errorf("the third of three %v, of four %v", three["2"], four["2"])
	}
}

// move is one thing that can happen to evidence.
type move struct {
	what    int
	miner   string
	game    string
	outcome uint8
	wager   float64
	at      time.Time
}

func drawMoves(t *rapid.T) []move {
	var ms []move
	at := kickOff
	for range rapid.IntRange(0, 80).Draw(t, "moves") {
		at = at.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "hours")) * time.Hour)
		ms = append(ms, move{
			what:    rapid.SampledFrom([]int{0, 0, 0, 0, 0, 0, 1, 1, 2}).Draw(t, "what"),
			miner:   rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "miner"),
			game:    rapid.SampledFrom([]string{"1", "2", "3", "4", "5", "6", "7", "8"}).Draw(t, "game"),
			outcome: uint8(rapid.IntRange(0, 3).Draw(t, "outcome")),
			wager:   float64(rapid.IntRange(0, 500).Draw(t, "wager")),
			at:      at,
		})
	}
	return ms
}

// quick finds likeness after few games, so that random moves meet all rules.
func quick() Scheme {
	s := Robust()
	s.CopyPrior, s.CopySimilarity, s.CopyRamp, s.CopyPool = 0.5, 0.3, 0.5, 3
	return s
}

// slowCredit is a credit from its definition: all that arrived, and the games
// that are closed, looked through anew.
func slowCredit(s *Scheme, past []move, closed map[string]time.Time, now move) float64 {
	horizon := utcDay(now.at) - int64(s.CopyDays)
	first := map[string]map[uint8][]string{} // game, outcome: miners in order
	money := map[string]float64{}
	key := func(m move) string { return fmt.Sprint(m.game, "/", m.outcome, "/", m.miner) }
	for _, m := range append(past[:len(past):len(past)], now) {
		if first[m.game] == nil {
			first[m.game] = map[uint8][]string{}
		}
		if money[key(m)] == 0 {
			first[m.game][m.outcome] = append(first[m.game][m.outcome], m.miner)
		}
		money[key(m)] += m.wager
	}
	similarity := func(a, b string) float64 {
		var both, either float64
		for game, start := range closed {
			if utcDay(start) <= horizon {
				continue
			}
			for _, pool := range first[game] {
				has := map[string]bool{}
				for _, m := range pool {
					has[m] = true
				}
				if len(pool) > s.CopyPool {
					continue
				}
				if has[a] && has[b] {
					both++
				}
				if has[a] || has[b] {
					either++
				}
			}
		}
		return both / (either + s.CopyPrior)
	}
	own, before := money[key(now)], 0.0
	for _, other := range first[now.game][now.outcome] {
		if other == now.miner {
			break
		}
		part := (similarity(now.miner, other) - s.CopySimilarity) / s.CopyRamp
		there := now
		there.miner = other
		before = max(before, min(max(part, 0), 1)*money[key(there)])
	}
	return max(0, own-before) / own
}

func TestCopiesTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := quick()
		c := NewCopies(&s)
		var past []move
		closed := map[string]time.Time{}
		gone := map[string]bool{} // older than the horizon: dropped, and not to be played on
		for _, m := range drawMoves(t) {
			for game, start := range closed {
				if utcDay(start) <= utcDay(m.at)-int64(s.CopyDays) {
					gone[game] = true
				}
			}
			switch {
			case gone[m.game]:
			case m.what == 1:
				if _, has := closed[m.game]; !has {
					for _, p := range past {
						if p.game == m.game {
							closed[m.game] = m.at
						}
					}
				}
				c.Close(m.game, m.at)
			case m.what == 2:
				delete(closed, m.game)
				c.Reopen(m.game)
			case m.outcome > 2 || m.wager == 0:
				if x := c.Arrive(m.miner, m.game, m.outcome, m.wager, m.at); x != 1 {
					t.Fatalf("%+v is credited %v", m, x)
				}
			default:
				delete(closed, m.game)
				want := slowCredit(&s, past, closed, m)
				if got := c.Arrive(m.miner, m.game, m.outcome, m.wager, m.at); math.Abs(got-want) > 1e-12 {
					t.Fatalf("%+v is credited %v, want %v", m, got, want)
				}
				past = append(past, m)
			}
		}
	})
}

// TestRestoredCopiesGoOnAsBefore: to the last bit, wherever the restart comes.
func TestRestoredCopiesGoOnAsBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := quick()
		moves := drawMoves(t)
		cut := rapid.IntRange(0, len(moves)).Draw(t, "restart")
		c := NewCopies(&s)
		closed := map[string]time.Time{}
		play := func(c *Copies, m move) float64 {
			switch m.what {
			case 1:
				if _, has := closed[m.game]; !has {
					closed[m.game] = m.at
				}
				c.Close(m.game, closed[m.game])
			case 2:
				delete(closed, m.game)
				c.Reopen(m.game)
			default:
				if _, has := closed[m.game]; has {
					return 1 // a closed game takes no predictions
				}
				return c.Arrive(m.miner, m.game, m.outcome, m.wager, m.at)
			}
			return 1
		}
		var stored []move
		for _, m := range moves[:cut] {
			_, over := closed[m.game]
			play(c, m)
			if m.what == 0 && !over {
				stored = append(stored, m)
			}
		}
		restored := NewCopies(&s)
		for _, m := range stored {
			restored.Restore(m.miner, m.game, m.outcome, m.wager)
		}
		for game, start := range closed {
			restored.Close(game, start)
		}
		before := map[string]time.Time{}
		for game, start := range closed {
			before[game] = start
		}
		var want []float64
		for _, m := range moves[cut:] {
			if m.what == 2 {
				continue // a game too old to be evidence is not reopened
			}
			want = append(want, play(c, m))
		}
		closed = before
		for _, m := range moves[cut:] {
			if m.what == 2 {
				continue
			}
			if got := play(restored, m); got != want[0] {
				t.Fatalf("%+v is credited %v, %v without the restart", m, got, want[0])
			}
			want = want[1:]
		}
	})
}

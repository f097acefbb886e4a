package score

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

var noon = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

// Raw contributions by hand, under the standard scheme.
func TestRawContribution(t *testing.T) {
	first := 0.4 * 0.5 // no similarity, the whole root
	for _, c := range []struct {
		rule        string
		before      func(*Pools)
		outcome     uint8
		odds, wager float64
		at          time.Time
		want        float64
	}{
		{"first of a game", func(*Pools) {}, 0, 2, 10, noon, first},
		{"first of a pool in a game with others", func(p *Pools) { p.Arrive("g", 1, 2, 10, noon) }, 0, 2, 10, noon, first},
		{"other games do not count", func(p *Pools) { p.Arrive("h", 0, 2, 10, noon) }, 0, 2, 10, noon, first},
		{"a copy of the only one", func(p *Pools) { p.Arrive("g", 0, 2, 10, noon) }, 0, 2, 10, noon, -0.6 - 0.4*0.5},
		{"an hour halves likeness in time", func(p *Pools) { p.Arrive("g", 0, 2, 10, noon) }, 0, 2, 10, noon.Add(time.Hour),
			-0.6*(0.5*0.5+0.4+0.1) - 0.2},
		{"an earlier receipt is as far as a later one", func(p *Pools) { p.Arrive("g", 0, 2, 10, noon.Add(time.Hour)) }, 0, 2, 10, noon,
			-0.6*(0.5*0.5+0.4+0.1) - 0.2},
		{"odds apart by 1", func(p *Pools) { p.Arrive("g", 0, 2, 10, noon) }, 0, 3, 10, noon, -0.6*(0.5+0.4+0.1*0.5) - 0.2},
		{"a quarter of the wager", func(p *Pools) { p.Arrive("g", 0, 2, 40, noon) }, 0, 2, 10, noon, -0.6*(0.5+0.4*0.25+0.1) - 0.2},
		{"two zero wagers are alike", func(p *Pools) { p.Arrive("g", 0, 2, 0, noon) }, 0, 2, 0, noon, -0.6 - 0.2},
		{"one zero wager is unlike", func(p *Pools) { p.Arrive("g", 0, 2, 10, noon) }, 0, 2, 0, noon, -0.6*(0.5+0.1) - 0.2},
		{"a thin pool is contrarian", func(p *Pools) {
			p.Arrive("g", 0, 2, 10, noon)
			for range 3 {
				p.Arrive("g", 1, 2, 10, noon)
			}
		}, 0, 2, 10, noon, -0.6 + 0.4*(math.Sqrt(0.75)-0.5)},
		{"a closed game starts anew", func(p *Pools) { p.Arrive("g", 0, 2, 10, noon); p.Close("g") }, 0, 2, 10, noon, first},
	} {
		t.Run(c.rule, func(t *testing.T) {
			s := Standard()
			p := NewPools(&s)
			c.before(p)
			if diff := cmp.Diff(c.want, p.Arrive("g", c.outcome, c.odds, c.wager, c.at), near); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What admission refuses is not kept either.
func TestArriveRefuses(t *testing.T) {
	s := Standard()
	p := NewPools(&s)
	p.Arrive("g", 3, 2, 10, noon)
	p.Arrive("g", 0, math.NaN(), 10, noon)
	p.Arrive("g", 0, 2, math.Inf(1), noon)
	p.Arrive("g", 0, 2, -1, noon)
	p.Restore("g", 3, 2, 10, noon, 0)
	p.Restore("g", 0, 2, 10, noon, math.NaN())
	if p.Open() != 0 {
		t.Errorf("%d games are open", p.Open())
	}
}

func TestReleasedContribution(t *testing.T) {
	s := Released()
	p := NewPools(&s)
	// The pool is empty: 0. Then the raw −0.8 against the stored 0: the lower
	// extreme. Then a raw between −10 and 0.
	got := []float64{
		p.Arrive("g", 0, 2, 10, noon),
		p.Arrive("g", 0, 2, 10, noon),
		p.Arrive("g", 0, 2, 10, noon),
	}
	if diff := cmp.Diff([]float64{0, -10, (-0.8+10)/10*20 - 10}, got, near); diff != "" {
		t.Error(diff)
	}
}

func TestInitialPoolEntropy(t *testing.T) {
	for _, c := range []struct{ odds, want float64 }{
		{0, 0}, {-2, 0}, {math.NaN(), 0},
		{2, 0.5}, {4, 0.5},
		{1, 1e-8},   // certain: the floor
		{0.5, 1e-8}, // a share above 1 is clamped to it
	} {
		if diff := cmp.Diff(c.want, InitialPoolEntropy(c.odds), cmpopts.EquateApprox(0, 1e-7)); diff != "" {
			t.Errorf("odds %v: %s", c.odds, diff)
		}
	}
	if got := InitialPoolEntropy(1); got != 1e-8 {
		t.Errorf("the floor is %v", got)
	}
}

// seen is an earlier prediction of the slow twin.
type seen struct {
	game         string
	outcome      uint8
	odds, wager  float64
	at           time.Time
	contribution float64
}

func slowArrive(s *Scheme, before []seen, a seen) float64 {
	var pool []seen
	inGame := 0
	for _, b := range before {
		if b.game == a.game {
			inGame++
			if b.outcome == a.outcome {
				pool = append(pool, b)
			}
		}
	}
	similarity := 0.0
	compared := pool[max(0, len(pool)-s.PoolLimit):]
	if n := float64(len(compared)); n > 0 {
		var inTime, inWager, inOdds float64
		for _, b := range compared {
			inTime += 1 / (1 + math.Abs(a.at.Sub(b.at).Seconds())/3600)
			inOdds += 1 / (1 + math.Abs(a.odds-b.odds))
			if a.wager == 0 && b.wager == 0 {
				inWager++
			} else {
				inWager += 1 - math.Abs(a.wager-b.wager)/math.Max(a.wager, b.wager)
			}
		}
		similarity = math.Max(0, math.Min(1, 0.5*inTime/n+0.4*inWager/n+0.1*inOdds/n))
	}
	contrarian := 0.5
	if inGame > 0 {
		contrarian = math.Sqrt(1-float64(len(pool))/float64(inGame)) - 0.5
	}
	raw := -0.6*similarity + 0.4*contrarian
	if !s.LegacyEntropy {
		return raw
	}
	lo, hi := raw, raw
	for _, b := range pool {
		lo, hi = math.Min(lo, b.contribution), math.Max(hi, b.contribution)
	}
	if len(pool) == 0 || lo == hi {
		return 0
	}
	return (raw-lo)/(hi-lo)*20 - 10
}

func drawArrivals(t *rapid.T) []seen {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) seen {
		return seen{
			game:    rapid.SampledFrom([]string{"g", "h"}).Draw(t, "game"),
			outcome: uint8(rapid.IntRange(0, 2).Draw(t, "outcome")),
			odds:    rapid.Float64Range(1.01, 30).Draw(t, "odds"),
			wager:   rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(0.01, 1000)).Draw(t, "wager"),
			at:      noon.Add(time.Duration(rapid.IntRange(0, 1e6).Draw(t, "ms")) * time.Millisecond),
		}
	}), 0, 40).Draw(t, "arrivals")
}

// Arrive against its definition, over a list of everything before. The released
// scaling can blow a last bit up by 20/(max − min), hence the wider bound.
func TestArriveTwin(t *testing.T) {
	for _, s := range []Scheme{Standard(), Released()} {
		s.PoolLimit = 4
		t.Run(s.Name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				p := NewPools(&s)
				var before []seen
				for _, a := range drawArrivals(t) {
					got, want := p.Arrive(a.game, a.outcome, a.odds, a.wager, a.at), slowArrive(&s, before, a)
					if math.Abs(got-want) > 1e-6 {
						t.Fatalf("%+v after %d: got %v, want %v", a, len(before), got, want)
					}
					a.contribution = got
					before = append(before, a)
				}
			})
		})
	}
}

// A restart between any two arrivals changes no bit of the next.
func TestRestoreIsAsIfNeverStopped(t *testing.T) {
	for _, s := range []Scheme{Standard(), Released()} {
		s.PoolLimit = 3
		t.Run(s.Name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				all := drawArrivals(t)
				cut := rapid.IntRange(0, len(all)).Draw(t, "restart")
				never, again := NewPools(&s), NewPools(&s)
				for i, a := range all {
					want := never.Arrive(a.game, a.outcome, a.odds, a.wager, a.at)
					if i < cut {
						again.Restore(a.game, a.outcome, a.odds, a.wager, a.at, want)
					} else if got := again.Arrive(a.game, a.outcome, a.odds, a.wager, a.at); got != want {
						t.Fatalf("arrival %d after a restart at %d: got %v, want %v", i, cut, got, want)
					}
				}
			})
		})
	}
}

// A miner that spreads its budget over cents costs no more than the limit.
func TestPoolIsBounded(t *testing.T) {
	s := Standard()
	s.PoolLimit = 16
	p := NewPools(&s)
	for range 1000 {
		p.Arrive("g", 0, 2, 0.01, noon)
	}
	g := p.games["g"]
	if n := len(g.pools[0].latest); n != 16 || g.count != 1000 || g.pools[0].count != 1000 {
		t.Errorf("kept %d of %d in the pool, %d in the game", n, g.pools[0].count, g.count)
	}
}

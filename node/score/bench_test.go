package score

import (
	"math/rand/v2"
	"testing"
	"time"
)

// benchDay is a full day: 256 miners of 100 predictions over 200 games.
func benchDay() *Day {
	const slots, each, nGames = 256, 100, 200
	rng := rand.New(rand.NewPCG(1, 2))
	d := &Day{Slots: slots, Closing: make([][3]float64, nGames), Result: make([]int8, nGames)}
	for g := range nGames {
		d.Closing[g] = [3]float64{1 + 3*rng.Float64(), 1 + 3*rng.Float64(), 3 + 3*rng.Float64()}
		d.Result[g] = int8(rng.IntN(3))
		d.LegacyID = append(d.LegacyID, float64(100000+rng.IntN(1e6)))
		d.LegacyTable = append(d.LegacyTable, [4]float64{d.LegacyID[g], d.Closing[g][0], d.Closing[g][1], d.Closing[g][2]})
	}
	for m := range slots {
		for range each {
			g := rng.IntN(nGames)
			p := row{miner: m, outcome: rng.IntN(3), odds: 1.1 + 4*rng.Float64(), wager: float64(1+rng.IntN(1000)) / 100}
			if int(d.Result[g]) == p.outcome {
				p.payout = p.wager * p.odds
			}
			d.add(p, int32(g))
			d.Raw = append(d.Raw, rng.Float64()-0.5)
		}
	}
	return d
}

func BenchmarkComponents(b *testing.B) {
	for _, s := range []Scheme{Standard(), Released()} {
		b.Run(s.Name, func(b *testing.B) {
			d, out := benchDay(), new(Components)
			if err := s.Components(d, out); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Components(d, out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(d.Miner)), "ns/prediction")
		})
	}
}

func benchRound() *Round {
	const slots = 256
	rng := rand.New(rand.NewPCG(3, 4))
	in := roundOf(slots)
	in.Yesterday = make([]Tier, slots)
	for m := range slots {
		in.Yesterday[m] = TierFirst + Tier(rng.IntN(PublicTiers))
	}
	for d := range Ring {
		in.AnySettled[d] = true
		in.Daily[d], in.Wagered[d], in.Settled[d] = make([]float64, slots), make([]float64, slots), make([]uint16, slots)
		for m := range slots {
			in.Daily[d][m], in.Wagered[d][m], in.Settled[d][m] = rng.NormFloat64(), float64(rng.IntN(100001))/100, uint16(rng.IntN(3))
		}
	}
	return in
}

func BenchmarkRound(b *testing.B) {
	s, in, out := Standard(), benchRound(), new(Result)
	if err := s.Round(in, out); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Round(in, out); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkArrive is one arrival in a pool of the named size.
func BenchmarkArrive(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
	}{{"pool=64", 64}, {"pool=2048", 2048}} {
		b.Run(c.name, func(b *testing.B) {
			s := Standard()
			s.PoolLimit = c.size
			p := NewPools(&s)
			at := time.Unix(1_700_000_000, 0)
			for i := range c.size {
				p.Restore("100000", 0, 1.5+float64(i%7)/10, float64(i%13), at, 0)
			}
			b.ReportAllocs()
			for b.Loop() {
				p.Arrive("100000", 0, 1.9, 10, at)
			}
		})
	}
}

// Scoring keeps to the memory it was given.
func TestNoAllocations(t *testing.T) {
	d, in := benchDay(), benchRound()
	for _, s := range []Scheme{Standard(), Released()} {
		comps, out, p := new(Components), new(Result), NewPools(&s)
		at := time.Unix(1_700_000_000, 0)
		for range s.PoolLimit {
			p.Restore("g", 0, 2, 1, at, 0)
		}
		once := func() {
			if s.Components(d, comps) != nil || s.Round(in, out) != nil {
				t.Fatal("refused")
			}
			p.Arrive("g", 0, 2, 1, at)
		}
		once()
		if n := testing.AllocsPerRun(5, once); n != 0 {
			t.Errorf("%s: %v allocations", s.Name, n)
		}
	}
}

package bench

import (
	"fmt"
	"math/rand/v2"
	"time"

	"bettensor/node/score"
)

// The load of the scoring core: a full subnet on a full day.
const (
	miners = 256
	each   = 100
	games  = 200
)

// Score measures a scoring day of 256 miners with 100 predictions each under both
// schemes, the round that makes tiers and weights of 45 such days, and what
// entropy costs when a prediction arrives.
func Score() ([]Result, error) {
	standard, released := score.Standard(), score.Released()
	return measure([]load{
		components("day, standard", standard, ""),
		components("day, released", released, "day, standard"),
		round("round of 45 days, standard", standard),
		arrivals("arrival into entropy pools", standard),
	})
}

func components(name string, s score.Scheme, against string) load {
	rng := rand.New(rand.NewPCG(1, 2))
	d := &score.Day{Slots: miners, Closing: make([][3]float64, games), Result: make([]int8, games)}
	for g := range games {
		d.Closing[g] = [3]float64{1 + 3*rng.Float64(), 1 + 3*rng.Float64(), 3 + 3*rng.Float64()}
		d.Result[g] = int8(rng.IntN(3))
		id := float64(100_000 + g)
		d.LegacyID = append(d.LegacyID, id)
		d.LegacyTable = append(d.LegacyTable, [4]float64{id, d.Closing[g][0], d.Closing[g][1], d.Closing[g][2]})
	}
	for m := range miners {
		for range each {
			g, o := rng.IntN(games), rng.IntN(3)
			odds, wager, payout := 1.1+4*rng.Float64(), float64(1+rng.IntN(1000))/100, 0.0
			if int(d.Result[g]) == o {
				payout = wager * odds
			}
			d.Miner, d.Game, d.Outcome = append(d.Miner, uint16(m)), append(d.Game, int32(g)), append(d.Outcome, uint8(o))
			d.Odds, d.Wager, d.Payout = append(d.Odds, odds), append(d.Wager, wager), append(d.Payout, payout)
			d.Raw = append(d.Raw, rng.Float64()-0.5)
		}
	}
	out := new(score.Components)
	return load{name: name, against: against, run: func(n int) error {
		for range n {
			if err := s.Components(d, out); err != nil {
				return err
			}
		}
		return done("miners", len(out.Composite), miners)
	}}
}

func round(name string, s score.Scheme) load {
	rng := rand.New(rand.NewPCG(3, 4))
	in := &score.Round{Slots: miners, Valid: make([]bool, miners), Active: make([]bool, miners), Yesterday: make([]score.Tier, miners)}
	for m := range miners {
		in.Valid[m], in.Active[m] = true, true
		in.Yesterday[m] = score.TierFirst + score.Tier(rng.IntN(score.PublicTiers))
	}
	for d := range score.Ring {
		in.AnySettled[d] = true
		in.Daily[d], in.Wagered[d], in.Settled[d] = make([]float64, miners), make([]float64, miners), make([]uint16, miners)
		for m := range miners {
			in.Daily[d][m], in.Wagered[d][m], in.Settled[d][m] = rng.NormFloat64(), float64(rng.IntN(100_001))/100, uint16(rng.IntN(3))
		}
	}
	out := new(score.Result)
	return load{name: name, run: func(n int) error {
		for range n {
			if err := s.Round(in, out); err != nil {
				return err
			}
		}
		return done("weights", len(out.Weights), miners)
	}}
}

// arrivals fills the pools of a day's games and begins anew.
func arrivals(name string, s score.Scheme) load {
	rng := rand.New(rand.NewPCG(5, 6))
	names := make([]string, games)
	for g := range names {
		names[g] = fmt.Sprint(100_000 + g)
	}
	pools, in := score.NewPools(&s), 0
	at := time.Unix(1_700_000_000, 0)
	return load{name: name, run: func(n int) error {
		for range n {
			if in == miners*each {
				pools, in = score.NewPools(&s), 0
			}
			in++
			at = at.Add(time.Second)
			pools.Arrive(names[rng.IntN(games)], uint8(rng.IntN(3)), 1.1+4*rng.Float64(), 10, at)
		}
		return nil
	}}
}

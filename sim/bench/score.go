package bench

import (
	"fmt"
	"math/rand/v2"
	"time"

	"bettensor/node/score"
)

// Defaults of the scoring core: a full subnet on a full day.
const (
	scoredMiners      = 256
	scoredPredictions = 25_600
	games             = 200
)

// scoreLoads are the work of the scoring core: `day` and `released`, the
// components of a day of predictions under two schemes; `round`, the tiers and
// weights of 45 such days; `arrival`, what entropy costs when a prediction comes.
// Their reference is a plain loop over the day's predictions that sums up what
// each miner wagered, won and had in closing-line value.
func scoreLoads(p *plan) ([]*load, error) {
	miners, predictions := or(p.Miners, scoredMiners), or(p.Predictions, scoredPredictions)
	day := scoredDay(miners, predictions)
	loads, err := mixed("score", p.mixOr("day"), func(name string) (*load, error) {
		switch name {
		case "day":
			return components(score.Standard(), day), nil
		case "released":
			return components(score.Released(), day), nil
		case "round":
			return round(score.Standard(), miners), nil
		case "arrival":
			return pooled(score.Standard(), predictions), nil
		}
		return nil, fmt.Errorf("no operation %q of the scoring core", name)
	})
	return append(loads, plainSums(day)), err
}

func scoredDay(miners, predictions int) *score.Day {
	rng := rand.New(rand.NewPCG(1, 2))
	d := &score.Day{Slots: miners, Closing: make([][3]float64, games), Result: make([]int8, games)}
	for g := range games {
		d.Closing[g] = [3]float64{1 + 3*rng.Float64(), 1 + 3*rng.Float64(), 3 + 3*rng.Float64()}
		d.Result[g] = int8(rng.IntN(3))
		id := float64(100_000 + g)
		d.LegacyID = append(d.LegacyID, id)
		d.LegacyTable = append(d.LegacyTable, [4]float64{id, d.Closing[g][0], d.Closing[g][1], d.Closing[g][2]})
	}
	for i := range predictions {
		g, o := rng.IntN(games), rng.IntN(3)
		odds, wager, payout := 1.1+4*rng.Float64(), float64(1+rng.IntN(1000))/100, 0.0
		if int(d.Result[g]) == o {
			payout = wager * odds
		}
		m := i * miners / predictions // in the order of UIDs, as the core wants them
		d.Miner, d.Game, d.Outcome = append(d.Miner, uint16(m)), append(d.Game, int32(g)), append(d.Outcome, uint8(o))
		d.Odds, d.Wager, d.Payout = append(d.Odds, odds), append(d.Wager, wager), append(d.Payout, payout)
		d.Raw = append(d.Raw, rng.Float64()-0.5)
	}
	return d
}

// each does an operation n times and tells how long each took: those that are
// long against the reading of a clock.
func each(n int, s *sample, do func() error) error {
	for range n {
		began := time.Now()
		if err := do(); err != nil {
			return err
		}
		s.latency.Add(time.Since(began).Nanoseconds())
	}
	return nil
}

func components(s score.Scheme, d *score.Day) *load {
	out := new(score.Components)
	return &load{run: func(n int, took *sample) error {
		if err := each(n, took, func() error { return s.Components(d, out) }); err != nil {
			return err
		}
		return done("miners", len(out.Composite), d.Slots)
	}}
}

// plainSums is what anybody would write who wants no more than sums.
func plainSums(d *score.Day) *load {
	wagered, won, value := make([]float64, d.Slots), make([]float64, d.Slots), make([]float64, d.Slots)
	return &load{name: "plain", reference: true, run: func(n int, took *sample) error {
		return each(n, took, func() error {
			clear(wagered)
			clear(won)
			clear(value)
			for i, m := range d.Miner {
				wagered[m] += d.Wager[i]
				won[m] += d.Payout[i]
				value[m] += d.Wager[i] * (d.Odds[i]/d.Closing[d.Game[i]][d.Outcome[i]] - 1)
			}
			if wagered[0] <= 0 {
				return fmt.Errorf("no wager of the first miner")
			}
			return nil
		})
	}}
}

func round(s score.Scheme, miners int) *load {
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
	return &load{run: func(n int, took *sample) error {
		if err := each(n, took, func() error { return s.Round(in, out) }); err != nil {
			return err
		}
		return done("weights", len(out.Weights), miners)
	}}
}

// pooled fills the pools of a day's games and begins anew.
func pooled(s score.Scheme, predictions int) *load {
	rng := rand.New(rand.NewPCG(5, 6))
	names := make([]string, games)
	for g := range names {
		names[g] = fmt.Sprint(100_000 + g)
	}
	pools, in := score.NewPools(&s), 0
	at := time.Unix(1_700_000_000, 0)
	return &load{run: func(n int, _ *sample) error {
		for range n {
			if in == predictions {
				pools, in = score.NewPools(&s), 0
			}
			in++
			at = at.Add(time.Second)
			pools.Arrive(names[rng.IntN(games)], uint8(rng.IntN(3)), 1.1+4*rng.Float64(), 10, at)
		}
		return nil
	}}
}

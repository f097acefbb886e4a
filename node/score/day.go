package score

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// NoResult in Day.Result marks a game whose outcome is not known.
const NoResult int8 = -1

// Day is one UTC day of predictions to score, as columns of equal length
// sorted by miner slot. Which predictions belong to a day is the caller's to
// decide (Scheme.RescoreHours); predictions of void games are left out.
type Day struct {
	Slots   int       // slots of the subnet
	Miner   []uint16  // slot, ascending
	Game    []int32   // index into Closing and Result
	Outcome []uint8   // backed: 0 team A, 1 team B, 2 tie
	Odds    []float64 // taken, decimal, at least 1
	Wager   []float64 // dollars, not negative
	Payout  []float64 // dollars, unrounded: wager × odds if the outcome came, else 0
	Chance  []float64 // probability that the price stands for (Chance), read under ClosingEdge; nil, or 0 where unknown: with the closing margin
	Raw     []float64 // what Pools.Arrive, or under ClosingEdge Copies.Arrive, returned; nil scores entropy 0, or credits all

	Closing [][3]float64 // per game, by outcome; 0 where unknown or the sport cannot tie
	Result  []int8       // per game: the outcome that came, NoResult if none

	// LegacyID and LegacyTable are read only under Scheme.LegacyCLV: the
	// numeric id of each game, and rows of [id, team A, team B, tie] of all
	// games of the day by start time, at least as many as were predicted.
	LegacyID    []float64
	LegacyTable [][4]float64
}

// Components are the scores of one day by slot, 0 where a miner has nothing to
// score. The slices are reused from call to call. Under ClosingEdge they mean
// something else: see edge.
type Components struct {
	CLV       []float64 // mean of odds taken over closing odds, less CLVOffset
	ROI       []float64 // unweighted mean return
	Risk      []float64 // risk ratio, called sortino by the original
	Entropy   []float64 // normalised over the day's miners
	Composite []float64 // weighted sum of the four

	net    []float64 // per game: edge of the miner under way
	backed []bool    // per game: by the miner under way
	games  []int32   // backed by the miner under way, in the order of arrival
	lo, hi []float64 // per pool: extremes of Raw
	rank   []int32   // per game: row of LegacyTable, or -1
	ids    []int32   // predicted games by ascending id
}

// Components scores one day into out (docs/scoring.md, Components). It is one
// pass over the columns and allocates only while out grows. On an error,
// always ErrDay, out is empty.
func (s *Scheme) Components(d *Day, out *Components) error {
	err := s.components(d, out)
	if err != nil {
		out.size(0)
	}
	return err
}

func (c *Components) size(n int) {
	for _, p := range []*[]float64{&c.CLV, &c.ROI, &c.Risk, &c.Entropy, &c.Composite} {
		*p = resize(*p, n)
	}
}

func (s *Scheme) components(d *Day, out *Components) error {
	if err := d.check(); err != nil {
		return err
	}
	out.size(d.Slots)
	if s.LegacyCLV {
		if err := d.legacyRows(out); err != nil {
			return err
		}
	}
	if s.ClosingEdge {
		out.net, out.backed = resize(out.net, len(d.Closing)), resize(out.backed, len(d.Closing))
		for i := 0; i < len(d.Miner); {
			i = s.edge(d, i, out)
		}
	} else {
		s.four(d, out)
	}
	for m := range out.Composite {
		if !finite(out.Composite[m]) || !finite(out.Risk[m]) {
			return fmt.Errorf("%w: slot %d: composite is not a finite number", ErrDay, m)
		}
	}
	return nil
}

// four scores the day by the four components of the original.
func (s *Scheme) four(d *Day, out *Components) {
	if d.Raw != nil && !s.LegacyEntropy {
		d.poolExtremes(out)
	}
	for i := 0; i < len(d.Miner); {
		i = s.miner(d, i, out)
	}
	s.normaliseEntropy(out.Entropy)
	for m := range out.Composite {
		out.Composite[m] = s.Composite(out.CLV[m], out.ROI[m], out.Risk[m], out.Entropy[m])
	}
}

// miner scores the run of predictions that starts at i and returns where the
// next miner's begins.
func (s *Scheme) miner(d *Day, i int, out *Components) int {
	var clv, roi, risk, entropy float64
	var priced, scorable int
	m, first := d.Miner[i], i
	for ; i < len(d.Miner) && d.Miner[i] == m; i++ {
		g, o := d.Game[i], d.Outcome[i]
		if c := s.closing(d, out, g, o); c > 0 && c <= math.MaxFloat64 {
			clv += d.Odds[i] / c
			priced++
		}
		if w := d.Wager[i]; d.Result[g] >= 0 && w != 0 {
			r := (d.Payout[i] - w) / w
			roi += r
			risk += s.riskTerm(d.Odds[i], r)
			scorable++
		}
		if d.Raw != nil {
			entropy += s.contribution(d, out, i)
		}
	}
	if priced > 0 {
		out.CLV[m] = clv/float64(priced) - s.CLVOffset
	}
	if scorable > 0 {
		out.ROI[m] = roi / float64(scorable)
		// All the miner's predictions divide, also those without a result.
		out.Risk[m] = risk / float64(i-first)
	}
	out.Entropy[m] = entropy
	return i
}

// closing is the price a prediction is measured against.
func (s *Scheme) closing(d *Day, out *Components, g int32, o uint8) float64 {
	if s.LegacyCLV {
		return d.LegacyTable[out.rank[g]][o]
	}
	return d.Closing[g][o]
}

// riskTerm is what a return r at some odds adds to the risk sum: a win is
// divided by the believed chance of losing, a loss by that of winning.
func (s *Scheme) riskTerm(odds, r float64) float64 {
	risk := min(1-s.Vig/odds, 1)
	if r > 0 {
		return r / risk
	}
	return max(r/((1-risk)+s.RiskEpsilon), s.RiskFloor)
}

// contribution of prediction i to its miner's entropy: as stored, or scaled
// over the raw values of its pool.
func (s *Scheme) contribution(d *Day, out *Components, i int) float64 {
	if s.LegacyEntropy {
		return d.Raw[i]
	}
	k := poolIndex(d, i)
	return s.scale(d.Raw[i], out.lo[k], out.hi[k])
}

func poolIndex(d *Day, i int) int { return int(d.Game[i])*3 + int(d.Outcome[i]) }

// scale maps [lo, hi] onto ±EntropyScale; a pool without spread gives 0.
func (s *Scheme) scale(raw, lo, hi float64) float64 {
	if !(hi > lo) {
		return 0
	}
	return float64((raw-lo)/(hi-lo)*(2*s.EntropyScale)) - s.EntropyScale
}

func (d *Day) poolExtremes(out *Components) {
	n := 3 * len(d.Closing)
	out.lo, out.hi = resize(out.lo, n), resize(out.hi, n)
	for k := range out.lo {
		out.lo[k], out.hi[k] = math.Inf(1), math.Inf(-1)
	}
	for i, r := range d.Raw {
		k := poolIndex(d, i)
		out.lo[k], out.hi[k] = min(out.lo[k], r), max(out.hi[k], r)
	}
}

func (s *Scheme) normaliseEntropy(e []float64) {
	var top float64
	for _, x := range e {
		if !s.LegacyEntropyMaximum {
			x = math.Abs(x)
		}
		top = max(top, x)
	}
	if top > 0 {
		for m := range e {
			e[m] /= top
		}
	}
}

// Composite is the daily composite of four components.
func (s *Scheme) Composite(clv, roi, risk, entropy float64) float64 {
	return float64(s.CLVCoefficient*clv) + float64(s.ROICoefficient*roi) +
		float64(s.RiskCoefficient*risk) + float64(s.EntropyCoefficient*entropy)
}

// legacyRows gives each predicted game the rank of its id among the predicted
// ids, from 0: the row of LegacyTable the released program read.
func (d *Day) legacyRows(out *Components) error {
	if len(d.LegacyID) != len(d.Closing) {
		return fmt.Errorf("%w: %d legacy ids for %d games", ErrDay, len(d.LegacyID), len(d.Closing))
	}
	out.rank = resize(out.rank, len(d.Closing))
	for g := range out.rank {
		out.rank[g] = -1
	}
	out.ids = out.ids[:0]
	for _, g := range d.Game {
		if out.rank[g] < 0 {
			out.rank[g] = 0
			out.ids = append(out.ids, g)
		}
	}
	slices.SortFunc(out.ids, func(a, b int32) int {
		return cmp.Or(cmp.Compare(d.LegacyID[a], d.LegacyID[b]), cmp.Compare(a, b))
	})
	row := int32(-1)
	for i, g := range out.ids {
		if i == 0 || d.LegacyID[g] != d.LegacyID[out.ids[i-1]] {
			row++
		}
		out.rank[g] = row
	}
	if int(row) >= len(d.LegacyTable) {
		return fmt.Errorf("%w: %d games predicted, the legacy table has %d rows", ErrDay, row+1, len(d.LegacyTable))
	}
	return nil
}

// check refuses what would be read out of bounds or scored as nonsense.
func (d *Day) check() error {
	n := len(d.Miner)
	switch {
	case d.Slots < 0 || d.Slots > MaxSlots:
		return fmt.Errorf("%w: %d slots, want 0 to %d", ErrDay, d.Slots, MaxSlots)
	case len(d.Closing) > MaxGames:
		return fmt.Errorf("%w: %d games, want at most %d", ErrDay, len(d.Closing), MaxGames)
	case len(d.Result) != len(d.Closing):
		return fmt.Errorf("%w: %d results for %d games", ErrDay, len(d.Result), len(d.Closing))
	case len(d.Game) != n, len(d.Outcome) != n, len(d.Odds) != n, len(d.Wager) != n, len(d.Payout) != n, d.Raw != nil && len(d.Raw) != n, d.Chance != nil && len(d.Chance) != n:
		return fmt.Errorf("%w: columns of unequal length", ErrDay)
	}
	last := uint16(0)
	for i, m := range d.Miner {
		switch {
		case m < last:
			return fmt.Errorf("%w: prediction %d: miners not ascending", ErrDay, i)
		case int(m) >= d.Slots:
			return fmt.Errorf("%w: prediction %d: slot %d of %d", ErrDay, i, m, d.Slots)
		case uint(d.Game[i]) >= uint(len(d.Closing)):
			return fmt.Errorf("%w: prediction %d: game %d of %d", ErrDay, i, d.Game[i], len(d.Closing))
		case d.Outcome[i] > 2:
			return fmt.Errorf("%w: prediction %d: outcome %d", ErrDay, i, d.Outcome[i])
		case !(d.Odds[i] >= 1 && d.Odds[i] <= math.MaxFloat64):
			return fmt.Errorf("%w: prediction %d: odds %v", ErrDay, i, d.Odds[i])
		case !(d.Wager[i] >= 0 && d.Wager[i] <= math.MaxFloat64):
			return fmt.Errorf("%w: prediction %d: wager %v", ErrDay, i, d.Wager[i])
		case !(d.Payout[i] >= 0 && d.Payout[i] <= math.MaxFloat64):
			return fmt.Errorf("%w: prediction %d: payout %v", ErrDay, i, d.Payout[i])
		case d.Chance != nil && !(d.Chance[i] >= 0 && d.Chance[i] <= 1):
			return fmt.Errorf("%w: prediction %d: a chance of %v", ErrDay, i, d.Chance[i])
		case d.Raw != nil && !finite(d.Raw[i]):
			return fmt.Errorf("%w: prediction %d: entropy %v", ErrDay, i, d.Raw[i])
		}
		last = m
	}
	return nil
}

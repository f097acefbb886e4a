package market

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"bettensor/node/bet"

	"github.com/cespare/xxhash/v2"
)

const (
	// tick is the grid of prices while a line moves: bookmakers quote hundredths.
	tick = 0.01
	// pathNoise is the standard deviation of one step of the path in log odds. Lines
	// of real matches move, from opening to close, by 0.25 in ln(away price / home
	// price); two independent prices that take 32 steps of 0.03 move by as much.
	// So the path is a random walk that happens to end at the closing odds: less
	// noise would let anybody read the close from the first moves, more would
	// pull the line back to it.
	pathNoise = 0.03
)

// stream is a random source that is aimed at one name at a time: what is drawn
// for a game depends on the seed and the game's name alone, never on what was
// drawn before or on which other games exist.
type stream struct {
	seed uint64
	pcg  rand.PCG
	*rand.Rand
}

func newStream(seed uint64) *stream {
	s := &stream{seed: seed}
	s.Rand = rand.New(&s.pcg)
	return s
}

func (s *stream) aim(purpose string, names ...string) {
	var d xxhash.Digest
	d.ResetWithSeed(s.seed)
	d.WriteString(purpose)
	for _, n := range names {
		d.WriteString("\x00")
		d.WriteString(n)
	}
	s.pcg.Seed(s.seed, d.Sum64())
}

func (s *stream) aimAt(purpose string, f *Fixture) {
	s.aim(purpose, f.League, f.TeamA, f.TeamB, f.Start.Format(time.RFC3339))
}

// walk lays out the news of fixtures.
type walk struct {
	rand  *stream
	noise float64
	when  []int64
	odds  []bet.Odds
}

func newWalk(seed uint64, noise float64) *walk { return &walk{rand: newStream(seed), noise: noise} }

// changes appends the news of f: the opening, each step at which the price moved,
// the kick-off with the closing odds, and what became of the game.
func (w *walk) changes(dst []change, f *Fixture, step time.Duration) []change {
	opens, kick := f.Opens.Unix(), f.KickOff().Unix()
	w.when = w.when[:0]
	for t := opens; t < kick; t += int64(step / time.Second) {
		w.when = append(w.when, t)
	}
	w.when = append(w.when, kick)
	w.odds = slices.Grow(w.odds[:0], len(w.when))[:len(w.when)]
	w.rand.aimAt("line", f)
	bridge(w.odds, f.Open, f.Close, w.noise, w.rand.Rand)

	// While a game is off nobody quotes it, and nothing moves after a void.
	off, on := int64(math.MaxInt64), int64(math.MaxInt64)
	if !f.PostponedAt.IsZero() {
		off = f.PostponedAt.Unix()
	}
	if !f.MovedAt.IsZero() {
		on = f.MovedAt.Unix()
	}
	last := change{at: opens, oddsAt: opens, odds: f.Open}
	dst = append(dst, last)
	say := func(at int64) {
		last.at = at
		dst = append(dst, last)
	}
	saidOff, saidOn := false, false
	for i, t := range w.when {
		if t >= off && !saidOff {
			say(off)
			saidOff = true
		}
		if t >= on && !saidOn {
			say(on)
			saidOn = true
		}
		if i == 0 || t >= off && t < on || (w.odds[i] == last.odds && t != kick) {
			continue
		}
		last.odds, last.oddsAt = w.odds[i], t
		say(t)
	}
	if !f.ResultAt.IsZero() {
		say(f.ResultAt.Unix())
	}
	if !f.VoidAt.IsZero() {
		say(f.VoidAt.Unix())
	}
	return dst
}

// bridge fills odds with a line from open to close, both exact: straight in log
// odds, plus a Brownian bridge per outcome with the given standard deviation per
// step, scaled so that the overround goes straight from that of open to that of
// close. Between the ends prices are rounded to the tick and at least bet.MinOdds.
func bridge(odds []bet.Odds, open, close bet.Odds, noise float64, r *rand.Rand) {
	n := len(odds) - 1
	if n < 0 {
		return
	}
	sides := 3
	if open[bet.Tie] == 0 {
		sides = 2
	}
	clear(odds)
	// The walk itself goes into odds first, then is tied down at its end.
	var sum bet.Odds
	for k := 1; k <= n; k++ {
		for i := range sides {
			sum[i] += float64(noise * r.NormFloat64())
			odds[k][i] = sum[i]
		}
	}
	from, to := bookSum(open), bookSum(close)
	for k := 1; k < n; k++ {
		share := float64(k) / float64(n)
		for i := range sides {
			line := float64((1-share)*math.Log(open[i])) + float64(share*math.Log(close[i]))
			odds[k][i] = math.Exp(line + odds[k][i] - float64(share*sum[i]))
		}
		scale := bookSum(odds[k]) / (float64((1-share)*from) + float64(share*to))
		for i := range sides {
			odds[k][i] = toTick(odds[k][i] * scale)
		}
	}
	odds[0] = open
	odds[n] = close
}

// toTick rounds a price to the tick, at least bet.MinOdds.
func toTick(o float64) float64 {
	return max(math.Round(o/tick)/math.Round(1/tick), bet.MinOdds)
}

// bookSum is 1 + overround: the sum of the implied probabilities.
func bookSum(o bet.Odds) float64 {
	var s float64
	for _, x := range o {
		if x > 0 {
			s += 1 / x
		}
	}
	return s
}

// Implied are the probabilities that odds imply with the overround taken out in
// proportion; zero where there is no price.
func Implied(o bet.Odds) [3]float64 {
	var p [3]float64
	s := bookSum(o)
	if s <= 0 {
		return p
	}
	for i, x := range o {
		if x > 0 {
			p[i] = 1 / x / s
		}
	}
	return p
}

package population

import (
	"math"
	"math/rand/v2"

	"bettensor/node/bet"
	"bettensor/sim/market"

	"github.com/cespare/xxhash/v2"
)

// Drawn minutes keep away from midnight: a prediction on its way over midnight would
// count for the next day's budget. The late half of the evening is left out too, so
// that a link that is down for an hour does not push it there.
const (
	firstMinute = 10
	lastMinute  = 22*60 - 1
)

// noise is one miner's randomness. It is aimed at a game and a day and then drawn
// from: nothing drawn earlier matters.
type noise struct {
	key uint64
	pcg rand.PCG
	*rand.Rand
}

func newNoise(seed uint64, miner string) *noise {
	var d xxhash.Digest
	d.ResetWithSeed(seed)
	d.WriteString("population\x00")
	d.WriteString(miner)
	n := &noise{key: d.Sum64()}
	n.Rand = rand.New(&n.pcg)
	return n
}

// aim points at a game and a day; the day is 0 for what does not change by day.
func (n *noise) aim(game bet.GameID, day bet.Day) *noise {
	// The odd factor spreads days over the second half of the seed.
	n.pcg.Seed(n.key, xxhash.Sum64String(string(game))^uint64(day)*0x9e3779b97f4a7c15)
	return n
}

// minute is the miner's minute of the day.
func (n *noise) minute() int {
	return firstMinute + n.aim("", 0).IntN(lastMinute-firstMinute+1)
}

// belief is the miner's view of a game whose odds it half knows: the implied
// probabilities, each off by a log-normal error, renormalised. It is the same on
// every day.
func (n *noise) belief(game bet.GameID, odds bet.Odds, sd float64) [3]float64 {
	p := market.Implied(odds)
	n.aim(game, 0)
	var sum float64
	for i := range p {
		p[i] *= math.Exp(sd * n.NormFloat64())
		sum += p[i]
	}
	if sum > 0 {
		for i := range p {
			p[i] /= sum
		}
	}
	return p
}

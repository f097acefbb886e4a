package score

import (
	"math"
	"time"
)

// Pools keeps, of each open game and outcome, what the entropy of the next
// prediction depends on: the predictions before it. It lives in memory; after a
// restart the caller feeds the stored predictions back with Restore. One owner,
// no locks.
type Pools struct {
	s     *Scheme
	games map[string]*gamePools
}

type gamePools struct {
	count int // predictions of the game so far
	pools [3]pool
}

type pool struct {
	count  int       // predictions so far, also those no longer compared
	latest []arrival // at most PoolLimit; a ring once full
	next   int       // where the ring is overwritten
	lo, hi float64   // extremes of the stored contributions, once count > 0
}

type arrival struct {
	at          int64 // nanoseconds since 1970
	odds, wager float64
}

// NewPools returns empty pools under a scheme, which must not change while they
// are in use.
func NewPools(s *Scheme) *Pools {
	return &Pools{s: s, games: make(map[string]*gamePools)}
}

// Arrive takes a prediction just accepted into its pool and returns the
// contribution that the caller stores with it and later puts into Day.Raw: the
// raw value, or under LegacyEntropy the scaled one. odds are decimal, wager in
// dollars, at the receipt. The miner's own earlier predictions count like any
// other. The cost is one step per earlier prediction of the pool, at most
// PoolLimit (docs/scoring.md, Entropy). What admission refuses (no such
// outcome, odds or wager not a finite number, a negative wager) gives 0 and is
// not kept.
func (p *Pools) Arrive(game string, outcome uint8, odds, wager float64, at time.Time) float64 {
	if !poolable(outcome, odds, wager) {
		return 0
	}
	g := p.game(game)
	q := &g.pools[outcome]
	a := arrival{at.UnixNano(), odds, wager}
	c := p.s.raw(q.similarity(p.s, a), q.count, g.count)
	if p.s.LegacyEntropy {
		c = q.scaled(p.s, c)
	}
	g.add(p.s, outcome, a, c)
	return c
}

// Restore takes a stored prediction back into its pool without computing
// anything: contribution is what Arrive returned for it. All predictions of a
// game must come, in the order they arrived; then the next Arrive returns what
// it would have returned without the restart, to the last bit.
func (p *Pools) Restore(game string, outcome uint8, odds, wager float64, at time.Time, contribution float64) {
	if poolable(outcome, odds, wager) && finite(contribution) {
		p.game(game).add(p.s, outcome, arrival{at.UnixNano(), odds, wager}, contribution)
	}
}

// Close forgets a game: it started, or it was voided.
func (p *Pools) Close(game string) { delete(p.games, game) }

// Open is the number of games with a pool.
func (p *Pools) Open() int { return len(p.games) }

func poolable(outcome uint8, odds, wager float64) bool {
	return outcome <= 2 && finite(odds) && finite(wager) && wager >= 0
}

func (p *Pools) game(id string) *gamePools {
	g := p.games[id]
	if g == nil {
		g = new(gamePools)
		p.games[id] = g
	}
	return g
}

func (g *gamePools) add(s *Scheme, outcome uint8, a arrival, contribution float64) {
	q := &g.pools[outcome]
	if q.count == 0 {
		q.lo, q.hi = contribution, contribution
	} else {
		q.lo, q.hi = min(q.lo, contribution), max(q.hi, contribution)
	}
	if len(q.latest) < s.PoolLimit {
		q.latest = append(q.latest, a)
	} else {
		q.latest[q.next] = a
		q.next = (q.next + 1) % len(q.latest)
	}
	q.count++
	g.count++
}

// similarity of a prediction to the pool before it, 0 to 1, and 0 for an empty
// pool.
func (q *pool) similarity(s *Scheme, a arrival) float64 {
	if len(q.latest) == 0 {
		return 0
	}
	var inTime, inOdds, inWager float64
	hour := s.EntropyHour * 1e9
	for i := range q.latest {
		b := &q.latest[i]
		inTime += 1 / (1 + math.Abs(float64(a.at-b.at))/hour)
		inOdds += 1 / (1 + math.Abs(a.odds-b.odds))
		if top := max(a.wager, b.wager); top > 0 {
			inWager += 1 - math.Abs(a.wager-b.wager)/top
		} else {
			inWager++ // two zero wagers are alike
		}
	}
	n := float64(len(q.latest))
	sum := float64(s.EntropyTime*(inTime/n)) + float64(s.EntropyWager*(inWager/n)) + float64(s.EntropyOdds*(inOdds/n))
	return min(max(sum, 0), 1)
}

// raw contribution, from the counts before the prediction.
func (s *Scheme) raw(similarity float64, inPool, inGame int) float64 {
	share := 0.0 // an untouched game: the root is 1
	if inGame > 0 {
		share = float64(inPool) / float64(inGame)
	}
	contrarian := math.Sqrt(1-share) - s.EntropyCentre
	return float64(-s.EntropySimilarity*similarity) + float64(s.EntropyContrarian*contrarian)
}

// scaled is the released program's scaling: over the pool's stored
// contributions and this raw one.
func (q *pool) scaled(s *Scheme, raw float64) float64 {
	if q.count == 0 {
		return 0
	}
	return s.scale(raw, min(q.lo, raw), max(q.hi, raw))
}

// InitialPoolEntropy is the entropy of a pool that opens at some odds. It is
// stored and shown, and enters no score. 0 for odds that are no price.
func InitialPoolEntropy(odds float64) float64 {
	if !(odds > 0) {
		return 0
	}
	const epsilon = 1e-8
	p := min(1/(odds+epsilon), 1)
	return max(float64(-p*math.Log2(p+epsilon)), epsilon)
}

package score

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Copies finds out who follows whom, from nothing but which outcomes miners back
// and who came first, and says as each prediction arrives how much of it is the
// miner's own. It is to the robust scheme what Pools is to the others: it lives
// in memory, and after a restart the caller feeds it what is stored. One owner,
// no locks.
//
// Two miners are alike as far as the outcomes backed by both are a large part of
// those backed by either, over the games of the last CopyDays that are closed.
// That says nothing of who leads. The order on each outcome does: of two alike,
// whoever backs it second is credited only with the money that exceeds what the
// first had put there. A leader loses nothing by being followed, whoever trades
// places with a partner loses on each outcome what the partner gains, and two
// who merely know the same agree too seldom to be alike.
type Copies struct {
	s       *Scheme
	miners  map[string]*follower
	games   map[string]*backedGame
	closed  []*backedGame // those that are evidence, by day
	version uint64        // of the evidence
}

// follower is a miner as evidence sees it.
type follower struct {
	name  string
	held  int // entries of it in pools; without any it is dropped
	picks int // outcomes of closed games
	both  map[*follower]int
	// alike are those it may copy, as of a version of the evidence.
	alike []likeness
	asOf  uint64
}

type likeness struct {
	with *follower
	part float64 // in (0, 1]
}

type backedGame struct {
	name   string
	day    int64 // of the start, since 1970; of closed ones
	closed bool
	pools  [3][]backer // by outcome, in the order of arrival
}

type backer struct {
	who   *follower
	wager float64 // dollars, so far
}

// NewCopies returns empty evidence under a scheme, which must not change while it
// is in use.
func NewCopies(s *Scheme) *Copies {
	return &Copies{s: s, miners: make(map[string]*follower), games: make(map[string]*backedGame), version: 1}
}

// Arrive takes an accepted prediction in and returns the share of a gain from it
// that the miner is credited with, 1 for whatever is its own. The caller stores it
// and puts it into Day.Raw. wager is in dollars, at the receipt. What admission
// refuses gives 1 and is not kept. The cost is one step per earlier backer of the
// outcome and per miner that this one is like.
func (c *Copies) Arrive(miner, game string, outcome uint8, wager float64, at time.Time) float64 {
	if !c.keeps(outcome, wager) {
		return 1
	}
	c.expire(utcDay(at) - int64(c.s.CopyDays))
	m := c.follower(miner)
	pool := c.add(m, game, outcome, wager)
	i := slices.IndexFunc(pool, func(b backer) bool { return b.who == m })
	own, before := pool[i].wager, 0.0
	for _, l := range c.alike(m) {
		for _, b := range pool[:i] {
			if b.who == l.with {
				before = max(before, float64(l.part*b.wager))
			}
		}
	}
	if !(own > before) {
		return 0
	}
	return (own - before) / own
}

// Restore takes a stored prediction in, as Arrive does, and judges nothing. All
// predictions that are kept must come, in the order they arrived, and then Close
// for the games that are settled.
func (c *Copies) Restore(miner, game string, outcome uint8, wager float64) {
	if c.keeps(outcome, wager) {
		c.add(c.follower(miner), game, outcome, wager)
	}
}

// Close makes evidence of a game that takes no more predictions. It may be called
// again.
func (c *Copies) Close(game string, start time.Time) {
	g := c.games[game]
	if g == nil || g.closed {
		return
	}
	g.closed, g.day = true, utcDay(start)
	i, _ := slices.BinarySearchFunc(c.closed, g.day+1, func(x *backedGame, day int64) int { return cmp.Compare(x.day, day) })
	c.closed = slices.Insert(c.closed, i, g)
	c.count(g, 1)
}

// Reopen takes a game out of the evidence: its result was withdrawn.
func (c *Copies) Reopen(game string) {
	if g := c.games[game]; g != nil && g.closed {
		c.closed = slices.DeleteFunc(c.closed, func(x *backedGame) bool { return x == g })
		g.closed = false
		c.count(g, -1)
	}
}

// Forget drops a game and what it proves.
func (c *Copies) Forget(game string) {
	c.Reopen(game)
	g := c.games[game]
	if g == nil {
		return
	}
	delete(c.games, game)
	for _, pool := range g.pools {
		for _, b := range pool {
			if b.who.held--; b.who.held == 0 {
				delete(c.miners, b.who.name)
			}
		}
	}
}

// Games is how many games are held in memory.
func (c *Copies) Games() int { return len(c.games) }

// Miners is how many miners are held in memory.
func (c *Copies) Miners() int { return len(c.miners) }

func (c *Copies) keeps(outcome uint8, wager float64) bool {
	return c.s.CopyDays > 0 && outcome <= 2 && wager > 0 && wager <= math.MaxFloat64
}

func (c *Copies) follower(name string) *follower {
	m := c.miners[name]
	if m == nil {
		m = &follower{name: name, both: make(map[*follower]int)}
		c.miners[name] = m
	}
	return m
}

func (c *Copies) add(m *follower, game string, outcome uint8, wager float64) []backer {
	c.Reopen(game)
	g := c.games[game]
	if g == nil {
		g = &backedGame{name: game}
		c.games[game] = g
	}
	pool := &g.pools[outcome]
	if i := slices.IndexFunc(*pool, func(b backer) bool { return b.who == m }); i >= 0 {
		(*pool)[i].wager += wager
	} else {
		*pool = append(*pool, backer{m, wager})
		m.held++
	}
	return *pool
}

// expire drops games of the day and before it.
func (c *Copies) expire(day int64) {
	for len(c.closed) > 0 && c.closed[0].day <= day {
		c.Forget(c.closed[0].name)
	}
}

// count adds a closed game to the evidence, or takes it out. Counts are whole
// numbers, so that nothing is left of what is taken out. An outcome that more
// than CopyPool miners backed proves nothing of any two of them.
func (c *Copies) count(g *backedGame, sign int) {
	c.version++
	for _, pool := range g.pools {
		if len(pool) > c.s.CopyPool {
			continue
		}
		for i, a := range pool {
			a.who.picks += sign
			for _, b := range pool[:i] {
				pair(a.who, b.who, sign)
				pair(b.who, a.who, sign)
			}
		}
	}
}

func pair(a, b *follower, sign int) {
	if a.both[b] += sign; a.both[b] == 0 {
		delete(a.both, b)
	}
}

// alike lists whom a miner is like, and how surely. The order is nobody's
// business: the largest counts.
func (c *Copies) alike(m *follower) []likeness {
	if m.asOf == c.version {
		return m.alike
	}
	m.alike, m.asOf = m.alike[:0], c.version
	for other, both := range m.both { // order cannot matter: of all the maximum is taken
		similarity := float64(both) / (float64(m.picks+other.picks-both) + c.s.CopyPrior)
		if part := min((similarity-c.s.CopySimilarity)/c.s.CopyRamp, 1); part > 0 {
			m.alike = append(m.alike, likeness{other, part})
		}
	}
	return m.alike
}

func utcDay(t time.Time) int64 { return int64(math.Floor(float64(t.Unix()) / (24 * 60 * 60))) }

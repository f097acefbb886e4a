package model

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"bettensor/node/bet"
)

// value wagers where its opinion of a game makes a price worth more than 1, by
// fractional Kelly. It wagers once on a game, on the outcome with the best edge.
type value struct {
	name          string
	opinion       opinion
	staking       Staking
	horizon, lead time.Duration

	candidates []Candidate // reused
}

func (m *value) Name() string { return m.name }

func (m *value) Observe(_ time.Time, g *bet.Game) { m.opinion.past.observe(g) }

// Wake: prices change only with news, and the schedule spends what Pace releases.
func (m *value) Wake(time.Time, *Book) time.Time { return time.Time{} }

func (m *value) Picks(now time.Time, b *Book) []Pick {
	allowance := m.staking.Allowance(now, b.Remaining)
	if allowance < max(1, m.staking.MinBet) {
		return nil
	}
	m.opinion.past.current()
	m.candidates = m.candidates[:0]
	for _, g := range b.Games {
		wait := g.Start.Sub(now)
		if wait > m.horizon {
			break // the book is in order of start
		}
		if wait < m.lead || b.Placed(g.ID) != nil {
			continue
		}
		p, ok := m.opinion.forecast(g)
		if !ok {
			continue
		}
		best := Candidate{Game: g.ID, Start: g.Start}
		for o := bet.Home; o <= bet.Tie; o++ {
			c := Candidate{Game: g.ID, Start: g.Start, Outcome: o, P: p[o], Odds: g.Odds[o]}
			if c.Odds > 1 && (best.Odds == 0 || c.Edge() > best.Edge()) {
				best = c
			}
		}
		m.candidates = append(m.candidates, best)
	}
	return m.staking.Stake(m.candidates, allowance)
}

// confidence is the original's way of playing with our forecasts for its
// network's: the likeliest outcome of each game whatever its price, the top few,
// staked by Sigmoid.
type confidence struct {
	opinion       opinion
	staking       Staking // limits only
	horizon, lead time.Duration

	candidates []Candidate // reused
	sure       []float64
	wagers     []bet.Cents
}

func (m *confidence) Name() string { return "confidence" }

func (m *confidence) Observe(_ time.Time, g *bet.Game) { m.opinion.past.observe(g) }

func (m *confidence) Wake(time.Time, *Book) time.Time { return time.Time{} }

func (m *confidence) Picks(now time.Time, b *Book) []Pick {
	allowance := m.staking.Allowance(now, b.Remaining)
	if allowance < max(1, m.staking.MinBet) {
		return nil
	}
	m.opinion.past.current()
	m.candidates = m.candidates[:0]
	for _, g := range b.Games {
		wait := g.Start.Sub(now)
		if wait > m.horizon {
			break
		}
		if wait < m.lead || b.Placed(g.ID) != nil {
			continue
		}
		if p, ok := m.opinion.forecast(g); ok {
			o := p.Best()
			m.candidates = append(m.candidates, Candidate{Game: g.ID, Start: g.Start, Outcome: o, P: p[o], Odds: g.Odds[o]})
		}
	}
	slices.SortFunc(m.candidates, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(b.P, a.P), a.Start.Compare(b.Start), strings.Compare(string(a.Game), string(b.Game)))
	})
	// No more picks than the allowance can give the minimum: the original went
	// below it instead.
	n := min(len(m.candidates), m.staking.Top, int(allowance/max(1, m.staking.MinBet)))
	if n == 0 {
		return nil
	}
	m.sure, m.wagers = m.sure[:0], slices.Grow(m.wagers[:0], n)[:n]
	for _, c := range m.candidates[:n] {
		m.sure = append(m.sure, c.P)
	}
	Sigmoid(m.wagers, m.sure, m.staking.MinBet, m.staking.MaxDay, allowance, n)
	picks := make([]Pick, 0, n)
	for i, c := range m.candidates[:n] {
		if w := min(m.wagers[i], m.staking.MaxBet); w > 0 {
			picks = append(picks, Pick{Game: c.Game, Outcome: c.Outcome, Wager: w, Confidence: c.P})
		}
	}
	return picks
}

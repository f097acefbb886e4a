package model

import (
	"time"

	"github.com/cespare/xxhash/v2"

	"bettensor/node/bet"
)

// lastCall is how long before kick-off a pick is still worth making: it must
// reach a validator and be stored before the game starts.
const lastCall = 30 * time.Second

// kickoff wagers once on each game it likes, a set time before the start, when
// the price is close to the closing price. The day's money is shared evenly over
// the games that come due before midnight UTC.
type kickoff struct {
	name    string
	choose  func(*bet.Game) (bet.Outcome, float64, bool) // pure: the side, its probability
	lead    time.Duration
	jitter  time.Duration // a game comes due up to this much earlier, by its ID and salt
	salt    uint64        // else all miners with this model would submit in one instant
	staking Staking       // limits only
}

func (m *kickoff) Name() string { return m.name }

func (m *kickoff) Observe(time.Time, *bet.Game) {}

// due is the instant from which a game is wagered on.
func (m *kickoff) due(g *bet.Game) time.Time {
	at := g.Start.Add(-m.lead)
	if m.jitter > 0 {
		at = at.Add(-time.Duration((xxhash.Sum64String(string(g.ID)) ^ m.salt) % uint64(m.jitter)))
	}
	return at
}

func (m *kickoff) Picks(now time.Time, b *Book) []Pick {
	least := max(1, m.staking.MinBet)
	left := m.staking.Allowance(now, b.Remaining)
	if left < least {
		return nil
	}
	midnight := nextMidnight(now)
	// Two passes over a few dozen games: what is due now, and how many more of
	// today will want a share.
	ready, today := 0, bet.Cents(0)
	m.each(now, midnight, b, func(g *bet.Game) {
		if _, _, ok := m.choose(g); ok {
			today++
			if !m.due(g).After(now) {
				ready++
			}
		}
	})
	if ready == 0 {
		return nil
	}
	picks := make([]Pick, 0, ready)
	m.each(now, now, b, func(g *bet.Game) {
		o, p, ok := m.choose(g)
		if !ok || left < least {
			return
		}
		wager := min(max(left/today, least), m.staking.MaxBet, left)
		today--
		left -= wager
		picks = append(picks, Pick{Game: g.ID, Outcome: o, Wager: wager, Confidence: p})
	})
	return picks
}

// each visits the games not yet wagered on that come due until an instant.
func (m *kickoff) each(now, until time.Time, b *Book, visit func(*bet.Game)) {
	for _, g := range b.Games {
		if g.Start.Add(-m.lead - m.jitter).After(until) {
			break // the book is in order of start
		}
		if g.Start.Sub(now) >= lastCall && !m.due(g).After(until) && Priced(g.Odds) && b.Placed(g.ID) == nil {
			visit(g)
		}
	}
}

// Wake is when the next game comes due; or midnight, if one waits for the new
// day's money.
func (m *kickoff) Wake(now time.Time, b *Book) time.Time {
	var next time.Time
	poor := m.staking.Allowance(now, b.Remaining) < max(1, m.staking.MinBet)
	midnight := nextMidnight(now)
	for _, g := range b.Games {
		if !next.IsZero() && g.Start.Add(-m.lead-m.jitter).After(next) {
			break
		}
		at := m.due(g)
		if poor && at.Before(midnight) {
			at = midnight
		}
		if !at.After(now) || g.Start.Sub(at) < lastCall || !Priced(g.Odds) || b.Placed(g.ID) != nil {
			continue
		}
		if _, _, ok := m.choose(g); ok && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

func nextMidnight(now time.Time) time.Time { return (bet.DayOf(now) + 1).Start() }

// favourite chooses the side with the shortest price, if it is likely enough.
func favourite(devig Devig, least float64) func(*bet.Game) (bet.Outcome, float64, bool) {
	return func(g *bet.Game) (bet.Outcome, float64, bool) {
		p, ok := Fair(devig, g.Odds)
		if !ok {
			return 0, 0, false
		}
		o := p.Best()
		return o, p[o], p[o] >= least
	}
}

package invariant

import (
	"fmt"
	"slices"
	"time"

	"bettensor/node/bet"
	"bettensor/node/ledger"
	"bettensor/store"
)

// audit looks up what has become due since the last time: the days on which
// something was submitted, the games that have had a result for long enough,
// the days whose scoring is over, the days about to be dropped. A prediction is
// read about six times in its life, never all of them at once.
func (s *Set) audit(at time.Time, v *validator, snap store.Snapshot) error {
	for _, step := range [...]func(time.Time, *validator, store.Snapshot) error{s.auditDays, s.auditFresh, s.auditGames} {
		if err := step(at, v, snap); err != nil {
			return fmt.Errorf("audit of %s: %w", v.name, err)
		}
	}
	s.money.total(at, v)
	if err := s.scored.audit(s, at, v, snap); err != nil {
		return fmt.Errorf("audit of %s: %w", v.name, err)
	}
	if err := s.sane.audit(s, at, v, snap); err != nil {
		return fmt.Errorf("audit of %s: %w", v.name, err)
	}
	v.sweep(at)
	return nil
}

// auditDays reads the days on which rows may have come, and those about to be
// dropped.
func (s *Set) auditDays(at time.Time, v *validator, snap store.Snapshot) error {
	last := bet.DayOf(at) - (ledger.RetentionDays - 1)
	for _, o := range v.order {
		for i := 0; i < len(o.days); i++ { // a row on another day may add a book
			b := o.days[i]
			leaving := b.day <= last && !b.kept && len(b.entries) > 0
			again := b.day == bet.DayOf(at)-lookAgain && !b.again // they are there for a while yet
			if !b.dirty && !leaving && !again {
				continue
			}
			b.again = b.again || again
			if err := s.auditDay(at, v, o, b, snap); err != nil {
				return err
			}
			b.kept = b.kept || leaving
			b.dirty = at.Before(b.touched.Add(closing))
		}
	}
	return nil
}

func (s *Set) auditDay(at time.Time, v *validator, o *owner, b *dayBook, snap store.Snapshot) error {
	v.serial++
	var sum bet.Cents
	from := ledger.PredictionKey{Hotkey: o.hotkey, Day: b.day}
	to := ledger.PredictionKey{Hotkey: o.hotkey, Day: b.day + 1}
	err := ledger.Predictions.Scan(snap, &from, &to, func(_ ledger.PredictionKey, row *ledger.Prediction) error {
		sum += row.Wager
		s.found(at, v, o, row)
		return nil
	})
	if err != nil {
		return err
	}
	b.entries = slices.DeleteFunc(b.entries, func(e *entry) bool {
		if e.seen != v.serial {
			s.stored.missing(at, v, e, "it was there before")
		}
		return e.gone
	})
	budget, _, err := ledger.Budgets.Get(snap, ledger.DayKey{Day: b.day, Hotkey: o.hotkey})
	if err != nil {
		return err
	}
	if sum != 0 || budget != 0 {
		s.budgets.day(at, v, o, b, sum, budget)
	}
	return nil
}

// found takes in a row of a scan.
func (s *Set) found(at time.Time, v *validator, o *owner, row *ledger.Prediction) {
	e := v.entries[key{o.hotkey, row.ID}]
	if e == nil {
		if s.stored.unasked(at, v, o, row.ID); o.forgot {
			return
		}
		e = o.adopt(row)
		v.entries[key{o.hotkey, row.ID}] = e
	}
	e.seen = v.serial
	s.settled.early(s, at, v, e, row)
	if e.stored {
		s.oneRow.again(at, v, e, row)
		return
	}
	e.owner.accepted = true
	e.stored, e.day = true, bet.DayOf(row.Received)
	s.stored.content(at, v, e, row)
	s.ack.count(at, v, e)
	s.late.row(s, at, v, e, row)
	s.receipt.row(s, at, v, e, row)
	s.budget.count(at, v, e, e.day)
	b := o.book(e.day)
	b.entries = append(b.entries, e)
	v.wagered += e.said().wager
	v.stakes[row.State] += row.Wager
	e.state, e.stake = row.State, row.Wager

	g := v.games[row.Game]
	if g == nil {
		g = &game{id: bet.GameID(e.said().game)}
		v.games[row.Game] = g
		v.played = append(v.played, g)
	}
	g.entries = append(g.entries, e)
	g.newest = max(g.newest, e.first)
	g.verified = false
}

// auditFresh makes sure of what was acknowledged since the last time. It leaves
// the validator only when it is durable, so that there is no grace; the
// idempotency key must lead to the row.
func (s *Set) auditFresh(at time.Time, v *validator, snap store.Snapshot) error {
	for _, e := range v.fresh {
		id := ledger.IDKey{Hotkey: e.owner.hotkey, ID: e.id}
		k, ok, err := ledger.IDs.Get(snap, id)
		switch {
		case err != nil:
			return err
		case !ok && e.stored:
			s.stored.keyless(at, v, e)
			continue
		case !ok:
			s.stored.missing(at, v, e, "acknowledged, and its id is unknown")
			continue
		}
		if !e.stored {
			row, ok, err := ledger.Predictions.Get(snap, k)
			if err != nil {
				return err
			}
			if !ok {
				s.stored.missing(at, v, e, "acknowledged, its id leads nowhere")
				continue
			}
			s.found(at, v, e.owner, &row)
		}
		s.stored.judge()
	}
	clear(v.fresh)
	v.fresh = v.fresh[:0]
	return nil
}

// auditGames reads the rows of games that have a result: until all follow it,
// again once it has stood for Slack, and again where it has changed since.
func (s *Set) auditGames(at time.Time, v *validator, snap store.Snapshot) error {
	for _, g := range v.played {
		outcome, void, known := s.result(v, g.id, at)
		if !known || g.verified && outcome == g.outcome && void == g.void {
			continue
		}
		o, w, k := s.result(v, g.id, at.Add(-s.facts.Slack))
		due := k && o == outcome && w == void && !at.Before(v.excused)
		g.corrected = g.corrected || g.resulted && (outcome != g.outcome || void != g.void)
		g.verified, g.resulted, g.outcome, g.void = true, true, outcome, void
		for _, e := range g.entries {
			if e.gone || e.day <= bet.DayOf(at)-ledger.RetentionDays {
				continue // its row may go
			}
			k := ledger.PredictionKey{Hotkey: e.owner.hotkey, Day: e.day, Game: g.id, ID: e.id}
			row, ok, err := ledger.Predictions.Get(snap, k)
			if err != nil {
				return err
			}
			if !ok {
				s.stored.missing(at, v, e, "it was there before its game was over")
				continue
			}
			if row.State != verdict(row.Outcome, outcome, void) && !due {
				g.verified = false // it has time
				continue
			}
			s.settled.due(s, at, v, e, g, &row)
			s.converges.due(s, at, v, e, g, &row)
			s.money.payout(at, v, e, &row)
			v.move(e, &row)
			e.book(at, &row)
		}
	}
	return nil
}

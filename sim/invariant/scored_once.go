package invariant

import (
	"time"

	"bettensor/node/bet"
	"bettensor/node/ledger"
	"bettensor/store"
)

var scoredDoc = Doc{"scored-once", "But under the released scheme, each settled prediction counts on exactly one day, that of its result: a day's score rows count as many predictions, and as much money, as were settled on it.", "score rows of days that are over, against the settled rows"}

// scoredDays is how long after a day a correction is surely still scored: less
// than the shortest memory of a validator, which is its longest window.
const scoredDays = 40

// scoredOnce compares days once they have been over for long enough, and again
// where a correction moved something.
type scoredOnce struct{ rule }

func (r *scoredOnce) audit(s *Set, at time.Time, v *validator, snap store.Snapshot) error {
	if r.disabled != "" || at.Before(v.excused) {
		return nil
	}
	slack := s.facts.Slack
	for _, o := range v.order {
		for ; !at.Before(dayEnd(o.scored).Add(slack)); o.scored++ {
			b := o.find(o.scored)
			if b == nil {
				b = &dayBook{day: o.scored}
			} else if at.Before(b.changed.Add(slack)) {
				continue // looked at below, when it has had its time
			}
			if err := r.compare(at, v, o, b, snap); err != nil {
				return err
			}
		}
		for _, b := range o.days {
			if b.day < o.scored && !b.changed.IsZero() && b.day > bet.DayOf(b.changed)-scoredDays && !at.Before(b.changed.Add(slack)) {
				if err := r.compare(at, v, o, b, snap); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (r *scoredOnce) compare(at time.Time, v *validator, o *owner, b *dayBook, snap store.Snapshot) error {
	b.changed = time.Time{}
	row, _, err := ledger.Scores.Get(snap, ledger.DayKey{Day: b.day, Hotkey: o.hotkey})
	if err != nil {
		return err
	}
	if r.judge() && (row.Settled != b.settled || row.Wagered != b.staked) {
		r.violate(at, "%s of %s at %s scores %d predictions of %s, and %d of %s were settled", b.day, o.hotkey, v.name, row.Settled, row.Wagered, b.settled, b.staked)
	}
	return nil
}

// book notes on which day a prediction counts, instead of where it counted
// before.
func (e *entry) book(at time.Time, row *ledger.Prediction) {
	count := row.State == bet.Won || row.State == bet.Lost
	day := bet.DayOf(row.Settled)
	if count && e.booked && e.on == day {
		return
	}
	if e.booked {
		b := e.owner.book(e.on)
		b.settled--
		b.staked -= e.said().wager
		b.changed = at
	}
	if count {
		b := e.owner.book(day)
		b.settled++
		b.staked += e.said().wager
		b.changed = at
	}
	e.booked, e.on = count, day
}

package invariant

import (
	"maps"
	"slices"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
)

var leftDoc = Doc{"deregistered-earns-nothing", "A hotkey without a slot is paid nothing by the chain, and no round of a validator gives it a share once the loss of its slot is old enough to be known.", "the chain's payments and the score rows, of hotkeys that have left"}

type deregisteredEarnsNothing struct{ rule }

// audit looks at what those have earned since who have left.
func (r *deregisteredEarnsNothing) audit(s *Set, at time.Time) {
	if s.facts.Earned == nil {
		return
	}
	x := &s.slots
	n := 0
	for _, h := range x.order {
		if _, gone := x.left[h]; !gone || !r.judge() {
			continue // it came back
		}
		x.order[n] = h
		n++
		if now := s.facts.Earned(h); now != x.paid[h] {
			r.violate(at, "%s has held no slot since %s and was paid %d rao since", h, x.left[h].Format(time.RFC3339), now-x.paid[h])
			x.paid[h] = now
		}
	}
	x.order = x.order[:n]
}

// score looks at a scored day of a hotkey.
func (r *deregisteredEarnsNothing) score(s *Set, at time.Time, v *validator, k ledger.DayKey, row *ledger.Score) {
	left, gone := s.slots.left[k.Hotkey]
	if gone && k.Day > bet.DayOf(left.Add(s.facts.Lag)) && r.judge() && row.Weight > 0 {
		r.violate(at, "%s gives %s a share of %.4f on %s, and it has held no slot since %s", v.name, k.Hotkey, row.Weight, k.Day, left.Format(time.RFC3339))
	}
}

// hotkeysOf is the keys of a map, in order.
func hotkeysOf(m map[chain.Hotkey]chain.UID) []chain.Hotkey { return slices.Sorted(maps.Keys(m)) }

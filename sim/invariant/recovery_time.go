package invariant

import (
	"time"

	"bettensor/node/wire"
)

var recoveryDoc = Doc{"recovery-time", "A validator that has begun anew welcomes a registered miner who knocks within the time of recovery, however long it was away and however much its store holds.", "authentications and welcomes after a reopening"}

type recoveryTime struct{ rule }

// auth notes the first knock of somebody registered since the validator was
// opened again.
func (r *recoveryTime) auth(s *Set, at time.Time, v *validator, m *wire.Message) {
	if v.opened.IsZero() || !v.knocked.IsZero() || v.recovered {
		return
	}
	s.look(at)
	if _, holds := s.slots.uids[m.Sender]; holds {
		v.knocked = at
	}
}

// welcome ends a recovery.
func (r *recoveryTime) welcome(s *Set, at time.Time, v *validator) {
	if v.knocked.IsZero() {
		return
	}
	if r.judge() && s.overdue(v.knocked, at, s.facts.Recovery) {
		r.violate(at, "%s was opened again %s and first welcomes anybody %v after a miner had knocked", v.name, v.opened.Format(time.RFC3339), at.Sub(v.knocked))
	}
	v.knocked, v.recovered = time.Time{}, true
}

// waits looks at a recovery that has not ended.
func (r *recoveryTime) waits(s *Set, at time.Time, v *validator) {
	if !v.knocked.IsZero() && r.judge() && s.overdue(v.knocked, at, s.facts.Recovery) {
		r.violate(at, "%s was opened again %s, a miner knocked %s, and nobody has been welcomed since", v.name, v.opened.Format(time.RFC3339), v.knocked.Format(time.RFC3339))
		v.knocked, v.recovered = time.Time{}, true // said once
	}
}

// overdue says whether more time has passed than is allowed, what something kept
// validators from their work aside.
func (s *Set) overdue(from, to time.Time, allowed time.Duration) bool {
	return to.Sub(from) > allowed && to.Sub(from)-s.facts.Troubled(from, to) > allowed
}

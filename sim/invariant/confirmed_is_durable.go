package invariant

import (
	"time"

	"bettensor/node/ledger"
)

var durableDoc = Doc{"confirmed-is-durable", "When an acceptance leaves a validator, the row it confirms and the id that leads to it are on disk already: a crash at that instant loses neither.", "the disk at the instant at which an acceptance leaves"}

type confirmedIsDurable struct{ rule }

// acknowledged looks a prediction up at the instant of its acceptance. The row
// is returned where there is one.
func (r *confirmedIsDurable) acknowledged(s *Set, at time.Time, v *validator, e *entry) (row ledger.Prediction, ok bool) {
	snap := s.disk(v)
	if snap == nil {
		return row, false
	}
	defer snap.Close()
	k, ok, err := ledger.IDs.Get(snap, ledger.IDKey{Hotkey: e.owner.hotkey, ID: e.id})
	if ok && err == nil {
		row, ok, err = ledger.Predictions.Get(snap, k)
	}
	if r.judge() && (!ok || err != nil) {
		r.violate(at, "%s is acknowledged, and is not on disk yet", e.who(v))
	}
	return row, ok && err == nil
}

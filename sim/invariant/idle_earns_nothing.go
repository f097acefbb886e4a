package invariant

import (
	"slices"
	"time"

	"bettensor/node/chain"
)

var idleDoc = Doc{"idle-earns-nothing", "A round gives no weight, beyond the least that fills a vector up, to a slot whose holder has never had a prediction accepted.", "extrinsics, against all acceptances so far"}

// idleEarnsNothing goes by our own books of what was accepted.
type idleEarnsNothing struct{ rule }

func (r *idleEarnsNothing) judgeVote(s *Set, at time.Time, v *validator, w *vote) {
	if w.row.Fallback {
		return // what somebody earned earlier is set again, or the owner's slot
	}
	w.each(func(uid chain.UID, value uint16) {
		h, since := w.holder(uid)
		if s.tooNew(at, h, since, w) {
			return
		}
		if o := v.owners[h]; r.judge() && (o == nil || !o.accepted && !v.unsettled(o)) {
			r.violate(at, "%s gives slot %d a weight of %d, and %s has had no prediction accepted", v.name, uid, value, h)
		}
	})
}

// unsettled says whether some submission of an owner has had no answer that we
// know of: its session may have ended before the acknowledgement could leave.
func (v *validator) unsettled(o *owner) bool {
	return slices.ContainsFunc(v.waiting, func(e *entry) bool { return e.owner == o && e.acks == 0 && e.refused == "" })
}

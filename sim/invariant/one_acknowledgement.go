package invariant

import (
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/wire"
)

var ackDoc = Doc{"one-acknowledgement", "Under one id of a hotkey only one content is ever acknowledged, not more often than it was submitted; an accepted prediction is never refused afterwards, nor as a conflict with itself.", "answers, against the submissions that were sent"}

// oneAcknowledgement follows the verdicts on each id. Verdicts are ordered by
// the validator's own time in them, because frames may overtake each other on
// two connections.
type oneAcknowledgement struct{ rule }

// acknowledged judges an acceptance, and tells whether it is the first.
func (r *oneAcknowledgement) acknowledged(at time.Time, v *validator, h chain.Hotkey, e *entry, k *wire.Confirmation) (first bool) {
	judged := r.judge()
	if e == nil {
		if o := v.owners[h]; judged && (o == nil || !o.forgot) {
			r.violate(at, "prediction %s is acknowledged to %s by %s, and was never submitted", k.ID, h, v.name)
		}
		return false
	}
	e.acks++
	switch {
	case !judged:
		e.overdone = true
	default:
		r.count(at, v, e)
	}
	return e.acks == 1
}

// count compares acknowledgements with submissions of what was accepted.
func (r *oneAcknowledgement) count(at time.Time, v *validator, e *entry) {
	if len(e.variants) == maxVariants || e.overdone {
		return // not all contents are remembered, or it was said
	}
	if sent := e.sent(); e.acks > sent {
		e.overdone = true
		r.violate(at, "%s is acknowledged %d times, and was submitted %d times with one content", e.who(v), e.acks, sent)
	}
}

// refused judges a final refusal.
func (r *oneAcknowledgement) refused(at time.Time, v *validator, e *entry, code bet.Code, decided time.Time) {
	if e == nil || !r.judge() {
		return // a refusal of nothing implies nothing
	}
	others := len(e.variants) > 1 || e.owner.forgot
	switch {
	case code == bet.DuplicateConflict:
		if !others {
			r.violate(at, "%s is refused as a conflict with itself", e.who(v))
		}
	case e.acks > 0 && decided.UnixNano() > e.ackedAt:
		r.violate(at, "%s is refused as %s after it was acknowledged", e.who(v), code)
	}
}

package invariant

import (
	"time"

	"bettensor/node/ledger"
)

var receiptDoc = Doc{"receipt-time", "The time of receipt that is stored is the validator's own: not before the prediction was sent, not after it was acknowledged, but for what the validator's clock is off.", "rows, against the times of frames"}

type receiptTime struct{ rule }

func (r *receiptTime) row(s *Set, at time.Time, v *validator, e *entry, row *ledger.Prediction) {
	if !r.judge() {
		return
	}
	received, skew := row.Received, s.facts.ClockSkew
	switch {
	case received.Add(skew).Before(unix(e.first)):
		r.violate(at, "%s is stored as received %s, before it was sent", e.who(v), received.Format(time.RFC3339Nano))
	case e.acks > 0 && received.Add(-skew-wireTick).After(unix(e.ackedAt)):
		r.violate(at, "%s is stored as received %s, after it was acknowledged", e.who(v), received.Format(time.RFC3339Nano))
	}
}

// wireTick is what times lose on the wire.
const wireTick = time.Microsecond

package invariant

import (
	"time"

	"bettensor/node/ledger"
)

var orderDoc = Doc{"acknowledged-in-order", "The predictions of one hotkey that were sent once are acknowledged in the order in which they were accepted; the numbers of acceptance only rise, across restarts too, and never against the time of receipt.", "the rows of acceptances, at the instant at which they leave"}

// acknowledgedInOrder follows the first acknowledgements to each hotkey: what is
// said to another may be held up on its way. One that was sent again may have been
// accepted long ago: its answer was lost.
type acknowledgedInOrder struct{ rule }

func (r *acknowledgedInOrder) acknowledged(s *Set, at time.Time, v *validator, e *entry, row *ledger.Prediction) {
	if len(e.variants) != 1 || e.variants[0].sent != 1 || !r.judge() {
		return
	}
	switch last := &e.owner.acked; {
	case row.Arrived <= last.arrived:
		r.violate(at, "%s was accepted as number %d, after number %d was acknowledged", e.who(v), row.Arrived, last.arrived)
	case row.Received.Add(s.facts.ClockSkew).Before(last.received):
		r.violate(at, "%s was received %s, before number %d, which was acknowledged first", e.who(v), row.Received.Format(time.RFC3339Nano), last.arrived)
	}
	e.owner.acked = acked{max(e.owner.acked.arrived, row.Arrived), row.Received}
}

// acked is the prediction that was acknowledged last.
type acked struct {
	arrived  uint64
	received time.Time
}

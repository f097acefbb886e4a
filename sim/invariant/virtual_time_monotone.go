package invariant

import "time"

var clockDoc = Doc{"virtual-time-monotone", "The time of the world never goes backwards, from event to event and from frame to frame.", "every event and every frame"}

type virtualTime struct {
	rule
	last int64 // unix nanoseconds
}

// observe is called for every event of a run: it must cost next to nothing.
func (r *virtualTime) observe(at time.Time, who string) {
	now := at.UnixNano()
	if now < r.last {
		r.backwards(at, who)
	}
	r.last = now
	r.checked++
}

func (r *virtualTime) backwards(at time.Time, who string) {
	if r.disabled == "" {
		r.violate(at, "%s is told this time after %s", who, unix(r.last).Format(time.RFC3339Nano))
	}
}

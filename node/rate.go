package node

import "time"

// rate is a limit on how often something happens: once every so often in the
// long run, and a burst of it at once after a silence. Both are above 0.
type rate struct {
	every time.Duration
	burst int
}

// perSecond is the rate of so many a second.
func perSecond(n, burst int) rate { return rate{time.Second / time.Duration(n), burst} }

// answerRate is how often one session is told that it goes beyond its rate. Such
// an answer costs a signature, as much as taking the prediction would: what is
// beyond this is dropped in silence, and sent again by its miner.
var answerRate = perSecond(2, 20)

// bucket holds what a rate still allows, as the instant at which it will be full
// again; the zero value is full. It is a token bucket without a clock of its own.
type bucket struct{ full time.Time }

// take uses one of what the rate allows and returns 0, or, where nothing is left,
// changes nothing and returns how long there will be nothing.
func (b *bucket) take(r rate, now time.Time) (wait time.Duration) {
	full := b.full
	if full.Before(now) {
		full = now
	}
	full = full.Add(r.every)
	if wait := full.Sub(now) - r.every*time.Duration(r.burst); wait > 0 {
		return wait
	}
	b.full = full
	return 0
}

// isFull says whether nothing was taken lately.
func (b *bucket) isFull(now time.Time) bool { return !b.full.After(now) }

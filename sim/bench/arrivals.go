package bench

import (
	"math"
	"sync"
	"time"
)

// arrivals are open: operations are due at a rate, which rises from 0 over the
// ramp, whether or not those before them have ended. What is measured from when
// an operation was due cannot miss the time in which a stall kept the next ones
// from beginning.
type arrivals struct {
	rate float64 // operations a second
	ramp time.Duration
}

// at is when operation k is due, counted from the start.
func (a arrivals) at(k int) time.Duration {
	ramp := a.ramp.Seconds()
	during := a.rate * ramp / 2 // operations of the ramp
	t := ramp + (float64(k)-during)/a.rate
	if float64(k) < during {
		t = math.Sqrt(2 * float64(k) * ramp / a.rate)
	}
	return time.Duration(t * float64(time.Second))
}

// within is how many operations are due in a time.
func (a arrivals) within(d time.Duration) int {
	ramp, t := a.ramp.Seconds(), d.Seconds()
	if t < ramp {
		return int(a.rate * t * t / (2 * ramp))
	}
	return int(a.rate * (t - ramp/2))
}

// grain is how long before it is due an operation is begun at the earliest, and
// what a sleep is not worth: timers wake no finer.
const grain = 50 * time.Microsecond

// produce begins n operations when they are due, dealt out in turn to producers,
// each on a goroutine of its own, and returns when all have begun.
func (a arrivals) produce(n, producers int, start time.Time, begin func(k int, due time.Time)) {
	var all sync.WaitGroup
	for first := range producers {
		all.Go(func() {
			for k := first; k < n; k += producers {
				due := start.Add(a.at(k))
				if wait := time.Until(due); wait > grain {
					time.Sleep(wait)
				}
				begin(k, due)
			}
		})
	}
	all.Wait()
}

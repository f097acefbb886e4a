package node

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestBucketKeepsItsRate: whatever is asked and when, no span of time sees more
// than the burst and the rate allow, and who keeps below the rate is never held up.
func TestBucketKeepsItsRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rate{every: time.Duration(rapid.Int64Range(1, int64(10*time.Second)).Draw(t, "every")), burst: rapid.IntRange(1, 50).Draw(t, "burst")}
		var b bucket
		now, every := t0, r.every
		var taken []time.Time
		for range 300 {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*every)).Draw(t, "pause")))
			wait := b.take(r, now)
			if wait == 0 {
				taken = append(taken, now)
				continue
			}
			if after := b; after.take(r, now.Add(wait)) != 0 {
				t.Fatalf("told to wait %v, and that was not enough", wait)
			}
			if after := b; after.take(r, now.Add(wait-1)) == 0 {
				t.Fatalf("told to wait %v, and less would do", wait)
			}
		}
		for i := range taken {
			if j := i + r.burst; j < len(taken) && taken[j].Sub(taken[i]) < every {
				t.Fatalf("%d within %v", r.burst+1, taken[j].Sub(taken[i]))
			}
		}
		var steady bucket
		for range 100 {
			now = now.Add(every)
			if wait := steady.take(r, now); wait != 0 {
				t.Fatalf("who keeps the rate waits %v", wait)
			}
		}
	})
}

package sim

import (
	"fmt"
	"os"
	"testing"
	"time"

	"bettensor/sched"
)

// quietDay is how long the quiet subnet runs here: its first day's predictions
// are settled, scored and in weights, and nobody has begun with the second's.
const quietDay = 29*time.Hour + 30*time.Minute

// TestRestartAtEveryBatch: a validator that is killed at any batch boundary, with
// the group under way lost, on the disk but not told, or told, ends with the same
// confirmed predictions, scores and weights as one that never was. A sample of the
// boundaries, or with BETTENSOR_SLOW all of them.
func TestRestartAtEveryBatch(t *testing.T) {
	t.Parallel()
	step := uint64(37) // no multiple of what repeats in the run
	if os.Getenv("BETTENSOR_SLOW") != "" {
		step = 1
	}
	c := quiet(0, everyone(everyDay))
	var groups uint64
	want, _ := quietRunFor(t, c, quietDay, func(w *World) {
		w.Fate = func(h *Host, port Port, n uint64) Fate {
			if h.IsValidator() && port == PortStore {
				groups = n
			}
			return Normal
		}
	})
	if n := len(want.Books.Predictions); n != quietMiners*3 || len(want.Books.Weights.UIDs) != quietMiners || len(want.Scores) < quietMiners || groups < 100 {
		t.Fatalf("the undisturbed run: %d predictions, weights %v, %d scores, %d groups", n, want.Books.Weights, len(want.Scores), groups)
	}
	tried := 0
	for at := uint64(1); at <= groups; at += step {
		for _, fate := range []Fate{Lost, AppliedLost, Normal} {
			crashed := false
			got, _ := quietRunFor(t, c, quietDay, func(w *World) {
				w.Fate = func(h *Host, port Port, n uint64) Fate {
					if !h.IsValidator() || port != PortStore || n != at {
						return Normal
					}
					w.Sched.After(0, sched.Func(func() {
						crashed = true
						h.CrashFor(0, 3*time.Second)
					}))
					return fate
				}
			})
			if !crashed {
				t.Fatalf("group %d of %d was not reached", at, groups)
			}
			tried++
			if !sameQuiet(t, fmt.Sprintf("killed at group %d of %d, its write %s", at, groups, fate), want, got) {
				return
			}
		}
	}
	t.Logf("%d restarts at %d boundaries of %d", tried, tried/3, groups)
}

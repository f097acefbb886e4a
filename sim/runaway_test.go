package sim

import (
	"strings"
	"testing"
	"time"

	"bettensor/sched"
)

// TestRunaway: a run whose events make others without end fails, says whose they
// were and when, and is not judged by what its end would show.
func TestRunaway(t *testing.T) {
	const limit = 30_000
	endless := func(w *World) { // at one instant, six hours into the run
		var again sched.Func
		again = func() { w.Sched.After(0, again) }
		w.Sched.After(6*time.Hour, again)
	}
	inANode := func(w *World) {
		w.Sched.After(6*time.Hour, sched.Func(func() {
			var timer *sched.Timer
			timer = w.Hosts[1].Loop.Scope("test").Timer("spin", func() { timer.Arm(0) })
			timer.Arm(0)
		}))
	}
	p := planOf(t, stoppedDay+"thresholds: [{name: x, metric: hhi, expect: value > 5}]\n")
	for _, c := range []struct {
		name    string
		prepare func(*World)
		want    string
	}{
		{"the world's own events", endless, "but at 2024-08-16 06:00:00, 25.0% of its time; the world itself had the most of the last 10,000, 10,000: "},
		{"a node's", inANode, "but at 2024-08-16 06:00:00, 25.0% of its time; random-0 had the most of the last 10,000, 10,000, in 0s of virtual time"},
	} {
		for _, until := range []Moment{{}, {Event: "weights_set", Nth: 1000}} {
			r := ran(t, p, RunOptions{Prepare: c.prepare, Limit: limit, Until: until})
			f := r.Failures()
			if len(f) != 1 || f[0].Signature() != "limit events" || r.Exit() != ExitLiveness || !strings.Contains(f[0].First, "30,000 events") || !strings.Contains(f[0].First, c.want) {
				t.Errorf("%s: %v, want %q", c.name, f, c.want)
			}
			if r.Stopped != "the limit of 30,000 events" {
				t.Errorf("%s: stopped by %q", c.name, r.Stopped)
			}
		}
	}
	whole, limited := ran(t, p, RunOptions{}), ran(t, p, RunOptions{Limit: DefaultLimit})
	if whole.TraceHash != limited.TraceHash || limited.Unended != "" {
		t.Errorf("a limit that is not reached changed the run: %s, %s, %q", whole.TraceHash, limited.TraceHash, limited.Unended)
	}
	if r := ran(t, p, RunOptions{Limit: 100}); !strings.Contains(r.Unended, "after 100 events") || len(r.Last) == 0 {
		t.Errorf("a limit under what is looked at: %q, %d last lines", r.Unended, len(r.Last))
	}
}

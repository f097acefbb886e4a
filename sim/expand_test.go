package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bettensor/sched"
	"bettensor/sim/fault"

	"github.com/google/go-cmp/cmp"
)

// swarming is a short scenario that leaves everything to the seed.
const swarming = `
start: 2024-08-17T12:00:00Z
duration: 5h
validators: [{name: v0}, {name: v1, stake: 500}]
miners:
  - {kind: late, count: 3}
  - {kind: random, name: polled, transport: http}
node: {heartbeat: 10m, metagraph_interval: 20m}
faults:
  - {name: crash, what: process.crash, target: validators, every: 1h, for: 1m, probability: 0.5, parameters: {share: 0.5}}
  - {name: set, what: chain.outage, target: validators.v0, when: weights_set, for: 10m, probability: 0.5}
  - {name: restart, what: process.crash, target: miners, when: "prediction_stored#2", for: 5m, parameters: {share: 0.5}}
swarm:
  omit: 0.5
  faults:
    - {name: loss, what: network.loss, target: miners, every: 30m..3h, for: 1m..2h, probability: 0.2..1, parameters: {loss: 0.01..0.9, share: 0.1..1}}
    - {name: cut, what: network.partition, target: miners.late, every: 20m..5h, for: 10s..10m, parameters: {direction: in|out|both}}
    - {name: slow, what: store.slow, every: 1h..4h, for: 1m..30m, parameters: {delay: 1ms..5s, jitter: 0s..1s}}
    - {name: feed, what: feed.outage, every: 1h..4h, for: 1m..90m}
  miners:
    - {kind: copycat, name: copies, count: 1..3, parameters: {leader: late}}
    - {kind: busy, count: 0..2}
phases:
  - {name: chaos, until: 4h}
  - {name: heal, faults: off, settle_within: 30m}
`

// TestExpandedRunsAlike: a scenario with every choice written out, read back from
// its file, leaves the trace of the one that drew them; and it has nothing left
// to choose.
func TestExpandedRunsAlike(t *testing.T) {
	differ := map[string]bool{}
	for seed := range 20 {
		p := planOf(t, swarming, fmt.Sprintf("seed=%d", seed))
		s, err := p.Expanded()
		if err != nil {
			t.Fatal(err)
		}
		text := string(s.Canonical())
		if strings.Contains(text, "swarm:") || strings.Contains(text, "every:") && strings.Contains(text, "probability: 0") {
			t.Errorf("seed %d: something is left to choose:\n%s", seed, text)
		}
		q := planOf(t, text)
		a, b := ran(t, p, RunOptions{}), ran(t, q, RunOptions{})
		if a.TraceHash != b.TraceHash || a.FaultWindows != b.FaultWindows {
			t.Errorf("seed %d: hash %s with %d windows, expanded %s with %d:\n%s", seed, a.TraceHash, a.FaultWindows, b.TraceHash, b.FaultWindows, text)
		}
		again, err := q.Expanded()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(text, string(again.Canonical())); diff != "" {
			t.Errorf("seed %d: expanded twice (-once +twice):\n%s", seed, diff)
		}
		differ[strings.Join(a.Chosen, " ")] = true
	}
	if len(differ) < 8 {
		t.Errorf("20 seeds chose in %d ways only", len(differ))
	}
}

// TestSwarmChoosesApart: what one choice of a swarm is does not hang on the others.
func TestSwarmChoosesApart(t *testing.T) {
	without := strings.Replace(swarming, "    - {name: cut,", "    #", 1)
	for seed := range 10 {
		set := fmt.Sprintf("seed=%d", seed)
		a, b := planOf(t, swarming, set), planOf(t, without, set)
		rest := slices.DeleteFunc(slices.Clone(a.Scenario.Faults), func(f fault.Fault) bool { return f.Name == "cut" })
		if diff := cmp.Diff(rest, b.Scenario.Faults); diff != "" {
			t.Errorf("seed %d: without the cut the other faults differ:\n%s", seed, diff)
		}
	}
}

// TestReseed: a plan of another seed is the one that the file would make.
func TestReseed(t *testing.T) {
	p, err := planOf(t, swarming).Reseed(9)
	if err != nil {
		t.Fatal(err)
	}
	want := planOf(t, swarming, "seed=9")
	if diff := cmp.Diff(string(want.Scenario.Canonical()), string(p.Scenario.Canonical())); diff != "" {
		t.Error(diff)
	}
	if a, b := ran(t, p, RunOptions{}), ran(t, want, RunOptions{}); a.TraceHash != b.TraceHash {
		t.Errorf("hash %s, want %s", a.TraceHash, b.TraceHash)
	}
}

// TestClip: in a quiet span no window begins and none lasts.
func TestClip(t *testing.T) {
	h := func(n int) time.Duration { return time.Duration(n) * time.Hour }
	quiet := []Span{{h(4), h(6)}, {h(8), h(10)}}
	win := func(from, to int) fault.Window { return fault.Window{Start: h(from), End: h(to)} }
	for _, tt := range []struct {
		name     string
		in, want fault.Window
	}{
		{"before", win(1, 4), win(1, 4)},
		{"lasts into it", win(3, 9), win(3, 4)},
		{"begins in it", win(4, 5), fault.Window{}},
		{"begins at its end", win(6, 7), win(6, 7)},
		{"between, and lasts into the second", win(7, 12), win(7, 8)},
		{"after both", win(10, 12), win(10, 12)},
	} {
		got := clip([]fault.Window{tt.in}, quiet)
		if len(got) == 0 {
			got = []fault.Window{{}}
		} else {
			tt.want.N = 1
		}
		if diff := cmp.Diff(tt.want, got[0]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestPhasesEndFaults: a phase without faults has none, whether a time or an event
// would have begun them.
func TestPhasesEndFaults(t *testing.T) {
	const heal = 4 * time.Hour
	run := func(p *Plan) (in, out int) {
		ran(t, p, RunOptions{Prepare: func(w *World) {
			for _, h := range w.Hosts {
				w.Sched.Push(p.Start.Add(heal), sched.Func(func() { out += len(h.active) }))
				w.Sched.Push(p.Start.Add(heal/2), sched.Func(func() { in += len(h.active) }))
			}
		}})
		return in, out
	}
	always := "faults: [{name: all, what: network.delay, at: 1m}, {name: at, what: feed.outage, every: 30m, for: 30m}]\n"
	p := planOf(t, "start: 2024-08-17T12:00:00Z\nduration: 5h\nvalidators: [{name: v0}]\n"+always+"phases: [{name: a, for: 4h}, {name: b, faults: off}]\n")
	if in, out := run(p); in == 0 || out != 0 {
		t.Errorf("%d windows last in the phase with faults, %d after it", in, out)
	}
	p = planOf(t, "start: 2024-08-17T12:00:00Z\nduration: 5h\nvalidators: [{name: v0}]\n"+always)
	if _, out := run(p); out == 0 {
		t.Error("without phases the faults end all the same: the test shows nothing")
	}
}

// TestDeadlines: a phase must settle so long after its beginning.
func TestDeadlines(t *testing.T) {
	p := planOf(t, swarming)
	want := []deadline{{"heal", p.Start.Add(4 * time.Hour), p.Start.Add(4*time.Hour + 30*time.Minute), 2}}
	if got := p.deadlines(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

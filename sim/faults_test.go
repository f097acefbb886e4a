package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bettensor/node"
	"bettensor/node/bet"
	"bettensor/node/ledger"
	"bettensor/sched"
	"bettensor/sim/fault"

	gocmp "github.com/google/go-cmp/cmp"
)

// faultedDay is a day of a small subnet, on which every kind of fault has
// something to hit: predictions at all hours, weights, games that end.
const faultedDay = `
start: 2024-08-17
duration: 1d
validators: [{name: v0}]
miners:
  - {kind: busy, count: 6, parameters: {picks: 48}}
  - {kind: skilled, count: 2}
node: {weights_move: 0}
`

// faultedRun is a run of it as the tests of faults look at it.
type faultedRun struct {
	*Result
	w        *World
	furthest time.Duration     // of the first validator's clock from the world's
	slowest  time.Duration     // from the making of a prediction to its last confirmation
	passed   [2]int            // frames from miners, and to them, in the window of the fault
	lost     []ledger.Outgoing // predictions that nobody answered, by a minute before the end
}

// Of the windows in these tests.
const (
	windowAt  = 15 * time.Hour
	windowFor = 2 * time.Hour
)

func faulted(t testing.TB, faults string, sets ...string) *faultedRun {
	t.Helper()
	p := planOf(t, faultedDay+faults, sets...)
	r := &faultedRun{}
	made := map[bet.PredictionID]time.Time{}
	r.Result = ran(t, p, RunOptions{Prepare: func(w *World) {
		r.w = w
		w.OnBuild = func(h *Host) {
			if h.Miner == nil {
				return
			}
			s := h.Loop.Scope("probe")
			h.Miner.PredictionsGenerated.Subscribe(s, func(e *node.PredictionsGenerated) {
				for _, id := range e.IDs {
					made[id] = w.now()
				}
			})
			h.Miner.PredictionConfirmed.Subscribe(s, func(e *node.PredictionConfirmed) {
				// In the first hour everyone is still finding everyone.
				if at := made[e.ID]; at.After(p.Start.Add(time.Hour)) {
					r.slowest = max(r.slowest, w.now().Sub(at))
				}
			})
		}
		w.Sched.Push(p.End.Add(-time.Minute), sched.Func(func() {
			for _, h := range w.Hosts {
				if !h.IsValidator() && h.Up() {
					r.lost = append(r.lost, unanswered(t, h)...)
				}
			}
		}))
		w.Mutate = func(from, to *Host, frame []byte) []byte {
			if l := w.Hosts[0].Loop; l != nil {
				r.furthest = max(r.furthest, w.Sched.Ahead(l).Abs())
			}
			if at := w.now().Sub(p.Start); at >= windowAt && at < windowAt+windowFor {
				if from.IsValidator() {
					r.passed[1]++
				} else {
					r.passed[0]++
				}
			}
			return frame
		}
	}})
	if n := r.Violated(); n > 0 {
		t.Errorf("%d violations: %+v", n, r.Invariants)
	}
	return r
}

// outboxOf is what a miner's disk says that it has predicted.
func outboxOf(t testing.TB, h *Host) []ledger.Outgoing {
	t.Helper()
	snap, err := h.disk.engine.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	found, err := ledger.LoadMiner(snap)
	if err != nil {
		t.Fatal(err)
	}
	return found.Outbox
}

// unanswered are the predictions in a miner's outbox that no validator has
// given a final word on.
func unanswered(t testing.TB, h *Host) (out []ledger.Outgoing) {
	t.Helper()
	for _, o := range outboxOf(t, h) {
		if len(o.Deliveries) == 0 {
			out = append(out, o)
		}
	}
	return out
}

func (r *faultedRun) topic(name string) uint64 {
	for _, x := range r.Topics {
		if x.Name == name {
			return x.Published
		}
	}
	return 0
}

func (r *faultedRun) failures(task string) uint64 {
	for _, x := range r.Tasks {
		if x.Name == task {
			return x.Failures
		}
	}
	return 0
}

func (r *faultedRun) downs() (n int) {
	for _, h := range r.w.Hosts {
		n += len(h.Downs)
	}
	return n
}

// TestEveryFaultBites: no kind of fault does nothing, and each does what its
// sentence says; all invariants hold through it, and predictions are confirmed.
func TestEveryFaultBites(t *testing.T) {
	t.Parallel()
	base, tried := faulted(t, ""), map[string]bool{}
	if base.downs() != 0 || base.Restarts != 0 || base.slowest > time.Second || base.Validators[0].WeightsFailed != 0 || base.Validators[0].WeightsSet < 5 {
		t.Fatalf("the quiet day is not quiet: %+v, slowest %s", base.Validators[0], base.slowest)
	}
	for _, tt := range []struct {
		what, more string
		bites      func(r *faultedRun) bool
	}{
		{"process.crash", "target: validators.v0", func(r *faultedRun) bool {
			return r.Restarts == 1 && r.Validators[0].Restarts == 1 && r.slowest > time.Hour
		}},
		{"process.crash", "target: miners.busy, parameters: {unsynced: lose}", func(r *faultedRun) bool {
			return r.Restarts == 6 && r.topic("miner_started") == 14
		}},
		{"miner.disconnect", "target: miners.busy", func(r *faultedRun) bool {
			return r.topic("miner_disconnected") == base.topic("miner_disconnected")+6 && r.topic("miner_connected") == base.topic("miner_connected")+6 && r.slowest > time.Hour
		}},
		{"network.loss", "parameters: {loss: 0.3}", func(r *faultedRun) bool {
			return r.slowest > base.slowest+time.Second && r.slowest < 10*time.Minute
		}},
		{"network.delay", "parameters: {delay: 7s, jitter: 0s}", func(r *faultedRun) bool {
			// Both ends of a link are hit, there and back.
			return r.slowest >= 28*time.Second && r.slowest < time.Minute
		}},
		{"network.delay", "target: miners, parameters: {delay: 7s, jitter: 0s}", func(r *faultedRun) bool {
			return r.slowest >= 14*time.Second && r.slowest < 28*time.Second
		}},
		{"network.partition", "target: validators", func(r *faultedRun) bool {
			return r.passed == [2]int{} && r.slowest > time.Hour
		}},
		{"network.partition", "target: validators, parameters: {direction: in}", func(r *faultedRun) bool {
			return r.passed[0] == 0 && r.slowest > time.Hour
		}},
		{"network.partition", "target: validators, parameters: {direction: out}", func(r *faultedRun) bool {
			return r.passed[0] > 0 && r.passed[1] == 0 && r.slowest > time.Hour
		}},
		{"chain.outage", "", func(r *faultedRun) bool {
			return r.failures("sync_metagraph") > base.failures("sync_metagraph")+10 && r.slowest < time.Second
		}},
		{"chain.set_weights_failed", "", func(r *faultedRun) bool {
			return r.Validators[0].WeightsFailed > 1 && r.topic("weights_set") == r.Validators[0].WeightsSet
		}},
		{"chain.set_weights_unreported", "", func(r *faultedRun) bool {
			// What was applied is found on the chain, and not sent again.
			return r.Validators[0].WeightsFailed > 0 && r.topic("weights_set") > 0 && count(statsOf(r.w.Hosts[0]), "weights", "resolved") > 0
		}},
		{"feed.outage", "", func(r *faultedRun) bool {
			return r.failures("update_game_data") > 5 && r.slowest < time.Second
		}},
		{"process.crash_at_commit", "target: validators.v0, parameters: {nth: 20, down: 10s}", func(r *faultedRun) bool {
			return r.Validators[0].Restarts > 1 && r.slowest > 10*time.Second && r.downs() == 0
		}},
		{"process.restart_loop", "target: validators.v0, parameters: {period: 10m}", func(r *faultedRun) bool {
			return r.Validators[0].Restarts == 12 && r.downs() == 0
		}},
		{"process.pause", "target: validators.v0, for: 20m", func(r *faultedRun) bool {
			return r.Restarts == 0 && r.passed[1] < base.passed[1] && r.slowest > 15*time.Minute
		}},
		{"process.slow", "target: validators.v0, parameters: {cost: 3s}", func(r *faultedRun) bool {
			return r.Restarts == 0 && r.slowest > 3*time.Second && r.slowest < time.Hour
		}},
		{"process.panic", "target: validators.v0", func(r *faultedRun) bool {
			return r.Restarts == 0 && r.topic("miner_connected") > base.topic("miner_connected")
		}},
		{"process.panic", "target: validators.v0, parameters: {service: predictions}", func(r *faultedRun) bool {
			// It holds the books: the node is built again.
			return r.Validators[0].Restarts == 1 && strings.Contains(r.w.Hosts[0].Downs[0], "injected by f#1: ")
		}},
		{"clock.skew", "target: validators.v0, parameters: {ahead: 2s}", func(r *faultedRun) bool {
			return r.slowest < 10*time.Second && r.furthest == 2*time.Second
		}},
		{"clock.drift", "target: validators.v0", func(r *faultedRun) bool {
			return r.slowest < 10*time.Second && r.furthest > 700*time.Millisecond && r.furthest <= 720*time.Millisecond
		}},
		{"clock.jump", "target: miners.busy, parameters: {ahead: -1h}", func(r *faultedRun) bool {
			return r.slowest > time.Minute && r.topic("miner_disconnected") > base.topic("miner_disconnected")
		}},
		{"network.partition", "target: miners.busy, parameters: {between: validators.v0}", func(r *faultedRun) bool {
			return r.passed[0] > 0 && r.passed[0] < base.passed[0]/2 && r.slowest > time.Hour
		}},
		{"network.duplication", "parameters: {rate: 0.5}", func(r *faultedRun) bool {
			return r.passed[1] > base.passed[1]*3/2 && r.slowest < time.Second // a prediction that comes twice is confirmed twice
		}},
		{"network.reordering", "parameters: {rate: 0.5, delay: 9s, jitter: 0s}", func(r *faultedRun) bool {
			return r.slowest > 9*time.Second && r.slowest < 10*time.Minute
		}},
		{"network.corruption", "parameters: {rate: 0.3}", func(r *faultedRun) bool {
			return r.slowest > 2*time.Second
		}},
		{"network.truncation", "parameters: {rate: 0.1}", func(r *faultedRun) bool {
			return r.topic("miner_disconnected") > base.topic("miner_disconnected")+10
		}},
		{"network.bandwidth", "parameters: {bandwidth: 200B}", func(r *faultedRun) bool {
			return r.slowest > 2*time.Second
		}},
		{"network.slow_reader", "target: validators.v0, parameters: {bandwidth: 100B}", func(r *faultedRun) bool {
			return r.slowest > 5*time.Second && r.passed[0] > 0
		}},
		{"network.half_open", "target: miners.busy, for: 1m", func(r *faultedRun) bool {
			return r.topic("miner_disconnected") == base.topic("miner_disconnected")+6 && r.passed[1] < base.passed[1]
		}},
		{"network.flapping", "target: miners.busy, parameters: {period: 10m}", func(r *faultedRun) bool {
			return r.topic("miner_disconnected") >= base.topic("miner_disconnected")+6*11
		}},
		{"network.mass_disconnect", "target: validators.v0", func(r *faultedRun) bool {
			return r.topic("miner_disconnected") == base.topic("miner_disconnected")+8 && r.slowest < 10*time.Minute
		}},
		{"store.stall", "target: validators.v0, for: 10m", func(r *faultedRun) bool {
			return r.downs() > 2 && r.slowest > 5*time.Minute && strings.Contains(r.w.Hosts[0].Downs[0], "no answer from the disk")
		}},
		{"store.full", "target: validators.v0, for: 10m", func(r *faultedRun) bool {
			return r.downs() > 5 && strings.Contains(r.w.Hosts[0].Downs[0], "injected by f#1: no space left on device")
		}},
		{"store.read_only", "target: validators.v0, for: 10m", func(r *faultedRun) bool {
			return r.downs() == 1 && r.slowest > 5*time.Minute && strings.Contains(r.w.Hosts[0].Downs[0], "injected by f#1: read-only file system")
		}},
		{"store.power_cut", "target: validators.v0", func(r *faultedRun) bool {
			return r.Validators[0].Restarts == 1 && r.downs() == 0 && r.slowest > time.Hour
		}},
		{"store.slow", "parameters: {delay: 5s, jitter: 0s}", func(r *faultedRun) bool {
			return r.slowest >= 5*time.Second && r.slowest < 15*time.Second && r.downs() == 0
		}},
		{"store.commit_failed", "target: validators.v0, for: 10m", func(r *faultedRun) bool {
			return r.downs() > 5 && r.Validators[0].Restarts == r.downs() && r.slowest > 2*time.Minute
		}},
		{"store.commit_unreported", "target: validators.v0, for: 10m", func(r *faultedRun) bool {
			return r.downs() > 5 && r.Validators[0].Restarts == r.downs()
		}},
	} {
		t.Run(tt.what+" "+tt.more, func(t *testing.T) {
			line := fmt.Sprintf("name: f, what: %s, at: %s", tt.what, windowAt)
			if tt.more != "" {
				line += ", " + tt.more
			}
			if !strings.Contains(line, "for:") {
				line += fmt.Sprintf(", for: %s", windowFor)
			}
			r := faulted(t, "faults: [{"+line+"}]\n")
			if r.TraceHash == base.TraceHash {
				t.Error("the run is the one without the fault")
			}
			if !tt.bites(r) {
				t.Errorf("restarts %d, downs %d, slowest confirmation %s, frames in the window %v, validator %+v", r.Restarts, r.downs(), r.slowest, r.passed, r.Validators[0])
			}
			if r.FaultWindows != 1 || len(r.Faults) != 1 || r.Faults[0].Windows != 1 || r.Faults[0].Idle() {
				t.Errorf("%d windows, %v", r.FaultWindows, r.Faults)
			}
			for _, h := range r.w.Hosts {
				if !h.IsValidator() && count(statsOf(h), "communication", "sessions") != 1 {
					t.Errorf("%s is not connected again", h.Name)
				}
			}
			for _, o := range r.lost {
				if at := o.Start.Sub(r.w.cfg.Start); at < windowAt || at > windowAt+windowFor+time.Minute {
					t.Errorf("%s was made %s on a game of %s, and never answered", o.Submission.ID, o.Made, o.Start)
				}
			}
			tried[tt.what] = true
		})
	}
	for _, k := range fault.Kinds() {
		elsewhere := strings.HasPrefix(k.What, "chain.") || strings.HasPrefix(k.What, "feed.") // see their own tests
		if !tried[k.What] && !elsewhere {
			t.Errorf("%s is not tried", k.What)
		}
	}
}

func statsOf(h *Host) node.Stats {
	s, _ := h.Stats()
	return s
}

// windowsOf runs faults and lists from the trace when each window began and
// ended, on whom.
func windowsOf(t testing.TB, faults string, sets ...string) (windows []string, trace []traceLine) {
	t.Helper()
	var b bytes.Buffer
	ran(t, planOf(t, faultedDay+faults, sets...), RunOptions{Trace: &b})
	for line := range strings.Lines(b.String()) {
		var l traceLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		trace = append(trace, l)
		if l.Kind == "fault" || l.Kind == "fault_end" {
			v := l.V.(map[string]any)
			windows = append(windows, fmt.Sprintf("%s %s %v %v", l.Time, l.Kind, v["fault"], v["node"]))
		}
	}
	return windows, trace
}

func with(windows []string, part string) (out []string) {
	for _, w := range windows {
		if strings.Contains(w, part) {
			out = append(out, w)
		}
	}
	return out
}

// TestFaultsAreIndependent: taking a fault away leaves the windows of the others
// as they were, whom they hit included; so does a fault that never comes.
func TestFaultsAreIndependent(t *testing.T) {
	t.Parallel()
	const (
		cuts = "  - {name: cuts, what: miner.disconnect, target: miners.busy, every: 1h, for: 5m, probability: 0.5, parameters: {share: 0.5}}\n"
		lag  = "  - {name: lag, what: network.delay, every: 50m, for: 10m, probability: 0.7, parameters: {share: 0.3}}\n"
	)
	both, _ := windowsOf(t, "faults:\n"+cuts+lag)
	alone, _ := windowsOf(t, "faults:\n"+cuts)
	if d := gocmp.Diff(alone, with(both, " cuts#")); d != "" {
		t.Errorf("windows of one fault without the other (-alone +both):\n%s", d)
	}
	if n := len(with(both, " lag#")); n < 20 || len(alone) < 20 {
		t.Errorf("%d and %d windows tell too little", len(alone), n)
	}
	hit := map[string]int{}
	for _, w := range with(alone, " fault cuts#") {
		f := strings.Fields(w)
		hit[f[2]]++
		if !strings.HasPrefix(f[3], "busy-") {
			t.Errorf("hit %s", f[3])
		}
	}
	for id, n := range hit {
		if n != 3 {
			t.Errorf("%s hits %d of 6 miners, want half", id, n)
		}
	}
	if first, all := with(alone, "cuts#1 "), with(alone, " fault cuts#"); len(first) == 0 || len(unique(all, 3)) < 5 {
		t.Errorf("all windows hit the same miners: %v", unique(all, 3))
	}
}

func unique(lines []string, field int) []string {
	var out []string
	for _, l := range lines {
		out = append(out, strings.Fields(l)[field])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestFaultThatNeverComes: it leaves no mark on a run.
func TestFaultThatNeverComes(t *testing.T) {
	t.Parallel()
	short := "duration=8h"
	base := faulted(t, "", short, "start=2024-08-17T12:00:00Z")
	for _, f := range []string{
		"{name: f, what: process.crash, target: all, at: 1h, for: 1m, probability: 0}",
		"{name: f, what: store.commit_failed, every: 1m, for: 30s, probability: 0}",
		"{name: f, what: chain.outage, when: weights_set#999999, for: 1h}",
	} {
		r := faulted(t, "faults: ["+f+"]\n", short, "start=2024-08-17T12:00:00Z")
		if r.TraceHash != base.TraceHash || r.FaultWindows != 0 {
			t.Errorf("%s: hash %s after %d windows, want %s", f, r.TraceHash, r.FaultWindows, base.TraceHash)
		}
	}
}

// TestFaultWaitsForItsEvent: `when: EVENT#N` begins at the Nth event of that name
// in the whole run, and not again.
func TestFaultWaitsForItsEvent(t *testing.T) {
	t.Parallel()
	windows, trace := windowsOf(t, "faults: [{name: f, what: process.crash, target: validators.v0, when: weights_set#3, for: 10m}]\n")
	var third string
	n := 0
	for _, l := range trace {
		if l.Kind == "bus" && l.Name == "weights_set" {
			if n++; n == 3 {
				third = l.Time
			}
		}
	}
	at, err := time.Parse(traceTime, third)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{third + " fault f#1 v0", at.Add(10*time.Minute).Format(traceTime) + " fault_end f#1 v0"}
	if d := gocmp.Diff(want, windows); d != "" || n < 5 {
		t.Errorf("windows (-want +got), %d weights were set:\n%s", n, d)
	}
}

// TestOverlappingWindows: what lasts in two windows lasts until the later one
// ends; delays add, losses multiply, cuts of one direction each make one of both.
func TestOverlappingWindows(t *testing.T) {
	t.Parallel()
	windows, trace := windowsOf(t, `faults:
  - {name: a, what: process.crash, target: validators.v0, at: 3h, for: 1h}
  - {name: b, what: process.crash, target: validators.v0, at: 3h30m, for: 2h}
  - {name: c, what: process.crash, target: validators.v0, at: 4h, for: 10m}
`)
	var starts []string
	for _, l := range trace {
		if l.Kind == "host" && l.Name == "started" && l.V.(map[string]any)["node"] == "v0" {
			starts = append(starts, l.Time)
		}
	}
	if d := gocmp.Diff([]string{"2024-08-17T00:00:00.000000Z", "2024-08-17T05:30:00.000000Z"}, starts); d != "" {
		t.Errorf("starts of v0 (-want +got):\n%s\nwindows %v", d, windows)
	}
	on := func(what string, p fault.Params) *active {
		return &active{f: &fault.Fault{What: what, Params: p}, rng: sched.NewStream(1)}
	}
	h := &Host{active: []*active{
		on("network.delay", fault.Params{Delay: time.Second}), on("network.delay", fault.Params{Delay: 2 * time.Second}),
		on("network.loss", fault.Params{Loss: 0.5}), on("network.loss", fault.Params{Loss: 0.5}),
		on("network.partition", fault.Params{Direction: "in"}), on("network.partition", fault.Params{Direction: "out"}),
	}}
	if d := h.faultDelay("network.delay"); d != 3*time.Second {
		t.Errorf("delay %s", d)
	}
	if l := h.faultLoss(); l != 0.75 {
		t.Errorf("loss %v", l)
	}
	cut := func(direction string, other *Host) bool { return h.partitioned(direction, other) != nil }
	if !cut("in", nil) || !cut("out", nil) {
		t.Error("two cuts of one direction each are not one of both")
	}
	n, other := network{}, &Host{}
	h.active[4].others = []*Host{other}
	if !cut("in", other) || cut("in", &Host{}) {
		t.Error("a cut between two cuts off others, or does not cut")
	}
	h.active[4].others = nil
	if h.active = h.active[:5]; n.separated(h, other) || !n.separated(other, h) {
		t.Error("who hears nothing is not heard, or hears")
	}
	if !cut("in", nil) || cut("out", nil) {
		t.Error("a cut of one direction is one of both")
	}
}

// TestShare: a window hits the share of its target that is asked for, at least
// one node, in their own order.
func TestShare(t *testing.T) {
	hosts := make([]*Host, 10)
	for i := range hosts {
		hosts[i] = &Host{Name: fmt.Sprint(i)}
	}
	for _, tt := range []struct {
		share float64
		want  int
	}{{0, 1}, {0.01, 1}, {0.3, 3}, {0.99, 10}, {1, 10}} {
		got := sample(hosts, tt.share, sched.NewStream(3))
		if len(got) != tt.want || !slices.IsSortedFunc(got, func(a, b *Host) int { return strings.Compare(a.Name, b.Name) }) {
			t.Errorf("share %v of 10 hits %d, want %d", tt.share, len(got), tt.want)
		}
	}
}

// TestTriggersKnowEveryEvent: the names that `when` can wait for are the topics
// that there are.
func TestTriggersKnowEveryEvent(t *testing.T) {
	w := newSkeleton(t, skeleton(1))
	w.Run(skeletonStart.Add(time.Second))
	var topics []string
	for _, h := range w.Hosts[:2] {
		for _, x := range statsOf(h).Topics {
			topics = append(topics, x.Name)
		}
	}
	slices.Sort(topics)
	if d := gocmp.Diff(slices.Compact(topics), events); d != "" {
		t.Errorf("-topics +events:\n%s", d)
	}
}

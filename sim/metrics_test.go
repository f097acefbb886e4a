package sim

import (
	"math"
	"slices"
	"strings"
	"testing"

	"bettensor/sim/metric"
)

// TestEveryMetricIsMeasured: each metric of the closed set has its measure, and
// no measure is of a metric that no scenario can name.
func TestEveryMetricIsMeasured(t *testing.T) {
	for _, d := range metric.Definitions() {
		if !d.Bench && measures[d.Name] == nil {
			t.Errorf("nothing measures %s", d.Name)
		}
	}
	for name := range measures {
		if d, ok := metric.Find(name); !ok || d.Bench {
			t.Errorf("%s is measured and is no metric", name)
		}
	}
}

// TestEveryPropertyIsKnown: what is noted as reached is in the closed set.
func TestEveryPropertyIsKnown(t *testing.T) {
	r := ran(t, planOf(t, "faults.yaml"), RunOptions{Prepare: func(w *World) {
		w.OnReached = func(string) { t.Error("the recorder listens itself") }
	}})
	for _, c := range counted {
		if !slices.Contains(metric.PropertyNames(), c.property) {
			t.Errorf("%s is no property", c.property)
		}
	}
	reached := map[string]uint64{}
	for _, p := range r.Sometimes {
		reached[p.Name] = p.Reached
	}
	for _, name := range []string{"node_restarted", "store_reopened", "session_lost", "chain_failed", "weights_set", "scored", "settled"} {
		if reached[name] == 0 {
			t.Errorf("%s is not reached by a day of crashes, cuts and outages", name)
		}
	}
	if reached["polled"] != 0 {
		t.Error("polled is reached without a miner that is polled")
	}
}

const judged = `
duration: 1d
validators: [{name: v0}, {name: v1}]
miners:
  - {kind: late, count: 3}
  - {kind: idle, count: 2}
  - {kind: random, name: polled, count: 2, transport: http}
node: {heartbeat: 1h}
sometimes: [settled, result_corrected]
thresholds:
  - {metric: "reward_share{kind:idle}", expect: value==0}
  - {metric: "ack_latency{transport:websocket}", expect: "p(99)<2s, max<1ms"}
  - {name: never, metric: recovery_time, expect: max<1m}
expect:
  - {name: late-acts, that: "predictions{group:late} > 3 * predictions{group:idle}"}
  - {name: false, that: "ack_latency{transport:http} < ack_latency{transport:websocket}"}
  - {name: nobody, that: "clv{group:idle} > 0"}
`

// TestJudgement: thresholds, comparisons and properties are judged by what was
// measured; what was not measured keeps nothing; the exit code is 5.
func TestJudgement(t *testing.T) {
	text := strings.Replace(judged, "name: false", "name: slower", 1)
	r := ran(t, planOf(t, text), RunOptions{})
	var got []string
	for _, f := range r.Failures() {
		if f.Exit != ExitThreshold {
			t.Errorf("%s exits with %d", f.Signature(), f.Exit)
		}
		got = append(got, f.Signature())
	}
	want := []string{"threshold ack_latency{transport:websocket}", "no-sample never", "expect slower", "no-sample nobody", "sometimes result_corrected"}
	if !slices.Equal(got, want) {
		t.Errorf("failures %q, want %q", got, want)
	}
	if r.Exit() != ExitThreshold {
		t.Errorf("exit %d", r.Exit())
	}
	for _, th := range r.Thresholds {
		if th.Missing != (th.Name == "never") {
			t.Errorf("%s: missing is %v", th, th.Missing)
		}
	}
	var b strings.Builder
	if err := r.WriteReport(&b, 0); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"ok     reward_share{kind:idle}: value==0, is 0\n", "BROKEN recovery_time: max<1m: no sample, nothing was measured\n",
		"reached: settled\n", "NOT REACHED: result_corrected\n"} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("the report lacks %q", line)
		}
	}
	value := map[string]float64{}
	for _, m := range r.Metrics {
		for k, x := range m.Values {
			value[m.Metric+"."+k] = x
		}
	}
	total := 0.0
	for _, g := range []string{"late", "idle", "polled"} {
		total += value["reward_share{group:"+g+"}.value"]
	}
	if math.Abs(total-1) > 1e-9 {
		t.Errorf("the groups' shares add up to %v", total)
	}
	if a, b := value["predictions{what:accepted}.count"], value["predictions{what:confirmed}.count"]; a == 0 || a != b || value["unconfirmed.count"] != 0 {
		t.Errorf("%v accepted, %v confirmed, %v unconfirmed", a, b, value["unconfirmed.count"])
	}
	if value["ack_latency.count"] != value["predictions{what:made}.count"] {
		t.Errorf("%v latencies of %v predictions", value["ack_latency.count"], value["predictions{what:made}.count"])
	}
}

// TestAbort: a threshold with abort ends the run as soon as it is broken.
func TestAbort(t *testing.T) {
	p := planOf(t, "duration: 1d\nvalidators: [{name: v0}]\nthresholds: [{metric: epochs, expect: count<20, abort: true}]\n")
	r := ran(t, p, RunOptions{})
	if r.Stopped != "threshold epochs: count<20" || r.Exit() != ExitThreshold || !r.End.Before(p.End) || r.Epochs != 20 {
		t.Errorf("stopped by %q at %s after %d epochs, exit %d", r.Stopped, r.End, r.Epochs, r.Exit())
	}
}

func TestSpearman(t *testing.T) {
	for _, tt := range []struct {
		name string
		a, b []float64
		want float64
		ok   bool
	}{
		{"same order", []float64{1, 2, 3}, []float64{10, 20, 900}, 1, true},
		{"opposite", []float64{1, 2, 3}, []float64{3, 2, 1}, -1, true},
		{"ties share their rank", []float64{1, 1, 2}, []float64{1, 2, 3}, math.Sqrt(3) / 2, true},
		{"constant", []float64{1, 1, 1}, []float64{1, 2, 3}, 0, false},
		{"empty", nil, nil, 0, false},
	} {
		if got, ok := spearman(tt.a, tt.b); math.Abs(got-tt.want) > 1e-12 || ok != tt.ok {
			t.Errorf("%s: %v %v, want %v %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

func TestGini(t *testing.T) {
	for _, tt := range []struct {
		list []float64
		want float64
	}{{[]float64{1, 1, 1, 1}, 0}, {[]float64{0, 0, 0, 4}, 0.75}, {[]float64{3, 1}, 0.25}, {nil, 0}} {
		if got := gini(tt.list); math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("%v: %v, want %v", tt.list, got, tt.want)
		}
	}
}

package sim

import (
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

const seriesScenario = `
name: series
seed: 5
duration: 1d
node: {heartbeat: 20m}
validators:
  - {name: v0, stake: 10000}
  - {name: v1, stake: 5000}
miners:
  - {kind: skilled, count: 3}
  - {kind: random, count: 3}
faults:
  - {name: crash, what: process.crash, target: validators.v0, at: 6h, every: 7h, for: 5m}
  - {name: cut, what: miner.disconnect, target: miners.random, at: 10h, for: 20m}
  - {name: chain, what: chain.outage, target: validators, at: 15h, for: 4h}
  - {name: lag, what: network.delay, target: miners, at: 20h, parameters: {delay: 2s}}
`

// TestSeriesChangesNothing: whoever asks for the course of a run gets the run that
// others get, to the hash and the last figure, and the same course each time.
func TestSeriesChangesNothing(t *testing.T) {
	run := func(samples int) *Result {
		res, err := planOf(t, seriesScenario).Run(RunOptions{Series: samples})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	plain, drawn, again := run(0), run(100), run(100)
	if plain.Series != nil || len(drawn.Series.At) != 100 {
		t.Fatalf("series %v and %d samples, want none and 100", plain.Series, len(drawn.Series.At))
	}
	if diff := gocmp.Diff(drawn.Series, again.Series, gocmp.AllowUnexported(FaultWindow{}, AlarmSpan{})); diff != "" {
		t.Errorf("two courses of one run:\n%s", diff)
	}
	drawn.Series = nil
	if diff := gocmp.Diff(plain, drawn); diff != "" {
		t.Errorf("a run that is sampled differs:\n%s", diff)
	}
}

// TestSeriesAgreesWithResult: the course of a run ends at the figures of its
// result, and tells every window and every set of weights.
func TestSeriesAgreesWithResult(t *testing.T) {
	res, err := planOf(t, seriesScenario).Run(RunOptions{Series: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	s := res.Series
	if n := len(s.At); n != maxSamples || !s.At[n-1].Equal(res.End) {
		t.Errorf("%d samples to %s, want %d to %s", n, s.At[n-1], maxSamples, res.End)
	}
	last := len(s.At) - 1
	paid, earned, held, accepted := 0.0, 0.0, 0, 0
	for _, k := range s.Kinds {
		paid += k.Emission[last]
		for _, n := range k.Tiers[last] {
			held += n
		}
		if len(k.Low) != len(s.At) || k.Low[last] > k.Median[last] || k.Median[last] > k.High[last] {
			t.Errorf("%s: weights %v, %v, %v of %d samples", k.Kind, k.Low[last], k.Median[last], k.High[last], len(k.Low))
		}
	}
	for _, m := range res.Miners {
		earned += float64(m.Emission) / 1e9
		accepted += m.Accepted
	}
	if d := paid - earned; d > 1e-6 || d < -1e-6 || held != len(res.Miners) || s.Accepted[last] != accepted {
		t.Errorf("earned %v, want %v; %d miners have tiers, want %d; %d accepted, want %d", paid, earned, held, len(res.Miners), s.Accepted[last], accepted)
	}
	if len(s.Windows) != res.FaultWindows || s.WindowsLeft != 0 {
		t.Errorf("%d windows and %d left, want %d", len(s.Windows), s.WindowsLeft, res.FaultWindows)
	}
	for _, w := range s.Windows {
		length := map[string]time.Duration{"crash": 5 * time.Minute, "cut": 20 * time.Minute, "chain": 4 * time.Hour, "lag": 4 * time.Hour}[w.Fault]
		if w.Until.Sub(w.From) != length || w.Open != (w.Fault == "lag") || w.Target == "" || len(w.Nodes) == 0 {
			t.Errorf("window %+v, want one of %s", w, length)
		}
	}
	marks := map[string]int{}
	for _, m := range s.Marks {
		marks[m.Lane+" "+m.What] += m.N
	}
	for _, v := range res.Validators {
		if got := marks[v.Name+" weights_set"]; got != int(v.WeightsSet) || marks[v.Name+" started"] != v.Restarts {
			t.Errorf("%s: %d marks of weights, want %d; %d of starts, want %d", v.Name, got, v.WeightsSet, marks[v.Name+" started"], v.Restarts)
		}
	}
	down := 0
	for _, n := range s.Down {
		down = max(down, n)
	}
	if down != 1 || len(s.Alarms) == 0 || len(s.Distributions) == 0 {
		t.Errorf("%d nodes down at once, want 1; %d alarms, %d distributions", down, len(s.Alarms), len(s.Distributions))
	}
	for _, d := range s.Distributions {
		n := uint64(0)
		for _, b := range d.Bins {
			n += b.N
		}
		if n != d.Count || len(d.Bins) > mostBins+1 {
			t.Errorf("%s: %d values in %d bins, want %d", d.Metric, n, len(d.Bins), d.Count)
		}
	}
}

package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"bettensor/sim"
	"bettensor/sim/metric"
	"bettensor/sim/scenario"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func parse(t *testing.T, text string) *scenario.Scenario {
	t.Helper()
	s, problems := scenario.Parse("bench.yaml", []byte("name: bench\nrepeat: 2\n"+text), nil, sim.ScenarioOption())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return s
}

// Each part does its work and says how much that was, in small.
func TestEveryPartIsMeasured(t *testing.T) {
	for _, c := range []struct{ name, text, loads string }{
		{"bus", "load: {what: bus, operations: 500, subscribers: 3, producers: 4, payload: 8B, mix: [{name: publish, share: 0.5}, {name: watched, share: 0.3}, {name: timer, share: 0.2}]}",
			"bus publish watched timer (call) (channel)"},
		{"bus, open", "load: {what: bus, arrivals: open, rate: 20000, ramp: 10ms, for: 30ms, producers: 2, subscribers: 2}", "publish (channel)"},
		{"sched", "load: {what: sched, operations: 500, mix: [{name: timer, share: 0.3}, {name: recorded, share: 0.2}, {name: moved, share: 0.2}, {name: inbox, share: 0.1}, {name: port, share: 0.1}, {name: posted, share: 0.1}]}",
			"sched timer recorded moved inbox port posted (heap)"},
		{"sched, open", "load: {what: sched, arrivals: open, rate: 20000, for: 30ms, producers: 2}", "posted (channel)"},
		{"score", "load: {what: score, operations: 2, miners: 8, predictions: 80, mix: [{name: day, share: 0.25}, {name: released, share: 0.25}, {name: round, share: 0.25}, {name: arrival, share: 0.25}]}",
			"score day released round arrival (plain)"},
		{"store", "load: {what: store, operations: 20, mix: [{name: grouped, share: 0.5}, {name: synced, share: 0.25}, {name: read, share: 0.25}]}",
			"store grouped synced read (memory) (file)"},
		{"store, open", "load: {what: store, arrivals: open, rate: 2000, for: 20ms}", "grouped (memory) (file)"},
		{"ingest", "load: {what: ingest, miners: 2, predictions: 40, subscribers: 2}", "prediction update (echo)"},
		{"sim", "load: {what: sim, for: 1ms}\nduration: 1d\nvalidators: [{name: v0}]\nminers: [{kind: random, count: 2}]\nnode: {heartbeat: 1h}", "event (heap)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := Run(t.Context(), parse(t, c.text), Options{Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, l := range b.Loads {
				name := l.Name
				if l.Reference {
					name = "(" + name + ")"
				}
				names = append(names, name)
				if l.Operations < 1 || !(l.NsPerOp.Median > 0) || len(l.NsPerOp.Values) != 2 || !(l.UsedPerOp.Median > 0) {
					t.Errorf("no figures: %+v", l)
				}
				for _, r := range l.Ratios {
					if !(r.Median > 0) || len(r.Values) != 2 {
						t.Errorf("%s: no ratio: %+v", l.Name, r)
					}
				}
			}
			if got := strings.Join(names, " "); got != c.loads {
				t.Errorf("loads %q, want %q", got, c.loads)
			}
			var table bytes.Buffer
			if err := b.Write(&table); err != nil || strings.Count(table.String(), "\n") != len(b.Loads)+2 {
				t.Errorf("%v, table:\n%s", err, table.String())
			}
		})
	}
}

// A load that fails is no result.
func TestLoadThatFails(t *testing.T) {
	p := &plan{ctx: t.Context(), scenario: &scenario.Scenario{Repeat: 2}, Load: scenario.Load{Operations: 3}}
	calls := 0
	err := p.measure([]*load{{name: "bad", run: func(n int, _ *sample) error {
		calls++
		return done("things", n-1, n)
	}}})
	if err == nil || !strings.Contains(err.Error(), "2 of 3 things") || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

// A mixture gives each part its share, whatever n is.
func TestMixtureKeepsItsShares(t *testing.T) {
	counts := map[string]int{}
	loads, err := mixed("all", []scenario.Part{{Name: "a", Share: 0.7}, {Name: "b", Share: 0.29}, {Name: "c", Share: 0.01}},
		func(name string) (*load, error) {
			return &load{run: func(n int, _ *sample) error { counts[name] += n; return nil }}, nil
		})
	if err != nil || len(loads) != 4 || loads[0].name != "all" {
		t.Fatalf("%v, %d loads", err, len(loads))
	}
	for _, n := range []int{1, 100, 12_345} {
		clear(counts)
		var s sample
		if err := loads[0].run(n, &s); err != nil {
			t.Fatal(err)
		}
		all := counts["a"] + counts["b"] + counts["c"]
		if s.n != all || all < n || math.Abs(float64(counts["b"])-0.29*float64(all)) > 1 || counts["c"] < 1 {
			t.Errorf("%d operations: %v, told %d", n, counts, s.n)
		}
	}
}

// Arrivals come in order, as many as are due, the ramp half as many as the rate.
func TestArrivals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := arrivals{rapid.Float64Range(1, 1e6).Draw(t, "rate"), time.Duration(rapid.IntRange(0, 1e9).Draw(t, "ramp"))}
		d := time.Duration(rapid.IntRange(1e6, 3e9).Draw(t, "time"))
		n := a.within(d)
		if n > 0 && a.at(n-1) > d+time.Microsecond {
			t.Fatalf("operation %d of %d is due at %v, after %v", n-1, n, a.at(n-1), d)
		}
		if next := a.at(n + 1); next < d-time.Microsecond {
			t.Fatalf("operation %d is due at %v, and %d are within %v", n+1, next, n, d)
		}
		k := rapid.IntRange(0, 1e6).Draw(t, "k")
		if a.at(k) > a.at(k+1) {
			t.Fatalf("operation %d is due at %v, the next one at %v", k, a.at(k), a.at(k+1))
		}
	})
	a := arrivals{1000, time.Second}
	if got := [3]time.Duration{a.at(0), a.at(500), a.at(1500)}; got != [3]time.Duration{0, time.Second, 2 * time.Second} {
		t.Errorf("due at %v", got)
	}
}

// An operation that another one delays is counted from when it was due: a stall
// of the first one shows in all that were due during it.
func TestStallIsChargedToAllItDelays(t *testing.T) {
	const n, stall = 50, 30 * time.Millisecond
	var late int
	start := time.Now()
	arrivals{rate: 10_000}.produce(n, 1, start, func(k int, due time.Time) {
		if want := start.Add(time.Duration(k) * 100 * time.Microsecond); due.Sub(want).Abs() > time.Microsecond {
			t.Errorf("operation %d was due %v after the start", k, due.Sub(start))
		}
		if k == 0 {
			for began := time.Now(); time.Since(began) < stall; { // a sleep may be of any length
			}
		}
		if time.Since(due) >= stall-n*100*time.Microsecond {
			late++
		}
	})
	if late != n {
		t.Errorf("%d of %d operations were late by the stall", late, n)
	}
}

// rankTest agrees with counting all orders.
func TestRankTest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := 1; n <= 4; n++ {
		for m := 1; m <= 4; m++ {
			a, b := make([]float64, n), make([]float64, m)
			for i := range a {
				a[i] = rng.Float64()
			}
			for i := range b {
				b[i] = rng.Float64()
			}
			if got, want := rankTest(a, b), counted(a, b); math.Abs(got-want) > 1e-12 {
				t.Errorf("%v against %v: p %v, want %v", a, b, got, want)
			}
		}
	}
	low, high := []float64{1, 2, 3, 4, 5}, []float64{6, 7, 8, 9, 10}
	for _, c := range []struct {
		a, b []float64
		p    float64
	}{
		{low, high, 2.0 / 252}, {high, low, 2.0 / 252}, {low, low, 1}, {[]float64{1, 2}, []float64{3, 4}, 2.0 / 6}, {nil, low, 1},
	} {
		if p := rankTest(c.a, c.b); math.Abs(p-c.p) > 1e-12 {
			t.Errorf("%v against %v: p %v, want %v", c.a, c.b, p, c.p)
		}
	}
	many := make([]float64, 40)
	for i := range many {
		many[i] = float64(i)
	}
	if p := rankTest(many, many); p < 0.9 {
		t.Errorf("equal samples, by the normal distribution: p %v", p)
	}
	if p := rankTest(many[:20], append(slices.Clone(many[20:]), many[20:]...)); p > 1e-6 {
		t.Errorf("samples apart: p %v", p)
	}
}

// counted is the two-sided p by all ways to choose a's ranks.
func counted(a, b []float64) float64 {
	all := slices.Sorted(slices.Values(slices.Concat(a, b)))
	statistic := func(in func(i int) bool) (u int) {
		for i := range all {
			for k := range all {
				if in(i) && !in(k) && i > k {
					u++
				}
			}
		}
		return u
	}
	least := func(u int) int { return min(u, len(a)*len(b)-u) }
	got := least(statistic(func(i int) bool { return slices.Contains(a, all[i]) }))
	ways, extreme := 0.0, 0.0
	for set := range 1 << len(all) {
		in := func(i int) bool { return set>>i&1 == 1 }
		size := 0
		for i := range all {
			if in(i) {
				size++
			}
		}
		if size != len(a) {
			continue
		}
		ways++
		if statistic(in) <= got {
			extreme++
		}
	}
	return min(2*extreme/ways, 1)
}

// made is a report of one load with five turns.
func made(ratio, jitter, unrest, allocs float64) *Report {
	var ratios, times []float64
	for i := range 5 {
		ratios = append(ratios, ratio*(1+jitter*float64(i)))
		times = append(times, 100*(1+unrest*float64(i)))
	}
	return &Report{Version: Version, Benchmarks: []*Benchmark{{Name: "bus", Loads: []Load{
		{Name: "publish", NsPerOp: spreadOf(times), UsedPerOp: spreadOf(times), AllocsPerOp: allocs, Ratios: []Ratio{{"channel", processorTimes, spreadOf(ratios)}}},
		{Name: "channel", Reference: true, NsPerOp: spreadOf(times), UsedPerOp: spreadOf(times)},
	}}}}
}

func TestCompare(t *testing.T) {
	short := made(2, 0.001, 0, 0)
	short.Benchmarks[0].Loads[0].Ratios[0].Spread = spreadOf([]float64{2, 2.1, 2.2})
	other := made(1, 0.001, 0, 0)
	other.Benchmarks[0].Name = "other"
	calm := made(1, 0.001, 0, 0)
	for _, c := range []struct {
		name     string
		old, new *Report
		want     []Verdict
	}{
		{"twice the time", calm, made(2, 0.001, 0, 0), []Verdict{Slower}},
		{"half the time", made(2, 0.001, 0, 0), calm, []Verdict{Faster}},
		{"less than the tolerance", calm, made(1.04, 0.001, 0, 0), []Verdict{Same}},
		{"more than the tolerance", calm, made(1.07, 0.001, 0, 0), []Verdict{Slower}},
		{"the samples overlap", made(1, 0.1, 0, 0), made(1.15, 0.1, 0, 0), []Verdict{Same}},
		{"the reference is as restless", calm, made(1.2, 0.001, 0.2, 0), []Verdict{Same}},
		{"an allocation more", calm, made(1, 0.001, 0, 1), []Verdict{Allocs}},
		{"a part of an allocation more", calm, made(1, 0.001, 0, 0.4), []Verdict{Same}},
		{"three turns", calm, short, []Verdict{TooShort}},
		{"another benchmark", calm, other, []Verdict{Missing, Added}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []Verdict
			worse := false
			for _, change := range Compare(c.old, c.new) {
				got = append(got, change.Verdict)
				worse = worse || change.Regression()
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if want := slices.Contains([]Verdict{Slower, Allocs, Missing}, c.want[0]); worse != want {
				t.Errorf("a regression: %v, want %v", worse, want)
			}
		})
	}
}

// What is written is read again, and what is no report is told so.
func TestReportSurvivesJSON(t *testing.T) {
	r := NewReport("abc")
	r.Benchmarks = made(2, 0.1, 0.1, 1).Benchmarks
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	got := &Report{}
	if err := json.Unmarshal(data, got); err != nil {
		t.Fatal(err)
	}
	if err := got.Check(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(r, got, cmpopts.IgnoreUnexported(Load{})); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{`{"version":9}`, `{"version":1,"benchmarks":[{}]}`, `{"version":1,"benchmarks":[null]}`, `{"version":1,"benchmarks":[{"loads":[{"name":"x"}]}]}`} {
		bad := &Report{}
		if err := json.Unmarshal([]byte(text), bad); err != nil {
			t.Fatal(err)
		}
		if bad.Check() == nil {
			t.Errorf("%s passed", text)
		}
	}
}

func TestJudge(t *testing.T) {
	b := made(2, 0, 0, 3).Benchmarks[0]
	for range 99 {
		b.Loads[0].latency.Add(int64(time.Millisecond))
	}
	b.Loads[0].latency.Add(int64(time.Second))
	for _, c := range []struct {
		metric, expect string
		ok, missing    bool
	}{
		{"ratio{to:channel}", "value<3", true, false},
		{"ratio{to:channel}", "value>1, value<2", false, false},
		{"ratio{of:publish,to:channel}", "value==2", true, false},
		{"ratio{to:heap}", "value<3", false, true},
		{"ns_per_op{of:channel}", "value==100", true, false},
		{"ns_per_op{of:timer}", "value==100", false, true},
		{"allocs_per_op", "value<3", false, false},
		{"latency", "p(50)<2ms, max>900ms, count==100", true, false},
		{"latency{of:channel}", "max<1s", false, true},
	} {
		b.Thresholds = nil
		if err := b.judge([]scenario.Threshold{{Name: "t", Metric: c.metric, Expect: c.expect}}); err != nil {
			t.Fatal(err)
		}
		if got := b.Thresholds[0]; got.OK != c.ok || got.Missing != c.missing {
			t.Errorf("%s: %s: %+v", c.metric, c.expect, got)
		}
	}
}

// Each metric of benchmarks has a measure.
func TestEveryMetricIsJudged(t *testing.T) {
	b := made(2, 0, 0, 3).Benchmarks[0]
	b.Loads[0].latency.Add(1)
	for _, d := range metric.Definitions() {
		if !d.Bench {
			continue
		}
		text := d.Name
		if d.Name == "ratio" {
			text += "{to:channel}"
		}
		sel, err := metric.ParseSelector(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := b.sample(sel); !ok {
			t.Errorf("nothing measures %s", d.Name)
		}
	}
}

func ExampleBenchmark_Note() {
	b := made(0.5, 0, 0, 0).Benchmarks[0]
	b.Loads[0].PerSecond = 1.25e7
	fmt.Println(b.Note())
	// Output: publish 1.25e+07/s, 0.50 × channel
}

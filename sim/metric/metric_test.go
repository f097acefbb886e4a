package metric_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"bettensor/sim/metric"

	"pgregory.net/rapid"
)

// TestSelector: a selector is read into its one form, or refused at a column.
func TestSelector(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"gini", "gini"},
		{"reward_share{group:copycat}", "reward_share{group:copycat}"},
		{" reward_share{ group: copycat } ", "reward_share{group:copycat}"},
		{"predictions{what:made,group:a-1}", "predictions{group:a-1,what:made}"},
		{"rewardshare{group:x}", `column 1 of "rewardshare{group:x}": no metric "rewardshare"`},
		{"reward_share{grup:x}", `column 14 of "reward_share{grup:x}": reward_share has no label "grup"`},
		{"predictions{what:lost}", `column 18 of "predictions{what:lost}": no what "lost"`},
		{"reward_share{group:x", `column 21 of "reward_share{group:x": expected a comma or }`},
		{"reward_share{group x}", `column 20 of "reward_share{group x}": expected a colon after group`},
		{"reward_share{group:x,group:y}", `column 22 of "reward_share{group:x,group:y}": expected each label once`},
		{"trust", `column 6 of "trust": expected {validator:…}, without which trust has no sense,`},
		{"gini x", `column 6 of "gini x": expected the end`},
		{"", `column 1 of "": expected the name of a metric`},
	} {
		s, err := metric.ParseSelector(tt.text)
		got := s.String()
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.text, got, tt.want)
		}
	}
}

// TestConditions: what a metric may be asked depends on its type and its unit.
func TestConditions(t *testing.T) {
	for _, tt := range []struct{ metric, text, want string }{
		{"reward_share", "value<0.05", "0.05"},
		{"rejected", "count == 0", "0"},
		{"ack_latency", "p(99)<2s", "2"},
		{"ack_latency", "p(99.9)<1m30s, max<=10s,count>3", "90 10 3"},
		{"weights_age", "max<400", "400"},
		{"gini", "count<1", `column 1 of "count<1": expected value (gini is a value)`},
		{"ack_latency", "p99<2s", `column 1 of "p99<2s": expected avg, min, med, max, p(N), count (ack_latency is a distribution)`},
		{"ack_latency", "p<2s", `column 2 of "p<2s": expected p(N), such as p(99)`},
		{"ack_latency", "p(0)<2s", `column 3 of "p(0)<2s": expected a percentage above 0 and up to 100, and )`},
		{"ack_latency", "max<2", `column 5 of "max<2": expected a duration with a unit, such as 500ms or 2s`},
		{"gini", "value=1", `column 6 of "value=1": expected one of < <= > >= == !=`},
		{"gini", "value<x", `column 7 of "value<x": expected a number`},
		{"gini", "value<1 value>0", `column 9 of "value<1 value>0": expected a comma or the end`},
	} {
		d, _ := metric.Find(tt.metric)
		list, err := metric.ParseConditions(tt.text, d)
		got := ""
		if err != nil {
			got = err.Error()
		}
		for _, c := range list {
			got = strings.TrimSpace(got + " " + format(c.Limit))
		}
		if got != tt.want {
			t.Errorf("%s %q: got %s, want %s", tt.metric, tt.text, got, tt.want)
		}
	}
}

func format(x float64) string {
	return metric.Term{Factor: x}.String()
}

// TestConditionHolds: what was never measured keeps no condition.
func TestConditionHolds(t *testing.T) {
	d, _ := metric.Find("ack_latency")
	list, err := metric.ParseConditions("p(50)<2s, count>=0", d)
	if err != nil {
		t.Fatal(err)
	}
	h := &metric.Histogram{}
	s := metric.Sample{Dist: h, Scale: 1e-9}
	if _, holds, ok := list[0].Holds(s); holds || ok {
		t.Error("a percentile of nothing is said to hold")
	}
	if v, holds, ok := list[1].Holds(s); !holds || !ok || v != 0 {
		t.Error("nothing is not counted as 0")
	}
	h.Add(3e9)
	if v, holds, ok := list[0].Holds(s); holds || !ok || v != 3 {
		t.Errorf("p(50) of 3 s: %v, holds %v, measured %v", v, holds, ok)
	}
}

// TestComparison: the one form reads back as itself.
func TestComparison(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"gini<0.5", "gini < 0.5"},
		{"0.5 >= gini", "0.5 >= gini"},
		{"reward_per_miner{kind:a}>=4*reward_per_miner{kind:b}", "reward_per_miner{kind:a} >= 4 * reward_per_miner{kind:b}"},
		{"ack_latency.p(99) < 3 * ack_latency{group:a}.med", "ack_latency.p(99) < 3 * ack_latency{group:a}.med"},
		{"ack_latency.avg != 1", "ack_latency != 1"},
		{"1 < 2", `column 1 of "1 < 2": expected a metric on at least one side`},
		{"gini", `column 5 of "gini": expected one of < <= > >= == !=`},
		{"gini < ", `column 8 of "gini < ": expected the name of a metric`},
		{"gini < 1 2", `column 10 of "gini < 1 2": expected the end`},
		{"gini.max < 1", `column 6 of "gini.max < 1": expected value (gini is a value)`},
	} {
		c, err := metric.ParseComparison(tt.text)
		got := c.String()
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.text, got, tt.want)
		}
	}
}

// FuzzTexts: nothing panics, and what is read has one form that reads back.
func FuzzTexts(f *testing.F) {
	for _, text := range []string{"gini<0.5", "reward_share{group:a}", "p(99)<2s,max<1h", "4*rejected{code:x}<events", "µs{"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := metric.ParseSelector(text); err == nil {
			again, err := metric.ParseSelector(s.String())
			if err != nil || again.String() != s.String() {
				t.Errorf("%q: %q reads back as %q, %v", text, s.String(), again.String(), err)
			}
		}
		if c, err := metric.ParseComparison(text); err == nil {
			again, err := metric.ParseComparison(c.String())
			if err != nil || again.String() != c.String() {
				t.Errorf("%q: %q reads back as %q, %v", text, c.String(), again.String(), err)
			}
		}
		for _, d := range metric.Definitions() {
			_, _ = metric.ParseConditions(text, d)
		}
	})
}

// TestHistogram: percentiles are those of the sorted values within one in a
// hundred; minimum, maximum, count and merging are exact.
func TestHistogram(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, math.MaxInt64), 1, 200).Draw(t, "values")
		cut := rapid.IntRange(0, len(values)).Draw(t, "cut")
		var whole, part metric.Histogram
		for _, v := range values[:cut] {
			whole.Add(v)
		}
		for _, v := range values[cut:] {
			part.Add(v)
		}
		whole.Merge(&part)
		s := slices.Sorted(slices.Values(values))
		if whole.Count() != uint64(len(s)) || whole.Min() != s[0] || whole.Max() != s[len(s)-1] {
			t.Fatalf("count %d, min %d, max %d of %v", whole.Count(), whole.Min(), whole.Max(), s)
		}
		for _, p := range []float64{1, 50, 90, 99, 100} {
			want := s[int(math.Ceil(p/100*float64(len(s))))-1]
			got := whole.Percentile(p)
			if got < want || float64(got-want) > float64(want)/100 {
				t.Fatalf("p(%g) is %d, want %d of %v", p, got, want, s)
			}
		}
	})
}

// TestNamesAreUnique: a name means one thing, and is one that files can write.
// TestBins: each value is in one bin, that of the first edge which is not below
// it, give or take a step of the histogram.
func TestBins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &metric.Histogram{}
		values := rapid.SliceOfN(rapid.Int64Range(0, 1<<40), 1, 50).Draw(t, "values")
		for _, v := range values {
			h.Add(v)
		}
		edges := slices.Compact(slices.Sorted(slices.Values(rapid.SliceOfN(rapid.Int64Range(1, 1<<40), 1, 10).Draw(t, "edges"))))
		bins, sum := h.Bins(edges), uint64(0)
		for i, n := range bins {
			sum += n
			least, most := uint64(0), uint64(0) // by values that are a step away from the edge
			for _, v := range values {
				above := func(slack float64) bool { return i == 0 || float64(v) > float64(edges[i-1])*slack }
				below := func(slack float64) bool { return i == len(edges)-1 || float64(v) <= float64(edges[i])*slack }
				if above(1.01) && below(.99) {
					least++
				}
				if above(.99) && below(1.01) {
					most++
				}
			}
			if n < least || n > most {
				t.Fatalf("bin %d of %v: %d values, want %d to %d of %v", i, edges, n, least, most, values)
			}
		}
		if sum != h.Count() {
			t.Fatalf("%d values in bins, want %d", sum, h.Count())
		}
	})
}

func TestNamesAreUnique(t *testing.T) {
	for _, names := range [][]string{metric.MetricNames(), metric.PropertyNames()} {
		s := slices.Sorted(slices.Values(names))
		if len(slices.Compact(s)) != len(names) {
			t.Errorf("a name comes twice in %v", names)
		}
		for _, n := range names {
			if strings.Trim(n, "abcdefghijklmnopqrstuvwxyz_") != "" {
				t.Errorf("%q is no snake_case name", n)
			}
		}
	}
}

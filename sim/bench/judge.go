package bench

import (
	"fmt"

	"bettensor/sim/metric"
	"bettensor/sim/scenario"
)

// Threshold is what became of one of the file's.
type Threshold struct {
	Name   string `json:"name"`
	Metric string `json:"metric"`
	Expect string `json:"expect"`
	// Value of the first condition that is broken, else of the last one, in the
	// metric's unit.
	Value   float64 `json:"value"`
	Missing bool    `json:"missing,omitempty"` // nothing was measured, which keeps no condition
	OK      bool    `json:"ok"`
}

// String says what came of it, on one line.
func (t Threshold) String() string {
	if t.Missing {
		return fmt.Sprintf("%s: expected %s, and nothing was measured", t.Metric, t.Expect)
	}
	return fmt.Sprintf("%s: expected %s, got %.4g", t.Metric, t.Expect, t.Value)
}

// judge holds what was measured against the file's thresholds.
func (b *Benchmark) judge(thresholds []scenario.Threshold) error {
	for _, t := range thresholds {
		sel, err := metric.ParseSelector(t.Metric)
		if err != nil {
			return err
		}
		of, _ := metric.Find(sel.Name)
		conditions, err := metric.ParseConditions(t.Expect, of)
		if err != nil {
			return err
		}
		r := Threshold{Name: t.Name, Metric: t.Metric, Expect: t.Expect, OK: true}
		s, ok := b.sample(sel)
		r.Missing, r.OK = !ok, ok
		for i := range conditions {
			if !ok || !r.OK {
				break
			}
			var measured bool
			r.Value, r.OK, measured = conditions[i].Holds(s)
			r.Missing = !measured
		}
		b.Thresholds = append(b.Thresholds, r)
	}
	return nil
}

// sample is what was measured of a metric; ok is false where nothing was.
func (b *Benchmark) sample(sel metric.Selector) (s metric.Sample, ok bool) {
	l := &b.Loads[0]
	if name := sel.Get("of"); name != "" {
		l = b.load(name)
	}
	if l == nil {
		return s, false
	}
	switch sel.Name {
	case "ratio":
		for _, r := range l.Ratios {
			if r.To == sel.Get("to") {
				return metric.Sample{Value: r.Median}, true
			}
		}
		return s, false
	case "ns_per_op":
		s.Value = l.NsPerOp.Median
	case "per_second":
		s.Value = l.PerSecond
	case "allocs_per_op":
		s.Value = l.AllocsPerOp
	case "bytes_per_op":
		s.Value = l.BytesPerOp
	case "latency":
		return metric.Sample{Dist: &l.latency, Scale: 1e-9}, true
	default:
		return s, false
	}
	return s, true
}

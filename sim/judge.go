package sim

import (
	"fmt"

	"bettensor/sim/metric"
	"bettensor/sim/scenario"
)

// judge holds a run's metrics against what the scenario wants of them.
func (r *recorder) judge() ([]ThresholdResult, []ExpectResult, error) {
	var thresholds []ThresholdResult
	for i := range r.p.Scenario.Thresholds {
		list, err := r.threshold(&r.p.Scenario.Thresholds[i])
		if err != nil {
			return nil, nil, err
		}
		thresholds = append(thresholds, list...)
	}
	var expected []ExpectResult
	for _, e := range r.p.Scenario.Expect {
		c, err := metric.ParseComparison(e.That)
		if err != nil {
			return nil, nil, fmt.Errorf("expect %s: %w", e.Name, err)
		}
		one := ExpectResult{Name: e.Name, That: c.String()}
		for i, t := range c.Terms() {
			x, ok := r.term(t)
			if !ok && one.Missing == "" {
				one.Missing = t.Selector.String()
			}
			*[]*float64{&one.A, &one.B}[i] = x
		}
		one.OK = one.Missing == "" && c.Holds(one.A, one.B)
		expected = append(expected, one)
	}
	return thresholds, expected, nil
}

func (r *recorder) term(t *metric.Term) (float64, bool) {
	if t.Selector.Name == "" {
		return t.Factor, true
	}
	s, ok := r.sample(&t.Selector)
	if !ok {
		return 0, false
	}
	x, ok := s.Ask(t.Aggregate)
	return t.Factor * x, ok
}

func (r *recorder) threshold(t *scenario.Threshold) ([]ThresholdResult, error) {
	sel, err := metric.ParseSelector(t.Metric)
	if err != nil {
		return nil, fmt.Errorf("threshold %s: %w", t.Name, err)
	}
	of, _ := metric.Find(sel.Name)
	conditions, err := metric.ParseConditions(t.Expect, of)
	if err != nil {
		return nil, fmt.Errorf("threshold %s: %w", t.Name, err)
	}
	var out []ThresholdResult
	for i := range conditions {
		c := &conditions[i]
		one := ThresholdResult{Name: t.Name, Metric: sel.String(), Expect: c.Text, Unit: of.Unit}
		if s, ok := r.sample(&sel); ok {
			one.Value, one.OK, ok = c.Holds(s)
			one.Missing = !ok
		} else {
			one.Missing = true
		}
		out = append(out, one)
	}
	return out, nil
}

// crossed names the first threshold with abort that is broken already; "" for
// none. What was not measured yet may still come.
func (r *recorder) crossed() string {
	summed := false
	for i := range r.p.Scenario.Thresholds {
		t := &r.p.Scenario.Thresholds[i]
		if !t.Abort {
			continue
		}
		if !summed {
			r.totals, summed = r.sumCounts(), true
		}
		list, err := r.threshold(t)
		if err != nil {
			continue // the judgement at the end says it
		}
		for _, one := range list {
			if !one.OK && !one.Missing {
				return "threshold " + one.Name + ": " + one.Expect
			}
		}
	}
	return ""
}

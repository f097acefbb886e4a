package metric

// Sample is what was measured of one metric: a number, or a distribution in
// steps of Scale units.
type Sample struct {
	Value float64
	Dist  *Histogram // of a distribution
	Scale float64    // one step of Dist in the metric's unit
}

// Ask is the sample by an aggregate; ok is false where nothing was measured.
func (s Sample) Ask(a Aggregate) (value float64, ok bool) {
	h := s.Dist
	if h == nil {
		return s.Value, true
	}
	if a.Word == "count" {
		return float64(h.Count()), true
	}
	if h.Count() == 0 {
		return 0, false
	}
	steps := 0.0
	switch a.Word {
	case "min":
		steps = float64(h.Min())
	case "max":
		steps = float64(h.Max())
	case "avg":
		steps = h.Mean()
	case "med":
		steps = float64(h.Percentile(50))
	default:
		steps = float64(h.Percentile(a.P))
	}
	return steps * s.Scale, true
}

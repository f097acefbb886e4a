package sim

import (
	"bettensor/sim/metric"
)

// reach notes that a property was reached.
func (r *recorder) reach(name string) { r.properties[name]++ }

// counted says which figures of nodes' services are properties.
var counted = []struct {
	property  string
	validator bool // a figure of validators; of miners otherwise
	names     []string
}{
	{"duplicate_answered", true, []string{"predictions.duplicates", "predictions.polled_duplicates"}},
	{"rate_limited", true, []string{"communication.over_rate"}},
	{"resubmitted", false, []string{"communication.resubmitted"}},
	{"session_evicted", true, []string{"communication.closed_over_rate", "communication.timed_out"}},
	{"session_lost", false, []string{"communication.lost"}},
	{"weights_unknown", true, []string{"weights.unknown"}},
	{"weights_unknown_then_found", true, []string{"weights.resolved"}},
	{"weights_refused", true, []string{"weights.refused"}},
	{"polled", true, []string{"predictions.polled_stored"}},
}

// reached is every property with how often it was.
func (r *recorder) reached() []PropertyResult {
	for _, c := range counted {
		from := r.totals.miners
		if c.validator {
			from = r.totals.validators
		}
		for _, name := range c.names {
			r.properties[c.property] += from[name]
		}
	}
	r.properties["panic_recovered"] += r.totals.panics
	out := make([]PropertyResult, 0, len(r.properties))
	for _, p := range metric.Properties() {
		one := PropertyResult{Name: p.Name, Reached: r.properties[p.Name]}
		for _, want := range r.p.Scenario.Sometimes {
			one.Wanted = one.Wanted || want == p.Name
		}
		out = append(out, one)
	}
	return out
}

package scenario

import "time"

// Threshold is what one metric must come to.
type Threshold struct {
	// Metric that is judged, one of those below, narrowed by labels:
	// `reward_share{group:copycat}`.
	Metric string `key:"metric" form:"metric" need:"yes"`
	// Name addresses the threshold in --set and in reports. Absent: its metric.
	Name string `key:"name" default:"=metric"`
	// Expect is the condition, or several with commas between: `value<0.05`,
	// `count==0`, `p(99)<2s, max<10s`. By type, a metric is asked by `count`, `value`
	// or `max`, a distribution by `min`, `max`, `avg`, `med`, `p(N)` or `count`. A
	// metric that was never measured keeps no condition.
	Expect string `key:"expect" form:"conditions" need:"yes"`
	// Abort ends the run as soon as the condition is broken; else it is judged at the
	// end only.
	Abort bool `key:"abort" default:"false"`
}

// Expectation is a comparison of two metrics.
type Expectation struct {
	// Name addresses the comparison in --set and in reports.
	Name string `key:"name" form:"name" need:"yes"`
	// That is the comparison. Each side is a number, or a metric with labels, perhaps
	// times a number: `reward_per_miner{kind:skilled} >= 4 * reward_per_miner{kind:random}`.
	// Distributions are asked as in `ack_latency.p(99)`, for their mean otherwise.
	That string `key:"that" form:"comparison" need:"yes"`
}

// Phase is a part of the run.
type Phase struct {
	// Name of the phase in reports.
	Name string `key:"name" form:"name" need:"yes"`
	// For is how long it lasts. The last phase needs neither `for` nor `until`: it
	// lasts to the end of the run.
	For time.Duration `key:"for" range:"1s..3650d"`
	// Until is when it ends, counted from the start of the run. Excludes `for`.
	Until time.Duration `key:"until" range:"1s..3650d"`
	// Faults begin and last in the phase, or do not. It is the phase's and not the
	// fault's to say, so that healing is complete.
	Faults string `key:"faults" enum:"on,off" default:"on"`
	// SettleWithin, in a phase without faults: so long after its beginning everything
	// must have settled, else the run exits with 3. Sessions are back, every
	// prediction is confirmed or refused, books agree, weights are set.
	SettleWithin time.Duration `key:"settle_within" range:"1s..3650d"`
	// WeightsWithin, where the phase settles: so many of the chain's tempos after its
	// beginning, and the rate limit, weights that are due stand on the chain. One
	// tempo goes by until an epoch lets a set or its reveal in, and one more where
	// the faults have left a set in doubt, which is waited for first.
	WeightsWithin int `key:"weights_within" default:"2" range:"1..1000"`
}

// Healing says that faults end where the phase begins.
func (p *Phase) Healing() bool { return p.Faults == "off" }

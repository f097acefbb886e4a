// Package metric is the language in which scenarios say what is to be measured
// and what it must come to: the closed set of metrics, selectors such as
// `reward_share{kind:random}`, conditions such as `p(99)<2s`, comparisons of two
// metrics, and the properties that a run must sometimes reach. It is data and
// text only; sim measures, and nothing here knows how.
//
// Read metric.go for the metrics, property.go for the properties, selector.go
// and condition.go for the texts (lexer.go is under both), sample.go and histogram.go for what is measured.
// sim/scenario checks files with it, sim fills it.
package metric

import "slices"

// Type is what a metric holds, and so by which words a condition may ask it.
type Type uint8

const (
	// Counter counts: asked by `count`.
	Counter Type = iota
	// Value is one number: asked by `value`.
	Value
	// Peak is the greatest of what was seen: asked by `max`.
	Peak
	// Distribution is many samples: asked by min, max, avg, med, p(N) and count.
	Distribution
)

// String is the word used in documents.
func (t Type) String() string { return [...]string{"counter", "value", "peak", "distribution"}[t] }

// Label is one key that narrows a metric, and what its values name.
type Label struct {
	Key   string
	Names Names
	Enum  []string // of OneOf
	Must  bool     // the metric has no sense without it
}

// Names is what a label's value is the name of.
type Names uint8

const (
	Group     Names = iota // of miners
	Kind                   // of miners, which some group of the scenario has
	Validator              // one validator: NAME, or NAME-N where its count is above 1
	Code                   // of a refusal
	OneOf                  // a word of the label's own
	Part                   // a load of a benchmark: a part of its mix, or a reference
)

// Definition is one metric.
type Definition struct {
	Name   string
	Type   Type
	Unit   string // "" for plain numbers and shares
	Labels []Label
	Doc    string
	// Bench says that it is measured in real time, of files with load and of no
	// others.
	Bench bool
}

var (
	group  = Label{Key: "group", Names: Group}
	kind   = Label{Key: "kind", Names: Kind}
	must   = func(l Label) Label { l.Must = true; return l }
	voter  = func(key string) Label { return Label{Key: key, Names: Validator} }
	oneOf  = func(key string, words ...string) Label { return Label{Key: key, Names: OneOf, Enum: words} }
	paid   = "emission over the run, never the final weight, which is noise"
	byWhom = []Label{group, kind}
)

// definitions in the order of the documents.
var definitions = []Definition{
	{"reward_share", Value, "", byWhom, "Share of all miners' " + paid + ".", false},
	{"reward_per_miner", Value, "TAO", byWhom, "Mean of a miner's " + paid + ".", false},
	{"reward_ratio", Value, "", []Label{{Key: "of", Names: Group, Must: true}, {Key: "to", Names: Group, Must: true}}, "reward_per_miner of one group by that of another. No sample where the other earned nothing.", false},
	{"skill_correlation", Value, "", nil, "Spearman's rank correlation, over miners, of emission with skill. Skill is what a miner's accepted predictions were worth by the closing line: the mean of margin-free closing probability × odds taken, less 1, weighed by wager; 0 where it made none. Not by results, which are mostly luck over a run, and not by its kind, which would call every miner of a kind alike.", false},
	{"gini", Value, "", nil, "Gini coefficient of the miners' emission: 0 where all earn alike, towards 1 where one earns all.", false},
	{"hhi", Value, "", nil, "Herfindahl-Hirschman index of the miners' emission: the sum of squared shares.", false},
	{"roi", Value, "", byWhom, "Profit by wager of settled predictions.", false},
	{"clv", Value, "", byWhom, "Mean of odds taken by closing odds, over settled predictions.", false},
	{"edge", Value, "", byWhom, "Skill as in skill_correlation: mean closing-line edge of accepted predictions, weighed by wager.", false},
	{"predictions", Counter, "", []Label{group, kind, oneOf("what", "made", "accepted", "rejected", "confirmed")}, "Predictions: `made` by miners, `accepted` and `rejected` for good by the first validator, `confirmed` to their miner, by the first word it heard. Without `what`, those accepted.", false},
	{"rejected", Counter, "", []Label{{Key: "code", Names: Code}, group, kind}, "Refusals at the first validator, also passing ones.", false},
	{"unconfirmed", Counter, "", byWhom, "Predictions on which their miner has heard from no validator at the end.", false},
	{"ack_latency", Distribution, "s", []Label{oneOf("transport", "websocket", "http"), group, kind}, "Virtual time from the making of a prediction to the first word on it that its miner hears.", false},
	{"weights_age", Distribution, "blocks", []Label{voter("validator")}, "Age of a validator's weights on the chain when newer ones take effect, and at the end.", false},
	{"weights_sets", Counter, "", []Label{voter("validator")}, "Weight sets that took effect on the chain.", false},
	{"weights_failed", Counter, "", []Label{voter("validator")}, "Weight sets that validators say have failed, or whose outcome they do not know.", false},
	{"weights_deviation", Value, "", []Label{must(voter("of")), must(voter("to"))}, "Total variation of two validators' weights on the chain at the end: 0 where they are alike, 1 where they share no miner.", false},
	{"trust", Value, "", []Label{must(voter("validator"))}, "The chain's trust in a validator at the last epoch: the share of its weights that consensus kept.", false},
	{"dividends", Value, "", []Label{must(voter("validator"))}, "A validator's share of the dividends at the last epoch.", false},
	{"dividend_share", Value, "", []Label{must(voter("validator"))}, "A validator's share of what all validators earned over the run.", false},
	{"tier_changes", Counter, "", byWhom, "Changes of miners' tiers from one scored day to the next, at the first validator.", false},
	{"epochs", Counter, "", nil, "Epochs of the chain.", false},
	{"games", Counter, "", []Label{oneOf("what", "settled", "corrected", "voided")}, "Games that the first validator settled, whose result it corrected later, or that it voided. Without `what`, those settled.", false},
	{"settled", Counter, "", byWhom, "Predictions that the first validator settled, each once.", false},
	{"fault_windows", Counter, "", nil, "Windows of faults that have begun.", false},
	{"restarts", Counter, "", []Label{oneOf("role", "validator", "miner")}, "Nodes built again after they had gone.", false},
	{"downs", Counter, "", []Label{oneOf("role", "validator", "miner")}, "Nodes that gave up by themselves.", false},
	{"recovery_time", Distribution, "s", []Label{voter("validator")}, "Virtual time from the start of a validator that was down to its first frame to a miner.", false},
	{"sessions", Counter, "", nil, "Connections that the validators' services took.", false},
	{"sessions_lost", Counter, "", byWhom, "Connections that ended, as the miners saw it.", false},
	{"dropped", Counter, "", nil, "Frames that a full inbox of a validator did not take.", false},
	{"queue_depth", Peak, "", nil, "The most frames that waited in a validator's inbox, as seen at every 16th that miners sent.", false},
	{"events", Counter, "", nil, "Events that entered the nodes' loops.", false},
}

// part narrows a benchmark's metric to one of its loads.
var part = Label{Key: "of", Names: Part}

// References are what benchmarks are compared with, in the same run.
var References = []string{"call", "channel", "heap", "plain", "memory", "file", "echo"}

// benchmarks are the metrics of files with load. Without `of` they are of all
// that the load does.
var benchmarks = []Definition{
	{"ratio", Value, "", []Label{part, must(oneOf("to", References...))}, "Cost of an operation by that of a reference, both of one turn: the median over the turns. Processor time where the load only computes, wall time of store and ingest, median latency with open arrivals. It holds on a noisy machine where times do not.", true},
	{"ns_per_op", Value, "ns", []Label{part}, "Time of an operation, median over the repetitions. On another machine it is another one.", true},
	{"per_second", Value, "", []Label{part}, "Operations a second, likewise.", true},
	{"allocs_per_op", Value, "", []Label{part}, "Allocations of an operation, of the whole process.", true},
	{"bytes_per_op", Value, "bytes", []Label{part}, "Bytes that an operation allocates, likewise.", true},
	{"latency", Distribution, "s", []Label{part}, "Time from when an operation began, or with open arrivals was due to begin, to its end, over all repetitions. No sample where an operation is too short to be timed alone.", true},
}

// Definitions lists all metrics in the order of the documents. The slice is the
// caller's.
func Definitions() []Definition { return slices.Concat(definitions, benchmarks) }

// MetricNames lists the metrics' names.
func MetricNames() []string {
	var names []string
	for _, d := range Definitions() {
		names = append(names, d.Name)
	}
	return names
}

// Find finds a metric by name.
func Find(name string) (Definition, bool) {
	for _, d := range Definitions() {
		if d.Name == name {
			return d, true
		}
	}
	return Definition{}, false
}

func (d *Definition) label(key string) (Label, bool) {
	for _, l := range d.Labels {
		if l.Key == key {
			return l, true
		}
	}
	return Label{}, false
}

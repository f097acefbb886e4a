package sim

import (
	"cmp"
	"math"
	"slices"
)

// Outcome is what a sweep keeps of the run of one seed.
type Outcome struct {
	Seed     uint64
	Kinds    []KindResult
	Failures []Failure // those of properties not reached aside
	Reached  []PropertyResult
	Faults   []FaultResult
	Events   uint64
	Replay   string // the command line that repeats it
}

// OutcomeOf is the part of a result that a sweep keeps.
func OutcomeOf(r *Result) Outcome {
	o := Outcome{Seed: r.Seed, Kinds: r.Kinds(), Faults: r.Faults, Events: r.Events, Replay: r.Replay}
	for _, p := range r.Sometimes {
		if p.Wanted {
			o.Reached = append(o.Reached, p)
		}
	}
	for _, f := range r.Failures() {
		if f.Kind != "sometimes" { // one seed need not reach what some seed must
			o.Failures = append(o.Failures, f)
		}
	}
	return o
}

// SweepResult is many seeds of scenarios. Its JSON is held stable. It depends on
// the seeds and not on the order in which they ran, but for its seconds.
type SweepResult struct {
	Seeds          int             `json:"seeds"` // that ran, over all scenarios
	Failed         int             `json:"failed"`
	Exit           int             `json:"exit"`
	Events         uint64          `json:"events"`
	Seconds        float64         `json:"seconds"`
	SeedsPerSecond float64         `json:"seeds_per_second"`
	Parallel       int             `json:"parallel"`
	Scenarios      []SweptScenario `json:"scenarios"`
	Failures       []SeedFailure   `json:"failures"`
	ByInvariant    map[string]int  `json:"by_invariant"` // seeds that broke it
	BySignature    map[string]int  `json:"by_signature"` // seeds that failed by it
	Sometimes      []SweptProperty `json:"sometimes"`
	Kinds          []KindSpread    `json:"kinds"`
	Against        string          `json:"against"` // the kind that Above compares with
}

// SweptScenario is one scenario of a sweep.
type SweptScenario struct {
	File     string `json:"file"`
	Scenario string `json:"scenario"`
	From     uint64 `json:"from"`
	To       uint64 `json:"to"`
	Seeds    int    `json:"seeds"`
	Failed   int    `json:"failed"`
	Stopped  bool   `json:"stopped,omitempty"` // before To: at its first failure, or by who started it
	// IdleFaults did nothing in any of the seeds.
	IdleFaults []string `json:"idle_faults,omitempty"`
}

// SeedFailure is one signature by which one seed failed.
type SeedFailure struct {
	File string `json:"file"`
	Seed uint64 `json:"seed"`
	Failure
	Replay string `json:"replay"`
}

// SweptProperty is a property that a scenario wants reached by some seed.
type SweptProperty struct {
	Scenario string `json:"scenario"`
	Name     string `json:"name"`
	Seeds    int    `json:"seeds"`   // that reached it
	Reached  uint64 `json:"reached"` // how often, over all seeds
}

// Add adds the seeds of one scenario, in order of seeds. The kind with is what
// the others' emission is compared with.
func (s *SweepResult) Add(what SweptScenario, runs []Outcome, with string) {
	what.Seeds, s.Against = len(runs), with
	if s.ByInvariant == nil {
		s.ByInvariant, s.BySignature = map[string]int{}, map[string]int{}
		s.Failures, s.Sometimes = []SeedFailure{}, []SweptProperty{} // written as lists, not as null
	}
	first := len(s.Sometimes)
	kinds := make([][]KindResult, 0, len(runs))
	faults := make([][]FaultResult, len(runs))
	for i := range runs {
		o := &runs[i]
		s.Seeds++
		s.Events += o.Events
		faults[i] = o.Faults
		if o.Kinds != nil { // a run that broke off has none
			kinds = append(kinds, o.Kinds)
		}
		if len(o.Failures) > 0 {
			what.Failed++
			s.Failed++
		}
		for _, f := range o.Failures {
			s.Failures = append(s.Failures, SeedFailure{what.File, o.Seed, f, o.Replay})
			s.BySignature[f.Signature()]++
			if f.Kind == "invariant" {
				s.ByInvariant[f.By]++
			}
			s.Exit = WorstExit(s.Exit, f.Exit)
		}
		for _, p := range o.Reached {
			k := slices.IndexFunc(s.Sometimes[first:], func(x SweptProperty) bool { return x.Name == p.Name })
			if k < 0 {
				k = len(s.Sometimes) - first
				s.Sometimes = append(s.Sometimes, SweptProperty{Scenario: what.Scenario, Name: p.Name})
			}
			x := &s.Sometimes[first+k]
			x.Reached += p.Reached
			if p.Reached > 0 {
				x.Seeds++
			}
		}
	}
	for _, p := range s.Sometimes[first:] {
		if p.Seeds == 0 && !what.Stopped { // a sweep cut short has reached what it could
			s.Exit = WorstExit(s.Exit, ExitThreshold)
		}
	}
	if !what.Stopped {
		what.IdleFaults = IdleFaults(faults)
	}
	s.Scenarios = append(s.Scenarios, what)
	s.Kinds = append(s.Kinds, spread(what.Scenario, kinds, with)...)
}

// Missed are the properties that no seed reached.
func (s *SweepResult) Missed() []SweptProperty {
	var out []SweptProperty
	for _, p := range s.Sometimes {
		if p.Seeds == 0 {
			out = append(out, p)
		}
	}
	return out
}

// Group is the failures of a sweep that share a signature: one bug, as far as
// can be seen from outside.
type Group struct {
	Signature string
	Exit      int
	Seeds     []SeedFailure // in the order they were run
}

// Groups are a sweep's failures by signature, the worst first, then those of
// most seeds.
func (s *SweepResult) Groups() []Group {
	var out []Group
	for _, f := range s.Failures {
		k := slices.IndexFunc(out, func(g Group) bool { return g.Signature == f.Signature() })
		if k < 0 {
			k = len(out)
			out = append(out, Group{Signature: f.Signature(), Exit: f.Exit})
		}
		out[k].Seeds = append(out[k].Seeds, f)
	}
	slices.SortStableFunc(out, func(a, b Group) int {
		return cmp.Or(slices.Index(severity, a.Exit)-slices.Index(severity, b.Exit), len(b.Seeds)-len(a.Seeds))
	})
	return out
}

// KindSpread is what the miners of a kind earned over several runs.
type KindSpread struct {
	Scenario string  `json:"scenario"`
	Kind     string  `json:"kind"`
	Miners   int     `json:"miners"` // of the first run
	Runs     int     `json:"runs"`
	Mean     float64 `json:"mean_rao"`  // of a miner's emission over a run, in rao
	Error    float64 `json:"error_rao"` // standard error of Mean over the runs
	Share    float64 `json:"share"`     // of all miners' emission, mean over the runs
	ROI      float64 `json:"roi"`
	CLV      float64 `json:"clv"`
	Above    int     `json:"above"` // runs in which a miner of it earned more than one of the kind compared with
}

// spread sums runs by kind, richest first per miner. The kind named is what
// Above compares with. A run need not have miners of every kind.
func spread(scenario string, runs [][]KindResult, with string) []KindSpread {
	type row struct {
		KindResult
		base float64 // what one of the kind compared with earned in the same run; negative for none
	}
	each := map[string][]row{}
	var names []string
	per := func(k KindResult) float64 { return float64(k.Emission) / float64(k.Count) }
	for _, kinds := range runs {
		base := -1.0
		if i := slices.IndexFunc(kinds, func(k KindResult) bool { return k.Kind == with }); i >= 0 {
			base = per(kinds[i])
		}
		for _, k := range kinds {
			if each[k.Kind] == nil {
				names = append(names, k.Kind)
			}
			each[k.Kind] = append(each[k.Kind], row{k, base})
		}
	}
	out := make([]KindSpread, 0, len(names))
	for _, name := range names {
		rows := each[name]
		n := float64(len(rows))
		s := KindSpread{Scenario: scenario, Kind: name, Miners: rows[0].Count, Runs: len(rows)}
		for _, k := range rows {
			s.Mean += per(k.KindResult) / n
			s.Share += k.Share / n
			s.ROI += k.ROI / n
			s.CLV += k.CLV / n
			if k.base >= 0 && per(k.KindResult) > k.base {
				s.Above++
			}
		}
		for _, k := range rows {
			s.Error += (per(k.KindResult) - s.Mean) * (per(k.KindResult) - s.Mean)
		}
		if n > 1 {
			s.Error = math.Sqrt(s.Error / (n - 1) / n)
		} else {
			s.Error = 0
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b KindSpread) int { return cmp.Compare(b.Mean, a.Mean) })
	return out
}

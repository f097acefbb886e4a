package sim

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestSweepResult: failures are grouped by signature, properties are united over
// the seeds, and the exit code is that of the worst.
func TestSweepResult(t *testing.T) {
	a := Failure{ExitSafety, "invariant", "budget-per-day", "spent too much"}
	b := Failure{ExitThreshold, "threshold", "gini", "0.9"}
	reached := func(x, y uint64) []PropertyResult {
		return []PropertyResult{{Name: "late_refused", Reached: x, Wanted: true}, {Name: "result_corrected", Reached: y, Wanted: true}}
	}
	kinds := func(e uint64) []KindResult {
		return []KindResult{{Kind: "skilled", Count: 2, Emission: 2 * e, Share: 0.5}, {Kind: "random", Count: 1, Emission: 10, Share: 0.5}}
	}
	runs := []Outcome{
		{Seed: 1, Kinds: kinds(5), Reached: reached(3, 0), Faults: []FaultResult{{Name: "cut", Windows: 1}, {Name: "off"}}},
		{Seed: 2, Kinds: kinds(20), Failures: []Failure{b}, Reached: reached(0, 0), Replay: "again 2", Faults: []FaultResult{{Name: "cut"}, {Name: "off", Windows: 1, Hits: 2}}},
		{Seed: 3, Kinds: kinds(20), Failures: []Failure{a, b}, Reached: reached(1, 0), Replay: "again 3"},
	}
	var s SweepResult
	s.Add(SweptScenario{File: "x.yaml", Scenario: "x", From: 1, To: 3}, runs, "random")
	want := SweepResult{Seeds: 3, Failed: 2, Exit: ExitSafety, Against: "random",
		Scenarios:   []SweptScenario{{File: "x.yaml", Scenario: "x", From: 1, To: 3, Seeds: 3, Failed: 2, IdleFaults: []string{"cut"}}},
		Failures:    []SeedFailure{{"x.yaml", 2, b, "again 2"}, {"x.yaml", 3, a, "again 3"}, {"x.yaml", 3, b, "again 3"}},
		ByInvariant: map[string]int{"budget-per-day": 1},
		BySignature: map[string]int{"invariant budget-per-day": 1, "threshold gini": 2},
		Sometimes:   []SweptProperty{{"x", "late_refused", 2, 4}, {"x", "result_corrected", 0, 0}}}
	if d := gocmp.Diff(want, s, cmpopts.IgnoreFields(s, "Kinds")); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if g := s.Groups(); len(g) != 2 || g[0].Signature != "invariant budget-per-day" || len(g[1].Seeds) != 2 {
		t.Errorf("groups %+v", g)
	}
	if m := s.Missed(); len(m) != 1 || m[0].Name != "result_corrected" {
		t.Errorf("missed %+v", m)
	}
	k := s.Kinds[0]
	if k.Kind != "skilled" || k.Runs != 3 || k.Mean != 15 || k.Above != 2 {
		t.Errorf("the kinds are %+v", s.Kinds)
	}

	// A property that no seed reached fails a sweep; of one that was stopped early it is not asked.
	for _, stopped := range []bool{false, true} {
		var s SweepResult
		s.Add(SweptScenario{Scenario: "x", Stopped: stopped}, runs[:1], "random")
		if want := map[bool]int{false: ExitThreshold, true: ExitPass}[stopped]; s.Exit != want {
			t.Errorf("stopped %v: exit %d, want %d", stopped, s.Exit, want)
		}
	}
}

// TestOutcomeOf: what one seed did not reach is no failure of that seed.
func TestOutcomeOf(t *testing.T) {
	r := &Result{Seed: 7, Events: 9, Replay: "again", Sometimes: []PropertyResult{{Name: "a", Wanted: true}, {Name: "b", Reached: 2}},
		Invariants: []InvariantResult{{Name: "i", Violations: 1}}}
	o := OutcomeOf(r)
	if len(o.Reached) != 1 || o.Reached[0].Name != "a" || len(o.Failures) != 1 || o.Failures[0].By != "i" || o.Seed != 7 || o.Replay != "again" {
		t.Errorf("%+v", o)
	}
}

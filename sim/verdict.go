package sim

import "slices"

// Exit codes of sim and bench, as a Result, a sweep and a folder of scenarios
// have them.
const (
	ExitPass       = 0
	ExitBad        = 1 // usage, a bad scenario, or the program's own failure
	ExitSafety     = 2 // a safety invariant was broken
	ExitLiveness   = 3 // what should have settled did not
	ExitDivergence = 4 // two runs of one seed differ
	ExitThreshold  = 5 // a threshold was crossed, or a `sometimes` not reached
)

// severity orders exit codes, the worst first.
var severity = []int{ExitSafety, ExitDivergence, ExitLiveness, ExitThreshold, ExitBad, ExitPass}

// WorstExit is the exit code of several: 2, 4, 3, 5, 1, whichever of them comes
// first in this order, and 0 where all passed.
func WorstExit(codes ...int) int {
	worst := len(severity) - 1
	for _, c := range codes {
		i := slices.Index(severity, c)
		if i < 0 {
			i = slices.Index(severity, ExitBad)
		}
		worst = min(worst, i)
	}
	return severity[worst]
}

// Failure is one thing that a run failed by. Kind and By together are its
// signature: failures of two seeds that share it are taken for one bug, and a
// smaller scenario shows the same bug where it fails with the same signature.
type Failure struct {
	Exit  int    `json:"exit"`
	Kind  string `json:"kind"`  // invariant, liveness, limit, threshold, no-sample, expect, sometimes, budget, divergence, error
	By    string `json:"by"`    // the name of the invariant, property or metric
	First string `json:"first"` // what happened first, in words
}

// Signature names the bug, as in "invariant budget-per-day".
func (f Failure) Signature() string { return f.Kind + " " + f.By }

// Failures is all that a run failed by, the worst first, invariants as they were
// broken one after the other, and all else in the order of the result. A metric
// that never got a sample is another failure than a condition that is not kept:
// a run too short to measure anything shows nothing. A run that was stopped by the
// limit of its events is not judged by what its end would show. A run without any
// has passed.
func (r *Result) Failures() []Failure {
	var out []Failure
	var broken []InvariantResult
	for _, i := range r.Invariants {
		if i.Disabled == "" && i.Violations > 0 {
			broken = append(broken, i)
		}
	}
	slices.SortStableFunc(broken, func(a, b InvariantResult) int { return a.At.Compare(b.At) })
	for _, i := range broken {
		out = append(out, Failure{ExitSafety, "invariant", i.Name, i.First})
	}
	for _, c := range r.Liveness {
		if c.Failed > 0 {
			out = append(out, Failure{ExitLiveness, "liveness", c.Name, "phase " + c.Phase + ": " + c.First})
		}
		if c.Unseen != "" {
			out = append(out, Failure{ExitThreshold, "no-sample", c.Name, "phase " + c.Phase + ": nothing was looked at, and " + c.Unseen})
		}
	}
	if r.Unended != "" { // what its end would be judged by is not there
		return append(out, Failure{ExitLiveness, "limit", "events", r.Unended})
	}
	for _, t := range r.Thresholds {
		if !t.OK {
			out = append(out, Failure{ExitThreshold, thresholdKind("threshold", t.Missing), t.Name, t.String()})
		}
	}
	for _, e := range r.Expect {
		if !e.OK {
			out = append(out, Failure{ExitThreshold, thresholdKind("expect", e.Missing != ""), e.Name, e.String()})
		}
	}
	for _, p := range r.Sometimes {
		if p.Wanted && p.Reached == 0 {
			out = append(out, Failure{ExitThreshold, "sometimes", p.Name, "not reached by this seed; a sweep asks that one of all its seeds does"})
		}
	}
	slices.SortStableFunc(out, func(a, b Failure) int {
		return slices.Index(severity, a.Exit) - slices.Index(severity, b.Exit)
	})
	return out
}

// thresholdKind is the kind of a failure of a threshold or comparison.
func thresholdKind(kind string, missing bool) string {
	if missing {
		return "no-sample"
	}
	return kind
}

// Exit is the exit code of a run: that of its worst failure.
func (r *Result) Exit() int {
	codes := make([]int, 0, 4)
	for _, f := range r.Failures() {
		codes = append(codes, f.Exit)
	}
	return WorstExit(codes...)
}

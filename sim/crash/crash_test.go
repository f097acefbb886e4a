package crash

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"bettensor/node/ledger"
	"bettensor/sim"
	"bettensor/sim/scenario"
	"bettensor/store"
)

func planOf(t testing.TB, sets ...string) *sim.Plan {
	t.Helper()
	const file = "../../scenarios/crashpoints.yaml"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, problems := scenario.Parse(file, data, sets, sim.ScenarioOption())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	p, _, err := sim.NewPlan(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func pointsOf(t testing.TB, o Options, sets ...string) *Report {
	t.Helper()
	o.Workers = 2
	r, err := Points(planOf(t, sets...), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestEveryPointRecovers tries a slice of the points of the scenario, or with
// BETTENSOR_SLOW all of them: no image may lack what was acknowledged, or hold
// what nobody submitted.
func TestEveryPointRecovers(t *testing.T) {
	t.Parallel()
	o, least := Options{Limit: 40, Flips: 20, Errors: 1}, 120
	if os.Getenv("BETTENSOR_SLOW") != "" {
		o, least = Options{Flips: 500, Errors: 60}, 10_000
	}
	r := pointsOf(t, o)
	for _, f := range r.Failures {
		t.Errorf("%+v", f)
	}
	if r.Failed > 0 || r.Violations > 0 {
		t.Errorf("%d failures, %d violations", r.Failed, r.Violations)
	}
	if r.Images < least || r.Started < r.Points/2 || r.Confirmed < 300 {
		t.Errorf("too little was tried: %+v", r)
	}
	for what, n := range map[string]int{"torn": r.Torn, "lossy": r.Lossy, "beyond": r.Beyond, "damaged": r.Damaged, "refused": r.Refused,
		"whole though damaged": r.Damaged - r.Refused, "runs with errors": r.Errors.Runs} {
		if n == 0 {
			t.Errorf("no image was %s", what)
		}
	}
	t.Logf("%+v", *r)
}

// TestOnePoint: a point asked for by its number is tried alone, with several draws
// of what survives, and what fails there is kept as a store of the machine.
func TestOnePoint(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := pointsOf(t, Options{Point: 700, Unsynced: []int{50}, Keep: dir, Prepare: planted(forgetful)}, "duration=1d")
	if r.Points != 1 || r.Images < pointDraws || r.Failed == 0 {
		t.Fatalf("%+v", r)
	}
	f := r.Failures[0]
	if f.Point != 700 || f.Percent != 50 || f.Image == "" {
		t.Fatalf("%+v", f)
	}
	e, err := store.OpenPebble(store.Options{Dir: f.Image + "/store", Schema: ledger.Schema(), MustExist: true})
	if err != nil {
		t.Fatalf("the image kept: %v", err)
	}
	e.Close()
	var out bytes.Buffer
	if err := r.Write(&out, func(*Failure) string { return "AGAIN" }); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"FAIL point 700, before ", ", 50 % of what was not synced kept", "image: " + f.Image, "again: AGAIN"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report does not say %q:\n%s", want, &out)
		}
	}
}

// TestPointOutOfRange: a point that the run does not have is no success.
func TestPointOutOfRange(t *testing.T) {
	t.Parallel()
	r, err := Points(planOf(t, "duration=1d", "faults.crash.at=23h"), Options{Point: 99999999})
	if err == nil || !strings.Contains(err.Error(), "no point 99999999: the run has ") {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestReport: PASS is for images that were recovered, in a run that broke nothing.
func TestReport(t *testing.T) {
	for _, tt := range []struct {
		r    Report
		want string // a part of it
		pass bool
	}{
		{Report{Images: 3}, "", true},
		{Report{Images: 3, Failed: 1, Failures: []Failure{{Point: 7, What: "gone"}}}, "FAIL point 7", false},
		{Report{Images: 3, Violations: 2, Violated: []string{"rows-kept: one is gone"}}, "     rows-kept: one is gone\n", false},
		{Report{}, "no crash was tried", false},
	} {
		var out bytes.Buffer
		if err := tt.r.Write(&out, func(*Failure) string { return "" }); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); !strings.Contains(got, tt.want) || strings.Contains(got, "PASS") != tt.pass {
			t.Errorf("%+v:\n%s", tt.r, got)
		}
	}
}

// engine is a store with a bug between it and the node.
type engine struct {
	store.Engine
	apply func(e store.Engine, seq store.Seq, batches []*store.Batch) error
}

func (e engine) Apply(seq store.Seq, batches []*store.Batch, _ bool) error {
	return e.apply(e.Engine, seq, batches)
}

func planted(apply func() func(store.Engine, store.Seq, []*store.Batch) error) func(*sim.World) {
	return func(w *sim.World) {
		w.Plant = func(h *sim.Host, e store.Engine) store.Engine {
			if h != w.Hosts[0] {
				return e
			}
			return engine{e, apply()}
		}
	}
}

// lying confirms what it has not synced.
func lying() func(store.Engine, store.Seq, []*store.Batch) error {
	return func(e store.Engine, seq store.Seq, batches []*store.Batch) error { return e.Apply(seq, batches, false) }
}

// forgetful loses every fifth batch on its way.
func forgetful() func(store.Engine, store.Seq, []*store.Batch) error {
	return func(e store.Engine, seq store.Seq, batches []*store.Batch) error {
		kept := slices.Clone(batches)
		for i := range kept {
			if (seq-store.Seq(i))%5 == 0 {
				kept[i] = new(store.Batch)
			}
		}
		return e.Apply(seq, kept, true)
	}
}

// deaf takes a write that failed for one that did not.
func deaf() func(store.Engine, store.Seq, []*store.Batch) error {
	return func(e store.Engine, seq store.Seq, batches []*store.Batch) error {
		_ = e.Apply(seq, batches, true)
		return nil
	}
}

// TestPlantedBugsAreFound: the oracle is one that bites.
func TestPlantedBugsAreFound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		apply func() func(store.Engine, store.Seq, []*store.Batch) error
		o     Options
		want  string
		sets  []string
	}{
		{"a store that lies about syncing", lying, Options{Limit: 40, Unsynced: []int{0}}, "was confirmed and is gone", nil},
		{"a store that loses batches", forgetful, Options{Limit: 40, Unsynced: []int{100}}, "was confirmed and is gone", nil},
		{"a store that is deaf to errors", deaf, Options{Limit: 1, Errors: 3}, "acknowledged-is-stored", nil},
		{"a row without the id that leads to it", nil, Options{Limit: 40, Unsynced: []int{100}}, "ids that lead to them", []string{"plant=id-index-lost"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.apply != nil {
				tt.o.Prepare = planted(tt.apply)
			}
			r := pointsOf(t, tt.o, append([]string{"duration=1d", "faults.crash.at=23h"}, tt.sets...)...)
			if r.Failed == 0 {
				t.Fatalf("not found: %+v", r)
			}
			t.Logf("%d failures, first: %+v", r.Failed, r.Failures[0])
			if f := r.Failures[0]; !strings.Contains(f.What, tt.want) {
				t.Errorf("found as %q, want %q", f.What, tt.want)
			}
		})
	}
}

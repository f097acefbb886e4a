package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bettensor/node/chain"
	"bettensor/sched"
	"bettensor/sim"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// badWeights plants weights on a slot that nobody holds, for seeds that divide
// by three, and a simulator that gives up at seed 10.
func badWeights(w *sim.World) {
	switch seed := w.Sched.Seed(); {
	case seed == 10:
		w.Sched.After(2*time.Hour, sched.Func(func() { panic("planted") }))
	case seed%3 == 0:
		w.Sched.After(5*time.Hour, sched.Func(func() {
			w.Chain.Submit(w.Sched.Now(), chain.Request{Op: chain.OpSetWeights, Hotkey: w.Hosts[0].Hotkey,
				Weights: chain.Weights{UIDs: []chain.UID{200}, Values: []uint16{chain.MaxWeight}}})
		}))
	}
}

// TestSweepOfFailures: what fails is grouped, told with its seed and how to see
// it again, and is the same however many seeds run side by side. A run in which
// the simulator gives up is one failure among others.
func TestSweepOfFailures(t *testing.T) {
	dir := folder(t, map[string]string{"small.yaml": small})
	file := filepath.Join(dir, "small.yaml")
	defer func() { plant = nil }()
	plant = badWeights
	for _, c := range []struct {
		args []string
		want []uint64 // seeds that broke the invariant
		ran  int
		exit int
	}{
		{nil, []uint64{3, 6, 9}, 10, sim.ExitSafety},
		{[]string{"--stop-on-failure"}, []uint64{3}, 3, sim.ExitSafety},
		{[]string{"--seeds", "10..10"}, nil, 1, sim.ExitBad},
	} {
		var results [2]sim.SweepResult
		for i := range results {
			data := filepath.Join(t.TempDir(), "out.json")
			args := append([]string{"sim", "sweep", file, "--quiet", "--parallel", fmt.Sprint(1 + 3*i), "--json", data}, c.args...)
			if !slices.Contains(c.args, "--seeds") {
				args = append(args, "--seeds", "1..10")
			}
			stdout, code := here(t, t.Context(), args...)
			if code != c.exit {
				t.Errorf("%v: exit code %d, want %d", c.args, code, c.exit)
			}
			if c.want != nil && !strings.Contains(stdout, fmt.Sprintf("FAILED invariant weights-valid: %s, exit 2\n  first: seed 3 of %s: ", sim.Counted(len(c.want), "seed"), file)) {
				t.Errorf("%v: the group is not told:\n%s", c.args, stdout)
			}
			raw, err := os.ReadFile(data)
			if err == nil {
				err = json.Unmarshal(raw, &results[i])
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		r := &results[0]
		var found []uint64
		for _, f := range r.Failures {
			if f.Signature() == "invariant weights-valid" {
				found = append(found, f.Seed)
			} else if f.Kind == "invariant" && f.Seed%3 == 0 {
				continue // others may see it too
			} else if f.Seed != 10 || f.Signature() != "error panic" || !strings.Contains(f.First, "the simulator panicked: planted") {
				t.Errorf("%v: unexpected failure %s", c.args, f.Signature())
			}
			if want := fmt.Sprintf(" sim run %s --seed %d", file, f.Seed); !strings.HasSuffix(f.Replay, want) {
				t.Errorf("%v: again by %q, want …%q", c.args, f.Replay, want)
			}
		}
		if !slices.Equal(found, c.want) || r.Seeds != c.ran || r.Exit != c.exit || r.ByInvariant["weights-valid"] != len(c.want) {
			t.Errorf("%v: seeds %v of %d failed, want %v of %d; exit %d, counts %v", c.args, found, r.Seeds, c.want, c.ran, r.Exit, r.ByInvariant)
		}
		if d := gocmp.Diff(results[0], results[1], cmpopts.IgnoreFields(sim.SweepResult{}, "Parallel", "Seconds", "SeedsPerSecond"),
			cmpopts.IgnoreFields(sim.Failure{}, "First")); d != "" { // a stack has addresses
			t.Errorf("%v: --parallel 1 and 4 differ:\n%s", c.args, d)
		}
	}
}

// TestExplain: a run that failed says which seed of which program it was, what
// led to the first violation, and three commands: again, up to there, smaller.
func TestExplain(t *testing.T) {
	dir := folder(t, map[string]string{"small.yaml": small})
	file := filepath.Join(dir, "small.yaml")
	defer func() { plant = nil }()
	plant = badWeights
	junit := filepath.Join(dir, "junit.xml")
	stdout, code := here(t, t.Context(), "sim", "run", "--quiet", file, "--seed", "3", "--junit", junit)
	if code != sim.ExitSafety {
		t.Fatalf("exit code %d", code)
	}
	for _, want := range []string{"\nseed 3, revision ", "\nFAILED invariant weights-valid\n", "the last 20 lines of the trace before it (event ", "2024-08-16 05:00:00",
		"\nagain:   ", " --until ", " sim shrink " + file + " --seed 3 -o smaller.yaml\n"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in\n%s", want, stdout)
		}
	}
	if data, err := os.ReadFile(junit); err != nil || !strings.Contains(string(data), `type="invariant weights-valid"`) {
		t.Errorf("%v: %s", err, data)
	}
	// The second command stops where the first violation is.
	_, rest, _ := strings.Cut(stdout, " --until ")
	until, _, _ := strings.Cut(rest, "\n")
	data := filepath.Join(dir, "there.json")
	stdout, code = here(t, t.Context(), "sim", "run", file, "--seed", "3", "--until", until, "--json", data)
	if code != 0 || !strings.Contains(stdout, "stopped at "+until+": 2024-08-16 0") || !strings.Contains(stdout, "\nv0 (validator): up\n") || !strings.Contains(stdout, "  scoring ") {
		t.Errorf("exit code %d:\n%s", code, stdout)
	}
	var there struct{ Nodes []sim.NodeState }
	if raw, err := os.ReadFile(data); err != nil || json.Unmarshal(raw, &there) != nil || len(there.Nodes) != 6 || there.Nodes[0].Node.Block == 0 {
		t.Errorf("%v: nodes %+v", err, there.Nodes)
	}
	if _, code = here(t, t.Context(), "sim", "run", file, "--until", "weights_set#999"); code != exitBad {
		t.Errorf("a moment that never comes: exit code %d, want 1", code)
	}
}

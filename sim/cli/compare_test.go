package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bettensor/sim"

	gocmp "github.com/google/go-cmp/cmp"
)

// TestCompare: the same seeds and games on both sides, so that a scenario against
// itself differs in nothing, and a setting of one side alone shows.
func TestCompare(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"small.yaml": small})
	read := func(args ...string) (c sim.Comparison, stdout string) {
		t.Helper()
		stdout, stderr, code := call(t, dir, append([]string{"sim", "compare", "small.yaml", "small.yaml", "--quiet", "--json", "c.json"}, args...)...)
		if code != 0 || stderr != "" {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		data, err := os.ReadFile(filepath.Join(dir, "c.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &c); err != nil {
			t.Fatal(err)
		}
		return c, stdout
	}
	same, stdout := read("--seeds", "2", "--parallel", "2")
	if same.From != 1 || same.To != 2 || len(same.Kinds) != 3 || !strings.Contains(stdout, "skilled") {
		t.Errorf("%+v\n%s", same, stdout)
	}
	for _, k := range same.Kinds {
		if d := gocmp.Diff(k.A, k.B); d != "" || *k.Difference != (sim.Interval{}) {
			t.Errorf("%s: %s %+v", k.Kind, d, k.Difference)
		}
	}
	if same.A.Replay != same.B.Replay || !strings.Contains(same.A.Replay, "--seed 1") {
		t.Errorf("again: %q and %q", same.A.Replay, same.B.Replay)
	}
	if !strings.Contains(stdout, "the same games and miners for both") {
		t.Error(stdout)
	}
	_, stdout = read("--seeds", "1", "--set-a", "miners.random.count=1")
	if strings.Contains(stdout, "the same games") || !strings.Contains(stdout, "differs: miners (a: ") {
		t.Error(stdout)
	}
	other, _ := read("--seeds", "5..5", "--set", "miners.random.count=1", "--set-a", "chain.emission_per_block=2", "--set-b", "scoring.scheme=robust")
	a, b := other.Kinds[0].A, other.Kinds[0].B
	if other.A.Scheme != "standard" || other.B.Scheme != "robust" || other.From != 5 || a.Emission+other.Kinds[1].A.Emission+other.Kinds[2].A.Emission <= 0 {
		t.Errorf("%+v %+v: %+v", a, b, other)
	}
	for _, k := range other.Kinds {
		if k.Kind == "random" && k.Miners != 1 {
			t.Errorf("--set reached %d random miners", k.Miners)
		}
	}
}

// TestCompareTellsFailures: a side that breaks its thresholds is told with the
// command that repeats that run, and decides the exit code.
func TestCompareTellsFailures(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"small.yaml": small, "strict.yaml": small + "thresholds: [{metric: gini, expect: value > 2}]\n"})
	stdout, _, code := call(t, dir, "sim", "compare", "small.yaml", "strict.yaml", "--quiet", "--seeds", "2", "--json", "c.json")
	if code != sim.ExitThreshold || !strings.Contains(stdout, "\nb, seed 2 failed: threshold gini: ") || strings.Contains(stdout, "\na, seed") {
		t.Fatalf("exit code %d\n%s", code, stdout)
	}
	data, err := os.ReadFile(filepath.Join(dir, "c.json"))
	if err != nil {
		t.Fatal(err)
	}
	var c sim.Comparison
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Failures) != 2 || !strings.HasSuffix(c.Failures[1].Replay, " sim run strict.yaml --seed 2") || !strings.Contains(stdout, "  again: "+c.Failures[1].Replay+"\n") {
		t.Errorf("%+v\n%s", c.Failures, stdout)
	}
}

func TestCompareRefuses(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"small.yaml": small, "bad.yaml": "nam: x\n"})
	for _, c := range []struct{ args, want string }{
		{"small.yaml", "expected two scenario files"},
		{"small.yaml small.yaml --seed 3", "did you mean --seeds?"},
		{"small.yaml small.yaml --seeds 3..2", "expected A..B"},
		{"small.yaml small.yaml --parallel 0", "--parallel: expected at least 1"},
		{"small.yaml bad.yaml", `bad.yaml:1:1: nam: unknown key (did you mean "name"?)`},
		{"small.yaml small.yaml --set-b scoring.scheme=robst", `did you mean "robust"?`},
		{"small.yaml small.yaml --set-a x=1", "x: no such key"},
	} {
		stdout, stderr, code := call(t, dir, append([]string{"sim", "compare"}, strings.Fields(c.args)...)...)
		if code != 1 || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit code %d, %q, %q, want %q", c.args, code, stdout, stderr, c.want)
		}
	}
}

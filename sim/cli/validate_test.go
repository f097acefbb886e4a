package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestValidate: every mistake of every file is told with its place, what is whole
// is told too, and the exit code is 1 where anything is wrong.
func TestValidate(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"small.yaml": small,
		"empty.yaml": "",
		"two.yaml":   "sead: 1\nvalidators: [{name: v0, cuont: 1}]\n",
		"early.yaml": "duration: 1h\nvalidators: [{name: v0}]\n",
		"games.yaml": small + "market: {file: [no.csv, none.csv]}\n",
		"owner.yaml": small + "faults: [{name: f, what: chain.hyperparameters, at: 1h, for: 1h}]\n",
		"bench.yaml": "load: {what: bus, producers: 2}\nrepeat: 3\n",
	})
	stdout, stderr, code := call(t, dir, "sim", "validate", "small.yaml", "empty.yaml", "two.yaml", "early.yaml", "missing.yaml", "games.yaml", "owner.yaml", "bench.yaml")
	want := []string{"small.yaml: ok, ", "empty.yaml:1:1: ", `two.yaml:1:1: sead: unknown key (did you mean "seed"?)`,
		`two.yaml:2:25: validators[0].cuont: unknown key (did you mean "count"?)`, "early.yaml:1:1: make up a market: ",
		"missing.yaml:1:1: expected a scenario: no such file", "games.yaml:1:1: market.file: open no.csv: no such file", "games.yaml:1:1: market.file: open none.csv: no such file",
		"owner.yaml:6:10: faults[0]: parameters are needed for chain.hyperparameters", "bench.yaml: ok, a benchmark"}
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	for i, w := range want {
		if !strings.HasPrefix(line(lines, i), w) {
			t.Errorf("line %d is %q, want %q", i+1, line(lines, i), w)
		}
	}
	if code != 1 || len(lines) != len(want) || !strings.Contains(stderr, "6 of 8 scenarios cannot be run") {
		t.Errorf("exit %d, %d lines, stderr %q", code, len(lines), stderr)
	}
	if _, _, code := call(t, dir, "sim", "validate", "small.yaml"); code != 0 {
		t.Errorf("exit %d for a file that is whole", code)
	}
}

// TestExpandPrintsAScenario: what expand prints is a file that runs to the trace
// hash of the one that it expands.
func TestExpandPrintsAScenario(t *testing.T) {
	t.Parallel()
	swarm := small + "faults: [{name: blind, what: chain.outage, when: weights_set, for: 10m}]\nswarm:\n  omit: 0.3\n  faults:\n    - {name: loss, what: network.loss, every: 1h..6h, for: 1m..2h, parameters: {loss: 0.01..0.5}}\n" +
		"    - {name: out, what: chain.outage, every: 2h..6h, for: 1m..2h}\n"
	dir := folder(t, map[string]string{"swarm.yaml": swarm})
	stdout, stderr, code := call(t, dir, "sim", "expand", "swarm.yaml", "--seed", "3")
	if code != 0 || !strings.Contains(stdout, "windows: [{at: ") || strings.Contains(stdout, "\nswarm:") {
		t.Fatalf("exit %d: %s\n%s", code, stderr, stdout)
	}
	for _, line := range strings.Split(stdout, "\n") { // the comments above say what the file below them has
		if name, when, ok := strings.Cut(strings.TrimPrefix(line, "#   fault       "), ": "); ok && strings.HasPrefix(line, "#") {
			_, file, _ := strings.Cut(stdout, "{name: "+name+",")
			n := strings.Count(firstLine(file), "draw: ")
			if name == "blind" && (!strings.HasSuffix(when, " when weights_set for 10m") || strings.Contains(firstLine(file), "{at: ")) {
				t.Errorf("%q of %s", line, firstLine(file))
			}
			if n > 1 && !strings.Contains(when, fmt.Sprintf("in %d windows, the first at ", n)) {
				t.Errorf("%q of %d windows", line, n)
			}
		}
	}
	if !strings.Contains(stdout, " windows, the first at ") || !strings.Contains(stdout, "#   fault       blind: ") {
		t.Errorf("the comments say nothing of windows:\n%s", stdout)
	}
	other := folder(t, map[string]string{"explicit.yaml": stdout})
	hash := func(dir, file string, args ...string) string {
		out, stderr, code := call(t, dir, append([]string{"sim", "run", file, "--quiet"}, args...)...)
		if code != 0 {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		_, rest, _ := strings.Cut(out, "trace hash ")
		return strings.Fields(rest)[0]
	}
	if a, b := hash(dir, "swarm.yaml", "--seed", "3"), hash(other, "explicit.yaml"); a != b {
		t.Errorf("hash %s, expanded %s", a, b)
	}
}

// TestSchemaCommand: what is printed is JSON that names its draft.
func TestSchemaCommand(t *testing.T) {
	t.Parallel()
	stdout, _, code := call(t, t.TempDir(), "sim", "schema")
	var schema struct {
		Schema string `json:"$schema"`
	}
	if err := json.Unmarshal([]byte(stdout), &schema); err != nil || code != 0 || schema.Schema != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("exit %d, %v, draft %q", code, err, schema.Schema)
	}
}

// TestListTellsBenchmarksApart: what cannot be run with sim run is listed under its
// own heading.
func TestListTellsBenchmarksApart(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"b.yaml": "# Shows: much.\n# Expect: more.\nname: b\n", "bench.txt": "no"})
	stdout, _, _ := call(t, dir, "sim", "list", dir)
	plain := filepath.Join(dir, "b.yaml") + "\n    much.\n"
	if stdout != plain {
		t.Errorf("without benchmarks:\n%s", stdout)
	}
	if err := os.Mkdir(filepath.Join(dir, "bench"), 0o755); err != nil {
		t.Fatal(err)
	}
	load := filepath.Join(dir, "bench", "a.yaml")
	if err := os.WriteFile(load, []byte("# Shows: speed.\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	stdout, _, _ = call(t, dir, "sim", "list", dir)
	if want := plain + "\nBenchmarks, for `bench run`:\n" + load + "\n    speed.\n"; stdout != want {
		t.Errorf("with benchmarks:\n%s\nwant\n%s", stdout, want)
	}
}

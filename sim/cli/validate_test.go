package cli

import (
	"encoding/json"
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
		"bench.yaml": "load: {what: bus, producers: 2}\nrepeat: 3\n",
	})
	stdout, stderr, code := call(t, dir, "sim", "validate", "small.yaml", "empty.yaml", "two.yaml", "early.yaml", "bench.yaml")
	want := []string{"small.yaml: ok, ", "empty.yaml:1:1: ", `two.yaml:1:1: sead: unknown key (did you mean "seed"?)`,
		`two.yaml:2:25: validators[0].cuont: unknown key (did you mean "count"?)`, "early.yaml:1:1: make up a market: ", "bench.yaml: ok, a benchmark"}
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	for i, w := range want {
		if !strings.HasPrefix(line(lines, i), w) {
			t.Errorf("line %d is %q, want %q", i+1, line(lines, i), w)
		}
	}
	if code != 1 || len(lines) != len(want) || !strings.Contains(stderr, "3 of 5 scenarios cannot be run") {
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
	swarm := small + "swarm:\n  omit: 0.3\n  faults:\n    - {name: loss, what: network.loss, every: 1h..6h, for: 1m..2h, parameters: {loss: 0.01..0.5}}\n" +
		"    - {name: out, what: chain.outage, every: 2h..6h, for: 1m..2h}\n"
	dir := folder(t, map[string]string{"swarm.yaml": swarm})
	stdout, stderr, code := call(t, dir, "sim", "expand", "swarm.yaml", "--seed", "3")
	if code != 0 || !strings.Contains(stdout, "windows: [{at: ") || strings.Contains(stdout, "\nswarm:") {
		t.Fatalf("exit %d: %s\n%s", code, stderr, stdout)
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

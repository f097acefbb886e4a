package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bettensor/sim/bench"
)

const tinyBench = `name: tiny
load: {what: sched, operations: 200}
thresholds: [{metric: "ratio{to:heap}", expect: "value>0"}]
`

// TestBench: a benchmark's figures come as a table, as data and as a case, and are
// compared with former ones; broken thresholds and regressions exit with 5.
func TestBench(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"tiny.yaml": tinyBench, "strict.yaml": strings.Replace(tinyBench, "value>0", "value<0", 1)})
	stdout, stderr, code := call(t, dir, "bench", "run", "tiny.yaml", "--json", "new.json", "--junit", "junit.xml")
	if code != 0 || !strings.Contains(stdout, "ns/op") || !strings.Contains(stdout, "ok    ratio{to:heap}: expected value>0, got ") {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	data, err := os.ReadFile(filepath.Join(dir, "new.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r bench.Report
	if err := json.Unmarshal(data, &r); err != nil || len(r.Benchmarks) != 1 || r.Benchmarks[0].Loads[0].Operations != 200 || r.Machine.Cores < 1 {
		t.Fatalf("%v: %s", err, data)
	}
	if xml, err := os.ReadFile(filepath.Join(dir, "junit.xml")); err != nil || !strings.Contains(string(xml), `tests="1" failures="0"`) {
		t.Errorf("%v: %s", err, xml)
	}

	if _, stderr, code := call(t, dir, "bench", "run", "strict.yaml"); code != 5 || !strings.Contains(stderr, "thresholds are broken: [tiny]") {
		t.Errorf("a broken threshold: exit code %d: %s", code, stderr)
	}

	l := &r.Benchmarks[0].Loads[0]
	l.AllocsPerOp -= 100 // what was measured has a hundred more
	old, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "old.json"), old, 0o644); err != nil {
		t.Fatal(err)
	}
	if stdout, stderr, code := call(t, dir, "bench", "compare", "new.json", "new.json", "--json", "changes.json"); code != 0 || !strings.Contains(stdout, "same") {
		t.Errorf("a report against itself: exit code %d: %s%s", code, stdout, stderr)
	}
	if _, stderr, code := call(t, dir, "bench", "compare", "old.json", "new.json"); code != 5 || !strings.Contains(stderr, "regression of tiny, timer: more allocations") {
		t.Errorf("a regression: exit code %d: %s", code, stderr)
	}
	if _, stderr, code := call(t, dir, "bench", "all", ".", "--set", "load.operations=100", "--baseline", "old.json"); code != 5 || !strings.Contains(stderr, "regression of tiny") {
		t.Errorf("a regression against a baseline: exit code %d: %s", code, stderr)
	}
}

// TestBenchFilesAreSound: the project's own files can be read, each says what it
// shows, and those whose names are held stable are there.
func TestBenchFilesAreSound(t *testing.T) {
	files, err := filepath.Glob("../../scenarios/bench/*.yaml")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	seen := map[string]bool{}
	for _, f := range files {
		seen[filepath.Base(f)] = true
		stdout, stderr, code := call(t, t.TempDir(), "sim", "validate", absolute(t, f))
		if code != 0 {
			t.Errorf("%s: exit code %d: %s%s", f, code, stdout, stderr)
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"# Shows: ", "\n# Expect: ", "\n# Without the defence: ", "\nabout: ", "\nthresholds:\n"} {
			if !strings.Contains("\n"+string(text), want) {
				t.Errorf("%s has no %q", f, want)
			}
		}
	}
	if !seen["bus.yaml"] || !seen["score.yaml"] {
		t.Errorf("there are %v", seen)
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	p, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bettensor/sim"
	"bettensor/sim/crash"
	"bettensor/store"
)

// unsynced is a store that does not sync.
type unsynced struct{ store.Engine }

func (e unsynced) Apply(seq store.Seq, batches []*store.Batch, _ bool) error {
	return e.Engine.Apply(seq, batches, false)
}

// TestCrashpoints: 0 and a report where every image recovers, 2 and the command to
// repeat one where a store lies.
func TestCrashpoints(t *testing.T) {
	dir := folder(t, map[string]string{"small.yaml": small})
	file, report := filepath.Join(dir, "small.yaml"), filepath.Join(dir, "report.json")
	defer func() { plant = nil }()

	args := []string{"sim", "crashpoints", "--quiet", "--limit", "20", "--unsynced", "0,100", "--flips", "5", "--json", report, file}
	out, code := here(t, t.Context(), args...)
	if code != 0 || !strings.Contains(out, "PASS") || !strings.Contains(out, "recoveries/s") {
		t.Errorf("nothing planted: exit code %d and\n%s", code, out)
	}
	data, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var r crash.Report
	if err := json.Unmarshal(data, &r); err != nil || r.Points < 20 || r.Images < 40 || r.Batches == 0 {
		t.Errorf("report %+v, %v", r, err)
	}

	plant = func(w *sim.World) {
		w.Plant = func(_ *sim.Host, e store.Engine) store.Engine { return unsynced{e} }
	}
	out, code = here(t, t.Context(), "sim", "crashpoints", "--quiet", "--unsynced", "0", "--flips", "0", "--set", "seed=3", file)
	if code != sim.ExitSafety || !strings.Contains(out, "sim crashpoints "+file+" --seed 3 --set seed=3 --point ") {
		t.Errorf("a store that lies: exit code %d and\n%s", code, out)
	}
}

package cli

import (
	"os"
	"path/filepath"
	"testing"

	"bettensor/node/ledger"
	"bettensor/store"
)

// TestStoreFlag: a run leaves its validator's store where it is told to, whole
// and open to anybody, and never writes into a directory that is there.
func TestStoreFlag(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	args := []string{"sim", "run", "--set", "duration=2d", "--quiet", "--store", dir, filepath.Join("..", "..", "scenarios", "quickstart.yaml")}
	if out, code := here(t, t.Context(), args...); code != 0 {
		t.Fatalf("exit %d: %s", code, out)
	}
	report, err := store.Verify(store.Options{Dir: dir, Schema: ledger.Schema()})
	if err != nil || report.Err() != nil {
		t.Fatalf("verify: %v, %v", err, report.Err())
	}
	rows := 0
	for _, table := range report.Tables {
		if table.Name == "predictions" {
			rows = table.Rows
		}
	}
	if rows < 100 {
		t.Errorf("%d predictions in the store of a run with hundreds", rows)
	}
	before, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, code := here(t, t.Context(), args...); code != exitBad {
		t.Errorf("a second run into the same directory exits %d", code)
	}
	if after, err := os.ReadDir(dir); err != nil || len(after) != len(before) {
		t.Errorf("the directory changed: %d entries, then %d (%v)", len(before), len(after), err)
	}
}

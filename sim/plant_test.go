package sim

import (
	"os"
	"testing"
)

// TestEachBugIsFound: every planted bug is found by the invariant or the check
// that is kept for it, within as many seeds as it says.
func TestEachBugIsFound(t *testing.T) {
	only := os.Getenv("BETTENSOR_BUG")
	for _, b := range Bugs() {
		if only != "" && only != b.Name {
			continue
		}
		t.Run(b.Name, func(t *testing.T) {
			seed, by, err := b.Find(uint64(b.Seeds))
			if err != nil {
				t.Fatal(err)
			}
			if seed == 0 {
				t.Fatalf("not found within %d seeds; want %v", b.Seeds, b.Finds)
			}
			t.Logf("seed %d: %v of %v", seed, by, b.Finds)
		})
	}
}

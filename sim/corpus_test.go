package sim

import (
	"os"
	"path/filepath"
	"testing"
)

// corpusEvents is far more than any file of the corpus has: one of them had no end.
const corpusEvents = 20_000_000

// TestCorpus: what a sweep once found and was mended stays mended. Each file is a
// failure made small, with the seed that showed it.
func TestCorpus(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../testdata/corpus/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range ran(t, planOf(t, string(text)), RunOptions{Limit: corpusEvents}).Failures() {
				if x.Kind != "no-sample" { // what was made small leaves little to look at
					t.Errorf("%s: %s", x.Signature(), x.First)
				}
			}
		})
	}
}

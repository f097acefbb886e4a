package cli

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what a run prints into README.md")

// readmeRun is the run that README.md shows the beginning of.
var readmeRun = []string{"sim", "run", "scenarios/quickstart.yaml", "--rows", "6"}

// TestReadmeShowsARealRun holds the tables of README.md against the run whose
// command line stands above them. What comes after them, the README leaves out.
func TestReadmeShowsARealRun(t *testing.T) {
	const page, begins, ends = "../../README.md", "```\nquickstart", "```\n"
	readme, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(readme), begins)
	_, after, closed := strings.Cut(rest, ends)
	if !found || !closed || !strings.Contains(before, "`go run . "+strings.Join(readmeRun, " ")+"`") {
		t.Fatal("README.md shows no run of quickstart.yaml")
	}
	stdout, stderr, code := call(t, "../..", readmeRun...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	shown, _, found := strings.Cut(strings.TrimPrefix(stdout, "quickstart"), "\n\n                  event")
	if !found {
		t.Fatalf("the run prints no table of events:\n%s", stdout)
	}
	want := before + begins + shown + "\n" + ends + after
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(readme, []byte(want)) {
		t.Errorf("README.md shows another run; go test ./sim/cli -run Readme -update\n%s", gocmp.Diff(string(readme), want))
	}
}

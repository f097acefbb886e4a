package node

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestStory is the whole of a small subnet in one readable file: two miners find
// a validator, back one game, learn of its result, and weights are set.
func TestStory(t *testing.T) {
	r := newRig(t)
	r.story = &strings.Builder{}
	r.offer("100", t0.Add(30*time.Minute))
	r.addValidator("v0")
	r.addMiner("m0", once(bet.Home, 100_00))
	r.addMiner("m1", once(bet.Away, 50_00))
	r.run(50 * time.Minute)
	r.finish("100", bet.Home)
	r.run(40 * time.Minute)

	file := filepath.Join("testdata", "story.golden")
	if *update {
		if err := os.WriteFile(file, []byte(r.story.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.story.String(); got != string(want) {
		t.Errorf("the story differs from %s (-update writes it anew):\n%s", file, got)
	}
}

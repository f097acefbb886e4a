package cli

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	names := []string{"bench", "score", "sim", "store"}
	for _, c := range []struct{ word, want string }{
		{"sore", "score"}, // as near to store: the earlier one
		{"stroe", "store"},
		{"Bench", "bench"},
		{"si", "sim"},
		{"nosuch", ""},
		{"x", ""},
		{"", ""},
		{"smi", "sim"},
		{"bnhc", ""},
		{strings.Repeat("s", 1<<20), ""},
	} {
		if got := nearest(c.word, names); got != c.want {
			t.Errorf("%.20q: got %q, want %q", c.word, got, c.want)
		}
	}
}

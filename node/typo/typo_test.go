package typo

import (
	"testing"

	"pgregory.net/rapid"
)

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		name, a, b string
		want       int
	}{
		{"the same", "miners", "miners", 0},
		{"one more", "minners", "miners", 1},
		{"one less", "mines", "miners", 1},
		{"one changed", "minerz", "miners", 1},
		{"neighbours swapped", "mienrs", "miners", 1},
		{"against nothing", "", "miners", 6},
		{"nothing in common", "abc", "xyz", 3},
	} {
		if got := Distance(c.a, c.b); got != c.want {
			t.Errorf("%s: %q to %q is %d, want %d", c.name, c.a, c.b, got, c.want)
		}
	}
}

// It is the same both ways, at most the longer word, and at least what their
// lengths differ by.
func TestDistanceIsBounded(t *testing.T) {
	word := rapid.StringMatching(`[a-d]{0,8}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		d := Distance(a, b)
		if d != Distance(b, a) || d > max(len(a), len(b)) || d < max(len(a), len(b))-min(len(a), len(b)) || (d == 0) != (a == b) {
			t.Errorf("%q to %q is %d, back %d", a, b, d, Distance(b, a))
		}
	})
}

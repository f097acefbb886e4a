package sim

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestDiff: the first line that differs is found, with what differs in it and the
// lines before; where only the heads differ there is no difference.
func TestDiff(t *testing.T) {
	head := `{"scenario":"x","seed":%d,"revision":"%s","file":"seed: %d\nduration: %s\n"}` + "\n"
	lines := `{"n":1,"h":"aa","kind":"bus","v":{"odds":[1,2]}}` + "\n" + `{"n":2,"h":"ab"}` + "\n" + `{"n":3,"h":"ac"}` + "\n"
	first := fmt.Sprintf(head, 1, "r", 1, "1d")
	for _, c := range []struct {
		name, a, b string
		line       int // -1 for no difference at all
		heads      int
		fields     []string
		before     int
	}{
		{"the same", first + lines, first + lines, -1, 0, nil, 0},
		{"nothing", "", "", -1, 0, nil, 0},
		{"another revision", first + lines, fmt.Sprintf(head, 1, "s", 1, "1d") + lines, 0, 1, nil, 0},
		{"another scenario", first + lines, fmt.Sprintf(head, 2, "r", 2, "2d") + lines, 0, 2, nil, 0},
		{"a value", first + lines, first + strings.Replace(lines, "[1,2]", "[1,3,4]", 1), 2, 0, []string{"v.odds[1]: 2, 3", "v.odds[2]: nothing, 4"}, 1},
		{"only the hash", first + lines, first + strings.Replace(lines, "ac", "ad", 1), 4, 0, []string{`h: "ac", "ad"`}, 2},
		{"one ends", first + lines, first, 2, 0, nil, 1},
		{"no JSON", "a\nb", "a\nc", 2, 0, []string{"no JSON"}, 1},
	} {
		d, err := Diff(strings.NewReader(c.a), strings.NewReader(c.b), 2)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if d == nil {
			if c.line != -1 {
				t.Errorf("%s: no difference", c.name)
			}
			continue
		}
		if d.Line != c.line || len(d.Heads) != c.heads || !slices.Equal(d.Fields, c.fields) || len(d.Before) != c.before && c.line > 0 {
			t.Errorf("%s: line %d, heads %v, fields %q, before %q", c.name, d.Line, d.Heads, d.Fields, d.Before)
		}
		var b bytes.Buffer
		if err := d.Write(&b, "one", "two"); err != nil || c.line > 0 && !strings.Contains(b.String(), "two:\n") {
			t.Errorf("%s: %v: %s", c.name, err, &b)
		}
	}
	long := strings.Repeat("x", 1<<18)
	if d, err := Diff(strings.NewReader(long+"\n1\n"), strings.NewReader(long+"\n2\n"), 1); err != nil || d == nil || d.Line != 2 {
		t.Errorf("a line longer than the buffer: %v, %v", d, err)
	}
}

// FuzzDiff: the same text is the same, and other text is told apart.
func FuzzDiff(f *testing.F) {
	f.Add("{\"n\":1}\n", "{\"n\":2}\n")
	f.Add(`{"file":"x"}`, `{"file":"y"}`)
	f.Fuzz(func(t *testing.T, a, b string) {
		if d, err := Diff(strings.NewReader(a), strings.NewReader(a), 3); err != nil || d != nil {
			t.Errorf("%q differs from itself: %v, %v", a, d, err)
		}
		d, err := Diff(strings.NewReader(a), strings.NewReader(b), 3) // two heads that mean the same are
		if same := strings.TrimSuffix(a, "\n") == strings.TrimSuffix(b, "\n") || strings.Contains(a, "file"); err != nil || d == nil && !same {
			t.Errorf("%q and %q: %v, %v", a, b, d, err)
		}
	})
}

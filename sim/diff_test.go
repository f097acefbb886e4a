package sim

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestDiff: the first line that differs is found, with what differs in it and the
// lines before; where only the heads differ there is no difference; a trace that
// ends before its run is never the same as another.
func TestDiff(t *testing.T) {
	head := `{"scenario":"x","seed":%d,"revision":"%s","file":"seed: %d\nduration: %s\n"}` + "\n"
	lines := `{"n":1,"h":"aa","kind":"bus","v":{"odds":[1,2]}}` + "\n" + `{"n":2,"h":"ab"}` + "\n" + `{"n":3,"h":"ac"}` + "\n"
	end := `{"hash":"ac","events":3,"lines":4%s}` + "\n"
	first, last := fmt.Sprintf(head, 1, "r", 1, "1d"), fmt.Sprintf(end, "")
	cut, until, other := fmt.Sprintf(end, `,"cut":"interrupted"`), fmt.Sprintf(end, `,"stopped":"x#1"`), fmt.Sprintf(end, `,"stopped":"x#2"`)
	for _, c := range []struct {
		name, a, b string
		line       int // -1 for no difference at all
		heads      int
		fields     []string
		before     int
	}{
		{"the same", first + lines + last, first + lines + last, -1, 0, nil, 0},
		{"stopped at the same event", first + lines + until, first + lines + until, -1, 0, nil, 0},
		{"another revision", first + lines + last, fmt.Sprintf(head, 1, "s", 1, "1d") + lines + last, 0, 1, nil, 0},
		{"another scenario", first + lines + last, fmt.Sprintf(head, 2, "r", 2, "2d") + lines + last, 0, 2, nil, 0},
		{"a value", first + lines, first + strings.Replace(lines, "[1,2]", "[1,3,4]", 1), 2, 0, []string{"v.odds[1]: 2, 3", "v.odds[2]: nothing, 4"}, 1},
		{"only the hash", first + lines, first + strings.Replace(lines, "ac", "ad", 1), 4, 0, []string{`h: "ac", "ad"`}, 2},
		{"one ends", first + lines + last, first + last, 2, 0, []string{"events: nothing, 3", `h: "aa", nothing`, `hash: nothing, "ac"`, `kind: "bus", nothing`, "lines: nothing, 4", "n: 1, nothing", `v: {"odds":[1,2]}, nothing`}, 1},
		{"one goes on after its end", first + last, first + last + last, 3, 0, nil, 2},
		{"no JSON", "a\nb\n", "a\nc\n", 2, 0, []string{"no JSON"}, 1},
		{"both empty", "", "", 0, 0, nil, 0},
		{"both without an end", first + lines, first + lines, 0, 0, nil, 0},
		{"cut at a line", first + cut, first + lines + last, 0, 0, nil, 0},
		{"both cut", first + lines + cut, first + lines + cut, 0, 0, nil, 0},
		{"cut in a line", first + lines[:len(lines)-3], first + lines + last, 0, 0, nil, 0},
		{"one stopped", first + until, first + lines + last, 0, 0, nil, 0},
		{"stopped at other events", first + lines + until, first + lines + other, 0, 0, nil, 0},
		{"a difference before the cut", first + lines + cut, first + strings.Replace(lines, "ab", "aB", 1) + last, 3, 0, []string{`h: "ab", "aB"`}, 2},
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
	d, err := Diff(strings.NewReader(first+cut), strings.NewReader(first), 2)
	if want := [2]string{"is cut after line 1: interrupted", "is cut after line 1: it has no last line with the hash"}; err != nil || d.Short != want {
		t.Errorf("%v: %q, want %q", err, d.Short, want)
	}
	long := strings.Repeat("x", 1<<18)
	if d, err := Diff(strings.NewReader(long+"\n1\n"), strings.NewReader(long+"\n2\n"), 1); err != nil || d == nil || d.Line != 2 {
		t.Errorf("a line longer than the buffer: %v, %v", d, err)
	}
}

// FuzzDiff: a text never parts from itself, and two that are the same are one
// text, but for heads that mean the same.
func FuzzDiff(f *testing.F) {
	f.Add("{\"n\":1}\n", "{\"n\":2}\n")
	f.Add(`{"file":"x"}`, `{"file":"y"}`)
	f.Add("{\"n\":1}\n{\"hash\":\"\"}\n", "{\"n\":1}\n{\"hash\":\"\",\"cut\":\"x\"}\n")
	f.Fuzz(func(t *testing.T, a, b string) {
		if d, err := Diff(strings.NewReader(a), strings.NewReader(a), 3); err != nil || d != nil && (d.Line > 0 || d.Heads != nil) {
			t.Errorf("%q differs from itself: %v, %v", a, d, err)
		}
		d, err := Diff(strings.NewReader(a), strings.NewReader(b), 3)
		if same := a == b || strings.Contains(a, "file"); err != nil || d == nil && !same {
			t.Errorf("%q and %q: %v, %v", a, b, d, err)
		}
	})
}

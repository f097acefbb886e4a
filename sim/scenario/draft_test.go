package scenario

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const drafted = `name: d
validators: [{name: v0, stake: 5}]
miners:
  - {kind: random, count: 3}
  - {kind: skilled, name: best, count: 2, parameters: {noise: 0.5}}
faults:
  - {name: f, what: feed.outage, at: 1h, for: 1h}
network: {latency: 5ms, loss: 0.1}
`

// TestDraft: parts are found, named and taken out, and the draft itself stays.
func TestDraft(t *testing.T) {
	d, err := NewDraft([]byte(drafted))
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Lists(); !slices.Equal(got, []string{"validators", "miners", "faults"}) {
		t.Errorf("lists %v", got)
	}
	if got := d.Items("miners"); !slices.Equal(got, []string{"miners[0]", "miners[1]"}) {
		t.Errorf("items %v", got)
	}
	if got := d.Keys("miners[1].parameters"); !slices.Equal(got, []string{"miners[1].parameters.noise"}) {
		t.Errorf("keys %v", got)
	}
	for path, want := range map[string]string{"miners[0]": "random", "miners[1]": "best", "faults[0]": "f", "network.loss": "network.loss"} {
		if got := d.Label(path); got != want {
			t.Errorf("%s is called %q, want %q", path, got, want)
		}
	}
	for _, c := range []struct {
		name string
		got  *Draft
		want string
	}{
		{"nothing", d.Without(), drafted},
		{"an item and a key", d.Without("miners[0]", "network.loss"), strings.Replace(strings.Replace(drafted, "  - {kind: random, count: 3}\n", "", 1), ", loss: 0.1", "", 1)},
		{"a section", d.Without("network"), strings.Replace(drafted, "network: {latency: 5ms, loss: 0.1}\n", "", 1)},
		{"what is not there", d.Without("disk", "miners[7]", "miners[x]"), drafted},
		{"another value", d.With("miners[1].count", "1"), strings.Replace(drafted, "count: 2", "count: 1", 1)},
		{"a new value", d.With("seed", "9"), drafted + "seed: 9\n"},
	} {
		got, err := c.got.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		// The same values, however they are written.
		w, err := NewDraft([]byte(c.want))
		if err != nil {
			t.Fatal(err)
		}
		want, err := w.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	for _, bad := range []string{"", "- a\n", "a: [", "\xff"} {
		if _, err := NewDraft([]byte(bad)); err == nil {
			t.Errorf("%q is a draft", bad)
		}
	}
}

// FuzzDraft: cutting never changes the draft that is cut, whatever the file.
func FuzzDraft(f *testing.F) {
	f.Add([]byte(drafted), "miners[0]", "9")
	f.Add([]byte("a: {b: [1, 2]}"), "a.b[1]", "x")
	f.Fuzz(func(t *testing.T, data []byte, path, value string) {
		d, err := NewDraft(data)
		if err != nil {
			return
		}
		before, err := d.Bytes()
		if err != nil {
			return // a tag that cannot be written
		}
		d.Without(append(d.Items(path), d.Keys(path)...)...)
		d.With(path, value)
		d.Without(d.Lists()...)
		after, err := d.Bytes()
		if err != nil || !bytes.Equal(before, after) {
			t.Errorf("the draft was\n%s\nand is\n%s%v", before, after, err)
		}
	})
}

package sim

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"bettensor/node/chain"
	"bettensor/sched"
)

const stoppedDay = `
name: stopped
duration: 1d
validators: [{name: v0}]
miners: [{kind: random, count: 3}]
node: {heartbeat: 30m, metagraph_interval: 1h, status_interval: 6h}
`

// TestParseMoment: what it takes, and that it prints what it read.
func TestParseMoment(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"weights_set", "weights_set#1"}, {"weights_set#2", "weights_set#2"}, {"host.crashed#3", "host.crashed#3"}, {"120000", "120000"},
	} {
		m, err := ParseMoment(c.text)
		if err != nil || m.String() != c.want {
			t.Errorf("%q is %q, %v; want %q", c.text, m, err, c.want)
		}
		if again, err := ParseMoment(m.String()); err != nil || again != m {
			t.Errorf("%q read again is %v, %v", m, again, err)
		}
	}
	for _, text := range []string{"", "#1", "weights_set#0", "weights_set#x", "weight_set", "0", "-1", "a.b.c", "Weights"} {
		if m, err := ParseMoment(text); err == nil {
			t.Errorf("%q is read as %v", text, m)
		}
	}
}

func FuzzParseMoment(f *testing.F) {
	for _, s := range []string{"weights_set#2", "host.crashed", "17", "x#"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMoment(text)
		if err != nil {
			return
		}
		if again, err := ParseMoment(m.String()); err != nil || again != m {
			t.Errorf("%q is %q, which is read as %v, %v", text, m, again, err)
		}
	})
}

// TestRunUntilAMoment: the run ends with the event, and up to it nothing differs.
func TestRunUntilAMoment(t *testing.T) {
	p := planOf(t, stoppedDay)
	var whole bytes.Buffer
	ran(t, p, RunOptions{Trace: &whole})
	for _, c := range []struct{ moment, kind, name string }{
		{"prediction_stored#2", "bus", "prediction_stored"}, {"host.started#4", "host", "started"}, {"500", "", ""},
	} {
		m, err := ParseMoment(c.moment)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		at := uint64(0)
		r := ran(t, p, RunOptions{Trace: &b, Until: m, Done: func(w *World) error { at = w.Sched.Events(); return nil }})
		lines := strings.SplitAfter(strings.TrimSuffix(b.String(), "\n"), "\n")
		if r.Stopped != m.String() || !strings.HasPrefix(whole.String(), strings.Join(lines[:len(lines)-1], "")) {
			t.Errorf("%s: stopped by %q; the trace is not the beginning of the whole one", c.moment, r.Stopped)
		}
		if c.kind == "" {
			if at != m.Nth {
				t.Errorf("%s: stopped after %d events", c.moment, at)
			}
			continue
		}
		n := uint64(0)
		for _, line := range lines {
			var l traceLine
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatal(err)
			}
			if l.Kind == c.kind && l.Name == c.name {
				n++
			}
		}
		if n != m.Nth {
			t.Errorf("%s: the trace holds %d of them", c.moment, n)
		}
	}
	if r := ran(t, p, RunOptions{Until: Moment{"weights_set", 1 << 40}}); r.Stopped != "" || !r.End.Equal(p.End) {
		t.Errorf("a moment that never came stopped the run at %s: %s", r.End, r.Stopped)
	}
}

// TestFailFast: the run ends with the first violation, and says when it was.
func TestFailFast(t *testing.T) {
	p := planOf(t, stoppedDay)
	r := ran(t, p, RunOptions{FailFast: true, Prepare: badWeights(5 * time.Hour)})
	f := r.Failures()
	if len(f) == 0 || f[0].Signature() != "invariant weights-valid" || r.Stopped != "the first violation" {
		t.Fatalf("failures %v, stopped by %q", f, r.Stopped)
	}
	if want := p.Start.Add(5 * time.Hour); !r.End.Equal(want) {
		t.Errorf("stopped at %s, want %s", r.End, want)
	}
	for _, i := range r.Invariants {
		if i.Violations > 0 && !i.At.Equal(r.End) {
			t.Errorf("the violation is dated %s, want %s", i.At, r.End)
		}
	}
}

// badWeights plants weights on a slot that nobody holds.
func badWeights(after time.Duration) func(*World) {
	return func(w *World) {
		w.Sched.After(after, sched.Func(func() {
			w.Chain.Submit(w.now(), chain.Request{Op: chain.OpSetWeights, Hotkey: w.Hosts[0].Hotkey,
				Weights: chain.Weights{UIDs: []chain.UID{200}, Values: []uint16{chain.MaxWeight}}})
		}))
	}
}

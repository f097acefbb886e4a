package sim

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// smallScenarios are those whose traces are compared byte for byte.
var smallScenarios = []struct {
	file string
	sets []string
}{
	{"quickstart.yaml", []string{"duration=1d"}},
	{"faults.yaml", nil},
	{"mainnet-week.yaml", []string{"start=2024-08-16T15:00:00Z", "duration=6h", "miners.busy.count=16", "miners.skilled.count=1", "miners.sharp.count=1", "miners.late.count=1", "miners.random.count=1"}},
}

// traceOf runs a plan and returns its whole trace in short: hash and length.
func traceOf(t testing.TB, p *Plan) string {
	h := sha256.New()
	n := &counting{w: h}
	r := ran(t, p, RunOptions{Trace: n})
	return fmt.Sprintf("%x %d %s", h.Sum(nil), n.n, r.TraceHash)
}

type counting struct {
	w io.Writer
	n int
}

func (c *counting) Write(b []byte) (int, error) {
	c.n += len(b)
	return c.w.Write(b)
}

// TestDeterministic: the same seed leaves the same bytes of trace, in several
// processes, on any number of processors, however often memory is collected,
// and twice in one process. Another seed leaves others.
func TestDeterministic(t *testing.T) {
	if out := os.Getenv("SIM_TRACES"); out != "" { // we are the child
		var b strings.Builder
		for _, s := range smallScenarios {
			fmt.Fprintf(&b, "%s %s\n", s.file, traceOf(t, planOf(t, s.file, s.sets...)))
		}
		if err := os.WriteFile(out, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Parallel()
	var here strings.Builder
	for _, s := range smallScenarios {
		fmt.Fprintf(&here, "%s %s\n", s.file, traceOf(t, planOf(t, s.file, s.sets...)))
	}
	for _, env := range [][]string{{"GOMAXPROCS=1", "GOGC=off"}, {"GOMAXPROCS=2", "GOGC=10"}, {"GOMAXPROCS=8", "GOGC=100"}} {
		out := filepath.Join(t.TempDir(), "traces")
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(append(os.Environ(), "SIM_TRACES="+out), env...)
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("child with %v: %v\n%s", env, err, text)
		}
		there, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if here.String() != string(there) {
			t.Errorf("traces with %v differ (scenario, SHA-256 and length of the trace, hash):\n%shere:\n%s", env, there, here.String())
		}
	}
}

// TestDeterministicInOneProcess: one plan makes any number of equal worlds, and
// leaves nothing behind; another seed gives another run.
func TestDeterministicInOneProcess(t *testing.T) {
	t.Parallel()
	s := smallScenarios[1]
	p := planOf(t, s.file, append(s.sets, "duration=1d12h", "phases.faults.until=1d6h")...)
	first, second := &bytes.Buffer{}, &bytes.Buffer{}
	a, b := ran(t, p, RunOptions{Trace: first}), ran(t, p, RunOptions{Trace: second})
	if !bytes.Equal(first.Bytes(), second.Bytes()) || a.TraceHash != b.TraceHash {
		t.Errorf("two runs of one plan differ: %s", FirstDifference(a, b))
	}
	if n := bytes.Count(first.Bytes(), []byte("\n")); n < 10_000 || !bytes.Contains(first.Bytes(), []byte(`"kind":"fault"`)) {
		t.Errorf("the trace has %d lines and tells too little", n)
	}
	if other := ran(t, planOf(t, s.file, append(s.sets, "duration=1d12h", "phases.faults.until=1d6h", "seed=2")...), RunOptions{}); other.TraceHash == a.TraceHash {
		t.Error("seed 2 leaves the hash of seed 1")
	}
	// Looking on changes nothing: not the trace, not the invariants.
	if quiet := ran(t, p, RunOptions{}); quiet.TraceHash != a.TraceHash || quiet.Events != a.Events {
		t.Error("a run that is not traced is another run")
	}
}

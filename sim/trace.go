package sim

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"bettensor/sched"
)

// Trace writes what happens as JSON lines: bus events, starts and completions
// of ports, hosts and faults. The last line holds the hash.
type Trace struct {
	w   *bufio.Writer
	err error
	now func() time.Time
	n   uint64
}

// NewTrace traces a world from now on.
func NewTrace(out io.Writer, w *World) *Trace {
	t := &Trace{w: bufio.NewWriterSize(out, 1<<16), now: w.now}
	w.SetTracer(t)
	return t
}

type traceLine struct {
	Time string `json:"t"`
	Node string `json:"node,omitempty"`
	Kind string `json:"kind"`
	Name string `json:"name"`
	V    any    `json:"v,omitempty"`
}

const traceTime = "2006-01-02T15:04:05.000000Z"

// Trace implements sched.Tracer.
func (t *Trace) Trace(l *sched.Loop, kind, name string, v any) {
	line := traceLine{Time: t.now().Format(traceTime), Kind: kind, Name: name, V: v}
	if l != nil {
		line.Node = l.Name()
	}
	t.write(line)
}

func (t *Trace) write(v any) {
	if t.err != nil {
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.err = fmt.Errorf("trace line %d: %w", t.n+1, err)
		return
	}
	t.n++
	t.w.Write(b)
	t.err = t.w.WriteByte('\n')
}

// Close writes the last line and flushes.
func (t *Trace) Close(w *World) error {
	t.write(struct {
		Hash   string `json:"hash"`
		Events uint64 `json:"events"`
		Lines  uint64 `json:"lines"`
	}{HashText(w.Sched.Hash()), w.Sched.Events(), t.n})
	if t.err == nil {
		t.err = t.w.Flush()
	}
	return t.err
}

// HashText is how a hash is shown.
func HashText(h uint64) string { return fmt.Sprintf("%016x", h) }

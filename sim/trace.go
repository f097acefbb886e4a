package sim

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"

	"bettensor/sched"
)

// Trace writes what happens as JSON lines: bus events, starts and completions
// of ports, hosts and faults. The first line says what runs (TraceHead), the last
// one holds the hash (TraceEnd).
type Trace struct {
	w     *bufio.Writer
	err   error
	sched *sched.World
	n     uint64
}

// TraceHead is the first line of a trace: all that it takes to make the others
// again, but for the program and the files of matches.
type TraceHead struct {
	Scenario string   `json:"scenario"` // its name
	Seed     uint64   `json:"seed"`
	Revision string   `json:"revision,omitempty"`
	Games    []string `json:"games,omitempty"` // names of files
	File     string   `json:"file"`            // the scenario, with every default filled in
}

// NewTrace traces a world from now on.
func NewTrace(out io.Writer, w *World) *Trace {
	t := &Trace{w: bufio.NewWriterSize(out, 1<<16), sched: w.Sched}
	w.SetTracer(t)
	return t
}

// head writes the first line.
func (t *Trace) head(p *Plan, o *RunOptions) {
	t.write(TraceHead{Scenario: p.Scenario.Name, Seed: p.Scenario.Seed, Revision: o.Revision, Games: o.Games, File: string(p.Scenario.Canonical())})
}

// traceLine is a line: n events had been handled when it was written, and their
// running hash was h.
type traceLine struct {
	N    uint64 `json:"n"`
	Hash string `json:"h"`
	Time string `json:"t"`
	Node string `json:"node,omitempty"`
	Kind string `json:"kind"`
	Name string `json:"name"`
	V    any    `json:"v,omitempty"`
}

const traceTime = "2006-01-02T15:04:05.000000Z"

// Trace implements sched.Tracer.
func (t *Trace) Trace(l *sched.Loop, kind, name string, v any) {
	line := traceLine{N: t.sched.Events(), Hash: HashText(t.sched.Hash()), Time: t.sched.Now().Format(traceTime), Kind: kind, Name: name, V: v}
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

// TraceEnd is the last line of a trace.
type TraceEnd struct {
	Hash   string `json:"hash"`
	Events uint64 `json:"events"`
	Lines  uint64 `json:"lines"`
	// Stopped is what ended the run before its time, as in Result.Stopped.
	Stopped string `json:"stopped,omitempty"`
	// Cut says why the run came to no end at all: it was interrupted, or it failed.
	Cut string `json:"cut,omitempty"`
}

// Close writes the last line and flushes. stopped is what ended the run before
// its time, "" for a run to its end.
func (t *Trace) Close(stopped string) error { return t.end(TraceEnd{Stopped: stopped}) }

// Cut writes that the run came to no end, and flushes: what was traced up to
// there is worth keeping.
func (t *Trace) Cut(why string) error { return t.end(TraceEnd{Cut: why}) }

func (t *Trace) end(e TraceEnd) error {
	e.Hash, e.Events, e.Lines = HashText(t.sched.Hash()), t.sched.Events(), t.n
	t.write(e)
	if t.err == nil {
		t.err = t.w.Flush()
	}
	return t.err
}

// HashText is how a hash is shown.
func HashText(h uint64) string { return fmt.Sprintf("%016x", h) }

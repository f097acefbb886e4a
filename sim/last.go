package sim

import (
	"encoding/json"
	"fmt"
	"strings"

	"bettensor/sched"
)

// lastLines keeps the last lines of a trace, and puts only those into words.
type lastLines struct {
	w    *World
	ring []lastLine
	n    int // lines so far
	next sched.Tracer
}

type lastLine struct {
	traceLine
	hash uint64
}

// newLastLines keeps n lines of what the world traces from now on; nil for 0.
func newLastLines(w *World, n int) *lastLines {
	if n <= 0 {
		return nil
	}
	k := &lastLines{w: w, ring: make([]lastLine, n), next: w.tracing()}
	w.SetTracer(k)
	return k
}

// Trace implements sched.Tracer.
func (k *lastLines) Trace(l *sched.Loop, kind, name string, v any) {
	x := &k.ring[k.n%len(k.ring)]
	k.n++
	s := k.w.Sched
	*x = lastLine{traceLine{N: s.Events(), Time: s.Now().Format("15:04:05.000000"), Kind: kind, Name: name, V: v}, s.Hash()}
	if l != nil {
		x.Node = l.Name()
	}
	if k.next != nil {
		k.next.Trace(l, kind, name, v)
	}
}

// lines are those kept, oldest first.
func (k *lastLines) lines() []string {
	if k == nil {
		return nil
	}
	var out []string
	for i := max(k.n-len(k.ring), 0); i < k.n; i++ {
		out = append(out, k.ring[i%len(k.ring)].text())
	}
	return out
}

// maxLastLine bounds what a line shows of its value: a metagraph has hundreds of
// neurons. The trace has all of it.
const maxLastLine = 200

// text is a line for people.
func (l *lastLine) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%9d %s %-12s %s %s", l.N, l.Time, l.Node, l.Kind, l.Name)
	if l.V != nil {
		v, err := json.Marshal(l.V)
		if err != nil {
			v = []byte(err.Error())
		}
		if len(v) > maxLastLine {
			v = append(v[:maxLastLine:maxLastLine], "…"...)
		}
		b.WriteByte(' ')
		b.Write(v)
	}
	return b.String()
}

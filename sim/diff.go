package sim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Difference is the first place where two traces part, or what keeps them from
// being compared to their ends.
type Difference struct {
	Heads  []string  // what their first lines say differently, in words
	Short  [2]string // why each ends before its run does, in words, as in "is empty"; "" for one that does not
	Lines  int       // that both have, and that are the same but for the heads
	Line   int       // from 1, where they part; 0 where they do not as far as both go
	Before []string  // the lines before it, equal in both
	A, B   string    // the line in each; "" where that trace has ended
	Fields []string  // what differs in it: "v.odds[1]: 2.1, 2.2"
}

const (
	// maxTraceLine bounds a line: a metagraph of 65,536 neurons takes a tenth.
	maxTraceLine = 256 << 20
	// maxFields bounds what is told of one line.
	maxFields = 20
)

// Diff reads two traces side by side, a line of each at a time, and returns
// where they part, with so many lines before; nil where they are the same. Other
// revisions of the program, and other scenarios, are told and are no difference
// by themselves: the lines that follow are compared all the same. A trace that
// ends before its run is compared as far as it goes, and is never the same as
// another: what it lacks is not known. Two runs that were stopped at the same
// Moment have whole traces.
func Diff(a, b io.Reader, context int) (*Difference, error) {
	x, y := newLines(a), newLines(b)
	d := &Difference{}
	for n := 1; ; n++ {
		la, erra := x.next()
		lb, errb := y.next()
		if err := errors.Join(erra, errb); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if n == 1 && la != nil && lb != nil && !bytes.Equal(la, lb) {
			heads, both := headsDiffer(la, lb)
			if d.Heads = heads; both {
				d.Lines++
				continue
			}
		}
		switch {
		case la == nil && x.short != "" || lb == nil && y.short != "" || x.stopped != y.stopped:
			d.Short = [2]string{x.shortness(), y.shortness()}
			return d, nil
		case la == nil && lb == nil && d.Heads == nil:
			return nil, nil
		case la == nil && lb == nil:
			return d, nil
		case bytes.Equal(la, lb):
			if len(d.Before) >= max(context, 1) {
				d.Before = d.Before[1:]
			}
			d.Before = append(d.Before, string(la))
			d.Lines++
			continue
		}
		if context <= 0 {
			d.Before = nil
		}
		d.Line, d.A, d.B = n, string(la), string(lb)
		d.Fields = fields(la, lb)
		return d, nil
	}
}

// traceLines reads the lines of a trace without their ends.
type traceLines struct {
	r       *bufio.Reader
	n       int    // lines so far
	ended   bool   // the last of them was a TraceEnd
	stopped string // what that says of a run stopped before its time
	short   string // why the trace ends before its run; known at its end
}

func newLines(r io.Reader) *traceLines { return &traceLines{r: bufio.NewReaderSize(r, 1<<16)} }

// next is the next line, nil at the end of the trace, which is also where it was
// cut. The slice is good until the next call.
func (t *traceLines) next() ([]byte, error) {
	line, err := t.read()
	switch {
	case err != nil && err != io.EOF:
		return nil, err
	case err == io.EOF && len(line) > 0:
		t.short = fmt.Sprintf("is cut in the middle of line %d", t.n+1)
		return nil, nil
	case err == io.EOF && t.n == 0:
		t.short = "is empty"
		return nil, nil
	case err == io.EOF && !t.ended:
		t.short = fmt.Sprintf("is cut after line %d: it has no last line with the hash", t.n)
		return nil, nil
	case err == io.EOF:
		return nil, nil
	}
	t.n++
	var end TraceEnd
	if t.ended = bytes.HasPrefix(line, []byte(`{"hash":`)) && json.Unmarshal(line, &end) == nil; t.ended {
		t.stopped = end.Stopped
		if end.Cut != "" {
			t.short = fmt.Sprintf("is cut after line %d: %s", t.n-1, end.Cut)
			return nil, nil
		}
	}
	return line, nil
}

// shortness is why the trace ends before its run.
func (t *traceLines) shortness() string {
	if t.short == "" && t.stopped != "" {
		return "is of a run that was stopped at " + t.stopped
	}
	return t.short
}

// read reads up to the end of a line, which is not part of it; io.EOF comes with
// what is left after the last.
func (t *traceLines) read() ([]byte, error) {
	line, err := t.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		whole := slices.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) && len(whole) <= maxTraceLine {
			line, err = t.r.ReadSlice('\n')
			whole = append(whole, line...)
		}
		if len(whole) > maxTraceLine {
			return nil, fmt.Errorf("longer than %d bytes: no trace", maxTraceLine)
		}
		line = whole
	}
	return bytes.TrimSuffix(line, []byte("\n")), err
}

// headsDiffer tells how the first lines of two traces differ; both is false
// where they are not both heads.
func headsDiffer(a, b []byte) (how []string, both bool) {
	var x, y TraceHead
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil || x.File == "" || y.File == "" {
		return nil, false
	}
	tell := func(what, a, b string) {
		if a != b {
			how = append(how, fmt.Sprintf("%s: %s, %s", what, a, b))
		}
	}
	tell("revision", x.Revision, y.Revision)
	tell("scenario", x.Scenario, y.Scenario)
	tell("seed", fmt.Sprint(x.Seed), fmt.Sprint(y.Seed))
	tell("games", strings.Join(x.Games, " "), strings.Join(y.Games, " "))
	for i, la := range strings.Split(x.File, "\n") {
		if lb := strings.Split(y.File, "\n"); i < len(lb) && la != lb[i] && !strings.HasPrefix(la, "seed:") && !strings.HasPrefix(la, "name:") {
			how = append(how, fmt.Sprintf("scenario, line %d: %s, %s", i+1, strings.TrimSpace(la), strings.TrimSpace(lb[i])))
			break // the others may only have moved
		}
	}
	return how, true
}

// fields lists what differs between two lines, by the path in the line.
func fields(a, b []byte) []string {
	if a == nil || b == nil {
		return nil
	}
	x, errx := decoded(a)
	y, erry := decoded(b)
	if errx != nil || erry != nil {
		return []string{"no JSON"}
	}
	var out []string
	compare(&out, "", x, y)
	if len(out) > maxFields {
		out = append(out[:maxFields], fmt.Sprintf("and %d more", len(out)-maxFields))
	}
	return out
}

func decoded(line []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber() // as they are written
	err = d.Decode(&v)
	return v, err
}

func compare(out *[]string, path string, a, b any) {
	switch x := a.(type) {
	case map[string]any:
		if y, ok := b.(map[string]any); ok {
			keys := slices.Sorted(maps.Keys(x))
			for k := range y {
				if _, both := x[k]; !both {
					keys = append(keys, k)
				}
			}
			slices.Sort(keys)
			for _, k := range keys {
				compare(out, strings.TrimPrefix(path+"."+k, "."), x[k], y[k])
			}
			return
		}
	case []any:
		if y, ok := b.([]any); ok {
			for i := range max(len(x), len(y)) {
				var va, vb any
				if i < len(x) {
					va = x[i]
				}
				if i < len(y) {
					vb = y[i]
				}
				compare(out, fmt.Sprintf("%s[%d]", path, i), va, vb)
			}
			return
		}
	}
	if va, vb := shown(a), shown(b); va != vb {
		*out = append(*out, fmt.Sprintf("%s: %s, %s", path, va, vb))
	}
}

// shown is a value of a line on little space; nothing for what is not there.
func shown(v any) string {
	if v == nil {
		return "nothing"
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	if len(b) > maxLastLine {
		b = append(b[:maxLastLine:maxLastLine], "…"...)
	}
	return string(b)
}

// Write prints where a and b part, for people.
func (d *Difference) Write(w io.Writer, a, b string) error {
	out := bufio.NewWriter(w)
	for _, h := range d.Heads {
		fmt.Fprintf(out, "not of the same: %s\n", h)
	}
	if d.Line == 0 {
		for i, name := range []string{a, b} {
			if d.Short[i] != "" {
				fmt.Fprintf(out, "%s %s\n", name, d.Short[i])
			}
		}
		switch {
		case d.Short == [2]string{}:
			fmt.Fprintln(out, "and every other line is the same")
		case d.Lines == 0:
			fmt.Fprintln(out, "there is nothing to compare")
		default:
			fmt.Fprintf(out, "the lines that both have, %d, are the same\n", d.Lines)
		}
		return out.Flush()
	}
	fmt.Fprintf(out, "the first difference is in line %d; before it, the same in both:\n", d.Line)
	for _, line := range d.Before {
		fmt.Fprintf(out, "    %s\n", cut(line))
	}
	for _, side := range []struct{ name, line string }{{a, d.A}, {b, d.B}} {
		if side.line == "" {
			side.line = "(the end)"
		}
		fmt.Fprintf(out, "%s:\n    %s\n", side.name, cut(side.line))
	}
	if len(d.Fields) > 0 {
		fmt.Fprintf(out, "what differs:\n    %s\n", strings.Join(d.Fields, "\n    "))
	}
	if len(d.Fields) == 1 && strings.HasPrefix(d.Fields[0], "h: ") {
		fmt.Fprintln(out, "Only the running hash differs: something that entered a loop between this line and the one before, and that traces do not show.")
	}
	return out.Flush()
}

// maxShownLine bounds a line of a difference on a terminal.
const maxShownLine = 400

func cut(line string) string {
	if len(line) > maxShownLine {
		return line[:maxShownLine] + "…"
	}
	return line
}

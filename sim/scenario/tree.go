package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// Limits of a file. They are far above what a person writes.
const (
	// MaxFileBytes is the largest file. A command that reads one stops here too.
	MaxFileBytes = 1 << 20
	// maxNodes is how many values a file may have once aliases stand for what they
	// name: nested aliases grow exponentially.
	maxNodes = 100_000
	// maxDepth of nesting. The format needs 4; the decoder recurses.
	maxDepth = 32
)

// load reads one YAML document into a tree without aliases. It reports what it
// finds and returns nil where there is no tree.
func (d *decoder) load(data []byte, s *setting) *yaml.Node {
	data = d.clean(data, s)
	l, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
	if err != nil {
		d.report(Problem{Line: 1, Column: 1, Message: err.Error()}, s)
		return nil
	}
	var first, second yaml.Node
	if err := l.Load(&first); err != nil {
		if !errors.Is(err, io.EOF) {
			d.report(syntax(err), s)
		}
		return nil
	}
	switch err := l.Load(&second); {
	case err == nil:
		at := &second
		if len(second.Content) > 0 {
			at = second.Content[0]
		}
		d.report(Problem{Line: at.Line, Column: at.Column, Message: "expected one document, got a second one"}, s)
	case !errors.Is(err, io.EOF):
		d.report(syntax(err), s)
	}
	if len(first.Content) == 0 {
		return nil
	}
	e := expansion{nodes: maxNodes}
	root := e.expand(first.Content[0], nil, 0)
	if e.over != nil {
		d.report(Problem{Line: e.over.Line, Column: e.over.Column,
			Message: fmt.Sprintf("expected at most %d values after aliases are put in", maxNodes)}, s)
		return nil
	}
	if e.loop != nil {
		d.report(Problem{Line: e.loop.Line, Column: e.loop.Column,
			Message: fmt.Sprintf("expected nesting of at most %d levels; the alias %q may hold itself", maxDepth, e.loop.Value)}, s)
		return nil
	}
	return root
}

// syntax tells a library's error with its position.
func syntax(err error) Problem {
	p := Problem{Line: 1, Column: 1, Message: err.Error()}
	var le *yaml.LoadError
	if !errors.As(err, &le) {
		return p
	}
	p.Message = "not YAML: " + le.Message
	if le.ContextMsg != "" {
		p.Message += " " + le.ContextMsg
	}
	if le.Mark.Line > 0 {
		p.Line, p.Column = le.Mark.Line, max(le.Mark.Column, 1)
	}
	return p
}

// clean reports bytes that cannot be part of a YAML file, and replaces them, so
// that the rest is still read.
func (d *decoder) clean(data []byte, s *setting) []byte {
	var out []byte // nil while nothing was replaced
	var first Problem
	bad := 0
	line, column := 1, 1
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		what := ""
		switch {
		case r == utf8.RuneError && size == 1:
			what = fmt.Sprintf("the byte 0x%02x", data[i])
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r >= 0x7f && r < 0xa0 && r != 0x85, r == 0xfffe, r == 0xffff:
			what = fmt.Sprintf("the control character U+%04X", r)
		}
		if what != "" {
			if bad == 0 {
				first = Problem{Line: line, Column: column, Message: "expected UTF-8 text, got " + what}
				out = append(make([]byte, 0, len(data)+16), data[:i]...)
			}
			bad++
			out = utf8.AppendRune(out, utf8.RuneError)
		} else if bad > 0 {
			out = append(out, data[i:i+size]...)
		}
		i += size
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
	}
	if bad == 0 {
		return data
	}
	if bad > 1 {
		first.Message += fmt.Sprintf(" (and %d more like it)", bad-1)
	}
	d.report(first, s)
	return out
}

// expansion copies a tree with what aliases stand for in their place.
type expansion struct {
	nodes      int // how many more may be made
	over, loop *yaml.Node
}

// expand copies n. via is the alias that led to it, nil for none.
func (e *expansion) expand(n, via *yaml.Node, depth int) *yaml.Node {
	e.nodes--
	switch {
	case e.over != nil || e.loop != nil:
		return n
	case e.nodes < 0:
		e.over = n
		return n
	case depth > 2*maxDepth: // the loader bounds nesting without aliases
		e.loop = via
		return n
	}
	if n.Kind == yaml.AliasNode {
		return e.expand(n.Alias, n, depth+1)
	}
	c := *n
	c.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		c.Content[i] = e.expand(child, via, depth+1)
	}
	return &c
}

package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Draft is a scenario file as something to take parts out of. It knows nothing
// of what the parts mean: Parse says whether what is left is a scenario. A draft
// is never changed; every cut makes another.
//
// A path names a part as problems do: faults[3].parameters.loss.
type Draft struct{ root *yaml.Node }

// NewDraft reads a file, which must be a mapping as every scenario is.
func NewDraft(data []byte) (*Draft, error) {
	d := newDecoder("draft", Option{})
	root := d.load(data, nil)
	if len(d.problems) > 0 {
		return nil, d.problems.sorted()
	}
	if root == nil || root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("scenario: a draft of what has no keys")
	}
	return &Draft{root}, nil
}

// Bytes is the draft as a file, comments left out.
func (d *Draft) Bytes() ([]byte, error) {
	out, err := yaml.Marshal(d.root)
	if err != nil {
		return nil, fmt.Errorf("scenario: write a draft: %w", err)
	}
	return out, nil
}

// Items are the paths of a list's items, none where there is no list.
func (d *Draft) Items(path string) []string {
	n := d.find(path)
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	out := make([]string, len(n.Content))
	for i := range out {
		out[i] = fmt.Sprintf("%s[%d]", path, i)
	}
	return out
}

// Keys are the paths of a mapping's values, none where there is no mapping. The
// path of the whole file is "".
func (d *Draft) Keys(path string) []string {
	n := d.find(path)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	var out []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		out = append(out, join(path, n.Content[i].Value))
	}
	return out
}

// Lists are the paths of all lists, outer ones before those in them.
func (d *Draft) Lists() []string {
	var out []string
	var walk func(n *yaml.Node, path string)
	walk = func(n *yaml.Node, path string) {
		switch n.Kind {
		case yaml.SequenceNode:
			out = append(out, path)
			for i, x := range n.Content {
				walk(x, fmt.Sprintf("%s[%d]", path, i))
			}
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				walk(n.Content[i+1], join(path, n.Content[i].Value))
			}
		}
	}
	walk(d.root, "")
	return out
}

// Value is the text of a single value; "" where there is none.
func (d *Draft) Value(path string) string {
	if n := d.find(path); n != nil && n.Kind == yaml.ScalarNode {
		return n.Value
	}
	return ""
}

// Label names a part for people: a list's item by its name, anything else by its
// path.
func (d *Draft) Label(path string) string {
	for _, key := range []string{"name", "kind", "what"} {
		if v := d.Value(join(path, key)); v != "" {
			return v
		}
	}
	if v := d.Value(path); v != "" && strings.HasSuffix(path, "]") {
		return v
	}
	return path
}

// Without is the draft less some parts.
func (d *Draft) Without(paths ...string) *Draft {
	gone := map[*yaml.Node]bool{}
	for _, p := range paths {
		if n := d.find(p); n != nil {
			gone[n] = true
		}
	}
	var copied func(n *yaml.Node) *yaml.Node
	copied = func(n *yaml.Node) *yaml.Node {
		c := *n
		c.Content = nil
		for i := 0; i < len(n.Content); i++ {
			if n.Kind == yaml.MappingNode {
				if i+1 < len(n.Content) && !gone[n.Content[i+1]] {
					c.Content = append(c.Content, n.Content[i], copied(n.Content[i+1]))
				}
				i++
			} else if !gone[n.Content[i]] {
				c.Content = append(c.Content, copied(n.Content[i]))
			}
		}
		return &c
	}
	return &Draft{copied(d.root)}
}

// With is the draft with a single value at a path, whose parent must be there.
func (d *Draft) With(path, value string) *Draft {
	out := d.Without() // a copy
	if n := out.find(path); n != nil {
		*n = yaml.Node{Kind: yaml.ScalarNode, Value: value}
		return out
	}
	parent, key := "", path
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		parent, key = path[:i], path[i+1:]
	}
	if n := out.find(parent); n != nil && n.Kind == yaml.MappingNode {
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, &yaml.Node{Kind: yaml.ScalarNode, Value: value})
	}
	return out
}

// find is the part at a path; nil for none.
func (d *Draft) find(path string) *yaml.Node {
	n := d.root
	for _, step := range steps(path) {
		if n == nil {
			return nil
		}
		if i, err := strconv.Atoi(strings.Trim(step, "[]")); err == nil && step[0] == '[' {
			if n.Kind != yaml.SequenceNode || i < 0 || i >= len(n.Content) {
				return nil
			}
			n = n.Content[i]
			continue
		}
		n = child(n, step)
	}
	return n
}

// steps takes a path apart: a[0].b is a, [0], b.
func steps(path string) []string {
	return slices.DeleteFunc(strings.Split(strings.ReplaceAll(path, "[", ".["), "."), func(s string) bool { return s == "" })
}

package scenario

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// setting is one --set.
type setting struct {
	path  string
	order int // from 1
	value *yaml.Node
	key   *yaml.Node // of the value, where the file lacked it
}

// maxPath is the longest path of a --set.
const maxPath = 4 * maxName

// set puts PATH=VALUE into the tree. A path follows the keys of the file, items
// of a list by their name: miners.skilled.count. VALUE is YAML, as it would
// stand after the key. Keys that the file lacks are made, items are not.
func (d *decoder) set(root *yaml.Node, text string, order int) {
	p, value, ok := strings.Cut(text, "=")
	s := &setting{path: clip(p), order: order}
	if !ok || p == "" {
		if s.path = clip(text); s.path == "" {
			s.path = `""` // what the shell was given, and a place for the message
		}
		d.report(Problem{Message: "expected PATH=VALUE, such as seed=7 or miners.skilled.count=16"}, s)
		return
	}
	if len(text) > MaxFileBytes || len(p) > maxPath {
		d.report(Problem{Message: "too long"}, s)
		return
	}
	before := len(d.problems)
	n := d.load([]byte(value), s)
	if n == nil {
		if len(d.problems) > before {
			return
		}
		n = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	}
	s.value = n
	d.mark(n, s)

	parts := strings.Split(p, ".")
	message, near := d.place(root, reflect.TypeFor[Scenario](), parts, s), ""
	switch message {
	case "":
		return
	case noItems:
	default:
		near = d.nearestPath(root, p, parts)
	}
	if near != "" {
		message += fmt.Sprintf(" (did you mean %q?)", near)
	}
	d.report(Problem{Message: message}, s)
}

// What is wrong with a path. Where a list is empty no path is near.
const (
	noKey   = "no such key"
	noItem  = "no item of that name"
	noItems = "no item of that name, the file has no list here"
)

// mark remembers that a tree came with a --set.
func (d *decoder) mark(n *yaml.Node, s *setting) {
	d.origin[n] = s
	for _, c := range n.Content {
		d.mark(c, s)
	}
}

// place puts the setting's value at a path below n, which the schema says is of
// type t. It returns what is wrong where the schema or the file has no such path.
func (d *decoder) place(n *yaml.Node, t reflect.Type, parts []string, s *setting) (wrong string) {
	var f field
	ok := false
	switch {
	case t.Kind() == reflect.Slice && !isScalar(t.Elem()):
		return d.placeItem(n, t.Elem(), parts, s)
	case isScalar(t), t.Kind() == reflect.Slice:
		return noKey
	case t.Kind() == reflect.Map:
		f, ok = find(everyParam(), parts[0])
	default:
		f, ok = find(fieldsOf(t), parts[0])
	}
	if !ok || f.key == "*" {
		if t != reflect.TypeFor[Scoring]() || len(parts) > 1 || !d.knownCoefficient(parts[0]) {
			return noKey
		}
		f.typ = reflect.TypeFor[float64]()
	}
	if isNull(n) {
		n.Kind, n.Tag, n.Value = yaml.MappingNode, "!!map", ""
	}
	if n.Kind != yaml.MappingNode {
		return "" // reported when it is read
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Kind != yaml.ScalarNode || n.Content[i].Value != parts[0] {
			continue
		}
		if len(parts) == 1 {
			n.Content[i+1] = s.value
			return ""
		}
		return d.place(n.Content[i+1], f.typ, parts[1:], s)
	}
	value := s.value
	if len(parts) > 1 {
		value = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		d.origin[value] = s
		if f.typ.Kind() == reflect.Slice {
			return noItems
		}
		if wrong := d.place(value, f.typ, parts[1:], s); wrong != "" {
			return wrong
		}
	}
	key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: parts[0]}
	d.origin[key] = s
	if len(parts) == 1 {
		s.key = key
	}
	n.Content = append(n.Content, key, value)
	return ""
}

// placeItem puts the value at a path below the item of a list that the path
// begins with.
func (d *decoder) placeItem(n *yaml.Node, t reflect.Type, parts []string, s *setting) (wrong string) {
	if isNull(n) || n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		return noItems
	}
	if n.Kind != yaml.SequenceNode {
		return "" // reported when it is read
	}
	for i, item := range n.Content {
		if itemName(item, t) != parts[0] {
			continue
		}
		if len(parts) == 1 {
			n.Content[i] = s.value
			return ""
		}
		return d.place(item, t, parts[1:], s)
	}
	return noItem
}

// knownCoefficient reports whether a scheme may have a parameter of that name.
func (d *decoder) knownCoefficient(name string) bool {
	if d.opt.Coefficients == nil {
		return isSnake(name)
	}
	return slices.Contains(d.opt.Coefficients, name)
}

// everyParam lists the parameters of all kinds.
func everyParam() (all []field) {
	for _, form := range []string{"kind", "validator", "fault"} {
		for _, name := range kindNames(form) {
			list, _ := takes(form, name)
			all = append(all, list...)
		}
	}
	return all
}

// itemName is what a path calls an item of a list: its name, or the key that is
// the name's default.
func itemName(n *yaml.Node, t reflect.Type) string {
	name := child(n, "name")
	if f, ok := find(fieldsOf(t), "name"); ok && name == nil && strings.HasPrefix(f.def, "=") {
		name = child(n, f.def[1:])
	}
	if name == nil || name.Kind != yaml.ScalarNode {
		return ""
	}
	return name.Value
}

// nearestPath finds the valid path that was most likely meant by p: one that is
// near as a whole, or whose last key is near, in whatever section. It is "" where
// there is none.
func (d *decoder) nearestPath(root *yaml.Node, p string, parts []string) string {
	paths := validPaths(nil, reflect.TypeFor[Scenario](), root, "")
	for _, name := range d.opt.Coefficients {
		paths = append(paths, "scoring."+name)
	}
	last := parts[len(parts)-1]
	best, at := len(p)+maxName, ""
	for _, c := range paths {
		cost := distance(p, c)
		off := distance(last, c[strings.LastIndexByte(c, '.')+1:])
		if off == 0 {
			cost /= 2
		}
		if cost < best && (cost <= len(p)/3 || off <= len(last)/3) {
			best, at = cost, c
		}
	}
	return at
}

// validPaths lists every path of a single value that --set takes, with the names
// of the items that the file has.
func validPaths(to []string, t reflect.Type, n *yaml.Node, prefix string) []string {
	switch {
	case isScalar(t), t.Kind() == reflect.Slice && isScalar(t.Elem()):
		return append(to, prefix)
	case t.Kind() == reflect.Slice:
		if n == nil || n.Kind != yaml.SequenceNode {
			return to
		}
		for _, item := range n.Content {
			if name := itemName(item, t.Elem()); isName(name) && len(to) < maxCollected {
				to = validPaths(to, t.Elem(), item, join(prefix, name))
			}
		}
		return to
	}
	for _, f := range fieldsOf(t) {
		if f.key == "*" {
			continue
		}
		var below *yaml.Node
		if n != nil {
			below = child(n, f.key)
		}
		if f.of != "" {
			to = append(to, paramPaths(t, f, n, join(prefix, f.key))...)
			continue
		}
		to = validPaths(to, f.typ, below, join(prefix, f.key))
	}
	return to
}

// paramPaths lists the parameters that an item takes by its discriminator.
func paramPaths(t reflect.Type, f field, item *yaml.Node, prefix string) (paths []string) {
	sibling, _ := find(fieldsOf(t), f.of)
	value := child(item, sibling.key)
	if value == nil {
		return nil
	}
	list, _ := takes(sibling.form, value.Value)
	for _, p := range list {
		paths = append(paths, join(prefix, p.key))
	}
	return paths
}

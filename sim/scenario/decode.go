package scenario

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// maxCollected is how many problems are kept of a file; MaxProblems are told.
const maxCollected = 10 * MaxProblems

// MaxItems of one list. What is many has a count.
const MaxItems = 1000

// decoder fills a Scenario from a tree by the struct tags, and collects what is
// wrong with it.
type decoder struct {
	file     string
	name     string // the file's name without its ending, default of `name`
	opt      Option
	block    time.Duration
	problems Problems
	origin   map[*yaml.Node]*setting // nodes that came with --set
	at       map[string]*yaml.Node   // values by path, for checks that span keys
	bad      map[string]bool         // paths that were reported
}

func newDecoder(file string, opt Option) *decoder {
	return &decoder{
		file: file, opt: opt, block: 12 * time.Second,
		origin: map[*yaml.Node]*setting{}, at: map[string]*yaml.Node{}, bad: map[string]bool{},
	}
}

func (d *decoder) full() bool { return len(d.problems) >= maxCollected }

// report keeps a problem. s is the --set it comes from, nil for the file.
func (d *decoder) report(p Problem, s *setting) {
	if d.full() {
		return
	}
	p.File = d.file
	if s != nil {
		p.Set, p.order, p.Line, p.Column = s.path, s.order, 0, 0
	}
	d.problems = append(d.problems, p)
}

// complain reports what is wrong with a node.
func (d *decoder) complain(n *yaml.Node, path, format string, args ...any) {
	d.bad[path] = true
	s := d.origin[n]
	p := Problem{Line: n.Line, Column: n.Column, Path: path, Message: fmt.Sprintf(format, args...)}
	if s != nil && (s.value == n || s.key == n) {
		p.Path = "" // the set's own path says it
	}
	d.report(p, s)
}

// field is one key of the schema.
type field struct {
	key, def, bounds, form, of string
	enum                       []string
	need                       bool
	typ                        reflect.Type
	index                      int
}

// fieldsOf reads the schema of a struct, in the order of its fields.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		sf := t.Field(i)
		f := field{
			key: sf.Tag.Get("key"), def: sf.Tag.Get("default"), bounds: sf.Tag.Get("range"),
			form: sf.Tag.Get("form"), of: sf.Tag.Get("of"), need: sf.Tag.Get("need") == "yes",
			typ: sf.Type, index: i,
		}
		if e := sf.Tag.Get("enum"); e != "" {
			f.enum = strings.Split(e, ",")
		}
		if f.form == "kind" || f.form == "fault" || f.form == "validator" {
			f.enum = kindNames(f.form)
		}
		if f.key != "" {
			fields = append(fields, f)
		}
	}
	return fields
}

// entry is a key with its value.
type entry struct{ key, value *yaml.Node }

// entries reads a mapping, reporting keys that are none or come twice.
func (d *decoder) entries(n *yaml.Node, path string) []entry {
	if isNull(n) && !d.isSet(n) {
		return nil // a section whose keys are all commented out
	}
	if n.Kind != yaml.MappingNode {
		d.complain(n, path, "expected keys with values, got %s", got(n))
		return nil
	}
	var list []entry
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch line, twice := seen[k.Value]; {
		case k.Kind != yaml.ScalarNode:
			d.complain(k, path, "expected a key, got %s", got(k))
		case k.Value == "<<":
			d.complain(k, join(path, k.Value), "merge keys are not taken: write the values out, or an alias for a whole value")
		case twice:
			d.complain(k, join(path, clip(k.Value)), "duplicate key (first at line %d)", line)
		default:
			seen[k.Value] = k.Line
			list = append(list, entry{k, v})
		}
	}
	return list
}

// section fills a struct. n is nil where the file does not have it, and then
// everything is the default.
func (d *decoder) section(v reflect.Value, n *yaml.Node, path string) {
	var given []entry
	if n != nil {
		d.at[path] = n
		given = d.entries(n, path)
	}
	fields := fieldsOf(v.Type())
	values := map[string]*yaml.Node{}
	for _, e := range given {
		values[e.key.Value] = e.value
	}
	rest := false
	for _, f := range fields {
		to, p := v.Field(f.index), join(path, f.key)
		value := values[f.key]
		switch {
		case f.key == "*":
			rest = true
			d.coefficients(to, given, path)
		case f.of != "":
			d.variant(v, to, f, value, p)
		case value != nil:
			d.at[p] = value
			d.value(to, f, value, p)
		case f.need && n != nil && !d.bad[path]:
			d.complain(n, path, "%s is needed: expected %s", f.key, d.expected(f))
		default:
			d.fill(v, to, f, p)
		}
	}
	if rest {
		return
	}
	for _, e := range given {
		if d.full() {
			return
		}
		if _, ok := find(fields, e.key.Value); !ok {
			d.complain(e.key, join(path, clip(e.key.Value)), "unknown key%s", suggest(e.key.Value, keys(fields)))
		}
	}
}

// fill gives a field its default.
func (d *decoder) fill(v, to reflect.Value, f field, path string) {
	switch {
	case f.def == "=file":
		to.SetString(d.name)
	case strings.HasPrefix(f.def, "="):
		sibling, _ := find(fieldsOf(v.Type()), f.def[1:])
		to.Set(v.Field(sibling.index))
	case to.Kind() == reflect.Struct && to.Type() != timeType:
		d.section(to, nil, path)
	case to.Kind() == reflect.Slice && f.def != "":
		to.Set(reflect.ValueOf(strings.Split(f.def, ",")))
	case f.def != "":
		mustParse(f.def, to)
	}
}

// mustParse reads text that is part of the schema.
func mustParse(text string, v reflect.Value) {
	if err := parseValue(text, v, 0); err != nil {
		panic(fmt.Sprintf("scenario: the schema says %q for %s", text, v.Type()))
	}
}

// value fills a field that the file has.
func (d *decoder) value(to reflect.Value, f field, n *yaml.Node, path string) {
	switch {
	case isScalar(to.Type()):
		d.scalar(to, f, n, path)
	case to.Kind() == reflect.Struct:
		d.section(to, n, path)
	case isNull(n) && !d.isSet(n):
		// A list whose items are all commented out is empty, if it may be.
		if f.need {
			d.complain(n, path, "expected at least one item")
		}
	case n.Kind != yaml.SequenceNode:
		d.complain(n, path, "expected a list, got %s", got(n))
	case f.need && len(n.Content) == 0:
		d.complain(n, path, "expected at least one item")
	case len(n.Content) > MaxItems:
		d.complain(n, path, "expected at most %d items, got %d", MaxItems, len(n.Content))
	default:
		to.Set(reflect.MakeSlice(to.Type(), len(n.Content), len(n.Content)))
		for i, item := range n.Content {
			p := path + "[" + strconv.Itoa(i) + "]"
			d.at[p] = item
			if isScalar(to.Type().Elem()) {
				d.scalar(to.Index(i), f, item, p)
			} else {
				d.item(to.Index(i), item, p)
			}
		}
		d.unique(to, path)
	}
}

// isSet reports whether a node is the value of a --set. What is left out of a
// file may be commented out; who sets nothing has made a mistake.
func (d *decoder) isSet(n *yaml.Node) bool {
	s := d.origin[n]
	return s != nil && s.value == n
}

// item fills one struct of a list; unlike a section it cannot be empty.
func (d *decoder) item(v reflect.Value, n *yaml.Node, path string) {
	if n.Kind != yaml.MappingNode {
		d.complain(n, path, "expected keys with values, got %s", got(n))
		return
	}
	d.section(v, n, path)
}

// unique reports items of a list that have the same name.
func (d *decoder) unique(list reflect.Value, path string) {
	if list.Type().Elem().Kind() != reflect.Struct {
		return
	}
	seen := map[string]int{}
	for i := range list.Len() {
		field := list.Index(i).FieldByName("Name")
		if !field.IsValid() || field.String() == "" {
			continue
		}
		name := field.String()
		if first, ok := seen[name]; ok {
			p := path + "[" + strconv.Itoa(i) + "]"
			n := d.at[p+".name"]
			if n == nil {
				n = d.at[p]
			}
			d.complain(n, p+".name", "expected a name of its own, %q is also %s[%d]", name, path, first)
			continue
		}
		seen[name] = i
	}
}

// scalar fills one value.
func (d *decoder) scalar(to reflect.Value, f field, n *yaml.Node, path string) {
	t := to.Type()
	if n.Kind != yaml.ScalarNode || isNull(n) {
		d.complain(n, path, "expected %s, got %s", d.expected(f), got(n))
		return
	}
	if n.Style&yaml.TaggedStyle != 0 {
		d.complain(n, path, "expected %s without a tag, got %s", d.expected(f), clip(n.Tag))
		return
	}
	plain := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
	bare := t.Kind() != reflect.String && !hasForm(t)
	text := f.enum == nil && t.Kind() == reflect.String && (f.form == "" || f.form == "name")
	switch {
	case bare && !plain:
		d.complain(n, path, "expected %s, got the text %q", d.expected(f), clip(n.Value))
		return
	case text && plain && n.ShortTag() != "!!str":
		d.complain(n, path, "expected %s, got %s (quote it if text is meant)", d.expected(f), got(n))
		return
	}
	v := reflect.New(t).Elem()
	if err := parseValue(n.Value, v, d.block); err != nil {
		d.complain(n, path, "expected %s, got %s", spelledWithin(f), got(n))
		return
	}
	if t.Kind() == reflect.String {
		if f.enum != nil {
			if !slices.Contains(f.enum, n.Value) {
				message := "expected one of " + strings.Join(f.enum, ", ") + ", got " + got(n)
				if near, ok := nearest(clip(n.Value), f.enum); ok {
					message += fmt.Sprintf(" (did you mean %q?)", near)
				}
				d.complain(n, path, "%s", message)
				return
			}
		} else if want, ok := form(f.form, n.Value); !ok {
			d.complain(n, path, "expected %s, got %s", want, got(n))
			return
		}
	}
	if low, high, ok := bounds(f, t); ok {
		if x, _ := numeric(v); x < low || x > high {
			d.complain(n, path, "expected %s%s, got %s", noun(t), within(f), got(n))
			return
		}
	}
	to.Set(v)
}

// variant fills the parameters that depend on a sibling: those its value takes,
// with its defaults.
func (d *decoder) variant(parent, to reflect.Value, f field, n *yaml.Node, path string) {
	sibling, _ := find(fieldsOf(parent.Type()), f.of)
	value := parent.Field(sibling.index).String()
	takes, ok := takes(sibling.form, value)
	if !ok {
		return // the sibling was reported, and what it takes is not known
	}
	values := map[string]*yaml.Node{}
	if n != nil {
		d.at[path] = n
		for _, e := range d.entries(n, path) {
			key := e.key.Value
			values[key] = e.value
			if _, ok := find(takes, key); ok || d.full() {
				continue
			}
			if len(takes) == 0 {
				d.complain(e.key, join(path, clip(key)), "unknown key (%s takes no parameters)", value)
			} else {
				d.complain(e.key, join(path, clip(key)), "unknown key for %s%s", value, suggest(key, keys(takes)))
			}
		}
	}
	if to.Kind() == reflect.Map {
		to.Set(reflect.MakeMap(to.Type()))
		if to.Type().Elem().Kind() == reflect.String {
			d.spreads(to, takes, values, path)
			return
		}
	}
	for _, pf := range takes {
		at, p := reflect.New(pf.typ).Elem(), join(path, pf.key)
		if v := values[pf.key]; v != nil {
			d.at[p] = v
			d.value(at, pf, v, p)
		} else {
			d.fill(to, at, pf, p)
		}
		switch {
		case to.Kind() == reflect.Struct:
			to.Field(pf.index).Set(at)
		case at.Kind() == reflect.String:
			named(parent, pf.key).Set(at)
		default:
			to.SetMapIndex(reflect.ValueOf(pf.key), reflect.ValueOf(toNumber(at)))
		}
	}
}

// coefficients takes every key of the scoring section that is no other field.
func (d *decoder) coefficients(to reflect.Value, given []entry, path string) {
	fields := fieldsOf(reflect.TypeFor[Scoring]())
	var list []Coefficient
	for _, e := range given {
		key, p := e.key.Value, join(path, clip(e.key.Value))
		if _, ok := find(fields, key); ok && key != "*" {
			continue
		}
		if d.full() {
			return
		}
		d.at[p] = e.value
		known := append([]string{"scheme"}, d.opt.Coefficients...)
		if !isSnake(key) || d.opt.Coefficients != nil && !slices.Contains(known, key) {
			d.complain(e.key, p, "unknown key%s", suggest(key, known))
			continue
		}
		text, ok := coefficientText(plainText(e.value))
		if !ok {
			d.complain(e.value, p, "expected a finite number, true or false, got %s", got(e.value))
			continue
		}
		if d.opt.Coefficient != nil {
			if err := d.opt.Coefficient(key, text); err != nil {
				d.complain(e.value, p, "%v", err)
				continue
			}
		}
		c := Coefficient{key, text}
		list = append(list, c)
	}
	to.Set(reflect.ValueOf(list))
}

// expected is what a field wants, for messages.
func (d *decoder) expected(f field) string {
	switch {
	case f.enum != nil && f.typ.Kind() == reflect.String:
		return "one of " + strings.Join(f.enum, ", ")
	case f.typ.Kind() == reflect.String && f.form != "":
		want, _ := form(f.form, "")
		return want
	case f.typ.Kind() == reflect.Slice && f.need:
		return "a list of at least one item"
	case f.bounds != "":
		return noun(f.typ) + within(f)
	}
	return spelled(f.typ)
}

// within is the range of a field, for messages.
func within(f field) string {
	low, high, ok := strings.Cut(f.bounds, "..")
	if !ok {
		return ""
	}
	return " from " + low + " to " + high
}

// spelledWithin is the form and the range of a field, for messages.
func spelledWithin(f field) string {
	text := spelled(f.typ)
	if f.bounds != "" && hasForm(f.typ) {
		text += ","
	}
	return text + within(f)
}

// bounds is the range of a field on the line of numeric.
func bounds(f field, t reflect.Type) (low, high float64, ok bool) {
	lowText, highText, ok := strings.Cut(f.bounds, "..")
	if !ok {
		return 0, 0, false
	}
	v := reflect.New(t).Elem()
	mustParse(lowText, v)
	low, _ = numeric(v)
	mustParse(highText, v)
	high, _ = numeric(v)
	return low, high, true
}

// maxQuoted is how much of a file's own text a message repeats.
const maxQuoted = 60

// clip shortens text of a file for a message.
func clip(text string) string {
	r := []rune(text[:min(len(text), 4*maxQuoted)])
	if len(r) <= maxQuoted && len(text) <= 4*maxQuoted {
		return text
	}
	return string(r[:min(len(r), maxQuoted)]) + "…"
}

// got describes a node for a message.
func got(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "keys with values"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(n):
		return "nothing"
	case n.ShortTag() == "!!str":
		return strconv.Quote(clip(n.Value))
	}
	return clip(n.Value)
}

// isNull reports whether a key has no value.
func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" && n.Style&yaml.TaggedStyle == 0
}

// plainText is the text of an unquoted, untagged scalar, else "".
func plainText(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || n.Style != 0 {
		return ""
	}
	return n.Value
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func find(fields []field, key string) (field, bool) {
	for _, f := range fields {
		if f.key == key {
			return f, true
		}
	}
	return field{}, false
}

func keys(fields []field) []string {
	var names []string
	for _, f := range fields {
		names = append(names, f.key)
	}
	return names
}

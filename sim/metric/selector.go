package metric

import (
	"slices"
	"strings"
)

// Selector names a metric, narrowed by labels: reward_share{group:copycat}.
type Selector struct {
	Name   string
	Labels []Pair // in the order of the definition
}

// Pair is one label of a selector.
type Pair struct {
	Key, Value string
	Column     int // of the value in the text, from 1
}

// Get is a label's value, "" where it is not given.
func (s *Selector) Get(key string) string {
	for _, p := range s.Labels {
		if p.Key == key {
			return p.Value
		}
	}
	return ""
}

// String is the text in its one form.
func (s Selector) String() string {
	if len(s.Labels) == 0 {
		return s.Name
	}
	var b strings.Builder
	b.WriteString(s.Name)
	for i, p := range s.Labels {
		b.WriteByte("{,"[min(i, 1)])
		b.WriteString(p.Key + ":" + p.Value)
	}
	b.WriteByte('}')
	return b.String()
}

// ParseSelector reads a selector. The error is a *SyntaxError; that groups and
// validators exist is the scenario's to check.
func ParseSelector(text string) (Selector, error) {
	x := &lexer{text: text}
	s, err := x.selector()
	if err == nil && !x.done() {
		err = x.wrong(x.at, "the end")
	}
	if err != nil {
		return Selector{}, err
	}
	return s, nil
}

// selector reads a selector. Its error is nil of its own type, not of error.
func (x *lexer) selector() (Selector, *SyntaxError) {
	if len(x.text) > maxText {
		return Selector{}, x.wrong(0, "at most 400 characters")
	}
	x.space()
	from := x.at
	name := x.word()
	d, ok := Find(name)
	switch {
	case name == "":
		return Selector{}, x.wrong(from, "the name of a metric")
	case !ok:
		return Selector{}, x.unknown(from, "no metric", name, MetricNames())
	}
	s := Selector{Name: name}
	if x.take("{") {
		if err := x.labels(&s, &d); err != nil {
			return Selector{}, err
		}
	}
	for _, l := range d.Labels {
		if l.Must && s.Get(l.Key) == "" {
			return Selector{}, x.wrong(x.at, "{"+l.Key+":…}, without which "+name+" has no sense,")
		}
	}
	slices.SortStableFunc(s.Labels, func(a, b Pair) int { return d.order(a.Key) - d.order(b.Key) })
	return s, nil
}

func (d *Definition) order(key string) int {
	return slices.IndexFunc(d.Labels, func(l Label) bool { return l.Key == key })
}

func (x *lexer) labels(s *Selector, d *Definition) *SyntaxError {
	for {
		x.space()
		from := x.at
		key := x.word()
		l, ok := d.label(key)
		switch {
		case key == "":
			return x.wrong(from, "a label, such as group:NAME")
		case !ok:
			return x.unknown(from, d.Name+" has no label", key, d.keys())
		case s.Get(key) != "":
			return x.wrong(from, "each label once")
		}
		if !x.take(":") {
			return x.wrong(x.at, "a colon after "+key)
		}
		x.space()
		from = x.at
		value := x.word()
		if value == "" {
			return x.wrong(from, "a name")
		}
		if l.Names == OneOf && !slices.Contains(l.Enum, value) {
			return x.unknown(from, "no "+key, value, l.Enum)
		}
		s.Labels = append(s.Labels, Pair{key, value, x.wrong(from, "").Column})
		if x.take("}") {
			return nil
		}
		if !x.take(",") {
			return x.wrong(x.at, "a comma or }")
		}
	}
}

func (d *Definition) keys() []string {
	var keys []string
	for _, l := range d.Labels {
		keys = append(keys, l.Key)
	}
	return keys
}

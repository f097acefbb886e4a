package metric

import (
	"strconv"
	"strings"
)

// Aggregate is how a metric is asked: by count, value, min, max, avg, med or
// p(N).
type Aggregate struct {
	Word string
	P    float64 // of p(N), in percent
}

// String is the text in its one form.
func (a Aggregate) String() string {
	if a.Word == "p" {
		return "p(" + strconv.FormatFloat(a.P, 'f', -1, 64) + ")"
	}
	return a.Word
}

// words are the aggregates that a type knows; the first is what a comparison
// takes where it says none.
func (t Type) words() []string {
	return [...][]string{{"count"}, {"value"}, {"max"}, {"avg", "min", "med", "max", "p(N)", "count"}}[t]
}

// Condition is what a metric must come to: p(99)<2s.
type Condition struct {
	Aggregate Aggregate
	Op        string  // < <= > >= == !=
	Limit     float64 // in the metric's unit, seconds for times
	Text      string  // as written, without spaces at the ends
}

// Holds says whether a sample keeps the condition. The value is what it was
// asked for; ok is false where there is no sample.
func (c *Condition) Holds(s Sample) (value float64, holds_, ok bool) {
	v, ok := s.Ask(c.Aggregate)
	return v, ok && holds(v, c.Op, c.Limit), ok
}

// ParseConditions reads one or more conditions on a metric, with commas
// between: `p(99)<2s, max<10s`. The error is a *SyntaxError.
func ParseConditions(text string, of Definition) ([]Condition, error) {
	x := &lexer{text: text}
	if len(text) > maxText {
		return nil, x.wrong(0, "at most 400 characters")
	}
	var list []Condition
	for {
		x.space()
		from := x.at
		c, err := x.condition(of)
		if err != nil {
			return nil, err
		}
		c.Text = strings.TrimSpace(text[from:x.at])
		list = append(list, c)
		if x.done() {
			return list, nil
		}
		if !x.take(",") {
			return nil, x.wrong(x.at, "a comma or the end")
		}
	}
}

func (x *lexer) condition(of Definition) (c Condition, err error) {
	var wrong *SyntaxError
	if c.Aggregate, wrong = x.aggregate(of); wrong != nil {
		return c, wrong
	}
	var ok bool
	if c.Op, ok = x.operator(); !ok {
		return c, x.wrong(x.at, "one of < <= > >= == !=")
	}
	if of.Unit == "s" && c.Aggregate.Word != "count" {
		if c.Limit, ok = x.seconds(); !ok {
			return c, x.wrong(x.at, "a duration with a unit, such as 500ms or 2s")
		}
		return c, nil
	}
	if c.Limit, ok = x.number(); !ok {
		return c, x.wrong(x.at, "a number")
	}
	return c, nil
}

func (x *lexer) aggregate(of Definition) (Aggregate, *SyntaxError) {
	x.space()
	from := x.at
	word, words := x.word(), of.Type.words()
	for _, w := range words {
		if w == word && w != "p(N)" {
			return Aggregate{Word: word}, nil
		}
	}
	if word != "p" || of.Type != Distribution {
		return Aggregate{}, x.wrong(from, strings.Join(words, ", ")+" ("+of.Name+" is a "+of.Type.String()+")")
	}
	if !x.take("(") {
		return Aggregate{}, x.wrong(x.at, "p(N), such as p(99)")
	}
	from = x.at
	p, ok := x.number()
	if !ok || p <= 0 || p > 100 || !x.take(")") {
		return Aggregate{}, x.wrong(from, "a percentage above 0 and up to 100, and )")
	}
	return Aggregate{"p", p}, nil
}

// Term is one side of a comparison: a number, or a metric times a number.
type Term struct {
	Factor    float64
	Selector  Selector // Name is "" for a number alone
	Aggregate Aggregate
}

// Comparison is a statement about two metrics:
// reward_per_miner{kind:skilled} >= 4 * reward_per_miner{kind:random}.
type Comparison struct {
	A, B Term
	Op   string
}

// Holds says whether the comparison is kept by two values.
func (c *Comparison) Holds(a, b float64) bool { return holds(a, c.Op, b) }

// Terms are both sides.
func (c *Comparison) Terms() [2]*Term { return [2]*Term{&c.A, &c.B} }

// ParseComparison reads a comparison. The error is a *SyntaxError.
func ParseComparison(text string) (Comparison, error) {
	x := &lexer{text: text}
	var c Comparison
	var err *SyntaxError
	if c.A, err = x.term(); err != nil {
		return Comparison{}, err
	}
	var ok bool
	if c.Op, ok = x.operator(); !ok {
		return Comparison{}, x.wrong(x.at, "one of < <= > >= == !=")
	}
	if c.B, err = x.term(); err != nil {
		return Comparison{}, err
	}
	switch {
	case !x.done():
		return Comparison{}, x.wrong(x.at, "the end")
	case c.A.Selector.Name == "" && c.B.Selector.Name == "":
		return Comparison{}, x.wrong(0, "a metric on at least one side")
	}
	return c, nil
}

func (x *lexer) term() (Term, *SyntaxError) {
	t := Term{Factor: 1}
	if n, ok := x.number(); ok {
		t.Factor = n
		if !x.take("*") {
			return t, nil
		}
	}
	s, err := x.selector()
	if err != nil {
		return Term{}, err
	}
	t.Selector = s
	d, _ := Find(s.Name)
	t.Aggregate = Aggregate{Word: d.Type.words()[0]}
	if x.take(".") {
		if t.Aggregate, err = x.aggregate(d); err != nil {
			return Term{}, err
		}
	}
	return t, nil
}

// String is the text in its one form.
func (t Term) String() string {
	n := strconv.FormatFloat(t.Factor, 'f', -1, 64)
	if t.Selector.Name == "" {
		return n
	}
	s := t.Selector.String()
	if d, _ := Find(t.Selector.Name); d.Type.words()[0] != t.Aggregate.Word {
		s += "." + t.Aggregate.String()
	}
	if t.Factor != 1 {
		s = n + " * " + s
	}
	return s
}

// String is the text in its one form.
func (c Comparison) String() string { return c.A.String() + " " + c.Op + " " + c.B.String() }

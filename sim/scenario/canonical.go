package scenario

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"bettensor/sim/fault"
)

// Canonical is the scenario as a file with every effective value, in the order
// of the format. Two files that mean the same have the same canonical form, and
// Parse reads it back to an equal scenario: it is what a run is replayed from.
func (s *Scenario) Canonical() []byte {
	var b strings.Builder
	v := reflect.ValueOf(s).Elem()
	for _, f := range fieldsOf(v.Type()) {
		writeBlock(&b, v, f, "")
	}
	return []byte(b.String())
}

// FormatFault is a fault as an item of a file, on one line. ParseFault reads it.
func FormatFault(f *fault.Fault) string { return flow(reflect.ValueOf(f).Elem()) }

// ParseFault reads one fault, as it stands in a file's list. That its target
// exists is not checked.
func ParseFault(file string, data []byte) (fault.Fault, Problems) {
	d := newDecoder(file, Option{})
	var f fault.Fault
	n := d.load(data, nil)
	if n == nil {
		if len(d.problems) == 0 {
			d.report(Problem{Line: 1, Column: 1, Message: "expected a fault, got nothing"}, nil)
		}
		return fault.Fault{}, d.problems.sorted()
	}
	d.at["fault"] = n
	d.item(reflect.ValueOf(&f).Elem(), n, "fault")
	d.checkFault(nil, &f, "fault")
	if len(d.problems) > 0 {
		return fault.Fault{}, d.problems.sorted()
	}
	return f, nil
}

// present reports whether a field of v is printed: what has neither a default
// nor a value means absent.
func present(v reflect.Value, f field) bool {
	to := v.Field(f.index)
	switch parent := v.Addr().Interface().(type) {
	case *fault.Fault:
		switch f.key {
		case "at":
			return parent.When == "" && parent.Windows == nil
		case "every", "for", "until", "probability":
			if parent.Windows != nil {
				return false
			}
		}
	case *fault.Planned:
		if f.key == "at" || f.key == "draw" {
			return true
		}
	case *Market:
		if len(parent.Files) > 0 {
			return f.key == "file"
		}
	case *Scoring:
		if f.key == "*" {
			return false // written key by key
		}
	}
	if f.def != "" || f.need {
		return true
	}
	if to.Kind() == reflect.Slice {
		return to.Len() > 0
	}
	return !to.IsZero()
}

// writeBlock writes a field on lines of its own.
func writeBlock(b *strings.Builder, v reflect.Value, f field, indent string) {
	if !present(v, f) {
		return
	}
	to := v.Field(f.index)
	switch {
	case to.Kind() == reflect.Slice && !isScalar(to.Type().Elem()):
		fmt.Fprintf(b, "%s%s:\n", indent, f.key)
		for i := range to.Len() {
			fmt.Fprintf(b, "%s  - %s\n", indent, flow(to.Index(i)))
		}
	case isScalar(to.Type()), to.Kind() == reflect.Slice:
		fmt.Fprintf(b, "%s%s: %s\n", indent, f.key, flow(to))
	default:
		fmt.Fprintf(b, "%s%s:\n", indent, f.key)
		for _, inner := range fieldsOf(to.Type()) {
			writeBlock(b, to, inner, indent+"  ")
		}
		if scoring, ok := to.Interface().(Scoring); ok {
			for _, c := range scoring.Coefficients {
				fmt.Fprintf(b, "%s  %s: %s\n", indent, c.Name, c.Value)
			}
		}
	}
}

// flow is a value on one line, without some of its keys where it has any.
func flow(v reflect.Value, without ...string) string {
	if isScalar(v.Type()) {
		text := formatValue(v)
		if v.Kind() == reflect.String {
			text = quote(text)
		}
		return text
	}
	var parts []string
	if v.Kind() == reflect.Slice {
		for i := range v.Len() {
			parts = append(parts, flow(v.Index(i), without...))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	fields := fieldsOf(v.Type())
	for _, f := range fields {
		to := v.Field(f.index)
		if f.of != "" {
			if text := flowParams(v, to, f, fields); text != "" {
				parts = append(parts, f.key+": "+text)
			}
		} else if present(v, f) && !slices.Contains(without, f.key) {
			parts = append(parts, f.key+": "+flow(to, impliedIn(v, f.key)...))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// impliedIn are the keys of the items of a value's list that the value itself
// tells: an event starts the window of a fault that has a when.
func impliedIn(v reflect.Value, key string) []string {
	if f, ok := v.Addr().Interface().(*fault.Fault); ok && key == "windows" && f.When != "" {
		return []string{"at"}
	}
	return nil
}

// flowParams writes the parameters that the sibling's value takes.
func flowParams(parent, v reflect.Value, f field, siblings []field) string {
	sibling, _ := find(siblings, f.of)
	list, _ := takes(sibling.form, parent.Field(sibling.index).String())
	var parts []string
	for _, p := range list {
		value := reflect.New(p.typ).Elem()
		switch {
		case v.Kind() == reflect.Map && v.Type().Elem().Kind() == reflect.String:
			text := v.MapIndex(reflect.ValueOf(p.key))
			if !text.IsValid() {
				continue
			}
			parts = append(parts, p.key+": "+quote(text.String()))
			continue
		case v.Kind() == reflect.Struct:
			value = v.Field(p.index)
		case value.Kind() == reflect.String:
			value = named(parent, p.key)
		default:
			fromNumber(value, v.MapIndex(reflect.ValueOf(p.key)).Float())
		}
		parts = append(parts, p.key+": "+flow(value))
	}
	if parts == nil {
		return ""
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// quote writes text so that YAML of any version reads it as text.
func quote(text string) string {
	plain := text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.#-") == "" &&
		(text[0] >= 'a' && text[0] <= 'z' || text[0] >= 'A' && text[0] <= 'Z')
	switch strings.ToLower(text) {
	case "null", "true", "false", "yes", "no", "on", "off", "y", "n":
		plain = false
	}
	if plain {
		return text
	}
	// The escapes of a Go string are a subset of those of double quotes in YAML,
	// for text that is valid UTF-8.
	return strconv.Quote(text)
}

// Describe is a few lines for people: what runs, for how long, who plays.
func (s *Scenario) Describe() string {
	var b strings.Builder
	b.WriteString(s.Name)
	if about := strings.TrimSpace(s.About); about != "" {
		b.WriteString(": " + about)
	}
	b.WriteByte('\n')
	length := "until the games end"
	if len(s.Market.Files) == 0 {
		length = formatDuration(s.Market.Span)
	}
	if s.Duration > 0 {
		length = formatDuration(s.Duration)
	}
	market := "made up:"
	for _, l := range s.Market.Leagues {
		market += " " + l.Name
	}
	if len(s.Market.Files) > 0 {
		market = strings.Join(s.Market.Files, ", ")
	}
	fmt.Fprintf(&b, "  runs        %s, seed %d, netuid %d, scoring %s\n", length, s.Seed, s.Netuid, s.Scoring.Scheme)
	fmt.Fprintf(&b, "  market      %s\n", market)
	for _, v := range s.Validators {
		fmt.Fprintf(&b, "  validator   %d %s\n", v.Count, v.Name)
	}
	for _, g := range s.Miners {
		fmt.Fprintf(&b, "  miners      %d %s\n", g.Count, g.Name)
	}
	for i := range s.Faults {
		f := &s.Faults[i]
		fmt.Fprintf(&b, "  fault       %s: %s of %s %s\n", f.Name, f.What, f.Target, happens(f))
	}
	for _, i := range s.Invariants.Disable {
		fmt.Fprintf(&b, "  not watched %s: %s\n", i.Name, i.Reason)
	}
	return b.String()
}

// happens says when a fault does, in words.
func happens(f *fault.Fault) string {
	at, length := f.At, f.For
	if n := len(f.Windows); n > 0 {
		at, length = f.Windows[0].At, f.Windows[0].For
		if n > 1 {
			return fmt.Sprintf("in %d windows, the first at %s and the last at %s", n, formatDuration(at), formatDuration(f.Windows[n-1].At))
		}
	}
	when := "at " + formatDuration(at)
	switch {
	case f.When != "":
		when = "when " + f.When
	case f.Every > 0:
		when += " and every " + formatDuration(f.Every)
	}
	if length > 0 {
		when += " for " + formatDuration(length)
	}
	if f.Until > 0 {
		when += " until " + formatDuration(f.Until)
	}
	if f.Windows == nil && f.Probability < 1 {
		when += ", with probability " + strconv.FormatFloat(f.Probability, 'g', -1, 64)
	}
	return when
}

// Field is one key of the format, for documentation and schemas.
type Field struct {
	Path    string // as in miners[].count
	Type    string // as messages name it
	Default string // in the file's form; "" for none
	Range   string // as in 0..1, or the values of a choice; "" for none
	Needed  bool
}

// Fields lists every key in the order of the format.
func Fields() []Field { return appendFields(nil, reflect.TypeFor[Scenario](), "") }

func appendFields(to []Field, t reflect.Type, prefix string) []Field {
	for _, f := range fieldsOf(t) {
		if f.key == "*" {
			continue
		}
		p := join(prefix, f.key)
		one := Field{Path: p, Type: noun(f.typ), Default: f.def, Range: f.bounds, Needed: f.need}
		if f.enum != nil {
			one.Range = strings.Join(f.enum, ", ")
		}
		to = append(to, one)
		inner := f.typ
		if inner.Kind() == reflect.Slice {
			inner, p = inner.Elem(), p+"[]"
		}
		if !isScalar(inner) && f.of == "" {
			to = appendFields(to, inner, p)
		}
	}
	return to
}

// FormatDuration writes a duration as scenario files do: 36h is 1d12h.
func FormatDuration(d time.Duration) string { return formatDuration(d) }

package scenario

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// spread is a range that a value is drawn from, in the file's form: LOW..HIGH, a
// single value, or words with | between.
type spread struct {
	typ       reflect.Type
	low, high float64  // on the line of numeric
	words     []string // of a choice of words
}

// spreadOf is the field that a form of a range stands for.
func spreadOf(form string) field {
	switch form {
	case "durations":
		return field{typ: durationType, bounds: "1s..3650d"}
	case "counts":
		return field{typ: reflect.TypeFor[int](), bounds: "0..60000"}
	}
	return field{typ: reflect.TypeFor[float64](), bounds: "0..1"}
}

// spelledSpread is what a range of the field looks like, for messages.
func (f field) spelledSpread() string {
	if f.enum != nil {
		return "one of " + strings.Join(f.enum, ", ") + ", or several with | between"
	}
	return spelledWithin(f) + ", or LOW..HIGH of two"
}

// parseSpread reads a range of values that each could stand in the field.
func parseSpread(text string, f field, block time.Duration) (spread, error) {
	s := spread{typ: f.typ}
	if f.typ.Kind() == reflect.String {
		for w := range strings.SplitSeq(text, "|") {
			if f.enum != nil && !slices.Contains(f.enum, w) || w == "" {
				return s, errForm
			}
			s.words = append(s.words, w)
		}
		return s, nil
	}
	low, high, two := strings.Cut(text, "..")
	if !two {
		high = low
	}
	for i, one := range []string{low, high} {
		v := reflect.New(f.typ).Elem()
		if err := parseValue(one, v, block); err != nil {
			return s, err
		}
		x, ordered := numeric(v)
		if least, most, ok := bounds(f, f.typ); !ordered && two || ok && (x < least || x > most) {
			return s, errForm
		}
		if !ordered { // true or false
			s.words = []string{one}
			return s, nil
		}
		*[]*float64{&s.low, &s.high}[i] = x
	}
	if s.low > s.high {
		return s, errForm
	}
	return s, nil
}

// draw is a value of the range in the file's form. Numbers are log-uniform, and uniform
// where the range begins at 0 or below; it draws once from rng, whatever the range is.
func (s *spread) draw(rng *rand.Rand) string {
	u := rng.Float64()
	if s.words != nil {
		return s.words[int(u*float64(len(s.words)))]
	}
	x := s.low + u*(s.high-s.low)
	if s.low > 0 {
		x = s.low * math.Exp(u*math.Log(s.high/s.low))
	}
	v := reflect.New(s.typ).Elem()
	switch {
	case s.typ == durationType:
		d := time.Duration(x)
		if s.low < s.high && d.Abs() > time.Millisecond {
			d = max(d.Truncate(time.Millisecond), time.Duration(s.low)) // for people to read
		}
		v.SetInt(int64(d))
	case v.CanInt():
		v.SetInt(int64(math.Round(x)))
	case v.CanUint():
		v.SetUint(uint64(math.Round(x)))
	case s.low < s.high:
		v.SetFloat(min(max(roundTo(x, 4), s.low), s.high))
	default:
		v.SetFloat(x)
	}
	return formatValue(v)
}

// roundTo keeps so many significant digits.
func roundTo(x float64, digits int) float64 {
	if x == 0 {
		return 0
	}
	scale := math.Pow(10, float64(digits)-math.Ceil(math.Log10(math.Abs(x))))
	return math.Round(x*scale) / scale
}

// spreads fills the parameters of a fault in the swarm, which are ranges.
func (d *decoder) spreads(to reflect.Value, takes []field, values map[string]*yaml.Node, path string) {
	for _, f := range takes {
		n := values[f.key]
		if n == nil {
			continue // the kind's default
		}
		p := join(path, f.key)
		d.at[p] = n
		text := n.Value
		if n.Kind != yaml.ScalarNode || isNull(n) {
			d.complain(n, p, "expected %s, got %s", f.spelledSpread(), got(n))
			continue
		}
		if _, err := parseSpread(text, f, d.block); err != nil {
			d.complain(n, p, "expected %s, got %s", f.spelledSpread(), got(n))
			continue
		}
		to.SetMapIndex(reflect.ValueOf(f.key), reflect.ValueOf(text))
	}
}

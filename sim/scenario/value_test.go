package scenario

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"bettensor/sim/fault"
)

func TestDuration(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		text string
		want time.Duration
		back string
	}{
		{"0s", 0, "0s"},
		{"30s", 30 * time.Second, "30s"},
		{"90m", 90 * time.Minute, "1h30m"},
		{"36h", 36 * time.Hour, "1d12h"},
		{"1w2d3h4m5s6ms7us8ns", 9*day + 3*time.Hour + 4*time.Minute + 5*time.Second + 6007008, "1w2d3h4m5s6ms7us8ns"},
		{"1.5d", 36 * time.Hour, "1d12h"},
		{"0.000000001s", 1, "1ns"},
		{"1.5ms", 1500 * time.Microsecond, "1ms500us"},
		{"7µs", 7 * time.Microsecond, "7us"},
		{"-5m", -5 * time.Minute, "-5m"},
		{"10blk", 2 * time.Minute, "2m"},
		{"1h10blk", time.Hour + 2*time.Minute, "1h2m"},
		{"9223372036854775807ns", math.MaxInt64, "15250w1d23h47m16s854ms775us807ns"},
	} {
		got, err := parseDuration(tt.text, 12*time.Second)
		if err != nil || got != tt.want || formatDuration(got) != tt.back {
			t.Errorf("%s is %v, %s, %v", tt.text, got, formatDuration(got), err)
		}
	}
	for _, text := range []string{
		"", "5", "0", "-", "s", "5x", "5 m", "5m ", ".s", "1.s", "1..5s", "--5s", "1h-5m", "1e3s", "1.5blk", "15251w",
		"9223372036854775807ns1ns", "99999999999999999999s", "1.0000000001s", "∞s",
	} {
		if got, err := parseDuration(text, 12*time.Second); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	if _, err := parseDuration("1blk", 0); err == nil {
		t.Error("blk has a meaning without a block time")
	}
}

func TestValuesPrintBack(t *testing.T) {
	types := []reflect.Type{durationType, raoType, centsType, bytesType, reflect.TypeFor[float64](), reflect.TypeFor[int](), reflect.TypeFor[uint64]()}
	rapid.Check(t, func(t *rapid.T) {
		v := reflect.New(rapid.SampledFrom(types).Draw(t, "type")).Elem()
		n := rapid.Int64Range(0, math.MaxInt64).Draw(t, "n")
		switch {
		case v.Kind() == reflect.Float64:
			v.SetFloat(rapid.Float64Range(-1e300, 1e300).Draw(t, "x"))
		case v.CanInt():
			v.SetInt(n)
		default:
			v.SetUint(uint64(n))
		}
		again := reflect.New(v.Type()).Elem()
		if err := parseValue(formatValue(v), again, 0); err != nil || !again.Equal(v) {
			t.Fatalf("%v of %s prints as %s and reads as %v, %v", v, v.Type(), formatValue(v), again, err)
		}
	})
}

func TestDecimal(t *testing.T) {
	for _, tt := range []struct {
		text   string
		places int
		want   int64
		back   string
	}{
		{"12.5", 2, 1250, "12.5"}, {"12.50", 2, 1250, "12.5"}, {"12", 2, 1200, "12"}, {"0.01", 2, 1, "0.01"},
		{"-0.5", 2, -50, "-0.5"}, {"21000000", 9, 21_000_000_000_000_000, "21000000"}, {"0.000000001", 9, 1, "0.000000001"},
	} {
		got, err := parseDecimal(tt.text, tt.places)
		if err != nil || got != tt.want || formatDecimal(got, tt.places) != tt.back {
			t.Errorf("%s is %d, %s, %v", tt.text, got, formatDecimal(got, tt.places), err)
		}
	}
	for _, text := range []string{"", ".", ".5", "5.", "1.234", "1e3", "+1", "1_0", "$1", "99999999999999999999"} {
		if got, err := parseDecimal(text, 2); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]Bytes{"0B": 0, "64kB": 64000, "1MiB": 1 << 20, "3KiB": 3072, "1TB": 1e12} {
		if got, err := parseBytes(text); err != nil || got != want || formatBytes(got) != text {
			t.Errorf("%s is %d, %s, %v", text, got, formatBytes(got), err)
		}
	}
	for _, text := range []string{"", "5", "B", "1.5MB", "-1B", "1kb", "9999999TiB"} {
		if got, err := parseBytes(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
}

func TestTime(t *testing.T) {
	for text, back := range map[string]string{
		"2024-08-16":                  "2024-08-16",
		"2024-08-16T00:00:00Z":        "2024-08-16",
		"2024-08-16T21:00:00+02:00":   "2024-08-16T19:00:00Z",
		"2024-08-16T19:00:00.000001Z": "2024-08-16T19:00:00.000001Z",
	} {
		if got, err := parseTime(text); err != nil || formatTime(got) != back {
			t.Errorf("%s is %s, %v", text, formatTime(got), err)
		}
	}
	for _, text := range []string{"", "today", "2024-02-30", "2024-08-16 19:00", "1969-01-01", "3000-01-01", "16.8.2024"} {
		if got, err := parseTime(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestNearest(t *testing.T) {
	for _, tt := range []struct{ word, want string }{
		{"minners", "miners"}, {"att", "at"}, {"SEED", "seed"}, {"chian", "chain"}, {"xyz", ""}, {"x", ""}, {"", ""},
	} {
		got, _ := nearest(tt.word, []string{"seed", "miners", "at", "chain"})
		if got != tt.want {
			t.Errorf("%q is near %q, want %q", tt.word, got, tt.want)
		}
	}
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "abd", 1}, {"kitten", "sitting", 3}} {
		if got := distance(tt.a, tt.b); got != tt.want || distance(tt.b, tt.a) != got {
			t.Errorf("%q to %q: %d", tt.a, tt.b, got)
		}
	}
}

// TestSchema: every tag of the schema is understood, and every default is
// within its own range.
func TestSchema(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	check := func(f field, where string) {
		if !isScalar(f.typ) {
			return
		}
		v := reflect.New(f.typ).Elem()
		if f.def != "" && f.def[0] != '=' {
			mustParse(f.def, v)
			if low, high, ok := bounds(f, f.typ); ok {
				if x, _ := numeric(v); x < low || x > high {
					t.Errorf("%s.%s: the default %s is not in %s", where, f.key, f.def, f.bounds)
				}
			}
		}
		if f.need && f.def != "" {
			t.Errorf("%s.%s is needed and has a default", where, f.key)
		}
	}
	walk = func(typ reflect.Type) {
		if typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if isScalar(typ) || typ.Kind() != reflect.Struct || seen[typ] {
			return
		}
		seen[typ] = true
		names := map[string]bool{}
		for _, f := range fieldsOf(typ) {
			if names[f.key] {
				t.Errorf("%s has two keys %s", typ, f.key)
			}
			names[f.key] = true
			check(f, typ.String())
			walk(f.typ)
		}
	}
	walk(reflect.TypeFor[Scenario]())
	for _, form := range []string{"kind", "fault"} {
		for _, name := range kindNames(form) {
			list, ok := takes(form, name)
			if !ok {
				t.Errorf("%s is no %s", name, form)
			}
			for _, f := range list {
				if f.key == "" || f.def == "" && f.key != "leader" {
					t.Errorf("%s: the parameter %q has no default or is none of fault.Params", name, f.key)
				}
				check(f, name)
			}
		}
	}
	if len(seen) < 12 {
		t.Errorf("only %d types were seen", len(seen))
	}
	for i := range reflect.TypeFor[fault.Params]().NumField() {
		key := reflect.TypeFor[fault.Params]().Field(i).Tag.Get("key")
		used := false
		for _, k := range fault.Kinds() {
			for _, p := range k.Params {
				used = used || p.Key == key
			}
		}
		if !used {
			t.Errorf("no kind of fault takes %s", key)
		}
	}
}

// TestSpreadAcrossZero: a range that begins below 0 is drawn from uniformly, on both
// sides.
func TestSpreadAcrossZero(t *testing.T) {
	s, err := parseSpread("-1h..1h", field{typ: durationType, bounds: "-1d..1d"}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	rng, behind := rand.New(rand.NewPCG(1, 2)), 0
	for range 1000 {
		d, err := time.ParseDuration(s.draw(rng))
		if err != nil || d.Abs() > time.Hour {
			t.Fatalf("%s, %v", d, err)
		}
		if d < 0 {
			behind++
		}
	}
	if behind < 400 || behind > 600 {
		t.Errorf("%d of 1000 below 0", behind)
	}
}

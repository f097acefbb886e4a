package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"bettensor/node/chain"

	"pgregory.net/rapid"
)

func TestCanonicalVectors(t *testing.T) {
	type vector struct {
		Received, Value string
		ValueJSON       string `json:"value_json"`
		Canonical       string
		CanonicalHex    string `json:"canonical_hex"`
		Signer          chain.Hotkey
		Signature       string
	}
	var received, values struct{ Cases []vector }
	vectors(t, &received, "wire", "canonical.json")
	vectors(t, &values, "wire", "ws_canonical_json.json")
	if len(received.Cases) < 7 || len(values.Cases) < 6 {
		t.Fatalf("%d and %d cases", len(received.Cases), len(values.Cases))
	}
	var v Sr25519Verifier
	for _, c := range append(received.Cases, values.Cases...) {
		in := c.Received + c.ValueJSON
		got, err := Canonical([]byte("prefix"), []byte(in))
		if err != nil || string(got) != "prefix"+c.Canonical {
			t.Errorf("%s:\n got %s, %v\nwant %s", in, got, err, c.Canonical)
			continue
		}
		got = got[len("prefix"):]
		if c.CanonicalHex != "" && hex.EncodeToString(got) != c.CanonicalHex {
			t.Errorf("%s: bytes %x", in, got)
		}
		if c.Signature != "" && !v.Verify(c.Signer, got, unhex(t, c.Signature)) {
			t.Errorf("%s: the peer's signature is not over what we make of it", in)
		}
	}
}

func TestCanonicalRules(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
		err            error
	}{
		{"white space goes", " [ 1 ,\t2 ]\r\n", "[1, 2]", nil},
		{"keys by code point, not by UTF-16", `{"\ud83d\ude00":1,"\uffff":2}`, `{"\uffff": 2, "\ud83d\ude00": 1}`, nil},
		{"keys by value, not by spelling", `{"b":1,"\u0061":2}`, `{"a": 2, "b": 1}`, nil},
		{"nested keys too", `[{"b":{"d":1,"c":2},"a":3}]`, `[{"a": 3, "b": {"c": 2, "d": 1}}]`, nil},
		{"integers as they are", `[123456789012345678901234567890, -0, 0]`, `[123456789012345678901234567890, 0, 0]`, nil},
		{"floats shortest", `[1.0, 1e0, 0.00010, 0.00001, 1E15, 1e16, 123456789.125, -0.0, 1.50, 5e-324, 1e-400]`,
			`[1.0, 1.0, 0.0001, 1e-05, 1000000000000000.0, 1e+16, 123456789.125, -0.0, 1.5, 5e-324, 0.0]`, nil},
		{"slash as it is, DEL escaped", `"\/` + "\x7f" + `"`, `"/\u007f"`, nil},
		{"short escapes", `"\u0008\u000c\u000a\u000d\u0009\u0022\u005c\u001f"`, `"\b\f\n\r\t\"\\\u001f"`, nil},
		{"upper-case hex becomes lower", `"\u00E9é"`, `"\u00e9\u00e9"`, nil},
		{"a scalar", `null`, `null`, nil},
		{"NaN", `[NaN]`, "", ErrJSON},
		{"out of range", `[1e400]`, "", ErrJSON},
		{"duplicate key", `{"a":1,"b":2,"a":3}`, "", ErrJSON},
		{"duplicate neighbours", `{"a":1,"a":1}`, "", ErrJSON},
		{"unpaired low", `"\udc00"`, "", ErrJSON},
		{"high without low", `"\ud800\u0041"`, "", ErrJSON},
		{"trailing comma", `[1,]`, "", ErrJSON},
		{"trailing comma in object", `{"a":1,}`, "", ErrJSON},
		{"nothing", ``, "", ErrJSON},
		{"byte order mark", "\ufeff1", "", ErrJSON},
		{"plus sign", `+1`, "", ErrJSON},
		{"bare fraction", `.5`, "", ErrJSON},
		{"no digits after the point", `1.`, "", ErrJSON},
		{"too deep", strings.Repeat("[", 65) + strings.Repeat("]", 65), "", ErrLimit},
	} {
		got, err := Canonical(nil, []byte(c.in))
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) || string(got) != c.want {
			t.Errorf("%s: %s gives %s, %v; want %s, %v", c.name, c.in, got, err, c.want, c.err)
		}
	}
}

// Python's repr by the book: shortest digits, exponent form outside 1e-4..1e16.
func slowFloat(v float64) string {
	if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func TestFloatsAreShortest(t *testing.T) {
	check := func(v float64) bool { return string(appendFloat(nil, v)) == slowFloat(v) }
	for i := range 200_000 { // all prices to four decimals up to 20
		if v := float64(i) / 1e4; !check(v) {
			t.Fatalf("%v: %s", v, appendFloat(nil, v))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.OneOf(
			rapid.Float64().Filter(func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }),
			rapid.Map(rapid.Int64(), func(i int64) float64 { return float64(i) / 1e4 }),
			rapid.Map(rapid.Int64Range(0, 1e12), func(i int64) float64 { return math.Nextafter(float64(i)/100, math.Inf(1)) }),
		).Draw(t, "v")
		if !check(v) {
			t.Fatalf("%v: %s, want %s", v, appendFloat(nil, v), slowFloat(v))
		}
	})
}

// tree reads a whole value with the cursor, as encoding/json would.
func tree(c *cursor) any {
	switch ch := c.peek(); {
	case ch == '"':
		return string(c.text(c.maxText))
	case ch == '{':
		m := map[string]any{}
		o := c.object()
		for c.member(&o) {
			key := string(o.key)
			m[key] = tree(c)
		}
		return m
	case ch == '[':
		l := []any{}
		c.array()
		for n := 0; c.element(n); n++ {
			l = append(l, tree(c))
		}
		return l
	case ch == '-' || ch-'0' <= 9:
		return c.float()
	case ch == 't' && c.word("true"):
		return true
	case ch == 'f' && c.word("false"):
		return false
	case c.null():
		return nil
	}
	c.fail(ErrJSON)
	return nil
}

var fuzzLimits = func() Limits {
	var l Limits
	l.fill()
	return l
}()

// What the strict reader takes, encoding/json takes with equal values. What it
// refuses although it is JSON, it refuses for a reason that can be named.
func FuzzStrictReader(f *testing.F) {
	for _, s := range []string{
		`{"a": [1, 2.5, -0.0, 1e-7], "b": {"c": null, "d": true, "é": "\u00e9\ud83d\ude00"}}`, `"\ud800"`, `{"a":1,"a":2}`,
		`[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]`, "\"\xff\"", `1e999`, `-`, `01`, `tru`, `{"a"}`, `[1 2]`, "\"\x01\"", `{,}`, `[,]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var c cursor
		c.reset(in, &fuzzLimits)
		got := tree(&c)
		c.end()

		var skipped cursor
		skipped.reset(in, &fuzzLimits)
		skipped.skip()
		skipped.end()
		if skipped.err != c.err {
			t.Fatalf("%q: read %v, skipped %v", in, c.err, skipped.err)
		}
		var want any
		err := json.Unmarshal(in, &want)
		switch {
		case c.err == 0 && err != nil:
			t.Fatalf("took %q, which encoding/json refuses: %v", in, err)
		case c.err == 0 && !reflect.DeepEqual(got, want):
			t.Fatalf("%q: read %#v, encoding/json %#v", in, got, want)
		case c.err == ErrJSON && err == nil:
			text, err := json.Marshal(want) // without duplicates and replacements it must be taken
			if err != nil || bytes.Contains(text, []byte(`\ufffd`)) || bytes.Contains(text, []byte("\ufffd")) {
				return
			}
			if n := bytes.Count(in, []byte(`:`)); n < 2 {
				t.Fatalf("refused %q", in)
			}
		}
	})
}

// The canonical form is its own canonical form, and means the same.
func FuzzCanonical(f *testing.F) {
	f.Add([]byte(`{"b": [1, 2.50, "\u00e9"], "a": {"d": 1e22, "c": -0}}`))
	f.Add([]byte(`{"\ud83d\ude00": 1, "\uffff": 2}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		once, err := Canonical(nil, in)
		if err != nil {
			return
		}
		twice, err := Canonical(nil, once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%q gives %q, which gives %q, %v", in, once, twice, err)
		}
		var a, b any
		if err := json.Unmarshal(in, &a); err != nil {
			if huge := (*json.UnmarshalTypeError)(nil); errors.As(err, &huge) {
				return // an integer beyond a float's range: Python's have no end, and ours follow them
			}
			t.Fatalf("took %q: %v", in, err)
		}
		if err := json.Unmarshal(once, &b); err != nil || !reflect.DeepEqual(a, b) {
			t.Fatalf("%q means %v, its canonical form %q %v: %v", in, a, once, b, err)
		}
		for _, ch := range once {
			if ch < 0x20 || ch > 0x7e {
				t.Fatalf("%q is not plain ASCII", once)
			}
		}
	})
}

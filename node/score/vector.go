package score

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// maxVectorBytes bounds a vector file: sixty days of 256 miners are a tenth of
// it.
const maxVectorBytes = 64 << 20

// value is a place in a decoded JSON file, with the path that leads to it.
type value struct {
	path string // "" for the root
	v    any
}

// malformed is ErrMalformed at a JSON path.
func malformed(path, format string, args ...any) error {
	if path == "" {
		path = "(root)"
	}
	return fmt.Errorf("%w: %s: %s", ErrMalformed, path, fmt.Sprintf(format, args...))
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// readVector reads and decodes a whole file.
func readVector(path string, r io.Reader) (value, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxVectorBytes+1))
	if err != nil {
		return value{}, fmt.Errorf("%w: %s: %w", ErrUnreadable, path, err)
	}
	if len(data) > maxVectorBytes {
		return value{}, fmt.Errorf("%w: %s: longer than %d bytes", ErrUnreadable, path, maxVectorBytes)
	}
	if i := invalidUTF8(data); i >= 0 {
		return value{}, fmt.Errorf("%s:%s: %w: not UTF-8", path, lineColumn(data, i), ErrMalformed)
	}
	// Decoder, not Unmarshal, for its numbers kept as text: 1e999 must be
	// refused where it stands, not turned into something else.
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		at := len(data)
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			at = int(syntax.Offset) - 1
		}
		return value{}, fmt.Errorf("%s:%s: %w: %v", path, lineColumn(data, at), ErrMalformed, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return value{}, fmt.Errorf("%s:%s: %w: more after the end of the JSON value", path, lineColumn(data, int(dec.InputOffset())), ErrMalformed)
	}
	return value{v: v}, nil
}

// invalidUTF8 is the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// lineColumn is the place of a byte as people count, in the form line:column.
func lineColumn(data []byte, at int) string {
	before := data[:min(max(at, 0), len(data))]
	line := bytes.Count(before, []byte{'\n'}) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return strconv.Itoa(line) + ":" + strconv.Itoa(column)
}

// wrong is the error of a value that is not what it should be.
func (v value) wrong(want string) error {
	got := "null"
	switch x := v.v.(type) {
	case map[string]any:
		got = "an object"
	case []any:
		got = "a list"
	case string:
		got = strconv.Quote(x)
	case json.Number:
		got = x.String()
	case bool:
		got = strconv.FormatBool(x)
	}
	if len(got) > 80 {
		got = got[:80] + "…"
	}
	return malformed(v.path, "want %s, got %s", want, got)
}

// has reports whether an object has a key.
func (v value) has(key string) bool {
	m, _ := v.v.(map[string]any)
	_, ok := m[key]
	return ok
}

// keys of an object, sorted.
func (v value) keys() []string {
	m, _ := v.v.(map[string]any)
	ks := make([]string, 0, len(m))
	for k := range m {
		ks = append(ks, k)
	}
	slices.Sort(ks)
	return ks
}

// at is the value under a key.
func (v value) at(key string) (value, error) {
	m, ok := v.v.(map[string]any)
	if !ok {
		return value{}, v.wrong("an object")
	}
	x, ok := m[key]
	if !ok {
		return value{}, malformed(join(v.path, key), "missing")
	}
	return value{join(v.path, key), x}, nil
}

func (v value) object(key string) (value, error) {
	x, err := v.at(key)
	if err != nil {
		return value{}, err
	}
	if _, ok := x.v.(map[string]any); !ok {
		return value{}, x.wrong("an object")
	}
	return x, nil
}

func (v value) text(key string) (string, error) {
	x, err := v.at(key)
	if err != nil {
		return "", err
	}
	s, ok := x.v.(string)
	if !ok {
		return "", x.wrong("text")
	}
	return s, nil
}

func (v value) number(key string) (float64, error) {
	x, err := v.at(key)
	if err != nil {
		return 0, err
	}
	return x.float(math.Inf(-1))
}

func (v value) whole(key string, lo, hi int) (int, error) {
	x, err := v.at(key)
	if err != nil {
		return 0, err
	}
	return x.integer(lo, hi)
}

func (v value) list(key string) ([]value, error) {
	x, err := v.at(key)
	if err != nil {
		return nil, err
	}
	return x.items(-1)
}

// numbers is a list of n numbers under a key.
func (v value) numbers(key string, n int) ([]float64, error) {
	x, err := v.at(key)
	if err != nil {
		return nil, err
	}
	return x.floats(n)
}

// maxClosingOdds is far above any price that was ever quoted; more is damage.
const maxClosingOdds = 1e6

// closingOdds is a game's closing odds under a key, by outcome. 0 is for an
// outcome that the game cannot have, or whose odds are unknown. The core takes
// anything from 0 down for that; a file that holds it is mistaken.
func (v value) closingOdds(key string) (odds [3]float64, err error) {
	list, err := v.list(key)
	if err != nil {
		return odds, err
	}
	if len(list) != len(odds) {
		return odds, malformed(join(v.path, key), "want %d values, got %d", len(odds), len(list))
	}
	for i, x := range list {
		if odds[i], err = x.price(); err != nil {
			return odds, err
		}
	}
	return odds, nil
}

// price is the closing odds of one outcome.
func (v value) price() (float64, error) {
	x, err := v.float(math.Inf(-1))
	if err == nil && x != 0 && !(x >= 1 && x <= maxClosingOdds) {
		err = v.wrong(fmt.Sprintf("closing odds from 1 to %v, or 0", maxClosingOdds))
	}
	return x, err
}

// legacyRows is a legacy table under a key: rows of a game's id and its closing
// odds by outcome.
func (v value) legacyRows(key string) ([][4]float64, error) {
	list, err := v.list(key)
	if err != nil {
		return nil, err
	}
	rows := make([][4]float64, len(list))
	for i, x := range list {
		cells, err := x.items(4)
		if err != nil {
			return nil, err
		}
		if rows[i][0], err = cells[0].float(math.Inf(-1)); err != nil {
			return nil, err
		}
		for o, cell := range cells[1:] {
			if rows[i][1+o], err = cell.price(); err != nil {
				return nil, err
			}
		}
	}
	return rows, nil
}

// items of a list of n values; -1 for any number.
func (v value) items(n int) ([]value, error) {
	list, ok := v.v.([]any)
	if !ok {
		return nil, v.wrong("a list")
	}
	if n >= 0 && len(list) != n {
		return nil, malformed(v.path, "want %d values, got %d", n, len(list))
	}
	out := make([]value, len(list))
	for i, x := range list {
		out[i] = value{index(v.path, i), x}
	}
	return out, nil
}

func (v value) floats(n int) ([]float64, error) {
	list, err := v.items(n)
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(list))
	for i, x := range list {
		if out[i], err = x.float(math.Inf(-1)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// float is a finite number from lo up.
func (v value) float(lo float64) (float64, error) {
	n, ok := v.v.(json.Number)
	if !ok {
		return 0, v.wrong("a number")
	}
	x, err := n.Float64()
	if err != nil || !finite(x) {
		return 0, v.wrong("a finite number")
	}
	if x < lo {
		return 0, v.wrong(fmt.Sprintf("a number from %v up", lo))
	}
	return x, nil
}

// integer is a whole number in [lo, hi]; 3.0 is whole.
func (v value) integer(lo, hi int) (int, error) {
	x, err := v.float(math.Inf(-1))
	if err != nil {
		return 0, err
	}
	if x != math.Trunc(x) || x < float64(lo) || x > float64(hi) {
		return 0, v.wrong(fmt.Sprintf("a whole number from %d to %d", lo, hi))
	}
	return int(x), nil
}

// gameID is an id as the keys of objects spell it; 1003.0 is "1003".
func (v value) gameID() (string, error) {
	if s, ok := v.v.(string); ok {
		return s, nil
	}
	x, err := v.float(0)
	if err != nil {
		return "", err
	}
	const exact = 1 << 53 // above it, neighbouring ids share a float
	if x != math.Trunc(x) || x > exact {
		return "", v.wrong("a whole number")
	}
	return strconv.FormatInt(int64(x), 10), nil
}

// time is an instant in ISO form; without an offset it is UTC.
func (v value) time() (time.Time, error) {
	s, ok := v.v.(string)
	if !ok {
		return time.Time{}, v.wrong("a time")
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, v.wrong("a time such as 2025-03-01T00:02:32+00:00")
}

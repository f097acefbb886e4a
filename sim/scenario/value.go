package scenario

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/sim/fault"
)

// Scalars that have a form of their own in a file.
var (
	durationType = reflect.TypeFor[time.Duration]()
	timeType     = reflect.TypeFor[time.Time]()
	raoType      = reflect.TypeFor[chain.Rao]()
	centsType    = reflect.TypeFor[bet.Cents]()
	bytesType    = reflect.TypeFor[Bytes]()
)

// isScalar reports whether a type is one value in a file.
func isScalar(t reflect.Type) bool {
	return t == timeType || t.Kind() != reflect.Struct && t.Kind() != reflect.Slice && t.Kind() != reflect.Map
}

// hasForm reports whether a type's text is neither a plain number nor a truth
// value, so that quotes around it change nothing.
func hasForm(t reflect.Type) bool {
	return t == durationType || t == timeType || t == raoType || t == centsType || t == bytesType
}

// maxName is the longest name of anything: names are printed in tables.
const maxName = 64

// maxText is the longest text, such as a reason.
const maxText = 4096

// errForm is text that does not have the form of its type.
var errForm = errors.New("wrong form")

// parseValue reads the text of a scalar into v. block is what blk means; 0 refuses it.
func parseValue(text string, v reflect.Value, block time.Duration) error {
	switch v.Type() {
	case durationType:
		d, err := parseDuration(text, block)
		v.SetInt(int64(d))
		return err
	case timeType:
		t, err := parseTime(text)
		v.Set(reflect.ValueOf(t))
		return err
	case raoType:
		n, err := parseDecimal(text, 9)
		if n < 0 {
			return errForm
		}
		v.SetUint(uint64(n))
		return err
	case centsType:
		n, err := parseDecimal(strings.TrimPrefix(text, "$"), 2)
		v.SetInt(n)
		return err
	case bytesType:
		n, err := parseBytes(text)
		v.SetInt(int64(n))
		return err
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return errForm
		}
		v.SetBool(text == "true")
	case reflect.Float64:
		f, err := parseFloat(text)
		v.SetFloat(f)
		return err
	case reflect.Int:
		n, err := strconv.ParseInt(text, 10, 64)
		// Only one spelling: YAML versions read 010 and 1_000 differently.
		if err != nil || strconv.FormatInt(n, 10) != text {
			return errForm
		}
		v.SetInt(n)
	case reflect.Uint16, reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, v.Type().Bits())
		if err != nil || strconv.FormatUint(n, 10) != text {
			return errForm
		}
		v.SetUint(n)
	default:
		panic("scenario: no form for " + v.Type().String())
	}
	return nil
}

// formatValue is the text that parseValue reads back into v.
func formatValue(v reflect.Value) string {
	switch v.Type() {
	case durationType:
		return formatDuration(time.Duration(v.Int()))
	case timeType:
		return formatTime(v.Interface().(time.Time))
	case raoType:
		return formatDecimal(int64(v.Uint()), 9)
	case centsType:
		return "$" + formatDecimal(v.Int(), 2)
	case bytesType:
		return formatBytes(Bytes(v.Int()))
	}
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case reflect.Int:
		return strconv.FormatInt(v.Int(), 10)
	}
	return strconv.FormatUint(v.Uint(), 10)
}

// numeric is v on a line, to compare it with a range; ok is false for what has no order.
func numeric(v reflect.Value) (n float64, ok bool) {
	switch v.Kind() {
	case reflect.Float64:
		return v.Float(), true
	case reflect.Int, reflect.Int64:
		return float64(v.Int()), true
	case reflect.Uint16, reflect.Uint64:
		return float64(v.Uint()), true
	}
	return 0, false
}

// noun is what a type is called in a message.
func noun(t reflect.Type) string {
	switch t {
	case durationType:
		return "a duration"
	case timeType:
		return "a time"
	case raoType:
		return "an amount of TAO"
	case centsType:
		return "an amount of dollars"
	case bytesType:
		return "an amount of data"
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float64:
		return "a number"
	case reflect.Struct, reflect.Map:
		return "keys with values"
	case reflect.Slice:
		return "a list"
	}
	return "a whole number"
}

// spelled is noun with the form, for what has a form of its own.
func spelled(t reflect.Type) string {
	switch t {
	case durationType:
		return "a duration with a unit, such as 30s, 5m, 2h, 1d, 1w or 10blk"
	case timeType:
		return "a time such as 2024-08-16 or 2024-08-16T19:00:00Z"
	case raoType:
		return "an amount of TAO, such as 1000 or 0.5"
	case centsType:
		return "an amount of dollars, such as $12.50 or 12.5"
	case bytesType:
		return "an amount of data with a unit, such as 64kB, 1MB or 1MiB"
	}
	if t.Kind() == reflect.Float64 {
		return "a finite number"
	}
	return noun(t)
}

// units of durations, longest first. Weeks and days are of fixed length.
var units = []struct {
	name string
	size time.Duration
}{
	{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute},
	{"s", time.Second}, {"ms", time.Millisecond}, {"us", time.Microsecond}, {"ns", 1},
}

// parseDuration reads a sequence of numbers with units: those of Go, d, w, and
// blk for block. A number without unit has no meaning, and neither has "".
func parseDuration(text string, block time.Duration) (time.Duration, error) {
	rest, negative := strings.CutPrefix(text, "-")
	if rest == "" || len(rest) > maxName {
		return 0, errForm
	}
	var sum time.Duration
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789."))
		letters := len(rest[digits:]) - len(strings.TrimLeft(rest[digits:], "abcdefghijklmnopqrstuvwxyzµμ"))
		number, unit := rest[:digits], rest[digits:digits+letters]
		if digits == 0 || letters == 0 {
			return 0, errForm
		}
		rest = rest[digits+letters:]

		size := time.Duration(0)
		switch {
		case unit == "blk" && block > 0 && !strings.Contains(number, "."):
			size = block
		case unit == "µs" || unit == "μs":
			size = time.Microsecond
		default:
			for _, u := range units {
				if u.name == unit {
					size = u.size
				}
			}
		}
		if size == 0 {
			return 0, errForm
		}
		wholeText, fractionText, point := strings.Cut(number, ".")
		whole, err := strconv.ParseInt(wholeText, 10, 64)
		fraction, err2 := int64(0), error(nil)
		if point {
			fraction, err2 = parseDecimal("0."+fractionText, 9)
		}
		if err != nil || err2 != nil {
			return 0, errForm
		}
		// Units from a second up are whole seconds and those below are small, so
		// that neither product overflows. A block takes no fraction.
		part := time.Duration(fraction) * (size / time.Second)
		if size < time.Second {
			part = time.Duration(fraction) * size / time.Second
		}
		if whole > int64((math.MaxInt64-sum-part)/size) {
			return 0, errForm
		}
		sum += time.Duration(whole)*size + part
	}
	if negative {
		sum = -sum
	}
	return sum, nil
}

// formatDuration uses the largest units and no fraction: 1w2d, 36h is 1d12h.
func formatDuration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	var b strings.Builder
	if d < 0 {
		b.WriteByte('-')
		d = -d
	}
	for _, u := range units {
		if n := d / u.size; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10))
			b.WriteString(u.name)
			d -= n * u.size
		}
	}
	return b.String()
}

// Years that a run may lie in. Within them a time fits int64 nanoseconds.
const (
	yearMin = 1980
	yearMax = 2200
)

func parseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		t, err = time.Parse(time.RFC3339Nano, text)
	}
	t = t.UTC()
	if err != nil || t.Year() < yearMin || t.Year() > yearMax {
		return time.Time{}, errForm
	}
	return t, nil
}

func formatTime(t time.Time) string {
	t = t.UTC()
	if t.Equal(t.Truncate(24 * time.Hour)) {
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339Nano)
}

// parseDecimal reads a decimal number exactly, as an integer of its last
// decimal place. Money never passes through a float.
func parseDecimal(text string, places int) (int64, error) {
	rest, negative := strings.CutPrefix(text, "-")
	whole, fraction, point := strings.Cut(rest, ".")
	if len(fraction) > places || whole == "" || point && fraction == "" {
		return 0, errForm
	}
	digits := whole + fraction + strings.Repeat("0", places-len(fraction))
	if strings.Trim(digits, "0123456789") != "" {
		return 0, errForm
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, errForm
	}
	if negative {
		n = -n
	}
	return n, nil
}

// formatDecimal is the shortest text that parseDecimal reads as n.
func formatDecimal(n int64, places int) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	digits := fmt.Sprintf("%0*d", places+1, n)
	whole, fraction := digits[:len(digits)-places], digits[len(digits)-places:]
	fraction = strings.TrimRight(fraction, "0")
	if fraction == "" {
		return sign + whole
	}
	return sign + whole + "." + fraction
}

// parseFloat reads a finite number in digits, without the words and the hex
// and underscored forms that strconv and YAML know.
func parseFloat(text string) (float64, error) {
	if strings.Trim(text, "+-.0123456789eE") != "" {
		return 0, errForm
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return 0, errForm
	}
	return f, nil
}

// byteUnits are longest first within each base.
var byteUnits = []struct {
	name string
	size Bytes
}{
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3},
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"B", 1},
}

func parseBytes(text string) (Bytes, error) {
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	n, err := strconv.ParseInt(text[:digits], 10, 64)
	if err != nil {
		return 0, errForm
	}
	for _, u := range byteUnits {
		if u.name == text[digits:] && n <= math.MaxInt64/int64(u.size) {
			return Bytes(n) * u.size, nil
		}
	}
	return 0, errForm
}

func formatBytes(n Bytes) string {
	for _, u := range byteUnits {
		if n != 0 && n%u.size == 0 {
			return strconv.FormatInt(int64(n/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(n), 10) + "B"
}

// isName reports whether text names something: it starts with a letter, so that
// a number in a path is always an index, and holds no dot, so that paths split.
func isName(text string) bool {
	if text == "" || len(text) > maxName {
		return false
	}
	for i := range len(text) {
		c := text[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '_' && c != '-') {
			return false
		}
	}
	return true
}

// isSnake reports whether text is a snake_case name.
func isSnake(text string) bool {
	return isName(text) && strings.ToLower(text) == text && !strings.Contains(text, "-")
}

// form checks text against the form of a field; want is the message's noun.
func form(kind, text string) (want string, ok bool) {
	switch kind {
	case "name":
		return "a name of letters, digits, _ and -, starting with a letter", isName(text)
	case "target":
		_, err := fault.ParseTarget(text)
		return strings.TrimPrefix(fault.ErrTarget.Error(), "expected "), err == nil
	case "when":
		f := fault.Fault{When: text}
		_, _, ok := f.Trigger()
		return "an event and which one, such as weights_set#3", ok
	case "durations", "counts", "shares":
		_, err := parseSpread(text, spreadOf(kind), time.Second)
		return spreadOf(kind).spelledSpread(), err == nil
	case "metric": // its mistakes are told by checkThreshold, with their columns
		return "a metric with labels, such as reward_share{group:NAME}", len(text) <= maxText
	case "conditions":
		return "a condition such as value<0.05 or p(99)<2s", len(text) <= maxText
	case "comparison":
		return "a comparison such as roi{kind:sharp} > roi{kind:random}", len(text) <= maxText
	case "property":
		return "the name of a property", isSnake(text)
	}
	return "text of at most 4096 bytes", len(text) <= maxText
}

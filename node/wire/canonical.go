package wire

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// canonicalLimits bound Canonical: Python's own limits where it has them
// (4,300 digits of an integer), a depth that no honest text reaches.
var canonicalLimits = Limits{Depth: 64, Text: math.MaxInt, Number: 4300, Members: math.MaxInt}

// Canonical appends the canonical form of a JSON text: what Python's
// json.dumps(json.loads(text), sort_keys=True) prints (spec §4.2). Keys are
// sorted by code point at every level, the separators are ", " and ": ", all
// that is not ASCII is escaped, floats are in shortest round-trip form and
// integers stay as they are. Stricter than Python, it refuses duplicate keys,
// NaN and Infinity, floats out of range, bad UTF-8 and unpaired surrogates,
// with ErrJSON or ErrLimit.
func Canonical(dst, json []byte) ([]byte, error) {
	var c canoniser
	out, err := c.canonical(dst, json, &canonicalLimits, "")
	if err != 0 {
		return dst, fmt.Errorf("canonical form: %w", err)
	}
	return out, nil
}

// canoniser is a cursor with the scratch that sorting needs.
type canoniser struct {
	cursor
	members []canonMember
	sorted  []byte
}

type canonMember struct {
	key    []byte
	lo, hi int // of `"key": value` in the output
}

// canonical appends the canonical form of b without the top-level member drop,
// of which there is one at most: the caller has looked.
func (c *canoniser) canonical(dst, b []byte, l *Limits, drop string) ([]byte, Error) {
	c.reset(b, l)
	c.members = c.members[:0]
	dst = c.value(dst, drop)
	c.end()
	return dst, c.err
}

func (c *canoniser) value(dst []byte, drop string) []byte {
	switch ch := c.peek(); {
	case ch == '"':
		return appendText(dst, c.text(c.maxText))
	case ch == '{':
		return c.sortedObject(dst, drop)
	case ch == '[':
		dst = append(dst, '[')
		c.array()
		for n := 0; c.element(n); n++ {
			if n > 0 {
				dst = append(dst, ", "...)
			}
			dst = c.value(dst, "")
		}
		return append(dst, ']')
	case ch == '-' || ch-'0' <= 9:
		return c.numeral(dst)
	case ch == 't' && c.word("true"):
		return append(dst, "true"...)
	case ch == 'f' && c.word("false"):
		return append(dst, "false"...)
	case ch == 'n' && c.word("null"):
		return append(dst, "null"...)
	}
	c.fail(ErrJSON)
	return dst
}

// sortedObject writes the members as they come and moves them only where they
// came out of order.
func (c *canoniser) sortedObject(dst []byte, drop string) []byte {
	base, ordered := len(c.members), true
	dst = append(dst, '{')
	start := len(dst)
	o := c.object()
	o.sorter = true
	for c.member(&o) {
		if drop != "" && string(o.key) == drop {
			c.skip()
			continue
		}
		if len(c.members) > base {
			ordered = ordered && bytes.Compare(c.members[len(c.members)-1].key, o.key) < 0
			dst = append(dst, ", "...)
		}
		m := canonMember{key: o.key, lo: len(dst)}
		dst = append(appendText(dst, o.key), ": "...)
		at := len(c.members)
		c.members = append(c.members, m)
		dst = c.value(dst, "")
		c.members[at].hi = len(dst)
	}
	members := c.members[base:]
	c.members = c.members[:base]
	if !ordered && c.err == 0 {
		slices.SortFunc(members, func(a, b canonMember) int { return bytes.Compare(a.key, b.key) })
		c.sorted = c.sorted[:0]
		for i, m := range members {
			if i > 0 {
				if bytes.Equal(members[i-1].key, m.key) {
					c.fail(ErrJSON)
				}
				c.sorted = append(c.sorted, ", "...)
			}
			c.sorted = append(c.sorted, dst[m.lo:m.hi]...)
		}
		dst = append(dst[:start], c.sorted...)
	}
	return append(dst, '}')
}

// numeral writes a number as Python would: an integer digit by digit, all else
// as the shortest float.
func (c *canoniser) numeral(dst []byte) []byte {
	token, whole := c.number()
	switch {
	case token == nil:
		return dst
	case whole && string(token) == "-0":
		return append(dst, '0')
	case whole:
		return append(dst, token...)
	}
	v, err := strconv.ParseFloat(string(token), 64)
	if err != nil {
		c.fail(ErrJSON)
		return dst
	}
	return appendFloat(dst, v)
}

const hexDigits = "0123456789abcdef"

// appendText appends a JSON string in ASCII, as Python's ensure_ascii does.
func appendText[T ~string | ~[]byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		ch := s[i]
		if plain[ch] {
			i++
			continue
		}
		dst = append(dst, s[from:i]...)
		if ch < 0x80 {
			i++
			switch ch {
			case '"', '\\':
				dst = append(dst, '\\', ch)
			case '\b':
				dst = append(dst, '\\', 'b')
			case '\f':
				dst = append(dst, '\\', 'f')
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = appendUnit(dst, rune(ch))
			}
			from = i
			continue
		}
		r, n := decodeRune(s[i:])
		i += n
		from = i
		if r >= 0x10000 {
			r -= 0x10000
			dst = appendUnit(dst, 0xd800+r>>10)
			r = 0xdc00 + r&0x3ff
		}
		dst = appendUnit(dst, r)
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}

func decodeRune[T ~string | ~[]byte](s T) (rune, int) {
	var b [utf8.UTFMax]byte
	return utf8.DecodeRune(b[:copy(b[:], s)])
}

// appendUnit appends one UTF-16 unit as \uXXXX.
func appendUnit(dst []byte, r rune) []byte {
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// appendFloat appends a finite float as Python's repr does: shortest digits
// that read back as v, an exponent below 1e-4 and from 1e16.
func appendFloat(dst []byte, v float64) []byte {
	// Prices and dollars have at most four decimals. If n/10^4, correctly
	// rounded, is v, then n's digits read back as v, and no shorter ones do:
	// decimals of up to 15 digits all read as different floats.
	if n := int64(v * 1e4); n > 0 && n < 1e14 {
		if n = int64(math.Round(v * 1e4)); float64(n)/1e4 == v {
			dst = strconv.AppendInt(dst, n/1e4, 10)
			f := n % 1e4
			dst = append(dst, '.', byte('0'+f/1000), byte('0'+f/100%10), byte('0'+f/10%10), byte('0'+f%10))
			for dst[len(dst)-1] == '0' && dst[len(dst)-2] != '.' {
				dst = dst[:len(dst)-1]
			}
			return dst
		}
	}
	if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.AppendFloat(dst, v, 'e', -1, 64)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, v, 'f', -1, 64)
	if bytes.IndexByte(dst[start:], '.') < 0 {
		dst = append(dst, '.', '0')
	}
	return dst
}

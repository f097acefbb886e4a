package wire

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// cursor reads strict JSON from the front of b without building a tree. It
// takes what RFC 8259 takes, less duplicate keys, bad UTF-8 and unpaired
// surrogates. The first failure sticks: later calls return zero values, and
// err tells. Bytes it returns alias b, or arena where a string had escapes;
// they hold until reset.
type cursor struct {
	b     []byte
	i     int
	err   Error
	depth int // levels that may still be opened

	maxText, maxNumber, maxMembers int

	loose   bool // NaN, Infinity and -Infinity, which Python writes, are values, and so is 1e999
	strange int  // how many of them were read as such

	keys  [][]byte // keys of the open objects, for the duplicate check
	arena []byte   // decoded text of strings with escapes
}

func (c *cursor) reset(b []byte, l *Limits) {
	c.b, c.i, c.err = b, 0, 0
	c.depth, c.maxText, c.maxNumber, c.maxMembers = l.Depth, l.Text, l.Number, l.Members
	c.keys, c.arena, c.loose = c.keys[:0], c.arena[:0], false
	c.strange = 0
}

func (c *cursor) fail(e Error) {
	if c.err == 0 {
		c.err = e
	}
	c.i = len(c.b)
}

// peek returns the next byte after white space, or 0 at the end.
func (c *cursor) peek() byte {
	for c.i < len(c.b) {
		switch ch := c.b[c.i]; ch {
		case ' ', '\t', '\n', '\r':
			c.i++
		default:
			return ch
		}
	}
	return 0
}

// end fails unless nothing but white space is left.
func (c *cursor) end() {
	c.peek()
	if c.i < len(c.b) {
		c.fail(ErrJSON)
	}
}

// object is the state of one open object.
type object struct {
	key    []byte // of the current member, decoded
	base   int    // where this object's keys start in cursor.keys
	n      int    // members so far
	sorted bool   // keys so far ascend strictly, so none can be doubled
	sorter bool   // the caller sorts the keys and finds duplicates itself
}

func (c *cursor) push(open byte) {
	if c.peek() != open {
		c.fail(ErrJSON)
		return
	}
	c.i++
	if c.depth--; c.depth < 0 {
		c.fail(ErrLimit)
	}
}

// object enters an object; call member until it returns false.
func (c *cursor) object() object {
	c.push('{')
	return object{base: len(c.keys), sorted: true}
}

// member moves to the next member and leaves the cursor before its value.
func (c *cursor) member(o *object) bool {
	ch := c.peek()
	switch {
	case ch == '}' && c.err == 0:
		c.i++
		c.depth++
		c.keys = c.keys[:o.base]
		return false
	case o.n == 0:
	case ch == ',':
		c.i++
	default:
		c.fail(ErrJSON)
		return false
	}
	o.key = c.text(c.maxText)
	if c.peek() != ':' {
		c.fail(ErrJSON)
		return false
	}
	c.i++
	o.n++
	if o.sorter {
		return true
	}
	if o.n > c.maxMembers {
		c.fail(ErrLimit)
		return false
	}
	seen := c.keys[o.base:]
	if o.sorted && len(seen) > 0 && bytes.Compare(seen[len(seen)-1], o.key) >= 0 {
		o.sorted = false
	}
	if !o.sorted {
		for _, k := range seen {
			if bytes.Equal(k, o.key) {
				c.fail(ErrJSON)
				return false
			}
		}
	}
	c.keys = append(c.keys, o.key)
	return true
}

// array enters an array; call element until it returns false.
func (c *cursor) array() { c.push('[') }

// element moves to the n-th element, from 0, and leaves the cursor before it.
func (c *cursor) element(n int) bool {
	ch := c.peek()
	switch {
	case ch == ']' && c.err == 0:
		c.i++
		c.depth++
		return false
	case n == 0:
	case ch == ',':
		c.i++
	default:
		c.fail(ErrJSON)
	}
	return c.err == 0
}

// plain marks the bytes that stand for themselves inside a canonical string.
// DEL is not one of them: Python's ensure_ascii escapes it.
var plain = func() (t [256]bool) {
	for i := 0x20; i < 0x7f; i++ {
		t[i] = i != '"' && i != '\\'
	}
	return
}()

// text reads a string of at most limit decoded bytes.
func (c *cursor) text(limit int) []byte {
	if c.peek() != '"' {
		c.fail(ErrJSON)
		return nil
	}
	c.i++
	lo := c.i
	for i := lo; i < len(c.b); {
		ch := c.b[i]
		if plain[ch] {
			i++
			continue
		}
		switch {
		case ch == '"':
			c.i = i + 1
			if i-lo > limit {
				c.fail(ErrLimit)
				return nil
			}
			return c.b[lo:i:i]
		case ch == '\\':
			return c.escaped(lo, i, limit)
		case ch < 0x20:
			c.fail(ErrJSON)
			return nil
		}
		r, n := utf8.DecodeRune(c.b[i:])
		if r == utf8.RuneError && n <= 1 {
			c.fail(ErrJSON)
			return nil
		}
		i += n
	}
	c.fail(ErrJSON)
	return nil
}

// escaped reads the rest of a string that began at lo and has its first
// escape at i.
func (c *cursor) escaped(lo, i, limit int) []byte {
	start := len(c.arena)
	c.arena = append(c.arena, c.b[lo:i]...)
	for i < len(c.b) {
		if len(c.arena)-start > limit {
			c.fail(ErrLimit)
			return nil
		}
		ch := c.b[i]
		switch {
		case ch == '"':
			c.i = i + 1
			return c.arena[start:len(c.arena):len(c.arena)]
		case ch < 0x20:
			c.fail(ErrJSON)
			return nil
		case ch < 0x80 && ch != '\\':
			c.arena = append(c.arena, ch)
			i++
			continue
		case ch >= 0x80:
			r, n := utf8.DecodeRune(c.b[i:])
			if r == utf8.RuneError && n <= 1 {
				c.fail(ErrJSON)
				return nil
			}
			c.arena = append(c.arena, c.b[i:i+n]...)
			i += n
			continue
		}
		if i+1 >= len(c.b) {
			break
		}
		i += 2
		switch c.b[i-1] {
		case '"', '\\', '/':
			c.arena = append(c.arena, c.b[i-1])
		case 'b':
			c.arena = append(c.arena, '\b')
		case 'f':
			c.arena = append(c.arena, '\f')
		case 'n':
			c.arena = append(c.arena, '\n')
		case 'r':
			c.arena = append(c.arena, '\r')
		case 't':
			c.arena = append(c.arena, '\t')
		case 'u':
			r := hex4(c.b[i:])
			i += 4
			if r >= 0xd800 && r < 0xe000 { // a surrogate: only a high one with its low one is text
				low := rune(-1)
				if r < 0xdc00 && i+1 < len(c.b) && c.b[i] == '\\' && c.b[i+1] == 'u' {
					low = hex4(c.b[i+2:])
				}
				if low < 0xdc00 || low >= 0xe000 {
					r = -1
				} else {
					r = 0x10000 + (r-0xd800)<<10 + (low - 0xdc00)
					i += 6
				}
			}
			if r < 0 {
				c.fail(ErrJSON)
				return nil
			}
			c.arena = utf8.AppendRune(c.arena, r)
		default:
			c.fail(ErrJSON)
			return nil
		}
	}
	c.fail(ErrJSON)
	return nil
}

// hex4 reads four hex digits of either case; -1 where they are not.
func hex4(b []byte) rune {
	if len(b) < 4 {
		return -1
	}
	var r rune
	for _, ch := range b[:4] {
		switch {
		case ch >= '0' && ch <= '9':
			ch -= '0'
		case ch >= 'a' && ch <= 'f':
			ch -= 'a' - 10
		case ch >= 'A' && ch <= 'F':
			ch -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(ch)
	}
	return r
}

// number reads a number and returns its token; whole is false where it has a
// fraction or an exponent, which is where Python makes a float of it.
func (c *cursor) number() (token []byte, whole bool) {
	c.peek()
	lo, i := c.i, c.i
	if i < len(c.b) && c.b[i] == '-' {
		i++
	}
	digits := func() bool {
		from := i
		for i < len(c.b) && c.b[i]-'0' <= 9 {
			i++
		}
		return i > from
	}
	if zero := i < len(c.b) && c.b[i] == '0'; zero {
		i++
	} else if !digits() {
		c.fail(ErrJSON)
		return nil, false
	}
	whole = true
	if i < len(c.b) && c.b[i] == '.' {
		i++
		whole = false
		if !digits() {
			c.fail(ErrJSON)
			return nil, false
		}
	}
	if i < len(c.b) && c.b[i]|0x20 == 'e' {
		i++
		whole = false
		if i < len(c.b) && (c.b[i] == '+' || c.b[i] == '-') {
			i++
		}
		if !digits() {
			c.fail(ErrJSON)
			return nil, false
		}
	}
	if i-lo > c.maxNumber {
		c.fail(ErrLimit)
		return nil, false
	}
	c.i = i
	return c.b[lo:i:i], whole
}

// float reads a number as a float; one beyond the range of a float is refused.
func (c *cursor) float() float64 {
	token, _ := c.number()
	if token == nil {
		return 0
	}
	v, err := strconv.ParseFloat(string(token), 64)
	if err != nil {
		c.fail(ErrJSON)
		return 0
	}
	return v
}

// word reads one of true, false and null.
func (c *cursor) word(w string) bool {
	if c.peek() != w[0] || !bytes.HasPrefix(c.b[c.i:], []byte(w)) {
		return false
	}
	c.i += len(w)
	return true
}

// notFinite reads one of Python's words for a number that is none, where they are
// values; nil where there is none of them.
func (c *cursor) notFinite() []byte {
	if !c.loose {
		return nil
	}
	c.peek()
	for _, w := range [...]string{"NaN", "Infinity", "-Infinity"} {
		if bytes.HasPrefix(c.b[c.i:], []byte(w)) {
			lo := c.i
			c.i += len(w)
			return c.b[lo:c.i]
		}
	}
	return nil
}

// skip reads any value and forgets it; it is checked all the same.
func (c *cursor) skip() {
	switch ch := c.peek(); {
	case c.notFinite() != nil:
	case ch == '"':
		c.text(c.maxText)
	case ch == '{':
		o := c.object()
		for c.member(&o) {
			c.skip()
		}
	case ch == '[':
		c.array()
		for n := 0; c.element(n); n++ {
			c.skip()
		}
	case c.loose && (ch == '-' || ch-'0' <= 9):
		c.number()
	case ch == '-' || ch-'0' <= 9:
		c.float() // for the range check: what we take, others must be able to take
	case ch == 't' && c.word("true"), ch == 'f' && c.word("false"), ch == 'n' && c.word("null"):
	default:
		c.fail(ErrJSON)
	}
}

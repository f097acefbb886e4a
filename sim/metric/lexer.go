package metric

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// SyntaxError is text that cannot be read: at which of its columns, from 1 and
// in characters, and what was expected there.
type SyntaxError struct {
	Text   string
	Column int
	Want   string
	// Word is the unknown name that stands there, and Have what there is; "" and
	// nil where something else is wrong.
	Word string
	Have []string
}

func (e *SyntaxError) Error() string {
	if e.Word != "" {
		return fmt.Sprintf("column %d of %q: %s %q", e.Column, e.Text, e.Want, e.Word)
	}
	return fmt.Sprintf("column %d of %q: expected %s", e.Column, e.Text, e.Want)
}

// maxText bounds what is read: nobody writes longer.
const maxText = 400

// lexer reads a text from left to right.
type lexer struct {
	text string
	at   int
}

func (x *lexer) wrong(at int, want string) *SyntaxError {
	return &SyntaxError{Text: x.text, Column: utf8.RuneCountInString(x.text[:at]) + 1, Want: want}
}

func (x *lexer) unknown(at int, what, word string, have []string) *SyntaxError {
	e := x.wrong(at, what)
	e.Word, e.Have = word, have
	return e
}

func (x *lexer) space() {
	for x.at < len(x.text) && x.text[x.at] == ' ' {
		x.at++
	}
}

func (x *lexer) done() bool { x.space(); return x.at == len(x.text) }

// take reads a fixed text, if it is next.
func (x *lexer) take(s string) bool {
	x.space()
	if !strings.HasPrefix(x.text[x.at:], s) {
		return false
	}
	x.at += len(s)
	return true
}

// word reads a name: letters, digits, _ and -, from a letter on; "" if none is
// next.
func (x *lexer) word() string {
	x.space()
	from := x.at
	for x.at < len(x.text) {
		c := x.text[x.at]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (x.at == from || (c < '0' || c > '9') && c != '_' && c != '-') {
			break
		}
		x.at++
	}
	return x.text[from:x.at]
}

// number reads digits with an optional point and sign.
func (x *lexer) number() (float64, bool) {
	x.space()
	from, at := x.at, x.at
	if at < len(x.text) && x.text[at] == '-' {
		at++
	}
	digits := at
	for at < len(x.text) && (x.text[at] >= '0' && x.text[at] <= '9' || x.text[at] == '.') {
		at++
	}
	v, err := strconv.ParseFloat(x.text[from:at], 64)
	if at == digits || err != nil {
		return 0, false
	}
	x.at = at
	return v, true
}

// seconds reads a duration such as 1m30s, in seconds.
func (x *lexer) seconds() (float64, bool) {
	x.space()
	at := x.at
	for at < len(x.text) && strings.IndexByte("0123456789.hmsunµ", x.text[at]) >= 0 {
		at++
	}
	d, err := time.ParseDuration(x.text[x.at:at])
	if err != nil {
		return 0, false
	}
	x.at = at
	return d.Seconds(), true
}

// operators, the longer ones first.
var operators = []string{"<=", ">=", "==", "!=", "<", ">"}

// operator reads a comparison.
func (x *lexer) operator() (string, bool) {
	for _, op := range operators {
		if x.take(op) {
			return op, true
		}
	}
	return "", false
}

// holds compares two numbers.
func holds(a float64, op string, b float64) bool {
	switch op {
	case "<":
		return a < b
	case "<=":
		return a <= b
	case ">":
		return a > b
	case ">=":
		return a >= b
	case "==":
		return a == b
	}
	return a != b
}

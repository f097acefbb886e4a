package market

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"bettensor/node/typo"
)

// What a table of games may measure. Real ones hold 400 rows of 120 columns; the
// bounds keep a wrong file (a video, a log) from costing memory or a flood of text.
const (
	maxLineBytes = 64 << 10
	maxGames     = 200_000
	maxNameRunes = 100
	// maxProblems is how many problems are told in full; the rest is counted.
	maxProblems = 100
)

// Problem is one thing wrong with one place of a file. Line and Column count from
// 1, columns in bytes as Go's do. Line 0 is for what has no place: options, and
// the count of problems left untold.
type Problem struct {
	File         string
	Line, Column int
	Text         string // what was expected, and what was there instead
}

// String is file:line:column: text.
func (p Problem) String() string {
	if p.Line == 0 {
		return p.Text
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
}

// Error makes a Problem an error by itself.
func (p Problem) Error() string { return p.String() }

// problems collects Problems up to a bound.
type problems struct {
	list  []Problem
	total int
}

func (ps *problems) add(file string, line, column int, format string, args ...any) {
	ps.total++
	if len(ps.list) < maxProblems {
		ps.list = append(ps.list, Problem{file, line, column, fmt.Sprintf(format, args...)})
	}
}

func (ps *problems) all() []Problem {
	if more := ps.total - len(ps.list); more > 0 {
		return append(ps.list, Problem{Text: fmt.Sprintf("and %d problems more", more)})
	}
	return ps.list
}

// cell is one field of a line, unquoted and trimmed.
type cell struct {
	text   string
	column int // where it begins, the quote included
}

// splitLine cuts one line (without its end) into cells. A quoted field ends on its
// line: no name of a team or league holds a line break, and so an open quote spoils
// one line and not the rest of the file. bad is the column of what is wrong, 0 if
// nothing is.
func splitLine(cells []cell, line string) (out []cell, bad int, want string) {
	pos := 0
	for {
		begin := pos
		rest := line[pos:]
		if trimmed := strings.TrimLeft(rest, " \t"); strings.HasPrefix(trimmed, `"`) {
			begin += len(rest) - len(trimmed)
			text, n := unquote(line[begin:])
			if n == 0 {
				return cells, begin + 1, "expected a closing quote on the same line"
			}
			pos = begin + n
			pos += len(line[pos:]) - len(strings.TrimLeft(line[pos:], " \t"))
			if pos < len(line) && line[pos] != ',' {
				return cells, pos + 1, "expected a comma after the closing quote"
			}
			cells = append(cells, cell{strings.TrimSpace(text), begin + 1})
		} else {
			end := strings.IndexByte(rest, ',')
			if end < 0 {
				end = len(rest)
			}
			if q := strings.IndexByte(rest[:end], '"'); q >= 0 {
				return cells, pos + q + 1, "expected a quote only around a whole field"
			}
			cells = append(cells, cell{strings.TrimSpace(rest[:end]), begin + 1})
			pos += end
		}
		if pos >= len(line) {
			return cells, 0, ""
		}
		pos++ // the comma
	}
}

// unquote reads a quoted field at the start of s, "" standing for one quote, and
// how many bytes it took; 0 if it does not end.
func unquote(s string) (text string, n int) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] != '"' {
			b.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == '"' {
			b.WriteByte('"')
			i++
			continue
		}
		return b.String(), i + 1
	}
	return "", 0
}

// lines calls row for each line that holds anything, with its number and its
// cells, which are valid during the call only. Lines that cannot be cut go to ps.
func lines(file string, data []byte, ps *problems, row func(line int, text string, cells []cell) bool) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var cells []cell
	for n := 1; len(data) > 0; n++ {
		raw, rest, _ := bytes.Cut(data, []byte("\n"))
		data = rest
		raw = bytes.TrimSuffix(raw, []byte("\r"))
		if len(raw) > maxLineBytes {
			ps.add(file, n, maxLineBytes+1, "expected a line of at most %d bytes, got %d", maxLineBytes, len(raw))
			continue
		}
		if i := notUTF8(raw); i >= 0 {
			ps.add(file, n, i+1, "expected UTF-8 text, got the byte 0x%02x", raw[i])
			continue
		}
		text := string(raw)
		var bad int
		var want string
		cells, bad, want = splitLine(cells[:0], text)
		if bad > 0 {
			ps.add(file, n, bad, "%s", want)
			continue
		}
		if isBlank(cells) {
			continue
		}
		if !row(n, text, cells) {
			return
		}
	}
}

// isBlank tells rows of nothing but commas, which spreadsheets leave at the end.
func isBlank(cells []cell) bool {
	for _, c := range cells {
		if c.text != "" {
			return false
		}
	}
	return true
}

// notUTF8 is the index of the first byte that is not UTF-8, -1 if all is.
func notUTF8(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// isName tells whether text can name a team or league.
func isName(s string) bool {
	return s != "" && utf8.RuneCountInString(s) <= maxNameRunes && strings.IndexFunc(s, unicode.IsControl) < 0
}

// shown is text for a message: quoted, and cut where it is long.
func shown(s string) string {
	const most = 40
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return fmt.Sprintf("%q", s)
}

// nearest is the name closest to s in letters changed, added, lost or exchanged,
// case set aside; "" where none is close.
func nearest(s string, names []string) string {
	best, name := 3, ""
	if len(s) > maxNameRunes {
		return ""
	}
	for _, n := range names {
		if d := typo.Distance(strings.ToLower(s), strings.ToLower(n)); d < best && d <= max(1, len(n)/3) {
			best, name = d, n
		}
	}
	return name
}

// missing are those of want that have lacks, in want's order.
func missing(have map[string]int, want []string) []string {
	var out []string
	for _, n := range want {
		if _, ok := have[n]; !ok {
			out = append(out, n)
		}
	}
	return out
}

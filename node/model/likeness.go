package model

import (
	"slices"
	"strings"
	"unicode"
)

// maxName bounds the runes of a name that are compared, since the comparison
// takes their product.
const maxName = 64

// words brings a team's name to its lower-case words in order of the alphabet,
// joined by a space: "FC Bayern", "bayern  f.c" and "Bayern-FC" differ only in
// what people disagree on. The initials of an abbreviation stay together.
func words(name string) string {
	name = strings.ToLower(strings.ReplaceAll(name, ".", ""))
	fields := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
	slices.Sort(fields)
	return cut(strings.Join(fields, " "))
}

// cut shortens to maxName runes.
func cut(s string) string {
	n := 0
	for i := range s {
		if n == maxName {
			return s[:i]
		}
		n++
	}
	return s
}

// partLikeness is the likeness of names of which one has only words of the
// other, as "Leeds" and "Leeds United": good, but less than one edit in a
// longer name, so that the full name wins.
const partLikeness = 90

// likeness of two names as words returns them, 0 to 100 for the same: the share
// of runes that need no edit, or partLikeness.
func likeness(a, b string) float64 {
	if a == "" || b == "" {
		return 0
	}
	if a == b {
		return 100
	}
	l := 100 * (1 - float64(edits(a, b))/float64(max(len([]rune(a)), len([]rune(b)))))
	if within(a, b) || within(b, a) {
		l = max(l, partLikeness)
	}
	return l
}

// within says whether every word of a is a word of b.
func within(a, b string) bool {
	for w := range strings.FieldsSeq(a) {
		found := false
		for x := range strings.FieldsSeq(b) {
			found = found || x == w
		}
		if !found {
			return false
		}
	}
	return true
}

// edits is the least number of runes to insert, delete or replace to make b of
// a (Levenshtein), over the first maxName runes of each.
func edits(a, b string) int {
	x, y := []rune(cut(a)), []rune(cut(b))
	var row [maxName + 1]int
	for j := range len(y) + 1 {
		row[j] = j
	}
	for i, r := range x {
		corner := row[0]
		row[0] = i + 1
		for j, s := range y {
			cost := corner
			if r != s {
				cost = 1 + min(corner, row[j], row[j+1])
			}
			corner, row[j+1] = row[j+1], cost
		}
	}
	return row[len(y)]
}

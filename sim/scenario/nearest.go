package scenario

import (
	"fmt"
	"strings"
)

// maxNameCompared bounds the work of comparing names: no valid one is longer,
// and the table of a comparison grows with the square.
const maxNameCompared = 80

// nearest returns the candidate that word was most likely meant to be: the
// one with the fewest edits, no more than a third of the word's length. Ties go
// to the earlier candidate.
func nearest(word string, candidates []string) (string, bool) {
	best, at := len(word)/3+1, -1
	for i, c := range candidates {
		if d := distance(strings.ToLower(word), c); d < best || d == best && at < 0 {
			best, at = d, i
		}
	}
	if at < 0 || best >= len(word) {
		return "", false
	}
	return candidates[at], true
}

// distance counts the insertions, deletions, changes and swaps of neighbours
// that turn a into b.
func distance(a, b string) int {
	if len(a) > maxNameCompared || len(b) > maxNameCompared {
		return maxNameCompared
	}
	var rows [3][maxNameCompared + 1]int
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// maxNamesListed is how many names a message lists where none is near.
const maxNamesListed = 16

// suggest is the end of a message about an unknown name.
func suggest(word string, candidates []string) string {
	if near, ok := nearest(word, candidates); ok {
		return fmt.Sprintf(" (did you mean %q?)", near)
	}
	if len(candidates) == 0 {
		return " (there are none)"
	}
	if len(candidates) > maxNamesListed {
		return fmt.Sprintf(" (have: %s, …)", strings.Join(candidates[:maxNamesListed], ", "))
	}
	return fmt.Sprintf(" (have: %s)", strings.Join(candidates, ", "))
}

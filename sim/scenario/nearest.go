package scenario

import (
	"fmt"
	"strings"

	"bettensor/node/typo"
)

// maxNameCompared bounds the work of comparing names: no valid one is longer,
// and the time of a comparison grows with the square.
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

// distance is how far apart two names are; two too long to be compared are far
// from each other.
func distance(a, b string) int {
	if len(a) > maxNameCompared || len(b) > maxNameCompared {
		return maxNameCompared
	}
	return typo.Distance(a, b)
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

package cli

import "strings"

// nearest is the candidate that a mistyped word most likely means: the one with
// the fewest edits, not more than a third of the longer one's length; "" where
// none is near. Ties go to the earlier one.
func nearest(word string, candidates []string) string {
	found, fewest := "", len(word)+1
	for _, c := range candidates {
		if len(word) > 3*len(c) {
			continue // cannot be near, and may be long
		}
		if d := edits(strings.ToLower(word), c); d < fewest && d <= max(len(word), len(c))/3 {
			found, fewest = c, d
		}
	}
	return found
}

// edits counts the insertions, deletions, changes and swaps of neighbours that
// turn a into b.
func edits(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
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

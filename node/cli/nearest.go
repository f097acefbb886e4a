package cli

import (
	"strings"

	"bettensor/node/typo"
)

// nearest is the candidate that a mistyped word most likely means: the one with
// the fewest edits, not more than a third of the longer one's length; "" where
// none is near. Ties go to the earlier one.
func nearest(word string, candidates []string) string {
	found, fewest := "", len(word)+1
	for _, c := range candidates {
		if len(word) > 3*len(c) {
			continue // cannot be near, and may be long
		}
		if d := typo.Distance(strings.ToLower(word), c); d < fewest && d <= max(len(word), len(c))/3 {
			found, fewest = c, d
		}
	}
	return found
}

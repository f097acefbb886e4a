// Package typo measures how far a mistyped word is from a right one, for messages
// that name what was probably meant. Which words are near enough to be named is the
// caller's decision, and so is how long they may be. It is one function; any
// package may call it.
package typo

// Distance counts the insertions, deletions, changes and swaps of neighbouring
// bytes that turn a into b. It takes time in the product of their lengths.
func Distance(a, b string) int {
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

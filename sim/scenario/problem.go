package scenario

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one mistake of a file or of a --set.
type Problem struct {
	File         string
	Line, Column int    // from 1, columns in characters; 0 where Set is not ""
	Set          string // the path of the --set that brought it
	Path         string // the key, as in miners[2].count; "" for the whole file
	Message      string // what was expected, and the nearest valid name

	order int // which --set, from 1
}

// String is FILE:LINE:COL: PATH: MESSAGE, or --set PATH: MESSAGE.
func (p Problem) String() string {
	if p.Set != "" {
		if p.Path != "" {
			return fmt.Sprintf("--set %s: %s: %s", p.Set, p.Path, p.Message)
		}
		return fmt.Sprintf("--set %s: %s", p.Set, p.Message)
	}
	if p.Path != "" {
		return fmt.Sprintf("%s:%d:%d: %s: %s", p.File, p.Line, p.Column, p.Path, p.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
}

// MaxProblems is how many mistakes are told of one file: more help nobody, and
// a hostile file must not make the answer larger than itself many times over.
const MaxProblems = 100

// Problems are all mistakes of a file in the order of their positions, those
// of --set last. It is an error only where it is not empty.
type Problems []Problem

// Error has one problem a line.
func (p Problems) Error() string {
	var b strings.Builder
	for i, one := range p {
		if i > 0 {
			b.WriteByte('\n')
		}
		if i == MaxProblems {
			fmt.Fprintf(&b, "… and %d more", len(p)-i)
			break
		}
		b.WriteString(one.String())
	}
	return b.String()
}

// sorted puts problems in order and drops what is told twice, which a value
// under two aliases would be.
func (p Problems) sorted() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.order, b.order),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Path, b.Path),
			cmp.Compare(a.Message, b.Message),
		)
	})
	return slices.Compact(p)
}

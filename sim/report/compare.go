package report

import (
	"io"

	"bettensor/sim"
)

// maxFailures bounds the failures of a comparison that its page shows.
const maxFailures = 100

// WriteComparison writes a page of two mechanisms: the kinds' shares side by side
// with their intervals, and what is measured over all miners. The revision is the
// program's, "" where it is not known. The error is w's, or a value's that cannot
// be shown.
func WriteComparison(w io.Writer, c *sim.Comparison, revision string) error {
	f, err := newFrame(revision, "page/page.js")
	if err != nil {
		return err
	}
	v := &comparisonView{frame: f, Comparison: c, Shown: c.Failures[:min(maxFailures, len(c.Failures))]}
	v.FailuresLeft = len(c.Failures) - len(v.Shown)
	for i := range c.Kinds {
		for _, s := range []*sim.Share{c.Kinds[i].A, c.Kinds[i].B} {
			if s != nil {
				v.Most = max(v.Most, s.High)
			}
		}
	}
	v.Pairs = []namedPair{{"rank correlation of emission with skill", "%.3f", c.SkillCorrelation}, {"Gini", "%.3f", c.Gini}, {"Herfindahl", "%.3f", c.HHI},
		{"share of the best paid ten", "%.3f", c.Top}, {"changes of tier", "%.0f", c.Churn}}
	for _, t := range c.Trust {
		v.Pairs = append(v.Pairs, namedPair{"trust in " + t.Validator, "%.3f", t.Pair})
	}
	return v.write(w, "compare.html", v, "the comparison of "+c.A.Scenario)
}

// comparisonView is the page's data in the words of its template.
type comparisonView struct {
	*sim.Comparison
	frame
	Most         float64 // the end of the greatest interval, the whole length of a bar
	Pairs        []namedPair
	Shown        []sim.ComparedFailure
	FailuresLeft int
}

type namedPair struct {
	Name string
	Form string // of fmt
	sim.Pair
}

// shareBar is a share as a bar of at most 100, and its interval.
type shareBar struct {
	Class               string
	Share               float64
	Length, From, Width string
}

func newShareBar(class string, s *sim.Share, most float64) shareBar {
	return shareBar{class, s.Share, bar(s.Share, most), bar(s.Low, most), bar(s.High-s.Low, most)}
}

package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"

	"bettensor/sim"
	"bettensor/sim/invariant"
)

// Bounds of a sweep's page.
const (
	maxGroups = 100 // ways to fail: a program that fails in more is looked at in its data
	maxSeeds  = 20  // named of a group
)

// Sweep is many seeds of scenarios, for WriteSweep.
type Sweep struct {
	Result   *sim.SweepResult
	Revision string                       // of the program; "" where it is not known
	Smaller  func(sim.SeedFailure) string // the command that looks for a smaller scenario; "" for none
}

// WriteSweep writes a page of a sweep: what failed and the commands that repeat it,
// what was reached, what each kind of miner earned. The error is w's, or a value's
// that cannot be shown.
func WriteSweep(w io.Writer, s *Sweep) error {
	f, err := newFrame(s.Revision, "page/page.js")
	if err != nil {
		return err
	}
	r := s.Result
	v := &sweepView{frame: f, SweepResult: r, Passed: r.Exit == sim.ExitPass, Reached: len(r.Sometimes) - len(r.Missed())}
	v.Name = fmt.Sprintf("%d scenarios", len(r.Scenarios))
	if len(r.Scenarios) == 1 {
		v.Name = r.Scenarios[0].Scenario
	}
	groups := r.Groups()
	v.GroupsLeft = max(0, len(groups)-maxGroups)
	for _, g := range groups[:len(groups)-v.GroupsLeft] {
		row := sweepGroup{Group: g, First: g.Seeds[0], Shown: g.Seeds[:min(maxSeeds, len(g.Seeds))], Left: max(0, len(g.Seeds)-maxSeeds)}
		if s.Smaller != nil {
			row.Smaller = s.Smaller(row.First)
		}
		v.Groups = append(v.Groups, row)
	}
	docs := map[string]string{}
	for _, d := range invariant.Docs() {
		docs[d.Name] = d.Doc
	}
	for _, name := range slices.Sorted(maps.Keys(r.ByInvariant)) {
		v.Broken = append(v.Broken, brokenInvariant{name, docs[name], r.ByInvariant[name]})
	}
	slices.SortStableFunc(v.Broken, func(a, b brokenInvariant) int { return cmp.Compare(b.Seeds, a.Seeds) })
	for _, k := range r.Kinds {
		if n := len(v.Tables); n == 0 || v.Tables[n-1].Scenario != k.Scenario {
			v.Tables = append(v.Tables, spreadTable{Scenario: k.Scenario})
		}
		t := &v.Tables[len(v.Tables)-1]
		t.Rows, t.Most = append(t.Rows, k), max(t.Most, k.Mean)
		if k.Kind == r.Against {
			t.Base = k.Mean
		}
	}
	return v.write(w, "sweep.html", v, "the sweep of "+v.Name)
}

// sweepView is the page's data in the words of its template.
type sweepView struct {
	*sim.SweepResult
	frame
	Name       string
	Passed     bool
	Reached    int // properties
	Groups     []sweepGroup
	GroupsLeft int
	Broken     []brokenInvariant
	Tables     []spreadTable
}

type sweepGroup struct {
	sim.Group
	First   sim.SeedFailure
	Shown   []sim.SeedFailure
	Left    int
	Smaller string
}

type brokenInvariant struct {
	Name, Doc string
	Seeds     int // that broke it
}

// spreadTable is what the kinds of one scenario earned.
type spreadTable struct {
	Scenario string
	Rows     []sim.KindSpread
	Most     float64 // earned by each miner of the richest kind, in rao
	Base     float64 // by one of the kind compared with; 0 for none
}

package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"bettensor/node"
	"bettensor/sched"
	"bettensor/sim/scenario"
)

// Bug is a bug that can be planted in a world: a node, a disk, a feed, a chain or
// somebody on the way who does one thing wrong. Each is kept so that a test can
// prove that an observer finds it. Nearly all lie in an adapter or on a disk,
// where no line of the program changes; see node.Defect for the others.
type Bug struct {
	Name string
	Doc  string
	// Finds are the invariants and the checks of liveness that must find it, in
	// order; others may as well.
	Finds []string
	// Seeds within which a sweep of its scenario finds it.
	Seeds int

	more    string       // what its scenario has beside plantedBase
	days    int          // that it lasts in place of three
	provoke func(*World) // what the bug needs to show and what a world without it withstands, nil for nothing
	plant   func(*World)
}

// plantedBase is the scenario of every bug: a few days, small enough for a sweep.
const plantedBase = `
name: planted
duration: 3d
node: {heartbeat: 20m}
validators:
  - {name: v0, stake: 10000}
miners:
  - {kind: random, count: 3}
  - {kind: late, count: 3}
`

// crashes are what many bugs need to show.
const crashes = `
faults:
  - {name: crash, what: process.crash, target: validators.v0, at: 1d3h, for: 30s, every: 13h, until: 2d12h}
phases:
  - {name: chaos, until: 2d12h}
  - {name: heal, faults: off, settle_within: 10h}
`

// healed is a phase at the end in which all must have settled.
const healed = `
phases:
  - {name: run, until: 2d}
  - {name: heal, faults: off, settle_within: 20h}
`

// Scenario is the scenario in which the bug is looked for, as a file would hold it.
func (b *Bug) Scenario() string {
	text := strings.TrimLeft(plantedBase+b.more, "\n")
	if b.days > 0 {
		text = strings.Replace(text, "duration: 3d", fmt.Sprintf("duration: %dd", b.days), 1)
	}
	return text
}

// File is the scenario with the bug in it, for people to run.
func (b *Bug) File() string {
	return fmt.Sprintf("# Shows: %s\n# Expect: a run fails by %s, with this seed or a later one.\n%splant: %s\n", b.Doc, strings.Join(b.Finds, " and by "), b.Scenario(), b.Name)
}

// Plan is the bug's scenario with a seed and the bug in it, ready to run.
func (b *Bug) Plan(seed uint64) (*Plan, error) {
	s, problems := scenario.Parse("planted "+b.Name, []byte(b.Scenario()), []string{fmt.Sprintf("seed=%d", seed), "plant=" + b.Name}, ScenarioOption())
	if len(problems) > 0 {
		return nil, problems
	}
	p, _, err := NewPlan(s, nil)
	return p, err
}

// put plants the bug, with what it needs to show.
func (b *Bug) put(w *World) {
	if b.provoke != nil {
		b.provoke(w)
	}
	b.plant(w)
}

// Found are those of a result's failures that the bug must be found by.
func (b *Bug) Found(r *Result) (found []string) {
	for _, f := range r.Failures() {
		if slices.Contains(b.Finds, f.By) && !slices.Contains(found, f.By) {
			found = append(found, f.By)
		}
	}
	return found
}

// Find looks for the bug with the seeds 1 to most and returns the first that
// finds it, 0 for none, and by what it was found.
func (b *Bug) Find(most uint64) (seed uint64, by []string, err error) {
	for seed = 1; seed <= most; seed++ {
		p, err := b.Plan(seed)
		if err != nil {
			return 0, nil, err
		}
		r, err := p.Run(RunOptions{})
		if err != nil {
			return 0, nil, err
		}
		if by = b.Found(r); len(by) > 0 {
			return seed, by, nil
		}
	}
	return 0, nil, nil
}

// Bugs are all bugs that can be planted, by name.
func Bugs() []Bug {
	out := slices.Concat(diskBugs, wireBugs, feedBugs, chainBugs, nodeBugs, worldBugs, rareBugs)
	slices.SortFunc(out, func(a, b Bug) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// BugNames are the names of all bugs, in order.
func BugNames() []string {
	var names []string
	for _, b := range Bugs() {
		names = append(names, b.Name)
	}
	return names
}

// FindBug returns the bug of a name.
func FindBug(name string) (Bug, bool) {
	all := Bugs()
	i := slices.IndexFunc(all, func(b Bug) bool { return b.Name == name })
	if i < 0 {
		return Bug{}, false
	}
	return all[i], true
}

// between has f wrap the ways out of validators, or of miners.
func between(w *World, validators bool, f func(h *Host, p *node.Ports)) {
	before := w.OnPorts
	w.OnPorts = func(h *Host, p *node.Ports) {
		if before != nil {
			before(h, p)
		}
		if h.IsValidator() == validators {
			f(h, p)
		}
	}
}

// nodeBugs are those that no way out of a node shows.
var nodeBugs = []Bug{
	{Name: "budget-read-before-insert", Doc: "The budget is read before what is under way to the disk has been counted; miners ask for three times of it.",
		Finds: []string{"budget-per-day", "budget-row"}, Seeds: 2, provoke: func(w *World) {
			for i := range w.cfg.Miners {
				w.cfg.Miners[i].Node.Budget = 3000_00
			}
		}, plant: func(w *World) { defect(w, node.DefectBudgetRead) }},
	{Name: "cut-off-by-miner-clock", Doc: "Whether a game has begun is judged by the date in the submission; somebody bets after kick-off and writes an earlier one.",
		Finds: []string{"no-late-acceptance"}, Seeds: 2, provoke: backdate, plant: func(w *World) { defect(w, node.DefectMinerClock) }},
	{Name: "off-by-one-day-boundary", Doc: "The day of the budget begins an hour after the day of the rows.",
		Finds: []string{"budget-row"}, Seeds: 2, more: busy, plant: func(w *World) { defect(w, node.DefectDayBoundary) }},
	{Name: "wrong-uid-after-reuse", Doc: "Weights go to the slots that hotkeys held when the round began, whoever holds them when the weights are made.",
		Finds: []string{"new-owner-inherits-nothing"}, Seeds: 10, more: "chain: {weights_rate_limit: 400}\n", provoke: leaves, plant: func(w *World) { defect(w, node.DefectKeepsSlot) }},
}

// worldBugs are those of the simulator itself.
var worldBugs = []Bug{
	{Name: "clock-set-back", Doc: "The time of the world is set back for an instant on the second day.",
		Finds: []string{"virtual-time-monotone"}, Seeds: 2, plant: func(w *World) {
			w.Sched.Push(w.cfg.Start.Add(36*time.Hour), sched.Func(func() {
				real := w.Sched
				w.Sched = sched.NewWorld(w.cfg.Start.Add(time.Hour), 0)
				w.OnInput = func(*Host) { w.Sched, w.OnInput = real, nil }
			}))
		}},
}

func defect(w *World, d node.Defect) {
	between(w, true, func(_ *Host, p *node.Ports) { p.Defects |= d })
}

package sim

import "fmt"

// Folder is what a folder of scenarios did as tests. Its JSON is what a later one
// is held against.
type Folder struct {
	Revision string `json:"revision"` // of the program
	Cases    []Case `json:"cases"`
}

// Overspent holds each case against the same one of an earlier Folder, by the
// events of its runs: the same scenario and seeds have the same number of them
// on every machine, so that more of them is the program's doing and no noise. A
// case that has more than 1 + tolerance times those of its budget fails; one that
// has none to be held against has a warning.
func Overspent(cases []Case, budget *Folder, tolerance float64) {
	before := map[string]*Case{}
	for i := range budget.Cases {
		before[budget.Cases[i].File] = &budget.Cases[i]
	}
	for i := range cases {
		c := &cases[i]
		old := before[c.File]
		switch {
		case c.NotRun || c.Events == 0:
		case old == nil || old.Events == 0:
			c.Warnings = append(c.Warnings, "the baseline has no events of it")
		case old.Seeds != c.Seeds:
			c.Warnings = append(c.Warnings, fmt.Sprintf("the baseline has it with seeds %s, not %s", old.Seeds, c.Seeds))
		case float64(c.Events) > (1+tolerance)*float64(old.Events):
			c.Failures = append(c.Failures, Failure{ExitThreshold, "budget", "events", fmt.Sprintf("%s events, %.2f × the %s of the baseline; expected at most %.2f ×",
				grouped(c.Events), float64(c.Events)/float64(old.Events), grouped(old.Events), 1+tolerance)})
		}
	}
}

package sim

import (
	"fmt"
	"time"

	"bettensor/sched"
	"bettensor/sim/fault"
	"bettensor/sim/scenario"
)

// Expanded is the plan's scenario with every choice of the seed written out: the
// swarm's faults and miners, and of each fault the windows that happen, with
// their times, their nodes and the seed of what goes on inside. Nothing is left
// to draw, and it runs to the same trace hash.
func (p *Plan) Expanded() (*scenario.Scenario, error) {
	w, err := p.NewWorld()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	s := *p.Scenario
	s.Faults = nil
	length := p.End.Sub(p.Start)
	for i := range p.Scenario.Faults {
		f := p.Scenario.Faults[i]
		target, err := fault.ParseTarget(f.Target)
		if err != nil {
			return nil, fmt.Errorf("fault %s: target %q: %w", f.Name, f.Target, err)
		}
		plan := sched.NewStream(w.cfg.Seed, f.Stream(), "windows")
		windows, err := f.Occurrences(length, plan)
		if err != nil {
			return nil, fmt.Errorf("fault %s: %w", f.Name, err)
		}
		windows = clip(windows, w.cfg.Quiet)
		if f.When != "" {
			if win, ok := f.Triggered(0, length, plan); ok {
				windows = []fault.Window{win}
			}
		}
		if len(windows) == 0 {
			continue // it never happens
		}
		if len(windows) > scenario.MaxItems {
			return nil, fmt.Errorf("fault %s has %d windows, and a list holds %d: make the run shorter or the fault rarer", f.Name, len(windows), scenario.MaxItems)
		}
		f.Windows = written(&f, windows, func(win fault.Window) (names []string) {
			if win.Hit == nil && f.Params.Share >= 1 {
				return nil // the whole target
			}
			for _, h := range w.hitBy(win, w.targets(target), f.Params.Share) {
				names = append(names, h.Name)
			}
			return names
		})
		f.At, f.Every, f.For, f.Until, f.Probability = 0, 0, 0, 0, 1
		s.Faults = append(s.Faults, f)
	}
	return &s, nil
}

// written are windows as a file has them. One that an event starts keeps the
// length it was given, which the run's end may cut.
func written(f *fault.Fault, windows []fault.Window, hit func(fault.Window) []string) []fault.Planned {
	var out []fault.Planned
	for _, w := range windows {
		one := fault.Planned{At: w.Start, For: w.End - w.Start, Draw: w.Draw, Hit: hit(w)}
		if f.When != "" {
			one.At, one.For = 0, triggeredFor(f)
		}
		out = append(out, one)
	}
	return out
}

func triggeredFor(f *fault.Fault) time.Duration {
	if f.Windows != nil {
		return f.Windows[0].For
	}
	return f.For
}

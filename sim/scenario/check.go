package scenario

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bettensor/sim/fault"
	"bettensor/sim/metric"
)

// checkWindows checks a fault whose windows are written out.
func (d *decoder) checkWindows(s *Scenario, f *fault.Fault, p string) {
	given := func(key string) bool { return d.at[p+"."+key] != nil }
	for _, key := range []string{"at", "every", "for", "until", "probability"} {
		if given(key) {
			d.wrong(p+"."+key, "not used where windows is given: remove one of them")
		}
	}
	if f.When != "" && len(f.Windows) > 1 {
		d.wrong(p+".windows", "expected one window with when, got %d", len(f.Windows))
	}
	last := time.Duration(0)
	for i, w := range f.Windows {
		at := item(p+".windows", i)
		switch {
		case f.When != "" && w.At != 0:
			d.wrong(at+".at", "not used with when, whose event starts the window")
		case w.At < last:
			d.wrong(at+".at", "expected windows in the order of their start")
		case s != nil && s.Duration > 0 && w.At >= s.Duration:
			d.wrong(at+".at", "%s is not before the end of the run at %s", formatDuration(w.At), formatDuration(s.Duration))
		}
		last = w.At
		for k, name := range w.Hit {
			if s != nil && !slices.Contains(s.nodes(), name) {
				d.wrong(item(at+".hit", k), "no node %q%s", name, suggest(name, s.nodes()))
			}
		}
	}
}

// nodes lists the names of all validators and miners.
func (s *Scenario) nodes() []string {
	names := s.validators()
	for _, g := range s.Miners {
		for i := range g.Count {
			names = append(names, MinerName(g.Name, i))
		}
	}
	return names
}

// validators lists the names of all validators.
func (s *Scenario) validators() (names []string) {
	for i := range s.Validators {
		names = append(names, s.Validators[i].Members()...)
	}
	return names
}

// Members lists the names of the validators that an item stands for: its name
// for one, numbered from 0 for several.
func (v *Validator) Members() []string {
	if v.Count == 1 {
		return []string{v.Name}
	}
	var names []string
	for i := range v.Count {
		names = append(names, fmt.Sprintf("%s-%d", v.Name, i))
	}
	return names
}

// MinerName is the name of a group's member, counted from 0.
func MinerName(group string, i int) string { return fmt.Sprintf("%s-%d", group, i) }

func (s *Scenario) groups() (names []string) {
	for _, g := range s.Miners {
		names = append(names, g.Name)
	}
	for _, g := range s.Swarm.Miners {
		names = append(names, g.Name)
	}
	return names
}

func (s *Scenario) kinds() (names []string) {
	for _, g := range s.Miners {
		names = append(names, g.Kind)
	}
	for _, g := range s.Swarm.Miners {
		names = append(names, g.Kind)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// checkVoters checks the kinds of validators.
func (d *decoder) checkVoters(s *Scenario) {
	first := true
	for i := range s.Validators {
		v, p := &s.Validators[i], item("validators", i)
		if v.Kind != honest && v.Kind != "" && first && v.Count > 0 {
			d.wrong(p+".kind", "expected the first validator to be honest: predictions are counted at it, got %s", v.Kind)
		}
		first = first && v.Count == 0
		if v.Leader != "" && !slices.Contains(s.validators(), v.Leader) {
			d.wrong(p+".parameters.leader", "no validator %q%s", v.Leader, suggest(v.Leader, s.validators()))
		}
		switch {
		case v.Kind != biased:
		case v.Friends == "":
			d.wrong(p+".parameters.friends", "needed for biased: expected the name of a group of miners")
		case !slices.Contains(s.groups(), v.Friends):
			d.wrong(p+".parameters.friends", "no group of miners %q%s", v.Friends, suggest(v.Friends, s.groups()))
		}
	}
}

// checkNeeds checks that a fault of a kind that does nothing by its defaults was
// given a parameter.
func (d *decoder) checkNeeds(kind fault.Kind, p string) {
	if !kind.Needs() {
		return
	}
	keys := make([]string, len(kind.Params))
	for i, x := range kind.Params {
		if keys[i] = x.Key; d.at[p+".parameters."+x.Key] != nil {
			return
		}
	}
	d.wrong(p, "parameters are needed for %s, which changes nothing without: expected at least one of %s", kind.What, strings.Join(keys, ", "))
}

// checkSwarm checks what the seed may choose of.
func (d *decoder) checkSwarm(s *Scenario) {
	for i := range s.Swarm.Faults {
		f, p := &s.Swarm.Faults[i], item("swarm.faults", i)
		if slices.ContainsFunc(s.Faults, func(o fault.Fault) bool { return o.Name == f.Name && f.Name != "" }) {
			d.wrong(p+".name", "expected a name of its own, %q is also one of faults", f.Name)
		}
		kind, known := fault.KindOf(f.What)
		one := fault.Fault{What: f.What, Target: f.Target}
		if d.at[p] != nil {
			d.checkTarget(s, &one, kind, known, p)
			d.checkNeeds(kind, p)
		}
		f.Target = one.Target
	}
	for i, g := range s.Swarm.Miners {
		if slices.ContainsFunc(s.Miners, func(o Group) bool { return o.Name == g.Name && g.Name != "" }) {
			d.wrong(item("swarm.miners", i)+".name", "expected a name of its own, %q is also one of miners", g.Name)
		}
		if p := item("swarm.miners", i) + ".parameters.leader"; g.Leader != "" && !slices.Contains(s.groups(), g.Leader) {
			d.wrong(p, "no group of miners %q%s", g.Leader, suggest(g.Leader, s.groups()))
		}
	}
}

// most is the greatest number of miners that the swarm may choose.
func (s *Swarm) most() (n int) {
	for i := range s.Miners {
		if r, err := parseSpread(s.Miners[i].Count, spreadOf("counts"), 0); err == nil {
			n += int(r.high)
		}
	}
	return n
}

// checkPhases checks that phases follow each other within the run.
func (d *decoder) checkPhases(s *Scenario) {
	at := time.Duration(0)
	for i := range s.Phases {
		ph, p := &s.Phases[i], item("phases", i)
		last := i == len(s.Phases)-1
		switch {
		case ph.For > 0 && ph.Until > 0:
			d.wrong(p+".until", "excludes for: remove one of them")
		case ph.For == 0 && ph.Until == 0 && !last:
			d.wrong(p, "for or until is needed: expected when the phase ends")
		case ph.Until > 0 && ph.Until <= at:
			d.wrong(p+".until", "expected a time after the phase before, %s, got %s", formatDuration(at), formatDuration(ph.Until))
		}
		if ph.SettleWithin > 0 && !ph.Healing() {
			d.wrong(p+".settle_within", "expected faults to be off in a phase that must settle")
		}
		from := at
		at = max(ph.Until, at+ph.For)
		end := at
		if last && ph.For == 0 && ph.Until == 0 {
			end = s.Duration
		}
		if ph.SettleWithin > 0 && end > 0 && ph.SettleWithin > end-from {
			d.wrong(p+".settle_within", "expected at most the length of the phase, %s, got %s", formatDuration(end-from), formatDuration(ph.SettleWithin))
		}
		if s.Duration > 0 && at > s.Duration {
			d.wrong(p, "ends at %s, after the end of the run at %s", formatDuration(at), formatDuration(s.Duration))
		}
	}
}

// checkJudgement checks thresholds, comparisons and properties.
func (d *decoder) checkJudgement(s *Scenario) {
	for i, t := range s.Thresholds {
		p := item("thresholds", i)
		sel, err := metric.ParseSelector(t.Metric)
		if err != nil {
			if t.Metric != "" {
				d.syntax(p+".metric", err)
			}
			continue
		}
		d.checkSelector(s, sel, p+".metric")
		of, _ := metric.Find(sel.Name)
		if _, err := metric.ParseConditions(t.Expect, of); err != nil && t.Expect != "" {
			d.syntax(p+".expect", err)
		}
	}
	for i, e := range s.Expect {
		p := item("expect", i) + ".that"
		c, err := metric.ParseComparison(e.That)
		if err != nil {
			if e.That != "" {
				d.syntax(p, err)
			}
			continue
		}
		for _, t := range c.Terms() {
			if t.Selector.Name != "" {
				d.checkSelector(s, t.Selector, p)
			}
		}
	}
	for i, name := range s.Sometimes {
		if !slices.Contains(metric.PropertyNames(), name) {
			d.wrong(item("sometimes", i), "no property %q%s", name, suggest(name, metric.PropertyNames()))
		}
	}
}

// syntax tells what is wrong with a text, and at which of its columns.
func (d *decoder) syntax(path string, err error) {
	var e *metric.SyntaxError
	if !errors.As(err, &e) {
		d.wrong(path, "%v", err)
		return
	}
	if e.Word != "" {
		d.wrong(path, "%s %q at column %d%s", e.Want, clip(e.Word), e.Column, suggest(e.Word, e.Have))
		return
	}
	d.wrong(path, "cannot read %q at column %d: expected %s", clip(e.Text), e.Column, e.Want)
}

// checkSelector checks that what labels name exists.
func (d *decoder) checkSelector(s *Scenario, sel metric.Selector, path string) {
	of, _ := metric.Find(sel.Name)
	if of.Bench != (s.Load.What != "") && !d.bad["load"] && !d.bad["load.what"] {
		where := "a file with load, which is a benchmark"
		if !of.Bench {
			where = "a file without load, which is no benchmark"
		}
		d.wrong(path, "%s is measured of %s", of.Name, where)
		return
	}
	if of.Bench {
		d.checkPart(s, sel, path)
		return
	}
	for _, pair := range sel.Labels {
		var what string
		var have []string
		for _, l := range of.Labels {
			if l.Key != pair.Key {
				continue
			}
			switch l.Names {
			case metric.Group:
				what, have = "group of miners", s.groups()
			case metric.Kind:
				what, have = "group of miners of kind", s.kinds()
			case metric.Validator:
				what, have = "validator", s.validators()
			case metric.Code:
				if d.opt.Codes != nil {
					what, have = "code of a refusal", d.opt.Codes
				}
			}
		}
		if what != "" && !slices.Contains(have, pair.Value) && !slices.Contains(have, "") {
			d.wrong(path, "no %s %q at column %d%s", what, pair.Value, pair.Column, suggest(pair.Value, have))
		}
	}
}

// checkPart checks that a benchmark has the load that a selector names.
func (d *decoder) checkPart(s *Scenario, sel metric.Selector, path string) {
	var have []string
	for _, part := range s.Load.Mix {
		have = append(have, part.Name)
	}
	if len(have) == 0 && loadParts[s.Load.What] != nil {
		have = loadParts[s.Load.What][:1]
	}
	references := loadReferences[s.Load.What]
	if s.Load.Arrivals == "open" && (s.Load.What == "bus" || s.Load.What == "sched") {
		have, references = loadParts[s.Load.What][:1], []string{"channel"}
		if s.Load.What == "sched" {
			have = []string{"posted"}
		}
	}
	for _, pair := range sel.Labels {
		if pair.Key == "of" {
			have = append(have, references...)
		} else {
			have = references
		}
		if !slices.Contains(have, pair.Value) {
			d.wrong(path, "the load has no %q at column %d%s", pair.Value, pair.Column, suggest(pair.Value, have))
		}
	}
}

// loadKeys says which keys each part takes, besides what, for and operations.
var loadKeys = map[string][]string{
	"bus":    {"arrivals", "rate", "ramp", "payload", "producers", "subscribers", "mix"},
	"sched":  {"arrivals", "rate", "ramp", "producers", "mix"},
	"score":  {"miners", "predictions", "mix"},
	"store":  {"arrivals", "rate", "ramp", "payload", "producers", "mix"},
	"ingest": {"arrivals", "rate", "ramp", "miners", "predictions", "subscribers"},
	"sim":    {},
}

// loadParts are the operations that each may be made of; the first is done where
// there is no mix.
var loadParts = map[string][]string{
	"bus":    {"publish", "watched", "timer"},
	"sched":  {"timer", "recorded", "moved", "inbox", "port", "posted"},
	"score":  {"day", "released", "round", "arrival"},
	"store":  {"grouped", "synced", "read"},
	"ingest": {"prediction", "update"},
	"sim":    {"event"},
}

// loadReferences are what each is compared with, in the same run.
var loadReferences = map[string][]string{
	"bus": {"call", "channel"}, "sched": {"heap"}, "score": {"plain"}, "store": {"memory", "file"}, "ingest": {"echo"}, "sim": {"heap"},
}

// checkLoad checks what makes a file a benchmark.
func (d *decoder) checkLoad(s *Scenario) {
	l := &s.Load
	if l.What == "" {
		for _, key := range []string{"warmup", "repeat"} {
			if d.at[key] != nil {
				d.wrong(key, "used with load only, which makes the file a benchmark")
			}
		}
		return
	}
	for _, key := range []string{"arrivals", "rate", "ramp", "mix", "payload", "producers", "subscribers", "miners", "predictions"} {
		if p := "load." + key; d.at[p] != nil && !slices.Contains(loadKeys[l.What], key) {
			d.wrong(p, "not used where load.what is %s%s", l.What, suggest("", loadKeys[l.What]))
		}
	}
	switch {
	case l.For > 0 && l.Operations > 0:
		d.wrong("load.operations", "excludes load.for: remove one of them")
	case l.Arrivals == "open" && l.Rate == 0 && !d.bad["load.rate"]:
		d.wrong("load.rate", "needed with open arrivals: expected operations a second")
	case l.Arrivals != "open" && (l.Rate > 0 || l.Ramp > 0):
		d.wrong("load.arrivals", "expected open where there is a rate")
	}
	if l.What == "sim" && len(s.Validators) == 0 {
		d.wrong("validators", "needed where load.what is sim: expected a list of at least one item")
	}
	if len(l.Mix) > 0 && l.Arrivals == "open" {
		d.wrong("load.mix", "not used with open arrivals: remove one of them")
	}
	total := 0.0
	for i, part := range l.Mix {
		total += part.Share
		if part.Name != "" && !slices.Contains(loadParts[l.What], part.Name) {
			d.wrong(item("load.mix", i)+".name", "no operation %q of %s%s", part.Name, l.What, suggest(part.Name, loadParts[l.What]))
		}
	}
	if len(l.Mix) > 0 && (total < 0.999 || total > 1.001) {
		d.wrong("load.mix", "expected shares that add up to 1, got %g", total)
	}
}

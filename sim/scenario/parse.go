package scenario

import (
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"bettensor/sim/fault"
	"bettensor/sim/market"
)

// Option is what a scenario is checked against and this package does not know.
type Option struct {
	// Coefficients are the names that a scheme has; nil takes any snake_case name.
	Coefficients []string
	// Coefficient says what is wrong with a value, which is the text of a finite
	// number, true or false; nil takes any.
	Coefficient func(name, value string) error
	// Invariants are the names that can be disabled; nil takes any.
	Invariants []string
	// Bugs are the names that can be planted; nil takes any.
	Bugs []string
	// Events are the names that a fault's `when` may wait for; nil takes any.
	Events []string
	// Codes are the names of refusals, for labels of metrics; nil takes any.
	Codes []string
}

// Parse reads a scenario. file is its name in messages, sets are the --set
// arguments, PATH=VALUE, put into the file before it is read. The scenario is
// complete, every default filled in; it is nil where there are problems.
func Parse(file string, data []byte, sets []string, opt Option) (*Scenario, Problems) {
	d := newDecoder(file, opt)
	d.name = strings.TrimSuffix(path.Base(strings.ReplaceAll(file, `\`, "/")), path.Ext(file))
	if !isName(d.name) {
		d.name = "scenario"
	}
	if len(data) > MaxFileBytes {
		return nil, Problems{{File: file, Line: 1, Column: 1, Message: "expected a file of at most " +
			formatBytes(MaxFileBytes) + ", got " + formatBytes(Bytes(len(data)))}}
	}
	root := d.load(data, nil)
	switch {
	case root != nil && root.Kind == yaml.MappingNode:
	case len(d.problems) > 0 && root == nil:
		return nil, d.problems.sorted()
	case root == nil || isNull(root):
		d.report(Problem{Line: 1, Column: 1, Message: "expected a scenario, got an empty file"}, nil)
		return nil, d.problems.sorted()
	default:
		d.report(Problem{Line: root.Line, Column: root.Column, Message: "expected keys with values, got " + got(root)}, nil)
		return nil, d.problems.sorted()
	}
	for i, text := range sets {
		d.set(root, text, i+1)
	}
	d.blockTime(root)

	var s Scenario
	d.section(reflect.ValueOf(&s).Elem(), root, "")
	d.check(&s)
	if len(d.problems) > 0 {
		return nil, d.problems.sorted()
	}
	return &s, nil
}

// blockTime looks ahead at what blk means. A bad block time is reported when
// its section is read.
func (d *decoder) blockTime(root *yaml.Node) {
	chain := child(root, "chain")
	if chain == nil {
		return
	}
	if n := child(chain, "block_time"); n != nil && n.Kind == yaml.ScalarNode {
		if t, err := parseDuration(n.Value, 0); err == nil && t > 0 && t <= time.Hour {
			d.block = t
		}
	}
}

// child finds the value of a key; nil where n is no mapping or lacks it.
func child(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Kind == yaml.ScalarNode && n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// wrong complains about the value at path, or about the nearest section that
// the file has.
func (d *decoder) wrong(path, format string, args ...any) {
	if d.bad[path] {
		return
	}
	n, at := d.at[path], path
	for n == nil {
		cut := strings.LastIndexAny(at, ".[")
		if cut < 0 {
			n = d.at[""]
			break
		}
		at = at[:cut]
		n = d.at[at]
	}
	d.complain(n, path, format, args...)
}

// Config is the made-up market in the form of sim/market. It has no meaning where
// there are files.
func (m *Market) Config() market.Config {
	c := market.Config{
		OverroundMin: m.OverroundMin, OverroundMax: m.OverroundMax,
		Drift: m.Drift, ClosingError: m.ClosingError,
		PostponedShare: m.Postponed, VoidShare: m.Void, AbandonedShare: m.Abandoned,
	}
	for _, l := range m.Leagues {
		c.Leagues = append(c.Leagues, market.League(l))
	}
	return c
}

// check finds mistakes that no key shows alone. What was reported already is
// not judged again.
func (d *decoder) check(s *Scenario) {
	d.checkMarket(&s.Market)
	d.checkNodes(s)
	for i := range s.Faults {
		d.checkFault(s, &s.Faults[i], item("faults", i))
	}
	d.checkSwarm(s)
	d.checkPhases(s)
	d.checkJudgement(s)
	d.checkLoad(s)
	if d.opt.Bugs != nil && s.Plant != "" && !slices.Contains(d.opt.Bugs, s.Plant) {
		d.wrong("plant", "no bug %q%s", s.Plant, suggest(s.Plant, d.opt.Bugs))
	}
	for i, one := range s.Invariants.Disable {
		p := item("invariants.disable", i)
		if d.opt.Invariants != nil && one.Name != "" && !slices.Contains(d.opt.Invariants, one.Name) {
			d.wrong(p+".name", "no invariant %q%s", one.Name, suggest(one.Name, d.opt.Invariants))
		}
		if d.at[p+".reason"] != nil && strings.TrimSpace(one.Reason) == "" {
			d.wrong(p+".reason", "expected a reason, got %q", one.Reason)
		}
	}
}

func (d *decoder) checkMarket(m *Market) {
	if len(m.Files) > 0 {
		for _, f := range fieldsOf(reflect.TypeFor[Market]()) {
			if p := "market." + f.key; f.key != "file" && d.at[p] != nil {
				d.wrong(p, "not used where market.file is given: remove one of them")
			}
		}
	}
	if len(m.Files) == 0 && len(m.Leagues) == 0 && !d.bad["market.leagues"] {
		for _, l := range market.DefaultConfig().Leagues {
			m.Leagues = append(m.Leagues, League(l))
		}
	}
	for i, l := range m.Leagues {
		if l.Teams%2 != 0 {
			d.wrong(item("market.leagues", i)+".teams", "expected an even number, got %d", l.Teams)
		}
	}
	if m.OverroundMin > m.OverroundMax && !d.bad["market.overround_min"] {
		d.wrong("market.overround_max", "expected at least market.overround_min, %v, got %v", m.OverroundMin, m.OverroundMax)
	}
}

func (d *decoder) checkNodes(s *Scenario) {
	if s.Node.SessionTimeout == 0 {
		s.Node.SessionTimeout = s.Node.Heartbeat * 5 / 2
	} else if s.Node.SessionTimeout <= s.Node.Heartbeat && !d.bad["node.heartbeat"] {
		d.wrong("node.session_timeout", "expected more than node.heartbeat, %s, got %s",
			formatDuration(s.Node.Heartbeat), formatDuration(s.Node.SessionTimeout))
	}
	validators, miners := 0, 0
	unread := false // a count of validators
	for i, v := range s.Validators {
		validators += v.Count
		unread = unread || d.bad[item("validators", i)] || d.bad[item("validators", i)+".count"]
	}
	miners += s.Swarm.most()
	counts := map[string]int{}
	var names []string
	for i, g := range s.Miners {
		miners += g.Count
		if d.bad[item("miners", i)+".count"] {
			g.Count = 1 // it was reported; nothing is to follow from a group without miners
		}
		counts[g.Name] = g.Count
		names = append(names, g.Name)
	}
	switch {
	case len(s.Validators) == 0 && s.Load.What == "" && !d.bad["load"] && !d.bad["load.what"]:
		if d.at["validators"] != nil {
			d.wrong("validators", "expected at least one item")
		} else if !d.bad[""] {
			d.wrong("", "validators is needed: expected a list of at least one item")
		}
	case validators == 0 && len(s.Validators) > 0 && !unread:
		d.wrong("validators", "expected at least one validator, all counts are 0")
	}
	d.checkVoters(s)
	if total := validators + miners; total > int(s.Chain.MaxUIDs) && !d.bad["chain.max_uids"] && s.Chain.MaxUIDs > 0 {
		p := "miners"
		if d.at["chain.max_uids"] != nil {
			p = "chain.max_uids"
		}
		d.wrong(p, "%d validators and %d miners do not fit into chain.max_uids, %d", validators, miners, s.Chain.MaxUIDs)
	}
	for i := range s.Miners {
		g, p := &s.Miners[i], item("miners", i)+".parameters.leader"
		if g.Kind != copycat || d.bad[p] {
			continue
		}
		if at := slices.IndexFunc(s.Miners, func(g Group) bool { return g.Kind == "skilled" }); at >= 0 && g.Leader == "" {
			g.Leader = s.Miners[at].Name
		}
		switch {
		case g.Leader == "" && slices.ContainsFunc(s.Miners, func(g Group) bool { return g.Kind == "" }):
			// It may be the group whose kind was not understood.
		case g.Leader == "":
			d.wrong(p, "needed, for there is no group of skilled miners: expected the name of a group")
		case g.Leader == g.Name:
			d.wrong(p, "expected another group, a miner cannot copy itself")
		case slices.Contains(names, ""):
			// It may be the group whose kind or name was not understood.
		case !slices.Contains(names, g.Leader):
			d.wrong(p, "no group of miners %q%s", g.Leader, suggest(g.Leader, names))
		case counts[g.Leader] == 0 && g.Count > 0:
			d.wrong(p, "expected a group with miners, the count of %q is 0", g.Leader)
		}
	}
}

func (d *decoder) checkFault(s *Scenario, f *fault.Fault, p string) {
	if d.at[p] == nil || d.at[p].Kind != yaml.MappingNode {
		return
	}
	kind, known := fault.KindOf(f.What)
	d.checkTarget(s, f, kind, known, p)

	given := func(key string) bool { return d.at[p+"."+key] != nil }
	d.checkNeeds(kind, p)
	if given("windows") {
		d.checkWindows(s, f, p)
		return
	}
	switch {
	case !given("at") && !given("every") && !given("when"):
		d.wrong(p, "expected one of at, every and when, to say when it happens")
	case given("when") && (given("at") || given("every") || given("until")):
		d.wrong(p+".when", "excludes at, every and until: the event alone says when it happens")
	}
	if given("every") && !given("at") {
		f.At = f.Every
	}
	if event, _, ok := f.Trigger(); ok && d.opt.Events != nil && !slices.Contains(d.opt.Events, event) {
		d.wrong(p+".when", "no event %q%s", event, suggest(event, d.opt.Events))
	}
	if given("every") && !d.bad[p+".every"] && !d.bad[p+".for"] {
		if !given("for") {
			d.wrong(p, "for is needed with every: expected how long each window lasts")
		} else if f.For > f.Every {
			d.wrong(p+".for", "expected at most every, %s, got %s", formatDuration(f.Every), formatDuration(f.For))
		}
	}
	if given("until") && !d.bad[p+".until"] && f.Until <= f.At {
		d.wrong(p+".until", "expected a time after at, %s, got %s", formatDuration(f.At), formatDuration(f.Until))
	}
	if s == nil || s.Duration == 0 {
		return // follows the games: the world checks when it knows them
	}
	end := s.Duration
	switch {
	case f.At >= end && given("at"):
		d.wrong(p+".at", "%s is not before the end of the run at %s", formatDuration(f.At), formatDuration(end))
	case given("at") && !given("every") && f.For > end-f.At:
		d.wrong(p+".for", "ends at %s, after the end of the run at %s", formatDuration(f.At+f.For), formatDuration(end))
	case given("every") && f.Every > 0 && !d.bad[p+".at"] && (end-f.At)/f.Every > fault.MaxWindows:
		d.wrong(p+".every", "expected at most %d windows in a run of %s", fault.MaxWindows, formatDuration(end))
	}
}

// item is the path of an item of a list.
func item(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

// checkTarget fills in the kind's own target and checks that there is such a
// node; s is nil for a fault that stands alone.
func (d *decoder) checkTarget(s *Scenario, f *fault.Fault, kind fault.Kind, known bool, p string) {
	if !known || d.bad[p+".target"] {
		return
	}
	if f.Target == "" {
		f.Target = kind.Target
	}
	if f.Target == "" {
		d.wrong(p, "target is needed for %s: expected whom it hits", f.What)
		return
	}
	t, err := fault.ParseTarget(f.Target)
	if err != nil {
		return // its form was reported
	}
	p += ".target"
	if !kind.Hits.Allows(t) {
		d.wrong(p, "%s hits %s, got %q", f.What, kind.Hits, f.Target)
		return
	}
	if t.Name == "" || s == nil {
		return
	}
	list, what, names, counts := "miners", "group of miners", []string(nil), []int(nil)
	if t.Validators {
		list, what = "validators", "validator"
		for _, v := range s.Validators {
			names, counts = append(names, v.Name), append(counts, v.Count)
		}
	} else {
		for _, g := range s.Miners {
			names, counts = append(names, g.Name), append(counts, g.Count)
		}
	}
	i := slices.Index(names, t.Name)
	if i < 0 && slices.Contains(names, "") {
		return // it may be the one whose name was not understood
	}
	if i < 0 {
		d.wrong(p, "no %s %q%s", what, t.Name, suggest(t.Name, names))
	} else if t.Index >= counts[i] && !d.bad[item(list, i)+".count"] {
		d.wrong(p, "%q has a count of %d, and members are counted from 0: no member %d", t.Name, counts[i], t.Index)
	}
}

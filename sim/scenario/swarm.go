package scenario

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"bettensor/sim/fault"
)

// Swarm is what the seed may choose of. Each choice is drawn from a stream that is
// named by what is chosen, so that taking one away shifts no other.
type Swarm struct {
	// Omit is the probability with which each fault and each group of the swarm is
	// left out.
	Omit float64 `key:"omit" need:"yes" range:"0..1"`
	// Faults to choose of, by name; their names and those of `faults` differ.
	Faults []SwarmFault `key:"faults"`
	// Miners to choose of, in groups by name.
	Miners []SwarmGroup `key:"miners"`
}

// SwarmFault is a fault with ranges in place of values. A range is written LOW..HIGH
// and drawn from log-uniformly, so that small values are tried as often as large
// ones, and uniformly where it begins at 0 or below; a single value is taken as it is.
type SwarmFault struct {
	// Name of the fault.
	Name string `key:"name" form:"name" need:"yes"`
	// What goes wrong: one of the kinds below.
	What string `key:"what" form:"fault" need:"yes"`
	// Target is whom it hits, as in a fault.
	Target string `key:"target" form:"target"`
	// Every is the time from one window's start to the next one's: `2h..1d`.
	Every string `key:"every" form:"durations" need:"yes"`
	// For is the length of a window. It is cut to `every`.
	For string `key:"for" form:"durations" need:"yes"`
	// Probability that a window happens at all.
	Probability string `key:"probability" form:"shares" default:"1"`
	// Params are the kind's own. A number or a duration takes a range; a word takes
	// several with `|` between, one of which is drawn: `in|out`. Those not given keep
	// their default.
	Params map[string]string `key:"parameters" of:"what"`
}

// SwarmGroup is a group of miners with a range in place of its count.
type SwarmGroup struct {
	// Kind of miner, one of the kinds below.
	Kind string `key:"kind" form:"kind" need:"yes"`
	// Name of the group. Absent: its kind.
	Name string `key:"name" form:"name" default:"=kind"`
	// Count of miners: `1..16`.
	Count string `key:"count" form:"counts" default:"1"`
	// Transport by which the group's miners talk, as in a group.
	Transport string `key:"transport" enum:"websocket,http" default:"websocket"`
	// Params of the kind, as in a group.
	Params map[string]float64 `key:"parameters" of:"kind"`
	// Leader is the parameter of that name, which copycats take.
	Leader string
}

// Choose makes the swarm's choices for a run of a length: the scenario it
// returns has them as ordinary faults and groups, and no swarm. chosen names
// them. stream gives a fresh random stream for each path of names; each choice
// draws from its own. A scenario without a swarm is returned as it is.
func (s *Scenario) Choose(length time.Duration, stream func(path ...string) *rand.Rand) (explicit *Scenario, chosen []string, err error) {
	if len(s.Swarm.Faults)+len(s.Swarm.Miners) == 0 {
		return s, nil, nil
	}
	out := *s
	out.Swarm = Swarm{}
	out.Faults, out.Miners = slices.Clone(s.Faults), slices.Clone(s.Miners)
	for i := range s.Swarm.Faults {
		f := &s.Swarm.Faults[i]
		if stream("fault", f.Name, "omit").Float64() < s.Swarm.Omit {
			continue
		}
		one, err := f.choose(length, s.Chain.BlockTime, stream)
		if err != nil {
			return nil, nil, err
		}
		out.Faults = append(out.Faults, one)
		chosen = append(chosen, f.Name)
	}
	for i := range s.Swarm.Miners {
		g := &s.Swarm.Miners[i]
		if stream("miners", g.Name, "omit").Float64() < s.Swarm.Omit {
			continue
		}
		count := reflect.New(reflect.TypeFor[int]()).Elem()
		text, err := drawn(g.Count, spreadOf("counts"), 0, stream("miners", g.Name, "count"))
		if err == nil {
			err = parseValue(text, count, 0)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("miners %s of the swarm: count %q: %w", g.Name, g.Count, err)
		}
		if n := int(count.Int()); n > 0 {
			out.Miners = append(out.Miners, Group{Kind: g.Kind, Name: g.Name, Count: n, Transport: g.Transport, Params: g.Params, Leader: g.Leader})
			chosen = append(chosen, fmt.Sprintf("%d %s", n, g.Name))
		}
	}
	return &out, chosen, nil
}

// drawn draws a value of a range, as text.
func drawn(text string, f field, block time.Duration, rng *rand.Rand) (string, error) {
	s, err := parseSpread(text, f, block)
	if err != nil {
		return "", err
	}
	return s.draw(rng), nil
}

// choose draws everything that a fault of the swarm leaves open.
func (f *SwarmFault) choose(length, block time.Duration, stream func(path ...string) *rand.Rand) (fault.Fault, error) {
	one := fault.Fault{Name: f.Name, What: f.What, Target: f.Target, Probability: 1}
	put := func(to reflect.Value, key, text string, as field) error {
		value, err := drawn(text, as, block, stream("fault", f.Name, key))
		if err == nil {
			err = parseValue(value, to, block)
		}
		if err != nil {
			return fmt.Errorf("fault %s of the swarm: %s %q: %w", f.Name, key, text, err)
		}
		return nil
	}
	v := reflect.ValueOf(&one).Elem()
	for _, x := range []struct{ field, key, text, form string }{
		{"Every", "every", f.Every, "durations"}, {"For", "for", f.For, "durations"}, {"Probability", "probability", f.Probability, "shares"},
	} {
		if err := put(v.FieldByName(x.field), x.key, x.text, spreadOf(x.form)); err != nil {
			return fault.Fault{}, err
		}
	}
	one.For = min(one.For, one.Every)
	// The first window starts anywhere within one `every`, lest all faults meet.
	reach := min(one.Every, length)
	one.At = time.Duration(stream("fault", f.Name, "at").Float64() * float64(reach)).Truncate(time.Millisecond)
	params, _ := takes("fault", f.What)
	for _, p := range params {
		to := v.FieldByName("Params").Field(p.index)
		if text, given := f.Params[p.key]; given {
			if err := put(to, p.key, text, p); err != nil {
				return fault.Fault{}, err
			}
		} else if err := parseValue(p.def, to, block); err != nil {
			return fault.Fault{}, fmt.Errorf("fault %s of the swarm: default of %s: %w", f.Name, p.key, err)
		}
	}
	return one, nil
}

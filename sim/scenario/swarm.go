package scenario

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
// ones; a single value is taken as it is.
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

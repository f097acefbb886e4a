package fault

import "slices"

// Kind is one thing that can go wrong.
type Kind struct {
	What string // as in `what:`, the part that fails before the dot
	Doc  string // one sentence: what happens while a window lasts
	// Hits says which nodes may be its target, and Target is the default; "" means
	// that a target must be given.
	Hits   Hits
	Target string
	Params []Param
}

// Needs says that the kind does nothing by its defaults: a fault of it is given
// at least one parameter.
func (k Kind) Needs() bool { return k.What == "chain.hyperparameters" }

// Param is a parameter that a kind takes: its key in Params and its default in
// the form of a scenario file.
type Param struct{ Key, Default string }

// Hits is the sort of nodes that a kind can hit.
type Hits uint8

const (
	Nodes      Hits = iota // validators and miners
	Miners                 // miners only
	Validators             // validators only
)

// Parameters that many kinds take.
var (
	share = Param{"share", "1"}
	rate  = Param{"rate", "1"}
)

// kinds come in pairs where they can: *failed* means nothing was done, and
// *unreported* means that it was done and the answer was lost, so that the
// caller sees an unknown outcome. Each family has a file of its own.
var kinds = slices.Concat(processKinds, clockKinds, networkKinds, chainKinds, feedKinds, storeKinds)

// Kinds lists everything that can go wrong, in the order of the documentation.
// The slice is the caller's.
func Kinds() []Kind { return slices.Clone(kinds) }

// KindOf finds a kind by the text after `what:`.
func KindOf(what string) (Kind, bool) {
	for _, k := range kinds {
		if k.What == what {
			return k, true
		}
	}
	return Kind{}, false
}

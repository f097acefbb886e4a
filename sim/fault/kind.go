package fault

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

var share = Param{"share", "1"}

// kinds come in pairs where they can: *failed* means nothing was done, and
// *unreported* means that it was done and the answer was lost, so that the
// caller sees an unknown outcome.
var kinds = []Kind{
	{"process.crash", "The process ends at once and starts again on its store when the window ends.", Nodes, "",
		[]Param{share, {"unsynced", "random"}}},
	{"miner.disconnect", "The connections of the target are cut, and attempts to connect are refused.", Miners, "miners",
		[]Param{share}},
	{"network.loss", "Links of the target lose frames.", Nodes, "all",
		[]Param{share, {"loss", "0.05"}}},
	{"network.delay", "Links of the target deliver later. Order on one link is kept.", Nodes, "all",
		[]Param{share, {"delay", "500ms"}, {"jitter", "250ms"}}},
	{"network.partition", "Nothing passes between the target and everyone else. Connections stay half open.", Nodes, "",
		[]Param{share, {"direction", "both"}}},
	{"chain.outage", "Requests of the target to the chain fail, and nothing is done.", Nodes, "all",
		[]Param{share}},
	{"chain.set_weights_failed", "Extrinsics that set, commit or reveal weights never reach the chain, and no answer comes.", Validators, "validators",
		[]Param{share}},
	{"chain.set_weights_unreported", "Extrinsics that set, commit or reveal weights are applied, and no answer comes.", Validators, "validators",
		[]Param{share}},
	{"feed.outage", "Polls of the games feed fail.", Validators, "validators",
		[]Param{share}},
	{"store.slow", "Commits take longer to become durable.", Nodes, "validators",
		[]Param{share, {"delay", "2s"}, {"jitter", "1s"}}},
	{"store.commit_failed", "Commits fail, and the batch is not written.", Nodes, "validators",
		[]Param{share}},
	{"store.commit_unreported", "Commits fail, and the batch is written and durable.", Nodes, "validators",
		[]Param{share}},
}

// Kinds lists everything that can go wrong, in the order of the documentation.
// The slice is the caller's.
func Kinds() []Kind { return append([]Kind(nil), kinds...) }

// KindOf finds a kind by the text after `what:`.
func KindOf(what string) (Kind, bool) {
	for _, k := range kinds {
		if k.What == what {
			return k, true
		}
	}
	return Kind{}, false
}

package fault

// storeKinds are what happens to commits, counted in batches, and to the power
// of the disk that they lie on.
var storeKinds = []Kind{
	{"store.slow", "Commits take longer to become durable.", Nodes, "validators",
		[]Param{share, rate, {"delay", "2s"}, {"jitter", "1s"}}},
	{"store.commit_failed", "Commits fail, and the batch is not written.", Nodes, "validators",
		[]Param{share, rate}},
	{"store.commit_unreported", "Commits fail, and the batch is written and durable.", Nodes, "validators",
		[]Param{share, rate}},
	{"store.stall", "Commits are not answered before the window ends.", Nodes, "validators",
		[]Param{share}},
	{"store.full", "Commits fail once what they write does not fit any more, and nothing of them is written.", Nodes, "validators",
		[]Param{share, {"free", "0B"}}},
	{"store.read_only", "Commits fail, and a node that is down does not start before the window ends.", Nodes, "validators",
		[]Param{share}},
	{"store.power_cut", "The machine is off, and comes back when the window ends. All that was written and not yet durable is lost.", Nodes, "validators",
		[]Param{share}},
}

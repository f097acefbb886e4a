package fault

// storeKinds are what happens to commits, counted in batches.
var storeKinds = []Kind{
	{"store.slow", "Commits take longer to become durable.", Nodes, "validators",
		[]Param{share, {"delay", "2s"}, {"jitter", "1s"}}},
	{"store.commit_failed", "Commits fail, and the batch is not written.", Nodes, "validators",
		[]Param{share, rate}},
	{"store.commit_unreported", "Commits fail, and the batch is written and durable.", Nodes, "validators",
		[]Param{share, rate}},
}

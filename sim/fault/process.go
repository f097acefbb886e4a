package fault

// processKinds are what happens to a node's process.
var processKinds = []Kind{
	{"process.crash", "The process ends at once and starts again on its store when the window ends.", Nodes, "",
		[]Param{share, {"unsynced", "random"}}},
}

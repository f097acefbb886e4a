package fault

// processKinds are what happens to a node's process.
var processKinds = []Kind{
	{"process.crash", "The process ends at once and starts again on its store when the window ends.", Nodes, "",
		[]Param{share, {"unsynced", "random"}}},
	{"process.crash_at_commit", "The process ends at every Nth commit of its store, and starts again a while later.", Nodes, "validators",
		[]Param{share, {"nth", "100"}, {"down", "30s"}, {"unsynced", "random"}}},
	{"process.restart_loop", "The process ends at once and again every period, and starts again a while later.", Nodes, "",
		[]Param{share, {"period", "1m"}, {"down", "5s"}, {"unsynced", "random"}}},
	{"process.pause", "The process stands still, as at a long garbage collection or in a stopped VM. What comes in waits, and is handled at once when the window ends.", Nodes, "",
		[]Param{share}},
	{"process.slow", "The process takes its time over each event, and what comes in meanwhile waits.", Nodes, "",
		[]Param{share, {"cost", "50ms"}}},
	{"process.panic", "A handler of one service panics, once, at the first event that comes to it.", Nodes, "validators",
		[]Param{share, {"service", "communication"}}},
}

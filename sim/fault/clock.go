package fault

// clockKinds are what happens to the clock of a node's machine. Timers wait for
// time that passes, which no clock changes.
var clockKinds = []Kind{
	{"clock.skew", "The clock of the target is off. It is set so when the window begins, and right when it ends.", Nodes, "",
		[]Param{share, {"ahead", "2s"}}},
	{"clock.drift", "The clock of the target gains or loses. It is set right when the window ends.", Nodes, "",
		[]Param{share, {"ppm", "100"}}},
	{"clock.jump", "The clock of the target jumps when the window begins, and is right again when it ends: bit by bit, but where that would take more than half its pace.", Nodes, "",
		[]Param{share, {"ahead", "1h"}}},
}

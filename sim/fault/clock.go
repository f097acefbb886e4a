package fault

// clockKinds are what happens to the clock of a node's machine. Timers wait for
// time that passes, which no clock changes. A node's time never goes back: one whose
// clock was ahead goes on at half its pace until it is right.
var clockKinds = []Kind{
	{"clock.skew", "The clock of the target is off. It is set so when the window begins, and right when it ends: a node that was ahead gets there at half its pace, an hour in two.", Nodes, "",
		[]Param{share, {"ahead", "2s"}}},
	{"clock.drift", "The clock of the target gains or loses. It is set right when the window ends, and a node that was ahead gets there at half its pace.", Nodes, "",
		[]Param{share, {"ppm", "100"}}},
	{"clock.jump", "The clock of the target jumps when the window begins, and is right again when it ends: bit by bit, and no faster than at half its pace. What is ahead then takes twice as long to go, beyond the window: an hour two.", Nodes, "",
		[]Param{share, {"ahead", "1h"}}},
}

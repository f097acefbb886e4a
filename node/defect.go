package node

// Defect is a bug that is planted on purpose, so that the simulator can prove
// that it would find it. Nearly all such bugs are planted around a node, in its
// ports and in its store; a bit here is for what no port shows. A node that runs
// for real has none: nothing but sim sets Ports.Defects, and a test of sim/lint
// asserts it. A check costs one load and one branch, beside an admission that
// takes microseconds.
type Defect uint32

const (
	// DefectBudgetRead admits by what was spent on disk: it reads the budget before
	// what is under way to the disk has been counted.
	DefectBudgetRead Defect = 1 << iota
	// DefectMinerClock judges the cut-off by the date that the miner wrote.
	DefectMinerClock
	// DefectDayBoundary lets a budget's day begin an hour late.
	DefectDayBoundary
	// DefectKeepsSlot pays the slot that a hotkey held when the round began,
	// whoever holds it when the weights are made.
	DefectKeepsSlot
)

// has says whether a defect is planted in the node.
func (c *core) has(d Defect) bool { return c.ports.Defects&d != 0 }

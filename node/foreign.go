package node

import "fmt"

// Two processes that hold one hotkey overwrite each other's weights and spend
// each other's nonces, and each looks well by itself. A node that sees signs of
// another one raises an alarm and sets no weights any more until a person has
// restarted it: which of the two is the right one only its operator knows, and
// two that resume by themselves would take turns. In shadow another process with
// our key is what is wanted, so nothing is looked for.

// foreignCount takes the chain client's count of extrinsics that our hotkey
// signed and this node did not send. In the first era after a start they may be
// the node's own: sent by a process that was killed before it could say so.
func (v *Validator) foreignCount(n uint64) {
	if n <= v.strange {
		return
	}
	v.strange = n
	if v.loop.Now().Sub(v.born) >= eraBlocks*v.cfg.BlockTime {
		v.foreignKey(fmt.Sprintf("the chain holds %d extrinsics that our hotkey signed and this node did not send", n))
	}
}

// Stopped says why this validator sets no weights until a person has restarted
// it, "" where it does. A validator that is built in its place in the same process
// is told so by ValidatorConfig.Stopped. Call it on the loop, or when that has ended.
func (v *Validator) Stopped() string { return v.foreign }

// foreignKey stops the setting of weights for this run.
func (v *Validator) foreignKey(why string) {
	if v.cfg.Shadow {
		return
	}
	if v.foreign == "" {
		v.foreign = "another process acts with our hotkey: " + why
	}
	v.alarms.Raise(AlarmForeignKey, why)
}

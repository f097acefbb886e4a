package fault

// chainKinds are what happens between a node and the chain, and on the chain.
var chainKinds = []Kind{
	{"chain.outage", "Requests of the target to the chain fail, and nothing is done.", Nodes, "all",
		[]Param{share, rate}},
	{"chain.set_weights_failed", "Extrinsics that set, commit or reveal weights never reach the chain, and no answer comes.", Validators, "validators",
		[]Param{share, rate}},
	{"chain.set_weights_unreported", "Extrinsics that set, commit or reveal weights are applied, and no answer comes.", Validators, "validators",
		[]Param{share, rate}},
}

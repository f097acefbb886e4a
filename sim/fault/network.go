package fault

// networkKinds are what happens to connections and what they carry.
var networkKinds = []Kind{
	{"miner.disconnect", "The connections of the target are cut, and attempts to connect are refused.", Miners, "miners",
		[]Param{share}},
	{"network.loss", "Links of the target lose frames.", Nodes, "all",
		[]Param{share, {"loss", "0.05"}}},
	{"network.delay", "Links of the target deliver later. Order on one link is kept.", Nodes, "all",
		[]Param{share, {"delay", "500ms"}, {"jitter", "250ms"}}},
	{"network.partition", "Nothing passes between the target and everyone else. Connections stay half open.", Nodes, "",
		[]Param{share, {"direction", "both"}}},
}

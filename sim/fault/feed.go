package fault

// feedKinds are what happens to the games feed.
var feedKinds = []Kind{
	{"feed.outage", "Polls of the games feed fail.", Validators, "validators",
		[]Param{share, rate}},
}

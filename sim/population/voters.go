package population

// voters are the kinds of validators. An honest one is the real service; the
// others set weights of their own making.
var voters = []Kind{
	{Name: "honest", About: "Runs the real validator."},
	{Name: "copier", About: "Scores nobody: sets the weights that another validator has on the chain.", Params: []Param{every}},
	{Name: "lazy", About: "Scores nobody: sets the same weights again and again, those it began with.", Params: []Param{every}},
	{Name: "biased", About: "Sets an honest validator's weights with those of its friends multiplied.", Params: []Param{every,
		{"factor", 10, 1, 1000, "", "what the friends' weights are multiplied by"}}},
}

var every = Param{"every", 20, 1, 7 * 24 * 60, "minutes", "how often it looks whether to set weights"}

// Voters lists the kinds of validators in the order of the documents.
func Voters() []Kind { return append([]Kind(nil), voters...) }

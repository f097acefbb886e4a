package fault

// feedKinds are what happens to the games feed. What a feed says of a game and is
// not so it corrects when the window ends; what becomes of a game otherwise than
// planned stays. Either is told to the target only.
var feedKinds = []Kind{
	{"feed.outage", "Polls of the games feed fail.", Validators, "validators",
		[]Param{share, rate}},
	{"feed.slow", "Answers of the feed come later. Beyond the node's deadline nobody waits for them.", Validators, "validators",
		[]Param{share, {"delay", "20s"}, {"jitter", "20s"}}},
	{"feed.rate_limited", "The feed answers so many polls in a time, and refuses those beyond.", Validators, "validators",
		[]Param{share, {"budget", "1"}, {"per", "1h"}}},
	{"feed.stale", "Answers come from a cache: they are as old as `delay` and dated now.", Validators, "validators",
		[]Param{share, {"delay", "2h"}}},
	{"feed.truncated", "Answers lack the games after the first ones, and do not say so.", Validators, "validators",
		[]Param{share, {"games", "0.5"}}},
	{"feed.late_results", "Results are told later, with the time at which the game ended.", Validators, "validators",
		[]Param{share, {"games", "1"}, {"delay", "6h"}}},
	{"feed.wrong_results", "Results that are told are those of the other side.", Validators, "validators",
		[]Param{share, {"games", "0.5"}}},
	{"feed.bad_odds", "The odds of games are told wrong.", Validators, "validators",
		[]Param{share, {"games", "0.5"}, {"odds", "jump"}}},
	{"feed.malformed", "News of games is garbled: names, times, states and outcomes that cannot be, and games that are none.", Validators, "validators",
		[]Param{share, {"games", "0.5"}}},
	{"feed.renamed", "Teams of games that were told before have other names.", Validators, "validators",
		[]Param{share, {"games", "0.5"}}},
	{"feed.clock_zone", "Times of games are told in another zone: kick-off and end are some hours off.", Validators, "validators",
		[]Param{share, {"games", "1"}, {"hours", "2"}}},
	{"feed.duplicates", "Games are told under a second id as well, from then on for as long as they last.", Validators, "validators",
		[]Param{share, {"games", "0.5"}}},
	{"feed.postponed", "Games that would kick off in the window are called off when it begins; when it ends, a kick-off some hours later than the first is told.", Validators, "validators",
		[]Param{share, {"games", "0.5"}, {"hours", "24"}}},
	{"feed.void", "Games that kick off in the window are stopped an hour later, and void.", Validators, "validators",
		[]Param{share, {"games", "0.5"}}},
	{"feed.moved_kick_off", "Games that would kick off in the window are moved by some hours, told when it begins.", Validators, "validators",
		[]Param{share, {"games", "0.5"}, {"hours", "-2"}}},
}

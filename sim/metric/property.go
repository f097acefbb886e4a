package metric

// Property is something that a good campaign of runs must have met at least
// once, lest its faults and attacks test nothing.
type Property struct{ Name, Doc string }

// properties in the order of the documents. sim/properties.go says when each is
// reached.
var properties = []Property{
	{"duplicate_answered", "A prediction came a second time and was answered as stored."},
	{"budget_refused_at_limit", "A prediction was refused because the day's budget was spent."},
	{"late_refused", "A prediction was refused because its game was about to begin or had begun."},
	{"rate_limited", "A miner was told to wait because it asked too often."},
	{"resubmitted", "A miner sent a prediction again, because no word on it had come."},
	{"node_restarted", "A node was built again on its store."},
	{"restart_with_unsynced_loss", "A crash lost batches that were under way to the disk."},
	{"store_reopened", "A validator's store was opened again."},
	{"commit_failed", "A commit of a node failed, or is said to have."},
	{"gave_up", "A node gave up by itself and was started again."},
	{"session_evicted", "A validator closed a session: it sent too much, or was silent for too long."},
	{"session_lost", "A session of a miner ended and another one began."},
	{"weights_set", "Weights took effect on the chain."},
	{"weights_unknown", "A validator did not know whether its weights had been set."},
	{"weights_unknown_then_found", "A validator that did not know later found its weights set, and went on."},
	{"weights_resent", "A validator sent weights again after a failure, and they took effect."},
	{"weights_refused", "The chain refused an extrinsic of weights."},
	{"commit_revealed", "Committed weights were revealed."},
	{"reveal_failed", "The chain could not reveal committed weights, or dropped them because their pulse did not come."},
	{"result_corrected", "A game was settled anew because its result was corrected."},
	{"game_voided", "A game was voided."},
	{"feed_failed", "A poll of the games feed failed."},
	{"chain_failed", "A request to the chain failed or was never answered."},
	{"panic_recovered", "A service whose handler had panicked was built again from the store."},
	{"deregistered", "A hotkey lost its place in the subnet."},
	{"uid_reused", "A UID passed from one hotkey to another."},
	{"polled", "A prediction came in the answer to a poll."},
	{"fallback_used", "A scoring round gave no weights, so that the validator fell back on older ones or on none."},
	{"settled", "A prediction was settled."},
	{"scored", "A scoring round gave weights."},
}

// Properties lists all properties in the order of the documents. The slice is
// the caller's.
func Properties() []Property { return append([]Property(nil), properties...) }

// PropertyNames lists the properties' names.
func PropertyNames() []string {
	names := make([]string, len(properties))
	for i := range properties {
		names[i] = properties[i].Name
	}
	return names
}

package invariant

import (
	"time"

	"bettensor/node/bet"
)

var finalDoc = Doc{"refusal-is-final", "A prediction that was refused for what it says is never accepted with the same content: the miner has taken the refusal for the last word, and its budget as its own again.", "answers, against earlier answers"}

type refusalIsFinal struct{ rule }

// acknowledged judges an acceptance by what was said before.
func (r *refusalIsFinal) acknowledged(at time.Time, v *validator, e *entry) {
	if r.judge() && e.refused != "" && len(e.variants) == 1 {
		r.violate(at, "%s was refused as %s and is acknowledged", e.who(v), e.refused)
	}
}

// refused notes a refusal that no later state can lift.
func (r *refusalIsFinal) refused(e *entry, code bet.Code) {
	if e != nil && e.acks == 0 && lasting(code) {
		e.refused = code
	}
}

// lasting tells whether a refusal is about what the submission says and about
// nothing that can change.
func lasting(c bet.Code) bool {
	switch c {
	case bet.MissingData, bet.MalformedText, bet.InvalidWager, bet.NotFinite, bet.MissingOdds, bet.InvalidOdds, bet.OddsTooLow, bet.InvalidConfidence:
		return true
	}
	return false
}

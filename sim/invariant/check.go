package invariant

import (
	"fmt"
	"time"

	"bettensor/node/bet"
)

// Doc is an invariant's name, as scenarios and reports have it, what it says, and
// by what that is judged.
type Doc struct {
	Name, Doc, Seen string
}

// Check is what has become of one invariant over a run.
type Check struct {
	Name, Doc  string
	Checked    uint64 // how often it was put to the test
	Violations uint64
	First      string    // the first violation: what, who, when; "" for none
	At         time.Time // when it was found
	Disabled   string    // why it was not watched; "" where it was
}

// docs in the order of Set.rules, which is that of reports.
var docs = [...]Doc{budgetDoc, lateDoc, storedDoc, settledDoc, scoredDoc, moneyDoc, validDoc, rateDoc, ackDoc, clockDoc,
	durableDoc, orderDoc, receiptDoc, finalDoc, trueDoc, budgetRowDoc, oneRowDoc, convergesDoc, nonceDoc, toldDoc, registeredDoc, leftDoc, saneDoc,
	intentDoc, singleDoc, heirDoc, idleDoc, earnedDoc, boundsDoc, recoveryDoc}

// Docs returns every invariant, in the order of reports.
func Docs() []Doc { return append([]Doc(nil), docs[:]...) }

// Names returns every invariant's name, in the order of reports.
func Names() []string {
	names := make([]string, len(docs))
	for i, d := range docs {
		names[i] = d.Name
	}
	return names
}

// rule counts one invariant.
type rule struct {
	Doc
	checked, violations uint64
	first, disabled     string
	at                  time.Time // of the first
}

// judge counts one test and tells whether it is to be made at all.
func (r *rule) judge() bool {
	if r.disabled != "" {
		return false
	}
	r.checked++
	return true
}

// violate counts a violation; only the first is put into words.
func (r *rule) violate(at time.Time, format string, args ...any) {
	if r.violations++; r.violations == 1 {
		r.at = at.UTC()
		r.first = at.UTC().Format("2006-01-02 15:04:05.000000") + " " + fmt.Sprintf(format, args...)
	}
}

// who names a prediction so that it can be found in a trace or a store.
func (e *entry) who(v *validator) string {
	return fmt.Sprintf("prediction %s of %s on game %s at %s", e.id, e.owner.hotkey, e.said().game, v.name)
}

// unix is an instant of the books as a time.
func unix(ns int64) time.Time { return time.Unix(0, ns).UTC() }

func dayEnd(d bet.Day) time.Time { return (d + 1).Start() }

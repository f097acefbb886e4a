// Package score is the scoring core: a day's predictions become components
// (closing-line value, return, risk ratio, entropy) and one composite a miner;
// 45 days of composites and wagers become tiers; tiers become weights. It is
// pure: no clock, no random, no files, no goroutines, no map order. Floats are
// summed in column and slot order, and products that are added to something
// are rounded first, so that every machine computes the same bits.
//
// Read scheme.go for the constants (a [Scheme] is one mechanism), day.go for
// the components of one day, entropy.go for what happens as each prediction
// arrives, round.go for the windows, tier.go for promotion and demotion,
// weight.go for the weights, edge.go and
// copies.go for what the robust scheme has in place of components, entropy and
// ranks, check.go for running vector files. The formulas in
// prose, and what became of each defect of the original, are in docs/scoring.md.
//
// Everything is indexed by slot: a slot is a UID of the subnet at the block the
// round looks at. Money is in dollars here and only here; callers keep cents.
// Any package of node, and commands, may call it; it imports the standard
// library alone.
package score

import (
	"errors"
	"math"
)

// Ring is the number of days of history that can count: the longest window.
const Ring = 45

// MaxSlots bounds the slots of a subnet, because a UID is 16 bits wide.
const MaxSlots = 1 << 16

// MaxGames bounds the games of one day: far above any real feed, and low enough
// that the scratch space of a day stays a few megabytes.
const MaxGames = 1 << 16

// Errors a caller may tell apart. Each comes wrapped with what was wrong.
var (
	// ErrDay: the columns of a Day contradict each other or hold a number that
	// cannot be scored.
	ErrDay = errors.New("score: malformed day")
	// ErrRound: the history of a Round contradicts itself or holds a number
	// that cannot be scored.
	ErrRound = errors.New("score: malformed round")
	// ErrScheme: a parameter is unknown, not of its type, or out of its range.
	ErrScheme = errors.New("score: bad scheme")
)

// ReasonNoOneEligible is Result.Reason when there are no weights to set,
// because no slot is valid or a rule zeroed every valid one.
const ReasonNoOneEligible = "no_one_eligible"

// ReasonNoEdge is Result.Reason under ClosingEdge when slots are eligible and none
// has proven an edge.
const ReasonNoEdge = "no_edge"

// finite tells a usable number from NaN and the infinities.
func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// resize gives s length n, zeroed, reusing its memory.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}

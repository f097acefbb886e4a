// Package model holds what decides a miner's picks: the Model interface, the
// models a miner can run, and staking (how much to wager once a probability is
// believed). Models are pure: they see a Book and the time, and they answer with
// picks. They draw randomness, if any, only from the stream they were built with.
//
// Read model.go for the interface, catalogue.go for the models there are and
// their parameters, staking.go for Kelly, market.go for probabilities from odds,
// blend.go for how opinions are joined; then one file a model (value, favourite,
// contrarian, file) or rating (elo, poisson, on history). A model wagers once on a
// game, within Book.Remaining, and only where odds are offered.
//
// poisson.go rates attack and defence although a bet.Game carries no goals: it
// learns from the goals that past closing prices imply, and says how.
//
// node.Miner calls it; sim/population builds further models on the same interface.
package model

import (
	"time"

	"bettensor/node/bet"
)

// Placed is a prediction the miner has already made (sent or not, confirmed or not).
type Placed struct {
	Game    bet.GameID
	Outcome bet.Outcome
	Wager   bet.Cents
	At      time.Time
}

// Book is what a model may look at. It is valid during one call only.
type Book struct {
	// Games that can be wagered on now (active, priced, not started), by start
	// and then ID. They are shared: do not change them.
	Games []*bet.Game
	// Remaining budget of today in cents.
	Remaining bet.Cents
	// Placed returns the miner's earlier predictions on a game, oldest first;
	// nil when there are none.
	Placed func(bet.GameID) []Placed
}

// Pick is one wager a model wants to make at the odds offered now.
type Pick struct {
	Game       bet.GameID
	Outcome    bet.Outcome
	Wager      bet.Cents
	Confidence float64 // probability the model gives the outcome, -1 for none
}

// Model decides. All methods are called on the miner's loop.
type Model interface {
	// Name goes into predictions as model_name.
	Name() string
	// Observe shows the model a game that is new or has changed, results
	// included; after a restart, every known game again in order of Start, ID.
	Observe(now time.Time, g *bet.Game)
	// Picks answers what to wager now. The miner cuts what exceeds the budget,
	// drops games that have started, and never asks twice for the same instant.
	Picks(now time.Time, b *Book) []Pick
	// Wake names the next instant at which the model wants to be asked even if
	// no game changes; the zero time means only on news and on the schedule.
	Wake(now time.Time, b *Book) time.Time
}

// Package bet holds the betting nouns and the rules that need nothing but
// them: games, outcomes, odds, predictions, wagers in cents, the daily budget,
// admission, settlement. It is pure: input and now in, result out. It imports
// node/chain and node/pack, nothing that waits.
//
// Read bet.go for the nouns, money.go for cents and their rounding, admit.go
// for what a submission must satisfy,
// budget.go for the $1,000 a day, settle.go for results and corrections,
// codec.go for the binary form of the nouns.
package bet

import (
	"time"

	"bettensor/node/chain"
)

// GameID is the feed's id of a fixture, as text.
type GameID string

// PredictionID is the miner's own id of a prediction. It is unique per hotkey
// only: one miner must not be able to block another's id.
type PredictionID string

// Cents is money on games. Floats of money exist only inside node/score.
type Cents int64

// DailyBudget is what one hotkey may wager on one UTC day of receipt.
const DailyBudget Cents = 1000_00

// MinOdds is the least price that is taken at all.
const MinOdds = 1.01

// Outcome is the side of a game. The numbers are the wire's.
type Outcome uint8

const (
	Home       Outcome = 0 // team A
	Away       Outcome = 1 // team B
	Tie        Outcome = 2
	Unfinished Outcome = 3 // no result
)

// String returns the word used in tables and traces.
func (o Outcome) String() string {
	switch o {
	case Home:
		return "home"
	case Away:
		return "away"
	case Tie:
		return "tie"
	}
	return "unfinished"
}

// Odds are decimal prices by Outcome; Tie is 0 where the sport cannot tie. The
// zero value means unknown.
type Odds [3]float64

// Status of a game as the feed tells it.
type Status uint8

const (
	Scheduled Status = iota
	Postponed        // no start known; may be scheduled again
	Void             // abandoned or cancelled: its predictions are pushed
	Finished         // Outcome and ResultAt hold
)

// String returns the word used in tables and traces.
func (s Status) String() string {
	return [...]string{"scheduled", "postponed", "void", "finished"}[s&3]
}

// Game is a fixture.
type Game struct {
	ID            GameID
	Sport, League string
	TeamA, TeamB  string // A is usually at home
	Created       time.Time
	Updated       time.Time // when the feed last changed anything about it
	Start         time.Time // kick-off: predictions at or after it are refused
	CanTie        bool
	Active        bool // offered for betting
	Odds          Odds // offered now
	OddsAt        time.Time
	Closing       Odds // last odds made no later than Start; zero until known
	Status        Status
	Outcome       Outcome
	ResultAt      time.Time // the result's own timestamp; its UTC date is the settlement day
}

// State is where a prediction stands.
type State uint8

const (
	Open State = iota
	Won
	Lost
	Pushed // void game: the wager neither won nor lost, the budget is not given back
)

// String returns the word used in tables and traces.
func (s State) String() string { return [...]string{"open", "won", "lost", "pushed"}[s&3] }

// Prediction is an admitted pick: everything in it was checked, and Received
// is the validator's own clock, never the miner's.
type Prediction struct {
	ID         PredictionID
	Hotkey     chain.Hotkey
	Game       GameID
	Outcome    Outcome
	Odds       float64 // taken
	Wager      Cents
	Received   time.Time
	Model      string  // "" for a human
	Confidence float64 // -1 when not given
	Content    uint64  // fingerprint of the submission, to tell an identical duplicate from a conflict

	State   State
	Payout  Cents     // wager × odds rounded half to even if won, else 0
	Settled time.Time // the result's timestamp; zero while open
}

// ValueKind is the JSON kind of a submitted field.
type ValueKind uint8

const (
	Absent ValueKind = iota // missing or null
	Number
	Text
	Other // an array, an object, a truth value: never right
)

// Value is a field of a submission as it came, because the wire allows a
// number or text where the rule wants one of them.
type Value struct {
	Kind   ValueKind
	Number float64 // may be NaN or infinite where the text said so
	Text   string
}

// Submission is a prediction as a miner sent it: nothing checked but its
// signature. Fields are those of the wire's TeamGamePrediction.
type Submission struct {
	ID         PredictionID
	Game       GameID
	MinerUID   string
	Date       string // the miner's clock: kept for people, never used
	Outcome    Value
	Odds       Value // predicted_odds
	TeamA      string
	TeamB      string
	Wager      Value
	OddsA      Value
	OddsB      Value
	OddsTie    Value
	Model      string
	Confidence Value
}

// Day is a UTC day as days since 1970-01-01.
type Day int32

// DayOf returns the UTC day of an instant.
func DayOf(t time.Time) Day {
	s := t.Unix()
	d := s / 86400
	if s%86400 < 0 {
		d--
	}
	return Day(d)
}

// Start is the first instant of the day.
func (d Day) Start() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// String is the date in ISO form.
func (d Day) String() string { return d.Start().Format("2006-01-02") }

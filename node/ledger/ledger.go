// Package ledger is what a node keeps: the row types and tables of its store,
// how they are read back when it starts, and how long they stay. It decides
// nothing; the services of node write, and only they.
//
// Read ledger.go for the tables, rows.go for what a row holds, load.go for what
// a node finds when it starts. node writes it; node/cli reads it for dumps.
package ledger

import (
	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/store"
)

// SchemaVersion of the tables below. A change of any codec is a migration.
const SchemaVersion = 1

// RetentionDays is how long rows of predictions, games, budgets and scores
// stay after their day: the longest scoring window of 45 days and 5 more, as
// the original keeps.
const RetentionDays = 50

// Keys. Each is order-preserving.
type (
	// PredictionKey finds the predictions of a miner, of a miner's day, of a
	// game on that day.
	PredictionKey struct {
		Hotkey chain.Hotkey
		Day    bet.Day // of receipt
		Game   bet.GameID
		ID     bet.PredictionID
	}
	// IDKey is the idempotency key: ids are the miner's own.
	IDKey struct {
		Hotkey chain.Hotkey
		ID     bet.PredictionID
	}
	// DayKey finds what belongs to a miner on a day, by day.
	DayKey struct {
		Day    bet.Day
		Hotkey chain.Hotkey
	}
)

// Tables of a validator.
var (
	Games       = store.Table[bet.GameID, bet.Game]{Name: "games", Prefix: 'g', Key: textKey[bet.GameID](), Row: gameCodec}
	Predictions = store.Table[PredictionKey, Prediction]{Name: "predictions", Prefix: 'p', Key: predictionKeyCodec, Row: predictionCodec}
	IDs         = store.Table[IDKey, PredictionKey]{Name: "prediction_ids", Prefix: 'i', Key: idKeyCodec, Row: predictionKeyCodec}
	Budgets     = store.Table[DayKey, bet.Cents]{Name: "budgets", Prefix: 'b', Key: dayKeyCodec, Row: centsCodec}
	Scores      = store.Table[DayKey, Score]{Name: "scores", Prefix: 's', Key: dayKeyCodec, Row: scoreCodec}
	Weights     = store.Table[uint64, WeightSet]{Name: "weights", Prefix: 'w', Key: uintKey, Row: weightSetCodec}
)

// Tables of both roles.
var (
	Stats = store.Table[string, Counters]{Name: "stats", Prefix: 'c', Key: textKey[string](), Row: countersCodec}
	Facts = store.Table[string, string]{Name: "facts", Prefix: 'f', Key: textKey[string](), Row: textRow}
)

// Outbox is the miner's table: what it predicted and what became of it.
var Outbox = store.Table[bet.PredictionID, Outgoing]{Name: "outbox", Prefix: 'o', Key: textKey[bet.PredictionID](), Row: outgoingCodec}

// Schema is what both roles hand to the store.
func Schema() store.Schema {
	return store.Schema{Version: SchemaVersion, Tables: []store.AnyTable{
		&Games, &Predictions, &IDs, &Budgets, &Scores, &Weights, &Stats, &Facts, &Outbox}}
}

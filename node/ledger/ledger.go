// Package ledger is what a node keeps: the row types and tables of its store,
// how they are read back when it starts, and how long they stay. It decides
// nothing; the services of node write, and only they.
//
// Read ledger.go for the tables, rows.go for what a row holds, load.go for what
// a node finds when it starts, migrate.go for what became of older forms. node writes it; node/cli reads it for dumps.
package ledger

import (
	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/store"
)

// SchemaVersion of the tables below. A change of any codec is a migration
// (migrate.go).
const SchemaVersion = 3

// How long rows stay, in UTC days. What is older is dropped once a day by the
// service that writes it; nothing that is still open is.
const (
	// RetentionDays is how long predictions with their ids, games, weight sets and
	// a miner's outbox stay after their day: the longest scoring window of 45 days
	// and 5 more, as the original keeps. The day of a prediction is that of its
	// settlement; of one whose game never got a result, the game's start; of a
	// weight set, the day it was planned; of a receipt, the day it came.
	RetentionDays = 50
	// HistoryDays is how long the small rows stay that tiers are made of, scores
	// and budgets. A correction of the oldest day that is still scored again, 44
	// days ago, makes the tiers of that day anew from the 45 days before it: 89,
	// and slack.
	HistoryDays = 100
	// ResultDays is how long a miner keeps resulted games: a season and the
	// summer before it, for models that learn from results.
	ResultDays = 400
)

// Names of rows in Facts.
const (
	// FactTiersFrom is the first day whose tiers do not follow from the scores, in
	// ISO form: a round makes the tiers of that day and all later ones.
	FactTiersFrom = "tiers_from"
	// FactAccuracy sums the settled predictions that were dropped (Accuracy).
	FactAccuracy = "accuracy"
	// FactAsked, followed by a validator's hotkey, is the newest nonce with which it
	// has polled this miner.
	FactAsked = "asked/"
	// FactAuth, followed by a miner's hotkey, is the newest nonce with which it has
	// authenticated to this validator, in millionths of a millisecond.
	FactAuth = "auth/"
	// FactSigns, followed by a miner's hotkey, says that it has signed a reply to a
	// poll: from then on an unsigned one is not its own.
	FactSigns = "signs/"
	// FactNonce and FactCall are how far the nonces may have come that this node has
	// put into frames, in milliseconds, and into requests over HTTP, in nanoseconds.
	FactNonce = "nonce"
	FactCall  = "call"
)

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
	// DayKey finds what belongs to a miner on a day, by day. Scores have a row
	// under the empty hotkey as well, which is the day's own: how many games were
	// settled on it.
	DayKey struct {
		Day    bet.Day
		Hotkey chain.Hotkey
	}
	// ReceiptKey numbers a miner's receipts of a day, from 0.
	ReceiptKey struct {
		Day    bet.Day
		Number uint64
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
	// Metagraphs has one row, MetagraphKey: the newest snapshot but for what
	// changes with every block, so that a node that starts while the chain is
	// down knows who is registered and where validators serve.
	Metagraphs = store.Table[string, chain.Metagraph]{Name: "metagraphs", Prefix: 'm', Key: textKey[string](), Row: metagraphCodec}
)

// MetagraphKey is the key of the one row of Metagraphs.
const MetagraphKey = "newest"

// Tables of a miner.
var (
	// Outbox is what it predicted and what became of it.
	Outbox = store.Table[bet.PredictionID, Outgoing]{Name: "outbox", Prefix: 'o', Key: textKey[bet.PredictionID](), Row: outgoingCodec}
	// Receipts are what validators have signed about that. They are apart from the
	// outbox because it is held in memory, and because one exchange over HTTP is
	// the receipt of many predictions.
	Receipts = store.Table[ReceiptKey, Receipt]{Name: "receipts", Prefix: 'r', Key: receiptKeyCodec, Row: receiptCodec}
)

// Schema is what both roles hand to the store.
func Schema() store.Schema {
	return store.Schema{Version: SchemaVersion, Migrations: migrations, Tables: []store.AnyTable{
		&Games, &Predictions, &IDs, &Budgets, &Scores, &Weights, &Stats, &Facts, &Metagraphs, &Outbox, &Receipts}}
}

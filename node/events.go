package node

import (
	"encoding/json"
	"time"

	"bettensor/bus"
	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/feed"
	"bettensor/node/ledger"
	"bettensor/node/wire"
)

// Events keep the original's snake_case names (the topic's name). What they
// point to is shared between services and never changed after publication.
type (
	// NodeStarted: the services are up.
	NodeStarted struct {
		Hotkey chain.Hotkey
		Netuid chain.Netuid
	}
	// MetagraphUpdated: a newer snapshot is in State.
	MetagraphUpdated struct {
		Meta    *chain.Metagraph
		Changed int // UIDs that changed hands
	}
	// GamesUpdated: games that are new or have changed; durable when published.
	GamesUpdated struct {
		Games   []*bet.Game
		Changes []feed.Change
	}
	// GameSettled: a game has a result, was voided, or its result was corrected.
	GameSettled struct{ Game *bet.Game }
	// PredictionReceived: an authentic submission arrived; nothing in it is checked.
	PredictionReceived struct {
		Hotkey     chain.Hotkey
		Submission *bet.Submission
		Polled     bool // it came in the reply to a poll over HTTP
	}
	// PredictionStored: durable, or already was (Duplicate).
	PredictionStored struct {
		Hotkey    chain.Hotkey
		ID        bet.PredictionID
		Duplicate bool
		Row       *ledger.Prediction
	}
	// PredictionRejected: refused; what the refusal rests on is durable.
	PredictionRejected struct {
		Hotkey  chain.Hotkey
		ID      bet.PredictionID
		Code    bet.Code
		Message string
	}
	// PredictionSettled: a prediction's result came, or was corrected.
	PredictionSettled struct {
		Row    *ledger.Prediction
		Before bet.State
	}
	// ScoringComplete: a round has ended and its rows are committed.
	ScoringComplete struct {
		Day     bet.Day
		Block   chain.Block // of the metagraph the slots belong to
		UIDs    []chain.UID
		Hotkeys []chain.Hotkey
		Weights []float64 // sum 1, or none
		Reason  string    // why there are none
	}
	// WeightsSet: the chain has them.
	WeightsSet struct {
		Block chain.Block
		UIDs  int
	}
	// WeightsFailed: it has not, or we do not know.
	WeightsFailed struct {
		Code    chain.Code
		Unknown bool
		Message string
	}
	// PeerConnected: a session stands: authenticated, registered.
	PeerConnected struct {
		Conn   wire.Conn
		Hotkey chain.Hotkey
		Remote string
	}
	// PeerDisconnected: a session ended.
	PeerDisconnected struct {
		Conn   wire.Conn
		Hotkey chain.Hotkey
		Reason string
	}
	// PredictionsGenerated: a miner's model made picks; they are in the outbox.
	PredictionsGenerated struct{ IDs []bet.PredictionID }
	// PredictionSubmitted: sent to a validator.
	PredictionSubmitted struct {
		ID        bet.PredictionID
		Validator chain.Hotkey
		Attempt   int
	}
	// PredictionConfirmed: a validator's final word on a prediction.
	PredictionConfirmed struct {
		ID        bet.PredictionID
		Validator chain.Hotkey
		OK        bool
		Code      bet.Code
	}
	// PredictionResult: a miner's own prediction was settled.
	PredictionResult struct {
		ID    bet.PredictionID
		State bet.State
		Won   bet.Cents // payout less wager
	}
	// TaskEnded: one run of a task.
	TaskEnded struct {
		Task    string
		Took    time.Duration
		Attempt int
		Err     string
	}
)

// topics of both roles.
type topics struct {
	started   *bus.Topic[NodeStarted]
	metagraph *bus.Topic[MetagraphUpdated]
	games     *bus.Topic[GamesUpdated]
	connected *bus.Topic[PeerConnected]
	gone      *bus.Topic[PeerDisconnected]
	taskDone  *bus.Topic[TaskEnded]
	taskFail  *bus.Topic[TaskEnded]
}

func newTopics(b *bus.Bus, started, connected, gone string) topics {
	return topics{
		started:   bus.NewTopic[NodeStarted](b, started),
		metagraph: bus.NewTopic[MetagraphUpdated](b, "metagraph_updated"),
		games:     bus.NewTopic[GamesUpdated](b, "games_updated"),
		connected: bus.NewTopic[PeerConnected](b, connected),
		gone:      bus.NewTopic[PeerDisconnected](b, gone),
		taskDone:  bus.NewTopic[TaskEnded](b, "task_completed"),
		taskFail:  bus.NewTopic[TaskEnded](b, "task_failed"),
	}
}

// Traces show what an event says, not all it points to.

func (e MetagraphUpdated) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"block": e.Meta.Block, "neurons": len(e.Meta.Neurons), "changed": e.Changed})
}

func (e GamesUpdated) MarshalJSON() ([]byte, error) {
	type line struct {
		ID     bet.GameID
		Odds   bet.Odds
		Status string
	}
	lines := make([]line, len(e.Games))
	for i, g := range e.Games {
		lines[i] = line{g.ID, g.Odds, g.Status.String()}
	}
	return json.Marshal(lines)
}

func (e GameNews) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"validator": e.Validator, "games": len(e.Games)})
}

func (e GameSettled) MarshalJSON() ([]byte, error) {
	g := e.Game
	return json.Marshal(map[string]any{"game": g.ID, "outcome": g.Outcome.String(), "status": g.Status.String(), "closing": g.Closing})
}

func (e PredictionReceived) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"hotkey": e.Hotkey, "id": e.Submission.ID, "game": e.Submission.Game})
}

func (e PredictionStored) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"hotkey": e.Hotkey, "id": e.ID, "duplicate": e.Duplicate})
}

func (e PredictionSettled) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"hotkey": e.Row.Hotkey, "id": e.Row.ID, "before": e.Before.String(),
		"state": e.Row.State.String(), "payout": e.Row.Payout})
}

func (e ScoringComplete) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"day": e.Day, "block": e.Block, "weights": e.Weights, "reason": e.Reason})
}

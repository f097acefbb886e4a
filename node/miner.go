package node

import (
	"bettensor/bus"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/model"
	"bettensor/node/wire"
	"bettensor/sched"
)

// Miner predicts with a model and sees to it that every permitted validator
// confirms.
//
//	chain ─► Metagraph: validators' addresses      ─► Communication: dial, authenticate
//	frame ─► Communication: games                  ─► Games: merge ─► games_updated, prediction_result
//	      ─► Predictions: model, outbox, commit    ─► (durable) predictions_generated
//	      ─► Communication: prediction_submitted, again until ─► prediction_confirmed
//	poll  ─► Axon: permit, stake, nonce            ─► the same, in the reply
type Miner struct {
	*core
	cfg       MinerConfig
	State     State
	model     model.Model
	box       *outbox
	delivered struct{ confirmed, rejected uint64 } // validators' final words in this run
	receipts  receipts
	asked     map[chain.Hotkey]*asked // nonces of who polled; a rebuild of Axon does not forget them

	GameNews             *bus.Topic[GameNews]
	PredictionsGenerated *bus.Topic[PredictionsGenerated]
	PredictionSubmitted  *bus.Topic[PredictionSubmitted]
	PredictionConfirmed  *bus.Topic[PredictionConfirmed]
	PredictionResult     *bus.Topic[PredictionResult]

	found *ledger.Miner
}

// NewMiner builds a miner on a loop from what its store holds. It sends
// nothing; Start does.
func NewMiner(l *sched.Loop, cfg MinerConfig, p Ports, m model.Model, opener func() *wire.Opener) (*Miner, error) {
	cfg.fill()
	found, err := ledger.LoadMiner(p.Store.Snapshot)
	if err != nil {
		return nil, err
	}
	n := &Miner{core: newCore(l, cfg.Hotkey, p, found.Node, opener), cfg: cfg, State: newState(cfg.Hotkey), model: m, found: found}
	b := n.bus
	n.topics = newTopics(b, "miner_started", "validator_connected", "validator_disconnected")
	n.GameNews = bus.NewTopic[GameNews](b, "game_update")
	n.PredictionsGenerated = bus.NewTopic[PredictionsGenerated](b, "predictions_generated")
	n.PredictionSubmitted = bus.NewTopic[PredictionSubmitted](b, "prediction_submitted")
	n.PredictionConfirmed = bus.NewTopic[PredictionConfirmed](b, "prediction_confirmed")
	n.PredictionResult = bus.NewTopic[PredictionResult](b, "prediction_result")

	n.box = loadOutbox(found.Outbox)
	n.asked = loadAsked(found.Facts)
	n.receipts.used = found.Receipts
	if found.Metagraph != nil {
		n.State.setMeta(found.Metagraph, true)
	}
	n.add("metagraph", rebuildable, func(s *sched.Scope) service {
		return newMetagraph(n.core, s, &n.State, metagraphConfig{every: cfg.MetagraphInterval, deadline: cfg.ChainDeadline, netuid: cfg.Netuid, axon: cfg.Axon, blockTime: chain.BlockTime, keepMost: minerKeeps})
	})
	n.add("games", 0, func(s *sched.Scope) service { return newMinerGames(n, s) })
	n.add("predictions", 0, func(s *sched.Scope) service { return newMinerPredictions(n, s) })
	n.add("communication", rebuildable|dials, func(s *sched.Scope) service { return newMinerCommunication(n, s) })
	n.add("database", rebuildable, func(s *sched.Scope) service { return newDatabase(n.core, s, cfg.BackupInterval, cfg.BackupDeadline) })
	n.add("status", rebuildable, func(s *sched.Scope) service { return newStatus(n.core, s, &n.State, cfg.Netuid, cfg.StatusInterval) })
	n.add("axon", rebuildable|accepts, func(s *sched.Scope) service { return newAxon(n, s) })
	n.found = nil
	return n, nil
}

// Start lets the services begin. Call it once, on the loop or before it turns.
func (n *Miner) Start() { n.startAll(NodeStarted{Hotkey: n.cfg.Hotkey, Netuid: n.cfg.Netuid}) }

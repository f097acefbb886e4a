// Package node is the real thing: the validator and the miner of the Bettensor
// subnet, as services on a loop. Nothing in it waits, starts a goroutine, reads
// the wall clock or draws unseeded randomness; whatever may wait is reached
// through Ports. So the same code runs live, simulated and replayed.
//
// Read validator.go top to bottom: it is the data's way from a miner's frame to
// weights on the chain, one service a file. Then miner.go. events.go says what
// is published, state.go what is shared, ports.go what is reached, config.go
// what can be set, stats.go what is counted and totals.go what of it survives a
// restart, nonces.go what of nonces does, trouble.go how peers that fail are told
// of, forget.go how old rows go, lifecycle.go how a service that failed is
// built again and how a node ends. sim and node/cli build nodes; nobody else calls it.
package node

import (
	"time"

	"bettensor/bus"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/wire"
	"bettensor/sched"
)

// Validator collects signed predictions, settles and scores them, and sets
// weights on the chain.
//
//	frame ─► Communication: freshness, nonce, registered?  ─► prediction_received
//	reply ─► Poll:          who was dialled, bound?         ─► prediction_received
//	      ─► Predictions:   admit, commit                  ─► (durable) prediction_stored | prediction_rejected
//	      ─► Communication, Poll: confirmation to the miner
//	feed  ─► Games:         merge, commit                  ─► (durable) games_updated, game_settled
//	      ─► Communication: broadcast;  Predictions: settle ─► prediction_settled
//	      ─► Scoring:       rounds, in slices               ─► scoring_complete
//	      ─► Weights:       intent, commit, (durable) set   ─► weights_set | weights_failed, weights_epoch
type Validator struct {
	*core
	cfg   ValidatorConfig
	State State

	PredictionReceived *bus.Topic[PredictionReceived]
	PredictionStored   *bus.Topic[PredictionStored]
	PredictionRejected *bus.Topic[PredictionRejected]
	GameSettled        *bus.Topic[GameSettled]
	PredictionSettled  *bus.Topic[PredictionSettled]
	ScoringComplete    *bus.Topic[ScoringComplete]
	WeightsSet         *bus.Topic[WeightsSet]
	WeightsFailed      *bus.Topic[WeightsFailed]
	WeightsEpoch       *bus.Topic[WeightsEpoch]

	auths   wire.AuthNonces       // as in the ledger; a rebuild of Communication does not forget them
	signers map[chain.Hotkey]bool // miners that sign their replies, as in the ledger
	born    time.Time             // when this run began
	foreign string                // why another process is believed to hold our key; until the process ends
	strange uint64                // extrinsics that this node is not known to have sent, when last counted

	found *ledger.Validator // what the store held; dropped once the services have it
}

// NewValidator builds a validator on a loop from what its store holds. It
// sends nothing; Start does. opener makes what opens frames when a recording
// is replayed.
func NewValidator(l *sched.Loop, cfg ValidatorConfig, p Ports, opener func() *wire.Opener) (*Validator, error) {
	cfg.fill()
	if err := cfg.WeightsFallback.valid(); err != nil {
		return nil, err
	}
	found, err := ledger.LoadValidator(p.Store.Snapshot)
	if err != nil {
		return nil, err
	}
	v := &Validator{core: newCore(l, cfg.Hotkey, p, found.Node, opener), cfg: cfg, State: newState(cfg.Hotkey), found: found, born: l.Now(), foreign: cfg.Stopped}
	if v.foreign != "" {
		v.alarms.Raise(AlarmForeignKey, v.foreign)
	}
	if err := v.State.Scores.load(found); err != nil {
		return nil, err
	}
	v.auths.Most = 2 * cfg.MaxSessions // all sessions' hotkeys, and as many that have gone
	restoreAuths(&v.auths, found.Facts, l.Wall())
	v.signers = loadSigners(found.Facts)
	b := v.bus
	v.topics = newTopics(b, "validator_started", "miner_connected", "miner_disconnected")
	v.PredictionReceived = bus.NewTopic[PredictionReceived](b, "prediction_received")
	v.PredictionStored = bus.NewTopic[PredictionStored](b, "prediction_stored")
	v.PredictionRejected = bus.NewTopic[PredictionRejected](b, "prediction_rejected")
	v.GameSettled = bus.NewTopic[GameSettled](b, "game_settled")
	v.PredictionSettled = bus.NewTopic[PredictionSettled](b, "prediction_settled")
	v.ScoringComplete = bus.NewTopic[ScoringComplete](b, "scoring_complete")
	v.WeightsSet = bus.NewTopic[WeightsSet](b, "weights_set")
	v.WeightsFailed = bus.NewTopic[WeightsFailed](b, "weights_failed")
	v.WeightsEpoch = bus.NewTopic[WeightsEpoch](b, "weights_epoch")

	// The order is that of the data's way; it is also the order in which events
	// of one topic reach the services.
	v.State.Weights = found.Weights
	if found.Metagraph != nil {
		v.State.setMeta(found.Metagraph, true)
	}
	v.add("metagraph", rebuildable, func(s *sched.Scope) service {
		return newMetagraph(v.core, s, &v.State, metagraphConfig{every: cfg.MetagraphInterval, deadline: cfg.ChainDeadline, netuid: cfg.Netuid, axon: cfg.axon(), blockTime: cfg.BlockTime, foreign: v.foreignCount,
			stopped: func() bool { return v.foreign != "" }})
	})
	v.add("games", 0, func(s *sched.Scope) service { return newGames(v, s) })
	v.add("communication", rebuildable|accepts, func(s *sched.Scope) service { return newCommunication(v, s) })
	v.add("predictions", 0, func(s *sched.Scope) service { return newPredictions(v, s) })
	v.add("scoring", rebuildable, func(s *sched.Scope) service { return newScoring(v, s) })
	v.add("weights", rebuildable, func(s *sched.Scope) service { return newWeights(v, s) })
	v.add("database", rebuildable, func(s *sched.Scope) service { return newDatabase(v.core, s, cfg.BackupInterval, cfg.BackupDeadline) })
	v.add("status", rebuildable, func(s *sched.Scope) service { return newStatus(v.core, s, &v.State, cfg.Netuid, cfg.StatusInterval) })
	v.add("poll", rebuildable|dials, func(s *sched.Scope) service { return newPoll(v, s) })
	v.found = nil
	return v, nil
}

// refresh asks the Metagraph service, if it is up, for a newer metagraph.
func (v *Validator) refresh() {
	for i := range v.services {
		if m, ok := v.services[i].service.(*metagraph); ok {
			m.refresh()
		}
	}
}

// Start lets the services begin. Call it once, on the loop or before it turns.
func (v *Validator) Start() { v.startAll(NodeStarted{Hotkey: v.cfg.Hotkey, Netuid: v.cfg.Netuid}) }

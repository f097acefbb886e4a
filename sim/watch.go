package sim

import (
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/sim/invariant"
	"bettensor/store"
)

// facts are what the invariants are told of the world.
func (r *recorder) facts() invariant.Facts {
	w, m, s := r.w, r.p.Market, r.p.Scenario
	return invariant.Facts{
		Start: r.p.Start, Netuid: s.Netuid, Released: r.p.Scheme.RescoreHours > 0, BlockTime: s.Chain.BlockTime,
		KickOff: func(id bet.GameID, at time.Time) (time.Time, bool) {
			g, ok := m.Game(id, at)
			return g.Start, ok
		},
		Result: func(id bet.GameID, at time.Time) (bet.Outcome, bool, bool) {
			g, ok := m.Game(id, at)
			return g.Outcome, g.Status == bet.Void, ok && g.Resulted()
		},
		ResultAt: func(id bet.GameID, at time.Time) (time.Time, bool) {
			g, ok := m.Game(id, at)
			return g.ResultAt, ok && g.Status == bet.Finished
		},
		Told:      w.told,
		Retold:    w.retold,
		ClockSkew: w.clockSkew(r.p.Scenario.Faults, r.p.End.Sub(r.p.Start)),
		Disk:      w.diskOf,
		Metagraph: func() *chain.Metagraph { return w.Chain.Metagraph(w.now()) },
		Earned:    func(h chain.Hotkey) chain.Rao { return w.Chain.Earned(h).Total() },
		Slack:     24*time.Hour + 2*(s.Node.FeedPoll+s.Node.ScoringInterval+s.Node.SettleDelay) + w.hindered(s.Faults, r.p.End.Sub(r.p.Start)),
		Lag:       2*s.Node.MetagraphInterval + 2*time.Minute,
		Round:     s.Node.ScoringInterval,
		Recovery:  10 * time.Minute,
		Troubled: func(from, to time.Time) time.Duration {
			return w.troubled(from, to, s.Node.MetagraphInterval+afterTrouble)
		},
	}
}

// diskOf is what a validator's disk holds now, nil for one that is down and for a
// hotkey of nobody's.
func (w *World) diskOf(hotkey chain.Hotkey) store.Snapshot {
	for _, h := range w.Hosts {
		if h.Hotkey == hotkey && h.IsValidator() && !h.hostile() && h.disk.engine != nil {
			snap, err := h.disk.engine.Snapshot()
			if err != nil {
				panic("sim: snapshot of " + h.Name + ": " + err.Error())
			}
			return snap
		}
	}
	return nil
}

const (
	// unsyncedLimit is how many batches may be under way to a disk: what the store
	// takes before it says that it is full, and what was begun before that.
	unsyncedLimit = 2 * 8192
	// closingEnds is how many connections a node may count that the network has
	// closed: their Closed is on the way.
	closingEnds = 64
	// waitingEvents is how many events may wait in the world for each of its nodes:
	// its timers, and a burst of frames under way.
	waitingEvents = 1024
)

// figures are what the node holds and what bounds it, by its published Stats and
// by what the world sees of it.
func (h *Host) figures() []invariant.Figure {
	s, ok := h.Stats()
	if !ok {
		return nil
	}
	out := []invariant.Figure{
		{Name: "batches under way to the disk", Value: uint64(h.Unsynced()), Limit: unsyncedLimit},
		{Name: "connections", Value: uint64(len(h.ends)), Limit: h.connectionLimit()},
		{Name: "sessions more than connections that stand", Value: count(s, "communication", "sessions"), Limit: uint64(len(h.ends)) + closingEnds},
		{Name: "events in the world, for all of its nodes", Value: uint64(h.world.Sched.Pending()), Limit: waitingEvents * uint64(len(h.world.Hosts))},
	}
	if h.IsValidator() {
		most := uint64(h.validator.Node.Filled().MaxSessions)
		out = append(out, invariant.Figure{Name: "sessions", Value: count(s, "communication", "sessions"), Limit: most},
			invariant.Figure{Name: "connections that it counts", Value: count(s, "communication", "connections"), Limit: 2 * most})
	}
	return out
}

// connectionLimit is how many connections a host may have: a validator as many
// as sessions and strangers may be, and the polls it makes; a miner one to each
// validator, and one more while that is dialled anew.
func (h *Host) connectionLimit() uint64 {
	if h.IsValidator() {
		n := h.validator.Node.Filled()
		return uint64(2*n.MaxSessions+n.PollParallel) + closingEnds
	}
	return uint64(2*len(h.world.cfg.Validators)) + closingEnds
}

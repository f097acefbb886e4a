package live

import (
	"time"

	"bettensor/node"
)

// Condition is something that must hold before a node counts as ready. The
// words are held stable.
type Condition string

// The node's own conditions. Options.Checks adds others, ChainHeadFresh above all.
const (
	StoreOpen      Condition = node.ConditionStore // the store is open and takes what is written
	LoopTurns      Condition = "loop_turns"        // the loop answered within loopStands
	ChainSynced    Condition = "chain_synced"      // a metagraph was read, and the last read succeeded
	Registered     Condition = "registered"        // the hotkey has a slot in it
	FeedFresh      Condition = "feed_fresh"        // a validator's: games were read, and the last read succeeded
	Reached        Condition = "validator_reached" // a miner's: a session with a validator, or a poll that was answered lately
	ChainHeadFresh Condition = "chain_head_fresh"  // the newest head is young enough
)

// Reason is one condition and whether it is met.
type Reason struct {
	Condition Condition `json:"condition"`
	Met       bool      `json:"met"`
	// Detail says why not, for people; "" where it is met.
	Detail string `json:"detail,omitempty"`
}

// loopStands is how long a loop may be silent before it counts as standing: ten
// beats, far above any slice of work.
const loopStands = 10 * beat

// LoopTurns says whether the loop answered lately.
func (n *Node) LoopTurns() bool { return time.Since(n.Progress().At) < loopStands }

// Ready lists every condition of readiness, met or not, always in the same
// order, as it was at the last beat. It never waits.
func (n *Node) Ready() []Reason {
	open := Reason{Condition: StoreOpen, Met: n.now.Load() != nil}
	if !open.Met {
		open.Detail = "the node is down"
	}
	turns := Reason{Condition: LoopTurns, Met: n.LoopTurns()}
	if !turns.Met {
		turns.Detail = "the loop does not answer"
	}
	found := n.pulse.found()
	if open.Met && found.core.State == "down" {
		open.Met, open.Detail = false, found.core.Reason
	}
	out := []Reason{open, turns,
		reason(ChainSynced, found.synced && found.metagraph.State == "ok", found.metagraph.Reason, "no metagraph yet"),
		reason(Registered, found.registered, "", "the hotkey has no slot in the subnet's newest metagraph")}
	if n.role.name == "validator" {
		out = append(out, reason(FeedFresh, found.games.State == "ok", found.games.Reason, "no games yet"))
	} else {
		out = append(out, reason(Reached, found.unreached == "" && found.synced, found.unreached, "no metagraph yet"))
	}
	for _, check := range n.o.Checks {
		out = append(out, check())
	}
	return out
}

// condition is what readiness rests on, seen on the loop.
type condition struct {
	synced, registered     bool
	core, metagraph, games node.ServiceStats
	unreached              string // why a miner reaches no validator
}

func (n *Node) look(v View) condition {
	state, s := v.state(), v.service().Stats()
	_, registered := state.UID(n.role.hotkey)
	unreached := ""
	if v.Miner != nil {
		unreached = v.Miner.Unreached()
	}
	return condition{synced: state.Meta != nil, registered: registered, unreached: unreached,
		core: figures(s, "core"), metagraph: figures(s, "metagraph"), games: figures(s, "games")}
}

func reason(c Condition, met bool, why, otherwise string) Reason {
	r := Reason{Condition: c, Met: met}
	if !met {
		if r.Detail = why; why == "" {
			r.Detail = otherwise
		}
	}
	return r
}

// figures picks one service's figures.
func figures(s node.Stats, name string) node.ServiceStats {
	for _, x := range s.Services {
		if x.Name == name {
			return x
		}
	}
	return node.ServiceStats{}
}

package node

import (
	"errors"
	"fmt"
	"time"

	"bettensor/node/chain"
	"bettensor/node/pack"
	"bettensor/sched"
)

// metagraph keeps State.Meta fresh, and our axon announced. Both roles have one.
//
// chain ─► OpSync ─► State.Meta ─► metagraph_updated;  axon differs ─► OpServeAxon
type metagraph struct {
	idle
	named
	core  *core
	cfg   metagraphConfig
	scope *sched.Scope
	state *State
	port  *sched.Port[chain.Request, chain.Reply]
	task  *sched.Task
	run   *sched.Run
	serve sched.Ticket // of the announcement under way, 0 for none
	stats struct{ syncs, stale, served, refused uint64 }
}

type metagraphConfig struct {
	every, deadline time.Duration
	netuid          chain.Netuid
	axon            chain.Axon
}

// chainPort is a port to the subtensor. Two requests may be under way: a
// service asks one thing at a time, and an announcement beside it.
func chainPort(s *sched.Scope, p Ports, deadline time.Duration, done func(sched.Ticket, chain.Request, chain.Reply, error)) *sched.Port[chain.Request, chain.Reply] {
	return sched.NewPort(s, sched.PortConfig[chain.Request, chain.Reply]{
		Name: "chain", Deadline: deadline, Limit: 2, Request: chain.AppendRequest,
		Reply:       sched.Codec[chain.Reply]{Append: chain.AppendReply, Read: func(b []byte) (chain.Reply, error) { return readAll(b, chain.ReadReply) }},
		ShowRequest: func(q *chain.Request) any { return map[string]any{"op": q.Op.String(), "uids": len(q.Weights.UIDs)} },
		ShowReply: func(r *chain.Reply) any {
			return map[string]any{"code": r.Code, "head": r.Head, "included": r.Included}
		},
	}, p.Chain, done)
}

func newMetagraph(c *core, s *sched.Scope, state *State, cfg metagraphConfig) *metagraph {
	m := &metagraph{named: "metagraph", core: c, cfg: cfg, scope: s, state: state}
	m.port = chainPort(s, c.ports, cfg.deadline, m.done)
	m.task = s.Task(sched.TaskConfig{Name: "sync_metagraph", Every: cfg.every, Jitter: 0.1,
		Deadline: 2 * cfg.deadline,
		Retry:    sched.Backoff{Base: time.Second, Cap: time.Minute, Attempts: 5}}, func(r *sched.Run) {
		m.run = r
		m.port.Start(chain.Request{Op: chain.OpSync, Hotkey: c.hotkey})
	})
	return m
}

// refresh asks for a newer metagraph now.
func (m *metagraph) refresh() { m.task.Trigger() }

func (m *metagraph) done(t sched.Ticket, req chain.Request, r chain.Reply, err error) {
	if t == m.serve && req.Op == chain.OpServeAxon {
		m.serve = 0
		switch {
		case err != nil:
			m.core.log.Warn("axon announcement: outcome unknown until the next sync", "err", err)
		case r.Code != chain.OK:
			m.stats.refused++
			m.core.log.Warn("axon announcement refused", "code", r.Code, "fix", r.Code.Advice())
		default:
			m.stats.served++
		}
		return
	}
	run := m.run
	m.run = nil
	if err == nil && r.Code != chain.OK {
		err = fmt.Errorf("sync refused: %s", r.Code)
	}
	if err == nil && r.Metagraph == nil {
		err = errors.New("sync answered without a metagraph")
	}
	if err == nil {
		m.learn(r.Metagraph)
	}
	if run != nil {
		run.Done(err)
	}
}

func (m *metagraph) learn(meta *chain.Metagraph) {
	old := m.state.Meta
	if old != nil && meta.Block < old.Block {
		m.stats.stale++ // an endpoint behind the one we asked before
		return
	}
	m.stats.syncs++
	var changed []SlotChange
	for i := range meta.Neurons {
		was := chain.Hotkey("")
		if old != nil && i < len(old.Neurons) {
			was = old.Neurons[i].Hotkey
		}
		if was != meta.Neurons[i].Hotkey {
			changed = append(changed, SlotChange{UID: chain.UID(i), Old: was, New: meta.Neurons[i].Hotkey})
		}
	}
	m.state.setMeta(meta, old == nil || len(changed) > 0 || len(old.Neurons) != len(meta.Neurons))
	m.core.metagraph.Publish(MetagraphUpdated{Meta: meta, Changed: changed})
	m.announce(meta)
}

// announce serves our axon where the chain shows another one. An axon that is
// already shown is not served again: that would hit the serving limit.
func (m *metagraph) announce(meta *chain.Metagraph) {
	uid, ok := m.state.UID(m.core.hotkey)
	if !ok || m.cfg.axon == (chain.Axon{}) || m.serve != 0 || meta.Neurons[uid].Axon == m.cfg.axon {
		return
	}
	m.serve = m.port.Start(chain.Request{Op: chain.OpServeAxon, Hotkey: m.core.hotkey, Axon: m.cfg.axon})
}

// readAll reads a whole value and refuses bytes left over.
func readAll[T any](b []byte, read func(*pack.Reader) (T, error)) (T, error) {
	r := pack.NewReader(b)
	v, err := read(r)
	if err == nil {
		err = r.Done()
	}
	return v, err
}

package node

import (
	"errors"
	"fmt"
	"time"

	"bettensor/node/chain"
	"bettensor/node/ledger"
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
	state *State
	port  *sched.Port[chain.Request, chain.Reply]
	task  *sched.Task
	run   *sched.Run
	serve sched.Ticket // of the announcement under way, 0 for none
	hold  time.Time    // no announcement before
	kept  time.Time    // when the ledger's copy was written
	began time.Time
	stats struct{ syncs, stale, odd, served, refused uint64 }

	odd  *chain.Metagraph // the first of the last answers, which do not fit what is known; nil where the last one does
	odds int              // how many of them speak against what is known
	fast bool             // the chain's blocks come faster than they should

	lastErr string // of the last sync, "" where it was answered
	silence string // the newest error since a new block was seen, whatever came after it
	stale   *sched.Timer
}

const (
	// serveAgain is the least time between two announcements that the chain has
	// answered: one that was accepted shows only at a finalised block, and one
	// that was refused is refused again until somebody has acted.
	serveAgain = 10 * time.Minute
	// keepMetagraph is how old the ledger's copy may be while nothing changes that
	// a start needs.
	keepMetagraph = 24 * time.Hour
	// minerKeeps is the most slots of a metagraph that a miner keeps: four times
	// what a subnet of the main network has. Above it every miner of a large
	// subnet would write megabytes, to find a few validators again.
	minerKeeps = 1024
	// staleBlocks is how many block times old the newest block may be before a
	// person is told, where the node asks often enough to know: ten minutes on the
	// real chain.
	staleBlocks = 50
	// slotSlack is how many blocks an answer may be ahead of its own time: blocks
	// are dated by clocks that differ.
	slotSlack = 5
	// oddAnswers in a row are believed against what was known.
	oddAnswers = 3
)

type metagraphConfig struct {
	every, deadline time.Duration
	netuid          chain.Netuid
	axon            chain.Axon
	blockTime       time.Duration
	keepMost        int          // slots of a metagraph that is kept for a start without a chain; 0 for any
	foreign         func(uint64) // told of Reply.Foreign; nil where nobody wants to know
	// stopped says that another process acts with our key, so that nothing is
	// announced; nil where that is not looked for.
	stopped func() bool
}

// chainPort is a port to the subtensor. Two requests may be under way: a
// service asks one thing at a time, and an announcement beside it.
func chainPort(s *sched.Scope, p Ports, deadline time.Duration, done func(sched.Ticket, chain.Request, chain.Reply, error)) *sched.Port[chain.Request, chain.Reply] {
	return sched.NewPort(s, sched.PortConfig[chain.Request, chain.Reply]{
		Name: "chain", Deadline: deadline, Limit: 2, Request: chain.AppendRequest,
		Reply:       sched.Codec[chain.Reply]{Append: chain.AppendReply, Hash: (*chain.Reply).Sum, Read: func(b []byte) (chain.Reply, error) { return readAll(b, chain.ReadReply) }},
		ShowRequest: func(q *chain.Request) any { return map[string]any{"op": q.Op.String(), "uids": len(q.Weights.UIDs)} },
		ShowReply: func(r *chain.Reply) any {
			return map[string]any{"code": r.Code, "head": r.Head, "included": r.Included}
		},
	}, p.Chain, done)
}

func newMetagraph(c *core, s *sched.Scope, state *State, cfg metagraphConfig) *metagraph {
	m := &metagraph{named: "metagraph", core: c, cfg: cfg, state: state, began: c.loop.Now()}
	m.stale = s.Timer("chain-stale", m.judgeAge)
	m.port = chainPort(s, c.ports, cfg.deadline, m.done)
	m.task = s.Task(sched.TaskConfig{Name: "sync_metagraph", Every: cfg.every, Jitter: 0.1,
		Deadline: 2 * cfg.deadline,
		Retry:    sched.Backoff{Base: time.Second, Cap: time.Minute, Attempts: 5}}, func(r *sched.Run) {
		m.run = r
		m.port.Start(chain.Request{Op: chain.OpSync, Hotkey: c.hotkey})
	})
	m.stale.ArmAt(m.began.Add(m.patience()))
	return m
}

// refresh asks for a newer metagraph now.
func (m *metagraph) refresh() { m.task.Trigger() }

func (m *metagraph) done(t sched.Ticket, req chain.Request, r chain.Reply, err error) {
	if err == nil && m.cfg.foreign != nil {
		m.cfg.foreign(r.Foreign)
	}
	if t == m.serve && req.Op == chain.OpServeAxon {
		m.serve = 0
		switch {
		case err != nil:
			m.core.log.Warn("axon announcement: outcome unknown until the next sync", "err", err)
		case r.Code != chain.OK:
			m.hold = m.core.loop.Now().Add(serveAgain)
			m.stats.refused++
			m.core.log.Warn("axon announcement refused", "code", r.Code, "fix", r.Code.Advice())
		default:
			m.hold = m.core.loop.Now().Add(serveAgain)
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
		err = m.learn(r.Metagraph)
	}
	m.lastErr = ""
	if err != nil {
		m.lastErr = err.Error()
		m.silence = m.lastErr
	}
	m.judgeAge()
	if run != nil {
		run.Done(err)
	}
}

// fits says whether a and then b can be answers of one chain: blocks come no
// faster than their slots, and no block is dated before an earlier one.
func (m *metagraph) fits(a, b *chain.Metagraph) bool {
	slots := int64(b.At.Sub(a.At) / m.cfg.blockTime)
	blocks := int64(b.Block) - int64(a.Block)
	return blocks <= slots+slotSlack && (blocks >= 0 || slots <= slotSlack)
}

// odder judges an answer that does not fit what is known: believed, where several
// in a row say that what is known was the lie. That is so where they lie behind it
// and fit the first of them. Those too far ahead are a lie for as long as they fit
// the first; where they do not, this chain is faster than it should be.
func (m *metagraph) odder(old, meta *chain.Metagraph) bool {
	ahead := meta.Block > old.Block
	switch {
	case m.odd == nil, !ahead && !m.fits(m.odd, meta):
		m.odd, m.odds = meta, 1
	case m.fits(m.odd, meta) != ahead:
		m.odds++
	}
	if m.odds < oddAnswers {
		return false
	}
	m.fast = m.fast || ahead
	return true
}

// learn takes in an answer. One that is not believed is an error, so that another
// is asked for soon.
func (m *metagraph) learn(meta *chain.Metagraph) error {
	old, believed := m.state.Meta, false
	if m.stats.syncs > 0 && !m.fits(old, meta) && !(m.fast && meta.Block > old.Block) {
		if believed = m.odder(old, meta); !believed {
			m.stats.odd++
			return fmt.Errorf("the endpoint answers with block %d of %s, after block %d of %s: no chain has both", meta.Block, meta.At.UTC().Format(time.RFC3339),
				old.Block, old.At.UTC().Format(time.RFC3339))
		}
	}
	m.odd, m.odds = nil, 0
	if m.stats.syncs > 0 && meta.Block < old.Block && !believed {
		m.stats.stale++ // an endpoint behind the one we asked before
		return nil
	}
	m.stats.syncs++
	if old == nil || meta.Block > old.Block {
		m.silence = ""
	}
	changed := 0
	same := old != nil && meta.Digest != 0 && meta.Digest == old.Digest // nothing but the block is new
	for i := range meta.Neurons {
		if same {
			break
		}
		was := chain.Hotkey("")
		if old != nil && i < len(old.Neurons) {
			was = old.Neurons[i].Hotkey
		}
		if was != meta.Neurons[i].Hotkey {
			changed++
		}
	}
	moved := old == nil || changed > 0 || len(old.Neurons) != len(meta.Neurons)
	m.state.setMeta(meta, moved)
	if most := m.cfg.keepMost; most == 0 || len(meta.Neurons) <= most {
		m.keep(meta, moved || !same && served(old, meta))
	}
	m.core.metagraph.Publish(MetagraphUpdated{Meta: meta, Changed: changed})
	m.announce(meta)
	return nil
}

// patience is how old the newest block may be. Between two answers it ages by as
// long as nobody asks, and one answer that went wrong is no alarm yet.
func (m *metagraph) patience() time.Duration {
	return max(staleBlocks*m.cfg.blockTime, 2*m.cfg.every+m.cfg.blockTime)
}

// judgeAge raises an alarm where no new block is seen any more, whatever the
// reason: no endpoint answers, or those that do stand still. A timer asks it where
// no answer does.
func (m *metagraph) judgeAge() {
	seen := m.began
	if meta := m.state.Meta; meta != nil && meta.At.After(seen) {
		seen = meta.At
	}
	limit := m.patience()
	age := m.core.loop.Now().Sub(seen)
	if age < limit {
		m.core.alarms.Set(AlarmChainStale, false, "")
		m.stale.ArmAt(seen.Add(limit))
		return
	}
	newest := "none was ever seen"
	if meta := m.state.Meta; meta != nil {
		newest = fmt.Sprintf("the newest is %d", meta.Block)
	}
	why := m.lastErr
	switch {
	case why != "":
	case m.run != nil:
		why = "the endpoint does not answer"
	default:
		why = "the endpoint answers with old ones"
	}
	if m.silence != "" && m.silence != why {
		why += "; before that: " + m.silence
	}
	m.core.alarms.Set(AlarmChainStale, true, fmt.Sprintf("no new block of the chain for %v, %s: %s", age.Round(time.Second), newest, why))
}

// served says whether somebody's permit or address differs in two metagraphs.
func served(old, meta *chain.Metagraph) bool {
	for i := range meta.Neurons {
		if a, b := &old.Neurons[i], &meta.Neurons[i]; a.Permit != b.Permit || a.Axon != b.Axon {
			return true
		}
	}
	return false
}

// keep writes the metagraph for a start without a chain: when a slot, a permit
// or an address has changed, and once a day.
func (m *metagraph) keep(meta *chain.Metagraph, changed bool) {
	now := m.core.loop.Now()
	if !changed && now.Sub(m.kept) < keepMetagraph {
		return
	}
	m.kept = now
	b := m.core.store.Batch()
	ledger.Metagraphs.Put(b, ledger.MetagraphKey, meta)
	m.core.store.Commit(b)
}

// announce serves our axon where the chain shows another one. An axon that is
// already shown is not served again: that would hit the serving limit.
func (m *metagraph) announce(meta *chain.Metagraph) {
	uid, ok := m.state.UID(m.core.hotkey)
	if m.cfg.stopped != nil && m.cfg.stopped() {
		return // two hosts that both announced would spend each other's serving limit
	}
	if !ok || m.cfg.axon == (chain.Axon{}) || m.serve != 0 || m.core.loop.Now().Before(m.hold) || meta.Neurons[uid].Axon == m.cfg.axon {
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

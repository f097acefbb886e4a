package node

import (
	"strings"
	"time"

	"bettensor/node/chain"
	"bettensor/sched"
)

// status writes one line for people at a fixed pace, and the totals into the
// ledger.
type status struct {
	idle
	named
	core   *core
	state  *State
	netuid chain.Netuid
	due    uint64    // times a line was due, whether or not somebody reads it: a replay has no log
	said   time.Time // when the last one was, on the wall clock
}

// statusSlack is the part of the interval by which a line may be early: tasks
// drift by a little.
const statusSlack = 10

func newStatus(c *core, s *sched.Scope, state *State, netuid chain.Netuid, every time.Duration) *status {
	st := &status{named: "status", core: c, state: state, netuid: netuid}
	s.Task(sched.TaskConfig{Name: "log_status", Every: every, First: every}, func(r *sched.Run) {
		// The task runs by the node's clock, which may be fast; people read by the wall's.
		if now := c.loop.Wall(); st.said.IsZero() || now.Sub(st.said) >= every-every/statusSlack {
			st.said = now
			st.due++
			if c.ports.Log != nil {
				st.say()
			}
		}
		if c.loop.Now().Sub(c.totals.saved) >= totalsEvery {
			c.saveTotals(false)
		}
		r.Done(nil)
	})
	return st
}

// say writes the line, and one more for each service that is not well.
func (s *status) say() {
	all := s.core.Stats()
	for i := range all.Services {
		if v := &all.Services[i]; v.State != "ok" {
			s.core.log.Warn("status", "service", v.Name, "state", v.State, "reason", v.Reason)
		}
	}
	s.core.log.Info("status", s.fields(&all)...)
}

// fields of the line. What is not known yet is not in it.
func (s *status) fields(all *Stats) []any {
	var out []any
	if meta := s.state.Meta; meta != nil {
		out = append(out, "block", meta.Block)
		if meta.Params.EpochBlocks() > 0 {
			out = append(out, "epoch", meta.Params.Epoch(s.netuid, meta.Block))
		}
		if uid, ok := s.state.UID(s.core.hotkey); ok {
			out = append(out, "uid", uid)
		}
	}
	sessions, _ := all.Service("communication").Counts.Get("sessions")
	out = append(out, "sessions", sessions)
	if n, ok := all.Service("communication").Counts.Get("validators"); ok {
		out = append(out, "validators", n)
	}
	if n, ok := all.Service("predictions").Counts.Get("held"); ok {
		out = append(out, "predictions", n)
	}
	if w := all.Service("weights").Weights; w != nil {
		out = append(out, "weights_set", w.Set, "weights", w.Outcome.String())
	}
	var alarms []string
	for _, a := range all.Alarms {
		alarms = append(alarms, a.Code.String())
	}
	return append(out, "alarms", strings.Join(alarms, ","), "events", s.core.loop.Events(), "commits", s.core.store.Durable())
}

func (s *status) Stats() ServiceStats {
	return ServiceStats{Name: s.name(), State: "ok", Counts: []Count{{"due", s.due}}}
}

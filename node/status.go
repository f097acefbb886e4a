package node

import (
	"time"

	"bettensor/sched"
)

// status writes one line for people at a fixed pace, and the totals into the
// ledger.
type status struct {
	idle
	named
	core *core
	due  uint64 // times a line was due, whether or not somebody reads it: a replay has no log
}

func newStatus(c *core, s *sched.Scope, every time.Duration) *status {
	st := &status{named: "status", core: c}
	s.Task(sched.TaskConfig{Name: "log_status", Every: every, First: every}, func(r *sched.Run) {
		st.due++
		if c.ports.Log != nil {
			for _, v := range c.Stats().Services {
				if v.State != "ok" {
					c.log.Warn("status", "service", v.Name, "state", v.State, "reason", v.Reason)
				}
			}
			c.log.Info("status", "events", c.loop.Events(), "commits", c.store.Durable())
		}
		if c.loop.Now().Sub(c.totals.saved) >= totalsEvery {
			c.saveTotals(false)
		}
		r.Done(nil)
	})
	return st
}

func (s *status) Stats() ServiceStats {
	return ServiceStats{Name: s.name(), State: "ok", Counts: []Count{{"due", s.due}}}
}

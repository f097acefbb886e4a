package node

import (
	"time"

	"bettensor/node/bet"
	"bettensor/sched"
)

const (
	// forgetAfterStart is when a node looks for old rows the first time: what
	// brought it back to work comes before.
	forgetAfterStart = 10 * time.Minute
	// forgetRows is about how many rows one slice of forgetting drops: a batch of
	// some hundred kilobytes, which holds up no confirmation behind it.
	forgetRows = 1024
)

// daily has a service drop its old rows (ledger.RetentionDays and others) once a
// day, in slices: step drops some of what is too old on a day, from State and by
// a batch alike, and says whether there is more.
func (c *core) daily(s *sched.Scope, name string, step func(today bet.Day) (more bool)) {
	s.Task(sched.TaskConfig{Name: name, Every: 24 * time.Hour, First: forgetAfterStart}, func(r *sched.Run) {
		today := bet.DayOf(c.loop.Now())
		s.Defer(func() bool {
			if step(today) {
				return true
			}
			r.Done(nil)
			return false
		})
	})
}

package node

import (
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/sched"
)

// scoring is the validator's Scoring service. This first one is trivial: a
// miner's weight is its share of the won predictions.
type scoring struct {
	idle
	named
	v    *Validator
	task *sched.Task
	late *sched.Timer
}

func newScoring(v *Validator, s *sched.Scope) *scoring {
	c := &scoring{named: "scoring", v: v}
	c.task = s.Task(sched.TaskConfig{Name: "run_scoring", Every: v.cfg.ScoringInterval, Jitter: 0.05}, func(r *sched.Run) {
		c.round()
		r.Done(nil)
	})
	c.late = s.Timer("settled", func() { c.task.Trigger() })
	v.PredictionSettled.Subscribe(s, func(*PredictionSettled) {
		if _, armed := c.late.Armed(); !armed {
			c.late.Arm(v.cfg.SettleDelay)
		}
	})
	return c
}

func (c *scoring) round() {
	meta := c.v.State.Meta
	if meta == nil {
		return
	}
	e := ScoringComplete{Day: bet.DayOf(c.v.loop.Now()), Block: meta.Block}
	won := make([]float64, len(meta.Neurons))
	total := 0.0
	for _, p := range c.v.State.Book.byID {
		if uid, ok := c.v.State.UID(p.Hotkey); ok && p.State == bet.Won {
			won[uid]++
			total++
		}
	}
	if total > 0 {
		for i, n := range won {
			if n > 0 {
				e.UIDs, e.Hotkeys, e.Weights = append(e.UIDs, chain.UID(i)), append(e.Hotkeys, meta.Neurons[i].Hotkey), append(e.Weights, n/total)
			}
		}
	} else {
		e.Reason = "nothing won"
	}
	c.v.ScoringComplete.Publish(e)
}

func (c *scoring) Stats() ServiceStats { return ServiceStats{Name: c.name(), State: "ok"} }

var _ = time.Second

package node

import (
	"cmp"
	"fmt"
	"time"

	"bettensor/bus"
	"bettensor/node/bet"
	"bettensor/node/ledger"
	"bettensor/node/wire"
	"bettensor/sched"
)

// ServiceStats are one service's figures: counters by name, in a fixed order.
type ServiceStats struct {
	Name   string `json:"name"`
	State  string `json:"state"`            // ok, degraded, down, rebuilding
	Reason string `json:"reason,omitempty"` // why not ok
	Counts Counts `json:"counts"`
	// Troubles with peers that stand now, in order of hotkeys; a few dozen at most.
	Troubles []Trouble `json:"troubles,omitempty"`
	// Accuracy of the predictions the service knows; nil where it knows none.
	Accuracy *Accuracy `json:"accuracy,omitempty"`
	// Weights of a validator and the chain's; only the Weights service has them.
	Weights *WeightsReport `json:"weights,omitempty"`
}

// Stats are a node's figures at one instant.
type Stats struct {
	At       time.Time         `json:"at"`
	Services []ServiceStats    `json:"services"`
	Topics   []bus.TopicStats  `json:"topics"`
	Tasks    []sched.TaskStats `json:"tasks"`
	Timings  []Timing          `json:"timings"`
	Panics   uint64            `json:"panics"`
	Alarms   []Alarm           `json:"alarms"` // those raised now
}

// Service returns a service's figures, the zero value where there is no such
// service.
func (s *Stats) Service(name string) ServiceStats {
	for i := range s.Services {
		if s.Services[i].Name == name {
			return s.Services[i]
		}
	}
	return ServiceStats{}
}

// Stats returns the figures of every service, topic and task. Call it on the loop.
func (c *core) Stats() Stats {
	s := Stats{At: c.loop.Now(), Topics: c.bus.Stats(), Tasks: c.loop.Tasks(), Timings: c.timings.list(), Alarms: c.alarms.List()}
	for i := range c.services {
		s.Services = append(s.Services, c.services[i].figures())
	}
	for i := range c.services {
		s.Panics += c.services[i].panics
	}
	s.Services = append(s.Services, c.ownStats())
	return s
}

func (c *core) ownStats() ServiceStats {
	s := ServiceStats{Name: "core", State: "ok", Counts: []Count{
		{"frames_waiting", uint64(c.inbound.Waiting())}, {"frames_shed", c.inbound.Shed()},
		{"commits_pending", uint64(c.store.Pending())}, {"commit_bytes_pending", uint64(c.store.PendingBytes())},
		{"commits_durable", uint64(c.store.Durable())}}}
	switch {
	case c.downErr != nil:
		s.State, s.Reason = "down", c.downErr.Error()
	case c.closed:
		s.State, s.Reason = "down", "closed"
	}
	return s
}

// Accuracy of settled predictions.
type Accuracy struct {
	Settled uint64 `json:"settled"`
	Won     uint64 `json:"won"`
	Pushed  uint64 `json:"pushed"`
	// WinRate is won / (won + lost).
	WinRate float64 `json:"win_rate"`
	// Brier is the mean of (p − outcome)², p being the confidence given, or the
	// inverse of the odds taken where none was.
	Brier float64 `json:"brier"`
	// CLV is the mean of odds taken / closing odds − 1, over those whose closing
	// odds are known.
	CLV float64 `json:"clv"`
	// ROI is profit / wager over all of them.
	ROI float64 `json:"roi"`
}

// accuracy sums what Accuracy is made of.
type accuracy struct {
	won, lost, pushed, priced uint64
	brier, clv                float64
	wager, profit             bet.Cents
}

// row counts a validator's row, or takes it out again.
func (a *accuracy) row(p *ledger.Prediction, closing bet.Odds, sign int) {
	price := 0.0
	if p.Outcome < bet.Unfinished {
		price = closing[p.Outcome]
	}
	a.outcome(p.State, p.Confidence, p.Odds, price, p.Wager, p.Payout, sign)
}

// accuracyForm is the text of ledger.FactAccuracy: exact, and readable in a dump.
const accuracyForm = "won=%d lost=%d pushed=%d priced=%d wager=%d profit=%d brier=%g clv=%g"

// String is the form in which sums are kept.
func (a *accuracy) String() string {
	return fmt.Sprintf(accuracyForm, a.won, a.lost, a.pushed, a.priced, a.wager, a.profit, a.brier, a.clv)
}

// parse reads what String wrote; anything else counts as nothing: statistics
// are not worth refusing to start.
func (a *accuracy) parse(text string) {
	var in accuracy
	if n, err := fmt.Sscanf(text, accuracyForm, &in.won, &in.lost, &in.pushed, &in.priced, &in.wager, &in.profit, &in.brier, &in.clv); err == nil && n == 8 {
		*a = in
	}
}

func (a *accuracy) outcome(state bet.State, confidence, odds, closing float64, wager, payout bet.Cents, sign int) {
	n, s := uint64(sign), float64(sign)
	hit := 0.0
	switch state {
	case bet.Won:
		a.won += n
		hit = 1
	case bet.Lost:
		a.lost += n
	case bet.Pushed:
		a.pushed += n
		return
	default:
		return
	}
	if confidence < 0 {
		confidence = 1 / odds
	}
	a.brier += s * (confidence - hit) * (confidence - hit)
	if closing > 0 {
		a.priced += n
		a.clv += s * (odds/closing - 1)
	}
	a.wager += bet.Cents(sign) * wager
	a.profit += bet.Cents(sign) * (payout - wager)
}

func (a *accuracy) figures() *Accuracy {
	out := &Accuracy{Settled: a.won + a.lost + a.pushed, Won: a.won, Pushed: a.pushed}
	if n := float64(a.won + a.lost); n > 0 {
		out.WinRate, out.Brier = float64(a.won)/n, a.brier/n
	}
	if a.priced > 0 {
		out.CLV = a.clv / float64(a.priced)
	}
	if a.wager > 0 {
		out.ROI = float64(a.profit) / float64(a.wager)
	}
	return out
}

func health(ok bool, reason string) (string, string) {
	if ok {
		return "ok", ""
	}
	return "degraded", reason
}

func (m *metagraph) Stats() ServiceStats {
	s := ServiceStats{Name: m.name(), Counts: []Count{
		{"syncs", m.stats.syncs}, {"stale", m.stats.stale}, {"odd", m.stats.odd}, {"axon_served", m.stats.served}, {"axon_refused", m.stats.refused}}}
	s.State, s.Reason = health(m.state.Meta != nil && m.lastErr == "", cmp.Or(m.lastErr, "not synced yet"))
	return s
}

func (g *games) Stats() ServiceStats {
	s := ServiceStats{Name: g.name(), Counts: []Count{
		{"known", uint64(len(g.v.State.Games))}, {"polls", g.stats.polls}, {"changed", g.stats.changed}, {"refused", g.stats.refused}, {"refused_ahead", g.stats.ahead}, {"forgotten", g.stats.forgotten}}}
	s.Counts = append(s.Counts, g.corrections.counts()...)
	hours, day, older := g.unsettled()
	s.Counts = append(s.Counts, Count{"unsettled_3h", hours}, Count{"unsettled_1d", day}, Count{"unsettled_older", older})
	s.State, s.Reason = health(g.stats.polls > 0 && g.lastErr == "", cmp.Or(g.lastErr, "not polled yet"))
	return s
}

// unsettled counts the games that have begun and have no result: less than three
// hours ago, which is a match and its report, less than a day ago, and before.
func (g *games) unsettled() (hours, day, older uint64) {
	now := g.v.loop.Now()
	// order cannot matter: they are counted
	for _, x := range g.v.State.Games {
		if x.Resulted() || x.Status == bet.Postponed || x.Start.After(now) {
			continue
		}
		switch age := now.Sub(x.Start); {
		case age < 3*time.Hour:
			hours++
		case age < 24*time.Hour:
			day++
		default:
			older++
		}
	}
	return hours, day, older
}

func (c *communication) Stats() ServiceStats {
	s := ServiceStats{Name: c.name(), State: "ok", Counts: []Count{
		{"sessions", uint64(len(c.byHotkey))}, {"connections", uint64(len(c.sessions))}, {"opened", c.stats.opened},
		{"refused", c.stats.refused}, {"replaced", c.stats.replaced}, {"timed_out", c.stats.timedOut},
		{"frames", c.stats.frames}, {"predictions", c.stats.predictions}, {"heartbeats", c.stats.heartbeats},
		{"confirmed", c.stats.confirmed}, {"rejected", c.stats.rejected}, {"broadcasts", c.stats.broadcasts},
		{"sent", c.stats.sent}, {"unasked", c.stats.unasked}, {"over_rate", c.stats.limited}, {"closed_over_rate", c.stats.flooded}, {"authentications_over_rate", c.stats.hasty}}}
	for i, n := range c.stats.errors {
		if n > 0 {
			s.Counts = append(s.Counts, Count{"refused_" + wire.Error(i).Code(), n})
		}
	}
	return s
}

func (p *predictions) Stats() ServiceStats {
	s := ServiceStats{Name: p.name(), State: "ok", Accuracy: p.accuracy.figures(), Counts: []Count{
		{"held", uint64(p.v.State.Book.Len())}, {"received", p.stats.received}, {"stored", p.stats.stored},
		{"duplicates", p.stats.duplicates}, {"waited", p.stats.waiting}, {"settled", p.stats.settled}, {"corrected", p.stats.corrected}, {"forgotten", p.stats.forgotten}}}
	if p.reprices {
		s.Counts = append(s.Counts, Count{"repriced", p.stats.repriced})
	}
	for _, code := range bet.Codes() {
		if n := p.rejected[code]; n > 0 {
			s.Counts = append(s.Counts, Count{"rejected_" + string(code), n})
		}
	}
	s.Counts = append(s.Counts, Count{"polled_stored", p.polled.stored}, Count{"polled_duplicates", p.polled.duplicates})
	for _, code := range bet.Codes() {
		if n := p.polled.rejected[code]; n > 0 {
			s.Counts = append(s.Counts, Count{"polled_rejected_" + string(code), n})
		}
	}
	if p.full() {
		s.State, s.Reason = "degraded", "the store is slow: new predictions are pushed back"
	}
	return s
}

func (w *weights) Stats() ServiceStats {
	s := ServiceStats{Name: w.name(), Weights: w.report(), Counts: []Count{
		{"planned", w.stats.planned}, {"set", w.stats.set}, {"refused", w.stats.refused}, {"unsent", w.stats.unsent},
		{"unknown", w.stats.unknown}, {"resolved", w.stats.resolved}, {"held_by_rate_limit", w.stats.held}, {"read_back", w.stats.read}, {"last_update", uint64(w.update)}}}
	for o, n := range w.epochs.counts {
		s.Counts = append(s.Counts, Count{"epochs_" + EpochOutcome(o).String(), n})
	}
	why := cmp.Or(w.standing, w.refusal)
	s.State, s.Reason = health(why == "", why)
	return s
}

package sim

import (
	"fmt"
	"slices"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/sim/market"
	"bettensor/store"
)

// LivenessCheck is one thing that must have settled when a healing phase has had
// its time. It is judged by disks, the network and the chain.
type LivenessCheck struct {
	Name    string `json:"name"`
	Phase   string `json:"phase"`
	Checked uint64 `json:"checked"`
	Failed  uint64 `json:"failed"`
	First   string `json:"first,omitempty"` // what did not settle, and for whom
}

// livenessDocs are the checks, in the order of reports.
var livenessDocs = []struct{ name, doc string }{
	{"nodes-up", "Every honest node that holds a slot runs, and has not gone down by itself in the phase's last two minutes."},
	{"sessions-back", "Every miner that runs and holds a slot has a connection that stands to every validator that runs."},
	{"predictions-answered", "Every prediction that a miner made half an hour ago or earlier, on a game that has not begun, is confirmed or refused by every validator."},
	{"books-equal", "What a miner holds as confirmed a validator holds as accepted, with the same wager and outcome, at the same odds or the shorter ones that were offered."},
	{"settlement-done", "No prediction is open whose result has been known for as long as a validator takes to hear of it and settle."},
	{"scoring-up-to-date", "A validator that has settled predictions has scored yesterday or today."},
	{"weights-fresh", "The weights of a validator that has scored are on the chain, and were renewed within its longest age, two tempos and the rate limit. One who may set weights has set some once games have had results for four tempos: none at all is a failure."},
}

// LivenessNames are the names of the checks, in the order of reports.
func LivenessNames() []string {
	out := make([]string, len(livenessDocs))
	for i := range livenessDocs {
		out[i] = livenessDocs[i].name
	}
	return out
}

// answerWithin is how long a prediction may go without an answer where nothing is
// wrong: the wait for a validator's quote, and the longest pause between tries.
const answerWithin = 30 * time.Minute

// settling is the checks of one phase.
type settling struct {
	w      *World
	p      *Plan
	began  time.Time // of the phase
	at     time.Time
	checks []LivenessCheck
}

// settles looks at what a healing phase must have brought to rest.
func (r *recorder) settles(phase string, began time.Time) {
	s := &settling{w: r.w, p: r.p, began: began, at: r.w.now()}
	for _, d := range livenessDocs {
		s.checks = append(s.checks, LivenessCheck{Name: d.name, Phase: phase})
	}
	meta := r.w.Chain.Metagraph(s.at)
	for _, h := range r.w.Hosts {
		if _, holds := meta.UIDOf(h.Hotkey); holds && !h.hostile() {
			s.up(h)
			if h.IsValidator() {
				s.voted(h, meta)
			}
		}
	}
	for _, v := range r.w.Hosts {
		if !v.IsValidator() || v.hostile() || !v.Up() {
			continue
		}
		if _, ok := meta.UIDOf(v.Hotkey); !ok {
			continue
		}
		snap := r.w.diskOf(v.Hotkey)
		if snap == nil {
			continue
		}
		err := s.validator(v, meta, snap)
		for _, m := range r.w.Hosts {
			if _, holds := meta.UIDOf(m.Hotkey); err == nil && holds && !m.IsValidator() && !m.hostile() && m.Up() {
				err = s.pair(v, m, snap)
			}
		}
		snap.Close()
		if err != nil {
			panic("sim: rows of " + v.Name + ": " + err.Error())
		}
	}
	r.liveness = append(r.liveness, s.checks...)
}

// check counts one judgement of a check; what did not settle is said of the first.
func (s *settling) check(name string, ok bool, format string, args ...any) {
	for i := range s.checks {
		if c := &s.checks[i]; c.Name == name {
			c.Checked++
			if !ok {
				if c.Failed++; c.Failed == 1 {
					c.First = fmt.Sprintf(format, args...)
				}
			}
		}
	}
}

// restless is how lately a node that goes down again and again has done so at the
// latest: the longest wait before it is started, and as long until it falls.
const restless = 2 * longestRestart

// up looks at whether a node runs, and stays up.
func (s *settling) up(h *Host) {
	since := s.at.Add(-restless)
	if since.Before(s.began) {
		since = s.began
	}
	switch {
	case h.Up() && !h.fell.After(since):
		s.check("nodes-up", true, "")
	case len(h.Downs) > 0 && h.fell.After(since):
		s.check("nodes-up", false, "%s goes down by itself, %d times, last %s: %s", h.Name, len(h.Downs), h.fell.Format(time.RFC3339), h.Downs[len(h.Downs)-1])
	default:
		s.check("nodes-up", false, "%s is down", h.Name)
	}
}

// voteTempos is within how many tempos of the first result a validator has set its
// first weights: two to settle, score and be let in, and as many for a refusal.
const voteTempos = 4

// voted looks at whether a validator has ever set weights, where it should have:
// whatever kept it from scoring, the scenario gave it games to score.
func (s *settling) voted(v *Host, meta *chain.Metagraph) {
	uid, _ := meta.UIDOf(v.Hotkey)
	own := &meta.Neurons[uid]
	n := s.p.Scenario.Node
	blocks := voteTempos*time.Duration(meta.Params.Tempo) + time.Duration(meta.Params.WeightsRateLimit)
	due := s.at.Add(-n.FeedPoll - n.SettleDelay - blocks*s.p.Scenario.Chain.BlockTime)
	resulted := slices.ContainsFunc(s.p.Market.Fixtures(), func(f market.Fixture) bool {
		g, ok := s.p.Market.Game(f.ID, due)
		return ok && g.Resulted() && g.Start.After(s.p.Start.Add(answerWithin)) // bets on it could be placed
	})
	if own.Permit && resulted && own.LastUpdate <= own.RegisteredAt {
		s.check("weights-fresh", false, "%s has never set weights, and games have had results since %s or earlier", v.Name, due.Format(time.RFC3339))
	}
}

// heard is how long a validator may take to hear of a result and settle by it.
func (s *settling) heard() time.Duration { return 3*s.p.Scenario.Node.FeedPoll + time.Hour }

// validator looks at what a validator must have done by itself.
func (s *settling) validator(v *Host, meta *chain.Metagraph, snap store.Snapshot) error {
	n := s.p.Scenario.Node
	heard := s.at.Add(-s.heard())
	settled := false
	err := ledger.Predictions.Scan(snap, nil, nil, func(_ ledger.PredictionKey, p *ledger.Prediction) error {
		settled = settled || p.State == bet.Won || p.State == bet.Lost
		g, ok := s.p.Market.Game(p.Game, heard)
		if said, lied := s.w.told(v.Name, p.Game, heard); lied {
			g, ok = said, true // a game that its feed has put off has no result yet
		}
		if ok && g.Resulted() {
			s.check("settlement-done", p.State != bet.Open, "%s: prediction %s on game %s is open, and its result was known %s", v.Name, p.ID, p.Game, heard.Format(time.RFC3339))
		}
		return nil
	})
	if err != nil || !settled {
		return err
	}
	newest := bet.Day(-1)
	if err := ledger.Scores.Scan(snap, nil, nil, func(k ledger.DayKey, r *ledger.Score) error {
		if r.Tier > 0 {
			newest = max(newest, k.Day)
		}
		return nil
	}); err != nil {
		return err
	}
	s.check("scoring-up-to-date", newest >= bet.DayOf(s.at)-1, "%s: the newest scored day is %s", v.Name, newest)
	if newest < 0 {
		return nil
	}
	uid, _ := meta.UIDOf(v.Hotkey)
	age := chain.Block(n.WeightsMaxAge)
	if age == 0 {
		age = chain.Block(meta.Params.ActivityCutoff) / 2
	}
	last := meta.Neurons[uid].LastUpdate
	most := age + 2*chain.Block(meta.Params.Tempo) + chain.Block(meta.Params.WeightsRateLimit)
	s.check("weights-fresh", last > 0 && meta.Block <= last+most, "%s: its weights are of block %d, %d blocks ago; want at most %d", v.Name, last, meta.Block-last, most)
	return nil
}

// pair looks at what a miner and a validator must agree on.
func (s *settling) pair(v, m *Host, snap store.Snapshot) error {
	polled := m.miner.Polled
	if !polled {
		s.check("sessions-back", m.connected(v), "%s has no connection to %s", m.Name, v.Name)
	}
	own, err := m.disk.engine.Snapshot()
	if err != nil {
		return err
	}
	defer own.Close()
	return ledger.Outbox.Scan(own, nil, nil, func(id bet.PredictionID, o *ledger.Outgoing) error {
		delivery := deliveryOf(o, v.Hotkey)
		if o.Start.After(s.at) && o.Made.Before(s.at.Add(-answerWithin)) {
			s.check("predictions-answered", delivery != nil, "%s: prediction %s, made %s, has no answer of %s", m.Name, id, o.Made.Format(time.RFC3339), v.Name)
		}
		if delivery == nil || delivery.State != ledger.Confirmed || bet.DayOf(o.Made) <= bet.DayOf(s.at)-ledger.RetentionDays {
			return nil
		}
		k, ok, err := ledger.IDs.Get(snap, ledger.IDKey{Hotkey: m.Hotkey, ID: id})
		var row ledger.Prediction
		if ok && err == nil {
			row, ok, err = ledger.Predictions.Get(snap, k)
		}
		same := ok && row.Wager == o.Wager && row.Outcome == o.Outcome && row.Odds <= o.Odds && o.Odds-row.Odds <= bet.OddsTolerance
		s.check("books-equal", same, "%s holds prediction %s as confirmed by %s: %s on %s at %v; there it is %s on %s at %v (found: %t)", m.Name, id, v.Name,
			o.Wager, o.Outcome, o.Odds, row.Wager, row.Outcome, row.Odds, ok)
		return err
	})
}

func deliveryOf(o *ledger.Outgoing, validator chain.Hotkey) *ledger.Delivery {
	for i := range o.Deliveries {
		if o.Deliveries[i].Validator == validator {
			return &o.Deliveries[i]
		}
	}
	return nil
}

// connected says whether a connection between two hosts stands.
func (h *Host) connected(to *Host) bool {
	for _, id := range h.conns() {
		if e := h.ends[id]; e.open && e.peer != nil && e.peer.host == to && e.peer.open {
			return true
		}
	}
	return false
}

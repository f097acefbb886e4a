package sim

import (
	"fmt"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
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
	// Unseen says what there was to look at, where nothing was looked at: a check
	// that saw nothing has shown nothing.
	Unseen string `json:"unseen,omitempty"`
}

// livenessDocs are the checks, in the order of reports.
var livenessDocs = []struct{ name, doc string }{
	{"nodes-up", "Every honest node that holds a slot runs, and has not gone down by itself in the phase's last two minutes."},
	{"sessions-back", "Every miner that runs and holds a slot has a connection that stands to every validator that runs."},
	{"predictions-answered", "Every prediction that a miner made half an hour ago or earlier, on a game that did not begin within half an hour of the healing and of the prediction, is confirmed or refused by every validator."},
	{"books-equal", "What a miner holds as confirmed a validator holds as accepted, with the same wager and outcome, at the same odds or the shorter ones that were offered."},
	{"settlement-done", "No prediction is open whose result has been known for as long as a validator takes to hear of it and settle."},
	{"scoring-up-to-date", "A validator that has settled predictions has scored yesterday or today."},
	{"weights-fresh", "A validator that may set weights has set some once games have had results, and has renewed them by its longest age: `weights_within` tempos of the phase, and the rate limit, after both were due and faults had ended."},
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
	w *World
	p *Plan
	deadline
	checks []LivenessCheck
	owing  string // what one validator has confirmed and should have voted on
}

// settles looks at what a healing phase must have brought to rest.
func (r *recorder) settles(d deadline) {
	s := &settling{w: r.w, p: r.p, deadline: d}
	for _, l := range livenessDocs {
		s.checks = append(s.checks, LivenessCheck{Name: l.name, Phase: d.phase})
	}
	meta := r.w.Chain.Metagraph(s.at)
	for _, h := range r.w.Hosts {
		if _, holds := meta.UIDOf(h.Hotkey); holds && !h.hostile() {
			s.up(h)
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
		s.owing = ""
		err := s.validator(v, meta, snap)
		for _, m := range r.w.Hosts {
			if _, holds := meta.UIDOf(m.Hotkey); err == nil && holds && !m.IsValidator() && !m.hostile() && m.Up() {
				err = s.pair(v, m, meta, snap)
			}
		}
		s.voted(v, meta)
		snap.Close()
		if err != nil {
			panic("sim: rows of " + v.Name + ": " + err.Error())
		}
	}
	s.blind(meta)
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
	if since.Before(s.healed) {
		since = s.healed
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

// voted looks at whether a validator has ever set weights, where it should have,
// whatever kept it from scoring.
func (s *settling) voted(v *Host, meta *chain.Metagraph) {
	uid, _ := meta.UIDOf(v.Hotkey)
	own := &meta.Neurons[uid]
	if s.owing != "" && own.Permit && own.LastUpdate <= own.RegisteredAt {
		s.check("weights-fresh", false, "%s has never set weights, and has confirmed prediction %s", v.Name, s.owing)
	}
}

// votable says whether the result of a game is so old, and faults have been over
// for so long, that a validator must have scored it and set weights since.
func (s *settling) votable(v *Host, game bet.GameID, meta *chain.Metagraph) bool {
	by := s.at.Add(-time.Duration(s.letIn(meta)) * s.p.Scenario.Chain.BlockTime)
	g, ok := s.told(v, game, by.Add(-s.rounds()))
	return ok && g.Status == bet.Finished && by.After(s.healed.Add(s.rounds()))
}

// told is a game as a validator's feed tells it.
func (s *settling) told(v *Host, game bet.GameID, at time.Time) (bet.Game, bool) {
	if said, lied := s.w.told(v.Name, game, at); lied {
		return said, true // a game that its feed has put off has no result yet
	}
	return s.p.Market.Game(game, at)
}

// letIn is how many blocks weights that are due may take to stand on the chain.
func (s *settling) letIn(meta *chain.Metagraph) chain.Block {
	return chain.Block(s.tempos)*chain.Block(meta.Params.Tempo) + chain.Block(meta.Params.WeightsRateLimit)
}

// results counts the games that could be bet on and had a result at an instant.
func (s *settling) results(at time.Time) (n int) {
	for i := range s.p.Market.Fixtures() {
		f := &s.p.Market.Fixtures()[i]
		if !f.Start.After(s.p.Start.Add(answerWithin)) || f.Start.After(at) {
			continue
		}
		if g, ok := s.p.Market.Game(f.ID, at); ok && g.Resulted() {
			n++
		}
	}
	return n
}

// rounds is how long a validator may take from a result to the scores of a round.
func (s *settling) rounds() time.Duration {
	n := &s.p.Scenario.Node
	return n.FeedPoll + n.SettleDelay + n.ScoringInterval
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
		if g, ok := s.told(v, p.Game, heard); ok && g.Resulted() {
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
	if !meta.Neurons[uid].Permit {
		return nil
	}
	age := chain.Block(n.WeightsMaxAge)
	if age == 0 {
		age = chain.Block(meta.Params.ActivityCutoff) / 2
	}
	last, healed := meta.Neurons[uid].LastUpdate, s.w.Chain.BlockAt(s.healed)
	due := max(last+age, healed) + s.letIn(meta)
	if last > 0 && (last >= healed || meta.Block <= last+age || meta.Block > due) { // before, it is too early to say
		s.check("weights-fresh", meta.Block <= due, "%s: its weights are of block %d, and it is block %d; want newer ones by block %d: %d blocks old, but %d tempos after the healing in block %d",
			v.Name, last, meta.Block, due, age, s.tempos, healed)
	}
	return nil
}

// answerable says whether a prediction must have been answered by now: whoever made
// it had time for that, without faults and before the game.
func (s *settling) answerable(o *ledger.Outgoing) bool {
	by := s.healed.Add(answerWithin + s.p.Scenario.Node.MetagraphInterval) // so late it may know that it has its slot again
	if made := o.Made.Add(answerWithin); made.After(by) {
		by = made
	}
	return by.Before(s.at) && by.Before(o.Start)
}

// pair looks at what a miner and a validator must agree on.
func (s *settling) pair(v, m *Host, meta *chain.Metagraph, snap store.Snapshot) error {
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
		if s.answerable(o) {
			s.check("predictions-answered", delivery != nil, "%s: prediction %s, made %s, has no answer of %s", m.Name, id, o.Made.Format(time.RFC3339), v.Name)
		}
		if delivery == nil || delivery.State != ledger.Confirmed || bet.DayOf(o.Made) <= bet.DayOf(s.at)-ledger.RetentionDays {
			return nil
		}
		if s.owing == "" && s.votable(v, o.Submission.Game, meta) {
			s.owing = fmt.Sprintf("%s of %s on game %s", id, m.Name, o.Submission.Game)
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

// blind says of each check that has looked at nothing what there was to see.
func (s *settling) blind(meta *chain.Metagraph) {
	bettors, talkers, voters := 0, 0, 0
	for _, h := range s.w.Hosts {
		uid, holds := meta.UIDOf(h.Hotkey)
		switch {
		case !holds || h.hostile():
		case h.IsValidator():
			if meta.Neurons[uid].Permit {
				voters++
			}
		default:
			if h.Kind != "idle" {
				bettors++
			}
			if !h.miner.Polled {
				talkers++
			}
		}
	}
	offered, settled := 0, s.results(s.at.Add(-s.heard()))
	for i := range s.p.Market.Fixtures() {
		f := &s.p.Market.Fixtures()[i]
		if s.answerable(&ledger.Outgoing{Made: f.Opens, Start: f.Start}) && f.Start.Before(s.at.Add(24*time.Hour)) {
			offered++
		}
	}
	unseen := map[string]struct {
		there bool
		what  string
	}{
		"sessions-back":        {talkers > 0, fmt.Sprintf("%d miners hold a slot", talkers)},
		"predictions-answered": {bettors*offered > 0, fmt.Sprintf("%d games were open for bets after the healing, and %d miners bet", offered, bettors)},
		"books-equal":          {bettors*(settled+offered) > 0, fmt.Sprintf("%d games could be bet on, and %d miners bet", settled+offered, bettors)},
		"settlement-done":      {bettors*settled > 0, fmt.Sprintf("%d games have a result, and %d miners bet", settled, bettors)},
		"scoring-up-to-date":   {bettors*settled > 0, fmt.Sprintf("%d games have a result, and %d miners bet", settled, bettors)},
		"weights-fresh": {bettors*settled*voters > 0, fmt.Sprintf("%d games have a result; weights have until block %d, and this is block %d",
			settled, s.w.Chain.BlockAt(s.healed)+s.letIn(meta), meta.Block)},
	}
	for i := range s.checks {
		if c := &s.checks[i]; c.Checked == 0 && unseen[c.Name].there {
			c.Unseen = unseen[c.Name].what
		}
	}
}

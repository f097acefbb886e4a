package node

import (
	"time"

	"bettensor/node/bet"
	"bettensor/node/feed"
	"bettensor/node/ledger"
	"bettensor/node/model"
	"bettensor/sched"
	"bettensor/store"
)

// minerPredictions is the miner's Predictions service: it asks the model, keeps
// the picks, and settles them when results come.
//
// games_updated, schedule, the model's own wake ─► model.Picks ─► outbox, commit
//
//	─► (durable) predictions_generated
type minerPredictions struct {
	idle
	named
	n       *Miner
	think   *sched.Timer
	wake    *sched.Timer
	asked   time.Time
	pending []pickedBatch
	stats   struct{ asked, picks, cut, settled, forgotten uint64 }
	acc     accuracy
	dropped accuracy // of settled rows that were forgotten, part of acc
}

type pickedBatch struct {
	seq  store.Seq
	rows []*outgoing
}

func newMinerPredictions(n *Miner, s *sched.Scope) *minerPredictions {
	p := &minerPredictions{named: "predictions", n: n}
	p.think = s.Timer("think", p.ask)
	p.wake = s.Timer("wake", p.ask)
	s.Task(sched.TaskConfig{Name: "prediction_generation", Every: n.cfg.PredictionInterval, Jitter: 0.2, First: n.cfg.PredictionInterval}, func(r *sched.Run) {
		p.ask()
		r.Done(nil)
	})
	n.topics.games.Subscribe(s, func(e *GamesUpdated) {
		for i, g := range e.Games {
			if g.Resulted() || e.Changes[i].Has(feed.Corrected) {
				p.settle(g)
			}
		}
		if _, armed := p.think.Armed(); !armed {
			p.think.Arm(n.cfg.ThinkDelay)
		}
	})
	n.daily(s, "forget_predictions", p.forget)
	p.dropped.parse(n.found.Facts[ledger.FactAccuracy])
	p.acc = p.dropped
	for _, o := range n.box.rows {
		p.acc.outcome(o.State, o.Confidence, o.Odds, o.Closing, o.Wager, o.Payout, 1)
	}
	return p
}

// start settles what was known before a crash and not yet settled, and has the
// model asked about what is open.
func (p *minerPredictions) start() {
	for _, g := range p.n.State.SortedGames((*bet.Game).Resulted) {
		p.settle(g)
	}
	p.think.Arm(p.n.cfg.ThinkDelay)
}

func (p *minerPredictions) ask() {
	now := p.n.loop.Now()
	if now.Equal(p.asked) {
		return
	}
	p.asked = now
	p.stats.asked++
	day := bet.DayOf(now)
	spent := p.n.box.spent[day]
	book := model.Book{
		Games:     p.n.State.gamesFrom(now, func(g *bet.Game) bool { return g.Bettable(now) }),
		Remaining: max(p.n.cfg.Budget-spent, 0),
		Placed:    p.n.box.placed,
	}
	picks := p.n.model.Picks(now, &book)
	if len(picks) > 0 {
		p.take(now, picks, book.Remaining)
		book.Remaining = max(p.n.cfg.Budget-p.n.box.spent[day], 0)
	}
	if at := p.n.model.Wake(now, &book); at.After(now) {
		p.wake.ArmAt(at)
	} else {
		p.wake.Stop() // what it wished for earlier no longer holds
	}
}

// take puts picks into the outbox; what exceeds the budget is cut.
func (p *minerPredictions) take(now time.Time, picks []model.Pick, remaining bet.Cents) {
	batch := p.n.store.Batch()
	var rows []*outgoing
	for _, k := range picks {
		g := p.n.State.Games[k.Game]
		if g == nil || !g.Bettable(now) || k.Outcome > bet.Tie || g.Odds[k.Outcome] < bet.MinOdds ||
			k.Wager < p.n.cfg.MinWager || k.Wager > remaining {
			p.stats.cut++
			continue
		}
		remaining -= k.Wager
		id := predictionID(p.n.hotkey, g.ID, len(p.n.box.byGame[g.ID]))
		o := &outgoing{Outgoing: ledger.Outgoing{Submission: p.submission(now, id, g, k), Outcome: k.Outcome,
			Odds: g.Odds[k.Outcome], Wager: k.Wager, Made: now, Start: g.Start, Confidence: k.Confidence}}
		p.n.box.add(o)
		ledger.Outbox.Put(batch, id, &o.Outgoing)
		rows = append(rows, o)
		p.stats.picks++
	}
	if len(rows) > 0 {
		p.pending = append(p.pending, pickedBatch{p.n.store.Commit(batch), rows})
	}
}

func (p *minerPredictions) submission(now time.Time, id bet.PredictionID, g *bet.Game, k model.Pick) bet.Submission {
	number := func(v float64) bet.Value { return bet.Value{Kind: bet.Number, Number: v} }
	s := bet.Submission{ID: id, Game: g.ID, Date: now.Format(time.RFC3339), TeamA: g.TeamA, TeamB: g.TeamB,
		Outcome: number(float64(k.Outcome)), Odds: number(g.Odds[k.Outcome]), Wager: number(float64(k.Wager) / 100),
		OddsA: number(g.Odds[bet.Home]), OddsB: number(g.Odds[bet.Away]), Model: p.n.model.Name()}
	if g.CanTie {
		s.OddsTie = number(g.Odds[bet.Tie])
	}
	if k.Confidence >= 0 {
		s.Confidence = number(k.Confidence)
	}
	if uid, ok := p.n.State.UID(p.n.hotkey); ok {
		s.MinerUID = uidText(uid)
	}
	return s
}

// durable hands picks to Communication: what was sent must not be forgotten.
func (p *minerPredictions) durable(upTo store.Seq) {
	for len(p.pending) > 0 && p.pending[0].seq <= upTo {
		e := PredictionsGenerated{}
		for _, o := range p.pending[0].rows {
			o.durable = true
			e.IDs = append(e.IDs, o.Submission.ID)
		}
		p.pending = p.pending[1:]
		p.n.PredictionsGenerated.Publish(e)
	}
}

// settle brings the miner's own predictions of a game in line with its result.
func (p *minerPredictions) settle(g *bet.Game) {
	batch := p.n.store.Batch()
	for _, o := range p.n.box.byGame[g.ID] {
		now := bet.Prediction{ID: o.Submission.ID, Game: g.ID, Outcome: o.Outcome, Odds: o.Odds, Wager: o.Wager, State: o.State, Payout: o.Payout}
		next, changed := bet.Settle(&now, g)
		if !changed || next.State == o.State && next.Payout == o.Payout {
			continue
		}
		p.acc.outcome(o.State, o.Confidence, o.Odds, o.Closing, o.Wager, o.Payout, -1)
		o.State, o.Payout, o.Closing = next.State, next.Payout, g.Closing[o.Outcome]
		o.settled = bet.DayOf(p.n.loop.Now())
		p.acc.outcome(o.State, o.Confidence, o.Odds, o.Closing, o.Wager, o.Payout, 1)
		p.stats.settled++
		ledger.Outbox.Put(batch, o.Submission.ID, &o.Outgoing)
		won := next.Payout - next.Wager
		if next.State == bet.Pushed {
			won = 0
		}
		p.n.PredictionResult.Publish(PredictionResult{ID: o.Submission.ID, State: next.State, Won: won})
	}
	if batch.Len() > 0 {
		p.n.store.Commit(batch)
	}
}

// forget drops predictions whose games are long over, and what was spent on
// days that are, and old receipts. The sums of results stay.
func (p *minerPredictions) forget(today bet.Day) (more bool) {
	box := p.n.box
	b := p.n.store.Batch()
	var gone []bet.GameID
	for _, id := range box.over(today - ledger.RetentionDays) {
		if b.Len() >= forgetRows {
			more = true
			break
		}
		for _, o := range box.byGame[id] {
			p.dropped.outcome(o.State, o.Confidence, o.Odds, o.Closing, o.Wager, o.Payout, 1)
			ledger.Outbox.Delete(b, o.Submission.ID)
			p.stats.forgotten++
		}
		gone = append(gone, id)
	}
	if len(gone) > 0 {
		text := p.dropped.String()
		ledger.Facts.Put(b, ledger.FactAccuracy, &text)
		box.drop(gone)
	}
	for day := range box.spent { // order cannot matter: each is judged alone
		if day < today-1 {
			delete(box.spent, day)
		}
	}
	more = p.n.receipts.forget(b, today-ledger.RetentionDays, forgetRows) || more
	p.n.store.Commit(b)
	return more
}

func (p *minerPredictions) Stats() ServiceStats {
	return ServiceStats{Name: p.name(), State: "ok", Accuracy: p.acc.figures(), Counts: []Count{
		{"held", uint64(len(p.n.box.rows))}, {"asked", p.stats.asked}, {"picks", p.stats.picks}, {"cut", p.stats.cut}, {"settled", p.stats.settled}, {"forgotten", p.stats.forgotten}}}
}

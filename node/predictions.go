package node

import (
	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/score"
	"bettensor/sched"
	"bettensor/store"
)

// predictions is the validator's Predictions service: it holds the books.
//
// prediction_received ─► bet.Admit ─► row + idempotency key + budget in one batch
//
//	─► (durable) prediction_stored | prediction_rejected
//
// game_settled ─► bet.Settle ─► rows in one batch ─► prediction_settled
type predictions struct {
	idle
	named
	v       *Validator
	scope   *sched.Scope
	pools   *score.Pools
	answers []answer // in order; each waits until what it rests on is durable
	head    int
	stats   struct {
		received, stored, duplicates, waiting uint64
		settled, corrected                    uint64
	}
	rejected map[bet.Code]uint64
	accuracy accuracy
}

// answer is a final word that may not leave before everything committed before
// it is durable: an acceptance rests on its own row, a refusal on others'.
type answer struct {
	seq     store.Seq
	hotkey  chain.Hotkey
	id      bet.PredictionID
	row     *ledger.Prediction // nil for a refusal
	again   bool
	refusal *bet.Reject
}

func newPredictions(v *Validator, s *sched.Scope) *predictions {
	p := &predictions{named: "predictions", v: v, scope: s, pools: score.NewPools(v.cfg.Scheme), rejected: map[bet.Code]uint64{}}
	book := &v.State.Book
	book.budget = v.found.Budget
	for i := range v.found.Predictions {
		row := &v.found.Predictions[i]
		book.add(row)
		if g := v.State.Games[row.Game]; g == nil || !g.Resulted() {
			p.pools.Restore(string(row.Game), uint8(row.Outcome), row.Odds, dollars(row.Wager), row.Received, row.Raw)
		}
		p.accuracy.add(row, v.State.Games[row.Game])
	}
	v.PredictionReceived.Subscribe(s, p.received)
	v.GameSettled.Subscribe(s, func(e *GameSettled) { p.settle(e.Game) })
	return p
}

// start settles what was known before a crash and not yet settled.
func (p *predictions) start() {
	for _, g := range p.v.State.SortedGames((*bet.Game).Resulted) {
		p.settle(g)
	}
}

func (p *predictions) received(e *PredictionReceived) {
	p.stats.received++
	book := &p.v.State.Book
	if p.v.store.Err() != nil || p.v.store.Full() {
		// Push back: the miner keeps it and asks again. Nothing is implied.
		code := bet.Overloaded
		if p.v.store.Err() != nil {
			code = bet.StoreUnavailable
		}
		p.rejected[code]++
		p.v.PredictionRejected.Publish(PredictionRejected{Hotkey: e.Hotkey, ID: e.Submission.ID, Code: code, Message: code.Meaning()})
		return
	}
	if old := book.Get(e.Hotkey, e.Submission.ID); old != nil {
		if bet.Duplicate(&old.Prediction, e.Submission) {
			p.stats.duplicates++
			p.answer(answer{hotkey: e.Hotkey, id: old.ID, row: old, again: true})
		} else {
			p.refuse(e, &bet.Reject{Code: bet.DuplicateConflict, Message: bet.DuplicateConflict.Meaning()})
		}
		return
	}
	now := p.v.loop.Now()
	_, registered := p.v.State.UID(e.Hotkey)
	day := bet.DayOf(now)
	offer := bet.Offer{Now: now, Hotkey: e.Hotkey, Registered: registered,
		Game: p.v.State.Games[e.Submission.Game], Spent: book.budget.Spent(e.Hotkey, day)}
	admitted, refusal := bet.Admit(&offer, e.Submission)
	if refusal != nil {
		p.refuse(e, refusal)
		return
	}
	row := &ledger.Prediction{Prediction: admitted, Arrived: book.arrived + 1}
	if !book.budget.Reserve(e.Hotkey, day, row.Wager) {
		panic("predictions: admitted beyond the budget") // Admit has just checked it
	}
	row.Raw = p.pools.Arrive(string(row.Game), uint8(row.Outcome), row.Odds, dollars(row.Wager), now)
	book.add(row)

	b := p.v.store.Batch()
	key := row.Key()
	ledger.Predictions.Put(b, key, row)
	ledger.IDs.Put(b, ledger.IDKey{Hotkey: row.Hotkey, ID: row.ID}, &key)
	spent := book.budget.Spent(e.Hotkey, day)
	ledger.Budgets.Put(b, ledger.DayKey{Day: day, Hotkey: row.Hotkey}, &spent)
	p.v.store.Commit(b)
	p.answer(answer{hotkey: e.Hotkey, id: row.ID, row: row})
}

func (p *predictions) refuse(e *PredictionReceived, r *bet.Reject) {
	p.answer(answer{hotkey: e.Hotkey, id: e.Submission.ID, refusal: r})
}

// answer says a final word as soon as all that was committed before is durable.
func (p *predictions) answer(a answer) {
	a.seq = p.v.store.Last()
	if a.seq <= p.v.store.Durable() && p.head == len(p.answers) {
		p.say(&a)
		return
	}
	p.stats.waiting++
	p.answers = append(p.answers, a)
}

func (p *predictions) durable(upTo store.Seq) {
	for p.head < len(p.answers) && p.answers[p.head].seq <= upTo {
		p.say(&p.answers[p.head])
		p.answers[p.head] = answer{}
		p.head++
	}
	if p.head == len(p.answers) {
		p.answers, p.head = p.answers[:0], 0
	}
}

func (p *predictions) say(a *answer) {
	if a.refusal != nil {
		p.rejected[a.refusal.Code]++
		p.v.PredictionRejected.Publish(PredictionRejected{Hotkey: a.hotkey, ID: a.id, Code: a.refusal.Code, Message: a.refusal.Message})
		return
	}
	if !a.again {
		p.stats.stored++
	}
	p.v.PredictionStored.Publish(PredictionStored{Hotkey: a.hotkey, ID: a.id, Duplicate: a.again, Row: a.row})
}

// settle brings all predictions of a game in line with what is known of it. It
// may be called any number of times.
func (p *predictions) settle(g *bet.Game) {
	p.pools.Close(string(g.ID))
	book := &p.v.State.Book
	var b *store.Batch
	for i, row := range book.byGame[g.ID] {
		next, changed := bet.Settle(&row.Prediction, g)
		if !changed {
			continue
		}
		if row.State != bet.Open {
			p.stats.corrected++
			p.accuracy.remove(row, g)
		}
		p.stats.settled++
		settled := &ledger.Prediction{Prediction: next, Raw: row.Raw, Arrived: row.Arrived}
		book.replace(i, settled)
		p.accuracy.add(settled, g)
		if b == nil {
			b = p.v.store.Batch()
		}
		ledger.Predictions.Put(b, settled.Key(), settled)
		p.v.PredictionSettled.Publish(PredictionSettled{Row: settled, Before: row.State})
	}
	if b != nil {
		p.v.store.Commit(b)
	}
}

func dollars(c bet.Cents) float64 { return float64(c) / 100 }

package node

import (
	"slices"
	"time"

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
	v        *Validator
	pools    *score.Pools
	copies   *score.Copies // in place of pools where the scheme pays the closing edge
	reprices bool          // whether a price that was old when it was taken is told from others
	answers  []answer      // in order; each waits until what it rests on is durable
	head     int
	stats    struct {
		received, stored, duplicates, waiting uint64
		settled, corrected, forgotten         uint64
		repriced                              uint64
	}
	rejected map[bet.Code]uint64
	polled   struct { // of all these, what came in replies to polls
		stored, duplicates uint64
		rejected           map[bet.Code]uint64
	}
	accuracy accuracy
	dropped  accuracy                // of settled rows that were forgotten, part of accuracy
	priced   map[bet.GameID]bet.Odds // closing odds with which a game's rows are in accuracy
}

// maxAnswers bounds the final words that wait for the disk: as many as the store
// takes batches. Refusals and repetitions write nothing, so the store is not
// full by them; a disk that hangs must not be asked to remember them for it.
const maxAnswers = 8192

// answer is a final word that may not leave before everything committed before
// it is durable: an acceptance rests on its own row, a refusal on others'.
type answer struct {
	seq     store.Seq
	hotkey  chain.Hotkey
	id      bet.PredictionID
	row     *ledger.Prediction // nil for a refusal
	again   bool
	polled  bool
	refusal *bet.Reject
}

func newPredictions(v *Validator, s *sched.Scope) *predictions {
	p := &predictions{named: "predictions", v: v, pools: score.NewPools(v.cfg.Scheme), rejected: map[bet.Code]uint64{}, priced: map[bet.GameID]bet.Odds{}}
	if v.cfg.Scheme.ClosingEdge {
		p.copies = score.NewCopies(v.cfg.Scheme)
		p.reprices = v.cfg.Scheme.EdgeReprice
	}
	p.polled.rejected = map[bet.Code]uint64{}
	book := &v.State.Book
	book.budget = v.found.Budget
	p.dropped.parse(v.found.Facts[ledger.FactAccuracy])
	p.accuracy = p.dropped
	for i := range v.found.Predictions {
		row := &v.found.Predictions[i]
		book.add(row)
		g := v.State.Games[row.Game]
		if p.copies != nil || g == nil || !g.Resulted() {
			p.pool(row)
		}
		if row.State != bet.Open {
			p.priced[row.Game] = closingOf(g)
			p.accuracy.row(row, p.priced[row.Game], 1)
		}
	}
	v.daily(s, "forget_predictions", p.forget)
	v.PredictionReceived.Subscribe(s, p.received)
	if p.reprices {
		v.topics.games.Subscribe(s, func(e *GamesUpdated) {
			for _, g := range e.Games {
				p.reprice(g)
			}
		})
	}
	v.GameSettled.Subscribe(s, func(e *GameSettled) { p.settle(e.Game) })
	return p
}

// start prices and settles what was known before a crash and not yet priced or
// settled.
func (p *predictions) start() {
	if p.reprices {
		for _, g := range p.v.State.SortedGames(func(*bet.Game) bool { return true }) {
			p.reprice(g)
		}
	}
	for _, g := range p.v.State.SortedGames((*bet.Game).Resulted) {
		p.settle(g)
	}
}

func (p *predictions) received(e *PredictionReceived) {
	p.stats.received++
	book := &p.v.State.Book
	if p.v.store.Err() != nil || p.full() {
		// Push back: the miner keeps it and asks again. Nothing is implied.
		code := bet.Overloaded
		if p.v.store.Err() != nil {
			code = bet.StoreUnavailable
		}
		p.reject(code, e.Polled)
		p.v.PredictionRejected.Publish(PredictionRejected{Hotkey: e.Hotkey, ID: e.Submission.ID, Code: code, Message: code.Meaning()})
		return
	}
	if old := book.Get(e.Hotkey, e.Submission.ID); old != nil {
		if bet.Duplicate(&old.Prediction, e.Submission) {
			p.stats.duplicates++
			if e.Polled {
				p.polled.duplicates++
			}
			p.answer(answer{hotkey: e.Hotkey, id: old.ID, row: old, again: true, polled: e.Polled})
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
	if p.v.has(DefectBudgetRead | DefectMinerClock | DefectDayBoundary) {
		p.spoil(&offer, e.Submission)
		day = bet.DayOf(offer.Now)
	}
	admitted, refusal := bet.Admit(&offer, e.Submission)
	if refusal != nil {
		p.refuse(e, refusal)
		return
	}
	row := &ledger.Prediction{Prediction: admitted, Arrived: book.arrived + 1}
	row.Chance = score.Chance(offer.Game.Odds, uint8(row.Outcome))
	row.Received = now // as Admit has it, but for a planted bug
	if !book.budget.Reserve(e.Hotkey, day, row.Wager) && !p.v.has(DefectBudgetRead) {
		panic("predictions: admitted beyond the budget") // Admit has just checked it
	}
	if p.copies != nil {
		row.Raw = p.copies.Arrive(string(row.Hotkey), string(row.Game), uint8(row.Outcome), dollars(row.Wager), now)
	} else {
		row.Raw = p.pools.Arrive(string(row.Game), uint8(row.Outcome), row.Odds, dollars(row.Wager), now)
	}
	book.add(row)

	b := p.v.store.Batch()
	key := row.Key()
	ledger.Predictions.Put(b, key, row)
	ledger.IDs.Put(b, ledger.IDKey{Hotkey: row.Hotkey, ID: row.ID}, &key)
	spent := book.budget.Spent(e.Hotkey, day)
	ledger.Budgets.Put(b, ledger.DayKey{Day: day, Hotkey: row.Hotkey}, &spent)
	p.v.store.Commit(b)
	p.answer(answer{hotkey: e.Hotkey, id: row.ID, row: row, polled: e.Polled})
}

// spoil makes an offer as a planted bug would.
func (p *predictions) spoil(o *bet.Offer, s *bet.Submission) {
	if p.v.has(DefectMinerClock) {
		if at, err := time.Parse(time.RFC3339, s.Date); err == nil {
			o.Now = at
		}
	}
	if p.v.has(DefectDayBoundary) {
		o.Now = o.Now.Add(-time.Hour)
		o.Spent = p.v.State.Book.budget.Spent(o.Hotkey, bet.DayOf(o.Now))
	}
	if p.v.has(DefectBudgetRead) {
		for i := range p.answers[p.head:] {
			if a := &p.answers[p.head+i]; a.hotkey == o.Hotkey && a.row != nil && !a.again {
				o.Spent -= a.row.Wager
			}
		}
	}
}

// full says whether too much waits for the disk to take more on.
func (p *predictions) full() bool {
	return p.v.store.Full() || len(p.answers)-p.head >= maxAnswers
}

func (p *predictions) refuse(e *PredictionReceived, r *bet.Reject) {
	p.answer(answer{hotkey: e.Hotkey, id: e.Submission.ID, refusal: r, polled: e.Polled})
}

// answer says a final word as soon as all that was committed before is durable.
func (p *predictions) answer(a answer) {
	a.seq = p.v.store.Last()
	if a.seq <= p.v.store.Durable() && p.head == len(p.answers) {
		p.say(&a)
		return
	}
	p.stats.waiting++
	if p.head >= maxAnswers { // a disk that is always a little behind
		n := copy(p.answers, p.answers[p.head:])
		clear(p.answers[n:])
		p.answers, p.head = p.answers[:n], 0
	}
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
		p.reject(a.refusal.Code, a.polled)
		p.v.PredictionRejected.Publish(PredictionRejected{Hotkey: a.hotkey, ID: a.id, Code: a.refusal.Code, Message: a.refusal.Message})
		return
	}
	if !a.again {
		p.stats.stored++
		if a.polled {
			p.polled.stored++
		}
		p.v.timings.confirmation.Add(p.v.loop.Now().Sub(a.row.Received))
	}
	p.v.PredictionStored.Publish(PredictionStored{Hotkey: a.hotkey, ID: a.id, Duplicate: a.again, Row: a.row})
}

func (p *predictions) reject(code bet.Code, polled bool) {
	p.rejected[code]++
	if polled {
		p.polled.rejected[code]++
	}
}

// pool takes a stored prediction back into what later ones are compared with.
func (p *predictions) pool(row *ledger.Prediction) {
	if p.copies != nil {
		p.copies.Restore(string(row.Hotkey), string(row.Game), uint8(row.Outcome), dollars(row.Wager))
		return
	}
	p.pools.Restore(string(row.Game), uint8(row.Outcome), row.Odds, dollars(row.Wager), row.Received, row.Raw)
}

// reprice takes from predictions what they had from a price that was old already
// when they came, and that the feed had only not told of yet: they stand for the
// probability of the new one. Without it whoever watches another feed takes from
// this one what everybody knows, and is paid for insight.
func (p *predictions) reprice(g *bet.Game) {
	book := &p.v.State.Book
	var b *store.Batch
	for i, row := range book.byGame[g.ID] {
		chance := score.Chance(g.Odds, uint8(row.Outcome))
		if row.State != bet.Open || row.Received.Before(g.OddsAt) || row.Chance == 0 || chance <= row.Chance {
			continue
		}
		p.stats.repriced++
		next := new(*row)
		next.Chance = chance
		book.replace(i, next)
		if b == nil {
			b = p.v.store.Batch()
		}
		ledger.Predictions.Put(b, next.Key(), next)
	}
	if b != nil {
		p.v.store.Commit(b)
	}
}

func closingOf(g *bet.Game) bet.Odds {
	if g == nil {
		return bet.Odds{}
	}
	return g.Closing
}

// settle brings all predictions of a game in line with what is known of it. It
// may be called any number of times.
func (p *predictions) settle(g *bet.Game) {
	book := &p.v.State.Book
	switch {
	case p.copies == nil:
		p.pools.Close(string(g.ID))
	case g.Resulted():
		p.copies.Close(string(g.ID), g.Start)
	default:
		p.copies.Reopen(string(g.ID))
	}
	if p.copies == nil && !g.Resulted() { // its result was withdrawn: predictions may come again
		for _, row := range book.byGame[g.ID] {
			p.pool(row)
		}
	}
	was, moved := p.priced[g.ID], false
	if _, counted := p.priced[g.ID]; counted {
		moved = was != g.Closing
	}
	var b *store.Batch
	for i, row := range book.byGame[g.ID] {
		next, changed := bet.Settle(&row.Prediction, g)
		if !changed && !moved {
			continue
		}
		p.accuracy.row(row, was, -1)
		if !changed {
			p.accuracy.row(row, g.Closing, 1)
			continue
		}
		if row.State != bet.Open {
			p.stats.corrected++
		}
		p.stats.settled++
		settled := new(*row)
		settled.Prediction = next
		book.replace(i, settled)
		p.accuracy.row(settled, g.Closing, 1)
		if b == nil {
			b = p.v.store.Batch()
		}
		ledger.Predictions.Put(b, settled.Key(), settled)
		p.v.PredictionSettled.Publish(PredictionSettled{Row: settled, Before: row.State})
	}
	if len(book.byGame[g.ID]) > 0 {
		p.priced[g.ID] = g.Closing
	}
	if b != nil {
		p.v.store.Commit(b)
	}
}

// forget drops predictions with their ids, whole games at a time, and budgets.
// A prediction that is open stays until its game's start is that long ago: the
// result will not come any more, and could not be scored.
func (p *predictions) forget(today bet.Day) (more bool) {
	book, before := &p.v.State.Book, today-ledger.RetentionDays
	old := make([]bet.GameID, 0, 64)
	for id, rows := range book.byGame { // sorted below
		if !slices.ContainsFunc(rows, func(row *ledger.Prediction) bool { return p.dayOf(row) >= before }) {
			old = append(old, id)
		}
	}
	slices.Sort(old)
	b := p.v.store.Batch()
	for _, id := range old {
		if b.Len() >= forgetRows {
			more = true
			break
		}
		for _, row := range book.byGame[id] {
			p.dropped.row(row, p.priced[id], 1)
			ledger.Predictions.Delete(b, row.Key())
			ledger.IDs.Delete(b, ledger.IDKey{Hotkey: row.Hotkey, ID: row.ID})
			p.stats.forgotten++
		}
		book.drop(id)
		delete(p.priced, id)
		p.pools.Close(string(id))
		if p.copies != nil {
			p.copies.Forget(string(id))
		}
	}
	if b.Len() > 0 {
		text := p.dropped.String()
		ledger.Facts.Put(b, ledger.FactAccuracy, &text)
	}
	for line := range book.budget.Before(today - ledger.HistoryDays) {
		if b.Len() >= forgetRows {
			more = true
			break
		}
		ledger.Budgets.Delete(b, ledger.DayKey{Day: line.Day, Hotkey: line.Hotkey})
		book.budget.Release(line.Hotkey, line.Day, line.Spent)
	}
	p.v.store.Commit(b)
	return more
}

// dayOf is the day after which a prediction is kept for a while.
func (p *predictions) dayOf(row *ledger.Prediction) bet.Day {
	day := bet.DayOf(row.Received)
	if row.State != bet.Open {
		return max(day, bet.DayOf(row.Settled))
	}
	if g := p.v.State.Games[row.Game]; g != nil {
		day = max(day, bet.DayOf(g.Start))
	}
	return day
}

func dollars(c bet.Cents) float64 { return float64(c) / 100 }

package node

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/wire"
	"bettensor/node/wire/synapse"
	"bettensor/sched"
	"bettensor/store"
)

// askRate at which one validator may ask: an honest one asks twice in minutes,
// and again at once after a restart.
var askRate = perSecond(1, 10)

// axon is the miner's Axon service: it answers the requests of validators that
// poll over HTTP. One that has a session gets its predictions there.
//
// poll     ─► permit, stake, nonce (durable) ─► game_update; reply with what it has not confirmed
// receipts ─► the same                       ─► prediction_confirmed
type axon struct {
	idle
	named
	n       *Miner
	replies []reply // in order; each waits until the nonce it answers is durable
	stats   struct {
		polls, receipts, pings, predictions   uint64
		malformed, stranger, stale, over, old uint64
	}
}

// reply is an answer that may not leave before everything committed before it
// is durable: after a crash the request must not be answered again.
type reply struct {
	seq   store.Seq
	conn  wire.Conn
	frame []byte
}

// maxReplies bounds the answers that wait for the disk: more than validators
// that a subnet has.
const maxReplies = 256

// asked is what is remembered of a validator that polls. Across restarts it is
// the newest nonce.
type asked struct {
	newest   uint64 // nonce; everything up to it was taken, or is not any more
	polls    bucket
	answered time.Time // by the node's clock; zero for not in this run
	trouble  trouble
}

// loadAsked finds the nonces that the ledger keeps.
func loadAsked(facts map[string]string) map[chain.Hotkey]*asked {
	out := map[chain.Hotkey]*asked{}
	for name, text := range facts { // order cannot matter: each stands for itself
		h, ok := strings.CutPrefix(name, ledger.FactAsked)
		if newest, err := strconv.ParseUint(text, 10, 64); ok && err == nil {
			out[chain.Hotkey(h)] = &asked{newest: newest}
		}
	}
	return out
}

func newAxon(n *Miner, s *sched.Scope) *axon {
	a := &axon{named: "axon", n: n}
	n.topics.metagraph.Subscribe(s, func(*MetagraphUpdated) { a.open() })
	return a
}

func (a *axon) start() { a.open() }

// open lets those in that may ask, by the newest metagraph. The sockets turn all
// others away, so that none of them takes a place of theirs; admit, which is told
// by the same metagraph, decides.
func (a *axon) open() {
	n := a.n
	if n.State.Meta == nil {
		return
	}
	var may []chain.Hotkey
	for i := range n.State.Meta.Neurons {
		if v := &n.State.Meta.Neurons[i]; n.trusts(v) {
			may = append(may, v.Hotkey)
		}
	}
	n.core.admit(may)
}

func (a *axon) receive(e *wire.Event) {
	if e.Kind != wire.Received || slices.ContainsFunc(a.replies, func(r reply) bool { return r.conn == e.Conn }) {
		return
	}
	if e.Err != nil {
		a.stats.malformed++
		a.refuse(e.Conn)
		return
	}
	m := &e.Message
	uid, ok := a.admit(m)
	if !ok || len(a.replies) >= maxReplies {
		a.refuse(e.Conn)
		return
	}
	a.n.prove(e.Conn, m.Sender)
	at := a.n.loop.Wall()
	r := reply{conn: e.Conn}
	switch m.Kind {
	case wire.Poll:
		a.stats.polls++
		a.n.GameNews.Publish(GameNews{Validator: string(m.Sender), Games: m.Games})
		r.frame = wire.AppendAnswer(nil, a.n.ports.Signer, m, uid, at, a.picks(m), "No predictions available")
	case wire.Receipts:
		a.stats.receipts++
		words := slices.Clone(m.Exchange.Words)
		for i := range words {
			w := &words[i]
			if !w.OK && w.Code == "" && w.Message == fmt.Sprintf("Prediction %s already exists in database", w.ID) {
				w.OK = true // the original refuses what it holds; so it holds it
			}
		}
		a.n.confirmed(m.Sender, words, e.Raw)
		r.frame = wire.AppendEcho(nil, a.n.ports.Signer, m, uid, at)
	default:
		a.stats.pings++
		r.frame = wire.AppendEcho(nil, a.n.ports.Signer, m, uid, at)
	}
	if r.seq = a.n.store.Last(); r.seq <= a.n.store.Durable() {
		a.answer(&r)
		return
	}
	a.replies = append(a.replies, r)
}

// admit says whether a request is to be answered: it asks us, by a validator
// that may see what we predict, now, and for the first time. What it changes is
// committed. uid is our own.
func (a *axon) admit(m *wire.Message) (uid chain.UID, ok bool) {
	n := a.n
	if m.Kind < wire.Poll || m.Kind > wire.Ping || n.State.Meta == nil {
		a.stats.malformed++
		return 0, false
	}
	if m.Exchange.Asked != n.hotkey {
		a.stats.stranger++
		return 0, false
	}
	from, ok := n.State.UID(m.Sender)
	if !ok || !n.trusts(&n.State.Meta.Neurons[from]) {
		a.stats.stranger++
		return 0, false
	}
	wall := n.loop.Wall()
	known := n.asked[m.Sender]
	if known == nil {
		a.prune()
		known = &asked{}
		n.asked[m.Sender] = known
	}
	trouble := func(code TroubleCode, why string) (chain.UID, bool) {
		known.trouble.note(n.core, m.Sender, "", code, why)
		return 0, false
	}
	if err := synapse.Check(m.Exchange.Nonce, wall); err != nil {
		a.stats.stale++
		return trouble(AskerStale, fmt.Sprintf("its request is of %v ago by our clock", wall.Sub(nanos(m.Exchange.Nonce)).Round(time.Second)))
	}
	if m.Exchange.Nonce <= known.newest {
		a.stats.old++
		return trouble(AskerReplay, "the nonce of its request is not newer than its last one")
	}
	known.newest = m.Exchange.Nonce
	text := strconv.FormatUint(known.newest, 10)
	b := n.store.Batch()
	ledger.Facts.Put(b, ledger.FactAsked+string(m.Sender), &text)
	n.store.Commit(b)
	// Behind the nonce: a request that somebody has caught and sends again must not
	// use up what its sender may ask.
	if known.polls.take(askRate, wall) > 0 {
		a.stats.over++
		return trouble(AskerHasty, "it asks more often than it may")
	}
	known.answered = n.loop.Now()
	known.trouble.over()
	uid, _ = n.State.UID(n.hotkey)
	return uid, true
}

// prune forgets those who are in the subnet no more, once their last nonce is
// too old to be taken again.
func (a *axon) prune() {
	n := a.n
	var gone []chain.Hotkey
	for h, x := range n.asked { // sorted below
		if _, ok := n.State.UID(h); !ok && synapse.Check(x.newest, n.loop.Wall()) == synapse.ErrStale {
			gone = append(gone, h)
		}
	}
	slices.Sort(gone)
	b := n.store.Batch()
	for _, h := range gone {
		delete(n.asked, h)
		ledger.Facts.Delete(b, ledger.FactAsked+string(h))
	}
	if b.Len() > 0 {
		n.store.Commit(b)
	}
}

// picks is what is to be told to a validator that polls: open, not yet
// confirmed by it, and at prices that it offers.
func (a *axon) picks(m *wire.Message) []*bet.Submission {
	n := a.n
	if n.State.Sessions[m.Sender] != 0 {
		return nil
	}
	told := make(map[bet.GameID]bet.Odds, len(m.Games))
	for i := range m.Games {
		if g := &m.Games[i]; g.Status == bet.Scheduled && g.Active {
			told[g.ID] = g.Odds
		}
	}
	var out []*bet.Submission
	now := n.loop.Now()
	n.box.open(now, func(o *outgoing) {
		if len(out) >= wire.MaxAnswered || o.final(m.Sender) {
			return
		}
		t := o.tries[m.Sender]
		if t == nil {
			t = &try{}
			o.tries[m.Sender] = t
		}
		if t.attempts == 0 && !quoted(told, o) && o.quoteBy(time.Time{}).After(now) {
			return
		}
		t.attempts++
		a.stats.predictions++
		n.PredictionSubmitted.Publish(PredictionSubmitted{ID: o.Submission.ID, Validator: m.Sender, Attempt: t.attempts})
		out = append(out, &o.Submission)
	})
	return out
}

func (a *axon) durable(upTo store.Seq) {
	sent := 0
	for sent < len(a.replies) && a.replies[sent].seq <= upTo {
		a.answer(&a.replies[sent])
		sent++
	}
	a.replies = slices.Delete(a.replies, 0, sent)
}

func (a *axon) answer(r *reply) {
	a.n.send(r.conn, r.frame)
	a.n.hangUp(r.conn, wire.CloseNormal, "answered")
}

// refuse is the one answer to all that is not answered: a stranger must not
// learn why.
func (a *axon) refuse(conn wire.Conn) { a.n.hangUp(conn, wire.CloseAuth, "refused") }

// refusing lists the validators whose requests are refused and of whom none was
// answered lately: an honest one among them is not served.
func (a *axon) refusing() (out []Trouble) {
	now := a.n.loop.Now()
	for _, x := range a.n.asked { // sorted below
		if x.trouble.stands() && (x.answered.IsZero() || now.Sub(x.answered) >= heardLately) {
			out = append(out, x.trouble.Trouble)
		}
	}
	slices.SortFunc(out, func(a, b Trouble) int { return cmp.Compare(a.Hotkey, b.Hotkey) })
	return out[:min(len(out), maxTroubles)]
}

func (a *axon) Stats() ServiceStats {
	why, troubles := "", a.refusing()
	if len(troubles) > 0 {
		why = fmt.Sprintf("requests of validators are refused, of %s: %s: %s", troubles[0].Hotkey, troubles[0].Code, troubles[0].Why)
	}
	state, why := health(why == "", why)
	return ServiceStats{Name: a.name(), State: state, Reason: why, Troubles: troubles, Counts: Counts{
		{"polls", a.stats.polls}, {"receipts", a.stats.receipts}, {"pings", a.stats.pings}, {"predictions", a.stats.predictions},
		{"refused_malformed", a.stats.malformed}, {"refused_stranger", a.stats.stranger}, {"refused_stale", a.stats.stale},
		{"refused_replay", a.stats.old}, {"over_rate", a.stats.over}, {"validators_known", uint64(len(a.n.asked))}}}
}

package node

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/wire"
	"bettensor/node/wire/synapse"
	"bettensor/sched"
)

const (
	// firstPolls is the time over which the polls of axons that are new to us are
	// spread: a start must not ask a whole subnet at once.
	firstPolls = time.Minute
	// pollPatience is how many intervals lie at most between two polls of an axon
	// that does not answer.
	pollPatience = 6
	// toldFresh is how old the encoded games may be: the window around now moves.
	toldFresh = time.Minute
)

// poll is the validator's Poll service: over HTTP it tells every served axon
// without a session of games, takes its predictions as those of the hotkey that
// was dialled, and tells it what became of them.
//
// metagraph_updated ─► axons: request ─► reply ─► prediction_received
// stored, rejected  ─► all final?     ─► one more request with the words
type poll struct {
	idle
	named
	v      *Validator
	random *rand.Rand
	peers  []*polled // by hotkey
	byKey  map[chain.Hotkey]*polled
	byConn map[wire.Conn]*polled
	timer  *sched.Timer

	games   []byte // encoded
	gamesAt time.Time
	left    int // games that did not fit
	records map[chain.Hotkey]*record

	stats struct {
		asked, answered, failed, malformed uint64
		foreign, unbound, refused, skipped uint64
		notFinite                          uint64
		predictions, words, told, untold   uint64
	}
}

// pollPhase is where one axon stands.
type pollPhase uint8

const (
	resting pollPhase = iota // until next
	asking                   // a request is under way
	judging                  // the books have not yet said a final word on all that it sent
	telling                  // the words are to be told, or under way
)

// polled is one axon.
type polled struct {
	hotkey   chain.Hotkey
	axon     chain.Axon
	phase    pollPhase
	next     time.Time // resting: of the poll; otherwise when to wait no longer
	conn     wire.Conn // of the request under way, 0 for none
	nonce    uint64    // of that request
	failures int
	strange  bool // told of: it sends numbers that are none
	answers  bool // it did when it was last asked
	trouble  trouble
	waits    map[bet.PredictionID]bool
	words    []wire.Confirmation
}

func newPoll(v *Validator, s *sched.Scope) *poll {
	p := &poll{named: "poll", v: v, random: s.Stream("poll"), byKey: map[chain.Hotkey]*polled{}, byConn: map[wire.Conn]*polled{}, records: map[chain.Hotkey]*record{}}
	p.timer = s.Timer("poll", p.wake)
	s.OnClose(func() {
		for _, x := range p.peers {
			if x.conn != 0 {
				v.hangUp(x.conn, wire.CloseRestart, "restarting")
			}
		}
	})
	v.topics.metagraph.Subscribe(s, func(e *MetagraphUpdated) { p.targets(e.Meta) })
	v.topics.games.Subscribe(s, func(*GamesUpdated) { p.games = nil })
	v.PredictionStored.Subscribe(s, func(e *PredictionStored) {
		if !e.Duplicate {
			p.count(e)
		}
		p.word(e.Hotkey, wire.Confirmation{ID: e.ID, OK: true, Message: wire.TextAccepted})
	})
	v.PredictionRejected.Subscribe(s, func(e *PredictionRejected) {
		p.word(e.Hotkey, wire.Confirmation{ID: e.ID, Code: e.Code, Message: e.Message})
	})
	v.PredictionSettled.Subscribe(s, func(e *PredictionSettled) { delete(p.records, e.Row.Hotkey) })
	return p
}

func (p *poll) start() {
	if p.v.State.Meta != nil { // rebuilt, or known from the ledger
		p.targets(p.v.State.Meta)
	}
}

// targets keeps one entry for each axon that is to be polled.
func (p *poll) targets(meta *chain.Metagraph) {
	p.forgetSigners()
	now := p.v.loop.Now()
	want := make(map[chain.Hotkey]chain.Axon)
	for i := range meta.Neurons {
		n := &meta.Neurons[i]
		if n.Hotkey != p.v.hotkey && p.polls(n) {
			want[n.Hotkey] = n.Axon
		}
	}
	kept := p.peers[:0]
	for _, x := range p.peers {
		if axon, ok := want[x.hotkey]; ok && axon == x.axon {
			kept = append(kept, x)
			delete(want, x.hotkey)
			continue
		}
		p.release(x, "no longer an axon there")
		delete(p.byKey, x.hotkey)
		delete(p.records, x.hotkey)
	}
	clear(p.peers[len(kept):])
	p.peers = kept
	for h, axon := range want { // order cannot matter: sorted below, before anything is drawn
		x := &polled{hotkey: h, axon: axon}
		p.byKey[h] = x
		p.peers = append(p.peers, x)
	}
	slices.SortFunc(p.peers, func(a, b *polled) int { return cmp.Compare(a.hotkey, b.hotkey) })
	for _, x := range p.peers {
		if x.next.IsZero() {
			x.next = now.Add(p.spread(min(firstPolls, p.v.cfg.PollInterval)))
		}
	}
	p.plan()
}

// spread draws a part of d.
func (p *poll) spread(d time.Duration) time.Duration {
	return time.Duration(p.random.Int64N(int64(d) + 1))
}

// polls says whether a neuron is to be polled: it serves an axon at an address
// that may be a stranger's, and is no validator.
func (p *poll) polls(n *chain.Neuron) bool {
	if n.Axon.Port == 0 || n.Permit && n.Stake > p.v.cfg.PollStakeLimit {
		return false
	}
	// Anybody can announce the address of a service inside our own network. On a
	// subnet that lives there we do so ourselves.
	return routable(n.Axon.IP) || p.v.cfg.Axon.IP != "" && !routable(p.v.cfg.Axon.IP)
}

// routable says whether an announced address is a host of the public internet.
func routable(ip string) bool {
	a, err := netip.ParseAddr(ip)
	return err == nil && chain.Routable(a)
}

// underway counts the requests that are out.
func (p *poll) underway() int { return len(p.byConn) }

// wake does what is due, and plans the next look.
func (p *poll) wake() {
	now := p.v.loop.Now()
	for _, x := range p.peers {
		if x.next.After(now) {
			continue
		}
		switch {
		case x.conn != 0:
			p.fail(x, PeerNoAnswer, "no answer in time")
		case x.phase == judging:
			p.tell(x)
		case x.phase == telling:
			p.dial(x, telling)
		case p.v.State.Sessions[x.hotkey] != 0:
			p.rest(x)
		default:
			p.dial(x, asking)
		}
	}
	p.plan()
}

// plan arms the timer for the earliest of what is due. While all requests that
// may be out are out, only their deadlines count.
func (p *poll) plan() {
	var next time.Time
	full := p.underway() >= p.v.cfg.PollParallel
	for _, x := range p.peers {
		if full && x.conn == 0 && x.phase != judging {
			continue
		}
		if next.IsZero() || x.next.Before(next) {
			next = x.next
		}
	}
	if next.IsZero() {
		p.timer.Stop()
	} else {
		p.timer.ArmAt(next)
	}
}

// dial begins a request, or leaves it due where too many are out.
func (p *poll) dial(x *polled, why pollPhase) {
	if p.underway() >= p.v.cfg.PollParallel {
		return
	}
	if wait := p.v.callAfter(p.v.loop.Wall()); wait > 0 {
		x.next = p.v.loop.Now().Add(p.v.loop.Span(wait) + time.Millisecond)
		return
	}
	scheme := "http://"
	if p.v.cfg.DialTLS {
		scheme = "https://"
	}
	x.phase, x.next = why, p.v.loop.Now().Add(p.v.loop.Span(p.v.cfg.PollDeadline))
	x.conn = p.v.dial(scheme + addressOf(x.axon))
	p.byConn[x.conn] = x
}

// release forgets a request.
func (p *poll) release(x *polled, reason string) {
	if x.conn != 0 {
		delete(p.byConn, x.conn)
		p.v.hangUp(x.conn, wire.CloseNormal, reason)
		x.conn = 0
	}
}

// rest leaves an axon alone for about an interval.
func (p *poll) rest(x *polled) {
	every := p.v.cfg.PollInterval
	x.phase, x.waits, x.words = resting, nil, nil
	x.next = p.v.loop.Now().Add(every - every/10 + p.spread(every/5))
}

// fail counts an exchange that came to nothing. An axon that does not answer is
// asked less and less; words that did not arrive are asked for again by the miner.
func (p *poll) fail(x *polled, code TroubleCode, why string) {
	p.release(x, why)
	x.trouble.note(p.v.core, x.hotkey, addressOf(x.axon), code, why)
	if x.phase == telling {
		p.stats.untold++
		p.rest(x)
		return
	}
	p.stats.failed++
	p.rest(x)
	again := sched.Backoff{Base: p.v.cfg.PollInterval, Cap: pollPatience * p.v.cfg.PollInterval}
	x.next = x.next.Add(again.Delay(x.failures, p.random))
	x.failures++
	x.answers = false
}

func (p *poll) receive(e *wire.Event) {
	x := p.byConn[e.Conn]
	if x == nil {
		return
	}
	switch e.Kind {
	case wire.Opened:
		p.send(x)
	case wire.Closed:
		p.fail(x, PeerUnreachable, string(e.Raw))
	case wire.Received:
		if code, why := p.check(x, e); why != "" {
			p.fail(x, code, why)
			break
		}
		p.release(x, "answered")
		x.trouble.over()
		if x.phase == telling {
			p.stats.told++
			p.rest(x)
			break
		}
		x.failures, x.answers = 0, true
		p.stats.answered++
		p.take(x, e.Message.Exchange)
	}
	p.plan()
}

// send sends the request for which a connection was made.
func (p *poll) send(x *polled) {
	wall := p.v.loop.Wall()
	x.nonce = p.v.call(wall)
	a := wire.Asking{Axon: x.axon, Asked: x.hotkey, Nonce: x.nonce, At: wall}
	if x.phase == telling {
		a.UID, _ = p.v.State.UID(x.hotkey)
		p.v.send(x.conn, wire.AppendReceipts(nil, p.v.ports.Signer, &a, x.words, p.figures(x.hotkey)))
		return
	}
	p.stats.asked++
	a.UID, _ = p.v.State.UID(p.v.hotkey)
	p.v.send(x.conn, wire.AppendPoll(nil, p.v.ports.Signer, &a, p.told()))
}

// told is the games of the window around now, encoded once for many axons.
func (p *poll) told() []byte {
	now := p.v.loop.Now()
	if durable := p.v.State.told <= p.v.store.Durable(); durable && (p.games == nil || now.Sub(p.gamesAt) >= toldFresh) {
		all := p.v.State.gamesFrom(now.Add(-gamesBack), func(g *bet.Game) bool { return g.Start.Before(now.Add(gamesAhead)) })
		var n int
		p.games, n = wire.AppendGames(nil, all)
		p.gamesAt, p.left = now, len(all)-n
	}
	if p.games == nil { // of none that a crash would not take back
		none, _ := wire.AppendGames(nil, nil)
		return none
	}
	return p.games
}

// check says why a reply is not taken, "" where it is. A reply speaks for the
// hotkey that was dialled or for nobody; one that has once signed its replies
// must go on to, wherever it serves and however often we start.
func (p *poll) check(x *polled, e *wire.Event) (code TroubleCode, why string) {
	m := &e.Message
	if e.Err != nil {
		p.stats.malformed++
		return PeerMalformed, e.Err.Error()
	}
	if m.Kind != wire.Answer {
		p.stats.malformed++
		return PeerMalformed, "no answer but a " + m.Kind.String()
	}
	r := m.Exchange
	if r.Asked != "" && r.Asked != x.hotkey {
		p.stats.foreign++
		return PeerForeign, "it answers for " + string(r.Asked)
	}
	switch signs := p.v.signers[x.hotkey]; {
	case r.Bound && (r.Nonce != x.nonce || r.UUID != synapse.NodeUUID(p.v.hotkey)):
		p.stats.unbound++
		return PeerForeign, "the reply is signed for another request"
	case !r.Bound && signs:
		p.stats.unbound++
		return PeerUnsigned, "the reply is not signed, and it has signed before"
	case r.Bound && !signs:
		p.signs(x.hotkey)
	}
	if r.Status != 200 {
		p.stats.refused++
		return PeerStatus, strings.TrimSpace(fmt.Sprintf("status %d %s", r.Status, m.Text))
	}
	return 0, ""
}

// signs keeps that a miner signs its replies.
func (p *poll) signs(h chain.Hotkey) {
	p.v.signers[h] = true
	b, text := p.v.store.Batch(), "1"
	ledger.Facts.Put(b, ledger.FactSigns+string(h), &text)
	p.v.store.Commit(b)
}

// forgetSigners forgets those who are in the subnet no more.
func (p *poll) forgetSigners() {
	var gone []chain.Hotkey
	for h := range p.v.signers { // sorted below
		if _, ok := p.v.State.UID(h); !ok {
			gone = append(gone, h)
		}
	}
	if len(gone) == 0 {
		return
	}
	slices.Sort(gone)
	b := p.v.store.Batch()
	for _, h := range gone {
		delete(p.v.signers, h)
		ledger.Facts.Delete(b, ledger.FactSigns+string(h))
	}
	p.v.store.Commit(b)
}

// take gives what an axon has predicted to the books.
func (p *poll) take(x *polled, r *wire.Exchange) {
	p.stats.skipped += uint64(r.Skipped)
	if p.stats.notFinite += uint64(r.NotFinite); r.NotFinite > 0 && !x.strange {
		x.strange = true
		p.v.log.Warn("a miner predicts with NaN or an infinity: each such prediction is refused, the others are taken", "miner", x.hotkey,
			"predictions", r.NotFinite, "code", bet.NotFinite)
	}
	if len(r.Submissions) == 0 {
		p.rest(x)
		return
	}
	x.phase, x.next = judging, p.v.loop.Now().Add(p.v.loop.Span(p.v.cfg.PollDeadline))
	x.waits = make(map[bet.PredictionID]bool, len(r.Submissions))
	for i := range r.Submissions {
		s := &r.Submissions[i]
		x.waits[s.ID] = true
		p.stats.predictions++
		p.v.PredictionReceived.Publish(PredictionReceived{Hotkey: x.hotkey, Submission: s, Polled: true})
	}
}

// word notes what the books say on a prediction. They say it when it is durable.
func (p *poll) word(h chain.Hotkey, w wire.Confirmation) {
	x := p.byKey[h]
	if x == nil || !x.waits[w.ID] {
		return
	}
	delete(x.waits, w.ID)
	// The original takes every word as final, whatever it says: one that is not is
	// left out, and the prediction comes again.
	if !w.Code.Temporary() {
		x.words = append(x.words, w)
	}
	if len(x.waits) == 0 {
		p.tell(x)
		p.plan()
	}
}

// tell plans the request with the words. Beside another validator on the same
// hotkey that one does it.
func (p *poll) tell(x *polled) {
	x.waits = nil
	if len(x.words) == 0 || p.v.cfg.Shadow {
		p.rest(x)
		return
	}
	p.stats.words += uint64(len(x.words))
	x.phase, x.next = telling, p.v.loop.Now()
}

func (p *poll) Stats() ServiceStats {
	var answer, failing uint64
	var troubles []Trouble
	for _, x := range p.peers {
		if x.answers {
			answer++
		}
		if x.failures > 0 {
			failing++
		}
		troubles = x.trouble.listed(troubles)
	}
	why := ""
	if failing > 0 && answer == 0 {
		why = fmt.Sprintf("none of the %d axons that were asked answers", failing)
		if len(troubles) > 0 {
			why += ", for one " + troubles[0].Code.String() + ": " + troubles[0].Why
		}
	}
	state, why := health(why == "", why)
	return ServiceStats{Name: p.name(), State: state, Reason: why, Troubles: troubles, Counts: Counts{
		{"axons", uint64(len(p.peers))}, {"failing", failing}, {"underway", uint64(p.underway())}, {"asked", p.stats.asked}, {"answered", p.stats.answered},
		{"failed", p.stats.failed}, {"refused", p.stats.refused}, {"malformed", p.stats.malformed}, {"foreign", p.stats.foreign}, {"unbound", p.stats.unbound},
		{"predictions", p.stats.predictions}, {"skipped", p.stats.skipped}, {"not_finite", p.stats.notFinite}, {"words", p.stats.words}, {"told", p.stats.told}, {"untold", p.stats.untold},
		{"games_left_out", uint64(p.left)}}}
}

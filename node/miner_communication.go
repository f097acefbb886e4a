package node

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/wire"
	"bettensor/sched"
)

func uidText(u chain.UID) string { return strconv.Itoa(int(u)) }

// minerCommunication is the miner's Communication service: one link to every
// permitted validator, and the outbox sent over each until it is confirmed.
//
// metagraph_updated ─► links: dial ─► auth ─► welcome ─► outbox, again until confirmed
type minerCommunication struct {
	idle
	named
	n      *Miner
	scope  *sched.Scope
	links  []*link // by validator's hotkey
	byConn map[wire.Conn]*link
	resend *sched.Timer
	held   int // predictions that waited for a quote when sendAll looked last
	stats  struct {
		dials, welcomes, refusals, lost, foreign uint64
		submitted, resubmitted                   uint64
		heartbeats, acks                         uint64
	}
	errors [wire.Errors]uint64
}

// A prediction is made at what some validator offers. Another one, whose feed is
// a poll behind, would refuse it for good.
const (
	// quoteWait is how long a prediction waits at most for the validator's own
	// quote before it is sent all the same: a poll of the feed, and slack.
	quoteWait = 15 * time.Minute
	// quoteLead before the start it is sent whatever the quote.
	quoteLead = 2 * time.Minute
)

// sendRate at which predictions go over one link: below what validators take
// (ValidatorConfig.MessageRate and MessageBurst), with room for heartbeats and for
// frames that bunch up on the way.
var sendRate = perSecond(15, 30)

type linkState uint8

const (
	waiting linkState = iota // for the next dial
	dialling
	authenticating
	ready
)

// link is the way to one validator.
type link struct {
	c        *minerCommunication
	hotkey   chain.Hotkey
	address  string
	state    linkState
	conn     wire.Conn
	nonces   wire.NonceWindow
	attempts int
	heard    time.Time
	since    time.Time
	told     map[bet.GameID]bet.Odds // what this validator offers, by its own word in this session
	sent     bucket                  // of sendRate, over all sessions
	timer    *sched.Timer            // dial again, give up on a welcome, or heartbeat
	gone     bool                    // no longer a validator
	trouble  trouble
	refusal  string // what the peer said in this connection that proves nothing
}

func newMinerCommunication(n *Miner, s *sched.Scope) *minerCommunication {
	c := &minerCommunication{named: "communication", n: n, scope: s, byConn: map[wire.Conn]*link{}}
	c.resend = s.Timer("resend", c.sendAll)
	s.OnClose(func() {
		clear(n.State.Sessions)
		for _, l := range c.links {
			if l.state != waiting {
				n.hangUp(l.conn, wire.CloseNormal, "restarting")
			}
		}
	})
	n.topics.metagraph.Subscribe(s, func(e *MetagraphUpdated) { c.targets(e.Meta) })
	n.PredictionsGenerated.Subscribe(s, func(*PredictionsGenerated) { c.sendAll() })
	return c
}

func (c *minerCommunication) start() {
	if c.n.State.Meta != nil { // rebuilt
		c.targets(c.n.State.Meta)
	}
}

// targets keeps a link to every validator that may set weights and serves.
func (c *minerCommunication) targets(meta *chain.Metagraph) {
	want := map[chain.Hotkey]string{}
	for i := range meta.Neurons {
		v := &meta.Neurons[i]
		if c.n.trusts(v) && v.Axon != (chain.Axon{}) && v.Hotkey != c.n.hotkey && !c.n.cfg.PollOnly {
			want[v.Hotkey] = c.n.addressOf(v.Axon)
		}
	}
	kept := c.links[:0]
	for _, l := range c.links {
		address, ok := want[l.hotkey]
		if !ok || address != l.address {
			l.gone = true
			l.timer.Stop()
			if l.state != waiting {
				c.n.hangUp(l.conn, wire.CloseNormal, "no longer a validator there")
			}
			continue
		}
		delete(want, l.hotkey)
		kept = append(kept, l)
	}
	c.links = kept
	for h, address := range want {
		c.links = append(c.links, &link{c: c, hotkey: h, address: address})
	}
	slices.SortFunc(c.links, func(a, b *link) int { return cmp.Compare(a.hotkey, b.hotkey) })
	for _, l := range c.links {
		if l.timer == nil {
			l.timer = c.scope.Timer("link", l.tick)
			l.dial()
		}
	}
}

// trusts says whether a neuron may see what we predict: a permit, and stake
// enough to lose.
func (n *Miner) trusts(v *chain.Neuron) bool { return v.Permit && v.Stake >= n.cfg.ValidatorMinStake }

func (n *Miner) addressOf(a chain.Axon) string {
	if n.cfg.DialTLS {
		return "wss://" + addressOf(a)
	}
	return addressOf(a)
}

func addressOf(a chain.Axon) string {
	ip, err := netip.ParseAddr(a.IP)
	if err != nil {
		return a.IP + ":" + strconv.Itoa(int(a.Port))
	}
	return netip.AddrPortFrom(ip, a.Port).String()
}

func (l *link) dial() {
	l.c.stats.dials++
	l.state = dialling
	l.conn = l.c.n.dial(l.address)
	l.c.byConn[l.conn] = l
	l.timer.ArmWall(l.c.n.cfg.WelcomeDeadline)
}

// tick is the link's one timer.
func (l *link) tick() {
	c := l.c
	wall := c.n.loop.Wall()
	switch l.state {
	case waiting:
		l.dial()
	case dialling, authenticating:
		c.n.hangUp(l.conn, wire.CloseNormal, "no welcome in time")
		code := PeerNoWelcome
		if l.state == dialling {
			code = PeerUnreachable
		}
		c.drop(l, code, "no welcome in time")
	case ready:
		if wall.Sub(l.heard) > c.n.cfg.Heartbeat*5/2 {
			c.n.hangUp(l.conn, wire.CloseNormal, "no answer to heartbeats")
			c.drop(l, PeerSilent, "no answer to heartbeats")
			return
		}
		c.stats.heartbeats++
		c.send(l, wire.AppendHeartbeat(make([]byte, 0, controlRoom), c.n.ports.Signer, wall, c.n.nonce(wall)))
		l.timer.ArmWall(c.n.cfg.Heartbeat)
	}
}

func (c *minerCommunication) receive(e *wire.Event) {
	l := c.byConn[e.Conn]
	if l == nil {
		return
	}
	switch e.Kind {
	case wire.Opened:
		if l.state != dialling {
			return
		}
		l.state, l.nonces, l.told, l.refusal = authenticating, wire.NonceWindow{}, map[bet.GameID]bet.Odds{}, ""
		wall := c.n.loop.Wall()
		c.send(l, wire.AppendAuth(nil, c.n.ports.Signer, wall, c.n.nonce(wall), l.hotkey))
	case wire.Closed:
		if l.state == ready || l.state == authenticating {
			c.stats.lost++
		}
		c.drop(l, [...]TroubleCode{waiting: PeerUnreachable, dialling: PeerUnreachable, authenticating: PeerRefused, ready: PeerLost}[l.state], l.ended(string(e.Raw)))
	case wire.Received:
		c.frame(l, e)
	}
}

func (c *minerCommunication) frame(l *link, e *wire.Event) {
	m := &e.Message
	if e.Err != nil {
		c.count(e.Err)
		return
	}
	if m.Sender == "" { // an unsigned refusal: anybody may have sent it, so it changes nothing
		c.stats.refusals++
		l.refusal = m.Text
		return
	}
	if m.Sender != l.hotkey { // a reply counts only for the validator that was dialled
		c.stats.foreign++
		l.refusal = "it speaks for " + string(m.Sender)
		return
	}
	if err := wire.DefaultFresh.Check(m.Timestamp, c.n.loop.Wall()); err != nil {
		c.count(err)
		return
	}
	if err := l.nonces.Accept(m.Nonce); err != nil {
		c.count(err)
		return
	}
	l.heard = c.n.loop.Wall()
	if l.state != ready {
		if m.Kind == wire.Welcome && l.state == authenticating {
			c.welcomed(l)
		}
		return
	}
	switch m.Kind {
	case wire.GameUpdate:
		l.learn(m.Games)
		if c.held > 0 {
			c.sendAll()
		}
		c.n.GameNews.Publish(GameNews{Validator: string(l.hotkey), Games: m.Games})
	case wire.ConfirmationMessage:
		c.n.confirmed(l.hotkey, []wire.Confirmation{m.Confirmation}, e.Raw)
	case wire.HeartbeatAck:
		c.stats.acks++
	case wire.Heartbeat:
		wall := c.n.loop.Wall()
		c.send(l, wire.AppendHeartbeatResponse(nil, c.n.ports.Signer, wall, c.n.nonce(wall)))
	}
}

func (c *minerCommunication) welcomed(l *link) {
	c.stats.welcomes++
	l.trouble.over()
	l.state, l.since = ready, c.n.loop.Now()
	l.timer.ArmWall(c.n.cfg.Heartbeat)
	c.n.State.Sessions[l.hotkey] = l.conn
	c.n.connected.Publish(PeerConnected{Conn: l.conn, Hotkey: l.hotkey, Remote: l.address})
	now := c.n.loop.Now()
	c.n.box.open(now, func(o *outgoing) { // a new session: ask again at once
		if t := o.tries[l.hotkey]; t != nil {
			t.next = now
		}
	})
	c.sendAll()
}

// learn notes what the validator offers.
func (l *link) learn(games []bet.Game) {
	for i := range games {
		if g := &games[i]; g.Status == bet.Scheduled && g.Active {
			if _, known := l.told[g.ID]; known || len(l.told) < maxGames {
				l.told[g.ID] = g.Odds
			}
		} else {
			delete(l.told, g.ID)
		}
	}
}

// quotes says whether the validator offers what a prediction takes, and until
// when to wait for that.
func (l *link) quotes(o *outgoing) (bool, time.Time) {
	return quoted(l.told, o), o.quoteBy(l.since)
}

// quoted says whether an offer is what a prediction takes.
func quoted(told map[bet.GameID]bet.Odds, o *outgoing) bool {
	s := &o.Submission
	odds, ok := told[s.Game]
	for i, want := range [...]float64{s.OddsA.Number, s.OddsB.Number, s.OddsTie.Number} {
		ok = ok && math.Abs(odds[i]-want) <= bet.OddsTolerance
	}
	return ok
}

// quoteBy is until when a prediction waits for the quote of a validator that
// has told of its offers since an instant.
func (o *outgoing) quoteBy(since time.Time) time.Time {
	until, start := since.Add(quoteWait), o.Start.Add(-quoteLead)
	if made := o.Made.Add(quoteWait); made.After(until) {
		until = made
	}
	if start.Before(until) {
		until = start
	}
	return until
}

// sendAll sends over every ready link what is due there, and plans the next look.
func (c *minerCommunication) sendAll() {
	now := c.n.loop.Now()
	var next time.Time
	c.held = 0
	c.n.box.open(now, func(o *outgoing) {
		for _, l := range c.links {
			if l.state != ready || o.final(l.hotkey) {
				continue
			}
			t := o.tries[l.hotkey]
			if t == nil {
				t = &try{}
				o.tries[l.hotkey] = t
			}
			if t.attempts == 0 { // a repetition is for a confirmation that was lost
				if ok, until := l.quotes(o); !ok && until.After(now) {
					c.held++
					t.next = until
				} else {
					t.next = now
				}
			}
			if !t.next.After(now) {
				if wait := l.sent.take(sendRate, c.n.loop.Wall()); wait > 0 {
					t.next = now.Add(c.n.loop.Span(wait))
				} else {
					c.submit(l, o, t)
				}
			}
			if next.IsZero() || t.next.Before(next) {
				next = t.next
			}
		}
	})
	if next.IsZero() {
		c.resend.Stop()
	} else {
		c.resend.ArmAt(next)
	}
}

func (c *minerCommunication) submit(l *link, o *outgoing, t *try) {
	now, wall := c.n.loop.Now(), c.n.loop.Wall()
	t.attempts++
	c.stats.submitted++
	if t.attempts > 1 {
		c.stats.resubmitted++
	}
	wait := c.n.cfg.Resend
	// At least the base: a confirmation takes a round trip and an fsync.
	t.next = now.Add(c.n.loop.Span(wait.Base + wait.Delay(t.attempts-1, c.scope.Stream("resend"))))
	c.send(l, wire.AppendPrediction(make([]byte, 0, 3*controlRoom), c.n.ports.Signer, wall, c.n.nonce(wall), &o.Submission))
	c.n.PredictionSubmitted.Publish(PredictionSubmitted{ID: o.Submission.ID, Validator: l.hotkey, Attempt: t.attempts})
}

// ended is why a connection ended, with what the peer had to say.
func (l *link) ended(reason string) string {
	if l.refusal == "" {
		return reason
	}
	return reason + ": " + l.refusal
}

func (c *minerCommunication) send(l *link, frame []byte) { c.n.send(l.conn, frame) }

// drop forgets a link's connection and plans the next dial.
func (c *minerCommunication) drop(l *link, code TroubleCode, reason string) {
	delete(c.byConn, l.conn)
	if !l.gone {
		l.trouble.note(c.n.core, l.hotkey, l.address, code, reason)
	}
	now := c.n.loop.Now()
	if l.state == ready {
		if now.Sub(l.since) >= time.Minute {
			l.attempts = 0 // a stable minute: the next failure is a new one
		}
		delete(c.n.State.Sessions, l.hotkey)
		c.n.gone.Publish(PeerDisconnected{Conn: l.conn, Hotkey: l.hotkey, Reason: reason})
	}
	l.state = waiting
	if l.gone {
		return
	}
	l.timer.ArmWall(c.n.cfg.Redial.Base/2 + c.n.cfg.Redial.Delay(l.attempts, c.scope.Stream("redial")))
	l.attempts++
}

func (c *minerCommunication) count(err error) {
	if e, ok := err.(wire.Error); ok {
		c.errors[e]++
	}
}

// Deliveries are the validators' final words on one of the miner's predictions,
// in the order they came.
func (n *Miner) Deliveries(id bet.PredictionID) []ledger.Delivery {
	if o := n.box.byID[id]; o != nil {
		return o.Deliveries
	}
	return nil
}

func (c *minerCommunication) Stats() ServiceStats {
	up := uint64(0)
	var troubles []Trouble
	for _, l := range c.links {
		if l.state == ready {
			up++
		}
		troubles = l.trouble.listed(troubles)
	}
	s := ServiceStats{Name: c.name(), Troubles: troubles, Counts: []Count{
		{"sessions", up}, {"validators", uint64(len(c.links))}, {"dials", c.stats.dials}, {"welcomes", c.stats.welcomes},
		{"refusals", c.stats.refusals}, {"lost", c.stats.lost}, {"waiting_for_quote", uint64(c.held)}, {"foreign", c.stats.foreign}, {"submitted", c.stats.submitted},
		{"resubmitted", c.stats.resubmitted}, {"confirmed", c.n.delivered.confirmed}, {"rejected", c.n.delivered.rejected},
		{"receipts_kept", c.n.receipts.kept}, {"receipts_oversized", c.n.receipts.oversized},
		{"heartbeats", c.stats.heartbeats}, {"acks", c.stats.acks}}}
	for i, n := range c.errors {
		if n > 0 {
			s.Counts = append(s.Counts, Count{"refused_" + wire.Error(i).Code(), n})
		}
	}
	why := c.n.Unreached()
	if c.n.cfg.PollOnly { // it is not this service that reaches them
		why = ""
	}
	s.State, s.Reason = health(why == "", why)
	return s
}

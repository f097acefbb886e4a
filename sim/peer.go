package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/pack"
	"bettensor/node/wire"
	"bettensor/sched"
)

// A raw peer is a hostile miner that the miner's service would refuse to be. It
// has a key, a slot in the subnet and a place in the network as every miner has,
// dials the validators and says encoded frames to them; what it says is its
// attack's. It keeps nothing on a disk: a restart is a new beginning. Attacks are
// in peer_predict.go, peer_replay.go and peer_noise.go.

// attack is what a raw peer does.
type attack interface {
	// act does what is due, and says how long until it is to be asked again; 0 to
	// be asked when a session begins or games are told.
	act(p *peer) time.Duration
	// heard is told of each authentic message of a validator.
	heard(p *peer, l *line, m *wire.Message)
}

// deaf is an attack that needs no answers.
type deaf struct{}

func (deaf) heard(*peer, *line, *wire.Message) {}

// PeerStats is what a raw peer has done and what came of it, by its own count,
// over all its restarts.
type PeerStats struct {
	Dials       uint64 `json:"dials"`
	Refused     uint64 `json:"refused"` // connections that were not taken, or ended before a session
	Sessions    uint64 `json:"sessions"`
	Closed      uint64 `json:"closed"` // sessions that the validator ended
	Frames      uint64 `json:"frames"`
	Bytes       uint64 `json:"bytes"`
	Predictions uint64 `json:"predictions"`
	Confirmed   uint64 `json:"confirmed"` // acceptances, repetitions included
	Rejected    uint64 `json:"rejected"`  // refusals of predictions
	Errors      uint64 `json:"errors"`    // error messages
}

const (
	// peerInbox bounds what waits for a raw peer: it reads at once.
	peerInbox = 1 << 16
	// redialAfter is how long a raw peer waits before it dials again: a validator
	// takes one authentication in ten seconds of one hotkey (node's authRate).
	redialAfter = 12 * time.Second
	// betweenPolls is how long one that is polled as well stays away from its
	// sessions: who has one is not polled.
	betweenPolls = 30 * time.Minute
	// peerGames bounds the games that a raw peer remembers.
	peerGames = 4096
)

// peer is a raw peer while it runs.
type peer struct {
	host   *Host
	loop   *sched.Loop
	scope  *sched.Scope
	in     *sched.Inbox[wire.Event]
	rng    *rand.Rand
	attack attack
	stats  *PeerStats
	next   *sched.Timer // of the attack
	alive  *sched.Timer // heartbeats
	lines  []*line      // one to each validator, in their order
	others map[wire.Conn]*line
	nonces wire.Nonces
	conns  uint64
	made   uint64
	games  map[bet.GameID]*bet.Game
	net    *transport
	opener *wire.Opener
	pause  time.Duration // before it dials again
}

// line is a connection with a validator, and the next one after it has ended.
type line struct {
	to      *Host
	conn    wire.Conn
	redial  *sched.Timer
	opened  bool
	welcome bool
}

// newPeer builds a host's raw peer on its loop.
func newPeer(h *Host, l *sched.Loop, a attack) *peer {
	s := l.Scope("peer")
	p := &peer{host: h, loop: l, scope: s, rng: s.Stream("attack"), attack: a, stats: &h.sent,
		pause: redialAfter, others: map[wire.Conn]*line{}, games: map[bet.GameID]*bet.Game{}, net: &transport{h.world.net, h}}
	p.in = sched.NewInbox(s, "frames", peerInbox, p.codec(), p.receive)
	p.next = s.Timer("attack", p.act)
	p.alive = s.Timer("heartbeat", p.heartbeat)
	for _, v := range h.world.Hosts {
		if v.IsValidator() && !v.hostile() {
			line := &line{to: v}
			line.redial = s.Timer("dial", func() { p.dial(line) })
			p.lines = append(p.lines, line)
		}
	}
	return p
}

// codec is what a raw peer's loop is hashed and recorded by.
func (p *peer) codec() sched.Codec[wire.Event] {
	return sched.Codec[wire.Event]{
		Append: func(dst []byte, e *wire.Event) []byte { return wire.AppendEvent(dst, e) },
		Hash:   (*wire.Event).Sum,
		Read: func(b []byte) (wire.Event, error) {
			if p.opener == nil {
				p.opener = p.host.world.newOpener()
			}
			return wire.ReadEvent(pack.NewReader(b), p.opener)
		},
	}
}

func (p *peer) start() {
	for _, l := range p.lines {
		// Not all raw peers of a world in one instant.
		l.redial.Arm(time.Duration(p.rng.Int64N(int64(time.Second))))
	}
	p.alive.Arm(p.host.miner.Node.Heartbeat)
	if p.host.miner.Polled {
		p.serve()
		p.pause = betweenPolls
	}
}

// serve announces where the peer can be polled.
func (p *peer) serve() {
	a := p.host.miner.Node.Axon
	p.host.chainBackend()(chain.Request{Op: chain.OpServeAxon, Hotkey: p.host.Hotkey, Axon: a}, func(sched.Result[chain.Reply]) {})
}

func (p *peer) dial(l *line) {
	l.conn, l.opened, l.welcome = p.connect(l.to), false, false
	p.others[l.conn] = l
}

// connect begins a connection that the peer's own lines know nothing of.
func (p *peer) connect(to *Host) wire.Conn {
	p.conns++
	p.stats.Dials++
	c := wire.Dialled | wire.Conn(p.host.incarnation)<<40 | wire.Conn(p.conns)
	p.net.Dial(c, to.address)
	return c
}

func (p *peer) hangUp(c wire.Conn) { p.net.Close(c, wire.CloseNormal, "bye") }

// send says a frame. It must not be changed afterwards.
func (p *peer) send(c wire.Conn, frame []byte) {
	p.stats.Frames++
	p.stats.Bytes += uint64(len(frame))
	p.net.Send(c, frame)
}

func (p *peer) nonce() string { return p.nonces.Next(p.loop.Wall()) }

func (p *peer) auth(to *Host, s wire.Signer) []byte {
	return wire.AppendAuth(nil, s, p.loop.Wall(), p.nonce(), to.Hotkey)
}

func (p *peer) act() {
	if d := p.attack.act(p); d > 0 {
		p.next.Arm(d)
	}
}

// soon asks the attack, unless it has said when.
func (p *peer) soon() {
	if _, armed := p.next.Armed(); !armed {
		p.next.Arm(0)
	}
}

func (p *peer) heartbeat() {
	for _, l := range p.ready() {
		p.send(l.conn, wire.AppendHeartbeat(nil, p.host.signer, p.loop.Wall(), p.nonce()))
	}
	p.alive.Arm(p.host.miner.Node.Heartbeat)
}

// ready are the lines with a session.
func (p *peer) ready() []*line {
	var out []*line
	for _, l := range p.lines {
		if l.welcome {
			out = append(out, l)
		}
	}
	return out
}

func (p *peer) receive(e *wire.Event) {
	if e.Conn&wire.Dialled == 0 {
		p.asked(e)
		return
	}
	if w, ok := p.attack.(watcher); ok && w.event(p, e) {
		return
	}
	l := p.others[e.Conn]
	if l == nil {
		return
	}
	switch e.Kind {
	case wire.Opened:
		l.opened = true
		p.send(l.conn, p.auth(l.to, p.host.signer))
	case wire.Closed:
		delete(p.others, e.Conn)
		if l.conn != e.Conn {
			return
		}
		if l.welcome {
			p.stats.Closed++
		} else {
			p.stats.Refused++
		}
		l.opened, l.welcome = false, false
		l.redial.Arm(p.pause)
	case wire.Received:
		if e.Err == nil && e.Message.Sender == l.to.Hotkey {
			p.message(l, &e.Message)
		} else {
			p.stats.Errors++ // what is unsigned are refusals
		}
	}
}

// watcher is an attack with connections of its own beside the lines. It says
// whether an event was of one of them.
type watcher interface {
	event(p *peer, e *wire.Event) bool
}

// eavesdropper is an attack that hears what others say, as whoever sits on the
// way does.
type eavesdropper interface {
	overheard(from, to *Host, e *wire.Event)
}

// polled is an attack that answers polls.
type polled interface {
	picks(p *peer) []*bet.Submission
}

func (p *peer) message(l *line, m *wire.Message) {
	switch m.Kind {
	case wire.Welcome:
		p.stats.Sessions++
		l.welcome = true
		p.soon()
	case wire.GameUpdate:
		p.learn(m.Games)
		p.soon()
	case wire.ConfirmationMessage:
		if m.Confirmation.OK {
			p.stats.Confirmed++
		} else {
			p.stats.Rejected++
		}
	case wire.ErrorMessage:
		p.stats.Errors++
	}
	p.attack.heard(p, l, m)
}

// learn keeps the games that a validator tells of. What is over for a day is
// forgotten when room is needed.
func (p *peer) learn(games []bet.Game) {
	for i := range games {
		g := games[i]
		if p.games[g.ID] == nil && len(p.games) >= peerGames {
			old := p.loop.Now().AddDate(0, 0, -1)
			for _, k := range p.sorted(func(x *bet.Game) bool { return x.Start.Before(old) }) {
				delete(p.games, k.ID)
			}
			if len(p.games) >= peerGames {
				return
			}
		}
		p.games[g.ID] = &g
	}
}

// sorted lists games by start, then id.
func (p *peer) sorted(keep func(*bet.Game) bool) []*bet.Game {
	var out []*bet.Game
	for _, g := range p.games { // sorted below: order cannot matter
		if keep(g) {
			out = append(out, g)
		}
	}
	slices.SortFunc(out, func(a, b *bet.Game) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// open are the games that can be backed now.
func (p *peer) open() []*bet.Game {
	now := p.loop.Now()
	return p.sorted(func(g *bet.Game) bool { return g.Bettable(now) && g.Start.Sub(now) > time.Minute })
}

// pick draws a game that is open, and a side of it.
func (p *peer) pick() (*bet.Game, bet.Outcome, bool) {
	open := p.open()
	if len(open) == 0 {
		return nil, 0, false
	}
	g := open[p.rng.IntN(len(open))]
	return g, p.side(g), true
}

// side draws an outcome that a game can end in.
func (p *peer) side(g *bet.Game) bet.Outcome {
	if g.CanTie {
		return bet.Outcome(p.rng.IntN(3))
	}
	return bet.Outcome(p.rng.IntN(2))
}

// id is a prediction id of the peer's own, never given twice.
func (p *peer) id() bet.PredictionID {
	p.made++
	return bet.PredictionID(fmt.Sprintf("%s-%d-%d", p.host.Name, p.host.incarnation, p.made))
}

// submission is what an honest miner would say of a pick.
func (p *peer) submission(id bet.PredictionID, g *bet.Game, o bet.Outcome, wager bet.Cents) bet.Submission {
	s := bet.Submission{ID: id, Game: g.ID, Date: p.loop.Now().Format(time.RFC3339), TeamA: g.TeamA, TeamB: g.TeamB,
		Outcome: number(float64(o)), Odds: number(g.Odds[o]), Wager: number(float64(wager) / 100),
		OddsA: number(g.Odds[bet.Home]), OddsB: number(g.Odds[bet.Away]), Model: p.host.Kind, MinerUID: p.uid(p.host.Hotkey)}
	if g.CanTie {
		s.OddsTie = number(g.Odds[bet.Tie])
	}
	return s
}

func number(v float64) bet.Value { return bet.Value{Kind: bet.Number, Number: v} }

// uid is a hotkey's slot as text, as the wire has it.
func (p *peer) uid(h chain.Hotkey) string {
	uid, _ := p.host.world.Chain.UIDOf(h)
	return strconv.Itoa(int(uid))
}

// honest are the miners that run the miner's service.
func (p *peer) honest() []*Host {
	return slices.DeleteFunc(slices.Clone(p.host.world.Hosts), func(h *Host) bool { return h.miner == nil || h.miner.Model == nil })
}

// submit says a prediction to a validator.
func (p *peer) submit(l *line, s *bet.Submission) {
	p.stats.Predictions++
	p.send(l.conn, wire.AppendPrediction(nil, p.host.signer, p.loop.Wall(), p.nonce(), s))
}

// submitAll says a prediction to every validator.
func (p *peer) submitAll(s bet.Submission) {
	for _, l := range p.ready() {
		p.submit(l, &s)
	}
}

// asked answers a poll: with what the attack has for it, else with nothing.
func (p *peer) asked(e *wire.Event) {
	if e.Kind != wire.Received || e.Err != nil || e.Message.Exchange == nil {
		return
	}
	m := &e.Message
	uid, _ := p.host.world.Chain.UIDOf(p.host.Hotkey)
	switch m.Kind {
	case wire.Poll:
		p.learn(m.Games)
		var picks []*bet.Submission
		if a, ok := p.attack.(polled); ok {
			picks = a.picks(p)
		}
		p.stats.Predictions += uint64(len(picks))
		p.send(e.Conn, wire.AppendAnswer(nil, p.host.signer, m, uid, p.loop.Wall(), picks, "No predictions available"))
	case wire.Receipts:
		for _, w := range m.Exchange.Words {
			if w.OK {
				p.stats.Confirmed++
			} else {
				p.stats.Rejected++
			}
		}
		fallthrough
	default:
		p.send(e.Conn, wire.AppendEcho(nil, p.host.signer, m, uid, p.loop.Wall()))
	}
}

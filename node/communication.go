package node

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/wire"
	"bettensor/sched"
	"bettensor/store"
)

// Games a validator tells of: the original's window around now.
const (
	gamesBack  = 4 * 24 * time.Hour
	gamesAhead = 8 * 24 * time.Hour
)

// controlRoom is what a control frame takes, so that it is made in one piece.
const controlRoom = 384

// pageGames is how many games go into one game_update at most: what a slow link
// takes without holding up a confirmation behind it. Long names make it fewer
// (wire.PageLen).
const pageGames = 100

// openingFresh is how long the games that a session begins with are told again as
// they were encoded and signed: well below the freshness of what is signed, and
// enough for a whole subnet that comes back after a restart.
const openingFresh = 30 * time.Second

// forgetEvery is how often memory is looked through for hotkeys that are gone,
// besides when it is full: not for each of a whole subnet that comes back.
const forgetEvery = time.Minute

// authRate at which one hotkey may begin sessions: a miner that comes back waits
// ever longer, and one whose every connection breaks begins seven in a minute.
var authRate = rate{every: 10 * time.Second, burst: 10}

// floodPatience is how long a session may stay above its rate: one that sends
// what piled up behind a stalled link is through with it in seconds.
const floodPatience = time.Minute

// communication is the validator's Communication service: sessions with miners.
//
// frame ─► session ─► prediction_received;  stored, rejected ─► confirmation;  games_updated ─► broadcast
type communication struct {
	idle
	named
	v        *Validator
	sessions map[wire.Conn]*session
	byHotkey map[chain.Hotkey]*session
	accounts map[chain.Hotkey]*account // also of those whose session ended, while it matters
	waiting  []*session                // authenticated, in order; welcomed when that is durable
	opening  [][]byte                  // what a session begins with, nil where games have changed
	openedAt time.Time                 // when that was signed, on the wall clock
	scan     *sched.Timer
	scanAt   time.Time // when it fires, on the wall clock
	forgot   time.Time // when memory was last looked through for hotkeys that are gone, likewise
	stats    struct {
		opened, refused, replaced, timedOut   uint64
		frames, predictions, heartbeats       uint64
		confirmed, rejected, broadcasts, sent uint64
		unasked, limited, flooded, hasty      uint64
		errors                                [wire.Errors]uint64
	}
}

type session struct {
	conn     wire.Conn
	remote   string
	hotkey   chain.Hotkey // empty until authenticated
	since    time.Time    // as heard and over, on the wall clock
	heard    time.Time
	nonces   wire.NonceWindow
	*account           // the hotkey's
	seq      store.Seq // that makes the authentication durable
	welcomed bool
}

// account is what a hotkey has left of its rates. It outlives its sessions: a new
// one is no new burst, and no end of a flood.
type account struct {
	auths, frames bucket
	// answers to predictions beyond the rate of frames
	answers bucket
	over    time.Time // since when above the message rate; zero where it is not
}

// isFull says whether an account is as good as a new one.
func (a *account) isFull(wall time.Time) bool {
	return a.auths.isFull(wall) && a.frames.isFull(wall) && a.answers.isFull(wall)
}

func newCommunication(v *Validator, s *sched.Scope) *communication {
	c := &communication{named: "communication", v: v,
		sessions: map[wire.Conn]*session{}, byHotkey: map[chain.Hotkey]*session{}, accounts: map[chain.Hotkey]*account{}}
	c.scan = s.Timer("sessions", c.sweep)
	s.OnClose(c.hangUpAll)
	v.PredictionStored.Subscribe(s, func(e *PredictionStored) {
		c.confirm(e.Hotkey, wire.Confirmation{ID: e.ID, OK: true, Message: wire.TextAccepted})
	})
	v.PredictionRejected.Subscribe(s, func(e *PredictionRejected) {
		c.confirm(e.Hotkey, wire.Confirmation{ID: e.ID, Code: e.Code, Message: e.Message})
	})
	v.topics.games.Subscribe(s, func(e *GamesUpdated) { c.opening = nil; c.broadcast(e.Games) })
	v.topics.metagraph.Subscribe(s, func(e *MetagraphUpdated) { c.dropUnregistered() })
	return c
}

func (c *communication) start() { c.look(c.v.cfg.AuthDeadline) }

// look plans the next sweep. Peers live by the wall clock.
func (c *communication) look(d time.Duration) {
	c.scanAt = c.v.loop.Wall().Add(d)
	c.scan.ArmWall(d)
}

func (c *communication) receive(e *wire.Event) {
	switch e.Kind {
	case wire.Opened:
		// Each kind has its own room: however many have not yet said who they are,
		// one that has finds its place, and comes back to it.
		if n := len(c.byHotkey); max(n, len(c.sessions)-n) >= c.v.cfg.MaxSessions {
			c.stats.refused++
			c.v.hangUp(e.Conn, wire.CloseRate, "too many sessions")
			return
		}
		c.stats.opened++
		wall := c.v.loop.Wall()
		c.sessions[e.Conn] = &session{conn: e.Conn, remote: e.Remote, since: wall, heard: wall}
		if c.scanAt.Sub(wall) > c.v.cfg.AuthDeadline {
			c.look(c.v.cfg.AuthDeadline)
		}
	case wire.Closed:
		c.forget(e.Conn, string(e.Raw))
	case wire.Received:
		if s := c.sessions[e.Conn]; s != nil {
			c.frame(s, e)
		}
	}
}

func (c *communication) frame(s *session, e *wire.Event) {
	c.stats.frames++
	m := &e.Message
	wall := c.v.loop.Wall()
	if s.hotkey != "" && !c.within(s, e, wall) {
		return
	}
	if e.Err != nil {
		c.refuse(s, m, e.Err)
		return
	}
	if s.hotkey == "" {
		c.authenticate(s, m, wall)
		return
	}
	if m.Sender != s.hotkey {
		c.refuse(s, m, wire.ErrSignature)
		return
	}
	if err := wire.DefaultFresh.Check(m.Timestamp, wall); err != nil {
		c.refuse(s, m, err)
		return
	}
	if err := s.nonces.Accept(m.Nonce); err != nil {
		c.refuse(s, m, err)
		return
	}
	s.heard = wall
	switch m.Kind {
	case wire.Prediction:
		c.stats.predictions++
		c.v.PredictionReceived.Publish(PredictionReceived{Hotkey: s.hotkey, Submission: m.Submission})
	case wire.Heartbeat:
		c.stats.heartbeats++
		c.send(s, wire.AppendHeartbeatAck(make([]byte, 0, controlRoom), c.v.ports.Signer, wall, c.v.nonce(wall)))
	case wire.HeartbeatResponse:
	default:
		c.stats.unasked++
	}
}

// within says whether a session keeps to the message rate, heartbeats and frames
// that are refused included. What goes beyond it is not looked into, except to
// tell the miner that its prediction was not taken.
func (c *communication) within(s *session, e *wire.Event, wall time.Time) bool {
	if s.frames.isFull(wall) {
		s.over = time.Time{}
	}
	if s.frames.take(perSecond(c.v.cfg.MessageRate, c.v.cfg.MessageBurst), wall) == 0 {
		return true
	}
	c.stats.limited++
	if s.over.IsZero() {
		s.over = wall
	}
	if wall.Sub(s.over) >= floodPatience {
		c.stats.flooded++
		c.v.hangUp(s.conn, wire.CloseRate, "too many messages")
		c.forget(s.conn, "too many messages")
		return false
	}
	if m := &e.Message; e.Err == nil && m.Kind == wire.Prediction && m.Sender == s.hotkey && s.answers.take(answerRate, wall) == 0 {
		c.v.PredictionRejected.Publish(PredictionRejected{Hotkey: s.hotkey, ID: m.Submission.ID,
			Code: bet.RateLimited, Message: bet.RateLimited.Meaning()})
	}
	return false
}

// authenticate takes the first frame of a connection.
func (c *communication) authenticate(s *session, m *wire.Message, wall time.Time) {
	if c.v.State.Meta == nil {
		c.turnAway(s, nil, wire.CloseRestart, "who is registered is not known yet")
		return
	}
	text, code, err := wire.TextInvalidAuth, wire.CloseAuth, error(nil)
	switch {
	case m.Kind != wire.Auth || m.Validator != c.v.hotkey:
		err = wire.ErrShape // an auth that names no validator could be replayed to another one
	default:
		err = wire.DefaultFresh.Check(m.Timestamp, wall)
	}
	if err == nil {
		// Before its nonce is remembered: strangers must not fill that memory.
		if _, ok := c.v.State.UID(m.Sender); !ok {
			text, code, err = wire.TextUnregistered, wire.CloseUnregistered, wire.ErrShape
		}
	}
	if err == nil {
		err = c.remember(m.Sender, m.Nonce, wall)
	}
	if err != nil {
		c.send(s, wire.AppendStatus(nil, text))
		c.turnAway(s, err, code, text)
		return
	}
	a := c.accounts[m.Sender]
	if a == nil {
		a = &account{}
		c.accounts[m.Sender] = a
	}
	if a.auths.take(authRate, wall) > 0 { // behind the nonce: not at the cost of whom it was caught from
		c.stats.hasty++
		c.turnAway(s, nil, wire.CloseRate, "too many authentications")
		return
	}
	if old := c.byHotkey[m.Sender]; old != nil {
		c.stats.replaced++
		c.v.hangUp(old.conn, wire.CloseNormal, wire.ReasonReplaced)
		c.forget(old.conn, "replaced")
	}
	s.hotkey, s.account, s.seq = m.Sender, a, c.v.store.Last()
	c.byHotkey[s.hotkey] = s
	c.v.prove(s.conn, s.hotkey)
	c.waiting = append(c.waiting, s)
}

// remember takes the nonce of an authentication, and commits it: a captured one
// must not begin a session after a restart either.
func (c *communication) remember(h chain.Hotkey, nonce string, wall time.Time) error {
	v, b := c.v, c.v.store.Batch()
	if !v.auths.Known(h) && (v.auths.Full() || wall.Sub(c.forgot) >= forgetEvery) {
		c.forgot = wall
		for _, gone := range v.auths.Forget(wall, func(h chain.Hotkey) bool { _, ok := v.State.UID(h); return ok }) {
			ledger.Facts.Delete(b, ledger.FactAuth+string(gone))
		}
	}
	newest, err := v.auths.Accept(h, nonce, wall)
	if err == nil {
		text := strconv.FormatUint(newest, 10)
		ledger.Facts.Put(b, ledger.FactAuth+string(h), &text)
	}
	if b.Len() > 0 {
		v.store.Commit(b)
	}
	return err
}

// durable welcomes those whose authentication will not be taken again, once the
// games that they are told of will not be taken back either.
func (c *communication) durable(upTo store.Seq) {
	if c.v.State.told > upTo {
		return
	}
	n := 0
	for ; n < len(c.waiting) && c.waiting[n].seq <= upTo; n++ {
		if s := c.waiting[n]; c.sessions[s.conn] == s {
			c.welcome(s)
		}
	}
	c.waiting = slices.Delete(c.waiting, 0, n)
}

// welcome begins a session.
func (c *communication) welcome(s *session) {
	wall := c.v.loop.Wall()
	s.welcomed = true
	c.v.State.Sessions[s.hotkey] = s.conn
	c.v.connected.Publish(PeerConnected{Conn: s.conn, Hotkey: s.hotkey, Remote: s.remote})
	c.send(s, wire.AppendWelcome(nil, c.v.ports.Signer, wall, c.v.nonce(wall)))
	if c.opening == nil || wall.Sub(c.openedAt).Abs() >= openingFresh {
		now := c.v.loop.Now()
		open := c.v.State.gamesFrom(now.Add(-gamesBack), func(g *bet.Game) bool { return g.Start.Before(now.Add(gamesAhead)) })
		c.opening, c.openedAt = c.pages(open), wall
	}
	for _, frame := range c.opening {
		c.send(s, frame)
	}
}

func (c *communication) confirm(h chain.Hotkey, k wire.Confirmation) {
	if k.OK {
		c.stats.confirmed++
	} else {
		c.stats.rejected++
	}
	s := c.byHotkey[h]
	if s == nil || !s.welcomed {
		return // it will ask again when it is back
	}
	wall := c.v.loop.Wall()
	k.At = c.v.loop.Now()
	c.send(s, wire.AppendConfirmation(make([]byte, 0, 2*controlRoom), c.v.ports.Signer, wall, c.v.nonce(wall), &k))
}

func (c *communication) broadcast(games []*bet.Game) {
	if len(c.byHotkey) == 0 {
		return
	}
	c.stats.broadcasts++
	frames := c.pages(games)
	for _, s := range c.ordered() {
		if !s.welcomed {
			continue
		}
		for _, f := range frames {
			c.send(s, f)
		}
	}
}

// pages encodes games once for whoever will get them.
func (c *communication) pages(games []*bet.Game) [][]byte {
	all := make([]bet.Game, len(games))
	for i, g := range games {
		all[i] = *g
	}
	var cut [][]bet.Game
	for len(all) > 0 {
		n := wire.PageLen(all[:min(len(all), pageGames)])
		cut, all = append(cut, all[:n]), all[n:]
	}
	wall := c.v.loop.Wall()
	frames := make([][]byte, len(cut))
	for i, page := range cut {
		frames[i] = wire.AppendGameUpdate(nil, c.v.ports.Signer, wall, c.v.nonce(wall), page, i+1, len(cut))
	}
	return frames
}

func (c *communication) send(s *session, frame []byte) {
	c.stats.sent++
	c.v.send(s.conn, frame)
}

// refuse answers a frame that is no message to be taken. The answer is signed
// where the sender is proved.
func (c *communication) refuse(s *session, m *wire.Message, err error) {
	if s.hotkey == "" {
		c.turnAway(s, err, wire.CloseAuth, wire.TextInvalidAuth)
		return
	}
	c.count(err)
	wall := c.v.loop.Wall()
	switch err {
	case wire.ErrJSON:
		c.send(s, wire.AppendError(nil, c.v.ports.Signer, wall, c.v.nonce(wall), wire.TextInvalidJSON))
	case wire.ErrUnknownType:
		c.send(s, wire.AppendError(nil, c.v.ports.Signer, wall, c.v.nonce(wall), wire.TextUnknownType+m.Text))
	default:
		c.send(s, wire.AppendError(nil, nil, wall, "", wire.TextInvalidMessage))
	}
}

// turnAway ends a connection that has no session. Nothing more of it is taken.
func (c *communication) turnAway(s *session, err error, code int, reason string) {
	c.count(err)
	c.stats.refused++
	c.v.hangUp(s.conn, code, reason)
	delete(c.sessions, s.conn)
}

func (c *communication) count(err error) {
	if e, ok := err.(wire.Error); ok {
		c.stats.errors[e]++
	}
}

func (c *communication) forget(conn wire.Conn, reason string) {
	s := c.sessions[conn]
	if s == nil {
		return
	}
	delete(c.sessions, conn)
	if s.hotkey != "" && c.byHotkey[s.hotkey] == s {
		delete(c.byHotkey, s.hotkey)
		if !s.welcomed {
			return
		}
		delete(c.v.State.Sessions, s.hotkey)
		c.v.gone.Publish(PeerDisconnected{Conn: conn, Hotkey: s.hotkey, Reason: reason})
	}
}

// ordered is the sessions by connection: map order must not reach the network.
func (c *communication) ordered() []*session {
	out := make([]*session, 0, len(c.sessions))
	for _, s := range c.sessions {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *session) int { return cmp.Compare(a.conn, b.conn) })
	return out
}

// sweep closes what has been silent for too long.
func (c *communication) sweep() {
	wall := c.v.loop.Wall()
	next := c.v.cfg.SessionTimeout / 2
	for _, s := range c.ordered() {
		if s.hotkey == "" {
			next = c.v.cfg.AuthDeadline
			if wall.Sub(s.since) >= c.v.cfg.AuthDeadline {
				c.stats.timedOut++
				c.v.hangUp(s.conn, wire.CloseAuth, "no authentication in time")
				c.forget(s.conn, "no authentication in time")
			}
		} else if wall.Sub(s.heard) >= c.v.cfg.SessionTimeout {
			c.stats.timedOut++
			c.v.hangUp(s.conn, wire.CloseNormal, wire.ReasonTimeout)
			c.forget(s.conn, "timeout")
		}
	}
	c.look(next)
}

func (c *communication) dropUnregistered() {
	wall := c.v.loop.Wall()
	maps.DeleteFunc(c.accounts, func(h chain.Hotkey, a *account) bool { return c.byHotkey[h] == nil && a.isFull(wall) })
	for _, s := range c.ordered() {
		if _, ok := c.v.State.UID(s.hotkey); s.hotkey != "" && !ok {
			c.v.hangUp(s.conn, wire.CloseUnregistered, wire.ReasonUnregistered)
			c.forget(s.conn, "deregistered")
		}
	}
}

func (c *communication) hangUpAll() {
	clear(c.v.State.Sessions)
	for _, s := range c.ordered() {
		c.v.hangUp(s.conn, wire.CloseRestart, "restarting")
	}
}

package wire

import (
	"bytes"
	"strconv"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/wire/synapse"
)

// Opener makes messages of frames. It keeps scratch and the names it has met,
// and belongs to one goroutine. The zero value with a Verifier is ready.
type Opener struct {
	Verifier Verifier // nil verifies nothing: every signed frame is refused
	Limits   Limits   // zero fields take the defaults; read at the first Open

	ready     bool
	scan      cursor
	canoniser canoniser
	cut       []byte // the frame without its signature member
	canonical []byte
	sig       [SignatureSize]byte
	peer      chain.Hotkey // sender of the last authentic frame
	names     names
	texts     texts
	entry     cursor // one game or prediction of an HTTP body
}

// Open reads a frame: limits, strict JSON, shape, signature, and then the
// content. The error is an Error: on ErrUnknownType the message is authentic
// and Text names the type, on every other error it is empty. Freshness and
// nonces are the caller's, who has the state: Fresh, NonceWindow, AuthNonces.
//
// What it allocates is a small multiple of the frame, and nothing of it before
// the signature is known to be good. A control frame in canonical form
// allocates nothing.
func (o *Opener) Open(frame []byte) (Message, error) {
	if !o.ready {
		o.Limits.fill()
		o.ready = true
	}
	var m Message
	var e Error
	switch {
	case synapse.IsRequest(frame):
		e = o.request(frame, &m)
	case synapse.IsReply(frame):
		e = o.reply(frame, &m)
	case len(frame) > o.Limits.Frame:
		e = ErrTooLarge
	default:
		e = o.open(frame, &m)
	}
	switch e {
	case 0:
		return m, nil
	case ErrUnknownType:
		return m, e
	}
	return Message{}, e
}

// Glance reads who a frame says has sent it, and when, as far as that takes no
// more than a look at its end: nothing is checked, and ok is false of a frame in
// another form than ours. An edge that knows who speaks, and what time it is, need
// not open what is neither.
func (o *Opener) Glance(frame []byte) (sender chain.Hotkey, at time.Time, ok bool) {
	if !o.ready {
		o.Limits.fill()
		o.ready = true
	}
	var env envelope
	who := &env.sender
	if bytes.HasPrefix(frame, []byte(`{"hotkey": `)) && len(frame) <= maxAuth {
		if o.parse(frame, &env) != 0 || env.kind != nil {
			return "", time.Time{}, false
		}
		who = &env.hotkey
	} else if !env.canonical(frame, o.peer) {
		return "", time.Time{}, false
	}
	if at, ok = parseTime(env.timestamp, false); !ok {
		return "", time.Time{}, false
	}
	if string(*who) == string(o.peer) {
		return o.peer, at, true
	}
	return chain.Hotkey(*who), at, true
}

// maxAuth bounds the frames that Glance takes for an auth: one has some 400 bytes.
const maxAuth = 1024

func (o *Opener) open(frame []byte, m *Message) Error {
	var env envelope
	tried := false // o.cut is what the signature was already found not to be over
	if env.canonical(frame, o.peer) {
		o.cut = append(append(o.cut[:0], frame[:env.cutLo]...), frame[env.cutHi:]...)
		if !o.authentic(&env, o.cut, m) {
			tried = true
		} else if o.content(&env, m) == 0 {
			return 0
		}
		// Not as it seemed: the whole frame decides.
		*m = Message{}
		env = envelope{}
	}
	if e := o.parse(frame, &env); e != 0 {
		return e
	}
	if env.signature == nil {
		return unsigned(&env, m)
	}
	var e Error
	o.canonical, e = o.canoniser.canonical(o.canonical[:0], frame, &o.Limits, "signature")
	if e != 0 {
		return e
	}
	if tried && bytes.Equal(o.canonical, o.cut) || !o.authentic(&env, o.canonical, m) {
		return ErrSignature
	}
	return o.content(&env, m)
}

// envelope is where the top-level members lie. A nil slice was not there.
type envelope struct {
	kind, hotkey, sender, nonce, timestamp, signature, validator, status, message []byte

	data         []byte // the JSON text of the data member
	cutLo, cutHi int    // the signature member and the separator after it
}

// canonical finds the members of a frame whose top level is laid out exactly
// as ours are. It reads from the end, so that it need not look at the data;
// where data turns out to be one whole object, that makes the frame one too,
// with exactly six members. False: it is something else.
func (e *envelope) canonical(frame []byte, peer chain.Hotkey) bool {
	const head = `{"data": `
	b, ok := bytes.CutSuffix(frame, []byte(`"}`))
	if !ok || !bytes.HasPrefix(frame, []byte(head)) {
		return false
	}
	// A value whose bytes are checked elsewhere and that has its usual length n
	// needs no search for its opening quote.
	member := func(name string, n int) (value []byte) {
		i := len(b) - n
		if i <= 0 || b[i-1] != '"' {
			i = len(b)
		}
		for i > 0 && plain[b[i-1]] {
			i--
		}
		value = b[i:]
		if b, ok = bytes.CutSuffix(b[:i], []byte(name)); !ok {
			return nil
		}
		return value
	}
	if e.kind = member(`", "type": "`, 0); e.kind == nil {
		return false
	}
	if e.timestamp = member(`"timestamp": "`, 32); e.timestamp == nil {
		return false
	}
	e.cutHi = len(b)
	if b, ok = bytes.CutSuffix(b, []byte(sigTail)); !ok {
		return false
	}
	if e.signature = member(sigHead, 2*SignatureSize); e.signature == nil {
		return false
	}
	e.cutLo = len(b)
	if b, ok = bytes.CutSuffix(b, []byte(`", `)); !ok {
		return false
	}
	usual := 0
	if bytes.HasSuffix(b, []byte(peer)) { // and peer holds nothing but plain bytes
		usual = len(peer)
	}
	if e.sender = member(`", "sender": "`, usual); e.sender == nil {
		return false
	}
	if e.nonce = member(`, "nonce": "`, 0); e.nonce == nil || len(b) < len(head) {
		return false
	}
	e.data = b[len(head):]
	return true
}

// parse finds the members of any frame, and checks all of it.
func (o *Opener) parse(frame []byte, e *envelope) Error {
	c := &o.scan
	c.reset(frame, &o.Limits)
	if ch := c.peek(); ch != '{' { // JSON perhaps, but no message
		if c.skip(); c.err == 0 {
			c.end()
		}
		if c.err == 0 {
			c.err = ErrShape
		}
		return c.err
	}
	obj := c.object()
	shape := true
	for c.member(&obj) {
		var into *[]byte
		switch string(obj.key) {
		case "type":
			into = &e.kind
		case "hotkey":
			into = &e.hotkey
		case "sender":
			into = &e.sender
		case "nonce":
			into = &e.nonce
		case "timestamp":
			into = &e.timestamp
		case "signature":
			into = &e.signature
		case "validator":
			into = &e.validator
		case "status":
			into = &e.status
		case "message":
			into = &e.message
		case "data":
			shape = shape && c.peek() == '{'
			lo := c.i
			c.skip()
			e.data = frame[lo:c.i]
			continue
		}
		if into == nil || c.peek() != '"' {
			shape = shape && into == nil
			c.skip()
			continue
		}
		if *into = c.text(c.maxText); *into == nil {
			*into = []byte{}
		}
	}
	c.end()
	if c.err == 0 && !shape {
		c.err = ErrShape
	}
	return c.err
}

// unsigned makes the two refusals that come without a signature.
func unsigned(e *envelope, m *Message) Error {
	switch {
	case e.message == nil:
		return ErrShape
	case string(e.kind) == "error" && e.kind != nil:
		m.Kind = ErrorMessage
		m.Timestamp, _ = parseTime(e.timestamp, false)
	case e.kind == nil && e.hotkey == nil && string(e.status) == "error":
		m.Kind = Status
	default:
		return ErrShape
	}
	m.Text = string(e.message)
	return 0
}

// authentic checks the signature over text and fills in what the envelope
// says. A malformed envelope is not authentic.
func (o *Opener) authentic(e *envelope, text []byte, m *Message) bool {
	sender := e.sender
	if e.kind == nil {
		sender = e.hotkey
	}
	if len(sender) == 0 || len(sender) > maxHotkey || !parseHex(&o.sig, e.signature) || o.Verifier == nil {
		return false
	}
	known := string(sender) == string(o.peer)
	if m.Sender = o.peer; !known {
		var s string
		if s, known = o.names.find(sender); !known {
			s = string(sender)
		}
		m.Sender = chain.Hotkey(s)
	}
	if !o.Verifier.Verify(m.Sender, text, o.sig[:]) {
		return false
	}
	o.peer = m.Sender
	if !known {
		o.names.keep(string(m.Sender))
	}
	return true
}

const (
	maxHotkey = 64 // an SS58 text has at most 49 bytes
	maxNonce  = 32 // Python's text of a float has at most 24
)

// content fills in the rest of an authentic message.
func (o *Opener) content(e *envelope, m *Message) Error {
	var ok bool
	if m.Timestamp, ok = parseTime(e.timestamp, false); !ok || len(e.nonce) == 0 || len(e.nonce) > maxNonce {
		return ErrShape
	}
	m.Nonce = o.texts.add(e.nonce)
	if e.kind == nil {
		if len(e.validator) > maxHotkey {
			return ErrShape
		}
		m.Kind, m.Validator = Auth, chain.Hotkey(o.names.name(e.validator))
		return 0
	}
	if m.Kind = kindOf(e.kind); m.Kind <= Auth {
		if len(e.kind) > o.Limits.Name {
			return ErrLimit
		}
		m.Text = string(e.kind)
		return ErrUnknownType
	}
	if len(e.data) == 2 && e.data[0] == '{' && e.data[1] == '}' && m.Kind >= Heartbeat && m.Kind <= HeartbeatAck {
		return 0
	}
	if len(e.data) == 0 {
		return ErrShape
	}
	c := &o.scan
	c.reset(e.data, &o.Limits)
	c.depth--
	shape := true
	switch m.Kind {
	case Prediction:
		m.Submission = new(bet.Submission)
		o.submission(c, m.Submission)
	case ConfirmationMessage:
		shape = o.confirmation(c, &m.Confirmation)
	case GameUpdate:
		shape = o.games(c, m)
	default:
		obj := c.object()
		for c.member(&obj) {
			if string(obj.key) == "message" && c.peek() == '"' {
				m.Text = string(c.text(c.maxText))
			} else {
				c.skip()
			}
		}
	}
	c.end()
	if c.err == 0 && !shape {
		c.err = ErrShape
	}
	return c.err
}

func kindOf(name []byte) Kind {
	switch string(name) {
	case "heartbeat":
		return Heartbeat
	case "heartbeat_ack":
		return HeartbeatAck
	case "heartbeat_response":
		return HeartbeatResponse
	case "prediction":
		return Prediction
	case "confirmation":
		return ConfirmationMessage
	case "game_update":
		return GameUpdate
	case "welcome":
		return Welcome
	case "error":
		return ErrorMessage
	}
	return 0
}

// submission reads a prediction's data. Which members must be there, and what
// they may hold, is for bet.Admit to say: its refusal reaches the miner with a
// code. Members of the wrong kind where only text has a meaning are a shape error.
func (o *Opener) submission(c *cursor, s *bet.Submission) {
	obj := c.object()
	for c.member(&obj) {
		switch string(obj.key) {
		case "confidence_score":
			s.Confidence = o.value(c)
		case "game_id":
			s.Game = bet.GameID(o.label(c))
		case "miner_uid":
			s.MinerUID = o.label(c)
		case "model_name":
			s.Model = o.optional(c)
		case "predicted_odds":
			s.Odds = o.value(c)
		case "predicted_outcome":
			s.Outcome = o.value(c)
		case "prediction_date":
			if !c.null() {
				s.Date = o.texts.add(c.textOnly(o.Limits.Name))
			}
		case "prediction_id":
			if !c.null() {
				s.ID = bet.PredictionID(c.textOnly(o.Limits.Name))
			}
		case "team_a":
			s.TeamA = o.optional(c)
		case "team_a_odds":
			s.OddsA = o.value(c)
		case "team_b":
			s.TeamB = o.optional(c)
		case "team_b_odds":
			s.OddsB = o.value(c)
		case "tie_odds":
			s.OddsTie = o.value(c)
		case "wager":
			s.Wager = o.value(c)
		default:
			c.skip()
		}
	}
}

// null takes a null and says whether there was one.
func (c *cursor) null() bool { return c.peek() == 'n' && c.word("null") }

// textOnly reads a string; any other value is a shape error.
func (c *cursor) textOnly(limit int) []byte {
	if c.peek() != '"' {
		if c.skip(); c.err == 0 {
			c.fail(ErrShape)
		}
		return nil
	}
	return c.text(limit)
}

// optional reads a name or null, which is the empty name.
func (o *Opener) optional(c *cursor) string {
	if c.null() {
		return ""
	}
	return o.names.name(c.textOnly(o.Limits.Name))
}

// label reads an id that may come as text or as a whole number.
func (o *Opener) label(c *cursor) string {
	if ch := c.peek(); ch == '-' || ch-'0' <= 9 {
		token, whole := c.number()
		if c.err == 0 && !whole {
			c.fail(ErrShape)
		}
		return o.names.name(token)
	}
	return o.optional(c)
}

// value reads a field that may be a number or text. A number that is none is one
// for bet.Admit to refuse.
func (o *Opener) value(c *cursor) bet.Value {
	if w := c.notFinite(); w != nil {
		c.strange++
		return bet.Value{Kind: bet.Text, Text: o.names.name(w)}
	}
	switch ch := c.peek(); {
	case ch == '"':
		return bet.Value{Kind: bet.Text, Text: o.names.name(c.text(o.Limits.Name))}
	case c.loose && (ch == '-' || ch-'0' <= 9):
		token, _ := c.number()
		v, err := strconv.ParseFloat(string(token), 64)
		if err != nil && token != nil {
			c.strange++
			return bet.Value{Kind: bet.Text, Text: o.names.name(token)}
		}
		return bet.Value{Kind: bet.Number, Number: v}
	case ch == '-' || ch-'0' <= 9:
		return bet.Value{Kind: bet.Number, Number: c.float()}
	case c.null():
		return bet.Value{}
	}
	c.skip()
	return bet.Value{Kind: bet.Other}
}

// confirmation reads a confirmation's data. False: a member is missing.
func (o *Opener) confirmation(c *cursor, v *Confirmation) bool {
	obj := c.object()
	id, known := false, false
	for c.member(&obj) {
		switch string(obj.key) {
		case "code":
			v.Code = bet.Code(o.optional(c))
		case "message":
			if !c.null() {
				v.Message = string(c.textOnly(c.maxText))
			}
		case "prediction_id":
			v.ID = bet.PredictionID(c.textOnly(o.Limits.Name))
			id = v.ID != ""
		case "status":
			s := c.textOnly(o.Limits.Name)
			v.OK = string(s) == "success"
			known = v.OK || string(s) == "error"
		case "timestamp":
			var ok bool
			if v.At, ok = parseTime(c.textOnly(o.Limits.Name), false); !ok {
				c.fail(ErrShape)
			}
		default:
			c.skip()
		}
	}
	return id && known
}

// leastGame is the least bytes a game with its 14 members takes; it bounds what
// is allocated for a frame before its games are read.
const leastGame = 300

// maxPages bounds the pages of one update: more games than any feed offers.
const maxPages = 1000

// games reads a game update's data. False: a member is missing.
func (o *Opener) games(c *cursor, m *Message) bool {
	obj := c.object()
	there := false
	m.Page, m.Pages = 1, 1
	for c.member(&obj) {
		switch string(obj.key) {
		case "games":
			there = true
			m.Games = make([]bet.Game, 0, min(len(c.b)/leastGame, o.Limits.Games))
			c.array()
			for n := 0; c.element(n); n++ {
				if n >= o.Limits.Games {
					c.fail(ErrLimit)
					break
				}
				m.Games = append(m.Games, bet.Game{})
				o.game(c, &m.Games[n])
			}
		case "page":
			m.Page = c.small()
		case "pages":
			m.Pages = c.small()
		default:
			c.skip()
		}
	}
	return there && m.Page >= 1 && m.Page <= m.Pages && m.Pages <= maxPages
}

// small reads a whole number of up to four digits, or 0 for anything else.
func (c *cursor) small() int {
	if ch := c.peek(); ch-'0' > 9 {
		c.skip()
		return 0
	}
	token, whole := c.number()
	if !whole || len(token) > 4 {
		return 0
	}
	v := 0
	for _, d := range token {
		v = v*10 + int(d-'0')
	}
	return v
}

// The members that every game must have.
const (
	hasActive = 1 << iota
	hasCanTie
	hasCreated
	hasStart
	hasID
	hasUpdated
	hasLeague
	hasOutcome
	hasSport
	hasTeamA
	hasOddsA
	hasTeamB
	hasOddsB
	hasOddsTie
	hasAll = 1<<iota - 1
)

func (o *Opener) game(c *cursor, g *bet.Game) {
	has := 0
	status := bet.Status(255)
	obj := c.object()
	for c.member(&obj) {
		switch string(obj.key) {
		case "active":
			g.Active = c.boolean()
			has |= hasActive
		case "can_tie":
			g.CanTie = c.boolean()
			has |= hasCanTie
		case "closing":
			if c.null() {
				break
			}
			c.array()
			n := 0
			for ; c.element(n); n++ {
				if v := c.price(); n < len(g.Closing) {
					g.Closing[n] = v
				}
			}
			if c.err == 0 && n != len(g.Closing) {
				c.fail(ErrShape)
			}
		case "create_date":
			g.Created = o.instant(c)
			has |= hasCreated
		case "event_start_date":
			g.Start = o.instant(c)
			has |= hasStart
		case "game_id":
			g.ID = bet.GameID(o.label(c))
			has |= hasID
		case "last_update_date":
			g.Updated = o.instant(c)
			has |= hasUpdated
		case "league":
			g.League = o.optional(c)
			has |= hasLeague
		case "odds_date":
			g.OddsAt = o.instant(c)
		case "outcome":
			g.Outcome = o.outcome(c)
			has |= hasOutcome
		case "result_date":
			g.ResultAt = o.instant(c)
		case "sport":
			g.Sport = o.optional(c)
			has |= hasSport
		case "status":
			switch string(c.textOnly(o.Limits.Name)) {
			case "scheduled":
				status = bet.Scheduled
			case "postponed":
				status = bet.Postponed
			case "void":
				status = bet.Void
			case "finished":
				status = bet.Finished
			}
		case "team_a":
			g.TeamA = o.names.name(c.textOnly(o.Limits.Name))
			has |= hasTeamA
		case "team_a_odds":
			g.Odds[bet.Home] = c.price()
			has |= hasOddsA
		case "team_b":
			g.TeamB = o.names.name(c.textOnly(o.Limits.Name))
			has |= hasTeamB
		case "team_b_odds":
			g.Odds[bet.Away] = c.price()
			has |= hasOddsB
		case "tie_odds":
			g.Odds[bet.Tie] = c.price()
			has |= hasOddsTie
		default:
			c.skip()
		}
	}
	if g.Status = status; status > bet.Finished {
		g.Status = impliedStatus(g.Outcome)
	}
	if c.err == 0 && (has != hasAll || g.ID == "") {
		c.fail(ErrShape)
	}
}

// boolean reads a truth value; Python's validators may send 0 and 1.
func (c *cursor) boolean() bool {
	switch c.peek() {
	case 't':
		if c.word("true") {
			return true
		}
	case 'f':
		if c.word("false") {
			return false
		}
	case '0', '1':
		token, _ := c.number()
		if len(token) == 1 {
			return token[0] == '1'
		}
	}
	if c.skip(); c.err == 0 {
		c.fail(ErrShape)
	}
	return false
}

// price reads a number; null is no price.
func (c *cursor) price() float64 {
	switch ch := c.peek(); {
	case ch == '-' || ch-'0' <= 9:
		return c.float()
	case c.null():
		return 0
	}
	if c.skip(); c.err == 0 {
		c.fail(ErrShape)
	}
	return 0
}

// outcome reads "0" to "3", as text or as a number.
func (o *Opener) outcome(c *cursor) bet.Outcome {
	var token []byte
	if c.peek() == '"' {
		token = c.text(o.Limits.Name)
	} else if ch := c.peek(); ch-'0' <= 9 {
		token, _ = c.number()
	} else {
		c.skip()
	}
	if len(token) == 1 && token[0] >= '0' && token[0] <= '3' {
		return bet.Outcome(token[0] - '0')
	}
	if c.err == 0 {
		c.fail(ErrShape)
	}
	return bet.Unfinished
}

// instant reads a game's time; null is unknown.
func (o *Opener) instant(c *cursor) (t time.Time) {
	if c.null() {
		return t
	}
	b := c.textOnly(o.Limits.Name)
	var ok bool
	if t, ok = parseTime(b, true); !ok && c.err == 0 {
		c.fail(ErrShape)
	}
	return t
}

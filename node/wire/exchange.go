package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/wire/synapse"
)

// Exchange is what an HTTP request or reply says beside games. In a request
// Message.Sender is the asker, whose signature is good; in a reply it is who was
// asked where the reply is bound, and empty where anybody may have written it.
type Exchange struct {
	Asked chain.Hotkey // Poll, Receipts, Ping: who was asked; Answer: who answers, by its own word
	UUID  string       // of the asker
	Nonce uint64       // of the request, in ns
	Bound bool         // Sender has signed the body

	Status      int              // Answer: of HTTP; 200 where there is one
	Submissions []bet.Submission // Answer
	Words       []Confirmation   // Receipts
	Skipped     int              // games or predictions that were none
	NotFinite   int              // predictions with a NaN or an infinity, which bet.Admit refuses
}

// verify checks a signature as wallets do: over the text, or over the text in
// the brackets that browser wallets put around it.
func (o *Opener) verify(h chain.Hotkey, text []byte, sig *[SignatureSize]byte) bool {
	if o.Verifier == nil {
		return false
	}
	if o.Verifier.Verify(h, text, sig[:]) {
		return true
	}
	wrapped := append(append([]byte("<Bytes>"), text...), "</Bytes>"...)
	return o.Verifier.Verify(h, wrapped, sig[:])
}

// VerifyRequest checks what the headers of a request alone can prove: that the
// asker signed them, and that an asker which must bind its body says it does. A
// server asks before it reads the body.
func (o *Opener) VerifyRequest(r *synapse.Request) bool {
	if r.BodyHash != synapse.EmptyBodyHash || synapse.Binds(r.UUID) && r.Binding == nil {
		return false
	}
	return o.verify(r.Asker, r.AppendText(nil), &r.Signature)
}

// request makes a message of a packed request.
func (o *Opener) request(frame []byte, m *Message) Error {
	r, err := synapse.UnpackRequest(frame)
	switch {
	case err != nil:
		return ErrShape
	case len(r.Body) > synapse.MaxRequest:
		return ErrTooLarge
	case r.Binding != nil && !r.Binding.Of(r.Body):
		return ErrSignature
	case !o.VerifyRequest(&r):
		return ErrSignature
	case r.Binding != nil && !o.verify(r.Asker, r.AppendBound(nil), &r.Binding.Signature):
		return ErrSignature
	}
	m.Sender, m.Timestamp = r.Asker, time.Unix(0, int64(r.Nonce)).UTC()
	m.Exchange = &Exchange{Asked: r.Asked, UUID: r.UUID, Nonce: r.Nonce, Bound: r.Binding != nil}
	if r.Name == synapse.Ping {
		m.Kind = Ping
		return 0
	}
	if r.Name != synapse.GameData {
		m.Text = r.Name
		return ErrUnknownType
	}
	kind, e := o.body(r.Body, m)
	switch {
	case e != 0:
		return e
	case kind == "game_data":
		m.Kind = Poll
	case kind == "confirmation":
		m.Kind = Receipts
	default:
		return ErrShape
	}
	return 0
}

// reply makes a message of a packed reply.
func (o *Opener) reply(frame []byte, m *Message) Error {
	r, err := synapse.UnpackReply(frame)
	if err != nil {
		return ErrShape
	}
	x := &Exchange{Asked: r.Asked, UUID: r.UUID, Nonce: r.Nonce, Status: r.Status}
	if r.Binding != nil {
		if !r.Binding.Of(r.Body) || !o.verify(r.Asked, r.AppendBound(nil), &r.Binding.Signature) {
			return ErrSignature
		}
		m.Sender, x.Bound = r.Asked, true
	}
	m.Kind, m.Exchange, m.Text = Answer, x, r.Message
	if r.Status != 200 {
		return 0
	}
	m.Text = ""
	kind, e := o.body(r.Body, m)
	if e != 0 {
		return e
	}
	if kind != "prediction" {
		x.Submissions, x.NotFinite = nil, 0 // an echo, or an error: it carries none
	}
	return 0
}

// body reads the JSON of a request or a reply into m and returns what kind it
// says it is. Who it says has sent it, or is meant, is taken nowhere: only an
// axon that differs from the header's makes the whole no message.
func (o *Opener) body(b []byte, m *Message) (kind string, e Error) {
	c, x := &o.scan, m.Exchange
	c.reset(b, &o.Limits)
	if c.peek() != '{' {
		return "", ErrShape
	}
	obj := c.object()
	for c.member(&obj) {
		switch string(obj.key) {
		case "metadata":
			if c.null() {
				break
			}
			meta := c.object()
			for c.member(&meta) {
				if string(meta.key) == "synapse_type" && c.peek() == '"' {
					kind = string(c.text(o.Limits.Name))
				} else {
					c.skip()
				}
			}
		case "axon":
			if c.null() {
				break
			}
			axon := c.object()
			for c.member(&axon) {
				if string(axon.key) == "hotkey" && c.peek() == '"' {
					if said := c.text(o.Limits.Name); c.err == 0 && x.Asked != "" && string(said) != string(x.Asked) {
						c.fail(ErrShape)
					} else if x.Asked == "" {
						x.Asked = chain.Hotkey(said)
					}
				} else {
					c.skip()
				}
			}
		case "gamedata_dict":
			o.dict(c, MaxPolled, func(_ []byte, in *cursor) {
				var g bet.Game
				if o.game(in, &g); in.err == 0 {
					m.Games = append(m.Games, g)
				} else {
					x.Skipped++
				}
			})
		case "prediction_dict":
			o.dict(c, MaxAnswered, func(key []byte, in *cursor) {
				var s bet.Submission
				o.submission(in, &s)
				if s.ID == "" {
					s.ID = bet.PredictionID(key)
				}
				if in.err == 0 && string(s.ID) == string(key) {
					x.Submissions = append(x.Submissions, s)
					if in.strange > 0 {
						x.NotFinite++
					}
				} else {
					x.Skipped++
				}
			})
		case "confirmation_dict":
			o.dict(c, MaxAnswered+1, func(key []byte, in *cursor) {
				if string(key) == statsKey {
					return
				}
				w := Confirmation{ID: bet.PredictionID(key)}
				if o.word(in, &w); in.err == 0 {
					x.Words = append(x.Words, w)
				} else {
					x.Skipped++
				}
			})
		case "error":
			if c.peek() == '"' {
				m.Text = string(c.text(c.maxText))
			} else {
				c.skip()
			}
		default:
			c.skip()
		}
	}
	c.end()
	return kind, c.err
}

// dict reads an object whose members are entries and not fields: there may be
// many, and one that is malformed spoils no other; nor does one with a NaN or an
// infinity, which no JSON has and Python writes. Null is an empty one.
func (o *Opener) dict(c *cursor, limit int, each func(key []byte, in *cursor)) {
	if c.null() {
		return
	}
	c.loose = true
	defer func() { c.loose = false }()
	obj := c.object()
	obj.sorter = true // of many keys: doubles are found below
	var keys []string
	for c.member(&obj) {
		if obj.n > limit {
			c.fail(ErrLimit)
			return
		}
		if len(obj.key) > o.Limits.Name {
			c.fail(ErrLimit)
			return
		}
		keys = append(keys, string(obj.key))
		c.peek()
		lo := c.i
		if c.skip(); c.err != 0 {
			return
		}
		o.entry.reset(c.b[lo:c.i], &o.Limits)
		o.entry.loose = true
		each(obj.key, &o.entry)
	}
	slices.Sort(keys)
	if len(slices.Compact(keys)) != obj.n {
		c.fail(ErrJSON)
	}
}

// word reads one prediction's entry of a confirmation.
func (o *Opener) word(c *cursor, w *Confirmation) {
	obj := c.object()
	known := false
	for c.member(&obj) {
		switch string(obj.key) {
		case "success":
			if known = true; c.peek() == '"' {
				switch string(c.text(o.Limits.Name)) {
				case "True", "true":
					w.OK = true
				case "False", "false":
				default:
					known = false
				}
			} else {
				w.OK = c.boolean()
			}
		case "message":
			if !c.null() {
				w.Message = string(c.textOnly(c.maxText))
			}
		case "code":
			w.Code = bet.Code(o.optional(c))
		default:
			c.skip()
		}
	}
	if c.err == 0 && !known {
		c.fail(ErrShape)
	}
}

// Asking is a request to be made. Each has a nonce of its own.
type Asking struct {
	Axon  chain.Axon
	Asked chain.Hotkey
	UID   chain.UID // Poll: the asker's; Receipts: of who is asked
	Nonce uint64
	At    time.Time
}

// Stat is a line of the figures that a validator tells a miner about itself.
type Stat struct{ Name, Value string }

// statsKey is the one key of a confirmation that names no prediction.
const statsKey = "miner_stats"

// subnetVersion is the release of the original whose messages these are, 2.4.1,
// as it writes it: 1000, 10 and 1 times its three numbers.
const subnetVersion = "2041"

// AppendGames appends games as a poll carries them: a JSON object by id. As much
// as fits into a request goes in, from the front; n says how many that are.
func AppendGames(dst []byte, games []*bet.Game) (out []byte, n int) {
	const room = 64 << 10 // for the rest of the body
	start := len(dst)
	dst = append(dst, '{')
	for i, g := range games {
		before := len(dst)
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(appendText(dst, g.ID), ": "...)
		if dst = appendGame(dst, g); len(dst)-start > synapse.MaxRequest-room || i >= MaxPolled {
			return append(dst[:before], '}'), i
		}
	}
	return append(dst, '}'), len(games)
}

// AppendPoll appends a packed request that tells of games, as AppendGames wrote
// them, and asks for predictions.
func AppendPoll(dst []byte, s Signer, a *Asking, games []byte) []byte {
	return appendRequest(dst, s, a, "game_data", games, nil)
}

// AppendReceipts appends a packed request with the final words on predictions,
// at most MaxAnswered of them, and the miner's figures.
func AppendReceipts(dst []byte, s Signer, a *Asking, words []Confirmation, stats []Stat) []byte {
	text := []byte{'{'}
	for i := range words {
		w := &words[i]
		text = append(appendText(text, w.ID), `: {"success": "`...)
		if w.OK {
			text = append(text, `True", "message": `...)
		} else {
			text = append(text, `False", "message": `...)
		}
		text = appendText(text, w.Message)
		if w.Code != "" {
			text = appendText(append(text, `, "code": `...), w.Code)
		}
		text = append(text, "}, "...)
	}
	text = append(text, `"`+statsKey+`": {`...)
	for i, f := range stats {
		if i > 0 {
			text = append(text, ", "...)
		}
		text = appendText(append(appendText(text, f.Name), ": "...), f.Value)
	}
	text = append(text, "}}"...)
	return appendRequest(dst, s, a, "confirmation", nil, text)
}

func appendRequest(dst []byte, s Signer, a *Asking, kind string, games, words []byte) []byte {
	r := synapse.Request{Name: synapse.GameData, Axon: a.Axon, Asked: a.Asked, Asker: s.Hotkey(), Version: synapse.Version,
		Nonce: a.Nonce, UUID: synapse.NodeUUID(s.Hotkey()), BodyHash: synapse.EmptyBodyHash}
	r.Signature = s.Sign(r.AppendText(nil))
	b := body{asker: r.Asker, asked: r.Asked, uuid: r.UUID, nonce: r.Nonce, kind: kind, uid: a.UID, at: a.At, games: games, words: words}
	r.Body = b.append(make([]byte, 0, 2048+len(games)+len(words)))
	r.Bind(s.Sign)
	return r.Append(dst)
}

// body is the JSON of a request or a reply with the fields that say something;
// the SDK takes what is missing as null.
type body struct {
	asker, asked        chain.Hotkey
	uuid                string
	nonce               uint64
	status              int // of a reply, 0 in a request
	kind                string
	uid                 chain.UID
	at                  time.Time
	games, picks, words []byte // JSON objects, nil for null
	err                 string
}

func (b *body) append(dst []byte) []byte {
	dst = append(dst, `{"name": "GameData", "timeout": 20.0, "total_size": 0, "header_size": 0, "dendrite": {"version": `...)
	dst = strconv.AppendUint(dst, synapse.Version, 10)
	dst = strconv.AppendUint(append(dst, `, "nonce": `...), b.nonce, 10)
	dst = appendText(append(dst, `, "uuid": `...), b.uuid)
	dst = appendText(append(dst, `, "hotkey": `...), b.asker)
	dst = append(dst, `}, "axon": {`...)
	if b.status != 0 {
		dst = strconv.AppendInt(append(dst, `"status_code": `...), int64(b.status), 10)
		dst = append(dst, `, "status_message": "Success", `...)
	}
	dst = appendText(append(dst, `"hotkey": `...), b.asked)
	dst = append(dst, `}, "computed_body_hash": "", "metadata": {"synapse_id": "`...)
	dst = appendID(dst, b)
	dst = strconv.AppendUint(append(dst, `", "neuron_uid": "`...), uint64(b.uid), 10)
	dst = appendTime(append(dst, `", "timestamp": "`...), b.at)
	dst = append(dst, `", "subnet_version": "`+subnetVersion+`", "synapse_type": `...)
	dst = append(appendText(dst, b.kind), '}')
	for _, f := range [...]struct {
		name string
		text []byte
	}{{"gamedata_dict", b.games}, {"prediction_dict", b.picks}, {"confirmation_dict", b.words}} {
		dst = append(append(append(dst, `, "`...), f.name...), `": `...)
		if f.text == nil {
			dst = append(dst, "null"...)
		} else {
			dst = append(dst, f.text...)
		}
	}
	dst = appendOptional(append(dst, `, "error": `...), b.err)
	dst = appendText(append(dst, `, "synapse_type": `...), b.kind)
	return append(dst, '}')
}

// appendID appends a UUID that names this message: who said it, and to which
// nonce. It is drawn from nothing, so that a simulation repeats.
func appendID(dst []byte, b *body) []byte {
	sum := sha256.Sum256(strconv.AppendUint([]byte(string(b.asker)+"|"+string(b.asked)+"|"+b.kind+"|"), b.nonce, 10))
	sum[6], sum[8] = sum[6]&0x0f|0x40, sum[8]&0x3f|0x80
	for i, n := range [...]int{4, 6, 8, 10, 16} {
		from := [...]int{0, 4, 6, 8, 10}[i]
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, sum[from:n])
	}
	return dst
}

// Package wire is what miners and validators say to each other as bytes and as
// values: the signed WebSocket messages of the protocol's dialect S, and its HTTP
// exchanges, whose envelope is node/wire/synapse. It is pure: no clock, no
// goroutine, no socket. A WebSocket message is signed over its canonical JSON text
// without the signature member, which is what Python's
// json.dumps(obj, sort_keys=True) prints.
//
// Read message.go for the nouns and refusals, encode.go for what we send,
// open.go for what we make of a frame, exchange.go and answer.go for the same of
// HTTP requests and replies, sign.go for who may have sent it,
// nonce.go for what a receiver must remember, json.go and canonical.go for the
// strict reader and the signed text, transport.go and event.go for connections
// as a node's loop sees them. Any package may call it; node/wire/sock is the
// live transport.
//
// A frame that we send is itself canonical, with the signature in its sorted
// place: a receiver cuts the signature member out and has the signed text. A
// peer that sends its members in another order costs one canonicalisation.
package wire

import (
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
)

// Kind says what a message is.
type Kind uint8

const (
	// Auth opens a session: the miner names itself and the validator it dialled.
	Auth Kind = iota + 1
	// Welcome is the validator's answer to a good Auth.
	Welcome
	// Heartbeat may come from either side.
	Heartbeat
	// HeartbeatResponse is a miner's answer to a validator's Heartbeat.
	HeartbeatResponse
	// HeartbeatAck is a validator's answer to a miner's Heartbeat.
	HeartbeatAck
	// Prediction carries one Submission, miner to validator.
	Prediction
	// ConfirmationMessage carries one Confirmation, validator to miner.
	ConfirmationMessage
	// GameUpdate carries a page of games, validator to miner.
	GameUpdate
	// ErrorMessage carries Text. It may be unsigned; then Sender is empty.
	ErrorMessage
	// Status is the unsigned refusal of an Auth. It proves nothing: Sender is empty.
	Status

	// Poll is a validator's HTTP request that tells of Games and asks for predictions.
	Poll
	// Receipts is its second request: what became of the predictions of a poll.
	Receipts
	// Ping is the SDK's echo request.
	Ping
	// Answer is a miner's reply to any of them.
	Answer
)

// kindNames are the words of the wire's "type" member, by Kind; Auth and
// Status have none there.
var kindNames = [...]string{
	Auth: "auth", Welcome: "welcome", Heartbeat: "heartbeat", HeartbeatResponse: "heartbeat_response",
	HeartbeatAck: "heartbeat_ack", Prediction: "prediction", ConfirmationMessage: "confirmation",
	GameUpdate: "game_update", ErrorMessage: "error", Status: "status",
	Poll: "poll", Receipts: "receipts", Ping: "ping", Answer: "answer",
}

// String is the word used in traces and counters.
func (k Kind) String() string {
	if int(k) >= len(kindNames) || k == 0 {
		return "unknown"
	}
	return kindNames[k]
}

// Message is what Open makes of a frame. Which fields hold depends on Kind.
// Where Sender is not empty, everything in the message was signed by Sender.
type Message struct {
	Kind         Kind
	Sender       chain.Hotkey    // who signed; empty for an unsigned refusal
	Timestamp    time.Time       // the sender's clock, to the microsecond
	Nonce        string          // milliseconds since 1970 as decimal text
	Validator    chain.Hotkey    // Auth: the validator that was dialled; empty where the peer does not say
	Submission   *bet.Submission // Prediction
	Confirmation Confirmation    // ConfirmationMessage
	Games        []bet.Game      // GameUpdate, Poll
	Page, Pages  int             // GameUpdate: this page of how many, from 1; 1 of 1 where the peer does not say
	Text         string          // ErrorMessage, Status, Welcome, Answer: for people; ErrUnknownType: the type
	Exchange     *Exchange       // Poll, Receipts, Ping, Answer; nil otherwise
}

// Confirmation is a validator's final word on one prediction.
type Confirmation struct {
	ID      bet.PredictionID
	OK      bool
	Code    bet.Code  // why; travels in an extra member that other implementations ignore
	Message string    // for people
	At      time.Time // when the validator decided
}

// Error is why a frame is not a message, or a message is not taken. It is a
// small value, so that refusing costs nothing and counters can be indexed by it.
type Error uint8

const (
	// ErrTooLarge: the frame is longer than Limits.Frame.
	ErrTooLarge Error = iota + 1
	// ErrJSON: not strict JSON: syntax, a duplicate key, bad UTF-8, NaN.
	ErrJSON
	// ErrLimit: too deep, a text or number too long, too many members or games.
	ErrLimit
	// ErrShape: JSON, but not a message: a member is missing or of the wrong kind.
	ErrShape
	// ErrSignature: the signature is not the sender's over this content.
	ErrSignature
	// ErrUnknownType: authentic, of a type we do not know.
	ErrUnknownType
	// ErrStale: the timestamp is too old, or the nonce lies before all remembered ones.
	ErrStale
	// ErrFuture: the timestamp lies too far ahead of our clock.
	ErrFuture
	// ErrReplay: the nonce was seen before.
	ErrReplay
	// ErrFull: too many senders are remembered to take another one safely.
	ErrFull

	// Errors is one more than the largest Error: the size of an array of counters.
	Errors = iota + 1
)

var errorCodes = [Errors]string{
	"", "too_large", "bad_json", "over_limit", "bad_shape", "bad_signature",
	"unknown_type", "stale", "future", "replay", "nonces_full",
}

var errorTexts = [Errors]string{
	"", "wire: frame too large", "wire: not strict JSON", "wire: over a limit", "wire: not a message",
	"wire: bad signature", "wire: unknown type", "wire: stale", "wire: timestamp in the future",
	"wire: nonce seen before", "wire: too many senders",
}

// Error implements error.
func (e Error) Error() string { return errorTexts[e%Errors] }

// Code is the stable word for counters and logs.
func (e Error) Code() string { return errorCodes[e%Errors] }

// Limits bound what a frame may hold. A zero field takes the default.
type Limits struct {
	Frame   int // bytes of a frame
	Depth   int // nesting of JSON values
	Text    int // bytes of any string
	Name    int // bytes of a string that is kept: an id, a team, a league
	Number  int // bytes of a number
	Members int // members of one object
	Games   int // games of one frame
}

// Limits of an HTTP body beside those above.
const (
	// MaxPolled bounds the games of one poll: more than any feed offers in twelve days.
	MaxPolled = 8192
	// MaxAnswered bounds the predictions of one answer, and the words of one Receipts.
	MaxAnswered = 500
)

// The defaults of Limits.
const (
	MaxFrame   = 256 << 10 // the protocol's frame limit; larger updates go in pages
	MaxDepth   = 16        // our messages need 4; Python's miner statistics 5
	MaxText    = 2048      // an error message with a short trace
	MaxName    = 256       // the longest team name known has 60 bytes
	MaxNumber  = 64        // a float has at most 24; Python integers can be longer
	MaxMembers = 64        // a game has 18; keeps the duplicate check cheap
	MaxGames   = 512       // what fits into MaxFrame at the usual size of a game
)

func (l *Limits) fill() {
	for _, f := range [...]struct {
		v   *int
		def int
	}{
		{&l.Frame, MaxFrame}, {&l.Depth, MaxDepth}, {&l.Text, MaxText}, {&l.Name, MaxName},
		{&l.Number, MaxNumber}, {&l.Members, MaxMembers}, {&l.Games, MaxGames},
	} {
		if *f.v <= 0 {
			*f.v = f.def
		}
	}
}

// Refusals and close reasons in the protocol's own words.
const (
	TextInvalidAuth      = "Invalid authentication"
	TextUnregistered     = "Hotkey not registered in metagraph"
	TextWelcome          = "Connection established"
	TextInvalidMessage   = "Invalid message signature or structure"
	TextInvalidJSON      = "Invalid JSON"
	TextAccepted         = "Prediction validated successfully"
	TextUnknownType      = "Unknown message type: " // followed by the type
	ReasonUnregistered   = "Unregistered hotkey"
	ReasonReplaced       = "New connection established"
	ReasonTimeout        = "Connection timeout"
	ReasonServerShutdown = "Server shutting down"
)

// Close codes. Other implementations treat all of them alike.
const (
	CloseNormal       = 1000 // replaced, timed out, going away
	ClosePolicy       = 1008 // the protocol's refusal of an authentication
	CloseRestart      = 1012 // the server restarts: come back
	CloseAuth         = 4001 // no authentication in time
	CloseUnregistered = 4003 // the hotkey is not in the metagraph
	CloseRate         = 4008 // too many messages, or a reader too slow for its queue
	CloseTooBig       = 4009 // a frame above the limit
)

package wire

import "bettensor/node/chain"

// Conn numbers a connection, never reused within one run of the program. Those
// with the Dialled bit are numbered by the node that dials, the others by the
// transport: so that a replay, which has no transport, gives the same numbers.
type Conn uint64

// Dialled is set in the number of a connection that the node dialled itself.
const Dialled Conn = 1 << 63

// EventKind says what happened to a connection.
type EventKind uint8

const (
	// Opened: a dialled connection stands, or a peer has connected to us.
	Opened EventKind = iota + 1
	// Received: a frame arrived. Message and Err hold what Open made of Raw.
	Received
	// Closed: the connection is gone, or could not be made; nothing more comes from it.
	Closed
)

// Event is what a transport tells a node, in order per connection. It enters
// the loop through an inbox; its recorded form is Conn, Kind, Remote and Raw.
type Event struct {
	Conn    Conn
	Kind    EventKind
	Inbound bool   // Opened: the peer connected to us
	Remote  string // Opened: the peer's address
	Raw     []byte // Received: the frame as it came; Closed: the reason
	Message Message
	Err     error // Received: why Raw is not a message (limits, shape, signature)
}

// Transport is what a node can do to its connections. Every call returns at
// once; what comes of it arrives as Events. The live one is node/wire/sock, the
// simulated one lives in sim.
type Transport interface {
	// Dial begins to connect under a number that the caller has chosen, Dialled
	// bit included, and not used before; Opened or Closed follows.
	Dial(c Conn, address string)
	// Send queues a frame, which must not be changed afterwards. A peer too slow
	// for its bounded queue is cut off, and counted: Closed follows. Frames for a
	// connection that is gone are dropped.
	Send(c Conn, frame []byte)
	// Close ends a connection with a WebSocket close code. Closed follows.
	Close(c Conn, code int, reason string)
}

// Gate is what a transport of real sockets beside that can be told, so that
// strangers cost little: who is one, the node knows. A transport that has no
// strangers, as the simulated one, need not be a Gate, and nothing that enters a
// loop may depend on it.
type Gate interface {
	// Prove says that the peer of an inbound connection has authenticated as a
	// hotkey. Until then, or until it is closed, no more of it is read than its
	// first frame.
	Prove(c Conn, h chain.Hotkey)
	// Admit replaces the hotkeys whose HTTP requests are taken. Nobody's are
	// before the first call.
	Admit(hotkeys []chain.Hotkey)
}

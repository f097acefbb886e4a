// Package synapse is the envelope of the protocol's HTTP exchanges: what the
// Python SDK (9 and 10) puts into headers beside a JSON body, which of it is
// signed, and one packed form of it, in which an exchange passes through a node
// like any other frame. It is pure and knows no JSON; node/wire reads bodies,
// node/wire/sock speaks HTTP.
//
// Read synapse.go for names, limits and hashes, request.go and reply.go for the
// two halves of an exchange, nonce.go for how fresh a request must be.
//
// The SDK signs five words joined by dots: the nonce, who asks, who is asked, an
// id of the asker and the body hash, which for this protocol is always that of
// nothing. So a body is not covered. Between nodes of this program it is: an
// asker whose id is one of ours (NodeUUID), which is signed, must bind its body
// by two more headers, and is answered by a reply that is bound in the same way.
package synapse

import (
	"crypto/sha256"
	"crypto/sha3"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"bettensor/node/chain"
)

// Routes of an axon. Every request of the protocol goes to GameData; its body
// says whether it tells of games or confirms. Synapse is the SDK's echo.
const (
	GameData = "GameData"
	Ping     = "Synapse"
)

// Limits of one exchange.
const (
	// MaxHeader bounds the headers of a request or a reply in bytes. The SDK's
	// have about 1 KiB.
	MaxHeader = 32 << 10
	// MaxRequest bounds a request's body: some eight thousand games.
	MaxRequest = 4 << 20
	// MaxReply bounds a reply's body: 500 predictions of 2 KiB.
	MaxReply = 1 << 20
	// MaxPacked bounds the packed form of either.
	MaxPacked = MaxRequest + MaxHeader
	// maxField bounds one header's value: a signature has 130 bytes.
	maxField = 256
)

// Timeout is how long an asker waits for its answer, as the original does. It is
// what we write; what a peer writes is not looked at.
const Timeout = 20 * time.Second

// Version is the SDK's version that we write: 10.2.0. Nobody checks it.
const Version = 10_002_000

// EmptyBodyHash is the body hash of a class without hashed fields, such as
// GameData: SHA3-256 of nothing.
const EmptyBodyHash = "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a"

// BodyHash is the SDK's body hash: SHA3-256, in hex, of the joined hashes of the
// hashed fields' values as Python prints them.
func BodyHash(values ...string) string {
	h := sha3.New256()
	for _, v := range values {
		one := sha3.Sum256([]byte(v))
		fmt.Fprintf(h, "%x", one)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Why an exchange is not taken.
var (
	// ErrHeader: a header is missing, malformed or too long.
	ErrHeader = errors.New("synapse: headers cannot be parsed")
	// ErrUnsigned: no signature. SDKs up to 10.4.1 take such a request.
	ErrUnsigned = errors.New("synapse: not signed")
	// ErrPacked: not the packed form of an exchange.
	ErrPacked = errors.New("synapse: not a packed exchange")
	// ErrStale and ErrFuture: the nonce, read as a time, lies outside the window.
	ErrStale  = errors.New("synapse: nonce too old")
	ErrFuture = errors.New("synapse: nonce in the future")
)

// The texts of refusals, as the SDK words them. Ours say no more than that: a
// stranger must not learn who is let in.
const (
	TextNotVerified = "Not Verified with error: request refused"
	TextBadHeaders  = "Improperly formatted request. Could not parse headers"
	TextTimeout     = "Response timeout after: %gs" // seconds
	TextOverloaded  = "Too many requests at once"
	TextTooLarge    = "Request too large"
)

// NotFound is the text of the refusal of an unknown route.
func NotFound(name string) string {
	if len(name) > 64 {
		name = name[:64]
	}
	return fmt.Sprintf("Synapse name '%s' not found. Available synapses ['%s', '%s']", strings.ToValidUTF8(name, "?"), Ping, GameData)
}

// Binding is what covers a body beyond the SDK's signature: its SHA-256 and the
// sender's signature over that. The zero value covers nothing.
type Binding struct {
	Sum       [sha256.Size]byte
	Signature [SignatureSize]byte
}

// SignatureSize is the length of an sr25519 signature in bytes.
const SignatureSize = 64

// Of says whether the binding's hash is that of a body. Who signed it is for
// the caller to check.
func (b *Binding) Of(body []byte) bool { return b.Sum == sha256.Sum256(body) }

// Names of the headers that the SDK does not know and ignores.
const (
	headerSum          = "bt_ext_body_sha256"
	headerSumSignature = "bt_ext_signature"
)

// Header reads headers by name; http.Header is one.
type Header interface{ Get(name string) string }

// nodePrefix begins the id of every asker that is this program: eight bytes of
// a version 8 UUID, the protocol's first form of the binding included.
const nodePrefix = "6265742d-0001-8"

// NodeUUID is the asker's id that a node signs with. It follows from the hotkey
// alone: the SDK keeps a nonce for each id and forgets none, so that a new id at
// each start would fill a peer's memory.
func NodeUUID(h chain.Hotkey) string {
	sum := sha256.Sum256([]byte(h))
	x := hex.EncodeToString(sum[:8])
	return nodePrefix + x[:3] + "-8" + x[3:6] + "-" + x[6:16] + "00"
}

// Binds says whether an asker of that id must bind its bodies: the id is signed,
// so nobody on the way can make a node look like an SDK.
func Binds(uuid string) bool { return strings.HasPrefix(uuid, nodePrefix) }

// field returns a header's value where it is one line of printable ASCII of
// bounded length.
func field(h Header, name string) (string, error) {
	v := h.Get(name)
	if len(v) > maxField {
		return "", fmt.Errorf("header %s of %d bytes, at most %d: %w", name, len(v), maxField, ErrHeader)
	}
	for i := range len(v) {
		if v[i] < 0x20 || v[i] > 0x7e {
			return "", fmt.Errorf("header %s: not printable: %w", name, ErrHeader)
		}
	}
	return v, nil
}

// parseSignature reads 0x and 128 hex digits.
func parseSignature(text string) (sig [SignatureSize]byte, ok bool) {
	digits, ok := strings.CutPrefix(text, "0x")
	if !ok || len(digits) != 2*SignatureSize {
		return sig, false
	}
	_, err := hex.Decode(sig[:], []byte(digits))
	return sig, err == nil
}

func signatureText(sig *[SignatureSize]byte) string { return "0x" + hex.EncodeToString(sig[:]) }

// readBinding reads the binding's two headers; nil where there is none.
func readBinding(h Header) (*Binding, error) {
	sum, err := field(h, headerSum)
	if err != nil {
		return nil, err
	}
	sig, err := field(h, headerSumSignature)
	if err != nil || sum == "" && sig == "" {
		return nil, err
	}
	b := &Binding{}
	var ok bool
	if n, err := hex.Decode(b.Sum[:], []byte(sum[:min(len(sum), 2*sha256.Size)])); err != nil || n != sha256.Size || len(sum) != 2*n {
		return nil, fmt.Errorf("header %s: not a SHA-256: %w", headerSum, ErrHeader)
	}
	if b.Signature, ok = parseSignature(sig); !ok {
		return nil, fmt.Errorf("header %s: not a signature: %w", headerSumSignature, ErrHeader)
	}
	return b, nil
}

func (b *Binding) headers(set func(name, value string)) {
	if b != nil {
		set(headerSum, hex.EncodeToString(b.Sum[:]))
		set(headerSumSignature, signatureText(&b.Signature))
	}
}

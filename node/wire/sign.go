package wire

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"

	"bettensor/node/chain"

	"github.com/cespare/xxhash/v2"
	"github.com/oasisprotocol/curve25519-voi/primitives/sr25519"
)

// SignatureSize is the length of a signature in bytes; on the wire it is twice
// as many lower-case hex digits, without 0x.
const SignatureSize = 64

// Signer signs as one hotkey. A Signer belongs to one loop.
type Signer interface {
	Hotkey() chain.Hotkey
	Sign(text []byte) [SignatureSize]byte
}

// Verifier tells whether a signature is a hotkey's over a text. It must return
// false for anything malformed. A Verifier may keep scratch: one per Opener.
type Verifier interface {
	Verify(h chain.Hotkey, text, sig []byte) bool
}

// signingContext is the domain that Substrate's wallets sign in. The text is
// signed as it is, without <Bytes> around it.
var signingContext = sr25519.NewSigningContext([]byte("substrate"))

// Sr25519 signs with a real key.
type Sr25519 struct {
	hotkey chain.Hotkey
	pair   *sr25519.KeyPair
	random io.Reader
}

// NewSr25519 signs with the key that Substrate derives from a 32-byte mini
// secret (Ed25519 expansion). random feeds the signature's nonce: crypto/rand
// for a node, Random over a named stream in a simulation.
func NewSr25519(seed [32]byte, random io.Reader) (*Sr25519, error) {
	mini, err := sr25519.NewMiniSecretKeyFromBytes(seed[:])
	if err != nil {
		return nil, fmt.Errorf("sr25519 mini secret: %w", err)
	}
	return NewSr25519FromPair(mini.ExpandEd25519().KeyPair(), random)
}

// NewSr25519FromPair signs with a key pair as a wallet holds it.
func NewSr25519FromPair(pair *sr25519.KeyPair, random io.Reader) (*Sr25519, error) {
	b, err := pair.PublicKey().MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("sr25519 public key: %w", err)
	}
	return &Sr25519{hotkey: chain.EncodeSS58([32]byte(b)), pair: pair, random: random}, nil
}

// Hotkey is the SS58 text of the public key.
func (s *Sr25519) Hotkey() chain.Hotkey { return s.hotkey }

// Sign signs text. Where random fails, the result is all zero, which no
// verifier takes.
func (s *Sr25519) Sign(text []byte) (out [SignatureSize]byte) {
	sig, err := s.pair.Sign(s.random, signingContext.NewTranscriptBytes(text))
	if err != nil {
		return out
	}
	if b, err := sig.MarshalBinary(); err == nil {
		copy(out[:], b)
	}
	return out
}

// Random reads bytes from a stream, for signatures that must be the same in
// every run of a seed.
type Random struct{ *rand.Rand }

// Read fills p.
func (r Random) Read(p []byte) (int, error) {
	n := len(p)
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, r.Uint64())
		p = p[8:]
	}
	for i := range p {
		p[i] = byte(r.Uint64())
	}
	return n, nil
}

// maxPublicKeys bounds the decoded keys an Sr25519Verifier keeps: a subnet has
// at most 256 neurons, a few more pass by as they are replaced.
const maxPublicKeys = 512

// Sr25519Verifier checks real signatures. It keeps the decoded keys of those
// whose signatures were good. The zero value is ready.
type Sr25519Verifier struct {
	keys  map[chain.Hotkey]*sr25519.PublicKey
	batch *sr25519.BatchVerifier // scratch
	in    []keyedClaim           // scratch
}

// Verify reports whether sig is h's over text. Only addresses of this network
// in their one canonical form are hotkeys.
func (v *Sr25519Verifier) Verify(h chain.Hotkey, text, sig []byte) bool {
	if len(sig) != SignatureSize {
		return false
	}
	key, known := v.key(h)
	if key == nil {
		return false
	}
	s, err := sr25519.NewSignatureFromBytes(sig)
	if err != nil || !key.Verify(signingContext.NewTranscriptBytes(text), s) {
		return false
	}
	if !known {
		v.keep(h, key)
	}
	return true
}

// key decodes a hotkey, unless it is known; nil where it is none.
func (v *Sr25519Verifier) key(h chain.Hotkey) (key *sr25519.PublicKey, known bool) {
	if key, known = v.keys[h]; known {
		return key, true
	}
	raw, err := h.PublicKey()
	if err != nil {
		return nil, false
	}
	if key, err = sr25519.NewPublicKeyFromBytes(raw[:]); err != nil {
		return nil, false
	}
	return key, false
}

func (v *Sr25519Verifier) keep(h chain.Hotkey, key *sr25519.PublicKey) {
	if v.keys == nil || len(v.keys) >= maxPublicKeys {
		v.keys = make(map[chain.Hotkey]*sr25519.PublicKey)
	}
	v.keys[h] = key
}

// Claim is a signature to be checked in a batch.
type Claim struct {
	Hotkey    chain.Hotkey
	Text      []byte
	Signature []byte
	Good      bool // the answer
}

// BatchVerifier is a Verifier that has a cheaper way for many signatures.
type BatchVerifier interface {
	Verifier
	// VerifyBatch answers every claim as Verify would.
	VerifyBatch([]*Claim)
}

// leastBatch is how many signatures are cheaper together than one by one.
const leastBatch = 4

// VerifyBatch checks many signatures with one multiplication. A bad one among
// them is found by checking each, which costs more than never to have tried: keep
// those out that are likely bad.
func (v *Sr25519Verifier) VerifyBatch(claims []*Claim) {
	if len(claims) < leastBatch {
		for _, c := range claims {
			c.Good = v.Verify(c.Hotkey, c.Text, c.Signature)
		}
		return
	}
	if v.batch == nil {
		v.batch = sr25519.NewBatchVerifierWithCapacity(len(claims))
	}
	v.batch.Reset()
	in := v.in[:0]
	for _, c := range claims {
		c.Good = false
		key, known := v.key(c.Hotkey)
		if key == nil || len(c.Signature) != SignatureSize {
			continue
		}
		s, err := sr25519.NewSignatureFromBytes(c.Signature)
		if err != nil {
			continue
		}
		v.batch.Add(key, signingContext.NewTranscriptBytes(c.Text), s)
		in = append(in, keyedClaim{c, key, known})
	}
	_, good := v.batch.Verify(nil)
	for i, k := range in {
		if k.Good = good[i]; k.Good && !k.known {
			v.keep(k.Hotkey, k.key)
		}
	}
	clear(in)
	v.in = in
}

type keyedClaim struct {
	*Claim
	key   *sr25519.PublicKey
	known bool
}

// Keyed signs and verifies with a keyed hash, for simulations that need no
// security: whoever has Key signs as anyone. Change one byte of the text, the
// hotkey or the signature, and it does not verify.
type Keyed struct {
	Key  uint64       // shared by all of one simulation
	Name chain.Hotkey // who signs; not used by Verify
}

// Hotkey is the name it signs as.
func (k Keyed) Hotkey() chain.Hotkey { return k.Name }

// Sign returns 64 bytes drawn from the hash of key, name and text.
func (k Keyed) Sign(text []byte) (out [SignatureSize]byte) {
	h := k.hash(k.Name, text)
	for i := 0; i < SignatureSize; i += 8 {
		h += golden
		binary.LittleEndian.PutUint64(out[i:], mix(h))
	}
	return out
}

// Verify reports whether sig is what h would have signed.
func (k Keyed) Verify(h chain.Hotkey, text, sig []byte) bool {
	if len(sig) != SignatureSize {
		return false
	}
	x, diff := k.hash(h, text), uint64(0)
	for i := 0; i < SignatureSize; i += 8 {
		x += golden
		diff |= mix(x) ^ binary.LittleEndian.Uint64(sig[i:])
	}
	return diff == 0
}

func (k Keyed) hash(h chain.Hotkey, text []byte) uint64 {
	return mix(mix(k.Key+golden)^xxhash.Sum64String(string(h))) ^ xxhash.Sum64(text)
}

// golden and mix are SplitMix64's step and finaliser.
const golden = 0x9e3779b97f4a7c15

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// hexPair is the two hex digits of a byte, the first in the low half.
var hexPair = func() (t [256]uint16) {
	for i := range t {
		t[i] = uint16(hexDigits[i>>4]) | uint16(hexDigits[i&15])<<8
	}
	return
}()

// putHex writes sig as hex over the first 128 bytes of dst.
func putHex(dst []byte, sig *[SignatureSize]byte) {
	_ = dst[2*SignatureSize-1]
	for i, b := range sig {
		binary.LittleEndian.PutUint16(dst[2*i:], hexPair[b])
	}
}

// parseHex reads exactly 128 lower-case hex digits, eight at a time: each
// digit's value is taken from its low bits, and stands if it prints as the
// digit it came from.
func parseHex(sig *[SignatureSize]byte, text []byte) bool {
	if len(text) != 2*SignatureSize {
		return false
	}
	const ones = 0x0101010101010101
	bad := uint64(0)
	for i := 0; i < SignatureSize; i += 4 {
		x := binary.LittleEndian.Uint64(text[2*i:])
		v := x&(0x0f*ones) + x>>6&ones*9                       // letters have bit 6
		digit := v + '0'*ones + (v+6*ones)>>4&ones*('a'-'9'-1) // from ten on, letters
		bad |= digit ^ x | v&(0xf0*ones)
		v = (v<<4 | v>>8) & 0x00ff00ff00ff00ff
		v = (v | v>>8) & 0x0000ffff0000ffff
		binary.LittleEndian.PutUint32(sig[i:], uint32(v|v>>16))
	}
	return bad == 0
}

// Package wallet reads and writes hotkeys as the Bittensor tools keep them: a
// directory a wallet, a JSON file a key, plain or encrypted with a password. It
// is an edge: it touches the file system, draws randomness and may ask a person
// for a password. Commands and whoever assembles a live node may call it.
//
// Read key.go for a key and what it can do, uri.go for the texts a key is made
// from (phrase, seed, derivation path), file.go for the bytes of a key file,
// directory.go for where files lie, who may read them and how they are written,
// password.go for where a password may come from.
//
// A coldkey holds funds and is not needed to serve or to set weights. This
// package never opens one; of a coldkey it knows coldkeypub.txt only.
package wallet

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"bettensor/node/chain"
	"bettensor/node/wire"

	"github.com/oasisprotocol/curve25519-voi/primitives/sr25519"
	"github.com/tyler-smith/go-bip39"
)

// ErrPublicOnly is what signing with a key without its secret gives.
var ErrPublicOnly = errors.New("only the public half of this key is here; it cannot sign")

// Key is an sr25519 key, with its secret or without. It prints as its address
// in every way there is to print it.
type Key struct {
	public [32]byte
	secret *secret // nil where it is not here
}

// secret is behind a pointer, because package fmt prints what pointers inside of
// other values point to as an address only, even where it may not ask String.
type secret struct {
	pair   *sr25519.KeyPair
	seed   []byte // the mini secret, nil where the key has none
	phrase []byte // the words that seed comes from alone, nil where there are none
}

// signingContext is the domain that Substrate signs in.
var signingContext = sr25519.NewSigningContext([]byte("substrate"))

// Generate makes a key from as many words drawn from random: 12, 15, 18, 21 or 24.
// nil is the system's randomness.
func Generate(words int, random io.Reader) (*Key, error) {
	if random == nil {
		random = rand.Reader
	}
	if words < 12 || words > 24 || words%3 != 0 {
		return nil, fmt.Errorf("%d words: a phrase has 12, 15, 18, 21 or 24", words)
	}
	entropy := make([]byte, words/3*4)
	defer clear(entropy)
	if _, err := io.ReadFull(random, entropy); err != nil {
		return nil, fmt.Errorf("randomness for a key: %w", err)
	}
	phrase, err := bip39.NewMnemonic(entropy)
	if err != nil {
		return nil, fmt.Errorf("words of a key: %w", err)
	}
	return fromPhrase(phrase, "")
}

// fromMini makes a key from its mini secret, expanded as Ed25519 does.
func fromMini(mini *sr25519.MiniSecretKey) (*Key, error) {
	k, err := fromPair(mini.ExpandEd25519().KeyPair())
	if err == nil {
		k.secret.seed = append([]byte(nil), mini[:]...)
	}
	return k, err
}

func fromPair(pair *sr25519.KeyPair) (*Key, error) {
	b, err := pair.PublicKey().MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	return &Key{[32]byte(b), &secret{pair: pair}}, nil
}

// PublicKey is the 32 bytes that the chain knows the key by.
func (k *Key) PublicKey() [32]byte { return k.public }

// Hotkey is the key's address.
func (k *Key) Hotkey() chain.Hotkey { return chain.EncodeSS58(k.public) }

// CanSign tells whether the secret is here.
func (k *Key) CanSign() bool { return k.secret != nil }

// Phrase is the key's words, for printing them once to whoever made it; "" where
// it does not come from words alone. It is the secret itself.
func (k *Key) Phrase() string {
	if k.secret == nil {
		return ""
	}
	return string(k.secret.phrase)
}

// Sign signs msg as Substrate does, with randomness of the system, so that two
// signatures on one message differ.
func (k *Key) Sign(msg []byte) (out [64]byte, err error) {
	if k.secret == nil {
		return out, fmt.Errorf("sign as %s: %w", k.Hotkey(), ErrPublicOnly)
	}
	sig, err := k.secret.pair.Sign(rand.Reader, signingContext.NewTranscriptBytes(msg))
	if err != nil {
		return out, fmt.Errorf("sign as %s: %w", k.Hotkey(), err)
	}
	b, err := sig.MarshalBinary()
	if err != nil {
		return out, fmt.Errorf("sign as %s: %w", k.Hotkey(), err)
	}
	return [64]byte(b), nil
}

// Signer is the key as a loop's services use it; random feeds its signatures. It
// shares the secret with k and outlives a Wipe.
func (k *Key) Signer(random io.Reader) (wire.Signer, error) {
	if k.secret == nil {
		return nil, fmt.Errorf("sign as %s: %w", k.Hotkey(), ErrPublicOnly)
	}
	return wire.NewSr25519FromPair(k.secret.pair, random)
}

// Wipe overwrites seed and words and forgets the secret. The library's own copy
// of the expanded secret is left to the collector.
func (k *Key) Wipe() {
	if k.secret != nil {
		clear(k.secret.seed)
		clear(k.secret.phrase)
		*k.secret = secret{}
		k.secret = nil
	}
}

// String is the address.
func (k *Key) String() string { return string(k.Hotkey()) }

// GoString is String.
func (k *Key) GoString() string { return k.String() }

// Format is String for every verb.
func (k *Key) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// LogValue is String.
func (k *Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalJSON is String.
func (k *Key) MarshalJSON() ([]byte, error) { return []byte(`"` + k.String() + `"`), nil }

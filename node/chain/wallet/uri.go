package wallet

import (
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
	"github.com/oasisprotocol/curve25519-voi/primitives/merlin"
	"github.com/oasisprotocol/curve25519-voi/primitives/sr25519"
	"github.com/tyler-smith/go-bip39"
	"golang.org/x/crypto/blake2b"
)

// ErrURI is what a text that makes no key gives. No error of this package
// repeats a word of a phrase or a digit of a seed.
var ErrURI = errors.New("not a key's phrase, seed or URI")

// Limits of a URI. A phrase of 24 words has at most 24*9 bytes, and Substrate's
// own tools never write more than a few junctions.
const (
	maxURI       = 4096
	maxJunctions = 64
)

// devPhrase is what a URI that begins with a path derives from: everybody's key,
// for development.
const devPhrase = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"

// IsDevelopment tells whether a URI's key is one that everybody has: a path
// without a phrase, such as //Alice, or the development phrase itself.
func IsDevelopment(uri string) bool {
	phrase, _, _, err := splitURI(uri)
	return err == nil && (phrase == "" || phrase == devPhrase)
}

// FromURI makes a key from a Substrate secret URI: a phrase of BIP-39 words or 64
// hex digits behind 0x, then junctions, // for a hard one and / for a soft one,
// then /// and a password of the phrase. Without a phrase it is the development
// phrase's.
func FromURI(uri string) (*Key, error) {
	phrase, path, password, err := splitURI(uri)
	if err != nil {
		return nil, err
	}
	var k *Key
	switch {
	case strings.HasPrefix(phrase, "0x"):
		if password != "" {
			return nil, fmt.Errorf("a seed takes no ///password: %w", ErrURI)
		}
		seed, err := hex.DecodeString(phrase[2:])
		if err != nil || len(seed) != sr25519.MiniSecretKeySize {
			return nil, fmt.Errorf("a seed is 0x and 64 hex digits: %w", ErrURI)
		}
		k, err = FromSeed([32]byte(seed))
		clear(seed)
		if err != nil {
			return nil, err
		}
	case phrase == "":
		phrase = devPhrase
		fallthrough
	default:
		if k, err = fromPhrase(phrase, password); err != nil {
			return nil, err
		}
	}
	for _, j := range path {
		if k, err = k.derive(j); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// FromSeed makes a key from its mini secret.
func FromSeed(seed [32]byte) (*Key, error) {
	mini := sr25519.MiniSecretKey(seed)
	return fromMini(&mini)
}

// fromPhrase makes a key from words. Unlike other chains' wallets, Substrate
// stretches the words' entropy, not their text.
func fromPhrase(phrase, password string) (*Key, error) {
	words := strings.Fields(phrase)
	if n := len(words); n < 12 || n > 24 || n%3 != 0 {
		return nil, fmt.Errorf("%d words, a phrase has 12, 15, 18, 21 or 24: %w", n, ErrURI)
	}
	for i, w := range words {
		if _, known := bip39.GetWordIndex(w); !known {
			return nil, fmt.Errorf("word %d of the phrase is not in the English list of BIP-39: %w", i+1, ErrURI)
		}
	}
	phrase = strings.Join(words, " ")
	entropy, err := bip39.EntropyFromMnemonic(phrase)
	if err != nil {
		return nil, fmt.Errorf("the phrase's checksum does not match, a word is wrong or out of place: %w", ErrURI)
	}
	stretched, err := pbkdf2.Key(sha512.New, string(entropy), []byte("mnemonic"+password), 2048, 64)
	clear(entropy)
	if err != nil {
		return nil, fmt.Errorf("stretch the phrase: %w", err)
	}
	defer clear(stretched)
	k, err := FromSeed([32]byte(stretched[:32]))
	if err == nil && password == "" {
		k.secret.phrase = []byte(phrase) // with a password the words alone are another key
	}
	return k, err
}

// junction is one step of a derivation path.
type junction struct {
	hard bool
	code [32]byte
}

// splitURI takes a URI apart.
func splitURI(uri string) (phrase string, path []junction, password string, err error) {
	uri = strings.TrimSpace(uri)
	if len(uri) > maxURI {
		return "", nil, "", fmt.Errorf("%d bytes, want at most %d: %w", len(uri), maxURI, ErrURI)
	}
	if uri == "" {
		return "", nil, "", fmt.Errorf("empty: %w", ErrURI)
	}
	uri, password, _ = strings.Cut(uri, "///")
	at := strings.IndexByte(uri, '/')
	if at < 0 {
		at = len(uri)
	}
	phrase, uri = strings.Join(strings.Fields(uri[:at]), " "), uri[at:]
	for uri != "" {
		var j junction
		if j.hard = strings.HasPrefix(uri, "//"); j.hard {
			uri = uri[1:]
		}
		name, rest, more := strings.Cut(uri[1:], "/")
		if name == "" {
			return "", nil, "", fmt.Errorf("junction %d has no name: %w", len(path)+1, ErrURI)
		}
		if len(path) == maxJunctions {
			return "", nil, "", fmt.Errorf("more than %d junctions: %w", maxJunctions, ErrURI)
		}
		j.code = chainCode(name)
		path = append(path, j)
		if uri = ""; more {
			uri = "/" + rest
		}
	}
	return phrase, path, password, nil
}

// chainCode is a junction's name as derivation takes it: a number as eight
// bytes little-endian, a text in SCALE, both filled up with zeros, or hashed
// where it is too long.
func chainCode(name string) (code [32]byte) {
	if n, err := strconv.ParseUint(name, 10, 64); err == nil {
		binary.LittleEndian.PutUint64(code[:], n)
		return code
	}
	var b []byte
	if n := len(name); n < 1<<6 {
		b = append(b, byte(n<<2))
	} else {
		b = binary.LittleEndian.AppendUint16(b, uint16(n<<2|1)) // a URI is shorter than 1<<14
	}
	if b = append(b, name...); len(b) > len(code) {
		return blake2b.Sum256(b)
	}
	copy(code[:], b)
	return code
}

// derive takes one step. A hard one gives a key with a seed of its own, a soft
// one only a secret whose public half others could derive too.
func (k *Key) derive(j junction) (*Key, error) {
	expanded, err := k.secret.pair.SecretKey().MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("secret of a key: %w", err)
	}
	defer clear(expanded)
	key, nonce := expanded[:sr25519.SecretKeyScalarSize], expanded[sr25519.SecretKeyScalarSize:]

	t := merlin.NewTranscript("SchnorrRistrettoHDKD")
	t.AppendMessage("sign-bytes", nil)
	t.AppendMessage("chain-code", j.code[:])
	if j.hard {
		t.AppendMessage("secret-key", key)
		var mini sr25519.MiniSecretKey
		t.ExtractBytes(mini[:], "HDKD-hard")
		return fromMini(&mini)
	}
	t.AppendMessage("public-key", k.public[:])
	var wide [scalar.ScalarWideSize]byte
	t.ExtractBytes(wide[:], "HDKD-scalar")
	step, err := scalar.NewFromBytesModOrderWide(wide[:])
	if err != nil {
		return nil, fmt.Errorf("soft junction: %w", err)
	}
	from, err := scalar.NewFromCanonicalBytes(key)
	if err != nil {
		return nil, fmt.Errorf("soft junction: %w", err)
	}
	// The nonce is nobody's business but ours: others draw it, we derive it, so
	// that a URI is always the same secret.
	t.AppendMessage("secret-key", expanded)
	t.ExtractBytes(nonce, "HDKD-nonce")
	if err := scalar.New().Add(from, step).ToBytes(key); err != nil {
		return nil, fmt.Errorf("soft junction: %w", err)
	}
	derived, err := sr25519.NewSecretKeyFromBytes(expanded)
	if err != nil {
		return nil, fmt.Errorf("soft junction: %w", err)
	}
	return fromPair(derived.KeyPair())
}

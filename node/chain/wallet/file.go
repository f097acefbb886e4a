package wallet

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"

	"bettensor/node/chain"

	"github.com/oasisprotocol/curve25519-voi/primitives/sr25519"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/nacl/secretbox"
)

// Why a key file was not read.
var (
	ErrForm     = errors.New("not a key file")
	ErrMismatch = errors.New("the secret in the key file is not that of its public key")
	ErrKind     = errors.New("not an sr25519 key")
	ErrCipher   = errors.New("encrypted in a way that is not supported")
	ErrPassword = errors.New("wrong password")
)

// keyFile is the JSON of a key file. All but ss58Address is optional; the tools
// write null for what a key does not have.
type keyFile struct {
	AccountID    string          `json:"accountId,omitempty"`
	PublicKey    string          `json:"publicKey,omitempty"`
	PrivateKey   string          `json:"privateKey,omitempty"`
	SecretPhrase string          `json:"secretPhrase,omitempty"`
	SecretSeed   string          `json:"secretSeed,omitempty"`
	SS58Address  string          `json:"ss58Address,omitempty"`
	CryptoType   json.RawMessage `json:"cryptoType,omitempty"` // a number; absent is sr25519
}

// decode reads the bytes of a plain key file. The secret is taken from the first
// there is of phrase, seed and private key, and must be that of the public key.
func decode(b []byte) (*Key, error) {
	var f keyFile
	if err := json.Unmarshal(b, &f); err != nil {
		// The decoder's own words would quote what it read.
		return nil, fmt.Errorf("no JSON of a key: %w", ErrForm)
	}
	switch kind := string(f.CryptoType); kind {
	case "", "null", "1":
	case "0":
		return nil, fmt.Errorf("ed25519 (cryptoType 0), and Bittensor signs with sr25519: make a new hotkey: %w", ErrKind)
	default:
		return nil, fmt.Errorf("unknown cryptoType, want 1: %w", ErrKind)
	}
	public, err := f.public()
	if err != nil {
		return nil, err
	}
	var k *Key
	switch {
	case f.SecretPhrase != "":
		if k, err = fromPhrase(f.SecretPhrase, ""); err != nil {
			return nil, fmt.Errorf("secretPhrase: %w", err)
		}
	case f.SecretSeed != "":
		seed, err := fromHex("secretSeed", f.SecretSeed, sr25519.MiniSecretKeySize)
		if err != nil {
			return nil, err
		}
		if k, err = FromSeed([32]byte(seed)); err != nil {
			return nil, err
		}
	case f.PrivateKey != "":
		if public == nil {
			return nil, fmt.Errorf("privateKey without publicKey or ss58Address to tell its form by: %w", ErrForm)
		}
		if k, err = fromPrivate(f.PrivateKey, *public); err != nil {
			return nil, err
		}
	case public != nil:
		return &Key{public: *public}, nil
	default:
		return nil, fmt.Errorf("no secretPhrase, secretSeed, privateKey or ss58Address: %w", ErrForm)
	}
	if public != nil && k.public != *public {
		return nil, fmt.Errorf("it derives %s, the file says %s: %w", k.Hotkey(), chain.EncodeSS58(*public), ErrMismatch)
	}
	return k, nil
}

// public is the public key that a file names, nil for none. All that name it
// must agree.
func (f *keyFile) public() (*[32]byte, error) {
	var public *[32]byte
	take := func(field string, got [32]byte) error {
		if public != nil && *public != got {
			return fmt.Errorf("%s names another key than the fields before it: %w", field, ErrMismatch)
		}
		public = &got
		return nil
	}
	for _, x := range []struct{ field, text string }{{"publicKey", f.PublicKey}, {"accountId", f.AccountID}} {
		if x.text == "" {
			continue
		}
		b, err := fromHex(x.field, x.text, len(public))
		if err != nil {
			return nil, err
		}
		if err := take(x.field, [32]byte(b)); err != nil {
			return nil, err
		}
	}
	if f.SS58Address != "" {
		b, err := chain.Hotkey(f.SS58Address).PublicKey()
		if err != nil {
			return nil, fmt.Errorf("ss58Address: %w: %w", err, ErrForm)
		}
		if err := take("ss58Address", b); err != nil {
			return nil, err
		}
	}
	return public, nil
}

func fromHex(field, text string, size int) ([]byte, error) {
	b, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err != nil || len(b) != size {
		return nil, fmt.Errorf("%s is not %d bytes of hex: %w", field, size, ErrForm)
	}
	return b, nil
}

// fromPrivate reads an expanded secret, scalar and nonce. Some tools write the
// scalar as it is, some times eight as Ed25519 has it; the public key tells.
func fromPrivate(text string, public [32]byte) (*Key, error) {
	b, err := fromHex("privateKey", text, sr25519.SecretKeySize)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	for _, form := range []func([]byte) (*sr25519.SecretKey, error){sr25519.NewSecretKeyFromBytes, sr25519.NewSecretKeyFromEd25519Bytes} {
		expanded, err := form(b)
		if err != nil {
			continue
		}
		if k, err := fromPair(expanded.KeyPair()); err == nil && k.public == public {
			return k, nil
		}
	}
	return nil, fmt.Errorf("privateKey, in either form of it: %w", ErrMismatch)
}

// encodePublic is the file of a key without its secret.
func encodePublic(public [32]byte) ([]byte, error) {
	id := "0x" + hex.EncodeToString(public[:])
	return json.Marshal(keyFile{AccountID: id, PublicKey: id, SS58Address: string(chain.EncodeSS58(public))})
}

// encode is the plain file of a key with its secret. What readers take first
// decides what may stand in it: words only where they alone make the key, and
// the expanded secret in the canonical form that btwallet reads.
func (k *Key) encode() ([]byte, error) {
	if k.secret == nil {
		return nil, fmt.Errorf("write %s: %w", k.Hotkey(), ErrPublicOnly)
	}
	expanded, err := k.secret.pair.SecretKey().MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("secret of a key: %w", err)
	}
	defer clear(expanded)
	id := "0x" + hex.EncodeToString(k.public[:])
	f := keyFile{
		AccountID: id, PublicKey: id, PrivateKey: "0x" + hex.EncodeToString(expanded),
		SecretPhrase: string(k.secret.phrase), SS58Address: string(k.Hotkey()),
	}
	if k.secret.seed != nil {
		f.SecretSeed = "0x" + hex.EncodeToString(k.secret.seed)
	}
	return json.Marshal(f)
}

// How encrypted files begin. Of these only NaCl's can be read.
const (
	naclPrefix    = "$NACL"
	ansiblePrefix = "$ANSIBLE_VAULT"
	fernetPrefix  = "gAAAAA" // base64 of Fernet's version byte and the high bytes of its time
)

const naclNonce = 24

// Encrypted tells whether the bytes of a key file need a password.
func encrypted(b []byte) bool {
	return bytes.HasPrefix(b, []byte(naclPrefix)) || foreign(b) != nil
}

// foreign is ErrCipher for a file encrypted by tools of long ago, with what to do.
func foreign(b []byte) error {
	const again = "decrypt it with the tool that made it, or make the key again from its phrase with `bettensor wallet import`"
	switch {
	case bytes.HasPrefix(b, []byte(ansiblePrefix)):
		return fmt.Errorf("Ansible Vault ($ANSIBLE_VAULT): %w; %s", ErrCipher, again)
	case bytes.HasPrefix(b, []byte(fernetPrefix)):
		return fmt.Errorf("legacy Fernet (gAAAAA): %w; %s", ErrCipher, again)
	}
	return nil
}

// DerivationMemory is how many bytes deriving the key of an encrypted file
// takes, for some seconds.
const DerivationMemory = 512 << 20

// derivation makes the key of an encrypted file from its password: Argon2i 1.3
// with libsodium's "sensitive" parameters and a fixed salt, as btwallet has it.
// Tests put a cheap one in its place.
type derivation func(password []byte) [32]byte

var naclSalt = [16]byte{0x13, 0x71, 0x83, 0xdf, 0xf1, 0x5a, 0x09, 0xbc, 0x9c, 0x90, 0xb5, 0x51, 0x87, 0x39, 0xe9, 0xb1}

// one lets derivations run one after the other: two at once would need twice the memory.
var one sync.Mutex

func argon(password []byte) [32]byte {
	one.Lock()
	defer one.Unlock()
	b := argon2.Key(password, naclSalt[:], 8, DerivationMemory>>10, 1, 32)
	debug.FreeOSMemory() // gives the memory back at once: a node lives long after this
	return [32]byte(b)
}

// encrypt wraps the bytes of a plain key file.
func encrypt(plain []byte, password Password, derive derivation) ([]byte, error) {
	var nonce [naclNonce]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, fmt.Errorf("nonce of a key file: %w", err)
	}
	key := derive(password.bytes())
	defer clear(key[:])
	out := append([]byte(naclPrefix), nonce[:]...)
	return secretbox.Seal(out, plain, &nonce, &key), nil
}

// decrypt unwraps an encrypted key file. A box that does not open is a wrong
// password: nothing tells it from damage, and people mistype.
func decrypt(b []byte, password Password, derive derivation) ([]byte, error) {
	b, ok := bytes.CutPrefix(b, []byte(naclPrefix))
	if !ok || len(b) < naclNonce+secretbox.Overhead {
		return nil, fmt.Errorf("cut short: %w", ErrForm)
	}
	nonce, box := [naclNonce]byte(b), b[naclNonce:]
	key := derive(password.bytes())
	defer clear(key[:])
	plain, ok := secretbox.Open(nil, box, &nonce, &key)
	if !ok {
		return nil, ErrPassword
	}
	return plain, nil
}

// Package timelock seals weights so that nobody can read them before a round of
// a public randomness beacon, and the chain itself reveals them after it. It is
// identity-based encryption on BLS12-381: the identity is the round's number, and
// the beacon's signature on that number, published when the round comes, is the
// key. It is pure: randomness and the time are handed in.
//
// Read beacon.go for rounds, pulses and the beacon of a chain of our own,
// timelock.go for Seal and Open with the bytes of a commit, payload.go for what
// is sealed. The live client and the chain in memory may call it.
//
// Some other implementations of the scheme leave out the lengths in front of the
// two masked fields, and drand's own tlock frames it differently altogether. The
// chain takes neither, and cannot say so before the reveal.
package timelock

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"

	bls "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

// Sizes of the parts of a sealed text, in bytes.
const (
	PublicKeySize = bls.SizeOfG2AffineCompressed // a beacon's key, a compressed point of G2
	PulseSize     = bls.SizeOfG1AffineCompressed // its signature on a round, a compressed point of G1

	fieldSize = 32 // sigma and the content key, each masked by a SHA-256
	nonceSize = 12 // of AES-GCM
	tagSize   = 16

	// headSize is the point, then both masked fields behind their lengths, then
	// the length of the body.
	headSize = PublicKeySize + 2*(8+fieldSize) + 8
	// overhead is all of a sealed text but the plaintext.
	overhead = headSize + 8 + tagSize + 8 + nonceSize + 8 + len(cipherName)
)

// MaxSealed is the longest commit that the chain takes, in bytes. It is room for
// the weights of more than a thousand neurons; a subnet has at most 256.
const MaxSealed = 5000

// cipherName ends a sealed text: the name of the cipher of its body.
const cipherName = "AES_GCM_"

// Why a text was not sealed or opened.
var (
	ErrKey    = errors.New("not a beacon's public key")
	ErrPulse  = errors.New("not a beacon's signature")
	ErrForm   = errors.New("not a sealed text")
	ErrOpen   = errors.New("sealed for another round or beacon, or changed since")
	ErrLength = fmt.Errorf("longer than the %d bytes that the chain takes", MaxSealed)
)

// Seal encrypts plaintext so that the signature of the beacon with that public
// key on round opens it. It takes 76 bytes of random: the content key, sigma and
// the nonce of the body.
func Seal(beaconKey []byte, round uint64, plaintext []byte, random io.Reader) ([]byte, error) {
	if len(plaintext) > MaxSealed-overhead {
		return nil, fmt.Errorf("seal %d bytes: %w", len(plaintext), ErrLength)
	}
	public, err := publicKey(beaconKey)
	if err != nil {
		return nil, err
	}
	var secret struct {
		key, sigma [fieldSize]byte
		nonce      [nonceSize]byte
	}
	for _, b := range [][]byte{secret.key[:], secret.sigma[:], secret.nonce[:]} {
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, fmt.Errorf("randomness to seal with: %w", err)
		}
	}
	identity, err := hashRound(round)
	if err != nil {
		return nil, err
	}
	r := exponent(&secret.sigma, &secret.key)
	var u, shared bls.G2Affine
	u.ScalarMultiplicationBase(r)
	shared.ScalarMultiplication(&public, r)
	mask, err := pairingHash(&identity, &shared)
	if err != nil {
		return nil, err
	}
	body, err := gcm(secret.key[:])
	if err != nil {
		return nil, err
	}

	out := make([]byte, 0, overhead+len(plaintext))
	point := u.Bytes()
	out = append(out, point[:]...)
	out = appendField(out, &secret.sigma, &mask)
	keyMask := sha256.Sum256(secret.sigma[:])
	out = appendField(out, &secret.key, &keyMask)
	sealed := len(plaintext) + tagSize
	out = binary.LittleEndian.AppendUint64(out, uint64(8+sealed+8+nonceSize))
	out = binary.LittleEndian.AppendUint64(out, uint64(sealed))
	out = body.Seal(out, secret.nonce[:], plaintext, nil)
	out = binary.LittleEndian.AppendUint64(out, nonceSize)
	out = append(out, secret.nonce[:]...)
	out = binary.LittleEndian.AppendUint64(out, uint64(len(cipherName)))
	return append(out, cipherName...), nil
}

// Open decrypts a sealed text with the beacon's signature on the round it was
// sealed for. ErrForm and ErrOpen say that this text can never be opened, with
// this signature; ErrPulse that the signature is none.
func Open(ciphertext, signature []byte) ([]byte, error) {
	s, err := parse(ciphertext)
	if err != nil {
		return nil, err
	}
	pulse, err := pulsePoint(signature)
	if err != nil {
		return nil, err
	}
	mask, err := pairingHash(&pulse, &s.point)
	if err != nil {
		return nil, err
	}
	var key, sigma [fieldSize]byte
	subtle.XORBytes(sigma[:], s.sigma, mask[:])
	keyMask := sha256.Sum256(sigma[:])
	subtle.XORBytes(key[:], s.key, keyMask[:])

	// The point must come from the very key and sigma it leads to. Another
	// signature gives others, and so does a text that somebody changed.
	var u bls.G2Affine
	u.ScalarMultiplicationBase(exponent(&sigma, &key))
	if !u.Equal(&s.point) {
		return nil, ErrOpen
	}
	body, err := gcm(key[:])
	if err != nil {
		return nil, err
	}
	plain, err := body.Open(nil, s.nonce, s.body, nil)
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

// sealed is a text taken apart; its slices lie in the text.
type sealed struct {
	point                   bls.G2Affine
	sigma, key, body, nonce []byte
}

// parse takes a text apart. Every length in it is determined by the text's own,
// so each is compared and none is trusted.
func parse(text []byte) (s sealed, err error) {
	if len(text) < overhead || len(text) > MaxSealed {
		return s, fmt.Errorf("%d bytes: %w", len(text), ErrForm)
	}
	encoded, rest := text[:PublicKeySize], text[PublicKeySize:]
	field := func(name string, size int) (b []byte) {
		if err != nil {
			return nil
		}
		if got := binary.LittleEndian.Uint64(rest); got != uint64(size) {
			err = fmt.Errorf("%s of %d bytes, want %d: %w", name, got, size, ErrForm)
			return nil
		}
		b, rest = rest[8:8+size], rest[8+size:]
		return b
	}
	s.sigma = field("sigma", fieldSize)
	s.key = field("key", fieldSize)
	body := field("body", len(text)-headSize-8-len(cipherName))
	if name := field("cipher name", len(cipherName)); err == nil && string(name) != cipherName {
		err = fmt.Errorf("cipher %q: %w", name, ErrForm)
	}
	rest = body
	s.body = field("ciphertext", len(body)-8-8-nonceSize)
	s.nonce = field("nonce", nonceSize)
	if err != nil {
		return s, err
	}
	if s.point, err = g2Point(encoded); err != nil {
		return s, fmt.Errorf("%w: %w", ErrForm, err)
	}
	return s, nil
}

// appendField appends a secret under its mask, behind its length.
func appendField(dst []byte, secret, mask *[fieldSize]byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, fieldSize)
	for i := range secret {
		dst = append(dst, secret[i]^mask[i])
	}
	return dst
}

// exponent is the scalar that both sides derive from what only they know.
func exponent(sigma, key *[fieldSize]byte) *big.Int {
	h := sha256.New()
	h.Write(sigma[:])
	h.Write(key[:])
	var r fr.Element
	r.SetBytes(h.Sum(nil))
	return r.BigInt(new(big.Int))
}

// pairingHash is SHA-256 over the pairing of two points, in the byte order of
// arkworks: the twelve coordinates from the lowest up, each little-endian.
func pairingHash(p *bls.G1Affine, q *bls.G2Affine) ([sha256.Size]byte, error) {
	gt, err := bls.Pair([]bls.G1Affine{*p}, []bls.G2Affine{*q})
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("pairing: %w", err)
	}
	h := sha256.New()
	var b [fp.Bytes]byte
	for _, six := range []*bls.E6{&gt.C0, &gt.C1} {
		for _, two := range []*bls.E2{&six.B0, &six.B1, &six.B2} {
			for _, e := range []fp.Element{two.A0, two.A1} {
				fp.LittleEndian.PutElement(&b, e)
				h.Write(b[:])
			}
		}
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("cipher of the body: %w", err)
	}
	return cipher.NewGCM(block)
}

var errIdentity = errors.New("the point at infinity")

// g2Point decodes a compressed point of the right subgroup that is not the
// identity, for which everybody could compute the pairing.
func g2Point(b []byte) (p bls.G2Affine, err error) {
	if len(b) != PublicKeySize {
		return p, fmt.Errorf("%d bytes, want %d", len(b), PublicKeySize)
	}
	if _, err = p.SetBytes(b); err != nil {
		return p, err
	}
	if p.IsInfinity() {
		return p, errIdentity
	}
	return p, nil
}

// g1Point is g2Point for a signature.
func g1Point(b []byte) (p bls.G1Affine, err error) {
	if len(b) != PulseSize {
		return p, fmt.Errorf("%d bytes, want %d", len(b), PulseSize)
	}
	if _, err = p.SetBytes(b); err != nil {
		return p, err
	}
	if p.IsInfinity() {
		return p, errIdentity
	}
	return p, nil
}

func publicKey(b []byte) (bls.G2Affine, error) {
	p, err := g2Point(b)
	if err != nil {
		return p, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return p, nil
}

func pulsePoint(b []byte) (bls.G1Affine, error) {
	p, err := g1Point(b)
	if err != nil {
		return p, fmt.Errorf("%w: %w", ErrPulse, err)
	}
	return p, nil
}

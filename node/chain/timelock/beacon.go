package timelock

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math"
	"math/big"
	"time"

	bls "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

// Quicknet is when quicknet's rounds are.
var Quicknet = Schedule{Genesis: time.Unix(1692803367, 0), Period: 3 * time.Second}

// QuicknetKey is quicknet's public key. A chain's storage holds the key that it
// checks with; a node on finney refuses any but this.
func QuicknetKey() []byte {
	key, err := hex.DecodeString("83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c" +
		"8c4b450b6a0a6c3ac6a5776a2d1064510d1fec758c921cc22b0e17e63aaf4bcb" +
		"5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a")
	if err != nil {
		panic(err)
	}
	return key
}

// Schedule is when a beacon's rounds are. Rounds count from 1, which is published
// at Genesis.
type Schedule struct {
	Genesis time.Time
	Period  time.Duration // more than 0; less is treated as a nanosecond
}

// RoundAt is the newest round published at t, and 1 before there is any.
//
// The tools in Python seal for one round less than this, floor((t-genesis)/period):
// its pulse is sure to be there at t.
func (s Schedule) RoundAt(t time.Time) uint64 {
	since := t.Sub(s.Genesis)
	if since < 0 {
		return 1
	}
	return uint64(since/max(s.Period, 1)) + 1
}

// TimeOf is when round is published. A round too far away for a time.Duration is
// as far away as that can say.
func (s Schedule) TimeOf(round uint64) time.Time {
	period := max(s.Period, 1)
	before := max(round, 1) - 1
	if before > uint64(math.MaxInt64/period) {
		return s.Genesis.Add(math.MaxInt64)
	}
	return s.Genesis.Add(time.Duration(before) * period)
}

// domain separates hashes to G1 of this scheme from those of others.
var domain = []byte("BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_")

// hashRound is the point that stands for a round: what a beacon signs and what a
// text is sealed for.
func hashRound(round uint64) (bls.G1Affine, error) {
	message := sha256.Sum256(binary.BigEndian.AppendUint64(nil, round))
	p, err := bls.HashToG1(message[:], domain)
	if err != nil {
		return p, fmt.Errorf("point of round %d: %w", round, err)
	}
	return p, nil
}

// VerifyPulse tells whether signature is the beacon's on round: nil, or an error
// that is ErrKey or ErrPulse.
func VerifyPulse(beaconKey []byte, round uint64, signature []byte) error {
	public, err := publicKey(beaconKey)
	if err != nil {
		return err
	}
	pulse, err := pulsePoint(signature)
	if err != nil {
		return err
	}
	identity, err := hashRound(round)
	if err != nil {
		return err
	}
	// e(signature, G2) == e(H(round), key), as one product that must be 1.
	_, _, _, generator := bls.Generators()
	identity.Neg(&identity)
	ok, err := bls.PairingCheck([]bls.G1Affine{pulse, identity}, []bls.G2Affine{generator, public})
	if err != nil {
		return fmt.Errorf("pairing: %w", err)
	}
	if !ok {
		return fmt.Errorf("round %d: %w", round, ErrPulse)
	}
	return nil
}

// Beacon signs rounds with a key of its own, for chains that are not the real
// one: nobody can sign a future round of quicknet. It prints as its name only.
type Beacon struct {
	secret *big.Int
	public [PublicKeySize]byte
}

// NewBeacon derives a beacon from a seed.
func NewBeacon(seed [32]byte) *Beacon {
	wide := sha512.Sum512(append([]byte("bettensor beacon"), seed[:]...))
	var x fr.Element
	if x.SetBytes(wide[:]); x.IsZero() {
		x.SetOne() // one seed in 2^255
	}
	b := &Beacon{secret: x.BigInt(new(big.Int))}
	var p bls.G2Affine
	p.ScalarMultiplicationBase(b.secret)
	b.public = p.Bytes()
	return b
}

// PublicKey is what to seal for this beacon with.
func (b *Beacon) PublicKey() []byte { return b.public[:] }

// Sign is the beacon's signature on a round: its pulse.
func (b *Beacon) Sign(round uint64) ([]byte, error) {
	p, err := hashRound(round)
	if err != nil {
		return nil, err
	}
	p.ScalarMultiplication(&p, b.secret)
	out := p.Bytes()
	return out[:], nil
}

// String names it without its key.
func (b *Beacon) String() string { return "timelock.Beacon" }

// GoString is String, so that no verb prints the key.
func (b *Beacon) GoString() string { return b.String() }

// Format is String for every verb.
func (b *Beacon) Format(f fmt.State, _ rune) { fmt.Fprint(f, b.String()) }

// LogValue is String.
func (b *Beacon) LogValue() slog.Value { return slog.StringValue(b.String()) }

// MarshalJSON is String.
func (b *Beacon) MarshalJSON() ([]byte, error) { return []byte(`"` + b.String() + `"`), nil }

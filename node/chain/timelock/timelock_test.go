package timelock

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"bettensor/node/chain"

	bls "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// vectors are ciphertexts of other implementations for one real round.
type vectors struct {
	Round     uint64
	PublicKey string `json:"public_key"`
	Signature string `json:"signature_round_1000"`
	Vectors   []struct {
		Origin     string
		Plaintext  string `json:"plaintext_utf8"`
		Key        string
		Sigma      string
		Nonce      string
		Ciphertext string
	}
}

func readJSON(t testing.TB, name string, into any) {
	t.Helper()
	b, err := os.ReadFile("../../../testdata/chain/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.TrimPrefix(s, "0x"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readVectors(t testing.TB) vectors {
	var v vectors
	readJSON(t, "tlock.json", &v)
	if v.Round == 0 || len(v.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	return v
}

func TestOpensWhatOtherImplementationsSealed(t *testing.T) {
	v := readVectors(t)
	for _, c := range v.Vectors {
		got, err := Open(unhex(t, c.Ciphertext), unhex(t, v.Signature))
		if err != nil || string(got) != c.Plaintext {
			t.Errorf("%s: %q, %v; want %q", c.Origin, got, err, c.Plaintext)
		}
	}
}

func TestSealsTheSameBytes(t *testing.T) {
	v, tried := readVectors(t), 0
	for _, c := range v.Vectors {
		if c.Key == "" {
			continue
		}
		tried++
		random := bytes.NewReader(unhex(t, c.Key+c.Sigma+c.Nonce))
		got, err := Seal(unhex(t, v.PublicKey), v.Round, []byte(c.Plaintext), random)
		if err != nil || hex.EncodeToString(got) != c.Ciphertext {
			t.Errorf("%s:\n%x, %v; want\n%s", c.Origin, got, err, c.Ciphertext)
		}
	}
	if tried == 0 {
		t.Fatal("no vector with its randomness")
	}
}

func TestQuicknet(t *testing.T) {
	v := readVectors(t)
	if got := hex.EncodeToString(QuicknetKey()); got != v.PublicKey {
		t.Errorf("key %s, want %s", got, v.PublicKey)
	}
	sig := unhex(t, v.Signature)
	if err := VerifyPulse(QuicknetKey(), v.Round, sig); err != nil {
		t.Errorf("real pulse: %v", err)
	}
	if err := VerifyPulse(QuicknetKey(), v.Round+1, sig); !errors.Is(err, ErrPulse) {
		t.Errorf("another round's pulse: %v", err)
	}
	if err := VerifyPulse(NewBeacon([32]byte{1}).PublicKey(), v.Round, sig); !errors.Is(err, ErrPulse) {
		t.Errorf("another beacon's pulse: %v", err)
	}
}

func TestPayloads(t *testing.T) {
	var v struct {
		Vectors []struct {
			Hotkey     string
			UIDs       []chain.UID
			Values     []uint16
			VersionKey uint64 `json:"version_key"`
			Payload    string
		}
	}
	readJSON(t, "tlock_payloads.json", &v)
	if len(v.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	for _, c := range v.Vectors {
		hotkey, w := [32]byte(unhex(t, c.Hotkey)), chain.Weights{UIDs: c.UIDs, Values: c.Values}
		if got := "0x" + hex.EncodeToString(Payload(hotkey, w, c.VersionKey)); got != c.Payload {
			t.Errorf("payload of %d weights:\n%s, want\n%s", len(c.UIDs), got, c.Payload)
		}
		gotHotkey, got, version, err := ParsePayload(unhex(t, c.Payload))
		if err != nil || gotHotkey != hotkey || version != c.VersionKey {
			t.Errorf("parsed %x, version %d, %v", gotHotkey, version, err)
		}
		if len(w.UIDs) == 0 {
			w = chain.Weights{}
		}
		if d := cmp.Diff(w, got); d != "" {
			t.Errorf("parsed weights (-want +got):\n%s", d)
		}
	}
}

func TestPayloadRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w chain.Weights
		for range rapid.IntRange(0, 300).Draw(t, "uids") {
			w.UIDs = append(w.UIDs, chain.UID(rapid.Uint16().Draw(t, "uid")))
		}
		w.Values = rapid.SliceOfN(rapid.Uint16(), 0, 70).Draw(t, "values")
		if len(w.Values) == 0 {
			w.Values = nil
		}
		hotkey, version := [32]byte{7, 31: 9}, rapid.Uint64().Draw(t, "version")
		b := Payload(hotkey, w, version)
		gotHotkey, got, gotVersion, err := ParsePayload(b)
		if err != nil || gotHotkey != hotkey || gotVersion != version {
			t.Fatalf("%x, %d, %v", gotHotkey, gotVersion, err)
		}
		if d := cmp.Diff(w, got); d != "" {
			t.Fatal(d)
		}
		cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		if _, _, _, err := ParsePayload(b[:cut]); !errors.Is(err, ErrPayload) {
			t.Fatalf("cut at %d of %d: %v", cut, len(b), err)
		}
		if _, _, _, err := ParsePayload(append(b, 0)); !errors.Is(err, ErrPayload) {
			t.Fatalf("a byte more: %v", err)
		}
	})
}

// stream is randomness that a test can repeat.
type stream uint64

func (s *stream) Read(p []byte) (int, error) {
	for i := range p {
		*s = *s*6364136223846793005 + 1442695040888963407
		p[i] = byte(*s >> 56)
	}
	return len(p), nil
}

func TestBeaconOpensItsRoundOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, round := NewBeacon([32]byte{byte(rapid.Int().Draw(t, "seed"))}), rapid.Uint64().Draw(t, "round")
		plain := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "plain")
		random := stream(rapid.Uint64().Draw(t, "random"))
		text, err := Seal(b.PublicKey(), round, plain, &random)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) != overhead+len(plain) {
			t.Fatalf("%d bytes sealed into %d, want %d more", len(plain), len(text), overhead)
		}
		pulse, err := b.Sign(round)
		if err != nil || len(pulse) != PulseSize {
			t.Fatalf("pulse of %d bytes, %v", len(pulse), err)
		}
		if err := VerifyPulse(b.PublicKey(), round, pulse); err != nil {
			t.Fatal(err)
		}
		if got, err := Open(text, pulse); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("opened %x, %v; want %x", got, err, plain)
		}
		early, err := b.Sign(round - 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(text, early); !errors.Is(err, ErrOpen) {
			t.Fatalf("opened by another round: %v", err)
		}
		text[rapid.IntRange(0, len(text)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		if got, err := Open(text, pulse); err == nil {
			t.Fatalf("a changed text opened: %x", got)
		}
	})
}

func TestSealRefuses(t *testing.T) {
	key, random := QuicknetKey(), func() *stream { return new(stream) }
	if _, err := Seal(key, 1, make([]byte, MaxSealed-overhead), random()); err != nil {
		t.Errorf("as long as the chain takes: %v", err)
	}
	if _, err := Seal(key, 1, make([]byte, MaxSealed-overhead+1), random()); !errors.Is(err, ErrLength) {
		t.Errorf("a byte more: %v", err)
	}
	broken := errors.New("no entropy")
	if _, err := Seal(key, 1, nil, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("without randomness: %v", err)
	}
}

// wrongPoints are encodings of what no beacon publishes, in G2 and in G1.
func wrongPoints(t *testing.T) (g2, g1 map[string][]byte) {
	var x fp.Element
	x.SetUint64(5)
	jac2 := bls.GeneratePointNotInG2(bls.E2{A0: x})
	var out2 bls.G2Affine
	out2.FromJacobian(&jac2)
	jac1 := bls.GeneratePointNotInG1(x)
	var out1 bls.G1Affine
	out1.FromJacobian(&jac1)
	raw2, raw1 := out2.Bytes(), out1.Bytes()

	// The first x from 1 without a y, so not on the curve.
	off := func(size int, ok func([]byte) bool) []byte {
		for i := byte(1); i < 255; i++ {
			b := make([]byte, size)
			b[0], b[size-1] = 0x80, i
			if !ok(b) {
				return b
			}
		}
		t.Fatal("every x is on the curve")
		return nil
	}
	off2 := off(PublicKeySize, func(b []byte) bool {
		_, err := new(bls.G2Affine).SetBytes(b)
		return err == nil || !strings.Contains(err.Error(), "square root")
	})
	off1 := off(PulseSize, func(b []byte) bool {
		_, err := new(bls.G1Affine).SetBytes(b)
		return err == nil || !strings.Contains(err.Error(), "square root")
	})
	infinity := func(size int) []byte { return append([]byte{0xc0}, make([]byte, size-1)...) }
	_, _, gen1, gen2 := bls.Generators()
	long2, long1 := gen2.RawBytes(), gen1.RawBytes()
	g2 = map[string][]byte{
		"wrong subgroup": raw2[:], "not on the curve": off2, "identity": infinity(PublicKeySize),
		"uncompressed": long2[:], "short": raw2[:95], "empty": nil, "all ones": bytes.Repeat([]byte{0xff}, PublicKeySize),
	}
	g1 = map[string][]byte{
		"wrong subgroup": raw1[:], "not on the curve": off1, "identity": infinity(PulseSize),
		"uncompressed": long1[:], "short": raw1[:47], "empty": nil, "all ones": bytes.Repeat([]byte{0xff}, PulseSize),
	}
	return g2, g1
}

func TestHostilePointsAreRefused(t *testing.T) {
	b := NewBeacon([32]byte{1})
	pulse, err := b.Sign(9)
	if err != nil {
		t.Fatal(err)
	}
	text, err := Seal(b.PublicKey(), 9, []byte("weights"), new(stream))
	if err != nil {
		t.Fatal(err)
	}
	g2, g1 := wrongPoints(t)
	for name, p := range g2 {
		if _, err := Seal(p, 9, nil, new(stream)); !errors.Is(err, ErrKey) {
			t.Errorf("seal for a key that is %s: %v", name, err)
		}
		if err := VerifyPulse(p, 9, pulse); !errors.Is(err, ErrKey) {
			t.Errorf("verify with a key that is %s: %v", name, err)
		}
		if len(p) == PublicKeySize {
			changed := append(bytes.Clone(p), text[PublicKeySize:]...)
			if _, err := Open(changed, pulse); !errors.Is(err, ErrForm) {
				t.Errorf("open a text whose point is %s: %v", name, err)
			}
		}
	}
	for name, p := range g1 {
		if err := VerifyPulse(b.PublicKey(), 9, p); !errors.Is(err, ErrPulse) {
			t.Errorf("verify a pulse that is %s: %v", name, err)
		}
		if _, err := Open(text, p); !errors.Is(err, ErrPulse) {
			t.Errorf("open with a pulse that is %s: %v", name, err)
		}
	}
}

// A text whose body would open, but whose point does not come from its key and
// sigma: who made it could make two texts that open to one.
func TestPointMustComeFromTheSecrets(t *testing.T) {
	b := NewBeacon([32]byte{1})
	pulse, err := b.Sign(9)
	if err != nil {
		t.Fatal(err)
	}
	text, err := Seal(b.PublicKey(), 9, []byte("weights"), new(stream))
	if err != nil {
		t.Fatal(err)
	}
	s, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	point, err := pulsePoint(pulse)
	if err != nil {
		t.Fatal(err)
	}
	var twice bls.G2Affine
	twice.Add(&s.point, &s.point)
	was, err := pairingHash(&point, &s.point)
	if err != nil {
		t.Fatal(err)
	}
	is, err := pairingHash(&point, &twice)
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.sigma { // in the text
		s.sigma[i] ^= was[i] ^ is[i]
	}
	encoded := twice.Bytes()
	copy(text, encoded[:])
	if got, err := Open(text, pulse); !errors.Is(err, ErrOpen) {
		t.Errorf("opened: %q, %v", got, err)
	}
}

func TestOpenRefusesOtherFramings(t *testing.T) {
	b := NewBeacon([32]byte{1})
	pulse, err := b.Sign(9)
	if err != nil {
		t.Fatal(err)
	}
	text, err := Seal(b.PublicKey(), 9, []byte("weights"), new(stream))
	if err != nil {
		t.Fatal(err)
	}
	with := func(at int, v uint64) []byte {
		c := bytes.Clone(text)
		binary.LittleEndian.PutUint64(c[at:], v)
		return c
	}
	p := PublicKeySize
	for name, c := range map[string][]byte{
		"empty":                      nil,
		"a byte short":               text[:len(text)-1],
		"a byte more":                append(bytes.Clone(text), 0),
		"longer than the chain's":    longer(text, MaxSealed+1-len(text)),
		"fields without lengths":     bytes.Join([][]byte{text[:p], text[p+8 : p+40], text[p+48 : p+80], text[p+80:]}, nil),
		"sigma's length":             with(p, 33),
		"key's length":               with(p+40, 1<<63),
		"body's length":              with(p+80, 1<<62),
		"ciphertext's length":        with(p+88, 0),
		"another cipher":             append(bytes.Clone(text[:len(text)-1]), '!'),
		"cipher's length":            with(len(text)-16, 7),
		"big-endian sigma's length":  with(p, 32<<56),
		"nonce's length":             with(len(text)-16-12-8, 24),
		"lengths that sum all right": with(p+80, binary.LittleEndian.Uint64(text[p+80:])-1),
	} {
		if _, err := Open(c, pulse); !errors.Is(err, ErrForm) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(longer(text, MaxSealed-len(text)), pulse); !errors.Is(err, ErrOpen) {
		t.Errorf("as long as the chain's, in good form: %v", err)
	}
}

// longer is a text with n more bytes in its body, and lengths that say so.
func longer(text []byte, n int) []byte {
	at := headSize + 8
	c := bytes.Join([][]byte{text[:at], make([]byte, n), text[at:]}, nil)
	for _, length := range []int{headSize - 8, headSize} {
		binary.LittleEndian.PutUint64(c[length:], binary.LittleEndian.Uint64(text[length:])+uint64(n))
	}
	return c
}

func TestSchedule(t *testing.T) {
	g := Quicknet.Genesis
	for _, c := range []struct {
		name  string
		at    time.Time
		round uint64
	}{
		{"before genesis", g.Add(-time.Hour), 1},
		{"genesis", g, 1},
		{"just before the second", g.Add(3*time.Second - 1), 1},
		{"the second", g.Add(3 * time.Second), 2},
		{"round 1000", time.Unix(1692803367+999*3, 0), 1000},
		{"a year on", g.Add(365 * 24 * time.Hour), 365*24*1200 + 1},
	} {
		if got := Quicknet.RoundAt(c.at); got != c.round {
			t.Errorf("%s: round %d, want %d", c.name, got, c.round)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := Schedule{Genesis: time.Unix(rapid.Int64Range(0, 2e9).Draw(t, "genesis"), 0), Period: time.Duration(rapid.Int64Range(0, 6e10).Draw(t, "period"))}
		n := rapid.Uint64Range(1, 1e8).Draw(t, "round")
		if got := s.RoundAt(s.TimeOf(n)); got != n {
			t.Fatalf("round at the time of %d is %d", n, got)
		}
		if s.TimeOf(rapid.Uint64().Draw(t, "any")).Before(s.Genesis) {
			t.Fatal("a round before genesis")
		}
	})
}

func TestBeaconPrintsNoSecret(t *testing.T) {
	b := NewBeacon([32]byte{1})
	secret := b.secret.String()
	secretHex := b.secret.Text(16)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("made", "beacon", b)
	asJSON, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	out := fmt.Sprintf("%v %+v %#v %s %q %x %d", b, b, b, b, b, b, b) + log.String() + string(asJSON)
	if strings.Contains(out, secret) || strings.Contains(out, secretHex) || strings.Count(out, "timelock.Beacon") != 9 {
		t.Error(out)
	}
}

func FuzzOpen(f *testing.F) {
	v := readVectors(f)
	sig := unhex(f, v.Signature)
	for _, c := range v.Vectors {
		f.Add(unhex(f, c.Ciphertext), sig)
	}
	f.Add([]byte(nil), []byte(nil))
	f.Fuzz(func(t *testing.T, text, signature []byte) {
		plain, err := Open(text, signature)
		if err == nil && len(plain) != len(text)-overhead {
			t.Errorf("%d bytes of %d", len(plain), len(text))
		}
		if err != nil && !errors.Is(err, ErrForm) && !errors.Is(err, ErrOpen) && !errors.Is(err, ErrPulse) {
			t.Errorf("untyped error: %v", err)
		}
	})
}

func FuzzParsePayload(f *testing.F) {
	f.Add(Payload([32]byte{1}, chain.Weights{UIDs: []chain.UID{1, 2}, Values: []uint16{3, 4}}, 5))
	f.Fuzz(func(t *testing.T, b []byte) {
		hotkey, w, version, err := ParsePayload(b)
		if err != nil {
			return
		}
		if got := Payload(hotkey, w, version); !bytes.Equal(got, b) {
			t.Errorf("%x is written %x", b, got)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	b.ReportAllocs()
	key, plain := QuicknetKey(), make([]byte, 1068)
	for b.Loop() {
		if _, err := Seal(key, 1000, plain, new(stream)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	b.ReportAllocs()
	v := readVectors(b)
	text, sig := unhex(b, v.Vectors[0].Ciphertext), unhex(b, v.Signature)
	for b.Loop() {
		if _, err := Open(text, sig); err != nil {
			b.Fatal(err)
		}
	}
}

package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"bettensor/node/chain"

	"pgregory.net/rapid"
)

// vectors decodes a golden file.
func vectors(t testing.TB, v any, path ...string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{"..", "..", "testdata"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// aliceSigner is the development key //Alice, whose mini secret is public.
func aliceSigner(t testing.TB) *Sr25519 {
	t.Helper()
	seed := unhex(t, "e5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a")
	s, err := NewSr25519([32]byte(seed), Random{rand.New(rand.NewPCG(1, 2))})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSr25519Vectors(t *testing.T) {
	var file struct {
		Vectors []struct {
			Name, Message, Signature string
			PublicKey                string `json:"public_key"`
			Valid                    bool
		}
	}
	vectors(t, &file, "chain", "sr25519_verify.json")
	if len(file.Vectors) < 10 {
		t.Fatalf("%d vectors", len(file.Vectors))
	}
	var v Sr25519Verifier
	for range 2 { // the second time with decoded keys
		for _, c := range file.Vectors {
			h := chain.EncodeSS58([32]byte(unhex(t, c.PublicKey[2:])))
			if got := v.Verify(h, unhex(t, c.Message[2:]), unhex(t, c.Signature[2:])); got != c.Valid {
				t.Errorf("%s over %s: verified %v, want %v", c.Name, c.Message, got, c.Valid)
			}
		}
	}
}

func TestSr25519SignerHasItsKeysHotkey(t *testing.T) {
	var file struct {
		Keys []struct {
			Label      string
			MiniSecret string `json:"mini_secret"`
			SS58       string `json:"ss58_42"`
		}
	}
	vectors(t, &file, "chain", "keys.json")
	tried := 0
	for _, k := range file.Keys {
		if k.MiniSecret == "" {
			continue
		}
		tried++
		s, err := NewSr25519([32]byte(unhex(t, k.MiniSecret[2:])), Random{rand.New(rand.NewPCG(1, 2))})
		if err != nil {
			t.Fatal(err)
		}
		if string(s.Hotkey()) != k.SS58 {
			t.Errorf("%s: hotkey %s, want %s", k.Label, s.Hotkey(), k.SS58)
		}
		sig := s.Sign([]byte("text"))
		var v Sr25519Verifier
		if !v.Verify(s.Hotkey(), []byte("text"), sig[:]) || v.Verify(alice, []byte("text"), sig[:]) {
			t.Errorf("%s: own signature must verify for its own hotkey only", k.Label)
		}
	}
	if tried < 3 {
		t.Fatalf("%d keys with a secret", tried)
	}
}

// A simulation signs with a named stream: the same seed gives the same bytes.
func TestSr25519SignsTheSameFromTheSameStream(t *testing.T) {
	a, b := aliceSigner(t), aliceSigner(t)
	first, second := a.Sign([]byte("x")), a.Sign([]byte("x"))
	if again := b.Sign([]byte("x")); first != again {
		t.Error("same stream, other signature")
	}
	if first == second {
		t.Error("the stream does not reach the signature")
	}
}

func TestKeyedSeesEveryChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "text")
		k := Keyed{Key: rapid.Uint64().Draw(t, "key"), Name: bob}
		sig := k.Sign(text)
		if !k.Verify(bob, text, sig[:]) {
			t.Fatal("own signature refused")
		}
		if k.Verify(alice, text, sig[:]) || (Keyed{Key: k.Key + 1}).Verify(bob, text, sig[:]) || k.Verify(bob, text, sig[:63]) {
			t.Fatal("another hotkey's, another key's or a short signature verified")
		}
		flip := byte(1) << rapid.IntRange(0, 7).Draw(t, "bit")
		i := rapid.IntRange(0, len(text)-1).Draw(t, "at")
		text[i] ^= flip
		if k.Verify(bob, text, sig[:]) {
			t.Fatal("changed text verified")
		}
		text[i] ^= flip
		sig[rapid.IntRange(0, 63).Draw(t, "sig at")] ^= flip
		if k.Verify(bob, text, sig[:]) {
			t.Fatal("changed signature verified")
		}
	})
}

// Signatures are 128 lower-case hex digits; the reader works on eight at a
// time and is compared with the obvious one.
func TestHexIsLowerCaseOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sig, got [SignatureSize]byte
		copy(sig[:], rapid.SliceOfN(rapid.Byte(), SignatureSize, SignatureSize).Draw(t, "sig"))
		text := make([]byte, 2*SignatureSize)
		putHex(text, &sig)
		if string(text) != hex.EncodeToString(sig[:]) {
			t.Fatalf("%x written as %s", sig, text)
		}
		text[rapid.IntRange(0, 127).Draw(t, "at")] = rapid.Byte().Draw(t, "digit")
		want, err := hex.DecodeString(string(text))
		good := err == nil && bytes.Equal(bytes.ToLower(text), text)
		if ok := parseHex(&got, text); ok != good || ok && !bytes.Equal(got[:], want) {
			t.Fatalf("%s: read %v %x, want %v %x", text, ok, got, good, want)
		}
	})
	for b := range 256 { // every byte in the place of a digit
		var got [SignatureSize]byte
		text := bytes.Repeat([]byte{byte(b)}, 2*SignatureSize)
		if want := b >= '0' && b <= '9' || b >= 'a' && b <= 'f'; parseHex(&got, text) != want {
			t.Errorf("byte %#x as a hex digit: %v", b, !want)
		}
	}
}

// TestBatchAnswersAsSingles: whatever is in a batch, and however often it is
// used, each claim gets the answer that it would have had alone.
func TestBatchAnswersAsSingles(t *testing.T) {
	var signers []*Sr25519
	for i := range 3 {
		s, err := NewSr25519([32]byte{byte(i + 1)}, Random{rand.New(rand.NewPCG(1, uint64(i)))})
		if err != nil {
			t.Fatal(err)
		}
		signers = append(signers, s)
	}
	batch, single := &Sr25519Verifier{}, &Sr25519Verifier{}
	rapid.Check(t, func(t *rapid.T) {
		claims := make([]*Claim, rapid.IntRange(0, 12).Draw(t, "claims"))
		for i := range claims {
			s := signers[rapid.IntRange(0, 2).Draw(t, "signer")]
			text := []byte(rapid.String().Draw(t, "text"))
			sig := s.Sign(text)
			c := &Claim{Hotkey: s.Hotkey(), Text: text, Signature: sig[:], Good: rapid.Bool().Draw(t, "before")}
			switch rapid.IntRange(0, 9).Draw(t, "how") {
			case 0:
				c.Text = append(c.Text, '!')
			case 1:
				c.Signature[rapid.IntRange(0, SignatureSize-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			case 2:
				c.Hotkey = "nobody"
			case 3:
				c.Signature = c.Signature[1:]
			case 4:
				c.Hotkey = signers[0].Hotkey()
			}
			claims[i] = c
		}
		batch.VerifyBatch(claims)
		for i, c := range claims {
			if want := single.Verify(c.Hotkey, c.Text, c.Signature); c.Good != want {
				t.Fatalf("claim %d of %d: %v, alone %v", i, len(claims), c.Good, want)
			}
		}
	})
}

// BenchmarkVerifyBatch is the cost of one signature by the size of its batch.
func BenchmarkVerifyBatch(b *testing.B) {
	var claims []*Claim
	for i := range 64 {
		s, err := NewSr25519([32]byte{byte(i)}, Random{rand.New(rand.NewPCG(1, uint64(i)))})
		if err != nil {
			b.Fatal(err)
		}
		text := make([]byte, 600)
		sig := s.Sign(text)
		claims = append(claims, &Claim{Hotkey: s.Hotkey(), Text: text, Signature: sig[:]})
	}
	for _, n := range []int{1, 4, 16, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			v := &Sr25519Verifier{}
			b.ReportAllocs()
			for i := 0; i < b.N; i += n {
				if v.VerifyBatch(claims[:n]); !claims[0].Good {
					b.Fatal("a good signature is bad")
				}
			}
		})
	}
}

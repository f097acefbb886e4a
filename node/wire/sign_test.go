package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
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

package synapse

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bettensor/node/chain"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const (
	alice chain.Hotkey = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
	bob   chain.Hotkey = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
)

func vectors(t testing.TB, v any, name string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "testdata", "wire", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

func TestBodyHashVectors(t *testing.T) {
	var v struct {
		EmptyRule   string `json:"empty_rule"`
		GameData    string
		GenericRule []struct {
			Values []string `json:"values_as_python_str"`
			Hash   string   `json:"body_hash"`
		} `json:"generic_rule"`
	}
	vectors(t, &v, "body_hash.json")
	if BodyHash() != v.EmptyRule || v.GameData != v.EmptyRule || EmptyBodyHash != v.EmptyRule {
		t.Errorf("hash of nothing %s, want %s", BodyHash(), v.EmptyRule)
	}
	for _, c := range v.GenericRule {
		if got := BodyHash(c.Values...); got != c.Hash {
			t.Errorf("%q: %s, want %s", c.Values, got, c.Hash)
		}
	}
	if len(v.GenericRule) == 0 {
		t.Error("no vectors")
	}
}

// TestNonceVectors: where we differ from the SDK, it is because the SDK's window
// is the attacker's. What is remembered of earlier nonces is the node's.
func TestNonceVectors(t *testing.T) {
	ours := map[string]error{
		"fresh first": nil,
		"first, exactly at window edge (<= rejects)":                                   ErrStale,
		"first, one ns inside":                                                         ErrStale, // 24 s old: the peer's timeout does not widen our window
		"first, no timeout header: 4 s window":                                         nil,      // nor does its absence make it narrower
		"far future first nonce: accepted by the SDK (must be rejected by a new node)": ErrFuture,
		"equal to stored":                                                              nil, // fresh; the node remembers it
		"greater than stored":                                                          nil,
		"less than stored":                                                             nil,
		"old stored, stale but increasing: accepted (window only applies to the first)": ErrStale,
		"pre-7.2 peer, no stored: any nonce accepted":                                   ErrStale,
	}
	var v struct {
		Cases []struct {
			Name  string
			Now   int64 `json:"now_ns"`
			Nonce *uint64
		}
	}
	vectors(t, &v, "http_nonce_rules.json")
	for _, c := range v.Cases {
		if c.Nonce == nil {
			continue // TestRequestHeaders: no nonce, no request
		}
		want, known := ours[c.Name]
		if !known {
			t.Errorf("no expectation for %q", c.Name)
		}
		if got := Check(*c.Nonce, time.Unix(0, c.Now)); got != want {
			t.Errorf("%s: %v, want %v", c.Name, got, want)
		}
	}
}

// TestA2WindowIsOurs: the unsigned timeout of the asker changes nothing.
func TestA2WindowIsOurs(t *testing.T) {
	now := time.Unix(1741348800, 0)
	for _, timeout := range []string{"", "20.0", "1e18", "-1", "nan"} {
		h := sampleHeaders()
		h.Set("timeout", timeout)
		r, err := ReadRequest(GameData, h)
		if err != nil {
			t.Fatalf("timeout %q: %v", timeout, err)
		}
		for age, want := range map[time.Duration]error{0: nil, Past - 1: nil, Past: ErrStale, time.Hour: ErrStale} {
			if got := Check(r.Nonce, now.Add(age)); got != want {
				t.Errorf("timeout %q, age %v: %v, want %v", timeout, age, got, want)
			}
		}
	}
}

// TestA3VersionIsNotBelieved: an old version makes no window wider.
func TestA3VersionIsNotBelieved(t *testing.T) {
	for _, version := range []string{"", "0", "7001000", "9000003", "10002000"} {
		h := sampleHeaders()
		h.Set("bt_header_dendrite_version", version)
		r, err := ReadRequest(GameData, h)
		if err != nil {
			t.Fatal(err)
		}
		if got := Check(r.Nonce, time.Unix(1741348800, 0).Add(Past)); got != ErrStale {
			t.Errorf("version %q: %v", version, got)
		}
	}
}

// TestA5Future: a nonce from the future would outlive what is remembered of it,
// and an asker's own nonces rise though its clock was set back.
func TestA5Future(t *testing.T) {
	now := time.Unix(1741348800, 0)
	for ahead, want := range map[time.Duration]error{Future: nil, Future + 1: ErrFuture, 24 * time.Hour: ErrFuture} {
		if got := Check(uint64(now.Add(ahead).UnixNano()), now); got != want {
			t.Errorf("%v ahead: %v, want %v", ahead, got, want)
		}
	}
	var n Nonces
	a := n.Next(now)
	b := n.Next(now.Add(-time.Hour))
	if a != uint64(now.UnixNano()) || b != a+1 {
		t.Errorf("nonces %d, %d", a, b)
	}
	if c := n.Next(time.Unix(-5, 0)); c != b+1 {
		t.Errorf("before 1970: %d after %d", c, b)
	}
}

func sampleHeaders() http.Header {
	h := http.Header{}
	for name, value := range map[string]string{
		"name": GameData, "bt_header_axon_ip": "203.0.113.9", "bt_header_axon_port": "12345", "bt_header_axon_hotkey": string(bob),
		"bt_header_dendrite_hotkey": string(alice), "bt_header_dendrite_version": "9000003", "bt_header_dendrite_nonce": "1741348800000000000",
		"bt_header_dendrite_uuid": "5ecbd69c-1cec-11ee-b0dc-e29ce36fec1a", "bt_header_dendrite_signature": "0x" + strings.Repeat("ab", 64),
		"computed_body_hash": EmptyBodyHash,
	} {
		h.Set(name, value)
	}
	return h
}

func TestRequestHeaders(t *testing.T) {
	for _, c := range []struct{ name, value string }{
		{"name", "Other"}, {"bt_header_axon_hotkey", ""}, {"bt_header_axon_hotkey", "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694tz"},
		{"bt_header_dendrite_hotkey", "bob"}, {"bt_header_dendrite_nonce", ""}, {"bt_header_dendrite_nonce", "-5"}, {"bt_header_dendrite_nonce", "1e9"},
		{"bt_header_dendrite_nonce", "99999999999999999999"}, {"bt_header_dendrite_uuid", ""}, {"bt_header_dendrite_uuid", "a\nb"},
		{"bt_header_dendrite_uuid", strings.Repeat("a", maxField+1)}, {"bt_header_dendrite_version", "x"}, {"bt_header_axon_port", "70000"},
		{"bt_header_dendrite_signature", "0x12"}, {"bt_header_dendrite_signature", "0x" + strings.Repeat("zz", 64)}, {"computed_body_hash", ""},
		{headerSum, "00"}, {headerSum, strings.Repeat("0", 64)}, {headerSumSignature, "0x" + strings.Repeat("ab", 64)},
	} {
		h := sampleHeaders()
		h.Set(c.name, c.value)
		if _, err := ReadRequest(GameData, h); !errors.Is(err, ErrHeader) {
			t.Errorf("%s %q: %v, want %v", c.name, c.value, err, ErrHeader)
		}
	}
}

func drawBinding(t *rapid.T) *Binding {
	if !rapid.Bool().Draw(t, "bound") {
		return nil
	}
	b := &Binding{}
	copy(b.Sum[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "sum"))
	copy(b.Signature[:], rapid.SliceOfN(rapid.Byte(), 64, 64).Draw(t, "signature"))
	return b
}

// TestRequestForms: through headers and through the packed form a request stays
// what it was.
func TestRequestForms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Request{Name: GameData, Axon: chain.Axon{IP: "203.0.113.9", Port: uint16(rapid.IntRange(0, 65535).Draw(t, "port"))}, Asked: bob, Asker: alice,
			IP: rapid.SampledFrom([]string{"", "198.51.100.7"}).Draw(t, "ip"), Version: rapid.Uint64Max(1<<62).Draw(t, "version"),
			Nonce: rapid.Uint64Max(1<<63-1).Draw(t, "nonce"), UUID: NodeUUID(alice), BodyHash: EmptyBodyHash, Binding: drawBinding(t),
			Body: []byte(rapid.String().Draw(t, "body"))}
		copy(r.Signature[:], rapid.SliceOfN(rapid.Byte(), 64, 64).Draw(t, "sig"))
		packed, err := UnpackRequest(r.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r, packed); d != "" {
			t.Fatal(d)
		}
		h := http.Header{}
		r.Headers(20, h.Set)
		read, err := ReadRequest(GameData, h)
		if err != nil {
			t.Fatal(err)
		}
		read.Body = r.Body
		if d := cmp.Diff(r, read); d != "" {
			t.Fatal(d)
		}
	})
}

func TestReplyForms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Reply{Status: rapid.IntRange(100, 599).Draw(t, "status"), Message: "Success", Asked: bob, Asker: alice,
			Nonce: rapid.Uint64Max(1<<63-1).Draw(t, "nonce"), UUID: NodeUUID(alice), Binding: drawBinding(t), Body: []byte(rapid.String().Draw(t, "body"))}
		packed, err := UnpackReply(r.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r, packed); d != "" {
			t.Fatal(d)
		}
		h := http.Header{}
		q := Request{Name: GameData, Asked: r.Asked, Asker: r.Asker, Nonce: r.Nonce, UUID: r.UUID}
		r.Headers(&q, 0.25, h.Set)
		read, err := ReadReply(r.Status, h, r.Body)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r, read); d != "" {
			t.Fatal(d)
		}
	})
}

func TestNodeUUID(t *testing.T) {
	a, b := NodeUUID(alice), NodeUUID(bob)
	if a == b || a != NodeUUID(alice) || !Binds(a) || Binds("5ecbd69c-1cec-11ee-b0dc-e29ce36fec1a") || len(a) != 36 {
		t.Errorf("%s, %s", a, b)
	}
}

func FuzzUnpack(f *testing.F) {
	r := Request{Name: GameData, Asked: bob, Asker: alice, Nonce: 5, UUID: "u", Binding: &Binding{}, Body: []byte("{}")}
	f.Add(r.Append(nil))
	a := Reply{Status: 200, Asked: bob, Body: []byte("{}")}
	f.Add(a.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := UnpackRequest(b); err == nil {
			again, err := UnpackRequest(r.Append(nil))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(r, again); d != "" {
				t.Fatal(d)
			}
		}
		if r, err := UnpackReply(b); err == nil {
			again, err := UnpackReply(r.Append(nil))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(r, again); d != "" {
				t.Fatal(d)
			}
		}
	})
}

// FuzzReadHeaders: no header makes a request that cannot be packed and read back.
func FuzzReadHeaders(f *testing.F) {
	f.Add("1741348800000000000", "uuid", "0x00", "12345", "00")
	f.Fuzz(func(t *testing.T, nonce, uuid, signature, port, sum string) {
		h := sampleHeaders()
		for name, v := range map[string]string{"bt_header_dendrite_nonce": nonce, "bt_header_dendrite_uuid": uuid, "bt_header_axon_port": port, headerSum: sum} {
			h.Set(name, v)
		}
		if len(signature) > 0 && signature[0] == 's' {
			h.Set("bt_header_dendrite_signature", signature[1:])
		}
		if r, err := ReadRequest(GameData, h); err == nil {
			if again, err := UnpackRequest(r.Append(nil)); err != nil || !cmp.Equal(r, again) && len(r.Body) != len(again.Body) {
				t.Fatalf("%+v: %v", r, err)
			}
		}
		ReadReply(200, h, nil)
	})
}

package scale_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"bettensor/node/chain/scale"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const vectors = "../../../testdata/chain"

// runtimes are the metadata files of three real runtimes.
var runtimes = []string{"finney.scale", "subtensor_spec143_v14.scale", "subtensor_spec300_v14.scale"}

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(vectors, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(t testing.TB, b []byte) *scale.Metadata {
	t.Helper()
	m, err := scale.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var finneyOnce = sync.OnceValues(func() (*scale.Metadata, error) {
	b, err := os.ReadFile(filepath.Join(vectors, "finney.scale"))
	if err != nil {
		return nil, err
	}
	return scale.Parse(b)
})

// finney is the V16 metadata of spec 393. Tests do not change it.
func finney(t testing.TB) *scale.Metadata {
	t.Helper()
	m, err := finneyOnce()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func vector(t testing.TB, name string, into any) {
	t.Helper()
	if err := json.Unmarshal(file(t, name), into); err != nil {
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

// TestMetadataComesBackWhole: V14 of two real runtimes is written as it was
// read, byte for byte, so that the parser loses nothing of it.
func TestMetadataComesBackWhole(t *testing.T) {
	for _, name := range runtimes[1:] {
		b := file(t, name)
		again, err := parse(t, b).Append(nil, 14)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s: %d bytes come back as %d, %v", name, len(b), len(again), err)
		}
	}
}

// TestVersionsSayTheSame: V16, and V15 written from it, make one model. What V15
// must have and V16 has not are types that are added at the end.
func TestVersionsSayTheSame(t *testing.T) {
	want := finney(t)
	b, err := want.Append(nil, 15)
	if err != nil {
		t.Fatal(err)
	}
	got := parse(t, b)
	if got.Version != 15 || got.Runtime == scale.NoType || got.Extrinsic.Extra == scale.NoType {
		t.Errorf("version %d, runtime %d, extra %d", got.Version, got.Runtime, got.Extrinsic.Extra)
	}
	if extra := got.Types[got.Extrinsic.Extra]; len(extra.Items) != len(got.Extrinsic.Extensions) {
		t.Errorf("extra is %d types for %d extensions", len(extra.Items), len(got.Extrinsic.Extensions))
	}
	got.Version, got.Runtime, got.Extrinsic.Extra = want.Version, want.Runtime, want.Extrinsic.Extra
	got.Extrinsic.Versions, got.Types = want.Extrinsic.Versions, got.Types[:len(want.Types)]
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(scale.Entry{})); diff != "" {
		t.Error(diff)
	}
}

// TestV14HasItsExtrinsicInTypeParameters: a subset of V16 written as V14 still
// says how to build an extrinsic.
func TestV14HasItsExtrinsicInTypeParameters(t *testing.T) {
	want := finney(t)
	b, err := want.Append(nil, 14)
	if err != nil {
		t.Fatal(err)
	}
	got := parse(t, b).Extrinsic
	if got.Address != want.Extrinsic.Address || got.Call != want.Extrinsic.Call || got.Signature != want.Extrinsic.Signature {
		t.Errorf("%+v, want the parts of %+v", got, want.Extrinsic)
	}
	if diff := cmp.Diff(want.Extrinsic.Extensions, got.Extensions); diff != "" {
		t.Error(diff)
	}
}

// TestV15FieldByField reads V15 metadata put together by hand in the order of
// frame-metadata's own definition.
func TestV15FieldByField(t *testing.T) {
	text := func(s string) string { return string(scale.AppendBytes(nil, s)) }
	hand := "meta\x0f" +
		"\x08" + // types: two
		"\x00" + "\x00" + "\x00" + "\x05\x06" + "\x00" + // 0: no path, no parameters, primitive u64, no docs
		"\x04" + "\x04" + text("Event") + "\x04" + text("T") + "\x01\x00" + // 1: path, parameter T = type 0
		"\x01" + "\x04" + text("Done") + "\x04" + "\x01" + text("n") + "\x00" + "\x01" + text("u64") + "\x00" + "\x02" + "\x04" + text(" it is") + // enum, a variant at index 2 with a field
		"\x00" +
		"\x04" + // pallets: one
		text("Clock") +
		"\x01" + text("ClockStore") + "\x08" + // storage
		text("Now") + "\x01" + "\x00" + "\x00" + text("\x01\x00\x00\x00\x00\x00\x00\x00") + "\x04" + text(" now") + // default, plain
		text("At") + "\x00" + "\x01" + "\x08\x06\x05" + "\x00" + "\x04" + text("") + "\x00" + // optional, map of two hashers, key, value
		"\x00" + // calls
		"\x01\x04" + // events
		"\x04" + text("Period") + "\x00" + text("\x05\x00\x00\x00\x00\x00\x00\x00") + "\x00" + // constants
		"\x00" + // errors
		"\x09" + // index
		"\x04" + text("A clock.") + // docs, V15's addition
		"\x04" + "\x00" + "\x04" + "\x00" + "\x04" + // extrinsic: version, address, call, signature, extra
		"\x04" + text("CheckNonce") + "\x00" + "\x04" + // extensions: name, type, additional
		"\x04" + // the runtime's type
		"\x04" + text("ClockApi") + "\x04" + text("tick") + "\x04" + text("n") + "\x00" + "\x04" + "\x00" + "\x04" + text("Ticks.") + // APIs
		"\x04\x04\x00" + // outer enums: call, event, error
		"\x04" + text("rate") + "\x00" + text("x") // custom

	want := &scale.Metadata{
		Version: 15,
		Types: []scale.Type{
			{Kind: scale.Primitive, Prim: scale.U64},
			{
				Path: []string{"Event"}, Params: []scale.TypeParam{{Name: "T", Type: 0}}, Kind: scale.Enum,
				Variants: []scale.VariantDef{{Name: "Done", Index: 2, Docs: []string{" it is"}, Fields: []scale.FieldDef{{Name: "n", Type: 0, TypeName: "u64"}}}},
			},
		},
		Pallets: []scale.Pallet{{
			Name: "Clock", Index: 9, Prefix: "ClockStore", Calls: scale.NoType, Events: 1, Errors: scale.NoType, Docs: []string{"A clock."},
			Storage: []scale.Entry{
				{Name: "Now", Modifier: scale.Default, Key: scale.NoType, Value: 0, Default: []byte{1, 0, 0, 0, 0, 0, 0, 0}, Docs: []string{" now"}},
				{Name: "At", Modifier: scale.Optional, Hashers: []scale.Hasher{scale.Identity, scale.Twox64Concat}, Key: 0, Value: 1, Default: []byte{}},
			},
			Constants: []scale.Constant{{Name: "Period", Type: 0, Value: []byte{5, 0, 0, 0, 0, 0, 0, 0}}},
		}},
		Extrinsic: scale.ExtrinsicForm{
			Versions: []byte{4}, Type: scale.NoType, Address: 0, Call: 1, Signature: 0, Extra: 1,
			Extensions: []scale.Extension{{Name: "CheckNonce", Extra: 0, Implicit: 1}},
		},
		Runtime: 1,
		APIs:    []scale.API{{Name: "ClockApi", Docs: []string{"Ticks."}, Methods: []scale.Method{{Name: "tick", Inputs: []scale.Input{{Name: "n", Type: 0}}, Output: 1}}}},
		Outer:   scale.OuterEnums{Call: 1, Event: 1, Error: 0},
		Custom:  []scale.CustomValue{{Name: "rate", Type: 0, Value: []byte("x")}},
	}
	got := parse(t, []byte(hand))
	if diff := cmp.Diff(want, got, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".prefix" }, cmp.Ignore()), cmp.AllowUnexported(scale.Entry{})); diff != "" {
		t.Error(diff)
	}
	if again, err := got.Append(nil, 15); err != nil || string(again) != hand {
		t.Errorf("written as %q, %v", again, err)
	}
	if v, err := got.Constant("Clock", "Period"); err != nil || v != uint64(5) {
		t.Errorf("Clock.Period = %v, %v", v, err)
	}
	e, err := got.Storage("Clock", "Now")
	if err != nil || !bytes.Equal(e.Prefix(), scale.StoragePrefix("ClockStore", "Now")) {
		t.Errorf("Clock.Now is stored at %x, %v", e.Prefix(), err)
	}
}

func TestUnwrap(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
		bad            bool
	}{
		{"the version is there", "\x01\x0cabc", "abc", false},
		{"the version is not offered", "\x00", "", false},
		{"cut short", "\x01\x0cab", "", true},
		{"more behind it", "\x00a", "", true},
		{"nothing", "", "", true},
	} {
		got, err := scale.Unwrap([]byte(c.in))
		if string(got) != c.want || (err != nil) != c.bad {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}

// TestParseRefuses: what is no metadata this package reads is an error that
// says why, and costs no more than its own size.
func TestParseRefuses(t *testing.T) {
	whole := file(t, "subtensor_spec143_v14.scale")
	forged := append([]byte("meta\x0e"), 0xfe, 0xff, 0xff, 0xff) // a list of 2^30 types
	selfish := slices.Clone(whole)
	selfish[4] = 13
	for _, c := range []struct {
		name string
		in   []byte
		want error
	}{
		{"empty", nil, scale.ErrForm},
		{"no magic", []byte("beta\x0e"), scale.ErrForm},
		{"version 13", selfish, scale.ErrVersion},
		{"cut short", whole[:len(whole)-1], scale.ErrForm},
		{"more behind it", append(slices.Clone(whole), 0), scale.ErrForm},
		{"forged length", forged, scale.ErrForm},
		{"a type that is not there", []byte("meta\x0e\x04\x00\x00\x00\x02\x08\x00\x00\x00\x04\x00\x00"), scale.ErrForm},
		{"too large", make([]byte, 17<<20), scale.ErrForm},
	} {
		if _, err := scale.Parse(c.in); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// TestStorageKeys holds the keys that the public JavaScript client computes.
func TestStorageKeys(t *testing.T) {
	m := finney(t)
	var v struct{ Keys map[string]json.RawMessage }
	vector(t, "storage_keys.json", &v)
	seen := 0
	for call, raw := range v.Keys {
		var want struct {
			Key, Modifier, Default string
			Hashers                []string
		}
		pallet, rest, _ := strings.Cut(call, ".")
		name, list, _ := strings.Cut(rest, "(")
		pallet, name = strings.ToUpper(pallet[:1])+pallet[1:], strings.ToUpper(name[:1])+name[1:]
		if json.Unmarshal(raw, &want) != nil { // the word ABSENT
			if _, err := m.Storage(pallet, name); !errors.Is(err, scale.ErrName) {
				t.Errorf("%s is there: %v", call, err)
			}
			continue
		}
		var keys []scale.Value
		for _, k := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ')' }) {
			if strings.HasPrefix(k, "0x") {
				keys = append(keys, unhex(t, k))
				continue
			}
			n, _ := new(big.Int).SetString(k, 10)
			keys = append(keys, n)
		}
		seen++
		got, err := m.StorageKey(pallet, name, keys...)
		if err != nil || !bytes.Equal(got, unhex(t, want.Key)) {
			t.Errorf("%s: %x, %v, want %s", call, got, err, want.Key)
			continue
		}
		e, _ := m.Storage(pallet, name)
		if len(e.Hashers) != len(want.Hashers) || (e.Modifier == scale.Default) != (want.Modifier == "Default") {
			t.Errorf("%s: hashers %v, modifier %d", call, e.Hashers, e.Modifier)
		}
		if !strings.HasPrefix("0x"+hex.EncodeToString(e.Default), want.Default) && !strings.HasPrefix(want.Default, "0x"+hex.EncodeToString(e.Default)) {
			t.Errorf("%s: default %x, want %s", call, e.Default, want.Default)
		}
		if _, _, err := e.DecodeValue(m, nil); err != nil {
			t.Errorf("%s: default does not decode: %v", call, err)
		}
	}
	if seen < 40 {
		t.Errorf("only %d keys were compared", seen)
	}
}

func TestKeysOfOtherEntries(t *testing.T) {
	m := finney(t)
	key, err := m.StorageKey("SubtensorModule", "Axons", 30, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.StorageKey("SubtensorModule", "Tempo", 30, 1); !errors.Is(err, scale.ErrForm) {
		t.Errorf("two keys for a map of one: %v", err)
	}
	prefix, err := m.StorageKey("SubtensorModule", "Axons", 30)
	if err != nil || !bytes.HasPrefix(key, prefix) {
		t.Errorf("%x is no prefix of %x, %v", prefix, key, err)
	}
}

// TestEveryDefaultDecodes: each default and constant of three runtimes is a
// value of its own type, and is written again as it was.
func TestEveryDefaultDecodes(t *testing.T) {
	for _, name := range runtimes {
		m := parse(t, file(t, name))
		check := func(where string, id scale.TypeID, b []byte) {
			v, err := m.DecodeAll(id, b)
			if err != nil {
				t.Errorf("%s: %s: %v", name, where, err)
				return
			}
			again, err := m.Encode(nil, id, v)
			if err != nil || !bytes.Equal(again, b) {
				t.Errorf("%s: %s: %x comes back as %x, %v", name, where, b, again, err)
			}
		}
		n := 0
		for i := range m.Pallets {
			p := &m.Pallets[i]
			for j := range p.Constants {
				check(p.Name+"."+p.Constants[j].Name, p.Constants[j].Type, p.Constants[j].Value)
				n++
			}
			for j := range p.Storage {
				if e := &p.Storage[j]; e.Modifier == scale.Default {
					check(p.Name+"."+e.Name, e.Value, e.Default)
					n++
				}
			}
		}
		if n < 150 {
			t.Errorf("%s: only %d values", name, n)
		}
	}
}

// values turns the arguments of a JSON vector into values: hex text is bytes,
// other text and numbers are numbers.
func values(t testing.TB, v any) scale.Value {
	switch x := v.(type) {
	case []any:
		list := make([]scale.Value, len(x))
		for i := range x {
			list[i] = values(t, x[i])
		}
		return list
	case string:
		if strings.HasPrefix(x, "0x") {
			return unhex(t, x)
		}
		n, ok := new(big.Int).SetString(x, 10)
		if !ok {
			t.Fatalf("argument %q", x)
		}
		return n
	case json.Number:
		return values(t, x.String())
	}
	t.Fatalf("argument %v", v)
	return nil
}

// TestCalls: a call built by names has the bytes that the public JavaScript
// client makes, and reads back as what it was.
func TestCalls(t *testing.T) {
	m := finney(t)
	var v struct {
		Calls map[string]struct {
			Fn   string
			Args []any
			Call string
		}
	}
	d := json.NewDecoder(bytes.NewReader(file(t, "calls_spec393.json")))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	if len(v.Calls) < 15 {
		t.Fatalf("%d calls", len(v.Calls))
	}
	for name, c := range v.Calls {
		args := make([]scale.Value, len(c.Args))
		for i := range args {
			args[i] = values(t, c.Args[i])
		}
		got, err := m.AppendCall(nil, "SubtensorModule", c.Fn, args...)
		want := unhex(t, c.Call)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v, want %x", name, got, err, want)
			continue
		}
		call, err := m.DecodeCall(want)
		if err != nil || call.Pallet != "SubtensorModule" || call.Name != c.Fn {
			t.Errorf("%s: reads as %s.%s, %v", name, call.Pallet, call.Name, err)
			continue
		}
		for i := range args {
			args[i] = call.Args[i].Value
		}
		if again, err := m.AppendCall(nil, call.Pallet, call.Name, args...); err != nil || !bytes.Equal(again, want) {
			t.Errorf("%s: comes back as %x, %v", name, again, err)
		}
	}
}

func TestCallsRefused(t *testing.T) {
	m := finney(t)
	old := parse(t, file(t, "subtensor_spec143_v14.scale"))
	for _, c := range []struct {
		name, pallet, fn string
		m                *scale.Metadata
		args             []scale.Value
		want             error
	}{
		{"no such pallet", "Subtensor", "set_weights", m, nil, scale.ErrName},
		{"no such call", "SubtensorModule", "set_wheights", m, nil, scale.ErrName},
		{"a call of later runtimes", "SubtensorModule", "commit_timelocked_weights", old, nil, scale.ErrName},
		{"pallet without calls", "TransactionPayment", "pay", m, nil, scale.ErrName},
		{"an argument short", "SubtensorModule", "set_weights", m, []scale.Value{30}, scale.ErrForm},
		{"netuid over 16 bits", "SubtensorModule", "commit_weights", m, []scale.Value{1 << 16, make([]byte, 32)}, scale.ErrForm},
		{"negative netuid", "SubtensorModule", "commit_weights", m, []scale.Value{-1, make([]byte, 32)}, scale.ErrForm},
		{"hash of 31 bytes", "SubtensorModule", "commit_weights", m, []scale.Value{30, make([]byte, 31)}, scale.ErrForm},
		{"text for a number", "SubtensorModule", "commit_weights", m, []scale.Value{"30", make([]byte, 32)}, scale.ErrForm},
		{"nothing for a list", "SubtensorModule", "set_weights", m, []scale.Value{30, nil, nil, 0}, scale.ErrForm},
	} {
		if _, err := c.m.AppendCall(nil, c.pallet, c.fn, c.args...); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if !m.HasCall("SubtensorModule", "commit_timelocked_weights") || old.HasCall("SubtensorModule", "commit_timelocked_weights") {
		t.Error("which runtime has commit_timelocked_weights is not told")
	}
}

func TestEras(t *testing.T) {
	var rows []struct {
		Current, Period, Birth, Death uint64
		Hex                           string
	}
	vector(t, "eras.json", &rows)
	for _, c := range rows {
		e := scale.MortalEra(c.Period, c.Current)
		if got := e.Append(nil); !bytes.Equal(got, unhex(t, c.Hex)) {
			t.Errorf("%d from %d: %x, want %s", c.Period, c.Current, got, c.Hex)
		}
		if e.Birth(c.Current) != c.Birth && c.Period <= 4096 || e.Death(c.Current) != c.Death && c.Period <= 4096 {
			t.Errorf("%d from %d: lives %d to %d, want %d to %d", c.Period, c.Current, e.Birth(c.Current), e.Death(c.Current), c.Birth, c.Death)
		}
	}
	if e := (scale.Era{}); !bytes.Equal(e.Append(nil), []byte{0}) || e.Birth(9) != 0 || e.Death(9) != math.MaxUint64 {
		t.Error("the zero era is not immortal")
	}
}

// TestEraComesBack: an era reads back as written, and the block it was made at
// is in it.
func TestEraComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		block := rapid.Uint64Range(0, 1<<32).Draw(t, "block")
		e := scale.MortalEra(rapid.Uint64Range(0, 1<<17).Draw(t, "period"), block)
		r := scale.NewReader(e.Append(nil))
		if got := r.Era(); got != e || r.Done() != nil {
			t.Fatalf("%v comes back as %v, %v", e, got, r.Done())
		}
		if block < e.Birth(block) || block >= e.Death(block) {
			t.Fatalf("%v lives %d to %d, without %d", e, e.Birth(block), e.Death(block), block)
		}
	})
}

type signedVector struct {
	Name, Era, Call, Payload string
	EraHex                   string `json:"era_hex"`
	Nonce, Tip               uint64
	ToSign                   string `json:"to_sign"`
	Signature                string `json:"example_signature_with_type"`
	Extrinsic                string `json:"example_extrinsic"`
	Hash                     string `json:"extrinsic_hash"`
}

// terms of a vector: the hash of the era's first block is read off the payload,
// where only a last byte follows it.
func (v *signedVector) terms(t testing.TB, genesis [32]byte) scale.Terms {
	r := scale.NewReader(unhex(t, v.EraHex))
	terms := scale.Terms{Spec: 393, Transaction: 1, Genesis: genesis, Era: r.Era(), Nonce: v.Nonce, Tip: v.Tip}
	payload := unhex(t, v.Payload)
	copy(terms.Birth[:], payload[len(payload)-33:])
	return terms
}

// TestSignedPayloads: what is signed, and the extrinsic made of it, are what the
// public JavaScript client makes for spec 393.
func TestSignedPayloads(t *testing.T) {
	m := finney(t)
	var v struct {
		Genesis string `json:"genesis_hash"`
		Vectors []signedVector
	}
	vector(t, "signed_payloads_spec393.json", &v)
	genesis := [32]byte(unhex(t, v.Genesis))
	alice := [32]byte(unhex(t, "0xd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d"))
	for _, c := range v.Vectors {
		terms := c.terms(t, genesis)
		d, err := m.NewDraft(unhex(t, c.Call), terms)
		if err != nil {
			t.Errorf("%s %s: %v", c.Name, c.Era, err)
			continue
		}
		if got := d.Payload(); !bytes.Equal(got, unhex(t, c.ToSign)) {
			t.Errorf("%s %s: to sign %x, want %s", c.Name, c.Era, got, c.ToSign)
		}
		signature := [64]byte(unhex(t, c.Signature)[1:])
		got, err := d.Signed(alice, signature)
		if err != nil || !bytes.Equal(got, unhex(t, c.Extrinsic)) {
			t.Errorf("%s %s: %x, %v, want %s", c.Name, c.Era, got, err, c.Extrinsic)
		}
		if h := scale.Hash(got); !bytes.Equal(h[:], unhex(t, c.Hash)) {
			t.Errorf("%s %s: hash %x, want %s", c.Name, c.Era, h, c.Hash)
		}
		x, err := m.ParseExtrinsic(got)
		if err != nil {
			t.Errorf("%s %s: %v", c.Name, c.Era, err)
			continue
		}
		if !x.Signed || x.Signer != alice || x.Signature != signature || x.Era != terms.Era || x.Nonce != c.Nonce || x.Tip != c.Tip || !bytes.Equal(x.Call, unhex(t, c.Call)) {
			t.Errorf("%s %s: reads as %+v", c.Name, c.Era, x)
		}
		payload, err := m.Payload(x, scale.Terms{Spec: 393, Transaction: 1, Genesis: genesis, Birth: terms.Birth})
		if err != nil || !bytes.Equal(payload, unhex(t, c.ToSign)) {
			t.Errorf("%s %s: the endpoint checks %x, %v", c.Name, c.Era, payload, err)
		}
	}
}

// TestExtensionsByRuntime: each runtime's own list is followed, with and without
// a metadata hash.
func TestExtensionsByRuntime(t *testing.T) {
	for name, want := range map[string]struct{ extra, implicit int }{
		"finney.scale":                {5, 4 + 4 + 32 + 32 + 1},
		"subtensor_spec300_v14.scale": {5, 4 + 4 + 32 + 32 + 1},
		"subtensor_spec143_v14.scale": {4, 4 + 4 + 32 + 32},
	} {
		m := parse(t, file(t, name))
		if x := m.Extrinsic; m.Version == 14 && (x.Address == scale.NoType || x.Call == scale.NoType || x.Signature == scale.NoType || x.Extra == scale.NoType) {
			t.Errorf("%s: parts of the extrinsic are missing: %+v", name, x)
		}
		d, err := m.NewDraft(nil, scale.Terms{Era: scale.MortalEra(64, 1000)})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := len(d.Payload()); got != want.extra+want.implicit {
			t.Errorf("%s: %d bytes are signed beside the call, want %d", name, got, want.extra+want.implicit)
		}
		b, err := d.Signed([32]byte{1}, [64]byte{2})
		if err != nil || len(b) != 2+1+33+65+want.extra {
			t.Errorf("%s: extrinsic of %d bytes, %v", name, len(b), err)
		}
	}
}

// TestUnknownExtensionsAreRefused: one that adds no bytes is passed over; one
// that adds some would be signed blindly.
func TestUnknownExtensionsAreRefused(t *testing.T) {
	u32 := func(m *scale.Metadata) scale.TypeID {
		return scale.TypeID(slices.IndexFunc(m.Types, func(t scale.Type) bool { return t.Kind == scale.Primitive && t.Prim == scale.U32 }))
	}
	unit := func(m *scale.Metadata) scale.TypeID { return m.Extrinsic.Extensions[0].Extra }
	for _, c := range []struct {
		name string
		make func(*scale.Metadata) scale.Extension
		want error
	}{
		{"no bytes", func(m *scale.Metadata) scale.Extension { return scale.Extension{"CheckMood", unit(m), unit(m)} }, nil},
		{"bytes in the extrinsic", func(m *scale.Metadata) scale.Extension { return scale.Extension{"CheckMood", u32(m), unit(m)} }, scale.ErrExtension},
		{"bytes in what is signed", func(m *scale.Metadata) scale.Extension { return scale.Extension{"CheckMood", unit(m), u32(m)} }, scale.ErrExtension},
		{"known, of another type", func(m *scale.Metadata) scale.Extension { return scale.Extension{"CheckGenesis", unit(m), u32(m)} }, scale.ErrExtension},
	} {
		m := finney(t).Clone()
		m.Extrinsic.Extensions = append(m.Extrinsic.Extensions, c.make(m))
		if _, err := m.NewDraft(nil, scale.Terms{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}

	m := finney(t).Clone()
	d, err := m.NewDraft([]byte{0, 0, 0, 0, 0, 0, 0}, scale.Terms{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.Signed([32]byte{1}, [64]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	m.Extrinsic.Extensions = append(m.Extrinsic.Extensions, scale.Extension{"CheckMood", u32(m), unit(m)})
	if x, err := m.ParseExtrinsic(b); err == nil || !strings.Contains(err.Error(), "CheckMood") {
		t.Errorf("one that is submitted reads as %+v, %v", x, err)
	}
}

func TestExtrinsicsRefused(t *testing.T) {
	m := finney(t)
	d, err := m.NewDraft([]byte{0, 0, 0}, scale.Terms{})
	if err != nil {
		t.Fatal(err)
	}
	good, err := d.Signed([32]byte{1}, [64]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	change := func(at int, to byte) []byte {
		b := slices.Clone(good)
		b[at] = to
		return b
	}
	for name, b := range map[string][]byte{
		"empty":                     nil,
		"wrong length":              good[:len(good)-1],
		"version 3":                 change(2, 0x83),
		"general form of version 5": change(2, 0x45),
		"address by index":          change(3, 1),
		"ed25519":                   change(36, 0),
		"metadata hash asked for":   change(2+1+33+65+3, 1),
	} {
		if x, err := m.ParseExtrinsic(b); err == nil {
			t.Errorf("%s: reads as %+v", name, x)
		}
	}
	if x, err := m.ParseExtrinsic(scale.AppendBytes(nil, []byte{4, 2, 0, 0})); err != nil || x.Signed || !bytes.Equal(x.Call, []byte{2, 0, 0}) {
		t.Errorf("bare extrinsic reads as %+v, %v", x, err)
	}
}

// TestErrorNames: names by index are those that were listed from the chain.
func TestErrorNames(t *testing.T) {
	m := finney(t)
	p, err := m.Pallet("SubtensorModule")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(file(t, "finney.errors.txt"))) {
		index, rest, _ := strings.Cut(line, " ")
		want, _, _ := strings.Cut(rest, ":")
		i, ok := new(big.Int).SetString(index, 10)
		if !ok {
			continue
		}
		n++
		in, name, _, err := m.Error(p.Index, byte(i.Uint64()))
		if err != nil || in != "SubtensorModule" || name != want {
			t.Errorf("error %s is %s.%s, %v, want %s", index, in, name, err, want)
		}
		pallet, at, err := m.ErrorIndexes("SubtensorModule", want)
		if err != nil || pallet != p.Index || uint64(at) != i.Uint64() {
			t.Errorf("%s is error %d.%d, %v", want, pallet, at, err)
		}
	}
	if n < 100 {
		t.Errorf("%d errors", n)
	}
	if _, _, _, err := m.Error(p.Index, 255); !errors.Is(err, scale.ErrName) {
		t.Errorf("error 255: %v", err)
	}
}

// TestEvents: events read back as written, and one that cannot be read hides
// none before it and is named.
func TestEvents(t *testing.T) {
	m := finney(t)
	module := scale.Variant{Name: "Module", Fields: scale.Record{{Value: scale.Record{{"index", 7}, {"error", []byte{15, 0, 0, 0}}}}}}
	zeroInfo := func() scale.Value {
		id := eventField(t, m, "System", "ExtrinsicFailed", 1)
		for n := range 32 { // the least value of the type is zeros
			if v, err := m.DecodeAll(id, make([]byte, n)); err == nil {
				return v
			}
		}
		t.Fatal("no dispatch info of zeros")
		return nil
	}()
	b := scale.AppendCompact(nil, 3)
	var err error
	for _, e := range []struct {
		extrinsic    uint32
		pallet, name string
		fields       []scale.Value
	}{
		{1, "SubtensorModule", "WeightsSet", []scale.Value{30, 7}},
		{1, "System", "ExtrinsicSuccess", []scale.Value{zeroInfo}},
		{2, "System", "ExtrinsicFailed", []scale.Value{module, zeroInfo}},
	} {
		if b, err = m.AppendEvent(b, scale.ApplyExtrinsic, e.extrinsic, e.pallet, e.name, e.fields...); err != nil {
			t.Fatal(err)
		}
	}
	events, err := m.DecodeEvents(b)
	if err != nil || len(events) != 3 {
		t.Fatalf("%v, %v", events, err)
	}
	if e := events[0]; e.Extrinsic != 1 || e.Pallet != "SubtensorModule" || e.Name != "WeightsSet" || e.Fields[0].Value != uint64(30) || e.Fields[1].Value != uint64(7) {
		t.Errorf("%+v", e)
	}
	pallet, name, err := m.DispatchError(events[2].Fields[0].Value)
	if pallet != "SubtensorModule" || name != "NeuronNoValidatorPermit" || err != nil {
		t.Errorf("%s.%s, %v", pallet, name, err)
	}
	for what, bent := range map[string][]byte{
		"cut short":             b[:len(b)-2],
		"cut before its topics": b[:len(b)-1],
	} {
		events, err := m.DecodeEvents(bent)
		if err == nil || len(events) != 2 || !strings.Contains(err.Error(), "event 2 of 3, System.") {
			t.Errorf("%s: %d events, %v", what, len(events), err)
		}
	}
	topical, err := m.AppendEvent(scale.AppendCompact(nil, 2), scale.Initialization, 0, "SubtensorModule", "WeightsSet", 30, 7)
	if err != nil {
		t.Fatal(err)
	}
	topical[len(topical)-1] = 4 // one topic
	topical = append(topical, make([]byte, 32)...)
	topical, _ = m.AppendEvent(topical, scale.Finalization, 0, "SubtensorModule", "WeightsSet", 30, 8)
	if events, err := m.DecodeEvents(topical); err != nil || len(events) != 2 || events[1].Phase != scale.Finalization || events[1].Fields[1].Value != uint64(8) {
		t.Errorf("behind a topic: %+v, %v", events, err)
	}
	unknown := append(scale.AppendCompact(nil, 1), 0, 0, 0, 0, 0, 250, 0, 0)
	if _, err := m.DecodeEvents(unknown); err == nil || !strings.Contains(err.Error(), "pallet 250") {
		t.Errorf("event of an unknown pallet: %v", err)
	}
}

func eventField(t testing.TB, m *scale.Metadata, pallet, event string, field int) scale.TypeID {
	t.Helper()
	p, err := m.Pallet(pallet)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range m.Types[p.Events].Variants {
		if v.Name == event {
			return v.Fields[field].Type
		}
	}
	t.Fatalf("no event %s.%s", pallet, event)
	return 0
}

func TestDispatchErrors(t *testing.T) {
	m := finney(t)
	for _, c := range []struct {
		name         string
		in           scale.Value
		pallet, want string
	}{
		{"plain", scale.Variant{Name: "BadOrigin"}, "", "BadOrigin"},
		{"of tokens", scale.Variant{Name: "Token", Fields: scale.Record{{Value: scale.Variant{Name: "FundsUnavailable"}}}}, "", "Token.FundsUnavailable"},
		{"the system's", scale.Variant{Name: "Module", Fields: scale.Record{{Value: scale.Record{{"index", uint64(0)}, {"error", []byte{5, 0, 0, 0}}}}}}, "System", "CallFiltered"},
	} {
		if pallet, name, err := m.DispatchError(c.in); pallet != c.pallet || name != c.want || err != nil {
			t.Errorf("%s: %s.%s, %v", c.name, pallet, name, err)
		}
	}
	for _, in := range []scale.Value{nil, uint64(3), scale.Variant{Name: "Module"}, scale.Variant{Name: "Module", Fields: scale.Record{{Value: scale.Record{{"index", uint64(0)}, {"error", []byte{}}}}}}} {
		if _, _, err := m.DispatchError(in); err == nil {
			t.Errorf("%v has a name", in)
		}
	}
}

// TestPrune: a subset holds only what it names, and what it names means what it
// did.
func TestPrune(t *testing.T) {
	whole := finney(t)
	m := whole.Clone()
	m.Pallets = slices.DeleteFunc(m.Pallets, func(p scale.Pallet) bool { return p.Name != "System" && p.Name != "SubtensorModule" })
	for _, id := range []scale.TypeID{m.Outer.Call, m.Outer.Event, m.Outer.Error} {
		m.Types[id].Variants = slices.DeleteFunc(m.Types[id].Variants, func(v scale.VariantDef) bool { return v.Name != "System" && v.Name != "SubtensorModule" })
	}
	m.APIs = nil
	m = m.Prune()
	if len(m.Types) >= len(whole.Types)*3/4 || len(m.Types) < 50 {
		t.Errorf("%d of %d types are left", len(m.Types), len(whole.Types))
	}
	if len(whole.Pallets) < 20 || len(whole.Types[whole.Outer.Call].Variants) < 10 {
		t.Error("the whole was changed")
	}
	b, err := m.Append(nil, 14)
	if err != nil {
		t.Fatal(err)
	}
	got := parse(t, b)
	args := []scale.Value{30, []uint16{0, 1}, []uint16{65535, 7}, 1003}
	want, err := whole.AppendCall(nil, "SubtensorModule", "set_weights", args...)
	if err != nil {
		t.Fatal(err)
	}
	if call, err := got.AppendCall(nil, "SubtensorModule", "set_weights", args...); err != nil || !bytes.Equal(call, want) {
		t.Errorf("%x, %v, want %x", call, err, want)
	}
	d, err := got.NewDraft(want, scale.Terms{Nonce: 3})
	if err != nil {
		t.Fatal(err)
	}
	ref, _ := whole.NewDraft(want, scale.Terms{Nonce: 3})
	if !bytes.Equal(d.Payload(), ref.Payload()) {
		t.Errorf("%x, want %x", d.Payload(), ref.Payload())
	}
	kept := registry(scale.Type{Path: []string{"a"}}, scale.Type{Path: []string{"unused"}}, scale.Type{Path: []string{"b"}})
	kept.Extrinsic.Type, kept.Runtime = 2, 2 // which is looked at before the others, all of them 0
	if kept = kept.Prune(); len(kept.Types) != 2 || kept.Types[0].Path[0] != "a" || kept.Runtime != 1 {
		t.Errorf("types are not left in their order: %+v", kept.Types)
	}
	if again := m.Prune(); len(again.Types) != len(m.Types) {
		t.Errorf("pruned twice: %d types, %d", len(again.Types), len(m.Types))
	}
}

func TestCompact(t *testing.T) {
	for _, c := range []struct {
		v   uint64
		hex string
	}{
		{0, "00"}, {1, "04"}, {63, "fc"}, {64, "0101"}, {16383, "fdff"}, {16384, "02000100"}, {1<<30 - 1, "feffffff"},
		{1 << 30, "0300000040"}, {1<<32 - 1, "03ffffffff"}, {1 << 32, "070000000001"}, {math.MaxUint64, "13ffffffffffffffff"},
	} {
		if got := hex.EncodeToString(scale.AppendCompact(nil, c.v)); got != c.hex {
			t.Errorf("%d is %s, want %s", c.v, got, c.hex)
		}
		r := scale.NewReader(unhex(t, c.hex))
		if got := r.Compact(); got != c.v || r.Done() != nil {
			t.Errorf("%s is %d, %v, want %d", c.hex, got, r.Done(), c.v)
		}
	}
	for name, s := range map[string]string{
		"two bytes for one": "0100", "four bytes for two": "02000000", "big for four": "0300000000", "a zero on top": "070000000000",
		"nine bytes": "17000000000000000001", "cut short": "02ff", "nothing": "",
	} {
		r := scale.NewReader(unhex(t, s))
		if v := r.Compact(); r.Done() == nil || v != 0 {
			t.Errorf("%s: %d", name, v)
		}
	}
}

func TestCompactBigComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, "bytes"))
		b, err := scale.AppendCompactBig(nil, want)
		if err != nil {
			t.Fatal(err)
		}
		r := scale.NewReader(b)
		if got := r.CompactBig(); got.Cmp(want) != 0 || r.Done() != nil {
			t.Fatalf("%v comes back as %v, %v", want, got, r.Done())
		}
	})
	for _, v := range []*big.Int{big.NewInt(-1), new(big.Int).Lsh(big.NewInt(1), 256)} {
		if _, err := scale.AppendCompactBig(nil, v); !errors.Is(err, scale.ErrForm) {
			t.Errorf("%v: %v", v, err)
		}
	}
}

// registry is a metadata of types alone.
func registry(types ...scale.Type) *scale.Metadata { return &scale.Metadata{Types: types} }

func TestIntegers(t *testing.T) {
	big128 := new(big.Int).Lsh(big.NewInt(1), 127)
	for _, c := range []struct {
		prim scale.Prim
		v    scale.Value
		hex  string // "" for a number that does not fit
	}{
		{scale.U8, uint64(255), "ff"}, {scale.U8, 256, ""}, {scale.U16, uint64(258), "0201"}, {scale.U32, uint64(1), "01000000"},
		{scale.U64, uint64(math.MaxUint64), "ffffffffffffffff"}, {scale.U64, -1, ""},
		{scale.I8, int64(-1), "ff"}, {scale.I8, 128, ""}, {scale.I8, -129, ""}, {scale.I64, int64(math.MinInt64), "0000000000000080"},
		{scale.U128, big128, "00000000000000000000000000000080"}, {scale.I128, big128, ""},
		{scale.I128, new(big.Int).Neg(big128), "00000000000000000000000000000080"}, {scale.I128, big.NewInt(-2), "feffffffffffffffffffffffffffffff"},
		{scale.Bool, true, "01"}, {scale.Bool, 1, ""}, {scale.Str, "hi", "086869"}, {scale.Char, uint64('ß'), "df000000"},
	} {
		m := registry(scale.Type{Kind: scale.Primitive, Prim: c.prim})
		got, err := m.Encode(nil, 0, c.v)
		if c.hex == "" {
			if !errors.Is(err, scale.ErrForm) {
				t.Errorf("%v as %s: %x, %v", c.v, m.TypeName(0), got, err)
			}
			continue
		}
		if err != nil || hex.EncodeToString(got) != c.hex {
			t.Errorf("%v as %s: %x, %v, want %s", c.v, m.TypeName(0), got, err, c.hex)
		}
		v, err := m.DecodeAll(0, unhex(t, c.hex))
		if n, ok := v.(*big.Int); ok && n.Cmp(c.v.(*big.Int)) == 0 {
			v = c.v
		}
		if v != c.v || err != nil {
			t.Errorf("%s as %s: %v, %v, want %v", c.hex, m.TypeName(0), v, err, c.v)
		}
	}
	for prim, s := range map[scale.Prim]string{scale.Bool: "02", scale.Char: "00d80000", scale.U32: "010000"} {
		if v, err := registry(scale.Type{Kind: scale.Primitive, Prim: prim}).DecodeAll(0, unhex(t, s)); !errors.Is(err, scale.ErrForm) {
			t.Errorf("%s as primitive %d: %v, %v", s, prim, v, err)
		}
	}
}

// TestHostileTypes: metadata whose types nest without end, or whose values take
// no bytes, costs a bounded amount.
func TestHostileTypes(t *testing.T) {
	unit := scale.Type{Kind: scale.Tuple}
	for name, c := range map[string]struct {
		m  *scale.Metadata
		in []byte
	}{
		"a struct within itself":        {registry(scale.Type{Fields: []scale.FieldDef{{Type: 0}}}), nil},
		"a vector of vectors of itself": {registry(scale.Type{Kind: scale.Sequence, Elem: 0}), bytes.Repeat([]byte{4}, 1000)},
		"a compact of itself":           {registry(scale.Type{Kind: scale.Compact, Elem: 0}), []byte{4}},
		"a vector of nothings":          {registry(scale.Type{Kind: scale.Sequence, Elem: 1}, unit), []byte{0xfe, 0xff, 0xff, 0xff}},
		"an array of nothings":          {registry(scale.Type{Kind: scale.Array, Elem: 1, Len: math.MaxUint32}, unit), nil},
		"arrays of arrays of nothings":  {registry(scale.Type{Kind: scale.Array, Elem: 1, Len: 1 << 19}, scale.Type{Kind: scale.Array, Elem: 2, Len: 1 << 19}, unit), nil},
		"an array longer than its bytes": {registry(scale.Type{Kind: scale.Array, Elem: 1, Len: math.MaxUint32}, scale.Type{Kind: scale.Primitive, Prim: scale.U8}),
			[]byte{1}},
		"a type that is not there": {registry(scale.Type{Kind: scale.Sequence, Elem: 7}), []byte{4}},
		"bits of text":             {registry(scale.Type{Kind: scale.Bits, Elem: 1}, scale.Type{Kind: scale.Primitive, Prim: scale.Str}), []byte{4}},
		"more bits than bytes":     {registry(scale.Type{Kind: scale.Bits, Elem: 1}, scale.Type{Kind: scale.Primitive, Prim: scale.U8}), []byte{0x13, 255, 255, 255, 255, 255, 255, 255, 255}},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		v, err := c.m.DecodeAll(0, c.in)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, scale.ErrForm) {
			t.Errorf("%s: %.40v, %v", name, v, err)
		}
		if name == "a struct within itself" && !strings.Contains(err.Error(), "nested") {
			t.Errorf("%s: %v", name, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 100<<20 {
			t.Errorf("%s: %d bytes allocated", name, used)
		}
	}
}

func TestBitsAndOptions(t *testing.T) {
	m := registry(
		scale.Type{Kind: scale.Bits, Elem: 1},
		scale.Type{Kind: scale.Primitive, Prim: scale.U16},
		scale.Type{Path: []string{"Option"}, Kind: scale.Enum, Variants: []scale.VariantDef{{Name: "None"}, {Name: "Some", Index: 1, Fields: []scale.FieldDef{{Type: 1}}}}},
	)
	in := []byte{17 << 2, 1, 0, 1, 0} // 17 bits take two words
	v, err := m.DecodeAll(0, in)
	if diff := cmp.Diff(scale.BitSequence{Len: 17, Data: in[1:]}, v); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if b, err := m.Encode(nil, 0, v); err != nil || !bytes.Equal(b, in) {
		t.Errorf("%x, %v", b, err)
	}
}

func FuzzParse(f *testing.F) {
	m := registry(scale.Type{Kind: scale.Primitive, Prim: scale.U8}, scale.Type{Kind: scale.Enum, Path: []string{"a"}, Variants: []scale.VariantDef{{Name: "v", Fields: []scale.FieldDef{{Name: "f"}}}}})
	m.Pallets = []scale.Pallet{{Name: "P", Prefix: "P", Storage: []scale.Entry{{Name: "E", Key: 0, Hashers: []scale.Hasher{scale.Identity}}}, Calls: 1, Events: 1, Errors: 1, Constants: []scale.Constant{{Name: "C", Value: []byte{1}}}}}
	m.Extrinsic = scale.ExtrinsicForm{Type: scale.NoType, Extra: scale.NoType, Extensions: []scale.Extension{{Name: "CheckNonce"}}}
	m.APIs = []scale.API{{Name: "A", Methods: []scale.Method{{Name: "m", Inputs: []scale.Input{{Name: "i"}}}}}}
	for _, version := range []byte{14, 15} {
		b, err := m.Append(nil, version)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		b = slices.Clone(b)
		b[4] = 16
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := scale.Parse(b)
		if err != nil {
			return
		}
		for _, version := range []byte{14, 15} {
			out, err := m.Append(nil, version)
			if err != nil {
				t.Fatal(err)
			}
			again, err := scale.Parse(out)
			if err != nil {
				t.Fatalf("written as v%d it is not read: %v", version, err)
			}
			if len(again.Types) < len(m.Types) || len(again.Pallets) != len(m.Pallets) {
				t.Fatalf("%d types, %d pallets come back as %d, %d", len(m.Types), len(m.Pallets), len(again.Types), len(again.Pallets))
			}
		}
		m.Prune()
		_, _ = m.NewDraft(nil, scale.Terms{})
		_, _ = m.DecodeEvents(b)
		_, _ = m.ParseExtrinsic(b)
	})
}

func FuzzDecode(f *testing.F) {
	m := finney(f)
	for _, id := range []uint32{0, 1, 2, 3, uint32(m.Outer.Call), uint32(m.Outer.Event)} {
		f.Add(id, []byte{7, 0, 30, 0, 4, 1, 0, 4, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0})
	}
	f.Fuzz(func(t *testing.T, id uint32, b []byte) {
		if id %= uint32(len(m.Types)); len(b) > 1<<16 {
			return
		}
		r := scale.NewReader(b)
		v := m.Decode(scale.TypeID(id), r)
		left := r.Len() // none after a failure
		if r.Done() != nil && left == 0 {
			return
		}
		read := b[:len(b)-left]
		again, err := m.Encode(nil, scale.TypeID(id), v)
		if err != nil || !bytes.Equal(again, read) {
			t.Errorf("%s: %x comes back as %x, %v", m.TypeName(scale.TypeID(id)), read, again, err)
		}
	})
}

func FuzzParseExtrinsic(f *testing.F) {
	m := finney(f)
	d, err := m.NewDraft([]byte{7, 4}, scale.Terms{Era: scale.MortalEra(64, 9), Nonce: 300})
	if err != nil {
		f.Fatal(err)
	}
	b, err := d.Signed([32]byte{1}, [64]byte{2})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{16, 4, 2, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := m.ParseExtrinsic(b)
		if err != nil || !x.Signed {
			return
		}
		_, _ = m.DecodeCall(x.Call)
		d, err := m.NewDraft(x.Call, scale.Terms{Era: x.Era, Nonce: x.Nonce, Tip: x.Tip})
		if err != nil {
			t.Fatal(err)
		}
		again, err := d.Signed(x.Signer, x.Signature)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x comes back as %x, %v", b, again, err)
		}
	})
}

func FuzzDecodeEvents(f *testing.F) {
	m := finney(f)
	b, err := m.AppendEvent(scale.AppendCompact(nil, 1), scale.Finalization, 0, "SubtensorModule", "WeightsSet", 30, 7)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		events, err := m.DecodeEvents(b)
		if err == nil && len(events) > len(b)/4 {
			t.Errorf("%d events in %d bytes", len(events), len(b))
		}
	})
}

func BenchmarkParse(b *testing.B) {
	in := file(b, "finney.scale")
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := scale.Parse(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSetWeights(b *testing.B) {
	m := finney(b)
	uids := make([]uint16, 256)
	b.ReportAllocs()
	for b.Loop() {
		call, err := m.AppendCall(nil, "SubtensorModule", "set_weights", 30, uids, uids, 1003)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := m.NewDraft(call, scale.Terms{}); err != nil {
			b.Fatal(err)
		}
	}
}

package rpc

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"testing"

	"bettensor/node/chain"
	"bettensor/node/chain/scale"
)

var update = flag.Bool("update", false, "write the metadata that is compared anew")

// kept are the pallets of the subset. Nothing else is chosen by hand: what a
// kept pallet names stays, with the types it needs.
var kept = []string{"System", "Timestamp", "Aura", "SubtensorModule", "Drand"}

// answered are the runtime APIs that the endpoint answers.
var answered = map[string][]string{
	"Core":                 {"version"},
	"Metadata":             {"metadata", "metadata_at_version", "metadata_versions"},
	"AccountNonceApi":      {"account_nonce"},
	"NeuronInfoRuntimeApi": {"get_neurons_lite", "get_neuron_lite"},
}

// finney is the real chain's metadata, V16.
func finney(t testing.TB) *scale.Metadata {
	t.Helper()
	b, err := os.ReadFile("../../../testdata/chain/finney.scale")
	if err != nil {
		t.Fatal(err)
	}
	m, err := scale.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func subsetOf(real *scale.Metadata) *scale.Metadata {
	m := real.Clone()
	m.Pallets = slices.DeleteFunc(m.Pallets, func(p scale.Pallet) bool { return !slices.Contains(kept, p.Name) })
	for _, outer := range []scale.TypeID{m.Outer.Call, m.Outer.Event, m.Outer.Error} {
		t := &m.Types[outer]
		t.Variants = slices.DeleteFunc(t.Variants, func(v scale.VariantDef) bool { return !slices.Contains(kept, v.Name) })
	}
	m.APIs = slices.DeleteFunc(m.APIs, func(a scale.API) bool { return answered[a.Name] == nil })
	for i := range m.APIs {
		a := &m.APIs[i]
		a.Methods = slices.DeleteFunc(a.Methods, func(x scale.Method) bool { return !slices.Contains(answered[a.Name], x.Name) })
	}
	// V16 names the parts of an extrinsic by themselves; older forms, and clients,
	// look for the type that has them as parameters.
	m.Extrinsic.Type = extrinsicType(m)
	return m.Prune()
}

func TestMetadataIsASubset(t *testing.T) {
	want, err := subsetOf(finney(t)).Append(nil, 15)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("metadata.scale", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(subset, want) {
		t.Fatalf("metadata.scale (%d bytes) is not what comes of the real chain's (%d bytes): run with -update", len(subset), len(want))
	}
}

// What the endpoint publishes must have the real chain's indexes, or a client
// that works here fails there.
func TestMetadataKeepsIndexesAndKeys(t *testing.T) {
	real := finney(t)
	for _, version := range []byte{14, 15} {
		full, err := runtimeMetadata(chain.BlockTime)
		if err != nil {
			t.Fatal(err)
		}
		b, err := full.Append(nil, version)
		if err != nil {
			t.Fatal(err)
		}
		m, err := scale.Parse(b)
		if err != nil {
			t.Fatalf("V%d: %v", version, err)
		}
		for _, name := range kept {
			ours, err := m.Pallet(name)
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := real.Pallet(name)
			if err != nil {
				t.Fatal(err)
			}
			if ours.Index != theirs.Index || len(ours.Storage) != len(theirs.Storage) || len(ours.Constants) != len(theirs.Constants) {
				t.Errorf("V%d: pallet %s is not the real one", version, name)
			}
			for i := range ours.Storage {
				o, r := &ours.Storage[i], &theirs.Storage[i]
				if o.Name != r.Name || !bytes.Equal(o.Prefix(), r.Prefix()) || !slices.Equal(o.Hashers, r.Hashers) || o.Modifier != r.Modifier {
					t.Errorf("V%d: %s.%s differs", version, name, o.Name)
				}
			}
			for _, pair := range [][2]scale.TypeID{{ours.Calls, theirs.Calls}, {ours.Events, theirs.Events}, {ours.Errors, theirs.Errors}} {
				if pair[0] == scale.NoType || pair[1] == scale.NoType {
					if pair[0] != pair[1] {
						t.Errorf("V%d: %s lost an enum", version, name)
					}
					continue
				}
				o, r := m.Types[pair[0]].Variants, real.Types[pair[1]].Variants
				if !slices.EqualFunc(o, r, func(a, b scale.VariantDef) bool {
					return a.Name == b.Name && a.Index == b.Index && len(a.Fields) == len(b.Fields)
				}) {
					t.Errorf("V%d: variants of %s differ", version, name)
				}
			}
		}
		if len(m.Extrinsic.Extensions) != len(real.Extrinsic.Extensions) {
			t.Errorf("V%d: %d extensions, the real chain has %d", version, len(m.Extrinsic.Extensions), len(real.Extrinsic.Extensions))
		}
	}
}

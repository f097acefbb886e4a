package rpc

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"bettensor/node/chain/scale"
)

// subset is what the endpoint says of its runtime: the pallets, calls, events,
// errors, entries and runtime APIs that it keeps, of the real chain's metadata
// at spec 393, in version 15. It is made by the test that compares it, never by
// hand: go test ./sim/localnet/rpc -run TestMetadataIsASubset -update
//
//go:embed metadata.scale
var subset []byte

// The runtime whose metadata it is.
const (
	specVersion        = 393
	transactionVersion = 1
	specName           = "node-subtensor"
)

// runtimeMetadata reads the subset and writes the slot duration of this chain
// into the constants that clients take it from.
func runtimeMetadata(blockTime time.Duration) (*scale.Metadata, error) {
	m, err := scale.Parse(subset)
	if err != nil {
		return nil, fmt.Errorf("metadata of the endpoint: %w", err)
	}
	m.Extrinsic.Type = extrinsicType(m)
	ms := uint64(blockTime / time.Millisecond)
	for _, c := range []struct {
		pallet, name string
		value        uint64
	}{{"Aura", "SlotDuration", ms}, {"Timestamp", "MinimumPeriod", ms / 2}} {
		p, err := m.Pallet(c.pallet)
		if err != nil {
			return nil, fmt.Errorf("metadata of the endpoint: %w", err)
		}
		for i := range p.Constants {
			if p.Constants[i].Name == c.name {
				p.Constants[i].Value = binary.LittleEndian.AppendUint64(nil, c.value)
			}
		}
	}
	return m, nil
}

// extrinsicType is the generic extrinsic, by whose parameters clients find the
// runtime's types of address, call and signature. V15 has no field for it.
func extrinsicType(m *scale.Metadata) scale.TypeID {
	for i := range m.Types {
		if strings.Join(m.Types[i].Path, "::") == "sp_runtime::generic::unchecked_extrinsic::UncheckedExtrinsic" {
			return scale.TypeID(i)
		}
	}
	return scale.NoType
}

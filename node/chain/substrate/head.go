package substrate

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"bettensor/node/chain"
	"bettensor/node/chain/scale"

	"golang.org/x/crypto/blake2b"
)

// head is a block by number and hash.
type head struct {
	number chain.Block
	hash   [32]byte
}

// header is a block's header as JSON-RPC has it.
type header struct {
	ParentHash     hexBytes `json:"parentHash"`
	Number         string   `json:"number"`
	StateRoot      hexBytes `json:"stateRoot"`
	ExtrinsicsRoot hexBytes `json:"extrinsicsRoot"`
	Digest         struct {
		Logs []hexBytes `json:"logs"`
	} `json:"digest"`
}

// head computes the block's hash, blake2b-256 of the header in SCALE, rather
// than to ask for it: a request saved each block, and nothing to take on trust.
func (h *header) head() (head, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(h.Number, "0x"), 16, 64)
	if err != nil {
		return head{}, fmt.Errorf("header: number %.20q: %w", h.Number, err)
	}
	if len(h.ParentHash) != 32 || len(h.StateRoot) != 32 || len(h.ExtrinsicsRoot) != 32 {
		return head{}, fmt.Errorf("header of block %d: a hash is not 32 bytes", n)
	}
	b := append([]byte(nil), h.ParentHash...)
	b = scale.AppendCompact(b, n)
	b = append(append(b, h.StateRoot...), h.ExtrinsicsRoot...)
	b = scale.AppendCompact(b, uint64(len(h.Digest.Logs)))
	for _, l := range h.Digest.Logs {
		b = append(b, l...)
	}
	return head{chain.Block(n), blake2b.Sum256(b)}, nil
}

// hexBytes is bytes as JSON-RPC writes them: 0x and hex.
type hexBytes []byte

// MarshalJSON writes 0x and hex.
func (h hexBytes) MarshalJSON() ([]byte, error) { return json.Marshal(hexText(h)) }

// UnmarshalJSON reads 0x and hex.
func (h *hexBytes) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok {
		return fmt.Errorf("hex %.20q does not begin with 0x", s)
	}
	raw, err := hex.DecodeString(digits)
	*h = raw
	return err
}

func hexText(b []byte) string { return "0x" + hex.EncodeToString(b) }

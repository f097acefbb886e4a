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
	Number         quantity `json:"number"`
	StateRoot      hexBytes `json:"stateRoot"`
	ExtrinsicsRoot hexBytes `json:"extrinsicsRoot"`
	Digest         struct {
		Logs digestLogs `json:"logs"`
	} `json:"digest"`
}

// head computes the block's hash, blake2b-256 of the header in SCALE, rather
// than to ask for it: a request saved each block, and nothing to take on trust.
func (h *header) head() (head, error) {
	n := uint64(h.Number)
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

// quantity is a number as JSON-RPC writes it: 0x and hex, most significant digit
// first; some chains for tests write a plain number.
type quantity uint64

// MarshalJSON writes 0x and hex.
func (q quantity) MarshalJSON() ([]byte, error) { return json.Marshal(fmt.Sprintf("%#x", uint64(q))) }

// UnmarshalJSON reads 0x and hex, or a plain number.
func (q *quantity) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		return json.Unmarshal(b, (*uint64)(q))
	}
	digits, ok := strings.CutPrefix(s, "0x")
	n, err := strconv.ParseUint(digits, 16, 64)
	if err != nil || !ok {
		return fmt.Errorf("number %.20q is not 0x and hex", s)
	}
	*q = quantity(n)
	return nil
}

// digestLogs are the bytes of a header's digest. Where a chain for tests writes
// them in a form of its own, they are one empty log: the header's hash is then not
// the block's, which tells.
type digestLogs []hexBytes

// UnmarshalJSON reads a list of bytes, or of anything.
func (d *digestLogs) UnmarshalJSON(b []byte) error {
	var logs []hexBytes
	if json.Unmarshal(b, &logs) != nil {
		logs = []hexBytes{nil}
	}
	*d = logs
	return nil
}

// hexBytes is bytes as JSON-RPC writes them: 0x and hex.
type hexBytes []byte

// MarshalJSON writes 0x and hex.
func (h hexBytes) MarshalJSON() ([]byte, error) { return json.Marshal(hexText(h)) }

// UnmarshalJSON reads 0x and hex; null leaves h as it is.
func (h *hexBytes) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
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

package rpc

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// fault is a JSON-RPC error as it goes out.
type fault struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

// Codes of JSON-RPC itself.
const (
	codeParse      = -32700
	codeInvalid    = -32600
	codeNoMethod   = -32601
	codeParams     = -32602
	codeUnanswered = -32000 // the server's own: a limit was reached
	codeState      = 4003   // state of a block that is not kept
)

func badParams(format string, args ...any) *fault {
	return &fault{Code: codeParams, Message: "Invalid params", Data: fmt.Sprintf(format, args...)}
}

// request is one call. A request without an id is a notification: it is
// carried out, and nobody is told.
type request struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
}

type reply struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  any             `json:"result"`
}

type refusal struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Error   *fault          `json:"error"`
}

// push is what a subscription sends.
type push struct {
	Version string `json:"jsonrpc"`
	Method  string `json:"method"`
	Params  struct {
		Subscription string `json:"subscription"`
		Result       any    `json:"result"`
	} `json:"params"`
}

// split reads a frame as one request or a batch.
func split(frame []byte) (calls []request, batch bool, f *fault) {
	frame = bytes.TrimSpace(frame)
	if len(frame) > 0 && frame[0] == '[' {
		if err := json.Unmarshal(frame, &calls); err != nil {
			return nil, true, malformed(frame)
		}
		switch {
		case len(calls) == 0:
			return nil, true, &fault{Code: codeInvalid, Message: "Invalid request"}
		case len(calls) > maxBatch:
			return nil, true, &fault{Code: -32010, Message: fmt.Sprintf("The batch request was too large, at most %d requests are taken", maxBatch)}
		}
		return calls, true, nil
	}
	calls = make([]request, 1)
	if err := json.Unmarshal(frame, &calls[0]); err != nil {
		return nil, false, malformed(frame)
	}
	return calls, false, nil
}

// malformed tells JSON of the wrong shape from what is no JSON.
func malformed(frame []byte) *fault {
	if json.Valid(frame) {
		return &fault{Code: codeInvalid, Message: "Invalid request"}
	}
	return &fault{Code: codeParse, Message: "Parse error"}
}

// params are a call's arguments by place. Absent and null are the same.
type params []json.RawMessage

func (q *request) params() (params, *fault) {
	if len(q.Params) == 0 || bytes.Equal(q.Params, []byte("null")) {
		return nil, nil
	}
	var p params
	if err := json.Unmarshal(q.Params, &p); err != nil {
		return nil, badParams("params of %s are not a list", q.Method)
	}
	return p, nil
}

func (p params) has(i int) bool {
	return i < len(p) && !bytes.Equal(bytes.TrimSpace(p[i]), []byte("null"))
}

func (p params) into(i int, what string, v any) *fault {
	if !p.has(i) {
		return badParams("parameter %d, %s, is missing", i, what)
	}
	if err := json.Unmarshal(p[i], v); err != nil {
		return badParams("parameter %d is not %s", i, what)
	}
	return nil
}

// bytes reads hex with 0x.
func (p params) bytes(i int, what string) ([]byte, *fault) {
	var s string
	if f := p.into(i, what, &s); f != nil {
		return nil, f
	}
	b, err := unhex(s)
	if err != nil {
		return nil, badParams("parameter %d, %s: %v", i, what, err)
	}
	return b, nil
}

func (p params) text(i int, what string) (string, *fault) {
	var s string
	return s, p.into(i, what, &s)
}

// keys reads a list of storage keys.
func (p params) keys(i int) ([]string, *fault) {
	var list []string
	if f := p.into(i, "a list of storage keys", &list); f != nil {
		return nil, f
	}
	if len(list) > maxKeys {
		return nil, badParams("%d keys, at most %d are read at once", len(list), maxKeys)
	}
	for j, s := range list {
		b, err := unhex(s)
		if err != nil {
			return nil, badParams("storage key %d: %v", j, err)
		}
		list[j] = string(b)
	}
	return list, nil
}

// number reads a block number: JSON's own, or hex.
func number(raw json.RawMessage) (uint64, bool) {
	var n uint64
	if json.Unmarshal(raw, &n) == nil {
		return n, true
	}
	var s string
	if json.Unmarshal(raw, &s) != nil || !strings.HasPrefix(s, "0x") {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:], 16, 64)
	return n, err == nil
}

func unhex(s string) ([]byte, error) {
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok {
		return nil, fmt.Errorf("no 0x in front")
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		return nil, fmt.Errorf("not hexadecimal")
	}
	return b, nil
}

// hexed is bytes that JSON shows as 0x….
type hexed []byte

// MarshalJSON writes the digits.
func (h hexed) MarshalJSON() ([]byte, error) {
	out := make([]byte, 0, len(h)*2+4)
	out = append(out, `"0x`...)
	out = hex.AppendEncode(out, h)
	return append(out, '"'), nil
}

// value is a storage value in JSON: null where there is none.
func value(b []byte) any {
	if b == nil {
		return nil
	}
	return hexed(b)
}

func quantity(n uint64) string { return "0x" + strconv.FormatUint(n, 16) }

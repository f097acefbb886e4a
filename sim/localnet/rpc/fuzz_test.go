package rpc

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"bettensor/node/chain/chaintest"
	"bettensor/node/chain/scale"
)

// unbound is an endpoint that listens nowhere, and a block further.
func unbound(t testing.TB) *Server {
	t.Helper()
	s, err := New(plainSubnet())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.makeBlock(); err != nil {
		t.Fatal(err)
	}
	return s
}

// FuzzFrame: whatever a client sends, the endpoint answers with JSON or not at
// all, and goes on.
func FuzzFrame(f *testing.F) {
	for name := range methods {
		f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"` + name + `","params":["0x00",1,null]}`))
		f.Add([]byte(`[{"jsonrpc":"2.0","id":1,"method":"` + name + `","params":[["0x00"],"0x` + strings.Repeat("00", 32) + `"]}]`))
	}
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"state_call","params":["NeuronInfoRuntimeApi_get_neurons_lite","0x1e00"]}`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"system_accountNextIndex","params":["5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"]}`))
	s := unbound(f)
	f.Fuzz(func(t *testing.T, frame []byte) {
		c := &conn{out: make(chan []byte, maxQueue), gone: make(chan struct{})}
		for _, client := range []*conn{nil, c} {
			s.answer(client, frame, func(b []byte) {
				if !json.Valid(b) {
					t.Fatalf("answer is no JSON: %q", b)
				}
			})
		}
		s.mu.Lock()
		s.unsubscribe(c, "")
		s.mu.Unlock()
	})
}

// FuzzExtrinsic: no bytes get into the pool but what its key's owner signed.
func FuzzExtrinsic(f *testing.F) {
	s := unbound(f)
	c := &client{t: f, meta: s.meta}
	h := chaintest.Hotkey(1)
	terms := scale.Terms{Spec: specVersion, Transaction: transactionVersion, Genesis: s.genesis, Birth: s.genesis, Era: scale.MortalEra(64, 0)}
	calls := [][]byte{
		c.encodeCall("System", "remark", []byte("x")),
		c.encodeCall("SubtensorModule", "set_weights", netuid, []uint16{1}, []uint16{1}, 0),
		c.encodeCall("SubtensorModule", "serve_axon", netuid, 1, 1, 1, 4, 0, 0, 0),
		c.encodeCall("SubtensorModule", "batch_reveal_weights", netuid, [][]uint16{{1}}, [][]uint16{{1}}, [][]uint16{{1}}, []uint64{0}),
	}
	for _, call := range calls {
		x := c.sign(h, terms, call)
		f.Add(x)
		f.Add(x[:len(x)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s.mu.Lock()
		defer s.mu.Unlock()
		p, refused := s.check(b)
		// Signatures differ from one process to the next, what was signed does not.
		signed := func(call []byte) bool { return bytes.HasSuffix(b, call) }
		if refused == nil && (p.signer != h || p.nonce != 0 || !slices.ContainsFunc(calls, signed)) {
			t.Fatalf("taken, and nobody signed it: %+v", p)
		}
	})
}

// FuzzCall: a call of any bytes, signed by a validator, makes a block whose
// events can be read.
func FuzzCall(f *testing.F) {
	s := unbound(f)
	c := &client{t: f, meta: s.meta}
	f.Add(c.encodeCall("SubtensorModule", "set_weights", netuid, []uint16{1}, []uint16{1}, 0))
	f.Add(c.encodeCall("SubtensorModule", "commit_timelocked_weights", netuid, []byte{1}, 1<<40, 4))
	f.Add(c.encodeCall("SubtensorModule", "serve_axon", netuid, 1, 1, 1, 4, 0, 0, 0))
	f.Add(c.encodeCall("SubtensorModule", "batch_reveal_weights", netuid, [][]uint16{{1}}, [][]uint16{{1}}, [][]uint16{{1}}, []uint64{0}))
	f.Fuzz(func(t *testing.T, b []byte) {
		call, err := s.meta.DecodeCall(b)
		if err != nil {
			return
		}
		s := unbound(t)
		o := s.operation(chaintest.Hotkey(0), &call)
		s.precheck(&o)
		run := &execution{meta: s.meta}
		s.apply(run, 0, s.best().time, &o)
		if run.err != nil {
			t.Fatal(run.err)
		}
		if _, err := s.meta.DecodeEvents(run.value()); err != nil {
			t.Fatalf("events: %v", err)
		}
		if err := s.makeBlock(); err != nil {
			t.Fatal(err)
		}
	})
}

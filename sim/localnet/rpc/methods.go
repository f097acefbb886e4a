package rpc

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"bettensor/node/chain"
	"bettensor/node/chain/scale"

	"golang.org/x/crypto/blake2b"
)

// method answers one RPC. It is called with the lock held; then, where not nil,
// runs right after the reply was queued.
type method func(s *Server, c *conn, p params) (result any, then func(), f *fault)

// methods is all that is offered; rpc_methods lists it.
var methods map[string]method

// subscriptions are the calls that begin one, with the method of their pushes
// and the calls that end them. HTTP has none of these.
var subscriptions = []struct{ begin, push, end string }{
	{"state_subscribeRuntimeVersion", "state_runtimeVersion", "state_unsubscribeRuntimeVersion"},
	{"state_subscribeStorage", "state_storage", "state_unsubscribeStorage"},
	{"chain_subscribeNewHeads", "chain_newHead", "chain_unsubscribeNewHeads"},
	{"chain_subscribeNewHead", "chain_newHead", "chain_unsubscribeNewHead"},
	{"chain_subscribeAllHeads", "chain_allHead", "chain_unsubscribeAllHeads"},
	{"chain_subscribeFinalizedHeads", "chain_finalizedHead", "chain_unsubscribeFinalizedHeads"},
	{"author_submitAndWatchExtrinsic", "author_extrinsicUpdate", "author_unwatchExtrinsic"},
}

func init() {
	methods = map[string]method{
		"rpc_methods": plain(func(s *Server) any {
			names := []string{}
			for name := range methods {
				names = append(names, name)
			}
			slices.Sort(names)
			return map[string]any{"methods": names}
		}),

		"system_name":    plain(func(*Server) any { return "Bettensor localnet" }),
		"system_version": plain(func(*Server) any { return "1.0.0" }),
		"system_chain":   plain(func(*Server) any { return "Localnet" }),
		"system_chainType": plain(func(*Server) any {
			return "Local"
		}),
		"system_properties": plain(func(*Server) any {
			return map[string]any{"ss58Format": 42, "tokenDecimals": 9, "tokenSymbol": "TAO"}
		}),
		"system_health": plain(func(*Server) any {
			return map[string]any{"peers": 0, "isSyncing": false, "shouldHavePeers": false}
		}),
		"system_syncState": plain(func(s *Server) any {
			return map[string]uint64{"startingBlock": 0, "currentBlock": s.best().number, "highestBlock": s.best().number}
		}),
		"system_accountNextIndex": (*Server).accountNextIndex,

		"chain_getBlockHash":     (*Server).getBlockHash,
		"chain_getFinalizedHead": plain(func(s *Server) any { h := s.finalised().hash; return hexed(h[:]) }),
		"chain_getHeader": func(s *Server, _ *conn, p params) (any, func(), *fault) {
			b, f := s.blockOf(p, 0)
			if f != nil || b == nil {
				return nil, nil, f
			}
			return b.header(), nil, nil
		},
		"chain_getBlock": func(s *Server, _ *conn, p params) (any, func(), *fault) {
			b, f := s.blockOf(p, 0)
			if f != nil || b == nil {
				return nil, nil, f
			}
			body := make([]hexed, len(b.extrinsics))
			for i, x := range b.extrinsics {
				body[i] = x
			}
			return map[string]any{
				"block":          map[string]any{"header": b.header(), "extrinsics": body},
				"justifications": nil,
			}, nil, nil
		},

		"state_getRuntimeVersion": func(s *Server, _ *conn, p params) (any, func(), *fault) {
			if _, f := s.stateOf(p, 0); f != nil {
				return nil, nil, f
			}
			return s.runtimeVersion(), nil, nil
		},
		"state_getMetadata": func(s *Server, _ *conn, p params) (any, func(), *fault) {
			if _, f := s.stateOf(p, 0); f != nil {
				return nil, nil, f
			}
			return hexed(s.v14), nil, nil
		},
		"state_getStorage": func(s *Server, _ *conn, p params) (any, func(), *fault) {
			v, f := s.storage(p)
			return value(v), nil, f
		},
		"state_getStorageHash": func(s *Server, _ *conn, p params) (any, func(), *fault) {
			v, f := s.storage(p)
			if f != nil || v == nil {
				return nil, nil, f
			}
			sum := blake2b.Sum256(v)
			return hexed(sum[:]), nil, nil
		},
		"state_getStorageSize": func(s *Server, _ *conn, p params) (any, func(), *fault) {
			v, f := s.storage(p)
			if f != nil || v == nil {
				return nil, nil, f
			}
			return len(v), nil, nil
		},
		"state_queryStorageAt": (*Server).queryStorageAt,
		"state_getKeysPaged":   (*Server).getKeysPaged,
		"state_call":           (*Server).stateCall,

		"author_submitExtrinsic":   (*Server).submitExtrinsic,
		"author_pendingExtrinsics": (*Server).pendingExtrinsics,

		"state_subscribeRuntimeVersion":  (*Server).subscribeRuntimeVersion,
		"state_subscribeStorage":         (*Server).subscribeStorage,
		"chain_subscribeNewHeads":        heads("chain_newHead", (*Server).best),
		"chain_subscribeNewHead":         heads("chain_newHead", (*Server).best),
		"chain_subscribeAllHeads":        heads("chain_allHead", (*Server).best),
		"chain_subscribeFinalizedHeads":  heads("chain_finalizedHead", (*Server).finalised),
		"author_submitAndWatchExtrinsic": (*Server).submitAndWatch,
	}
	// Names that nodes have had for the same calls.
	for alias, name := range map[string]string{
		"chain_getHead":           "chain_getBlockHash",
		"chain_getFinalisedHead":  "chain_getFinalizedHead",
		"chain_getRuntimeVersion": "state_getRuntimeVersion",
		"state_getStorageAt":      "state_getStorage",
		"state_getKeysPagedAt":    "state_getKeysPaged",
		"account_nextIndex":       "system_accountNextIndex",
	} {
		methods[alias] = methods[name]
	}
	for _, x := range subscriptions {
		methods[x.end] = func(s *Server, c *conn, p params) (any, func(), *fault) {
			id, f := p.text(0, "a subscription's id")
			if f != nil {
				return nil, nil, f
			}
			return s.unsubscribe(c, id), nil, nil
		}
	}
}

// plain is a method that takes nothing and cannot fail.
func plain(answer func(*Server) any) method {
	return func(s *Server, _ *conn, _ params) (any, func(), *fault) { return answer(s), nil, nil }
}

// dispatch finds the method and answers.
func (s *Server) dispatch(c *conn, q *request) (any, func(), *fault) {
	m, ok := methods[q.Method]
	onlySocket := func() bool {
		for _, x := range subscriptions {
			if x.begin == q.Method || x.end == q.Method {
				return true
			}
		}
		return false
	}
	if !ok || c == nil && onlySocket() {
		return nil, nil, &fault{Code: codeNoMethod, Message: "Method not found"}
	}
	p, f := q.params()
	if f != nil {
		return nil, nil, f
	}
	return m(s, c, p)
}

// blockOf is the block whose hash is parameter i, the best one where there is
// none, nil where no such block is kept.
func (s *Server) blockOf(p params, i int) (*block, *fault) {
	if !p.has(i) {
		return s.best(), nil
	}
	b, f := p.bytes(i, "a block hash")
	if f != nil {
		return nil, f
	}
	if len(b) != 32 {
		return nil, badParams("a block hash of %d bytes", len(b))
	}
	return s.byHash[[32]byte(b)], nil
}

// stateOf is blockOf for what needs the block's state, and says why there is
// none.
func (s *Server) stateOf(p params, i int) (*block, *fault) {
	b, f := s.blockOf(p, i)
	switch {
	case f != nil:
		return nil, f
	case b == nil:
		return nil, &fault{Code: codeState, Message: "Client error: UnknownBlock: Header was not found in the database"}
	case b.number < s.ledger.state.oldest:
		return nil, &fault{Code: codeState, Message: fmt.Sprintf("Client error: UnknownBlock: State already discarded for 0x%x; the last %d blocks are kept", b.hash, keepStates)}
	}
	return b, nil
}

func (s *Server) storage(p params) ([]byte, *fault) {
	key, f := p.bytes(0, "a storage key")
	if f != nil {
		return nil, f
	}
	b, f := s.stateOf(p, 1)
	if f != nil {
		return nil, f
	}
	return s.ledger.state.at(b.number, string(key)), nil
}

func (s *Server) getBlockHash(_ *conn, p params) (any, func(), *fault) {
	one := func(raw json.RawMessage) (any, *fault) {
		n, ok := number(raw)
		if !ok {
			return nil, badParams("not a block number: %.40s", raw)
		}
		if n >= uint64(len(s.hashes)) {
			return nil, nil
		}
		return hexed(s.hashes[n][:]), nil
	}
	if !p.has(0) {
		return hexed(s.best().hash[:]), nil, nil
	}
	var list []json.RawMessage
	if json.Unmarshal(p[0], &list) != nil {
		h, f := one(p[0])
		return h, nil, f
	}
	if len(list) > maxKeys {
		return nil, nil, badParams("%d block numbers, at most %d", len(list), maxKeys)
	}
	out := make([]any, len(list))
	for i := range list {
		var f *fault
		if out[i], f = one(list[i]); f != nil {
			return nil, nil, f
		}
	}
	return out, nil, nil
}

// changes is a set of storage values as JSON has it.
func (s *Server) changes(b *block, keys []string) any {
	pairs := make([][2]any, len(keys))
	for i, k := range keys {
		pairs[i] = [2]any{hexed(k), value(s.ledger.state.at(b.number, k))}
	}
	return map[string]any{"block": hexed(b.hash[:]), "changes": pairs}
}

func (s *Server) queryStorageAt(_ *conn, p params) (any, func(), *fault) {
	keys, f := p.keys(0)
	if f != nil {
		return nil, nil, f
	}
	b, f := s.stateOf(p, 1)
	if f != nil {
		return nil, nil, f
	}
	return []any{s.changes(b, keys)}, nil, nil
}

func (s *Server) getKeysPaged(_ *conn, p params) (any, func(), *fault) {
	var prefix, after []byte
	var f *fault
	if p.has(0) {
		if prefix, f = p.bytes(0, "a prefix of keys"); f != nil {
			return nil, nil, f
		}
	}
	count := uint32(0)
	if f := p.into(1, "a number of keys", &count); f != nil {
		return nil, nil, f
	}
	if count > maxPage {
		return nil, nil, &fault{Code: -32602, Message: fmt.Sprintf("count exceeds maximum value. value: %d, max: %d", count, maxPage)}
	}
	if p.has(2) {
		if after, f = p.bytes(2, "a key"); f != nil {
			return nil, nil, f
		}
	}
	b, f := s.stateOf(p, 3)
	if f != nil {
		return nil, nil, f
	}
	keys := s.ledger.state.page(b.number, string(prefix), string(after), int(count))
	out := make([]hexed, len(keys))
	for i, k := range keys {
		out[i] = hexed(k)
	}
	return out, nil, nil
}

// runtimeVersion is what clients decide by. Of an API that is offered the hash
// of its name stands there, with the version whose methods are answered.
func (s *Server) runtimeVersion() any {
	apis := [][2]any{}
	for i := range s.meta.APIs {
		a := &s.meta.APIs[i]
		apis = append(apis, [2]any{hexed(apiID(a.Name)), apiVersion(a.Name)})
	}
	return map[string]any{
		"specName": specName, "implName": specName, "authoringVersion": 1, "specVersion": specVersion, "implVersion": 1,
		"transactionVersion": transactionVersion, "stateVersion": 1, "apis": apis,
	}
}

func apiID(name string) []byte {
	h, err := blake2b.New(8, nil)
	if err != nil {
		panic(err) // 8 is a length it takes
	}
	h.Write([]byte(name))
	return h.Sum(nil)
}

func apiVersion(name string) uint32 {
	switch name {
	case "Core":
		return 5
	case "Metadata":
		return 2
	}
	return 1
}

// stateCall answers runtime APIs of the metadata.
func (s *Server) stateCall(_ *conn, p params) (any, func(), *fault) {
	name, f := p.text(0, "the name of a runtime call")
	if f != nil {
		return nil, nil, f
	}
	args := []byte(nil)
	if p.has(1) {
		if args, f = p.bytes(1, "arguments"); f != nil {
			return nil, nil, f
		}
	}
	b, f := s.stateOf(p, 2)
	if f != nil {
		return nil, nil, f
	}
	out, err := s.runtimeCall(b, name, args)
	if err != nil {
		return nil, nil, &fault{Code: codeState, Message: "Client error: Execution failed: " + err.Error()}
	}
	return hexed(out), nil, nil
}

func (s *Server) runtimeCall(b *block, name string, args []byte) ([]byte, error) {
	api, fn, _ := strings.Cut(name, "_")
	// API names hold no underscore; a method's may.
	m, err := s.meta.Method(api, fn)
	if err != nil {
		return nil, fmt.Errorf("Exported method %s is not found", name)
	}
	r := scale.NewReader(args)
	in := make([]scale.Value, len(m.Inputs))
	for i := range m.Inputs {
		in[i] = s.meta.Decode(m.Inputs[i].Type, r)
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("arguments of %s: %w", name, err)
	}
	out, err := s.runtimeAnswer(b, name, in)
	if raw, ok := out.(rawScale); ok || err != nil {
		return raw, err
	}
	enc, err := s.meta.Encode(nil, m.Output, out)
	if err != nil {
		return nil, fmt.Errorf("answer of %s: %w", name, err)
	}
	return enc, nil
}

// rawScale is an answer that is SCALE already.
type rawScale []byte

func (s *Server) runtimeAnswer(b *block, name string, in []scale.Value) (scale.Value, error) {
	opaque := func(meta []byte) rawScale { return scale.AppendBytes(nil, meta) }
	number := func(i int) uint64 { n, _ := in[i].(uint64); return n }
	switch name {
	case "Core_version":
		apis := []scale.Value{}
		for i := range s.meta.APIs {
			n := s.meta.APIs[i].Name
			apis = append(apis, []scale.Value{apiID(n), apiVersion(n)})
		}
		return scale.Record{{Value: specName}, {Value: specName}, {Value: 1}, {Value: specVersion}, {Value: 1}, {Value: apis}, {Value: transactionVersion}, {Value: 1}}, nil
	case "Metadata_metadata":
		return opaque(s.v14), nil
	case "Metadata_metadata_versions":
		return []uint32{14, 15}, nil
	case "Metadata_metadata_at_version":
		switch number(0) {
		case 14:
			return append(rawScale{1}, opaque(s.v14)...), nil
		case 15:
			return append(rawScale{1}, opaque(s.v15)...), nil
		}
		return rawScale{0}, nil
	case "AccountNonceApi_account_nonce":
		who, ok := in[0].([]byte)
		if !ok || len(who) != 32 {
			return nil, fmt.Errorf("not an account")
		}
		return s.ledger.nonceAt(b.number, [32]byte(who)), nil
	case "NeuronInfoRuntimeApi_get_neurons_lite":
		list := []scale.Value{}
		if number(0) == uint64(s.cfg.Subnet.Netuid) {
			for i := range b.subnet.Neurons {
				list = append(list, s.neuronLite(b, i))
			}
		}
		return list, nil
	case "NeuronInfoRuntimeApi_get_neuron_lite":
		if uid := number(1); number(0) == uint64(s.cfg.Subnet.Netuid) && uid < uint64(len(b.subnet.Neurons)) {
			return scale.Variant{Name: "Some", Fields: scale.Record{{Value: s.neuronLite(b, int(uid))}}}, nil
		}
		return scale.Variant{Name: "None"}, nil
	}
	return nil, fmt.Errorf("Exported method %s is not found", name)
}

func (s *Server) accountNextIndex(_ *conn, p params) (any, func(), *fault) {
	text, f := p.text(0, "an account")
	if f != nil {
		return nil, nil, f
	}
	h := chain.Hotkey(text)
	if strings.HasPrefix(text, "0x") {
		b, err := hex.DecodeString(text[2:])
		if err != nil || len(b) != 32 {
			return nil, nil, badParams("not an account")
		}
		h = chain.EncodeSS58([32]byte(b))
	} else if _, err := h.PublicKey(); err != nil {
		return nil, nil, badParams("%v", err)
	}
	return s.nextNonce(h), nil, nil
}

// subscribe begins a subscription, unless the connection has too many.
func (s *Server) subscribe(c *conn, sub *subscription) *fault {
	held := c.opening
	for _, x := range s.subs {
		if x.conn == c {
			held++
		}
	}
	if held >= maxSubscriptions {
		return &fault{Code: -32006, Message: "Too many subscriptions on the connection", Data: fmt.Sprintf("Exceeded max limit of %d", maxSubscriptions)}
	}
	c.opening++
	s.lastSub++
	sub.conn = c
	sub.id = fmt.Sprintf("%016x", s.lastSub)
	return nil
}

// unsubscribe ends one subscription of a connection, all where id is "".
func (s *Server) unsubscribe(c *conn, id string) bool {
	before := len(s.subs)
	s.subs = slices.DeleteFunc(s.subs, func(x *subscription) bool { return x.conn == c && (id == "" || x.id == id) })
	return len(s.subs) < before
}

// begin answers with the id; afterwards the subscription is there, and first is
// pushed.
func (s *Server) begin(c *conn, sub *subscription, first func()) (any, func(), *fault) {
	if f := s.subscribe(c, sub); f != nil {
		return nil, nil, f
	}
	return sub.id, func() {
		s.subs = append(s.subs, sub)
		first()
	}, nil
}

func heads(push string, newest func(*Server) *block) method {
	return func(s *Server, c *conn, _ params) (any, func(), *fault) {
		sub := &subscription{method: push}
		return s.begin(c, sub, func() { s.push(sub, newest(s).header()) })
	}
}

func (s *Server) subscribeRuntimeVersion(c *conn, _ params) (any, func(), *fault) {
	sub := &subscription{method: "state_runtimeVersion"}
	return s.begin(c, sub, func() { s.push(sub, s.runtimeVersion()) })
}

func (s *Server) subscribeStorage(c *conn, p params) (any, func(), *fault) {
	keys, f := p.keys(0)
	if f != nil {
		return nil, nil, f
	}
	sub := &subscription{method: "state_storage", keys: keys}
	return s.begin(c, sub, func() { s.push(sub, s.changes(s.best(), keys)) })
}

package substrate

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bettensor/node/chain"
	"bettensor/node/chain/scale"

	"github.com/gorilla/websocket"
	"github.com/oasisprotocol/curve25519-voi/primitives/sr25519"
	"golang.org/x/crypto/blake2b"
)

// key signs as the client's owner does.
type key struct{ pair *sr25519.KeyPair }

func newKey(t testing.TB, seed byte) key {
	t.Helper()
	mini, err := sr25519.NewMiniSecretKeyFromBytes(append(make([]byte, 31), seed))
	if err != nil {
		t.Fatal(err)
	}
	return key{mini.ExpandEd25519().KeyPair()}
}

func (k key) PublicKey() (out [32]byte) {
	b, err := k.pair.PublicKey().MarshalBinary()
	if err != nil {
		panic(err)
	}
	return [32]byte(b)
}

func (k key) Sign(m []byte) (out [64]byte, err error) {
	s, err := k.pair.Sign(nil, sr25519.NewSigningContext([]byte("substrate")).NewTranscriptBytes(m))
	if err != nil {
		return out, err
	}
	b, err := s.MarshalBinary()
	copy(out[:], b)
	return out, err
}

func (k key) hotkey() chain.Hotkey { return chain.EncodeSS58(k.PublicKey()) }

// fakeChain is a chain that does as it is told: blocks when asked for, refusals and
// failures by script. It checks signatures and eras as a real one does. Several
// endpoints may serve it.
type fakeChain struct {
	t    testing.TB
	meta *scale.Metadata

	mu       sync.Mutex
	spec     uint32
	raw      []byte // metadata as published
	blocks   []fakeBlock
	final    int
	state    map[string][]byte // what does not change
	account  key
	pool     []*scale.Extrinsic
	bytes    [][]byte
	sent     int // submissions that were taken
	manual   bool
	fail     string                                              // error of the next extrinsics, by name
	judge    func(x *scale.Extrinsic, call scale.Call) *rpcError // refusal by the pool
	servers  []*fakeEndpoint
	lastTerm scale.Terms
}

type fakeBlock struct {
	header     header
	hash       [32]byte
	extrinsics [][]byte
	events     []byte
	nonce      uint64
	spec       uint32 // of its state, and what that is read by
	raw        []byte
	meta       *scale.Metadata
}

var baseTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func readMeta(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("../../../testdata/chain/finney.scale")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// smallMeta is a subset of finney's metadata, as V14; olderMeta of a runtime whose
// errors have other indexes.
var (
	smallMeta = sync.OnceValue(func() []byte { return pruned("finney.scale") })
	olderMeta = sync.OnceValue(func() []byte { return pruned("subtensor_spec300_v14.scale") })
)

func pruned(file string) []byte {
	b, err := os.ReadFile("../../../testdata/chain/" + file)
	if err != nil {
		panic(err)
	}
	m, err := scale.Parse(b)
	if err != nil {
		panic(err)
	}
	m.Pallets = slices.DeleteFunc(m.Pallets, func(p scale.Pallet) bool {
		return !slices.Contains([]string{"System", "Timestamp", "SubtensorModule", "Drand", "Aura"}, p.Name)
	})
	m.APIs = nil
	b, err = m.Prune().Append(nil, 14)
	if err != nil {
		panic(err)
	}
	return b
}

// newFake makes a chain of a genesis and one block: subnet 30 with two neurons,
// of which the first is account's.
func newFake(t testing.TB, account key) *fakeChain { return newFakeOf(t, account, 393, smallMeta()) }

// upgrade changes what the next blocks are of.
func (f *fakeChain) upgrade(spec uint32, raw []byte) {
	m, err := scale.Parse(raw)
	if err != nil {
		f.t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spec, f.raw, f.meta = spec, raw, m
}

func newFakeOf(t testing.TB, account key, spec uint32, raw []byte) *fakeChain {
	f := &fakeChain{t: t, state: map[string][]byte{}, account: account}
	f.upgrade(spec, raw)
	other := newKey(t, 99)
	me, you := account.PublicKey(), other.PublicKey()
	f.set("SubtensorModule", "NetworksAdded", true, 30)
	f.set("SubtensorModule", "SubnetworkN", 2, 30)
	f.set("SubtensorModule", "Tempo", 99, 30)
	f.set("SubtensorModule", "CommitRevealWeightsEnabled", false, 30)
	f.set("SubtensorModule", "WeightsVersionKey", 7, 30)
	f.set("SubtensorModule", "ValidatorPermit", []bool{true, false}, 30)
	f.set("SubtensorModule", "LastUpdate", []uint64{5, 6}, 30)
	f.set("SubtensorModule", "Active", []bool{true, false}, 30)
	f.set("SubtensorModule", "Incentive", []uint16{0, 65535}, 30)
	f.set("SubtensorModule", "Emission", []uint64{1, 2}, 30)
	f.set("SubtensorModule", "SubnetOwnerHotkey", you[:], 30)
	f.set("SubtensorModule", "Keys", me[:], 30, 0)
	f.set("SubtensorModule", "Keys", you[:], 30, 1)
	f.set("SubtensorModule", "Uids", 0, 30, me[:])
	f.set("SubtensorModule", "Uids", 1, 30, you[:])
	f.set("SubtensorModule", "BlockAtRegistration", 3, 30, 1)
	f.set("SubtensorModule", "TotalHotkeyAlpha", 1000, me[:], 30)
	f.set("SubtensorModule", "Owner", you[:], me[:])
	f.set("SubtensorModule", "Weights", []scale.Value{[]uint16{1, 65535}}, 30, 0)
	f.set("SubtensorModule", "Axons", record("block", 4, "version", 1, "ip", big.NewInt(0x01020304), "port", 8091, "ip_type", 4, "protocol", 4, "placeholder1", 0, "placeholder2", 0), 30, you[:])
	f.mine()
	f.mine()
	return f
}

// record makes fields of names and values in turn.
func record(pairs ...any) (r scale.Record) {
	for i := 0; i < len(pairs); i += 2 {
		r = append(r, scale.Field{Name: pairs[i].(string), Value: pairs[i+1]})
	}
	return r
}

func (f *fakeChain) key(pallet, name string, keys ...scale.Value) string {
	k, err := f.meta.StorageKey(pallet, name, keys...)
	if err != nil {
		f.t.Fatal(err)
	}
	return string(k)
}

func (f *fakeChain) set(pallet, name string, v scale.Value, keys ...scale.Value) {
	f.t.Helper()
	e, err := f.meta.Storage(pallet, name)
	if err != nil {
		f.t.Fatal(err)
	}
	b, err := f.meta.Encode(nil, e.Value, v)
	if err != nil {
		f.t.Fatal(err)
	}
	k := f.key(pallet, name, keys...)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state[k] = b
}

// mine makes a block of what waits and finalises it; push tells the subscribers.
func (f *fakeChain) mine() { f.mineOn(true) }

func (f *fakeChain) mineOn(final bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mineLocked(final)
}

func (f *fakeChain) mineLocked(final bool) {
	b := fakeBlock{extrinsics: append([][]byte{{12, 4, 0, 0}}, f.bytes...), spec: f.spec, raw: f.raw, meta: f.meta}
	n := len(f.blocks)
	b.header.Number = quantity(n)
	b.header.StateRoot, b.header.ExtrinsicsRoot = make([]byte, 32), make([]byte, 32)
	b.header.ParentHash = make([]byte, 32)
	b.header.Digest.Logs = digestLogs{{6, 'a', 'u', 'r', 'a', 0}}
	if n > 0 {
		parent := f.blocks[n-1]
		b.header.ParentHash, b.nonce = parent.hash[:], parent.nonce
	}
	var body []byte
	for _, x := range b.extrinsics {
		body = append(body, x...)
	}
	root := blake2b.Sum256(body)
	b.header.ExtrinsicsRoot = root[:]
	h, err := b.header.head()
	if err != nil {
		f.t.Error(err)
	}
	b.hash = h.hash
	f.events(&b)
	b.nonce += uint64(len(f.pool))
	f.pool, f.bytes = nil, nil
	f.blocks = append(f.blocks, b)
	if final {
		f.final = n
	}
	for _, s := range f.servers {
		s.pushHeads(&b, final)
	}
}

func (f *fakeChain) events(b *fakeBlock) {
	info := f.dispatchInfo()
	records := 1
	out, err := f.meta.AppendEvent(nil, scale.ApplyExtrinsic, 0, "System", "ExtrinsicSuccess", info)
	for i := range f.pool {
		if err != nil {
			break
		}
		if f.fail != "" {
			pallet, name := "SubtensorModule", f.fail
			if p, n, ok := strings.Cut(f.fail, "."); ok {
				pallet, name = p, n
			}
			in, at, e := f.meta.ErrorIndexes(pallet, name)
			if err = e; err != nil {
				break
			}
			module := scale.Variant{Name: "Module", Fields: scale.Record{{Value: record("index", in, "error", []byte{at, 0, 0, 0})}}}
			out, err = f.meta.AppendEvent(out, scale.ApplyExtrinsic, uint32(i+1), "System", "ExtrinsicFailed", module, info)
			records++
			continue
		}
		if out, err = f.meta.AppendEvent(out, scale.ApplyExtrinsic, uint32(i+1), "SubtensorModule", "WeightsSet", 30, 0); err == nil {
			out, err = f.meta.AppendEvent(out, scale.ApplyExtrinsic, uint32(i+1), "System", "ExtrinsicSuccess", info)
		}
		records += 2
	}
	if err != nil {
		f.t.Error(err)
	}
	b.events = append(scale.AppendCompact(nil, uint64(records)), out...)
}

func (f *fakeChain) dispatchInfo() scale.Value {
	p, _ := f.meta.Pallet("System")
	for _, v := range f.meta.Types[p.Events].Variants {
		if v.Name != "ExtrinsicSuccess" {
			continue
		}
		for n := range 32 {
			if x, err := f.meta.DecodeAll(v.Fields[0].Type, make([]byte, n)); err == nil {
				return x
			}
		}
	}
	f.t.Error("no dispatch info")
	return nil
}

// find is the block of a hash.
func (f *fakeChain) find(hash []byte) *fakeBlock {
	for i := range f.blocks {
		if slices.Equal(f.blocks[i].hash[:], hash) {
			return &f.blocks[i]
		}
	}
	return nil
}

// read is a storage value at a block.
func (f *fakeChain) read(b *fakeBlock, key []byte) []byte {
	me := f.account.PublicKey()
	switch string(key) {
	case f.key("System", "Account", me[:]):
		e, _ := b.meta.Storage("System", "Account")
		v := slices.Clone(e.Default)
		binary.LittleEndian.PutUint32(v, uint32(b.nonce))
		return v
	case f.key("System", "Events"):
		return b.events
	case f.key("Timestamp", "Now"):
		h, _ := b.header.head()
		at := baseTime.Add(time.Duration(h.number) * chain.BlockTime)
		return binary.LittleEndian.AppendUint64(nil, uint64(at.UnixMilli()))
	}
	return f.state[string(key)]
}

// submit checks an extrinsic as a node's pool does.
func (f *fakeChain) submit(b []byte) *rpcError {
	invalid := func(why string) *rpcError {
		data, _ := json.Marshal(why)
		return &rpcError{Code: 1010, Message: "Invalid Transaction", Data: data}
	}
	x, err := f.meta.ParseExtrinsic(b)
	if err != nil {
		f.t.Errorf("submitted: %v", err)
		return invalid("Transaction has a bad signature")
	}
	head := f.blocks[len(f.blocks)-1]
	birth := x.Era.Birth(uint64(len(f.blocks) - 1))
	if birth >= uint64(len(f.blocks)) {
		return invalid("Transaction has a bad signature")
	}
	f.lastTerm = scale.Terms{Spec: f.spec, Transaction: 1, Genesis: f.blocks[0].hash, Birth: f.blocks[birth].hash}
	payload, err := f.meta.Payload(x, f.lastTerm)
	if err != nil {
		f.t.Error(err)
	}
	public, err := sr25519.NewPublicKeyFromBytes(x.Signer[:])
	if err != nil {
		return invalid("Transaction has a bad signature")
	}
	signature, err := sr25519.NewSignatureFromBytes(x.Signature[:])
	if err != nil || !public.Verify(sr25519.NewSigningContext([]byte("substrate")).NewTranscriptBytes(payload), signature) {
		return invalid("Transaction has a bad signature")
	}
	switch next := head.nonce + uint64(len(f.pool)); {
	case x.Nonce < next:
		return invalid("Transaction is outdated")
	case x.Nonce > next:
		return invalid("Transaction will be valid in the future")
	}
	call, err := f.meta.DecodeCall(x.Call)
	if err != nil {
		f.t.Error(err)
	}
	if f.judge != nil {
		if refused := f.judge(x, call); refused != nil {
			return refused
		}
	}
	f.sent++
	f.pool, f.bytes = append(f.pool, x), append(f.bytes, slices.Clone(b))
	return nil
}

func (f *fakeChain) submissions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent
}

// fakeEndpoint serves a chain, well or badly.
type fakeEndpoint struct {
	f   *fakeChain
	srv *httptest.Server
	url string

	mu      sync.Mutex
	conns   map[*fakeConn]bool
	calls   map[string]int
	ats     map[string]bool // blocks that reads were pinned to
	absent  map[string]bool // methods it does not have
	hang    map[string]bool // methods it never answers
	drop    map[string]bool // the connection is cut after these were carried out
	dropNew map[string]bool // the connection is cut before these are carried out
	silent  bool            // heads are not pushed
	lie     *header         // head that is pushed in place of the true one
	wild    *header         // best head that is pushed in place of the true one
	refuse  map[string]*rpcError
	genesis []byte        // another chain's
	newer   []byte        // metadata V16 that it offers
	neurons []byte        // what its runtime API says of them
	quiet   bool          // no pong, nothing
	pings   time.Duration // it pings so often
}

type fakeConn struct {
	e    *fakeEndpoint
	ws   *websocket.Conn
	mu   sync.Mutex
	subs map[string]string // name to kind
	next int
}

func (f *fakeChain) serve() *fakeEndpoint {
	e := &fakeEndpoint{
		f: f, conns: map[*fakeConn]bool{}, calls: map[string]int{}, ats: map[string]bool{}, absent: map[string]bool{}, hang: map[string]bool{},
		drop: map[string]bool{}, dropNew: map[string]bool{}, refuse: map[string]*rpcError{},
	}
	up := websocket.Upgrader{}
	e.srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		c := &fakeConn{e: e, ws: ws, subs: map[string]string{}}
		e.mu.Lock()
		if e.quiet {
			ws.SetPingHandler(func(string) error { return nil })
		}
		if e.pings > 0 {
			ws.SetPongHandler(func(string) error {
				e.script(func(e *fakeEndpoint) { e.calls["pong"]++ })
				return nil
			})
			tick := time.NewTicker(e.pings)
			done, ended := make(chan struct{}), make(chan struct{})
			defer func() { close(done); <-ended }()
			go func() {
				defer close(ended)
				defer tick.Stop()
				for {
					select {
					case <-done:
						return
					case <-tick.C:
						_ = ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second))
					}
				}
			}()
		}
		e.conns[c] = true
		e.mu.Unlock()
		c.loop()
		e.mu.Lock()
		delete(e.conns, c)
		e.mu.Unlock()
	}))
	e.url = "ws" + strings.TrimPrefix(e.srv.URL, "http")
	f.mu.Lock()
	f.servers = append(f.servers, e)
	f.mu.Unlock()
	f.t.Cleanup(func() { e.cut(); e.srv.Close() })
	return e
}

// script changes how the endpoint behaves.
func (e *fakeEndpoint) script(change func(*fakeEndpoint)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(e)
}

func (e *fakeEndpoint) count(method string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls[method]
}

// cut ends all connections.
func (e *fakeEndpoint) cut() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for c := range e.conns {
		_ = c.ws.Close()
	}
}

func (c *fakeConn) write(v any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.ws.WriteJSON(v)
}

func (c *fakeConn) push(kind string, result any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, k := range c.subs {
		if k == kind {
			_ = c.ws.WriteJSON(map[string]any{"jsonrpc": "2.0", "method": "push", "params": map[string]any{"subscription": id, "result": result}})
		}
	}
}

func (e *fakeEndpoint) pushHeads(b *fakeBlock, final bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.silent {
		return
	}
	h := b.header
	if e.lie != nil {
		h = *e.lie
	}
	best := h
	if e.wild != nil {
		best = *e.wild
	}
	for c := range e.conns {
		c.push("best", best)
		if final {
			c.push("final", h)
		}
	}
}

func (c *fakeConn) loop() {
	defer c.ws.Close()
	for {
		var q struct {
			ID     uint64            `json:"id"`
			Method string            `json:"method"`
			Params []json.RawMessage `json:"params"`
		}
		if err := c.ws.ReadJSON(&q); err != nil {
			return
		}
		e := c.e
		e.mu.Lock()
		e.calls[q.Method]++
		hang, cut, early, absent, refused := e.hang[q.Method], e.drop[q.Method], e.dropNew[q.Method], e.absent[q.Method], e.refuse[q.Method]
		e.mu.Unlock()
		if early {
			return
		}
		if hang {
			continue
		}
		if absent {
			refused = &rpcError{Code: methodUnknown, Message: "Method not found"}
		}
		var result any
		var after func()
		if refused == nil {
			e.f.mu.Lock()
			result, after, refused = c.answer(q.Method, q.Params)
			e.f.mu.Unlock()
		}
		if cut {
			return
		}
		if refused != nil {
			c.write(map[string]any{"jsonrpc": "2.0", "id": q.ID, "error": refused})
			continue
		}
		c.write(map[string]any{"jsonrpc": "2.0", "id": q.ID, "result": result})
		if after != nil {
			after()
		}
	}
}

func text(raw json.RawMessage) (s string) { _ = json.Unmarshal(raw, &s); return s }

func bytesOf(raw json.RawMessage) hexBytes {
	var h hexBytes
	_ = json.Unmarshal(raw, &h)
	return h
}

func (c *fakeConn) subscribe(kind string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	id := fmt.Sprintf("%s-%d", kind, c.next)
	c.subs[id] = kind
	return id
}

func (c *fakeConn) answer(method string, params []json.RawMessage) (result any, after func(), refused *rpcError) {
	e, f := c.e, c.e.f
	block := func(i int) *fakeBlock {
		if i >= len(params) {
			return &f.blocks[len(f.blocks)-1]
		}
		h := bytesOf(params[i])
		e.mu.Lock()
		e.ats[string(h)] = true
		e.mu.Unlock()
		return f.find(h)
	}
	unknown := &rpcError{Code: 4003, Message: "Client error: UnknownBlock"}
	switch method {
	case "chain_getBlockHash":
		var n int
		_ = json.Unmarshal(params[0], &n)
		if n == 0 && e.genesis != nil {
			return hexBytes(e.genesis), nil, nil
		}
		if n >= len(f.blocks) {
			return nil, nil, nil
		}
		return hexBytes(f.blocks[n].hash[:]), nil, nil
	case "state_getRuntimeVersion":
		if len(params) == 0 {
			return map[string]any{"specVersion": f.spec, "transactionVersion": 1}, nil, nil
		}
		b := block(0)
		if b == nil {
			return nil, nil, unknown
		}
		return map[string]any{"specVersion": b.spec, "transactionVersion": 1}, nil, nil
	case "state_call":
		switch text(params[0]) {
		case "Metadata_metadata_versions":
			if e.newer != nil {
				return hexBytes{8, 14, 0, 0, 0, 16, 0, 0, 0}, nil, nil
			}
		case "NeuronInfoRuntimeApi_get_neurons_lite":
			if e.neurons != nil && string(bytesOf(params[1])) == "\x1e\x00" && block(2) != nil {
				return hexBytes(e.neurons), nil, nil
			}
		case "Metadata_metadata_at_version":
			return hexBytes(append([]byte{1}, scale.AppendBytes(nil, e.newer)...)), nil, nil
		}
		return nil, nil, &rpcError{Code: 4003, Message: "Client error: Exported method is not found"}
	case "state_getMetadata":
		if len(params) > 0 {
			if b := block(0); b != nil {
				return hexBytes(b.raw), nil, nil
			}
			return nil, nil, unknown
		}
		return hexBytes(f.raw), nil, nil
	case "state_subscribeRuntimeVersion":
		return c.subscribe("versions"), nil, nil
	case "chain_subscribeNewHeads":
		return c.subscribe("best"), nil, nil
	case "chain_subscribeFinalizedHeads":
		return c.subscribe("final"), nil, nil
	case "chain_getFinalizedHead":
		return hexBytes(f.blocks[f.final].hash[:]), nil, nil
	case "chain_getHeader":
		b := block(0)
		if b == nil {
			return nil, nil, nil
		}
		return b.header, nil, nil
	case "chain_getBlock":
		b := block(0)
		if b == nil {
			return nil, nil, nil
		}
		xs := make([]hexBytes, len(b.extrinsics))
		for i, x := range b.extrinsics {
			xs[i] = x
		}
		return map[string]any{"block": map[string]any{"header": b.header, "extrinsics": xs}}, nil, nil
	case "state_getStorage":
		b := block(1)
		if b == nil {
			return nil, nil, unknown
		}
		if v := f.read(b, bytesOf(params[0])); v != nil {
			return hexBytes(v), nil, nil
		}
		return nil, nil, nil
	case "state_queryStorageAt":
		b := block(1)
		if b == nil {
			return nil, nil, unknown
		}
		var keys []hexBytes
		_ = json.Unmarshal(params[0], &keys)
		changes := make([][2]any, len(keys))
		for i, k := range keys {
			changes[i] = [2]any{k, nil}
			if v := f.read(b, k); v != nil {
				changes[i][1] = hexBytes(v)
			}
		}
		return []any{map[string]any{"block": hexBytes(b.hash[:]), "changes": changes}}, nil, nil
	case "system_accountNextIndex":
		return f.blocks[len(f.blocks)-1].nonce + uint64(len(f.pool)), nil, nil
	case "author_submitExtrinsic", "author_submitAndWatchExtrinsic":
		if refused := f.submit(bytesOf(params[0])); refused != nil {
			return nil, nil, refused
		}
		if method == "author_submitExtrinsic" {
			return hexBytes(make([]byte, 32)), f.mineUnlessManual, nil
		}
		id := c.subscribe("watch")
		return id, func() {
			c.push("watch", "ready")
			if f.mineUnlessManual(); f.manual {
				return
			}
			f.mu.Lock()
			hash := f.blocks[len(f.blocks)-1].hash
			f.mu.Unlock()
			c.push("watch", map[string]any{"inBlock": hexBytes(hash[:])})
			c.push("watch", map[string]any{"finalized": hexBytes(hash[:])})
		}, nil
	case "author_unwatchExtrinsic":
		return true, nil, nil
	}
	return nil, nil, &rpcError{Code: methodUnknown, Message: "Method not found"}
}

func (f *fakeChain) mineUnlessManual() {
	if !f.manual {
		f.mine()
	}
}

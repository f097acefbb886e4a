package rpc

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/oasisprotocol/curve25519-voi/primitives/sr25519"
	"golang.org/x/crypto/blake2b"

	"bettensor/node/chain"
	"bettensor/node/chain/chaintest"
	"bettensor/node/chain/scale"
	"bettensor/node/chain/wallet"
)

// harness is a real runtime as tools for tests run one: the runtime's whole
// metadata, a seeded state, a genesis hash that is no header's, blocks when
// something is submitted. It executes the calls of validators by the metadata's
// own indexes, types and hashers. Its habits are those of Chopsticks, and can be
// made worse.
type harness struct {
	t       testing.TB
	meta    *scale.Metadata
	raw     map[byte]hexed // metadata by version
	spec    uint32
	habits  habits
	genesis [32]byte
	url     string

	mu     sync.Mutex
	state  *state
	blocks []harnessBlock
	conns  []*harnessConn
	taken  int    // submissions that passed the pool
	held   uint64 // extrinsics that stay in the pool, all of //Alice
}

// habits of a harness; the zero value is Chopsticks.
type habits struct {
	noAPIs   bool            // not even AccountNonceApi
	absent   []string        // methods it does not have
	refused  []string        // methods that fail otherwise
	textData bool            // a pool's refusal has a data text, as a node's, not the enum for its message
	plain    bool            // block numbers are plain numbers, digests objects
	lag      uint64          // finality is so many blocks behind
	early    bool            // pushes come before the answer that names their subscription
	mute     bool            // no heads and no states are pushed
	partial  bool            // state_queryStorageAt answers for every other key
	late     time.Duration   // each answer is this late
	pings    time.Duration   // it pings so often
	lose     map[string]bool // the connection ends after these are answered for the first time
	hold     bool            // what passes the pool stays there
	atApply  byte            // custom number with which the next extrinsic fails when it is applied; it is then in no block
}

type harnessBlock struct {
	hash       [32]byte
	parent     [32]byte
	root       [32]byte // of the extrinsics
	extrinsics [][]byte
}

type harnessConn struct {
	h    *harness
	ws   *websocket.Conn
	mu   sync.Mutex
	subs map[string]string // id to push method
}

// runtimeFiles are the metadata of real runtimes, by spec version.
var runtimeFiles = map[uint32]string{143: "subtensor_spec143_v14.scale", 300: "subtensor_spec300_v14.scale", 393: "finney.scale"}

var parsedRuntimes sync.Map // spec version to *scale.Metadata

func runtimeOf(t testing.TB, spec uint32) *scale.Metadata {
	t.Helper()
	if m, ok := parsedRuntimes.Load(spec); ok {
		return m.(*scale.Metadata)
	}
	b, err := os.ReadFile("../../../testdata/chain/" + runtimeFiles[spec])
	if err != nil {
		t.Fatal(err)
	}
	m, err := scale.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	parsedRuntimes.Store(spec, m)
	return m
}

// The seeded subnet.
const harnessNetuid = 1

// newHarness runs a runtime: //Alice and three miners of the contract's keys, of
// which the second has an axon.
func newHarness(t testing.TB, spec uint32, b habits) *harness {
	h := &harness{t: t, meta: runtimeOf(t, spec), raw: map[byte]hexed{}, spec: spec, habits: b, state: newState()}
	original, err := os.ReadFile("../../../testdata/chain/" + runtimeFiles[spec])
	if err != nil {
		t.Fatal(err)
	}
	h.raw[h.meta.Version] = original
	for v := byte(14); v < h.meta.Version; v++ {
		if h.raw[v], err = h.meta.Append(nil, v); err != nil {
			t.Fatal(err)
		}
	}
	h.genesis = blake2b.Sum256([]byte("made up"))
	h.blocks = []harnessBlock{{hash: h.genesis}}
	alice, err := wallet.FromURI("//Alice")
	if err != nil {
		t.Fatal(err)
	}
	keys := [][32]byte{alice.PublicKey()}
	for i := range 3 {
		keys = append(keys, keyOf(t, chaintest.Hotkey(i)).PublicKey())
	}
	cold := keyOf(t, chaintest.Hotkey(9)).PublicKey()
	h.seed("NetworksAdded", true, harnessNetuid)
	h.seed("SubnetworkN", 4, harnessNetuid)
	h.seed("Tempo", 99, harnessNetuid)
	h.seed("MinAllowedWeights", 1, harnessNetuid)
	h.seed("MaxWeightsLimit", 65535, harnessNetuid)
	h.seed("WeightsVersionKey", 3, harnessNetuid)
	h.seed("WeightsSetRateLimit", 0, harnessNetuid)
	h.seed("CommitRevealWeightsEnabled", false, harnessNetuid)
	h.seed("ValidatorPermit", []bool{true, false, false, false}, harnessNetuid)
	h.seed("LastUpdate", []uint64{0, 0, 0, 0}, harnessNetuid)
	h.seed("Active", []bool{true, true, false, false}, harnessNetuid)
	h.seed("Incentive", []uint16{0, 100, 65535, 0}, harnessNetuid)
	h.seed("Emission", []uint64{0, 1, 2, 3}, harnessNetuid)
	for uid, k := range keys {
		h.seed("Keys", k[:], harnessNetuid, uid)
		h.seed("Uids", uid, harnessNetuid, k[:])
		h.seed("Owner", cold[:], k[:])
	}
	h.seed("TotalHotkeyStake", uint64(5e12), keys[0][:])
	h.seed("TotalHotkeyAlpha", uint64(5e12), keys[0][:], harnessNetuid)
	h.seed("Axons", seededAxon("9.8.7.6", 8091), harnessNetuid, keys[2][:])
	h.listen()
	return h
}

func seededAxon(ip string, port uint16) scale.Record {
	n := new(big.Int)
	for _, part := range strings.Split(ip, ".") {
		b, _ := new(big.Int).SetString(part, 10)
		n.Add(n.Lsh(n, 8), b)
	}
	return record("block", 0, "version", 0, "ip", n, "port", int(port), "ip_type", 4, "protocol", 4, "placeholder1", 0, "placeholder2", 0)
}

func record(pairs ...any) (r scale.Record) {
	for i := 0; i < len(pairs); i += 2 {
		r = append(r, scale.Field{Name: pairs[i].(string), Value: pairs[i+1]})
	}
	return r
}

// best is the newest block's number.
func (h *harness) best() uint64 { return uint64(len(h.blocks) - 1) }

// final is the newest finalised block's number.
func (h *harness) final() uint64 { return h.best() - min(h.habits.lag, h.best()) }

// seed stores a value of the pallet of subnets, if the runtime has it.
func (h *harness) seed(name string, v scale.Value, keys ...scale.Value) {
	h.put(h.best(), "SubtensorModule", name, v, keys...)
}

func (h *harness) put(block uint64, pallet, name string, v scale.Value, keys ...scale.Value) {
	h.t.Helper()
	e, err := h.meta.Storage(pallet, name)
	if err != nil {
		return
	}
	key, err := h.meta.StorageKey(pallet, name, keys...)
	if err != nil {
		h.t.Error(err)
	}
	b, err := h.meta.Encode(nil, e.Value, v)
	if err != nil {
		h.t.Error(err)
	}
	h.state.set(block, string(key), b)
}

// get reads a value of the pallet of subnets in the newest state.
func (h *harness) get(pallet, name string, keys ...scale.Value) scale.Value {
	h.t.Helper()
	e, err := h.meta.Storage(pallet, name)
	if err != nil {
		return nil
	}
	key, err := h.meta.StorageKey(pallet, name, keys...)
	if err != nil {
		h.t.Error(err)
		return nil
	}
	v, _, err := e.DecodeValue(h.meta, h.state.at(1<<62, string(key)))
	if err != nil {
		h.t.Error(err)
	}
	return v
}

func (h *harness) nonce(who [32]byte) uint64 {
	n, _ := h.get("System", "Account", who[:]).(scale.Record).Get("nonce").(uint64)
	return n
}

// header of a block, as the harness writes it.
func (h *harness) header(n uint64) map[string]any {
	b := h.blocks[n]
	out := map[string]any{
		"parentHash": hexed(b.parent[:]), "stateRoot": hexed(make([]byte, 32)), "extrinsicsRoot": hexed(b.root[:]),
		"number": fmt.Sprintf("0x%08x", n), "digest": map[string]any{"logs": []any{}},
	}
	if h.habits.plain {
		out["number"], out["digest"] = n, map[string]any{"logs": []any{map[string]any{"preRuntime": []string{"0x61757261", "0x00"}}}}
	}
	return out
}

func (h *harness) find(hash []byte) (uint64, bool) {
	i := slices.IndexFunc(h.blocks, func(b harnessBlock) bool { return string(b.hash[:]) == string(hash) })
	return uint64(max(i, 0)), i >= 0
}

// invalid is a pool's refusal, by the variant of InvalidTransaction.
func (h *harness) invalid(variant string, carried any) *fault {
	if h.habits.textData {
		text := map[string]string{"stale": "Transaction is outdated", "badProof": "Transaction has a bad signature", "call": "Transaction call is not expected", "future": "Transaction will be valid in the future"}[variant]
		if variant == "custom" {
			text = fmt.Sprint("Custom error: ", carried)
		}
		return &fault{Code: 1010, Message: "Invalid Transaction", Data: text}
	}
	b, _ := json.Marshal(map[string]any{"invalid": map[string]any{variant: carried}})
	return &fault{Code: 1010, Message: string(b)}
}

// validate checks an extrinsic as the runtime's extensions do.
func (h *harness) validate(b []byte) (*scale.Extrinsic, *scale.Call, *fault) {
	x, err := h.meta.ParseExtrinsic(b)
	if err != nil || !x.Signed {
		h.t.Errorf("submitted: %v", err)
		return nil, nil, &fault{Code: 1002, Message: "Verification Error", Data: "Bad format"}
	}
	birth := x.Era.Birth(h.best())
	if birth > h.best() || x.Era.Death(birth) <= h.best() {
		return nil, nil, h.invalid("ancientBirthBlock", nil)
	}
	payload, err := h.meta.Payload(x, scale.Terms{Spec: h.spec, Transaction: 1, Genesis: h.genesis, Birth: h.blocks[birth].hash})
	if err != nil {
		h.t.Error(err)
	}
	public, err := sr25519.NewPublicKeyFromBytes(x.Signer[:])
	signature, err2 := sr25519.NewSignatureFromBytes(x.Signature[:])
	if err != nil || err2 != nil || !public.Verify(signing.NewTranscriptBytes(payload), signature) {
		return nil, nil, h.invalid("badProof", nil)
	}
	switch next := h.nonce(x.Signer); {
	case x.Nonce < next:
		return nil, nil, h.invalid("stale", nil)
	case x.Nonce > next:
		return nil, nil, h.invalid("future", nil)
	}
	call, err := h.meta.DecodeCall(x.Call)
	if err != nil {
		h.t.Error(err)
	}
	if refused := h.prechecked(x.Signer, &call); refused != nil {
		return nil, nil, refused
	}
	return x, &call, nil
}

// prechecked is what the pallet's own extension refuses: of weights, too little
// stake, in the words of the time.
func (h *harness) prechecked(who [32]byte, call *scale.Call) *fault {
	if !strings.Contains(call.Name, "weights") {
		return nil
	}
	least, has := h.get("SubtensorModule", "StakeThreshold").(uint64)
	stake, _ := h.get("SubtensorModule", "TotalHotkeyAlpha", who[:], harnessNetuid).(uint64)
	if !has {
		least, _ = h.get("SubtensorModule", "WeightsMinStake").(uint64)
		stake, _ = h.get("SubtensorModule", "TotalHotkeyStake", who[:]).(uint64)
	}
	switch {
	case stake >= least:
		return nil
	case !has:
		return h.invalid("call", nil)
	}
	return h.invalid("custom", 1)
}

// execute carries out a call: the name of the error, or the event.
func (h *harness) execute(n uint64, who [32]byte, call *scale.Call) (failed string, event string, fields []scale.Value) {
	name := func(names ...string) string { // what this runtime calls it
		for _, s := range names {
			if _, _, err := h.meta.ErrorIndexes("SubtensorModule", s); err == nil {
				return s
			}
		}
		h.t.Errorf("spec %d has no error %v", h.spec, names)
		return ""
	}
	uid, registered := h.get("SubtensorModule", "Uids", harnessNetuid, who[:]).(uint64)
	if call.Args.Get("netuid") != uint64(harnessNetuid) {
		return name("SubnetNotExists", "NetworkDoesNotExist"), "", nil
	}
	if !registered {
		if call.Name == "serve_axon" {
			return name("HotKeyNotRegisteredInNetwork", "NotRegistered"), "", nil
		}
		return name("HotKeyNotRegisteredInSubNet", "NotRegistered"), "", nil
	}
	index := harnessNetuid + 4096*uint64Of(call.Args.Get("mecid"))
	hidden, _ := h.get("SubtensorModule", "CommitRevealWeightsEnabled", harnessNetuid).(bool)
	set := func(dests, weights scale.Value) (string, string, []scale.Value) {
		to, values := dests.([]scale.Value), weights.([]scale.Value)
		if len(to) != len(values) {
			return name("WeightVecNotEqualSize"), "", nil
		}
		permits := h.get("SubtensorModule", "ValidatorPermit", harnessNetuid).([]scale.Value)
		rows := make([]scale.Value, len(to))
		for i := range to {
			if uint64Of(to[i]) >= 4 {
				return name("UidVecContainInvalidOne", "InvalidUid"), "", nil
			}
			if uint64Of(to[i]) != uid && permits[uid] != true {
				return name("NeuronNoValidatorPermit", "NoValidatorPermit"), "", nil
			}
			if slices.Contains(to[:i], to[i]) {
				return name("DuplicateUids"), "", nil
			}
			rows[i] = []scale.Value{to[i], values[i]}
		}
		if uint64Of(call.Args.Get("version_key")) < uint64Of(h.get("SubtensorModule", "WeightsVersionKey", harnessNetuid)) {
			return name("IncorrectWeightVersionKey", "IncorrectNetworkVersionKey"), "", nil
		}
		updates := h.get("SubtensorModule", "LastUpdate", index).([]scale.Value)
		for uint64(len(updates)) <= uid {
			updates = append(updates, uint64(0))
		}
		limit := uint64Of(h.get("SubtensorModule", "WeightsSetRateLimit", harnessNetuid))
		if last := uint64Of(updates[uid]); last > 0 && n-last < limit {
			return name("SettingWeightsTooFast"), "", nil
		}
		updates[uid] = n
		h.put(n, "SubtensorModule", "LastUpdate", updates, index)
		h.put(n, "SubtensorModule", "Weights", rows, index, uid)
		return "", "WeightsSet", []scale.Value{index, uid}
	}
	switch call.Name {
	case "serve_axon":
		h.put(n, "SubtensorModule", "Axons", record("block", n, "version", call.Args.Get("version"), "ip", call.Args.Get("ip"), "port", call.Args.Get("port"),
			"ip_type", call.Args.Get("ip_type"), "protocol", call.Args.Get("protocol"), "placeholder1", 0, "placeholder2", 0), harnessNetuid, who[:])
		return "", "AxonServed", []scale.Value{harnessNetuid, who[:]}
	case "set_weights", "set_mechanism_weights":
		if hidden {
			return name("CommitRevealEnabled"), "", nil
		}
		return set(call.Args.Get("dests"), call.Args.Get("weights"))
	case "commit_weights", "commit_mechanism_weights":
		if !hidden {
			return name("CommitRevealDisabled"), "", nil
		}
		hash := call.Args.Get("commit_hash")
		h.put(n, "SubtensorModule", "WeightCommits", []scale.Value{[]scale.Value{hash, n, 0, 0}}, index, who[:])
		return "", "WeightsCommitted", []scale.Value{who[:], index, hash}
	case "commit_timelocked_weights", "commit_timelocked_mechanism_weights":
		if version := uint64Of(call.Args.Get("commit_reveal_version")); version != uint64Of(h.get("SubtensorModule", "CommitRevealWeightsVersion")) {
			return name("IncorrectCommitRevealVersion"), "", nil
		}
		hash := blake2b.Sum256(call.Args.Get("commit").([]byte))
		return "", "TimelockedWeightsCommitted", []scale.Value{who[:], index, hash[:], call.Args.Get("reveal_round")}
	case "reveal_weights", "reveal_mechanism_weights":
		commits, _ := h.get("SubtensorModule", "WeightCommits", index, who[:]).([]scale.Value)
		if len(commits) == 0 {
			return name("NoWeightsCommitFound"), "", nil
		}
		uids, values, salt := numbers[chain.UID](call.Args.Get("uids")), numbers[uint16](call.Args.Get("values")), numbers[uint16](call.Args.Get("salt"))
		hash, err := chain.CommitHash(chain.EncodeSS58(who), uint16(index), chain.Weights{UIDs: uids, Values: values}, salt, uint64Of(call.Args.Get("version_key")))
		if err != nil {
			h.t.Error(err)
		}
		if string(commits[0].([]scale.Value)[0].([]byte)) != string(hash[:]) {
			return name("InvalidRevealCommitHashNotMatch"), "", nil
		}
		if failed, _, _ := set(call.Args.Get("uids"), call.Args.Get("values")); failed != "" {
			return failed, "", nil
		}
		return "", "WeightsRevealed", []scale.Value{who[:], index, hash[:]}
	}
	h.t.Errorf("call %s", call.Name)
	return "", "", nil
}

func uint64Of(v scale.Value) uint64 {
	n, _ := v.(uint64)
	return n
}

// build makes a block of one extrinsic.
func (h *harness) build(b []byte, x *scale.Extrinsic, call *scale.Call) {
	n := h.best() + 1
	block := harnessBlock{parent: h.blocks[n-1].hash}
	inherent, err := h.meta.AppendCall([]byte{4}, "Timestamp", "set", origin.Add(time.Duration(n)*chain.BlockTime).UnixMilli())
	if err != nil {
		h.t.Error(err)
	}
	block.extrinsics = [][]byte{scale.AppendBytes(nil, inherent), b}
	h.put(n, "Timestamp", "Now", uint64(origin.Add(time.Duration(n)*chain.BlockTime).UnixMilli()))
	e, err := h.meta.Storage("System", "Account")
	if err != nil {
		h.t.Error(err)
	}
	account, _, err := e.DecodeValue(h.meta, nil)
	if err != nil {
		h.t.Error(err)
	}
	fields := slices.Clone(account.(scale.Record))
	for i := range fields {
		if fields[i].Name == "nonce" {
			fields[i].Value = x.Nonce + 1
		}
	}
	h.put(n, "System", "Account", fields, x.Signer[:])

	failed, event, values := h.execute(n, x.Signer, call)
	info := h.dispatchInfo()
	out, err := h.meta.AppendEvent(nil, scale.ApplyExtrinsic, 0, "System", "ExtrinsicSuccess", info)
	count := uint64(2)
	switch {
	case err != nil:
	case failed != "":
		in, at, e := h.meta.ErrorIndexes("SubtensorModule", failed)
		if err = e; err == nil {
			module := scale.Variant{Name: "Module", Fields: scale.Record{{Value: record("index", in, "error", []byte{at, 0, 0, 0})}}}
			out, err = h.meta.AppendEvent(out, scale.ApplyExtrinsic, 1, "System", "ExtrinsicFailed", module, info)
		}
	default:
		if out, err = h.meta.AppendEvent(out, scale.ApplyExtrinsic, 1, "SubtensorModule", event, values...); err == nil {
			count++
			out, err = h.meta.AppendEvent(out, scale.ApplyExtrinsic, 1, "System", "ExtrinsicSuccess", info)
		}
	}
	if err != nil {
		h.t.Error(err)
	}
	key, err := h.meta.StorageKey("System", "Events")
	if err != nil {
		h.t.Error(err)
	}
	h.state.set(n, string(key), append(scale.AppendCompact(nil, count), out...))
	block.root = blake2b.Sum256(slices.Concat(block.extrinsics...))
	header := slices.Concat(block.parent[:], scale.AppendCompact(nil, n), make([]byte, 32), block.root[:], []byte{0})
	block.hash = blake2b.Sum256(header)
	h.blocks = append(h.blocks, block)
}

// dispatchInfo is a value of the type that this runtime gives its events.
func (h *harness) dispatchInfo() scale.Value {
	p, err := h.meta.Pallet("System")
	if err != nil {
		h.t.Error(err)
		return nil
	}
	for _, v := range h.meta.Types[p.Events].Variants {
		for n := range 32 {
			if x, err := h.meta.DecodeAll(v.Fields[0].Type, make([]byte, n)); err == nil && v.Name == "ExtrinsicSuccess" {
				return x
			}
		}
	}
	h.t.Error("no dispatch info")
	return nil
}

func (h *harness) listen() {
	up := websocket.Upgrader{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		c := &harnessConn{h: h, ws: ws, subs: map[string]string{}}
		h.mu.Lock()
		h.conns = append(h.conns, c)
		h.mu.Unlock()
		c.serve()
	}))
	h.url = "ws" + strings.TrimPrefix(srv.URL, "http")
	h.t.Cleanup(func() {
		h.mu.Lock()
		for _, c := range h.conns {
			_ = c.ws.Close()
		}
		h.mu.Unlock()
		srv.Close()
	})
}

func (c *harnessConn) write(v any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.ws.WriteJSON(v)
}

func (c *harnessConn) push(id, method string, result any) {
	c.write(map[string]any{"jsonrpc": "2.0", "method": method, "params": map[string]any{"subscription": id, "result": result}})
}

func (c *harnessConn) serve() {
	defer c.ws.Close()
	if c.h.habits.pings > 0 {
		stop, done := make(chan struct{}), make(chan struct{})
		defer func() { close(stop); <-done }()
		go func() {
			defer close(done)
			tick := time.NewTicker(c.h.habits.pings)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
					_ = c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second))
				}
			}
		}()
	}
	for {
		var q struct {
			ID     json.RawMessage   `json:"id"`
			Method string            `json:"method"`
			Params []json.RawMessage `json:"params"`
		}
		if err := c.ws.ReadJSON(&q); err != nil {
			return
		}
		h := c.h
		if h.habits.late > 0 {
			<-time.After(h.habits.late)
		}
		h.mu.Lock()
		result, then, refused := c.answer(q.Method, q.Params)
		lose := h.habits.lose[q.Method]
		delete(h.habits.lose, q.Method)
		h.mu.Unlock()
		if slices.Contains(h.habits.absent, q.Method) {
			result, then, refused = nil, nil, &fault{Code: codeNoMethod, Message: "Method not found: " + q.Method}
		}
		if slices.Contains(h.habits.refused, q.Method) {
			result, then, refused = nil, nil, &fault{Code: -32603, Message: "Internal Error: not here", Data: "a text"}
		}
		if h.habits.early && then != nil {
			then()
			then = nil
		}
		switch {
		case refused != nil:
			c.write(map[string]any{"jsonrpc": "2.0", "id": q.ID, "error": refused})
		default:
			c.write(map[string]any{"jsonrpc": "2.0", "id": q.ID, "result": result})
		}
		if lose {
			return
		}
		if then != nil {
			then()
		}
	}
}

// heads tells all subscribers of heads of the newest block.
func (h *harness) heads() {
	if h.habits.mute {
		return
	}
	h.mu.Lock()
	conns := slices.Clone(h.conns)
	headers := map[string]any{"chain_newHead": h.header(h.best()), "chain_finalizedHead": h.header(h.final())}
	h.mu.Unlock()
	for _, c := range conns {
		c.mu.Lock()
		subs := maps.Clone(c.subs)
		c.mu.Unlock()
		for id, method := range subs { // of each its own, in any order
			if header := headers[method]; header != nil {
				c.push(id, method, header)
			}
		}
	}
}

func (c *harnessConn) subscribe(method string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := fmt.Sprintf("%s-%d", method, len(c.subs))
	c.subs[id] = method
	return id
}

func (c *harnessConn) answer(method string, params []json.RawMessage) (result any, then func(), refused *fault) {
	h := c.h
	text := func(i int) (s string) {
		if i < len(params) {
			_ = json.Unmarshal(params[i], &s)
		}
		return s
	}
	raw := func(i int) []byte {
		b, _ := unhex(text(i))
		return b
	}
	at := func(i int) (uint64, bool) { // no hash is the best block
		if text(i) == "" {
			return h.best(), true
		}
		return h.find(raw(i))
	}
	stored := func(n uint64, key []byte) any {
		if v := h.state.at(n, string(key)); v != nil {
			return hexed(v)
		}
		return nil
	}
	switch method {
	case "chain_getBlockHash":
		n := h.best()
		if len(params) > 0 {
			_ = json.Unmarshal(params[0], &n)
		}
		if n > h.best() {
			return nil, nil, nil
		}
		return hexed(h.blocks[n].hash[:]), nil, nil
	case "chain_getFinalizedHead":
		return hexed(h.blocks[h.final()].hash[:]), nil, nil
	case "chain_getHeader":
		n, ok := at(0)
		if !ok {
			return nil, nil, &fault{Code: 1, Message: "Block not found"}
		}
		return h.header(n), nil, nil
	case "chain_getBlock":
		n, ok := at(0)
		if !ok {
			return nil, nil, &fault{Code: 1, Message: "Block not found"}
		}
		xs := []hexed{}
		for _, x := range h.blocks[n].extrinsics {
			xs = append(xs, x)
		}
		return map[string]any{"block": map[string]any{"header": h.header(n), "extrinsics": xs}, "justifications": nil}, nil, nil
	case "state_getRuntimeVersion":
		return map[string]any{"specName": "node-subtensor", "specVersion": h.spec, "transactionVersion": 1, "apis": []any{}}, nil, nil
	case "state_getMetadata":
		return h.raw[14], nil, nil
	case "state_call":
		versions := h.raw
		switch name := text(0); {
		case h.habits.noAPIs || len(versions) == 1:
			return nil, nil, &fault{Code: -32603, Message: "Internal Error: Exported method " + name + " is not found"}
		case name == "Metadata_metadata_versions":
			return hexed{12, 14, 0, 0, 0, 15, 0, 0, 0, 16, 0, 0, 0}, nil, nil
		case name == "Metadata_metadata_at_version" && len(raw(1)) == 4:
			return hexed(append([]byte{1}, scale.AppendBytes(nil, versions[raw(1)[0]])...)), nil, nil
		}
		return nil, nil, &fault{Code: -32603, Message: "Internal Error: Exported method is not found"}
	case "state_getStorage":
		n, ok := at(1)
		if !ok {
			return nil, nil, nil
		}
		return stored(n, raw(0)), nil, nil
	case "state_queryStorageAt":
		n, ok := at(1)
		if !ok {
			return []any{}, nil, nil
		}
		var keys []string
		_ = json.Unmarshal(params[0], &keys)
		changes := [][2]any{}
		for i, k := range keys {
			if b, err := unhex(k); err == nil && (i%2 == 0 || !h.habits.partial) {
				changes = append(changes, [2]any{k, stored(n, b)})
			}
		}
		return []any{map[string]any{"block": hexed(h.blocks[n].hash[:]), "changes": changes}}, nil, nil
	case "state_subscribeRuntimeVersion":
		return c.subscribe("state_runtimeVersion"), nil, nil
	case "chain_subscribeNewHeads", "chain_subscribeFinalizedHeads":
		push := map[string]string{"chain_subscribeNewHeads": "chain_newHead", "chain_subscribeFinalizedHeads": "chain_finalizedHead"}[method]
		id, n := c.subscribe(push), h.best()
		if push == "chain_finalizedHead" {
			n = h.final()
		}
		if h.habits.mute {
			return id, nil, nil
		}
		return id, func() {
			h.mu.Lock()
			header := h.header(n)
			h.mu.Unlock()
			c.push(id, push, header)
		}, nil
	case "system_accountNextIndex":
		if h.habits.noAPIs {
			return nil, nil, &fault{Code: -32603, Message: "Internal Error: AccountNonceApi_account_nonce is not found"}
		}
		key, err := chain.Hotkey(text(0)).PublicKey()
		if err != nil {
			h.t.Error(err)
		}
		return h.nonce(key) + h.held, nil, nil
	case "author_submitExtrinsic", "author_submitAndWatchExtrinsic":
		if slices.Contains(h.habits.absent, method) || slices.Contains(h.habits.refused, method) {
			return nil, nil, nil
		}
		return c.submit(method, raw(0))
	case "author_unwatchExtrinsic":
		return nil, nil, nil
	}
	return nil, nil, &fault{Code: codeNoMethod, Message: "Method not found: " + method}
}

func (c *harnessConn) submit(method string, b []byte) (any, func(), *fault) {
	h := c.h
	x, call, refused := h.validate(b)
	if refused != nil {
		return nil, nil, refused
	}
	h.taken++
	id := c.subscribe("author_extrinsicUpdate")
	fails := h.habits.atApply
	h.habits.atApply = 0
	if h.habits.hold {
		h.held++
	}
	if fails == 0 && !h.habits.hold {
		h.build(b, x, call)
	}
	if method == "author_submitExtrinsic" {
		hash := scale.Hash(b)
		return hexed(hash[:]), h.heads, nil
	}
	block := hexed(slices.Clone(h.blocks[h.best()].hash[:]))
	return id, func() {
		if h.habits.mute {
			return
		}
		c.push(id, "author_extrinsicUpdate", map[string]any{"ready": nil})
		if h.habits.hold {
			return
		}
		if fails > 0 {
			c.push(id, "author_extrinsicUpdate", map[string]any{"invalid": map[string]any{"custom": fails}})
			return
		}
		c.push(id, "author_extrinsicUpdate", map[string]any{"inBlock": block})
		if h.habits.lag == 0 {
			c.push(id, "author_extrinsicUpdate", map[string]any{"finalized": block})
		}
		h.heads()
	}, nil
}

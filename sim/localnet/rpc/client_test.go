package rpc

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bettensor/node/chain"
	"bettensor/node/chain/chaintest"
	"bettensor/node/chain/scale"
	"bettensor/node/chain/timelock"
	"bettensor/node/chain/wallet"

	"github.com/gorilla/websocket"
)

// patience bounds every wait of these tests.
const patience = 20 * time.Second

// client is the plainest client of the endpoint: one connection, frames in the
// order they come, one question at a time.
type client struct {
	t      testing.TB
	ws     *websocket.Conn
	meta   *scale.Metadata
	id     int
	pushes []pushed // not looked at yet
}

type pushed struct {
	Method string
	Params struct {
		Subscription string
		Result       json.RawMessage
	}
}

// answered is any frame.
type frame struct {
	ID     *int
	Result json.RawMessage
	Error  *struct {
		Code    int
		Message string
		Data    json.RawMessage
	}
	pushed
}

func dial(t testing.TB, s *Server) *client {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+s.Addr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	c := &client{t: t, ws: ws}
	m, err := scale.Parse(c.bytes("state_getMetadata"))
	if err != nil {
		t.Fatal(err)
	}
	c.meta = m
	return c
}

func (c *client) next() (f frame) {
	c.t.Helper()
	c.ws.SetReadDeadline(time.Now().Add(patience))
	if err := c.ws.ReadJSON(&f); err != nil {
		c.t.Fatalf("read: %v", err)
	}
	return f
}

// ask sends one request and returns its answer.
func (c *client) ask(method string, args ...any) frame {
	c.t.Helper()
	c.id++
	if args == nil {
		args = []any{}
	}
	if err := c.ws.WriteJSON(map[string]any{"jsonrpc": "2.0", "id": c.id, "method": method, "params": args}); err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
	for {
		f := c.next()
		if f.ID != nil && *f.ID == c.id {
			return f
		}
		c.pushes = append(c.pushes, f.pushed)
	}
}

// call is ask where no error is expected.
func (c *client) call(result any, method string, args ...any) {
	c.t.Helper()
	f := c.ask(method, args...)
	if f.Error != nil {
		c.t.Fatalf("%s: %d %s %s", method, f.Error.Code, f.Error.Message, f.Error.Data)
	}
	if err := json.Unmarshal(f.Result, result); err != nil {
		c.t.Fatalf("%s: %s: %v", method, f.Result, err)
	}
}

func (c *client) bytes(method string, args ...any) []byte {
	c.t.Helper()
	var s *string
	if c.call(&s, method, args...); s == nil {
		return nil
	}
	b, err := hex.DecodeString(strings.TrimPrefix(*s, "0x"))
	if err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
	return b
}

func (c *client) hash(method string, args ...any) [32]byte {
	c.t.Helper()
	return [32]byte(c.bytes(method, args...))
}

// push is the next push of a subscription.
func (c *client) push(sub string) json.RawMessage {
	c.t.Helper()
	for i, p := range c.pushes {
		if p.Params.Subscription == sub {
			c.pushes = slices.Delete(c.pushes, i, i+1)
			return p.Params.Result
		}
	}
	for {
		f := c.next()
		if f.Params.Subscription == sub {
			return f.Params.Result
		}
		c.pushes = append(c.pushes, f.pushed)
	}
}

// read decodes a storage entry at a block; nil where it has none.
func (c *client) read(at [32]byte, pallet, name string, keys ...scale.Value) scale.Value {
	c.t.Helper()
	e, err := c.meta.Storage(pallet, name)
	if err != nil {
		c.t.Fatal(err)
	}
	key, err := c.meta.StorageKey(pallet, name, keys...)
	if err != nil {
		c.t.Fatal(err)
	}
	v, _, err := e.DecodeValue(c.meta, c.bytes("state_getStorage", hexed(key), hexed(at[:])))
	if err != nil {
		c.t.Fatalf("%s.%s: %v", pallet, name, err)
	}
	return v
}

func (c *client) number(at [32]byte, pallet, name string, keys ...scale.Value) uint64 {
	c.t.Helper()
	n, ok := c.read(at, pallet, name, keys...).(uint64)
	if !ok {
		c.t.Fatalf("%s.%s is no number", pallet, name)
	}
	return n
}

// keyOf is the key of a neuron of the contract.
func keyOf(t testing.TB, h chain.Hotkey) *wallet.Key {
	t.Helper()
	for i := range 10 {
		if chaintest.Hotkey(i) == h {
			key, err := wallet.FromSeed(chaintest.Seed(i))
			if err != nil {
				t.Fatal(err)
			}
			return key
		}
	}
	t.Fatalf("%s is no key of the contract", h)
	return nil
}

// terms are what a client signs today, mortal from the best block.
func (c *client) terms(h chain.Hotkey) scale.Terms {
	c.t.Helper()
	var header struct{ Number string }
	birth := c.hash("chain_getBlockHash")
	c.call(&header, "chain_getHeader", hexed(birth[:]))
	var best uint64
	if _, err := fmt.Sscanf(header.Number, "0x%x", &best); err != nil {
		c.t.Fatal(err)
	}
	var nonce uint64
	c.call(&nonce, "system_accountNextIndex", h)
	return scale.Terms{
		Spec: specVersion, Transaction: transactionVersion, Genesis: c.hash("chain_getBlockHash", 0),
		Birth: birth, Era: scale.MortalEra(64, best), Nonce: nonce,
	}
}

// sign makes an extrinsic of a call.
func (c *client) sign(h chain.Hotkey, terms scale.Terms, call []byte) []byte {
	c.t.Helper()
	draft, err := c.meta.NewDraft(call, terms)
	if err != nil {
		c.t.Fatal(err)
	}
	key := keyOf(c.t, h)
	signature, err := key.Sign(draft.Payload())
	if err != nil {
		c.t.Fatal(err)
	}
	x, err := draft.Signed(key.PublicKey(), signature)
	if err != nil {
		c.t.Fatal(err)
	}
	return x
}

func (c *client) encodeCall(pallet, name string, args ...scale.Value) []byte {
	c.t.Helper()
	b, err := c.meta.AppendCall(nil, pallet, name, args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return b
}

// outcome is what became of an extrinsic.
type outcome struct {
	code   chain.Code
	block  uint64
	hash   [32]byte
	events []string
}

// watch submits an extrinsic and follows it to the end. ready is called when it
// waits for a block, included when it is in one.
func (c *client) watch(x []byte, ready, included func()) outcome {
	c.t.Helper()
	f := c.ask("author_submitAndWatchExtrinsic", hexed(x))
	if f.Error != nil {
		return outcome{code: poolCode(c.t, f)}
	}
	var sub string
	if err := json.Unmarshal(f.Result, &sub); err != nil {
		c.t.Fatal(err)
	}
	var o outcome
	for {
		var status struct{ InBlock, Finalized string }
		raw := c.push(sub)
		if json.Unmarshal(raw, &status) != nil {
			if string(raw) != `"ready"` {
				c.t.Fatalf("status %s", raw)
			}
			ready()
			continue
		}
		switch {
		case status.InBlock != "":
			o = c.look(status.InBlock, x)
			included()
		case status.Finalized != "":
			return o
		default:
			c.t.Fatalf("status %s", raw)
		}
	}
}

// look finds an extrinsic in its block and reads its events there.
func (c *client) look(at string, x []byte) (o outcome) {
	c.t.Helper()
	var b struct {
		Block struct {
			Header     struct{ Number string }
			Extrinsics []string
		}
	}
	c.call(&b, "chain_getBlock", at)
	place := slices.Index(b.Block.Extrinsics, "0x"+hex.EncodeToString(x))
	if place < 0 {
		c.t.Fatal("the block does not hold the submitted bytes")
	}
	fmt.Sscanf(b.Block.Header.Number, "0x%x", &o.block)
	raw, err := hex.DecodeString(at[2:])
	if err != nil {
		c.t.Fatal(err)
	}
	o.hash = [32]byte(raw)
	for _, e := range c.events(o.hash) {
		if e.Phase != scale.ApplyExtrinsic || int(e.Extrinsic) != place {
			continue
		}
		o.events = append(o.events, e.Pallet+"."+e.Name)
		if e.Name == "ExtrinsicFailed" {
			_, name, err := c.meta.DispatchError(e.Fields[0].Value)
			if err != nil {
				c.t.Fatal(err)
			}
			o.code = chain.Code(name)
		}
	}
	return o
}

func (c *client) events(at [32]byte) []scale.Event {
	c.t.Helper()
	key, err := c.meta.StorageKey("System", "Events")
	if err != nil {
		c.t.Fatal(err)
	}
	events, err := c.meta.DecodeEvents(c.bytes("state_getStorage", hexed(key), hexed(at[:])))
	if err != nil {
		c.t.Fatal(err)
	}
	return events
}

// poolCode names a pool's refusal as the subnet would.
func poolCode(t testing.TB, f frame) chain.Code {
	t.Helper()
	var data string
	if err := json.Unmarshal(f.Error.Data, &data); err != nil || f.Error.Code != codeInvalidTx {
		t.Fatalf("refused: %+v", f.Error)
	}
	for _, code := range chain.Codes() {
		if n, ok := custom(code); ok && n != 255 && data == fmt.Sprint("Custom error: ", n) {
			return code
		}
	}
	return chain.Code(data)
}

// leaping is a node clock that stands still and is moved by the test.
type leaping struct{ at atomic.Int64 }

func (l *leaping) now() time.Time          { return time.Unix(0, l.at.Load()) }
func (l *leaping) to(t time.Time)          { l.at.Store(max(l.at.Load(), t.UnixNano())) }
func (l *leaping) forward(d time.Duration) { l.at.Add(int64(d)) }

// overRPC is the endpoint under the contract, asked by the plain client.
type overRPC struct {
	s     *Server
	c     *client
	clock *leaping
}

func startLeaping(t testing.TB, cfg Config) (*Server, *leaping) {
	t.Helper()
	clock := &leaping{}
	clock.to(cfg.Subnet.Genesis.Add(cfg.Subnet.BlockTime))
	cfg.Now, cfg.FinalityAge = clock.now, time.Millisecond
	return start(t, cfg), clock
}

// subnetOf is a contract's subnet for the endpoint.
func subnetOf(s chaintest.Setup) Config {
	cfg := Config{Subnet: Localnet(chaintest.Netuid, origin, s.Params.CommitReveal, nil)}
	n := neurons(len(s.Stakes) - 1)
	for i := range n {
		n[i].Stake = s.Stakes[i]
	}
	cfg.Subnet.Neurons, cfg.Subnet.Params, cfg.Subnet.Owner, cfg.Subnet.ServingRateLimit = n, s.Params, s.Owner, s.ServingRateLimit
	return cfg
}

func TestContractOverPlainClient(t *testing.T) {
	chaintest.Run(t, func(t *testing.T, setup chaintest.Setup) chaintest.Chain {
		s, clock := startLeaping(t, subnetOf(setup))
		return &overRPC{s: s, c: dial(t, s), clock: clock}
	})
}

// mine is one more block.
func (o *overRPC) mine(t testing.TB) {
	t.Helper()
	want := o.s.Stats().Best + 1
	o.step()
	o.wait(t, func(s Stats) bool { return s.Best == want })
}

// step is the time of one more block; the endpoint makes it soon.
func (o *overRPC) step() { o.clock.forward(o.s.cfg.Subnet.BlockTime) }

// Reach leaps so that the next block is b.
func (o *overRPC) Reach(t testing.TB, b chain.Block) {
	o.clock.to(origin.Add(time.Duration(b-1)*o.s.cfg.Subnet.BlockTime + time.Second))
	o.wait(t, func(st Stats) bool { return st.Best+1 >= uint64(b) && st.Final+2 >= st.Best })
}

func (o *overRPC) wait(t testing.TB, ok func(Stats) bool) {
	t.Helper()
	until := time.Now().Add(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok(o.s.Stats()) {
		if <-tick.C; time.Now().After(until) {
			t.Fatalf("the endpoint stands at %+v", o.s.Stats())
		}
	}
}

func (o *overRPC) Submit(t testing.TB, q chain.Request) chain.Reply {
	t.Helper()
	c := o.c
	c.t = t
	n := chaintest.Netuid
	var call []byte
	p := chain.Reply{}
	switch q.Op {
	case chain.OpSync:
		return o.sync(t)
	case chain.OpReadWeights:
		at := c.hash("chain_getFinalizedHead")
		uid, ok := c.read(at, "SubtensorModule", "Uids", n, account(q.Hotkey)).(uint64)
		if !ok {
			p.Code = chain.HotKeyNotRegisteredInSubNet
			return p
		}
		list, _ := c.read(at, "SubtensorModule", "Weights", n, uid).([]scale.Value)
		for _, x := range list {
			pair := x.([]scale.Value)
			p.Weights.UIDs = append(p.Weights.UIDs, chain.UID(pair[0].(uint64)))
			p.Weights.Values = append(p.Weights.Values, uint16(pair[1].(uint64)))
		}
		return p
	case chain.OpSetWeights:
		call = c.encodeCall("SubtensorModule", "set_weights", n, q.Weights.UIDs, q.Weights.Values, q.VersionKey)
	case chain.OpCommitWeights:
		call = c.encodeCall("SubtensorModule", "commit_weights", n, q.Commit)
	case chain.OpRevealWeights:
		call = c.encodeCall("SubtensorModule", "reveal_weights", n, q.Weights.UIDs, q.Weights.Values, q.Salt, q.VersionKey)
	case chain.OpServeAxon:
		ip, err := netip.ParseAddr(q.Axon.IP)
		if err != nil {
			t.Fatal(err)
		}
		kind := 4
		if ip.Is6() {
			kind = 6
		}
		call = c.encodeCall("SubtensorModule", "serve_axon", n, 1, new(big.Int).SetBytes(ip.AsSlice()), q.Axon.Port, kind, 4, 0, 0)
	case chain.OpCommitTimelocked:
		p.Round, p.RevealAt, call = o.seal(q)

	}
	x := c.sign(q.Hotkey, c.terms(q.Hotkey), call)
	// Two blocks upon the extrinsic's finalise it.
	out := c.watch(x, o.step, func() { o.step(); o.step() })
	p.Code, p.Included, p.Extrinsic = out.code, chain.Block(out.block), scale.Hash(x)
	if out.block == 0 {
		p.Included = 0
	}
	return p
}

// seal makes the call of a timelocked commit from what the chain says of its
// beacon and its clock.
func (o *overRPC) seal(q chain.Request) (round uint64, revealAt chain.Block, call []byte) {
	c, n := o.c, chaintest.Netuid
	at := c.hash("chain_getFinalizedHead")
	beacon := c.read(at, "Drand", "BeaconConfig").(scale.Record)
	block := chain.Block(c.number(at, "System", "Number"))
	now := time.UnixMilli(int64(c.number(at, "Timestamp", "Now")))
	step := chain.Block(c.number(at, "SubtensorModule", "Tempo", n)) + 1
	period := chain.Block(c.number(at, "SubtensorModule", "RevealPeriodEpochs", n))
	first := ((block+chain.Block(n)+1)/step+period)*step - chain.Block(n) - 1
	slot := time.Duration(number64(c.t, c.meta, "Aura", "SlotDuration")) * time.Millisecond
	schedule := timelock.Schedule{
		Genesis: time.Unix(int64(beacon.Get("genesis_time").(uint64)), 0),
		Period:  time.Duration(beacon.Get("period").(uint64)) * time.Second,
	}
	round = schedule.RoundAt(now.Add(time.Duration(first+3-block)*slot)) - 1
	pub, err := q.Hotkey.PublicKey()
	if err != nil {
		c.t.Fatal(err)
	}
	sealed, err := timelock.Seal(beacon.Get("public_key").([]byte), round, timelock.Payload(pub, q.Weights, q.VersionKey), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	return round, first, c.encodeCall("SubtensorModule", "commit_timelocked_weights", n, sealed, round, revealVersion)
}

func number64(t testing.TB, m *scale.Metadata, pallet, constant string) uint64 {
	t.Helper()
	v, err := m.Constant(pallet, constant)
	if err != nil {
		t.Fatal(err)
	}
	return v.(uint64)
}

// sync reads the metagraph from storage alone.
func (o *overRPC) sync(t testing.TB) chain.Reply {
	c, n := o.c, chaintest.Netuid
	at := c.hash("chain_getFinalizedHead")
	get := func(name string) uint64 { return c.number(at, "SubtensorModule", name, n) }
	m := &chain.Metagraph{
		Netuid: n,
		Block:  chain.Block(c.number(at, "System", "Number")),
		At:     time.UnixMilli(int64(c.number(at, "Timestamp", "Now"))),
		Params: chain.Hyperparameters{
			Tempo: uint16(get("Tempo")), WeightsRateLimit: get("WeightsSetRateLimit"), WeightsVersionKey: get("WeightsVersionKey"),
			MinAllowedWeights: uint16(get("MinAllowedWeights")), MaxWeightsLimit: uint16(get("MaxWeightsLimit")),
			ImmunityPeriod: uint16(get("ImmunityPeriod")), ActivityCutoff: uint16(get("ActivityCutoff")),
			MaxUIDs: uint16(get("MaxAllowedUids")), MaxValidators: uint16(get("MaxAllowedValidators")),
			CommitReveal:   c.read(at, "SubtensorModule", "CommitRevealWeightsEnabled", n).(bool),
			RevealPeriod:   get("RevealPeriodEpochs"),
			StakeThreshold: chain.Rao(c.number(at, "SubtensorModule", "StakeThreshold")),
			RevealVersion:  uint16(c.number(at, "SubtensorModule", "CommitRevealWeightsVersion")),
		},
	}
	key := func(v scale.Value) chain.Hotkey { return chain.EncodeSS58([32]byte(v.([]byte))) }
	if owner := key(c.read(at, "SubtensorModule", "SubnetOwnerHotkey", n)); owner != chain.EncodeSS58([32]byte{}) {
		m.Owner = owner
	}
	permits := c.read(at, "SubtensorModule", "ValidatorPermit", n).([]scale.Value)
	updates := c.read(at, "SubtensorModule", "LastUpdate", n).([]scale.Value)
	for i := range get("SubnetworkN") {
		x := chain.Neuron{UID: chain.UID(i), Hotkey: key(c.read(at, "SubtensorModule", "Keys", n, i)), Permit: permits[i].(bool), LastUpdate: chain.Block(updates[i].(uint64))}
		x.Coldkey = chain.Coldkey(key(c.read(at, "SubtensorModule", "Owner", account(x.Hotkey))))
		x.Stake = chain.Rao(c.number(at, "SubtensorModule", "TotalHotkeyAlpha", account(x.Hotkey), n))
		if a, ok := c.read(at, "SubtensorModule", "Axons", n, account(x.Hotkey)).(scale.Record); ok {
			ip := a.Get("ip").(*big.Int)
			if x.Axon.Port = uint16(a.Get("port").(uint64)); a.Get("ip_type").(uint64) == 4 {
				x.Axon.IP = netip.AddrFrom4([4]byte(ip.FillBytes(make([]byte, 4)))).String()
			} else {
				x.Axon.IP = netip.AddrFrom16([16]byte(ip.FillBytes(make([]byte, 16)))).String()
			}
		}
		m.Neurons = append(m.Neurons, x)
	}
	return chain.Reply{Head: m.Block, HeadAt: m.At, Metagraph: m}
}

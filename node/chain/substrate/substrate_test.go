package substrate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bettensor/node/chain"
	"bettensor/node/chain/scale"
	"bettensor/node/chain/timelock"
	"bettensor/sched"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for. Nothing here takes a tenth of it.
const patience = 20 * time.Second

func limited(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// dial starts a client of endpoints, without waiting for it.
func dial(t testing.TB, signer Signer, change func(*Options, *Client), endpoints ...*fakeEndpoint) *Client {
	t.Helper()
	o := Options{Netuid: 30, Signer: signer, Lazy: true, BlockTime: 50 * time.Millisecond, OpTimeout: patience}
	for _, e := range endpoints {
		o.Endpoints = append(o.Endpoints, e.url)
	}
	if change != nil {
		change(&o, nil)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&Options{}, c)
	}
	c.Start()
	t.Cleanup(func() { closed(t, c) })
	return c
}

func closed(t testing.TB, c *Client) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Close(ctx); err != nil {
		t.Error(err)
	}
}

// eventually waits until ok, which other goroutines bring about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(patience)
	defer end.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("never: %s", what)
		}
	}
}

func ask(t testing.TB, c *Client, q chain.Request) chain.Reply {
	t.Helper()
	p, err := c.Answer(limited(t), q)
	if err != nil {
		t.Fatalf("%s: %v", q.Op, err)
	}
	return p
}

var ballot = chain.Weights{UIDs: []chain.UID{1}, Values: []uint16{65535}}

func setWeights(k key) chain.Request {
	return chain.Request{Op: chain.OpSetWeights, Hotkey: k.hotkey(), Weights: ballot, VersionKey: 7}
}

// TestSyncReadsOneFinalisedBlock: everything of a metagraph is of one block, and
// once the hotkeys are known, from one request.
func TestSyncReadsOneFinalisedBlock(t *testing.T) {
	me, you := newKey(t, 1), newKey(t, 99)
	f := newFake(t, me)
	f.mineOn(false) // best, not final
	e := f.serve()
	c := dial(t, me, nil, e)
	p := ask(t, c, chain.Request{Op: chain.OpSync})
	want := &chain.Metagraph{
		Netuid: 30, Block: 1, At: baseTime.Add(chain.BlockTime), Owner: you.hotkey(), OwnStake: true,
		Params: chain.Hyperparameters{
			Tempo: 99, WeightsRateLimit: 100, WeightsVersionKey: 7, MinAllowedWeights: 1024, MaxWeightsLimit: 65535, ImmunityPeriod: 4096,
			ActivityCutoff: 5000, MaxUIDs: 256, MaxValidators: 128, RevealPeriod: 1, RevealVersion: 4,
		},
		Neurons: []chain.Neuron{
			{UID: 0, Hotkey: me.hotkey(), Coldkey: chain.Coldkey(you.hotkey()), Stake: 1000, Permit: true, Active: true, LastUpdate: 5, Emission: 1},
			{UID: 1, Hotkey: you.hotkey(), Coldkey: chain.Coldkey(chain.EncodeSS58([32]byte{})), RegisteredAt: 3, LastUpdate: 6, Incentive: 65535, Emission: 2, Axon: chain.Axon{IP: "1.2.3.4", Port: 8091}},
		},
	}
	if diff := cmp.Diff(want, p.Metagraph); diff != "" {
		t.Error(diff)
	}
	if p.Head != 1 || !p.HeadAt.Equal(want.At) {
		t.Errorf("head %d at %v", p.Head, p.HeadAt)
	}
	if n := len(e.ats); n > 2 { // the header of the finalised head, and the same block's state
		t.Errorf("read at %d blocks", n)
	}
	before := e.count("state_queryStorageAt")
	again := ask(t, c, chain.Request{Op: chain.OpSync})
	if diff := cmp.Diff(p, again); diff != "" {
		t.Error(diff)
	}
	if n := e.count("state_queryStorageAt") - before; n != 1 {
		t.Errorf("a second sync takes %d requests", n)
	}
	f.set("SubtensorModule", "Keys", make([]byte, 32), 30, 1) // a new holder
	if m := ask(t, c, chain.Request{Op: chain.OpSync}).Metagraph; m.Neurons[1].Hotkey != chain.EncodeSS58([32]byte{}) || m.Neurons[1].Axon != (chain.Axon{}) {
		t.Errorf("slot 1 is %+v", m.Neurons[1])
	}
}

// TestReadsWithoutBatches: an endpoint that does not read many keys at once is
// asked one by one, for the same result.
func TestReadsWithoutBatches(t *testing.T) {
	me := newKey(t, 1)
	f := newFake(t, me)
	want := ask(t, dial(t, me, nil, f.serve()), chain.Request{Op: chain.OpSync})
	e := f.serve()
	e.absent["state_queryStorageAt"] = true
	if diff := cmp.Diff(want, ask(t, dial(t, me, nil, e), chain.Request{Op: chain.OpSync})); diff != "" {
		t.Error(diff)
	}
}

// TestEndpointOfFewMethods: what has another way is not needed.
func TestEndpointOfFewMethods(t *testing.T) {
	me := newKey(t, 1)
	f := newFake(t, me)
	e := f.serve()
	for _, m := range []string{"state_queryStorageAt", "state_subscribeRuntimeVersion", "chain_subscribeNewHeads", "system_accountNextIndex", "author_submitAndWatchExtrinsic"} {
		e.absent[m] = true
	}
	c := dial(t, me, nil, e)
	for block := range chain.Block(2) {
		if p := ask(t, c, setWeights(me)); p.Code != chain.OK || p.Included != block+2 || p.Foreign != 0 {
			t.Errorf("%+v", p)
		}
	}
}

// TestStakeAsTheChainReckonsIt: where the runtime tells it, and describes how.
func TestStakeAsTheChainReckonsIt(t *testing.T) {
	me, you := newKey(t, 1), newKey(t, 99)
	e := newFake(t, me).serve()
	e.newer = readMeta(t)
	m, err := scale.Parse(e.newer)
	if err != nil {
		t.Fatal(err)
	}
	method, err := m.Method("NeuronInfoRuntimeApi", "get_neurons_lite")
	if err != nil {
		t.Fatal(err)
	}
	neuron := func(uid int, k key, stakes ...scale.Value) scale.Value {
		public := k.PublicKey()
		axon := record("block", 0, "version", 0, "ip", 0, "port", 0, "ip_type", 0, "protocol", 0, "placeholder1", 0, "placeholder2", 0)
		return record("hotkey", public[:], "coldkey", public[:], "uid", uid, "netuid", 30, "active", true, "axon_info", axon,
			"prometheus_info", record("block", 0, "version", 0, "ip", 0, "port", 0, "ip_type", 0), "stake", stakes, "rank", 0, "emission", 0,
			"incentive", 0, "consensus", 0, "trust", 0, "validator_trust", 0, "dividends", 0, "last_update", 0, "validator_permit", true, "pruning_score", 0)
	}
	// The second entry of UID 1 is of a hotkey that does not hold the slot.
	e.neurons, err = m.Encode(nil, method.Output, []scale.Value{
		neuron(0, me, []scale.Value{make([]byte, 32), 5}, []scale.Value{make([]byte, 32), 6}), neuron(1, you, []scale.Value{make([]byte, 32), 7}), neuron(1, me, []scale.Value{make([]byte, 32), 9}), neuron(77, me),
	})
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, me, nil, e)
	got := ask(t, c, chain.Request{Op: chain.OpSync}).Metagraph.Neurons
	if got[0].Stake != 11 || got[1].Stake != 7 || len(got) != 2 {
		t.Errorf("%+v", got)
	}
	e.script(func(e *fakeEndpoint) { e.neurons = []byte{4, 1, 2} })
	if got := ask(t, c, chain.Request{Op: chain.OpSync}).Metagraph.Neurons; got[0].Stake != 1000 {
		t.Errorf("storage stands where the answer cannot be read: %+v", got[0])
	}
}

// TestStakeWithoutRootIsMarked: and said once, until it is whole again.
func TestStakeWithoutRootIsMarked(t *testing.T) {
	me := newKey(t, 1)
	f := newFake(t, me)
	var said bytes.Buffer
	c := dial(t, nil, func(o *Options, _ *Client) { o.Log = slog.New(slog.NewTextHandler(&said, nil)) }, f.serve())
	for range 2 {
		if m, err := c.Metagraph(limited(t), 0); err != nil || !m.OwnStake {
			t.Errorf("stakes of the subnet only pass for all: %+v, %v", m, err)
		}
	}
	closed(t, c)
	if n := strings.Count(said.String(), "without the root's part"); n != 1 {
		t.Errorf("said %d times in %s", n, &said)
	}
	// Before subnets had stakes of their own, storage has all of it.
	m := f.meta.Clone()
	p, _ := m.Pallet(subtensor)
	p.Storage = slices.DeleteFunc(p.Storage, func(e scale.Entry) bool { return e.Name == "TotalHotkeyAlpha" })
	b, err := m.Append(nil, 14)
	if err != nil {
		t.Fatal(err)
	}
	f.upgrade(393, b)
	if m, err := dial(t, nil, nil, f.serve()).Metagraph(limited(t), 0); err != nil || m.OwnStake {
		t.Errorf("of one kind of stake: %+v, %v", m, err)
	}
}

func TestNoSuchSubnet(t *testing.T) {
	me := newKey(t, 1)
	c := dial(t, me, func(o *Options, _ *Client) { o.Netuid = 31 }, newFake(t, me).serve())
	if _, err := c.Answer(limited(t), chain.Request{Op: chain.OpSync}); err == nil || !strings.Contains(err.Error(), "--netuid") {
		t.Errorf("%v", err)
	}
	if _, err := c.Hyperparameters(limited(t), 0); err == nil || !strings.Contains(err.Error(), "--netuid") {
		t.Errorf("%v", err)
	}
}

func TestReadWeights(t *testing.T) {
	me, you, stranger := newKey(t, 1), newKey(t, 99), newKey(t, 5)
	c := dial(t, nil, nil, newFake(t, me).serve())
	for range 2 { // without and with a known slot
		if p := ask(t, c, chain.Request{Op: chain.OpReadWeights, Hotkey: me.hotkey()}); !cmp.Equal(p.Weights, ballot) || p.Head != 1 {
			t.Errorf("%+v", p)
		}
		if p := ask(t, c, chain.Request{Op: chain.OpReadWeights, Hotkey: you.hotkey()}); len(p.Weights.UIDs) != 0 || p.Code != chain.OK {
			t.Errorf("a slot without weights: %+v", p)
		}
		if p := ask(t, c, chain.Request{Op: chain.OpReadWeights, Hotkey: stranger.hotkey()}); p.Code != chain.HotKeyNotRegisteredInSubNet {
			t.Errorf("a stranger: %+v", p)
		}
		ask(t, c, chain.Request{Op: chain.OpSync})
	}
}

func TestHyperparametersByName(t *testing.T) {
	me := newKey(t, 1)
	list, err := dial(t, nil, nil, newFake(t, me).serve()).Hyperparameters(limited(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	for _, p := range list {
		got[p.Name] = p.Value
	}
	for name, want := range map[string]any{"tempo": uint64(99), "commit_reveal_weights_enabled": false, "weights_version": uint64(7), "serving_rate_limit": uint64(50), "commit_reveal_version": uint64(4)} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if _, ok := got["last_epoch_block"]; ok || len(got) < 25 {
		t.Errorf("%d parameters, of them one that the runtime has not: %v", len(got), ok)
	}
}

// TestAcceptedExtrinsic: the signed bytes are on disk before they are sent, and
// the outcome is read from the block's events.
func TestAcceptedExtrinsic(t *testing.T) {
	me := newKey(t, 1)
	f := newFake(t, me)
	dir := t.TempDir()
	var seen []byte
	f.judge = func(*scale.Extrinsic, scale.Call) *rpcError {
		names, _ := filepath.Glob(filepath.Join(dir, "extrinsics.*.json"))
		if len(names) == 1 {
			seen, _ = os.ReadFile(names[0])
		}
		return nil
	}
	c := dial(t, me, func(o *Options, _ *Client) { o.Dir = dir }, f.serve())
	o, err := c.Submit(limited(t), setWeights(me), ForInclusion)
	if err != nil {
		t.Fatal(err)
	}
	if o.State != Included || o.Block != 2 || o.Code != chain.OK || !cmp.Equal(o.Events, []string{"SubtensorModule.WeightsSet", "System.ExtrinsicSuccess"}) {
		t.Errorf("%+v", o)
	}
	var entries []entry
	if err := json.Unmarshal(seen, &entries); err != nil || len(entries) != 1 || [32]byte(entries[0].Hash) != o.Extrinsic || entries[0].Settled || entries[0].Death != 1+eraBlocks {
		t.Errorf("when it was sent the journal held %s, %v", seen, err)
	}
	if scale.Hash(entries[0].Bytes) != o.Extrinsic || !bytes.Equal(entries[0].Bytes, f.blocks[2].extrinsics[1]) {
		t.Error("what was written down is not what was sent")
	}
	call, _ := f.meta.DecodeCall(func() []byte { x, _ := f.meta.ParseExtrinsic(entries[0].Bytes); return x.Call }())
	if call.Name != "set_weights" || call.Args.Get("version_key") != uint64(7) {
		t.Errorf("sent %+v", call)
	}
	if o, err := c.Submit(limited(t), setWeights(me), ForFinality); err != nil || o.State != Finalized || o.Block != 3 {
		t.Errorf("%+v, %v", o, err)
	}
	ask(t, c, chain.Request{Op: chain.OpSync})
	if p := ask(t, c, setWeights(me)); p.Included != 4 || p.Foreign != 0 || p.Extrinsic == ([32]byte{}) {
		t.Errorf("%+v", p)
	}
}

// TestRefusedInTheBlock: a dispatch error is a code by the chain's own name.
func TestRefusedInTheBlock(t *testing.T) {
	me := newKey(t, 1)
	f := newFake(t, me)
	c := dial(t, me, nil, f.serve())
	for _, name := range []string{"SettingWeightsTooFast", "NeuronNoValidatorPermit", "CommitRevealEnabled", "System.CallFiltered"} {
		f.mu.Lock()
		f.fail = name
		f.mu.Unlock()
		want := chain.Code(strings.TrimPrefix(name, "System."))
		if p := ask(t, c, setWeights(me)); p.Code != want || p.Included == 0 || !p.Code.Known() {
			t.Errorf("%s: %+v", name, p)
		}
	}
	o, err := c.Submit(limited(t), setWeights(me), ForFinality)
	if err != nil || o.State != Refused || o.Pallet != "System" || o.Error != "CallFiltered" {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestPoolRefusals(t *testing.T) {
	for _, c := range []struct {
		name string
		code int
		data string
		op   chain.Op
		want chain.Code
	}{
		{"rate limit as text", 1010, `"Custom error: 6"`, chain.OpSetWeights, chain.SettingWeightsTooFast},
		{"rate limit of commits", 1010, `"Custom error: 6"`, chain.OpCommitTimelocked, chain.CommittingWeightsTooFast},
		{"rate limit of axons", 1010, `"Custom error: 12"`, chain.OpServeAxon, chain.ServingRateLimitExceeded},
		{"bad address as object", 1010, `{"invalid":{"custom":11}}`, chain.OpServeAxon, chain.InvalidIpAddress},
		{"stake as object", 1010, `{"invalid":{"custom":1}}`, chain.OpSetWeights, chain.NotEnoughStakeToSetWeights},
		{"stale as text", 1010, `"Transaction is outdated"`, chain.OpSetWeights, chain.Stale},
		{"stale as object", 1010, `{"invalid":"stale"}`, chain.OpSetWeights, chain.Stale},
		{"bad proof as object", 1010, `{"invalid":"badProof"}`, chain.OpSetWeights, chain.BadProof},
		{"bad proof as text", 1010, `"Transaction has a bad signature"`, chain.OpSetWeights, chain.BadProof},
		{"future", 1010, `"Transaction will be valid in the future"`, chain.OpSetWeights, chain.Future},
		{"ancient", 1010, `"Transaction has an ancient birth block"`, chain.OpSetWeights, chain.AncientBirthBlock},
		{"fees", 1010, `"Inability to pay some fees (e.g. account balance too low)"`, chain.OpSetWeights, chain.Payment},
		{"unregistered", 1010, `"Custom error: 19"`, chain.OpSetWeights, chain.HotKeyNotRegisteredInSubNet},
		{"unregistered axon", 1010, `"Custom error: 10"`, chain.OpServeAxon, chain.HotKeyNotRegisteredInNetwork},
		{"round passed", 1010, `"Custom error: 15"`, chain.OpCommitTimelocked, chain.InvalidRevealRound},
		{"a code of later runtimes", 1010, `"Custom error: 254"`, chain.OpSetWeights, "Custom254"},
		{"balance", 1010, `"Custom error: 2"`, chain.OpServeAxon, chain.InsufficientBalance},
		{"swap disputed", 1010, `{"invalid":{"custom":21}}`, chain.OpSetWeights, chain.ColdkeySwapDisputed},
		{"for no reason given", 1010, `"Custom error: 255"`, chain.OpSetWeights, chain.BadRequest},
		{"over a byte", 1010, `"Custom error: 999"`, chain.OpSetWeights, "Custom error: 999"},
		{"enum in a text", 1010, `"{\"invalid\":{\"custom\":6}}"`, chain.OpSetWeights, chain.SettingWeightsTooFast},
		{"variant that carries nothing", 1010, `{"invalid":{"badProof":null}}`, chain.OpSetWeights, chain.BadProof},
		{"too little stake, in older runtimes", 1010, `{"invalid":{"call":null}}`, chain.OpSetWeights, chain.NotEnoughStakeToSetWeights},
		{"the same as text", 1010, `"Transaction call is not expected"`, chain.OpCommitWeights, chain.NotEnoughStakeToSetWeights},
		{"a call that is not let through", 1010, `"Transaction call is not expected"`, chain.OpServeAxon, chain.CallFiltered},
		{"mandatory", 1010, `{"invalid":{"badMandatory":null}}`, chain.OpSetWeights, "BadMandatory"},
		{"no data", 1010, ``, chain.OpSetWeights, "Invalid Transaction"},
		{"unknown", 1011, `"x"`, chain.OpSetWeights, chain.UnknownValidity},
		{"banned", 1012, ``, chain.OpSetWeights, chain.TemporarilyBanned},
		{"imported", 1013, ``, chain.OpSetWeights, chain.AlreadyImported},
		{"priority", 1014, `{"too_low":1}`, chain.OpSetWeights, chain.TooLowPriority},
		{"cycle", 1015, ``, chain.OpSetWeights, chain.CycleDetected},
		{"full", 1016, ``, chain.OpSetWeights, chain.ImmediatelyDropped},
	} {
		got, ok := poolRefusal(&rpcError{Code: c.code, Message: "Invalid Transaction", Data: json.RawMessage(c.data)}, c.op)
		if got != c.want || !ok {
			t.Errorf("%s: %s, %v, want %s", c.name, got, ok, c.want)
		}
	}
	// Chains for tests say it in the message.
	for message, want := range map[string]chain.Code{
		`{"invalid":{"stale":null}}`:      chain.Stale,
		`{"invalid":{"custom":1}}`:        chain.NotEnoughStakeToSetWeights,
		`{"Invalid":{"Custom":6}}`:        chain.SettingWeightsTooFast,
		`1010: Custom error: 6`:           chain.SettingWeightsTooFast,
		`{"invalid":{}}`:                  `{"invalid":{}}`,
		`{"unknown":{"custom":6}}`:        `{"unknown":{"custom":6}}`,
		strings.Repeat("x", 101):          "InvalidTransaction",
		`{"invalid":{"futureDate":null}}`: chain.Future,
	} {
		if got, _ := poolRefusal(&rpcError{Code: invalidTransaction, Message: message}, chain.OpSetWeights); got != want {
			t.Errorf("%s: %s, want %s", message, got, want)
		}
	}
	if code, ok := poolRefusal(&rpcError{Code: -32603, Message: "internal"}, chain.OpSetWeights); ok {
		t.Errorf("an internal error says %s of the extrinsic", code)
	}
}

// TestNamesOfOlderRuntimes: what a refusal in a block means does not depend on what
// the runtime calls it.
func TestNamesOfOlderRuntimes(t *testing.T) {
	for _, x := range []struct {
		pallet, name string
		want         chain.Code
	}{
		{subtensor, "NoValidatorPermit", chain.NeuronNoValidatorPermit},
		{subtensor, "NotRegistered", chain.HotKeyNotRegisteredInSubNet},
		{subtensor, "SettingWeightsTooFast", chain.SettingWeightsTooFast},
		{"System", "CallFiltered", chain.CallFiltered},
		{"Registry", "NotRegistered", "Registry.NotRegistered"},
		{"", "BadOrigin", "BadOrigin"},
	} {
		if got := dispatchRefusal(x.pallet, x.name); got != x.want {
			t.Errorf("%s.%s: %s, want %s", x.pallet, x.name, got, x.want)
		}
	}
	for name, code := range earlier {
		if !code.Known() {
			t.Errorf("%s is %s, which nobody knows", name, code)
		}
	}
}

// TestHeadersOfOtherForms: a number may be plain, and a digest may be anything.
func TestHeadersOfOtherForms(t *testing.T) {
	for text, want := range map[string]quantity{
		`{"number":"0x00000010"}`: 16, `{"number":"0xff"}`: 255, `{"number":7,"digest":{"logs":[{"preRuntime":["0x00"]}]}}`: 7,
	} {
		var h header
		if err := json.Unmarshal([]byte(text), &h); err != nil || h.Number != want {
			t.Errorf("%s: block %d, %v", text, h.Number, err)
		}
	}
	for _, text := range []string{`{"number":"16"}`, `{"number":"0xg"}`, `{"number":-1}`, `{"number":"0x10000000000000000"}`} {
		var h header
		if json.Unmarshal([]byte(text), &h) == nil {
			t.Errorf("%s is block %d", text, h.Number)
		}
	}
}

// TestParameterNames: the chain's own name, in lower case.
func TestParameterNames(t *testing.T) {
	for name, want := range map[string]string{"Rho": "rho", "MaxAllowedUids": "max_allowed_uids", "Yuma3On": "yuma3_on"} {
		if got := snake(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	seen := map[string]bool{}
	for _, p := range parameters {
		for _, n := range []string{p.name, snake(p.storage)} {
			if n != "" && seen[n] {
				t.Errorf("two parameters are %s", n)
			}
			seen[n] = true
		}
	}
}

// TestMadeUpHashesOfALiveChain: only a chain for tests may name its blocks
// otherwise than by their headers' hashes.
func TestMadeUpHashesOfALiveChain(t *testing.T) {
	me := newKey(t, 1)
	f := newFake(t, me)
	f.blocks[1].hash[0] ^= 1
	e := f.serve()
	lazy := dial(t, nil, nil, e)
	if err := lazy.Ready(limited(t)); err != nil {
		t.Error(err)
	}
	strict := dial(t, nil, func(o *Options, _ *Client) { o.Lazy = false }, e)
	if err := strict.Ready(limited(t)); err == nil || !strings.Contains(err.Error(), "hashes to") {
		t.Errorf("a live chain's head of another hash: %v", err)
	}
}

// TestRuntimeUpgradeWithoutPushes: an endpoint that does not tell of new runtimes
// is asked.
func TestRuntimeUpgradeWithoutPushes(t *testing.T) {
	f := newFake(t, newKey(t, 1))
	e := f.serve()
	e.absent["state_subscribeRuntimeVersion"] = true
	c := dial(t, nil, nil, e)
	if err := c.Ready(limited(t)); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	f.spec = 394
	f.mu.Unlock()
	eventually(t, "the new runtime", func() bool { return c.Health().SpecVersion == 394 })
}

// TestHeadsWithoutPushes: heads that are not told are asked for, and none is too
// old.
func TestHeadsWithoutPushes(t *testing.T) {
	f := newFake(t, newKey(t, 1))
	e := f.serve()
	e.refuse["chain_subscribeNewHeads"] = &rpcError{Code: -32000, Message: "no subscriptions"}
	e.refuse["chain_subscribeFinalizedHeads"] = &rpcError{Code: -32000, Message: "no subscriptions"}
	c := dial(t, nil, func(o *Options, _ *Client) { o.Lazy = false }, e)
	if err := c.Ready(limited(t)); err != nil {
		t.Fatal(err)
	}
	f.mine()
	eventually(t, "the new head", func() bool { return c.Health().Finalised == 2 })
}

// TestReadyGivesUp: where no endpoint answers, that is said at once and not when the
// time is up.
func TestReadyGivesUp(t *testing.T) {
	e := newFake(t, newKey(t, 1)).serve()
	e.srv.Close()
	c := dial(t, nil, nil, e)
	began := time.Now()
	if err := c.Ready(limited(t)); err == nil || !strings.Contains(err.Error(), "connect") || time.Since(began) > patience/2 {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}

// TestHTTPEndpoint: the error tells what to write.
func TestHTTPEndpoint(t *testing.T) {
	_, err := New(Options{Endpoints: []string{"https://user:secret@chain.example:443/key"}})
	if err == nil || !strings.Contains(err.Error(), "wss://chain.example:443") || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "key") {
		t.Error(err)
	}
}

// TestRefusedByThePool: nothing is in a block, nothing is left in the journal, and
// the nonce is free again.
func TestRefusedByThePool(t *testing.T) {
	me := newKey(t, 1)
	f := newFake(t, me)
	f.judge = func(*scale.Extrinsic, scale.Call) *rpcError {
		return &rpcError{Code: 1010, Message: "Invalid Transaction", Data: json.RawMessage(`"Custom error: 6"`)}
	}
	c := dial(t, me, nil, f.serve())
	if p := ask(t, c, setWeights(me)); p.Code != chain.SettingWeightsTooFast || p.Included != 0 {
		t.Errorf("%+v", p)
	}
	if h := c.Health(); h.Extrinsics != 0 {
		t.Errorf("%d extrinsics in the journal", h.Extrinsics)
	}
	f.mu.Lock()
	f.judge = nil
	f.mu.Unlock()
	if p := ask(t, c, setWeights(me)); p.Code != chain.OK || p.Included != 2 {
		t.Errorf("%+v", p)
	}
}

// TestNeverSentTwice: the connection is lost in each phase of a submission. What
// was sent is found in the chain, on the next connection, and is not sent again.
func TestNeverSentTwice(t *testing.T) {
	for _, c := range []struct {
		name string
		prep func(*fakeChain, *fakeEndpoint)
		act  func(*fakeChain, *fakeEndpoint) // once it was sent
		want int                             // submissions
		err  error

		block chain.Block // 0 for 2
	}{
		{name: "before it is sent", prep: func(_ *fakeChain, e *fakeEndpoint) { e.dropNew["system_accountNextIndex"] = true },
			act: func(_ *fakeChain, e *fakeEndpoint) {
				e.script(func(e *fakeEndpoint) { e.dropNew["system_accountNextIndex"] = false })
			}, want: 1},
		{name: "after it was sent, before the answer", prep: func(f *fakeChain, e *fakeEndpoint) {
			e.drop["author_submitAndWatchExtrinsic"], f.manual = true, true
		}, act: func(f *fakeChain, _ *fakeEndpoint) { f.mine() }, want: 1},
		{name: "after ready", prep: func(f *fakeChain, _ *fakeEndpoint) { f.manual = true },
			act: func(f *fakeChain, e *fakeEndpoint) { e.cut(); f.mine() }, want: 1},
		{name: "after ready, with blocks before and after", prep: func(f *fakeChain, _ *fakeEndpoint) { f.manual = true },
			act: func(f *fakeChain, e *fakeEndpoint) {
				e.cut()
				f.mu.Lock()
				pool, body := f.pool, f.bytes
				f.pool, f.bytes = nil, nil
				for range 3 {
					f.mineLocked(true)
				}
				f.pool, f.bytes = pool, body
				for range 9 {
					f.mineLocked(true)
				}
				f.mu.Unlock()
			}, want: 1, block: 5},
		{name: "while its block is read", prep: func(_ *fakeChain, e *fakeEndpoint) { e.dropNew["chain_getBlock"] = true },
			act: func(_ *fakeChain, e *fakeEndpoint) {
				e.script(func(e *fakeEndpoint) { e.dropNew["chain_getBlock"] = false })
			}, want: 1},
		{name: "the pool loses it, and its era ends", prep: func(f *fakeChain, e *fakeEndpoint) {
			e.drop["author_submitAndWatchExtrinsic"], f.manual = true, true
		}, act: func(f *fakeChain, _ *fakeEndpoint) {
			f.mu.Lock()
			f.pool, f.bytes = nil, nil
			f.mu.Unlock()
			for range eraBlocks + 1 {
				f.mine()
			}
		}, want: 1, err: sched.ErrNotSent},
		{name: "an endpoint that cannot watch", prep: func(_ *fakeChain, e *fakeEndpoint) { e.absent["author_submitAndWatchExtrinsic"] = true },
			act: func(*fakeChain, *fakeEndpoint) {}, want: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			me := newKey(t, 1)
			f := newFake(t, me)
			e := f.serve()
			c.prep(f, e)
			client := dial(t, me, nil, e)
			type result struct {
				p   chain.Reply
				err error
			}
			done := make(chan result, 1)
			go func() {
				p, err := client.Answer(limited(t), setWeights(me))
				done <- result{p, err}
			}()
			eventually(t, "the phase", func() bool {
				return f.submissions() > 0 || e.count("system_accountNextIndex") > 0 && e.script2("system_accountNextIndex")
			})
			c.act(f, e)
			r := <-done
			if !errors.Is(r.err, c.err) || c.err == nil && (r.p.Code != chain.OK || r.p.Included != max(c.block, 2)) {
				t.Errorf("%+v, %v", r.p, r.err)
			}
			if n := f.submissions(); n != c.want {
				t.Errorf("sent %d times", n)
			}
			if r.p.Foreign != 0 {
				t.Errorf("%d foreign extrinsics", r.p.Foreign)
			}
		})
	}
}

func (e *fakeEndpoint) script2(method string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dropNew[method]
}

// TestCrashWithAnExtrinsicUnderWay: the next process finds out what became of it
// before it sends another, and does not take it for somebody else's.
func TestCrashWithAnExtrinsicUnderWay(t *testing.T) {
	me := newKey(t, 1)
	f := newFake(t, me)
	f.manual = true
	e := f.serve()
	dir := t.TempDir()
	in := func(o *Options, _ *Client) { o.Dir = dir }
	first := dial(t, me, in, e)
	ask(t, first, chain.Request{Op: chain.OpSync})
	ctx, crash := context.WithCancel(limited(t))
	done := make(chan error, 1)
	go func() { _, err := first.Answer(ctx, setWeights(me)); done <- err }()
	eventually(t, "it is sent", func() bool { return f.submissions() == 1 })
	crash()
	if err := <-done; !errors.Is(err, sched.ErrUnknown) {
		t.Errorf("%v, want an unknown outcome", err)
	}
	closed(t, first)

	second := dial(t, me, in, e)
	if _, err := second.Answer(limited(t), setWeights(me)); err == nil || errors.Is(err, sched.ErrUnknown) || !strings.Contains(err.Error(), "may still be included") || !strings.Contains(err.Error(), "until block 65") {
		t.Errorf("a second one while the first is open: %v", err)
	}
	ask(t, second, chain.Request{Op: chain.OpSync})
	f.mine()
	f.mu.Lock()
	f.manual = false
	f.mu.Unlock()
	eventually(t, "the block is seen", func() bool { return second.Health().Finalised == 2 })
	if p := ask(t, second, chain.Request{Op: chain.OpSync}); p.Foreign != 0 {
		t.Errorf("our own extrinsic counts as %d foreign ones", p.Foreign)
	}
	if p := ask(t, second, setWeights(me)); p.Code != chain.OK || p.Included != 3 || p.Foreign != 0 {
		t.Errorf("%+v", p)
	}
	if p := ask(t, second, chain.Request{Op: chain.OpSync}); p.Foreign != 0 {
		t.Errorf("%d foreign extrinsics", p.Foreign)
	}
	if n := f.submissions(); n != 2 {
		t.Errorf("sent %d times", n)
	}
	closed(t, second)
	third := dial(t, me, in, e)
	ask(t, third, chain.Request{Op: chain.OpSync})
	if h := third.Health(); h.Foreign != 0 {
		t.Errorf("%d foreign extrinsics after another start", h.Foreign)
	}
}

// TestForeignExtrinsics: another process with the key shows in the nonce.
func TestForeignExtrinsics(t *testing.T) {
	me := newKey(t, 1)
	f := newFake(t, me)
	c := dial(t, me, nil, f.serve())
	ask(t, c, chain.Request{Op: chain.OpSync})
	ask(t, c, setWeights(me))
	f.mu.Lock()
	f.pool, f.bytes = []*scale.Extrinsic{{}, {}}, [][]byte{{4, 9}, {4, 8}}
	f.mu.Unlock()
	f.mine()
	eventually(t, "the block is seen", func() bool { return c.Health().Finalised == 3 })
	if p := ask(t, c, chain.Request{Op: chain.OpSync}); p.Foreign != 2 {
		t.Errorf("%d foreign extrinsics, want 2", p.Foreign)
	}
	if p := ask(t, c, setWeights(me)); p.Foreign != 2 || p.Code != chain.OK {
		t.Errorf("%+v", p)
	}
}

// TestStolenNonce: another process wins the race for the nonce.
func TestStolenNonce(t *testing.T) {
	me := newKey(t, 1)
	f := newFake(t, me)
	f.manual = true
	e := f.serve()
	c := dial(t, me, nil, e)
	ask(t, c, chain.Request{Op: chain.OpSync})
	done := make(chan error, 1)
	go func() { _, err := c.Answer(limited(t), setWeights(me)); done <- err }()
	eventually(t, "it is sent", func() bool { return f.submissions() == 1 })
	f.mu.Lock()
	f.bytes = [][]byte{{4, 9}} // in its place
	f.mu.Unlock()
	f.mine()
	e.cut()
	if err := <-done; !errors.Is(err, sched.ErrNotSent) {
		t.Errorf("%v, want one that was not carried out", err)
	}
	if h := c.Health(); h.Foreign != 1 || h.Extrinsics != 0 {
		t.Errorf("%d foreign, %d in the journal", h.Foreign, h.Extrinsics)
	}
}

// TestOtherChainsAreRefused: by the configured genesis, or by the first one's.
func TestOtherChainsAreRefused(t *testing.T) {
	me := newKey(t, 1)
	f := newFake(t, me)
	wrong, right := f.serve(), f.serve()
	wrong.genesis = bytes.Repeat([]byte{9}, 32)
	pinned := func(o *Options, _ *Client) { o.Genesis = f.blocks[0].hash }
	c := dial(t, me, pinned, wrong, right)
	if err := c.Ready(limited(t)); err != nil {
		t.Fatal(err)
	}
	if h := c.Health(); h.Endpoint != right.url || h.Failures == 0 {
		t.Errorf("%+v", h)
	}
	lost := dial(t, me, pinned, wrong)
	eventually(t, "a failure", func() bool { return lost.Health().Failures > 0 })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := lost.Ready(ctx); err == nil || !strings.Contains(err.Error(), "another chain") {
		t.Errorf("%v", err)
	}
}

// TestRotation: an endpoint whose chain stands still is left, heads that go back
// are ignored, and age is told.
func TestRotation(t *testing.T) {
	me := newKey(t, 1)
	f := newFake(t, me)
	stuck, good := f.serve(), f.serve()
	stuck.silent = true
	old := f.blocks[0].header
	c := dial(t, me, func(o *Options, c *Client) {
		o.Lazy, o.BlockTime = false, 10*time.Millisecond
		if c != nil {
			c.floor = 300 * time.Millisecond
		}
	}, stuck, good)
	if err := c.Ready(limited(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the next endpoint", func() bool { return c.Health().Endpoint == good.url })
	f.mine()
	eventually(t, "its head", func() bool { return c.Health().Finalised == 2 })
	good.script(func(e *fakeEndpoint) { e.lie = &old })
	f.mine()
	eventually(t, "an old head", func() bool { return c.Health().OldHeads >= 2 })
	if h := c.Health(); h.Finalised != 2 || h.Best != 2 {
		t.Errorf("heads went back: %+v", h)
	}
	eventually(t, "the alarm", func() bool { return c.Health().Stale })
}

// TestLyingHead: an endpoint announces a block that it cannot read. It is left,
// and what it said does not make honest heads look old.
func TestLyingHead(t *testing.T) {
	me := newKey(t, 1)
	f := newFake(t, me)
	liar, honest := f.serve(), f.serve()
	c := dial(t, me, nil, liar, honest)
	if err := c.Ready(limited(t)); err != nil {
		t.Fatal(err)
	}
	lie := f.blocks[1].header
	lie.Number = 0xffffffffff
	liar.script(func(e *fakeEndpoint) { e.lie = &lie })
	f.mine()
	eventually(t, "the lie", func() bool { return c.Health().Finalised == 1<<40-1 })
	if _, err := c.Answer(limited(t), chain.Request{Op: chain.OpSync}); err == nil {
		t.Error("a block that is not there was read")
	}
	eventually(t, "the honest endpoint", func() bool { h := c.Health(); return h.Endpoint == honest.url && h.Finalised == 2 })
	ask(t, c, chain.Request{Op: chain.OpSync})
}

// strict makes a client of a live chain.
func strict(o *Options, _ *Client) { o.Lazy = false }

// TestALyingBestHeadGoesWithItsEndpoint: a best head far above the finalised one is
// taken from nobody; one that is nearer is forgotten with the endpoint that told
// it, and what is signed is not signed over it.
func TestALyingBestHeadGoesWithItsEndpoint(t *testing.T) {
	me := newKey(t, 1)
	f := newFake(t, me)
	liar, honest := f.serve(), f.serve()
	c := dial(t, me, strict, liar, honest)
	ask(t, c, chain.Request{Op: chain.OpSync})
	lie := f.blocks[1].header
	lie.Number = 1_000_000
	liar.script(func(e *fakeEndpoint) { e.wild = &lie })
	f.mine()
	eventually(t, "the wild lie", func() bool { return c.Health().WildHeads == 1 })
	near := lie
	near.Number = 200
	liar.script(func(e *fakeEndpoint) { e.wild = &near })
	f.mine()
	eventually(t, "the lie that is taken", func() bool { return c.Health().Best == 200 })
	liar.script(func(e *fakeEndpoint) { e.dropNew["chain_getBlockHash"] = true })
	liar.cut()
	eventually(t, "the honest endpoint", func() bool { return c.Health().Endpoint == honest.url })
	if h := c.Health(); h.Best != 3 || h.Finalised != 3 {
		t.Errorf("best %d, finalised %d", h.Best, h.Finalised)
	}
	if p := ask(t, c, setWeights(me)); p.Code != chain.OK || p.Included != 4 {
		t.Errorf("%+v", p)
	}
}

// TestALyingBestHeadIsLookedUp: where the chain refuses what was signed over a best
// head, the head is asked for again.
func TestALyingBestHeadIsLookedUp(t *testing.T) {
	me := newKey(t, 1)
	f := newFake(t, me)
	e := f.serve()
	c := dial(t, me, strict, e)
	ask(t, c, chain.Request{Op: chain.OpSync})
	lie := f.blocks[1].header
	lie.Number = 200
	e.script(func(e *fakeEndpoint) { e.wild = &lie })
	f.mine()
	eventually(t, "the lie", func() bool { return c.Health().Best == 200 })
	e.script(func(e *fakeEndpoint) { e.wild = nil })
	if p := ask(t, c, setWeights(me)); p.Code != chain.OK || p.Included != 3 {
		t.Errorf("%+v", p)
	}
	if n := e.count("author_submitAndWatchExtrinsic"); n != 2 {
		t.Errorf("submitted %d times: the lie was not signed over", n)
	}
}

// TestALyingFinalHeadOfAnEndpointThatIsGone: what a liar called final is forgotten
// though it is not there to be blamed.
func TestALyingFinalHeadOfAnEndpointThatIsGone(t *testing.T) {
	f := newFake(t, newKey(t, 1))
	liar, honest := f.serve(), f.serve()
	c := dial(t, nil, strict, liar, honest)
	if err := c.Ready(limited(t)); err != nil {
		t.Fatal(err)
	}
	lie := f.blocks[1].header
	lie.Number = 1_000_000
	liar.script(func(e *fakeEndpoint) { e.lie = &lie })
	f.mine()
	eventually(t, "the lie", func() bool { return c.Health().Finalised == 1_000_000 })
	liar.script(func(e *fakeEndpoint) { e.dropNew["chain_getBlockHash"] = true })
	liar.cut()
	eventually(t, "the honest endpoint", func() bool { return c.Health().Endpoint == honest.url })
	if _, err := c.Answer(limited(t), chain.Request{Op: chain.OpSync}); err == nil {
		t.Error("a block that is not there was read")
	}
	eventually(t, "the true head", func() bool { return c.Health().Finalised == 2 })
	ask(t, c, chain.Request{Op: chain.OpSync})
}

// TestUpgradeLeavesOlderBlocksTheirRuntime: what became of an extrinsic in a block
// before an upgrade is told by that block's runtime, not by the newest.
func TestUpgradeLeavesOlderBlocksTheirRuntime(t *testing.T) {
	me := newKey(t, 1)
	f := newFakeOf(t, me, 300, olderMeta())
	f.manual, f.fail = true, "SettingWeightsTooFast"
	e := f.serve()
	c := dial(t, me, strict, e)
	before := ask(t, c, chain.Request{Op: chain.OpSync}).Metagraph
	done := make(chan chain.Reply, 1)
	go func() {
		p, err := c.Answer(limited(t), setWeights(me))
		if err != nil {
			t.Error(err)
		}
		done <- p
	}()
	eventually(t, "it is sent", func() bool { return f.submissions() == 1 })
	e.script(func(e *fakeEndpoint) { e.silent = true })
	f.mineOn(false)
	old := f.meta
	f.upgrade(393, smallMeta())
	_, was, _ := old.ErrorIndexes(subtensor, f.fail)
	if _, is, _ := f.meta.ErrorIndexes(subtensor, f.fail); was == is {
		t.Fatalf("error %d in both", is)
	}
	hash := f.blocks[2].hash
	e.mu.Lock()
	for conn := range e.conns {
		conn.push("versions", map[string]any{"specVersion": 393, "transactionVersion": 1})
	}
	e.mu.Unlock()
	eventually(t, "the upgrade", func() bool { return c.Health().SpecVersion == 393 })
	e.mu.Lock()
	for conn := range e.conns {
		conn.push("watch", map[string]any{"inBlock": hexBytes(hash[:])})
	}
	e.mu.Unlock()
	if p := <-done; p.Code != chain.SettingWeightsTooFast || p.Included != 2 {
		t.Errorf("%+v", p)
	}
	// The finalised block is still of the older one, and there the mechanism's vectors
	// and the parameters are those that were read before.
	if diff := cmp.Diff(before, ask(t, c, chain.Request{Op: chain.OpSync}).Metagraph); diff != "" {
		t.Errorf("the same block before and after the upgrade:\n%s", diff)
	}
	e.script(func(e *fakeEndpoint) { e.silent = false })
	f.manual, f.fail = false, ""
	f.mine()
	eventually(t, "a block of the newer one", func() bool { return c.Health().Finalised == 3 })
	if p := ask(t, c, setWeights(me)); p.Code != chain.OK || p.Included != 4 {
		t.Errorf("signed for the newer one: %+v", p)
	}
	ask(t, c, chain.Request{Op: chain.OpSync})
	n := e.count("state_getRuntimeVersion")
	if ask(t, c, chain.Request{Op: chain.OpSync}); e.count("state_getRuntimeVersion") != n {
		t.Error("the runtime of a block is asked for where it is known")
	}
}

// TestBlocksBeforeTheClientsTime: a block of a runtime that the client has never
// seen in use is read by that runtime.
func TestBlocksBeforeTheClientsTime(t *testing.T) {
	f := newFakeOf(t, newKey(t, 1), 300, olderMeta())
	f.set("SubtensorModule", "Tempo", 50, 30)
	f.upgrade(393, smallMeta())
	f.mine()
	c := dial(t, nil, strict, f.serve())
	m, err := c.Metagraph(limited(t), 1)
	if err != nil || m.Block != 1 || m.Params.Tempo != 50 {
		t.Errorf("%+v, %v", m, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.earlier == nil || c.earlier.spec != 300 || c.runtime.spec != 393 {
		t.Fatalf("read by %+v", c.earlier)
	}
	_, was, err1 := c.earlier.meta.ErrorIndexes(subtensor, "SettingWeightsTooFast")
	_, is, err2 := c.runtime.meta.ErrorIndexes(subtensor, "SettingWeightsTooFast")
	if was == is || err1 != nil || err2 != nil {
		t.Errorf("one metadata for both: error %d and %d, %v, %v", was, is, err1, err2)
	}
}

// TestBlocksThatCannotBeRead: those above the finalised one may be undone, and those
// above the best are not there. Only a chain for tests is read at its best.
func TestBlocksThatCannotBeRead(t *testing.T) {
	f := newFake(t, newKey(t, 1))
	f.mineOn(false)
	e := f.serve()
	live, tests := dial(t, nil, strict, e), dial(t, nil, nil, e)
	for _, x := range []struct {
		name  string
		c     *Client
		block chain.Block
		want  *BlockError
	}{
		{"finalised", live, 1, nil},
		{"best", live, 2, &BlockError{2, 1}},
		{"far", live, 1 << 40, &BlockError{1 << 40, 1}},
		{"best of a chain for tests", tests, 2, nil},
		{"far on a chain for tests", tests, 1 << 40, &BlockError{1 << 40, 2}},
	} {
		_, err := x.c.Metagraph(limited(t), x.block)
		_, err2 := x.c.Hyperparameters(limited(t), x.block)
		for _, err := range []error{err, err2} {
			var got *BlockError
			if errors.As(err, &got); (err == nil) != (x.want == nil) || !cmp.Equal(got, x.want) {
				t.Errorf("%s: %v", x.name, err)
			}
		}
	}
	if m, err := live.BestMetagraph(limited(t)); err != nil || m.Block != 2 {
		t.Errorf("best: %+v, %v", m, err)
	}
}

// TestRefusalsAreTyped: who asks need not read an error's text.
func TestRefusalsAreTyped(t *testing.T) {
	f := newFake(t, newKey(t, 1))
	c := dial(t, newKey(t, 1), func(o *Options, _ *Client) { o.Netuid = 7 }, f.serve())
	_, err := c.Metagraph(limited(t), 0)
	var refused *Refusal
	if !errors.As(err, &refused) || refused.Code != chain.SubnetNotExists || !strings.Contains(err.Error(), "--netuid") {
		t.Errorf("%v", err)
	}
	_, err = c.Prepare(limited(t), chain.Request{Op: chain.OpServeAxon, Axon: chain.Axon{IP: "127.0.0.1"}})
	if refused = nil; !errors.As(err, &refused) || refused.Code != chain.InvalidPort || !strings.Contains(err.Error(), refused.Code.Advice()) {
		t.Errorf("%v", err)
	}
}

// TestCloseEndsAHandshakeThatIsNotAnswered: an endpoint that takes a connection and
// says nothing holds nobody up.
func TestCloseEndsAHandshakeThatIsNotAnswered(t *testing.T) {
	hole, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	taken := make(chan net.Conn, 1)
	go func() {
		if conn, err := hole.Accept(); err == nil {
			taken <- conn
		}
	}()
	c, err := New(Options{Endpoints: []string{"ws://" + hole.Addr().String()}, Netuid: 30})
	if err != nil {
		t.Fatal(err)
	}
	c.Start()
	conn := <-taken
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err != nil { // the handshake is under way
		t.Fatal(err)
	}
	brief, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := c.Ready(brief); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	soon, cancelSoon := context.WithTimeout(context.Background(), dialTimeout/4)
	defer cancelSoon()
	if err := c.Close(soon); err != nil {
		t.Error(err)
		closed(t, c)
	}
}

// TestHalfOpen: a connection on which nothing comes is given up, though TCP
// reports no failure.
func TestHalfOpen(t *testing.T) {
	me := newKey(t, 1)
	f := newFake(t, me)
	dead, good := f.serve(), f.serve()
	dead.quiet = true
	c := dial(t, me, func(_ *Options, c *Client) {
		if c != nil {
			c.alive = keepalive{100 * time.Millisecond, time.Second}
		}
	}, dead, good)
	eventually(t, "the other endpoint", func() bool { return c.Health().Endpoint == good.url })
	ask(t, c, chain.Request{Op: chain.OpSync})
}

// TestPingsOfTheEndpoint: they are signs of life like any other, where ours are not
// answered, and are answered.
func TestPingsOfTheEndpoint(t *testing.T) {
	e := newFake(t, newKey(t, 1)).serve()
	e.quiet, e.pings = true, 20*time.Millisecond
	const silence = 400 * time.Millisecond
	c := dial(t, nil, func(_ *Options, c *Client) {
		if c != nil {
			c.alive = keepalive{time.Minute, silence}
		}
	}, e)
	eventually(t, "answers for twice the silence that is borne", func() bool { return e.count("pong") > int(2*silence/e.pings) })
	if n := c.Health().Connections; n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestSlowReplies: a call ends when its time is up, and says so.
func TestSlowReplies(t *testing.T) {
	me := newKey(t, 1)
	f := newFake(t, me)
	e := f.serve()
	c := dial(t, me, func(o *Options, _ *Client) { o.CallTimeout = 100 * time.Millisecond }, e)
	if err := c.Ready(limited(t)); err != nil {
		t.Fatal(err)
	}
	e.script(func(e *fakeEndpoint) { e.hang["state_queryStorageAt"] = true })
	if _, err := c.Answer(limited(t), chain.Request{Op: chain.OpSync}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	h := c.Health()
	if h.Took.Sum < 100*time.Millisecond {
		t.Errorf("calls took %v in all", h.Took.Sum)
	}
	for _, s := range h.Calls {
		if s.Method == "state_queryStorageAt" && (s.Outcome != "timeout" || s.Count != 1) {
			t.Errorf("%+v", s)
		}
	}
}

// TestUpgrade: after a new runtime version, what is signed is for that.
func TestUpgrade(t *testing.T) {
	for _, told := range []bool{true, false} { // pushed, or found out by BadProof
		me := newKey(t, 1)
		f := newFake(t, me)
		e := f.serve()
		c := dial(t, me, nil, e)
		ask(t, c, setWeights(me))
		f.mu.Lock()
		f.spec = 394
		f.mu.Unlock()
		if told {
			e.mu.Lock()
			for conn := range e.conns {
				conn.push("versions", map[string]any{"specVersion": 394, "transactionVersion": 1})
			}
			e.mu.Unlock()
			eventually(t, "the new version", func() bool { return c.Health().SpecVersion == 394 })
		}
		if p := ask(t, c, setWeights(me)); p.Code != chain.OK || p.Included != 3 {
			t.Errorf("told %v: %+v", told, p)
		}
		if n := e.count("state_getMetadata"); n != 2 {
			t.Errorf("told %v: metadata was read %d times", told, n)
		}
		if n := f.submissions(); n != 2 {
			t.Errorf("told %v: %d extrinsics were taken", told, n)
		}
	}
}

// TestNewestMetadata: V16 is preferred where it is offered, and an older form taken
// where that cannot be read.
func TestNewestMetadata(t *testing.T) {
	me := newKey(t, 1)
	for name, c := range map[string]struct {
		newer []byte
		want  byte
	}{"V16": {readMeta(t), 16}, "not offered": {nil, 14}, "not understood": {[]byte("meta\x10garbage"), 14}} {
		e := newFake(t, me).serve()
		e.newer = c.newer
		client := dial(t, nil, nil, e)
		if err := client.Ready(limited(t)); err != nil {
			t.Fatal(err)
		}
		if got := client.Health().Metadata; got != c.want {
			t.Errorf("%s: metadata V%d, want V%d", name, got, c.want)
		}
	}
}

func TestServeAxon(t *testing.T) {
	me := newKey(t, 1)
	f := newFake(t, me)
	c := dial(t, me, nil, f.serve())
	var sent scale.Call
	f.judge = func(_ *scale.Extrinsic, call scale.Call) *rpcError { sent = call; return nil }
	for _, a := range []struct {
		axon chain.Axon
		ip   int64
		kind uint64
		code chain.Code
	}{
		{chain.Axon{IP: "8.8.4.4", Port: 8091}, 0x08080404, 4, chain.OK},
		{chain.Axon{IP: "127.0.0.1", Port: 1}, 0x7f000001, 4, chain.OK}, // the endpoint is on loopback
		{chain.Axon{IP: "::ffff:8.8.4.4", Port: 2}, 0x08080404, 4, chain.OK},
		{chain.Axon{IP: "::1", Port: 3}, 1, 6, chain.OK},
		{chain.Axon{IP: "8.8.4.4"}, 0, 0, chain.InvalidPort},
		{chain.Axon{IP: "example.org", Port: 1}, 0, 0, chain.InvalidIpAddress},
	} {
		p := ask(t, c, chain.Request{Op: chain.OpServeAxon, Hotkey: me.hotkey(), Axon: a.axon})
		if p.Code != a.code {
			t.Errorf("%v: %+v", a.axon, p)
		}
		if a.code != chain.OK {
			continue
		}
		ip, _ := sent.Args.Get("ip").(*big.Int)
		if sent.Name != "serve_axon" || ip == nil || ip.Cmp(big.NewInt(a.ip)) != 0 || sent.Args.Get("ip_type") != a.kind || sent.Args.Get("port") != uint64(a.axon.Port) {
			t.Errorf("%v: sent %+v", a.axon, sent)
		}
	}
	// What the chain shows already is not announced again.
	pub := me.PublicKey()
	f.set("SubtensorModule", "Axons", record("block", 4, "version", 1, "ip", big.NewInt(0x08080404), "port", 8091, "ip_type", 4, "protocol", 4, "placeholder1", 0, "placeholder2", 0), 30, pub[:])
	before := f.submissions()
	p := ask(t, c, chain.Request{Op: chain.OpServeAxon, Hotkey: me.hotkey(), Axon: chain.Axon{IP: "8.8.4.4", Port: 8091}})
	if p.Code != chain.OK || p.Included != 4 || f.submissions() != before {
		t.Errorf("%+v after %d submissions", p, f.submissions()-before)
	}
}

// TestTimelockedCommit: weights are sealed for a round of the chain's own beacon in
// the first blocks of the reveal epoch, and that round's pulse opens them.
func TestTimelockedCommit(t *testing.T) {
	me := newKey(t, 1)
	f := newFake(t, me)
	beacon := timelock.NewBeacon([32]byte{7})
	schedule := timelock.Schedule{Genesis: baseTime.Add(-time.Hour), Period: 3 * time.Second}
	config := func(key []byte) {
		e, _ := f.meta.Storage("Drand", "BeaconConfig")
		v, _, err := e.DecodeValue(f.meta, nil)
		if err != nil {
			t.Fatal(err)
		}
		r := v.(scale.Record)
		for i := range r {
			switch r[i].Name {
			case "public_key":
				r[i].Value = key
			case "genesis_time":
				r[i].Value = uint64(schedule.Genesis.Unix())
			}
		}
		f.set("Drand", "BeaconConfig", r)
	}
	config(beacon.PublicKey())
	var sent scale.Call
	f.judge = func(_ *scale.Extrinsic, call scale.Call) *rpcError { sent = call; return nil }
	c := dial(t, me, nil, f.serve())
	p := ask(t, c, chain.Request{Op: chain.OpCommitTimelocked, Hotkey: me.hotkey(), Weights: ballot, VersionKey: 7})
	// Block 2 is of epoch (2+31)/100 = 0, epoch 1 begins with block 69; three blocks
	// on, at 72 × 12 s, the newest round is floor((3600+864)/3)+1.
	if p.Round != 1488 || p.RevealAt != 72 || p.Included != 2 || p.Code != chain.OK {
		t.Errorf("%+v", p)
	}
	if sent.Name != "commit_timelocked_weights" || sent.Args.Get("reveal_round") != p.Round || sent.Args.Get("commit_reveal_version") != uint64(4) {
		t.Errorf("sent %+v", sent)
	}
	pulse, err := beacon.Sign(p.Round)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := timelock.Open(sent.Args.Get("commit").([]byte), pulse)
	if err != nil {
		t.Fatal(err)
	}
	hotkey, w, version, err := timelock.ParsePayload(plain)
	if err != nil || hotkey != me.PublicKey() || !cmp.Equal(w, ballot) || version != 7 {
		t.Errorf("sealed %x, %v, %d, %v", hotkey, w, version, err)
	}
	c.mu.Lock()
	c.genesis = FinneyGenesis
	c.mu.Unlock()
	if _, err := c.Answer(limited(t), chain.Request{Op: chain.OpCommitTimelocked, Hotkey: me.hotkey(), Weights: ballot}); err == nil || errors.Is(err, sched.ErrUnknown) || !strings.Contains(err.Error(), "quicknet") {
		t.Errorf("another beacon on the main network: %v", err)
	}
}

// TestCallsThatARuntimeLacks: spec 143 has no commits; that is a refusal and not a
// failure.
func TestCallsThatARuntimeLacks(t *testing.T) {
	me := newKey(t, 1)
	f := newFake(t, me)
	m := f.meta.Clone()
	p, _ := m.Pallet("SubtensorModule")
	t0 := &m.Types[p.Calls]
	kept := t0.Variants[:0]
	for _, v := range t0.Variants {
		if !strings.Contains(v.Name, "commit") {
			kept = append(kept, v)
		}
	}
	t0.Variants = kept
	b, err := m.Append(nil, 14)
	if err != nil {
		t.Fatal(err)
	}
	f.raw, f.meta = b, m
	c := dial(t, me, nil, f.serve())
	for _, op := range []chain.Op{chain.OpCommitTimelocked, chain.OpCommitWeights} {
		if p := ask(t, c, chain.Request{Op: op, Hotkey: me.hotkey(), Weights: ballot}); p.Code != chain.CallDisabled {
			t.Errorf("%s: %+v", op, p)
		}
	}
	if p := ask(t, c, chain.Request{Op: chain.OpSync}); p.Metagraph.Params.RevealVersion != 0 {
		t.Errorf("reveal version %d where no timelocked commit is taken", p.Metagraph.Params.RevealVersion)
	}
	if p := ask(t, c, setWeights(me)); p.Code != chain.OK {
		t.Errorf("%+v", p)
	}
}

// TestDryRun: what would be sent is shown, and nothing is sent.
func TestDryRun(t *testing.T) {
	me := newKey(t, 1)
	f := newFake(t, me)
	c := dial(t, me, func(o *Options, _ *Client) { o.Mechanism = 1 }, f.serve())
	p, err := c.Prepare(limited(t), setWeights(me))
	if err != nil {
		t.Fatal(err)
	}
	x, err := f.meta.ParseExtrinsic(p.Extrinsic)
	if err != nil || !bytes.Equal(x.Call, p.Call) || p.Name != "set_mechanism_weights" || p.Args.Get("mecid") != uint64(1) || p.Death != 65 || p.Nonce != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	if f.submissions() != 0 {
		t.Error("it was sent")
	}
	if _, err := c.Prepare(limited(t), setWeights(newKey(t, 9))); err == nil {
		t.Error("signed for another hotkey")
	}
}

// TestBackend: an answer comes once, from another goroutine; after Close it is a
// failure, and beyond the limit too.
func TestBackend(t *testing.T) {
	me := newKey(t, 1)
	e := newFake(t, me).serve()
	c := dial(t, me, nil, e)
	replies := make(chan sched.Result[chain.Reply], 2*maxOps)
	send := c.Backend()
	send(chain.Request{Op: chain.OpSync}, func(r sched.Result[chain.Reply]) { replies <- r })
	if r := <-replies; r.Err != "" || r.Res.Metagraph == nil {
		t.Errorf("%+v", r)
	}
	send(chain.Request{Op: 99}, func(r sched.Result[chain.Reply]) { replies <- r })
	if r := <-replies; r.Err == "" || r.Unknown {
		t.Errorf("%+v", r)
	}
	e.script(func(e *fakeEndpoint) { e.hang["state_queryStorageAt"] = true })
	for range maxOps + 1 {
		send(chain.Request{Op: chain.OpSync}, func(r sched.Result[chain.Reply]) { replies <- r })
	}
	if r := <-replies; !strings.Contains(r.Err, "under way") {
		t.Errorf("%+v", r)
	}
	closed(t, c)
	send(chain.Request{Op: chain.OpSync}, func(r sched.Result[chain.Reply]) { replies <- r })
	for range maxOps + 1 {
		if r := <-replies; r.Err == "" || r.Unknown {
			t.Errorf("%+v", r)
		}
	}
}

func TestBudget(t *testing.T) {
	b := &budget{perSecond: 200, burst: 2}
	began := time.Now()
	for range 12 {
		if err := b.take(limited(t)); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took < 45*time.Millisecond {
		t.Errorf("12 requests at 200/s with 2 at once took %v", took)
	}
	slow := &budget{perSecond: 0.001, burst: 1}
	if err := slow.take(limited(t)); err != nil {
		t.Fatal(err)
	}
	if err := slow.take(limited(t)); !errors.Is(err, errUnsent) {
		t.Errorf("beyond the budget: %v", err)
	}
	c, err := New(Options{Endpoints: []string{"wss://a.example"}})
	if err != nil || c.Health().Budget != 1 {
		t.Errorf("a public endpoint gets %v requests a second, %v", c.Health().Budget, err)
	}
	if c, _ := New(Options{Endpoints: []string{"ws://127.0.0.1:9944"}}); c.Health().Budget != 0 {
		t.Error("loopback has a budget")
	}
}

// TestEndpointsMayHoldSecrets: keys in a URL are in no log, error or status.
func TestEndpointsMayHoldSecrets(t *testing.T) {
	const secret = "hunter2"
	var log bytes.Buffer // the clients' while they run
	var said strings.Builder
	for _, url := range []string{"wss://" + secret + "@127.0.0.1:1/" + secret + "?key=" + secret, "http://host/" + secret, "ws://" + secret + "\x00"} {
		c, err := New(Options{Endpoints: []string{url}, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			said.WriteString(err.Error())
			continue
		}
		c.Start()
		eventually(t, "a failure", func() bool { return c.Health().Failures > 0 })
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		err = c.Ready(ctx)
		cancel()
		b, _ := json.Marshal(c.Health())
		said.WriteString(err.Error() + string(b))
		closed(t, c)
	}
	said.WriteString(log.String())
	if strings.Contains(said.String(), secret) {
		t.Error(said.String())
	}
	if !strings.Contains(said.String(), "127.0.0.1:1") {
		t.Error("the endpoint is not named at all")
	}
}

func TestJournal(t *testing.T) {
	dir := t.TempDir()
	open := func() *journal {
		j, err := openJournal(dir, [32]byte{1}, "5F")
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	j := open()
	a, b := entry{Op: "set_weights", Hash: []byte{1}, Bytes: []byte{2}, Nonce: 3, Birth: 4, Death: 68}, entry{Op: "serve_axon", Hash: []byte{5}, Bytes: []byte{6}, Nonce: 4}
	for _, e := range []entry{a, b} {
		if err := j.add(e); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]entry{a, b}, open().entries); diff != "" {
		t.Error(diff)
	}
	if err := j.settle(a.Hash); err != nil {
		t.Fatal(err)
	}
	if err := j.prune(3); err != nil || len(open().entries) != 2 || !open().entries[0].Settled {
		t.Errorf("%+v, %v", open().entries, err)
	}
	if err := j.prune(9); err != nil || len(open().entries) != 1 || open().entries[0].Nonce != 4 {
		t.Errorf("one that is open was forgotten, or one that is final not: %+v, %v", open().entries, err)
	}
	if err := j.remove(b.Hash); err != nil || len(open().entries) != 0 {
		t.Errorf("%+v, %v", open().entries, err)
	}
	for range maxEntries {
		if err := j.add(a); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.add(a); err == nil {
		t.Error("the journal has no limit")
	}
	if err := os.WriteFile(j.path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openJournal(dir, [32]byte{1}, "5F"); err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("a damaged journal: %v", err)
	}
	if j, err := openJournal(dir, [32]byte{2}, "5F"); err != nil || len(j.entries) != 0 {
		t.Errorf("another chain's journal: %+v, %v", j, err)
	}
}

// TestHeaderHash is a block of a live network, by its header and its hash.
func TestHeaderIsHashedAsTheChainDoes(t *testing.T) {
	var h header
	if err := json.Unmarshal([]byte(`{"parentHash":"0x0000000000000000000000000000000000000000000000000000000000000000","number":"0x0",
		"stateRoot":"0x29d0d972cd27cbc511e9589fcb7a4506d5eb6a9e8df205f00472e5ab354a4e17",
		"extrinsicsRoot":"0x03170a2e7597b7b7e3d84c05391d139a62b157e78786d8c082f29dcf4c111314","digest":{"logs":[]}}`), &h); err != nil {
		t.Fatal(err)
	}
	got, err := h.head()
	const polkadot = "0x91b171bb158e2d3848fa23a9f1c25182fb8e20313b2c1eb49219da7a70ce90c3" // genesis
	if err != nil || hexText(got.hash[:]) != polkadot {
		t.Errorf("%s, %v, want %s", hexText(got.hash[:]), err, polkadot)
	}
}

func FuzzAnswers(f *testing.F) {
	for _, s := range []string{`"ready"`, `{"inBlock":"0x00"}`, `{"invalid":{"custom":11}}`, `{"number":"0x1","digest":{"logs":["0x06"]}}`, `{"id":1,"result":{}}`, `{"params":{"subscription":"a","result":1}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		status(b)
		if code, ok := poolRefusal(&rpcError{Code: invalidTransaction, Data: b}, chain.OpSetWeights); !ok || code == chain.OK || len(code) > 100 {
			t.Errorf("%q is %q, %v", b, code, ok)
		}
		var m message
		_ = json.Unmarshal(b, &m)
		var h header
		if json.Unmarshal(b, &h) == nil {
			_, _ = h.head()
		}
		var x hexBytes
		if json.Unmarshal(b, &x) == nil {
			again, err := json.Marshal(x)
			var y hexBytes
			if err != nil || json.Unmarshal(again, &y) != nil || !bytes.Equal(x, y) {
				t.Errorf("%q comes back as %q", b, again)
			}
		}
	})
}

func BenchmarkSync(b *testing.B) {
	me := newKey(b, 1)
	c := dial(b, me, nil, newFake(b, me).serve())
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Answer(ctx, chain.Request{Op: chain.OpSync}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestARequestThatCannotBeSentIsGivenUp: a node waits for an answer for a while
// and then for the era of what it asked for. A request that is still here when
// the chain comes back must not be sent behind its back.
func TestARequestThatCannotBeSentIsGivenUp(t *testing.T) {
	c, err := New(Options{Endpoints: []string{"ws://127.0.0.1:1"}, Netuid: 30, Signer: newKey(t, 1)})
	if err != nil {
		t.Fatal(err)
	}
	c.soon = 50 * time.Millisecond
	c.Start()
	defer c.Close(context.Background())
	done := make(chan sched.Result[chain.Reply], 1)
	c.Backend()(chain.Request{Op: chain.OpSetWeights, Weights: chain.Weights{UIDs: []chain.UID{1}, Values: []uint16{1}}},
		func(r sched.Result[chain.Reply]) { done <- r })
	select {
	case r := <-done:
		if r.Err == "" || r.Unknown {
			t.Errorf("%+v, want an error that says it was not sent", r)
		}
	case <-time.After(3 * time.Second):
		t.Error("the request is kept for a chain that does not come")
	}
	if sendWithin >= 30*time.Second {
		t.Errorf("requests are kept for %v, longer than a node waits", sendWithin)
	}
}

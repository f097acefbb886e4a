package rpc

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"bettensor/node/chain"
	"bettensor/node/chain/chaintest"
	"bettensor/node/chain/scale"
	"bettensor/node/chain/timelock"
	"bettensor/sim/mockchain"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/blake2b"
)

// plainSubnet is a chain with one validator and three miners.
func plainSubnet() Config { return Config{Subnet: Localnet(netuid, origin, false, neurons(3))} }

// made is an endpoint with so many blocks, whose clock the test moves, and a
// client of it.
func made(t testing.TB, cfg Config, blocks chain.Block) *overRPC {
	t.Helper()
	s, clock := startLeaping(t, cfg)
	o := &overRPC{s: s, clock: clock}
	o.Reach(t, blocks+1)
	o.c = dial(t, s)
	return o
}

// headerBytes is a header in SCALE, put together from its JSON.
func headerBytes(t *testing.T, raw json.RawMessage) []byte {
	t.Helper()
	var h struct {
		ParentHash, Number, StateRoot, ExtrinsicsRoot string
		Digest                                        struct{ Logs []string }
	}
	if err := json.Unmarshal(raw, &h); err != nil {
		t.Fatal(err)
	}
	var n uint64
	if _, err := fmt.Sscanf(h.Number, "0x%x", &n); err != nil {
		t.Fatal(err)
	}
	var b []byte
	for i, text := range []string{h.ParentHash, h.StateRoot, h.ExtrinsicsRoot} {
		part, err := hex.DecodeString(text[2:])
		if err != nil {
			t.Fatal(err)
		}
		if b = append(b, part...); i == 0 {
			b = scale.AppendCompact(b, n)
		}
	}
	return scale.AppendCompact(b, uint64(len(h.Digest.Logs)))
}

func TestBlockHashIsTheHashOfItsHeader(t *testing.T) {
	o := made(t, plainSubnet(), 5)
	parent := [32]byte{}
	for n := range 6 {
		want := o.c.hash("chain_getBlockHash", n)
		f := o.c.ask("chain_getHeader", hexed(want[:]))
		b := headerBytes(t, f.Result)
		if got := blake2b.Sum256(b); got != want {
			t.Errorf("block %d: header hashes to %x, the endpoint says %x", n, got, want)
		}
		if !bytes.HasPrefix(b, parent[:]) {
			t.Errorf("block %d has the parent %x, want %x", n, b[:32], parent)
		}
		parent = want
	}
	if o.s.Genesis() != o.c.hash("chain_getBlockHash", 0) {
		t.Error("Genesis is not block 0")
	}
}

func TestRunsDifferByTheirSeed(t *testing.T) {
	with := func(seed byte) Config { c := plainSubnet(); c.Seed[0] = seed; return c }
	hash := func(seed byte) [32]byte {
		o := made(t, with(seed), 80) // behind an epoch
		return o.c.hash("chain_getBlockHash", 80)
	}
	a, again, other := hash(1), hash(1), hash(2)
	if a != again {
		t.Error("the same run gives other blocks")
	}
	if a == other {
		t.Error("another seed gives the same blocks")
	}
}

// A client that gets a push before it knows the subscription's id drops it.
func TestIDComesBeforePushes(t *testing.T) {
	o := made(t, plainSubnet(), 3)
	key, err := o.c.meta.StorageKey("Timestamp", "Now")
	if err != nil {
		t.Fatal(err)
	}
	absent := "0x" + strings.Repeat("00", 32)
	for _, x := range []struct {
		method string
		args   []any
		first  string
	}{
		{"state_subscribeRuntimeVersion", nil, `"specVersion":393`},
		{"state_subscribeStorage", []any{[]any{hexed(key), absent}}, `["` + absent + `",null]`},
		{"chain_subscribeNewHeads", nil, `"number":"0x3"`},
		{"chain_subscribeAllHeads", nil, `"number":"0x3"`},
		{"chain_subscribeFinalizedHeads", nil, `"number":"0x1"`},
	} {
		t.Run(x.method, func(t *testing.T) {
			o.c.t = t
			if x.args == nil {
				x.args = []any{}
			}
			o.c.ws.WriteJSON(map[string]any{"jsonrpc": "2.0", "id": "x", "method": x.method, "params": x.args})
			var id struct{ ID, Result string }
			if err := o.c.ws.ReadJSON(&id); err != nil || id.ID != "x" || id.Result == "" {
				t.Fatalf("the first frame is %+v (%v)", id, err)
			}
			if got := string(o.c.push(id.Result)); !strings.Contains(got, x.first) {
				t.Errorf("first push %s, want it to hold %s", got, x.first)
			}
			var ended bool
			if o.c.call(&ended, strings.Replace(x.method, "_sub", "_unsub", 1), id.Result); !ended {
				t.Error("it cannot be ended")
			}
			if o.c.call(&ended, strings.Replace(x.method, "_sub", "_unsub", 1), id.Result); ended {
				t.Error("it ends twice")
			}
		})
	}
	t.Run("in a batch", func(t *testing.T) {
		o.c.t = t
		o.c.ws.WriteMessage(1, []byte(`[{"jsonrpc":"2.0","id":1,"method":"chain_subscribeNewHeads"},{"jsonrpc":"2.0","id":2,"method":"chain_subscribeNewHeads","params":null}]`))
		var ids []struct{ Result string }
		if err := o.c.ws.ReadJSON(&ids); err != nil || len(ids) != 2 {
			t.Fatalf("the first frame is %+v (%v)", ids, err)
		}
		for _, id := range ids {
			o.c.push(id.Result)
		}
	})
}

func TestSubscribedStorageTellsChangesOnly(t *testing.T) {
	o := made(t, plainSubnet(), 3)
	var keys []hexed
	for _, name := range []string{"Number", "LastRuntimeUpgrade"} {
		k, err := o.c.meta.StorageKey("System", name)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	var sub string
	o.c.call(&sub, "state_subscribeStorage", keys)
	var set struct{ Changes [][2]*string }
	count := func() int {
		t.Helper()
		if err := json.Unmarshal(o.c.push(sub), &set); err != nil {
			t.Fatal(err)
		}
		return len(set.Changes)
	}
	if n := count(); n != 2 {
		t.Errorf("the first set has %d entries, want both", n)
	}
	o.step()
	if n := count(); n != 1 || *set.Changes[0][1] != "0x04000000" {
		t.Errorf("the next one has %d: %s", n, *set.Changes[0][1])
	}
}

func TestFrames(t *testing.T) {
	o := made(t, plainSubnet(), 1)
	many := "[" + strings.Repeat(`{"jsonrpc":"2.0","id":1,"method":"system_name"},`, maxBatch) + `{"jsonrpc":"2.0","id":1,"method":"system_name"}]`
	for _, x := range []struct{ name, in, want string }{
		{"no JSON", `{`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}`},
		{"no object", `1`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid request"}}`},
		{"nothing", ``, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}`},
		{"empty batch", `[]`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid request"}}`},
		{"no version", `{"id":1,"method":"system_name"}`, `{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"Invalid request"}}`},
		{"no method", `{"jsonrpc":"2.0","id":1}`, `{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"Invalid request"}}`},
		{"unknown method", `{"jsonrpc":"2.0","id":1,"method":"chainHead_v1_follow"}`, `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}`},
		{"named params", `{"jsonrpc":"2.0","id":1,"method":"system_name","params":{"a":1}}`, `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Invalid params","data":"params of system_name are not a list"}}`},
		{"an id of text", `{"jsonrpc":"2.0","id":"a","method":"system_chain"}`, `{"jsonrpc":"2.0","id":"a","result":"Localnet"}`},
		{"a batch", `[{"jsonrpc":"2.0","id":1,"method":"system_chain"},{"jsonrpc":"2.0","method":"system_chain"},{"jsonrpc":"2.0","id":2,"method":"no"}]`,
			`[{"jsonrpc":"2.0","id":1,"result":"Localnet"},{"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"Method not found"}}]`},
		{"a batch too large", many, `{"jsonrpc":"2.0","id":null,"error":{"code":-32010,"message":"The batch request was too large, at most 128 requests are taken"}}`},
		{"a key that is no hex", `{"jsonrpc":"2.0","id":1,"method":"state_getStorage","params":["zz"]}`, `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Invalid params","data":"parameter 0, a storage key: no 0x in front"}}`},
		{"a page too large", `{"jsonrpc":"2.0","id":1,"method":"state_getKeysPaged","params":["0x",1001]}`, `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"count exceeds maximum value. value: 1001, max: 1000"}}`},
		{"a block that is not", `{"jsonrpc":"2.0","id":1,"method":"chain_getBlockHash","params":[99]}`, `{"jsonrpc":"2.0","id":1,"result":null}`},
		{"hashes of several", `{"jsonrpc":"2.0","id":1,"method":"chain_getBlockHash","params":[["0x63",99]]}`, `{"jsonrpc":"2.0","id":1,"result":[null,null]}`},
		{"state of a block that is not", `{"jsonrpc":"2.0","id":1,"method":"state_getStorage","params":["0x00","0x` + strings.Repeat("11", 32) + `"]}`,
			`{"jsonrpc":"2.0","id":1,"error":{"code":4003,"message":"Client error: UnknownBlock: Header was not found in the database"}}`},
	} {
		t.Run(x.name, func(t *testing.T) {
			o.c.ws.WriteMessage(1, []byte(x.in))
			_, got, err := o.c.ws.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(x.want, string(got)); d != "" {
				t.Error(d)
			}
			if strings.HasPrefix(x.name, "no ") && x.in == "" {
				return
			}
			res, err := http.Post("http://"+o.s.Addr(), "application/json", strings.NewReader(x.in))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if got, _ := io.ReadAll(res.Body); string(got) != x.want {
				t.Errorf("over HTTP: %s", got)
			}
		})
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestSubscriptionsNeedASocket(t *testing.T) {
	o := made(t, plainSubnet(), 1)
	for _, x := range subscriptions {
		body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":["0x00"]}`, x.begin)
		res, err := http.Post("http://"+o.s.Addr(), "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if !bytes.Contains(got, []byte("-32601")) {
			t.Errorf("%s over HTTP: %s", x.begin, got)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestSubscriptionsAreLimited(t *testing.T) {
	o := made(t, plainSubnet(), 1)
	var sub string
	for range maxSubscriptions {
		o.c.call(&sub, "state_subscribeRuntimeVersion")
	}
	if f := o.c.ask("state_subscribeRuntimeVersion"); f.Error == nil || f.Error.Code != -32006 {
		t.Errorf("one more: %+v", f)
	}
	var ended bool
	o.c.call(&ended, "state_unsubscribeRuntimeVersion", sub)
	o.c.call(&sub, "state_subscribeRuntimeVersion")
	o.c.ws.Close()
	o.wait(t, func(s Stats) bool { return s.Subscriptions == 0 && s.Connections == 0 })
}

// TestSubscriptionsOfOneBatchAreLimited: they count though none of their ids has
// gone out; an extrinsic that is refused takes no place.
func TestSubscriptionsOfOneBatchAreLimited(t *testing.T) {
	o := made(t, plainSubnet(), 1)
	begin := func(method, params string, n int) string {
		one := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, method, params)
		return strings.Repeat(one+",", n-1) + one
	}
	batch := "[" + begin("author_submitAndWatchExtrinsic", `["0x00"]`, 1) + "," + begin("chain_subscribeNewHeads", "[]", maxBatch-1) + "]"
	if err := o.c.ws.WriteMessage(1, []byte(batch)); err != nil {
		t.Fatal(err)
	}
	_, b, err := o.c.ws.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	var replies []struct{ Result string }
	if err := json.Unmarshal(b, &replies); err != nil {
		t.Fatalf("%v in %.100s", err, b)
	}
	begun := 0
	for i := range replies {
		if replies[i].Result != "" {
			begun++
		}
	}
	if held := o.s.Stats().Subscriptions; begun != maxSubscriptions || held != maxSubscriptions {
		t.Errorf("%d subscriptions are begun and %d held, at most %d are allowed", begun, held, maxSubscriptions)
	}
	// What was begun does not count twice once it is there.
	var ended bool
	o.c.call(&ended, "chain_unsubscribeNewHeads", replies[1].Result)
	var sub string
	if o.c.call(&sub, "chain_subscribeNewHeads"); !ended || sub == "" {
		t.Errorf("ended %v, begun %q", ended, sub)
	}
}

func TestAFrameTooLargeEndsTheConnection(t *testing.T) {
	o := made(t, plainSubnet(), 1)
	o.c.ws.WriteMessage(1, bytes.Repeat([]byte(" "), maxFrame+1))
	if _, _, err := o.c.ws.ReadMessage(); err == nil {
		t.Error("it is answered")
	}
	res, err := http.Post("http://"+o.s.Addr(), "application/json", bytes.NewReader(make([]byte, maxFrame+1)))
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("over HTTP: %s", res.Status)
	}
}

// What nobody reads must not pile up.
func TestASlowReaderIsDropped(t *testing.T) {
	o := made(t, plainSubnet(), 1)
	var sub string
	for range maxSubscriptions {
		o.c.call(&sub, "chain_subscribeNewHeads")
	}
	// Frames of some 400 bytes: the sockets' buffers take a few MB of them.
	for n := chain.Block(400); o.s.Stats().Dropped == 0; n += 400 {
		if n > 8000 {
			t.Fatal("the endpoint holds everything")
		}
		o.Reach(t, n)
	}
	o.wait(t, func(s Stats) bool { return s.Connections == 0 })
}

func TestFinalityTrailsByBlocksAndTime(t *testing.T) {
	clock := &leaping{}
	clock.to(origin)
	s := start(t, Config{Subnet: Localnet(netuid, origin, false, neurons(1)), Now: clock.now})
	o := &overRPC{s: s, clock: clock, c: dial(t, s)}
	var sub string
	o.c.call(&sub, "chain_subscribeFinalizedHeads")
	o.c.push(sub) // genesis
	began := time.Now()
	o.Reach(t, 9)
	var header struct{ Number string }
	for n := 1; n <= 6; n++ {
		if err := json.Unmarshal(o.c.push(sub), &header); err != nil || header.Number != quantity(uint64(n)) {
			t.Fatalf("head %s (%v), want %d", header.Number, err, n)
		}
	}
	if age := time.Since(began); age < finalityAge {
		t.Errorf("final after %v", age)
	}
	if st := s.Stats(); st.Final != 6 || st.Best != 8 {
		t.Errorf("finalised %d of %d", st.Final, st.Best)
	}
}

func TestHistory(t *testing.T) {
	o := made(t, plainSubnet(), keepStates+200)
	key, err := o.c.meta.StorageKey("System", "Number")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{keepStates + 200, 201, 300} {
		at := o.c.hash("chain_getBlockHash", n)
		if got := o.c.number(at, "System", "Number"); got != uint64(n) {
			t.Errorf("state of block %d is that of %d", n, got)
		}
		// An entry that was last written in a block whose state is gone.
		if tempo := o.c.number(at, "SubtensorModule", "Tempo", netuid); tempo != 99 {
			t.Errorf("tempo %d in block %d", tempo, n)
		}
	}
	at := o.c.hash("chain_getBlockHash", 200)
	if f := o.c.ask("state_getStorage", hexed(key), hexed(at[:])); f.Error == nil || f.Error.Code != codeState {
		t.Errorf("state of an old block: %+v", f)
	}
	if f := o.c.ask("chain_getBlock", hexed(at[:])); f.Error != nil || len(f.Result) < 100 {
		t.Errorf("an old block: %+v", f)
	}
}

func TestKeysPaged(t *testing.T) {
	o := made(t, plainSubnet(), 2)
	var all, page []string
	o.c.call(&all, "state_getKeysPaged", "0x", 1000)
	if len(all) < 70 || !slices.IsSorted(all) {
		t.Fatalf("%d keys, sorted %v", len(all), slices.IsSorted(all))
	}
	var paged []string
	for after := ""; ; after = page[len(page)-1] {
		args := []any{"0x", 7}
		if after != "" {
			args = append(args, after)
		}
		if o.c.call(&page, "state_getKeysPaged", args...); len(page) == 0 {
			break
		}
		paged = append(paged, page...)
	}
	if d := cmp.Diff(all, paged); d != "" {
		t.Errorf("pages differ from the whole: %s", d)
	}
	prefix := scale.StoragePrefix("SubtensorModule", "Keys")
	o.c.call(&page, "state_getKeysPaged", hexed(prefix), 100)
	if len(page) != 4 {
		t.Errorf("%d neurons by their keys", len(page))
	}
}

func TestNoncesGoInOrder(t *testing.T) {
	o := made(t, plainSubnet(), 3)
	c, h := o.c, chaintest.Hotkey(1)
	remark := func(nonce uint64) []byte {
		terms := c.terms(h)
		terms.Nonce = nonce
		return c.sign(h, terms, c.encodeCall("System", "remark", []byte{byte(nonce)}))
	}
	watch := func(x []byte) (sub string) {
		t.Helper()
		c.call(&sub, "author_submitAndWatchExtrinsic", hexed(x))
		return sub
	}
	status := func(sub, want string) {
		t.Helper()
		if got := string(c.push(sub)); !strings.Contains(got, want) {
			t.Errorf("status %s, want %s", got, want)
		}
	}
	second := watch(remark(1))
	status(second, "future")
	o.mine(t)
	if got := c.hash("chain_getBlockHash", 4); len(c.events(got)) != 1 {
		t.Error("an extrinsic went in before its turn")
	}
	zero := remark(0)
	first := watch(zero)
	status(first, "ready")
	status(second, "ready")
	f := c.ask("author_submitExtrinsic", hexed(zero))
	if f.Error == nil || f.Error.Code != codeAlreadyHere {
		t.Errorf("the same again: %+v", f)
	}
	terms := c.terms(h)
	terms.Nonce = 0
	f = c.ask("author_submitExtrinsic", hexed(c.sign(h, terms, c.encodeCall("System", "remark", []byte("other")))))
	if f.Error == nil || f.Error.Code != codeTooLow {
		t.Errorf("another of the same nonce: %+v", f)
	}
	var next int
	if c.call(&next, "system_accountNextIndex", h); next != 2 {
		t.Errorf("the next nonce is %d", next)
	}
	var waiting []string
	if c.call(&waiting, "author_pendingExtrinsics"); len(waiting) != 2 {
		t.Errorf("%d wait", len(waiting))
	}
	o.mine(t)
	status(first, "inBlock")
	status(second, "inBlock")
	at := c.hash("chain_getBlockHash", 5)
	if got := c.read(at, "System", "Account", account(h)).(scale.Record).Get("nonce"); got != uint64(2) {
		t.Errorf("the account's nonce is %v", got)
	}
	f = c.ask("author_submitExtrinsic", hexed(zero))
	if f.Error == nil || string(f.Error.Data) != `"Transaction is outdated"` {
		t.Errorf("a used nonce: %+v", f)
	}
}

func TestWhatIsSignedMustHold(t *testing.T) {
	o := made(t, plainSubnet(), 3)
	c, h := o.c, chaintest.Hotkey(1)
	call := c.encodeCall("System", "remark", []byte("x"))
	for _, x := range []struct {
		name   string
		change func(*scale.Terms)
		want   string
	}{
		{"another genesis", func(t *scale.Terms) { t.Genesis[0]++ }, dataBadSignature},
		{"another spec", func(t *scale.Terms) { t.Spec++ }, dataBadSignature},
		{"another transaction version", func(t *scale.Terms) { t.Transaction++ }, dataBadSignature},
		{"another birth", func(t *scale.Terms) { t.Birth[0]++ }, dataBadSignature},
		{"an era not begun", func(t *scale.Terms) { t.Era = scale.MortalEra(64, 60) }, dataAncientBirth},
		{"immortal", func(t *scale.Terms) { t.Era = scale.Era{} }, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			terms := c.terms(h)
			x.change(&terms)
			f := c.ask("author_submitExtrinsic", hexed(c.sign(h, terms, call)))
			switch {
			case x.want == "" && f.Error != nil:
				t.Errorf("refused: %+v", f.Error)
			case x.want != "" && (f.Error == nil || f.Error.Code != codeInvalidTx || string(f.Error.Data) != `"`+x.want+`"`):
				t.Errorf("%+v, want %s", f.Error, x.want)
			}
		})
	}
	good := c.sign(h, c.terms(h), call)
	for _, at := range []int{8, 40, 80, len(good) - 1} {
		bad := bytes.Clone(good)
		bad[at] ^= 1
		if f := c.ask("author_submitExtrinsic", hexed(bad)); f.Error == nil {
			t.Errorf("with byte %d changed it is taken", at)
		}
	}
	for _, bad := range [][]byte{{}, {0}, good[:50], bytes.Repeat([]byte{0xff}, 100), make([]byte, maxExtrinsic+1)} {
		if f := c.ask("author_submitExtrinsic", hexed(bad)); f.Error == nil || f.Error.Code != codeBadFormat {
			t.Errorf("%d bytes: %+v", len(bad), f.Error)
		}
	}
}

func TestAnExtrinsicDiesWithItsEra(t *testing.T) {
	o := made(t, plainSubnet(), 3)
	c, h := o.c, chaintest.Hotkey(1)
	terms := c.terms(h)
	terms.Era = scale.MortalEra(4, 3)
	terms.Nonce = 1 // it waits for one that never comes
	var sub string
	c.call(&sub, "author_submitAndWatchExtrinsic", hexed(c.sign(h, terms, c.encodeCall("System", "remark", []byte("x")))))
	c.push(sub)
	for range 3 {
		o.mine(t)
	}
	terms.Nonce = 2
	if f := c.ask("author_submitExtrinsic", hexed(c.sign(h, terms, c.encodeCall("System", "remark", []byte("x"))))); f.Error == nil || string(f.Error.Data) != `"`+dataAncientBirth+`"` {
		t.Errorf("submitted for a block after the era: %+v", f.Error)
	}
	var waiting []string
	if c.call(&waiting, "author_pendingExtrinsics"); o.s.Stats().Best != 6 || len(waiting) != 1 {
		t.Fatalf("in block %d the pool holds %d", o.s.Stats().Best, len(waiting))
	}
	o.mine(t)
	if got := string(c.push(sub)); got != `"invalid"` {
		t.Errorf("status %s", got)
	}
}

func TestPoolRefusals(t *testing.T) {
	cfg := plainSubnet()
	cfg.Subnet.ServingRateLimit = 50
	cfg.Subnet.Params.CommitReveal = true
	cfg.Subnet.Params.StakeThreshold = 5
	o := made(t, cfg, 3)
	c := o.c
	axon := func(ip uint32, port, kind uint16) []byte {
		return c.encodeCall("SubtensorModule", "serve_axon", netuid, 1, ip, port, kind, 4, 0, 0)
	}
	submit := func(who int, call []byte) frame {
		h := chaintest.Hotkey(who)
		return c.ask("author_submitExtrinsic", hexed(c.sign(h, c.terms(h), call)))
	}
	if f := submit(1, axon(0x01020304, 1, 4)); f.Error != nil {
		t.Fatalf("an axon: %+v", f.Error)
	}
	o.mine(t)
	for _, x := range []struct {
		name string
		who  int
		call []byte
		want int
	}{
		{"too little stake", 2, c.encodeCall("SubtensorModule", "set_weights", netuid, []uint16{1}, []uint16{1}, 0), 1},
		{"no slot", 9, axon(0x01020304, 1, 4), 10},
		{"another subnet", 2, c.encodeCall("SubtensorModule", "serve_axon", 31, 1, 9, 1, 4, 4, 0, 0), 10},
		{"broadcast", 2, axon(0xffffffff, 1, 4), 11},
		{"too soon", 1, axon(0x01020304, 2, 4), 12},
		{"port 0", 2, axon(0x01020304, 0, 4), 13},
		{"no such type of address", 2, axon(0x01020304, 1, 5), 255},
		{"a round of the past", 0, c.encodeCall("SubtensorModule", "commit_timelocked_weights", netuid, []byte{1}, 3, 4), 15},
		{"nothing was committed", 0, c.encodeCall("SubtensorModule", "reveal_weights", netuid, []uint16{1}, []uint16{1}, []uint16{1}, 0), 16},
		{"lists of several sizes", 0, c.encodeCall("SubtensorModule", "batch_reveal_weights", netuid, [][]uint16{{1}}, [][]uint16{}, [][]uint16{}, []uint64{}), 18},
	} {
		t.Run(x.name, func(t *testing.T) {
			f := submit(x.who, x.call)
			want := fmt.Sprintf(`{"code":1010,"message":"Invalid Transaction","data":"Custom error: %d"}`, x.want)
			if f.Error == nil {
				t.Fatal("it is taken")
			}
			got := fmt.Sprintf(`{"code":%d,"message":%q,"data":%s}`, f.Error.Code, f.Error.Message, f.Error.Data)
			if got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
	if f := submit(0, c.encodeCall("SubtensorModule", "commit_timelocked_weights", netuid, make([]byte, timelock.MaxSealed+1), 1<<40, 4)); f.Error == nil || f.Error.Code != codeBadFormat {
		t.Errorf("a commit that is too long: %+v", f.Error)
	}
}

// run submits a call and makes its block.
func (o *overRPC) run(who int, call []byte) outcome {
	h := chaintest.Hotkey(who)
	return o.c.watch(o.c.sign(h, o.c.terms(h), call), o.step, func() { o.step(); o.step() })
}

func TestCallsAndTheirEvents(t *testing.T) {
	cfg := plainSubnet()
	cfg.Subnet.Params.WeightsRateLimit = 0
	o := made(t, cfg, 3)
	c := o.c
	const success, failed = "System.ExtrinsicSuccess", "System.ExtrinsicFailed"
	for _, x := range []struct {
		name   string
		who    int
		call   []byte
		code   chain.Code
		events []string
	}{
		{"a mechanism's weights", 0, c.encodeCall("SubtensorModule", "set_mechanism_weights", netuid, 0, []uint16{1}, []uint16{1}, 0), "", []string{"SubtensorModule.WeightsSet", success}},
		{"a mechanism that is not", 0, c.encodeCall("SubtensorModule", "set_mechanism_weights", netuid, 1, []uint16{1}, []uint16{1}, 0), noSuchMechanism, []string{failed}},
		{"a subnet that is not", 0, c.encodeCall("SubtensorModule", "set_weights", 31, []uint16{1}, []uint16{1}, 0), chain.SubnetNotExists, []string{failed}},
		{"a remark", 3, c.encodeCall("System", "remark", []byte("hello")), "", []string{success}},
		{"the author's own call", 3, c.encodeCall("Timestamp", "set", 1), badOrigin, []string{failed}},
		{"the root's call", 3, c.encodeCall("System", "set_heap_pages", 1), badOrigin, []string{failed}},
		{"a call this chain does not carry out", 3, c.encodeCall("SubtensorModule", "register_network", chainAccount(3)), chain.CallFiltered, []string{failed}},
		{"an axon with a certificate", 1, c.encodeCall("SubtensorModule", "serve_axon_tls", netuid, 7, big.NewInt(0x0a000001), 9, 4, 2, 0, 0, []byte{1}), "", []string{"SubtensorModule.AxonServed", success}},
	} {
		t.Run(x.name, func(t *testing.T) {
			c.t = t
			out := o.run(x.who, x.call)
			if out.code != x.code || !slices.Equal(out.events, x.events) {
				t.Errorf("%q with %v, want %q with %v", out.code, out.events, x.code, x.events)
			}
		})
	}
	a := c.read(c.hash("chain_getFinalizedHead"), "SubtensorModule", "Axons", netuid, account(chaintest.Hotkey(1))).(scale.Record)
	if a.Get("version") != uint64(7) || a.Get("protocol") != uint64(2) || a.Get("block") == uint64(0) {
		t.Errorf("the axon is kept as %v", a)
	}
	again := o.run(1, c.encodeCall("SubtensorModule", "serve_axon_tls", netuid, 7, big.NewInt(0x0a000001), 9, 4, 2, 0, 0, []byte{1}))
	if b := c.read(again.hash, "SubtensorModule", "Axons", netuid, account(chaintest.Hotkey(1))).(scale.Record); b.Get("block") != again.block {
		t.Errorf("announced again in block %d, the axon is of block %v", again.block, b.Get("block"))
	}
	fresh := o.s.Stats().Best
	o.s.Change(func(c *mockchain.Chain, now time.Time) { c.SetSafeMode(now, true) })
	if out := o.run(0, c.encodeCall("SubtensorModule", "commit_weights", netuid, [32]byte{1})); out.code != chain.CallFiltered || out.block <= fresh {
		t.Errorf("a commit in safe mode: %+v", out)
	}
}

func chainAccount(i int) [32]byte { return account(chaintest.Hotkey(i)) }

// The chain opens a timelocked commit by itself, and everything a client looks
// at on the way is there.
func TestTimelockedCommitOnTheChain(t *testing.T) {
	cfg := plainSubnet()
	cfg.Subnet.Params.CommitReveal, cfg.Subnet.Params.Tempo = true, 9
	o := made(t, cfg, 5)
	c := o.c
	want := chain.Weights{UIDs: []chain.UID{1, 2}, Values: []uint16{65535, 9}}
	round, revealAt, call := o.seal(chain.Request{Hotkey: chaintest.Hotkey(0), Weights: want})
	out := o.run(0, call)
	if want := []string{"SubtensorModule.TimelockedWeightsCommitted", "System.ExtrinsicSuccess"}; out.code != chain.OK || !slices.Equal(out.events, want) {
		t.Fatalf("commit: %+v", out)
	}
	epoch := cfg.Subnet.Params.Epoch(netuid, chain.Block(out.block))
	list := c.read(out.hash, "SubtensorModule", "TimelockedWeightCommits", netuid, epoch).([]scale.Value)
	if len(list) != 1 || list[0].([]scale.Value)[1] != out.block || list[0].([]scale.Value)[3] != round {
		t.Errorf("kept as %v", list)
	}
	o.Reach(t, revealAt+8)
	revealed := 0
	for n := chain.Block(out.block) + 1; n <= revealAt+7; n++ {
		at := c.hash("chain_getBlockHash", n)
		for _, e := range c.events(at) {
			if e.Name != "TimelockedWeightsRevealed" {
				continue
			}
			revealed++
			if e.Phase != scale.Initialization || n < revealAt {
				t.Errorf("revealed in block %d, phase %d; not before block %d", n, e.Phase, revealAt)
			}
			pulse, ok := c.read(at, "Drand", "Pulses", round).(scale.Record)
			if !ok {
				t.Fatal("the pulse is not stored")
			}
			key := c.read(at, "Drand", "BeaconConfig").(scale.Record).Get("public_key").([]byte)
			if err := timelock.VerifyPulse(key, round, pulse.Get("signature").([]byte)); err != nil {
				t.Error(err)
			}
			if c.number(at, "Drand", "LastStoredRound") < round {
				t.Error("the last stored round is before it")
			}
			if left, _ := c.read(at, "SubtensorModule", "TimelockedWeightCommits", netuid, epoch).([]scale.Value); len(left) != 0 {
				t.Error("the commit is still kept")
			}
			w := c.read(at, "SubtensorModule", "Weights", netuid, 0).([]scale.Value)
			if len(w) != 2 {
				t.Errorf("weights %v", w)
			}
		}
	}
	if revealed != 1 {
		t.Errorf("revealed %d times", revealed)
	}
}

func TestBatchReveal(t *testing.T) {
	cfg := plainSubnet()
	cfg.Subnet.Params.CommitReveal, cfg.Subnet.Params.Tempo, cfg.Subnet.Params.WeightsRateLimit = true, 9, 0
	o := made(t, cfg, 11)
	c := o.c
	uids, values, salts := [][]uint16{{1}, {2}}, [][]uint16{{65535}, {65535}}, [][]uint16{{7}, {8}}
	var first uint64
	for i := range uids {
		hash, err := chain.CommitHash(chaintest.Hotkey(0), uint16(netuid), chain.Weights{UIDs: []chain.UID{chain.UID(uids[i][0])}, Values: values[i]}, salts[i], 0)
		if err != nil {
			t.Fatal(err)
		}
		out := o.run(0, c.encodeCall("SubtensorModule", "commit_weights", netuid, hash))
		if out.code != chain.OK {
			t.Fatal(out.code)
		}
		first = out.block
	}
	p := cfg.Subnet.Params
	o.Reach(t, p.EpochStart(netuid, p.Epoch(netuid, chain.Block(first))+1))
	out := o.run(0, c.encodeCall("SubtensorModule", "batch_reveal_weights", netuid, uids, values, salts, []uint64{0, 0}))
	want := []string{"SubtensorModule.WeightsSet", "SubtensorModule.WeightsSet", "SubtensorModule.WeightsBatchRevealed", "System.ExtrinsicSuccess"}
	if out.code != chain.OK || !slices.Equal(out.events, want) {
		t.Fatalf("%q with %v", out.code, out.events)
	}
}

func TestRuntimeCalls(t *testing.T) {
	o := made(t, plainSubnet(), 80)
	c := o.c
	if out := o.run(0, c.encodeCall("SubtensorModule", "set_weights", netuid, []uint16{1, 2}, []uint16{1, 2}, 0)); out.code != chain.OK {
		t.Fatal(out.code)
	}
	wrapped := c.bytes("state_call", "Metadata_metadata_at_version", "0x0f000000")
	inner, err := scale.Unwrap(wrapped)
	if err != nil {
		t.Fatal(err)
	}
	m, err := scale.Parse(inner)
	if err != nil {
		t.Fatal(err)
	}
	if none := c.bytes("state_call", "Metadata_metadata_at_version", "0x10000000"); !bytes.Equal(none, []byte{0}) {
		t.Errorf("V16 is offered: %x", none[:min(len(none), 8)])
	}
	answer := func(api, method, args string) scale.Value {
		t.Helper()
		x, err := m.Method(api, method)
		if err != nil {
			t.Fatal(err)
		}
		v, err := m.DecodeAll(x.Output, c.bytes("state_call", api+"_"+method, args))
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		return v
	}
	list := answer("NeuronInfoRuntimeApi", "get_neurons_lite", "0x1e00").([]scale.Value)
	if len(list) != 4 {
		t.Fatalf("%d neurons", len(list))
	}
	at := c.hash("chain_getBlockHash")
	updates := c.read(at, "SubtensorModule", "LastUpdate", netuid).([]scale.Value)
	for i, v := range list {
		n := v.(scale.Record)
		if n.Get("uid") != uint64(i) || n.Get("last_update") != updates[i] || n.Get("validator_permit") != (i == 0) || chain.EncodeSS58([32]byte(n.Get("hotkey").([]byte))) != chaintest.Hotkey(i) {
			t.Errorf("neuron %d: %v", i, n)
		}
	}
	if v := answer("NeuronInfoRuntimeApi", "get_neuron_lite", "0x1e000900"); v.(scale.Variant).Name != "None" {
		t.Errorf("neuron 9: %v", v)
	}
	if v := answer("Core", "version", "0x").(scale.Record); v.Get("spec_version") != uint64(specVersion) {
		t.Errorf("version %v", v)
	}
	if v := answer("AccountNonceApi", "account_nonce", "0x"+hex.EncodeToString(account0())); v != uint64(1) {
		t.Errorf("nonce %v", v)
	}
	for _, bad := range []string{"Core_nothing", "Nothing_at_all", "", "Core_execute_block"} {
		if f := c.ask("state_call", bad, "0x"); f.Error == nil {
			t.Errorf("%q is answered", bad)
		}
	}
	if f := c.ask("state_call", "NeuronInfoRuntimeApi_get_neurons_lite", "0x1e"); f.Error == nil {
		t.Error("arguments that are too short are taken")
	}
}

func account0() []byte { a := account(chaintest.Hotkey(0)); return a[:] }

func TestSlotsThatChangeHands(t *testing.T) {
	o := made(t, plainSubnet(), 3)
	c := o.c
	o.s.Change(func(c *mockchain.Chain, now time.Time) {
		if code := c.Deregister(now, chaintest.Hotkey(2)); code != chain.OK {
			t.Error(code)
		}
		c.SetStake(now, chaintest.Hotkey(1), 77)
	})
	before := c.hash("chain_getBlockHash")
	o.Reach(t, 5)
	after := c.hash("chain_getBlockHash")
	if _, ok := c.read(before, "SubtensorModule", "Uids", netuid, chainAccount(2)).(uint64); !ok {
		t.Error("gone before its block")
	}
	if v := c.read(after, "SubtensorModule", "Uids", netuid, chainAccount(2)); v != nil {
		t.Errorf("the old hotkey still has slot %v", v)
	}
	if n := c.number(after, "SubtensorModule", "TotalHotkeyAlpha", chainAccount(1), netuid); n != 77 {
		t.Errorf("stake %d", n)
	}
}

func TestFaults(t *testing.T) {
	o := made(t, plainSubnet(), 3)
	o.s.Stall(true)
	o.step()
	began := time.Now()
	o.s.Delay(50 * time.Millisecond)
	if f := o.c.ask("system_name"); f.Error != nil || time.Since(began) < 50*time.Millisecond {
		t.Errorf("a delayed answer came after %v", time.Since(began))
	}
	o.s.Delay(0)
	if best := o.s.Stats().Best; best != 3 {
		t.Errorf("a stalled chain made block %d", best)
	}
	o.s.Stall(false)
	o.wait(t, func(s Stats) bool { return s.Best == 4 })
	if n := o.s.DropConnections(); n != 1 {
		t.Errorf("%d connections", n)
	}
	if _, _, err := o.c.ws.ReadMessage(); err == nil {
		t.Error("the connection lives")
	}
}

func TestListenOnLoopbackOnly(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "192.0.2.1:0", "[::]:0", "example.org:1", "nothing"} {
		s, err := New(plainSubnet())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Listen(addr); err == nil {
			t.Errorf("%s is served", addr)
		}
	}
	bad := plainSubnet()
	bad.Subnet.Neurons[0].Coldkey = "demo"
	if _, err := New(bad); err == nil {
		t.Error("a coldkey that is no address is taken")
	}
	bad = plainSubnet()
	bad.Subnet.BlockTime = 1500 * time.Microsecond
	if _, err := New(bad); err == nil {
		t.Error("a block time that the chain's clock cannot tell is taken")
	}
}

// A chain answers for its genesis however old it is: every client asks for that
// when it connects, and again when it connects anew.
func TestHashesAreKeptForGood(t *testing.T) {
	o := made(t, plainSubnet(), keepBlocks+100)
	genesis := o.c.hash("chain_getBlockHash", 0)
	if genesis != o.s.Genesis() {
		t.Errorf("genesis %x, want %x", genesis, o.s.Genesis())
	}
	var header struct{ Number string }
	if o.c.call(&header, "chain_getHeader", hexed(genesis[:])); header.Number != "0x0" {
		t.Errorf("its header has number %q", header.Number)
	}
	old := o.c.hash("chain_getBlockHash", 50)
	if f := o.c.ask("chain_getBlock", hexed(old[:])); f.Error == nil && string(f.Result) != "null" {
		t.Errorf("a block beyond what is kept: %.80s", f.Result)
	}
}

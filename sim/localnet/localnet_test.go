package localnet

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/chain/wallet"
	node "bettensor/node/cli"
	"bettensor/sim/mockchain"

	"github.com/google/go-cmp/cmp"
)

// readJSON reads a file of the network's directory.
func readJSON(t testing.TB, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// metagraph is the subnet as it stands, with its parameters.
func (n *Network) metagraph() (m *chain.Metagraph) {
	n.chain.Change(func(c *mockchain.Chain, now time.Time) { m = c.Metagraph(now) })
	return m
}

// TestWhatClientsFind: files, keys, seats and parameters are as clients that we
// did not write expect them, whatever runs here.
func TestWhatClientsFind(t *testing.T) {
	n := begin(t, Options{Speed: 60})
	var clock node.ClockFile
	readJSON(t, filepath.Join(n.o.Dir, "clock.json"), &clock)
	genesis := n.chain.Genesis()
	if clock.Version != 1 || clock.Genesis != "0x"+hex.EncodeToString(genesis[:]) || clock.Speed != 60 {
		t.Errorf("clock.json: %+v", clock)
	}
	if at := clock.NodeOrigin + 60*(time.Now().UnixNano()-clock.WallOrigin); time.Duration(n.now().UnixNano()-at).Abs() > time.Minute {
		t.Errorf("by clock.json it is %v, by the network %v", time.Unix(0, at).UTC(), n.now())
	}
	var ports Ports
	readJSON(t, filepath.Join(n.o.Dir, "ports.json"), &ports)
	if diff := cmp.Diff(Ports{RPC: n.RPC(), Feed: n.Feed(), Nodes: map[string]NodePorts{}}, ports); diff != "" {
		t.Errorf("ports.json (-want +got):\n%s", diff)
	}

	names := []string{"v0", "m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7"}
	m := n.metagraph()
	if len(m.Neurons) != len(names) {
		t.Fatalf("%d slots, want %d", len(m.Neurons), len(names))
	}
	for uid, name := range names {
		at := wallet.Location{Path: n.Wallets(), Name: WalletName, Hotkey: name}
		path := filepath.Join(n.Wallets(), WalletName, "hotkeys", name)
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", path, info.Mode(), err)
		}
		var file map[string]string
		readJSON(t, path, &file)
		if words := strings.Fields(file["secretPhrase"]); len(words) != 12 {
			t.Errorf("%s: a phrase of %d words", name, len(words))
		}
		key, err := wallet.Load(at, wallet.Passwords{})
		if err != nil {
			t.Fatal(err)
		}
		x := m.Neurons[uid]
		if key.Hotkey() != x.Hotkey || string(key.Hotkey()) != file["ss58Address"] || x.RegisteredAt != 0 || x.LastUpdate != 0 {
			t.Errorf("%s: key %s, slot %d %+v", name, key.Hotkey(), uid, x)
		}
		if again, err := wallet.FromURI(file["secretPhrase"]); err != nil || again.Hotkey() != key.Hotkey() {
			t.Errorf("%s: the phrase is another key's: %v", name, err)
		}
	}
	if x := m.Neurons[0]; !x.Permit || x.Stake < 1000e9 {
		t.Errorf("v0 without a validator here: %+v", x)
	}
	p := m.Params
	if p.Tempo != 99 || p.WeightsRateLimit != 100 || p.MinAllowedWeights != 1 || p.MaxWeightsLimit != 65535 || p.WeightsVersionKey != 0 || p.CommitReveal {
		t.Errorf("parameters %+v", p)
	}
}

// TestPermitStands: no epoch takes the permit of a validator's key that nobody uses.
func TestPermitStands(t *testing.T) {
	n := begin(t, Options{Speed: MaxSpeed, subnet: func(c *mockchain.Config) { c.Params.Tempo = 4 }})
	epochs := uint64(0)
	waitFor(t, patience, "three epochs", func() bool {
		n.chain.Change(func(c *mockchain.Chain, _ time.Time) { epochs = c.Epochs() })
		return epochs >= 3
	})
	if x := n.metagraph().Neurons[0]; !x.Permit {
		t.Errorf("after %d epochs: %+v", epochs, x)
	}
}

// TestEachNetworkIsAnother: genesis and hotkeys differ by run, and what an earlier
// run left in the directory is gone.
func TestEachNetworkIsAnother(t *testing.T) {
	dir := t.TempDir()
	n := begin(t, Options{Dir: dir})
	first, key := n.chain.Genesis(), n.Hotkey("m3")
	stop(t, n)
	left := filepath.Join(dir, "nodes", "v0", "store")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	n = begin(t, Options{Dir: dir, CommitReveal: true, Validators: 0})
	if n.chain.Genesis() == first {
		t.Error("two runs with one genesis: a client would take this chain for the one before")
	}
	if n.Hotkey("m3") == key {
		t.Error("an old key on a new chain: a node would find the books of the old one under its name")
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an earlier chain's store: %v, want it removed", err)
	}
	if !n.metagraph().Params.CommitReveal {
		t.Error("commit-reveal is off")
	}
}

// TestForeignFilesStay: what a localnet has not made it does not remove, and what
// another one is using neither.
func TestForeignFilesStay(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "nodes", "thesis.txt")
	if err := errors.Join(os.MkdirAll(filepath.Dir(mine), 0o700), os.WriteFile(mine, []byte("precious"), 0o600)); err != nil {
		t.Fatal(err)
	}
	refused := func(o Options, want string) {
		t.Helper()
		n, err := Start(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
		if n != nil {
			stop(t, n)
		}
	}
	refused(Options{Dir: dir}, "nodes is not an earlier localnet's")
	if b, err := os.ReadFile(mine); err != nil || string(b) != "precious" {
		t.Errorf("it now holds %q, %v", b, err)
	}

	dir = t.TempDir()
	n := begin(t, Options{Dir: dir, Miners: 1})
	refused(Options{Dir: dir}, "another localnet runs on this directory")
	for _, name := range []string{"ports.json", "clock.json", "nodes/m0/store"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	rpc := n.chain.Addr()
	key := n.Hotkey("m0")
	refused(Options{Dir: t.TempDir(), RPCListen: rpc}, "address already in use")
	stop(t, n)
	taken, err := net.Listen("tcp", rpc)
	if err != nil {
		t.Fatal(err)
	}
	refused(Options{Dir: dir, RPCListen: rpc}, "address already in use")
	taken.Close()
	if _, err := os.Stat(filepath.Join(dir, "nodes/m0/store")); err != nil {
		t.Error("a start that failed has removed a store:", err)
	}
	if k, err := wallet.Load(wallet.Location{Path: filepath.Join(dir, "wallets"), Name: WalletName, Hotkey: "m0"}, wallet.Passwords{}); err != nil || k.Hotkey() != key {
		t.Error("a start that failed has replaced a key:", err)
	}
}

// TestRefusedOptions: what cannot be is refused in words, and nothing is left.
func TestRefusedOptions(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Speed: 121}, "a speed of 121"},
		{Options{Speed: 0.5}, "a speed of 0.5"},
		{Options{Miners: -1}, "0 to 64"},
		{Options{Validators: MaxNodes + 1}, "0 to 64"},
		{Options{Churn: -1}, "churn every"},
		{Options{RPCListen: "0.0.0.0:0"}, "loopback only"},
		{Options{FeedListen: "nowhere"}, "the games feed"},
	} {
		c.o.Dir = filepath.Join(t.TempDir(), "net")
		n, err := Start(t.Context(), c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
		if n != nil {
			stop(t, n)
		}
	}
}

// TestMinersPredictSoon: at any speed each miner has predicted at least five
// games soon after its first session, from an address of its own, and at the end
// the books of both sides are equal although lines broke all the time. Ten
// seconds is what a quiet machine is held to, where BETTENSOR_SLOW asks for it;
// how busy the others of this machine are is no fault of a miner.
func TestMinersPredictSoon(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel()
	speeds := []float64{60}
	if slow != "" { // a block of twelve seconds is slow to become final
		speeds = append(speeds, 1)
	}
	for _, speed := range speeds {
		t.Run(fmt.Sprint("speed ", speed), func(t *testing.T) {
			t.Parallel()
			o := Options{Validators: 1, Miners: 8, Speed: speed}
			if speed > 1 {
				o.Churn = 200 * time.Millisecond
				o.Record = filepath.Join(t.TempDir(), "recordings")
			}
			n := begin(t, o)
			var ports Ports
			readJSON(t, filepath.Join(n.o.Dir, "ports.json"), &ports)
			if len(ports.Nodes) != 9 || ports.Nodes["v0"].Axon == "" || ports.Nodes["m0"].Axon != "" {
				t.Errorf("ports.json: %+v", ports)
			}
			for name, node := range ports.Nodes {
				res, err := http.Get(node.HTTP + "/healthz")
				if err != nil || res.StatusCode != http.StatusOK {
					t.Errorf("%s at %s: %v", name, node.HTTP, err)
					continue
				}
				res.Body.Close()
			}
			first := map[string]time.Time{} // of each miner's first session
			done := map[string]bool{}
			waitFor(t, 2*patience, "predictions of all miners", func() bool {
				for i := range 8 {
					name := fmt.Sprint("m", i)
					s := stats(ports.Nodes[name].HTTP)
					if first[name].IsZero() && s.count("communication", "welcomes") > 0 {
						first[name] = time.Now()
					}
					if !done[name] && s.count("communication", "confirmed") >= 5 {
						done[name] = true
						took := time.Since(first[name])
						t.Logf("%s has five predictions confirmed %v after its first session", name, took)
						if slow != "" && took > 10*time.Second {
							t.Errorf("%s took longer than ten seconds", name)
						}
					}
				}
				return len(done) == 8
			})
			if o.Churn > 0 {
				waitFor(t, patience, "lines that broke", func() bool { return n.now().Sub(n.clock.Node) > time.Duration(speed)*6*time.Second })
			}
			stop(t, n)
			r, err := n.Report()
			if err != nil {
				t.Fatal(err)
			}
			if !r.Books.Equal || r.Books.Stored < 40 {
				t.Errorf("books: %s\n%s", r.Books, strings.Join(r.Books.Differences, "\n"))
			}
			if o.Churn > 0 && (r.Churn.Peers < 10 || r.Churn.Chain < 1) {
				t.Errorf("churn: %+v", r.Churn)
			}
			if len(r.Miners) != 8 {
				t.Errorf("%d miners reported", len(r.Miners))
			}
			for _, m := range r.Miners {
				if len(m.Confirmed) < 5 || len(slices.Compact(slices.Clone(m.Confirmed))) != len(m.Confirmed) {
					t.Errorf("%s: %d confirmed", m.Hotkey, len(m.Confirmed))
				}
			}
			for i := range 8 {
				held, err := loadMiner(n.storeOf(fmt.Sprint("m", i)))
				if err != nil {
					t.Fatal(err)
				}
				games := map[bet.GameID]bool{}
				for j := range held.Outbox {
					games[held.Outbox[j].Submission.Game] = true
				}
				if len(games) < 5 {
					t.Errorf("m%d predicted on %d games", i, len(games))
				}
			}
			t.Logf("books: %s", r.Books)
		})
	}
}

// TestValidatorOutlivesTheChain: a validator outside keeps running, and is not
// ready, when the network it belongs to ends.
func TestValidatorOutlivesTheChain(t *testing.T) {
	n := begin(t, Options{Speed: 60})
	store := filepath.Join(t.TempDir(), "store")
	log := &lines{}
	end := n.runValidator(t, log, n.outside("v0", store, "--axon.off"))
	address := pageOf(t, store, nil)
	waitFor(t, patience, "ready", func() bool { return ready(address) })
	stop(t, n)
	waitFor(t, patience, "not ready any more", func() bool { return !ready(address) })
	if why := page(address, "/readyz"); !strings.Contains(why, "chain_head_fresh") {
		t.Errorf("not ready for another reason: %s", why)
	}
	if got := page(address, "/healthz"); got == "" {
		t.Errorf("it does not answer any more:\n%s", log.String())
	}
	end()
}

// ready is what a node says of itself.
func ready(address string) bool {
	res, err := http.Get(address + "/readyz")
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// TestStartIsGivenUp: a start that is cancelled leaves nothing behind.
func TestStartIsGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n, err := Start(ctx, Options{Dir: t.TempDir(), Miners: 2, Validators: 1})
	if err == nil {
		stop(t, n)
		t.Error("started, although it was cancelled")
	}
}

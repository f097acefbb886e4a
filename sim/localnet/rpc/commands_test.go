package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"

	"bettensor/node/chain"
	"bettensor/node/chain/chaintest"
	"bettensor/node/chain/wallet"
	node "bettensor/node/cli"
	"bettensor/sim/mockchain"
)

// commands runs `bettensor chain` against an endpoint, with the wallet of the
// contract's key of that number.
type commands struct {
	t        *testing.T
	endpoint string
	wallets  string
	cold     chain.Coldkey
}

func newCommands(t *testing.T, commitReveal bool, change func(*mockchain.Config)) commands {
	cfg := Localnet(netuid, origin, commitReveal, neurons(2))
	// //Alice is the permitted validator of the development keys.
	alice, err := wallet.FromURI("//Alice")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Neurons = append(cfg.Neurons, mockchain.Neuron{Hotkey: alice.Hotkey(), Coldkey: chain.Coldkey(alice.Hotkey()), Stake: 2000 * tao})
	cfg.Params.WeightsRateLimit = 0
	if change != nil {
		change(&cfg)
	}
	// A block of 12 s every 100 ms.
	s := start(t, Config{Subnet: cfg, Seed: [32]byte{1}, Now: running(origin, 120)})
	c := commands{t, "ws://" + s.Addr(), filepath.Join(t.TempDir(), "wallets"), cfg.Neurons[0].Coldkey}
	for i := range 2 {
		k, err := wallet.FromSeed(chaintest.Seed(i))
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Save(wallet.Location{Path: c.wallets, Name: "demo", Hotkey: fmt.Sprint("k", i)}, wallet.Password{}, false); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c commands) run(args ...string) (code node.Code, stdout, stderr string) {
	c.t.Helper()
	var out, errs bytes.Buffer
	app := &cli.App{Name: "bettensor", Writer: &out, ErrWriter: &errs, Commands: []*cli.Command{node.Chain()}}
	node.Inside(app)
	line := []string{"bettensor", "chain", args[0], "--subtensor.chain_endpoint", c.endpoint, "--timeout", patience.String()}
	if slices.Contains([]string{"set-weights", "reveal", "serve-axon"}, args[0]) {
		line = append(line, "--journal", filepath.Join(filepath.Dir(c.wallets), "journal"))
	}
	line = append(line, args[1:]...)
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	exit := node.Exit(app.RunContext(ctx, line), &errs)
	return node.Code(exit), out.String(), errs.String()
}

// by adds the wallet of a key to a command.
func (c commands) by(key int, args ...string) []string {
	return append(args, "--wallet.path", c.wallets, "--wallet.name", "demo", "--wallet.hotkey", fmt.Sprint("k", key))
}

// good runs a command with --json that must succeed.
func (c commands) good(args ...string) (out map[string]any, stderr string) {
	c.t.Helper()
	code, stdout, stderr := c.run(append(args, "--json")...)
	if code != node.OK {
		c.t.Fatalf("chain %v: exit %d, %q, %q", args, code, stdout, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), &out); err != nil {
		c.t.Fatalf("chain %v: %v in %q", args, err, stdout)
	}
	return out, stderr
}

// keys are the names of an object, in order.
func keys(m map[string]any) string { return strings.Join(slices.Sorted(maps.Keys(m)), " ") }

func TestChainCommandsRead(t *testing.T) {
	c := newCommands(t, false, nil)
	info, _ := c.good("info")
	if got := keys(info); got != "best endpoint finalized genesis spec_version" || info["endpoint"] != c.endpoint || info["spec_version"] != 393.0 {
		t.Errorf("info: %s: %v", got, info)
	}
	m, _ := c.good("metagraph")
	list, ok := m["neurons"].([]any)
	if got := keys(m); got != "block netuid neurons" || !ok || len(list) != 4 || m["netuid"] != 30.0 {
		t.Fatalf("metagraph: %s: %v", got, m)
	}
	first := list[0].(map[string]any)
	if got := keys(first); got != "active axon coldkey emission hotkey incentive last_update stake uid validator_permit" ||
		first["hotkey"] != string(chaintest.Hotkey(0)) || first["coldkey"] != string(c.cold) || first["stake"] != float64(1000*tao) || first["axon"] != nil {
		t.Errorf("neuron: %s: %v", got, first)
	}
	params, _ := c.good("hyperparams")
	if params["tempo"] != 99.0 || params["commit_reveal_weights_enabled"] != false || params["weights_rate_limit"] != 0.0 {
		t.Errorf("hyperparameters: %v", params)
	}
	for _, name := range []string{"info", "metagraph", "hyperparams"} {
		if code, out, errs := c.run(name); code != node.OK || errs != "" || strings.HasPrefix(out, "{") || out == "" {
			t.Errorf("%s for people: exit %d, %q, %q", name, code, out, errs)
		}
	}
}

func TestChainCommandsServeAxon(t *testing.T) {
	c := newCommands(t, false, nil)
	dry, _ := c.good(c.by(1, "serve-axon", "--axon.external_port", "9001", "--dry-run")...)
	if dry["call"] != "SubtensorModule.serve_axon" || dry["dry_run"] != true || dry["args"].(map[string]any)["port"] != 9001.0 {
		t.Errorf("dry run: %v", dry)
	}
	out, _ := c.good(c.by(1, "serve-axon", "--axon.external_port", "9001")...)
	if out["outcome"] != "included" || out["error"] != nil || !strings.Contains(fmt.Sprint(out["events"]), "SubtensorModule.AxonServed") || out["block"] == nil || len(out["extrinsic_hash"].(string)) != 66 {
		t.Errorf("serve-axon: %v", out)
	}
	m, _ := c.good("metagraph", "--block", fmt.Sprint(out["block"]))
	if d := cmp.Diff(map[string]any{"ip": "127.0.0.1", "port": 9001.0}, m["neurons"].([]any)[1].(map[string]any)["axon"]); d != "" {
		t.Errorf("announced (-want +got):\n%s", d)
	}
}

func TestChainCommandsSetWeights(t *testing.T) {
	c := newCommands(t, false, nil)
	out, _ := c.good("set-weights", "--wallet.uri", "//Alice", "--uids", "2,1", "--weights", "0.4,1", "--wait", "finalized")
	if out["outcome"] != "finalized" || !strings.Contains(fmt.Sprint(out["events"]), "SubtensorModule.WeightsSet") {
		t.Errorf("set-weights: %v", out)
	}
	dry, _ := c.good("set-weights", "--wallet.uri", "//Alice", "--uids", "2,1", "--weights", "0.4,1", "--dry-run")
	args := dry["args"].(map[string]any)
	if dry["call"] != "SubtensorModule.set_weights" || fmt.Sprint(args["dests"], args["weights"]) != "[1 2] [65535 26214]" {
		t.Errorf("dry run: %v", dry)
	}
	// A miner without a permit may not vote on others.
	code, stdout, stderr := c.run(c.by(1, "set-weights", "--uids", "0", "--weights", "1", "--json")...)
	var refused map[string]any
	if err := json.Unmarshal([]byte(stdout), &refused); err != nil {
		t.Fatal(err)
	}
	if code != node.Refused || refused["outcome"] != "refused" || !strings.Contains(stderr, "NeuronNoValidatorPermit") ||
		fmt.Sprint(refused["error"]) != "map[name:NeuronNoValidatorPermit pallet:SubtensorModule]" || refused["block"] == nil {
		t.Errorf("without a permit: exit %d, %v, %q", code, refused, stderr)
	}
}

func TestChainCommandsCommitTimelocked(t *testing.T) {
	c := newCommands(t, true, nil)
	out, stderr := c.good("set-weights", "--wallet.uri", "//Alice", "--uids", "1", "--weights", "1")
	if out["outcome"] != "included" || out["reveal_round"] == nil || out["reveal_block"] == nil || stderr != "" ||
		!strings.Contains(fmt.Sprint(out["events"]), "SubtensorModule.TimelockedWeightsCommitted") {
		t.Errorf("set-weights: %v, %q", out, stderr)
	}
}

// Where the runtime takes no timelocked commits, a hash is sent, and what is
// printed reveals it.
func TestChainCommandsCommitAndReveal(t *testing.T) {
	c := newCommands(t, true, func(cfg *mockchain.Config) {
		cfg.Params.RevealVersion, cfg.Params.RevealPeriod, cfg.Params.Tempo = 0, 1, 9
	})
	out, stderr := c.good("set-weights", "--wallet.uri", "//Alice", "--uids", "1,2", "--weights", "1,3")
	line, found := strings.CutPrefix(strings.TrimSpace(stderr), "to reveal it: bettensor chain ")
	if out["outcome"] != "included" || !found || !strings.Contains(fmt.Sprint(out["events"]), "SubtensorModule.WeightsCommitted") {
		t.Fatalf("set-weights: %v, %q", out, stderr)
	}
	// The chain takes it in one epoch only, which comes within ten blocks.
	reveal := append(strings.Fields(line), "--wallet.uri", "//Alice", "--json")
	for end := time.Now().Add(patience); ; {
		code, stdout, stderr := c.run(reveal...)
		if code == node.OK {
			if !strings.Contains(stdout, "SubtensorModule.WeightsRevealed") {
				t.Errorf("reveal: %s", stdout)
			}
			return
		}
		if code != node.Refused || !strings.Contains(stderr, "RevealTooEarly") && !strings.Contains(stderr, "NotInRevealRange") || time.Now().After(end) {
			t.Fatalf("reveal: exit %d, %q, %q", code, stdout, stderr)
		}
	}
}

// A refusal that time will mend says from which block on.
func TestChainCommandsSayWhenItIsNextPossible(t *testing.T) {
	slow := func(cfg *mockchain.Config) {
		cfg.Params.RevealVersion, cfg.Params.RevealPeriod, cfg.Params.Tempo, cfg.Params.WeightsRateLimit = 0, 2, 9999, 5000
	}
	plain := newCommands(t, false, slow)
	set := []string{"set-weights", "--wallet.uri", "//Alice", "--uids", "1", "--weights", "1"}
	out, _ := plain.good(set...)
	code, _, stderr := plain.run(set...)
	if want := fmt.Sprintf("next possible: block %d\n", int(out["block"].(float64))+5000); code != node.Refused || !strings.Contains(stderr, "SettingWeightsTooFast") || !strings.Contains(stderr, want) {
		t.Errorf("too fast: exit %d, %q, want %q", code, stderr, want)
	}
	commit := newCommands(t, true, slow)
	out, stderr = commit.good(set...)
	line, _ := strings.CutPrefix(strings.TrimSpace(stderr), "to reveal it: bettensor chain ")
	p := chain.Hyperparameters{Tempo: 9999}
	first := p.EpochStart(netuid, p.Epoch(netuid, chain.Block(out["block"].(float64)))+2)
	code, _, stderr = commit.run(strings.Fields(line)...)
	if want := fmt.Sprintf("next possible: block %d, the first of its reveal epoch", first); code != node.Refused || !strings.Contains(stderr, "RevealTooEarly") || !strings.Contains(stderr, want) {
		t.Errorf("reveal: exit %d, %q, want %q", code, stderr, want)
	}
	code, _, stderr = commit.run(set...)
	if want := fmt.Sprintf("next possible: block %d", int(out["block"].(float64))+5000); code != node.Refused || !strings.Contains(stderr, "CommittingWeightsTooFast") || !strings.Contains(stderr, want) {
		t.Errorf("commit: exit %d, %q, want %q", code, stderr, want)
	}
}

// What reveals a commit asks the same chain and signs with the same key.
func TestChainCommandsRevealLineIsWhole(t *testing.T) {
	c := newCommands(t, true, func(cfg *mockchain.Config) { cfg.Params.RevealVersion = 0 })
	dir := t.TempDir()
	_, stderr := c.good("set-weights", "--wallet.uri", "//Alice", "--uids", "1", "--weights", "1", "--salt", "7", "--dry-run", "--journal", dir)
	line := strings.Fields(stderr)
	for _, want := range [][]string{{"--subtensor.chain_endpoint", c.endpoint}, {"--wallet.uri", "//Alice"}, {"--salt", "7"}} {
		if i := slices.Index(line, want[0]); i < 0 || line[i+1] != want[1] {
			t.Errorf("%v is not in %q", want, stderr)
		}
	}
	if slices.Contains(line, "--subtensor.network") || slices.Contains(line, "--wallet.name") {
		t.Errorf("a network or a wallet that was not used: %q", stderr)
	}
	_, stderr = c.good(c.by(1, "set-weights", "--uids", "1", "--weights", "1", "--dry-run")...)
	for _, want := range []string{"--wallet.path " + c.wallets, "--wallet.name demo", "--wallet.hotkey k1"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%s is not in %q", want, stderr)
		}
	}
}

// blackHole takes connections and says nothing.
func blackHole(t *testing.T) (url string) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // the system accepts
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return "ws://" + l.Addr().String()
}

// A user and a password in an endpoint are refused without being shown.
func TestChainCommandsShowNoPassword(t *testing.T) {
	c := newCommands(t, false, nil)
	for _, endpoint := range []string{"wss://somebody:hunter2@chain.example:443", c.endpoint + ",ws://hunter2@127.0.0.1:1"} {
		for _, name := range []string{"info", "serve-axon"} {
			code, stdout, stderr := c.run(name, "--subtensor.chain_endpoint", endpoint)
			if code != node.Usage || strings.Contains(stdout+stderr, "hunter2") || !strings.Contains(stderr, "has a user or a password in it") {
				t.Errorf("%s: exit %d, %q, %q", name, code, stdout, stderr)
			}
		}
	}
}

func TestChainCommandsRefuse(t *testing.T) {
	c := newCommands(t, false, nil)
	hole := blackHole(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "ws://" + closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	far := []string{"--subtensor.chain_endpoint", "wss://chain.example:443"}
	for _, x := range []struct {
		name string
		args []string
		code node.Code
		says string
	}{
		{"nobody there", []string{"info", "--subtensor.chain_endpoint", nobody}, node.Network, "no answer from " + nobody},
		{"nobody answers", []string{"info", "--subtensor.chain_endpoint", hole, "--timeout", "300ms"}, node.Deadline, "no answer from " + hole},
		{"no time", []string{"info", "--timeout", "0s"}, node.Usage, "--timeout"},
		{"less than no time", []string{"info", "--timeout=-1s"}, node.Usage, "--timeout"},
		{"salt in the clear", []string{"set-weights", "--wallet.uri", "//Alice", "--uids", "1", "--weights", "1", "--salt", "1"}, node.Validation, "--salt: subnet 30 takes weights in the clear"},
		{"block that is not there", []string{"metagraph", "--block", "1000000"}, node.Validation, "block 1000000"},
		{"HTTP", []string{"info", "--subtensor.chain_endpoint", "http://127.0.0.1:9944"}, node.Usage, "ws://127.0.0.1:9944"},
		{"no URL", []string{"info", "--subtensor.chain_endpoint", "localhost"}, node.Usage, "ws://"},
		{"unknown network", []string{"info", "--subtensor.network", "finey"}, node.Usage, "expected one of finney"},
		{"another chain than the named one", []string{"info", "--subtensor.network", "finney"}, node.Network, "genesis"},
		{"no such subnet", []string{"metagraph", "--netuid", "31"}, node.Refused, "SubnetNotExists"},
		{"netuid out of range", []string{"metagraph", "--netuid", "65536"}, node.Usage, "--netuid"},
		{"development key far away", append([]string{"set-weights", "--wallet.uri", "//Alice", "--uids", "1", "--weights", "1"}, far...), node.Usage, "loopback endpoints only"},
		{"secret on the command line", []string{"set-weights", "--wallet.uri", "0x" + strings.Repeat("ab", 32), "--uids", "1", "--weights", "1"}, node.Usage, "wallet import"},
		{"no wallet", []string{"set-weights", "--wallet.path", c.wallets, "--uids", "1", "--weights", "1"}, node.Wallet, "no such hotkey"},
		{"uids without weights", []string{"set-weights", "--uids", "1,2", "--weights", "1"}, node.Usage, "2 uids and 1 weights"},
		{"a uid twice", []string{"set-weights", "--uids", "1,1", "--weights", "1,2"}, node.Usage, "unique"},
		{"weight that is no number", []string{"set-weights", "--uids", "1", "--weights", "NaN"}, node.Usage, "finite"},
		{"endless weight", []string{"set-weights", "--uids", "1", "--weights", "+Inf"}, node.Usage, "finite"},
		{"weight beyond float32", []string{"set-weights", "--uids", "1", "--weights", "1e39"}, node.Usage, "finite"},
		{"uid out of range", []string{"set-weights", "--uids", "65536", "--weights", "1"}, node.Usage, "from 0 to 65535"},
		{"mechanism out of range", []string{"set-weights", "--uids", "1", "--weights", "1", "--mechid", "256"}, node.Usage, "--mechid"},
		{"negative weight", []string{"set-weights", "--uids", "1", "--weights=-1"}, node.Usage, "negative"},
		{"no weight at all", []string{"set-weights", "--uids", "1", "--weights", "0"}, node.Usage, "zero"},
		{"weights that are no numbers", []string{"set-weights", "--uids", "1", "--weights", "x"}, node.Usage, "expected numbers"},
		{"reveal without salt", []string{"reveal", "--uids", "1", "--weights", "1"}, node.Usage, "--salt"},
		{"reveal of nothing", []string{"reveal", "--wallet.uri", "//Alice", "--uids", "1", "--weights", "1", "--salt", "1"}, node.Refused, "NoWeightsCommitFound"},
		{"port 0", []string{"serve-axon", "--axon.external_port", "0"}, node.Usage, "--axon.external_port"},
		{"no address", c.by(1, "serve-axon", "--axon.external_ip", "here"), node.Refused, "InvalidIpAddress"},
		{"no address, dry", c.by(1, "serve-axon", "--axon.external_ip", "here", "--dry-run"), node.Refused, "InvalidIpAddress"},
		{"something to wait for", []string{"serve-axon", "--wait", "long"}, node.Usage, "--wait"},
		{"argument", []string{"info", "x"}, node.Usage, "1 arguments"},
	} {
		code, out, errs := c.run(x.args...)
		if code != x.code || !strings.Contains(errs, x.says) {
			t.Errorf("%s: exit %d, want %d; %q, want %q; %q", x.name, code, x.code, errs, x.says, out)
		}
	}
}

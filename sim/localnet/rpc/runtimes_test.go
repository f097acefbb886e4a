package rpc

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bettensor/node/chain"
	"bettensor/node/chain/chaintest"
	"bettensor/node/chain/wallet"
	node "bettensor/node/cli"
	nodelive "bettensor/node/live"
)

// commands are those that ask a harness, with a wallet of the contract's key 9, who
// has no slot, and of key 0, who has no permit.
func (h *harness) commands(t *testing.T) commands {
	c := commands{t: t, endpoint: h.url, wallets: filepath.Join(t.TempDir(), "wallets")}
	for _, i := range []int{0, 9} {
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

// on is a command about the seeded subnet; byAlice one that //Alice signs.
func on(args ...string) []string { return append(args, "--netuid", strconv.Itoa(harnessNetuid)) }
func byAlice(args ...string) []string {
	return on(append(args, "--wallet.uri", "//Alice")...)
}

// refused runs a write with --json that the chain must refuse.
func (c commands) refused(args ...string) (out map[string]any, stderr string) {
	c.t.Helper()
	code, stdout, stderr := c.run(append(args, "--json")...)
	if code != node.Refused {
		c.t.Fatalf("chain %v: exit %d, %q, %q", args, code, stdout, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), &out); err != nil {
		c.t.Fatalf("chain %v: %v in %q", args, err, stdout)
	}
	if out["outcome"] != "refused" {
		c.t.Errorf("chain %v: %v", args, out)
	}
	return out, stderr
}

func hasEvent(out map[string]any, event string) bool {
	list, _ := out["events"].([]any)
	for _, e := range list {
		if e == event {
			return true
		}
	}
	return false
}

// TestCommandsOnRealRuntimes: every command, against the whole metadata of three
// runtimes, whose calls, errors, extensions and storage differ.
func TestCommandsOnRealRuntimes(t *testing.T) {
	for spec := range runtimeFiles {
		t.Run(fmt.Sprint("spec ", spec), func(t *testing.T) {
			h := newHarness(t, spec, habits{noAPIs: spec == 143, textData: spec == 300})
			c := h.commands(t)

			info, _ := c.good("info")
			want := map[string]any{"genesis": fmt.Sprintf("0x%x", h.genesis), "spec_version": float64(spec), "best": 0.0, "finalized": 0.0, "endpoint": h.url}
			if d := cmp.Diff(want, info); d != "" {
				t.Errorf("info (-want +got):\n%s", d)
			}

			m, _ := c.good(on("metagraph")...)
			neuron := func(uid int, hotkey chain.Hotkey, stake, incentive, emission float64, permit, active bool, axon any) any {
				return map[string]any{
					"uid": float64(uid), "hotkey": string(hotkey), "coldkey": string(chaintest.Hotkey(9)), "stake": stake, "validator_permit": permit,
					"active": active, "last_update": 0.0, "incentive": incentive, "emission": emission, "axon": axon,
				}
			}
			want = map[string]any{"block": 0.0, "netuid": float64(harnessNetuid), "neurons": []any{
				neuron(0, aliceOf(t), 5e12, 0, 0, true, true, nil),
				neuron(1, chaintest.Hotkey(0), 0, 100, 1, false, true, nil),
				neuron(2, chaintest.Hotkey(1), 0, 65535, 2, false, false, map[string]any{"ip": "9.8.7.6", "port": 8091.0}),
				neuron(3, chaintest.Hotkey(2), 0, 0, 3, false, false, nil),
			}}
			if d := cmp.Diff(want, m); d != "" {
				t.Errorf("metagraph (-want +got):\n%s", d)
			}

			params, _ := c.good(on("hyperparams")...)
			for name, want := range map[string]any{
				"tempo": 99.0, "weights_version": 3.0, "weights_version_key": 3.0, "weights_rate_limit": 0.0, "weights_set_rate_limit": 0.0,
				"min_allowed_weights": 1.0, "max_weights_limit": 65535.0, "rho": 10.0, "kappa": 32767.0, "bonds_moving_average": 9e5,
			} {
				if params[name] != want {
					t.Errorf("hyperparameter %s: %v, want %v", name, params[name], want)
				}
			}
			// What the runtime does not have is left out.
			if _, has := params["commit_reveal_weights_enabled"]; has != (spec != 143) {
				t.Errorf("hyperparameters: %v", params)
			}

			dry, _ := c.good(byAlice("serve-axon", "--axon.external_ip", "8.8.4.4", "--axon.external_port", "9001", "--dry-run")...)
			call := dry["call_data"].(string)
			if !strings.HasPrefix(call, "0x0704"+"0100") || h.taken != 0 || !strings.HasSuffix(dry["extrinsic"].(string), call[2:]) {
				t.Errorf("dry run: %v", dry)
			}
			out, _ := c.good(byAlice("serve-axon", "--axon.external_ip", "8.8.4.4", "--axon.external_port", "9001")...)
			if out["outcome"] != "included" || out["block"] != 1.0 || out["error"] != nil || !hasEvent(out, "SubtensorModule.AxonServed") || !hasEvent(out, "System.ExtrinsicSuccess") {
				t.Errorf("serve-axon: %v", out)
			}
			out, _ = c.good(byAlice("set-weights", "--uids", "3,1,2", "--weights", "0.4,1,0.5", "--wait", "finalized")...)
			if out["outcome"] != "finalized" || out["block"] != 2.0 || !hasEvent(out, "SubtensorModule.WeightsSet") {
				t.Errorf("set-weights: %v", out)
			}
			// uids in order, weights as the SDK quantises them.
			row := h.get("SubtensorModule", "Weights", harnessNetuid, 0)
			if got := fmt.Sprint(row); got != "[[1 65535] [2 32768] [3 26214]]" {
				t.Errorf("weights on the chain: %s", got)
			}
			m, _ = c.good(on("metagraph")...)
			first := m["neurons"].([]any)[0].(map[string]any)
			if d := cmp.Diff(map[string]any{"ip": "8.8.4.4", "port": 9001.0}, first["axon"]); d != "" || first["last_update"] != 2.0 || m["block"] != 2.0 {
				t.Errorf("after the writes: %v, %s", m, d)
			}

			// Refusals in a block go by the runtime's own names.
			permit, unknown := "NeuronNoValidatorPermit", "HotKeyNotRegisteredInNetwork"
			if spec == 143 {
				permit, unknown = "NoValidatorPermit", "NotRegistered"
			}
			out, stderr := c.refused(c.by(0, on("set-weights", "--uids", "0", "--weights", "1")...)...)
			if d := cmp.Diff(map[string]any{"pallet": "SubtensorModule", "name": permit}, out["error"]); d != "" || !hasEvent(out, "System.ExtrinsicFailed") || !strings.Contains(stderr, "holds no validator permit") {
				t.Errorf("without a permit: %v, %q\n%s", out, stderr, d)
			}
			out, stderr = c.refused(c.by(9, on("serve-axon", "--axon.external_port", "9001")...)...)
			if d := cmp.Diff(map[string]any{"pallet": "SubtensorModule", "name": unknown}, out["error"]); d != "" || !strings.Contains(stderr, "register the hotkey") {
				t.Errorf("without a slot: %v, %q\n%s", out, stderr, d)
			}
			out, _ = c.refused(byAlice("set-weights", "--uids", "1", "--weights", "1", "--version-key", "2")...)
			if name := out["error"].(map[string]any)["name"].(string); !strings.Contains(name, "VersionKey") {
				t.Errorf("old version: %v", out)
			}
			h.mu.Lock()
			h.seed("WeightsSetRateLimit", 100, harnessNetuid)
			h.mu.Unlock()
			out, _ = c.refused(byAlice("set-weights", "--uids", "1", "--weights", "1")...)
			if out["error"].(map[string]any)["name"] != "SettingWeightsTooFast" {
				t.Errorf("too fast: %v", out)
			}
			// The pool's go by ours.
			h.mu.Lock()
			h.seed("WeightsMinStake", uint64(6e12))
			h.seed("StakeThreshold", uint64(6e12))
			taken := h.taken
			h.mu.Unlock()
			out, stderr = c.refused(byAlice("set-weights", "--uids", "1", "--weights", "1")...)
			if d := cmp.Diff(map[string]any{"pallet": "", "name": "NotEnoughStakeToSetWeights"}, out["error"]); d != "" || out["block"] != nil || h.taken != taken || !strings.Contains(stderr, "1010") {
				t.Errorf("without stake: %v, %q\n%s", out, stderr, d)
			}
		})
	}
}

// TestCommandsWhereWeightsAreCommitted: the way follows from what the runtime
// offers, and a salt makes it a hash anywhere.
func TestCommandsWhereWeightsAreCommitted(t *testing.T) {
	for _, x := range []struct {
		spec        uint32
		event, call string
		more        []string
	}{
		{300, "SubtensorModule.WeightsCommitted", "0x0760", nil},
		{393, "SubtensorModule.TimelockedWeightsCommitted", "0x0771", nil},
		{393, "SubtensorModule.WeightsCommitted", "0x0760", []string{"--salt", "1,2,3"}},
		{393, "SubtensorModule.TimelockedWeightsCommitted", "0x0776", []string{"--mechid", "1"}},
		{393, "SubtensorModule.WeightsCommitted", "0x0773", []string{"--mechid", "1", "--salt", "1,2,3"}},
	} {
		t.Run(fmt.Sprint(x.spec, x.more), func(t *testing.T) {
			h := newHarness(t, x.spec, habits{})
			if m, err := h.meta.Storage("SubtensorModule", "LastUpdate"); err != nil || m == nil {
				t.Fatal(err)
			}
			h.seed("CommitRevealWeightsEnabled", true, harnessNetuid)
			c := h.commands(t)
			args := append(byAlice("set-weights", "--uids", "1,2", "--weights", "1,3"), x.more...)
			dry, _ := c.good(append(args, "--dry-run")...)
			// The pallet's index is 7, the call's what this runtime has.
			if call := fmt.Sprint(dry["call_data"]); !strings.HasPrefix(call, x.call) {
				t.Errorf("call %s, want %s", call, x.call)
			}
			out, stderr := c.good(args...)
			if !hasEvent(out, x.event) {
				t.Fatalf("set-weights: %v", out)
			}
			line, hash := strings.CutPrefix(strings.TrimSpace(stderr), "to reveal it: bettensor chain ")
			if hash != strings.HasSuffix(x.event, "e.WeightsCommitted") {
				t.Fatalf("on standard error: %q", stderr)
			}
			if !hash {
				if out["reveal_round"] == nil || out["reveal_block"] == nil {
					t.Errorf("set-weights: %v", out)
				}
				return
			}
			out, _ = c.good(append(strings.Fields(line), "--wallet.uri", "//Alice")...)
			if !hasEvent(out, "SubtensorModule.WeightsRevealed") {
				t.Errorf("reveal: %v", out)
			}
		})
	}
}

// TestCommandsOfMechanisms: weights of a mechanism are the mechanism's, and where
// the runtime has none the call is refused before it is sent.
func TestCommandsOfMechanisms(t *testing.T) {
	h := newHarness(t, 393, habits{})
	c := h.commands(t)
	out, _ := c.good(byAlice("set-weights", "--uids", "2", "--weights", "1", "--mechid", "1")...)
	if !hasEvent(out, "SubtensorModule.WeightsSet") || fmt.Sprint(h.get("SubtensorModule", "Weights", 4096+harnessNetuid, 0)) != "[[2 65535]]" {
		t.Errorf("set-weights: %v", out)
	}
	m, _ := c.good(on("metagraph", "--mechid", "1")...)
	if first := m["neurons"].([]any)[0].(map[string]any); first["last_update"] != 1.0 {
		t.Errorf("metagraph of mechanism 1: %v", first)
	}
	old := newHarness(t, 143, habits{noAPIs: true})
	refused, _ := old.commands(t).refused(byAlice("set-weights", "--uids", "2", "--weights", "1", "--mechid", "1")...)
	if refused["error"].(map[string]any)["name"] != "CallDisabled" || refused["block"] != nil || old.taken != 0 {
		t.Errorf("set-weights: %v", refused)
	}
}

// TestCommandsOnPoorEndpoints: what an endpoint lacks, or has in another way, is no
// reason to fail.
func TestCommandsOnPoorEndpoints(t *testing.T) {
	for name, b := range map[string]habits{
		"no subscriptions":       {absent: []string{"state_subscribeRuntimeVersion", "chain_subscribeNewHeads", "chain_subscribeFinalizedHeads"}},
		"refused subscriptions":  {refused: []string{"state_subscribeRuntimeVersion", "chain_subscribeNewHeads", "chain_subscribeFinalizedHeads"}},
		"no runtime calls":       {refused: []string{"state_call", "system_accountNextIndex"}},
		"no next index":          {absent: []string{"system_accountNextIndex"}},
		"no finality":            {lag: math.MaxUint64},
		"no finalised head":      {absent: []string{"chain_getFinalizedHead", "chain_subscribeFinalizedHeads"}},
		"no watching":            {absent: []string{"author_submitAndWatchExtrinsic"}},
		"no batches of keys":     {absent: []string{"state_queryStorageAt"}},
		"refused batches":        {refused: []string{"state_queryStorageAt"}},
		"some keys left out":     {partial: true},
		"headers of its own":     {plain: true},
		"early pushes":           {early: true},
		"no pushes":              {mute: true},
		"no watching, no pushes": {mute: true, absent: []string{"author_submitAndWatchExtrinsic"}},
		"slow":                   {late: 20 * time.Millisecond},
		"pings":                  {pings: 5 * time.Millisecond},
		"lost after reading":     {lose: map[string]bool{"state_queryStorageAt": true}},
		"lost after submitting":  {lose: map[string]bool{"author_submitAndWatchExtrinsic": true}},
		"bare":                   {noAPIs: true, absent: []string{"state_call", "state_queryStorageAt", "system_accountNextIndex", "chain_subscribeNewHeads", "chain_subscribeFinalizedHeads", "state_subscribeRuntimeVersion", "author_submitAndWatchExtrinsic"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, 143, b)
			c := h.commands(t)
			out, stderr := c.good(byAlice("set-weights", "--uids", "1,2", "--weights", "1,3")...)
			if out["outcome"] != "included" && out["outcome"] != "finalized" || out["block"] != 1.0 || !hasEvent(out, "SubtensorModule.WeightsSet") || h.taken != 1 {
				t.Errorf("set-weights: %v, %q, %d taken", out, stderr, h.taken)
			}
			m, _ := c.good(on("metagraph")...)
			if first := m["neurons"].([]any)[0].(map[string]any); m["block"] != 1.0 || first["last_update"] != 1.0 || first["stake"] != 5e12 || first["validator_permit"] != true {
				t.Errorf("metagraph: %v", m)
			}
			info, _ := c.good("info")
			if info["best"] != 1.0 {
				t.Errorf("info: %v", info)
			}
		})
	}
}

// TestCommandsRefusedWhenApplied: what passes the pool and fails when the block is
// built is in no block, and the endpoint's word is the outcome.
func TestCommandsRefusedWhenApplied(t *testing.T) {
	h := newHarness(t, 300, habits{atApply: 6})
	out, _ := h.commands(t).refused(byAlice("set-weights", "--uids", "1", "--weights", "1")...)
	if d := cmp.Diff(map[string]any{"pallet": "", "name": "SettingWeightsTooFast"}, out["error"]); d != "" || out["block"] != nil {
		t.Errorf("%v\n%s", out, d)
	}
}

// TestCommandsGivenUp: an extrinsic that was sent and is in no block when the time is
// up, or Ctrl-C comes, may still be included, and the words say which it is.
func TestCommandsGivenUp(t *testing.T) {
	h := newHarness(t, 143, habits{hold: true})
	c := h.commands(t)
	args := byAlice("serve-axon", "--axon.external_ip", "8.8.4.4")
	code, stdout, stderr := c.run(append(args, "--json", "--timeout", "1500ms")...)
	var out map[string]any
	if err := json.Unmarshal([]byte(stdout), &out); err != nil {
		t.Fatalf("%v in %q", err, stdout)
	}
	hash := fmt.Sprint(out["extrinsic_hash"])
	want := map[string]any{"outcome": "dropped", "block": nil, "extrinsic_hash": hash, "events": []any{}, "error": nil}
	if d := cmp.Diff(want, out); d != "" || len(hash) != 66 {
		t.Errorf("outcome so far (-want +got):\n%s", d)
	}
	if code != node.Deadline || !strings.Contains(stderr, "may still be included") || h.taken != 1 {
		t.Errorf("exit %d, %q, %q, %d taken", code, stdout, stderr, h.taken)
	}
	if !regexp.MustCompile(`serve_axon 0x[0-9a-f]{64}`).MatchString(stderr) {
		t.Errorf("which extrinsic: %q", stderr)
	}
	// The next command knows of it, and sends nothing while it may still come.
	code, stdout, stderr = c.run(append(args, "--json")...)
	if code != node.Deadline || stdout != "" || !strings.Contains(stderr, hash) || !strings.Contains(stderr, "nothing was sent") || h.taken != 1 {
		t.Errorf("again: exit %d, %q, %q, %d taken", code, stdout, stderr, h.taken)
	}
	// A chain that begins anew has no such extrinsic, whatever its genesis.
	anew := newHarness(t, 143, habits{})
	c.endpoint = anew.url
	if out, _ := c.good(args...); out["outcome"] != "included" || anew.taken != 1 {
		t.Errorf("on a new chain: %v, %d taken", out, anew.taken)
	}
}

// TestCommandsTakeTurns: two commands with one hotkey would sign with one nonce.
func TestCommandsTakeTurns(t *testing.T) {
	h := newHarness(t, 143, habits{})
	c := h.commands(t)
	dir := t.TempDir()
	hold, err := nodelive.Take(filepath.Join(dir, string(aliceOf(t))))
	if err != nil {
		t.Fatal(err)
	}
	args := byAlice("serve-axon", "--axon.external_ip", "8.8.4.4")
	line := append(args, "--journal", dir)
	if code, _, stderr := c.run(append(line, "--timeout", "300ms")...); code != node.Deadline || !strings.Contains(stderr, "another command signs with") || h.taken != 0 {
		t.Errorf("exit %d, %q, %d taken", code, stderr, h.taken)
	}
	if code, _, stderr := c.run(append(line, "--dry-run")...); code != node.OK {
		t.Errorf("a dry run sends nothing, and waits for nobody: exit %d, %q", code, stderr)
	}
	if err := hold.Release(); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := c.run(line...); code != node.OK || h.taken != 1 {
		t.Errorf("after the other: exit %d, %q, %d taken", code, stderr, h.taken)
	}
	if found, err := filepath.Glob(filepath.Join(dir, "extrinsics.*."+string(aliceOf(t))+".json")); err != nil || len(found) != 1 {
		t.Errorf("journal: %v, %v", found, err)
	}
}

// TestCommandsRefusedBeforeTheySend: the output has the ordinary form.
func TestCommandsRefusedBeforeTheySend(t *testing.T) {
	h := newHarness(t, 143, habits{})
	c := h.commands(t)
	alice := []string{"--wallet.uri", "//Alice"}
	for _, x := range []struct {
		name string
		args []string
	}{
		{"SubnetNotExists", append([]string{"set-weights", "--uids", "1", "--weights", "1", "--netuid", "31"}, alice...)},
		{"InvalidIpAddress", byAlice("serve-axon", "--axon.external_ip", "here")},
		{"InvalidIpAddress", byAlice("serve-axon", "--axon.external_ip", "here", "--dry-run")},
		{"CallDisabled", byAlice("set-weights", "--uids", "1", "--weights", "1", "--mechid", "1")},
	} {
		out, stderr := c.refused(x.args...)
		want := map[string]any{"outcome": "refused", "block": nil, "extrinsic_hash": "", "events": []any{}, "error": map[string]any{"pallet": "", "name": x.name}}
		if d := cmp.Diff(want, out); d != "" || !strings.Contains(stderr, x.name) {
			t.Errorf("%v: %q (-want +got):\n%s", x.args, stderr, d)
		}
	}
	if h.taken != 0 {
		t.Errorf("%d extrinsics were sent", h.taken)
	}
}

// TestWeightsAsTheSDKQuantisesThem: from the command line to the call's arguments.
func TestWeightsAsTheSDKQuantisesThem(t *testing.T) {
	b, err := os.ReadFile("../../../testdata/chain/weight_quantisation.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			UIDs    []uint16
			Weights []json.Number
			Result  json.RawMessage // two lists, or a word where they are refused
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	c := newHarness(t, 143, habits{}).commands(t)
	join := func(v any) string { return strings.ReplaceAll(strings.Trim(fmt.Sprint(v), "[]"), " ", ",") }
	for _, v := range file.Vectors {
		args := append(byAlice("set-weights", "--dry-run"), "--uids="+join(v.UIDs), "--weights="+join(v.Weights))
		var want [2][]uint16
		if json.Unmarshal(v.Result, &want) != nil || len(want[0]) == 0 {
			if code, _, stderr := c.run(args...); code != node.Usage {
				t.Errorf("%v of %v: exit %d, %q", v.Weights, v.UIDs, code, stderr)
			}
			continue
		}
		dry, _ := c.good(args...)
		sent := dry["args"].(map[string]any)
		if got := fmt.Sprint(sent["dests"], sent["weights"]); got != fmt.Sprint(want[0], want[1]) {
			t.Errorf("%v of %v: %s, want %v", v.Weights, v.UIDs, got, want)
		}
	}
}

// TestErasWhereFinalityIsFarBehind: an extrinsic is signed from a block that it can
// still be included after.
func TestErasWhereFinalityIsFarBehind(t *testing.T) {
	h := newHarness(t, 143, habits{lag: 80})
	c := h.commands(t)
	h.mu.Lock()
	for range 100 { // empty blocks
		n := h.best() + 1
		h.blocks = append(h.blocks, harnessBlock{parent: h.blocks[n-1].hash, hash: [32]byte{byte(n), 1}})
	}
	h.mu.Unlock()
	out, _ := c.good(byAlice("set-weights", "--uids", "1", "--weights", "1")...)
	if out["block"] != 101.0 {
		t.Errorf("%v", out)
	}
}

// TestProbeOnRealRuntimes holds the runtimes to the part of the contract that is
// for chains of others.
func TestProbeOnRealRuntimes(t *testing.T) {
	for spec := range runtimeFiles {
		t.Run(fmt.Sprint("spec ", spec), func(t *testing.T) {
			h := newHarness(t, spec, habits{noAPIs: spec == 143})
			chaintest.Probe(t, atEndpointOf(t, h.url, harnessNetuid, "//Alice"), aliceOf(t))
		})
	}
}

func aliceOf(t *testing.T) chain.Hotkey {
	k, err := wallet.FromURI("//Alice")
	if err != nil {
		t.Fatal(err)
	}
	return k.Hotkey()
}

// TestCommandsSayWhichStakeIsShown: where the endpoint does not tell the stake that
// counts, a metagraph says so. Spec 143 has one kind of stake only.
func TestCommandsSayWhichStakeIsShown(t *testing.T) {
	for spec, part := range map[uint32]bool{143: false, 300: true} {
		c := newHarness(t, spec, habits{noAPIs: true}).commands(t)
		if _, stderr := c.good(on("metagraph")...); strings.Contains(stderr, "without the root's part") != part {
			t.Errorf("spec %d: %q", spec, stderr)
		}
	}
	if _, stderr := newCommands(t, false, nil).good("metagraph"); stderr != "" {
		t.Errorf("an endpoint that tells: %q", stderr)
	}
}

package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"bettensor/node"
	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/chain/wallet"
	"bettensor/node/ledger"
	"bettensor/node/web"
	"bettensor/node/wire"
	"bettensor/node/wire/synapse"
	"bettensor/store"
)

// minerStoreWith makes the store of a miner that has stopped, with receipts of a
// validator: of a session, of an exchange that binds its body, of one that does
// not, and, where it is wanted, one that another has signed.
func minerStoreWith(t *testing.T, dir string, forge bool) (validator chain.Hotkey) {
	t.Helper()
	signer := func(seed byte) wire.Signer {
		k, err := wallet.FromSeed([32]byte{seed})
		if err != nil {
			t.Fatal(err)
		}
		s, err := k.Signer(nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	v := signer(1)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	exchange := func(id bet.PredictionID) []byte {
		return wire.AppendReceipts(nil, v, &wire.Asking{Asked: "m", Nonce: uint64(at.UnixNano()), At: at}, []wire.Confirmation{{ID: id, OK: true}, {ID: "other", Code: bet.GameStarted, Message: "the game has started"}}, nil)
	}
	unbound, err := synapse.UnpackRequest(exchange("c"))
	if err != nil {
		t.Fatal(err)
	}
	unbound.Binding, unbound.UUID = nil, "5ecbd69c-1cec-11ee-b0dc-e29ce36fec1a"
	unbound.Signature = v.Sign(unbound.AppendText(nil))
	frames := [][]byte{wire.AppendConfirmation(nil, v, at, "1", &wire.Confirmation{ID: "a", OK: true}), exchange("b"), unbound.Append(nil)}
	if forge {
		frames = append(frames, wire.AppendConfirmation(nil, signer(2), at, "2", &wire.Confirmation{ID: "a", OK: true}), []byte("{}"))
	}

	e, err := store.OpenPebble(store.Options{Dir: dir, Schema: ledger.Schema()})
	if err != nil {
		t.Fatal(err)
	}
	var b store.Batch
	for i, f := range frames {
		ledger.Receipts.Put(&b, ledger.ReceiptKey{Day: bet.DayOf(at), Number: uint64(i)}, &ledger.Receipt{Validator: v.Hotkey(), At: at, Frame: f})
	}
	for _, id := range []bet.PredictionID{"a", "b", "c"} {
		ledger.Outbox.Put(&b, id, &ledger.Outgoing{Submission: bet.Submission{ID: id, Game: "game-" + bet.GameID(id)}, Start: at, Made: at,
			Deliveries: []ledger.Delivery{{Validator: v.Hotkey(), State: ledger.Confirmed, At: at}}})
	}
	if err := e.Apply(1, []*store.Batch{&b}, true); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return v.Hotkey()
}

// ofMiner runs a subcommand of `miner`.
func ofMiner(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	app := &cli.App{Name: "bettensor", Writer: &out, ErrWriter: &out, Commands: []*cli.Command{Miner()}}
	Prepare(app, nil)
	code = Exit(app.RunContext(t.Context(), append([]string{"bettensor", "miner"}, args...)), &errs)
	return code, out.String(), errs.String()
}

func TestMinerReceipts(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	dir := filepath.Join(t.TempDir(), "store")
	v := minerStoreWith(t, dir, false)
	code, out, errs := ofMiner(t, "receipts", "--store.dir", dir, "--verify")
	if code != 0 || errs != "" {
		t.Fatalf("exit %d, %q", code, errs)
	}
	for _, want := range []string{
		"2026-03-01T12:00:00Z  " + string(v) + "  a           game-a  confirmed              signed",
		string(v) + "  b           game-b  confirmed              signed",
		string(v) + "  c           game-c  confirmed              headers",
		string(v) + "  other               rejected game_started  headers",
		"2 signed, 1 with signed headers only, 0 bad",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	code, out, _ = ofMiner(t, "receipts", "--store.dir", dir, "--json")
	var first receipt
	if line, _, _ := strings.Cut(out, "\n"); code != 0 || json.Unmarshal([]byte(line), &first) != nil ||
		first.Transport != "websocket" || first.Proof != signed || len(first.Words) != 1 || !first.Words[0].Confirmed || first.Words[0].Game != "game-a" {
		t.Errorf("exit %d, %+v", code, first)
	}
	if m, err := (&wire.Opener{Verifier: &wire.Sr25519Verifier{}}).Open(first.Frame); err != nil || m.Sender != v {
		t.Errorf("what is printed does not verify: %v", err)
	}
}

// TestMinerReceiptsNoticesForgery: a message of somebody else is no receipt.
func TestMinerReceiptsNoticesForgery(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	dir := filepath.Join(t.TempDir(), "store")
	minerStoreWith(t, dir, true)
	code, out, errs := ofMiner(t, "receipts", "--store.dir", dir, "--verify")
	if code != int(Validation) || !strings.Contains(out, "2 signed, 1 with signed headers only, 2 bad") || !strings.Contains(errs, "2 of 5 receipts are bad") {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
	if code, _, _ := ofMiner(t, "receipts", "--store.dir", dir); code != 0 {
		t.Errorf("without --verify: exit %d", code)
	}
}

func TestMinerReceiptsWithoutAStore(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("STATE_DIRECTORY", t.TempDir())
	if code, _, errs := ofMiner(t, "receipts"); code != int(Usage) || !strings.Contains(errs, "--store.dir") {
		t.Errorf("exit %d, %q", code, errs)
	}
	if code, _, _ := ofMiner(t, "receipts", "--store.dir", filepath.Join(t.TempDir(), "none")); code != int(File) {
		t.Errorf("exit %d", code)
	}
	dir := filepath.Join(t.TempDir(), "store")
	minerStoreWith(t, dir, false)
	e, err := store.OpenPebble(store.Options{Dir: dir, Schema: ledger.Schema()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if code, _, errs := ofMiner(t, "receipts", "--store.dir", dir); code != int(File) || !strings.Contains(errs, "name a backup") {
		t.Errorf("exit %d, %q", code, errs)
	}
}

// TestMinerExplain: of a store, and of a node that runs; each thing that stands
// against earning is named with what to do.
func TestMinerExplain(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("STATE_DIRECTORY", t.TempDir())
	dir := filepath.Join(t.TempDir(), "miner-5me", "store")
	v := minerStoreWith(t, dir, false)
	code, out, errs := ofMiner(t, "explain", "--store.dir", dir)
	if code != 0 || errs != "" {
		t.Fatalf("exit %d, %q", code, errs)
	}
	for _, want := range []string{"5me, from " + dir, "the metagraph is not known → ", string(v) + ": has no permit any more; 3 confirmed", "3 open, 0 settled"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}

	uid := chain.UID(3)
	report := node.MinerReport{Hotkey: "5me", Block: 100, At: time.Now(), MinStake: 1000e9, Settled: 4, Trusted: 2,
		Slot: &node.Slot{UID: 7, RegisteredAt: 1, Rank: 9, Miners: 9, Emission: 5, Lowest: 5},
		Validators: []node.WithValidator{
			{Hotkey: "deaf", UID: &uid, Stake: 2000e9, Permit: true, Trusted: true, Serves: true, Rejected: node.Counts{{Name: "game_started", Value: 2}}},
			{Hotkey: "small", UID: &uid, Stake: 5e9, Permit: true}},
		Estimate: node.ScoreEstimate{Days: 4, CLV: 0.9, ROI: -0.25, Composite: -0.2, Tier: 1,
			Tiers: []node.EstimatedTier{{Tier: 1, Days: 3}, {Tier: 2, Days: 7, Active: 4, Wagered: 1500_00, Needed: 4000_00}}}}
	serve := func(s web.Snapshot) string {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if err := json.NewEncoder(w).Encode(s); err != nil {
				t.Error(err)
			}
		}))
		t.Cleanup(srv.Close)
		return strings.TrimPrefix(srv.URL, "http://")
	}
	address := serve(web.Snapshot{Role: "miner", Miner: &report})
	_, out, _ = ofMiner(t, "explain", "--http.listen", address)
	for _, want := range []string{"it is the next to be pruned", "no incentive yet, of 9 miners", "2 refused as game_started", "5.000, less than the 1000.000 we ask for",
		"none of 2 validators → bettensor doctor miner", "it loses 25.0 % of what it wagers → ", "10.0 % worse than the closing ones → ", "enough for tier 1", "2500.00 are missing, results on 4 of 7 days",
		"5 of the above stand against earning"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	code, out, _ = ofMiner(t, "explain", "--http.listen", address, "--json")
	var x explanation
	if code != 0 || json.Unmarshal([]byte(out), &x) != nil || len(x.Against) != 5 || !x.Live || x.Slot.UID != 7 {
		t.Errorf("exit %d, %s", code, out)
	}
	if code, _, errs := ofMiner(t, "explain", "--http.listen", serve(web.Snapshot{Role: "validator"})); code != int(Validation) || !strings.Contains(errs, "no miner") {
		t.Errorf("a validator: exit %d, %q", code, errs)
	}
}

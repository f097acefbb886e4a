package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bettensor/node"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/web"
	"bettensor/store"
)

// validatorStore makes the store of a validator that has set weights and stopped.
func validatorStore(t *testing.T, dir string) {
	t.Helper()
	e, err := store.OpenPebble(store.Options{Dir: dir, Schema: ledger.Schema()})
	if err != nil {
		t.Fatal(err)
	}
	var b store.Batch
	meta := chain.Metagraph{Neurons: []chain.Neuron{{UID: 0, Hotkey: "v"}, {UID: 1, Hotkey: "one"}, {UID: 2, Hotkey: "two"}}}
	meta.Params.WeightsRateLimit = 100
	ledger.Metagraphs.Put(&b, ledger.MetagraphKey, &meta)
	ledger.Weights.Put(&b, 1, &ledger.WeightSet{Phase: ledger.Included, Block: 700, Planned: time.Unix(1_700_000_000, 0),
		Extrinsic: [32]byte{0xab}, Weights: chain.Weights{UIDs: []chain.UID{1, 2}, Values: []uint16{65535, 65535}}})
	ledger.Weights.Put(&b, 2, &ledger.WeightSet{Phase: ledger.Committed, Sealed: true, Committed: 900, RevealAt: 1000, Round: 77})
	for hotkey, weight := range map[chain.Hotkey]float64{"one": 0.75, "two": 0.25} {
		ledger.Scores.Put(&b, ledger.DayKey{Day: 5, Hotkey: hotkey}, &ledger.Score{Weight: weight})
		ledger.Scores.Put(&b, ledger.DayKey{Day: 4, Hotkey: hotkey}, &ledger.Score{Weight: 1})
	}
	if err := e.Apply(1, []*store.Batch{&b}, true); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestWeightsShow: of a node that runs, of the store of one that does not, and
// what is said where neither is there.
func TestWeightsShow(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	dir := filepath.Join(t.TempDir(), "a store")
	validatorStore(t, dir)
	report := &node.WeightsReport{Epoch: 9, Outcome: node.SetEpoch, Set: 41, ReadAt: 42, Next: 141, Slots: []node.WeightDifference{{UID: 3, Hotkey: "h\x1b[2J", Ours: 0.5, Chain: 0.25}}}
	serve := func(role string, weights *node.WeightsReport) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			stats := web.Snapshot{Role: role, Node: &node.Stats{Services: []node.ServiceStats{{Name: "weights", Weights: weights}}}}
			if err := json.NewEncoder(w).Encode(stats); err != nil {
				t.Error(err)
			}
		}))
		t.Cleanup(s.Close)
		return strings.TrimPrefix(s.URL, "http://")
	}
	validator, miner := serve("validator", report), serve("miner", nil)
	for _, tc := range []struct {
		name string
		args []string
		code Code
		says []string
	}{
		{"a running node", []string{"--http.listen", validator}, OK, []string{"3  0.500000  0.250000   +0.250000   h?[2J", "epoch 9; the one before: set", "read in block 42", "next possible block 141"}},
		{"a store", []string{"--store.dir", dir}, OK, []string{"1  0.750000  0.500000   +0.250000     one", "last set weights in block 700 (2023-11-14T22:13:20Z)", "extrinsic 0xab00", "committed, revealed from block 1000 on by beacon round 77", "next possible block 1000"}},
		{"a miner", []string{"--http.listen", miner}, Validation, []string{"the miner at " + miner + " sets no weights"}},
		{"nobody", []string{"--http.listen", "127.0.0.1:1"}, Network, []string{"nobody listens"}},
		{"no store", []string{"--store.dir", filepath.Join(dir, "none")}, File, []string{"try: bettensor store restore --dir '" + filepath.Join(dir, "none") + "' BACKUP"}},
		{"an argument", []string{"x"}, Usage, []string{`unexpected argument "x"`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, out, errs := run(t, append([]string{"weights", "show"}, tc.args...)...)
			if code != int(tc.code) {
				t.Errorf("exit %d, want %d: %s", code, tc.code, errs)
			}
			for _, want := range tc.says {
				if !strings.Contains(out+errs, want) {
					t.Errorf("does not say %q:\n%s%s", want, out, errs)
				}
			}
		})
	}
	code, out, errs := run(t, "weights", "show", "--json", "--store.dir", dir)
	var s struct {
		From    string
		Live    bool
		Weights node.WeightsReport
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != 0 || s.From != dir || s.Live || s.Weights.Set != 700 || len(s.Weights.Slots) != 2 {
		t.Errorf("exit %d, %v, %+v, %s", code, err, s, errs)
	}
}

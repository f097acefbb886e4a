package sim

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/store"

	gocmp "github.com/google/go-cmp/cmp"
)

// books is what must come out the same however the run went: accepted
// predictions with content, settlements, budgets, the weights on the chain.
// Times of receipt are not part of it: what was lost comes again later.
type books struct {
	Predictions []string
	Budgets     []string
	Games       []string
	Weights     chain.Weights
}

// booksOf reads a validator's store as it is on disk and the chain's weights.
func booksOf(t testing.TB, w *World) books {
	t.Helper()
	h := w.Hosts[0]
	if h.Up() {
		h.Crash(h.Unsynced())
	}
	s, err := h.disk.open()
	if err != nil {
		t.Fatalf("reopen the store of %s: %v", h.Name, err)
	}
	defer h.disk.close()
	defer s.Snapshot.Close()
	return booksIn(t, s.Snapshot, w.Chain.Metagraph(w.now()), func(u chain.UID) chain.Weights { v, _ := w.Chain.Weights(u); return v }, h.Hotkey)
}

func booksIn(t testing.TB, s store.Snapshot, meta *chain.Metagraph, weights func(chain.UID) chain.Weights, validator chain.Hotkey) books {
	t.Helper()
	found, err := ledger.LoadValidator(s)
	if err != nil {
		t.Fatal(err)
	}
	var b books
	for i := range found.Predictions {
		p := &found.Predictions[i]
		b.Predictions = append(b.Predictions, fmt.Sprintf("%s %s %s %s %v %s %s %s %s", p.Hotkey, p.ID, p.Game, p.Outcome, p.Odds, p.Wager, p.State, p.Payout, p.Settled.Format(time.RFC3339)))
	}
	slices.Sort(b.Predictions)
	for line := range found.Budget.All() {
		b.Budgets = append(b.Budgets, fmt.Sprintf("%s %s %s", line.Day, line.Hotkey, line.Spent))
	}
	slices.Sort(b.Budgets)
	slices.SortFunc(found.Games, func(x, y bet.Game) int { return cmp.Compare(x.ID, y.ID) })
	for _, g := range found.Games {
		b.Games = append(b.Games, fmt.Sprintf("%s %s %s %v", g.ID, g.Status, g.Outcome, g.Closing))
	}
	if uid, ok := meta.UIDOf(validator); ok {
		b.Weights = weights(uid)
	}
	return b
}

func sameBooks(t testing.TB, name string, want, got books) bool {
	t.Helper()
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("%s: books differ (-undisturbed +this run):\n%s", name, d)
		return false
	}
	return true
}

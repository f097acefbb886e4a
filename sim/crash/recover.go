package crash

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"bettensor/node/bet"
	"bettensor/node/ledger"
	"bettensor/sim"
	"bettensor/sim/mockchain"
	"bettensor/store"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// image is what a disk may hold after a crash, and what was known then.
type image struct {
	fs      vfs.FS
	point   int
	op      string
	percent int    // of what was not synced
	how     string // torn or damaged, "" for neither
	damaged bool   // synced data is not what was written: the store may refuse
	start   bool   // a validator, too
	moment
}

// storeDir is where a simulated validator's store lies on its disk.
const storeDir = "store"

// errRefused is the verdict on a damaged image whose store says so.
var errRefused = errors.New("refused")

// recovered opens an image as a validator that starts does and holds it against
// the history. errRefused is its word on damage that it has noticed.
func (h *history) recovered(im *image) (store.Seq, error) {
	refuse := func(err error) (store.Seq, error) {
		if im.damaged {
			return 0, fmt.Errorf("%w: %w", errRefused, err)
		}
		return 0, err
	}
	e, err := store.OpenPebble(store.Options{FS: im.fs, Dir: storeDir, Schema: ledger.Schema()})
	if err != nil {
		return refuse(fmt.Errorf("the store does not open: %w", err))
	}
	defer e.Close()
	at := e.Durable()
	if at < im.acked || at > im.submitted {
		return at, fmt.Errorf("recovered up to batch %d; %d were acknowledged and %d submitted", at, im.acked, im.submitted)
	}
	snap, err := e.Snapshot()
	if err != nil {
		return refuse(err)
	}
	defer snap.Close()
	var sum uint64
	err = snap.Scan(nil, nil, func(key, row []byte) error { sum += hashRow(key, row); return nil })
	if err != nil {
		return refuse(fmt.Errorf("the rows do not read: %w", err))
	}
	if want, known := h.sumAt(at); !known || sum != want {
		return at, fmt.Errorf("the rows recovered are not those after batch %d", at)
	}
	found, err := ledger.LoadValidator(snap)
	if err != nil {
		return refuse(err)
	}
	if err := budgets(found); err != nil {
		return at, err
	}
	rows := make(map[ledger.IDKey]ledger.PredictionKey, len(found.Predictions))
	for i := range found.Predictions {
		p := &found.Predictions[i]
		rows[ledger.IDKey{Hotkey: p.Hotkey, ID: p.ID}] = p.Key()
	}
	for _, k := range h.said(im.words) {
		if _, ok := rows[k]; !ok {
			return at, fmt.Errorf("prediction %s of %s was confirmed and is gone", k.ID, k.Hotkey)
		}
	}
	damaged, err := indexed(snap, rows)
	if damaged {
		return refuse(err)
	}
	return at, err
}

// indexed holds the index of ids against the rows: each has its id, which leads to
// it, and no id leads elsewhere. damaged says that the index does not read.
func indexed(snap store.Snapshot, rows map[ledger.IDKey]ledger.PredictionKey) (damaged bool, err error) {
	ids := 0
	var wrong error
	err = ledger.IDs.Scan(snap, nil, nil, func(k ledger.IDKey, to *ledger.PredictionKey) error {
		ids++
		if row, ok := rows[k]; !ok || row != *to {
			wrong = cmp.Or(wrong, fmt.Errorf("id %s of %s leads to no row of it", k.ID, k.Hotkey))
		}
		return nil
	})
	switch {
	case err != nil:
		return true, fmt.Errorf("the ids do not read: %w", err)
	case wrong == nil && ids != len(rows):
		wrong = fmt.Errorf("%d predictions, and %d ids that lead to them", len(rows), ids)
	}
	return false, wrong
}

// budgets holds what the rows of budgets say against the predictions. That is for
// runs shorter than the days that predictions are kept: budgets stay longer.
func budgets(v *ledger.Validator) error {
	spent := map[ledger.DayKey]bet.Cents{}
	for i := range v.Predictions {
		p := &v.Predictions[i]
		spent[ledger.DayKey{Day: bet.DayOf(p.Received), Hotkey: p.Hotkey}] += p.Wager
	}
	for line := range v.Budget.All() {
		k := ledger.DayKey{Day: line.Day, Hotkey: line.Hotkey}
		if spent[k] != line.Spent {
			return fmt.Errorf("%s on %s: the budget row says %s, the predictions %s", k.Hotkey, k.Day, line.Spent, spent[k])
		}
		delete(spent, k)
	}
	if len(spent) > 0 {
		return fmt.Errorf("%d days of predictions have no budget row", len(spent))
	}
	return nil
}

// startFor is how long a node on a recovered store is watched: it has asked chain
// and feed by then, and written down what they said.
const startFor = 2 * time.Minute

// goesOn starts the real validator on a recovered store, with a chain and a feed
// that answer, and wants it to write something new.
func goesOn(cfg sim.Config, im *image, neurons []mockchain.Neuron, at store.Seq) error {
	cfg.Start = im.at
	cfg.Validators, cfg.Miners = cfg.Validators[:1], nil
	cfg.Chain.Neurons = neurons
	cfg.FileSystem = func(string) vfs.FS { return im.fs }
	w, err := sim.NewWorld(cfg)
	if err != nil {
		return err
	}
	defer w.Close()
	var engine store.Engine
	w.Plant = func(_ *sim.Host, e store.Engine) store.Engine { engine = e; return e }
	w.Run(im.at.Add(startFor))
	v := w.Hosts[0]
	switch {
	case !v.Up() || len(v.Downs) > 0:
		return fmt.Errorf("a validator on what was recovered goes down: %q", v.Downs)
	case engine.Durable() <= at:
		return fmt.Errorf("a validator on what was recovered has written nothing in %s", startFor)
	}
	return nil
}

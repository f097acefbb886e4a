package sim

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/wire"
	"bettensor/sched"
	"bettensor/store"

	gocmp "github.com/google/go-cmp/cmp"
)

// More planted bugs: a store that writes something else than it is given, a
// validator that says a thing twice, a chain that forgets its limit, a clock that
// is set back. Each breaks the invariant named, and no other.

// lyingStore changes batches on their way to the disk.
type lyingStore struct {
	store.Engine
	lie func(*store.Batch) *store.Batch
}

func (l lyingStore) Apply(seq store.Seq, batches []*store.Batch, sync bool) error {
	changed := make([]*store.Batch, len(batches))
	for i, b := range batches {
		changed[i] = l.lie(b)
	}
	return l.Engine.Apply(seq, changed, sync)
}

// lies has every batch of the validator followed by what f puts for its rows.
func lies(w *World, f func(b *store.Batch, key, row []byte) error) {
	w.Plant = func(h *Host, e store.Engine) store.Engine {
		if !h.IsValidator() {
			return e
		}
		return lyingStore{e, func(b *store.Batch) *store.Batch {
			more, n := *b, b.Len()
			err := b.Each(func(key, row []byte, gone bool) error {
				if gone {
					return nil
				}
				return f(&more, key, row)
			})
			if err != nil {
				panic("planted: " + err.Error())
			}
			if more.Len() == n {
				return b
			}
			return &more
		}}
	}
}

func TestLiesAreFound(t *testing.T) {
	t.Parallel()
	const midday = 36*time.Hour + 100*time.Second
	for _, test := range []struct {
		name  string
		plant func(w *World)
		want  []string
	}{
		{"a winner is paid a cent too much", func(w *World) {
			lies(w, func(b *store.Batch, key, row []byte) error {
				if key[0] != ledger.Predictions.Prefix {
					return nil
				}
				k, err := ledger.Predictions.Key.Read(key[1:])
				if err != nil {
					return err
				}
				p, err := ledger.Predictions.Row.Read(row)
				if err == nil && p.State == bet.Won {
					p.Payout++
					ledger.Predictions.Put(b, k, &p)
				}
				return err
			})
		}, []string{"money-conserved"}},
		{"a prediction counts twice in a day's score", func(w *World) {
			lies(w, func(b *store.Batch, key, row []byte) error {
				if key[0] != ledger.Scores.Prefix {
					return nil
				}
				k, err := ledger.Scores.Key.Read(key[1:])
				if err != nil {
					return err
				}
				r, err := ledger.Scores.Row.Read(row)
				if err == nil && k.Hotkey != "" && r.Settled > 0 {
					r.Settled++
					ledger.Scores.Put(b, k, &r)
				}
				return err
			})
		}, []string{"scored-once"}},
		{"an acceptance is told twice", func(w *World) {
			told := map[chain.Hotkey]wire.Confirmation{}
			rewrite(w, func(from, to *Host, m *wire.Message) []byte {
				switch c, again := told[to.Hotkey]; {
				case m.Kind == wire.ConfirmationMessage && m.Confirmation.OK:
					told[to.Hotkey] = m.Confirmation
				case m.Kind == wire.HeartbeatAck && again:
					return wire.AppendConfirmation(nil, from.signer, m.Timestamp, m.Nonce, &c)
				}
				return nil
			})
		}, []string{"one-acknowledgement"}},
		{"two weight sets are taken in one block", func(w *World) {
			w.Sched.Push(w.cfg.Start.Add(midday), sched.Func(func() {
				w.Chain.SetParams(w.now(), func(p *chain.Hyperparameters) { p.WeightsRateLimit = 0 })
				for range 2 {
					w.Chain.Submit(w.now(), chain.Request{Op: chain.OpSetWeights, Hotkey: w.Hosts[0].Hotkey,
						Weights: chain.Weights{UIDs: []chain.UID{1}, Values: []uint16{65535}}})
				}
			}))
		}, []string{"weights-after-intent", "weights-rate"}},
		{"the clock is set back for a moment", func(w *World) {
			w.Sched.Push(w.cfg.Start.Add(midday), sched.Func(func() {
				real := w.Sched
				w.Sched = sched.NewWorld(w.cfg.Start.Add(time.Hour), 0)
				w.OnInput = func(*Host) { w.Sched, w.OnInput = real, nil }
			}))
		}, []string{"virtual-time-monotone"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := ran(t, planOf(t, plantedScenario), RunOptions{Prepare: test.plant})
			var found []string
			for _, i := range r.Invariants {
				if i.Violations > 0 {
					found = append(found, i.Name)
					t.Logf("%s: %s: %s", i.Name, strconv.FormatUint(i.Violations, 10), i.First)
				}
			}
			slices.Sort(found)
			if d := gocmp.Diff(test.want, found); d != "" {
				t.Errorf("violated invariants (-want +got):\n%s", d)
			}
		})
	}
}

package sim

import (
	"errors"
	"time"

	"bettensor/node/bet"
	"bettensor/node/ledger"
	"bettensor/store"
)

// rewriting is an engine under a validator that writes other rows than it is given.
type rewriting struct {
	store.Engine
	rewrite func(seq store.Seq, batches []*store.Batch) []*store.Batch
}

func (e rewriting) Apply(seq store.Seq, batches []*store.Batch, sync bool) error {
	return e.Engine.Apply(seq, e.rewrite(seq, batches), sync)
}

// onDisk puts an engine of f's under each validator, each time its store is opened.
func onDisk(w *World, f func(h *Host, e store.Engine) store.Engine) {
	before := w.Plant
	w.Plant = func(h *Host, e store.Engine) store.Engine {
		if before != nil {
			e = before(h, e)
		}
		if h.IsValidator() {
			e = f(h, e)
		}
		return e
	}
}

// reopened lets f change what a validator's disk holds, each time it is opened again.
func reopened(w *World, f func(s store.Snapshot, b *store.Batch) error) {
	onDisk(w, func(h *Host, e store.Engine) store.Engine {
		if h.incarnation == 0 {
			return e
		}
		s, err := e.Snapshot()
		planted(err)
		var b store.Batch
		planted(f(s, &b))
		planted(s.Close())
		planted(e.Apply(e.Durable()+1, []*store.Batch{&b}, true))
		return e
	})
}

func planted(err error) {
	if err != nil {
		panic("sim: planted bug: " + err.Error())
	}
}

// op is one change of a batch.
type op struct {
	key, row []byte
	delete   bool
}

// put writes the change as it is.
func (o op) put(b *store.Batch) {
	raw := store.Codec[[]byte]{Append: func(dst []byte, v *[]byte) []byte { return append(dst, *v...) }}
	t := store.Table[[]byte, []byte]{Name: "planted", Prefix: o.key[0], Key: raw, Row: raw}
	if o.delete {
		t.Delete(b, o.key[1:])
	} else {
		t.Put(b, o.key[1:], &o.row)
	}
}

// rows lets f see each row that is put into a table, and change it: what it
// returns is written, nothing for a row that is lost.
func rows[K, V any](w *World, t *store.Table[K, V], f func(h *Host, k K, v V, put func(K, V))) {
	onDisk(w, func(h *Host, e store.Engine) store.Engine {
		return rewriting{e, func(_ store.Seq, batches []*store.Batch) []*store.Batch {
			out := make([]*store.Batch, len(batches))
			for i, b := range batches {
				out[i] = &store.Batch{}
				planted(b.Each(func(key, row []byte, del bool) error {
					if key[0] != t.Prefix || del {
						op{key, row, del}.put(out[i])
						return nil
					}
					k, v, err := t.Decode(key, row)
					if err == nil {
						f(h, k.(K), v.(V), func(k K, v V) { t.Put(out[i], k, &v) })
					}
					return err
				}))
			}
			return out
		}}
	})
}

// diskBugs lie between a validator and its disk: what is written is not what was
// meant, or not when it was said.
var diskBugs = []Bug{
	{Name: "confirm-before-durable", Doc: "A commit is reported when it is queued: the group is written with the next one.",
		Finds: []string{"confirmed-is-durable"}, Seeds: 2, plant: func(w *World) {
			onDisk(w, func(h *Host, e store.Engine) store.Engine { return &behind{Engine: e} })
		}},
	{Name: "torn-group", Doc: "Of a group of batches the last is lost and reported as written.",
		Finds: []string{"confirmed-is-durable", "acknowledged-is-stored"}, Seeds: 2, plant: func(w *World) {
			onDisk(w, func(_ *Host, e store.Engine) store.Engine {
				return rewriting{e, func(_ store.Seq, b []*store.Batch) []*store.Batch {
					if len(b) < 2 {
						return b
					}
					return append(append([]*store.Batch(nil), b[:len(b)-1]...), &store.Batch{})
				}}
			})
		}},
	{Name: "id-index-lost", Doc: "The row is written without the id that leads to it: sent again, a prediction would be taken twice.",
		Finds: []string{"confirmed-is-durable", "acknowledged-is-stored"}, Seeds: 2, plant: func(w *World) {
			rows(w, &ledger.IDs, func(*Host, ledger.IDKey, ledger.PredictionKey, func(ledger.IDKey, ledger.PredictionKey)) {})
		}},
	{Name: "retention-too-early", Doc: "Predictions are dropped on the day after their receipt.",
		Finds: []string{"acknowledged-is-stored", "books-equal"}, Seeds: 2, plant: func(w *World) {
			reopened(w, func(s store.Snapshot, b *store.Batch) error {
				today := bet.DayOf(w.now())
				return ledger.Predictions.Scan(s, nil, nil, func(k ledger.PredictionKey, _ *ledger.Prediction) error {
					if k.Day < today {
						ledger.Predictions.Delete(b, k)
						ledger.IDs.Delete(b, ledger.IDKey{Hotkey: k.Hotkey, ID: k.ID})
					}
					return nil
				})
			})
		}, more: crashes},
	{Name: "settled-twice", Doc: "After a restart what had won is paid again.",
		Finds: []string{"money-conserved"}, Seeds: 2, more: crashes, plant: func(w *World) {
			reopened(w, func(s store.Snapshot, b *store.Batch) error {
				return ledger.Predictions.Scan(s, nil, nil, func(k ledger.PredictionKey, p *ledger.Prediction) error {
					if p.State == bet.Won {
						p.Payout *= 2
						ledger.Predictions.Put(b, k, p)
					}
					return nil
				})
			})
		}},
	{Name: "budget-forgotten", Doc: "After a restart nobody has spent anything.",
		Finds: []string{"budget-row"}, Seeds: 2, more: crashes, plant: func(w *World) {
			reopened(w, func(s store.Snapshot, b *store.Batch) error {
				return ledger.Budgets.Scan(s, nil, nil, func(k ledger.DayKey, _ *bet.Cents) error {
					ledger.Budgets.Delete(b, k)
					return nil
				})
			})
		}},
	{Name: "budget-counted-twice", Doc: "After a restart everybody has spent twice what was wagered: predictions are refused that fit.",
		Finds: []string{"budget-refusal-is-true"}, Seeds: 20, more: crashes, plant: func(w *World) {
			reopened(w, func(s store.Snapshot, b *store.Batch) error {
				return ledger.Budgets.Scan(s, nil, nil, func(k ledger.DayKey, c *bet.Cents) error {
					twice := min(2**c, bet.DailyBudget)
					ledger.Budgets.Put(b, k, &twice)
					return nil
				})
			})
		}},
	{Name: "stale-nonce", Doc: "After a restart the nonces that began sessions are forgotten; somebody has caught them.",
		Finds: []string{"nonce-once"}, Seeds: 2, provoke: replayAuths, plant: func(w *World) {
			reopened(w, func(s store.Snapshot, b *store.Batch) error {
				return ledger.Facts.Scan(s, nil, nil, func(k string, _ *string) error {
					if len(k) > len(ledger.FactAuth) && k[:len(ledger.FactAuth)] == ledger.FactAuth {
						ledger.Facts.Delete(b, k)
					}
					return nil
				})
			})
		}, more: `
faults:
  - {name: crash, what: process.crash, target: validators.v0, at: 1d3h, for: 5s, every: 40s, until: 1d3h2m}
`},
	{Name: "arrivals-begin-anew", Doc: "After a restart predictions are numbered from 1 again.",
		Finds: []string{"acknowledged-in-order"}, Seeds: 2, more: crashes, plant: func(w *World) {
			first := map[*Host]uint64{}
			rows(w, &ledger.Predictions, func(h *Host, k ledger.PredictionKey, p ledger.Prediction, put func(ledger.PredictionKey, ledger.Prediction)) {
				if h.Restarts > 0 && first[h] == 0 {
					first[h] = p.Arrived - 1
				}
				if p.Arrived > first[h] {
					p.Arrived -= first[h]
				}
				put(k, p)
			})
		}},
	{Name: "payout-rounded-up", Doc: "A winner is paid a cent more than wager times odds.",
		Finds: []string{"money-conserved"}, Seeds: 2, plant: func(w *World) {
			changed(w, func(p *ledger.Prediction) {
				if p.State == bet.Won {
					p.Payout++
				}
			})
		}},
	{Name: "wager-in-whole-dollars", Doc: "The wager is stored in whole dollars.",
		Finds: []string{"acknowledged-is-stored", "budget-row"}, Seeds: 2, plant: func(w *World) {
			changed(w, func(p *ledger.Prediction) { p.Wager -= p.Wager % 100 })
		}},
	{Name: "receipt-backdated", Doc: "The time of receipt is stored as ten minutes earlier.",
		Finds: []string{"receipt-time"}, Seeds: 2, plant: func(w *World) {
			changed(w, func(p *ledger.Prediction) {
				if at := p.Received.Add(-10 * time.Minute); bet.DayOf(at) == bet.DayOf(p.Received) {
					p.Received = at
				}
			})
		}},
	{Name: "row-copied", Doc: "A prediction is stored under a second game as well.",
		Finds: []string{"one-row-per-id"}, Seeds: 2, plant: func(w *World) {
			rows(w, &ledger.Predictions, func(_ *Host, k ledger.PredictionKey, p ledger.Prediction, put func(ledger.PredictionKey, ledger.Prediction)) {
				put(k, p)
				p.Game += "-2"
				put(p.Key(), p)
			})
		}},
	{Name: "scored-twice", Doc: "Each settled prediction is counted twice on its day.",
		Finds: []string{"scored-once"}, Seeds: 2, plant: func(w *World) {
			rows(w, &ledger.Scores, func(_ *Host, k ledger.DayKey, s ledger.Score, put func(ledger.DayKey, ledger.Score)) {
				s.Settled, s.Wagered = 2*s.Settled, 2*s.Wagered
				put(k, s)
			})
		}},
	{Name: "shares-not-normalised", Doc: "The shares of a day are not divided by their sum.",
		Finds: []string{"scores-sane"}, Seeds: 2, plant: func(w *World) {
			rows(w, &ledger.Scores, func(_ *Host, k ledger.DayKey, s ledger.Score, put func(ledger.DayKey, ledger.Score)) {
				s.Weight /= 2
				put(k, s)
			})
		}},
	{Name: "correction-pays-as-before", Doc: "A corrected result changes who has won, and not what is paid.",
		Finds: []string{"settlement-converges", "money-conserved"}, Seeds: 2, more: `
faults:
  - {name: wrong, what: feed.wrong_results, target: validators.v0, at: 18h, for: 6h, parameters: {games: 1}}
`, plant: func(w *World) {
			paid := map[ledger.PredictionKey]ledger.Prediction{}
			rows(w, &ledger.Predictions, func(_ *Host, k ledger.PredictionKey, p ledger.Prediction, put func(ledger.PredictionKey, ledger.Prediction)) {
				if was, again := paid[k]; again && p.State != bet.Open {
					p.Payout = was.Payout
				}
				if p.State == bet.Won || p.State == bet.Lost {
					paid[k] = p
				}
				put(k, p)
			})
		}},
	{Name: "scores-not-kept", Doc: "The scores of the first day are stored, and those of no other.",
		Finds: []string{"scoring-up-to-date"}, Seeds: 2, more: healed, plant: func(w *World) {
			rows(w, &ledger.Scores, func(_ *Host, k ledger.DayKey, s ledger.Score, put func(ledger.DayKey, ledger.Score)) {
				if k.Day == bet.DayOf(w.cfg.Start) {
					put(k, s)
				}
			})
		}},
	{Name: "gone-and-paid", Doc: "A round gives who has lost its slot what it gives the first who has one.",
		Finds: []string{"deregistered-earns-nothing"}, Seeds: 2, days: 4, provoke: leavesAfter(8 * time.Hour), plant: func(w *World) {
			rows(w, &ledger.Scores, func(_ *Host, k ledger.DayKey, s ledger.Score, put func(ledger.DayKey, ledger.Score)) {
				put(k, s)
				meta := w.Chain.Metagraph(w.now())
				for _, h := range w.Hosts {
					if _, holds := meta.UIDOf(h.Hotkey); !holds && s.Weight > 0 {
						k.Hotkey = h.Hotkey
						put(k, s)
					}
				}
			})
		}},
	{Name: "never-whole-again", Doc: "After a crash no commit succeeds: the node goes down each time it is started.",
		Finds: []string{"nodes-up"}, Seeds: 2, more: crashes, plant: func(w *World) {
			onDisk(w, func(h *Host, e store.Engine) store.Engine {
				if h.incarnation == 0 {
					return e
				}
				return broken{e}
			})
		}},
	{Name: "weights-without-intent", Doc: "Weights are sent, and the intent is not on disk.",
		Finds: []string{"weights-after-intent"}, Seeds: 2, plant: func(w *World) {
			rows(w, &ledger.Weights, func(_ *Host, k uint64, s ledger.WeightSet, put func(uint64, ledger.WeightSet)) {
				if s.Phase != ledger.Planned {
					put(k, s)
				}
			})
		}},
}

// changed writes predictions as f leaves them.
func changed(w *World, f func(*ledger.Prediction)) {
	rows(w, &ledger.Predictions, func(_ *Host, k ledger.PredictionKey, p ledger.Prediction, put func(ledger.PredictionKey, ledger.Prediction)) {
		f(&p)
		put(k, p)
	})
}

// broken is an engine that takes nothing.
type broken struct{ store.Engine }

func (broken) Apply(store.Seq, []*store.Batch, bool) error { return errBroken }

var errBroken = errors.New("planted: the disk takes nothing")

// behind is an engine that says a group is durable before it is: each is written
// with the one after it.
type behind struct {
	store.Engine
	seq  store.Seq
	held []*store.Batch
}

func (e *behind) Apply(seq store.Seq, batches []*store.Batch, sync bool) error {
	if e.held != nil {
		if err := e.Engine.Apply(e.seq, e.held, sync); err != nil {
			return err
		}
	}
	e.seq, e.held = seq, nil
	for _, b := range batches { // the caller's, who uses them again
		c := &store.Batch{}
		planted(b.Each(func(key, row []byte, del bool) error {
			op{append([]byte(nil), key...), append([]byte(nil), row...), del}.put(c)
			return nil
		}))
		e.held = append(e.held, c)
	}
	return nil
}

package crash

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/wire"
	"bettensor/sim"
	"bettensor/store"

	"github.com/cespare/xxhash/v2"
)

// history is what a validator did, as seen from outside: the batches that it
// gave to its store, and the predictions that it has told miners are accepted.
type history struct {
	mu    sync.Mutex
	rows  map[string]uint64 // hash of each row after the newest batch
	sum   uint64            // of rows
	sums  []uint64          // after each batch, from 0: a state is known by its sum
	acked store.Seq         // durable, by the store's own word
	words []ledger.IDKey    // said to miners
	at    time.Time
}

func newHistory() *history { return &history{rows: map[string]uint64{}, sums: []uint64{0}} }

// moment is a point of a history.
type moment struct {
	acked, submitted store.Seq
	words            int
	at               time.Time
}

func (h *history) now() moment {
	h.mu.Lock()
	defer h.mu.Unlock()
	return moment{h.acked, store.Seq(len(h.sums) - 1), len(h.words), h.at}
}

// said are the first n words.
func (h *history) said(n int) []ledger.IDKey {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.words[:n:n]
}

// sumAt is the sum of the rows after a batch.
func (h *history) sumAt(s store.Seq) (uint64, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s >= store.Seq(len(h.sums)) {
		return 0, false
	}
	return h.sums[s], true
}

// hashRow is a row's share of a sum. The order of rows cannot matter.
func hashRow(key, row []byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	var n [4]byte
	binary.LittleEndian.PutUint32(n[:], uint32(len(key)))
	d.Write(n[:])
	d.Write(key)
	d.Write(row)
	return d.Sum64()
}

// submit takes a batch into the books before the store has it.
func (h *history) submit(b *store.Batch) error {
	err := b.Each(func(key, row []byte, gone bool) error {
		k := string(key)
		h.sum -= h.rows[k]
		if gone {
			delete(h.rows, k)
			return nil
		}
		h.rows[k] = hashRow(key, row)
		h.sum += h.rows[k]
		return nil
	})
	h.sums = append(h.sums, h.sum)
	return err
}

// reopened takes the books back to where an opened store is: what did not get
// there is not part of its history any more.
func (h *history) reopened(e store.Engine) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := e.Durable()
	if at >= store.Seq(len(h.sums)) {
		return fmt.Errorf("the store holds batch %d, and %d were submitted", at, len(h.sums)-1)
	}
	snap, err := e.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	h.sums = h.sums[:at+1]
	h.rows, h.sum, h.acked = map[string]uint64{}, 0, at
	return snap.Scan(nil, nil, func(key, row []byte) error {
		x := hashRow(key, row)
		h.rows[string(key)] = x
		h.sum += x
		return nil
	})
}

// watched is an engine whose batches are written down.
type watched struct {
	store.Engine
	h   *history
	now func() time.Time
}

// Apply implements store.Engine.
func (e watched) Apply(seq store.Seq, batches []*store.Batch, sync bool) error {
	h := e.h
	h.mu.Lock()
	h.at = e.now()
	var err error
	for _, b := range batches {
		if err == nil {
			err = h.submit(b)
		}
	}
	h.mu.Unlock()
	if err != nil {
		return err
	}
	if err = e.Engine.Apply(seq, batches, sync); err == nil && sync {
		h.mu.Lock()
		h.acked = seq
		h.mu.Unlock()
	}
	return err
}

// watch writes down what a world's first validator does. A store that opens with
// what nobody submitted is told to lost.
func (h *history) watch(w *sim.World, lost func(error)) {
	first := w.Hosts[0]
	plant := w.Plant
	w.Plant = func(x *sim.Host, e store.Engine) store.Engine {
		if x == first {
			if err := h.reopened(e); err != nil {
				lost(err)
			}
			e = watched{e, h, w.Sched.Now}
		}
		if plant != nil {
			return plant(x, e)
		}
		return e
	}
	frame := w.OnFrame
	w.OnFrame = func(from, to *sim.Host, e *wire.Event) {
		if frame != nil {
			frame(from, to, e)
		}
		if from != first || e.Err != nil || e.Kind != wire.Received || e.Message.Sender != from.Hotkey {
			return
		}
		switch m := &e.Message; m.Kind {
		case wire.ConfirmationMessage:
			h.hear(w.Sched.Now(), to.Hotkey, m.Confirmation)
		case wire.Receipts:
			for _, c := range m.Exchange.Words {
				h.hear(w.Sched.Now(), to.Hotkey, c)
			}
		}
	}
}

func (h *history) hear(at time.Time, miner chain.Hotkey, c wire.Confirmation) {
	if !c.OK {
		return
	}
	h.mu.Lock()
	h.words = append(h.words, ledger.IDKey{Hotkey: miner, ID: c.ID})
	h.at = at
	h.mu.Unlock()
}

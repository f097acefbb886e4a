package node

import (
	"slices"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/wire"
	"bettensor/store"
)

// A receipt may be as large as what it is about gives reason for: with nothing
// but one new word in it, a validator must not fill a miner's disk.
const (
	// receiptRoom is for the envelope: a request's headers and what else its body
	// says have under 2 KiB.
	receiptRoom = 4 << 10
	// receiptWord is for each prediction in it; a word with its id has 150 bytes.
	receiptWord = 512
)

// receipts counts what validators have signed, by day.
type receipts struct {
	used            map[bet.Day]uint64
	kept, oversized uint64
}

// keep puts a message with a number of words that were new into a batch.
func (r *receipts) keep(n *Miner, b *store.Batch, validator chain.Hotkey, words int, frame []byte) {
	if len(frame) > receiptRoom+words*receiptWord {
		r.oversized++
		return
	}
	now := n.loop.Now()
	day := bet.DayOf(now)
	ledger.Receipts.Put(b, ledger.ReceiptKey{Day: day, Number: r.used[day]}, &ledger.Receipt{Validator: validator, At: now, Frame: frame})
	r.used[day]++
	r.kept++
}

// forget drops the receipts of days before one, about as many at a time as may
// be, and says whether there are more.
func (r *receipts) forget(b *store.Batch, before bet.Day, most int) (more bool) {
	var old []bet.Day
	for day := range r.used { // sorted below
		if day < before {
			old = append(old, day)
		}
	}
	slices.Sort(old)
	for _, day := range old {
		for r.used[day] > 0 {
			if b.Len() >= most {
				return true
			}
			r.used[day]--
			ledger.Receipts.Delete(b, ledger.ReceiptKey{Day: day, Number: r.used[day]})
		}
		delete(r.used, day)
	}
	return false
}

// confirmed notes a validator's words on predictions, whichever way they came,
// and keeps the message that they came in as the receipt of those that are final.
func (n *Miner) confirmed(validator chain.Hotkey, words []wire.Confirmation, frame []byte) {
	b := n.store.Batch()
	var news []PredictionConfirmed
	for i := range words {
		k := &words[i]
		o := n.box.byID[k.ID]
		if o == nil || o.final(validator) {
			continue
		}
		if !k.OK && k.Code.Temporary() {
			continue // it stays in the outbox and is sent again
		}
		d := ledger.Delivery{Validator: validator, State: ledger.Confirmed, Code: k.Code, At: n.loop.Now()}
		if k.OK {
			n.delivered.confirmed++
		} else {
			d.State = ledger.Rejected
			n.delivered.rejected++
		}
		o.Deliveries = append(o.Deliveries, d)
		delete(o.tries, validator)
		ledger.Outbox.Put(b, o.Submission.ID, &o.Outgoing)
		news = append(news, PredictionConfirmed{ID: k.ID, Validator: validator, OK: k.OK, Code: k.Code})
	}
	if len(news) == 0 {
		return
	}
	n.receipts.keep(n, b, validator, len(news), frame)
	n.store.Commit(b)
	for _, e := range news {
		n.PredictionConfirmed.Publish(e)
	}
}

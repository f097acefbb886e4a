package node

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/ledger"
	"bettensor/node/wire"
	"bettensor/node/wire/synapse"
	"bettensor/store"
)

func receiptsOn(t testing.TB, n *rigNode) (out []ledger.Receipt) {
	n.onDisk(t, func(s store.Snapshot) error {
		return ledger.Receipts.Scan(s, nil, nil, func(_ ledger.ReceiptKey, r *ledger.Receipt) error { out = append(out, *r); return nil })
	})
	return out
}

// TestReceiptOfASession: the validator's own signed frame is on disk with the
// delivery, once, and anybody can check it; a bit of it changed, nobody believes it.
func TestReceiptOfASession(t *testing.T) {
	r := newRig(t)
	r.offer("100", t0.Add(10*time.Hour))
	r.addValidator("v0")
	m := r.addMiner("m0", once(bet.Home, 10_00))
	r.until("confirmed", time.Hour, func() bool { return m.m.delivered.confirmed == 1 })
	m.crash()
	r.run(30 * time.Minute) // it is asked again by nobody
	id := predictionID(hotkeyOf("m0"), "100", 0)
	if got := m.m.Deliveries(id); len(got) != 1 {
		t.Fatalf("deliveries %+v", got)
	}
	m.kill()
	found := receiptsOn(t, m)
	if len(found) != 1 || found[0].Validator != hotkeyOf("v0") || found[0].At.IsZero() {
		t.Fatalf("receipts %+v", found)
	}
	opener := wire.Opener{Verifier: wire.Keyed{Key: rigKey}}
	said, err := opener.Open(found[0].Frame)
	if err != nil || said.Sender != hotkeyOf("v0") || said.Kind != wire.ConfirmationMessage || said.Confirmation.ID != id || !said.Confirmation.OK {
		t.Fatalf("%q says %+v, %v", found[0].Frame, said, err)
	}
	at := bytes.Index(found[0].Frame, []byte(id))
	found[0].Frame[at] ^= 1
	if _, err := opener.Open(found[0].Frame); err == nil {
		t.Error("a receipt of another prediction was believed")
	}
}

// TestReceiptOfAPoll: one exchange over HTTP is one receipt however many words it
// has, and one without a new word is none.
func TestReceiptOfAPoll(t *testing.T) {
	for _, bound := range []bool{true, false} {
		r, c, m := predicting(t)
		id := c.ask(c.poll(r.w.Now())).Exchange.Submissions[0].ID
		tell := func(words ...wire.Confirmation) {
			now := r.w.Now()
			frame := wire.AppendReceipts(nil, c.signer, &wire.Asking{Asked: hotkeyOf("m0"), Nonce: c.calls.Next(now), At: now}, words, nil)
			if !bound { // as an SDK asks: its id is its own, and nothing covers the body
				q, err := synapse.UnpackRequest(frame)
				if err != nil {
					t.Fatal(err)
				}
				q.Binding, q.UUID = nil, "5ecbd69c-1cec-11ee-b0dc-e29ce36fec1a"
				q.Signature = c.signer.Sign(q.AppendText(nil))
				frame = q.Append(nil)
			}
			c.ask(frame)
		}
		tell(wire.Confirmation{ID: id, Code: bet.Overloaded}, wire.Confirmation{ID: "another", OK: true})
		tell(wire.Confirmation{ID: "another", OK: true}, wire.Confirmation{ID: id, OK: true})
		tell(wire.Confirmation{ID: id, OK: true})
		r.run(time.Minute)
		if m.m.receipts.kept != 1 || m.m.receipts.oversized != 0 {
			t.Errorf("bound %t: %+v", bound, m.m.receipts)
		}
		m.kill()
		found := receiptsOn(t, m)
		if len(found) != 1 {
			t.Fatalf("bound %t: %d receipts", bound, len(found))
		}
		said, err := (&wire.Opener{Verifier: wire.Keyed{Key: rigKey}}).Open(found[0].Frame)
		if err != nil || said.Kind != wire.Receipts || said.Sender != hotkeyOf("v0") || said.Exchange.Bound != bound || len(said.Exchange.Words) != 2 {
			t.Errorf("bound %t: %+v, %v", bound, said, err)
		}
	}
}

// TestReceiptsAreBounded: a validator cannot fill a miner's disk with one word,
// and the word counts all the same.
func TestReceiptsAreBounded(t *testing.T) {
	r, c, m := predicting(t)
	id := c.ask(c.poll(r.w.Now())).Exchange.Submissions[0].ID
	now := r.w.Now()
	words := []wire.Confirmation{{ID: id, OK: true}}
	for i := range receiptRoom / 100 {
		words = append(words, wire.Confirmation{ID: bet.PredictionID(fmt.Sprint(i)), Message: strings.Repeat("x", 100)})
	}
	c.ask(wire.AppendReceipts(nil, c.signer, &wire.Asking{Asked: hotkeyOf("m0"), Nonce: c.calls.Next(now), At: now}, words, nil))
	if m.m.receipts.kept != 0 || m.m.receipts.oversized != 1 || m.m.delivered.confirmed != 1 {
		t.Errorf("%+v, %+v", m.m.receipts, m.m.delivered)
	}
}

// TestReceiptsGo with the days they are of, over restarts too.
func TestReceiptsGo(t *testing.T) {
	r := newRig(t)
	r.addValidator("v0", slowValidator)
	m := r.addMiner("m0", once(bet.Home, 10_00), slowMiner)
	const days = ledger.RetentionDays + 20
	for d := range days {
		r.offer(string(rune('A'+d)), r.w.Now().Add(6*time.Hour))
		r.run(8 * time.Hour)
		r.finish(string(rune('A'+d)), bet.Home)
		r.run(16 * time.Hour)
		if d%23 == 22 {
			m.crash()
		}
	}
	kept := uint64(0)
	for _, n := range m.m.receipts.used { // order cannot matter: they are added
		kept += n
	}
	m.kill()
	found := receiptsOn(t, m)
	if len(found) < ledger.RetentionDays-1 || len(found) > ledger.RetentionDays+2 || int(kept) != len(found) {
		t.Errorf("%d receipts on disk, %d counted, want those of %d days", len(found), kept, ledger.RetentionDays)
	}
}

package timelock

import (
	"bytes"
	"testing"

	"bettensor/node/chain"
)

// TestA11SealedWeightsAreUnreadable: of the commit nothing can be told, not even
// that two are of the same weights, and the rounds before its own do not open it.
func TestA11SealedWeightsAreUnreadable(t *testing.T) {
	const round = 700
	b, random := NewBeacon([32]byte{3}), stream(5)
	plain := Payload([32]byte{9, 9, 9, 9}, chain.Weights{UIDs: []chain.UID{258, 772}, Values: []uint16{65535, 4660}}, 1)
	var texts [2][]byte
	for i := range texts {
		text, err := Seal(b.PublicKey(), round, plain, &random)
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = text
		for at := 0; at+4 <= len(plain); at++ {
			if bytes.Contains(text, plain[at:at+4]) && !bytes.Equal(plain[at:at+4], make([]byte, 4)) {
				t.Errorf("bytes %d to %d of the weights stand in the commit", at, at+4)
			}
		}
		for r := uint64(round - 5); r <= round; r++ {
			pulse, err := b.Sign(r)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := Open(text, pulse); (err == nil) != (r == round) || err == nil && !bytes.Equal(got, plain) {
				t.Errorf("round %d opens: %x, %v", r, got, err)
			}
		}
	}
	if bytes.Equal(texts[0], texts[1]) {
		t.Error("the same weights are sealed into the same bytes")
	}
}

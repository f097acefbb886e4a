package substrate

import "testing"

// What is settled makes room for what is to be sent; what is open does not.
func TestJournalForgetsSettledFirst(t *testing.T) {
	j := &journal{}
	for n := range uint64(maxEntries) {
		if err := j.add(entry{Nonce: n, Settled: n == 5}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.add(entry{Nonce: 100}); err != nil {
		t.Fatal(err)
	}
	for _, e := range j.entries {
		if e.Nonce == 5 {
			t.Error("the settled one is still there")
		}
	}
	if err := j.add(entry{Nonce: 101}); err == nil || len(j.entries) != maxEntries {
		t.Errorf("an open one was forgotten: %v, %d entries", err, len(j.entries))
	}
}

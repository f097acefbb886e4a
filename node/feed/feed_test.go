package feed

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/pack"

	"github.com/google/go-cmp/cmp"
)

func TestBatch(t *testing.T) {
	for _, want := range []Batch{
		{},
		{At: start},
		{At: start, Games: []bet.Game{game(), at(after(3*time.Hour), result(bet.Home, after(2*time.Hour)))}},
		{Games: []bet.Game{{}}},
	} {
		enc := want.Append([]byte("before"))[len("before"):]
		r := pack.NewReader(enc)
		got, err := ReadBatch(r)
		if err == nil {
			err = r.Done()
		}
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		for cut := range enc {
			if _, err := ReadBatch(pack.NewReader(enc[:cut])); !errors.Is(err, pack.ErrShort) {
				t.Fatalf("cut to %d of %d bytes: %v", cut, len(enc), err)
			}
		}
		enc[0]++
		if _, err := ReadBatch(pack.NewReader(enc)); !errors.Is(err, ErrMalformed) {
			t.Errorf("unknown form: %v", err)
		}
	}
}

func TestBatchLimit(t *testing.T) {
	full := Batch{Games: make([]bet.Game, MaxBatch)}
	if got, err := ReadBatch(pack.NewReader(full.Append(nil))); err != nil || len(got.Games) != MaxBatch {
		t.Errorf("a full batch: %d games, %v", len(got.Games), err)
	}
	over := Batch{Games: make([]bet.Game, MaxBatch+1)}
	if _, err := ReadBatch(pack.NewReader(over.Append(nil))); !errors.Is(err, ErrMalformed) {
		t.Errorf("a game too many: %v", err)
	}
	forged := pack.AppendUint(pack.AppendTime([]byte{batchForm}, start), MaxBatch)
	if _, err := ReadBatch(pack.NewReader(append(forged, make([]byte, 100)...))); !errors.Is(err, pack.ErrShort) {
		t.Errorf("a count beyond the bytes: %v", err)
	}
	bad := Batch{Games: []bet.Game{{Status: 9}}}
	if _, err := ReadBatch(pack.NewReader(bad.Append(nil))); !errors.Is(err, bet.ErrMalformed) {
		t.Errorf("a malformed game: %v", err)
	}
}

// TestLeastGame: the bound on forged counts must not refuse the smallest game.
func TestLeastGame(t *testing.T) {
	if n := len(bet.AppendGame(nil, &bet.Game{})); n < leastGame {
		t.Fatalf("an empty game takes %d bytes, leastGame is %d", n, leastGame)
	}
}

func TestRequest(t *testing.T) {
	for _, want := range []Request{{}, {Since: start}} {
		enc := want.Append(nil)
		got, err := ReadRequest(pack.NewReader(enc))
		if err != nil || got != want {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
		if _, err := ReadRequest(pack.NewReader(enc[:1])); !errors.Is(err, pack.ErrShort) {
			t.Errorf("cut: %v", err)
		}
		enc[0]++
		if _, err := ReadRequest(pack.NewReader(enc)); !errors.Is(err, ErrMalformed) {
			t.Errorf("unknown form: %v", err)
		}
	}
}

// FuzzReadBatch: no bytes panic, and what is read is written and read alike;
// merging it never panics either.
func FuzzReadBatch(f *testing.F) {
	b := Batch{At: start, Games: []bet.Game{game(), {}}}
	f.Add(b.Append(nil))
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := ReadBatch(pack.NewReader(in))
		if err != nil {
			return
		}
		enc := b.Append(nil)
		again, err := ReadBatch(pack.NewReader(enc))
		if err != nil {
			t.Fatal(err)
		}
		if got := again.Append(nil); !bytes.Equal(got, enc) {
			t.Fatalf("%x became %x", enc, got)
		}
		known := game()
		for _, g := range b.Games {
			g.ID, g.TeamA, g.TeamB = known.ID, known.TeamA, known.TeamB
			next, _, err := Merge(&known, g)
			if err == nil {
				err = Validate(&next)
				if err != nil {
					t.Fatal(err)
				}
				known = next
			}
		}
	})
}

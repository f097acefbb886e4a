package store

import (
	"errors"
	"math/rand/v2"
	"testing"
)

// held is a Committer that keeps what it is given.
type held struct{ batches map[Seq]*Batch }

func (h *held) Submit(seq Seq, b *Batch) {
	if h.batches == nil {
		h.batches = map[Seq]*Batch{}
	}
	h.batches[seq] = b
}
func (h *held) Close() error { return nil }

// heard is what a Store told its loop.
type heard struct {
	durable []Seq
	failed  []Seq
}

func listen(s *Store) *heard {
	h := &heard{durable: []Seq{}, failed: []Seq{}}
	s.OnDurable(func(upTo Seq) { h.durable = append(h.durable, upTo) })
	s.OnFailed(func(from Seq, err error) { h.failed = append(h.failed, from) })
	return h
}

func TestDeliver(t *testing.T) {
	disk := errors.New("disk")
	for _, c := range []struct {
		name    string
		events  []Event
		durable []Seq
		failed  []Seq
	}{
		{"one call confirms a group", []Event{{UpTo: 14}}, []Seq{14}, nil},
		{"doubled", []Event{{UpTo: 12}, {UpTo: 12}, {UpTo: 13}}, []Seq{12, 13}, nil},
		{"late and out of order", []Event{{UpTo: 13}, {UpTo: 11}, {UpTo: 14}, {UpTo: 12}}, []Seq{13, 14}, nil},
		{"of an earlier life", []Event{{UpTo: 9}, {From: 10, Err: disk}}, nil, nil},
		{"more than was committed", []Event{{UpTo: 99}}, []Seq{15}, nil},
		{"failure with what was durable before it", []Event{{UpTo: 12, From: 13, Err: disk}}, []Seq{12}, []Seq{13}},
		{"failure is final and told once", []Event{{From: 13, Err: disk}, {From: 11, Err: disk}}, nil, []Seq{13}},
		{"durable before the failure, told after it", []Event{{From: 13, Err: disk}, {UpTo: 12}}, []Seq{12}, []Seq{13}},
		{"never durable past a failure", []Event{{From: 13, Err: disk}, {UpTo: 14}}, []Seq{12}, []Seq{13}},
		{"failure of what is durable is no failure", []Event{{UpTo: 13}, {From: 12, Err: disk}}, []Seq{13}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := New(&held{}, 10)
			h := listen(s)
			for i := range 5 {
				if seq := s.Commit(noteBatch(1)); seq != Seq(11+i) {
					t.Fatalf("batch %d is numbered %d", i, seq)
				}
			}
			for _, e := range c.events {
				s.Deliver(e)
			}
			expect(t, "durable", h.durable, append([]Seq{}, c.durable...))
			expect(t, "failed", h.failed, append([]Seq{}, c.failed...))
			if want := int(15 - s.Durable()); s.Pending() != want {
				t.Errorf("%d pending, not %d", s.Pending(), want)
			}
			seq := s.Commit(noteBatch(1))
			if refused := len(c.failed) > 0; refused != (seq == 0) || refused != errors.Is(s.Err(), ErrClosed) {
				t.Errorf("afterwards Commit = %d, Err = %v", seq, s.Err())
			}
		})
	}
}

func TestStoreFull(t *testing.T) {
	s := New(&held{}, 0)
	s.Limit(Limits{Batches: 3})
	for i := range 4 {
		if s.Full() != (i >= 3) {
			t.Errorf("with %d pending, Full = %v", i, s.Full())
		}
		s.Commit(noteBatch(1))
	}
	s.Deliver(Event{UpTo: 2})
	if s.Full() || s.Pending() != 2 {
		t.Errorf("with %d pending, Full = %v", s.Pending(), s.Full())
	}
	s.Limit(Limits{Bytes: s.PendingBytes()})
	if !s.Full() {
		t.Error("not full at the limit of bytes")
	}
	s.Deliver(Event{UpTo: 4})
	if s.PendingBytes() != 0 || s.Full() {
		t.Errorf("%d bytes pending of nothing", s.PendingBytes())
	}
}

func TestCommitOfNothing(t *testing.T) {
	s := New(&held{}, 7)
	if seq := s.Commit(new(Batch)); seq != 0 || s.Last() != 7 || s.Err() != nil {
		t.Errorf("an empty batch is numbered %d, Last %d, Err %v", seq, s.Last(), s.Err())
	}
	mustClose(t, s)
	if seq := s.Commit(noteBatch(1)); seq != 0 || !errors.Is(s.Err(), ErrClosed) {
		t.Errorf("after Close: %d, %v", seq, s.Err())
	}
}

// TestRecycle: a batch comes back for reuse only once it is durable, empty, and
// not twice.
func TestRecycle(t *testing.T) {
	c := &held{}
	s := New(c, 0)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		b := s.Batch()
		if b.Len() != 0 {
			t.Fatal("a batch for reuse is not empty")
		}
		for seq := s.Durable() + 1; seq <= s.Last(); seq++ {
			if c.batches[seq] == b {
				t.Fatalf("batch %d is reused and not durable", seq)
			}
		}
		notes.Put(b, 1, &note{"x"})
		s.Commit(b)
		s.Deliver(Event{UpTo: s.Durable() + Seq(rng.IntN(3))})
		s.Deliver(Event{UpTo: s.Durable()})
	}
}

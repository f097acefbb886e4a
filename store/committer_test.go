package store

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"
)

// gated is an engine whose Apply waits to be let through.
type gated struct {
	Engine
	entered chan Seq
	pass    chan error
}

func (g *gated) Apply(seq Seq, batches []*Batch, sync bool) error {
	g.entered <- seq
	if err := <-g.pass; err != nil {
		return err
	}
	return g.Engine.Apply(seq, batches, sync)
}

func newGated(t *testing.T) *gated {
	t.Helper()
	e, err := OpenMem(new(MemDisk), testSchema)
	if err != nil {
		t.Fatal(err)
	}
	return &gated{e, make(chan Seq, 1), make(chan error, 1)}
}

func TestGroupCommitter(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	g := newGated(t)
	events := make(chan Event, 10)
	c := NewGroupCommitter(g, func(e Event) { events <- e }, Limits{})
	for seq := Seq(1); seq <= 5; seq++ {
		c.Submit(seq, noteBatch(uint64(seq)))
		if seq == 1 {
			expect(t, "first group", <-g.entered, Seq(1))
		}
	}
	g.pass <- nil
	expect(t, "first event", <-events, Event{UpTo: 1})
	expect(t, "what gathered meanwhile is one group", <-g.entered, Seq(5))
	g.pass <- nil
	expect(t, "second event", <-events, Event{UpTo: 5})
	mustClose(t, c)
	mustClose(t, c)
	c.Submit(6, noteBatch(6))
	if e := <-events; e.From != 6 || !errors.Is(e.Err, ErrClosed) {
		t.Errorf("submitted after Close: %+v", e)
	}
	expect(t, "rows", checkPrefix(t, g), Seq(5))
}

func TestGroupCommitterGroupSize(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	g := newGated(t)
	events := make(chan Event, 10)
	size := len(noteBatch(1).Bytes())
	c := NewGroupCommitter(g, func(e Event) { events <- e }, Limits{GroupBytes: size})
	c.Submit(1, noteBatch(1))
	<-g.entered
	c.Submit(2, noteBatch(1, 1, 1)) // larger than a group may be: a group of its own
	c.Submit(3, noteBatch(1))
	for _, want := range []Seq{2, 3} {
		g.pass <- nil
		<-events
		expect(t, "group ends", <-g.entered, want)
	}
	g.pass <- nil
	mustClose(t, c)
}

func TestGroupCommitterFailure(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	g := newGated(t)
	events := make(chan Event, 10)
	c := NewGroupCommitter(g, func(e Event) { events <- e }, Limits{})
	c.Submit(1, noteBatch(1))
	<-g.entered
	c.Submit(2, noteBatch(2))
	c.Submit(3, noteBatch(3))
	g.pass <- nil
	<-events
	<-g.entered
	disk := errors.New("disk")
	g.pass <- disk
	e := <-events
	if e.UpTo != 1 || e.From != 2 || !errors.Is(e.Err, ErrUnknown) || !errors.Is(e.Err, disk) {
		t.Errorf("event %+v", e)
	}
	c.Submit(4, noteBatch(4))
	mustClose(t, c)
	select {
	case seq := <-g.entered:
		t.Errorf("tried again up to %d after a failure", seq)
	case e := <-events:
		t.Errorf("told twice: %+v", e)
	default:
	}
}

func TestGroupCommitterLimits(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, c := range []struct {
		name   string
		limits Limits
		seqs   []Seq
	}{
		{"too many batches wait", Limits{Batches: 1}, nil},
		{"too many bytes wait", Limits{Bytes: 10}, nil},
		{"a number is left out", Limits{}, []Seq{1, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGated(t)
			events := make(chan Event, 100)
			committer := NewGroupCommitter(g, func(e Event) { events <- e }, c.limits)
			if c.seqs == nil {
				for seq := Seq(1); seq <= overflow+2; seq++ {
					c.seqs = append(c.seqs, seq)
				}
			}
			for i, seq := range c.seqs {
				committer.Submit(seq, noteBatch(1))
				if i == 0 {
					<-g.entered // so that the queue's length is known
				}
			}
			if e := <-events; !errors.Is(e.Err, ErrUnknown) || e.UpTo != 0 {
				t.Errorf("event %+v", e)
			}
			close(g.pass) // all that was queued before goes through
			go func() {
				for range g.entered {
				}
			}()
			mustClose(t, committer)
			close(g.entered)
		})
	}
}

func TestGroupCommitterSlowClose(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	g := newGated(t)
	c := NewGroupCommitter(g, func(Event) {}, Limits{CloseWithin: time.Millisecond})
	c.Submit(1, noteBatch(1))
	<-g.entered
	if err := c.Close(); !errors.Is(err, ErrSlow) {
		t.Errorf("Close of a disk that hangs: %v", err)
	}
	g.pass <- nil
	<-c.done
	mustClose(t, c)
}

// TestStoreOnPebble runs the whole way of a row, loop, committer, engine, with a
// channel for an inbox.
func TestStoreOnPebble(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	fs := vfs.NewMem()
	e := openOn(t, fs)
	inbox := make(chan Event, 1000)
	s := New(NewGroupCommitter(e, func(ev Event) { inbox <- ev }, Limits{}), e.Durable())
	const n = 500
	for i := uint64(1); i <= n; i++ {
		b := s.Batch()
		notes.Put(b, i, &note{noteText(i)})
		s.Commit(b)
		for drained := false; !drained; {
			select {
			case ev := <-inbox:
				s.Deliver(ev)
			default:
				drained = true
			}
		}
	}
	mustClose(t, s)
	close(inbox)
	for ev := range inbox {
		s.Deliver(ev)
	}
	expect(t, "durable", s.Durable(), Seq(n))
	mustClose(t, e)
	e = openOn(t, fs)
	expect(t, "rows", checkPrefix(t, e), Seq(n))
	mustClose(t, e)
}

// benchCommit has callers wait for the durability of a row each, as connections do.
func benchCommit(b *testing.B, e Engine, callers int) {
	type confirm struct {
		mu      sync.Mutex
		durable Seq
		cond    *sync.Cond
	}
	w := &confirm{durable: e.Durable()}
	w.cond = sync.NewCond(&w.mu)
	c := NewGroupCommitter(e, func(ev Event) {
		w.mu.Lock()
		w.durable = max(w.durable, ev.UpTo)
		if ev.Err != nil {
			panic(ev.Err)
		}
		w.mu.Unlock()
		w.cond.Broadcast()
	}, Limits{})
	s := New(c, e.Durable()) // the loop, played by a mutex
	row := note{noteText(1)}
	var wg sync.WaitGroup
	work := make(chan struct{}, b.N)
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	b.ReportAllocs()
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for range work {
				w.mu.Lock()
				s.Deliver(Event{UpTo: w.durable})
				batch := s.Batch()
				notes.Put(batch, uint64(s.Last()+1), &row)
				seq := s.Commit(batch)
				for w.durable < seq {
					w.cond.Wait()
				}
				w.mu.Unlock()
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	mustClose(b, c)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkGroupCommit(b *testing.B) {
	for _, callers := range []int{1, 64, 1024} {
		b.Run(fmt.Sprintf("disk/callers=%d", callers), func(b *testing.B) {
			e, err := OpenPebble(Options{Dir: b.TempDir() + "/s", Schema: testSchema})
			if err != nil {
				b.Fatal(err)
			}
			benchCommit(b, e, callers)
			mustClose(b, e)
		})
	}
	b.Run("memory/callers=64", func(b *testing.B) {
		e := openOn(b, vfs.NewMem())
		benchCommit(b, e, 64)
		mustClose(b, e)
	})
}

// BenchmarkRawSync is what the disk gives: append the bytes of a group of rows
// and fdatasync, with nothing else; compare rows/s with BenchmarkGroupCommit of as
// many callers in the same run.
func BenchmarkRawSync(b *testing.B) {
	for _, rows := range []int{1, 64, 1024} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			f, err := vfs.Default.Create(b.TempDir()+"/raw", vfs.WriteCategoryUnspecified)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			group := make([]byte, 0, rows*len(noteText(1)))
			for range rows {
				group = append(group, noteText(1)...)
			}
			b.ResetTimer()
			for range (b.N + rows - 1) / rows {
				if _, err := f.Write(group); err != nil {
					b.Fatal(err)
				}
				if err := f.SyncData(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

package sched

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"
)

// recording is what a busy node in a virtual world did in a while.
func recording(t testing.TB, d time.Duration) (file []byte, w *World, b *busy) {
	t.Helper()
	var out bytes.Buffer
	rec := NewRecorder(&out)
	w = NewWorld(start, 3)
	w.SliceCost = time.Millisecond
	l := w.NewLoop("node", 2)
	l.Record(rec)
	b = newBusy(l, "busy", unreliable(w, "node"))
	b.put(5) // an effect of the building itself
	feed(w, b.in, "node")
	w.Run(start.Add(d))
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), w, b
}

// replay builds the same node on a recording.
func replay(t testing.TB, file []byte) (*Replay, *busy) {
	t.Helper()
	p, err := NewReplay(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	b := newBusy(p.Loop(), "busy", nobody)
	b.put(5)
	return p, b
}

func TestRecordingReplaysToTheSameHash(t *testing.T) {
	for _, d := range []time.Duration{-time.Second, 0, time.Minute, 20 * time.Minute} {
		file, _, b := recording(t, d)
		l := b.scope.loop
		p, again := replay(t, file)
		if err := p.Run(); err != nil {
			t.Fatalf("%v: %v", d, err)
		}
		same(t, "hash", p.Loop().Hash(), l.Hash())
		same(t, "events", p.Loop().Events(), l.Events())
		same(t, "now", p.Loop().Now(), l.Now())
		same(t, "sum", again.sum, b.sum)
		same(t, "runs", p.Loop().Tasks()[0], l.Tasks()[0])
		ps, ls := again.port.Stats(), b.port.Stats()
		same(t, "port", ps, ls)
		if d > time.Minute && l.Events() < 2*hashEvery {
			t.Errorf("only %d events: no hash marks were compared", l.Events())
		}
	}
}

// A node that does something else is found at the event with which it began,
// give or take the one in 256 that a byte of the hash lets pass.
func TestDivergenceIsNamed(t *testing.T) {
	file, _, _ := recording(t, time.Minute)
	p, b := replay(t, file)
	at := uint64(0)
	for p.n < 100 {
		b.odd = p.n >= 60
		before := b.sum
		if err := p.Step(); err != nil {
			var d *Divergence
			if !errors.As(err, &d) {
				t.Fatal(err)
			}
			if at == 0 || d.Event < at || d.Event > at+1 {
				t.Errorf("found at event %d, began at %d", d.Event, at)
			}
			same(t, "source", d.Source, p.Loop().SourceName(p.last))
			return
		}
		if b.odd && b.sum != before && at == 0 {
			at = p.n
		}
	}
	t.Error("not found")
}

func TestDivergenceOfKind(t *testing.T) {
	file, _, _ := recording(t, time.Minute)
	for name, change := range map[string]func(*busy){
		"timer not armed":       func(b *busy) { b.tick.Stop() },
		"timer not yet due":     func(b *busy) { b.tick.Arm(time.Hour) },
		"service is detached":   func(b *busy) { b.scope.Close() },
		"building did else":     func(b *busy) { b.put(1) },
		"a stream drawn before": func(b *busy) { b.scope.Stream("tick").Uint64() },
	} {
		t.Run(name, func(t *testing.T) {
			p, b := replay(t, file)
			change(b)
			var d *Divergence
			if err := p.Run(); !errors.As(err, &d) || d.Event > 20 {
				t.Errorf("got %v", err)
			} else if d.Error() == "" || d.Why == "" {
				t.Errorf("does not say why: %#v", d)
			}
		})
	}
	p, err := NewReplay(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var d *Divergence
	if err := p.Run(); !errors.As(err, &d) {
		t.Errorf("a node with no services: %v", err)
	}
}

// Every prefix is replayed as far as it goes and then said to be cut off.
func TestTruncatedRecording(t *testing.T) {
	file, _, _ := recording(t, 10*time.Second)
	header := len(file)
	for n := range len(file) {
		p, err := NewReplay(bytes.NewReader(file[:n]))
		if err != nil {
			continue
		}
		header = min(header, n)
		b := newBusy(p.Loop(), "busy", nobody)
		b.put(5)
		if err := p.Run(); err != ErrTruncated {
			t.Fatalf("cut at %d of %d bytes: %v", n, len(file), err)
		}
	}
	if header > 100 {
		t.Errorf("the header took %d bytes", header)
	}
}

// One flipped bit anywhere behind the header is an error, never a panic.
func TestCorruptedRecording(t *testing.T) {
	file, _, _ := recording(t, 20*time.Second)
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		bad := bytes.Clone(file)
		bit := r.IntN(8 * len(bad))
		bad[bit/8] ^= 1 << (bit % 8)
		p, err := NewReplay(bytes.NewReader(bad))
		if err != nil {
			continue
		}
		b := newBusy(p.Loop(), "busy", nobody)
		b.put(5)
		if err := p.Run(); err == nil {
			t.Fatalf("bit %d of byte %d of %d was flipped and nobody saw", bit%8, bit/8, len(file))
		}
	}
	p, _ := replay(t, append(bytes.Clone(file), 0))
	if err := p.Run(); err == nil || err == ErrTruncated {
		t.Errorf("bytes behind the end: %v", err)
	}
}

func TestHostileLengthsAskForNoMemory(t *testing.T) {
	file, _, _ := recording(t, -time.Second)
	head := file[:len(file)-9] // without the end
	record := func(source, size uint64) []byte {
		b := binary.AppendUvarint(bytes.Clone(head), source+tagSource)
		b = binary.AppendVarint(binary.AppendVarint(binary.AppendVarint(b, 0), 0), 0)
		return binary.AppendUvarint(append(b, 0), size)
	}
	for _, size := range []uint64{recordMax + 1, 1 << 40, 1<<64 - 1} {
		p, _ := replay(t, record(1, size))
		if err := p.Run(); err != errRecord {
			t.Errorf("a record of %d bytes: %v", size, err)
		}
	}
	long := append([]byte(recordMagic), binary.AppendUvarint(nil, 1<<50)...)
	if _, err := NewReplay(bytes.NewReader(long)); err == nil {
		t.Error("a name of a petabyte was taken")
	}
}

// An input that reads as something else than what was written is found where it
// enters.
func TestReplayHoldsInputsAgainstTheirRecordedForm(t *testing.T) {
	var out bytes.Buffer
	rec := NewRecorder(&out)
	w, l := virtualLoop(t)
	l.Record(rec)
	in := NewInbox(l.Scope("s"), "in", 4, number, func(*int64) {})
	in.Offer(5)
	w.Run(start)
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	p, err := NewReplay(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	s := p.Loop().Scope("s")
	NewInbox(s, "in", 4, number, func(*int64) { t.Error("handled") })
	s.Close()
	var detached *Divergence
	if err := p.Run(); !errors.As(err, &detached) || detached.Event != 1 || detached.Why != "its service is detached here" {
		t.Errorf("a detached service: %v", err)
	}

	p, err = NewReplay(&out)
	if err != nil {
		t.Fatal(err)
	}
	wrong := number
	wrong.Read = func([]byte) (int64, error) { return 6, nil }
	NewInbox(p.Loop().Scope("s"), "in", 4, wrong, func(*int64) { t.Error("handled") })
	var d *Divergence
	if err := p.Run(); !errors.As(err, &d) || d.Event != 1 || d.Source != "s/in" || d.Why != errReencode.Error() {
		t.Errorf("got %v", err)
	}
}

type brokenDisk struct{ left int }

var errDisk = errors.New("disk full")

func (d *brokenDisk) Write(b []byte) (int, error) {
	if d.left -= len(b); d.left < 0 {
		return 0, errDisk
	}
	return len(b), nil
}

func TestRecorderThatFailsDoesNotStopTheLoop(t *testing.T) {
	rec := NewRecorder(&brokenDisk{left: 1 << 10})
	w, l := virtualLoop(t)
	l.Record(rec)
	b := newBusy(l, "busy", nobody)
	feed(w, b.in, "node")
	w.Run(start.Add(2 * time.Hour)) // more than the recorder's buffer
	if l.Events() < 1000 {
		t.Errorf("only %d events", l.Events())
	}
	if err := rec.Close(); !errors.Is(err, errDisk) {
		t.Errorf("close: %v", err)
	}
	if err := NewRecorder(io.Discard).Close(); err != nil {
		t.Errorf("close of a recorder that nobody used: %v", err)
	}
	w, l = virtualLoop(t)
	rec = NewRecorder(io.Discard)
	l.Record(rec)
	in := NewInbox(l.Scope("s"), "in", 1, Codec[int64]{Append: func(dst []byte, _ *int64) []byte { return append(dst, make([]byte, recordMax+1)...) }}, func(*int64) {})
	in.Offer(1)
	w.Run(start)
	if err := rec.Close(); !errors.Is(err, errLong) {
		t.Errorf("an input that no replay would take: %v", err)
	}
}

// What a killed loop did not handle is not in its recording.
func TestRecordingOfAKilledLoop(t *testing.T) {
	var out bytes.Buffer
	rec := NewRecorder(&out)
	w := NewWorld(start, 3)
	l := w.NewLoop("node", 2)
	l.Record(rec)
	b := newBusy(l, "busy", nobody)
	b.put(5)
	l.OnInput(func(l *Loop) {
		if l.Events() == 50 {
			w.Kill(l)
		}
	})
	w.Run(start.Add(time.Hour))
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	p, again := replay(t, out.Bytes())
	if err := p.Run(); err != ErrTruncated {
		t.Errorf("got %v", err)
	}
	same(t, "sum", again.sum, b.sum)
	same(t, "events", p.Loop().Events(), 49)
}

func FuzzReplay(f *testing.F) {
	file, _, _ := recording(f, 10*time.Second)
	f.Add(file)
	f.Add(file[:len(file)/2])
	empty, _, _ := recording(f, -time.Second)
	f.Add(empty)
	f.Fuzz(func(t *testing.T, file []byte) {
		p, err := NewReplay(bytes.NewReader(file))
		if err != nil {
			return
		}
		b := newBusy(p.Loop(), "busy", nobody)
		b.put(5)
		if err := p.Run(); err == nil && !p.ended {
			t.Error("a recording without an end was taken")
		}
		if p.n > uint64(len(file)) {
			t.Errorf("%d events from %d bytes", p.n, len(file))
		}
	})
}

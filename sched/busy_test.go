package sched

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"
)

var start = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

var errOdd = errors.New("odd")

// number is the codec of the tests: one varint and nothing behind it.
var number = Codec[int64]{
	Append: func(dst []byte, e *int64) []byte { return binary.AppendVarint(dst, *e) },
	Read: func(b []byte) (int64, error) {
		v, n := binary.Varint(b)
		if n <= 0 || n != len(b) {
			return 0, errRecord
		}
		return v, nil
	},
}

func numberPort(deadline time.Duration, limit int) PortConfig[int64, int64] {
	return PortConfig[int64, int64]{Name: "ask", Deadline: deadline, Limit: limit, Request: number.Append, Reply: number}
}

// busy is a service that uses all a loop has: a timer of random periods, an
// inbox, a port, slices of long work and a task that fails at random.
type busy struct {
	scope *Scope
	tick  *Timer
	in    *Inbox[int64]
	port  *Port[int64, int64]
	task  *Task
	sum   int64
	odd   bool // does something else than the recorded one
}

func newBusy(l *Loop, name string, backend Backend[int64, int64]) *busy {
	s := l.Scope(name)
	b := &busy{scope: s}
	r := s.Stream("tick")
	b.tick = s.Timer("tick", func() {
		b.put(1)
		switch r.IntN(6) {
		case 0:
			b.port.Start(b.sum)
		case 1:
			left := r.IntN(4)
			s.Defer(func() bool {
				b.put(int64(left))
				left--
				return left > 0
			})
		}
		b.tick.Arm(time.Duration(1 + r.Int64N(int64(time.Second))))
	})
	b.in = NewInbox(s, "in", 64, number, func(e *int64) { b.put(*e) })
	b.port = NewPort(s, numberPort(time.Second, 3), backend, func(_ Ticket, req, res int64, err error) {
		if err != nil {
			res = -req
		}
		b.put(res)
	})
	b.task = s.Task(TaskConfig{Name: "work", Every: 5 * time.Second, Jitter: 0.2, Deadline: 2 * time.Second,
		Retry: Backoff{Base: 100 * time.Millisecond, Cap: time.Second, Attempts: 3}}, func(run *Run) {
		switch r.IntN(3) {
		case 0:
			run.Done(nil)
		case 1:
			run.Done(errOdd)
		}
	})
	b.tick.Arm(0)
	return b
}

func (b *busy) put(v int64) {
	b.sum = b.sum*31 + v
	if b.odd {
		b.sum++
	}
	b.scope.loop.Effect(1, binary.AppendVarint(nil, b.sum))
}

// unreliable answers after a random while: once, twice, never, or with a
// failure.
func unreliable(w *World, name string) Backend[int64, int64] {
	r := NewStream(w.Seed(), "backend", name)
	return func(req int64, reply func(Result[int64])) {
		answer := Func(func() { reply(Result[int64]{Res: req + 1}) })
		d := time.Duration(r.Int64N(int64(1500 * time.Millisecond)))
		switch r.IntN(5) {
		case 0:
		case 1:
			w.After(d, Func(func() { reply(Failed[int64](errOdd)) }))
		case 2:
			w.After(d, answer)
			w.After(d, answer)
		default:
			w.After(d, answer)
		}
	}
}

// feed gives numbers to an inbox at random instants.
func feed(w *World, in *Inbox[int64], name string) {
	r := NewStream(w.Seed(), "feed", name)
	var again Func
	again = func() {
		if r.IntN(2) == 0 {
			in.Offer(r.Int64N(1000))
		} else {
			Deliver(w, in, w.Now().Add(time.Duration(r.Int64N(int64(time.Second)))), r.Int64N(1000))
		}
		w.After(time.Duration(r.Int64N(int64(time.Second))), again)
	}
	w.After(0, again)
}

func nobody(int64, func(Result[int64])) {}

// virtualLoop is a loop in a world of its own.
func virtualLoop(t testing.TB) (*World, *Loop) {
	t.Helper()
	w := NewWorld(start, 1)
	return w, w.NewLoop("node", 0)
}

func same[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

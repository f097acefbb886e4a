package sched

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// portRig is a port whose backend keeps the replies for the test to give.
type portRig struct {
	w     *World
	l     *Loop
	scope *Scope
	port  *Port[int64, int64]
	reply []func(Result[int64])
	got   []string
}

func newPort(t *testing.T, limit int) *portRig {
	t.Helper()
	g := &portRig{}
	g.w, g.l = virtualLoop(t)
	g.scope = g.l.Scope("s")
	g.port = NewPort(g.scope, numberPort(10*sec, limit), func(_ int64, reply func(Result[int64])) { g.reply = append(g.reply, reply) },
		func(ticket Ticket, req, res int64, err error) {
			kind := "ok"
			switch {
			case errors.Is(err, ErrUnknown):
				kind = "unknown"
			case errors.Is(err, ErrNotSent):
				kind = "not sent"
			}
			g.got = append(g.got, fmt.Sprintf("%v #%d %d->%d %s", g.l.Now().Sub(start), ticket, req, res, kind))
		})
	return g
}

// at runs f as an event of the world.
func (g *portRig) at(d time.Duration, f func()) { g.w.Push(start.Add(d), Func(f)) }

func (g *portRig) expect(t *testing.T, stats PortStats, want ...string) {
	t.Helper()
	g.w.Run(start.Add(time.Hour))
	if d := cmp.Diff(want, g.got); d != "" {
		t.Errorf("completions (-want +got):\n%s", d)
	}
	stats.Name = "s/ask"
	if d := cmp.Diff(stats, g.port.Stats()); d != "" {
		t.Errorf("statistics (-want +got):\n%s", d)
	}
	same(t, "pending in the heap", g.w.Pending(), 0)
}

func TestPortCompletesEachRequestOnce(t *testing.T) {
	ok := func(v int64) Result[int64] { return Result[int64]{Res: v} }
	t.Run("out of order", func(t *testing.T) {
		g := newPort(t, 4)
		g.port.Start(10)
		g.port.Start(20)
		g.at(2*sec, func() { g.reply[1](ok(21)) })
		g.at(3*sec, func() { g.reply[0](ok(11)) })
		g.expect(t, PortStats{Started: 2, Completed: 2}, "2s #2 20->21 ok", "3s #1 10->11 ok")
	})
	t.Run("lost", func(t *testing.T) {
		g := newPort(t, 4)
		g.port.Start(10)
		g.expect(t, PortStats{Started: 1, Unknown: 1}, "10s #1 10->0 unknown")
	})
	t.Run("doubled", func(t *testing.T) {
		g := newPort(t, 4)
		g.port.Start(10)
		g.at(1*sec, func() { g.reply[0](ok(11)); g.reply[0](ok(12)) })
		g.expect(t, PortStats{Started: 1, Completed: 1, Late: 1}, "1s #1 10->11 ok")
	})
	t.Run("late", func(t *testing.T) {
		g := newPort(t, 4)
		g.port.Start(10)
		g.at(11*sec, func() { g.reply[0](ok(11)) })
		g.expect(t, PortStats{Started: 1, Unknown: 1, Late: 1}, "10s #1 10->0 unknown")
	})
	t.Run("failed", func(t *testing.T) {
		g := newPort(t, 4)
		g.port.Start(10)
		g.port.Start(20)
		g.port.Start(30)
		g.at(1*sec, func() {
			g.reply[0](Failed[int64](errOdd))
			g.reply[1](Result[int64]{Err: "gone", Unknown: true})
			g.reply[2](Failed[int64](errors.New("")))
		})
		g.expect(t, PortStats{Started: 3, Failed: 2, Unknown: 1}, "1s #1 10->0 not sent", "1s #2 20->0 unknown", "1s #3 30->0 not sent")
	})
	t.Run("deadline of the second", func(t *testing.T) {
		g := newPort(t, 4)
		g.port.Start(10)
		g.at(1*sec, func() { g.reply[0](ok(11)) })
		g.at(0, func() {})
		g.l.Scope("x").Timer("x", func() { g.port.Start(20) }).Arm(sec / 2)
		g.l.Scope("x").Timer("x", func() { g.port.Start(30) }).Arm(sec / 2)
		g.expect(t, PortStats{Started: 3, Completed: 1, Unknown: 2}, "1s #1 10->11 ok", "10.5s #2 20->0 unknown", "10.5s #3 30->0 unknown")
	})
	t.Run("beyond the limit", func(t *testing.T) {
		g := newPort(t, 2)
		for i := range int64(12) { // more than the inbox of replies could hold
			g.port.Start(i)
		}
		same(t, "pending", g.port.Pending(), 2)
		same(t, "asked", len(g.reply), 2)
		g.at(1*sec, func() { g.reply[0](ok(7)); g.reply[1](ok(8)) })
		var want []string
		for i := 2; i < 12; i++ {
			want = append(want, fmt.Sprintf("0s #%d %d->0 not sent", i+1, i))
		}
		g.expect(t, PortStats{Started: 12, Completed: 2, Failed: 10, Shed: 10}, append(want, "1s #1 0->7 ok", "1s #2 1->8 ok")...)
	})
	t.Run("detached", func(t *testing.T) {
		g := newPort(t, 4)
		g.port.Start(10)
		g.port.Start(20)
		g.at(1*sec, func() { g.reply[0](ok(11)); g.scope.Close(); g.reply[1](ok(21)) })
		g.w.Run(start.Add(time.Hour))
		same(t, "completions", len(g.got), 0)
	})
}

// done that panics or detaches its service on one expired request must not take
// the others with it, nor be called for a service that is gone.
func TestPortExpiresOneAtATime(t *testing.T) {
	for _, detach := range []bool{false, true} {
		w, l := virtualLoop(t)
		s := l.Scope("s")
		calls := 0
		p := NewPort(s, numberPort(sec, 4), nobody, func(Ticket, int64, int64, error) {
			calls++
			panic("boom")
		})
		l.OnPanic(func(p Panic) {
			if detach {
				p.Scope.Close()
			}
		})
		for range 3 {
			p.Start(1)
		}
		w.Run(start.Add(time.Minute))
		same(t, fmt.Sprint("calls, detached ", detach), calls, map[bool]int{false: 3, true: 1}[detach])
	}
}

func TestPortMustBeBounded(t *testing.T) {
	for _, cfg := range []PortConfig[int64, int64]{numberPort(0, 1), numberPort(sec, 0)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("deadline %v, limit %d: taken", cfg.Deadline, cfg.Limit)
				}
			}()
			_, l := virtualLoop(t)
			NewPort(l.Scope("s"), cfg, nobody, nil)
		}()
	}
}

func TestResultCodecRoundTrip(t *testing.T) {
	c := resultCodec(number)
	rapid.Check(t, func(t *rapid.T) {
		r := Result[int64]{Ticket: Ticket(rapid.Uint64().Draw(t, "ticket")), Res: rapid.Int64().Draw(t, "res"), Err: rapid.String().Draw(t, "err")}
		r.Unknown = r.Err != "" && rapid.Bool().Draw(t, "unknown")
		b := c.Append(nil, &r)
		got, err := c.Read(b)
		if err != nil || got != r {
			t.Fatalf("%+v came back as %+v, %v", r, got, err)
		}
		if _, err := c.Read(b[:len(b)-1]); err == nil {
			t.Fatal("a result cut short was read")
		}
	})
}

func TestResultHasOneForm(t *testing.T) {
	for name, b := range map[string][]byte{
		"success with a text":    {1, 0, 1, 'x', 0},
		"unknown without a text": {1, 1, 0, 0},
		"failed without a text":  {1, 2, 0, 0},
		"another kind":           {1, 3, 1, 'x', 0},
		"text cut short":         {1, 2, 9, 'x', 0},
		"nothing":                {},
		"a ticket alone":         {1},
	} {
		if r, err := resultCodec(number).Read(b); err == nil {
			t.Errorf("%s: read as %+v", name, r)
		}
	}
}

func FuzzResult(f *testing.F) {
	c := resultCodec(number)
	f.Add(c.Append(nil, &Result[int64]{Ticket: 3, Res: 4}))
	f.Add(c.Append(nil, &Result[int64]{Ticket: 300, Err: "gone", Unknown: true}))
	f.Add([]byte{1, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := c.Read(b)
		if err != nil {
			return
		}
		again, err := c.Read(c.Append(nil, &r))
		if err != nil || again != r {
			t.Fatalf("%+v came back as %+v, %v", r, again, err)
		}
	})
}

package sched

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Ticket numbers a started request of one port.
type Ticket uint64

// ErrUnknown says that the outcome of a request is not known: it may have been
// carried out. The caller must find out before it does the same again.
var ErrUnknown = errors.New("outcome unknown")

// ErrNotSent says that the request was certainly not carried out.
var ErrNotSent = errors.New("not carried out")

// Result is how a request ended: the recorded form of a completion. Err is
// text, so that a recording holds it; Unknown tells the two kinds apart.
type Result[Res any] struct {
	Ticket  Ticket
	Res     Res
	Err     string // "" for success
	Unknown bool
}

// Failed makes the result of a request that certainly did nothing.
func Failed[Res any](err error) Result[Res] {
	text := err.Error()
	if text == "" {
		text = "failed" // no text would be success
	}
	return Result[Res]{Err: text}
}

// Backend does the waiting part of a port. It is called on the loop, returns
// at once, and calls reply once, later, from any goroutine. A reply that never
// comes, or comes twice, does no harm: the port has a deadline and forgets a
// ticket when it completes. In a replay the answers come from the recording, and
// what the backend replies is dropped.
type Backend[Req, Res any] func(req Req, reply func(Result[Res]))

// PortConfig describes a port.
type PortConfig[Req, Res any] struct {
	Name string
	// Deadline, of the wall clock, after which a request counts as ErrUnknown.
	// Every port has one.
	Deadline time.Duration
	// Limit of requests under way; a Start beyond it completes with ErrNotSent.
	Limit   int
	Request func(dst []byte, r *Req) []byte
	Reply   Codec[Res]
	// ShowRequest and ShowReply make the short form that traces hold; nil shows
	// the value whole.
	ShowRequest func(*Req) any
	ShowReply   func(*Res) any
}

// PortStats counts what a port did.
type PortStats struct {
	Name                                            string
	Started, Completed, Failed, Unknown, Late, Shed uint64
	Pending                                         int
}

// Port is the loop's side of something that may wait.
type Port[Req, Res any] struct {
	scope   *Scope
	cfg     PortConfig[Req, Res]
	kind    uint32
	backend Backend[Req, Res]
	inbox   *Inbox[Result[Res]]
	done    func(Ticket, Req, Res, error)
	next    Ticket
	pending []pendingReq[Req] // by ticket, ascending, and so by deadline
	expiry  *Timer
	refused []pendingReq[Req] // beyond the limit, to be completed
	refuse  *Timer
	stats   PortStats
}

type pendingReq[Req any] struct {
	ticket Ticket
	due    int64 // on the loop's mono
	req    Req
}

// NewPort binds a port to a service. done runs on the loop, once per Start,
// after Start has returned. A deadline or a limit below one is a mistake of the
// program and panics.
func NewPort[Req, Res any](s *Scope, cfg PortConfig[Req, Res], backend Backend[Req, Res], done func(Ticket, Req, Res, error)) *Port[Req, Res] {
	if cfg.Deadline <= 0 || cfg.Limit <= 0 {
		panic("sched: port " + s.name + "/" + cfg.Name + " needs a deadline and a limit")
	}
	p := &Port[Req, Res]{scope: s, cfg: cfg, backend: backend, done: done, kind: s.loop.source(s.name + "/" + cfg.Name + "-start")}
	p.stats.Name = s.name + "/" + cfg.Name
	// A backend may reply twice to each of Limit requests before the loop looks.
	p.inbox = NewInbox(s, cfg.Name, 2*cfg.Limit+2, resultCodec(cfg.Reply), p.complete)
	p.expiry = s.Timer(cfg.Name+"-deadline", p.expire)
	p.refuse = s.Timer(cfg.Name+"-refused", p.refuseAll)
	return p
}

// Start begins a request and returns at once.
func (p *Port[Req, Res]) Start(req Req) Ticket {
	l := p.scope.loop
	p.next++
	t := p.next
	p.stats.Started++
	l.buf = binary.AppendUvarint(l.buf[:0], uint64(t))
	l.buf = p.cfg.Request(l.buf, &req)
	l.Effect(p.kind, l.buf)
	if l.Tracing() {
		l.Trace("port_start", p.stats.Name, p.cfg.show(&req))
	}
	if len(p.pending) >= p.cfg.Limit {
		p.stats.Shed++
		p.refused = append(p.refused, pendingReq[Req]{ticket: t, req: req})
		p.refuse.Arm(0)
		return t
	}
	p.pending = append(p.pending, pendingReq[Req]{t, later(l.mono, l.Span(p.cfg.Deadline)), req})
	if _, armed := p.expiry.Armed(); !armed {
		p.expiry.ArmWall(p.cfg.Deadline)
	}
	p.backend(req, func(r Result[Res]) {
		r.Ticket = t
		p.inbox.Offer(r)
	})
	return t
}

// Pending counts the requests under way.
func (p *Port[Req, Res]) Pending() int { return len(p.pending) }

// Stats returns the counters.
func (p *Port[Req, Res]) Stats() PortStats {
	s := p.stats
	s.Pending = len(p.pending)
	return s
}

func (p *Port[Req, Res]) complete(r *Result[Res]) {
	for i := range p.pending {
		if p.pending[i].ticket != r.Ticket {
			continue
		}
		req := p.pending[i].req
		p.pending = slices.Delete(p.pending, i, i+1)
		if len(p.pending) == 0 {
			p.expiry.Stop()
		}
		if l := p.scope.loop; l.Tracing() {
			l.Trace("port_done", p.stats.Name, p.cfg.result(r))
		}
		switch {
		case r.Err == "":
			p.stats.Completed++
			p.done(r.Ticket, req, r.Res, nil)
		case r.Unknown:
			p.stats.Unknown++
			p.done(r.Ticket, req, r.Res, &PortError{Port: p.stats.Name, Text: r.Err, Kind: ErrUnknown})
		default:
			p.stats.Failed++
			p.done(r.Ticket, req, r.Res, &PortError{Port: p.stats.Name, Text: r.Err, Kind: ErrNotSent})
		}
		return
	}
	p.stats.Late++ // doubled, or after its deadline
}

// expire completes the oldest request if its time is up. One a firing: done may
// panic or detach the service, and the timer then already waits for the next.
func (p *Port[Req, Res]) expire() {
	if len(p.pending) == 0 {
		return
	}
	l, x := p.scope.loop, p.pending[0]
	if x.due > l.mono { // the timer was set for one that has been answered
		p.expiry.arm(x.due, false)
		return
	}
	p.pending = slices.Delete(p.pending, 0, 1)
	if len(p.pending) > 0 {
		p.expiry.arm(max(p.pending[0].due, l.mono), false)
	}
	p.stats.Unknown++
	if l.Tracing() {
		l.Trace("port_expired", p.stats.Name, p.cfg.show(&x.req))
	}
	var none Res
	p.done(x.ticket, x.req, none, &PortError{Port: p.stats.Name, Text: "no answer in time", Kind: ErrUnknown})
}

// refuseAll completes what was beyond the limit, one a firing.
func (p *Port[Req, Res]) refuseAll() {
	x := p.refused[0]
	p.refused = slices.Delete(p.refused, 0, 1)
	if len(p.refused) > 0 {
		p.refuse.Arm(0)
	}
	p.stats.Failed++
	var none Res
	p.done(x.ticket, x.req, none, &PortError{Port: p.stats.Name, Text: "too many requests under way", Kind: ErrNotSent})
}

func (c *PortConfig[Req, Res]) show(r *Req) any {
	if c.ShowRequest != nil {
		return c.ShowRequest(r)
	}
	return *r
}

func (c *PortConfig[Req, Res]) result(r *Result[Res]) any {
	switch {
	case r.Err != "":
		return map[string]any{"err": r.Err, "unknown": r.Unknown}
	case c.ShowReply != nil:
		return c.ShowReply(&r.Res)
	}
	return r.Res
}

// PortError is how a failed request reaches the service; errors.Is tells
// ErrUnknown from ErrNotSent.
type PortError struct {
	Port, Text string
	Kind       error
}

func (e *PortError) Error() string { return e.Port + ": " + e.Text + " (" + e.Kind.Error() + ")" }

// Unwrap returns the kind.
func (e *PortError) Unwrap() error { return e.Kind }

func resultCodec[Res any](c Codec[Res]) Codec[Result[Res]] {
	var hash func(*Result[Res]) uint64
	if c.Hash != nil {
		hash = func(r *Result[Res]) uint64 {
			h := mix(uint64(r.Ticket)<<1|uint64(len(r.Err)), c.Hash(&r.Res))
			if r.Err != "" {
				h = mix(h, xxhash.Sum64String(r.Err))
				if r.Unknown {
					h++
				}
			}
			return h
		}
	}
	return Codec[Result[Res]]{
		Hash: hash,
		Append: func(dst []byte, r *Result[Res]) []byte {
			dst = binary.AppendUvarint(dst, uint64(r.Ticket))
			switch {
			case r.Err == "":
				dst = append(dst, 0)
			case r.Unknown:
				dst = append(dst, 1)
			default:
				dst = append(dst, 2)
			}
			dst = binary.AppendUvarint(dst, uint64(len(r.Err)))
			dst = append(dst, r.Err...)
			return c.Append(dst, &r.Res)
		},
		Read: func(b []byte) (Result[Res], error) {
			var r Result[Res]
			t, n := binary.Uvarint(b)
			if n <= 0 || len(b) < n+1 {
				return r, errRecord
			}
			kind := b[n]
			r.Ticket, r.Unknown = Ticket(t), kind == 1
			b = b[n+1:]
			size, n := binary.Uvarint(b)
			if n <= 0 || size > uint64(len(b)-n) || kind > 2 || (kind == 0) != (size == 0) {
				return r, errRecord
			}
			r.Err = string(b[n : n+int(size)])
			var err error
			r.Res, err = c.Read(b[n+int(size):])
			return r, err
		},
	}
}

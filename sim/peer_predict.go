package sim

import (
	"math"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/wire"
)

// Attacks on the rules of predictions: when, at what price, how much, under
// which name.

// latecomer backs games that have begun, and those that are over.
type latecomer struct {
	after time.Duration // kick-off
	wager bet.Cents
	done  map[bet.GameID]int // attempts made
}

// lateTries are how long after the first attempt the others follow.
var lateTries = [...]time.Duration{0, time.Second, time.Minute, time.Hour}

func (a *latecomer) act(p *peer) time.Duration {
	now := p.loop.Now()
	var next time.Time
	for _, g := range p.sorted(func(g *bet.Game) bool { return a.done[g.ID] < len(lateTries) && g.Status == bet.Scheduled }) {
		for a.done[g.ID] < len(lateTries) {
			at := g.Start.Add(a.after + lateTries[a.done[g.ID]])
			if at.After(now) {
				if next.IsZero() || at.Before(next) {
					next = at
				}
				break
			}
			a.done[g.ID]++
			a.claim(p, g, p.side(g))
		}
	}
	if next.IsZero() {
		return 0
	}
	return next.Sub(now)
}

// claim backs an outcome as if it were an hour before kick-off.
func (a *latecomer) claim(p *peer, g *bet.Game, o bet.Outcome) {
	s := p.submission(p.id(), g, o, a.wager)
	s.Date = g.Start.Add(-time.Hour).Format(time.RFC3339)
	p.submitAll(s)
}

// heard backs what has won.
func (a *latecomer) heard(p *peer, _ *line, m *wire.Message) {
	if m.Kind != wire.GameUpdate {
		return
	}
	p.next.Arm(0) // a game may be earlier than all that were known
	for i := range m.Games {
		g := &m.Games[i]
		if g.Status == bet.Finished && g.Outcome < bet.Unfinished {
			delete(a.done, g.ID)
			a.claim(p, g, g.Outcome)
		}
	}
}

// forger takes prices that nobody offers.
type forger struct {
	deaf
	every time.Duration
	by    float64
	wager bet.Cents
	turn  int
}

func (a *forger) act(p *peer) time.Duration {
	if g, o, ok := p.pick(); ok {
		s := p.submission(p.id(), g, o, a.wager)
		a.forge(&s, g)
		p.submitAll(s)
	}
	return a.every
}

// forge makes one forgery after the other.
func (a *forger) forge(s *bet.Submission, g *bet.Game) {
	text := func(t string) bet.Value { return bet.Value{Kind: bet.Text, Text: t} }
	up := func(v *bet.Value) { v.Number *= 1 + a.by }
	switch a.turn++; a.turn % 8 {
	case 0: // the price taken alone
		up(&s.Odds)
	case 1: // the whole quote
		up(&s.Odds)
		up(&s.OddsA)
		up(&s.OddsB)
		if s.OddsTie.Kind != bet.Absent {
			up(&s.OddsTie)
		}
	case 2: // the price of the other side
		other := bet.Home
		if g.Odds[bet.Away] > g.Odds[bet.Home] {
			other = bet.Away
		}
		price := g.Odds[other] + 1
		if math.Abs(price-s.Odds.Number) <= bet.OddsTolerance { // that is what is offered
			price++
		}
		s.Odds = number(price)
	case 3:
		s.Odds = text("Infinity")
	case 4:
		s.Odds = text("NaN")
	case 5:
		s.Odds = text("0x1p10")
	case 6:
		s.Odds = number(1e308)
	case 7: // a price for a tie that cannot be, or none where there is one
		if s.Outcome = number(float64(bet.Tie)); g.CanTie {
			s.OddsTie = bet.Value{}
		} else {
			s.OddsTie, s.Odds = number(50), number(50)
		}
	}
}

// skimmer takes the price offered and as much above it as the tolerance lets pass.
type skimmer struct {
	deaf
	every time.Duration
	wager bet.Cents
}

func (a *skimmer) act(p *peer) time.Duration {
	if g, o, ok := p.pick(); ok {
		s := p.submission(p.id(), g, o, a.wager)
		s.Odds.Number += bet.OddsTolerance * 0.99
		p.submitAll(s)
	}
	return a.every
}

// duplicator uses ids twice: its own for another content, and those of others.
type duplicator struct {
	deaf
	every time.Duration
	wager bet.Cents
	turn  int
	last  bet.Submission
	heeds []bet.PredictionID // of others, oldest first
}

// seenIDs bounds the ids of others that are remembered.
const seenIDs = 64

// overheard learns the ids of others' predictions from their frames.
func (a *duplicator) overheard(from, _ *Host, e *wire.Event) {
	if e.Err == nil && e.Message.Kind == wire.Prediction && from.miner != nil && from.miner.Model != nil {
		if len(a.heeds) == seenIDs {
			a.heeds = a.heeds[1:]
		}
		a.heeds = append(a.heeds, e.Message.Submission.ID)
	}
}

func (a *duplicator) act(p *peer) time.Duration {
	g, o, ok := p.pick()
	if !ok {
		return a.every
	}
	s := a.last
	switch a.turn++; a.turn % 6 {
	case 0:
		s.Wager = number(s.Wager.Number * 10)
	case 1: // a new one
		s = p.submission(p.id(), g, o, a.wager)
		a.last = s
	case 2: // as it was: not another one
	case 3:
		s.Outcome, s.Odds = number(0), s.OddsA
		if a.last.Outcome.Number == 0 {
			s.Outcome, s.Odds = number(1), s.OddsB
		}
	case 4:
		s = p.submission(a.last.ID, g, o, a.wager)
		s.Model = "again"
	case 5: // a good one under another's id
		if len(a.heeds) == 0 {
			return a.every
		}
		s = p.submission(a.heeds[p.rng.IntN(len(a.heeds))], g, o, a.wager)
	}
	if s.ID != "" {
		p.submitAll(s)
	}
	return a.every
}

// overspender wagers more than the day's budget: at once, over two connections,
// over both transports, across midnight.
type overspender struct {
	deaf
	times int
	extra map[wire.Conn]*Host
}

// around are the instants of a day at which it spends: midday, and both sides of
// midnight.
var around = [...]time.Duration{100 * time.Millisecond, 12 * time.Hour, 24*time.Hour - 100*time.Millisecond}

func (a *overspender) act(p *peer) time.Duration {
	now := p.loop.Now()
	into := now.Sub(bet.DayOf(now).Start())
	next := 24*time.Hour + around[0]
	for _, at := range around {
		if at == into {
			a.spend(p)
		}
		if at > into && at < next {
			next = at
		}
	}
	return next - into
}

// spend sends the whole budget several times over each line, and takes the same
// way again over a connection of its own beside it. One that is polled hangs up
// then, and goes on in its answers.
func (a *overspender) spend(p *peer) {
	for _, l := range p.ready() {
		a.burst(p, l.conn)
		if p.host.miner.Polled {
			p.hangUp(l.conn)
		} else {
			a.extra[p.connect(l.to)] = l.to
		}
	}
}

func (a *overspender) burst(p *peer, c wire.Conn) {
	for _, s := range a.picks(p) {
		p.stats.Predictions++
		p.send(c, wire.AppendPrediction(nil, p.host.signer, p.loop.Wall(), p.nonce(), s))
	}
}

// picks are wagers of a tenth of the budget each.
func (a *overspender) picks(p *peer) (out []*bet.Submission) {
	for range a.times * 10 {
		if g, o, ok := p.pick(); ok {
			s := p.submission(p.id(), g, o, bet.DailyBudget/10)
			out = append(out, &s)
		}
	}
	return out
}

func (a *overspender) event(p *peer, e *wire.Event) bool {
	to, ok := a.extra[e.Conn]
	if !ok {
		return false
	}
	switch e.Kind {
	case wire.Opened:
		p.send(e.Conn, p.auth(to, p.host.signer))
	case wire.Closed:
		delete(a.extra, e.Conn)
	case wire.Received:
		switch m := &e.Message; {
		case e.Err != nil:
		case m.Kind == wire.Welcome:
			a.burst(p, e.Conn)
		case m.Kind == wire.ConfirmationMessage && m.Confirmation.OK:
			p.stats.Confirmed++
		case m.Kind == wire.ConfirmationMessage:
			p.stats.Rejected++
		}
	}
	return true
}

// tamperer backs games honestly, and says it was something else once they are over.
type tamperer struct {
	every time.Duration
	wager bet.Cents
	made  map[bet.GameID]bet.Submission
	order []bet.GameID // of made, oldest first
}

// tampered bounds the wagers that are remembered.
const tampered = 512

func (a *tamperer) act(p *peer) time.Duration {
	g, o, ok := p.pick()
	if !ok {
		return a.every
	}
	if open := p.open(); ok && p.rng.IntN(2) == 0 {
		g, o = open[0], p.side(open[0]) // the next to begin
	}
	if _, known := a.made[g.ID]; !known {
		if len(a.order) == tampered {
			delete(a.made, a.order[0])
			a.order = a.order[1:]
		}
		s := p.submission(p.id(), g, o, a.wager)
		a.made[g.ID], a.order = s, append(a.order, g.ID)
		p.submitAll(s)
	}
	return a.every
}

// heard takes results for what is to be changed: the side that won, a larger
// wager, a longer price.
func (a *tamperer) heard(p *peer, _ *line, m *wire.Message) {
	if m.Kind != wire.GameUpdate {
		return
	}
	for i := range m.Games {
		g := &m.Games[i]
		s, ok := a.made[g.ID]
		if !ok || g.Status != bet.Finished || g.Outcome >= bet.Unfinished {
			continue
		}
		delete(a.made, g.ID)
		won, more, longer := s, s, s
		won.Outcome, won.Odds = number(float64(g.Outcome)), number(g.Odds[g.Outcome])
		more.Wager = number(s.Wager.Number * 20)
		longer.Odds.Number *= 3
		anew := won
		anew.ID = p.id()
		for _, s := range []bet.Submission{won, more, longer, anew} {
			p.submitAll(s)
		}
	}
}

// impersonator speaks in the names of others.
type impersonator struct {
	deaf
	every time.Duration
	wager bet.Cents
	turn  int
	extra map[wire.Conn]*claimed
}

// claimed is a connection begun in another's name.
type claimed struct {
	to *Host
	as mask
}

// mask signs with one's own key in another's name.
type mask struct {
	wire.Signer
	as chain.Hotkey
}

// Hotkey is the other's.
func (m mask) Hotkey() chain.Hotkey { return m.as }

func (a *impersonator) act(p *peer) time.Duration {
	victims := p.honest()
	g, o, ok := p.pick()
	if len(victims) == 0 || !ok {
		return a.every
	}
	as := mask{p.host.signer, victims[p.rng.IntN(len(victims))].Hotkey}
	a.turn++
	for _, l := range p.ready() {
		s := p.submission(p.id(), g, o, a.wager)
		switch a.turn % 3 {
		case 0: // a session in another's name
			a.extra[p.connect(l.to)] = &claimed{l.to, as}
		case 1: // a prediction in another's name, in its own session
			p.stats.Predictions++
			p.send(l.conn, wire.AppendPrediction(nil, as, p.loop.Wall(), p.nonce(), &s))
		case 2: // its own, with another's slot in the body
			s.MinerUID = p.uid(as.as)
			p.submit(l, &s)
		}
	}
	return a.every
}

func (a *impersonator) event(p *peer, e *wire.Event) bool {
	c := a.extra[e.Conn]
	if c == nil {
		return false
	}
	switch e.Kind {
	case wire.Opened:
		p.send(e.Conn, p.auth(c.to, c.as))
	case wire.Closed:
		p.stats.Refused++
		delete(a.extra, e.Conn)
	case wire.Received:
		if e.Err == nil && e.Message.Kind == wire.Welcome {
			p.stats.Sessions++ // it must never come to this
		}
	}
	return true
}

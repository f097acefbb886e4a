package sock

import (
	"runtime"
	"sync"

	"bettensor/node/chain"
	"bettensor/node/wire"
)

// maxBatch is how many signatures are checked together at most: beyond that a
// batch gets little cheaper, and its first member waits longer.
const maxBatch = 64

// stage checks signatures for all read pumps. A pump waits for the answer to its
// frame before it reads the next one, so frames keep their order and what waits
// here is bounded by the connections; what waits when a worker comes free is one
// batch, and a single frame on an idle node waits for nobody.
//
// Those who are known have a worker on every core. Strangers share one, which
// steps back after each signature: a flood of them costs the others one check's
// time, some 50 µs, and not a place in a queue.
type stage struct {
	known     chan *checked // unbuffered: what is handed over has a worker
	strangers chan *checked
	stop      chan struct{}
	begin     sync.Once
	workers   sync.WaitGroup
}

// checked is one pump's claim, used again and again.
type checked struct {
	wire.Claim
	proved bool // its pump has had a good signature last time
	done   chan struct{}
}

func newStage() *stage {
	return &stage{known: make(chan *checked), strangers: make(chan *checked), stop: make(chan struct{})}
}

// opens makes openers whose signatures go through the stage, where their kind
// can be checked in batches. The workers begin with the first signature.
func (s *stage) opens(open func() *wire.Opener) func() *wire.Opener {
	return func() *wire.Opener {
		o := open()
		if _, ok := o.Verifier.(wire.BatchVerifier); ok {
			o.Verifier = s.verifier(open)
		}
		return o
	}
}

// verifier is the stage as one pump's opener sees it.
func (s *stage) verifier(open func() *wire.Opener) wire.Verifier {
	return &pumped{stage: s, open: open, claim: checked{done: make(chan struct{}, 1)}}
}

type pumped struct {
	stage *stage
	open  func() *wire.Opener
	claim checked
	known bool // whose frames these are the node knows
}

// befriend takes an opener's signatures out of the strangers' queue.
func befriend(o *wire.Opener) {
	if p, ok := o.Verifier.(*pumped); ok {
		p.known = true
	}
}

// Verify waits for a worker to check a signature.
func (p *pumped) Verify(h chain.Hotkey, text, sig []byte) bool {
	s, c := p.stage, &p.claim
	s.begin.Do(func() {
		for range runtime.GOMAXPROCS(0) {
			s.workers.Go(func() { s.work(p.open().Verifier.(wire.BatchVerifier)) })
		}
		s.workers.Go(func() { s.receive(p.open().Verifier) })
	})
	c.Claim = wire.Claim{Hotkey: h, Text: text, Signature: sig}
	to := s.strangers
	if p.known {
		to = s.known
	}
	select {
	case to <- c:
		<-c.done
	case <-s.stop:
		return false // nothing is taken any more
	}
	c.proved = c.Good
	c.Text, c.Signature = nil, nil
	return c.Good
}

// work checks the signatures of those who are known.
func (s *stage) work(v wire.BatchVerifier) {
	all, batch := make([]*checked, 0, maxBatch), make([]*wire.Claim, 0, maxBatch)
	for {
		all, batch = all[:0], batch[:0]
		select {
		case c := <-s.known:
			all = append(all, c)
		case <-s.stop:
			return
		}
		runtime.Gosched() // pumps that can run may have one too; on an idle node there is none
	gather:
		for len(all) < maxBatch {
			select {
			case c := <-s.known:
				all = append(all, c)
			default:
				break gather
			}
		}
		for _, c := range all {
			if c.proved {
				batch = append(batch, &c.Claim)
			}
		}
		v.VerifyBatch(batch)
		for _, c := range all {
			if !c.proved { // one that was bad lately would make a whole batch dear
				c.Good = v.Verify(c.Hotkey, c.Text, c.Signature)
			}
			c.done <- struct{}{}
		}
	}
}

// receive checks those of strangers, one at a time.
func (s *stage) receive(v wire.Verifier) {
	for {
		select {
		case c := <-s.strangers:
			c.Good = v.Verify(c.Hotkey, c.Text, c.Signature)
			c.done <- struct{}{}
		case <-s.stop:
			return
		}
		runtime.Gosched()
	}
}

// close ends the workers. No pump is left.
func (s *stage) close() {
	close(s.stop)
	s.workers.Wait()
}

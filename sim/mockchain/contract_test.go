package mockchain

import (
	"testing"
	"time"

	"bettensor/node/chain"
	"bettensor/node/chain/chaintest"
)

// inMemory is the chain itself under the contract: time moves when it is asked to.
type inMemory struct {
	c   *Chain
	now time.Time
}

func (m *inMemory) Submit(_ testing.TB, q chain.Request) chain.Reply {
	p := m.c.Submit(m.now, q)
	if p.Included > 0 && q.Op != chain.OpReadWeights {
		// Until the block is final, so that reads show it.
		m.now = m.c.TimeOf(p.Included + m.c.cfg.FinalityLag)
	}
	return p
}

func (m *inMemory) Reach(_ testing.TB, b chain.Block) {
	if at := m.c.TimeOf(b - 1); at.After(m.now) {
		m.now = at
	}
}

func TestContract(t *testing.T) {
	chaintest.Run(t, func(t *testing.T, s chaintest.Setup) chaintest.Chain {
		cfg := Defaults(chaintest.Netuid, genesis)
		cfg.Params, cfg.ServingRateLimit, cfg.Owner = s.Params, s.ServingRateLimit, s.Owner
		for i, stake := range s.Stakes {
			cfg.Neurons = append(cfg.Neurons, Neuron{Hotkey: chaintest.Hotkey(i), Coldkey: "demo", Stake: stake})
		}
		c := New(cfg)
		return &inMemory{c: c, now: c.TimeOf(1)}
	})
}

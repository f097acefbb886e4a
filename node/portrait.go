package node

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
)

// Portrait is a node at one instant, for whoever debugs it: what its services
// share, in figures, and what each says of itself.
type Portrait struct {
	At     time.Time    `json:"at"` // by the node's clock
	Hotkey chain.Hotkey `json:"hotkey"`
	Events uint64       `json:"events"` // that entered its loop
	Hash   string       `json:"hash"`   // over them and what left it

	Block       chain.Block       `json:"block"` // of the newest metagraph; 0 before the first
	Neurons     int               `json:"neurons"`
	Sessions    int               `json:"sessions"`
	Games       int               `json:"games"`
	Settled     int               `json:"settled"`           // games that have a result or are void
	Predictions int               `json:"predictions"`       // a validator's book; 0 of a miner
	Weights     *ledger.WeightRow `json:"weights,omitempty"` // set last, nil for none

	Stats Stats `json:"stats"`
}

// Portrait describes the validator. Call it on the loop.
func (v *Validator) Portrait() Portrait { return v.core.portrait(&v.State) }

// Portrait describes the miner. Call it on the loop.
func (m *Miner) Portrait() Portrait { return m.core.portrait(&m.State) }

func (c *core) portrait(s *State) Portrait {
	p := Portrait{At: c.loop.Now(), Hotkey: c.hotkey, Events: c.loop.Events(), Hash: fmt.Sprintf("%016x", c.loop.Hash()),
		Sessions: len(s.Sessions), Games: len(s.ordered), Predictions: s.Book.Len(), Stats: c.Stats()}
	if s.Meta != nil {
		p.Block, p.Neurons = s.Meta.Block, len(s.Meta.Neurons)
	}
	for _, g := range s.ordered {
		if g.Resulted() || g.Status == bet.Void {
			p.Settled++
		}
	}
	if n := len(s.Weights); n > 0 {
		w := s.Weights[n-1]
		p.Weights = &w
	}
	return p
}

// Write prints the portrait for people, a service a line, each with what it has
// counted. The error is that of w.
func (p *Portrait) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "  %s, %d events, hash %s\n", p.At.Format("2006-01-02 15:04:05.000000"), p.Events, p.Hash)
	fmt.Fprintf(b, "  block %d, %d neurons, %d sessions, %d games (%d over)", p.Block, p.Neurons, p.Sessions, p.Games, p.Settled)
	if p.Predictions > 0 {
		fmt.Fprintf(b, ", %d predictions", p.Predictions)
	}
	fmt.Fprintln(b)
	if p.Weights != nil {
		fmt.Fprintf(b, "  weights set last: number %d, %s, planned %s, block %d, %d miners\n", p.Weights.Number, p.Weights.Phase,
			p.Weights.Planned.Format(time.DateTime), p.Weights.Block, len(p.Weights.Weights.UIDs))
	}
	for _, s := range p.Stats.Services {
		fmt.Fprintf(b, "  %-14s %s", s.Name, s.State)
		if s.Reason != "" {
			fmt.Fprintf(b, " (%s)", s.Reason)
		}
		for _, c := range s.Counts {
			if c.Value > 0 {
				fmt.Fprintf(b, "  %s %d", c.Name, c.Value)
			}
		}
		fmt.Fprintln(b)
	}
	for _, a := range p.Stats.Alarms {
		fmt.Fprintf(b, "  alarm %s: %s\n", a.Code, a.Why)
	}
	return b.Flush()
}

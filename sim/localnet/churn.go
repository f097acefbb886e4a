package localnet

import (
	"context"
	"time"

	"bettensor/sched"
)

// chainEvery is how many turns of churn there are to one in which the chain's
// connections are dropped too: a chain's endpoint is lost less often than a peer.
const chainEvery = 10

// Churn counts the connections that were broken on purpose.
type Churn struct {
	Peers int `json:"peers"` // of miners to validators, each once
	Chain int `json:"chain"` // times that all connections to the chain were dropped
}

// churn cuts one connection between peers every so often, and now and then all
// those to the chain, until ctx ends. Which one, a seed decides, as far as that
// can be said of real sockets.
func (n *Network) churn(ctx context.Context) {
	random := sched.NewStream(n.seed, "churn")
	tick := time.NewTicker(n.o.Churn)
	defer tick.Stop()
	for turn := 1; ; turn++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if turn%chainEvery == 0 {
			n.chain.DropConnections()
			n.churned.Chain++
		}
		type connection struct {
			r  *relay
			id uint64
		}
		var all []connection
		for _, node := range n.nodes {
			if node.relay == nil {
				continue
			}
			for _, id := range node.relay.connections() {
				all = append(all, connection{node.relay, id})
			}
		}
		if len(all) == 0 {
			continue
		}
		if c := all[random.IntN(len(all))]; c.r.cut(c.id) {
			n.churned.Peers++
		}
	}
}

package localnet

import (
	"fmt"
	"path/filepath"
	"slices"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
)

// Report is what the nodes that ran here have in their books.
type Report struct {
	Miners []MinerReport `json:"miners"`
	Books  Books         `json:"books"`
	Churn  Churn         `json:"churn"`
}

// MinerReport is a miner's: the predictions that some validator has confirmed as
// accepted, each once.
type MinerReport struct {
	Hotkey    chain.Hotkey       `json:"hotkey"`
	Confirmed []bet.PredictionID `json:"confirmed"`
}

// Report reads the stores of the nodes that ran here. Call it after Stop.
func (n *Network) Report() (Report, error) {
	out := Report{Miners: []MinerReport{}, Churn: n.churned}
	for _, r := range n.nodes {
		if r.role != "miner" {
			continue
		}
		held, err := loadMiner(n.storeOf(r.name))
		if err != nil {
			return Report{}, fmt.Errorf("%s: %w", r.name, err)
		}
		out.Miners = append(out.Miners, MinerReport{Hotkey: n.keys[r.name], Confirmed: confirmed(held)})
	}
	var err error
	out.Books, err = n.Books()
	return out, err
}

// storeOf is the directory of a node's store.
func (n *Network) storeOf(name string) string { return filepath.Join(n.o.Dir, "nodes", name, "store") }

// confirmed are the ids of a miner's accepted predictions, sorted.
func confirmed(m *ledger.Miner) []bet.PredictionID {
	ids := []bet.PredictionID{}
	for i := range m.Outbox {
		if slices.ContainsFunc(m.Outbox[i].Deliveries, func(d ledger.Delivery) bool { return d.State == ledger.Confirmed }) {
			ids = append(ids, m.Outbox[i].Submission.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

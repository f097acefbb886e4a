package cli

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"bettensor/bus"
	"bettensor/node"
	"bettensor/node/chain"
	"bettensor/node/chain/substrate"
	"bettensor/node/chain/wallet"
	"bettensor/node/web"
	"bettensor/sched"
)

// link is a connection to the chain, as a node's command needs it.
type link struct {
	backend sched.Backend[chain.Request, chain.Reply]
	// ready waits until the chain answers.
	ready func(ctx context.Context) error
	// health is the connection's, for figures and readiness; it never waits.
	health func() web.Chain
	// genesis is the chain's genesis hash, in hex with 0x; "" before it answered.
	genesis func() string
	// clock is what the chain's newest block says the time is.
	clock func(ctx context.Context) (time.Time, error)
	// close ends it; what is under way is given up.
	close func(ctx context.Context) error
}

// dialer begins to connect to the chain of the settings. dir is the node's own
// directory, in which what was signed and sent is kept; speed is how fast the
// node's clock runs.
type dialer func(s *Resolved, key *wallet.Key, dir string, speed float64, log *slog.Logger) (*link, error)

// dialChain connects to a Substrate endpoint.
func dialChain(s *Resolved, key *wallet.Key, dir string, speed float64, log *slog.Logger) (*link, error) {
	o := substrate.Options{Endpoints: s.endpoints(), Netuid: chain.Netuid(s.Netuid), Signer: key, Dir: filepath.Join(dir, "chain"),
		BlockTime: time.Duration(float64(chain.BlockTime) / speed), Log: log}
	if g := s.where().genesis; g != "" {
		b, err := hex.DecodeString(strings.TrimPrefix(g, "0x"))
		if err != nil || len(b) != len(o.Genesis) {
			return nil, fmt.Errorf("genesis of %s: %q is no hash", s.where().name, g)
		}
		copy(o.Genesis[:], b)
	}
	c, err := substrate.New(o)
	if err != nil {
		return nil, err
	}
	c.Start()
	return &link{
		backend: c.Backend(), ready: c.Ready, close: c.Close,
		health:  func() web.Chain { return chainFigures(c.Health()) },
		genesis: func() string { return c.Health().Genesis },
		clock: func(ctx context.Context) (time.Time, error) {
			m, err := c.BestMetagraph(ctx)
			if err != nil {
				return time.Time{}, err
			}
			return m.At, nil
		},
	}, nil
}

// chainFigures are a client's figures as the page and the metrics have them.
func chainFigures(h substrate.Health) web.Chain {
	out := web.Chain{Endpoint: h.Endpoint, Up: h.Connected && !h.Stale, Head: uint64(h.Best), HeadAt: h.HeadAt, Finalized: uint64(h.Finalised),
		BlockTime: time.Duration(h.BlockTime * float64(time.Second)), LastError: h.Error,
		Took: web.Durations(&bus.Histogram{Counts: h.Took.Counts, Sum: h.Took.Sum}),
		Counts: node.Counts{{Name: "connections", Value: h.Connections}, {Name: "failures", Value: h.Failures}, {Name: "old_heads", Value: h.OldHeads},
			{Name: "wild_heads", Value: h.WildHeads}, {Name: "pushes_dropped", Value: h.Dropped}, {Name: "foreign", Value: h.Foreign},
			{Name: "extrinsics", Value: uint64(h.Extrinsics)}}}
	for _, c := range h.Calls {
		out.Requests = append(out.Requests, web.Requests{Method: c.Method, Outcome: c.Outcome, Count: c.Count})
	}
	return out
}

// Command bettensor is the node software of Bettensor, a sports-prediction
// subnet of the Bittensor network, and the simulator that runs it.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	node "bettensor/node/cli"
	sim "bettensor/sim/cli"

	"github.com/urfave/cli/v2"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the program at once
	}()
	app := &cli.App{
		Name:    "bettensor",
		Usage:   "node software for the Bettensor subnet, and the simulator it can be trusted by",
		Version: version(),
		// A value may hold commas: --set 'network={loss: 0.1, jitter: 0s}'.
		DisableSliceFlagSeparator: true,
		Commands: []*cli.Command{
			node.Validator(), node.Miner(), node.Doctor(), node.Status(), node.Weights(), node.Wallets(), node.Chain(), node.Config(), node.Replay(), node.Score(), node.Store(),
			sim.Sim(), sim.Localnet(), sim.Bench(),
		},
	}
	node.Prepare(app, map[string]node.Code{"sim": node.Other, "bench": node.Other, "localnet": node.Other})
	os.Exit(node.Exit(app.RunContext(ctx, node.Arrange(app, os.Args)), os.Stderr))
}

// version is what the build says of itself.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v += " " + s.Value
		}
	}
	return v
}

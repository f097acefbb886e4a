package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"bettensor/sim/bench"
	"bettensor/sim/localnet"

	"github.com/urfave/cli/v2"
)

// Loads of `bench ingest`: what the program promises, in this order.
const (
	ingestMiners     = 50     // connections that predict
	ingestCount      = 60_000 // predictions of the fastest load: five seconds at the rate aimed at
	ingestSteady     = 1_000  // predictions a second of the load whose delay is told
	ingestSteadyRuns = 5      // seconds of it
	broadcastMiners  = 256    // connections that listen: a full subnet
	broadcastUpdates = 50
	ingestDeadline   = 5 * time.Minute
)

// ingest is the command `bench ingest`: a real validator on real sockets and a
// real disk, under the load of many miners on this machine.
func ingest(flags []cli.Flag) *cli.Command {
	return &cli.Command{
		Name:  "ingest",
		Usage: "a validator on sockets and disk: confirmed predictions, their delay, updates to a full subnet",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "dir", Usage: "keep the store below `DIR`, on the disk that is meant (default: the temporary directory)"},
			&cli.IntFlag{Name: "miners", Value: ingestMiners, Usage: "connections that predict"},
			&cli.IntFlag{Name: "predictions", Value: ingestCount, Usage: "predictions of the fastest load"},
		}, flags...),
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return fail(exitBad, "unexpected argument %q", c.Args().First())
			}
			if c.Int("miners") < 1 || c.Int("predictions") < 1 {
				return fail(exitBad, "--miners and --predictions must be at least 1")
			}
			dir, err := os.MkdirTemp(c.String("dir"), "bettensor-bench-")
			if err != nil {
				return fail(exitBad, "a directory for the store: %w", err)
			}
			defer os.RemoveAll(dir)
			ctx, cancel := context.WithTimeout(c.Context, ingestDeadline)
			defer cancel()
			results, err := measureIngest(ctx, dir, c.Int("miners"), c.Int("predictions"))
			if err != nil {
				return fail(exitBad, "bench ingest: %w", err)
			}
			return showBench(c, results)
		},
	}
}

func measureIngest(ctx context.Context, dir string, miners, predictions int) ([]bench.Result, error) {
	fast, err := localnet.Load{Dir: filepath.Join(dir, "fast"), Miners: miners, Predictions: predictions}.Run(ctx)
	if err != nil {
		return nil, err
	}
	steady, err := localnet.Load{Dir: filepath.Join(dir, "steady"), Miners: miners, Predictions: ingestSteady * ingestSteadyRuns, Rate: ingestSteady}.Run(ctx)
	if err != nil {
		return nil, err
	}
	told, err := localnet.Broadcast(ctx, filepath.Join(dir, "told"), broadcastMiners, broadcastUpdates)
	if err != nil {
		return nil, err
	}
	of := func(name string, n int, d time.Duration) bench.Result {
		return bench.Result{Name: name, N: n, NsPerOp: float64(d.Nanoseconds()), PerSecond: float64(time.Second) / float64(max(d, 1))}
	}
	memory := bench.Result{Name: "idle connection, heap and stacks of both ends", N: told.Miners, BytesPerOp: float64(told.PerConnection)}
	return []bench.Result{
		of(fmt.Sprintf("confirmed predictions, %d miners, as fast as they go", miners), fast.Confirmed, fast.Took/time.Duration(fast.Confirmed)),
		of("  processor time of one, miner's end included", fast.Confirmed, fast.Processor),
		of(fmt.Sprintf("confirmation at %d a second, mean", ingestSteady), steady.Confirmed, steady.Mean),
		of("  99 of 100 within", steady.Confirmed, steady.P99),
		of(fmt.Sprintf("update of %d bytes in the hands of %d miners, median", told.Bytes, told.Miners), told.Updates, told.P50),
		of("  longest", told.Updates, told.Longest),
		memory,
	}, nil
}

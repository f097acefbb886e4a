package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"bettensor/node/chain"
	"bettensor/node/live"
	"bettensor/store"
)

// holdEvery is how often a command looks whether another with the same hotkey has
// ended.
const holdEvery = 100 * time.Millisecond

func journalFlag() cli.Flag {
	return &cli.PathFlag{Name: "journal", Usage: "`DIR` where extrinsics whose outcome is not known are kept for the next command (default ~/.bettensor/NETWORK/extrinsics)", EnvVars: []string{"BETTENSOR_JOURNAL"}}
}

// journalDir is where commands on a network write down what they send.
func journalDir(c *cli.Context, network string) (string, error) {
	dir := c.Path("journal")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", &ExitError{Code: File, Err: fmt.Errorf("no home directory to keep a journal of extrinsics in, give --journal DIR: %w", err)}
		}
		dir = filepath.Join(home, ".bettensor", network, "extrinsics")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", &ExitError{Code: File, Err: fmt.Errorf("--journal: %w", err)}
	}
	return dir, nil
}

// holdJournal takes hold of a hotkey's journal. Two commands at once would sign
// with one nonce, so that the second waits, as long as it may take in all.
func holdJournal(ctx context.Context, dir string, hotkey chain.Hotkey) (*live.Hold, error) {
	look := time.NewTicker(holdEvery)
	defer look.Stop()
	for {
		hold, err := live.Take(filepath.Join(dir, string(hotkey)))
		if err == nil {
			return hold, nil
		}
		if !errors.Is(err, store.ErrLocked) {
			return nil, &ExitError{Code: File, Err: fmt.Errorf("journal of extrinsics, --journal: %w", err)}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("another command signs with %s: %w: %w", hotkey, err, ctx.Err())
		}
	}
}

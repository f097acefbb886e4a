package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"bettensor/node/chain"
	"bettensor/sched"
)

const (
	// maxClockFile bounds a clock file, which has five numbers.
	maxClockFile = 4 << 10
	// maxSpeed of a local network.
	maxSpeed = 120
	// clockBlocks by which the file's clock may differ from what the chain's newest
	// block says.
	clockBlocks = 3
)

// ClockFile is how a local network tells its clock, in JSON: the node's time is
// node origin + speed × (wall − wall origin).
type ClockFile struct {
	Version    int     `json:"version"`
	Genesis    string  `json:"genesis"`
	WallOrigin int64   `json:"wall_origin_unix_ns"`
	NodeOrigin int64   `json:"node_origin_unix_ns"`
	Speed      float64 `json:"speed"`
}

func readClock(path string) (ClockFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return ClockFile{}, err
	}
	defer f.Close() // only read
	b, err := io.ReadAll(io.LimitReader(f, maxClockFile))
	if err != nil {
		return ClockFile{}, err
	}
	c, err := parseClock(b)
	if err != nil {
		return c, fmt.Errorf("clock.file: %s: %w", path, err)
	}
	return c, nil
}

func parseClock(b []byte) (c ClockFile, err error) {
	if err := json.Unmarshal(b, &c); err != nil {
		return c, err
	}
	switch {
	case c.Version != 1:
		return c, fmt.Errorf("expected version 1, got %d", c.Version)
	case c.Genesis == "":
		return c, fmt.Errorf("expected a genesis hash")
	case !(c.Speed >= 1 && c.Speed <= maxSpeed):
		return c, fmt.Errorf("expected a speed from 1 to %d, got %v", maxSpeed, c.Speed)
	case c.WallOrigin <= 0 || c.NodeOrigin <= 0:
		return c, fmt.Errorf("expected both origins, after 1970")
	}
	return c, nil
}

func (c *ClockFile) clock() sched.NodeClock {
	return sched.NodeClock{Wall: time.Unix(0, c.WallOrigin).UTC(), Node: time.Unix(0, c.NodeOrigin).UTC(), Speed: c.Speed}
}

// fits says whether the clock is that of the chain we are connected to.
func (c *ClockFile) fits(ctx context.Context, l *link, now func() time.Time) error {
	if g := l.genesis(); c.Genesis != g {
		return fmt.Errorf("the clock of another network: its genesis is %s, the chain's %s", shown(c.Genesis), g)
	}
	asked := now()
	at, err := l.clock(ctx)
	if err != nil {
		return fmt.Errorf("the chain's time: %w", err)
	}
	// The answer takes its time, and of the node's clock that may be many times as much.
	if off := max(asked.Sub(at), at.Sub(now())); off > clockBlocks*chain.BlockTime {
		return fmt.Errorf("it differs from the chain's newest block by %v, more than %d blocks", off.Round(time.Millisecond), clockBlocks)
	}
	return nil
}

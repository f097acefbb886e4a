package web

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Pace of what the supervisor is told.
const (
	// notifyEvery is how often, unless the watchdog wants it oftener.
	notifyEvery = 5 * time.Second
	// extendBy is how much more time to start is asked for at a time.
	extendBy = 30 * time.Second
	// maxLoading is how long a node may load without a loop that turns: a store of
	// a few gigabytes on a slow disk. Then systemd's own limit ends it.
	maxLoading = 15 * time.Minute
)

// Notifier tells systemd how the node is: READY=1 once nothing stands against
// it, WATCHDOG=1 only where the loop made progress since it was last said, a
// line of STATUS, more time to start while the node loads or its loop turns and
// waits for the world, STOPPING=1 at the end. Outside systemd, where
// NOTIFY_SOCKET is not set, it does nothing.
type Notifier struct {
	src   Source
	log   *slog.Logger
	every time.Duration
	began time.Time

	at     time.Time // of the loop's progress when it was last told
	ready  bool
	status string
	failed bool // the last line was not taken
}

// NewNotifier makes a notifier. Until the source's loop turns its Progress is
// zero; Ready and Snapshot are called from the beginning.
func NewNotifier(src Source, log *slog.Logger) *Notifier {
	n := &Notifier{src: src, log: log, every: notifyEvery, began: time.Now()}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if d, err := daemon.SdWatchdogEnabled(false); err == nil && d > 0 {
		n.every = min(n.every, d/3) // it may be late once
	}
	return n
}

// Run tells until ctx ends, which is the node's end. Start it before the node
// loads.
func (n *Notifier) Run(ctx context.Context) {
	if on, err := daemon.SdNotify(false, "STATUS=starting"); !on && err == nil {
		return // nobody listens
	}
	tick := time.NewTicker(n.every)
	defer tick.Stop()
	for {
		n.tell(n.lines(ctx, time.Now()))
		select {
		case <-tick.C:
		case <-ctx.Done():
			n.tell([]string{daemon.SdNotifyStopping, "STATUS=stopping"})
			return
		}
	}
}

// lines are what is to be told now.
func (n *Notifier) lines(ctx context.Context, now time.Time) []string {
	var out []string
	at := n.src.Progress()
	moved := at.After(n.at)
	n.at = at
	against := n.src.Ready()
	if !n.ready && len(against) == 0 && !at.IsZero() {
		n.ready = true
		out = append(out, daemon.SdNotifyReady)
	}
	switch {
	case n.ready && moved:
		out = append(out, daemon.SdNotifyWatchdog)
	case !n.ready && (moved || at.IsZero() && now.Sub(n.began) < maxLoading):
		// A node that waits for the chain or for its registration is in order: to
		// start it again would not help.
		out = append(out, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", extendBy.Microseconds()))
	}
	if status := n.line(ctx, against); status != n.status {
		n.status = status
		out = append(out, "STATUS="+status)
	}
	return out
}

// line is the STATUS: one line for people.
func (n *Notifier) line(ctx context.Context, against []Reason) string {
	var words []string
	if len(against) > 0 {
		words = append(words, fmt.Sprintf("not ready: %s, %s", against[0].Code, against[0].Why))
	}
	ctx, cancel := context.WithTimeout(ctx, min(snapshotTimeout, n.every/2))
	defer cancel()
	if !n.at.IsZero() {
		if s, err := n.src.Snapshot(ctx); err == nil {
			s.withAlarms(nil)
			words = append(words, s.line()...)
		} else {
			words = append(words, "the loop does not answer")
		}
	}
	return strings.ReplaceAll(strings.Join(words, "; "), "\n", " ")
}

// line is the figures in a few words.
func (s *Snapshot) line() (words []string) {
	if c := s.Chain; c != nil && c.Head > 0 {
		words = append(words, fmt.Sprintf("block %d", c.Head))
	}
	if w := s.weights(); w != nil {
		words = append(words, fmt.Sprintf("epoch %d", w.Epoch))
		switch {
		case w.Shadow:
			words = append(words, "shadow, weights are not set")
		case w.Update == 0:
			words = append(words, "no weights set")
		default:
			words = append(words, fmt.Sprintf("weights of block %d", w.Update))
		}
	}
	if n := len(s.Alarms); n > 0 {
		words = append(words, fmt.Sprintf("alarm %s", s.Alarms[0].Code))
	}
	return words
}

func (n *Notifier) tell(lines []string) {
	if len(lines) == 0 {
		return
	}
	_, err := daemon.SdNotify(false, strings.Join(lines, "\n"))
	if err != nil && !n.failed {
		n.log.Warn("systemd was not told", "err", err)
	}
	n.failed = err != nil
}

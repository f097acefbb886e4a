package web

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// supervisor is a notify socket, as systemd has it.
type supervisor struct {
	t    *testing.T
	conn *net.UnixConn
	seen []string // lines, the same one in a row once
}

func newSupervisor(t *testing.T) *supervisor {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return &supervisor{t: t, conn: conn}
}

// hears waits until a line has come that begins as wanted.
func (s *supervisor) hears(want string) {
	s.t.Helper()
	s.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 4096)
	for !s.heard(want) {
		n, err := s.conn.Read(buf)
		if err != nil {
			s.t.Fatalf("waited in vain for %q: %v; heard %q", want, err, s.seen)
		}
		s.seen = slices.Compact(append(s.seen, strings.Split(string(buf[:n]), "\n")...))
	}
}

func (s *supervisor) heard(want string) bool {
	return slices.ContainsFunc(s.seen, func(l string) bool { return strings.HasPrefix(l, want) })
}

func TestSystemdIsTold(t *testing.T) {
	s := newSupervisor(t)
	f := &fake{snap: whole(), against: []Reason{{ReasonLoading, "the store is read"}}}
	n := NewNotifier(f.source(), nil)
	n.every = 2 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); n.Run(ctx) }()

	s.hears("EXTEND_TIMEOUT_USEC=30000000")
	s.hears("STATUS=not ready: loading, the store is read")
	if s.heard("READY=1") || s.heard("WATCHDOG=1") {
		t.Errorf("ready while loading: %q", s.seen)
	}

	// The loop turns, but nothing stands against it only once the chain is there.
	f.set(func(f *fake) { f.at, f.against = time.Now(), []Reason{{"chain_head_fresh", "no block\nyet"}} })
	s.hears("STATUS=not ready: chain_head_fresh, no block yet; block 5000; epoch 13; weights of block 4900; alarm no_permit")
	if s.heard("READY=1") || s.heard("WATCHDOG=1") {
		t.Errorf("ready without a chain: %q", s.seen)
	}
	f.set(func(f *fake) { f.at, f.against = f.at.Add(1), nil })
	s.hears("READY=1")
	s.hears("WATCHDOG=1")

	cancel()
	s.hears("STOPPING=1")
	<-ended
}

// TestWatchdogIsFedByProgressAlone: a loop that stands is not alive, however
// often it is asked, and one that went on is told of once.
func TestWatchdogIsFedByProgressAlone(t *testing.T) {
	f := running()
	n := NewNotifier(f.source(), nil)
	has := func(line string) bool { return slices.Contains(n.lines(t.Context(), time.Now()), line) }
	if first := n.lines(t.Context(), time.Now()); first[0] != "READY=1" || first[1] != "WATCHDOG=1" {
		t.Fatalf("first %q", first)
	}
	for range 3 {
		if has("WATCHDOG=1") {
			t.Fatal("fed without progress")
		}
	}
	f.at = f.at.Add(1)
	if !has("WATCHDOG=1") || has("WATCHDOG=1") {
		t.Fatal("one step is worth one line")
	}
	f.against, f.at = []Reason{{"chain_head_fresh", "gone"}}, f.at.Add(1)
	if !has("WATCHDOG=1") {
		t.Fatal("a node that is not ready is not dead")
	}
	f.against, f.at = nil, f.at.Add(1)
	if has("READY=1") {
		t.Fatal("READY=1 is said once")
	}
}

func TestLoadingHasALimit(t *testing.T) {
	f := &fake{against: []Reason{{ReasonLoading, "x"}}}
	n := NewNotifier(f.source(), nil)
	extends := func(after time.Duration) bool {
		return slices.ContainsFunc(n.lines(t.Context(), n.began.Add(after)), func(l string) bool { return strings.HasPrefix(l, "EXTEND_TIMEOUT_USEC") })
	}
	if !extends(time.Minute) || extends(maxLoading) {
		t.Error("loading is waited for, and not for ever")
	}
	// A loop that turns and waits for the world may wait.
	f.at = time.Now()
	if !extends(2 * maxLoading) {
		t.Error("not extended though the loop goes on")
	}
	if extends(2 * maxLoading) {
		t.Error("extended though the loop stands")
	}
}

func TestNothingIsToldOutsideSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	NewNotifier((&fake{}).source(), nil).Run(t.Context()) // returns at once, with a context that goes on
}

func TestASocketThatIsGoneStopsNothing(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	f := running()
	n := NewNotifier(f.source(), nil)
	n.every = time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	n.Run(ctx)
	if !n.failed {
		t.Error("the failure went unnoticed")
	}
}

func TestWatchdogSetsThePace(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "600000")
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	if n := NewNotifier((&fake{}).source(), nil); n.every != 200*time.Millisecond {
		t.Errorf("every %v for a watchdog of 600 ms", n.every)
	}
	t.Setenv("WATCHDOG_USEC", "600000000")
	if n := NewNotifier((&fake{}).source(), nil); n.every != notifyEvery {
		t.Errorf("every %v for a watchdog of ten minutes", n.every)
	}
}

package cli

import (
	"context"
	"encoding/json"
	"flag"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bettensor/node"
	"bettensor/node/web"

	"github.com/urfave/cli/v2"
)

// statusOf runs `bettensor status` with arguments.
func statusOf(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	app := &cli.App{Name: "bettensor", Writer: &out, ErrWriter: &out, Commands: []*cli.Command{Status()}}
	Prepare(app, nil)
	code = Exit(app.RunContext(t.Context(), append([]string{"bettensor", "status"}, args...)), &errs)
	return code, out.String(), errs.String()
}

// watched serves a made-up node, ready once ready is set.
func watched(t *testing.T, role string, ready *atomic.Bool) *web.Server {
	t.Helper()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	uid := uint16(7)
	snap := web.Snapshot{Version: "v1", Role: role, Network: "finney", Netuid: 30, Hotkey: "5Fhot", UID: &uid, Started: at.Add(-time.Hour), At: at,
		Chain: &web.Chain{Endpoint: "wss://a", Up: true, Head: 5000, HeadAt: at.Add(-4 * time.Second), Finalized: 4997},
		Store: &web.Store{Dir: "/x", Free: 3 << 30},
		Feeds: []web.Feed{{Name: "files", Good: at.Add(-time.Minute)}},
		Node: &node.Stats{
			Services: []node.ServiceStats{
				{Name: "games", State: "degraded", Reason: "evil \x1b[2Jfeed", Counts: node.Counts{{Name: "known", Value: 60}, {Name: "unsettled_older", Value: 2}}},
				{Name: "weights", State: "ok", Weights: &node.WeightsReport{Epoch: 13, Update: 4900, Since: 100, RevealAt: 5100}},
				{Name: "communication", State: "ok", Counts: node.Counts{{Name: "sessions", Value: 39}, {Name: "connections", Value: 40}, {Name: "validators", Value: 3}, {Name: "submitted", Value: 11}}},
				{Name: "predictions", State: "ok", Counts: node.Counts{{Name: "held", Value: 100}, {Name: "stored", Value: 90}, {Name: "duplicates", Value: 3}, {Name: "rejected_late", Value: 6}, {Name: "rejected_budget", Value: 1}}},
			},
			Alarms: []node.Alarm{{Code: node.AlarmNoPermit, Since: at.Add(-time.Hour), Why: "stake 3"}}},
		Falls: 2, LastFall: "fsync failed", Recording: &web.Recording{Dir: "/rec/000001", Bytes: 5 << 20, Error: "no space"}}
	s, err := web.New(web.Options{}, web.Source{
		Snapshot: func(context.Context) (web.Snapshot, error) { return snap, nil },
		Ready: func() []web.Reason {
			if ready.Load() {
				return nil
			}
			return []web.Reason{{Code: "chain_head_fresh", Why: "no block yet"}}
		},
		Progress: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func yes() *atomic.Bool {
	var b atomic.Bool
	b.Store(true)
	return &b
}

func TestStatusTellsPeople(t *testing.T) {
	for role, wanted := range map[string][]string{
		"validator": {"validator    finney, subnet 30, UID 7, 5Fhot", "ready        yes", "ALARM        no_permit, raised 1h0m0s ago: stake 3", "docs/runbook.md#no_permit",
			"block 5000, 4s ago; finalised 4997; wss://a answers", "epoch 13; last update in block 4900, 100 blocks ago", "revealed at block 5100",
			"39, of 40 connections", "100 held, 90 stored, 3 duplicates, 7 rejected", "60 known, 2 begun and without a result", "files answered 1m0s ago",
			"games is degraded: evil ?[2Jfeed", "3072 MiB free",
			"falls        built again 2 times, last: fsync failed", "recording    ENDED EARLY at 5 MiB in /rec/000001: no space"},
		"miner": {"39 in session of 3", "100 held, 11 submitted, 0 confirmed"},
	} {
		s := watched(t, role, yes())
		code, out, errs := statusOf(t, "--http.listen", s.Addr().String())
		if code != 0 || errs != "" {
			t.Errorf("%s: exit %d, %s", role, code, errs)
		}
		for _, w := range wanted {
			if !strings.Contains(out, w) {
				t.Errorf("%s: no %q in\n%s", role, w, out)
			}
		}
		if strings.Contains(out, "\x1b") {
			t.Errorf("%s: the terminal obeys a peer", role)
		}
	}
}

func TestStatusTellsPrograms(t *testing.T) {
	var ready atomic.Bool
	s := watched(t, "validator", &ready)
	code, out, _ := statusOf(t, "--json", "--http.listen", s.Addr().String())
	var got struct {
		Address string
		Ready   web.Health
		Stats   web.Snapshot
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 {
		t.Fatalf("exit %d, %v", code, err)
	}
	if got.Address != s.Addr().String() || got.Ready.OK || got.Ready.Reasons[0].Code != "chain_head_fresh" || got.Stats.Chain.Head != 5000 || len(got.Stats.Alarms) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestStatusWaits(t *testing.T) {
	var ready atomic.Bool
	s := watched(t, "validator", &ready)
	address := s.Addr().String()
	code, _, errs := statusOf(t, "--http.listen", address, "--wait", "ready", "--timeout", "300ms")
	if code != int(Deadline) || !strings.Contains(errs, "not ready after 300ms: chain_head_fresh (no block yet)") {
		t.Errorf("never ready: exit %d, %s", code, errs)
	}
	done := make(chan int)
	go func() {
		code, _, _ := statusOf(t, "--http.listen", address, "--wait", "ready", "--timeout", "20s")
		done <- code
	}()
	ready.Store(true)
	if code := <-done; code != 0 {
		t.Errorf("ready at last: exit %d", code)
	}
}

// nobody is an address at which nobody listens.
func nobody(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestStatusOfNobody(t *testing.T) {
	for _, args := range [][]string{nil, {"--wait", "ready", "--timeout", "250ms"}} {
		code, _, errs := statusOf(t, append([]string{"--http.listen", nobody(t)}, args...)...)
		if code != int(Network) || !strings.Contains(errs, "nobody listens") || !strings.Contains(errs, "try: ") {
			t.Errorf("%v: exit %d, %s", args, code, errs)
		}
	}
}

func TestStatusFindsTheNode(t *testing.T) {
	s := watched(t, "validator", yes())
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("STATE_DIRECTORY", "")
	put := func(dir string, p web.Ports) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := web.WritePorts(dir, p); err != nil {
			t.Fatal(err)
		}
	}
	here := web.Ports{Role: "validator", Hotkey: "5Fhot", HTTP: s.Addr().String()}

	put(filepath.Join(home, "other"+runSuffix), here)
	if code, _, errs := statusOf(t, "--store.dir", filepath.Join(home, "other")); code != 0 {
		t.Errorf("by its store: exit %d, %s", code, errs)
	}
	if code, _, errs := statusOf(t, "--store.dir", filepath.Join(home, "none")); code != int(Network) || !strings.Contains(errs, "no running node has the store") {
		t.Errorf("by another store: exit %d, %s", code, errs)
	}
	put(filepath.Join(home, ".bettensor", "finney", "30", "validator-5Fhot"), here)
	if code, out, errs := statusOf(t); code != 0 || !strings.Contains(out, "5Fhot") {
		t.Errorf("the only one: exit %d, %s", code, errs)
	}
	if code, _, errs := statusOf(t, "--store.dir", filepath.Join(home, ".bettensor", "finney", "30", "validator-5Fhot", "store")); code != 0 {
		t.Errorf("by its store in the default place: exit %d, %s", code, errs)
	}
	if code, _, errs := statusOf(t, "--http.listen", "http://"+here.HTTP+"/"); code != 0 {
		t.Errorf("by its address as a page: exit %d, %s", code, errs)
	}
	put(filepath.Join(home, ".bettensor", "finney", "30", "miner-5Gother"), web.Ports{Role: "miner", Hotkey: "5Gother", HTTP: nobody(t)})
	for want, name := range map[string]role{"5Fhot": forValidator, "5Gother": forMiner} { // each is judged alone: order cannot matter
		if p, err := findNode(cli.NewContext(cli.NewApp(), flag.NewFlagSet("", flag.ContinueOnError), nil), name); err != nil || p.Hotkey != want {
			t.Errorf("the only %s: %+v, %v", name, p, err)
		}
	}
	if code, _, errs := statusOf(t); code != int(Usage) || !strings.Contains(errs, "miner 5Gother: --http.listen") || !strings.Contains(errs, "validator 5Fhot") {
		t.Errorf("one of two: exit %d, %s", code, errs)
	}
}

func TestStatusUsage(t *testing.T) {
	for want, args := range map[string][]string{
		`--wait ready`:         {"--wait", "set"},
		`--timeout must be`:    {"--wait", "ready", "--timeout", "0s"},
		`unexpected argument`:  {"miner"},
		`did you mean --wait?`: {"--wiat", "ready"},
	} {
		if code, _, errs := statusOf(t, args...); code != int(Usage) || !strings.Contains(errs, want) {
			t.Errorf("%v: exit %d, %s", args, code, errs)
		}
	}
}

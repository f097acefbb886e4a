package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"bettensor/node"
	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/feed"
	"bettensor/node/ledger"
	"bettensor/node/model"
	"bettensor/node/wire"
	"bettensor/node/wire/sock"
	"bettensor/sched"
	"bettensor/sim/mockchain"
	"bettensor/store"
)

// liveNode is one node on real sockets, a real directory and the system's clock.
type liveNode struct {
	live      *sched.Live
	transport *sock.Transport
	engine    *store.Pebble
	committer store.Committer
	rec       *sched.Recorder
	recording bytes.Buffer
	validator *node.Validator
	miner     *node.Miner
}

// liveChain is the mock chain in real time, behind a lock instead of a loop.
type liveChain struct {
	mu sync.Mutex
	c  *mockchain.Chain
	wg sync.WaitGroup
}

func (l *liveChain) backend() sched.Backend[chain.Request, chain.Reply] {
	return func(q chain.Request, reply func(sched.Result[chain.Reply])) {
		l.wg.Go(func() {
			l.mu.Lock()
			r := l.c.Submit(time.Now(), q)
			l.mu.Unlock()
			reply(sched.Result[chain.Reply]{Res: r})
		})
	}
}

// liveGame is played within the second after it is predicted on.
type liveGame struct{ start time.Time }

func (g liveGame) backend(wg *sync.WaitGroup) sched.Backend[feed.Request, feed.Batch] {
	return func(q feed.Request, reply func(sched.Result[feed.Batch])) {
		wg.Go(func() {
			now := time.Now()
			x := bet.Game{ID: "100000", Sport: "Soccer", League: "Test", TeamA: "Reds", TeamB: "Blues", CanTie: true, Active: true,
				Created: g.start.Add(-time.Hour), Updated: g.start.Add(-time.Hour), Start: g.start, Odds: bet.Odds{1.9, 4.2, 3.6},
				OddsAt: g.start.Add(-time.Hour), Outcome: bet.Unfinished}
			if result := g.start.Add(300 * time.Millisecond); now.After(result) {
				x.Updated, x.Status, x.Outcome, x.ResultAt, x.Active = result, bet.Finished, bet.Home, result, false
			}
			reply(sched.Result[feed.Batch]{Res: feed.Batch{Games: []bet.Game{x}, At: now}})
		})
	}
}

// backupTo copies a store off the loop.
func backupTo(to *store.Backups, from *store.Pebble, wg *sync.WaitGroup) sched.Backend[node.BackupRequest, node.BackupReply] {
	return func(_ node.BackupRequest, reply func(sched.Result[node.BackupReply])) {
		wg.Go(func() {
			dir, err := to.Take(from)
			if err != nil {
				reply(sched.Failed[node.BackupReply](err))
				return
			}
			reply(sched.Result[node.BackupReply]{Res: node.BackupReply{Name: filepath.Base(dir)}})
		})
	}
}

func liveSeed(name string) (b [32]byte) {
	copy(b[:], name)
	return b
}

// signerFor signs with randomness from the loop's own stream, so that a replay
// signs with the same bytes.
func signerFor(t *testing.T, l *sched.Loop, name string) wire.Signer {
	s, err := wire.NewSr25519(liveSeed(name), wire.Random{Rand: l.Stream("sign")})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func realOpener() *wire.Opener { return &wire.Opener{Verifier: &wire.Sr25519Verifier{}} }

func validatorConfig(hotkey chain.Hotkey, axon chain.Axon) node.ValidatorConfig {
	return node.ValidatorConfig{Hotkey: hotkey, Axon: axon, FeedInterval: 100 * time.Millisecond, ScoringInterval: 200 * time.Millisecond,
		SettleDelay: 20 * time.Millisecond, MetagraphInterval: 100 * time.Millisecond, BlockTime: 50 * time.Millisecond, StatusInterval: time.Hour,
		BackupInterval: 300 * time.Millisecond, PollInterval: 200 * time.Millisecond}
}

// minerConfig is of a miner that dials, or where it has an axon of one that is polled.
func minerConfig(hotkey chain.Hotkey, axon chain.Axon) node.MinerConfig {
	return node.MinerConfig{Hotkey: hotkey, Axon: axon, PollOnly: axon.Port != 0, MetagraphInterval: 100 * time.Millisecond, ThinkDelay: 10 * time.Millisecond,
		Heartbeat: 300 * time.Millisecond, StatusInterval: time.Hour}
}

// TestGateLiveRunReplays is gate 4: the same two types run over real loopback
// sockets, WebSocket and HTTP, and a real directory, and that run's recording
// replays to the same hash.
func TestGateLiveRunReplays(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	names := []string{"v0", "m0", "m1"}
	picks := map[string]model.Model{"m0": once{bet.Home, 100_00}, "m1": once{bet.Away, 50_00}}
	hotkeys := map[string]chain.Hotkey{}
	for _, n := range names {
		s, err := wire.NewSr25519(liveSeed(n), wire.Random{Rand: sched.NewStream(1)})
		if err != nil {
			t.Fatal(err)
		}
		hotkeys[n] = s.Hotkey()
	}
	cc := mockchain.Defaults(30, time.Now())
	cc.BlockTime, cc.Params.WeightsRateLimit, cc.FinalityLag, cc.AllowLoopback = 50*time.Millisecond, 3, 0, true
	cc.Neurons = []mockchain.Neuron{{Hotkey: hotkeys["v0"], Stake: 10_000e9}, {Hotkey: hotkeys["m0"]}, {Hotkey: hotkeys["m1"]}}
	ch := &liveChain{c: mockchain.New(cc)}
	game := liveGame{start: time.Now().Add(2 * time.Second)}

	nodes := map[string]*liveNode{}
	dirs := map[string]string{}
	axons := map[string]chain.Axon{}
	for i, name := range names {
		n := &liveNode{}
		nodes[name] = n
		dirs[name] = filepath.Join(t.TempDir(), name)
		n.rec = sched.NewRecorder(&n.recording)
		n.live = sched.NewLive(sched.LiveOptions{Name: name, Seed: uint64(i) + 7, Recorder: n.rec})
		n.transport = sock.New(sock.Config{}, realOpener, func(e wire.Event) bool {
			if n.validator != nil {
				return n.validator.Offer(e)
			}
			return n.miner.Offer(e)
		})
		var err error
		if n.engine, err = store.OpenPebble(store.Options{Dir: dirs[name], Schema: ledger.Schema()}); err != nil {
			t.Fatal(err)
		}
		snap, err := n.engine.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		copies := &store.Backups{Root: dirs[name] + "-backups", Keep: 2}
		ports := node.Ports{Chain: ch.backend(), Feed: game.backend(&ch.wg), Backup: backupTo(copies, n.engine, &ch.wg), Net: n.transport, Signer: signerFor(t, n.live.Loop(), name),
			Down: func(err error) { t.Errorf("%s went down: %v", name, err) },
			Store: node.Storage{Snapshot: snap, At: n.engine.Durable(), Committer: func(report func(store.Event)) store.Committer {
				n.committer = store.NewGroupCommitter(n.engine, report, store.Limits{})
				return n.committer
			}}}
		if name != "m0" { // which dials the validator, while m1 is polled by it
			if err := n.transport.Listen("127.0.0.1:0"); err != nil {
				t.Fatal(err)
			}
			var port int
			fmt.Sscanf(n.transport.Addr().String(), "127.0.0.1:%d", &port)
			axons[name] = chain.Axon{IP: "127.0.0.1", Port: uint16(port)}
		}
		if name == "v0" {
			n.validator, err = node.NewValidator(n.live.Loop(), validatorConfig(hotkeys[name], axons[name]), ports, realOpener)
		} else {
			n.miner, err = node.NewMiner(n.live.Loop(), minerConfig(hotkeys[name], axons[name]), ports, picks[name], realOpener)
		}
		if err != nil {
			t.Fatal(err)
		}
		snap.Close()
	}
	for _, name := range names {
		n := nodes[name]
		if n.validator != nil {
			n.validator.Start()
		} else {
			n.miner.Start()
		}
		n.live.Start()
	}
	winner := func() bool {
		ch.mu.Lock()
		defer ch.mu.Unlock()
		ch.c.Advance(time.Now())
		w, _ := ch.c.Weights(0)
		return len(w.UIDs) == 2 && w.UIDs[0] == 1 && w.Values[0] == 65535 && w.Values[1] < 100
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !winner() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("no weights for the winner within a minute")
		}
	}
	hashes, events := map[string]uint64{}, map[string]uint64{}
	for _, name := range names { // sockets first, then loops, then what they wrote to
		n := nodes[name]
		if err := n.transport.Stop(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		n := nodes[name]
		if err := n.live.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		hashes[name], events[name] = n.live.Loop().Hash(), n.live.Loop().Events()
		if err := errors.Join(n.committer.Close(), n.engine.Close(), n.rec.Close()); err != nil {
			t.Fatal(err)
		}
	}
	ch.wg.Wait()

	// The validator has backed its store up by itself, and a copy opens.
	copies, err := (&store.Backups{Root: dirs["v0"] + "-backups", Keep: 2}).List()
	if err != nil || len(copies) == 0 || len(copies) > 2 {
		t.Fatalf("backups %q, %v: want one or two", copies, err)
	}
	b, err := store.OpenPebble(store.Options{Dir: copies[len(copies)-1], Schema: ledger.Schema()})
	if err != nil {
		t.Fatalf("open a backup: %v", err)
	}
	if b.Durable() == 0 {
		t.Error("the backup is empty")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	// What is on disk is what a simulated run of the same story ends in.
	e, err := store.OpenPebble(store.Options{Dir: dirs["v0"], Schema: ledger.Schema()})
	if err != nil {
		t.Fatal(err)
	}
	snap, err := e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	found, err := ledger.LoadValidator(snap)
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Predictions) != 2 {
		t.Errorf("%d predictions on disk, want 2", len(found.Predictions))
	}
	for i := range found.Predictions {
		p := &found.Predictions[i]
		want := bet.Lost
		if p.Hotkey == hotkeys["m0"] {
			want = bet.Won
		}
		if p.State != want {
			t.Errorf("prediction of %s is %s, want %s", p.Hotkey, p.State, want)
		}
	}
	if err := errors.Join(snap.Close(), e.Close()); err != nil {
		t.Fatal(err)
	}

	for _, name := range names {
		if events[name] < 20 {
			t.Errorf("%s: only %d events were recorded", name, events[name])
		}
		if got := replayed(t, name, nodes[name].recording.Bytes(), hotkeys[name], axons[name], picks[name]); got != hashes[name] {
			t.Errorf("%s: replay ends in hash %016x, the live run in %016x", name, got, hashes[name])
		}
	}
}

// replayed turns a recording with nothing behind the ports: all that came
// through them is in it.
func replayed(t *testing.T, name string, recording []byte, hotkey chain.Hotkey, axon chain.Axon, m model.Model) uint64 {
	t.Helper()
	r, err := sched.NewReplay(bytes.NewReader(recording))
	if err != nil {
		t.Fatal(err)
	}
	empty, err := store.OpenMem(&store.MemDisk{}, ledger.Schema())
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	snap, err := empty.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	ports := node.Ports{Chain: func(chain.Request, func(sched.Result[chain.Reply])) {}, Feed: func(feed.Request, func(sched.Result[feed.Batch])) {},
		Backup: func(node.BackupRequest, func(sched.Result[node.BackupReply])) {}, Net: nowhere{}, Signer: signerFor(t, r.Loop(), name),
		Store: node.Storage{Snapshot: snap, Committer: func(func(store.Event)) store.Committer { return noDisk{} }}}
	if m == nil {
		v, err := node.NewValidator(r.Loop(), validatorConfig(hotkey, axon), ports, realOpener)
		if err != nil {
			t.Fatal(err)
		}
		v.Start()
	} else {
		n, err := node.NewMiner(r.Loop(), minerConfig(hotkey, axon), ports, m, realOpener)
		if err != nil {
			t.Fatal(err)
		}
		n.Start()
	}
	if err := r.Run(); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return r.Loop().Hash()
}

// nowhere is a network that leads nowhere, noDisk a disk that never answers.
type (
	nowhere struct{}
	noDisk  struct{}
)

func (nowhere) Dial(wire.Conn, string)        {}
func (nowhere) Send(wire.Conn, []byte)        {}
func (nowhere) Close(wire.Conn, int, string)  {}
func (noDisk) Submit(store.Seq, *store.Batch) {}
func (noDisk) Close() error                   { return nil }

package localnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"bettensor/node"
	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/feed"
	"bettensor/node/live"
	"bettensor/node/wire"
	"bettensor/node/wire/sock"
	"bettensor/sched"

	"github.com/gorilla/websocket"
)

// Load is a load put on one real validator: signatures, sockets and fsync as in
// production, many miners on one machine. The miners' frames are signed before
// the clock starts, since their signing is not the validator's work.
type Load struct {
	// Dir holds the validator's store. It must be on the disk that is meant.
	Dir string
	// Miners, each a connection and a hotkey of its own. Default 50.
	Miners int
	// Predictions of all miners together. Default 60,000: five seconds at the
	// rate this program aims at.
	Predictions int
	// At says when each prediction is due, counted over all miners from 0, after the
	// clock starts. Nil: as many as are confirmed, Window of each miner being under way.
	At func(k int) time.Duration
	// Window bounds the predictions of one miner under way where At is nil.
	// Default 64: with 50 miners the store's group commits are full.
	Window int
}

// LoadResult is what came of a load.
type LoadResult struct {
	Confirmed int           // predictions: signed, verified, durably stored, confirmed
	Took      time.Duration // from the first frame sent to the last confirmation
	// Latencies, the shortest first, are from when a prediction was due to be sent to
	// its confirmation.
	Latencies []time.Duration
	// Processor is what one prediction costs of one core, validator and load
	// generator together.
	Processor time.Duration
}

// loadGame is open as long as any load lasts.
func loadGame(now time.Time) bet.Game {
	return bet.Game{ID: "100000", Sport: "Soccer", League: "Load", TeamA: "Alderton", TeamB: "Birchwick", CanTie: true, Active: true,
		Created: now, Updated: now, Start: now.Add(24 * time.Hour), Odds: bet.Odds{1.9, 4.2, 3.6}, OddsAt: now, Outcome: bet.Unfinished}
}

// loaded is the validator under load and its world.
type loaded struct {
	node    *live.Node
	hotkey  chain.Hotkey
	address string
	keys    []*wire.Sr25519
	games   atomic.Pointer[feed.Batch] // what the next poll is answered with
	polled  atomic.Int64               // instant of the last answer that held games, Unix nanoseconds
}

// startLoaded starts a validator that knows as many miners.
func startLoaded(dir string, miners int, feedEvery time.Duration) (*loaded, error) {
	w := &loaded{}
	now := time.Now()
	meta := &chain.Metagraph{Netuid: 30, Block: 1, At: now, Params: chain.Hyperparameters{Tempo: 99, MaxUIDs: uint16(miners + 1), MaxWeightsLimit: chain.MaxWeight, ActivityCutoff: 5000}}
	seedOf := func(i int) (seed [32]byte) {
		copy(seed[:], fmt.Sprintf("load %d", i))
		return seed
	}
	for i := range miners + 1 {
		// The generator's signatures need not be secret, only real.
		k, err := wire.NewSr25519(seedOf(i), wire.Random{Rand: rand.New(rand.NewPCG(uint64(i), 1))})
		if err != nil {
			return nil, err
		}
		n := chain.Neuron{UID: chain.UID(i), Hotkey: k.Hotkey(), RegisteredAt: 0}
		if i == 0 {
			w.hotkey, n.Permit, n.Stake = k.Hotkey(), true, 10_000e9
		} else {
			w.keys = append(w.keys, k)
		}
		meta.Neurons = append(meta.Neurons, n)
	}
	w.games.Store(&feed.Batch{Games: []bet.Game{loadGame(now)}, At: now})
	var err error
	w.node, err = live.StartValidator(live.Options{
		Store:  dir,
		Signer: func(random io.Reader) (wire.Signer, error) { return wire.NewSr25519(seedOf(0), random) },
		Chain: func(q chain.Request, reply func(sched.Result[chain.Reply])) {
			r := chain.Reply{Head: 1, HeadAt: now}
			if q.Op == chain.OpSync {
				r.Metagraph = meta
			} else {
				r.Code = chain.CallDisabled
			}
			go reply(sched.Result[chain.Reply]{Res: r})
		},
		Feed: func(_ feed.Request, reply func(sched.Result[feed.Batch])) {
			b := feed.Batch{At: time.Now()}
			if next := w.games.Swap(nil); next != nil {
				b = *next
				w.polled.Store(time.Now().UnixNano())
			}
			go reply(sched.Result[feed.Batch]{Res: b})
		},
		Sock:   sock.Config{MaxInbound: miners + 8, MaxLoopback: miners + 8},
		Listen: "127.0.0.1:0",
	}, node.ValidatorConfig{Hotkey: w.hotkey, MaxSessions: miners + 8, FeedInterval: feedEvery,
		// The limits of one session are not what is measured.
		MessageRate: 1 << 20, MessageBurst: 1 << 20, ScoringInterval: 24 * time.Hour})
	if err != nil {
		return nil, err
	}
	w.address = "ws://" + w.node.Addr().String() + sock.Path
	return w, nil
}

func (w *loaded) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	return w.node.Stop(ctx)
}

// ready waits until the validator knows its subnet and the game.
func (w *loaded) ready(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		known := false
		err := w.node.Inspect(ctx, func(v live.View) { known = v.Validator.State.Meta != nil && len(v.Validator.State.Games) > 0 })
		if err != nil || known {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// loadPeer is one miner's end of a connection.
type loadPeer struct {
	ws     *websocket.Conn
	nonces wire.Nonces
}

// join connects and authenticates one miner, and reads up to the games.
func (w *loaded) join(ctx context.Context, i int) (*loadPeer, error) {
	d := websocket.Dialer{ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10, HandshakeTimeout: 10 * time.Second,
		NetDialContext: (&net.Dialer{}).DialContext}
	ws, _, err := d.DialContext(ctx, w.address, nil)
	if err != nil {
		return nil, fmt.Errorf("miner %d: %w", i, err)
	}
	p := &loadPeer{ws: ws}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(5 * time.Minute)
	}
	err = errors.Join(ws.SetReadDeadline(deadline), ws.SetWriteDeadline(deadline))
	now := time.Now()
	err = errors.Join(err, ws.WriteMessage(websocket.TextMessage, wire.AppendAuth(nil, w.keys[i], now, p.nonces.Next(now), w.hotkey)))
	for _, want := range []string{wire.TextWelcome, "game_update"} {
		_, text, readErr := ws.ReadMessage()
		if err = errors.Join(err, readErr); err == nil && !bytes.Contains(text, []byte(want)) {
			err = fmt.Errorf("said %q where %q was expected", text, want)
		}
	}
	if err != nil {
		ws.Close()
		return nil, fmt.Errorf("miner %d: %w", i, err)
	}
	return p, nil
}

// joinAll connects every miner.
func (w *loaded) joinAll(ctx context.Context) (peers []*loadPeer, err error) {
	for i := range w.keys {
		p, err := w.join(ctx, i)
		if err != nil {
			hangUp(peers)
			return nil, err
		}
		peers = append(peers, p)
	}
	return peers, nil
}

func hangUp(peers []*loadPeer) {
	for _, p := range peers {
		p.ws.Close()
	}
}

// sign makes a miner's frames; the ids count up.
func (p *loadPeer) sign(key wire.Signer, n int) [][]byte {
	g := loadGame(time.Now())
	number := func(x float64) bet.Value { return bet.Value{Kind: bet.Number, Number: x} }
	frames := make([][]byte, n)
	for k := range frames {
		now := time.Now()
		frames[k] = wire.AppendPrediction(nil, key, now, p.nonces.Next(now), &bet.Submission{ID: loadID(k), Game: g.ID, MinerUID: "1",
			Date: now.UTC().Format(time.RFC3339), Outcome: number(0), Odds: number(1.9), TeamA: g.TeamA, TeamB: g.TeamB, Wager: number(0.01),
			OddsA: number(g.Odds[bet.Home]), OddsB: number(g.Odds[bet.Away]), OddsTie: number(g.Odds[bet.Tie]), Model: "load"})
	}
	return frames
}

func loadID(k int) bet.PredictionID {
	return bet.PredictionID(fmt.Sprintf("00000000-0000-4000-8000-%012d", k))
}

// Run puts the load on a validator of its own.
func (l Load) Run(ctx context.Context) (LoadResult, error) {
	if l.Miners <= 0 {
		l.Miners = 50
	}
	if l.Predictions <= 0 {
		l.Predictions = 60_000
	}
	if l.Window <= 0 {
		l.Window = 64
	}
	each := (l.Predictions + l.Miners - 1) / l.Miners
	if most := int(bet.DailyBudget); each > most {
		return LoadResult{}, fmt.Errorf("%d predictions of a cent for each miner are over the day's budget: take %d miners", each, (l.Predictions+most-1)/most)
	}
	w, err := startLoaded(l.Dir, l.Miners, time.Hour)
	if err != nil {
		return LoadResult{}, err
	}
	r, err := l.run(ctx, w, each)
	return r, errors.Join(err, w.stop())
}

func (l Load) run(ctx context.Context, w *loaded, each int) (LoadResult, error) {
	if err := w.ready(ctx); err != nil {
		return LoadResult{}, err
	}
	peers, err := w.joinAll(ctx)
	if err != nil {
		return LoadResult{}, err
	}
	defer hangUp(peers)
	frames := make([][][]byte, len(peers))
	var signing sync.WaitGroup
	for core := range runtime.GOMAXPROCS(0) {
		signing.Go(func() {
			for i := core; i < len(peers); i += runtime.GOMAXPROCS(0) {
				frames[i] = peers[i].sign(w.keys[i], each)
			}
		})
	}
	signing.Wait()
	runtime.GC() // what signing left is not the load's
	used := processorTime()
	began := time.Now()
	took := make([][]time.Duration, len(peers))
	errs := make([]error, len(peers))
	var all sync.WaitGroup
	for i, p := range peers {
		var due func(k int) time.Time
		if l.At != nil { // the miners take turns
			due = func(k int) time.Time { return began.Add(l.At(k*len(peers) + i)) }
		}
		all.Go(func() { took[i], errs[i] = p.run(frames[i], l.Window, due) })
	}
	all.Wait()
	r := LoadResult{Took: time.Since(began)}
	used = processorTime() - used
	if err := errors.Join(errs...); err != nil {
		return LoadResult{}, err
	}
	spans := slices.Concat(took...)
	slices.Sort(spans)
	r.Confirmed, r.Latencies = len(spans), spans
	r.Processor = used / time.Duration(r.Confirmed)

	// What was confirmed must be in the validator's books, each once.
	stored := 0
	if err := w.node.Inspect(ctx, func(v live.View) { stored = v.Validator.State.Book.Len() }); err != nil {
		return r, err
	}
	if stored != r.Confirmed {
		return r, fmt.Errorf("%d predictions were confirmed and %d are stored", r.Confirmed, stored)
	}
	return r, nil
}

// run sends a miner's frames and reads the confirmations, which come in their
// order. It returns how long each took.
func (p *loadPeer) run(frames [][]byte, window int, due func(int) time.Time) ([]time.Duration, error) {
	sent := make([]time.Time, len(frames))
	room := make(chan struct{}, window)
	failed := make(chan error, 1)
	go func() {
		for k, f := range frames {
			if due != nil {
				sent[k] = due(k)
				time.Sleep(time.Until(sent[k]))
			} else {
				room <- struct{}{}
				sent[k] = time.Now()
			}
			if err := p.ws.WriteMessage(websocket.TextMessage, f); err != nil {
				failed <- err
				p.ws.Close()
				return
			}
		}
		failed <- nil
	}()
	took := make([]time.Duration, 0, len(frames))
	var err error
	for k := 0; k < len(frames) && err == nil; {
		var text []byte
		if _, text, err = p.ws.ReadMessage(); err != nil {
			err = fmt.Errorf("after %d confirmations: %w", k, err)
			break
		}
		switch {
		case !bytes.Contains(text, []byte(`"type": "confirmation"`)):
		case !bytes.Contains(text, []byte(`"status": "success"`)) || !bytes.Contains(text, []byte(loadID(k))):
			err = fmt.Errorf("confirmation %d says %q", k, text)
		default:
			took = append(took, time.Since(sent[k]))
			k++
			if due == nil {
				<-room
			}
		}
	}
	if err != nil {
		p.ws.Close()
		for drained := false; !drained; { // the sender may wait for room
			select {
			case <-room:
			case <-failed:
				drained = true
			}
		}
		return took, err
	}
	return took, <-failed
}

// processorTime is what this process has used of all cores.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BroadcastResult is how long an update of games took to reach everybody.
type BroadcastResult struct {
	Miners, Bytes, Updates int
	// Latencies, the shortest first, are from the feed's answer to the frame in the
	// last miner's hands.
	Latencies []time.Duration
	// PerConnection is the memory of one idle connection: heap and stacks of both
	// its ends, as both are in this process.
	PerConnection int
}

// updateGames make a game_update of about two kilobytes.
const updateGames = 4

// Broadcast connects miners that only listen and lets the odds move a number of
// times.
func Broadcast(ctx context.Context, dir string, miners, updates int) (BroadcastResult, error) {
	w, err := startLoaded(dir, miners, 20*time.Millisecond)
	if err != nil {
		return BroadcastResult{}, err
	}
	r, err := w.broadcast(ctx, updates)
	return r, errors.Join(err, w.stop())
}

func (w *loaded) broadcast(ctx context.Context, updates int) (r BroadcastResult, err error) {
	if err := w.ready(ctx); err != nil {
		return r, err
	}
	before := memoryInUse()
	peers, err := w.joinAll(ctx)
	if err != nil {
		return r, err
	}
	defer hangUp(peers)
	r.Miners, r.Updates = len(peers), updates
	r.PerConnection = int(memoryInUse()-before) / len(peers)

	type receipt struct {
		at    time.Time
		bytes int
		err   error
	}
	receipts := make(chan receipt, len(peers))
	for _, p := range peers {
		go func() {
			for {
				_, text, err := p.ws.ReadMessage()
				switch {
				case err != nil:
					receipts <- receipt{err: err}
					return
				case bytes.Contains(text, []byte(`"type": "game_update"`)):
					receipts <- receipt{at: time.Now(), bytes: len(text)}
				}
			}
		}()
	}
	var spans []time.Duration
	for k := range updates {
		b := &feed.Batch{At: time.Now()}
		for i := range updateGames {
			g := loadGame(b.At)
			g.ID, g.Odds[bet.Home] = bet.GameID(fmt.Sprint(200_000+i)), 1.5+float64(k%100)/100
			b.Games = append(b.Games, g)
		}
		w.games.Store(b)
		var last time.Time
		for range peers {
			select {
			case got := <-receipts:
				if got.err != nil {
					return r, got.err
				}
				r.Bytes = got.bytes
				if got.at.After(last) {
					last = got.at
				}
			case <-ctx.Done():
				return r, fmt.Errorf("update %d: %w", k, ctx.Err())
			}
		}
		spans = append(spans, last.Sub(time.Unix(0, w.polled.Load())))
	}
	slices.Sort(spans)
	r.Latencies = spans
	return r, nil
}

// memoryInUse is what the collector keeps, with the stacks.
func memoryInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

package live

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"bettensor/node"
	"bettensor/node/ledger"
	"bettensor/node/wire"
	"bettensor/node/wire/sock"
	"bettensor/sched"
	"bettensor/store"
)

// incarnation is a node from one opening of its store to its closing. A node
// that fell comes back as another one: nothing of this is used twice.
type incarnation struct {
	n         *Node
	engine    *store.Pebble
	committer store.Committer
	transport *sock.Transport
	live      *sched.Live
	recording *recording // nil where nothing is recorded
	view      View
	inbound   atomic.Pointer[service] // where frames go, once there is a service

	copies  sync.WaitGroup // backups under way
	fell    chan error     // holds one: the node's own word that it cannot go on
	watched chan struct{}  // closed when nobody asks the loop any more
}

// assemble opens the store, listens, builds the node from what the store holds
// and lets it begin. On an error nothing is left open.
func (n *Node) assemble(number int) (in *incarnation, err error) {
	o := &n.o
	in = &incarnation{n: n, fell: make(chan error, 1), watched: make(chan struct{})}
	close(in.watched) // nobody asks yet
	defer func() {
		if err != nil {
			err = errors.Join(err, in.dismantle())
			in = nil
		}
	}()
	in.engine, err = store.OpenPebble(store.Options{Dir: o.Store, Schema: ledger.Schema(), Logger: o.Log, AcceptLoss: o.AcceptLoss})
	if err != nil {
		return in, err
	}

	in.transport = sock.New(o.Sock, o.Opener, func(e wire.Event) bool {
		s := in.inbound.Load()
		return s != nil && (*s).Offer(e)
	})
	if err := in.listen(); err != nil {
		return in, err
	}
	config := n.role.config(n.Addr())
	if c, ok := config.(node.ValidatorConfig); ok {
		c.Stopped = n.stopped
		config = c
	}
	seed := sched.NewStream(o.Seed, "incarnation", strconv.Itoa(number)).Uint64()
	if o.Record != "" {
		if in.recording, err = newRecording(o, n.role, config, in.engine); err != nil {
			return in, err
		}
	}
	in.live = sched.NewLive(sched.LiveOptions{Name: o.Name, Seed: seed, Clock: o.Clock, Node: o.Node, Recorder: in.recording.recorder()})
	loop := in.live.Loop()
	begun := time.Now()
	loop.SetMeter(func() int64 { return int64(time.Since(begun)) })
	signer, err := o.Signer(wire.Random{Rand: loop.Stream("sign")})
	if err != nil {
		return in, fmt.Errorf("signer: %w", err)
	}
	if signer.Hotkey() != n.role.hotkey {
		return in, fmt.Errorf("live: the signer is %s, the configuration says %s", signer.Hotkey(), n.role.hotkey)
	}
	snap, err := in.engine.Snapshot()
	if err != nil {
		return in, err
	}
	defer snap.Close() // only read
	ports := node.Ports{Chain: o.Chain, Feed: o.Feed, Net: in.transport, Signer: in.recording.signer(signer), Log: o.Log,
		Down: func(err error) {
			select {
			case in.fell <- err:
			default: // it has said so
			}
		},
		Store: node.Storage{Snapshot: snap, At: in.engine.Durable(), Committer: func(report func(store.Event)) store.Committer {
			in.committer = store.NewGroupCommitter(in.engine, report, o.Limits)
			return in.committer
		}}}
	if o.Backups != "" {
		ports.Backup = in.backup
	}
	if in.view, err = n.role.build(loop, config, ports, o.Opener); err != nil {
		return in, err
	}
	s := in.view.service()
	s.Start()
	in.inbound.Store(&s)
	in.watched = make(chan struct{})
	in.live.Start()
	go in.watch(&n.pulse)
	return in, nil
}

// listen opens the axon where it was before, so that ":0" is one port for as
// long as the node runs.
func (in *incarnation) listen() error {
	n := in.n
	address := n.o.Listen
	if address == "" {
		return nil
	}
	if was := n.Addr(); was != nil {
		address = was.String()
	}
	if err := in.transport.Listen(address); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addr = in.transport.Addr()
	return nil
}

// backup copies the store off the loop.
func (in *incarnation) backup(_ node.BackupRequest, reply func(sched.Result[node.BackupReply])) {
	in.copies.Go(func() {
		dir, err := store.Backups{Root: in.n.o.Backups, Keep: in.n.o.KeepBackups}.Take(in.engine)
		if err != nil {
			reply(sched.Failed[node.BackupReply](err))
			return
		}
		reply(sched.Result[node.BackupReply]{Res: node.BackupReply{Name: filepath.Base(dir)}})
	})
}

// ask runs f on the loop and waits for it as long as ctx allows. after, where
// set, is called once f has run or never will.
func (in *incarnation) ask(ctx context.Context, f, after func()) error {
	ran := make(chan bool, 1)
	go func() {
		ran <- in.live.Inspect(f)
		if after != nil {
			after()
		}
	}()
	select {
	case ok := <-ran:
		if !ok {
			return ErrEnded
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// finish ends a node that works: what waits for the disk is given a moment, the
// node closes on its own loop, and then what it stood on goes.
func (in *incarnation) finish() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	in.drain(ctx)
	closed := make(chan error, 1)
	err := in.ask(ctx, func() {
		in.recording.close() // what follows is not an event, and no replay would know of it
		closed <- in.view.service().Close()
	}, nil)
	if err == nil {
		err = <-closed
	}
	return errors.Join(err, in.takeApart(ctx))
}

// drainPause between looks at what waits for the disk: an fsync takes about so long.
const drainPause = 5 * time.Millisecond

// drain waits until nothing is under way to the disk, for drainWithin at most.
func (in *incarnation) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainWithin)
	defer cancel()
	tick := time.NewTicker(drainPause)
	defer tick.Stop()
	for {
		waiting := make(chan int, 1)
		if in.ask(ctx, func() { waiting <- in.view.service().Waiting() }, nil) != nil || <-waiting == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// dismantle ends an incarnation that cannot go on, whole or half assembled.
func (in *incarnation) dismantle() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	return in.takeApart(ctx)
}

// takeApart ends the sockets, while the loop still takes what they say, then the
// loop, then the store. The store is not closed under a goroutine that still
// hangs on the disk: that is an error, and only the end of the process mends it.
func (in *incarnation) takeApart(ctx context.Context) error {
	if in.transport != nil {
		soon, cancel := context.WithTimeout(ctx, hangUpWithin)
		in.transport.Stop(soon) // whoever does not go in time is cut off, which is no failure of ours
		cancel()
	}
	if in.live != nil {
		if err := in.live.Stop(ctx); err != nil {
			return fmt.Errorf("the loop does not end: %w", err)
		}
		<-in.watched
	}
	in.recording.close()
	if in.committer != nil {
		if err := in.committer.Close(); err != nil {
			return fmt.Errorf("close the store: %w", err)
		}
	}
	if in.engine == nil {
		return nil
	}
	copied := make(chan struct{})
	go func() {
		in.copies.Wait()
		close(copied)
	}()
	select {
	case <-copied:
	case <-ctx.Done():
		return fmt.Errorf("a backup does not end: %w", ctx.Err())
	}
	return in.engine.Close()
}

// hangUpWithin is how long peers may take to read what is queued for them and
// to answer the closing handshake.
const hangUpWithin = 2 * time.Second

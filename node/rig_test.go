package node

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/feed"
	"bettensor/node/ledger"
	"bettensor/node/model"
	"bettensor/node/wire"
	"bettensor/sched"
	"bettensor/sim/mockchain"
	"bettensor/store"

	"github.com/cespare/xxhash/v2"
)

// rig is a small world for the tests of this package: nodes on a virtual clock,
// a chain, a feed that tests write, disks that tests hold up, a network that
// never loses anything, and raw peers that speak frames.
type rig struct {
	t     testing.TB
	w     *sched.World
	chain *mockchain.Chain
	nodes []*rigNode
	ends  map[endKey]*rigEnd
	conns wire.Conn
	axons map[string]*rawPeer // addresses at which somebody answers who is no node

	opener *wire.Opener

	games     []bet.Game // what the feed knows
	feedDown  bool
	chainDown bool
	poisoned  chain.Op // asking for it panics, in the service that asks
	// answer, where set, makes the chain's answer to a request instead of the
	// mock chain; handled false lets the mock chain answer.
	answer func(n *rigNode, q chain.Request) (r sched.Result[chain.Reply], handled, silent bool)
	asked  []chain.Request // extrinsics that were submitted, in order
	story  *strings.Builder
}

var t0 = time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)

const rigKey = 7

func rigSigner(name string) wire.Keyed {
	var b [32]byte
	for i := range b {
		b[i] = byte(xxhash.Sum64String(fmt.Sprint(name, i)))
	}
	return wire.Keyed{Key: rigKey, Name: chain.EncodeSS58(b)}
}

func hotkeyOf(name string) chain.Hotkey { return rigSigner(name).Hotkey() }

// rigNode is a machine with a node on it; the disk outlives the node.
type rigNode struct {
	*rig
	name      string
	signer    wire.Signer
	address   string
	validator *ValidatorConfig
	miner     *MinerConfig
	model     func() model.Model

	disk   store.MemDisk
	engine store.Engine
	commit rigCommitter
	loop   *sched.Loop
	v      *Validator
	m      *Miner
	life   int
	downs  []error
	silent bool // while it is down for good: it is not started again
	setup  func(*rigNode)
	log    *slog.Logger
	backup sched.Backend[BackupRequest, BackupReply]
}

// rigCommitter makes batches durable after a millisecond, or when it is told to.
type rigCommitter struct {
	n      *rigNode
	hold   bool
	fail   bool
	held   []*store.Batch
	first  store.Seq // of held
	report func(store.Event)
}

func (c *rigCommitter) Submit(seq store.Seq, b *store.Batch) {
	if len(c.held) == 0 {
		c.first = seq
	}
	c.held = append(c.held, b)
	life := c.n.life
	c.n.w.After(time.Millisecond, sched.Func(func() {
		if c.n.life == life && !c.hold && c.n.engine != nil {
			c.flush()
		}
	}))
}

func (c *rigCommitter) Close() error { c.flush(); return nil }

// flush writes what is held, in one group.
func (c *rigCommitter) flush() {
	if len(c.held) == 0 {
		return
	}
	if c.fail {
		c.report(store.Event{From: c.first, Err: store.ErrUnknown})
		return
	}
	last := c.first + store.Seq(len(c.held)) - 1
	if err := c.n.engine.Apply(last, c.held, true); err != nil {
		c.n.t.Fatal(err)
	}
	c.held = nil
	c.report(store.Event{UpTo: last})
}

// newRig makes a world with a chain on which validators hold stake and permits.
func newRig(t testing.TB, change ...func(*mockchain.Config)) *rig {
	r := &rig{t: t, w: sched.NewWorld(t0, 1), ends: map[endKey]*rigEnd{}, axons: map[string]*rawPeer{}, opener: &wire.Opener{Verifier: wire.Keyed{Key: rigKey}}}
	cc := mockchain.Defaults(30, t0)
	cc.Params.WeightsRateLimit = 10
	cc.Params.ActivityCutoff = 5000
	for _, name := range []string{"v0", "v1", "m0", "m1", "m2"} {
		n := mockchain.Neuron{Hotkey: hotkeyOf(name), Coldkey: chain.Coldkey(hotkeyOf("cold" + name))}
		if name[0] == 'v' {
			n.Stake = 10_000e9
		}
		cc.Neurons = append(cc.Neurons, n)
	}
	for _, f := range change {
		f(&cc)
	}
	r.chain = mockchain.New(cc)
	r.chain.OnExtrinsic(func(_ time.Time, q chain.Request, _ chain.Reply) { r.asked = append(r.asked, q) })
	t.Cleanup(func() {
		for _, n := range r.nodes {
			n.kill()
		}
	})
	return r
}

func (r *rig) addValidator(name string, change ...func(*ValidatorConfig)) *rigNode {
	i := len(r.nodes)
	cfg := ValidatorConfig{Hotkey: hotkeyOf(name), Axon: chain.Axon{IP: fmt.Sprintf("198.51.102.%d", i+1), Port: 8091},
		FeedInterval: 10 * time.Minute, ClosingLead: -1, ScoringInterval: 20 * time.Minute, MetagraphInterval: 5 * time.Minute}
	for _, f := range change {
		f(&cfg)
	}
	n := &rigNode{rig: r, name: name, signer: rigSigner(name), validator: &cfg, address: fmt.Sprintf("%s:%d", cfg.Axon.IP, cfg.Axon.Port)}
	r.nodes = append(r.nodes, n)
	n.start()
	return n
}

func (r *rig) addMiner(name string, m model.Model, change ...func(*MinerConfig)) *rigNode {
	cfg := MinerConfig{Hotkey: hotkeyOf(name)}
	for _, f := range change {
		f(&cfg)
	}
	n := &rigNode{rig: r, name: name, signer: rigSigner(name), miner: &cfg, model: func() model.Model { return m }}
	if cfg.Axon != (chain.Axon{}) {
		n.address = addressOf(cfg.Axon)
	}
	r.nodes = append(r.nodes, n)
	n.start()
	return n
}

func (n *rigNode) start() {
	n.t.Helper()
	engine, err := store.OpenMem(&n.disk, ledger.Schema())
	if err != nil {
		n.t.Fatal(err)
	}
	snap, err := engine.Snapshot()
	if err != nil {
		n.t.Fatal(err)
	}
	n.engine, n.life = engine, n.life+1
	n.commit = rigCommitter{n: n}
	n.loop = n.w.NewLoop(n.name, n.life)
	if n.story != nil {
		n.loop.SetTracer(n.rig)
	}
	loop := n.loop
	ports := Ports{Backup: n.backup, Log: n.log, Chain: n.chainPort, Feed: n.feedPort, Net: (*rigNet)(n), Signer: n.signer,
		Store: Storage{Snapshot: snap, At: engine.Durable(), Committer: func(report func(store.Event)) store.Committer {
			n.commit.report = report
			return &n.commit
		}},
		Down: func(err error) {
			n.downs = append(n.downs, err)
			n.w.After(0, sched.Func(func() {
				if n.loop == loop {
					n.kill()
				}
			}))
			if !n.silent {
				n.w.After(2*time.Second, sched.Func(n.startAgain))
			}
		}}
	if n.validator != nil {
		n.v, err = NewValidator(n.loop, *n.validator, ports, func() *wire.Opener { return n.opener })
	} else {
		n.m, err = NewMiner(n.loop, *n.miner, ports, n.model(), func() *wire.Opener { return n.opener })
	}
	if err != nil {
		n.t.Fatal(err)
	}
	if err := snap.Close(); err != nil {
		n.t.Fatal(err)
	}
	if n.setup != nil {
		n.setup(n)
	}
	if n.v != nil {
		n.v.Start()
	} else {
		n.m.Start()
	}
}

func (n *rigNode) startAgain() {
	if n.loop == nil {
		n.start()
	}
}

// kill stops a node as a crash does: what is held for the disk is lost.
func (n *rigNode) kill() {
	if n.loop == nil {
		return
	}
	n.w.Kill(n.loop)
	if err := n.engine.Close(); err != nil {
		n.t.Fatal(err)
	}
	var keys []endKey
	for key := range n.ends {
		if key.owner == n.name {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b endKey) int { return cmp.Compare(a.conn, b.conn) })
	for _, key := range keys {
		n.cut(n.ends[key], "connection reset")
	}
	n.loop, n.v, n.m, n.engine = nil, nil, nil, nil
	n.life++
}

// crash kills a node and starts it again on its disk.
func (n *rigNode) crash() {
	n.kill()
	n.start()
}

func (n *rigNode) core() *core {
	if n.v != nil {
		return n.v.core
	}
	return n.m.core
}

// do runs f as an event of the node's loop.
func (n *rigNode) do(f func()) {
	n.loop.Scope("test").Timer("do", f).Arm(0)
	n.run(0)
}

// service returns the figures of one service.
func (n *rigNode) service(name string) ServiceStats {
	for _, s := range n.core().Stats().Services {
		if s.Name == name {
			return s
		}
	}
	n.t.Fatalf("%s has no service %q", n.name, name)
	return ServiceStats{}
}

// count is one counter of a service, 0 where it does not show.
func (n *rigNode) count(service, name string) uint64 {
	for _, c := range n.service(service).Counts {
		if c.Name == name {
			return c.Value
		}
	}
	return 0
}

// run turns the world for a while.
func (r *rig) run(d time.Duration) { r.w.Run(r.w.Now().Add(d)) }

// until turns the world until something holds, and fails where it never does.
func (r *rig) until(what string, limit time.Duration, holds func() bool) {
	r.t.Helper()
	for end := r.w.Now().Add(limit); !holds(); {
		at, ok := r.w.Next()
		if !ok || at.After(end) {
			r.t.Fatalf("not within %v: %s", limit, what)
		}
		r.w.Step()
	}
}

var errRig = errors.New("endpoint down")

func (n *rigNode) chainPort(q chain.Request, reply func(sched.Result[chain.Reply])) {
	if q.Op == n.poisoned {
		panic("poisoned request")
	}
	n.w.After(50*time.Millisecond, sched.Func(func() {
		if n.answer != nil {
			if r, handled, silent := n.answer(n, q); handled {
				if !silent {
					reply(r)
				}
				return
			}
		}
		if n.chainDown {
			reply(sched.Failed[chain.Reply](errRig))
			return
		}
		p := n.chain.Submit(n.w.Now(), q)
		wait := time.Duration(0)
		if p.Code == chain.OK && q.Op != chain.OpSync && q.Op != chain.OpReadWeights {
			wait = max(n.chain.TimeOf(p.Included).Sub(n.w.Now()), 0)
		}
		n.w.After(wait, sched.Func(func() { reply(sched.Result[chain.Reply]{Res: p}) }))
	}))
}

func (n *rigNode) feedPort(q feed.Request, reply func(sched.Result[feed.Batch])) {
	n.w.After(50*time.Millisecond, sched.Func(func() {
		if n.feedDown {
			reply(sched.Failed[feed.Batch](errRig))
			return
		}
		b := feed.Batch{At: n.w.Now()}
		for _, g := range n.games {
			if g.Updated.After(q.Since) && !g.Updated.After(n.w.Now()) {
				b.Games = append(b.Games, g)
			}
		}
		reply(sched.Result[feed.Batch]{Res: b})
	}))
}

// offer puts a game into the feed that starts at an instant.
func (r *rig) offer(id string, start time.Time) bet.Game {
	g := bet.Game{ID: bet.GameID(id), Sport: "Soccer", League: "Test", TeamA: "Reds " + id, TeamB: "Blues " + id, CanTie: true, Active: true,
		Created: r.w.Now(), Updated: r.w.Now(), Start: start, Odds: bet.Odds{1.9, 4.2, 3.6}, OddsAt: r.w.Now(), Outcome: bet.Unfinished}
	r.tell(g)
	return g
}

// tell puts a game into the feed as it now is.
func (r *rig) tell(g bet.Game) {
	g.Updated = r.w.Now()
	i := slices.IndexFunc(r.games, func(x bet.Game) bool { return x.ID == g.ID })
	if i < 0 {
		r.games = append(r.games, g)
		return
	}
	r.games[i] = g
}

// finish tells a game's result.
func (r *rig) finish(id string, o bet.Outcome) {
	for _, g := range r.games {
		if string(g.ID) == id {
			g.Status, g.Outcome, g.ResultAt, g.Active = bet.Finished, o, r.w.Now(), false
			r.tell(g)
		}
	}
}

// poll has every validator ask the feed now.
func (r *rig) poll() {
	for _, n := range r.nodes {
		if n.v != nil {
			n.do(func() {
				for i := range n.v.services {
					if g, ok := n.v.services[i].service.(*games); ok {
						g.poll(nil)
					}
				}
			})
		}
	}
	r.run(time.Second)
}

const rigLatency = 10 * time.Millisecond

// rigEnd is one side of a connection.
type rigEnd struct {
	key  endKey
	node *rigNode // one of the two
	life int
	raw  *rawPeer
	peer *rigEnd
	open bool
}

// endKey finds an end: nodes number the connections that they dial themselves.
type endKey struct {
	owner string
	conn  wire.Conn
}

func (r *rig) deliver(to *rigEnd, ev wire.Event) {
	if to.raw != nil {
		r.w.After(rigLatency, sched.Func(func() {
			to.raw.got = append(to.raw.got, ev)
			if to.raw.reply != nil && ev.Kind == wire.Received {
				to.raw.end = to
				r.pass(to, to.raw.reply(&ev.Message))
			}
		}))
		return
	}
	if to.node.loop == nil || to.life != to.node.life {
		return
	}
	ev.Conn = to.key.conn
	sched.Deliver(r.w, to.node.core().Inbound(), r.w.Now().Add(rigLatency), ev)
}

// cut ends a connection from one side.
func (r *rig) cut(e *rigEnd, reason string) {
	if e == nil || !e.open {
		return
	}
	e.open, e.peer.open = false, false
	delete(r.ends, e.key)
	delete(r.ends, e.peer.key)
	ev := wire.Event{Kind: wire.Closed, Raw: []byte(reason)}
	r.deliver(e.peer, ev)
	r.deliver(e, ev)
}

// connect makes a connection to a validator, if it is up.
func (r *rig) connect(a *rigEnd, to *rigNode) bool {
	if to == nil || to.loop == nil {
		return false
	}
	r.conns++
	b := &rigEnd{key: endKey{to.name, r.conns}, node: to, life: to.life, peer: a, open: true}
	a.peer, a.open = b, true
	r.ends[a.key], r.ends[b.key] = a, b
	r.deliver(b, wire.Event{Kind: wire.Opened, Inbound: true, Remote: "192.0.2.1:1"})
	r.deliver(a, wire.Event{Kind: wire.Opened})
	return true
}

func (r *rig) pass(from *rigEnd, frame []byte) {
	if from == nil || !from.open {
		return
	}
	ev := wire.Event{Kind: wire.Received, Raw: frame}
	ev.Message, ev.Err = r.opener.Open(frame)
	r.deliver(from.peer, ev)
}

// rigNet is a node's view of the network.
type rigNet rigNode

func (x *rigNet) Dial(c wire.Conn, address string) {
	n := (*rigNode)(x)
	e := &rigEnd{key: endKey{n.name, c}, node: n, life: n.life}
	n.w.After(rigLatency, sched.Func(func() {
		_, host, ok := strings.Cut(address, "://")
		if !ok {
			host = address
		}
		i := slices.IndexFunc(n.nodes, func(h *rigNode) bool { return h.address == host })
		if n.life != e.life {
			return
		}
		if raw := n.axons[host]; raw != nil {
			raw.accept(e)
			return
		}
		if i < 0 || !n.connect(e, n.nodes[i]) {
			n.deliver(e, wire.Event{Kind: wire.Closed, Raw: []byte("connection refused")})
		}
	}))
}

func (x *rigNet) Send(c wire.Conn, frame []byte) {
	x.rig.pass(x.rig.ends[endKey{x.name, c}], frame)
}

func (x *rigNet) Close(c wire.Conn, _ int, reason string) {
	x.rig.cut(x.rig.ends[endKey{x.name, c}], reason)
}

// rawPeer is somebody who speaks frames and is no node.
type rawPeer struct {
	*rig
	signer wire.Keyed
	nonces wire.Nonces
	end    *rigEnd
	got    []wire.Event
	reply  func(*wire.Message) []byte // to what comes over connections that it accepts
}

// axon lets somebody who is no node answer polls at an address, which it
// announces on the chain.
func (r *rig) axon(name string, reply func(*wire.Message) []byte) *rawPeer {
	p := &rawPeer{rig: r, signer: rigSigner(name), reply: reply}
	a := chain.Axon{IP: fmt.Sprintf("198.51.101.%d", len(r.axons)+1), Port: 8091}
	r.axons[addressOf(a)] = p
	r.announce(name, a)
	return p
}

// announce has the chain show an axon.
func (r *rig) announce(name string, a chain.Axon) {
	if reply := r.chain.Submit(r.w.Now(), chain.Request{Op: chain.OpServeAxon, Hotkey: hotkeyOf(name), Axon: a}); reply.Code != chain.OK {
		r.t.Fatalf("serve_axon of %s: %s", name, reply.Code)
	}
}

// accept makes the other end of a connection that a node dials.
func (p *rawPeer) accept(e *rigEnd) {
	p.conns++
	b := &rigEnd{key: endKey{"", p.conns}, raw: p, peer: e, open: true}
	e.peer, e.open = b, true
	p.ends[e.key], p.ends[b.key] = e, b
	p.deliver(e, wire.Event{Kind: wire.Opened})
}

// peer connects somebody to a validator.
func (r *rig) peer(name string, to *rigNode) *rawPeer {
	p := &rawPeer{rig: r, signer: rigSigner(name)}
	p.connect(to)
	return p
}

// connect makes a new connection and forgets what came over the last one.
func (p *rawPeer) connect(to *rigNode) {
	if p.got = nil; p.end != nil {
		p.end.raw = &rawPeer{}
	}
	p.conns++
	p.end = &rigEnd{key: endKey{"", p.conns}, raw: p}
	if !p.rig.connect(p.end, to) {
		p.t.Fatalf("%s is down", to.name)
	}
	p.run(2 * rigLatency)
}

// session connects and authenticates somebody.
func (r *rig) session(name string, to *rigNode) *rawPeer {
	p := r.peer(name, to)
	p.send(p.auth(to.validator.Hotkey))
	if p.last(wire.Welcome) == nil {
		r.t.Fatalf("%s was not welcomed by %s: %v", name, to.name, p.kinds())
	}
	return p
}

func (p *rawPeer) nonce() string { return p.nonces.Next(p.w.Now()) }

func (p *rawPeer) auth(validator chain.Hotkey) []byte {
	return wire.AppendAuth(nil, p.signer, p.w.Now(), p.nonce(), validator)
}

func (p *rawPeer) predict(s *bet.Submission) []byte {
	return wire.AppendPrediction(nil, p.signer, p.w.Now(), p.nonce(), s)
}

// send passes a frame on and waits for what comes back at once.
func (p *rawPeer) send(frame []byte) {
	p.pass(p.end, frame)
	p.run(200 * time.Millisecond)
}

// last is the newest message of a kind, nil where none came.
func (p *rawPeer) last(k wire.Kind) *wire.Message {
	for i := len(p.got) - 1; i >= 0; i-- {
		if p.got[i].Kind == wire.Received && p.got[i].Message.Kind == k {
			return &p.got[i].Message
		}
	}
	return nil
}

// closed is the reason why the connection ended, "" while it stands.
func (p *rawPeer) closed() string {
	for _, e := range p.got {
		if e.Kind == wire.Closed {
			return string(e.Raw)
		}
	}
	return ""
}

// kinds is what came, for failures.
func (p *rawPeer) kinds() (out []string) {
	for _, e := range p.got {
		switch e.Kind {
		case wire.Received:
			out = append(out, e.Message.Kind.String()+" "+e.Message.Text+string(e.Message.Confirmation.Code))
		case wire.Closed:
			out = append(out, "closed: "+string(e.Raw))
		}
	}
	return out
}

// confirmations is how often each id was confirmed, as "id ok" or "id code".
func (p *rawPeer) confirmations() (out []string) {
	for _, e := range p.got {
		if e.Kind == wire.Received && e.Message.Kind == wire.ConfirmationMessage {
			k := e.Message.Confirmation
			word := string(k.Code)
			if k.OK {
				word = "ok"
			}
			out = append(out, string(k.ID)+" "+word)
		}
	}
	return out
}

// submission backs an outcome of a game at the odds offered.
func submission(id string, g bet.Game, o bet.Outcome, dollars float64) *bet.Submission {
	number := func(v float64) bet.Value { return bet.Value{Kind: bet.Number, Number: v} }
	return &bet.Submission{ID: bet.PredictionID(id), Game: g.ID, Date: "2024-03-01T12:00:00+00:00", MinerUID: "2", TeamA: g.TeamA, TeamB: g.TeamB,
		Outcome: number(float64(o)), Odds: number(g.Odds[o]), Wager: number(dollars), OddsA: number(g.Odds[0]), OddsB: number(g.Odds[1]), OddsTie: number(g.Odds[2])}
}

// plan is a model that a test scripts.
type plan struct {
	picks func(now time.Time, b *model.Book) []model.Pick
	wake  func(now time.Time) time.Time
	asked []time.Time
	seen  []bet.GameID // resulted games that were shown
}

func (p *plan) Name() string { return "plan" }

func (p *plan) Observe(_ time.Time, g *bet.Game) {
	if g.Resulted() {
		p.seen = append(p.seen, g.ID)
	}
}

func (p *plan) Picks(now time.Time, b *model.Book) []model.Pick {
	p.asked = append(p.asked, now)
	if p.picks == nil {
		return nil
	}
	return p.picks(now, b)
}

func (p *plan) Wake(now time.Time, _ *model.Book) (t time.Time) {
	if p.wake == nil {
		return t
	}
	return p.wake(now)
}

// once backs one outcome of every game, once.
func once(o bet.Outcome, wager bet.Cents) *plan {
	return &plan{picks: func(_ time.Time, b *model.Book) (picks []model.Pick) {
		for _, g := range b.Games {
			if len(b.Placed(g.ID)) == 0 {
				picks = append(picks, model.Pick{Game: g.ID, Outcome: o, Wager: wager, Confidence: 0.5})
			}
		}
		return picks
	}}
}

// Trace writes the story of a run: what was published, what panicked.
func (r *rig) Trace(l *sched.Loop, kind, name string, v any) {
	switch kind {
	case "bus":
		if m, ok := v.(MetagraphUpdated); ok && m.Changed == 0 || name == "task_completed" {
			return
		}
	case "panic", "rebuild":
	default:
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		r.t.Fatal(err)
	}
	line := fmt.Sprintf("%s %s %s %s\n", l.Now().Format("02 15:04:05.000"), l.Name(), name, b)
	for _, n := range r.nodes {
		line = strings.ReplaceAll(line, string(hotkeyOf(n.name)), n.name)
	}
	r.story.WriteString(line)
}

// ledgerOn reads the ledger of a validator that is down.
func ledgerOn(t testing.TB, n *rigNode) *ledger.Validator {
	t.Helper()
	var found *ledger.Validator
	n.onDisk(t, func(s store.Snapshot) (err error) { found, err = ledger.LoadValidator(s); return err })
	return found
}

// outboxOn reads the ledger of a miner that is down.
func outboxOn(t testing.TB, n *rigNode) *ledger.Miner {
	t.Helper()
	var found *ledger.Miner
	n.onDisk(t, func(s store.Snapshot) (err error) { found, err = ledger.LoadMiner(s); return err })
	return found
}

func (n *rigNode) onDisk(t testing.TB, read func(store.Snapshot) error) {
	t.Helper()
	if n.loop != nil {
		t.Fatalf("%s is up", n.name)
	}
	e, err := store.OpenMem(&n.disk, ledger.Schema())
	if err != nil {
		t.Fatal(err)
	}
	s, err := e.Snapshot()
	if err == nil {
		err = read(s)
	}
	if err = errors.Join(err, s.Close(), e.Close()); err != nil {
		t.Fatal(err)
	}
}

// storeLimits says Full when so many batches wait.
func storeLimits(batches int) store.Limits { return store.Limits{Batches: batches} }

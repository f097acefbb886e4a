package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"bettensor/node"
	"bettensor/node/chain"
	"bettensor/node/chain/substrate"
	"bettensor/node/chain/wallet"
	"bettensor/node/feed/api"
	"bettensor/node/live"
	"bettensor/node/model"
	"bettensor/node/score"
	"bettensor/node/web"
	"bettensor/node/wire"
	"bettensor/node/wire/sock"
	"bettensor/sched"
	"bettensor/store"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

const (
	// stopWithin is how long an orderly end may take; the node itself needs less.
	stopWithin = 10 * time.Second
	// chainWithin is how long the chain may take to be reached where the start needs
	// it, for a local network's clock: it is on this machine.
	chainWithin = 30 * time.Second
	// httpTries is how many ports are tried where the default one is taken.
	httpTries = 100
	// staleBlocks without a new head, and a node is not ready; see staleLeast.
	staleBlocks = 3
	// staleLeast is the least age of a head that counts as stale: an accelerated
	// chain's blocks come faster than a connection may stutter.
	staleLeast = 5 * time.Second
)

// nodeCommand is the command of one role.
func nodeCommand(r role, usage, description string, dial dialer) *cli.Command {
	return &cli.Command{
		Name: r.String(), Usage: usage, Description: description,
		Flags:  flags(r),
		Action: func(c *cli.Context) error { return runNode(c, r, dial) },
	}
}

const nodeDescription = "Every flag is also a variable, BETTENSOR_ and its name in capitals with _ for dots, and a key of the\n" +
	"file that --config names; the BT_ variables of the original's tools work too. `bettensor config print`\n" +
	"shows what comes out. The first Ctrl-C or SIGTERM stops in good order within ten seconds, the second at once."

// Validator is the command `validator`.
func Validator() *cli.Command {
	return nodeCommand(forValidator, "run a validator: collect predictions, score them, set weights", nodeDescription, dialChain)
}

// Miner is the command `miner`.
func Miner() *cli.Command {
	c := nodeCommand(forMiner, "run a miner: predict with a model and have every permitted validator confirm", nodeDescription, dialChain)
	c.Subcommands = []*cli.Command{explainCommand(), receiptsCommand()}
	return c
}

// host is a process with one node in it.
type host struct {
	*Resolved
	version string
	log     *slog.Logger
	started time.Time
	key     *wallet.Key
	place   place
	hold    *live.Hold
	clock   sched.NodeClock
	link    *link
	feed    *api.Feed
	web     *web.Server
	offset  clockOffset
	told    bool // the ports file is ours

	node atomic.Pointer[live.Node] // nil while the store is being read
}

func runNode(c *cli.Context, r role, dial dialer) error {
	if c.NArg() > 0 {
		return usage(c, "unexpected argument %q", c.Args().First())
	}
	s, err := resolve(c, r, os.Environ())
	if err != nil {
		return err
	}
	h := &host{Resolved: s, version: c.App.Version, started: time.Now()}
	h.log = logger(c.App.ErrWriter, s).With("netuid", s.Netuid)
	for _, n := range s.Notices {
		h.log.Warn(n)
	}
	if err := h.prepare(c); err != nil {
		return err
	}
	return h.run(c.Context, dial)
}

// run is the life of the process: what the node needs, the node, and its end.
func (h *host) run(ctx context.Context, dial dialer) (err error) {
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		err = errors.Join(err, h.end(end))
	}()
	if err := h.connect(ctx, dial); err != nil {
		if ctx.Err() != nil {
			return nil // stopped before it had begun
		}
		return err
	}
	// From here on others read what connect has set.
	watched := make(chan struct{})
	telling, untold := context.WithCancel(context.WithoutCancel(ctx))
	notifier := web.NewNotifier(h.source(), h.log)
	go func() {
		defer close(watched)
		notifier.Run(telling)
	}()
	defer func() {
		untold()
		<-watched
	}()
	if err := h.watch(); err != nil {
		return err
	}
	// Before the store is read, so that whoever waits for the node finds it.
	if err := h.writePorts(nil, true); err != nil {
		return err
	}
	n, err := h.start()
	if err != nil {
		return h.startError(err)
	}
	h.node.Store(n)
	if err := h.tell(n); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		h.log.Info("stopping", "within", stopWithin)
		untold() // STOPPING=1 before anything ends
		return nil
	case <-n.Done():
		return &ExitError{Other, fmt.Errorf("the node ended by itself: %w", n.Wait()), ""}
	}
}

// prepare reads the key and finds the node's directories.
func (h *host) prepare(c *cli.Context) (err error) {
	if h.Wallet.URI != "" {
		h.key, err = wallet.FromURI(h.Wallet.URI)
	} else {
		at := wallet.Location{Path: h.Wallet.Path, Name: h.Wallet.Name, Hotkey: h.Wallet.Hotkey}
		h.key, err = wallet.Load(at, wallet.SystemPasswords(c.Context, h.Wallet.PasswordFile))
	}
	if err != nil {
		return walletError(c, err)
	}
	if !h.key.CanSign() {
		return &ExitError{Wallet, wallet.ErrPublicOnly, ""}
	}
	if h.Axon.Roots != "" {
		if h.Sock.Roots, err = sock.ReadRoots(h.Axon.Roots); err != nil {
			return &ExitError{File, fmt.Errorf("axon.tls_roots: %w", err), ""}
		}
	}
	if h.place, err = h.Resolved.place(h.key.Hotkey(), os.LookupEnv); err != nil {
		return &ExitError{Code: File, Err: err}
	}
	if err := os.MkdirAll(h.place.dir, 0o700); err != nil {
		return &ExitError{Code: File, Err: err}
	}
	// Before anything else that lies there is opened, and before a port is taken.
	if h.hold, err = live.Take(h.place.store); err != nil {
		return startError(h.place.store, err)
	}
	h.log = h.log.With("hotkey", string(h.key.Hotkey()))
	if h.role == forValidator { // its key too, before the chain is waited for
		if err := h.Feed.Check(); err != nil {
			return errors.Join(&ExitError{Code: Validation, Err: err}, h.hold.Release())
		}
	}
	return nil
}

// now is the node's clock.
func (h *host) now() time.Time { return h.clock.At(time.Now()) }

// speed is how fast it runs.
func (h *host) speed() float64 {
	if h.clock.Speed == 0 {
		return 1
	}
	return h.clock.Speed
}

// connect begins to reach the chain and makes the feed. A chain that is away is
// no reason not to start: what miners send can be stored all the same, and
// readiness tells of it. Only a local network's clock must be compared with the
// chain's first.
func (h *host) connect(ctx context.Context, dial dialer) (err error) {
	var file ClockFile
	if h.ClockFile != "" {
		if file, err = readClock(h.ClockFile); err != nil {
			return &ExitError{Code: Validation, Err: err}
		}
		h.clock = file.clock()
	}
	if h.link, err = dial(h.Resolved, h.key, h.place.dir, h.speed(), h.log); err != nil {
		return &ExitError{Network, fmt.Errorf("the chain: %w", err), "bettensor chain info " + h.chainFlags()}
	}
	if h.ClockFile != "" {
		soon, cancel := context.WithTimeout(ctx, chainWithin)
		defer cancel()
		if err := h.link.ready(soon); err != nil {
			return &ExitError{Network, fmt.Errorf("reach the chain: %w", err), "bettensor chain info " + h.chainFlags()}
		}
		if err := file.fits(soon, h.link, h.now); err != nil {
			return &ExitError{Code: Validation, Err: fmt.Errorf("%s: %w", h.ClockFile, err)}
		}
	}
	if h.role != forValidator {
		return nil
	}
	cfg := h.Feed
	cfg.Now, cfg.Log = h.now, h.log
	if h.feed, err = api.New(cfg); err != nil {
		return &ExitError{Code: Validation, Err: err}
	}
	return nil
}

// chainFlags are those by which another command reaches the same chain.
func (h *host) chainFlags() string {
	if len(h.Endpoints) > 0 {
		return "--subtensor.chain_endpoint " + wallet.ShellWord(h.shownEndpoints())
	}
	return "--subtensor.network " + h.Network
}

// shownEndpoints are the chain's, without what in them may be a key.
func (r *Resolved) shownEndpoints() string {
	out := make([]string, len(r.Endpoints))
	for i, e := range r.Endpoints {
		out[i] = substrate.Redacted(e)
	}
	return strings.Join(out, ",")
}

// watch serves page, health and figures. Where the default port is taken, as by
// another node of this machine, the next ones are tried.
func (h *host) watch() error {
	address, port, err := net.SplitHostPort(h.HTTP.Listen)
	if err != nil {
		return &ExitError{Code: Usage, Err: err}
	}
	first, err := strconv.Atoi(port)
	if err != nil {
		return &ExitError{Code: Usage, Err: err}
	}
	for try := 0; ; try++ {
		o := web.Options{Listen: net.JoinHostPort(address, strconv.Itoa(first+try)), AllowRemote: h.HTTP.AllowRemote, PerUID: h.HTTP.PerUID, Log: h.log}
		s, err := web.New(o, h.source())
		if err != nil {
			return &ExitError{Code: Usage, Err: err}
		}
		err = s.Start()
		if err == nil {
			h.web = s
			return nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) || h.isSet("http.listen") || try+1 == httpTries {
			return &ExitError{Code: Network, Err: fmt.Errorf("http.listen: %w", err)}
		}
	}
}

// start assembles the node.
func (h *host) start() (*live.Node, error) {
	h.settleAxon()
	o := live.Options{
		Name: h.role.String() + "-" + string(h.key.Hotkey()), Store: h.place.store, Hold: h.hold, AcceptLoss: h.Store.AcceptLoss,
		Backups: h.place.backups, KeepBackups: h.Store.Keep, Record: h.Record,
		Signer: func(random io.Reader) (wire.Signer, error) { return h.key.Signer(random) },
		Chain:  h.link.backend, Sock: h.Sock, Listen: h.listen(), Node: h.clock, Log: h.log,
		Checks: []func() live.Reason{h.headFresh},
	}
	if h.Record != "" {
		var err error
		if o.Revision, err = revision(h.version); err != nil {
			return nil, err
		}
	}
	if h.role == forValidator {
		cfg := h.Validator
		scheme, err := score.ByName(h.Scheme)
		if err != nil {
			return nil, err
		}
		cfg.Scheme = &scheme
		cfg.Hotkey, cfg.Netuid, cfg.Axon = h.key.Hotkey(), chain.Netuid(h.Netuid), h.axon()
		o.Feed = h.feed.Backend()
		return live.StartValidator(o, cfg)
	}
	cfg := h.Miner
	cfg.Hotkey, cfg.Netuid, cfg.Axon = h.key.Hotkey(), chain.Netuid(h.Netuid), h.axon()
	m, err := h.mind()
	if err != nil {
		return nil, err
	}
	return live.StartMiner(o, cfg, m)
}

// settleAxon takes the next free port for the axon where the default one is taken,
// nobody has asked for it and the whole network is on this machine: several of its
// nodes then run here, each with the same default.
func (h *host) settleAxon() {
	if h.listen() == "" || h.isSet("axon.port") || !h.loopback() {
		return
	}
	first := h.Axon.Port
	for try := range uint16(httpTries) {
		h.Axon.Port = first + try
		l, err := net.Listen("tcp", h.listen())
		if err == nil {
			l.Close() // it was only a trial
			return
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	h.Axon.Port = first // its own error will say what stands against it
}

// startError is startError with what is known of this node's settings.
func (h *host) startError(err error) error {
	if h.role == forValidator && h.Validator.Shadow && h.isSet("axon.port") && errors.Is(err, syscall.EADDRINUSE) {
		return &ExitError{Network, fmt.Errorf("axon.port: %w: in shadow mode no axon is announced, so that none need be served", err), "leave --axon.port out, or give --axon.off"}
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return &ExitError{Network, err, "--axon.port with a free one, or --axon.off"}
	}
	return startError(h.place.store, err)
}

// startError gives an error of the start its code and the command that helps.
func startError(dir string, err error) error {
	var lost store.ErrLostRows
	var newer store.ErrNewer
	var op *net.OpError
	verify := "bettensor store verify --dir " + dir
	switch {
	case errors.Is(err, store.ErrLocked):
		return &ExitError{File, fmt.Errorf("another process runs this node: %w", err), "bettensor status"}
	case errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrNoTail), errors.As(err, &lost), errors.As(err, &newer):
		return &ExitError{Validation, err, verify}
	case errors.Is(err, sock.ErrCertificate):
		return &ExitError{File, err, "bettensor doctor"}
	case errors.As(err, &op):
		return &ExitError{Network, err, ""}
	case errors.Is(err, model.ErrUnknownModel), errors.Is(err, model.ErrUnknownParam), errors.Is(err, model.ErrParamRange):
		return &ExitError{Usage, err, "bettensor miner --help"}
	case errors.As(err, new(*fs.PathError)):
		return &ExitError{Code: File, Err: err}
	}
	return err
}

// writePorts tells other commands where the node is.
func (h *host) writePorts(axon net.Addr, starting bool) error {
	p := web.Ports{Role: h.role.String(), Hotkey: string(h.key.Hotkey()), PID: os.Getpid(), HTTP: h.web.Addr().String(), Starting: starting}
	if axon != nil {
		p.Axon = axon.String()
	}
	if err := web.WritePorts(h.place.dir, p); err != nil {
		return &ExitError{Code: File, Err: err}
	}
	h.told = true
	return nil
}

// tell says where the node is, to other commands and to people.
func (h *host) tell(n *live.Node) error {
	if err := h.writePorts(n.Addr(), false); err != nil {
		return err
	}
	axon := ""
	if a := n.Addr(); a != nil {
		axon = a.String()
	}
	h.log.Info(h.role.String()+" runs", "network", h.where().name, "axon", axon, "page", h.web.URL(), "store", h.place.store, "version", h.version)
	return nil
}

// end ends what was begun, the node first.
func (h *host) end(ctx context.Context) error {
	var errs []error
	if n := h.node.Load(); n != nil {
		select {
		case <-n.Done(): // by itself: that is the command's own error
		default:
			if err := n.Stop(ctx); err != nil {
				errs = append(errs, err)
			}
		}
	}
	if h.told {
		errs = append(errs, web.RemovePorts(h.place.dir))
	}
	if h.feed != nil {
		errs = append(errs, h.feed.Close(ctx))
	}
	if h.link != nil {
		errs = append(errs, h.link.close(ctx))
	}
	if h.web != nil {
		errs = append(errs, h.web.Stop(ctx))
	}
	errs = append(errs, h.hold.Release())
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if h.node.Load() != nil {
		h.log.Info("stopped")
	}
	return nil
}

// headFresh is the condition that the chain goes on.
func (h *host) headFresh() live.Reason {
	r := live.Reason{Condition: live.ChainHeadFresh}
	c := h.link.health()
	age, most := time.Since(c.HeadAt), max(staleBlocks*c.BlockTime, staleLeast)
	switch {
	case c.Head == 0:
		r.Detail = "no head yet"
	case age > most:
		r.Detail = fmt.Sprintf("block %d is %v old, more than %v", c.Head, age.Round(time.Second), most)
	case !c.Up:
		r.Detail = "not connected: " + c.LastError
	default:
		r.Met = true
	}
	return r
}

// source is what the page reads, before there is a node and while there is one.
func (h *host) source() web.Source {
	return web.Source{
		Snapshot: h.snapshot,
		Ready: func() []web.Reason {
			n := h.node.Load()
			if n == nil {
				return []web.Reason{{Code: web.ReasonLoading, Why: "the node is being started"}}
			}
			var out []web.Reason
			for _, r := range n.Ready() {
				if !r.Met {
					out = append(out, web.Reason{Code: string(r.Condition), Why: r.Detail})
				}
			}
			return out
		},
		Progress: func() time.Time {
			n := h.node.Load()
			if n == nil {
				return time.Time{}
			}
			return n.Progress().At
		},
	}
}

func (h *host) snapshot(ctx context.Context) (web.Snapshot, error) {
	s := web.Snapshot{Version: h.version, Role: h.role.String(), Network: h.where().name, Netuid: h.Netuid, Hotkey: string(h.key.Hotkey()),
		Started: h.started, At: time.Now().UTC()}
	if h.link != nil {
		c := h.link.health()
		s.Chain = &c
	}
	if h.feed != nil {
		s.Feeds = h.feeds(h.feed.Stats())
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(h.place.store, &disk); err == nil { // there is none before the first start
		s.Store = &web.Store{Dir: h.place.store, Free: disk.Bavail * uint64(disk.Bsize)}
	}
	n := h.node.Load()
	if n == nil {
		return s, nil
	}
	st, err := n.Stats(ctx)
	if err != nil {
		return s, err
	}
	s.Loop = web.Loop{Events: st.Loop.Events, Lag: st.Loop.Lag}
	s.Node, s.Totals, s.Alarms = &st.Node, st.Totals, st.Node.Alarms
	s.Falls, s.LastFall = uint64(st.Falls), st.Why
	if r := st.Recording; r != nil {
		s.Recording = &web.Recording{Dir: r.Dir, Bytes: uint64(r.Bytes), Error: r.Err}
	}
	if st.Registered {
		uid := uint16(st.UID)
		s.UID = &uid
	}
	s.Sockets = sockets(n, st)
	if s.Clock = byFeed(s.Feeds); s.Clock == nil && s.Chain != nil {
		s.Clock = h.offset.byChain(s.Chain.Head, h.clock.At(s.Chain.HeadAt), st.Block, st.BlockAt, h.speed())
	}
	var miner *node.MinerReport // not of s: a look that comes too late must not write to what is returned
	if err := n.Inspect(ctx, func(v live.View) {
		if v.Miner != nil {
			r := v.Miner.Report()
			miner = &r
		}
	}); err != nil {
		return s, err
	}
	s.Miner = miner
	return s, nil
}

// feeds are a feed's figures, and those of the one that must agree.
func (h *host) feeds(st api.Stats) []web.Feed {
	f := web.Feed{Name: string(st.Kind), Breaker: st.Breaker, LastError: st.LastError, ClockOffset: st.ClockOffset, Refused: st.LastCode == api.CodeKey,
		Counts: node.Counts{{Name: "fetches", Value: st.Asked}, {Name: "failed", Value: st.Failed}, {Name: "shed", Value: st.Shed},
			{Name: "games", Value: st.Games}, {Name: "refused", Value: st.Refused}, {Name: "warned", Value: st.Warned}, {Name: "held", Value: st.Held}}}
	if st.Age >= 0 {
		f.Good = time.Now().Add(-time.Duration(float64(st.Age) / h.speed())).UTC() // the feed counts in the node's time
	}
	for _, o := range st.Requests {
		f.Requests = append(f.Requests, node.Count{Name: o.Outcome, Value: o.Count})
	}
	if q := st.Quota; q != nil {
		left := float64(q.Remaining)
		f.QuotaLeft, f.QuotaShort = &left, q.ResultsOnly || q.Forecast > q.Used+q.Remaining
	}
	out := []web.Feed{f}
	if st.Second != nil {
		out = append(out, h.feeds(*st.Second)...)
	}
	return out
}

// mind is the model of the settings.
func (h *host) mind() (live.Mind, error) {
	spec, err := modelSpec(h.Model.Name, h.Model.Set)
	if err != nil {
		return live.Mind{}, err
	}
	return spec.mind(), nil
}

// modelOf is a model as settings name it and as a recording keeps it.
type modelOf struct {
	Name   string             `json:"name"`
	Params map[string]float64 `json:"params,omitempty"`
	// File and Picks are a picks file's name and content.
	File  string `json:"file,omitempty"`
	Picks string `json:"picks,omitempty"`
}

// modelSpec reads --model and --model.set.
func modelSpec(name string, set []string) (modelOf, error) {
	m := modelOf{Name: name}
	if path, isFile := strings.CutPrefix(name, "file:"); isFile {
		m.Name, m.File = "file", path
		f, err := os.Open(path)
		if err != nil {
			return m, err
		}
		defer f.Close() // only read
		b, err := io.ReadAll(io.LimitReader(f, model.MaxPicksFile+1))
		if err != nil {
			return m, err
		}
		m.Picks = string(b)
	} else if name == "file" {
		return m, &ExitError{Usage, errors.New("model: want --model file:PATH"), "bettensor miner --help"}
	}
	for _, p := range set {
		key, text, ok := strings.Cut(p, "=")
		v, err := strconv.ParseFloat(text, 64)
		if !ok || err != nil {
			return m, &ExitError{Usage, fmt.Errorf("model.set: expected NAME=NUMBER, got %q", shown(p)), "bettensor miner --help"}
		}
		if m.Params == nil {
			m.Params = map[string]float64{}
		}
		m.Params[strings.TrimSpace(key)] = v
	}
	_, err := m.make(nil)
	return m, err
}

func (m modelOf) make(random *rand.Rand) (model.Model, error) {
	x, err := model.New(m.Name, m.Params, random)
	if err != nil {
		return nil, err
	}
	if f, ok := x.(*model.File); ok {
		if err := f.Replace(m.File, []byte(m.Picks)); err != nil {
			return nil, &ExitError{Code: Validation, Err: err}
		}
	}
	return x, nil
}

// text is the spec as a recording keeps it.
func (m modelOf) text() string {
	b, err := json.Marshal(m)
	if err != nil {
		return m.Name // a parameter that is no number was refused before
	}
	return string(b)
}

func (m modelOf) mind() live.Mind {
	return live.Mind{Spec: m.text(), New: m.make}
}

// recordedMind makes a model from what a recording says it was.
func recordedMind(spec string) (live.Mind, error) {
	var m modelOf
	if err := json.Unmarshal([]byte(spec), &m); err != nil {
		return live.Mind{}, fmt.Errorf("model %q: %w", shown(spec), err)
	}
	return m.mind(), nil
}

// sockets are the transport's figures.
func sockets(n *live.Node, st live.Stats) *web.Sockets {
	t := st.Transport
	s := &web.Sockets{Counts: node.Counts{
		{Name: "inbound", Value: t.Inbound}, {Name: "dialled", Value: t.Dialled}, {Name: "refused", Value: t.Refused}, {Name: "evicted", Value: t.Evicted}, {Name: "downgraded", Value: t.Downgraded},
		{Name: "tls_renewed", Value: t.TLSRenewed}, {Name: "tls_stale", Value: t.TLSStale}, {Name: "strangers", Value: uint64(t.Strangers)},
		{Name: "dial_failed", Value: t.DialFailed}, {Name: "frames_in", Value: t.FramesIn}, {Name: "frames_out", Value: t.FramesOut},
		{Name: "bytes_in", Value: t.BytesIn}, {Name: "bytes_out", Value: t.BytesOut}, {Name: "malformed", Value: t.Malformed},
		{Name: "limited", Value: t.Limited}, {Name: "outside", Value: t.Outside},
		{Name: "shed", Value: t.Shed}, {Name: "queue_full", Value: t.QueueFull}, {Name: "unproved", Value: t.Unproved},
		{Name: "slow", Value: t.Slow}, {Name: "dead", Value: t.Dead}, {Name: "asked", Value: t.Asked}, {Name: "answered", Value: t.Answered},
		{Name: "unverified", Value: t.Unverified}, {Name: "unanswered", Value: t.Unanswered}, {Name: "overloaded", Value: t.Overloaded}}}
	if a := n.Addr(); a != nil {
		s.Address = a.String()
	}
	s.Connections = node.Counts{{Name: "websocket", Value: uint64(t.Open)}, {Name: "http", Value: uint64(t.Asking)}}
	s.Signatures = node.Counts{{Name: "ok", Value: t.Signed}, {Name: "bad", Value: t.Forged}}
	for _, service := range st.Node.Services {
		n, _ := service.Counts.Get("refused_replay")
		s.Replays += n
	}
	return s
}

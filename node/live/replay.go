package live

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"bettensor/node"
	"bettensor/node/chain"
	"bettensor/node/feed"
	"bettensor/node/ledger"
	"bettensor/node/wire"
	"bettensor/sched"
	"bettensor/store"

	"github.com/cespare/xxhash/v2"
)

// ReplayOptions say how a recording is run again.
type ReplayOptions struct {
	// Revision of this program. A recording of another one is refused with
	// ErrRevision, unless AnyRevision: then the first difference is reported.
	Revision    string
	AnyRevision bool
	// Until ends each incarnation's replay after so many events; 0 is the end.
	Until uint64
	// Event, where set, ends it at the Nth event of that name on the node's bus.
	Event string
	Nth   uint64
	// Mind makes a miner's model from what the recording says it was.
	Mind func(spec string) (Mind, error)
	// Opener as in Options.
	Opener func() *wire.Opener
	// Log takes what the node logs while it is run again. Default: none.
	Log *slog.Logger
	// Look, where set, is called with the node when its recording has been run.
	Look func(View)
}

// ErrRevision says that a recording was made by another revision of the program.
var ErrRevision = errors.New("another revision made this recording")

// Replayed is what came of one incarnation.
type Replayed struct {
	Dir    string
	Role   string
	Hotkey chain.Hotkey
	Events uint64
	Hash   uint64 // of all that entered the loop and all that left it
	// Seen is how often ReplayOptions.Event came.
	Seen uint64
	// CutOff: the recording stops without an end, because the process was killed.
	// What was there has been replayed and was the same.
	CutOff bool
}

// Recordings are the incarnations in a directory given to Options.Record,
// oldest first; of a directory that is one incarnation, itself.
func Recordings(dir string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(dir, headerFile)); err == nil {
		return []string{dir}, nil
	}
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("recordings: %w", err)
	}
	var out []string
	for _, e := range entries {
		sub := filepath.Join(dir, e.Name())
		if _, err := os.Stat(filepath.Join(sub, headerFile)); e.IsDir() && err == nil {
			out = append(out, sub)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("recordings: %s: no recording in it: %w", dir, fs.ErrNotExist)
	}
	return out, nil
}

// Replay runs one incarnation's recording again, with nothing behind the node's
// ports: all that came through them is in it. It returns a *sched.Divergence
// where the node did not do what it did then, ErrRevision, or ErrDamaged.
func Replay(dir string, o ReplayOptions) (Replayed, error) {
	out := Replayed{Dir: dir}
	head, err := readHeader(dir)
	if err != nil {
		return out, err
	}
	out.Role, out.Hotkey = head.Role, head.Hotkey
	if head.Revision != o.Revision && !o.AnyRevision {
		return out, fmt.Errorf("%w: %q, and this is %q", ErrRevision, head.Revision, o.Revision)
	}
	r, config, err := o.role(head)
	if err != nil {
		return out, err
	}
	// The copy of the store stays as it is: opening a store writes in it.
	work, err := os.MkdirTemp("", "bettensor-replay-")
	if err != nil {
		return out, fmt.Errorf("replay: %w", err)
	}
	defer os.RemoveAll(work)
	opened := store.Options{Dir: filepath.Join(work, storeDir), Schema: ledger.Schema()}
	if _, err := store.Restore(opened, filepath.Join(dir, storeDir)); err != nil {
		return out, fmt.Errorf("replay: %w", err)
	}
	engine, err := store.OpenPebble(opened)
	if err != nil {
		return out, fmt.Errorf("replay: %w", err)
	}
	defer engine.Close() // its directory goes
	snap, err := engine.Snapshot()
	if err != nil {
		return out, fmt.Errorf("replay: %w", err)
	}
	defer snap.Close() // only read

	in := &blocks{dir: dir}
	defer in.close()
	p, err := sched.NewReplay(in)
	switch {
	case errors.Is(in.ended, ErrDamaged):
		return out, in.ended
	case err != nil && in.ended != nil: // killed before the first second was over
		out.CutOff = true
		return out, nil
	case err != nil:
		return out, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	signer := &replayedSigner{hotkey: head.Hotkey, in: in}
	ports := node.Ports{Chain: func(chain.Request, func(sched.Result[chain.Reply])) {}, Net: nowhere{}, Signer: signer, Log: o.Log,
		Feed:  func(feed.Request, func(sched.Result[feed.Batch])) {},
		Store: node.Storage{Snapshot: snap, At: engine.Durable(), Committer: func(func(store.Event)) store.Committer { return noDisk{} }}}
	if head.Backups {
		ports.Backup = func(node.BackupRequest, func(sched.Result[node.BackupReply])) {}
	}
	open := o.Opener
	if open == nil {
		open = func() *wire.Opener { return &wire.Opener{Verifier: &wire.Sr25519Verifier{}} }
	}
	view, err := r.build(p.Loop(), config, ports, open)
	if err != nil {
		return out, fmt.Errorf("replay: %w", err)
	}
	seen := &occurrences{event: o.Event, until: o.Nth}
	if o.Event != "" {
		p.Loop().SetTracer(seen)
	}
	view.service().Start()
	err = run(p, signer, func() bool { return o.Until > 0 && p.Loop().Events() >= o.Until || seen.reached() })
	out.Seen = seen.n
	out.Events, out.Hash = p.Loop().Events(), p.Loop().Hash()
	if errors.Is(in.ended, ErrDamaged) {
		return out, in.ended
	}
	if errors.Is(err, sched.ErrTruncated) {
		out.CutOff, err = true, nil
	}
	if err == nil && o.Look != nil {
		o.Look(view)
	}
	return out, err
}

// occurrences counts the events of a name on a node's bus.
type occurrences struct {
	event    string
	until, n uint64
}

// Trace implements sched.Tracer.
func (o *occurrences) Trace(_ *sched.Loop, kind, name string, _ any) {
	if kind == "bus" && name == o.event {
		o.n++
	}
}

func (o *occurrences) reached() bool { return o.event != "" && o.n >= o.until }

// run turns the loop to the end, or until it is done.
func run(p *sched.Replay, signer *replayedSigner, done func() bool) error {
	for !done() {
		err := p.Step()
		var d *sched.Divergence
		switch {
		case signer.err == nil && err == io.EOF:
			return nil
		case errors.Is(signer.err, io.EOF):
			return sched.ErrTruncated // the process was killed before it had signed
		case signer.err != nil && !errors.As(err, &d):
			return &sched.Divergence{Event: p.Loop().Events(), Source: "signature", Why: signer.err.Error()}
		case err == nil, errors.As(err, &d), errors.Is(err, sched.ErrTruncated):
		default:
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func readHeader(dir string) (header, error) {
	var h header
	f, err := os.Open(filepath.Join(dir, headerFile))
	if err != nil {
		return h, fmt.Errorf("recording: %w", err)
	}
	defer f.Close() // only read
	b, err := io.ReadAll(io.LimitReader(f, maxHeader+1))
	if err != nil {
		return h, fmt.Errorf("recording: %w", err)
	}
	if err := json.Unmarshal(b, &h); err != nil {
		return h, fmt.Errorf("%w: %s: %w", ErrDamaged, f.Name(), err)
	}
	if h.Version != recordingVersion {
		return h, fmt.Errorf("%w: format %d, and this is %d", ErrRevision, h.Version, recordingVersion)
	}
	return h, nil
}

// role is what the recording says the node was.
func (o *ReplayOptions) role(h header) (role, any, error) {
	d := json.NewDecoder(bytes.NewReader(h.Config))
	if !o.AnyRevision {
		d.DisallowUnknownFields()
	}
	switch h.Role {
	case "validator":
		var cfg node.ValidatorConfig
		if err := d.Decode(&cfg); err != nil {
			return role{}, nil, fmt.Errorf("%w: its configuration: %w", ErrDamaged, err)
		}
		r := validatorRole(cfg)
		return r, r.config(nil), nil
	case "miner":
		var cfg node.MinerConfig
		if err := d.Decode(&cfg); err != nil {
			return role{}, nil, fmt.Errorf("%w: its configuration: %w", ErrDamaged, err)
		}
		if o.Mind == nil {
			return role{}, nil, fmt.Errorf("replay: a miner with the model %q, and nothing that makes one", h.Model)
		}
		m, err := o.Mind(h.Model)
		if err != nil {
			return role{}, nil, fmt.Errorf("replay: model %q: %w", h.Model, err)
		}
		r := minerRole(cfg, m)
		return r, r.config(nil), nil
	}
	return role{}, nil, fmt.Errorf("%w: role %q", ErrDamaged, h.Role)
}

// replayedSigner gives the signatures that were made then, each for the text it
// was made for.
type replayedSigner struct {
	hotkey chain.Hotkey
	in     *blocks
	err    error // the first: nothing is signed after it
}

var errOtherText = errors.New("it signs another text here")

// Hotkey is the recorded node's.
func (s *replayedSigner) Hotkey() chain.Hotkey { return s.hotkey }

// Sign returns the next recorded signature.
func (s *replayedSigner) Sign(text []byte) (sig [wire.SignatureSize]byte) {
	if s.err != nil {
		return sig
	}
	var of uint64
	if of, sig, s.err = s.in.signature(); s.err == nil && of != xxhash.Sum64(text) {
		s.err = errOtherText
	}
	return sig
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

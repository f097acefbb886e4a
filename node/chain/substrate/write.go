package substrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"time"

	"bettensor/node/chain"
	"bettensor/node/chain/scale"
	"bettensor/node/chain/timelock"
	"bettensor/sched"
)

// Numbers of a serve_axon and of a watched extrinsic.
const (
	// axonVersion is the release of the Python SDK whose axons ours are compatible
	// with, 10.2.0, as that writes it.
	axonVersion = 10_002_000
	// axonProtocol is what the SDK announces: TCP over IPv4 or IPv6.
	axonProtocol = 4
	// pulseSlack is how many blocks after the first of its reveal epoch a commit is
	// sealed for: until then the beacon's pulse is surely on the chain.
	pulseSlack = 3
	// watchBlocks is how long an endpoint may say nothing of an extrinsic before
	// the blocks are searched for it.
	watchBlocks = 6
	// glanceEvery is how often the blocks of a chain for tests are searched while
	// its endpoint says nothing: it may have pushed before anybody listened.
	glanceEvery = time.Second
	// sendWithin is how long a node's request may wait for a connection, for other
	// extrinsics and for what it is signed over. The node waits 30 s for an answer
	// and then counts on the era of what it has asked for: a request sent later than
	// that would reach the chain when the node no longer reckons with it.
	sendWithin = 20 * time.Second
	// maxSigning tries, where the chain says that what was signed over has changed.
	maxSigning = 2
)

// Prepared is a signed extrinsic that has not been sent.
type Prepared struct {
	Op           chain.Op
	Pallet, Name string       // of the call
	Args         scale.Record // decoded again from Call
	Call         []byte
	Extrinsic    []byte // signed, with its length: what is submitted
	Hash         [32]byte
	Nonce        uint64
	Birth, Death chain.Block // blocks after Birth and before Death can hold it
	Spec         uint32
	Round        uint64      // of a timelocked commit
	RevealAt     chain.Block // of a timelocked commit
}

// State is how far an extrinsic came.
type State string

// States of an extrinsic.
const (
	Included  State = "included"  // in a block, and carried out
	Finalized State = "finalized" // in a block that cannot be undone, and carried out
	Refused   State = "refused"   // by the pool, or in its block: Code tells why
	Dropped   State = "dropped"   // by the endpoint's pool; it may still be included by others
)

// Wait is what Submit waits for.
type Wait uint8

// An extrinsic in a block may still be undone by a fork; a finalised one not.
const (
	ForInclusion Wait = iota
	ForFinality
)

// Outcome is what came of an extrinsic, proved by the events of its block.
type Outcome struct {
	State     State
	Block     chain.Block // 0 where it is in none
	BlockHash [32]byte
	Extrinsic [32]byte
	Events    []string   // "Pallet.Event", in order
	Code      chain.Code // of a refusal
	Pallet    string     // of a refusal in a block
	Error     string     // the refusal's name
	Said      string     // a refusal by the pool in the endpoint's own words
	Round     uint64
	RevealAt  chain.Block
}

// Prepare builds and signs the extrinsic of a request, and sends nothing.
func (c *Client) Prepare(ctx context.Context, q chain.Request) (*Prepared, error) {
	if c.opts.Signer == nil {
		return nil, errors.New("no key to sign with")
	}
	public := c.opts.Signer.PublicKey()
	if own := chain.EncodeSS58(public); q.Hotkey != "" && q.Hotkey != own {
		return nil, fmt.Errorf("the request is of %s, the key is %s", q.Hotkey, own)
	}
	if _, err := c.ready(ctx); err != nil {
		return nil, err
	}
	at := c.newest()
	// Where finality is far behind, or is not at all, an era that begins at the last
	// finalised block is over before it is used.
	if best, _, _ := c.heads(); best.number > at.number+eraBlocks/2 {
		at = best
	}
	// What is sent will be judged by the newest runtime.
	r := c.current()
	p := &Prepared{Op: q.Op, Pallet: subtensor, Birth: at.number, Spec: r.spec}
	if err := c.build(ctx, p, q, at, r); err != nil {
		return nil, err
	}
	var err error
	err = c.call(ctx, "system_accountNextIndex", []any{chain.EncodeSS58(public)}, &p.Nonce)
	if refused(err) { // then what waits in the pool is not known
		best, _, _ := c.heads()
		p.Nonce, err = c.nonceAt(ctx, best)
	}
	if err != nil {
		return nil, err
	}
	era := scale.MortalEra(eraBlocks, uint64(at.number))
	p.Death = chain.Block(era.Death(uint64(at.number)))
	c.mu.Lock()
	genesis := c.genesis
	c.mu.Unlock()
	d, err := r.meta.NewDraft(p.Call, scale.Terms{Spec: r.spec, Transaction: r.transaction, Genesis: genesis, Birth: at.hash, Era: era, Nonce: p.Nonce})
	if err != nil {
		return nil, fmt.Errorf("this version cannot sign for spec %d: %w", r.spec, err)
	}
	signature, err := c.opts.Signer.Sign(d.Payload())
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", p.Name, err)
	}
	if p.Extrinsic, err = d.Signed(public, signature); err != nil {
		return nil, err
	}
	p.Hash = scale.Hash(p.Extrinsic)
	call, err := r.meta.DecodeCall(p.Call)
	if err != nil {
		return nil, err
	}
	p.Args = call.Args
	return p, nil
}

// build makes the call of a request. A call that the runtime does not have is
// CallDisabled.
func (c *Client) build(ctx context.Context, p *Prepared, q chain.Request, at head, r *runtime) (err error) {
	netuid, mechanism := uint16(c.opts.Netuid), c.opts.Mechanism
	args := []scale.Value{netuid}
	suffix := "weights"
	if mechanism > 0 {
		args, suffix = append(args, mechanism), "mechanism_weights"
	}
	switch q.Op {
	case chain.OpSetWeights:
		p.Name, args = "set_"+suffix, append(args, q.Weights.UIDs, q.Weights.Values, q.VersionKey)
	case chain.OpCommitWeights:
		p.Name, args = "commit_"+suffix, append(args, q.Commit[:])
	case chain.OpRevealWeights:
		p.Name, args = "reveal_"+suffix, append(args, q.Weights.UIDs, q.Weights.Values, q.Salt, q.VersionKey)
	case chain.OpCommitTimelocked:
		p.Name = "commit_timelocked_" + suffix
		if !r.meta.HasCall(subtensor, p.Name) {
			return &Refusal{Code: chain.CallDisabled}
		}
		sealed, version, err := c.seal(ctx, p, q, at)
		if err != nil {
			return err
		}
		args = append(args, sealed, p.Round, version)
	case chain.OpServeAxon:
		p.Name = "serve_axon"
		ip, kind, err := c.announced(q.Axon)
		if err != nil {
			return err
		}
		args = []scale.Value{netuid, uint32(axonVersion), ip, q.Axon.Port, kind, uint8(axonProtocol), uint8(0), uint8(0)}
	default:
		return fmt.Errorf("%s is no extrinsic", q.Op)
	}
	if !r.meta.HasCall(subtensor, p.Name) {
		return &Refusal{Code: chain.CallDisabled}
	}
	p.Call, err = r.meta.AppendCall(nil, subtensor, p.Name, args...)
	return err
}

// announced is an address in the chain's form. Those that nobody else could reach
// are refused here: the chain takes some of them.
func (c *Client) announced(a chain.Axon) (ip *big.Int, kind uint8, err error) {
	addr, err := netip.ParseAddr(a.IP)
	if err != nil {
		return nil, 0, &Refusal{Code: chain.InvalidIpAddress}
	}
	if a.Port == 0 {
		return nil, 0, &Refusal{Code: chain.InvalidPort}
	}
	if !chain.Routable(addr) {
		c.mu.Lock()
		local := c.session != nil && onLoopback(c.session.url)
		c.mu.Unlock()
		if !local {
			return nil, 0, &Refusal{Code: chain.InvalidIpAddress}
		}
	}
	addr = addr.Unmap()
	kind = 6
	if addr.Is4() {
		kind = 4
	}
	return new(big.Int).SetBytes(addr.AsSlice()), kind, nil
}

// seal encrypts weights for the beacon's round at which the chain will reveal
// them, by the chain's own time, slot length, schedule and beacon.
func (c *Client) seal(ctx context.Context, p *Prepared, q chain.Request, at head) (sealed []byte, version uint16, err error) {
	r, err := c.runtimeAt(ctx, at)
	if err != nil {
		return nil, 0, err
	}
	read := &query{meta: r.meta}
	now, config, stored := read.add("Timestamp", "Now"), read.add("Drand", "BeaconConfig"), read.add("Drand", "LastStoredRound")
	params := read.params(c.opts.Netuid)
	if err := c.fetch(ctx, read, at); err != nil {
		return nil, 0, fmt.Errorf("schedule of reveals: %w", err)
	}
	hyper := params()
	time0, last := read.moment(now), read.uint(stored)
	beacon, _ := read.value(config).(scale.Record)
	slot, err := slotDuration(r.meta)
	if err != nil {
		return nil, 0, err
	}
	if read.err != nil {
		return nil, 0, fmt.Errorf("schedule of reveals: %w", read.err)
	}
	key, schedule, err := c.beacon(beacon)
	if err != nil {
		return nil, 0, err
	}
	if time0.IsZero() { // before the chain's first block
		time0 = time.Now()
	}
	if hyper.EpochBlocks() == 0 {
		return nil, 0, fmt.Errorf("subnet %d has no epochs", c.opts.Netuid)
	}
	best, _, _ := c.heads()
	in := max(best.number, at.number) + 1 // the block it will be in, if all goes well
	first := hyper.EpochStart(c.opts.Netuid, hyper.Epoch(c.opts.Netuid, in)+hyper.RevealPeriod)
	target := time0.Add(time.Duration(first+pulseSlack-at.number) * slot)
	// The round before the newest at that time: its pulse is there.
	p.Round = max(schedule.RoundAt(target)-1, last+1, 1)
	wait := schedule.TimeOf(p.Round).Sub(time0)
	p.RevealAt = max(first, at.number+chain.Block((wait+slot-1)/slot))
	sealed, err = timelock.Seal(key, p.Round, timelock.Payload(c.opts.Signer.PublicKey(), q.Weights, q.VersionKey), c.opts.Random)
	if err != nil {
		return nil, 0, fmt.Errorf("seal weights: %w", err)
	}
	return sealed, hyper.RevealVersion, nil
}

// slotDuration is how far apart blocks are by the chain's own time.
func slotDuration(m *scale.Metadata) (time.Duration, error) {
	v, err := m.Constant("Aura", "SlotDuration")
	factor := uint64(1)
	if err != nil { // before Aura had it, it was twice the least period between timestamps
		v, err = m.Constant("Timestamp", "MinimumPeriod")
		factor = 2
	}
	ms, ok := number(v)
	if err != nil || !ok || ms == 0 || ms > uint64(time.Hour/time.Millisecond) {
		return 0, fmt.Errorf("the runtime does not say how long a slot is: %v, %v", v, err)
	}
	return time.Duration(ms*factor) * time.Millisecond, nil
}

// beacon is the key and the schedule of rounds that the chain reveals by. On the
// main network that is quicknet: another would be somebody who can open what is
// sealed.
func (c *Client) beacon(config scale.Record) (key []byte, s timelock.Schedule, err error) {
	key, _ = config.Get("public_key").([]byte)
	period, ok1 := number(config.Get("period"))
	genesis, ok2 := number(config.Get("genesis_time"))
	if len(key) != timelock.PublicKeySize || !ok1 || !ok2 || period == 0 || period > 86400 || genesis > 1<<40 {
		return nil, s, errors.New("the chain has no beacon configuration that can be used")
	}
	s = timelock.Schedule{Genesis: time.Unix(int64(genesis), 0), Period: time.Duration(period) * time.Second}
	c.mu.Lock()
	main := c.genesis == FinneyGenesis
	c.mu.Unlock()
	if main && (!slices.Equal(key, timelock.QuicknetKey()) || s.Period != timelock.Quicknet.Period || !s.Genesis.Equal(timelock.Quicknet.Genesis)) {
		return nil, s, errors.New("the endpoint claims another beacon than quicknet on the main network: it is not to be trusted")
	}
	return key, s, nil
}

// lock waits until no other extrinsic is being made.
func (c *Client) lock(ctx context.Context) error {
	select {
	case c.write <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: another extrinsic is under way: %w", sched.ErrNotSent, ctx.Err())
	}
}

func (c *Client) unlock() { <-c.write }

// Submit signs a request's extrinsic, sends it and waits for its outcome. An error
// that is sched.ErrUnknown says that it was sent and its outcome not found out in
// the time that ctx gave; with any other nothing was carried out.
func (c *Client) Submit(ctx context.Context, q chain.Request, wait Wait) (Outcome, error) {
	return c.submit(ctx, ctx, q, wait)
}

// submit is Submit with a context of its own, soon, for all that comes before the
// extrinsic is sent.
func (c *Client) submit(ctx, soon context.Context, q chain.Request, wait Wait) (Outcome, error) {
	if err := c.lock(soon); err != nil {
		return Outcome{}, err
	}
	defer c.unlock()
	if _, err := c.ready(soon); err != nil {
		return Outcome{}, fmt.Errorf("%w: %w", sched.ErrNotSent, err)
	}
	if err := c.settleJournal(soon); err != nil {
		return Outcome{}, fmt.Errorf("%w: %w", sched.ErrNotSent, err)
	}
	for try := 1; ; try++ {
		p, err := c.Prepare(soon, q)
		var refused *Refusal
		switch {
		case errors.As(err, &refused):
			return Outcome{State: Refused, Code: refused.Code, Error: string(refused.Code)}, nil
		case err != nil:
			return Outcome{}, fmt.Errorf("%w: %w", sched.ErrNotSent, err)
		}
		c.sawNonce(p.Nonce)
		o, err := c.send(ctx, soon, p, wait)
		if err != nil || try == maxSigning || o.Block > 0 {
			return o, err
		}
		switch o.Code {
		case chain.Stale, chain.Future:
		case chain.BadProof, chain.AncientBirthBlock: // it may have been signed over a block that is none
			c.dropBest()
		default:
			return o, nil
		}
		if err := c.relearn(soon); err != nil {
			return o, nil
		}
	}
}

// relearn asks for the newest blocks and the runtime's version, in case an upgrade
// was missed.
func (c *Client) relearn(ctx context.Context) error {
	s, err := c.ready(ctx)
	if err != nil {
		return err
	}
	if err := c.look(ctx, s); err != nil {
		return err
	}
	return c.relearnOn(ctx, s)
}

func (c *Client) relearnOn(ctx context.Context, s *session) error {
	var v version
	if err := c.callOn(ctx, s, "state_getRuntimeVersion", nil, &v); err != nil {
		return err
	}
	return c.learn(ctx, s, v.Spec, v.Transaction)
}

// send writes an extrinsic down, sends it once, as long as soon allows, and follows
// it. The write lock is held.
func (c *Client) send(ctx, soon context.Context, p *Prepared, wait Wait) (Outcome, error) {
	e := &entry{Op: p.Op.String(), Hash: p.Hash[:], Bytes: p.Extrinsic, Nonce: p.Nonce, Birth: p.Birth, Death: p.Death}
	s, err := c.ready(soon)
	if err == nil {
		err = soon.Err()
	}
	if err != nil {
		return Outcome{}, fmt.Errorf("%w: %w", sched.ErrNotSent, err)
	}
	if err := c.journal.add(*e); err != nil {
		return Outcome{}, fmt.Errorf("%w: %w", sched.ErrNotSent, err)
	}
	c.own(p.Nonce, true)
	c.log.Info("extrinsic sent", "call", p.Name, "hash", hexText(p.Hash[:]), "nonce", p.Nonce, "until_block", p.Death)
	method := "author_submitAndWatchExtrinsic"
	sub, err := c.subscribeOn(ctx, s, method, hexBytes(p.Extrinsic))
	if unknownMethod(err) {
		method = "author_submitExtrinsic"
		sub, err = nil, c.callOn(ctx, s, method, []any{hexBytes(p.Extrinsic)}, nil)
	}
	var o Outcome
	var said *rpcError
	errors.As(err, &said)
	code, judged := poolRefusal(err, p.Op)
	if said != nil && !judged && c.opts.Lazy { // no pool's word: the endpoint could not take it in
		code, judged = notTaken, true
	}
	switch {
	case errors.Is(err, errUnsent):
		c.forgetExtrinsic(e)
		return Outcome{}, fmt.Errorf("%w: %w", sched.ErrNotSent, err)
	case judged && code != chain.AlreadyImported && code != chain.TemporarilyBanned:
		c.forgetExtrinsic(e)
		return Outcome{State: Refused, Extrinsic: p.Hash, Code: code, Error: string(code), Said: said.Error()}, nil
	case err == nil && sub != nil:
		o, err = c.watch(ctx, s, sub, e, p.Op, wait)
	default:
		o, err = c.search(ctx, e, wait)
	}
	o.Extrinsic, o.Round, o.RevealAt = p.Hash, p.Round, p.RevealAt
	if err != nil && !errors.Is(err, sched.ErrNotSent) {
		return o, fmt.Errorf("%w: %s %s: %w", sched.ErrUnknown, p.Name, hexText(p.Hash[:]), err)
	}
	return o, err
}

// forgetExtrinsic drops one that no pool and no block has.
func (c *Client) forgetExtrinsic(e *entry) {
	c.own(e.Nonce, false)
	if err := c.journal.remove(e.Hash); err != nil {
		c.log.Error("journal of extrinsics not written", "why", err)
	}
	c.countOpen()
}

// settled keeps what is known of an extrinsic.
func (c *Client) settled(e *entry) {
	if err := c.journal.settle(e.Hash); err != nil {
		c.log.Error("journal of extrinsics not written", "why", err)
	}
	c.countOpen()
}

// watch follows what the endpoint says of an extrinsic, and proves what it says by
// the block. Where it says nothing more, blocks are searched.
func (c *Client) watch(ctx context.Context, s *session, sub *subscription, e *entry, op chain.Op, wait Wait) (Outcome, error) {
	defer s.unsubscribe(sub, "author_unwatchExtrinsic")
	patience := time.NewTimer(max(watchBlocks*c.opts.BlockTime, c.opts.CallTimeout))
	defer patience.Stop()
	glance := time.NewTicker(max(glanceEvery, c.lookEvery()))
	defer glance.Stop()
	if !c.opts.Lazy {
		glance.Stop()
	}
	for {
		select {
		case <-ctx.Done():
			return Outcome{}, ctx.Err()
		case <-s.done:
			return c.search(ctx, e, wait)
		case <-patience.C:
			return c.search(ctx, e, wait)
		case <-glance.C:
			if o, done, err := c.glance(ctx, s, e, wait); done {
				return o, err
			}
		case raw := <-sub.pushes:
			word, block := status(raw)
			switch word {
			case "inBlock", "finalized":
				if wait == ForFinality && word != "finalized" {
					continue
				}
				o, found, err := c.prove(ctx, block, e)
				if err != nil || !found {
					c.log.Warn("the endpoint's word on an extrinsic is not borne out by the block", "block", hexText(block[:]), "why", err)
					return c.search(ctx, e, wait)
				}
				c.settled(e)
				return o.as(wait), nil
			case "dropped", "invalid", "unknown", "usurped", "finalityTimeout":
				c.log.Warn("extrinsic left the endpoint's pool", "hash", hexText(e.Hash), "status", word)
				if !c.opts.Lazy || word == "finalityTimeout" {
					return c.search(ctx, e, wait)
				}
				// The pool of a chain for tests is the only one.
				if o, done, err := c.glance(ctx, s, e, wait); done {
					return o, err
				}
				c.forgetExtrinsic(e)
				said := &rpcError{Code: invalidTransaction, Message: word, Data: raw}
				if word == "unknown" {
					said.Code = unknownValidity
				}
				if code, _ := poolRefusal(said, op); word != "dropped" && word != "usurped" && code != "invalid" {
					return Outcome{State: Refused, Code: code, Error: string(code), Said: string(raw)}, nil
				}
				return Outcome{State: Dropped}, nil
			}
		}
	}
}

// status is a push of author_extrinsicUpdate: a word, or an object of one word
// with a block's hash.
func status(raw json.RawMessage) (word string, block [32]byte) {
	if json.Unmarshal(raw, &word) == nil {
		return word, block
	}
	var tagged map[string]json.RawMessage
	if json.Unmarshal(raw, &tagged) != nil || len(tagged) != 1 {
		return "", block
	}
	for w, v := range tagged { // it is one
		var h hexBytes
		if json.Unmarshal(v, &h) == nil && len(h) == 32 {
			block = [32]byte(h)
		}
		word = w
	}
	return word, block
}

// as is an outcome as far as it was waited for.
func (o Outcome) as(wait Wait) Outcome {
	if wait == ForFinality && o.State == Included {
		o.State = Finalized
	}
	return o
}

// errElsewhere: in the newest block, another extrinsic has taken the nonce. Until
// that block is final, ours may still come out in its place.
var errElsewhere = errors.New("another extrinsic of the key has its nonce")

// search looks for an extrinsic in the chain at each new head, until it is found,
// or no block can hold it any more, which is sched.ErrNotSent, or ctx ends.
func (c *Client) search(ctx context.Context, e *entry, wait Wait) (Outcome, error) {
	var last error
	look := time.NewTicker(c.lookEvery())
	defer look.Stop()
	if !c.opts.Lazy { // heads are pushed, or asked for elsewhere
		look.Stop()
	}
	for {
		s, err := c.ready(ctx)
		if err != nil {
			return Outcome{}, errors.Join(err, last)
		}
		_, _, changed := c.heads()
		o, done, err := c.seek(ctx, e, wait)
		if done {
			return o, err
		}
		last = err
		select {
		case <-changed:
		case <-look.C:
			_ = c.look(ctx, s) // a connection that is lost is seen above
		case <-ctx.Done():
			return Outcome{}, errors.Join(ctx.Err(), last)
		}
	}
}

// glance asks for the newest blocks and looks for an extrinsic in them.
func (c *Client) glance(ctx context.Context, s *session, e *entry, wait Wait) (o Outcome, done bool, err error) {
	if err := c.look(ctx, s); err != nil {
		return o, false, err
	}
	return c.seek(ctx, e, wait)
}

// seek looks for an extrinsic in the blocks there are; done says that its outcome
// is known for good.
func (c *Client) seek(ctx context.Context, e *entry, wait Wait) (o Outcome, done bool, err error) {
	best, final, _ := c.heads()
	at := best
	if wait == ForFinality || best.number < final.number {
		at = final
	}
	o, done, err = c.locate(ctx, e, at, at == final)
	if !done && at != final && (errors.Is(err, errElsewhere) || refused(err) || final.number+1 >= e.Death) {
		o, done, err = c.locate(ctx, e, final, true)
	}
	if done {
		c.resolved(e, err)
	}
	return o.as(wait), done, err
}

// resolved keeps what locate found out for good.
func (c *Client) resolved(e *entry, err error) {
	if errors.Is(err, sched.ErrNotSent) {
		c.forgetExtrinsic(e)
		return
	}
	c.settled(e)
}

// locate asks whether an extrinsic is in the chain up to a block. The account's
// nonce tells: it passes the extrinsic's in the block that holds it, which is
// found by halving. done with sched.ErrNotSent says that it will never be in one.
func (c *Client) locate(ctx context.Context, e *entry, at head, final bool) (o Outcome, done bool, err error) {
	n, err := c.nonceAt(ctx, at)
	if err != nil {
		return o, false, err
	}
	if n <= e.Nonce {
		if final && at.number+1 >= e.Death {
			return o, true, fmt.Errorf("%w: its era ended with block %d, and no block has it", sched.ErrNotSent, e.Death-1)
		}
		return o, false, nil
	}
	low, high := head{number: e.Birth}, at
	for low.number+1 < high.number {
		mid := head{number: low.number + (high.number-low.number)/2}
		if mid.hash, err = c.hashOf(ctx, mid.number); err != nil {
			return o, false, err
		}
		n, err := c.nonceAt(ctx, mid)
		switch {
		case err != nil && e.Death+eraBlocks < at.number:
			// The endpoint no longer has the state of so long ago.
			return o, true, fmt.Errorf("the blocks that could hold it are too old to be searched: %w", err)
		case err != nil:
			return o, false, err
		case n > e.Nonce:
			high = mid
		default:
			low = mid
		}
	}
	o, found, err := c.prove(ctx, high.hash, e)
	if err != nil {
		return o, false, err
	}
	if !found {
		if !final {
			return o, false, errElsewhere
		}
		c.stolen(e.Nonce)
		return o, true, fmt.Errorf("%w: another extrinsic of the key took nonce %d in block %d", sched.ErrNotSent, e.Nonce, high.number)
	}
	return o, true, nil
}

// nonceAt is the signer's nonce after a block.
func (c *Client) nonceAt(ctx context.Context, at head) (uint64, error) {
	r, err := c.runtimeAt(ctx, at)
	if err != nil {
		return 0, err
	}
	key := c.opts.Signer.PublicKey()
	q := &query{meta: r.meta}
	s := q.add("System", "Account", key[:])
	if s == noSlot {
		return 0, fmt.Errorf("%w: System.Account", scale.ErrName)
	}
	var b *hexBytes
	if err := c.call(ctx, "state_getStorage", []any{q.keys[0], hexBytes(at.hash[:])}, &b); err != nil {
		return 0, err
	}
	if b != nil {
		q.items[0].bytes = append([]byte{}, *b...)
	}
	account, _ := q.value(s).(scale.Record)
	n, ok := number(account.Get("nonce"))
	switch {
	case q.err != nil:
		return 0, fmt.Errorf("nonce of the account: %w", q.err)
	case !ok:
		return 0, fmt.Errorf("%w: a nonce in System.Account", scale.ErrName)
	}
	return n, nil
}

// prove reads a block and its events, and says what they say of an extrinsic:
// whether the block holds its bytes, and what came of it there.
func (c *Client) prove(ctx context.Context, block [32]byte, e *entry) (o Outcome, found bool, err error) {
	var body *struct {
		Block struct {
			Header     header     `json:"header"`
			Extrinsics []hexBytes `json:"extrinsics"`
		} `json:"block"`
	}
	if err := c.call(ctx, "chain_getBlock", []any{hexBytes(block[:])}, &body); err != nil {
		return o, false, err
	}
	if body == nil {
		return o, false, fmt.Errorf("the endpoint does not know block %s", hexText(block[:]))
	}
	h, err := body.Block.Header.head()
	if c.opts.Lazy { // whose names for blocks may be made up
		h, err = head{chain.Block(body.Block.Header.Number), block}, nil
	}
	if err != nil {
		return o, false, err
	}
	if h.hash != block {
		return o, false, fmt.Errorf("the endpoint answers with block %s in place of %s", hexText(h.hash[:]), hexText(block[:]))
	}
	index := slices.IndexFunc(body.Block.Extrinsics, func(x hexBytes) bool { return slices.Equal(x, e.Bytes) })
	if index < 0 {
		return o, false, nil
	}
	r, err := c.runtimeAt(ctx, h)
	if err != nil {
		return o, false, err
	}
	m := r.meta
	key, err := m.StorageKey("System", "Events")
	if err != nil {
		return o, false, err
	}
	var raw hexBytes
	if err := c.call(ctx, "state_getStorage", []any{hexBytes(key), hexBytes(block[:])}, &raw); err != nil {
		return o, false, err
	}
	events, err := m.DecodeEvents(raw)
	o = Outcome{Block: h.number, BlockHash: block, Extrinsic: [32]byte(e.Hash)}
	for i := range events {
		if v := &events[i]; v.Phase == scale.ApplyExtrinsic && int64(v.Extrinsic) == int64(index) {
			o.Events = append(o.Events, v.Pallet+"."+v.Name)
			if v.Pallet == "System" && v.Name == "ExtrinsicSuccess" {
				o.State = Included
			}
			if v.Pallet == "System" && v.Name == "ExtrinsicFailed" && len(v.Fields) > 0 {
				if o.Pallet, o.Error, err = m.DispatchError(v.Fields[0].Value); err != nil {
					return o, true, err
				}
				o.State, o.Code = Refused, dispatchRefusal(o.Pallet, o.Error)
			}
		}
	}
	switch {
	case o.State == "" && err != nil: // an event before its last could not be read
		return o, true, fmt.Errorf("block %d has the extrinsic: %w", h.number, err)
	case o.State == "":
		return o, true, fmt.Errorf("block %d has the extrinsic, and no event that tells its outcome", h.number)
	}
	return o, true, nil
}

// answerWrite carries out a request that changes the chain.
func (c *Client) answerWrite(ctx context.Context, q chain.Request) (chain.Reply, error) {
	if q.Op == chain.OpServeAxon {
		if p, ok := c.announcedAlready(ctx, q.Axon); ok {
			return p, nil
		}
	}
	soon, cancel := context.WithTimeout(ctx, c.soon)
	defer cancel()
	o, err := c.submit(ctx, soon, q, ForInclusion)
	_, final, _ := c.heads()
	return chain.Reply{
		Code: o.Code, Head: final.number, Included: o.Block, Round: o.Round, RevealAt: o.RevealAt,
		Extrinsic: o.Extrinsic, Foreign: c.foreign(),
	}, err
}

// announcedAlready says whether the chain shows an axon as it is to be announced:
// then nothing is sent, since the chain limits how often that may be.
func (c *Client) announcedAlready(ctx context.Context, a chain.Axon) (chain.Reply, bool) {
	if c.opts.Signer == nil {
		return chain.Reply{}, false
	}
	at, r, err := c.at(ctx)
	if err != nil {
		return chain.Reply{}, false
	}
	key := c.opts.Signer.PublicKey()
	q := &query{meta: r.meta}
	s := q.add(subtensor, "Axons", uint16(c.opts.Netuid), key[:])
	uid := q.add(subtensor, "Uids", uint16(c.opts.Netuid), key[:])
	if err := c.fetch(ctx, q, at); err != nil {
		return chain.Reply{}, false
	}
	shown, block := q.axon(s)
	_, registered := number(q.value(uid))
	if q.err != nil || !registered || shown != a || shown == (chain.Axon{}) {
		return chain.Reply{}, false
	}
	return chain.Reply{Head: at.number, Included: block, Foreign: c.foreign()}, true
}

// nonces tells extrinsics of others with our key from our own.
type nonces struct {
	known   bool
	next    uint64 // all below are accounted for
	final   uint64 // the account's nonce at a finalised block
	own     map[uint64]bool
	foreign uint64
	open    int // entries of the journal
}

// sawNonce takes in a nonce of the account: those below it have been used, or
// wait in a pool.
func (c *Client) sawNonce(n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := &c.nonces
	if !k.known {
		k.known, k.next = true, n
		return
	}
	if n <= k.next {
		return
	}
	used := n - k.next
	for own := range k.own { // counting, in any order
		if own >= k.next && own < n {
			used--
		}
	}
	if used > 0 {
		k.foreign += used
		c.log.Error("another process uses this hotkey", "extrinsics", used, "nonce", n)
	}
	k.next = n
}

// finalNonce is sawNonce at a finalised block: what is below needs no keeping.
func (c *Client) finalNonce(n uint64) {
	c.sawNonce(n)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nonces.final = max(c.nonces.final, n)
	for own := range c.nonces.own { // deleting, in any order
		if own < min(n, c.nonces.next) {
			delete(c.nonces.own, own)
		}
	}
}

func (c *Client) own(nonce uint64, is bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nonces.own == nil {
		c.nonces.own = map[uint64]bool{}
	}
	if is {
		c.nonces.own[nonce] = true
		c.nonces.open++
	} else {
		delete(c.nonces.own, nonce)
	}
}

// stolen takes in that somebody else's extrinsic has a nonce that ours was sent
// with.
func (c *Client) stolen(nonce uint64) {
	c.mu.Lock()
	delete(c.nonces.own, nonce)
	if nonce < c.nonces.next { // counted as ours
		c.nonces.foreign++
	}
	c.mu.Unlock()
	c.sawNonce(nonce + 1)
}

func (c *Client) foreign() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nonces.foreign
}

// countOpen is called with the write lock held.
func (c *Client) countOpen() {
	n := len(c.journal.entries)
	c.mu.Lock()
	c.nonces.open = n
	c.mu.Unlock()
}

// loadJournal reads what an earlier process sent, before there is a first session:
// its nonces are ours. Until then nobody else looks at the journal.
func (c *Client) loadJournal() error {
	if c.opts.Signer == nil || c.journal != nil {
		return nil
	}
	c.mu.Lock()
	genesis := c.genesis
	c.mu.Unlock()
	j, err := openJournal(c.opts.Dir, genesis, chain.EncodeSS58(c.opts.Signer.PublicKey()))
	if err != nil {
		return err
	}
	c.journal = j
	for _, e := range j.entries {
		c.own(e.Nonce, true)
	}
	c.countOpen()
	return nil
}

// settleEarlier finds out, at a new connection, what became of extrinsics whose
// outcome is not known.
func (c *Client) settleEarlier() {
	ctx, cancel := context.WithTimeout(c.ctx, c.opts.OpTimeout)
	defer cancel()
	if c.lock(ctx) != nil {
		return
	}
	defer c.unlock()
	if err := c.settleJournal(ctx); err != nil {
		c.log.Info("an earlier extrinsic is still open", "why", err)
	}
}

// settleJournal resolves what the journal holds, with the write lock held. An
// extrinsic that may still be included is an error: a second one would be a blind
// resend.
func (c *Client) settleJournal(ctx context.Context) error {
	c.mu.Lock()
	final := c.nonces.final
	c.mu.Unlock()
	if err := c.journal.prune(final); err != nil {
		return err
	}
	c.countOpen()
	for _, e := range slices.Clone(c.journal.entries) {
		if e.Settled {
			continue
		}
		best, fin, _ := c.heads()
		o, done, err := c.locate(ctx, &e, best, false)
		elsewhere := errors.Is(err, errElsewhere)
		if !done {
			o, done, err = c.locate(ctx, &e, fin, true)
		}
		switch {
		case done:
			c.log.Info("earlier extrinsic resolved", "op", e.Op, "hash", hexText(e.Hash), "state", o.State, "block", o.Block, "why", err)
			c.resolved(&e, err)
		case c.opts.Lazy && (elsewhere || c.outOfPool(ctx, &e)):
			c.log.Info("earlier extrinsic is gone", "op", e.Op, "hash", hexText(e.Hash))
			c.forgetExtrinsic(&e)
		case err != nil:
			return fmt.Errorf("outcome of an earlier extrinsic (%s): %w", e.Op, err)
		default:
			return fmt.Errorf("%w: %s %s, until block %d", ErrOpen, e.Op, hexText(e.Hash), e.Death)
		}
	}
	return nil
}

// ErrOpen: an extrinsic that was sent earlier may still be included, and another
// in its place would be a blind resend.
var ErrOpen = errors.New("an extrinsic sent earlier may still be included")

// outOfPool says whether the pool of a chain for tests, which is the only one, no
// longer has an extrinsic: the next nonce it would take is not above the
// extrinsic's. Such a chain may also have begun anew under the same genesis. What is
// signed next has the same nonce, so that one of both at most is ever included.
func (c *Client) outOfPool(ctx context.Context, e *entry) bool {
	var next uint64
	err := c.call(ctx, "system_accountNextIndex", []any{chain.EncodeSS58(c.opts.Signer.PublicKey())}, &next)
	return err == nil && next <= e.Nonce
}

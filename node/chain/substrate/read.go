package substrate

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"time"

	"bettensor/node/chain"
	"bettensor/node/chain/scale"
)

// subtensor is the pallet of subnets.
const subtensor = "SubtensorModule"

// Limits of reads.
const (
	// maxKeys of one storage request: what five keys a slot come to in the largest
	// subnet there can be, four times over.
	maxKeys = 8192
	// maxNeurons of a subnet, beyond which its size is not believed.
	maxNeurons = 4096
	// parallelGets is how many single reads are under way at once on an endpoint
	// that does not read many keys in one request.
	parallelGets = 16
)

// query collects storage keys to be read in one request.
type query struct {
	meta  *scale.Metadata
	keys  []hexBytes
	items []item
	err   error // the first value that could not be read
}

type item struct {
	entry *scale.Entry
	bytes []byte // nil where absent
}

// slot is an item of a query; noSlot is one of an entry that the runtime has not.
type slot int

const noSlot slot = -1

// add asks for a storage value. An entry that the metadata does not have is
// noSlot: which there are differs by runtime.
func (q *query) add(pallet, name string, keys ...scale.Value) slot {
	e, err := q.meta.Storage(pallet, name)
	if err != nil {
		return noSlot
	}
	key, err := q.meta.StorageKey(pallet, name, keys...)
	if err != nil {
		q.fail(err)
		return noSlot
	}
	q.keys = append(q.keys, key)
	q.items = append(q.items, item{entry: e})
	return slot(len(q.items) - 1)
}

func (q *query) fail(err error) {
	if q.err == nil {
		q.err = err
	}
}

// value is what was read, its default where absent; nil where there is none.
func (q *query) value(s slot) scale.Value {
	if s == noSlot {
		return nil
	}
	v, _, err := q.items[s].entry.DecodeValue(q.meta, q.items[s].bytes)
	if err != nil {
		q.fail(err)
	}
	return v
}

func (q *query) uint(s slot) uint64 {
	n, _ := number(q.value(s))
	return n
}

func (q *query) uint16(s slot) uint16 { return uint16(min(q.uint(s), 1<<16-1)) }

func (q *query) bool(s slot) bool {
	b, _ := q.value(s).(bool)
	return b
}

func (q *query) list(s slot) []scale.Value {
	v, _ := q.value(s).([]scale.Value)
	return v
}

// account is 32 bytes, and whether they are anybody's.
func (q *query) account(s slot) (a [32]byte, ok bool) {
	b, _ := q.value(s).([]byte)
	return [32]byte(append(b, make([]byte, 32)...)), len(b) == 32 && !slices.Equal(b, make([]byte, 32))
}

// number is any unsigned number that fits 64 bits.
func number(v scale.Value) (uint64, bool) {
	switch x := v.(type) {
	case uint64:
		return x, true
	case *big.Int:
		return x.Uint64(), x.IsUint64()
	case scale.Record: // a number in a struct of its own
		if len(x) == 1 {
			return number(x[0].Value)
		}
	}
	return 0, false
}

// numberAt is an item of a list, 0 beyond its end.
func numberAt(list []scale.Value, i int) uint64 {
	if i >= len(list) {
		return 0
	}
	n, _ := number(list[i])
	return n
}

func boolAt(list []scale.Value, i int) bool {
	if i >= len(list) {
		return false
	}
	b, _ := list[i].(bool)
	return b
}

// fetch reads all of a query at one block.
func (c *Client) fetch(ctx context.Context, q *query, at head) error {
	if q.err != nil {
		return q.err
	}
	if len(q.keys) > maxKeys {
		return fmt.Errorf("%d storage keys in one read, at most %d are asked for", len(q.keys), maxKeys)
	}
	if len(q.keys) == 0 {
		return nil
	}
	var sets []struct {
		Changes [][2]*hexBytes `json:"changes"`
	}
	err := c.call(ctx, "state_queryStorageAt", []any{q.keys, hexBytes(at.hash[:])}, &sets)
	switch {
	case unknownMethod(err), refused(err) && c.opts.Lazy:
		return c.fetchSingly(ctx, q, at)
	case err != nil:
		return c.pinned(at, err)
	}
	places := make(map[string][]int, len(q.keys))
	for i, k := range q.keys {
		places[string(k)] = append(places[string(k)], i)
	}
	answered := make([]bool, len(q.keys))
	for _, set := range sets {
		for _, change := range set.Changes {
			if change[0] == nil {
				continue
			}
			for _, i := range places[string(*change[0])] {
				answered[i] = true
				if change[1] != nil {
					q.items[i].bytes = append(make([]byte, 0, len(*change[1])), *change[1]...)
				}
			}
		}
	}
	if slices.Contains(answered, false) { // which may be absent, or may have been left out
		return c.fetchSingly(ctx, q, at)
	}
	return nil
}

// pinned is an error of a read at a head. An endpoint that cannot read its own
// head is given up.
func (c *Client) pinned(at head, err error) error {
	var refused *rpcError
	if errors.As(err, &refused) && !unknownMethod(err) {
		c.disown(at, refused)
	}
	return err
}

func (c *Client) fetchSingly(ctx context.Context, q *query, at head) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	free := make(chan struct{}, parallelGets)
	for i := range q.keys {
		free <- struct{}{}
		go func() {
			defer func() { <-free }()
			var b *hexBytes
			if err := c.call(ctx, "state_getStorage", []any{q.keys[i], hexBytes(at.hash[:])}, &b); err != nil {
				cancel(err)
			} else if b != nil {
				q.items[i].bytes = append([]byte{}, *b...)
			}
		}()
	}
	for range parallelGets { // all are done when all places are ours
		free <- struct{}{}
	}
	if err := context.Cause(ctx); err != nil {
		return c.pinned(at, err)
	}
	return nil
}

// neuronKey is who holds a slot.
type neuronKey = [32]byte

// params asks for a subnet's hyperparameters; read takes them when they are there.
func (q *query) params(n chain.Netuid) (read func() chain.Hyperparameters) {
	sub := func(name string) slot { return q.add(subtensor, name, uint16(n)) }
	first := func(names ...string) slot {
		for _, name := range names {
			if e, err := q.meta.Storage(subtensor, name); err == nil {
				if len(e.Hashers) == 0 {
					return q.add(subtensor, name)
				}
				return sub(name)
			}
		}
		return noSlot
	}
	tempo, rate, version := sub("Tempo"), sub("WeightsSetRateLimit"), sub("WeightsVersionKey")
	least, most, immunity := sub("MinAllowedWeights"), sub("MaxWeightsLimit"), sub("ImmunityPeriod")
	cutoff, factor := sub("ActivityCutoff"), sub("ActivityCutoffFactorMilli")
	uids, validators := sub("MaxAllowedUids"), sub("MaxAllowedValidators")
	commit, period := sub("CommitRevealWeightsEnabled"), sub("RevealPeriodEpochs")
	stake, reveal := first("StakeThreshold", "WeightsMinStake"), first("CommitRevealWeightsVersion")
	last, index := sub("LastEpochBlock"), sub("SubnetEpochIndex")
	return func() chain.Hyperparameters {
		p := chain.Hyperparameters{
			Tempo:             q.uint16(tempo),
			WeightsRateLimit:  q.uint(rate),
			WeightsVersionKey: q.uint(version),
			MinAllowedWeights: q.uint16(least),
			MaxWeightsLimit:   q.uint16(most),
			ImmunityPeriod:    q.uint16(immunity),
			ActivityCutoff:    q.uint16(cutoff),
			MaxUIDs:           q.uint16(uids),
			MaxValidators:     q.uint16(validators),
			CommitReveal:      q.bool(commit),
			RevealPeriod:      q.uint(period),
			StakeThreshold:    chain.Rao(q.uint(stake)),
			LastEpoch:         chain.Block(q.uint(last)),
			EpochIndex:        q.uint(index),
		}
		if factor != noSlot { // a share of the tempo in thousandths, in newer runtimes
			p.ActivityCutoff = uint16(min(max(q.uint(factor)*uint64(p.Tempo)/1000, 1), 1<<16-1))
		}
		if q.meta.HasCall(subtensor, "commit_timelocked_weights") {
			p.RevealVersion = q.uint16(reveal)
		}
		return p
	}
}

// neuronSlots are the reads that one neuron takes.
type neuronSlots struct{ axon, coldkey, stake slot }

func (q *query) neuron(n chain.Netuid, hotkey [32]byte) neuronSlots {
	s := neuronSlots{axon: q.add(subtensor, "Axons", uint16(n), hotkey[:]), coldkey: q.add(subtensor, "Owner", hotkey[:])}
	s.stake = q.add(subtensor, "TotalHotkeyAlpha", hotkey[:], uint16(n))
	if s.stake == noSlot { // before subnets had tokens of their own
		s.stake = q.add(subtensor, "TotalHotkeyStake", hotkey[:])
	}
	return s
}

// axon is what a neuron announced, and in which block.
func (q *query) axon(s slot) (chain.Axon, chain.Block) {
	if s == noSlot {
		return chain.Axon{}, 0
	}
	r, ok := q.value(s).(scale.Record)
	if !ok {
		return chain.Axon{}, 0
	}
	return axonOf(r)
}

func axonOf(r scale.Record) (chain.Axon, chain.Block) {
	port, _ := number(r.Get("port"))
	kind, _ := number(r.Get("ip_type"))
	block, _ := number(r.Get("block"))
	ip, ok := r.Get("ip").(*big.Int)
	if !ok || port == 0 || port > 1<<16-1 || ip.Sign() < 0 || ip.BitLen() > 128 {
		return chain.Axon{}, chain.Block(block)
	}
	var raw [16]byte
	ip.FillBytes(raw[:])
	a := netip.AddrFrom16(raw)
	if kind == 4 {
		if ip.BitLen() > 32 {
			return chain.Axon{}, chain.Block(block)
		}
		a = netip.AddrFrom4([4]byte(raw[12:]))
	}
	return chain.Axon{IP: a.String(), Port: uint16(port)}, chain.Block(block)
}

// moment is Timestamp.Now.
func (q *query) moment(s slot) time.Time {
	if ms := q.uint(s); ms > 0 && ms < 1<<53 {
		return time.UnixMilli(int64(ms)).UTC()
	}
	return time.Time{}
}

// Metagraph reads the subnet at a block: 0 is the newest finalised one. Blocks above
// that are a *BlockError, since they may still be undone.
func (c *Client) Metagraph(ctx context.Context, block chain.Block) (*chain.Metagraph, error) {
	at, r, err := c.blockAt(ctx, block)
	if err != nil {
		return nil, err
	}
	return c.metagraph(ctx, at, r)
}

// BestMetagraph reads the subnet at the newest block, which may still be undone: for
// what is only shown, above all its time.
func (c *Client) BestMetagraph(ctx context.Context) (*chain.Metagraph, error) {
	if _, err := c.ready(ctx); err != nil {
		return nil, err
	}
	best, _, _ := c.heads()
	r, err := c.runtimeAt(ctx, best)
	if err != nil {
		return nil, err
	}
	return c.metagraph(ctx, best, r)
}

// blockAt is a finalised block and its runtime. On a chain for tests, which may
// finalise none, it is any block.
func (c *Client) blockAt(ctx context.Context, block chain.Block) (head, *runtime, error) {
	if _, err := c.ready(ctx); err != nil {
		return head{}, nil, err
	}
	at := c.newest()
	if block != 0 && block != at.number {
		if !c.opts.Lazy && block > at.number {
			return head{}, nil, &BlockError{block, at.number}
		}
		hash, err := c.hashOf(ctx, block)
		if err != nil {
			return head{}, nil, err
		}
		at = head{block, hash}
	}
	r, err := c.runtimeAt(ctx, at)
	return at, r, err
}

// metagraph reads all at one block. The hotkeys of the last time are taken for a
// guess, so that one request does for all where no slot changed hands.
func (c *Client) metagraph(ctx context.Context, at head, r *runtime) (*chain.Metagraph, error) {
	netuid, index := c.opts.Netuid, chain.StorageIndex(c.opts.Netuid, c.opts.Mechanism)
	q := &query{meta: r.meta}
	sub := func(name string) slot { return q.add(subtensor, name, uint16(netuid)) }
	vector := func(name string) slot { return q.add(subtensor, name, index) }
	now, exists, size := q.add("Timestamp", "Now"), sub("NetworksAdded"), sub("SubnetworkN")
	permits, updates, active := sub("ValidatorPermit"), vector("LastUpdate"), sub("Active")
	incentives, dividends := vector("Incentive"), sub("Dividends")
	trusts, emissions := sub("ValidatorTrust"), sub("Emission")
	owner, ownerHotkey := sub("SubnetOwner"), sub("SubnetOwnerHotkey")
	nonce := noSlot
	if c.opts.Signer != nil {
		key := c.opts.Signer.PublicKey()
		nonce = q.add("System", "Account", key[:])
	}
	params := q.params(netuid)

	c.mu.Lock()
	known := c.known
	c.mu.Unlock()
	type perUID struct{ key, registered slot }
	uids := make([]perUID, len(known))
	neurons := map[[32]byte]neuronSlots{}
	for i := range uids {
		uids[i] = perUID{q.add(subtensor, "Keys", uint16(netuid), uint16(i)), q.add(subtensor, "BlockAtRegistration", uint16(netuid), uint16(i))}
		if _, ok := neurons[known[i]]; !ok {
			neurons[known[i]] = q.neuron(netuid, known[i])
		}
	}
	if err := c.fetch(ctx, q, at); err != nil {
		return nil, fmt.Errorf("metagraph of subnet %d: %w", netuid, err)
	}
	n := int(q.uint(size))
	switch {
	case q.err != nil:
		return nil, fmt.Errorf("metagraph of subnet %d: %w", netuid, q.err)
	case !q.bool(exists) && n == 0:
		return nil, noSubnet(netuid, at)
	case n > maxNeurons:
		return nil, fmt.Errorf("subnet %d has %d slots, at most %d are read", netuid, n, maxNeurons)
	}

	// What the guess did not cover: new slots first, then new holders.
	more := &query{meta: r.meta}
	for i := len(uids); i < n; i++ {
		uids = append(uids, perUID{more.add(subtensor, "Keys", uint16(netuid), uint16(i)), more.add(subtensor, "BlockAtRegistration", uint16(netuid), uint16(i))})
	}
	if err := c.fetch(ctx, more, at); err != nil {
		return nil, fmt.Errorf("metagraph of subnet %d: %w", netuid, err)
	}
	from := func(i int) *query {
		if i < len(known) {
			return q
		}
		return more
	}
	late := &query{meta: r.meta}
	lateNeurons := map[[32]byte]neuronSlots{}
	keys := make([][32]byte, n)
	for i := range keys {
		keys[i], _ = from(i).account(uids[i].key)
		if _, ok := neurons[keys[i]]; ok {
			continue
		}
		if _, ok := lateNeurons[keys[i]]; !ok {
			lateNeurons[keys[i]] = late.neuron(netuid, keys[i])
		}
	}
	if err := c.fetch(ctx, late, at); err != nil {
		return nil, fmt.Errorf("metagraph of subnet %d: %w", netuid, err)
	}

	m := &chain.Metagraph{Netuid: netuid, Block: at.number, At: q.moment(now), Params: params(), Neurons: make([]chain.Neuron, n)}
	if a, ok := q.account(ownerHotkey); ok {
		m.Owner = chain.EncodeSS58(a)
	} else if a, ok := q.account(owner); ok && ownerHotkey == noSlot {
		for i := range keys { // older runtimes name the coldkey only
			if cold, _ := ownedBy(q, late, neurons, lateNeurons, keys[i]); cold == a {
				m.Owner = chain.EncodeSS58(keys[i])
				break
			}
		}
	}
	permit, update, alive := q.list(permits), q.list(updates), q.list(active)
	incentive, dividend, trust, emission := q.list(incentives), q.list(dividends), q.list(trusts), q.list(emissions)
	for i := range m.Neurons {
		cold, s := ownedBy(q, late, neurons, lateNeurons, keys[i])
		x := q
		if _, ok := neurons[keys[i]]; !ok {
			x = late
		}
		axon, _ := x.axon(s.axon)
		m.Neurons[i] = chain.Neuron{
			UID:          chain.UID(i),
			Hotkey:       chain.EncodeSS58(keys[i]),
			Coldkey:      chain.Coldkey(chain.EncodeSS58(cold)),
			Stake:        chain.Rao(x.uint(s.stake)),
			Permit:       boolAt(permit, i),
			Active:       boolAt(alive, i),
			RegisteredAt: chain.Block(from(i).uint(uids[i].registered)),
			LastUpdate:   chain.Block(numberAt(update, i)),
			Axon:         axon,
			Incentive:    uint16(numberAt(incentive, i)),
			Dividends:    uint16(numberAt(dividend, i)),
			VTrust:       uint16(numberAt(trust, i)),
			Emission:     chain.Rao(numberAt(emission, i)),
		}
	}
	for _, x := range []*query{q, more, late} {
		if x.err != nil {
			return nil, fmt.Errorf("metagraph of subnet %d: %w", netuid, x.err)
		}
	}
	m.OwnStake = !c.stakes(ctx, at, r, m)
	if m.OwnStake {
		if _, err := r.meta.Storage(subtensor, "TotalHotkeyAlpha"); err != nil { // then there is no other
			m.OwnStake = false
		}
	}
	c.mu.Lock()
	tell := m.OwnStake && !c.ownStake
	c.ownStake = m.OwnStake
	c.mu.Unlock()
	if tell {
		c.log.Warn("the chain does not tell the stake that counts: what is shown is the subnet's own, without the root's part", "netuid", netuid, "block", at.number)
	}
	c.mu.Lock()
	c.known = keys
	c.mu.Unlock()
	if account, ok := q.value(nonce).(scale.Record); ok {
		final, _ := number(account.Get("nonce"))
		c.finalNonce(final)
	}
	return m, nil
}

func noSubnet(n chain.Netuid, at head) error {
	return &Refusal{chain.SubnetNotExists, fmt.Sprintf("the chain has no subnet %d in block %d: check --netuid", n, at.number)}
}

// ownedBy finds a hotkey's coldkey and its reads.
func ownedBy(q, late *query, early, lateNeurons map[[32]byte]neuronSlots, key [32]byte) ([32]byte, neuronSlots) {
	if s, ok := early[key]; ok {
		cold, _ := q.account(s.coldkey)
		return cold, s
	}
	s := lateNeurons[key]
	cold, _ := late.account(s.coldkey)
	return cold, s
}

// stakes takes the stake of each neuron as the chain itself reckons it, root stake
// included, where its runtime offers that and describes it. Storage has only the
// subnet's own part, which stands where it does not: then it is not all.
func (c *Client) stakes(ctx context.Context, at head, r *runtime, m *chain.Metagraph) (all bool) {
	method, err := r.meta.Method("NeuronInfoRuntimeApi", "get_neurons_lite")
	if err != nil || len(method.Inputs) != 1 {
		return false
	}
	args, err := r.meta.Encode(nil, method.Inputs[0].Type, uint16(m.Netuid))
	if err != nil {
		return false
	}
	var b hexBytes
	err = c.call(ctx, "state_call", []any{"NeuronInfoRuntimeApi_get_neurons_lite", hexBytes(args), hexBytes(at.hash[:])}, &b)
	if err != nil {
		c.log.Debug("stakes are from storage", "why", err)
		return false
	}
	v, err := r.meta.DecodeAll(method.Output, b)
	list, ok := v.([]scale.Value)
	if err != nil || !ok {
		c.log.Debug("stakes are from storage", "why", err)
		return false
	}
	told := make([]bool, len(m.Neurons))
	for _, x := range list {
		neuron, _ := x.(scale.Record)
		uid, ok := number(neuron.Get("uid"))
		key, _ := neuron.Get("hotkey").([]byte)
		stakes, isList := neuron.Get("stake").([]scale.Value)
		if !ok || !isList || uid >= uint64(len(m.Neurons)) || len(key) != 32 || chain.EncodeSS58([32]byte(key)) != m.Neurons[uid].Hotkey {
			continue
		}
		var sum uint64
		for _, s := range stakes {
			if pair, ok := s.([]scale.Value); ok {
				sum += numberAt(pair, 1)
			}
		}
		m.Neurons[uid].Stake, told[uid] = chain.Rao(sum), true
	}
	return !slices.Contains(told, false)
}

func (c *Client) answerSync(ctx context.Context) (chain.Reply, error) {
	m, err := c.Metagraph(ctx, 0)
	if err != nil {
		return chain.Reply{}, err
	}
	return chain.Reply{Head: m.Block, HeadAt: m.At, Metagraph: m, Foreign: c.foreign()}, nil
}

func (c *Client) answerWeights(ctx context.Context, hotkey chain.Hotkey) (chain.Reply, error) {
	at, r, err := c.at(ctx)
	if err != nil {
		return chain.Reply{}, err
	}
	key, err := hotkey.PublicKey()
	if err != nil {
		return chain.Reply{}, err
	}
	c.mu.Lock()
	guess := slices.Index(c.known, key)
	c.mu.Unlock()
	index := chain.StorageIndex(c.opts.Netuid, c.opts.Mechanism)
	for range 2 {
		q := &query{meta: r.meta}
		now, uid := q.add("Timestamp", "Now"), q.add(subtensor, "Uids", uint16(c.opts.Netuid), key[:])
		row := noSlot
		if guess >= 0 {
			row = q.add(subtensor, "Weights", index, uint16(guess))
		}
		if err := c.fetch(ctx, q, at); err != nil {
			return chain.Reply{}, fmt.Errorf("weights of %s: %w", hotkey, err)
		}
		reply := chain.Reply{Head: at.number, HeadAt: q.moment(now), Foreign: c.foreign()}
		is, ok := number(q.value(uid))
		if q.err == nil && !ok {
			reply.Code = chain.HotKeyNotRegisteredInSubNet
			return reply, nil
		}
		if q.err == nil && int(is) != guess {
			guess = int(is)
			continue
		}
		for _, pair := range q.list(row) {
			if p, ok := pair.([]scale.Value); ok {
				reply.Weights.UIDs = append(reply.Weights.UIDs, chain.UID(numberAt(p, 0)))
				reply.Weights.Values = append(reply.Weights.Values, uint16(numberAt(p, 1)))
			}
		}
		if q.err != nil {
			return chain.Reply{}, fmt.Errorf("weights of %s: %w", hotkey, q.err)
		}
		return reply, nil
	}
	return chain.Reply{}, fmt.Errorf("weights of %s: its slot changed while it was read", hotkey)
}

// Info is what `chain info` shows.
type Info struct {
	Genesis     string      `json:"genesis"`
	SpecVersion uint32      `json:"spec_version"`
	Best        chain.Block `json:"best"`
	Finalized   chain.Block `json:"finalized"`
	Endpoint    string      `json:"endpoint"`
}

// Info waits for an endpoint and tells what it is.
func (c *Client) Info(ctx context.Context) (Info, error) {
	if _, _, err := c.at(ctx); err != nil {
		return Info{}, err
	}
	h := c.Health()
	return Info{h.Genesis, h.SpecVersion, h.Best, h.Finalised, h.Endpoint}, nil
}

// Parameter is a hyperparameter by name. Value is a number or a truth value. Those
// that the Python tools name otherwise than the chain are there by both names.
type Parameter struct {
	Name  string
	Value any
}

// parameters are the storage values that hold hyperparameters, each with the name
// that the Python tools show it by: "" where that is the storage's own in lower
// case.
var parameters = []struct{ storage, name string }{
	{"Rho", ""},
	{"Kappa", ""},
	{"ImmunityPeriod", ""},
	{"MinAllowedWeights", ""},
	{"MaxWeightsLimit", ""},
	{"Tempo", ""},
	{"MinDifficulty", ""},
	{"MaxDifficulty", ""},
	{"Difficulty", ""},
	{"WeightsVersionKey", "weights_version"},
	{"WeightsSetRateLimit", "weights_rate_limit"},
	{"AdjustmentInterval", ""},
	{"AdjustmentAlpha", ""},
	{"ActivityCutoff", ""},
	{"ActivityCutoffFactorMilli", ""},
	{"NetworkRegistrationAllowed", "registration_allowed"},
	{"TargetRegistrationsPerInterval", "target_regs_per_interval"},
	{"MaxRegistrationsPerBlock", "max_regs_per_block"},
	{"Burn", ""},
	{"MinBurn", ""},
	{"MaxBurn", ""},
	{"BondsMovingAverage", "bonds_moving_avg"},
	{"ServingRateLimit", ""},
	{"MaxAllowedUids", ""},
	{"MaxAllowedValidators", "max_validators"},
	{"RevealPeriodEpochs", "commit_reveal_period"},
	{"CommitRevealWeightsEnabled", ""},
	{"CommitRevealWeightsVersion", "commit_reveal_version"},
	{"StakeThreshold", ""},
	{"WeightsMinStake", ""},
	{"LiquidAlphaOn", "liquid_alpha_enabled"},
	{"AlphaSigmoidSteepness", ""},
	{"BondsPenalty", ""},
	{"BondsResetOn", "bonds_reset_enabled"},
	{"TransferToggle", "transfers_enabled"},
	{"MinAllowedUids", ""},
	{"ImmuneOwnerUidsLimit", ""},
	{"Yuma3On", "yuma3_enabled"},
	{"SubtokenEnabled", ""},
	{"MechanismCountCurrent", "mechanism_count"},
	{"LastEpochBlock", ""},
	{"SubnetEpochIndex", "epoch_index"},
}

// snake is a storage value's name in lower case, its words joined by _.
func snake(name string) string {
	var b []byte
	for i, r := range []byte(name) {
		if r >= 'A' && r <= 'Z' {
			if r += 'a' - 'A'; i > 0 {
				b = append(b, '_')
			}
		}
		b = append(b, r)
	}
	return string(b)
}

// Hyperparameters reads all hyperparameters that the runtime has, from storage, at
// a block: 0 is the newest finalised one.
func (c *Client) Hyperparameters(ctx context.Context, block chain.Block) ([]Parameter, error) {
	at, r, err := c.blockAt(ctx, block)
	if err != nil {
		return nil, err
	}
	q := &query{meta: r.meta}
	exists, size := q.add(subtensor, "NetworksAdded", uint16(c.opts.Netuid)), q.add(subtensor, "SubnetworkN", uint16(c.opts.Netuid))
	slots := make([]slot, len(parameters))
	for i, p := range parameters {
		slots[i] = noSlot
		if e, err := r.meta.Storage(subtensor, p.storage); err == nil {
			var keys []scale.Value
			if len(e.Hashers) > 0 {
				keys = []scale.Value{uint16(c.opts.Netuid)}
			}
			slots[i] = q.add(subtensor, p.storage, keys...)
		}
	}
	if err := c.fetch(ctx, q, at); err != nil {
		return nil, fmt.Errorf("hyperparameters of subnet %d: %w", c.opts.Netuid, err)
	}
	if exists != noSlot && !q.bool(exists) && q.uint(size) == 0 {
		return nil, noSubnet(c.opts.Netuid, at)
	}
	var out []Parameter
	for i, p := range parameters {
		switch v := q.value(slots[i]).(type) {
		case bool, uint64, int64:
			if p.name != "" {
				out = append(out, Parameter{p.name, v})
			}
			out = append(out, Parameter{snake(p.storage), v})
		}
	}
	return out, q.err
}

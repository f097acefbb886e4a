package mockchain

import (
	"net/netip"
	"slices"
	"time"

	"bettensor/node/chain"
)

// commit is one unrevealed hash.
type commit struct {
	hash  [32]byte
	block chain.Block
	epoch uint64 // the block's, as numbered then
}

// Submit answers a request. An extrinsic is executed at once, in the block
// after now; the reply says which (Included, also for a refusal), and the
// caller delivers it when TimeOf(Included) has come. Head and HeadAt are the
// best block at submission. OpSync and OpReadWeights are answered as of the
// finalised block of now. An unknown operation is CallDisabled.
//
// q's slices are copied where they are kept.
func (c *Chain) Submit(now time.Time, q chain.Request) chain.Reply {
	if reads(q.Op) {
		c.Advance(now)
		return c.read(c.finalised(), &q)
	}
	b := c.execute(now)
	head := c.BlockAt(c.now)
	p := chain.Reply{Head: head, HeadAt: c.TimeOf(head), Included: b}
	switch q.Op {
	case chain.OpSetWeights:
		p.Code = c.setWeights(b, &q)
	case chain.OpCommitWeights:
		p.Code = c.commitWeights(b, &q)
	case chain.OpRevealWeights:
		p.Code = c.revealWeights(b, &q)
	case chain.OpServeAxon:
		p.Code = c.serveAxon(b, &q)
	case chain.OpCommitTimelocked:
		k := sealed{Sealed: Sealed{Hotkey: q.Hotkey, Round: c.roundFor(head)}, versionKey: q.VersionKey}
		k.weights = chain.Weights{UIDs: slices.Clone(q.Weights.UIDs), Values: slices.Clone(q.Weights.Values)}
		p.Code, p.RevealAt = c.commitTimelocked(b, k, c.params.RevealVersion)
		if p.Code == chain.OK {
			p.Round = k.Round
		}
	default:
		p.Code = chain.CallDisabled
	}
	if c.onExtrinsic != nil {
		c.onExtrinsic(c.now, q, p)
	}
	return p
}

// reads says whether an operation changes nothing.
func reads(op chain.Op) bool { return op == chain.OpSync || op == chain.OpReadWeights }

// read answers what changes nothing, as of block b.
func (c *Chain) read(b chain.Block, q *chain.Request) chain.Reply {
	m := c.stateAt(b)
	p := chain.Reply{Head: m.Block, HeadAt: m.At}
	if q.Op == chain.OpSync {
		p.Metagraph = m
		return p
	}
	uid, ok := m.UIDOf(q.Hotkey)
	if !ok {
		p.Code = chain.HotKeyNotRegisteredInSubNet
		return p
	}
	p.Weights, p.Included = c.weightsIn(b, uid)
	return p
}

// setWeights is the call in the clear: refused where commits are wanted, and
// not even looked at further.
func (c *Chain) setWeights(b chain.Block, q *chain.Request) chain.Code {
	if c.params.CommitReveal {
		return chain.CommitRevealEnabled
	}
	return c.storeWeights(b, q)
}

// storeWeights checks weights in the chain's order and keeps them. A vote on
// oneself alone needs no permit, no least number and knows no largest share.
func (c *Chain) storeWeights(b chain.Block, q *chain.Request) chain.Code {
	w := q.Weights
	if len(w.UIDs) != len(w.Values) {
		return chain.WeightVecNotEqualSize
	}
	if len(w.UIDs) > len(c.slots) {
		return chain.UidsLengthExceedUidsInSubNet
	}
	a := c.holder(q.Hotkey)
	if a == nil {
		return chain.HotKeyNotRegisteredInSubNet
	}
	s := &c.slots[a.uid]
	if a.stake < c.params.StakeThreshold {
		return chain.NotEnoughStakeToSetWeights
	}
	if q.VersionKey < c.params.WeightsVersionKey {
		return chain.IncorrectWeightVersionKey
	}
	// With commit-reveal the commit was rate checked, the reveal is not.
	if !c.params.CommitReveal && !c.passesRateLimit(s, b) {
		return chain.SettingWeightsTooFast
	}
	onSelf := len(w.UIDs) == 1 && w.UIDs[0] == a.uid
	if !onSelf && !s.permit && q.Hotkey != c.cfg.Owner {
		return chain.NeuronNoValidatorPermit
	}
	if code := c.checkUIDs(w.UIDs); code != chain.OK {
		return code
	}
	if !onSelf && len(w.UIDs) < min(int(c.params.MinAllowedWeights), len(c.slots)) {
		return chain.WeightVecLengthIsLow
	}
	values := upscale(w.Values)
	if !onSelf && !withinLimit(values, c.params.MaxWeightsLimit) {
		return chain.MaxWeightExceeded
	}
	s.weights = chain.Weights{UIDs: slices.Clone(w.UIDs), Values: values}
	s.weightsAt = b
	if !c.params.CommitReveal {
		s.lastUpdate = b
	}
	return chain.OK
}

// checkUIDs looks for duplicates first, as the chain does. Ascending UIDs,
// which a node sends, need one pass; there are at most as many UIDs as slots.
func (c *Chain) checkUIDs(uids []chain.UID) chain.Code {
	ascending := true
	for i := 1; i < len(uids); i++ {
		ascending = ascending && uids[i] > uids[i-1]
		if !ascending && slices.Contains(uids[:i], uids[i]) {
			return chain.DuplicateUids
		}
	}
	for _, u := range uids {
		if int(u) >= len(c.slots) {
			return chain.UidVecContainInvalidOne
		}
	}
	return chain.OK
}

// passesRateLimit: a LastUpdate of 0 stands for never.
func (c *Chain) passesRateLimit(s *slot, b chain.Block) bool {
	return s.lastUpdate == 0 || uint64(b-s.lastUpdate) >= c.params.WeightsRateLimit
}

// upscale scales values so that the largest is 65535, rounding to the nearest.
func upscale(values []uint16) []uint16 {
	out := slices.Clone(values)
	if len(out) == 0 {
		return out
	}
	top := uint64(slices.Max(out))
	if top == 0 || top == chain.MaxWeight {
		return out
	}
	for i, v := range out {
		out[i] = uint16((2*uint64(v)*chain.MaxWeight + top) / (2 * top))
	}
	return out
}

// withinLimit tells whether no value's share of the sum is over limit/65535.
func withinLimit(values []uint16, limit uint16) bool {
	if limit == chain.MaxWeight || len(values) == 0 {
		return true
	}
	var sum uint64
	for _, v := range values {
		sum += uint64(v)
	}
	return uint64(slices.Max(values))*chain.MaxWeight <= uint64(limit)*sum
}

// expired tells whether the epoch in which a commit could be revealed is over.
func (c *Chain) expired(k commit, b chain.Block) bool {
	return c.EpochIndex(b) > c.epochOf(k)+c.params.RevealPeriod
}

// epochOf is the epoch of a commit. The fixed schedule reckons it from the block
// by today's tempo; one that is state has kept it.
func (c *Chain) epochOf(k commit) uint64 {
	if c.params.Stateful() {
		return k.epoch
	}
	return c.EpochIndex(k.block)
}

// commitWeights keeps a hash. It counts as an update: it moves LastUpdate and
// is held to the rate limit.
func (c *Chain) commitWeights(b chain.Block, q *chain.Request) chain.Code {
	if c.safeMode {
		return chain.CallFiltered
	}
	if !c.params.CommitReveal {
		return chain.CommitRevealDisabled
	}
	a := c.holder(q.Hotkey)
	if a == nil {
		return chain.HotKeyNotRegisteredInSubNet
	}
	s := &c.slots[a.uid]
	if !c.passesRateLimit(s, b) {
		return chain.CommittingWeightsTooFast
	}
	live := 0
	for live < len(a.commits) && c.expired(a.commits[live], b) {
		live++
	}
	if len(a.commits)-live >= chain.MaxUnrevealedCommits {
		return chain.TooManyUnrevealedCommits
	}
	a.commits = append(slices.Delete(a.commits, 0, live), commit{hash: q.Commit, block: b, epoch: c.EpochIndex(b)})
	s.lastUpdate = b
	return chain.OK
}

// revealWeights opens a commit in exactly the epoch RevealPeriod after the
// commit's, and then sets the weights by the rules of storeWeights. A refused
// reveal changes nothing; an accepted one uses up the commits before it too.
func (c *Chain) revealWeights(b chain.Block, q *chain.Request) chain.Code {
	if c.safeMode {
		return chain.CallFiltered
	}
	if !c.params.CommitReveal {
		return chain.CommitRevealDisabled
	}
	a := c.accounts[q.Hotkey]
	if a == nil || len(a.commits) == 0 {
		return chain.NoWeightsCommitFound
	}
	// A hotkey that is no address cannot have committed to anything: its hash
	// stays zero and is not looked for.
	hash, err := chain.CommitHash(q.Hotkey, chain.StorageIndex(c.cfg.Netuid, 0), q.Weights, q.Salt, q.VersionKey)
	live := 0
	for live < len(a.commits) && c.expired(a.commits[live], b) {
		live++
	}
	at := slices.IndexFunc(a.commits, func(k commit) bool { return err == nil && k.hash == hash })
	switch {
	case at >= 0 && at < live:
		// The same hash may have been committed again since.
		again := slices.IndexFunc(a.commits[live:], func(k commit) bool { return k.hash == hash })
		if again < 0 {
			return chain.ExpiredWeightCommit
		}
		at = live + again
	case live == len(a.commits):
		return chain.NoWeightsCommitFound
	case at < 0:
		return chain.InvalidRevealCommitHashNotMatch
	}
	if c.EpochIndex(b) != c.epochOf(a.commits[at])+c.params.RevealPeriod {
		return chain.RevealTooEarly
	}
	if code := c.storeWeights(b, q); code != chain.OK {
		return code
	}
	a.commits = slices.Delete(a.commits, 0, at+1)
	return chain.OK
}

// serveAxon announces where a hotkey serves.
func (c *Chain) serveAxon(b chain.Block, q *chain.Request) chain.Code {
	ip, code := c.checkAxon(b, q)
	if code != chain.OK {
		return code
	}
	a := c.holder(q.Hotkey)
	a.axon = chain.Axon{IP: ip.String(), Port: q.Axon.Port}
	a.servedAt = b
	return chain.OK
}

// checkAxon checks an announcement in the chain's order. The chain knows an
// address as a number and its type as 4 or 6; a text that is neither has no
// type.
func (c *Chain) checkAxon(b chain.Block, q *chain.Request) (netip.Addr, chain.Code) {
	a := c.holder(q.Hotkey)
	if a == nil {
		return netip.Addr{}, chain.HotKeyNotRegisteredInNetwork
	}
	ip, err := netip.ParseAddr(q.Axon.IP)
	switch {
	case err != nil || ip.Zone() != "":
		return ip, chain.InvalidIpType
	case c.refusesAddress(ip):
		return ip, chain.InvalidIpAddress
	case a.servedAt != 0 && uint64(b-a.servedAt) < c.cfg.ServingRateLimit:
		return ip, chain.ServingRateLimitExceeded
	case q.Axon.Port == 0:
		return ip, chain.InvalidPort
	}
	return ip, chain.OK
}

var (
	loopback4  = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6  = netip.IPv6Loopback()
	broadcast4 = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	broadcast6 = netip.AddrFrom16([16]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255})
)

// refusesAddress knows the four addresses that the chain knows: it refuses
// neither private ranges nor the zero address.
func (c *Chain) refusesAddress(ip netip.Addr) bool {
	switch ip {
	case broadcast4, broadcast6:
		return true
	case loopback4, loopback6:
		return !c.cfg.AllowLoopback
	}
	return false
}

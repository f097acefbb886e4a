package rpc

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"
	"net/netip"

	"bettensor/node/chain"
	"bettensor/node/chain/scale"
	"bettensor/node/chain/timelock"
	"bettensor/sim/mockchain"

	"golang.org/x/crypto/blake2b"
)

// ledger writes storage entries of the block under way, by name, with the
// hashers and types of the metadata. The first failure sticks: it is a mistake
// of this package, and no block is made of it.
type ledger struct {
	meta  *scale.Metadata
	state *state
	block uint64
	err   error

	shown *chain.Metagraph // as the subnet was rendered last
	of    []slotBlocks     // what that was of, by slot
	waits []uint64         // epochs with timelocked commits, as rendered last
}

// slotBlocks are the blocks in which a slot did what its neuron does not tell.
type slotBlocks struct{ weights, axon chain.Block }

func newLedger(m *scale.Metadata) *ledger { return &ledger{meta: m, state: newState()} }

func (l *ledger) begin(block uint64) { l.block = block }

func (l *ledger) fail(err error) {
	if err != nil && l.err == nil {
		l.err = err
	}
}

func (l *ledger) put(pallet, name string, v scale.Value, keys ...scale.Value) {
	e, err := l.meta.Storage(pallet, name)
	if err != nil {
		l.fail(err)
		return
	}
	b, err := l.meta.Encode([]byte{}, e.Value, v)
	if err != nil {
		l.fail(fmt.Errorf("storage %s.%s: %w", pallet, name, err))
		return
	}
	l.write(pallet, name, b, keys...)
}

// write puts a value that is SCALE already; nil takes the entry away.
func (l *ledger) write(pallet, name string, value []byte, keys ...scale.Value) {
	key, err := l.meta.StorageKey(pallet, name, keys...)
	if err != nil {
		l.fail(err)
		return
	}
	l.state.set(l.block, string(key), value)
}

func (l *ledger) remove(pallet, name string, keys ...scale.Value) {
	l.write(pallet, name, nil, keys...)
}

// nonceAt is an account's nonce as its storage has it.
func (l *ledger) nonceAt(block uint64, account [32]byte) uint32 {
	key, err := l.meta.StorageKey("System", "Account", account)
	if err != nil {
		return 0
	}
	b := l.state.at(block, string(key))
	if len(b) < 4 {
		return 0
	}
	return binary.LittleEndian.Uint32(b)
}

// account is the public key of an address that was checked when it came in.
func account(h chain.Hotkey) [32]byte {
	pub, err := h.PublicKey()
	if err != nil {
		panic(fmt.Sprintf("address %s was not checked: %v", h, err))
	}
	return pub
}

// coldkeyFunds is what every coldkey of the genesis has, in rao: a client that
// looks for a balance finds one.
const coldkeyFunds = 1000_000_000_000

func (s *Server) putAccount(h chain.Hotkey) {
	free := uint64(0)
	for _, n := range s.cfg.Subnet.Neurons {
		if chain.Hotkey(n.Coldkey) == h {
			free = coldkeyFunds
		}
	}
	s.ledger.put("System", "Account", scale.Record{
		{Value: s.nonces[h]}, {Value: 0}, {Value: 1}, {Value: 0},
		{Value: scale.Record{{Value: free}, {Value: 0}, {Value: 0}, {Value: 0}}},
	}, account(h))
}

// genesisState is what no block changes.
func (s *Server) genesisState() {
	l, n := s.ledger, s.cfg.Subnet.Netuid
	for _, x := range s.cfg.Subnet.Neurons {
		s.putAccount(x.Hotkey)
		s.putAccount(chain.Hotkey(x.Coldkey))
	}
	y := s.cfg.Subnet.Yuma
	if y == (mockchain.Yuma{}) {
		y = mockchain.DefaultYuma
	}
	for _, x := range []struct {
		name  string
		value scale.Value
	}{
		{"NetworksAdded", true}, {"SubtokenEnabled", true}, {"NetworkRegisteredAt", 0}, {"MechanismCountCurrent", 1},
		{"ServingRateLimit", s.cfg.Subnet.ServingRateLimit},
		{"Kappa", y.Kappa}, {"BondsMovingAverage", y.BondsMovingAverage}, {"BondsPenalty", y.BondsPenalty},
	} {
		l.put("SubtensorModule", x.name, x.value, n)
	}
	l.put("SubtensorModule", "TotalNetworks", 1)
	l.put("System", "LastRuntimeUpgrade", scale.Record{{Value: specVersion}, {Value: specName}})
	key := s.beacon.PublicKey()
	hash := sha256.Sum256(key)
	l.put("Drand", "BeaconConfig", scale.Record{
		{Value: key},
		{Value: uint64(timelock.Quicknet.Period.Seconds())},
		{Value: uint64(s.cfg.Subnet.Genesis.Unix())},
		{Value: hash[:]},
		{Value: hash[:]},
		{Value: []byte("bls-unchained-g1-rfc9380")},
		{Value: scale.Record{{Value: []byte("localnet")}}},
	})
	l.put("Drand", "OldestStoredRound", 1)
	s.blockState(&block{time: s.cfg.Subnet.Genesis}, nil, &execution{meta: s.meta})
	s.dirty = true
}

// blockState is what every block writes.
func (s *Server) blockState(b, before *block, run *execution) {
	l := s.ledger
	l.put("System", "Number", b.number)
	l.put("System", "ParentHash", b.parent[:])
	if before != nil {
		l.put("System", "BlockHash", before.hash[:], before.number)
	}
	if old := b.number - keepBlocks; b.number > keepBlocks {
		l.remove("System", "BlockHash", old)
	}
	l.write("System", "Events", run.value())
	l.put("System", "EventCount", run.count)
	l.put("Timestamp", "Now", b.time.UnixMilli())
	l.put("Aura", "CurrentSlot", uint64(b.time.UnixNano())/uint64(s.cfg.Subnet.BlockTime))
	s.pulses(b)
}

// pulses stores the newest round of the beacon in a block, where weights are
// committed. The real chain stores every round; those between are signed when a
// commit waits for one of them, and stored then.
func (s *Server) pulses(b *block) {
	round := s.chain.StoredRound(chain.Block(b.number))
	s.ledger.put("Drand", "LastStoredRound", round)
	if !s.cfg.Subnet.Params.CommitReveal && len(s.reveals) == 0 {
		return
	}
	s.putPulse(round)
	for i := range s.reveals {
		s.putPulse(s.reveals[i].Round)
	}
}

func (s *Server) putPulse(round uint64) {
	if round == 0 {
		return
	}
	signature, err := s.beacon.Sign(round)
	if err != nil {
		s.ledger.fail(err)
		return
	}
	random := sha256.Sum256(signature)
	s.ledger.put("Drand", "Pulses", scale.Record{{Value: round}, {Value: random[:]}, {Value: signature}}, round)
}

// open reads a timelocked commit, when its round has come.
func (s *Server) open(k mockchain.Sealed) (chain.Weights, uint64, error) {
	pulse, err := s.beacon.Sign(k.Round)
	if err != nil {
		return chain.Weights{}, 0, err
	}
	text, err := timelock.Open(k.Payload, pulse)
	if err != nil {
		return chain.Weights{}, 0, err
	}
	who, w, version, err := timelock.ParsePayload(text)
	if err == nil && chain.EncodeSS58(who) != k.Hotkey {
		err = fmt.Errorf("the commit of %s holds weights of another", k.Hotkey)
	}
	return w, version, err
}

// render writes the subnet of block b where it changed since it was last
// written.
func (s *Server) render(b *block) {
	m := s.chain.Metagraph(b.time)
	b.subnet = m
	if !s.dirty && s.ledger.shown != nil && s.ledger.shown.Content() == m.Content() {
		return
	}
	s.dirty = false
	s.renderParams(m)
	s.renderNeurons(m)
	s.renderCommits(m)
	s.ledger.shown = m
}

func (s *Server) renderParams(m *chain.Metagraph) {
	l, n, p := s.ledger, m.Netuid, m.Params
	for _, x := range []struct {
		name  string
		value scale.Value
	}{
		{"Tempo", p.Tempo}, {"WeightsSetRateLimit", p.WeightsRateLimit}, {"WeightsVersionKey", p.WeightsVersionKey},
		{"MinAllowedWeights", p.MinAllowedWeights}, {"MaxWeightsLimit", p.MaxWeightsLimit}, {"ImmunityPeriod", p.ImmunityPeriod},
		{"ActivityCutoff", p.ActivityCutoff}, {"MaxAllowedUids", p.MaxUIDs}, {"MaxAllowedValidators", p.MaxValidators},
		{"CommitRevealWeightsEnabled", p.CommitReveal}, {"RevealPeriodEpochs", p.RevealPeriod}, {"SubnetworkN", len(m.Neurons)},
	} {
		l.put("SubtensorModule", x.name, x.value, n)
	}
	l.put("SubtensorModule", "StakeThreshold", p.StakeThreshold)
	l.put("SubtensorModule", "CommitRevealWeightsVersion", p.RevealVersion)
	if m.Owner != "" {
		l.put("SubtensorModule", "SubnetOwnerHotkey", account(m.Owner), n)
	}
}

// renderNeurons writes the lists over all slots and the maps by slot and hotkey.
// The chain in memory keeps no rank, trust or consensus: they are zero, as newer
// runtimes show them.
func (s *Server) renderNeurons(m *chain.Metagraph) {
	l, n := s.ledger, m.Netuid
	idx := chain.StorageIndex(n, 0)
	size := len(m.Neurons)
	active, permits := make([]bool, size), make([]bool, size)
	zeros, incentive, dividends, trust := make([]uint16, size), make([]uint16, size), make([]uint16, size), make([]uint16, size)
	updates, emission := make([]uint64, size), make([]uint64, size)
	if old := l.shown; old != nil {
		for i := range old.Neurons {
			if h := old.Neurons[i].Hotkey; i >= size || m.Neurons[i].Hotkey != h {
				for _, name := range []string{"Uids", "Axons"} {
					l.remove("SubtensorModule", name, n, account(h))
				}
				l.remove("SubtensorModule", "IsNetworkMember", account(h), n)
				l.remove("SubtensorModule", "WeightCommits", idx, account(h))
			}
		}
	}
	for i := range m.Neurons {
		x := &m.Neurons[i]
		hot, cold := account(x.Hotkey), account(chain.Hotkey(x.Coldkey))
		active[i], permits[i] = x.Active, x.Permit
		incentive[i], dividends[i], trust[i] = x.Incentive, x.Dividends, x.VTrust
		updates[i], emission[i] = uint64(x.LastUpdate), uint64(x.Emission)
		w, set := s.chain.Weights(x.UID)
		of := slotBlocks{set, s.chain.ServedAt(x.Hotkey)}
		if old := l.shown; old != nil && i < len(old.Neurons) && old.Neurons[i] == *x && l.of[i] == of {
			continue
		}
		if i == len(l.of) {
			l.of = append(l.of, of)
		}
		l.of[i] = of
		l.put("SubtensorModule", "Keys", hot, n, i)
		l.put("SubtensorModule", "Uids", i, n, hot)
		l.put("SubtensorModule", "IsNetworkMember", true, hot, n)
		l.put("SubtensorModule", "Owner", cold, hot)
		l.put("SubtensorModule", "BlockAtRegistration", uint64(x.RegisteredAt), n, i)
		l.put("SubtensorModule", "TotalHotkeyAlpha", uint64(x.Stake), hot, n)
		if x.Axon == (chain.Axon{}) {
			l.remove("SubtensorModule", "Axons", n, hot)
		} else {
			l.put("SubtensorModule", "Axons", s.axon(x), n, hot)
		}
		if len(w.UIDs) == 0 {
			l.remove("SubtensorModule", "Weights", idx, i)
			continue
		}
		pairs := make([]scale.Value, len(w.UIDs))
		for j, u := range w.UIDs {
			pairs[j] = []uint16{uint16(u), w.Values[j]}
		}
		l.put("SubtensorModule", "Weights", pairs, idx, i)
	}
	for _, x := range []struct {
		name  string
		value scale.Value
	}{
		{"Active", active}, {"ValidatorPermit", permits}, {"Rank", zeros}, {"Trust", zeros}, {"Consensus", zeros},
		{"Dividends", dividends}, {"ValidatorTrust", trust}, {"Emission", emission},
	} {
		l.put("SubtensorModule", x.name, x.value, n)
	}
	l.put("SubtensorModule", "LastUpdate", updates, idx)
	l.put("SubtensorModule", "Incentive", incentive, idx)
}

// axon is an announcement in the chain's form. Of what the chain in memory does
// not keep, the last serve_axon of the hotkey is remembered.
func (s *Server) axon(x *chain.Neuron) scale.Record {
	if x.Axon == (chain.Axon{}) {
		return axonRecord(0, 0, nil, 0, 0, 0, 0, 0)
	}
	ip, err := netip.ParseAddr(x.Axon.IP)
	if err != nil {
		s.ledger.fail(fmt.Errorf("axon of %s: %w", x.Hotkey, err))
		return axonRecord(0, 0, nil, 0, 0, 0, 0, 0)
	}
	kind := 4
	if ip.Is6() {
		kind = 6
	}
	d := s.served[x.Hotkey]
	return axonRecord(uint64(s.chain.ServedAt(x.Hotkey)), d.version, ip.AsSlice(), x.Axon.Port, kind, d.protocol, d.placeholder1, d.placeholder2)
}

// announced is what an axon said of itself beside its address.
type announced struct {
	version                              uint32
	protocol, placeholder1, placeholder2 byte
}

func axonRecord(block uint64, version uint32, ip []byte, port uint16, kind int, protocol, p1, p2 byte) scale.Record {
	return scale.Record{
		{Value: block}, {Value: version}, {Value: new(big.Int).SetBytes(ip)}, {Value: port},
		{Value: kind}, {Value: protocol}, {Value: p1}, {Value: p2},
	}
}

// renderCommits writes hashes and timelocked commits that wait.
func (s *Server) renderCommits(m *chain.Metagraph) {
	l, idx := s.ledger, chain.StorageIndex(m.Netuid, 0)
	for i := range m.Neurons {
		h := m.Neurons[i].Hotkey
		commits := s.chain.Commits(h)
		if len(commits) == 0 {
			l.remove("SubtensorModule", "WeightCommits", idx, account(h))
			continue
		}
		list := make([]scale.Value, len(commits))
		for j, k := range commits {
			list[j] = []scale.Value{k.Hash, uint64(k.Block), uint64(k.RevealFrom), uint64(k.RevealTo)}
		}
		l.put("SubtensorModule", "WeightCommits", list, idx, account(h))
	}
	var epochs []uint64
	byEpoch := map[uint64][]scale.Value{}
	for _, k := range s.chain.TimelockedCommits() {
		if byEpoch[k.Epoch] == nil {
			epochs = append(epochs, k.Epoch)
		}
		byEpoch[k.Epoch] = append(byEpoch[k.Epoch], []scale.Value{account(k.Hotkey), uint64(k.Block), k.Payload, k.Round})
	}
	for _, e := range l.waits {
		if byEpoch[e] == nil {
			l.remove("SubtensorModule", "TimelockedWeightCommits", idx, e)
		}
	}
	for _, e := range epochs {
		l.put("SubtensorModule", "TimelockedWeightCommits", byEpoch[e], idx, e)
	}
	l.waits = epochs
}

// neuronLite is a slot as the runtime API shows it.
func (s *Server) neuronLite(b *block, uid int) scale.Value {
	x := &b.subnet.Neurons[uid]
	// The announcement of the block asked for is in its storage.
	axon := scale.Value(axonRecord(0, 0, nil, 0, 0, 0, 0, 0))
	if e, err := s.meta.Storage("SubtensorModule", "Axons"); err == nil {
		if key, err := s.meta.StorageKey("SubtensorModule", "Axons", b.subnet.Netuid, account(x.Hotkey)); err == nil {
			if v, ok, err := e.DecodeValue(s.meta, s.ledger.state.at(b.number, string(key))); err == nil && ok {
				axon = v
			}
		}
	}
	hot, cold := account(x.Hotkey), account(chain.Hotkey(x.Coldkey))
	return scale.Record{
		{Value: hot}, {Value: cold}, {Value: uid}, {Value: b.subnet.Netuid}, {Value: x.Active},
		{Value: axon},
		{Value: scale.Record{{Value: 0}, {Value: 0}, {Value: 0}, {Value: 0}, {Value: 0}}}, // no prometheus
		{Value: []scale.Value{[]scale.Value{cold, uint64(x.Stake)}}},
		{Value: 0}, {Value: uint64(x.Emission)}, {Value: x.Incentive}, {Value: 0}, {Value: 0}, {Value: x.VTrust},
		{Value: x.Dividends}, {Value: uint64(x.LastUpdate)}, {Value: x.Permit}, {Value: x.Incentive},
	}
}

// commitHash is what an event tells of a timelocked commit.
func commitHash(payload []byte) [32]byte { return blake2b.Sum256(payload) }

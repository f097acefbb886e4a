package rpc

import (
	"encoding/binary"
	"errors"
	"math/big"
	"net/netip"
	"strings"
	"time"

	"bettensor/node/chain"
	"bettensor/node/chain/scale"
	"bettensor/sim/mockchain"
)

// execution gathers the events of a block.
type execution struct {
	meta    *scale.Metadata
	records []byte
	early   []byte // of the block itself, before its extrinsics
	count   int
	err     error // the first event that could not be written
}

// value is System.Events.
func (x *execution) value() []byte {
	b := scale.AppendCompact([]byte{}, uint64(x.count))
	return append(append(b, x.early...), x.records...)
}

func (x *execution) event(extrinsic int, pallet, name string, fields ...scale.Value) {
	b, err := x.meta.AppendEvent(x.records, scale.ApplyExtrinsic, uint32(extrinsic), pallet, name, fields...)
	if err != nil {
		if x.err == nil {
			x.err = err
		}
		return
	}
	x.records, x.count = b, x.count+1
}

func (x *execution) initial(pallet, name string, fields ...scale.Value) {
	b, err := x.meta.AppendEvent(x.early, scale.Initialization, 0, pallet, name, fields...)
	if err != nil {
		if x.err == nil {
			x.err = err
		}
		return
	}
	x.early, x.count = b, x.count+1
}

// info is what an extrinsic cost. Nothing costs a fee here.
func info(class string) scale.Record {
	return scale.Record{
		{Value: scale.Record{{Value: 100_000_000}, {Value: 10_000}}},
		{Value: scale.Variant{Name: class}},
		{Value: scale.Variant{Name: "No"}},
	}
}

func (x *execution) succeeded(extrinsic int, class string) {
	x.event(extrinsic, "System", "ExtrinsicSuccess", info(class))
}

// failed writes a refusal by the chain's name of it: an error of the subnet's
// pallet, of the System pallet, or BadOrigin.
func (x *execution) failed(extrinsic int, code chain.Code) {
	v := scale.Variant{Name: "BadOrigin"}
	if code != badOrigin {
		pallet, index, err := x.meta.ErrorIndexes("SubtensorModule", string(code))
		if err != nil {
			if pallet, index, err = x.meta.ErrorIndexes("System", string(code)); err != nil {
				pallet, index, _ = x.meta.ErrorIndexes("System", string(chain.CallFiltered))
			}
		}
		v = scale.Variant{Name: "Module", Fields: scale.Record{{Value: scale.Record{{Value: pallet}, {Value: []byte{index, 0, 0, 0}}}}}}
	}
	x.event(extrinsic, "System", "ExtrinsicFailed", v, info("Normal"))
}

// Refusals that the services never meet, by the runtime's names.
const (
	badOrigin       chain.Code = "BadOrigin"
	noSuchMechanism chain.Code = "MechanismDoesNotExist"
)

// revealed writes what the chain opened by itself.
func (x *execution) revealed(netuid chain.Netuid, c *mockchain.Chain, reveals []mockchain.Reveal) {
	idx := chain.StorageIndex(netuid, 0)
	for i := range reveals {
		if r := &reveals[i]; r.Code == chain.OK {
			if uid, ok := c.UIDOf(r.Hotkey); ok {
				x.initial("SubtensorModule", "WeightsSet", idx, uid)
			}
			x.initial("SubtensorModule", "TimelockedWeightsRevealed", idx, account(r.Hotkey))
		}
	}
}

// operation is a decoded call that the subnet can carry out.
type operation struct {
	request chain.Request // Op 0: nothing to do, as a remark
	refused chain.Code    // decided by the call alone
	mech    bool          // the call names a mechanism: its validity is not checked beforehand

	batch    []chain.Request // batch_reveal_weights
	payload  []byte          // of a timelocked commit
	round    uint64
	version  uint16
	announce announced
}

// operation reads a call. Calls that this chain does not carry out are filtered,
// as in safe mode; those of the block's author are refused to anybody else.
func (s *Server) operation(who chain.Hotkey, c *scale.Call) operation {
	o := operation{request: chain.Request{Hotkey: who}}
	switch c.Pallet {
	case "System":
		if !strings.HasPrefix(c.Name, "remark") {
			o.refused = badOrigin
		}
		return o
	case "SubtensorModule":
	case "Timestamp":
		o.refused = badOrigin
		return o
	default:
		o.refused = chain.CallFiltered
		return o
	}
	name := c.Name
	if mechanism, ok := c.Args.Get("mecid").(uint64); ok {
		name = strings.Replace(name, "_mechanism", "", 1)
		o.mech = true
		if mechanism != 0 {
			o.refused = noSuchMechanism
		}
	}
	q := &o.request
	switch name {
	case "set_weights":
		q.Op = chain.OpSetWeights
		q.Weights = chain.Weights{UIDs: numbers[chain.UID](c.Args.Get("dests")), Values: numbers[uint16](c.Args.Get("weights"))}
	case "commit_weights":
		q.Op = chain.OpCommitWeights
		if b, ok := c.Args.Get("commit_hash").([]byte); ok && len(b) == 32 {
			q.Commit = [32]byte(b)
		}
	case "reveal_weights":
		q.Op = chain.OpRevealWeights
		q.Weights = chain.Weights{UIDs: numbers[chain.UID](c.Args.Get("uids")), Values: numbers[uint16](c.Args.Get("values"))}
		q.Salt = numbers[uint16](c.Args.Get("salt"))
	case "batch_reveal_weights":
		q.Op = chain.OpRevealWeights
		o.batchOf(c.Args)
	case "commit_timelocked_weights", "commit_crv3_weights":
		q.Op = chain.OpCommitTimelocked
		o.payload, _ = c.Args.Get("commit").([]byte)
		o.round, _ = c.Args.Get("reveal_round").(uint64)
		o.version = s.chain.Params().RevealVersion
		if v, ok := c.Args.Get("commit_reveal_version").(uint64); ok {
			o.version = uint16(v)
		}
	case "serve_axon", "serve_axon_tls":
		q.Op = chain.OpServeAxon
		o.axonOf(c.Args)
	default:
		o.refused = chain.CallFiltered
		return o
	}
	q.VersionKey, _ = c.Args.Get("version_key").(uint64)
	if n, _ := c.Args.Get("netuid").(uint64); n != uint64(s.cfg.Subnet.Netuid) && o.refused == chain.OK {
		o.refused = chain.SubnetNotExists
		if q.Op == chain.OpServeAxon {
			o.refused = chain.HotKeyNotRegisteredInNetwork
		}
	}
	return o
}

func (o *operation) batchOf(args scale.Record) {
	lists := func(name string) []scale.Value { v, _ := args.Get(name).([]scale.Value); return v }
	uids, values, salts, versions := lists("uids_list"), lists("values_list"), lists("salts_list"), lists("version_keys")
	if len(uids) != len(values) || len(uids) != len(salts) || len(uids) != len(versions) {
		o.refused = chain.InputLengthsUnequal
		return
	}
	for i := range uids {
		version, _ := versions[i].(uint64)
		o.batch = append(o.batch, chain.Request{
			Op: chain.OpRevealWeights, Hotkey: o.request.Hotkey, VersionKey: version, Salt: numbers[uint16](salts[i]),
			Weights: chain.Weights{UIDs: numbers[chain.UID](uids[i]), Values: numbers[uint16](values[i])},
		})
	}
}

// axonOf turns the number that the chain has for an address into its text. A
// type that is neither 4 nor 6 leaves it without one, which the subnet refuses.
func (o *operation) axonOf(args scale.Record) {
	number := func(name string) uint64 { n, _ := args.Get(name).(uint64); return n }
	o.request.Axon.Port = uint16(number("port"))
	o.announce = announced{uint32(number("version")), byte(number("protocol")), byte(number("placeholder1")), byte(number("placeholder2"))}
	ip, _ := args.Get("ip").(*big.Int)
	if ip == nil {
		return
	}
	switch kind := number("ip_type"); {
	case kind == 4 && ip.BitLen() <= 32:
		o.request.Axon.IP = netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(ip.Uint64())))).String()
	case kind == 6:
		var b [16]byte
		ip.FillBytes(b[:])
		o.request.Axon.IP = netip.AddrFrom16(b).String()
	}
}

// numbers reads a decoded vector of small numbers.
func numbers[T ~uint16](v scale.Value) []T {
	list, _ := v.([]scale.Value)
	out := make([]T, 0, len(list))
	for _, x := range list {
		n, _ := x.(uint64)
		out = append(out, T(n))
	}
	return out
}

var errNotExecuted = errors.New("the chain put an extrinsic into another block")

// apply carries an operation out in the block after now and writes its events.
func (s *Server) apply(run *execution, extrinsic int, now time.Time, o *operation) {
	q := &o.request
	if o.refused != chain.OK || q.Op == 0 {
		if o.refused == chain.OK {
			run.succeeded(extrinsic, "Normal")
		} else {
			run.failed(extrinsic, o.refused)
		}
		return
	}
	var p chain.Reply
	switch {
	case o.batch != nil:
		p = s.chain.RevealBatch(now, q.Hotkey, o.batch)
	case q.Op == chain.OpCommitTimelocked:
		p = s.chain.CommitSealed(now, q.Hotkey, o.payload, o.round, o.version)
	default:
		p = s.chain.Submit(now, *q)
	}
	if s.chain.TimeOf(p.Included) != now.Add(s.cfg.Subnet.BlockTime) && run.err == nil {
		run.err = errNotExecuted
	}
	if p.Code != chain.OK {
		run.failed(extrinsic, p.Code)
		return
	}
	who := account(q.Hotkey)
	idx := chain.StorageIndex(s.cfg.Subnet.Netuid, 0)
	emit := func(name string, fields ...scale.Value) { run.event(extrinsic, "SubtensorModule", name, fields...) }
	uid, _ := s.chain.UIDOf(q.Hotkey)
	switch q.Op {
	case chain.OpSetWeights:
		emit("WeightsSet", idx, uid)
	case chain.OpCommitWeights:
		emit("WeightsCommitted", who, idx, q.Commit)
	case chain.OpRevealWeights:
		if o.batch != nil {
			hashes := make([]scale.Value, len(o.batch))
			for i := range o.batch {
				emit("WeightsSet", idx, uid)
				hashes[i] = hashOf(&o.batch[i], idx)
			}
			emit("WeightsBatchRevealed", who, s.cfg.Subnet.Netuid, hashes)
			break
		}
		emit("WeightsSet", idx, uid)
		emit("WeightsRevealed", who, idx, hashOf(q, idx))
	case chain.OpCommitTimelocked:
		emit("TimelockedWeightsCommitted", who, idx, commitHash(o.payload), o.round)
	case chain.OpServeAxon:
		s.served[q.Hotkey] = o.announce
		emit("AxonServed", s.cfg.Subnet.Netuid, who)
	}
	run.succeeded(extrinsic, "Normal")
}

// hashOf is the hash that a reveal answers. The hotkey is an address, so there
// is one.
func hashOf(q *chain.Request, idx uint16) [32]byte {
	hash, _ := chain.CommitHash(q.Hotkey, idx, q.Weights, q.Salt, q.VersionKey)
	return hash
}

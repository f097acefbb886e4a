package chain

import (
	"errors"
	"fmt"
	"slices"

	"bettensor/node/pack"
)

// ErrRange: a number in a packed row does not fit its field.
var ErrRange = errors.New("chain: number out of range")

// fields reads narrow numbers; the first that does not fit sticks.
type fields struct {
	*pack.Reader
	err error
}

func (f *fields) number(limit uint64) uint64 {
	v := f.Uint()
	if v > limit && f.err == nil {
		f.err = fmt.Errorf("%d is over %d: %w", v, limit, ErrRange)
	}
	return v
}

func (f *fields) uint16() uint16 { return uint16(f.number(1<<16 - 1)) }

// done is the first failure of either kind. Malformed bytes come first: what
// was read after them is zeros.
func (f *fields) done() error {
	if err := f.Err(); err != nil {
		return err
	}
	return f.err
}

func appendUint16s[T ~uint16](dst []byte, v []T) []byte {
	dst = pack.AppendUint(dst, uint64(len(v)))
	for _, x := range v {
		dst = pack.AppendUint(dst, uint64(x))
	}
	return dst
}

func readUint16s[T ~uint16](f *fields) []T {
	n := f.Count(1)
	if n == 0 {
		return nil
	}
	v := make([]T, n)
	for i := range v {
		v[i] = T(f.uint16())
	}
	return v
}

// AppendWeights appends UIDs and values as two lists, so that even weights of
// unequal sizes (which the chain refuses) survive a recording.
func AppendWeights(dst []byte, w Weights) []byte {
	dst = appendUint16s(dst, w.UIDs)
	return appendUint16s(dst, w.Values)
}

// ReadWeights reads what AppendWeights wrote. Empty lists come back nil.
func ReadWeights(r *pack.Reader) (Weights, error) {
	f := &fields{Reader: r}
	w := f.weights()
	return w, f.done()
}

func (f *fields) weights() Weights {
	return Weights{UIDs: readUint16s[UID](f), Values: readUint16s[uint16](f)}
}

func appendAxon(dst []byte, a Axon) []byte {
	dst = pack.AppendText(dst, a.IP)
	return pack.AppendUint(dst, uint64(a.Port))
}

func (f *fields) axon() Axon { return Axon{IP: f.Text(), Port: f.uint16()} }

func (f *fields) hash() (h [32]byte) {
	b := f.Bytes()
	if len(b) != len(h) && f.err == nil {
		f.err = fmt.Errorf("hash of %d bytes: %w", len(b), ErrRange)
	}
	copy(h[:], b)
	return h
}

// AppendRequest appends the packed form of a request.
func AppendRequest(dst []byte, q *Request) []byte {
	dst = pack.AppendUint(dst, uint64(q.Op))
	dst = pack.AppendText(dst, q.Hotkey)
	dst = AppendWeights(dst, q.Weights)
	dst = pack.AppendUint(dst, q.VersionKey)
	dst = pack.AppendBytes(dst, q.Commit[:])
	dst = appendUint16s(dst, q.Salt)
	return appendAxon(dst, q.Axon)
}

// ReadRequest reads what AppendRequest wrote. An operation it does not know is
// ErrRange.
func ReadRequest(r *pack.Reader) (Request, error) {
	f := &fields{Reader: r}
	q := Request{
		Op:         Op(f.number(uint64(lastOp))),
		Hotkey:     Hotkey(f.Text()),
		Weights:    f.weights(),
		VersionKey: f.Uint(),
		Commit:     f.hash(),
		Salt:       readUint16s[uint16](f),
		Axon:       f.axon(),
	}
	return q, f.done()
}

// AppendReply appends the packed form of a reply, the metagraph included.
func AppendReply(dst []byte, p *Reply) []byte {
	dst = pack.AppendText(dst, p.Code)
	dst = pack.AppendUint(dst, uint64(p.Head))
	dst = pack.AppendTime(dst, p.HeadAt)
	dst = pack.AppendUint(dst, uint64(p.Included))
	dst = appendOutcome(dst, p)
	dst = pack.AppendBool(dst, p.Metagraph != nil)
	if p.Metagraph != nil {
		dst = AppendMetagraph(dst, p.Metagraph)
	}
	return dst
}

// appendOutcome appends the fields of a reply that few operations have.
func appendOutcome(dst []byte, p *Reply) []byte {
	dst = AppendWeights(dst, p.Weights)
	dst = pack.AppendUint(dst, p.Round)
	dst = pack.AppendUint(dst, uint64(p.RevealAt))
	dst = pack.AppendBytes(dst, p.Extrinsic[:])
	return pack.AppendUint(dst, p.Foreign)
}

// ReadReply reads what AppendReply wrote.
func ReadReply(r *pack.Reader) (Reply, error) {
	f := &fields{Reader: r}
	p := Reply{
		Code:     Code(f.Text()),
		Head:     Block(f.Uint()),
		HeadAt:   f.Time(),
		Included: Block(f.Uint()),

		Weights:   f.weights(),
		Round:     f.Uint(),
		RevealAt:  Block(f.Uint()),
		Extrinsic: f.hash(),
		Foreign:   f.Uint(),
	}
	if f.Bool() {
		p.Metagraph = f.metagraph()
	}
	return p, f.done()
}

// AppendMetagraph appends the packed form of a metagraph.
func AppendMetagraph(dst []byte, m *Metagraph) []byte {
	dst = slices.Grow(dst, (1+len(m.Neurons))*neuronUsual)
	dst = pack.AppendUint(dst, uint64(m.Netuid))
	dst = pack.AppendUint(dst, uint64(m.Block))
	dst = pack.AppendTime(dst, m.At)
	dst = pack.AppendText(dst, m.Owner)
	dst = appendHyperparameters(dst, &m.Params)
	dst = pack.AppendUint(dst, uint64(len(m.Neurons)))
	for i := range m.Neurons {
		dst = appendNeuron(dst, &m.Neurons[i])
	}
	return dst
}

// ReadMetagraph reads what AppendMetagraph wrote. Neurons whose UID is not
// their place are ErrRange, because every reader indexes by UID.
func ReadMetagraph(r *pack.Reader) (*Metagraph, error) {
	f := &fields{Reader: r}
	m := f.metagraph()
	if err := f.done(); err != nil {
		return nil, err
	}
	return m, nil
}

func (f *fields) metagraph() *Metagraph {
	m := &Metagraph{
		Netuid: Netuid(f.uint16()),
		Block:  Block(f.Uint()),
		At:     f.Time(),
		Owner:  Hotkey(f.Text()),
		Params: f.hyperparameters(),
	}
	n := f.Count(neuronLeast)
	if n == 0 {
		return m
	}
	m.Neurons = make([]Neuron, n)
	for i := range m.Neurons {
		m.Neurons[i] = f.neuron()
		if int(m.Neurons[i].UID) != i && f.err == nil {
			f.err = fmt.Errorf("neuron %d in place %d: %w", m.Neurons[i].UID, i, ErrRange)
		}
	}
	return m
}

func appendHyperparameters(dst []byte, p *Hyperparameters) []byte {
	dst = pack.AppendUint(dst, uint64(p.Tempo))
	dst = pack.AppendUint(dst, p.WeightsRateLimit)
	dst = pack.AppendUint(dst, p.WeightsVersionKey)
	dst = pack.AppendUint(dst, uint64(p.MinAllowedWeights))
	dst = pack.AppendUint(dst, uint64(p.MaxWeightsLimit))
	dst = pack.AppendUint(dst, uint64(p.ImmunityPeriod))
	dst = pack.AppendUint(dst, uint64(p.ActivityCutoff))
	dst = pack.AppendUint(dst, uint64(p.MaxUIDs))
	dst = pack.AppendUint(dst, uint64(p.MaxValidators))
	dst = pack.AppendBool(dst, p.CommitReveal)
	dst = pack.AppendUint(dst, p.RevealPeriod)
	dst = pack.AppendUint(dst, uint64(p.StakeThreshold))
	dst = pack.AppendUint(dst, uint64(p.RevealVersion))
	dst = pack.AppendUint(dst, uint64(p.LastEpoch))
	return pack.AppendUint(dst, p.EpochIndex)
}

func (f *fields) hyperparameters() Hyperparameters {
	return Hyperparameters{
		Tempo:             f.uint16(),
		WeightsRateLimit:  f.Uint(),
		WeightsVersionKey: f.Uint(),
		MinAllowedWeights: f.uint16(),
		MaxWeightsLimit:   f.uint16(),
		ImmunityPeriod:    f.uint16(),
		ActivityCutoff:    f.uint16(),
		MaxUIDs:           f.uint16(),
		MaxValidators:     f.uint16(),
		CommitReveal:      f.Bool(),
		RevealPeriod:      f.Uint(),
		StakeThreshold:    Rao(f.Uint()),
		RevealVersion:     f.uint16(),
		LastEpoch:         Block(f.Uint()),
		EpochIndex:        f.Uint(),
	}
}

// neuronLeast is the number of bytes the smallest packed neuron takes: one for
// each of its fields. It bounds what a forged list length can allocate.
const neuronLeast = 14

// neuronUsual is about what a neuron takes, so that a metagraph's buffer grows once.
const neuronUsual = 144

func appendNeuron(dst []byte, n *Neuron) []byte {
	dst = pack.AppendUint(dst, uint64(n.UID))
	dst = pack.AppendText(dst, n.Hotkey)
	dst = pack.AppendText(dst, n.Coldkey)
	dst = pack.AppendUint(dst, uint64(n.Stake))
	dst = pack.AppendBool(dst, n.Permit)
	dst = pack.AppendBool(dst, n.Active)
	dst = pack.AppendUint(dst, uint64(n.RegisteredAt))
	dst = pack.AppendUint(dst, uint64(n.LastUpdate))
	dst = appendAxon(dst, n.Axon)
	dst = pack.AppendUint(dst, uint64(n.Incentive))
	dst = pack.AppendUint(dst, uint64(n.Dividends))
	dst = pack.AppendUint(dst, uint64(n.VTrust))
	return pack.AppendUint(dst, uint64(n.Emission))
}

func (f *fields) neuron() Neuron {
	return Neuron{
		UID:          UID(f.uint16()),
		Hotkey:       Hotkey(f.Text()),
		Coldkey:      Coldkey(f.Text()),
		Stake:        Rao(f.Uint()),
		Permit:       f.Bool(),
		Active:       f.Bool(),
		RegisteredAt: Block(f.Uint()),
		LastUpdate:   Block(f.Uint()),
		Axon:         f.axon(),
		Incentive:    f.uint16(),
		Dividends:    f.uint16(),
		VTrust:       f.uint16(),
		Emission:     Rao(f.Uint()),
	}
}

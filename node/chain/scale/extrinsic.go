package scale

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/crypto/blake2b"
)

// ErrExtension: the runtime signs over something this package does not know.
// What is signed blindly may mean anything, so nothing is.
var ErrExtension = errors.New("scale: signed extension not understood")

// Era is how long an extrinsic can be included: Period blocks, of which the
// first is at Phase modulo Period. The zero Era is immortal.
type Era struct{ Period, Phase uint64 }

// Periods of a mortal era.
const minPeriod, maxPeriod = 4, 1 << 16

// MortalEra is the era of at least period blocks that block is in the first
// step of. period is rounded up to a power of two from 4 to 65536; in eras of
// more than 4096 blocks the birth is rounded down to what the form can hold.
func MortalEra(period, block uint64) Era {
	period = min(max(period, minPeriod), maxPeriod)
	if up := uint64(1) << bits.Len64(period-1); up != period {
		period = up
	}
	quantum := max(period>>12, 1)
	return Era{period, block % period / quantum * quantum}
}

// Birth is the first block of the era that current is in; 0 of an immortal one.
func (e Era) Birth(current uint64) uint64 {
	if e.Period == 0 {
		return 0
	}
	return (max(current, e.Phase)-e.Phase)/e.Period*e.Period + e.Phase
}

// Death is the first block that can no longer hold an extrinsic whose era
// current is in; the largest number of an immortal one.
func (e Era) Death(current uint64) uint64 {
	if e.Period == 0 {
		return 1<<64 - 1
	}
	return e.Birth(current) + e.Period
}

// Append appends the one or two bytes of an era.
func (e Era) Append(dst []byte) []byte {
	if e.Period == 0 {
		return append(dst, 0)
	}
	quantum := max(e.Period>>12, 1)
	low := min(max(bits.TrailingZeros64(e.Period)-1, 1), 15)
	return binary.LittleEndian.AppendUint16(dst, uint16(low)|uint16(e.Phase/quantum<<4))
}

// Era reads an era.
func (r *Reader) Era() Era {
	first := r.U8()
	if first == 0 || r.err != nil {
		return Era{}
	}
	v := uint64(first) | uint64(r.U8())<<8
	period := uint64(2) << (v % 16)
	e := Era{period, v >> 4 * max(period>>12, 1)}
	if r.err == nil && (period < minPeriod || e.Phase >= period) {
		r.failf("era %#04x", v)
	}
	return e
}

// Terms are what a signer agrees to beside the call.
type Terms struct {
	Spec, Transaction uint32   // the runtime's versions
	Genesis           [32]byte // hash of block 0
	Birth             [32]byte // hash of the era's first block; ignored where the era is immortal
	Era               Era
	Nonce             uint64
	Tip               uint64 // rao
}

// Draft is an extrinsic to be signed.
type Draft struct {
	m                     *Metadata
	call, extra, implicit []byte
}

// NewDraft joins a call with its terms by the runtime's own list of extensions.
// An extension that is not known here is passed over where it adds no bytes, and
// is ErrExtension otherwise.
func (m *Metadata) NewDraft(call []byte, t Terms) (*Draft, error) {
	d := &Draft{m: m, call: call}
	for _, x := range m.Extrinsic.Extensions {
		extra, implicit := t.extension(x.Name)
		if err := m.fits(x.Extra, extra); err != nil {
			return nil, fmt.Errorf("%w: %s in the extrinsic: %w", ErrExtension, x.Name, err)
		}
		if err := m.fits(x.Implicit, implicit); err != nil {
			return nil, fmt.Errorf("%w: %s in what is signed: %w", ErrExtension, x.Name, err)
		}
		d.extra, d.implicit = append(d.extra, extra...), append(d.implicit, implicit...)
	}
	return d, nil
}

// fits says whether bytes are just a value of the type that the runtime
// declares for them.
func (m *Metadata) fits(id TypeID, b []byte) error {
	_, err := m.DecodeAll(id, b)
	return err
}

// extension is the bytes that an extension of that name adds.
func (t *Terms) extension(name string) (extra, implicit []byte) {
	switch name {
	case "CheckMortality", "CheckEra":
		if t.Era.Period == 0 {
			return t.Era.Append(nil), t.Genesis[:]
		}
		return t.Era.Append(nil), t.Birth[:]
	case "CheckNonce":
		return AppendCompact(nil, t.Nonce), nil
	case "ChargeTransactionPayment":
		return AppendCompact(nil, t.Tip), nil
	case "CheckMetadataHash":
		return []byte{0}, []byte{0} // off, and no hash
	case "CheckSpecVersion":
		return nil, binary.LittleEndian.AppendUint32(nil, t.Spec)
	case "CheckTxVersion":
		return nil, binary.LittleEndian.AppendUint32(nil, t.Transaction)
	case "CheckGenesis":
		return nil, t.Genesis[:]
	}
	return nil, nil
}

// Payload is what the signer signs: call, extra and implicit, or their
// blake2b-256 where they are longer than 256 bytes.
func (d *Draft) Payload() []byte {
	b := make([]byte, 0, len(d.call)+len(d.extra)+len(d.implicit))
	b = append(append(append(b, d.call...), d.extra...), d.implicit...)
	if len(b) > 256 {
		sum := blake2b.Sum256(b)
		return sum[:]
	}
	return b
}

// First bytes of an extrinsic.
const (
	version4 = 4
	version5 = 5
	signBit  = 0x80
)

// sr25519Variant is the signature scheme's variant in a MultiSignature.
const sr25519Variant = "Sr25519"

// Signed is the whole extrinsic with an sr25519 signature over Payload, its
// length in front: the bytes that are submitted.
func (d *Draft) Signed(signer [32]byte, signature [64]byte) ([]byte, error) {
	body := []byte{version4 | signBit}
	body, err := d.m.encodeSigner(body, signer)
	if err != nil {
		return nil, err
	}
	if body, err = d.m.Encode(body, d.m.Extrinsic.Signature, Variant{Name: sr25519Variant, Fields: Record{{Value: signature[:]}}}); err != nil {
		return nil, fmt.Errorf("signature of an extrinsic: %w", err)
	}
	body = append(append(body, d.extra...), d.call...)
	return AppendBytes(nil, body), nil
}

// encodeSigner appends an address: a bare account, or the Id of a MultiAddress.
func (m *Metadata) encodeSigner(dst []byte, signer [32]byte) ([]byte, error) {
	t, err := m.Type(m.Extrinsic.Address)
	if err != nil {
		return dst, fmt.Errorf("address of an extrinsic: %w", err)
	}
	var v Value = signer[:]
	if t.Kind == Enum {
		v = Variant{Name: "Id", Fields: Record{{Value: v}}}
	}
	if dst, err = m.Encode(dst, m.Extrinsic.Address, v); err != nil {
		return dst, fmt.Errorf("address of an extrinsic: %w", err)
	}
	return dst, nil
}

// Hash is the hash of an extrinsic as submitted, by which a pool knows it.
func Hash(extrinsic []byte) [32]byte { return blake2b.Sum256(extrinsic) }

// Extrinsic is one read back. An unsigned one, as the block's own timestamp, has
// a Call only.
type Extrinsic struct {
	Signed    bool
	Signer    [32]byte
	Signature [64]byte // sr25519
	Era       Era
	Nonce     uint64
	Tip       uint64
	Call      []byte

	extra []byte
}

// ParseExtrinsic reads an extrinsic of version 4, as a block or a submission
// has it, length included. Other addresses than an account's and other schemes
// than sr25519 are errors, and so is an extension this package does not know. The
// call is not decoded: DecodeCall does that.
func (m *Metadata) ParseExtrinsic(b []byte) (*Extrinsic, error) {
	outer := NewReader(b)
	r := NewReader(outer.Bytes())
	if err := outer.Done(); err != nil {
		return nil, fmt.Errorf("extrinsic: %w", err)
	}
	x := &Extrinsic{}
	switch v := r.U8(); v {
	case version4, version5: // of version 5 the bare form is the same
		x.Call = r.Take(r.Len())
	case version4 | signBit:
		x.Signed = true
		m.signed(r, x)
	default:
		r.failf("extrinsic of form %#x", v)
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("extrinsic: %w", err)
	}
	return x, nil
}

func (m *Metadata) signed(r *Reader, x *Extrinsic) {
	address := m.Decode(m.Extrinsic.Address, r)
	if v, ok := address.(Variant); ok && v.Name == "Id" && len(v.Fields) == 1 {
		address = v.Fields[0].Value
	}
	if account, ok := address.([]byte); !ok || len(account) != 32 {
		r.failf("signer is no account")
	} else {
		copy(x.Signer[:], account)
	}
	signature, _ := m.Decode(m.Extrinsic.Signature, r).(Variant)
	if signature.Name != sr25519Variant || len(signature.Fields) != 1 {
		r.failf("signature of scheme %.20q", signature.Name)
	} else if b, ok := signature.Fields[0].Value.([]byte); !ok || len(b) != 64 {
		r.failf("signature is not 64 bytes")
	} else {
		copy(x.Signature[:], b)
	}
	from := r.off
	for _, e := range m.Extrinsic.Extensions {
		switch e.Name {
		case "CheckMortality", "CheckEra":
			x.Era = r.Era()
		case "CheckNonce":
			x.Nonce = r.Compact()
		case "ChargeTransactionPayment":
			x.Tip = r.Compact()
		case "CheckMetadataHash":
			if r.U8() != 0 {
				r.failf("a metadata hash is asked for")
			}
		default:
			if !m.zeroSized(e.Extra) {
				r.failf("%v: %s", ErrExtension, e.Name)
			}
		}
	}
	if r.err != nil {
		return
	}
	x.extra = r.b[from:r.off:r.off]
	x.Call = r.Take(r.Len())
}

// Payload is what the signer of a parsed extrinsic must have signed, given the
// chain's side of its terms: Spec, Transaction, Genesis and Birth. Its own are
// taken from the extrinsic.
func (m *Metadata) Payload(x *Extrinsic, t Terms) ([]byte, error) {
	t.Era, t.Nonce, t.Tip = x.Era, x.Nonce, x.Tip
	d, err := m.NewDraft(x.Call, t)
	if err != nil {
		return nil, err
	}
	d.extra = x.extra
	return d.Payload(), nil
}

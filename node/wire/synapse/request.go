package synapse

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"bettensor/node/chain"
	"bettensor/node/pack"
)

// Request is what a validator asks an axon.
type Request struct {
	Name      string       // route
	Axon      chain.Axon   // the address that was asked; for the asker's headers only
	Asked     chain.Hotkey // who was asked
	Asker     chain.Hotkey // who signed
	IP        string       // the asker's own, as it says; never used
	Version   uint64       // of the asker's SDK, as it says; never used
	Nonce     uint64       // nanoseconds since 1970 by the asker's clock
	UUID      string       // of the asker
	BodyHash  string       // EmptyBodyHash
	Signature [SignatureSize]byte
	Binding   *Binding // nil from an SDK
	Body      []byte
}

// maxHotkey bounds an SS58 text: 49 bytes.
const maxHotkey = 64

// ReadRequest reads the headers of a request to a route. It checks their form
// alone and allocates little. The peer's timeout and sizes are not looked at: they
// are unsigned, and nothing of ours may depend on them.
func ReadRequest(name string, h Header) (Request, error) {
	r := Request{Name: name}
	var nonce, version, port, signature string
	for _, f := range [...]struct {
		name string
		into *string
	}{
		{"bt_header_axon_ip", &r.Axon.IP}, {"bt_header_axon_port", &port}, {"bt_header_axon_hotkey", (*string)(&r.Asked)},
		{"bt_header_dendrite_hotkey", (*string)(&r.Asker)}, {"bt_header_dendrite_ip", &r.IP}, {"bt_header_dendrite_version", &version},
		{"bt_header_dendrite_nonce", &nonce}, {"bt_header_dendrite_uuid", &r.UUID}, {"bt_header_dendrite_signature", &signature},
		{"computed_body_hash", &r.BodyHash},
	} {
		var err error
		if *f.into, err = field(h, f.name); err != nil {
			return Request{}, err
		}
	}
	if said, err := field(h, "name"); err != nil || said != "" && said != name {
		return Request{}, fmt.Errorf("header name differs from the route: %w", ErrHeader)
	}
	for _, k := range [...]chain.Hotkey{r.Asked, r.Asker} {
		if _, err := k.PublicKey(); err != nil || len(k) > maxHotkey {
			return Request{}, fmt.Errorf("hotkey: %w", ErrHeader)
		}
	}
	var err error
	if r.Nonce, err = strconv.ParseUint(nonce, 10, 63); err != nil {
		return Request{}, fmt.Errorf("nonce: %w", ErrHeader)
	}
	if r.UUID == "" || r.BodyHash == "" {
		return Request{}, fmt.Errorf("uuid or body hash is missing: %w", ErrHeader)
	}
	if version != "" {
		if r.Version, err = strconv.ParseUint(version, 10, 63); err != nil {
			return Request{}, fmt.Errorf("version: %w", ErrHeader)
		}
	}
	if port != "" {
		p, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return Request{}, fmt.Errorf("port: %w", ErrHeader)
		}
		r.Axon.Port = uint16(p)
	}
	if signature == "" {
		return Request{}, ErrUnsigned
	}
	ok := false
	if r.Signature, ok = parseSignature(signature); !ok {
		return Request{}, fmt.Errorf("signature: %w", ErrHeader)
	}
	if r.Binding, err = readBinding(h); err != nil {
		return Request{}, err
	}
	return r, nil
}

// Headers calls set for every header of the request, in the SDK's order.
// timeout is how long the asker will wait, in seconds.
func (r *Request) Headers(timeout float64, set func(name, value string)) {
	set("name", r.Name)
	set("timeout", floatText(timeout))
	r.echo(set)
	set("header_size", "0")
	set("total_size", strconv.Itoa(len(r.Body)))
	set("computed_body_hash", r.BodyHash)
	r.Binding.headers(set)
}

// echo calls set for the headers that say who asks whom.
func (r *Request) echo(set func(name, value string)) {
	set("bt_header_axon_ip", r.Axon.IP)
	set("bt_header_axon_port", strconv.Itoa(int(r.Axon.Port)))
	set("bt_header_axon_hotkey", string(r.Asked))
	if r.IP != "" {
		set("bt_header_dendrite_ip", r.IP)
	}
	set("bt_header_dendrite_version", strconv.FormatUint(r.Version, 10))
	set("bt_header_dendrite_nonce", strconv.FormatUint(r.Nonce, 10))
	set("bt_header_dendrite_uuid", r.UUID)
	set("bt_header_dendrite_hotkey", string(r.Asker))
	set("bt_header_dendrite_signature", signatureText(&r.Signature))
}

// floatText writes seconds as Python does, with a decimal point.
func floatText(v float64) string {
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// AppendText appends the text that the SDK signs.
func (r *Request) AppendText(dst []byte) []byte {
	return appendSigned(dst, "", r.Nonce, string(r.Asker), string(r.Asked), r.UUID, r.BodyHash)
}

// AppendBound appends the text of the binding's signature.
func (r *Request) AppendBound(dst []byte) []byte {
	return appendSigned(dst, "bt_ext_request.", r.Nonce, string(r.Asker), string(r.Asked), r.UUID, hex.EncodeToString(r.Binding.Sum[:]))
}

func appendSigned(dst []byte, domain string, nonce uint64, words ...string) []byte {
	dst = strconv.AppendUint(append(dst, domain...), nonce, 10)
	for _, w := range words {
		dst = append(append(dst, '.'), w...)
	}
	return dst
}

// Bind covers the body, which must be complete. The request is signed already.
func (r *Request) Bind(sign func(text []byte) [SignatureSize]byte) {
	r.Binding = &Binding{Sum: sha256.Sum256(r.Body)}
	r.Binding.Signature = sign(r.AppendBound(nil))
}

// Marks are the first bytes of packed exchanges: none of them begins a JSON text.
const (
	markRequest = 0x01
	markReply   = 0x02
)

// IsRequest says whether a frame claims to be a packed request.
func IsRequest(frame []byte) bool { return len(frame) > 0 && frame[0] == markRequest }

// IsReply says whether a frame claims to be a packed reply.
func IsReply(frame []byte) bool { return len(frame) > 0 && frame[0] == markReply }

// Append appends the packed form.
func (r *Request) Append(dst []byte) []byte {
	dst = append(dst, markRequest)
	dst = pack.AppendText(dst, r.Name)
	dst = pack.AppendText(dst, r.Axon.IP)
	dst = pack.AppendUint(dst, uint64(r.Axon.Port))
	dst = pack.AppendText(dst, r.Asked)
	dst = pack.AppendText(dst, r.Asker)
	dst = pack.AppendText(dst, r.IP)
	dst = pack.AppendUint(dst, r.Version)
	dst = pack.AppendUint(dst, r.Nonce)
	dst = pack.AppendText(dst, r.UUID)
	dst = pack.AppendText(dst, r.BodyHash)
	dst = append(dst, r.Signature[:]...)
	dst = r.Binding.append(dst)
	return pack.AppendBytes(dst, r.Body)
}

// UnpackRequest reads what Append wrote. The body aliases frame.
func UnpackRequest(frame []byte) (Request, error) {
	if !IsRequest(frame) || len(frame) > MaxPacked {
		return Request{}, ErrPacked
	}
	rd := unpacker{Reader: pack.NewReader(frame[1:])}
	r := Request{Name: rd.text(), Axon: chain.Axon{IP: rd.text()}}
	port := rd.Uint()
	r.Axon.Port = uint16(port)
	r.Asked, r.Asker, r.IP = chain.Hotkey(rd.text()), chain.Hotkey(rd.text()), rd.text()
	r.Version, r.Nonce = rd.Uint(), rd.Uint()
	r.UUID, r.BodyHash = rd.text(), rd.text()
	rd.fixed(r.Signature[:])
	r.Binding = rd.binding()
	r.Body = rd.Bytes()
	if rd.Done() != nil || rd.long || port > 65535 || r.Nonce >= 1<<63 {
		return Request{}, ErrPacked
	}
	return r, nil
}

// unpacker reads packed fields, each no longer than a header's value.
type unpacker struct {
	*pack.Reader
	long bool // one was longer
}

func (r *unpacker) text() string {
	b := r.Bytes()
	if len(b) > maxField {
		r.long = true
		return ""
	}
	return string(b)
}

func (r *unpacker) fixed(dst []byte) {
	for i := range dst {
		dst[i] = r.Byte()
	}
}

func (b *Binding) append(dst []byte) []byte {
	dst = pack.AppendBool(dst, b != nil)
	if b != nil {
		dst = append(append(dst, b.Sum[:]...), b.Signature[:]...)
	}
	return dst
}

func (r *unpacker) binding() *Binding {
	if !r.Bool() {
		return nil
	}
	b := &Binding{}
	r.fixed(b.Sum[:])
	r.fixed(b.Signature[:])
	return b
}

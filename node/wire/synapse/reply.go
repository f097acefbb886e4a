package synapse

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"bettensor/node/chain"
	"bettensor/node/pack"
)

// Reply is what an axon answers. Asker, UUID and Nonce repeat the request's.
type Reply struct {
	Status  int          // of HTTP
	Message string       // beside it, for people
	Asked   chain.Hotkey // who answers, by its own word
	Asker   chain.Hotkey
	Nonce   uint64
	UUID    string
	Binding *Binding // nil from an SDK
	Body    []byte
}

// ReadReply reads the headers of a reply. Whatever of them is missing stays
// empty: an SDK's refusal carries few.
func ReadReply(status int, h Header, body []byte) (Reply, error) {
	r := Reply{Status: status, Body: body}
	var nonce string
	for _, f := range [...]struct {
		name string
		into *string
	}{
		{"bt_header_axon_status_message", &r.Message}, {"bt_header_axon_hotkey", (*string)(&r.Asked)},
		{"bt_header_dendrite_hotkey", (*string)(&r.Asker)}, {"bt_header_dendrite_nonce", &nonce}, {"bt_header_dendrite_uuid", &r.UUID},
	} {
		var err error
		if *f.into, err = field(h, f.name); err != nil {
			return Reply{}, err
		}
	}
	if nonce != "" {
		var err error
		if r.Nonce, err = strconv.ParseUint(nonce, 10, 63); err != nil {
			return Reply{}, fmt.Errorf("nonce: %w", ErrHeader)
		}
	}
	var err error
	r.Binding, err = readBinding(h)
	return r, err
}

// Headers calls set for every header of the reply to q, in the SDK's order.
// took is how long the answer took, in seconds.
func (r *Reply) Headers(q *Request, took float64, set func(name, value string)) {
	set("name", q.Name)
	set("bt_header_axon_status_code", strconv.Itoa(r.Status))
	set("bt_header_axon_status_message", r.Message)
	set("bt_header_axon_process_time", floatText(took))
	q.echo(set)
	set("header_size", "0")
	set("total_size", strconv.Itoa(len(r.Body)))
	set("computed_body_hash", q.BodyHash)
	r.Binding.headers(set)
}

// AppendBound appends the text of the binding's signature: it names the request
// that it answers, so that it answers no other.
func (r *Reply) AppendBound(dst []byte) []byte {
	return appendSigned(dst, "bt_ext_reply.", r.Nonce, string(r.Asked), string(r.Asker), r.UUID,
		strconv.Itoa(r.Status), hex.EncodeToString(r.Binding.Sum[:]))
}

// Bind covers the body, which must be complete.
func (r *Reply) Bind(sign func(text []byte) [SignatureSize]byte) {
	r.Binding = &Binding{Sum: sha256.Sum256(r.Body)}
	r.Binding.Signature = sign(r.AppendBound(nil))
}

// Append appends the packed form.
func (r *Reply) Append(dst []byte) []byte {
	dst = append(dst, markReply)
	dst = pack.AppendUint(dst, uint64(r.Status))
	dst = pack.AppendText(dst, r.Message)
	dst = pack.AppendText(dst, r.Asked)
	dst = pack.AppendText(dst, r.Asker)
	dst = pack.AppendUint(dst, r.Nonce)
	dst = pack.AppendText(dst, r.UUID)
	dst = r.Binding.append(dst)
	return pack.AppendBytes(dst, r.Body)
}

// UnpackReply reads what Append wrote. The body aliases frame.
func UnpackReply(frame []byte) (Reply, error) {
	if !IsReply(frame) || len(frame) > MaxReply+MaxHeader {
		return Reply{}, ErrPacked
	}
	rd := unpacker{Reader: pack.NewReader(frame[1:])}
	status := rd.Uint()
	r := Reply{Status: int(status), Message: rd.text(), Asked: chain.Hotkey(rd.text()), Asker: chain.Hotkey(rd.text()),
		Nonce: rd.Uint(), UUID: rd.text(), Binding: rd.binding()}
	r.Body = rd.Bytes()
	if rd.Done() != nil || rd.long || status > 999 || r.Nonce >= 1<<63 {
		return Reply{}, ErrPacked
	}
	return r, nil
}

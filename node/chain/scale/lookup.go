package scale

import (
	"fmt"
)

// Pallet finds a pallet by name; ErrName otherwise.
func (m *Metadata) Pallet(name string) (*Pallet, error) {
	for i := range m.Pallets {
		if m.Pallets[i].Name == name {
			return &m.Pallets[i], nil
		}
	}
	return nil, fmt.Errorf("%w: pallet %s", ErrName, name)
}

// PalletAt finds a pallet by its index, which may move with every runtime.
func (m *Metadata) PalletAt(index byte) (*Pallet, error) {
	for i := range m.Pallets {
		if m.Pallets[i].Index == index {
			return &m.Pallets[i], nil
		}
	}
	return nil, fmt.Errorf("%w: pallet %d", ErrName, index)
}

// Type returns a type by its ID.
func (m *Metadata) Type(id TypeID) (*Type, error) {
	if int64(id) >= int64(len(m.Types)) {
		return nil, fmt.Errorf("%w: type %d of %d", ErrName, id, len(m.Types))
	}
	return &m.Types[id], nil
}

// Constant decodes a constant of a pallet.
func (m *Metadata) Constant(pallet, name string) (Value, error) {
	p, err := m.Pallet(pallet)
	if err != nil {
		return nil, err
	}
	for i := range p.Constants {
		if c := &p.Constants[i]; c.Name == name {
			r := NewReader(c.Value)
			v := m.Decode(c.Type, r)
			if err := r.Done(); err != nil {
				return nil, fmt.Errorf("constant %s.%s: %w", pallet, name, err)
			}
			return v, nil
		}
	}
	return nil, fmt.Errorf("%w: constant %s.%s", ErrName, pallet, name)
}

// Method finds a function of a runtime API; ErrName where the runtime does not
// offer it, or its metadata (V14) does not tell.
func (m *Metadata) Method(api, name string) (*Method, error) {
	for i := range m.APIs {
		if m.APIs[i].Name != api {
			continue
		}
		for j := range m.APIs[i].Methods {
			if m.APIs[i].Methods[j].Name == name {
				return &m.APIs[i].Methods[j], nil
			}
		}
	}
	return nil, fmt.Errorf("%w: runtime API %s.%s", ErrName, api, name)
}

// variant finds a variant of an enum by name, or by index where name is "".
func (m *Metadata) variant(id TypeID, name string, index byte) (*VariantDef, error) {
	t, err := m.Type(id)
	if err != nil {
		return nil, err
	}
	for i := range t.Variants {
		v := &t.Variants[i]
		if name != "" && v.Name == name || name == "" && v.Index == index {
			return v, nil
		}
	}
	if name == "" {
		return nil, fmt.Errorf("%w: variant %d of type %d", ErrName, index, id)
	}
	return nil, fmt.Errorf("%w: variant %s of type %d", ErrName, name, id)
}

// Error names an error of a pallet, both by index, as a dispatch error has
// them: its pallet, its own name and the first line of its documentation.
func (m *Metadata) Error(pallet, index byte) (in, name, doc string, err error) {
	p, err := m.PalletAt(pallet)
	if err != nil {
		return "", "", "", err
	}
	v, err := m.variant(p.Errors, "", index)
	if err != nil {
		return p.Name, "", "", fmt.Errorf("error %d of pallet %s: %w", index, p.Name, err)
	}
	if len(v.Docs) > 0 {
		doc = v.Docs[0]
	}
	return p.Name, v.Name, doc, nil
}

// ErrorIndexes are the indexes of a pallet and of one of its errors.
func (m *Metadata) ErrorIndexes(pallet, name string) (in, index byte, err error) {
	p, err := m.Pallet(pallet)
	if err != nil {
		return 0, 0, err
	}
	v, err := m.variant(p.Errors, name, 0)
	if err != nil {
		return 0, 0, fmt.Errorf("error %s.%s: %w", pallet, name, err)
	}
	return p.Index, v.Index, nil
}

// DispatchError names a decoded sp_runtime DispatchError: pallet and error of a
// Module error; for the others "" and the names of its variants, as in
// "BadOrigin" or "Token.FundsUnavailable".
func (m *Metadata) DispatchError(v Value) (pallet, name string, err error) {
	e, ok := v.(Variant)
	if !ok {
		return "", "", fmt.Errorf("%w: dispatch error is a %T", ErrForm, v)
	}
	if e.Name != "Module" {
		name = e.Name
		if len(e.Fields) == 1 {
			if inner, ok := e.Fields[0].Value.(Variant); ok {
				name += "." + inner.Name
			}
		}
		return "", name, nil
	}
	if len(e.Fields) == 1 {
		if inner, ok := e.Fields[0].Value.(Record); ok {
			e.Fields = inner
		}
	}
	index, ok := e.Fields.Get("index").(uint64)
	var code byte
	switch c := e.Fields.Get("error").(type) {
	case []byte:
		if len(c) == 0 {
			ok = false
			break
		}
		code = c[0]
	case uint64:
		code = byte(c)
	default:
		ok = false
	}
	if !ok {
		return "", "", fmt.Errorf("%w: module error %v", ErrForm, e.Fields)
	}
	pallet, name, _, err = m.Error(byte(index), code)
	return pallet, name, err
}

// Call is a decoded call.
type Call struct {
	Pallet, Name string
	Args         Record
}

// AppendCall appends a call by the names of pallet and call, with one value for
// each argument.
func (m *Metadata) AppendCall(dst []byte, pallet, name string, args ...Value) ([]byte, error) {
	p, v, err := m.call(pallet, name)
	if err != nil {
		return dst, err
	}
	if len(args) != len(v.Fields) {
		return dst, fmt.Errorf("%w: call %s.%s takes %d arguments, not %d", ErrForm, pallet, name, len(v.Fields), len(args))
	}
	dst = append(dst, p.Index, v.Index)
	for i := range args {
		if dst, err = m.Encode(dst, v.Fields[i].Type, args[i]); err != nil {
			return dst, fmt.Errorf("call %s.%s, %s: %w", pallet, name, v.Fields[i].Name, err)
		}
	}
	return dst, nil
}

// HasCall tells whether the runtime has a call.
func (m *Metadata) HasCall(pallet, name string) bool {
	_, _, err := m.call(pallet, name)
	return err == nil
}

func (m *Metadata) call(pallet, name string) (*Pallet, *VariantDef, error) {
	p, err := m.Pallet(pallet)
	if err != nil {
		return nil, nil, err
	}
	v, err := m.variant(p.Calls, name, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("call %s.%s: %w", pallet, name, err)
	}
	return p, v, nil
}

// DecodeCall reads the whole of b as a call.
func (m *Metadata) DecodeCall(b []byte) (Call, error) {
	r := NewReader(b)
	var c Call
	index := r.U8()
	p, err := m.PalletAt(index)
	if r.err != nil {
		return c, r.err
	}
	if err != nil {
		return c, err
	}
	c.Pallet = p.Name
	v, ok := m.Decode(p.Calls, r).(Variant)
	if err := r.Done(); err != nil {
		return c, fmt.Errorf("call of %s: %w", p.Name, err)
	}
	if !ok {
		return c, fmt.Errorf("%w: pallet %s has no calls", ErrName, p.Name)
	}
	c.Name, c.Args = v.Name, v.Fields
	return c, nil
}

// Phase says when in a block an event happened.
type Phase uint8

// The phases, numbered as the chain numbers them.
const (
	ApplyExtrinsic Phase = iota
	Finalization
	Initialization
)

// Event is one decoded event of a block.
type Event struct {
	Phase     Phase
	Extrinsic uint32 // place in the block, in phase ApplyExtrinsic
	Pallet    string
	Name      string
	Fields    Record
}

// DecodeEvents reads the value of System.Events. Events have no length of their
// own, so one that cannot be read hides those behind it: the events before it
// are returned together with an error that tells its place.
func (m *Metadata) DecodeEvents(b []byte) ([]Event, error) {
	r := NewReader(b)
	n := r.Count(4) // phase, pallet, variant, topics
	var events []Event
	for i := range n {
		e := m.event(r)
		if r.err != nil {
			return events, fmt.Errorf("event %d of %d, %s.%s: %w", i, n, e.Pallet, e.Name, r.err)
		}
		events = append(events, e)
	}
	if err := r.Done(); err != nil {
		return events, fmt.Errorf("events: %w", err)
	}
	return events, nil
}

func (m *Metadata) event(r *Reader) (e Event) {
	switch e.Phase = Phase(r.U8()); e.Phase {
	case ApplyExtrinsic:
		e.Extrinsic = r.U32()
	case Finalization, Initialization:
	default:
		r.failf("phase %d", e.Phase)
	}
	index := r.U8()
	if r.err != nil {
		return e
	}
	p, err := m.PalletAt(index)
	if err != nil {
		r.failf("%v", err)
		return e
	}
	e.Pallet = p.Name
	v, _ := m.Decode(p.Events, r).(Variant)
	e.Name, e.Fields = v.Name, v.Fields
	for range r.Count(32) { // topics
		r.Take(32)
	}
	return e
}

// AppendEvent appends an event record as System.Events holds them, without
// topics. The value of System.Events is their number (AppendCompact) and then
// the records.
func (m *Metadata) AppendEvent(dst []byte, phase Phase, extrinsic uint32, pallet, name string, fields ...Value) ([]byte, error) {
	p, err := m.Pallet(pallet)
	if err != nil {
		return dst, err
	}
	v, err := m.variant(p.Events, name, 0)
	if err != nil {
		return dst, fmt.Errorf("event %s.%s: %w", pallet, name, err)
	}
	if len(fields) != len(v.Fields) {
		return dst, fmt.Errorf("%w: event %s.%s has %d fields, not %d", ErrForm, pallet, name, len(v.Fields), len(fields))
	}
	dst = append(dst, byte(phase))
	if phase == ApplyExtrinsic {
		dst = append(dst, byte(extrinsic), byte(extrinsic>>8), byte(extrinsic>>16), byte(extrinsic>>24))
	}
	dst = append(dst, p.Index, v.Index)
	for i := range fields {
		if dst, err = m.Encode(dst, v.Fields[i].Type, fields[i]); err != nil {
			return dst, fmt.Errorf("event %s.%s, field %d: %w", pallet, name, i, err)
		}
	}
	return append(dst, 0), nil
}

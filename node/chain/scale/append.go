package scale

import (
	"fmt"
	"slices"
)

// Append appends the metadata in version 14 or 15, from its magic on; other
// versions are ErrVersion. What the form has no place for is left out, and what
// it wants beyond the model is made: V14 finds the parts of an extrinsic in the
// parameters of a type, so that type is added where the model has none.
func (m *Metadata) Append(dst []byte, version byte) ([]byte, error) {
	if version != 14 && version != 15 {
		return dst, fmt.Errorf("%w: %d is not written, 14 and 15 are", ErrVersion, version)
	}
	w := &writer{dst: append(dst, 'm', 'e', 't', 'a', version), version: version}
	m = m.completed(version)
	w.count(len(m.Types))
	for i := range m.Types {
		w.typ(TypeID(i), &m.Types[i])
	}
	w.count(len(m.Pallets))
	for i := range m.Pallets {
		w.pallet(&m.Pallets[i])
	}
	w.extrinsic(&m.Extrinsic)
	w.id(m.Runtime)
	if version > 14 {
		w.apis(m.APIs)
		w.id(m.Outer.Call)
		w.id(m.Outer.Event)
		w.id(m.Outer.Error)
		w.count(len(m.Custom))
		for _, c := range m.Custom {
			w.text(c.Name)
			w.id(c.Type)
			w.text(string(c.Value))
		}
	}
	return w.dst, nil
}

// completed is m with the types that a version wants and the model lacks.
func (m *Metadata) completed(version byte) *Metadata {
	c := *m
	c.Types = slices.Clone(m.Types)
	add := func(t Type) TypeID {
		c.Types = append(c.Types, t)
		return TypeID(len(c.Types) - 1)
	}
	unit := func(id *TypeID, path ...string) {
		if *id == NoType {
			*id = add(Type{Path: path})
		}
	}
	x := &c.Extrinsic
	unit(&c.Runtime, "Runtime")
	if version == 14 && x.Type != NoType {
		return &c
	}
	for _, part := range []*TypeID{&x.Address, &x.Call, &x.Signature} {
		unit(part)
	}
	if x.Extra == NoType {
		extra := Type{Kind: Tuple}
		for _, e := range x.Extensions {
			extra.Items = append(extra.Items, e.Extra)
		}
		x.Extra = add(extra)
	}
	if version == 14 && x.Type == NoType {
		octet := add(Type{Kind: Primitive, Prim: U8})
		octets := add(Type{Kind: Sequence, Elem: octet})
		x.Type = add(Type{
			Path:   []string{"sp_runtime", "generic", "unchecked_extrinsic", "UncheckedExtrinsic"},
			Params: []TypeParam{{"Address", x.Address}, {"Call", x.Call}, {"Signature", x.Signature}, {"Extra", x.Extra}},
			Fields: []FieldDef{{Type: octets}},
		})
	}
	if version > 14 {
		unit(&c.Outer.Call, "RuntimeCall")
		unit(&c.Outer.Event, "RuntimeEvent")
		unit(&c.Outer.Error, "RuntimeError")
	}
	return &c
}

type writer struct {
	dst     []byte
	version byte
}

func (w *writer) count(n int)   { w.dst = AppendCompact(w.dst, uint64(n)) }
func (w *writer) u8(b byte)     { w.dst = append(w.dst, b) }
func (w *writer) text(s string) { w.dst = AppendBytes(w.dst, s) }
func (w *writer) id(id TypeID)  { w.dst = AppendCompact(w.dst, uint64(id)) }

func (w *writer) texts(v []string) {
	w.count(len(v))
	for _, s := range v {
		w.text(s)
	}
}

func (w *writer) optional(there bool, write func()) {
	if !there {
		w.u8(0)
		return
	}
	w.u8(1)
	write()
}

func (w *writer) optionalText(s string) { w.optional(s != "", func() { w.text(s) }) }
func (w *writer) optionalID(id TypeID)  { w.optional(id != NoType, func() { w.id(id) }) }
func (w *writer) fields(defs []FieldDef) {
	w.count(len(defs))
	for i := range defs {
		w.optionalText(defs[i].Name)
		w.id(defs[i].Type)
		w.optionalText(defs[i].TypeName)
		w.texts(defs[i].Docs)
	}
}

func (w *writer) typ(id TypeID, t *Type) {
	w.id(id)
	w.texts(t.Path)
	w.count(len(t.Params))
	for _, p := range t.Params {
		w.text(p.Name)
		w.optionalID(p.Type)
	}
	w.u8(byte(t.Kind))
	switch t.Kind {
	case Composite:
		w.fields(t.Fields)
	case Enum:
		w.count(len(t.Variants))
		for i := range t.Variants {
			v := &t.Variants[i]
			w.text(v.Name)
			w.fields(v.Fields)
			w.u8(v.Index)
			w.texts(v.Docs)
		}
	case Sequence, Compact:
		w.id(t.Elem)
	case Array:
		w.dst = append(w.dst, byte(t.Len), byte(t.Len>>8), byte(t.Len>>16), byte(t.Len>>24))
		w.id(t.Elem)
	case Tuple:
		w.count(len(t.Items))
		for _, item := range t.Items {
			w.id(item)
		}
	case Primitive:
		w.u8(byte(t.Prim))
	case Bits:
		w.id(t.Elem)
		w.id(t.Order)
	}
	w.texts(t.Docs)
}

func (w *writer) pallet(p *Pallet) {
	w.text(p.Name)
	w.optional(p.Prefix != "", func() {
		w.text(p.Prefix)
		w.count(len(p.Storage))
		for i := range p.Storage {
			w.entry(&p.Storage[i])
		}
	})
	w.optionalID(p.Calls)
	w.optionalID(p.Events)
	w.count(len(p.Constants))
	for i := range p.Constants {
		c := &p.Constants[i]
		w.text(c.Name)
		w.id(c.Type)
		w.text(string(c.Value))
		w.texts(c.Docs)
	}
	w.optionalID(p.Errors)
	w.u8(p.Index)
	if w.version > 14 {
		w.texts(p.Docs)
	}
}

func (w *writer) entry(e *Entry) {
	w.text(e.Name)
	w.u8(byte(e.Modifier))
	if len(e.Hashers) == 0 {
		w.u8(0)
	} else {
		w.u8(1)
		w.count(len(e.Hashers))
		for _, h := range e.Hashers {
			w.u8(byte(h))
		}
		w.id(e.Key)
	}
	w.id(e.Value)
	w.text(string(e.Default))
	w.texts(e.Docs)
}

func (w *writer) extrinsic(x *ExtrinsicForm) {
	version := byte(version4)
	if len(x.Versions) > 0 && !slices.Contains(x.Versions, version) {
		version = x.Versions[0]
	}
	if w.version == 14 {
		w.id(x.Type)
		w.u8(version)
	} else {
		w.u8(version)
		for _, id := range []TypeID{x.Address, x.Call, x.Signature, x.Extra} {
			w.id(id)
		}
	}
	w.count(len(x.Extensions))
	for _, e := range x.Extensions {
		w.text(e.Name)
		w.id(e.Extra)
		w.id(e.Implicit)
	}
}

func (w *writer) apis(apis []API) {
	w.count(len(apis))
	for i := range apis {
		w.text(apis[i].Name)
		w.count(len(apis[i].Methods))
		for j := range apis[i].Methods {
			f := &apis[i].Methods[j]
			w.text(f.Name)
			w.count(len(f.Inputs))
			for _, in := range f.Inputs {
				w.text(in.Name)
				w.id(in.Type)
			}
			w.id(f.Output)
			w.texts(f.Docs)
		}
		w.texts(apis[i].Docs)
	}
}

// Prune returns a copy without the types that nothing in the model names any
// more, the rest renumbered. Whoever makes a subset takes pallets, entries,
// variants and APIs out of a Clone, and prunes it.
func (m *Metadata) Prune() *Metadata {
	c := m.Clone()
	order := make([]TypeID, len(m.Types)) // old ID to new, NoType until reached
	for i := range order {
		order[i] = NoType
	}
	var reached []TypeID
	mark := func(id *TypeID) {
		if int64(*id) < int64(len(order)) && order[*id] == NoType {
			order[*id] = 0
			reached = append(reached, *id)
		}
	}
	c.eachRoot(mark)
	for i := 0; i < len(reached); i++ {
		c.Types[reached[i]].each(mark)
	}
	slices.Sort(reached) // in their old order: a small change makes a small difference
	kept := make([]Type, len(reached))
	for i, id := range reached {
		order[id], kept[i] = TypeID(i), c.Types[id]
	}
	renumber := func(id *TypeID) {
		if int64(*id) < int64(len(order)) {
			*id = order[*id]
		}
	}
	c.Types = kept
	c.eachRoot(renumber)
	for i := range c.Types {
		c.Types[i].each(renumber)
	}
	return c
}

// eachRoot visits every type ID outside of the registry.
func (m *Metadata) eachRoot(visit func(*TypeID)) {
	for i := range m.Pallets {
		p := &m.Pallets[i]
		for j := range p.Storage {
			visit(&p.Storage[j].Key)
			visit(&p.Storage[j].Value)
		}
		visit(&p.Calls)
		visit(&p.Events)
		visit(&p.Errors)
		for j := range p.Constants {
			visit(&p.Constants[j].Type)
		}
	}
	x := &m.Extrinsic
	for _, id := range []*TypeID{&x.Type, &x.Address, &x.Call, &x.Signature, &x.Extra, &m.Runtime, &m.Outer.Call, &m.Outer.Event, &m.Outer.Error} {
		visit(id)
	}
	for i := range x.Extensions {
		visit(&x.Extensions[i].Extra)
		visit(&x.Extensions[i].Implicit)
	}
	for i := range m.APIs {
		for j := range m.APIs[i].Methods {
			f := &m.APIs[i].Methods[j]
			for k := range f.Inputs {
				visit(&f.Inputs[k].Type)
			}
			visit(&f.Output)
		}
	}
	for i := range m.Custom {
		visit(&m.Custom[i].Type)
	}
}

// each visits the type IDs that a type names.
func (t *Type) each(visit func(*TypeID)) {
	for i := range t.Params {
		visit(&t.Params[i].Type)
	}
	for i := range t.Fields {
		visit(&t.Fields[i].Type)
	}
	for i := range t.Variants {
		for j := range t.Variants[i].Fields {
			visit(&t.Variants[i].Fields[j].Type)
		}
	}
	for i := range t.Items {
		visit(&t.Items[i])
	}
	switch t.Kind {
	case Sequence, Array, Compact:
		visit(&t.Elem)
	case Bits:
		visit(&t.Elem)
		visit(&t.Order)
	}
}

// Clone copies all of the model that can be changed in place.
func (m *Metadata) Clone() *Metadata {
	c := *m
	fields := func(f []FieldDef) []FieldDef { return slices.Clone(f) }
	c.Types = slices.Clone(m.Types)
	for i := range c.Types {
		t := &c.Types[i]
		t.Params, t.Fields, t.Items = slices.Clone(t.Params), fields(t.Fields), slices.Clone(t.Items)
		t.Variants = slices.Clone(t.Variants)
		for j := range t.Variants {
			t.Variants[j].Fields = fields(t.Variants[j].Fields)
		}
	}
	c.Pallets = slices.Clone(m.Pallets)
	for i := range c.Pallets {
		c.Pallets[i].Storage = slices.Clone(c.Pallets[i].Storage)
		c.Pallets[i].Constants = slices.Clone(c.Pallets[i].Constants)
	}
	c.Extrinsic.Extensions = slices.Clone(m.Extrinsic.Extensions)
	c.APIs = slices.Clone(m.APIs)
	for i := range c.APIs {
		a := &c.APIs[i]
		a.Methods = slices.Clone(a.Methods)
		for j := range a.Methods {
			a.Methods[j].Inputs = slices.Clone(a.Methods[j].Inputs)
		}
	}
	c.Custom = slices.Clone(m.Custom)
	return &c
}

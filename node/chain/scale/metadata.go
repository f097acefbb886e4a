package scale

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Limits of metadata. A real runtime's is 315 kB with 750 types.
const (
	// maxMetadata is the size from which metadata is refused: fifty times what
	// the largest known runtime publishes.
	maxMetadata = 16 << 20
	// maxTypes bounds the registry, and every other list.
	maxTypes = 1 << 16
)

// magic is the first word of metadata: "meta".
const magic = 0x6174656d

// Errors of metadata.
var (
	// ErrVersion: metadata of a version this package does not read or write.
	ErrVersion = errors.New("scale: metadata version not supported")
	// ErrName: the metadata has no such pallet, entry, call, method or type.
	ErrName = errors.New("scale: not in the metadata")
)

// TypeID is a type's place in Metadata.Types.
type TypeID uint32

// NoType stands where metadata names no type.
const NoType TypeID = math.MaxUint32

// Metadata is what a runtime says of itself. Version is the form it was read
// from; fields that form lacks are empty, or NoType.
type Metadata struct {
	Version   byte
	Types     []Type
	Pallets   []Pallet
	Extrinsic ExtrinsicForm
	Runtime   TypeID // the runtime's own type, V14 and V15
	APIs      []API  // V15 and V16
	Outer     OuterEnums
	Custom    []CustomValue // V15 and V16
}

// Kind is the form of a Type.
type Kind uint8

// The forms, numbered as the metadata numbers them.
const (
	Composite Kind = iota // Fields
	Enum                  // Variants
	Sequence              // Elem
	Array                 // Elem, Len
	Tuple                 // Items
	Primitive             // Prim
	Compact               // Elem
	Bits                  // Elem is the store, Order the order's type
)

// Prim is a primitive type.
type Prim uint8

// The primitives, numbered as the metadata numbers them.
const (
	Bool Prim = iota
	Char
	Str
	U8
	U16
	U32
	U64
	U128
	U256
	I8
	I16
	I32
	I64
	I128
	I256
)

// Type is one entry of the registry. Which fields count depends on Kind.
type Type struct {
	Path     []string
	Params   []TypeParam
	Kind     Kind
	Fields   []FieldDef
	Variants []VariantDef
	Elem     TypeID
	Order    TypeID
	Len      uint32
	Items    []TypeID
	Prim     Prim
	Docs     []string
}

// TypeParam is a generic parameter; Type is NoType where it is not needed.
type TypeParam struct {
	Name string
	Type TypeID
}

// FieldDef is a field of a composite or variant. Name and TypeName may be "".
type FieldDef struct {
	Name     string
	Type     TypeID
	TypeName string
	Docs     []string
}

// VariantDef is one variant of an enum: a call, an event or an error, in the
// enums of a pallet.
type VariantDef struct {
	Name   string
	Fields []FieldDef
	Index  byte
	Docs   []string
}

// Pallet is one module of the runtime. Calls, Events and Errors are enums, or
// NoType.
type Pallet struct {
	Name                  string
	Index                 byte
	Prefix                string // of its storage, "" where it has none
	Storage               []Entry
	Calls, Events, Errors TypeID
	Constants             []Constant
	Docs                  []string // V15 and V16
}

// Constant is a value compiled into the runtime, in SCALE.
type Constant struct {
	Name  string
	Type  TypeID
	Value []byte
	Docs  []string
}

// ExtrinsicForm says how extrinsics are built.
type ExtrinsicForm struct {
	Versions                        []byte
	Type                            TypeID // of the whole extrinsic, V14 only
	Address, Call, Signature, Extra TypeID
	Extensions                      []Extension // of version 4, in order
}

// Extension is one signed extension: Extra is part of the extrinsic, Implicit
// only of what is signed.
type Extension struct {
	Name            string
	Extra, Implicit TypeID
}

// API is a runtime API.
type API struct {
	Name    string
	Methods []Method
	Docs    []string
}

// Method is one function of an API, called as Api_method.
type Method struct {
	Name   string
	Inputs []Input
	Output TypeID
	Docs   []string
}

// Input is a parameter of a Method.
type Input struct {
	Name string
	Type TypeID
}

// OuterEnums are the runtime's enums over all pallets.
type OuterEnums struct{ Call, Event, Error TypeID }

// CustomValue is an entry that a runtime adds for its own tools.
type CustomValue struct {
	Name  string
	Type  TypeID
	Value []byte
}

// Unwrap takes metadata out of the Option of opaque bytes that the call
// Metadata_metadata_at_version answers with. nil means that the runtime does
// not offer that version.
func Unwrap(b []byte) ([]byte, error) {
	r := NewReader(b)
	if !r.Option() {
		return nil, r.Done()
	}
	inner := r.Bytes()
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("metadata at version: %w", err)
	}
	return inner, nil
}

// Parse reads metadata V14, V15 or V16, from its magic on. Every type it names
// exists.
func Parse(b []byte) (*Metadata, error) {
	if len(b) > maxMetadata {
		return nil, fmt.Errorf("%w: metadata of %d bytes, at most %d are read", ErrForm, len(b), maxMetadata)
	}
	p := &parser{Reader: NewReader(b), m: &Metadata{Runtime: NoType, Outer: OuterEnums{NoType, NoType, NoType}}}
	if p.U32() != magic {
		p.failf("does not begin with meta")
		return nil, p.err
	}
	p.m.Version = p.U8()
	if p.err == nil && (p.m.Version < 14 || p.m.Version > 16) {
		return nil, fmt.Errorf("%w: %d, not 14 to 16", ErrVersion, p.m.Version)
	}
	p.metadata()
	if err := p.Done(); err != nil {
		return nil, fmt.Errorf("metadata v%d: %w", p.m.Version, err)
	}
	if p.m.Version == 14 {
		p.m.fromParams()
	}
	return p.m, nil
}

// parser reads metadata; max is the largest type ID named so far.
type parser struct {
	*Reader
	m   *Metadata
	max TypeID
}

func (p *parser) metadata() {
	m := p.m
	m.Types = list(p, 6, p.typ)
	m.Pallets = list(p, 7, p.pallet)
	p.extrinsic()
	if m.Version < 16 {
		m.Runtime = p.id()
	}
	if m.Version > 14 {
		m.APIs = list(p, 3, p.api)
		m.Outer = OuterEnums{p.id(), p.id(), p.id()}
		m.Custom = list(p, 3, func() CustomValue { return CustomValue{p.Text(), p.id(), p.bytes()} })
	}
	if p.err == nil && int(p.max) >= len(m.Types) {
		p.failf("type %d is named, there are %d", p.max, len(m.Types))
	}
}

// list reads a vector of items of at least least bytes.
func list[T any](p *parser, least int, read func() T) []T {
	n := p.Count(least)
	if n > maxTypes {
		p.failf("list of %d items, at most %d are read", n, maxTypes)
	}
	if n == 0 || p.err != nil {
		return nil
	}
	v := make([]T, 0, n)
	for range n {
		v = append(v, read())
		if p.err != nil {
			return nil
		}
	}
	return v
}

func (p *parser) texts() []string { return list(p, 1, p.Text) }

// bytes are a copy: what is kept of metadata must not keep all of it.
func (p *parser) bytes() []byte { return slices.Clone(p.Bytes()) }

func (p *parser) id() TypeID {
	v := p.Compact()
	if v >= maxTypes {
		p.failf("type %d", v)
		return 0
	}
	p.max = max(p.max, TypeID(v))
	return TypeID(v)
}

func (p *parser) optionalID() TypeID {
	if !p.Option() {
		return NoType
	}
	return p.id()
}

func (p *parser) optionalText() string {
	if !p.Option() {
		return ""
	}
	return p.Text()
}

func (p *parser) typ() (t Type) {
	at := p.off
	p.Compact() // its ID, which is its place
	t.Path = p.texts()
	t.Params = list(p, 2, func() TypeParam { return TypeParam{p.Text(), p.optionalID()} })
	switch t.Kind = Kind(p.U8()); t.Kind {
	case Composite:
		t.Fields = p.fields()
	case Enum:
		t.Variants = list(p, 4, func() VariantDef { return VariantDef{p.Text(), p.fields(), p.U8(), p.texts()} })
	case Sequence, Compact:
		t.Elem = p.id()
	case Array:
		t.Len, t.Elem = p.U32(), p.id()
	case Tuple:
		t.Items = list(p, 1, p.id)
	case Primitive:
		if t.Prim = Prim(p.U8()); t.Prim > I256 {
			p.failf("primitive %d", t.Prim)
		}
	case Bits:
		t.Elem, t.Order = p.id(), p.id()
	default:
		p.failf("type definition %d", t.Kind)
	}
	t.Docs = p.texts()
	p.within("type at byte %d", at)
	return t
}

func (p *parser) fields() []FieldDef {
	return list(p, 4, func() FieldDef { return FieldDef{p.optionalText(), p.id(), p.optionalText(), p.texts()} })
}

func (p *parser) pallet() (x Pallet) {
	x.Name = p.Text()
	if p.Option() {
		x.Prefix = p.Text()
		x.Storage = list(p, 6, func() Entry { return p.entry(x.Prefix) })
	}
	x.Calls = p.enum()
	x.Events = p.enum()
	x.Constants = list(p, 4, p.constant)
	x.Errors = p.enum()
	if p.m.Version >= 16 {
		list(p, 3, func() struct{} { p.Text(); p.id(); p.texts(); return struct{}{} }) // associated types
		list(p, 37, func() struct{} {                                                  // view functions
			p.Take(32)
			p.method()
			return struct{}{}
		})
	}
	x.Index = p.U8()
	if p.m.Version >= 15 {
		x.Docs = p.texts()
	}
	p.deprecation()
	p.within("pallet %.40q", x.Name)
	return x
}

// enum reads a pallet's optional enum of calls, events or errors.
func (p *parser) enum() TypeID {
	if !p.Option() {
		return NoType
	}
	id := p.id()
	if p.m.Version >= 16 { // which of its variants are deprecated
		list(p, 2, func() struct{} { p.U8(); p.deprecated(p.U8(), 1); return struct{}{} })
	}
	return id
}

// deprecation reads past what V16 says of an item's deprecation.
func (p *parser) deprecation() {
	if p.m.Version >= 16 {
		p.deprecated(p.U8(), 0)
	}
}

func (p *parser) deprecated(status, least byte) {
	switch {
	case status > 2 || status < least:
		p.failf("deprecation %d", status)
	case status == 2:
		p.Text()
		p.optionalText()
	}
}

func (p *parser) entry(prefix string) Entry {
	e := Entry{prefix: prefix, Name: p.Text(), Key: NoType}
	if e.Modifier = Modifier(p.U8()); e.Modifier > Default {
		p.failf("storage modifier %d", e.Modifier)
	}
	switch kind := p.U8(); kind {
	case 0:
		e.Value = p.id()
	case 1:
		e.Hashers = list(p, 1, func() Hasher {
			h := Hasher(p.U8())
			if h > Identity {
				p.failf("hasher %d", h)
			}
			return h
		})
		e.Key, e.Value = p.id(), p.id()
	default:
		p.failf("storage entry type %d", kind)
	}
	e.Default, e.Docs = p.bytes(), p.texts()
	p.deprecation()
	p.within("storage %.40q", e.Name)
	return e
}

func (p *parser) constant() Constant {
	c := Constant{p.Text(), p.id(), p.bytes(), p.texts()}
	p.deprecation()
	return c
}

func (p *parser) extrinsic() {
	x := &p.m.Extrinsic
	*x = ExtrinsicForm{Type: NoType, Address: NoType, Call: NoType, Signature: NoType, Extra: NoType}
	switch p.m.Version {
	case 14:
		x.Type, x.Versions = p.id(), []byte{p.U8()}
	case 15:
		x.Versions = []byte{p.U8()}
		x.Address, x.Call, x.Signature, x.Extra = p.id(), p.id(), p.id(), p.id()
	default:
		x.Versions = p.bytes()
		x.Address, x.Call, x.Signature = p.id(), p.id(), p.id()
		p.extensionsByVersion()
		return
	}
	x.Extensions = list(p, 3, p.extension)
}

func (p *parser) extension() Extension { return Extension{p.Text(), p.id(), p.id()} }

// extensionsByVersion reads the lists of V16 and keeps the one of extrinsic
// version 4: that version's own, or else extension version 0's, which is what
// the older forms of metadata list.
func (p *parser) extensionsByVersion() {
	type row struct {
		version byte
		places  []uint64
	}
	rows := list(p, 2, func() row { return row{p.U8(), list(p, 1, p.Compact)} })
	all := list(p, 3, p.extension)
	p.m.Extrinsic.Extensions = all
	for _, want := range []byte{4, 0} {
		i := slices.IndexFunc(rows, func(r row) bool { return r.version == want })
		if i < 0 {
			continue
		}
		var kept []Extension
		for _, at := range rows[i].places {
			if at >= uint64(len(all)) {
				p.failf("extension %d is named, there are %d", at, len(all))
				return
			}
			kept = append(kept, all[at])
		}
		p.m.Extrinsic.Extensions = kept
		return
	}
}

func (p *parser) api() (a API) {
	a.Name = p.Text()
	a.Methods = list(p, 4, p.method)
	a.Docs = p.texts()
	if p.m.Version >= 16 {
		p.Compact() // the API's version
	}
	p.deprecation()
	p.within("runtime API %.40q", a.Name)
	return a
}

func (p *parser) method() Method {
	m := Method{p.Text(), list(p, 2, func() Input { return Input{p.Text(), p.id()} }), p.id(), p.texts()}
	p.deprecation()
	return m
}

// fromParams finds what V14 does not say outright: the parts of an extrinsic in
// the parameters of its type, and the outer enum of events by its path.
func (m *Metadata) fromParams() {
	x := &m.Extrinsic
	for _, p := range m.Types[x.Type].Params {
		switch p.Name {
		case "Address":
			x.Address = p.Type
		case "Call":
			x.Call, m.Outer.Call = p.Type, p.Type
		case "Signature":
			x.Signature = p.Type
		case "Extra", "Extension":
			x.Extra = p.Type
		}
	}
	m.Outer.Event = TypeID(slices.IndexFunc(m.Types, func(t Type) bool {
		return t.Kind == Enum && len(t.Path) > 0 && t.Path[len(t.Path)-1] == "RuntimeEvent"
	}))
}

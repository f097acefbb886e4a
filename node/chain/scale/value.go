package scale

import (
	"fmt"
	"math/big"
	"reflect"
)

// Value is a value of a type known only at run time:
//
//	bool                        bool
//	u8 … u64, char              uint64
//	i8 … i64                    int64
//	u128, u256, i128, i256      *big.Int
//	Compact<T>                  as T
//	str                         string
//	[u8; n], Vec<u8>            []byte
//	other arrays, vectors       []Value
//	tuples                      []Value
//	bit sequences               BitSequence
//	enums, Option included      Variant
//	structs of one unnamed field  as that field: AccountId32 is []byte
//	other structs               Record
//	what has no bytes           nil, as () and structs without fields
//
// Encode also takes what reads naturally for these: any Go integer for a
// number, any slice or array for a list, a string for the bytes of text.
type Value any

// Record is the fields of a struct or variant in order.
type Record []Field

// Field is a field with its value; Name is "" where it has none.
type Field struct {
	Name  string
	Value Value
}

// Get is the value of the field of that name, or nil.
func (r Record) Get(name string) Value {
	for i := range r {
		if r[i].Name == name {
			return r[i].Value
		}
	}
	return nil
}

// Variant is a value of an enum. Encode goes by Name, or by Index where Name is
// "".
type Variant struct {
	Name   string
	Index  byte
	Fields Record
}

// BitSequence is Len bits in whole words of the type's store.
type BitSequence struct {
	Len  int
	Data []byte
}

// Limits of dynamic values.
const (
	// maxDepth bounds recursion: a call within calls is legal and may nest as
	// deep as its bytes allow.
	maxDepth = 64
	// maxNodes bounds what the bytes of one Reader can stand for, as a vector of a
	// million values of no size. A subnet's largest storage value has 70,000.
	maxNodes = 1 << 20
)

// Decode reads a value of a type. Failures are r's; byte slices share its input.
func (m *Metadata) Decode(id TypeID, r *Reader) Value { return m.decode(id, r, 0) }

// DecodeAll reads the whole of b as a value of a type.
func (m *Metadata) DecodeAll(id TypeID, b []byte) (Value, error) {
	r := NewReader(b)
	v := m.Decode(id, r)
	if err := r.Done(); err != nil {
		return nil, err
	}
	return v, nil
}

func (m *Metadata) decode(id TypeID, r *Reader, depth int) Value {
	r.nodes++
	switch {
	case r.err != nil:
		return nil
	case int64(id) >= int64(len(m.Types)):
		r.failf("type %d of %d", id, len(m.Types))
		return nil
	case depth > maxDepth:
		r.failf("nested deeper than %d", maxDepth)
		return nil
	case r.nodes > maxNodes:
		r.failf("more than %d values", maxNodes)
		return nil
	}
	t := &m.Types[id]
	switch t.Kind {
	case Composite:
		f := m.decodeFields(t.Fields, r, depth)
		switch {
		case r.err != nil || len(f) == 0:
			return nil
		case t.newtype():
			return f[0].Value
		}
		return f
	case Enum:
		index := r.U8()
		for i := range t.Variants {
			if v := &t.Variants[i]; v.Index == index && r.err == nil {
				return Variant{v.Name, index, m.decodeFields(v.Fields, r, depth)}
			}
		}
		r.failf("no variant %d in %s", index, m.TypeName(id))
		return nil
	case Sequence:
		if m.isByte(t.Elem) {
			return r.Bytes()
		}
		n := r.Compact()
		return m.decodeList(t.Elem, n, r, depth)
	case Array:
		if m.isByte(t.Elem) {
			return r.Take(int(t.Len))
		}
		return m.decodeList(t.Elem, uint64(t.Len), r, depth)
	case Tuple:
		if len(t.Items) == 0 {
			return nil
		}
		v := make([]Value, 0, len(t.Items))
		for _, item := range t.Items {
			v = append(v, m.decode(item, r, depth+1))
		}
		return v
	case Primitive:
		return decodePrimitive(t.Prim, r)
	case Compact:
		return m.decodeCompact(t.Elem, r, depth)
	case Bits:
		return m.decodeBits(t, r)
	}
	r.failf("type definition %d", t.Kind)
	return nil
}

// newtype is a struct that is nothing but its one field.
func (t *Type) newtype() bool { return len(t.Fields) == 1 && t.Fields[0].Name == "" }

func (m *Metadata) isByte(id TypeID) bool {
	return int64(id) < int64(len(m.Types)) && m.Types[id].Kind == Primitive && m.Types[id].Prim == U8
}

func (m *Metadata) decodeFields(defs []FieldDef, r *Reader, depth int) Record {
	if len(defs) == 0 {
		return nil
	}
	f := make(Record, 0, len(defs))
	for i := range defs {
		f = append(f, Field{defs[i].Name, m.decode(defs[i].Type, r, depth+1)})
		if r.err != nil {
			return nil
		}
	}
	return f
}

// decodeList grows as it reads: a length is not believed beforehand.
func (m *Metadata) decodeList(elem TypeID, n uint64, r *Reader, depth int) Value {
	if n > maxNodes {
		r.failf("list of %d items", n)
	}
	v := make([]Value, 0, min(n, uint64(r.Len())))
	for range n {
		v = append(v, m.decode(elem, r, depth+1))
		if r.err != nil {
			return nil
		}
	}
	return v
}

func decodePrimitive(p Prim, r *Reader) Value {
	switch p {
	case Bool:
		return r.Bool()
	case Char:
		c := r.U32()
		if c > 0x10ffff || c >= 0xd800 && c < 0xe000 {
			r.failf("%#x is no character", c)
		}
		return uint64(c)
	case Str:
		return r.Text()
	case U8:
		return uint64(r.U8())
	case U16:
		return uint64(r.U16())
	case U32:
		return uint64(r.U32())
	case U64:
		return r.U64()
	case U128:
		return r.Big(16)
	case U256:
		return r.Big(32)
	case I8:
		return int64(int8(r.U8()))
	case I16:
		return int64(int16(r.U16()))
	case I32:
		return int64(int32(r.U32()))
	case I64:
		return int64(r.U64())
	case I128:
		return signed(r.Big(16), 128)
	case I256:
		return signed(r.Big(32), 256)
	}
	r.failf("primitive %d", p)
	return nil
}

func signed(v *big.Int, size uint) *big.Int {
	if v.Bit(int(size-1)) == 1 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), size))
	}
	return v
}

// bare follows newtypes down to what a compact form is of: a primitive, or
// nothing.
func (m *Metadata) bare(id TypeID) (Type, bool) {
	for range maxDepth {
		t, err := m.Type(id)
		switch {
		case err != nil:
			return Type{}, false
		case t.Kind == Composite && len(t.Fields) == 1:
			id = t.Fields[0].Type
		case t.Kind == Composite && len(t.Fields) == 0 || t.Kind == Tuple && len(t.Items) == 0:
			return Type{Kind: Tuple}, true
		case t.Kind == Tuple && len(t.Items) == 1:
			id = t.Items[0]
		default:
			return *t, t.Kind == Primitive && t.Prim >= U8 && t.Prim <= U256
		}
	}
	return Type{}, false
}

func (m *Metadata) decodeCompact(elem TypeID, r *Reader, depth int) Value {
	t, ok := m.bare(elem)
	switch {
	case !ok:
		r.failf("no compact form of %s", m.TypeName(elem))
		return nil
	case t.Kind == Tuple:
		return nil
	case t.Prim == U128 || t.Prim == U256:
		v := r.CompactBig()
		if v.BitLen() > int(8*width(t.Prim)) {
			r.failf("compact number of %d bits", v.BitLen())
		}
		return v
	}
	v := r.Compact()
	if bits := 8 * width(t.Prim); bits < 64 && v>>bits != 0 {
		r.failf("compact number %d over %d bits", v, bits)
	}
	return v
}

// width is a number's size in bytes.
func width(p Prim) uint {
	switch p {
	case U8, I8:
		return 1
	case U16, I16:
		return 2
	case U32, I32:
		return 4
	case U128, I128:
		return 16
	case U256, I256:
		return 32
	}
	return 8
}

func (m *Metadata) decodeBits(t *Type, r *Reader) Value {
	store, ok := m.bare(t.Elem)
	if !ok || store.Kind != Primitive || store.Prim > U64 {
		r.failf("bits are stored in %s", m.TypeName(t.Elem))
		return nil
	}
	n := r.Compact()
	if n > uint64(r.Len())*8 {
		r.failf("%d bits in %d bytes", n, r.Len())
		return nil
	}
	word := 8 * uint64(width(store.Prim))
	return BitSequence{int(n), r.Take(int((n + word - 1) / word * word / 8))}
}

// Encode appends the SCALE form of v as a value of a type. A value that does
// not fit is ErrForm, a variant that does not exist ErrName.
func (m *Metadata) Encode(dst []byte, id TypeID, v Value) ([]byte, error) {
	return m.encode(dst, id, v, 0)
}

func (m *Metadata) encode(dst []byte, id TypeID, v Value, depth int) ([]byte, error) {
	t, err := m.Type(id)
	if err != nil {
		return dst, err
	}
	if depth > maxDepth {
		return dst, fmt.Errorf("%w: nested deeper than %d", ErrForm, maxDepth)
	}
	switch t.Kind {
	case Composite:
		if t.newtype() {
			if r, ok := v.(Record); !ok || len(r) != 1 || r[0].Name != "" {
				return m.encode(dst, t.Fields[0].Type, v, depth+1)
			}
		}
		if v == nil && len(t.Fields) == 0 {
			return dst, nil
		}
		r, ok := v.(Record)
		if !ok {
			return dst, m.mismatch(id, v)
		}
		return m.encodeFields(dst, t.Fields, r, depth)
	case Enum:
		x, ok := v.(Variant)
		if !ok {
			return dst, m.mismatch(id, v)
		}
		def, err := m.variant(id, x.Name, x.Index)
		if err != nil {
			return dst, fmt.Errorf("%s: %w", m.TypeName(id), err)
		}
		if dst, err = m.encodeFields(append(dst, def.Index), def.Fields, x.Fields, depth); err != nil {
			return dst, fmt.Errorf("%s: %w", def.Name, err)
		}
		return dst, nil
	case Sequence, Array, Tuple:
		return m.encodeList(dst, id, t, v, depth)
	case Primitive:
		return m.encodePrimitive(dst, id, t.Prim, v)
	case Compact:
		bare, ok := m.bare(t.Elem)
		if !ok {
			return dst, m.mismatch(id, v)
		}
		if bare.Kind == Tuple {
			return dst, nil
		}
		n, ok := number(v)
		if !ok || n.Sign() < 0 || n.BitLen() > int(8*width(bare.Prim)) {
			return dst, m.mismatch(id, v)
		}
		return AppendCompactBig(dst, n)
	case Bits:
		x, ok := v.(BitSequence)
		if !ok {
			return dst, m.mismatch(id, v)
		}
		return append(AppendCompact(dst, uint64(x.Len)), x.Data...), nil
	}
	return dst, m.mismatch(id, v)
}

func (m *Metadata) mismatch(id TypeID, v Value) error {
	return fmt.Errorf("%w: a %T of that value is no %s", ErrForm, v, m.TypeName(id))
}

// encodeFields takes fields by name where all have one, by place otherwise.
func (m *Metadata) encodeFields(dst []byte, defs []FieldDef, r Record, depth int) ([]byte, error) {
	if len(r) != len(defs) {
		return dst, fmt.Errorf("%w: %d fields, not %d", ErrForm, len(r), len(defs))
	}
	var err error
	for i := range defs {
		v, name := r[i].Value, defs[i].Name
		if r[i].Name != "" && r[i].Name != name {
			return dst, fmt.Errorf("%w: field %q in the place of %q", ErrForm, r[i].Name, name)
		}
		if dst, err = m.encode(dst, defs[i].Type, v, depth+1); err != nil {
			return dst, fmt.Errorf("field %d %s: %w", i, name, err)
		}
	}
	return dst, nil
}

func (m *Metadata) encodeList(dst []byte, id TypeID, t *Type, v Value, depth int) ([]byte, error) {
	if t.Kind == Tuple && len(t.Items) == 0 {
		if v != nil {
			return dst, m.mismatch(id, v)
		}
		return dst, nil
	}
	if s, ok := v.(string); ok {
		v = []byte(s)
	}
	if v == nil {
		return dst, m.mismatch(id, v)
	}
	list := reflect.ValueOf(v)
	if k := list.Kind(); k != reflect.Slice && k != reflect.Array {
		return dst, m.mismatch(id, v)
	}
	n := list.Len()
	switch {
	case t.Kind == Sequence:
		if uint64(n) > maxLen {
			return dst, m.mismatch(id, v)
		}
		dst = AppendCompact(dst, uint64(n))
	case t.Kind == Array && n != int(t.Len), t.Kind == Tuple && n != len(t.Items):
		return dst, fmt.Errorf("%w: %d items for %s", ErrForm, n, m.TypeName(id))
	}
	if b, ok := v.([]byte); ok && t.Kind != Tuple && m.isByte(t.Elem) {
		return append(dst, b...), nil
	}
	var err error
	for i := range n {
		elem := t.Elem
		if t.Kind == Tuple {
			elem = t.Items[i]
		}
		if dst, err = m.encode(dst, elem, list.Index(i).Interface(), depth+1); err != nil {
			return dst, fmt.Errorf("item %d: %w", i, err)
		}
	}
	return dst, nil
}

func (m *Metadata) encodePrimitive(dst []byte, id TypeID, p Prim, v Value) ([]byte, error) {
	switch p {
	case Bool:
		b, ok := v.(bool)
		switch {
		case !ok:
			return dst, m.mismatch(id, v)
		case b:
			return append(dst, 1), nil
		}
		return append(dst, 0), nil
	case Str:
		s, ok := v.(string)
		if !ok {
			return dst, m.mismatch(id, v)
		}
		return AppendBytes(dst, s), nil
	}
	n, ok := number(v)
	if !ok {
		return dst, m.mismatch(id, v)
	}
	size := int(width(p))
	if p == Char {
		size = 4
	}
	return appendBig(dst, n, size, p >= I8)
}

// number is any integer as a big one.
func number(v Value) (*big.Int, bool) {
	switch x := v.(type) {
	case uint64:
		return new(big.Int).SetUint64(x), true
	case *big.Int:
		return x, x != nil
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return new(big.Int).SetUint64(r.Uint()), true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return big.NewInt(r.Int()), true
	}
	return nil, false
}

// TypeName is a type for error messages: its path, or its form.
func (m *Metadata) TypeName(id TypeID) string {
	t, err := m.Type(id)
	if err != nil {
		return fmt.Sprintf("type %d", id)
	}
	if n := len(t.Path); n > 0 {
		return t.Path[n-1]
	}
	names := [...]string{"struct", "enum", "vector", "array", "tuple", "primitive", "compact number", "bit sequence"}
	if t.Kind == Primitive {
		prims := [...]string{"bool", "char", "str", "u8", "u16", "u32", "u64", "u128", "u256", "i8", "i16", "i32", "i64", "i128", "i256"}
		return prims[min(int(t.Prim), len(prims)-1)]
	}
	return names[min(int(t.Kind), len(names)-1)]
}

// zeroSized tells whether values of a type take no bytes: then one can be read
// from nothing.
func (m *Metadata) zeroSized(id TypeID) bool {
	_, err := m.DecodeAll(id, nil)
	return err == nil
}

package scale

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/crypto/blake2b"
)

// Modifier says what an absent storage entry means.
type Modifier uint8

// Optional entries are absent, Default ones have Entry.Default as their value.
const (
	Optional Modifier = iota
	Default
)

// Hasher makes a part of a storage key from one key of a map.
type Hasher uint8

// The hashers, numbered as the metadata numbers them. Those that end in Concat
// keep the key behind its hash, and Identity is the key itself.
const (
	Blake2_128 Hasher = iota
	Blake2_256
	Blake2_128Concat
	Twox128
	Twox256
	Twox64Concat
	Identity
)

// Entry is one storage value or map of a pallet. Key is NoType for a plain
// value, and a tuple for a map of several keys.
type Entry struct {
	Name       string
	Modifier   Modifier
	Hashers    []Hasher // one for each key of a map
	Key, Value TypeID
	Default    []byte // in SCALE
	Docs       []string

	prefix string // of the pallet
}

// Storage finds an entry by the names of pallet and entry; ErrName otherwise.
func (m *Metadata) Storage(pallet, name string) (*Entry, error) {
	p, err := m.Pallet(pallet)
	if err != nil {
		return nil, err
	}
	for i := range p.Storage {
		if p.Storage[i].Name == name {
			return &p.Storage[i], nil
		}
	}
	return nil, fmt.Errorf("%w: storage %s.%s", ErrName, pallet, name)
}

// StoragePrefix is the 32 bytes that every key of an entry begins with, from
// the pallet's storage prefix and the entry's name.
func StoragePrefix(pallet, entry string) []byte {
	return Twox128.Append(Twox128.Append(make([]byte, 0, 32), []byte(pallet)), []byte(entry))
}

// Prefix is the 32 bytes that every key of this entry begins with.
func (e *Entry) Prefix() []byte { return StoragePrefix(e.prefix, e.Name) }

// AppendKey appends the storage key for a map's keys, each in SCALE. Fewer keys
// than the map has make a prefix of all that begin with them; more are an error.
func (e *Entry) AppendKey(dst []byte, keys ...[]byte) ([]byte, error) {
	if len(keys) > len(e.Hashers) {
		return dst, fmt.Errorf("%w: %d keys for %s, which takes %d", ErrForm, len(keys), e.Name, len(e.Hashers))
	}
	dst = append(dst, e.Prefix()...)
	for i, k := range keys {
		dst = e.Hashers[i].Append(dst, k)
	}
	return dst, nil
}

// StorageKey is the storage key of pallet.name for keys given as values.
func (m *Metadata) StorageKey(pallet, name string, keys ...Value) ([]byte, error) {
	e, err := m.Storage(pallet, name)
	if err != nil {
		return nil, err
	}
	types := e.KeyTypes(m)
	if len(keys) > len(types) {
		return nil, fmt.Errorf("%w: %d keys for %s.%s, which takes %d", ErrForm, len(keys), pallet, name, len(types))
	}
	parts := make([][]byte, len(keys))
	for i, k := range keys {
		if parts[i], err = m.Encode(nil, types[i], k); err != nil {
			return nil, fmt.Errorf("key %d of %s.%s: %w", i, pallet, name, err)
		}
	}
	return e.AppendKey(nil, parts...)
}

// KeyTypes are the types of a map's keys, one for each hasher; nil for a plain
// value, or where they do not fit the hashers.
func (e *Entry) KeyTypes(m *Metadata) []TypeID {
	switch {
	case len(e.Hashers) == 0:
		return nil
	case len(e.Hashers) == 1:
		return []TypeID{e.Key}
	}
	t, err := m.Type(e.Key)
	if err != nil || t.Kind != Tuple || len(t.Items) != len(e.Hashers) {
		return nil
	}
	return t.Items
}

// DecodeValue reads a storage value. nil bytes are an absent entry: its default,
// or false where it has none.
func (e *Entry) DecodeValue(m *Metadata, b []byte) (v Value, present bool, err error) {
	if b == nil {
		if e.Modifier == Optional {
			return nil, false, nil
		}
		b = e.Default
	} else {
		present = true
	}
	r := NewReader(b)
	v = m.Decode(e.Value, r)
	if err := r.Done(); err != nil {
		return nil, present, fmt.Errorf("value of %s: %w", e.Name, err)
	}
	return v, present || e.Modifier == Default, nil
}

// Append appends a key as h makes it part of a storage key.
func (h Hasher) Append(dst, key []byte) []byte {
	switch h {
	case Blake2_128, Blake2_128Concat:
		hash, err := blake2b.New(16, nil)
		if err != nil {
			panic(err) // 16 is a length it takes
		}
		hash.Write(key)
		dst = hash.Sum(dst)
	case Blake2_256:
		sum := blake2b.Sum256(key)
		dst = append(dst, sum[:]...)
	case Twox64Concat:
		dst = appendTwox(dst, key, 1)
	case Twox128:
		dst = appendTwox(dst, key, 2)
	case Twox256:
		dst = appendTwox(dst, key, 4)
	}
	switch h {
	case Identity, Twox64Concat, Blake2_128Concat: // the key follows its hash
		dst = append(dst, key...)
	}
	return dst
}

// appendTwox appends words of xxHash64 with the seeds 0, 1, …
func appendTwox(dst, key []byte, words uint64) []byte {
	for seed := range words {
		d := xxhash.NewWithSeed(seed)
		_, _ = d.Write(key) // never fails
		dst = binary.LittleEndian.AppendUint64(dst, d.Sum64())
	}
	return dst
}

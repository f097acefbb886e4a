package rpc

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sort"
	"strings"

	"golang.org/x/crypto/blake2b"
)

// state is the chain's storage over the blocks that are kept: each key with the
// blocks in which it changed. Reading at a block is a search in a short list,
// and a block costs what it changes.
type state struct {
	values  map[string][]version // looked up, never ranged over
	changed map[uint64][]string  // keys that a block set, looked up by its number
	keys    []string             // every key there is or was, sorted
	fresh   []string             // keys to be sorted in
	oldest  uint64               // first block whose state is whole
}

type version struct {
	block uint64
	value []byte // nil: absent
}

func newState() *state {
	return &state{values: map[string][]version{}, changed: map[uint64][]string{}}
}

// set gives a key a value from a block on; nil takes it away. Blocks come in
// order.
func (s *state) set(block uint64, key string, value []byte) {
	v := s.values[key]
	if len(v) == 0 {
		if value == nil {
			return
		}
		s.fresh = append(s.fresh, key)
	} else if last := v[len(v)-1]; last.value != nil && value != nil && bytes.Equal(last.value, value) || last.value == nil && value == nil {
		return
	}
	if n := len(v); n > 0 && v[n-1].block == block {
		v[n-1].value = value
		return
	}
	s.values[key] = append(v, version{block, value})
	s.changed[block] = append(s.changed[block], key)
}

// at is a key's value in the state of a block, nil where it has none.
func (s *state) at(block uint64, key string) []byte {
	v := s.values[key]
	for i := len(v) - 1; i >= 0; i-- {
		if v[i].block <= block {
			return v[i].value
		}
	}
	return nil
}

// changedIn tells whether a block, the newest, set a key.
func (s *state) changedIn(block uint64, key string) bool {
	v := s.values[key]
	return len(v) > 0 && v[len(v)-1].block == block
}

// page lists keys of a block with a prefix, in order, those behind after.
func (s *state) page(block uint64, prefix, after string, count int) []string {
	if len(s.fresh) > 0 {
		s.keys = append(s.keys, s.fresh...)
		slices.Sort(s.keys)
		s.fresh = s.fresh[:0]
	}
	out := []string{}
	for i := sort.SearchStrings(s.keys, max(prefix, after)); i < len(s.keys) && strings.HasPrefix(s.keys[i], prefix) && len(out) < count; i++ {
		if k := s.keys[i]; k != after && s.at(block, k) != nil {
			out = append(out, k)
		}
	}
	return out
}

// root stands for the state of a block in its header. The chain in memory keeps
// no trie: it is a hash of the root before and of what the block changed, so
// that equal histories have equal roots and others do not.
func (s *state) root(before [32]byte, block uint64) [32]byte {
	keys := slices.Sorted(slices.Values(s.changed[block]))
	b := append([]byte(nil), before[:]...)
	for _, k := range keys {
		v := s.at(block, k)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(k)))
		b = append(b, k...)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
	}
	return blake2b.Sum256(b)
}

// forget drops what only blocks before oldest need.
func (s *state) forget(oldest uint64) {
	for ; s.oldest < oldest; s.oldest++ {
		next := s.oldest + 1
		delete(s.changed, s.oldest)
		gone := false
		for _, k := range s.changed[next] {
			v := s.values[k]
			i := 0
			for i+1 < len(v) && v[i+1].block <= next {
				i++
			}
			v = slices.Delete(v, 0, i)
			if len(v) == 1 && v[0].value == nil {
				delete(s.values, k)
				gone = true
				continue
			}
			s.values[k] = v
		}
		if gone {
			unset := func(k string) bool { return len(s.values[k]) == 0 }
			s.keys = slices.DeleteFunc(s.keys, unset)
			s.fresh = slices.DeleteFunc(s.fresh, unset)
		}
	}
}

package rpc

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The state of any block that is kept is what a copy of everything, made at each
// block, would say.
func TestStateIsACopyOfEachBlock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newState()
		now := map[string][]byte{}
		var copies []map[string][]byte
		blocks := rapid.IntRange(1, 40).Draw(t, "blocks")
		keep := rapid.IntRange(1, 10).Draw(t, "keep")
		for b := range blocks {
			for range rapid.IntRange(0, 6).Draw(t, "writes") {
				k := fmt.Sprint("k", rapid.IntRange(0, 9).Draw(t, "key"))
				if v := rapid.SampledFrom([][]byte{nil, {}, {1}, {2}}).Draw(t, "value"); v == nil {
					delete(now, k)
					s.set(uint64(b), k, nil)
				} else {
					now[k] = v
					s.set(uint64(b), k, v)
				}
			}
			held := map[string][]byte{}
			for k, v := range now {
				held[k] = v
			}
			copies = append(copies, held)
			if b >= keep {
				s.forget(uint64(b - keep + 1))
			}
			for at := int(s.oldest); at <= b; at++ {
				for i := range 10 {
					k := fmt.Sprint("k", i)
					want, ok := copies[at][k]
					if got := s.at(uint64(at), k); (got != nil) != ok || !bytes.Equal(got, want) {
						t.Fatalf("after block %d, block %d: %s is %v, want %v (%v)", b, at, k, got, want, ok)
					}
				}
				var keys []string
				for k := range copies[at] {
					keys = append(keys, k)
				}
				slices.Sort(keys)
				if got := s.page(uint64(at), "k", "", 100); !slices.Equal(got, keys) {
					t.Fatalf("block %d has the keys %v, want %v", at, got, keys)
				}
				if len(keys) > 1 {
					if got := s.page(uint64(at), "k", keys[0], 1); got[0] != keys[1] {
						t.Fatalf("behind %s comes %v, want %s", keys[0], got, keys[1])
					}
				}
			}
		}
		for k, v := range s.values {
			if len(v) > keep+2 {
				t.Fatalf("%s has %d versions, %d blocks are kept", k, len(v), keep)
			}
		}
	})
}

func TestRootTellsHistoriesApart(t *testing.T) {
	root := func(writes ...string) [32]byte {
		s := newState()
		for _, w := range writes {
			k, v, _ := strings.Cut(w, "=")
			s.set(1, k, []byte(v))
		}
		return s.root([32]byte{}, 1)
	}
	if root("a=1", "b=2") != root("b=2", "a=1") {
		t.Error("the order of writes counts")
	}
	for _, x := range [][]string{{"a=1"}, {"a=1", "b=3"}, {"a=1b", "=2"}, {"a=12", "b="}} {
		if root(x...) == root("a=1", "b=2") {
			t.Errorf("%v is the same as a=1 b=2", x)
		}
	}
}

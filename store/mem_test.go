package store

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// TestMemHeldTrees: a tree that somebody holds does not change, whatever is
// written afterwards: that of a snapshot, of a checkpoint, of the state that a
// crash falls back to. What nobody holds is changed in place, and that is what
// could go wrong.
func TestMemHeldTrees(t *testing.T) {
	hold := map[string]func(*Mem, *MemDisk) func() *memNode{
		"snapshot": func(e *Mem, _ *MemDisk) func() *memNode {
			s, err := e.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			return func() *memNode { return s.(memSnapshot).root }
		},
		"checkpoint": func(e *Mem, d *MemDisk) func() *memNode {
			if err := e.Checkpoint("c"); err != nil {
				t.Fatal(err)
			}
			return func() *memNode { return d.checkpoints["c"].root }
		},
		"durable state": func(_ *Mem, d *MemDisk) func() *memNode { return func() *memNode { return d.states[0].root } },
	}
	for name, take := range hold {
		rng := rand.New(rand.NewPCG(5, 6))
		disk := new(MemDisk)
		e, err := OpenMem(disk, Schema{})
		if err != nil {
			t.Fatal(err)
		}
		var seq Seq
		write := func(sync bool) {
			for range 40 {
				var b Batch
				for range 5 {
					key := binary.BigEndian.AppendUint16([]byte{9}, uint16(rng.IntN(300)))
					if rng.IntN(3) == 0 {
						b.delete(key)
					} else {
						b.put(key, binary.BigEndian.AppendUint32(nil, rng.Uint32()))
					}
				}
				seq++
				mustApply(t, e, seq, &b, sync)
			}
		}
		write(true)
		held := take(e, disk)
		before := rowsOf(held())
		write(name != "durable state") // which what is synced takes the place of
		if after := rowsOf(held()); len(before) == 0 || before != after {
			t.Errorf("the tree of a %s changed with what was written after it", name)
		}
		if rowsOf(disk.newest().root) == before {
			t.Errorf("%s: nothing was written", name)
		}
		mustClose(t, e)
	}
}

// rowsOf is all keys and rows of a tree.
func rowsOf(root *memNode) string {
	var all []byte
	root.scan(nil, nil, func(key, row []byte) error {
		all = append(append(all, key...), row...)
		return nil
	})
	return string(all)
}

package store

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// MemDisk is the disk under a Mem: it survives Mem's closing, and a crash. The
// zero value is empty. One Mem at a time may have it open.
type MemDisk struct {
	mu          sync.Mutex
	open        *Mem
	states      []memState // states[0] is durable, the others a crash may take
	checkpoints map[string]memState
	// era begins anew whenever somebody else may hold the tree: what was made in
	// this one is nobody else's yet, and is changed in place.
	era uint64
}

type memState struct {
	seq     Seq
	version uint32
	root    *memNode
}

// Unsynced is how many groups a crash could take.
func (m *MemDisk) Unsynced() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(len(m.states)-1, 0)
}

// Crash takes the power away: of the groups not yet durable the first keep
// survive. Whoever has the disk open loses it; OpenMem may follow at once.
func (m *MemDisk) Crash(keep int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.states); n > 0 {
		m.states = []memState{m.states[min(max(keep, 0), n-1)]}
	}
	m.open = nil
}

// Restore makes the disk what Checkpoint(dir) kept. The disk must not be open.
func (m *MemDisk) Restore(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.checkpoints[dir]
	switch {
	case m.open != nil:
		return ErrLocked
	case !ok:
		return fmt.Errorf("store: no checkpoint %q", dir)
	}
	m.states = []memState{d}
	return nil
}

// Mem is an engine in memory, for simulated nodes that are too many for a Pebble
// each. It is a persistent tree: a snapshot is a pointer, and so is what a crash
// falls back to.
type Mem struct{ disk *MemDisk }

// OpenMem opens a disk in memory: creates it, migrates it, or refuses it, as
// OpenPebble does.
func OpenMem(m *MemDisk, schema Schema) (*Mem, error) {
	if err := schema.check(); err != nil {
		return nil, err
	}
	e := &Mem{disk: m}
	m.mu.Lock()
	if m.open != nil {
		m.mu.Unlock()
		return nil, ErrLocked
	}
	m.open = e
	if len(m.states) == 0 {
		m.states = []memState{{version: schema.version()}}
	}
	m.mu.Unlock()
	if err := migrate(e, schema); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

func (e *Mem) storedVersion() uint32 {
	e.disk.mu.Lock()
	defer e.disk.mu.Unlock()
	return e.disk.newest().version
}

// A version row in a batch is recognised by its key when the batch is applied.
func (e *Mem) setVersion(b *Batch, v uint32) { b.put(versionKey, AppendKeyUint32(nil, v)) }

// newest requires the lock and a disk that was opened.
func (m *MemDisk) newest() memState { return m.states[len(m.states)-1] }

// use is the disk, locked, or an error where it was taken away.
func (e *Mem) use() (*MemDisk, error) {
	e.disk.mu.Lock()
	if e.disk.open != e {
		e.disk.mu.Unlock()
		return nil, ErrClosed
	}
	return e.disk, nil
}

// Apply implements Engine.
func (e *Mem) Apply(seq Seq, batches []*Batch, sync bool) error {
	m, err := e.use()
	if err != nil {
		return err
	}
	defer m.mu.Unlock()
	s := m.newest()
	if err := inOrder(s.seq, seq, len(batches)); err != nil {
		return err
	}
	for _, b := range batches { // whole or not at all
		if err := b.Each(func([]byte, []byte, bool) error { return nil }); err != nil {
			return err
		}
	}
	if !sync {
		m.era++ // a crash may fall back to what is there
	}
	for _, b := range batches {
		err := b.Each(func(key, row []byte, delete bool) error {
			switch {
			case bytes.Equal(key, versionKey):
				r := ReadKey(row)
				s.version = r.Uint32()
			case delete:
				s.root = s.root.without(key, m.era)
			default:
				s.root = s.root.insert(newMemNode(key, row, m.era), m.era)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	s.seq = seq
	if sync {
		m.states = append(m.states[:0], s)
	} else {
		m.states = append(m.states, s)
	}
	return nil
}

// inOrder checks that n batches ending with seq follow last.
func inOrder(last, seq Seq, n int) error {
	if n == 0 || last+Seq(n) != seq {
		return fmt.Errorf("%w: %d batches ending with %d after %d", ErrOrder, n, seq, last)
	}
	return nil
}

// Snapshot implements Engine.
func (e *Mem) Snapshot() (Snapshot, error) {
	m, err := e.use()
	if err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	m.era++
	return memSnapshot{m.newest().root}, nil
}

// Checkpoint implements Engine; the directory is a name on the MemDisk.
func (e *Mem) Checkpoint(dir string) error {
	m, err := e.use()
	if err != nil {
		return err
	}
	defer m.mu.Unlock()
	if _, ok := m.checkpoints[dir]; ok {
		return fmt.Errorf("store: checkpoint %q exists", dir)
	}
	if m.checkpoints == nil {
		m.checkpoints = make(map[string]memState)
	}
	m.era++
	m.checkpoints[dir] = m.newest()
	return nil
}

// Durable implements Engine.
func (e *Mem) Durable() Seq {
	e.disk.mu.Lock()
	defer e.disk.mu.Unlock()
	return e.disk.states[0].seq
}

// Close implements Engine. What was applied without sync stays on the disk, and
// stays at risk.
func (e *Mem) Close() error {
	m, err := e.use()
	if err != nil {
		return err
	}
	m.open = nil
	m.mu.Unlock()
	return nil
}

type memSnapshot struct{ root *memNode }

func (s memSnapshot) Get(key []byte) ([]byte, bool, error) {
	for n := s.root; n != nil; {
		switch c := bytes.Compare(key, n.key); {
		case c == 0:
			return append([]byte{}, n.row...), true, nil
		case c < 0:
			n = n.left
		default:
			n = n.right
		}
	}
	return nil, false, nil
}

func (s memSnapshot) Scan(lo, hi []byte, f func(key, row []byte) error) error {
	return s.root.scan(lo, hi, f)
}

func (s memSnapshot) Close() error { return nil }

// memNode is a node of a persistent treap: a search tree by key and a heap by
// rank, where the rank is a hash of the key. Its shape thus depends only on
// what it holds, its depth is logarithmic, and a change copies one path: of the
// nodes on it, those that a snapshot, a checkpoint or an older state may hold.
type memNode struct {
	key, row    []byte
	rank        uint64
	era         uint64 // in which it was made
	left, right *memNode
}

// newMemNode copies key and row: a batch is reused by its owner.
func newMemNode(key, row []byte, era uint64) *memNode {
	b := make([]byte, len(key)+len(row))
	copy(b, key)
	copy(b[len(key):], row)
	return &memNode{key: b[:len(key):len(key)], row: b[len(key):], rank: xxhash.Sum64(key), era: era}
}

// mine is the node itself where nobody else can hold it, else a copy.
func (n *memNode) mine(era uint64) *memNode {
	if n.era == era {
		return n
	}
	up := *n
	up.era = era
	return &up
}

func (n *memNode) insert(x *memNode, era uint64) *memNode {
	if n == nil {
		return x
	}
	c := bytes.Compare(x.key, n.key)
	if c == 0 {
		x.left, x.right = n.left, n.right
		return x
	}
	if x.above(n) {
		x.left, x.right = n.split(x.key, era)
		return x
	}
	up := n.mine(era)
	if c < 0 {
		up.left = up.left.insert(x, era)
	} else {
		up.right = up.right.insert(x, era)
	}
	return up
}

func (n *memNode) above(o *memNode) bool {
	return n.rank > o.rank || n.rank == o.rank && bytes.Compare(n.key, o.key) < 0
}

// split parts a tree that does not hold key at key.
func (n *memNode) split(key []byte, era uint64) (less, more *memNode) {
	if n == nil {
		return nil, nil
	}
	up := n.mine(era)
	if bytes.Compare(up.key, key) < 0 {
		up.right, more = up.right.split(key, era)
		return up, more
	}
	less, up.left = up.left.split(key, era)
	return less, up
}

func (n *memNode) without(key []byte, era uint64) *memNode {
	if n == nil {
		return nil
	}
	switch c := bytes.Compare(key, n.key); {
	case c == 0:
		return join(n.left, n.right, era)
	case c < 0:
		if left := n.left.without(key, era); left != n.left {
			n = n.mine(era)
			n.left = left
		}
	default:
		if right := n.right.without(key, era); right != n.right {
			n = n.mine(era)
			n.right = right
		}
	}
	return n
}

// join merges two trees, all keys of the first before all of the second.
func join(a, b *memNode, era uint64) *memNode {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.above(b):
		up := a.mine(era)
		up.right = join(up.right, b, era)
		return up
	default:
		up := b.mine(era)
		up.left = join(a, up.left, era)
		return up
	}
}

func (n *memNode) scan(lo, hi []byte, f func(key, row []byte) error) error {
	if n == nil {
		return nil
	}
	aboveLo := bytes.Compare(n.key, lo) >= 0
	belowHi := hi == nil || bytes.Compare(n.key, hi) < 0
	if aboveLo {
		if err := n.left.scan(lo, hi, f); err != nil {
			return err
		}
		if belowHi {
			if err := f(n.key, n.row); err != nil {
				return err
			}
		}
	}
	if belowHi {
		return n.right.scan(lo, hi, f)
	}
	return nil
}

package store

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// The tail file is our own answer to one question that Pebble's log leaves open:
// is a log that ends early one that was being written when the power went, or
// one that was damaged after we had told somebody that the row is safe? Pebble
// takes many damages for the former and drops rows silently.
//
// TAIL has two slots, written in turn. A slot holds a copy of the newest group
// of batches, its number, a hash chain over all groups, and up to where groups
// had been confirmed when it was written. It is synced at the same time as the
// log, not after it, so that a commit waits for one disk flush and not for two;
// only after both is the group confirmed. When the store is opened and the log
// ends at H:
//
//   - a slot that continues the log (its predecessor is H, in number and in
//     chain) is applied again: the power went between the two syncs, or the log
//     lost its last group, and either way nothing is lost;
//   - otherwise, if some slot says that more than H had been confirmed, rows are
//     lost, and the opener is told how many;
//   - otherwise nothing that was confirmed is missing.
//
// A slot half written is recognised by its checksum; the other one then still
// knows the group before, which is all that had been confirmed. A log and a
// slot of the same number with different chains come from different stores.
//
// The slots also say which files hold the rows; manifest.go tells why.
//
// A group too large for a slot is synced to the log first, and its slot, without
// a copy, afterwards: two flushes, for a group that is mostly transfer anyway.

const (
	tailName = "TAIL"
	// tailSlot is the size of a slot: room for about 500 rows of 200 bytes, more
	// than a group gathers during one flush of a good disk.
	tailSlot = 128 << 10
	tailHead = 88
	tailRoom = tailSlot - tailHead
)

var tailMagic = [8]byte{'s', 't', 'o', 'r', 't', 'a', 'i', 'l'}

// mark names a state: the number of its last batch and the chain over all groups
// up to it.
type mark struct {
	seq   Seq
	chain uint64
}

// next is the mark after a group with these records (batch encodings without
// their headers). The chain guards against accidents, not against forgers.
func (m mark) next(seq Seq, records []byte) mark {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], m.chain)
	binary.LittleEndian.PutUint64(b[8:], uint64(seq))
	d := xxhash.New()
	d.Write(b[:])
	d.Write(records)
	return mark{seq, d.Sum64()}
}

// slot is one copy in the tail file; group is an encoded batch, or empty.
type slot struct {
	prev, at  mark
	confirmed Seq
	manifest  manifestMark
	group     []byte
}

func (s *slot) encode(dst []byte) []byte {
	dst = append(dst[:0], tailMagic[:]...)
	dst = append(dst, make([]byte, 8)...)
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, uint64(s.prev.seq))
	dst = le.AppendUint64(dst, s.prev.chain)
	dst = le.AppendUint64(dst, uint64(s.at.seq))
	dst = le.AppendUint64(dst, s.at.chain)
	dst = le.AppendUint64(dst, uint64(s.confirmed))
	dst = le.AppendUint64(dst, s.manifest.number)
	dst = le.AppendUint64(dst, s.manifest.size)
	dst = le.AppendUint64(dst, s.manifest.sum)
	dst = le.AppendUint64(dst, uint64(len(s.group)))
	dst = append(dst, s.group...)
	le.PutUint64(dst[8:], xxhash.Sum64(dst[16:]))
	return dst
}

// decodeSlot reads a slot; ok is false for anything but a whole one.
func decodeSlot(b []byte) (s slot, ok bool) {
	le := binary.LittleEndian
	if len(b) < tailHead || [8]byte(b[:8]) != tailMagic {
		return s, false
	}
	n := le.Uint64(b[80:])
	if n > uint64(len(b)-tailHead) {
		return s, false
	}
	b = b[:tailHead+int(n)]
	if xxhash.Sum64(b[16:]) != le.Uint64(b[8:]) {
		return s, false
	}
	s.prev = mark{Seq(le.Uint64(b[16:])), le.Uint64(b[24:])}
	s.at = mark{Seq(le.Uint64(b[32:])), le.Uint64(b[40:])}
	s.confirmed = Seq(le.Uint64(b[48:]))
	s.manifest = manifestMark{le.Uint64(b[56:]), le.Uint64(b[64:]), le.Uint64(b[72:])}
	s.group = b[tailHead:]
	return s, true
}

// tail is the open file. Not safe for concurrent use.
type tail struct {
	f    vfs.File
	turn int64 // the slot to write next
	buf  []byte
}

// createTail writes a tail file in which both slots say: the store ends at m,
// and all of it is confirmed. The file is durable when it returns, its name only
// after the directory is synced. The whole length is written, so that later
// syncs have no metadata to write.
func createTail(fs vfs.FS, name string, m mark, files manifestMark) error {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	s := slot{prev: m, at: m, confirmed: m.seq, manifest: files}
	whole := make([]byte, 2*tailSlot)
	enc := s.encode(nil)
	copy(whole, enc)
	copy(whole[tailSlot:], enc)
	_, err = f.Write(whole)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// readTail returns the whole slots of a tail file, oldest first.
func readTail(fs vfs.FS, name string) ([]slot, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoTail, err)
	}
	defer f.Close()
	all := make([]byte, 2*tailSlot)
	n, err := f.ReadAt(all, 0)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("%w: %w", ErrNoTail, err)
	}
	all = all[:n]
	var out []slot
	for at := 0; at < len(all); at += tailSlot {
		if s, ok := decodeSlot(all[at:min(at+tailSlot, len(all))]); ok {
			out = append(out, s)
		}
	}
	if len(out) == 2 && out[0].at.seq > out[1].at.seq {
		out[0], out[1] = out[1], out[0]
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: no slot of %s is whole", ErrNoTail, name)
	}
	return out, nil
}

func openTail(fs vfs.FS, name string) (*tail, error) {
	f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	return &tail{f: f}, nil
}

// write puts s in the slot whose turn it is and syncs it. After an error the
// tail must not be used again: the kernel may have dropped what it could not write.
func (t *tail) write(s *slot) error {
	t.buf = s.encode(t.buf)
	if _, err := t.f.WriteAt(t.buf, t.turn*tailSlot); err != nil {
		return err
	}
	if err := t.f.SyncData(); err != nil {
		return err
	}
	t.turn = 1 - t.turn
	return nil
}

func (t *tail) close() error { return t.f.Close() }

// finding is what the tail says about a log that ends at have.
type finding struct {
	redo []slot // to be applied again, in this order
	want Seq    // what had surely been confirmed
	err  error
}

// examine compares the slots with where the log ends.
func examine(slots []slot, have mark) finding {
	f := finding{want: have.seq}
	for _, s := range slots {
		f.want = max(f.want, s.confirmed)
		if s.at.seq == have.seq && s.at.chain != have.chain {
			f.err = fmt.Errorf("%w: log and TAIL disagree about batch %d; files of two stores?", ErrCorrupt, have.seq)
			return f
		}
	}
	for _, s := range slots {
		if s.at.seq > have.seq && s.prev == have && len(s.group) > 0 {
			f.redo = append(f.redo, s)
			have = s.at
		}
	}
	if have.seq < f.want {
		f.redo = nil
		f.err = ErrLostRows{Have: have.seq, Want: f.want}
	}
	return f
}

// files is the newest mark of a MANIFEST in the slots.
func files(slots []slot) manifestMark {
	var newest manifestMark
	for _, s := range slots {
		if m := s.manifest; m.number > newest.number || m.number == newest.number && m.size > newest.size {
			newest = m
		}
	}
	return newest
}

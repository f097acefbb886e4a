package substrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"bettensor/node/chain"
)

// maxEntries of a journal. An entry lives for an era of 64 blocks at most, and a
// node sends an extrinsic or two in that time.
const maxEntries = 64

// entry is an extrinsic of ours, written down before it is sent.
type entry struct {
	Op      string      `json:"op"`
	Hash    hexBytes    `json:"hash"`
	Bytes   hexBytes    `json:"bytes"`
	Nonce   uint64      `json:"nonce"`
	Birth   chain.Block `json:"birth"` // first block that could hold it, less one
	Death   chain.Block `json:"death"` // first block that cannot
	Settled bool        `json:"settled,omitempty"`
}

// journal is the extrinsics of one key on one chain that may still be included,
// or whose nonce is not final yet. It belongs to whoever holds the client's
// write lock. Without a path it is kept in memory only.
type journal struct {
	path    string
	entries []entry
}

// openJournal reads DIR/extrinsics.GENESIS.HOTKEY.json, which need not exist.
func openJournal(dir string, genesis [32]byte, hotkey chain.Hotkey) (*journal, error) {
	if dir == "" {
		return &journal{}, nil
	}
	j := &journal{path: filepath.Join(dir, fmt.Sprintf("extrinsics.%x.%s.json", genesis[:4], hotkey))}
	b, err := os.ReadFile(j.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return j, nil
	case err != nil:
		return nil, fmt.Errorf("journal of extrinsics: %w", err)
	}
	if err := json.Unmarshal(b, &j.entries); err != nil {
		return nil, fmt.Errorf("journal of extrinsics %s is damaged (%w): if no extrinsic was sent in the last 15 minutes, remove it", j.path, err)
	}
	return j, nil
}

// add writes an entry down; when it returns, a crash does not lose it.
func (j *journal) add(e entry) error {
	if len(j.entries) >= maxEntries { // what is settled only tells our nonces from others'
		if i := slices.IndexFunc(j.entries, func(e entry) bool { return e.Settled }); i >= 0 {
			j.entries = slices.Delete(j.entries, i, i+1)
		}
	}
	if len(j.entries) >= maxEntries {
		return fmt.Errorf("%d extrinsics wait for their outcome", maxEntries)
	}
	j.entries = append(j.entries, e)
	if err := j.save(); err != nil {
		j.entries = j.entries[:len(j.entries)-1]
		return err
	}
	return nil
}

// remove forgets an extrinsic that certainly is in no block.
func (j *journal) remove(hash []byte) error {
	return j.update(func(e *entry) (keep bool) { return !slices.Equal(e.Hash, hash) })
}

// settle marks an extrinsic whose outcome is known. Its nonce is ours until it is
// final.
func (j *journal) settle(hash []byte) error {
	return j.update(func(e *entry) (keep bool) {
		e.Settled = e.Settled || slices.Equal(e.Hash, hash)
		return true
	})
}

// prune forgets settled extrinsics whose nonce is behind the account's at a
// finalised block.
func (j *journal) prune(final uint64) error {
	return j.update(func(e *entry) (keep bool) { return !e.Settled || e.Nonce >= final })
}

func (j *journal) update(keep func(*entry) bool) error {
	changed := false
	kept := make([]entry, 0, len(j.entries))
	for _, e := range j.entries {
		before := e.Settled
		ok := keep(&e)
		changed = changed || !ok || e.Settled != before
		if ok {
			kept = append(kept, e)
		}
	}
	j.entries = kept
	if !changed {
		return nil
	}
	return j.save()
}

// save replaces the file at once and for good.
func (j *journal) save() (err error) {
	if j.path == "" {
		return nil
	}
	b, err := json.Marshal(j.entries)
	if err != nil {
		return fmt.Errorf("journal of extrinsics: %w", err)
	}
	dir := filepath.Dir(j.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("journal of extrinsics: %w", err)
	}
	f, err := os.CreateTemp(dir, ".extrinsics-*")
	if err != nil {
		return fmt.Errorf("journal of extrinsics: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
			err = fmt.Errorf("journal of extrinsics: %w", err)
		}
	}()
	if _, err := f.Write(b); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), j.path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

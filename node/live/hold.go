package live

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"bettensor/store"

	"golang.org/x/sys/unix"
)

// Hold keeps every other process away from a node's store and from what lies
// beside it. It is a lock of the operating system on a file, which ends with the
// process however that ends. The file also names the process, for the message to
// a second one only.
type Hold struct{ f *os.File }

// Take takes hold of a store's directory, which need not exist yet. Where another
// process has it, or this one already, the error is store.ErrLocked and names
// the process.
func Take(dir string) (*Hold, error) {
	path := filepath.Clean(dir) + ".lock"
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = store.ErrLocked
		if pid := holder(f); pid > 0 {
			err = fmt.Errorf("%w (process %d)", store.ErrLocked, pid)
		}
	}
	if err == nil {
		err = inscribe(f)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
	}
	return &Hold{f}, nil
}

// maxPID is more digits than a process's number has.
const maxPID = 20

func holder(f *os.File) int {
	b := make([]byte, maxPID)
	n, _ := f.ReadAt(b, 0) // 0 where it cannot be read: then nobody is named
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		return 0
	}
	return pid
}

func inscribe(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// Release lets go. The file stays, empty: to remove it would let two others hold
// two files of one name.
func (h *Hold) Release() error {
	return errors.Join(h.f.Truncate(0), h.f.Close())
}

package store

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Pebble's MANIFEST lists the files that hold the rows, one record for each
// change, and is read like a log: what is damaged near its end counts as never
// written. The files of the lost records are then deleted as unknown, while the
// newest rows still come from the log, so that the counter row looks well. The
// tail file therefore also remembers how far the MANIFEST had been written and
// what was in it, and that is compared before Pebble may open anything.

// manifestMark is a prefix of a MANIFEST: which file, how many bytes, their hash.
// The zero value is none.
type manifestMark struct{ number, size, sum uint64 }

// manifest follows the MANIFEST of an open Pebble. Pebble's goroutines say that
// it changed; whoever holds the engine's lock reads on.
type manifest struct {
	fs      vfs.FS
	dir     string
	current atomic.Uint64 // number of the file
	changed atomic.Bool

	number, size uint64
	hash         xxhash.Digest
}

// listen adds what we need to hear to a Pebble's events.
func (m *manifest) listen(l *pebble.EventListener) {
	l.ManifestCreated = func(i pebble.ManifestCreateInfo) {
		if i.Err == nil {
			m.current.Store(uint64(i.FileNum))
			m.changed.Store(true)
		}
	}
	l.FlushEnd = func(pebble.FlushInfo) { m.changed.Store(true) }
	l.CompactionEnd = func(pebble.CompactionInfo) { m.changed.Store(true) }
}

// mark is how far the MANIFEST is written now, durably.
func (m *manifest) mark() (manifestMark, error) {
	for m.changed.Swap(false) {
		err := m.read()
		if oserror.IsNotExist(err) && m.changed.Load() {
			continue // it was replaced while we looked
		}
		if err != nil {
			m.changed.Store(true)
			return manifestMark{}, err
		}
	}
	return manifestMark{m.number, m.size, m.hash.Sum64()}, nil
}

// read takes in what was appended since the last time. The bytes are synced
// before they are believed: Pebble may be in the middle of a record.
func (m *manifest) read() error {
	number := m.current.Load()
	if number != m.number {
		m.number, m.size = number, 0
		m.hash.Reset()
	}
	f, err := m.fs.Open(m.fs.PathJoin(m.dir, manifestName(number)))
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(&m.hash, io.NewSectionReader(f, int64(m.size), maxManifestBytes))
	m.size += uint64(n)
	if err != nil {
		return err
	}
	return f.SyncData()
}

// maxManifestBytes is beyond any MANIFEST: Pebble begins a new one at 128 MiB.
const maxManifestBytes = 1 << 32

func manifestName(number uint64) string { return fmt.Sprintf("MANIFEST-%06d", number) }

// currentManifest is the number of the MANIFEST that an opening would use.
func currentManifest(fs vfs.FS, dir string) (uint64, error) {
	desc, err := pebble.Peek(dir, fs)
	if err != nil {
		return 0, corruption(err)
	}
	var number uint64
	if _, err := fmt.Sscanf(fs.PathBase(desc.ManifestFilename), "MANIFEST-%d", &number); err != nil || !desc.Exists {
		return 0, fmt.Errorf("%w: no MANIFEST in %s", ErrCorrupt, dir)
	}
	return number, nil
}

// markManifest is the mark of a whole MANIFEST of which nobody has a mark yet.
func markManifest(fs vfs.FS, dir string) (manifestMark, error) {
	number, err := currentManifest(fs, dir)
	if err != nil {
		return manifestMark{}, err
	}
	m := manifest{fs: fs, dir: dir}
	m.current.Store(number)
	m.changed.Store(true)
	return m.mark()
}

// check compares a directory that is not open with a mark. A later MANIFEST is
// as good: it began with all that the earlier one said.
func (want manifestMark) check(fs vfs.FS, dir string) error {
	if want.number == 0 {
		return nil
	}
	number, err := currentManifest(fs, dir)
	if err != nil {
		return err
	}
	if number > want.number {
		return nil
	}
	sum := uint64(0)
	if number == want.number {
		if sum, err = sumPrefix(fs, fs.PathJoin(dir, manifestName(number)), want.size); err != nil {
			return err
		}
	}
	if sum != want.sum {
		return fmt.Errorf("%w: %s is not what was written, files would be missing", ErrCorrupt, manifestName(number))
	}
	return nil
}

// sumPrefix hashes the first size bytes of a file; of a shorter one, all.
func sumPrefix(fs vfs.FS, name string, size uint64) (uint64, error) {
	f, err := fs.Open(name)
	if err != nil {
		return 0, err
	}
	var hash xxhash.Digest
	hash.Reset()
	_, err = io.Copy(&hash, io.NewSectionReader(f, 0, int64(min(size, maxManifestBytes))))
	return hash.Sum64(), errors.Join(err, f.Close())
}

// markerPrefix begins the names of the empty files by whose names Pebble says
// which MANIFEST counts: "marker.manifest.000002.MANIFEST-000006"; of several,
// the one with the highest first number. An opening makes a new MANIFEST, then
// its marker, then syncs both names at once, then removes the old marker.
const markerPrefix = "marker.manifest."

// dropDangling removes a newest marker whose MANIFEST does not exist, where an
// older marker still names one that does: the power went before the two new
// names were synced, and only one of them got through. Pebble would not open.
func dropDangling(fs vfs.FS, dir string, names []string) error {
	type marker struct {
		name, manifest string
		turn           int
	}
	var markers []marker
	for _, n := range names {
		turn, file, _ := strings.Cut(strings.TrimPrefix(n, markerPrefix), ".")
		if i, err := strconv.Atoi(turn); err == nil && strings.HasPrefix(n, markerPrefix) {
			markers = append(markers, marker{n, file, i})
		}
	}
	slices.SortFunc(markers, func(a, b marker) int { return b.turn - a.turn })
	if len(markers) < 2 || slices.Contains(names, markers[0].manifest) || !slices.Contains(names, markers[1].manifest) {
		return nil
	}
	return errors.Join(fs.Remove(fs.PathJoin(dir, markers[0].name)), syncDir(fs, dir))
}

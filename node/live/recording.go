package live

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"bettensor/node/chain"
	"bettensor/node/wire"
	"bettensor/sched"
	"bettensor/store"

	"github.com/cespare/xxhash/v2"
)

// A recording is a directory for each incarnation of the node, numbered from
// 000001. In it:
//
//	recording.json   what the node was: role, configuration, revision
//	store/           its store as it was before the first event
//	inputs-000001 …  segments of blocks: what entered the loop, and what was signed
//
// What was signed is an input: a signature holds randomness, and a replay has no
// key. Each block has its own checksum, so that a damaged recording is told from
// a node that does something else.
//
// Blocks go to the operating system at once or, of events, within a second, and
// are synced to the disk where a segment ends. A process that is killed loses a
// second of its recording, a machine that loses power what the system had not
// written; what is there replays all the same.

const (
	headerFile  = "recording.json"
	storeDir    = "store"
	segmentName = "inputs-%06d"
	// recordingVersion of this layout.
	recordingVersion = 1
	// segmentBytes end a segment: enough that there are few, and little enough to
	// be copied away while the node runs.
	segmentBytes = 64 << 20
	// maxBlock bounds a block, so that a damaged length cannot ask for the machine's
	// memory: the recorder's largest input, written at once.
	maxBlock = 16 << 20
	// maxHeader bounds recording.json.
	maxHeader = 1 << 20
)

const (
	blockEvents    = 'E' // a piece of sched's recording
	blockSignature = 'S' // hash of the text, signature
)

// blockHead is kind, length and checksum.
const blockHead = 1 + 4 + 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is recording.json.
type header struct {
	Version  int          `json:"version"`
	Revision string       `json:"revision"`
	Role     string       `json:"role"`
	Name     string       `json:"name"`
	Hotkey   chain.Hotkey `json:"hotkey"`
	Model    string       `json:"model,omitempty"`
	// Backups: the node kept copies of its store.
	Backups bool            `json:"backups"`
	Started time.Time       `json:"started"`
	Config  json.RawMessage `json:"config"`
}

// ErrRecordingFull ends a recording that has reached Options.RecordLimit.
var ErrRecordingFull = errors.New("the recording has reached its limit")

// RecordingStats are a recording's figures.
type RecordingStats struct {
	Dir   string
	Bytes int64
	Err   string // why nothing more is written, "" while all is well
}

// recording writes one incarnation's. Its methods are the loop's, or for when
// the loop has ended; all but newRecording take a nil one.
type recording struct {
	dir     string
	log     *slog.Logger
	rec     *sched.Recorder
	limit   int64
	segment int
	f       *os.File
	size    int64 // of the segment
	total   int64
	err     error
	told    bool // the log knows of err
	closed  bool
}

func newRecording(o *Options, r role, config any, engine *store.Pebble) (*recording, error) {
	if err := os.MkdirAll(o.Record, 0o700); err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	var dir string
	for number := 1; ; number++ {
		dir = filepath.Join(o.Record, fmt.Sprintf("%06d", number))
		err := os.Mkdir(dir, 0o700)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("recording: %w", err)
		}
	}
	if err := engine.Checkpoint(filepath.Join(dir, storeDir)); err != nil {
		return nil, fmt.Errorf("recording: copy the store: %w", err)
	}
	text, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	head, err := json.MarshalIndent(header{Version: recordingVersion, Revision: o.Revision, Role: r.name, Name: o.Name, Hotkey: r.hotkey,
		Model: r.model, Backups: o.Backups != "", Started: time.Now().UTC(), Config: text}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, headerFile), append(head, '\n'), 0o600); err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	rec := &recording{dir: dir, log: o.Log, limit: o.RecordLimit}
	rec.rec = sched.NewRecorder(blockWriter{rec})
	if err := rec.rotate(); err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	o.Log.Info("the node is recorded", "dir", dir)
	return rec, nil
}

// recorder is what the loop is given.
func (r *recording) recorder() *sched.Recorder {
	if r == nil {
		return nil
	}
	return r.rec
}

// flush writes events out that are buffered, and tells the log once where the
// recording has ended early: a recording that fails must not stop the node.
func (r *recording) flush() {
	if r == nil || r.closed {
		return
	}
	r.tell(r.rec.Flush())
}

// tell logs once why the recording has ended early.
func (r *recording) tell(err error) {
	if err == nil || r.told {
		return
	}
	r.told = true
	fix := "free space there and restart the node with --record"
	if errors.Is(err, ErrRecordingFull) {
		fix = "nothing where it is long enough; else restart the node, which begins the next one"
	}
	r.log.Error("recording ended early", "dir", r.dir, "err", err, "code", "recording_failed", "fix", fix, "runbook", "docs/runbook.md#disk_low")
}

func (r *recording) stats() *RecordingStats {
	if r == nil {
		return nil
	}
	s := &RecordingStats{Dir: r.dir, Bytes: r.total}
	if r.err != nil {
		s.Err = r.err.Error()
	}
	return s
}

// close ends the recording after the last event handled. What enters the loop
// afterwards is not recorded.
func (r *recording) close() {
	if r == nil || r.closed {
		return
	}
	err := r.rec.Close()
	r.closed = true
	if r.f != nil {
		err = errors.Join(err, r.f.Sync(), r.f.Close())
	}
	r.tell(err)
}

func (r *recording) rotate() error {
	if r.f != nil {
		if err := errors.Join(r.f.Sync(), r.f.Close()); err != nil {
			return err
		}
		r.f = nil
	}
	r.segment++
	f, err := os.OpenFile(filepath.Join(r.dir, fmt.Sprintf(segmentName, r.segment)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	r.f, r.size = f, 0
	return err
}

// block writes one block.
func (r *recording) block(kind byte, data []byte) error {
	if r.closed {
		return nil
	}
	if r.err != nil {
		return r.err
	}
	n := int64(blockHead + len(data))
	switch {
	case r.total+n > r.limit:
		r.err = ErrRecordingFull
	case r.size > 0 && r.size+n > segmentBytes:
		r.err = r.rotate()
	}
	if r.err == nil {
		b := make([]byte, 0, n)
		b = append(b, kind)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
		b = binary.LittleEndian.AppendUint32(b, blockSum(kind, data))
		_, r.err = r.f.Write(append(b, data...))
		r.size += n
		r.total += n
	}
	return r.err
}

func blockSum(kind byte, data []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte{kind}, castagnoli), castagnoli, data)
}

// blockWriter is where sched's recorder writes.
type blockWriter struct{ r *recording }

func (w blockWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), maxBlock)
		if err := w.r.block(blockEvents, rest[:n]); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

// recordingSigner keeps what it signs.
type recordingSigner struct {
	wire.Signer
	r *recording
}

func (r *recording) signer(s wire.Signer) wire.Signer {
	if r == nil {
		return s
	}
	return recordingSigner{s, r}
}

func (s recordingSigner) Sign(text []byte) [wire.SignatureSize]byte {
	sig := s.Signer.Sign(text)
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, 8+len(sig)), xxhash.Sum64(text))
	s.r.block(blockSignature, append(b, sig[:]...)) // an error sticks, and flush tells of it
	return sig
}

// ErrDamaged says that a recording is not what was written: a checksum is wrong,
// or a piece is missing.
var ErrDamaged = errors.New("the recording is damaged")

// blocks reads a recording's segments in their order and tells events from
// signatures.
type blocks struct {
	dir     string
	segment int
	f       *os.File
	r       *bufio.Reader
	at      int64 // in the segment
	ended   error // io.EOF at the end of what there is, also in the middle of its last block, or damage

	events     [][]byte // read ahead
	signatures [][]byte
}

// Read gives sched's recording.
func (b *blocks) Read(p []byte) (int, error) {
	for len(b.events) == 0 {
		if err := b.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.events[0])
	if b.events[0] = b.events[0][n:]; len(b.events[0]) == 0 {
		b.events = b.events[1:]
	}
	return n, nil
}

// signature is the next one that was made.
func (b *blocks) signature() (text uint64, sig [wire.SignatureSize]byte, err error) {
	for len(b.signatures) == 0 {
		if err := b.next(); err != nil {
			return 0, sig, err
		}
	}
	s := b.signatures[0]
	b.signatures = b.signatures[1:]
	if len(s) != 8+len(sig) {
		return 0, sig, fmt.Errorf("%w: a signature of %d bytes", ErrDamaged, len(s))
	}
	copy(sig[:], s[8:])
	return binary.LittleEndian.Uint64(s), sig, nil
}

// next reads one block. At the end of what there is it returns io.EOF, as often
// as it is asked.
func (b *blocks) next() error {
	if b.ended == nil {
		b.ended = b.read()
	}
	return b.ended
}

func (b *blocks) read() error {
	for {
		if b.f == nil {
			f, err := os.Open(b.name(b.segment + 1))
			if errors.Is(err, fs.ErrNotExist) {
				if b.segment == 0 {
					return fmt.Errorf("%w: no segment in %s", ErrDamaged, b.dir)
				}
				return b.last()
			}
			if err != nil {
				return err
			}
			b.segment++
			b.f, b.r, b.at = f, bufio.NewReaderSize(f, 1<<16), 0
		}
		var head [blockHead]byte
		_, err := io.ReadFull(b.r, head[:])
		if err == io.EOF {
			if err := b.f.Close(); err != nil {
				return err
			}
			b.f = nil
			continue
		}
		if err != nil {
			return b.short(err)
		}
		kind, size := head[0], binary.LittleEndian.Uint32(head[1:])
		if size > maxBlock || kind != blockEvents && kind != blockSignature {
			return b.damaged("no block")
		}
		data := make([]byte, size)
		if _, err = io.ReadFull(b.r, data); err != nil {
			return b.short(err)
		}
		if blockSum(kind, data) != binary.LittleEndian.Uint32(head[5:]) {
			return b.damaged("wrong checksum")
		}
		b.at += int64(blockHead + len(data))
		if kind == blockEvents {
			b.events = append(b.events, data)
		} else {
			b.signatures = append(b.signatures, data)
		}
		return nil
	}
}

// last tells the end of a recording from a segment that is missing.
func (b *blocks) last() error {
	if _, err := os.Stat(b.name(b.segment + 2)); err == nil {
		return fmt.Errorf("%w: %s is missing", ErrDamaged, b.name(b.segment+1))
	}
	return io.EOF
}

// short is a block that is not all there: the end of what a killed process left,
// or, where another segment follows, damage.
func (b *blocks) short(err error) error {
	if err != io.ErrUnexpectedEOF && err != io.EOF {
		return err
	}
	if _, err := os.Stat(b.name(b.segment + 1)); err == nil {
		return b.damaged("cut off")
	}
	return io.EOF // sched knows whether its own recording came to an end
}

func (b *blocks) damaged(why string) error {
	return fmt.Errorf("%w: %s at byte %d of %s", ErrDamaged, why, b.at, b.name(b.segment))
}

func (b *blocks) name(segment int) string {
	return filepath.Join(b.dir, fmt.Sprintf(segmentName, segment))
}

func (b *blocks) close() {
	if b.f != nil {
		b.f.Close() // only read
		b.f = nil
	}
}

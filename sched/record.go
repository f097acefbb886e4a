package sched

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// A recording holds everything that entered a loop, in order: the node's name,
// incarnation, seed, the pace of its clock and the time, then one record per event
// (source, the three times of the loop, payload, and one byte of the running hash before it, so that a difference is found at the event
// that made it). Every hashEvery events, and at the end, comes the whole hash.
// What it means is fixed for one revision of the program only.

const (
	recordMagic = "bettensor recording 4\n"
	tagHash     = 0 // then the hash
	tagEnd      = 1 // then the hash, and nothing more
	tagSource   = 1 // plus the source's number, counted from 1
	hashEvery   = 1024
	// recordMax bounds a payload, so that a damaged length cannot ask for the
	// machine's memory: twice the largest frame with its envelope.
	recordMax = 8 << 20
)

var (
	errRecord = errors.New("sched: damaged record")
	errLong   = errors.New("sched: input too long to record")
)

// ErrTruncated says that a recording stops without an end: the program that made
// it did not come to close it. What was there has been replayed.
var ErrTruncated = errors.New("sched: the recording is cut off")

// Recorder writes a recording. Write errors stick and are returned by Close:
// a recording that fails must not stop the node.
type Recorder struct {
	w    *bufio.Writer
	err  error
	n    uint64
	last int64
	buf  []byte
	loop *Loop
}

// NewRecorder writes to w, which the caller closes.
func NewRecorder(w io.Writer) *Recorder { return &Recorder{w: bufio.NewWriterSize(w, 1<<16)} }

func (r *Recorder) begin(l *Loop) {
	r.loop = l
	b := []byte(recordMagic)
	b = appendText(b, l.name)
	b = appendText(b, l.incarnation)
	b = binary.LittleEndian.AppendUint64(b, l.seed)
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(l.pace))
	b = binary.AppendVarint(b, l.now)
	b = binary.AppendVarint(b, l.wall-l.now)
	r.last = l.now
	r.write(b)
}

// input writes an event and the hash before it.
func (r *Recorder) input(l *Loop, source uint32, payload []byte, before uint64) {
	if len(payload) > recordMax && r.err == nil {
		r.err = fmt.Errorf("%w: %d bytes of %s", errLong, len(payload), l.SourceName(source))
	}
	b := r.buf[:0]
	if r.n > 0 && r.n%hashEvery == 0 {
		b = appendHash(b, tagHash, before)
	}
	r.n++
	b = binary.AppendUvarint(b, uint64(source)+tagSource)
	b = binary.AppendVarint(b, l.now-r.last)
	b = binary.AppendVarint(b, l.wall-l.now)
	b = binary.AppendVarint(b, l.mono-l.now)
	b = append(b, byte(before))
	b = binary.AppendUvarint(b, uint64(len(payload)))
	r.last, r.buf = l.now, b
	r.write(b)
	r.write(payload)
}

func appendHash(b []byte, tag byte, h uint64) []byte {
	return binary.LittleEndian.AppendUint64(append(b, tag), h)
}

func (r *Recorder) write(b []byte) {
	if r.err == nil {
		_, r.err = r.w.Write(b)
	}
}

// Flush hands on what is buffered, so that a program that is killed loses less
// of its recording. On the loop, or after it has ended.
func (r *Recorder) Flush() error {
	if r.err == nil {
		r.err = r.w.Flush()
	}
	return r.err
}

// Close writes the hash after the last event and flushes. Call it after the loop
// has ended. The recording of a loop that was killed has no end.
func (r *Recorder) Close() error {
	if l := r.loop; l != nil && !l.dead {
		h := l.settled
		if r.n == 0 {
			h = l.hash // what building the node did
		}
		r.write(appendHash(nil, tagEnd, h))
	}
	if r.err == nil {
		r.err = r.w.Flush()
	}
	return r.err
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// registrar is a driver that must know what can enter the loop.
type registrar interface {
	register(source uint32, target any)
}

// Replay is the driver that turns a loop from a recording.
type Replay struct {
	r       *bufio.Reader
	loop    *Loop
	targets map[uint32]any
	slices  map[uint32][]Event
	n       uint64
	last    uint32 // source of the event replayed last
	ended   bool
}

// Divergence says where a replay first differed from its recording.
type Divergence struct {
	Event  uint64 // counted from 1; 0 is the building of the node
	Source string // what entered; "" for the building
	Why    string
}

func (d *Divergence) Error() string {
	return fmt.Sprintf("replay diverges at event %d (%s): %s", d.Event, d.Source, d.Why)
}

// NewReplay opens a recording. Build the node on Loop(), exactly as it was
// built when it was recorded, then call Run.
func NewReplay(src io.Reader) (*Replay, error) {
	p := &Replay{r: bufio.NewReaderSize(src, 1<<16), targets: map[uint32]any{}, slices: map[uint32][]Event{}}
	head := make([]byte, len(recordMagic))
	if _, err := io.ReadFull(p.r, head); err != nil || string(head) != recordMagic {
		return nil, fmt.Errorf("sched: not a recording this program can read")
	}
	name, err := p.text()
	if err != nil {
		return nil, err
	}
	incarnation, err := p.text()
	if err != nil {
		return nil, err
	}
	var seed [8]byte
	if _, err := io.ReadFull(p.r, seed[:]); err != nil {
		return nil, errRecord
	}
	var pace [8]byte
	if _, err := io.ReadFull(p.r, pace[:]); err != nil {
		return nil, errRecord
	}
	now, err := binary.ReadVarint(p.r)
	if err != nil {
		return nil, errRecord
	}
	ahead, err := binary.ReadVarint(p.r)
	if err != nil {
		return nil, errRecord
	}
	p.loop = newLoop(name, incarnation, binary.LittleEndian.Uint64(seed[:]), p)
	speed := math.Float64frombits(binary.LittleEndian.Uint64(pace[:]))
	if !(speed > 0 && speed < 1e6) { // not a number neither
		return nil, errRecord
	}
	p.loop.setClocks(now, now+ahead, speed)
	return p, nil
}

func (p *Replay) text() (string, error) {
	n, err := binary.ReadUvarint(p.r)
	if err != nil || n > 1<<10 {
		return "", errRecord
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(p.r, b); err != nil {
		return "", errRecord
	}
	return string(b), nil
}

// Loop is the loop that is turned.
func (p *Replay) Loop() *Loop { return p.loop }

// Step replays one event. It returns io.EOF at the end of the recording,
// ErrTruncated where it stops without one, and a *Divergence where the node did
// not do what it did when it was recorded. Any other error is a damaged record.
// After an error there is no going on.
func (p *Replay) Step() error {
	l := p.loop
	for {
		tag, err := binary.ReadUvarint(p.r)
		switch {
		case err == io.EOF && p.ended:
			return io.EOF
		case err == io.EOF:
			return ErrTruncated
		case err != nil:
			return cut(err)
		case p.ended || tag > math.MaxUint32:
			return errRecord
		case tag > tagSource:
			return p.event(uint32(tag - tagSource))
		}
		var h [8]byte
		if _, err := io.ReadFull(p.r, h[:]); err != nil {
			return cut(err)
		}
		if want := binary.LittleEndian.Uint64(h[:]); want != l.hash {
			return p.differs(fmt.Sprintf("hash %016x, recorded %016x", l.hash, want))
		}
		p.ended = tag == tagEnd
	}
}

// cut tells a record that is not all there from one that is wrong.
func cut(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return ErrTruncated
	}
	return errRecord
}

// differs reports that the event replayed last did something else here.
func (p *Replay) differs(why string) error {
	d := &Divergence{Event: p.n, Why: why}
	if p.n > 0 {
		d.Source = p.loop.SourceName(p.last)
	}
	return d
}

func (p *Replay) event(source uint32) error {
	l := p.loop
	dt, err := binary.ReadVarint(p.r)
	if err != nil {
		return cut(err)
	}
	ahead, err := binary.ReadVarint(p.r)
	if err != nil {
		return cut(err)
	}
	unset, err := binary.ReadVarint(p.r)
	if err != nil {
		return cut(err)
	}
	check, err := p.r.ReadByte()
	if err != nil {
		return cut(err)
	}
	size, err := binary.ReadUvarint(p.r)
	if err != nil {
		return cut(err)
	}
	if size > recordMax || dt < 0 || l.now > 0 && dt > math.MaxInt64-l.now {
		return errRecord
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(p.r, payload); err != nil {
		return cut(err)
	}
	if check != byte(l.hash) {
		return p.differs(fmt.Sprintf("hash ends in %02x, recorded %02x", byte(l.hash), check))
	}
	p.n++
	p.last = source
	l.now += dt
	l.wall, l.mono = l.now+ahead, l.now+unset
	entered := l.events
	if why := p.enter(source, payload); why != "" {
		return p.differs(why)
	}
	if l.events != entered+1 {
		return p.differs("its service is detached here")
	}
	return nil
}

// enter gives an input to what takes it, and says why nothing does.
func (p *Replay) enter(source uint32, payload []byte) string {
	if q := p.slices[source]; len(q) > 0 && len(payload) == 0 {
		p.slices[source] = q[1:]
		q[0].Fire()
		return ""
	}
	switch t := p.targets[source].(type) {
	case *Timer:
		switch {
		case t.slot < 0:
			return "a timer fired that is not armed here"
		case !t.passed():
			return "a timer fired before it is due here"
		case len(payload) > 0:
			return "a timer fired with a payload"
		}
		t.Fire()
	case replayable:
		if err := t.replay(payload); err != nil {
			return err.Error()
		}
	default:
		return "nothing here takes this input"
	}
	return ""
}

type replayable interface{ replay([]byte) error }

// Run replays to the end. It returns nil where the recording ends as it should
// and the node did all it did then; else what Step returned.
func (p *Replay) Run() error {
	for {
		if err := p.Step(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (p *Replay) register(source uint32, target any) { p.targets[source] = target }
func (p *Replay) schedule(*Timer) int32              { return 0 }
func (p *Replay) reschedule(*Timer)                  {}
func (p *Replay) unschedule(*Timer)                  {}
func (p *Replay) post(*Loop, Event) bool             { return false } // inputs come from the recording
func (p *Replay) postpone(l *Loop, ev Event) {
	s := ev.(*slice)
	p.slices[s.source] = append(p.slices[s.source], ev)
}

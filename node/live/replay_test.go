package live

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bettensor/node"
	"bettensor/node/bet"
	"bettensor/node/wire"
	"bettensor/sched"

	"github.com/google/go-cmp/cmp"
)

// recorded runs a validator and two miners under a recording until their
// predictions are stored and confirmed, and stops all in good order.
func recorded(t *testing.T) (validator, miner string) {
	t.Helper()
	s := newSubnet(t, "v0", "m0", "m1")
	vo, mo := s.options("v0"), s.options("m0")
	vo.Record, mo.Record = filepath.Join(t.TempDir(), "v"), filepath.Join(t.TempDir(), "m")
	v := s.validator(vo)
	m := s.miner(mo, "home")
	s.miner(s.options("m1"), "away")
	until(t, "ten predictions stored", func() bool { return stored(t, v) == 10 })
	until(t, "ready", func() bool { return ready(t, v) && ready(t, m) })
	s.stop(v)
	s.stop(m)
	return filepath.Join(vo.Record, "000001"), filepath.Join(mo.Record, "000001")
}

func TestARecordingReplays(t *testing.T) {
	validator, miner := recorded(t)
	held := 0
	r, err := Replay(validator, ReplayOptions{Revision: "r1", Look: func(v View) { held = v.Validator.State.Book.Len() }})
	if err != nil || r.CutOff || held != 10 {
		t.Errorf("validator: %+v, %v, %d predictions; want all ten, to the end", r, err, held)
	}
	again, err := Replay(validator, ReplayOptions{Revision: "r1"})
	if err != nil || again != r {
		t.Errorf("a second time: %+v, %v; want %+v", again, err, r)
	}
	part, err := Replay(validator, ReplayOptions{Revision: "r1", Until: r.Events / 2})
	if err != nil || part.Events != r.Events/2 {
		t.Errorf("half of it: %+v, %v", part, err)
	}
	stored := 0
	at, err := Replay(validator, ReplayOptions{Revision: "r1", Event: "prediction_stored", Nth: 4, Look: func(v View) { stored = int(v.Validator.Portrait().Predictions) }})
	if err != nil || at.Seen < 4 || at.Events >= r.Events || stored < 4 {
		t.Errorf("up to the fourth prediction stored: %+v, %v, %d in the book", at, err, stored)
	}
	if all, err := Replay(validator, ReplayOptions{Revision: "r1", Event: "prediction_stored", Nth: 11}); err != nil || all.Seen != 10 || all.Events != r.Events || all.Hash != r.Hash {
		t.Errorf("up to an eleventh that never came: %+v, %v", all, err)
	}
	if r, err := Replay(miner, ReplayOptions{Revision: "r1", Mind: eachMind}); err != nil || r.CutOff || r.Role != "miner" || r.Events < 10 {
		t.Errorf("miner: %+v, %v", r, err)
	}
	// Another model does something else, and the first difference is named.
	var d *sched.Divergence
	_, err = Replay(miner, ReplayOptions{Revision: "r1", Mind: func(string) (Mind, error) { return eachMind("away") }})
	if !errors.As(err, &d) || d.Event == 0 {
		t.Errorf("another model: %v, want a divergence at an event", err)
	}
	if _, err := Replay(miner, ReplayOptions{Revision: "r1"}); err == nil || !strings.Contains(err.Error(), `"home"`) {
		t.Errorf("without anything that makes a model: %v", err)
	}
}

// TestARecordingOfAKilledNodeReplays: what a process leaves that is killed at any
// moment is a prefix of its files, and it replays as far as it goes.
func TestARecordingOfAKilledNodeReplays(t *testing.T) {
	validator, _ := recorded(t)
	whole, err := os.ReadFile(filepath.Join(validator, "inputs-000001"))
	if err != nil {
		t.Fatal(err)
	}
	events := uint64(0)
	for _, keep := range []int{0, 5, blockHead + 3, len(whole) / 3, len(whole) / 2, len(whole) - 40, len(whole) - 1} {
		dir := withSegment(t, validator, whole[:keep])
		r, err := Replay(dir, ReplayOptions{Revision: "r1"})
		if err != nil || !r.CutOff || r.Events < events {
			t.Errorf("cut off after %d of %d bytes: %+v, %v", keep, len(whole), r, err)
		}
		events = r.Events
	}
	if events == 0 {
		t.Error("nothing was replayed of a recording that lacks its end only")
	}
}

// withSegment is a copy of a recording with another first segment.
func withSegment(t *testing.T, from string, data []byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "inputs-000001"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestWhatIsWrongWithARecordingIsToldApart: damage, another revision and another
// behaviour are three things.
func TestWhatIsWrongWithARecordingIsToldApart(t *testing.T) {
	validator, _ := recorded(t)
	whole, err := os.ReadFile(filepath.Join(validator, "inputs-000001"))
	if err != nil {
		t.Fatal(err)
	}
	var d *sched.Divergence
	for i := range 40 { // one flipped bit anywhere is damage, never a difference
		flipped := bytes.Clone(whole)
		at := (i*2 + 1) * len(whole) / 80
		flipped[at] ^= 1 << (i % 8)
		r, err := Replay(withSegment(t, validator, flipped), ReplayOptions{Revision: "r1"})
		// A flipped length may reach beyond the end: then it looks cut off.
		if errors.As(err, &d) || !errors.Is(err, ErrDamaged) && !r.CutOff {
			t.Errorf("bit %d of byte %d flipped: %+v, %v; want ErrDamaged", i%8, at, r, err)
		}
	}
	if _, err := Replay(validator, ReplayOptions{Revision: "r2"}); !errors.Is(err, ErrRevision) {
		t.Errorf("another revision: %v, want ErrRevision", err)
	}
	if _, err := Replay(validator, ReplayOptions{Revision: "r2", AnyRevision: true}); err != nil {
		t.Errorf("another revision that behaves the same: %v", err)
	}
	t.Run("another behaviour", func(t *testing.T) {
		dir := withSegment(t, validator, whole)
		edit(t, dir, func(h *header) { h.Hotkey = hotkeyOf(t, "m0") })
		if _, err := Replay(dir, ReplayOptions{Revision: "r1"}); !errors.As(err, &d) {
			t.Errorf("got %v, want a divergence", err)
		}
	})
	for name, bad := range map[string]func(dir string) error{
		"segment missing": func(dir string) error {
			return os.Rename(filepath.Join(dir, "inputs-000001"), filepath.Join(dir, "inputs-000002"))
		},
		"no segment":   func(dir string) error { return os.Remove(filepath.Join(dir, "inputs-000001")) },
		"no JSON":      func(dir string) error { return os.WriteFile(filepath.Join(dir, headerFile), []byte("{"), 0o600) },
		"unknown role": func(dir string) error { edit(t, dir, func(h *header) { h.Role = "owner" }); return nil },
		"configuration": func(dir string) error {
			edit(t, dir, func(h *header) { h.Config = json.RawMessage(`{"Nonsense": 1}`) })
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := withSegment(t, validator, whole)
			if err := bad(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := Replay(dir, ReplayOptions{Revision: "r1"}); !errors.Is(err, ErrDamaged) {
				t.Errorf("got %v, want ErrDamaged", err)
			}
		})
	}
	t.Run("no recording", func(t *testing.T) {
		if _, err := Recordings(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v, want fs.ErrNotExist", err)
		}
	})
}

func edit(t *testing.T, dir string, f func(*header)) {
	t.Helper()
	h, err := readHeader(dir)
	if err != nil {
		t.Fatal(err)
	}
	f(&h)
	b, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, headerFile), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestConfigurationsSurviveARecording: what a recording keeps of a configuration
// is all of it, so that a field that JSON cannot hold is noticed here.
func TestConfigurationsSurviveARecording(t *testing.T) {
	v := node.ValidatorConfig{Hotkey: "5x"}.Filled()
	v.WeightsMove = 0.1 + 0.2
	var v2 node.ValidatorConfig
	through(t, v, &v2)
	if d := cmp.Diff(v, v2); d != "" {
		t.Error(d)
	}
	m := node.MinerConfig{Hotkey: "5y", Budget: bet.Cents(7)}.Filled()
	var m2 node.MinerConfig
	through(t, m, &m2)
	if d := cmp.Diff(m, m2); d != "" {
		t.Error(d)
	}
}

func through(t *testing.T, from, to any) {
	t.Helper()
	b, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(b, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestARecordingThatEndsEarlyStopsNothing: the node goes on, the log is told once,
// and what was written replays.
func TestARecordingThatEndsEarlyStopsNothing(t *testing.T) {
	s := newSubnet(t, "v0", "m0")
	o := s.options("v0")
	o.Record, o.RecordLimit = filepath.Join(t.TempDir(), "rec"), 6_000
	v := s.validator(o)
	s.miner(s.options("m0"), "home")
	until(t, "five predictions stored", func() bool { return stored(t, v) == 5 })
	until(t, "the limit is reached", func() bool {
		st, err := v.Stats(t.Context())
		return err == nil && st.Recording != nil && st.Recording.Err == ErrRecordingFull.Error()
	})
	s.stop(v)
	r, err := Replay(filepath.Join(o.Record, "000001"), ReplayOptions{Revision: "r1"})
	if err != nil || !r.CutOff {
		t.Errorf("replay: %+v, %v; want what there is of it", r, err)
	}
}

func TestSegmentsAreBounded(t *testing.T) {
	dir := t.TempDir()
	r := &recording{dir: dir, limit: 1 << 40, size: segmentBytes - 10}
	if err := r.rotate(); err != nil {
		t.Fatal(err)
	}
	r.size = segmentBytes - 10 // as if so much had been written
	for i := range 3 {
		if err := r.block(blockEvents, []byte(fmt.Sprint("piece", i))); err != nil {
			t.Fatal(err)
		}
	}
	r.rec = sched.NewRecorder(io.Discard)
	r.close()
	if r.segment != 2 {
		t.Fatalf("%d segments, want a second one", r.segment)
	}
	in := &blocks{dir: dir}
	defer in.close()
	got, err := io.ReadAll(in)
	if string(got) != "piece0piece1piece2" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}

// FuzzBlocks: no segment panics the reader or makes it ask for more memory than
// a block may take.
func FuzzBlocks(f *testing.F) {
	dir := f.TempDir()
	r := &recording{dir: dir, limit: 1 << 40}
	if err := r.rotate(); err != nil {
		f.Fatal(err)
	}
	r.block(blockEvents, []byte("bettensor recording 2\n"))
	r.block(blockSignature, make([]byte, 8+wire.SignatureSize))
	r.f.Close()
	seed, err := os.ReadFile(filepath.Join(dir, "inputs-000001"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(seed[:len(seed)-1])
	f.Add([]byte("E\xff\xff\xff\x7f\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "inputs-000001"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		in := &blocks{dir: dir}
		defer in.close()
		total := 0
		for {
			if err := in.next(); err != nil {
				if err != io.EOF && !errors.Is(err, ErrDamaged) {
					t.Fatalf("%v: neither the end nor damage", err)
				}
				break
			}
		}
		for _, e := range in.events {
			total += len(e)
		}
		if total > len(data) {
			t.Fatalf("%d bytes of events from %d", total, len(data))
		}
		in.signature() // must not panic
	})
}

func BenchmarkRecordedSignature(b *testing.B) {
	s, err := wire.NewSr25519(seedOf("x"), wire.Random{Rand: sched.NewStream(1)})
	if err != nil {
		b.Fatal(err)
	}
	r := &recording{dir: b.TempDir(), limit: 1 << 40}
	if err := r.rotate(); err != nil {
		b.Fatal(err)
	}
	defer r.f.Close()
	for name, signer := range map[string]wire.Signer{"plain": s, "recorded": r.signer(s)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			text := bytes.Repeat([]byte("x"), 200)
			for range b.N {
				signer.Sign(text)
			}
		})
	}
}

package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// An engine under the contract: open opens the same place again and again.
type subject struct {
	name string
	make func(t testing.TB) func(Schema) (Engine, error)
}

func pebbleAt(fs vfs.FS, dir string) func(Schema) (Engine, error) {
	return func(s Schema) (Engine, error) {
		e, err := OpenPebble(Options{FS: fs, Dir: dir, Schema: s})
		if err != nil {
			return nil, err
		}
		return e, nil
	}
}

var subjects = []subject{
	{"pebble on memory", func(testing.TB) func(Schema) (Engine, error) {
		return pebbleAt(vfs.NewMem(), "a/b/store")
	}},
	{"pebble on disk", func(t testing.TB) func(Schema) (Engine, error) {
		return pebbleAt(vfs.Default, filepath.Join(t.TempDir(), "a", "store"))
	}},
	{"mem", func(testing.TB) func(Schema) (Engine, error) {
		disk := new(MemDisk)
		return func(s Schema) (Engine, error) {
			e, err := OpenMem(disk, s)
			if err != nil {
				return nil, err
			}
			return e, nil
		}
	}},
}

func raw(ops ...string) *Batch {
	var b Batch
	for _, op := range ops {
		if k, v, put := strings.Cut(op, "="); put {
			b.put([]byte(k), []byte(v))
		} else {
			b.delete([]byte(op))
		}
	}
	return &b
}

func TestEngineContract(t *testing.T) {
	for _, sub := range subjects {
		t.Run(sub.name, func(t *testing.T) {
			for _, rule := range contract {
				t.Run(rule.name, func(t *testing.T) {
					t.Parallel()
					rule.test(t, sub.make(t))
				})
			}
		})
	}
}

type openFunc = func(Schema) (Engine, error)

func mustOpen(t testing.TB, open openFunc) Engine {
	t.Helper()
	e, err := open(testSchema)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func view(t testing.TB, e Engine, lo, hi []byte) []string {
	t.Helper()
	s, err := e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	return dump(t, s, lo, hi)
}

func expect(t interface {
	Helper()
	Errorf(string, ...any)
}, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

var contract = []struct {
	name string
	test func(t *testing.T, open openFunc)
}{
	{"a new store is empty and at 0", func(t *testing.T, open openFunc) {
		e := mustOpen(t, open)
		expect(t, "rows", view(t, e, nil, nil), []string{})
		expect(t, "durable", e.Durable(), Seq(0))
		mustClose(t, e)
	}},
	{"operations take effect in order, within and across batches", func(t *testing.T, open openFunc) {
		e := mustOpen(t, open)
		err := e.Apply(3, []*Batch{raw("a=1", "b=1", "a=2"), raw("b", "c=1"), raw("c", "c=2", "none")}, true)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "rows", view(t, e, nil, nil), []string{"a=2", "c=2"})
		expect(t, "durable", e.Durable(), Seq(3))
		mustClose(t, e)
	}},
	{"an empty row is a row", func(t *testing.T, open openFunc) {
		e := mustOpen(t, open)
		mustApply(t, e, 1, raw("a="), true)
		s, err := e.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		row, ok, err := s.Get([]byte("a"))
		if len(row) != 0 || !ok || err != nil {
			t.Errorf("Get = %q, %v, %v", row, ok, err)
		}
		if _, ok, err := s.Get([]byte("b")); ok || err != nil {
			t.Errorf("Get of nothing = %v, %v", ok, err)
		}
		mustClose(t, s)
		mustClose(t, e)
	}},
	{"batches out of turn are refused and change nothing", func(t *testing.T, open openFunc) {
		e := mustOpen(t, open)
		mustApply(t, e, 1, raw("a=1"), true)
		for _, seq := range []Seq{0, 1, 3} {
			if err := e.Apply(seq, []*Batch{raw("a=2")}, true); !errors.Is(err, ErrOrder) {
				t.Errorf("batch %d after 1: %v", seq, err)
			}
		}
		if err := e.Apply(1, nil, true); !errors.Is(err, ErrOrder) {
			t.Errorf("no batches: %v", err)
		}
		mustApply(t, e, 2, raw("b=1"), true)
		expect(t, "rows", view(t, e, nil, nil), []string{"a=1", "b=1"})
		mustClose(t, e)
	}},
	{"scans keep bounds and stop", func(t *testing.T, open openFunc) {
		e := mustOpen(t, open)
		mustApply(t, e, 1, raw("b=1", "a=1", "d=1", "c=1", "\xff\xff=1"), true)
		expect(t, "half open", view(t, e, []byte("b"), []byte("d")), []string{"b=1", "c=1"})
		expect(t, "no upper bound", view(t, e, []byte("d"), nil), []string{"d=1", "\xff\xff=1"})
		expect(t, "no lower bound", view(t, e, nil, []byte("b")), []string{"a=1"})
		s, err := e.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		wanted := errors.New("enough")
		err = s.Scan(nil, nil, func(_, _ []byte) error {
			if n++; n == 2 {
				return wanted
			}
			return nil
		})
		if !errors.Is(err, wanted) || n != 2 {
			t.Errorf("stopped after %d rows with %v", n, err)
		}
		mustClose(t, s)
		mustClose(t, e)
	}},
	{"a snapshot does not see what comes after it", func(t *testing.T, open openFunc) {
		e := mustOpen(t, open)
		mustApply(t, e, 1, raw("a=1", "b=1"), true)
		s, err := e.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		mustApply(t, e, 2, raw("a=2", "b", "c=1"), true)
		expect(t, "before", dump(t, s, nil, nil), []string{"a=1", "b=1"})
		expect(t, "after", view(t, e, nil, nil), []string{"a=2", "c=1"})
		mustClose(t, s)
		mustClose(t, e)
	}},
	{"a batch may be reused once applied", func(t *testing.T, open openFunc) {
		e := mustOpen(t, open)
		b := raw("a=1")
		mustApply(t, e, 1, b, true)
		b.Reset()
		b.put([]byte("b"), []byte("2"))
		expect(t, "rows", view(t, e, nil, nil), []string{"a=1"})
		mustApply(t, e, 2, b, true)
		expect(t, "rows", view(t, e, nil, nil), []string{"a=1", "b=2"})
		mustClose(t, e)
	}},
	{"everything is there after reopening, large batches too", func(t *testing.T, open openFunc) {
		e := mustOpen(t, open)
		mustApply(t, e, 1, raw("a=1"), true)
		mustApply(t, e, 2, raw("big="+strings.Repeat("x", 6<<20)), true)
		mustApply(t, e, 3, raw("mid="+strings.Repeat("y", tailRoom)), true)
		mustApply(t, e, 4, raw("b=1"), false)
		expect(t, "durable", e.Durable(), Seq(3))
		mustApply(t, e, 5, raw("c=1"), true)
		want := view(t, e, nil, nil)
		mustClose(t, e)
		e = mustOpen(t, open)
		expect(t, "durable", e.Durable(), Seq(5))
		expect(t, "rows", view(t, e, nil, nil), want)
		mustApply(t, e, 6, raw("d=1"), true)
		mustClose(t, e)
	}},
	{"a second opening is refused until the first closes", func(t *testing.T, open openFunc) {
		e := mustOpen(t, open)
		if _, err := open(testSchema); !errors.Is(err, ErrLocked) {
			t.Errorf("second opening: %v", err)
		}
		mustClose(t, e)
		mustClose(t, mustOpen(t, open))
	}},
	{"after Close nothing works", func(t *testing.T, open openFunc) {
		e := mustOpen(t, open)
		mustClose(t, e)
		if err := e.Apply(1, []*Batch{raw("a=1")}, true); !errors.Is(err, ErrClosed) {
			t.Errorf("Apply: %v", err)
		}
		if _, err := e.Snapshot(); !errors.Is(err, ErrClosed) {
			t.Errorf("Snapshot: %v", err)
		}
	}},
	{"migrations run once each, with the version, and newer is refused", func(t *testing.T, open openFunc) {
		e := mustOpen(t, open)
		mustApply(t, e, 1, raw("a=1"), true)
		mustClose(t, e)
		ran := []string{}
		v3 := Schema{Version: 3, Migrations: []func(Snapshot, *Batch) error{
			func(s Snapshot, b *Batch) error {
				ran = append(ran, fmt.Sprint("1-2 sees ", dump(t, s, nil, nil)))
				b.put([]byte("b"), []byte("2"))
				return nil
			},
			func(s Snapshot, b *Batch) error {
				ran = append(ran, fmt.Sprint("2-3 sees ", dump(t, s, nil, nil)))
				return nil
			},
		}}
		for range 2 {
			e, err := open(v3)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, "rows", view(t, e, nil, nil), []string{"a=1", "b=2"})
			expect(t, "durable", e.Durable(), Seq(3))
			mustClose(t, e)
		}
		expect(t, "migrations", ran, []string{"1-2 sees [a=1]", "2-3 sees [a=1 b=2]"})
		_, err := open(testSchema)
		var newer ErrNewer
		if !errors.As(err, &newer) || newer != (ErrNewer{Have: 3, Want: 1}) {
			t.Errorf("older program: %v", err)
		}
		e, err = open(v3)
		if err != nil {
			t.Fatalf("after a refusal: %v", err)
		}
		mustClose(t, e)
	}},
	{"a failing migration leaves the store as it was", func(t *testing.T, open openFunc) {
		mustClose(t, mustOpen(t, open))
		broken := errors.New("broken")
		_, err := open(Schema{Version: 2, Migrations: []func(Snapshot, *Batch) error{
			func(_ Snapshot, b *Batch) error { b.put([]byte("a"), nil); return broken },
		}})
		if !errors.Is(err, broken) {
			t.Errorf("opening: %v", err)
		}
		e := mustOpen(t, open)
		expect(t, "rows", view(t, e, nil, nil), []string{})
		mustClose(t, e)
	}},
	{"a schema with a migration missing or a prefix twice is refused", func(t *testing.T, open openFunc) {
		if _, err := open(Schema{Version: 2}); err == nil {
			t.Error("opened without a migration")
		}
		if _, err := open(Schema{Tables: []AnyTable{notes, notes}}); err == nil {
			t.Error("opened with a prefix twice")
		}
	}},
	{"random histories equal a map", func(t *testing.T, open openFunc) {
		e := mustOpen(t, open)
		seq := Seq(0)
		model := map[string]string{}
		// One store for all cases: opening on a real disk costs tens of milliseconds.
		rapid.Check(t, func(rt *rapid.T) {
			key := rapid.SampledFrom([]string{"a", "aa", "ab", "b", "b\x00", "c", "\xff", "q", "z1", "z2"})
			group := rapid.SliceOfN(rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) string {
				if rapid.Bool().Draw(rt, "delete") {
					return key.Draw(rt, "key")
				}
				return key.Draw(rt, "key") + "=" + rapid.StringN(0, 200, 400).Draw(rt, "row")
			}), 1, 6), 1, 4).Draw(rt, "group")
			var bs []*Batch
			for _, ops := range group {
				for _, op := range ops {
					if k, v, put := strings.Cut(op, "="); put {
						model[k] = v
					} else {
						delete(model, op)
					}
				}
				bs = append(bs, raw(ops...))
			}
			seq += Seq(len(bs))
			if err := e.Apply(seq, bs, rapid.Bool().Draw(rt, "sync")); err != nil {
				rt.Fatal(err)
			}
			want := []string{}
			for k, v := range model {
				want = append(want, k+"="+v)
			}
			sort.Slice(want, func(i, j int) bool {
				a, _, _ := strings.Cut(want[i], "=")
				b, _, _ := strings.Cut(want[j], "=")
				return a < b
			})
			expect(rt, "rows", view(t, e, nil, nil), want)
		})
		mustClose(t, e)
	}},
}

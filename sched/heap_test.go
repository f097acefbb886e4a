package sched

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

type mark int

func (mark) Fire() {}

// TestQueueAgainstSortedSlice drives the heap and a sorted slice with the same
// pushes, moves, removals and pops: they must give the same events in the same
// order, whatever was moved or taken out between.
func TestQueueAgainstSortedSlice(t *testing.T) {
	type entry struct {
		at    int64
		seq   int // of the ordinary ones; negative for those that come first
		ev    mark
		place int32
	}
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var twin []entry
		seq, early, next := 0, -1<<30, mark(0)
		find := func() int { return rapid.IntRange(0, len(twin)-1).Draw(t, "which") }
		pop := func() {
			slices.SortFunc(twin, func(a, b entry) int {
				if a.at != b.at {
					return int(a.at - b.at)
				}
				return a.seq - b.seq
			})
			at, ev := q.pop()
			if at != twin[0].at || ev != Event(twin[0].ev) {
				t.Fatalf("popped %v at %d, want %v at %d", ev, at, twin[0].ev, twin[0].at)
			}
			twin = twin[1:]
		}
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			at := rapid.Int64Range(0, 20).Draw(t, "at") // few instants, many ties
			switch op := rapid.IntRange(0, 9).Draw(t, "op"); {
			case op < 4 || len(twin) == 0:
				seq++
				next++
				twin = append(twin, entry{at, seq, next, q.push(at, 0, next)})
			case op < 5:
				early++
				next++
				twin = append(twin, entry{at, early, next, q.pushFirst(at, next)})
			case op < 7:
				i := find()
				seq++
				twin[i].at, twin[i].seq = at, seq
				q.move(twin[i].place, at, 0)
			case op < 8:
				i := find()
				q.remove(twin[i].place)
				twin = slices.Delete(twin, i, i+1)
			default:
				pop()
			}
			if q.len() != len(twin) {
				t.Fatalf("%d events, want %d", q.len(), len(twin))
			}
		}
		for len(twin) > 0 {
			pop()
		}
		if len(q.free) != len(q.slots) {
			t.Fatalf("%d of %d slots are free in an empty queue", len(q.free), len(q.slots))
		}
	})
}

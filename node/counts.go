package node

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"bettensor/bus"
	"bettensor/store"
)

// Count is one counter or gauge.
type Count struct {
	Name  string
	Value uint64
}

// Counts are counters and gauges in a fixed order. As JSON they are an object
// whose members have that order.
type Counts []Count

// Get returns the value of a name, and whether it is there.
func (c Counts) Get(name string) (value uint64, ok bool) {
	for i := range c {
		if c[i].Name == name {
			return c[i].Value, true
		}
	}
	return 0, false
}

// MarshalJSON writes an object, a member for each count.
func (c Counts) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i := range c {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(c[i].Name)
		if err != nil {
			return nil, err
		}
		b = strconv.AppendUint(append(append(b, name...), ':'), c[i].Value, 10)
	}
	return append(b, '}'), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (c *Counts) UnmarshalJSON(b []byte) error {
	*c = nil
	if bytes.Equal(bytes.TrimSpace(b), []byte("null")) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("counts: want an object, got %v (%v)", t, err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return fmt.Errorf("counts: %w", err)
		}
		var value uint64
		if err := d.Decode(&value); err != nil {
			return fmt.Errorf("counts: %v: %w", name, err)
		}
		*c = append(*c, Count{fmt.Sprint(name), value})
	}
	return nil
}

// Timing is how long something took, each time it was done, by the node's clock.
type Timing struct {
	Name string        `json:"name"` // confirmation, commit, scoring
	Took bus.Histogram `json:"took"`
}

// timings are what a node measures of itself. They rest on the loop's own time
// and so repeat in a replay, but nothing is decided by them.
type timings struct {
	// confirmation is from a prediction's receipt until it may be confirmed.
	confirmation bus.Histogram
	// commit is from the event that committed until its batch is on disk.
	commit bus.Histogram
	// scoring is a round, its slices and what came between them.
	scoring bus.Histogram

	marks []commitMark // of batches that are not on disk, ascending
}

type commitMark struct {
	upTo store.Seq
	at   time.Time
}

// committed notes, after an event, that batches up to a number were committed
// by then. As many marks are kept as there are batches waiting.
func (t *timings) committed(upTo store.Seq, at time.Time) {
	if n := len(t.marks); n > 0 && t.marks[n-1].upTo >= upTo {
		return
	}
	t.marks = append(t.marks, commitMark{upTo, at})
}

// durable counts what is on disk now.
func (t *timings) durable(upTo store.Seq, at time.Time) {
	n := 0
	for n < len(t.marks) && t.marks[n].upTo <= upTo {
		t.commit.Add(at.Sub(t.marks[n].at))
		n++
	}
	t.marks = t.marks[:copy(t.marks, t.marks[n:])]
}

func (t *timings) list() []Timing {
	return []Timing{{"confirmation", t.confirmation}, {"commit", t.commit}, {"scoring", t.scoring}}
}

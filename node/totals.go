package node

import (
	"time"

	"bettensor/node/ledger"
)

// totalsEvery is how often totals are written at most: what a crash makes them
// miss, against a batch of a few kilobytes for each node.
const totalsEvery = 6 * time.Hour

// totals are the counters that survive a restart: those that earlier runs left
// in the ledger, by set, to which this run's are added.
type totals struct {
	before map[string]ledger.Counters
	saved  time.Time
}

// Totals are counters since the store was made, this run included.
type Totals struct {
	Set    string `json:"set"` // "tasks", "events", "panics"
	Counts Counts `json:"counts"`
}

// Totals returns the counters that survive restarts: of tasks, of events and of
// panics. Those of a run that crashed end at the last time they were written,
// up to totalsEvery before. Call it on the loop.
func (c *core) Totals() []Totals {
	tasks, events, panics := Totals{Set: "tasks"}, Totals{Set: "events"}, Totals{Set: "panics"}
	for _, t := range c.loop.Tasks() {
		tasks.Counts = append(tasks.Counts, Count{t.Name + ".runs", t.Runs}, Count{t.Name + ".failures", t.Failures}, Count{t.Name + ".retries", t.Retries})
	}
	for _, t := range c.bus.Stats() {
		events.Counts = append(events.Counts, Count{t.Name + ".published", t.Published}, Count{t.Name + ".delivered", t.Delivered}, Count{t.Name + ".errors", t.Errors})
	}
	for i := range c.services {
		panics.Counts = append(panics.Counts, Count{c.services[i].name(), c.services[i].panics})
	}
	all := []Totals{tasks, events, panics}
	for i := range all {
		all[i].add(c.totals.before[all[i].Set])
	}
	return all
}

// add adds what earlier runs counted. A name that this program no longer counts
// stays, behind the others.
func (t *Totals) add(before ledger.Counters) {
	if len(before.Names) == 0 {
		return
	}
	at := make(map[string]int, len(t.Counts))
	for i, c := range t.Counts {
		at[c.Name] = i
	}
	for i, name := range before.Names {
		if k, ok := at[name]; ok {
			t.Counts[k].Value += before.Values[i]
		} else {
			t.Counts = append(t.Counts, Count{name, before.Values[i]})
		}
	}
}

// saveTotals writes one row a set; the last time, what else an end leaves behind.
func (c *core) saveTotals(last bool) {
	now := c.loop.Now()
	c.totals.saved = now
	b := c.store.Batch()
	for _, t := range c.Totals() {
		row := ledger.Counters{At: now, Names: make([]string, len(t.Counts)), Values: make([]uint64, len(t.Counts))}
		for i, n := range t.Counts {
			row.Names[i], row.Values[i] = n.Name, n.Value
		}
		ledger.Stats.Put(b, t.Set, &row)
	}
	if last {
		c.settleNonces(b)
	}
	c.store.Commit(b)
}

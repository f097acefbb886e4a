package invariant

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/wire"
	"bettensor/store"

	"github.com/google/go-cmp/cmp"
)

// A history is a validator written by hand: what it says, what its disk holds,
// what it sends to the chain, and the world that knows better.

var begin = time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)

var (
	theKey       = chain.EncodeSS58([32]byte{1}) // a real one: hashes of commits are made of it
	theValidator = Node{Name: "v", Hotkey: theKey, Validator: true}
	miners       = []Node{{Name: "a", Hotkey: "A"}, {Name: "b", Hotkey: "B"}}
)

// fixture is a game as the world knows it.
type fixture struct {
	start          time.Time
	moved, movedAt time.Time // another kick-off, known from then on
	resultAt       time.Time
	outcome        bet.Outcome
	void           bool
	corrected      bet.Outcome
	correctedAt    time.Time
	withdrawnAt    time.Time // no result from then on
	kept           bool      // not settled by the ordinary day
}

type history struct {
	t     testing.TB
	set   *Set
	at    time.Time
	day   int
	games map[bet.GameID]*fixture
	order []bet.GameID
	disk  store.Engine
	seq   store.Seq
	rows  map[ledger.PredictionKey]*ledger.Prediction
	keys  []ledger.PredictionKey // of rows, as they came
	meta  *chain.Metagraph
	alter func(ledger.DayKey, *ledger.Score) // plants a bug in scoring

	arrived, number, nonce uint64
	fallback               bool // votes are not from a round
	unplanned              bool // plants a bug: votes without a set on disk
	earned                 map[chain.Hotkey]chain.Rao
}

func newHistory(t testing.TB, change ...func(*Facts)) *history {
	t.Helper()
	x := &history{t: t, at: begin, games: map[bet.GameID]*fixture{}, rows: map[ledger.PredictionKey]*ledger.Prediction{}}
	x.earned = map[chain.Hotkey]chain.Rao{}
	f := Facts{Start: begin, KickOff: x.kickOff, Result: x.result, ResultAt: x.resultAt,
		Disk: func(h chain.Hotkey) store.Snapshot {
			if h != theKey {
				return nil
			}
			snap, err := x.disk.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			return snap
		},
		Metagraph: func() *chain.Metagraph { return x.meta },
		Earned:    func(h chain.Hotkey) chain.Rao { return x.earned[h] }}
	for _, c := range change {
		c(&f)
	}
	x.set = New(f, nil)
	disk, err := store.OpenMem(&store.MemDisk{}, ledger.Schema())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disk.Close() })
	x.disk, x.seq = disk, disk.Durable()
	x.meta = &chain.Metagraph{Params: chain.Hyperparameters{WeightsRateLimit: 100, MinAllowedWeights: 1, MaxWeightsLimit: chain.MaxWeight},
		Neurons: []chain.Neuron{{UID: 0, Hotkey: theKey}, {UID: 1, Hotkey: "A"}, {UID: 2, Hotkey: "B", RegisteredAt: 1}, {UID: 3}}}
	return x
}

func (x *history) kickOff(id bet.GameID, at time.Time) (time.Time, bool) {
	g := x.games[id]
	if g == nil {
		return time.Time{}, false
	}
	if !g.movedAt.IsZero() && !at.Before(g.movedAt) {
		return g.moved, true
	}
	return g.start, true
}

func (x *history) result(id bet.GameID, at time.Time) (bet.Outcome, bool, bool) {
	g := x.games[id]
	if g == nil || at.Before(g.resultAt) || !g.withdrawnAt.IsZero() && !at.Before(g.withdrawnAt) {
		return bet.Unfinished, false, false
	}
	if !g.correctedAt.IsZero() && !at.Before(g.correctedAt) {
		return g.corrected, false, true
	}
	return g.outcome, g.void, true
}

func (x *history) resultAt(id bet.GameID, at time.Time) (time.Time, bool) {
	if _, void, known := x.result(id, at); !known || void {
		return time.Time{}, false
	}
	return x.games[id].resultAt, true
}

// game adds a fixture that is played a while from now.
func (x *history) game(id bet.GameID, start time.Duration, outcome bet.Outcome) *fixture {
	g := &fixture{start: x.at.Add(start), outcome: outcome}
	g.resultAt = g.start.Add(2 * time.Hour)
	x.games[id] = g
	x.order = append(x.order, id)
	return g
}

func (x *history) pass(d time.Duration) { x.at = x.at.Add(d) }

func submission(id bet.PredictionID, game bet.GameID, side bet.Outcome, dollars float64) *bet.Submission {
	number := func(v float64) bet.Value { return bet.Value{Kind: bet.Number, Number: v} }
	return &bet.Submission{ID: id, Game: game, TeamA: "Reds", TeamB: "Blues", Outcome: number(float64(side)), Odds: number(1.91),
		Wager: number(dollars), OddsA: number(1.91), OddsB: number(1.91), OddsTie: number(1.91), Model: "m"}
}

// submit sends a prediction.
func (x *history) submit(m Node, s *bet.Submission) *bet.Submission {
	x.set.Frame(x.at, m, theValidator, &wire.Event{Kind: wire.Received, Message: wire.Message{Kind: wire.Prediction, Sender: m.Hotkey, Submission: s}})
	return s
}

// answer sends a confirmation; no code is an acceptance.
func (x *history) answer(m Node, id bet.PredictionID, code bet.Code) {
	x.set.Frame(x.at, theValidator, m, &wire.Event{Kind: wire.Received, Message: wire.Message{Kind: wire.ConfirmationMessage, Sender: theKey,
		Confirmation: wire.Confirmation{ID: id, OK: code == "", Code: code, At: x.at}}})
}

// row is what an honest validator stores of a submission.
func (x *history) row(m Node, s *bet.Submission) *ledger.Prediction {
	wager, _ := bet.RoundCents(s.Wager.Number)
	x.arrived++
	return &ledger.Prediction{Arrived: x.arrived, Prediction: bet.Prediction{ID: s.ID, Hotkey: m.Hotkey, Game: s.Game, Outcome: bet.Outcome(s.Outcome.Number),
		Odds: s.Odds.Number, Wager: wager, Received: x.at, Model: s.Model, Confidence: -1}}
}

// put stores a row with its key and the day's budget.
func (x *history) put(row *ledger.Prediction) {
	k := row.Key()
	if x.rows[k] == nil {
		x.keys = append(x.keys, k)
	}
	x.rows[k] = row
	x.write(func(b *store.Batch) {
		ledger.Predictions.Put(b, k, row)
		ledger.IDs.Put(b, ledger.IDKey{Hotkey: row.Hotkey, ID: row.ID}, &k)
		x.putBudget(b, k)
	})
}

func (x *history) putBudget(b *store.Batch, k ledger.PredictionKey) {
	var sum bet.Cents
	for _, o := range x.keys {
		if o.Hotkey == k.Hotkey && o.Day == k.Day {
			sum += x.rows[o].Wager
		}
	}
	ledger.Budgets.Put(b, ledger.DayKey{Day: k.Day, Hotkey: k.Hotkey}, &sum)
}

// drop takes a row away as if it had never been.
func (x *history) drop(row *ledger.Prediction) {
	k := row.Key()
	delete(x.rows, k)
	x.keys = slices.DeleteFunc(x.keys, func(o ledger.PredictionKey) bool { return o == k })
	x.write(func(b *store.Batch) {
		ledger.Predictions.Delete(b, k)
		ledger.IDs.Delete(b, ledger.IDKey{Hotkey: row.Hotkey, ID: row.ID})
		x.putBudget(b, k)
	})
}

func (x *history) write(f func(*store.Batch)) {
	var b store.Batch
	f(&b)
	x.seq++
	if err := x.disk.Apply(x.seq, []*store.Batch{&b}, true); err != nil {
		x.t.Fatal(err)
	}
}

// accept is the whole way of a good prediction.
func (x *history) accept(m Node, s *bet.Submission) *ledger.Prediction {
	x.submit(m, s)
	x.pass(20 * time.Millisecond)
	row := x.row(m, s)
	x.put(row)
	x.pass(2 * time.Millisecond)
	x.answer(m, s.ID, "")
	return row
}

// settle brings every row in line with what is known.
func (x *history) settle() {
	for _, k := range x.keys {
		outcome, void, known := x.result(k.Game, x.at)
		if !known || x.games[k.Game].kept {
			continue
		}
		g := bet.Game{ID: k.Game, Status: bet.Finished, Outcome: outcome, ResultAt: x.games[k.Game].resultAt}
		if void {
			g.Status = bet.Void
		}
		old := x.rows[k]
		if next, changed := bet.Settle(&old.Prediction, &g); changed {
			row := &ledger.Prediction{Prediction: next, Arrived: old.Arrived}
			x.rows[k] = row
			x.write(func(b *store.Batch) { ledger.Predictions.Put(b, k, row) })
		}
	}
}

// score writes the score rows of the last few days.
func (x *history) score() {
	today := bet.DayOf(x.at)
	x.write(func(b *store.Batch) {
		for d := today - 5; d <= today; d++ {
			for _, m := range miners {
				row := ledger.Score{Weight: dayShares[m.Hotkey]}
				for _, k := range x.keys {
					if p := x.rows[k]; k.Hotkey == m.Hotkey && (p.State == bet.Won || p.State == bet.Lost) && bet.DayOf(p.Settled) == d {
						row.Settled++
						row.Wagered += p.Wager
					}
				}
				k := ledger.DayKey{Day: d, Hotkey: m.Hotkey}
				if x.alter != nil {
					x.alter(k, &row)
				}
				ledger.Scores.Put(b, k, &row)
			}
		}
	})
}

func (x *history) snapshot(look func(store.Snapshot) error) {
	x.t.Helper()
	snap, err := x.disk.Snapshot()
	if err == nil {
		err = look(snap)
		snap.Close()
	}
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *history) audit() {
	x.snapshot(func(s store.Snapshot) error { return x.set.Store(x.at, theValidator, s) })
}

func (x *history) reopened() {
	x.snapshot(func(s store.Snapshot) error { return x.set.Reopened(x.at, theValidator, s) })
}

// weights plans a vector, sends it to the chain, which takes it, and notes so.
func (x *history) weights(w chain.Weights, change ...func(*chain.Request)) {
	block := chain.Block(x.at.Sub(begin) / chain.BlockTime)
	meta := *x.meta
	meta.Block = block
	x.meta = &meta
	q := chain.Request{Op: chain.OpSetWeights, Hotkey: theKey, Weights: w}
	for _, c := range change {
		c(&q)
	}
	row := ledger.WeightSet{Planned: x.at, Weights: q.Weights, Fallback: x.fallback, Phase: ledger.Planned}
	if q.Op == chain.OpCommitWeights {
		row.Salt = []uint16{1}
		q.Commit, _ = chain.CommitHash(theKey, 0, q.Weights, row.Salt, 0)
	}
	if !x.unplanned {
		x.number++
		x.write(func(b *store.Batch) { ledger.Weights.Put(b, x.number, &row) })
	}
	x.set.Extrinsic(x.at, q, chain.Reply{Included: block}, x.meta)
	row.Phase, row.Block = ledger.Included, block
	x.became(row)
}

// became writes what became of the newest set.
func (x *history) became(row ledger.WeightSet) {
	x.write(func(b *store.Batch) { ledger.Weights.Put(b, x.number, &row) })
}

// say sends a signed message of somebody; each has a nonce of its own.
func (x *history) say(from, to Node, m wire.Message) {
	if m.Sender = from.Hotkey; m.Nonce == "" {
		x.nonce++
		m.Nonce = strconv.FormatUint(x.nonce, 10)
	}
	x.set.Frame(x.at, from, to, &wire.Event{Kind: wire.Received, Message: m})
}

// session begins one.
func (x *history) session(m Node) {
	x.say(m, theValidator, wire.Message{Kind: wire.Auth})
	x.pass(time.Second)
	x.say(theValidator, m, wire.Message{Kind: wire.Welcome})
}

// tell writes a game to the disk and tells it.
func (x *history) tell(id bet.GameID, change ...func(*bet.Game)) {
	g := bet.Game{ID: id, TeamA: "Reds", TeamB: "Blues", Start: x.games[id].start, Active: true, Outcome: bet.Unfinished, Odds: bet.Odds{1.91, 1.91, 1.91}}
	x.write(func(b *store.Batch) { ledger.Games.Put(b, id, &g) })
	for _, c := range change {
		c(&g)
	}
	x.say(theValidator, miners[0], wire.Message{Kind: wire.GameUpdate, Games: []bet.Game{g}})
}

// slot gives the last slot to somebody, or to nobody.
func (x *history) slot(h chain.Hotkey) {
	meta := *x.meta
	meta.Neurons = slices.Clone(meta.Neurons)
	meta.Neurons[3].Hotkey, meta.Neurons[3].RegisteredAt = h, meta.Block
	x.meta = &meta
}

// dayWeights are of dayShares.
var (
	dayWeights = chain.Weights{UIDs: []chain.UID{1, 2}, Values: []uint16{65535, 2}}
	dayShares  = map[chain.Hotkey]float64{"A": 65535. / 65537, "B": 2. / 65537}
)

var goodWeights = chain.Weights{UIDs: []chain.UID{1, 2}, Values: []uint16{65535, 1}}

// one plays an ordinary day: a game a day, two predictions a miner, one refused,
// one acknowledged twice, settlement, scores, weights, and an audit at the
// end. Every seventh game is void. Rows go when they may.
func (x *history) one() {
	midnight := begin.AddDate(0, 0, x.day)
	x.at = maxTime(x.at, midnight.Add(10*time.Hour))
	id := bet.GameID(fmt.Sprintf("g%d", x.day))
	g := x.game(id, 8*time.Hour, bet.Outcome(x.day%3))
	g.void = x.day%7 == 6
	if x.day%4 == 1 && !g.void {
		g.correctedAt, g.corrected = g.resultAt.Add(10*time.Hour), (g.outcome+1)%3
	}
	x.say(theValidator, miners[0], wire.Message{Kind: wire.HeartbeatAck}) // it was never away
	x.reopened()
	x.session(miners[0])
	x.tell(id)
	for _, m := range miners {
		for i := range 2 {
			s := submission(bet.PredictionID(fmt.Sprintf("p%d-%d", x.day, i)), id, bet.Outcome(i), 300.255)
			x.accept(m, s)
			if i == 0 {
				x.submit(m, s)
				x.pass(20 * time.Millisecond)
				x.answer(m, s.ID, "")
			}
		}
		s := x.submit(m, submission(bet.PredictionID(fmt.Sprintf("p%d-x", x.day)), id, bet.Home, 500))
		x.answer(m, s.ID, bet.DailyLimitExceeded)
	}
	x.at = maxTime(x.at, midnight.Add(21*time.Hour))
	x.settle()
	x.score()
	x.weights(dayWeights)
	x.pass(time.Hour)
	x.weights(dayWeights)
	x.set.Event(x.at, "v")
	x.set.Figures(x.at, theValidator, []Figure{{"sessions", 2, 512}})
	if old := x.day - ledger.RetentionDays; old >= 0 {
		for _, k := range slices.Clone(x.keys) {
			if k.Day <= bet.DayOf(begin)+bet.Day(old) {
				x.drop(x.rows[k])
			}
		}
	}
	x.day++
	x.at = begin.AddDate(0, 0, x.day)
	x.audit()
}

func (x *history) days(n int) *history {
	for range n {
		x.one()
	}
	return x
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// expect compares the violations of the whole history with those planted.
func (x *history) expect(want map[string]uint64) {
	x.t.Helper()
	got := map[string]uint64{}
	for _, c := range x.set.Finish(x.at) {
		if c.Violations > 0 {
			got[c.Name] = c.Violations
			x.t.Logf("%s: %s", c.Name, c.First)
		}
		if (c.Violations > 0) != (c.First != "") {
			x.t.Errorf("%s: %d violations, the first %q", c.Name, c.Violations, c.First)
		}
	}
	if len(want) == 0 {
		want = map[string]uint64{}
	}
	if d := cmp.Diff(want, got); d != "" {
		x.t.Errorf("violations (-want +got):\n%s", d)
	}
	if x.set.Violated() != (len(want) > 0) {
		x.t.Errorf("Violated() = %t with violations %v", x.set.Violated(), want)
	}
}

type storeBatch = store.Batch

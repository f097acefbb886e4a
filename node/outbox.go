package node

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/model"

	"github.com/cespare/xxhash/v2"
)

// outbox is the miner's own predictions, oldest first. Predictions adds and
// settles, Communication notes what validators said.
type outbox struct {
	rows   []*outgoing
	byID   map[bet.PredictionID]*outgoing
	byGame map[bet.GameID][]*outgoing
	spent  map[bet.Day]bet.Cents
	first  int // rows before it are over: settled, or started and not to be sent again
}

type outgoing struct {
	ledger.Outgoing
	durable bool
	settled bet.Day // when this run saw its result
	tries   map[chain.Hotkey]*try
}

// try is what is known of one prediction at one validator while it is not confirmed.
type try struct {
	attempts int
	next     time.Time // not before
}

func loadOutbox(rows []ledger.Outgoing) *outbox {
	b := &outbox{byID: map[bet.PredictionID]*outgoing{}, byGame: map[bet.GameID][]*outgoing{}, spent: map[bet.Day]bet.Cents{}}
	for i := range rows {
		b.add(&outgoing{Outgoing: rows[i], durable: true})
	}
	return b
}

func (b *outbox) add(o *outgoing) {
	o.tries = map[chain.Hotkey]*try{}
	b.rows = append(b.rows, o)
	b.byID[o.Submission.ID] = o
	b.byGame[o.Submission.Game] = append(b.byGame[o.Submission.Game], o)
	b.spent[bet.DayOf(o.Made)] += o.Wager
}

// waits says whether a prediction on a game has no result yet.
func (b *outbox) waits(id bet.GameID) bool {
	return slices.ContainsFunc(b.byGame[id], func(o *outgoing) bool { return o.State == bet.Open })
}

// over is the games on which nothing was made, started or settled since a day,
// by id.
func (b *outbox) over(before bet.Day) []bet.GameID {
	var out []bet.GameID
	for id, rows := range b.byGame { // sorted below
		if !slices.ContainsFunc(rows, func(o *outgoing) bool {
			return o.settled >= before || bet.DayOf(o.Start) >= before || bet.DayOf(o.Made) >= before
		}) {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// drop forgets all predictions on some games, sorted. It is for games that are
// over: a later prediction on one would be named like the first.
func (b *outbox) drop(games []bet.GameID) {
	b.rows = slices.DeleteFunc(b.rows, func(o *outgoing) bool {
		_, gone := slices.BinarySearch(games, o.Submission.Game)
		if gone {
			delete(b.byID, o.Submission.ID)
		}
		return gone
	})
	for _, id := range games {
		delete(b.byGame, id)
	}
	b.first = 0 // open finds it again
}

// final says whether a validator has given its final word.
func (o *outgoing) final(validator chain.Hotkey) bool {
	for i := range o.Deliveries {
		if o.Deliveries[i].Validator == validator {
			return true
		}
	}
	return false
}

// open calls f for what may still be sent at an instant, oldest first.
func (b *outbox) open(now time.Time, f func(*outgoing)) {
	for b.first < len(b.rows) && !b.rows[b.first].Start.After(now) {
		b.first++
	}
	for _, o := range b.rows[b.first:] {
		if o.durable && o.Start.After(now) {
			f(o)
		}
	}
}

func (b *outbox) placed(id bet.GameID) []model.Placed {
	rows := b.byGame[id]
	if len(rows) == 0 {
		return nil
	}
	out := make([]model.Placed, len(rows))
	for i, o := range rows {
		out[i] = model.Placed{Game: id, Outcome: o.Outcome, Wager: o.Wager, At: o.Made}
	}
	return out
}

// predictionID names a miner's n-th prediction on a game. It is made from the
// content's place and not drawn, so that a miner that lost its last unsynced
// pick in a crash and makes it again sends the same prediction, not a second one.
func predictionID(h chain.Hotkey, game bet.GameID, n int) bet.PredictionID {
	key := string(h) + "|" + string(game) + "|" + strconv.Itoa(n)
	hi, lo := xxhash.Sum64String(key), xxhash.Sum64String("bettensor"+key)
	// The form of a name-based UUID: version 8, variant 10.
	hi = hi&^0xf000 | 0x8000
	lo = lo&^(0b11<<62) | 0b10<<62
	return bet.PredictionID(fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", hi>>32, hi>>16&0xffff, hi&0xffff, lo>>48, lo&(1<<48-1)))
}

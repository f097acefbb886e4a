package bet

import (
	"cmp"
	"iter"
	"math"
	"slices"

	"bettensor/node/chain"
)

// Budget holds what each hotkey has wagered on each UTC day of receipt, pending
// submissions included: reserve when a submission is admitted, release only if
// its commit turns out not to have happened. The zero value is an empty one.
type Budget struct {
	spent map[account]Cents
}

type account struct {
	day    Day
	hotkey chain.Hotkey
}

// Spend is one line of a Budget.
type Spend struct {
	Day    Day
	Hotkey chain.Hotkey
	Spent  Cents
}

// Spent is what a hotkey has wagered on a day.
func (b *Budget) Spent(h chain.Hotkey, d Day) Cents { return b.spent[account{d, h}] }

// Reserve takes a wager out of a day's budget. False, and nothing is taken,
// where it does not fit or is not above zero.
func (b *Budget) Reserve(h chain.Hotkey, d Day, wager Cents) bool {
	spent := b.spent[account{d, h}]
	if wager <= 0 || wager > DailyBudget-spent {
		return false
	}
	if b.spent == nil {
		b.spent = make(map[account]Cents)
	}
	b.spent[account{d, h}] = spent + wager
	return true
}

// Release gives a reservation back. False, and nothing is given, where more is
// given back than was taken: the caller's books are wrong.
func (b *Budget) Release(h chain.Hotkey, d Day, wager Cents) bool {
	key := account{d, h}
	switch spent := b.spent[key]; {
	case wager <= 0 || wager > spent:
		return false
	case wager == spent:
		delete(b.spent, key)
	default:
		b.spent[key] = spent - wager
	}
	return true
}

// Forget drops the days before the one given and returns how many lines went.
func (b *Budget) Forget(before Day) int {
	was := len(b.spent)
	for key := range b.spent { // order cannot matter: each line is judged alone
		if key.day < before {
			delete(b.spent, key)
		}
	}
	return was - len(b.spent)
}

// Len is the number of lines.
func (b *Budget) Len() int { return len(b.spent) }

// All yields the lines by day and then hotkey.
func (b *Budget) All() iter.Seq[Spend] { return b.Before(math.MaxInt32) }

// Before yields the lines of the days before the one given, likewise.
func (b *Budget) Before(d Day) iter.Seq[Spend] {
	var lines []Spend
	for key, spent := range b.spent { // sorted below
		if key.day < d {
			lines = append(lines, Spend{key.day, key.hotkey, spent})
		}
	}
	slices.SortFunc(lines, func(x, y Spend) int {
		return cmp.Or(cmp.Compare(x.Day, y.Day), cmp.Compare(x.Hotkey, y.Hotkey))
	})
	return slices.Values(lines)
}

package sim

import (
	"fmt"
	"math"
	"time"

	"bettensor/node/bet"
	"bettensor/node/wire"
	"bettensor/sim/population"
)

// newAttack makes what a raw peer of a kind does. The kinds, their parameters and
// the defaults are population's.
func newAttack(kind string, params map[string]float64) (attack, error) {
	value, err := population.Values(kind, params)
	if err != nil {
		return nil, err
	}
	minutes := func(name string) time.Duration {
		return time.Duration(math.Round(value[name] * float64(time.Minute)))
	}
	every, wager := max(minutes("every"), time.Second), bet.Cents(math.Round(value["wager"]*100))
	switch kind {
	case "latecomer":
		return &latecomer{after: minutes("after"), wager: wager, done: map[bet.GameID]int{}}, nil
	case "forger":
		return &forger{every: every, by: value["by"], wager: wager}, nil
	case "skimmer":
		return &skimmer{every: every, wager: wager}, nil
	case "duplicator":
		return &duplicator{every: every, wager: wager}, nil
	case "overspender":
		return &overspender{times: int(value["times"]), extra: map[wire.Conn]*Host{}}, nil
	case "tamperer":
		return &tamperer{every: every, wager: wager, made: map[bet.GameID]bet.Submission{}}, nil
	case "impersonator":
		return &impersonator{every: every, wager: wager, extra: map[wire.Conn]*claimed{}}, nil
	case "replayer":
		return &replayer{every: every, extra: map[wire.Conn][]capture{}}, nil
	case "flooder":
		return &flooder{rate: int(value["rate"]), length: minutes("length"), every: every}, nil
	case "stormer":
		return &stormer{rate: int(value["rate"]), every: every, open: map[wire.Conn]bool{}}, nil
	case "oversizer":
		return newOversizer(every, int(value["kilobytes"]*1000)), nil
	case "garbler":
		return &garbler{every: every, extra: map[wire.Conn]bool{}}, nil
	}
	return nil, fmt.Errorf("no raw peer is a %s", kind)
}

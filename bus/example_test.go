package bus_test

import (
	"fmt"
	"time"

	"bettensor/bus"
	"bettensor/sched"
)

// Handlers run when the publisher has returned, in the order of publication over
// all topics.
func ExampleTopic() {
	loop := sched.NewWorld(time.Unix(0, 0), 1).NewLoop("node", 0)
	b := bus.New(loop, 0)
	goals := bus.NewTopic[string](b, "goal")
	scores := bus.NewTopic[int](b, "score")

	board := loop.Scope("board")
	total := 0
	goals.Subscribe(board, func(team *string) {
		total++
		scores.Publish(total)
		fmt.Println("goal for", *team)
	})
	cancel := scores.Subscribe(board, func(n *int) { fmt.Println("score", *n) })

	goals.Publish("home")
	goals.Publish("away")
	b.Drain() // a loop does this after each of its events
	cancel()
	goals.Publish("home")
	b.Drain()
	fmt.Println(goals.History())
	// Output:
	// goal for home
	// goal for away
	// score 1
	// score 2
	// goal for home
	// [home away home]
}

// Whoever lives outside the loop watches: bounded, and what it misses is counted.
func ExampleTopic_Watch() {
	loop := sched.NewWorld(time.Unix(0, 0), 1).NewLoop("node", 0)
	b := bus.New(loop, 0)
	ticks := bus.NewTopic[int](b, "tick")
	next, dropped := ticks.Watch(2)
	for n := range 5 {
		ticks.Publish(n)
	}
	b.Drain()
	for e, ok := next(); ok; e, ok = next() {
		fmt.Println(e)
	}
	fmt.Println(dropped(), "dropped")
	// Output:
	// 3
	// 4
	// 3 dropped
}

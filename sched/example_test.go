package sched_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"bettensor/sched"
)

// A service on a loop, turned by a virtual clock. The same service runs live on
// sched.NewLive's loop.
func ExampleLoop() {
	world := sched.NewWorld(time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC), 42)
	loop := world.NewLoop("node", 0)
	service := loop.Scope("greeter")

	left := 3
	var tick *sched.Timer
	tick = service.Timer("tick", func() {
		fmt.Println(loop.Now().Format(time.TimeOnly), "tick")
		if left--; left > 0 {
			tick.Arm(time.Minute)
		}
	})
	tick.Arm(0)

	world.Run(world.Now().Add(time.Hour))
	fmt.Println(loop.Events(), "events")
	// Output:
	// 12:00:00 tick
	// 12:01:00 tick
	// 12:02:00 tick
	// 3 events
}

// Whatever may wait is started through a port. Its completion is an event like
// any other, and where none comes the outcome is unknown.
func ExamplePort() {
	world := sched.NewWorld(time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC), 42)
	loop := world.NewLoop("node", 0)
	number := sched.Codec[int64]{
		Append: func(dst []byte, v *int64) []byte { return binary.AppendVarint(dst, *v) },
		Read:   func(b []byte) (int64, error) { v, _ := binary.Varint(b); return v, nil },
	}
	square := func(v int64, reply func(sched.Result[int64])) {
		if v == 3 {
			return // lost
		}
		world.After(time.Second, sched.Func(func() { reply(sched.Result[int64]{Res: v * v}) }))
	}
	port := sched.NewPort(loop.Scope("pupil"), sched.PortConfig[int64, int64]{
		Name: "square", Deadline: 10 * time.Second, Limit: 4, Request: number.Append, Reply: number,
	}, square, func(_ sched.Ticket, v, sq int64, err error) {
		at := loop.Now().Format(time.TimeOnly)
		if errors.Is(err, sched.ErrUnknown) {
			fmt.Println(at, v, "unknown")
			return
		}
		fmt.Println(at, v, sq)
	})
	port.Start(2)
	port.Start(3)
	world.Run(world.Now().Add(time.Minute))
	// Output:
	// 12:00:01 2 4
	// 12:00:10 3 unknown
}

// A task that fails is tried again, and its period goes on all the same.
func ExampleScope_Task() {
	world := sched.NewWorld(time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC), 42)
	loop := world.NewLoop("node", 0)
	runs := 0
	task := loop.Scope("sync").Task(sched.TaskConfig{
		Name: "sync", Every: time.Hour,
		Retry: sched.Backoff{Base: time.Second, Cap: time.Minute, Attempts: 3},
	}, func(r *sched.Run) {
		if runs++; runs == 1 {
			r.Done(errors.New("no route"))
			return
		}
		r.Done(nil)
	})
	world.Run(world.Now().Add(90 * time.Minute))
	s := task.Stats()
	fmt.Println(s.Runs, "runs,", s.Failures, "failure,", s.Retries, "retry, last error", s.LastErr)
	fmt.Println("next", s.NextRun.Format(time.TimeOnly))
	// Output:
	// 3 runs, 1 failure, 1 retry, last error no route
	// next 14:00:00
}

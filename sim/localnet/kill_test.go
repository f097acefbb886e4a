package localnet

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"bettensor/node/chain"
	"bettensor/sim/mockchain"
)

// kills is how often the validator is killed.
func kills() int {
	n, err := strconv.Atoi(killsAsked)
	if err != nil || n < 1 {
		return 10
	}
	return n
}

// TestKilledValidatorLosesNothing: a validator that is killed again and again
// while miners send to it, one time in five before it has even started, holds at
// the end all that it ever confirmed, each once; its weights are on the chain, and
// it takes none of its own extrinsics for somebody else's.
func TestKilledValidatorLosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for some ten seconds")
	}
	t.Parallel()
	program(t)
	n := begin(t, Options{Miners: 16, Speed: 60})
	set := 0
	n.chain.Change(func(c *mockchain.Chain, _ time.Time) {
		c.OnExtrinsic(func(_ time.Time, q chain.Request, p chain.Reply) {
			if q.Op == chain.OpSetWeights && p.Code == chain.OK {
				set++
			}
		})
	})
	store := filepath.Join(t.TempDir(), "store")
	args := n.outside("v0", store, "--axon.port", freePort(t))
	random := rand.New(rand.NewPCG(1, 2))
	var log strings.Builder
	for range kills() {
		p := launch(t, nil, args...)
		if random.IntN(5) > 0 {
			pageOf(t, store, p)
		}
		time.AfterFunc(time.Duration(random.IntN(600))*time.Millisecond, func() { p.cmd.Process.Kill() })
		<-p.done
		log.WriteString(p.log.String())
	}
	p := launch(t, nil, args...)
	page := pageOf(t, store, p)

	began := time.Now()
	second := launch(t, nil, args...)
	if code := second.wait(t, patience); code != 16 || !strings.Contains(second.log.String(), "another process") {
		t.Errorf("a second process on the same store: exit code %d\n%s", code, second.log.String())
	}
	t.Logf("a second process was refused after %v", time.Since(began))

	// All miners come back, and what was not confirmed is.
	waitFor(t, patience, "every miner is back", func() bool {
		return stats(page).count("communication", "sessions") == uint64(n.o.Miners)
	})
	waitFor(t, patience, "weights are on the chain", func() bool { return len(n.weightsOf(n.Hotkey("v0")).UIDs) > 0 })
	if code := p.interrupt(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	log.WriteString(p.log.String())
	stop(t, n)

	if strings.Contains(log.String(), "foreign_key") {
		t.Errorf("it took its own extrinsics for another process's:\n%s", log.String())
	}
	if strings.Contains(log.String(), "panic") {
		t.Errorf("it panicked:\n%s", log.String())
	}
	b := n.booksWith(t, store)
	t.Logf("%d kills, %d weight sets; books: %s", kills(), set, b)
	if !b.Equal || b.Confirmed < n.o.Miners || b.WeightSets != 1 {
		t.Errorf("books: %s\n%s\nlog:\n%s", b, strings.Join(b.Differences, "\n"), log.String())
	}
}

// booksWith compares the books of the miners here and of v0, whose store is
// elsewhere.
func (n *Network) booksWith(t testing.TB, store string) Books {
	t.Helper()
	v, err := n.validatorBooks("v0", store)
	if err != nil {
		t.Fatal(err)
	}
	var miners []minerBooks
	for _, r := range n.nodes {
		held, err := loadMiner(n.storeOf(r.name))
		if err != nil {
			t.Fatal(err)
		}
		miners = append(miners, minerBooks{r.name, n.keys[r.name], held})
	}
	return compare([]validatorBooks{v}, miners, n.now())
}

// runValidator runs v0 in this process beside a network until the test is over.
func (n *Network) runValidator(t testing.TB, log *lines, args []string) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.run(ctx, args, log) }()
	return func() {
		t.Helper()
		cancel()
		select {
		case err := <-done:
			if !ended(err) {
				t.Errorf("the validator: %v\n%s", err, log.String())
			}
		case <-time.After(patience):
			t.Errorf("the validator does not end:\n%s", log.String())
		}
	}
}

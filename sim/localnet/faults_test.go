package localnet

import (
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bettensor/node/chain"
	"bettensor/sim/mockchain"
)

// TestWeightsUnderChainFaults: with a chain whose connections break, whose answers
// come late and whose blocks stop, no epoch takes two weight sets, most take one,
// and nothing is sent again blindly: each extrinsic has a plan of its own.
func TestWeightsUnderChainFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("takes twenty seconds")
	}
	t.Parallel()
	const tempo = 5 // six blocks an epoch: 0.6 s
	n := begin(t, Options{Speed: MaxSpeed, subnet: func(c *mockchain.Config) {
		c.Params.Tempo, c.Params.WeightsRateLimit, c.Owner = tempo, tempo+1, c.Neurons[1].Hotkey
	}})
	v0 := n.Hotkey("v0")
	sets, refused, first := map[chain.Block]int{}, map[chain.Code]int{}, chain.Block(0)
	n.chain.Change(func(c *mockchain.Chain, _ time.Time) {
		c.OnExtrinsic(func(now time.Time, q chain.Request, p chain.Reply) {
			if q.Op != chain.OpSetWeights || q.Hotkey != v0 {
				return
			}
			if p.Code != chain.OK {
				refused[p.Code]++
				return
			}
			epoch := c.BlockAt(now) / (tempo + 1)
			if first == 0 {
				first = epoch
			}
			sets[epoch]++
		})
	})
	log := &lines{}
	store := filepath.Join(t.TempDir(), "store")
	// There is nothing to score yet, so the fallback is what is set in each epoch.
	end := n.runValidator(t, log, n.outside("v0", store, "--axon.off", "--weights.fallback", "owner",
		"--weights.max_age", "6", "--metagraph.interval", n.nodeTime(50*time.Millisecond), "--scoring.interval", n.nodeTime(500*time.Millisecond), "--logging.format", "text"))
	waitFor(t, patience, "weights are set", func() bool { return len(n.weightsOf(v0).UIDs) > 0 })

	random := rand.New(rand.NewPCG(3, 4))
	deadline := time.Now().Add(18 * time.Second)
	faults, stalls := 0, 0
	for time.Now().Before(deadline) {
		pause := time.After(time.Duration(300+random.IntN(900)) * time.Millisecond)
		switch faults++; random.IntN(3) {
		case 0:
			n.chain.DropConnections()
		case 1:
			n.chain.Delay(time.Duration(random.IntN(100)) * time.Millisecond)
		case 2:
			n.chain.Stall(true)
			<-time.After(200 * time.Millisecond)
			stalls++
			n.chain.Stall(false)
		}
		<-pause
		n.chain.Delay(0)
	}
	end()
	stop(t, n)

	last := chain.Block(n.chain.Stats().Best) / (tempo + 1)
	taken := 0
	for epoch, k := range sets { // only counted
		taken++
		if k > 1 {
			t.Errorf("epoch %d has taken %d weight sets", epoch, k)
		}
	}
	epochs := int(last - first)
	held, err := loadValidator(store)
	if err != nil {
		t.Fatal(err)
	}
	sent := strings.Count(log.String(), "call=set_weights")
	t.Logf("%d faults, %d epochs, weights set in %d of them, %d planned, %d sent, refused %v", faults, epochs, taken, len(held.Weights), sent, refused)
	if sent > len(held.Weights) {
		t.Errorf("%d extrinsics for %d plans", sent, len(held.Weights))
	}
	// Where blocks stop, a clock that counts them runs ahead: it may ask too early.
	if early := refused[chain.SettingWeightsTooFast]; early > stalls || len(refused) > 1 || len(refused) == 1 && early == 0 {
		t.Errorf("the chain had to refuse: %v\n%s", refused, log.String())
	}
	if epochs < 20 || taken < epochs/2 {
		t.Errorf("weights in %d of %d epochs\n%s", taken, epochs, log.String())
	}
	if strings.Contains(log.String(), "panic") || strings.Contains(log.String(), "foreign_key") {
		t.Errorf("%s", log.String())
	}
}

// TestSecondHostIsNoticed: two processes with one hotkey, each with a store of its
// own, as on two machines: one of them says so within a tempo of the other's
// first extrinsic.
func TestSecondHostIsNoticed(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel()
	const tempo = 29 // six seconds an epoch
	n := begin(t, Options{Speed: 60, subnet: func(c *mockchain.Config) {
		c.Params.Tempo, c.Params.WeightsRateLimit, c.Owner = tempo, 5, c.Neurons[1].Hotkey
	}})
	var at [2]chain.Block // when each host's weights came; the chain cannot tell whose
	count := 0
	n.chain.Change(func(c *mockchain.Chain, _ time.Time) {
		c.OnExtrinsic(func(now time.Time, q chain.Request, p chain.Reply) {
			if q.Op == chain.OpSetWeights && p.Code == chain.OK && count < len(at) {
				at[count] = c.BlockAt(now)
				count++
			}
		})
	})
	var pages []string
	for i := range 2 {
		log := &lines{}
		store := filepath.Join(t.TempDir(), "store")
		defer n.runValidator(t, log, n.outside("v0", store, "--axon.off", "--weights.fallback", "owner", "--weights.max_age", "8"))()
		pages = append(pages, pageOf(t, store, nil))
		waitFor(t, patience, "the host sets weights", func() (ok bool) {
			n.chain.Change(func(*mockchain.Chain, time.Time) { ok = count > i })
			return ok
		})
	}
	noticed := chain.Block(0)
	waitFor(t, patience, "the alarm", func() bool {
		if !stats(pages[0]).alarm("foreign_key") && !stats(pages[1]).alarm("foreign_key") {
			return false
		}
		noticed = chain.Block(n.chain.Stats().Best)
		return true
	})
	if slow != "" && noticed > at[1]+tempo+1 { // blocks come by the clock, however busy the machine is
		t.Errorf("the second host acted in block %d and was noticed in block %d, more than a tempo later", at[1], noticed)
	}
	t.Logf("weights in blocks %v, noticed in block %d", at, noticed)
}

package rpc

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	"bettensor/node/chain/chaintest"
)

// session is the folder of the client that knows nothing of us.
const session = "../testdata/polkadot"

// An unmodified Substrate client must be able to work with the endpoint. It runs
// where its packages are installed; BETTENSOR_POLKADOT=1 makes their absence a
// failure.
func TestPolkadotSession(t *testing.T) {
	must := os.Getenv("BETTENSOR_POLKADOT") == "1"
	node, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(session + "/node_modules/@polkadot/api/package.json")
	}
	switch {
	case err != nil && must:
		t.Fatalf("polkadot.js is not installed (npm ci in sim/localnet/testdata/polkadot): %v", err)
	case err != nil:
		t.Skipf("polkadot.js is not installed: %v", err)
	}
	s := start(t, Config{Subnet: Localnet(netuid, origin, false, neurons(3)), Now: running(origin, 40)})
	seed := func(i int) string { x := chaintest.Seed(i); return "0x" + hex.EncodeToString(x[:]) }
	options, err := json.Marshal(map[string]any{"netuid": netuid, "validator": seed(0), "miner": seed(1), "stranger": seed(9)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "session.mjs", "ws://"+s.Addr(), string(options))
	cmd.Dir = session
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("the session ended with %v; endpoint: %+v", err, s.Stats())
	}
}

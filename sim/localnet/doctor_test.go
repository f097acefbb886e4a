package localnet

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bettensor/node/chain"
	"bettensor/node/chain/wallet"
	node "bettensor/node/cli"
	"bettensor/sim/localnet/rpc"
	"bettensor/sim/mockchain"

	"github.com/urfave/cli/v2"
)

// patient is a set-up that the doctor examines: a chain with two permits, a feed
// with a key, and a wallet of hotkeys that are well or not.
type patient struct {
	t              *testing.T
	dir            string
	endpoint, feed string
	genesis        [32]byte
	keyFile        string
	hotkeys        map[string]chain.Hotkey
	cold           chain.Coldkey
	inUse          string // a port that is taken
}

const feedKey = "feed-key-7f3a"

func newPatient(t *testing.T) *patient {
	p := &patient{t: t, dir: t.TempDir(), hotkeys: map[string]chain.Hotkey{}}
	for i, name := range []string{"cold", "v0", "v1", "poor", "late", "stranger"} {
		k, err := wallet.FromSeed([32]byte{byte(i + 1)})
		if err != nil {
			t.Fatal(err)
		}
		p.hotkeys[name] = k.Hotkey()
		if name == "cold" {
			p.cold = chain.Coldkey(k.Hotkey())
			continue
		}
		if err := k.Save(wallet.Location{Path: p.dir, Name: "w", Hotkey: name}, wallet.Password{}, false); err != nil {
			t.Fatal(err)
		}
	}
	s := p.chain([32]byte{1}, 0)
	p.endpoint, p.genesis = "ws://"+s.Addr(), s.Genesis()

	games, err := NewGames(GamesConfig{Now: time.Now, Seed: 1, History: 24 * time.Hour, Key: feedKey})
	if err != nil {
		t.Fatal(err)
	}
	if err := games.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	p.ends(games.Close)
	p.feed = games.URL()
	p.keyFile = p.file("feed-key", feedKey, 0o600)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	_, p.inUse, _ = net.SplitHostPort(l.Addr().String())
	return p
}

func (p *patient) ends(end func(context.Context) error) {
	p.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := end(ctx); err != nil {
			p.t.Error(err)
		}
	})
}

// chain is one whose clock is off from ours.
func (p *patient) chain(seed [32]byte, off time.Duration) *rpc.Server {
	const tao = 1_000_000_000
	var neurons []mockchain.Neuron
	for _, n := range []struct {
		name  string
		stake chain.Rao
	}{{"v0", 5000 * tao}, {"v1", 3000 * tao}, {"poor", 250 * tao}, {"late", 2000 * tao}} {
		neurons = append(neurons, mockchain.Neuron{Hotkey: p.hotkeys[n.name], Coldkey: p.cold, Stake: n.stake})
	}
	cfg := rpc.Localnet(Netuid, time.Now().Add(off-10*time.Minute).Truncate(time.Second), false, neurons)
	cfg.Params.StakeThreshold, cfg.Params.MaxValidators = 1000*tao, 2
	s, err := rpc.New(rpc.Config{Subnet: cfg, Seed: seed, Now: func() time.Time { return time.Now().Add(off) }})
	if err != nil {
		p.t.Fatal(err)
	}
	if err := s.Listen("127.0.0.1:0"); err != nil {
		p.t.Fatal(err)
	}
	p.ends(s.Close)
	return s
}

func (p *patient) file(name, text string, mode os.FileMode) string {
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		p.t.Fatal(err)
	}
	return path
}

type diagnosis struct {
	Failed, Warned int
	Findings       []struct{ Check, Verdict, Seen, Do string }
}

func (d *diagnosis) of(check string) (verdict, seen, do string) {
	for _, f := range d.Findings {
		if f.Check == check && (verdict == "" || verdict == "ok") { // the worst of several endpoints
			verdict, seen, do = f.Verdict, f.Seen, f.Do
		}
	}
	return verdict, seen, do
}

// doctor examines with the flags of a sound validator; later flags win.
func (p *patient) doctor(role string, change map[string]string) (code node.Code, d diagnosis, printed string) {
	p.t.Helper()
	flags := map[string]string{"subtensor.chain_endpoint": p.endpoint, "wallet.path": p.dir, "wallet.name": "w", "wallet.hotkey": "v0",
		"store.dir": filepath.Join(p.dir, "node", "store"), "axon.port": "0", "axon.ip": "127.0.0.1", "http.listen": "127.0.0.1:0"}
	if role == "validator" {
		flags["feed.url"], flags["feed.key_file"] = p.feed, p.keyFile
	}
	for k, v := range change {
		flags[k] = v
	}
	line := []string{"bettensor", "doctor", role, "--json"}
	for k, v := range flags { // order cannot matter: they are flags
		line = append(line, "--"+k+"="+v)
	}
	var out, errs bytes.Buffer
	app := &cli.App{Name: "bettensor", Writer: &out, ErrWriter: &errs, Commands: []*cli.Command{node.Doctor()}}
	node.Prepare(app, nil)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	code = node.Code(node.Exit(app.RunContext(ctx, line), &errs))
	if err := json.Unmarshal(out.Bytes(), &d); err != nil {
		p.t.Fatalf("%v: exit %d, %q, %q", change, code, out.String(), errs.String())
	}
	printed = out.String() + errs.String()
	if strings.Contains(printed, feedKey) || strings.Contains(printed, secretWord) {
		p.t.Errorf("a secret is printed: %s", printed)
	}
	return code, d, printed
}

const secretWord = "correct-horse-41"

func TestDoctorOfASoundSetUp(t *testing.T) {
	p := newPatient(t)
	for _, role := range []string{"validator", "miner"} {
		code, d, printed := p.doctor(role, nil)
		if code != node.OK || d.Failed+d.Warned != 0 || len(d.Findings) < 12 {
			t.Errorf("%s: exit %d, %s", role, code, printed)
		}
		for _, check := range []string{"wallet", "disk", "store", "axon port", "endpoint", "clock", "registration", "axon"} {
			if v, seen, _ := d.of(check); v != "ok" {
				t.Errorf("%s: %s is %q: %s", role, check, v, seen)
			}
		}
	}
	if left, err := filepath.Glob(filepath.Join(p.dir, "node*")); err != nil || len(left) > 0 {
		t.Errorf("it has made %v, %v", left, err)
	}
}

// TestDoctorOfBrokenSetUps: each is found, named with what to do, and hides no
// other check's result.
func TestDoctorOfBrokenSetUps(t *testing.T) {
	if testing.Short() {
		t.Skip("an encrypted key takes a second and half a gigabyte")
	}
	p := newPatient(t)
	ahead, behind := p.chain([32]byte{2}, time.Hour), p.chain([32]byte{3}, -time.Hour)
	locked, err := wallet.FromSeed([32]byte{2}) // v0's
	if err != nil {
		t.Fatal(err)
	}
	if err := locked.Save(wallet.Location{Path: p.dir, Name: "w", Hotkey: "locked"}, wallet.NewPassword(secretWord), false); err != nil {
		t.Fatal(err)
	}
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := "ws://" + nobody.Addr().String()
	if err := nobody.Close(); err != nil {
		t.Fatal(err)
	}
	page := httptest.NewServer(http.NotFoundHandler())
	defer page.Close()
	clockFile := func(genesis [32]byte) string {
		now := time.Now().UnixNano()
		b, err := json.Marshal(node.ClockFile{Version: 1, Genesis: "0x" + hex.EncodeToString(genesis[:]), WallOrigin: now, NodeOrigin: now, Speed: 1})
		if err != nil {
			t.Fatal(err)
		}
		return p.file("clock.json", string(b), 0o600)
	}
	loose, err := wallet.FromSeed([32]byte{9})
	if err != nil {
		t.Fatal(err)
	}
	at := wallet.Location{Path: p.dir, Name: "w", Hotkey: "loose"}
	if err := loose.Save(at, wallet.Password{}, false); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(at.File(), 0o644); err != nil {
		t.Fatal(err)
	}

	for _, tc := range []struct {
		name, role, check, verdict, seen, do string
		change                               map[string]string
	}{
		{"loose mode", "validator", "wallet", "fail", "read or change", "chmod 600 " + at.File(), map[string]string{"wallet.hotkey": "loose"}},
		{"no such hotkey", "validator", "wallet", "fail", "absent", "wallet", map[string]string{"wallet.hotkey": "absent"}},
		{"no password", "validator", "wallet", "fail", "there is no password", "--wallet.password_file", map[string]string{"wallet.hotkey": "locked"}},
		{"wrong password", "validator", "wallet", "fail", "wrong password", "wrong.txt", map[string]string{"wallet.hotkey": "locked", "wallet.password_file": p.file("wrong.txt", "wrong", 0o600)}},
		{"right password", "validator", "wallet", "ok", "right.txt", "", map[string]string{"wallet.hotkey": "locked", "wallet.password_file": p.file("right.txt", secretWord, 0o600)}},
		{"unregistered", "validator", "registration", "fail", "no slot in subnet 30",
			"btcli subnets register --netuid 30 --wallet.name w --wallet.hotkey stranger --wallet.path " + p.dir + " --subtensor.chain_endpoint " + p.endpoint, map[string]string{"wallet.hotkey": "stranger"}},
		{"low stake", "validator", "stake", "fail", "250.000, and weights are taken from 1000.000", "--amount 2750.000", map[string]string{"wallet.hotkey": "poor"}},
		{"no permit", "validator", "permit", "fail", "2 of 2 places are taken, the lowest with 3000.000", "btcli stake add --netuid 30 --amount 1000.000", map[string]string{"wallet.hotkey": "late"}},
		{"no permit in shadow", "validator", "permit", "warn", "", "", map[string]string{"wallet.hotkey": "late", "neuron.disable_set_weights": "true"}},
		{"dead endpoint", "validator", "endpoint", "fail", dead, "chain info", map[string]string{"subtensor.chain_endpoint": dead}},
		{"one of two dead", "validator", "endpoint", "fail", dead, "chain info", map[string]string{"subtensor.chain_endpoint": p.endpoint + "," + dead}},
		{"other genesis", "validator", "endpoint", "fail", "genesis", "give the clock.json of the local network at this endpoint", map[string]string{"clock.file": clockFile([32]byte{7})}},
		{"two chains", "validator", "endpoint", "fail", "another chain", "one chain only", map[string]string{"subtensor.chain_endpoint": p.endpoint + ",ws://" + ahead.Addr()}},
		{"no such subnet", "validator", "subnet", "fail", "subnet 31", "--netuid", map[string]string{"netuid": "31"}},
		{"axon port taken", "validator", "axon port", "fail", "is taken", "ss -ltnp", map[string]string{"axon.port": p.inUse}},
		{"page's port taken", "miner", "http port", "fail", "is taken", "--http.listen", map[string]string{"http.listen": "127.0.0.1:" + p.inUse}},
		{"bad feed key", "validator", "feed", "fail", "feed_key", "--feed.key_file", map[string]string{"feed.key_file": p.file("other-key", "other", 0o600)}},
		{"no feed", "validator", "feed", "fail", "", "--feed.url", map[string]string{"feed.url": page.URL, "feed.key_file": p.keyFile}},
		{"chain of the future", "validator", "clock", "fail", "our clock is right", "--clock.file", map[string]string{"subtensor.chain_endpoint": "ws://" + ahead.Addr()}},
		{"clock behind, or a network that runs fast", "miner", "clock", "fail", "of the future", "give --clock.file DIR/clock.json of the local network, which runs faster; if it does not: timedatectl", map[string]string{"subtensor.chain_endpoint": "ws://" + ahead.Addr()}},
		{"clock ahead", "miner", "clock", "fail", "our clock is ahead", "timedatectl", map[string]string{"subtensor.chain_endpoint": "ws://" + behind.Addr()}},
		{"old blocks", "validator", "clock", "fail", "the block is old", "--subtensor.chain_endpoint", map[string]string{"subtensor.chain_endpoint": "ws://" + behind.Addr()}},
		{"directory in the way", "validator", "disk", "fail", "a file is in its way", "--store.dir", map[string]string{"store.dir": filepath.Join(p.keyFile, "x", "store")}},
		{"read-only directory", "validator", "disk", "fail", "nothing can be written", "--store.dir", map[string]string{"store.dir": "/proc/self/fd/store"}},
		{"unknown model", "miner", "model", "fail", "oracle", "miner --help", map[string]string{"model": "oracle"}},
		{"no certificate", "validator", "certificate", "fail", "", "--axon.tls_cert", map[string]string{"axon.tls_cert": p.keyFile, "axon.tls_key": p.keyFile}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p.t = t
			code, d, printed := p.doctor(tc.role, tc.change)
			v, seen, do := d.of(tc.check)
			if v != tc.verdict || !strings.Contains(seen, tc.seen) || !strings.Contains(do, tc.do) || v != "ok" && do == "" && v != "warn" {
				t.Errorf("%s is %q: %q → %q", tc.check, v, seen, do)
			}
			if want := map[string]node.Code{"fail": node.Unwell}[tc.verdict]; code != want {
				t.Errorf("exit %d, want %d: %s", code, want, printed)
			}
			if v, _, _ := d.of("descriptors"); v != "ok" { // what does not depend on it goes on
				t.Errorf("descriptors %q", v)
			}
		})
	}
	p.t = t
	if code, _, _ := p.doctor("validator", map[string]string{"wallet.hotkey": "late", "neuron.disable_set_weights": "true", "strict": "true"}); code != node.Warned {
		t.Errorf("--strict with a warning: exit %d", code)
	}
}

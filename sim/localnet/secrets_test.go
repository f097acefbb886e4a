package localnet

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bettensor/node/chain/wallet"

	"golang.org/x/sys/unix"
)

// TestSecretsStayWhereTheyAre runs a validator with marked secrets, a hotkey
// that is encrypted, its password, a feed's key, and looks for them in all that the
// node says and writes: logs, pages, configuration, recording, store. Its wallet's
// coldkey is a pipe that nobody writes to: whoever opens it hangs.
func TestSecretsStayWhereTheyAre(t *testing.T) {
	if testing.Short() {
		t.Skip("derives a key, which takes a second and half a gigabyte")
	}
	t.Parallel()
	n := begin(t, Options{Miners: 2, Speed: 60})
	// The same key again, under a password.
	at := wallet.Location{Path: n.Wallets(), Name: WalletName, Hotkey: "v0"}
	plain, err := os.ReadFile(filepath.Join(n.Wallets(), WalletName, "hotkeys", "v0"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ SecretPhrase, SecretSeed string }
	if err := json.Unmarshal(plain, &file); err != nil || len(strings.Fields(file.SecretPhrase)) != 12 || len(file.SecretSeed) != 66 {
		t.Fatalf("the key file of v0: %v", err)
	}
	key, err := wallet.Load(at, wallet.Passwords{})
	if err != nil {
		t.Fatal(err)
	}
	mark := make([]byte, 12)
	rand.Read(mark)
	password, feedKey := "Pw-"+hex.EncodeToString(mark[:6]), "Fk-"+hex.EncodeToString(mark[6:])
	at.Hotkey = "sealed"
	if err := key.Save(at, wallet.NewPassword(password), false); err != nil {
		t.Fatal(err)
	}
	key.Wipe()
	trapColdkey(t, n)

	dir := t.TempDir()
	secrets := t.TempDir()
	passwordFile := filepath.Join(secrets, "password")
	if err := os.WriteFile(passwordFile, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"BETTENSOR_FEED_KEY=" + feedKey}
	args := n.outside("sealed", filepath.Join(dir, "store"), "--axon.port", "0", "--record", filepath.Join(dir, "recording"), "--wallet.password_file", passwordFile, "--logging.debug")
	p := launch(t, env, args...)
	page0 := pageOf(t, filepath.Join(dir, "store"), p)
	waitFor(t, patience, "predictions arrive", func() bool { return stats(page0).count("communication", "sessions") == 2 })

	said := map[string]string{}
	for _, path := range []string{"/", "/healthz", "/readyz", "/stats", "/metrics", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/debug/pprof/cmdline"} {
		said["page "+path] = page(page0, path)
	}
	if !strings.Contains(said["page /metrics"], "bettensor_build_info") {
		t.Errorf("no metrics:\n%s", said["page /metrics"])
	}
	said["config print"], _ = call(t, env, append([]string{"config", "print", "--origin"}, args[1:]...)...)
	if code := p.interrupt(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	said["log"] = p.log.String()
	if !strings.Contains(said["log"], "validator runs") || !strings.Contains(said["config print"], "feed.key") {
		t.Errorf("nothing was said:\n%s\n%s", said["log"], said["config print"])
	}
	// With the key in the environment and a password that is wrong, in errors.
	if err := os.WriteFile(passwordFile, []byte(password+"x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var code int
	if said["a wrong password"], code = call(t, env, args...); code != 11 {
		t.Errorf("a wrong password: exit code %d\n%s", code, said["a wrong password"])
	}
	files := 0
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		said[path] = string(b)
		files++
		return err
	})
	if err != nil || files < 5 {
		t.Errorf("%d files, %v", files, err)
	}

	seed, err := hex.DecodeString(file.SecretSeed[2:])
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(file.SecretPhrase)
	for what, secret := range map[string]string{"password": password, "feed key": feedKey, "seed": file.SecretSeed[2:], "seed as bytes": string(seed),
		"seed in capitals": strings.ToUpper(file.SecretSeed[2:]), "phrase": strings.Join(words[:4], " "), "the phrase's end": strings.Join(words[8:], " ")} {
		for where, text := range said {
			if bytes.Contains([]byte(text), []byte(secret)) {
				t.Errorf("the %s is in %s", what, where)
			}
		}
	}
}

// trapColdkey puts a pipe in the coldkey's place: to open it waits for a writer,
// who never comes.
func trapColdkey(t *testing.T, n *Network) {
	t.Helper()
	path := filepath.Join(n.Wallets(), WalletName, "coldkey")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Skipf("no pipes here: %v", err)
	}
}

// TestH16ColdkeysAreNeverOpened: no command that takes a wallet opens its coldkey,
// and no node does.
func TestH16ColdkeysAreNeverOpened(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	t.Parallel()
	n := begin(t, Options{Speed: 60})
	trapColdkey(t, n)
	at := wallet.Location{Path: n.Wallets(), Name: WalletName, Hotkey: "v0"}
	for name, f := range map[string]func() error{
		"list":     func() error { _, err := wallet.List(n.Wallets()); return err },
		"describe": func() error { _, err := wallet.Describe(at); return err },
		"show":     func() error { _, err := wallet.Show(at); return err },
		"load":     func() error { _, err := wallet.Load(at, wallet.Passwords{}); return err },
		"coldkey":  func() error { _, err := wallet.Coldkey(at); return err },
	} {
		if err := f(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	flags := []string{"--wallet.path", n.Wallets(), "--wallet.name", WalletName, "--wallet.hotkey"}
	chainFlags := []string{"--netuid", "30", "--subtensor.chain_endpoint", n.RPC()}
	for _, words := range [][]string{
		{"wallet", "list", "--wallet.path", n.Wallets()},
		append([]string{"wallet", "show"}, append(flags, "v0")...),
		append([]string{"wallet", "new", "--no-password"}, append(flags, "another")...),
		append([]string{"wallet", "import", "--uri", "//Alice", "--no-password"}, append(flags, "alice")...),
		append(append([]string{"chain", "set-weights", "--uids", "1", "--weights", "1", "--journal", t.TempDir()}, chainFlags...), append(flags, "v0")...),
		append(append([]string{"chain", "serve-axon", "--dry-run", "--axon.external_ip", "127.0.0.1", "--axon.external_port", "8091"}, chainFlags...), append(flags, "v0")...),
		append(append([]string{"config", "print"}, chainFlags...), append(flags, "v0")...),
	} {
		if out, code := call(t, nil, words...); code != 0 {
			t.Errorf("%s: exit code %d\n%s", strings.Join(words[:2], " "), code, out)
		}
	}
	// The nodes themselves run to their end.
	store := filepath.Join(t.TempDir(), "store")
	log := &lines{}
	end := n.runValidator(t, log, n.outside("v0", store, "--axon.off"))
	pageOf(t, store, nil)
	end()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	miner := filepath.Join(t.TempDir(), "store")
	go func() {
		done <- n.run(ctx, append(append([]string{"miner"}, n.Flags("m0")...), "--axon.off", "--store.dir", miner, "--http.listen", "127.0.0.1:0"), log)
	}()
	pageOf(t, miner, nil)
	cancel()
	if err := <-done; !ended(err) {
		t.Errorf("the miner: %v", err)
	}
}

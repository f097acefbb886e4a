package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"

	"bettensor/node/chain/wallet"
)

// The development phrase and what it derives.
const (
	devWords   = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"
	devAddress = "5DfhGyQdFobKM8NsWvEeAKk5EQQgYe9AydgJ7rMB6E1EqRzV"
	devSeed    = "fac7959dbfe72f052e5a0c3c8d6530f202b02fd8f9f5ca3580ec8deb7797479e"
	alice      = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
)

// wallets runs `wallet` over a directory of its own, with what stands on
// standard input.
type wallets struct {
	t   *testing.T
	dir string
}

func newWallets(t *testing.T) wallets {
	for _, v := range []string{"BT_WALLET_PATH", "BT_WALLET_NAME", "BT_WALLET_HOTKEY", "CREDENTIALS_DIRECTORY"} {
		t.Setenv(v, "")
	}
	return wallets{t, filepath.Join(t.TempDir(), "wallets")}
}

func (w wallets) run(stdin, command string, args ...string) (code int, stdout, stderr string) {
	w.t.Helper()
	var out, errs bytes.Buffer
	app := &cli.App{Name: "bettensor", Reader: strings.NewReader(stdin), Writer: &out, ErrWriter: &errs, Commands: []*cli.Command{Wallets()}}
	Prepare(app, nil)
	line := append([]string{"bettensor", "wallet", command, "--wallet.path", w.dir}, args...)
	code = Exit(app.RunContext(context.Background(), line), &errs)
	return code, out.String(), errs.String()
}

// good runs a command that must succeed and say nothing on standard error.
func (w wallets) good(stdin, command string, args ...string) string {
	w.t.Helper()
	code, out, errs := w.run(stdin, command, args...)
	if code != 0 || errs != "" {
		w.t.Fatalf("wallet %s %v: exit %d, %q, %q", command, args, code, out, errs)
	}
	return out
}

func (w wallets) file(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func TestWalletNew(t *testing.T) {
	w := newWallets(t)
	var made written
	if err := json.Unmarshal([]byte(w.good("", "new", "--no-password", "--words", "24", "--coldkey", alice, "--json")), &made); err != nil {
		t.Fatal(err)
	}
	k, err := wallet.FromURI(made.Phrase)
	if err != nil || k.Hotkey() != made.SS58 || len(strings.Fields(made.Phrase)) != 24 {
		t.Errorf("the words are of %v, %v; printed %s", k, err, made.SS58)
	}
	loaded, err := wallet.Load(wallet.Location{Path: w.dir}, wallet.Passwords{})
	if err != nil || loaded.PublicKey() != k.PublicKey() {
		t.Errorf("the file is of %v, %v", loaded, err)
	}
	if cold, err := wallet.Coldkey(wallet.Location{Path: w.dir}); err != nil || cold != alice {
		t.Errorf("coldkey %s, %v", cold, err)
	}
	// Words go to a terminal or into JSON, to nothing else.
	out := w.good("", "new", "--no-password", "--wallet.hotkey", "quiet")
	k, err = wallet.Load(wallet.Location{Path: w.dir, Hotkey: "quiet"}, wallet.Passwords{})
	if err != nil || strings.Contains(out, k.Phrase()) || !strings.Contains(out, string(k.Hotkey())) || !strings.Contains(out, "not shown") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestWalletImport(t *testing.T) {
	w := newWallets(t)
	pathed, err := wallet.FromURI(devWords + "//1")
	if err != nil {
		t.Fatal(err)
	}
	example := filepath.Join(t.TempDir(), "key")
	b, err := os.ReadFile("../../testdata/chain/hotkey_file_example.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(example, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		name, stdin string
		args        []string
		want        string
	}{
		{"words on standard input", devWords + "\n", nil, devAddress},
		{"seed on standard input", "0x" + devSeed, nil, devAddress},
		{"words in a file", "", []string{"--phrase-file", w.file("p", devWords+"\n")}, devAddress},
		{"words with a path", "", []string{"--phrase-file", w.file("p", devWords+"//1\n")}, string(pathed.Hotkey())},
		{"words by a dash", devWords, []string{"--phrase-file", "-"}, devAddress},
		{"seed in a file", "", []string{"--seed-file", w.file("s", devSeed+"\n")}, devAddress},
		{"seed with 0x", "", []string{"--seed-file", w.file("s", "0x"+devSeed)}, devAddress},
		{"key file", "", []string{"--key-file", example}, devAddress},
		{"development key", "", []string{"--uri", "//Alice"}, alice},
	} {
		hotkey := fmt.Sprintf("h%d", i)
		out := w.good(c.stdin, "import", append([]string{"--no-password", "--wallet.hotkey", hotkey}, c.args...)...)
		k, err := wallet.Load(wallet.Location{Path: w.dir, Hotkey: hotkey}, wallet.Passwords{})
		if err != nil || string(k.Hotkey()) != c.want || !strings.Contains(out, c.want) || strings.Contains(out, "bottom drive") {
			t.Errorf("%s: %v, %v, want %s; %s", c.name, k, err, c.want, out)
		}
	}
}

func TestWalletRefusals(t *testing.T) {
	w := newWallets(t)
	w.good(devWords, "import", "--no-password")
	w.good(devWords, "import", "--no-password", "--wallet.hotkey", "loose")
	loose := filepath.Join(w.dir, "default", "hotkeys", "loose")
	if err := os.Chmod(loose, 0o644); err != nil {
		t.Fatal(err)
	}
	unreadable := filepath.Join(t.TempDir(), "nothing")
	shared, link, pipe := w.file("phrase", devWords), filepath.Join(t.TempDir(), "link"), filepath.Join(t.TempDir(), "pipe")
	if err := errors.Join(os.Chmod(shared, 0o640), os.Symlink(w.file("phrase", devWords), link), syscall.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		command string
		stdin   string
		args    []string
		code    Code
		says    string
	}{
		{"hotkey that exists", "new", "", []string{"--no-password"}, Wallet, "exists already; choose another --wallet.hotkey"},
		{"hotkey that exists, imported", "import", devWords, []string{"--no-password"}, Wallet, "--overwrite"},
		{"hotkey that exists, before a secret is asked for", "import", "no words", []string{"--no-password"}, Wallet, "exists already"},
		{"no password", "new", "", []string{"--wallet.hotkey", "x"}, Usage, "want --wallet.password_file FILE, or --no-password"},
		{"two minds about a password", "new", "", []string{"--wallet.hotkey", "x", "--no-password", "--wallet.password_file", "p"}, Usage, "both"},
		{"password file that is not there", "new", "", []string{"--wallet.hotkey", "x", "--wallet.password_file", unreadable}, File, "no such file"},
		{"number of words", "new", "", []string{"--wallet.hotkey", "x", "--words", "13"}, Usage, "--words: expected 12, 15"},
		{"name that leads elsewhere", "new", "", []string{"--wallet.hotkey", "../x"}, Usage, "not a name"},
		{"coldkey that is none", "new", "", []string{"--wallet.hotkey", "x", "--coldkey", "5G"}, Usage, "--coldkey"},
		{"argument", "new", "", []string{"x"}, Usage, "1 arguments"},
		{"nothing on standard input", "import", "", []string{"--wallet.hotkey", "x", "--no-password"}, Wallet, "empty"},
		{"mistyped word", "import", strings.Replace(devWords, "curtain", "curtian", 1), []string{"--wallet.hotkey", "x", "--no-password"}, Wallet, "word 5"},
		{"too much on standard input", "import", strings.Repeat("x", maxSecretFile+1), []string{"--wallet.hotkey", "x", "--no-password"}, Wallet, "too many"},
		{"two sources", "import", "", []string{"--wallet.hotkey", "x", "--uri", "//Alice", "--seed-file", "s"}, Usage, "want one source"},
		{"secret on the command line", "import", "", []string{"--wallet.hotkey", "x", "--uri", "0x" + devSeed}, Usage, "--phrase-file"},
		{"phrase file that is not there", "import", "", []string{"--wallet.hotkey", "x", "--phrase-file", unreadable}, File, "no such file"},
		{"phrase file others may read", "import", "", []string{"--wallet.hotkey", "x", "--no-password", "--phrase-file", shared}, Wallet, "try: chmod 600 " + shared},
		{"seed file others may read", "import", "", []string{"--wallet.hotkey", "x", "--no-password", "--seed-file", shared}, Wallet, "try: chmod 600 " + shared},
		{"phrase file that is a link", "import", "", []string{"--wallet.hotkey", "x", "--no-password", "--phrase-file", link}, Wallet, "symbolic link"},
		{"phrase file that is a pipe", "import", "", []string{"--wallet.hotkey", "x", "--no-password", "--phrase-file", pipe}, Wallet, "on standard input"},
		{"phrase file that is too large", "import", "", []string{"--wallet.hotkey", "x", "--no-password", "--phrase-file", w.file("p", strings.Repeat("x", maxSecretFile+1))}, Wallet, "too many"},
		{"key file others may read", "import", "", []string{"--wallet.hotkey", "x", "--key-file", loose}, Wallet, "try: chmod 600 " + loose},
		{"hotkey that is not there", "show", "", []string{"--wallet.hotkey", "x"}, Wallet, "no such hotkey"},
		{"hotkey others may read", "show", "", []string{"--wallet.hotkey", "loose"}, Wallet, "try: chmod 600 " + loose},
		{"unknown flag", "show", "", []string{"--wallet.hotky", "x"}, Usage, "did you mean --wallet.hotkey?"},
	} {
		code, out, errs := w.run(c.stdin, c.command, c.args...)
		if code != int(c.code) || !strings.Contains(errs, c.says) {
			t.Errorf("%s: exit %d, want %d; %q, want %q; %q", c.name, code, c.code, errs, c.says, out)
		}
		for _, secret := range []string{"bottom drive", "curtian", devSeed} {
			if strings.Contains(out+errs, secret) {
				t.Errorf("%s: %q is printed: %s%s", c.name, secret, out, errs)
			}
		}
	}
	if _, err := os.Lstat(filepath.Join(w.dir, "default", "hotkeys", "x")); err == nil {
		t.Error("a refused command left a key")
	}
	if code, _, errs := (wallets{t, unreadable}).run("", "list"); code != int(File) || !strings.Contains(errs, "no such file") {
		t.Errorf("no wallets at all: exit %d, %s", code, errs)
	}
	for err, code := range map[error]Code{
		wallet.ErrPassword: Wallet, wallet.ErrNoPassword: Wallet, wallet.ErrForm: Wallet, context.Canceled: Other,
		&fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}: File,
	} {
		c := cli.NewContext(&cli.App{Name: "bettensor"}, nil, nil)
		c.Command = &cli.Command{Name: "show"}
		var w bytes.Buffer
		if got := Exit(walletError(c, err), &w); got != int(code) {
			t.Errorf("%v: exit %d, want %d", err, got, code)
		}
	}
}

func TestWalletListAndShow(t *testing.T) {
	w := newWallets(t)
	w.good(devWords, "import", "--no-password", "--wallet.name", "demo", "--wallet.hotkey", "v0", "--coldkey", alice)
	w.good("", "import", "--no-password", "--wallet.name", "demo", "--wallet.hotkey", "m0", "--uri", "//Alice")
	loose := filepath.Join(w.dir, "demo", "hotkeys", "m0")
	if err := os.Chmod(loose, 0o604); err != nil {
		t.Fatal(err)
	}
	want := "demo  coldkey " + alice + "\n" +
		"├─ m0  " + alice + "  plain\n" +
		"│    ! " + loose + ": mode 0604: others may read or change it; run: chmod 600 " + loose + "\n" +
		"└─ v0  " + devAddress + "  plain\n"
	if d := cmp.Diff(want, w.good("", "list")); d != "" {
		t.Errorf("list (-want +got):\n%s", d)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(w.good("", "list", "--json")), &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]any{"path": w.dir, "wallets": []any{map[string]any{"name": "demo", "coldkey": alice, "hotkeys": []any{
		map[string]any{"name": "m0", "ss58": alice, "encrypted": false, "problem": loose + ": mode 0604: others may read or change it; run: chmod 600 " + loose},
		map[string]any{"name": "v0", "ss58": devAddress, "encrypted": false},
	}}}}, got); d != "" {
		t.Errorf("list --json (-want +got):\n%s", d)
	}
	out := w.good("", "show", "--wallet.name", "demo", "--wallet.hotkey", "v0", "--check", "--json")
	got = nil
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]any{
		"wallet": "demo", "name": "v0", "ss58": devAddress, "encrypted": false, "coldkey": alice, "opened": true,
		"public_key": "0x46ebddef8cd9bb167dc30878d7113b7e168e6f0646beffd77d69d39bad76b47a", "file": filepath.Join(w.dir, "demo", "hotkeys", "v0"),
	}, got); d != "" {
		t.Errorf("show --json (-want +got):\n%s", d)
	}
	if out := w.good("", "show", "--wallet.name", "demo", "--wallet.hotkey", "v0"); !strings.Contains(out, devAddress) || strings.Contains(out, "bottom") {
		t.Errorf("show: %s", out)
	}
}

func TestWalletOfTheEnvironment(t *testing.T) {
	w := newWallets(t)
	t.Setenv("BT_WALLET_NAME", "demo")
	t.Setenv("BT_WALLET_HOTKEY", "v9")
	w.good(devWords, "import", "--no-password")
	if _, err := os.Stat(filepath.Join(w.dir, "demo", "hotkeys", "v9")); err != nil {
		t.Error(err)
	}
}

// The real derivation, twice: written encrypted, and read back.
func TestWalletEncrypted(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds and 512 MiB")
	}
	w := newWallets(t)
	password := w.file("password", "correct horse\n")
	w.good(devWords, "import", "--wallet.password_file", password)
	b, err := os.ReadFile(filepath.Join(w.dir, "default", "hotkeys", "default"))
	if err != nil || !bytes.HasPrefix(b, []byte("$NACL")) {
		t.Errorf("%q, %v", b[:min(len(b), 8)], err)
	}
	if code, _, errs := w.run("", "show", "--check"); code != int(Wallet) || !strings.Contains(errs, "--wallet.password_file") {
		t.Errorf("without a password: exit %d, %s", code, errs)
	}
	if out := w.good("", "show", "--check", "--wallet.password_file", password); !strings.Contains(out, "encrypted, opened") {
		t.Error(out)
	}
}

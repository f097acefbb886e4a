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
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"bettensor/node/bet"
	"bettensor/node/ledger"
	"bettensor/store"
)

// run the application as main does.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	simulated := &cli.Command{
		Name:        "sim",
		Subcommands: []*cli.Command{{Name: "run", Flags: []cli.Flag{&cli.IntFlag{Name: "seed"}, &cli.Uint64Flag{Name: "from"}, &cli.BoolFlag{Name: "quiet"}}, Action: func(*cli.Context) error { return nil }}},
	}
	app := &cli.App{
		Name: "bettensor", Writer: &out, ErrWriter: &out,
		Commands: []*cli.Command{Score(), Store(), Weights(), simulated},
	}
	Prepare(app, map[string]Code{"sim": Other})
	code = Exit(app.RunContext(context.Background(), append([]string{"bettensor"}, args...)), &errs)
	return code, out.String(), errs.String()
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		code Code
		says string
	}{
		{"unknown command", []string{"scor"}, Usage, "error: unknown command \"scor\", did you mean \"score\"?\ntry: bettensor --help\n"},
		{"unknown subcommand", []string{"score", "chek"}, Usage, "error: unknown command \"chek\", did you mean \"check\"?\ntry: bettensor score --help\n"},
		{"no command", nil, Usage, "error: no command, want one of score, sim, store, weights\n"},
		{"no subcommand", []string{"score"}, Usage, "error: no command, want one of check\n"},
		{"unknown flag", []string{"sim", "run", "--sed", "1"}, Other, "error: unknown flag --sed, did you mean --seed?\ntry: bettensor sim run --help\n"},
		{"bad value", []string{"sim", "run", "--seed", "x"}, Other, "error: --seed: expected a whole number, got \"x\"\ntry: bettensor sim run --help\n"},
		{"a whole number beyond its range", []string{"sim", "run", "--seed", "99999999999999999999"}, Other, "error: --seed: expected a whole number from -9223372036854775808 to 9223372036854775807, got \"99999999999999999999\"\n"},
		{"negative value of what has no sign", []string{"sim", "run", "--from", "-1"}, Other, "error: --from: expected a whole number from 0 to 18446744073709551615, got \"-1\"\n"},
		{"truth value", []string{"sim", "run", "--quiet=x"}, Other, "error: --quiet: expected true or false, got \"x\"\n"},
		{"nothing is near", []string{"nosuch"}, Usage, "error: unknown command \"nosuch\", want one of score, sim, store, weights\n"},
		{"no flag is near", []string{"sim", "run", "--xyz"}, Other, "error: unknown flag --xyz\n"},
		{"flag of the application", []string{"--versoin"}, Usage, "error: unknown flag --versoin"},
		{"no file", []string{"score", "check"}, Usage, "error: no file to check\ntry: bettensor score check --help\n"},
		{"flag after a file", []string{"score", "check", "x.json", "--json"}, Usage, "error: flag --json after a file"},
	} {
		code, out, errs := run(t, c.args...)
		if code != int(c.code) || !strings.Contains(errs, c.says) || out != "" {
			t.Errorf("%s: exit %d, want %d; stderr %q, want %q; stdout %q, want none", c.name, code, c.code, errs, c.says, out)
		}
	}
	if code, out, errs := run(t, "score", "check", "--help"); code != 0 || errs != "" || !strings.Contains(out, "out of tolerance") {
		t.Errorf("help: exit %d, %q, %q", code, out, errs)
	}
}

func TestExit(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		code Code
		out  string
	}{
		{"none", nil, OK, ""},
		{"any", errors.New("a"), Other, "error: a\n"},
		{"typed inside another", fmt.Errorf("start: %w", &ExitError{Wallet, errors.New("locked"), "bettensor wallet unlock"}), Wallet, "error: start: locked\ntry: bettensor wallet unlock\n"},
		{"several lines", errors.Join(errors.New("a"), errors.New("b")), Other, "error: a\nerror: b\n"},
		{"deadline", fmt.Errorf("wait: %w", context.DeadlineExceeded), Deadline, "error: wait: context deadline exceeded\n"},
		{"path", &fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}, File, "error: open x: file does not exist\n"},
		{"another package's code", cli.Exit("four", 4), 4, "error: four\n"},
	} {
		var w bytes.Buffer
		if got := Exit(c.err, &w); got != int(c.code) || w.String() != c.out {
			t.Errorf("%s: %d %q, want %d %q", c.name, got, w.String(), c.code, c.out)
		}
	}
}

func TestScoreCheck(t *testing.T) {
	good, err := filepath.Glob("../../testdata/score/*_*.json")
	if err != nil || len(good) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	malformed := write("malformed.json", "{")
	data, err := os.ReadFile("../../testdata/score/components_0.json")
	if err != nil {
		t.Fatal(err)
	}
	off := write("off.json", nudge(t, string(data)))
	missing := filepath.Join(dir, "missing.json")

	for _, c := range []struct {
		name  string
		files []string
		code  Code
		says  string
	}{
		{"all good", good, OK, ""},
		{"missing", []string{missing}, File, "no such file"},
		{"a directory", []string{dir}, File, "directory"},
		{"malformed", []string{malformed}, Validation, "malformed"},
		{"out of tolerance", []string{off}, Validation, "out of tolerance"},
		{"missing, then out of tolerance", []string{missing, off}, Validation, "no such file"},
		{"good ones do not hide a bad one", append([]string{malformed}, good...), Validation, "malformed"},
	} {
		code, out, errs := run(t, append([]string{"score", "check"}, c.files...)...)
		if code != int(c.code) || !strings.Contains(errs, c.says) || (c.says == "") != (errs == "") {
			t.Errorf("%s: exit %d, want %d; stderr %q", c.name, code, c.code, errs)
		}
		for _, f := range c.files {
			if f != missing && f != malformed && f != dir && !strings.Contains(out, f) {
				t.Errorf("%s: the table does not name %s:\n%s", c.name, f, out)
			}
		}
		if bad := strings.Contains(out, "OUT OF TOLERANCE"); bad != strings.Contains(errs, "out of tolerance") {
			t.Errorf("%s: the table and the error differ:\n%s%s", c.name, out, errs)
		}
	}
}

// nudge is a components file that expects a wrong number.
func nudge(t *testing.T, text string) string {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	clv := v["expected"].(map[string]any)["clv"].([]any)
	clv[1] = clv[1].(float64) + 1
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestStore(t *testing.T) {
	root := t.TempDir()
	dir, backups := filepath.Join(root, "node"), filepath.Join(root, "backups")
	e, err := store.OpenPebble(store.Options{Dir: dir, Schema: ledger.Schema()})
	if err != nil {
		t.Fatal(err)
	}
	p := ledger.Prediction{Prediction: bet.Prediction{
		ID: "p1", Hotkey: "5F", Game: "100000", Outcome: bet.Tie, Odds: 3.5, Wager: 12_50,
		Received: time.Date(2025, 3, 8, 12, 0, 0, 0, time.UTC), Confidence: -1,
	}, Arrived: 1}
	var b store.Batch
	ledger.Predictions.Put(&b, p.Key(), &p)
	ledger.Facts.Put(&b, "role", ptr("validator"))
	if err := e.Apply(1, []*store.Batch{&b}, true); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := run(t, "store", "verify", "--dir", dir); code != int(File) || !strings.Contains(errs, "in use") {
		t.Errorf("a store in use: exit %d, %q", code, errs)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	good := func(says string, args ...string) string {
		t.Helper()
		code, out, errs := run(t, append([]string{"store"}, args...)...)
		if code != 0 || !strings.Contains(out, says) {
			t.Fatalf("store %v: exit %d, %q, %q; want %q", args, code, out, errs, says)
		}
		return out
	}
	good("last batch 1,", "verify", "--dir", dir)
	line := `{"id":"p1","hotkey":"5F","game_id":"100000","outcome":"tie","odds":3.5,"wager_cents":1250,"received_at":"2025-03-08T12:00:00Z",` +
		`"model_name":"","confidence":null,"state":"open","payout_cents":0,"settled_at":null,"arrived":1}` + "\n"
	if out := good("", "dump", "--dir", dir, "predictions"); out != line {
		t.Errorf("predictions: %s", out)
	}
	good(`{"key":"role","row":"validator"}`, "dump", "--dir", dir, "facts")
	made := strings.TrimSpace(good(backups, "backup", "--dir", dir, "--to", backups))
	again := filepath.Join(root, "again")
	good("restored from", "restore", "--dir", again, made)
	good("is now", "restore", "--dir", again, made)
	if out := good("", "dump", "--dir", again, "predictions"); out != line {
		t.Errorf("restored: %s", out)
	}

	for _, c := range []struct {
		name string
		args []string
		code Code
		says string
	}{
		{"no directory given", []string{"verify"}, Usage, "--dir"},
		{"no such store", []string{"dump", "--dir", filepath.Join(root, "nothing"), "games"}, File, "no store in " + filepath.Join(root, "nothing")},
		{"unknown table", []string{"dump", "--dir", dir, "game"}, Usage, "want one of games, predictions"},
		{"table missing", []string{"dump", "--dir", dir}, Usage, "0 arguments, want 1"},
		{"backup to nowhere", []string{"backup", "--dir", dir}, Usage, "--to"},
		{"restore of nothing", []string{"restore", "--dir", again, filepath.Join(root, "nothing")}, File, "nothing"},
	} {
		code, _, errs := run(t, append([]string{"store"}, c.args...)...)
		if code != int(c.code) || !strings.Contains(errs, c.says) {
			t.Errorf("%s: exit %d, want %d; %q", c.name, code, c.code, errs)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "nothing")); err == nil {
		t.Error("a mistyped name made a store")
	}
}

// TestStoreMustExist: no command that looks at a store leaves anything where
// there is none, and verify leaves a backup as it is.
func TestStoreMustExist(t *testing.T) {
	empty, other := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "notes.txt"), []byte("not a store"), 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, files := range map[string]int{empty: 0, other: 1} {
		for _, args := range [][]string{{"verify"}, {"dump", "games"}, {"backup", "--to", filepath.Join(t.TempDir(), "to")}} {
			code, out, errs := run(t, append([]string{"store", args[0], "--dir", dir}, args[1:]...)...)
			want := "error: store: no store in " + dir + "; name the directory of a store or of a backup\n" +
				"try: bettensor store restore --dir " + dir + " BACKUP\n"
			if code != int(File) || out != "" || errs != want {
				t.Errorf("%v: exit %d, want %d; %q; stderr %q, want %q", args, code, File, out, errs, want)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != files {
				t.Errorf("%v left %v (%v)", args, entries, err)
			}
		}
	}
}

// TestStoreDamaged: what is told of damage is what and where, without the
// internals of the engine, and the command that helps is on a line of its own.
func TestStoreDamaged(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "node")
	o := store.Options{Dir: dir, Schema: ledger.Schema()}
	e, err := store.OpenPebble(o)
	if err != nil {
		t.Fatal(err)
	}
	var b store.Batch
	ledger.Facts.Put(&b, "role", ptr("validator"))
	if err := e.Apply(1, []*store.Batch{&b}, true); err != nil {
		t.Fatal(err)
	}
	// Closed and opened again, the row is in a table file.
	for range 2 {
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if e, err = store.OpenPebble(o); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("no table files: %v", err)
	}
	for _, table := range tables {
		data, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		for i := range len(data) / 2 {
			data[i] ^= 0x55
		}
		if err := os.WriteFile(table, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		try  string
		args []string
	}{
		{"bettensor store restore --dir " + dir + " BACKUP", []string{"verify"}},
		{"bettensor store verify --dir " + dir, []string{"dump", "facts"}},
	} {
		code, out, errs := run(t, append([]string{"store", c.args[0], "--dir", dir}, c.args[1:]...)...)
		line, try, _ := strings.Cut(errs, "\n")
		if code != int(Validation) || !strings.Contains(line, "store: corrupt: ") || !strings.Contains(line, ".sst") ||
			strings.Contains(out+line, "carrier") || strings.Contains(out+line, "try:") || try != "try: "+c.try+"\n" {
			t.Errorf("%v: exit %d; %s%s", c.args, code, out, errs)
		}
	}
}

func ptr[T any](v T) *T { return &v }

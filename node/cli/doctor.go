package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"bettensor/node/chain"
	"bettensor/node/chain/substrate"
	"bettensor/node/chain/wallet"
	"bettensor/node/web"
)

const (
	// checkWithin is how long one check may take.
	checkWithin = 30 * time.Second
	// doctorWithin is how long all of them may: five endpoints that do not answer,
	// and the rest.
	doctorWithin = 3 * time.Minute
)

// grade is what came of a check. The words are in the JSON and held stable.
type grade string

const (
	good    grade = "ok"
	warn    grade = "warn"
	bad     grade = "fail"
	skipped grade = "skip" // it needs what another check did not find
)

// finding is what a check saw.
type finding struct {
	Check   string `json:"check"`
	Verdict grade  `json:"verdict"`
	Seen    string `json:"seen"`
	Do      string `json:"do,omitempty"` // a command to type, or what to change
}

// examination is one run of the doctor: the settings, what the checks so far have
// learnt, and what they found.
type examination struct {
	*Resolved
	environ func(string) (string, bool)
	// root is where /proc and /sys are; tests have their own.
	root string

	hotkey  chain.Hotkey // "" where not even the public half is there
	place   place
	running *web.Ports // of our own node, where it runs
	now     func() time.Time
	speed   float64
	genesis string // that the clock file wants
	meta    *chain.Metagraph
	chain   struct { // of the endpoints that answered
		genesis string
		best    chain.Block
		seen    time.Time // when the block that meta is of was the newest, by now
	}
	date func() (offset time.Duration, from string, ok bool) // of our clock against the feed's

	findings []finding
}

// Doctor is the command `doctor`.
func Doctor() *cli.Command {
	of := func(r role) *cli.Command {
		all := slices.DeleteFunc(flags(r), func(f cli.Flag) bool { return slices.Contains(f.Names(), "strict") })
		return &cli.Command{
			Name:  r.String(),
			Usage: "examine what `bettensor " + r.String() + "` would find with the same flags",
			Flags: append(all,
				&cli.BoolFlag{Name: "json", Usage: "print the findings as JSON"},
				&cli.BoolFlag{Name: "strict", Usage: "exit with 21 where there are warnings"}),
			Action: func(c *cli.Context) error { return doctor(c, r) },
		}
	}
	return &cli.Command{
		Name:  "doctor",
		Usage: "examine a node's set-up, and say what to do about what is wrong",
		Description: "It takes the flags, variables and file of the node itself. It asks for no password, sends no\n" +
			"extrinsic and changes nothing; beside a node that runs it may be run at any time.\n" +
			"Exit codes: 0 nothing failed · 2 the settings themselves are wrong · 20 a check failed · 21 warnings, with --strict.",
		Subcommands: []*cli.Command{of(forValidator), of(forMiner)},
	}
}

func doctor(c *cli.Context, r role) error {
	if c.NArg() > 0 {
		return usage(c, "unexpected argument %q", c.Args().First())
	}
	s, err := resolve(c, r, os.Environ())
	if err != nil {
		return err
	}
	x := &examination{Resolved: s, environ: os.LookupEnv, root: "/", now: time.Now, speed: 1}
	ctx, cancel := context.WithTimeout(c.Context, doctorWithin)
	defer cancel()
	x.run(ctx)
	if err := c.Context.Err(); err != nil { // asked to stop: what is left of it says nothing
		return err
	}
	if err := x.print(c.App.Writer, c.Bool("json")); err != nil {
		return err
	}
	switch failed, warned := x.count(bad), x.count(warn); {
	case failed > 0:
		return &ExitError{Unwell, fmt.Errorf("%d of %d checks failed", failed, len(x.findings)), ""}
	case warned > 0 && c.Bool("strict"):
		return &ExitError{Warned, fmt.Errorf("%d of %d checks warn", warned, len(x.findings)), ""}
	}
	return nil
}

// run makes every check, in an order in which each finds what it needs.
func (x *examination) run(ctx context.Context) {
	checks := []func(context.Context){
		x.checkClockFile, x.checkWallet, x.checkPlace, x.checkDisk, x.checkStore, x.checkPorts, x.checkCertificate,
		x.checkDescriptors, x.checkMemory, x.checkSupervisor, x.checkModel, x.checkFeed,
	}
	for _, url := range x.endpoints() {
		checks = append(checks, func(ctx context.Context) { x.checkEndpoint(ctx, url) })
	}
	checks = append(checks, x.checkClock, x.checkRegistration, x.checkPermit, x.checkAudience, x.checkAxon)
	for _, check := range checks {
		soon, cancel := context.WithTimeout(ctx, checkWithin)
		check(soon)
		cancel()
	}
}

// found notes what a check saw.
func (x *examination) found(check string, v grade, do, seen string, args ...any) {
	x.findings = append(x.findings, finding{check, v, fmt.Sprintf(seen, args...), do})
}

func (x *examination) count(v grade) int {
	n := 0
	for _, f := range x.findings {
		if f.Verdict == v {
			n++
		}
	}
	return n
}

func (x *examination) print(w io.Writer, asJSON bool) error {
	if asJSON {
		out := json.NewEncoder(w)
		out.SetIndent("", " ")
		return out.Encode(struct {
			Role     string       `json:"role"`
			Network  string       `json:"network"`
			Netuid   uint16       `json:"netuid"`
			Hotkey   chain.Hotkey `json:"hotkey"`
			Failed   int          `json:"failed"`
			Warned   int          `json:"warned"`
			Findings []finding    `json:"findings"`
		}{x.role.String(), x.where().name, x.Netuid, x.hotkey, x.count(bad), x.count(warn), x.findings})
	}
	var b strings.Builder
	for _, f := range x.findings {
		word := string(f.Verdict)
		if f.Verdict == bad || f.Verdict == warn {
			word = strings.ToUpper(word)
		}
		fmt.Fprintf(&b, "%-4s  %-12s %s\n", word, f.Check, plain(f.Seen))
		if f.Do != "" {
			fmt.Fprintf(&b, "      %-12s → %s\n", "", plain(f.Do))
		}
	}
	fmt.Fprintf(&b, "%d ok, %d warnings, %d failed\n", x.count(good), x.count(warn), x.count(bad))
	_, err := io.WriteString(w, b.String())
	return err
}

// walletFlags are those by which the original's tools find the same wallet.
func (x *examination) walletFlags() string {
	out := "--wallet.name " + wallet.ShellWord(x.Wallet.Name) + " --wallet.hotkey " + wallet.ShellWord(x.Wallet.Hotkey)
	if x.Wallet.Path != wallet.DefaultPath {
		out += " --wallet.path " + wallet.ShellWord(x.Wallet.Path)
	}
	return out
}

// networkFlags are those by which they find the same chain. A key in a URL is not
// repeated.
func (x *examination) networkFlags() string {
	if len(x.Endpoints) > 0 {
		return "--subtensor.chain_endpoint " + wallet.ShellWord(substrate.Redacted(x.Endpoints[0]))
	}
	return "--subtensor.network " + x.Network
}

// checkWallet looks at the key file, who may read it, and whether it opens
// without a person.
func (x *examination) checkWallet(ctx context.Context) {
	const check = "wallet"
	if x.Wallet.URI != "" {
		k, err := wallet.FromURI(x.Wallet.URI)
		if err != nil {
			x.found(check, bad, "give --wallet.uri such as //Alice, or a wallet", "%v", err)
			return
		}
		x.hotkey = k.Hotkey()
		x.found(check, good, "", "the development key of %s", x.hotkey)
		return
	}
	at := wallet.Location{Path: x.Wallet.Path, Name: x.Wallet.Name, Hotkey: x.Wallet.Hotkey}
	e, err := wallet.Show(at)
	if err == nil {
		x.hotkey, err = e.Hotkey, e.Problem
	}
	if err != nil {
		x.found(check, bad, walletFix(err), "%s", walletSaid(err))
		return
	}
	if _, err := os.Lstat(strings.TrimSuffix(at.File(), "hotkeys/"+x.Wallet.Hotkey) + "coldkey"); err == nil {
		x.found("coldkey", warn, "keep the coldkey on another machine, and only coldkeypub.txt here", "the wallet %s has its coldkey here; no node ever needs it", x.Wallet.Name)
	}
	from := "not encrypted"
	var pw wallet.Passwords
	if e.Encrypted {
		if free := x.memory(); free.limit > 0 && free.limit < wallet.DerivationMemory+nodeMemory {
			x.found(check, bad, "raise it to 1536M: systemctl set-property, or docker run --memory 1536m", "%s is encrypted: opening it takes 512 MiB, and %s allows %d MiB", at.File(), free.from, free.limit>>20)
			return
		}
		if pw, from, err = x.password(ctx, at.File()); err != nil {
			x.found(check, bad, walletFix(err), "%s", walletSaid(err))
			return
		}
		from = "encrypted, opened with the password of " + from
	}
	k, err := wallet.Load(at, pw)
	if err != nil {
		do := walletFix(err)
		if errors.Is(err, wallet.ErrPassword) {
			do = "put the right password where it is read from: " + strings.TrimPrefix(from, "encrypted, opened with the password of ")
		}
		x.found(check, bad, do, "%s", walletSaid(err))
		return
	}
	x.hotkey = k.Hotkey()
	able := k.CanSign()
	k.Wipe()
	if !able {
		x.found(check, bad, "bettensor wallet import "+x.walletFlags(), "%s: %v", at.File(), wallet.ErrPublicOnly)
		return
	}
	x.found(check, good, "", "%s, %s, %s", at.File(), x.hotkey, from)
}

// password finds the password of a key file as a node without a terminal would,
// and says where it is from.
func (x *examination) password(ctx context.Context, file string) (wallet.Passwords, string, error) {
	all := wallet.SystemPasswords(ctx, x.Wallet.PasswordFile)
	all.Prompt = nil
	for _, one := range []struct {
		from string
		pw   wallet.Passwords
	}{
		{"--wallet.password_file " + x.Wallet.PasswordFile, wallet.Passwords{File: all.File}},
		{"the systemd credential wallet-password", wallet.Passwords{Credentials: all.Credentials}},
		{"the environment (BT_PW_…)", wallet.Passwords{Lookup: all.Lookup}},
	} {
		if one.pw.File == "" && one.pw.Credentials == "" && one.pw.Lookup == nil {
			continue
		}
		switch p, err := one.pw.Of(file); {
		case errors.Is(err, wallet.ErrNoPassword):
		case err != nil:
			return wallet.Passwords{}, "", err
		default:
			return wallet.Passwords{Given: p}, one.from, nil
		}
	}
	return wallet.Passwords{}, "", &wallet.Error{Path: file, Err: wallet.ErrNoPassword}
}

func walletFix(err error) string {
	var at *wallet.Error
	switch {
	case errors.As(err, &at) && at.Fix != "":
		return at.Fix
	case errors.Is(err, wallet.ErrNoPassword):
		return "a file of mode 0600 with the password in its first line, and --wallet.password_file FILE"
	}
	return "bettensor wallet list"
}

// walletSaid is an error of the wallet without the command that mends it.
func walletSaid(err error) string {
	var at *wallet.Error
	if errors.As(err, &at) {
		return at.What()
	}
	return err.Error()
}

package cli

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"bettensor/node/chain"
	"bettensor/node/chain/wallet"
)

// maxSecretFile bounds a file with a phrase or a seed.
const maxSecretFile = 4096

// Wallets is the command `wallet`: what an operator does with hotkeys. Coldkeys
// are not for the machine that a node runs on, and no command reads one.
func Wallets() *cli.Command {
	return &cli.Command{
		Name:  "wallet",
		Usage: "make, list, show and import hotkeys, as the Bittensor tools keep them",
		Subcommands: []*cli.Command{
			{
				Name:  "new",
				Usage: "make a hotkey from fresh words",
				Description: "The words are shown once, on the terminal only, and nowhere else but in the key file.\n" +
					"With --json they are in the output, whatever that is: keep it as you would keep the key.",
				Flags: append(walletFlags(), append(writeFlags(),
					&cli.IntFlag{Name: "words", Usage: "`N` words: 12, 15, 18, 21 or 24", Value: 12},
				)...),
				Action: walletNew,
			},
			{
				Name:  "import",
				Usage: "write a hotkey from its words, its seed or another key file",
				Description: "Without a flag that names a source, words, seed (0x…) or URI are read from standard input;\n" +
					"on a terminal they are asked for and not shown.",
				Flags: append(walletFlags(), append(writeFlags(),
					&cli.PathFlag{Name: "phrase-file", Usage: "`FILE` of mode 600 with the words, a path //hard/soft after them if any; - is standard input"},
					&cli.PathFlag{Name: "seed-file", Usage: "`FILE` of mode 600 with the seed as 64 hex digits; - is standard input"},
					&cli.PathFlag{Name: "key-file", Usage: "`FILE` of a hotkey, plain or encrypted"},
					&cli.PathFlag{Name: "key-password-file", Usage: "`FILE` with the password of --key-file"},
					&cli.StringFlag{Name: "uri", Usage: "development `URI`, such as //Alice; a secret one would be seen by everybody on this machine"},
				)...),
				Action: walletImport,
			},
			{
				Name:   "list",
				Usage:  "all wallets and hotkeys, with what is wrong with them",
				Flags:  []cli.Flag{walletPath(), jsonFlag()},
				Action: walletList,
			},
			{
				Name:  "show",
				Usage: "one hotkey: address, file, and whether a node could use it",
				Flags: append(walletFlags(), passwordFile(), jsonFlag(),
					&cli.BoolFlag{Name: "check", Usage: "open it, with its password if it has one"}),
				Action: walletShow,
			},
		},
	}
}

// Flags are made anew for each command: urfave/cli writes into them.

func walletPath() cli.Flag {
	return &cli.PathFlag{Name: "wallet.path", Usage: "`DIR` of all wallets", Value: wallet.DefaultPath, EnvVars: []string{"BETTENSOR_WALLET_PATH", "BT_WALLET_PATH"}}
}

func walletFlags() []cli.Flag {
	return []cli.Flag{
		walletPath(),
		&cli.StringFlag{Name: "wallet.name", Usage: "`NAME` of the wallet", Value: "default", EnvVars: []string{"BETTENSOR_WALLET_NAME", "BT_WALLET_NAME"}},
		&cli.StringFlag{Name: "wallet.hotkey", Usage: "`NAME` of the hotkey in the wallet", Value: "default", EnvVars: []string{"BETTENSOR_WALLET_HOTKEY", "BT_WALLET_HOTKEY"}},
	}
}

func passwordFile() cli.Flag {
	return &cli.PathFlag{Name: "wallet.password_file", Usage: "`FILE` with the hotkey's password in its first line, mode 600", EnvVars: []string{"BETTENSOR_WALLET_PASSWORD_FILE"}}
}

func jsonFlag() cli.Flag { return &cli.BoolFlag{Name: "json", Usage: "print JSON"} }

func writeFlags() []cli.Flag {
	return []cli.Flag{
		passwordFile(),
		&cli.BoolFlag{Name: "no-password", Usage: "write a plain key file; whoever reads it can sign"},
		&cli.StringFlag{Name: "coldkey", Usage: "`ADDRESS` to write to coldkeypub.txt if there is none"},
		&cli.BoolFlag{Name: "overwrite", Usage: "replace a hotkey of that name; it is lost unless you have its words"},
		jsonFlag(),
	}
}

func location(c *cli.Context) wallet.Location {
	return wallet.Location{Path: c.Path("wallet.path"), Name: c.String("wallet.name"), Hotkey: c.String("wallet.hotkey")}
}

// walletError gives an error of a wallet its code and the command that helps.
func walletError(c *cli.Context, err error) error {
	var at *wallet.Error
	var path *fs.PathError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, wallet.ErrName):
		return usage(c, "%w; names have no slash and no dot in front", err)
	case errors.Is(err, context.Canceled):
		return &ExitError{Code: Other, Err: errors.New("given up")}
	case errors.Is(err, wallet.ErrExists) && c.Command.HasName("new"), errors.Is(err, wallet.ErrExists) && c.Command.HasName("import"):
		return &ExitError{Wallet, fmt.Errorf("%w; choose another --wallet.hotkey, or --overwrite if you have the words of what is there", err), "bettensor wallet list"}
	case errors.As(err, &at):
		return &ExitError{Wallet, errors.New(strings.TrimSuffix(err.Error(), "; run: "+at.Fix)), at.Fix}
	case errors.As(err, &path):
		return &ExitError{Code: File, Err: err}
	}
	return &ExitError{Code: Wallet, Err: err}
}

// passwordFor is the password of a key about to be written: of the sources there
// are, or typed in twice; none with --no-password.
func passwordFor(c *cli.Context, at wallet.Location) (wallet.Password, error) {
	if c.Bool("no-password") {
		if c.Path("wallet.password_file") != "" {
			return wallet.Password{}, usage(c, "both --no-password and --wallet.password_file")
		}
		return wallet.Password{}, nil
	}
	from := wallet.SystemPasswords(c.Context, c.Path("wallet.password_file"))
	if ask := from.Prompt; ask != nil {
		from.Prompt = func(string) (wallet.Password, error) { return newPassword(ask) }
	}
	pw, err := from.Of(at.File())
	if errors.Is(err, wallet.ErrNoPassword) {
		return pw, usage(c, "no password for the new key file, want --wallet.password_file FILE, or --no-password for a plain one")
	}
	return pw, walletError(c, err)
}

func newPassword(ask func(string) (wallet.Password, error)) (wallet.Password, error) {
	pw, err := ask("Password for the hotkey: ")
	if err != nil {
		return pw, err
	}
	if pw.IsZero() {
		return pw, errors.New("an empty password; for a plain key file say --no-password")
	}
	again, err := ask("The same again: ")
	if err != nil {
		return pw, err
	}
	defer again.Wipe()
	if !pw.Equal(again) {
		return pw, errors.New("the passwords differ")
	}
	return pw, nil
}

// written is what `new` and `import` print.
type written struct {
	Wallet    string       `json:"wallet"`
	Name      string       `json:"name"`
	SS58      chain.Hotkey `json:"ss58"`
	PublicKey string       `json:"public_key"`
	File      string       `json:"file"`
	Encrypted bool         `json:"encrypted"`
	Phrase    string       `json:"phrase,omitempty"`
}

// writable refuses, before anything secret is made or asked for, what could not
// be written.
func writable(c *cli.Context, at wallet.Location) error {
	if c.NArg() > 0 {
		return usage(c, "%d arguments, want none", c.NArg())
	}
	if at.File() == "" {
		return walletError(c, fmt.Errorf("--wallet.name %q, --wallet.hotkey %q: %w", at.Name, at.Hotkey, wallet.ErrName))
	}
	if cold := c.String("coldkey"); cold != "" {
		if _, err := chain.Hotkey(cold).PublicKey(); err != nil {
			return usage(c, "--coldkey: %w", err)
		}
	}
	if _, err := os.Lstat(at.File()); err == nil && !c.Bool("overwrite") {
		return walletError(c, &wallet.Error{Path: at.File(), Err: wallet.ErrExists})
	}
	return nil
}

// save writes a key and prints what was written.
func save(c *cli.Context, at wallet.Location, k *wallet.Key, fresh bool) error {
	pw, err := passwordFor(c, at)
	if err != nil {
		return err
	}
	defer pw.Wipe()
	if cold := c.String("coldkey"); cold != "" {
		if err := wallet.SaveColdkey(at, chain.Coldkey(cold)); err != nil {
			return walletError(c, err)
		}
	}
	if err := k.Save(at, pw, c.Bool("overwrite")); err != nil {
		return walletError(c, err)
	}
	public := k.PublicKey()
	out := written{
		Wallet: at.Name, Name: at.Hotkey, SS58: k.Hotkey(), PublicKey: "0x" + hex.EncodeToString(public[:]),
		File: at.File(), Encrypted: !pw.IsZero(),
	}
	if c.Bool("json") {
		if fresh {
			out.Phrase = k.Phrase()
		}
		return json.NewEncoder(c.App.Writer).Encode(out)
	}
	kind := "plain: whoever reads it can sign"
	if out.Encrypted {
		kind = "encrypted"
	}
	fmt.Fprintf(c.App.Writer, "hotkey  %s\nfile    %s (%s)\n", out.SS58, out.File, kind)
	if !fresh {
		return nil
	}
	return showPhrase(c, k)
}

// showPhrase shows a new key's words to a person and to nobody else.
func showPhrase(c *cli.Context, k *wallet.Key) error {
	for _, w := range []io.Writer{c.App.Writer, c.App.ErrWriter} {
		if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			_, err := fmt.Fprintf(w, "\nThese words are the key. Write them down; they are not shown again.\n\n    %s\n\n", k.Phrase())
			return err
		}
	}
	_, err := fmt.Fprintln(c.App.Writer, "words   not shown, this is no terminal (--json would print them); a copy of the file is a backup of the key")
	return err
}

func walletNew(c *cli.Context) error {
	at := location(c)
	if err := writable(c, at); err != nil {
		return err
	}
	if n := c.Int("words"); n < 12 || n > 24 || n%3 != 0 {
		return usage(c, "--words: expected 12, 15, 18, 21 or 24, got %d", n)
	}
	k, err := wallet.Generate(c.Int("words"), nil)
	if err != nil {
		return walletError(c, err)
	}
	defer k.Wipe()
	return save(c, at, k, true)
}

func walletImport(c *cli.Context) error {
	at := location(c)
	if err := writable(c, at); err != nil {
		return err
	}
	k, err := imported(c)
	if err != nil {
		return err
	}
	defer k.Wipe()
	return save(c, at, k, false)
}

// imported is the key that the flags name a source of.
func imported(c *cli.Context) (*wallet.Key, error) {
	var sources []string
	for _, name := range []string{"phrase-file", "seed-file", "key-file", "uri"} {
		if c.String(name) != "" || c.Path(name) != "" {
			sources = append(sources, name)
		}
	}
	if len(sources) > 1 {
		return nil, usage(c, "both --%s and --%s, want one source", sources[0], sources[1])
	}
	source := "stdin"
	if len(sources) == 1 {
		source = sources[0]
	}
	switch source {
	case "key-file":
		// A password of the new file is not one of the old.
		k, err := wallet.FromFile(c.Path("key-file"), wallet.SystemPasswords(c.Context, c.Path("key-password-file")))
		if errors.Is(err, wallet.ErrNoPassword) {
			return nil, &ExitError{Wallet, fmt.Errorf("%s is encrypted, want --key-password-file FILE", c.Path("key-file")), help(c)}
		}
		return k, walletError(c, err)
	case "uri":
		if !wallet.IsDevelopment(c.String("uri")) {
			return nil, usage(c, "--uri is for development keys such as //Alice; put a secret one into a file and name it with --phrase-file")
		}
		k, err := wallet.FromURI(c.String("uri"))
		return k, walletError(c, err)
	}
	text, err := secretText(c, cmp.Or(c.Path("phrase-file"), c.Path("seed-file"), "-"))
	if err != nil {
		return nil, err
	}
	if source == "seed-file" {
		text = "0x" + strings.TrimPrefix(text, "0x")
	}
	k, err := wallet.FromURI(text)
	return k, walletError(c, err)
}

// secretText reads a phrase or a seed from a file, from standard input, or asks
// for it on a terminal.
func secretText(c *cli.Context, path string) (string, error) {
	if path != "-" {
		b, err := wallet.ReadSecret(path, maxSecretFile)
		defer clear(b)
		var at *wallet.Error
		switch {
		case errors.Is(err, wallet.ErrLink):
			return "", &ExitError{Wallet, fmt.Errorf("%w; name the file itself, or give what a pipe has on standard input", err), help(c)}
		case errors.As(err, &at):
			return "", walletError(c, err)
		case err != nil:
			return "", &ExitError{Code: File, Err: err}
		}
		return strings.TrimSpace(string(b)), nil
	}
	r := c.App.Reader
	if f, ok := r.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		ask := wallet.SystemPasswords(c.Context, "").Prompt
		text, err := ask("Words, seed or URI of the hotkey (not shown): ")
		return text.Reveal(), walletError(c, err)
	}
	b, err := io.ReadAll(io.LimitReader(r, maxSecretFile+1))
	defer clear(b)
	if err != nil {
		return "", &ExitError{Code: File, Err: fmt.Errorf("read standard input: %w", err)}
	}
	if len(b) > maxSecretFile {
		return "", &ExitError{Code: Wallet, Err: fmt.Errorf("standard input has more than %d bytes, too many for a phrase or seed", maxSecretFile)}
	}
	return strings.TrimSpace(string(b)), nil
}

// listed is a line of `wallet list --json`, and of `wallet show`.
type listed struct {
	Name      string       `json:"name"`
	SS58      chain.Hotkey `json:"ss58,omitempty"`
	Encrypted bool         `json:"encrypted"`
	Problem   string       `json:"problem,omitempty"`
}

func listing(e wallet.Entry) listed {
	l := listed{Name: e.Name, SS58: e.Hotkey, Encrypted: e.Encrypted}
	if e.Problem != nil {
		l.Problem = e.Problem.Error()
	}
	return l
}

func walletList(c *cli.Context) error {
	if c.NArg() > 0 {
		return usage(c, "%d arguments, want none", c.NArg())
	}
	all, err := wallet.List(c.Path("wallet.path"))
	if err != nil {
		return walletError(c, err)
	}
	if c.Bool("json") {
		type one struct {
			Name     string        `json:"name"`
			Coldkey  chain.Coldkey `json:"coldkey,omitempty"`
			Hotkeys  []listed      `json:"hotkeys"`
			Problems []string      `json:"problems,omitempty"`
		}
		out := struct {
			Path    string `json:"path"`
			Wallets []one  `json:"wallets"`
		}{c.Path("wallet.path"), []one{}}
		for _, w := range all {
			x := one{Name: w.Name, Coldkey: w.Coldkey, Hotkeys: []listed{}}
			for _, p := range w.Problems {
				x.Problems = append(x.Problems, p.Error())
			}
			for _, e := range w.Hotkeys {
				x.Hotkeys = append(x.Hotkeys, listing(e))
			}
			out.Wallets = append(out.Wallets, x)
		}
		return json.NewEncoder(c.App.Writer).Encode(out)
	}
	if len(all) == 0 {
		_, err := fmt.Fprintf(c.App.Writer, "no wallets in %s\n", c.Path("wallet.path"))
		return err
	}
	for _, w := range all {
		fmt.Fprintf(c.App.Writer, "%s  coldkey %s\n", w.Name, cmp.Or(string(w.Coldkey), "unknown, no coldkeypub.txt"))
		for _, p := range w.Problems {
			fmt.Fprintf(c.App.Writer, "    ! %v\n", p)
		}
		for i, e := range w.Hotkeys {
			branch, stem := "├─", "│ "
			if i == len(w.Hotkeys)-1 {
				branch, stem = "└─", "  "
			}
			kind := "plain"
			if e.Encrypted {
				kind = "encrypted"
			}
			fmt.Fprintf(c.App.Writer, "%s %s  %s  %s\n", branch, e.Name, cmp.Or(string(e.Hotkey), "address unknown"), kind)
			if e.Problem != nil {
				fmt.Fprintf(c.App.Writer, "%s   ! %v\n", stem, e.Problem)
			}
		}
	}
	return nil
}

// shownKey is what `wallet show` prints.
type shownKey struct {
	Wallet string `json:"wallet"`
	listed
	PublicKey string        `json:"public_key,omitempty"`
	File      string        `json:"file"`
	Coldkey   chain.Coldkey `json:"coldkey,omitempty"`
	Opened    bool          `json:"opened"` // with --check
}

func walletShow(c *cli.Context) error {
	at := location(c)
	if c.NArg() > 0 {
		return usage(c, "%d arguments, want none", c.NArg())
	}
	e, err := wallet.Show(at)
	if err != nil {
		return walletError(c, err)
	}
	out := shownKey{Wallet: at.Name, listed: listing(e), File: at.File()}
	problem := e.Problem
	if c.Bool("check") && problem == nil {
		k, err := wallet.Load(at, wallet.SystemPasswords(c.Context, c.Path("wallet.password_file")))
		switch {
		case err != nil:
			problem = err
			out.Problem = err.Error()
		case out.SS58 != "" && k.Hotkey() != out.SS58:
			problem = fmt.Errorf("%s: names %s, the key is %s: %w", at.File(), out.SS58, k.Hotkey(), wallet.ErrMismatch)
			out.Problem = problem.Error()
		default:
			out.Opened, out.SS58 = true, k.Hotkey()
			k.Wipe()
		}
	}
	if b, err := out.SS58.PublicKey(); err == nil {
		out.PublicKey = "0x" + hex.EncodeToString(b[:])
	}
	if cold, err := wallet.Coldkey(at); err == nil {
		out.Coldkey = cold
	}
	if c.Bool("json") {
		if err := json.NewEncoder(c.App.Writer).Encode(out); err != nil {
			return err
		}
	} else {
		kind := "plain"
		if out.Encrypted {
			kind = "encrypted"
		}
		if out.Opened {
			kind += ", opened"
		}
		fmt.Fprintf(c.App.Writer, "hotkey   %s\npublic   %s\nfile     %s (%s)\ncoldkey  %s\n", cmp.Or(string(out.SS58), "unknown"),
			cmp.Or(out.PublicKey, "unknown"), out.File, kind, cmp.Or(string(out.Coldkey), "unknown, no coldkeypub.txt"))
	}
	return walletError(c, problem)
}

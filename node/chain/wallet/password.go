package wallet

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"
)

// Password is a secret text. It prints as <password> whatever is asked. The zero
// value is none.
type Password struct{ text *[]byte } // a pointer for the same reason as in Key

// NewPassword makes a password of a text.
func NewPassword(text string) Password { return password([]byte(text)) }

func password(text []byte) Password { return Password{&text} }

func (p Password) bytes() []byte {
	if p.text == nil {
		return nil
	}
	return *p.text
}

// IsZero tells whether there is none.
func (p Password) IsZero() bool { return len(p.bytes()) == 0 }

// Reveal is the text itself.
func (p Password) Reveal() string { return string(p.bytes()) }

// Equal tells whether both are the same text.
func (p Password) Equal(q Password) bool { return bytes.Equal(p.bytes(), q.bytes()) }

// Wipe overwrites the text.
func (p Password) Wipe() { clear(p.bytes()) }

const redacted = "<password>"

// String names it.
func (p Password) String() string { return redacted }

// GoString is String.
func (p Password) GoString() string { return redacted }

// Format is String for every verb.
func (p Password) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue is String.
func (p Password) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON is String.
func (p Password) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// ErrNoPassword is what reading an encrypted key without a password gives.
var ErrNoPassword = errors.New("the hotkey is encrypted and there is no password: name a file with --wallet.password_file, " +
	"give a systemd credential called " + credential + " (LoadCredential=), or set the variable BT_PW_… that the Bittensor tools use")

// credential is the name of the systemd credential that holds the password.
const credential = "wallet-password"

// maxPassword bounds a password's file: nobody types more.
const maxPassword = 4096

// Passwords are the places a password may come from. They are asked in the order
// of the fields, and the first that has one is it. The zero value has none.
type Passwords struct {
	Given       Password                             // as it is
	File        string                               // a file with the password in its first line; not to be readable by others
	Credentials string                               // the directory of systemd's credentials; one called wallet-password is used
	Lookup      func(name string) (string, bool)     // the environment, for BT_PW_…
	Prompt      func(label string) (Password, error) // asks a person; nil where there is none to ask
}

// SystemPasswords are those of this process: file (where not "") before the
// systemd credential, the environment, and a prompt if standard input is a
// terminal. ctx ends a prompt.
func SystemPasswords(ctx context.Context, file string) Passwords {
	p := Passwords{File: file, Credentials: os.Getenv("CREDENTIALS_DIRECTORY"), Lookup: os.LookupEnv}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		p.Prompt = func(label string) (Password, error) { return prompt(ctx, label) }
	}
	return p
}

// Of is the password of the key file at path.
func (p Passwords) Of(path string) (Password, error) {
	if !p.Given.IsZero() {
		return p.Given, nil
	}
	if p.File != "" {
		return readPassword(p.File, p.Credentials)
	}
	if p.Credentials != "" {
		file := filepath.Join(p.Credentials, credential)
		if _, err := os.Stat(file); err == nil {
			return readPassword(file, p.Credentials)
		}
	}
	if p.Lookup != nil {
		for _, name := range variables(path) {
			value, ok := p.Lookup(name)
			if !ok {
				continue
			}
			pw, err := fromVariable(name, value)
			if err != nil {
				return Password{}, fmt.Errorf("%s: %w", name, err)
			}
			return pw, nil
		}
	}
	if p.Prompt != nil {
		return p.Prompt("Password of hotkey " + path + ": ")
	}
	return Password{}, ErrNoPassword
}

// readPassword reads a password's file. Its mode is checked like a key's, except
// for systemd's credentials, whose access lists show as a mode that is too loose.
func readPassword(path, credentials string) (Password, error) {
	trusted := credentials != "" && filepath.Dir(path) == filepath.Clean(credentials)
	b, err := readSecret(path, maxPassword, trusted)
	if err != nil {
		return Password{}, fmt.Errorf("password file: %w", err)
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return Password{}, &Error{Path: path, Err: errors.New("the password file's first line is empty")}
	}
	return password(line), nil
}

// variables are the names of the environment's variables for a key file's
// password: for the path as it is, then for the absolute one.
func variables(path string) []string {
	name := func(path string) string {
		return "BT_PW_" + strings.ToUpper(strings.NewReplacer("/", "_", ".", "_").Replace(path))
	}
	names := []string{name(path)}
	if abs, err := filepath.Abs(path); err == nil && abs != path {
		names = append(names, name(abs))
	}
	return names
}

// fromVariable reads the value of such a variable: base64 of the password, mixed
// with the variable's name over and over. That hides it from a glance only.
func fromVariable(name, value string) (Password, error) {
	if len(value) > 2*maxPassword {
		return Password{}, fmt.Errorf("%d characters, want at most %d", len(value), 2*maxPassword)
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
	if err != nil {
		return Password{}, errors.New("not base64; the value is not the password itself, but as btcli writes it")
	}
	if len(b) == 0 {
		return Password{}, errors.New("empty")
	}
	for i := range b {
		b[i] ^= name[i%len(name)]
	}
	return password(b), nil
}

// prompt asks on the terminal, without echo. When ctx ends, the terminal is put
// back and the read is left behind: the program is about to end.
func prompt(ctx context.Context, label string) (Password, error) {
	in := int(os.Stdin.Fd())
	before, err := term.GetState(in)
	if err != nil {
		return Password{}, fmt.Errorf("terminal: %w", err)
	}
	type answer struct {
		text []byte
		err  error
	}
	got := make(chan answer, 1)
	fmt.Fprint(os.Stderr, label)
	go func() {
		text, err := term.ReadPassword(in)
		got <- answer{text, err}
	}()
	select {
	case a := <-got:
		fmt.Fprintln(os.Stderr)
		if a.err != nil {
			return Password{}, fmt.Errorf("password: %w", a.err)
		}
		return password(a.text), nil
	case <-ctx.Done():
		fmt.Fprintln(os.Stderr)
		return Password{}, errors.Join(context.Cause(ctx), term.Restore(in, before))
	}
}

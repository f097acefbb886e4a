package wallet

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"bettensor/node/chain"
)

// DefaultPath is where the Bittensor tools keep wallets.
const DefaultPath = "~/.bittensor/wallets"

// Why a file was not touched. Each comes in an Error, which says what to do.
var (
	ErrMode   = errors.New("others may read or change it")
	ErrLink   = errors.New("is a symbolic link or no ordinary file")
	ErrSize   = errors.New("is larger than any key file")
	ErrExists = errors.New("exists already")
	ErrName   = errors.New("not a name of a wallet or hotkey")
)

// Error is a failure at a file of a wallet.
type Error struct {
	Path string
	Err  error
	Fix  string // a command to type, "" where there is none
}

// Error says what is wrong where, and what to type.
func (e *Error) Error() string {
	if e.Fix == "" {
		return e.What()
	}
	return e.What() + "; run: " + e.Fix
}

// What is the message without the command.
func (e *Error) What() string { return e.Path + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Location is where a hotkey lies: PATH/NAME/hotkeys/HOTKEY. Empty fields are
// the tools' own defaults.
type Location struct {
	Path   string // directory of all wallets; ~ is the home directory; default ~/.bittensor/wallets
	Name   string // of the wallet; default "default"
	Hotkey string // name of the key in the wallet; default "default"
}

// resolve puts in the defaults and refuses names that lead elsewhere.
func (l Location) resolve() (Location, error) {
	if l.Path == "" {
		l.Path = DefaultPath
	}
	for _, name := range []*string{&l.Name, &l.Hotkey} {
		if *name == "" {
			*name = "default"
		}
		if strings.ContainsAny(*name, "/\\\x00") || strings.HasPrefix(*name, ".") || len(*name) > maxName {
			return l, fmt.Errorf("%q: %w", *name, ErrName)
		}
	}
	var err error
	l.Path, err = expand(l.Path)
	return l, err
}

// expand replaces a leading ~ by the home directory.
func expand(path string) (string, error) {
	if path != "~" && !strings.HasPrefix(path, "~/") {
		return path, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("wallet path %s: %w", path, err)
	}
	return filepath.Join(home, path[1:]), nil
}

// Of a resolved location.
func (l Location) dir() string       { return filepath.Join(l.Path, l.Name) }
func (l Location) hotkeys() string   { return filepath.Join(l.dir(), "hotkeys") }
func (l Location) file() string      { return filepath.Join(l.hotkeys(), l.Hotkey) }
func (l Location) public() string    { return l.file() + publicSuffix }
func (l Location) coldkey() string   { return filepath.Join(l.dir(), "coldkeypub.txt") }
func (l Location) ordered() []string { return []string{l.dir(), l.hotkeys()} }

// File is the path of the key file, "" where the location makes no sense.
func (l Location) File() string {
	l, err := l.resolve()
	if err != nil {
		return ""
	}
	return l.file()
}

const publicSuffix = "pub.txt"

// Limits of what is read, and the modes of what is written.
const (
	maxFile    = 16 << 10 // a key file has under 1 KiB
	maxName    = 128      // longer names make no readable path
	maxEntries = 10_000   // of a directory that is listed
	dirMode    = 0o700
	fileMode   = 0o600
)

// Load reads a hotkey. An encrypted one takes seconds and DerivationMemory.
func Load(at Location, from Passwords) (*Key, error) { return load(at, from, argon) }

func load(at Location, from Passwords, derive derivation) (*Key, error) {
	at, err := at.resolve()
	if err != nil {
		return nil, err
	}
	for _, dir := range at.ordered() {
		if err := checkDirectory(dir); err != nil {
			return nil, at.missing(err)
		}
	}
	k, err := read(at.file(), from, derive)
	return k, at.missing(err)
}

// missing turns the system's word for a file that is not there into what to do
// about a hotkey that is not there.
func (l Location) missing(err error) error {
	if path := (*fs.PathError)(nil); errors.As(err, &path) && errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(path.Path, l.dir()) {
		return &Error{l.file(), fmt.Errorf("no such hotkey: %w", fs.ErrNotExist), "bettensor wallet list --wallet.path " + ShellWord(l.Path)}
	}
	return err
}

// FromFile reads a key file that lies anywhere.
func FromFile(path string, from Passwords) (*Key, error) { return read(path, from, argon) }

func read(path string, from Passwords, derive derivation) (*Key, error) {
	b, err := readSecret(path, maxFile, false)
	if err != nil {
		return nil, err
	}
	defer func() { clear(b) }()
	if err := foreign(b); err != nil {
		return nil, &Error{Path: path, Err: err}
	}
	if encrypted(b) {
		password, err := from.Of(path)
		if err != nil {
			return nil, &Error{Path: path, Err: err}
		}
		if b, err = decrypt(b, password, derive); err != nil {
			return nil, &Error{Path: path, Err: err}
		}
	}
	k, err := decode(b)
	if err != nil {
		return nil, &Error{Path: path, Err: err}
	}
	return k, nil
}

// Save writes the key file and the file of its public half, and makes the
// directories. With a password the key file is encrypted, with none it is plain.
// A key file that is there is replaced only if overwrite is set. A crash leaves
// the old file or the new one.
func (k *Key) Save(at Location, password Password, overwrite bool) error {
	return k.save(at, password, overwrite, argon)
}

func (k *Key) save(at Location, password Password, overwrite bool, derive derivation) error {
	at, err := at.resolve()
	if err != nil {
		return err
	}
	if _, err := os.Lstat(at.file()); err == nil && !overwrite {
		return &Error{Path: at.file(), Err: ErrExists}
	}
	b, err := k.encode()
	if err != nil {
		return err
	}
	defer func() { clear(b) }()
	if !password.IsZero() {
		if b, err = encrypt(b, password, derive); err != nil {
			return err
		}
	}
	public, err := encodePublic(k.public)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(at.hotkeys(), dirMode); err != nil {
		return err
	}
	for _, dir := range at.ordered() {
		if err := checkDirectory(dir); err != nil {
			return err
		}
	}
	if err := write(at.file(), b, overwrite); err != nil {
		return err
	}
	return write(at.public(), public, true)
}

// Coldkey reads the wallet's coldkeypub.txt.
func Coldkey(at Location) (chain.Coldkey, error) {
	at, err := at.resolve()
	if err != nil {
		return "", err
	}
	h, err := readPublic(at.coldkey())
	return chain.Coldkey(h), err
}

// SaveColdkey writes the wallet's coldkeypub.txt if there is none. One of another
// coldkey is ErrExists.
func SaveColdkey(at Location, coldkey chain.Coldkey) error {
	at, err := at.resolve()
	if err != nil {
		return err
	}
	public, err := chain.Hotkey(coldkey).PublicKey()
	if err != nil {
		return fmt.Errorf("coldkey: %w", err)
	}
	if old, err := readPublic(at.coldkey()); err == nil {
		if chain.Coldkey(old) == coldkey {
			return nil
		}
		return &Error{Path: at.coldkey(), Err: fmt.Errorf("names %s: %w", old, ErrExists)}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b, err := encodePublic(public)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(at.dir(), dirMode); err != nil {
		return err
	}
	return write(at.coldkey(), b, false)
}

// readPublic reads the address in a file without a secret, which all may read.
func readPublic(path string) (chain.Hotkey, error) {
	b, err := readSecret(path, maxFile, true)
	if err != nil {
		return "", err
	}
	k, err := decode(b)
	if err != nil {
		return "", &Error{Path: path, Err: err}
	}
	return k.Hotkey(), nil
}

// readSecret reads a file that is an ordinary one, not large, and, unless
// trusted, nobody else's to read. What is checked is the opened file.
func readSecret(path string, limit int64, trusted bool) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &Error{Path: path, Err: ErrLink}
	}
	// Not to be led away by a link, or held up by a pipe, put there meanwhile.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return nil, &Error{Path: path, Err: ErrLink}
	case !trusted && mode.Perm()&0o077 != 0:
		return nil, looseFile(path, mode)
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, &Error{Path: path, Err: ErrSize}
	}
	return b, nil
}

// ReadSecret reads a file with words or a seed in it, of at most limit bytes. It
// must be what a key file must be: an ordinary file, no link, and nobody else's to
// read.
func ReadSecret(path string, limit int) ([]byte, error) {
	b, err := readSecret(path, int64(limit), false)
	if e := (*Error)(nil); errors.As(err, &e) && errors.Is(err, ErrSize) {
		e.Err = fmt.Errorf("has more than %d bytes, too many for a phrase or seed", limit)
	}
	return b, err
}

func looseFile(path string, mode fs.FileMode) *Error {
	return &Error{path, fmt.Errorf("mode %04o: %w", mode.Perm(), ErrMode), "chmod 600 " + ShellWord(path)}
}

// checkDirectory refuses a directory in which somebody else could put another
// key. That others may list it is ordinary: the tools make it so.
func checkDirectory(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &Error{Path: dir, Err: errors.New("not a directory")}
	}
	if info.Mode().Perm()&0o022 != 0 {
		return &Error{dir, fmt.Errorf("mode %04o: %w", info.Mode().Perm(), ErrMode), "chmod 700 " + ShellWord(dir)}
	}
	return nil
}

// ShellWord is a text as a shell must be given it to be one word.
func ShellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,+@%") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// write puts b at path in one step and on disk. Without replace it fails where
// something is there, also if it came there meanwhile.
func write(path string, b []byte, replace bool) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	temp := f.Name()
	defer func() {
		if temp != "" {
			err = errors.Join(err, os.Remove(temp))
		}
	}()
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(fileMode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if replace {
		if err := os.Rename(temp, path); err != nil {
			return err
		}
		temp = ""
	} else if err := os.Link(temp, path); errors.Is(err, fs.ErrExist) {
		return &Error{Path: path, Err: ErrExists}
	} else if err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Wallet is what can be told of a wallet without a password.
type Wallet struct {
	Name     string
	Coldkey  chain.Coldkey // "" where there is no coldkeypub.txt that can be read
	Hotkeys  []Entry       // in order of name
	Problems []error       // with the directories and coldkeypub.txt
}

// Entry is a hotkey of a wallet.
type Entry struct {
	Name      string
	Hotkey    chain.Hotkey // "" where neither the file nor its public half tells
	Encrypted bool
	// Problem is the first thing found wrong with it: why Load would refuse it, as
	// far as that can be told without its password, or that its public half names
	// another key, which Load does not look at. What is wrong with the directories
	// it lies in is here where it was asked for alone, by Show; List has it in the
	// wallet's Problems.
	Problem error
}

// List describes all wallets under path ("" for the default), in order of name.
func List(path string) ([]Wallet, error) {
	at, err := Location{Path: path}.resolve()
	if err != nil {
		return nil, err
	}
	names, err := entries(at.Path, func(e fs.DirEntry) bool {
		info, err := os.Stat(filepath.Join(at.Path, e.Name())) // a wallet may be a link to a directory
		return err == nil && info.IsDir()
	})
	if err != nil {
		return nil, err
	}
	var out []Wallet
	for _, name := range names {
		w, err := Describe(Location{Path: at.Path, Name: name})
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}

// Describe describes one wallet with all its hotkeys.
func Describe(at Location) (Wallet, error) {
	at, err := at.resolve()
	if err != nil {
		return Wallet{}, err
	}
	w := Wallet{Name: at.Name}
	if _, err := os.Stat(at.dir()); err != nil {
		return w, err
	}
	// A wallet without coldkeypub.txt or without hotkeys is one all the same.
	if w.Coldkey, err = Coldkey(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.Problems = append(w.Problems, err)
	}
	for _, dir := range at.ordered() {
		if err := checkDirectory(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			w.Problems = append(w.Problems, err)
		}
	}
	names, err := entries(at.hotkeys(), func(e fs.DirEntry) bool {
		return !e.IsDir() && !strings.HasSuffix(e.Name(), publicSuffix)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return w, nil
	}
	if err != nil {
		return w, err
	}
	for _, name := range names {
		w.Hotkeys = append(w.Hotkeys, describe(Location{at.Path, at.Name, name}))
	}
	return w, nil
}

// Show describes one hotkey.
func Show(at Location) (Entry, error) {
	at, err := at.resolve()
	if err != nil {
		return Entry{}, err
	}
	e := describe(at)
	e.Problem = at.missing(e.Problem)
	for _, dir := range at.ordered() {
		if err := checkDirectory(dir); err != nil && e.Problem == nil {
			e.Problem = err
		}
	}
	return e, nil
}

// describe tells of one hotkey of a resolved location.
func describe(at Location) Entry {
	e := Entry{Name: at.Hotkey}
	if h, err := readPublic(at.public()); err == nil {
		e.Hotkey = h
	}
	b, err := readSecret(at.file(), maxFile, false)
	if errors.Is(err, ErrMode) {
		e.Problem = err // and what it holds can be told all the same
		b, err = readSecret(at.file(), maxFile, true)
	}
	if err == nil {
		defer clear(b)
		e.Encrypted = encrypted(b)
		err = e.inspect(at, b)
	}
	if e.Problem == nil {
		e.Problem = err
	}
	return e
}

// inspect looks into a key file as far as that goes without a password.
func (e *Entry) inspect(at Location, b []byte) error {
	if err := foreign(b); err != nil {
		return &Error{Path: at.file(), Err: err}
	}
	if e.Encrypted {
		return nil
	}
	k, err := decode(b)
	if err != nil {
		return &Error{Path: at.file(), Err: err}
	}
	defer k.Wipe()
	public := e.Hotkey
	e.Hotkey = k.Hotkey()
	switch {
	case public != "" && public != e.Hotkey:
		return &Error{Path: at.public(), Err: fmt.Errorf("names %s, the key is %s: %w", public, e.Hotkey, ErrMismatch)}
	case !k.CanSign():
		return &Error{Path: at.file(), Err: ErrPublicOnly}
	}
	return nil
}

// entries are the names in a directory that keep says yes to, in order, without
// hidden ones.
func entries(dir string, keep func(fs.DirEntry) bool) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	list, err := d.ReadDir(maxEntries + 1)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if len(list) > maxEntries {
		return nil, &Error{Path: dir, Err: fmt.Errorf("more than %d entries", maxEntries)}
	}
	var names []string
	for _, e := range list {
		if !strings.HasPrefix(e.Name(), ".") && keep(e) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

package wallet

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"bettensor/node/chain"
	"bettensor/node/wire"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cheap stands for the derivation that takes seconds and half a gigabyte.
func cheap(password []byte) [32]byte { return sha256.Sum256(password) }

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../../../testdata/chain/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type keyVector struct {
	URI        string
	MiniSecret string `json:"mini_secret"`
	PublicKey  string `json:"public_key"`
	SS58       string `json:"ss58_42"`
}

// keyVectors are URIs with what other wallets make of them.
func keyVectors(t testing.TB) (all []keyVector) {
	t.Helper()
	for _, file := range []string{"keys.json", "key_paths.json"} {
		var v struct{ Keys []keyVector }
		if err := json.Unmarshal(testdata(t, file), &v); err != nil {
			t.Fatal(err)
		}
		if len(v.Keys) == 0 {
			t.Fatalf("no vectors in %s", file)
		}
		all = append(all, v.Keys...)
	}
	return all
}

func fromURI(t testing.TB, uri string) *Key {
	t.Helper()
	k, err := FromURI(uri)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeysOfOtherWallets(t *testing.T) {
	for _, v := range keyVectors(t) {
		k, err := FromURI(v.URI)
		if err != nil {
			t.Errorf("%s: %v", v.URI, err)
			continue
		}
		public := k.PublicKey()
		if got := "0x" + hex.EncodeToString(public[:]); got != v.PublicKey {
			t.Errorf("%s: %s, want %s", v.URI, got, v.PublicKey)
		}
		if v.SS58 != "" && string(k.Hotkey()) != v.SS58 {
			t.Errorf("%s: %s, want %s", v.URI, k.Hotkey(), v.SS58)
		}
		if got := "0x" + hex.EncodeToString(k.secret.seed); v.MiniSecret != "" && got != v.MiniSecret {
			t.Errorf("%s: another mini secret", v.URI)
		}
	}
}

func TestURIsOfOneKey(t *testing.T) {
	for _, c := range []struct{ name, a, b string }{
		{"development phrase is the default", "//Alice", devPhrase + "//Alice"},
		{"white space between words", "  " + strings.ReplaceAll(devPhrase, " ", "  \n") + "\n", devPhrase},
		{"an empty password is none", devPhrase + "///", devPhrase},
		{"leading zeros of a number", "//007", "//7"},
	} {
		if a, b := fromURI(t, c.a), fromURI(t, c.b); a.public != b.public {
			t.Errorf("%s: %s and %s", c.name, a, b)
		}
	}
	seen := map[[32]byte]string{}
	for _, uri := range []string{
		devPhrase, devPhrase + "///secret", "//Alice", "/Alice", "//Alice/x", "//Alice//x", "//x//Alice", "//Alice///secret", "//1", "//18446744073709551615", "//18446744073709551616",
		"//" + strings.Repeat("a", 31), "//" + strings.Repeat("a", 32), "//" + strings.Repeat("a", 64),
	} {
		k := fromURI(t, uri)
		if other, twice := seen[k.public]; twice {
			t.Errorf("%s and %s are one key", uri, other)
		}
		seen[k.public] = uri
	}
}

func TestSoftKeysAreTheSameSecretEachTime(t *testing.T) {
	a, b := fromURI(t, "//Alice/soft"), fromURI(t, "//Alice/soft")
	if !a.secret.pair.SecretKey().Equal(b.secret.pair.SecretKey()) {
		t.Error("two secrets of one URI")
	}
	// Signing draws on the second half of a secret; two keys must not share it.
	derived, err := a.secret.pair.SecretKey().MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	parent, err := fromURI(t, "//Alice").secret.pair.SecretKey().MarshalBinary()
	if err != nil || bytes.Equal(derived[32:], parent[32:]) {
		t.Errorf("parent and child share a nonce, %v", err)
	}
}

func TestWhatIsNoURI(t *testing.T) {
	const secretWord = "zebraquagga"
	for _, c := range []struct{ name, uri, says string }{
		{"empty", "", "empty"},
		{"blank", " \n", "empty"},
		{"eleven words", strings.TrimSuffix(devPhrase, " walk"), "11 words"},
		{"thirteen words", devPhrase + " walk", "13 words"},
		{"word not in the list", strings.Replace(devPhrase, "curtain", secretWord, 1), "word 5 "},
		{"wrong checksum", strings.Replace(devPhrase, "curtain", "zebra", 1), "checksum"},
		{"capital letters", strings.ToUpper(devPhrase), "word 1 "},
		{"short seed", "0x" + strings.Repeat("ab", 31), "64 hex digits"},
		{"seed that is no hex", "0x" + strings.Repeat("zz", 32), "64 hex digits"},
		{"seed with a password", "0x" + strings.Repeat("ab", 32) + "///x", "password"},
		{"junction without a name", "//Alice//", "no name"},
		{"four slashes", "//Alice////", ""},
		{"slash at the end", "//Alice/", "no name"},
		{"too many junctions", strings.Repeat("//a", maxJunctions+1), "junctions"},
		{"too long", "//" + strings.Repeat("a", maxURI), "bytes"},
	} {
		k, err := FromURI(c.uri)
		if c.says == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if !errors.Is(err, ErrURI) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), secretWord) {
			t.Errorf("%s: %v, %v; want %q", c.name, k, err, c.says)
		}
	}
}

func TestIsDevelopment(t *testing.T) {
	for uri, want := range map[string]bool{
		"//Alice": true, "/soft": true, devPhrase: true, devPhrase + "//Bob": true, "//Alice///x": true, "": false, "//": false,
		"0x" + strings.Repeat("ab", 32):                                               false,
		"legal winner thank year wave sausage worth useful legal winner thank yellow": false,
	} {
		if got := IsDevelopment(uri); got != want {
			t.Errorf("%q: %v", uri, got)
		}
	}
}

func TestGenerate(t *testing.T) {
	for _, words := range []int{12, 15, 18, 21, 24} {
		k, err := Generate(words, rand.Reader)
		if err != nil || len(strings.Fields(k.Phrase())) != words {
			t.Fatalf("%d words: %v, %v", words, k, err)
		}
		if again := fromURI(t, k.Phrase()); again.public != k.public {
			t.Errorf("%d words: the phrase is of another key", words)
		}
	}
	for _, words := range []int{-1, 0, 11, 13, 27} {
		if _, err := Generate(words, rand.Reader); err == nil {
			t.Errorf("a key of %d words", words)
		}
	}
	broken := errors.New("no entropy")
	if _, err := Generate(12, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestSignaturesVerify(t *testing.T) {
	for _, uri := range []string{"//Alice", "//Alice/soft"} {
		k := fromURI(t, uri)
		a, err := k.Sign([]byte("message"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := k.Sign([]byte("message"))
		if err != nil || a == b {
			t.Errorf("%s: two signatures are the same, %v", uri, err)
		}
		s, err := k.Signer(rand.Reader)
		if err != nil || s.Hotkey() != k.Hotkey() {
			t.Fatalf("%s: signer %v", uri, err)
		}
		c := s.Sign([]byte("message"))
		var v wire.Sr25519Verifier
		if !v.Verify(k.Hotkey(), []byte("message"), a[:]) || !v.Verify(k.Hotkey(), []byte("message"), c[:]) || v.Verify(k.Hotkey(), []byte("massage"), a[:]) {
			t.Errorf("%s: signatures do not verify as they should", uri)
		}
	}
}

func TestWipedKeyHoldsNoSecret(t *testing.T) {
	k := fromURI(t, devPhrase)
	seed, phrase := k.secret.seed, k.secret.phrase
	k.Wipe()
	if len(bytes.Trim(seed, "\x00")) != 0 || len(bytes.Trim(phrase, "\x00")) != 0 || k.Phrase() != "" || k.CanSign() {
		t.Error("something is left")
	}
	if _, err := k.Sign(nil); !errors.Is(err, ErrPublicOnly) {
		t.Errorf("sign: %v", err)
	}
	if _, err := k.Signer(rand.Reader); !errors.Is(err, ErrPublicOnly) {
		t.Errorf("signer: %v", err)
	}
	if k.Hotkey() != fromURI(t, devPhrase).Hotkey() {
		t.Error("the address is gone too")
	}
}

// printed is v in each way to print it.
func printed(t *testing.T, v any) string {
	t.Helper()
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
	asJSON, err := json.Marshal(struct{ V any }{v})
	if err != nil {
		t.Fatal(err)
	}
	verbs := fmt.Sprintf("%v %+v %#v %s %q %x %X %d %t %c", v, v, v, v, v, v, v, v, v, v)
	nested := fmt.Sprintf("%v %+v %#v", struct{ V any }{v}, []any{v}, map[string]any{"v": v})
	return verbs + nested + log.String() + string(asJSON) + fmt.Errorf("with %v", v).Error()
}

func TestSecretsAreNotPrinted(t *testing.T) {
	k := fromURI(t, devPhrase)
	secret, err := k.secret.pair.SecretKey().MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	out := printed(t, k) + printed(t, NewPassword("marker-password"))
	// Where package fmt may ask no method: in fields that are not exported.
	type inside struct {
		key      Key
		password Password
	}
	in := inside{*k, NewPassword("marker-password")}
	out += fmt.Sprint(in) + fmt.Sprintf("%+v %#v %x %d", in, in, any(in), any(in))
	for _, s := range []string{
		"bottom drive", hex.EncodeToString([]byte("bottom drive")), hex.EncodeToString(k.secret.seed), fmt.Sprint(k.secret.seed[:8]), hex.EncodeToString(secret[:32]),
		"marker-password", hex.EncodeToString([]byte("marker-password")), fmt.Sprint([]byte("marker")), base64.StdEncoding.EncodeToString([]byte("marker-password")),
	} {
		if strings.Contains(strings.ToLower(out), strings.ToLower(strings.Trim(s, "[]"))) {
			t.Errorf("printed: %s", s)
		}
	}
	if n := strings.Count(out, string(k.Hotkey())); n < 15 {
		t.Errorf("the address is printed %d times only:\n%s", n, out)
	}
}

func TestReadsTheFilesOfOtherTools(t *testing.T) {
	want := fromURI(t, devPhrase).Hotkey()
	k, err := decode(testdata(t, "hotkey_file_example.json"))
	if err != nil || k.Hotkey() != want || !k.CanSign() || k.Phrase() != devPhrase {
		t.Errorf("hotkey: %v, %v", k, err)
	}
	k, err = decode(testdata(t, "coldkeypub_example.json"))
	if err != nil || k.Hotkey() != fromURI(t, "//Alice").Hotkey() || k.CanSign() {
		t.Errorf("coldkeypub: %v, %v", k, err)
	}
}

// edited is the example key file with fields changed; nil removes one.
func edited(t testing.TB, changes map[string]any) []byte {
	t.Helper()
	var f map[string]any
	if err := json.Unmarshal(testdata(t, "hotkey_file_example.json"), &f); err != nil {
		t.Fatal(err)
	}
	for field, v := range changes {
		if f[field] = v; v == nil {
			delete(f, field)
		}
	}
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLoadOrderOfAKeyFile(t *testing.T) {
	dev := fromURI(t, devPhrase)
	secret, err := dev.secret.pair.SecretKey().MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	type file = map[string]any
	none := file{"secretPhrase": nil, "secretSeed": nil, "privateKey": nil}
	with := func(more file) file {
		f := file{}
		for _, part := range []file{none, more} {
			for field, v := range part {
				f[field] = v
			}
		}
		return f
	}
	example := func(field string) any {
		var f map[string]any
		if err := json.Unmarshal(testdata(t, "hotkey_file_example.json"), &f); err != nil {
			t.Fatal(err)
		}
		return f[field]
	}
	canonical := "0x" + hex.EncodeToString(secret)
	if canonical == example("privateKey") {
		t.Fatal("the example's scalar should be eight times the canonical one")
	}
	for _, c := range []struct {
		name    string
		changes file
		err     error // nil for the development key
		public  bool
	}{
		{"phrase before anything else", file{"secretSeed": "0x12", "privateKey": "garbage"}, nil, false},
		{"phrase alone", file{"publicKey": nil, "accountId": nil, "ss58Address": nil, "secretSeed": nil, "privateKey": nil}, nil, false},
		{"seed before private key", with(file{"secretSeed": example("secretSeed"), "privateKey": "garbage"}), nil, false},
		{"private key as Ed25519 has it", with(file{"privateKey": example("privateKey")}), nil, false},
		{"private key in canonical form", with(file{"privateKey": canonical}), nil, false},
		{"private key and address only", with(file{"privateKey": canonical, "publicKey": nil, "accountId": nil}), nil, false},
		{"private key with nothing to tell its form", with(file{"privateKey": canonical, "publicKey": nil, "accountId": nil, "ss58Address": nil}), ErrForm, false},
		{"private key of another", with(file{"privateKey": "0x" + strings.Repeat("08", 64)}), ErrMismatch, false},
		{"private key half as long", with(file{"privateKey": canonical[:66]}), ErrForm, false},
		{"address alone is public", with(file{"publicKey": nil, "accountId": nil}), nil, true},
		{"nulls are absent", with(file{"secretPhrase": json.RawMessage("null"), "secretSeed": json.RawMessage("null"), "privateKey": json.RawMessage("null")}), nil, true},
		{"nothing", with(file{"publicKey": nil, "accountId": nil, "ss58Address": nil}), ErrForm, false},
		{"phrase of another key", file{"secretPhrase": "legal winner thank year wave sausage worth useful legal winner thank yellow"}, ErrMismatch, false},
		{"seed of another key", with(file{"secretSeed": "0x" + strings.Repeat("01", 32)}), ErrMismatch, false},
		{"no phrase", file{"secretPhrase": "bottom drive"}, ErrURI, false},
		{"short seed", with(file{"secretSeed": "0x0102"}), ErrForm, false},
		{"public keys that differ", file{"accountId": "0x" + strings.Repeat("01", 32)}, ErrMismatch, false},
		{"address of another", file{"ss58Address": string(fromURI(t, "//Bob").Hotkey())}, ErrMismatch, false},
		{"address that is none", file{"ss58Address": "5Grw"}, ErrForm, false},
		{"sr25519 by number", file{"cryptoType": 1}, nil, false},
		{"ed25519 by number", file{"cryptoType": 0}, ErrKind, false},
		{"another kind", file{"cryptoType": 2}, ErrKind, false},
		{"kind as a text", file{"cryptoType": "1"}, ErrKind, false},
		{"unknown fields", file{"meta": file{"name": "x"}}, nil, false},
	} {
		k, err := decode(edited(t, c.changes))
		switch {
		case c.err != nil:
			if !errors.Is(err, c.err) {
				t.Errorf("%s: %v, %v; want %v", c.name, k, err, c.err)
			}
		case err != nil || k.public != dev.public || k.CanSign() == c.public:
			t.Errorf("%s: %v, %v", c.name, k, err)
		}
	}
	if _, err := decode(edited(t, file{"cryptoType": 0})); err == nil || !strings.Contains(err.Error(), "ed25519") {
		t.Errorf("ed25519 is not named: %v", err)
	}
	for _, b := range []string{"", "null", "[]", "{}", `"x"`, "{", "0x00", "\x00"} {
		if k, err := decode([]byte(b)); !errors.Is(err, ErrForm) {
			t.Errorf("%q: %v, %v", b, k, err)
		}
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	uris := []string{"//Alice", "//Alice/soft", devPhrase, devPhrase + "///password", devPhrase + "//1", "0x" + strings.Repeat("07", 32)}
	for _, uri := range uris {
		k := fromURI(t, uri)
		b, err := k.encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(b)
		if err != nil || got.public != k.public || !got.CanSign() || got.Phrase() != k.Phrase() {
			t.Errorf("%s: %v, %v", uri, got, err)
		}
		// What other tools read first must not be of another key.
		if has, want := bytes.Contains(b, []byte("secretPhrase")), uri == devPhrase; has != want {
			t.Errorf("%s: phrase in the file: %v", uri, has)
		}
		if has, want := bytes.Contains(b, []byte("secretSeed")), uri != "//Alice/soft"; has != want {
			t.Errorf("%s: seed in the file: %v", uri, has)
		}
	}
	if _, err := (&Key{}).encode(); !errors.Is(err, ErrPublicOnly) {
		t.Errorf("public half: %v", err)
	}
}

// The vector is btwallet's: Argon2i with libsodium's numbers.
func TestDerivationOfOtherTools(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds and 512 MiB")
	}
	got := argon([]byte("testpassword"))
	if want := "cd00b56b151da9df1c8cd6768ba1be08c42f02e54942b2cc39985466f6b62569"; hex.EncodeToString(got[:]) != want {
		t.Errorf("%x, want %s", got, want)
	}
}

// place is a fresh location, and the key that lies there.
func place(t *testing.T, password string) (Location, *Key) {
	t.Helper()
	at, k := Location{filepath.Join(t.TempDir(), "wallets"), "demo", "v0"}, fromURI(t, "//Alice")
	if err := k.save(at, NewPassword(password), false, cheap); err != nil {
		t.Fatal(err)
	}
	return at, k
}

func TestSaveAndLoad(t *testing.T) {
	for _, password := range []string{"", "correct horse"} {
		at, k := place(t, password)
		got, err := load(at, Passwords{Given: NewPassword(password)}, cheap)
		if err != nil || got.public != k.public || !got.CanSign() {
			t.Fatalf("password %q: %v, %v", password, got, err)
		}
		b, err := os.ReadFile(at.File())
		if err != nil {
			t.Fatal(err)
		}
		if is := bytes.HasPrefix(b, []byte(naclPrefix)); is != (password != "") {
			t.Errorf("password %q: encrypted %v", password, is)
		}
		for _, file := range []string{at.File(), at.public()} {
			info, err := os.Stat(file)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", file, info.Mode(), err)
			}
		}
		for _, dir := range at.ordered() {
			info, err := os.Stat(dir)
			if err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%s: %v, %v", dir, info.Mode(), err)
			}
		}
		public, err := readPublic(at.public())
		if err != nil || public != k.Hotkey() {
			t.Errorf("public half: %s, %v", public, err)
		}
		left, err := filepath.Glob(filepath.Join(at.hotkeys(), ".new-*"))
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}

func TestSaveReplacesOnlyIfTold(t *testing.T) {
	at, k := place(t, "")
	bob := fromURI(t, "//Bob")
	if err := bob.save(at, Password{}, false, cheap); !errors.Is(err, ErrExists) {
		t.Fatalf("over another: %v", err)
	}
	if got, err := load(at, Passwords{}, cheap); err != nil || got.public != k.public {
		t.Fatalf("the first is gone: %v, %v", got, err)
	}
	if err := bob.save(at, Password{}, true, cheap); err != nil {
		t.Fatal(err)
	}
	if got, err := load(at, Passwords{}, cheap); err != nil || got.public != bob.public {
		t.Fatalf("not replaced: %v, %v", got, err)
	}
	// What came there after Save looked is not replaced either.
	if err := write(at.file(), []byte("x"), false); !errors.Is(err, ErrExists) {
		t.Errorf("write over another: %v", err)
	}
	if err := (&Key{public: k.public}).save(Location{Path: t.TempDir()}, Password{}, false, cheap); !errors.Is(err, ErrPublicOnly) {
		t.Errorf("public half: %v", err)
	}
}

func TestLooseModesAreRefusedWithTheFix(t *testing.T) {
	for _, c := range []struct {
		name string
		at   func(Location) string
		mode fs.FileMode
		fix  string
	}{
		{"file readable by the group", Location.file, 0o640, "chmod 600 "},
		{"file readable by all", Location.file, 0o604, "chmod 600 "},
		{"file executable by all", Location.file, 0o701, "chmod 600 "},
		{"file that only we may read", Location.file, 0o400, ""},
		{"keys' directory writable by the group", Location.hotkeys, 0o770, "chmod 700 "},
		{"wallet's directory writable by all", Location.dir, 0o703, "chmod 700 "},
		{"directory that others may list", Location.hotkeys, 0o755, ""},
	} {
		at, _ := place(t, "")
		path := c.at(at)
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := load(at, Passwords{}, cheap)
		var e *Error
		switch {
		case c.fix == "":
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		case !errors.Is(err, ErrMode) || !errors.As(err, &e) || e.Fix != c.fix+path || !strings.Contains(err.Error(), e.Fix):
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestShellWord: what an error says helps can be typed as it stands.
func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{
		"/a/b-c_1.txt": "/a/b-c_1.txt", "ws://h:1,a=b+c@d%": "ws://h:1,a=b+c@d%", "": "''", "/a b": "'/a b'", "/it's": `'/it'\''s'`, "$(x)": "'$(x)'", "/~x": "'/~x'", "ü": "'ü'",
	} {
		if got := ShellWord(in); got != want {
			t.Errorf("%q as %s, want %s", in, got, want)
		}
	}
}

func TestOnlyOrdinarySmallFiles(t *testing.T) {
	at, _ := place(t, "")
	elsewhere := filepath.Join(t.TempDir(), "key")
	if err := os.Rename(at.file(), elsewhere); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, at.file()); err != nil {
		t.Fatal(err)
	}
	if _, err := load(at, Passwords{}, cheap); !errors.Is(err, ErrLink) {
		t.Errorf("link: %v", err)
	}
	remove := func() {
		if err := os.Remove(at.file()); err != nil {
			t.Fatal(err)
		}
	}
	remove()
	if err := unix.Mkfifo(at.file(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := load(at, Passwords{}, cheap); !errors.Is(err, ErrLink) {
		t.Errorf("pipe: %v", err)
	}
	remove()
	if err := os.WriteFile(at.file(), make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := load(at, Passwords{}, cheap); !errors.Is(err, ErrSize) {
		t.Errorf("large file: %v", err)
	}
}

func TestMissingHotkeySaysWhereToLook(t *testing.T) {
	at, _ := place(t, "")
	for _, l := range []Location{{at.Path, "demo", "v1"}, {at.Path, "nobody", "v0"}} {
		_, err := load(l, Passwords{}, cheap)
		var e *Error
		if !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &e) || e.Fix != "bettensor wallet list --wallet.path "+at.Path || e.Path != l.File() {
			t.Errorf("%v: %v", l, err)
		}
	}
}

func TestNamesLeadNowhereElse(t *testing.T) {
	for _, name := range []string{"..", ".", ".hidden", "a/b", `a\b`, "a\x00", "../x", strings.Repeat("a", maxName+1)} {
		for _, l := range []Location{{"p", name, "h"}, {"p", "n", name}} {
			if got := l.File(); got != "" {
				t.Errorf("%q: %s", name, got)
			}
			if _, err := Load(l, Passwords{}); !errors.Is(err, ErrName) {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
	t.Setenv("HOME", "/h")
	for l, want := range map[Location]string{
		{}:                        "/h/.bittensor/wallets/default/hotkeys/default",
		{"~", "a", "b"}:           "/h/a/hotkeys/b",
		{"~x", "a", "b"}:          "~x/a/hotkeys/b",
		{"rel/wallets", "a", "b"}: "rel/wallets/a/hotkeys/b",
	} {
		if got := l.File(); got != want {
			t.Errorf("%v: %s, want %s", l, got, want)
		}
	}
}

func TestForeignEncryptionIsRefusedByName(t *testing.T) {
	for text, name := range map[string]string{"$ANSIBLE_VAULT;1.1;AES256\n3132": "Ansible Vault", "gAAAAABkZm9vYmFy": "Fernet"} {
		at, _ := place(t, "")
		if err := os.WriteFile(at.file(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := load(at, Passwords{}, cheap)
		if !errors.Is(err, ErrCipher) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "wallet import") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWrongPasswordIsCalledThat(t *testing.T) {
	at, _ := place(t, "right")
	_, err := load(at, Passwords{Given: NewPassword("wrong")}, cheap)
	if !errors.Is(err, ErrPassword) || !strings.Contains(err.Error(), "wrong password") || strings.Contains(err.Error(), "right") {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(at.file(), []byte(naclPrefix+"short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := load(at, Passwords{Given: NewPassword("right")}, cheap); !errors.Is(err, ErrForm) {
		t.Errorf("cut short: %v", err)
	}
}

func TestWherePasswordsComeFrom(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string, mode fs.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const path = "/net/wallets/demo/hotkeys/v0.1"
	const variable = "BT_PW__NET_WALLETS_DEMO_HOTKEYS_V0_1"
	file := put("file", "from file\nsecond line\n", 0o600)
	put("credentials/wallet-password", "from credential\r\n", 0o440)
	credentials := filepath.Join(dir, "credentials")
	env := func(value string) func(string) (string, bool) {
		return func(name string) (string, bool) { return value, name == variable }
	}
	mixed := []byte("from environment")
	for i := range mixed {
		mixed[i] ^= variable[i]
	}
	value := base64.StdEncoding.EncodeToString(mixed)
	ask := func(string) (Password, error) { return NewPassword("from prompt"), nil }

	for _, c := range []struct {
		name string
		from Passwords
		want string
		err  string
	}{
		{"given first", Passwords{NewPassword("given"), file, credentials, env(value), ask}, "given", ""},
		{"then the file", Passwords{Password{}, file, credentials, env(value), ask}, "from file", ""},
		{"then systemd", Passwords{Password{}, "", credentials, env(value), ask}, "from credential", ""},
		{"then the environment", Passwords{Password{}, "", dir, env(value), ask}, "from environment", ""},
		{"a variable that is no base64", Passwords{Password{}, "", "", env("x"), ask}, "", "not base64"},
		{"a person", Passwords{Prompt: ask}, "from prompt", ""},
		{"another key's variable", Passwords{Lookup: func(n string) (string, bool) { return value, n == variable+"X" }, Prompt: ask}, "from prompt", ""},
		{"nobody", Passwords{}, "", "--wallet.password_file"},
		{"credential named as file", Passwords{File: filepath.Join(credentials, "wallet-password"), Credentials: credentials}, "from credential", ""},
		{"file that is not there", Passwords{File: filepath.Join(dir, "none"), Prompt: ask}, "", "no such file"},
		{"file that others may read", Passwords{File: put("loose", "x", 0o644)}, "", "chmod 600"},
		{"empty file", Passwords{File: put("empty", "\nx", 0o600)}, "", "empty"},
		{"endless file", Passwords{File: put("endless", strings.Repeat("x", maxPassword+1), 0o600)}, "", "larger"},
		{"empty variable", Passwords{Lookup: env("")}, "", "empty"},
		{"endless variable", Passwords{Lookup: env(strings.Repeat("x", 2*maxPassword+1))}, "", "characters"},
	} {
		got, err := c.from.Of(path)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), value) {
				t.Errorf("%s: %v; want %q", c.name, err, c.err)
			}
			continue
		}
		if err != nil || got.Reveal() != c.want {
			t.Errorf("%s: %q, %v; want %q", c.name, got.Reveal(), err, c.want)
		}
	}
	if _, err := (Passwords{}).Of(path); !errors.Is(err, ErrNoPassword) {
		t.Error(err)
	}
	for _, way := range []string{"--wallet.password_file", "LoadCredential=", "BT_PW_"} {
		if !strings.Contains(ErrNoPassword.Error(), way) {
			t.Errorf("%s is not named", way)
		}
	}
}

func TestPlainKeyNeedsNoPassword(t *testing.T) {
	at, _ := place(t, "")
	from := Passwords{Prompt: func(string) (Password, error) { return Password{}, errors.New("asked") }}
	if _, err := load(at, from, cheap); err != nil {
		t.Error(err)
	}
}

// In a test standard input is no terminal.
func TestNoPromptWithoutATerminal(t *testing.T) {
	if p := SystemPasswords(context.Background(), ""); p.Prompt != nil {
		t.Skip("run by hand on a terminal")
	}
}

func TestColdkey(t *testing.T) {
	at, _ := place(t, "")
	if _, err := Coldkey(at); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	alice, bob := chain.Coldkey(fromURI(t, "//Alice").Hotkey()), chain.Coldkey(fromURI(t, "//Bob").Hotkey())
	for range 2 {
		if err := SaveColdkey(at, alice); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := Coldkey(at); err != nil || got != alice {
		t.Errorf("%s, %v", got, err)
	}
	if err := SaveColdkey(at, bob); !errors.Is(err, ErrExists) {
		t.Errorf("another: %v", err)
	}
	if err := SaveColdkey(at, "nobody"); !errors.Is(err, chain.ErrAddressForm) {
		t.Errorf("no address: %v", err)
	}
	// Others may read an address.
	if err := os.Chmod(at.coldkey(), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := Coldkey(at); err != nil || got != alice {
		t.Errorf("%s, %v", got, err)
	}
}

// A coldkey's file is not opened, whatever it holds and whoever may read it.
func TestColdkeyFileIsNotOpened(t *testing.T) {
	at, _ := place(t, "")
	coldkey := filepath.Join(at.dir(), "coldkey")
	if err := unix.Mkfifo(coldkey, 0o666); err != nil { // whoever opens it for reading only waits
		t.Fatal(err)
	}
	if _, err := List(at.Path); err != nil {
		t.Error(err)
	}
	if _, err := load(at, Passwords{}, cheap); err != nil {
		t.Error(err)
	}
}

func TestList(t *testing.T) {
	at, alice := place(t, "")
	bob := fromURI(t, "//Bob")
	save := func(name, hotkey, password string) Location {
		l := Location{at.Path, name, hotkey}
		if err := bob.save(l, NewPassword(password), false, cheap); err != nil {
			t.Fatal(err)
		}
		return l
	}
	save("demo", "locked", "secret")
	loose := save("demo", "loose", "")
	hidden := save("demo", "unknown", "secret")
	broken := save("other", "broken", "")
	for _, err := range []error{
		os.Chmod(loose.file(), 0o644), os.Chmod(save("demo", "open", "secret").file(), 0o644), os.Remove(hidden.public()), os.WriteFile(broken.file(), []byte("{}"), 0o600),
		os.WriteFile(filepath.Join(at.Path, "a file"), nil, 0o600), os.Mkdir(filepath.Join(at.Path, ".hidden"), 0o700), os.Mkdir(filepath.Join(at.Path, "bare"), 0o777),
		os.Chmod(filepath.Join(at.Path, "bare"), 0o777), os.Symlink(filepath.Join(at.Path, "other"), filepath.Join(at.Path, "also")),
		SaveColdkey(at, chain.Coldkey(bob.Hotkey())),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	all, err := List(at.Path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range all {
		got = append(got, fmt.Sprintf("%s %s %d", w.Name, w.Coldkey, len(w.Problems)))
		for _, e := range w.Hotkeys {
			got = append(got, fmt.Sprintf("- %s %s %v %v", e.Name, e.Hotkey, e.Encrypted, e.Problem != nil))
		}
	}
	a, b := alice.Hotkey(), bob.Hotkey()
	want := []string{
		"also  0", fmt.Sprintf("- broken %s false true", b),
		"bare  1",
		fmt.Sprintf("demo %s 0", b),
		fmt.Sprintf("- locked %s true false", b), fmt.Sprintf("- loose %s false true", b), fmt.Sprintf("- open %s true true", b), "- unknown  true false", fmt.Sprintf("- v0 %s false false", a),
		"other  0", fmt.Sprintf("- broken %s false true", b),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if _, err := List(filepath.Join(at.Path, "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := os.WriteFile(at.public(), mustPublic(t, bob), 0o600); err != nil {
		t.Fatal(err)
	}
	if e := describe(at); !errors.Is(e.Problem, ErrMismatch) || e.Hotkey != a {
		t.Errorf("public half of another: %+v", e)
	}
}

func mustPublic(t *testing.T, k *Key) []byte {
	t.Helper()
	b, err := encodePublic(k.public)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEncryptedRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plain, password := rapid.SliceOf(rapid.Byte()).Draw(t, "plain"), rapid.String().Draw(t, "password")
		b, err := encrypt(plain, NewPassword(password), cheap)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decrypt(b, NewPassword(password), cheap); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%x, %v", got, err)
		}
		b[rapid.IntRange(len(naclPrefix), len(b)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		if _, err := decrypt(b, NewPassword(password), cheap); !errors.Is(err, ErrPassword) {
			t.Fatalf("changed: %v", err)
		}
	})
}

func FuzzFromURI(f *testing.F) {
	for _, v := range keyVectors(f) {
		f.Add(v.URI)
	}
	f.Add("//a/b///c")
	f.Fuzz(func(t *testing.T, uri string) {
		k, err := FromURI(uri)
		if err != nil {
			if !errors.Is(err, ErrURI) {
				t.Errorf("untyped error: %v", err)
			}
			return
		}
		b, err := k.encode()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := decode(b); err != nil || again.public != k.public {
			t.Errorf("%v, %v", again, err)
		}
	})
}

func FuzzKeyFile(f *testing.F) {
	f.Add(testdata(f, "hotkey_file_example.json"))
	f.Add(testdata(f, "coldkeypub_example.json"))
	f.Add([]byte(naclPrefix + strings.Repeat("x", 60)))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, read := range []func() error{
			func() error { _, err := decode(b); return err },
			func() error { _, err := decrypt(b, NewPassword("x"), cheap); return err },
		} {
			err := read()
			ok := err == nil
			for _, known := range []error{ErrForm, ErrMismatch, ErrKind, ErrURI, ErrPassword} {
				ok = ok || errors.Is(err, known)
			}
			if !ok {
				t.Errorf("untyped error: %v", err)
			}
		}
	})
}

func FuzzPasswordVariable(f *testing.F) {
	f.Add("BT_PW_X", "AAAA")
	f.Fuzz(func(t *testing.T, name, value string) {
		if name == "" {
			return
		}
		pw, err := fromVariable(name, value)
		if err == nil && pw.IsZero() {
			t.Error("an empty password")
		}
	})
}

func BenchmarkSign(b *testing.B) {
	b.ReportAllocs()
	k := fromURI(b, "//Alice")
	msg := make([]byte, 32)
	for b.Loop() {
		if _, err := k.Sign(msg); err != nil {
			b.Fatal(err)
		}
	}
}

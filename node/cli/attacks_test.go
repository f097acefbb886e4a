package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestA10AddressIsGivenByHand: a node announces what it was told to and asks
// nobody for its own address; what nobody can reach is refused at the start.
func TestA10AddressIsGivenByHand(t *testing.T) {
	for _, r := range []role{forValidator, forMiner} {
		if a := mustSettle(t, r, nil, nil).axon(); a.IP != "" {
			t.Errorf("%v announces %q, which nobody gave", r, a.IP)
		}
		if a := mustSettle(t, r, []string{"--axon.external_ip", "8.8.4.4"}, nil).axon(); a.IP != "8.8.4.4" {
			t.Errorf("%v announces %q", r, a.IP)
		}
		for _, ip := range []string{"127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "203.0.113.5", "::1", "fe80::1", "fd00::1", "::ffff:10.0.0.1"} {
			if _, err := settle(t, r, []string{"--axon.external_ip", ip}, nil); err == nil || !strings.Contains(err.Error(), "nobody can reach") {
				t.Errorf("%v with %s: %v", r, ip, err)
			}
		}
	}
}

// TestA16RestoreTakesNoForeignState: a folder of pickles is no backup, whatever it
// is called, and the store that is there stays as it was.
func TestA16RestoreTakesNoForeignState(t *testing.T) {
	pickle := []byte("\x80\x04cos\nsystem\n(S'touch run'\ntR.") // runs a command where it is unpacked
	dir := filepath.Join(t.TempDir(), "store")
	validatorStore(t, dir)
	from := t.TempDir()
	for _, name := range []string{"state.pt", "validator.db", "CURRENT", "MANIFEST-000001", "000002.log", "OPTIONS-000003"} {
		if err := os.WriteFile(filepath.Join(from, name), pickle, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code, out, errs := run(t, "store", "restore", "--dir", dir, from); code == 0 {
		t.Errorf("restored from pickles: %s%s", out, errs)
	}
	if code, out, errs := run(t, "store", "verify", "--dir", dir); code != 0 {
		t.Errorf("the store is not what it was: exit code %d\n%s%s", code, out, errs)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "*")); err != nil || len(left) != 1 {
		t.Errorf("beside the store: %v, %v", left, err)
	}
}

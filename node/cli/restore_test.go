package cli

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestH13RestoreTakesLocalDirectoriesOnly: what takes the place of a store is a
// directory of this machine. An address is a name of a directory that is not
// there, and nobody is asked.
func TestH13RestoreTakesLocalDirectoriesOnly(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		if c, err := ln.Accept(); err == nil {
			c.Close()
			t.Error("restore asked an address for a backup")
		}
	}()
	dir := filepath.Join(t.TempDir(), "store")
	for _, from := range []string{"http://" + ln.Addr().String() + "/backup", "https://" + ln.Addr().String(), "ftp://" + ln.Addr().String() + "/b", ln.Addr().String() + ":/backup"} {
		if code, out, errs := run(t, "store", "restore", "--dir", dir, from); code != int(File) {
			t.Errorf("%s: exit code %d, want %d\n%s%s", from, code, File, out, errs)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: a store was made of it", from)
		}
	}
	ln.Close()
	<-asked
}

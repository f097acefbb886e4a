package web

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPortsAreReadBack(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadPorts(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	for _, want := range []Ports{{Role: "miner", Hotkey: "5F", PID: 1, HTTP: "127.0.0.1:1"}, {Role: "validator", Hotkey: "5G", PID: 2, HTTP: "127.0.0.1:2", Axon: "0.0.0.0:8091"}} {
		if err := WritePorts(dir, want); err != nil {
			t.Fatal(err)
		}
		got, err := ReadPorts(dir)
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%v %s", err, d)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, portsFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for range 2 {
		if err := RemovePorts(dir); err != nil {
			t.Error(err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := WritePorts(filepath.Join(dir, "none"), Ports{}); err == nil {
		t.Error("written to a directory that is not there")
	}
}

func TestPortsOfGarbage(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "no JSON": "HTTP=1", "no address": `{"pid":1}`, "a list": "[]", "endless": `{"http":"` + strings.Repeat("x", maxPorts) + `"}`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, portsFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if p, err := ReadPorts(dir); err == nil {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func FuzzPorts(f *testing.F) {
	f.Add([]byte(`{"role":"miner","hotkey":"5F","pid":1,"http":"127.0.0.1:1"}`))
	f.Add([]byte(`{"http":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := decodePorts(data); err == nil && p.HTTP == "" {
			t.Errorf("no address in %q", data)
		}
	})
}

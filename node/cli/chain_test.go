package cli

import (
	"path/filepath"
	"testing"

	"github.com/urfave/cli/v2"
)

// Only chains on this machine are taken for chains for tests.
func TestOnlyLoopbackChainsAreLazy(t *testing.T) {
	for _, x := range []struct {
		network   string
		endpoints []string
		lazy      bool
	}{
		{"finney", nil, false},
		{"test", nil, false},
		{"local", nil, true},
		{"finney", []string{"ws://127.0.0.1:9944"}, true},
		{"finney", []string{"ws://[::1]:9944", "ws://localhost:1"}, true},
		{"local", []string{"ws://127.0.0.1:9944", "wss://chain.example"}, false},
		{"finney", []string{"wss://127.0.0.1.example"}, false},
	} {
		r := Resolved{origins: map[string]origin{}}
		r.Network, r.Endpoints = x.network, x.endpoints
		if got := r.asking(30).Lazy; got != x.lazy {
			t.Errorf("%s %v: lazy %v, want %v", x.network, x.endpoints, got, x.lazy)
		}
	}
}

func TestJournalLiesInTheHomeDirectory(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("BETTENSOR_JOURNAL", "")
	var got []string
	app := &cli.App{Flags: []cli.Flag{journalFlag()}, Action: func(c *cli.Context) error {
		dir, err := journalDir(c, "test")
		got = append(got, dir)
		return err
	}}
	for _, args := range [][]string{{"x"}, {"x", "--journal", home}} {
		if err := app.Run(args); err != nil {
			t.Fatal(err)
		}
	}
	if got[0] != filepath.Join(home, ".bettensor", "test", "extrinsics") || got[1] != home {
		t.Errorf("%q", got)
	}
}

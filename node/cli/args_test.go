package cli

import (
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

func TestArrange(t *testing.T) {
	app := &cli.App{Commands: []*cli.Command{{Name: "sim", Subcommands: []*cli.Command{{Name: "run",
		Flags: []cli.Flag{&cli.IntFlag{Name: "seed"}, &cli.BoolFlag{Name: "quiet"}, &cli.StringSliceFlag{Name: "set"}}}}}}}
	for _, c := range []struct{ name, in, want string }{
		{"flags after the file", "b sim run f.yaml --seed 7 --quiet", "b sim run --seed 7 --quiet f.yaml"},
		{"flags before", "b sim run --seed 7 f.yaml", "b sim run --seed 7 f.yaml"},
		{"value with =", "b sim run f.yaml --seed=7 g", "b sim run --seed=7 f.yaml g"},
		{"a truth flag takes no value", "b sim run --quiet f.yaml", "b sim run --quiet f.yaml"},
		{"repeated", "b sim run f --set a=1 --set b=2", "b sim run --set a=1 --set b=2 f"},
		{"unknown flag is kept for the error", "b sim run f --sede 7", "b sim run --sede f 7"},
		{"a dash is an argument", "b sim run - --quiet", "b sim run --quiet -"},
		{"after -- nothing moves", "b sim run f -- --quiet", "b sim run -- f --quiet"},
		{"no command", "b --version", "b --version"},
		{"nothing", "b", "b"},
		{"flag without its value", "b sim run f --seed", "b sim run --seed f"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(Arrange(app, strings.Fields(c.in)), " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

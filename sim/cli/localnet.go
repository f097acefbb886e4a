package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"bettensor/sim"
	"bettensor/sim/localnet"

	"github.com/urfave/cli/v2"
)

// localRPC is where `--subtensor.network local` looks for a chain.
const localRPC = "127.0.0.1:9944"

// localnetStop bounds the end of a local network: its nodes need ten seconds at most.
const localnetStop = 20 * time.Second

// Localnet is the command `localnet`.
func Localnet() *cli.Command {
	return &cli.Command{
		Name:  "localnet",
		Usage: "run a whole subnet on this machine: chain, games, validators and miners on loopback sockets",
		Description: "Any Substrate client can use the chain, any client of the games API the feed. Nodes join from outside with\n" +
			"the commands it prints. Without --dir everything lies in a temporary folder, which is removed at the end.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "dir", Usage: "keep wallets, ports and stores in `DIR`; an earlier run there is cleared away: its stores, and its hotkeys"},
			&cli.StringFlag{Name: "rpc-listen", Usage: "`ADDRESS` of the chain's endpoint (default: " + localRPC + ", or a free port where that is taken)"},
			&cli.StringFlag{Name: "feed-listen", Value: "127.0.0.1:0", Usage: "`ADDRESS` of the games feed"},
			&cli.IntFlag{Name: "validators", Value: 1, Usage: "that run here"},
			&cli.IntFlag{Name: "miners", Value: 8, Usage: "that run here"},
			&cli.Float64Flag{Name: "speed", Value: 1, Usage: fmt.Sprintf("of the nodes' clock against the wall's, 1 to %d: 60 is an hour a minute", localnet.MaxSpeed)},
			&cli.BoolFlag{Name: "commit-reveal", Usage: "have the subnet ask for timelocked weights"},
			&cli.DurationFlag{Name: "churn", Usage: "cut one connection between a miner and a validator each `TIME`, and every tenth time those to the chain (default: none)"},
			&cli.StringFlag{Name: "record", Usage: "record each validator that runs here in a folder of its name in `DIR`, for bettensor replay"},
			&cli.DurationFlag{Name: "for", Usage: "end after so much wall time (default: at Ctrl-C)"},
			&cli.StringFlag{Name: "json", Usage: "write at the end to `FILE` which predictions of each miner were confirmed, and whether the books of both sides are equal"},
		},
		Action: runLocalnet,
	}
}

// typed are the words by which this program is called from another terminal: as
// it was, where the shell found it, and by its path where somebody named one.
func typed() []string {
	path, err := os.Executable()
	switch {
	case err != nil || !strings.ContainsRune(os.Args[0], filepath.Separator):
		return os.Args[:1]
	case strings.Contains(path, "go-build"): // what `go run` made
		return []string{"go", "run", "."}
	}
	return []string{path}
}

func runLocalnet(c *cli.Context) (err error) {
	if c.NArg() > 0 {
		return fail(exitBad, "unexpected argument %q", c.Args().First())
	}
	if c.Duration("for") < 0 {
		return fail(exitBad, "--for must not be negative")
	}
	dir, temporary := c.String("dir"), false
	if dir == "" {
		if dir, err = os.MkdirTemp("", "bettensor-localnet-"); err != nil {
			return fail(exitBad, "%w", err)
		}
		temporary = true
		defer os.RemoveAll(dir)
		defer removeAtOnce(dir)()
	}
	// What is printed is typed into other terminals, which may stand elsewhere.
	if dir, err = filepath.Abs(dir); err != nil {
		return fail(exitBad, "%w", err)
	}
	ctx := c.Context
	if d := c.Duration("for"); d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	o := localnet.Options{Dir: dir, RPCListen: c.String("rpc-listen"), FeedListen: c.String("feed-listen"),
		Validators: c.Int("validators"), Miners: c.Int("miners"), Speed: c.Float64("speed"), CommitReveal: c.Bool("commit-reveal"),
		Churn: c.Duration("churn"), Record: c.String("record"),
		Version: c.App.Version, Log: slog.New(slog.NewTextHandler(c.App.ErrWriter, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	if o.RPCListen == "" {
		o.RPCListen = localRPC
		if !localnet.Free(localRPC) {
			o.RPCListen = "127.0.0.1:0"
		}
	}
	n, err := localnet.Start(ctx, o)
	if err != nil {
		return fail(exitBad, "localnet: %w", err)
	}
	tell(c.App.Writer, n, c, dir, temporary)
	<-ctx.Done()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), localnetStop)
	defer cancel()
	stopped := n.Stop(stop)
	err = tellBooks(c, n)
	if stopped != nil {
		return fail(exitBad, "localnet: %w", errors.Join(stopped, err))
	}
	return err
}

// removeTries bounds how often a folder is removed into which others still write.
const removeTries = 20

// removeAtOnce removes a folder also where a second Ctrl-C ends the program in
// the middle of its orderly end, and keeps the program from ending without a word
// where nobody reads its output any more. The function it returns gives that up.
func removeAtOnce(dir string) func() {
	signal.Ignore(syscall.SIGPIPE)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for n := 1; ; n++ {
			select {
			case <-over:
				return
			case s := <-signals:
				if n == 1 {
					continue // the first one asks for an orderly end
				}
				for range removeTries {
					if os.RemoveAll(dir) == nil {
						break
					}
				}
				number, _ := s.(syscall.Signal)
				os.Exit(128 + int(number))
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		signal.Reset(syscall.SIGPIPE)
		close(over)
		<-ended
	}
}

// tell prints how to use the network. Last comes the line that says so.
func tell(w io.Writer, n *localnet.Network, c *cli.Context, dir string, temporary bool) {
	kept := ""
	if temporary {
		kept = " (removed at the end)"
	}
	fmt.Fprintf(w, "directory   %s%s\nchain       %s\ngames feed  %s\nrunning     %s, %s\n\n", dir, kept, n.RPC(), n.Feed(), sim.Counted(c.Int("validators"), "validator"), sim.Counted(c.Int("miners"), "miner"))
	fmt.Fprintln(w, "To join from outside, each in a terminal of its own:")
	lines := n.Commands(typed())
	for _, line := range lines {
		fmt.Fprintf(w, "  %s\n", line)
	}
	if len(lines) == 0 {
		fmt.Fprintln(w, "  (every hotkey runs here; begin with --validators 0 or --miners 7 to leave one)")
	}
	fmt.Fprintf(w, "\nready: %s\n", n.RPC())
}

// tellBooks tells what is in the books, and fails where they are not equal.
func tellBooks(c *cli.Context, n *localnet.Network) error {
	r, err := n.Report()
	if err != nil {
		return fail(exitBad, "the nodes' books: %w", err)
	}
	if c.Duration("churn") > 0 {
		fmt.Fprintf(c.App.Writer, "churn: %d connections between peers cut, %d times those to the chain\n", r.Churn.Peers, r.Churn.Chain)
	}
	_, err = fmt.Fprintf(c.App.Writer, "books: %s\n", r.Books)
	if path := c.String("json"); path != "" {
		err = errors.Join(err, writeJSON(path, r))
	}
	if err != nil {
		return fail(exitBad, "localnet: %w", err)
	}
	if !r.Books.Equal {
		return fail(sim.ExitSafety, "the books of miners and validators are not equal:\n%s", strings.Join(r.Books.Differences, "\n"))
	}
	return nil
}

func writeJSON(path string, v any) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	e := json.NewEncoder(f)
	e.SetIndent("", "  ")
	if err := errors.Join(e.Encode(v), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

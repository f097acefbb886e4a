package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"

	"bettensor/node/web"
)

// fewTroubles of a service's peers are told of; --json has them all.
const fewTroubles = 5

// waitLimit is how long `status --wait` waits by default: a validator's store is
// read within seconds, and the first metagraph takes a few requests.
const waitLimit = 2 * time.Minute

// Status is the command `status`: what a running node is doing.
func Status() *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "print what a running node is doing, or wait until it is ready",
		Description: "The node is the one at --http.listen, or the one whose store is --store.dir, or the only\n" +
			"one that runs on this machine with directories of its own choice.\n" +
			"Exit codes: 0 it answered (and is ready, with --wait) · 10 nobody listens · 15 it did not get ready in time.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "http.listen", Usage: "`ADDRESS` of the node, HOST:PORT or http://HOST:PORT", EnvVars: []string{variable("http.listen")}},
			&cli.PathFlag{Name: "store.dir", Usage: "`DIR` of the node's store", EnvVars: []string{variable("store.dir")}},
			&cli.BoolFlag{Name: "json", Usage: "print readiness and all figures as JSON"},
			&cli.StringFlag{Name: "wait", Usage: "wait until the node is `ready`"},
			&cli.DurationFlag{Name: "timeout", Usage: "of the wait", Value: waitLimit},
		},
		Action: status,
	}
}

func status(c *cli.Context) error {
	switch {
	case c.NArg() > 0:
		return usage(c, "unexpected argument %q", c.Args().First())
	case c.IsSet("wait") && c.String("wait") != "ready":
		return usage(c, "--wait %q: a node can be waited for until it is ready: --wait ready", c.String("wait"))
	case c.Duration("timeout") <= 0:
		return usage(c, "--timeout must be above 0")
	}
	if c.IsSet("wait") {
		if err := awaitReady(c, c.Duration("timeout")); err != nil {
			return err
		}
	}
	found, err := findNode(c)
	if err != nil {
		return err
	}
	address := found.HTTP
	health, err := web.Client{Address: address}.Ready(c.Context)
	if err != nil {
		return unreached(err)
	}
	stats, err := askStats(c.Context, found)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		out := json.NewEncoder(c.App.Writer)
		out.SetIndent("", " ")
		return out.Encode(struct {
			Address string       `json:"address"`
			Ready   web.Health   `json:"ready"`
			Stats   web.Snapshot `json:"stats"`
		}{address, health, stats})
	}
	return printStatus(c.App.Writer, address, health, &stats)
}

func unreached(err error) error {
	try := ""
	if errors.Is(err, web.ErrNobody) {
		try = "bettensor validator --help, or name the node: bettensor status --http.listen HOST:PORT"
	}
	return &ExitError{Network, err, try}
}

// waitTick is how often a node that is waited for is looked for and asked.
const waitTick = 200 * time.Millisecond

// awaitReady waits until the node that is meant is ready. It is looked for again
// each time: one that is being started may not have told where it listens, or
// somebody before it has.
func awaitReady(c *cli.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(c.Context, limit)
	defer cancel()
	tick := time.NewTicker(waitTick)
	defer tick.Stop()
	var last error // why not, most lately
	for {
		found, err := findNode(c)
		var wrong *ExitError
		if errors.As(err, &wrong) && wrong.Code == Usage {
			return err
		}
		if err == nil {
			var health web.Health
			switch health, err = (web.Client{Address: found.HTTP}).Ready(ctx); {
			case err != nil:
				err = unreached(err)
			case !health.OK:
				err = &ExitError{Deadline, fmt.Errorf("the node at %s is not ready after %v: %s", found.HTTP, limit, against(health)), "bettensor status --http.listen " + found.HTTP}
			default:
				if _, err = askStats(ctx, found); err == nil {
					return nil
				}
			}
		}
		if ctx.Err() == nil || last == nil { // else only the time is over
			last = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if err := c.Context.Err(); err != nil {
				return err
			}
			return last
		}
	}
}

// askStats asks a node for its figures, and sees that it is the one that is meant:
// where a node has crashed, another one may have got its port.
func askStats(ctx context.Context, of web.Ports) (web.Snapshot, error) {
	s, err := web.Client{Address: of.HTTP}.Stats(ctx)
	if err != nil {
		return s, unreached(err)
	}
	if of.Hotkey != "" && s.Hotkey != of.Hotkey {
		return s, &ExitError{Network, fmt.Errorf("at %s the node of %s answers, not that of %s", of.HTTP, plain(s.Hotkey), plain(of.Hotkey)), "bettensor status --http.listen HOST:PORT"}
	}
	return s, nil
}

// alive says whether the process of a ports file runs; one that tells of none may.
func alive(p web.Ports) bool {
	return p.PID <= 0 || !errors.Is(syscall.Kill(p.PID, 0), syscall.ESRCH)
}

// findNode is where the node that is meant listens, one of some roles where any are
// given. What a crash has left behind does not count.
func findNode(c *cli.Context, roles ...role) (web.Ports, error) {
	if a := c.String("http.listen"); a != "" {
		// As localnet's ports.json and a node's own log write it.
		return web.Ports{HTTP: strings.TrimSuffix(strings.TrimPrefix(a, "http://"), "/")}, nil
	}
	if dir := c.Path("store.dir"); dir != "" {
		dir = filepath.Clean(dir)
		p, err := web.ReadPorts(dir + runSuffix)
		if err != nil { // in its default place a node's directory holds its store
			if own, ownErr := web.ReadPorts(filepath.Dir(dir)); ownErr == nil {
				p, err = own, nil
			}
		}
		if err == nil && !alive(p) {
			err = fmt.Errorf("process %d, which had it, is gone", p.PID)
		}
		if err != nil {
			return web.Ports{}, &ExitError{Network, fmt.Errorf("no running node has the store %s: %w", dir, err), "bettensor status --http.listen HOST:PORT"}
		}
		return p, nil
	}
	var found []web.Ports
	for _, base := range bases() {
		found = append(found, web.FindPorts(base)...)
	}
	found = slices.DeleteFunc(found, func(p web.Ports) bool {
		return !alive(p) || len(roles) > 0 && !slices.ContainsFunc(roles, func(r role) bool { return r.String() == p.Role })
	})
	switch len(found) {
	case 0:
		return web.Ports{HTTP: defaultHTTP}, nil
	case 1:
		return found[0], nil
	}
	var lines strings.Builder
	for _, p := range found {
		fmt.Fprintf(&lines, "\n%s %s: --http.listen %s", plain(p.Role), plain(p.Hotkey), plain(p.HTTP))
	}
	return web.Ports{}, usage(c, "%d nodes run here, say which one is meant%s", len(found), lines.String())
}

// runSuffix is what a node adds to --store.dir for the directory that holds its
// ports file.
const runSuffix = "-run"

// bases are where nodes keep directories of their own.
func bases() []string {
	out := []string{"/var/lib/bettensor"}
	if dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); dir != "" && dir != out[0] {
		out = append(out, dir)
	}
	if home, err := os.UserHomeDir(); err == nil {
		out = append(out, filepath.Join(home, ".bettensor"))
	}
	return out
}

// plain is a text without what a terminal would obey: parts of it may be a
// peer's.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

// counted is a number of things: 1 validator, 2 validators.
func counted[T integer](n T, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func against(h web.Health) string {
	var out []string
	for _, r := range h.Reasons {
		out = append(out, plain(r.Code+" ("+r.Why+")"))
	}
	return strings.Join(out, "; ")
}

// printStatus writes the figures for people: a line for each thing that they ask
// about, and none for what the node does not have.
func printStatus(w io.Writer, address string, health web.Health, s *web.Snapshot) error {
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", what, plain(fmt.Sprintf(format, args...)))
	}
	ago := func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		return s.At.Sub(t).Round(time.Second).String() + " ago"
	}

	slot := "no slot"
	if s.UID != nil {
		slot = fmt.Sprintf("UID %d", *s.UID)
	}
	line(s.Role, "%s, subnet %d, %s, %s", s.Network, s.Netuid, slot, s.Hotkey)
	line("program", "%s, started %s, http://%s/", s.Version, ago(s.Started), address)
	if health.OK {
		line("ready", "yes")
	} else {
		line("ready", "no: %s", against(health))
	}
	for _, a := range s.Alarms {
		line("ALARM", "%s, raised %s: %s", a.Code, ago(a.Since), a.Why)
		line("", "%s (%s)", a.Code.Fix(), a.Code.Runbook())
	}
	if x := s.Chain; x != nil {
		up := "answers"
		if !x.Up {
			up = "DOES NOT ANSWER"
		}
		line("chain", "block %d, %s; finalised %d; %s %s", x.Head, ago(x.HeadAt), x.Finalized, x.Endpoint, up)
	}
	if n := s.Node; n != nil {
		count := func(service, name string) uint64 { v, _ := n.Service(service).Counts.Get(name); return v }
		if x := n.Service("weights").Weights; x != nil {
			shadow := ""
			if x.Shadow {
				shadow = "SHADOW, not set; "
			}
			last := "none on the chain"
			if x.Update > 0 {
				last = fmt.Sprintf("last update in block %d, %d blocks ago", x.Update, x.Since)
			}
			line("weights", "%sepoch %d; %s; outcome of the last epoch: %s", shadow, x.Epoch, last, x.Outcome)
			if x.RevealAt > 0 {
				line("", "committed weights are revealed at block %d", x.RevealAt)
			}
			if why := n.Service("weights").Reason; why != "" {
				line("", "%s", why)
			}
		}
		if s.Role == "miner" {
			line("validators", "%d in session of %d", count("communication", "sessions"), count("communication", "validators"))
			line("predictions", "%d held, %d submitted, %d confirmed, %d rejected", count("predictions", "held"), count("communication", "submitted"),
				count("communication", "confirmed"), count("communication", "rejected"))
		} else {
			line("sessions", "%d, of %s", count("communication", "sessions"), counted(count("communication", "connections"), "connection"))
			rejected := uint64(0)
			for _, x := range n.Service("predictions").Counts {
				if strings.HasPrefix(x.Name, "rejected_") {
					rejected += x.Value
				}
			}
			line("predictions", "%d held, %d stored, %d duplicates, %d rejected", count("predictions", "held"), count("predictions", "stored"), count("predictions", "duplicates"), rejected)
		}
		unsettled := count("games", "unsettled_3h") + count("games", "unsettled_1d") + count("games", "unsettled_older")
		line("games", "%d known, %d begun and without a result", count("games", "known"), unsettled)
		for _, x := range s.Feeds {
			quota := ""
			if x.QuotaLeft != nil {
				quota = fmt.Sprintf("; %.0f requests left", *x.QuotaLeft)
			}
			line("feed", "%s answered %s%s", x.Name, ago(x.Good), quota)
		}
		for _, x := range n.Services {
			if x.State != "ok" {
				line("service", "%s is %s: %s", x.Name, x.State, x.Reason)
			}
			for _, t := range x.Troubles[:min(len(x.Troubles), fewTroubles)] {
				line("peer", "%s: %s, %d times since %s: %s → %s", t.Hotkey, t.Code, t.Times, ago(t.Since), t.Why, t.Code.Fix())
			}
			if more := len(x.Troubles) - fewTroubles; more > 0 {
				line("", "and %d more of %s, see --json", more, x.Name)
			}
		}
		for _, t := range n.Tasks {
			if t.LastErr != "" {
				line("task", "%s failed in its last run: %s", t.Name, t.LastErr)
			}
		}
	}
	if s.Falls > 0 {
		line("falls", "built again %s, last: %s", counted(s.Falls, "time"), s.LastFall)
	}
	if x := s.Recording; x != nil && x.Error != "" {
		line("recording", "ENDED EARLY at %d MiB in %s: %s", x.Bytes>>20, x.Dir, x.Error)
	}
	if x := s.Store; x != nil {
		line("store", "%s, %d MiB free", x.Dir, x.Free>>20)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

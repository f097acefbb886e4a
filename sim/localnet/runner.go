package localnet

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	node "bettensor/node/cli"
	"bettensor/node/web"

	"github.com/urfave/cli/v2"
)

// runner is a node that runs here.
type runner struct {
	name, role string
	args       []string
	dir        string // its directory, beside its store
	log        *os.File
	relay      *relay // before a validator's axon, nil without churn
	done       chan struct{}
	err        error // valid once done is closed
}

// Intervals of the nodes that run here, by the wall clock: somebody watches.
const (
	axonSeen   = time.Second     // within which a miner sees a new axon, and half of that again to dial it
	redialMost = 2 * time.Second // between tries
	feedEvery  = 5 * time.Second
	scoreEvery = time.Minute
)

// models of the miners that run here, in turn: those that have an opinion on most
// games long before they start.
var models = [...]string{"value", "blend", "elo", "poisson", "confidence"}

// add plans a node. What it is given is what anybody would type.
func (n *Network) add(name, role string, more ...string) *runner {
	dir := filepath.Join(n.o.Dir, "nodes", name)
	r := &runner{name: name, role: role, dir: filepath.Join(dir, "store-run"), done: make(chan struct{})}
	r.args = append([]string{role}, n.Flags(name)...)
	r.args = append(r.args, "--store.dir", filepath.Join(dir, "store"), "--http.listen", "127.0.0.1:0", "--logging.format", "text",
		"--metagraph.interval", n.nodeTime(axonSeen))
	r.args = append(r.args, more...)
	n.nodes = append(n.nodes, r)
	return r
}

// nodeTime is a time of the wall clock as the nodes' clock has it.
func (n *Network) nodeTime(wall time.Duration) string {
	return time.Duration(float64(wall) * n.o.Speed).String()
}

func (n *Network) addValidator(ctx context.Context, name string) error {
	r := n.add(name, "validator", "--axon.port", "0", "--axon.ip", "127.0.0.1", "--feed.url", n.games.URL(),
		"--feed.interval", n.nodeTime(feedEvery), "--scoring.interval", n.nodeTime(scoreEvery))
	if n.o.Record != "" {
		r.args = append(r.args, "--record", filepath.Join(n.o.Record, name))
	}
	if n.o.Churn == 0 {
		return nil
	}
	var err error
	if r.relay, err = newRelay(ctx); err != nil {
		return err
	}
	r.args = append(r.args, "--axon.external_port", strconv.Itoa(r.relay.addr().Port))
	return nil
}

func (n *Network) addMiner(i int) {
	r := n.add(fmt.Sprint("m", i), "miner", "--axon.off", "--model", models[i%len(models)],
		"--redial.first", (redialMost / 8).String(), "--redial.most", redialMost.String())
	if from := ownAddress(i); Free(net.JoinHostPort(from, "0")) {
		r.args = append(r.args, "--axon.dial_from", from)
	}
}

// ownAddress is the loopback address from which the i-th miner dials, so that
// limits by address apply to each alone. Some systems have 127.0.0.1 only.
func ownAddress(i int) string { return fmt.Sprintf("127.0.%d.%d", 1+i/200, 1+i%200) }

// launch starts a node; its lines go to a file of its own.
func (n *Network) launch(ctx context.Context, r *runner) (err error) {
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(filepath.Dir(r.dir), "log")
	if r.log, err = os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	n.wg.Add(1)
	go func() {
		defer n.wg.Done()
		defer close(r.done)
		if r.err = n.run(ctx, r.args, r.log); r.err != nil && ctx.Err() == nil {
			n.o.Log.Error("a node ended", "node", r.name, "err", r.err, "log", path)
		}
	}()
	return nil
}

// run runs a command of the program inside it until ctx ends.
func (n *Network) run(ctx context.Context, args []string, log io.Writer) error {
	app := &cli.App{Name: "bettensor", Version: n.o.Version, Writer: log, ErrWriter: log, DisableSliceFlagSeparator: true,
		Commands: []*cli.Command{node.Validator(), node.Miner()}}
	node.Inside(app)
	err := app.RunContext(ctx, node.Arrange(app, append([]string{app.Name}, args...)))
	if err != nil {
		fmt.Fprintln(log, err)
	}
	return err
}

// listens waits until a node has told where.
func (r *runner) listens(ctx context.Context) (NodePorts, error) {
	var out NodePorts
	err := until(ctx, func() (bool, error) {
		select {
		case <-r.done:
			return false, fmt.Errorf("ended at its start: %w", r.err)
		default:
		}
		p, err := web.ReadPorts(r.dir)
		if err != nil || p.Starting {
			return false, nil // not yet
		}
		out = NodePorts{Axon: p.Axon, HTTP: "http://" + p.HTTP}
		return true, nil
	})
	return out, err
}

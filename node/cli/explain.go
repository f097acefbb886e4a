package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"bettensor/node"
	"bettensor/node/chain"
	"bettensor/node/chain/substrate"
	"bettensor/node/ledger"
	"bettensor/store"
)

// explainWithin is how long the chain may take, where it is asked.
const explainWithin = 30 * time.Second

// unheard is how long a validator that is not in session may go without a poll
// before it counts as not reaching us: it polls every few minutes.
const unheard = time.Hour

func explainCommand() *cli.Command {
	return &cli.Command{
		Name:  "explain",
		Usage: "say how a miner stands, and what stands against it earning",
		Description: "The node is found as by `bettensor status`. Where --store.dir names the store of a miner that is\n" +
			"stopped, its store is read, and the chain where --subtensor.chain_endpoint or --subtensor.network is\n" +
			"given. The scores are an estimate: only validators have everybody's predictions.\n" +
			"Exit codes: 0 explained · 10 nobody listens · 12 the node is no miner, or the store is damaged · 16 no such store.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "http.listen", Usage: "`ADDRESS` of the node, HOST:PORT", EnvVars: []string{variable("http.listen")}},
			&cli.PathFlag{Name: "store.dir", Usage: "`DIR` of the miner's store", EnvVars: []string{variable("store.dir")}},
			&cli.StringFlag{Name: "hotkey", Usage: "`SS58` of the miner whose store is read, where its directory does not tell"},
			&cli.UintFlag{Name: "netuid", Usage: "`NUMBER` of the subnet, where the chain is asked", Value: 30, EnvVars: []string{variable("netuid")}},
			&cli.StringFlag{Name: "subtensor.network", Usage: "`NAME` of the chain to ask, for a stopped miner"},
			&cli.StringFlag{Name: "subtensor.chain_endpoint", Usage: "`URL` of the chain to ask, for a stopped miner"},
			&cli.StringFlag{Name: "config", Usage: "`FILE` of the miner's settings, for a stopped one"},
			&cli.StringFlag{Name: "miner.validator_min_stake", Usage: "`TAO` that the miner asks of a validator, for a stopped one"},
			&cli.BoolFlag{Name: "json", Usage: "print it as JSON"},
		},
		Action: explain,
	}
}

// explanation is what is printed: from where, and how the miner stands.
type explanation struct {
	From string `json:"from"` // the address of a node, or the directory of a store
	Live bool   `json:"live"`
	node.MinerReport
	Against []string `json:"against"` // what stands against earning, in plain words
}

func explain(c *cli.Context) error {
	if c.NArg() > 0 {
		return usage(c, "unexpected argument %q", c.Args().First())
	}
	x, err := askMiner(c)
	if dir := c.Path("store.dir"); err != nil && dir != "" && c.String("http.listen") == "" {
		var refused *ExitError
		if errors.As(err, &refused) && refused.Code == Network { // it does not run
			x, err = storedMiner(c, dir)
		}
	}
	if err != nil {
		return err
	}
	var text strings.Builder
	x.write(&text)
	if c.Bool("json") {
		out := json.NewEncoder(c.App.Writer)
		out.SetIndent("", " ")
		return out.Encode(x)
	}
	_, err = io.WriteString(c.App.Writer, text.String())
	return err
}

func askMiner(c *cli.Context) (x explanation, err error) {
	found, err := findNode(c, forMiner)
	if err != nil {
		return x, err
	}
	address := found.HTTP
	stats, err := askStats(c.Context, found)
	if err != nil {
		return x, err
	}
	switch {
	case stats.Role != forMiner.String():
		return x, &ExitError{Validation, fmt.Errorf("the node at %s is a %s, no miner", address, plain(stats.Role)), "bettensor status"}
	case stats.Miner == nil:
		return x, &ExitError{Network, fmt.Errorf("the miner at %s is being started", address), "bettensor status --wait ready --http.listen " + address}
	}
	return explanation{From: address, Live: true, MinerReport: *stats.Miner}, nil
}

// storedMiner reads the store of a miner that does not run.
func storedMiner(c *cli.Context, dir string) (x explanation, err error) {
	hotkey := chain.Hotkey(c.String("hotkey"))
	if hotkey == "" {
		if _, after, ok := strings.Cut(filepath.Base(filepath.Dir(filepath.Clean(dir))), "miner-"); ok {
			hotkey = chain.Hotkey(after)
		}
	}
	own, err := resolve(c, forMiner, os.Environ()) // what the miner asks of a validator
	if err != nil {
		return x, err
	}
	var meta *chain.Metagraph
	if c.IsSet("subtensor.network") || c.IsSet("subtensor.chain_endpoint") {
		if meta, err = readMetagraph(c); err != nil {
			return x, &ExitError{Network, fmt.Errorf("the chain: %w", err), "bettensor chain info, with the same --subtensor flags"}
		}
	}
	err = readStore(c, dir, func(s store.Snapshot) error {
		found, err := ledger.LoadMiner(s)
		if err != nil {
			return err
		}
		least := own.Miner.Filled().ValidatorMinStake
		x = explanation{From: dir, MinerReport: node.StoredMiner(found, hotkey, time.Now(), least, meta)}
		return nil
	})
	return x, err
}

func readMetagraph(c *cli.Context) (m *chain.Metagraph, err error) {
	r := &Resolved{role: forMiner, origins: map[string]origin{}}
	r.Network = c.String("subtensor.network")
	if e := c.String("subtensor.chain_endpoint"); e != "" {
		r.Endpoints = []string{e}
	}
	ctx, cancel := context.WithTimeout(c.Context, explainWithin)
	defer cancel()
	client, err := substrate.New(r.asking(chain.Netuid(c.Uint("netuid"))))
	if err != nil {
		return nil, err
	}
	client.Start()
	defer func() {
		soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
		defer cancel()
		err = errors.Join(err, client.Close(soon))
	}()
	if err := reached(ctx, client); err != nil {
		return nil, err
	}
	return client.Metagraph(ctx, 0)
}

// blocksText is a number of blocks with the time that they take.
func blocksText(n chain.Block) string {
	return fmt.Sprintf("%d blocks (%v)", n, (time.Duration(n) * chain.BlockTime).Round(time.Minute))
}

// write writes the explanation for people, and notes what stands against earning.
func (x *explanation) write(w io.Writer) {
	x.Against = []string{}
	line := func(what, format string, args ...any) {
		fmt.Fprintf(w, "%-12s %s\n", what, plain(fmt.Sprintf(format, args...)))
	}
	against := func(what, why, do string) {
		x.Against = append(x.Against, plain(why))
		line(what, "%s → %s", why, do)
	}
	line("miner", "%s, from %s", x.Hotkey, x.From)

	switch slot := x.Slot; {
	case x.Block == 0:
		against("chain", "the metagraph is not known", "let the miner run, or give --subtensor.network")
	case slot == nil:
		against("registered", fmt.Sprintf("no slot at block %d: nothing can be earned", x.Block), "bettensor doctor miner, with the miner's flags, prints the command that registers it")
	default:
		line("registered", "UID %d since block %d; the chain as of block %d", slot.UID, slot.RegisteredAt, x.Block)
		if slot.ImmuneFor > 0 {
			line("immune", "for %s: until about %s it cannot be pruned", blocksText(slot.ImmuneFor), x.At.Add(time.Duration(slot.ImmuneFor)*chain.BlockTime).UTC().Format(time.RFC3339))
		}
		switch seen := fmt.Sprintf("emission %s at the last epoch, the lowest that can be pruned %s; %d would go before it", inTAO(slot.Emission), inTAO(slot.Lowest), slot.Before); {
		case slot.Free > 0:
			line("pruning", "%d slots are free, so that nobody is pruned; %s", slot.Free, seen)
		case slot.ImmuneFor == 0 && slot.Before == 0:
			against("pruning", "it is the next to be pruned: "+seen, "earn more than the lowest, or be registered anew afterwards")
		default:
			line("pruning", "%s", seen)
		}
		if slot.Incentive == 0 {
			against("reward", fmt.Sprintf("no incentive yet, of %d miners", slot.Miners), "read on: a reward follows confirmed, settled predictions, at the next epoch after validators set weights")
		} else {
			line("reward", "incentive %.5f, rank %d of %d, %s at the last epoch", slot.Incentive, slot.Rank, slot.Miners, inTAO(slot.Emission))
		}
	}

	reached := 0
	for i := range x.Validators {
		v := &x.Validators[i]
		var way string
		switch {
		case !v.Permit:
			way = "has no permit any more"
		case !v.Trusted:
			way = fmt.Sprintf("has %s, less than the %s we ask for, and is told nothing", inTAO(v.Stake), inTAO(x.MinStake))
		case v.Session:
			way = "in session"
			reached++
		case !x.Live && v.Confirmed > 0:
			way = "has confirmed"
			reached++
		case !v.Asked.IsZero() && x.At.Sub(v.Asked) < unheard:
			way = fmt.Sprintf("polls, last %v ago", x.At.Sub(v.Asked).Round(time.Second))
			reached++
		case v.Serves:
			way = "serves an axon, and there is no session → see that outbound connections to it are allowed"
		default:
			way = "serves no axon and has not polled → announce an axon that it can poll: --axon.external_ip"
		}
		if x := v.Trouble; x != nil && !v.Session {
			way = fmt.Sprintf("%s, %d times since %s: %s → %s", x.Code, x.Times, x.Since.UTC().Format(time.RFC3339), x.Why, x.Code.Fix())
		}
		refused := ""
		for _, r := range v.Rejected {
			refused += fmt.Sprintf(", %d refused as %s", r.Value, r.Name)
		}
		line("validator", "%s: %s; %d confirmed%s", v.Hotkey, way, v.Confirmed, refused)
	}
	switch {
	case x.Block > 0 && x.Trusted == 0:
		against("reached", "no validator holds a permit and enough stake", "nothing to do on this side; --miner.validator_min_stake says what is enough")
	case x.Block > 0 && reached == 0:
		against("reached", fmt.Sprintf("none of %s", counted(x.Trusted, "validator")), "bettensor doctor miner, with the miner's flags")
	default:
		line("reached", "%d of %s with a permit and enough stake", reached, counted(x.Trusted, "validator"))
	}

	if x.Open+x.Settled == 0 {
		against("predictions", "none: the model has found nothing to wager on", "games must be known (bettensor status); another --model wagers more")
	} else {
		line("predictions", "%d open, %d settled, %d of all without any validator's word", x.Open, x.Settled, x.Unsent)
	}
	x.writeEstimate(line, against)
	if len(x.Against) == 0 {
		line("so", "nothing stands against earning")
	} else {
		line("so", "%d of the above stand against earning", len(x.Against))
	}
}

func (x *explanation) writeEstimate(line func(what, format string, args ...any), against func(what, why, do string)) {
	e := &x.Estimate
	if e.Days == 0 {
		if x.Open+x.Settled > 0 {
			line("score", "no estimate: nothing won or lost in 45 days yet; games are scored on the day they end")
		}
		return
	}
	line("score", "an estimate from %d days of its own results, without entropy: closing line %.4f, return %+.4f, risk %+.4f, composite %.4f", e.Days, e.CLV, e.ROI, e.Risk, e.Composite)
	if e.ROI < 0 {
		against("", fmt.Sprintf("it loses %.1f %% of what it wagers", -100*e.ROI), "try the model on past games, or another --model")
	}
	if e.CLV > 0 && e.CLV < 1 {
		against("", fmt.Sprintf("its odds are %.1f %% worse than the closing ones", 100*(1-e.CLV)), "wager earlier, or on what others have not seen")
	}
	line("tier", "its wagers are enough for tier %d; a place in it goes to the better composites", e.Tier)
	if e.Tier < len(e.Tiers) {
		n := e.Tiers[e.Tier]
		missing := max(n.Needed-n.Wagered, 0)
		line("next tier", "tier %d wants %s wagered in %d days and results on half of the days that had any: %s are missing, results on %d of %d days, composite there %.4f", n.Tier, n.Needed, n.Days, missing, n.Active, n.Days, n.Composite)
	}
}

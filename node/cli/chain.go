package cli

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"bettensor/node/chain"
	"bettensor/node/chain/scale"
	"bettensor/node/chain/substrate"
	"bettensor/node/chain/wallet"
	"bettensor/sched"
)

const (
	// connectWithin is how long the endpoints may take to answer at all: a slow one
	// takes a dozen calls of a few seconds. One that does not answer is given up
	// long before.
	connectWithin = time.Minute
	// chainTimeout is how long a whole command may take by default: a finalised
	// extrinsic takes about a minute on finney.
	chainTimeout = 3 * time.Minute
	// closeWithin is how long a client may take to end.
	closeWithin = 2 * time.Second
	// saltSize is how many numbers the Python tools salt a commit with.
	saltSize = 8
	// maxSalt bounds what a person may give for one.
	maxSalt = 64
)

// Chain is the command `chain`: the live client, a question or an extrinsic at a
// time. Of an endpoint on this machine it asks nothing that a chain for tests may
// lack: no new heads, no runtime interfaces, no dry run.
func Chain() *cli.Command {
	read := func(name, text string, action cli.ActionFunc, more ...cli.Flag) *cli.Command {
		return &cli.Command{Name: name, Usage: text, Flags: append(chainFlags(), more...), Action: action}
	}
	write := func(name, text, description string, action cli.ActionFunc, more ...cli.Flag) *cli.Command {
		flags := append(chainFlags(), append(walletFlags(), passwordFile(),
			&cli.StringFlag{Name: "wallet.uri", Usage: "development `URI`, such as //Alice, in place of a wallet; on loopback endpoints only"},
			journalFlag(),
			&cli.BoolFlag{Name: "dry-run", Usage: "build, sign and print the extrinsic, and send nothing"},
			&cli.StringFlag{Name: "wait", Usage: "`STATE` to wait for, included or finalized", Value: "included"},
		)...)
		return &cli.Command{Name: name, Usage: text, Description: description, Flags: append(flags, more...), Action: action}
	}
	mechanism := func() cli.Flag {
		return &cli.UintFlag{Name: "mechid", Usage: "`NUMBER` of the subnet's mechanism whose weights are meant"}
	}
	block := func() cli.Flag {
		return &cli.Uint64Flag{Name: "block", Usage: "`NUMBER` of the block to read at; the newest finalised one if 0"}
	}
	weights := func(salt string) []cli.Flag {
		return []cli.Flag{
			&cli.StringFlag{Name: "uids", Usage: "`UID,…` to give weights to"},
			&cli.StringFlag{Name: "weights", Usage: "`WEIGHT,…` of each, of any scale"},
			&cli.StringFlag{Name: "salt", Usage: salt},
			mechanism(),
			&cli.StringFlag{Name: "version-key", Usage: "`NUMBER` of the weights' version; the subnet's own if not given"},
		}
	}
	return &cli.Command{
		Name:  "chain",
		Usage: "ask the chain, or send it one extrinsic",
		Subcommands: []*cli.Command{
			read("info", "which chain an endpoint is of, and how far it is", chainInfo),
			read("metagraph", "the neurons of the subnet", chainMetagraph, block(), mechanism()),
			read("hyperparams", "the subnet's hyperparameters, as far as the runtime has them", chainHyperparams, block()),
			write("serve-axon", "announce where the hotkey serves", "An address nobody can reach is refused, but on a loopback endpoint, where 127.0.0.1 is the default.", chainServeAxon,
				&cli.StringFlag{Name: "axon.external_ip", Aliases: []string{"axon.ip", "ip"}, Usage: "`ADDRESS` to announce", EnvVars: []string{"BETTENSOR_AXON_EXTERNAL_IP", "BT_AXON_EXTERNAL_IP"}},
				&cli.UintFlag{Name: "axon.external_port", Aliases: []string{"axon.port", "port"}, Usage: "`PORT` to announce", Value: 8091, EnvVars: []string{"BETTENSOR_AXON_EXTERNAL_PORT", "BT_AXON_EXTERNAL_PORT"}}),
			write("set-weights", "give weights to neurons, in the way that the subnet asks for",
				"Plain where commit-reveal is off. Where it is on, sealed until a beacon's round if the runtime takes that,\n"+
					"else as a hash; as a hash also if --salt is given, which is an error where commit-reveal is off. What a\n"+
					"hash needs to be revealed is printed on standard error before it is sent.", chainSetWeights,
				weights("`NUMBER,…` of a commit's hash; where commit-reveal is on only, and makes the commit a hash")...),
			write("reveal", "reveal weights that were committed as a hash", "Give the same weights, salt and version as the commit.", chainReveal,
				weights("`NUMBER,…` that the commit's hash was made with")...),
		},
	}
}

func chainFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "subtensor.network", Usage: "`NAME`, one of " + strings.Join(networkNames(), ", "), Value: "finney", EnvVars: []string{"BETTENSOR_SUBTENSOR_NETWORK", "BT_SUBTENSOR_NETWORK"}},
		&cli.StringFlag{Name: "subtensor.chain_endpoint", Usage: "`URL,…` of the chain, the preferred one first; wins over the network", EnvVars: []string{"BETTENSOR_SUBTENSOR_CHAIN_ENDPOINT", "BT_SUBTENSOR_CHAIN_ENDPOINT"}},
		&cli.UintFlag{Name: "netuid", Usage: "`NUMBER` of the subnet", Value: 30, EnvVars: []string{"BETTENSOR_NETUID"}},
		&cli.DurationFlag{Name: "timeout", Usage: "`DURATION` the whole command may take", Value: chainTimeout},
		jsonFlag(),
	}
}

// talk is one command's conversation with the chain.
type talk struct {
	*cli.Context
	client *substrate.Client
	ctx    context.Context  // ends with the command's time
	key    *wallet.Key      // of a write
	local  bool             // on loopback endpoints only
	meta   *chain.Metagraph // as it was read for a write, nil where it was not
	shown  bool             // an outcome has been printed
}

// talking connects, lets a command do its work, and hangs up. What is wrong with
// the command line or the wallet is said before anything is connected to.
func talking(c *cli.Context, writes bool, work func(*talk) error) (err error) {
	if c.NArg() > 0 {
		return usage(c, "%d arguments, want none", c.NArg())
	}
	if c.Uint("netuid") > 1<<16-1 {
		return usage(c, "--netuid: expected a number from 0 to 65535, got %d", c.Uint("netuid"))
	}
	if c.Uint("mechid") > 1<<8-1 {
		return usage(c, "--mechid: expected a number from 0 to 255, got %d", c.Uint("mechid"))
	}
	if !slices.Contains(networkNames(), c.String("subtensor.network")) {
		return usage(c, "--subtensor.network: expected one of %s, got %q", strings.Join(networkNames(), ", "), c.String("subtensor.network"))
	}
	where := Resolved{origins: map[string]origin{}}
	where.Network = c.String("subtensor.network")
	if c.IsSet("subtensor.network") {
		where.origins["subtensor.network"] = "flag"
	}
	if err := (listField{&where.Endpoints}).Set(c.String("subtensor.chain_endpoint")); err != nil {
		return usage(c, "--subtensor.chain_endpoint: %w", err)
	}
	for _, e := range where.Endpoints {
		if u, err := url.Parse(e); err == nil && u.User != nil {
			return usage(c, "--subtensor.chain_endpoint: %s has a user or a password in it; no chain asks for one, and others would see it", substrate.Redacted(e))
		}
	}
	if c.Duration("timeout") <= 0 {
		return usage(c, "--timeout: expected a duration above 0, got %v", c.Duration("timeout"))
	}
	t := &talk{Context: c, local: where.loopback()}
	options := where.asking(chain.Netuid(c.Uint("netuid")))
	options.Mechanism = uint8(c.Uint("mechid"))
	genesis, err := hex.DecodeString(strings.TrimPrefix(where.where().genesis, "0x"))
	if err != nil {
		return fmt.Errorf("genesis of %s: %w", where.where().name, err)
	}
	copy(options.Genesis[:], genesis)
	if writes {
		if w := c.String("wait"); w != "included" && w != "finalized" {
			return usage(c, "--wait: expected included or finalized, got %q", w)
		}
		if t.key, err = t.load(); err != nil {
			return err
		}
		defer t.key.Wipe()
		options.Signer = t.key
		if !c.Bool("dry-run") {
			if options.Dir, err = journalDir(c, where.where().name); err != nil {
				return err
			}
		}
	}
	if t.client, err = substrate.New(options); err != nil {
		return usage(c, "%w", err)
	}
	var cancel context.CancelFunc
	t.ctx, cancel = context.WithTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	if options.Dir != "" {
		hold, wrong := holdJournal(t.ctx, options.Dir, t.key.Hotkey())
		if wrong != nil {
			return chainError(wrong)
		}
		defer func() { err = errors.Join(err, hold.Release()) }()
	}
	t.client.Start()
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(c.Context), closeWithin)
		defer cancel()
		err = errors.Join(err, t.client.Close(end))
	}()
	first, cancelFirst := context.WithTimeout(t.ctx, connectWithin)
	defer cancelFirst()
	if err := t.client.Ready(first); err != nil {
		switch {
		case c.Context.Err() != nil:
			return &ExitError{Code: Other, Err: errors.New("given up")}
		case t.ctx.Err() != nil:
			return &ExitError{Code: Deadline, Err: fmt.Errorf("no answer from %s within --timeout %v: %w", strings.Join(redacted(options.Endpoints), ", "), c.Duration("timeout"), err)}
		}
		return &ExitError{Network, fmt.Errorf("no answer from %s: %w", strings.Join(redacted(options.Endpoints), ", "), err), help(c)}
	}
	err = work(t)
	var refused *substrate.Refusal
	if writes && c.Bool("json") && !t.shown && errors.As(err, &refused) {
		// Nothing was sent; whoever reads the output finds why in its ordinary form.
		out := shownOutcome{Outcome: substrate.Refused, Events: []string{}, Error: &shownRefusal{Name: string(refused.Code)}}
		err = errors.Join(err, t.show(&out))
	}
	return chainError(err)
}

// asking are the options of a client for single questions about a subnet. Chains
// for tests are on this machine only; anywhere else an old head is an old head.
func (r *Resolved) asking(netuid chain.Netuid) substrate.Options {
	return substrate.Options{Endpoints: r.endpoints(), Netuid: netuid, Lazy: r.loopback()}
}

func redacted(endpoints []string) (out []string) {
	for _, e := range endpoints {
		out = append(out, substrate.Redacted(e))
	}
	return out
}

// load is the key that signs.
func (t *talk) load() (*wallet.Key, error) {
	uri := t.String("wallet.uri")
	if uri == "" {
		k, err := wallet.Load(location(t.Context), wallet.SystemPasswords(t.Context.Context, t.Path("wallet.password_file")))
		return k, walletError(t.Context, err)
	}
	if !t.local {
		return nil, usage(t.Context, "--wallet.uri: everybody has the development keys; they are taken on loopback endpoints only")
	}
	if !wallet.IsDevelopment(uri) {
		return nil, usage(t.Context, "--wallet.uri is for development keys such as //Alice; import a secret one with `bettensor wallet import`")
	}
	k, err := wallet.FromURI(uri)
	return k, walletError(t.Context, err)
}

// chainError gives an error of a conversation its code.
func chainError(err error) error {
	var known *ExitError
	var refused *substrate.Refusal
	var block *substrate.BlockError
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.As(err, &refused):
		return &ExitError{Code: Refused, Err: err}
	case errors.As(err, &block):
		return &ExitError{Code: Validation, Err: err}
	case errors.Is(err, sched.ErrUnknown):
		return &ExitError{Code: Deadline, Err: fmt.Errorf("%w; it may still be included: the next command with this hotkey and --journal finds out first", err)}
	case errors.Is(err, substrate.ErrOpen):
		return &ExitError{Code: Deadline, Err: fmt.Errorf("%w; nothing was sent: try again in a block or two, when more is known of it", err)}
	case errors.Is(err, context.DeadlineExceeded):
		return &ExitError{Code: Deadline, Err: err}
	case errors.Is(err, context.Canceled):
		return &ExitError{Code: Other, Err: errors.New("given up")}
	}
	return &ExitError{Code: Network, Err: err}
}

func chainInfo(c *cli.Context) error {
	return talking(c, false, func(t *talk) error {
		info, err := t.client.Info(t.ctx)
		if err != nil {
			return err
		}
		if t.Bool("json") {
			return json.NewEncoder(t.App.Writer).Encode(info)
		}
		_, err = fmt.Fprintf(t.App.Writer, "endpoint      %s\ngenesis       %s\nspec version  %d\nbest          %d\nfinalized     %d\n",
			info.Endpoint, info.Genesis, info.SpecVersion, info.Best, info.Finalized)
		return err
	})
}

// shownNeuron is a neuron of `chain metagraph --json`: money in rao, shares in
// parts of 65535, as the chain has them.
type shownNeuron struct {
	UID        chain.UID     `json:"uid"`
	Hotkey     chain.Hotkey  `json:"hotkey"`
	Coldkey    chain.Coldkey `json:"coldkey"`
	Stake      chain.Rao     `json:"stake"`
	Permit     bool          `json:"validator_permit"`
	Active     bool          `json:"active"`
	LastUpdate chain.Block   `json:"last_update"`
	Incentive  uint16        `json:"incentive"`
	Emission   chain.Rao     `json:"emission"`
	Axon       *shownAxon    `json:"axon"` // null where none is announced
}

type shownAxon struct {
	IP   string `json:"ip"`
	Port uint16 `json:"port"`
}

func chainMetagraph(c *cli.Context) error {
	return talking(c, false, func(t *talk) error {
		m, err := t.client.Metagraph(t.ctx, chain.Block(t.Uint64("block")))
		if err != nil {
			return err
		}
		out := struct {
			Block   chain.Block   `json:"block"`
			Netuid  chain.Netuid  `json:"netuid"`
			Neurons []shownNeuron `json:"neurons"`
		}{m.Block, m.Netuid, make([]shownNeuron, len(m.Neurons))}
		for i, n := range m.Neurons {
			out.Neurons[i] = shownNeuron{n.UID, n.Hotkey, n.Coldkey, n.Stake, n.Permit, n.Active, n.LastUpdate, n.Incentive, n.Emission, nil}
			if n.Axon != (chain.Axon{}) {
				out.Neurons[i].Axon = &shownAxon{n.Axon.IP, n.Axon.Port}
			}
		}
		if m.OwnStake {
			fmt.Fprintln(t.App.ErrWriter, "note: the endpoint does not tell the stake that counts; shown is the subnet's own, without the root's part")
		}
		if t.Bool("json") {
			return json.NewEncoder(t.App.Writer).Encode(out)
		}
		fmt.Fprintf(t.App.Writer, "subnet %d at block %d, %d neurons\n", out.Netuid, out.Block, len(out.Neurons))
		w := tabwriter.NewWriter(t.App.Writer, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "UID\tHOTKEY\tSTAKE\tPERMIT\tACTIVE\tLAST UPDATE\tINCENTIVE\tAXON")
		for _, n := range out.Neurons {
			axon := "-"
			if n.Axon != nil {
				axon = fmt.Sprintf("%s %d", n.Axon.IP, n.Axon.Port)
			}
			fmt.Fprintf(w, "%d\t%s\t%.4f\t%v\t%v\t%d\t%.5f\t%s\n", n.UID, n.Hotkey, float64(n.Stake)/1e9, n.Permit, n.Active, n.LastUpdate, float64(n.Incentive)/chain.MaxWeight, axon)
		}
		return w.Flush()
	})
}

func chainHyperparams(c *cli.Context) error {
	return talking(c, false, func(t *talk) error {
		all, err := t.client.Hyperparameters(t.ctx, chain.Block(t.Uint64("block")))
		if err != nil {
			return err
		}
		if t.Bool("json") {
			out := map[string]any{}
			for _, p := range all {
				out[p.Name] = p.Value
			}
			return json.NewEncoder(t.App.Writer).Encode(out)
		}
		w := tabwriter.NewWriter(t.App.Writer, 0, 0, 2, ' ', 0)
		for _, p := range all {
			fmt.Fprintf(w, "%s\t%v\n", p.Name, p.Value)
		}
		return w.Flush()
	})
}

func chainServeAxon(c *cli.Context) error {
	if p := c.Uint("axon.external_port"); p == 0 || p > 1<<16-1 {
		return usage(c, "--axon.external_port: expected a port from 1 to 65535, got %d", p)
	}
	return talking(c, true, func(t *talk) error {
		ip := t.String("axon.external_ip")
		if ip == "" && t.local {
			ip = "127.0.0.1"
		}
		if ip == "" {
			return usage(t.Context, "no address to announce, want --axon.external_ip ADDRESS")
		}
		return t.write(chain.Request{Op: chain.OpServeAxon, Axon: chain.Axon{IP: ip, Port: uint16(t.Uint("axon.external_port"))}})
	})
}

// votes reads --uids and --weights.
func votes(c *cli.Context) (chain.Weights, error) {
	uids, err := numbers[chain.UID](c, "uids", 1<<16-1)
	if err != nil {
		return chain.Weights{}, err
	}
	var texts []string
	if err := (listField{&texts}).Set(c.String("weights")); err != nil {
		return chain.Weights{}, usage(c, "--weights: %w", err)
	}
	if len(uids) == 0 || len(uids) != len(texts) {
		return chain.Weights{}, usage(c, "%d uids and %d weights, want as many of each: --uids 1,2 --weights 0.4,1", len(uids), len(texts))
	}
	type vote struct {
		uid    chain.UID
		weight float64
	}
	all := make([]vote, len(uids))
	for i, text := range texts {
		w, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return chain.Weights{}, usage(c, "--weights: expected numbers, got %q", shown(text))
		}
		all[i] = vote{uids[i], w}
	}
	slices.SortFunc(all, func(a, b vote) int { return cmp.Compare(a.uid, b.uid) })
	weights := make([]float64, len(all))
	for i, v := range all {
		uids[i], weights[i] = v.uid, v.weight
	}
	w, err := chain.Quantise(uids, weights)
	if err != nil {
		return w, usage(c, "%w", err)
	}
	if len(w.UIDs) == 0 {
		return w, usage(c, "all weights are zero")
	}
	return w, nil
}

// numbers reads a flag that is a list of whole numbers up to most.
func numbers[T ~uint16 | ~uint64](c *cli.Context, flag string, most uint64) ([]T, error) {
	var texts []string
	if err := (listField{&texts}).Set(c.String(flag)); err != nil {
		return nil, usage(c, "--%s: %w", flag, err)
	}
	out := make([]T, len(texts))
	for i, text := range texts {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil || n > most {
			return nil, usage(c, "--%s: expected whole numbers from 0 to %d, got %q", flag, most, shown(text))
		}
		out[i] = T(n)
	}
	return out, nil
}

// versionKey reads --version-key, of if it is not given.
func versionKey(c *cli.Context, of uint64) (uint64, error) {
	v, err := numbers[uint64](c, "version-key", 1<<64-1)
	switch {
	case err != nil:
		return 0, err
	case len(v) > 1:
		return 0, usage(c, "--version-key: expected one number, got %d", len(v))
	case len(v) == 1:
		return v[0], nil
	}
	return of, nil
}

// readSubnet reads what weights are made for, and returns the version key that they
// are sent with.
func (t *talk) readSubnet() (version uint64, err error) {
	if t.meta, err = t.client.Metagraph(t.ctx, 0); err != nil {
		return 0, err
	}
	return versionKey(t.Context, t.meta.Params.WeightsVersionKey)
}

func chainSetWeights(c *cli.Context) error {
	w, err := votes(c)
	if err != nil {
		return err
	}
	salt, err := numbers[uint16](c, "salt", 1<<16-1)
	if err != nil {
		return err
	}
	if len(salt) > maxSalt {
		return usage(c, "--salt: %d numbers, want at most %d", len(salt), maxSalt)
	}
	return talking(c, true, func(t *talk) error {
		version, err := t.readSubnet()
		if err != nil {
			return err
		}
		m := t.meta
		q := chain.Request{Op: chain.OpSetWeights, Weights: w, VersionKey: version}
		switch {
		case !m.Params.CommitReveal && len(salt) > 0:
			return &ExitError{Code: Validation, Err: fmt.Errorf("--salt: subnet %d takes weights in the clear, where nothing is salted; leave it out", m.Netuid)}
		case !m.Params.CommitReveal:
		case m.Params.RevealVersion > 0 && len(salt) == 0:
			q.Op = chain.OpCommitTimelocked
		default:
			if len(salt) == 0 {
				if salt, err = drawSalt(); err != nil {
					return err
				}
			}
			q.Op, q.Weights = chain.OpCommitWeights, chain.Weights{}
			if q.Commit, err = chain.CommitHash(t.key.Hotkey(), chain.StorageIndex(m.Netuid, uint8(t.Uint("mechid"))), w, salt, version); err != nil {
				return err
			}
			// On standard error, and before it is sent: without it the commit is worthless.
			fmt.Fprintf(t.App.ErrWriter, "to reveal it: bettensor chain reveal --netuid %d --mechid %d --uids %s --weights %s --salt %s --version-key %d%s\n",
				m.Netuid, t.Uint("mechid"), commas(w.UIDs), commas(w.Values), commas(salt), version, t.same())
		}
		return t.write(q)
	})
}

func chainReveal(c *cli.Context) error {
	w, err := votes(c)
	if err != nil {
		return err
	}
	salt, err := numbers[uint16](c, "salt", 1<<16-1)
	if err != nil {
		return err
	}
	if len(salt) == 0 || len(salt) > maxSalt {
		return usage(c, "--salt: %d numbers, want those that the commit was made with", len(salt))
	}
	return talking(c, true, func(t *talk) error {
		version, err := t.readSubnet()
		if err != nil {
			return err
		}
		return t.write(chain.Request{Op: chain.OpRevealWeights, Weights: w, Salt: salt, VersionKey: version})
	})
}

// same are the flags, each after a space, by which another command asks the same
// chain and signs with the same key. Of an endpoint what may be a secret is left
// out.
func (t *talk) same() string {
	var words []string
	add := func(names ...string) {
		for _, n := range names {
			if v := t.String(n); v != "" {
				words = append(words, "--"+n, v)
			}
		}
	}
	var endpoints []string
	if err := (listField{&endpoints}).Set(t.String("subtensor.chain_endpoint")); err == nil && len(endpoints) > 0 {
		words = append(words, "--subtensor.chain_endpoint", strings.Join(redacted(endpoints), ","))
	}
	if len(endpoints) == 0 || t.IsSet("subtensor.network") {
		add("subtensor.network")
	}
	if t.String("wallet.uri") != "" {
		add("wallet.uri")
	} else {
		add("wallet.path", "wallet.name", "wallet.hotkey", "wallet.password_file")
	}
	add("journal")
	return " " + ShellLine(words)
}

// drawSalt is as many random numbers as the Python tools take.
func drawSalt() ([]uint16, error) {
	var b [2 * saltSize]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, fmt.Errorf("salt: %w", err)
	}
	salt := make([]uint16, saltSize)
	for i := range salt {
		salt[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return salt, nil
}

func commas[T ~uint16](v []T) string {
	texts := make([]string, len(v))
	for i, x := range v {
		texts[i] = strconv.FormatUint(uint64(x), 10)
	}
	return strings.Join(texts, ",")
}

// shownOutcome is what a write prints with --json.
type shownOutcome struct {
	Op        chain.Op        `json:"-"`
	Outcome   substrate.State `json:"outcome"`        // dropped also where it was sent and not heard of again
	Block     *chain.Block    `json:"block"`          // null where it is in none
	Extrinsic string          `json:"extrinsic_hash"` // "" where nothing was sent
	Events    []string        `json:"events"`
	Error     *shownRefusal   `json:"error"`
	Round     uint64          `json:"reveal_round,omitempty"` // of a timelocked commit
	RevealAt  chain.Block     `json:"reveal_block,omitempty"`
}

type shownRefusal struct {
	Pallet string `json:"pallet"` // "" for a refusal by the pool, or before it was sent
	Name   string `json:"name"`
}

// write sends a request, waits as it was told to, and prints what came of it.
func (t *talk) write(q chain.Request) error {
	q.Hotkey = t.key.Hotkey()
	if t.Bool("dry-run") {
		return t.dryRun(q)
	}
	wait := substrate.ForInclusion
	if t.String("wait") == "finalized" {
		wait = substrate.ForFinality
	}
	o, err := t.client.Submit(t.ctx, q, wait)
	sent := o.Extrinsic != [32]byte{}
	if err != nil && !sent {
		return err
	}
	out := shownOutcome{Op: q.Op, Outcome: o.State, Events: o.Events, Round: o.Round, RevealAt: o.RevealAt}
	if err != nil { // sent, and what came of it is not known
		out.Outcome = substrate.Dropped
	}
	if sent {
		out.Extrinsic = hexed(o.Extrinsic[:])
	}
	if out.Events == nil {
		out.Events = []string{}
	}
	if o.Block > 0 {
		out.Block = &o.Block
	}
	if o.State == substrate.Refused {
		out.Error = &shownRefusal{o.Pallet, cmp.Or(o.Error, string(o.Code))}
	}
	if err != nil {
		if t.Bool("json") {
			err = errors.Join(err, t.show(&out))
		}
		return err // it names the extrinsic
	}
	if err := t.show(&out); err != nil {
		return err
	}
	switch o.State {
	case substrate.Refused:
		err = fmt.Errorf("%s: %s; %s", out.Error.Name, o.Code.Meaning(), cmp.Or(t.again(q, o.Code), o.Code.Advice()))
		if o.Said != "" {
			err = fmt.Errorf("%w (%s)", err, o.Said)
		}
		return &ExitError{Code: Refused, Err: err}
	case substrate.Dropped:
		return &ExitError{Code: Network, Err: errors.New("the endpoint dropped the extrinsic; others may still include it: look at the chain before you send it again")}
	}
	return nil
}

// again says from which block on what was refused as too early can pass, "" where
// that is not known.
func (t *talk) again(q chain.Request, code chain.Code) string {
	if t.meta == nil {
		return ""
	}
	p := &t.meta.Params
	switch code {
	case chain.SettingWeightsTooFast, chain.CommittingWeightsTooFast:
		uid, ok := t.meta.UIDOf(q.Hotkey)
		if !ok {
			return ""
		}
		last, err := t.client.LastUpdate(t.ctx, uid)
		if err != nil {
			return ""
		}
		return fmt.Sprintf("next possible: block %d", last+chain.Block(p.WeightsRateLimit))
	case chain.RevealTooEarly:
		hash, err := chain.CommitHash(q.Hotkey, chain.StorageIndex(t.meta.Netuid, uint8(t.Uint("mechid"))), q.Weights, q.Salt, q.VersionKey)
		if err != nil {
			return ""
		}
		epoch, found, err := t.client.CommitEpoch(t.ctx, q.Hotkey, hash, p)
		if err != nil || !found {
			return ""
		}
		return fmt.Sprintf("next possible: block %d, the first of its reveal epoch", p.EpochStart(t.meta.Netuid, epoch+p.RevealPeriod))
	}
	return ""
}

// show prints an outcome.
func (t *talk) show(out *shownOutcome) error {
	t.shown = true
	if t.Bool("json") {
		return json.NewEncoder(t.App.Writer).Encode(out)
	}
	return t.print(out)
}

func (t *talk) print(out *shownOutcome) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s  %s\n", out.Op, out.Outcome)
	if out.Extrinsic != "" {
		fmt.Fprintf(&b, "extrinsic  %s\n", out.Extrinsic)
	}
	if out.Block != nil {
		fmt.Fprintf(&b, "block      %d\n", *out.Block)
	}
	if len(out.Events) > 0 {
		fmt.Fprintf(&b, "events     %s\n", strings.Join(out.Events, ", "))
	}
	if out.Round > 0 {
		fmt.Fprintf(&b, "revealed   by beacon round %d, in block %d at the earliest\n", out.Round, out.RevealAt)
	}
	_, err := t.App.Writer.Write(b.Bytes())
	return err
}

// dryRun prints what would be sent.
func (t *talk) dryRun(q chain.Request) error {
	p, err := t.client.Prepare(t.ctx, q)
	if err != nil {
		return err
	}
	out := struct {
		DryRun    bool        `json:"dry_run"`
		Call      string      `json:"call"`
		Args      any         `json:"args"`
		CallData  string      `json:"call_data"`
		Extrinsic string      `json:"extrinsic"`
		Hash      string      `json:"extrinsic_hash"`
		Nonce     uint64      `json:"nonce"`
		Birth     chain.Block `json:"valid_after_block"`
		Death     chain.Block `json:"valid_before_block"`
		Spec      uint32      `json:"spec_version"`
	}{true, p.Pallet + "." + p.Name, jsonForm(p.Args), hexed(p.Call), hexed(p.Extrinsic), hexed(p.Hash[:]), p.Nonce, p.Birth, p.Death, p.Spec}
	if t.Bool("json") {
		return json.NewEncoder(t.App.Writer).Encode(out)
	}
	args, err := json.Marshal(out.Args)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.App.Writer, "%s %s\nby         %s, nonce %d, valid after block %d and before block %d, spec %d\nextrinsic  %s\nhash       %s\nnot sent\n",
		out.Call, args, q.Hotkey, out.Nonce, out.Birth, out.Death, out.Spec, out.Extrinsic, out.Hash)
	return err
}

func hexed(b []byte) string { return "0x" + hex.EncodeToString(b) }

// ordered is a record as a JSON object in its own order.
type ordered scale.Record

// MarshalJSON writes fields without a name under their number.
func (r ordered) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, f := range r {
		if i > 0 {
			b = append(b, ',')
		}
		key, err := json.Marshal(cmp.Or(f.Name, strconv.Itoa(i)))
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(jsonForm(f.Value))
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, key...), ':'), value...)
	}
	return append(b, '}'), nil
}

// jsonForm is a decoded value in the forms of JSON: bytes as hex, and numbers that
// would lose digits as text.
func jsonForm(v scale.Value) any {
	switch v := v.(type) {
	case scale.Record:
		return ordered(v)
	case []scale.Value:
		out := make([]any, len(v))
		for i := range v {
			out[i] = jsonForm(v[i])
		}
		return out
	case []byte:
		return hexed(v)
	case *big.Int:
		return v.String()
	case nil, bool, string, int64, uint64:
		return v
	}
	return fmt.Sprint(v)
}

package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"bettensor/node/chain"
	"bettensor/node/chain/substrate"
	"bettensor/node/chain/wallet"
	"bettensor/node/feed/api"
	"bettensor/node/wire/synapse"
)

const (
	// clockFew of difference is worth a warning; from synapse.Future on, peers refuse
	// what we sign, or we what they do.
	clockFew = 2 * time.Second
	// oldBlocks is how many blocks the newest one may be behind our clock.
	oldBlocks = 5
	// endpointTries that fail are enough to call an endpoint dead; endpointGlance is
	// between looks at how often it has.
	endpointTries  = 2
	endpointGlance = 200 * time.Millisecond
	// behindBlocks is how many an endpoint may be behind the others.
	behindBlocks = 3
)

// checkClockFile takes a local network's clock.
func (x *examination) checkClockFile(context.Context) {
	if x.ClockFile == "" {
		return
	}
	f, err := readClock(x.ClockFile)
	if err != nil {
		x.found("clock file", bad, "give the clock.json of the local network that runs", "%v", err)
		return
	}
	clock := f.clock()
	x.now, x.speed, x.genesis = func() time.Time { return clock.At(time.Now()) }, f.Speed, f.Genesis
	x.found("clock file", good, "", "%s: %g times as fast as the wall's", x.ClockFile, f.Speed)
}

// checkFeed has the provider answer and take the key.
func (x *examination) checkFeed(ctx context.Context) {
	const check = "feed"
	if x.role != forValidator {
		return
	}
	cfg := x.Feed
	cfg.Now = x.now
	f, err := api.New(cfg)
	if err != nil {
		x.found(check, bad, "bettensor config print --origin", "%v", err)
		return
	}
	begun := time.Now()
	err = f.Check(ctx)
	took := time.Since(begun)
	soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
	defer cancel()
	err = errors.Join(err, f.Close(soon))
	var e *api.Error
	switch {
	case errors.As(err, &e) && e.Code == api.CodeKey:
		x.found(check, bad, "put the provider's key into a file of mode 0600, and give --feed.key_file FILE", "%v", err)
	case err != nil:
		x.found(check, bad, "curl -sv "+wallet.ShellWord(api.Redacted(x.Feed.URL))+", or give another --feed.url", "%v", err)
	default:
		x.found(check, good, "", "%s answers in %v", f.Stats().Kind, took.Round(time.Millisecond))
	}
	if strings.HasPrefix(x.Feed.URL, "http") {
		x.date = func() (time.Duration, string, bool) { return dateOffset(ctx, x.Feed.URL) }
		offset, from, ok := x.date() // while ctx is good
		x.date = func() (time.Duration, string, bool) { return offset, from, ok }
	}
}

// dateOffset is our wall clock against what a server says the date is, in whole
// seconds.
func dateOffset(ctx context.Context, url string) (offset time.Duration, from string, ok bool) {
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return 0, "", false
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	begun := time.Now()
	a, err := client.Do(r)
	if err != nil {
		return 0, "", false
	}
	defer a.Body.Close()
	at := begun.Add(time.Since(begun) / 2)
	date, err := http.ParseTime(a.Header.Get("Date"))
	if err != nil {
		return 0, "", false
	}
	return at.Sub(date.Add(time.Second / 2)), r.URL.Host, true
}

// checkEndpoint asks one endpoint; the first that answers also tells of the subnet.
func (x *examination) checkEndpoint(ctx context.Context, url string) {
	const check = "endpoint"
	name := substrate.Redacted(url)
	o := substrate.Options{Endpoints: []string{url}, Netuid: chain.Netuid(x.Netuid), BlockTime: time.Duration(float64(chain.BlockTime) / x.speed)}
	want := x.where().genesis
	if x.genesis != "" {
		want = x.genesis
	}
	if b, err := hex.DecodeString(strings.TrimPrefix(want, "0x")); err == nil && len(b) == len(o.Genesis) {
		copy(o.Genesis[:], b)
	}
	c, err := substrate.New(o)
	if err != nil {
		x.found(check, bad, "bettensor chain info "+x.networkFlags(), "%s: %v", name, err)
		return
	}
	begun := time.Now()
	c.Start()
	defer func() {
		soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
		defer cancel()
		if err := c.Close(soon); err != nil {
			x.found(check, warn, "", "%s: the connection does not end: %v", name, err)
		}
	}()
	// A part of the time is for the subnet.
	soon, cancel := context.WithTimeout(ctx, checkWithin/3)
	defer cancel()
	if err := reached(soon, c); err != nil {
		do := "give another --subtensor.chain_endpoint; `bettensor chain info --subtensor.chain_endpoint URL` tries one"
		if x.ClockFile != "" && strings.Contains(err.Error(), "on another chain") {
			do = "give the clock.json of the local network at this endpoint: " + x.ClockFile + " is another one's"
		}
		x.found(check, bad, do, "%s: %v", name, err)
		return
	}
	took := time.Since(begun)
	i, err := c.Info(ctx)
	if err != nil {
		x.found(check, bad, "give another --subtensor.chain_endpoint", "%s: %v", name, err)
		return
	}
	at := x.now()
	switch seen := fmt.Sprintf("%s answers in %v: spec %d, block %d, finalised %d, genesis %.10s…", name, took.Round(time.Millisecond), i.SpecVersion, i.Best, i.Finalized, i.Genesis); {
	case x.chain.genesis != "" && i.Genesis != x.chain.genesis:
		x.found(check, bad, "give endpoints of one chain only", "%s; another chain than the first endpoint's", seen)
		return
	case i.Best+behindBlocks < x.chain.best:
		x.found(check, warn, "put it behind the others, or leave it out", "%s; %d blocks behind another", seen, x.chain.best-i.Best)
	default:
		x.found(check, good, "", "%s", seen)
	}
	x.chain.genesis, x.chain.best = i.Genesis, max(x.chain.best, i.Best)
	if x.meta != nil {
		return
	}
	m, err := c.BestMetagraph(ctx)
	if err != nil {
		x.found("subnet", bad, "give the right --netuid; `bettensor chain metagraph --netuid N` shows one", "subnet %d cannot be read: %v", x.Netuid, err)
		return
	}
	x.meta, x.chain.seen = m, at
}

// reached waits until an endpoint answers or has failed again and again: a client
// itself never gives up.
func reached(ctx context.Context, c *substrate.Client) error {
	for {
		soon, cancel := context.WithTimeout(ctx, endpointGlance)
		err := c.Ready(soon)
		cancel()
		h := c.Health()
		switch {
		case err == nil:
			return nil
		case h.Failures < endpointTries && ctx.Err() == nil:
			continue
		case h.Error != "":
			return errors.New(h.Error)
		}
		return err
	}
}

// checkClock compares our clock with the newest block and with the feed's date.
func (x *examination) checkClock(context.Context) {
	const check = "clock"
	const sync = "timedatectl set-ntp true, and wait until `timedatectl` says that it is synchronised"
	offset, from, dated := time.Duration(0), "", false
	if x.date != nil {
		offset, from, dated = x.date()
	}
	if x.meta == nil && !dated {
		x.found(check, skipped, "", "neither chain nor feed has told the time")
		return
	}
	scaled := func(d time.Duration) time.Duration { return time.Duration(float64(d) * x.speed) }
	v, seen, do := good, "", ""
	worse := func(to grade, fix string) {
		if v != bad {
			v, do = to, fix
		}
	}
	if dated {
		seen = fmt.Sprintf("%+.1f s against %s", offset.Seconds(), from)
		switch {
		case offset.Abs() > synapse.Future:
			worse(bad, sync)
		case offset.Abs() > clockFew:
			worse(warn, sync)
		}
	}
	if x.meta != nil {
		lag := x.chain.seen.Sub(x.meta.At)
		if seen != "" {
			seen += "; "
		}
		seen += fmt.Sprintf("%.1f s after block %d", lag.Seconds(), x.meta.Block)
		switch old := max(oldBlocks*chain.BlockTime, scaled(staleLeast)); {
		case lag < -scaled(clockFew) && dated && offset.Abs() <= clockFew:
			worse(bad, "give --clock.file, if this is a local network that runs faster; else another --subtensor.chain_endpoint")
			seen += ", which is of the future, and our clock is right"
		case lag < -scaled(clockFew) && x.ClockFile == "" && x.loopback(): // the network's clock is likelier to run fast than ours slow
			worse(bad, "give --clock.file DIR/clock.json of the local network, which runs faster; if it does not: "+sync)
			seen += ", which is of the future"
		case lag < -scaled(synapse.Future):
			worse(bad, sync)
			seen += ", which is of the future: our clock is behind"
		case lag < -scaled(clockFew):
			worse(warn, sync)
			seen += ", which is of the future: our clock is behind"
		case lag > old && dated && offset.Abs() <= synapse.Future:
			worse(bad, "give another --subtensor.chain_endpoint: this one is behind, or the chain stands")
			seen += ": the block is old"
		case lag > old:
			worse(bad, sync+"; if it is, give another --subtensor.chain_endpoint")
			seen += ": our clock is ahead, or the chain stands"
		}
	}
	x.found(check, v, do, "%s", seen)
}

// neuron is our own, where there is one.
func (x *examination) neuron() *chain.Neuron {
	if x.meta == nil || x.hotkey == "" {
		return nil
	}
	uid, ok := x.meta.UIDOf(x.hotkey)
	if !ok {
		return nil
	}
	return &x.meta.Neurons[uid]
}

func (x *examination) checkRegistration(context.Context) {
	const check = "registration"
	switch n := x.neuron(); {
	case x.meta == nil || x.hotkey == "":
		x.found(check, skipped, "", "hotkey or subnet is not known")
	case n == nil:
		do := fmt.Sprintf("btcli subnets register --netuid %d %s %s", x.Netuid, x.walletFlags(), x.networkFlags())
		if x.Wallet.URI != "" {
			do = "use a key that the local network has registered"
		}
		x.found(check, bad, do, "%s has no slot in subnet %d at block %d", x.hotkey, x.Netuid, x.meta.Block)
	default:
		x.found(check, good, "", "UID %d in subnet %d since block %d", n.UID, x.Netuid, n.RegisteredAt)
	}
}

// leastStake is named where any would do: nobody gets a permit without stake.
const leastStake = chain.Rao(1e9)

func inTAO(r chain.Rao) string { return fmt.Sprintf("%.3f", float64(r)/1e9) }

// checkPermit: who may set weights is decided at each epoch, by stake.
func (x *examination) checkPermit(context.Context) {
	const check = "permit"
	if x.role != forValidator {
		return
	}
	n := x.neuron()
	if x.meta == nil {
		x.found(check, skipped, "", "the subnet is not known")
		return
	}
	threshold := x.meta.Params.StakeThreshold
	permits, lowest := 0, chain.Rao(0)
	for i := range x.meta.Neurons {
		if v := &x.meta.Neurons[i]; v.Permit {
			if permits++; permits == 1 || v.Stake < lowest {
				lowest = v.Stake
			}
		}
	}
	if n == nil {
		x.found(check, skipped, "", "the hotkey has no slot; weights are taken from a stake of %s on, %d of %d places are taken, the lowest with %s",
			inTAO(threshold), permits, x.meta.Params.MaxValidators, inTAO(lowest))
		return
	}
	need := threshold
	if n.Stake == 0 {
		need = max(need, leastStake)
	}
	if full := permits >= int(x.meta.Params.MaxValidators); full && !n.Permit {
		need = max(need, lowest+1)
	}
	v := bad
	if x.Validator.Shadow {
		v = warn // it sets none
	}
	do := ""
	if n.Stake < need {
		do = fmt.Sprintf("btcli stake add --netuid %d --amount %s %s %s", x.Netuid, inTAO(need-n.Stake), x.walletFlags(), x.networkFlags())
	}
	if n.Stake < threshold {
		x.found("stake", v, do, "%s, and weights are taken from %s on", inTAO(n.Stake), inTAO(threshold))
	} else {
		x.found("stake", good, "", "%s; weights are taken from %s on", inTAO(n.Stake), inTAO(threshold))
	}
	switch {
	case n.Permit:
		x.found(check, good, "", "yes; %d of %d places are taken, the lowest with %s", permits, x.meta.Params.MaxValidators, inTAO(lowest))
	case do == "":
		x.found(check, v, fmt.Sprintf("wait for the next epoch, at most %d blocks", x.meta.Params.Tempo+1), "none yet, though the stake of %s is enough; %d of %d places are taken, the lowest with %s", inTAO(n.Stake), permits, x.meta.Params.MaxValidators, inTAO(lowest))
	default:
		x.found(check, v, do+", and wait for the next epoch", "none; %d of %d places are taken, the lowest with %s", permits, x.meta.Params.MaxValidators, inTAO(lowest))
	}
}

// checkAudience: whom a miner can be confirmed by.
func (x *examination) checkAudience(context.Context) {
	const check = "validators"
	if x.role != forMiner {
		return
	}
	if x.meta == nil {
		x.found(check, skipped, "", "the subnet is not known")
		return
	}
	least := x.Miner.Filled().ValidatorMinStake
	permits, trusted, serving := 0, 0, 0
	for i := range x.meta.Neurons {
		switch v := &x.meta.Neurons[i]; {
		case !v.Permit || v.Hotkey == x.hotkey:
		case v.Stake < least:
			permits++
		default:
			permits++
			trusted++
			if v.Axon != (chain.Axon{}) {
				serving++
			}
		}
	}
	seen := fmt.Sprintf("%d hold a permit, %d of them %s or more, %d of these serve an axon to dial", permits, trusted, inTAO(least), serving)
	switch {
	case trusted == 0:
		x.found(check, bad, "nothing can be done here: without a validator nobody is paid on this subnet", "%s", seen)
	case serving == 0 && x.axon().IP == "":
		x.found(check, warn, "give --axon.external_ip ADDRESS, so that they can poll", "%s, and we announce none", seen)
	default:
		x.found(check, good, "", "%s", seen)
	}
}

// checkAxon compares what the chain shows with what the node would announce.
func (x *examination) checkAxon(context.Context) {
	const check = "axon"
	n := x.neuron()
	if n == nil {
		x.found(check, skipped, "", "the hotkey has no slot")
		return
	}
	shown, ours := n.Axon, x.axon()
	if ours.IP != "" && ours.Port == 0 {
		if ours.Port = x.Axon.Port; x.Axon.Port == 0 && x.running != nil {
			if a, err := netip.ParseAddrPort(x.running.Axon); err == nil {
				ours.Port = a.Port()
			}
		}
	}
	text := func(a chain.Axon) string {
		if a.Port == 0 || a.IP == "" {
			return "nothing"
		}
		return netip.AddrPortFrom(addressOr(a.IP), a.Port).String()
	}
	switch {
	case x.role == forValidator && x.Validator.Shadow:
		x.found(check, good, "", "shadow: the chain goes on to show %s, of the node beside", text(shown))
	case ours.IP == "" && shown == (chain.Axon{}) && x.role == forMiner:
		x.found(check, good, "", "none is announced: the miner dials")
	case ours.IP == "" && shown == (chain.Axon{}):
		x.found(check, warn, "give --axon.external_ip ADDRESS, the one that others see", "none is announced: miners that dial cannot find the validator, and it polls")
	case ours.IP == "":
		v, do := warn, "give --axon.external_ip "+shown.IP+" if the node is to be found there"
		x.found(check, v, do, "the chain shows %s, and the node would announce none", text(shown))
	case x.Axon.Port == 0 && x.running == nil:
		x.found(check, good, "", "the chain shows %s; the port is chosen at the start", text(shown))
	case shown == ours:
		x.found(check, good, "", "the chain shows %s, which is what we announce", text(shown))
	case x.running != nil:
		x.found(check, warn, fmt.Sprintf("bettensor chain serve-axon --netuid %d %s %s --axon.external_ip %s --axon.external_port %d", x.Netuid, x.walletFlags(), x.networkFlags(), ours.IP, ours.Port),
			"the chain shows %s, and the running node's is %s", text(shown), text(ours))
	default:
		x.found(check, good, "", "the chain shows %s; the start announces %s", text(shown), text(ours))
	}
}

func addressOr(ip string) netip.Addr {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return netip.IPv4Unspecified()
	}
	return a
}

package sim

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"bettensor/node"
	"bettensor/node/chain"
	"bettensor/node/model"
	"bettensor/node/score"
	"bettensor/sched"
	"bettensor/sim/market"
	"bettensor/sim/mockchain"
	"bettensor/sim/population"
	"bettensor/sim/scenario"
)

// Plan is a scenario made ready to run: its market, its span, its world's
// configuration. One plan makes any number of equal worlds.
type Plan struct {
	Scenario   *scenario.Scenario
	Market     *market.Market
	Scheme     *score.Scheme
	Start, End time.Time
	Config     Config
	// Chosen names what the swarm's seed has chosen; the Scenario holds it as
	// ordinary faults and groups.
	Chosen []string

	source *scenario.Scenario // as it was given
	games  *market.Games      // read from files; nil where the market is made up
}

// CheckCoefficient says what is wrong with a scoring coefficient of a scenario.
func CheckCoefficient(name, value string) error {
	s := score.Standard()
	return s.Set(name, value)
}

// CoefficientNames are the names a scenario may set under scoring.
func CoefficientNames() []string {
	s := score.Standard()
	var names []string
	for _, f := range s.Fields() {
		names = append(names, f.Name)
	}
	return names
}

// ErrBenchmark is a scenario with a load: it is measured, not run.
var ErrBenchmark = errors.New("the file has load and is a benchmark")

// NewPlan makes a plan. games are files of matches; with none the market of the
// scenario is made up. Problems are the files' own.
func NewPlan(s *scenario.Scenario, games []market.File) (*Plan, []market.Problem, error) {
	if what := s.Load.What; what != "" && what != "sim" {
		return nil, nil, fmt.Errorf("%w of %s", ErrBenchmark, what)
	}
	var read *market.Games
	if len(games) > 0 {
		var problems []market.Problem
		if read, problems = market.Read(games, market.FileOptions{}); len(problems) > 0 {
			return nil, problems, nil
		}
	}
	p, err := plan(s, read)
	return p, nil, err
}

func plan(s *scenario.Scenario, games *market.Games) (*Plan, error) {
	p := &Plan{Scenario: s, source: s, games: games}
	if err := p.schedule(); err != nil {
		return nil, err
	}
	scheme, err := score.ByName(s.Scoring.Scheme)
	if err != nil {
		return nil, err
	}
	for _, c := range s.Scoring.Coefficients {
		if err := scheme.Set(c.Name, c.Value); err != nil {
			return nil, err
		}
	}
	if err := scheme.Validate(); err != nil {
		return nil, err
	}
	p.Scheme = &scheme
	if err := p.choose(); err != nil {
		return nil, err
	}
	p.Config = p.config()
	return p, nil
}

// schedule builds the market and decides when the run begins and ends.
func (p *Plan) schedule() error {
	s := p.Scenario
	if p.games != nil {
		p.Market = p.games.Market(s.Seed)
		p.Start, p.End = p.Market.Span()
		if !s.Start.IsZero() {
			p.Start = s.Start
		}
	} else {
		p.Start = s.Start
		if p.Start.IsZero() {
			p.Start = scenario.DefaultStart
		}
		length := s.Duration
		if length == 0 {
			length = s.Market.Span
		}
		p.End = p.Start.Add(length)
		m, err := market.Synthetic(s.Market.Config(), p.Start, length+s.Market.Ahead, s.Seed)
		if err != nil {
			return fmt.Errorf("make up a %w", err)
		}
		p.Market = m
	}
	if s.Duration > 0 {
		p.End = p.Start.Add(s.Duration)
	}
	if !p.End.After(p.Start) {
		return fmt.Errorf("the run would end at %s, before its start at %s; set duration or start", p.End.Format(time.RFC3339), p.Start.Format(time.RFC3339))
	}
	return nil
}

// choose makes the swarm's choices, and checks what only a run's length shows.
func (p *Plan) choose() error {
	length := p.End.Sub(p.Start)
	s, chosen, err := p.source.Choose(length, func(path ...string) *rand.Rand {
		return sched.NewStream(p.source.Seed, append([]string{"swarm"}, path...)...)
	})
	if err != nil {
		return err
	}
	p.Scenario, p.Chosen = s, chosen
	for _, f := range s.Faults {
		if f.When == "" && f.At >= length {
			return fmt.Errorf("fault %s begins %s into the run, which ends after %s", f.Name, f.At, length)
		}
	}
	for i, at := range spans(s.Phases, length) {
		if at.From >= at.To {
			return fmt.Errorf("phase %s begins %s into the run, which ends after %s", s.Phases[i].Name, at.From, length)
		}
	}
	return nil
}

// Reseed is the plan of the same scenario with another seed, without reading it
// again.
func (p *Plan) Reseed(seed uint64) (*Plan, error) {
	s := *p.source
	s.Seed = seed
	return plan(&s, p.games)
}

// least stands for no time at all where a configuration's 0 means its default.
func least(d time.Duration) time.Duration { return max(d, 1) }

// revealVersion is the form of timelocked commits that the main network takes.
const revealVersion = 4

func (p *Plan) config() Config {
	s := p.Scenario
	cc := mockchain.Defaults(s.Netuid, p.Start)
	cc.BlockTime = s.Chain.BlockTime
	cc.EmissionPerBlock = s.Chain.EmissionPerBlock
	cc.History = reach(s.Faults)
	cc.Params = chain.Hyperparameters{Tempo: s.Chain.Tempo, WeightsRateLimit: s.Chain.WeightsRateLimit,
		MinAllowedWeights: s.Chain.MinAllowedWeights, MaxWeightsLimit: chain.MaxWeight, ImmunityPeriod: s.Chain.Immunity,
		ActivityCutoff: s.Chain.ActivityCutoff, MaxUIDs: s.Chain.MaxUIDs, MaxValidators: s.Chain.MaxValidators,
		CommitReveal: s.Chain.CommitReveal, RevealPeriod: s.Chain.RevealPeriod}
	if s.Chain.CommitReveal && s.Chain.Timelock {
		cc.Params.RevealVersion = revealVersion
	}
	c := Config{Seed: s.Seed, Start: p.Start, Chain: cc, Feed: p.Market, Sr25519: s.Crypto == "sr25519", Explore: s.Order == "explore", Quiet: healing(s.Phases, p.End.Sub(p.Start)),
		Network: Network{Latency: least(s.Network.Latency), Jitter: s.Network.Jitter, Loss: s.Network.Loss, Duplication: s.Network.Duplication,
			Reordering: s.Network.Reordering, Bandwidth: int64(s.Network.Bandwidth)},
		Disk: Disk{CommitLatency: least(s.Disk.CommitLatency), CommitJitter: s.Disk.CommitJitter}}
	timeout := s.Node.SessionTimeout
	if timeout == 0 {
		timeout = s.Node.Heartbeat * 5 / 2
	}
	sessions := s.Node.MaxSessions
	if sessions == 0 {
		miners := 0
		for _, g := range s.Miners {
			miners += g.Count
		}
		sessions = max(512, 2*miners)
	}
	for _, v := range s.Validators {
		n := v.Count
		for i := range n {
			name := v.Name
			if n > 1 {
				name = fmt.Sprintf("%s-%d", v.Name, i)
			}
			c.Validators = append(c.Validators, ValidatorSpec{Name: name, Group: v.Name, Stake: v.Stake, Rogue: rogueOf(&v), Node: node.ValidatorConfig{
				Netuid: s.Netuid, SessionTimeout: timeout, MaxSessions: sessions, MetagraphInterval: s.Node.MetagraphInterval,
				FeedInterval: s.Node.FeedPoll, ClosingLead: -1 /* the market tells closing odds */, ScoringInterval: s.Node.ScoringInterval, SettleDelay: least(s.Node.SettleDelay),
				WeightsMove: max(s.Node.WeightsMove, math.SmallestNonzeroFloat64), WeightsMaxAge: chain.Block(s.Node.WeightsMaxAge),
				PollInterval: s.Node.PollInterval, PollStakeLimit: 1, /* likewise */
				StatusInterval: s.Node.StatusInterval, BlockTime: s.Chain.BlockTime, Scheme: p.Scheme}})
		}
	}
	for _, g := range s.Miners {
		for i := range g.Count {
			c.Miners = append(c.Miners, MinerSpec{Name: memberName(g.Name, i), Kind: g.Kind, Group: g.Name, Node: node.MinerConfig{
				Netuid: s.Netuid, MetagraphInterval: s.Node.MetagraphInterval, PredictionInterval: s.Node.PredictionInterval,
				ValidatorMinStake: 1 /* whoever holds a permit is one of the file's */, Heartbeat: s.Node.Heartbeat, StatusInterval: s.Node.StatusInterval},
				Polled: g.Transport == "http"})
		}
	}
	return c
}

// rogueOf is what takes an honest validator's place, where its kind is another.
func rogueOf(v *scenario.Validator) Rogue {
	if v.Kind == "honest" {
		return Rogue{}
	}
	return Rogue{Kind: v.Kind, Leader: v.Leader, Friends: v.Friends, Factor: v.Params["factor"],
		Every: time.Duration(v.Params["every"] * float64(time.Minute))}
}

// NewWorld builds a world of the plan.
func (p *Plan) NewWorld() (*World, error) {
	cfg := p.Config
	cfg.Miners = slices.Clone(cfg.Miners)
	cfg.Validators = slices.Clone(cfg.Validators)
	board := &population.Board{}
	lines := map[string]*population.World{}
	i := 0
	for _, g := range p.Scenario.Miners {
		world := lines[g.Leader]
		if world == nil {
			world = &population.World{Market: p.Market, Board: board}
			if g.Leader != "" {
				world.Leader = memberName(g.Leader, 0)
			} else if j := slices.IndexFunc(p.Scenario.Miners, func(x scenario.Group) bool { return x.Kind == "skilled" && x.Count > 0 }); j >= 0 {
				world.Leader = memberName(p.Scenario.Miners[j].Name, 0)
			}
			lines[g.Leader] = world
		}
		members := make([]string, g.Count)
		for k := range members {
			members[k] = memberName(g.Name, k)
		}
		mine := *world
		mine.Group = members
		for _, name := range members {
			if population.Raw(g.Kind) {
				cfg.Miners[i].Params = g.Params
				i++
				continue
			}
			if g.Kind == "sybil" {
				cfg.Miners[i].Owner = g.Name
			}
			cfg.Miners[i].Model = func() (model.Model, error) {
				return population.New(g.Kind, g.Params, name, p.Scenario.Seed, &mine)
			}
			i++
		}
	}
	w, err := NewWorld(cfg)
	if err != nil {
		return nil, err
	}
	if err := w.schedule(p.Scenario.Faults, p.End.Sub(p.Start)); err != nil {
		return nil, err
	}
	if name := p.Scenario.Plant; name != "" {
		b, ok := FindBug(name)
		if !ok {
			return nil, fmt.Errorf("plant: no bug %q", name)
		}
		b.put(w)
	}
	return w, nil
}

// Command is the command line that runs the plan again, program being how the
// program was called.
func (p *Plan) Command(program, file string, games, sets []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s sim run %s --seed %d", program, quoted(file), p.Scenario.Seed)
	for _, g := range games {
		fmt.Fprintf(&b, " --games %s", quoted(g))
	}
	for _, s := range sets {
		fmt.Fprintf(&b, " --set %s", quoted(s))
	}
	return b.String()
}

// quoted is a word as a shell must be given it.
func quoted(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,+") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

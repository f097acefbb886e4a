// Package scenario reads and prints scenario files: strict YAML in which every
// mistake is found at once and told with its position, what was expected and
// the nearest valid name.
//
// Read scenario.go for the format (its comments are the manual, docs/scenario.md
// is made from them), parse.go for how a file
// becomes a Scenario, set.go for --set, canonical.go for the way back. The
// fault language is sim/fault, the kinds of miners are sim/population's. Commands and the simulated world call Parse; the
// package opens no files and draws nothing.
package scenario

import (
	"time"

	"bettensor/node/chain"
	"bettensor/sim/fault"
)

// DefaultStart is the start of a run on made-up games that names none: a Friday
// on which European leagues begin.
var DefaultStart = time.Date(2024, 8, 16, 0, 0, 0, 0, time.UTC)

// Scenario is a whole file with every default filled in. Struct tags are the
// schema: key is the name in the file, default and range are in the file's own
// form, need:"yes" marks what has no default.
type Scenario struct {
	// Name of the scenario in reports. Absent: the file's name without its ending.
	Name string `key:"name" form:"name" default:"=file"`
	// About says in a sentence what the scenario shows.
	About string `key:"about"`
	// Seed of every random stream. The same seed gives the same bytes of trace.
	Seed uint64 `key:"seed" default:"1"`
	// Start of the run in virtual time, RFC 3339 or a date (midnight UTC). Absent:
	// 8 days before the first kick-off of the files, 2024-08-16 for made-up games.
	Start time.Time `key:"start"`
	// Duration of the run. Absent: until 2 days after the last result of the files,
	// market.span for made-up games.
	Duration time.Duration `key:"duration" range:"1m..3650d"`
	// Netuid is the subnet's number on the mock chain. 30 is the number of the
	// original on the main network; 0 is no subnet but the root.
	Netuid chain.Netuid `key:"netuid" default:"30" range:"1..65535"`
	// Crypto of signatures: `keyed` is a keyed hash, which is fast and which nobody
	// in a simulation can forge; `sr25519` is what the network uses.
	Crypto string `key:"crypto" enum:"keyed,sr25519" default:"keyed"`
	// Market is where games, odds and results come from.
	Market Market `key:"market"`
	// Validators of the subnet, by name. At least one, but for a benchmark.
	Validators []Validator `key:"validators"`
	// Miners of the subnet, in groups by name.
	Miners []Group `key:"miners"`
	// Network is every link between a miner and a validator.
	Network Network `key:"network"`
	// Chain is the mock chain's hyperparameters for the subnet.
	Chain Chain `key:"chain"`
	// Scoring is the mechanism under test, in every validator alike.
	Scoring Scoring `key:"scoring"`
	// Disk is what a validator's store runs on.
	Disk Disk `key:"disk"`
	// Node is the configuration of validators and miners, the keys as on their
	// command lines.
	Node Node `key:"node"`
	// Order of what is due at the same instant: `fixed` as it was sent, `explore` as
	// a draw of the seed says, so that a sweep tries orders that live may produce.
	// What one sender says to one receiver stays in order.
	Order string `key:"order" enum:"fixed,explore" default:"fixed"`
	// Faults that are planned, by name.
	Faults []fault.Fault `key:"faults"`
	// Swarm has the seed choose which faults and miners there are, and how hard they
	// are. `sim expand` writes the choice out.
	Swarm Swarm `key:"swarm"`
	// Phases of the run, one after the other, by name. Absent: one, with faults. In a
	// phase without faults none begins and those that last end.
	Phases []Phase `key:"phases"`
	// Invariants are all watched, but for those disabled here.
	Invariants Invariants `key:"invariants"`
	// Plant puts a bug into the world, by name, so that one can see it found (`sim
	// plants` lists them). A run with one is meant to fail.
	Plant string `key:"plant"`
	// Thresholds that metrics of the run must keep, else it exits with 5.
	Thresholds []Threshold `key:"thresholds"`
	// Expect holds comparisons of metrics, which must hold at the end, else the run
	// exits with 5.
	Expect []Expectation `key:"expect"`
	// Sometimes lists properties that a run must reach, or a sweep in at least one of
	// its runs, else it exits with 5: faults that nothing has met test nothing.
	Sometimes []string `key:"sometimes" form:"property"`
	// Load makes the file a benchmark, which is measured in real time.
	Load Load `key:"load"`
	// Warmup of a benchmark, which is not measured.
	Warmup time.Duration `key:"warmup" range:"0s..10m"`
	// Repeat is how often a benchmark is measured; the median counts. Absent: 5.
	Repeat int `key:"repeat" range:"1..1000"`
}

// Market is the games: made up, or read from files. Not both.
type Market struct {
	// Files of matches with odds and results, CSV. Several leagues merge. Excludes
	// every other key of the market; --games on the command line takes the place
	// of the whole section.
	Files []string `key:"file"`
	// Leagues that are made up, by name. Absent: two of soccer, one of baseball and
	// one of American football, about 60 games a week.
	Leagues []League `key:"leagues"`
	// Span is how long made-up games go on where the run has no duration of its own.
	Span time.Duration `key:"span" default:"40w" range:"1d..3650d"`
	// Ahead is how long after the end of the run made-up games are still played that
	// are offered in it. At 0 every game has its result before the end; a run whose
	// last hours are to show something, as those of a healing phase, needs games to
	// bet on in them.
	Ahead time.Duration `key:"ahead" default:"0s" range:"0s..30d"`
	// OverroundMin is the least margin of a game's opening odds: the sum of implied
	// probabilities, less 1.
	OverroundMin float64 `key:"overround_min" default:"0.03" range:"0..0.5"`
	// OverroundMax is the greatest.
	OverroundMax float64 `key:"overround_max" default:"0.07" range:"0..0.5"`
	// Drift is the standard deviation of what becomes known of a game between
	// opening and kick-off, in log units of the expected goal ratio. At 0 closing
	// odds are no wiser than opening odds. The default moves prices as on real
	// matches.
	Drift float64 `key:"drift" default:"0.13" range:"0..2"`
	// ClosingError is the standard deviation of what even closing odds do not know,
	// in the same unit.
	ClosingError float64 `key:"closing_error" default:"0.05" range:"0..2"`
	// Postponed is the share of games that are called off before kick-off.
	Postponed float64 `key:"postponed" default:"0.015" range:"0..1"`
	// Void is the share of the games called off that are never played; the others
	// are played later.
	Void float64 `key:"void" default:"0.2" range:"0..1"`
	// Abandoned is the share of games that are stopped after kick-off and void.
	Abandoned float64 `key:"abandoned" default:"0.002" range:"0..1"`
}

// League is one competition of a made-up market.
type League struct {
	// Name of the league.
	Name string `key:"name" form:"name" need:"yes"`
	// Sport decides which models play it.
	Sport string `key:"sport" enum:"Soccer,Football,Baseball" default:"Soccer"`
	// Teams of the league. Even, because each plays in every round.
	Teams int `key:"teams" default:"20" range:"4..40"`
	// CanTie says whether a game can end in a tie.
	CanTie bool `key:"can_tie" default:"true"`
	// GamesPerWeek of a team.
	GamesPerWeek float64 `key:"games_per_week" default:"1" range:"0.1..7"`
	// Spread is the standard deviation of the teams' strengths, in log units of
	// expected goals: 0.3 as in European football, 0.1 for near coin flips.
	Spread float64 `key:"spread" default:"0.3" range:"0..1"`
}

// Validator is one validator, or several that are alike.
type Validator struct {
	// Name addresses it in --set and in a fault's target.
	Name string `key:"name" form:"name" need:"yes"`
	// Count of validators of this name.
	Count int `key:"count" default:"1" range:"0..64"`
	// Stake behind each one's hotkey, in TAO. It weighs in the chain's consensus and
	// decides on the permit to set weights.
	Stake chain.Rao `key:"stake" default:"10000" range:"0..21000000"`
	// Kind of validator: `honest` runs the real one; the hostile kinds are below.
	Kind string `key:"kind" form:"validator" default:"honest"`
	// Params of the kind, complete. Each kind takes its own, listed with it.
	Params map[string]float64 `key:"parameters" of:"kind"`
	// Leader is the parameter of that name: the name of the validator whose weights
	// are copied, or multiplied. Absent: the first one.
	Leader string
	// Friends is the parameter of that name, which biased validators take: the name
	// of the group of miners that is favoured.
	Friends string
}

// Group is miners of one kind.
type Group struct {
	// Kind of miner: what it knows and how it stakes, one of the kinds below.
	Kind string `key:"kind" form:"kind" need:"yes"`
	// Name addresses the group in --set and in a fault's target. Absent: its kind.
	Name string `key:"name" form:"name" default:"=kind"`
	// Count of miners in the group.
	Count int `key:"count" default:"1" range:"0..60000"`
	// Transport by which the group's miners talk: `websocket` dials every validator,
	// `http` dials nobody and is polled, as the original's miners are.
	Transport string `key:"transport" enum:"websocket,http" default:"websocket"`
	// Params of the kind, complete. Each kind takes its own, listed with it:
	// dollars where the kind counts in dollars, minutes where it counts in minutes
	// (written as durations in a file).
	Params map[string]float64 `key:"parameters" of:"kind"`
	// Leader is the parameter of that name, which copycats take: the name of the
	// group that is copied. Absent: the first group of skilled miners.
	Leader string
}

// Network is what each link does to each frame, always. Faults add to it.
type Network struct {
	// Latency of a link, one way.
	Latency time.Duration `key:"latency" default:"40ms" range:"0s..1m"`
	// Jitter is added to the latency of each frame, uniform between 0 and this.
	Jitter time.Duration `key:"jitter" default:"20ms" range:"0s..1m"`
	// Loss is the share of frames that are lost.
	Loss float64 `key:"loss" default:"0" range:"0..1"`
	// Duplication is the share of frames that arrive twice.
	Duplication float64 `key:"duplication" default:"0" range:"0..1"`
	// Reordering is the share of frames that a later one may overtake.
	Reordering float64 `key:"reordering" default:"0" range:"0..1"`
	// Bandwidth of a link for each second and direction, with a unit (`64kB`,
	// `1MB`, `1MiB`). `0B` is without limit.
	Bandwidth Bytes `key:"bandwidth" default:"0B" range:"0B..1TB"`
}

// Chain is the subnet's hyperparameters and the pace of blocks.
type Chain struct {
	// BlockTime is the time from block to block, and what `blk` means in durations.
	BlockTime time.Duration `key:"block_time" default:"12s" range:"1ms..1h"`
	// Tempo: an epoch comes every tempo + 1 blocks and pays. 99 is the localnet's;
	// subnets of the main network have 360.
	Tempo uint16 `key:"tempo" default:"99" range:"1..65535"`
	// WeightsRateLimit is the least number of blocks between two weight sets of a
	// hotkey.
	WeightsRateLimit uint64 `key:"weights_rate_limit" default:"100" range:"0..1000000"`
	// CommitReveal hides weights for RevealPeriod epochs. The chain's own default is
	// true; false here, because a run then shows a weight set's effect at once.
	CommitReveal bool `key:"commit_reveal" default:"false"`
	// Timelock has commits sealed until a round of the beacon, when the chain opens
	// them itself, as the main network does. Off: commits are hashes, and validators
	// reveal them. It matters with commit_reveal only.
	Timelock bool `key:"timelock" default:"true"`
	// RevealPeriod is the number of epochs between commit and reveal.
	RevealPeriod uint64 `key:"reveal_period" default:"1" range:"1..100"`
	// Immunity is the number of blocks during which a new UID is not pruned.
	Immunity uint16 `key:"immunity" default:"4096" range:"0..65535"`
	// MaxUIDs is how many validators and miners the subnet holds.
	MaxUIDs uint16 `key:"max_uids" default:"256" range:"1..65535"`
	// MaxValidators is how many of them may hold a permit to set weights.
	MaxValidators uint16 `key:"max_validators" default:"64" range:"1..65535"`
	// MinAllowedWeights is the least number of UIDs that a weight set must name.
	MinAllowedWeights uint16 `key:"min_allowed_weights" default:"1" range:"0..65535"`
	// ActivityCutoff is the number of blocks after which weights no longer count.
	ActivityCutoff uint16 `key:"activity_cutoff" default:"5000" range:"1..65535"`
	// EmissionPerBlock is what the subnet pays, in TAO.
	EmissionPerBlock chain.Rao `key:"emission_per_block" default:"1" range:"0..100"`
}

// Scoring is the mechanism that turns predictions into weights.
type Scoring struct {
	// Scheme: `standard` is the formulas as intended, `released` as the original's
	// last release computes them, `robust` pays the proven edge over the closing line.
	Scheme string `key:"scheme" enum:"standard,released,robust" default:"standard"`
	// Coefficients that differ from the scheme's own, in the order of the file. Every
	// other key of the section is one, by its snake_case name.
	Coefficients []Coefficient `key:"*"`
}

// Coefficient is one parameter of a scheme.
type Coefficient struct {
	Name  string
	Value string // a finite number without exponent, or true or false
}

// Disk is the store's medium in virtual time.
type Disk struct {
	// CommitLatency is the time until a batch is durable.
	CommitLatency time.Duration `key:"commit_latency" default:"2ms" range:"0s..1m"`
	// CommitJitter is added on top, uniform between 0 and this.
	CommitJitter time.Duration `key:"commit_jitter" default:"1ms" range:"0s..1m"`
}

// Node is the configuration of the services.
type Node struct {
	// Heartbeat is how often an idle connection says that it is alive. Longer ones
	// make long runs faster.
	Heartbeat time.Duration `key:"heartbeat" default:"1m" range:"1s..1d"`
	// PollInterval is how often a validator polls a miner whose transport is http.
	PollInterval time.Duration `key:"poll_interval" default:"8m" range:"10s..1d"`
	// SessionTimeout is how long a connection may be silent before it is closed.
	// Absent: two and a half heartbeats.
	SessionTimeout time.Duration `key:"session_timeout" range:"1s..1w"`
	// MaxSessions is how many connections a validator serves at once, authenticated
	// and not, each. 0 is twice the number of miners, and at least 512.
	MaxSessions int `key:"max_sessions" default:"0" range:"0..200000"`
	// FeedPoll is how often a validator asks the games feed what changed.
	FeedPoll time.Duration `key:"feed_poll" default:"10m" range:"1s..1w"`
	// ScoringInterval is the time between two scoring rounds. Settlements ask for
	// one of their own.
	ScoringInterval time.Duration `key:"scoring_interval" default:"1h" range:"1s..4w"`
	// SettleDelay is how long a round that settlements ask for waits for more of
	// them.
	SettleDelay time.Duration `key:"settle_delay" default:"1m" range:"0s..1w"`
	// WeightsMove is how far weights must have moved since they were last set to be
	// set again, as total variation: 0.01 moves one part in a hundred.
	WeightsMove float64 `key:"weights_move" default:"0.01" range:"0..1"`
	// WeightsMaxAge is the number of blocks after which weights are set again though
	// they did not move. 0 is half of the chain's activity cutoff.
	WeightsMaxAge uint64 `key:"weights_max_age" default:"0" range:"0..1000000"`
	// MetagraphInterval is how often a node reads the metagraph.
	MetagraphInterval time.Duration `key:"metagraph_interval" default:"5m" range:"1s..1w"`
	// PredictionInterval is how often a miner's model looks at the games, besides
	// when they change.
	PredictionInterval time.Duration `key:"prediction_interval" default:"1h" range:"1s..1w"`
	// StatusInterval is how often a node reports on itself.
	StatusInterval time.Duration `key:"status_interval" default:"5m" range:"1s..4w"`
}

// Invariants says which properties are not watched.
type Invariants struct {
	// Disable lists invariants that the scenario breaks on purpose.
	Disable []Disabled `key:"disable"`
}

// Disabled is an invariant that is not watched.
type Disabled struct {
	// Name of the invariant, as reports have it.
	Name string `key:"name" form:"name" need:"yes"`
	// Reason why it may be broken here. It is printed with the report.
	Reason string `key:"reason" need:"yes"`
}

// Bytes is an amount of data.
type Bytes = fault.Bytes

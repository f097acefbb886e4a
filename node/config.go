package node

import (
	"fmt"
	"slices"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/score"
	"bettensor/node/wire/synapse"
	"bettensor/sched"
)

// ValidatorConfig is the validator's manual. The zero value of a field takes
// the default named in its comment.
type ValidatorConfig struct {
	// Hotkey the validator signs with.
	Hotkey chain.Hotkey
	// Netuid of the subnet. Default 30, Bettensor on finney.
	Netuid chain.Netuid
	// Axon to announce on the chain; the zero value announces nothing.
	Axon chain.Axon
	// AuthDeadline for a connection to authenticate. Default 5 s: a peer that
	// dialled has its key at hand.
	AuthDeadline time.Duration
	// SessionTimeout without any frame, after which a session is closed.
	// Default 150 s: two and a half heartbeats.
	SessionTimeout time.Duration
	// MaxSessions at once. Default 512: twice the slots of the subnet.
	MaxSessions int
	// MessageRate of one session, in frames per second. Default 20: a miner that
	// is back sends what waits at 15 a second (see sendRate). Above it predictions
	// are answered with bet.RateLimited and other frames are dropped.
	MessageRate int
	// MessageBurst of frames that a session may send at once after a silence; a new
	// session of the same hotkey begins with what the last one left of it.
	// Default 60: the predictions on one weekend's round of a league, and slack.
	MessageBurst int
	// MetagraphInterval between reads of the metagraph. Default 5 min.
	MetagraphInterval time.Duration
	// FeedInterval between polls of the games feed. Default 10 min.
	FeedInterval time.Duration
	// FeedAgreed says that the feed hands on a result only where two providers tell
	// the same: then one that changes is believed at once, and not only when the
	// feed has stood by it. Default off.
	FeedAgreed bool
	// ClosingLead before a kick-off at which the feed is polled once more, for the
	// closing odds. Default 1 min: a poll and its retries fit. Below 0 there is no
	// such poll, for a feed that tells closing odds by itself.
	ClosingLead time.Duration
	// ScoringInterval between rounds. Default 1 h. A burst of settlements asks
	// for a round of its own after SettleDelay.
	ScoringInterval time.Duration
	// SettleDelay after a settlement, to gather its neighbours. Default 1 min.
	SettleDelay time.Duration
	// WeightsMove is the total variation from the last set weights above which
	// new ones are worth an extrinsic. Default 0.01.
	WeightsMove float64
	// WeightsMaxAge in blocks, after which weights are set again though they did
	// not move. Default 0: half of the subnet's activity cutoff.
	WeightsMaxAge chain.Block
	// WeightsFallback is what is set when what stands is that old and there is
	// nothing to score. Default FallbackLast.
	WeightsFallback Fallback
	// WeightsMinDays of settled predictions that the store must hold before its
	// rounds replace weights which the chain has from an earlier store. Default 0:
	// as many as the shortest window of the scheme.
	WeightsMinDays int
	// Shadow computes everything and changes nothing on the chain: no weights, no
	// axon. Each epoch the difference to what the chain holds is told. It runs
	// beside another validator on the same hotkey. Default off.
	Shadow bool
	// Stopped is why a validator that ran before in this process had stopped setting
	// weights (Validator.Stopped); this one then sets none either. Default "": it
	// had not, or a person has started the process since.
	Stopped string
	// PollInterval between two HTTP polls of one axon that has no session. Default
	// 8 min: 40 blocks, as the original.
	PollInterval time.Duration
	// PollParallel is how many polls are under way at once. Default 16.
	PollParallel int
	// PollDeadline of one request, and of the books' word on what a reply brought.
	// Default 25 s: a little more than a peer is given (synapse.Timeout).
	PollDeadline time.Duration
	// PollStakeLimit: a neuron with a permit and more stake is a validator, and is
	// not polled. Default 4096 TAO, as the original's vpermit_tao_limit.
	PollStakeLimit chain.Rao
	// DialTLS polls https:// in place of http://. Default off: the chain does not
	// say which of them an axon speaks, and SDKs know plain HTTP only.
	DialTLS bool
	// StatusInterval between status lines. Default 1 min.
	StatusInterval time.Duration
	// BackupInterval between copies of the store. Default 6 h.
	BackupInterval time.Duration
	// BackupDeadline of one copy. Default 10 min: a gigabyte on a slow disk.
	BackupDeadline time.Duration
	// ChainDeadline of one request. Default 30 s: two blocks and a half.
	ChainDeadline time.Duration
	// FeedDeadline of one poll. Default 60 s.
	FeedDeadline time.Duration
	// BlockTime of the chain. Default 12 s.
	BlockTime time.Duration
	// Scheme of scoring. Default score.Standard().
	Scheme *score.Scheme
	// AlphaPrice is TAO per alpha, for the minimum-stake rule of a scheme. Default 1.
	AlphaPrice float64
	// ScoreSelf scores the validator's own slot like any other. Off: a validator
	// does not pay itself.
	ScoreSelf bool
}

// Filled is the configuration with every default in place.
func (c ValidatorConfig) Filled() ValidatorConfig {
	c.fill()
	return c
}

func (c *ValidatorConfig) fill() {
	def(&c.Netuid, 30)
	def(&c.AuthDeadline, 5*time.Second)
	def(&c.SessionTimeout, 150*time.Second)
	def(&c.MaxSessions, 512)
	def(&c.MessageRate, 20)
	def(&c.MessageBurst, 60)
	def(&c.MetagraphInterval, 5*time.Minute)
	def(&c.FeedInterval, 10*time.Minute)
	def(&c.ClosingLead, time.Minute)
	def(&c.ScoringInterval, time.Hour)
	def(&c.SettleDelay, time.Minute)
	def(&c.WeightsMove, 0.01)
	def(&c.PollInterval, 8*time.Minute)
	def(&c.PollParallel, 16)
	def(&c.PollDeadline, synapse.Timeout+5*time.Second)
	def(&c.PollStakeLimit, 4096e9)
	def(&c.StatusInterval, time.Minute)
	def(&c.ChainDeadline, 30*time.Second)
	def(&c.BackupInterval, 6*time.Hour)
	def(&c.BackupDeadline, 10*time.Minute)
	def(&c.FeedDeadline, time.Minute)
	def(&c.BlockTime, chain.BlockTime)
	def(&c.AlphaPrice, 1)
	if c.Scheme == nil {
		s := score.Standard()
		c.Scheme = &s
	}
	def(&c.WeightsFallback, FallbackLast)
	def(&c.WeightsMinDays, c.Scheme.Tiers[0].Window)
}

// axon is what is announced.
func (c *ValidatorConfig) axon() chain.Axon {
	if c.Shadow {
		return chain.Axon{}
	}
	return c.Axon
}

// Fallback is what a validator sets when there is nothing to score and what
// stands on the chain will soon count no more.
type Fallback string

// The fallbacks. Their words are those of the setting.
const (
	// FallbackLast sets the last weights again, without slots that changed hands:
	// nobody gains or loses while the feed or the miners are away.
	FallbackLast Fallback = "last"
	// FallbackOwner gives everything to the slot of the subnet's owner, which the
	// chain withholds: nobody is paid for nothing.
	FallbackOwner Fallback = "owner"
	// FallbackNone sets nothing: after the activity cutoff the chain counts the
	// validator as inactive.
	FallbackNone Fallback = "none"
)

// Fallbacks returns all words of the setting.
func Fallbacks() []Fallback { return []Fallback{FallbackLast, FallbackOwner, FallbackNone} }

func (f Fallback) valid() error {
	if !slices.Contains(Fallbacks(), f) {
		return fmt.Errorf("weights fallback %q: want last, owner or none", string(f))
	}
	return nil
}

// MinerConfig is the miner's manual. The zero value of a field takes the
// default named in its comment.
type MinerConfig struct {
	// Hotkey the miner signs with.
	Hotkey chain.Hotkey
	// Netuid of the subnet. Default 30.
	Netuid chain.Netuid
	// Axon to announce on the chain, where validators may poll; the zero value
	// announces nothing.
	Axon chain.Axon
	// ValidatorMinStake below which a permit earns neither a session nor an answer:
	// whoever sees predictions before a game can copy them. Default 1000 TAO, what
	// the original's scripts ask for; 1 rao is no limit.
	ValidatorMinStake chain.Rao
	// PollOnly dials nobody and only answers polls, as the original does. Default off.
	PollOnly bool
	// DialTLS dials validators at wss:// in place of ws://. Default off.
	DialTLS bool
	// MetagraphInterval between reads of the metagraph. Default 1 min, as the
	// original: a new validator should be found within a minute.
	MetagraphInterval time.Duration
	// PredictionInterval between times the model is asked though no game has
	// changed. Default 1 h.
	PredictionInterval time.Duration
	// ThinkDelay after news, to let the other pages of an update arrive before
	// the model is asked. Default 1 s.
	ThinkDelay time.Duration
	// Heartbeat to each validator. Default 60 s. Without an answer for two and a
	// half of them the connection counts as dead.
	Heartbeat time.Duration
	// WelcomeDeadline for a validator to answer the authentication. Default 10 s.
	WelcomeDeadline time.Duration
	// Resend of predictions that are not confirmed. Default 30 s, with backoff
	// to 10 min: a confirmation takes a round trip and an fsync.
	Resend sched.Backoff
	// Redial of a validator that cannot be reached. Default 1 s to 60 s.
	Redial sched.Backoff
	// Budget per UTC day. Default bet.DailyBudget; a miner may take less.
	Budget bet.Cents
	// MinWager below which picks are dropped. Default 1 cent.
	MinWager bet.Cents
	// StatusInterval between status lines. Default 5 min.
	StatusInterval time.Duration
	// BackupInterval between copies of the store. Default 6 h.
	BackupInterval time.Duration
	// BackupDeadline of one copy. Default 10 min.
	BackupDeadline time.Duration
	// ChainDeadline of one request. Default 30 s.
	ChainDeadline time.Duration
}

// Filled is the configuration with every default in place.
func (c MinerConfig) Filled() MinerConfig {
	c.fill()
	return c
}

func (c *MinerConfig) fill() {
	def(&c.Netuid, 30)
	def(&c.ValidatorMinStake, 1000e9)
	def(&c.MetagraphInterval, time.Minute)
	def(&c.PredictionInterval, time.Hour)
	def(&c.ThinkDelay, time.Second)
	def(&c.Heartbeat, time.Minute)
	def(&c.WelcomeDeadline, 10*time.Second)
	def(&c.Resend, sched.Backoff{Base: 30 * time.Second, Cap: 10 * time.Minute})
	def(&c.Redial, sched.Backoff{Base: time.Second, Cap: time.Minute})
	def(&c.Budget, bet.DailyBudget)
	def(&c.MinWager, 1)
	def(&c.StatusInterval, 5*time.Minute)
	def(&c.ChainDeadline, 30*time.Second)
	def(&c.BackupInterval, 6*time.Hour)
	def(&c.BackupDeadline, 10*time.Minute)
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

package cli

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"bettensor/node"
	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/chain/wallet"
	"bettensor/node/feed/api"
	"bettensor/node/score"
)

// defaultHTTP is where a node is watched. Where the port is taken and nobody has
// asked for it, the next ones are tried.
const defaultHTTP = "127.0.0.1:8095"

// table is everything that can be set, in the order in which people see it. From
// it come the flags, the variables, the keys of the file, `config print` and
// docs/configuration.md: a setting is added by adding a row.
//
// Defaults of services are written again here, because they are part of what an
// operator reads; a test holds them against the configurations' own.
var table = []setting{
	whole("netuid", forBoth, 30, 0, math.MaxUint16, "NUMBER", "of the subnet: 30 on finney, 181 on test",
		func(s *Settings) *uint16 { return &s.Netuid }),
	word("subtensor.network", forBoth, "finney", networkNames(), "chain to talk to, where no endpoint is given",
		func(s *Settings) *string { return &s.Network }).also("BT_SUBTENSOR_NETWORK"),
	located(list("subtensor.chain_endpoint", forBoth, "", "URL", "of the chain, the preferred one first; wins over subtensor.network",
		func(s *Settings) *[]string { return &s.Endpoints }).also("BT_SUBTENSOR_CHAIN_ENDPOINT")),

	text("wallet.path", forBoth, wallet.DefaultPath, "DIR", "of all wallets",
		func(s *Settings) *string { return &s.Wallet.Path }).also("BT_WALLET_PATH"),
	text("wallet.name", forBoth, "default", "NAME", "of the wallet",
		func(s *Settings) *string { return &s.Wallet.Name }).also("BT_WALLET_NAME"),
	text("wallet.hotkey", forBoth, "default", "NAME", "of the hotkey in the wallet",
		func(s *Settings) *string { return &s.Wallet.Hotkey }).also("BT_WALLET_HOTKEY"),
	text("wallet.password_file", forBoth, "", "FILE", "with the password of an encrypted hotkey; or a systemd credential wallet-password, or BT_PW_…",
		func(s *Settings) *string { return &s.Wallet.PasswordFile }),
	text("wallet.uri", forBoth, "", "URI", "of a development key such as //Alice, in place of a wallet; on loopback endpoints only",
		func(s *Settings) *string { return &s.Wallet.URI }),

	whole("axon.port", forBoth, 8091, 0, math.MaxUint16, "PORT", "that peers connect to; 0 picks one; on a local network the next free one where the default is taken",
		func(s *Settings) *uint16 { return &s.Axon.Port }).also("BT_AXON_PORT"),
	text("axon.ip", forBoth, "[::]", "ADDRESS", "to listen at",
		func(s *Settings) *string { return &s.Axon.IP }).also("BT_AXON_IP"),
	text("axon.external_ip", forBoth, "", "ADDRESS", "to announce on the chain; without one a validator announces nothing, but on a loopback chain 127.0.0.1",
		func(s *Settings) *string { return &s.Axon.ExternalIP }).also("BT_AXON_EXTERNAL_IP"),
	whole("axon.external_port", forBoth, 0, 0, math.MaxUint16, "PORT", "to announce, where a router maps another one; 0 is the one listened at",
		func(s *Settings) *uint16 { return &s.Axon.ExternalPort }).also("BT_AXON_EXTERNAL_PORT"),
	text("axon.tls_cert", forBoth, "", "FILE", "with the certificate chain of the axon, in PEM; with axon.tls_key it speaks TLS",
		func(s *Settings) *string { return &s.Sock.CertFile }),
	text("axon.tls_key", forBoth, "", "FILE", "with the certificate's key",
		func(s *Settings) *string { return &s.Sock.KeyFile }),
	text("axon.tls_roots", forBoth, "", "FILE", "with the authorities, in PEM, to trust when dialling by TLS; without one the system's",
		func(s *Settings) *string { return &s.Axon.Roots }),
	toggle("axon.dial_plain", forBoth, "with axon.dial_tls, go on without TLS where a peer has none that we trust; whoever is on the way can make it look so",
		func(s *Settings) *bool { return &s.Sock.DialPlain }),
	toggle("axon.dial_tls", forValidator, "poll miners by https in place of http; SDKs speak plain HTTP only",
		func(s *Settings) *bool { return &s.Validator.DialTLS }),
	toggle("axon.dial_tls", forMiner, "dial validators by wss in place of ws",
		func(s *Settings) *bool { return &s.Miner.DialTLS }),
	address("axon.dial_from", forBoth, "of this machine to dial from; without one the system picks it",
		func(s *Settings) *netip.Addr { return &s.Sock.DialFrom }),
	toggle("axon.off", forBoth, "listen nowhere and announce nothing; a miner then only dials",
		func(s *Settings) *bool { return &s.Axon.Off }).called("neuron.axon_off"),
	whole("axon.max_connections", forBoth, 512, 1, 1<<16, "NUMBER", "of inbound connections: a subnet has 256 neurons, and a reconnect overlaps with its predecessor",
		func(s *Settings) *int { return &s.Sock.MaxInbound }),
	whole("axon.max_per_address", forBoth, 16, 1, 1<<16, "NUMBER", "of inbound connections from one address: several miners behind one router",
		func(s *Settings) *int { return &s.Sock.MaxPerAddress }),
	whole("axon.max_loopback", forBoth, 256, 1, 1<<16, "NUMBER", "of inbound connections from each loopback address, where a whole subnet may live",
		func(s *Settings) *int { return &s.Sock.MaxLoopback }),

	text("http.listen", forBoth, defaultHTTP, "ADDRESS", "of page, health, metrics and statistics; port 0 picks one",
		func(s *Settings) *string { return &s.HTTP.Listen }),
	toggle("http.allow_remote", forBoth, "allow an address that others can reach: they see everything there without a password",
		func(s *Settings) *bool { return &s.HTTP.AllowRemote }),
	toggle("http.per_uid", forBoth, "add metrics with the label uid, up to 256 series each",
		func(s *Settings) *bool { return &s.HTTP.PerUID }),

	text("store.dir", forBoth, "", "DIR", "of the store; without one ~/.bettensor/NETWORK/NETUID/ROLE-HOTKEY/store, under systemd in its state directory",
		func(s *Settings) *string { return &s.Store.Dir }),
	toggle("store.accept_loss", forBoth, "open a store that has lost confirmed rows; a decision for once, not for a file",
		func(s *Settings) *bool { return &s.Store.AcceptLoss }),
	text("backup.dir", forBoth, "", "DIR", "of the store's copies; without one backups beside the store",
		func(s *Settings) *string { return &s.Store.Backups }),
	whole("backup.keep", forBoth, 8, 1, 10_000, "NUMBER", "of copies that stay: two days of one every six hours",
		func(s *Settings) *int { return &s.Store.Keep }),
	span("backup.interval", forValidator, 6*time.Hour, "between copies",
		func(s *Settings) *time.Duration { return &s.Validator.BackupInterval }),
	span("backup.interval", forMiner, 6*time.Hour, "between copies",
		func(s *Settings) *time.Duration { return &s.Miner.BackupInterval }),
	text("record", forBoth, "", "DIR", "to write everything to that enters the node, for `bettensor replay`",
		func(s *Settings) *string { return &s.Record }),

	located(text("feed.url", forValidator, api.DefaultURL, "URL", "of the games: a games API, The Odds API, a JSON address, a file or a directory",
		func(s *Settings) *string { return &s.Feed.URL })),
	word("feed.kind", forValidator, "", []string{string(api.GamesAPI), string(api.JSON), string(api.OddsAPI), string(api.Files)}, "of the provider, where the URL does not tell",
		func(s *Settings) *api.Kind { return &s.Feed.Kind }),
	hidden("feed.key", forValidator, "feed-key", "the provider's key",
		func(s *Settings) *api.Key { return &s.Feed.Key }).also("BETTENSOR_API_KEY"),
	span("feed.interval", forValidator, 10*time.Minute, "between polls",
		func(s *Settings) *time.Duration { return &s.Validator.FeedInterval }),
	list("feed.sports", forValidator, "", "KEY", "of The Odds API; without any, those of the original",
		func(s *Settings) *[]string { return &s.Feed.Sports }),
	list("feed.bookmakers", forValidator, "", "KEY", "of The Odds API whose prices are averaged; without any, all of feed.regions",
		func(s *Settings) *[]string { return &s.Feed.Bookmakers }),
	list("feed.regions", forValidator, "eu", "REGION", "of The Odds API's bookmakers: us, us2, uk, eu, au; each costs a credit a request",
		func(s *Settings) *[]string { return &s.Feed.Regions }),
	span("feed.odds_interval", forValidator, time.Hour, "between requests for a sport's prices of The Odds API",
		func(s *Settings) *time.Duration { return &s.Feed.OddsInterval }),
	whole("feed.floor", forValidator, 50, 1, 1_000_000, "CREDITS", "of The Odds API below which only results are fetched",
		func(s *Settings) *int { return &s.Feed.Floor }),

	span("feed.results_interval", forValidator, 30*time.Minute, "between requests for a sport's results of The Odds API while a game of it is played or awaits its result",
		func(s *Settings) *time.Duration { return &s.Feed.ResultsInterval }),
	number("feed.rate", forValidator, 5, 0.01, 10_000, "NUMBER", "of requests a second to one class of the provider's endpoints: a sixth of what The Odds API takes",
		func(s *Settings) *float64 { return &s.Feed.Rate }),
	span("feed.history", forValidator, 45*24*time.Hour, "for how far back games are asked for: what can still be settled and scored",
		func(s *Settings) *time.Duration { return &s.Feed.History }),
	toggle("feed.environment_proxy", forValidator, "fetch through the proxy that HTTPS_PROXY names; off, so that a variable left in a shell sends no key past a stranger",
		func(s *Settings) *bool { return &s.Feed.EnvironmentProxy }),
	located(text("feed.second.url", forValidator, "", "URL", "of a second feed that knows the same game ids: a result counts only when both tell it",
		func(s *Settings) *string { return &s.Second.URL })),
	word("feed.second.kind", forValidator, "", []string{string(api.GamesAPI), string(api.JSON), string(api.OddsAPI), string(api.Files)}, "of the second provider, where the URL does not tell",
		func(s *Settings) *api.Kind { return &s.Second.Kind }),
	hidden("feed.second.key", forValidator, "feed-second-key", "the second provider's key",
		func(s *Settings) *api.Key { return &s.Second.Key }),

	toggle("neuron.disable_set_weights", forValidator, "shadow mode: compute, print the difference to the chain, send no extrinsic, serve no axon",
		func(s *Settings) *bool { return &s.Validator.Shadow }).called("neuron.no_set_weights"),
	word("weights.fallback", forValidator, string(node.FallbackLast), fallbackWords(), "what is set with nothing to score, before the chain counts us as inactive",
		func(s *Settings) *node.Fallback { return &s.Validator.WeightsFallback }),
	whole("weights.min_days", forValidator, 0, 0, 365, "DAYS", "of settled predictions that a store must hold before it replaces weights an earlier store has set; 0 is the scheme's shortest window",
		func(s *Settings) *int { return &s.Validator.WeightsMinDays }),
	number("weights.move", forValidator, 0.01, 1e-6, 1, "SHARE", "of all weight that must have moved before weights are set anew",
		func(s *Settings) *float64 { return &s.Validator.WeightsMove }),
	whole("weights.max_age", forValidator, 0, 0, 1<<31, "BLOCKS", "after which they are set anew though they did not move; 0 is half of the activity cutoff",
		func(s *Settings) *chain.Block { return &s.Validator.WeightsMaxAge }),
	word("scoring.scheme", forValidator, "standard", score.Names(), "what predictions are paid for; validators of a subnet must agree, for the chain clips weights that stray from the majority",
		func(s *Settings) *string { return &s.Scheme }),
	span("scoring.interval", forValidator, time.Hour, "between rounds",
		func(s *Settings) *time.Duration { return &s.Validator.ScoringInterval }),
	span("scoring.settle_delay", forValidator, time.Minute, "after a settlement before a round of its own, to gather its neighbours",
		func(s *Settings) *time.Duration { return &s.Validator.SettleDelay }),
	toggle("scoring.self", forValidator, "score the validator's own slot like any other",
		func(s *Settings) *bool { return &s.Validator.ScoreSelf }),
	whole("session.max", forValidator, 512, 1, 1<<16, "NUMBER", "of miners' sessions at once: twice the slots of the subnet",
		func(s *Settings) *int { return &s.Validator.MaxSessions }),
	whole("session.rate", forValidator, 20, 1, 10_000, "NUMBER", "of messages a second of one miner; a miner sends 15 when it has many",
		func(s *Settings) *int { return &s.Validator.MessageRate }),
	whole("session.burst", forValidator, 60, 1, 100_000, "NUMBER", "of messages at once after a silence",
		func(s *Settings) *int { return &s.Validator.MessageBurst }),
	span("session.timeout", forValidator, 150*time.Second, "without any frame, after which a session is closed",
		func(s *Settings) *time.Duration { return &s.Validator.SessionTimeout }),
	span("poll.interval", forValidator, 8*time.Minute, "between two polls by HTTP of a miner that has no WebSocket: 40 blocks, as the original",
		func(s *Settings) *time.Duration { return &s.Validator.PollInterval }),
	whole("poll.parallel", forValidator, 16, 1, 256, "NUMBER", "of polls under way at once",
		func(s *Settings) *int { return &s.Validator.PollParallel }),
	tao("poll.stake_limit", forValidator, 4096, "above which a neuron with a permit is a validator, and is not polled",
		func(s *Settings) *chain.Rao { return &s.Validator.PollStakeLimit }).called("neuron.vpermit_tao_limit"),
	span("metagraph.interval", forValidator, 5*time.Minute, "between reads of the metagraph",
		func(s *Settings) *time.Duration { return &s.Validator.MetagraphInterval }),
	span("status.interval", forValidator, time.Minute, "between status lines",
		func(s *Settings) *time.Duration { return &s.Validator.StatusInterval }),

	text("model", forMiner, "value", "NAME", "that decides what to wager: "+strings.Join(modelNames(), ", ")+"; file:PATH makes the picks of a file",
		func(s *Settings) *string { return &s.Model.Name }),
	list("model.set", forMiner, "", "NAME=VALUE", "parameters of the model",
		func(s *Settings) *[]string { return &s.Model.Set }),
	dollars("miner.budget", forMiner, bet.DailyBudget, "that is wagered on one UTC day at most",
		func(s *Settings) *bet.Cents { return &s.Miner.Budget }),
	dollars("miner.min_wager", forMiner, 1, "below which a pick is dropped",
		func(s *Settings) *bet.Cents { return &s.Miner.MinWager }).called("minimum_wager_amount"),
	tao("miner.validator_min_stake", forMiner, 1000, "below which a validator's permit earns neither a session nor an answer: whoever sees predictions early can copy them",
		func(s *Settings) *chain.Rao { return &s.Miner.ValidatorMinStake }).called("validator_min_stake"),
	toggle("miner.poll_only", forMiner, "dial nobody and only answer polls by HTTP, as the original does",
		func(s *Settings) *bool { return &s.Miner.PollOnly }),
	span("miner.prediction_interval", forMiner, time.Hour, "between times the model is asked though no game has changed",
		func(s *Settings) *time.Duration { return &s.Miner.PredictionInterval }).called("task_prediction_interval"),
	span("miner.heartbeat", forMiner, time.Minute, "between heartbeats to each validator",
		func(s *Settings) *time.Duration { return &s.Miner.Heartbeat }).called("websocket.heartbeat_interval"),
	span("metagraph.interval", forMiner, time.Minute, "between reads of the metagraph: a new validator is found within it",
		func(s *Settings) *time.Duration { return &s.Miner.MetagraphInterval }).called("task_metagraph_sync_interval"),
	span("redial.first", forMiner, time.Second, "before a validator that could not be reached is dialled again",
		func(s *Settings) *time.Duration { return &s.Miner.Redial.Base }).called("websocket_reconnect_base_interval"),
	span("redial.most", forMiner, time.Minute, "up to which that pause grows",
		func(s *Settings) *time.Duration { return &s.Miner.Redial.Cap }).called("websocket_max_reconnect_interval"),
	span("status.interval", forMiner, 5*time.Minute, "between status lines",
		func(s *Settings) *time.Duration { return &s.Miner.StatusInterval }).called("task_stats_update_interval"),

	text("clock.file", forBoth, "", "FILE", "of a local network's clock, so that an accelerated one is followed; refused on public networks",
		func(s *Settings) *string { return &s.ClockFile }),

	toggle("logging.debug", forBoth, "log more",
		func(s *Settings) *bool { return &s.Logging.Debug }).also("BT_LOGGING_DEBUG"),
	toggle("logging.trace", forBoth, "the same as logging.debug",
		func(s *Settings) *bool { return &s.Logging.Trace }).also("BT_LOGGING_TRACE"),
	word("logging.format", forBoth, "auto", []string{"auto", "text", "json"}, "of log lines: auto is text on a terminal and JSON elsewhere",
		func(s *Settings) *string { return &s.Logging.Format }),
}

func fallbackWords() []string {
	var out []string
	for _, f := range node.Fallbacks() {
		out = append(out, string(f))
	}
	return out
}

// legacyFlag is something the original's programs were given and that this one
// takes without doing anything, or refuses because its silence would mislead.
type legacyFlag struct {
	name string
	role role
	bare bool
	env  []string
	why  string // what is so here
	// refuse are values, in small letters, that are an error.
	refuse []string
}

// take says what to tell the operator of a value.
func (l *legacyFlag) take(from, value string) (notice string, err error) {
	for _, no := range l.refuse {
		if strings.EqualFold(value, no) {
			return "", fmt.Errorf("%s: %s", from, l.why)
		}
	}
	return fmt.Sprintf("%s has no effect: %s", from, l.why), nil
}

const (
	neverHad = "it had none in the original either"
	noSQL    = "a node keeps its own store; see store.dir"
	always   = "it is always so"
)

// legacy is what has no effect. Every one of them gets one notice.
var legacy = legacyTable()

func legacyTable() []legacyFlag {
	out := []legacyFlag{
		{name: "use_event_driven", role: forBoth, bare: true, env: []string{"USE_EVENT_DRIVEN"}, refuse: []string{"false", "0", "no", "off"},
			why: "a node is always event-driven, and there is no other kind here"},
		{name: "mock", role: forBoth, bare: true, refuse: []string{"true"}, why: "there is no mock chain here; see `bettensor localnet`"},
		{name: "vesting.enabled", role: forValidator, refuse: []string{"true", "1", "yes", "on"}, why: "there is no vesting here, and scores would not be what you expect"},
		{name: "miner_set_weights", role: forMiner, refuse: []string{"true", "1", "yes", "on"}, why: "a miner does not set weights"},
		{name: "axon.max_workers", role: forBoth, env: []string{"BT_AXON_MAX_WORKERS"}, why: "there are as many workers as processors"},
		{name: "priority.max_workers", role: forBoth, env: []string{"BT_PRIORITY_MAX_WORKERS"}, why: "there are as many workers as processors"},
		{name: "priority.maxsize", role: forBoth, env: []string{"BT_PRIORITY_MAXSIZE"}, why: "queues have limits of their own"},
		{name: "logging.info", role: forBoth, bare: true, env: []string{"BT_LOGGING_INFO"}, refuse: []string{"false", "0", "no", "off"},
			why: "what happens is always logged, and there is no quieter level"},
		{name: "logging.record_log", role: forBoth, bare: true, env: []string{"BT_LOGGING_RECORD_LOG"}, why: "lines go to standard error, for a journal to keep"},
		{name: "logging.logging_dir", role: forBoth, env: []string{"BT_LOGGING_LOGGING_DIR"}, why: "lines go to standard error, for a journal to keep"},
		{name: "logging.enable_third_party_loggers", role: forBoth, bare: true, env: []string{"BT_LOGGING_ENABLE_THIRD_PARTY_LOGGERS"}, why: "there are none"},
		{name: "strict", role: forBoth, bare: true, why: always},
		{name: "no_version_checking", role: forBoth, bare: true, why: "a node never looks for newer versions by itself"},
		{name: "db", role: forValidator, why: noSQL},
		{name: "db_path", role: forMiner, why: noSQL},
		{name: "load_state", role: forValidator, why: always},
		{name: "max_targets", role: forValidator, why: "every axon is polled"},
		{name: "alpha", role: forValidator, why: neverHad},
		{name: "websocket.enabled", role: forBoth, why: always},
		{name: "websocket.heartbeat_interval", role: forValidator, why: "miners beat; see session.timeout"},
		{name: "websocket.connection_timeout", role: forBoth, why: "see session.timeout"},
		{name: "task_game_update_interval", role: forMiner, why: "validators tell of games as they change"},
		{name: "event_driven.scoring_interval", role: forValidator, why: neverHad + "; see scoring.interval"},
		{name: "event_driven.weights_interval", role: forValidator, why: neverHad + "; the chain's rate limit decides"},
		{name: "event_driven.game_data_interval", role: forValidator, why: neverHad + "; see feed.interval"},
		{name: "event_driven.http_fallback", role: forValidator, why: always},
		{name: "primary", role: forValidator, env: []string{"VALIDATOR_IS_PRIMARY"}, why: "validators share no state"},
		{name: "pull_state", role: forValidator, env: []string{"VALIDATOR_PULL_STATE"}, why: "validators share no state"},
	}
	for _, name := range []string{"name", "blocks_per_epoch", "max_batch_size", "max_sequence_len", "device", "epoch_length", "default_priority",
		"events_retention_size", "timeout", "num_concurrent_forwards", "sample_size", "moving_average_alpha"} {
		out = append(out, legacyFlag{name: "neuron." + name, role: forBoth, why: neverHad})
	}
	out = append(out, legacyFlag{name: "neuron.vpermit_tao_limit", role: forMiner, why: neverHad})
	out = append(out, legacyFlag{name: "neuron.dont_save_events", role: forBoth, bare: true, why: neverHad})
	for _, name := range []string{"force_validator_permit", "allow_non_registered"} {
		out = append(out, legacyFlag{name: "blacklist." + name, role: forBoth, bare: true, why: "only registered hotkeys are answered"})
	}
	for _, name := range []string{"minimum_stake_requirement", "minimum_hotkeys_per_wallet", "minimum_registrations_per_wallet", "minimum_subnet_stake_requirement"} {
		out = append(out, legacyFlag{name: "blacklist." + name, role: forBoth, why: neverHad})
	}
	for _, name := range []string{"minimum_stake", "retention_window", "retention_target", "max_multiplier", "use_background_thread", "thread_priority",
		"query_interval_seconds", "transaction_query_interval_seconds", "detailed_transaction_tracking"} {
		out = append(out, legacyFlag{name: "vesting." + name, role: forValidator, why: "there is no vesting here"})
	}
	for _, name := range []string{"db_name", "db_user", "db_password", "db_host", "db_port", "max_connections", "redis_host", "redis_port"} {
		out = append(out, legacyFlag{name: name, role: forMiner, why: noSQL})
	}
	return out
}

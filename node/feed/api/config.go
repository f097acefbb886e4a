package api

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"bettensor/node/feed"
)

// Kind is the form in which a provider tells of games.
type Kind string

// The kinds. The empty one is guessed from the URL: The Odds API by its host,
// files where there is no http scheme, one JSON answer where the path ends in
// .json, else the games API.
const (
	GamesAPI Kind = "games" // the subnet's games API, in pages
	JSON     Kind = "json"  // the same items in one answer at an address
	OddsAPI  Kind = "odds"  // The Odds API, version 4
	Files    Kind = "files" // the same items in a file, or in the .json files of a directory
)

// DefaultURL is the subnet's games API, OddsURL The Odds API.
const (
	DefaultURL = "https://dev-bettensor-api.azurewebsites.net"
	OddsURL    = "https://api.the-odds-api.com"
)

// Config is the manual of a feed. The zero value of a field takes the default
// named in its comment; a node of its own needs no more than a key.
type Config struct {
	// Kind of the provider. Default: guessed from URL.
	Kind Kind
	// URL of the provider, a file or a directory. Default DefaultURL; with Kind
	// "odds" OddsURL. Keys do not belong in it.
	URL string
	// Key that the provider gave out: a bearer token for the games API, apiKey
	// for The Odds API. Over plain http it is sent to loopback addresses only.
	Key Key
	// KeyFile holds the key, where Key is empty: one line, at most 4 KiB.
	KeyFile string
	// EnvironmentProxy uses the proxy that HTTPS_PROXY names. Default off: a
	// variable left in a shell must not send a key past a stranger.
	EnvironmentProxy bool

	// Deadline of a whole fetch, all pages and retries. Default 50 s: less than
	// the minute that the Games service waits.
	Deadline time.Duration
	// CallDeadline of one request, from dialling to the last byte. Default 15 s.
	CallDeadline time.Duration
	// Rate of requests a second to one class of endpoints. Default 5: a sixth of
	// what The Odds API takes. A fetch of many pages may burst.
	Rate float64
	// History is how far back games are asked for. Default 45 days, as the
	// original: what can still be settled and scored.
	History time.Duration

	// Sports of The Odds API, by key. Default the original's fixed list:
	// soccer_uefa_champs_league, soccer_uefa_europa_league, americanfootball_nfl.
	Sports []string
	// Bookmakers whose prices are averaged, by key; one alone is taken as it is,
	// and up to ten cost as much as a region. Default: all of Regions.
	Bookmakers []string
	// Regions of bookmakers, where Bookmakers is empty: us, us2, uk, eu, au.
	// Each costs a credit a request. Default eu.
	Regions []string
	// OddsInterval between requests for a sport's prices. Default 1 h. It grows
	// by itself where the credits would not last to the month's end.
	OddsInterval time.Duration
	// ResultsInterval between requests for a sport's results while a game of it
	// is being played or awaits its result. Default 30 min; each costs 2 credits.
	ResultsInterval time.Duration
	// ClosingLead before a kick-off in which a sport's prices are fetched once
	// more, whatever OddsInterval says: the last before the start are the closing
	// odds that miners are judged by. Default 5 min.
	ClosingLead time.Duration
	// Floor of credits below which only results are fetched and nothing new is
	// offered: what was wagered must be settled. Default 50.
	Floor int

	// Second is a feed that must tell the same result before one is handed on.
	// It must know games by the same ids, so in practice a mirror or a second
	// account. Prices are of the first. Default none.
	Second *Config

	// Now is the node's clock, which dates games. Default the system's clock,
	// which in any case governs deadlines, rates and backoff.
	Now func() time.Time
	// Log takes lines for people. Default none.
	Log *slog.Logger
	// Rand draws the jitter of retries, from one goroutine at a time. Default
	// seeded by the clock.
	Rand *rand.Rand
}

// Limits of a configuration.
const (
	maxKeyFile = 4 << 10 // bytes; keys have 32 to a few hundred
	maxSports  = 64      // each costs requests in every interval
	maxBooks   = 40      // four regions' worth
	maxRate    = 10_000  // requests a second: beyond it there is none
)

func (c *Config) fill() error {
	if c.Kind == "" {
		c.Kind = kindOf(c.URL)
	}
	if c.URL == "" {
		c.URL = DefaultURL
		if c.Kind == OddsAPI {
			c.URL = OddsURL
		}
	}
	c.Deadline = cmp.Or(c.Deadline, 50*time.Second)
	c.CallDeadline = cmp.Or(c.CallDeadline, 15*time.Second)
	c.Rate = cmp.Or(c.Rate, 5)
	c.History = cmp.Or(c.History, 45*24*time.Hour)
	c.OddsInterval = cmp.Or(c.OddsInterval, time.Hour)
	c.ResultsInterval = cmp.Or(c.ResultsInterval, 30*time.Minute)
	c.ClosingLead = cmp.Or(c.ClosingLead, 5*time.Minute)
	c.Floor = cmp.Or(c.Floor, 50)
	if len(c.Sports) == 0 {
		c.Sports = []string{"soccer_uefa_champs_league", "soccer_uefa_europa_league", "americanfootball_nfl"}
	}
	if len(c.Regions) == 0 {
		c.Regions = []string{"eu"}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = nowhere
	}
	if c.Rand == nil {
		c.Rand = rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	}
	if err := c.readKey(); err != nil {
		return err
	}
	if err := c.validate(); err != nil {
		return err
	}
	if c.Second != nil {
		second := *c.Second
		c.Second = &second
		second.Now, second.Log = c.Now, c.Log
		if second.Second != nil {
			return configError("a second feed has no second of its own")
		}
		if err := c.Second.fill(); err != nil {
			return fmt.Errorf("second feed: %w", err)
		}
	}
	return nil
}

// Check says whether a feed can be made of a configuration, without dialling or
// reading anything but its key file. The error is an *Error.
func (c Config) Check() error { return c.fill() }

func kindOf(raw string) Kind {
	scheme, _, isURL := strings.Cut(raw, "://")
	if scheme = strings.ToLower(scheme); raw != "" && (!isURL || scheme != "http" && scheme != "https") {
		return Files
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil: // refused later, with a reason
		return GamesAPI
	case strings.HasSuffix(u.Hostname(), "the-odds-api.com"):
		return OddsAPI
	case strings.HasSuffix(u.Path, ".json"):
		return JSON
	}
	return GamesAPI
}

func configError(format string, args ...any) error {
	return &Error{Code: CodeConfig, Err: fmt.Errorf(format, args...)}
}

func (c *Config) readKey() error {
	if c.Key != "" || c.KeyFile == "" {
		return nil
	}
	f, err := os.Open(c.KeyFile)
	if err != nil {
		return configError("feed key file: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return configError("feed key file: %w", err)
	}
	key := strings.TrimSpace(string(raw))
	if key == "" || len(raw) > maxKeyFile {
		return configError("feed key file %s: expected one line with the key, got %d bytes", c.KeyFile, len(raw))
	}
	c.Key = Key(key)
	return nil
}

func (c *Config) validate() error {
	for _, d := range [...]time.Duration{c.Deadline, c.CallDeadline, c.History, c.OddsInterval, c.ResultsInterval, c.ClosingLead} {
		if d < 0 {
			return configError("feed: expected a deadline, interval, lead or history above 0, got %v", d)
		}
	}
	if !(c.Rate > 0 && c.Rate <= maxRate) || c.Floor < 0 {
		return configError("feed: expected a rate above 0 and at most %d, and a floor of 0 or more, got %g and %d", maxRate, c.Rate, c.Floor)
	}
	for _, r := range string(c.Key) {
		if r <= ' ' || r > '~' {
			return configError("the feed's key holds a space or a character that no key has; was it copied whole?")
		}
	}
	switch c.Kind {
	case Files:
		c.URL = strings.TrimPrefix(c.URL, "file://")
		if scheme, _, isURL := strings.Cut(c.URL, "://"); isURL {
			return configError("feed url: expected http, https, file or a path, got %.20s://", scheme)
		}
		return nil
	case GamesAPI, JSON, OddsAPI:
	default:
		return configError("feed kind: expected games, json, odds or files, got %q", string(c.Kind))
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return configError("feed url: not an address") // the error would repeat it, keys and all
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return configError("feed url: expected http://HOST or https://HOST, got %s", redactURL(c.URL))
	case u.User != nil || u.Query().Has("apiKey"):
		return configError("feed url: a key does not belong in it; use --feed.key_file")
	case c.Key != "" && u.Scheme == "http" && !loopback(u.Hostname()):
		return configError("feed url: the key would be sent in the clear to %s; use https", u.Host)
	}
	if c.Kind != OddsAPI {
		return nil
	}
	if c.Key == "" {
		return &Error{Code: CodeKey, Err: errors.New("The Odds API needs a key")}
	}
	if len(c.Sports) > maxSports || len(c.Bookmakers) > maxBooks || len(c.Regions) > maxBooks {
		return configError("feed: at most %d sports, %d bookmakers and as many regions", maxSports, maxBooks)
	}
	for i, s := range c.Sports {
		if !feed.KnownOddsSport(s) || !word(s) {
			return configError("feed sports: %q is no key of a sport that can be read (soccer_…, americanfootball_…, baseball_…, basketball_…, icehockey_…)", s)
		}
		for _, t := range c.Sports[:i] {
			if s == t {
				return configError("feed sports: %q is there twice", s)
			}
		}
	}
	for _, list := range [][]string{c.Bookmakers, c.Regions} {
		for _, s := range list {
			if !word(s) {
				return configError("feed bookmakers, regions: %q is no key", s)
			}
		}
	}
	return nil
}

// word tells whether s is a key as The Odds API has them.
func word(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// secrets are the texts that must not be shown.
func (c *Config) secrets() []string {
	var out []string
	for _, x := range []*Config{c, c.Second} {
		if x != nil && x.Key != "" {
			out = append(out, string(x.Key))
			if q := url.QueryEscape(string(x.Key)); q != string(x.Key) {
				out = append(out, q)
			}
		}
	}
	return out
}

// Key is a secret that a provider gave out. It prints as REDACTED by whatever
// way it is printed.
type Key string

// Format implements fmt.Formatter for every verb.
func (Key) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// String returns REDACTED.
func (Key) String() string { return redacted }

// GoString returns REDACTED.
func (Key) GoString() string { return redacted }

// LogValue returns REDACTED.
func (Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns REDACTED, for JSON and YAML.
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

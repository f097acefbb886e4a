package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"bettensor/node/bet"
	"bettensor/node/feed"
)

const (
	// sportsAge is how long the list of competitions in season holds. It is free,
	// and changes a few times a year.
	sportsAge = 24 * time.Hour
	// closingAge is how old prices may be shortly before a kick-off before they
	// are fetched once more.
	closingAge = 45 * time.Second
	// resultsDays is how far back results are asked for: the most there is.
	resultsDays = 3
	// soonestEnd is how long after its start a game is first asked about.
	soonestEnd = time.Hour
	// forgetAfter its start a game is not told of again: there are no results
	// that old.
	forgetAfter = (resultsDays + 2) * 24 * time.Hour
	// booksPerRegion is how many bookmakers cost as much as a region.
	booksPerRegion = 10
	// resultsCost is the price of a request for results of past days.
	resultsCost = 2
)

// odds is The Odds API, version 4. It has no "what has changed since", and each
// request of prices costs credits, so each sport is asked when it is due and
// what was learnt is told to whoever asks:
//
//	/v4/sports                        free: which competitions are in season
//	/v4/sports/{sport}/odds           1 credit a region: games to come and their prices
//	/v4/sports/{sport}/scores         2 credits: results of the last three days
type odds struct {
	cfg    *Config
	c      *client
	base   *url.URL
	sports []*sport
	// listed is when the list of sports was read.
	listed time.Time
	// The classes of its endpoints.
	list, lines, results class

	mu    sync.Mutex // guards quota, which Stats reads
	quota quota
}

// sport is what is known of one competition.
type sport struct {
	key      string
	inSeason bool
	oddsAt   time.Time // of the last prices
	scoresAt time.Time // of the last results
	games    map[bet.GameID]*bet.Game
}

func newOdds(cfg *Config) (*odds, error) {
	c, err := newClient(cfg)
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, configError("feed url: not an address")
	}
	o := &odds{cfg: cfg, c: c, base: base, quota: quota{floor: cfg.Floor},
		list: class{name: "list", rate: cfg.Rate, burst: 2}, lines: class{name: "odds", rate: cfg.Rate, burst: 5}, results: class{name: "results", rate: cfg.Rate, burst: 5}}
	for _, key := range cfg.Sports {
		o.sports = append(o.sports, &sport{key: key, games: map[bet.GameID]*bet.Game{}})
	}
	c.authorize = func(r *http.Request) {
		q := r.URL.Query()
		q.Set("apiKey", string(cfg.Key))
		r.URL.RawQuery = q.Encode()
	}
	c.judge = judgeOdds
	c.seen = func(h http.Header) {
		o.mu.Lock()
		o.quota.learn(h, o.cfg.Now())
		o.mu.Unlock()
	}
	return o, nil
}

// judgeOdds reads the provider's own code of a refusal. Without one the status
// says what it says everywhere.
func judgeOdds(_ int, body []byte, e *Error) {
	var in struct {
		Code string `json:"error_code"`
	}
	if json.Unmarshal(body, &in) != nil || in.Code == "" {
		return
	}
	switch in.Code {
	case "MISSING_KEY", "INVALID_KEY", "DEACTIVATED_KEY":
		e.Code = CodeKey
	case "OUT_OF_USAGE_CREDITS":
		e.Code = CodeQuota
	case "EXCEEDED_FREQ_LIMIT":
		e.Code = CodeRate
		e.After = max(e.After, 2*time.Second)
	default:
		e.Code = CodeStatus
	}
	e.Err = errors.New(shortCode(in.Code))
}

// shortCode is a provider's code as it may be shown: capitals and underscores.
func shortCode(s string) string {
	ok := strings.IndexFunc(s, func(r rune) bool { return (r < 'A' || r > 'Z') && r != '_' }) < 0
	if !ok || len(s) > 40 {
		return "an unknown error code"
	}
	return s
}

func (o *odds) fetch(ctx context.Context, q feed.Request) (answer, error) {
	now := o.cfg.Now()
	a := answer{batch: feed.Batch{At: now}}
	if err := o.season(ctx, now); err != nil {
		return answer{}, err
	}
	for _, s := range o.sports {
		if err := o.update(ctx, s, now, &a); err != nil {
			return answer{}, fmt.Errorf("%s: %w", s.key, err)
		}
		s.forget(now)
	}
	for _, s := range o.sports {
		from := len(a.batch.Games)
		for _, g := range s.games { // sorted below
			if g.Updated.After(q.Since) {
				a.batch.Games = append(a.batch.Games, *g)
			}
		}
		slices.SortFunc(a.batch.Games[from:], func(x, y bet.Game) int { return cmp.Compare(x.ID, y.ID) })
	}
	return a, nil
}

// season reads which sports are in season; an old list will do for a while where
// a new one cannot be had.
func (o *odds) season(ctx context.Context, now time.Time) error {
	if !o.listed.IsZero() && now.Sub(o.listed) < sportsAge {
		return nil
	}
	var list []feed.OddsSport
	err := o.c.get(ctx, &o.list, o.base.JoinPath("v4/sports"), func(body []byte) (err error) {
		list, err = feed.DecodeSports(body)
		return err
	})
	if err != nil {
		if o.listed.IsZero() {
			return err
		}
		return nil
	}
	o.listed = now
	for _, s := range o.sports {
		was := s.inSeason
		s.inSeason = slices.ContainsFunc(list, func(l feed.OddsSport) bool { return l.Key == s.key && l.Active })
		if was != s.inSeason {
			o.cfg.Log.Info("feed: season", "sport", s.key, "in_season", s.inSeason)
		}
	}
	return nil
}

// update fetches of a sport what is due.
func (o *odds) update(ctx context.Context, s *sport, now time.Time, a *answer) error {
	playing := 0
	for _, s := range o.sports {
		if s.inSeason {
			playing++
		}
	}
	o.mu.Lock()
	only := o.quota.resultsOnly(now)
	interval := o.quota.interval(o.cfg.OddsInterval, o.oddsCost(), playing, now)
	o.mu.Unlock()
	if only {
		s.withdraw(now)
	} else if s.inSeason && s.oddsDue(now, interval, o.cfg.ClosingLead) {
		var games []bet.Game
		var problems []feed.Problem
		err := o.c.get(ctx, &o.lines, o.oddsURL(s.key), func(body []byte) (err error) {
			games, problems, err = feed.DecodeOdds(body, now, o.cfg.Bookmakers)
			return err
		})
		if err != nil {
			return o.spent(err, now)
		}
		a.problems = append(a.problems, problems...)
		s.oddsAt = now
		s.learnOdds(games, now)
	}
	if (s.inSeason || len(s.games) > 0) && s.resultsDue(now, o.cfg.ResultsInterval) {
		var games []bet.Game
		var problems []feed.Problem
		err := o.c.get(ctx, &o.results, o.scoresURL(s.key), func(body []byte) (err error) {
			games, problems, err = feed.DecodeScores(body, now)
			return err
		})
		if err != nil {
			return o.spent(err, now)
		}
		a.problems = append(a.problems, problems...)
		s.scoresAt = now
		s.learnScores(games, now)
	}
	if limit := feed.MaxBatch / len(o.sports); len(s.games) > limit {
		return &Error{Code: CodeTooLarge, Err: fmt.Errorf("%d games, at most %d of a sport", len(s.games), limit)}
	}
	return nil
}

func (o *odds) spent(err error, now time.Time) error {
	var e *Error
	if errors.As(err, &e) && e.Code == CodeQuota {
		o.mu.Lock()
		o.quota.empty(now)
		o.mu.Unlock()
	}
	return err
}

// oddsCost is what a request for prices costs in credits.
func (o *odds) oddsCost() int {
	if n := len(o.cfg.Bookmakers); n > 0 {
		return (n + booksPerRegion - 1) / booksPerRegion
	}
	return len(o.cfg.Regions)
}

func (o *odds) oddsURL(key string) *url.URL {
	u := o.base.JoinPath("v4/sports", key, "odds")
	q := url.Values{"markets": {"h2h"}, "oddsFormat": {"decimal"}, "dateFormat": {"iso"}}
	if len(o.cfg.Bookmakers) > 0 {
		q.Set("bookmakers", strings.Join(o.cfg.Bookmakers, ","))
	} else {
		q.Set("regions", strings.Join(o.cfg.Regions, ","))
	}
	u.RawQuery = q.Encode()
	return u
}

func (o *odds) scoresURL(key string) *url.URL {
	u := o.base.JoinPath("v4/sports", key, "scores")
	u.RawQuery = url.Values{"daysFrom": {fmt.Sprint(resultsDays)}, "dateFormat": {"iso"}}.Encode()
	return u
}

// oddsDue: the interval is over, or a game starts soon and its prices are not
// the last.
func (s *sport) oddsDue(now time.Time, interval, lead time.Duration) bool {
	age := now.Sub(s.oddsAt)
	if s.oddsAt.IsZero() || age >= interval {
		return true
	}
	if age < closingAge {
		return false
	}
	for _, g := range s.games { // any will do
		if g.Start.After(now) && g.Start.Sub(now) <= lead {
			return true
		}
	}
	return false
}

// resultsDue: nothing was asked yet, or a game should be over and has no result.
func (s *sport) resultsDue(now time.Time, interval time.Duration) bool {
	if s.scoresAt.IsZero() {
		return true
	}
	if now.Sub(s.scoresAt) < interval {
		return false
	}
	for _, g := range s.games { // any will do
		if !g.Resulted() && now.Sub(g.Start) >= soonestEnd && now.Sub(g.Start) <= (resultsDays+1)*24*time.Hour {
			return true
		}
	}
	return false
}

// learnOdds takes the games to come as they now are. One that is no more among
// them is not offered any more.
func (s *sport) learnOdds(games []bet.Game, now time.Time) {
	listed := make(map[bet.GameID]bool, len(games))
	for i := range games {
		g := games[i]
		listed[g.ID] = true
		if old := s.games[g.ID]; old != nil && old.Resulted() {
			continue // running games are listed for a while after their end
		}
		s.games[g.ID] = &g
	}
	for id, g := range s.games { // each is judged alone
		if g.Active && !listed[id] {
			g.Active, g.Updated = false, now
		}
	}
}

// learnScores takes results, and kick-offs that moved. It knows of no prices.
func (s *sport) learnScores(games []bet.Game, now time.Time) {
	for i := range games {
		g := games[i]
		old := s.games[g.ID]
		switch {
		case old == nil:
			s.games[g.ID] = &g
			continue
		case g.Resulted():
			old.Status, old.Outcome, old.ResultAt, old.Active = g.Status, g.Outcome, g.ResultAt, false
		case old.Resulted(): // withdrawn
			old.Status, old.Outcome, old.ResultAt = g.Status, g.Outcome, time.Time{}
		case !now.Before(g.Start):
			old.Active = false
		case g.Start.Equal(old.Start):
			continue
		}
		old.Start, old.Updated = g.Start, now
	}
}

// withdraw offers nothing any more: prices nobody renews are a gift to whoever
// reads newer ones elsewhere.
func (s *sport) withdraw(now time.Time) {
	for _, g := range s.games { // each is judged alone
		if g.Active {
			g.Active, g.Updated = false, now
		}
	}
}

func (s *sport) forget(now time.Time) {
	for id, g := range s.games { // each is judged alone
		if now.Sub(g.Start) > forgetAfter {
			delete(s.games, id)
		}
	}
}

func (o *odds) check(ctx context.Context) error {
	return o.c.get(ctx, &o.list, o.base.JoinPath("v4/sports"), func(body []byte) error {
		list, err := feed.DecodeSports(body)
		if err != nil {
			return err
		}
		for _, s := range o.sports {
			if !slices.ContainsFunc(list, func(l feed.OddsSport) bool { return l.Key == s.key }) {
				o.cfg.Log.Warn("feed: not in season, or no such sport", "sport", s.key)
			}
		}
		return nil
	})
}

func (o *odds) stats(s *Stats) {
	o.c.stats(s)
	now := o.cfg.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.quota.known {
		q := o.quota.now
		q.ResultsOnly = o.quota.resultsOnly(now)
		s.Quota = &q
	}
}

func (o *odds) close() { o.c.close() }

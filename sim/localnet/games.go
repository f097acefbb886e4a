package localnet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"bettensor/node/bet"
	"bettensor/node/feed"
	"bettensor/sim/market"

	"github.com/cespare/xxhash/v2"
)

// GamesConfig is the manual of the games API server. The zero value of a field
// takes the default named in its comment.
type GamesConfig struct {
	// Now is the node's clock: kick-offs, prices and results follow it. Required.
	Now func() time.Time
	// Seed of the made-up season. Every run with it plays the same games, counted
	// from the instant at which the server was made.
	Seed uint64
	// Horizon before its kick-off at which a game is offered; its price moves 32
	// times until then. Default 8 h: about 40 games are open at any time, and at
	// 60 times the speed a game is over 10 minutes after it was first seen.
	Horizon time.Duration
	// Teams of each of the six leagues; each plays twice a day, so that a model that
	// learns from results soon knows them. Even, 4 to 40. Default 20: five games an
	// hour.
	Teams int
	// History of games that have a result, for which a client may ask. Default 45
	// days, as the original asks for.
	History time.Duration
	// Key that a client must show as a bearer token. Default none is asked for.
	Key string
}

const (
	// seasonLength is how much of a market is made up at once: small enough to be
	// made within a request (a tenth of a second), long enough to be seldom.
	seasonLength = 14 * 24 * time.Hour
	// haste is how much faster than a market's the days of this calendar follow each
	// other: a day of it takes twelve hours. Only the fixtures move together, a game
	// itself takes its time.
	haste = 2
	// played is how long the calendar has gone on when the server is made: longer
	// than the four days of results that a validator tells a new miner of.
	played = 5 * 24 * time.Hour
	// seasonIDs is how far apart the ids of two leagues' seasons are.
	seasonIDs = 100_000
	// leagueStep is the time between the evenings of two leagues: an evening's
	// kick-offs take two hours, and six of them make a day of the calendar.
	leagueStep = 4 * time.Hour / haste
	// maxItems bounds a page, whatever ItemsPerPage says.
	maxItems = 1000
	// requestTimeout bounds one request on the wire: all of them are small.
	requestTimeout = 10 * time.Second
	// maxRequestHeader bounds a request's headers.
	maxRequestHeader = 16 << 10
	// lead and tail are what a made-up market keeps free at its ends. They are
	// added, so that one season follows the other without a gap.
	lead = time.Hour
	tail = market.ResultAfter + time.Hour
)

// leagues play in turn, each at its own evening somewhere in the world.
var leagues = [...]market.League{
	{Name: "meridian-league", Sport: "Soccer", CanTie: true, Spread: 0.3},
	{Name: "harbour-baseball", Sport: "Baseball", Spread: 0.1},
	{Name: "island-league", Sport: "Soccer", CanTie: true, Spread: 0.3},
	{Name: "inland-football", Sport: "Football", Spread: 0.25},
	{Name: "highland-league", Sport: "Soccer", CanTie: true, Spread: 0.3},
	{Name: "coastal-baseball", Sport: "Baseball", Spread: 0.1},
}

// Games serves the subnet's games API over a made-up season that never ends, in
// the node's time:
//
//	GET /Games/TeamGames/Search?PageIndex=&ItemsPerPage=&SortOrder=StartDate&LastUpdateDate=&StartDate=
//	GET /Games/TeamGames/{id}
//
// Games of all kinds are open at every hour, prices move until the kick-off,
// results come two hours after it. Its client is node/feed/api as it is.
type Games struct {
	cfg    GamesConfig
	origin time.Time
	server *http.Server
	addr   net.Addr
	served chan struct{}

	mu      sync.Mutex // guards seasons
	seasons []season   // by number, then league
}

// season is one league's games of seasonLength, moved by its place in the day.
type season struct {
	number, league int
	m              *market.Market
	begin          time.Time     // in the market's time as in ours
	shift          time.Duration // of the league, in ours
	firstID        int
}

// shiftOf is how much later than in its market a fixture is here.
func (s *season) shiftOf(f *market.Fixture) time.Duration {
	after := f.Start.Sub(s.begin)
	return after/haste - after + s.shift
}

// NewGames makes a server that listens nowhere yet.
func NewGames(cfg GamesConfig) (*Games, error) {
	cfg.Horizon = cmp.Or(cfg.Horizon, 8*time.Hour)
	cfg.Teams = cmp.Or(cfg.Teams, 20)
	cfg.History = cmp.Or(cfg.History, 45*24*time.Hour)
	switch {
	case cfg.Now == nil:
		return nil, errors.New("games: no clock")
	case cfg.Horizon < time.Hour || cfg.Horizon > market.OpensBefore:
		return nil, fmt.Errorf("games: expected a horizon of 1 h to %v, got %v", market.OpensBefore, cfg.Horizon)
	case cfg.Teams < 4 || cfg.Teams > 40 || cfg.Teams%2 != 0:
		return nil, fmt.Errorf("games: expected an even number of teams, 4 to 40, got %d", cfg.Teams)
	}
	// The season has begun when the server is made: the first games of every
	// league are under way, and some results are known.
	g := &Games{cfg: cfg, origin: cfg.Now().UTC().Truncate(24 * time.Hour).Add(-played), served: make(chan struct{})}
	if err := g.play(cfg.Now()); err != nil {
		return nil, err
	}
	g.server = &http.Server{
		Handler: g, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: maxRequestHeader,
	}
	return g, nil
}

// Listen binds an address, :0 for any port, and serves until Close.
func (g *Games) Listen(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("games: %w", err)
	}
	g.addr = l.Addr()
	go func() {
		defer close(g.served)
		g.server.Serve(l) // ends with ErrServerClosed, when Close is called
	}()
	return nil
}

// Addr is the bound address; nil before Listen.
func (g *Games) Addr() net.Addr { return g.addr }

// URL is what --feed.url takes.
func (g *Games) URL() string { return "http://" + g.addr.String() }

// Close stops serving, and waits for requests under way until ctx ends.
func (g *Games) Close(ctx context.Context) error {
	if g.addr == nil {
		return nil
	}
	err := g.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, g.server.Close())
	}
	<-g.served
	if err != nil {
		return fmt.Errorf("games: close: %w", err)
	}
	return nil
}

// play makes up the seasons that are open at now, and drops those too old to be
// asked for.
func (g *Games) play(now time.Time) error {
	const each = seasonLength / haste
	last := int(now.Add(g.cfg.Horizon+leagueStep*time.Duration(len(leagues))).Sub(g.origin) / each)
	first := max(0, int(now.Add(-g.cfg.History-leagueStep*time.Duration(len(leagues))).Sub(g.origin)/each))
	from := first
	if n := len(g.seasons); n > 0 {
		from = max(from, g.seasons[n-1].number+1)
	}
	for number := from; number <= last; number++ {
		for i, l := range leagues {
			l.Teams, l.GamesPerWeek = g.cfg.Teams, 7
			cfg := market.DefaultConfig()
			cfg.Leagues = []market.League{l}
			begin := g.origin.Add(time.Duration(number) * each)
			m, err := market.Synthetic(cfg, begin.Add(-lead), seasonLength+lead+tail, g.cfg.Seed+uint64(number*len(leagues)+i))
			if err != nil {
				return fmt.Errorf("games: season %d of %s: %w", number, l.Name, err)
			}
			g.seasons = append(g.seasons, season{number: number, league: i, m: m, begin: begin, shift: leagueStep * time.Duration(i),
				firstID: (number*len(leagues) + i + 1) * seasonIDs})
		}
	}
	g.seasons = slices.DeleteFunc(g.seasons, func(s season) bool { return s.number < first })
	return nil
}

// games are all that can be asked for at now, in order of start and id.
func (g *Games) games(now time.Time) ([]bet.Game, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.play(now); err != nil {
		return nil, err
	}
	var out []bet.Game
	for i := range g.seasons {
		s := &g.seasons[i]
		fixtures := s.m.Fixtures()
		for k := range fixtures {
			f := &fixtures[k]
			shift := s.shiftOf(f)
			if f.Start.Add(shift).Sub(now) > g.cfg.Horizon {
				break // they are in order of start
			}
			if now.Sub(f.KickOff().Add(shift)) <= g.cfg.History {
				if x, ok := s.game(f, k, now, g.cfg.Horizon); ok {
					out = append(out, x)
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b bet.Game) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

// game is a fixture at now. The eight days through which a market moves the price
// of a game are played in the horizon before its start; from then on its time
// is the market's.
func (s *season) game(f *market.Fixture, k int, now time.Time, horizon time.Duration) (bet.Game, bool) {
	squeeze := float64(market.OpensBefore) / float64(horizon)
	shift := s.shiftOf(f)
	at := now.Add(-shift)
	if before := f.Start.Sub(at); before > 0 {
		at = f.Start.Add(-time.Duration(float64(before) * squeeze))
	}
	x, ok := s.m.Game(f.ID, at)
	if !ok {
		return bet.Game{}, false
	}
	back := func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		if before := f.Start.Sub(t); before > 0 {
			t = f.Start.Add(-time.Duration(float64(before) / squeeze))
		}
		return t.Add(shift)
	}
	x.ID = bet.GameID(strconv.Itoa(s.firstID + k))
	x.Created, x.Updated, x.OddsAt, x.ResultAt = back(x.Created), back(x.Updated), back(x.OddsAt), back(x.ResultAt)
	x.Start = x.Start.Add(shift) // a new start lies after the first one
	return x, true
}

// ServeHTTP answers the two endpoints.
func (g *Games) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.cfg.Key != "" && r.Header.Get("Authorization") != "Bearer "+g.cfg.Key {
		refuse(w, http.StatusUnauthorized, "a bearer token is asked for")
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		refuse(w, http.StatusMethodNotAllowed, "only GET")
		return
	}
	// Peers of the original put a second slash after the host.
	rest, ok := strings.CutPrefix("/"+strings.TrimLeft(r.URL.Path, "/"), "/Games/TeamGames/")
	if !ok || rest == "" || strings.Contains(rest, "/") {
		refuse(w, http.StatusNotFound, "expected /Games/TeamGames/Search or /Games/TeamGames/{id}")
		return
	}
	games, err := g.games(g.cfg.Now())
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	if rest != "Search" {
		i := slices.IndexFunc(games, func(x bet.Game) bool { return string(x.ID) == rest })
		if i < 0 {
			refuse(w, http.StatusNotFound, "no such game")
			return
		}
		body, err := feed.EncodeGames(games[i : i+1])
		if err == nil {
			body = body[1 : len(body)-1] // the item without its array
		}
		answer(w, r, body, err)
		return
	}
	page, err := search(games, r.URL.Query())
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	body, err := feed.EncodeGames(page)
	answer(w, r, body, err)
}

// search filters and pages.
func search(games []bet.Game, q url.Values) ([]bet.Game, error) {
	var since, start time.Time
	index, items := 0, 100
	for _, f := range [...]struct {
		name string
		to   *time.Time
	}{{"LastUpdateDate", &since}, {"StartDate", &start}} {
		if text := q.Get(f.name); text != "" {
			t, err := feed.ParseTime(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.name, err)
			}
			*f.to = t
		}
	}
	for _, f := range [...]struct {
		name        string
		to          *int
		least, most int
	}{{"PageIndex", &index, 0, feed.MaxBatch}, {"ItemsPerPage", &items, 1, maxItems}} {
		if text := q.Get(f.name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < f.least || n > f.most {
				return nil, fmt.Errorf("%s: expected %d to %d", f.name, f.least, f.most)
			}
			*f.to = n
		}
	}
	games = slices.DeleteFunc(games, func(x bet.Game) bool { return x.Updated.Before(since) || x.Start.Before(start) })
	from := min(index*items, len(games))
	return games[from:min(from+items, len(games))], nil
}

func answer(w http.ResponseWriter, r *http.Request, body []byte, err error) {
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	tag := fmt.Sprintf(`"%016x"`, xxhash.Sum64(body))
	w.Header().Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(body) // a client that is gone is no fault of ours
}

func refuse(w http.ResponseWriter, status int, why string) {
	body, err := json.Marshal(map[string]string{"error": why})
	if err != nil {
		panic(err) // a map of texts
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

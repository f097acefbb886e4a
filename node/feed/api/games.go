package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"bettensor/node/bet"
	"bettensor/node/feed"
)

const (
	// itemsPerPage is what the original asks for, and the API's own limit.
	itemsPerPage = 100
	// maxPages bounds a fetch: as many as hold the games of the largest batch.
	maxPages = feed.MaxBatch/itemsPerPage + 2
	// searchPath of the games API, below its base.
	searchPath = "Games/TeamGames/Search"
)

// games is the subnet's games API, or one JSON answer with its items.
//
//	GET {base}/Games/TeamGames/Search?PageIndex=0&ItemsPerPage=100&SortOrder=StartDate
//	    &LastUpdateDate=…&StartDate=…&LeagueFilter=true     Authorization: Bearer KEY
//
// A page is an array; an empty one is the last. Anything else, an error page
// above all, is no end of the list but a failure of the whole fetch.
type games struct {
	cfg  *Config
	c    *client
	base *url.URL
	// list is the class of its one endpoint: a fetch of thirty pages may burst.
	list class
}

func newGames(cfg *Config) (*games, error) {
	c, err := newClient(cfg)
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, configError("feed url: not an address")
	}
	if cfg.Key != "" {
		c.authorize = func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+string(cfg.Key)) }
	}
	if cfg.Kind == GamesAPI && !strings.HasSuffix(strings.TrimSuffix(base.Path, "/"), "/"+searchPath) {
		base = base.JoinPath(searchPath)
	}
	return &games{cfg: cfg, c: c, base: base, list: class{name: "list", rate: cfg.Rate, burst: 30}}, nil
}

func (g *games) fetch(ctx context.Context, q feed.Request) (answer, error) {
	now := g.cfg.Now()
	a := answer{batch: feed.Batch{At: now}}
	at := map[bet.GameID]int{}
	items := 0
	for page := 0; ; page++ {
		if page == maxPages {
			return answer{}, &Error{Code: CodeTooLarge, Op: "GET " + redactURL(g.base.String()), Err: fmt.Errorf("more than %d pages", maxPages)}
		}
		games, problems, err := g.page(ctx, g.pageURL(page, q.Since, now), now)
		if err != nil {
			return answer{}, fmt.Errorf("page %d: %w", page, err)
		}
		fresh := 0
		for i := range games {
			k, known := at[games[i].ID]
			if known { // it moved on to this page while we read
				a.batch.Games[k] = games[i]
				continue
			}
			fresh++
			at[games[i].ID] = len(a.batch.Games)
			a.batch.Games = append(a.batch.Games, games[i])
		}
		refused := 0
		for i := range problems {
			problems[i].Item += items
			if !problems[i].Kept {
				refused++
			}
		}
		a.problems = append(a.problems, problems...)
		n := len(games) + refused
		items += n
		if n == 0 || g.cfg.Kind == JSON {
			break
		}
		if len(games) > 0 && fresh == 0 {
			return answer{}, &Error{Code: CodeRepeats, Op: "GET " + redactURL(g.base.String()), Err: fmt.Errorf("page %d holds nothing but games of earlier pages", page)}
		}
		if len(a.batch.Games) > feed.MaxBatch || len(a.problems) > feed.MaxBatch {
			return answer{}, &Error{Code: CodeTooLarge, Op: "GET " + redactURL(g.base.String()), Err: fmt.Errorf("more than %d games", feed.MaxBatch)}
		}
	}
	// Where most of it was nonsense the feed is broken rather than an item of it,
	// and what it meant must be asked for again.
	if bad := items - len(a.batch.Games); 2*bad > items {
		a.batch.At = time.Time{}
	}
	return a, nil
}

// pageURL is the address of a page. Its instants are whole hours, so that the
// address, and with it an ETag, holds for an hour; what is asked for twice
// changes nothing.
func (g *games) pageURL(page int, since, now time.Time) *url.URL {
	if g.cfg.Kind == JSON {
		return g.base
	}
	oldest := now.Add(-g.cfg.History)
	if since.Before(oldest) {
		since = oldest
	}
	u := *g.base
	q := u.Query()
	q.Set("PageIndex", strconv.Itoa(page))
	q.Set("ItemsPerPage", strconv.Itoa(itemsPerPage))
	q.Set("SortOrder", "StartDate")
	q.Set("LastUpdateDate", since.UTC().Truncate(time.Hour).Format(time.RFC3339))
	q.Set("StartDate", oldest.UTC().Truncate(time.Hour).Format(time.RFC3339))
	q.Set("LeagueFilter", "true")
	u.RawQuery = q.Encode()
	return &u
}

func (g *games) page(ctx context.Context, u *url.URL, now time.Time) (games []bet.Game, problems []feed.Problem, err error) {
	err = g.c.get(ctx, &g.list, u, func(body []byte) (err error) {
		games, problems, err = feed.DecodeGames(body, now)
		return err
	})
	return games, problems, err
}

func (g *games) check(ctx context.Context) error {
	now := g.cfg.Now()
	_, _, err := g.page(ctx, g.pageURL(0, now, now), now)
	return err
}

func (g *games) stats(s *Stats) { g.c.stats(s) }

func (g *games) close() { g.c.close() }

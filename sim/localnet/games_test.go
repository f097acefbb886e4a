package localnet

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/feed"
	"bettensor/node/feed/api"
)

var began = time.Date(2025, 3, 7, 10, 20, 0, 0, time.UTC)

// handClock is a node's clock that moves when it is told to.
type handClock struct{ ns atomic.Int64 }

func clockAt(t time.Time) *handClock {
	c := &handClock{}
	c.ns.Store(t.UnixNano())
	return c
}

func (c *handClock) Now() time.Time          { return time.Unix(0, c.ns.Load()).UTC() }
func (c *handClock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func bettable(games []bet.Game, now time.Time) (n int) {
	for i := range games {
		if games[i].Bettable(now) {
			n++
		}
	}
	return n
}

// TestGamesAreAlwaysOpen: at least 20 open games at any time, over seasons'
// ends, of every sport and league; and results come every hour but few.
func TestGamesAreAlwaysOpen(t *testing.T) {
	c := clockAt(began)
	g, err := NewGames(GamesConfig{Now: c.Now, Seed: 1, History: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	const days = 3*14 + 3 // over three ends of seasons
	least, hours, dry, settled := 1<<30, 0, 0, map[bet.GameID]bool{}
	sports := map[string]bool{}
	for c.Now().Before(began.AddDate(0, 0, days)) {
		games, err := g.games(c.Now())
		if err != nil {
			t.Fatal(err)
		}
		least = min(least, bettable(games, c.Now()))
		before := len(settled)
		ids := map[bet.GameID]bool{}
		for i := range games {
			x := &games[i]
			if ids[x.ID] {
				t.Fatalf("two games have the id %s", x.ID)
			}
			ids[x.ID] = true
			sports[x.League+"/"+x.Sport] = true
			if x.Resulted() {
				settled[x.ID] = true
			}
		}
		if hours++; len(settled) == before {
			dry++
		}
		c.advance(time.Hour)
	}
	if least < 20 {
		t.Errorf("at one time only %d games were open", least)
	}
	if perHour := float64(len(settled)) / float64(hours); perHour < 3 || dry > hours/20 {
		t.Errorf("%.1f results an hour, none in %d of %d hours", perHour, dry, hours)
	}
	if len(sports) != len(leagues) {
		t.Errorf("leagues: %v", sports)
	}
	if kept := len(g.seasons); kept > 3*len(leagues) {
		t.Errorf("%d seasons are kept", kept)
	}
}

// TestFeedReadsGames: the client that reads the subnet's API reads this one, in a
// node's day: games open, prices move, close at the kick-off and settle.
func TestFeedReadsGames(t *testing.T) {
	c := clockAt(began)
	g, err := NewGames(GamesConfig{Now: c.Now, Seed: 2, Key: "hush"})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	defer g.Close(context.WithoutCancel(t.Context()))
	stranger, err := api.New(api.Config{URL: g.URL(), Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close(context.WithoutCancel(t.Context()))
	if err := stranger.Check(t.Context()); err == nil {
		t.Error("a client without the key was served")
	}
	f, err := api.New(api.Config{URL: g.URL() + "/", Key: "hush", Now: c.Now, Rate: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close(context.WithoutCancel(t.Context()))

	known := map[bet.GameID]*bet.Game{}
	var since time.Time
	moved, sawOpen, settled := 0, map[bet.GameID]bool{}, 0
	for range 24 * 6 { // a day of polls every 10 minutes
		b, err := f.Fetch(t.Context(), feed.Request{Since: since})
		if err != nil {
			t.Fatal(err)
		}
		since = b.At.Add(-6 * time.Hour)
		for _, in := range b.Games {
			if err := feed.Timely(c.Now(), &in); err != nil {
				t.Fatal(err)
			}
			next, change, err := feed.Merge(known[in.ID], in)
			if err != nil {
				t.Fatal(err)
			}
			known[in.ID] = &next
			if change.Has(feed.Odds) && next.Bettable(c.Now()) {
				moved++
			}
			if next.Bettable(c.Now()) {
				sawOpen[next.ID] = true
			}
			if change.Has(feed.Outcome) && next.Resulted() && sawOpen[next.ID] {
				settled++
				if next.Status == bet.Finished && (next.Closing == bet.Odds{}) {
					t.Errorf("game %s was settled without closing odds: %+v", next.ID, next)
				}
			}
		}
		var open int
		for _, x := range known {
			if x.Bettable(c.Now()) {
				open++
			}
		}
		if open < 20 {
			t.Fatalf("%s: the node knows of %d open games", c.Now(), open)
		}
		c.advance(10 * time.Minute)
	}
	if moved < 500 || settled < 72 {
		t.Errorf("in a day prices moved %d times and %d games settled that were seen open", moved, settled)
	}
	if s := f.Stats(); s.Failed != 0 || s.Refused != 0 || s.Warned != 0 {
		t.Errorf("the feed had something to say: %+v", s)
	}
}

// TestGamesEndpoint: paging, one game, ETag, and what is refused.
func TestGamesEndpoint(t *testing.T) {
	c := clockAt(began)
	g, err := NewGames(GamesConfig{Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer g.Close(context.WithoutCancel(t.Context()))
	get := func(path, etag string) (int, []byte, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("If-None-Match", etag)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, body, resp.Header.Get("ETag")
	}
	const search = "//Games/TeamGames/Search?ItemsPerPage=20&SortOrder=StartDate&LeagueFilter=true&LastUpdateDate=2025-03-01T00:00:00Z&PageIndex="
	seen := map[bet.GameID]bool{}
	var last time.Time
	pages := 0
	for ; ; pages++ {
		status, body, etag := get(search+string(rune('0'+pages)), "")
		games, problems, err := feed.DecodeGames(body, c.Now())
		if status != 200 || err != nil || len(problems) != 0 {
			t.Fatalf("page %d: %d, %v, %v", pages, status, problems, err)
		}
		if len(games) == 0 {
			break
		}
		if len(games) > 20 {
			t.Fatalf("page %d holds %d games", pages, len(games))
		}
		for i := range games {
			if seen[games[i].ID] || games[i].Start.Before(last) {
				t.Fatalf("page %d: game %s is there twice or out of order", pages, games[i].ID)
			}
			seen[games[i].ID], last = true, games[i].Start
		}
		if status, body, _ := get(search+string(rune('0'+pages)), etag); status != 304 || len(body) != 0 {
			t.Errorf("page %d by its ETag: status %d, %d bytes", pages, status, len(body))
		}
		if pages == 9 {
			break
		}
	}
	if len(seen) < 60 {
		t.Errorf("%d games on %d pages", len(seen), pages)
	}
	for id := range seen {
		status, body, _ := get("/Games/TeamGames/"+string(id), "")
		var one struct {
			ID json.Number `json:"externalId"`
		}
		if err := json.Unmarshal(body, &one); err != nil || status != 200 || one.ID.String() != string(id) {
			t.Errorf("game %s alone: %d, %v, %s", id, status, err, body)
		}
		break
	}
	if _, body, _ := get("/Games/TeamGames/Search?LastUpdateDate=2025-03-07T10:20:01Z", ""); string(body) != "[]" {
		t.Errorf("news since after now: %.100s", body)
	}
	if _, body, _ := get("/Games/TeamGames/Search?StartDate=2025-03-20T00:00:00Z", ""); string(body) != "[]" {
		t.Errorf("games beyond the horizon: %.100s", body)
	}
	for path, want := range map[string]int{
		"/":                                              404,
		"/Games/TeamGames/":                              404,
		"/Games/TeamGames/7":                             404,
		"/Games/TeamGames/7/odds":                        404,
		"/Games/TeamGames/Search?PageIndex=-1":           400,
		"/Games/TeamGames/Search?ItemsPerPage=0":         400,
		"/Games/TeamGames/Search?ItemsPerPage=100000":    400,
		"/Games/TeamGames/Search?StartDate=tomorrow":     400,
		"/Games/TeamGames/Search?LastUpdateDate=%00%22":  400,
		"/Games/TeamGames/Search?PageIndex=99999999999z": 400,
	} {
		status, body, _ := get(path, "")
		if status != want || !json.Valid(body) {
			t.Errorf("%s: status %d, want %d: %s", path, status, want, body)
		}
	}
}

func TestGamesConfig(t *testing.T) {
	for name, cfg := range map[string]GamesConfig{
		"no clock":      {},
		"odd teams":     {Now: clockAt(began).Now, Teams: 5},
		"short horizon": {Now: clockAt(began).Now, Horizon: time.Minute},
		"long horizon":  {Now: clockAt(began).Now, Horizon: 30 * 24 * time.Hour},
	} {
		if _, err := NewGames(cfg); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}

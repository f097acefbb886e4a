package api

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/feed"

	"github.com/google/go-cmp/cmp"
)

// oddsStub is The Odds API as it is documented: three endpoints, a key in the
// query, usage in the headers.
type oddsStub struct {
	remaining, used atomic.Int64
	odds, scores    atomic.Value // bodies
}

func newOddsStub(t *testing.T) (*oddsStub, *stub) {
	o := &oddsStub{}
	o.remaining.Store(20_000)
	o.used.Store(20)
	o.odds.Store(string(fixture(t, "odds_soccer_epl.json")))
	o.scores.Store(string(fixture(t, "odds_scores_epl.json")))
	sports := string(fixture(t, "odds_sports.json"))
	return o, newStub(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("apiKey") != secret {
			w.WriteHeader(401)
			fmt.Fprint(w, `{"message":"API key is not valid","error_code":"INVALID_KEY","details_url":"https://the-odds-api.com/liveapi/guides/v4/api-error-codes.html#invalid-key"}`)
			return
		}
		cost, body := int64(0), sports
		switch {
		case strings.HasSuffix(r.URL.Path, "/odds"):
			cost, body = 1, o.odds.Load().(string)
		case strings.HasSuffix(r.URL.Path, "/scores"):
			cost, body = 2, o.scores.Load().(string)
		}
		if o.remaining.Load() < cost {
			w.WriteHeader(401)
			fmt.Fprint(w, `{"message":"Usage quota has been reached.","error_code":"OUT_OF_USAGE_CREDITS"}`)
			return
		}
		w.Header().Set("x-requests-remaining", fmt.Sprint(o.remaining.Add(-cost)))
		w.Header().Set("x-requests-used", fmt.Sprint(o.used.Add(cost)))
		w.Header().Set("x-requests-last", fmt.Sprint(cost))
		fmt.Fprint(w, body)
	})
}

// paths are what was asked for: sports, odds, scores.
func paths(s *stub) string {
	var out []string
	for _, r := range s.requests() {
		out = append(out, r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:])
	}
	return strings.Join(out, " ")
}

func game(t *testing.T, b feed.Batch, id string) bet.Game {
	t.Helper()
	for _, g := range b.Games {
		if g.ID == bet.GameID(id) {
			return g
		}
	}
	t.Fatalf("game %s is not in the batch", id)
	return bet.Game{}
}

const (
	soon   = "a1b2c3d4e5f60718293a4b5c6d7e8f90" // starts at 10:04
	played = "0f1e2d3c4b5a69788796a5b4c3d2e1f0" // since 9:00
	later  = "e912304de2b2ce35b473ce2ecd3d1502" // tomorrow
)

func epl(url string) Config {
	return Config{Kind: OddsAPI, URL: url, Key: secret, Sports: []string{"soccer_epl"}}
}

// TestOddsAPI: what is asked, when, and what comes of it.
func TestOddsAPI(t *testing.T) {
	o, s := newOddsStub(t)
	cfg := epl(s.URL)
	cfg.Sports = append(cfg.Sports, "soccer_germany_bundesliga") // not in season
	r := newRig(t, cfg)
	fetch := func(want string) feed.Batch {
		t.Helper()
		before := len(s.requests())
		b, err := r.Fetch(t.Context(), feed.Request{Since: noon.Add(-6 * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(strings.Fields(paths(s))[before:], " "); got != want {
			t.Errorf("at %v it asked for %q, want %q", r.clock(), got, want)
		}
		return b
	}
	b := fetch("sports odds scores")
	if len(b.Games) != 6 {
		t.Errorf("%d games", len(b.Games))
	}
	asked := s.requests()
	if got := asked[1].URL.Query(); !cmp.Equal(map[string][]string(got), map[string][]string{"apiKey": {secret}, "regions": {"eu"}, "markets": {"h2h"},
		"oddsFormat": {"decimal"}, "dateFormat": {"iso"}}) || asked[1].URL.Path != "/v4/sports/soccer_epl/odds" || asked[2].URL.Query().Get("daysFrom") != "3" {
		t.Errorf("asked %s and %s", asked[1].URL, asked[2].URL)
	}
	if g := game(t, b, soon); !g.Bettable(noon) || g.Odds != (bet.Odds{2.1, 3.45, 3.3}) {
		t.Errorf("%+v", g)
	}
	if g := game(t, b, played); g.Active {
		t.Errorf("a running game is offered: %+v", g)
	}

	// Shortly before the kick-off the prices are fetched again, though the interval
	// is not over: these are the closing odds.
	r.advance(3 * time.Minute)
	body := o.odds.Load().(string)
	o.odds.Store(strings.Replace(body, `"price": 2.1`, `"price": 2.05`, 1))
	closing := game(t, fetch("odds"), soon)
	if closing.Odds[bet.Home] != 2.05 || closing.OddsAt.After(closing.Start) {
		t.Errorf("closing odds: %+v", closing)
	}
	r.advance(20 * time.Second)
	fetch("") // they are new enough

	// A game that nobody prices any more is not offered.
	r.advance(time.Hour)
	o.odds.Store("[]")
	if g := game(t, fetch("odds scores"), later); g.Active || g.Odds == (bet.Odds{}) {
		t.Errorf("it has no line and is offered: %+v", g)
	}

	// The result comes, and later prices of the running game change nothing of it.
	o.scores.Store(strings.Replace(strings.Replace(string(fixture(t, "odds_scores_epl.json")), `"completed": false`, `"completed": true`, 1), `"score": "1"`, `"score": "4"`, 1))
	r.advance(time.Hour)
	o.odds.Store(body)
	if g := game(t, fetch("odds scores"), played); g.Outcome != bet.Home || !g.ResultAt.Equal(g.Start.Add(2*time.Hour)) || g.Active {
		t.Errorf("the result: %+v", g)
	}
	r.advance(time.Hour)
	if g := game(t, fetch("odds scores"), played); g.Outcome != bet.Home {
		t.Errorf("the result is gone: %+v", g)
	}
	r.advance(forgetAfter)
	if b := fetch("sports odds scores"); len(b.Games) > 6 {
		t.Errorf("%d games are kept", len(b.Games))
	}
}

// TestOddsFloor: at the floor only results are fetched, and nothing is offered at
// prices that nobody renews; a new month brings new credits.
func TestOddsFloor(t *testing.T) {
	o, s := newOddsStub(t)
	o.remaining.Store(480)
	cfg := epl(s.URL)
	cfg.Floor = 478
	r := newRig(t, cfg)
	if _, err := r.Fetch(t.Context(), feed.Request{}); err != nil { // leaves 477
		t.Fatal(err)
	}
	r.advance(2 * time.Hour)
	s.answer(s.do)
	b, err := r.Fetch(t.Context(), feed.Request{})
	if err != nil || paths(s) != "scores" {
		t.Fatalf("asked for %q, %v", paths(s), err)
	}
	for _, g := range b.Games {
		if g.Active {
			t.Errorf("offered at an old price: %+v", g)
		}
	}
	q := r.Stats().Quota
	if q == nil || !q.ResultsOnly || q.Floor != 478 || q.Remaining != 475 || q.Last != 2 ||
		!q.ResetsAt.Equal(time.Date(2025, 4, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("quota: %+v", q)
	}
	r.mu.Lock()
	r.now = time.Date(2025, 4, 1, 0, 1, 0, 0, time.UTC)
	r.mu.Unlock()
	o.remaining.Store(500)
	o.used.Store(0)
	s.answer(s.do)
	if _, err := r.Fetch(t.Context(), feed.Request{}); err != nil || !strings.Contains(paths(s), "odds") {
		t.Errorf("in the new month it asked for %q, %v", paths(s), err)
	}
}

// TestOddsRefusals: the provider's codes, permanent and passing.
func TestOddsRefusals(t *testing.T) {
	for provider, c := range map[string]struct {
		status int
		want   Code
		asked  int // requests of one fetch
		again  int // of the next, half an hour later
	}{
		"MISSING_KEY":          {401, CodeKey, 1, 0},
		"INVALID_KEY":          {401, CodeKey, 1, 0},
		"DEACTIVATED_KEY":      {401, CodeKey, 1, 0},
		"OUT_OF_USAGE_CREDITS": {401, CodeQuota, 1, 0},
		"EXCEEDED_FREQ_LIMIT":  {429, CodeRate, attempts, attempts},
		"INVALID_REGION":       {422, CodeStatus, 1, 1},
		"<script>":             {500, CodeStatus, attempts, attempts},
	} {
		s := newStub(t, status(c.status, fmt.Sprintf(`{"message":"no","error_code":%q}`, provider)))
		r := newRig(t, epl(s.URL))
		_, err := r.Fetch(t.Context(), feed.Request{})
		if code(err) != c.want || len(s.requests()) != c.asked || strings.Contains(err.Error(), "<") {
			t.Errorf("%s: %v, %d requests", provider, err, len(s.requests()))
		}
		r.advance(30 * time.Minute)
		s.answer(s.do)
		if _, err := r.Fetch(t.Context(), feed.Request{}); code(err) != c.want || len(s.requests()) != c.again {
			t.Errorf("%s, half an hour later: %v, %d requests", provider, err, len(s.requests()))
		}
	}
	s := newStub(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"message":"no","error_code":"INVALID_KEY"}`)
	})
	if err := newRig(t, epl(s.URL)).Check(t.Context()); code(err) != CodeShape {
		t.Errorf("an error told with status 200: %v", err)
	}
}

// TestOddsPartial: one sport that fails fails the fetch; what another told is not
// paid for twice, and told the next time.
func TestOddsPartial(t *testing.T) {
	o, s := newOddsStub(t)
	cfg := epl(s.URL)
	cfg.Sports = append(cfg.Sports, "americanfootball_nfl")
	r := newRig(t, cfg)
	well := s.do
	s.answer(func(w http.ResponseWriter, q *http.Request) {
		if strings.Contains(q.URL.Path, "nfl") {
			w.WriteHeader(404)
			return
		}
		well(w, q)
	})
	if b, err := r.Fetch(t.Context(), feed.Request{}); code(err) != CodeStatus || len(b.Games) != 0 || !strings.Contains(err.Error(), "nfl") {
		t.Fatalf("%d games, %v", len(b.Games), err)
	}
	spent := o.used.Load()
	s.answer(func(w http.ResponseWriter, q *http.Request) {
		if strings.Contains(q.URL.Path, "nfl/odds") {
			fmt.Fprint(w, "[]")
			return
		}
		if strings.Contains(q.URL.Path, "nfl") {
			w.Write(fixture(t, "odds_scores_nfl.json"))
			return
		}
		well(w, q)
	})
	b, err := r.Fetch(t.Context(), feed.Request{})
	if err != nil || len(b.Games) != 7 || o.used.Load() != spent {
		t.Errorf("%d games, %v, %d credits more", len(b.Games), err, o.used.Load()-spent)
	}
}

// TestQuotaForecast: the pace, the forecast to the month's end, and the interval
// at which what is left will do.
func TestQuotaForecast(t *testing.T) {
	at := func(day, hour int) time.Time { return time.Date(2025, 3, day, hour, 0, 0, 0, time.UTC) }
	headers := func(remaining, used string) http.Header {
		h := http.Header{}
		h.Set("x-requests-remaining", remaining)
		h.Set("x-requests-used", used)
		h.Set("x-requests-last", "1")
		return h
	}
	q := quota{floor: 50}
	if got := q.interval(time.Hour, 1, 3, at(1, 0)); got != time.Hour || q.resultsOnly(at(1, 0)) {
		t.Errorf("before anything is known: %v", got)
	}
	for _, bad := range [][2]string{{"", ""}, {"-1", "5"}, {"x", "5"}, {"NaN", "1"}, {"1e300", "1"}, {"5", "Inf"}} {
		if q.learn(headers(bad[0], bad[1]), at(1, 0)); q.known {
			t.Fatalf("%q was believed", bad)
		}
	}
	q.learn(headers("400.0", "100"), at(11, 0)) // 100 in 10 days
	if q.now.Forecast != 310 {
		t.Errorf("forecast %d, want 310", q.now.Forecast)
	}
	q.learn(headers("390", "110"), at(11, 5)) // then 2 an hour
	if want := 110 + 2*(20*24+19); q.now.Forecast != want {
		t.Errorf("forecast %d, want %d", q.now.Forecast, want)
	}
	// 340 above the floor, 3 credits a round: 113 rounds in 499 hours.
	if got := q.interval(time.Hour, 1, 3, at(11, 5)).Round(time.Minute); got != 4*time.Hour+24*time.Minute {
		t.Errorf("interval %v", got)
	}
	if got := q.interval(6*time.Hour, 1, 3, at(11, 5)); got != 6*time.Hour {
		t.Errorf("interval %v", got)
	}
	q.empty(at(12, 0))
	if !q.resultsOnly(at(12, 1)) || q.resultsOnly(at(32, 1)) {
		t.Error("nothing is left until the month ends")
	}
}

// TestClockOffsetByDate: our clock against the Date of an answer; one that a cache
// has kept, or that has none, tells nothing.
func TestClockOffsetByDate(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 5, 0, time.UTC)
	for name, tc := range map[string]struct {
		header map[string]string
		want   *time.Duration
	}{
		"ahead":  {map[string]string{"Date": "Sun, 01 Mar 2026 12:00:00 GMT"}, new(4500 * time.Millisecond)},
		"cached": {map[string]string{"Date": "Sun, 01 Mar 2026 11:00:00 GMT", "Age": "3600"}, nil},
		"silent": {nil, nil},
	} {
		h := http.Header{}
		for k, v := range tc.header {
			h.Set(k, v)
		}
		c := &client{wall: time.Now}
		c.dated(h, at.Add(-time.Second), at.Add(time.Second))
		var s Stats
		c.stats(&s)
		if (s.ClockOffset == nil) != (tc.want == nil) || tc.want != nil && *s.ClockOffset != *tc.want {
			t.Errorf("%s: %v, want %v", name, s.ClockOffset, tc.want)
		}
	}
}

package sim

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"bettensor/node"
	"bettensor/node/bet"
	"bettensor/node/ledger"
	"bettensor/node/model"
	"bettensor/node/score"
	"bettensor/sched"
	"bettensor/sim/mockchain"
)

// A quiet subnet: steady odds, no jitter, no loss, and miners that place the same
// predictions whatever becomes of the validator. So a validator that was away
// must end where one that never was ends.

var quietStart = time.Date(2024, 3, 4, 0, 0, 0, 0, time.UTC)

const (
	quietDays   = 5
	quietMiners = 16
	quietLength = quietDays*24*time.Hour + 8*time.Hour
	// Predictions are made by lastPick and the first game begins at firstKickOff:
	// who is away for less than what lies between loses none of them.
	lastPick     = 15 * time.Hour
	firstKickOff = 19 * time.Hour
)

// quietGames are six games a day at odds that never move. The last one's result
// comes after midnight.
type quietGames struct{}

func (quietGames) all() (games []bet.Game) {
	for d := range quietDays {
		for k := range 6 {
			g := bet.Game{ID: bet.GameID(fmt.Sprint(100000 + 10*d + k)), Sport: "Soccer", League: "Test",
				TeamA: fmt.Sprintf("Home %d", k), TeamB: fmt.Sprintf("Away %d", k), CanTie: true, Active: true,
				Created: quietStart, Updated: quietStart, OddsAt: quietStart, Outcome: bet.Unfinished,
				Start: quietStart.Add(time.Duration(d)*24*time.Hour + firstKickOff + time.Duration(k)*50*time.Minute),
				Odds:  bet.Odds{1.7 + 0.1*float64(k), 4.5 - 0.2*float64(k), 3.4}}
			games = append(games, g)
		}
	}
	return games
}

func (q quietGames) Changes(since, now time.Time) (news []bet.Game) {
	for k, g := range q.all() {
		if result := g.Start.Add(55 * time.Minute); !now.Before(result) {
			g.Updated, g.Status, g.ResultAt, g.Active = result, bet.Finished, result, false
			g.Outcome = bet.Outcome(draw("result", k) % 3)
		}
		if g.Updated.After(since) {
			news = append(news, g)
		}
	}
	return news
}

// draw is a number that depends on nothing but its names.
func draw(names ...any) int {
	h := fnv.New32a()
	fmt.Fprint(h, names...)
	return int(h.Sum32() >> 1)
}

// diary backs what was laid down beforehand, as soon as its time has come.
type diary []entryOfDiary

type entryOfDiary struct {
	at   time.Time
	pick model.Pick
}

func (diary) Name() string                 { return "diary" }
func (diary) Observe(time.Time, *bet.Game) {}
func (d diary) Wake(now time.Time, _ *model.Book) time.Time {
	for _, e := range d {
		if e.at.After(now) {
			return e.at
		}
	}
	return time.Time{}
}
func (d diary) Picks(now time.Time, b *model.Book) (picks []model.Pick) {
	for _, e := range d {
		if !e.at.After(now) && len(b.Placed(e.pick.Game)) == 0 {
			picks = append(picks, e.pick)
		}
	}
	return picks
}

// diaryOf is what a miner does every day: three of the day's games, or as the
// days say.
func diaryOf(miner int, days func(d int) (on int, at time.Duration)) (out diary) {
	for d := range quietDays {
		on, last := days(d)
		for n := range 3 {
			k := (draw("game", miner, d)%6 + n) % 6
			at := quietStart.Add(time.Duration(on)*24*time.Hour + last - time.Duration(draw("at", miner, d, n)%540)*time.Minute)
			if last > firstKickOff { // in the last seconds
				at = quietStart.Add(time.Duration(on)*24*time.Hour + last - time.Duration(draw("at", miner, d, n)%9)*time.Second)
			}
			out = append(out, entryOfDiary{at, model.Pick{Game: bet.GameID(fmt.Sprint(100000 + 10*d + k)),
				Outcome: bet.Outcome(draw("side", miner, d, k) % 3), Wager: bet.Cents(1000 + 300*miner + 100*n), Confidence: 0.5}})
		}
	}
	slices.SortStableFunc(out, func(a, b entryOfDiary) int { return a.at.Compare(b.at) })
	return out
}

// everyDay predicts in the morning on the evening's games.
func everyDay(d int) (int, time.Duration) { return d, lastPick }

func quiet(entropy float64, days func(miner int) func(d int) (int, time.Duration)) Config {
	scheme := score.Standard()
	scheme.EntropyCoefficient = entropy
	cc := mockchain.Defaults(30, quietStart)
	c := Config{Seed: 1, Start: quietStart, Chain: cc, Feed: quietGames{},
		Validators: []ValidatorSpec{{Name: "v0", Stake: 10_000e9, Node: node.ValidatorConfig{Scheme: &scheme, WeightsMove: math.SmallestNonzeroFloat64, ScoringInterval: 10 * time.Minute,
			StatusInterval: 12 * time.Hour, SessionTimeout: time.Hour}}}}
	for i := range quietMiners {
		d := diaryOf(i, days(i))
		c.Miners = append(c.Miners, MinerSpec{Name: fmt.Sprintf("m%d", i), Kind: "diary", Model: func() (model.Model, error) { return d, nil },
			Node: node.MinerConfig{Heartbeat: 20 * time.Minute, MetagraphInterval: time.Hour, StatusInterval: 12 * time.Hour}})
	}
	return c
}

// quietEnd is what a run on the quiet subnet ends in.
type quietEnd struct {
	Books  books
	Scores []string // of every hotkey and day, but for the entropy, which depends on times of receipt
}

// quietRun runs the quiet subnet and counts the events that came to the
// validator while something was under way to its disk.
func quietRun(t testing.TB, c Config, disturb func(*World)) (end quietEnd, busy int) {
	t.Helper()
	return quietRunFor(t, c, quietLength, disturb)
}

func quietRunFor(t testing.TB, c Config, length time.Duration, disturb func(*World)) (end quietEnd, busy int) {
	t.Helper()
	w := newSkeleton(t, c)
	w.OnInput = func(h *Host) {
		if h.IsValidator() && h.Unsynced() > 0 {
			busy++
		}
	}
	if disturb != nil {
		disturb(w)
	}
	w.Run(quietStart.Add(length))
	w.OnInput = nil
	end.Books = booksOf(t, w)
	s, err := w.Hosts[0].disk.open()
	if err != nil {
		t.Fatal(err)
	}
	found, err := ledger.LoadValidator(s.Snapshot)
	s.Snapshot.Close()
	if err != nil {
		t.Fatal(err)
	}
	for k, r := range found.Scores {
		end.Scores = append(end.Scores, fmt.Sprintf("%s %s clv %v roi %v risk %v composite %v wagered %s settled %d tier %d score %v weight %v", k.Day, k.Hotkey,
			r.CLV, r.ROI, r.Risk, r.Composite, r.Wagered, r.Settled, r.Tier, r.OwnScore, r.Weight))
	}
	slices.Sort(end.Scores)
	w.Close()
	return end, busy
}

func everyone(days func(d int) (int, time.Duration)) func(int) func(int) (int, time.Duration) {
	return func(int) func(int) (int, time.Duration) { return days }
}

// TestRestartEquivalent: a validator that is stopped at arbitrary points, with
// what it had not yet written lost in part, and starts again on its store ends
// with the same books as one that never stopped; with the same scores, tiers
// and weights too where times of receipt do not count in them.
func TestRestartEquivalent(t *testing.T) {
	t.Parallel()
	for _, entropy := range []float64{0, score.Standard().EntropyCoefficient} {
		c := quiet(entropy, everyone(everyDay))
		want, busy := quietRun(t, c, nil)
		if n := len(want.Books.Predictions); n != quietDays*quietMiners*3 || len(want.Books.Weights.UIDs) != quietMiners || len(want.Scores) < quietDays*quietMiners {
			t.Fatalf("the undisturbed run: %d predictions, weights %v, %d scores", n, want.Books.Weights, len(want.Scores))
		}
		stops, lossy := 0, 0
		for seed := range uint64(8) {
			rng := rand.New(rand.NewPCG(seed, 7))
			points := map[int]bool{} // half by events, so that something is under way
			for range 8 {
				points[1+rng.IntN(busy)] = true
			}
			var log []string
			got, _ := quietRun(t, c, func(w *World) {
				h, n, back := w.Hosts[0], 0, quietStart
				stop := func() {
					// Up for half an hour in between, so that miners can deliver.
					if !h.Up() || w.now().Before(back.Add(30*time.Minute)) {
						return
					}
					away := time.Duration(float64(10*time.Second) * math.Pow(1080, rng.Float64())) // to 3 h
					keep := rng.IntN(h.Unsynced() + 1)
					stops++
					if keep < h.Unsynced() {
						lossy++
					}
					log = append(log, fmt.Sprintf("%s for %s, %d of %d kept", w.now().Format("02 15:04:05.000"), away.Round(time.Second), keep, h.Unsynced()))
					back = w.now().Add(away)
					h.CrashFor(keep, away)
				}
				for range 8 {
					w.Sched.Push(quietStart.Add(rand.N(quietLength-8*time.Hour)), sched.Func(stop))
				}
				w.OnBuild = func(x *Host) { // and where it hurts: between what belongs together
					if x != h {
						return
					}
					scope := h.Loop.Scope("chance")
					perhaps := func(odds int) {
						if rng.IntN(odds) == 0 {
							w.Sched.After(time.Duration(rng.IntN(3))*time.Millisecond, sched.Func(stop))
						}
					}
					h.Validator.GameSettled.Subscribe(scope, func(*node.GameSettled) { perhaps(5) })
					h.Validator.ScoringComplete.Subscribe(scope, func(*node.ScoringComplete) { perhaps(200) })
					h.Validator.PredictionReceived.Subscribe(scope, func(*node.PredictionReceived) { perhaps(40) })
				}
				count := w.OnInput
				w.OnInput = func(x *Host) {
					count(x)
					if x != h || h.Unsynced() == 0 {
						return
					}
					if n++; points[n] {
						if rng.IntN(2) == 0 {
							stop()
						} else {
							w.Sched.After(0, sched.Func(stop)) // when the event has been handled
						}
					}
				}
			})
			name := fmt.Sprintf("entropy %v, seed %d, stopped %q", entropy, seed, log)
			same := got
			if entropy > 0 {
				same.Scores, same.Books.Weights = want.Scores, want.Books.Weights
			}
			if !sameQuiet(t, name, want, same) {
				return
			}
		}
		if stops < 60 || lossy < 5 {
			t.Errorf("only %d stops, %d of them losing something", stops, lossy)
		}
	}
}

func sameQuiet(t testing.TB, name string, want, got quietEnd) bool {
	t.Helper()
	if !sameBooks(t, name, want.Books, got.Books) {
		return false
	}
	if !slices.Equal(want.Scores, got.Scores) {
		for i := range max(len(want.Scores), len(got.Scores)) {
			a, b := at(want.Scores, i), at(got.Scores, i)
			if a != b {
				t.Errorf("%s: scores differ, first in\nundisturbed %s\nthis run    %s", name, a, b)
				return false
			}
		}
	}
	return true
}

func at(s []string, i int) string {
	if i < len(s) {
		return s[i]
	}
	return "nothing"
}

// TestRestartEquivalentAcrossDays: away over midnight, and for three days, so
// that results come late and the tiers of the missed days are made afterwards.
func TestRestartEquivalentAcrossDays(t *testing.T) {
	t.Parallel()
	// Half of them begin on the third day, and late in the evening.
	evening := func(miner int) func(d int) (int, time.Duration) {
		if miner%2 == 0 {
			return everyDay
		}
		return func(d int) (int, time.Duration) { return max(d-1, 2), 23*time.Hour + 38*time.Minute }
	}
	early := func(d int) (int, time.Duration) { return min(d, 1), lastPick } // all by the second day
	for _, tt := range []struct {
		name     string
		days     func(miner int) func(d int) (int, time.Duration)
		at, away time.Duration
	}{
		{"over midnight", everyone(everyDay), 2*24*time.Hour + 22*time.Hour, 4 * time.Hour},
		{"over midnight for a moment", everyone(everyDay), 3*24*time.Hour - time.Second, 2 * time.Second},
		{"over two midnights", everyone(early), 24*time.Hour + 23*time.Hour, 26 * time.Hour},
		{"three days", everyone(early), 24*time.Hour + 18*time.Hour, 72 * time.Hour},
		{"three days from midnight to midnight", everyone(early), 2 * 24 * time.Hour, 72 * time.Hour},
		{"after an evening's predictions", evening, 2*24*time.Hour + 23*time.Hour + 38*time.Minute + 20*time.Second, time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := quiet(0, tt.days)
			want, _ := quietRun(t, c, nil)
			got, _ := quietRun(t, c, func(w *World) {
				w.Sched.Push(quietStart.Add(tt.at), sched.Func(func() { w.Hosts[0].CrashFor(0, tt.away) }))
			})
			sameQuiet(t, tt.name, want, got)
		})
	}
}

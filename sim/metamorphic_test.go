package sim

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/ledger"
	"bettensor/node/model"
	"bettensor/node/score"

	gocmp "github.com/google/go-cmp/cmp"
)

// outcomes of a run on the quiet subnet, by what a miner is called and not by
// slot, id or time: what a relation between two runs speaks of.
type outcomes struct {
	Bets    []string // miner, game, side, odds, wager, state, payout: one line a prediction
	Budgets []string
	Scores  map[string][]float64 // of each miner and day: CLV, ROI, risk, composite, wagered, settled, tier, own score; not entropy, which follows the times of receipt
	Weights map[string]uint16    // on the chain, by miner
}

// outcomesOf runs the quiet subnet for a day and reads what each validator has
// of it.
func outcomesOf(t *testing.T, c Config) (all []outcomes) {
	t.Helper()
	w := newSkeleton(t, c)
	w.Run(quietStart.Add(quietDay))
	for i := range c.Validators {
		all = append(all, outcomesAt(t, w, w.Hosts[i]))
	}
	w.Close()
	return all
}

func outcomesAt(t *testing.T, w *World, h *Host) outcomes {
	t.Helper()
	names := map[chain.Hotkey]string{}
	for _, x := range w.Hosts {
		names[x.Hotkey] = x.Name
	}
	o := outcomes{Scores: map[string][]float64{}, Weights: map[string]uint16{}}
	meta := w.Chain.Metagraph(w.now())
	uid, _ := meta.UIDOf(h.Hotkey)
	set, _ := w.Chain.Weights(uid)
	for i, u := range set.UIDs {
		o.Weights[names[meta.Neurons[u].Hotkey]] = set.Values[i]
	}
	h.Crash(h.Unsynced())
	s, err := h.disk.open()
	if err != nil {
		t.Fatal(err)
	}
	found, err := ledger.LoadValidator(s.Snapshot)
	s.Snapshot.Close()
	if err != nil {
		t.Fatal(err)
	}
	for i := range found.Predictions {
		p := &found.Predictions[i]
		o.Bets = append(o.Bets, fmt.Sprint(names[p.Hotkey], " ", p.Game, " ", p.Outcome, " ", p.Odds, " ", p.Wager, " ", p.State, " ", p.Payout))
	}
	for line := range found.Budget.All() {
		o.Budgets = append(o.Budgets, fmt.Sprint(line.Day, " ", names[line.Hotkey], " ", line.Spent))
	}
	for k, r := range found.Scores {
		o.Scores[fmt.Sprint(k.Day, " ", names[k.Hotkey])] = []float64{r.CLV, r.ROI, r.Risk, r.Composite, float64(r.Wagered), float64(r.Settled), float64(r.Tier), r.OwnScore}
	}
	slices.Sort(o.Bets)
	slices.Sort(o.Budgets)
	return o
}

// rounding is the difference that sums in another order may make.
const rounding = 1e-12

func near(a, b float64) bool { return math.Abs(a-b) <= rounding*max(1, math.Abs(a), math.Abs(b)) }

// sameOutcomes wants two runs to be equal, but for the rounding of scores.
func sameOutcomes(t *testing.T, want, got outcomes) {
	t.Helper()
	if d := gocmp.Diff(want, got, gocmp.Comparer(near)); d != "" {
		t.Errorf("differs (-as it was +changed)\n%s", d)
	}
}

// picksAt is a diary of which every pick is made at times of its own.
func picksAt(d diary, at func(i int) time.Duration) diary {
	d = slices.Clone(d)
	for i := range d {
		day := d[i].at.Truncate(24 * time.Hour)
		d[i].at = day.Add(at(i))
	}
	slices.SortStableFunc(d, func(a, b entryOfDiary) int { return a.at.Compare(b.at) })
	return d
}

// halves backs what a diary backs by two equal wagers.
type halves struct{ diary }

func (h halves) Picks(now time.Time, b *model.Book) (out []model.Pick) {
	for _, p := range h.diary.Picks(now, b) {
		p.Wager /= 2
		out = append(out, p, p)
	}
	return out
}

// movingGames are the quiet ones, with one line of each that shortens between the
// last pick and the first kick-off: some picks have beaten the closing line.
type movingGames struct{ quietGames }

func (m movingGames) Changes(since, now time.Time) (news []bet.Game) {
	for _, g := range m.quietGames.Changes(time.Time{}, now) {
		if moved := g.Start.Truncate(24 * time.Hour).Add(17 * time.Hour); !now.Before(moved) {
			g.OddsAt = moved
			g.Odds[draw("moved", string(g.ID))%3] *= 0.8
			if g.Updated.Before(moved) {
				g.Updated = moved
			}
		}
		if g.Updated.After(since) {
			news = append(news, g)
		}
	}
	return news
}

// TestRelations changes what must not matter, or not much, and compares the ends:
// bets, budgets, scores and the weights on the chain, of every validator. Times of
// receipt count in the entropy term alone; its coefficient is 0 here.
func TestRelations(t *testing.T) {
	t.Parallel()
	base := func() Config { return quiet(0, everyone(everyDay)) }
	want := outcomesOf(t, base())[0]
	if len(want.Bets) != 3*quietMiners || len(want.Weights) != quietMiners || len(want.Budgets) != quietMiners {
		t.Fatalf("the run to compare with: %+v", want)
	}
	models := func(c *Config, f func(i int, d diary) model.Model) {
		for i := range c.Miners {
			m := f(i, diaryOf(i, everyDay))
			c.Miners[i].Model = func() (model.Model, error) { return m, nil }
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		check  func(t *testing.T, want, got outcomes)
	}{
		{"slots permuted", func(c *Config) { slices.Reverse(c.Miners) }, sameOutcomes},
		{"HTTP in place of WebSocket", func(c *Config) {
			c.Validators[0].Node.PollStakeLimit, c.Validators[0].Node.PollInterval = 1, 10*time.Minute
			for i := range c.Miners {
				c.Miners[i].Polled = true
			}
		}, sameOutcomes},
		{"two validators in place of one", func(c *Config) {
			second := c.Validators[0]
			second.Name = "v1"
			c.Validators = append(c.Validators, second)
		}, sameOutcomes},
		{"predictions arrive in another order", func(c *Config) {
			models(c, func(i int, d diary) model.Model {
				return picksAt(d, func(n int) time.Duration { return lastPick - time.Duration(draw("other", i, n)%540)*time.Minute })
			})
		}, sameOutcomes},
		{"ties permuted", func(c *Config) { c.Explore = true }, sameOutcomes},
		{"another latency", func(c *Config) { c.Network.Latency, c.Network.Jitter = 170*time.Millisecond, 90*time.Millisecond }, sameOutcomes},
		{"every wager in two halves", func(c *Config) {
			models(c, func(_ int, d diary) model.Model { return halves{d} })
		}, func(t *testing.T, want, got outcomes) {
			// The halves win and lose as the whole would. Twice as many predictions
			// count, each half as much: every rate is what it was.
			if d := gocmp.Diff(want.Budgets, got.Budgets); d != "" {
				t.Errorf("budgets\n%s", d)
			}
			if len(got.Bets) != 2*len(want.Bets) {
				t.Errorf("%d bets in halves of %d", len(got.Bets), len(want.Bets))
			}
			for who, w := range want.Scores {
				g := got.Scores[who]
				if len(g) != len(w) {
					t.Errorf("%s has no score", who)
					continue
				}
				for i, name := range []string{"CLV", "ROI"} {
					if math.Abs(w[i]-g[i]) > 1e-3 { // half cents are rounded in a payout
						t.Errorf("%s of %s is %v in halves and was %v", name, who, g[i], w[i])
					}
				}
				if w[4] != g[4] || 2*w[5] != g[5] && !strings.HasSuffix(who, " ") {
					t.Errorf("%s: wagered and settled %v, were %v", who, g[4:6], w[4:6])
				}
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := base()
			tt.change(&c)
			for _, got := range outcomesOf(t, c) {
				tt.check(t, want, got)
			}
		})
	}
}

// TestRelationsUnderRobust: what is paid for beating the closing line is the same
// by whatever slots the miners have, at each of two validators, and for a wager in
// two halves, which is one position on its game.
func TestRelationsUnderRobust(t *testing.T) {
	t.Parallel()
	base := func() Config {
		c := quiet(0, everyone(everyDay))
		c.Feed = movingGames{}
		scheme := score.Robust()
		scheme.EdgeLeast, scheme.EdgeDoubt = 1, 0.25 // a day proves little
		c.Validators[0].Node.Scheme = &scheme
		return c
	}
	want := outcomesOf(t, base())[0]
	if len(want.Weights) < 3 || len(want.Weights) == quietMiners { // some are paid, by how much they knew
		t.Fatalf("the run to compare with pays %v", want.Weights)
	}
	for _, tt := range []struct {
		name   string
		change func(*Config)
	}{
		{"slots permuted", func(c *Config) { slices.Reverse(c.Miners) }},
		{"two validators in place of one", func(c *Config) {
			second := c.Validators[0]
			second.Name = "v1"
			c.Validators = append(c.Validators, second)
		}},
		{"every wager in two halves", func(c *Config) {
			for i := range c.Miners {
				c.Miners[i].Model = func() (model.Model, error) { return halves{diaryOf(i, everyDay)}, nil }
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := base()
			tt.change(&c)
			for i, got := range outcomesOf(t, c) {
				if d := gocmp.Diff(want.Weights, got.Weights); d != "" {
					t.Errorf("weights of v%d (-as they were +changed)\n%s", i, d)
				}
			}
		})
	}
}

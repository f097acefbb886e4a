package scenario_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"bettensor/node/score"
	"bettensor/sim/fault"
	"bettensor/sim/scenario"
)

var update = flag.Bool("update", false, "write the golden files and docs/scenario.md anew")

// options are those of the real program.
func options() scenario.Option {
	scheme := score.Standard()
	opt := scenario.Option{Coefficient: scheme.Set, Invariants: []string{"budget", "late_prediction"}}
	for _, f := range scheme.Fields() {
		opt.Coefficients = append(opt.Coefficients, f.Name)
	}
	return opt
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got), -update writes it:\n%s", file, diff)
	}
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

const minimal = "validators: [{name: v0}]\n"

func parse(t testing.TB, text string, sets ...string) *scenario.Scenario {
	t.Helper()
	s, problems := scenario.Parse("x.yaml", []byte(text), sets, options())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return s
}

// TestMistakes: every mistake of a file is told at once, in the order of
// positions, each with what was expected.
func TestMistakes(t *testing.T) {
	s, problems := scenario.Parse("mistakes.yaml", read(t, "testdata/mistakes.yaml"), nil, options())
	if s != nil {
		t.Error("a scenario came of a file with mistakes")
	}
	for i := 1; i < len(problems); i++ {
		a, b := problems[i-1], problems[i]
		if a.Line > b.Line || a.Line == b.Line && a.Column > b.Column {
			t.Errorf("out of order: %v before %v", a, b)
		}
	}
	golden(t, "testdata/mistakes.golden", []byte(problems.Error()+"\n"))
}

func TestRefusedFiles(t *testing.T) {
	bomb := "a: &a [1,2,3,4,5,6,7,8,9]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "x.yaml:1:1: expected a scenario, got an empty file"},
		{"comment only", "# nothing\n", "x.yaml:1:1: expected a scenario, got an empty file"},
		{"null", "---\n", "x.yaml:1:1: expected a scenario, got an empty file"},
		{"list", "- a\n", "x.yaml:1:1: expected keys with values, got a list"},
		{"second document", minimal + "---\nseed: 2\n", "x.yaml:3:1: expected one document, got a second one"},
		{"not UTF-8", minimal + "about: \"caf\xe9\"\n", "x.yaml:2:12: expected UTF-8 text, got the byte 0xe9"},
		{"control character", minimal + "about: a\x01b\x02\n", "x.yaml:2:9: expected UTF-8 text, got the control character U+0001 (and 1 more like it)"},
		{"syntax", "validators: [\nseed: 1\n", "x.yaml:3:1: not YAML: did not find expected ',' or ']' while parsing a flow sequence"},
		{"too large", strings.Repeat("#", scenario.MaxFileBytes+1), "x.yaml:1:1: expected a file of at most 1MiB, got 1048577B"},
		{"alias to itself", "validators: &a [*a]\n", "x.yaml:1:17: expected nesting of at most 32 levels; the alias \"a\" may hold itself"},
		{"no validators", "seed: 1\n", "x.yaml:1:1: validators is needed: expected a list of at least one item"},
		{"no validator in the list", "validators: []\n", "x.yaml:1:13: validators: expected at least one item"},
		{"all counts 0", "validators: [{name: v0, count: 0}]\n", "x.yaml:1:13: validators: expected at least one validator, all counts are 0"},
		{"tag", minimal + "seed: !!int 5\n", "x.yaml:2:7: seed: expected a whole number without a tag, got !!int"},
		{"leading zero", minimal + "seed: 010\n", "x.yaml:2:7: seed: expected a whole number, got 010"},
		{"underscore", minimal + "seed: 1_000\n", "x.yaml:2:7: seed: expected a whole number, got 1_000"},
		{"yes is no truth value", minimal + "chain: {commit_reveal: yes}\n", "x.yaml:2:24: chain.commit_reveal: expected true or false, got \"yes\""},
		{"a number is no text", minimal + "about: 5\n", "x.yaml:2:8: about: expected text, got 5 (quote it if text is meant)"},
		{"infinite", minimal + "network: {loss: .inf}\n", "x.yaml:2:17: network.loss: expected a finite number from 0 to 1, got .inf"},
		{"hex", minimal + "network: {loss: 0x1p-2}\n", "x.yaml:2:17: network.loss: expected a finite number from 0 to 1, got \"0x1p-2\""},
		{"files and made-up games", minimal + "market: {file: [a.csv], drift: 0.1}\n", "x.yaml:2:32: market.drift: not used where market.file is given: remove one of them"},
		{"no room", minimal + "miners: [{kind: idle, count: 256}]\n", "x.yaml:2:9: miners: 1 validators and 256 miners do not fit into chain.max_uids, 256"},
		{"after the end", minimal + "duration: 1d\nfaults: [{name: a, what: feed.outage, at: 2d}]\n", "x.yaml:3:43: faults[0].at: 2d is not before the end of the run at 1d"},
		{"over the end", minimal + "duration: 1d\nfaults: [{name: a, what: feed.outage, at: 23h, for: 2h}]\n", "x.yaml:3:53: faults[0].for: ends at 1d1h, after the end of the run at 1d"},
		{"every without for", minimal + "faults: [{name: a, what: feed.outage, every: 2d}]\n", "x.yaml:2:10: faults[0]: for is needed with every: expected how long each window lasts"},
		{"at and when", minimal + "faults: [{name: a, what: feed.outage, at: 2d, when: weights_set}]\n", "x.yaml:2:53: faults[0].when: excludes at, every and until: the event alone says when it happens"},
		{"too many windows", minimal + "duration: 5w\nfaults: [{name: a, what: feed.outage, every: 1s, for: 1s}]\n", "x.yaml:3:46: faults[0].every: expected at most 100000 windows in a run of 5w"},
		{"unknown invariant", minimal + "invariants: {disable: [{name: budgets, reason: because}]}\n", "x.yaml:2:31: invariants.disable[0].name: no invariant \"budgets\" (did you mean \"budget\"?)"},
		{"coefficient out of range", minimal + "scoring: {vig: 2}\n", "x.yaml:2:16: scoring.vig: score: bad scheme: vig: want 0 to 0.999999, got 2"},
		{"unknown metric", minimal + "thresholds: [{metric: rewardshare, expect: value<1}]\n", "x.yaml:2:23: thresholds[0].metric: no metric \"rewardshare\" at column 1 (did you mean \"reward_share\"?)"},
		{"condition of another type", minimal + "thresholds: [{metric: gini, expect: \"p(99)<2s\"}]\n", "x.yaml:2:37: thresholds[0].expect: cannot read \"p(99)<2s\" at column 1: expected value (gini is a value)"},
		{"unknown group of a metric", minimal + "miners: [{kind: late}]\nthresholds: [{metric: \"roi{group:lat}\", expect: value<1}]\n", "x.yaml:3:23: thresholds[0].metric: no group of miners \"lat\" at column 11 (did you mean \"late\"?)"},
		{"two thresholds of one name", minimal + "thresholds: [{metric: gini, expect: value<1}, {metric: gini, expect: value>0}]\n", "x.yaml:2:47: thresholds[1].name: expected a name of its own, \"gini\" is also thresholds[0]"},
		{"comparison of nothing", minimal + "expect: [{name: a, that: 1 < 2}]\n", "x.yaml:2:26: expect[0].that: cannot read \"1 < 2\" at column 1: expected a metric on at least one side"},
		{"unknown property", minimal + "sometimes: [weights_sent]\n", "x.yaml:2:13: sometimes[0]: no property \"weights_sent\" (did you mean \"weights_set\"?)"},
		{"phase without an end", minimal + "phases: [{name: a}, {name: b, faults: off}]\n", "x.yaml:2:10: phases[0]: for or until is needed: expected when the phase ends"},
		{"settling under faults", minimal + "phases: [{name: a, settle_within: 1h}]\n", "x.yaml:2:35: phases[0].settle_within: expected faults to be off in a phase that must settle"},
		{"phases out of order", minimal + "phases: [{name: a, until: 2h}, {name: b, until: 1h}]\n", "x.yaml:2:49: phases[1].until: expected a time after the phase before, 2h, got 1h"},
		{"swarm without odds", minimal + "swarm: {miners: [{kind: late}]}\n", "x.yaml:2:8: swarm: omit is needed: expected a number from 0 to 1"},
		{"range the wrong way round", minimal + "swarm: {omit: 0.5, faults: [{name: a, what: feed.outage, every: 3h..1h, for: 1m}]}\n", "x.yaml:2:65: swarm.faults[0].every: expected a duration with a unit, such as 30s, 5m, 2h, 1d, 1w or 10blk, from 1s to 3650d, or LOW..HIGH of two, got \"3h..1h\""},
		{"range of a parameter", minimal + "swarm: {omit: 0.5, faults: [{name: a, what: network.loss, every: 1h, for: 1m, parameters: {loss: 0.5..2}}]}\n", "x.yaml:2:98: swarm.faults[0].parameters.loss: expected a finite number from 0 to 1, or LOW..HIGH of two, got \"0.5..2\""},
		{"windows and every", minimal + "faults: [{name: a, what: feed.outage, every: 1h, windows: [{at: 1h}]}]\n", "x.yaml:2:46: faults[0].every: not used where windows is given: remove one of them"},
		{"window of nobody", minimal + "faults: [{name: a, what: feed.outage, windows: [{at: 1h, hit: [v1]}]}]\n", "x.yaml:2:64: faults[0].windows[0].hit[0]: no node \"v1\" (did you mean \"v0\"?)"},
		{"hostile first validator", "validators: [{name: v0, kind: lazy}]\n", "x.yaml:1:31: validators[0].kind: expected the first validator to be honest: predictions are counted at it, got lazy"},
		{"friends of nobody", "validators: [{name: v0}, {name: v1, kind: biased}]\n", "x.yaml:1:26: validators[1].parameters.friends: needed for biased: expected the name of a group of miners"},
		{"a benchmark's metric without load", "validators: [{name: v0}]\nthresholds: [{metric: ns_per_op, expect: value<9}]\n", "x.yaml:2:23: thresholds[0].metric: ns_per_op is measured of a file with load, which is a benchmark"},
		{"a run's metric with load", "load: {what: score}\nthresholds: [{metric: gini, expect: value<9}]\n", "x.yaml:2:23: thresholds[0].metric: gini is measured of a file without load, which is no benchmark"},
		{"a part that is not in the mix", "load: {what: score}\nthresholds: [{metric: \"ns_per_op{of:round}\", expect: value<9}]\n", "x.yaml:2:23: thresholds[0].metric: the load has no \"round\" at column 14 (have: day, plain)"},
		{"a reference of another load", "load: {what: score}\nthresholds: [{metric: \"ratio{to:channel}\", expect: value<9}]\n", "x.yaml:2:23: thresholds[0].metric: the load has no \"channel\" at column 10 (have: plain)"},
		{"an operation of another load", "load: {what: bus, mix: [{name: timers, share: 1}]}\n", "x.yaml:1:32: load.mix[0].name: no operation \"timers\" of bus (did you mean \"timer\"?)"},
		{"a mix that is open", "load: {what: bus, arrivals: open, rate: 9, mix: [{name: timer, share: 1}]}\n", "x.yaml:1:49: load.mix: not used with open arrivals: remove one of them"},
		{"load with another's key", "load: {what: score, producers: 2}\n", "x.yaml:1:32: load.producers: not used where load.what is score (have: miners, predictions, mix)"},
		{"open without a rate", "load: {what: bus, arrivals: open}\n", "x.yaml:1:7: load.rate: needed with open arrivals: expected operations a second"},
		{"repeat without load", minimal + "repeat: 3\n", "x.yaml:2:9: repeat: used with load only, which makes the file a benchmark"},
		{"unknown coefficient", minimal + "scoring: {vigg: 2}\n", "x.yaml:2:11: scoring.vigg: unknown key (did you mean \"vig\"?)"},
		{"too many items", "validators: [" + strings.Repeat("{},", 1001) + "]\n", "x.yaml:1:13: validators: expected at most 1000 items, got 1001"},
		{"alias bomb", bomb, "expected at most 100000 values after aliases are put in"},
		{"deep", strings.Repeat("[", 100000), "x.yaml:1:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, problems := scenario.Parse("x.yaml", []byte(tt.text), nil, options())
			if s != nil || len(problems) == 0 {
				t.Fatal("not refused")
			}
			if got := problems.Error(); !strings.Contains(got, tt.want) {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestNothingMoreThanAskedFor: one mistake gives one problem, so that a
// misspelt kind does not hide itself among complaints that follow from it.
func TestNothingMoreThanAskedFor(t *testing.T) {
	for _, text := range []string{
		minimal + "sead: 1\n",
		minimal + "miners: [{kind: skiled}, {kind: copycat, parameters: {leader: skilled}}]\n",
		minimal + "miners: [{kind: skilled, count: -1}]\n",
		minimal + "market: {overround_min: 2}\n",
		"validators: [{nam: v0}]\nfaults: [{name: a, what: process.crash, target: validators.v0, at: 1h}]\n",
	} {
		_, problems := scenario.Parse("x.yaml", []byte(text), nil, options())
		want := 1
		if strings.Contains(text, "nam:") {
			want = 2 // the unknown key and the missing one
		}
		if len(problems) != want {
			t.Errorf("%s got %d problems:\n%v", text, len(problems), problems)
		}
	}
}

func TestSet(t *testing.T) {
	const file = `
seed: 1
validators: [{name: v0}, {name: v1, stake: 5}]
miners:
  - &two {kind: skilled, count: 2}
  - {kind: skilled, name: others, count: 3}
  - {kind: late, parameters: {before: 5m}}
faults:
  - {name: crash, what: process.crash, target: validators.v0, at: 1h}
network:
`
	for _, tt := range []struct {
		set  string
		got  func(*scenario.Scenario) any
		want any
	}{
		{"seed=7", func(s *scenario.Scenario) any { return s.Seed }, uint64(7)},
		{"miners.skilled.count=16", func(s *scenario.Scenario) any { return s.Miners[0].Count }, 16},
		{"miners.others.count=0", func(s *scenario.Scenario) any { return s.Miners[1].Count }, 0},
		{"miners.late.parameters.before=20m", func(s *scenario.Scenario) any { return s.Miners[2].Params["before"] }, 20.0},
		{"miners.skilled.parameters.daily=$12.50", func(s *scenario.Scenario) any { return s.Miners[0].Params["daily"] }, 12.5},
		{"validators.v1.stake=0.5", func(s *scenario.Scenario) any { return uint64(s.Validators[1].Stake) }, uint64(500_000_000)},
		{"scoring.scheme=released", func(s *scenario.Scenario) any { return s.Scoring.Scheme }, "released"},
		{"scoring.vig=0.90", func(s *scenario.Scenario) any { return s.Scoring.Coefficients }, []scenario.Coefficient{{Name: "vig", Value: "0.9"}}},
		{"scoring.legacy_clv=true", func(s *scenario.Scenario) any { return s.Scoring.Coefficients }, []scenario.Coefficient{{Name: "legacy_clv", Value: "true"}}},
		{"faults.crash.at=3h", func(s *scenario.Scenario) any { return s.Faults[0].At }, 3 * time.Hour},
		{"faults.crash.at=10blk", func(s *scenario.Scenario) any { return s.Faults[0].At }, 2 * time.Minute},
		{"faults.crash.parameters.unsynced=lose", func(s *scenario.Scenario) any { return s.Faults[0].Params.Unsynced }, "lose"},
		{"chain.tempo=360", func(s *scenario.Scenario) any { return s.Chain.Tempo }, uint16(360)},
		{"network.latency=1ms", func(s *scenario.Scenario) any { return s.Network.Latency }, time.Millisecond},
		{"market={file: [a.csv, b.csv]}", func(s *scenario.Scenario) any { return s.Market.Files }, []string{"a.csv", "b.csv"}},
		{"start=2021-08-05", func(s *scenario.Scenario) any { return s.Start }, time.Date(2021, 8, 5, 0, 0, 0, 0, time.UTC)},
		{"duration=1w", func(s *scenario.Scenario) any { return s.Duration }, 7 * 24 * time.Hour},
		{`about="7"`, func(s *scenario.Scenario) any { return s.About }, "7"},
	} {
		t.Run(tt.set, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.got(parse(t, file, tt.set))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}

	for _, tt := range []struct{ set, want string }{
		{"miners.skilled.count=x", `--set miners.skilled.count: expected a whole number from 0 to 60000, got "x"`},
		{"miners.skiled.count=1", `--set miners.skiled.count: no item of that name (did you mean "miners.skilled.count"?)`},
		{"miners.skilled.cuont=1", `--set miners.skilled.cuont: no such key (did you mean "miners.skilled.count"?)`},
		{"tempo=1", `--set tempo: no such key (did you mean "chain.tempo"?)`},
		{"scoring.vigg=1", `--set scoring.vigg: no such key (did you mean "scoring.vig"?)`},
		{"scoring.vig=2", `--set scoring.vig: score: bad scheme: vig: want 0 to 0.999999, got 2`},
		{"invariants.disable.budget.reason=x", `--set invariants.disable.budget.reason: no item of that name, the file has no list here`},
		{"seed.x=1", `--set seed.x: no such key (did you mean "seed"?)`},
		{"seed", `--set seed: expected PATH=VALUE, such as seed=7 or miners.skilled.count=16`},
		{"", `--set "": expected PATH=VALUE, such as seed=7 or miners.skilled.count=16`},
		{"=1", `--set =1: expected PATH=VALUE, such as seed=7 or miners.skilled.count=16`},
		{"seed=", `--set seed: expected a whole number, got nothing`},
		{"miners=", `--set miners: expected a list, got nothing`},
		{"node=", `--set node: expected keys with values, got nothing`},
		{"sceme=2", `--set sceme: no such key (did you mean "scoring.scheme"?)`},
		{"nope.x=3", `--set nope.x: no such key`},
		{"seed=[", `--set seed: not YAML: did not find expected node content while parsing a flow node`},
		{"node={heartbeat: -1s, hartbeat: 1s}", "--set node: node.hartbeat: unknown key (did you mean \"heartbeat\"?)\n--set node: node.heartbeat: expected a duration from 1s to 1d, got \"-1s\""},
		{"miners.late.parameters.kelly=1", `--set miners.late.parameters.kelly: unknown key for late (have: daily, before)`},
		{"miners.late.kind=lat", `--set miners.late.kind: expected one of skilled, sharp, average, random, favourite, late, copycat, underbudget, busy, idle, sybil, colluder, hedger, dust, squatter, sniper, latecomer, forger, skimmer, duplicator, overspender, tamperer, impersonator, replayer, flooder, stormer, oversizer, garbler, got "lat" (did you mean "late"?)`},
	} {
		t.Run(tt.set, func(t *testing.T) {
			_, problems := scenario.Parse("x.yaml", []byte(file), []string{tt.set}, options())
			if got := problems.Error(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}

	t.Run("what was not understood is not judged", func(t *testing.T) {
		// The first problem is of the value, and nothing follows from it.
		for _, tt := range []struct{ file, set, want string }{
			{"validators: [{name: v0}]\nminers: [{kind: skilled, count: 3}, {kind: copycat, count: 1}]\n", "miners.skilled.count=x",
				`--set miners.skilled.count: expected a whole number from 0 to 60000, got "x"`},
			{"validators: [{name: v0}]\nminers: [{kind: skilled, count: 3}, {kind: copycat, count: 1}]\n", "miners.skilled.count=-1",
				`--set miners.skilled.count: expected a whole number from 0 to 60000, got -1`},
			{"validators: [{name: v0}]\nminers: [{name: best, kind: skilled, count: 3}, {kind: copycat, count: 1}]\n", "miners.best.kind=skiled",
				`--set miners.best.kind: expected one of skilled, sharp, average, random, favourite, late, copycat, underbudget, busy, idle, sybil, colluder, hedger, dust, squatter, sniper, latecomer, forger, skimmer, duplicator, overspender, tamperer, impersonator, replayer, flooder, stormer, oversizer, garbler, got "skiled" (did you mean "skilled"?)`},
			{"validators: [{name: v0}]\n", "validators.v0.count=x", `--set validators.v0.count: expected a whole number from 0 to 64, got "x"`},
			{"validators: [{name: v0}]\nminers: [{kind: random, count: 2}]\nfaults: [{name: f, what: process.crash, target: miners.random.1, at: 1h}]\n", "miners.random.count=x",
				`--set miners.random.count: expected a whole number from 0 to 60000, got "x"`},
		} {
			_, problems := scenario.Parse("x.yaml", []byte(tt.file), []string{tt.set}, options())
			if got := problems.Error(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		}
	})
	t.Run("a later set wins and mistakes come after the file's, in order", func(t *testing.T) {
		if s := parse(t, file, "seed=2", "seed=3"); s.Seed != 3 {
			t.Errorf("seed %d", s.Seed)
		}
		_, problems := scenario.Parse("x.yaml", []byte(file+"  x: 1\n"), []string{"b=1", "a=1"}, options())
		if len(problems) != 3 || problems[0].Set != "" || problems[1].Set != "b" || problems[2].Set != "a" {
			t.Errorf("got\n%v", problems)
		}
	})
	t.Run("a set repairs what it replaces", func(t *testing.T) {
		parse(t, "seed: wrong\n"+minimal, "seed=1")
	})
}

// TestAliases: a set changes the item it names, not others that share its text.
func TestAliases(t *testing.T) {
	s := parse(t, minimal+"miners:\n  - {kind: late, parameters: &p {daily: $5}}\n  - {kind: random, parameters: *p}\n",
		"miners.random.parameters.daily=$7")
	if a, b := s.Miners[0].Params["daily"], s.Miners[1].Params["daily"]; a != 5 || b != 7 {
		t.Errorf("got %v and %v", a, b)
	}
}

func scenarios(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("../../scenarios/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios: ", err)
	}
	return files
}

// TestCanonical: the canonical form reads back to an equal scenario and is its
// own canonical form.
func TestCanonical(t *testing.T) {
	for _, file := range scenarios(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			s, problems := scenario.Parse(file, read(t, file), nil, options())
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			again := parse(t, string(s.Canonical()))
			if diff := cmp.Diff(s, again); diff != "" {
				t.Errorf("-first +again:\n%s", diff)
			}
			if !bytes.Equal(s.Canonical(), again.Canonical()) {
				t.Error("the canonical form is not stable")
			}
		})
	}
	t.Run("what is absent stays absent", func(t *testing.T) {
		s := parse(t, string(parse(t, minimal).Canonical()))
		if s.Duration != 0 || !s.Start.IsZero() {
			t.Errorf("duration %v, start %v", s.Duration, s.Start)
		}
	})
	t.Run("spelling does not matter", func(t *testing.T) {
		a := parse(t, minimal+"duration: 36h\nminers: [{kind: late, parameters: {daily: 12.50}}]\n")
		b := parse(t, "miners:\n- kind: late\n  name: late\n  parameters: {daily: $12.5}\nvalidators: [{name: v0, stake: 10000.0}]\nduration: 1d12h\n")
		if diff := cmp.Diff(string(a.Canonical()), string(b.Canonical())); diff != "" {
			t.Errorf("-a +b:\n%s", diff)
		}
	})
}

// TestTheSixtyFour: both scenarios hold the miners that others rely on.
func TestTheSixtyFour(t *testing.T) {
	want := map[string]int{"skilled": 8, "sharp": 8, "average": 8, "random": 8, "favourite": 8, "late": 8, "copycat": 8, "underbudget": 4, "idle": 4}
	for _, name := range []string{"quickstart", "season"} {
		s := parse(t, string(read(t, "../../scenarios/"+name+".yaml")))
		got := map[string]int{}
		for _, g := range s.Miners {
			got[g.Name] += g.Count
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
		if len(s.Validators) != 1 || s.Validators[0].Count != 1 || s.Name != name && s.Name != "x" {
			t.Errorf("%s: validators %v", name, s.Validators)
		}
	}
}

// TestScenariosOpenWithAComment: what it shows, what should happen, what breaks.
func TestScenariosOpenWithAComment(t *testing.T) {
	for _, file := range scenarios(t) {
		text := string(read(t, file))
		for _, part := range []string{"# Shows:", "\n# Expect:", "\n# Without the defence:"} {
			if !strings.Contains(text, part) || !strings.HasPrefix(text, "# Shows:") {
				t.Errorf("%s lacks %q", file, strings.TrimSpace(part))
			}
		}
	}
}

// anyFault draws a fault that may stand in a file.
func anyFault(t *rapid.T) fault.Fault {
	kind := rapid.SampledFrom(fault.Kinds()).Draw(t, "kind")
	f := fault.Fault{
		Name:        rapid.StringMatching(`[a-zA-Z][a-zA-Z0-9_-]{0,8}`).Draw(t, "name"),
		What:        kind.What,
		Probability: rapid.Float64Range(0, 1).Draw(t, "probability"),
	}
	targets := map[fault.Hits][]string{
		fault.Nodes:      {"all", "validators", "validators.v0", "validators.v0.3", "miners", "miners.a.17"},
		fault.Miners:     {"miners", "miners.a", "miners.a.0"},
		fault.Validators: {"validators", "validators.v0"},
	}
	f.Target = rapid.SampledFrom(targets[kind.Hits]).Draw(t, "target")
	length := rapid.Custom(func(t *rapid.T) time.Duration {
		unit := rapid.SampledFrom([]time.Duration{1, time.Microsecond, time.Millisecond, time.Second, time.Hour}).Draw(t, "unit")
		return time.Second + unit*time.Duration(rapid.IntRange(0, 10000).Draw(t, "n"))
	})
	switch rapid.IntRange(0, 2).Draw(t, "when") {
	case 0:
		f.At = length.Draw(t, "at")
	case 1:
		f.Every = length.Draw(t, "every")
		f.For = max(f.Every/2, time.Millisecond)
		f.At = rapid.SampledFrom([]time.Duration{0, f.Every, time.Hour}).Draw(t, "at")
		f.Until = f.At + length.Draw(t, "until")
	case 2:
		f.When = rapid.SampledFrom([]string{"weights_set", "prediction_received#3"}).Draw(t, "event")
	}
	for _, p := range kind.Params {
		anyParam(t, &f.Params, p.Key)
	}
	return f
}

// anyParam draws a parameter within what its tags allow.
func anyParam(t *rapid.T, to *fault.Params, key string) {
	v := reflect.ValueOf(to).Elem()
	for i := range v.NumField() {
		tag, to := v.Type().Field(i).Tag, v.Field(i)
		if tag.Get("key") != key {
			continue
		}
		least, most, _ := strings.Cut(tag.Get("range"), "..")
		switch x := to.Addr().Interface().(type) {
		case *float64:
			lo, err1 := strconv.ParseFloat(least, 64)
			hi, err2 := strconv.ParseFloat(most, 64)
			if err1 != nil || err2 != nil {
				t.Fatalf("%s has no range", key)
			}
			*x = rapid.Float64Range(lo, hi).Draw(t, key)
		case *int, *int64, *uint64:
			lo, err1 := strconv.Atoi(least)
			hi, err2 := strconv.Atoi(most)
			if err1 != nil || err2 != nil {
				t.Fatalf("%s has no range", key)
			}
			to.Set(reflect.ValueOf(rapid.IntRange(lo, hi).Draw(t, key)).Convert(to.Type()))
		case *time.Duration:
			// All of them may be a minute, to the nanosecond.
			*x = time.Minute + time.Duration(rapid.IntRange(0, 1e9).Draw(t, key))
		case *scenario.Bytes:
			*x = scenario.Bytes(rapid.IntRange(1, 1e9).Draw(t, key))
		case *bool:
			*x = rapid.Bool().Draw(t, key)
		case *string:
			if enum := tag.Get("enum"); enum != "" {
				*x = rapid.SampledFrom(strings.Split(enum, ",")).Draw(t, key)
			} else if tag.Get("form") == "target" {
				*x = rapid.SampledFrom([]string{"miners", "validators.v0"}).Draw(t, key)
			} else {
				*x = rapid.StringMatching(`[a-z]{1,8}`).Draw(t, key)
			}
		default:
			t.Fatalf("the test does not know the form of the parameter %s", key)
		}
		return
	}
	t.Fatalf("Params lacks %s", key)
}

// TestFaultPrintsBack: a printed fault reads back as the same fault.
func TestFaultPrintsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := anyFault(t)
		text := scenario.FormatFault(&f)
		again, problems := scenario.ParseFault("f", []byte(text))
		if len(problems) > 0 {
			t.Fatalf("%s:\n%v", text, problems)
		}
		if diff := cmp.Diff(f, again); diff != "" {
			t.Fatalf("%s: -printed +read:\n%s", text, diff)
		}
		if twice := scenario.FormatFault(&again); twice != text {
			t.Fatalf("printed %s and then %s", text, twice)
		}
	})
}

// TestEveryKindHasItsDefaults: a fault of each kind needs no parameter, but for one
// that would do nothing.
func TestEveryKindHasItsDefaults(t *testing.T) {
	for _, k := range fault.Kinds() {
		text := fmt.Sprintf("{name: a, what: %s, at: 1h, target: %s}", k.What, map[fault.Hits]string{
			fault.Nodes: "all", fault.Miners: "miners", fault.Validators: "validators"}[k.Hits])
		if k.Target != "" {
			text = fmt.Sprintf("{name: a, what: %s, at: 1h}", k.What)
		}
		f, problems := scenario.ParseFault("f", []byte(text))
		if k.Needs() {
			want := fmt.Sprintf("f:1:1: fault: parameters are needed for %s, which changes nothing without: expected at least one of %s, ", k.What, k.Params[0].Key)
			if len(problems) != 1 || !strings.HasPrefix(problems[0].String(), want) {
				t.Errorf("%s: %v, want %q", k.What, problems, want)
			}
			text = strings.Replace(text, "}", fmt.Sprintf(", parameters: {%s: 7}}", k.Params[0].Key), 1)
			f, problems = scenario.ParseFault("f", []byte(text))
		}
		if len(problems) > 0 {
			t.Errorf("%s: %v", k.What, problems)
			continue
		}
		takesShare := slices.ContainsFunc(k.Params, func(p fault.Param) bool { return p.Key == "share" })
		if f.Target == "" || takesShare != (f.Params.Share == 1) || f.Probability != 1 {
			t.Errorf("%s: %+v", k.What, f)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, file := range scenarios(f) {
		f.Add(read(f, file), "seed=7")
	}
	f.Add(read(f, "testdata/mistakes.yaml"), "miners.late-ones.count=3")
	f.Add([]byte(minimal+"about: \"\\x7f\\U0001F600 \\0\\uFEFF\"\n"), `about="a\n\tb"`)
	f.Add([]byte("a: &a [*a]\n"), "a.b.c=*x")
	opt := options()
	f.Fuzz(func(t *testing.T, data []byte, set string) {
		s, problems := scenario.Parse("x.yaml", data, []string{set}, opt)
		for _, p := range problems {
			if p.Set == "" && (p.Line < 1 || p.Column < 1) || p.Message == "" {
				t.Fatalf("a problem without position or message: %+v", p)
			}
		}
		if (s == nil) != (len(problems) > 0) {
			t.Fatalf("scenario %v with %d problems", s, len(problems))
		}
		if s == nil {
			return
		}
		text := s.Canonical()
		again, problems := scenario.Parse("x.yaml", text, nil, opt)
		if len(problems) > 0 {
			t.Fatalf("the canonical form is refused:\n%s\n%v", text, problems)
		}
		if diff := cmp.Diff(s, again); diff != "" {
			t.Fatalf("-first +again:\n%s", diff)
		}
	})
}

func FuzzFault(f *testing.F) {
	f.Add("{name: a, what: process.crash, target: validators.v0, at: 1h, for: 1m30s}")
	f.Add("{name: a, what: network.delay, every: 0.5h, for: 1m, parameters: {delay: 1h0.5s}}")
	f.Add("{name: a, what: chain.outage, when: weights_set#2, probability: 1e-3}")
	f.Fuzz(func(t *testing.T, text string) {
		one, problems := scenario.ParseFault("f", []byte(text))
		if len(problems) > 0 {
			return
		}
		printed := scenario.FormatFault(&one)
		again, problems := scenario.ParseFault("f", []byte(printed))
		if len(problems) > 0 {
			t.Fatalf("%s is refused: %v", printed, problems)
		}
		if diff := cmp.Diff(one, again); diff != "" {
			t.Fatalf("%s: -first +again:\n%s", printed, diff)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	data := read(b, "../../scenarios/faults.yaml")
	opt := options()
	b.ReportAllocs()
	for b.Loop() {
		if _, problems := scenario.Parse("faults.yaml", data, nil, opt); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}

// TestWordsStayText: text that YAML may read as something else is quoted when
// it is printed.
func TestWordsStayText(t *testing.T) {
	for _, word := range []string{"true", "no", "null", "7", "1e3", "a: b", "# a", "*a", "", " a", "a\nb", "é\x7f😀", `"'\`} {
		s := parse(t, minimal)
		s.About = word
		text := s.Canonical()
		if again := parse(t, string(text)); again.About != word {
			t.Errorf("%q reads back as %q", word, again.About)
		}
		if word == "no" && !bytes.Contains(text, []byte(`about: "no"`)) {
			t.Errorf("%q is not quoted, and YAML 1.1 reads it as false:\n%s", word, text)
		}
	}
}

// TestEffectiveValues: what depends on another key is filled in.
func TestEffectiveValues(t *testing.T) {
	s := parse(t, minimal+`
faults:
  - {name: a, what: feed.outage, every: 3h, for: 10blk}
  - {name: b, what: feed.outage, every: 3h, at: 0s, for: 1h}
chain: {block_time: 6s}
node: {heartbeat: 10m}
miners: [{kind: copycat}, {kind: skilled, name: clever}, {kind: late, parameters: {before: 90s}}]
`)
	for _, tt := range []struct {
		name      string
		got, want any
	}{
		{"the first window comes one every into the run", s.Faults[0].At, 3 * time.Hour},
		{"unless at says otherwise", s.Faults[1].At, time.Duration(0)},
		{"blk is the block time", s.Faults[0].For, time.Minute},
		{"a fault's own target", s.Faults[0].Target, "validators"},
		{"two and a half heartbeats", s.Node.SessionTimeout, 25 * time.Minute},
		{"the first skilled group leads", s.Miners[0].Leader, "clever"},
		{"a kind's own parameters", s.Miners[1].Params["noise"], 0.05},
		{"durations in the kind's unit", s.Miners[2].Params["before"], 1.5},
		{"the file's name", s.Name, "x"},
		{"a market of its own", len(s.Market.Leagues), 4},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, tt.got, tt.want)
		}
	}
	if err := func() error { c := s.Market.Config(); return c.Validate() }(); err != nil {
		t.Error(err)
	}
}

// TestHostileFileIsBounded: a file that is nothing but mistakes gives no more
// answer than a person can read, and is read to its end.
func TestHostileFileIsBounded(t *testing.T) {
	var b strings.Builder
	for i := 0; b.Len() < scenario.MaxFileBytes-100; i++ {
		fmt.Fprintf(&b, "k%d: 1\n", i)
		if i == 40_000 {
			break // below the bound on values
		}
	}
	_, problems := scenario.Parse("x.yaml", []byte("faults: ["+strings.Repeat("{name: 1, what: x, at: 1, for: 1},", 1000)+"]\n"), nil, options())
	if n := len(problems); n != 10*scenario.MaxProblems {
		t.Errorf("%d problems of 4000", n)
	}
	_, problems = scenario.Parse("x.yaml", []byte(b.String()), nil, options())
	if n := len(problems); n < scenario.MaxProblems || n > 10*scenario.MaxProblems {
		t.Errorf("%d problems", n)
	}
	if lines := strings.Split(problems.Error(), "\n"); len(lines) != scenario.MaxProblems+1 || !strings.HasPrefix(lines[scenario.MaxProblems], "… and ") {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

// TestCanonicalKeepsEverySection: what a file says of swarm, phases, windows,
// judgement and load reads back from its canonical form.
func TestCanonicalKeepsEverySection(t *testing.T) {
	for _, text := range []string{minimal + `
order: explore
miners: [{kind: late}]
faults:
  - {name: a, what: process.crash, target: all, windows: [{at: 1h, for: 5m, draw: 18446744073709551615, hit: [v0, late-0]}, {at: 2h}]}
  - {name: b, what: feed.outage, when: "weights_set#2", windows: [{for: 5m, draw: 3}]}
swarm:
  omit: 0.25
  faults: [{name: c, what: network.partition, target: all, every: 1h..2h, for: 1m, probability: 0.1..1, parameters: {direction: in|out, share: 0.1..1}}]
  miners: [{kind: copycat, count: 1..3, parameters: {leader: late}}]
phases: [{name: a, until: 3h}, {name: heal, faults: off, for: 1h, settle_within: 30m}, {name: z}]
thresholds: [{metric: "roi{group:late}", expect: "value<0.5, value>-1", abort: true}]
expect: [{name: x, that: "2 * gini < hhi"}]
sometimes: [settled, scored]
`, "load: {what: store, mix: [{name: grouped, share: 0.5}, {name: read, share: 0.5}], payload: 1kB, for: 5s}\nwarmup: 1s\nrepeat: 3\n",
		"load: {what: store, arrivals: open, rate: 1000, ramp: 1s, payload: 1kB, for: 5s}\n"} {
		s := parse(t, text)
		again := parse(t, string(s.Canonical()))
		if diff := cmp.Diff(s, again); diff != "" {
			t.Errorf("(-file +canonical):\n%s\n%s", diff, s.Canonical())
		}
		if s.Load.What == "" && (len(s.Faults[0].Windows) != 2 || s.Swarm.Faults[0].Params["direction"] != "in|out" || len(s.Phases) != 3) {
			t.Errorf("read as %+v", s)
		}
	}
}

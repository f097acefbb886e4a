package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"bettensor/node"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"
)

var update = flag.Bool("update", false, "write the generated documents anew")

// settle resolves a role's settings from a command line and an environment.
func settle(t *testing.T, r role, args, environ []string) (*Resolved, error) {
	t.Helper()
	var out *Resolved
	app := &cli.App{Name: "bettensor", Writer: &bytes.Buffer{}, ErrWriter: &bytes.Buffer{}, Commands: []*cli.Command{{
		Name: "x", Flags: flags(r), Action: func(c *cli.Context) (err error) {
			out, err = resolve(c, r, environ)
			return err
		}}}}
	Prepare(app, nil)
	err := app.Run(Arrange(app, append([]string{"bettensor", "x"}, args...)))
	return out, err
}

func mustSettle(t *testing.T, r role, args, environ []string) *Resolved {
	t.Helper()
	out, err := settle(t, r, args, environ)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func writeFile(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAFlagWinsOverTheEnvironmentOverTheFileOverTheDefault(t *testing.T) {
	file := writeFile(t, "c.yaml", "axon:\n  port: 3\nnetuid: 3\nwallet.name: three\nwallet:\n  hotkey: three\n", 0o600)
	env := []string{"BETTENSOR_AXON_PORT=2", "BT_AXON_PORT=9", "BETTENSOR_NETUID=2", "BT_WALLET_NAME=two", "BETTENSOR_CONFIG=" + file, "BT_AXON_IP="}
	got := mustSettle(t, forValidator, []string{"--axon.port", "1"}, env)
	type pair struct {
		Value  any
		Origin origin
	}
	want := map[string]pair{
		"axon.port":     {uint16(1), "--axon.port"},
		"netuid":        {uint16(2), "BETTENSOR_NETUID"},
		"wallet.name":   {"two", "BT_WALLET_NAME"},
		"wallet.hotkey": {"three", origin(file + ":6:3")},
		"wallet.path":   {"~/.bittensor/wallets", byDefault},
		"axon.ip":       {"[::]", byDefault}, // an empty variable is none
	}
	have := map[string]pair{
		"axon.port":     {got.Axon.Port, got.origin("axon.port")},
		"netuid":        {got.Netuid, got.origin("netuid")},
		"wallet.name":   {got.Wallet.Name, got.origin("wallet.name")},
		"wallet.hotkey": {got.Wallet.Hotkey, got.origin("wallet.hotkey")},
		"wallet.path":   {got.Wallet.Path, got.origin("wallet.path")},
		"axon.ip":       {got.Axon.IP, got.origin("axon.ip")},
	}
	if d := cmp.Diff(want, have); d != "" {
		t.Error(d)
	}
}

func TestTheOriginalsSpellings(t *testing.T) {
	for _, c := range []struct {
		name string
		role role
		args []string
		env  []string
		ok   func(*Resolved) bool
		note string // in one notice, "" for none
	}{
		{"underscore for a dot", forValidator, []string{"--axon_port", "7"}, nil, func(r *Resolved) bool { return r.Axon.Port == 7 }, ""},
		{"with an equals sign", forValidator, []string{"--wallet_name=x"}, nil, func(r *Resolved) bool { return r.Wallet.Name == "x" }, ""},
		{"another name", forMiner, []string{"--task_prediction_interval", "90"}, nil, func(r *Resolved) bool { return r.Miner.PredictionInterval == 90*time.Second }, ""},
		{"dollars", forMiner, []string{"--minimum_wager_amount", "0.5"}, nil, func(r *Resolved) bool { return r.Miner.MinWager == 50 }, ""},
		{"a switch", forValidator, []string{"--neuron.disable_set_weights"}, nil, func(r *Resolved) bool { return r.Validator.Shadow }, ""},
		{"a switch by its older name, as Python writes it", forValidator, []string{"--neuron.no_set_weights", "True", "--netuid", "4"}, nil, func(r *Resolved) bool { return r.Validator.Shadow && r.Netuid == 4 }, ""},
		{"a switch that is off", forValidator, []string{"--neuron.disable_set_weights=False"}, nil, func(r *Resolved) bool { return !r.Validator.Shadow }, ""},
		{"without effect", forValidator, []string{"--websocket.enabled", "True"}, nil, func(r *Resolved) bool { return true }, "--websocket.enabled has no effect"},
		{"without effect, other spelling", forMiner, []string{"--websocket_enabled", "True"}, nil, func(r *Resolved) bool { return true }, "--websocket.enabled has no effect"},
		{"event-driven", forValidator, nil, []string{"USE_EVENT_DRIVEN=true"}, func(r *Resolved) bool { return true }, "USE_EVENT_DRIVEN has no effect"},
		{"logging.info", forMiner, []string{"--logging.info"}, nil, func(r *Resolved) bool { return true }, "--logging.info has no effect"},
		{"event-driven flag", forMiner, []string{"--use_event_driven", "True"}, nil, func(r *Resolved) bool { return true }, "--use_event_driven has no effect"},
		{"the SDK's variables", forValidator, nil, []string{"BT_SUBTENSOR_CHAIN_ENDPOINT=ws://127.0.0.1:1,ws://[::1]:2", "BT_LOGGING_DEBUG=True"}, func(r *Resolved) bool {
			return slices.Equal(r.Endpoints, []string{"ws://127.0.0.1:1", "ws://[::1]:2"}) && r.Logging.Debug && r.loopback()
		}, ""},
		{"the feed's key", forValidator, nil, []string{"BETTENSOR_API_KEY=k"}, func(r *Resolved) bool { return string(r.Feed.Key) == "k" }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := mustSettle(t, c.role, c.args, c.env)
			if !c.ok(got) {
				t.Errorf("%v %v did not take effect", c.args, c.env)
			}
			if c.note == "" && len(got.Notices) > 0 || c.note != "" && (len(got.Notices) != 1 || !strings.Contains(got.Notices[0], c.note)) {
				t.Errorf("notices %q, want one with %q", got.Notices, c.note)
			}
		})
	}
}

func TestWhatIsWrongIsSaidWhereItIs(t *testing.T) {
	for _, c := range []struct {
		name, file string
		args, env  []string
		want       string
	}{
		{"flag's value", "", []string{"--axon.port", "99999"}, nil, `--axon.port: expected a whole number from 0 to 65535, got "99999"`},
		{"unknown flag", "", []string{"--walet.name", "x"}, nil, `unknown flag --walet.name, did you mean --wallet.name?`},
		{"unknown variable", "", nil, []string{"BETTENSOR_WALET_NAME=x"}, `BETTENSOR_WALET_NAME: unknown variable, did you mean BETTENSOR_WALLET_NAME?`},
		{"variable's value", "", nil, []string{"BT_AXON_PORT=x"}, `BT_AXON_PORT: axon.port: expected a whole number from 0 to 65535, got "x"`},
		{"unknown key", "wallet:\n  nme: x\n", nil, nil, `c.yaml:2:3: unknown key "wallet.nme", did you mean "wallet.name"?`},
		{"file's value", "netuid: 30\nfeed.interval: soon\n", nil, nil, `c.yaml:2:1: feed.interval: expected a duration such as 30s or 5m, got "soon"`},
		{"not YAML", "a: [1\n", nil, nil, `c.yaml:2:`},
		{"two documents", "netuid: 3\n---\nnetuid: 4\n", nil, nil, `c.yaml:`},
		{"twice", "axon.port: 1\naxon: {port: 2}\n", nil, nil, `axon.port is set already by`},
		{"not settings", "- a\n", nil, nil, `c.yaml:1:1: expected settings`},
		{"a list of lists", "feed.sports: [[a]]\n", nil, nil, `expected a list of plain values`},
		{"event-driven off", "", nil, []string{"USE_EVENT_DRIVEN=false"}, `USE_EVENT_DRIVEN: a node is always event-driven`},
		{"event-driven off by flag", "", []string{"--use_event_driven=False"}, nil, `--use_event_driven: a node is always event-driven`},
		{"logging.info off by flag", "", []string{"--logging.info=False"}, nil, `--logging.info: what happens is always logged`},
		{"logging.info off", "", nil, []string{"BT_LOGGING_INFO=false"}, `BT_LOGGING_INFO: what happens is always logged`},
		{"a mock chain", "", []string{"--mock"}, nil, "there is no mock chain here"},
		{"vesting", "", []string{"--vesting.enabled", "True"}, nil, "there is no vesting here"},
		{"a word", "", []string{"--weights.fallback", "lst"}, nil, `expected one of last, owner, none, got "lst", did you mean "last"?`},
		{"half of TLS", "", []string{"--axon.tls_cert", "x"}, nil, "want both or none"},
		{"development key far away", "", []string{"--wallet.uri", "//Alice"}, nil, "on loopback endpoints only"},
		{"clock file on finney", "", []string{"--clock.file", "x"}, nil, "clock.file: refused on finney"},
		{"clock file on an unknown chain", "", []string{"--clock.file", "x", "--subtensor.chain_endpoint", "wss://example.org"}, nil, "clock.file: refused on custom"},
		{"address nobody reaches", "", []string{"--axon.external_ip", "10.0.0.1"}, nil, "nobody can reach 10.0.0.1"},
		{"endpoint", "", []string{"--subtensor.chain_endpoint", "http://x"}, nil, "expected a ws:// or wss:// URL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := c.args
			if c.file != "" {
				args = append(args, "--config", writeFile(t, "c.yaml", c.file, 0o600))
			}
			_, err := settle(t, forValidator, args, c.env)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant an error with %s", err, c.want)
			}
			if e, ok := err.(cli.ExitCoder); !ok || e.ExitCode() != int(Usage) {
				t.Errorf("exit code of %v, want %d", err, Usage)
			}
		})
	}
}

func TestAFileMayServeBothRoles(t *testing.T) {
	file := writeFile(t, "c.yaml", "scoring.interval: 2h\nmodel: elo\nmetagraph.interval: 7m\nuse_event_driven: true\n", 0o600)
	v := mustSettle(t, forValidator, []string{"--config", file}, nil)
	m := mustSettle(t, forMiner, []string{"--config", file}, nil)
	if v.Validator.ScoringInterval != 2*time.Hour || m.Model.Name != "elo" || v.Validator.MetagraphInterval != 7*time.Minute || m.Miner.MetagraphInterval != 7*time.Minute {
		t.Errorf("validator %+v, miner %+v", v.Validator, m.Miner)
	}
	if _, err := settle(t, forMiner, []string{"--scoring.interval", "2h"}, nil); err == nil {
		t.Error("a miner took a validator's flag")
	}
}

func TestSecretsComeFromFilesAndNeverShow(t *testing.T) {
	const marker = "s3cr3t-marker"
	file := writeFile(t, "key", marker+"\n", 0o600)
	credentials := t.TempDir()
	if err := os.WriteFile(filepath.Join(credentials, "feed-key"), []byte("c-"+marker), 0o400); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		args, env []string
		want      string
	}{
		{"a flag's file", []string{"--feed.key_file", file}, nil, marker},
		{"a variable's file", nil, []string{"BETTENSOR_FEED_KEY_FILE=" + file}, marker},
		{"the configuration's file", []string{"--config", writeFile(t, "c.yaml", "feed:\n  key_file: "+file+"\n", 0o600)}, nil, marker},
		{"a variable", nil, []string{"BETTENSOR_FEED_KEY=v-" + marker}, "v-" + marker},
		{"systemd", nil, []string{"CREDENTIALS_DIRECTORY=" + credentials}, "c-" + marker},
		{"a flag", []string{"--feed.key", "f-" + marker}, []string{"CREDENTIALS_DIRECTORY=" + credentials}, "f-" + marker},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := mustSettle(t, forValidator, c.args, c.env)
			if string(got.Feed.Key) != c.want {
				t.Fatalf("the key came out wrong")
			}
			var out bytes.Buffer
			ctx := cli.NewContext(&cli.App{Writer: &out}, flag.NewFlagSet("", flag.ContinueOnError), nil)
			if err := got.print(ctx); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(out.String(), marker) || !strings.Contains(out.String(), "# feed.key: is set; give feed.key_file") {
				t.Errorf("config print shows\n%s", out.String())
			}
		})
	}
	t.Run("twice", func(t *testing.T) {
		_, err := settle(t, forValidator, nil, []string{"BETTENSOR_FEED_KEY=" + marker, "BETTENSOR_FEED_KEY_FILE=" + file})
		if err == nil || strings.Contains(err.Error(), marker) {
			t.Errorf("got %v, want an error without the secret", err)
		}
	})
	t.Run("readable by others", func(t *testing.T) {
		open := writeFile(t, "open", marker, 0o644)
		_, err := settle(t, forValidator, []string{"--feed.key_file", open}, nil)
		if err == nil || !strings.Contains(err.Error(), "chmod 600 "+open) || strings.Contains(err.Error(), marker) {
			t.Errorf("got %v, want the command that mends it", err)
		}
	})
}

func TestWhatIsPrintedIsReadBack(t *testing.T) {
	for _, r := range []role{forValidator, forMiner} {
		t.Run(r.String(), func(t *testing.T) {
			args := []string{"--netuid", "7", "--wallet.name", "a: #b", "--subtensor.chain_endpoint", "ws://127.0.0.1:1,ws://127.0.0.1:2", "--axon.external_ip", "127.0.0.9"}
			was := mustSettle(t, r, args, nil)
			var out bytes.Buffer
			if err := was.print(cli.NewContext(&cli.App{Writer: &out}, flag.NewFlagSet("", flag.ContinueOnError), nil)); err != nil {
				t.Fatal(err)
			}
			again := mustSettle(t, r, []string{"--config", writeFile(t, "c.yaml", out.String(), 0o600)}, nil)
			if d := cmp.Diff(was.Settings, again.Settings, cmp.Exporter(func(reflect.Type) bool { return true })); d != "" {
				t.Errorf("%s\nfrom\n%s", d, out.String())
			}
		})
	}
}

func TestDefaultsAreThoseOfTheServices(t *testing.T) {
	v := mustSettle(t, forValidator, nil, nil).Validator
	if d := cmp.Diff(node.ValidatorConfig{}.Filled(), v.Filled()); d != "" {
		t.Errorf("a validator's defaults (-its own +the table's):\n%s", d)
	}
	m := mustSettle(t, forMiner, nil, nil).Miner
	if d := cmp.Diff(node.MinerConfig{}.Filled(), m.Filled()); d != "" {
		t.Errorf("a miner's defaults (-its own +the table's):\n%s", d)
	}
}

func TestTheTableIsSound(t *testing.T) {
	seen := map[string]role{}
	for i := range table {
		s := &table[i]
		for _, n := range append([]string{s.name}, s.alias...) {
			if seen[key(n)]&s.role != 0 {
				t.Errorf("two settings are called %s", n)
			}
			seen[key(n)] |= s.role
		}
		if s.doc == "" || strings.HasSuffix(s.doc, ".") || s.unit == "" {
			t.Errorf("%s: doc %q, unit %q", s.name, s.doc, s.unit)
		}
	}
	for _, l := range legacy {
		if seen[key(l.name)]&l.role != 0 {
			t.Errorf("%s is a setting and without effect at once", l.name)
		}
		seen[key(l.name)] |= l.role
	}
}

func TestNetworks(t *testing.T) {
	for _, c := range []struct {
		args                []string
		name, endpoint, own string
	}{
		{nil, "finney", "wss://entrypoint-finney.opentensor.ai:443", ""},
		{[]string{"--subtensor.network", "local"}, "local", "ws://127.0.0.1:9944", "127.0.0.1"},
		{[]string{"--subtensor.chain_endpoint", "ws://127.0.0.2:5"}, "local", "ws://127.0.0.2:5", "127.0.0.1"},
		{[]string{"--subtensor.network", "finney", "--subtensor.chain_endpoint", "wss://mine.example"}, "finney", "wss://mine.example", ""},
		{[]string{"--subtensor.chain_endpoint", "wss://mine.example"}, "custom", "wss://mine.example", ""},
		{[]string{"--subtensor.chain_endpoint", "wss://test.finney.opentensor.ai:443"}, "test", "wss://test.finney.opentensor.ai:443", ""},
		{[]string{"--axon.external_ip", "8.8.8.8"}, "finney", "wss://entrypoint-finney.opentensor.ai:443", "8.8.8.8"},
	} {
		r := mustSettle(t, forValidator, c.args, nil)
		if got := r.where().name; got != c.name || r.endpoints()[0] != c.endpoint || r.axon().IP != c.own {
			t.Errorf("%v: %s at %v, announced %q; want %s at %s, %q", c.args, got, r.endpoints(), r.axon().IP, c.name, c.endpoint, c.own)
		}
	}
}

func TestWhereANodeKeepsItsThings(t *testing.T) {
	r := mustSettle(t, forMiner, []string{"--netuid", "7"}, nil)
	state := func(name string) (string, bool) { return "/var/lib/b:/other", name == "STATE_DIRECTORY" }
	got, err := r.place("5H", state)
	want := place{dir: "/var/lib/b/finney/7/miner-5H", store: "/var/lib/b/finney/7/miner-5H/store", backups: "/var/lib/b/finney/7/miner-5H/backups"}
	if err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	r = mustSettle(t, forMiner, []string{"--store.dir", "/x/y"}, nil)
	if got, err := r.place("5H", state); err != nil || got.store != "/x/y" || got.backups != "/x/y-backups" {
		t.Errorf("%+v, %v; want the store where it was asked for", got, err)
	}
}

func TestConfigurationIsDocumented(t *testing.T) {
	const page = "../../docs/configuration.md"
	want := document()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("docs/configuration.md is not what the table says; go test ./node/cli -run Documented -update\n%s", d)
	}
}

// TestTheFilesToDeployAreTaken: what docs/deploy offers is what a node reads.
func TestTheFilesToDeployAreTaken(t *testing.T) {
	for file, r := range map[string]role{"validator.yaml": forValidator, "miner.yaml": forMiner} {
		if _, err := settle(t, r, []string{"--config", "../../docs/deploy/" + file}, nil); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// FuzzConfigFile: no file panics, and every mistake has its place.
func FuzzConfigFile(f *testing.F) {
	f.Add([]byte("netuid: 30\naxon: {port: 1}\nfeed.sports: [a, b]\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("feed.key_file: /\n? [x]\n: y\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.Contains(data, []byte("_file")) {
			t.Skip("names a file of this machine")
		}
		l, _, err := parseFile("c.yaml", data, forBoth)
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, "c.yaml:") {
					return // a message of several lines
				}
				break
			}
		}
		combine(forValidator, l)
		combine(forMiner, l)
	})
}

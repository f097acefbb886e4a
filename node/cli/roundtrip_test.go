package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bettensor/node"
	"bettensor/node/web"

	"github.com/google/go-cmp/cmp"
)

// printed is what `config print` writes of settings.
func printed(r *Resolved) string {
	var b strings.Builder
	for i := range table {
		if table[i].role&r.role != 0 {
			b.WriteString(r.line(&table[i], false) + "\n")
		}
	}
	return b.String()
}

// TestConfigPrintMeansTheSame: a node with the printed file does what the one did
// that was printed, also where that rests on whether a setting was set.
func TestConfigPrintMeansTheSame(t *testing.T) {
	for name, args := range map[string][]string{
		"nothing set":      nil,
		"an endpoint":      {"--subtensor.chain_endpoint", "ws://127.0.0.1:9944"},
		"another endpoint": {"--subtensor.chain_endpoint", "wss://example.org:443,wss://example.net"},
		"a network":        {"--subtensor.network", "test"},
		"shadow":           {"--neuron.disable_set_weights"},
		"shadow on a port": {"--neuron.disable_set_weights", "--axon.port", "8091"},
		"a page":           {"--http.listen", defaultHTTP},
		"a second feed":    {"--feed.second.url", "https://example.org/x.json", "--feed.rate", "2"},
	} {
		t.Run(name, func(t *testing.T) {
			before := mustSettle(t, forValidator, args, nil)
			after := mustSettle(t, forValidator, []string{"--config", writeFile(t, "c.yaml", printed(before), 0o644)}, nil)
			if d := cmp.Diff(printed(before), printed(after)); d != "" {
				t.Error(d)
			}
			type meant struct {
				Where, Listen string
				Endpoints     []string
				Set           []string
				Second        bool
			}
			of := func(r *Resolved) (m meant) {
				m = meant{Where: r.where().name, Listen: r.listen(), Endpoints: r.endpoints(), Second: r.Feed.Second != nil && r.Validator.FeedAgreed}
				for i := range table {
					if r.isSet(table[i].name) {
						m.Set = append(m.Set, table[i].name)
					}
				}
				return m
			}
			if d := cmp.Diff(of(before), of(after)); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestSettingsThatAreRefused, each with a word of why, and none with what it hides.
func TestSettingsThatAreRefused(t *testing.T) {
	masked := writeFile(t, "masked.yaml", "feed.key: '********'\n", 0o600)
	loose := writeFile(t, "loose.yaml", "feed.key: PASSW\n", 0o644)
	looseURL := writeFile(t, "url.yaml", "subtensor.chain_endpoint: wss://example.org/?key=PASSW\n", 0o644)
	for name, tc := range map[string]struct {
		args, env []string
		says      string
		code      Code
	}{
		"a mask for a secret":     {[]string{"--config", masked}, nil, "is the mask", Usage},
		"a file others read":      {[]string{"--config", loose}, nil, "chmod 600", Usage},
		"a key in a URL in it":    {[]string{"--config", looseURL}, nil, "chmod 600", Usage},
		"a scheme of no feed":     {[]string{"--feed.url", "ftp://example.org"}, nil, "expected http, https", Usage},
		"a key in a feed's URL":   {[]string{"--feed.url", "http://u:PASSW@example.org/?apiKey=PASSW"}, nil, "does not belong in it", Usage},
		"a second key alone":      {nil, []string{"BETTENSOR_FEED_SECOND_KEY=PASSW"}, "feed.second.url", Usage},
		"no endpoint with a key":  {[]string{"--subtensor.chain_endpoint", "http://u:PASSW@example.org"}, nil, "ws://", Usage},
		"a file that is not read": {[]string{"--config", "/does/not/exist"}, nil, "no such file", File},
	} {
		_, err := settle(t, forValidator, tc.args, tc.env)
		var exit *ExitError
		if !errors.As(err, &exit) || exit.Code != tc.code || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "PASSW") {
			t.Errorf("%s: %v, want exit %d and %q", name, err, tc.code, tc.says)
		}
	}
}

// TestAddressesAreShownWithoutKeys, wherever they are printed.
func TestAddressesAreShownWithoutKeys(t *testing.T) {
	r := mustSettle(t, forValidator, []string{"--subtensor.chain_endpoint", "wss://u:PASSW@example.org/?key=SEC,wss://example.net/"}, nil)
	h := &host{Resolved: r}
	for _, text := range []string{printed(r), h.chainFlags()} {
		if strings.Contains(text, "PASSW") || strings.Contains(text, "SEC") || !strings.Contains(text, "example.net") {
			t.Errorf("shows %s", text)
		}
	}
}

// TestNearestVariable: what all names begin with makes none of them near.
func TestNearestVariable(t *testing.T) {
	for name, near := range map[string]string{"BETTENSOR_FOO": "", "BETTENSOR_AXON_PROT": "did you mean BETTENSOR_AXON_PORT?"} {
		_, err := settle(t, forValidator, nil, []string{name + "=1"})
		if err == nil || near == "" == strings.Contains(err.Error(), "did you mean") || !strings.Contains(err.Error(), near) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStatusWaitsForANodeThatStarts: its ports file is not there yet, or is that of
// one that was killed, or another node has got the port.
func TestStatusWaitsForANodeThatStarts(t *testing.T) {
	s := watched(t, "validator", yes())
	for name, before := range map[string]*web.Ports{
		"none yet":     nil,
		"killed":       {Role: "validator", Hotkey: "5Fhot", PID: 1 << 30, HTTP: nobody(t)},
		"another node": {Role: "validator", Hotkey: "5Gold", PID: os.Getpid(), HTTP: s.Addr().String()},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			if err := os.MkdirAll(dir+runSuffix, 0o700); err != nil {
				t.Fatal(err)
			}
			put := func(p web.Ports) {
				if err := web.WritePorts(dir+runSuffix, p); err != nil {
					t.Fatal(err)
				}
			}
			if before != nil {
				put(*before)
			}
			if code, _, errs := statusOf(t, "--store.dir", dir, "--wait", "ready", "--timeout", "300ms"); code != int(Network) || name == "killed" && !strings.Contains(errs, "is gone") {
				t.Errorf("before it is there: exit %d, %s", code, errs)
			}
			done := make(chan int)
			go func() {
				code, _, _ := statusOf(t, "--store.dir", dir, "--wait", "ready", "--timeout", "20s")
				done <- code
			}()
			put(web.Ports{Role: "validator", Hotkey: "5Fhot", PID: os.Getpid(), HTTP: s.Addr().String()})
			if code := <-done; code != 0 {
				t.Errorf("when it is there: exit %d", code)
			}
		})
	}
}

// TestClockByChain: heads that come early say that our clock is behind, at once;
// that it is ahead they say only together.
func TestClockByChain(t *testing.T) {
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		late func(i int) time.Duration
		want time.Duration
	}{
		"right":    {func(i int) time.Duration { return time.Duration(i%3) * 4 * time.Second }, 0},
		"behind":   {func(i int) time.Duration { return -5 * time.Second }, -5 * time.Second},
		"ahead":    {func(i int) time.Duration { return 20 * time.Second }, 8 * time.Second},
		"one late": {func(i int) time.Duration { return time.Duration(i/7) * time.Minute }, 0},
	} {
		var o clockOffset
		var got *web.Clock
		for i := range offsetHeads {
			if got != nil {
				t.Errorf("%s: told after %d heads", name, i)
			}
			got = o.byChain(uint64(103+i), at.Add(time.Duration(3+i)*12*time.Second+tc.late(i)), 100, at, 1)
			if i == 0 && got != nil {
				t.Errorf("%s: one head was enough", name)
			}
		}
		if got == nil || got.Offset != tc.want || got.By != "chain" {
			t.Errorf("%s: %+v, want %v", name, got, tc.want)
		}
	}
}

// TestWeightsShowOfAStoreThatScoredNothing: nothing of ours is made up.
func TestWeightsShowOfAStoreThatScoredNothing(t *testing.T) {
	var b strings.Builder
	r := &node.WeightsReport{Unscored: "no round is complete yet", Slots: []node.WeightDifference{{UID: 3, Chain: 0.25}}}
	if err := printWeights(&b, &weightsSource{From: "x", Live: true, Report: r}); err != nil {
		t.Fatal(err)
	}
	if out := b.String(); !strings.Contains(out, "ours: none (no round is complete yet)") || !strings.Contains(out, "total variation unknown") || strings.Contains(out, "0.000000") {
		t.Errorf("shows\n%s", out)
	}
}

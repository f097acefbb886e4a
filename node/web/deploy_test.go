package web

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bettensor/node"

	"go.yaml.in/yaml/v4"
)

const deploy = "../../docs/deploy/"

func deployed(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(deploy + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// queried matches a series in an expression.
var queried = regexp.MustCompile(`\b(?:bettensor|go|process)_[a-z_]+`)

// known says which series a node exports that lacks nothing.
func known(t *testing.T) scrape { return scraped(t, begin(t, running())) }

func (s scrape) has(name string) bool {
	if s.kinds[name] != "" && s.kinds[name] != "histogram" {
		return true
	}
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && s.kinds[base] == "histogram" {
			return true
		}
	}
	return false
}

func TestAlertsQueryWhatIsExported(t *testing.T) {
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(deployed(t, "alerts.yaml"), &file); err != nil {
		t.Fatal(err)
	}
	got, rules := known(t), 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			rules++
			names := queried.FindAllString(r.Expr, -1)
			if len(names) == 0 && !strings.HasPrefix(r.Expr, "up{") {
				t.Errorf("%s queries nothing of ours: %s", r.Alert, r.Expr)
			}
			for _, n := range names {
				if !got.has(n) {
					t.Errorf("%s queries %s, which is not exported", r.Alert, n)
				}
			}
			anchor, ok := strings.CutPrefix(r.Annotations["runbook"], "docs/runbook.md#")
			if !ok || anchor != "{{ $labels.code }}" && !slices.ContainsFunc(node.AlarmCodes(), func(c node.AlarmCode) bool { return c.String() == anchor }) {
				t.Errorf("%s has the runbook %q", r.Alert, r.Annotations["runbook"])
			}
			if r.For == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" {
				t.Errorf("%s lacks for, severity or summary", r.Alert)
			}
		}
	}
	if rules < 10 {
		t.Errorf("only %d rules were read", rules)
	}
}

func TestDashboardQueriesWhatIsExported(t *testing.T) {
	var file struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(deployed(t, "dashboard.json"), &file); err != nil {
		t.Fatal(err)
	}
	got, queries := known(t), 0
	for _, p := range file.Panels {
		for _, target := range p.Targets {
			names := queried.FindAllString(target.Expr, -1)
			if len(names) == 0 {
				t.Errorf("panel %q queries nothing: %s", p.Title, target.Expr)
			}
			for _, n := range names {
				queries++
				if !got.has(n) {
					t.Errorf("panel %q queries %s, which is not exported", p.Title, n)
				}
			}
		}
	}
	if queries < 20 {
		t.Errorf("only %d queries were read", queries)
	}
}

// TestUnitsAreHardened: lines that must not get lost, in both units.
func TestUnitsAreHardened(t *testing.T) {
	for _, role := range []string{"validator", "miner"} {
		lines := strings.Split(string(deployed(t, "bettensor-"+role+".service")), "\n")
		for _, want := range []string{
			"Type=notify", "WatchdogSec=60", "User=bettensor", "StateDirectory=bettensor", "UMask=0077", "LimitCORE=0", "MemoryMax=1536M",
			"LoadCredential=wallet-password:/etc/bettensor/wallet-password", "NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=strict",
			"ProtectHome=yes", "PrivateDevices=yes", "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX", "SystemCallFilter=@system-service",
			"RestartPreventExitStatus=2 11 12 16", "ExecStart=/usr/local/bin/bettensor " + role + " --config /etc/bettensor/" + role + ".yaml",
		} {
			if !slices.Contains(lines, want) {
				t.Errorf("%s: no line %s", role, want)
			}
		}
		for _, l := range lines {
			if strings.HasPrefix(l, "Environment=") && regexp.MustCompile(`(?i)pass|key|secret|token`).MatchString(l) {
				t.Errorf("%s: a secret in the environment: %s", role, l)
			}
		}
	}
}

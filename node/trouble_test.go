package node

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/wire"
)

// warnings are the codes of peers' troubles in a log, each with its fix.
func warnings(t *testing.T, log *bytes.Buffer) (codes []string) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(log.String()), "\n") {
		var got struct{ Msg, Level, Code, Peer, Err, Fix string }
		if line == "" || !strings.Contains(line, "trouble with a peer") {
			continue
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		if got.Level != "WARN" || got.Peer == "" || got.Err == "" || got.Fix == "" {
			t.Errorf("incomplete: %s", line)
		}
		codes = append(codes, got.Code)
	}
	log.Reset()
	return codes
}

// TestTroubleWithAValidator is told once for each reason, stands in the figures
// as long as it lasts, and is not mistaken for a session.
func TestTroubleWithAValidator(t *testing.T) {
	var log bytes.Buffer
	r := newRig(t)
	r.offer("100", t0.Add(30*time.Hour))
	v := r.addValidator("v0")
	r.run(10 * time.Minute)
	v.kill()
	v.silent = true
	m := r.addMiner("m0", once(bet.Home, 10_00))
	m.log = slog.New(slog.NewJSONHandler(&log, nil))
	m.crash()
	if why := m.m.Unreached(); why == "" {
		t.Error("it reaches somebody before it has looked")
	}
	r.run(10 * time.Minute)
	if got := warnings(t, &log); len(got) != 1 || got[0] != "peer_unreachable" {
		t.Errorf("warned of %q", got)
	}
	s := m.service("communication")
	if len(s.Troubles) != 1 || s.State != "degraded" || !strings.Contains(s.Reason, "peer_unreachable: connection refused") {
		t.Fatalf("%+v", s)
	}
	if x := s.Troubles[0]; x.Hotkey != hotkeyOf("v0") || x.Address != v.address || x.Times < 5 || r.w.Now().Sub(x.Since) < 9*time.Minute || r.w.Now().Sub(x.Last) > 2*time.Minute {
		t.Errorf("%+v", x)
	}
	report := m.m.Report()
	if x := report.Validators[0].Trouble; x == nil || x.Code != PeerUnreachable {
		t.Errorf("the report says %+v", x)
	}
	r.run(troubleAgain)
	if got := warnings(t, &log); len(got) != 1 {
		t.Errorf("within %v it warned again of %q", troubleAgain, got)
	}
	v.start()
	r.until("a session", 5*time.Minute, func() bool { return m.count("communication", "sessions") == 1 })
	if s := m.service("communication"); s.State != "ok" || len(s.Troubles) > 0 || m.m.Unreached() != "" {
		t.Errorf("in session: %+v", s)
	}
	v.kill()
	r.run(time.Second)
	if got := warnings(t, &log); len(got) != 1 || got[0] != "peer_lost" {
		t.Errorf("when it is lost: warned of %q", got)
	}
	r.run(time.Minute)
	if got := m.service("communication").Troubles; len(got) != 1 || got[0].Times < 2 {
		t.Errorf("and then: %+v", got)
	}
}

// TestTroubleSaysWhatAValidatorSaid: who is turned away is told why, and so is its
// operator; what is not proved changes nothing else.
func TestTroubleSaysWhatAValidatorSaid(t *testing.T) {
	r := newRig(t)
	r.addValidator("v0")
	m := r.addMiner("stranger", once(bet.Home, 10_00))
	r.run(10 * time.Minute)
	got := m.service("communication").Troubles
	if len(got) != 1 || got[0].Code != PeerRefused || !strings.Contains(got[0].Why, wire.TextUnregistered) {
		t.Errorf("%+v", got)
	}
	if why := m.m.Unreached(); !strings.Contains(why, "peer_refused") {
		t.Errorf("reaches nobody: %q", why)
	}
}

// TestTroubleWithAxons: a validator whose every axon fails is not in order, and
// one of which one answers is.
func TestTroubleWithAxons(t *testing.T) {
	var log bytes.Buffer
	r := newRig(t)
	v := r.addValidator("v0")
	v.log = slog.New(slog.NewJSONHandler(&log, nil))
	v.crash()
	r.announce("m0", chain.Axon{IP: "198.51.101.77", Port: 8091}) // nobody is there
	r.axon("m1", func(*wire.Message) []byte { return []byte("no reply") })
	r.run(3 * time.Hour)
	s := v.service("poll")
	codes := map[chain.Hotkey]TroubleCode{}
	for _, x := range s.Troubles {
		codes[x.Hotkey] = x.Code
	}
	if s.State != "degraded" || !strings.Contains(s.Reason, "none of the 2 axons") || len(codes) != 2 || codes[hotkeyOf("m0")] != PeerUnreachable || codes[hotkeyOf("m1")] != PeerMalformed {
		t.Errorf("%+v", s)
	}
	if got := warnings(t, &log); len(got) != 2 {
		t.Errorf("warned of %q", got)
	}
	r.axon("m2", func(q *wire.Message) []byte { return answering(hotkeyOf("m2"))(q) })
	r.run(time.Hour)
	if s := v.service("poll"); s.State != "ok" || len(s.Troubles) != 2 {
		t.Errorf("with one that answers: %+v", s)
	}
}

// TestTroubleOfAPeersWords: a peer cannot fill a log.
func TestTroubleOfAPeersWords(t *testing.T) {
	r := newRig(t)
	n := r.addValidator("v0")
	var x trouble
	x.note(n.core(), "5peer", "192.0.2.1:1", PeerStatus, strings.Repeat("\xff\n", 1<<16))
	if len(x.Why) > troubleText*4 || !json.Valid([]byte(`"`+strings.ReplaceAll(x.Why, "\n", "")+`"`)) {
		t.Errorf("%d bytes", len(x.Why))
	}
	text, err := json.Marshal(x.Trouble)
	var again Trouble
	if err == nil {
		err = json.Unmarshal(text, &again)
	}
	if err != nil || again.Code != PeerStatus || again.Why != x.Why {
		t.Errorf("read back as %+v, %v", again, err)
	}
}

// TestTroubleCodes: each has a word of its own, and says what to do.
func TestTroubleCodes(t *testing.T) {
	seen := map[string]bool{}
	for c := range troubleCount {
		if seen[c.String()] || c.String() == "" || c.Fix() == "" {
			t.Errorf("code %d: %q, %q", c, c, c.Fix())
		}
		seen[c.String()] = true
	}
	if err := new(TroubleCode).UnmarshalText([]byte("nothing")); err == nil {
		t.Error("an unknown word is a code")
	}
}

// TestUnreached: who is not dialled and not asked reaches nobody, whatever the
// reason, and one answered poll is enough for a while.
func TestUnreached(t *testing.T) {
	r, c, m := predicting(t)
	if why := m.m.Unreached(); why != "" {
		t.Errorf("just asked: %q", why)
	}
	r.run(heardLately)
	if why := m.m.Unreached(); why != "no validator has polled lately" {
		t.Errorf("an hour later: %q", why)
	}
	if s := m.service("communication"); s.State != "ok" {
		t.Errorf("who dials nobody misses no session: %+v", s)
	}
	if c.ask(c.poll(r.w.Now())) == nil || m.m.Unreached() != "" {
		t.Error("asked again")
	}
	rich := r.addMiner("m1", once(bet.Home, 10_00), func(c *MinerConfig) { c.ValidatorMinStake = 1 << 62 })
	r.run(time.Minute)
	if why := rich.m.Unreached(); !strings.Contains(why, "permit and the stake") {
		t.Errorf("with nobody to trust: %q", why)
	}
}

package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/wire/synapse"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// httpVector is a request or a reply as the original wrote it.
type httpVector struct {
	Status  int
	Headers map[string]string
	Body    json.RawMessage
	Text    string `json:"signing_message"`
}

func httpVectorOf(t testing.TB, name string) httpVector {
	var v httpVector
	vectors(t, &v, "wire", name)
	return v
}

func (v *httpVector) header() http.Header {
	h := http.Header{}
	for name, value := range v.Headers {
		h.Set(name, value)
	}
	return h
}

// request packs a vector as a server packs what it receives.
func (v *httpVector) request(t testing.TB) synapse.Request {
	t.Helper()
	r, err := synapse.ReadRequest(synapse.GameData, v.header())
	if err != nil {
		t.Fatal(err)
	}
	r.Body = v.Body
	return r
}

func (v *httpVector) reply(t testing.TB) synapse.Reply {
	t.Helper()
	r, err := synapse.ReadReply(v.Status, v.header(), v.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func open(t testing.TB, frame []byte) (Message, error) {
	t.Helper()
	return (&Opener{Verifier: &Sr25519Verifier{}}).Open(frame)
}

const sdkUUID = "5ecbd69c-1cec-11ee-b0dc-e29ce36fec1a"

func TestHTTPGameDataVector(t *testing.T) {
	v := httpVectorOf(t, "http_game_data_request.json")
	r := v.request(t)
	if got := string(r.AppendText(nil)); got != v.Text {
		t.Errorf("signed text\n%s, want\n%s", got, v.Text)
	}
	m, err := open(t, r.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	day := func(s string) time.Time { return must(time.Parse(time.RFC3339, s)).UTC() }
	want := Message{Kind: Poll, Sender: alice, Timestamp: time.Unix(1741348800, 0).UTC(),
		Exchange: &Exchange{Asked: bob, UUID: sdkUUID, Nonce: 1741348800000000000},
		Games: []bet.Game{
			{ID: "1234567", Sport: "Soccer", League: "Premier League", TeamA: "Arsenal", TeamB: "Chelsea", Created: day("2025-03-01T15:00:00Z"),
				Updated: day("2025-03-07T10:00:00Z"), Start: day("2025-03-08T15:00:00Z"), CanTie: true, Active: true, Odds: bet.Odds{1.91, 4.2, 3.55}, Outcome: bet.Unfinished},
			{ID: "7654321", Sport: "Football", League: "NFL", TeamA: "Kansas City Chiefs", TeamB: "Buffalo Bills", Created: day("2025-01-19T00:00:00Z"),
				Updated: day("2025-01-26T01:00:00Z"), Start: day("2025-01-26T23:30:00Z"), Active: true, Odds: bet.Odds{1.87, 1.95, 0}, Outcome: bet.Unfinished},
		}}
	if d := cmp.Diff(want, m); d != "" {
		t.Error(d)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestHTTPConfirmationVector(t *testing.T) {
	v := httpVectorOf(t, "http_confirmation_request.json")
	r := v.request(t)
	if got := string(r.AppendText(nil)); got != v.Text {
		t.Errorf("signed text\n%s, want\n%s", got, v.Text)
	}
	m, err := open(t, r.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := Message{Kind: Receipts, Sender: alice, Timestamp: time.Unix(1741348809, 0).UTC(),
		Exchange: &Exchange{Asked: bob, UUID: sdkUUID, Nonce: 1741348809000000000, Words: []Confirmation{
			{ID: "0b7c6d1e-6a1f-4c8e-9a55-0d6f5f6a0001", OK: true, Message: "Prediction validated successfully"},
			{ID: "0b7c6d1e-6a1f-4c8e-9a55-0d6f5f6a0002", Message: "Game has already started"},
		}}}
	if d := cmp.Diff(want, m); d != "" {
		t.Error(d)
	}
}

func vectorPicks() []bet.Submission {
	one := sampleSubmission()
	two := *one
	two.ID, two.Date, two.Outcome = "0b7c6d1e-6a1f-4c8e-9a55-0d6f5f6a0002", "2025-03-07T12:00:01+00:00", bet.Value{Kind: bet.Text, Text: "Tie"}
	two.Odds, two.Wager, two.Model, two.Confidence = bet.Value{Kind: bet.Number, Number: 3.55}, bet.Value{Kind: bet.Number, Number: 25.5}, "", bet.Value{}
	return []bet.Submission{*one, two}
}

func TestHTTPPredictionVector(t *testing.T) {
	v := httpVectorOf(t, "http_prediction_response.json")
	r := v.reply(t)
	m, err := open(t, r.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := Message{Kind: Answer, Exchange: &Exchange{Asked: bob, UUID: sdkUUID, Nonce: 1741348800000000000, Status: 200, Submissions: vectorPicks()}}
	if d := cmp.Diff(want, m); d != "" {
		t.Error(d)
	}
}

func TestHTTPErrorVector(t *testing.T) {
	v := httpVectorOf(t, "http_error_synapse_response.json")
	r := v.reply(t)
	m, err := open(t, r.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := Message{Kind: Answer, Text: "No predictions available", Exchange: &Exchange{Asked: bob, Status: 200}}
	if d := cmp.Diff(want, m); d != "" {
		t.Error(d)
	}
}

// TestSDKShape: what we write has every member and header that the original
// writes, of the same JSON kind, in both requests and the reply.
func TestSDKShape(t *testing.T) {
	s := keyed(alice)
	a := &Asking{Axon: chain.Axon{IP: "203.0.113.9", Port: 12345}, Asked: bob, UID: 3, Nonce: 1741348800000000000, At: noon}
	games, n := AppendGames(nil, []*bet.Game{&sampleGames(1)[0]})
	if n != 1 {
		t.Fatalf("%d games", n)
	}
	stats := []Stat{{"miner_uid", "7"}}
	poll := must(synapse.UnpackRequest(AppendPoll(nil, s, a, games)))
	receipts := must(synapse.UnpackRequest(AppendReceipts(nil, s, a, []Confirmation{{ID: "x", OK: true, Message: "ok"}}, stats)))
	q := must((&Opener{Verifier: keyed("")}).Open(AppendPoll(nil, s, a, games)))
	picks := vectorPicks()
	answer := must(synapse.UnpackReply(AppendAnswer(nil, keyed(bob), &q, 7, noon, []*bet.Submission{&picks[0]}, "")))
	for _, c := range []struct {
		vector  string
		body    []byte
		headers func(set func(name, value string))
	}{
		{"http_game_data_request.json", poll.Body, func(set func(n, v string)) { poll.Headers(20, set) }},
		{"http_confirmation_request.json", receipts.Body, func(set func(n, v string)) { receipts.Headers(20, set) }},
		{"http_prediction_response.json", answer.Body, func(set func(n, v string)) { answer.Headers(&poll, 0.25, set) }},
	} {
		v := httpVectorOf(t, c.vector)
		got := map[string]string{}
		c.headers(func(n, value string) { got[n] = value })
		for name := range v.Headers {
			if name != "timeout" && name != "bt_header_dendrite_ip" && got[name] == "" {
				t.Errorf("%s: header %s is missing", c.vector, name)
			}
		}
		var want, have map[string]any
		if err := errors.Join(json.Unmarshal(v.Body, &want), json.Unmarshal(c.body, &have)); err != nil {
			t.Fatalf("%s: %v", c.vector, err)
		}
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if w, h := fmt.Sprintf("%T", want[name]), fmt.Sprintf("%T", have[name]); w != h {
				t.Errorf("%s: member %s is %s, want %s", c.vector, name, h, w)
			}
		}
		for _, name := range []string{"name", "synapse_type"} {
			if want[name] != have[name] && c.vector != "http_prediction_response.json" {
				t.Errorf("%s: %s is %v, want %v", c.vector, name, have[name], want[name])
			}
		}
		w, h := want["metadata"].(map[string]any), have["metadata"].(map[string]any)
		if w["synapse_type"] != h["synapse_type"] || w["subnet_version"] != h["subnet_version"] {
			t.Errorf("%s: metadata %v, want %v", c.vector, h, w)
		}
	}
	// The original's validator takes text for an outcome, and the number must be gone.
	var body struct {
		Picks map[string]map[string]any `json:"prediction_dict"`
	}
	number := picks[1]
	number.Outcome = bet.Value{Kind: bet.Number, Number: 2}
	one := must(synapse.UnpackReply(AppendAnswer(nil, keyed(bob), &q, 9, noon, []*bet.Submission{&number}, "")))
	if err := json.Unmarshal(one.Body, &body); err != nil {
		t.Fatal(err)
	}
	if p := body.Picks[string(number.ID)]; p["predicted_outcome"] != "Tie" || p["miner_uid"] != "9" {
		t.Errorf("outcome %v of uid %v, want Tie of 9", p["predicted_outcome"], p["miner_uid"])
	}
}

// TestExchangeRoundTrip: what a node writes another one reads, bound.
func TestExchangeRoundTrip(t *testing.T) {
	o := &Opener{Verifier: keyed("")}
	rapid.Check(t, func(t *rapid.T) {
		games := sampleGames(rapid.IntRange(0, 20).Draw(t, "games"))
		told := make([]*bet.Game, len(games))
		for i := range games {
			told[i] = &games[i]
		}
		text, n := AppendGames(nil, told)
		a := &Asking{Axon: chain.Axon{IP: "203.0.113.9", Port: 1}, Asked: bob, UID: 3, Nonce: rapid.Uint64Max(1<<63-1).Draw(t, "nonce"), At: noon}
		q, err := o.Open(AppendPoll(nil, keyed(alice), a, text))
		if err != nil || n != len(games) || q.Kind != Poll || q.Sender != alice || !q.Exchange.Bound || q.Exchange.Asked != bob || q.Exchange.Nonce != a.Nonce {
			t.Fatalf("poll %+v: %v", q, err)
		}
		if d := cmp.Diff(games, append([]bet.Game{}, q.Games...)); d != "" {
			t.Fatal(d)
		}
		picks := vectorPicks()[:rapid.IntRange(1, 2).Draw(t, "picks")]
		var sent []*bet.Submission
		for i := range picks {
			sent = append(sent, &picks[i])
		}
		r, err := o.Open(AppendAnswer(nil, keyed(bob), &q, 7, noon, sent, ""))
		if err != nil || r.Sender != bob || !r.Exchange.Bound || r.Exchange.Nonce != a.Nonce {
			t.Fatalf("answer %+v: %v", r, err)
		}
		if d := cmp.Diff(picks, r.Exchange.Submissions); d != "" {
			t.Fatal(d)
		}
		words := []Confirmation{{ID: "a", OK: true, Message: "é\n"}, {ID: "b", Code: bet.GameStarted, Message: `"`}}
		w, err := o.Open(AppendReceipts(nil, keyed(alice), a, words, []Stat{{"miner_uid", "7"}, {"miner_rank", "1"}}))
		if err != nil || w.Kind != Receipts {
			t.Fatalf("receipts %+v: %v", w, err)
		}
		if d := cmp.Diff(words, w.Exchange.Words); d != "" {
			t.Fatal(d)
		}
		if e, err := o.Open(AppendEcho(nil, keyed(bob), &w, 7, noon)); err != nil || e.Kind != Answer || e.Exchange.Submissions != nil {
			t.Fatalf("echo %+v: %v", e, err)
		}
	})
}

// TestH1ReplySpeaksForAnother: a reply may name another hotkey in its header, in
// its body, or in both. In one of them it is no message at all; in both, the
// message says whom it names, and the caller knows whom it dialled.
func TestH1ReplySpeaksForAnother(t *testing.T) {
	const carol = "5FLSigC9HGRKVhB9FiEo4Y3koPsNmBmLJbpXg2mp1hXcS59Y"
	v := httpVectorOf(t, "http_prediction_response.json")
	for _, c := range []struct {
		name         string
		header, body bool
		err          error
	}{{"header", true, false, ErrShape}, {"body", false, true, ErrShape}, {"both", true, true, nil}} {
		r := v.reply(t)
		if c.header {
			r.Asked = carol
		}
		if c.body {
			r.Body = bytes.Replace(r.Body, []byte(bob), []byte(carol), 1)
		}
		m, err := open(t, r.Append(nil))
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
		if err == nil && (m.Sender != "" || m.Exchange.Asked != carol) {
			t.Errorf("%s: sender %q, names %q", c.name, m.Sender, m.Exchange.Asked)
		}
	}
}

// TestH2BodyIsBound: between nodes no byte of a body can be changed, the binding
// cannot be taken away, and a reply answers the request that it was made for.
func TestH2BodyIsBound(t *testing.T) { boundBodies(t) }

// TestA6BodyIsBound is the same hole as an attack on who signs the hash of nothing.
func TestA6BodyIsBound(t *testing.T) { boundBodies(t) }

func boundBodies(t *testing.T) {
	o := &Opener{Verifier: keyed("")}
	games, _ := AppendGames(nil, []*bet.Game{&sampleGames(1)[0]})
	a := &Asking{Asked: bob, Nonce: 5, At: noon}
	frame := AppendPoll(nil, keyed(alice), a, games)
	q := must(o.Open(frame))
	request := func(change func(*synapse.Request)) error {
		r := must(synapse.UnpackRequest(bytes.Clone(frame)))
		change(&r)
		_, err := o.Open(r.Append(nil))
		return err
	}
	picks := vectorPicks()
	answer := AppendAnswer(nil, keyed(bob), &q, 7, noon, []*bet.Submission{&picks[0]}, "")
	reply := func(change func(*synapse.Reply)) error {
		r := must(synapse.UnpackReply(bytes.Clone(answer)))
		change(&r)
		_, err := o.Open(r.Append(nil))
		return err
	}
	for name, err := range map[string]error{
		"body of a request": request(func(r *synapse.Request) { r.Body[len(r.Body)-1] = ' ' }),
		"body and its hash": request(func(r *synapse.Request) { r.Body = []byte("{}"); r.Binding.Sum = sumOf(r.Body) }),
		"no binding":        request(func(r *synapse.Request) { r.Binding = nil }),
		"made an SDK":       request(func(r *synapse.Request) { r.Binding, r.UUID = nil, sdkUUID }),
		"body of a reply":   reply(func(r *synapse.Reply) { r.Body[len(r.Body)-1] = ' ' }),
		"another request's": reply(func(r *synapse.Reply) { r.Nonce++ }),
		"another status":    reply(func(r *synapse.Reply) { r.Status = 500 }),
	} {
		if err != ErrSignature {
			t.Errorf("%s: %v, want %v", name, err, ErrSignature)
		}
	}
	if err := request(func(*synapse.Request) {}); err != nil {
		t.Errorf("unchanged: %v", err)
	}
	if err := reply(func(*synapse.Reply) {}); err != nil {
		t.Errorf("unchanged: %v", err)
	}
	m, err := o.Open(func() []byte { r := must(synapse.UnpackReply(answer)); r.Binding = nil; return r.Append(nil) }())
	if err != nil || m.Sender != "" || m.Exchange.Bound {
		t.Errorf("a reply without its binding: sender %q, bound %v, %v: want nobody's", m.Sender, m.Exchange.Bound, err)
	}
}

func sumOf(b []byte) [32]byte {
	r := synapse.Request{Body: b}
	r.Bind(func([]byte) (sig [64]byte) { return })
	return r.Binding.Sum
}

// TestH3UnsignedRequest and A1: no signature, an empty one, another's, one over
// another axon: none of them is a request, whatever SDKs take.
func TestH3UnsignedRequest(t *testing.T) { unsignedRequests(t) }

// TestA1UnsignedRequest is the same hole as the attack that was seen in the wild.
func TestA1UnsignedRequest(t *testing.T) { unsignedRequests(t) }

func unsignedRequests(t *testing.T) {
	v := httpVectorOf(t, "http_game_data_request.json")
	for _, none := range []string{"", "0x", "0x00", strings.Repeat("0", 130)} {
		h := v.header()
		h.Set("bt_header_dendrite_signature", none)
		if _, err := synapse.ReadRequest(synapse.GameData, h); !errors.Is(err, synapse.ErrUnsigned) && !errors.Is(err, synapse.ErrHeader) {
			t.Errorf("signature %q: %v", none, err)
		}
	}
	h := v.header()
	h.Del("bt_header_dendrite_signature")
	if _, err := synapse.ReadRequest(synapse.GameData, h); !errors.Is(err, synapse.ErrUnsigned) {
		t.Errorf("no signature: %v, want %v", err, synapse.ErrUnsigned)
	}
	for name, change := range map[string]func(*synapse.Request){
		"zero":         func(r *synapse.Request) { r.Signature = [64]byte{} },
		"nonce":        func(r *synapse.Request) { r.Nonce++ },
		"another axon": func(r *synapse.Request) { r.Asked = alice },
		"another":      func(r *synapse.Request) { r.Asker = bob },
		"uuid":         func(r *synapse.Request) { r.UUID += "0" },
		"body hash":    func(r *synapse.Request) { r.BodyHash = "" },
	} {
		r := v.request(t)
		change(&r)
		if _, err := open(t, r.Append(nil)); err != ErrSignature {
			t.Errorf("%s: %v, want %v", name, err, ErrSignature)
		}
	}
}

// TestBytesWrapped: wallets that sign for web pages put the text in brackets.
func TestBytesWrapped(t *testing.T) {
	v := httpVectorOf(t, "http_game_data_request.json")
	r := v.request(t)
	r.Asker = alice
	r.Signature = keyed(alice).Sign([]byte("<Bytes>" + string(r.AppendText(nil)) + "</Bytes>"))
	if m, err := (&Opener{Verifier: keyed("")}).Open(r.Append(nil)); err != nil || m.Sender != alice {
		t.Errorf("%q, %v", m.Sender, err)
	}
}

// TestH4IdentityOfTheBody: who the body says has asked is not read.
func TestH4IdentityOfTheBody(t *testing.T) {
	v := httpVectorOf(t, "http_game_data_request.json")
	r := v.request(t)
	at := bytes.Index(r.Body, []byte(alice))
	r.Body = append(append(append([]byte{}, r.Body[:at]...), bob...), r.Body[at+len(alice):]...)
	m, err := open(t, r.Append(nil))
	if err != nil || m.Sender != alice {
		t.Errorf("sender %q, %v: want the one that signed", m.Sender, err)
	}
}

// TestH6NotFinite: JSON has no NaN, though Python writes it. In an entry of a
// dictionary it is a bad value of that entry, which is refused with its code; the
// others live. Anywhere else the text is no JSON.
func TestH6NotFinite(t *testing.T) {
	v := httpVectorOf(t, "http_prediction_response.json")
	at := time.Date(2025, 3, 7, 12, 0, 0, 0, time.UTC)
	for _, n := range []string{"NaN", "Infinity", "-Infinity", "1e999"} {
		r := v.reply(t)
		good, err := open(t, r.Append(nil))
		if err != nil || len(good.Exchange.Submissions) != 2 {
			t.Fatalf("%+v, %v", good.Exchange, err)
		}
		s := good.Exchange.Submissions[0]
		// In the first a wager, in the second something that means nothing to us.
		r.Body = bytes.Replace(r.Body, []byte("100.0"), []byte(n), 1)
		r.Body = bytes.Replace(r.Body, []byte("25.5"), []byte(`25.5, "extra": [`+n+`]`), 1)
		m, err := open(t, r.Append(nil))
		if err != nil || len(m.Exchange.Submissions) != 2 || m.Exchange.NotFinite != 1 || m.Exchange.Skipped != 0 {
			t.Errorf("%s: %+v, %v", n, m.Exchange, err)
			continue
		}
		if w := m.Exchange.Submissions[1].Wager; w.Number != 25.5 {
			t.Errorf("%s: the other's wager is %+v", n, w)
		}
		bad := m.Exchange.Submissions[0]
		g := bet.Game{ID: s.Game, TeamA: s.TeamA, TeamB: s.TeamB, CanTie: true, Active: true, Start: at.Add(time.Hour),
			Odds: bet.Odds{s.OddsA.Number, s.OddsB.Number, s.OddsTie.Number}}
		if _, reject := bet.Admit(&bet.Offer{Game: &g, Now: at, Registered: true}, &bad); reject == nil || reject.Code != bet.NotFinite {
			t.Errorf("%s: admitted with %+v: %v", n, bad.Wager, reject)
		}
		// Elsewhere it is no JSON.
		r.Body = bytes.Replace(r.Body, []byte(`"prediction_dict"`), []byte(`"x": `+n+`, "prediction_dict"`), 1)
		if _, err := open(t, r.Append(nil)); err != ErrJSON {
			t.Errorf("%s outside of a dictionary: %v, want %v", n, err, ErrJSON)
		}
		// Nor is it in a signed WebSocket message.
		frame := AppendPrediction(nil, keyed(bob), noon, "1", sampleSubmission())
		if _, err := Canonical(nil, bytes.Replace(frame, []byte(`"wager": 100.0`), []byte(`"wager": `+n), 1)); err == nil {
			t.Errorf("%s: taken in a message", n)
		}
	}
}

func TestHTTPBodyLimits(t *testing.T) {
	reply := func(body string) (Message, error) {
		r := synapse.Reply{Status: 200, Body: []byte(body)}
		return open(t, r.Append(nil))
	}
	picks := func(n int, id func(int) string) string {
		var b strings.Builder
		b.WriteString(`{"metadata":{"synapse_type":"prediction"},"prediction_dict":{`)
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `%q:{"wager":1}`, id(i))
		}
		return b.String() + "}}"
	}
	num := func(i int) string { return fmt.Sprint(i) }
	if m, err := reply(picks(MaxAnswered, num)); err != nil || len(m.Exchange.Submissions) != MaxAnswered {
		t.Errorf("%d predictions: %v", MaxAnswered, err)
	}
	for name, c := range map[string]struct {
		body string
		err  error
	}{
		"one prediction too many": {picks(MaxAnswered+1, num), ErrLimit},
		"an id twice":             {picks(3, func(i int) string { return num(i % 2) }), ErrJSON},
		"a long id":               {picks(1, func(int) string { return strings.Repeat("x", MaxName+1) }), ErrLimit},
		"too deep":                {`{"x":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, ErrLimit},
		"no object":               {`[]`, ErrShape},
		"nothing":                 {``, ErrShape},
		"more behind it":          {`{} {}`, ErrJSON},
	} {
		if _, err := reply(c.body); err != c.err {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
	m, err := reply(`{"metadata":{"synapse_type":"prediction"},"prediction_dict":{"a":{"prediction_id":"b"},"c":7,"d":{"wager":2}}}`)
	if err != nil || len(m.Exchange.Submissions) != 1 || m.Exchange.Submissions[0].ID != "d" || m.Exchange.Skipped != 2 {
		t.Errorf("%+v, %v: want d and two skipped", m.Exchange, err)
	}
	big := synapse.Request{Name: synapse.GameData, Body: make([]byte, synapse.MaxRequest+1)}
	if _, err := open(t, big.Append(nil)); err != ErrTooLarge {
		t.Errorf("a request of %d bytes: %v", len(big.Body), err)
	}
}

// TestAppendGamesIsBounded: what does not fit into a request is left out.
func TestAppendGamesIsBounded(t *testing.T) {
	g := sampleGames(1)[0]
	g.TeamA = strings.Repeat("é", MaxName/2)
	games := make([]*bet.Game, 10000)
	for i := range games {
		one := g
		one.ID = bet.GameID(fmt.Sprint(i))
		games[i] = &one
	}
	text, n := AppendGames(nil, games)
	if n == 0 || n == len(games) || len(text) > synapse.MaxRequest {
		t.Fatalf("%d games in %d bytes", n, len(text))
	}
	a := &Asking{Asked: bob, Nonce: 5, At: noon}
	if m, err := (&Opener{Verifier: keyed("")}).Open(AppendPoll(nil, keyed(alice), a, text)); err != nil || len(m.Games) != n {
		t.Errorf("%d games came, %d were sent: %v", len(m.Games), n, err)
	}
}

func FuzzOpenExchange(f *testing.F) {
	// Small ones: the fuzzer spends its time on making inputs smaller.
	for _, body := range []string{
		`{"metadata":{"synapse_type":"game_data"},"gamedata_dict":{"1":{"game_id":"1"}}}`,
		`{"metadata":{"synapse_type":"prediction"},"prediction_dict":{"a":{"wager":1.5},"b":null},"axon":{"hotkey":"h"}}`,
		`{"metadata":{"synapse_type":"confirmation"},"confirmation_dict":{"a":{"success":"True","message":"m"},"miner_stats":{}}}`,
		`{"metadata":null,"error":"none"}`,
		`{"metadata":{"synapse_type":"prediction"},"prediction_dict":{"a":{"wager":NaN},"b":{"x":-Infinity}}}`,
	} {
		q := synapse.Request{Name: synapse.GameData, BodyHash: synapse.EmptyBodyHash, Body: []byte(body)}
		f.Add(q.Append(nil))
		r := synapse.Reply{Status: 200, Body: []byte(body)}
		f.Add(r.Append(nil))
	}
	f.Add([]byte{1})
	f.Add([]byte{2, 200, 1})
	f.Fuzz(func(t *testing.T, frame []byte) {
		o := &Opener{Verifier: yes{}}
		m, err := o.Open(frame)
		if err != nil || m.Exchange == nil {
			return
		}
		x := m.Exchange
		if len(m.Games) > MaxPolled || len(x.Submissions) > MaxAnswered || len(x.Words) > MaxAnswered+1 {
			t.Fatalf("%d games, %d predictions, %d words", len(m.Games), len(x.Submissions), len(x.Words))
		}
		for _, s := range x.Submissions {
			if math.IsNaN(s.Wager.Number) || math.IsInf(s.Wager.Number, 0) {
				t.Fatalf("wager %v", s.Wager)
			}
		}
		if again, err := o.Open(frame); err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("opened twice: %+v and %+v, %v", m, again, err)
		}
	})
}

// yes finds every signature good, so that a fuzzer reaches what is behind it.
type yes struct{}

func (yes) Verify(chain.Hotkey, []byte, []byte) bool { return true }

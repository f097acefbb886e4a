package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type wsVector struct {
	Dir, Canonical, Signature, Wire, Sender string
}

func wsVectors(t testing.TB) map[string]wsVector {
	var file struct{ Messages map[string]wsVector }
	vectors(t, &file, "wire", "ws_messages.json")
	return file.Messages
}

// Frames as Python peers send them: members in another order than ours, real
// signatures.
func TestOpenVectors(t *testing.T) {
	messages := wsVectors(t)
	stamp := time.Date(2025, 3, 7, 12, 0, 0, 123456000, time.UTC)
	confirmation := Confirmation{ID: "0b7c6d1e-6a1f-4c8e-9a55-0d6f5f6a0001", OK: true, Message: "Prediction accepted", At: stamp}
	rejection := Confirmation{ID: confirmation.ID, Message: "Game has already started", At: stamp}
	date := func(s string) time.Time {
		d, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return d.UTC()
	}
	games := []bet.Game{{
		ID: "1234567", Sport: "Soccer", League: "Premier League", TeamA: "Arsenal", TeamB: "Chelsea",
		Created: date("2025-03-01T15:00:00Z"), Updated: date("2025-03-07T10:00:00Z"), Start: date("2025-03-08T15:00:00Z"),
		CanTie: true, Active: true, Odds: bet.Odds{1.91, 4.2, 3.55}, Outcome: bet.Unfinished,
	}, {
		ID: "7654321", Sport: "Football", League: "NFL", TeamA: "Kansas City Chiefs", TeamB: "Buffalo Bills",
		Created: date("2025-01-19T00:00:00Z"), Updated: date("2025-01-26T01:00:00Z"), Start: date("2025-01-26T23:30:00Z"),
		Active: true, Odds: bet.Odds{1.87, 1.95, 0}, Outcome: bet.Unfinished,
	}, {
		ID: "2222222", Sport: "Soccer", League: "Friendly ⚽", TeamA: "Atlético Madrid", TeamB: "São Paulo",
		Created: date("2025-03-01T15:00:00Z"), Updated: date("2025-03-07T10:00:00Z"), Start: date("2025-03-08T15:00:00Z"),
		CanTie: true, Active: true, Odds: bet.Odds{2, 3, 3.3333}, Outcome: bet.Unfinished,
	}}
	want := map[string]Message{
		"auth":                     {Kind: Auth, Sender: bob, Nonce: "1741348800123.456"},
		"auth_error_invalid":       {Kind: Status, Text: TextInvalidAuth},
		"auth_error_unregistered":  {Kind: Status, Text: TextUnregistered},
		"welcome":                  {Kind: Welcome, Sender: alice, Nonce: "1741348800200.001", Text: TextWelcome},
		"heartbeat_from_validator": {Kind: Heartbeat, Sender: alice, Nonce: "1741348860200.5"},
		"heartbeat_response":       {Kind: HeartbeatResponse, Sender: bob, Nonce: "1741348860300.25"},
		"heartbeat_from_miner":     {Kind: Heartbeat, Sender: bob, Nonce: "1741348861300.25"},
		"heartbeat_ack":            {Kind: HeartbeatAck, Sender: alice, Nonce: "1741348861400.0"},
		"prediction":               {Kind: Prediction, Sender: bob, Nonce: "1741348862300.125", Submission: sampleSubmission()},
		"confirmation_ok":          {Kind: ConfirmationMessage, Sender: alice, Nonce: "1741348862400.0", Confirmation: confirmation},
		"confirmation_rejected":    {Kind: ConfirmationMessage, Sender: alice, Nonce: "1741348862500.0", Confirmation: rejection},
		"game_update":              {Kind: GameUpdate, Sender: alice, Nonce: "1741348863000.0", Games: games, Page: 1, Pages: 1},
		"error_signed":             {Kind: ErrorMessage, Sender: alice, Nonce: "1741348864000.0", Text: TextUnknownType + "foo"},
		"error_unsigned":           {Kind: ErrorMessage, Text: TextInvalidMessage},
	}
	o := &Opener{Verifier: &Sr25519Verifier{}}
	for name, v := range messages {
		w, ok := want[name]
		if !ok {
			t.Errorf("no expectation for vector %s", name)
			continue
		}
		if w.Kind != Status {
			w.Timestamp = stamp
		}
		got, err := o.Open([]byte(v.Wire))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(w, got); d != "" {
			t.Errorf("%s: (-want +got)\n%s", name, d)
		}
		if v.Canonical == "" {
			continue
		}
		text, err := Canonical(nil, []byte(v.Wire))
		if err != nil {
			t.Fatal(err)
		}
		if got := withoutSignature(string(text)); got != v.Canonical {
			t.Errorf("%s: signed text\n%s\nwant\n%s", name, got, v.Canonical)
		}
	}
	if len(messages) != len(want) {
		t.Errorf("%d vectors, %d expectations", len(messages), len(want))
	}
}

// withoutSignature cuts the signature member out of a canonical frame.
func withoutSignature(frame string) string {
	lo := strings.Index(frame, sigHead)
	if lo < 0 {
		return frame
	}
	return frame[:lo] + frame[lo+sigSize:]
}

// What we send is, less the signature, the text the vectors sign.
func TestAppendVectors(t *testing.T) {
	messages := wsVectors(t)
	stamp := time.Date(2025, 3, 7, 12, 0, 0, 123456000, time.UTC)
	o := &Opener{Verifier: &Sr25519Verifier{}}
	game, err := o.Open([]byte(messages["game_update"].Wire))
	if err != nil {
		t.Fatal(err)
	}
	a, b := keyed(alice), keyed(bob)
	for name, frame := range map[string][]byte{
		"auth":                     AppendAuth(nil, b, stamp, "1741348800123.456", ""),
		"welcome":                  AppendWelcome(nil, a, stamp, "1741348800200.001"),
		"heartbeat_from_validator": AppendHeartbeat(nil, a, stamp, "1741348860200.5"),
		"heartbeat_response":       AppendHeartbeatResponse(nil, b, stamp, "1741348860300.25"),
		"heartbeat_from_miner":     AppendHeartbeat(nil, b, stamp, "1741348861300.25"),
		"heartbeat_ack":            AppendHeartbeatAck(nil, a, stamp, "1741348861400.0"),
		"prediction":               AppendPrediction(nil, b, stamp, "1741348862300.125", sampleSubmission()),
		"confirmation_rejected":    AppendConfirmation(nil, a, stamp, "1741348862500.0", &Confirmation{ID: "0b7c6d1e-6a1f-4c8e-9a55-0d6f5f6a0001", Message: "Game has already started"}),
		"game_update":              AppendGameUpdate(nil, a, stamp, "1741348863000.0", game.Games, 1, 1),
		"error_signed":             AppendError(nil, a, stamp, "1741348864000.0", TextUnknownType+"foo"),
	} {
		if got := withoutSignature(string(frame)); got != messages[name].Canonical {
			t.Errorf("%s: we sign\n%s\nwant\n%s", name, got, messages[name].Canonical)
		}
	}
	for name, frame := range map[string][]byte{
		"auth_error_invalid": AppendStatus(nil, TextInvalidAuth),
		"error_unsigned":     AppendError(nil, nil, stamp, "", TextInvalidMessage),
	} {
		var got, want any
		if json.Unmarshal(frame, &got) != nil || json.Unmarshal([]byte(messages[name].Wire), &want) != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %s, want %s", name, frame, messages[name].Wire)
		}
	}
}

// Dialects U and P are refused, whatever they carry.
func TestOtherDialectsAreRefused(t *testing.T) {
	var file map[string]json.RawMessage
	vectors(t, &file, "wire", "ws_other_variants.json")
	o := &Opener{Verifier: &Sr25519Verifier{}}
	tried := 0
	for _, dialect := range []string{"U", "P"} {
		var parts map[string]json.RawMessage
		if err := json.Unmarshal(file[dialect], &parts); err != nil {
			t.Fatal(err)
		}
		for name, frame := range parts {
			if frame[0] != '{' {
				continue
			}
			tried++
			if m, err := o.Open(frame); !errors.Is(err, ErrShape) {
				t.Errorf("%s %s: opened as %v, %v", dialect, name, m.Kind, err)
			}
		}
	}
	if tried < 7 {
		t.Fatalf("%d frames tried", tried)
	}
}

// The values a miner may send, as validate_prediction.json has them, survive
// the wire as bet.Admit must see them.
func TestSubmissionValuesSurvive(t *testing.T) {
	var file struct {
		Base  map[string]json.RawMessage
		Cases []struct {
			Name   string
			Change map[string]json.RawMessage
		}
	}
	vectors(t, &file, "wire", "validate_prediction.json")
	o := &Opener{Verifier: keyed("")}
	for _, c := range file.Cases {
		data := maps.Clone(file.Base)
		maps.Copy(data, c.Change)
		frame := signed(t, bob, map[string]any{"type": "prediction", "data": data})
		m, err := o.Open(frame)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		for field, got := range map[string]bet.Value{
			"predicted_outcome": m.Submission.Outcome, "predicted_odds": m.Submission.Odds, "wager": m.Submission.Wager,
			"team_a_odds": m.Submission.OddsA, "team_b_odds": m.Submission.OddsB, "tie_odds": m.Submission.OddsTie,
			"confidence_score": m.Submission.Confidence,
		} {
			var v any
			if err := json.Unmarshal(data[field], &v); err != nil {
				t.Fatal(err)
			}
			want := bet.Value{}
			switch v := v.(type) {
			case float64:
				want = bet.Value{Kind: bet.Number, Number: v}
			case string:
				want = bet.Value{Kind: bet.Text, Text: v}
			}
			if got != want {
				t.Errorf("%s: %s is %+v, want %+v", c.Name, field, got, want)
			}
		}
	}
}

// signed builds a frame the slow way: members in map order, filled up with
// what an envelope needs, a keyed signature over the canonical text.
func signed(t testing.TB, h chain.Hotkey, members map[string]any) []byte {
	t.Helper()
	all := map[string]any{"sender": h, "nonce": "1741348800123", "timestamp": "2025-03-07T12:00:00+00:00"}
	maps.Copy(all, members)
	for k, v := range all {
		if v == nil {
			delete(all, k)
		}
	}
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	text, err := Canonical(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	sig := keyed(h).Sign(text)
	all["signature"] = fmt.Sprintf("%x", sig)
	if b, err = json.MarshalIndent(all, "", " \t"); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOpenRefuses(t *testing.T) {
	good := string(AppendPrediction(nil, keyed(bob), noon, "1741348800123", sampleSubmission()))
	game := `{"active": true, "can_tie": true, "create_date": null, "event_start_date": null, "game_id": "1", "last_update_date": null, "league": "L", "outcome": "3", "sport": "S", "team_a": "A", "team_a_odds": 1.5, "team_b": "B", "team_b_odds": 2, "tie_odds": null}`
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	update := func(games string) []byte {
		return signed(t, alice, map[string]any{"type": "game_update", "data": map[string]any{"games": raw(games)}})
	}
	predict := func(field, value string) []byte {
		return signed(t, bob, map[string]any{"type": "prediction", "data": map[string]any{field: raw(value)}})
	}
	for _, c := range []struct {
		name  string
		frame []byte
		want  error
	}{
		{"good", []byte(good), nil},
		{"empty", nil, ErrJSON},
		{"not JSON", []byte("hello"), ErrJSON},
		{"JSON but a list", []byte(`[1, 2]`), ErrShape},
		{"JSON but empty", []byte(`{}`), ErrShape},
		{"trailing bytes", []byte(good + "x"), ErrJSON},
		{"two objects", []byte(good + good), ErrJSON},
		{"frame too large", []byte(good + strings.Repeat(" ", MaxFrame)), ErrTooLarge},
		{"trailing space is the same message", []byte(good + " \n"), nil},
		{"duplicate key on top", []byte(strings.Replace(good, `{"data"`, `{"type": "prediction", "data"`, 1)), ErrJSON},
		{"duplicate key in data", []byte(strings.Replace(good, `"wager": 100.0`, `"wager": 1.0, "wager": 100.0`, 1)), ErrJSON},
		{"duplicate key in other spelling", []byte(strings.Replace(good, `"wager": 100.0`, `"wager": 100.0, "w\u0061ger": 1.0`, 1)), ErrJSON},
		{"case of a key counts", []byte(strings.Replace(good, `"sender"`, `"Sender"`, 1)), ErrSignature},
		{"NaN", []byte(strings.Replace(good, `"wager": 100.0`, `"wager": NaN`, 1)), ErrJSON},
		{"Infinity", []byte(strings.Replace(good, `"wager": 100.0`, `"wager": -Infinity`, 1)), ErrJSON},
		{"number out of range", []byte(strings.Replace(good, `"wager": 100.0`, `"wager": 1e999`, 1)), ErrJSON},
		{"number too long", []byte(strings.Replace(good, `100.0`, `100.`+strings.Repeat("0", MaxNumber), 1)), ErrLimit},
		{"leading zero", []byte(strings.Replace(good, `100.0`, `0100.0`, 1)), ErrJSON},
		{"bad UTF-8", []byte(strings.Replace(good, "Arsenal", "Ars\xffenal", 1)), ErrJSON},
		{"UTF-8 of a surrogate", []byte(strings.Replace(good, "Arsenal", "Ars\xed\xa0\x80nal", 1)), ErrJSON},
		{"unpaired surrogate", []byte(strings.Replace(good, "Arsenal", `Ars\ud800nal`, 1)), ErrJSON},
		{"control character", []byte(strings.Replace(good, "Arsenal", "Ars\nenal", 1)), ErrJSON},
		{"signature with 0x", []byte(strings.Replace(good, sigHead, sigHead+"0x", 1)), ErrSignature},
		{"another number token", []byte(strings.Replace(good, "100.0", "100", 1)), ErrSignature},
		{"another sender", []byte(strings.Replace(good, string(bob), string(alice), 1)), ErrSignature},
		{"no signature", signed(t, bob, map[string]any{"type": "prediction"})[:0], ErrJSON},
		{"unsigned prediction", []byte(withoutSignature(good)), ErrShape},
		{"too deep", []byte(`{"data": ` + strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth) + `}`), ErrLimit},
		{"deep but closed early", []byte(strings.Repeat(`{"a":`, 50_000)), ErrLimit},
		{"text too long", predict("miner_uid", `"`+strings.Repeat("x", MaxText+1)+`"`), ErrLimit},
		{"name too long", predict("prediction_id", `"`+strings.Repeat("x", MaxName+1)+`"`), ErrLimit},
		{"prediction id is a number", predict("prediction_id", `17`), ErrShape},
		{"game id is a number", predict("game_id", `17`), nil},
		{"game id is a fraction", predict("game_id", `1.5`), ErrShape},
		{"team is a list", predict("team_a", `[]`), ErrShape},
		{"wager is a list", predict("wager", `[]`), nil}, // bet.Admit answers with a code
		{"no type, no hotkey", signed(t, bob, map[string]any{}), ErrSignature},
		{"unknown type", signed(t, bob, map[string]any{"type": "foo", "data": map[string]any{}}), ErrUnknownType},
		{"type of our own making", signed(t, bob, map[string]any{"type": "auth", "data": map[string]any{}}), ErrUnknownType},
		{"data is no object", signed(t, bob, map[string]any{"type": "heartbeat", "data": []int{}}), ErrShape},
		{"no data", signed(t, bob, map[string]any{"type": "heartbeat"}), ErrShape},
		{"no nonce", signed(t, bob, map[string]any{"type": "heartbeat", "data": map[string]any{}, "nonce": nil}), ErrShape},
		{"nonce is a number", signed(t, bob, map[string]any{"type": "heartbeat", "data": map[string]any{}, "nonce": 5}), ErrShape},
		{"no timestamp", signed(t, bob, map[string]any{"type": "heartbeat", "data": map[string]any{}, "timestamp": nil}), ErrShape},
		{"timestamp without offset", signed(t, bob, map[string]any{"type": "heartbeat", "data": map[string]any{}, "timestamp": "2025-03-07T12:00:00"}), ErrShape},
		{"heartbeat with extra data", signed(t, bob, map[string]any{"type": "heartbeat", "data": map[string]any{"x": 1}}), nil},
		{"confirmation without id", signed(t, alice, map[string]any{"type": "confirmation", "data": map[string]any{"status": "success"}}), ErrShape},
		{"confirmation of no status", signed(t, alice, map[string]any{"type": "confirmation", "data": map[string]any{"prediction_id": "x", "status": "maybe"}}), ErrShape},
		{"no games", signed(t, alice, map[string]any{"type": "game_update", "data": map[string]any{}}), ErrShape},
		{"a game", update("[" + game + "]"), nil},
		{"a game with less", update("[" + strings.Replace(game, `"sport": "S", `, "", 1) + "]"), ErrShape},
		{"a game's outcome 4", update("[" + strings.Replace(game, `"3"`, `"4"`, 1) + "]"), ErrShape},
		{"a game's date", update("[" + strings.Replace(game, `"create_date": null`, `"create_date": "2025-02-30T00:00:00"`, 1) + "]"), ErrShape},
		{"too many games", update("[" + strings.Repeat(game+",", MaxGames) + game + "]"), ErrLimit},
		{"page beyond the last", signed(t, alice, map[string]any{"type": "game_update", "data": map[string]any{"games": []int{}, "page": 3, "pages": 2}}), ErrShape},
		{"unsigned error is not a status", []byte(`{"type": "status", "status": "error", "message": "x"}`), ErrShape},
		{"status without error", []byte(`{"status": "success", "message": "x"}`), ErrShape},
	} {
		m, err := (&Opener{Verifier: keyed("")}).Open(c.frame)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err != nil && err != ErrUnknownType && !reflect.DeepEqual(m, Message{}) {
			t.Errorf("%s: refused, yet %+v", c.name, m)
		}
	}
	if m, err := (&Opener{Verifier: keyed("")}).Open(signed(t, bob, map[string]any{"type": "foo"})); err != ErrUnknownType || m.Text != "foo" || m.Sender != bob {
		t.Errorf("unknown type: %+v, %v", m, err)
	}
	if _, err := new(Opener).Open([]byte(good)); err != ErrSignature {
		t.Errorf("no verifier: %v", err)
	}
}

// The prediction of the original's other client has none of what a bet needs:
// it opens, and admission refuses it with a code.
func TestPredictionOfTheOtherClientHasNoWager(t *testing.T) {
	m, err := (&Opener{Verifier: keyed("")}).Open(signed(t, bob, map[string]any{"type": "prediction", "data": map[string]any{
		"game_id": "1", "home_score": 2, "away_score": 1, "confidence": 0.5, "timestamp": "x", "prediction_id": "1_1741348800"}}))
	if err != nil {
		t.Fatal(err)
	}
	if m.Submission.Wager.Kind != bet.Absent || m.Submission.Outcome.Kind != bet.Absent {
		t.Errorf("%+v", m.Submission)
	}
}

// frames are one of every kind, with the message they must open as.
func frames() map[string][]byte {
	return map[string][]byte{
		"auth":         AppendAuth(nil, keyed(bob), noon, "1741348800123", alice),
		"welcome":      AppendWelcome(nil, keyed(alice), noon, "1741348800123"),
		"heartbeat":    AppendHeartbeat(nil, keyed(bob), noon, "1741348800123"),
		"response":     AppendHeartbeatResponse(nil, keyed(bob), noon.Truncate(time.Second), "1741348800123"),
		"ack":          AppendHeartbeatAck(nil, keyed(alice), noon, "1741348800123"),
		"prediction":   AppendPrediction(nil, keyed(bob), noon, "1741348800123", sampleSubmission()),
		"confirmation": AppendConfirmation(nil, keyed(alice), noon, "1741348800123", &Confirmation{ID: "é", OK: true, Code: "successful", Message: "a \"b\" ⚽"}),
		"games":        AppendGameUpdate(nil, keyed(alice), noon, "1741348800123", sampleGames(2), 2, 3),
		"error":        AppendError(nil, keyed(alice), noon, "1741348800123", "Unknown message type: x"),
	}
}

// Change any byte of a signed frame to any other: it is refused, or it is the
// same message in another spelling. Real signatures and keyed ones alike.
func TestTamperedFramesNeverOpenAsAnotherMessage(t *testing.T) {
	o := &Opener{Verifier: keyed("")}
	real := AppendConfirmation(nil, aliceSigner(t), noon, "1741348800123", &Confirmation{ID: "x", OK: true, Message: "y"})
	for name, frame := range frames() {
		want, err := o.Open(frame)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		same := 0
		for i := range frame {
			for _, b := range []byte(`"\,:{}[] 0189.-eEfnrtuabz` + "\x00\n\xff\xc3") {
				if b == frame[i] {
					continue
				}
				bad := bytes.Clone(frame)
				bad[i] = b
				got, err := o.Open(bad)
				if err != nil {
					continue
				}
				same++
				if d := cmp.Diff(want, got); d != "" {
					t.Fatalf("%s: byte %d changed to %q opens as another message:\n%s", name, i, b, d)
				}
			}
			if got, err := o.Open(append(bytes.Clone(frame[:i]), frame[i+1:]...)); err == nil && !cmp.Equal(want, got) {
				t.Fatalf("%s: without byte %d it is another message", name, i)
			}
		}
		if same > 200 { // white space for white space, and 1 for the exponent sign and the like
			t.Errorf("%s: %d changed frames opened", name, same)
		}
	}
	v := &Opener{Verifier: &Sr25519Verifier{}}
	want, err := v.Open(real)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(real); i++ {
		bad := bytes.Clone(real)
		bad[i] ^= 1
		if got, err := v.Open(bad); err == nil && !cmp.Equal(want, got) {
			t.Fatalf("sr25519: byte %d flipped opens as another message", i)
		}
	}
}

// The quick way through a canonical frame and the slow way through any other
// give the same message.
func TestQuickAndSlowOpenAgree(t *testing.T) {
	quick, slow := &Opener{Verifier: keyed("")}, &Opener{Verifier: keyed("")}
	for name, frame := range frames() {
		a, errA := quick.Open(frame)
		b, errB := slow.Open(append([]byte(" "), frame...))
		if errA != nil || errB != nil || !cmp.Equal(a, b) {
			t.Errorf("%s: %v %v\n%s", name, errA, errB, cmp.Diff(a, b))
		}
	}
}

// A peer may lay out the top level as we do and its data otherwise: the
// signature is over the canonical text all the same.
func TestDataInAnotherSpelling(t *testing.T) {
	frame := AppendPrediction(nil, keyed(bob), noon, "1741348800123", sampleSubmission())
	want, err := (&Opener{Verifier: keyed("")}).Open(frame)
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(string(frame), `"wager": 100.0`, `"wager":100.00`, 1)
	other = strings.Replace(other, `"team_a": "Arsenal"`, `"team_a": "\u0041rsenal"`, 1)
	if got, err := (&Opener{Verifier: keyed("")}).Open([]byte(other)); err != nil || !cmp.Equal(want, got) {
		t.Errorf("%v\n%s", err, cmp.Diff(want, got))
	}
}

// A good signature does not make bad JSON a message.
func TestSignedNonsenseIsRefused(t *testing.T) {
	good := string(AppendPrediction(nil, keyed(bob), noon, "1741348800123", sampleSubmission()))
	for name, frame := range map[string]string{
		"NaN":            strings.Replace(good, "100.0", "NaN", 1),
		"duplicate key":  strings.Replace(good, `"wager"`, `"wager": 1.0, "wager"`, 1),
		"open object":    strings.Replace(good, `{"data": {`, `{"data": {"x": {`, 1),
		"two objects":    strings.Replace(good, `}, "nonce"`, `}{}, "nonce"`, 1),
		"two signatures": strings.Replace(good, `"signature"`, `"signature": "00", "signature"`, 1),
		"escaped twin":   strings.Replace(good, `"signature"`, `"signatur\u0065": "00", "signature"`, 1),
	} {
		if m, err := (&Opener{Verifier: trusting{}}).Open([]byte(frame)); err != ErrJSON {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

// A member of the envelope hidden in a nested object does not count as one.
func TestNestedEnvelopeIsNotTheEnvelope(t *testing.T) {
	inner := string(AppendHeartbeat(nil, keyed(bob), noon, "1741348800123"))
	text := `{"data": {"x": ` + strings.TrimPrefix(inner, `{"data": `)
	if _, err := (&Opener{Verifier: keyed("")}).Open([]byte(text)); err != ErrJSON {
		t.Errorf("cut off: %v", err)
	}
	if _, err := (&Opener{Verifier: keyed("")}).Open([]byte(text + "}")); err != ErrShape {
		t.Errorf("nested: %v", err)
	}
}

func TestControlFramesDoNotAllocate(t *testing.T) {
	var s Signer = keyed(bob)
	o := &Opener{Verifier: keyed("")}
	buf := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(1000, func() { buf = AppendHeartbeat(buf[:0], s, noon, "1741348800123") }); n != 0 {
		t.Errorf("encode: %v allocations", n)
	}
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := o.Open(buf); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("open: %v allocations", n)
	}
}

func genGame(t *rapid.T) bet.Game {
	text := rapid.StringN(0, 12, 40)
	instant := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}
		return time.UnixMicro(rapid.Int64Range(1, 7e15).Draw(t, "us")).UTC()
	})
	odds := rapid.Custom(func(t *rapid.T) bet.Odds {
		o := rapid.OneOf(rapid.Float64Range(0, 1e6), rapid.Custom(func(t *rapid.T) float64 {
			return float64(rapid.IntRange(0, 99999).Draw(t, "cents")) / 100
		}))
		return bet.Odds{o.Draw(t, "a"), o.Draw(t, "b"), o.Draw(t, "tie")}
	})
	return bet.Game{
		ID: bet.GameID("1" + text.Draw(t, "id")), Sport: text.Draw(t, "sport"), League: text.Draw(t, "league"),
		TeamA: text.Draw(t, "a"), TeamB: text.Draw(t, "b"),
		Created: instant.Draw(t, "created"), Updated: instant.Draw(t, "updated"), Start: instant.Draw(t, "start"),
		CanTie: rapid.Bool().Draw(t, "tie"), Active: rapid.Bool().Draw(t, "active"),
		Odds: odds.Draw(t, "odds"), OddsAt: instant.Draw(t, "oddsat"), Closing: odds.Draw(t, "closing"),
		Status:  bet.Status(rapid.IntRange(0, 3).Draw(t, "status")),
		Outcome: bet.Outcome(rapid.IntRange(0, 3).Draw(t, "outcome")), ResultAt: instant.Draw(t, "result"),
	}
}

func TestGamesRoundTrip(t *testing.T) {
	o := &Opener{Verifier: keyed("")}
	rapid.Check(t, func(t *rapid.T) {
		games := rapid.SliceOfN(rapid.Custom(genGame), 0, 4).Draw(t, "games")
		frame := AppendGameUpdate(nil, keyed(alice), noon, "1741348800123", games, 1, 2)
		m, err := o.Open(frame)
		if err != nil {
			t.Fatalf("%v\n%s", err, frame)
		}
		if d := cmp.Diff(games, m.Games, cmp.Transformer("empty", func(g []bet.Game) []bet.Game { return append([]bet.Game{}, g...) })); d != "" && len(games)+len(m.Games) > 0 {
			t.Fatal(d)
		}
		if again, err := Canonical(nil, frame); err != nil || !bytes.Equal(again, frame) {
			t.Fatalf("what we send is not canonical: %v\n%s\n%s", err, frame, again)
		}
	})
}

func TestSubmissionsRoundTrip(t *testing.T) {
	o := &Opener{Verifier: keyed("")}
	text := rapid.StringN(0, 12, 40)
	value := rapid.Custom(func(t *rapid.T) bet.Value {
		switch k := bet.ValueKind(rapid.IntRange(0, 3).Draw(t, "kind")); k {
		case bet.Number:
			return bet.Value{Kind: k, Number: rapid.Float64().Filter(func(v float64) bool { return !math.IsInf(v, 0) && !math.IsNaN(v) }).Draw(t, "v")}
		case bet.Text:
			return bet.Value{Kind: k, Text: text.Draw(t, "v")}
		default:
			return bet.Value{Kind: k}
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		want := bet.Submission{
			ID: bet.PredictionID(text.Draw(t, "id")), Game: bet.GameID(text.Draw(t, "game")), MinerUID: text.Draw(t, "uid"),
			Date: text.Draw(t, "date"), Outcome: value.Draw(t, "outcome"), Odds: value.Draw(t, "odds"), TeamA: text.Draw(t, "a"),
			TeamB: text.Draw(t, "b"), Wager: value.Draw(t, "wager"), OddsA: value.Draw(t, "oddsa"), OddsB: value.Draw(t, "oddsb"),
			OddsTie: value.Draw(t, "oddstie"), Model: text.Draw(t, "model"), Confidence: value.Draw(t, "confidence"),
		}
		frame := AppendPrediction(nil, keyed(bob), noon, "1741348800123", &want)
		m, err := o.Open(frame)
		if err != nil {
			t.Fatalf("%v\n%s", err, frame)
		}
		if d := cmp.Diff(want, *m.Submission); d != "" {
			t.Fatal(d)
		}
	})
}

// PageLen never promises more than a frame holds, even of the worst names.
func TestPagesFit(t *testing.T) {
	worst := sampleGames(600)
	for i := range worst {
		worst[i].TeamA, worst[i].League = strings.Repeat("\x01", MaxName), strings.Repeat("é", MaxName/2)
		worst[i].Closing = bet.Odds{0.1 + 0.2, 1.0 / 3, 1e300 / 7}
		worst[i].ResultAt, worst[i].Status = noon, bet.Void
	}
	for name, games := range map[string][]bet.Game{"usual": sampleGames(600), "worst": worst} {
		n := PageLen(games)
		if n < 1 || n > MaxGames {
			t.Fatalf("%s: page of %d", name, n)
		}
		frame := AppendGameUpdate(nil, keyed(alice), noon, "1741348800123", games[:n], 1, 999)
		if m, err := (&Opener{Verifier: keyed("")}).Open(frame); err != nil || len(m.Games) != n {
			t.Errorf("%s: page of %d games in %d bytes: %v", name, n, len(frame), err)
		}
	}
	if n := PageLen(sampleGames(600)); n < 200 {
		t.Errorf("usual page of %d games only", n)
	}
	if PageLen(nil) != 0 {
		t.Error("a page of no games")
	}
}

// An opener that holds the largest frame of nonsense allocates a small
// multiple of it at most.
func TestOpenAllocatesNoMoreThanASmallMultiple(t *testing.T) {
	for name, frame := range map[string][]byte{
		"keys":    []byte("{" + strings.Repeat(`"a":{"b":1},`, MaxFrame/12-1) + `"z":1}`),
		"escapes": []byte(`{"a":["` + strings.Repeat(`\u0041`, 300) + strings.Repeat(`","`+strings.Repeat(`\u0041`, 300), MaxFrame/1810) + `"]}`),
		"lists":   []byte(`{"data":[` + strings.Repeat(`[],`, MaxFrame/3-20) + `[]]}`),
		"games": signed(t, alice, map[string]any{"type": "game_update", "data": map[string]any{
			"games": []int{}, "x": strings.Split(strings.Repeat("x", 1000), "")}}),
	} {
		const runs = 5
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			(&Opener{Verifier: keyed("")}).Open(frame)
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > uint64(8*len(frame)+64<<10) {
			t.Errorf("%s: %d bytes for a frame of %d", name, got, len(frame))
		}
	}
}

// TestGlance: who and when, before anything is checked, of all that we write with
// a signature; and nothing of what is in another form.
func TestGlance(t *testing.T) {
	for i, frame := range frames() {
		o := &Opener{Verifier: keyed("")}
		m, err := o.Open(frame)
		if err != nil {
			continue
		}
		sender, at, ok := o.Glance(frame)
		if want := m.Sender != ""; ok != want || ok && (sender != m.Sender || !at.Equal(m.Timestamp)) {
			t.Errorf("frame %s: %s at %v, %v; opened %s at %v", i, sender, at, ok, m.Sender, m.Timestamp)
		}
		if _, _, ok := o.Glance(append([]byte(" "), frame...)); ok {
			t.Errorf("frame %s: taken in another form", i)
		}
	}
}

func FuzzOpen(f *testing.F) {
	for _, frame := range frames() {
		f.Add(frame)
	}
	for _, v := range wsVectors(f) {
		f.Add([]byte(v.Wire))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		o := &Opener{Verifier: trusting{}}
		sender, at, glanced := o.Glance(frame)
		m, err := o.Open(frame)
		if glanced && err == nil && m.Sender != "" && (sender != m.Sender || !at.Equal(m.Timestamp)) {
			t.Fatalf("at a glance of %s at %v, opened of %s at %v", sender, at, m.Sender, m.Timestamp)
		}
		var code Error
		if err != nil && !errors.As(err, &code) {
			t.Fatalf("untyped error %v", err)
		}
		if err == nil && !json.Valid(frame) {
			t.Fatalf("opened %q, which is not JSON", frame)
		}
		if again, err2 := o.Open(frame); err2 != err || !cmp.Equal(m, again) {
			t.Fatalf("opens differently the second time: %v, %v", err, err2)
		}
		if err == nil {
			if slow, err := o.Open(append([]byte(" "), frame...)); err != nil || !cmp.Equal(m, slow) {
				t.Fatalf("the slow way differs: %v\n%s", err, cmp.Diff(m, slow))
			}
		}
	})
}

// trusting verifies everything, so that a fuzzer reaches what lies behind.
type trusting struct{}

func (trusting) Verify(chain.Hotkey, []byte, []byte) bool { return true }

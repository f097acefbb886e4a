package bet

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"bettensor/node/chain"

	"github.com/cespare/xxhash/v2"
)

// OddsTolerance is how far submitted odds may lie from those offered. The
// comparison is strict and in float64, as in the original: 1.92 against 1.91
// is refused, because the difference in binary is a little over a hundredth.
const OddsTolerance = 0.01

const (
	// MaxIDLen bounds a prediction's id in bytes: a UUID takes 36, and the id is
	// part of every key of its row.
	MaxIDLen = 64
	// MaxModelLen bounds a model's name in bytes: it is stored with every prediction.
	MaxModelLen = 128
	// maxNumberText bounds numbers sent as text: a float64 needs 24 bytes.
	maxNumberText = 64
	// maxQuoted bounds what a refusal repeats of a submission, so that the
	// answer to a hostile frame is never longer than a line.
	maxQuoted = 64
)

// Code says which rule refused a submission. The words are the original's where
// it has the rule.
type Code string

// The codes, in the order in which the rules are tried.
const (
	UnregisteredHotkey  Code = "unregistered_hotkey"
	MissingData         Code = "missing_data"
	MalformedText       Code = "malformed_text"
	DuplicatePrediction Code = "duplicate_prediction"
	DuplicateConflict   Code = "duplicate_conflict"
	InvalidWager        Code = "invalid_wager"
	NotFinite           Code = "not_finite"
	DailyLimitExceeded  Code = "daily_limit_exceeded"
	GameNotFound        Code = "game_not_found"
	GameStarted         Code = "game_started"
	GameInactive        Code = "game_inactive"
	TeamMismatch        Code = "team_mismatch"
	MissingOdds         Code = "missing_odds"
	InvalidOdds         Code = "invalid_odds"
	OddsMismatch        Code = "odds_mismatch"
	InvalidOutcome      Code = "invalid_outcome"
	OddsTooLow          Code = "odds_too_low"
	InvalidConfidence   Code = "invalid_confidence"
	StoreUnavailable    Code = "store_unavailable"
	Overloaded          Code = "overloaded"
	RateLimited         Code = "rate_limited"
)

var codes = [...]struct {
	code    Code
	meaning string
}{
	{UnregisteredHotkey, "the hotkey that signed holds no slot in the subnet"},
	{MissingData, "no prediction id, or nothing but an id"},
	{MalformedText, "id or model name too long, not UTF-8, or with control characters"},
	{DuplicatePrediction, "the same prediction, already held; the resubmission counts as a success"},
	{DuplicateConflict, "the same id was used before for another prediction"},
	{InvalidWager, "wager missing, not a number, or not above zero once rounded to the cent"},
	{NotFinite, "a number that is infinite or not a number at all"},
	{DailyLimitExceeded, "the wager would take the hotkey over its budget for the UTC day of receipt"},
	{GameNotFound, "no game of that id is known"},
	{GameStarted, "the game has started, or is over"},
	{GameInactive, "the game is postponed, void, or not offered"},
	{TeamMismatch, "the team names differ from the game's"},
	{MissingOdds, "a price that has to be sent is missing"},
	{InvalidOdds, "a price is not a number"},
	{OddsMismatch, "a price differs from the one offered by more than a hundredth"},
	{InvalidOutcome, "the outcome is neither of the teams nor a tie the game can end in"},
	{OddsTooLow, "the price taken is below 1.01"},
	{InvalidConfidence, "the confidence is not a number between 0 and 1"},
	{StoreUnavailable, "the validator cannot store just now; send it again later"},
	{Overloaded, "the validator has too much waiting; send it again later"},
	{RateLimited, "too many submissions in too short a time; send it again later"},
}

// Codes returns every code, in the order of the rules.
func Codes() []Code {
	all := make([]Code, len(codes))
	for i := range codes {
		all[i] = codes[i].code
	}
	return all
}

// Meaning says in a sentence what a code means, "" for an unknown one.
func (c Code) Meaning() string {
	for i := range codes {
		if codes[i].code == c {
			return codes[i].meaning
		}
	}
	return ""
}

// Temporary tells whether the same submission may succeed later: the refusal
// was about the validator, not about the submission.
func (c Code) Temporary() bool {
	return c == StoreUnavailable || c == Overloaded || c == RateLimited
}

// Reject is a refusal. Message is for the miner, in the original's words where
// it has the rule; it never repeats more than a few words of the submission.
type Reject struct {
	Code    Code
	Message string
}

// Error implements error.
func (r *Reject) Error() string { return string(r.Code) + ": " + r.Message }

func reject(c Code, message string) (Prediction, *Reject) {
	return Prediction{}, &Reject{Code: c, Message: message}
}

// Offer is what the validator knows when a submission arrives.
type Offer struct {
	Now        time.Time    // the validator's clock at receipt
	Hotkey     chain.Hotkey // who signed
	Registered bool         // holds a slot at the last metagraph
	Game       *Game        // the game named by the submission, nil when unknown
	Spent      Cents        // accepted and pending wagers of the hotkey on the day of Now
}

// Admit checks a submission against what is offered and returns the prediction
// as it is to be stored, or the first rule that refuses it. The order of the
// rules is the original's (spec §5.3): wager, budget, game, start, teams, odds,
// outcome, price taken, confidence. Duplicates come before and are the caller's,
// who holds the books: see Duplicate. Nothing is allocated when it accepts.
func Admit(o *Offer, s *Submission) (Prediction, *Reject) {
	if !o.Registered {
		return reject(UnregisteredHotkey, "Hotkey is not registered in the subnet")
	}
	if s.ID == "" || *s == (Submission{ID: s.ID}) {
		return reject(MissingData, "Missing prediction data")
	}
	if !plain(string(s.ID), MaxIDLen) || !plain(s.Model, MaxModelLen) {
		return reject(MalformedText, "Prediction id or model name is too long or not plain text")
	}

	wager, r := admitWager(o, s.Wager)
	if r != nil {
		return Prediction{}, r
	}
	g := o.Game
	if r := admitGame(o.Now, g); r != nil {
		return Prediction{}, r
	}
	if s.TeamA != g.TeamA || s.TeamB != g.TeamB {
		return reject(TeamMismatch, "Submitted team names do not match game data")
	}
	if r := admitOffered(g, s); r != nil {
		return Prediction{}, r
	}
	outcome, ok := sideOf(s.Outcome, g.TeamA, g.TeamB)
	if !ok || outcome == Tie && !g.priced(Tie) {
		return Prediction{}, badOutcome(s.Outcome)
	}
	odds, r := admitTaken(g.Odds[outcome], s.Odds)
	if r != nil {
		return Prediction{}, r
	}
	confidence, r := admitConfidence(s.Confidence)
	if r != nil {
		return Prediction{}, r
	}
	return Prediction{
		ID:         s.ID,
		Hotkey:     o.Hotkey,
		Game:       g.ID,
		Outcome:    outcome,
		Odds:       odds,
		Wager:      wager,
		Received:   o.Now,
		Model:      s.Model,
		Confidence: confidence,
		Content:    s.Fingerprint(),
	}, nil
}

// admitWager is the wager's own rule and the budget's. What counts is the wager
// in whole cents: it is what the books will hold.
func admitWager(o *Offer, v Value) (Cents, *Reject) {
	dollars, ok := v.float()
	switch {
	case v.Kind == Absent:
		return 0, &Reject{InvalidWager, "Prediction with non-positive wager - nice try"}
	case !ok:
		return 0, &Reject{InvalidWager, "Invalid wager value"}
	case !finite(dollars):
		return 0, &Reject{NotFinite, "Wager is not a finite number"}
	}
	wager, ok := RoundCents(dollars)
	if dollars <= 0 || ok && wager <= 0 {
		return 0, &Reject{InvalidWager, "Prediction with non-positive wager - nice try"}
	}
	if !ok {
		return 0, &Reject{DailyLimitExceeded, fmt.Sprintf("Prediction would exceed daily limit (Current: %v, Attempted: $%g)", o.Spent, dollars)}
	}
	if o.Spent+wager > DailyBudget {
		return 0, &Reject{DailyLimitExceeded, fmt.Sprintf("Prediction would exceed daily limit (Current: %v, Attempted: %v)", o.Spent, wager)}
	}
	return wager, nil
}

// admitGame asks whether the game takes predictions now. Postponed and void
// come before the start, because the start of such a game says nothing.
func admitGame(now time.Time, g *Game) *Reject {
	switch {
	case g == nil:
		return &Reject{GameNotFound, "Game not found in validator game_data"}
	case g.Status == Postponed || g.Status == Void:
		return &Reject{GameInactive, "Game is " + g.Status.String()}
	case !now.Before(g.Start) || g.Status == Finished:
		return &Reject{GameStarted, "Game has already started"}
	case !g.Active:
		return &Reject{GameInactive, "Game is not offered"}
	}
	return nil
}

// admitOffered compares the whole quote the miner saw with the one offered. A
// tie price of zero is the same as none: the wire has to write a number.
func admitOffered(g *Game, s *Submission) *Reject {
	a, r := price(s.OddsA, "team_a_odds")
	if r != nil {
		return r
	}
	b, r := price(s.OddsB, "team_b_odds")
	if r != nil {
		return r
	}
	if math.Abs(a-g.Odds[Home]) > OddsTolerance || math.Abs(b-g.Odds[Away]) > OddsTolerance {
		return &Reject{OddsMismatch, "Submitted team odds do not match current game odds"}
	}
	var tie float64
	if s.OddsTie.Kind != Absent {
		if tie, r = price(s.OddsTie, "tie_odds"); r != nil {
			return r
		}
	}
	switch {
	case g.priced(Tie) && (s.OddsTie.Kind == Absent || math.Abs(tie-g.Odds[Tie]) > OddsTolerance):
		return &Reject{OddsMismatch, "Submitted tie odds do not match current game odds"}
	case !g.priced(Tie) && math.Abs(tie) > OddsTolerance:
		return &Reject{OddsMismatch, "Submitted tie odds for game that doesn't support ties"}
	}
	return nil
}

// admitTaken is the price of the chosen side: it must be the one offered,
// rounded to four places as the original does, and worth taking at all. Where it
// is longer within the tolerance, the one offered counts: a tolerance is for what
// was rounded, and is no bonus of a hundredth for whoever asks.
func admitTaken(offered float64, v Value) (float64, *Reject) {
	if v.Kind == Absent {
		return 0, &Reject{MissingOdds, "Missing predicted_odds"}
	}
	odds, r := price(v, "predicted_odds")
	if r != nil {
		return 0, r
	}
	expected := round4(offered)
	if math.Abs(odds-expected) > OddsTolerance {
		return 0, &Reject{OddsMismatch, fmt.Sprintf("Predicted odds %s do not match current game odds %s", decimalText(odds), decimalText(expected))}
	}
	if odds = min(odds, max(offered, expected)); odds < MinOdds {
		return 0, &Reject{OddsTooLow, "Predicted odds " + decimalText(odds) + " are below " + decimalText(MinOdds)}
	}
	return odds, nil
}

func admitConfidence(v Value) (float64, *Reject) {
	if v.Kind == Absent {
		return -1, nil
	}
	c, ok := v.float()
	switch {
	case !ok:
		return 0, &Reject{InvalidConfidence, "Invalid confidence score format"}
	case !finite(c):
		return 0, &Reject{NotFinite, "Confidence score is not a finite number"}
	case c < 0 || c > 1:
		return 0, &Reject{InvalidConfidence, "If provided, confidence score must be between 0 and 1"}
	}
	return c, nil
}

// price reads one of the four odds of a submission.
func price(v Value, field string) (float64, *Reject) {
	x, ok := v.float()
	switch {
	case v.Kind == Absent:
		return 0, &Reject{MissingOdds, "Missing " + field}
	case !ok:
		return 0, &Reject{InvalidOdds, "Invalid " + field}
	case !finite(x):
		return 0, &Reject{NotFinite, field + " is not a finite number"}
	}
	return x, nil
}

func badOutcome(v Value) *Reject {
	switch v.Kind {
	case Number:
		return &Reject{InvalidOutcome, "Invalid numeric predicted_outcome: " + numberText(v.Number)}
	case Text:
		if digits(v.Text) {
			return &Reject{InvalidOutcome, "Invalid numeric predicted_outcome: " + quoted(v.Text)}
		}
		return &Reject{InvalidOutcome, "Invalid predicted_outcome: " + quoted(v.Text)}
	}
	return &Reject{InvalidOutcome, "Invalid predicted_outcome"}
}

// sideOf reads an outcome as the wire allows it: 0, 1 or 2 as a whole number or
// digits, the exact name of a team, or "tie" in any case. False: none of them.
func sideOf(v Value, teamA, teamB string) (Outcome, bool) {
	switch v.Kind {
	case Number:
		switch v.Number {
		case 0:
			return Home, true
		case 1:
			return Away, true
		case 2:
			return Tie, true
		}
	case Text:
		switch {
		case digits(v.Text):
			n := strings.TrimLeft(v.Text[:len(v.Text)-1], "0") + v.Text[len(v.Text)-1:]
			if len(n) == 1 && n[0] <= '2' {
				return Outcome(n[0] - '0'), true
			}
		case v.Text == teamA:
			return Home, true
		case v.Text == teamB:
			return Away, true
		case strings.EqualFold(v.Text, "tie"):
			return Tie, true
		}
	}
	return Unfinished, false
}

// float reads a number, or text that says a number in the way Python's float
// does ("nan" and "inf" included, for the caller to refuse as not finite).
func (v Value) float() (float64, bool) {
	switch v.Kind {
	case Number:
		return v.Number, true
	case Text:
		return parseNumber(v.Text)
	}
	return 0, false
}

func parseNumber(s string) (float64, bool) {
	if len(s) > maxNumberText {
		return 0, false
	}
	s = strings.TrimSpace(s)
	// Go reads more than decimals (hexadecimal, underscores); the wire does not.
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c == '.', c == '-', c == '+':
		case strings.IndexByte("eEnNaAiIfFtTyY", c) >= 0: // exponent, nan, inf, infinity
		default:
			return 0, false
		}
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(x, 0) { // out of range reads as infinite
		return 0, false
	}
	return x, true
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// round4 rounds to four decimal places, to the nearest of the exact value.
func round4(x float64) float64 {
	if math.Round(x*1e4)/1e4 == x {
		return x // has no more places: nearly always so
	}
	var buf [32]byte
	y, err := strconv.ParseFloat(string(strconv.AppendFloat(buf[:0], x, 'f', 4, 64)), 64)
	if err != nil {
		return x
	}
	return y
}

// decimalText writes a float as the original's messages do, with one digit
// after the point at least.
func decimalText(x float64) string {
	s := strconv.FormatFloat(x, 'g', -1, 64)
	if finite(x) && !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

// numberText writes a JSON number as it was most likely sent.
func numberText(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

// digits tells whether s is made of ASCII digits only.
func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// plain tells whether s is UTF-8 text without control characters, of at most
// limit bytes.
func plain(s string, limit int) bool {
	if len(s) > limit {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}

// quoted cuts what a message repeats of a submission.
func quoted(s string) string {
	if len(s) <= maxQuoted {
		return strings.ToValidUTF8(s, "�")
	}
	return strings.ToValidUTF8(s[:maxQuoted], "") + "…"
}

// Fingerprint is a hash of what a submission says, to tell a resubmission from
// another prediction under the same id. Two forms of one thing hash alike: a
// number and the text that says it, a team's name and its digit, no tie price
// and a tie price of zero. The id, the UID (it may change) and the miner's
// clock are no part of it.
func (s *Submission) Fingerprint() uint64 {
	var d xxhash.Digest
	d.Reset()
	hashText(&d, string(s.Game))
	hashText(&d, s.TeamA)
	hashText(&d, s.TeamB)
	if side, ok := sideOf(s.Outcome, s.TeamA, s.TeamB); ok {
		hashValue(&d, Value{Kind: Number, Number: float64(side)})
	} else {
		hashValue(&d, s.Outcome)
	}
	hashValue(&d, s.Odds)
	hashValue(&d, s.Wager)
	hashValue(&d, s.OddsA)
	hashValue(&d, s.OddsB)
	if tie := s.OddsTie; tie.Kind == Absent {
		hashValue(&d, Value{Kind: Number})
	} else {
		hashValue(&d, tie)
	}
	hashText(&d, s.Model)
	hashValue(&d, s.Confidence)
	return d.Sum64()
}

func hashText(d *xxhash.Digest, s string) {
	hashUint(d, uint64(len(s)))
	d.WriteString(s) // never fails
}

func hashUint(d *xxhash.Digest, v uint64) {
	var b [8]byte
	for i := range b {
		b[i] = byte(v >> (8 * i))
	}
	d.Write(b[:]) // never fails
}

func hashValue(d *xxhash.Digest, v Value) {
	x, ok := v.float()
	switch {
	case !ok:
		hashUint(d, uint64(v.Kind))
		hashText(d, v.Text)
		return
	case math.IsNaN(x):
		x = math.NaN() // one of the many
	case x == 0:
		x = 0 // not -0
	}
	hashUint(d, uint64(Number))
	hashUint(d, math.Float64bits(x))
}

// Duplicate tells whether a submission under an id already held says the same
// as the prediction held. True: answer as the first time, it is a success.
// False: refuse it as DuplicateConflict. The caller looks the id up under the
// hotkey that signed: ids of different hotkeys never meet.
func Duplicate(existing *Prediction, s *Submission) (same bool) {
	return existing.ID == s.ID && existing.Content == s.Fingerprint()
}

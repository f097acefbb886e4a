package bet

import (
	"errors"
	"fmt"

	"bettensor/node/chain"
	"bettensor/node/pack"
)

// The first byte of each binary form. A form that changes gets a new number,
// and the reader keeps the old ones.
const (
	gameForm       = 1
	predictionForm = 1
	submissionForm = 1
)

// ErrMalformed is the error of every Read function for bytes that are long
// enough but say nothing that exists: an unknown form, state or kind. Truncated
// bytes are pack.ErrShort.
var ErrMalformed = errors.New("bet: malformed")

// AppendGame appends the binary form of a game.
func AppendGame(dst []byte, g *Game) []byte {
	dst = append(dst, gameForm)
	dst = pack.AppendText(dst, g.ID)
	dst = pack.AppendText(dst, g.Sport)
	dst = pack.AppendText(dst, g.League)
	dst = pack.AppendText(dst, g.TeamA)
	dst = pack.AppendText(dst, g.TeamB)
	dst = pack.AppendTime(dst, g.Created)
	dst = pack.AppendTime(dst, g.Updated)
	dst = pack.AppendTime(dst, g.Start)
	dst = pack.AppendBool(dst, g.CanTie)
	dst = pack.AppendBool(dst, g.Active)
	dst = appendOdds(dst, g.Odds)
	dst = pack.AppendTime(dst, g.OddsAt)
	dst = appendOdds(dst, g.Closing)
	dst = append(dst, byte(g.Status), byte(g.Outcome))
	return pack.AppendTime(dst, g.ResultAt)
}

// ReadGame reads what AppendGame wrote.
func ReadGame(r *pack.Reader) (Game, error) {
	if err := readForm(r, gameForm); err != nil {
		return Game{}, fmt.Errorf("read game: %w", err)
	}
	g := Game{
		ID:      GameID(r.Text()),
		Sport:   r.Text(),
		League:  r.Text(),
		TeamA:   r.Text(),
		TeamB:   r.Text(),
		Created: r.Time(),
		Updated: r.Time(),
		Start:   r.Time(),
		CanTie:  r.Bool(),
		Active:  r.Bool(),
		Odds:    readOdds(r),
		OddsAt:  r.Time(),
		Closing: readOdds(r),
	}
	status, outcome := r.Byte(), r.Byte()
	g.Status, g.Outcome, g.ResultAt = Status(status), Outcome(outcome), r.Time()
	if err := check(r, status <= byte(Finished) && outcome <= byte(Unfinished)); err != nil {
		return Game{}, fmt.Errorf("read game: %w", err)
	}
	return g, nil
}

// AppendPrediction appends the binary form of a prediction.
func AppendPrediction(dst []byte, p *Prediction) []byte {
	dst = append(dst, predictionForm)
	dst = pack.AppendText(dst, p.ID)
	dst = pack.AppendText(dst, p.Hotkey)
	dst = pack.AppendText(dst, p.Game)
	dst = append(dst, byte(p.Outcome))
	dst = pack.AppendFloat(dst, p.Odds)
	dst = pack.AppendInt(dst, int64(p.Wager))
	dst = pack.AppendTime(dst, p.Received)
	dst = pack.AppendText(dst, p.Model)
	dst = pack.AppendFloat(dst, p.Confidence)
	dst = pack.AppendUint(dst, p.Content)
	dst = append(dst, byte(p.State))
	dst = pack.AppendInt(dst, int64(p.Payout))
	return pack.AppendTime(dst, p.Settled)
}

// ReadPrediction reads what AppendPrediction wrote.
func ReadPrediction(r *pack.Reader) (Prediction, error) {
	if err := readForm(r, predictionForm); err != nil {
		return Prediction{}, fmt.Errorf("read prediction: %w", err)
	}
	p := Prediction{
		ID:         PredictionID(r.Text()),
		Hotkey:     chain.Hotkey(r.Text()),
		Game:       GameID(r.Text()),
		Outcome:    Outcome(r.Byte()),
		Odds:       r.Float(),
		Wager:      Cents(r.Int()),
		Received:   r.Time(),
		Model:      r.Text(),
		Confidence: r.Float(),
		Content:    r.Uint(),
		State:      State(r.Byte()),
		Payout:     Cents(r.Int()),
		Settled:    r.Time(),
	}
	if err := check(r, p.Outcome <= Tie && p.State <= Pushed); err != nil {
		return Prediction{}, fmt.Errorf("read prediction: %w", err)
	}
	return p, nil
}

// AppendSubmission appends the binary form of a submission. Of a value it
// keeps what its kind says: the number of a Number, the text of a Text.
func AppendSubmission(dst []byte, s *Submission) []byte {
	dst = append(dst, submissionForm)
	dst = pack.AppendText(dst, s.ID)
	dst = pack.AppendText(dst, s.Game)
	dst = pack.AppendText(dst, s.MinerUID)
	dst = pack.AppendText(dst, s.Date)
	dst = appendValue(dst, s.Outcome)
	dst = appendValue(dst, s.Odds)
	dst = pack.AppendText(dst, s.TeamA)
	dst = pack.AppendText(dst, s.TeamB)
	dst = appendValue(dst, s.Wager)
	dst = appendValue(dst, s.OddsA)
	dst = appendValue(dst, s.OddsB)
	dst = appendValue(dst, s.OddsTie)
	dst = pack.AppendText(dst, s.Model)
	return appendValue(dst, s.Confidence)
}

// ReadSubmission reads what AppendSubmission wrote.
func ReadSubmission(r *pack.Reader) (Submission, error) {
	if err := readForm(r, submissionForm); err != nil {
		return Submission{}, fmt.Errorf("read submission: %w", err)
	}
	known := true
	value := func() Value {
		v := Value{Kind: ValueKind(r.Byte())}
		switch v.Kind {
		case Absent, Other:
		case Number:
			v.Number = r.Float()
		case Text:
			v.Text = r.Text()
		default:
			known = false
		}
		return v
	}
	s := Submission{
		ID:         PredictionID(r.Text()),
		Game:       GameID(r.Text()),
		MinerUID:   r.Text(),
		Date:       r.Text(),
		Outcome:    value(),
		Odds:       value(),
		TeamA:      r.Text(),
		TeamB:      r.Text(),
		Wager:      value(),
		OddsA:      value(),
		OddsB:      value(),
		OddsTie:    value(),
		Model:      r.Text(),
		Confidence: value(),
	}
	if err := check(r, known); err != nil {
		return Submission{}, fmt.Errorf("read submission: %w", err)
	}
	return s, nil
}

func appendOdds(dst []byte, o Odds) []byte {
	for _, x := range o {
		dst = pack.AppendFloat(dst, x)
	}
	return dst
}

func readOdds(r *pack.Reader) (o Odds) {
	for i := range o {
		o[i] = r.Float()
	}
	return o
}

func appendValue(dst []byte, v Value) []byte {
	dst = append(dst, byte(v.Kind))
	switch v.Kind {
	case Number:
		dst = pack.AppendFloat(dst, v.Number)
	case Text:
		dst = pack.AppendText(dst, v.Text)
	}
	return dst
}

func readForm(r *pack.Reader, want byte) error {
	form := r.Byte()
	return check(r, form == want)
}

// check is the reader's own error first, because what was read after it says
// nothing.
func check(r *pack.Reader, known bool) error {
	if err := r.Err(); err != nil {
		return err
	}
	if !known {
		return ErrMalformed
	}
	return nil
}

package wire

import (
	"math"
	"strconv"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
)

// Every Append function appends one frame to dst: the canonical text of the
// message with the signature in its sorted place. now is the wall clock of the
// transport, nonce comes from Nonces and must not repeat.

const (
	sigHead = `"signature": "`
	sigTail = `", `
	sigSize = len(sigHead) + 2*SignatureSize + len(sigTail)
)

var sigRoom [sigSize]byte

// seal signs dst[start:] and moves what follows at aside for the signature.
func seal(dst []byte, start, at int, s Signer) []byte {
	sig := s.Sign(dst[start:])
	n := len(dst)
	dst = append(dst, sigRoom[:]...)
	copy(dst[at+sigSize:], dst[at:n])
	copy(dst[at:], sigHead)
	putHex(dst[at+len(sigHead):], &sig)
	copy(dst[at+sigSize-len(sigTail):], sigTail)
	return dst
}

// finish appends what follows the data of a message, and seals it.
func finish(dst []byte, start int, s Signer, now time.Time, nonce string, k Kind) []byte {
	dst = append(dst, `, "nonce": `...)
	dst = appendText(dst, nonce)
	dst = append(dst, `, "sender": `...)
	dst = appendText(dst, s.Hotkey())
	dst = append(dst, ", "...)
	at := len(dst)
	dst = append(dst, `"timestamp": "`...)
	dst = appendTime(dst, now)
	dst = append(dst, `", "type": "`...)
	dst = append(dst, kindNames[k]...)
	dst = append(dst, `"}`...)
	return seal(dst, start, at, s)
}

// AppendAuth appends a miner's first frame. validator is who was dialled; with
// it in the signed text no validator can pass the frame on to another. Left
// empty, the frame is what the original sends.
func AppendAuth(dst []byte, s Signer, now time.Time, nonce string, validator chain.Hotkey) []byte {
	start := len(dst)
	dst = append(dst, `{"hotkey": `...)
	dst = appendText(dst, s.Hotkey())
	dst = append(dst, `, "nonce": `...)
	dst = appendText(dst, nonce)
	dst = append(dst, ", "...)
	at := len(dst)
	dst = append(dst, `"timestamp": "`...)
	dst = appendTime(dst, now)
	dst = append(dst, '"')
	if validator != "" {
		dst = append(dst, `, "validator": `...)
		dst = appendText(dst, validator)
	}
	dst = append(dst, '}')
	return seal(dst, start, at, s)
}

// AppendWelcome appends a validator's answer to a good Auth.
func AppendWelcome(dst []byte, s Signer, now time.Time, nonce string) []byte {
	start := len(dst)
	dst = append(dst, `{"data": {"message": "`+TextWelcome+`", "status": "success"}`...)
	return finish(dst, start, s, now, nonce, Welcome)
}

func appendControl(dst []byte, s Signer, now time.Time, nonce string, k Kind) []byte {
	start := len(dst)
	dst = append(dst, `{"data": {}`...)
	return finish(dst, start, s, now, nonce, k)
}

// AppendHeartbeat appends a heartbeat of either side.
func AppendHeartbeat(dst []byte, s Signer, now time.Time, nonce string) []byte {
	return appendControl(dst, s, now, nonce, Heartbeat)
}

// AppendHeartbeatResponse appends a miner's answer to a heartbeat.
func AppendHeartbeatResponse(dst []byte, s Signer, now time.Time, nonce string) []byte {
	return appendControl(dst, s, now, nonce, HeartbeatResponse)
}

// AppendHeartbeatAck appends a validator's answer to a heartbeat.
func AppendHeartbeatAck(dst []byte, s Signer, now time.Time, nonce string) []byte {
	return appendControl(dst, s, now, nonce, HeartbeatAck)
}

// AppendPrediction appends a submission. An empty team or model and an absent
// value become null.
func AppendPrediction(dst []byte, s Signer, now time.Time, nonce string, sub *bet.Submission) []byte {
	start := len(dst)
	dst = append(dst, `{"data": `...)
	dst = appendSubmission(dst, sub)
	return finish(dst, start, s, now, nonce, Prediction)
}

func appendSubmission(dst []byte, sub *bet.Submission) []byte {
	dst = appendValue(append(dst, `{"confidence_score": `...), sub.Confidence)
	dst = appendText(append(dst, `, "game_id": `...), sub.Game)
	dst = appendText(append(dst, `, "miner_uid": `...), sub.MinerUID)
	dst = appendOptional(append(dst, `, "model_name": `...), sub.Model)
	dst = append(dst, `, "outcome": "Unfinished", "payout": 0.0, "predicted_odds": `...)
	dst = appendValue(dst, sub.Odds)
	dst = appendValue(append(dst, `, "predicted_outcome": `...), sub.Outcome)
	dst = appendText(append(dst, `, "prediction_date": `...), sub.Date)
	dst = appendText(append(dst, `, "prediction_id": `...), sub.ID)
	dst = appendOptional(append(dst, `, "team_a": `...), sub.TeamA)
	dst = appendValue(append(dst, `, "team_a_odds": `...), sub.OddsA)
	dst = appendOptional(append(dst, `, "team_b": `...), sub.TeamB)
	dst = appendValue(append(dst, `, "team_b_odds": `...), sub.OddsB)
	dst = appendValue(append(dst, `, "tie_odds": `...), sub.OddsTie)
	dst = appendValue(append(dst, `, "wager": `...), sub.Wager)
	return append(dst, '}')
}

func appendOptional(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return appendText(dst, s)
}

// appendValue appends a loosely typed field. JSON has no NaN: a number that is
// not finite goes as text, and Other as an empty list.
func appendValue(dst []byte, v bet.Value) []byte {
	switch v.Kind {
	case bet.Number:
		switch {
		case math.IsNaN(v.Number):
			return append(dst, `"NaN"`...)
		case math.IsInf(v.Number, 1):
			return append(dst, `"Infinity"`...)
		case math.IsInf(v.Number, -1):
			return append(dst, `"-Infinity"`...)
		}
		return appendFloat(dst, v.Number)
	case bet.Text:
		return appendText(dst, v.Text)
	case bet.Other:
		return append(dst, "[]"...)
	}
	return append(dst, "null"...)
}

// AppendConfirmation appends a validator's word on a prediction. A zero At
// becomes now.
func AppendConfirmation(dst []byte, s Signer, now time.Time, nonce string, c *Confirmation) []byte {
	start := len(dst)
	dst = append(dst, `{"data": {`...)
	if c.Code != "" {
		dst = appendText(append(dst, `"code": `...), c.Code)
		dst = append(dst, ", "...)
	}
	dst = appendText(append(dst, `"message": `...), c.Message)
	dst = appendText(append(dst, `, "prediction_id": `...), c.ID)
	if c.OK {
		dst = append(dst, `, "status": "success", "timestamp": "`...)
	} else {
		dst = append(dst, `, "status": "error", "timestamp": "`...)
	}
	at := c.At
	if at.IsZero() {
		at = now
	}
	dst = appendTime(dst, at)
	dst = append(dst, `"}`...)
	return finish(dst, start, s, now, nonce, ConfirmationMessage)
}

// AppendGameUpdate appends one page of games; page counts from 1. A page must
// hold no more games than PageLen says.
func AppendGameUpdate(dst []byte, s Signer, now time.Time, nonce string, games []bet.Game, page, pages int) []byte {
	start := len(dst)
	dst = append(dst, `{"data": {"games": [`...)
	for i := range games {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = appendGame(dst, &games[i])
	}
	dst = append(dst, ']')
	if pages > 1 {
		dst = strconv.AppendInt(append(dst, `, "page": `...), int64(page), 10)
		dst = strconv.AppendInt(append(dst, `, "pages": `...), int64(pages), 10)
	}
	dst = appendTime(append(dst, `, "timestamp": "`...), now)
	dst = append(dst, `"}`...)
	return finish(dst, start, s, now, nonce, GameUpdate)
}

// appendGame appends the 14 members every implementation knows and, where they
// say something, five that others ignore: closing, odds_date, result_date and
// status. A price that is not finite goes as 0.0, which is no price.
func appendGame(dst []byte, g *bet.Game) []byte {
	dst = strconv.AppendBool(append(dst, `{"active": `...), g.Active)
	dst = strconv.AppendBool(append(dst, `, "can_tie": `...), g.CanTie)
	if g.Closing != (bet.Odds{}) {
		dst = appendPrice(append(dst, `, "closing": [`...), g.Closing[bet.Home])
		dst = appendPrice(append(dst, ", "...), g.Closing[bet.Away])
		dst = appendPrice(append(dst, ", "...), g.Closing[bet.Tie])
		dst = append(dst, ']')
	}
	dst = appendTime(append(dst, `, "create_date": "`...), g.Created)
	dst = appendTime(append(dst, `", "event_start_date": "`...), g.Start)
	dst = appendText(append(dst, `", "game_id": `...), g.ID)
	dst = appendTime(append(dst, `, "last_update_date": "`...), g.Updated)
	dst = appendText(append(dst, `", "league": `...), g.League)
	if !g.OddsAt.IsZero() {
		dst = append(appendTime(append(dst, `, "odds_date": "`...), g.OddsAt), '"')
	}
	dst = append(dst, `, "outcome": "`...)
	dst = append(dst, '0'+byte(min(g.Outcome, bet.Unfinished)), '"')
	if !g.ResultAt.IsZero() {
		dst = append(appendTime(append(dst, `, "result_date": "`...), g.ResultAt), '"')
	}
	dst = appendText(append(dst, `, "sport": `...), g.Sport)
	if g.Status != impliedStatus(g.Outcome) {
		dst = appendText(append(dst, `, "status": `...), g.Status.String())
	}
	dst = appendText(append(dst, `, "team_a": `...), g.TeamA)
	dst = appendPrice(append(dst, `, "team_a_odds": `...), g.Odds[bet.Home])
	dst = appendText(append(dst, `, "team_b": `...), g.TeamB)
	dst = appendPrice(append(dst, `, "team_b_odds": `...), g.Odds[bet.Away])
	dst = appendPrice(append(dst, `, "tie_odds": `...), g.Odds[bet.Tie])
	return append(dst, '}')
}

// impliedStatus is what a game without the extra member status is.
func impliedStatus(o bet.Outcome) bet.Status {
	if o < bet.Unfinished {
		return bet.Finished
	}
	return bet.Scheduled
}

func appendPrice(dst []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		v = 0
	}
	return appendFloat(dst, v)
}

// What PageLen counts for a frame and a game beside their texts.
const (
	frameRoom = 1024 // envelope, signature, page numbers
	gameRoom  = 700  // 18 member names, 6 prices of up to 24 bytes, 5 instants
)

// PageLen is how many of the first games certainly fit into one frame of
// MaxFrame bytes: at least one, as long as their texts are within MaxName.
func PageLen(games []bet.Game) int {
	room := MaxFrame - frameRoom
	for i := range games {
		g := &games[i]
		texts := len(g.ID) + len(g.Sport) + len(g.League) + len(g.TeamA) + len(g.TeamB)
		room -= gameRoom + 6*texts // six bytes where every byte is escaped
		if i > 0 && (room < 0 || i >= MaxGames) {
			return i
		}
	}
	return len(games)
}

// AppendError appends a signed error, or with a nil Signer the unsigned one
// that answers a frame whose sender is not proved.
func AppendError(dst []byte, s Signer, now time.Time, nonce, text string) []byte {
	if s == nil {
		dst = appendText(append(dst, `{"message": `...), text)
		dst = appendTime(append(dst, `, "timestamp": "`...), now)
		return append(dst, `", "type": "error"}`...)
	}
	start := len(dst)
	dst = appendText(append(dst, `{"data": {"message": `...), text)
	dst = append(dst, '}')
	return finish(dst, start, s, now, nonce, ErrorMessage)
}

// AppendStatus appends the unsigned refusal of an Auth; the connection is
// closed after it.
func AppendStatus(dst []byte, text string) []byte {
	dst = appendText(append(dst, `{"message": `...), text)
	return append(dst, `, "status": "error"}`...)
}

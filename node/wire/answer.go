package wire

import (
	"strconv"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/wire/synapse"
)

// AppendAnswer appends a packed reply to a Poll: predictions, at most
// MaxAnswered of them, or where there are none a text that says so. uid is the
// answerer's own; it is written into each prediction, as the original demands.
func AppendAnswer(dst []byte, s Signer, q *Message, uid chain.UID, at time.Time, picks []*bet.Submission, text string) []byte {
	b := replyTo(s, q, uid, at)
	if b.kind = "prediction"; len(picks) == 0 {
		b.kind, b.err = "error", text
		return appendReply(dst, s, &b)
	}
	b.picks = []byte{'{'}
	for i, p := range picks {
		if i > 0 {
			b.picks = append(b.picks, ", "...)
		}
		told := *p
		told.MinerUID, told.Outcome = strconv.Itoa(int(uid)), outcomeText(p)
		b.picks = appendSubmission(append(appendText(b.picks, p.ID), ": "...), &told)
	}
	b.picks = append(b.picks, '}')
	return appendReply(dst, s, &b)
}

// AppendEcho appends a packed reply to Receipts or a Ping: that they were taken.
func AppendEcho(dst []byte, s Signer, q *Message, uid chain.UID, at time.Time) []byte {
	b := replyTo(s, q, uid, at)
	b.kind = "confirmation"
	return appendReply(dst, s, &b)
}

func replyTo(s Signer, q *Message, uid chain.UID, at time.Time) body {
	return body{asker: q.Sender, asked: s.Hotkey(), uuid: q.Exchange.UUID, nonce: q.Exchange.Nonce, status: 200, uid: uid, at: at}
}

func appendReply(dst []byte, s Signer, b *body) []byte {
	r := synapse.Reply{Status: b.status, Message: "Success", Asked: b.asked, Asker: b.asker, Nonce: b.nonce, UUID: b.uuid}
	r.Body = b.append(make([]byte, 0, 2048+len(b.picks)))
	r.Bind(s.Sign)
	return r.Append(dst)
}

// outcomeText is an outcome in words: the original's validator takes no number.
func outcomeText(s *bet.Submission) bet.Value {
	if s.Outcome.Kind != bet.Number {
		return s.Outcome
	}
	switch s.Outcome.Number {
	case 0:
		return bet.Value{Kind: bet.Text, Text: s.TeamA}
	case 1:
		return bet.Value{Kind: bet.Text, Text: s.TeamB}
	case 2:
		return bet.Value{Kind: bet.Text, Text: "Tie"}
	}
	return s.Outcome
}

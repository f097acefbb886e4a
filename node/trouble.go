package node

import (
	"fmt"
	"strings"
	"time"

	"bettensor/node/chain"
)

// TroubleCode names what is wrong between us and one peer. The words are held
// stable: log lines, /stats and `bettensor status` use them.
type TroubleCode uint8

// What can be wrong with a peer.
const (
	// PeerUnreachable: no connection to it, or no exchange over one.
	PeerUnreachable TroubleCode = iota
	// PeerRefused: it ended the connection before it welcomed us.
	PeerRefused
	// PeerNoWelcome: it took the connection and said nothing.
	PeerNoWelcome
	// PeerLost: it ended a session that stood.
	PeerLost
	// PeerSilent: it did not answer heartbeats.
	PeerSilent
	// PeerNoAnswer: a poll was not answered in time.
	PeerNoAnswer
	// PeerMalformed: its reply is none of the protocol.
	PeerMalformed
	// PeerStatus: it answered that it refuses.
	PeerStatus
	// PeerForeign: it answered for another hotkey than the chain has there.
	PeerForeign
	// PeerUnsigned: it has signed its replies once, and this one it has not.
	PeerUnsigned
	// AskerStale: a validator's request is too old by our clock, or ahead of it.
	AskerStale
	// AskerReplay: a validator's request has been here before, or a later one has.
	AskerReplay
	// AskerHasty: a validator asks more often than it may.
	AskerHasty

	troubleCount
)

var troubleNames = [troubleCount]struct{ word, fix string }{
	PeerUnreachable: {"peer_unreachable", "if it is so of every peer, see that connections to the outside are allowed; else it is the peer's to mend"},
	PeerRefused:     {"peer_refused", "see that this hotkey is registered and the clock is right: `bettensor doctor`; else it is the peer's to mend"},
	PeerNoWelcome:   {"peer_no_welcome", "the peer may be busy, or be no validator of this protocol; it is dialled again"},
	PeerLost:        {"peer_lost", "nothing, where it comes back: a validator that starts anew hangs up"},
	PeerSilent:      {"peer_silent", "nothing, where it comes back: a link that died looks like this"},
	PeerNoAnswer:    {"peer_no_answer", "nothing: it is asked less and less, until it answers"},
	PeerMalformed:   {"peer_malformed", "tell its operator what this node says of the reply"},
	PeerStatus:      {"peer_status", "if it is so of every peer, see that this hotkey holds a permit and stake enough, and that the clock is right"},
	PeerForeign:     {"peer_foreign", "none: somebody else answers at that address, and nothing of it is taken"},
	PeerUnsigned:    {"peer_unsigned", "its operator must go back to a program that signs, or register another hotkey"},
	AskerStale:      {"asker_stale", "make the system follow a time server: `bettensor doctor`; if ours does, the validator's clock is off"},
	AskerReplay:     {"asker_replay", "none, where it was caught and sent again; else the validator's clock was set back"},
	AskerHasty:      {"asker_hasty", "none: the validator asks too often, and is answered again when it waits"},
}

func (c TroubleCode) String() string {
	if c < troubleCount {
		return troubleNames[c].word
	}
	return fmt.Sprintf("trouble(%d)", uint8(c))
}

// Fix is what to do about it, in a line.
func (c TroubleCode) Fix() string {
	if c < troubleCount {
		return troubleNames[c].fix
	}
	return ""
}

// MarshalText gives a code its word in JSON.
func (c TroubleCode) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (c *TroubleCode) UnmarshalText(text []byte) error {
	for i := range troubleNames {
		if troubleNames[i].word == string(text) {
			*c = TroubleCode(i)
			return nil
		}
	}
	return fmt.Errorf("unknown trouble %q", text)
}

// Trouble is what stands between us and a peer.
type Trouble struct {
	Hotkey  chain.Hotkey `json:"hotkey"`
	Address string       `json:"address,omitempty"` // that was dialled
	Code    TroubleCode  `json:"code"`
	Why     string       `json:"why"`   // the newest reason, in part the peer's words
	Since   time.Time    `json:"since"` // of the first in a row
	Last    time.Time    `json:"last"`
	Times   uint64       `json:"times"` // in a row, whatever their codes
}

const (
	// troubleAgain is how long the log is silent about a peer's trouble of a kind
	// that it has told of: in a subnet of axons that were left behind, each of them
	// is a few lines a day.
	troubleAgain = 6 * time.Hour
	// troubleText bounds what a peer can put into our log and statistics.
	troubleText = 200
	// maxTroubles that a service lists; it counts all.
	maxTroubles = 32
)

// trouble is what a service remembers of one peer's. The zero value is none.
type trouble struct {
	Trouble
	warned [troubleCount]time.Time // when the log last told of it
}

// note takes in that something went wrong, and warns of it where that is news.
func (t *trouble) note(c *core, h chain.Hotkey, address string, code TroubleCode, why string) {
	now := c.loop.Now()
	if t.Times == 0 {
		t.Since = now
	}
	if len(why) > troubleText {
		why = why[:troubleText] + "…"
	}
	t.Hotkey, t.Address, t.Code, t.Why, t.Last, t.Times = h, address, code, strings.ToValidUTF8(why, "?"), now, t.Times+1
	if at := t.warned[code]; at.IsZero() || now.Sub(at) >= troubleAgain {
		t.warned[code] = now
		c.log.Warn("trouble with a peer", "code", code.String(), "peer", h, "address", address, "err", t.Why, "times", t.Times, "fix", code.Fix())
	}
}

// over ends it: the peer does what it should. What it was stays readable.
func (t *trouble) over() { t.Times = 0 }

// stands says whether the last that was heard of the peer was trouble.
func (t *trouble) stands() bool { return t.Times > 0 }

// listed adds a peer's trouble to a service's list, where it stands.
func (t *trouble) listed(to []Trouble) []Trouble {
	if t.stands() && len(to) < maxTroubles {
		to = append(to, t.Trouble)
	}
	return to
}

// heardLately is how long after a validator's poll it counts as reaching us: it
// polls every few minutes.
const heardLately = time.Hour

// Unreached says why a miner reaches no validator at all, "" where it has a
// session with one or has answered one's poll lately. Call it on the loop.
func (n *Miner) Unreached() string {
	if len(n.State.Sessions) > 0 {
		return ""
	}
	now := n.loop.Now()
	for _, x := range n.asked { // order cannot matter: any will do
		if !x.answered.IsZero() && now.Sub(x.answered) < heardLately {
			return ""
		}
	}
	if n.State.Meta == nil {
		return "no metagraph yet"
	}
	trusted := 0
	for i := range n.State.Meta.Neurons {
		if n.trusts(&n.State.Meta.Neurons[i]) {
			trusted++
		}
	}
	switch troubles := n.troubles(); {
	case trusted == 0:
		return "no validator holds a permit and the stake that we ask for"
	case n.cfg.PollOnly:
		return "no validator has polled lately"
	case len(troubles) > 0:
		t := &troubles[0]
		return fmt.Sprintf("no session with any of %d validators; with %s: %s: %s", trusted, t.Hotkey, t.Code, t.Why)
	}
	return fmt.Sprintf("no session with any of %d validators", trusted)
}

// troubles are those with validators that we dial, in order of hotkeys.
func (n *Miner) troubles() (out []Trouble) {
	for i := range n.services {
		if c, ok := n.services[i].service.(*minerCommunication); ok {
			for _, l := range c.links {
				out = l.trouble.listed(out)
			}
		}
	}
	return out
}

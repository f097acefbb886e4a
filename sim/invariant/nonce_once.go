package invariant

import (
	"slices"
	"time"

	"bettensor/node/chain"
	"bettensor/node/wire"
)

var nonceDoc = Doc{"nonce-once", "A validator welcomes each signed authentication once: a nonce that has begun a session begins no other, not by another peer who caught it, and not after a restart.", "welcomes, against the authentications that were sent"}

const (
	// takenNonces is how many nonces that began a session are remembered a hotkey:
	// more than begin one within the minute for which a signature is fresh.
	takenNonces = 16
	// knockFor is how long an authentication may wait for its welcome: a slow link,
	// the time for which a signature is fresh, a slow disk.
	knockFor = 5 * time.Minute
	// maxOthers bounds whose authentications a party is known to repeat: a subnet has
	// no more slots.
	maxOthers = 256
)

// nonceOnce compares the welcomes of a validator with the authentications that
// it was sent.
type nonceOnce struct{ rule }

// peer is a party as one validator hears it.
type peer struct {
	name   string
	knocks []knock        // that may still be welcomed, oldest first
	others []chain.Hotkey // whose authentications it has sent as well, newest last
}

type knock struct {
	hotkey chain.Hotkey
	nonce  string
	at     time.Time
}

// taken are the nonces of a hotkey that have begun a session, newest last.
type taken []string

// auth notes an authentication; a nonce that has begun a session entitles to nothing.
func (r *nonceOnce) auth(at time.Time, v *validator, from Node, m *wire.Message) (fresh bool) {
	if m.Sender != from.Hotkey {
		v.peer(from.Name).speaksAs(m.Sender)
	}
	if r.disabled != "" {
		return true
	}
	for _, n := range v.nonces[m.Sender] {
		if n == m.Nonce {
			r.judge()
			return false
		}
	}
	p := v.peer(from.Name)
	n := 0
	for _, k := range p.knocks { // what waits too long was turned away
		if at.Sub(k.at) < knockFor {
			p.knocks[n] = k
			n++
		}
	}
	p.knocks = append(p.knocks[:n], knock{m.Sender, m.Nonce, at})
	if len(p.knocks) > takenNonces {
		p.knocks = p.knocks[1:]
	}
	return true
}

// welcome is a session that begins: one of the knocks has begun it.
func (r *nonceOnce) welcome(at time.Time, v *validator, to Node) {
	if !r.judge() {
		return
	}
	p := v.peer(to.Name)
	if len(p.knocks) == 0 {
		r.violate(at, "%s welcomes %s, whose only authentications have begun sessions before, or who sent none", v.name, to.Name)
		return
	}
	k := p.knocks[len(p.knocks)-1] // those before it were turned away
	p.knocks = p.knocks[:len(p.knocks)-1]
	t := append(v.nonces[k.hotkey], k.nonce)
	if len(t) > takenNonces {
		t = t[1:]
	}
	v.nonces[k.hotkey] = t
}

// speaksAs notes that a party sends what another has signed.
func (p *peer) speaksAs(h chain.Hotkey) {
	if slices.Contains(p.others, h) {
		return
	}
	if p.others = append(p.others, h); len(p.others) > maxOthers {
		p.others = p.others[1:]
	}
}

func (v *validator) peer(name string) *peer {
	p := v.peers[name]
	if p == nil {
		p = &peer{name: name}
		v.peers[name] = p
	}
	return p
}

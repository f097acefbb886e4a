package wire

import "strings"

// texts makes small strings that live about as long as each other, such as
// nonces, from shared chunks: one allocation for some three hundred of them.
// A string that is kept for long keeps its chunk: clone it.
type texts struct {
	chunk *strings.Builder
}

const textsChunk = 4096

func (t *texts) add(b []byte) string {
	if len(b) > textsChunk/8 {
		return string(b)
	}
	if t.chunk == nil || t.chunk.Cap()-t.chunk.Len() < len(b) {
		t.chunk = new(strings.Builder)
		t.chunk.Grow(textsChunk)
	}
	at := t.chunk.Len()
	t.chunk.Write(b)
	return t.chunk.String()[at:]
}

// maxNames bounds the names kept in an Opener: teams, leagues, ids of the games
// on offer, hotkeys of a subnet. When it is full it begins anew.
const maxNames = 2048

// names gives equal names one string, so that an update of known games
// allocates none. Only what an authentic message said gets in.
type names struct {
	known map[string]string
}

func (n *names) find(b []byte) (string, bool) {
	s, ok := n.known[string(b)]
	return s, ok
}

func (n *names) keep(s string) {
	if n.known == nil || len(n.known) >= maxNames {
		n.known = make(map[string]string)
	}
	n.known[s] = s
}

func (n *names) name(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	s, ok := n.find(b)
	if !ok {
		s = string(b)
		n.keep(s)
	}
	return s
}

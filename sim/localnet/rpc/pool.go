package rpc

import (
	"errors"
	"fmt"
	"slices"

	"bettensor/node/chain"
	"bettensor/node/chain/scale"
	"bettensor/node/chain/timelock"

	"github.com/oasisprotocol/curve25519-voi/primitives/sr25519"
)

// pending is an extrinsic that waits for its block.
type pending struct {
	bytes  []byte
	hash   [32]byte
	signer chain.Hotkey
	nonce  uint64
	era    scale.Era
	death  uint64 // first block that can no longer hold it
	call   scale.Call
	ready  bool // no nonce before it is missing
}

// signing is the context of every signature on a Substrate chain.
var signing = sr25519.NewSigningContext([]byte("substrate"))

// Refusals of a pool, by the numbers and words that nodes use.
const (
	codeBadFormat     = 1001
	codeInvalidTx     = 1010
	codeAlreadyHere   = 1013
	codeTooLow        = 1014
	codeDropped       = 1016
	invalidMessage    = "Invalid Transaction"
	dataOutdated      = "Transaction is outdated"
	dataBadSignature  = "Transaction has a bad signature"
	dataAncientBirth  = "Transaction has an ancient birth block"
	dataUnexpected    = "Transaction call is not expected"
	dataMustBeSigned  = "Transaction dispatch is mandatory; transactions must not be validated."
	dataPoolFull      = "The transaction couldn't enter the pool because of the limit"
	dataTooLow        = "The transaction has too low priority to replace another transaction already in the pool."
	messageImported   = "Transaction Already Imported"
	messageTooLow     = "Priority is too low: (0 vs 0)"
	messageDropped    = "Immediately Dropped"
	messageBadFormat  = "Extrinsic has invalid format"
	customErrorPrefix = "Custom error: "
)

func invalidTx(data string) *fault {
	return &fault{Code: codeInvalidTx, Message: invalidMessage, Data: data}
}

// custom are the numbers under which the runtime refuses before a block what it
// refuses in one by name.
func custom(code chain.Code) (byte, bool) {
	switch code {
	case chain.OK:
		return 0, false
	case chain.NotEnoughStakeToSetWeights:
		return 1, true
	case chain.HotKeyNotRegisteredInNetwork:
		return 10, true
	case chain.InvalidIpAddress:
		return 11, true
	case chain.ServingRateLimitExceeded:
		return 12, true
	case chain.InvalidPort:
		return 13, true
	case chain.InvalidRevealRound:
		return 15, true
	case chain.NoWeightsCommitFound:
		return 16, true
	case chain.RevealTooEarly, chain.ExpiredWeightCommit:
		return 17, true
	case chain.InputLengthsUnequal:
		return 18, true
	}
	return 255, true
}

// precheck is what the runtime looks at before a block. Calls that name a
// mechanism are not looked at, as on the chain.
func (s *Server) precheck(o *operation) chain.Code {
	q := &o.request
	if o.mech || q.Op == 0 {
		return chain.OK
	}
	if o.refused != chain.OK {
		switch {
		case q.Op == chain.OpServeAxon, o.refused == chain.InputLengthsUnequal:
			return o.refused
		}
		return chain.OK // told in the block
	}
	now := s.best().time
	if q.Op == chain.OpCommitTimelocked {
		if code := s.chain.Precheck(now, q); code != chain.OK {
			return code
		}
		if o.round < s.chain.StoredRound(chain.Block(s.best().number)) {
			return chain.InvalidRevealRound
		}
		return chain.OK
	}
	if o.batch == nil {
		return s.chain.Precheck(now, q)
	}
	for i := range o.batch {
		if code := s.chain.Precheck(now, &o.batch[i]); code != chain.OK {
			return code
		}
	}
	return chain.OK
}

// admit checks an extrinsic as a pool does and takes it in.
func (s *Server) admit(b []byte) (*pending, *fault) {
	t, f := s.check(b)
	if f != nil {
		s.stats.Invalid++
		return nil, f
	}
	s.pool = append(s.pool, t)
	s.stats.Submitted++
	// The gap before others of this signer may be closed now.
	next := s.nextNonce(t.signer)
	for _, p := range s.pool {
		if p.signer == t.signer && p.nonce < next && !p.ready {
			p.ready = true
			s.status(p, "ready", false)
		}
	}
	return t, nil
}

func (s *Server) check(b []byte) (*pending, *fault) {
	format := func(err error) *fault {
		return &fault{Code: codeBadFormat, Message: messageBadFormat, Data: err.Error()}
	}
	if len(b) > maxExtrinsic {
		return nil, format(fmt.Errorf("%d bytes, at most %d", len(b), maxExtrinsic))
	}
	x, err := s.meta.ParseExtrinsic(b)
	if err != nil {
		return nil, format(err)
	}
	call, err := s.meta.DecodeCall(x.Call)
	if err != nil {
		return nil, format(err)
	}
	if !x.Signed {
		if call.Pallet == "Timestamp" {
			return nil, invalidTx(dataMustBeSigned)
		}
		return nil, &fault{Code: 1011, Message: "Unknown Transaction Validity", Data: "Could not find an unsigned validator for the unsigned transaction"}
	}
	t := &pending{
		bytes: slices.Clone(b), hash: scale.Hash(b), signer: chain.EncodeSS58(x.Signer),
		nonce: x.Nonce, era: x.Era, call: call,
	}
	// An extrinsic is judged as of the block it could be in.
	next := s.best().number + 1
	birth := s.at(x.Era.Birth(next))
	t.death = x.Era.Death(next)
	terms := scale.Terms{Spec: specVersion, Transaction: transactionVersion, Genesis: s.genesis}
	if x.Era.Period > 0 {
		if birth == nil {
			return nil, invalidTx(dataAncientBirth)
		}
		terms.Birth = birth.hash
	}
	if err := s.verify(x, terms); err != nil {
		return nil, invalidTx(dataBadSignature)
	}
	if x.Nonce < uint64(s.nonces[t.signer]) {
		return nil, invalidTx(dataOutdated)
	}
	o := s.operation(t.signer, &t.call)
	if len(o.payload) > timelock.MaxSealed {
		return nil, format(fmt.Errorf("a commit of %d bytes, the call takes %d", len(o.payload), timelock.MaxSealed))
	}
	if number, bad := custom(s.precheck(&o)); bad {
		return nil, invalidTx(fmt.Sprint(customErrorPrefix, number))
	}
	return t, s.room(t)
}

// room looks at what else is in the pool.
func (s *Server) room(t *pending) *fault {
	waiting := 0
	for _, p := range s.pool {
		switch {
		case p.hash == t.hash:
			return &fault{Code: codeAlreadyHere, Message: messageImported, Data: fmt.Sprintf("0x%x", t.hash)}
		case p.signer == t.signer && p.nonce == t.nonce:
			return &fault{Code: codeTooLow, Message: messageTooLow, Data: dataTooLow}
		case p.signer == t.signer:
			waiting++
		}
	}
	if waiting >= maxPending || len(s.pool) >= maxPool {
		return &fault{Code: codeDropped, Message: messageDropped, Data: dataPoolFull}
	}
	return nil
}

var errSignature = errors.New("signature does not hold")

func (s *Server) verify(x *scale.Extrinsic, terms scale.Terms) error {
	payload, err := s.meta.Payload(x, terms)
	if err != nil {
		return err
	}
	key, err := sr25519.NewPublicKeyFromBytes(x.Signer[:])
	if err != nil {
		return err
	}
	signature, err := sr25519.NewSignatureFromBytes(x.Signature[:])
	if err != nil {
		return err
	}
	if !key.Verify(signing.NewTranscriptBytes(payload), signature) {
		return errSignature
	}
	return nil
}

// nextNonce is a signer's nonce behind all that waits in order.
func (s *Server) nextNonce(h chain.Hotkey) uint64 {
	next := uint64(s.nonces[h])
	for again := true; again; {
		again = false
		for _, p := range s.pool {
			if p.signer == h && p.nonce == next {
				next++
				again = true
			}
		}
	}
	return next
}

// include takes from the pool what block b can hold: of each signer in the order
// of nonces, those without a gap, of all in the order they came. What has become
// impossible is dropped and returned.
func (s *Server) include(b *block, run *execution) (dropped []*pending) {
	before := s.best()
	for progress := true; progress; {
		progress = false
		kept := s.pool[:0]
		for _, t := range s.pool {
			switch {
			case t.nonce < uint64(s.nonces[t.signer]) || b.number >= t.death:
				dropped = append(dropped, t)
				s.stats.Invalid++
				continue
			case t.nonce > uint64(s.nonces[t.signer]) || len(b.included) == maxInBlock:
				kept = append(kept, t)
				continue
			}
			at := len(b.extrinsics)
			b.extrinsics = append(b.extrinsics, t.bytes)
			b.included = append(b.included, t)
			s.nonces[t.signer]++
			s.putAccount(t.signer)
			o := s.operation(t.signer, &t.call)
			s.apply(run, at, before.time, &o)
			progress = true
		}
		clear(s.pool[len(kept):])
		s.pool = kept
	}
	return dropped
}

func (s *Server) submit(p params) (*pending, *fault) {
	b, f := p.bytes(0, "an extrinsic")
	if f != nil {
		return nil, f
	}
	return s.admit(b)
}

func (s *Server) submitExtrinsic(_ *conn, p params) (any, func(), *fault) {
	t, f := s.submit(p)
	if f != nil {
		return nil, nil, f
	}
	return hexed(t.hash[:]), nil, nil
}

// submitAndWatch pushes future, where a nonce before it is missing, or ready, and
// from then on what becomes of it.
func (s *Server) submitAndWatch(c *conn, p params) (any, func(), *fault) {
	sub := &subscription{method: "author_extrinsicUpdate"}
	if f := s.subscribe(c, sub); f != nil {
		return nil, nil, f
	}
	t, f := s.submit(p)
	if f != nil {
		c.opening--
		return nil, nil, f
	}
	sub.tx = t
	return sub.id, func() {
		s.subs = append(s.subs, sub)
		if t.ready {
			s.push(sub, "ready")
		} else {
			s.push(sub, "future")
		}
	}, nil
}

func (s *Server) pendingExtrinsics(_ *conn, _ params) (any, func(), *fault) {
	out := make([]hexed, len(s.pool))
	for i, t := range s.pool {
		out[i] = t.bytes
	}
	return out, nil, nil
}

package ledger

import (
	"errors"
	"math"
	"slices"
	"time"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/pack"
	"bettensor/store"
)

// Prediction is an accepted prediction with what scoring must not lose.
type Prediction struct {
	bet.Prediction
	// Raw is what was computed when it arrived: its entropy contribution
	// (score.Pools) or the share it is credited with (score.Copies).
	Raw float64
	// Chance is the probability that its price stands for (score.Chance). 0 in rows
	// that were written before it was kept.
	Chance float64
	// Arrived orders predictions by acceptance over all miners, from 1.
	Arrived uint64
}

// ErrMalformed is the error of rows and keys that are long enough but hold a
// number out of its range. Truncated ones are pack.ErrShort or store.ErrKey.
var ErrMalformed = errors.New("ledger: malformed")

// Key is the row's key.
func (p *Prediction) Key() PredictionKey {
	return PredictionKey{Hotkey: p.Hotkey, Day: bet.DayOf(p.Received), Game: p.Game, ID: p.ID}
}

// Score is one miner's scored day. The day is that of settlement.
type Score struct {
	CLV, ROI, Risk, Entropy, Composite float64
	Wagered                            bet.Cents // over the day's settled predictions
	Settled                            uint32    // how many those are
	Tier                               uint8     // internal tier at the end of the day
	OwnScore                           float64   // composite of the own tier's window
	Weight                             float64   // share of the day's last round
}

// Phase of a weight set.
type Phase uint8

const (
	// Planned: on disk before anything was sent. After a crash it may or may not
	// have reached the chain.
	Planned Phase = iota + 1
	// Included: the chain has it. Its finalised state was read back and holds it.
	Included
	// Refused: the chain said no; Code says why.
	Refused
	// Committed: the commit is on the chain. A hash is to be revealed by us, what
	// is sealed by the chain.
	Committed
	// Superseded: it never took effect, or that was never learnt, and a later set
	// replaces it.
	Superseded
	// InBlock: a block holds it (Block). Whether it stands in the finalised state
	// is still to be read back.
	InBlock
)

// String is the word in dumps.
func (p Phase) String() string {
	return [...]string{"none", "planned", "included", "refused", "committed", "superseded", "in_block"}[p%7]
}

// Open says whether more is to become of the set.
func (p Phase) Open() bool { return p == Planned || p == Committed || p == InBlock }

// WeightSet is one attempt to set weights.
type WeightSet struct {
	Planned    time.Time
	Head       chain.Block // the last update the chain had shown when it was planned: a later one may be ours
	Weights    chain.Weights
	VersionKey uint64
	Salt       []uint16 // of a commit by hash
	// Sealed: committed under a timelock, so that the chain reveals it by itself.
	Sealed bool
	// Fallback: made because there was nothing to score, and not from a round.
	Fallback bool
	Phase    Phase
	// Block that holds the weights: of the extrinsic, or of the reveal.
	Block chain.Block
	// Committed is the block that holds the commit, 0 for weights in the clear.
	Committed chain.Block
	// Epoch of Committed, as it was counted then.
	Epoch uint64
	// Round is the beacon round that opens what is sealed, RevealAt the first
	// block that can hold it; 0 where the answer that said so was lost.
	Round     uint64
	RevealAt  chain.Block
	Extrinsic [32]byte // hash of the newest extrinsic, zero where it is not known
	Code      chain.Code
}

// Updated is the block that the chain counts as the hotkey's update: of the
// commit where there was one, for a reveal is none.
func (w *WeightSet) Updated() chain.Block {
	if len(w.Salt) > 0 || w.Sealed {
		return w.Committed
	}
	return w.Block
}

// Counters are statistics that survive a restart.
type Counters struct {
	At     time.Time
	Names  []string
	Values []uint64
}

// Delivery is where a miner's prediction stands with one validator.
type Delivery struct {
	Validator chain.Hotkey
	State     DeliveryState
	Code      bet.Code // of a refusal
	At        time.Time
}

// DeliveryState of an outgoing prediction with one validator.
type DeliveryState uint8

const (
	Confirmed DeliveryState = iota + 1
	Rejected
)

// Receipt is a validator's final word on some of a miner's predictions, as it
// came: what anybody can check against the validator's key, without the miner
// and without the validator.
type Receipt struct {
	Validator chain.Hotkey
	At        time.Time
	// Frame is the whole message: of WebSocket the signed JSON, of HTTP the packed
	// request. wire.Opener tells both apart, and what is signed of them.
	Frame []byte
}

// Outgoing is a miner's own prediction.
type Outgoing struct {
	Submission bet.Submission
	Outcome    bet.Outcome
	Odds       float64
	Wager      bet.Cents
	Made       time.Time
	Start      time.Time // kick-off: no resubmission after it
	Confidence float64
	State      bet.State
	Payout     bet.Cents
	Closing    float64 // closing odds of the outcome, 0 until known
	Deliveries []Delivery
}

var (
	gameCodec = store.Codec[bet.Game]{
		Append: bet.AppendGame,
		Read:   func(b []byte) (bet.Game, error) { return whole(b, bet.ReadGame) },
	}
	predictionCodec = store.Codec[Prediction]{
		Append: func(dst []byte, p *Prediction) []byte {
			dst = pack.AppendFloat(dst, p.Raw)
			dst = pack.AppendFloat(dst, p.Chance)
			dst = pack.AppendUint(dst, p.Arrived)
			return bet.AppendPrediction(dst, &p.Prediction)
		},
		Read: func(b []byte) (Prediction, error) {
			return whole(b, func(r *pack.Reader) (p Prediction, err error) {
				p.Raw, p.Chance, p.Arrived = r.Float(), r.Float(), r.Uint()
				p.Prediction, err = bet.ReadPrediction(r)
				return p, err
			})
		},
	}
	scoreCodec = store.Codec[Score]{
		Append: func(dst []byte, s *Score) []byte {
			for _, v := range [...]float64{s.CLV, s.ROI, s.Risk, s.Entropy, s.Composite, s.OwnScore, s.Weight} {
				dst = pack.AppendFloat(dst, v)
			}
			dst = pack.AppendInt(dst, int64(s.Wagered))
			dst = pack.AppendUint(dst, uint64(s.Settled))
			return append(dst, s.Tier)
		},
		Read: func(b []byte) (Score, error) {
			return whole(b, func(r *pack.Reader) (s Score, err error) {
				for _, v := range [...]*float64{&s.CLV, &s.ROI, &s.Risk, &s.Entropy, &s.Composite, &s.OwnScore, &s.Weight} {
					*v = r.Float()
				}
				s.Wagered = bet.Cents(r.Int())
				settled := r.Uint()
				s.Settled, s.Tier = uint32(settled), r.Byte()
				return s, within(settled <= math.MaxUint32)
			})
		},
	}
	weightSetCodec = store.Codec[WeightSet]{
		Append: func(dst []byte, w *WeightSet) []byte {
			dst = pack.AppendTime(dst, w.Planned)
			dst = pack.AppendUint(dst, uint64(w.Head))
			dst = chain.AppendWeights(dst, w.Weights)
			dst = pack.AppendUint(dst, w.VersionKey)
			dst = pack.AppendUint(dst, uint64(len(w.Salt)))
			for _, s := range w.Salt {
				dst = pack.AppendUint(dst, uint64(s))
			}
			dst = pack.AppendBool(dst, w.Sealed)
			dst = pack.AppendBool(dst, w.Fallback)
			dst = append(dst, byte(w.Phase))
			for _, v := range [...]uint64{uint64(w.Block), uint64(w.Committed), w.Epoch, w.Round, uint64(w.RevealAt)} {
				dst = pack.AppendUint(dst, v)
			}
			dst = pack.AppendBytes(dst, w.Extrinsic[:])
			return pack.AppendText(dst, w.Code)
		},
		Read: func(b []byte) (WeightSet, error) {
			return whole(b, func(r *pack.Reader) (w WeightSet, err error) {
				w.Planned, w.Head = r.Time(), chain.Block(r.Uint())
				if w.Weights, err = chain.ReadWeights(r); err != nil {
					return w, err
				}
				w.VersionKey = r.Uint()
				ok := true
				for n := r.Count(1); n > 0; n-- {
					v := r.Uint()
					ok = ok && v <= math.MaxUint16
					w.Salt = append(w.Salt, uint16(v))
				}
				w.Sealed, w.Fallback, w.Phase = r.Bool(), r.Bool(), Phase(r.Byte())
				w.Block, w.Committed, w.Epoch = chain.Block(r.Uint()), chain.Block(r.Uint()), r.Uint()
				w.Round, w.RevealAt = r.Uint(), chain.Block(r.Uint())
				hash := r.Bytes()
				copy(w.Extrinsic[:], hash)
				w.Code = chain.Code(r.Text())
				return w, within(ok && w.Phase <= InBlock && len(hash) == len(w.Extrinsic))
			})
		},
	}
	countersCodec = store.Codec[Counters]{
		Append: func(dst []byte, c *Counters) []byte {
			dst = pack.AppendTime(dst, c.At)
			dst = pack.AppendUint(dst, uint64(len(c.Names)))
			for i, n := range c.Names {
				dst = pack.AppendText(dst, n)
				dst = pack.AppendUint(dst, c.Values[i])
			}
			return dst
		},
		Read: func(b []byte) (Counters, error) {
			return whole(b, func(r *pack.Reader) (c Counters, err error) {
				c.At = r.Time()
				for n := r.Count(2); n > 0; n-- {
					c.Names = append(c.Names, r.Text())
					c.Values = append(c.Values, r.Uint())
				}
				return c, nil
			})
		},
	}
	outgoingCodec = store.Codec[Outgoing]{
		Append: func(dst []byte, o *Outgoing) []byte {
			dst = bet.AppendSubmission(dst, &o.Submission)
			dst = append(dst, byte(o.Outcome), byte(o.State))
			for _, v := range [...]float64{o.Odds, o.Confidence, o.Closing} {
				dst = pack.AppendFloat(dst, v)
			}
			dst = pack.AppendInt(dst, int64(o.Wager))
			dst = pack.AppendInt(dst, int64(o.Payout))
			dst = pack.AppendTime(dst, o.Made)
			dst = pack.AppendTime(dst, o.Start)
			dst = pack.AppendUint(dst, uint64(len(o.Deliveries)))
			for _, d := range o.Deliveries {
				dst = pack.AppendText(dst, d.Validator)
				dst = append(dst, byte(d.State))
				dst = pack.AppendText(dst, d.Code)
				dst = pack.AppendTime(dst, d.At)
			}
			return dst
		},
		Read: func(b []byte) (Outgoing, error) {
			return whole(b, func(r *pack.Reader) (o Outgoing, err error) {
				if o.Submission, err = bet.ReadSubmission(r); err != nil {
					return o, err
				}
				o.Outcome, o.State = bet.Outcome(r.Byte()), bet.State(r.Byte())
				for _, v := range [...]*float64{&o.Odds, &o.Confidence, &o.Closing} {
					*v = r.Float()
				}
				o.Wager, o.Payout = bet.Cents(r.Int()), bet.Cents(r.Int())
				o.Made, o.Start = r.Time(), r.Time()
				ok := o.Outcome <= bet.Tie && o.State <= bet.Pushed
				for n := r.Count(4); n > 0; n-- {
					d := Delivery{chain.Hotkey(r.Text()), DeliveryState(r.Byte()), bet.Code(r.Text()), r.Time()}
					ok = ok && d.State <= Rejected
					o.Deliveries = append(o.Deliveries, d)
				}
				return o, within(ok)
			})
		},
	}
	receiptCodec = store.Codec[Receipt]{
		Append: func(dst []byte, x *Receipt) []byte {
			dst = pack.AppendText(dst, x.Validator)
			dst = pack.AppendTime(dst, x.At)
			return pack.AppendBytes(dst, x.Frame)
		},
		Read: func(b []byte) (Receipt, error) {
			return whole(b, func(r *pack.Reader) (Receipt, error) {
				return Receipt{chain.Hotkey(r.Text()), r.Time(), slices.Clone(r.Bytes())}, nil
			})
		},
	}
	centsCodec = store.Codec[bet.Cents]{
		Append: func(dst []byte, c *bet.Cents) []byte { return pack.AppendInt(dst, int64(*c)) },
		Read: func(b []byte) (bet.Cents, error) {
			return whole(b, func(r *pack.Reader) (bet.Cents, error) { return bet.Cents(r.Int()), nil })
		},
	}
	metagraphCodec = store.Codec[chain.Metagraph]{
		Append: chain.AppendMetagraph,
		Read: func(b []byte) (chain.Metagraph, error) {
			m, err := whole(b, chain.ReadMetagraph)
			if err != nil {
				return chain.Metagraph{}, err
			}
			return *m, nil
		},
	}
	textRow = store.Codec[string]{
		Append: func(dst []byte, s *string) []byte { return append(dst, *s...) },
		Read:   func(b []byte) (string, error) { return string(b), nil },
	}
)

var (
	predictionKeyCodec = store.Codec[PredictionKey]{
		Append: func(dst []byte, k *PredictionKey) []byte {
			dst = store.AppendKeyText(dst, k.Hotkey)
			dst = store.AppendKeyInt64(dst, int64(k.Day))
			dst = store.AppendKeyText(dst, k.Game)
			return store.AppendKeyText(dst, k.ID)
		},
		Read: func(b []byte) (PredictionKey, error) {
			r := store.ReadKey(b)
			k := PredictionKey{Hotkey: chain.Hotkey(r.Text())}
			day, err := readDay(&r)
			k.Day, k.Game, k.ID = day, bet.GameID(r.Text()), bet.PredictionID(r.Text())
			return k, errors.Join(r.Done(), err)
		},
	}
	idKeyCodec = store.Codec[IDKey]{
		Append: func(dst []byte, k *IDKey) []byte {
			return store.AppendKeyText(store.AppendKeyText(dst, k.Hotkey), k.ID)
		},
		Read: func(b []byte) (IDKey, error) {
			r := store.ReadKey(b)
			k := IDKey{chain.Hotkey(r.Text()), bet.PredictionID(r.Text())}
			return k, r.Done()
		},
	}
	dayKeyCodec = store.Codec[DayKey]{
		Append: func(dst []byte, k *DayKey) []byte {
			return store.AppendKeyText(store.AppendKeyInt64(dst, int64(k.Day)), k.Hotkey)
		},
		Read: func(b []byte) (DayKey, error) {
			r := store.ReadKey(b)
			day, err := readDay(&r)
			k := DayKey{day, chain.Hotkey(r.Text())}
			return k, errors.Join(r.Done(), err)
		},
	}
	receiptKeyCodec = store.Codec[ReceiptKey]{
		Append: func(dst []byte, k *ReceiptKey) []byte {
			return store.AppendKeyUint64(store.AppendKeyInt64(dst, int64(k.Day)), k.Number)
		},
		Read: func(b []byte) (ReceiptKey, error) {
			r := store.ReadKey(b)
			day, err := readDay(&r)
			k := ReceiptKey{day, r.Uint64()}
			return k, errors.Join(r.Done(), err)
		},
	}
	uintKey = store.Codec[uint64]{
		Append: func(dst []byte, k *uint64) []byte { return store.AppendKeyUint64(dst, *k) },
		Read: func(b []byte) (uint64, error) {
			r := store.ReadKey(b)
			k := r.Uint64()
			return k, r.Done()
		},
	}
)

func textKey[T ~string]() store.Codec[T] {
	return store.Codec[T]{
		Append: func(dst []byte, k *T) []byte { return store.AppendKeyText(dst, *k) },
		Read: func(b []byte) (T, error) {
			r := store.ReadKey(b)
			k := T(r.Text())
			return k, r.Done()
		},
	}
}

// readDay reads a day; one that is none would be found by a scan and not by a get.
func readDay(r *store.KeyReader) (bet.Day, error) {
	d := r.Int64()
	return bet.Day(d), within(int64(bet.Day(d)) == d)
}

func within(ok bool) error {
	if !ok {
		return ErrMalformed
	}
	return nil
}

// whole reads a row and refuses bytes left over.
func whole[T any](b []byte, read func(*pack.Reader) (T, error)) (T, error) {
	r := pack.NewReader(b)
	v, err := read(r)
	if short := r.Err(); short != nil { // what was read after it says nothing
		err = short
	}
	if err == nil {
		err = r.Done()
	}
	return v, err
}

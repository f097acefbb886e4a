package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/chain/wallet"
	"bettensor/node/ledger"
	"bettensor/node/wire"
	"bettensor/store"
)

// proof is what a receipt's signature covers.
type proof string

const (
	// signed: the validator has signed every word of it.
	signed proof = "signed"
	// headers: it has signed that it asked, and when, but not what it said. Its
	// program is the original, which covers no body.
	headers proof = "headers"
	// forged: the signature is not the validator's, or the message is another one.
	forged proof = "bad"
)

// receipt is one as it is printed.
type receipt struct {
	Day       string       `json:"day"`
	Number    uint64       `json:"number"`
	Validator chain.Hotkey `json:"validator"`
	At        time.Time    `json:"at"`        // came, by the miner's clock
	Transport string       `json:"transport"` // websocket, http
	Proof     proof        `json:"proof"`
	Words     []said       `json:"words"`
	Frame     []byte       `json:"frame,omitempty"` // in base64, for others to check
}

// said is a validator's word on one prediction.
type said struct {
	Prediction bet.PredictionID `json:"prediction_id"`
	Game       bet.GameID       `json:"game_id,omitempty"` // where the outbox still has it
	Confirmed  bool             `json:"confirmed"`
	Code       bet.Code         `json:"code,omitempty"`
	Message    string           `json:"message,omitempty"`
	At         time.Time        `json:"at,omitzero"` // by the validator's clock
}

func receiptsCommand() *cli.Command {
	return &cli.Command{
		Name:  "receipts",
		Usage: "list what validators have signed about the miner's predictions",
		Description: "A receipt is the validator's own message, checked here without it and without the chain. PROOF says\n" +
			"what its signature covers: `signed` all of it, `headers` only that the validator asked and when, as the\n" +
			"original's do over HTTP, `bad` nothing. --json has the messages themselves.\n" +
			"The store must not be in use: stop the miner, or name a backup.\n" +
			"Exit codes: 0 listed · 12 with --verify, one is bad; or the store is damaged · 16 no such store, or it is in use.",
		Flags: []cli.Flag{
			&cli.PathFlag{Name: "store.dir", Usage: "`DIR` of the miner's store, or of a backup; without one that of the only miner here", EnvVars: []string{variable("store.dir")}},
			&cli.BoolFlag{Name: "json", Usage: "print them as JSON, one a line, with the messages"},
			&cli.BoolFlag{Name: "verify", Usage: "exit with 12 where one is bad"},
		},
		Action: receipts,
	}
}

func receipts(c *cli.Context) error {
	if c.NArg() > 0 {
		return usage(c, "unexpected argument %q", c.Args().First())
	}
	dir, err := minerStore(c)
	if err != nil {
		return err
	}
	count := map[proof]int{}
	err = readStore(c, dir, func(s store.Snapshot) error {
		show, done := receiptPrinter(c.App.Writer, c.Bool("json"))
		opener := wire.Opener{Verifier: &wire.Sr25519Verifier{}}
		err := ledger.Receipts.Scan(s, nil, nil, func(k ledger.ReceiptKey, row *ledger.Receipt) error {
			r := openReceipt(&opener, k, row)
			count[r.Proof]++
			for i := range r.Words {
				o, known, err := ledger.Outbox.Get(s, r.Words[i].Prediction)
				if err != nil {
					return err
				}
				if known {
					r.Words[i].Game = o.Submission.Game
				}
			}
			return show(&r)
		})
		return errors.Join(err, done())
	})
	if err != nil {
		return err
	}
	if !c.Bool("json") {
		fmt.Fprintf(c.App.Writer, "%d signed, %d with signed headers only, %d bad\n", count[signed], count[headers], count[forged])
	}
	if c.Bool("verify") && count[forged] > 0 {
		return &ExitError{Validation, fmt.Errorf("%d of %d receipts are bad", count[forged], count[signed]+count[headers]+count[forged]), "bettensor store verify --dir " + wallet.ShellWord(dir)}
	}
	return nil
}

// openReceipt reads a receipt and says what its signature covers.
func openReceipt(o *wire.Opener, k ledger.ReceiptKey, row *ledger.Receipt) receipt {
	r := receipt{Day: k.Day.String(), Number: k.Number, Validator: row.Validator, At: row.At, Transport: "http", Proof: forged, Frame: row.Frame}
	if len(row.Frame) > 0 && row.Frame[0] == '{' {
		r.Transport = "websocket"
	}
	m, err := o.Open(row.Frame)
	if err != nil || m.Sender != row.Validator {
		return r
	}
	switch m.Kind {
	case wire.ConfirmationMessage:
		r.Proof = signed
		w := &m.Confirmation
		r.Words = []said{{Prediction: w.ID, Confirmed: w.OK, Code: w.Code, Message: w.Message, At: m.Timestamp}}
	case wire.Receipts:
		if r.Proof = headers; m.Exchange.Bound {
			r.Proof = signed
		}
		for i := range m.Exchange.Words {
			w := &m.Exchange.Words[i]
			r.Words = append(r.Words, said{Prediction: w.ID, Confirmed: w.OK, Code: w.Code, Message: w.Message, At: m.Timestamp})
		}
	}
	return r
}

// receiptPrinter writes one receipt after the other.
func receiptPrinter(w io.Writer, asJSON bool) (show func(*receipt) error, done func() error) {
	if asJSON {
		out := json.NewEncoder(w)
		return func(r *receipt) error { return out.Encode(r) }, func() error { return nil }
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "AT\tVALIDATOR\tPREDICTION\tGAME\tWORD\tPROOF")
	return func(r *receipt) error {
		line := func(prediction, game, word string) error {
			_, err := fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.At.UTC().Format(time.RFC3339), plain(string(r.Validator)), plain(prediction), plain(game), plain(word), r.Proof)
			return err
		}
		if len(r.Words) == 0 {
			return line("?", "", "?")
		}
		for i := range r.Words {
			x := &r.Words[i]
			word := "confirmed"
			if !x.Confirmed {
				word = "rejected " + string(x.Code)
			}
			if err := line(string(x.Prediction), string(x.Game), word); err != nil {
				return err
			}
		}
		return nil
	}, t.Flush
}

// readStore reads a store that no node has open.
func readStore(c *cli.Context, dir string, read func(store.Snapshot) error) (err error) {
	e, err := store.OpenPebble(store.Options{Dir: dir, Schema: ledger.Schema(), MustExist: true})
	if errors.Is(err, store.ErrLocked) {
		return &ExitError{File, fmt.Errorf("the node that has the store runs: %w", err), "stop it, or name a backup with --store.dir"}
	}
	if err != nil {
		return storeErrorIn(c, dir, err)
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	snapshot, err := e.Snapshot()
	if err != nil {
		return storeErrorIn(c, dir, err)
	}
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	if err := read(snapshot); err != nil {
		return storeErrorIn(c, dir, err)
	}
	return nil
}

// minerStore is the store that is meant: the one named, or the only miner's here.
func minerStore(c *cli.Context) (string, error) {
	if dir := c.Path("store.dir"); dir != "" {
		return dir, nil
	}
	var found []string
	for _, base := range bases() {
		dirs, err := filepath.Glob(filepath.Join(base, "*", "*", "miner-*", "store"))
		if err != nil {
			continue // base holds a bracket
		}
		for _, d := range dirs {
			if i, err := os.Stat(d); err == nil && i.IsDir() {
				found = append(found, d)
			}
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", usage(c, "no miner has a store here, want --store.dir DIR")
	}
	return "", usage(c, "%d miners have stores here, say which one is meant:\n--store.dir %s", len(found), strings.Join(found, "\n--store.dir "))
}

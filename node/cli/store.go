package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"bettensor/node/bet"
	"bettensor/node/chain/wallet"
	"bettensor/node/ledger"
	"bettensor/store"
)

// keepBackups is how many backups stay by default: two days of one every six
// hours.
const keepBackups = 8

// Store is the command `store`: what an operator does to the directory of a
// node that is stopped. (A running node makes its own backups.)
func Store() *cli.Command {
	// Made anew for each: urfave/cli writes into a command's flags.
	dir := func() cli.Flag {
		return &cli.PathFlag{Name: "dir", Usage: "`DIR` of the node's store", EnvVars: []string{"BETTENSOR_STORE"}}
	}
	loss := func() cli.Flag {
		return &cli.BoolFlag{Name: "accept-loss", Usage: "go on with a store that has lost confirmed rows"}
	}
	return &cli.Command{
		Name:  "store",
		Usage: "verify, dump, back up and restore a stopped node's store",
		Subcommands: []*cli.Command{
			{
				Name:   "verify",
				Usage:  "read every row and check it; changes nothing, also works on a backup",
				Flags:  []cli.Flag{dir()},
				Action: storeVerify,
			},
			{
				Name:      "dump",
				Usage:     "print a table, a JSON object a line",
				ArgsUsage: "TABLE",
				Description: "TABLE is one of " + strings.Join(tableNames(), ", ") + ".\n" +
					"predictions are printed with times as RFC 3339 and money in cents; other tables as\n" +
					"{key, row}. A store of an older schema is migrated first.",
				Flags:  []cli.Flag{dir(), loss()},
				Action: storeDump,
			},
			{
				Name:  "backup",
				Usage: "copy the store to a new directory and remove the oldest copies",
				Flags: []cli.Flag{
					dir(), loss(),
					&cli.PathFlag{Name: "to", Usage: "`DIR` that holds the backups"},
					&cli.IntFlag{Name: "keep", Usage: "`N` backups stay", Value: keepBackups},
				},
				Action: storeBackup,
			},
			{
				Name:        "restore",
				Usage:       "put a backup in the store's place",
				ArgsUsage:   "BACKUP",
				Description: "The backup is verified first. What was in DIR is not deleted but moved beside it.",
				Flags:       []cli.Flag{dir(), loss()},
				Action:      storeRestore,
			},
		},
	}
}

// storeOptions are those of the directory at hand, which must be named. It must
// hold a store: opening one would make one, and a mistyped name must not.
func storeOptions(c *cli.Context, args int) (store.Options, error) {
	o := store.Options{Dir: c.Path("dir"), Schema: ledger.Schema(), AcceptLoss: c.Bool("accept-loss"), MustExist: true}
	switch {
	case o.Dir == "":
		return o, usage(c, "no store, want --dir DIR or BETTENSOR_STORE")
	case c.NArg() != args:
		return o, usage(c, "%d arguments, want %d", c.NArg(), args)
	}
	return o, nil
}

// storeError gives an error of the store its code, what was read and is wrong is
// 12, all else is a matter of files, and the command that helps: what cannot be
// opened can be verified, what verify finds is mended by a restore.
func storeError(c *cli.Context, err error) error { return storeErrorIn(c, c.Path("dir"), err) }

// storeErrorIn is storeError for the store in a directory.
func storeErrorIn(c *cli.Context, dir string, err error) error {
	if err == nil {
		return nil
	}
	verify := "bettensor store verify --dir " + wallet.ShellWord(dir)
	restore := "bettensor store restore --dir " + wallet.ShellWord(dir) + " BACKUP"
	var newer store.ErrNewer
	var lost store.ErrLostRows
	var none store.ErrNoStore
	switch {
	case errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrKey), errors.Is(err, store.ErrNoTail), errors.As(err, &lost):
		switch c.Command.Name {
		case "verify":
			return &ExitError{Validation, err, restore}
		case "restore": // the backup is what is wrong
			return &ExitError{Validation, err, "bettensor store verify --dir " + wallet.ShellWord(c.Args().First())}
		}
		return &ExitError{Validation, err, verify}
	case errors.As(err, &newer):
		return &ExitError{Validation, err, restore}
	case errors.As(err, &none) && c.Command.Name != "restore":
		return &ExitError{File, err, restore}
	}
	return &ExitError{Code: File, Err: err}
}

func storeVerify(c *cli.Context) error {
	o, err := storeOptions(c, 0)
	if err != nil {
		return err
	}
	r, err := store.Verify(o)
	if err != nil {
		return storeError(c, err)
	}
	w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "TABLE\tROWS\tBYTES\t")
	for _, t := range r.Tables {
		fmt.Fprintf(w, "%s\t%d\t%d\t\n", t.Name, t.Rows, t.Bytes)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(c.App.Writer, "schema %d, last batch %d, %d groups to bring in at the next start, %d problems\n", r.Version, r.Seq, r.Redo, r.Found)
	for _, p := range r.Problems {
		fmt.Fprintf(c.App.Writer, "problem: %s\n", p)
	}
	return storeError(c, r.Err())
}

func storeBackup(c *cli.Context) (err error) {
	o, err := storeOptions(c, 0)
	if err != nil {
		return err
	}
	if c.Path("to") == "" || c.Int("keep") < 1 {
		return usage(c, "want --to DIR and --keep 1 or more")
	}
	e, err := store.OpenPebble(o)
	if err != nil {
		return storeError(c, err)
	}
	defer func() { err = errors.Join(err, storeError(c, e.Close())) }()
	made, err := store.Backups{Root: c.Path("to"), Keep: c.Int("keep")}.Take(e)
	if err != nil {
		return storeError(c, err)
	}
	_, err = fmt.Fprintln(c.App.Writer, made)
	return err
}

func storeRestore(c *cli.Context) error {
	o, err := storeOptions(c, 1)
	if err != nil {
		return err
	}
	replaced, err := store.Restore(o, c.Args().First())
	if err != nil {
		return storeError(c, err)
	}
	if replaced != "" {
		fmt.Fprintf(c.App.Writer, "the store that was there is now %s\n", replaced)
	}
	_, err = fmt.Fprintf(c.App.Writer, "%s restored from %s\n", o.Dir, c.Args().First())
	return err
}

func tableNames() []string {
	var names []string
	for _, t := range ledger.Schema().Tables {
		name, _ := t.Info()
		names = append(names, name)
	}
	return names
}

func storeDump(c *cli.Context) (err error) {
	o, err := storeOptions(c, 1)
	if err != nil {
		return err
	}
	var table store.AnyTable
	var prefix byte
	for _, t := range o.Schema.Tables {
		if name, p := t.Info(); name == c.Args().First() {
			table, prefix = t, p
		}
	}
	if table == nil {
		return usage(c, "unknown table %q, want one of %s", c.Args().First(), strings.Join(tableNames(), ", "))
	}
	e, err := store.OpenPebble(o)
	if err != nil {
		return storeError(c, err)
	}
	defer func() { err = errors.Join(err, storeError(c, e.Close())) }()
	s, err := e.Snapshot()
	if err != nil {
		return storeError(c, err)
	}
	defer func() { err = errors.Join(err, storeError(c, s.Close())) }()
	w := bufio.NewWriter(c.App.Writer)
	out := json.NewEncoder(w)
	err = s.Scan([]byte{prefix}, []byte{prefix + 1}, func(key, row []byte) error {
		k, v, err := table.Decode(key, row)
		if err != nil {
			return err
		}
		if p, ok := v.(ledger.Prediction); ok {
			return out.Encode(dumped(&p))
		}
		return out.Encode(struct {
			Key any `json:"key"`
			Row any `json:"row"`
		}{k, v})
	})
	if err != nil {
		return storeError(c, err)
	}
	return w.Flush()
}

// dumpedPrediction is a line of `store dump predictions`, held stable.
type dumpedPrediction struct {
	ID         bet.PredictionID `json:"id"`
	Hotkey     string           `json:"hotkey"`
	Game       bet.GameID       `json:"game_id"`
	Outcome    string           `json:"outcome"`
	Odds       float64          `json:"odds"`
	Wager      bet.Cents        `json:"wager_cents"`
	Received   time.Time        `json:"received_at"`
	Model      string           `json:"model_name"` // "" for a human
	Confidence *float64         `json:"confidence"` // null when not given
	State      string           `json:"state"`
	Payout     bet.Cents        `json:"payout_cents"`
	Settled    *time.Time       `json:"settled_at"` // null while open
	Arrived    uint64           `json:"arrived"`
}

func dumped(p *ledger.Prediction) dumpedPrediction {
	d := dumpedPrediction{
		ID: p.ID, Hotkey: string(p.Hotkey), Game: p.Game, Outcome: p.Outcome.String(), Odds: p.Odds, Wager: p.Wager,
		Received: p.Received, Model: p.Model, State: p.State.String(), Payout: p.Payout, Arrived: p.Arrived,
	}
	if p.Confidence >= 0 {
		d.Confidence = &p.Confidence
	}
	if !p.Settled.IsZero() {
		d.Settled = &p.Settled
	}
	return d
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"bettensor/node/chain/wallet"
)

// Code is what a command leaves to its caller's shell. The numbers are held
// stable: scripts and CI match on them.
type Code int

const (
	OK         Code = 0
	Other      Code = 1  // anything without a code of its own
	Usage      Code = 2  // unknown command or flag, missing or malformed argument
	Diverged   Code = 4  // a recording was not run the same again
	Network    Code = 10 // a peer, chain or feed could not be reached
	Wallet     Code = 11 // key missing, locked or of a wrong kind
	Validation Code = 12 // input was read and is wrong
	Refused    Code = 13 // the chain answered no
	Deadline   Code = 15 // it took too long
	File       Code = 16 // a file or directory could not be read or written
	Unwell     Code = 20 // `doctor` found a failure
	Warned     Code = 21 // `doctor --strict` found something to warn of
)

// ExitError is an error that knows its exit code and, if there is one, the
// command line that helps.
type ExitError struct {
	Code Code
	Err  error
	Try  string // a command to type, "" for none
}

// Error is the text of Err.
func (e *ExitError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *ExitError) Unwrap() error { return e.Err }

// ExitCode makes it a cli.ExitCoder, which is how Exit learns the code also of
// errors that other packages of commands define.
func (e *ExitError) ExitCode() int { return int(e.Code) }

// usage is an error in how a command was called.
func usage(c *cli.Context, format string, args ...any) error {
	return &ExitError{Usage, fmt.Errorf(format, args...), help(c)}
}

// help is the command line that explains the command at hand.
func help(c *cli.Context) string {
	if c.Command.HelpName == "" {
		return c.App.Name + " --help"
	}
	return c.Command.HelpName + " --help"
}

// ShellLine is words as they must be typed into a shell.
func ShellLine(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = wallet.ShellWord(w)
	}
	return strings.Join(out, " ")
}

// Exit ends a run of the application: it writes err to w, which is stderr, as
// "error: …", a line for each of its lines, and a "try: …" where something
// helps, and returns the exit code; 0 and no word for nil. main's whole use:
//
//	cli.Prepare(app, nil)
//	os.Exit(cli.Exit(app.RunContext(ctx, os.Args), os.Stderr))
func Exit(err error, w io.Writer) int {
	if err == nil {
		return int(OK)
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(w, "error: %s\n", strings.TrimRight(line, "\n"))
	}
	if e := (*ExitError)(nil); errors.As(err, &e) && e.Try != "" {
		fmt.Fprintf(w, "try: %s\n", e.Try)
	}
	var coder cli.ExitCoder
	var path *fs.PathError
	switch {
	case errors.As(err, &coder):
		return coder.ExitCode()
	case errors.Is(err, context.DeadlineExceeded):
		return int(Deadline)
	case errors.As(err, &path):
		return int(File)
	}
	return int(Other)
}

// Prepare gives every command of the application our manners: an unknown
// command or flag is an error that names the nearest one, and nothing is printed
// or exited behind main's back. codes are for top-level commands whose usage
// errors exit otherwise than with Usage.
//
// Commands must not mark flags Required: urfave/cli prints the whole help and an
// error without a code for those. They check, and return an ExitError.
func Prepare(app *cli.App, codes map[string]Code) {
	app.ExitErrHandler = func(*cli.Context, error) {} // Exit does it
	app.OnUsageError = badFlag(Usage)
	if app.Action == nil {
		app.Action = badCommand(Usage)
	}
	for _, c := range app.Commands {
		code, special := codes[c.Name]
		if !special {
			code = Usage
		}
		prepare(c, code)
	}
}

func prepare(c *cli.Command, code Code) {
	c.OnUsageError = badFlag(code)
	if len(c.Subcommands) > 0 && c.Action == nil {
		c.Action = badCommand(code)
	}
	for _, sub := range c.Subcommands {
		prepare(sub, code)
	}
}

// notDefined is how package flag says that it does not know a flag.
const notDefined = "flag provided but not defined: -"

// badValue is how it says that a flag's value is wrong: the value, quoted, and
// the flag's name.
var badValue = regexp.MustCompile(`(?s)^invalid (?:boolean )?value (".*") for (?:flag )?-([^: ]+): `)

func badFlag(code Code) cli.OnUsageErrorFunc {
	return func(c *cli.Context, err error, _ bool) error {
		flags := c.Command.Flags
		if name, unknown := strings.CutPrefix(err.Error(), notDefined); unknown {
			name = strings.TrimLeft(name, "-")
			err = fmt.Errorf("unknown flag --%s", name)
			names := []string{"help"}
			for _, f := range flags {
				names = append(names, f.Names()...)
			}
			if near := nearest(name, names); near != "" {
				err = fmt.Errorf("unknown flag --%s, did you mean --%s?", name, near)
			}
		} else if m := badValue.FindStringSubmatch(err.Error()); m != nil {
			i := slices.IndexFunc(flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), m[2]) })
			outside := strings.Contains(err.Error(), "out of range")
			if i >= 0 && wanted(flags[i], outside) != "" {
				err = fmt.Errorf("--%s: expected %s, got %s", m[2], wanted(flags[i], outside), m[1])
			}
		}
		return &ExitError{code, err, help(c)}
	}
}

// wanted is what a flag takes, "" where anything goes. outside says that what was
// given is of the right kind and beyond what the flag can hold.
func wanted(f cli.Flag, outside bool) string {
	switch f.(type) {
	case *cli.Uint64Flag:
		return fmt.Sprintf("a whole number from 0 to %d", uint64(math.MaxUint64))
	case *cli.IntFlag, *cli.Int64Flag:
		if outside { // it is one
			return fmt.Sprintf("a whole number from %d to %d", math.MinInt64, math.MaxInt64)
		}
		return "a whole number"
	case *cli.Float64Flag:
		return "a number"
	case *cli.DurationFlag:
		return "a duration such as 30s or 5m"
	case *cli.BoolFlag:
		return "true or false"
	}
	return ""
}

func badCommand(code Code) cli.ActionFunc {
	return func(c *cli.Context) error {
		// Hidden ones and help are not offered.
		var names []string
		for _, sub := range c.Command.Subcommands {
			if !sub.Hidden && sub.Name != "help" {
				names = append(names, sub.Name)
			}
		}
		slices.Sort(names)
		if !c.Args().Present() {
			return &ExitError{code, fmt.Errorf("no command, want one of %s", strings.Join(names, ", ")), help(c)}
		}
		err := fmt.Errorf("unknown command %q, want one of %s", c.Args().First(), strings.Join(names, ", "))
		if near := nearest(c.Args().First(), names); near != "" {
			err = fmt.Errorf("unknown command %q, did you mean %q?", c.Args().First(), near)
		}
		return &ExitError{code, err, help(c)}
	}
}

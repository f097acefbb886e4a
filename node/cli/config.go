package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"bettensor/node/feed/api"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v4"
)

// Config is the command `config`: what a node would run with.
func Config() *cli.Command {
	both := flags(forValidator)
	for _, f := range flags(forMiner) {
		if !slices.ContainsFunc(both, func(have cli.Flag) bool { return have.Names()[0] == f.Names()[0] }) {
			both = append(both, f)
		}
	}
	return &cli.Command{
		Name:  "config",
		Usage: "show what a node is configured to",
		Subcommands: []*cli.Command{{
			Name:  "print",
			Usage: "print every setting of a validator, or with --role miner of a miner, as a file that --config takes",
			Description: "Takes all flags of the node's command. What nobody has set is a comment, and so is what holds a\n" +
				"secret: the file means the same to a node that is given the secrets. With --origin each line says\n" +
				"where its value comes from: a flag, a variable, file:line:column, or the default.",
			Flags: append([]cli.Flag{
				&cli.StringFlag{Name: "role", Usage: "`ROLE` of the node: validator or miner", Value: "validator"},
				&cli.BoolFlag{Name: "origin", Usage: "say where each value comes from"},
			}, both...),
			Action: configPrint,
		}},
	}
}

func configPrint(c *cli.Context) error {
	if c.NArg() > 0 {
		return usage(c, "unexpected argument %q", c.Args().First())
	}
	r := forValidator
	switch c.String("role") {
	case "validator":
	case "miner":
		r = forMiner
	default:
		return usage(c, "--role: expected validator or miner, got %q", shown(c.String("role")))
	}
	if err := otherRole(c, r); err != nil {
		return err
	}
	s, err := resolve(c, r, os.Environ())
	if err != nil {
		return err
	}
	for _, n := range s.Notices {
		fmt.Fprintf(c.App.ErrWriter, "notice: %s\n", n)
	}
	return s.print(c)
}

// otherRole refuses a flag that this role's command would not know.
func otherRole(c *cli.Context, r role) error {
	mine := flags(r)
	for _, name := range c.LocalFlagNames() {
		if name == "role" || name == "origin" || slices.ContainsFunc(mine, func(f cli.Flag) bool { return f.Names()[0] == name }) {
			continue
		}
		return usage(c, "--%s: a %s has no such setting", name, r)
	}
	return nil
}

func (r *Resolved) print(c *cli.Context) error {
	w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
	for i := range table {
		s := &table[i]
		if s.role&r.role == 0 {
			continue
		}
		fmt.Fprintln(w, r.line(s, c.Bool("origin")))
	}
	return w.Flush()
}

// line is a setting as a file has it, so that the file means the same: what nobody
// has set is a comment, because some things depend on whether it was set; so is
// what holds a secret.
func (r *Resolved) line(s *setting, origin bool) string {
	f := s.into(&r.Settings)
	line := s.name + ": " + asYAML(f)
	switch {
	case !r.isSet(s.name):
		line = "# " + line
	case s.secret():
		line = "# " + s.name + ": is set; give " + s.name + fileSuffix
	case s.address && hides(f.String()):
		line = "# " + s.name + ": " + asYAML(textField{new(redactedList(f.String()))})
	}
	if origin {
		line += "\t# " + string(r.origin(s.name))
	}
	return line
}

// redactedList is a list of addresses, or one, as it may be shown.
func redactedList(text string) string {
	all := strings.Split(text, ",")
	for i := range all {
		all[i] = api.Redacted(all[i])
	}
	return strings.Join(all, ",")
}

// hides says whether an address holds what must not be shown.
func hides(text string) bool { return redactedList(text) != text }

// asYAML is a value as YAML reads it back.
func asYAML(f field) string {
	v := f.String()
	switch f.(type) {
	case toggleField, spanField, numberField, dollarField, taoField, interface{ whole() }:
		return v
	}
	b, err := yaml.Dump(v)
	if err != nil {
		return "?"
	}
	return strings.TrimRight(string(b), "\n")
}

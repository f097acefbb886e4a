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

// document is docs/configuration.md, made from the table.
func document() string {
	var b strings.Builder
	b.WriteString(documentHead)
	for _, r := range []role{forBoth, forValidator, forMiner} {
		fmt.Fprintf(&b, "\n## %s\n\n| setting | default | what it is |\n|---|---|---|\n", map[role]string{
			forBoth: "Validator and miner", forValidator: "Validator only", forMiner: "Miner only"}[r])
		for i := range table {
			s := &table[i]
			if s.role != r {
				continue
			}
			def := "`" + s.def + "`"
			if s.def == "" {
				def = ""
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.name, def, cell(s.sentence()+s.asides()))
		}
	}
	b.WriteString("\n## Without effect\n\nThe original's programs had these. They are accepted, each with one notice, or refused where their silence would mislead.\n\n" +
		"| flag | variable | what happens |\n|---|---|---|\n")
	for _, l := range legacy {
		what := l.why
		if len(l.refuse) > 0 {
			what = fmt.Sprintf("`%s` is refused: %s", l.refuse[0], l.why)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", l.name, ticked(l.env), cell(what))
	}
	return b.String()
}

// sentence is what a setting is, with what its values look like.
func (s *setting) sentence() string {
	switch {
	case s.bare:
		return s.doc
	case strings.Contains(s.unit, "|"):
		return s.doc + ": " + ticked(strings.Split(s.unit, "|"))
	}
	return s.unit + " " + s.doc
}

// asides are a setting's other names.
func (s *setting) asides() string {
	out := ""
	if len(s.alias) > 0 {
		out += "; also " + ticked(s.alias)
	}
	if len(s.env) > 0 {
		out += "; also the variable " + ticked(s.env)
	}
	if s.secret() {
		out += fmt.Sprintf("; `%s%s` names a file with it, and systemd may pass the credential `%s`", s.name, fileSuffix, s.credential)
	}
	return out
}

func ticked(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = "`" + n + "`"
	}
	return strings.Join(out, ", ")
}

func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

const documentHead = `# Configuration

Everything that can be set of ` + "`bettensor validator` and `bettensor miner`" + `. This page is made from the program's own table.

A setting ` + "`axon.port`" + ` is given in one of three ways, and the first of them that is there wins:

| | form |
|---|---|
| flag | ` + "`--axon.port 8091`, or with an underscore for the dot, as the original spells some: `--axon_port 8091`" + ` |
| variable | ` + "`BETTENSOR_AXON_PORT=8091`" + `, then the variable of the original's tools where there is one; an empty variable counts as none |
| file | ` + "`--config FILE` or `BETTENSOR_CONFIG`: YAML, `axon.port: 8091` or `axon: {port: 8091}`; one file may serve both roles" + ` |

Durations are written ` + "`90s`, `5m`, `1h30m`; a plain number is in seconds. Truth is `true` or `false`, in Python's spelling too" + `. Lists have commas
between their items, or are lists in the file. An unknown flag, key or ` + "`BETTENSOR_…`" + ` variable is an error that names the nearest one.

` + "`bettensor config print --origin`" + `, with the flags of the node, prints what it would run with and where each value comes from, as a file that ` + "`--config`" + `
takes: defaults are comments in it, and secrets are left out, there and everywhere else. A file that holds a secret must be of mode 0600.
`

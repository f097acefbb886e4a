package cli

import (
	"fmt"
	"strings"
)

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

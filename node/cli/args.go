package cli

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Arrange moves flags in front of a command's arguments, so that both orders
// work: `sim run FILE --seed 7` and `sim run --seed 7 FILE`. urfave/cli stops
// reading flags at the first argument. What follows `--` is left alone.
//
// Flags of nodes are also taken as the original spells them: with underscores
// for dots, by the names it has for them, and with True or False behind a flag
// that needs no value.
func Arrange(app *cli.App, args []string) []string {
	if len(args) == 0 {
		return args
	}
	out, rest := args[:1:1], args[1:]
	commands := app.Commands
	var flags []cli.Flag
	for len(rest) > 0 {
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(rest[0]) })
		if i < 0 {
			break
		}
		out, rest = append(out, rest[0]), rest[1:]
		flags, commands = commands[i].Flags, commands[i].Subcommands
	}
	var front, back []string
	for len(rest) > 0 {
		a := rest[0]
		rest = rest[1:]
		switch {
		case a == "--":
			return slices.Concat(out, front, []string{"--"}, back, rest)
		case !strings.HasPrefix(a, "-") || a == "-":
			back = append(back, a)
		default:
			a = respell(flags, a)
			switch {
			case takesValue(flags, a) && len(rest) > 0:
				front, rest = append(front, a, rest[0]), rest[1:]
			case len(rest) > 0 && needsNone(flags, a) && (rest[0] == "True" || rest[0] == "False"):
				front, rest = append(front, a+"="+strings.ToLower(rest[0])), rest[1:]
			default:
				front = append(front, a)
			}
		}
	}
	return slices.Concat(out, front, back)
}

// takesValue says whether a flag is followed by its value as another argument.
func takesValue(flags []cli.Flag, arg string) bool {
	name := strings.TrimLeft(arg, "-")
	if strings.Contains(name, "=") {
		return false
	}
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			d, ok := f.(cli.DocGenerationFlag)
			return ok && d.TakesValue()
		}
	}
	return false
}

// respell puts a node's flag by its own name where it has another spelling.
func respell(flags []cli.Flag, arg string) string {
	name, value, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	for _, f := range flags {
		s, ok := f.(settingFlag)
		if !ok || !s.spelled(name) {
			continue
		}
		arg = "--" + f.Names()[0]
		if hasValue {
			if _, bare := f.(bareFlag); bare {
				value = strings.ToLower(value) // Python's True
			}
			arg += "=" + value
		}
		return arg
	}
	return arg
}

// needsNone says whether a flag is a node's that needs no value and has none.
func needsNone(flags []cli.Flag, arg string) bool {
	for _, f := range flags {
		if _, bare := f.(bareFlag); bare && arg == "--"+f.Names()[0] {
			return true
		}
	}
	return false
}

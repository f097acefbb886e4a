package cli

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Arrange moves flags in front of a command's arguments, so that both orders
// work: `sim run FILE --seed 7` and `sim run --seed 7 FILE`. urfave/cli stops
// reading flags at the first argument. What follows `--` is left alone.
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
			front = append(front, a)
			if takesValue(flags, a) && len(rest) > 0 {
				front, rest = append(front, rest[0]), rest[1:]
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

package lint

import (
	"fmt"
	"go/ast"
	"go/token"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	node "bettensor/node/cli"
	sim "bettensor/sim/cli"

	"github.com/urfave/cli/v2"
)

// commands are main's, by the names it has for them. A test compares the two lists.
var commands = map[string]func() *cli.Command{
	"node.Validator": node.Validator, "node.Miner": node.Miner, "node.Doctor": node.Doctor, "node.Status": node.Status,
	"node.Weights": node.Weights, "node.Wallets": node.Wallets, "node.Chain": node.Chain, "node.Config": node.Config,
	"node.Replay": node.Replay, "node.Score": node.Score, "node.Store": node.Store,
	"sim.Sim": sim.Sim, "sim.Localnet": sim.Localnet, "sim.Bench": sim.Bench,
}

// program is the application with commands that read their arguments and do
// nothing, and those of them that only group others. Where part is set these are
// taken without a command.
func program(part bool) (app *cli.App, groups map[string]*cli.Command) {
	app = &cli.App{Name: "bettensor", Writer: io.Discard, ErrWriter: io.Discard, DisableSliceFlagSeparator: true}
	for _, c := range commands {
		app.Commands = append(app.Commands, c())
	}
	acts := map[*cli.Command]bool{} // by itself: a group that is a command too is one
	var note func(list []*cli.Command)
	note = func(list []*cli.Command) {
		for _, c := range list {
			acts[c] = c.Action != nil
			note(c.Subcommands)
		}
	}
	note(app.Commands)
	groups = map[string]*cli.Command{}
	var calm func(list []*cli.Command)
	calm = func(list []*cli.Command) {
		for _, c := range list {
			c.Before, c.After = nil, nil
			switch below := len(c.Subcommands) > 0; {
			case below && c.Action == nil:
				groups[c.Name] = c
			default:
				c.Action = func(x *cli.Context) error {
					if below && x.NArg() > 0 {
						return fmt.Errorf("%s has no command %q", c.Name, x.Args().First())
					}
					return nil
				}
			}
			calm(c.Subcommands)
		}
	}
	calm(app.Commands)
	node.Prepare(app, nil) // groups complain where their command is missing or unknown
	for _, c := range groups {
		complain := c.Action
		c.Action = func(x *cli.Context) error {
			if part && x.NArg() == 0 {
				return nil
			}
			return complain(x)
		}
	}
	return app, groups
}

// quote is a command line in a document or a message.
type quote struct {
	at, line string
	// part: it stands in the middle of a sentence, and may break off.
	part bool
}

var (
	// called is how a line begins that calls the program, a prompt and variables aside.
	called = regexp.MustCompile(`^(?:\$ )?(?:[A-Z_]+=\S+ )*(?:bettensor|go run \.) +(.*)`)
	code   = regexp.MustCompile("`([^`]+)`")
	holder = regexp.MustCompile(`^(?:[A-Z][A-Z_]*|%[a-z])$`)
)

// quotesOf are the command lines of a document: in blocks of code whole, in code
// quotes also without the program's name, or only a flag.
func quotesOf(f text) []quote {
	var out []quote
	fenced, n, began, open := false, 0, 0, ""
	for line := range strings.Lines(string(f.data)) {
		n++
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			continue
		}
		if fenced || strings.HasPrefix(line, "    ") {
			if open == "" {
				began = n
			}
			if open += line; strings.HasSuffix(open, `\`) {
				open = strings.TrimSuffix(open, `\`)
				continue
			}
			if m := called.FindStringSubmatch(strings.TrimSpace(open)); m != nil {
				out = append(out, quote{fmt.Sprintf("%s:%d", f.path, began), m[1], false})
			}
			open = ""
			continue
		}
		open = ""
		for _, m := range code.FindAllStringSubmatch(line, -1) {
			said := strings.ReplaceAll(m[1], `\|`, "|")
			if c := called.FindStringSubmatch(said); c != nil {
				said = c[1]
			} else if first, rest, _ := strings.Cut(said, " "); rest == "" || !isCommand(first) {
				if !strings.HasPrefix(said, "--") {
					continue
				}
			}
			out = append(out, quote{fmt.Sprintf("%s:%d", f.path, n), said, true})
		}
	}
	return out
}

func isCommand(name string) bool {
	for _, c := range commands {
		if c().HasName(name) {
			return true
		}
	}
	return false
}

// argumentsOf are the words of a command line as the program would be given them;
// several lists where the line offers a choice (sim run|sweep). Words in capitals
// and verbs of fmt stand for something: for 0, which is a text, a number and a time.
func argumentsOf(line string, part bool) [][]string {
	lists := [][]string{nil}
	for _, w := range strings.Fields(line) {
		if strings.HasPrefix(w, "#") || slices.Contains([]string{"|", "&&", ";", "&", "<", ">"}, w) {
			break
		}
		if w = strings.Trim(w, "[]'\""); strings.Trim(w, "…") == "" {
			continue
		}
		w, sentence := strings.CutSuffix(strings.TrimSuffix(w, "…"), ",")
		choices := []string{w}
		if part && !strings.HasPrefix(w, "-") {
			choices = strings.Split(w, "|")
		}
		var next [][]string
		for _, have := range lists {
			for _, c := range choices {
				if holder.MatchString(c) {
					c = "0"
				}
				next = append(next, append(slices.Clone(have), c))
			}
		}
		lists = next
		if sentence { // goes on behind the command
			break
		}
	}
	return lists
}

// flagsOf are all names of flags of all commands.
func flagsOf(list []*cli.Command) []string {
	names := []string{"help", "version"}
	for _, c := range list {
		for _, f := range c.Flags {
			names = append(names, f.Names()...)
		}
		names = append(names, flagsOf(c.Subcommands)...)
	}
	return names
}

// refused says why the program would not take a command line; "" where it would.
func refused(q quote) string {
	for _, args := range argumentsOf(q.line, q.part) {
		app, groups := program(q.part)
		// A flag by itself is one of any command; behind a group, one of any of its commands.
		among, behind := app.Commands, args
		if len(args) > 1 && groups[args[0]] != nil {
			among, behind = groups[args[0]].Subcommands, args[1:]
		}
		if q.part && len(behind) > 0 && strings.HasPrefix(behind[0], "--") {
			name, _, _ := strings.Cut(behind[0][2:], "=")
			names := flagsOf(among)
			if !slices.Contains(names, name) && !slices.Contains(names, strings.ReplaceAll(name, "_", ".")) {
				return "names the flag --" + name + ", which no command has"
			}
			continue
		}
		err := app.Run(node.Arrange(app, append([]string{"bettensor"}, args...)))
		if err != nil && !(q.part && strings.HasPrefix(err.Error(), "flag needs an argument")) {
			return fmt.Sprintf("calls %q: %v", "bettensor "+strings.Join(args, " "), err)
		}
	}
	return ""
}

// wrongCommands is the rule that command lines in documents, and those that the
// program itself advises, are such that it takes them.
func wrongCommands(m *module) []finding {
	var all []quote
	for _, f := range m.texts {
		if path.Ext(f.path) == ".md" {
			all = append(all, quotesOf(f)...)
		}
	}
	for _, p := range m.pkgs {
		for _, s := range p.files {
			if s.test {
				continue
			}
			ast.Inspect(s.file, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					v, _ := strconv.Unquote(lit.Value)
					line, ours := strings.CutPrefix(v, "bettensor ")
					if first, _, _ := strings.Cut(line, " "); ours && isCommand(first) {
						all = append(all, quote{m.at(lit), line, true})
					}
				}
				return true
			})
		}
	}
	var out []finding
	for _, q := range all {
		if why := refused(q); why != "" {
			out = append(out, finding{q.at, why})
		}
	}
	return out
}

func TestQuotedCommandsAreTaken(t *testing.T) {
	m := whole(t)
	i := slices.IndexFunc(m.texts, func(f text) bool { return f.path == "main.go" })
	var inMain, here []string
	for _, c := range regexp.MustCompile(`\b((?:node|sim)\.[A-Z]\w*)\(\)`).FindAllStringSubmatch(string(m.texts[i].data), -1) {
		inMain = append(inMain, c[1])
	}
	for name := range commands { // sorted below
		here = append(here, name)
	}
	slices.Sort(inMain)
	slices.Sort(here)
	if !slices.Equal(inMain, here) {
		t.Fatalf("main.go has the commands %v, this test %v", inMain, here)
	}
	report(t, wrongCommands(m))
}

func TestQuotedCommandsAreTakenBites(t *testing.T) {
	for _, c := range []struct{ name, page, want string }{
		{"unknown command", "    bettensor minner --netuid 30\n", `minner`},
		{"unknown flag", "```sh\ngo run . localnet --sped 60\n```\n", "unknown flag --sped"},
		{"no number", "    bettensor localnet --speed fast\n", "expected a number"},
		{"unknown command below one that runs", "    bettensor miner explian\n", "explian"},
		{"no command of a group", "    bettensor store\n", "bettensor store"},
		{"unknown command of a group", "see `bettensor store verfy --dir DIR`\n", "verfy"},
		{"without the program's name", "see `store verify --dri DIR`\n", "unknown flag --dri"},
		{"a choice", "see `bettensor sim run\\|sweeep`\n", "sweeep"},
		{"a flag of no command of a group", "with `bettensor doctor --strictly`\n", "--strictly"},
		{"only a flag", "with `--sped 60`\n", "--sped"},
		{"over two lines", "    bettensor localnet \\\n      --sped 60\n", "a.md:1: calls"},
		{"good", "`bettensor doctor`, `doctor --strict`, `bettensor sim run|sweep`, `store verify [--dir DIR]`, `--speed`, `bettensor_up`\n\n" +
			"    $ X=1 bettensor localnet --speed 60 --for 1m   # an hour a minute\n    go run . sim sweep FILE --seeds N..M | less\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			one(t, wrongCommands(&module{texts: []text{{"docs/a.md", []byte(c.page)}}}), c.want)
		})
	}
}

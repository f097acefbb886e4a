package cli

import "github.com/urfave/cli/v2"

// Inside prepares an application that is run beside others in one process, as
// localnet's nodes are. It has no help and no version: the library keeps their
// flags in variables of its own, which every run writes.
func Inside(app *cli.App) {
	Prepare(app, nil)
	app.HideHelp, app.HideVersion = true, true
	var hide func([]*cli.Command)
	hide = func(all []*cli.Command) {
		for _, c := range all {
			c.HideHelp = true
			hide(c.Subcommands)
		}
	}
	hide(app.Commands)
}

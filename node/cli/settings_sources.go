package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"

	"bettensor/node/chain/wallet"
)

const (
	// maxConfigBytes of a configuration file: a hundred times what one needs.
	maxConfigBytes = 1 << 18
	// maxConfigDepth of nesting; names have three parts at most.
	maxConfigDepth = 8
	// maxSecretBytes of a file that holds one.
	maxSecretBytes = 4 << 10
	// fileSuffix of the name under which a secret is given as a file.
	fileSuffix = "_file"
)

// settingFlag is a flag of the table. Arrange asks it for its other spellings.
type settingFlag interface {
	cli.Flag
	spelled(name string) bool
}

type textFlag struct {
	*cli.StringFlag
	also []string
}

type bareFlag struct {
	*cli.BoolFlag
	also []string
}

func (f textFlag) spelled(name string) bool { return spells(f.Name, f.also, name) }
func (f bareFlag) spelled(name string) bool { return spells(f.Name, f.also, name) }

func spells(canonical string, also []string, name string) bool {
	k := key(name)
	return key(canonical) == k || slices.ContainsFunc(also, func(a string) bool { return key(a) == k })
}

// flags are the command line's form of a role's settings: each row, secrets also
// as files, and hidden ones for what the original had and has no effect here.
func flags(r role) []cli.Flag {
	out := []cli.Flag{textFlag{StringFlag: &cli.StringFlag{Name: "config", Usage: "`FILE` of settings, in YAML"}}}
	var have []string
	add := func(name, unit, doc, def string, bare, hide bool, also []string) {
		if slices.Contains(have, name) {
			return
		}
		have = append(have, name)
		category, _, dotted := strings.Cut(name, ".")
		if !dotted {
			category = ""
		}
		if bare {
			out = append(out, bareFlag{&cli.BoolFlag{Name: name, Usage: doc, Category: category, Hidden: hide, DisableDefaultText: true}, also})
			return
		}
		out = append(out, textFlag{&cli.StringFlag{Name: name, Usage: "`" + unit + "` " + doc, DefaultText: def, Category: category, Hidden: hide}, also})
	}
	for i := range table {
		s := &table[i]
		if s.role&r == 0 {
			continue
		}
		if s.secret() {
			add(s.name+fileSuffix, "FILE", "that holds "+s.doc, "", false, false, nil)
		}
		add(s.name, s.unit, s.doc, s.def, s.bare, s.secret(), s.alias)
	}
	for _, l := range legacy {
		if l.role&r != 0 {
			add(l.name, "ANY", l.why, "", l.bare, true, nil)
		}
	}
	return out
}

// fromFlags is what the command line says.
func fromFlags(c *cli.Context, r role) (layer, []string, error) {
	l := layer{}
	var notices []string
	var errs []error
	for i := range table {
		s := &table[i]
		if s.role&r == 0 {
			continue
		}
		from := origin("--" + s.name)
		if c.IsSet(s.name) {
			v := c.String(s.name)
			if s.bare {
				v = fmt.Sprint(c.Bool(s.name))
			}
			if s.secret() {
				notices = append(notices, fmt.Sprintf("--%s shows its secret to every user of this machine; --%s%s does not", s.name, s.name, fileSuffix))
			}
			errs = append(errs, l.put(s.name, given{text: v, from: from}))
		}
		if s.secret() && c.IsSet(s.name+fileSuffix) {
			errs = append(errs, l.secretFile(s, c.String(s.name+fileSuffix), from+fileSuffix))
		}
	}
	for _, x := range legacy {
		if x.role&r == 0 || !c.IsSet(x.name) {
			continue
		}
		v := c.String(x.name)
		if x.bare {
			v = fmt.Sprint(c.Bool(x.name))
		}
		notice, err := x.take("--"+x.name, v)
		if notice != "" {
			notices = append(notices, notice)
		}
		errs = append(errs, err)
	}
	return l, notices, errors.Join(errs...)
}

// secretFile puts what a file holds in place of a secret's own text.
func (l layer) secretFile(s *setting, path string, from origin) error {
	text, err := readSecret(path)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	return l.put(s.name, given{text, from, true})
}

// readSecret is the first line of a file that others must not be able to read.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() // only read
	i, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !i.Mode().IsRegular() && i.Mode()&os.ModeNamedPipe == 0 {
		return "", fmt.Errorf("%s is no file", path)
	}
	if i.Mode().IsRegular() && i.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("others may read %s: chmod 600 %s", path, path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return "", err
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	text := strings.TrimSpace(string(line))
	if len(b) > maxSecretBytes || text == "" {
		return "", fmt.Errorf("%s: want one line of at most %d bytes", path, maxSecretBytes)
	}
	return text, nil
}

// ours begins every variable that is this program's own, so that a mistyped one
// is noticed.
const ours = "BETTENSOR_"

// otherVariables of ours are those of other commands.
var otherVariables = []string{"BETTENSOR_CONFIG", "BETTENSOR_STORE"}

// fromEnvironment is what the environment says. Our own variables win over the
// ones we share with the original's tools. An empty one counts as not there.
func fromEnvironment(environ []string, r role) (layer, []string, error) {
	env := map[string]string{}
	for _, e := range environ {
		if name, v, ok := strings.Cut(e, "="); ok && v != "" {
			env[name] = v
		}
	}
	l := layer{}
	var notices []string
	var errs []error
	known := slices.Clone(otherVariables)
	for i := range table {
		s := &table[i]
		own := variable(s.name)
		known = append(known, own)
		if s.secret() {
			known = append(known, own+"_FILE")
		}
		known = append(known, s.env...)
		if s.role&r == 0 {
			continue
		}
		file := ""
		if s.secret() {
			file = env[own+"_FILE"]
		}
		if file != "" {
			errs = append(errs, l.secretFile(s, file, origin(own+"_FILE")))
		}
		if v, ok := env[own]; ok {
			errs = append(errs, l.put(s.name, given{text: v, from: origin(own)}))
			continue
		}
		for _, name := range s.env {
			if v, ok := env[name]; ok && file == "" {
				errs = append(errs, l.put(s.name, given{text: v, from: origin(name)}))
				break
			}
		}
	}
	for _, x := range legacy {
		for _, name := range x.env {
			v, ok := env[name]
			if !ok || x.role&r == 0 {
				continue
			}
			notice, err := x.take(name, v)
			if notice != "" {
				notices = append(notices, notice)
			}
			errs = append(errs, err)
		}
	}
	for _, e := range environ { // in the order of the environment
		name, _, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, ours) || slices.Contains(known, name) {
			continue
		}
		err := fmt.Errorf("%s: unknown variable", name)
		// All of ours begin alike: only what follows says which one was meant.
		if near := nearest(strings.TrimPrefix(strings.ToLower(name), strings.ToLower(ours)), suffixes(known)); near != "" {
			err = fmt.Errorf("%w, did you mean %s%s?", err, ours, strings.ToUpper(near))
		}
		errs = append(errs, err)
	}
	return l, notices, errors.Join(errs...)
}

// suffixes are what makes names of ours differ, in small letters.
func suffixes(names []string) []string {
	var out []string
	for _, n := range names {
		if after, is := strings.CutPrefix(n, ours); is {
			out = append(out, strings.ToLower(after))
		}
	}
	return out
}

// fromCredentials is what systemd passes in a directory only we may read.
func fromCredentials(dir string, r role) (layer, error) {
	l := layer{}
	if dir == "" {
		return l, nil
	}
	for i := range table {
		s := &table[i]
		if s.role&r == 0 || !s.secret() {
			continue
		}
		path := filepath.Join(dir, s.credential)
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			continue
		}
		b, err := os.ReadFile(path) // systemd's own file, with systemd's own mode
		if err != nil {
			return nil, fmt.Errorf("credential %s: %w", s.credential, err)
		}
		text := strings.TrimSpace(string(b))
		if text == "" || len(b) > maxSecretBytes {
			return nil, fmt.Errorf("credential %s: want one line of at most %d bytes", s.credential, maxSecretBytes)
		}
		if err := l.put(s.name, given{text: text, from: origin("credential " + s.credential)}); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// fileProblem is something wrong at a place of the configuration file.
type fileProblem struct {
	file         string
	line, column int
	err          error
}

// Error is file:line:column: what.
func (p *fileProblem) Error() string {
	return fmt.Sprintf("%s:%d:%d: %v", p.file, p.line, p.column, p.err)
}

// Unwrap returns what is wrong.
func (p *fileProblem) Unwrap() error { return p.err }

// fromFile is what a configuration file says. A key may be written in one piece
// or nested: `axon.port: 8091` is `axon: {port: 8091}`. One file may serve both
// roles, so that what only the other one has is passed over.
func fromFile(path string, r role) (layer, []string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close() // only read
	data, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
	if err != nil {
		return nil, nil, err
	}
	if len(data) > maxConfigBytes {
		return nil, nil, fmt.Errorf("%s: larger than %d bytes", path, maxConfigBytes)
	}
	l, notices, err := parseFile(path, data, r)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		for i := range table {
			if s := &table[i]; l.holdsSecret(s, path) {
				return nil, nil, fmt.Errorf("%s holds %s and others may read it: chmod 600 %s, or give %s%s", path, s.name, wallet.ShellWord(path), s.name, fileSuffix)
			}
		}
	}
	return l, notices, nil
}

// holdsSecret says whether a setting's secret stands in the file itself.
func (l layer) holdsSecret(s *setting, path string) bool {
	g, ok := l[s.name]
	return ok && (s.secret() && !g.filed || s.address && hides(g.text))
}

func parseFile(path string, data []byte, r role) (layer, []string, error) {
	d := fileReader{path: path, role: r, layer: layer{}}
	l, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxConfigDepth))))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	var doc, second yaml.Node
	if err := l.Load(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return d.layer, nil, nil // empty, or comments only
		}
		return nil, nil, d.syntax(err)
	}
	switch err := l.Load(&second); {
	case err == nil:
		d.report(&second, errors.New("expected one document, got a second one"))
	case !errors.Is(err, io.EOF):
		return nil, nil, d.syntax(err)
	}
	if len(doc.Content) > 0 {
		d.mapping("", doc.Content[0], 0)
	}
	return d.layer, d.notices, errors.Join(d.errs...)
}

type fileReader struct {
	path    string
	role    role
	layer   layer
	notices []string
	errs    []error
}

func (d *fileReader) report(n *yaml.Node, err error) {
	d.errs = append(d.errs, &fileProblem{d.path, max(n.Line, 1), max(n.Column, 1), err})
}

func (d *fileReader) syntax(err error) error {
	p := &fileProblem{file: d.path, line: 1, column: 1, err: fmt.Errorf("not YAML: %w", err)}
	var le *yaml.LoadError
	if errors.As(err, &le) {
		p.err = errors.New("not YAML: " + strings.TrimSpace(le.Message+" "+le.ContextMsg))
		if le.Mark.Line > 0 {
			p.line, p.column = le.Mark.Line, max(le.Mark.Column, 1)
		}
	}
	return p
}

func (d *fileReader) mapping(prefix string, n *yaml.Node, depth int) {
	if n.Kind != yaml.MappingNode || depth > maxConfigDepth {
		d.report(n, errors.New("expected settings, as `name: value` lines"))
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			d.report(k, errors.New("expected the name of a setting"))
			continue
		}
		name := k.Value
		if prefix != "" {
			name = prefix + "." + name
		}
		if v.Kind == yaml.MappingNode {
			d.mapping(name, v, depth+1)
			continue
		}
		d.value(name, k, v)
	}
}

func (d *fileReader) value(name string, k, v *yaml.Node) {
	from := origin(fmt.Sprintf("%s:%d:%d", d.path, k.Line, k.Column))
	text, err := scalar(v)
	if err != nil {
		d.report(v, fmt.Errorf("%s: %w", name, err))
		return
	}
	s, elsewhere := find(name, d.role)
	if s == nil && !elsewhere {
		if short, isFile := strings.CutSuffix(key(name), fileSuffix); isFile {
			if secret, _ := find(short, d.role); secret != nil && secret.secret() {
				if err := d.layer.secretFile(secret, text, from); err != nil {
					d.errs = append(d.errs, err)
				}
				return
			}
		}
	}
	switch {
	case s != nil:
		if text == "" {
			return // null: as if it were not there
		}
		if err := d.layer.put(s.name, given{text: text, from: from}); err != nil {
			d.errs = append(d.errs, err)
		}
		return
	case elsewhere:
		return
	}
	for _, x := range legacy {
		if key(x.name) == key(name) {
			notice, err := x.take(string(from)+": "+name, text)
			if notice != "" && x.role&d.role != 0 {
				d.notices = append(d.notices, notice)
			}
			if err != nil {
				d.errs = append(d.errs, err)
			}
			return
		}
	}
	err = fmt.Errorf("unknown key %q", shown(name))
	if near := nearest(name, names(forBoth)); near != "" {
		err = fmt.Errorf("unknown key %q, did you mean %q?", shown(name), near)
	}
	d.report(k, err)
}

// scalar is a value's text; of a list, its items with commas between.
func scalar(n *yaml.Node) (string, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return "", nil
		}
		return n.Value, nil
	case yaml.SequenceNode:
		var items []string
		for _, x := range n.Content {
			if x.Kind != yaml.ScalarNode || strings.Contains(x.Value, ",") {
				return "", errors.New("expected a list of plain values without commas")
			}
			items = append(items, x.Value)
		}
		return strings.Join(items, ","), nil
	}
	return "", errors.New("expected a plain value or a list; an alias is not followed")
}

// resolve is what a command runs with: flags before the environment, before the
// file, before systemd's credentials, before the defaults.
func resolve(c *cli.Context, r role, environ []string) (*Resolved, error) {
	fl, notices, flErr := fromFlags(c, r)
	env, envNotices, envErr := fromEnvironment(environ, r)
	notices = append(notices, envNotices...)
	path, credentials := c.String("config"), ""
	for _, e := range environ {
		switch name, v, _ := strings.Cut(e, "="); {
		case name == "BETTENSOR_CONFIG" && path == "":
			path = v
		case name == "CREDENTIALS_DIRECTORY":
			credentials = v
		}
	}
	file := layer{}
	var fileErr error
	if path != "" {
		var more []string
		file, more, fileErr = fromFile(path, r)
		notices = append(notices, more...)
	}
	secrets, secretErr := fromCredentials(credentials, r)
	out, err := combine(r, fl, env, file, secrets)
	if unread := new(fs.PathError); errors.As(fileErr, &unread) && unread.Path == path {
		return nil, &ExitError{File, fmt.Errorf("--config: %w", fileErr), ""}
	}
	if err := errors.Join(flErr, envErr, fileErr, secretErr, err); err != nil {
		return nil, &ExitError{Usage, err, help(c)}
	}
	for i, n := range notices { // one notice each, however often it was given
		if !slices.Contains(notices[:i], n) {
			out.Notices = append(out.Notices, n)
		}
	}
	return out, nil
}

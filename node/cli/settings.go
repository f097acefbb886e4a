package cli

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"bettensor/node"
	"bettensor/node/bet"
	"bettensor/node/chain"
	"bettensor/node/feed/api"
	"bettensor/node/wire/sock"
)

// role says which node a setting is for.
type role uint8

const (
	forValidator role = 1 << iota
	forMiner
	forBoth = forValidator | forMiner
)

func (r role) String() string {
	switch r {
	case forValidator:
		return "validator"
	case forMiner:
		return "miner"
	}
	return "both"
}

// Settings are all that an operator can set of a node that runs for real. The
// table in settings_table.go says what each is called, where it comes from and
// what it is when nobody sets it; resolve fills them in.
type Settings struct {
	Netuid    uint16
	Network   string   // a name of networks
	Endpoints []string // of the chain, in order of preference; empty takes the network's
	Wallet    struct {
		Path, Name, Hotkey string
		PasswordFile       string
		URI                string // a development key, on loopback only
	}
	Axon struct {
		Off          bool
		IP           string
		Port         uint16
		ExternalIP   string
		ExternalPort uint16
		Roots        string // a file
	}
	HTTP struct {
		Listen      string
		AllowRemote bool
		PerUID      bool
	}
	Store struct {
		Dir        string
		AcceptLoss bool
		Backups    string
		Keep       int
	}
	Scheme    string // of scoring: one of score.Names
	Record    string
	ClockFile string
	Logging   struct {
		Debug, Trace bool
		Format       string
	}
	Feed api.Config
	// Second is of the feed that must agree; only URL, Kind and Key are set.
	Second api.Config
	Sock   sock.Config
	Model  struct {
		Name string
		Set  []string // name=value
	}

	Validator node.ValidatorConfig
	Miner     node.MinerConfig
}

// setting is a row of the table: something that can be set.
type setting struct {
	name  string // the flag and the path in the file; dots become _ in BETTENSOR_…
	role  role
	def   string // as one would write it; "" for what the doc says
	unit  string // what a value looks like, for help
	doc   string // one line: what it does, and why the default is what it is
	env   []string
	alias []string // what the original calls it
	// credential is the name under which systemd may pass a secret; it marks the
	// setting as one.
	credential string
	// address marks URLs: users and queries in them may be secrets.
	address bool
	// bare flags need no value: --name is true.
	bare bool
	// into is where the value goes.
	into func(*Settings) field
}

// field reads a text into a place of Settings, and writes it back.
type field interface {
	Set(text string) error
	String() string
}

// also adds variables that mean the same, weaker than our own.
func (s setting) also(env ...string) setting { s.env = env; return s }

// called adds names that the original gave it.
func (s setting) called(alias ...string) setting { s.alias = alias; return s }

// variable is the environment's name for a setting.
func variable(name string) string {
	return "BETTENSOR_" + strings.ToUpper(strings.ReplaceAll(name, ".", "_"))
}

func (s *setting) secret() bool { return s.credential != "" }

// The rows' makers, one for each kind of value.

// located is a setting that is an address and may be shown only without its keys.
func located(s setting) setting { s.address = true; return s }

func text(name string, r role, def, unit, doc string, at func(*Settings) *string) setting {
	return setting{name: name, role: r, def: def, unit: unit, doc: doc, into: func(s *Settings) field { return textField{at(s)} }}
}

func word[T ~string](name string, r role, def string, words []string, doc string, at func(*Settings) *T) setting {
	return setting{name: name, role: r, def: def, unit: strings.Join(words, "|"), doc: doc, into: func(s *Settings) field { return wordField[T]{at(s), words} }}
}

func list(name string, r role, def, unit, doc string, at func(*Settings) *[]string) setting {
	return setting{name: name, role: r, def: def, unit: unit + ",…", doc: doc, into: func(s *Settings) field { return listField{at(s)} }}
}

func toggle(name string, r role, doc string, at func(*Settings) *bool) setting {
	return setting{name: name, role: r, def: "false", unit: "true|false", doc: doc, bare: true, into: func(s *Settings) field { return toggleField{at(s)} }}
}

func span(name string, r role, def time.Duration, doc string, at func(*Settings) *time.Duration) setting {
	return setting{name: name, role: r, def: spanText(def), unit: "DURATION", doc: doc, into: func(s *Settings) field { return spanField{at(s)} }}
}

// integer is what a whole number may be kept in.
type integer interface {
	~int | ~int64 | ~uint16 | ~uint32 | ~uint64
}

func whole[T integer](name string, r role, def, least, most T, unit, doc string, at func(*Settings) *T) setting {
	return setting{name: name, role: r, def: fmt.Sprint(def), unit: unit, doc: doc, into: func(s *Settings) field { return wholeField[T]{at(s), least, most} }}
}

func number(name string, r role, def, least, most float64, unit, doc string, at func(*Settings) *float64) setting {
	return setting{name: name, role: r, def: strconv.FormatFloat(def, 'g', -1, 64), unit: unit, doc: doc,
		into: func(s *Settings) field { return numberField{at(s), least, most} }}
}

func dollars(name string, r role, def bet.Cents, doc string, at func(*Settings) *bet.Cents) setting {
	return setting{name: name, role: r, def: dollarText(def), unit: "USD", doc: doc, into: func(s *Settings) field { return dollarField{at(s)} }}
}

func tao(name string, r role, def float64, doc string, at func(*Settings) *chain.Rao) setting {
	return setting{name: name, role: r, def: strconv.FormatFloat(def, 'f', -1, 64), unit: "TAO", doc: doc, into: func(s *Settings) field { return taoField{at(s)} }}
}

func address(name string, r role, doc string, at func(*Settings) *netip.Addr) setting {
	return setting{name: name, role: r, unit: "ADDRESS", doc: doc, into: func(s *Settings) field { return addressField{at(s)} }}
}

func hidden[T ~string](name string, r role, credential, doc string, at func(*Settings) *T) setting {
	return setting{name: name, role: r, unit: "SECRET", doc: doc, credential: credential, into: func(s *Settings) field { return secretField[T]{at(s)} }}
}

// expected is the error of a value that is not what it should be. It never holds the value of a
// secret.
func expected(what, got string) error { return fmt.Errorf("expected %s, got %q", what, shown(got)) }

// shownMost bounds what an error repeats of a value.
const shownMost = 80

func shown(s string) string {
	if len(s) > shownMost {
		return s[:shownMost] + "…"
	}
	return s
}

type textField struct{ p *string }

func (f textField) Set(s string) error { *f.p = s; return nil }
func (f textField) String() string     { return *f.p }

type wordField[T ~string] struct {
	p     *T
	words []string
}

func (f wordField[T]) Set(s string) error {
	if !slices.Contains(f.words, s) {
		err := expected("one of "+strings.Join(f.words, ", "), s)
		if near := nearest(s, f.words); near != "" {
			err = fmt.Errorf("%w, did you mean %q?", err, near)
		}
		return err
	}
	*f.p = T(s)
	return nil
}
func (f wordField[T]) String() string { return string(*f.p) }

type listField struct{ p *[]string }

func (f listField) Set(s string) error {
	*f.p = nil
	for x := range strings.SplitSeq(s, ",") {
		if x = strings.TrimSpace(x); x != "" {
			*f.p = append(*f.p, x)
		}
	}
	return nil
}
func (f listField) String() string { return strings.Join(*f.p, ",") }

type toggleField struct{ p *bool }

// Set takes what Python and shells call true and false.
func (f toggleField) Set(s string) error {
	switch strings.ToLower(s) {
	case "true", "1", "yes", "on":
		*f.p = true
	case "false", "0", "no", "off":
		*f.p = false
	default:
		return expected("true or false", s)
	}
	return nil
}
func (f toggleField) String() string { return strconv.FormatBool(*f.p) }

type spanField struct{ p *time.Duration }

// Set takes 90s, 5m or 1h30m, and a plain number as seconds, which is what the
// original's flags are in.
func (f spanField) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil {
		seconds, numErr := strconv.ParseFloat(s, 64)
		if numErr != nil || !(seconds > 0 && seconds < 1e9) {
			return expected("a duration such as 30s or 5m", s)
		}
		d = time.Duration(seconds * float64(time.Second))
	}
	if d <= 0 {
		return expected("a duration above zero", s)
	}
	*f.p = d
	return nil
}
func (f spanField) String() string { return spanText(*f.p) }

// spanText is a duration without parts that are zero: 5m, not 5m0s.
func spanText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

type wholeField[T integer] struct {
	p           *T
	least, most T
}

func (f wholeField[T]) Set(s string) error {
	var v T
	ok := false
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		v = T(n)
		ok = v >= 0 && uint64(v) == n
	} else if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		v = T(n)
		ok = v < 0 && int64(v) == n
	}
	if !ok || v < f.least || v > f.most {
		return expected(fmt.Sprintf("a whole number from %d to %d", f.least, f.most), s)
	}
	*f.p = v
	return nil
}
func (f wholeField[T]) String() string { return fmt.Sprint(*f.p) }
func (f wholeField[T]) whole()         {}

type numberField struct {
	p           *float64
	least, most float64
}

func (f numberField) Set(s string) error {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= f.least && v <= f.most) {
		return expected(fmt.Sprintf("a number from %g to %g", f.least, f.most), s)
	}
	*f.p = v
	return nil
}
func (f numberField) String() string { return strconv.FormatFloat(*f.p, 'g', -1, 64) }

type dollarField struct{ p *bet.Cents }

func (f dollarField) Set(s string) error {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= 0.01 && v <= float64(bet.DailyBudget)/100) {
		return expected(fmt.Sprintf("an amount from 0.01 to %s", dollarText(bet.DailyBudget)), s)
	}
	*f.p = bet.Cents(math.Round(v * 100))
	return nil
}
func (f dollarField) String() string { return dollarText(*f.p) }

func dollarText(c bet.Cents) string { return strconv.FormatFloat(float64(c)/100, 'f', 2, 64) }

// raoPerTAO is the chain's smallest unit.
const raoPerTAO = 1e9

// maxTAO is all there will ever be.
const maxTAO = 21_000_000

type taoField struct{ p *chain.Rao }

func (f taoField) Set(s string) error {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= 0 && v <= maxTAO) {
		return expected(fmt.Sprintf("an amount from 0 to %d", maxTAO), s)
	}
	// Not zero, which a configuration takes for its default: one rao is no limit.
	*f.p = max(1, chain.Rao(math.Round(v*raoPerTAO)))
	return nil
}
func (f taoField) String() string {
	return strconv.FormatFloat(float64(*f.p)/raoPerTAO, 'f', -1, 64)
}

type addressField struct{ p *netip.Addr }

func (f addressField) Set(s string) error {
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return expected("an IP address", s)
	}
	*f.p = a
	return nil
}
func (f addressField) String() string {
	if !f.p.IsValid() {
		return ""
	}
	return f.p.String()
}

// mask stands where a secret is not shown.
const mask = "********"

type secretField[T ~string] struct{ p *T }

func (f secretField[T]) Set(s string) error {
	if s == "" {
		return errors.New("is empty")
	}
	*f.p = T(s)
	return nil
}

// String tells that there is one, and nothing of it.
func (f secretField[T]) String() string {
	if *f.p == "" {
		return ""
	}
	return mask
}

// key is a name in the form in which both spellings are the same:
// websocket.enabled and websocket_enabled.
func key(name string) string { return strings.ReplaceAll(name, ".", "_") }

// find is the row of a name, in any spelling, for a role; nil where there is
// none. elsewhere says that the other role has one.
func find(name string, r role) (row *setting, elsewhere bool) {
	k := key(name)
	for i := range table {
		s := &table[i]
		if key(s.name) != k && !slices.ContainsFunc(s.alias, func(a string) bool { return key(a) == k }) {
			continue
		}
		if s.role&r != 0 {
			return s, false
		}
		elsewhere = true
	}
	return nil, elsewhere
}

// names are those of a role's settings, in the table's order.
func names(r role) []string {
	var out []string
	for i := range table {
		if table[i].role&r != 0 && !slices.Contains(out, table[i].name) {
			out = append(out, table[i].name)
		}
	}
	return out
}

// origin is where a value comes from, as people write it: a flag, a variable,
// file:line:column, a credential, or "default".
type origin string

const byDefault origin = "default"

// given is a value somebody gave, and where.
type given struct {
	text  string
	from  origin
	filed bool // it is what another file holds
}

// layer is what one source gives: values by the name of the setting.
type layer map[string]given

// put adds a value. Twice in one layer is a mistake.
func (l layer) put(name string, g given) error {
	if was, twice := l[name]; twice {
		return fmt.Errorf("%s: %s is set already by %s", g.from, name, was.from)
	}
	l[name] = g
	return nil
}

// Resolved are settings and where each came from.
type Resolved struct {
	Settings
	role    role
	origins map[string]origin
	// Notices are lines for the operator: what was given and has no effect.
	Notices []string
}

// combine fills the settings of a role from layers, the strongest first. All that
// is wrong is told at once.
func combine(r role, layers ...layer) (*Resolved, error) {
	out := &Resolved{role: r, origins: map[string]origin{}}
	var errs []error
	for i := range table {
		s := &table[i]
		if s.role&r == 0 {
			continue
		}
		f := s.into(&out.Settings)
		if s.def != "" {
			if err := f.Set(s.def); err != nil {
				errs = append(errs, fmt.Errorf("default of %s: %w", s.name, err))
			}
		}
		out.origins[s.name] = byDefault
		for _, l := range layers {
			g, ok := l[s.name]
			if !ok {
				continue
			}
			err := f.Set(g.text)
			if s.secret() && g.text == mask {
				err = errors.New("is the mask that stands for a secret where settings are shown, and no secret; leave the line out or give the secret's file")
			} else if err != nil && s.secret() {
				err = errors.New("no such secret")
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", sourced(g.from, s.name), err))
			}
			out.origins[s.name] = g.from
			break
		}
	}
	out.pair()
	errs = append(errs, out.check()...)
	return out, errors.Join(errs...)
}

// sourced names a setting and where its value came from, once.
func sourced(from origin, name string) string {
	if strings.HasSuffix(string(from), name) {
		return string(from)
	}
	return string(from) + ": " + name
}

// pair makes the second feed part of the first one's configuration: what is asked
// for, and how often, is the same.
func (r *Resolved) pair() {
	if r.Second.URL == "" {
		return
	}
	second := r.Feed
	second.URL, second.Kind, second.Key = r.Second.URL, r.Second.Kind, r.Second.Key
	r.Feed.Second, r.Validator.FeedAgreed = &second, true
}

// origin of a setting.
func (r *Resolved) origin(name string) origin { return cmp.Or(r.origins[name], byDefault) }

// isSet says whether anybody set it.
func (r *Resolved) isSet(name string) bool { return r.origin(name) != byDefault }

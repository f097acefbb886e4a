package report

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"time"

	"bettensor/node/bet"
	"bettensor/sim"
)

//go:embed page
var files embed.FS

var pages = template.Must(template.New("pages").Funcs(template.FuncMap{
	"grouped": grouped, "percent": percent, "signed": signed, "ratio": ratio, "tao": tao, "dollars": dollars, "date": date, "bar": bar,
	"figure": figure, "command": newCommand, "times": times, "interval": interval, "known": known, "bars": newShareBar,
}).ParseFS(files, "page/*.html"))

// frame is what every page has: its dress, and the policy that lets it run its own
// script and load nothing.
type frame struct {
	Revision string // of the program; "" where it is not known
	Style    template.CSS
	Script   template.JS
	Policy   string
}

// newFrame joins the scripts named into one.
func newFrame(revision string, scripts ...string) (frame, error) {
	style, err := files.ReadFile("page/page.css")
	if err != nil {
		return frame{}, fmt.Errorf("report: %w", err)
	}
	var all []byte
	for _, name := range scripts {
		script, err := files.ReadFile(name)
		if err != nil {
			return frame{}, fmt.Errorf("report: %w", err)
		}
		all = append(all, script...)
	}
	all = bytes.ReplaceAll(all, []byte("\r\n"), []byte("\n")) // as a browser reads it: its sum is taken
	sum := sha256.Sum256(all)
	return frame{Revision: revision, Style: template.CSS(style), Script: template.JS(all),
		Policy: "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"}, nil
}

// write fills a template; of says what the page is of, for an error.
func (f *frame) write(w io.Writer, name string, view any, of string) error {
	b := bufio.NewWriter(w)
	if err := pages.ExecuteTemplate(b, name, view); err != nil {
		return fmt.Errorf("report of %s: %w", of, err)
	}
	return b.Flush()
}

// command is a command line that can be copied.
type command struct{ ID, Label, Text string }

func newCommand(id, label, text string) command { return command{id, label, text} }

// bar is the length of a bar of at most 100 for a part of a whole.
func bar(part, whole float64) string {
	if whole <= 0 {
		return "0"
	}
	return strconv.FormatFloat(min(max(100*part/whole, 0), 100), 'f', 1, 64)
}

func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

func percent(v float64) string { return fmt.Sprintf("%.1f\u202f%%", 100*v) }

// signed is a share that may be a loss, of n things; "–" of none.
func signed(v float64, n int) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprintf("%+.1f\u202f%%", 100*v)
}

func ratio(v float64) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3f", v)
}

// tao is an amount of rao.
func tao(rao any) string {
	switch x := rao.(type) {
	case uint64:
		return fmt.Sprintf("%.2f", float64(x)/1e9)
	case float64:
		return fmt.Sprintf("%.2f", x/1e9)
	}
	return "–"
}

func dollars(cents int64) string { return bet.Cents(cents).String() }

func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// figure is a number of a unit; times are durations.
func figure(x float64, unit string) string {
	if unit == "s" {
		d := time.Duration(x * 1e9)
		switch {
		case d >= time.Minute:
			d = d.Round(time.Second)
		case d >= time.Second:
			d = d.Round(10 * time.Millisecond)
		default:
			d = d.Round(10 * time.Microsecond)
		}
		return d.String()
	}
	return strconv.FormatFloat(x, 'g', 5, 64)
}

// times is by how much one number is another.
func times(x, by float64) string { return fmt.Sprintf("%.2f", x/by) }

// interval is a ratio with its interval; "–" for none.
func interval(i *sim.Interval) string {
	if i == nil {
		return "–"
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", i.Mean, i.Low, i.High)
}

// known is a number by a verb of fmt; "–" for one that was not measured.
func known(x *float64, form string) string {
	if x == nil {
		return "–"
	}
	return fmt.Sprintf(form, *x)
}

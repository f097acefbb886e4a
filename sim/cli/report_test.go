package cli

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"bettensor/sim"
)

// faulty is a small scenario with faults, and words in it that mean harm.
const faulty = `name: faulty
about: |
  </script><script>document.title = "harmed"</script> <img src=x onerror="document.title='harmed'">
duration: 1d
validators: [{name: v0}, {name: v1}]
miners: [{kind: skilled, count: 2}, {kind: random, count: 2}, {kind: idle}]
node: {heartbeat: 30m, metagraph_interval: 1h, status_interval: 6h}
faults:
  - {name: crash, what: process.crash, target: validators.v0, at: 3h, every: 8h, for: 5m}
  - {name: chain, what: chain.outage, target: validators, at: 8h, for: 2h}
thresholds:
  - {metric: gini, expect: value <= 1}
`

// reported runs the scenario and writes its page.
func reported(t *testing.T, seed uint64) (page, stdout string, code int) {
	t.Helper()
	dir := folder(t, map[string]string{"faulty.yaml": faulty})
	page = filepath.Join(dir, "page.html")
	stdout, code = here(t, t.Context(), "sim", "run", "--quiet", filepath.Join(dir, "faulty.yaml"), "--seed", fmt.Sprint(seed), "--report", page)
	return page, stdout, code
}

// TestReportAgrees: a page tells the hash, the verdict and the first failure that
// the terminal tells, and a run that is not drawn has the same hash.
func TestReportAgrees(t *testing.T) {
	defer func() { plant = nil }()
	plant = badWeights
	for _, c := range []struct {
		seed uint64
		code int
		want []string
	}{
		{1, 0, []string{"<title>passed: faulty, seed 1</title>", "gini: value &lt;= 1, is "}},
		{3, sim.ExitSafety, []string{"<title>FAILED: faulty, seed 3</title>", "<strong>invariant weights-valid</strong>", " --until ", " -o smaller.yaml", "The last 200 lines of the trace before it"}},
	} {
		path, stdout, code := reported(t, c.seed)
		data, err := os.ReadFile(path)
		if code != c.code || err != nil {
			t.Fatalf("seed %d: exit code %d, want %d: %v", c.seed, code, c.code, err)
		}
		hash := regexp.MustCompile(`trace hash ([0-9a-f]{16})`).FindStringSubmatch(stdout)
		plain, _ := here(t, t.Context(), "sim", "run", "--quiet", filepath.Join(filepath.Dir(path), "faulty.yaml"), "--seed", fmt.Sprint(c.seed))
		if hash == nil || !strings.Contains(plain, hash[0]) {
			t.Fatalf("seed %d: %q, and without a page:\n%s", c.seed, hash, plain)
		}
		for _, want := range append(c.want, "<code>"+hash[1]+"</code>") {
			if !bytes.Contains(data, []byte(want)) {
				t.Errorf("seed %d: the page does not hold %q", c.seed, want)
			}
		}
	}
}

// browse opens a page in Chromium and returns what became of it, and a picture.
// What the page's script complains of fails the test.
func browse(t *testing.T, chromium, page string, width, height int) string {
	t.Helper()
	picture := filepath.Join(t.TempDir(), "picture.png")
	cmd := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--enable-logging=stderr", "--virtual-time-budget=5000",
		"--user-data-dir="+t.TempDir(), fmt.Sprintf("--window-size=%d,%d", width, height), "--screenshot="+picture, "--dump-dom", "file://"+page)
	var dom, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &dom, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("chromium: %v\n%s", err, said.String())
	}
	for line := range strings.Lines(said.String()) { // a script's error, or something that the page's policy forbids it to load
		if strings.Contains(line, ":CONSOLE") {
			t.Error(line)
		}
	}
	f, err := os.Open(picture)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	colours := map[[3]uint32]bool{}
	for y := range seen.Bounds().Dy() {
		for x := range seen.Bounds().Dx() {
			r, g, b, _ := seen.At(x, y).RGBA()
			colours[[3]uint32{r, g, b}] = true
		}
	}
	if got := seen.Bounds().Size(); got.X != width || got.Y != height || len(colours) < 50 {
		t.Errorf("a picture of %v with %d colours, want %d by %d with at least 50", got, len(colours), width, height)
	}
	return dom.String()
}

// probe is what a test adds to a page to use it as a person does: it sorts the
// miners by UID, looks closer, and notes what is to be seen.
const probe = `
const see = (name, value) => { document.documentElement.setAttribute("data-" + name, value); };
see("whole", document.querySelectorAll("#timeline rect.span-fault").length);
const bars = document.querySelectorAll("#timeline rect.span-fault");
see("bar", bars.length ? bars[0].getAttribute("width") : 0);
document.querySelectorAll("#miner-table th button")[2].click();
document.querySelectorAll("#miner-table th button")[2].click();
see("uids", [...document.querySelectorAll("#miner-table tbody tr")].map((r) => r.cells[2].textContent).join(" "));
for (let i = 0; i < 12; i++) document.getElementById("in").click();
document.getElementById("back").click();
see("range", document.getElementById("range").textContent);
see("over", document.documentElement.scrollWidth - innerWidth);
see("titled", document.title);
`

// TestReportInBrowser: a page that is opened from disk in a real browser draws
// all its charts without a complaint, on a desk and on a telephone; it can be
// sorted and looked at closely; and what a scenario's words hold stays words.
func TestReportInBrowser(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium in the path: install the package chromium to look at the page in a browser")
	}
	sum := sha256.Sum256([]byte(probe)) // the page's policy forbids all scripts but its own
	allowed := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	defer func() { plant = nil }()
	plant = badWeights
	for _, c := range []struct {
		seed          uint64
		width, height int
		rows          map[string]int // of tables, heads included
		excerpt       int            // lines
	}{
		{1, 1280, 1600, map[string]int{"miner-table": 6, "windows": 5, "kinds": 4, "validators": 3, "thresholds": 2}, 0},
		{3, 500, 1200, map[string]int{"miner-table": 6, "windows": 5, "kinds": 4, "validators": 3, "thresholds": 2}, 200},
	} {
		page, _, _ := reported(t, c.seed)
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		data = bytes.Replace(data, []byte("script-src "), []byte("script-src "+html.EscapeString(allowed)+" "), 1)
		used := filepath.Join(filepath.Dir(page), "used.html")
		if err := os.WriteFile(used, bytes.Replace(data, []byte("</body>"), []byte("<script>"+probe+"</script></body>"), 1), 0o644); err != nil {
			t.Fatal(err)
		}
		dom := browse(t, chromium, used, c.width, c.height)
		if n, _ := strconv.Atoi(attribute(dom, "drawn")); n < 10 {
			t.Errorf("seed %d: %d charts are drawn", c.seed, n)
		}
		for id, want := range c.rows {
			_, table, _ := strings.Cut(dom, `id="`+id+`"`)
			table, _, _ = strings.Cut(table, "</table>")
			if n := strings.Count(table, "<tr>"); n != want {
				t.Errorf("seed %d: %s has %d rows, want %d", c.seed, id, n, want)
			}
		}
		_, excerpt, _ := strings.Cut(dom, `id="excerpt"`)
		excerpt, _, _ = strings.Cut(excerpt, "</pre>")
		if n := strings.Count(excerpt, "<span>"); n != c.excerpt {
			t.Errorf("seed %d: %d lines of the trace, want %d", c.seed, n, c.excerpt)
		}

		for name, want := range map[string]string{"whole": "4", "uids": "2 3 4 5 6", "titled": map[uint64]string{1: "passed", 3: "FAILED"}[c.seed] + ": faulty, seed " + fmt.Sprint(c.seed)} {
			if got := attribute(dom, name); got != want {
				t.Errorf("seed %d: %s is %q, want %q", c.seed, name, got, want)
			}
		}
		if bar, _ := strconv.ParseFloat(attribute(dom, "bar"), 64); bar < 20 { // the outage, two hours of a day
			t.Errorf("seed %d: the first bar of the timeline is %g wide", c.seed, bar)
		}
		if over, err := strconv.Atoi(attribute(dom, "over")); err != nil || over > 0 {
			t.Errorf("seed %d: the page is %d wider than the window: %v", c.seed, over, err)
		}
		if got := attribute(dom, "range"); !strings.HasSuffix(got, "(43 s)") {
			t.Errorf("seed %d: the stretch shown is %q, want one of 43 s", c.seed, got)
		}
	}
}

// TestReportInBrowserOfManyRuns: the pages of a sweep and of a comparison, as a
// person opens them: no complaint, nothing wider than the window, and the table of
// what was reached sorts.
func TestReportInBrowserOfManyRuns(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium in the path: install the package chromium to look at the pages in a browser")
	}
	const look = `document.documentElement.dataset.over = document.documentElement.scrollWidth - innerWidth;
const sorted = document.querySelectorAll("#properties th button");
if (sorted.length) { sorted[0].click(); }
document.documentElement.dataset.first = (document.querySelector("#properties tbody th") || {}).textContent;`
	sum := sha256.Sum256([]byte(look))
	allowed := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	defer func() { plant = nil }()
	plant = badWeights
	dir := folder(t, map[string]string{"faulty.yaml": faulty + "sometimes: [settled, late_refused, scored]\n"})
	file := filepath.Join(dir, "faulty.yaml")
	for _, c := range []struct {
		args  []string
		width int
		code  int
		first string
		want  []string
	}{
		{[]string{"sweep", file, "--seeds", "1..3"}, 1280, sim.ExitSafety, "late_refused", []string{"<title>FAILED: faulty, 3 seeds</title>", "<h3>invariant weights-valid</h3>", "sim run " + file + " --seed 3", "sim shrink " + file + " --seed 3 -o smaller.yaml"}},
		{[]string{"compare", file, file, "--set-b", "scoring.scheme=robust", "--seeds", "1..2"}, 500, 5, "undefined", []string{", 2 seeds</title>", `id="shares"`, "the same for both", "--set scoring.scheme=robust"}},
	} {
		page := filepath.Join(dir, c.args[0]+".html")
		out, code := here(t, t.Context(), append(append([]string{"sim"}, c.args...), "--quiet", "--report", page)...)
		data, err := os.ReadFile(page)
		if code != c.code || err != nil {
			t.Fatalf("%s: exit code %d, want %d: %v\n%s", c.args[0], code, c.code, err, out)
		}
		for _, want := range c.want {
			if !bytes.Contains(data, []byte(want)) {
				t.Errorf("%s: the page does not hold %q", c.args[0], want)
			}
		}
		data = bytes.Replace(data, []byte("script-src "), []byte("script-src "+html.EscapeString(allowed)+" "), 1)
		if err := os.WriteFile(page, bytes.Replace(data, []byte("</body>"), []byte("<script>"+look+"</script></body>"), 1), 0o644); err != nil {
			t.Fatal(err)
		}
		dom := browse(t, chromium, page, c.width, 1500)
		if over, err := strconv.Atoi(attribute(dom, "over")); err != nil || over > 0 || attribute(dom, "first") != c.first {
			t.Errorf("%s: %d wider than the window (%v), first row %q, want %q", c.args[0], over, err, attribute(dom, "first"), c.first)
		}
	}
}

// attribute is what the page has noted of itself.
func attribute(dom, name string) string {
	m := regexp.MustCompile(`<html[^>]* data-` + name + `="([^"]*)"`).FindStringSubmatch(dom)
	if m == nil {
		return ""
	}
	return m[1]
}

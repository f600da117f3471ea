//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"umbral/deploy/certapp"
)

// demo is a running umbral demo, read as a person reads what it prints.
type demo struct {
	Site, Dashboard, Token string
	Lines                  []string // to try
}

var demoWords = regexp.MustCompile(`(?m)^  (site|dashboard|admin token) +(\S+)$`)

func startDemo(t *testing.T) *demo {
	t.Helper()
	cmd := exec.Command(binary, "demo", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	said := make(chan *demo, 1)
	go func() {
		defer close(said)
		d, text := &demo{}, ""
		for in := bufio.NewScanner(out); in.Scan(); {
			text += in.Text() + "\n"
			if _, lines, found := strings.Cut(text, "Try:\n"); found && strings.HasSuffix(lines, "\n\n") {
				d.Lines = strings.Split(strings.TrimRight(lines, "\n"), "\n")
				for _, m := range demoWords.FindAllStringSubmatch(text, -1) {
					switch m[1] {
					case "site":
						d.Site = m[2]
					case "dashboard":
						d.Dashboard = m[2]
					default:
						d.Token = m[2]
					}
				}
				said <- d
			}
		}
	}()
	select {
	case d, ok := <-said:
		if !ok || d.Site == "" || d.Dashboard == "" || d.Token == "" {
			t.Fatalf("the demo does not say where it is: %+v", d)
		}
		return d
	case <-time.After(patience):
		t.Fatal("the demo says nothing")
	}
	return nil
}

func TestDemoLinesWorkWhenPasted(t *testing.T) {
	d := startDemo(t)
	wants := [][]string{
		{"cache-status: umbral; fwd=uri-miss", "cache-status: umbral; hit"},
		{"cache-status: umbral", "etag: "},
		{`"complete":true`},
		{`"/certificado/{id}"`},
		{"complete"},
	}
	if len(d.Lines) != len(wants) {
		t.Fatalf("the demo prints %d lines to try: %q", len(d.Lines), d.Lines)
	}
	for i, line := range d.Lines {
		for round := range 2 { // a person may try a line twice
			out, err := exec.Command("sh", "-c", line).CombinedOutput()
			want := wants[i][min(round, len(wants[i])-1)]
			if err != nil || !strings.Contains(strings.ToLower(string(out)), want) {
				t.Errorf("%s\n%v, no %q in\n%s", line, err, want, out)
			}
		}
	}
}

// purge asks the admin API and demands a complete receipt.
func (d *demo) purge(t *testing.T, what string) {
	t.Helper()
	r, err := http.NewRequest("POST", d.Dashboard+"v1/purge", strings.NewReader(what))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+d.Token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var receipt struct{ Complete bool }
	if err := json.NewDecoder(resp.Body).Decode(&receipt); err != nil || !receipt.Complete {
		t.Fatalf("purge %s: %d, %v", what, resp.StatusCode, err)
	}
}

// renderOf is the number that the sample app gave the page that is open.
func renderOf(c *chromium) string {
	c.t.Helper()
	return c.text(".strip .stamp b:last-of-type")
}

func (d *demo) signIn(c *chromium, p certapp.Person) {
	c.t.Helper()
	c.visit(d.Site + "accounts/login/?next=/panel/")
	c.fill("#username", p.Login)
	c.fill("#password", p.Password)
	c.click("main form button")
	c.sees("#who", p.Name)
}

func TestChromiumInTheSampleApp(t *testing.T) {
	d := startDemo(t)
	b := startBrowsers(t)
	ana, luis, stranger := b.open(), b.open(), b.open()
	people := certapp.People()

	d.signIn(ana, people[0])
	d.signIn(luis, people[1])
	for _, who := range []struct {
		*chromium
		own, other string
	}{{ana, people[0].Name, people[1].Name}, {luis, people[1].Name, people[0].Name}} {
		who.reload()
		who.sees("#who", who.own)
		if text := who.text("body"); strings.Contains(text, who.other) {
			t.Errorf("the panel of %s tells of %s", who.own, who.other)
		}
		who.oneCookie("signed in,", "umbral")
	}
	ana.screenshot("panel")
	stranger.visit(d.Site + "panel/")
	stranger.sees("h1", "Sign in")
	if text := stranger.text("main h1"); text != "Sign in" {
		t.Errorf("a stranger's panel says %q", text)
	}

	// An edit shows to others at their next reload, with no purge of theirs.
	page := d.Site + "certificado/7"
	stranger.visit(page)
	ana.visit(page + "/editar")
	ana.fill("#holder", "Renata Umbral")
	ana.click("main form button")
	ana.sees(".flash", "Certificate 7 was changed.")
	stranger.reload()
	stranger.sees("h1", "Renata Umbral")
	ana.oneCookie("after a form,", "umbral")

	ana.click("a[href='/accounts/logout/']")
	ana.sees("h1", "Sign out?")
	ana.click("main form button")
	ana.sees("h1", "Every certificate") // an unfinished sign-out would win over the next visit
	ana.visit(d.Site + "panel/")
	ana.sees("h1", "Sign in")
}

func TestChromiumSeesAPurgeAtTheNextReload(t *testing.T) {
	d := startDemo(t)
	c := startBrowsers(t).open()
	c.visit(d.Site + "certificado/7")
	c.sees("#from", "From the app in")
	first := renderOf(c)
	c.reload()
	c.sees("#from", "From the edge in")
	if got := renderOf(c); got != first {
		t.Fatalf("render %s, then %s without a purge", first, got)
	}
	d.purge(t, `{"tags": ["certificado:7"], "wait": "10s"}`)
	c.reload()
	c.sees("#from", "From the app in")
	if got := renderOf(c); got == first {
		t.Errorf("render %s still, after a purge of its tag", got)
	}
}

func TestChromiumInTheDashboard(t *testing.T) {
	d := startDemo(t)
	b := startBrowsers(t)
	visitor, operator := b.open(), b.open()
	page := d.Site + "certificado/7"
	visitor.visit(page)
	first := renderOf(visitor)
	visitor.reload()
	if got := renderOf(visitor); got != first {
		t.Fatalf("render %s, then %s without a purge", first, got)
	}

	operator.visit(d.Dashboard)
	operator.fill("#token", "not-the-token-of-this-demo-at-all")
	operator.click("main.signin button")
	operator.sees(".wrong", "token")
	operator.fill("#token", d.Token)
	operator.click("main.signin button")
	operator.sees("#routes", "/certificado/{id}")
	operator.sees("#k-ratio-sub", "% since start")
	operator.sees("#redis", "Purge log")
	for _, k := range operator.cookies() {
		if !k.HTTPOnly || k.SameSite != "Strict" {
			t.Errorf("the dashboard's cookie is %+v", k)
		}
	}
	operator.screenshot("dashboard")

	operator.click("button[data-kind=tags]")
	operator.fill("#purge-what", "certificado:7")
	operator.click("#purge-go")
	operator.sees("#receipt", "1")
	operator.sees("#purges", "certificado:7")
	operator.sees("#redis", "1 record") // its own, live until no page can be older
	visitor.reload()
	if got := renderOf(visitor); got == first {
		t.Errorf("render %s still, after a purge in the dashboard", got)
	}

	operator.click("#signout")
	operator.sees("label", "Admin token")
	operator.reload()
	operator.sees("label", "Admin token")
	if left := operator.cookies(); len(left) > 0 {
		t.Errorf("signed out, the browser holds %+v", left)
	}
}

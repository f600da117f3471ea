//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// browsers is a running chromedriver; each browser it opens has a profile of
// its own. It speaks W3C WebDriver: JSON over HTTP.
type browsers struct {
	t   testing.TB
	url string
}

var driverPort = regexp.MustCompile(`started successfully on port (\d+)`)

func startBrowsers(t testing.TB) *browsers {
	t.Helper()
	cmd := exec.Command("chromedriver", "--port=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (Debian: chromium chromium-driver)", err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	port := make(chan string, 1)
	go func() {
		defer close(port)
		for in := bufio.NewScanner(out); in.Scan(); {
			if m := driverPort.FindStringSubmatch(in.Text()); m != nil {
				port <- m[1]
			}
		}
	}()
	select {
	case p, ok := <-port:
		if !ok {
			t.Fatal("chromedriver ended")
		}
		return &browsers{t: t, url: "http://127.0.0.1:" + p}
	case <-time.After(patience):
		t.Fatal("chromedriver did not start")
	}
	return nil
}

// chromium is one browser with a profile of its own. Its methods end the test
// where the page is not as wanted.
type chromium struct {
	t   testing.TB
	url string
}

func (b *browsers) open() *chromium {
	b.t.Helper()
	profile, err := os.MkdirTemp("", "umbral-chromium-")
	if err != nil {
		b.t.Fatal(err)
	}
	args := []string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1280,900", "--user-data-dir=" + profile,
	}
	c := &chromium{t: b.t, url: b.url}
	var session struct {
		ID string `json:"sessionId"`
	}
	c.call("POST", "/session", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		"acceptInsecureCerts": true,
		"goog:chromeOptions":  map[string]any{"args": args},
		// How long a sought element may take to appear.
		"timeouts": map[string]any{"implicit": patience.Milliseconds(), "pageLoad": patience.Milliseconds(), "script": patience.Milliseconds()},
	}}}, &session)
	c.url += "/session/" + session.ID
	b.t.Cleanup(func() {
		c.call("DELETE", "", nil, nil)
		_ = os.RemoveAll(profile)
	})
	return c
}

// call sends one command of the protocol and decodes its value.
func (c *chromium) call(method, path string, body, into any) {
	c.t.Helper()
	if err := c.try(method, path, body, into); err != nil {
		c.t.Fatal(err)
	}
}

func (c *chromium) try(method, path string, body, into any) error {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		in = bytes.NewReader(b)
	}
	r, err := http.NewRequest(method, c.url+path, in)
	if err != nil {
		return err
	}
	client := http.Client{Timeout: 2 * patience}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var answer struct{ Value json.RawMessage }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode != http.StatusOK {
		var fault struct{ Error, Message string }
		_ = json.Unmarshal(answer.Value, &fault)
		message, _, _ := strings.Cut(fault.Message, "\n")
		return fmt.Errorf("%s %s %v: %s: %s", method, path, body, fault.Error, message)
	}
	if into != nil {
		if err := json.Unmarshal(answer.Value, into); err != nil {
			return fmt.Errorf("%s %s: %w in %s", method, path, err, answer.Value)
		}
	}
	return nil
}

// visit opens a page and waits until it has loaded.
func (c *chromium) visit(url string) {
	c.t.Helper()
	c.call("POST", "/url", map[string]any{"url": url}, nil)
}

func (c *chromium) reload() {
	c.t.Helper()
	c.call("POST", "/refresh", map[string]any{}, nil)
}

func (c *chromium) address() (url string) {
	c.t.Helper()
	c.call("GET", "/url", nil, &url)
	return url
}

// element waits for the first element that a selector finds and returns its
// place in the protocol.
func (c *chromium) element(using, selector string) string {
	c.t.Helper()
	var found map[string]string
	c.call("POST", "/element", map[string]any{"using": using, "value": selector}, &found)
	for _, id := range found {
		return "/element/" + id
	}
	c.t.Fatalf("no element %s", selector)
	return ""
}

// text is what a person reads in the element.
func (c *chromium) text(css string) (text string) {
	c.t.Helper()
	c.call("GET", c.element("css selector", css)+"/text", nil, &text)
	return text
}

// click clicks on the element; a page that follows has loaded when it returns.
func (c *chromium) click(css string) {
	c.t.Helper()
	c.call("POST", c.element("css selector", css)+"/click", map[string]any{}, nil)
}

// fill types text into an emptied field.
func (c *chromium) fill(css, text string) {
	c.t.Helper()
	at := c.element("css selector", css)
	c.call("POST", at+"/clear", map[string]any{}, nil)
	c.call("POST", at+"/value", map[string]any{"text": text}, nil)
}

// lookFor looks for a second, in the page, for an element that holds a text.
const lookFor = `
	const [css, text, done] = arguments;
	const end = performance.now() + 1000;
	const look = () => {
		if ([...document.querySelectorAll(css)].some(e => e.textContent.includes(text))) done(true);
		else if (performance.now() > end) done(false);
		else setTimeout(look, 20);
	};
	look();`

// sees waits until an element that css finds holds text. A page that goes
// while it is looked at takes the script with it: the next one is looked at.
func (c *chromium) sees(css, text string) {
	c.t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); {
		var found bool
		err = c.try("POST", "/execute/async", map[string]any{"script": lookFor, "args": []any{css, text}}, &found)
		if found {
			return
		}
	}
	c.t.Fatalf("%s: no %s with %q (%v):\n%s", c.address(), css, text, err, c.text("body"))
}

// browserCookie is a cookie as DevTools tells it: all of the profile, those
// that scripts cannot see too.
type browserCookie struct {
	Name, Value, Domain, Path, SameSite string
	Secure, HTTPOnly                    bool
	Expires                             float64
}

func (c *chromium) cookies() []browserCookie {
	c.t.Helper()
	var all struct{ Cookies []browserCookie }
	c.call("POST", "/goog/cdp/execute", map[string]any{"cmd": "Storage.getCookies", "params": map[string]any{}}, &all)
	return all.Cookies
}

// oneCookie demands that the whole profile holds exactly one cookie, with all
// its attributes as they should be.
func (c *chromium) oneCookie(when, name string) string {
	c.t.Helper()
	all := c.cookies()
	if len(all) != 1 || all[0].Name != name {
		c.t.Fatalf("%s the browser holds %+v, want %s alone", when, all, name)
	}
	k := all[0]
	if !k.HTTPOnly || k.SameSite != "Lax" || k.Path != "/" || k.Secure != strings.HasPrefix(name, "__Host-") || strings.HasPrefix(k.Domain, ".") {
		c.t.Errorf("%s the cookie is %+v", when, k)
	}
	return k.Value
}

// screenshot writes what the window shows as PNG where UMBRAL_SCREENSHOTS
// names a folder.
func (c *chromium) screenshot(name string) {
	c.t.Helper()
	dir := os.Getenv("UMBRAL_SCREENSHOTS")
	if dir == "" {
		return
	}
	var shot string
	c.call("GET", "/screenshot", nil, &shot)
	png, err := base64.StdEncoding.DecodeString(shot)
	if err == nil {
		err = os.WriteFile(fmt.Sprintf("%s/%s.png", dir, name), png, 0o600)
	}
	if err != nil {
		c.t.Error(err)
	}
}

package sessions

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

// Whatever a Cookie field holds: what opens is spelled in the one way, and its
// content is what was signed.
func FuzzCookie(f *testing.F) {
	secret, err := newSecret(testSecret)
	if err != nil {
		f.Fatal(err)
	}
	tok := newToken()
	session, _ := secret.signSession("umbral", &tok)
	sealed, _ := secret.sealJar("umbral", &sealedJar{cookies: []cookie{{name: "csrftoken", value: "x", path: "/", created: 1}}})
	for _, seed := range []string{"umbral=" + session, "umbral=" + sealed, "a=b; umbral=" + session + "; c", "umbral", "=;=;", `umbral="x"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		value, n := find([]string{line}, "umbral")
		if n != 1 {
			return
		}
		var got token
		_, asSession := secret.openSession("umbral", value, &got)
		j, _, asSealed := secret.openSealed("umbral", value)
		if !asSession && !asSealed {
			return
		}
		plain, err := base64.URLEncoding.Strict().DecodeString(value)
		if err != nil || base64.RawURLEncoding.EncodeToString(plain) != value || asSession == asSealed || asSealed && len(j.cookies) != 1 {
			t.Errorf("%q opens", value)
		}
	})
}

// A Set-Cookie field that is taken can be sent up without becoming two.
func FuzzSetCookie(f *testing.F) {
	for _, seed := range []string{
		"sessionid=x; Max-Age=10; Path=/; HttpOnly", "a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Domain=app.test", "=x", "a", "a=\x00", "a=b;;;=",
	} {
		f.Add(seed, "/a/b")
	}
	now := time.Unix(1_700_000_000, 0)
	f.Fuzz(func(t *testing.T, line, path string) {
		c, ok := parseSetCookie(line, "app.test", path, now)
		if !ok {
			return
		}
		up, _ := cookieLine([]cookie{c.cookie}, c.path, c.created, nil, nil, 0)
		if strings.ContainsAny(up, ";\r\n\x00") || c.live(c.created) && up != c.name+"="+c.value {
			t.Errorf("%q goes up as %q", line, up)
		}
		back, ok := decodeCookie(c.encode())
		if back.version = c.version; !c.remove && (!ok || back != c.cookie) {
			t.Errorf("%+v comes back as %+v", c.cookie, back)
		}
	})
}

// Whatever lies in Django's place in Redis: no panic, no user but a text that
// was there.
func FuzzPickle(f *testing.F) {
	for _, seed := range []string{
		"\x80\x04}\x8c\r_auth_user_id\x8c\x0242s.", "\x80\x05}\x94(\x8c\r_auth_user_idK\x07u.", "cos\nsystem\n.", "\x78\x9c", "(((((", "}h\x00.",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, blob []byte) {
		uid, err := djangoUser(blob)
		if err != nil && uid != "" {
			t.Errorf("%q and %v", uid, err)
		}
	})
}

// Control fields and the probe's answer give a uid that can stand in a field
// value, or none.
func FuzzControl(f *testing.F) {
	for _, seed := range []string{"42", "anonymous", " a b ", "a\x00", `a="b", c=?0, d=1`, `{"id": "x"}`, "[]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		none := func(Reason) {}
		uid, _ := controlUser([]string{text}, none)
		if uid != "" && !validUID(uid) {
			t.Errorf("uid %q", uid)
		}
		for _, d := range controlData([]string{text}, none) {
			if d.name == "" || len(d.value) > maxDatumValue {
				t.Errorf("datum %q=%q", d.name, d.value)
			}
		}
		controlLogout([]string{text}, none)
		pointTo([]byte(text), "/id/0")
		if strings.HasPrefix(strings.ToLower(text), "x-edge-") && !(Forbidden(text) && isControl(text)) {
			t.Errorf("%q stays", text)
		}
	})
}

// Whatever Redis says on the tracking connection, or keeps in a record.
func FuzzRedis(f *testing.F) {
	for _, seed := range []string{">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nx\r\n", "*-1\r\n", "%1\r\n+a\r\n_\r\n", "$9999999999\r\n", "*1048576\r\n"} {
		f.Add([]byte(seed))
	}
	one, err := newSecret(testSecret)
	if err != nil {
		f.Fatal(err)
	}
	secrets := []*secret{one}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &resp{r: bufio.NewReader(bytes.NewReader(data))}
		for {
			if _, err := c.read(); err != nil {
				break
			}
		}
		_, _ = decodeMeta(data)
		_, _ = decodeCookie(data)
		if _, _, ok := openMeta(secrets, id{}, data); ok {
			t.Error("meta data that nobody sealed")
		}
	})
}

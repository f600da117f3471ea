//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"umbral/proxy/store/storetest"
)

// selfSigned writes a certificate for 127.0.0.1 and its key.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	sec, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "EC PRIVATE KEY", sec)
}

// TestChromiumInTheDjangoAdmin is SESSIONS.md §9, point 16: the real admin from
// a real browser, plainly and under TLS, with one cookie throughout.
func TestChromiumInTheDjangoAdmin(t *testing.T) {
	b := startBrowsers(t)
	t.Run("http", func(t *testing.T) {
		redis := storetest.StartRedis(t)
		e := startEdge(t, startDjango(t, redis), redisURL(redis), djangoRoutes)
		useAdmin(t, b, e.URL, "umbral")
	})
	t.Run("https", func(t *testing.T) {
		redis := storetest.StartRedis(t)
		cert, key := selfSigned(t)
		e := startEdge(t, startDjango(t, redis, "SECURE_COOKIES=1"), redisURL(redis), djangoRoutes,
			"COOKIE_SECURE=true", "TLS_CERT="+cert, "TLS_KEY="+key)
		useAdmin(t, b, strings.Replace(e.URL, "http:", "https:", 1), "__Host-umbral")
	})
}

func useAdmin(t *testing.T, b *browsers, site, cookie string) {
	const first, second = "jacaranda-44", "buganvilla-55-x"
	c, send := b.open(), "input[type=submit]"
	signIn := func(password string) {
		t.Helper()
		c.visit(site + "/admin/")
		c.fill("#id_username", "admin")
		c.fill("#id_password", password)
		c.click(send)
	}
	c.visit(site + "/admin/")
	anonymous := c.oneCookie("on the sign-in page,", cookie)
	signIn("not-the-password")
	c.sees(".errornote", "correct username and password")
	c.oneCookie("after a wrong password,", cookie)

	signIn(first)
	c.sees("#user-tools", "admin")
	signedIn := c.oneCookie("signed in,", cookie)
	if signedIn == anonymous {
		t.Error("the cookie of before the sign-in is the one after it (fixation)")
	}

	c.visit(site + "/admin/auth/user/add/")
	c.fill("#id_username", "marta")
	c.fill("#id_password1", second)
	c.fill("#id_password2", second)
	c.click("input[name=_save]")
	c.sees(".messagelist", "marta")
	c.visit(site + "/admin/certificates/certificate/add/")
	for field, text := range map[string]string{"code": "EDGE-1", "holder": "Umbra", "course": "Edges", "hours": "3", "issued": "2026-01-02"} {
		c.fill("#id_"+field, text)
	}
	c.click("input[name=_save]")
	c.sees(".messagelist", "EDGE-1 Umbra")
	if got := c.oneCookie("after two forms,", cookie); got != signedIn {
		t.Error("the cookie changed without a sign-in")
	}

	c.visit(site + "/admin/password_change/")
	c.fill("#id_old_password", first)
	c.fill("#id_new_password1", second)
	c.fill("#id_new_password2", second)
	c.click(send)
	c.sees("#content", "Your password was changed")
	if got := c.oneCookie("after the password change,", cookie); got == signedIn {
		t.Error("the password change did not rotate the cookie")
	}
	c.visit(site + "/admin/auth/user/")
	c.sees("#result_list", "marta")

	c.click("a[href='/admin/logout/'], #logout-form button")
	c.sees("h1", "Certificates, in Django") // LOGOUT_REDIRECT_URL
	c.visit(site + "/admin/")
	c.sees("label[for=id_password]", "Password")
	c.oneCookie("signed out, on the sign-in page,", cookie)
	signIn(first)
	c.sees(".errornote", "correct username and password")
	signIn(second)
	c.sees("#user-tools", "admin")
	c.oneCookie("signed in again,", cookie)
}

package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	secretA = "0123456789abcdef0123456789abcdef"
	secretB = "fedcba9876543210fedcba9876543210"
	token24 = "a-token-of-24-characters"
)

func vars(pairs ...string) Lookup {
	m := make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) (string, bool) {
		v, ok := m[name]
		return v, ok
	}
}

func TestSettingsDefaults(t *testing.T) {
	s, err := LoadSettings(vars(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Listen != ":8080" || s.AdminListen != "127.0.0.1:8081" || s.RedisMode != "single" || s.RedisMaxConnections != 50 ||
		s.RedisConnectTimeout != 5*time.Second || s.RedisTimeout != 500*time.Millisecond || s.CacheKeyPrefix != "certificados" ||
		s.CacheTimeout != 5*time.Minute || s.MemoryCacheBytes != 256<<20 || s.RoutesFile != "routes.yaml" || !s.CookieSecure ||
		s.LogLevel != "info" || s.LogFormat != "json" || !s.AccessLog || s.AdminToken != "" || s.Named("LISTEN") {
		t.Errorf("got %+v", s)
	}
}

func TestSettingsAreRead(t *testing.T) {
	env := vars("LISTEN", "0.0.0.0:80", "UPSTREAM_URL", "http://web:8000, https://[::1]:8443/,unix:///run/app.sock", "REDIS_URL", "redis://:pass@cache:6379/1",
		"SESSIONS_REDIS_URL", "unix:///run/redis.sock", "EDGE_SECRETS", secretA+", "+secretB, "ADMIN_TOKEN", token24, "CACHE_TIMEOUT", "60",
		"MEMORY_CACHE_BYTES", "0", "COOKIE_SECURE", "False", "TRUSTED_PROXIES", "10.1.2.3/8, ::1", "ACCESS_LOG", "off", "ROUTES_FILE", "")
	flags := vars("LISTEN", ":9090", "CACHE_TIMEOUT", "2m")
	s, err := LoadSettings(env, flags, ServeNeeds()...)
	if err != nil {
		t.Fatal(err)
	}
	if s.Listen != ":9090" || s.CacheTimeout != 2*time.Minute || s.MemoryCacheBytes != 0 || s.CookieSecure || s.AccessLog ||
		fmt.Sprint(s.Upstreams) != "[http://web:8000 https://[::1]:8443 unix:///run/app.sock]" || fmt.Sprint(s.TrustedProxies) != "[10.0.0.0/8 ::1/128]" ||
		len(s.EdgeSecrets) != 2 || s.EdgeSecrets[1].Reveal() != secretB || s.AdminToken.Reveal() != token24 ||
		s.SessionsRedisURL.Reveal() != "unix:///run/redis.sock" || s.RoutesFile != "routes.yaml" || s.Named("ROUTES_FILE") || !s.Named("LISTEN") {
		t.Errorf("got %+v", s)
	}
	if o := s.Options(); o.TTL != 2*time.Minute || !o.PlainHTTP {
		t.Errorf("options: %+v", o)
	}
	s, err = LoadSettings(vars("REDIS_URL", "embedded:"), nil)
	if err != nil || s.SessionsRedisURL != Embedded {
		t.Errorf("sessions on %v, %v", s.SessionsRedisURL, err)
	}
}

func TestSettingsFaults(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	junk, none := file("junk.pem", "junk"), filepath.Join(dir, "none")
	tests := []struct {
		name  string
		pairs []string
		want  string
	}{
		{"listen", []string{"LISTEN", "8080"}, `LISTEN is "8080": an address such as :8080 or 127.0.0.1:8081 is needed`},
		{"listen port", []string{"LISTEN", ":http"}, `LISTEN is ":http": an address such as :8080 or 127.0.0.1:8081 is needed`},
		{"same port", []string{"LISTEN", ":8081"}, "ADMIN_LISTEN (127.0.0.1:8081) and LISTEN (:8081) are the same port: admin is never on the public listener"},
		{"same address", []string{"LISTEN", "localhost:8081"}, "ADMIN_LISTEN (127.0.0.1:8081) and LISTEN (localhost:8081) are the same port: admin is never on the public listener"},
		{"token", []string{"ADMIN_TOKEN", "hush-hush"}, "ADMIN_TOKEN has 9 characters: at least 24 are needed, and 'umbral secret' makes some"},
		{"token with spaces", []string{"ADMIN_TOKEN", "hush hush hush hush hush hush"}, "ADMIN_TOKEN holds spaces or characters outside ASCII, which no Authorization header carries"},
		{"token file", []string{"ADMIN_TOKEN", "file:" + none}, "ADMIN_TOKEN: file " + quoted(none) + ": there is no such file"},
		{"upstream", []string{"UPSTREAM_URL", "web:8000"}, "UPSTREAM_URL is not a URL such as http://web:8000"},
		{"upstream path", []string{"UPSTREAM_URL", "http://web/app"}, "UPSTREAM_URL has a path: visitors' paths go up as they come, so name the host and the port alone"},
		{"upstream password", []string{"UPSTREAM_URL", "http://a,http://u:hush@web"}, "UPSTREAM_URL, number 2, holds a user name or a password, which the app would never see"},
		{"upstream twice", []string{"UPSTREAM_URL", "http://a,http://a/"}, "UPSTREAM_URL, number 2, is named twice"},
		{"upstream is the edge", []string{"UPSTREAM_URL", "http://localhost:8080"}, "UPSTREAM_URL (http://localhost:8080) is LISTEN: the edge would forward to itself"},
		{"upstream twice, another way", []string{"UPSTREAM_URL", "http://A:80,http://a"}, "UPSTREAM_URL, number 2, is named twice"},
		{"upstream port", []string{"UPSTREAM_URL", "http://a:99999"}, "UPSTREAM_URL names port 99999: from 1 to 65535 is possible"},
		{"upstream port 0", []string{"UPSTREAM_URL", "http://a,http://a:0"}, "UPSTREAM_URL, number 2, names port 0: from 1 to 65535 is possible"},
		{"redis port too high", []string{"REDIS_URL", "redis://:hush@cache:99999/0"}, "REDIS_URL names port 99999: from 1 to 65535 is possible"},
		{"redis port of another", []string{"REDIS_URL", "redis://cache:1?addr=b:0", "REDIS_MODE", "cluster"}, "REDIS_URL names port 0: from 1 to 65535 is possible"},
		{"cluster database", []string{"REDIS_URL", "redis://cache:1/5", "REDIS_MODE", "cluster"}, "REDIS_URL names a database, and a cluster has only number 0"},
		{"redis scheme", []string{"REDIS_URL", "http://:hush@cache"}, "REDIS_URL is neither embedded: nor a redis://, rediss:// or unix:// URL"},
		{"redis url", []string{"REDIS_URL", "redis://:hu#sh@cache:6379"}, "REDIS_URL is not what go-redis reads: redis://user:password@host:6379/0, with special characters of the password percent-encoded"},
		{"redis port", []string{"REDIS_URL", "redis://hush@cache:hush"}, "REDIS_URL is not what go-redis reads: redis://user:password@host:6379/0, with special characters of the password percent-encoded"},
		{"embedded cluster", []string{"REDIS_URL", "embedded:", "REDIS_MODE", "cluster"}, "REDIS_URL is embedded:, which is a single Redis, and REDIS_MODE is cluster"},
		{"embedded sessions", []string{"SESSIONS_REDIS_URL", "embedded:", "REDIS_MODE", "sentinel"}, "SESSIONS_REDIS_URL is embedded:, which is a single Redis, and REDIS_MODE is sentinel"},
		{"socket cluster", []string{"REDIS_URL", "unix:///a", "REDIS_MODE", "cluster"}, "REDIS_URL is a socket, which is a single Redis, and REDIS_MODE is cluster"},
		{"sentinel", []string{"REDIS_URL", "redis://:hush@a:x", "REDIS_MODE", "sentinel"}, "REDIS_URL is not what go-redis reads for Sentinel: redis://:password@host:26379/0?master_name=mymaster&addr=host2:26379"},
		{"mode", []string{"REDIS_MODE", "Cluster"}, `REDIS_MODE is "Cluster": single, sentinel or cluster is needed`},
		{"connections", []string{"REDIS_MAX_CONNECTIONS", "0"}, `REDIS_MAX_CONNECTIONS is "0": a whole number from 1 to 10000 is needed`},
		{"timeout", []string{"REDIS_TIMEOUT", "500"}, "REDIS_TIMEOUT: 500 has no unit: write 500s for seconds, or 15m, 1h, 7d"},
		{"timeout range", []string{"REDIS_CONNECT_TIMEOUT", "1h"}, "REDIS_CONNECT_TIMEOUT is 1h: from 1ms to 1m is possible"},
		{"prefix", []string{"CACHE_KEY_PREFIX", "{tag}"}, `CACHE_KEY_PREFIX is "{tag}": at most 64 letters, digits, dots, dashes, underscores and colons are needed`},
		{"cache timeout", []string{"CACHE_TIMEOUT", "-1"}, `CACHE_TIMEOUT is "-1": seconds, from 1 to 2592000, are needed`},
		{"memory", []string{"MEMORY_CACHE_BYTES", "lots"}, `MEMORY_CACHE_BYTES: "lots" is not a size: write 8MiB, 64KiB or a number of bytes`},
		{"memory too small", []string{"MEMORY_CACHE_BYTES", "1KiB"}, "MEMORY_CACHE_BYTES is 1024 bytes: 0 turns the memory tier off, else at least 1MiB is needed"},
		{"short secret", []string{"EDGE_SECRETS", secretA + ",hush"}, "EDGE_SECRETS number 2 has 4 bytes: at least 32 are needed, and 'umbral secret' makes one"},
		{"secret twice", []string{"EDGE_SECRETS", secretA + "," + secretA}, "EDGE_SECRETS number 2 is the same as number 1"},
		{"no secret", []string{"EDGE_SECRETS", "file:" + file("blank", "\n\n")}, "EDGE_SECRETS holds no secret: 'umbral secret' makes one"},
		{"comment among secrets", []string{"EDGE_SECRETS", "file:" + file("commented", "# the first signs, and all of them verify\n"+secretA+"\n")}, "EDGE_SECRETS number 1 begins with #: comments have no place among them"},
		{"secret is token", []string{"EDGE_SECRETS", secretA, "ADMIN_TOKEN", secretA}, "ADMIN_TOKEN is one of EDGE_SECRETS: who knows the one must not know the other"},
		{"secure", []string{"COOKIE_SECURE", "maybe"}, `COOKIE_SECURE is "maybe": true, false, on or off is needed`},
		{"proxies", []string{"TRUSTED_PROXIES", "10.0.0.0/8,proxy"}, `TRUSTED_PROXIES: "proxy" is not a network such as 10.0.0.0/8`},
		{"certificate alone", []string{"TLS_CERT", junk}, "TLS_CERT is set and TLS_KEY is not: HTTPS needs both"},
		{"key alone", []string{"TLS_KEY", junk}, "TLS_KEY is set and TLS_CERT is not: HTTPS needs both"},
		{"no certificate", []string{"TLS_CERT", none, "TLS_KEY", junk}, "TLS_CERT: file " + quoted(none) + ": there is no such file"},
		{"no pair", []string{"TLS_CERT", junk, "TLS_KEY", junk}, "TLS_CERT and TLS_KEY are not a certificate and its key in PEM form"},
		{"level", []string{"LOG_LEVEL", "loud"}, `LOG_LEVEL is "loud": debug, info, warn or error is needed`},
		{"format", []string{"LOG_FORMAT", "xml"}, `LOG_FORMAT is "xml": json or console is needed`},
		{"two at once", []string{"LOG_LEVEL", "loud", "ADMIN_TOKEN", "hush"},
			"ADMIN_TOKEN has 4 characters: at least 24 are needed, and 'umbral secret' makes some\nLOG_LEVEL is \"loud\": debug, info, warn or error is needed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := LoadSettings(vars(test.pairs...), nil)
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "hush") {
				t.Error("a secret is shown")
			}
		})
	}
}

func TestServeNeedsAreNamedAllAtOnce(t *testing.T) {
	_, err := LoadSettings(vars(), nil, ServeNeeds()...)
	for _, name := range []string{"UPSTREAM_URL", "REDIS_URL", "EDGE_SECRETS"} {
		if err == nil || !strings.Contains(err.Error(), name+" is not set: ") {
			t.Errorf("%s is missing from %v", name, err)
		}
	}
}

func TestSecretsFromFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(secretA + "\r\n\n" + secretB + "\n")
	s, err := LoadSettings(vars("EDGE_SECRETS", "file:"+path), nil)
	if err != nil || len(s.EdgeSecrets) != 2 || s.EdgeSecrets[1].Reveal() != secretB || s.EdgeSecretsFile != path {
		t.Fatalf("got %d secrets, %v", len(s.EdgeSecrets), err)
	}
	write(secretB)
	if again, err := s.ReadSecrets(); err != nil || len(again) != 1 || again[0].Reveal() != secretB {
		t.Errorf("read again: %v", err)
	}
	write("hush")
	if _, err := s.ReadSecrets(); err == nil || strings.Contains(err.Error(), "hush") || !strings.HasPrefix(err.Error(), "EDGE_SECRETS number 1 has 4 bytes") {
		t.Errorf("read again: %v", err)
	}
}

func TestKeyPair(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{"cert": {Type: "CERTIFICATE", Bytes: cert}, "key": {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := LoadSettings(vars("TLS_CERT", filepath.Join(dir, "cert"), "TLS_KEY", filepath.Join(dir, "key")), nil); err != nil {
		t.Error(err)
	}
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	s, err := LoadSettings(vars("EDGE_SECRETS", secretA, "ADMIN_TOKEN", token24, "REDIS_URL", "redis://u:hush@h"), nil)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %q %x", s, *s, *s, s.AdminToken, s.EdgeSecrets, s.RedisURL), string(encoded)} {
		for _, secret := range []string{secretA, token24, "hush", fmt.Sprintf("%x", "hush")} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is shown in %s", secret, text)
			}
		}
	}
}

func TestRedactURL(t *testing.T) {
	for raw, want := range map[string]string{
		"redis://u:hush@h:6379/2?sentinel_password=hush": "redis://h:6379/2",
		"unix:///run/redis.sock":                         "unix:///run/redis.sock",
		"embedded:":                                      "embedded:",
		"redis://:hu#sh@h:x":                             "[hidden]",
		"":                                               "",
	} {
		if got := RedactURL(raw); got != want {
			t.Errorf("%s: got %s, want %s", raw, got, want)
		}
	}
}

func TestFlagNames(t *testing.T) {
	for _, v := range Variables() {
		if v.Name == "REDIS_MAX_CONNECTIONS" && v.Flag() != "redis-max-connections" {
			t.Error(v.Flag())
		}
		if v.Usage == "" {
			t.Error(v.Name, "has no usage")
		}
	}
}

package config

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Settings is what environment and flags say, checked. The zero Settings is
// of no use: see [LoadSettings].
type Settings struct {
	Listen, AdminListen string
	// AdminToken is empty where none is set: admin then refuses all but
	// /healthz and /readyz.
	AdminToken Secret
	// Upstreams are http or https URLs without a path, or unix:///path.
	Upstreams []*url.URL
	// RedisURL may hold a password: print it by [RedactURL] only.
	RedisURL  Secret
	RedisMode string // single, sentinel or cluster
	// SessionsRedisURL equals RedisURL where it is not set.
	SessionsRedisURL    Secret
	RedisMaxConnections int
	RedisConnectTimeout time.Duration
	RedisTimeout        time.Duration
	CacheKeyPrefix      string
	CacheTimeout        time.Duration
	// MemoryCacheBytes is 0 where the memory tier is off.
	MemoryCacheBytes int64
	// EdgeSecrets: the first signs, all verify.
	EdgeSecrets []Secret
	// EdgeSecretsFile is the PATH of "file:PATH", else "": see
	// [ReadSecrets].
	EdgeSecretsFile string
	RoutesFile      string
	CookieSecure    bool
	TrustedProxies  []netip.Prefix
	TLSCert, TLSKey string
	LogLevel        string // debug, info, warn or error
	LogFormat       string // json or console
	AccessLog       bool

	named map[string]bool
}

// Lookup finds a variable by its name, such as os.LookupEnv does.
type Lookup func(name string) (value string, ok bool)

// Variable is one setting, for flags and their help.
type Variable struct {
	// Name is that of the environment.
	Name string
	// Default is "" where there is none.
	Default string
	Usage   string
	// Required by serve.
	Required bool
}

// Flag is the name of the flag that wins over the variable: LISTEN, --listen.
func (v Variable) Flag() string {
	return strings.ToLower(strings.ReplaceAll(v.Name, "_", "-"))
}

var variables = []Variable{
	{Name: "LISTEN", Default: ":8080", Usage: "where visitors come in"},
	{Name: "ADMIN_LISTEN", Default: "127.0.0.1:8081", Usage: "admin API, metrics and dashboard"},
	{Name: "ADMIN_TOKEN", Usage: "bearer token of the admin API, at least 24 characters, or file:PATH"},
	{Name: "UPSTREAM_URL", Required: true, Usage: "the app, such as http://web:8000; several, comma-separated, are balanced"},
	{Name: "REDIS_URL", Required: true, Usage: "redis://, rediss:// or unix://, or embedded: for trying out"},
	{Name: "REDIS_MODE", Default: "single", Usage: "single, sentinel or cluster"},
	{Name: "SESSIONS_REDIS_URL", Usage: "Redis for sessions, one that does not evict (default REDIS_URL)"},
	{Name: "REDIS_MAX_CONNECTIONS", Default: "50", Usage: "pool size"},
	{Name: "REDIS_CONNECT_TIMEOUT", Default: "5s", Usage: "longest time to connect to Redis"},
	{Name: "REDIS_TIMEOUT", Default: "500ms", Usage: "longest time that anything waits for Redis"},
	{Name: "CACHE_KEY_PREFIX", Default: "certificados", Usage: "every key written to Redis begins with PREFIX:edge:"},
	{Name: "CACHE_TIMEOUT", Default: "300", Usage: "seconds that a page of a listed route without ttl is fresh"},
	{Name: "MEMORY_CACHE_BYTES", Default: "256MiB", Usage: "size of the memory tier; 0 turns it off"},
	{Name: "EDGE_SECRETS", Required: true, Usage: "secrets, comma-separated or file:PATH, at least 32 bytes each; the first signs, all verify"},
	{Name: "ROUTES_FILE", Default: "routes.yaml", Usage: "the rules; re-read on change and on SIGHUP"},
	{Name: "COOKIE_SECURE", Default: "true", Usage: "false only for plain-http development"},
	{Name: "TRUSTED_PROXIES", Usage: "CIDRs whose X-Forwarded-For is believed, comma-separated"},
	{Name: "TLS_CERT", Usage: "certificate file, to serve HTTPS with HTTP/2"},
	{Name: "TLS_KEY", Usage: "key file of TLS_CERT"},
	{Name: "LOG_LEVEL", Default: "info", Usage: "debug, info, warn or error"},
	{Name: "LOG_FORMAT", Default: "json", Usage: "json or console"},
	{Name: "ACCESS_LOG", Default: "on", Usage: "on or off"},
}

// Variables are all settings, in the order of the documentation.
func Variables() []Variable { return slices.Clone(variables) }

// Named reports whether environment or flags name the setting, the default
// aside.
func (s *Settings) Named(name string) bool { return s.named[name] }

// Options is what the settings have to do with routes.yaml.
func (s *Settings) Options() Options {
	return Options{TTL: s.CacheTimeout, PlainHTTP: !s.CookieSecure}
}

// ServeNeeds are the settings that serve cannot do without.
func ServeNeeds() []string {
	var names []string
	for _, v := range variables {
		if v.Required {
			names = append(names, v.Name)
		}
	}
	return names
}

// LoadSettings reads every setting: from flags where they name it (nil: there
// are none), else from env, else the default. A value that is empty counts as
// not named, which is how compose files pass what is not set. What is wrong
// comes back as [Faults], all of it; needs are settings that must be named.
func LoadSettings(env, flags Lookup, needs ...string) (*Settings, error) {
	s := &Settings{named: make(map[string]bool)}
	r := &settingsReader{env: env, flags: flags, named: s.named}
	s.Listen = r.address("LISTEN")
	s.AdminListen = r.address("ADMIN_LISTEN")
	s.AdminToken = r.token("ADMIN_TOKEN")
	s.Upstreams = r.upstreams("UPSTREAM_URL")
	s.RedisMode = r.oneOf("REDIS_MODE", "single", "sentinel", "cluster")
	s.RedisURL = r.redis("REDIS_URL", s.RedisMode)
	s.SessionsRedisURL = r.redis("SESSIONS_REDIS_URL", s.RedisMode)
	if s.SessionsRedisURL == "" {
		s.SessionsRedisURL = s.RedisURL
	}
	s.RedisMaxConnections = r.number("REDIS_MAX_CONNECTIONS", 1, 10_000)
	s.RedisConnectTimeout = r.duration("REDIS_CONNECT_TIMEOUT", time.Millisecond, time.Minute)
	s.RedisTimeout = r.duration("REDIS_TIMEOUT", time.Millisecond, time.Minute)
	s.CacheKeyPrefix = r.prefix("CACHE_KEY_PREFIX")
	s.CacheTimeout = r.seconds("CACHE_TIMEOUT")
	s.MemoryCacheBytes = r.memory("MEMORY_CACHE_BYTES")
	s.EdgeSecrets, s.EdgeSecretsFile = r.secrets("EDGE_SECRETS")
	s.RoutesFile, _ = r.text("ROUTES_FILE")
	s.CookieSecure = r.toggle("COOKIE_SECURE")
	s.TrustedProxies = r.prefixes("TRUSTED_PROXIES")
	s.TLSCert, _ = r.text("TLS_CERT")
	s.TLSKey, _ = r.text("TLS_KEY")
	s.LogLevel = r.oneOf("LOG_LEVEL", "debug", "info", "warn", "error")
	s.LogFormat = r.oneOf("LOG_FORMAT", "json", "console")
	s.AccessLog = r.toggle("ACCESS_LOG")
	for _, name := range needs {
		if !s.named[name] {
			r.fault("%s is not set: %s", name, variable(name).Usage)
		}
	}
	r.contradictions(s)
	return s, r.faults.err()
}

func variable(name string) Variable {
	for _, v := range variables {
		if v.Name == name {
			return v
		}
	}
	panic("config: no such setting: " + name)
}

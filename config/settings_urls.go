package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// upstreams reads http and https URLs of a host, and unix:///path of a socket.
func (r *settingsReader) upstreams(name string) (list []*url.URL) {
	v, ok := r.text(name)
	if !ok {
		return nil
	}
	for i, part := range strings.Split(v, ",") {
		which := name
		if strings.Contains(v, ",") {
			which = fmt.Sprintf("%s, number %d,", name, i+1)
		}
		u, err := url.Parse(strings.TrimSpace(part))
		switch {
		case err == nil && u.Scheme == "unix" && u.Host == "" && strings.HasPrefix(u.Path, "/") && u.RawQuery == "" && u.Fragment == "":
			list = append(list, &url.URL{Scheme: "unix", Path: u.Path})
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
			r.fault("%s is not a URL such as http://web:8000", which)
		case u.User != nil:
			r.fault("%s holds a user name or a password, which the app would never see", which)
		case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
			r.fault("%s has a path: visitors' paths go up as they come, so name the host and the port alone", which)
		case !goodPort(u):
			r.fault("%s names port %s: from 1 to 65535 is possible", which, u.Port())
		case slices.ContainsFunc(list, func(o *url.URL) bool { return o.Scheme == u.Scheme && dialled(o) == dialled(u) }):
			r.fault("%s is named twice", which)
		default:
			list = append(list, &url.URL{Scheme: u.Scheme, Host: u.Host})
		}
	}
	return list
}

// goodPort reports whether a URL's port, if it has one, can be dialled.
func goodPort(u *url.URL) bool {
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return u.Port() == "" || err == nil && port > 0
}

// dialled is the address that an http or https URL leads to.
func dialled(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// Embedded is the REDIS_URL of the in-process Redis, for trying out.
const Embedded = "embedded:"

func (r *settingsReader) redis(name, mode string) Secret {
	v, ok := r.text(name)
	if !ok {
		return ""
	}
	if err := checkRedisURL(v, mode); err != nil {
		r.fault("%s %v", name, err)
	}
	return Secret(v)
}

// checkRedisURL asks go-redis whether it understands the URL. Its own errors
// quote parts of the URL, and so perhaps of the password: they are not shown.
func checkRedisURL(raw, mode string) error {
	if raw == Embedded {
		if mode != "single" {
			return fmt.Errorf("is embedded:, which is a single Redis, and REDIS_MODE is %s", mode)
		}
		return nil
	}
	scheme, _, _ := strings.Cut(raw, "://")
	var err error
	switch mode {
	case "cluster":
		_, err = redis.ParseClusterURL(raw)
	case "sentinel":
		var o *redis.FailoverOptions
		if o, err = redis.ParseFailoverURL(raw); err == nil && o.MasterName == "" {
			err = errors.New("no master_name")
		}
	default:
		_, err = redis.ParseURL(raw)
	}
	switch {
	case err == nil && scheme != "unix":
		return checkRedisAddress(raw, mode)
	case err == nil:
		return nil
	case !slices.Contains([]string{"redis", "rediss", "unix"}, scheme):
		return errors.New("is neither embedded: nor a redis://, rediss:// or unix:// URL")
	case scheme == "unix" && mode != "single":
		return fmt.Errorf("is a socket, which is a single Redis, and REDIS_MODE is %s", mode)
	case mode == "sentinel":
		return errors.New("is not what go-redis reads for Sentinel: redis://:password@host:26379/0?master_name=mymaster&addr=host2:26379")
	case mode == "cluster":
		return errors.New("is not what go-redis reads for a cluster: redis://:password@host:6379?addr=host2:6379")
	}
	return errors.New("is not what go-redis reads: redis://user:password@host:6379/0, with special characters of the password percent-encoded")
}

// checkRedisAddress finds what go-redis takes and then cannot use. It is for
// what go-redis has read.
func checkRedisAddress(raw, mode string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return nil
	}
	for _, address := range append(u.Query()["addr"], u.Host) {
		if a := (&url.URL{Host: address}); !goodPort(a) {
			return fmt.Errorf("names port %s: from 1 to 65535 is possible", a.Port())
		}
	}
	if db := strings.Trim(u.Path, "/"); mode == "cluster" && db != "" && db != "0" {
		return errors.New("names a database, and a cluster has only number 0")
	}
	return nil
}

// RedactURL is the URL without user, password and query, for people to read.
func RedactURL(raw string) string {
	if raw == Embedded || raw == "" {
		return raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return hidden
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"umbral/cachepolicy"
)

// Least lengths, in bytes.
const (
	minSecret = 32
	minToken  = 24
	// maxSecrets bounds a file of secrets, and minMemory the memory tier.
	maxSecrets = 64 << 10
	minMemory  = 1 << 20
)

// settingsReader reads settings one by one and gathers faults. No message of
// it holds the value of anything that may be secret.
type settingsReader struct {
	env, flags Lookup
	named      map[string]bool
	faults     Faults
}

func (r *settingsReader) fault(format string, args ...any) {
	r.faults = append(r.faults, Fault{Message: fmt.Sprintf(format, args...)})
}

// text is the setting's value or its default; false where it is not named.
func (r *settingsReader) text(name string) (string, bool) {
	for _, lookup := range []Lookup{r.flags, r.env} {
		if lookup == nil {
			continue
		}
		if v, ok := lookup(name); ok && strings.TrimSpace(v) != "" {
			r.named[name] = true
			return strings.TrimSpace(v), true
		}
	}
	return variable(name).Default, false
}

func (r *settingsReader) oneOf(name string, words ...string) string {
	v, _ := r.text(name)
	if !slices.Contains(words, v) {
		r.fault("%s is %s: %s is needed", name, quoted(v), anyOf(words))
	}
	return v
}

func (r *settingsReader) toggle(name string) bool {
	v, _ := r.text(name)
	on, err := parseSwitch(strings.ToLower(v))
	if err != nil {
		r.fault("%s is %s: %s is needed", name, quoted(v), anyOf([]string{"true", "false", "on", "off"}))
	}
	return on
}

func (r *settingsReader) number(name string, low, high int) int {
	v, _ := r.text(name)
	n, err := strconv.Atoi(v)
	if err != nil || !isDigits(v) || n < low || n > high {
		r.fault("%s is %s: a whole number from %d to %d is needed", name, quoted(v), low, high)
	}
	return n
}

func (r *settingsReader) duration(name string, low, high time.Duration) time.Duration {
	v, _ := r.text(name)
	d, err := ParseDuration(v)
	if err != nil {
		r.fault("%s: %v", name, err)
	} else if d < low || d > high {
		r.fault("%s is %s: from %s to %s is possible", name, v, FormatDuration(low), FormatDuration(high))
	}
	return d
}

// seconds reads a number of seconds, or a duration.
func (r *settingsReader) seconds(name string) time.Duration {
	v, _ := r.text(name)
	if isDigits(v) {
		v += "s"
	}
	d, err := ParseDuration(v)
	if err != nil || d < time.Second || d > cachepolicy.MaxLife {
		r.fault("%s is %s: seconds, from 1 to %d, are needed", name, quoted(strings.TrimSuffix(v, "s")), int(cachepolicy.MaxLife/time.Second))
	}
	return d
}

func (r *settingsReader) memory(name string) int64 {
	v, _ := r.text(name)
	n, err := ParseSize(v)
	if err != nil {
		r.fault("%s: %v", name, err)
	} else if n > 0 && n < minMemory {
		r.fault("%s is %d bytes: 0 turns the memory tier off, else at least 1MiB is needed", name, n)
	}
	return n
}

func (r *settingsReader) address(name string) string {
	v, _ := r.text(name)
	host, port, err := net.SplitHostPort(v)
	_, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || !isDigits(port) || strings.ContainsAny(host, "/@ ") {
		r.fault("%s is %s: an address such as :8080 or 127.0.0.1:8081 is needed", name, quoted(v))
	}
	return v
}

func (r *settingsReader) prefix(name string) string {
	v, _ := r.text(name)
	if len(v) > 64 || strings.ContainsFunc(v, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(`{}[]*?\`, c) }) {
		r.fault("%s is %s: at most 64 letters, digits, dots, dashes, underscores and colons are needed", name, quoted(v))
	}
	return v
}

func (r *settingsReader) prefixes(name string) (list []netip.Prefix) {
	v, ok := r.text(name)
	if !ok {
		return nil
	}
	for _, part := range strings.Split(v, ",") {
		part = strings.TrimSpace(part)
		p, err := netip.ParsePrefix(part)
		if addr, aerr := netip.ParseAddr(part); aerr == nil && addr.Zone() == "" {
			p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			r.fault("%s: %s is not a network such as 10.0.0.0/8", name, quoted(part))
			continue
		}
		list = append(list, p.Masked())
	}
	return list
}

// secretText is the value, or the content of the file that "file:PATH" names.
func (r *settingsReader) secretText(name string) (text, path string, ok bool) {
	v, ok := r.text(name)
	if !ok {
		return "", "", false
	}
	path, isFile := strings.CutPrefix(v, "file:")
	if !isFile {
		return v, "", true
	}
	data, err := readBounded(path, maxSecrets)
	if err != nil {
		r.fault("%s: file %s: %v", name, quoted(path), err)
		return "", path, false
	}
	return string(data), path, true
}

func (r *settingsReader) token(name string) Secret {
	text, _, ok := r.secretText(name)
	if !ok {
		return ""
	}
	text = strings.TrimSpace(text)
	if len(text) < minToken {
		r.fault("%s has %d characters: at least %d are needed, and 'umbral secret' makes some", name, len(text), minToken)
	} else if strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		r.fault("%s holds spaces or characters outside ASCII, which no Authorization header carries", name)
	}
	return Secret(text)
}

func (r *settingsReader) secrets(name string) ([]Secret, string) {
	text, path, ok := r.secretText(name)
	if !ok {
		return nil, path
	}
	secrets, err := splitSecrets(text)
	if err != nil {
		r.fault("%s %v", name, err)
	}
	return secrets, path
}

// ReadSecrets reads EDGE_SECRETS again where they are in a file, for a reload.
// Its error is one sentence that holds no secret.
func (s *Settings) ReadSecrets() ([]Secret, error) {
	if s.EdgeSecretsFile == "" {
		return s.EdgeSecrets, nil
	}
	data, err := readBounded(s.EdgeSecretsFile, maxSecrets)
	if err != nil {
		return nil, fmt.Errorf("EDGE_SECRETS: file %s: %w", quoted(s.EdgeSecretsFile), err)
	}
	secrets, err := splitSecrets(string(data))
	if err != nil {
		return nil, fmt.Errorf("EDGE_SECRETS %w", err)
	}
	return secrets, nil
}

func splitSecrets(text string) ([]Secret, error) {
	var secrets []Secret
	for _, part := range strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == '\n' || c == '\r' }) {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		if part[0] == '#' {
			return nil, fmt.Errorf("number %d begins with #: comments have no place among them", len(secrets)+1)
		}
		if len(part) < minSecret {
			return nil, fmt.Errorf("number %d has %d bytes: at least %d are needed, and 'umbral secret' makes one", len(secrets)+1, len(part), minSecret)
		}
		if i := slices.Index(secrets, Secret(part)); i >= 0 {
			return nil, fmt.Errorf("number %d is the same as number %d", len(secrets)+1, i+1)
		}
		secrets = append(secrets, Secret(part))
	}
	if len(secrets) == 0 {
		return nil, errors.New("holds no secret: 'umbral secret' makes one")
	}
	return secrets, nil
}

// contradictions looks at settings that cannot hold together. What is faulty
// by itself has been said before.
func (r *settingsReader) contradictions(s *Settings) {
	switch {
	case s.TLSCert != "" && s.TLSKey == "":
		r.fault("TLS_CERT is set and TLS_KEY is not: HTTPS needs both")
	case s.TLSKey != "" && s.TLSCert == "":
		r.fault("TLS_KEY is set and TLS_CERT is not: HTTPS needs both")
	case s.TLSCert != "":
		r.keyPair(s)
	}
	if meet(s.Listen, s.AdminListen) {
		r.fault("ADMIN_LISTEN (%s) and LISTEN (%s) are the same port: admin is never on the public listener", s.AdminListen, s.Listen)
	}
	for _, u := range s.Upstreams {
		for _, own := range []struct{ name, address string }{{"LISTEN", s.Listen}, {"ADMIN_LISTEN", s.AdminListen}} {
			if isLoopback(u.Hostname()) && meet(dialled(u), own.address) {
				r.fault("UPSTREAM_URL (%s) is %s: the edge would forward to itself", u, own.name)
			}
		}
	}
	if s.AdminToken != "" && slices.Contains(s.EdgeSecrets, s.AdminToken) {
		r.fault("ADMIN_TOKEN is one of EDGE_SECRETS: who knows the one must not know the other")
	}
}

// keyPair looks whether certificate and key can be read and belong together.
func (r *settingsReader) keyPair(s *Settings) {
	readable := true
	for _, f := range []struct{ name, path string }{{"TLS_CERT", s.TLSCert}, {"TLS_KEY", s.TLSKey}} {
		if _, err := readBounded(f.path, 1<<20); err != nil {
			r.fault("%s: file %s: %v", f.name, quoted(f.path), err)
			readable = false
		}
	}
	if !readable {
		return
	}
	if _, err := tls.LoadX509KeyPair(s.TLSCert, s.TLSKey); err != nil {
		r.fault("TLS_CERT and TLS_KEY are not a certificate and its key in PEM form")
	}
}

// meet reports whether two addresses cannot both be listened on. Port 0 is a
// free port each time.
func meet(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return numeric(hostA) == numeric(hostB) || isAny(hostA) || isAny(hostB)
}

func numeric(host string) string {
	if host == "localhost" {
		return "127.0.0.1"
	}
	return host
}

func isAny(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.IsUnspecified()
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

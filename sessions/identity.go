package sessions

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// identify asks the configured source who the jar's session belongs to, "" if
// that is not known. It fails towards "": such a visitor's pages are keyed by
// the session.
func (t *Terminator) identify(ctx context.Context, req *http.Request, jar []cookie) (uid string) {
	var err error
	switch t.opt().Identity.Source {
	case SourceProbe:
		uid, err = t.askApp(ctx, req, jar)
	case SourceDjango:
		uid, err = t.askDjango(ctx, jar)
	default:
		return ""
	}
	if err != nil {
		t.count(BadIdentity)
		t.warn("the user of a session could not be found out", err)
		return ""
	}
	if uid != "" && !validUID(uid) || uid == "anonymous" {
		t.count(BadIdentity)
		return ""
	}
	return uid
}

// mostProbe bounds the probe's answer.
const mostProbe = 64 << 10

// askApp GETs the probe's URL with the jar.
func (t *Terminator) askApp(ctx context.Context, req *http.Request, jar []cookie) (string, error) {
	o := t.opt().Identity
	ctx, cancel := context.WithTimeout(ctx, o.ProbeTimeout)
	defer cancel()
	host := t.opt().Upstream
	if req != nil {
		host = requestHost(req)
	}
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://edge.invalid"+o.ProbeURL, nil)
	if err != nil {
		return "", err
	}
	ask.Host = host
	ask.Header.Set("Accept", "application/json")
	line, _ := cookieLine(jar, ask.URL.EscapedPath(), t.opt().Now().UnixMilli(), nil, t.opt().Cookies.Auth, t.opt().Limits.CookieHeader)
	if line != "" {
		ask.Header.Set("Cookie", line)
	}
	answer, err := t.opt().Probe(ctx, ask)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, mostProbe+1))
	if err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusOK || len(body) > mostProbe {
		return "", nil
	}
	return pointTo(body, o.ProbePointer), nil
}

// pointTo is the string or integer at pointer (RFC 6901) in a JSON text, ""
// if there is none.
func pointTo(text []byte, pointer string) string {
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return ""
	}
	if pointer != "" {
		for _, part := range strings.Split(pointer[1:], "/") {
			part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
			switch x := v.(type) {
			case map[string]any:
				v = x[part]
			case []any:
				i, err := strconv.Atoi(part)
				if err != nil || i < 0 || i >= len(x) || part != strconv.Itoa(i) {
					return ""
				}
				v = x[i]
			default:
				return ""
			}
		}
	}
	switch x := v.(type) {
	case string:
		return x
	case json.Number:
		if _, err := strconv.ParseInt(string(x), 10, 64); err == nil {
			return string(x)
		}
	}
	return ""
}

// askDjango reads the app's own session from its cache: the one read outside
// our prefix.
func (t *Terminator) askDjango(ctx context.Context, jar []cookie) (string, error) {
	o := t.opt().Identity
	at := slices.IndexFunc(jar, func(c cookie) bool { return slices.Contains(t.opt().Cookies.Auth, c.name) })
	if at < 0 || !djangoKey(jar[at].value) {
		return "", nil
	}
	ctx, cancel := t.within(ctx)
	defer cancel()
	blob, err := o.Django.Get(ctx, strings.ReplaceAll(o.DjangoKey, "{sessionid}", jar[at].value)).Bytes()
	if err != nil {
		return "", err
	}
	return djangoUser(blob)
}

// djangoKey: a session key of Django is letters and digits, and so cannot
// turn the key that is read into another.
func djangoKey(s string) bool {
	return len(s) >= 8 && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

// reidentify asks the probe again, where it was asked longer ago than
// probe.every. It runs behind the request.
func (t *Terminator) reidentify(r *record, now int64) {
	if t.opt().Identity.Source != SourceProbe || r.meta.signedIn == 0 {
		return
	}
	last := r.identified.Load()
	if now-last < t.opt().Identity.ProbeEvery.Milliseconds() || !r.identified.CompareAndSwap(last, now) {
		return
	}
	t.spawn(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, 2*t.opt().Identity.ProbeTimeout)
		defer cancel()
		uid, err := t.askApp(ctx, nil, r.jar)
		if err != nil || uid == r.meta.user || uid == "anonymous" || uid != "" && !validUID(uid) {
			return
		}
		t.setUser(ctx, r, uid)
	})
}

// setUser writes another user into the record: the meta data alone, and only
// if nobody else has.
func (t *Terminator) setUser(ctx context.Context, r *record, uid string) {
	next := r.clone()
	next.meta.user, next.meta.generation, next.meta.identified = uid, "", t.opt().Now().UnixMilli()
	if uid != "" {
		g, err := t.register(ctx, next, nil)
		if err != nil {
			return
		}
		next.meta.generation = g
	}
	t.local.drop(r.id)
	args := []any{strconv.FormatUint(r.version, 10), 0, 1 << 16, "s", fieldMeta, next.sealMeta()}
	done, err := t.run(ctx, scriptWrite, t.recordKey(r.id), args...).Int64Slice()
	t.local.drop(r.id)
	if err != nil || len(done) != 2 || done[1] == 0 {
		// Gone, or written to meanwhile: the next request asks again.
		t.unregister(ctx, next)
		if err != nil {
			t.count(RedisError)
		}
		return
	}
	t.unregister(ctx, &record{meta: meta{signedIn: 1}, session: r.session, userKey: r.userKey})
	end := End{Sessions: []string{r.session}}
	if r.owner != "" {
		end.Users = []string{r.owner}
	}
	t.ended(ctx, end)
}

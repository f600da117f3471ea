package sessions

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// keepAnonymous keeps the cookies of somebody who has not signed in: sealed
// into the cookie where they fit, else in a record, where the limits allow.
func (v *Visitor) keepAnonymous(ctx context.Context, req *http.Request, p *plan, data []datum) error {
	if p.empty() && len(data) == 0 || v.finished {
		return nil
	}
	ctx, done := v.within(ctx)
	defer done()
	next, _ := v.apply(v.jar(), p)
	fits := len(data) == 0
	for i := range next {
		fits = fits && slices.Contains(v.t.opt().Cookies.Sealed, next[i].name)
	}
	if fits && v.seal(ctx, next) || v.overtaken(ctx) {
		return nil
	}
	if v.t.admit(ctx, v.ip.String()) {
		err := v.begin(ctx, next, data, meta{created: v.at})
		if err == nil {
			return nil
		}
		if !errors.Is(err, ErrUnavailable) {
			return err
		}
	}
	// Without a record: what can be sealed is.
	v.seal(ctx, slices.DeleteFunc(next, func(c cookie) bool {
		return !slices.Contains(v.t.opt().Cookies.Sealed, c.name)
	}))
	return nil
}

// seal puts the jar into the browser's cookie; false where it is too long.
func (v *Visitor) seal(ctx context.Context, jar []cookie) bool {
	t := v.t
	j := &sealedJar{cookies: jar}
	if v.sealed != nil && v.mode == inSealed {
		j.visitor = v.sealed.visitor
	} else {
		random(j.visitor[:])
	}
	value, persist := "", time.Duration(0)
	if len(jar) > 0 {
		var ok bool
		if value, ok = t.first().sealJar(t.opt().CookieName, j); !ok {
			return false
		}
		for i := range jar {
			persist = max(persist, time.Duration(jar[i].expires-v.at)*time.Millisecond)
		}
		persist = min(persist, t.opt().Lifetime.Absolute)
	} else if v.mode == inNothing {
		v.sealed, v.digest = nil, ""
		return true
	}
	if v.overtaken(ctx) {
		return true
	}
	v.sealed, v.digest = j, ""
	v.out = t.opt().setCookie(value, persist)
	return true
}

// overtaken reports that the holder of this cookie, which is nobody's session,
// has signed in while the app was working: then nothing may be set, for it
// would take the session's place in the browser. A request that took longer
// than the sign-in is remembered is taken for overtaken.
func (v *Visitor) overtaken(ctx context.Context) bool {
	t := v.t
	var i id
	switch {
	case v.silent:
		return true
	case v.mode == inSealed:
		i = v.secret.visitorID(v.sealed.visitor)
	case v.mode == inSession && v.gone:
		i = v.secret.id(&v.token)
	default:
		return false
	}
	late := t.opt().Now().UnixMilli()-v.at > tombstoneLife.Milliseconds()
	if !late && !t.isDown() {
		value, err := t.tomb(ctx, i)
		late = err == nil && strings.HasPrefix(value, tombstone)
	}
	if late {
		v.silent = true
		t.count(LateAnswer)
	}
	return late
}

// reseal renews a sealed cookie that has aged, or that another secret made.
func (v *Visitor) reseal(ctx context.Context) {
	live := slices.DeleteFunc(slices.Clone(v.sealed.cookies), func(c cookie) bool { return !c.live(v.at) })
	v.seal(ctx, live)
}

// expose lets the browser see the cookies that expose names, as the app sent
// them, without Domain and HttpOnly.
func (v *Visitor) expose(lines []string, req *http.Request) {
	o := v.t.opt()
	if len(o.Cookies.Expose) == 0 || v.finished {
		return
	}
	for _, line := range lines {
		c, ok := parseSetCookie(line, requestHost(req), req.URL.EscapedPath(), o.Now())
		if !ok || !slices.Contains(o.Cookies.Expose, c.name) || c.name == o.CookieName {
			continue
		}
		out := http.Cookie{Name: c.name, Value: c.value, Path: c.path, Secure: o.CookieSecure, SameSite: http.SameSiteLaxMode}
		if c.remove {
			out.Value, out.MaxAge = "", -1
		} else if c.life > 0 {
			out.MaxAge = int(max(c.life/1000, 1))
		}
		if s := out.String(); s != "" {
			v.also = append(v.also, s)
		}
	}
}

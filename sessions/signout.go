package sessions

import (
	"context"
	"net/http"
	"slices"
)

// signOut ends the session: the record goes, its person's pages are
// unreachable, and the browser keeps only what can be sealed.
func (v *Visitor) signOut(ctx context.Context, p *plan, all bool) error {
	t, r := v.t, v.rec
	next, _ := v.apply(r.jar, p)
	short, done := v.within(ctx) // not for the other edges' word, and a user's many sessions
	defer done()
	_, was, err := t.retire(short, r.id, tombstone, false)
	if err != nil {
		return err
	}
	t.watch.push(r.id)
	if was == buried {
		v.rec, v.gone, v.silent = nil, true, true
		return nil
	}
	t.unregister(short, r)
	t.count(Ended)
	end := End{Sessions: []string{r.session}}
	if r.owner != "" {
		end.Users = []string{r.owner}
	}
	t.ended(ctx, end)
	if all && r.meta.user != "" {
		_, end, err := t.revokeUser(ctx, r.meta.user, true, "")
		t.ended(ctx, end)
		if err != nil {
			return err
		}
	}
	v.rec, v.gone = nil, true
	if v.finished {
		return nil
	}
	v.forget = true
	v.mode = inNothing
	v.seal(ctx, slices.DeleteFunc(next, func(c cookie) bool {
		return !slices.Contains(t.opt().Cookies.Sealed, c.name) || slices.Contains(t.opt().Cookies.Auth, c.name)
	}))
	if v.sealed == nil {
		v.out = t.opt().setCookie("", 0)
	}
	return nil
}

// signOutOthers ends the user's other sessions.
func (v *Visitor) signOutOthers(ctx context.Context) error {
	if v.rec.meta.user == "" {
		return nil
	}
	_, end, err := v.t.revokeUser(ctx, v.rec.meta.user, false, v.rec.session)
	v.t.ended(ctx, end)
	return err
}

// settleAdoption decides on cookies that were taken from the browser: they
// become a session once the app has answered without taking back or replacing
// the one in auth; the browser's own copies then expire.
func (v *Visitor) settleAdoption(ctx context.Context, req *http.Request, resp *http.Response, p *plan, ctl *control) error {
	t := v.t
	v.adopting = false
	adopted := v.sealed.cookies
	for _, c := range adopted {
		gone := http.Cookie{Name: c.name, Path: "/", MaxAge: -1}
		if !slices.Contains(t.opt().Cookies.Expose, c.name) {
			v.also = append(v.also, gone.String())
		}
	}
	if p.leftAuth || p.newAuth || resp.StatusCode >= 500 {
		v.sealed, v.digest = nil, ""
		if resp.StatusCode >= 500 && !p.changed() {
			v.also = nil // the next request tries again
			return nil
		}
		if p.leftAuth {
			p.remove = nil
		}
		return v.absorb(ctx, req, p, ctl)
	}
	next, _ := v.apply(adopted, p)
	uid := ctl.user
	if uid == "" {
		uid = t.identify(ctx, req, next)
	}
	v.sealed = nil
	ctx, done := v.within(ctx)
	defer done()
	err := v.begin(ctx, next, ctl.data, meta{created: v.at, signedIn: v.at, user: uid, identified: v.at})
	if err != nil {
		v.also, v.sealed = nil, &sealedJar{cookies: adopted}
	}
	return err
}

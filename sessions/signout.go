package sessions

import (
	"context"
	"net/http"
	"slices"
	"strings"
)

// signOut ends the session: the record goes, its person's pages are
// unreachable, and the browser keeps only what can be sealed. how is keep where
// the app has said no more than that its own cookie goes.
func (v *Visitor) signOut(ctx context.Context, p *plan, how scope) error {
	t := v.t
	short, done := v.within(ctx) // not for the other edges' word, and a user's many sessions
	defer done()
	gone, err := v.retire(short)
	if err != nil {
		return err
	}
	r := v.rec
	next, _ := v.apply(r.jar, p)
	ended := gone.was != buried
	if ended {
		t.unregister(short, r)
		t.count(Ended)
		end := End{Sessions: []string{r.session}}
		if r.owner != "" {
			end.Users = []string{r.owner}
		}
		t.ended(ctx, end)
	} else {
		if ended, err = t.signOutHeir(short, gone.tomb, how); err != nil {
			return err
		}
		next = nil // what the heir's jar is, nobody here knows
	}
	if how == everywhere && r.meta.user != "" {
		_, end, err := t.revokeUser(ctx, r.meta.user, true, "")
		t.ended(ctx, end)
		if err != nil {
			return err
		}
	}
	if !ended {
		v.rec, v.gone, v.silent = nil, true, true
		return nil
	}
	v.leave(ctx, next)
	return nil
}

// retire puts a tombstone in the place of the visitor's record, or of the one
// that it has moved to meanwhile, which is then the visitor's.
func (v *Visitor) retire(ctx context.Context) (retired, error) {
	t := v.t
	for {
		r := v.rec
		gone, err := t.retire(ctx, r.id, tombstone, false)
		if err != nil {
			return gone, err
		}
		t.watch.push(r.id)
		if gone.was != buried {
			return gone, nil
		}
		moved, was, err := t.followed(ctx, r.secret, r.token, r.id, []byte(gone.tomb))
		if err != nil || was != found {
			return gone, err
		}
		v.rec = moved
	}
}

// leave lets the browser keep what of the jar can be sealed, and nothing of
// the session.
func (v *Visitor) leave(ctx context.Context, jar []cookie) {
	o := v.t.opt()
	v.rec, v.gone, v.silent = nil, true, false
	if v.finished {
		return
	}
	v.forget = true
	v.mode = inNothing
	v.seal(ctx, slices.DeleteFunc(jar, func(c cookie) bool {
		return !slices.Contains(o.Cookies.Sealed, c.name) || slices.Contains(o.Cookies.Auth, c.name)
	}))
	if v.sealed == nil {
		v.out = o.setCookie("", 0)
	}
}

// signOutHeir ends the session that took the place of one with that tombstone
// while the sign-out was under way. One that nobody asked for in so many words,
// but shows in a cookie that the app took away, is meant for an heir that the
// app knows by that very cookie: any other is another sign-in.
func (t *Terminator) signOutHeir(ctx context.Context, tomb string, how scope) (ended bool, err error) {
	explicit := how == current || how == everywhere
	for range mostHeirs {
		i, same, ok := heir(tomb)
		if !ok || !explicit && !same {
			break
		}
		gone, err := t.retire(ctx, i, tombstone, false)
		if err != nil {
			return false, err
		}
		t.watch.push(i)
		if gone.was == found {
			t.count(Ended)
			t.ended(ctx, t.unlist(ctx, i, gone.fields))
			return true, nil
		}
		tomb = gone.tomb
	}
	return false, nil
}

// signOutOthers ends the sessions of r's user but r, or the one that has taken
// its place by now.
func (t *Terminator) signOutOthers(ctx context.Context, r *record) error {
	if r == nil || r.meta.user == "" {
		return nil
	}
	stays, err := t.heirOf(ctx, r.id)
	if err != nil {
		return err
	}
	_, end, err := t.revokeUser(ctx, r.meta.user, false, stays.String())
	t.ended(ctx, end)
	return err
}

// carries reports whether a request took those of cookies up to the app that
// are in auth.
func carries(req *http.Request, cookies []cookie, auth []string) bool {
	line := "; " + strings.Join(req.Header["Cookie"], "; ") + "; "
	return !slices.ContainsFunc(cookies, func(c cookie) bool {
		return slices.Contains(auth, c.name) && !strings.Contains(line, "; "+c.name+"="+c.value+"; ")
	})
}

// forgetAdoption ends what is being adopted: the browser's own cookies go,
// whatever becomes of it.
func (v *Visitor) forgetAdoption() {
	v.adopting = false
	for _, c := range v.sealed.cookies {
		gone := http.Cookie{Name: c.name, Path: "/", MaxAge: -1}
		if !slices.Contains(v.t.opt().Cookies.Expose, c.name) {
			v.also = append(v.also, gone.String())
		}
	}
}

// settleAdoption decides on cookies that were taken from the browser: they
// become a session once the app has answered without taking back or replacing
// the one in auth; the browser's own copies then expire.
func (v *Visitor) settleAdoption(ctx context.Context, req *http.Request, resp *http.Response, p *plan, ctl *control) error {
	t := v.t
	adopted := v.sealed.cookies
	if !p.leftAuth && !p.newAuth && resp.StatusCode < 500 && !t.admit(ctx, v.ip.String()) {
		return nil // an app that does not look at a session vouches for any; the next request tries again
	}
	v.forgetAdoption()
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
	v.sealed, v.adopted = nil, true
	ctx, done := v.within(ctx)
	defer done()
	err := v.begin(ctx, next, ctl.data, meta{created: v.at, signedIn: v.at, user: uid, identified: v.at})
	if err != nil {
		v.also, v.sealed = nil, &sealedJar{cookies: adopted}
	}
	return err
}

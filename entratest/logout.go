package entratest

import (
	"net/http"
	"net/url"
	"slices"
)

// logout ends the browser's session and tells the applications that it signed in to, by the front
// channel (OpenID Connect Front-Channel Logout 1.0 §3).
func (t *Tenant) logout(w http.ResponseWriter, r *http.Request) error {
	if no := t.knownTenant(r); no != nil {
		return no
	}
	d := t.directory()
	s := t.sessionOf(r)
	back := r.FormValue("post_logout_redirect_uri")
	if !d.registered(back) {
		back = ""
	}
	if back != "" && r.FormValue("state") != "" {
		joint := "?"
		if u, err := url.Parse(back); err == nil && u.RawQuery != "" {
			joint = "&"
		}
		back += joint + "state=" + url.QueryEscape(r.FormValue("state"))
	}
	var frames []string
	if s != nil {
		t.remember(func(st *state) { delete(st.sessions, s.id) })
		gone := t.cookie(r, "") //nolint:gosec // see cookie
		gone.MaxAge = -1
		http.SetCookie(w, gone)
		frames = t.frontChannel(d, s, t.base(r))
	}
	if len(frames) == 0 && back != "" {
		http.Redirect(w, r, back, http.StatusFound) //nolint:gosec // only to a registered address
		return nil
	}
	return t.render(w, http.StatusOK, "logout", map[string]any{"Frames": frames, "Back": back})
}

func (t *Tenant) frontChannel(d *Directory, s *session, base string) []string {
	var frames []string
	for _, id := range s.clients {
		client := d.client(id)
		if client == nil || client.Logout == "" {
			continue
		}
		u, err := url.Parse(client.Logout)
		if err != nil {
			continue
		}
		query := u.Query()
		query.Set("sid", derivedID("session", s.id))
		query.Set("iss", issuerV2(base, t.TenantID))
		u.RawQuery = query.Encode()
		frames = append(frames, u.String())
	}
	return frames
}

// registered says whether some application has this address among its redirect URIs. Entra goes back
// to no other after a sign-out.
func (d *Directory) registered(uri string) bool {
	return uri != "" && slices.ContainsFunc(d.Apps, func(a App) bool {
		_, _, no := a.redirect(uri)
		return no == nil
	})
}

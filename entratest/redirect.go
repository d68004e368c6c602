package entratest

import (
	"net/url"
	"slices"
	"strings"
)

// redirect matches a redirect URI against the registration, platform by platform. Without one in the
// request, the only registered one is taken.
func (a *App) redirect(asked string) (string, platform, *refusal) {
	if asked == "" {
		all := slices.Concat(a.Web, a.SPA, a.Public)
		if len(all) == 0 {
			return "", "", refuse(500113)
		}
		asked = all[0]
	}
	if len(a.Web)+len(a.SPA)+len(a.Public) == 0 {
		return "", "", refuse(500113)
	}
	for _, group := range []struct {
		kind platform
		uris []string
	}{{platformSPA, a.SPA}, {platformWeb, a.Web}, {platformPublic, a.Public}} {
		if slices.ContainsFunc(group.uris, func(registered string) bool { return sameRedirect(registered, asked) }) {
			return asked, group.kind, nil
		}
	}
	return "", "", refuse(50011, asked, a.ClientID)
}

// sameRedirect is Entra's rule: byte for byte, but for http://localhost the port does not count. Path
// and case do; 127.0.0.1 is not localhost, and its port counts.
func sameRedirect(registered, asked string) bool {
	if registered == asked {
		return true
	}
	r, err := url.Parse(registered)
	if err != nil || r.Scheme != "http" || r.Hostname() != "localhost" {
		return false
	}
	a, err := url.Parse(asked)
	if err != nil || a.Scheme != "http" || a.Hostname() != "localhost" {
		return false
	}
	return withoutPort(registered, r) == withoutPort(asked, a)
}

// withoutPort is the URI as written, less the port. "http://localhost" and "http://localhost/" are one.
func withoutPort(raw string, u *url.URL) string {
	raw = strings.TrimPrefix(raw, "http://"+u.Host)
	if raw == "/" {
		raw = ""
	}
	return raw
}

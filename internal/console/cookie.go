package console

import (
	"net/http"
	"time"

	"github.com/genkan-mcp/genkan/internal/secret"
)

// tokenLen is the length of what cookies hold: 260 bits.
const tokenLen = 52

// cookies name and set what a browser keeps. The prefix __Host- ties a cookie to this very host over https (RFC
// 6265bis §4.1.3.2); on loopback http, where browsers refuse it, the cookies have another name.
type cookies struct {
	session string
	signIn  string
	secure  bool
}

func newCookies(scheme string) cookies {
	if scheme == "https" {
		return cookies{session: "__Host-genkan-console", signIn: "__Host-genkan-console-sign-in", secure: true}
	}
	return cookies{session: "genkan-console-loopback", signIn: "genkan-console-sign-in-loopback"}
}

// set gives the browser a cookie. Lax, because people come back from Entra by a link of another site.
func (c cookies) set(w http.ResponseWriter, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // not Secure on loopback http only
		Name: name, Value: value, Path: "/", MaxAge: int(life / time.Second),
		HttpOnly: true, Secure: c.secure, SameSite: http.SameSiteLaxMode,
	})
}

func (c cookies) clear(w http.ResponseWriter, name string) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // see set
		Name: name, Path: "/", MaxAge: -1, HttpOnly: true, Secure: c.secure, SameSite: http.SameSiteLaxMode,
	})
}

// get is the value of a cookie if it is there once and has the form of ours; else empty.
func (c cookies) get(r *http.Request, name string) string {
	found := r.CookiesNamed(name)
	if len(found) != 1 || !secret.IsRandom(found[0].Value, tokenLen) {
		return ""
	}
	return found[0].Value
}

package authserver

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/genkan-mcp/genkan/internal/secret"
)

// The cookies. With https their names begin with "__Host-", so that no other host and no plain connection can set
// them (RFC 6265bis §4.1.3.2); on loopback http a browser would not take such a name.
const (
	signInCookie  = "genkan-signin"
	consentCookie = "genkan-consent"
	hostPrefix    = "__Host-"

	consentCookieLife = 90 * 24 * time.Hour
	maxRemembered     = 32 // consents in a cookie, so that it stays below 4 KiB
)

func (a *AuthServer) cookieName(name string) string {
	if a.secure {
		return hostPrefix + name
	}
	return name
}

func (a *AuthServer) setCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // a.secure is false on loopback http only
		Name: a.cookieName(name), Value: value, Path: "/", MaxAge: int(life.Seconds()),
		Secure: a.secure, HttpOnly: true,
		SameSite: http.SameSiteLaxMode, // the identity provider sends the browser back by a plain link
	})
}

// browser is the secret by which we know a browser again; "" when it has none, or more than one.
func (a *AuthServer) browser(r *http.Request) string {
	found := r.CookiesNamed(a.cookieName(signInCookie))
	if len(found) != 1 || !secret.IsRandom(found[0].Value, handleLength) {
		return ""
	}
	return found[0].Value
}

// knowBrowser gives a browser its secret if it has none. All sign-ins of a browser share one cookie, however many
// windows there are.
func (a *AuthServer) knowBrowser(w http.ResponseWriter, r *http.Request) (secret.Digest, error) {
	known := a.browser(r)
	if known == "" {
		var err error
		if known, err = secret.Random(a.Rand, handleLength); err != nil {
			return secret.Digest{}, err
		}
	}
	a.setCookie(w, signInCookie, known, 24*time.Hour)
	return secret.Hash(known), nil
}

// remembered is what the consent cookie holds: to what somebody said yes in this browser, the latest first.
type remembered []rememberedConsent

// rememberedConsent names a person, a client, a redirect and a server, all by hashes.
type rememberedConsent struct {
	What    string `json:"w"` // wanted.id
	Consent string `json:"c"` // wanted.consent of the person who said yes
}

func consentBinding() secret.Binding { return secret.Binding{Kind: "cookie", Key: consentCookie} }

// remembered reads the consent cookie. One that does not open is as good as none.
func (a *AuthServer) remembered(r *http.Request) remembered {
	found := r.CookiesNamed(a.cookieName(consentCookie))
	if len(found) != 1 {
		return nil
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(found[0].Value)
	if err != nil {
		return nil
	}
	plain, err := a.Ring.Open(consentBinding(), sealed)
	if err != nil {
		return nil
	}
	var known remembered
	if json.Unmarshal(plain, &known) != nil {
		return nil
	}
	return known
}

// remember adds a consent to the cookie and drops the oldest ones.
func (a *AuthServer) remember(w http.ResponseWriter, r *http.Request, c rememberedConsent) error {
	known := slices.DeleteFunc(a.remembered(r), func(other rememberedConsent) bool { return other == c })
	known = slices.Insert(known, 0, c)
	known = known[:min(len(known), maxRemembered)]
	plain, err := json.Marshal(known)
	if err != nil {
		return fmt.Errorf("remember consent: %w", err)
	}
	sealed, err := a.Ring.Seal(consentBinding(), plain)
	if err != nil {
		return fmt.Errorf("remember consent: %w", err)
	}
	a.setCookie(w, consentCookie, base64.RawURLEncoding.EncodeToString(sealed), consentCookieLife)
	return nil
}

package authserver_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/authserver"
	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/internal/secret"
)

func TestThreat16_HostileRegistrationsAreRefused(t *testing.T) {
	h := newHouse(t)
	for _, redirect := range []string{
		"javascript:alert(1)", "data:text/html,x", "https://app.example/cb#x", "https://user@app.example/cb", "HTTPS://app.example/cb",
		"https://*.example/cb", "https:///cb", "http://app.example/cb", "x:y", "", "https://app.example/\x07",
	} {
		h.tryRegister(map[string]any{"redirect_uris": []string{callback, redirect}}).wantError(t, redirect, 400, oauth.InvalidRedirectURI)
	}
	for name, metadata := range map[string]map[string]any{
		"control byte in the name": {"client_name": "a\x00b"},
		"line in the name":         {"client_name": "a\nb"},
		"long name":                {"client_name": strings.Repeat("x", 200)},
		"unknown method":           {"token_endpoint_auth_method": "tls_client_auth"},
		"password grant":           {"grant_types": []string{"password"}},
		"logo with a script":       {"logo_uri": "javascript:alert(1)"},
	} {
		h.tryRegister(metadata).wantError(t, name, 400, oauth.InvalidClientMetadata)
	}
	for name, bad := range map[string]struct {
		contentType, body string
		status            int
		code              oauth.Code
	}{
		"no JSON":   {"application/json", "x=1", 400, oauth.InvalidClientMetadata},
		"form":      {"application/x-www-form-urlencoded", `{}`, 415, oauth.InvalidClientMetadata},
		"huge":      {"application/json", `{"x":"` + strings.Repeat("x", 100<<10) + `"}`, 413, oauth.InvalidRequest},
		"key twice": {"application/json", `{"redirect_uris":["` + callback + `"],"redirect_uris":["https://evil.example/"]}`, 400, oauth.InvalidClientMetadata},
	} {
		r := h.request(http.MethodPost, "/register", bad.body)
		r.Header.Set("Content-Type", bad.contentType)
		h.do(http.DefaultClient, r).wantError(t, name, bad.status, bad.code)
	}
	if n := records(t, h); n != 0 {
		t.Errorf("%d registrations were stored", n)
	}
}

func TestThreat16_OneFloodingAddressDoesNotStarveTheOthers(t *testing.T) {
	from := "192.0.2.1"
	h := newHouse(t, func(c *authserver.Config) {
		c.Address = func(*http.Request) string { return from }
		c.Limits.Register = authserver.Rate{Burst: 5, Every: time.Second}
	})
	for range 5 {
		h.register(nil)
	}
	a := h.tryRegister(nil)
	a.wantError(t, "the sixth", http.StatusTooManyRequests, oauth.TemporarilyUnavailable)
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	from = "192.0.2.2"
	h.register(nil)
	from = "192.0.2.1"
	h.clock.Advance(time.Second)
	h.register(nil)
}

func TestThreat16_AddressesOfOneIPv6NetworkCountAsOne(t *testing.T) {
	from := "2001:db8:1:2::1"
	h := newHouse(t, func(c *authserver.Config) {
		c.Address = func(*http.Request) string { return from }
		c.Limits.Register = authserver.Rate{Burst: 1, Every: time.Hour}
	})
	h.register(nil)
	from = "2001:db8:1:2:ffff::7"
	h.tryRegister(nil).wantStatus(t, http.StatusTooManyRequests)
	from = "2001:db8:1:3::1"
	h.register(nil)
}

func TestThreat16_RegistrationsThatNobodyUsesAreBoundedAndEnd(t *testing.T) {
	h := newHouse(t, func(c *authserver.Config) { c.Limits.Unused = 3 })
	used := h.register(nil)
	got := used.redeem(h.browser().signIn(used.authorizeURL(), "alice")).tokens(t)
	unused := h.register(nil)
	h.register(nil)
	h.register(nil)
	h.tryRegister(nil).wantStatus(t, http.StatusTooManyRequests)
	h.clock.Advance(25 * time.Hour)
	h.browser().get(unused.authorizeURL()).wantPage(t, "expired registration", 401, "client_id")
	if _, err := h.store.Sweep(t.Context(), h.clock.Now()); err != nil {
		t.Fatal(err)
	}
	h.register(nil)
	used.refresh(got.refresh).tokens(t)
}

func TestThreat16_AuthorizeIsLimitedByAddress(t *testing.T) {
	h := newHouse(t, func(c *authserver.Config) { c.Limits.Authorize = authserver.Rate{Burst: 3, Every: time.Minute} })
	c, b := h.register(nil), h.browser()
	for range 3 {
		b.open(c.authorizeURL())
	}
	b.get(c.authorizeURL()).wantPage(t, "the fourth", http.StatusTooManyRequests, "Too many requests")
}

func TestTokenLimitsDoNotPunishNeighbours(t *testing.T) {
	h := newHouse(t, func(c *authserver.Config) { c.Limits.Token = authserver.Rate{Burst: 3, Every: time.Minute} })
	c, neighbour := h.register(nil), h.register(nil)
	code := h.browser().signIn(neighbour.authorizeURL(), "alice")
	for range 3 {
		c.redeem("gkc_guess").wantStatus(t, http.StatusBadRequest)
	}
	c.redeem("gkc_guess").wantStatus(t, http.StatusTooManyRequests)
	neighbour.redeem(code).tokens(t)
}

func TestRegistrationCanBeOffOrNeedAToken(t *testing.T) {
	off := newHouse(t, func(c *authserver.Config) { c.Registration.Off = true })
	off.tryRegister(nil).wantError(t, "off", http.StatusForbidden, oauth.InvalidRequest)
	if m := off.do(http.DefaultClient, off.request(http.MethodGet, "/.well-known/oauth-authorization-server", "")).json(t); m["registration_endpoint"] != nil {
		t.Error("the metadata names a registration endpoint that is off")
	}
	h := newHouse(t, func(c *authserver.Config) { c.Registration.TokenHash = secret.Hash("initial") })
	h.tryRegister(nil).wantError(t, "no token", http.StatusUnauthorized, oauth.InvalidToken)
	for token, want := range map[string]int{"wrong": http.StatusUnauthorized, "initial": http.StatusCreated} {
		r := h.request(http.MethodPost, "/register", `{"redirect_uris":["`+callback+`"]}`)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		h.do(http.DefaultClient, r).wantStatus(t, want)
	}
}

func TestThreat18_RedirectsMatchExactlyOverHTTP(t *testing.T) {
	h := newHouse(t)
	c := h.register(map[string]any{"redirect_uris": []string{"https://app.example/cb", "http://127.0.0.1:4000/cb", "http://localhost/cb?x=1"}})
	b := h.browser()
	for redirect, want := range map[string]bool{
		"https://app.example/cb": true, "http://127.0.0.1:50000/cb": true, "http://127.0.0.1/cb": true, "http://localhost:1/cb?x=1": true,
		"https://app.example/cb/": false, "https://app.example/cb?x=1": false, "https://app.example/c%62": false, "https://APP.example/cb": false,
		"https://app.example:443/cb": false, "https://app.example.evil.example/cb": false, "https://evil.example/?https://app.example/cb": false,
		"https://app.example@evil.example/cb": false, `https://app.example\@evil.example/cb`: false, "https://app.example/cb/../cb": false,
		"http://localhost:4000/cb": false, "http://127.0.0.1:4000/cb@evil.example": false, "http://127.0.0.1:4000@evil.example/cb": false,
		"http://127.0.0.2:4000/cb": false, "http://127.0.0.1:4000/CB": false, "http://127.0.0.1:99999/cb": false,
	} {
		a := b.get(c.authorizeURL("redirect_uri", redirect))
		if got := a.StatusCode == http.StatusSeeOther; got != want {
			t.Errorf("%s: status %d", redirect, a.StatusCode)
		}
		if !want {
			a.wantPage(t, redirect, 400, "redirect_uri")
		}
	}
}

func TestThreat18_TheAnswerGoesToThePortThatWasAskedFor(t *testing.T) {
	h := newHouse(t)
	c, b := h.register(map[string]any{"redirect_uris": []string{"http://127.0.0.1/callback?keep=1"}}), h.browser()
	const asked = "http://127.0.0.1:51000/callback?keep=1"
	at := b.comeBack(b.allow(b.open(c.authorizeURL("redirect_uri", asked))), "alice").location(t)
	if !strings.HasPrefix(at.String(), asked+"&") || at.Query().Get("keep") != "1" || at.Query().Get("code") == "" {
		t.Fatalf("came back at %s", at)
	}
	code := at.Query().Get("code")
	c.redeem(code, "redirect_uri", "http://127.0.0.1/callback?keep=1").wantError(t, "another port", 400, oauth.InvalidGrant)
	c.redeem(code, "redirect_uri", asked).tokens(t)
}

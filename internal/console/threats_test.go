package console_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/internal/console"
	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/policy"
)

func TestThreat03_AForgedFormChangesNothing(t *testing.T) {
	h := openHouse(t, options{})
	v := h.signedIn("alice")
	v.get("/console/tools")
	forged := url.Values{"session": {"x"}}
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	good := v.form()
	for name, r := range map[string]*http.Request{
		"no token":               v.request(http.MethodPost, "/console/sessions/end-all", forged.Encode(), append(form, "Origin", h.URL)...),
		"another person's token": v.request(http.MethodPost, "/console/sessions/end-all", "form="+h.signedIn("bob").form(), append(form, "Origin", h.URL)...),
		"a page of a stranger":   v.request(http.MethodPost, "/console/sessions/end-all", "form="+good, append(form, "Origin", "https://evil.example")...),
		"from another site":      v.request(http.MethodPost, "/console/sessions/end-all", "form="+good, append(form, "Sec-Fetch-Site", "cross-site")...),
		"a null origin":          v.request(http.MethodPost, "/console/sessions/end-all", "form="+good, append(form, "Origin", "null")...),
	} {
		if got := v.do(r); got.Status != http.StatusForbidden || !strings.Contains(got.Body, "Nothing was changed") {
			t.Errorf("%s: status %d: %s", name, got.Status, words(got.Body))
		}
	}
	page := must(h.Grants.List(context.Background(), grant.Query{Owner: entratest.TenantID + "/" + entratest.AliceID}))
	if len(page.Grants) == 0 {
		t.Error("a forged form ended the sessions")
	}
}

// Everything that changes something is a POST, and refuses without the token of a form.
func TestThreat03_NoChangeWithoutATokenAnywhere(t *testing.T) {
	h := openHouse(t, options{})
	v := h.signedIn("frank")
	for _, path := range []string{
		"sign-out", "tokens/exchange", "tokens/refresh", "tokens/open", "tools/weather/get_forecast", "tools/forget", "chat", "chat/decide",
		"chat/clear", "sessions/end", "sessions/end-all", "admin/sessions/end", "admin/policy",
	} {
		got := v.do(v.request(http.MethodPost, "/console/"+path, "a=b", "Content-Type", "application/x-www-form-urlencoded", "Origin", h.URL))
		if got.Status != http.StatusForbidden {
			t.Errorf("%s: %d", path, got.Status)
		}
	}
}

func TestThreat03_NoPageCanBeFramedAndNoStrangersScriptRuns(t *testing.T) {
	h := openHouse(t, options{extras: []extra{lab()}})
	v := h.signedIn("frank")
	for _, path := range everyPage() {
		got := v.get(path)
		policy := got.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the policy lacks %s: %s", path, want, policy)
			}
		}
		if got.Header.Get("X-Frame-Options") != "DENY" || got.Header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(got.Header.Get("Cache-Control"), "no-store") {
			t.Errorf("%s: headers %v", path, got.Header)
		}
		for _, inline := range []string{"<style", " style=", " onclick=", "<script>", "javascript:"} {
			if strings.Contains(got.Body, inline) {
				t.Errorf("%s has %s in it", path, inline)
			}
		}
	}
}

func TestThreat03_NamesOfStrangersAreTextEverywhere(t *testing.T) {
	h := openHouse(t, options{extras: []extra{lab()}})
	alice := policy.Identity{Tenant: entratest.TenantID, Object: entratest.AliceID, Kind: policy.Person, Name: evil, Username: evil, Roles: []string{evil}}
	must(h.Grants.Issue(t.Context(), grant.Opening{Client: evil, ClientName: evil, Server: evil, Resource: h.URL + "/x", Scopes: []string{evil}, Identity: alice, RedirectURI: "javascript:alert(1)"}))
	v, frank := h.signedIn("alice"), h.signedIn("frank")
	v.post("/console/tools/lab/evil", url.Values{"json": {`{"a":"` + strings.ReplaceAll(evil, `"`, `\"`) + `"}`}})
	seen := ""
	for _, path := range []string{"/console/", "/console/sessions", "/console/tools", "/console/tools/lab/evil", "/console/tools/lab/evil?arguments=" + url.QueryEscape(`{"x":"</textarea>`+strings.ReplaceAll(evil, `"`, `\"`)+`"}`)} {
		seen += v.get(path).Body
	}
	for _, path := range []string{"/console/admin/sessions", "/console/admin/audit", "/console/admin/refusals", "/console/admin/policy?tool=" + url.QueryEscape(evil), "/console/admin/audit?q=" + url.QueryEscape(evil)} {
		seen += frank.get(path).Body
	}
	if strings.Contains(seen, "<img src=x") || strings.Contains(seen, "<script>document") {
		t.Error("a name became markup")
	}
	if strings.Count(seen, "&lt;img src=x") < 8 {
		t.Errorf("the names are not shown at all: %d times", strings.Count(seen, "&lt;img src=x"))
	}
	if strings.Contains(seen, `href="javascript:`) {
		t.Error("a link runs a script")
	}
}

func TestThreat04_AStateWorksOnceInTheBrowserThatBegan(t *testing.T) {
	h := openHouse(t, options{})
	alice, mallory := h.visitor(), h.visitor()
	callback := alice.callback("alice", "/console/sign-in")
	mallory.get("/console/sign-in") // has a cookie of her own
	for name, v := range map[string]*visitor{"another browser": mallory, "a browser without a cookie": h.visitor()} {
		if got := v.get(callback); got.Status != http.StatusBadRequest || !strings.Contains(got.Body, "did not begin in this browser") {
			t.Errorf("%s: %d %s", name, got.Status, words(got.Body))
		}
	}
	kept := alice.http.Jar.Cookies(must(url.Parse(h.URL)))
	if got := alice.get(callback); got.Status != http.StatusSeeOther {
		t.Fatalf("the attacks spoilt the sign-in: %d %s", got.Status, words(got.Body))
	}
	alice.http.Jar.SetCookies(must(url.Parse(h.URL)), kept) // the browser that began, down to its cookie
	if got := alice.get(callback); got.Status != http.StatusBadRequest || !strings.Contains(got.Body, "did not begin in this browser") {
		t.Errorf("the state works twice: %d %s", got.Status, words(got.Body))
	}
}

// Login CSRF: a victim who is led to the attacker's callback is not signed in as the attacker.
func TestThreat04_NobodyIsSignedInAsSomebodyElse(t *testing.T) {
	h := openHouse(t, options{})
	mallory, victim := h.visitor(), h.visitor()
	callback := mallory.callback("bob", "/console/sign-in")
	victim.get("/console/sign-in")
	victim.get(callback)
	if got := victim.get("/console/sessions"); got.Status != http.StatusSeeOther {
		t.Errorf("the victim is signed in: %d", got.Status)
	}
}

func TestThreat04_ASessionIsNeverTheOneThatAStrangerChose(t *testing.T) {
	h := openHouse(t, options{})
	v := h.visitor()
	u := must(url.Parse(h.URL))
	chosen := &http.Cookie{Name: "genkan-console-loopback", Value: strings.Repeat("a", 52), Path: "/"}
	v.http.Jar.SetCookies(u, []*http.Cookie{chosen})
	v.signIn("alice")
	for _, c := range v.http.Jar.Cookies(u) {
		if c.Name == chosen.Name && c.Value == chosen.Value {
			t.Error("the session has the name that a stranger chose")
		}
	}
	old := v.http.Jar.Cookies(u)
	v.signIn("bob")
	w := h.visitor()
	w.http.Jar.SetCookies(u, old)
	if got := w.get("/console/sessions"); got.Status != http.StatusSeeOther {
		t.Errorf("the session before the second sign-in lives on: %d", got.Status)
	}
}

func TestThreat05_WhatEntraSaysIsNoTextOfOurs(t *testing.T) {
	h := openHouse(t, options{})
	v := h.visitor()
	to := must(url.Parse(v.get("/console/sign-in").Header.Get("Location")))
	got := v.get("/console/callback?error=access_denied&error_description=" + url.QueryEscape("Call +1 555 0100 to unlock your account") + "&state=" + to.Query().Get("state"))
	if got.Status != http.StatusForbidden || strings.Contains(got.Body, "555") {
		t.Errorf("%d %s", got.Status, words(got.Body))
	}
}

func TestThreat28_TheSignInLeadsToPagesOfTheConsoleOnly(t *testing.T) {
	h := openHouse(t, options{})
	for _, back := range []string{
		"https://evil.example/", "//evil.example", `/\evil.example`, "/console/../../evil", "/console//evil.example", "javascript:alert(1)", "/console/%0d%0aSet-Cookie:x=y",
		"/authorize?client_id=x", "/console/\tx", "http:/console/", "/consolex", `/console/\..\x`, "\\\\evil.example",
	} {
		v := h.visitor()
		got := v.get(v.callback("alice", "/console/sign-in?return="+url.QueryEscape(back)))
		to := got.Header.Get("Location")
		u, err := url.Parse(to)
		if err != nil || u.Host != "" || !strings.HasPrefix(to, "/console/") || strings.Contains(to, "evil.example") && !strings.Contains(to, "%") {
			t.Errorf("%q leads to %q", back, to)
		}
	}
}

// The cookie has the prefix that ties it to this host, and no script can read it.
func TestThreat03_CookiesAreTiedToTheHouse(t *testing.T) {
	h := openHouse(t, options{})
	secure := openHouse(t, options{change: func(c *console.Config) {
		public := *c.PublicURL
		public.Scheme = "https"
		c.PublicURL = &public
	}})
	for name, c := range map[string]struct {
		house  *house
		cookie string
		secure bool
	}{"https": {secure, "__Host-genkan-console-sign-in", true}, "loopback": {h, "genkan-console-sign-in-loopback", false}} {
		got := c.house.visitor().get("/console/sign-in").Header.Get("Set-Cookie")
		if !strings.HasPrefix(got, c.cookie+"=") || !strings.Contains(got, "HttpOnly") || !strings.Contains(got, "SameSite=Lax") || !strings.Contains(got, "Path=/;") ||
			strings.Contains(got, "Domain") || strings.Contains(got, "Secure") != c.secure {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestThreat21_NobodyEndsSomebodyElsesSession(t *testing.T) {
	h := openHouse(t, options{})
	alice, bob := h.signedIn("alice"), h.signedIn("bob")
	alice.get("/console/tools")
	before := must(h.Grants.List(t.Context(), grant.Query{Owner: entratest.TenantID + "/" + entratest.AliceID})).Grants
	for _, g := range before {
		if got := bob.post("/console/sessions/end", url.Values{"session": {g.ID}}); got.Status != http.StatusBadRequest {
			t.Errorf("bob ended alice's session: %d", got.Status)
		}
	}
	bob.post("/console/sessions/end-all", nil)
	after := must(h.Grants.List(t.Context(), grant.Query{Owner: entratest.TenantID + "/" + entratest.AliceID})).Grants
	if len(before) == 0 || len(after) != len(before) {
		t.Errorf("alice had %d sessions and has %d", len(before), len(after))
	}
}

func TestOnlyAdministratorsSeeWhatIsTheirs(t *testing.T) {
	h := openHouse(t, options{})
	alice, frank := h.signedIn("alice"), h.signedIn("frank")
	for _, path := range []string{"/console/admin", "/console/admin/sessions", "/console/admin/audit", "/console/admin/refusals", "/console/admin/policy"} {
		if got := alice.get(path); got.Status != http.StatusNotFound || !strings.Contains(got.Body, "Nothing is here") {
			t.Errorf("%s for alice: %d", path, got.Status)
		}
		if got := frank.get(path); got.Status != http.StatusOK {
			t.Errorf("%s for frank: %d %s", path, got.Status, words(got.Body))
		}
	}
	if strings.Contains(alice.get("/console/").Body, "/console/admin") {
		t.Error("alice is shown a way to administer")
	}
	if got := alice.post("/console/admin/sessions/end", url.Values{"person": {"x"}}); got.Status != http.StatusNotFound {
		t.Errorf("alice may end sessions of others: %d", got.Status)
	}
	if strings.Contains(frank.get("/console/admin").Body, "secret-internal-host") {
		t.Error("the cause of a failed probe is on the page")
	}
}

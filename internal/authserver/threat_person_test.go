package authserver_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/internal/authserver"
	"github.com/genkan-mcp/genkan/internal/oauth"
)

func TestThreat05_TheProvidersDescriptionIsNeverShown(t *testing.T) {
	h := newHouse(t)
	c, b := h.register(nil), h.browser()
	for code, want := range map[string]oauth.Code{
		"access_denied": oauth.AccessDenied, "interaction_required": oauth.AccessDenied,
		"temporarily_unavailable": oauth.TemporarilyUnavailable, "made_up<script>": oauth.ServerError,
	} {
		state := b.allow(b.open(c.authorizeURL()))
		a := b.get("/callback?" + url.Values{"state": {state}, "error": {code}, "error_description": {"Call 555-1234 and read out your password"}}.Encode())
		at := a.location(t)
		h.wantClientError(at, code, want)
		if strings.Contains(at.String()+a.body, "555") || strings.Contains(at.String(), "made_up") {
			t.Errorf("%s: the attacker's text came through: %s", code, at)
		}
	}
	b.get("/callback?error=access_denied&error_description=Call+555").wantPage(t, "without a state", 400, "no longer valid")
	if strings.Contains(b.get("/callback?error=access_denied&error_description=Call+555").body, "555") {
		t.Error("the attacker's text stands on our page")
	}
}

func TestThreat05_AnUnsafeRedirectGetsAPageAndNoRedirect(t *testing.T) {
	h := newHouse(t)
	c, b := h.register(nil), h.browser()
	for _, redirect := range []string{
		"https://evil.example/", "javascript:alert(1)", "http://127.0.0.1:39999/callback/", "http://127.0.0.1:39999@evil.example/callback",
		"http://127.0.0.1:39999/callback#x", "//evil.example", "/\\evil.example", "http://127.0.0.1:39999/%09//evil.example", "",
	} {
		b.get(c.authorizeURL("redirect_uri", redirect)).wantPage(t, redirect, 400, "redirect_uri")
	}
	b.get(c.authorizeURL("client_id", "gkd_unknown")).wantPage(t, "unknown client", 401, "client_id")
	b.get(c.authorizeURL("client_id", "")).wantPage(t, "no client", 400, "client_id")
}

func TestThreat05_ARegisteredSiteIsNoOpenRedirector(t *testing.T) {
	h := newHouse(t)
	c, b := h.register(map[string]any{"redirect_uris": []string{"https://phishing.example/login"}}), h.browser()
	for name, authorize := range map[string]string{
		"bad response type": c.authorizeURL("redirect_uri", "https://phishing.example/login", "response_type", "token"),
		"no PKCE":           c.authorizeURL("redirect_uri", "https://phishing.example/login", "code_challenge", ""),
		"prompt=none":       c.authorizeURL("redirect_uri", "https://phishing.example/login", "prompt", "none"),
	} {
		b.get(authorize).wantPage(t, name, 400, "stopped here")
	}
}

func TestThreat06_WhoComesBackInsteadOfTheRememberedPersonIsAsked(t *testing.T) {
	h := newHouse(t)
	c, b, _ := h.connect() // alice
	state := b.get(c.authorizeURL()).location(t).Query().Get("state")
	at := b.comeBack(state, "bob").location(t)
	if at.Path != "/consent" {
		t.Fatalf("bob was let through on alice's consent: %s", at)
	}
	page := b.get(at.String())
	if !strings.Contains(page.body, "bob@contoso.example") {
		t.Errorf("the page does not say who is signed in:\n%s", page.body)
	}
	form := page.consentForm(t)
	form.Set("decision", "allow")
	back := b.submit("/consent", form).onward(t)
	tokens := c.redeem(back.Query().Get("code")).tokens(t)
	g, err := h.grants.Check(t.Context(), tokens.access, h.resource("weather"))
	if err != nil || g.Identity.Object != "bob-object" {
		t.Errorf("the session is %+v's: %v", g, err)
	}
}

func TestThreat06_ARememberedConsentCountsAsItIsWhenThePersonComesBack(t *testing.T) {
	h := newHouse(t)
	c, b := h.register(nil), h.browser()
	b.signIn(c.authorizeURL("scope", "alerts"), "alice")
	form := b.get(b.comeBack(b.get(c.authorizeURL()).location(t).Query().Get("state"), "bob").location(t).String()).consentForm(t)
	form.Set("decision", "allow")
	b.submit("/consent", form).onward(t) // bob allowed the base scope only
	state := b.get(c.authorizeURL("scope", "alerts")).location(t).Query().Get("state")
	if at := b.comeBack(state, "bob").location(t); at.Path != "/consent" {
		t.Errorf("bob got more than he allowed: %s", at)
	}
	state = b.get(c.authorizeURL()).location(t).Query().Get("state")
	if _, err := h.store.DeleteOwner(t.Context(), authserver.ConsentKind, tenant+"/alice-object"); err != nil {
		t.Fatal(err)
	}
	if at := b.comeBack(state, "alice").location(t); at.Path != "/consent" {
		t.Errorf("a consent that was revoked meanwhile counted: %s", at)
	}
}

func TestThreat06_AStepUpThatShowedWhatAliceAllowedIsNotBobs(t *testing.T) {
	h := newHouse(t)
	c, b, _ := h.connect() // alice
	page := b.open(c.authorizeURL("scope", "alerts"))
	if !strings.Contains(page.body, "You allowed before") {
		t.Fatal("no step-up page")
	}
	if at := b.comeBack(b.allow(page), "bob").location(t); at.Path != "/consent" {
		t.Errorf("bob got what alice was shown: %s", at)
	}
}

func TestThreat06_ADenialAfterSigningInOpensNothing(t *testing.T) {
	h := newHouse(t)
	c, b, _ := h.connect()
	state := b.get(c.authorizeURL()).location(t).Query().Get("state")
	form := b.get(b.comeBack(state, "bob").location(t).String()).consentForm(t)
	form.Set("decision", "deny")
	h.wantClientError(b.submit("/consent", form).onward(t), "bob declined", oauth.AccessDenied)
	if n := openGrants(t, h); n != 1 {
		t.Errorf("%d sessions", n)
	}
}

func TestThreat07_LoopbackClientsAreWarnedAboutAndTheHostIsShown(t *testing.T) {
	h := newHouse(t)
	const site, app = "https://app.example:8443/cb", "com.example.app:/cb"
	c, b := h.register(map[string]any{"redirect_uris": []string{callback, site, app}}), h.browser()
	for redirect, want := range map[string]struct {
		shows string
		warns bool
	}{
		callback: {"<code>127.0.0.1</code>", true}, site: {"<code>app.example:8443</code>", false}, app: {"<code>com.example.app:</code>", true},
	} {
		page := b.open(c.authorizeURL("redirect_uri", redirect))
		if !strings.Contains(page.body, want.shows) || strings.Contains(page.body, "Did you start this yourself?") != want.warns {
			t.Errorf("%s: want %+v\n%s", redirect, want, page.body)
		}
	}
}

func TestPendingSignInsTellNothingToWhoReadsTheStore(t *testing.T) {
	h := newHouse(t)
	c, b := h.register(nil), h.browser()
	state := b.allow(b.open(c.authorizeURL()))
	visit := h.provider.lastVisit()
	found, err := h.store.List(t.Context(), "signin", "", "", 10)
	if err != nil || len(found) != 1 {
		t.Fatalf("%d pending sign-ins: %v", len(found), err)
	}
	for _, secret := range []string{state, visit.Nonce, visit.Verifier, "client-state"} {
		if strings.Contains(string(found[0].Value), secret) || strings.Contains(found[0].ID, secret) {
			t.Errorf("the record holds %q in the clear", secret)
		}
	}
}

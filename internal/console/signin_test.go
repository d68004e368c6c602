package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestSomebodyWhoSignedInIsGreetedAndOthersAreInvited(t *testing.T) {
	h := openHouse(t, options{})
	if page := words(h.visitor().get("/console/").Body); !strings.Contains(page, "Sign in with Microsoft Entra ID") {
		t.Errorf("the page of a stranger: %s", page)
	}
	alice := h.signedIn("alice")
	page := alice.get("/console/")
	if text := words(page.Body); page.Status != http.StatusOK || !strings.Contains(text, "Good to see you, Alice") || !strings.Contains(text, "Weather.Write") {
		t.Errorf("status %d: %s", page.Status, text)
	}
	if size := len(page.Body); size > 100<<10 {
		t.Errorf("the first page has %d bytes", size)
	}
}

func TestAPageAskedForBeforeTheSignInComesAfterIt(t *testing.T) {
	h := openHouse(t, options{})
	v := h.visitor()
	asked := v.get("/console/tools/weather")
	start := asked.Header.Get("Location")
	if asked.Status != http.StatusSeeOther || !strings.HasPrefix(start, "/console/sign-in?return=") {
		t.Fatalf("status %d, to %q", asked.Status, start)
	}
	if got := v.get(v.callback("alice", start)); got.Header.Get("Location") != "/console/tools/weather" {
		t.Errorf("after the sign-in: %d to %q", got.Status, got.Header.Get("Location"))
	}
}

func TestASessionEndsWhenItIsIdleAndAfterEightHoursAtTheLatest(t *testing.T) {
	h := openHouse(t, options{})
	v := h.signedIn("alice")
	h.clock.Advance(29 * time.Minute)
	if got := v.get("/console/sessions"); got.Status != http.StatusOK {
		t.Fatalf("after 29 minutes: %d", got.Status)
	}
	h.clock.Advance(31 * time.Minute)
	if got := v.get("/console/sessions"); got.Status != http.StatusSeeOther {
		t.Errorf("after 31 idle minutes: %d", got.Status)
	}
	v = h.signedIn("bob")
	for range 16 {
		h.clock.Advance(29 * time.Minute)
		v.get("/console/sessions")
	}
	h.clock.Advance(20 * time.Minute)
	if got := v.get("/console/sessions"); got.Status != http.StatusSeeOther {
		t.Errorf("after eight busy hours: %d", got.Status)
	}
}

func TestRolesAreReadAnewAndADisabledAccountIsOut(t *testing.T) {
	h := openHouse(t, options{})
	v := h.signedIn("alice")
	h.Tenant.Unassign("Genkan", "alice", "Weather.Write")
	if got := v.post("/console/tokens/refresh", nil); got.Status != http.StatusSeeOther {
		t.Fatalf("refresh: %d %s", got.Status, got.Body)
	}
	if page := words(v.get("/console/").Body); strings.Contains(page, "Weather.Write") || !strings.Contains(page, "Weather.Read") {
		t.Errorf("after the role was taken away: %s", page)
	}
	h.Tenant.Disable("alice")
	if got := v.post("/console/tokens/refresh", nil); got.Status != http.StatusUnauthorized || !strings.Contains(got.Body, "Entra wants to see you again") {
		t.Errorf("a disabled account: %d %s", got.Status, words(got.Body))
	}
}

func TestSigningOutEndsTheSessionAndItsDoors(t *testing.T) {
	h := openHouse(t, options{})
	v := h.signedIn("alice")
	if got := v.get("/console/tools"); got.Status != http.StatusOK {
		t.Fatalf("tools: %d", got.Status)
	}
	token := h.doorToken(t)
	cookie := v.http.Jar.Cookies(must(url.Parse(h.URL)))
	out := v.post("/console/sign-out", nil)
	if out.Status != http.StatusSeeOther || out.Header.Get("Location") != "/console/signed-out" {
		t.Fatalf("sign out: %d to %q", out.Status, out.Header.Get("Location"))
	}
	v.http.Jar.SetCookies(must(url.Parse(h.URL)), cookie) // somebody kept the cookie
	if got := v.get("/console/tokens"); got.Status != http.StatusSeeOther {
		t.Errorf("the old cookie still opens: %d", got.Status)
	}
	if got := v.get("/weather/mcp", "Authorization", "Bearer "+token, "Accept", "text/event-stream"); got.Status != http.StatusUnauthorized {
		t.Errorf("the console's session at the server lives on: %d", got.Status)
	}
}

func TestSigningOutEverywhereLeadsToEntra(t *testing.T) {
	h := openHouse(t, options{})
	v := h.signedIn("alice")
	out := v.post("/console/sign-out", url.Values{"everywhere": {"yes"}})
	if !strings.Contains(out.Body, h.Tenant.URL) || !strings.Contains(out.Body, "post_logout_redirect_uri") {
		t.Errorf("%d %s", out.Status, out.Body)
	}
}

func TestAFrontChannelSignOutEndsTheSessionOfThatSidOnly(t *testing.T) {
	h := openHouse(t, options{})
	alice, bob := h.signedIn("alice"), h.signedIn("bob")
	sid := claimOf(t, alice.get("/console/tokens").Body, "sid")
	issuer := h.Tenant.URL + "/" + h.Tenant.TenantID + "/v2.0"
	if got := bob.get("/console/signed-out-elsewhere?sid=" + sid + "&iss=https://elsewhere.example"); got.Status != http.StatusBadRequest {
		t.Errorf("another issuer: %d", got.Status)
	}
	if got := alice.get("/console/tokens"); got.Status != http.StatusOK {
		t.Errorf("another issuer ended the session: %d", got.Status)
	}
	if got := h.visitor().get("/console/signed-out-elsewhere?sid=" + sid + "&iss=" + url.QueryEscape(issuer)); got.Status != http.StatusOK {
		t.Errorf("front channel: %d %s", got.Status, got.Body)
	}
	if got := alice.get("/console/tokens"); got.Status != http.StatusSeeOther {
		t.Errorf("alice is still in: %d", got.Status)
	}
	if got := bob.get("/console/tokens"); got.Status != http.StatusOK {
		t.Errorf("bob is out: %d", got.Status)
	}
}

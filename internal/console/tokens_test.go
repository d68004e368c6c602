package console_test

import (
	"encoding/base64"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/entratest"
)

// claimOf reads the first value of a claim off the page of tokens.
func claimOf(t *testing.T, page, name string) string {
	t.Helper()
	found := regexp.MustCompile(`(?s)<th scope="row"><code>` + name + `</code>.*?<td[^>]*><code>([^<]*)</code>`).FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("the page has no claim %s", name)
	}
	return html.UnescapeString(found[1])
}

// doorToken opens a session for alice as the console does, and returns the token that the console then holds. It is
// found by opening another: tests can't look into the sealed record.
func (h *house) doorToken(t *testing.T) string {
	t.Helper()
	for _, token := range h.Seen.tokens() {
		if strings.HasPrefix(token, "gka_") {
			return token
		}
	}
	t.Fatal("the door saw no token")
	return ""
}

func TestTokensAreShownDecodedWithWhatChangedFromPhaseToPhase(t *testing.T) {
	h := openHouse(t, options{})
	v := h.signedIn("alice")
	page := v.get("/console/tokens")
	text := words(page.Body)
	for _, want := range []string{"ID token", "Delegated token", "access_as_user", entratest.AliceID, "Audience: for whom the token is", "A good signature of Entra"[2:], "not yet"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page says nothing of %q", want)
		}
	}
	if n := strings.Count(page.Body, `</svg>passed</span>`); n < 10 || strings.Contains(page.Body, "failed</span>") {
		t.Errorf("%d checks passed: %s", n, text)
	}
	if got := v.post("/console/tokens/exchange", url.Values{"service": {"search"}}); got.Status != http.StatusSeeOther {
		t.Fatalf("exchange: %d %s", got.Status, words(got.Body))
	}
	page = v.get("/console/tokens")
	if text := words(page.Body); !strings.Contains(text, "https://search.azure.com changed") || !strings.Contains(text, "user_impersonation changed") {
		t.Errorf("the on-behalf-of token isn't compared: %s", text)
	}
}

func TestEntrasRefusalOfAnExchangeIsShownWithItsRemedy(t *testing.T) {
	h := openHouse(t, options{})
	h.Tenant.WithdrawConsent(entratest.GenkanID, entratest.SearchID)
	v := h.signedIn("alice")
	v.post("/console/tokens/exchange", url.Values{"service": {"search"}})
	text := words(v.get("/console/tokens").Body)
	if !strings.Contains(text, "Entra refused: AADSTS65001") || !strings.Contains(text, "An administrator can consent") {
		t.Errorf("no remedy: %s", text)
	}
}

func TestConditionalAccessLeadsBackToEntraWithTheClaimsItWants(t *testing.T) {
	h := openHouse(t, options{})
	v := h.signedIn("alice")
	h.Tenant.Require(entratest.Policy{Resource: entratest.SearchID, MFA: true})
	v.post("/console/tokens/exchange", url.Values{"service": {"search"}})
	if text := words(v.get("/console/tokens").Body); !strings.Contains(text, "Sign in as Entra asks") {
		t.Fatalf("no way on: %s", text)
	}
	to := v.get("/console/tokens/satisfy/search")
	if to.Status != http.StatusSeeOther || !strings.Contains(to.Header.Get("Location"), "claims=") {
		t.Errorf("%d to %s", to.Status, to.Header.Get("Location"))
	}
}

// No token, and no part of one, reaches a page or the log.
func TestThreat37_NoTokenReachesAPageOrTheLog(t *testing.T) {
	h := openHouse(t, options{})
	v := h.signedIn("frank")
	v.post("/console/tokens/exchange", url.Values{"service": {"search"}})
	v.post("/console/tokens/open", url.Values{"server": {"weather"}})
	var seen strings.Builder
	for _, path := range everyPage() {
		got := v.get(path)
		seen.WriteString(got.Body)
		for _, values := range got.Header {
			seen.WriteString(strings.Join(values, " "))
		}
	}
	seen.WriteString(h.Log.String())
	if found := regexp.MustCompile(`gk[ar]_[0-9a-z]{8}|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+`).FindString(seen.String()); found != "" {
		t.Errorf("a token is shown: %s", found)
	}
	for _, token := range h.Seen.tokens() {
		for _, part := range strings.Split(token, ".") {
			if len(part) > 20 && strings.Contains(seen.String(), part) {
				t.Errorf("a part of a token is shown: %s", part)
			}
		}
	}
	if len(h.Seen.tokens()) == 0 {
		t.Error("no token was seen at all: the test proves nothing")
	}
	if strings.Contains(seen.String(), base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT"`))) {
		t.Error("a token's header is shown")
	}
}

func everyPage() []string {
	return []string{
		"/console/", "/console/tokens", "/console/tools", "/console/tools/weather", "/console/tools/weather/get_forecast", "/console/chat",
		"/console/sessions", "/console/install", "/console/signed-out", "/console/admin", "/console/admin/sessions", "/console/admin/audit?verify=yes",
		"/console/admin/refusals", "/console/admin/policy", "/console/nowhere",
	}
}

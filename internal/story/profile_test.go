package story

import (
	"net/http"
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/internal/story/browser"
)

// The profile server gets Entra's token for itself, and exchanges it for Graph and for AI Search.
func TestTheServerBehindCallsGraphAndSearchForThePerson(t *testing.T) {
	d := openDoor(t)
	alice := &goClient{server: d.URL + "/profile/mcp"}
	if err := alice.connect(t.Context(), browser.New(), "alice@contoso.example"); err != nil {
		t.Fatal(err)
	}
	wantTools(t.Context(), t, alice, "get_user_details", "get_user_info", "search_documents", "secure_ping")
	d.admin(t, "fail-next", `{"fault": {"path": "/me", "status": 429, "retry_after": "1s"}}`)
	wantSaid(t, alice, "get_user_details", nil, `"displayName":"Alice Arai"`, `"jobTitle":"Meteorologist"`, "alice@contoso.example")
	d.admin(t, "fail-next", `{"fault": {"path": "/docs/search", "status": 429, "retry_after": "1s"}}`)
	wantSaid(t, alice, "search_documents", map[string]any{"query": "storm"}, `"title":"Storm warnings"`)
	if said, err := alice.call(t.Context(), "search_documents", map[string]any{"query": "no such words"}); err != nil || !strings.Contains(said, `"documents":[]`) {
		t.Errorf("search for nothing said %q, %v", said, err)
	}
}

func TestWhereConsentIsMissingTheToolSaysWhoCanGiveIt(t *testing.T) {
	d := openDoor(t)
	bob := &goClient{server: d.URL + "/profile/mcp"}
	if err := bob.connect(t.Context(), browser.New(), "bob@contoso.example"); err != nil {
		t.Fatal(err)
	}
	d.admin(t, "withdraw-consent", `{"app": "Profile", "resource": "https://search.azure.com"}`)
	_, err := bob.call(t.Context(), "search_documents", map[string]any{"query": "storm"})
	if err == nil || !strings.Contains(err.Error(), "administrator") || !strings.Contains(err.Error(), d.Tenant) {
		t.Errorf("without consent: %v", err)
	}
	wantSaid(t, bob, "get_user_details", nil, `"displayName":"Bob Brandt"`)
}

// Conditional Access guards a service two exchanges away: the claims come all the way to the next sign-in.
func TestASecondFactorThatTheLastServiceWantsIsAskedForAtTheSignIn(t *testing.T) {
	d := openDoor(t)
	// What the sign-in must satisfy is kept for the client, so that it must come back as the same.
	alice := &goClient{server: d.URL + "/profile/mcp", id: register(t, d, callbackURL)}
	if err := alice.connect(t.Context(), browser.New(), "alice@contoso.example"); err != nil {
		t.Fatal(err)
	}
	d.admin(t, "require", `{"resource": "https://search.azure.com", "policy": {"mfa": true}}`)
	query := map[string]any{"query": "storm"}
	if _, err := alice.call(t.Context(), "search_documents", query); err == nil || !strings.Contains(err.Error(), "sign in when you are asked to") {
		t.Fatalf("without a second factor: %v", err)
	}
	before := alice.source
	wantSaid(t, alice, "search_documents", query, `"title":"Storm warnings"`)
	if alice.source == before {
		t.Error("the client was not sent to sign in again")
	}
}

// wantSaid calls a tool, which must say all of it.
func wantSaid(t *testing.T, c *goClient, tool string, arguments map[string]any, want ...string) {
	t.Helper()
	if arguments == nil {
		arguments = map[string]any{}
	}
	said, err := c.call(t.Context(), tool, arguments)
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	wantContains(t, said, want...)
}

func wantContains(t *testing.T, said string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(said, w) {
			t.Errorf("it does not say %s: %s", w, said)
		}
	}
	if strings.Contains(said, "eyJ") {
		t.Errorf("it says a token: %s", said)
	}
}

// admin gives the dev tenant an order.
func (d *door) admin(t *testing.T, order, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.Tenant+"/admin/"+order, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("order %s: status %d", order, resp.StatusCode)
	}
}

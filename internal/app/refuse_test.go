package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const (
	listTools  = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}`
)

// Bad input, each with its status and a message that says what to do.
func TestBadInputAtTheServer(t *testing.T) {
	h := openHouse(t)
	client := h.register()
	good := h.signIn(client, "weather", "alice@contoso.example")
	elsewhere := h.signIn(client, "other", "alice@contoso.example")
	big := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast","arguments":{"city":"` + strings.Repeat("x", 4<<20) + `"}}}`
	for _, c := range []struct {
		name, token, body string
		status            int
		challenge         []string // parts of WWW-Authenticate
		notChallenge      string
		says              string
	}{
		{"no token", "", listTools, 401, []string{"Bearer ", `resource_metadata="` + h.URL + `/.well-known/oauth-protected-resource/weather/mcp"`, `scope="mcp"`}, "error=", ""},
		{"a garbage token", "garbage", listTools, 401, []string{`error="invalid_token"`, "resource_metadata="}, "garbage", ""},
		{"another server's token", elsewhere.Access, listTools, 401, []string{`error="invalid_token"`}, elsewhere.Access, ""},
		{"a refresh token", good.Refresh, listTools, 401, []string{`error="invalid_token"`}, good.Refresh, ""},
		{"no JSON", good.Access, "hello", 400, nil, "", "JSON"},
		{"a key given twice", good.Access, `{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}`, 400, nil, "", "twice"},
		{"a key in another case", good.Access, `{"jsonrpc":"2.0","id":1,"method":"tools/list","Method":"tools/call"}`, 400, nil, "", "Method"},
		{"a body over the limit", good.Access, big, 413, nil, "", "4"},
		{"what is good", good.Access, initialize, 200, nil, "", "weather"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := h.mcp("/weather/mcp", c.token, c.body)
			if got.Status != c.status {
				t.Errorf("status %d, want %d: %.300s", got.Status, c.status, got.Body)
			}
			challenge := got.Header.Get("WWW-Authenticate")
			for _, want := range c.challenge {
				if !strings.Contains(challenge, want) {
					t.Errorf("WWW-Authenticate %q lacks %s", challenge, want)
				}
			}
			if c.notChallenge != "" && strings.Contains(challenge, c.notChallenge) {
				t.Errorf("WWW-Authenticate %q holds %s", challenge, c.notChallenge)
			}
			if c.says != "" && !strings.Contains(got.Body, c.says) {
				t.Errorf("the body does not say %q: %.300s", c.says, got.Body)
			}
			if c.status == 401 && strings.TrimSpace(got.Body) == "" {
				t.Error("the refusal has no body that says what to do")
			}
		})
	}
}

func TestAnExpiredTokenIsRefusedAndItsRefreshTokenStillWorks(t *testing.T) {
	h := openHouse(t)
	client := h.register()
	issued := h.signIn(client, "weather", "alice@contoso.example")
	h.clock.Advance(61 * time.Minute)
	got := h.mcp("/weather/mcp", issued.Access, listTools)
	if got.Status != http.StatusUnauthorized || !strings.Contains(got.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Fatalf("status %d, %q", got.Status, got.Header.Get("WWW-Authenticate"))
	}
	_, next := h.token(url.Values{"grant_type": {"refresh_token"}, "client_id": {client}, "refresh_token": {issued.Refresh}})
	if got := h.mcp("/weather/mcp", next.Access, initialize); got.Status != http.StatusOK {
		t.Errorf("after the refresh: status %d %s", got.Status, got.Body)
	}
}

func TestBadInputAtTheAuthorizationServer(t *testing.T) {
	h := openHouse(t)
	client := h.register()

	t.Run("an unknown redirect gets a page and no redirect", func(t *testing.T) {
		got := h.get(h.authorizeURL(client, "weather", "redirect_uri", "https://evil.example/callback"))
		if got.Status != http.StatusBadRequest || got.Header.Get("Location") != "" || !strings.Contains(got.Header.Get("Content-Type"), "text/html") {
			t.Errorf("status %d, location %q, %s", got.Status, got.Header.Get("Location"), got.Header.Get("Content-Type"))
		}
	})
	t.Run("a missing PKCE goes back to the client", func(t *testing.T) {
		got := h.get(h.authorizeURL(client, "weather", "code_challenge", "", "code_challenge_method", ""))
		back, err := url.Parse(got.Header.Get("Location"))
		if err != nil || !strings.HasPrefix(back.String(), callbackURL) {
			t.Fatalf("status %d, location %q", got.Status, got.Header.Get("Location"))
		}
		q := back.Query()
		if q.Get("error") != "invalid_request" || q.Get("iss") != h.URL || q.Get("state") != "xyz" || !strings.Contains(q.Get("error_description"), "code_challenge") {
			t.Errorf("came back with %v", q)
		}
	})
	t.Run("a used code ends what it gave", func(t *testing.T) {
		code := h.code(client, "weather", "alice@contoso.example")
		_, first := h.redeem(client, "weather", code)
		got, second := h.redeem(client, "weather", code)
		if got.Status != http.StatusBadRequest || second.Error != "invalid_grant" {
			t.Errorf("status %d %s", got.Status, got.Body)
		}
		h.clock.Advance(6 * time.Second) // longer than a check may be remembered
		if got := h.mcp("/weather/mcp", first.Access, listTools); got.Status != http.StatusUnauthorized {
			t.Errorf("what the replayed code gave still works: %d", got.Status)
		}
	})
}

func TestResourceIsNeverSentToEntra(t *testing.T) {
	h := openHouse(t)
	client := h.register()
	issued := h.signIn(client, "weather", "bob@contoso.example")
	got, next := h.token(url.Values{"grant_type": {"refresh_token"}, "client_id": {client}, "refresh_token": {issued.Refresh}, "resource": {h.URL + "/weather/mcp"}})
	if got.Status != http.StatusOK || next.Refresh == issued.Refresh {
		t.Fatalf("refresh: %d %s", got.Status, got.Body)
	}
	calls := 0
	for _, path := range []string{"/authorize", "/token"} {
		for _, call := range h.Tenant.Calls(path) {
			calls++
			if call.Resource != "" {
				t.Errorf("Entra's %s endpoint was sent resource=%s", path, call.Resource)
			}
		}
	}
	if calls < 3 {
		t.Errorf("saw only %d calls to Entra: the test looks in the wrong place", calls)
	}
}

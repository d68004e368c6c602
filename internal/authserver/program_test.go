package authserver_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/genkan-mcp/genkan/internal/oauth"
)

// client is an OAuth client program.
type oauthClient struct {
	*house
	id, secret string
}

// register registers a client. Metadata replaces the usual members.
func (h *house) register(metadata map[string]any) *oauthClient {
	h.t.Helper()
	a := h.tryRegister(metadata)
	if a.StatusCode != http.StatusCreated {
		h.t.Fatalf("register: status %d\n%s", a.StatusCode, a.body)
	}
	information := a.json(h.t)
	secret, _ := information["client_secret"].(string)
	return &oauthClient{h, information["client_id"].(string), secret}
}

func (h *house) tryRegister(metadata map[string]any) answer {
	h.t.Helper()
	all := map[string]any{"client_name": "Test Client", "redirect_uris": []string{callback}, "token_endpoint_auth_method": "none"}
	for name, value := range metadata {
		all[name] = value
	}
	body, err := json.Marshal(all)
	if err != nil {
		h.t.Fatal(err)
	}
	r := h.request(http.MethodPost, "/register", string(body))
	r.Header.Set("Content-Type", "application/json")
	return h.do(http.DefaultClient, r)
}

// authorizeURL is a good authorization request; pairs replace parameters, or remove them by "".
func (c *oauthClient) authorizeURL(pairs ...string) string {
	values := url.Values{
		"response_type": {"code"}, "client_id": {c.id}, "redirect_uri": {callback}, "state": {"client-state"},
		"code_challenge": {oauth.Challenge256(verifier)}, "code_challenge_method": {"S256"}, "resource": {c.resource("weather")},
	}
	replace(values, pairs)
	return c.URL + "/authorize?" + values.Encode()
}

func replace(values url.Values, pairs []string) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			values.Del(pairs[i])
		} else {
			values.Set(pairs[i], pairs[i+1])
		}
	}
}

// redeem sends a good token request for a code; pairs replace parameters.
func (c *oauthClient) redeem(code string, pairs ...string) answer {
	c.t.Helper()
	values := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "client_id": {c.id},
		"code_verifier": {verifier}, "resource": {c.resource("weather")},
	}
	replace(values, pairs)
	return c.post("/token", values)
}

func (c *oauthClient) refresh(token string, pairs ...string) answer {
	c.t.Helper()
	values := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {c.id}}
	replace(values, pairs)
	return c.post("/token", values)
}

func (h *house) post(path string, values url.Values) answer {
	h.t.Helper()
	r := h.request(http.MethodPost, path, values.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return h.do(http.DefaultClient, r)
}

type tokens struct {
	access, refresh, scope string
}

func (a answer) tokens(t *testing.T) tokens {
	t.Helper()
	if a.StatusCode != http.StatusOK {
		t.Fatalf("no tokens: status %d\n%s", a.StatusCode, a.body)
	}
	m := a.json(t)
	refresh, _ := m["refresh_token"].(string)
	return tokens{m["access_token"].(string), refresh, m["scope"].(string)}
}

// connect registers a client and signs alice in.
func (h *house) connect() (*oauthClient, *browser, tokens) {
	h.t.Helper()
	c, b := h.register(nil), h.browser()
	return c, b, c.redeem(b.signIn(c.authorizeURL(), "alice")).tokens(h.t)
}

// works says whether an access token opens a server.
func (h *house) works(access, server string) bool {
	_, err := h.grants.Check(h.t.Context(), access, h.resource(server))
	return err == nil
}

// wantError asserts an OAuth error as JSON.
func (a answer) wantError(t *testing.T, what string, status int, code oauth.Code) {
	t.Helper()
	if a.StatusCode != status {
		t.Errorf("%s: status %d, want %d\n%s", what, a.StatusCode, status, a.body)
		return
	}
	if got := a.json(t)["error"]; got != string(code) {
		t.Errorf("%s: error %v, want %s\n%s", what, got, code, a.body)
	}
	if got := a.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("%s: Cache-Control %q", what, got)
	}
}

// wantPage asserts a page, and that the browser is sent nowhere.
func (a answer) wantPage(t *testing.T, what string, status int, says string) {
	t.Helper()
	if a.StatusCode != status || a.Header.Get("Location") != "" || !strings.Contains(a.body, says) || strings.Contains(a.body, "http-equiv=\"refresh\"") {
		t.Errorf("%s: want a page with status %d that says %q; got status %d, Location %q\n%s", what, status, says, a.StatusCode, a.Header.Get("Location"), a.body)
	}
	if !strings.Contains(a.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("%s: the page can be framed: %v", what, a.Header)
	}
}

// wantClientError asserts an error that reaches the client's redirect.
func (h *house) wantClientError(u *url.URL, what string, code oauth.Code) {
	h.t.Helper()
	if !strings.HasPrefix(u.String(), callback+"?") || u.Query().Get("error") != string(code) ||
		u.Query().Get("state") != "client-state" || u.Query().Get("iss") != h.URL || u.Query().Has("code") {
		h.t.Errorf("%s: want %s at the client's redirect, got %s", what, code, u)
	}
}

// serve asks the handler without a connection, for addresses that this machine does not have.
func serve(h *house, method, path string) *http.Response {
	w := httptest.NewRecorder()
	h.auth.Handler().ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w.Result()
}

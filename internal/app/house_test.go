package app_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/internal/app"
	"github.com/genkan-mcp/genkan/internal/config"
	"github.com/genkan-mcp/genkan/internal/samples"
	"github.com/genkan-mcp/genkan/internal/story/browser"
)

const callbackURL = "http://127.0.0.1:33419/callback"

// testHouse is a whole Genkan in this process, with a clock that the test turns.
type testHouse struct {
	t      *testing.T
	App    *app.App
	URL    string
	Tenant *entratest.Tenant
	clock  *clock
	data   string
}

type clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func openHouse(t *testing.T) *testHouse {
	t.Helper()
	h := &testHouse{t: t, clock: &clock{now: time.Now()}, data: t.TempDir()}
	h.Tenant = entratest.Start(t, entratest.WithConfig(entratest.Config{Now: h.clock.Now}))
	weather := httptest.NewServer(samples.Weather())
	t.Cleanup(weather.Close)
	server := httptest.NewUnstartedServer(nil)
	t.Cleanup(server.Close)
	h.URL = "http://" + strings.Replace(server.Listener.Addr().String(), "127.0.0.1", "localhost", 1)
	values := map[string]string{"PUBLIC": h.URL, "DATA": h.data, "AUTHORITY": h.Tenant.URL, "UPSTREAM": weather.URL,
		"TENANT": h.Tenant.TenantID, "CLIENT": entratest.GenkanID, "SECRET": entratest.GenkanSecret}
	cfg, err := config.Load("test", []byte(houseText), func(name string) (string, bool) { v, ok := values[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), cfg, app.Surroundings{Now: h.clock.Now, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	h.App, server.Config.Handler = a, a
	server.Start()
	return h
}

const houseText = `
public_url: ${PUBLIC}
data: ${DATA}
entra: {tenant: "${TENANT}", client_id: "${CLIENT}", authority: "${AUTHORITY}", credential: {secret: "${SECRET}"}}
servers:
  weather: &weather
    url: ${UPSTREAM}/mcp
    rules:
      - {allow: [list_cities, get_forecast], roles: [Weather.Read]}
      - {allow: [set_alert], roles: [Weather.Write]}
  other: *weather
log: {level: debug, format: text}
`

// answer is an HTTP answer, read whole.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

func (h *testHouse) do(req *http.Request) answer {
	h.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func (h *testHouse) get(address string) answer {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.do(req)
}

func (h *testHouse) post(path, contentType, body string, headers ...string) answer {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.URL+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return h.do(req)
}

// mcp sends one message to a server.
func (h *testHouse) mcp(path, token, body string) answer {
	h.t.Helper()
	headers := []string{"Accept", "application/json, text/event-stream", "Mcp-Protocol-Version", "2025-06-18"}
	if token != "" {
		headers = append(headers, "Authorization", "Bearer "+token)
	}
	return h.post(path, "application/json", body, headers...)
}

// register makes a public client and returns its ID.
func (h *testHouse) register() string {
	h.t.Helper()
	got := h.post("/register", "application/json", `{"client_name":"test","redirect_uris":["`+callbackURL+`"],"token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"]}`)
	var client struct {
		ID string `json:"client_id"`
	}
	if err := json.Unmarshal([]byte(got.Body), &client); err != nil || got.Status != http.StatusCreated || client.ID == "" {
		h.t.Fatalf("register: status %d, %s", got.Status, got.Body)
	}
	return client.ID
}

const verifier = "a-verifier-of-at-least-forty-three-characters-0123"

// authorizeURL is a good authorization request; changes replace or (with "") remove parameters.
func (h *testHouse) authorizeURL(client, server string, changes ...string) string {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {callbackURL}, "state": {"xyz"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
		"resource": {h.URL + "/" + server + "/mcp"},
	}
	for i := 0; i+1 < len(changes); i += 2 {
		q.Del(changes[i])
		if changes[i+1] != "" {
			q.Set(changes[i], changes[i+1])
		}
	}
	return h.URL + "/authorize?" + q.Encode()
}

// code signs a person in and returns the code.
func (h *testHouse) code(client, server, person string) string {
	h.t.Helper()
	back, err := browser.New().SignIn(h.t.Context(), h.authorizeURL(client, server), callbackURL, person)
	if err != nil {
		h.t.Fatal(err)
	}
	if back.Query().Get("code") == "" {
		h.t.Fatalf("no code came back: %s", back)
	}
	if got := back.Query().Get("iss"); got != h.URL {
		h.t.Fatalf("iss is %q, want %q (RFC 9207)", got, h.URL)
	}
	return back.Query().Get("code")
}

type tokens struct {
	Access    string `json:"access_token"`
	Refresh   string `json:"refresh_token"`
	ExpiresIn int    `json:"expires_in"`
	Scope     string `json:"scope"`
	Error     string `json:"error"`
}

func (h *testHouse) redeem(client, server, code string) (answer, tokens) {
	h.t.Helper()
	return h.token(url.Values{"grant_type": {"authorization_code"}, "client_id": {client}, "code": {code}, "redirect_uri": {callbackURL},
		"code_verifier": {verifier}, "resource": {h.URL + "/" + server + "/mcp"}})
}

func (h *testHouse) token(form url.Values) (answer, tokens) {
	h.t.Helper()
	got := h.post("/token", "application/x-www-form-urlencoded", form.Encode())
	var parsed tokens
	if err := json.Unmarshal([]byte(got.Body), &parsed); err != nil {
		h.t.Fatalf("the token endpoint said %d %q", got.Status, got.Body)
	}
	return got, parsed
}

// signIn goes the whole way and returns the tokens.
func (h *testHouse) signIn(client, server, person string) tokens {
	h.t.Helper()
	got, issued := h.redeem(client, server, h.code(client, server, person))
	if got.Status != http.StatusOK || issued.Access == "" {
		h.t.Fatalf("redeem: %d %s", got.Status, got.Body)
	}
	return issued
}

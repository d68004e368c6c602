package bridge_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// provider is an authorization server with a protected MCP server, as strict as OAuth 2.1 wants it, whose person
// agrees at once. Its fields say what goes wrong, and what was seen; hold mu.
type provider struct {
	URL    string // also the issuer
	server *httptest.Server

	mu sync.Mutex
	// What goes wrong.
	accessLife    time.Duration
	rejectRefresh bool
	down          int // status of the token endpoint while it is out of order
	deny          bool
	nobody        bool // the page opens, and nobody does anything
	answer        func(url.Values)
	noRegister    bool
	movedTo       *provider // another authorization server has taken over
	device        bool
	challenge     string            // further parameters of the 401
	wantScope     map[string]string // tool -> scope
	neverEnough   bool
	// What was seen.
	pages, registrations, refreshes int
	redirects                       []string
	authorize                       []url.Values
	secrets, revoked                []string
	// State.
	codes   map[string]url.Values
	access  map[string]grant
	refresh map[string]grant
	clients map[string]string // ID -> redirect URI
	approve bool
	mcp     http.Handler
	legacy  http.Handler
}

type grant struct {
	client, resource string
	scopes           []string
	expires          time.Time
}

func newProvider(t testing.TB) *provider {
	t.Helper()
	p := &provider{
		accessLife: time.Hour, codes: map[string]url.Values{}, access: map[string]grant{}, refresh: map[string]grant{},
		clients: map[string]string{}, wantScope: map[string]string{},
	}
	p.mcp = p.newServer()
	p.legacy = mcp.NewSSEHandler(func(*http.Request) *mcp.Server { return tools() }, nil)
	p.server = httptest.NewServer(p)
	t.Cleanup(func() {
		p.server.CloseClientConnections()
		p.server.Close()
	})
	p.URL = p.server.URL
	return p
}

// tools is the MCP server behind.
func tools() *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "fake", Version: "1"}, &mcp.ServerOptions{})
	type input struct {
		City string `json:"city,omitempty"`
	}
	for _, name := range []string{"get_forecast", "set_alert"} {
		mcp.AddTool(s, &mcp.Tool{Name: name}, func(_ context.Context, _ *mcp.CallToolRequest, in input) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: name + " " + in.City}}}, nil, nil
		})
	}
	mcp.AddTool(s, &mcp.Tool{Name: "wait"}, func(ctx context.Context, r *mcp.CallToolRequest, _ input) (*mcp.CallToolResult, any, error) {
		<-ctx.Done()
		return nil, nil, ctx.Err()
	})
	return s
}

func (p *provider) newServer() http.Handler {
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return tools() }, nil)
}

// restart is a server that lost its sessions.
func (p *provider) restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mcp = p.newServer()
}

// set changes something while everything runs.
func (p *provider) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// forgetAccess makes all access tokens invalid.
func (p *provider) forgetAccess() { p.set(func() { p.access = map[string]grant{} }) }

// want compares what was seen.
func (p *provider) want(t testing.TB, pages, registrations, refreshes int) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pages != pages || p.registrations != registrations || p.refreshes != refreshes {
		t.Errorf("%d sign-in pages, %d registrations, %d refreshes; want %d, %d, %d", p.pages, p.registrations, p.refreshes, pages, registrations, refreshes)
	}
}

func (p *provider) allSecrets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.secrets)
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/.well-known/oauth-protected-resource/"):
		resource := p.URL + strings.TrimPrefix(r.URL.Path, "/.well-known/oauth-protected-resource")
		reply(w, 200, map[string]any{"resource": resource, "authorization_servers": []string{p.authority().URL}, "scopes_supported": []string{"mcp"}})
	case r.URL.Path == "/.well-known/oauth-authorization-server":
		p.metadata(w)
	case r.URL.Path == "/register":
		p.register(w, r)
	case r.URL.Path == "/authorize":
		p.authorizePage(w, r)
	case r.URL.Path == "/token":
		p.token(w, r)
	case r.URL.Path == "/revoke":
		p.revoke(w, r)
	case r.URL.Path == "/device":
		p.deviceCode(w, r)
	case r.URL.Path == "/mcp":
		p.guarded(w, r, func() http.Handler { return p.mcp })
	case r.URL.Path == "/sse":
		p.guarded(w, r, func() http.Handler { return p.legacy })
	default:
		http.NotFound(w, r)
	}
}

func (p *provider) authority() *provider {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.movedTo != nil {
		return p.movedTo
	}
	return p
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (p *provider) metadata(w http.ResponseWriter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	meta := map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
		"code_challenge_methods_supported": []string{"S256"}, "scopes_supported": []string{"mcp", "offline_access"},
		"authorization_response_iss_parameter_supported": true, "response_types_supported": []string{"code"},
		"token_endpoint_auth_methods_supported": []string{"none"}, "revocation_endpoint": p.URL + "/revoke",
	}
	if !p.noRegister {
		meta["registration_endpoint"] = p.URL + "/register"
	}
	if p.device {
		meta["device_authorization_endpoint"] = p.URL + "/device"
	}
	reply(w, 200, meta)
}

func (p *provider) register(w http.ResponseWriter, r *http.Request) {
	var m struct {
		Redirects []string `json:"redirect_uris"`
	}
	_ = json.NewDecoder(r.Body).Decode(&m)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.registrations++
	id := fmt.Sprintf("client-%d", p.registrations)
	p.clients[id] = m.Redirects[0]
	p.redirects = append(p.redirects, m.Redirects[0])
	reply(w, 201, map[string]any{"client_id": id, "redirect_uris": m.Redirects, "token_endpoint_auth_method": "none"})
}

func (p *provider) authorizePage(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	q := r.URL.Query()
	p.pages++
	p.authorize = append(p.authorize, q)
	if q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("resource") == "" ||
		p.clients[q.Get("client_id")] != q.Get("redirect_uri") {
		p.mu.Unlock()
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	answer := url.Values{"state": {q.Get("state")}, "iss": {p.URL}}
	if p.deny {
		answer.Set("error", "access_denied")
		answer.Set("error_description", "Alice said no")
	} else {
		code := p.secret("code")
		p.codes[code] = q
		answer.Set("code", code)
	}
	nobody, change := p.nobody, p.answer
	p.mu.Unlock()
	if nobody {
		return
	}
	if change != nil {
		change(answer)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+answer.Encode(), http.StatusFound)
}

// secret makes a value that must not show up anywhere. The caller holds mu.
func (p *provider) secret(kind string) string {
	s := fmt.Sprintf("s3cr3t-%s-%d-%d", kind, len(p.secrets), time.Now().UnixNano())
	p.secrets = append(p.secrets, s)
	return s
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	p.mu.Lock()
	defer p.mu.Unlock()
	f := r.PostForm
	if p.down != 0 {
		http.Error(w, "out of order", p.down)
		return
	}
	if f.Get("resource") == "" {
		reply(w, 400, map[string]any{"error": "invalid_target"})
		return
	}
	var g grant
	switch f.Get("grant_type") {
	case "authorization_code":
		asked, ok := p.codes[f.Get("code")]
		delete(p.codes, f.Get("code"))
		sum := sha256.Sum256([]byte(f.Get("code_verifier")))
		if !ok || base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge") || f.Get("redirect_uri") != asked.Get("redirect_uri") {
			reply(w, 400, map[string]any{"error": "invalid_grant"})
			return
		}
		g = grant{client: asked.Get("client_id"), resource: asked.Get("resource"), scopes: strings.Fields(asked.Get("scope"))}
	case "refresh_token":
		p.refreshes++
		old, ok := p.refresh[f.Get("refresh_token")]
		delete(p.refresh, f.Get("refresh_token"))
		if !ok || p.rejectRefresh {
			reply(w, 400, map[string]any{"error": "invalid_grant", "error_description": "the session has ended"})
			return
		}
		g = old
	case "urn:ietf:params:oauth:grant-type:device_code":
		if !p.approve {
			reply(w, 400, map[string]any{"error": "authorization_pending"})
			return
		}
		g = grant{resource: f.Get("resource"), scopes: []string{"mcp"}}
	}
	if f.Get("resource") != g.resource {
		reply(w, 400, map[string]any{"error": "invalid_target"})
		return
	}
	p.give(w, g)
}

func (p *provider) give(w http.ResponseWriter, g grant) {
	access, refresh := p.secret("access"), p.secret("refresh")
	g.expires = time.Now().Add(p.accessLife)
	p.access[access], p.refresh[refresh] = g, g
	reply(w, 200, map[string]any{
		"access_token": access, "refresh_token": refresh, "token_type": "Bearer",
		"expires_in": int(p.accessLife.Seconds()), "scope": strings.Join(g.scopes, " "),
	})
}

func (p *provider) deviceCode(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	reply(w, 200, map[string]any{
		"device_code": p.secret("device"), "user_code": "ABCD-EFGH", "verification_uri": p.URL + "/enter", "expires_in": 60, "interval": 1,
	})
}

// guarded lets a request through whose token was made for this address and has the scope that the tool wants.
func (p *provider) guarded(w http.ResponseWriter, r *http.Request, next func() http.Handler) {
	p.mu.Lock()
	g, ok := p.access[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	if p.movedTo != nil {
		p.movedTo.mu.Lock()
		g, ok = p.movedTo.access[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
		p.movedTo.mu.Unlock()
	}
	metadata := fmt.Sprintf("resource_metadata=%q", p.URL+"/.well-known/oauth-protected-resource"+r.URL.Path)
	var body []byte
	if r.Method == http.MethodPost {
		body = readBody(r)
		var m struct {
			Params struct {
				Name string `json:"name"`
			} `json:"params"`
		}
		_ = json.Unmarshal(body, &m)
		if want := p.wantScope[m.Params.Name]; ok && want != "" && (p.neverEnough || !slices.Contains(g.scopes, want)) {
			p.mu.Unlock()
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer error="insufficient_scope", scope=%q, %s`, want, metadata))
			w.WriteHeader(http.StatusForbidden)
			return
		}
	}
	challenge, handler := p.challenge, next()
	p.mu.Unlock()
	if !ok || time.Now().After(g.expires) || g.resource != p.URL+r.URL.Path {
		w.Header().Set("WWW-Authenticate", "Bearer "+metadata+challenge)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	handler.ServeHTTP(w, r)
}

func readBody(r *http.Request) []byte {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body
}

func (p *provider) revoke(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down != 0 {
		w.WriteHeader(p.down)
		return
	}
	p.revoked = append(p.revoked, r.PostForm.Get("token"))
}

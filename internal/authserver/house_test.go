package authserver_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/authserver"
	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/idp"
	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/internal/store/memory"
	"github.com/genkan-mcp/genkan/policy"
)

const (
	tenant   = "6f89cf12-978b-4d23-ac18-9ef0c127cf87"
	callback = "http://127.0.0.1:39999/callback"
	verifier = "a-verifier-that-is-long-enough-to-be-taken-0123456789"
)

// clock is a time that the tests turn.
type clock struct {
	mu  sync.Mutex
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

// provider is an identity provider whose visitors are whoever the test says.
type provider struct {
	mu        sync.Mutex
	visits    []idp.Request
	refreshed int
	fail      func(step string) error // "authorize", "redeem", "refresh"
	base      string                  // where it is; https://idp.example if empty
	roles     []string
	claims    string // what everybody says that their address is
	kind      policy.Kind
}

func (p *provider) failing(step string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail == nil {
		return nil
	}
	return p.fail(step)
}

func (p *provider) setFail(f func(step string) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = f
}

func (p *provider) lastVisit() idp.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.visits[len(p.visits)-1]
}

func (p *provider) AuthorizeURL(_ context.Context, r idp.Request) (string, error) {
	p.mu.Lock()
	p.visits = append(p.visits, r)
	p.mu.Unlock()
	if err := p.failing("authorize"); err != nil {
		return "", err
	}
	base := p.base
	if base == "" {
		base = "https://idp.example"
	}
	return base + "/authorize?" + url.Values{"state": {r.State}, "nonce": {r.Nonce}, "prompt": {r.Prompt}}.Encode(), nil
}

func (p *provider) Redeem(_ context.Context, c idp.Callback) (idp.SignIn, error) {
	if err := p.failing("redeem"); err != nil {
		return idp.SignIn{}, err
	}
	want := p.lastVisit()
	if c.Nonce != want.Nonce || c.Verifier != want.Verifier || c.RedirectURI != want.RedirectURI {
		return idp.SignIn{}, fmt.Errorf("the callback %+v does not fit the visit %+v", c, want)
	}
	return p.person(strings.TrimPrefix(c.Code, "idp-code-")), nil
}

func (p *provider) Refresh(_ context.Context, upstream []byte) (idp.SignIn, error) {
	p.mu.Lock()
	p.refreshed++
	p.mu.Unlock()
	if err := p.failing("refresh"); err != nil {
		return idp.SignIn{}, err
	}
	return p.person(strings.TrimPrefix(string(upstream), "upstream-tokens-of-")), nil
}

func (p *provider) person(name string) idp.SignIn {
	address := name + "@contoso.example"
	if p.claims != "" {
		address = p.claims
	}
	kind := policy.Person
	if p.kind != "" {
		kind = p.kind
	}
	return idp.SignIn{
		Identity: policy.Identity{
			Tenant: tenant, Object: name + "-object", Kind: kind, Name: strings.ToUpper(name[:1]) + name[1:],
			Username: address, Roles: p.roles,
		},
		Upstream: []byte("upstream-tokens-of-" + name),
	}
}

// events is an audit log in memory.
type events struct {
	mu   sync.Mutex
	list []audit.Event
	down error
}

func (e *events) Record(_ context.Context, event audit.Event) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, event)
	return nil
}

func (e *events) Ready() error { return e.down }

// house is an authorization server on a loopback port.
type house struct {
	t        *testing.T
	URL      string
	provider *provider
	clock    *clock
	store    store.Store
	grants   *grant.Grants
	ring     *secret.Ring
	events   *events
	auth     *authserver.AuthServer
}

func newHouse(t *testing.T, change ...func(*authserver.Config)) *house {
	t.Helper()
	h := &house{
		t: t, provider: &provider{}, events: &events{}, store: memory.New(),
		clock: &clock{now: time.Date(2026, 8, 1, 9, 0, 0, 0, time.UTC)},
	}
	var err error
	if h.ring, err = secret.NewRing(h.clock.Now, rand.Reader); err != nil {
		t.Fatal(err)
	}
	if h.grants, err = grant.New(grant.Config{Store: h.store, Ring: h.ring, Now: h.clock.Now}); err != nil {
		t.Fatal(err)
	}
	var handler http.Handler
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	h.URL = "http://" + server.Listener.Addr().String()
	config := authserver.Config{
		Issuer: h.URL, Provider: h.provider, Grants: h.grants, Store: h.store, Ring: h.ring, Now: h.clock.Now, Audit: h.events,
		Servers: []authserver.Server{
			{Name: "weather", Title: "Weather", Resource: h.URL + "/weather/mcp", Scopes: []authserver.Scope{
				{Name: "alerts", Text: "set weather alerts"}, {Name: "admin", Text: "change everything"},
			}},
			{Name: "profile", Title: "Profile", Resource: h.URL + "/profile/mcp"},
		},
	}
	for _, c := range change {
		c(&config)
	}
	h.URL = config.Issuer
	if h.auth, err = authserver.New(config); err != nil {
		t.Fatal(err)
	}
	handler = h.auth.Handler()
	server.Start()
	return h
}

func (h *house) resource(name string) string { return h.URL + "/" + name + "/mcp" }

// answer is a response that was read to its end.
type answer struct {
	*http.Response
	body string
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		t.Fatalf("status %d, no JSON: %v\n%s", a.StatusCode, err, a.body)
	}
	return m
}

func (a answer) location(t *testing.T) *url.URL {
	t.Helper()
	u, err := url.Parse(a.Header.Get("Location"))
	if err != nil || a.Header.Get("Location") == "" {
		t.Fatalf("status %d, no redirect: %v\n%s", a.StatusCode, err, a.body)
	}
	return u
}

func (h *house) do(client *http.Client, r *http.Request) answer {
	h.t.Helper()
	resp, err := client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer{resp, string(body)}
}

func (h *house) request(method, path, body string) *http.Request {
	h.t.Helper()
	target := path
	if strings.HasPrefix(path, "/") {
		target = h.URL + path
	}
	r, err := http.NewRequestWithContext(h.t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// browser keeps cookies and follows nothing by itself.
type browser struct {
	*house
	client *http.Client
}

func (h *house) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return &browser{h, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (b *browser) get(path string) answer {
	b.t.Helper()
	return b.do(b.client, b.request(http.MethodGet, path, ""))
}

func (b *browser) submit(path string, form url.Values) answer {
	b.t.Helper()
	r := b.request(http.MethodPost, path, form.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", b.URL)
	return b.do(b.client, r)
}

// consentForm is what the consent page would send.
func (a answer) consentForm(t *testing.T) url.Values {
	t.Helper()
	form := url.Values{}
	for _, field := range []string{"sign_in", "csrf"} {
		m := regexp.MustCompile(`name="` + field + `" value="([^"]+)"`).FindStringSubmatch(a.body)
		if m == nil {
			t.Fatalf("status %d, no %s on the page:\n%s", a.StatusCode, field, a.body)
		}
		form.Set(field, m[1])
	}
	return form
}

// onward is where a page leads on to by itself.
func (a answer) onward(t *testing.T) *url.URL {
	t.Helper()
	m := regexp.MustCompile(`http-equiv="refresh" content="0;url=([^"]+)"`).FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("status %d, the page leads nowhere:\n%s", a.StatusCode, a.body)
	}
	u, err := url.Parse(unescape(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func unescape(s string) string {
	return strings.NewReplacer("&amp;", "&", "&#43;", "+", "&#34;", `"`, "&#39;", "'").Replace(s)
}

// open opens the consent page of an authorize address.
func (b *browser) open(authorize string) answer {
	b.t.Helper()
	a := b.get(authorize)
	if a.StatusCode != http.StatusSeeOther {
		b.t.Fatalf("authorize: status %d\n%s", a.StatusCode, a.body)
	}
	return b.get(a.location(b.t).String())
}

// allow says yes on a consent page and returns the state with which the identity provider is visited.
func (b *browser) allow(page answer) (state string) {
	b.t.Helper()
	form := page.consentForm(b.t)
	form.Set("decision", "allow")
	return b.submit("/consent", form).onward(b.t).Query().Get("state")
}

// comeBack returns from the identity provider as a person.
func (b *browser) comeBack(state, person string) answer {
	b.t.Helper()
	return b.get("/callback?" + url.Values{"state": {state}, "code": {"idp-code-" + person}}.Encode())
}

// signIn goes the whole way and returns the code.
func (b *browser) signIn(authorize, person string) (code string) {
	b.t.Helper()
	back := b.comeBack(b.allow(b.open(authorize)), person).location(b.t)
	if back.Query().Get("code") == "" {
		b.t.Fatalf("no code in %s", back)
	}
	return back.Query().Get("code")
}

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

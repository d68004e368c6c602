package authserver_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
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
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/internal/store/memory"
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

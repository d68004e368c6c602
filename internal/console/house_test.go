package console_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/console"
	"github.com/genkan-mcp/genkan/internal/gateway"
	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/page"
	"github.com/genkan-mcp/genkan/internal/samples"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store/memory"
	"github.com/genkan-mcp/genkan/internal/telemetry"
	"github.com/genkan-mcp/genkan/internal/upstream"
	"github.com/genkan-mcp/genkan/policy"
	"github.com/genkan-mcp/genkan/policy/condition"
)

// house is a Genkan with everything that the console needs, all of it real: the dev tenant, sessions in a store, the
// gateway, servers behind it.
type house struct {
	t      *testing.T
	URL    string
	Tenant *entratest.Tenant
	Grants *grant.Grants
	Audit  *audit.Log
	Log    *syncBuffer
	Store  *memory.Store
	Seen   *seenTokens
	clock  *clock
	k      *console.Console
}

type clock struct {
	mu     sync.Mutex // guards offset
	offset time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

type syncBuffer struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// extra are servers behind, beside weather and profile.
type extra struct {
	Name    string
	Handler http.Handler
	Rules   []policy.Rule
}

type options struct {
	extras []extra
	chat   console.Chat
	change func(*console.Config)
}

// seenTokens are the bearer tokens that came to a door.
type seenTokens struct {
	mu   sync.Mutex // guards seen
	seen []string
}

func (s *seenTokens) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			s.mu.Lock()
			s.seen = append(s.seen, token)
			s.mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
}

func (s *seenTokens) tokens() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

func openHouse(t *testing.T, o options) *house {
	t.Helper()
	h := &house{t: t, clock: &clock{}, Log: &syncBuffer{}, Store: memory.New(), Seen: &seenTokens{}}
	h.Tenant = entratest.Start(t, entratest.WithConfig(entratest.Config{Now: h.clock.Now}))
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	h.URL = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	h.Tenant.Change(func(d *entratest.Directory) {
		for i := range d.Apps {
			if app := &d.Apps[i]; app.ClientID == entratest.GenkanID {
				app.OptionalClaims.ID = append(app.OptionalClaims.ID, "sid")
				app.Logout = h.URL + console.FrontChannelPath
			}
		}
	})
	handler = h.build(o)
	return h
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err) // in the building of a test only
	}
	return value
}

func (h *house) build(o options) http.Handler {
	logger := slog.New(slog.NewTextHandler(h.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	public := must(url.Parse(h.URL))
	pages := must(page.New(page.Config{Place: public.Host}))
	ring := must(secret.NewRing(h.clock.Now, rand.Reader))
	h.Grants = must(grant.New(grant.Config{Store: h.Store, Ring: ring, Now: h.clock.Now}))
	path := filepath.Join(h.t.TempDir(), "audit.jsonl")
	h.Audit = must(audit.New(audit.Config{Sinks: []audit.Sink{must(audit.OpenFile(path))}, Now: h.clock.Now}))
	h.t.Cleanup(func() { _ = h.Audit.Close(context.Background()) })
	metrics := telemetry.NewMetrics()
	key := must(gateway.NewSigningKey(rand.Reader, h.clock.Now()))
	signing := must(gateway.NewSigningKeys(h.clock.Now, key))
	behind, servers := h.behind(o, signing)
	door := must(gateway.New(gateway.Config{PublicURL: public, Servers: behind, SessionIDs: ring, Audit: h.Audit, Metrics: metrics, Logger: logger, Now: h.clock.Now}))
	all := slices.Clone(behind)
	for i := range all {
		all[i].Rules = must(policy.Compile([]policy.Rule{{Allow: []string{"*"}}}, nil))
	}
	inventory := must(gateway.New(gateway.Config{PublicURL: public, Servers: all, SessionIDs: ring, Audit: h.Audit, Metrics: telemetry.NewMetrics(), Logger: logger, Now: h.clock.Now}))
	cloud := must(entra.DevCloud(h.Tenant.URL))
	client := must(entra.NewClient(entra.ClientConfig{Cloud: cloud, Tenant: h.Tenant.TenantID, ClientID: entratest.GenkanID, Credential: entra.Secret(entratest.GenkanSecret), Now: h.clock.Now}))
	c := console.Config{
		PublicURL: public, Pages: pages, Store: h.Store, Ring: ring, Entra: client, Now: h.clock.Now, Logger: logger,
		SignOutURL: h.Tenant.URL + "/" + h.Tenant.TenantID + "/oauth2/v2.0/logout", Issuer: cloud.IssuerV2(h.Tenant.TenantID),
		Servers: func() []console.Server { return servers }, Door: h.Seen.watch(door), Grants: h.Grants, Chat: o.chat, AdminRole: "Genkan.Admin", Record: h.Audit.Record,
		Admin: console.Admin{
			Audit: func(context.Context) (io.ReadCloser, error) { return os.Open(path) }, Metrics: metrics.Registry(), Inventory: inventory,
			Conditions: must(condition.New(condition.Config{})).Compile,
			Health: []console.Probe{
				{Name: "Store", Kind: "store", Check: func(ctx context.Context) error { _, err := h.Store.List(ctx, "none", "", "", 1); return err }},
				{Name: "Audit log", Kind: "audit log", Check: func(context.Context) error { return h.Audit.Ready() }},
				{Name: "Ledger", Kind: "server", Check: func(context.Context) error { return errors.New("secret-internal-host refused") }},
			},
		},
	}
	if o.change != nil {
		o.change(&c)
	}
	h.k = must(console.New(c))
	mux := http.NewServeMux()
	mux.Handle(page.AssetsPath, pages.Assets())
	mux.Handle(console.Root, h.k)
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(signing.Public())
	})
	for _, path := range door.Paths() {
		mux.Handle(path, door)
	}
	return mux
}

// behind starts the servers behind and says what gateway and console have to know of each.
func (h *house) behind(o options, signing *gateway.SigningKeys) ([]gateway.Server, []console.Server) {
	profileAddress := "http://profile.example/mcp"
	profile := profileServer()
	all := append([]extra{
		{"weather", samples.Weather(), []policy.Rule{
			{Name: "readers", Allow: []string{"list_cities", "get_forecast"}, Roles: []string{"Weather.Read"}},
			{Name: "writers", Allow: []string{"set_alert"}, Roles: []string{"Weather.Write"}},
		}},
		{"profile", profile, []policy.Rule{{Name: "everybody", Allow: []string{"*"}, People: []string{"*"}}}},
	}, o.extras...)
	var doors []gateway.Server
	var servers []console.Server
	for _, e := range all {
		server := httptest.NewServer(h.Seen.watch(e.Handler))
		h.t.Cleanup(server.Close)
		rules := must(policy.Compile(e.Rules, must(condition.New(condition.Config{})).Compile))
		resource := h.URL + "/" + e.Name + "/mcp"
		d := gateway.Server{
			Name: e.Name, Title: strings.ToUpper(e.Name[:1]) + e.Name[1:], Resource: resource, Authenticator: gateway.Facade{Sessions: h.Grants},
			AuthorizationServers: []string{h.URL}, Scopes: []string{"mcp"}, Rules: rules,
			Upstream: must(upstream.NewHTTP(upstream.HTTPConfig{URL: must(url.Parse(server.URL + "/mcp")), Transport: upstream.NewTransport()})),
		}
		if e.Name == "profile" {
			d.Credential = must(gateway.NewSignedIdentity(h.URL, profileAddress, signing, h.clock.Now))
		}
		h.t.Cleanup(func() { _ = d.Upstream.Close() })
		doors = append(doors, d)
		servers = append(servers, console.Server{Name: e.Name, Title: d.Title, Description: about(e.Name), Resource: resource, Rules: rules, Source: e.Rules})
	}
	return doors, servers
}

func about(name string) string {
	switch name {
	case "weather":
		return "Forecasts for a few cities."
	case "profile":
		return "Who you are, as the server behind sees it."
	}
	return "A server of the tests."
}

// visitor is a browser without JavaScript: it keeps cookies, follows nothing by itself.
type visitor struct {
	h    *house
	http *http.Client
}

func (h *house) visitor() *visitor {
	jar := must(cookiejar.New(nil))
	return &visitor{h: h, http: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// answer is an HTTP answer, read whole.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

func (v *visitor) do(r *http.Request) answer {
	v.h.t.Helper()
	resp, err := v.http.Do(r)
	if err != nil {
		v.h.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.h.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func (v *visitor) request(method, path, body string, headers ...string) *http.Request {
	v.h.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = v.h.URL + path
	}
	r, err := http.NewRequestWithContext(v.h.t.Context(), method, path, strings.NewReader(body))
	if err != nil {
		v.h.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func (v *visitor) get(path string, headers ...string) answer {
	v.h.t.Helper()
	return v.do(v.request(http.MethodGet, path, "", headers...))
}

// post sends a form of our own page: with its token, from its origin.
func (v *visitor) post(path string, form url.Values, headers ...string) answer {
	v.h.t.Helper()
	if form == nil {
		form = url.Values{}
	}
	form.Set("form", v.form())
	headers = append([]string{"Content-Type", "application/x-www-form-urlencoded", "Origin", v.h.URL, "Sec-Fetch-Site", "same-origin"}, headers...)
	return v.do(v.request(http.MethodPost, path, form.Encode(), headers...))
}

var formField = regexp.MustCompile(`name="form" value="([^"]+)"`)

// form is the token against forged forms, read off a page.
func (v *visitor) form() string {
	v.h.t.Helper()
	found := formField.FindStringSubmatch(v.get("/console/sessions").Body)
	if found == nil {
		v.h.t.Fatal("the page has no form: is nobody signed in?")
	}
	return found[1]
}

// signIn walks from the console to Entra and back.
func (v *visitor) signIn(who string) answer {
	v.h.t.Helper()
	return v.get(v.callback(who, "/console/sign-in"))
}

// callback is the address at which Entra sends the browser back.
func (v *visitor) callback(who, start string) string {
	v.h.t.Helper()
	to := v.get(start)
	if to.Status != http.StatusSeeOther {
		v.h.t.Fatalf("sign-in: status %d: %s", to.Status, to.Body)
	}
	back, err := v.h.Tenant.SignIn(to.Header.Get("Location"), who)
	if err != nil {
		v.h.t.Fatal(err)
	}
	return back.RedirectURI + "?" + back.Params.Encode()
}

func (h *house) signedIn(who string) *visitor {
	h.t.Helper()
	v := h.visitor()
	if got := v.signIn(who); got.Status != http.StatusSeeOther || got.Header.Get("Location") != "/console/" {
		h.t.Fatalf("sign in as %s: status %d, to %q: %s", who, got.Status, got.Header.Get("Location"), got.Body)
	}
	return v
}

var tags = regexp.MustCompile(`<[^>]*>`)

// words is a page as somebody reads it.
func words(page string) string {
	return strings.Join(strings.Fields(html.UnescapeString(tags.ReplaceAllString(page, " "))), " ")
}

var assetAddress = regexp.MustCompile(`(?:href|src)="([^"]+\.(?:css|js|svg))"`)

func assetPaths(page string) []string {
	var paths []string
	for _, m := range assetAddress.FindAllStringSubmatch(page, -1) {
		if !slices.Contains(paths, m[1]) {
			paths = append(paths, m[1])
		}
	}
	return paths
}

package gateway_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/gateway"
	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store/memory"
	"github.com/genkan-mcp/genkan/internal/telemetry"
	"github.com/genkan-mcp/genkan/internal/upstream"
	"github.com/genkan-mcp/genkan/policy"
)

func TestMain(m *testing.M) {
	if os.Getenv("GENKAN_TEST_SERVER") != "" { // this binary is also the command of stdio servers
		serveStdio()
		return
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { os.Exit(code) }))
}

const tenant = "6f89cf12-978b-4d23-ac18-9ef0c127cf87"

func alice() policy.Identity {
	return policy.Identity{Tenant: tenant, Object: "a11ce000-0000-4000-8000-000000000001", Kind: policy.Person, Client: "client-1",
		Name: "Alice", Username: "alice@contoso.example", Roles: []string{"Weather.Read", "Weather.Write"}}
}

func bob() policy.Identity {
	return policy.Identity{Tenant: tenant, Object: "b0b00000-0000-4000-8000-000000000002", Kind: policy.Person, Client: "client-1",
		Name: "Bob", Roles: []string{"Weather.Read"}}
}

func carol() policy.Identity {
	return policy.Identity{Tenant: tenant, Object: "ca801000-0000-4000-8000-000000000003", Kind: policy.Person, Client: "client-1", Name: "Carol"}
}

func weatherRules() []policy.Rule {
	return []policy.Rule{
		{Name: "readers", Allow: []string{"get_*", "list_*", "slow_*", "big_*"}, Prompts: []string{"brief"}, Resources: []string{"weather://*"}, Roles: []string{"Weather.Read"}},
		{Name: "writers", Allow: []string{"set_*"}, Roles: []string{"Weather.Write"}},
		{Name: "deep", Allow: []string{"deep_scan"}, Roles: []string{"Weather.Read"}, Scopes: []string{"scan"}},
		{Name: "near", Allow: []string{"near_only"}, Roles: []string{"Weather.Read"}, When: "city=Oslo"},
	}
}

// door is a gateway with one server behind it, over real HTTP.
type door struct {
	t       testing.TB
	url     string // of the gateway
	gateway *gateway.Gateway
	grants  *grant.Grants
	store   *flakyStore
	lines   *audit.Memory
	audit   *audit.Log
	log     *syncBuffer
	metrics *telemetry.Metrics
	keys    *gateway.SigningKeys
}

// settings are what tests change of a door.
type settings struct {
	config func(*gateway.Config)
	server func(*gateway.Server)
	sinks  []audit.Sink
	behind http.Handler
	reach  upstream.Upstream // in place of behind
}

// syncBuffer is a log that is written while it is read.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// openDoor puts a gateway before a handler.
func openDoor(t testing.TB, set settings) *door {
	t.Helper()
	if set.behind == nil {
		set.behind = weather(&mcp.StreamableHTTPOptions{})
	}
	behind := httptest.NewServer(set.behind)
	t.Cleanup(behind.Close)
	d := &door{t: t, lines: &audit.Memory{}, log: &syncBuffer{}, metrics: telemetry.NewMetrics()}
	front := httptest.NewUnstartedServer(nil)
	d.url = "http://" + front.Listener.Addr().String()
	d.openGrants()
	d.openAudit(set.sinks)
	transport := upstream.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	if set.reach == nil {
		set.reach = must(upstream.NewHTTP(upstream.HTTPConfig{URL: must(url.Parse(behind.URL)), Transport: transport}))
	}
	d.build(set, set.reach)
	front.Config.Handler = d.gateway
	front.Start()
	t.Cleanup(func() { d.gateway.Drain(); front.CloseClientConnections(); front.Close(); _ = set.reach.Close() })
	return d
}

func (d *door) openGrants() {
	d.store = &flakyStore{Store: memory.New()}
	ring := must(secret.NewRing(time.Now, rand.Reader))
	d.grants = must(grant.New(grant.Config{Store: d.store, Ring: ring}))
}

func (d *door) openAudit(sinks []audit.Sink) {
	d.audit = must(audit.New(audit.Config{Sinks: append(sinks, d.lines)}))
	d.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = d.audit.Close(ctx)
	})
}

func (d *door) build(set settings, up upstream.Upstream) {
	d.t.Helper()
	d.keys = must(gateway.NewSigningKeys(time.Now, must(gateway.NewSigningKey(rand.Reader, time.Time{}))))
	server := gateway.Server{
		Name: "weather", Title: "Weather", Resource: d.url + "/weather/mcp", Scopes: []string{"mcp"},
		Authenticator: gateway.Facade{Sessions: d.grants}, AuthorizationServers: []string{d.url},
		Rules: must(policy.Compile(weatherRules(), compileCondition)), Upstream: up,
	}
	if set.server != nil {
		set.server(&server)
	}
	config := gateway.Config{
		PublicURL: must(url.Parse(d.url)), Servers: []gateway.Server{server}, Audit: d.audit, Metrics: d.metrics,
		SessionIDs: must(secret.NewRing(time.Now, rand.Reader)),
		Logger:     must(telemetry.NewLogger(telemetry.LogConfig{Writer: d.log, Level: slog.LevelDebug})),
	}
	if set.config != nil {
		set.config(&config)
	}
	d.gateway = must(gateway.New(config))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// token opens a session and gives its access token.
func (d *door) token(who policy.Identity, scopes ...string) string {
	d.t.Helper()
	return d.tokens(who, scopes...).Access.Reveal()
}

func (d *door) tokens(who policy.Identity, scopes ...string) grant.Tokens {
	d.t.Helper()
	return d.tokensFor(who, d.resource(), scopes...)
}

func (d *door) tokensFor(who policy.Identity, resource string, scopes ...string) grant.Tokens {
	d.t.Helper()
	if len(scopes) == 0 {
		scopes = []string{"mcp"}
	}
	return must(d.grants.Issue(d.t.Context(), grant.Opening{
		Client: who.Client, Server: "weather", Resource: resource, Scopes: scopes, Identity: who, Upstream: []byte("entra"),
	}))
}

func (d *door) resource() string { return d.url + "/weather/mcp" }

// events waits for the audit lines that are on their way and gives them.
func (d *door) events() []audit.Event {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := d.audit.Close(ctx); err != nil {
		d.t.Fatal(err)
	}
	if _, err := audit.Verify(bytes.NewReader(d.lines.Bytes())); err != nil {
		d.t.Error(err)
	}
	var all []audit.Event
	decoder := json.NewDecoder(bytes.NewReader(d.lines.Bytes()))
	for decoder.More() {
		var e audit.Event
		if err := decoder.Decode(&e); err != nil {
			d.t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// bearer shows a token with every request.
type bearer struct {
	token string
	base  http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.base.RoundTrip(r)
}

func (d *door) client(token string) *http.Client {
	transport := &http.Transport{}
	d.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: bearer{token: token, base: transport}}
}

// connect is the official client with a token.
func (d *door) connect(token string, options *mcp.ClientOptions) *mcp.ClientSession {
	d.t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, options)
	session, err := client.Connect(d.t.Context(), &mcp.StreamableClientTransport{Endpoint: d.resource(), HTTPClient: d.client(token)}, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = session.Close() })
	return session
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// request makes a POST with a token, as a client would; tests then spoil it.
func (d *door) request(token, body string) *http.Request {
	d.t.Helper()
	r := must(http.NewRequestWithContext(d.t.Context(), http.MethodPost, d.resource(), strings.NewReader(body)))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

func (d *door) do(r *http.Request) answer {
	d.t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(r.Context(), 15*time.Second) // a stream that should not have opened must not hang the test
	defer cancel()
	resp, err := transport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: string(body)}
}

func (d *door) post(token, body string) answer { return d.do(d.request(token, body)) }

// raw sends bytes as they are and gives back what came until the connection closed.
func (d *door) raw(request string) string {
	d.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		d.t.Fatal(err)
	}
	out, _ := io.ReadAll(conn)
	return string(out)
}

func call(tool, arguments string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, tool, arguments)
}

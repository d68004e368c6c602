package guard_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/guard"
	"github.com/genkan-mcp/genkan/policy"
	"github.com/genkan-mcp/genkan/policy/condition"
)

// world is a tenant and a guarded weather server.
type world struct {
	t      *testing.T
	tenant *entratest.Tenant
	url    string
	log    *logged
	guard  *guard.Guard
}

type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func rules() []policy.Rule {
	return []policy.Rule{
		{Name: "readers", Allow: []string{"get_*"}, Prompts: []string{"brief"}, Resources: []string{"weather://public/*"}, Roles: []string{"Weather.Read"}},
		{Name: "writers", Allow: []string{"set_alert"}, Roles: []string{"Weather.Write"}, When: `args.city != "Oslo"`},
		{Name: "archive", Allow: []string{"archive"}, Roles: []string{"Weather.Write"}, Scopes: []string{"archive.write"}},
		{Name: "quiet", DenyMethods: []string{"logging/*"}, Roles: []string{"Weather.Read"}},
		{Name: "freeze", Deny: []string{"set_*"}, Mode: policy.Observe},
	}
}

// begin starts a world. The options can change the configuration of the guard and of the go-sdk's handler.
func begin(t *testing.T, options ...func(*guard.Config, *mcp.StreamableHTTPOptions)) *world {
	t.Helper()
	w := &world{t: t, tenant: entratest.Start(t), log: &logged{}}
	cloud, err := entra.DevCloud(w.tenant.URL)
	if err != nil {
		t.Fatal(err)
	}
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { handler.ServeHTTP(rw, r) }))
	t.Cleanup(server.Close)
	w.url = server.URL + "/mcp"
	config := guard.Config{Resource: w.url, Title: "Weather", Cloud: cloud, Tenant: w.tenant.TenantID, ClientID: entratest.GenkanID,
		Rules: rules(), Name: "weather", Logger: slog.New(slog.NewTextHandler(w.log, nil))}
	streamable := mcp.StreamableHTTPOptions{Stateless: true}
	for _, option := range options {
		option(&config, &streamable)
	}
	if w.guard, err = guard.New(config); err != nil {
		t.Fatal(err)
	}
	weather := weatherServer()
	weather.AddReceivingMiddleware(w.guard.Middleware())
	handler = w.guard.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return weather }, &streamable))
	return w
}

func stateful(_ *guard.Config, o *mcp.StreamableHTTPOptions) { o.Stateless = false }

// weatherServer has tools, prompts and resources, some of which no rule allows.
func weatherServer() *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "weather", Version: "1"}, nil)
	for _, name := range []string{"get_forecast", "set_alert", "archive", "shutdown"} {
		mcp.AddTool(server, &mcp.Tool{Name: name}, func(ctx context.Context, r *mcp.CallToolRequest, in struct {
			City string `json:"city,omitempty"`
		}) (*mcp.CallToolResult, any, error) {
			caller, ok := guard.Caller(ctx)
			token, hasToken := guard.CallerToken(ctx)
			return nil, map[string]any{
				"caller": caller.Username, "known": ok, "token": hasToken && !token.IsZero(), "city": in.City,
				"header": r.Extra.Header.Get("Authorization"),
			}, nil
		})
	}
	for _, name := range []string{"brief", "secret"} {
		server.AddPrompt(&mcp.Prompt{Name: name}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return &mcp.GetPromptResult{Description: name}, nil
		})
	}
	read := func(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: r.Params.URI, Text: "sun"}}}, nil
	}
	for _, uri := range []string{"weather://public/kyoto", "weather://private/kyoto"} {
		server.AddResource(&mcp.Resource{Name: "kyoto", URI: uri}, read)
	}
	for _, uri := range []string{"weather://public/{city}", "weather://private/{city}"} {
		server.AddResourceTemplate(&mcp.ResourceTemplate{Name: "city", URITemplate: uri}, read)
	}
	return server
}

func (w *world) token(who string) string {
	w.t.Helper()
	token, err := w.tenant.AccessToken(who, entratest.GenkanToolsID, entratest.GenkanURI)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// bearer adds a token to every request.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

func (w *world) connect(who string) *mcp.ClientSession {
	w.t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(w.t.Context(), &mcp.StreamableClientTransport{Endpoint: w.url,
		HTTPClient: &http.Client{Transport: bearer(w.token(who))}}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = session.Close() })
	return session
}

// answer is what came back, read.
type answer struct {
	status int
	header http.Header
	body   string
}

// send posts a body. The headers come in pairs.
func (w *world) send(body string, headers ...string) answer {
	w.t.Helper()
	return w.do(http.MethodPost, w.url, body, append([]string{"Content-Type", "application/json", "Accept", "application/json, text/event-stream"}, headers...)...)
}

func (w *world) do(method, url, body string, headers ...string) answer {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	all, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(all)}
}

// everybody knows of one group, and that everybody is in it.
const staff = "9e6ca000-0000-4000-8000-00000000beef"

type everybody struct{}

func (everybody) GroupsOf(context.Context, entra.Identity, entra.Token) ([]string, error) {
	return []string{staff}, nil
}

func mustJSON(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// conditions are checked by the same compiler as the gateway's.
var _ policy.ConditionCompiler = (*condition.Compiler)(nil).Compile

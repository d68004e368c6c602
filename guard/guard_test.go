package guard_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/guard"
	"github.com/genkan-mcp/genkan/policy"
)

// seen are the names in all lists.
func seen(t *testing.T, s *mcp.ClientSession) []string {
	t.Helper()
	var names []string
	for tool, err := range s.Tools(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, tool.Name)
	}
	for prompt, err := range s.Prompts(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, prompt.Name)
	}
	for resource, err := range s.Resources(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, resource.URI)
	}
	for template, err := range s.ResourceTemplates(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, template.URITemplate)
	}
	return names
}

func TestEverybodySeesWhatTheyMayUse(t *testing.T) {
	for name, option := range map[string]func(*guard.Config, *mcp.StreamableHTTPOptions){
		"stateless": func(*guard.Config, *mcp.StreamableHTTPOptions) {},
		"stateful":  stateful,
		"as JSON":   func(_ *guard.Config, o *mcp.StreamableHTTPOptions) { o.JSONResponse = true },
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, option)
			for who, want := range map[string][]string{
				"alice": {"archive", "get_forecast", "set_alert", "brief", "weather://public/kyoto", "weather://public/{city}"},
				"bob":   {"get_forecast", "brief", "weather://public/kyoto", "weather://public/{city}"},
				"carol": nil,
			} {
				if diff := cmp.Diff(want, seen(t, w.connect(who))); diff != "" {
					t.Errorf("%s: %s", who, diff)
				}
			}
		})
	}
}

func TestToolsKnowWhoCallsAndSeeNoToken(t *testing.T) {
	for name, option := range map[string]func(*guard.Config, *mcp.StreamableHTTPOptions){
		"stateless": func(*guard.Config, *mcp.StreamableHTTPOptions) {}, "stateful": stateful,
	} {
		t.Run(name, func(t *testing.T) {
			result, err := begin(t, option).connect("bob").CallTool(t.Context(), &mcp.CallToolParams{Name: "get_forecast", Arguments: map[string]any{"city": "Kyoto"}})
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]any{"caller": "bob@contoso.example", "known": true, "token": true, "city": "Kyoto", "header": ""}
			if diff := cmp.Diff(want, result.StructuredContent); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, ok := guard.Caller(t.Context()); ok {
		t.Error("somebody calls where nobody does")
	}
	if _, ok := guard.CallerToken(t.Context()); ok {
		t.Error("there is a token where nobody calls")
	}
}

// What bob may not know of is refused in the very words in which the go-sdk refuses what isn't there.
func TestWhatIsHiddenIsAnsweredAsIfItDidNotExist(t *testing.T) {
	everything := func(c *guard.Config, _ *mcp.StreamableHTTPOptions) {
		c.Rules = []policy.Rule{{Allow: []string{"*"}, Prompts: []string{"*"}, Resources: []string{"*"}}}
	}
	open, w := begin(t, everything).connect("bob"), begin(t)
	guarded := w.connect("bob")
	for name, try := range map[string]func(s *mcp.ClientSession, name string) error{
		"tool": func(s *mcp.ClientSession, name string) error {
			_, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: name})
			return err
		},
		"prompt": func(s *mcp.ClientSession, name string) error {
			_, err := s.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: name})
			return err
		},
		"resource": func(s *mcp.ClientSession, name string) error {
			_, err := s.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "weather:" + name})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			hidden, absent := "shutdown", "shutdowm"
			switch name {
			case "prompt":
				hidden, absent = "secret", "secreu"
			case "resource":
				hidden, absent = "//private/kyoto", "//privatf-kyoto"
			}
			refused, unknown := try(guarded, hidden), try(open, absent)
			if refused == nil || unknown == nil {
				t.Fatalf("refused: %v, unknown: %v", refused, unknown)
			}
			if diff := cmp.Diff(strings.ReplaceAll(unknown.Error(), absent, hidden), refused.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := w.log.String(); !strings.Contains(got, `the tool \"shutdown\"`) {
		t.Errorf("the log doesn't say why: %s", got)
	}
}

func TestWhatIsRefusedForItsArgumentsSaysSo(t *testing.T) {
	w := begin(t)
	alice := w.connect("alice")
	_, err := alice.CallTool(t.Context(), &mcp.CallToolParams{Name: "set_alert", Arguments: map[string]any{"city": "Oslo"}})
	if err == nil || !strings.Contains(err.Error(), `the condition of "writers"`) {
		t.Errorf("got %v", err)
	}
	result, err := alice.CallTool(t.Context(), &mcp.CallToolParams{Name: "set_alert", Arguments: map[string]any{"city": "Kyoto"}})
	if err != nil || result.IsError {
		t.Errorf("got %v, %v", result, err)
	}
	if !strings.Contains(w.log.String(), "a rule in observe mode would have refused") {
		t.Error("the rule in observe mode left no trace")
	}
}

// RFC 6750 §3.1: the client can ask for the scope and come again.
func TestThreat22And23_TheBodyIsReadStrictly(t *testing.T) {
	w := begin(t)
	authorization := "Bearer " + w.token("alice")
	for name, body := range map[string]string{
		"twice":        `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast","name":"shutdown"}}`,
		"another case": `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast","Name":"shutdown"}}`,
		"batch":        `[{"jsonrpc":"2.0","id":1,"method":"ping"}]`,
		"no JSON":      `hello`,
	} {
		got := w.send(body, "Authorization", authorization)
		if got.status != http.StatusBadRequest || mustJSON(t, got.body)["error"] == nil {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
	ping := `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	if got := w.send(ping, "Authorization", authorization, "Mcp-Method", "tools/call"); got.status != http.StatusBadRequest || !strings.Contains(got.body, "-32020") {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got := w.do(http.MethodPost, w.url, ping, "Authorization", authorization, "Content-Type", "text/plain"); got.status != http.StatusUnsupportedMediaType {
		t.Errorf("got %d", got.status)
	}
	small := begin(t, func(c *guard.Config, _ *mcp.StreamableHTTPOptions) { c.MaxBody = 10 })
	if got := small.send(ping, "Authorization", "Bearer "+small.token("alice")); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d", got.status)
	}
}

func TestMethodsCanBeTakenAwayAndUnknownOnesAreNotForwarded(t *testing.T) {
	w := begin(t)
	for _, method := range []string{"logging/setLevel", "unheard/of"} {
		got := w.send(`{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":{"level":"debug"}}`, "Authorization", "Bearer "+w.token("bob"))
		if !strings.Contains(got.body, "-32601") && got.status != http.StatusBadRequest {
			t.Errorf("%s: got %d %s", method, got.status, got.body)
		}
	}
	got := w.send(`{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"debug"}}`, "Authorization", "Bearer "+w.token("carol"))
	if strings.Contains(got.body, "-32601") {
		t.Errorf("carol is not whom the rule is about: %s", got.body)
	}
}

// Whoever forgets the handler has opened nothing.
func TestTheMiddlewareAloneRefusesEverything(t *testing.T) {
	g, err := guard.New(guard.Config{Resource: "https://weather.example/mcp", Tenant: entratest.TenantID, ClientID: entratest.GenkanID,
		Rules: []policy.Rule{{Allow: []string{"*"}}}})
	if err != nil {
		t.Fatal(err)
	}
	server := weatherServer()
	server.AddReceivingMiddleware(g.Middleware())
	clientEnd, serverEnd := mcp.NewInMemoryTransports()
	if _, err := server.Connect(t.Context(), serverEnd, nil); err != nil {
		t.Fatal(err)
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "t", Version: "1"}, nil)
	if _, err := client.Connect(t.Context(), clientEnd, nil); err == nil || !strings.Contains(err.Error(), "did not come through the guard") {
		t.Errorf("got %v", err)
	}
}

func TestMistakesOfTheConfigurationAreAllReported(t *testing.T) {
	_, err := guard.New(guard.Config{Resource: "weather", Rules: []policy.Rule{{}, {Allow: []string{"x"}, When: "("}}, Clients: []string{"vscode"}})
	if err == nil {
		t.Fatal("no mistake")
	}
	for _, words := range []string{"resource:", "tenant, client ID:", "tenants:", `"vscode"`, "rules[0]", "rules[1].when"} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("nothing about %s in %v", words, err)
		}
	}
	for _, resource := range []string{"https://x/mcp?a=b", "https://u@x/mcp", "https://x/#f", "ftp://x/", "http://[", ""} {
		if _, err := guard.New(guard.Config{Resource: resource, Tenant: entratest.TenantID, ClientID: entratest.GenkanID}); err == nil {
			t.Errorf("%q is accepted", resource)
		}
	}
}

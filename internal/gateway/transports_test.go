package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/internal/upstream"
	"github.com/genkan-mcp/genkan/policy"
)

// serveStdio is the weather server as a command.
func serveStdio() {
	server := weatherServer(make(chan struct{}, 8))
	if os.Getenv("GENKAN_TEST_SERVER") == "old" {
		server = mcp.NewServer(&mcp.Implementation{Name: "old", Version: "1"}, &mcp.ServerOptions{SupportedProtocolVersions: []string{"2025-06-18"}})
	}
	mcp.AddTool(server, &mcp.Tool{Name: "get_environment"}, func(context.Context, *mcp.CallToolRequest, cityArguments) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: fmt.Sprint(os.Getpid(), " ", strings.Join(os.Environ(), " "))}}}, nil, nil
	})
	mcp.AddTool(server, &mcp.Tool{Name: "get_crash"}, func(context.Context, *mcp.CallToolRequest, cityArguments) (*mcp.CallToolResult, any, error) {
		os.Exit(3)
		return nil, nil, nil
	})
	mcp.AddTool(server, &mcp.Tool{Name: "get_roots"}, func(ctx context.Context, r *mcp.CallToolRequest, _ cityArguments) (*mcp.CallToolResult, any, error) {
		roots, err := r.Session.ListRoots(ctx, nil) //nolint:staticcheck // old servers ask so
		if err != nil {
			return nil, nil, err
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: fmt.Sprint(len(roots.Roots), " roots")}}}, nil, nil
	})
	fmt.Fprintln(os.Stderr, "weather is ready")
	_ = server.Run(context.Background(), &mcp.StdioTransport{})
}

func stdio(t *testing.T, change func(*upstream.StdioConfig)) *upstream.Stdio {
	t.Helper()
	c := upstream.StdioConfig{Command: []string{must(os.Executable())}, Env: []string{"GENKAN_TEST_SERVER=1"}}
	if change != nil {
		change(&c)
	}
	return must(upstream.NewStdio(c))
}

// legacyServer is a server that speaks the transport of 2024-11-05 only.
func legacyServer(t *testing.T) *upstream.SSE {
	t.Helper()
	server := weatherServer(make(chan struct{}, 8))
	behind := httptest.NewServer(mcp.NewSSEHandler(func(*http.Request) *mcp.Server { return server }, nil))
	t.Cleanup(behind.Close)
	transport := upstream.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	return must(upstream.NewSSE(upstream.SSEConfig{URL: must(url.Parse(behind.URL + "/sse")), Transport: transport}))
}

// connectLegacy is the official client on the older transport.
func (d *door) connectLegacy(token string, options *mcp.ClientOptions) *mcp.ClientSession {
	d.t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "old", Version: "1"}, options)
	session, err := client.Connect(d.t.Context(), &mcp.SSEClientTransport{Endpoint: d.url + "/weather/sse", HTTPClient: d.client(token)}, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = session.Close() })
	return session
}

// Every kind of client reaches every kind of server, and the rules are the same.
func TestClientAndServerMaySpeakDifferentTransports(t *testing.T) {
	clients := map[string]func(*door, string, *mcp.ClientOptions) *mcp.ClientSession{"http": (*door).connect, "sse": (*door).connectLegacy}
	servers := map[string]func(*testing.T) settings{
		"http": func(*testing.T) settings { return settings{} },
		"json": func(*testing.T) settings {
			return settings{behind: weather(&mcp.StreamableHTTPOptions{JSONResponse: true})}
		},
		"stateless": func(*testing.T) settings { return settings{behind: stateless()} },
		"sse":       func(t *testing.T) settings { return settings{reach: legacyServer(t)} },
		"stdio":     func(t *testing.T) settings { return settings{reach: stdio(t, nil)} },
		"stdio shared": func(t *testing.T) settings {
			return settings{reach: stdio(t, func(c *upstream.StdioConfig) { c.Shared = true })}
		},
	}
	for clientName, connect := range clients {
		for serverName, open := range servers {
			t.Run(clientName+" to "+serverName, func(t *testing.T) {
				d := openDoor(t, open(t))
				progress := make(chan float64, 8)
				session := connect(d, d.token(bob()), &mcp.ClientOptions{ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
					if r.Params.ProgressToken == "p1" {
						progress <- r.Params.Progress
					}
				}})
				for _, name := range toolNames(t, session) {
					if strings.HasPrefix(name, "set_") || strings.HasPrefix(name, "secret") {
						t.Errorf("%s is in the list", name)
					}
				}
				result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "get_forecast", Arguments: cityArguments{City: "Oslo"}})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff("get_forecast Oslo", text(t, result)); diff != "" {
					t.Error(diff)
				}
				if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "set_alert", Arguments: cityArguments{}}); err == nil || !strings.Contains(err.Error(), `unknown tool "set_alert"`) {
					t.Errorf("set_alert: %v", err)
				}
				if serverName == "json" {
					return // answers in one piece have no progress
				}
				params := &mcp.CallToolParams{Name: "slow_count", Arguments: cityArguments{}}
				params.SetProgressToken("p1")
				if _, err := session.CallTool(t.Context(), params); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]float64{0, 1, 2}, []float64{<-progress, <-progress, <-progress}); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func environment(t *testing.T, session *mcp.ClientSession) (pid, rest string) {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "get_environment", Arguments: cityArguments{}})
	if err != nil {
		t.Fatal(err)
	}
	pid, rest, _ = strings.Cut(text(t, result), " ")
	return pid, rest
}

func TestEachPersonHasAProcessOfTheirOwnWithNothingInherited(t *testing.T) {
	t.Setenv("GENKAN_SECRET_OF_THE_DOOR", "x")
	d := openDoor(t, settings{reach: stdio(t, func(c *upstream.StdioConfig) {
		c.Env = append(c.Env, "LANG=C")
		c.IdentityVariable = "WHO"
	})})
	aliceToken := d.token(alice())
	alicePID, rest := environment(t, d.connect(aliceToken, nil))
	againPID, _ := environment(t, d.connect(aliceToken, nil))
	bobPID, _ := environment(t, d.connect(d.token(bob()), nil))
	if alicePID != againPID || alicePID == bobPID {
		t.Errorf("processes: alice %s and %s, bob %s", alicePID, againPID, bobPID)
	}
	if diff := cmp.Diff("GENKAN_TEST_SERVER=1 LANG=C WHO="+alice().Key(), rest); diff != "" {
		t.Errorf("environment: %s", diff)
	}
}

func TestASharedProcessServesEverybody(t *testing.T) {
	d := openDoor(t, settings{reach: stdio(t, func(c *upstream.StdioConfig) { c.Shared = true })})
	a, _ := environment(t, d.connect(d.token(alice()), nil))
	b, _ := environment(t, d.connect(d.token(bob()), nil))
	if a != b {
		t.Errorf("two processes: %s and %s", a, b)
	}
}

func TestAProcessThatDiesTellsItsCallersAndIsStartedAgain(t *testing.T) {
	d := openDoor(t, settings{reach: stdio(t, nil)})
	token := d.token(alice())
	session := d.connect(token, nil)
	if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "get_crash", Arguments: cityArguments{}}); err == nil || !strings.Contains(err.Error(), "ended before it answered") {
		t.Errorf("the call that killed it: %v", err)
	}
	// It lived for a moment only, so it rests for a second before it starts again.
	deadline := time.Now().Add(10 * time.Second)
	for {
		a := d.post(token, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`)
		if a.status == http.StatusOK && strings.Contains(a.body, `"result"`) {
			return
		}
		if a.status != http.StatusBadGateway && a.status != http.StatusServiceUnavailable || time.Now().After(deadline) {
			t.Fatalf("%d %s", a.status, a.body)
		}
		<-time.After(100 * time.Millisecond)
	}
}

func TestAServerMayAskTheOneClientThatItHas(t *testing.T) {
	d := openDoor(t, settings{reach: stdio(t, func(c *upstream.StdioConfig) { c.Env = []string{"GENKAN_TEST_SERVER=old"} })})
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	client.AddRoots(&mcp.Root{URI: "file:///a"}, &mcp.Root{URI: "file:///b"}) //nolint:staticcheck // old clients have them
	connect := func(token string) *mcp.ClientSession {
		session, err := client.Connect(t.Context(), &mcp.SSEClientTransport{Endpoint: d.url + "/weather/sse", HTTPClient: d.client(token)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = session.Close() })
		return session
	}
	session := connect(d.token(alice()))
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "get_roots", Arguments: cityArguments{}})
	if err != nil || result.IsError || text(t, result) != "2 roots" {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestThreat21_ASessionOfOnePersonIsNoGoodForAnother(t *testing.T) {
	for name, set := range map[string]settings{"http": {}, "stdio shared": {reach: stdio(t, func(c *upstream.StdioConfig) { c.Shared = true })}, "sse": {reach: legacyServer(t)}} {
		t.Run(name, func(t *testing.T) {
			d := openDoor(t, set)
			aliceToken, bobToken := d.token(alice()), d.token(bob())
			opened := d.post(aliceToken, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`)
			id := opened.header.Get("Mcp-Session-Id")
			if id == "" {
				t.Fatalf("no session: %d %s", opened.status, opened.body)
			}
			otherClient := alice()
			otherClient.Client = "client-2"
			for who, c := range map[string]struct {
				token  string
				id     string
				status int
			}{
				"alice":                      {aliceToken, id, http.StatusAccepted},
				"bob":                        {bobToken, id, http.StatusNotFound},
				"alice with another client":  {d.token(otherClient), id, http.StatusNotFound},
				"alice with an invented one": {aliceToken, "invented", http.StatusNotFound},
				"alice with a bent one":      {aliceToken, id[:len(id)-2] + "AA", http.StatusNotFound},
			} {
				for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
					if who == "alice" && method != http.MethodPost {
						continue
					}
					r := d.request(c.token, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
					r.Method = method
					r.Header.Set("Mcp-Session-Id", c.id)
					if a := d.do(r); a.status != c.status {
						t.Errorf("%s by %s: %d %s, want %d", method, who, a.status, a.body, c.status)
					}
				}
			}
			r := d.request(aliceToken, "")
			r.Method = http.MethodDelete
			r.Header.Set("Mcp-Session-Id", id)
			if a := d.do(r); a.status != http.StatusNoContent {
				t.Errorf("after all that alice can't end her session: %d %s", a.status, a.body)
			}
		})
	}
}

func TestThreat21_ALegacySessionOfOnePersonIsNoGoodForAnother(t *testing.T) {
	d := openDoor(t, settings{})
	r := must(http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+"/weather/sse", nil))
	resp, err := d.client(d.token(alice())).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	head := make([]byte, 4096)
	n, err := resp.Body.Read(head)
	if err != nil {
		t.Fatal(err)
	}
	_, endpoint, _ := strings.Cut(strings.TrimSpace(string(head[:n])), "data: ")
	post := func(who policy.Identity, endpoint string) int {
		r := d.request(d.token(who), `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
		r.URL = must(r.URL.Parse(endpoint))
		return d.do(r).status
	}
	got := []int{post(alice(), endpoint), post(bob(), endpoint), post(alice(), "/weather/message?sessionId=invented"), post(alice(), endpoint+"&sessionId=x")}
	if diff := cmp.Diff([]int{202, 404, 404, 400}, got); diff != "" {
		t.Error(diff)
	}
}

func TestALegacyClientMayBindItsTokenToTheAddressThatItWasGiven(t *testing.T) {
	d := openDoor(t, settings{})
	a := d.do(must(http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+"/.well-known/oauth-protected-resource/weather/sse", nil)))
	if !strings.Contains(a.body, `"resource":"`+d.url+`/weather/sse"`) {
		t.Errorf("metadata: %s", a.body)
	}
	token := d.tokensFor(alice(), d.url+"/weather/sse").Access.Reveal()
	if got := toolNames(t, d.connectLegacy(token, nil)); len(got) == 0 {
		t.Error("no tools")
	}
	if a := d.post(token, call("get_forecast", "{}")); a.status != http.StatusUnauthorized {
		t.Errorf("the token is good at the newer transport's address too: %d", a.status)
	}
}

func TestResumptionPasses(t *testing.T) {
	rec := &recorder{answer: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte("id: 8\nretry: 500\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"tools\":[{\"name\":\"set_alert\"},{\"name\":\"get_forecast\"}]}}\n\n"))
	}}
	d := openDoor(t, settings{behind: rec})
	r := d.request(d.token(bob()), "")
	r.Method, r.Body = http.MethodGet, nil
	r.Header.Set("Last-Event-ID", "7")
	a := d.do(r)
	requests, _ := rec.seen()
	if len(requests) != 1 || requests[0].Header.Get("Last-Event-Id") != "7" {
		t.Fatalf("%d requests", len(requests))
	}
	if !strings.Contains(a.body, "id: 8") || !strings.Contains(a.body, "get_forecast") || strings.Contains(a.body, "set_alert") {
		t.Errorf("a resumed list is not filtered: %s", a.body)
	}
}

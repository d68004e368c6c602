package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/guard"
)

// bearer adds a token to every request.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

func connect(t *testing.T, who string) *mcp.ClientSession {
	t.Helper()
	tenant := entratest.Start(t)
	cloud, err := entra.DevCloud(tenant.URL)
	if err != nil {
		t.Fatal(err)
	}
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	handler, err = newHandler(guard.Config{Resource: server.URL + "/mcp", Cloud: cloud, Tenant: tenant.TenantID, ClientID: entratest.GenkanID})
	if err != nil {
		t.Fatal(err)
	}
	token, err := tenant.AccessToken(who, entratest.GenkanToolsID, entratest.GenkanURI)
	if err != nil {
		t.Fatal(err)
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: server.URL + "/mcp",
		HTTPClient: &http.Client{Transport: bearer(token)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

func TestEverybodySeesTheirOwnTools(t *testing.T) {
	for who, want := range map[string][]string{
		"alice": {"get_forecast", "list_cities", "set_alert"},
		"bob":   {"get_forecast", "list_cities"},
		"carol": nil,
	} {
		t.Run(who, func(t *testing.T) {
			list, err := connect(t, who).ListTools(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, tool := range list.Tools {
				got = append(got, tool.Name)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAToolKnowsWhoCalls(t *testing.T) {
	session := connect(t, "alice")
	call := func(ctx context.Context, city string) (*mcp.CallToolResult, error) {
		return session.CallTool(ctx, &mcp.CallToolParams{Name: "set_alert", Arguments: map[string]any{"city": city}})
	}
	result, err := call(t.Context(), "Kyoto")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("Alice Arai will be warned of storms in Kyoto.", result.Content[0].(*mcp.TextContent).Text); diff != "" {
		t.Error(diff)
	}
	if _, err := call(t.Context(), "Oslo"); err == nil {
		t.Error("nobody may set an alert for Oslo")
	}
}

package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

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

// connect runs the three tiers: a client with alice's token, this server, and the tenant with its Graph.
func connect(t *testing.T) (*entratest.Tenant, *mcp.ClientSession) {
	t.Helper()
	tenant := entratest.Start(t)
	cloud, err := entra.DevCloud(tenant.URL)
	if err != nil {
		t.Fatal(err)
	}
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	handler, err = newHandler(guard.Config{Resource: server.URL + "/mcp", Cloud: cloud, Tenant: tenant.TenantID, ClientID: entratest.GenkanID},
		entra.Secret(entratest.GenkanSecret))
	if err != nil {
		t.Fatal(err)
	}
	token, err := tenant.AccessToken("alice", entratest.GenkanToolsID, entratest.GenkanURI)
	if err != nil {
		t.Fatal(err)
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: server.URL + "/mcp", HTTPClient: &http.Client{Transport: bearer(token)},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return tenant, session
}

// call calls the tool.
func call(t *testing.T, session *mcp.ClientSession) (said string, isError bool) {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "get_user_details", Arguments: map[string]any{}})
	if err != nil {
		t.Fatal(err)
	}
	return result.Content[0].(*mcp.TextContent).Text, result.IsError
}

func TestGraphSeesTheCaller(t *testing.T) {
	tenant, session := connect(t)
	tenant.FailNext(entratest.Fault{Path: "/me", Status: http.StatusTooManyRequests, RetryAfter: time.Second})
	said, isError := call(t, session)
	if isError || !strings.Contains(said, `"displayName":"Alice Arai"`) {
		t.Errorf("the tool says %s", said)
	}
}

func TestTheToolSaysWhatToDo(t *testing.T) {
	for want, spoil := range map[string]func(*entratest.Tenant){
		"an administrator must first allow it": func(e *entratest.Tenant) { e.WithdrawConsent(entratest.GenkanID, entratest.GraphURI) },
		"wants a stronger sign-in": func(e *entratest.Tenant) {
			e.Require(entratest.Policy{Resource: entratest.GraphURI, MFA: true})
		},
		"can't be asked at the moment": func(e *entratest.Tenant) { e.ExpireSecrets(entratest.GenkanID) },
	} {
		t.Run(want, func(t *testing.T) {
			tenant, session := connect(t)
			spoil(tenant)
			said, isError := call(t, session)
			if !isError || !strings.Contains(said, want) || strings.Contains(said, "eyJ") {
				t.Errorf("the tool says %s, error %v", said, isError)
			}
		})
	}
}

package guard_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/guard"
	"github.com/genkan-mcp/genkan/policy"
)

// A server with two tools: bob may read, and doesn't even see the other.
func ExampleNew() {
	// In production there is no tenant to start: leave Cloud zero, and give the IDs of your own.
	tenant, err := entratest.New(entratest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	login := httptest.NewServer(tenant)
	defer login.Close()
	tenant.URL = login.URL
	cloud, err := entra.DevCloud(login.URL)
	if err != nil {
		log.Fatal(err)
	}

	guarded, err := guard.New(guard.Config{
		Resource: "http://localhost:8090/mcp",
		Cloud:    cloud,
		Tenant:   entratest.TenantID,
		ClientID: entratest.GenkanID,
		Rules: []policy.Rule{
			{Allow: []string{"get_forecast"}, Roles: []string{"Weather.Read"}},
			{Allow: []string{"set_alert"}, Roles: []string{"Weather.Write"}},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "weather", Version: "1"}, nil)
	server.AddReceivingMiddleware(guarded.Middleware())
	for _, name := range []string{"get_forecast", "set_alert"} {
		mcp.AddTool(server, &mcp.Tool{Name: name}, func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			caller, _ := guard.Caller(ctx)
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "Hello, " + caller.Name}}}, nil, nil
		})
	}
	door := httptest.NewServer(guarded.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)))
	defer door.Close()

	token, err := tenant.AccessToken("bob", entratest.GenkanToolsID, entratest.GenkanURI)
	if err != nil {
		log.Fatal(err)
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "example", Version: "1"}, nil)
	session, err := client.Connect(context.Background(), &mcp.StreamableClientTransport{
		Endpoint: door.URL + "/mcp", HTTPClient: &http.Client{Transport: bearer(token)},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	tools, err := session.ListTools(context.Background(), nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, tool := range tools.Tools {
		fmt.Println("bob sees", tool.Name)
	}
	result, err := session.CallTool(context.Background(), &mcp.CallToolParams{Name: "get_forecast"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Content[0].(*mcp.TextContent).Text)
	_, err = session.CallTool(context.Background(), &mcp.CallToolParams{Name: "set_alert"})
	fmt.Println(err)
	// Output:
	// bob sees get_forecast
	// Hello, Bob Brandt
	// calling "tools/call": unknown tool "set_alert"
}

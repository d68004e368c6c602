// Guarded-server is an MCP server, written with the official go-sdk, that lets in people of a Microsoft Entra
// tenant and shows each only the tools that their app roles allow.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/guard"
	"github.com/genkan-mcp/genkan/policy"
)

type place struct {
	City string `json:"city" jsonschema:"a city that list_cities names"`
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8090", "where to listen")
	var config guard.Config
	flag.StringVar(&config.Resource, "resource", "http://localhost:8090/mcp", "the public address")
	flag.StringVar(&config.Tenant, "tenant", "", "the ID of your tenant")
	flag.StringVar(&config.ClientID, "client-id", "", "the ID of the app registration that stands for this server")
	flag.Parse()
	handler, err := newHandler(config)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: *listen, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// newHandler is the weather server behind its guard.
func newHandler(config guard.Config) (http.Handler, error) {
	config.Logger = slog.Default()
	config.Rules = []policy.Rule{
		{Name: "readers", Allow: []string{"list_cities", "get_*"}, Roles: []string{"Weather.Read"}},
		{Name: "writers", Allow: []string{"set_alert"}, Roles: []string{"Weather.Write"}, When: `args.city != "Oslo"`},
	}
	guarded, err := guard.New(config)
	if err != nil {
		return nil, err
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "weather", Version: "1.0.0"}, nil)
	server.AddReceivingMiddleware(guarded.Middleware())
	mcp.AddTool(server, &mcp.Tool{Name: "list_cities", Description: "Lists the cities that have a forecast."}, listCities)
	mcp.AddTool(server, &mcp.Tool{Name: "get_forecast", Description: "Tells tomorrow's weather."}, getForecast)
	mcp.AddTool(server, &mcp.Tool{Name: "set_alert", Description: "Warns of storms."}, setAlert)
	serve := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true})
	return guarded.Handler(serve), nil
}

func listCities(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
	return text("Kyoto, Oslo, Lisbon"), nil, nil
}

func getForecast(_ context.Context, _ *mcp.CallToolRequest, in place) (*mcp.CallToolResult, any, error) {
	return text("Tomorrow in %s: sun, and a light wind.", in.City), nil, nil
}

func setAlert(ctx context.Context, _ *mcp.CallToolRequest, in place) (*mcp.CallToolResult, any, error) {
	caller, ok := guard.Caller(ctx)
	if !ok {
		return nil, nil, errors.New("nobody calls")
	}
	return text("%s will be warned of storms in %s.", caller.Name, in.City), nil, nil
}

func text(format string, args ...any) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: fmt.Sprintf(format, args...)}}}
}

// Three-tier is the middle of three tiers: an MCP server that lets in people of a Microsoft Entra tenant, and calls
// Microsoft Graph on behalf of whoever calls it. README.md tells the three phases.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/guard"
	"github.com/genkan-mcp/genkan/policy"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8090", "where to listen")
	config := guard.Config{Logger: slog.Default()}
	flag.StringVar(&config.Resource, "resource", "http://localhost:8090/mcp", "the public address")
	flag.StringVar(&config.Tenant, "tenant", "", "the ID of your tenant")
	flag.StringVar(&config.ClientID, "client-id", "", "the ID of the app registration that stands for this server")
	certificate := flag.String("certificate", "", "a PEM file with its certificate and key; else the managed identity")
	authority := flag.String("authority", "", "the address of a dev tenant on this machine")
	flag.Parse()
	credential := entra.ManagedIdentity("")
	if *certificate != "" {
		credential = entra.CertificateFile(*certificate)
	}
	if *authority != "" {
		var err error
		if config.Cloud, err = entra.DevCloud(*authority); err != nil {
			log.Fatal(err)
		}
		credential = entra.Secret(os.Getenv("CLIENT_SECRET"))
	}
	handler, err := newHandler(config, credential)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: *listen, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// newHandler is the server behind its guard.
func newHandler(config guard.Config, credential entra.Credential) (http.Handler, error) {
	config.Rules = []policy.Rule{{Name: "everybody", Allow: []string{"*"}, People: []string{"*"}}}
	guarded, err := guard.New(config) // phase 2: whose token, and is it good?
	if err != nil {
		return nil, err
	}
	client, err := entra.NewClient(entra.ClientConfig{
		Cloud: config.Cloud, Tenant: config.Tenant, ClientID: config.ClientID, Credential: credential, IgnoreGroups: true,
	})
	if err != nil {
		return nil, err
	}
	graph, err := client.Graph(entra.GraphConfig{Permissions: []string{"User.Read"}}) // phase 3: Graph, as the caller
	if err != nil {
		return nil, err
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "three-tier", Version: "1.0.0"}, nil)
	server.AddReceivingMiddleware(guarded.Middleware())
	mcp.AddTool(server, &mcp.Tool{Name: "get_user_details", Description: "Reads your entry in the directory, on your behalf."}, details(graph))
	serve := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true})
	return guarded.Handler(serve), nil
}

// details is the tool. Graph sees the caller; throttling is waited for.
func details(graph *entra.Graph) mcp.ToolHandlerFor[struct{}, entra.Profile] {
	return func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, entra.Profile, error) {
		token, ok := guard.CallerToken(ctx)
		if !ok {
			return nil, entra.Profile{}, errors.New("nobody calls")
		}
		profile, _, err := graph.Me(ctx, entra.Assertion{Token: token})
		return nil, profile, whatToDo(err)
	}
}

// whatToDo says in words for a person why Graph was not asked. No token, and no part of one, is in it.
func whatToDo(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*entra.InteractionRequiredError](err); ok {
		return errors.New("the directory wants a stronger sign-in: sign out of this server in your MCP client, and in again")
	}
	if consent, ok := errors.AsType[*entra.ConsentRequiredError](err); ok {
		return fmt.Errorf("an administrator must first allow it, at %s", consent.AdminConsentURL)
	}
	if errors.Is(err, entra.ErrAssertionEnded) {
		return errors.New("your sign-in has ended meanwhile: try again")
	}
	slog.Warn("Microsoft Graph could not be asked", "error", err)
	return errors.New("the directory can't be asked at the moment: try again, and tell an administrator if it lasts")
}

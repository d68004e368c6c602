// Command local-server is an MCP server on a person's own machine that signs its user in: a public client of
// Microsoft Entra ID, over stdio, with one tool. README.md tells the six steps of what happens.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/pkg/browser"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entra/keystore"
)

func main() {
	browser.Stdout = os.Stderr // standard output belongs to the protocol, whatever a browser prints
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	cloud, dev := entra.Public(), os.Getenv("ENTRA_AUTHORITY")
	if dev != "" { // a dev tenant on this machine
		var err error
		if cloud, err = entra.DevCloud(dev); err != nil {
			return err
		}
	}
	terminal, err := signIn(ctx, cloud, os.Getenv("ENTRA_TENANT"), os.Getenv("ENTRA_CLIENT_ID"))
	if err != nil {
		return err
	}
	p := &profile{terminal: terminal, url: cloud.Graph() + "/me", pipeline: runtime.NewPipeline("local-server", "v1", runtime.PipelineOptions{},
		&policy.ClientOptions{Retry: policy.RetryOptions{MaxRetries: 4, MaxRetryDelay: 30 * time.Second}})}
	server := mcp.NewServer(&mcp.Implementation{Name: "local-server", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "get_user_details", Description: "Who you are, from Microsoft Graph. Signs you in if need be."}, p.details)
	return server.Run(ctx, &mcp.StdioTransport{})
}

// signIn prepares the sign-in: what it yields is kept in the key store of the system, so that the next run is silent.
func signIn(ctx context.Context, cloud entra.Cloud, tenant, client string) (*entra.Terminal, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return nil, err
	}
	store, err := keystore.Open(ctx, keystore.Config{Dir: filepath.Join(dir, "local-server"), Service: "local-server",
		InsecureFile: os.Getenv("ALLOW_INSECURE_FILE_STORE") == "yes"})
	if err != nil {
		return nil, err
	}
	log.Print("the sign-in is kept ", store.Where())
	scope := cloud.GraphScope("User.Read")
	return entra.NewTerminal(entra.TerminalConfig{
		Cloud: cloud, Tenant: tenant, ClientID: client, Scopes: []string{scope},
		Cache:    store.Cache(keystore.Key{Issuer: cloud.IssuerV2(tenant), Client: client, Resource: scope}),
		ShowCode: func(code entra.DeviceCode) { log.Print(code.Message) },
	})
}

// profile reads the profile of whoever signed in. The pipeline retries what Graph throttles (429, Retry-After).
type profile struct {
	terminal *entra.Terminal
	url      string
	pipeline runtime.Pipeline
}

// details is the tool. A failure is an answer too: it says what to do, and the model can pass it on.
func (p *profile) details(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	text, err := p.read(ctx)
	if err != nil {
		text = "Error: " + err.Error()
	}
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}, IsError: err != nil}, nil, nil
}

func (p *profile) read(ctx context.Context) (string, error) {
	token, err := p.terminal.Token(ctx) // silently, else in the browser, else with a code
	if err != nil {
		return "", err
	}
	request, err := runtime.NewRequest(ctx, http.MethodGet, p.url)
	if err != nil {
		return "", err
	}
	request.Raw().Header.Set("Authorization", "Bearer "+token.Reveal())
	response, err := p.pipeline.Do(request) //nolint:bodyclose // Payload closes it
	if err != nil {
		return "", fmt.Errorf("ask Microsoft Graph: check the network and try again: %w", err)
	}
	body, err := runtime.Payload(response)
	switch {
	case err != nil:
		return "", fmt.Errorf("read what Microsoft Graph says: try again: %w", err)
	case response.StatusCode == http.StatusTooManyRequests:
		return "", fmt.Errorf("too many requests to Microsoft Graph: try again in %s seconds", response.Header.Get("Retry-After"))
	case response.StatusCode != http.StatusOK:
		return "", fmt.Errorf("ask Microsoft Graph: it answered %s: ask an administrator whether User.Read is consented to", response.Status)
	}
	return string(body), nil
}

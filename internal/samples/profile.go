package samples

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/genkan-mcp/genkan/entra"
)

// ProfileConfig says which API of Entra the profile server is, and what it calls on its callers' behalf.
type ProfileConfig struct {
	Cloud      entra.Cloud
	Tenant     string
	ClientID   string
	Credential entra.Credential
	Callers    []string // the applications that may call: Genkan
	Search     string   // the address of an Azure AI Search service
	Index      string   // the index to search
	HTTP       *http.Client
}

// profile is the MCP server of that name.
type profile struct {
	verifier *entra.Verifier
	graph    *entra.Graph
	search   *search
	waiting  challenges
}

// Profile is an MCP server that is an API in Entra. It believes nobody but Entra: it verifies the token that it is
// shown, made for it on the caller's behalf, and exchanges it once more for Microsoft Graph and Azure AI Search, which
// so see the person, and neither Genkan nor this server.
func Profile(c ProfileConfig) (http.Handler, error) {
	verifier, err := entra.NewVerifier(entra.VerifierConfig{
		Cloud: c.Cloud, Tenants: []string{c.Tenant}, Audiences: entra.AudiencesOf(c.ClientID), Clients: c.Callers,
		Scopes: []string{entra.DefaultScope}, IgnoreGroups: true, HTTPClient: c.HTTP,
	})
	if err != nil {
		return nil, fmt.Errorf("new profile server: %w", err)
	}
	client, err := entra.NewClient(entra.ClientConfig{
		Cloud: c.Cloud, Tenant: c.Tenant, ClientID: c.ClientID, Credential: c.Credential, IgnoreGroups: true, HTTPClient: c.HTTP,
	})
	if err != nil {
		return nil, fmt.Errorf("new profile server: %w", err)
	}
	p := &profile{verifier: verifier}
	if p.graph, err = client.Graph(entra.GraphConfig{}); err != nil {
		return nil, fmt.Errorf("new profile server: %w", err)
	}
	if p.search, err = newSearch(client, c); err != nil {
		return nil, fmt.Errorf("new profile server: %w", err)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "profile", Title: "Profile", Version: "1.0.0"}, nil)
	addReader(server, "secure_ping", "Ping", "Answers when the caller's identity was verified.", p.securePing)
	addReader(server, "get_user_info", "About me", "Tells who you are: your name and client, and every check of the token that says so.", p.userInfo)
	addReader(server, "get_user_details", "My directory entry", "Reads your entry in the directory (Microsoft Graph) on your behalf.", p.userDetails)
	addReader(server, "search_documents", "Search the handbook", "Searches the company's documents (Azure AI Search) on your behalf.", p.searchDocuments)
	inner := auth.RequireBearerToken(p.verify, &auth.RequireBearerTokenOptions{Scopes: []string{entra.DefaultScope}})(handler(server))
	return p.waiting.first(inner), nil
}

// addReader adds a tool that changes nothing.
func addReader[In, Out any](s *mcp.Server, name, title, description string, tool mcp.ToolHandlerFor[In, Out]) {
	mcp.AddTool(s, &mcp.Tool{
		Name: name, Title: title, Description: description,
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true, IdempotentHint: true},
	}, tool)
}

// visitor is whose request it is. Each request was checked on its own: sessions carry no identity.
type visitor struct {
	who   entra.Identity
	token entra.Token
}

// verify implements auth.TokenVerifier.
func (p *profile) verify(ctx context.Context, token string, _ *http.Request) (*auth.TokenInfo, error) {
	verified, err := p.verifier.Verify(ctx, token)
	if refusal, ok := errors.AsType[*entra.Refusal](err); ok {
		return nil, fmt.Errorf("%w: %w", auth.ErrInvalidToken, refusal)
	} else if err != nil {
		return nil, err // Entra's keys can't be had: that says nothing about the token
	}
	return &auth.TokenInfo{
		Scopes: verified.Identity.Scopes, Expiration: verified.Expires, UserID: verified.Identity.Key(),
		Extra: map[string]any{"visitor": visitor{verified.Identity, entra.NewToken(token, verified.Expires)}},
	}, nil
}

func visitorOf(req *mcp.CallToolRequest) (visitor, error) {
	if req.Extra != nil && req.Extra.TokenInfo != nil {
		if v, ok := req.Extra.TokenInfo.Extra["visitor"].(visitor); ok {
			return v, nil
		}
	}
	return visitor{}, errors.New("the request carries no verified identity")
}

type pong struct {
	OK      bool   `json:"ok"`
	Message string `json:"message"`
}

func (*profile) securePing(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, pong, error) {
	if _, err := visitorOf(req); err != nil {
		return nil, pong{}, err
	}
	return nil, pong{OK: true, Message: "your identity was verified"}, nil
}

// userInfo is what get_user_info answers: who calls, and how that was checked.
type userInfo struct {
	Name     string              `json:"name"`
	Username string              `json:"username"`
	Tenant   string              `json:"tenant"`
	Object   string              `json:"object"`
	Client   string              `json:"client" jsonschema:"the application that called on your behalf"`
	Scopes   []string            `json:"scopes"`
	Checks   []entra.CheckResult `json:"checks" jsonschema:"every check of the token: what was wanted, what came"`
}

func (p *profile) userInfo(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, userInfo, error) {
	v, err := visitorOf(req)
	if err != nil {
		return nil, userInfo{}, err
	}
	return nil, userInfo{
		Name: v.who.Name, Username: v.who.Username, Tenant: v.who.Tenant, Object: v.who.Object, Client: v.who.Client,
		Scopes: v.who.Scopes, Checks: p.verifier.Explain(ctx, v.token.Reveal()),
	}, nil
}

// userDetails is what get_user_details answers: what the directory says, and how old the answer is.
type userDetails struct {
	entra.Profile
	AgeSeconds int `json:"ageSeconds"`
}

func (p *profile) userDetails(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, userDetails, error) {
	v, err := visitorOf(req)
	if err != nil {
		return nil, userDetails{}, err
	}
	entry, age, err := p.graph.Me(ctx, entra.Assertion{Token: v.token})
	if err != nil {
		return nil, userDetails{}, p.waiting.tell(v, "Microsoft Graph", err)
	}
	return nil, userDetails{Profile: entry, AgeSeconds: int(age / time.Second)}, nil
}

type searchArguments struct {
	Query string `json:"query" jsonschema:"words that the documents must contain; * finds all"`
	Top   int    `json:"top,omitempty" jsonschema:"how many at most, 1 to 20; default 5"`
}

type searchResult struct {
	Documents []Document `json:"documents"`
}

func (p *profile) searchDocuments(ctx context.Context, req *mcp.CallToolRequest, in searchArguments) (*mcp.CallToolResult, searchResult, error) {
	v, err := visitorOf(req)
	if err != nil {
		return nil, searchResult{}, err
	}
	if in.Top == 0 {
		in.Top = 5
	}
	if in.Top < 1 || in.Top > 20 {
		return nil, searchResult{}, fmt.Errorf("top is %d: ask for 1 to 20", in.Top)
	}
	found, err := p.search.find(ctx, entra.Assertion{Token: v.token}, in)
	if err != nil {
		return nil, searchResult{}, p.waiting.tell(v, "Azure AI Search", err)
	}
	return nil, searchResult{Documents: found}, nil
}

package story

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"

	"github.com/genkan-mcp/genkan/internal/story/browser"
)

// goClient is the official go-sdk's client with its own OAuth.
type goClient struct {
	server    string
	id        string // of a client that is registered already; empty: it registers itself
	session   *mcp.ClientSession
	transport *mcp.StreamableClientTransport
	source    *spoilable
}

// spoilable is a token source whose token can be made to look expired.
type spoilable struct {
	ctx context.Context
	cfg *oauth2.Config

	mu    sync.Mutex // guards the rest: the SDK's streams ask for tokens of their own
	token *oauth2.Token
	seen  int // how often the access token changed
}

func (s *spoilable) Token() (*oauth2.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, err := s.cfg.TokenSource(s.ctx, s.token).Token()
	if err != nil {
		return nil, err
	}
	if next.AccessToken != s.token.AccessToken {
		s.seen++
	}
	s.token = next
	return next, nil
}

// spoil makes the token look expired, and says how often it has changed so far.
func (s *spoilable) spoil() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := *s.token
	old.Expiry = time.Unix(1, 0)
	s.token = &old
	return s.seen
}

// changes is how often the token has changed.
func (s *spoilable) changes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

func (g *goClient) connect(ctx context.Context, b *browser.Browser, person string) error {
	config := &auth.AuthorizationCodeHandlerConfig{
		RedirectURL:         callbackURL,
		RequestRefreshToken: true,
		AuthorizationCodeFetcher: func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			back, err := b.SignIn(ctx, args.URL, callbackURL, person)
			if err != nil {
				return nil, err
			}
			q := back.Query()
			if q.Get("error") != "" {
				return nil, errors.New(q.Get("error") + ": " + q.Get("error_description"))
			}
			return &auth.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}, nil
		},
		NewTokenSource: func(ctx context.Context, cfg *oauth2.Config, token *oauth2.Token) (oauth2.TokenSource, error) {
			g.source = &spoilable{ctx: context.WithoutCancel(ctx), cfg: cfg, token: token}
			return g.source, nil
		},
	}
	switch {
	case strings.HasPrefix(g.id, "https:"):
		config.ClientIDMetadataDocumentConfig = &auth.ClientIDMetadataDocumentConfig{URL: g.id}
	case g.id != "":
		config.PreregisteredClient = &oauthex.ClientCredentials{ClientID: g.id}
	default:
		config.DynamicClientRegistrationConfig = &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName: "story on go-sdk", RedirectURIs: []string{callbackURL}, TokenEndpointAuthMethod: "none",
			GrantTypes: []string{"authorization_code", "refresh_token"},
		}}
	}
	handler, err := auth.NewAuthorizationCodeHandler(config)
	if err != nil {
		return err
	}
	g.transport = &mcp.StreamableClientTransport{Endpoint: g.server, OAuthHandler: handler}
	return g.reconnect(ctx)
}

// reconnect opens a new MCP session with the tokens at hand.
func (g *goClient) reconnect(ctx context.Context) error {
	client := mcp.NewClient(&mcp.Implementation{Name: "story-go", Version: "1.0.0"}, nil)
	var err error
	g.session, err = client.Connect(ctx, g.transport, nil)
	return err
}

func (g *goClient) list(ctx context.Context) ([]string, error) {
	answer, err := g.session.ListTools(ctx, nil)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, tool := range answer.Tools {
		names = append(names, tool.Name)
	}
	return names, nil
}

func (g *goClient) call(ctx context.Context, tool string, arguments map[string]any) (string, error) {
	answer, err := g.session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		return "", err
	}
	said := ""
	for _, c := range answer.Content {
		if text, ok := c.(*mcp.TextContent); ok {
			said += text.Text
		}
	}
	if answer.IsError {
		return "", errors.New(said)
	}
	return said, nil
}

func (g *goClient) refresh(ctx context.Context) error {
	before := g.source.spoil()
	if _, err := g.list(ctx); err != nil {
		return err
	}
	if g.source.changes() != before+1 {
		return errors.New("the client did not refresh")
	}
	return nil
}

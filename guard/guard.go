package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/internal/mcpwire"
	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/policy"
	"github.com/genkan-mcp/genkan/policy/condition"
)

// Config says what is guarded, and who may use it. Resource, Tenant and ClientID must be given.
type Config struct {
	// Resource is the public address of the MCP endpoint, exactly as clients write it.
	Resource string
	// Title is what clients may call the server; optional.
	Title string

	Cloud    entra.Cloud // zero: the public cloud
	Tenant   string      // the ID of the tenant where people sign in
	ClientID string      // of the app registration that stands for this server
	// ApplicationIDURI is that of the app registration; "api://" and the client ID when empty.
	ApplicationIDURI string

	// Callers says whether people, applications or both may call; zero: people.
	Callers entra.Callers
	// Clients are the IDs of the client applications that may call; empty: any that Entra gives a token to.
	Clients []string
	// Groups finds the groups of people who are in more than fit into a token. Needed only where rules ask
	// for groups; people with too many are refused without it.
	Groups entra.GroupSource
	// Verifier replaces the one that is made of the fields above.
	Verifier *entra.Verifier

	// Rules say who may use what. Without rules nothing may be used.
	Rules []policy.Rule
	// Name is what conditions see as the server; optional.
	Name string

	// MaxBody bounds a request; 4 MiB when zero.
	MaxBody int64
	// Logger hears of everything that is refused; zero: nobody does.
	Logger *slog.Logger
}

// Guard stands in front of one MCP server. Safe for concurrent use.
type Guard struct {
	config      Config
	rules       *policy.Rules
	path        string
	metadata    []byte
	metadataURL *url.URL
}

// New checks the configuration and reports every mistake in it.
func New(config Config) (*Guard, error) {
	g := &Guard{config: config}
	resource, err := url.Parse(config.Resource)
	mistakes := []error{checkResource(resource, err), checkIDs(config)}
	if config.ApplicationIDURI == "" {
		g.config.ApplicationIDURI = "api://" + config.ClientID
	}
	if config.Logger == nil {
		g.config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Verifier == nil {
		g.config.Verifier, err = g.verifier()
		mistakes = append(mistakes, err)
	}
	conditions, err := condition.New(condition.Config{})
	if err != nil {
		return nil, fmt.Errorf("new guard: %w", err)
	}
	g.rules, err = policy.Compile(config.Rules, conditions.Compile)
	mistakes = append(mistakes, err)
	if err := errors.Join(mistakes...); err != nil {
		return nil, fmt.Errorf("new guard: %w", err)
	}
	return g, g.describe(resource)
}

func checkResource(resource *url.URL, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("resource: %w", err)
	case resource.Scheme != "https" && resource.Scheme != "http" || resource.Host == "":
		return errors.New("resource: give the public address of the MCP endpoint, such as https://weather.contoso.com/mcp")
	case resource.RawQuery != "" || resource.Fragment != "" || resource.User != nil:
		return errors.New("resource: an address has no query, fragment or user")
	}
	return nil
}

func checkIDs(config Config) error {
	if config.Tenant == "" || config.ClientID == "" {
		return errors.New("tenant, client ID: give both, from the app registration that stands for this server")
	}
	return nil
}

func (g *Guard) verifier() (*entra.Verifier, error) {
	asked := slices.ContainsFunc(g.config.Rules, func(r policy.Rule) bool {
		return r.Groups != nil || strings.Contains(r.When, "groups")
	})
	audiences := entra.AudiencesOf(g.config.ClientID)
	if !slices.Contains(audiences, g.config.ApplicationIDURI) {
		audiences = append(audiences, g.config.ApplicationIDURI)
	}
	return entra.NewVerifier(entra.VerifierConfig{
		Cloud: g.config.Cloud, Tenants: []string{g.config.Tenant}, Audiences: audiences, Clients: g.config.Clients,
		Callers: g.config.Callers, Scopes: []string{entra.DefaultScope},
		Groups: g.config.Groups, IgnoreGroups: g.config.Groups == nil && !asked,
	})
}

// describe makes the protected resource metadata (RFC 9728 §2, §3.1).
func (g *Guard) describe(resource *url.URL) error {
	g.path = resource.EscapedPath()
	g.metadataURL = &url.URL{Scheme: resource.Scheme, Host: resource.Host, Path: "/.well-known/oauth-protected-resource"}
	if g.path != "" && g.path != "/" {
		g.metadataURL = g.metadataURL.JoinPath(g.path)
	}
	if g.path == "" {
		g.path = "/"
	}
	var err error
	g.metadata, err = json.Marshal(oauth.ResourceMetadata{
		Resource:               g.config.Resource,
		AuthorizationServers:   []string{g.config.Cloud.IssuerV2(g.config.Tenant)},
		ScopesSupported:        g.qualified(append([]string{entra.DefaultScope}, g.rules.Scopes()...)),
		BearerMethodsSupported: []string{"header"},
		ResourceName:           g.config.Title,
	})
	if err != nil {
		return fmt.Errorf("new guard: metadata: %w", err)
	}
	return nil
}

// qualified writes scopes as Entra wants them asked for: with the application ID URI before them. In tokens they
// stand without it.
func (g *Guard) qualified(scopes []string) []string {
	all := make([]string, len(scopes))
	for i, s := range scopes {
		all[i] = g.config.ApplicationIDURI + "/" + s
	}
	return all
}

// visit is one request that was let in.
type visit struct {
	identity policy.Identity
	token    entra.Token
	message  *mcpwire.Message // nil: the request had no body (GET, DELETE)
	decision policy.Decision
	refused  mcpwire.Use // what the decision is about, if it is no
}

type visitKey struct{}

func visitFrom(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey{}).(*visit)
	return v
}

// Caller says who calls. Use it in tools, prompts and resources; it says no where no guard stands in front.
func Caller(ctx context.Context) (policy.Identity, bool) {
	v := visitFrom(ctx)
	if v == nil {
		return policy.Identity{}, false
	}
	return v.identity, true
}

// CallerToken is the caller's access token for this server, to be exchanged for another (entra.OnBehalfOf). It
// must not be sent anywhere else.
func CallerToken(ctx context.Context) (entra.Token, bool) {
	v := visitFrom(ctx)
	if v == nil {
		return entra.Token{}, false
	}
	return v.token, true
}

// decide asks the rules about everything that the message uses.
func (g *Guard) decide(v *visit) {
	call := policy.Call{Server: g.config.Name}
	if g.rules.UsesArguments() {
		call.Arguments = v.message.Arguments()
	}
	for _, use := range v.message.Uses() {
		call.Target, call.Name = policy.Target(use.Thing), use.Name
		v.decision = g.rules.Decide(v.identity, call)
		for _, o := range v.decision.Observed {
			g.config.Logger.Info("a rule in observe mode would have refused", "rule", o.Rule.Name, "identity", v.identity.Key(), "refusal", o.Refusal.Error())
		}
		if !v.decision.Allowed {
			v.refused = use
			return
		}
	}
	if v.message.Kind() == mcpwire.Response {
		v.decision = policy.Decision{Allowed: true}
	}
}

// log writes down a refusal, in the same words that the caller gets where the caller may know.
func (g *Guard) log(r *http.Request, id policy.Identity, refusal *policy.Refusal) {
	g.config.Logger.LogAttrs(r.Context(), slog.LevelWarn, "refused",
		slog.String("check", string(refusal.Check)), slog.String("identity", id.Key()), slog.String("client", id.Client),
		slog.String("refusal", refusal.Error()))
}

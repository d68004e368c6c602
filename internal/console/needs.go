package console

import (
	"context"
	"io"
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/policy"
)

// Entra signs people in and gets tokens for them: entra.Client.
type Entra interface {
	AuthCodeURL(ctx context.Context, r entra.SignInRequest) (string, error)
	Redeem(ctx context.Context, r entra.RedeemRequest) (*entra.SignIn, error)
	Refresh(ctx context.Context, state entra.State) (*entra.SignIn, error)
	AccessToken(state entra.State) (entra.Token, error)
	Verifier() *entra.Verifier
	OnBehalfOf(config entra.OnBehalfOfConfig) (*entra.OnBehalfOf, error)
}

var _ Entra = (*entra.Client)(nil)

// Grants are the sessions of the house: grant.Grants.
type Grants interface {
	Issue(ctx context.Context, o grant.Opening) (grant.Tokens, error)
	Get(ctx context.Context, id string) (grant.Grant, error)
	List(ctx context.Context, q grant.Query) (grant.Page, error)
	End(ctx context.Context, id string) error
	EndOwner(ctx context.Context, owner string) (int, error)
	EndClient(ctx context.Context, client string) (int, error)
}

var _ Grants = (*grant.Grants)(nil)

// Server is a server behind the door, as the console needs to know it.
type Server struct {
	Name        string
	Title       string // the name when empty
	Description string
	Resource    string // its public address
	Scopes      []string
	Rules       *policy.Rules
	// Source are the rules as they were written, for the playground.
	Source []policy.Rule
}

// allScopes are what the console's own sessions have: a person at the console is asked for none of them.
func (s Server) allScopes() []string {
	scopes := []string{baseScope}
	for _, scope := range s.Scopes {
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// Label is what people call the server.
func (s Server) Label() string {
	if s.Title != "" {
		return s.Title
	}
	return s.Name
}

// Downstream is a service that tokens can be got for, on behalf of the person.
type Downstream struct {
	Name  string // in addresses and forms
	Title string
	Scope string // such as https://search.azure.com/.default
	About string // one sentence
}

// PublicDownstream are the services of the public cloud.
func PublicDownstream() []Downstream {
	return []Downstream{
		{Name: "graph", Title: "Microsoft Graph", Scope: "https://graph.microsoft.com/User.Read", About: "Reads your own profile. Only Graph can verify such a token."},
		{Name: "search", Title: "Azure AI Search", Scope: "https://search.azure.com/user_impersonation", About: "Searches an index as you, so that the index can apply your permissions."},
		{Name: "keyvault", Title: "Azure Key Vault", Scope: "https://vault.azure.net/user_impersonation", About: "Reads secrets and uses keys as you, within what the vault allows you."},
	}
}

// Admin is what administrators look at. What is nil has no page.
type Admin struct {
	// Audit opens the audit log, from its first line to its last.
	Audit func(ctx context.Context) (io.ReadCloser, error)
	// Metrics are the numbers that the charts are drawn from.
	Metrics prometheus.Gatherer
	// Health are the things that the house stands on.
	Health []Probe
	// Inventory is a door like Config.Door whose rules hide nothing. Only lists of tools are asked of it, for
	// administrators, who so see which tools are hidden and why. It must not be reachable by anybody else.
	Inventory http.Handler
	// Conditions compiles the conditions of edited rules; nil: rules with conditions can't be tried.
	Conditions policy.ConditionCompiler
}

// Probe asks one thing whether it is well.
type Probe struct {
	Name  string // such as "Entra" or "weather"
	Kind  string // "server", "identity provider", "store", "audit log"
	Check func(ctx context.Context) error
}

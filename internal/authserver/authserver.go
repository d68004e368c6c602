// Package authserver is the OAuth 2.1 authorization server that MCP clients expect: they discover it, register,
// send a person through it, and trade the code for tokens. Behind it stands an identity provider, whose
// tokens it keeps sealed and never hands out.
//
// The journey of a sign-in, one file a step: authorize.go checks the request, consent.go asks the person,
// provider.go sends the browser to the identity provider and takes it back, token.go answers the client.
// Between the steps everything lies in the store, sealed, so that any replica can take the next one.
package authserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/idp"
	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/internal/page"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store"
)

// BaseScope is the scope that every server has and every token carries.
const BaseScope = "mcp"

// Config is what an authorization server needs. Issuer, Servers, Provider, Grants, Store and Ring are required.
type Config struct {
	// Issuer is the public address of the house: scheme, host and port, nothing more.
	Issuer   string
	Servers  []Server
	Provider idp.Provider
	// ProviderName is what people call the identity provider; "your organization" when empty.
	ProviderName string
	Grants       *grant.Grants
	Store        store.Store
	Ring         *secret.Ring

	// Clients are those that the configuration knows.
	Clients []Client
	// Registration says who may register by RFC 7591.
	Registration Registration
	// Documents says which client ID metadata documents are believed.
	Documents Documents
	// AppSchemes are schemes without a dot that may stand in redirect URIs, because a well-known app owns them.
	// Nil: those of DefaultAppSchemes.
	AppSchemes []string

	// Pages makes the pages; nil: the authorization server makes its own.
	Pages *page.Pages
	// Keys are the public keys that /jwks shows; nil: none.
	Keys func() jose.JSONWebKeySet
	// Address says where a request came from; nil: the address of the connection.
	Address func(*http.Request) string
	Audit   Audit
	Limits  Limits
	Logger  *slog.Logger
	Now     func() time.Time
	Rand    io.Reader // safe for concurrent use
}

// Server is a server behind the door, as far as a sign-in is concerned.
type Server struct {
	Name        string
	Title       string // what people call it; the name when empty
	Description string // one sentence
	Resource    string // its public address, which tokens are bound to
	// Scopes are those it has beside BaseScope.
	Scopes []Scope
}

// Scope is a permission that a client can ask for, and what it means to a person.
type Scope struct {
	Name string
	Text string // completes the sentence "the client will be able to ..."
}

// Audit writes down what happened; *audit.Log is one.
type Audit interface {
	Record(ctx context.Context, e audit.Event) error
	// Ready returns an error while events can't be written down; nothing is given out then.
	Ready() error
}

var _ Audit = (*audit.Log)(nil)

// DefaultAppSchemes are the schemes of MCP clients that don't follow RFC 8252 §7.1's advice to use a reversed
// domain name. The consent page shows the scheme, and no consent to it is remembered.
func DefaultAppSchemes() []string {
	return []string{"cursor", "vscode", "vscode-insiders", "windsurf", "zed"}
}

// AuthServer is the authorization server. It is safe for concurrent use, and any number of processes may run one
// on the same store.
type AuthServer struct {
	Config
	pages     *page.Pages
	own       bool // pages is ours, and so are its assets
	consent   *page.Page
	secure    bool // browsers come over https
	clients   map[string]*client
	documents *documents
	limits    limits
}

// New checks the configuration and says every mistake in it.
func New(c Config) (*AuthServer, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	c.fillDefaults()
	a := &AuthServer{Config: c, pages: c.Pages, secure: strings.HasPrefix(c.Issuer, "https:"), limits: newLimits(c.Limits)}
	if err := a.preparePages(); err != nil {
		return nil, err
	}
	var err error
	if a.clients, err = knownClients(c); err != nil {
		return nil, err
	}
	a.documents = a.newDocuments()
	return a, nil
}

func (c *Config) check() error {
	var mistakes []error
	wrong := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("authserver: "+format, args...))
	}
	u, err := url.Parse(c.Issuer)
	if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != c.Issuer || (u.Scheme != "https" && u.Scheme != "http") {
		wrong("the issuer %q must be a scheme, a host and perhaps a port", c.Issuer)
	}
	if c.Provider == nil || c.Grants == nil || c.Store == nil || c.Ring == nil {
		wrong("an identity provider, grants, a store and a ring of keys are required")
	}
	if len(c.Servers) == 0 {
		wrong("there is no server to sign in to")
	}
	for i, s := range c.Servers {
		if s.Name == "" || oauth.CheckResource(s.Resource) != nil {
			wrong("server %d needs a name and an address", i)
		}
		for _, scope := range s.Scopes {
			if !oauth.IsScope(scope.Name) {
				wrong("server %s: %q is no scope", s.Name, scope.Name)
			}
		}
		for _, other := range c.Servers[:i] {
			if other.Name == s.Name || oauth.SameResource(other.Resource, s.Resource) {
				wrong("the servers %s and %s have the same name or address", other.Name, s.Name)
			}
		}
	}
	return errors.Join(mistakes...)
}

func (c *Config) fillDefaults() {
	if c.ProviderName == "" {
		c.ProviderName = "your organization"
	}
	if c.AppSchemes == nil {
		c.AppSchemes = DefaultAppSchemes()
	}
	if c.Keys == nil {
		c.Keys = func() jose.JSONWebKeySet { return jose.JSONWebKeySet{} }
	}
	if c.Address == nil {
		c.Address = connectionAddress
	}
	if c.Audit == nil {
		c.Audit = noAudit{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	c.Servers = slices.Clone(c.Servers)
	for i := range c.Servers {
		if c.Servers[i].Title == "" {
			c.Servers[i].Title = c.Servers[i].Name
		}
	}
}

// server finds the server that a resource names.
func (a *AuthServer) server(resource string) (Server, bool) {
	i := slices.IndexFunc(a.Servers, func(s Server) bool { return oauth.SameResource(s.Resource, resource) })
	if i < 0 {
		return Server{}, false
	}
	return a.Servers[i], true
}

// named finds a server by its name.
func (a *AuthServer) named(name string) (Server, bool) {
	i := slices.IndexFunc(a.Servers, func(s Server) bool { return s.Name == name })
	if i < 0 {
		return Server{}, false
	}
	return a.Servers[i], true
}

// scopeNames are all scopes of a server, the base scope first.
func (s Server) scopeNames() []string {
	names := []string{BaseScope}
	for _, scope := range s.Scopes {
		names = append(names, scope.Name)
	}
	return names
}

// grantable is what a client gets of the scopes that it asks for: those that the server has, and always the
// base scope. Others are dropped, so that "openid" or a scope of yesterday keeps nobody out (RFC 6749 §3.3).
func (s Server) grantable(asked []string) []string {
	granted := []string{BaseScope}
	for _, scope := range s.Scopes {
		if scope.Name != BaseScope && slices.Contains(asked, scope.Name) {
			granted = append(granted, scope.Name)
		}
	}
	return granted
}

type noAudit struct{}

func (noAudit) Record(context.Context, audit.Event) error { return nil }
func (noAudit) Ready() error                              { return nil }

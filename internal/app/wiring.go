package app

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/internal/authserver"
	"github.com/genkan-mcp/genkan/internal/config"
	"github.com/genkan-mcp/genkan/internal/console"
	"github.com/genkan-mcp/genkan/internal/gateway"
	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/idp"
	"github.com/genkan-mcp/genkan/internal/idp/entraid"
	"github.com/genkan-mcp/genkan/internal/idp/oidc"
	"github.com/genkan-mcp/genkan/internal/page"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/upstream"
	"github.com/genkan-mcp/genkan/policy"
	"github.com/genkan-mcp/genkan/policy/condition"
)

// wiring is what the rooms are made of, while they are made.
type wiring struct {
	app       *App
	cfg       *config.Config
	public    *url.URL
	pages     *page.Pages
	grants    *grant.Grants
	signing   *gateway.SigningKeys
	entra     *entra.Client
	compiler  *condition.Compiler
	auth      *authserver.AuthServer
	gateway   *gateway.Gateway
	servers   []gateway.Server
	console   *console.Console // nil where it is off
	upstreams []upstream.Upstream
}

// openRooms makes the rooms that a configuration describes.
func (a *App) openRooms(ctx context.Context, cfg *config.Config) (_ *rooms, err error) {
	w := &wiring{app: a, cfg: cfg}
	defer func() {
		if err == nil {
			return
		}
		for _, up := range w.upstreams {
			err = errors.Join(err, up.Close())
		}
	}()
	if w.public, err = url.Parse(cfg.PublicURL); err != nil {
		return nil, fmt.Errorf("public URL: %w", err)
	}
	if w.pages, err = page.New(page.Config{HTTPS: w.public.Scheme == "https", Place: w.public.Host}); err != nil {
		return nil, err
	}
	w.grants, err = grant.New(grant.Config{
		Store: a.state.store, Ring: a.state.keys.Ring(), Now: a.around.Now,
		AccessLife: cfg.Tokens.Access, AbsoluteLife: cfg.Tokens.Session, IdleLife: cfg.Tokens.Idle,
	})
	if err != nil {
		return nil, err
	}
	if w.signing, err = a.state.signingKeys(ctx, a.around.Now); err != nil {
		return nil, err
	}
	if w.compiler, err = condition.New(condition.Config{}); err != nil {
		return nil, err
	}
	if cfg.OIDC.Issuer == "" {
		if w.entra, err = w.newEntraClient(); err != nil {
			return nil, err
		}
	}
	if w.auth, err = w.newAuthServer(); err != nil {
		return nil, err
	}
	if w.gateway, err = w.newGateway(); err != nil {
		return nil, err
	}
	if err = w.newConsole(); err != nil {
		return nil, err
	}
	made := &rooms{gateway: w.gateway, handler: w.newHouse(), upstreams: w.upstreams, empty: make(chan struct{})}
	var beside context.Context
	beside, made.stop = context.WithCancel(context.WithoutCancel(ctx))
	if w.console != nil {
		made.background.Go(func() { w.console.Run(beside) })
	}
	return made, nil
}

func (w *wiring) newAuthServer() (*authserver.AuthServer, error) {
	a := w.app
	provider, providerName, err := w.provider()
	if err != nil {
		return nil, err
	}
	clients, err := w.knownClients()
	if err != nil {
		return nil, err
	}
	registration := authserver.Registration{Off: w.cfg.Registration.Dynamic == "off"}
	if token := w.cfg.Registration.Token; !token.IsZero() {
		registration.TokenHash = secret.Hash(token.Reveal())
	}
	documents := a.around.InsecureDocuments
	said := w.cfg.Registration.Documents
	documents.Off, documents.Allow, documents.Deny = said.Off, said.Allow, said.Deny
	return authserver.New(authserver.Config{
		Issuer: w.cfg.PublicURL, Servers: w.facades(), Provider: provider, ProviderName: providerName,
		Grants: w.grants, Store: a.state.store, Ring: a.state.keys.Ring(),
		Clients: clients, Registration: registration,
		Documents: documents, Pages: w.pages, Keys: w.signing.Public, Audit: counting{a.audit, a.metrics}, Logger: a.logger, Now: a.around.Now,
		// The gateway is made after the authorization server, and before the first request.
		Address: func(r *http.Request) string { return w.gateway.ClientAddress(r) },
	})
}

// provider is the identity provider of the configuration, and what people call it.
func (w *wiring) provider() (idp.Provider, string, error) {
	c := w.cfg.OIDC
	if c.Issuer == "" {
		provider, err := entraid.New(w.entra)
		return provider, "Microsoft Entra ID", err
	}
	name := c.Name
	if issuer, err := url.Parse(c.Issuer); name == "" && err == nil {
		name = issuer.Host
	}
	provider, err := oidc.New(oidc.Config{
		Issuer: c.Issuer, ClientID: c.ClientID, Secret: c.Secret, Scopes: c.Scopes, Parameters: c.Parameters,
		Roles: c.Roles, Groups: c.Groups, HTTP: w.app.around.HTTP, Now: w.app.around.Now,
	})
	return provider, name, err
}

// facades are the servers for which Genkan is the authorization server.
func (w *wiring) facades() []authserver.Server {
	var servers []authserver.Server
	for _, name := range sortedKeys(w.cfg.Servers) {
		s := w.cfg.Servers[name]
		if s.Mode == "resource" {
			continue
		}
		server := authserver.Server{Name: name, Title: s.Title, Description: s.Description, Resource: w.cfg.PublicURL + s.Path}
		for _, scope := range sortedKeys(s.Scopes) {
			server.Scopes = append(server.Scopes, authserver.Scope{Name: scope, Text: s.Scopes[scope]})
		}
		servers = append(servers, server)
	}
	return servers
}

func (w *wiring) knownClients() ([]authserver.Client, error) {
	var clients []authserver.Client
	for _, c := range w.cfg.Clients {
		client := authserver.Client{ID: c.ID, Name: c.Name, RedirectURIs: c.RedirectURIs, Introspects: c.Introspects}
		if c.SecretHash != "" {
			if _, err := hex.Decode(client.SecretHash[:], []byte(c.SecretHash)); err != nil {
				return nil, fmt.Errorf("client %s: secret hash: %w", c.ID, err)
			}
		}
		if c.Keys != "" {
			content, err := os.ReadFile(c.Keys)
			if err != nil {
				return nil, fmt.Errorf("client %s: %w", c.ID, err)
			}
			if err := json.Unmarshal(content, &client.Keys); err != nil {
				return nil, fmt.Errorf("client %s: %s is no JWK set: %w", c.ID, c.Keys, err)
			}
		}
		if c.Application != "" {
			client.Application = policy.Identity{Tenant: w.cfg.Entra.Tenant, Object: c.Application, Kind: policy.Application,
				Client: c.ID, Roles: c.Roles, Name: c.Name}
		}
		clients = append(clients, client)
	}
	return clients, nil
}

func (w *wiring) newGateway() (*gateway.Gateway, error) {
	for _, name := range sortedKeys(w.cfg.Servers) {
		s, err := w.newServer(name, w.cfg.Servers[name])
		if err != nil {
			return nil, fmt.Errorf("server %s: %w", name, err)
		}
		w.servers = append(w.servers, s)
	}
	return w.newDoor(w.servers)
}

// newDoor makes a gateway in front of servers.
func (w *wiring) newDoor(servers []gateway.Server) (*gateway.Gateway, error) {
	a := w.app
	var proxies []netip.Prefix
	for _, cidr := range w.cfg.Proxies.Trusted {
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			return nil, fmt.Errorf("trusted proxy: %w", err)
		}
		proxies = append(proxies, prefix)
	}
	return gateway.New(gateway.Config{
		PublicURL: w.public, Servers: servers, SessionIDs: a.state.keys.Ring(),
		Audit: a.audit, Metrics: a.metrics, Tracing: a.tracing, Logger: a.logger, Now: a.around.Now,
		Limiter: a.state.limiter, Hosts: w.cfg.Proxies.Hosts, Origins: w.cfg.Proxies.Origins, TrustedProxies: proxies,
	})
}

func (w *wiring) newServer(name string, s config.Server) (gateway.Server, error) {
	rules, err := policy.Compile(s.Rules, w.compiler.Compile)
	if err != nil {
		return gateway.Server{}, err
	}
	up, err := newUpstream(s, w.app.logger.With("server", name))
	if err != nil {
		return gateway.Server{}, err
	}
	w.upstreams = append(w.upstreams, up)
	server := gateway.Server{
		Name: name, Title: s.Title, Resource: w.cfg.PublicURL + s.Path, Rules: rules, Upstream: up,
		Limits: limitsOf(s.Limits), RecordArguments: s.RecordArguments,
		Authenticator: gateway.Facade{Sessions: w.grants}, AuthorizationServers: []string{w.cfg.PublicURL},
		Scopes: []string{authserver.BaseScope},
	}
	if s.Mode == "resource" {
		if err := w.resourceMode(&server, s.Resource); err != nil {
			return gateway.Server{}, err
		}
	}
	server.Credential, err = w.credential(s)
	return server, err
}

// resourceMode makes Entra the authorization server, and its own tokens the ones that are shown.
func (w *wiring) resourceMode(server *gateway.Server, r config.Resource) error {
	cloud, err := cloudOf(w.cfg.Entra)
	if err != nil {
		return err
	}
	verifier, err := w.verifier(r)
	if err != nil {
		return err
	}
	server.Authenticator = gateway.EntraTokens{Verifier: verifier}
	server.AuthorizationServers = []string{cloud.IssuerV2(w.cfg.Entra.Tenant)}
	server.Scopes = []string{r.Scope}
	server.AskScopes = []string{"api://" + r.ClientID + "/" + r.Scope}
	return nil
}

func (w *wiring) credential(s config.Server) (gateway.Credential, error) {
	switch s.Credential.Kind {
	case "identity":
		return gateway.NewSignedIdentity(w.cfg.PublicURL, s.URL+s.SSE, w.signing, w.app.around.Now)
	case "on_behalf_of":
		return w.onBehalfOf(s)
	case "application":
		return w.application(s.Credential.Application), nil
	case "header":
		return gateway.Header{Name: s.Credential.Header.Name, Value: s.Credential.Header.Value}, nil
	default:
		return gateway.None{}, nil
	}
}

func limitsOf(l config.Limits) gateway.Limits {
	rate := func(r config.Rate) gateway.Rate { return gateway.Rate{Count: r.Count, Per: r.Per} }
	return gateway.Limits{Identity: rate(l.Identity), Tool: rate(l.Tool), Server: rate(l.Server), Concurrent: l.Concurrent, Streams: l.Streams}
}

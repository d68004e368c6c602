package app

import (
	"fmt"
	"net/url"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/internal/authserver"
	"github.com/genkan-mcp/genkan/internal/config"
	"github.com/genkan-mcp/genkan/internal/gateway"
	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/idp/entraid"
	"github.com/genkan-mcp/genkan/internal/page"
	"github.com/genkan-mcp/genkan/internal/upstream"
	"github.com/genkan-mcp/genkan/policy"
	"github.com/genkan-mcp/genkan/policy/condition"
)

func (a *App) newAuthServer(grants *grant.Grants, pages *page.Pages, signing *gateway.SigningKeys) (*authserver.AuthServer, error) {
	client, err := a.newEntraClient()
	if err != nil {
		return nil, err
	}
	provider, err := entraid.New(client)
	if err != nil {
		return nil, err
	}
	var servers []authserver.Server
	for _, name := range sortedKeys(a.cfg.Servers) {
		s := a.cfg.Servers[name]
		servers = append(servers, authserver.Server{
			Name: name, Title: s.Title, Description: s.Description, Resource: a.cfg.PublicURL + s.Path, Scopes: scopesOf(s),
		})
	}
	return authserver.New(authserver.Config{
		Issuer: a.cfg.PublicURL, Servers: servers, Provider: provider, ProviderName: "Microsoft Entra ID",
		Grants: grants, Store: a.state.store, Ring: a.state.keys.Ring(),
		Pages: pages, Keys: signing.Public, Audit: a.audit, Logger: a.logger, Now: a.around.Now,
	})
}

func (a *App) newEntraClient() (*entra.Client, error) {
	cloud, err := cloudOf(a.cfg.Entra)
	if err != nil {
		return nil, err
	}
	credential := credentialOf(a.cfg.Entra.Credential)
	if warning := credential.Warning(); warning != "" && a.cfg.Entra.Authority == "" {
		a.logger.Warn(warning, "key", "entra.credential")
	}
	return entra.NewClient(entra.ClientConfig{
		Cloud: cloud, Tenant: a.cfg.Entra.Tenant, ClientID: a.cfg.Entra.ClientID,
		Credential: credential, HTTPClient: a.around.HTTP, Now: a.around.Now,
	})
}

func cloudOf(e config.Entra) (entra.Cloud, error) {
	switch {
	case e.Authority != "":
		return entra.DevCloud(e.Authority)
	case e.Cloud == "us_government":
		return entra.USGovernment(), nil
	case e.Cloud == "china":
		return entra.China(), nil
	default:
		return entra.Public(), nil
	}
}

func credentialOf(c config.Credential) entra.Credential {
	switch {
	case c.ManagedIdentity == "system":
		return entra.ManagedIdentity("")
	case c.ManagedIdentity != "":
		return entra.ManagedIdentity(c.ManagedIdentity)
	case c.WorkloadIdentity != "":
		return entra.WorkloadIdentity(c.WorkloadIdentity)
	case c.Certificate != "":
		return entra.CertificateFile(c.Certificate)
	default:
		return entra.Secret(c.Secret.Reveal())
	}
}

func (a *App) newGateway(public *url.URL, grants *grant.Grants, signing *gateway.SigningKeys) (*gateway.Gateway, error) {
	compiler, err := condition.New(condition.Config{})
	if err != nil {
		return nil, err
	}
	var servers []gateway.Server
	for _, name := range sortedKeys(a.cfg.Servers) {
		s, err := a.newServer(name, a.cfg.Servers[name], grants, signing, compiler)
		if err != nil {
			return nil, fmt.Errorf("server %s: %w", name, err)
		}
		servers = append(servers, s)
	}
	return gateway.New(gateway.Config{
		PublicURL: public, Servers: servers, SessionIDs: a.state.keys.Ring(),
		Audit: a.audit, Metrics: a.metrics, Logger: a.logger, Now: a.around.Now,
	})
}

func (a *App) newServer(name string, s config.Server, grants *grant.Grants, signing *gateway.SigningKeys, compiler *condition.Compiler) (gateway.Server, error) {
	rules, err := policy.Compile(s.Rules, compiler.Compile)
	if err != nil {
		return gateway.Server{}, err
	}
	address, err := url.Parse(s.URL)
	if err != nil {
		return gateway.Server{}, fmt.Errorf("url: %w", err)
	}
	up, err := upstream.NewHTTP(upstream.HTTPConfig{URL: address, Transport: upstream.NewTransport()})
	if err != nil {
		return gateway.Server{}, err
	}
	a.closers = append(a.closers, closeQuietly(up))
	server := gateway.Server{
		Name: name, Title: s.Title, Resource: a.cfg.PublicURL + s.Path,
		Authenticator: gateway.Facade{Sessions: grants}, AuthorizationServers: []string{a.cfg.PublicURL},
		Scopes: []string{authserver.BaseScope}, Rules: rules, Upstream: up,
	}
	if s.Credential == "identity" {
		if server.Credential, err = gateway.NewSignedIdentity(a.cfg.PublicURL, s.URL, signing, a.around.Now); err != nil {
			return gateway.Server{}, err
		}
	}
	return server, nil
}

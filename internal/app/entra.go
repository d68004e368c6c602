package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/internal/config"
	"github.com/genkan-mcp/genkan/internal/gateway"
)

func (w *wiring) newEntraClient() (*entra.Client, error) {
	cloud, err := cloudOf(w.cfg.Entra)
	if err != nil {
		return nil, err
	}
	credential := credentialOf(w.cfg.Entra.Credential)
	if warning := credential.Warning(); warning != "" && w.cfg.Entra.Authority == "" {
		w.app.logger.Warn(warning, "key", "entra.credential")
	}
	return entra.NewClient(entra.ClientConfig{
		Cloud: cloud, Tenant: w.cfg.Entra.Tenant, ClientID: w.cfg.Entra.ClientID,
		Credential: credential, HTTPClient: w.app.around.HTTP, Now: w.app.around.Now,
		IgnoreGroups: !namesGroups(w.cfg),
	})
}

// namesGroups says whether any rule asks for groups. Where none does, nobody is kept out for being in too many of them, and
// Microsoft Graph is not asked.
func namesGroups(cfg *config.Config) bool {
	for _, s := range cfg.Servers {
		for _, rule := range s.Rules {
			if len(rule.Groups) > 0 || strings.Contains(rule.When, "groups") {
				return true
			}
		}
	}
	return false
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

// onBehalfOf shows an upstream Entra's token for an API, in which the caller is still the person.
func (w *wiring) onBehalfOf(s config.Server) (gateway.Credential, error) {
	exchange, err := w.entra.OnBehalfOf(entra.OnBehalfOfConfig{Scopes: s.Credential.OnBehalfOf})
	if err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	c := gateway.OnBehalfOfConfig{Exchange: exchange, Assertion: gateway.OwnToken, Now: w.app.around.Now}
	if s.Mode == "facade" {
		c.Assertion = gateway.SessionTokens{Upstream: w.grants.Upstream, AccessToken: w.entra.AccessToken}.Assertion
		c.Interaction = func(ctx context.Context, caller gateway.Caller, claims string) error {
			return w.auth.SignInAgain(ctx, caller.Session, claims)
		}
	}
	return gateway.NewOnBehalfOf(c)
}

// application shows an upstream a token of Genkan itself.
func (w *wiring) application(resource string) gateway.Credential {
	return &gateway.Application{Token: func(ctx context.Context) (entra.Token, error) {
		return w.entra.ApplicationToken(ctx, resource)
	}}
}

// verifier says which of Entra's own tokens are good for a server in mode "resource".
func (w *wiring) verifier(r config.Resource) (*entra.Verifier, error) {
	cloud, err := cloudOf(w.cfg.Entra)
	if err != nil {
		return nil, err
	}
	var clients []string
	for _, client := range r.Clients {
		if id, known := config.KnownClients()[client]; known {
			client = id
		}
		clients = append(clients, client)
	}
	return entra.NewVerifier(entra.VerifierConfig{
		Cloud: cloud, Tenants: []string{w.cfg.Entra.Tenant}, Audiences: entra.AudiencesOf(r.ClientID),
		Clients: clients, Scopes: []string{r.Scope}, IgnoreGroups: !namesGroups(w.cfg), HTTPClient: w.app.around.HTTP, Now: w.app.around.Now,
	})
}

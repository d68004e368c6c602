package authserver

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/policy"
)

// jwk is short for the type that a key set is made of.
type jwk = jose.JSONWebKey

// Client is a client that the configuration knows. It is public unless it has a secret or keys.
type Client struct {
	ID           string
	Name         string
	RedirectURIs []string
	// SecretHash is the SHA-256 of a secret that was drawn at random, not thought up.
	SecretHash secret.Digest
	// Keys are its public keys, for private_key_jwt (RFC 7523 §2.2).
	Keys jose.JSONWebKeySet
	// Application is who the client is when it acts for itself (RFC 6749 §4.4); without a tenant and an object it
	// can't. It needs a secret or keys.
	Application policy.Identity
	// Introspects names the server whose tokens the client may look at (RFC 7662): it is that server.
	Introspects string
}

// origin says how a client became known, which decides what a person is told about it.
type origin string

const (
	configured origin = "configured" // an administrator wrote it down
	document   origin = "document"   // a client ID metadata document: its domain is certain
	registered origin = "registered" // it registered itself: nothing is certain
)

// client is a client that may take part, whichever way it became known.
type client struct {
	id, name    string
	origin      origin
	redirects   []oauth.Redirect
	secret      secret.Digest
	keys        *jose.JSONWebKeySet
	domain      string // of a document
	application policy.Identity
	introspects string
}

// public clients can't prove who they are (RFC 6749 §2.1).
func (c *client) public() bool { return c.secret.IsZero() && c.keys == nil }

// redirect finds the registered redirect that allows an address. Only a client with a single redirect may leave
// the address out, and not on loopback, where the port would be missing (OAuth 2.1 §2.3.2).
func (c *client) redirect(requested string) (oauth.Redirect, string, bool) {
	if requested == "" {
		if len(c.redirects) == 1 && c.redirects[0].Kind != oauth.LoopbackRedirect {
			return c.redirects[0], c.redirects[0].URI, true
		}
		return oauth.Redirect{}, "", false
	}
	i := slices.IndexFunc(c.redirects, func(r oauth.Redirect) bool { return r.Allows(requested) })
	if i < 0 {
		return oauth.Redirect{}, "", false
	}
	return c.redirects[i], requested, true
}

// knownClients checks the clients of the configuration.
func knownClients(c Config) (map[string]*client, error) {
	known := map[string]*client{}
	var mistakes []error
	for _, configuredClient := range c.Clients {
		made, err := configuredClient.make(c)
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("authserver: client %q: %w", configuredClient.ID, err))
			continue
		}
		if known[made.id] != nil {
			mistakes = append(mistakes, fmt.Errorf("authserver: client %q is there twice", made.id))
		}
		known[made.id] = made
	}
	return known, errors.Join(mistakes...)
}

func (c Client) make(config Config) (*client, error) {
	made := &client{
		id: c.ID, name: orElse(c.Name, c.ID), origin: configured, secret: c.SecretHash,
		application: c.Application, introspects: c.Introspects,
	}
	if c.ID == "" {
		return nil, errors.New("it has no ID")
	}
	if len(c.Keys.Keys) > 0 {
		for _, key := range c.Keys.Keys {
			if !key.Valid() || !key.IsPublic() {
				return nil, errors.New("its keys must be public keys")
			}
		}
		made.keys = &c.Keys
	}
	for _, uri := range c.RedirectURIs {
		redirect, err := oauth.ParseRedirect(uri, config.AppSchemes...)
		if err != nil {
			return nil, err
		}
		made.redirects = append(made.redirects, redirect)
	}
	if made.public() && (c.Application.Key() != "" || c.Introspects != "") {
		return nil, errors.New("only a client with a secret or keys can act for itself or look at tokens")
	}
	if c.Introspects != "" && !slices.ContainsFunc(config.Servers, func(s Server) bool { return s.Name == c.Introspects }) {
		return nil, fmt.Errorf("there is no server %q for it to look at tokens of", c.Introspects)
	}
	return made, nil
}

// client finds a client by its ID: among those of the configuration, as a document's address, among those that
// registered.
func (a *AuthServer) client(ctx context.Context, id string) (*client, error) {
	if id == "" {
		return nil, oauth.Refuse(oauth.InvalidRequest, "client_id is missing")
	}
	if known := a.clients[id]; known != nil {
		return known, nil
	}
	if oauth.IsClientIDURL(id) {
		return a.documents.client(ctx, id)
	}
	return a.registeredClient(ctx, id)
}

// fromMetadata makes a client of what it said of itself.
func (a *AuthServer) fromMetadata(id string, from origin, m oauth.ClientMetadata) (*client, error) {
	c := &client{id: id, name: orElse(m.ClientName, id), origin: from}
	for _, uri := range m.RedirectURIs {
		redirect, err := oauth.ParseRedirect(uri, a.AppSchemes...)
		if err != nil {
			return nil, err
		}
		c.redirects = append(c.redirects, redirect)
	}
	if m.AuthMethod == oauth.AuthPrivateKeyJWT {
		keys, err := parseKeys(m.JWKS)
		if err != nil {
			return nil, err
		}
		c.keys = keys
	}
	return c, nil
}

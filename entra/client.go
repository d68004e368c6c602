package entra

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/cache"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
)

// DefaultScope is the scope that an API exposes when it wants nothing finer than "act as this person".
const DefaultScope = "access_as_user"

// ClientConfig says which application signs people in. Tenant, ClientID and Credential must be given.
//
// The application is client and API in one registration: it signs people in for itself, so that the access token it
// gets carries the person's roles and groups, and can be exchanged on behalf of that person.
type ClientConfig struct {
	Cloud      Cloud  // zero: the public cloud
	Tenant     string // the tenant's ID (a GUID)
	ClientID   string // the application's client ID (a GUID)
	Credential Credential

	// Scope is the scope that the application exposes and asks for; zero: DefaultScope.
	Scope string
	// AppIDURI is the application ID URI; zero: api:// and the client ID. Tokens of version 1 name it as their audience.
	AppIDURI string

	// Groups resolves the groups of people who are in too many; zero: it is asked of Microsoft Graph, on behalf of the
	// person. With IgnoreGroups no identity has groups.
	Groups       GroupSource
	IgnoreGroups bool

	HTTPClient *http.Client     // zero: one with a timeout
	Now        func() time.Time // zero: time.Now
}

// Client signs people in to a web application and gets tokens for it. It is safe for concurrent use.
type Client struct {
	config   ClientConfig
	http     *http.Client
	source   credentialSource
	verifier *Verifier // of access tokens for this application
	idTokens *Verifier // of ID tokens for this application
	tokens   *tokenCache
	callers  *recent[[sha256.Size]byte, caller] // what assertions say
}

// NewClient checks the configuration and reports every mistake in it. It does not talk to Entra yet.
func NewClient(config ClientConfig) (*Client, error) {
	config, err := config.normalized()
	if err != nil {
		return nil, fmt.Errorf("new client: %w", err)
	}
	source, err := config.Credential.source(config.Cloud, config.HTTPClient)
	if err != nil {
		return nil, fmt.Errorf("new client: %w", err)
	}
	client := &Client{
		config: config, source: source, http: newHTTPClient(config.Cloud, config.HTTPClient, config.Now),
		tokens: newTokenCache(config.Now), callers: newRecent[[sha256.Size]byte, caller](seenAtMost),
	}
	if config.Groups == nil && !config.IgnoreGroups {
		if config.Groups, err = client.Graph(GraphConfig{}); err != nil {
			return nil, fmt.Errorf("new client: %w", err)
		}
	}
	access, err := VerifierConfig{
		Cloud: config.Cloud, Tenants: []string{config.Tenant}, Audiences: config.audiences(),
		Clients: []string{config.ClientID}, Scopes: []string{config.Scope},
		Groups: config.Groups, IgnoreGroups: config.IgnoreGroups, Now: config.Now,
	}.normalized()
	if err != nil {
		return nil, fmt.Errorf("new client: %w", err)
	}
	client.verifier = access.verifier(client.http)
	id := access
	id.Audiences, id.Groups = []string{config.ClientID}, nil
	client.idTokens = id.verifier(client.http)
	client.idTokens.keys = client.verifier.keys
	client.idTokens.checks = client.idTokens.idChecks()
	return client, nil
}

func (c ClientConfig) normalized() (ClientConfig, error) {
	var mistakes []error
	c.Tenant, c.ClientID = strings.ToLower(c.Tenant), strings.ToLower(c.ClientID)
	if !isGUID(c.Tenant) {
		mistakes = append(mistakes, fmt.Errorf("tenant: %q is not a tenant ID (a GUID)", c.Tenant))
	}
	if !isGUID(c.ClientID) {
		mistakes = append(mistakes, fmt.Errorf("client ID: %q is not a GUID", c.ClientID))
	}
	if c.Scope == "" {
		c.Scope = DefaultScope
	}
	if strings.ContainsAny(c.Scope, "/ \t\r\n") || c.Scope == ".default" {
		mistakes = append(mistakes, fmt.Errorf("scope: %q is not the bare name of one scope", c.Scope))
	}
	if c.Groups != nil && c.IgnoreGroups {
		mistakes = append(mistakes, errors.New("groups: give Groups or IgnoreGroups, and not both"))
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, errors.Join(mistakes...)
}

func (c ClientConfig) audiences() []string {
	names := AudiencesOf(c.ClientID)
	if c.AppIDURI != "" && c.AppIDURI != names[1] {
		names = append(names, c.AppIDURI)
	}
	return names
}

// scope names the application by its GUID: with api:// in front Entra takes it for an application that asks for a
// token for itself (AADSTS90009).
func (c ClientConfig) qualifiedScope() string { return c.ClientID + "/" + c.Scope }

// Verifier checks access tokens for this application that this application asked for.
func (c *Client) Verifier() *Verifier { return c.verifier }

// msal makes a client of MSAL for one operation. Sharing one would mix up people: MSAL replaces its whole cache
// between two requests. The discovery document, which each new client asks for, is remembered by the transport.
func (c *Client) msal(store cache.ExportReplace) (confidential.Client, error) {
	credential, err := c.source()
	if err != nil {
		return confidential.Client{}, err
	}
	options := []confidential.Option{
		confidential.WithHTTPClient(c.http),
		// The authority is one of ours: there is nothing to ask Microsoft about it.
		confidential.WithInstanceDiscovery(false),
	}
	if store != nil {
		options = append(options, confidential.WithCache(store))
	}
	return confidential.New(c.config.Cloud.secureAuthority()+"/"+c.config.Tenant, c.config.ClientID, credential, options...)
}

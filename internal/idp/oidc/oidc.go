// Package oidc is any OpenID Connect provider as an identity provider: Keycloak, Auth0, Okta, Google and their like.
package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/genkan-mcp/genkan/internal/idp"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/policy"
)

// Config says which provider, and as whom Genkan asks it. Issuer, ClientID and Secret are required.
type Config struct {
	Issuer   string
	ClientID string
	Secret   secret.Text
	// Scopes are asked for beside openid, profile and (where the provider knows it) offline_access.
	Scopes []string
	// Parameters are added to the authorization request: Google wants access_type=offline.
	Parameters map[string]string
	// Roles and Groups are the claims that hold them; dots lead into objects: "realm_access.roles". "roles" and "groups".
	Roles  string
	Groups string
	HTTP   *http.Client     // one with a timeout
	Now    func() time.Time // time.Now
}

// Provider signs people in with OpenID Connect. It is safe for concurrent use.
type Provider struct {
	Config

	mu    sync.Mutex // guards known
	known *discovered
}

var _ idp.Provider = (*Provider)(nil)

// discovered is what the provider says of itself (OpenID Connect Discovery 1.0 §3).
type discovered struct {
	provider *oidc.Provider
	oauth    oauth2.Config
}

// New checks the configuration. The provider is asked about itself at the first sign-in, so that it may be down now.
func New(c Config) (*Provider, error) {
	u, err := url.Parse(c.Issuer)
	if err != nil || u.Host == "" || c.ClientID == "" || c.Secret.IsZero() {
		return nil, errors.New("oidc: an issuer, a client ID and a secret are required")
	}
	if c.Roles == "" {
		c.Roles = "roles"
	}
	if c.Groups == "" {
		c.Groups = "groups"
	}
	if c.HTTP == nil {
		c.HTTP = &http.Client{Timeout: 30 * time.Second}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Provider{Config: c}, nil
}

// discover asks the provider about itself, once.
func (p *Provider) discover(ctx context.Context) (*discovered, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known != nil {
		return p.known, nil
	}
	// The provider keeps the context for the fetching of keys: it must outlive this request.
	found, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.HTTP), p.Issuer)
	if err != nil {
		return nil, &idp.Error{Problem: idp.Unavailable, Description: "The identity provider can't be reached.", Cause: err}
	}
	var metadata struct {
		Scopes []string `json:"scopes_supported"`
	}
	if err := found.Claims(&metadata); err != nil {
		return nil, &idp.Error{Problem: idp.Misuse, Description: "The identity provider's metadata can't be read.", Cause: err}
	}
	scopes := []string{oidc.ScopeOpenID, "profile"}
	if slices.Contains(metadata.Scopes, oidc.ScopeOfflineAccess) {
		scopes = append(scopes, oidc.ScopeOfflineAccess)
	}
	p.known = &discovered{provider: found, oauth: oauth2.Config{
		ClientID: p.ClientID, ClientSecret: p.Secret.Reveal(), Endpoint: found.Endpoint(), Scopes: append(scopes, p.Scopes...),
	}}
	return p.known, nil
}

// AuthorizeURL implements idp.Provider.
func (p *Provider) AuthorizeURL(ctx context.Context, r idp.Request) (string, error) {
	d, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	options := []oauth2.AuthCodeOption{oidc.Nonce(r.Nonce), oauth2.S256ChallengeOption(r.Verifier)}
	set := func(name, value string) {
		if value != "" {
			options = append(options, oauth2.SetAuthURLParam(name, value))
		}
	}
	prompt := r.Prompt
	if prompt == "" && slices.Contains(d.oauth.Scopes, oidc.ScopeOfflineAccess) {
		prompt = "consent" // without it no refresh token is given (OpenID Connect Core 1.0 §11)
	}
	set("prompt", prompt)
	set("login_hint", r.LoginHint)
	set("claims", r.Claims)
	if r.MaxAge >= 0 {
		set("max_age", strconv.Itoa(int(r.MaxAge.Seconds())))
	}
	for name, value := range p.Parameters {
		set(name, value)
	}
	with := d.oauth
	with.RedirectURL = r.RedirectURI
	return with.AuthCodeURL(r.State, options...), nil
}

// state is what a session keeps of the provider.
type state struct {
	Subject string    `json:"sub"`
	Refresh string    `json:"refresh_token,omitempty"`
	Access  string    `json:"access_token"`
	Expires time.Time `json:"expires,omitzero"`
}

// Redeem implements idp.Provider.
func (p *Provider) Redeem(ctx context.Context, c idp.Callback) (idp.SignIn, error) {
	d, err := p.discover(ctx)
	if err != nil {
		return idp.SignIn{}, err
	}
	with := d.oauth
	with.RedirectURL = c.RedirectURI
	ctx = oidc.ClientContext(ctx, p.HTTP)
	tokens, err := with.Exchange(ctx, c.Code, oauth2.VerifierOption(c.Verifier))
	if err != nil {
		return idp.SignIn{}, sorted(err)
	}
	claims, err := p.idToken(ctx, d, tokens)
	if err != nil {
		return idp.SignIn{}, err
	}
	if claims == nil || claims.token.Nonce != c.Nonce {
		return idp.SignIn{}, &idp.Error{Problem: idp.Denied, Description: "The identity provider's answer does not belong to this sign-in."}
	}
	return p.signIn(ctx, d, tokens, claims, "")
}

// Refresh implements idp.Provider. Roles are read anew, from a new ID token or from the userinfo endpoint.
func (p *Provider) Refresh(ctx context.Context, upstream []byte) (idp.SignIn, error) {
	d, err := p.discover(ctx)
	if err != nil {
		return idp.SignIn{}, err
	}
	var s state
	if err := json.Unmarshal(upstream, &s); err != nil {
		return idp.SignIn{}, &idp.Error{Problem: idp.Ended, Description: "What was kept of the sign-in can't be read.", Cause: err}
	}
	ctx = oidc.ClientContext(ctx, p.HTTP)
	tokens := &oauth2.Token{AccessToken: s.Access, Expiry: s.Expires}
	switch {
	case s.Refresh != "":
		if tokens, err = d.oauth.TokenSource(ctx, &oauth2.Token{RefreshToken: s.Refresh}).Token(); err != nil {
			return idp.SignIn{}, sorted(err)
		}
	case !s.Expires.IsZero() && !p.Now().Before(s.Expires):
		return idp.SignIn{}, &idp.Error{Problem: idp.Interaction, Description: "The identity provider gave no refresh token: sign in again."}
	}
	claims, err := p.idToken(ctx, d, tokens)
	if err != nil {
		return idp.SignIn{}, err
	}
	return p.signIn(ctx, d, tokens, claims, s.Subject)
}

// idClaims are a verified ID token and all that it says.
type idClaims struct {
	token *oidc.IDToken
	all   map[string]any
}

// idToken verifies the ID token of an answer: signature, issuer, audience and times (OpenID Connect Core 1.0 §3.1.3.7).
// Nil where there is none, which is allowed at a refresh only.
func (p *Provider) idToken(ctx context.Context, d *discovered, tokens *oauth2.Token) (*idClaims, error) {
	raw, ok := tokens.Extra("id_token").(string)
	if !ok || raw == "" {
		return nil, nil
	}
	token, err := d.provider.Verifier(&oidc.Config{ClientID: p.ClientID, Now: p.Now}).Verify(ctx, raw)
	if err != nil {
		return nil, &idp.Error{Problem: idp.Denied, Description: "The identity provider's ID token is not good.", Cause: err}
	}
	c := &idClaims{token: token}
	if err := token.Claims(&c.all); err != nil {
		return nil, &idp.Error{Problem: idp.Denied, Description: "The identity provider's ID token is not good.", Cause: err}
	}
	return c, nil
}

// signIn gathers who came; what the ID token does not say, userinfo may. Whoever userinfo speaks of must be the same
// (OpenID Connect Core 1.0 §5.3.2), and at a refresh the one who signed in.
func (p *Provider) signIn(ctx context.Context, d *discovered, tokens *oauth2.Token, id *idClaims, subject string) (idp.SignIn, error) {
	all := map[string]any{}
	if id != nil {
		all = id.all
		if subject == "" {
			subject = id.token.Subject
		}
		if id.token.Subject != subject {
			return idp.SignIn{}, &idp.Error{Problem: idp.Ended, Description: "The identity provider answered with another identity."}
		}
	}
	if id == nil || lookUp(all, p.Roles) == nil && d.provider.UserInfoEndpoint() != "" {
		info, err := d.provider.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
		if err != nil {
			return idp.SignIn{}, sorted(err)
		}
		if info.Subject != subject {
			return idp.SignIn{}, &idp.Error{Problem: idp.Ended, Description: "The identity provider answered with another identity."}
		}
		more := map[string]any{}
		if err := info.Claims(&more); err != nil {
			return idp.SignIn{}, &idp.Error{Problem: idp.Misuse, Description: "The identity provider's answer can't be read.", Cause: err}
		}
		for name, value := range more {
			if _, said := all[name]; !said {
				all[name] = value
			}
		}
	}
	upstream, err := json.Marshal(state{Subject: subject, Refresh: tokens.RefreshToken, Access: tokens.AccessToken, Expires: tokens.Expiry})
	if err != nil {
		return idp.SignIn{}, fmt.Errorf("keep the provider's tokens: %w", err)
	}
	return idp.SignIn{Identity: p.identity(subject, all), Upstream: upstream}, nil
}

// identity is a person of this provider: its issuer is the tenant.
func (p *Provider) identity(subject string, claims map[string]any) policy.Identity {
	name, _ := claims["name"].(string)
	username, _ := claims["preferred_username"].(string)
	if username == "" {
		username, _ = claims["email"].(string)
	}
	return policy.Identity{
		Tenant: p.Issuer, Object: subject, Kind: policy.Person, Client: p.ClientID,
		Roles: texts(lookUp(claims, p.Roles)), Groups: texts(lookUp(claims, p.Groups)), Name: name, Username: username,
	}
}

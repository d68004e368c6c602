package authserver

import (
	"net/http"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/policy"
)

// revoke takes a token back (RFC 7009 §2). A token that is none of ours is no error.
func (a *AuthServer) revoke(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	c, err := a.authenticate(r, form)
	if err != nil {
		return asClientError(err)
	}
	if !form.Has("token") {
		return oauth.Refuse(oauth.InvalidRequest, "token is missing")
	}
	if err := a.Grants.Revoke(r.Context(), form.Get("token"), c.id); err != nil {
		return err
	}
	a.record(r, audit.Event{Kind: audit.Token, Decision: audit.Allowed, Client: c.id, Method: "revoke"})
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	return nil
}

// introspection is RFC 7662 §2.2, with the words of Entra for who it is.
type introspection struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	Username  string   `json:"username,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	Expires   int64    `json:"exp,omitempty"`
	Subject   string   `json:"sub,omitempty"`
	Audience  string   `json:"aud,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	Tenant    string   `json:"tid,omitempty"`
	Object    string   `json:"oid,omitempty"`
	Roles     []string `json:"roles,omitempty"`
}

// introspect tells a server behind about an access token that was shown to it. It learns about tokens for itself
// only, and nothing about refresh tokens, which are none of its business.
func (a *AuthServer) introspect(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	c, err := a.authenticate(r, form)
	if err != nil {
		return asClientError(err)
	}
	if c.introspects == "" {
		return &oauth.Error{Code: oauth.UnauthorizedClient, HTTPStatus: http.StatusForbidden, Description: "the client may not look at tokens"}
	}
	if !form.Has("token") {
		return oauth.Refuse(oauth.InvalidRequest, "token is missing")
	}
	seen, err := a.Grants.Introspect(r.Context(), form.Get("token"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, a.introspection(c, seen))
}

func (a *AuthServer) introspection(c *client, seen grant.Introspection) introspection {
	if !seen.Active || seen.Refresh || seen.Grant.Server != c.introspects {
		return introspection{}
	}
	who := seen.Grant.Identity
	answer := introspection{
		Active: true, Scope: oauth.JoinScope(seen.Grant.Scopes), ClientID: seen.Grant.Client, TokenType: "Bearer",
		Expires: seen.Expires.Unix(), Subject: who.Key(), Audience: seen.Grant.Resource, Issuer: a.Issuer,
		Tenant: who.Tenant, Object: who.Object, Roles: who.Roles,
	}
	if who.Kind == policy.Person {
		answer.Username = who.Username
	}
	return answer
}

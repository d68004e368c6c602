package authserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/idp"
	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/policy"
)

// tokenAnswer is RFC 6749 §5.1.
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope"`
}

// token gives tokens for a code, for a refresh token, or to a client that acts for itself (RFC 6749 §3.2).
func (a *AuthServer) token(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	c, err := a.authenticate(r, form)
	if err != nil {
		return asClientError(err)
	}
	if err := a.Audit.Ready(); err != nil {
		return oauth.Refuse(oauth.TemporarilyUnavailable, "try again later").Because(err)
	}
	var tokens grant.Tokens
	switch form.Get("grant_type") {
	case oauth.GrantCode:
		tokens, err = a.redeem(r.Context(), c, form)
	case oauth.GrantRefresh:
		tokens, err = a.refresh(r.Context(), c, form)
	case oauth.GrantClientCredentials:
		tokens, err = a.issue(r.Context(), c, form)
	case "":
		err = oauth.Refuse(oauth.InvalidRequest, "grant_type is missing")
	default:
		err = oauth.Refuse(oauth.UnsupportedGrantType, "grant_type must be authorization_code, refresh_token or client_credentials")
	}
	a.recordToken(r, c, form.Get("grant_type"), tokens, err)
	if err != nil {
		return err
	}
	a.keepClient(r.Context(), c)
	return writeJSON(w, http.StatusOK, tokenAnswer{
		AccessToken: tokens.Access.Reveal(), TokenType: "Bearer", ExpiresIn: int(tokens.ExpiresIn.Seconds()),
		RefreshToken: tokens.Refresh.Reveal(), Scope: oauth.JoinScope(tokens.Scopes),
	})
}

func readForm(w http.ResponseWriter, r *http.Request) (oauth.Params, error) {
	return oauth.ParseForm(r.Header.Get("Content-Type"), r.URL.RawQuery, http.MaxBytesReader(w, r.Body, oauth.MaxForm+1))
}

// redeem trades a code (OAuth 2.1 §4.1.3). What is missing is told before the code is looked at, so that a bad
// request never burns a good code.
func (a *AuthServer) redeem(ctx context.Context, c *client, form oauth.Params) (grant.Tokens, error) {
	if !form.Has("code") {
		return grant.Tokens{}, oauth.Refuse(oauth.InvalidRequest, "code is missing")
	}
	if err := oauth.CheckVerifier(form.Get("code_verifier")); err != nil {
		return grant.Tokens{}, err
	}
	if err := a.checkResource(form.Get("resource")); err != nil {
		return grant.Tokens{}, err
	}
	return a.Grants.Redeem(ctx, grant.Redemption{
		Code: form.Get("code"), Client: c.id, RedirectURI: form.Get("redirect_uri"), Resource: form.Get("resource"),
		Verifier: form.Get("code_verifier"),
	})
}

func (a *AuthServer) checkResource(resource string) error {
	if resource == "" {
		return nil
	}
	if _, found := a.server(resource); !found {
		return oauth.Refuse(oauth.InvalidTarget, "the resource is none of the servers here")
	}
	return nil
}

// refresh trades a refresh token (OAuth 2.1 §4.3), after asking the identity provider whether the person may still
// come.
func (a *AuthServer) refresh(ctx context.Context, c *client, form oauth.Params) (grant.Tokens, error) {
	if !form.Has("refresh_token") {
		return grant.Tokens{}, oauth.Refuse(oauth.InvalidRequest, "refresh_token is missing")
	}
	if err := a.checkResource(form.Get("resource")); err != nil {
		return grant.Tokens{}, err
	}
	scopes, err := a.refreshScopes(form.Get("scope"))
	if err != nil {
		return grant.Tokens{}, err
	}
	rotation := grant.Rotation{Refresh: form.Get("refresh_token"), Client: c.id, Resource: form.Get("resource"), Scopes: scopes}
	tokens, err := a.Grants.Rotate(ctx, rotation, a.renewFor(c))
	if problem, ok := errors.AsType[*idp.Error](err); ok && problem.Problem == idp.Interaction {
		a.rememberDemand(ctx, c, rotation.Refresh, demandFrom(problem))
	}
	return tokens, err
}

// refreshScopes are those that a refresh asks for. What no server here has was dropped when the client signed in,
// and is dropped again when it repeats its first request; without any scope all that was granted stays.
func (a *AuthServer) refreshScopes(raw string) ([]string, error) {
	asked, err := oauth.ParseScope(raw)
	if err != nil {
		return nil, err
	}
	known := a.allScopes()
	asked = slices.DeleteFunc(asked, func(scope string) bool { return !slices.Contains(known, scope) })
	if len(asked) > 0 && !slices.Contains(asked, BaseScope) {
		asked = slices.Insert(asked, 0, BaseScope)
	}
	return asked, nil
}

// renewFor asks the identity provider again. Who was removed there, or may no longer come, ends here; an outage
// ends nothing.
func (a *AuthServer) renewFor(c *client) grant.Renew {
	return func(ctx context.Context, upstream []byte) (policy.Identity, []byte, error) {
		again, err := a.Provider.Refresh(ctx, upstream)
		if problem, ok := errors.AsType[*idp.Error](err); ok && (problem.Problem == idp.Ended || problem.Problem == idp.Denied) {
			told := oauth.Refuse(oauth.InvalidGrant, "%s", orElse(problem.Description, "the identity provider ended the sign-in; sign in again"))
			return policy.Identity{}, nil, fmt.Errorf("%w: %w", grant.ErrEnded, told.Because(err))
		}
		if err != nil {
			return policy.Identity{}, nil, err
		}
		again.Identity.Client = c.id
		return again.Identity, again.Upstream, nil
	}
}

// rememberDemand carries what the identity provider wants into the next sign-in of the same person.
func (a *AuthServer) rememberDemand(ctx context.Context, c *client, refresh string, d demand) {
	seen, err := a.Grants.Introspect(ctx, refresh)
	if err != nil || !seen.Active || seen.Grant.Client != c.id {
		return
	}
	a.demandLater(ctx, seen.Grant.Identity.Key(), seen.Grant.Server, d)
}

// issue gives a token to a client that acts for itself (OAuth 2.1 §4.2): one that the configuration knows as an
// application.
func (a *AuthServer) issue(ctx context.Context, c *client, form oauth.Params) (grant.Tokens, error) {
	if c.public() || c.application.Key() == "" {
		return grant.Tokens{}, oauth.Refuse(oauth.UnauthorizedClient, "the client may not act for itself")
	}
	server, err := a.serverOf(form.Get("resource"), "")
	if err != nil {
		return grant.Tokens{}, err
	}
	asked, err := oauth.ParseScope(form.Get("scope"))
	if err != nil {
		return grant.Tokens{}, err
	}
	identity := c.application
	identity.Kind, identity.Client = policy.Application, c.id
	identity.Scopes = server.grantable(asked)
	return a.Grants.Issue(ctx, grant.Opening{
		Client: c.id, ClientName: c.name, Server: server.Name, Resource: server.Resource, Scopes: identity.Scopes, Identity: identity,
	})
}

// recordToken writes down what the token endpoint did. Revocations and ends are in it: they are what somebody
// will look for.
func (a *AuthServer) recordToken(r *http.Request, c *client, how string, tokens grant.Tokens, err error) {
	e := audit.Event{Kind: audit.Token, Decision: audit.Allowed, Client: c.id, SessionID: tokens.GrantID, Method: oauth.PlainText(how)}
	if server, found := a.server(tokens.Resource); found {
		e.Server = server.Name
	}
	if err != nil {
		refusal := explain(err)
		e.Decision, e.Detail = audit.Refused, refusal.Description
		if refusal.Code == oauth.TemporarilyUnavailable {
			e.Decision = audit.Failed // nobody said no
		}
		e.Refusal, _ = errors.AsType[*policy.Refusal](err)
		if ended, ok := errors.AsType[*grant.EndedError](err); ok {
			e.Kind, e.SessionID, e.Detail = audit.Unusual, ended.GrantID, "session ended: "+string(ended.Reason)
		}
	}
	a.record(r, e)
}

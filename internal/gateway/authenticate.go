package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/internal/telemetry"
	"github.com/genkan-mcp/genkan/policy"
)

// Caller is who holds a token that was found good.
type Caller struct {
	Identity policy.Identity
	Session  string    // the grant's ID; empty where Entra's own tokens are shown
	Expires  time.Time // of the token; zero: not known
	// Token is Entra's own, where the client showed that.
	Token entra.Token
}

// Authenticator says who holds a token, if it is good for the resource. A "no" is a *policy.Refusal; any other
// error means that nobody can tell at the moment.
type Authenticator interface {
	Authenticate(ctx context.Context, token, resource string) (Caller, error)
}

// Sessions are those of the authorization server: grant.Grants.
type Sessions interface {
	Check(ctx context.Context, access, resource string) (*grant.Grant, error)
}

// Facade believes tokens of this house.
type Facade struct{ Sessions Sessions }

var _ Authenticator = Facade{}

// Authenticate asks the session that the token belongs to.
func (f Facade) Authenticate(ctx context.Context, token, resource string) (Caller, error) {
	found, err := f.Sessions.Check(ctx, token, resource)
	if err != nil {
		return Caller{}, err
	}
	return Caller{Identity: found.Identity, Session: found.ID, Expires: found.TokenExpires}, nil
}

// EntraTokens believes Entra's own tokens: a server in resource mode.
type EntraTokens struct{ Verifier Verifier }

// Verifier is entra.Verifier, which knows the audiences, tenants and clients that are good.
type Verifier interface {
	Verify(ctx context.Context, token string) (*entra.Verified, error)
}

var _ Authenticator = EntraTokens{}

// Authenticate verifies the token. It is made for the application that stands for the server, not for the
// server's address: Entra knows no such audience.
func (e EntraTokens) Authenticate(ctx context.Context, token, _ string) (Caller, error) {
	verified, err := e.Verifier.Verify(ctx, token)
	if err != nil {
		return Caller{}, err
	}
	return Caller{Identity: verified.Identity, Expires: verified.Expires, Token: entra.NewToken(token, verified.Expires)}, nil
}

// admit lets in who may talk to the server at all: a request to us, from nowhere strange, with a good token that
// has the scopes of the server.
func (x *exchange) admit() error {
	if err := x.checkHost(); err != nil {
		return err
	}
	if err := x.checkOrigin(); err != nil {
		return err
	}
	token, err := x.bearer()
	if err != nil {
		return err
	}
	caller, err := x.authenticate(x.ctx, token)
	if err != nil {
		return x.tokenProblem(err)
	}
	x.caller, x.token = caller, token
	x.event.Who(caller.Identity)
	x.event.SessionID = caller.Session
	if caller.Session != "" {
		x.ctx = telemetry.WithSession(x.ctx, caller.Session)
	}
	return x.checkScopes()
}

// authenticate asks whose token it is. At the older transport's address a token for that address is as good as one
// for the server's own: clients bind tokens to the address that they were given.
func (x *exchange) authenticate(ctx context.Context, token string) (Caller, error) {
	caller, err := x.server.Authenticator.Authenticate(ctx, token, x.server.Resource)
	if refusal, ok := errors.AsType[*policy.Refusal](err); ok && refusal.Check == policy.CheckAudience && x.at.resource != x.server.Resource {
		return x.server.Authenticator.Authenticate(ctx, token, x.at.resource)
	}
	return caller, err
}

func (x *exchange) checkHost() error {
	if slices.Contains(x.g.hosts, strings.ToLower(x.r.Host)) {
		return nil
	}
	return &problem{status: http.StatusForbidden, message: "this name does not lead here: use the public address",
		refusal: &policy.Refusal{Check: policy.CheckOrigin, Wanted: "Host: " + x.g.PublicURL.Host, Got: "another host",
			Remedy: "use the public address; a proxy that changes Host must be configured"}}
}

// checkOrigin refuses the pages of strangers (MCP 2025-06-18, Transports, Security Warning). Programs send no
// Origin at all.
func (x *exchange) checkOrigin() error {
	origins := x.r.Header["Origin"]
	if len(origins) == 0 {
		return nil
	}
	if len(origins) == 1 && slices.Contains(x.g.origins, origins[0]) {
		h := x.w.Header()
		h.Set("Access-Control-Allow-Origin", origins[0])
		h.Set("Access-Control-Expose-Headers", "Mcp-Session-Id, Mcp-Protocol-Version, WWW-Authenticate, X-Request-Id")
		h.Add("Vary", "Origin")
		return nil
	}
	return &problem{status: http.StatusForbidden, message: "web pages of this origin may not call here: ask the administrator to allow it",
		refusal: &policy.Refusal{Check: policy.CheckOrigin, Wanted: "an allowed origin, or none", Got: "another origin",
			Remedy: "add it to the allowed origins"}}
}

// bearer takes the token out of the request: one Authorization header, nothing else (RFC 6750 §2.1; a token
// in the query is refused by §5.3 of RFC 9700's advice).
func (x *exchange) bearer() (string, error) {
	values := x.r.Header["Authorization"]
	if strings.Contains(x.r.URL.RawQuery, "access_token") {
		return "", x.badRequest("a token must not stand in the address: send it in the Authorization header")
	}
	switch len(values) {
	case 0:
		x.quiet = true // how every sign-in begins
		return "", x.challenge(oauth.BearerChallenge{}, &policy.Refusal{Check: policy.CheckToken,
			Wanted: "a bearer token", Got: "none", Remedy: "sign in: resource_metadata says where"})
	case 1:
	default:
		return "", x.badRequest("there are several Authorization headers: send one")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "bearer") || token == "" || strings.ContainsAny(token, " ,\t") {
		return "", x.challenge(oauth.BearerChallenge{Error: oauth.InvalidToken}, &policy.Refusal{Check: policy.CheckToken,
			Wanted: "Authorization: Bearer and one token", Got: "something else", Remedy: "sign in: resource_metadata says where"})
	}
	return token, nil
}

// tokenProblem is the answer to a token that was not found good.
func (x *exchange) tokenProblem(err error) error {
	if refusal, ok := errors.AsType[*policy.Refusal](err); ok {
		return x.challenge(oauth.BearerChallenge{Error: oauth.InvalidToken}, refusal)
	}
	return &problem{status: http.StatusServiceUnavailable, message: "tokens can't be checked at the moment: try again", retry: 2 * time.Second,
		cause: fmt.Errorf("authenticate: %w", err)}
}

// checkScopes asks for the scopes that every token of a person needs. Applications have roles instead.
func (x *exchange) checkScopes() error {
	id := &x.caller.Identity
	if id.Kind == policy.Application && len(id.Scopes) == 0 {
		return nil
	}
	for i, scope := range x.server.Scopes {
		if !id.HasScope(scope) {
			return x.insufficientScope(x.server.AskScopes[min(i, len(x.server.AskScopes)-1):])
		}
	}
	return nil
}

// insufficientScope asks for a step-up (RFC 6750 §3.1): all that the token has, and what it lacks, because the
// next token replaces this one.
func (x *exchange) insufficientScope(missing []string) error {
	scopes := slices.Clone(x.server.AskScopes)
	for _, scope := range slices.Concat(x.caller.Identity.Scopes, missing) {
		if !slices.Contains(scopes, scope) && !slices.Contains(x.server.Scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	refusal := &policy.Refusal{Check: policy.CheckScope, Wanted: "the scopes " + strings.Join(missing, " "),
		Got: "a token without them", Remedy: "sign in again and allow the client more"}
	p := x.challenge(oauth.BearerChallenge{Error: oauth.InsufficientScope, Scope: scopes}, refusal)
	p.status = http.StatusForbidden
	return p
}

// challenge is a 401 that says where to sign in (RFC 9728 §5.1). Only where there was a token does it have an
// error (RFC 6750 §3).
func (x *exchange) challenge(c oauth.BearerChallenge, refusal *policy.Refusal) *problem {
	c.ResourceMetadata = x.at.metadataURL
	if len(c.Scope) == 0 {
		c.Scope = x.server.AskScopes
	}
	message := refusal.Error()
	if c.Error != "" {
		c.Description = message
	}
	return &problem{status: http.StatusUnauthorized, message: message, oauth: c.Error, challenge: c.String(), refusal: refusal}
}

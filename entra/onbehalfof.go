package entra

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"

	"github.com/genkan-mcp/genkan/policy"
)

// ErrAssertionEnded means that the token to be exchanged has ended. Refresh the sign-in and try again.
var ErrAssertionEnded = errors.New("entra: the token to be exchanged has ended")

// ConsentRequiredError means that the application lacks a permission which no caller can supply. An administrator
// grants it for everybody at AdminConsentURL.
type ConsentRequiredError struct {
	Permissions     []string // in full, such as https://graph.microsoft.com/User.Read
	AdminConsentURL string
	Err             *Error
}

// Error names the permissions and the way to grant them.
func (e *ConsentRequiredError) Error() string {
	return fmt.Sprintf("entra: %s: nobody has consented to %s: an administrator grants it at %s",
		e.Err.Op, strings.Join(e.Permissions, " "), e.AdminConsentURL)
}

// Unwrap gives Entra's error.
func (e *ConsentRequiredError) Unwrap() error { return e.Err }

// Assertion is the caller on whose behalf a token is wanted: the access token for this application that they sent, or
// that a sign-in brought (SignIn.Token, Client.AccessToken). It must have been verified.
type Assertion struct {
	Token Token
	// Session, if given, keeps what was exchanged while Token is renewed. It must belong to one person for ever;
	// if it should not, the exchanged tokens are still kept apart by person.
	Session string
}

// ApplicationCallers says what an OnBehalfOf does for a caller that is an application: Entra exchanges people's tokens only
// (AADSTS7000114).
type ApplicationCallers int

const (
	// RefuseApplications refuses them. It is the default.
	RefuseApplications ApplicationCallers = iota
	// ServeApplicationsAsMyself gives out a token of this application itself, with all of its own permissions. Use
	// it only where every application that passes the door may do whatever this one may.
	ServeApplicationsAsMyself
)

// OnBehalfOfConfig says which tokens are exchanged for.
type OnBehalfOfConfig struct {
	// Scopes are permissions of one resource, each with its full name: https://graph.microsoft.com/User.Read, or
	// api://{client ID}/.default for all that were consented to.
	Scopes []string
	// Applications says what is done for callers that are no people.
	Applications ApplicationCallers
}

// OnBehalfOf exchanges a caller's token for a token of another service, so that the service sees the caller. It is
// safe for concurrent use; make one for each service.
type OnBehalfOf struct {
	client   *Client
	config   OnBehalfOfConfig
	resource string
}

// OnBehalfOf makes an exchange for one service. It does not talk to Entra yet.
func (c *Client) OnBehalfOf(config OnBehalfOfConfig) (*OnBehalfOf, error) {
	resource, err := oneResource(config.Scopes)
	if err != nil {
		return nil, fmt.Errorf("new on-behalf-of: %w", err)
	}
	if config.Applications != RefuseApplications && config.Applications != ServeApplicationsAsMyself {
		return nil, errors.New("new on-behalf-of: applications: use RefuseApplications or ServeApplicationsAsMyself")
	}
	return &OnBehalfOf{client: c, config: config, resource: resource}, nil
}

// oneResource finds the resource that all scopes belong to: Entra takes one at a time (AADSTS28000), and .default only
// alone (AADSTS70011).
func oneResource(scopes []string) (string, error) {
	if len(scopes) == 0 {
		return "", errors.New("scopes: none given")
	}
	first := ""
	for _, scope := range scopes {
		cut := strings.LastIndexByte(scope, '/')
		if cut <= 0 || cut == len(scope)-1 || strings.ContainsAny(scope, " \t\r\n\"\\") {
			return "", fmt.Errorf("scopes: %q has not the form resource/permission", scope)
		}
		resource, permission := scope[:cut], scope[cut+1:]
		if first == "" {
			first = resource
		}
		switch {
		case resource != first:
			return "", fmt.Errorf("scopes: %q and %q are of different resources; make an exchange for each", scopes[0], scope)
		case permission == ".default" && len(scopes) > 1:
			return "", errors.New("scopes: .default stands alone")
		}
	}
	return first, nil
}

// Token returns a token of the service for the caller. Results are kept by session, or by the caller's token, and are
// renewed ahead of their end; of any number of callers at once, one asks Entra.
//
// The errors that callers branch on: *InteractionRequiredError (the person must sign in again, with its claims),
// *ConsentRequiredError (an administrator must grant a permission), ErrAssertionEnded (refresh the sign-in first), and
// *Refusal (the caller is an application).
func (o *OnBehalfOf) Token(ctx context.Context, a Assertion) (Token, error) {
	request, err := o.request(a, "")
	if err != nil {
		return Token{}, err
	}
	return o.client.tokens.get(ctx, request)
}

// Satisfy answers a claims challenge of the service (RFC 9470; "insufficient_claims"): it asks Entra for a token that
// satisfies the claims (JSON), past what is kept. Most often that ends in an *InteractionRequiredError, because only
// the person can satisfy them.
func (o *OnBehalfOf) Satisfy(ctx context.Context, a Assertion, claims string) (Token, error) {
	if readClaims(json.RawMessage(claims)) == "" {
		return Token{}, &Error{Op: "exchange token", Reason: Misuse, Remedy: "The claims challenge is not a JSON object."}
	}
	request, err := o.request(a, claims)
	if err != nil {
		return Token{}, err
	}
	token, err := o.client.tokens.acquire(ctx, request)
	var interaction *InteractionRequiredError
	if errors.As(err, &interaction) && interaction.Claims == "" {
		return Token{}, &InteractionRequiredError{Claims: claims, Err: interaction.Err}
	}
	return token, err
}

// Forget drops what was exchanged in a session that has ended.
func (o *OnBehalfOf) Forget(session string) { o.client.tokens.forget(sessionKey(session)) }

func (o *OnBehalfOf) request(a Assertion, challenge string) (tokenRequest, error) {
	const op = "exchange token"
	c, hash, err := o.client.callerOf(a.Token)
	if err != nil {
		return tokenRequest{}, fmt.Errorf("%s: %w", op, err)
	}
	if c.kind == policy.Application {
		if o.config.Applications == ServeApplicationsAsMyself {
			return o.client.applicationRequest(o.resource, challenge), nil
		}
		return tokenRequest{}, fmt.Errorf("%s: %w", op, &Refusal{
			Check: policy.CheckKind, Wanted: "a token of a person", Got: "a token of an application",
			Remedy: "Entra exchanges people's tokens only: sign in as a person, or configure an application credential for such callers.",
		})
	}
	if !c.expires.IsZero() && !o.client.config.Now().Before(c.expires) {
		return tokenRequest{}, &Error{Op: op, Reason: Ended, Cause: ErrAssertionEnded, Remedy: "Refresh the sign-in, and exchange its new token."}
	}
	fingerprint := base64.RawURLEncoding.EncodeToString(hash[:]) + challenge
	who := "token\x00" + fingerprint + "\x00"
	if a.Session != "" {
		who = sessionKey(a.Session) + c.person + "\x00"
	}
	return tokenRequest{
		key: who + strings.Join(o.config.Scopes, " "), fingerprint: fingerprint, anew: challenge != "",
		ask: func(ctx context.Context) (Token, error) { return o.ask(ctx, a.Token, challenge) },
	}, nil
}

// caller is what an assertion says about whom it is for. Nobody decides by it: Entra does.
type caller struct {
	kind    policy.Kind
	person  string // tenant and object ID
	expires time.Time
}

// callerOf reads an assertion, or remembers what it read.
func (c *Client) callerOf(token Token) (caller, [sha256.Size]byte, error) {
	hash := sha256.Sum256([]byte(token.Reveal()))
	if known, ok := c.callers.get(hash); ok {
		return known, hash, nil
	}
	parsed, refusal := parseToken(token.Reveal())
	if refusal != nil {
		return caller{}, hash, refusal
	}
	fresh := caller{kind: parsed.claims.kind(), person: parsed.claims.Tenant + "/" + parsed.claims.Object}
	if parsed.claims.Expiry != nil {
		fresh.expires = expiryOf(parsed.claims)
	}
	c.callers.put(hash, fresh)
	return fresh, hash, nil
}

func sessionKey(session string) string { return "session\x00" + session + "\x00" }

// ask uses a client of MSAL of its own, so that only this package's cache remembers: MSAL's would grow for ever, and
// would hand out a token until its very end.
func (o *OnBehalfOf) ask(ctx context.Context, assertion Token, challenge string) (Token, error) {
	const op = "exchange token"
	client, err := o.client.msal(nil)
	if err != nil {
		return Token{}, explainFailure(op, err)
	}
	var options []confidential.AcquireOnBehalfOfOption
	if challenge != "" {
		options = append(options, confidential.WithClaims(challenge))
	}
	result, err := client.AcquireTokenOnBehalfOf(ctx, assertion.Reveal(), o.config.Scopes, options...)
	if err != nil {
		return Token{}, o.explain(explainFailure(op, err))
	}
	return o.client.given(result), nil
}

// explain tells apart what a new sign-in can repair and what it can't.
func (o *OnBehalfOf) explain(err error) error {
	var failure *Error
	if !errors.As(err, &failure) {
		return err
	}
	switch {
	case failure.Code == 65001 || failure.Code == 90094 || failure.Suberror == "consent_required":
		config := o.client.config
		return &ConsentRequiredError{
			Permissions: o.config.Scopes, Err: failure,
			AdminConsentURL: config.Cloud.AdminConsentURL(config.Tenant, config.ClientID, o.config.Scopes...),
		}
	case failure.Code == 50013 || failure.Code == 500133:
		failure.Cause = ErrAssertionEnded
	}
	return err
}

package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/internal/upstream"
	"github.com/genkan-mcp/genkan/policy"
)

// shownAgain is for how long a token of Entra is shown without asking where it is kept.
const shownAgain = 30 * time.Second

// Exchanger is entra.OnBehalfOf.
type Exchanger interface {
	Token(ctx context.Context, a entra.Assertion) (entra.Token, error)
	Satisfy(ctx context.Context, a entra.Assertion, claims string) (entra.Token, error)
	Forget(session string)
}

// OnBehalfOfConfig says how a caller is shown to a server behind as themselves.
type OnBehalfOfConfig struct {
	Exchange Exchanger
	// Assertion finds Entra's token for a caller: SessionTokens in facade mode, OwnToken in resource mode.
	Assertion func(ctx context.Context, c Caller) (entra.Token, error)
	// Interaction is told when the person must sign in again, with the claims that the sign-in must satisfy
	// (JSON; may be empty). It ends the session and keeps the claims for its next sign-in. Nil in resource mode,
	// where the client takes the claims to Entra itself.
	Interaction func(ctx context.Context, c Caller, claims string) error
	Now         func() time.Time
}

// OnBehalfOf shows a server behind a token of Entra in which the caller is still the person.
type OnBehalfOf struct {
	OnBehalfOfConfig
	shown *recent
}

// NewOnBehalfOf makes the credential.
func NewOnBehalfOf(c OnBehalfOfConfig) (*OnBehalfOf, error) {
	if c.Exchange == nil || c.Assertion == nil {
		return nil, errors.New("gateway: on behalf of: an exchange and an assertion are needed")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &OnBehalfOf{OnBehalfOfConfig: c, shown: newRecent(shownAgain)}, nil
}

// OwnToken is the assertion of a caller who showed Entra's token.
func OwnToken(_ context.Context, c Caller) (entra.Token, error) { return c.Token, nil }

// SessionTokens finds Entra's token in the session.
type SessionTokens struct {
	// Upstream gives what the session keeps: grant.Grants.Upstream.
	Upstream func(ctx context.Context, session string) ([]byte, error)
	// AccessToken reads the token in it: entra.Client.AccessToken.
	AccessToken func(entra.State) (entra.Token, error)
}

// Assertion is the token of the caller's session.
func (s SessionTokens) Assertion(ctx context.Context, c Caller) (entra.Token, error) {
	state, err := s.Upstream(ctx, c.Session)
	if err != nil {
		return entra.Token{}, err
	}
	return s.AccessToken(entra.NewState(state))
}

// callerKey tells callers and their tokens apart.
func callerKey(c Caller) string {
	if c.Session != "" {
		return c.Session
	}
	return c.Token.Reveal()
}

// Show gives the exchanged token.
func (o *OnBehalfOf) Show(ctx context.Context, c Caller) (upstream.Credential, error) {
	if shown, ok := o.shown.find(callerKey(c), o.Now()); ok {
		return shown, nil
	}
	return o.exchange(ctx, c, o.Exchange.Token)
}

// Renew exchanges anew. When the server behind asks for claims (insufficient_claims), Entra is asked to satisfy them.
func (o *OnBehalfOf) Renew(ctx context.Context, c Caller, challenge []string) (upstream.Credential, error) {
	o.shown.drop(callerKey(c))
	if claims := claimsOf(challenge); claims != "" {
		return o.exchange(ctx, c, func(ctx context.Context, a entra.Assertion) (entra.Token, error) {
			return o.Exchange.Satisfy(ctx, a, claims)
		})
	}
	o.Exchange.Forget(c.Session)
	return o.exchange(ctx, c, o.Exchange.Token)
}

func (o *OnBehalfOf) exchange(ctx context.Context, c Caller, ask func(context.Context, entra.Assertion) (entra.Token, error)) (upstream.Credential, error) {
	assertion, err := o.Assertion(ctx, c)
	if err != nil {
		return upstream.Credential{}, fmt.Errorf("find the caller's token: %w", err)
	}
	token, err := ask(ctx, entra.Assertion{Token: assertion, Session: c.Session})
	if err != nil {
		return upstream.Credential{}, o.refused(ctx, c, err)
	}
	shown := bearerCredential(token.Reveal())
	o.shown.keep(callerKey(c), shown, o.Now(), token.Expires())
	return shown, nil
}

// refused keeps the claims of an interaction for the next sign-in.
func (o *OnBehalfOf) refused(ctx context.Context, c Caller, err error) error {
	interaction, ok := errors.AsType[*entra.InteractionRequiredError](err)
	if !ok || o.Interaction == nil {
		return err
	}
	if failed := o.Interaction(ctx, c, interaction.Claims); failed != nil {
		return fmt.Errorf("keep the claims for the next sign-in: %w", failed)
	}
	return &signInAgainError{cause: err}
}

// signInAgainError means that the session was ended, because only a new sign-in helps.
type signInAgainError struct{ cause error }

// Error tells the cause.
func (e *signInAgainError) Error() string { return "the person must sign in again: " + e.cause.Error() }

// Unwrap gives the cause.
func (e *signInAgainError) Unwrap() error { return e.cause }

// claimsOf reads the claims challenge of a server behind, as JSON.
func claimsOf(headers []string) string {
	challenges, err := oauth.ParseChallenges(headers)
	if err != nil {
		return ""
	}
	bearer, ok := oauth.FindBearer(challenges)
	if !ok || bearer.Params["error"] != "insufficient_claims" {
		return ""
	}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if decoded, err := encoding.DecodeString(bearer.Params["claims"]); err == nil && json.Valid(decoded) {
			return string(decoded)
		}
	}
	return ""
}

// Application shows a token of the door itself: the server behind sees who calls no more than from a service account.
type Application struct {
	// Token gets it: entra.Client.ApplicationToken for the server's resource.
	Token func(ctx context.Context) (entra.Token, error)
}

// Show gives the token; where it comes from it is kept and renewed.
func (a *Application) Show(ctx context.Context, _ Caller) (upstream.Credential, error) {
	token, err := a.Token(ctx)
	if err != nil {
		return upstream.Credential{}, err
	}
	return bearerCredential(token.Reveal()), nil
}

// Renew has no other: the token is renewed ahead of its end.
func (*Application) Renew(context.Context, Caller, []string) (upstream.Credential, error) {
	return upstream.Credential{}, ErrNothingNew
}

// credentialProblem tells apart who can help: the client by refreshing, the person by signing in, an administrator,
// time, or whoever configured the door.
func (x *exchange) credentialProblem(err error) error {
	if x.ctx.Err() != nil {
		return err
	}
	x.g.Metrics.Exchanged(x.server.Name, "credential", err)
	cause := fmt.Errorf("credential for %s: %w", x.server.Name, err)
	if again, ok := errors.AsType[*signInAgainError](err); ok {
		return x.signInAgain("the server behind wants a new sign-in", "", again)
	}
	if interaction, ok := errors.AsType[*entra.InteractionRequiredError](err); ok {
		return x.signInAgain("the server behind wants a new sign-in", interaction.Claims, cause)
	}
	if errors.Is(err, entra.ErrAssertionEnded) {
		return x.signInAgain("the sign-in must be refreshed", "", cause)
	}
	if consent, ok := errors.AsType[*entra.ConsentRequiredError](err); ok {
		return &problem{status: http.StatusForbidden, code: codeRefused, cause: cause,
			message: "an administrator must first let the door use the service behind, at " + consent.AdminConsentURL}
	}
	if refusal, ok := errors.AsType[*policy.Refusal](err); ok {
		return &problem{status: http.StatusForbidden, code: codeRefused, message: refusal.Error(), refusal: refusal}
	}
	if failure, ok := errors.AsType[*entra.Error](err); ok && failure.Reason == entra.Unavailable {
		return &problem{status: http.StatusServiceUnavailable, message: "Entra can't be asked for the server's credential at the moment: try again",
			retry: max(failure.RetryAfter, time.Second), cause: cause}
	}
	return &problem{status: http.StatusBadGateway, message: "the credential for the server behind can't be got: the log says why", cause: cause}
}

// signInAgain makes the client come back with another token. Claims go along for clients that take them to Entra
// themselves.
func (x *exchange) signInAgain(why, claims string, cause error) error {
	challenge := oauth.BearerChallenge{Error: oauth.InvalidToken}
	if claims != "" {
		challenge.Error = "insufficient_claims"
		challenge.Claims = base64.StdEncoding.EncodeToString([]byte(claims))
	}
	p := x.challenge(challenge, &policy.Refusal{Check: policy.CheckSession, Wanted: why, Got: "a token that is not enough for it",
		Remedy: "refresh the token or sign in again"})
	p.cause = cause
	return p
}

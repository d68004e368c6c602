// Package entraid is Microsoft Entra ID as an identity provider: package entra behind idp's interface, with every
// failure sorted into what the authorization server has to do about it.
package entraid

import (
	"context"
	"errors"
	"fmt"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/internal/idp"
	"github.com/genkan-mcp/genkan/policy"
)

// Provider signs people in with Entra. It is safe for concurrent use.
type Provider struct {
	client *entra.Client
}

var _ idp.Provider = (*Provider)(nil)

// New makes a provider of a client.
func New(client *entra.Client) (*Provider, error) {
	if client == nil {
		return nil, errors.New("new Entra provider: no client")
	}
	return &Provider{client: client}, nil
}

// AuthorizeURL implements idp.Provider.
func (p *Provider) AuthorizeURL(ctx context.Context, r idp.Request) (string, error) {
	request := entra.SignInRequest{
		RedirectURI: r.RedirectURI, State: r.State, Nonce: r.Nonce, Verifier: r.Verifier,
		Prompt: r.Prompt, LoginHint: r.LoginHint, Claims: r.Claims,
	}
	switch {
	case r.MaxAge > 0:
		request.MaxAge = r.MaxAge
	case r.MaxAge == 0 && r.Prompt == "":
		request.Prompt = "login" // no earlier sign-in is young enough
	}
	address, err := p.client.AuthCodeURL(ctx, request)
	return address, sorted(err)
}

// Redeem implements idp.Provider.
func (p *Provider) Redeem(ctx context.Context, c idp.Callback) (idp.SignIn, error) {
	signIn, err := p.client.Redeem(ctx, entra.RedeemRequest{Code: c.Code, RedirectURI: c.RedirectURI, Nonce: c.Nonce, Verifier: c.Verifier})
	if err != nil {
		return idp.SignIn{}, sorted(err)
	}
	return idp.SignIn{Identity: signIn.Identity, Upstream: signIn.State.Reveal()}, nil
}

// Refresh implements idp.Provider.
func (p *Provider) Refresh(ctx context.Context, upstream []byte) (idp.SignIn, error) {
	signIn, err := p.client.Refresh(ctx, entra.NewState(upstream))
	if err != nil {
		return idp.SignIn{}, sorted(err)
	}
	return idp.SignIn{Identity: signIn.Identity, Upstream: signIn.State.Reveal()}, nil
}

// sorted says what the authorization server has to do about a failure. What is not known is Misuse: it ends nothing,
// and somebody looks at it.
func sorted(err error) error {
	var refusal *policy.Refusal
	var failure *entra.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return &idp.Error{Problem: idp.Denied, Description: describeRefusal(refusal), Cause: err}
	case errors.As(err, &failure):
		return &idp.Error{
			Problem: problem(failure.Reason), Description: describe(failure), Claims: failure.Claims,
			RetryAfter: failure.RetryAfter, Cause: err,
		}
	}
	return &idp.Error{Problem: idp.Misuse, Description: "The identity provider could not be asked.", Cause: err}
}

func problem(reason entra.Reason) idp.Problem {
	switch reason {
	case entra.Denied:
		return idp.Denied
	case entra.Interaction:
		return idp.Interaction
	case entra.Ended:
		return idp.Ended
	case entra.Unavailable:
		return idp.Unavailable
	case entra.Misuse:
	}
	return idp.Misuse
}

// describe uses this project's own words only: what Entra writes may have been chosen by somebody else.
func describe(e *entra.Error) string {
	remedy := e.Remedy
	if remedy == "" {
		remedy = "Microsoft Entra ID did not accept the request."
	}
	if e.Code == 0 {
		return remedy
	}
	return fmt.Sprintf("%s (AADSTS%d)", remedy, e.Code)
}

func describeRefusal(r *policy.Refusal) string {
	if r.Remedy == "" {
		return fmt.Sprintf("The sign-in was refused by the %s check.", r.Check)
	}
	return fmt.Sprintf("The sign-in was refused by the %s check: %s", r.Check, r.Remedy)
}

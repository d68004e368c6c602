package entra

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"

	"github.com/genkan-mcp/genkan/policy"
)

// SignInRequest is one visit of a browser to Entra. RedirectURI, State, Nonce and Verifier must be given; make the
// last three of at least 256 random bits for each visit, and keep them bound to the browser until it comes back.
type SignInRequest struct {
	RedirectURI string
	State       string
	Nonce       string
	Verifier    string // the PKCE code verifier (RFC 7636 §4.1); its S256 challenge is sent

	Prompt    string        // "", "login", "select_account", "consent" or "none"
	LoginHint string        // the address that the person will probably use
	Claims    string        // a claims challenge to satisfy (InteractionRequiredError.Claims)
	MaxAge    time.Duration // how old an earlier sign-in may be; zero: any
}

// RedeemRequest is what the browser brought back (Code), and what the SignInRequest had sent along. That the state
// is the one of this browser is for the caller to check, before.
type RedeemRequest struct {
	Code        string
	RedirectURI string
	Nonce       string
	Verifier    string
}

// SignIn is the outcome of a sign-in or of its refresh.
type SignIn struct {
	Identity Identity
	State    State // keep it sealed, and hand it to Refresh
	Token    Token // the access token for this application: what OnBehalfOf exchanges
	// IDToken is what the application was told about the sign-in, checked. A refresh may bring none.
	IDToken Token
}

// AuthCodeURL says where to send the browser. All scopes in it are qualified, and it never has a resource parameter
// (AADSTS9010010, AADSTS901002).
func (c *Client) AuthCodeURL(ctx context.Context, r SignInRequest) (string, error) {
	if err := r.check(); err != nil {
		return "", &Error{Op: "make sign-in address", Reason: Misuse, Cause: err}
	}
	client, err := c.msal(nil)
	if err != nil {
		return "", explainFailure("make sign-in address", err)
	}
	var options []confidential.AuthCodeURLOption
	if r.LoginHint != "" {
		options = append(options, confidential.WithLoginHint(r.LoginHint))
	}
	if r.Claims != "" {
		options = append(options, confidential.WithClaims(r.Claims))
	}
	scopes := []string{c.config.qualifiedScope(), "openid", "profile", "offline_access"}
	address, err := client.AuthCodeURL(ctx, c.config.ClientID, r.RedirectURI, scopes, options...)
	if err != nil {
		return "", explainFailure("make sign-in address", err)
	}
	u, err := url.Parse(c.config.Cloud.plain(address))
	if err != nil {
		return "", &Error{Op: "make sign-in address", Reason: Unavailable, Cause: errors.New("the discovery document names no usable address")}
	}
	u.RawQuery = r.complete(u.Query()).Encode()
	return u.String(), nil
}

func (r SignInRequest) check() error {
	var mistakes []error
	if r.RedirectURI == "" {
		mistakes = append(mistakes, errors.New("no redirect URI"))
	}
	if r.State == "" {
		mistakes = append(mistakes, errors.New("no state"))
	}
	if r.Nonce == "" {
		mistakes = append(mistakes, errors.New("no nonce"))
	}
	if len(r.Verifier) < 43 || len(r.Verifier) > 128 {
		mistakes = append(mistakes, errors.New("the code verifier must have 43 to 128 characters (RFC 7636 §4.1)"))
	}
	switch r.Prompt {
	case "", "none", "login", "select_account", "consent":
	default:
		mistakes = append(mistakes, fmt.Errorf("prompt %q is not one that Entra knows", r.Prompt))
	}
	if r.Claims != "" && readClaims(json.RawMessage(r.Claims)) == "" {
		mistakes = append(mistakes, errors.New("the claims challenge is not a JSON object"))
	}
	return errors.Join(mistakes...)
}

// complete adds what MSAL leaves to its callers.
func (r SignInRequest) complete(query url.Values) url.Values {
	challenge := sha256.Sum256([]byte(r.Verifier))
	query.Set("state", r.State)
	query.Set("nonce", r.Nonce)
	query.Set("code_challenge", base64.RawURLEncoding.EncodeToString(challenge[:]))
	query.Set("code_challenge_method", "S256")
	query.Set("response_mode", "query")
	if r.Prompt != "" {
		query.Set("prompt", r.Prompt)
	}
	if r.MaxAge > 0 {
		query.Set("max_age", strconv.Itoa(int(r.MaxAge/time.Second)))
	}
	return query
}

// Redeem exchanges the code of a sign-in for the person: the ID token's signature, issuer, audience, time and nonce
// are checked, and so is the access token, from which roles, groups and scopes are read.
func (c *Client) Redeem(ctx context.Context, r RedeemRequest) (*SignIn, error) {
	const op = "redeem code"
	if r.Code == "" || r.Nonce == "" || r.Verifier == "" || r.RedirectURI == "" {
		return nil, &Error{Op: op, Reason: Misuse, Remedy: "Give the code, and the redirect URI, nonce and verifier of the request."}
	}
	store := &sessionCache{}
	client, err := c.msal(store)
	if err != nil {
		return nil, explainFailure(op, err)
	}
	result, err := client.AcquireTokenByAuthCode(ctx, r.Code, r.RedirectURI, []string{c.config.qualifiedScope()}, confidential.WithChallenge(r.Verifier))
	if err != nil {
		return nil, explainFailure(op, err)
	}
	id, err := c.checkIDToken(ctx, result.IDToken.RawToken)
	if err != nil {
		return nil, fmt.Errorf("%s: check ID token: %w", op, err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(r.Nonce)) != 1 {
		return nil, fmt.Errorf("%s: check ID token: %w", op, &Refusal{Check: policy.CheckToken, Wanted: "the nonce of this sign-in", Got: "another", Remedy: "Start the sign-in again, in one browser."})
	}
	return c.settle(ctx, op, result, store, id.Tenant, id.Object)
}

// Refresh asks Entra again who the person is and whether they may still come: roles and groups are read anew. It goes
// to Entra each time. The State that it returns replaces the one it was given; both work until then, so that a
// caller who could not store the new one loses nothing.
func (c *Client) Refresh(ctx context.Context, state State) (*SignIn, error) {
	const op = "refresh sign-in"
	kept, err := openState(state)
	if err != nil {
		return nil, err
	}
	store := &sessionCache{content: kept.Cache}
	client, err := c.msal(store)
	if err != nil {
		return nil, explainFailure(op, err)
	}
	account, err := client.Account(ctx, kept.Account)
	if err != nil || account.IsZero() {
		return nil, &Error{Op: op, Reason: Ended, Remedy: "What was kept of the sign-in can't be read; the person must sign in anew."}
	}
	result, err := client.AcquireTokenSilent(ctx, []string{c.config.qualifiedScope()}, confidential.WithSilentAccount(account))
	if err != nil {
		return nil, explainFailure(op, err)
	}
	if raw := result.IDToken.RawToken; raw != "" {
		// OpenID Connect Core §12.2: the same person, and no nonce is expected.
		id, err := c.checkIDToken(ctx, raw)
		if err != nil {
			return nil, fmt.Errorf("%s: check ID token: %w", op, err)
		}
		if id.Tenant != kept.Tenant || id.Object != kept.Object {
			return nil, fmt.Errorf("%s: %w", op, otherPerson())
		}
	}
	return c.settle(ctx, op, result, store, kept.Tenant, kept.Object)
}

// AccessToken is the access token for this application that a State holds. It may have ended: see Token.Expires.
func (c *Client) AccessToken(state State) (Token, error) {
	kept, err := openState(state)
	if err != nil {
		return Token{}, err
	}
	return kept.token(), nil
}

// settle makes a SignIn of what MSAL returned, once the access token is found good and of the person expected.
func (c *Client) settle(ctx context.Context, op string, result confidential.AuthResult, store *sessionCache, tenant, object string) (*SignIn, error) {
	verified, err := c.verifier.Verify(ctx, result.AccessToken)
	if err != nil {
		return nil, fmt.Errorf("%s: check access token: %w", op, err)
	}
	if verified.Identity.Tenant != tenant || verified.Identity.Object != object {
		return nil, fmt.Errorf("%s: %w", op, otherPerson())
	}
	refreshable, ok := store.refreshable()
	if !ok {
		return nil, &Error{Op: op, Reason: Misuse, Remedy: "Entra gave no refresh token: let the application have offline_access."}
	}
	state, err := session{
		Version: sessionVersion, Tenant: tenant, Object: object, Account: result.Account.HomeAccountID,
		Access: result.AccessToken, Expires: verified.Expires.Unix(), Cache: refreshable,
	}.seal()
	if err != nil {
		return nil, err
	}
	return &SignIn{
		Identity: verified.Identity, State: state,
		Token: NewToken(result.AccessToken, verified.Expires), IDToken: NewToken(result.IDToken.RawToken, time.Time{}),
	}, nil
}

func otherPerson() *Refusal {
	return &Refusal{Check: policy.CheckObject, Wanted: "the person who signed in", Got: "another", Remedy: "Sign in again."}
}

// checkIDToken makes the checks of OpenID Connect Core §3.1.3.7. MSAL makes none.
func (c *Client) checkIDToken(ctx context.Context, raw string) (*claims, error) {
	id, err := c.idTokens.signed(ctx, raw)
	if err != nil {
		return nil, err
	}
	now := c.config.Now()
	for _, check := range c.idTokens.checks {
		if !check.passes(id, now) {
			return nil, check.refusal(id)
		}
	}
	return id, nil
}

// idChecks are the tests of an ID token; the nonce is compared by who knows it.
func (v *Verifier) idChecks() []check {
	return []check{
		{policy.CheckAudience, v.audienceFits, v.explainAudience},
		{policy.CheckIssuer, v.issuerFits, v.explainIssuer},
		{policy.CheckTenant, v.tenantFits, v.explainTenant},
		{policy.CheckExpiry, v.notExpired, v.explainExpiry},
		{policy.CheckNotBefore, v.alreadyValid, v.explainNotBefore},
		{policy.CheckObject, objectFits, explainObject},
	}
}

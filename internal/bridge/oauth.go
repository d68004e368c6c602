package bridge

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/genkan-mcp/genkan/internal/oauth"
)

// clientName is what people read on the consent page.
const clientName = "Genkan connect"

// errSignInEnded means that a refresh can't help any more.
var errSignInEnded = errors.New("the sign-in has ended")

// signIn asks the person.
func (a *access) signIn(ctx context.Context, t *target, stored *record, scopes []string, c *challenge) (*record, error) {
	ctx, cancel := context.WithTimeout(ctx, a.options.SignIn.Timeout)
	defer cancel()
	if t.kind == entraTenant {
		return a.signInEntra(ctx, t, scopes, c)
	}
	next, err := a.signInOAuth(ctx, t, stored, scopes, c)
	if err != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return nil, a.nobodyCame()
	}
	return next, err
}

func (a *access) nobodyCame() error {
	return fmt.Errorf("nobody signed in to %s within %s; try again to get a new sign-in page, or allow more time with --sign-in-timeout",
		a.options.Server, a.options.SignIn.Timeout)
}

func (a *access) signInOAuth(ctx context.Context, t *target, stored *record, scopes []string, c *challenge) (*record, error) {
	if a.options.SignIn.useCode() {
		endpoint, err := a.deviceEndpoint(ctx, t)
		if err != nil {
			return nil, err
		}
		if endpoint != "" {
			return a.signInByDevice(ctx, t, stored, scopes, endpoint)
		}
		if a.options.SignIn.DeviceCode {
			a.log.Warn("the authorization server has no device codes, so a browser on this machine is needed", "issuer", t.issuer)
		}
	}
	back, err := a.listen(ctx, stored)
	if err != nil {
		return nil, err
	}
	defer back.close()
	next, err := a.client(ctx, t, stored, back.redirect)
	if err != nil {
		return nil, err
	}
	next.Requested = scopes
	verifier, state := oauth2.GenerateVerifier(), rand.Text()
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(verifier), resourceParam(t)}
	if claims := decodeClaims(c.claims); claims != "" {
		options = append(options, oauth2.SetAuthURLParam("claims", claims))
	}
	back.expect(state, func(iss string) error { return checkIssuer(t.meta, iss) })
	config := next.config(t)
	withdraw, declined := a.person.openPage(ctx, config.AuthCodeURL(state, options...))
	defer withdraw()
	answer, err := back.await(ctx, declined)
	if err != nil {
		return nil, err
	}
	token, err := config.Exchange(a.withClient(ctx), answer.code, oauth2.VerifierOption(verifier), resourceParam(t))
	if err != nil {
		err = fmt.Errorf("redeem the code at %s: %w", t.issuer, tokenError(err))
	}
	answer.finish(err)
	if err != nil {
		return nil, err
	}
	return next.with(token, a.options.Now()), nil
}

func resourceParam(t *target) oauth2.AuthCodeOption {
	return oauth2.SetAuthURLParam("resource", t.resource)
}

func (a *access) withClient(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, a.http)
}

// checkIssuer compares byte by byte, also where the server did not announce it (RFC 9207 §2.4, and 2026-07-28,
// Authorization §Authorization Response Validation).
func checkIssuer(m *oauthex.AuthServerMeta, iss string) error {
	switch {
	case iss == "" && m.AuthorizationResponseIssParameterSupported:
		return fmt.Errorf("the sign-in answer does not say which authorization server it comes from, though %s promises to: refused", m.Issuer)
	case iss != "" && iss != m.Issuer:
		return fmt.Errorf("the sign-in answer comes from another authorization server (%q) than the one that was asked (%q): refused",
			oneLine(iss), m.Issuer)
	}
	return nil
}

// client finds the client that this program is at the authorization server: the one that was given, a metadata
// document, the one registered earlier, or a new registration (2026-07-28, Client Registration).
func (a *access) client(ctx context.Context, t *target, stored *record, redirect string) (*record, error) {
	next := &record{
		Server: a.options.Server, Authority: oauthServer, Issuer: t.issuer, Resource: t.resource, Redirect: redirect,
		TokenURL: t.meta.TokenEndpoint, RevokeURL: t.meta.RevocationEndpoint,
	}
	o := a.options.SignIn
	switch {
	case o.ClientID != "":
		next.ClientID, next.ClientSecret = o.ClientID, o.ClientSecret.Reveal()
		next.AuthStyle = authStyle("", next.ClientSecret, t.meta.TokenEndpointAuthMethodsSupported)
	case o.ClientMetadata != "" && t.meta.ClientIDMetadataDocumentSupported:
		next.ClientID, next.AuthStyle = o.ClientMetadata, oauth2.AuthStyleInParams
	case stored != nil && stored.Registered && stored.Redirect == redirect && !stored.secretExpired(a.options.Now()):
		next.ClientID, next.ClientSecret, next.SecretExpires = stored.ClientID, stored.ClientSecret, stored.SecretExpires
		next.AuthStyle, next.Registered = stored.AuthStyle, true
	case t.meta.RegistrationEndpoint != "":
		return next, a.register(ctx, t, next)
	default:
		return nil, fmt.Errorf("the authorization server %s registers no clients: ask who runs it for a client ID and pass it with --client-id", t.issuer)
	}
	return next, nil
}

func (r *record) secretExpired(now time.Time) bool {
	return !r.SecretExpires.IsZero() && now.After(r.SecretExpires)
}

// register registers a client (RFC 7591).
func (a *access) register(ctx context.Context, t *target, next *record) error {
	supported := t.meta.TokenEndpointAuthMethodsSupported
	method := oauth.AuthNone
	if len(supported) > 0 && !slices.Contains(supported, method) {
		method = ""
		for _, m := range []string{oauth.AuthPost, oauth.AuthBasic} {
			if method == "" && slices.Contains(supported, m) {
				method = m
			}
		}
	}
	answer, err := oauthex.RegisterClient(ctx, t.meta.RegistrationEndpoint, &oauthex.ClientRegistrationMetadata{
		RedirectURIs:            []string{next.Redirect},
		TokenEndpointAuthMethod: method,
		GrantTypes:              []string{oauth.GrantCode, oauth.GrantRefresh},
		ResponseTypes:           []string{"code"},
		ClientName:              clientName,
		ApplicationType:         "native",
	}, a.http)
	if err != nil {
		return fmt.Errorf("register at %s: %s", t.issuer, oneLine(err.Error()))
	}
	next.Registered, next.ClientID, next.ClientSecret = true, answer.ClientID, answer.ClientSecret
	next.SecretExpires = answer.ClientSecretExpiresAt
	if answer.TokenEndpointAuthMethod != "" {
		method = answer.TokenEndpointAuthMethod
	}
	next.AuthStyle = authStyle(method, answer.ClientSecret, supported)
	return nil
}

// authStyle says how the client shows itself at the token endpoint: as agreed, else as the server prefers, else
// as RFC 8414 §2 assumes. Without a secret there is nothing to show but the client ID.
func authStyle(agreed, secret string, supported []string) oauth2.AuthStyle {
	switch {
	case secret == "", agreed == oauth.AuthPost, agreed == oauth.AuthNone:
		return oauth2.AuthStyleInParams
	case agreed == "" && slices.Contains(supported, oauth.AuthPost) && !slices.Contains(supported, oauth.AuthBasic):
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

func (r *record) config(t *target) *oauth2.Config {
	return &oauth2.Config{
		ClientID: r.ClientID, ClientSecret: r.ClientSecret, RedirectURL: r.Redirect, Scopes: r.Requested,
		Endpoint: oauth2.Endpoint{AuthURL: t.meta.AuthorizationEndpoint, TokenURL: r.TokenURL, AuthStyle: r.AuthStyle},
	}
}

// with takes over a token answer. What it doesn't say stays: scopes are those that were asked for (RFC 6749
// §5.1), and a refresh token lives on (§6).
func (r *record) with(token *oauth2.Token, now time.Time) *record {
	next := *r
	next.AccessToken, next.Issued, next.Expires = token.AccessToken, now, time.Time{}
	if !token.Expiry.IsZero() {
		next.Expires = now.Add(time.Until(token.Expiry)) // by our clock
	}
	if token.RefreshToken != "" {
		next.RefreshToken = token.RefreshToken
	}
	if granted, ok := token.Extra("scope").(string); ok {
		next.Granted = strings.Fields(granted)
	} else if next.Granted == nil {
		next.Granted = next.Requested
	}
	return &next
}

// refresh gets a new access token without the person.
func (a *access) refresh(ctx context.Context, r *record) (*record, error) {
	if r.Authority == entraTenant {
		return a.refreshEntra(ctx, r)
	}
	if r.RefreshToken == "" {
		return nil, fmt.Errorf("%w: there is no refresh token", errSignInEnded)
	}
	// oauth2's own refresh can't send the resource, which MCP demands in every token request; this part of it can
	// send any grant.
	config := clientcredentials.Config{
		ClientID: r.ClientID, ClientSecret: r.ClientSecret, TokenURL: r.TokenURL, AuthStyle: r.AuthStyle,
		EndpointParams: url.Values{
			"grant_type": {oauth.GrantRefresh}, "refresh_token": {r.RefreshToken}, "resource": {r.Resource},
		},
	}
	token, err := config.Token(a.withClient(ctx))
	if err != nil {
		return nil, fmt.Errorf("refresh at %s: %w", r.Issuer, tokenError(err))
	}
	return r.with(token, a.options.Now()), nil
}

// tokenError sorts the failures of a token endpoint. None of its words holds a token: it quotes the error and
// its description, never the body.
func tokenError(err error) error {
	answer := (*oauth2.RetrieveError)(nil)
	if !errors.As(err, &answer) {
		return unreachable(err)
	}
	text := oneLine(answer.ErrorCode + " " + answer.ErrorDescription)
	switch oauth.Code(answer.ErrorCode) {
	case oauth.InvalidGrant, oauth.InvalidClient, oauth.UnauthorizedClient, oauth.InvalidTarget, oauth.InvalidScope:
		return fmt.Errorf("%w: %s", errSignInEnded, text)
	default:
	}
	if status := answer.Response.StatusCode; text == "" || status >= http.StatusInternalServerError {
		return fmt.Errorf("the authorization server has trouble (it answered %d %s); try again later", status, text)
	}
	return fmt.Errorf("the authorization server refused: %s", text)
}

package authserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/internal/store"
)

const (
	assertionKind = "assertion"
	// assertionLife is how far ahead an assertion may expire: so long its ID must be remembered.
	assertionLife = 10 * time.Minute
	assertionSkew = time.Minute
)

// algorithms are those that a client may sign with: asymmetric ones only.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.PS256, jose.RS256, jose.EdDSA}
}

func assertionAlgorithms() []string {
	var names []string
	for _, algorithm := range algorithms() {
		names = append(names, string(algorithm))
	}
	return names
}

// assertionSubject reads who an assertion speaks of, before anything of it is believed.
func assertionSubject(raw string) (string, error) {
	malformed := oauth.Refuse(oauth.InvalidClient, "the client assertion is malformed")
	token, err := jwt.ParseSigned(raw, algorithms())
	if err != nil {
		return "", malformed.Because(err)
	}
	var claims jwt.Claims
	if err := token.UnsafeClaimsWithoutVerification(&claims); err != nil {
		return "", malformed.Because(err)
	}
	if claims.Subject == "" {
		return "", oauth.Refuse(oauth.InvalidClient, "the client assertion has no subject")
	}
	return claims.Subject, nil
}

// checkAssertion judges a private_key_jwt (RFC 7523 §3): signed by a key of the client, from it and about it, made
// for us, short-lived, and never seen before.
func (a *AuthServer) checkAssertion(ctx context.Context, c *client, raw string) error {
	refused := oauth.Refuse(oauth.InvalidClient, "the client assertion is not valid")
	token, err := jwt.ParseSigned(raw, algorithms())
	if err != nil || len(token.Headers) != 1 {
		return refused.Because(err)
	}
	var claims jwt.Claims
	if err := a.verifyAssertion(c, token, &claims); err != nil {
		return refused.Because(err)
	}
	now := a.Now()
	expected := jwt.Expected{Issuer: c.id, Subject: c.id, AnyAudience: jwt.Audience{a.Issuer, a.Issuer + "/token"}, Time: now}
	if err := claims.ValidateWithLeeway(expected, assertionSkew); err != nil {
		return refused.Because(err)
	}
	if claims.Expiry == nil || claims.Expiry.Time().After(now.Add(assertionLife+assertionSkew)) {
		return oauth.Refuse(oauth.InvalidClient, "the client assertion must expire within %v", assertionLife)
	}
	if claims.ID == "" {
		return oauth.Refuse(oauth.InvalidClient, "the client assertion has no jti")
	}
	err = a.Store.Create(ctx, store.Record{
		Kind: assertionKind, ID: digest("assertion", c.id, claims.ID), Expires: claims.Expiry.Time().Add(2 * assertionSkew),
	})
	if errors.Is(err, store.ErrExists) {
		return oauth.Refuse(oauth.InvalidClient, "the client assertion was used before")
	}
	if err != nil {
		return fmt.Errorf("remember assertion: %w: %w", errStore, err)
	}
	return nil
}

// verifyAssertion tries the client's keys that the header may mean. Keys and addresses of keys in the header are
// never looked at.
func (a *AuthServer) verifyAssertion(c *client, token *jwt.JSONWebToken, claims *jwt.Claims) error {
	header := token.Headers[0]
	keys := c.keys.Keys
	if header.KeyID != "" {
		keys = c.keys.Key(header.KeyID)
	}
	for _, key := range keys {
		if key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		if key.Use != "" && key.Use != "sig" {
			continue
		}
		if token.Claims(key.Key, claims) == nil {
			return nil
		}
	}
	return errors.New("no key of the client made the signature")
}

// parseKeys reads a client's public keys.
func parseKeys(raw []byte) (*jose.JSONWebKeySet, error) {
	if err := oauth.CheckPublicKeys(raw); err != nil {
		return nil, err
	}
	set := &jose.JSONWebKeySet{}
	if err := json.Unmarshal(raw, set); err != nil {
		return nil, oauth.Refuse(oauth.InvalidClientMetadata, "jwks holds a key that can't be read").Because(err)
	}
	for _, key := range set.Keys {
		if !key.Valid() || !key.IsPublic() {
			return nil, oauth.Refuse(oauth.InvalidClientMetadata, "jwks holds a key that can't be used")
		}
	}
	return set, nil
}

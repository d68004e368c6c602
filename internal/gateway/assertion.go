package gateway

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/genkan-mcp/genkan/internal/upstream"
	"github.com/genkan-mcp/genkan/policy"
)

// Signer signs assertions; SigningKeys is one.
type Signer interface {
	// Sign makes a compact JWT of these claims, with this "typ".
	Sign(typ string, claims []byte) (string, error)
}

// identityLife is how long a signed identity is good for: long enough for one call to begin.
const identityLife = time.Minute

// SignedIdentity shows the server behind who calls, in a JWT that only the door can sign and that is good for this
// server only (RFC 9068 §2). The server verifies it with the keys at the door's /jwks.
type SignedIdentity struct {
	issuer   string
	audience string
	signer   Signer
	now      func() time.Time
	made     *recent
}

// NewSignedIdentity makes the credential. The issuer is the public URL, the audience names the server behind.
func NewSignedIdentity(issuer, audience string, signer Signer, now func() time.Time) (*SignedIdentity, error) {
	if issuer == "" || audience == "" || signer == nil || now == nil {
		return nil, errors.New("gateway: a signed identity needs an issuer, an audience, a signer and a clock")
	}
	return &SignedIdentity{issuer: issuer, audience: audience, signer: signer, now: now, made: newRecent(identityLife / 2)}, nil
}

// Show gives the signed identity. Calls of one caller share one for half its life: signing costs more than all
// the rest of the door.
func (s *SignedIdentity) Show(_ context.Context, c Caller) (upstream.Credential, error) {
	key := identityKey(&c.Identity)
	now := s.now()
	if shown, ok := s.made.find(key, now); ok {
		return shown, nil
	}
	return s.sign(key, c, now)
}

// Renew signs anew.
func (s *SignedIdentity) Renew(_ context.Context, c Caller, _ []string) (upstream.Credential, error) {
	return s.sign(identityKey(&c.Identity), c, s.now())
}

// identityClaims are the claims of RFC 9068 §2.2, and Entra's names for who calls.
type identityClaims struct {
	Issuer    string      `json:"iss"`
	Audience  string      `json:"aud"`
	Subject   string      `json:"sub"`
	Client    string      `json:"client_id"`
	Expiry    int64       `json:"exp"`
	NotBefore int64       `json:"nbf"`
	IssuedAt  int64       `json:"iat"`
	ID        string      `json:"jti"`
	Tenant    string      `json:"tid"`
	Object    string      `json:"oid"`
	Kind      policy.Kind `json:"kind"`
	Scope     string      `json:"scope"`
	Roles     []string    `json:"roles"`
	Name      string      `json:"name,omitempty"`
	Username  string      `json:"preferred_username,omitempty"`
}

func (s *SignedIdentity) sign(key string, c Caller, now time.Time) (upstream.Credential, error) {
	id := c.Identity
	roles := id.Roles
	if roles == nil {
		roles = []string{}
	}
	claims, err := json.Marshal(identityClaims{
		Issuer: s.issuer, Audience: s.audience, Subject: id.Key(), Client: id.Client,
		Expiry: now.Add(identityLife).Unix(), NotBefore: now.Unix(), IssuedAt: now.Unix(), ID: rand.Text(),
		Tenant: id.Tenant, Object: id.Object, Kind: id.Kind, Scope: strings.Join(id.Scopes, " "), Roles: roles,
		Name: id.Name, Username: id.Username,
	})
	if err != nil {
		return upstream.Credential{}, fmt.Errorf("sign identity: %w", err)
	}
	token, err := s.signer.Sign("at+jwt", claims)
	if err != nil {
		return upstream.Credential{}, fmt.Errorf("sign identity: %w", err)
	}
	shown := bearerCredential(token)
	s.made.keep(key, shown, now, now.Add(identityLife))
	return shown, nil
}

// identityKey is everything that the claims say of an identity, so that a changed role is never signed as the old.
func identityKey(id *policy.Identity) string {
	var b strings.Builder
	write := func(parts ...string) {
		for _, p := range parts {
			b.WriteString(p)
			b.WriteByte(0)
		}
		b.WriteByte(1)
	}
	write(id.Tenant, id.Object, string(id.Kind), id.Client, id.Name, id.Username)
	write(id.Roles...)
	write(id.Scopes...)
	return b.String()
}

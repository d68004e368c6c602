package entratest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// bearer is an access token of this tenant, checked.
type bearer struct {
	Audience string   `json:"aud"`
	Issuer   string   `json:"iss"`
	Expires  int64    `json:"exp"`
	From     int64    `json:"nbf"`
	Issued   int64    `json:"iat"`
	Object   string   `json:"oid"`
	Tenant   string   `json:"tid"`
	Scopes   string   `json:"scp"`
	Roles    []string `json:"roles"`
	AppID    string   `json:"appid"`
	AZP      string   `json:"azp"`
	Subject  string   `json:"sub"`
	Version  string   `json:"ver"`
	ID       string   `json:"uti"`
}

// client is who holds the token.
func (b *bearer) client() string { return orElse(b.AZP, b.AppID) }

// may says whether the token carries one of these permissions, delegated or its own.
func (b *bearer) may(permissions ...string) bool {
	scopes := strings.Fields(b.Scopes)
	return slices.ContainsFunc(permissions, func(p string) bool {
		return slices.Contains(scopes, p) || slices.Contains(b.Roles, p)
	})
}

// errExpired says that a token is genuine and too old.
var errExpired = errors.New("lifetime validation failed, the token is expired")

// open checks an access token of this tenant: signature and lifetime, not the audience. Signing
// happens with the keys that are published now.
func (t *Tenant) open(token string) (*bearer, error) {
	token, err := unseal(token)
	if err != nil {
		return nil, err
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return nil, fmt.Errorf("read the token: %w", err)
	}
	payload, err := t.verify(jws)
	if err != nil {
		return nil, err
	}
	b := new(bearer)
	if err := json.Unmarshal(payload, b); err != nil {
		return nil, fmt.Errorf("read the token: %w", err)
	}
	if b.Tenant != t.TenantID {
		return nil, fmt.Errorf("the token is of tenant %q", b.Tenant)
	}
	if now := t.now(); !now.Before(time.Unix(b.Expires, 0)) {
		return b, errExpired
	}
	return b, nil
}

func (t *Tenant) verify(jws *jose.JSONWebSignature) ([]byte, error) {
	t.mu.Lock()
	keys := slices.Clone(t.keys)
	t.mu.Unlock()
	for _, k := range keys {
		if k.kid == jws.Signatures[0].Header.KeyID {
			return jws.Verify(&k.private.PublicKey)
		}
	}
	return nil, errors.New("signing key is invalid")
}

// unseal undoes what makes a Graph token unverifiable for others.
func unseal(token string) (string, error) {
	head, _, ok := strings.Cut(token, ".")
	if !ok {
		return "", errors.New("the token is no JWT")
	}
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return "", errors.New("the token is no JWT")
	}
	var header struct {
		Nonce string `json:"nonce"`
	}
	if err := json.Unmarshal(raw, &header); err != nil || header.Nonce == "" {
		return token, nil //nolint:nilerr // go-jose says what is wrong with the header
	}
	return swapNonce(token, hashedNonce(header.Nonce))
}

// authorization is the bearer token of a request, or "".
func authorization(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

package samples

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/modelcontextprotocol/go-sdk/auth"
)

// Door is what a server behind Genkan has to know to believe the identity that Genkan signs.
type Door struct {
	Issuer   string           // Genkan's public address
	JWKS     string           // where Genkan publishes its keys
	Audience string           // this server, as Genkan names it in the assertion
	Tenant   string           // the tenant whose people may come
	Scope    string           // what the client must have been granted
	HTTP     *http.Client     // fetches the keys
	Now      func() time.Time // judges the times
}

// claims are those of the signed identity: an RFC 9068 access token with Entra's tid and oid.
type claims struct {
	Issuer    string           `json:"iss"`
	Audience  jwt.Audience     `json:"aud"`
	Expiry    *jwt.NumericDate `json:"exp"`
	NotBefore *jwt.NumericDate `json:"nbf"`
	Tenant    string           `json:"tid"`
	Object    string           `json:"oid"`
	Client    string           `json:"client_id"`
	Scope     string           `json:"scope"`
	Roles     []string         `json:"roles"`
	Name      string           `json:"name"`
	Username  string           `json:"preferred_username"`
}

// verdict is one of the eight checks, as get_user_info reports it.
type verdict struct {
	Check  string `json:"check"`
	Wanted string `json:"wanted"`
	Got    string `json:"got"`
	Passed bool   `json:"passed"`
}

// verified is what a request carries after the checks.
type verified struct {
	claims   claims
	verdicts []verdict
}

// verifier believes Genkan's signed identity and nothing else.
type verifier struct {
	door Door
	mu   sync.Mutex // guards keys
	keys *jose.JSONWebKeySet
}

// verify implements auth.TokenVerifier: the signature first, then the eight checks.
func (v *verifier) verify(ctx context.Context, token string, _ *http.Request) (*auth.TokenInfo, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, fmt.Errorf("%w: it is no signed identity", auth.ErrInvalidToken)
	}
	key, err := v.key(ctx, parsed.Headers[0].KeyID)
	if err != nil {
		return nil, err
	}
	var c claims
	if err := parsed.Claims(key, &c); err != nil {
		return nil, fmt.Errorf("%w: the signature is wrong", auth.ErrInvalidToken)
	}
	verdicts := v.door.check(c)
	for _, one := range verdicts {
		if !one.Passed {
			return nil, fmt.Errorf("%w: %s: wanted %s, got %s", auth.ErrInvalidToken, one.Check, one.Wanted, one.Got)
		}
	}
	return &auth.TokenInfo{
		Scopes: strings.Fields(c.Scope), Expiration: c.Expiry.Time(), UserID: c.Tenant + "/" + c.Object,
		Extra: map[string]any{"verified": verified{claims: c, verdicts: verdicts}},
	}, nil
}

// check runs the eight checks. Each verdict says what was wanted and what came.
func (d Door) check(c claims) []verdict {
	now := d.Now()
	at := func(t *jwt.NumericDate) string {
		if t == nil {
			return "none"
		}
		return t.Time().UTC().Format(time.RFC3339)
	}
	return []verdict{
		{"audience", d.Audience, strings.Join(c.Audience, " "), len(c.Audience) == 1 && c.Audience[0] == d.Audience},
		{"issuer", d.Issuer, c.Issuer, c.Issuer == d.Issuer},
		{"tenant", d.Tenant, c.Tenant, c.Tenant == d.Tenant},
		{"expiry", "after " + now.UTC().Format(time.RFC3339), at(c.Expiry), c.Expiry != nil && now.Before(c.Expiry.Time())},
		{"not_before", "not after " + now.UTC().Format(time.RFC3339), at(c.NotBefore), c.NotBefore != nil && !now.Add(5*time.Second).Before(c.NotBefore.Time())},
		{"client", "a client ID", c.Client, c.Client != ""},
		{"object", "an object ID", c.Object, c.Object != ""},
		{"scope", d.Scope, c.Scope, slices.Contains(strings.Fields(c.Scope), d.Scope)},
	}
}

// key finds a public key of Genkan's by its ID, asking again when it is new.
func (v *verifier) key(ctx context.Context, id string) (*jose.JSONWebKey, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for range 2 {
		if v.keys != nil {
			if found := v.keys.Key(id); len(found) == 1 {
				return &found[0], nil
			}
		}
		if err := v.fetch(ctx); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: no key of that ID", auth.ErrInvalidToken)
}

func (v *verifier) fetch(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.door.JWKS, nil)
	if err != nil {
		return fmt.Errorf("ask for the keys: %w", err)
	}
	resp, err := v.door.HTTP.Do(req)
	if err != nil {
		return fmt.Errorf("ask for the keys: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask for the keys: status %d", resp.StatusCode)
	}
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 1<<20)).Decode(&keys); err != nil {
		return fmt.Errorf("read the keys: %w", err)
	}
	v.keys = &keys
	return nil
}

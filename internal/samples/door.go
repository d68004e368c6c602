package samples

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
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
	HTTP     *http.Client     // fetches the keys
	Now      func() time.Time // judges the times

	mu   sync.Mutex // guards keys
	keys *jose.JSONWebKeySet
}

// Guard lets nobody through who did not come through the door: each request needs Genkan's signature (RFC 9068).
// Tools find who calls in the request's TokenInfo.
func (d *Door) Guard(next http.Handler) http.Handler {
	return auth.RequireBearerToken(d.verify, nil)(next)
}

// caller is who calls, as Genkan signed it.
type caller struct {
	Tenant   string `json:"tid"`
	Object   string `json:"oid"`
	Username string `json:"preferred_username"`
	Scope    string `json:"scope"`
}

// verify implements auth.TokenVerifier: the signature, then for whom, from whom and until when.
func (d *Door) verify(ctx context.Context, token string, _ *http.Request) (*auth.TokenInfo, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, fmt.Errorf("%w: it is no signed identity", auth.ErrInvalidToken)
	}
	key, err := d.key(ctx, parsed.Headers[0].KeyID)
	if err != nil {
		return nil, err
	}
	var claims jwt.Claims
	var who caller
	if err := parsed.Claims(key, &claims, &who); err != nil {
		return nil, fmt.Errorf("%w: the signature is wrong", auth.ErrInvalidToken)
	}
	expected := jwt.Expected{Issuer: d.Issuer, AnyAudience: jwt.Audience{d.Audience}, Time: d.Now()}
	if err := claims.ValidateWithLeeway(expected, 5*time.Second); err != nil {
		return nil, fmt.Errorf("%w: %w", auth.ErrInvalidToken, err)
	}
	if len(claims.Audience) != 1 {
		return nil, fmt.Errorf("%w: it is for several servers", auth.ErrInvalidToken)
	}
	if claims.Expiry == nil || who.Object == "" || who.Tenant == "" {
		return nil, fmt.Errorf("%w: it does not say who calls, or until when", auth.ErrInvalidToken)
	}
	return &auth.TokenInfo{
		Scopes: strings.Fields(who.Scope), Expiration: claims.Expiry.Time(), UserID: who.Tenant + "/" + who.Object,
		Extra: map[string]any{"caller": who},
	}, nil
}

// key finds a public key of Genkan's by its ID, asking again when it is new.
func (d *Door) key(ctx context.Context, id string) (*jose.JSONWebKey, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for fresh := range 2 {
		if d.keys == nil || fresh == 1 {
			if err := d.fetch(ctx); err != nil {
				return nil, fmt.Errorf("ask the door for its keys: %w", err)
			}
		}
		if found := d.keys.Key(id); len(found) == 1 {
			return &found[0], nil
		}
	}
	return nil, fmt.Errorf("%w: no key of that ID", auth.ErrInvalidToken)
}

func (d *Door) fetch(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.JWKS, nil)
	if err != nil {
		return err
	}
	resp, err := d.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 1<<20)).Decode(&keys); err != nil {
		return err
	}
	d.keys = &keys
	return nil
}

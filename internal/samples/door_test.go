package samples_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/genkan-mcp/genkan/internal/samples"
)

const (
	issuer   = "http://localhost:8080"
	audience = "http://127.0.0.1:9000/mcp"
)

// keyring signs as the door, and publishes its key.
type keyring struct {
	key *ecdsa.PrivateKey
	id  string
}

func newKeyring(t *testing.T, id string) keyring {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return keyring{key, id}
}

func (k keyring) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: k.key.Public(), KeyID: k.id, Algorithm: "ES256", Use: "sig"}}})
}

func (k keyring) sign(t *testing.T, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: k.key, KeyID: k.id}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestNobodyReachesWeatherPastTheDoor(t *testing.T) {
	ours, other := newKeyring(t, "one"), newKeyring(t, "one")
	keys := httptest.NewServer(ours)
	t.Cleanup(keys.Close)
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	// The go-sdk judges the expiry too, with the clock on the wall.
	far := time.Now().Add(time.Hour).Unix()
	good := map[string]any{
		"iss": issuer, "aud": audience, "exp": far, "nbf": now.Unix(), "tid": "tenant", "oid": "alice", "scope": "mcp",
	}
	with := func(name string, value any) map[string]any {
		c := maps.Clone(good)
		if c[name] = value; value == nil {
			delete(c, name)
		}
		return c
	}
	door := &samples.Door{Issuer: issuer, JWKS: keys.URL, Audience: audience, HTTP: keys.Client(), Now: func() time.Time { return now }}
	guarded := door.Guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for name, test := range map[string]struct {
		token string
		want  int
	}{
		"signed by the door":         {ours.sign(t, good), http.StatusNoContent},
		"nothing":                    {"", http.StatusUnauthorized},
		"no token":                   {"letmein", http.StatusUnauthorized},
		"signed by somebody else":    {other.sign(t, good), http.StatusUnauthorized},
		"a key that nobody has":      {newKeyring(t, "two").sign(t, good), http.StatusUnauthorized},
		"for another server":         {ours.sign(t, with("aud", "http://127.0.0.1:9001/mcp")), http.StatusUnauthorized},
		"from another door":          {ours.sign(t, with("iss", "http://localhost:8081")), http.StatusUnauthorized},
		"ended":                      {ours.sign(t, with("exp", now.Add(-time.Minute).Unix())), http.StatusUnauthorized},
		"without an end":             {ours.sign(t, with("exp", nil)), http.StatusUnauthorized},
		"not yet begun":              {ours.sign(t, with("nbf", now.Add(time.Minute).Unix())), http.StatusUnauthorized},
		"for nobody":                 {ours.sign(t, with("oid", nil)), http.StatusUnauthorized},
		"for somebody of no tenant":  {ours.sign(t, with("tid", nil)), http.StatusUnauthorized},
		"for two servers, ours also": {ours.sign(t, with("aud", []string{audience, "x"})), http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			req := httptest.NewRequest(http.MethodPost, audience, nil)
			if test.token != "" {
				req.Header.Set("Authorization", "Bearer "+test.token)
			}
			answer := httptest.NewRecorder()
			guarded.ServeHTTP(answer, req)
			if answer.Code != test.want {
				t.Errorf("status %d, want %d: %s", answer.Code, test.want, answer.Body)
			}
		})
	}
}

package gateway_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/internal/gateway"
)

func newVerifier(tenant *entratest.Tenant) (*entra.Verifier, error) {
	cloud, err := entra.DevCloud(tenant.URL)
	if err != nil {
		return nil, err
	}
	return entra.NewVerifier(entra.VerifierConfig{
		Cloud: cloud, Tenants: []string{entratest.TenantID}, Audiences: entra.AudiencesOf(entratest.GenkanID),
		Clients: []string{entratest.VSCodeID, entratest.AzureCLIID}, HTTPClient: tenant.Client(), IgnoreGroups: true,
	})
}

// unsigned is a token with the algorithm "none".
func unsigned(claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + encode(payload) + "."
}

// cryptoRand is crypto/rand.
type cryptoRand struct{}

func (cryptoRand) Read(p []byte) (int, error) { return rand.Read(p) }

func keyID(t *testing.T, token string) string {
	t.Helper()
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err, strings.Count(token, "."))
	}
	return parsed.Headers[0].KeyID
}

// verifies says whether a token is good by the keys that the door publishes.
func verifies(t *testing.T, keys *gateway.SigningKeys, token string) bool {
	t.Helper()
	set := keys.Public()
	for _, k := range set.Keys {
		if !k.IsPublic() {
			t.Fatal("a private key is published")
		}
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	found := set.Key(parsed.Headers[0].KeyID)
	var claims map[string]any
	return len(found) == 1 && parsed.Claims(found[0], &claims) == nil
}

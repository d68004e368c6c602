package entra_test

import (
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/genkan-mcp/genkan/entra"
)

const (
	testTenant = "11111111-1111-4111-8111-111111111111"
	testOther  = "22222222-2222-4222-8222-222222222222"
	testAPI    = "33333333-3333-4333-8333-333333333333"
	testClient = "44444444-4444-4444-8444-444444444444"
	testPerson = "55555555-5555-4555-8555-555555555555"

	entraSkew = time.Minute // what a Verifier allows unless told otherwise
)

// rsaKeys are made once: making one costs more than all tests of the verifier together.
var rsaKeys = sync.OnceValue(func() (keys [3]*rsa.PrivateKey) {
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

// keyServer is as much of Entra as a Verifier sees: discovery and keys, and a clock.
type keyServer struct {
	URL     string
	fetches atomic.Int64 // of the key set

	mu     sync.Mutex
	keys   []map[string]any
	jwks   string // where discovery says the keys are; "" is here
	status int
	clock  time.Time
}

func startKeyServer(t testing.TB) *keyServer {
	t.Helper()
	s := &keyServer{status: http.StatusOK, clock: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)}
	s.publish(publicKey("key-0", rsaKeys()[0]))
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

func (s *keyServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status != http.StatusOK {
		w.WriteHeader(s.status)
		return
	}
	if r.URL.Path == "/html" {
		_, _ = w.Write([]byte("<html>"))
		return
	}
	if r.URL.Path == "/nothing" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if r.URL.Path == "/keys" {
		s.fetches.Add(1)
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": s.keys})
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"issuer": s.URL + "/" + testTenant + "/v2.0", "jwks_uri": cmp.Or(s.jwks, s.URL+"/keys")})
}

func (s *keyServer) publish(keys ...map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = keys
}

func (s *keyServer) answer(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

func (s *keyServer) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock
}

func (s *keyServer) advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = s.clock.Add(d)
}

// verifier accepts people's tokens for testAPI from testTenant; change adjusts that.
func (s *keyServer) verifier(t testing.TB, change func(*entra.VerifierConfig)) *entra.Verifier {
	t.Helper()
	cloud, err := entra.DevCloud(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	config := entra.VerifierConfig{
		Cloud: cloud, Tenants: []string{testTenant}, Audiences: entra.AudiencesOf(testAPI),
		Clients: []string{testClient}, Scopes: []string{"access_as_user"}, Now: s.now,
	}
	if change != nil {
		change(&config)
	}
	verifier, err := entra.NewVerifier(config)
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

// claims are those of a good token of version 2; a nil value in changes removes one.
func (s *keyServer) claims(changes map[string]any) map[string]any {
	now := s.now().Unix()
	claims := map[string]any{
		"iss": s.URL + "/" + testTenant + "/v2.0", "aud": testAPI, "tid": testTenant, "oid": testPerson, "ver": "2.0",
		"azp": testClient, "scp": "access_as_user mail.read", "roles": []string{"Weather.Read"}, "name": "Pat",
		"preferred_username": "pat@contoso.example", "iat": now - 10, "nbf": now - 10, "exp": now + 3600, "uti": "abc",
	}
	for name, value := range changes {
		if value == nil {
			delete(claims, name)
		} else {
			claims[name] = value
		}
	}
	return claims
}

// token is a good token, signed with key-0, but for the changes.
func (s *keyServer) token(t testing.TB, changes map[string]any) string {
	t.Helper()
	return sign(t, jose.RS256, rsaKeys()[0], map[string]any{"kid": "key-0"}, s.claims(changes))
}

func sign(t testing.TB, algorithm jose.SignatureAlgorithm, key any, header map[string]any, claims any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return signBytes(t, algorithm, key, header, payload)
}

func signBytes(t testing.TB, algorithm jose.SignatureAlgorithm, key any, header map[string]any, payload []byte) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT")
	for name, value := range header {
		options = options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func publicKey(id string, key *rsa.PrivateKey) map[string]any {
	encoded, err := jose.JSONWebKey{Key: &key.PublicKey, KeyID: id, Use: "sig"}.MarshalJSON()
	if err != nil {
		panic(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(encoded, &fields); err != nil {
		panic(fmt.Sprint("read back a key: ", err))
	}
	return fields
}

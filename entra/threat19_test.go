package entra_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/policy"
)

// hostile is a token made to be taken for a good one, and the check that must stop it.
type hostile struct {
	name  string
	token string
	check policy.Check
}

// Each of these is the good token of TestVerify..., but for one lie. The good one is verified first, so that no
// other fault can hide a missing defence.
func TestThreat19_HostileTokensAreRefused(t *testing.T) {
	server := startKeyServer(t)
	server.publish(publicKey("key-0", rsaKeys()[0]))
	var calls atomic.Int64
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	t.Cleanup(trap.Close)
	all := append(forgedSignatures(t, server, trap.URL), liesInClaims(t, server)...)
	if len(all) < 20 {
		t.Fatalf("want at least 20 hostile tokens, got %d", len(all))
	}
	for _, h := range all {
		t.Run(h.name, func(t *testing.T) {
			verifier := server.verifier(t, nil)
			wantVerified(t, verifier, server.token(t, nil))
			for range 2 { // the second time it is no stranger
				_, err := verifier.Verify(t.Context(), h.token)
				wantRefusal(t, err, h.check)
			}
		})
	}
	if got := calls.Load(); got != 0 {
		t.Errorf("addresses in tokens were called %d times, want never", got)
	}
}

func forgedSignatures(t *testing.T, server *keyServer, trap string) []hostile {
	good, kid := server.claims(nil), map[string]any{"kid": "key-0"}
	attacker := rsaKeys()[1]
	with := func(extra map[string]any) map[string]any {
		header := maps.Clone(kid)
		maps.Copy(header, extra)
		return header
	}
	embedded := jose.JSONWebKey{Key: &attacker.PublicKey, KeyID: "key-0", Algorithm: "RS256", Use: "sig"}
	header, payload, signature := parts(server.token(t, nil))
	elevated := encode(t, server.claims(map[string]any{"roles": []string{"Weather.Write"}}))
	return []hostile{
		{"alg none", encode(t, with(map[string]any{"alg": "none"})) + "." + payload + ".", policy.CheckSignature},
		{"alg NoNe", encode(t, with(map[string]any{"alg": "NoNe"})) + "." + payload + ".", policy.CheckSignature},
		{"alg none with the signature", encode(t, with(map[string]any{"alg": "none"})) + "." + payload + "." + signature, policy.CheckSignature},
		{"no alg", encode(t, kid) + "." + payload + "." + signature, policy.CheckSignature},
		{"HMAC with the public key in PEM", sign(t, jose.HS256, publicPEM(t), kid, good), policy.CheckSignature},
		{"HMAC with the public key in DER", sign(t, jose.HS256, publicDER(t), kid, good), policy.CheckSignature},
		{"RS512, which Entra does not use", sign(t, jose.RS512, rsaKeys()[0], kid, good), policy.CheckSignature},
		{"PS256, which Entra does not use", sign(t, jose.PS256, rsaKeys()[0], kid, good), policy.CheckSignature},
		{"attacker's key under Entra's ID", sign(t, jose.RS256, attacker, kid, good), policy.CheckSignature},
		{"attacker's key under no ID", sign(t, jose.RS256, attacker, nil, good), policy.CheckSignature},
		{"Entra's key under no ID", sign(t, jose.RS256, rsaKeys()[0], nil, good), policy.CheckSignature},
		{"embedded jwk", sign(t, jose.RS256, attacker, with(map[string]any{"jwk": embedded}), good), policy.CheckSignature},
		{"jku", sign(t, jose.RS256, attacker, with(map[string]any{"jku": trap}), good), policy.CheckSignature},
		{"x5u", sign(t, jose.RS256, attacker, with(map[string]any{"x5u": trap}), good), policy.CheckSignature},
		{"unknown critical header", sign(t, jose.RS256, rsaKeys()[0], with(map[string]any{"crit": []string{"exp"}, "exp": 1}), good), policy.CheckSignature},
		{"other claims under the signature", header + "." + elevated + "." + signature, policy.CheckSignature},
		{"empty signature", header + "." + payload + ".", policy.CheckSignature},
		{"signature of zeros", header + "." + payload + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 256)), policy.CheckSignature},
		{"five parts, encrypted", strings.Repeat("e30.", 4) + "e30", policy.CheckToken},
		{"JSON serialization", `{"payload":"` + payload + `","protected":"` + header + `","signature":"` + signature + `"}`, policy.CheckToken},
		{"white space around", " " + server.token(t, nil) + "\n", policy.CheckToken},
		{"with the word Bearer", "Bearer " + server.token(t, nil), policy.CheckToken},
		{"opaque", "gka_0123456789", policy.CheckToken},
		{"nothing", "", policy.CheckToken},
	}
}

func liesInClaims(t *testing.T, server *keyServer) []hostile {
	twice := bytes.Replace(mustJSON(t, server.claims(nil)), []byte(`"oid":`), []byte(`"oid":"`+testOther+`","oid":`), 1)
	otherCase := bytes.Replace(mustJSON(t, server.claims(nil)), []byte(`"oid":`), []byte(`"OID":`), 1)
	lies := []hostile{
		{"a claim given twice", signBytes(t, jose.RS256, rsaKeys()[0], map[string]any{"kid": "key-0"}, twice), policy.CheckToken},
		{"a claim in another case", signBytes(t, jose.RS256, rsaKeys()[0], map[string]any{"kid": "key-0"}, otherCase), policy.CheckObject},
		{"claims that are a list", signBytes(t, jose.RS256, rsaKeys()[0], map[string]any{"kid": "key-0"}, []byte(`[]`)), policy.CheckToken},
		{"claims that are null", signBytes(t, jose.RS256, rsaKeys()[0], map[string]any{"kid": "key-0"}, []byte(`null`)), policy.CheckAudience},
	}
	for name, lie := range map[string]struct {
		changes map[string]any
		check   policy.Check
	}{
		"no expiry":                    {map[string]any{"exp": nil}, policy.CheckExpiry},
		"expiry null":                  {map[string]any{"exp": json.RawMessage("null")}, policy.CheckExpiry},
		"not-before in the future":     {map[string]any{"nbf": server.now().Unix() + 3600}, policy.CheckNotBefore},
		"issuer with a prefix of ours": {map[string]any{"iss": server.URL + ".evil.example/" + testTenant + "/v2.0"}, policy.CheckIssuer},
		"issuer with ours as a suffix": {map[string]any{"iss": "https://evil.example/" + server.URL + "/" + testTenant + "/v2.0"}, policy.CheckIssuer},
		"audience with ours as prefix": {map[string]any{"aud": "api://" + testAPI + ".evil.example"}, policy.CheckAudience},
		"audience list with ours":      {map[string]any{"aud": []string{"api://evil", testAPI}}, policy.CheckAudience},
		"another tenant":               {map[string]any{"tid": testOther, "iss": server.URL + "/" + testOther + "/v2.0"}, policy.CheckIssuer},
		"another tenant, version 1": {map[string]any{"tid": testOther, "iss": "https://sts.windows.net/" + testOther + "/", "ver": "1.0",
			"appid": testClient, "azp": nil}, policy.CheckIssuer},
		"personal account":         {map[string]any{"tid": "9188040d-6c67-4c5b-b112-36a304b66dad"}, policy.CheckTenant},
		"application for a person": {map[string]any{"scp": nil, "roles": []string{"Weather.Write"}}, policy.CheckKind},
		"application with a scope": {map[string]any{"idtyp": "app"}, policy.CheckKind},
		"ID token":                 {map[string]any{"scp": nil, "azp": nil, "nonce": "n"}, policy.CheckClient},
		"token for Graph":          {map[string]any{"aud": "https://graph.microsoft.com"}, policy.CheckAudience},
	} {
		lies = append(lies, hostile{name, server.token(t, lie.changes), lie.check})
	}
	return lies
}

func TestATokenForGraphIsToldApart(t *testing.T) {
	server := startKeyServer(t)
	// Graph's tokens carry a nonce in their header that only Graph can undo: to everybody else the signature is bad.
	nonce := sha256.Sum256([]byte("nonce"))
	token := sign(t, jose.RS256, rsaKeys()[1], map[string]any{"kid": "key-0", "nonce": base64.RawURLEncoding.EncodeToString(nonce[:])},
		server.claims(map[string]any{"aud": "https://graph.microsoft.com"}))
	_, err := server.verifier(t, nil).Verify(t.Context(), token)
	wantRefusal(t, err, policy.CheckSignature)
	if !strings.Contains(err.Error(), "Microsoft Graph") {
		t.Errorf("want a word about Microsoft Graph, got %q", err)
	}
}

func FuzzVerify(f *testing.F) {
	server := startKeyServer(f)
	verifier := server.verifier(f, nil)
	good := server.token(f, nil)
	header, payload, signature := parts(good)
	for _, seed := range []string{
		"", ".", "..", good, good[:len(good)-1], header + "." + payload + ".", "e30.e30.", header + ".bnVsbA." + signature,
		`eyJhbGciOiJub25lIn0.` + payload + ".", header + "." + payload + "." + signature + ".x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		verified, err := verifier.Verify(t.Context(), token)
		if err == nil && token != good {
			t.Fatalf("verified a token that nobody signed: %+v", verified)
		}
		if rows := verifier.Explain(t.Context(), token); len(rows) == 0 {
			t.Fatal("the table is empty")
		}
	})
}

// FuzzClaims signs whatever it is given: only what Entra could have written may be accepted.
func FuzzClaims(f *testing.F) {
	server := startKeyServer(f)
	verifier := server.verifier(f, func(c *entra.VerifierConfig) { c.Callers = entra.PeopleAndApplications })
	for _, changes := range []map[string]any{nil, {"aud": []string{testAPI}}, {"exp": 1e30}, {"roles": []string{"\u202e"}}, {"groups": []string{"a\r\nb"}}} {
		f.Add(mustJSON(f, server.claims(changes)))
	}
	f.Add([]byte(`{"aud":{}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		verified, err := verifier.Verify(t.Context(), signBytes(t, jose.RS256, rsaKeys()[0], map[string]any{"kid": "key-0"}, payload))
		if err != nil {
			return
		}
		who := verified.Identity
		if who.Tenant != testTenant || who.Key() == "" || who.Client != testClient || !verified.Expires.After(server.now().Add(-entraSkew)) {
			t.Fatalf("verified %s as %+v", payload, verified)
		}
		if strings.ContainsAny(strings.Join(append(who.Roles, append(who.Groups, who.Name, who.Username)...), ""), "\x00\r\n\x7f") {
			t.Fatalf("control characters in %+v", who)
		}
	})
}

func parts(token string) (header, payload, signature string) {
	p := strings.Split(token, ".")
	return p[0], p[1], p[2]
}

func encode(t testing.TB, v any) string {
	t.Helper()
	return base64.RawURLEncoding.EncodeToString(mustJSON(t, v))
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func publicDER(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&rsaKeys()[0].PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func publicPEM(t testing.TB) []byte {
	t.Helper()
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER(t)})
}

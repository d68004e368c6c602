package entratest_test

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/genkan-mcp/genkan/entratest"
)

// credentialsForm asks for an application token for Graph.
func credentialsForm(pairs ...string) url.Values {
	v := values("grant_type", "client_credentials", "client_id", entratest.GenkanID, "scope", "https://graph.microsoft.com/.default")
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

func TestSecretRefusals(t *testing.T) {
	tenant := entratest.Start(t)
	wantRefusal(t, post(t, tenant, tokenPath, credentialsForm("client_secret", "guess")), 401, "invalid_client", 7000215)
	wantRefusal(t, post(t, tenant, tokenPath, credentialsForm()), 401, "invalid_client", 7000216)
	wantRefusal(t, post(t, tenant, tokenPath, refreshForm("x", "client_secret", "")), 400, "invalid_grant", 70000)
	tenant.ExpireSecrets(entratest.GenkanID)
	wantRefusal(t, post(t, tenant, tokenPath, credentialsForm("client_secret", entratest.GenkanSecret)), 401, "invalid_client", 7000222)
	wantRefusal(t, post(t, tenant, tokenPath, credentialsForm("client_secret", "guess")), 401, "invalid_client", 7000215)
}

func TestSecretEndsOnItsDay(t *testing.T) {
	tenant := entratest.Start(t)
	app(tenant, entratest.GenkanID, func(a *entratest.App) { a.Secrets[0].NotAfter = time.Now().Add(time.Hour) })
	form := credentialsForm("client_secret", entratest.GenkanSecret)
	if got := post(t, tenant, tokenPath, form); got.Status != http.StatusOK {
		t.Fatal(got.Raw)
	}
	tenant.Advance(2 * time.Hour)
	wantRefusal(t, post(t, tenant, tokenPath, form), 401, "invalid_client", 7000222)
}

func TestClientCredentialsWantDefaultOfOneResource(t *testing.T) {
	tenant := entratest.Start(t)
	for scope, c := range map[string]struct {
		oauth string
		code  int
	}{
		"":                                      {"invalid_request", 900144},
		"openid profile":                        {"invalid_scope", 1002012},
		"https://graph.microsoft.com/User.Read": {"invalid_scope", 1002012},
		"https://graph.microsoft.com/.default https://vault.azure.net/.default": {"invalid_scope", 28000},
		"api://nobody/.default": {"invalid_resource", 500011},
	} {
		wantRefusal(t, post(t, tenant, tokenPath, credentialsForm("client_secret", entratest.GenkanSecret, "scope", scope)), 400, c.oauth, c.code)
	}
}

func TestAssignmentRequiredStopsApplicationsWithoutARole(t *testing.T) {
	tenant := entratest.Start(t)
	app(tenant, entratest.SearchID, func(a *entratest.App) { a.AssignmentRequired = true })
	form := credentialsForm("client_secret", entratest.GenkanSecret, "scope", "https://search.azure.com/.default")
	wantRefusal(t, post(t, tenant, tokenPath, form), 400, "invalid_grant", 501051)
}

func TestRegistrationWithoutServicePrincipal(t *testing.T) {
	tenant := entratest.Start(t)
	app(tenant, entratest.GenkanID, func(a *entratest.App) { a.NoPrincipal = true })
	wantRefusal(t, post(t, tenant, tokenPath, credentialsForm("client_secret", entratest.GenkanSecret)), 401, "invalid_client", 7000229)
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// signedAssertion makes a client assertion.
func signedAssertion(t *testing.T, key any, alg jose.SignatureAlgorithm, claims map[string]any, headers map[string]any) string {
	t.Helper()
	opts := new(jose.SignerOptions)
	for k, v := range headers {
		opts.WithHeader(jose.HeaderKey(k), v)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(raw)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func thumbprint256(cert *x509.Certificate) string {
	h := sha256.Sum256(cert.Raw)
	return base64.RawURLEncoding.EncodeToString(h[:])
}

func thumbprint1(cert *x509.Certificate) string {
	h := sha1.Sum(cert.Raw)
	return base64.RawURLEncoding.EncodeToString(h[:])
}

func TestCertificateAssertions(t *testing.T) {
	tenant := entratest.Start(t)
	certs, key := certificateFor(t, tenant)
	strangerCerts, strangerKey := certificateFor(t, entratest.Start(t))
	now := time.Now()
	good := func() map[string]any {
		return map[string]any{"iss": entratest.GenkanID, "sub": entratest.GenkanID, "aud": tenant.URL + tokenPath,
			"exp": now.Add(10 * time.Minute).Unix(), "nbf": now.Unix(), "jti": "1"}
	}
	with := func(name string, value any) map[string]any {
		c := good()
		c[name] = value
		return c
	}
	sha256Header := map[string]any{"x5t#S256": thumbprint256(certs[0])}
	for name, c := range map[string]struct {
		assertion string
		code      int
	}{
		"RS256 and x5t":      {signedAssertion(t, key, jose.RS256, good(), map[string]any{"x5t": thumbprint1(certs[0])}), 0},
		"PS256 and x5t#S256": {signedAssertion(t, key, jose.PS256, good(), sha256Header), 0},
		"audience is issuer": {signedAssertion(t, key, jose.PS256, with("aud", tenant.URL+"/"+entratest.TenantID+"/v2.0"), sha256Header), 0},
		"unknown key":        {signedAssertion(t, strangerKey, jose.PS256, good(), map[string]any{"x5t#S256": thumbprint256(strangerCerts[0])}), 700027},
		"another's key":      {signedAssertion(t, strangerKey, jose.PS256, good(), sha256Header), 700027},
		"no thumbprint":      {signedAssertion(t, key, jose.PS256, good(), nil), 700027},
		"expired":            {signedAssertion(t, key, jose.PS256, with("exp", now.Add(-time.Hour).Unix()), sha256Header), 700024},
		"not yet":            {signedAssertion(t, key, jose.PS256, with("nbf", now.Add(time.Hour).Unix()), sha256Header), 700024},
		"audience":           {signedAssertion(t, key, jose.PS256, with("aud", "https://login.example/token"), sha256Header), 700023},
		"subject":            {signedAssertion(t, key, jose.PS256, with("sub", entratest.GenkanToolsID), sha256Header), 700021},
		"garbage":            {"garbage", 50027},
	} {
		t.Run(name, func(t *testing.T) {
			got := post(t, tenant, tokenPath, credentialsForm("client_assertion", c.assertion, "client_assertion_type", assertionType))
			if c.code == 0 {
				if got.Status != http.StatusOK || payload(t, got.str("access_token"))["appidacr"] != "2" {
					t.Errorf("%d %s", got.Status, got.Raw)
				}
				return
			}
			oauth, status := "invalid_client", 401
			if c.code == 50027 {
				oauth, status = "invalid_request", 400
			}
			wantRefusal(t, got, status, oauth, c.code)
		})
	}
	tenant.ExpireSecrets(entratest.GenkanID)
	late := signedAssertion(t, key, jose.PS256, good(), sha256Header)
	wantRefusal(t, post(t, tenant, tokenPath, credentialsForm("client_assertion", late, "client_assertion_type", assertionType)), 401, "invalid_client", 700027)
}

// foreignIssuer is an OpenID Connect issuer that is not this tenant: a Kubernetes cluster, say.
func foreignIssuer(t *testing.T) (issuer string, key *jose.JSONWebKey) {
	t.Helper()
	_, private := certificateFor(t, entratest.Start(t))
	key = &jose.JSONWebKey{Key: private, KeyID: "cluster", Algorithm: "RS256", Use: "sig"}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": server.URL, "jwks_uri": server.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}})
	})
	return server.URL, key
}

func TestFederatedCredential(t *testing.T) {
	tenant := entratest.Start(t)
	issuer, key := foreignIssuer(t)
	const subject = "system:serviceaccount:genkan:genkan"
	app(tenant, entratest.GenkanID, func(a *entratest.App) {
		a.Federated = append(a.Federated,
			entratest.Federated{Name: "cluster", Issuer: issuer, Subject: subject},
			entratest.Federated{Name: "gone", Issuer: "http://127.0.0.1:1", Subject: subject})
	})
	_, strangerKey := certificateFor(t, entratest.Start(t))
	claims := func(pairs ...any) map[string]any {
		c := map[string]any{"iss": issuer, "sub": subject, "aud": []string{"api://AzureADTokenExchange"},
			"exp": time.Now().Add(time.Hour).Unix(), "nbf": time.Now().Unix()}
		for i := 0; i+1 < len(pairs); i += 2 {
			c[pairs[i].(string)] = pairs[i+1]
		}
		return c
	}
	for name, c := range map[string]struct {
		key    any
		claims map[string]any
		code   int
	}{
		"good":                {key, claims(), 0},
		"audience as string":  {key, claims("aud", "api://AzureADTokenExchange"), 0},
		"another issuer":      {key, claims("iss", "https://evil.example"), 700211},
		"another subject":     {key, claims("sub", "system:serviceaccount:default:default"), 700213},
		"subject's case":      {key, claims("sub", "system:serviceaccount:genkan:Genkan"), 700213},
		"another audience":    {key, claims("aud", "https://kubernetes.default.svc"), 700212},
		"expired":             {key, claims("exp", time.Now().Add(-time.Hour).Unix()), 700024},
		"signed by another":   {&jose.JSONWebKey{Key: strangerKey, KeyID: "cluster"}, claims(), 700027},
		"issuer out of reach": {key, claims("iss", "http://127.0.0.1:1"), 5002738},
	} {
		t.Run(name, func(t *testing.T) {
			assertion := signedAssertion(t, c.key, jose.RS256, c.claims, nil)
			got := post(t, tenant, tokenPath, credentialsForm("client_assertion", assertion, "client_assertion_type", assertionType))
			if c.code != 0 {
				wantRefusal(t, got, 401, "invalid_client", c.code)
			} else if got.Status != http.StatusOK {
				t.Error(got.Raw)
			}
		})
	}
}

func TestManagedIdentityAsFederatedCredential(t *testing.T) {
	tenant := entratest.Start(t)
	own := func(identity string) string {
		got := get(t, tenant, "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=api://AzureADTokenExchange&client_id="+identity, "Metadata", "true")
		return got.str("access_token")
	}
	ask := func(assertion string) reply {
		return post(t, tenant, tokenPath, credentialsForm("client_assertion", assertion, "client_assertion_type", assertionType))
	}
	for _, identity := range []string{entratest.SystemIdentityID, entratest.UserIdentityID} {
		if got := ask(own(identity)); got.Status != http.StatusOK {
			t.Errorf("%s: %s", identity, got.Raw)
		}
	}
	// The subject is the principal ID; with the client ID it is somebody else.
	app(tenant, entratest.GenkanID, func(a *entratest.App) {
		for i := range a.Federated {
			a.Federated[i].Subject = entratest.SystemIdentityID
		}
	})
	wantRefusal(t, ask(own(entratest.SystemIdentityID)), 401, "invalid_client", 700213)
}

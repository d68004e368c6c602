package entra_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entratest"
)

// managedTenant lives as long as the tests: MSAL remembers tokens of managed identities for the whole process, as is
// right on a machine that has one, and would show those of one test's tenant to another's.
var managedTenant = sync.OnceValue(func() *entratest.Tenant {
	tenant, err := entratest.New(entratest.Config{})
	if err != nil {
		panic(err)
	}
	tenant.URL = httptest.NewServer(tenant).URL
	return tenant
})

func TestEveryCredentialSignsInRefreshesAndExchanges(t *testing.T) {
	tenant := managedTenant()
	for name, credential := range map[string]func(*testing.T) entra.Credential{
		"secret": func(*testing.T) entra.Credential { return entra.Secret(entratest.GenkanSecret) },
		"certificate": func(t *testing.T) entra.Credential {
			return entra.CertificateFile(registerCertificate(t, tenant, rsaKeys()[0]))
		},
		"workload identity":        func(t *testing.T) entra.Credential { return entra.WorkloadIdentity(registerWorkload(t, tenant)) },
		"system-assigned identity": func(t *testing.T) entra.Credential { pretendAppService(t, tenant); return entra.ManagedIdentity("") },
		"user-assigned managed identity ": func(t *testing.T) entra.Credential {
			pretendAppService(t, tenant)
			return entra.ManagedIdentity(entratest.UserIdentityID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, tenant, func(c *entra.ClientConfig) { c.Credential = credential(t) })
			signIn := signInAs(t, client, tenant, "alice")
			again, err := client.Refresh(t.Context(), signIn.State)
			if err != nil {
				t.Fatal(err)
			}
			mustExchange(t, exchange(t, client), entra.Assertion{Token: again.Token})
			if _, err := client.ApplicationToken(t.Context(), entratest.GraphURI); err != nil {
				t.Error(err)
			}
		})
	}
}

// registerCertificate writes a certificate with its key into a file, and tells the tenant about it.
func registerCertificate(t *testing.T, tenant *entratest.Tenant, key *rsa.PrivateKey) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cert.pem")
	writeCertificate(t, tenant, key, path)
	return path
}

func writeCertificate(t *testing.T, tenant *entratest.Tenant, key *rsa.PrivateKey, path string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "genkan"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	encodedKey, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	content := append(certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encodedKey})...)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	tenant.Change(func(d *entratest.Directory) {
		genkan(d).Certificates = []entratest.Certificate{{PEM: string(certificate)}}
	})
}

// registerWorkload writes the token of a cluster's issuer into a file, and has the tenant trust it.
func registerWorkload(t *testing.T, tenant *entratest.Tenant) string {
	t.Helper()
	issuer := startKeyServer(t)
	issuer.advance(time.Since(issuer.now()))
	const subject = "system:serviceaccount:genkan:genkan"
	tenant.Change(func(d *entratest.Directory) {
		genkan(d).Federated = append(genkan(d).Federated, entratest.Federated{
			Name: "cluster", Issuer: issuer.URL + "/" + testTenant + "/v2.0", Subject: subject,
		})
	})
	path := filepath.Join(t.TempDir(), "token")
	token := issuer.token(t, map[string]any{"sub": subject, "aud": []string{"api://AzureADTokenExchange"}})
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func pretendAppService(t *testing.T, tenant *entratest.Tenant) {
	t.Helper()
	t.Setenv("IDENTITY_ENDPOINT", tenant.IdentityEndpoint())
	t.Setenv("IDENTITY_HEADER", entratest.IdentityHeader)
}

func TestARenewedCertificateNeedsNoRestart(t *testing.T) {
	tenant := entratest.Start(t)
	path := registerCertificate(t, tenant, rsaKeys()[0])
	client := newClient(t, tenant, func(c *entra.ClientConfig) { c.Credential = entra.CertificateFile(path) })
	signIn := signInAs(t, client, tenant, "alice")
	writeCertificate(t, tenant, rsaKeys()[1], path)
	if _, err := client.Refresh(t.Context(), signIn.State); err != nil {
		t.Errorf("after the renewal: %v", err)
	}
	// Half written at the moment: the one before is used.
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content[:len(content)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Refresh(t.Context(), signIn.State); err != nil {
		t.Errorf("while the file is half written: %v", err)
	}
	// Entra no longer knows it.
	tenant.Change(func(d *entratest.Directory) { genkan(d).Certificates = nil })
	_, err = client.Refresh(t.Context(), signIn.State)
	wantError(t, err, 700027, entra.Misuse)
}

func TestFederatedCredentialsThatDoNotMatchAreExplained(t *testing.T) {
	tenant := managedTenant()
	pretendAppService(t, tenant)
	for code, change := range map[int]func(*entratest.Federated){
		700211: func(f *entratest.Federated) { f.Issuer += "/" },
		700212: func(f *entratest.Federated) { f.Audience = "api://another" },
		700213: func(f *entratest.Federated) { f.Subject = entratest.SystemIdentityID }, // the client ID: a common mistake
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			var before []entratest.Federated
			tenant.Change(func(d *entratest.Directory) {
				before = genkan(d).Federated
				only := before[0]
				change(&only)
				genkan(d).Federated = []entratest.Federated{only}
			})
			defer tenant.Change(func(d *entratest.Directory) { genkan(d).Federated = before })
			client := newClient(t, tenant, func(c *entra.ClientConfig) { c.Credential = entra.ManagedIdentity("") })
			_, err := client.ApplicationToken(t.Context(), entratest.GraphURI)
			wantError(t, err, code, entra.Misuse)
		})
	}
}

func TestACredentialThatCantBeHadEndsNothing(t *testing.T) {
	tenant := managedTenant()
	client := newClient(t, tenant)
	pretendAppService(t, tenant)
	broken := newClient(t, tenant, func(c *entra.ClientConfig) { c.Credential = entra.ManagedIdentity(testClient) })
	signIn := signInAs(t, client, tenant, "alice")
	_, err := broken.Refresh(t.Context(), signIn.State)
	if failure := wantError(t, err, 0, entra.Unavailable); failure.Status != http.StatusBadRequest || failure.Cause == nil {
		t.Errorf("want what the endpoint said, got %+v", failure)
	}
	file := registerWorkload(t, tenant)
	vanishing := newClient(t, tenant, func(c *entra.ClientConfig) { c.Credential = entra.WorkloadIdentity(file) })
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	_, err = vanishing.Refresh(t.Context(), signIn.State)
	wantError(t, err, 0, entra.Unavailable)
}

func TestCredentialsAreCheckedAtTheStart(t *testing.T) {
	tenant := entratest.Start(t)
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, credential := range map[string]entra.Credential{
		"none": {}, "empty secret": entra.Secret(" "), "no certificate": entra.CertificateFile("/nowhere/cert.pem"),
		"certificate that is none": entra.CertificateFile(empty), "no token": entra.WorkloadIdentity("/nowhere/token"), "empty token": entra.WorkloadIdentity(empty),
	} {
		_, err := entra.NewClient(entra.ClientConfig{
			Cloud: devCloud(t, tenant), Tenant: entratest.TenantID, ClientID: entratest.GenkanID, Credential: credential,
		})
		if err == nil {
			t.Errorf("%s: want a mistake", name)
		}
	}
}

func TestOnlyASecretIsWarnedAbout(t *testing.T) {
	for kind, credential := range map[entra.CredentialKind]entra.Credential{
		entra.KindManagedIdentity: entra.ManagedIdentity(""), entra.KindWorkloadIdentity: entra.WorkloadIdentity("f"),
		entra.KindCertificate: entra.CertificateFile("f"), entra.KindSecret: entra.Secret("s"),
	} {
		if credential.Kind() != kind || !strings.Contains(credential.String(), string(kind)) {
			t.Errorf("%s calls itself %s and %s", kind, credential.Kind(), credential)
		}
		if (credential.Warning() != "") != (kind == entra.KindSecret) {
			t.Errorf("%s: warning %q", kind, credential.Warning())
		}
	}
}

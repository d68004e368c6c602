package entratest_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
	msalerrors "github.com/AzureAD/microsoft-authentication-library-for-go/apps/errors"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/public"

	"github.com/genkan-mcp/genkan/entratest"
)

func authority(tenant *entratest.Tenant) string { return tenant.URL + "/" + entratest.TenantID }

func confidentialClient(t *testing.T, tenant *entratest.Tenant, cred confidential.Credential, options ...confidential.Option) confidential.Client {
	t.Helper()
	options = append([]confidential.Option{
		confidential.WithHTTPClient(tenant.Client()), confidential.WithInstanceDiscovery(false),
	}, options...)
	client, err := confidential.New(authority(tenant), entratest.GenkanID, cred, options...)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func secretCredential(t *testing.T) confidential.Credential {
	t.Helper()
	cred, err := confidential.NewCredFromSecret(entratest.GenkanSecret)
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

var ownScope = []string{entratest.GenkanID + "/access_as_user"}

func TestMSALRedeemsACodeAndRefreshes(t *testing.T) {
	tenant := entratest.Start(t, entratest.WithTLS())
	client := confidentialClient(t, tenant, secretCredential(t))
	authURL, err := client.AuthCodeURL(t.Context(), entratest.GenkanID, genkanRedirect, ownScope)
	if err != nil {
		t.Fatal(err)
	}
	verifier := strings.Repeat("v", 43)
	answer, err := tenant.SignIn(authURL+"&code_challenge="+challengeS256(verifier)+"&code_challenge_method=S256", "alice")
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.AcquireTokenByAuthCode(t.Context(), answer.Params.Get("code"), genkanRedirect, ownScope, confidential.WithChallenge(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if got.IDToken.Oid != entratest.AliceID || got.Account.HomeAccountID != entratest.AliceID+"."+entratest.TenantID {
		t.Errorf("signed in as %q, account %q", got.IDToken.Oid, got.Account.HomeAccountID)
	}
	graph, err := client.AcquireTokenSilent(t.Context(), []string{"https://graph.microsoft.com/User.Read"}, confidential.WithSilentAccount(got.Account))
	if err != nil {
		t.Fatalf("refresh for another resource: %v", err)
	}
	if aud := payload(t, graph.AccessToken)["aud"]; aud != "https://graph.microsoft.com" {
		t.Errorf("audience %v", aud)
	}
}

func TestMSALOnBehalfOf(t *testing.T) {
	tenant := entratest.Start(t, entratest.WithTLS())
	client := confidentialClient(t, tenant, secretCredential(t))
	assertion, err := tenant.AccessToken("alice", entratest.VSCodeID, entratest.GenkanURI)
	if err != nil {
		t.Fatal(err)
	}
	for _, scopes := range [][]string{
		{"https://graph.microsoft.com/User.Read"}, {"https://search.azure.com/user_impersonation"}, {"https://vault.azure.net/.default"},
	} {
		got, err := client.AcquireTokenOnBehalfOf(t.Context(), assertion, scopes)
		if err != nil {
			t.Errorf("%v: %v", scopes, err)
			continue
		}
		if oid := payload(t, got.AccessToken)["oid"]; oid != entratest.AliceID {
			t.Errorf("%v: oid %v", scopes, oid)
		}
	}
}

// certificateFor makes a certificate and registers it on Genkan.
func certificateFor(t *testing.T, tenant *entratest.Tenant) ([]*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "genkan"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	tenant.Change(func(d *entratest.Directory) {
		for i := range d.Apps {
			if d.Apps[i].ClientID == entratest.GenkanID {
				text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
				d.Apps[i].Certificates = append(d.Apps[i].Certificates, entratest.Certificate{PEM: string(text)})
			}
		}
	})
	return []*x509.Certificate{cert}, key
}

func TestMSALClientCredentials(t *testing.T) {
	tenant := entratest.Start(t, entratest.WithTLS())
	certs, key := certificateFor(t, tenant)
	certificate, err := confidential.NewCredFromCert(certs, key)
	if err != nil {
		t.Fatal(err)
	}
	federated := confidential.NewCredFromAssertionCallback(func(context.Context, confidential.AssertionRequestOptions) (string, error) {
		return managedIdentityToken(t, tenant), nil
	})
	for name, cred := range map[string]struct {
		confidential.Credential
		proof string
	}{"secret": {secretCredential(t), "1"}, "certificate": {certificate, "2"}, "federated": {federated, "2"}} {
		t.Run(name, func(t *testing.T) {
			client := confidentialClient(t, tenant, cred.Credential)
			got, err := client.AcquireTokenByCredential(t.Context(), []string{"https://graph.microsoft.com/.default"})
			if err != nil {
				t.Fatal(err)
			}
			claims := payload(t, got.AccessToken)
			if claims["appidacr"] != cred.proof || claims["oid"] != entratest.GenkanPrincipal || claims["scp"] != nil {
				t.Errorf("appidacr %v, oid %v, scp %v", claims["appidacr"], claims["oid"], claims["scp"])
			}
		})
	}
}

// managedIdentityToken is what a program on a virtual machine would ask the metadata service.
func managedIdentityToken(t *testing.T, tenant *entratest.Tenant) string {
	t.Helper()
	got := get(t, tenant, "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=api://AzureADTokenExchange", "Metadata", "true")
	if got.str("access_token") == "" {
		t.Fatalf("no token of a managed identity: %s", got.Raw)
	}
	return got.str("access_token")
}

// toTenant sends everything to the tenant, whatever host it was meant for, as the network of a virtual
// machine does for 169.254.169.254.
type toTenant struct{ tenant *entratest.Tenant }

func (s toTenant) Do(r *http.Request) (*http.Response, error) {
	base, err := url.Parse(s.tenant.URL)
	if err != nil {
		return nil, err
	}
	again := r.Clone(r.Context())
	again.URL.Scheme, again.URL.Host, again.Host = base.Scheme, base.Host, base.Host
	return s.tenant.Client().Do(again)
}

func TestMSALDeviceCode(t *testing.T) {
	tenant := entratest.Start(t, entratest.WithTLS())
	client, err := public.New(entratest.GenkanToolsID, public.WithAuthority(authority(tenant)),
		public.WithHTTPClient(tenant.Client()), public.WithInstanceDiscovery(false))
	if err != nil {
		t.Fatal(err)
	}
	code, err := client.AcquireTokenByDeviceCode(t.Context(), []string{entratest.GenkanURI + "/access_as_user"})
	if err != nil {
		t.Fatal(err)
	}
	if err := tenant.Browser("bob").EnterCode(code.Result.UserCode); err != nil {
		t.Fatal(err)
	}
	got, err := code.AuthenticationResult(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.IDToken.Oid != entratest.BobID {
		t.Errorf("signed in as %q", got.IDToken.Oid)
	}
}

func TestMSALInteractive(t *testing.T) {
	tenant := entratest.Start(t, entratest.WithTLS())
	client, err := public.New(entratest.GenkanToolsID, public.WithAuthority(authority(tenant)),
		public.WithHTTPClient(tenant.Client()), public.WithInstanceDiscovery(false))
	if err != nil {
		t.Fatal(err)
	}
	browse := func(authURL string) error {
		answer, err := tenant.SignIn(authURL, "carol")
		if err != nil {
			return err
		}
		if answer.Mode != "form_post" {
			return errors.New("the answer came by " + answer.Mode)
		}
		resp, err := http.PostForm(answer.RedirectURI, answer.Params)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	got, err := client.AcquireTokenInteractive(t.Context(), []string{entratest.GenkanURI + "/access_as_user"}, public.WithOpenURL(browse))
	if err != nil {
		t.Fatal(err)
	}
	if got.IDToken.Oid != entratest.CarolID {
		t.Errorf("signed in as %q", got.IDToken.Oid)
	}
	again, err := client.AcquireTokenSilent(t.Context(), []string{entratest.GenkanURI + "/access_as_user"}, public.WithSilentAccount(got.Account))
	if err != nil || again.AccessToken != got.AccessToken {
		t.Errorf("silent: %v", err)
	}
}

func TestMSALReadsARefusalWithItsClaims(t *testing.T) {
	tenant := entratest.Start(t, entratest.WithTLS())
	client := confidentialClient(t, tenant, secretCredential(t))
	tenant.Require(entratest.Policy{Resource: entratest.SearchURI, MFA: true})
	assertion, err := tenant.AccessToken("alice", entratest.VSCodeID, entratest.GenkanURI)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.AcquireTokenOnBehalfOf(t.Context(), assertion, []string{"https://search.azure.com/user_impersonation"})
	var call msalerrors.CallErr
	if !errors.As(err, &call) || !strings.Contains(err.Error(), "AADSTS50076") {
		t.Fatalf("got %v", err)
	}
}

// entraCloud points azidentity at the tenant.
func entraCloud(tenant *entratest.Tenant) azcore.ClientOptions {
	return azcore.ClientOptions{
		Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: tenant.URL}, Transport: tenant.Client(),
	}
}

func TestAzidentityCompletesEveryGrant(t *testing.T) {
	tenant := entratest.Start(t, entratest.WithTLS())
	certs, key := certificateFor(t, tenant)
	assertion, err := tenant.AccessToken("alice", entratest.VSCodeID, entratest.GenkanURI)
	if err != nil {
		t.Fatal(err)
	}
	options := entraCloud(tenant)
	secret, err1 := azidentity.NewClientSecretCredential(entratest.TenantID, entratest.GenkanID, entratest.GenkanSecret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	certificate, err2 := azidentity.NewClientCertificateCredential(entratest.TenantID, entratest.GenkanID, certs, key,
		&azidentity.ClientCertificateCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	federated, err3 := azidentity.NewClientAssertionCredential(entratest.TenantID, entratest.GenkanID,
		func(context.Context) (string, error) { return managedIdentityToken(t, tenant), nil },
		&azidentity.ClientAssertionCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	onBehalf, err4 := azidentity.NewOnBehalfOfCredentialWithSecret(entratest.TenantID, entratest.GenkanID, assertion, entratest.GenkanSecret,
		&azidentity.OnBehalfOfCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	device, err5 := azidentity.NewDeviceCodeCredential(&azidentity.DeviceCodeCredentialOptions{
		ClientOptions: options, DisableInstanceDiscovery: true, TenantID: entratest.TenantID, ClientID: entratest.GenkanToolsID,
		UserPrompt: func(_ context.Context, m azidentity.DeviceCodeMessage) error {
			return tenant.Browser("bob").EnterCode(m.UserCode)
		},
	})
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		t.Fatal(err)
	}
	for name, cred := range map[string]struct {
		azcore.TokenCredential
		oid, scope string
	}{
		"secret":       {secret, entratest.GenkanPrincipal, "https://graph.microsoft.com/.default"},
		"certificate":  {certificate, entratest.GenkanPrincipal, "https://vault.azure.net/.default"},
		"federated":    {federated, entratest.GenkanPrincipal, "https://search.azure.com/.default"},
		"on behalf of": {onBehalf, entratest.AliceID, "https://search.azure.com/.default"},
		"device code":  {device, entratest.BobID, "https://graph.microsoft.com/User.Read"},
	} {
		got, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{cred.scope}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if oid := payload(t, got.Token)["oid"]; oid != cred.oid {
			t.Errorf("%s: oid %v, want %s", name, oid, cred.oid)
		}
	}
}

func TestAzidentityManagedIdentityInAppServiceAndOnAMachine(t *testing.T) {
	tenant := entratest.Start(t, entratest.WithTLS())
	for name, env := range map[string]map[string]string{
		"appservice": {"IDENTITY_ENDPOINT": tenant.IdentityEndpoint(), "IDENTITY_HEADER": entratest.IdentityHeader},
		"imds":       {},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range env {
				t.Setenv(k, v)
			}
			// The library caches in a global of its own, so each case needs a resource of its own.
			resource := "api://" + name + rand.Text()
			tenant.Change(func(d *entratest.Directory) {
				d.Apps = append(d.Apps, entratest.App{Name: resource, URIs: []string{resource}})
			})
			cred, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{
				ClientOptions: azcore.ClientOptions{Transport: toTenant{tenant}}, ID: azidentity.ClientID(entratest.UserIdentityID),
			})
			if err != nil {
				t.Fatal(err)
			}
			got, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{resource + "/.default"}})
			if err != nil {
				t.Fatal(err)
			}
			if oid := payload(t, got.Token)["oid"]; oid != entratest.UserIdentityPrincipal {
				t.Errorf("oid %v", oid)
			}
		})
	}
}

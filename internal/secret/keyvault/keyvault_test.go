package keyvault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/secret/keyvault"
)

// credential gives the dev tenant's own token for a vault.
type credential struct{ tenant *entratest.Tenant }

func (c credential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := c.tenant.AccessToken("", entratest.GenkanID, entratest.KeyVaultURI)
	return azcore.AccessToken{Token: token}, err
}

func vault(t *testing.T) (*entratest.Tenant, keyvault.Config) {
	t.Helper()
	tenant := entratest.Start(t, entratest.WithTLS())
	return tenant, keyvault.Config{
		Key: tenant.URL + "/keys/genkan", Credential: credential{tenant}, InsecureAnyVault: true,
		Client: azcore.ClientOptions{Transport: tenant.Client(), Retry: policy.RetryOptions{MaxRetries: -1}},
	}
}

func open(t *testing.T, c keyvault.Config) *keyvault.Wrapper {
	t.Helper()
	w, err := keyvault.New(c)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return w
}

func wrap(t *testing.T, w *keyvault.Wrapper, plain []byte) []byte {
	t.Helper()
	wrapped, err := w.Wrap(t.Context(), plain)
	if err != nil {
		t.Fatalf("Wrap: %v", err)
	}
	return wrapped
}

func TestARingComesBackFromTheVault(t *testing.T) {
	_, c := vault(t)
	plain := bytes.Repeat([]byte("a ring is longer than RSA takes "), 40)
	wrapped := wrap(t, open(t, c), plain)
	if bytes.Contains(wrapped, plain[:16]) {
		t.Error("the ring is in the clear")
	}
	back, err := open(t, c).Unwrap(t.Context(), wrapped)
	if err != nil || !bytes.Equal(back, plain) {
		t.Errorf("Unwrap: %v", err)
	}
}

func TestThreat32_TheVaultsKeyMayBeRotated(t *testing.T) {
	tenant, c := vault(t)
	w := open(t, c)
	before := wrap(t, w, []byte("ring"))
	token, err := tenant.AccessToken("", entratest.GenkanID, entratest.KeyVaultURI)
	if err != nil {
		t.Fatalf("AccessToken: %v", err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.Key+"/rotate?api-version=7.4", strings.NewReader("{}"))
	if err != nil {
		t.Fatalf("NewRequest: %v", err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := tenant.Client().Do(r)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("rotate the vault's key: %v, %v", answer, err)
	}
	_ = answer.Body.Close()
	after := wrap(t, w, []byte("ring"))
	for _, wrapped := range [][]byte{before, after} {
		if plain, err := w.Unwrap(t.Context(), wrapped); err != nil || string(plain) != "ring" {
			t.Errorf("Unwrap = %q, %v", plain, err)
		}
	}
	if version(t, before) == version(t, after) {
		t.Error("the new version does not wrap")
	}
}

func version(t *testing.T, wrapped []byte) string {
	t.Helper()
	var e struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(wrapped, &e); err != nil {
		t.Fatalf("Unmarshal: %v", err)
	}
	return e.Version
}

func TestWhatTheVaultDidNotWrapIsRefused(t *testing.T) {
	_, c := vault(t)
	w := open(t, c)
	wrapped := wrap(t, w, []byte("ring"))
	other := c
	other.Key = strings.TrimSuffix(c.Key, "genkan") + "other"
	for name, b := range map[string][]byte{
		"nothing": nil, "a key file's": []byte("\x00\x01"), "tampered": bytes.Replace(wrapped, []byte(`"sealed":"`), []byte(`"sealed":"AAAA`), 1),
		"a tampered key": bytes.Replace(wrapped, []byte(`"key":"`), []byte(`"key":"AAAA`), 1),
	} {
		if _, err := w.Unwrap(t.Context(), b); !errors.Is(err, secret.ErrTampered) {
			t.Errorf("Unwrap of %s = %v", name, err)
		}
	}
	if _, err := open(t, other).Unwrap(t.Context(), wrapped); err == nil {
		t.Error("another key unwrapped it")
	}
}

// A vault that is down or refuses is no reason to believe that the ring is damaged.
func TestThreat33_AVaultThatFailsSaysWhatToDo(t *testing.T) {
	for status, advice := range map[int]string{
		http.StatusForbidden: "Crypto Service Encryption User", http.StatusNotFound: "recover the deleted one", http.StatusServiceUnavailable: "503",
	} {
		_, c := vault(t)
		wrapped := wrap(t, open(t, c), []byte("ring"))
		c.Client.Transport = failing{status}
		_, err := open(t, c).Unwrap(t.Context(), wrapped)
		if err == nil || errors.Is(err, secret.ErrTampered) || !strings.Contains(err.Error(), advice) {
			t.Errorf("Unwrap with status %d = %v", status, err)
		}
		if strings.Contains(err.Error(), "ring\"") {
			t.Error("the error quotes the ring")
		}
	}
}

// failing is a vault that answers everybody with one status.
type failing struct{ status int }

func (f failing) Do(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: f.status, Status: http.StatusText(f.status), Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

func TestOnlyAKeyOfAVaultIsTaken(t *testing.T) {
	_, c := vault(t)
	for _, key := range []string{"", "genkan", "http://contoso.vault.azure.net/keys/genkan", "https://contoso.vault.azure.net/",
		"https://contoso.vault.azure.net/keys/", "https://contoso.vault.azure.net/keys/genkan/0123", "https://contoso.vault.azure.net/secrets/genkan",
		"https://user@contoso.vault.azure.net/keys/genkan"} {
		c.Key = key
		if _, err := keyvault.New(c); err == nil {
			t.Errorf("New accepted %q", key)
		}
	}
	c.Key, c.Credential = "https://contoso.vault.azure.net/keys/genkan", nil
	if _, err := keyvault.New(c); err == nil {
		t.Error("New accepted no credential")
	}
}

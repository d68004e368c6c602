package entra

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
)

// CredentialKind says how an application proves who it is.
type CredentialKind string

// The kinds of credential, best first.
const (
	KindManagedIdentity  CredentialKind = "managed identity"
	KindWorkloadIdentity CredentialKind = "workload identity"
	KindCertificate      CredentialKind = "certificate"
	KindSecret           CredentialKind = "secret"
)

// Credential proves to Entra which application asks. Make one with ManagedIdentity, WorkloadIdentity,
// CertificateFile or Secret. It prints as its kind; what is secret in it does not show.
type Credential struct {
	kind  CredentialKind
	value *string // the secret, the path of the file, or the client ID of the managed identity; see Token.value
}

// ManagedIdentity is the identity that Azure gives to the machine or app service on which the program runs: nothing
// to store, nothing to renew. The app registration trusts it through a federated credential whose subject is the
// identity's principal (object) ID. Name a user-assigned identity by its client ID; "" is the system-assigned one.
func ManagedIdentity(clientID string) Credential {
	return Credential{kind: KindManagedIdentity, value: &clientID}
}

// WorkloadIdentity is a file with a token that Kubernetes (or another issuer that the app registration trusts through
// a federated credential) keeps fresh. It is read anew for each use.
func WorkloadIdentity(tokenFile string) Credential {
	return Credential{kind: KindWorkloadIdentity, value: &tokenFile}
}

// CertificateFile is a PEM file with a certificate that the app registration knows and its unencrypted RSA key. It is
// read anew for each use, so that a renewed certificate needs no restart.
func CertificateFile(path string) Credential { return Credential{kind: KindCertificate, value: &path} }

// Secret is a client secret. It is for development: it can be copied, and it ends on a day that everybody has
// forgotten. See Credential.Warning.
func Secret(secret string) Credential { return Credential{kind: KindSecret, value: &secret} }

// Kind says which kind of credential it is; "" for the zero Credential.
func (c Credential) Kind() CredentialKind { return c.kind }

// Warning says why the credential should not be used in production; "" if it may be.
func (c Credential) Warning() string {
	if c.kind != KindSecret {
		return ""
	}
	return "a client secret can be copied and expires unnoticed: in production use a managed identity, a workload identity or a certificate"
}

// String names the kind and hides the rest.
func (c Credential) String() string { return "[" + firstOf(string(c.kind), "no credential") + "]" }

// Format hides the credential from every verb of package fmt.
func (c Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// MarshalText hides the credential from every encoder.
func (c Credential) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// credentialSource makes what MSAL wants of a Credential, each time anew.
type credentialSource func() (confidential.Credential, error)

// source checks the credential as far as that is possible without Entra.
func (c Credential) source(cloud Cloud, client *http.Client) (credentialSource, error) {
	switch c.kind {
	case KindSecret:
		if strings.TrimSpace(*c.value) == "" {
			return nil, errors.New("credential: the secret is empty")
		}
		return func() (confidential.Credential, error) { return confidential.NewCredFromSecret(*c.value) }, nil
	case KindCertificate:
		file := &certificateFile{path: *c.value}
		if _, err := file.load(); err != nil {
			return nil, err
		}
		return file.load, nil
	case KindWorkloadIdentity:
		if _, err := readTokenFile(*c.value); err != nil {
			return nil, err
		}
		return assertions(func(context.Context) (string, error) { return readTokenFile(*c.value) }), nil
	case KindManagedIdentity:
		return managedIdentitySource(*c.value, cloud, client)
	}
	return nil, errors.New("credential: give ManagedIdentity, WorkloadIdentity, CertificateFile or Secret")
}

func assertions(give func(context.Context) (string, error)) credentialSource {
	return func() (confidential.Credential, error) {
		return confidential.NewCredFromAssertionCallback(func(ctx context.Context, _ confidential.AssertionRequestOptions) (string, error) {
			return give(ctx)
		}), nil
	}
}

func readTokenFile(path string) (string, error) {
	token, err := os.ReadFile(path)
	if err != nil {
		return "", credentialError("read workload identity token", err)
	}
	text := strings.TrimSpace(string(token))
	if text == "" {
		return "", credentialError("read workload identity token", errors.New("the file is empty"))
	}
	return text, nil
}

func managedIdentitySource(clientID string, cloud Cloud, client *http.Client) (credentialSource, error) {
	options := &azidentity.ManagedIdentityCredentialOptions{}
	if client != nil {
		options.ClientOptions = azcore.ClientOptions{Transport: client}
	}
	if clientID != "" {
		options.ID = azidentity.ClientID(clientID)
	}
	identity, err := azidentity.NewManagedIdentityCredential(options)
	if err != nil {
		return nil, fmt.Errorf("credential: managed identity: %w", err)
	}
	scope := cloud.orPublic().exchange + "/.default"
	return assertions(func(ctx context.Context) (string, error) {
		token, err := identity.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
		if err != nil {
			return "", credentialError("get managed identity token", err)
		}
		return token.Token, nil
	}), nil
}

// credentialError keeps why there is no credential to show; nothing that the local endpoints say is secret.
func credentialError(op string, cause error) error {
	e := &Error{Op: op, Reason: Unavailable, Cause: cause, Remedy: "The application's own credential can't be had: check that the file or managed identity exists on this machine."}
	var failed *azidentity.AuthenticationFailedError
	if errors.As(cause, &failed) {
		e.Cause = errors.New(shown(firstLine(failed.Error())))
		if failed.RawResponse != nil {
			e.Status, e.RetryAfter = failed.RawResponse.StatusCode, retryAfter(failed.RawResponse.Header)
		}
	}
	return e
}

// certificateFile reads a certificate with its key. If the file is half written at the moment, the one before is used.
type certificateFile struct {
	path string

	mu   sync.Mutex
	last *confidential.Credential
}

func (f *certificateFile) load() (confidential.Credential, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	cred, err := f.read()
	if err == nil {
		f.last = &cred
		return cred, nil
	}
	if f.last != nil {
		return *f.last, nil
	}
	return confidential.Credential{}, fmt.Errorf("credential: certificate file %s: %w", f.path, err)
}

func (f *certificateFile) read() (confidential.Credential, error) {
	content, err := os.ReadFile(f.path)
	if err != nil {
		return confidential.Credential{}, errors.Unwrap(err)
	}
	certificates, key, err := confidential.CertFromPEM(content, "")
	if err != nil {
		return confidential.Credential{}, err
	}
	return confidential.NewCredFromCert(certificates, key)
}

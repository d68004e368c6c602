// Package keyvault wraps a ring of data keys under a key that never leaves an Azure Key Vault or Managed HSM.
package keyvault

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/genkan-mcp/genkan/internal/secret"
)

// role is what the identity needs on the key, and no more.
const role = `"Key Vault Crypto Service Encryption User"`

// Config is what a Wrapper needs. Key and Credential are required.
type Config struct {
	// Key is the key's identifier without a version: https://contoso.vault.azure.net/keys/genkan. An RSA
	// key; a new version of it wraps from the next change of the ring on, and older versions still unwrap.
	Key        string
	Credential azcore.TokenCredential
	Client     azcore.ClientOptions // transport, retries, cloud
	Rand       io.Reader            // crypto/rand
	// InsecureAnyVault sends the credential to a vault whose host is not the one that its challenge names.
	// For a dev tenant only.
	InsecureAnyVault bool
}

// Wrapper wraps under a key of a vault.
type Wrapper struct {
	client *azkeys.Client
	name   string
	key    string
	rand   io.Reader
}

var _ secret.Wrapper = (*Wrapper)(nil)

// New checks the configuration. It does not talk to the vault yet.
func New(c Config) (*Wrapper, error) {
	u, err := url.Parse(c.Key)
	if err != nil {
		return nil, fmt.Errorf("key vault: %w", err)
	}
	name, found := strings.CutPrefix(strings.TrimSuffix(u.Path, "/"), "/keys/")
	if u.Scheme != "https" || u.Host == "" || u.User != nil || !found || name == "" || strings.Contains(name, "/") {
		return nil, fmt.Errorf("key vault: %q must be the identifier of a key without its version, "+
			"such as https://contoso.vault.azure.net/keys/genkan", c.Key)
	}
	if c.Credential == nil {
		return nil, errors.New("key vault: a credential is required")
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	client, err := azkeys.NewClient("https://"+u.Host, c.Credential, &azkeys.ClientOptions{
		ClientOptions: c.Client, DisableChallengeResourceVerification: c.InsecureAnyVault,
	})
	if err != nil {
		return nil, fmt.Errorf("key vault: %w", err)
	}
	return &Wrapper{client: client, name: name, key: c.Key, rand: c.Rand}, nil
}

// envelope is a wrapped ring. RSA takes a few bytes only, so that the vault's key wraps a fresh key, and that
// one seals the ring.
type envelope struct {
	Version string `json:"version"` // of the vault's key
	Key     []byte `json:"key"`     // wrapped, RSA-OAEP-256 (RFC 7518 §4.3)
	Sealed  []byte `json:"sealed"`  // AES-256-GCM, nonce first
}

// Wrap seals under a fresh key and has the vault wrap that.
func (w *Wrapper) Wrap(ctx context.Context, plain []byte) ([]byte, error) {
	fresh := make([]byte, 32)
	if _, err := io.ReadFull(w.rand, fresh); err != nil {
		return nil, fmt.Errorf("draw randomness: %w", err)
	}
	aead, err := newAEAD(fresh)
	if err != nil {
		return nil, err
	}
	answer, err := w.client.WrapKey(ctx, w.name, "", operation(fresh), nil)
	if err != nil {
		return nil, w.explain("wrap with", err)
	}
	if answer.KID == nil {
		return nil, fmt.Errorf("key vault: %s did not say which version it used", w.key)
	}
	return json.Marshal(envelope{
		Version: answer.KID.Version(), Key: answer.Result, Sealed: aead.Seal(nil, nil, plain, w.binding()),
	})
}

// Unwrap has the vault unwrap the key and opens the ring with it; secret.ErrTampered if that is not possible.
func (w *Wrapper) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	var e envelope
	if err := json.Unmarshal(wrapped, &e); err != nil || e.Version == "" {
		return nil, fmt.Errorf("%w: it was not wrapped by a key vault", secret.ErrTampered)
	}
	answer, err := w.client.UnwrapKey(ctx, w.name, e.Version, operation(e.Key), nil)
	if err != nil {
		return nil, w.explain("unwrap with", err)
	}
	aead, err := newAEAD(answer.Result)
	if err != nil {
		return nil, secret.ErrTampered
	}
	plain, err := aead.Open(nil, nil, e.Sealed, w.binding())
	if err != nil {
		return nil, secret.ErrTampered
	}
	return plain, nil
}

// binding keeps a ring from opening under another key's name.
func (w *Wrapper) binding() []byte { return []byte("genkan ring\x00" + w.name) }

func operation(value []byte) azkeys.KeyOperationParameters {
	algorithm := azkeys.EncryptionAlgorithmRSAOAEP256
	return azkeys.KeyOperationParameters{Algorithm: &algorithm, Value: value}
}

// explain says what to do about the vault's refusals. The library's error holds status, code and message, and
// no key.
func (w *Wrapper) explain(doing string, err error) error {
	answer, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok {
		return fmt.Errorf("key vault: %s %s: %w", doing, w.key, err)
	}
	switch answer.StatusCode {
	case http.StatusBadRequest:
		return fmt.Errorf("%w: key vault: %s %s: %w", secret.ErrTampered, doing, w.key, err)
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("key vault: %s %s: give Genkan's identity the role %s on this key: %w", doing, w.key, role, err)
	case http.StatusNotFound:
		return fmt.Errorf("key vault: %s %s: there is no such key or version; create it, or recover the deleted one: %w",
			doing, w.key, err)
	}
	return fmt.Errorf("key vault: %s %s: %w", doing, w.key, err)
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	if len(key) != 32 {
		return nil, errors.New("key vault: the key has the wrong size")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make a cipher: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

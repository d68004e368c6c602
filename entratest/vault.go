package entratest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // RSA-OAEP is defined with it, RFC 7518 §4.3
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// vaultKey is one version of a key of the vault.
type vaultKey struct {
	version string
	private *rsa.PrivateKey
	created time.Time
}

// vaultRoutes are the part of Azure Key Vault that wraps keys. Every key exists: it is made when it is
// first asked for.
func (t *Tenant) vaultRoutes() http.Handler {
	g := guard{audiences: []string{KeyVaultURI, KeyVaultURI + "/", KeyVaultID}, missing: t.vaultMissing}
	return t.guarded(g, t.vault)
}

func (t *Tenant) vaultMissing(r *http.Request) *graphRefusal {
	return &graphRefusal{
		status: 401, code: "Unauthorized", message: "AKV10000: Request is missing a Bearer or PoP token.",
		challenge: `Bearer authorization="` + t.base(r) + "/" + t.TenantID + `", resource="` + KeyVaultURI + `"`,
	}
}

// vault routes by hand, because an empty version leaves two slashes in the path.
func (t *Tenant) vault(w http.ResponseWriter, r *http.Request, _ *bearer) error {
	if r.URL.Query().Get("api-version") == "" {
		return badGraph("api-version must be specified")
	}
	parts := append(strings.Split(strings.TrimPrefix(r.URL.Path, "/keys/"), "/"), "", "")
	name, version, action := parts[0], parts[1], parts[2]
	if r.Method == http.MethodPost && action == "" {
		version, action = "", version
	}
	switch r.Method + " " + action {
	case "GET ":
		k, err := t.findVaultKey(name, version)
		return t.writeVaultKey(w, r, name, k, err)
	case "POST create", "POST rotate":
		k, err := t.makeVaultKey(name)
		return t.writeVaultKey(w, r, name, k, err)
	case "POST wrapkey", "POST encrypt":
		return t.wrap(w, r, name, version, func(h hash.Hash, k *rsa.PrivateKey, in []byte) ([]byte, error) {
			return rsa.EncryptOAEP(h, rand.Reader, &k.PublicKey, in, nil)
		})
	case "POST unwrapkey", "POST decrypt":
		return t.wrap(w, r, name, version, func(h hash.Hash, k *rsa.PrivateKey, in []byte) ([]byte, error) {
			return rsa.DecryptOAEP(h, nil, k, in, nil)
		})
	default:
		return &graphRefusal{status: 405, code: "MethodNotAllowed", message: "The request method is not supported."}
	}
}

// makeVaultKey makes the next version of a key.
func (t *Tenant) makeVaultKey(name string) (*vaultKey, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make a vault key: %w", err)
	}
	made := &vaultKey{version: hex.EncodeToString(t.randomBytes(16)), private: private, created: t.now()}
	t.remember(func(s *state) { s.vault[name] = append(s.vault[name], made) })
	return made, nil
}

// findVaultKey finds a version of a key, the newest without a version.
func (t *Tenant) findVaultKey(name, version string) (*vaultKey, error) {
	var versions []*vaultKey
	t.remember(func(s *state) { versions = s.vault[name] })
	if len(versions) == 0 {
		made, err := t.makeVaultKey(name)
		if err != nil {
			return nil, err
		}
		versions = []*vaultKey{made}
	}
	for i := len(versions) - 1; i >= 0; i-- {
		if version == "" || versions[i].version == version {
			return versions[i], nil
		}
	}
	return nil, &graphRefusal{status: 404, code: "KeyNotFound",
		message: "A key with (name/id) " + name + "/" + version + " was not found in this key vault."}
}

func (t *Tenant) vaultKeyID(r *http.Request, name string, k *vaultKey) string {
	return t.base(r) + "/keys/" + name + "/" + k.version
}

func (t *Tenant) writeVaultKey(w http.ResponseWriter, r *http.Request, name string, k *vaultKey, err error) error {
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"key": map[string]any{
			"kid": t.vaultKeyID(r, name, k), "kty": "RSA", "key_ops": []string{"wrapKey", "unwrapKey", "encrypt", "decrypt"},
			"n": base64.RawURLEncoding.EncodeToString(k.private.N.Bytes()),
			"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(k.private.E)).Bytes()),
		},
		"attributes": map[string]any{"enabled": true, "created": k.created.Unix(), "updated": k.created.Unix(), "recoveryLevel": "Recoverable"},
	})
	return nil
}

// wrap does one cryptographic operation of the vault.
func (t *Tenant) wrap(w http.ResponseWriter, r *http.Request, name, version string,
	operate func(hash.Hash, *rsa.PrivateKey, []byte) ([]byte, error),
) error {
	var body struct {
		Algorithm string `json:"alg"`
		Value     string `json:"value"`
	}
	if err := readJSON(r, &body); err != nil {
		return err
	}
	hashes := map[string]func() hash.Hash{"RSA-OAEP": sha1.New, "RSA-OAEP-256": sha256.New}
	newHash, known := hashes[body.Algorithm]
	in, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(body.Value, "="))
	if !known || err != nil {
		return &graphRefusal{status: 400, code: "BadParameter", message: "Property alg or value has an invalid value"}
	}
	k, err := t.findVaultKey(name, version)
	if err != nil {
		return err
	}
	out, err := operate(newHash(), k.private, in)
	if err != nil {
		return &graphRefusal{status: 400, code: "BadParameter", message: "The parameter is incorrect."}
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"kid": t.vaultKeyID(r, name, k), "value": base64.RawURLEncoding.EncodeToString(out),
	})
	return nil
}

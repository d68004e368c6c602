package entratest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // RFC 7515 §4.1.7: x5t is a SHA-1 thumbprint
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// signingKey is one of the keys that the tenant publishes. Entra's kid is the thumbprint of the
// certificate, which v1 tokens repeat as x5t.
type signingKey struct {
	private *rsa.PrivateKey
	cert    []byte
	kid     string
}

func newSigningKey(now time.Time) (*signingKey, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "accounts.accesscontrol.windows.net"},
		NotBefore:    now.Add(-24 * time.Hour),
		NotAfter:     now.AddDate(5, 0, 0),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, fmt.Errorf("make the certificate of a signing key: %w", err)
	}
	thumbprint := sha1.Sum(cert) //nolint:gosec // RFC 7515 §4.1.7
	return &signingKey{private: private, cert: cert, kid: base64.RawURLEncoding.EncodeToString(thumbprint[:])}, nil
}

// jwk is an entry of the key set as Entra writes it.
type jwk struct {
	KeyType   string   `json:"kty"`
	Use       string   `json:"use"`
	KeyID     string   `json:"kid"`
	X5T       string   `json:"x5t"`
	N         string   `json:"n"`
	E         string   `json:"e"`
	X5C       []string `json:"x5c"`
	CloudName string   `json:"cloud_instance_name"`
	Issuer    string   `json:"issuer"`
}

func (k *signingKey) jwk(issuer string) jwk {
	e := big.NewInt(int64(k.private.E)).Bytes()
	return jwk{
		KeyType: "RSA", Use: "sig", KeyID: k.kid, X5T: k.kid,
		N: base64.RawURLEncoding.EncodeToString(k.private.N.Bytes()), E: base64.RawURLEncoding.EncodeToString(e),
		X5C: []string{base64.StdEncoding.EncodeToString(k.cert)}, CloudName: "microsoftonline.com", Issuer: issuer,
	}
}

// sign makes a compact JWS of the payload. Headers are added to alg, kid and typ.
func (k *signingKey) sign(payload []byte, headers map[string]any) (string, error) {
	opts := new(jose.SignerOptions).WithType("JWT").WithHeader("kid", k.kid)
	for name, value := range headers {
		opts.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: k.private}, opts)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return jws.CompactSerialize()
}

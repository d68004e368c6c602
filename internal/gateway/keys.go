package gateway

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// SigningKey is a key of the door. It signs from From on, as long as no newer one does; its public half is
// published as long as it is among the keys. Publish a key some minutes before it signs and some after.
type SigningKey struct {
	Key  *ecdsa.PrivateKey // P-256
	From time.Time
}

// NewSigningKey draws a key.
func NewSigningKey(rand io.Reader, from time.Time) (SigningKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand)
	if err != nil {
		return SigningKey{}, fmt.Errorf("draw signing key: %w", err)
	}
	return SigningKey{Key: key, From: from}, nil
}

// ParseSigningKey reads a key from its PKCS #8 form.
func ParseSigningKey(der []byte, from time.Time) (SigningKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return SigningKey{}, fmt.Errorf("read signing key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return SigningKey{}, errors.New("read signing key: it is none on P-256")
	}
	return SigningKey{Key: key, From: from}, nil
}

// SigningKeys sign with the newest key whose time has come. They are safe for concurrent use.
type SigningKeys struct {
	now func() time.Time

	mu     sync.RWMutex // above the rest
	keys   []preparedKey
	public jose.JSONWebKeySet
}

type preparedKey struct {
	id   string
	from time.Time
	key  *ecdsa.PrivateKey
}

var _ Signer = (*SigningKeys)(nil)

// NewSigningKeys takes at least one key.
func NewSigningKeys(now func() time.Time, keys ...SigningKey) (*SigningKeys, error) {
	s := &SigningKeys{now: now}
	return s, s.Replace(keys...)
}

// Replace changes the keys, all at once or not at all.
func (s *SigningKeys) Replace(keys ...SigningKey) error {
	if len(keys) == 0 {
		return errors.New("gateway: no signing key")
	}
	var prepared []preparedKey
	var public jose.JSONWebKeySet
	for _, k := range keys {
		if k.Key == nil || k.Key.Curve != elliptic.P256() {
			return errors.New("gateway: a signing key must be on P-256")
		}
		jwk := jose.JSONWebKey{Key: &k.Key.PublicKey, Algorithm: string(jose.ES256), Use: "sig"}
		thumbprint, err := jwk.Thumbprint(crypto.SHA256) // RFC 7638
		if err != nil {
			return fmt.Errorf("gateway: signing key: %w", err)
		}
		jwk.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
		public.Keys = append(public.Keys, jwk)
		prepared = append(prepared, preparedKey{id: jwk.KeyID, from: k.From, key: k.Key})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys, s.public = prepared, public
	return nil
}

// Sign makes a compact JWT, ES256.
func (s *SigningKeys) Sign(typ string, claims []byte) (string, error) {
	active := s.active()
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256,
		Key: jose.JSONWebKey{Key: active.key, KeyID: active.id}}, options)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return signed.CompactSerialize()
}

// active is the newest key whose time has come, or the oldest: a clock that was set back must not leave us without.
func (s *SigningKeys) active() preparedKey {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now := s.now()
	best := -1
	oldest := 0
	for i, k := range s.keys {
		if !k.from.After(now) && (best < 0 || k.from.After(s.keys[best].from)) {
			best = i
		}
		if k.from.Before(s.keys[oldest].from) {
			oldest = i
		}
	}
	if best < 0 {
		best = oldest
	}
	return s.keys[best]
}

// Public are the public halves (RFC 7517 §5), for whoever publishes them.
func (s *SigningKeys) Public() jose.JSONWebKeySet {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return jose.JSONWebKeySet{Keys: slices.Clone(s.public.Keys)}
}

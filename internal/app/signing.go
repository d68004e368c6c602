package app

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/genkan-mcp/genkan/internal/gateway"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store"
)

// The keys that sign identities lie in the store, sealed, as one record: every replica signs with the same.
const (
	signingKind = "signing"
	signingID   = "keys"
)

// storedKey is a signing key as the record holds it.
type storedKey struct {
	From time.Time `json:"from"`
	DER  []byte    `json:"der"` // PKCS #8
}

// signingKeys reads the keys that sign identities, or makes the first one.
func (s *state) signingKeys(ctx context.Context, now func() time.Time) (*gateway.SigningKeys, error) {
	record, err := s.store.Get(ctx, signingKind, signingID)
	if errors.Is(err, store.ErrNotFound) {
		if err = s.createSigningKey(ctx, now()); err == nil || errors.Is(err, store.ErrExists) {
			record, err = s.store.Get(ctx, signingKind, signingID)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read the signing keys: %w", err)
	}
	plain, err := s.keys.Ring().Open(signingBinding(), record.Value)
	if err != nil {
		return nil, fmt.Errorf("open the signing keys: %w", err)
	}
	var stored []storedKey
	if err := json.Unmarshal(plain, &stored); err != nil {
		return nil, fmt.Errorf("read the signing keys: %w", err)
	}
	var keys []gateway.SigningKey
	for _, k := range stored {
		key, err := gateway.ParseSigningKey(k.DER, k.From)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return gateway.NewSigningKeys(now, keys...)
}

func (s *state) createSigningKey(ctx context.Context, now time.Time) error {
	key, err := gateway.NewSigningKey(rand.Reader, now)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key.Key)
	if err != nil {
		return fmt.Errorf("encode the signing key: %w", err)
	}
	plain, err := json.Marshal([]storedKey{{From: now, DER: der}})
	if err != nil {
		return fmt.Errorf("encode the signing key: %w", err)
	}
	sealed, err := s.keys.Ring().Seal(signingBinding(), plain)
	if err != nil {
		return fmt.Errorf("seal the signing key: %w", err)
	}
	return s.store.Create(ctx, store.Record{Kind: signingKind, ID: signingID, Value: sealed})
}

func signingBinding() secret.Binding { return secret.Binding{Kind: signingKind, Key: signingID} }

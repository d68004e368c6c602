package app

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/genkan-mcp/genkan/internal/gateway"
	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/internal/store/sqlite"
)

// state is what outlives the process: a folder with the store, the key file and the audit log.
type state struct {
	dir   string
	store store.Store
	keys  *grant.Keys
}

func openState(ctx context.Context, dir string, now func() time.Time) (*state, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	s := &state{dir: dir}
	wrapper, err := secret.OpenKeyFile(s.path("genkan.key"), rand.Reader)
	if err != nil {
		return nil, err
	}
	opened, err := sqlite.Open(ctx, s.path("genkan.db"))
	if err != nil {
		return nil, err
	}
	s.store = opened
	if s.keys, err = grant.OpenKeys(ctx, grant.KeysConfig{Store: opened, Wrapper: wrapper, Now: now}); err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return s, nil
}

func (s *state) path(name string) string { return filepath.Join(s.dir, name) }

func (s *state) tidy(ctx context.Context, now time.Time) error {
	_, err := s.store.Sweep(ctx, now)
	return errors.Join(err, s.keys.Refresh(ctx))
}

// The signing keys lie in the store, sealed, as one record: every replica signs with the same.
const (
	signingKind = "keys"
	signingID   = "signing"
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

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

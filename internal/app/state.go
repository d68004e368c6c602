package app

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/genkan-mcp/genkan/internal/config"
	"github.com/genkan-mcp/genkan/internal/gateway"
	"github.com/genkan-mcp/genkan/internal/grant"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/secret/keyvault"
	"github.com/genkan-mcp/genkan/internal/store"
	"github.com/genkan-mcp/genkan/internal/store/redis"
	"github.com/genkan-mcp/genkan/internal/store/sqlite"
)

// state is what outlives the process: the store, the ring of keys, and the folder with the audit log.
type state struct {
	dir   string
	store store.Store
	keys  *grant.Keys
	// limiter counts for all replicas; nil where there is only one.
	limiter gateway.Limiter
}

func openState(ctx context.Context, cfg *config.Config, now func() time.Time) (*state, error) {
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	wrapper, err := openWrapper(cfg)
	if err != nil {
		return nil, err
	}
	opened, err := openStore(ctx, cfg.Store)
	if err != nil {
		return nil, err
	}
	keys, err := grant.OpenKeys(ctx, grant.KeysConfig{Store: opened, Wrapper: wrapper, Now: now})
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	limiter, err := limiterOf(opened)
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return &state{dir: cfg.Data, store: opened, keys: keys, limiter: limiter}, nil
}

func openStore(ctx context.Context, c config.Store) (store.Store, error) {
	if len(c.Redis.Addresses) == 0 {
		return sqlite.Open(ctx, c.SQLite)
	}
	r := redis.Config{
		Addrs: c.Redis.Addresses, Username: c.Redis.Username, Password: c.Redis.Password, DB: c.Redis.DB,
		Prefix: c.Redis.Prefix, Cluster: c.Redis.Cluster, MasterName: c.Redis.Master, Replicas: c.Redis.Replicas,
	}
	if c.Redis.TLS {
		r.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return redis.Open(ctx, r)
}

func openWrapper(cfg *config.Config) (secret.Wrapper, error) {
	if cfg.Keys.Vault == "" {
		return secret.OpenKeyFile(cfg.Keys.File, rand.Reader)
	}
	credential, err := vaultCredential(cfg.Entra.Credential)
	if err != nil {
		return nil, fmt.Errorf("credential for the Key Vault: %w", err)
	}
	return keyvault.New(keyvault.Config{Key: cfg.Keys.Vault, Credential: credential})
}

// vaultCredential is how the Key Vault is asked: as the managed identity itself, or by whatever the machine offers.
func vaultCredential(c config.Credential) (azcore.TokenCredential, error) {
	switch c.ManagedIdentity {
	case "":
		return azidentity.NewDefaultAzureCredential(nil)
	case "system":
		return azidentity.NewManagedIdentityCredential(nil)
	default:
		return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ID: azidentity.ClientID(c.ManagedIdentity)})
	}
}

func (s *state) path(name string) string { return filepath.Join(s.dir, name) }

// sweepMargin keeps what expired a little longer: a clock that jumps ahead must not sweep away what lives.
const sweepMargin = time.Hour

func (s *state) tidy(ctx context.Context, now time.Time) error {
	_, err := s.store.Sweep(ctx, now.Add(-sweepMargin))
	return errors.Join(err, s.keys.Refresh(ctx))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

package keystore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// ErrNotFound means that nothing is kept under a key, or that it can't be opened any more because the kernel's
// keyring was emptied.
var ErrNotFound = errors.New("keystore: nothing is kept under this key")

// Key says what a value is.
type Key struct {
	Issuer   string // the authorization server
	Client   string // the client ID at that server
	Resource string // what the tokens are for
}

// name is how the key is called in the system's key store: a host that a person recognises, and a digest
// that keeps it apart from all others within the 500 bytes that every system allows.
func (k Key) name() string {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%q %q %q", k.Issuer, k.Client, k.Resource)))
	host := "tokens"
	if u, err := url.Parse(k.Resource); err == nil && u.Host != "" {
		host = strings.ToLower(u.Host)
	}
	return host[:min(len(host), 100)] + " " + hex.EncodeToString(sum[:16])
}

// Config says where to keep values. Only Dir is required.
type Config struct {
	// Dir is a folder of this person alone, for locks and, without a key store, for sealed files. It is made
	// with mode 0700 when it is not there.
	Dir string
	// Service is the name under which a person finds the entries in their key store; "genkan" when empty.
	Service string
	// InsecureFile accepts, where there is neither a key store nor a kernel keyring, that the key lies in a
	// file beside the values: then whoever can read this person's files can read the tokens.
	InsecureFile bool
	// System replaces the system's key store.
	System Backend
	// NoSystem leaves the system's key store alone, and NoKernel the kernel's keyring.
	NoSystem, NoKernel bool
}

// Backend is a key store of short texts.
type Backend interface {
	// Get gives the text of an entry, or ErrNotFound.
	Get(ctx context.Context, service, name string) (string, error)
	Set(ctx context.Context, service, name, text string) error
	// Delete removes an entry; it is no error when there is none.
	Delete(ctx context.Context, service, name string) error
}

// values is what the three places have in common.
type values interface {
	get(ctx context.Context, name string) ([]byte, error)
	put(ctx context.Context, name string, value []byte) error
	remove(ctx context.Context, name string) error
}

// Store keeps values of one person. It is safe for concurrent use.
type Store struct {
	dir    string
	values values
	where  string
}

// NoKeyStoreError means that there is no safe place for tokens on this machine.
type NoKeyStoreError struct {
	System error // why the system's key store can't be used
	Kernel error // why the kernel's keyring can't be used
	Dir    string
}

// Error says what is missing, and what can be done.
func (e *NoKeyStoreError) Error() string {
	return fmt.Sprintf("no safe place for tokens: the system's key store can't be used (%v), nor can the kernel's keyring (%v); "+
		"start one (on Linux: gnome-keyring or another Secret Service in a D-Bus session), or accept that tokens lie in %s "+
		"with their key beside them, where whoever can read your files can read them", e.System, e.Kernel, e.Dir)
}

// Unwrap gives both causes.
func (e *NoKeyStoreError) Unwrap() []error { return []error{e.System, e.Kernel} }

// Open finds the best place for tokens on this machine.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Dir == "" {
		return nil, errors.New("keystore: Config.Dir is required")
	}
	if cfg.Service == "" {
		cfg.Service = "genkan"
	}
	if err := makeDir(cfg.Dir); err != nil {
		return nil, err
	}
	system, systemErr := openSystem(ctx, cfg)
	if systemErr == nil {
		return &Store{dir: cfg.Dir, values: system, where: "in the key store of your system"}, nil
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("open the key store: %w", ctx.Err())
	}
	s := &Store{dir: cfg.Dir}
	key, kernelErr := s.kernelKey(ctx, cfg)
	if kernelErr == nil {
		s.where = fmt.Sprintf("in sealed files in %s, with their key in the kernel's keyring until you log out (no key store: %v)", cfg.Dir, systemErr)
	} else if cfg.InsecureFile {
		s.where = fmt.Sprintf("INSECURELY in files in %s, with their key beside them (no key store: %v)", cfg.Dir, systemErr)
		if key, kernelErr = s.fileKey(ctx); kernelErr != nil {
			return nil, fmt.Errorf("open the key file: %w", kernelErr)
		}
	} else {
		return nil, &NoKeyStoreError{System: systemErr, Kernel: kernelErr, Dir: cfg.Dir}
	}
	files, err := newSealedFiles(cfg.Dir, cfg.Service, key)
	if err != nil {
		return nil, err
	}
	s.values = files
	return s, nil
}

// Where says in words where values are kept: "in ...".
func (s *Store) Where() string { return s.where }

// Get gives the value that is kept under a key, or ErrNotFound.
func (s *Store) Get(ctx context.Context, key Key) ([]byte, error) {
	value, err := s.values.get(ctx, key.name())
	if err != nil {
		return nil, fmt.Errorf("read from the key store: %w", err)
	}
	return value, nil
}

// Put keeps a value under a key, in place of what was there.
func (s *Store) Put(ctx context.Context, key Key, value []byte) error {
	if err := s.values.put(ctx, key.name(), value); err != nil {
		return fmt.Errorf("write to the key store: %w", err)
	}
	return nil
}

// Delete forgets what is kept under a key. It is no error when nothing is.
func (s *Store) Delete(ctx context.Context, key Key) error {
	if err := s.values.remove(ctx, key.name()); err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("delete from the key store: %w", err)
	}
	return nil
}

// Cache is one value of a Store as bytes to load and save, which is what package entra keeps a sign-in in.
type Cache struct {
	store *Store
	key   Key
}

// Cache gives the value that is kept under a key as a cache.
func (s *Store) Cache(key Key) *Cache { return &Cache{store: s, key: key} }

// Load gives the value, or nothing when there is none.
func (c *Cache) Load(ctx context.Context) ([]byte, error) {
	value, err := c.store.Get(ctx, c.key)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return value, err
}

// Save keeps the value.
func (c *Cache) Save(ctx context.Context, value []byte) error { return c.store.Put(ctx, c.key, value) }

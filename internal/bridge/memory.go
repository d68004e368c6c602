package bridge

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/genkan-mcp/genkan/entra/keystore"
)

// record is all that is known about the sign-in at one server. It lies in the key store as a whole, so that
// nobody can point the tokens in it to another token endpoint without the key store.
type record struct {
	Server     string `json:"server"`
	Authority  kind   `json:"authority"`
	Issuer     string `json:"issuer"`
	ClientID   string `json:"client_id"`
	Resource   string `json:"resource"`
	Redirect   string `json:"redirect,omitempty"`
	Registered bool   `json:"registered,omitempty"` // by dynamic registration, so that it can be done again

	ClientSecret  string           `json:"client_secret,omitempty"`
	SecretExpires time.Time        `json:"secret_expires,omitzero"`
	AuthStyle     oauth2.AuthStyle `json:"auth_style,omitempty"`
	TokenURL      string           `json:"token_url,omitempty"`
	RevokeURL     string           `json:"revoke_url,omitempty"`

	Requested    []string  `json:"requested,omitempty"` // scopes
	Granted      []string  `json:"granted,omitempty"`
	AccessToken  string    `json:"access_token,omitempty"`
	RefreshToken string    `json:"refresh_token,omitempty"`
	Issued       time.Time `json:"issued,omitzero"`
	Expires      time.Time `json:"expires,omitzero"`

	// State is what the Entra library remembers.
	State []byte `json:"state,omitempty"`
}

// kind says who gives the tokens.
type kind string

const (
	oauthServer kind = "oauth" // Genkan, or any other authorization server
	entraTenant kind = "entra"
)

// usable says whether the access token is good for a while. Short-lived tokens are used for four fifths of
// their life, long-lived ones up to the last minute.
func (r *record) usable(now time.Time) bool {
	if r == nil || r.AccessToken == "" {
		return false
	}
	if r.Expires.IsZero() {
		return true
	}
	early := min(time.Minute, r.Expires.Sub(r.Issued)/5)
	return now.Before(r.Expires.Add(-early))
}

// alive says whether the access token is good for at least this moment.
func (r *record) alive(now time.Time) bool {
	return r != nil && r.AccessToken != "" && (r.Expires.IsZero() || now.Before(r.Expires))
}

// covers says whether the scopes were granted. A server that didn't say what it granted gave what was asked.
func (r *record) covers(scopes []string) bool {
	return !slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(r.Granted, s) })
}

// Connection is a server at which somebody signed in: what a file may tell. It holds nothing secret.
type Connection struct {
	Server   string    `json:"server"`
	Issuer   string    `json:"issuer"`
	ClientID string    `json:"client_id"`
	Resource string    `json:"resource"`
	SignedIn time.Time `json:"signed_in"`
}

func (c *Connection) key() keystore.Key {
	return keystore.Key{Issuer: c.Issuer, Client: c.ClientID, Resource: c.Resource}
}

// memory keeps the record of one server: a small file says under which key it lies in the key store.
type memory struct {
	place   Place
	server  string
	profile string // tells apart what somebody does at one server as several clients
	store   *keystore.Store
}

func newMemory(o *ConnectOptions) *memory {
	return &memory{place: o.Place, server: o.Server, profile: cmp.Or(o.SignIn.ClientID, o.SignIn.ClientMetadata)}
}

// load gives the record, or nil when nobody has signed in. It does not touch the key store in that case.
func (m *memory) load(ctx context.Context) (*record, error) {
	connection, err := readConnection(m.path())
	if err != nil || connection == nil {
		return nil, err
	}
	store, err := m.open(ctx)
	if err != nil {
		return nil, err
	}
	raw, err := store.Get(ctx, connection.key())
	if errors.Is(err, keystore.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(raw, &r); err != nil || r.Server != m.server {
		return nil, nil // written by somebody else, or a later version: sign in again
	}
	return &r, nil
}

// save keeps the record, and forgets that of another issuer or client.
func (m *memory) save(ctx context.Context, r *record) error {
	store, err := m.open(ctx)
	if err != nil {
		return err
	}
	before, err := readConnection(m.path())
	if err != nil {
		return err
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode what was signed in: %w", err)
	}
	now := Connection{Server: r.Server, Issuer: r.Issuer, ClientID: r.ClientID, Resource: r.Resource, SignedIn: r.Issued}
	if err := store.Put(ctx, now.key(), raw); err != nil {
		return err
	}
	if before != nil && before.key() != now.key() {
		if err := store.Delete(ctx, before.key()); err != nil {
			return err
		}
	}
	return writeConnection(m.path(), &now)
}

// open opens the key store, once.
func (m *memory) open(ctx context.Context) (*keystore.Store, error) {
	if m.store != nil {
		return m.store, nil
	}
	store, err := m.place.open(ctx)
	if err == nil {
		m.store = store
	}
	return store, err
}

func (p Place) open(ctx context.Context) (*keystore.Store, error) {
	store, err := keystore.Open(ctx, keystore.Config{Dir: p.Dir, InsecureFile: p.InsecureFile})
	if none := (*keystore.NoKeyStoreError)(nil); errors.As(err, &none) {
		return nil, fmt.Errorf("%w: add --insecure-file-store to accept that", err)
	}
	return store, err
}

// lock keeps other processes from signing in to, or refreshing for, the same server at the same time.
func (m *memory) lock(ctx context.Context) (release func(), err error) {
	store, err := m.open(ctx)
	if err != nil {
		return nil, err
	}
	return store.Lock(ctx, keystore.Key{Client: m.profile, Resource: m.server})
}

func (m *memory) path() string { return connectionPath(m.place, m.server, m.profile) }

const connections = "connections"

func connectionPath(place Place, server, profile string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q", server, profile))
	return filepath.Join(place.Dir, connections, hex.EncodeToString(sum[:16])+".json")
}

func readConnection(path string) (*Connection, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read who is signed in: %w", err)
	}
	var c Connection
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, nil // as if nobody were signed in
	}
	return &c, nil
}

func writeConnection(path string, c *Connection) error {
	raw, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode who is signed in: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write who is signed in: %w", err)
	}
	_, err = temp.Write(raw)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
		return fmt.Errorf("write who is signed in: %w", err)
	}
	return nil
}

// listConnections gives every server at which somebody signed in, by address.
func listConnections(place Place) (map[string]*Connection, error) {
	paths, err := filepath.Glob(filepath.Join(place.Dir, connections, "*.json"))
	if err != nil {
		return nil, err
	}
	all := map[string]*Connection{}
	for _, path := range paths {
		c, err := readConnection(path)
		if err != nil {
			return nil, err
		}
		if c != nil && !strings.HasPrefix(filepath.Base(path), ".") {
			all[path] = c
		}
	}
	return all, nil
}

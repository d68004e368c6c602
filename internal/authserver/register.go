package authserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/genkan-mcp/genkan/internal/oauth"
	"github.com/genkan-mcp/genkan/internal/secret"
	"github.com/genkan-mcp/genkan/internal/store"
)

// Registration says who may register (RFC 7591 §3). By default everybody may.
type Registration struct {
	// Off: nobody may.
	Off bool
	// TokenHash is the hash of an initial access token; with one, only who shows it may register.
	TokenHash secret.Digest
	// Unused is how long a registration that nobody uses is kept; a day.
	Unused time.Duration
	// Used is how long a registration is kept after its last use; 90 days. It must be longer than a session.
	Used time.Duration
}

const (
	clientKind     = "client"
	unusedLife     = 24 * time.Hour
	usedLife       = 90 * 24 * time.Hour
	clientIDLength = 26
	// freshness is how old the record of a client's last use may become before it is written anew.
	freshness = 24 * time.Hour
)

// errStore marks a failure of the store: answer 503 and end nothing.
var errStore = errors.New("authserver: the store can't be reached now")

// registration is the record of a client that registered itself.
type registration struct {
	Metadata oauth.ClientMetadata `json:"metadata"`
	Hash     secret.Digest        `json:"hash,omitzero"` // of its secret
	Issued   time.Time            `json:"issued"`
	Used     time.Time            `json:"used,omitzero"`
}

// register answers a dynamic registration (RFC 7591 §3.1).
func (a *AuthServer) register(w http.ResponseWriter, r *http.Request) error {
	if err := a.mayRegister(r); err != nil {
		return err
	}
	body, err := oauth.ReadBody(http.MaxBytesReader(w, r.Body, oauth.MaxClientMetadata+1), oauth.MaxClientMetadata)
	if err != nil {
		return err
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		return &oauth.Error{
			Code: oauth.InvalidClientMetadata, HTTPStatus: http.StatusUnsupportedMediaType,
			Description: "the content type must be application/json",
		}
	}
	metadata, err := oauth.ParseClientMetadata(body, a.AppSchemes...)
	if err != nil {
		return err
	}
	information, err := a.addClient(r.Context(), addressKey(a.Address(r)), metadata)
	if err != nil {
		return err
	}
	a.Logger.InfoContext(r.Context(), "a client registered", "client", information.ClientID, "name", metadata.ClientName, "address", a.Address(r))
	return writeJSON(w, http.StatusCreated, information)
}

func (a *AuthServer) mayRegister(r *http.Request) error {
	if a.Registration.Off {
		return &oauth.Error{
			Code: oauth.InvalidRequest, HTTPStatus: http.StatusForbidden, Description: "clients can't register here; ask the administrator for a client_id",
		}
	}
	if err := a.limits.register.take(addressKey(a.Address(r)), a.Now()); err != nil {
		return err
	}
	if a.Registration.TokenHash.IsZero() {
		return nil
	}
	token, err := oauth.Bearer(r.Header.Values("Authorization"))
	if err != nil {
		return err
	}
	if !secret.Hash(token).Equal(a.Registration.TokenHash) {
		return oauth.Refuse(oauth.InvalidToken, "an initial access token is needed to register")
	}
	return nil
}

// addClient stores a registration. The address owns it until it is used, so that nobody can fill the store.
func (a *AuthServer) addClient(ctx context.Context, address string, m oauth.ClientMetadata) (oauth.ClientInformation, error) {
	var none oauth.ClientInformation
	unused, err := a.Store.List(ctx, clientKind, address, "", a.limits.unused)
	if err != nil {
		return none, fmt.Errorf("count registrations: %w: %w", errStore, err)
	}
	if len(unused) >= a.limits.unused {
		return none, tooMany(time.Hour, "this address has too many registrations that nobody uses")
	}
	id, err := secret.Random(a.Rand, clientIDLength)
	if err != nil {
		return none, err
	}
	id = "gkd_" + id
	now := a.Now()
	answer := oauth.ClientInformation{ClientMetadata: m, ClientIDIssuedAt: now.Unix()}
	answer.ClientID = id
	record := registration{Metadata: m, Issued: now}
	if m.AuthMethod == oauth.AuthBasic || m.AuthMethod == oauth.AuthPost {
		if answer.ClientSecret, err = secret.Random(a.Rand, 52); err != nil {
			return none, err
		}
		answer.ClientSecret = "gks_" + answer.ClientSecret
		answer.ClientSecretExpiresAt = new(int64)
		record.Hash = secret.Hash(answer.ClientSecret)
	}
	value, err := json.Marshal(record)
	if err != nil {
		return none, fmt.Errorf("write registration: %w", err)
	}
	life := orDuration(a.Registration.Unused, unusedLife)
	err = a.Store.Create(ctx, store.Record{Kind: clientKind, ID: id, Owner: address, Value: value, Expires: now.Add(life)})
	if err != nil {
		return none, fmt.Errorf("write registration: %w: %w", errStore, err)
	}
	return answer, nil
}

// registeredClient finds a client that registered itself.
func (a *AuthServer) registeredClient(ctx context.Context, id string) (*client, error) {
	unknown := oauth.Refuse(oauth.InvalidClient, "the client_id is not known here; register again")
	if len(id) > 128 {
		return nil, unknown
	}
	stored, err := a.Store.Get(ctx, clientKind, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, unknown
	}
	if err != nil {
		return nil, fmt.Errorf("find client: %w: %w", errStore, err)
	}
	if !a.Now().Before(stored.Expires) {
		return nil, unknown
	}
	var record registration
	if err := json.Unmarshal(stored.Value, &record); err != nil {
		return nil, fmt.Errorf("read client %s: %w", id, err)
	}
	c, err := a.fromMetadata(id, registered, record.Metadata)
	if err != nil {
		return nil, fmt.Errorf("read client %s: %w", id, err)
	}
	c.secret = record.Hash
	return c, nil
}

// keepClient notes that a client was used, so that its registration stays. It is a note only: a failure is
// logged, and another replica that noted the same is no failure.
func (a *AuthServer) keepClient(ctx context.Context, c *client) {
	if c.origin != registered {
		return
	}
	if err := a.noteUse(ctx, c.id); err != nil && !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound) {
		a.Logger.WarnContext(ctx, "the use of a client could not be noted", "client", c.id, "error", err)
	}
}

func (a *AuthServer) noteUse(ctx context.Context, id string) error {
	stored, err := a.Store.Get(ctx, clientKind, id)
	if err != nil {
		return err
	}
	var record registration
	if err := json.Unmarshal(stored.Value, &record); err != nil {
		return err
	}
	now := a.Now()
	if now.Sub(record.Used) < freshness {
		return nil
	}
	record.Used = now
	if stored.Value, err = json.Marshal(record); err != nil {
		return err
	}
	stored.Owner = ""
	stored.Expires = now.Add(orDuration(a.Registration.Used, usedLife))
	_, err = a.Store.Swap(ctx, stored)
	return err
}

func orDuration(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

package authserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/genkan-mcp/genkan/internal/store"
)

// RegisteredClient is a client that registered itself, as those who run Genkan see it.
type RegisteredClient struct {
	ID           string
	Name         string
	RedirectURIs []string
	Issued       time.Time
	Used         time.Time // zero: nobody signed in with it yet
	Expires      time.Time // if it is not used any more
}

// ErrNoClient means that no client of this ID registered.
var ErrNoClient = errors.New("authserver: no such client")

// RegisteredClients lists clients that registered themselves, in the order of their IDs, after the ID given.
func RegisteredClients(ctx context.Context, s store.Store, after string, limit int) ([]RegisteredClient, error) {
	records, err := s.List(ctx, clientKind, "", after, limit)
	if err != nil {
		return nil, fmt.Errorf("list clients: %w", err)
	}
	clients := make([]RegisteredClient, 0, len(records))
	for _, record := range records {
		var r registration
		if err := json.Unmarshal(record.Value, &r); err != nil {
			return nil, fmt.Errorf("read client %s: %w", record.ID, err)
		}
		clients = append(clients, RegisteredClient{ID: record.ID, Name: r.Metadata.ClientName, RedirectURIs: r.Metadata.RedirectURIs,
			Issued: r.Issued, Used: r.Used, Expires: record.Expires})
	}
	return clients, nil
}

// RemoveClient forgets a client that registered itself; ErrNoClient if there is none. Its sessions are their owner's
// business: see grant.Grants.EndClient.
func RemoveClient(ctx context.Context, s store.Store, id string) error {
	_, err := s.Take(ctx, clientKind, id)
	if errors.Is(err, store.ErrNotFound) {
		return ErrNoClient
	}
	if err != nil {
		return fmt.Errorf("remove client: %w", err)
	}
	return nil
}

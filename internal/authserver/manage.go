package authserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/genkan-mcp/genkan/internal/store"
)

// ErrNotFound means that there is no such registration or consent.
var ErrNotFound = errors.New("authserver: there is nothing of this ID")

// Registered is a client that registered itself, for those who look after the house.
type Registered struct {
	ID           string
	Name         string
	RedirectURIs []string
	Issued       time.Time
	Used         time.Time // zero: never
	Expires      time.Time
}

// Registrations lists the clients that registered themselves, in the order of their IDs, after an ID; next is empty
// on the last page.
func Registrations(ctx context.Context, s store.Store, after string, limit int) (page []Registered, next string, err error) {
	stored, err := s.List(ctx, clientKind, "", after, limit)
	if err != nil {
		return nil, "", fmt.Errorf("list clients: %w", err)
	}
	for _, record := range stored {
		var r registration
		if err := json.Unmarshal(record.Value, &r); err != nil {
			return nil, "", fmt.Errorf("read client %s: %w", record.ID, err)
		}
		page = append(page, Registered{
			ID: record.ID, Name: r.Metadata.ClientName, RedirectURIs: r.Metadata.RedirectURIs,
			Issued: r.Issued, Used: r.Used, Expires: record.Expires,
		})
	}
	if len(stored) == limit && limit > 0 {
		next = stored[len(stored)-1].ID
	}
	return page, next, nil
}

// Unregister removes a registration: the client must register anew. Its sessions are ended by
// grant.Grants.EndClient.
func Unregister(ctx context.Context, s store.Store, id string) error {
	return remove(ctx, s, clientKind, id)
}

// Given is a consent of one person, with the ID by which it is revoked.
type Given struct {
	ID     string
	Person string // policy.Identity.Key
	Consent
}

// Consents lists what a person has allowed, or, without a person, what everybody has.
func Consents(ctx context.Context, s store.Store, person, after string, limit int) (page []Given, next string, err error) {
	stored, err := s.List(ctx, ConsentKind, person, after, limit)
	if err != nil {
		return nil, "", fmt.Errorf("list consents: %w", err)
	}
	for _, record := range stored {
		given := Given{ID: record.ID, Person: record.Owner}
		if err := json.Unmarshal(record.Value, &given.Consent); err != nil {
			return nil, "", fmt.Errorf("read consent: %w", err)
		}
		page = append(page, given)
	}
	if len(stored) == limit && limit > 0 {
		next = stored[len(stored)-1].ID
	}
	return page, next, nil
}

// RevokeConsent forgets a consent of a person: the next sign-in asks again. A session that it led to goes on until
// somebody ends it.
func RevokeConsent(ctx context.Context, s store.Store, person, id string) error {
	found, err := s.Get(ctx, ConsentKind, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && found.Owner != person {
		return ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("find consent: %w", err)
	}
	return remove(ctx, s, ConsentKind, id)
}

func remove(ctx context.Context, s store.Store, kind, id string) error {
	_, err := s.Take(ctx, kind, id)
	if errors.Is(err, store.ErrNotFound) {
		return ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", kind, err)
	}
	return nil
}

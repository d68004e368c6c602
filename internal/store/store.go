// Package store keeps records under atomic verbs. It knows no OAuth and no clock: what a record means,
// and when it has ended, is its owner's business.
package store

import (
	"context"
	"errors"
	"time"
)

// Errors that callers act on. Anything else means that the store is not available.
var (
	ErrNotFound = errors.New("store: no such record")
	ErrExists   = errors.New("store: the record exists already")
	ErrConflict = errors.New("store: the record has changed meanwhile")
)

// Record is the unit of storage. Kind and ID together name it.
type Record struct {
	Kind    string
	ID      string
	Owner   string    // groups records, so that all of one owner can be listed and deleted
	Value   []byte    // opaque to the store
	Expires time.Time // after this, Sweep removes it; zero: never; kept to the millisecond, in UTC
	// Revision is the store's: it differs after each change, also when a record is removed and created
	// again, and Swap compares it. Its order means nothing.
	Revision int64
}

// Store has seven verbs, each of them atomic, safe for concurrent use and across processes where the
// backend is shared. A verb whose context ends, or whose backend fails, returns an error that is none of
// this package's, and the caller must not assume that nothing happened.
type Store interface {
	// Create adds a record, or returns ErrExists.
	Create(ctx context.Context, r Record) error
	// Get returns a record, expired or not, or ErrNotFound.
	Get(ctx context.Context, kind, id string) (Record, error)
	// Take removes a record and returns it. Of any number of callers exactly one wins; the others get
	// ErrNotFound.
	Take(ctx context.Context, kind, id string) (Record, error)
	// Swap replaces a record, its owner and expiry too, whose revision is still r.Revision, and returns the new revision; ErrConflict
	// if it has changed, ErrNotFound if it is gone.
	Swap(ctx context.Context, r Record) (revision int64, err error)
	// DeleteOwner removes every record of a kind that belongs to owner, which must not be empty, and says
	// how many there were.
	DeleteOwner(ctx context.Context, kind, owner string) (int, error)
	// List returns up to limit records of a kind, in the order of their IDs' bytes, that come after the ID
	// given; owner narrows it to one owner's unless empty. A backend may return fewer than limit only when
	// no more follow.
	List(ctx context.Context, kind, owner, after string, limit int) ([]Record, error)
	// Sweep removes every record that expired before now and says how many there were.
	Sweep(ctx context.Context, now time.Time) (int, error)
	// Close releases the backend.
	Close() error
}

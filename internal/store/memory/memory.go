// Package memory is a store that forgets everything when its process ends: for tests and for a trial.
package memory

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/genkan-mcp/genkan/internal/store"
)

// Store is a store in memory.
type Store struct {
	mu       sync.Mutex
	records  map[name]store.Record
	revision int64 // of the newest change to any record
	closed   bool
}

type name struct{ kind, id string }

var _ store.Store = (*Store)(nil)

// New makes an empty store.
func New() *Store { return &Store{records: map[name]store.Record{}} }

// Create adds a record, or returns store.ErrExists.
func (s *Store) Create(ctx context.Context, r store.Record) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if _, exists := s.records[name{r.Kind, r.ID}]; exists {
		return store.ErrExists
	}
	s.put(r)
	return nil
}

// Get returns a record or store.ErrNotFound.
func (s *Store) Get(ctx context.Context, kind, id string) (store.Record, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return store.Record{}, err
	}
	defer unlock()
	r, ok := s.records[name{kind, id}]
	if !ok {
		return store.Record{}, store.ErrNotFound
	}
	return copied(r), nil
}

// Take removes a record and returns it, or returns store.ErrNotFound.
func (s *Store) Take(ctx context.Context, kind, id string) (store.Record, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return store.Record{}, err
	}
	defer unlock()
	r, ok := s.records[name{kind, id}]
	if !ok {
		return store.Record{}, store.ErrNotFound
	}
	delete(s.records, name{kind, id})
	return r, nil
}

// Swap replaces a record that nobody changed, or returns store.ErrConflict or store.ErrNotFound.
func (s *Store) Swap(ctx context.Context, r store.Record) (int64, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	old, ok := s.records[name{r.Kind, r.ID}]
	if !ok {
		return 0, store.ErrNotFound
	}
	if old.Revision != r.Revision {
		return 0, store.ErrConflict
	}
	return s.put(r), nil
}

// DeleteOwner removes every record of a kind that belongs to owner.
func (s *Store) DeleteOwner(ctx context.Context, kind, owner string) (int, error) {
	if owner == "" {
		return 0, errors.New("store: no owner to delete")
	}
	return s.delete(ctx, func(r store.Record) bool { return r.Kind == kind && r.Owner == owner })
}

// List returns records in the order of their IDs.
func (s *Store) List(ctx context.Context, kind, owner, after string, limit int) ([]store.Record, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var found []store.Record
	for _, r := range s.records {
		if r.Kind == kind && r.ID > after && (owner == "" || r.Owner == owner) {
			found = append(found, copied(r))
		}
	}
	slices.SortFunc(found, func(a, b store.Record) int { return cmp.Compare(a.ID, b.ID) })
	return found[:min(len(found), max(limit, 0))], nil
}

// Sweep removes every record that expired before now.
func (s *Store) Sweep(ctx context.Context, now time.Time) (int, error) {
	return s.delete(ctx, func(r store.Record) bool { return !r.Expires.IsZero() && r.Expires.Before(now) })
}

// Close makes every further call fail.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

func (s *Store) delete(ctx context.Context, condemned func(store.Record) bool) (int, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	n := 0
	for key, r := range s.records {
		if condemned(r) {
			delete(s.records, key)
			n++
		}
	}
	return n, nil
}

// lock fails like any backend that is gone, or whose caller no longer waits.
func (s *Store) lock(ctx context.Context) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, errors.New("store: closed")
	}
	return s.mu.Unlock, nil
}

func (s *Store) put(r store.Record) (revision int64) {
	s.revision++
	r = copied(r)
	r.Revision = s.revision
	if !r.Expires.IsZero() {
		r.Expires = r.Expires.UTC().Truncate(time.Millisecond)
	}
	s.records[name{r.Kind, r.ID}] = r
	return r.Revision
}

// copied keeps callers from changing what is stored, and the store from changing what they hold.
func copied(r store.Record) store.Record {
	r.Value = bytes.Clone(r.Value)
	return r
}
